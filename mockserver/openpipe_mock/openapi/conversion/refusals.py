"""The error for a documentation page that can't be converted, and the small checks that raise it.

Checks return the value if it is right, else they raise ConversionError. A place is a JSON pointer into the
page's YAML block, such as `/request/body/application~1json/schemaArray/0`; errors show it without the leading
`/paths`, which nearly all places share.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Collection, Iterable
from typing import Any

from openpipe_mock.core.pointers import pointer_to


class ConversionError(ValueError):
    """A page can't be converted. The message is the place, what is wrong there and what to do."""

    def __init__(self, place: str, problem: str) -> None:
        super().__init__(place, problem)
        self.place = place.removeprefix("/paths") if place.startswith("/paths/") else place or "/"
        self.problem = problem

    def __str__(self) -> str:
        return f"{self.place}: {self.problem}"


def child(place: str, *steps: str | int) -> str:
    """The pointer to which these steps lead from `place`."""
    return place + pointer_to(*steps)


def _shown(value: Any) -> str:
    """A value as one short line of JSON."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."


def expect(value: Any, place: str, test: Callable[[Any], bool], description: str) -> Any:
    """Return `value` if the test holds, else raise ConversionError with what was expected."""
    if not test(value):
        raise ConversionError(place, f"expected {description}, found {_shown(value)}; correct the page")
    return value


def expect_text(value: Any, place: str) -> str:
    found: str = expect(value, place, is_text, "a string")
    return found


def flag(value: Any, place: str) -> bool:
    found: bool = expect(value, place, is_flag, "true or false")
    return found


def choice(value: Any, place: str, known: Collection[str]) -> str:
    """Return a word that is one of the known ones."""
    found: str = expect(
        value, place, lambda word: is_text(word) and word in known, f"one of {', '.join(known)}"
    )
    return found


def items(value: Any, place: str) -> list[Any]:
    found: list[Any] = expect(value, place, is_list, "a list")
    return found


def mapping(value: Any, place: str) -> dict[str, Any]:
    found: dict[str, Any] = expect(value, place, _is_mapping, "a mapping")
    return found


def fields(value: Any, place: str, known: Iterable[str], *, required: Iterable[str] = ()) -> dict[str, Any]:
    """Return a mapping if it has no keys but the known ones, and all of the required ones."""
    found = mapping(value, place)
    for key in found:
        if key not in known:
            raise refuse_unknown(key, place, known)
    for key in required:
        if key not in found:
            raise ConversionError(place, f'"{key}" is missing; add it to the page')
    return found


def only(value: Any, place: str) -> Any:
    """Return the one element of a list."""
    # Several are refused, because the dialect doesn't say how they combine.
    found = items(value, place)
    if len(found) != 1:
        raise ConversionError(
            place, f"expected one element, found {len(found)}; write them as one schema with anyOf"
        )
    return found[0]


def refuse_unknown(key: str, place: str, known: Iterable[str]) -> ConversionError:
    """The error for an unknown keyword, to be raised by the caller."""
    names = ", ".join(sorted(known))
    problem = (
        f'unknown keyword "{key}"; known ones are {names}: correct the page or teach the converter the word'
    )
    return ConversionError(place, problem)


def is_text(value: Any) -> bool:
    return isinstance(value, str)


def is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def is_list(value: Any) -> bool:
    return isinstance(value, list)


def _is_mapping(value: Any) -> bool:
    return isinstance(value, dict)


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
