"""The order in which parts of the config have their turn: at the n-th request, each n-th, the first n."""

from collections.abc import Callable, Mapping
from typing import Literal, Protocol

from openpipe_mock.core.reading import At, Json
from openpipe_mock.core.wording import counted

Then = Literal["repeat", "last", "fail"]
"""What follows the end of a sequence: all of it again, its last item for good, or an error."""


class _Ordered(Protocol):
    """A fault or a script. `call`, `every`, `first`: as `TURNS` says, None for any request."""

    @property
    def call(self) -> int | None: ...
    @property
    def every(self) -> int | None: ...
    @property
    def first(self) -> int | None: ...


TURNS: Mapping[str, Callable[[int, int], bool]] = {
    "call": lambda number, wanted: number == wanted,
    "every": lambda number, wanted: number % wanted == 0,
    "first": lambda number, wanted: number <= wanted,
}
"""Member of a part → whether it is the part's turn at the request with this number."""


def not_its_turn(part: _Ordered, number: int) -> str:
    """Why it is not a part's turn at the n-th request that meets its `when`; "" where it is."""
    for name, its_turn in TURNS.items():
        wanted = getattr(part, name)
        if wanted is not None and not its_turn(number, wanted):
            return f"it was not its turn: request {number} that meets its `when`, it has `{name}: {wanted}`"
    return ""


def check_turns(value: Json, at: At, noun: str) -> None:
    """Note in `at` combinations of `call`, `every` and `first` that no request ever meets."""
    turn, every, first = value.get("call"), value.get("every", 1), value.get("first")
    if turn and turn % every:
        told = (
            f'"call": {turn} is no multiple of "every": {every}, so this never happens; remove one of them.'
        )
        at.at("every").wrong("every", told)
    if first and first < (turn or every):
        told = f"the first {first} requests end before it is this {noun}'s turn, so this never happens."
        at.at("first").wrong("first", told)


def item_of(number: int, length: int, then: Then) -> int | None:
    """The index of the item of a sequence that has its turn, None after the end of one that fails.

    `number`: of the request, from 1. `length`: how many items there are.
    """
    if then == "fail" and number > length:
        return None
    return (number - 1) % length if then == "repeat" else min(number, length) - 1


def ended(length: int, item: str, number: int, asked: str) -> str:
    """Say that a sequence of so many items has ended, and which request is one too many."""
    return f"The sequence has ended: it has {counted(length, item)}, and this is {asked} {number}."
