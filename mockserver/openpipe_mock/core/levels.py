"""The levels of sources: how firm the word is on which a promise of the contract rests."""

from typing import Literal, get_args

Level = Literal["documented", "sdk", "source", "decision"]
LEVELS: tuple[Level, ...] = get_args(Level)
"""The strongest first."""


def weaker(one: str, other: str) -> str:
    """The weaker of two levels."""
    return max(one, other, key=[*LEVELS].index)  # type: ignore[arg-type]
