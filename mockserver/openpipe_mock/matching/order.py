"""The order in which parts of the config have their turn: at the n-th request, each n-th, the first n."""

from collections.abc import Callable, Mapping
from typing import Protocol

from openpipe_mock.core.reading import At, Json


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
