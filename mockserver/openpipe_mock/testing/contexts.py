"""Which of several mocks a piece of code belongs to: the ones that were entered around it.

A mock that is entered in a task, of asyncio or trio, is that task's, and that of the tasks and threads that
take its context along. One that is entered where no event loop runs is also for all that its thread does
until it ends: async tests too, whose context a plugin may have made before.
"""

import sys
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from itertools import count
from threading import get_ident
from typing import Generic, TypeVar

_Value = TypeVar("_Value")
_NUMBERS = count()
_ENTERED: ContextVar[frozenset[int]] = ContextVar("openpipe_mock_entered", default=frozenset())
"""The numbers of the entries that this context is inside of; such as have ended may be among them."""


class Unclear(LookupError):
    """Code is inside of none of several entries that have nothing to do with each other."""


@dataclass(frozen=True, eq=False, slots=True)
class Entered(Generic[_Value]):
    """What was entered, where, and the numbers of the entries that it is inside of."""

    value: _Value
    number: int
    thread: int
    in_loop: bool
    outer: frozenset[int]

    def is_here(self) -> bool:
        """Whether this code runs inside."""
        return (self.thread == get_ident() and not self.in_loop) or self.number in _ENTERED.get()


class Active(Generic[_Value]):
    """What is entered at this time, the latest last. It may be left in any order, and elsewhere.

    Threads that enter and leave take turns by a lock of the caller's.
    """

    def __init__(self) -> None:
        self.entries: tuple[Entered[_Value], ...] = ()

    def enter(self, value: _Value) -> Entered[_Value]:
        thread, in_loop = get_ident(), in_event_loop()
        here = frozenset(entry.number for entry in self.entries if entry.is_here())
        # Where no loop runs, this thread's tasks that have entries of their own go on inside of this one too.
        tasks = frozenset(entry.number for entry in self.entries if entry.thread == thread and not in_loop)
        entry = Entered(value, next(_NUMBERS), thread, in_loop, here | tasks)
        _ENTERED.set(here | {entry.number})
        self.entries = (*self.entries, entry)
        return entry

    def leave(self, entry: Entered[_Value]) -> None:
        self.entries = tuple(each for each in self.entries if each is not entry)
        _ENTERED.set(_ENTERED.get() - {entry.number})

    def innermost(self) -> Entered[_Value] | None:
        """The entry that this code belongs to; None where nothing is entered.

        Code that is inside of none, as in a thread, belongs to the latest if that is inside of all others.
        Raises Unclear otherwise.
        """
        entries = self.entries
        if len(entries) < 2:
            return entries[0] if entries else None
        for entry in reversed(entries):
            if entry.is_here():
                return entry
        *others, latest = entries
        if all(other.number in latest.outer for other in others):
            return latest
        raise Unclear

    def around(self, entry: Entered[_Value]) -> Iterator[_Value]:
        """An entry's value, and those of the entries that it is inside of."""
        return (each.value for each in self.entries if each is entry or each.number in entry.outer)


def in_event_loop() -> bool:
    """Whether this thread runs tasks, of asyncio or of trio."""
    asyncio, trio = sys.modules.get("asyncio"), sys.modules.get("trio.lowlevel")
    return (asyncio is not None and _succeeds(asyncio.get_running_loop)) or (
        trio is not None and _succeeds(trio.current_trio_token)
    )


def _succeeds(ask: Callable[[], object]) -> bool:
    try:
        ask()
    except RuntimeError:  # both say so that no loop runs
        return False
    return True
