"""Spellings: ways to write the same JSON."""

import json
from collections.abc import Callable
from typing import Any

import orjson

Json = Any
Spelling = Callable[[Json], bytes]
"""Takes a value, returns its JSON."""

compact: Spelling = orjson.dumps


def spaced(value: Json) -> bytes:
    """With a line for each member, and blanks around colons."""
    return json.dumps(value, ensure_ascii=False, indent=1, separators=(" ,", " : ")).encode()


def escaped(value: Json) -> bytes:
    """With escapes for slashes and for all that isn't ASCII."""
    return json.dumps(value, separators=(",", ":")).replace("/", "\\/").encode()


def members_reversed(value: Json) -> bytes:
    """With the members of each object in reverse."""
    return orjson.dumps(_reversed(value))


def _reversed(value: Json) -> Json:
    if isinstance(value, dict):
        return {name: _reversed(value[name]) for name in reversed(value)}
    return [_reversed(item) for item in value] if isinstance(value, list) else value


def in_event(spelled: bytes) -> bytes:
    """An event with this JSON in one line."""
    # Within JSON a line feed can only be a blank: in texts it is escaped.
    return b"data: " + spelled.replace(b"\n", b" ") + b"\n\n"
