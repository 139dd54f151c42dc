"""uvicorn's HTTP protocol, changed to answer faster and to refuse more.

- The app may drop a connection without an answer, and write several chunks of a body at once.
- A request that is here whole is answered in the callback that read it, without a task.
- A request that offers another protocol (h2c) is served without it; a WebSocket is refused with 400.
- A connection that is idle, or too slow in sending a request, is closed.
- Trailers are dropped.
- A request's line and headers have at most `MOST_HEAD` bytes.
- A body has no coding but `chunked`; a chunk counts as soon as its size is announced (`ANNOUNCED`).

It overrides private members of uvicorn, whose minor version is bound for that reason.
"""

import asyncio
import json
import re
from collections import deque
from collections.abc import Collection, Iterator
from typing import Any

import httptools
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from openpipe_mock.core.effects import Effects, Head, Reply
from openpipe_mock.core.errors import BadRequest
from openpipe_mock.server.transport import ANNOUNCED, DROP, WRITE, ExchangeApp
from openpipe_mock.service.refusals import refusal

_Header = tuple[bytes, bytes]

_LOOK_SECONDS = 60.0
"""How often a connection is looked at. One that is idle, or amid a head, at two looks is closed."""
MOST_LOOKS = 5
"""How many looks at the same request may find its body still on its way."""
MOST_HEAD = 131_072
"""Bytes of a request's line and headers."""
_TOO_LONG = f"The head of this request has more than {MOST_HEAD} bytes; send fewer or shorter headers."
_CODED = "The mock reads bodies with `Transfer-Encoding: chunked` and with no other coding; send it plain."
_NOWHERE: Any = deque(maxlen=0)
"""Takes the headers that come behind a body (trailers) and drops them."""
_LONGEST_SIZE = 64
"""Bytes of the line of a chunk's size that may be divided over several reads."""
_SIZE = re.compile(rb"([0-9A-Fa-f]+)[ \t]*(?:;.*)?\r")
_OFFERS = (b"upgrade", b"http2-settings", b"connection")
_TLS_HANDSHAKE = b"\x16\x03"


class DroppingProtocol(HttpToolsProtocol):
    """uvicorn's protocol with the changes that this module lists; offers `DROP`, `WRITE` and `ANNOUNCED`.

    `checks`: how often `look` has found the scope `checked`. `running`: the request that is being answered.
    `is_reading`: bytes are being read; `ready`: a request that came whole in them. `open_head`: the scope of
    a head that goes on in the next bytes; `open_bytes`: its bytes before these. `new_bytes`: those now read.
    `chunk_bytes`: how much of a chunk of `chunk_size` was read, None between chunks; `bytes_to_come`: what is
    missing of it. `last_bytes`: the end of the bytes before these, where the line of a size may begin.
    """

    checks = 0
    checked: object = None
    timer: asyncio.TimerHandle | None = None
    running: RequestResponseCycle | None = None
    extensions: dict[str, dict[Any, Any]]
    is_reading = False
    ready: tuple[RequestResponseCycle, Any] | None = None
    open_head: object = None
    open_bytes = 0
    new_bytes = 0
    chunk_bytes: int | None = None
    chunk_size: int | None = None
    bytes_to_come = 0
    last_bytes = b""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.flow = _Flow(transport, self.pipeline)
        # One for all requests: functions that refer to their own request would be cycles of garbage.
        calls = {DROP: self.drop, WRITE: self.write, ANNOUNCED: lambda: self.bytes_to_come}
        self.extensions = {name: {"call": call} for name, call in calls.items()}
        self.timer = self.loop.call_later(_LOOK_SECONDS, self.look)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.timer:
            self.timer.cancel()
        super().connection_lost(exc)
        if self.running:
            self.running.disconnected = True
        self.timer = self.running = None  # they refer to this connection, and would keep it in memory
        self.extensions = {}

    def look(self) -> None:
        """Close the connection, unless a request has come since the last look or is being answered."""
        waits = self.cycle is None or self.cycle.response_complete
        self.checks = self.checks + 1 if self.checked is self.scope else 1
        self.checked = self.scope
        if self.checks > 1 and (waits or (self.cycle.more_body and self.checks > MOST_LOOKS)):
            self.transport.close()
        else:
            self.timer = self.loop.call_later(_LOOK_SECONDS, self.look)

    def on_response_complete(self) -> None:
        """Go on to the next request."""
        # uvicorn would set a timer here to close an idle connection. `look` does that once a minute: it took
        # a judgement's share of a bare app's rate from 0.75 to 0.80 (docs/performance.md).
        self.server_state.total_requests += 1
        if not self.transport.is_closing():
            self.flow.resume_reading()
            if self.pipeline:
                self.running, app = self.pipeline.pop()
                self._start_asgi_task(self.running, app)

    def data_received(self, data: bytes) -> None:
        self.is_reading, self.ready, self.new_bytes = True, None, len(data)
        while data:
            data = self.read(data)
        self.answer_ready()
        if self.scope and "method" not in self.scope:
            self.count_head(self.scope)

    def answer_ready(self) -> None:
        """Answer the request that is ready, or begin its task."""
        self.is_reading = False
        ready, self.ready = self.ready, None
        if ready and not self.answer_at_once(*ready):
            self.begin_task(*ready)

    def count_head(self, scope: object) -> None:
        """Count the bytes of a head that isn't complete, and refuse one that is too long."""
        self.open_bytes = self.open_bytes + self.new_bytes if scope is self.open_head else 0
        self.open_head = scope
        if self.open_bytes > MOST_HEAD and not self.transport.is_closing():
            self.logger.warning(_TOO_LONG)
            self.send_400_response(_TOO_LONG)

    def begin_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        task = self.loop.create_task(cycle.run_asgi(app))
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)

    def answer_at_once(self, cycle: RequestResponseCycle, app: Any) -> bool:
        """Answer a request without a task, if it is here whole; returns whether it was answered or begun."""
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
        """Write a whole answer, and leave the cycle as if uvicorn had sent it."""
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
        """Feed bytes to the parser; returns the bytes that have to be read again."""
        try:
            self.parser.feed_data(data)
            self.count_chunk(data)
        except httptools.HttpParserUpgrade as offer:
            return self.without_offer(data[offer.args[0] :])
        except httptools.HttpParserError as error:
            told = str(error.__context__) if isinstance(error.__context__, _Refused) else _misread(data)
            self.logger.warning("%s", told)
            self.answer_ready()  # the request before it is answered first
            if not self.transport.is_closing():
                self.send_400_response(told)
        return b""

    def on_chunk_header(self) -> None:
        self.chunk_bytes, self.chunk_size = 0, None

    def on_chunk_complete(self) -> None:
        self.chunk_bytes, self.bytes_to_come = None, 0

    def on_body(self, body: bytes) -> None:
        if self.chunk_bytes is not None:
            self.chunk_bytes += len(body)
        super().on_body(body)

    def count_chunk(self, data: bytes) -> None:
        """Count what is missing of the chunk that these bytes end in, and tell who waits for the body."""
        if self.chunk_bytes is None:
            is_open = self.cycle is not None and self.cycle.more_body
            self.last_bytes = (self.last_bytes + data)[-_LONGEST_SIZE:] if is_open else b""
            return
        if self.chunk_size is None:
            # The parser doesn't tell the size. Its line ends before the bytes of the chunk, which come last.
            lines = (self.last_bytes + data[: len(data) - self.chunk_bytes]).split(b"\n")
            found = _SIZE.fullmatch(lines[-2]) if len(lines) > 2 else None
            self.chunk_size = int(found[1], 16) if found else 0
        self.bytes_to_come = max(0, self.chunk_size - self.chunk_bytes)
        self.cycle.message_event.set()

    def _should_upgrade(self) -> bool:
        """Have uvicorn begin no request that offers another protocol: it is read again `without_offer`."""
        return True

    def without_offer(self, rest: bytes) -> bytes:
        """The bytes of a request without its offer of another protocol, and those behind it."""
        if self.parser.get_method() == b"CONNECT":
            self.send_400_response("The mock is no proxy: CONNECT has no answer here.")
            return b""
        offered = self._get_upgrade()
        head = b"".join(_plain_head(self.parser, self.url, self.headers))
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn has it
        if offered == b"websocket":
            self.app = ExchangeApp(_no_websocket)
            return head
        return head + rest

    def send_400_response(self, msg: str) -> None:
        """Answer 400 in the API's shape, and close the connection."""
        body = json.dumps({"message": msg, "code": "BAD_REQUEST"}).encode()
        head = (
            b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: %d\r\n"
            b"connection: close\r\n\r\n"
        )
        self.transport.write(head % len(body) + body)
        self.transport.close()

    def on_headers_complete(self) -> None:
        if (self.new_bytes > MOST_HEAD or self.open_head is self.scope) and self.head_size() > MOST_HEAD:
            raise _Refused(_TOO_LONG)
        codings = [value for name, value in self.headers if name == b"transfer-encoding"]
        if codings and b", ".join(codings).strip().lower() != b"chunked":
            raise _Refused(_CODED)
        super().on_headers_complete()
        if "path" not in self.scope:
            return  # the request is read again, without its offer
        self.scope["extensions"] = self.extensions  # in time: its task, if it has one, hasn't run yet
        if not self.pipeline:
            self.running = self.cycle  # else it waits in the pipeline
        self.headers = _NOWHERE

    def head_size(self) -> int:
        """The bytes of the head that was read, without those of the line's method and version."""
        return len(self.url) + sum(len(name) + len(value) + len(b": \r\n") for name, value in self.headers)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        if self.is_reading:  # once these bytes are read, the request may be whole and need no task
            self.ready = cycle, app
        else:
            self.begin_task(cycle, app)

    def write(self, pieces: list[bytes]) -> bool:
        """The extension `WRITE`: write chunks of the body that is being sent, if it is sent in chunks."""
        cycle = self.running
        if cycle is None or not cycle.chunked_encoding or cycle.scope["method"] == "HEAD":
            return False
        if not cycle.disconnected:
            chunks = [b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces if piece]
            self.transport.write(b"".join(chunks))
        return True

    def drop(self) -> None:
        """The extension `DROP`: close the connection once what was written is out."""
        if self.running:
            self.running.disconnected = True  # else uvicorn would complain that there is no answer
        self.transport.close()


def _no_websocket(_: Head) -> Effects:
    """The exchange that refuses a WebSocket."""
    told = "the mock speaks no WebSocket, as the API doesn't; send a plain HTTP request."
    reply = refusal(BadRequest.at("header upgrade", told))
    reply.headers = (*reply.headers, (b"connection", b"close"))
    return reply
    yield  # makes this a generator, as an exchange is


class _Flow(FlowControl):
    """Flow control that reads no more while pipelined requests wait, which might fill the memory."""

    def __init__(self, transport: asyncio.Transport, waiting: Collection[Any]) -> None:
        super().__init__(transport)
        self.waiting = waiting

    def resume_reading(self) -> None:
        if not self.waiting:
            super().resume_reading()


class _Refused(Exception):
    """A request isn't read further; the message says why."""


def _nothing() -> None:
    """A callback in place of one that refers to the connection, which would be a cycle of garbage."""


def _misread(data: bytes) -> str:
    """The message about bytes that are no request."""
    hint = " It begins like https, and the mock speaks http here." if data[:2] == _TLS_HANDSHAKE else ""
    return f"Invalid HTTP request received.{hint}"


def _plain_head(parser: Any, url: bytes, headers: list[_Header]) -> Iterator[bytes]:
    """The head of a request, line by line, without the offer of another protocol."""
    yield b"%b %b HTTP/%b\r\n" % (parser.get_method(), url, parser.get_http_version().encode())
    for name, value in headers:
        if name not in _OFFERS:
            yield b"%b: %b\r\n" % (name, value)
        elif name == b"connection" and b"close" in value.lower():
            yield b"connection: close\r\n"
    yield b"\r\n"
