"""Numbers and booleans as the service's own runtime writes them."""

import re
from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from typing import Any

import orjson

from openpipe_mock.openapi.violations import JSON_TYPES


def javascript_text(value: int | float) -> str:
    """A number or boolean as JavaScript's `String()` writes it: `true`, `1`, `1.5`, `1e+21`, `1e-7`."""
    if isinstance(value, bool):
        return str(value).lower()
    number = float(value)
    if 1e-6 <= abs(number) < 1e21:
        return format(Decimal(repr(number)), "f").removesuffix(".0")
    return re.sub(r"e([+-])0", r"e\1", repr(number)) if number else "0"


def coerced(value: Any, wanted: tuple[str, ...]) -> Any:
    """A scalar as the first wanted JSON type that it can be turned into, else unchanged."""
    if isinstance(value, str | int | float) and not any(JSON_TYPES[name](value) for name in wanted):
        for name in wanted:
            with suppress(KeyError, ValueError, OverflowError):
                return _COERCIONS[name](value)
    return value


def _number(value: str | int | float) -> int | float:
    """A number that a string spells in JSON; ValueError for any other."""
    read = orjson.loads(str(value).strip())
    if isinstance(read, bool) or not isinstance(read, int | float):
        raise ValueError(value)
    return read


_COERCIONS: dict[str, Callable[[Any], Any]] = {
    "string": javascript_text,
    "number": _number,
    "integer": _number,
    "boolean": {"true": True, "false": False, 1: True, 0: False}.__getitem__,
}
