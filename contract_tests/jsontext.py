"""What is odd about a JSON text that parsers read all the same."""

import json
from contextlib import suppress
from typing import Any

Json = Any
_LARGEST = 2**20
"""Bytes of a text that is looked at. Longer ones repeat what shorter ones show."""


class _Repeated(Exception):
    """An object has a key twice."""


def repeated_key(text: bytes | str) -> str | None:
    """A key that an object of a JSON text has twice; None where there is none, or the text is no JSON."""
    if len(text) <= _LARGEST:
        try:
            with suppress(ValueError, RecursionError):
                json.loads(text, object_pairs_hook=_members)
        except _Repeated as found:
            return str(found)
    return None


def _members(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    members = dict(pairs)
    if len(members) < len(pairs):
        names = [name for name, _ in pairs]
        raise _Repeated(next(name for name in names if names.count(name) > 1))
    return members
