"""Turn scalars into other JSON types as the service's own runtime (JavaScript) does in lenient mode."""

import re
from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from typing import Any

import orjson

from openpipe_mock.openapi.violations import JSON_TYPES


def javascript_text(value: int | float) -> str:
    """Write a number or boolean as JavaScript's `String()` does: `true`, `1`, `1.5`, `1e+21`, `1e-7`."""
    if isinstance(value, bool):
        return str(value).lower()
    number = float(value)
    if 1e-6 <= abs(number) < 1e21:
        return format(Decimal(repr(number)), "f").removesuffix(".0")
    return re.sub(r"e([+-])0", r"e\1", repr(number)) if number else "0"


def coerced(value: Any, wanted: tuple[str, ...]) -> Any:
    """Turn a scalar into the first wanted JSON type that is possible; other values are returned unchanged."""
    if isinstance(value, str | int | float) and not any(JSON_TYPES[name](value) for name in wanted):
        for name in wanted:
            with suppress(KeyError, ValueError, OverflowError):
                return _COERCIONS[name](value)
    return value


def _number(value: str | int | float) -> int | float:
    """The number that a string spells in JSON. Raises ValueError for other strings."""
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
