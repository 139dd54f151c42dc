"""What passes between a reference server and its socket: a request, an answer, and the bytes of an answer."""

import json
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field, replace
from typing import Any

from tests.reference.habits import Habits

Json = Any
Event = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]
App = Callable[[Event, Receive, Send], Awaitable[None]]
"""An ASGI application."""

BASE = "/api/v1"
JUDGE = f"{BASE}/criteria/judge"
CHAT = f"{BASE}/chat/completions"
ENDPOINTS: Mapping[str, str] = {"judge": JUDGE, "chat": CHAT}


@dataclass(frozen=True, slots=True)
class Request:
    """A request; header names are in lower case.

    `names` has them as they were written, `connection` says on which connection they came.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes = b""
    names: frozenset[str] = frozenset()
    connection: object = None

    def json(self) -> Json:
        """The body as JSON, an empty object where it is none."""
        try:
            value = json.loads(self.body)
        except (ValueError, RecursionError):
            return {}
        return value if isinstance(value, dict) else {}


@dataclass(frozen=True, slots=True)
class Answer:
    """What is answered: one JSON value, or the chunks of a stream."""

    status: int
    content: Json = None
    headers: Mapping[str, str] = field(default_factory=dict)
    chunks: tuple[Json, ...] | None = None


@dataclass(frozen=True, slots=True)
class Raw:
    """An answer as bytes; each piece is one write. A stream has no `content-length`."""

    status: int
    headers: Mapping[str, str]
    pieces: tuple[bytes, ...]

    @property
    def body(self) -> bytes:
        return b"".join(self.pieces)

    def says(self, body: bytes, **headers: str) -> "Raw":
        """The same with another body in one piece; the name of a header has `_` for `-`."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        kept = {name: value for name, value in self.headers.items() if name != "content-length"}
        return replace(self, headers={**kept, **named}, pieces=(body,))


def raw(answer: Answer, habits: Habits) -> Raw:
    """The bytes of an answer."""
    if answer.chunks is not None:
        headers = {"content-type": "text/event-stream", "cache-control": "no-cache", **answer.headers}
        return Raw(answer.status, headers, written([*events(answer.chunks, habits)], habits))
    content_type = "application/json; charset=utf-8" if habits.charset else "application/json"
    body = b"" if answer.status == 204 else json.dumps(answer.content, ensure_ascii=False).encode()
    return Raw(answer.status, {"content-type": content_type, **answer.headers}, (body,))


def events(chunks: tuple[Json, ...], habits: Habits) -> list[bytes]:
    """The events of a stream, framed as server-sent events."""
    lines = [json.dumps(chunk, ensure_ascii=False) for chunk in chunks]
    framed = [frame(line, habits) for line in [*lines, *(["[DONE]"] if habits.done else [])]]
    return [frame(": busy", habits, field=""), *framed] if habits.comments else framed


def frame(data: str, habits: Habits, field: str = "data:") -> bytes:
    space = "" if habits.tight or not field else " "
    end = "\r\n" if habits.crlf else "\n"
    return f"{field}{space}{data}{end}{end}".encode()


def written(events: list[bytes], habits: Habits) -> tuple[bytes, ...]:
    """The pieces in which events are written to the socket."""
    if habits.writes == "event":
        return tuple(events)
    whole = b"".join(events)
    step = len(whole) if habits.writes == "all" else 37
    return tuple(whole[start : start + step] for start in range(0, len(whole), step))


async def received(scope: Event, receive: Receive) -> Request:
    """The whole request."""
    body = b""
    while True:
        event = await receive()
        body += event.get("body", b"")
        if not event.get("more_body"):
            break
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
    names = scope.get("names") or [name for name, _ in scope["headers"]]
    written = frozenset(name.decode("latin-1") for name in names)
    return Request(scope["method"], scope["path"], headers, body, written, scope.get("client"))


async def sent(raw: Raw, send: Send, method: str = "POST") -> None:
    """Send an answer; one in a single piece announces its length, unless it does so itself."""
    headers = dict(raw.headers)
    if (
        len(raw.pieces) == 1
        and raw.status != 204
        and "text/event-stream" not in headers.get("content-type", "")
    ):
        headers.setdefault("content-length", str(len(raw.body)))
    listed = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": raw.status, "headers": listed})
    for piece in () if method == "HEAD" else raw.pieces:
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})
