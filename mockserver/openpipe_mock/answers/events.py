"""Server-sent events in the form that streams of chat have."""

from typing import Any

import orjson

DONE = b"data: [DONE]\n\n"


def event(data: Any) -> bytes:
    """Return a JSON value as an event."""
    return b"data: " + orjson.dumps(data) + b"\n\n"


def event_data(sent: bytes) -> Any:
    """Return the JSON value of an event, None where it has none."""
    try:
        return orjson.loads(sent.removeprefix(b"data: "))
    except orjson.JSONDecodeError:
        return None
