"""httpx and httpx2, which are one library under two names: answers as their responses, transports patched.

A client is stopped before it picks its transport, so whatever else patches transports (pytest-httpx, respx,
vcrpy) sees only what is not for the mock, whoever came first; only a tracer is gone through. The transports
that open sockets are patched too: for those who call them directly and for a user's transports around them.
ASGI and WSGI transports and `MockTransport` are left alone, and clients that were built before are caught as
well.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import cache, cached_property, partial
from logging import INFO, Logger, getLogger
from types import ModuleType
from typing import Any

from openpipe_mock.core.effects import JSON_HEADERS, Head, HeaderList, Reply
from openpipe_mock.service.journaling import REQUEST_ID
from openpipe_mock.testing.answering import (
    CUT_OFF,
    HUNG_UP,
    TOO_SLOW,
    Catch,
    Ours,
    Pieces,
    begin_answer,
    begin_answer_async,
    in_pieces,
    lowered,
)
from openpipe_mock.testing.layers import Original, Place, bound
from openpipe_mock.testing.patches import is_tracer
from openpipe_mock.testing.virtual import ConnectionBroken, Journey, TooSlow

_COOKIE = b"set-cookie"
_NO_TIME = timedelta()


@dataclass(frozen=True)
class Family:
    """One of the two libraries, by its module."""

    module: Any

    @cached_property
    def logger(self) -> Logger:
        return getLogger(self.module.__name__)

    def head(self, request: Any, catch: Catch) -> Head:
        """A request as the mock reads it."""
        path, mock = catch
        headers = {lowered(name): value for name, value in request.headers.raw}
        return Head(request.method, path, headers, request.url.query, mock.clock.now)

    def answer(self, request: Any, body: bytes, catch: Catch) -> Reply | Journey:
        """The mock's answer. Raises the library's own errors: see `error`."""
        try:
            return begin_answer(catch, self.head(request, catch), body, request.extensions)
        except (ConnectionBroken, TooSlow) as problem:
            raise self.error(request, HUNG_UP, problem) from None

    async def answer_async(self, request: Any, body: bytes, catch: Catch) -> Reply | Journey:
        """The same, while other tasks have their turn as they would with a socket."""
        try:
            return await begin_answer_async(catch, self.head(request, catch), body, request.extensions)
        except (ConnectionBroken, TooSlow) as problem:
            raise self.error(request, HUNG_UP, problem) from None

    def respond(self, request: Any, body: bytes, catch: Catch) -> Any:
        """The mock's answer as the library's response. Raises the library's own errors."""
        return self.response(request, self.answer(request, body, catch))

    def error(self, request: Any, words: str, problem: Exception) -> Exception:
        """The library's error for a connection that broke, or for a client that waited too long."""
        found: Exception = (
            self.module.ReadTimeout(TOO_SLOW, request=request)
            if isinstance(problem, TooSlow)
            else self.module.RemoteProtocolError(words, request=request)
        )
        return found

    def response(self, request: Any, found: Reply | Journey) -> Any:
        """An answer as the library's response; its stream comes piece by piece, to sync and async clients."""
        if isinstance(found, Reply):
            return self.whole(request, found.status, found.headers, found.body)
        if found.whole is not None:
            return self.whole(request, found.status, found.headers, found.whole)
        stream = _stream_class(self.module)(found, partial(self.error, request, CUT_OFF))
        headers = in_pieces(found.headers)
        return self.module.Response(found.status, headers=headers, stream=stream, request=request)

    def whole(self, request: Any, status: int, headers: HeaderList, body: bytes) -> Any:
        """The response to an answer that came whole."""
        length = (b"content-length", b"%d" % len(body))
        stream = self.module.ByteStream(b"" if request.method == "HEAD" else body)
        # Without its request, respx would make the response a second time.
        response = self.module.Response(status, headers=[*headers, length], stream=stream, request=request)
        if headers[:-1] == JSON_HEADERS and headers[-1][0] == REQUEST_ID:  # else httpx looks for it
            response.headers.encoding = "ascii"
        return response

    def completed(self, response: Any, headers: HeaderList, client: Any, seconds: float) -> Any:
        """A response with what a client adds to it, and the line that it logs.

        `headers`: those of the mock's answer.
        """
        response.elapsed = timedelta(seconds=seconds) if seconds else _NO_TIME
        response.default_encoding = client._default_encoding
        if _COOKIE in dict(headers):  # httpx looks for cookies long where there are none
            client.cookies.extract_cookies(response)
        if self.logger.isEnabledFor(INFO):
            asked = response.request.method, response.request.url
            said = response.http_version, response.status_code, response.reason_phrase
            self.logger.info('HTTP Request: %s %s "%s %d %s"', *asked, *said)
        return response


@cache
def _stream_class(module: ModuleType) -> Any:
    """The class of a library's streams, sync and async in one."""
    return type("Stream", (Pieces, module.SyncByteStream, module.AsyncByteStream), {})


def _chosen(client: Any, url: Any) -> Any:
    """The transport that a client has for a URL, whoever has patched its choice."""
    for pattern, transport in client._mounts.items():
        if pattern.matches(url):
            return transport or client._transport
    return client._transport


@dataclass(frozen=True, slots=True)
class _Sending:
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
        transport = _chosen(client, request.url) if client._mounts else client._transport
        if self.opens_sockets(transport) and isinstance(request.stream, self.stream):
            return ours(request.url)
        return None

    def opens_sockets(self, transport: Any) -> bool:
        """Whether nothing precedes the socket: a user's subclass, a tracer, what was put onto this transport.

        What those let pass is caught behind them.
        """
        kind = type(transport)
        if kind is not self.transport and (
            not issubclass(kind, self.transport)
            or getattr(kind, self.method) is not getattr(self.transport, self.method)
        ):
            return False
        return self.method not in vars(transport) and not is_tracer(self.transport.__dict__[self.method])

    def sync(self, original: Original, ours: Ours) -> Original:
        def send(client: Any, request: Any) -> Any:
            catch = self.caught(client, request, ours)
            if catch is None:
                return bound(original, client)(request)
            clock = catch[1].clock
            began = clock.now
            found = self.family.answer(request, request.read(), catch)
            response = self.family.response(request, found)
            return self.family.completed(response, found.headers, client, clock.now - began)

        return send

    def asynchronous(self, original: Original, ours: Ours) -> Original:
        async def send(client: Any, request: Any) -> Any:
            catch = self.caught(client, request, ours)
            if catch is None:
                return await bound(original, client)(request)
            clock = catch[1].clock
            began = clock.now
            found = await self.family.answer_async(request, await request.aread(), catch)
            response = self.family.response(request, found)
            return self.family.completed(response, found.headers, client, clock.now - began)

        return send


def _delivering(family: Family, original: Original, ours: Ours) -> Original | None:
    """A transport's way to a socket. A tracer there stays, for what goes through it is caught behind it."""

    def handle_request(transport: Any, request: Any) -> Any:
        catch = ours(request.url)
        if catch is None:
            return bound(original, transport)(request)
        return family.respond(request, request.read(), catch)

    return None if is_tracer(original) else handle_request


def _delivering_async(family: Family, original: Original, ours: Ours) -> Original | None:
    async def handle_async_request(transport: Any, request: Any) -> Any:
        catch = ours(request.url)
        if catch is None:
            return await bound(original, transport)(request)
        return family.response(request, await family.answer_async(request, await request.aread(), catch))

    return None if is_tracer(original) else handle_async_request


def places(library: ModuleType) -> Iterator[Place]:
    family, send = Family(library), "_send_single_request"
    sync = _Sending(family, library.HTTPTransport, "handle_request", library.SyncByteStream)
    asynchronous = _Sending(
        family, library.AsyncHTTPTransport, "handle_async_request", library.AsyncByteStream
    )
    yield library.HTTPTransport, sync.method, partial(_delivering, family)
    yield library.AsyncHTTPTransport, asynchronous.method, partial(_delivering_async, family)
    yield library.Client, send, sync.sync
    yield library.AsyncClient, send, asynchronous.asynchronous
