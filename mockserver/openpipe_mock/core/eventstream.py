"""A reader of server-sent events that follows the standard: any line end, comments, data of several lines."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

_LINE_END = re.compile(rb"\r\n|\n|\r")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
DONE_DATA = "[DONE]"


@dataclass(frozen=True, slots=True)
class Event:
    """One event: its data, with lines joined by line feeds, and its name."""

    data: str
    name: str = "message"


@dataclass(frozen=True, slots=True)
class EventStream:
    """All events of a body. `unfinished`: it ended within a further event, which the standard drops."""

    events: tuple[Event, ...]
    unfinished: bool = False


@dataclass(slots=True)
class _Pending:
    """The event that is being read."""

    data: list[str] = field(default_factory=list)
    name: str = ""

    def take(self, line: bytes) -> None:
        """Read a line that is neither blank nor a comment. Only the fields `data` and `event` count."""
        name, _, value = line.partition(b":")
        text = value.removeprefix(b" ").decode("utf-8", "replace")
        if name == b"data":
            self.data.append(text)
        elif name == b"event":
            self.name = text


def read_events(body: bytes) -> EventStream:
    """The events of a body. Bytes that are no UTF-8 become U+FFFD, as the standard says."""
    *lines, rest = _LINE_END.split(body.removeprefix(_BYTE_ORDER_MARK))
    events, pending = [], _Pending()
    for line in lines:
        if line and not line.startswith(b":"):
            pending.take(line)
        elif not line:
            if pending.data:
                events.append(Event("\n".join(pending.data), pending.name or "message"))
            pending = _Pending()
    if rest and not rest.startswith(b":"):
        pending.take(rest)
    return EventStream(tuple(events), bool(pending.data))


def event_ends(body: bytes) -> Iterator[int]:
    """Yield, for each event of a body that has data, the number of bytes up to its end."""
    start, has_data = 0, False
    for end in _LINE_END.finditer(body):
        name, _, value = body[start : end.start()].removeprefix(_BYTE_ORDER_MARK).partition(b":")
        start = end.end()
        if name or value:
            has_data = has_data or (name == b"data" and bool(value.strip()))
        elif has_data:
            yield start
            has_data = False
