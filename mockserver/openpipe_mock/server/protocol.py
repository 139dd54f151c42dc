"""HTTP as uvicorn speaks it, and five things more.

The application may drop a connection without an answer. A request that offers another protocol is served all
the same, body and all; a WebSocket is refused in words. Who sends a request too slowly is not waited for.
Headers that say who asks are one header each, however often they were sent, and none comes behind a body. And
no head is longer than memory allows.
"""

import asyncio
import json
from collections import deque
from collections.abc import Collection, Iterator
from typing import Any

import httptools
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from openpipe_mock.core.effects import Effects, Head, Reply
from openpipe_mock.core.errors import BadRequest
from openpipe_mock.server.asgi import DROP, WRITE, Api
from openpipe_mock.service.refusals import refusal

_Header = tuple[bytes, bytes]

_LOOK_SECONDS = 60.0
"""How often a connection is looked at. What is idle, or in the middle of a head, at two looks is closed."""
MOST_LOOKS = 5
"""At how many looks a request's body may still be on its way."""
MOST_HEAD = 131_072
"""Bytes of a request's line and headers."""
_TOO_LONG = f"The head of this request has more than {MOST_HEAD} bytes; send fewer or shorter headers."
_TOLD_ONCE = (b"host", b"origin", b"x-forwarded-for", b"x-real-ip", b"forwarded", b"x-mock-token")
"""Headers by which the guard decides: each value that was sent has to count."""
_OPEN = b"/api/"
"""Where nobody is asked who they are."""
_NOWHERE: Any = deque(maxlen=0)
"""Where headers go that come behind a body: nobody looks at them, so none may count."""
_OFFERS = (b"upgrade", b"http2-settings", b"connection")
_TLS_HANDSHAKE = b"\x16\x03"


def _no_websocket(_: Head) -> Effects:
    """Refuse a WebSocket."""
    told = "the mock speaks no WebSocket, as the API doesn't; send a plain HTTP request."
    reply = refusal(BadRequest.at("header upgrade", told))
    reply.headers = (*reply.headers, (b"connection", b"close"))
    return reply
    yield  # an exchange like the others, which needs nothing


class _Flow(FlowControl):
    """Reads nothing more while requests wait for their turn: else they might fill the memory."""

    def __init__(self, transport: asyncio.Transport, waiting: Collection[Any]) -> None:
        super().__init__(transport)
        self.waiting = waiting

    def resume_reading(self) -> None:
        if not self.waiting:
            super().resume_reading()


class HeadTooLong(Exception):
    """More headers than anybody needs."""


class DroppingProtocol(HttpToolsProtocol):
    """Offers each request the ASGI extensions `DROP` and `WRITE`, and asks the app for its answer at once.

    `running`: the request that is being answered. `held`: one that these bytes completed, while they are
    read. `unfinished`: the scope of a head that goes on in the next bytes, and `so_far` how many came of it.
    """

    looks = 0
    seen: object = None
    timer: asyncio.TimerHandle | None = None
    running: RequestResponseCycle | None = None
    extensions: dict[str, dict[Any, Any]]
    holds = False
    held: tuple[RequestResponseCycle, Any] | None = None
    unfinished: object = None
    so_far = 0
    arrived = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.flow = _Flow(transport, self.pipeline)
        # One for all requests: what knows its own request would be garbage that no count of references finds.
        self.extensions = {DROP: {"call": self.drop}, WRITE: {"call": self.write}}
        self.timer = self.loop.call_later(_LOOK_SECONDS, self.look)

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
            self.timer = self.loop.call_later(_LOOK_SECONDS, self.look)

    def on_response_complete(self) -> None:
        """Go on to the next request. `look` closes idle connections, at the price of no timer per answer."""
        self.server_state.total_requests += 1
        if not self.transport.is_closing():
            self.flow.resume_reading()
            if self.pipeline:
                self.running, app = self.pipeline.pop()
                self._start_asgi_task(self.running, app)

    def data_received(self, data: bytes) -> None:
        self.holds, self.held, self.arrived = True, None, len(data)
        while data:
            data = self.read(data)
        self.settle()
        if self.scope and "method" not in self.scope:
            self.go_on_with_head(self.scope)

    def settle(self) -> None:
        """Answer the request that was held, or begin its task."""
        self.holds = False
        held, self.held = self.held, None
        if held and not self.answered(*held):
            self.begin_task(*held)

    def go_on_with_head(self, scope: object) -> None:
        """Note that the bytes ended in the middle of a head, and refuse one without an end."""
        self.so_far = self.so_far + self.arrived if scope is self.unfinished else 0
        self.unfinished = scope
        if self.so_far > MOST_HEAD and not self.transport.is_closing():
            self.logger.warning(_TOO_LONG)
            self.send_400_response(_TOO_LONG)

    def begin_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        task = self.loop.create_task(cycle.run_asgi(app))
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)

    def answered(self, cycle: RequestResponseCycle, app: Any) -> bool:
        """Whether a request was answered at once, which takes that it is here whole."""
        at_once = getattr(app, "at_once", None)
        if not at_once or cycle.more_body or cycle.waiting_for_100_continue or self.flow.write_paused:
            return False
        found = at_once(cycle.scope, bytes(cycle.body))
        if isinstance(found, Reply):
            self.answer(cycle, found)
        elif found:
            self.begin_task(cycle, found)
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
        cycle.on_response = _nothing
        self.on_response_complete()

    def read(self, data: bytes) -> bytes:
        """Read some bytes; what is returned has to be read again."""
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as offer:
            return self.declined(data[offer.args[0] :])
        except httptools.HttpParserError as error:
            told = _TOO_LONG if isinstance(error.__context__, HeadTooLong) else _misread(data)
            self.logger.warning("%s", told)
            self.settle()  # what came before has its answer
            if not self.transport.is_closing():
                self.send_400_response(told)
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
        head = b"".join(_plain_head(self.parser, self.url, self.headers))
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn has it
        if offered == b"websocket":
            self.app = Api(_no_websocket)
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
        if (self.arrived > MOST_HEAD or self.unfinished is self.scope) and self.head_size() > MOST_HEAD:
            raise HeadTooLong
        super().on_headers_complete()
        if "path" not in self.scope:
            return  # it comes again, without its offer
        self.scope["extensions"] = self.extensions  # the task has been made, but runs only after this
        if not self.url.startswith(_OPEN):
            self.headers[:] = joined(self.headers)
        if not self.pipeline:
            self.running = self.cycle  # it has its task, or is held
        self.headers = _NOWHERE

    def head_size(self) -> int:
        """The bytes of the head that was read, roughly."""
        return len(self.url) + sum(len(name) + len(value) + len(b": \r\n") for name, value in self.headers)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        if self.holds:  # a task runs later anyway; at the end of these bytes it may turn out to need none
            self.held = cycle, app
        else:
            self.begin_task(cycle, app)

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


def _nothing() -> None:
    """In place of what knows the connection, which would make a circle of garbage."""


def _misread(data: bytes) -> str:
    """Why bytes are no request."""
    hint = " It begins like https, and the mock speaks http here." if data[:2] == _TLS_HANDSHAKE else ""
    return f"Invalid HTTP request received.{hint}"


def _plain_head(parser: Any, url: bytes, headers: list[_Header]) -> Iterator[bytes]:
    """The head of a request, in pieces, without the offer of another protocol."""
    yield b"%b %b HTTP/%b\r\n" % (parser.get_method(), url, parser.get_http_version().encode())
    for name, value in headers:
        if name not in _OFFERS:
            yield b"%b: %b\r\n" % (name, value)
        elif name == b"connection" and b"close" in value.lower():
            yield b"connection: close\r\n"
    yield b"\r\n"


def joined(headers: list[_Header]) -> list[_Header]:
    """The same headers, where those that tell who asks stand once each, with all that was sent."""
    names = [name for name, _ in headers if name in _TOLD_ONCE]
    if len(names) == len(set(names)):
        return headers
    sent = {each: b", ".join(value for name, value in headers if name == each) for each in names}
    return [*((name, value) for name, value in headers if name not in sent), *sent.items()]
