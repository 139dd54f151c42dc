"""Patch httpx and httpx2, which are one library under two names, and make their responses.

Clients are patched before they pick a transport. So other tools that patch transports (pytest-httpx, respx,
vcrpy) only see requests that aren't for the mock, whoever came first; requests do go through tracers. The
transports that open sockets are patched too, for code that calls them directly and for a user's transports
around them. ASGI and WSGI transports and `MockTransport` aren't patched. Clients that were built before a
mock are answered as well.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from functools import cache, cached_property, partial
from logging import INFO, Logger, getLogger
from time import time
from types import ModuleType
from typing import Any

from openpipe_mock.core.effects import JSON_HEADERS, Head, HeaderList, Reply
from openpipe_mock.service.journaling import REQUEST_ID
from openpipe_mock.testing.answering import (
    CUT_OFF,
    TOO_SLOW,
    Catch,
    Ours,
    Pieces,
    begin,
    begin_async,
    in_pieces,
    intercept,
    intercept_async,
    lowered,
    whole_body,
    with_length,
)
from openpipe_mock.testing.layers import Original, Place
from openpipe_mock.testing.patches import is_tracer
from openpipe_mock.testing.virtual import Journey, TooSlow

_COOKIE = b"set-cookie"
_NO_TIME = timedelta()


@dataclass(frozen=True)
class HttpxLibrary:
    """One of the two libraries. `module`: `httpx` or `httpx2`."""

    module: Any

    @cached_property
    def logger(self) -> Logger:
        return getLogger(self.module.__name__)

    # For transports: see `answering.Client`.

    def url(self, transport: Any, request: Any) -> Any:
        return request.url

    def answer(self, catch: Catch, original: Original, transport: Any, request: Any) -> Any:
        return self.respond(request, request.read(), catch)

    async def answer_async(self, catch: Catch, original: Original, transport: Any, request: Any) -> Any:
        return self.response(request, await begin_async(self, catch, request, await request.aread()))

    # Requests and responses.

    def respond(self, request: Any, body: bytes, catch: Catch) -> Any:
        """The mock's answer as the library's response. Raises the library's own errors."""
        return self.response(request, begin(self, catch, request, body))

    def head(self, catch: Catch, request: Any) -> Head:
        path, mock = catch
        headers = {lowered(name): value for name, value in request.headers.raw}
        return Head(request.method, path, headers, request.url.query, mock.clock.now, time=time())

    def error(self, request: Any, words: str, problem: Exception) -> Exception:
        slow = isinstance(problem, TooSlow)
        kind, told = (self.module.ReadTimeout, TOO_SLOW) if slow else (self.module.RemoteProtocolError, words)
        found: Exception = kind(told, request=request)
        return found

    @contextmanager
    def naming(self, request: Any) -> Iterator[None]:
        """Give the library's errors their request, as clients do for what their transports raise."""
        try:
            yield
        except self.module.RequestError as error:
            error.request = request
            raise

    def response(self, request: Any, found: Reply | Journey) -> Any:
        """An answer as the library's response; a stream comes piece by piece, for sync and async clients."""
        body = whole_body(found)
        if body is not None:
            return self.whole(request, found.status, found.headers, body)
        stream = _stream_class(self.module)(found, partial(self.error, request, CUT_OFF))
        headers = in_pieces(found.headers)
        return self.module.Response(found.status, headers=headers, stream=stream, request=request)

    def whole(self, request: Any, status: int, headers: HeaderList, body: bytes) -> Any:
        """The response to an answer that came whole."""
        stream = self.module.ByteStream(b"" if request.method == "HEAD" else body)
        # respx would make a response without its request a second time.
        response = self.module.Response(
            status, headers=with_length(headers, body), stream=stream, request=request
        )
        if headers[:-1] == JSON_HEADERS and headers[-1][0] == REQUEST_ID:  # saves httpx the search for it
            response.headers.encoding = "ascii"
        return response

    def completed(self, request: Any, found: Reply | Journey, client: Any, seconds: float) -> Any:
        """The response to an answer, with what a client adds, and the client's line in the log.

        `seconds`: that the answer took.
        """
        response = self.response(request, found)
        response.elapsed = timedelta(seconds=seconds) if seconds else _NO_TIME
        response.default_encoding = client._default_encoding
        if _COOKIE in dict(found.headers):  # httpx takes long to find that there are no cookies
            client.cookies.extract_cookies(response)
        if self.logger.isEnabledFor(INFO):
            asked = request.method, request.url
            said = response.http_version, response.status_code, response.reason_phrase
            self.logger.info('HTTP Request: %s %s "%s %d %s"', *asked, *said)
        return response


def places(library: ModuleType) -> Iterator[Place]:
    """What is patched in httpx or httpx2."""
    httpx_library, send = HttpxLibrary(library), "_send_single_request"
    sync = _HttpxClient(httpx_library, library.HTTPTransport, "handle_request", library.SyncByteStream)
    asynchronous = _HttpxClient(
        httpx_library, library.AsyncHTTPTransport, "handle_async_request", library.AsyncByteStream
    )
    yield library.HTTPTransport, sync.method, partial(_untraced, intercept, httpx_library)
    yield library.AsyncHTTPTransport, asynchronous.method, partial(_untraced, intercept_async, httpx_library)
    yield library.Client, send, partial(intercept, sync, around=nullcontext)
    yield library.AsyncClient, send, partial(intercept_async, asynchronous, around=nullcontext)


def _untraced(wrapping: Any, httpx_library: HttpxLibrary, original: Original, ours: Ours) -> Original | None:
    """A transport's method, None for a tracer: what goes through that is taken in httpcore."""
    return None if is_tracer(original) else wrapping(httpx_library, original, ours, around=nullcontext)


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
class _HttpxClient:
    """How sync or async clients of a library send: an `answering.Client`.

    `transport`: the class that opens sockets. `method`: the name of its method that does. `stream`: the class
    of bodies.
    """

    library: HttpxLibrary
    transport: type
    method: str
    stream: type

    def url(self, client: Any, request: Any) -> Any:
        """The URL of a request; None where something else sends it, as a user's own transport.

        A body of the other kind, sync for async or the reverse, is left to the client, which refuses it.
        """
        transport = _chosen(client, request.url) if client._mounts else client._transport
        takes = self.opens_sockets(transport) and isinstance(request.stream, self.stream)
        return request.url if takes else None

    def opens_sockets(self, transport: Any) -> bool:
        """Whether a transport opens sockets with nothing before: no subclass's or own method, no tracer.

        Requests that go through those are taken further down, at the transport or in httpcore.
        """
        kind = type(transport)
        if kind is not self.transport and (
            not issubclass(kind, self.transport)
            or getattr(kind, self.method) is not getattr(self.transport, self.method)
        ):
            return False
        return self.method not in vars(transport) and not is_tracer(self.transport.__dict__[self.method])

    def answer(self, catch: Catch, original: Original, client: Any, request: Any) -> Any:
        began = catch[1].clock.now
        with self.library.naming(request):
            found = begin(self.library, catch, request, request.read())
        return self.library.completed(request, found, client, catch[1].clock.now - began)

    async def answer_async(self, catch: Catch, original: Original, client: Any, request: Any) -> Any:
        began = catch[1].clock.now
        with self.library.naming(request):
            found = await begin_async(self.library, catch, request, await request.aread())
        return self.library.completed(request, found, client, catch[1].clock.now - began)
