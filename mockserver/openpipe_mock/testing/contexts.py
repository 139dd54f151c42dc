"""Find out which of several entered mocks a piece of code belongs to.

A mock that is entered in a task, of asyncio or trio, belongs to that task, and to the tasks and threads that
inherit its context. One that is entered where no event loop runs belongs to the whole thread until it is
left: also to async tests, whose context a plugin may have made before.
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
"""The numbers of the entries that this context is inside of, and of some that were left."""


class Unclear(LookupError):
    """Code is outside of several entries, and no rule says to which it belongs."""


@dataclass(frozen=True, eq=False, slots=True)
class Entered(Generic[_Value]):
    """A value that was entered, where, and the numbers of the entries around it (`outer`)."""

    value: _Value
    number: int
    thread: int
    in_loop: bool
    outer: frozenset[int]

    def is_here(self) -> bool:
        """Whether the calling code runs inside of this entry."""
        return (self.thread == get_ident() and not self.in_loop) or self.number in _ENTERED.get()


class Active(Generic[_Value]):
    """The values that are entered now, the latest last. They may be left in any order and in any thread.

    `enter` and `leave` aren't safe for several threads at once: callers use a lock.
    """

    def __init__(self) -> None:
        self.entries: tuple[Entered[_Value], ...] = ()

    def enter(self, value: _Value) -> Entered[_Value]:
        thread, in_loop = get_ident(), in_event_loop()
        here = frozenset(entry.number for entry in self.entries if entry.is_here())
        # Where no loop runs, this entry is also inside of those that tasks of this thread have entered.
        tasks = frozenset(entry.number for entry in self.entries if entry.thread == thread and not in_loop)
        entry = Entered(value, next(_NUMBERS), thread, in_loop, here | tasks)
        _ENTERED.set(here | {entry.number})
        self.entries = (*self.entries, entry)
        return entry

    def leave(self, entry: Entered[_Value]) -> None:
        self.entries = tuple(each for each in self.entries if each is not entry)
        _ENTERED.set(_ENTERED.get() - {entry.number})

    def innermost(self) -> Entered[_Value] | None:
        """The entry that the calling code belongs to; None where nothing is entered.

        Code inside of none, such as a thread's, belongs to the latest if that is inside of all others. Raises
        Unclear otherwise.
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
        """An entry's value, and those of the entries around it."""
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
