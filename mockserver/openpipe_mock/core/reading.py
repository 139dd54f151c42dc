"""Values of a config read one by one, each with its place for the mistakes."""

from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from openpipe_mock.core.canonical import ordered
from openpipe_mock.core.errors import Violation

Json = Any


@dataclass(frozen=True, slots=True)
class At:
    """Where a parser stands: the pointer from the part's start, and where the part stands in the file.

    `found` gathers what is wrong; `broken` holds the pointers of what has a wrong shape.
    """

    prefix: str
    pointer: str = ""
    found: list[Violation] = field(default_factory=list)
    broken: frozenset[str] = frozenset()

    @property
    def place(self) -> str:
        return self.prefix + self.pointer

    def at(self, *steps: str | int) -> "At":
        path = "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in steps)
        return At(self.prefix, self.pointer + path, self.found, self.broken)

    def wrong(self, rule: str, sentence: str) -> None:
        self.found.append(Violation(self.pointer, rule, sentence))

    def counter(self, value: Json) -> str:
        """The name of a count: it changes when what is counted for changes."""
        return f"{self.place}#{part_digest(value)}"

    def sound(self) -> bool:
        """Whether the shape is right here."""
        return self.pointer not in self.broken


def part_digest(value: Json) -> str:
    """What stands for a part's own text, wherever it stands."""
    return blake2b(ordered(value), digest_size=6).hexdigest()


def present_keys(value: Json, **fields: str) -> dict[str, Any]:
    """Those of the keys that are there, under the names of their fields."""
    return {name: value[key] for key, name in fields.items() if key in value}


def whole(value: Json, **fields: str) -> dict[str, Any]:
    """The same, for whole numbers, which may be written as 2.0."""
    found = present_keys(value, **fields)
    return {name: None if number is None else int(number) for name, number in found.items()}


def seconds(value: Json, **fields: str) -> dict[str, Any]:
    """The same, for milliseconds, as seconds."""
    return {name: number / 1000 for name, number in present_keys(value, **fields).items()}
