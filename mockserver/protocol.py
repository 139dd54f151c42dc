"""HTTP as uvicorn speaks it, and four things more.

The application may drop a connection without an answer. A request that offers another protocol is served all
the same, body and all; a WebSocket is refused in words. Who sends a request too slowly is not waited for. And
headers that say who asks are one header each, however often they were sent.
"""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from mockserver.app import DROP, WRITE, Api
from mockserver.effects import Exchange, Head, Reply
from mockserver.errors import BadRequest
from mockserver.service import refusal

Header = tuple[bytes, bytes]

LOOK_SECONDS = 60.0
"""How often a connection is looked at. What is idle, or in the middle of a head, at two looks is closed."""
MOST_LOOKS = 5
"""At how many looks a request's body may still be on its way."""
TOLD_ONCE = (b"host", b"origin", b"x-forwarded-for", b"x-real-ip", b"forwarded", b"x-mock-token")
"""Headers by which the guard decides: each value that was sent has to count."""
OPEN = b"/api/"
"""Where nobody is asked who they are."""
OFFERS = (b"upgrade", b"http2-settings", b"connection")
TLS_HANDSHAKE = b"\x16\x03"


def no_websocket(_: Head) -> Exchange:
    """Refuse a WebSocket."""
    told = "the mock speaks no WebSocket, as the API doesn't; send a plain HTTP request."
    reply = refusal(BadRequest.at("header upgrade", told))
    reply.headers = (*reply.headers, (b"connection", b"close"))
    return reply
    yield  # an exchange like the others, which needs nothing


class DroppingProtocol(HttpToolsProtocol):
    """Offers each request the ASGI extension `DROP`."""

    looks = 0
    seen: object = None
    timer: asyncio.TimerHandle | None = None
    running: RequestResponseCycle | None = None
    extensions: dict[str, dict[Any, Any]]
    holds = False
    held: tuple[RequestResponseCycle, Any] | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        # One for all requests: what knows its own request would be garbage that no count of references finds.
        self.extensions = {DROP: {"call": self.drop}, WRITE: {"call": self.write}}
        self.timer = self.loop.call_later(LOOK_SECONDS, self.look)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.timer:
            self.timer.cancel()
        super().connection_lost(exc)
        if self.running:
            self.running.disconnected = True
        self.timer = self.running = None  # they know this connection, and would keep it in memory
        self.extensions = {}

    def look(self) -> None:
        """Close the connection unless something has come since the last look, or is being answered."""
        waits = self.cycle is None or self.cycle.response_complete
        self.looks = self.looks + 1 if self.seen is self.scope else 1
        self.seen = self.scope
        if self.looks > 1 and (waits or (self.cycle.more_body and self.looks > MOST_LOOKS)):
            self.transport.close()
        else:
            self.timer = self.loop.call_later(LOOK_SECONDS, self.look)

    def on_response_complete(self) -> None:
        """Go on to the next request. `look` closes idle connections, at the price of no timer per answer."""
        self.server_state.total_requests += 1
        if not self.transport.is_closing():
            self.flow.resume_reading()
            if self.pipeline:
                self._start_asgi_task(*self.pipeline.pop())

    def data_received(self, data: bytes) -> None:
        self.holds, self.held = True, None
        while data:
            data = self.read(data)
        self.holds = False
        if self.held and not self.answered(*self.held):
            super()._start_asgi_task(*self.held)

    def answered(self, cycle: RequestResponseCycle, app: Any) -> bool:
        """Whether a request was answered at once, which takes that it is here whole."""
        at_once = getattr(app, "at_once", None)
        if not at_once or cycle.more_body or cycle.waiting_for_100_continue or self.flow.write_paused:
            return False
        found = at_once(cycle.scope, bytes(cycle.body))
        if isinstance(found, Reply):
            self.answer(cycle, found)
        elif found:
            super()._start_asgi_task(cycle, found)
        return found is not None

    def answer(self, cycle: RequestResponseCycle, reply: Reply) -> None:
        """Write a whole answer, and leave everything as if uvicorn had sent it."""
        head = [STATUS_LINE[reply.status]]
        for name, value in reply.headers:
            head += (name, b": ", value, b"\r\n")
        head.append(b"content-length: %d\r\n" % len(reply.body))
        head.append(b"\r\n" if cycle.keep_alive else b"connection: close\r\n\r\n")
        head.append(reply.body)
        cycle.response_started = cycle.response_complete = True
        self.transport.write(b"".join(head))
        if not cycle.keep_alive:
            self.transport.close()
        cycle.on_response = nothing
        self.on_response_complete()

    def read(self, data: bytes) -> bytes:
        """Read some bytes; what is returned has to be read again."""
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as offer:
            return self.declined(data[offer.args[0] :])
        except httptools.HttpParserError:
            self.logger.warning("%s", misread(data))
            self.send_400_response(misread(data))
        return b""

    def _should_upgrade(self) -> bool:
        """Never mind the answer: uvicorn asks where the parser won't read a body, and then begins nothing."""
        return True

    def declined(self, rest: bytes) -> bytes:
        """The request that offered another protocol as it is without the offer, and what followed it."""
        if self.parser.get_method() == b"CONNECT":
            self.send_400_response("The mock is no proxy: CONNECT has no answer here.")
            return b""
        offered = self._get_upgrade()
        head = b"".join(plain_head(self.parser, self.url, self.headers))
        self.parser = httptools.HttpRequestParser(self)
        if offered == b"websocket":
            self.app = Api(no_websocket)
            return head
        return head + rest

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP, in the API's words and shape."""
        body = json.dumps({"message": msg, "code": "BAD_REQUEST"}).encode()
        head = (
            b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: %d\r\n"
            b"connection: close\r\n\r\n"
        )
        self.transport.write(head % len(body) + body)
        self.transport.close()

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        if "path" not in self.scope:
            return  # it comes again, without its offer
        self.scope["extensions"] = self.extensions  # the task has been made, but runs only after this
        if not self.url.startswith(OPEN):
            self.headers[:] = joined(self.headers)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self.running = cycle
        if self.holds:  # a task runs later anyway; at the end of these bytes it may turn out to need none
            self.held = cycle, app
        else:
            super()._start_asgi_task(cycle, app)

    def write(self, pieces: list[bytes]) -> bool:
        """Write chunks of the body that is being sent, if it is sent in chunks."""
        cycle = self.running
        if cycle is None or not cycle.chunked_encoding or cycle.scope["method"] == "HEAD":
            return False
        if not cycle.disconnected:
            chunks = [b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces if piece]
            self.transport.write(b"".join(chunks))
        return True

    def drop(self) -> None:
        """Close the connection once what was written is out; uvicorn then misses no answer."""
        if self.running:
            self.running.disconnected = True
        self.transport.close()


def nothing() -> None:
    """In place of what knows the connection, which would make a circle of garbage."""


def misread(data: bytes) -> str:
    """Why bytes are no request."""
    hint = " It begins like https, and the mock speaks http here." if data[:2] == TLS_HANDSHAKE else ""
    return f"Invalid HTTP request received.{hint}"


def plain_head(parser: Any, url: bytes, headers: list[Header]) -> Iterator[bytes]:
    """The head of a request, in pieces, without the offer of another protocol."""
    yield b"%b %b HTTP/%b\r\n" % (parser.get_method(), url, parser.get_http_version().encode())
    for name, value in headers:
        if name not in OFFERS:
            yield b"%b: %b\r\n" % (name, value)
        elif name == b"connection" and b"close" in value.lower():
            yield b"connection: close\r\n"
    yield b"\r\n"


def joined(headers: list[Header]) -> list[Header]:
    """The same headers, where those that tell who asks stand once each, with all that was sent."""
    names = [name for name, _ in headers if name in TOLD_ONCE]
    if len(names) == len(set(names)):
        return headers
    sent = {each: b", ".join(value for name, value in headers if name == each) for each in names}
    return [*((name, value) for name, value in headers if name not in sent), *sent.items()]
