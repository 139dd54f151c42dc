"""The ASGI adapter: carries requests from a socket to the service and replies back."""

import asyncio
import logging
import re
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

from mockserver import control, dashboard
from mockserver.config import Settings
from mockserver.effects import Begin, Effect, Entropy, Exchange, Head, Now, Piece, ReadBody, Reply, Wait
from mockserver.errors import Forbidden, MethodNotSupported
from mockserver.paths import not_found
from mockserver.service import Service, crash, refusal

requests = logging.getLogger("mockserver.requests")
"""One line for each request, at INFO."""
notes = logging.getLogger("mockserver.notes")
"""What the user should know of a request that was served all the same, at WARNING."""

LOCAL_ORIGIN = r"https?://(?:(?:[\w-]+\.)*localhost|127\.0\.0\.1|\[::1\])(?::\d+)?"
"""Pages whose scripts may call the mock: those served from this machine."""


class ClientGone(Exception):
    """The client hung up before its request was complete; there is nobody to answer."""


class Api:
    """Every path outside `/` and `/_mock/`: the service behind a socket."""

    def __init__(self, service: Service) -> None:
        self.service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = perf_counter()
        transport = Transport(receive, send)
        head = Head(scope["method"], scope["path"], dict(scope["headers"]))
        try:
            reply = await transport.carry(self.service.exchange(head))
        except ClientGone:
            return
        except Exception:
            logging.getLogger("mockserver").exception("%s %s failed", head.method, printable(head.path))
            if transport.begun:  # the stream has begun: breaking it off is all that is left
                raise
            reply = crash()
            await send_reply(reply, send)
        note(head, reply, perf_counter() - started)


class Transport:
    """One request on its socket: carries out the effects of its exchange.

    `begun`: a stream's status and headers are out. `leaving` is done as soon as the client hangs up.
    """

    def __init__(self, receive: Receive, send: Send) -> None:
        self.receive = receive
        self.send = send
        self.begun = False
        self.leaving: asyncio.Future[Any] | None = None

    async def carry(self, exchange: Exchange) -> Reply:
        """Run an exchange to its end and send what it says. A client that goes away ends it early."""
        try:
            effect = next(exchange)
            while True:
                effect = exchange.send(await self.perform(effect))
        except StopIteration as stop:
            reply: Reply = stop.value
        finally:
            exchange.close()
            if self.leaving:
                self.leaving.cancel()
        if self.begun:
            await self.send({"type": "http.response.body"})
        else:
            await send_reply(reply, self.send)
        return reply

    async def perform(self, effect: Effect) -> Any:
        """Carry out one effect; its result goes back into the exchange."""
        match effect:
            case ReadBody():
                return await read(self.receive, effect)
            case Piece():
                await self.stay(0)
                await self.send({"type": "http.response.body", "body": effect.data, "more_body": True})
                await asyncio.sleep(0)  # a send that doesn't wait would never let the loop see a client leave
            case Begin():
                self.begun = True
                headers = list(effect.headers)
                await self.send({"type": "http.response.start", "status": effect.status, "headers": headers})
            case Wait():
                await self.stay(effect.seconds)
            case Now():
                return time()
            case Entropy():
                return urandom(effect.size)

    async def stay(self, seconds: float) -> None:
        """Let time pass while the client is there; raise ClientGone once it isn't."""
        self.leaving = self.leaving or asyncio.ensure_future(self.receive())
        if seconds:
            await asyncio.wait((self.leaving,), timeout=seconds)
        if self.leaving.done():
            raise ClientGone


async def read(receive: Receive, effect: ReadBody) -> bytes | None:
    """The request's body, or None once it is longer than the effect allows; the rest then stays unread."""
    message = await receive()
    body: bytes = message.get("body", b"")
    if message["type"] == "http.request" and not message.get("more_body", False):
        return body if len(body) <= effect.limit else None
    chunks, length = [], 0
    while True:
        if message["type"] == "http.disconnect":
            raise ClientGone
        chunks.append(message.get("body", b""))
        length += len(chunks[-1])
        if length > effect.limit:
            return None
        if not message.get("more_body", False):
            return b"".join(chunks)
        message = await receive()


async def send_reply(reply: Reply, send: Send) -> None:
    length = (b"content-length", b"%d" % len(reply.body))
    await send({"type": "http.response.start", "status": reply.status, "headers": [*reply.headers, length]})
    await send({"type": "http.response.body", "body": reply.body})


def note(head: Head, reply: Reply, seconds: float) -> None:
    """Write the request's line and its notes to the log."""
    if requests.isEnabledFor(logging.INFO):
        subject = printable(reply.subject)
        line = (head.method, printable(head.path), reply.status, subject, seconds * 1000)
        requests.info("%s %s %d  %s  %.1f ms", *line)
    for text in reply.notes:
        notes.warning("%s: %s", printable(head.path), printable(text))


def printable(text: str) -> str:
    """A text of the client's that can't play tricks on a terminal or start a line of its own."""
    if not text.isprintable():
        text = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
    return text if len(text) <= 300 else f"{text[:300]}…"


def create_app(settings: Settings | None = None) -> ASGIApp:
    """The whole mock as one ASGI app: the API, the page at `/` and the control API under `/_mock/`.

    API requests without an `Origin` header take a short way past Starlette. Those of local pages pass through
    its CORS middleware; other origins get no CORS headers.
    """
    settings = settings or Settings()
    service = Service(settings)
    api = Api(service)
    site = Starlette(
        routes=[
            Route("/", partial(page, settings), methods=["GET"]),
            Route("/_mock/health", partial(control.health, settings), methods=["GET"]),
            Route("/_mock/reset", partial(control.reset, service.session), methods=["POST"]),
        ],
        exception_handlers={HTTPException: site_error},
    )

    site.router.redirect_slashes = False

    async def fork(scope: Scope, receive: Receive, send: Send) -> None:
        ours = scope["type"] != "http" or scope["path"] == "/" or scope["path"].startswith("/_mock/")
        await (site if ours else api)(scope, receive, send)

    shared = CORSMiddleware(fork, allow_origin_regex=LOCAL_ORIGIN, allow_methods=["*"], allow_headers=["*"])

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        origin = page_origin(scope)
        local = re.fullmatch(LOCAL_ORIGIN, origin)
        if origin and not local and scope["path"].startswith("/_mock/"):
            await send_reply(refusal(Forbidden(FOREIGN)), send)
        else:
            await (shared if local else fork)(scope, receive, send)

    return app


FOREIGN = "the control API answers no page of another site; ask it from this machine."


def page_origin(scope: Scope) -> str:
    """The site whose page's script sent the request; "" for any other client."""
    found = (value.decode("latin-1") for name, value in scope.get("headers", ()) if name == b"origin")
    return next(found, "")


async def page(settings: Settings, request: Request) -> Response:
    """The page at `/`."""
    return HTMLResponse(dashboard.page(settings, str(request.base_url)), headers=dashboard.HEADERS)


async def site_error(request: Request, error: Exception) -> Response:
    """Starlette's own errors in the API's words and shape."""
    path = request.url.path
    known = (error.headers or {}).get("Allow", "") if isinstance(error, HTTPException) else ""
    # Starlette joins a set, whose order differs between processes.
    allow = ", ".join(sorted(known.split(", ")))
    problem = MethodNotSupported(f"{path} takes {allow}, not {request.method}.", allow=[allow])
    reply = refusal(problem if allow else not_found(path))
    headers = {name.decode(): value.decode() for name, value in reply.headers}
    return Response(reply.body, reply.status, headers)
