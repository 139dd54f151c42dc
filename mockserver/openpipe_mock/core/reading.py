"""Helpers for parsers of the config: each value is read with its place, so that mistakes can name it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, TypeVar

from openpipe_mock.core.canonical import ordered
from openpipe_mock.core.errors import Violation
from openpipe_mock.core.pointers import pointer_to

Json = Any
_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class At:
    """A parser's place: `pointer` leads from the start of a part, `prefix` from the file's top to the part.

    All places of one part share `found`, the list of mistakes; `broken` holds the pointers of values that
    break the schema.
    """

    prefix: str
    pointer: str = ""
    found: list[Violation] = field(default_factory=list)
    broken: frozenset[str] = frozenset()

    @property
    def place(self) -> str:
        """The JSON pointer from the file's top."""
        return self.prefix + self.pointer

    def at(self, *steps: str | int) -> "At":
        """The place that these steps (keys or indexes) lead to."""
        return At(self.prefix, self.pointer + pointer_to(*steps), self.found, self.broken)

    def wrong(self, rule: str, sentence: str) -> None:
        """Note a mistake at this place; `rule` is the schema keyword that it breaks."""
        self.found.append(Violation(self.pointer, rule, sentence))

    def counter(self, value: Json) -> str:
        """The name of a counter for this part: place and digest, so an edited part counts anew."""
        return f"{self.place}#{part_digest(value)}"

    def sound(self) -> bool:
        """Whether the value here keeps the schema."""
        return self.pointer not in self.broken


def part_digest(value: Json) -> str:
    """A short digest of a part's content; it doesn't depend on the part's place."""
    return blake2b(ordered(value), digest_size=6).hexdigest()


def present_keys(value: Json, **fields: str) -> dict[str, Any]:
    """The members of `value` that are there, renamed: `present_keys(value, seed="random_seed")`."""
    return {name: value[key] for key, name in fields.items() if key in value}


def not_null(members: Mapping[str, _Value | None]) -> dict[str, _Value]:
    """The members that aren't null."""
    return {name: member for name, member in members.items() if member is not None}


def whole(value: Json, **fields: str) -> dict[str, Any]:
    """As `present_keys`, for whole numbers, which may be written as 2.0; null stays None."""
    found = present_keys(value, **fields)
    return {name: None if number is None else int(number) for name, number in found.items()}
