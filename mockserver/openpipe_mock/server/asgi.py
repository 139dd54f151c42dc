"""The ASGI app: carries requests to the service and the control API, and their replies back."""

import asyncio
import logging
import re
from collections.abc import Callable
from functools import partial
from os import urandom
from time import perf_counter, time
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from openpipe_mock.config.settings import Settings
from openpipe_mock.control import page
from openpipe_mock.control.api import Control
from openpipe_mock.control.guard import Guard
from openpipe_mock.core.effects import (
    Begin,
    Break,
    Effect,
    Effects,
    Entropy,
    Head,
    Headers,
    Now,
    Piece,
    ReadBody,
    Reply,
    Tick,
    Wait,
)
from openpipe_mock.core.errors import Forbidden, MethodNotSupported
from openpipe_mock.openapi.endpoints import BASE, is_control, not_found
from openpipe_mock.service.admission import LOCAL_ORIGIN
from openpipe_mock.service.fast_lane import FastLane
from openpipe_mock.service.refusals import crash, refusal
from openpipe_mock.service.service import Service
from openpipe_mock.sessions.journal import discreet, sent_token

_requests = logging.getLogger("openpipe_mock.requests")
"""One line for each request, at INFO."""
_notes = logging.getLogger("openpipe_mock.notes")
"""Advice on requests that were served all the same, at WARNING."""

_PIECES_A_TURN = 32
_MOST_BYTES_A_TURN = 65_536
"""Pieces and bytes of a stream that are sent, after its first piece, before other tasks have their turn.

32 pieces at a time took a stream's share of a bare app's rate from 0.5 to above 1 (docs/performance.md).
"""
_ticking = partial(perf_counter)
"""The clock of `Head.at`. A partial, since freezegun stops the clocks of `time` that it finds in modules."""
DROP = "openpipe_mock.drop"
"""The ASGI extension by which a server offers to drop the connection: `{"call": a function}`."""
WRITE = "openpipe_mock.write"
"""The ASGI extension by which a server offers to write several chunks of a body at once.

`{"call": a function}`, which takes a list of chunks and returns whether it wrote them.
"""


class ClientGone(Exception):
    """The client hung up before its request was complete; there is nobody to answer."""


class _Dropped(Exception):
    """Raised through the app to break the connection, on servers without the extension `DROP`."""


class Api:
    """An ASGI app that answers by `exchange`. `quiet`: its requests get no line in the log."""

    def __init__(self, exchange: Callable[[Head], Effects], *, quiet: bool = False) -> None:
        self.exchange = exchange
        self.quiet = quiet

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        head = _head_of(scope, dict(scope["headers"]), _ticking())
        await self.carry(head, self.exchange(head), scope, receive, send)

    async def carry(self, head: Head, exchange: Effects, scope: Scope, receive: Receive, send: Send) -> None:
        """Carry an exchange out, and log the request's line and its notes."""
        transport = Transport(scope, receive, send)
        try:
            reply = await transport.carry(exchange)
        except ClientGone:
            reply = _HUNG_UP
        except _Dropped:
            raise
        except Exception as error:
            reply = _defect(error, head)
            if transport.begun:  # the stream has begun: breaking it off is all that is left
                raise
            await _send_reply(reply, send)
        if not self.quiet:
            _note(head, reply)


class _ServiceApi(Api):
    """The service as an ASGI app, which can also answer without a task: see `at_once`."""

    def __init__(self, service: Service) -> None:
        super().__init__(service.exchange)
        self.service = service
        self.fast_lane = FastLane(service)

    def at_once(self, scope: Scope, body: bytes) -> Reply | ASGIApp | None:
        """The reply to a request whose body is here whole, or an app that goes on where time has to pass.

        None, and nothing done, for a request that needs the ASGI call.
        """
        # A task and its messages cost most requests more than their answer does: without them a judgement's
        # share of a bare app's rate rose from 0.55 to 0.75 (docs/performance.md).
        headers, at, most = dict(scope["headers"]), _ticking(), self.service.settings.max_body_bytes
        if scope["method"] != "POST" or b"origin" in headers or len(body) > most:
            return None
        head = _head_of(scope, headers, at)
        try:
            reply = self.fast_lane.answer(head, body, _ticking)
        except Exception as error:
            reply = _defect(error, head)
        if not isinstance(reply, Reply):
            return partial(self.carry, head, reply)
        if reply.notes or _requests.isEnabledFor(logging.INFO):
            _note(head, reply)
        return reply


def _head_of(scope: Scope, headers: Headers, at: float) -> Head:
    return Head(scope["method"], scope["path"], headers, scope.get("query_string", b""), at, _peer(scope))


_HUNG_UP = Reply(0, b"", subject="the client hung up")


def _defect(error: Exception, head: Head) -> Reply:
    """The reply to a defect of ours; logs its traceback."""
    [path] = discreet(sent_token(head.headers), head.path)
    logging.getLogger("openpipe_mock").error("%s %s failed", head.method, _printable(path), exc_info=error)
    return crash()


class Transport:
    """Carries out the effects of one request's exchange by ASGI messages.

    `begun`: status and headers were sent. `broken`: the connection was dropped. `leaving`: done as soon as
    the client hangs up. `drop` and `write`: the server's extensions, None where it has none. `pieces` of a
    stream are gathered and sent `most_pieces` at a time; `size` is their bytes.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.receive = receive
        self.send = send
        extensions = scope.get("extensions", {})
        self.drop = extensions.get(DROP, {}).get("call")
        self.write = extensions.get(WRITE, {}).get("call")
        self.begun = False
        self.broken = False
        self.pieces: list[bytes] = []
        self.size = 0
        self.most_pieces = 1  # nobody waits for the first
        self.leaving: asyncio.Future[Any] | None = None

    async def carry(self, exchange: Effects) -> Reply:
        """Run an exchange to its end and send its reply. Raises ClientGone, _Dropped, and defects of ours."""
        try:
            effect = next(exchange)
            while True:
                # The effects of most requests are carried out here: a coroutine for each would cost more.
                if isinstance(effect, Piece):
                    self.pieces.append(effect.data)
                    self.size += len(effect.data)
                    if len(self.pieces) >= self.most_pieces or self.size >= _MOST_BYTES_A_TURN:
                        await self.flush()
                    effect = exchange.send(None)
                    continue
                if self.pieces:
                    await self.flush()
                if isinstance(effect, ReadBody):
                    effect = exchange.send(await _read(self.receive, effect.limit))
                elif isinstance(effect, Tick):
                    effect = exchange.send(_ticking())
                else:
                    effect = exchange.send(await self.perform(effect))
        except StopIteration as stop:
            reply: Reply = stop.value
        finally:
            exchange.close()
            if self.leaving:
                self.leaving.cancel()
        if self.pieces:
            await self.flush()
        if self.begun and not self.broken:
            await self.send({"type": "http.response.body"})
        elif not self.broken:
            await _send_reply(reply, self.send)
        return reply

    async def flush(self) -> None:
        """Send the gathered pieces, each as a chunk of its own, and give other tasks their turn."""
        if self.hung_up():
            raise ClientGone
        *earlier, last = self.pieces
        if earlier and not (self.write and self.write(earlier)):
            for piece in earlier:
                await self.send({"type": "http.response.body", "body": piece, "more_body": True})
        # This one waits for slow readers.
        await self.send({"type": "http.response.body", "body": last, "more_body": True})
        self.pieces, self.size, self.most_pieces = [], 0, _PIECES_A_TURN
        await asyncio.sleep(0)  # a send that doesn't wait would never let the loop see a client leave

    async def perform(self, effect: Effect) -> Any:
        """Carry out one effect; its result goes back into the exchange."""
        match effect:
            case Begin():
                await self.begin(effect)
            case Wait():
                await self.stay(effect.seconds)
            case Break():
                await self.break_off()
            case Now():
                return time()
            case Entropy():
                return urandom(effect.size)

    async def begin(self, effect: Begin) -> None:
        """Send status and headers."""
        self.begun = True
        headers = list(effect.headers)
        await self.send({"type": "http.response.start", "status": effect.status, "headers": headers})

    async def break_off(self) -> None:
        """Drop the connection. Raises _Dropped where only a crash in mid-answer makes the server do so."""
        self.broken = True
        if self.drop:
            self.drop()
            return
        if not self.begun:
            await self.begin(Begin(200, ((b"content-length", b"1"),)))
            await self.send({"type": "http.response.body", "more_body": True})  # servers put off bare headers
        raise _Dropped("the connection breaks on purpose")

    async def stay(self, seconds: float) -> None:
        """Wait so many seconds. Raises ClientGone as soon as the client hangs up."""
        if not self.hung_up() and self.leaving:
            await asyncio.wait((self.leaving,), timeout=seconds)
        if self.hung_up():
            raise ClientGone

    def hung_up(self) -> bool:
        """Whether the client has left, as far as the event loop has seen: it needs a turn to notice."""
        if self.leaving is None:
            self.leaving = asyncio.ensure_future(_departure(self.receive))
        return self.leaving.done()


async def _departure(receive: Receive) -> None:
    """Return once the client has hung up; drops the rest of its request."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _read(receive: Receive, limit: int) -> bytes | None:
    """The request's body, or None once it has more than `limit` bytes; the rest stays unread."""
    message = await receive()
    body: bytes = message.get("body", b"")
    if message["type"] == "http.request" and not message.get("more_body", False):
        return body if len(body) <= limit else None
    chunks, length = [], 0
    while True:
        if message["type"] == "http.disconnect":
            raise ClientGone
        chunks.append(message.get("body", b""))
        length += len(chunks[-1])
        if length > limit:
            return None
        if not message.get("more_body", False):
            return b"".join(chunks)
        message = await receive()


async def _send_reply(reply: Reply, send: Send) -> None:
    length = (b"content-length", b"%d" % len(reply.body))
    await send({"type": "http.response.start", "status": reply.status, "headers": [*reply.headers, length]})
    await send({"type": "http.response.body", "body": reply.body})


def _note(head: Head, reply: Reply) -> None:
    """Write the request's line and its notes to the log."""
    heard = _requests.isEnabledFor(logging.INFO)
    if not heard and not reply.notes:
        return
    path, subject, *told = discreet(sent_token(head.headers), head.path, reply.subject, *reply.notes)
    if heard:
        milliseconds = (_ticking() - head.at) * 1000
        line = (head.method, _printable(path), reply.status, _printable(subject), milliseconds)
        _requests.info("%s %s %d  %s  %.1f ms", *line)
    for text in told:
        _notes.warning("%s: %s", _printable(path), _printable(text))


def _printable(text: str) -> str:
    """A client's text made safe for a terminal: no control characters, at most 300 characters."""
    if not text.isprintable():
        text = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
    return text if len(text) <= 300 else f"{text[:300]}…"


class App:
    """The whole mock as one ASGI app: the API, the page at `/` and the control API under `/_mock/`.

    `guard` decides who may use the last two, by default this machine alone. Requests with the origin of a
    local page pass through Starlette's CORS middleware; other origins get no CORS headers.
    """

    def __init__(self, service: Service, guard: Guard) -> None:
        self.api = _ServiceApi(service)
        self.controls = Api(Control(service, guard).exchange, quiet=True)
        self.site = Starlette(
            routes=[Route("/", partial(_page, service, guard), methods=["GET"])],
            exception_handlers={HTTPException: _site_error},
        )
        self.site.router.redirect_slashes = False
        self.shared = CORSMiddleware(
            self.fork, allow_origin_regex=LOCAL_ORIGIN, allow_methods=["*"], allow_headers=["*"]
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        local = re.fullmatch(LOCAL_ORIGIN, _page_origin(scope))
        await (self.shared if local else self.fork)(scope, receive, send)

    async def fork(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] == "/":
            await self.site(scope, receive, send)
        elif is_control(scope["path"]):
            await self.controls(scope, receive, send)
        else:
            await self.api(scope, receive, send)

    def at_once(self, scope: Scope, body: bytes) -> Reply | ASGIApp | None:
        """Answer without a task; None where the server has to begin one. See `_ServiceApi.at_once`."""
        return self.api.at_once(scope, body) if scope["path"].startswith(BASE) else None


def create_app(service: Service | Settings | None = None, guard: Guard | None = None) -> App:
    """The mock as an ASGI app. `service`: a service, or settings for a new one."""
    return App(service if isinstance(service, Service) else Service(service), guard or Guard())


def _peer(scope: Scope) -> str:
    """The address of who sent a request; "unknown", which is none, where the server doesn't tell it."""
    client = scope.get("client")
    return client[0] or "unknown" if client else "unknown"


def _page_origin(scope: Scope) -> str:
    """The `Origin` of a request, "" without one: that of the page whose script sent it."""
    found = (value.decode("latin-1") for name, value in scope.get("headers", ()) if name == b"origin")
    return next(found, "")


async def _page(service: Service, guard: Guard, request: Request) -> Response:
    """Answer with the page at `/`, or with the guard's 403."""
    scope = request.scope
    try:
        guard.admit(Head(scope["method"], scope["path"], dict(scope["headers"]), peer=_peer(scope)))
    except Forbidden as error:
        return Response(refusal(error).body, error.status, page.HEADERS, "application/json")
    html = page.start_page(service, str(request.base_url))
    return HTMLResponse(html, headers=page.HEADERS)


async def _site_error(request: Request, error: Exception) -> Response:
    """Answer Starlette's own errors, 404 and 405, in the API's shape."""
    path = request.url.path
    known = (error.headers or {}).get("Allow", "") if isinstance(error, HTTPException) else ""
    # Starlette joins a set, whose order differs between processes, so it is sorted.
    allow = ", ".join(sorted(known.split(", ")))
    problem = MethodNotSupported(f"{path} takes {allow}, not {request.method}.", allow=[allow])
    reply = refusal(problem if allow else not_found(path))
    headers = {name.decode(): value.decode() for name, value in reply.headers}
    return Response(reply.body, reply.status, {**page.HEADERS, **headers})
