"""httpx and httpx2, which are one library under two names: answers as their responses, transports patched.

A client is stopped before it picks its transport, so whatever else patches transports (pytest-httpx, respx,
vcrpy) sees only what is not for the mock, whoever came first. The transports that open sockets are patched
too: for those who call them directly and for a user's transports around them. ASGI and WSGI transports and
`MockTransport` are left alone, and clients that were built before are caught as well.
"""

import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import cache, cached_property, lru_cache
from importlib import import_module
from importlib.util import find_spec
from logging import INFO, Logger, getLogger
from typing import Any, Protocol

from openpipe_mock.effects import JSON_HEADERS, Exchange, Head, HeaderList, Reply
from openpipe_mock.layers import Original, Ours, Place, Wrapping
from openpipe_mock.local import Broken, Clock, Journey, TooSlow
from openpipe_mock.network_guard import passing
from openpipe_mock.service import REQUEST_ID

NAMES = ("httpx", "httpx2")
HUNG_UP = "Server disconnected without sending a response."
CUT_OFF = "peer closed connection without sending complete message body"
TOO_SLOW = "The read operation timed out (in the mock's virtual time)"
COOKIE = b"set-cookie"
NO_TIME = timedelta()
CHUNKED = (b"transfer-encoding", b"chunked")


class Answering(Protocol):
    """What answers requests: a mock, in its virtual time."""

    clock: Clock

    def answer(self, head: Head, body: bytes) -> Reply | Exchange:
        """A reply where nothing has to be waited for, else the exchange that goes on, to be begun at once."""


Catch = tuple[str, Answering]
"""What answers a request, and before it the path where the mock has what is asked for."""


lowered = lru_cache(maxsize=1024)(bytes.lower)
"""A header's name as the mock knows it. All requests have the same few, and the journal keeps them."""


@dataclass(frozen=True)
class Family:
    """One of the two libraries, by its module."""

    module: Any

    @cached_property
    def logger(self) -> Logger:
        return getLogger(self.module.__name__)

    def answer(self, request: Any, body: bytes, catch: Catch) -> Reply | Exchange:
        """What the mock says to a request whose body was read."""
        path, mock = catch
        headers = {lowered(name): value for name, value in request.headers.raw}
        return mock.answer(Head(request.method, path, headers, request.url.query, mock.clock.now), body)

    def respond(self, request: Any, body: bytes, catch: Catch) -> Any:
        """The mock's response. Raises the library's own errors: see `error`."""
        found = self.answer(request, body, catch)
        if isinstance(found, Reply):
            return self.whole(request, found.status, found.headers, found.body)
        journey = Journey(found, body, catch[1].clock, patience(request))
        try:
            for _ in journey.begin():
                pass
        except (Broken, TooSlow) as problem:
            raise self.error(problem, request, HUNG_UP) from None
        return self.response(request, journey)

    async def respond_async(self, request: Any, body: bytes, catch: Catch) -> Any:
        """The same, while other tasks have their turn as they would with a socket."""
        from anyio.lowlevel import checkpoint

        await checkpoint()
        found = self.answer(request, body, catch)
        if isinstance(found, Reply):
            return self.whole(request, found.status, found.headers, found.body)
        journey = Journey(found, body, catch[1].clock, patience(request))
        turns = journey.begin()
        try:
            for _ in turns:
                await checkpoint()
        except (Broken, TooSlow) as problem:
            raise self.error(problem, request, HUNG_UP) from None
        finally:
            turns.close()
        return self.response(request, journey)

    def error(self, problem: Exception, request: Any, words: str) -> Exception:
        """The library's error for a connection that broke, or for a client that waited too long."""
        found: Exception = (
            self.module.ReadTimeout(TOO_SLOW, request=request)
            if isinstance(problem, TooSlow)
            else self.module.RemoteProtocolError(words, request=request)
        )
        return found

    def response(self, request: Any, journey: Journey) -> Any:
        """An answer as the library's response; its stream comes piece by piece, to sync and async clients."""
        if journey.whole is not None:
            return self.whole(request, journey.status, journey.headers, journey.whole)
        headers = list(journey.headers)
        if all(name != b"content-length" for name, _ in headers):
            headers.append(CHUNKED)
        stream = stream_class(self)(journey, request)
        return self.module.Response(journey.status, headers=headers, stream=stream, request=request)

    def whole(self, request: Any, status: int, headers: HeaderList, body: bytes) -> Any:
        """The response to an answer that came whole."""
        length = (b"content-length", b"%d" % len(body))
        stream = self.module.ByteStream(b"" if request.method == "HEAD" else body)
        # Without its request, respx would make the response a second time.
        response = self.module.Response(status, headers=[*headers, length], stream=stream, request=request)
        if headers[:-1] == JSON_HEADERS and headers[-1][0] == REQUEST_ID:  # else httpx looks for it
            response.headers.encoding = "ascii"
        return response

    def completed(self, response: Any, client: Any, seconds: float) -> Any:
        """A response with what a client adds to it, and the line that it logs."""
        response.elapsed = timedelta(seconds=seconds) if seconds else NO_TIME
        response.default_encoding = client._default_encoding
        if COOKIE in dict(response.headers.raw):  # httpx looks for cookies long where there are none
            client.cookies.extract_cookies(response)
        if self.logger.isEnabledFor(INFO):
            asked = response.request.method, response.request.url
            said = response.http_version, response.status_code, response.reason_phrase
            self.logger.info('HTTP Request: %s %s "%s %d %s"', *asked, *said)
        return response


def patience(request: Any) -> float | None:
    """Seconds that a client waits for the next bytes, None for ever."""
    found: float | None = (request.extensions.get("timeout") or {}).get("read")
    return found


@cache
def stream_class(family: Family) -> Any:
    """The class of a family's streams: sync and async in one, and the errors are the family's."""
    module = family.module

    class Pieces(module.SyncByteStream, module.AsyncByteStream):  # type: ignore[misc, name-defined]
        def __init__(self, journey: Journey, request: Any) -> None:
            self.journey = journey
            self.request = request
            self.pieces = journey.pieces()  # who iterates again goes on, as with a socket

        def __iter__(self) -> Iterator[bytes]:
            try:
                for piece in self.pieces:  # noqa: UP028  # `yield from` would end them with the first reader
                    yield piece
            except (Broken, TooSlow) as problem:
                raise family.error(problem, self.request, CUT_OFF) from None

        async def __aiter__(self) -> AsyncIterator[bytes]:
            from anyio.lowlevel import checkpoint

            for piece in self:
                await checkpoint()
                yield piece

        def close(self) -> None:
            self.journey.close()

        async def aclose(self) -> None:
            self.close()

    return Pieces


CLASSES = (
    "HTTPTransport",
    "AsyncHTTPTransport",
    "Client",
    "AsyncClient",
    "SyncByteStream",
    "AsyncByteStream",
)
"""What is patched of a library, or built upon."""


@cache
def _installed(name: str) -> bool:
    return find_spec(name) is not None


def _library(name: str) -> Any:
    """A library's module; None where it isn't installed, or a test has put a stub in its place."""
    if name not in sys.modules and _installed(name):
        import_module(name)
    module = sys.modules.get(name)
    whole = all(isinstance(getattr(module, each, None), type) for each in CLASSES)
    return module if whole else None


def families() -> tuple[Family, ...]:
    """Those of the two that are installed. Looked up anew each time, since stubs come and go."""
    return tuple(Family(module) for module in map(_library, NAMES) if module)


def chosen(client: Any, url: Any) -> Any:
    """The transport that a client has for a URL, whoever has patched its choice."""
    for pattern, transport in client._mounts.items():
        if pattern.matches(url):
            return transport or client._transport
    return client._transport


@dataclass(frozen=True, slots=True)
class Sending:
    """How the clients of a family send, sync or async.

    `transport` is the class that opens sockets, `method` its method that does, `stream` what bodies are.
    """

    family: Family
    transport: type
    method: str
    stream: type

    def caught(self, client: Any, request: Any, ours: Ours) -> Catch | None:
        """What answers a request. Where a user's own transport is chosen, that keeps its duty.

        A body of the other kind, sync or async, is for the client to refuse.
        """
        transport = chosen(client, request.url) if client._mounts else client._transport
        catch: Catch | None = None
        if self.opens_sockets(transport) and isinstance(request.stream, self.stream):
            catch = ours(request.url)
        return catch

    def opens_sockets(self, transport: Any) -> bool:
        """Whether no user's subclass, and nothing put onto this one transport, stands before the socket."""
        kind = type(transport)
        if kind is not self.transport and (
            not issubclass(kind, self.transport)
            or getattr(kind, self.method) is not getattr(self.transport, self.method)
        ):
            return False
        return self.method not in vars(transport)

    def sync(self, original: Original, ours: Ours) -> Original:
        def send(client: Any, request: Any) -> Any:
            catch = self.caught(client, request, ours)
            if catch is None:
                return original(client, request)
            clock = catch[1].clock
            began = clock.now
            response = self.family.respond(request, request.read(), catch)
            return self.family.completed(response, client, clock.now - began)

        return send

    def asynchronous(self, original: Original, ours: Ours) -> Original:
        async def send(client: Any, request: Any) -> Any:
            catch = self.caught(client, request, ours)
            if catch is None:
                return await original(client, request)
            clock = catch[1].clock
            began = clock.now
            response = await self.family.respond_async(request, await request.aread(), catch)
            return self.family.completed(response, client, clock.now - began)

        return send


def delivering(family: Family) -> Wrapping:
    """A transport's way to a socket."""

    def wrapping(original: Original, ours: Ours) -> Original:
        def handle_request(transport: Any, request: Any) -> Any:
            catch = ours(request.url)
            if catch is not None:
                return family.respond(request, request.read(), catch)
            with passing():
                return original(transport, request)

        return handle_request

    return wrapping


def delivering_async(family: Family) -> Wrapping:
    def wrapping(original: Original, ours: Ours) -> Original:
        async def handle_async_request(transport: Any, request: Any) -> Any:
            catch = ours(request.url)
            if catch is not None:
                return await family.respond_async(request, await request.aread(), catch)
            with passing():
                return await original(transport, request)

        return handle_async_request

    return wrapping


def places(family: Family) -> Iterator[Place]:
    """What is patched in a family."""
    module, send = family.module, "_send_single_request"
    sync = Sending(family, module.HTTPTransport, "handle_request", module.SyncByteStream)
    asynchronous = Sending(family, module.AsyncHTTPTransport, "handle_async_request", module.AsyncByteStream)
    yield module.HTTPTransport, sync.method, delivering(family)
    yield module.AsyncHTTPTransport, asynchronous.method, delivering_async(family)
    yield module.Client, send, sync.sync
    yield module.AsyncClient, send, asynchronous.asynchronous
