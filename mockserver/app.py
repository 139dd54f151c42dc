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
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mockserver import dashboard
from mockserver.config import Settings
from mockserver.control import Control
from mockserver.effects import (
    Begin,
    Break,
    Effect,
    Entropy,
    Exchange,
    Head,
    Headers,
    Now,
    Piece,
    ReadBody,
    Reply,
    Tick,
    Wait,
)
from mockserver.errors import Forbidden, MethodNotSupported
from mockserver.guard import LOCAL_ORIGIN, Guard
from mockserver.journal import discreet, sent_token
from mockserver.paths import BASE, SESSION, not_found
from mockserver.service import Service, crash, finished, refusal
from mockserver.shortcut import PATH, Shortcut

requests = logging.getLogger("mockserver.requests")
"""One line for each request, at INFO."""
notes = logging.getLogger("mockserver.notes")
"""What the user should know of a request that was served all the same, at WARNING."""

DROP = "openpipe_mock.drop"
"""The ASGI extension under which a server says how to drop the connection: `{"call": a function}`."""


class ClientGone(Exception):
    """The client hung up before its request was complete; there is nobody to answer."""


class Dropped(Exception):
    """The connection shall break, and the server has no other way to be told so than to see a crash."""


class Api:
    """What answers exchanges, behind a socket. `quiet`: its requests get no line in the terminal."""

    def __init__(self, exchange: Callable[[Head], Exchange], *, quiet: bool = False) -> None:
        self.exchange = exchange
        self.quiet = quiet

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        head = head_of(scope, dict(scope["headers"]))
        transport = Transport(scope, receive, send)
        try:
            reply = await transport.carry(self.exchange(head))
            await transport.complete(reply)
        except ClientGone:
            reply = HUNG_UP
        except Exception as error:
            reply = await failed(error, head, transport)
        if not self.quiet:
            note(head, reply)


class ServiceApi:
    """The service behind a socket, in its own steps: an exchange would cost each request a fifth more."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.shortcut = Shortcut(service)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.serve(scope, dict(scope["headers"]), receive, send)

    async def serve(self, scope: Scope, headers: Headers, receive: Receive, send: Send) -> None:
        """Answer a request whose headers were looked at already."""
        if scope["path"] == PATH and scope["method"] == "POST" and self.shortcut.admits(headers):
            at = perf_counter()
            message = await receive()
            reply = self.judgement(scope, headers, message, at)
            if reply:
                await send_reply(reply, send)
                if requests.isEnabledFor(logging.INFO):
                    note(Head("POST", PATH, headers, b"", at), reply)
                return
            receive = partial(again, [message], receive)
        await self.go(scope, headers, receive, send)

    def judgement(self, scope: Scope, headers: Headers, message: Message, at: float) -> Reply | None:
        """The answer to a plain judgement whose body came whole; None for any other request."""
        if message.get("more_body") or scope["query_string"]:
            return None
        try:
            return self.shortcut.judgement(headers, message.get("body", b""), at, perf_counter)
        except Exception as error:
            return defect(error, head_of(scope, headers))

    async def go(self, scope: Scope, headers: Headers, receive: Receive, send: Send) -> None:
        """The long way."""
        head, transport = head_of(scope, headers), None
        try:
            visit = self.service.begin(head)
            if isinstance(visit, Reply):
                reply = visit
            else:
                try:
                    limit = self.service.settings.max_body_bytes
                    sent = await read(receive, limit) if visit.reads_body else None
                    found = self.service.proceed(visit, sent)
                    if not isinstance(found, Reply):
                        transport = Transport(scope, receive, send)
                        found = await transport.carry(found)
                    reply = finished(visit, found, perf_counter())
                finally:
                    self.service.end(visit)
            await (transport.complete(reply) if transport else send_reply(reply, send))
        except ClientGone:
            reply = HUNG_UP
        except Exception as error:
            reply = await failed(error, head, transport or Transport(scope, receive, send))
        note(head, reply)


async def again(messages: list[Message], receive: Receive) -> Message:
    """What was received before, and then the rest."""
    return messages.pop() if messages else await receive()


def head_of(scope: Scope, headers: Headers) -> Head:
    query = scope.get("query_string", b"")
    return Head(scope["method"], scope["path"], headers, query, perf_counter(), peer(scope))


HUNG_UP = Reply(0, b"", subject="the client hung up")


def defect(error: Exception, head: Head) -> Reply:
    """What is answered to a defect of ours; its traceback goes to the log."""
    [path] = discreet(sent_token(head.headers), head.path)
    logging.getLogger("mockserver").error("%s %s failed", head.method, printable(path), exc_info=error)
    return crash()


async def failed(error: Exception, head: Head, transport: "Transport") -> Reply:
    """Answer a defect of ours. Raises it in mid-stream: breaking it off is all that is left."""
    if isinstance(error, Dropped):
        raise error
    reply = defect(error, head)
    if transport.begun:
        raise error
    await send_reply(reply, transport.send)
    return reply


class Transport:
    """One request on its socket: carries out the effects of its exchange.

    `begun`: status and headers are out. `broken`: nothing more will be. `leaving` is done as soon as the
    client hangs up. `drop` is the server's way to break the connection, None where it has none.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.receive = receive
        self.send = send
        self.drop = scope.get("extensions", {}).get(DROP, {}).get("call")
        self.begun = False
        self.broken = False
        self.leaving: asyncio.Future[Any] | None = None

    async def carry(self, exchange: Exchange) -> Reply:
        """Run an exchange to its end. A client that goes away ends it early."""
        try:
            effect = next(exchange)
            while True:
                # The two effects of every request are carried out here: a coroutine for each would cost more.
                if isinstance(effect, ReadBody):
                    effect = exchange.send(await read(self.receive, effect.limit))
                elif isinstance(effect, Tick):
                    effect = exchange.send(perf_counter())
                else:
                    effect = exchange.send(await self.perform(effect))
        except StopIteration as stop:
            reply: Reply = stop.value
        finally:
            exchange.close()
            if self.leaving:
                self.leaving.cancel()
        return reply

    async def complete(self, reply: Reply) -> None:
        """Send what an exchange ended with, or the end of what it streamed."""
        if self.begun and not self.broken:
            await self.send({"type": "http.response.body"})
        elif not self.broken:
            await send_reply(reply, self.send)

    async def perform(self, effect: Effect) -> Any:
        """Carry out one effect; its result goes back into the exchange."""
        match effect:
            case Piece():
                await self.stay(0)
                await self.send({"type": "http.response.body", "body": effect.data, "more_body": True})
                await asyncio.sleep(0)  # a send that doesn't wait would never let the loop see a client leave
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
        self.leaving = self.leaving or asyncio.ensure_future(departure(self.receive))
        if seconds:
            await asyncio.wait((self.leaving,), timeout=seconds)
        if self.leaving.done():
            raise ClientGone


async def departure(receive: Receive) -> None:
    """Return once the client has hung up. What is left of its request goes by."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def read(receive: Receive, limit: int) -> bytes | None:
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


async def send_reply(reply: Reply, send: Send) -> None:
    length = (b"content-length", b"%d" % len(reply.body))
    await send({"type": "http.response.start", "status": reply.status, "headers": [*reply.headers, length]})
    await send({"type": "http.response.body", "body": reply.body})


def note(head: Head, reply: Reply) -> None:
    """Write the request's line and its notes to the log."""
    heard = requests.isEnabledFor(logging.INFO)
    if not heard and not reply.notes:
        return
    path, subject, *told = discreet(sent_token(head.headers), head.path, reply.subject, *reply.notes)
    if heard:
        milliseconds = (perf_counter() - head.at) * 1000
        line = (head.method, printable(path), reply.status, printable(subject), milliseconds)
        requests.info("%s %s %d  %s  %.1f ms", *line)
    for text in told:
        notes.warning("%s: %s", printable(path), printable(text))


def printable(text: str) -> str:
    """A text of the client's that can't play tricks on a terminal or start a line of its own."""
    if not text.isprintable():
        text = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
    return text if len(text) <= 300 else f"{text[:300]}…"


def create_app(service: Service | Settings | None = None, guard: Guard | None = None) -> ASGIApp:
    """The whole mock as one ASGI app: the API, the page at `/` and the control API under `/_mock/`.

    The guard says who may come to the last two, by default this machine alone. Requests without an `Origin`
    header take a short way past Starlette. Those of local pages pass through its CORS middleware; other
    origins get no CORS headers.
    """
    if not isinstance(service, Service):
        service = Service(service)
    guard = guard or Guard()
    api, controls = ServiceApi(service), Api(Control(service, guard).exchange, quiet=True)
    site = Starlette(
        routes=[Route("/", partial(page, service, guard), methods=["GET"])],
        exception_handlers={HTTPException: site_error},
    )

    site.router.redirect_slashes = False

    async def fork(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] == "/":
            await site(scope, receive, send)
        elif is_control(scope["path"]):
            await controls(scope, receive, send)
        else:
            await api(scope, receive, send)

    shared = CORSMiddleware(fork, allow_origin_regex=LOCAL_ORIGIN, allow_methods=["*"], allow_headers=["*"])

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope.get("headers", ()))
        if b"origin" not in headers and scope["type"] == "http" and scope["path"].startswith(BASE):
            await api.serve(scope, headers, receive, send)
        else:
            local = re.fullmatch(LOCAL_ORIGIN, headers.get(b"origin", b"").decode("latin-1"))
            await (shared if local else fork)(scope, receive, send)

    return app


def is_control(path: str) -> bool:
    """Whether a path belongs to the control API; an API path that names its session doesn't."""
    return path.startswith("/_mock/") and not SESSION.fullmatch(path)


def peer(scope: Scope) -> str:
    """The address of who sent a request; a server that doesn't tell it gets a word that is no address."""
    client = scope.get("client")
    return client[0] or "unknown" if client else "unknown"


async def page(service: Service, guard: Guard, request: Request) -> Response:
    """The page at `/`, for those whom the guard lets in."""
    scope = request.scope
    try:
        guard.admit(Head(scope["method"], scope["path"], dict(scope["headers"]), peer=peer(scope)))
    except Forbidden as error:
        return Response(refusal(error).body, error.status, dashboard.HEADERS, "application/json")
    html = dashboard.page(service, str(request.base_url))
    return HTMLResponse(html, headers=dashboard.HEADERS)


async def site_error(request: Request, error: Exception) -> Response:
    """Starlette's own errors in the API's words and shape."""
    path = request.url.path
    known = (error.headers or {}).get("Allow", "") if isinstance(error, HTTPException) else ""
    # Starlette joins a set, whose order differs between processes.
    allow = ", ".join(sorted(known.split(", ")))
    problem = MethodNotSupported(f"{path} takes {allow}, not {request.method}.", allow=[allow])
    reply = refusal(problem if allow else not_found(path))
    headers = {name.decode(): value.decode() for name, value in reply.headers}
    return Response(reply.body, reply.status, {**dashboard.HEADERS, **headers})
