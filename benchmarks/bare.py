"""The measure: an ASGI app that does no more than it must, on uvicorn with uvloop and httptools."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[Scope]]
Send = Callable[[Scope], Awaitable[None]]

ANSWER = b'{"score":0.5,"explanation":"' + b"x" * 570 + b'"}'
"""600 bytes."""
JSON = (b"content-type", b"application/json")
HEADERS = [JSON, (b"content-length", b"%d" % len(ANSWER))]
EVENTS: list[bytes] = []
"""The pieces of the stream that this app sends; `load` reads them from the mock's own."""


async def read(receive: Receive) -> bytes:
    """The body of a request."""
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Read the body, `json.loads` it, answer 600 bytes; a stream where the path asks for one."""
    if scope["type"] != "http":
        return
    json.loads(await read(receive) or b"null")
    if scope["path"] == "/stream":
        await stream(send)
        return
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": ANSWER})


async def stream(send: Send) -> None:
    """The mock's stream of 200 chunks, the same bytes in the same pieces."""
    from benchmarks.scenes import stream_pieces

    if not EVENTS:
        EVENTS.extend(stream_pieces())
    headers = [(b"content-type", b"text/event-stream; charset=utf-8")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for event in EVENTS:
        await send({"type": "http.response.body", "body": event, "more_body": True})
    await send({"type": "http.response.body"})
