"""The ASGI adapter: carries requests from a socket to the service and replies back."""

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
from openpipe_mock.control import page as dashboard
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
from openpipe_mock.service.refusals import crash, refusal
from openpipe_mock.service.service import Service
from openpipe_mock.service.shortcut import Shortcut
from openpipe_mock.sessions.journal import discreet, sent_token

_requests = logging.getLogger("openpipe_mock.requests")
"""One line for each request, at INFO."""
_notes = logging.getLogger("openpipe_mock.notes")
"""What the user should know of a request that was served all the same, at WARNING."""

_PIECES_A_TURN = 32
_MOST_BYTES_A_TURN = 65_536
"""What is sent of a stream, after its first piece, before others have their turn."""
_ticking = partial(perf_counter)
"""The clock of `Head.at`. It goes on where a test stops the clocks that it finds, as freezegun does."""
DROP = "openpipe_mock.drop"
"""The ASGI extension under which a server says how to drop the connection: `{"call": a function}`."""
WRITE = "openpipe_mock.write"
"""The extension under which a server says how to write several chunks of a body: `{"call": a function}` of a
list of them, which answers whether it did."""


class ClientGone(Exception):
    """The client hung up before its request was complete; there is nobody to answer."""


class Dropped(Exception):
    """The connection shall break, and the server has no other way to be told so than to see a crash."""


class Api:
    """What answers exchanges, behind a socket. `quiet`: its requests get no line in the terminal."""

    def __init__(self, exchange: Callable[[Head], Effects], *, quiet: bool = False) -> None:
        self.exchange = exchange
        self.quiet = quiet

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        head = _head_of(scope, dict(scope["headers"]), _ticking())
        await self.carry(head, self.exchange(head), scope, receive, send)

    async def carry(self, head: Head, exchange: Effects, scope: Scope, receive: Receive, send: Send) -> None:
        """Carry an exchange out, and say in the terminal what became of it."""
        transport = Transport(scope, receive, send)
        try:
            reply = await transport.carry(exchange)
        except ClientGone:
            reply = _HUNG_UP
        except Dropped:
            raise
        except Exception as error:
            reply = _defect(error, head)
            if transport.begun:  # the stream has begun: breaking it off is all that is left
                raise
            await _send_reply(reply, send)
        if not self.quiet:
            _note(head, reply)


class _ServiceApi(Api):
    """The service behind a socket."""

    def __init__(self, service: Service) -> None:
        super().__init__(service.exchange)
        self.service = service
        self.shortcut = Shortcut(service)

    def at_once(self, scope: Scope, body: bytes) -> Reply | ASGIApp | None:
        """The reply to a request whose body is there whole, or the app that goes on where time has to pass.

        None, and nothing done, for what has to be read differently. A task of its own, and what is sent
        through it, would cost most requests more than their answer does.
        """
        headers, at, most = dict(scope["headers"]), _ticking(), self.service.settings.max_body_bytes
        if scope["method"] != "POST" or b"origin" in headers or len(body) > most:
            return None
        head = _head_of(scope, headers, at)
        try:
            reply = self.shortcut.answer(head, body, _ticking)
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
    """What is answered to a defect of ours; its traceback goes to the log."""
    [path] = discreet(sent_token(head.headers), head.path)
    logging.getLogger("openpipe_mock").error("%s %s failed", head.method, _printable(path), exc_info=error)
    return crash()


class Transport:
    """One request on its socket: carries out the effects of its exchange.

    `begun`: status and headers are out. `broken`: nothing more will be. `leaving` is done as soon as the
    client hangs up. `drop` is the server's way to break the connection and `write` that to write several
    chunks, None where it has none. `pieces` of a stream are gathered, `most_pieces` at a time.
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
        """Run an exchange to its end and send what it says. A client that goes away ends it early."""
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
        """Send the pieces that were gathered, each as a chunk of its own, and give others their turn."""
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
        """Drop the connection. Raises Dropped where only a crash in mid-answer makes the server do so."""
        self.broken = True
        if self.drop:
            self.drop()
            return
        if not self.begun:
            await self.begin(Begin(200, ((b"content-length", b"1"),)))
            await self.send({"type": "http.response.body", "more_body": True})  # servers put off bare headers
        raise Dropped("the connection breaks on purpose")

    async def stay(self, seconds: float) -> None:
        """Let time pass while the client is there; raise ClientGone once it isn't."""
        if not self.hung_up() and self.leaving:
            await asyncio.wait((self.leaving,), timeout=seconds)
        if self.hung_up():
            raise ClientGone

    def hung_up(self) -> bool:
        """Whether the client has left. Nobody hears of that while nothing is waited for."""
        if self.leaving is None:
            self.leaving = asyncio.ensure_future(_departure(self.receive))
        return self.leaving.done()


async def _departure(receive: Receive) -> None:
    """Return once the client has hung up. What is left of its request goes by."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _read(receive: Receive, limit: int) -> bytes | None:
    """The request's body, or None once it is longer than so many bytes; the rest then stays unread."""
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
    """A text of the client's that can't play tricks on a terminal or start a line of its own."""
    if not text.isprintable():
        text = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
    return text if len(text) <= 300 else f"{text[:300]}…"


class App:
    """The whole mock as one ASGI app: the API, the page at `/` and the control API under `/_mock/`.

    The guard says who may come to the last two, by default this machine alone. Requests with the origin of a
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
        """What a server may ask before it begins a task; None where it has to. See `_ServiceApi.at_once`."""
        return self.api.at_once(scope, body) if scope["path"].startswith(BASE) else None


def create_app(service: Service | Settings | None = None, guard: Guard | None = None) -> App:
    """The mock as an ASGI app; settings alone make a service of their own."""
    return App(service if isinstance(service, Service) else Service(service), guard or Guard())


def _peer(scope: Scope) -> str:
    """The address of who sent a request; a server that doesn't tell it gets a word that is no address."""
    client = scope.get("client")
    return client[0] or "unknown" if client else "unknown"


def _page_origin(scope: Scope) -> str:
    """The site whose page's script sent the request; "" for any other client."""
    found = (value.decode("latin-1") for name, value in scope.get("headers", ()) if name == b"origin")
    return next(found, "")


async def _page(service: Service, guard: Guard, request: Request) -> Response:
    """The page at `/`, for those whom the guard lets in."""
    scope = request.scope
    try:
        guard.admit(Head(scope["method"], scope["path"], dict(scope["headers"]), peer=_peer(scope)))
    except Forbidden as error:
        return Response(refusal(error).body, error.status, dashboard.HEADERS, "application/json")
    html = dashboard.start_page(service, str(request.base_url))
    return HTMLResponse(html, headers=dashboard.HEADERS)


async def _site_error(request: Request, error: Exception) -> Response:
    """Starlette's own errors in the API's words and shape."""
    path = request.url.path
    known = (error.headers or {}).get("Allow", "") if isinstance(error, HTTPException) else ""
    # Starlette joins a set, whose order differs between processes.
    allow = ", ".join(sorted(known.split(", ")))
    problem = MethodNotSupported(f"{path} takes {allow}, not {request.method}.", allow=[allow])
    reply = refusal(problem if allow else not_found(path))
    headers = {name.decode(): value.decode() for name, value in reply.headers}
    return Response(reply.body, reply.status, {**dashboard.HEADERS, **headers})
