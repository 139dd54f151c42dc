"""Values of a test as JSON, with the place of each part that JSON can't hold."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

import orjson

from openpipe_mock.config.file import Mistakes
from openpipe_mock.core.errors import Violation
from openpipe_mock.openapi.violations import SchemaPlace

_MOST_LEVELS, _MOST_MISFITS = 250, 20
"""How deep a value may be nested that becomes JSON; how many of its mistakes are reported."""
_JSON_VALUE = "a value of JSON (an object, an array, a string, a number, true, false or null)"
_TOLD = {
    int: "an integer of at most 64 bits, got a larger one",
    float: "a finite number, got one that isn't",
    str: "a string of Unicode, got one with half a surrogate pair",
}
"""Type that JSON has → the message about a value of it that JSON can't hold."""


def as_json(value: Any) -> bytes:
    """A value as JSON. Raises Mistakes for what JSON can't hold."""
    try:
        text = orjson.dumps(value)
        if b"null" not in text:  # orjson writes it also for numbers that aren't finite, which are mistakes
            return text
    except orjson.JSONEncodeError:
        text = b""
    mistakes = tuple(islice(_misfits(value, SchemaPlace({})), _MOST_MISFITS))
    if mistakes:
        raise Mistakes(mistakes)
    return text


def _misfits(value: Any, place: SchemaPlace, level: int = 0) -> Iterator[Violation]:
    """The parts of a value that JSON can't hold. Messages name their types, since values may be secret."""
    if level == _MOST_LEVELS:
        yield Violation(place.pointer, "json", f"expected at most {_MOST_LEVELS} levels, got more.")
    elif isinstance(value, dict):
        for name, each in value.items():
            if isinstance(name, str):
                yield from _misfits(name, place)
                yield from _misfits(each, place.at(name), level + 1)
            else:
                told = f"expected names that are strings, got one of the type {type(name).__name__}."
                yield Violation(place.pointer, "json", told)
    elif isinstance(value, list) or type(value) is tuple:  # orjson writes no named tuples
        for number, each in enumerate(value):
            yield from _misfits(each, place.at(number), level + 1)
    elif not _is_writable(value):
        told = _TOLD.get(type(value), f"{_JSON_VALUE}, got one of the type {type(value).__name__}")
        yield Violation(place.pointer, "json", f"expected {told}.")


def _is_writable(value: Any) -> bool:
    try:
        return orjson.dumps(value) != b"null" or value is None
    except orjson.JSONEncodeError:
        return False
