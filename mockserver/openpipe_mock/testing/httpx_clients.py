"""Patch httpx and httpx2, which are one library under two names, and make their responses.

Clients are patched before they pick a transport. So other tools that patch transports (pytest-httpx, respx,
vcrpy) only see requests that aren't for the mock, whoever came first; requests do go through tracers. The
transports that open sockets are patched too, for code that calls them directly and for a user's transports
around them. ASGI and WSGI transports and `MockTransport` aren't patched. Clients that were built before a
mock are answered as well.
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
    """One of the two libraries. `module`: `httpx` or `httpx2`."""

    module: Any

    @cached_property
    def logger(self) -> Logger:
        return getLogger(self.module.__name__)

    def head(self, request: Any, catch: Catch) -> Head:
        """The head of a request, for the mock."""
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
        """The same, giving other tasks their turn as a socket would."""
        try:
            return await begin_answer_async(catch, self.head(request, catch), body, request.extensions)
        except (ConnectionBroken, TooSlow) as problem:
            raise self.error(request, HUNG_UP, problem) from None

    def respond(self, request: Any, body: bytes, catch: Catch) -> Any:
        """The mock's answer as the library's response. Raises the library's own errors."""
        return self.response(request, self.answer(request, body, catch))

    def error(self, request: Any, words: str, problem: Exception) -> Exception:
        """The library's error for a broken connection (with these `words`) or for a timeout."""
        found: Exception = (
            self.module.ReadTimeout(TOO_SLOW, request=request)
            if isinstance(problem, TooSlow)
            else self.module.RemoteProtocolError(words, request=request)
        )
        return found

    def response(self, request: Any, found: Reply | Journey) -> Any:
        """An answer as the library's response; a stream comes piece by piece, for sync and async clients."""
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
        # respx would make a response without its request a second time.
        response = self.module.Response(status, headers=[*headers, length], stream=stream, request=request)
        if headers[:-1] == JSON_HEADERS and headers[-1][0] == REQUEST_ID:  # saves httpx the search for it
            response.headers.encoding = "ascii"
        return response

    def completed(self, response: Any, headers: HeaderList, client: Any, seconds: float) -> Any:
        """Add to a response what a client adds, and log the client's line. Returns the response.

        `headers`: those of the mock's answer. `seconds`: that the answer took.
        """
        response.elapsed = timedelta(seconds=seconds) if seconds else _NO_TIME
        response.default_encoding = client._default_encoding
        if _COOKIE in dict(headers):  # httpx takes long to find that there are no cookies
            client.cookies.extract_cookies(response)
        if self.logger.isEnabledFor(INFO):
            asked = response.request.method, response.request.url
            said = response.http_version, response.status_code, response.reason_phrase
            self.logger.info('HTTP Request: %s %s "%s %d %s"', *asked, *said)
        return response


def places(library: ModuleType) -> Iterator[Place]:
    """What is patched in httpx or httpx2."""
    family, send = Family(library), "_send_single_request"
    sync = _Sending(family, library.HTTPTransport, "handle_request", library.SyncByteStream)
    asynchronous = _Sending(
        family, library.AsyncHTTPTransport, "handle_async_request", library.AsyncByteStream
    )
    yield library.HTTPTransport, sync.method, partial(_delivering, family)
    yield library.AsyncHTTPTransport, asynchronous.method, partial(_delivering_async, family)
    yield library.Client, send, sync.sync
    yield library.AsyncClient, send, asynchronous.asynchronous


@cache
def _stream_class(module: ModuleType) -> Any:
    """The class of a library's streams, which are sync and async in one."""
    return type("Stream", (Pieces, module.SyncByteStream, module.AsyncByteStream), {})


def _chosen(client: Any, url: Any) -> Any:
    """The transport that a client has for a URL, whatever has patched `_transport_for_url`."""
    for pattern, transport in client._mounts.items():
        if pattern.matches(url):
            return transport or client._transport
    return client._transport


@dataclass(frozen=True, slots=True)
class _Sending:
    """How sync or async clients of a library send.

    `transport`: the class that opens sockets. `method`: the name of its method that does. `stream`: the class
    of bodies.
    """

    family: Family
    transport: type
    method: str
    stream: type

    def caught(self, client: Any, request: Any, ours: Ours) -> Catch | None:
        """What answers a request; None where the client sends it, as by a user's own transport.

        A body of the other kind, sync for async or the reverse, is left to the client, which refuses it.
        """
        transport = _chosen(client, request.url) if client._mounts else client._transport
        if self.opens_sockets(transport) and isinstance(request.stream, self.stream):
            return ours(request.url)
        return None

    def opens_sockets(self, transport: Any) -> bool:
        """Whether a transport opens sockets with nothing before: no subclass's or own method, no tracer.

        Requests that go through those are taken further down, by `_delivering` or in httpcore.
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
    """A transport's method, None for a tracer: what goes through that is taken in httpcore."""

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
