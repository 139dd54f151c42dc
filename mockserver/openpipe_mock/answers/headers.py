"""Reads the headers that a script or a fault adds to an answer."""

from openpipe_mock.core.canonical import spelled
from openpipe_mock.core.effects import HeaderList
from openpipe_mock.core.reading import At, Json

_OTHERS: dict[str, str] = {
    "content-type": 'write "content_type" of a fault',
    "content-length": "the server counts the bytes; remove it",
    "transfer-encoding": "the server decides it; remove it",
    "connection": "the server decides it; remove it",
    "x-request-id": "the mock numbers its answers; remove it",
}
"""Header → what to do in place of scripting it."""


def read_headers(value: Json, at: At) -> HeaderList:
    """The headers of a part of the config, names in lower case; note in `at` those that can't be given."""
    found = []
    for name, text in value.get("headers", {}).items():
        if name.lower() in _OTHERS:
            at.at("headers", name).wrong("headers", f"this header can't be given: {_OTHERS[name.lower()]}.")
        written = text if isinstance(text, str) else spelled(text).decode()
        found.append((name.lower().encode(), written.encode("latin-1")))
    return tuple(found)
