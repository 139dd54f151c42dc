"""httpx and httpx2, which are one library under two names: answers as their responses, transports patched.

A client is stopped before it picks its transport, so whatever else patches transports (pytest-httpx, respx,
vcrpy) sees only what is not for the mock, whoever came first. The transports that open sockets are patched
too: for those who call them directly and for a user's transports around them. ASGI and WSGI transports and
`MockTransport` are left alone, and clients that were built before are caught as well.
"""

from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from mockserver.effects import Exchange, Head
from mockserver.local import Answer, Broken, Clock, Journey, TooSlow

NAMES = ("httpx", "httpx2")
HUNG_UP = "Server disconnected without sending a response."
CUT_OFF = "peer closed connection without sending complete message body"
TOO_SLOW = "The read operation timed out (in the mock's virtual time)"
CHUNKED = (b"transfer-encoding", b"chunked")


@dataclass(frozen=True, slots=True)
class Catch:
    """What answers a request: the exchanges of a mock and its clock; `path` is where the mock has it."""

    path: str
    exchange: Callable[[Head], Exchange]
    clock: Clock


@dataclass(frozen=True)
class Family:
    """One of the two libraries, by its module."""

    module: Any

    def journey(self, request: Any, body: bytes, catch: Catch) -> Journey:
        """A request, whose body was read, on its way through the mock."""
        headers = {name.lower(): value for name, value in request.headers.raw}
        head = Head(request.method, catch.path, headers, request.url.query, catch.clock.now)
        patience = (request.extensions.get("timeout") or {}).get("read")
        return Journey(catch.exchange(head), body, catch.clock, patience)

    def respond(self, request: Any, body: bytes, catch: Catch) -> Any:
        """The mock's response. Raises the library's own errors: see `error`."""
        steps = self.journey(request, body, catch).answer()
        while True:
            try:
                next(steps)
            except StopIteration as stop:
                return self.response(request, stop.value)
            except (Broken, TooSlow) as problem:
                raise self.error(problem, request, HUNG_UP) from None

    async def respond_async(self, request: Any, body: bytes, catch: Catch) -> Any:
        """The same, while other tasks have their turn as they would with a socket."""
        from anyio.lowlevel import checkpoint

        await checkpoint()
        steps = self.journey(request, body, catch).answer()
        try:
            while True:
                next(steps)
                await checkpoint()
        except StopIteration as stop:
            return self.response(request, stop.value)
        except (Broken, TooSlow) as problem:
            raise self.error(problem, request, HUNG_UP) from None
        finally:
            steps.close()

    def error(self, problem: Exception, request: Any, words: str) -> Exception:
        """The library's error for a connection that broke, or for a client that waited too long."""
        found: Exception = (
            self.module.ReadTimeout(TOO_SLOW, request=request)
            if isinstance(problem, TooSlow)
            else self.module.RemoteProtocolError(words, request=request)
        )
        return found

    def response(self, request: Any, answer: Answer) -> Any:
        """An answer as the library's response; its stream comes piece by piece, to sync and async clients."""
        headers = list(answer.headers)
        if answer.whole is not None:
            headers.append((b"content-length", b"%d" % len(answer.whole)))
            stream = self.module.ByteStream(b"" if request.method == "HEAD" else answer.whole)
        else:
            if all(name != b"content-length" for name, _ in headers):
                headers.append(CHUNKED)
            stream = stream_class(self)(answer.journey, request)
        return self.module.Response(answer.status, headers=headers, stream=stream)


@cache
def stream_class(family: Family) -> Any:
    """The class of a family's streams: sync and async in one, and the errors are the family's."""
    module = family.module

    class Pieces(module.SyncByteStream, module.AsyncByteStream):  # type: ignore[misc, name-defined]
        def __init__(self, journey: Journey, request: Any) -> None:
            self.journey = journey
            self.request = request

        def __iter__(self) -> Iterator[bytes]:
            try:
                yield from self.journey.pieces()
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


@cache
def families() -> tuple[Family, ...]:
    """Those of the two that are installed."""
    return tuple(Family(import_module(name)) for name in NAMES if find_spec(name))


@dataclass(frozen=True, slots=True)
class Door:
    """A transport that leads to a mock, in place of one that opens sockets."""

    family: Family
    catch: Catch

    def handle_request(self, request: Any) -> Any:
        return self.family.respond(request, request.read(), self.catch)

    async def handle_async_request(self, request: Any) -> Any:
        return await self.family.respond_async(request, await request.aread(), self.catch)


Ours = Callable[[Any], Catch | None]
"""A URL in; what answers it out, or None for one that goes its way. May raise to refuse it."""
Original = Callable[..., Any]
Wrapping = Callable[[Original, Ours], Original]


def chosen(client: Any, url: Any) -> Any:
    """The transport that a client has for a URL, whoever has patched its choice."""
    fitting = (transport for pattern, transport in client._mounts.items() if pattern.matches(url))
    return next(fitting, None) or client._transport


@dataclass(frozen=True, slots=True)
class Sending:
    """How the clients of a family, sync or async, send: `transport` is the class that opens sockets."""

    family: Family
    transport: str
    method: str

    def caught(self, client: Any, request: Any, ours: Ours) -> Door | None:
        """The door that a request takes. Where a user's own transport is chosen, that keeps its duty."""
        transport, plain = chosen(client, request.url), getattr(self.family.module, self.transport)
        if not isinstance(transport, plain) or overridden(transport, plain, self.method):
            return None
        catch = ours(request.url)
        return None if catch is None else Door(self.family, catch)

    def sync(self, original: Original, ours: Ours) -> Original:
        def send(client: Any, request: Any) -> Any:
            door = self.caught(client, request, ours)
            if door is None:
                return original(client, request)
            began = door.catch.clock.now
            return completed(door.handle_request(request), client, request, door.catch.clock.now - began)

        return send

    def asynchronous(self, original: Original, ours: Ours) -> Original:
        async def send(client: Any, request: Any) -> Any:
            door = self.caught(client, request, ours)
            if door is None:
                return await original(client, request)
            began = door.catch.clock.now
            response = await door.handle_async_request(request)
            return completed(response, client, request, door.catch.clock.now - began)

        return send


def completed(response: Any, client: Any, request: Any, seconds: float) -> Any:
    """A response with what a client adds to it."""
    response.request = request
    response.elapsed = timedelta(seconds=seconds)
    response.default_encoding = client._default_encoding
    client.cookies.extract_cookies(response)
    return response


def overridden(transport: Any, plain: type, method: str) -> bool:
    """Whether a user's subclass, or something put onto this one transport, stands before the socket."""
    return getattr(type(transport), method) is not getattr(plain, method) or method in vars(transport)


def delivering(family: Family) -> Wrapping:
    """A transport's way to a socket."""

    def wrapping(original: Original, ours: Ours) -> Original:
        def handle_request(transport: Any, request: Any) -> Any:
            catch = ours(request.url)
            return Door(family, catch).handle_request(request) if catch else original(transport, request)

        return handle_request

    return wrapping


def delivering_async(family: Family) -> Wrapping:
    def wrapping(original: Original, ours: Ours) -> Original:
        async def handle_async_request(transport: Any, request: Any) -> Any:
            catch = ours(request.url)
            if catch is None:
                return await original(transport, request)
            return await Door(family, catch).handle_async_request(request)

        return handle_async_request

    return wrapping


def places(family: Family) -> Iterator[tuple[type, str, Wrapping]]:
    """The class, the method and how it is wrapped: of each that is patched in a family."""
    module, send = family.module, "_send_single_request"
    sync = Sending(family, "HTTPTransport", "handle_request")
    asynchronous = Sending(family, "AsyncHTTPTransport", "handle_async_request")
    yield module.HTTPTransport, sync.method, delivering(family)
    yield module.AsyncHTTPTransport, asynchronous.method, delivering_async(family)
    yield module.Client, send, sync.sync
    yield module.AsyncClient, send, asynchronous.asynchronous


class Patches:
    """The patches of the families, put on and taken off as one; `ours` decides on each request.

    Whatever was patched over ours in the meantime stays when ours are taken off; what it then calls of ours
    asks `ours`, and passes everything on if that knows nothing.
    """

    def __init__(self, ours: Ours) -> None:
        self.ours = ours
        self.originals: dict[tuple[type, str], tuple[Original, Original]] = {}
        """Class and method → our function, and what it stands for."""

    def put_on(self, found: tuple[Family, ...]) -> None:
        for family in found:
            for owner, name, wrapping in places(family):
                current = owner.__dict__.get(name)  # a private method may be gone in a later release
                patched, _ = self.originals.get((owner, name), (None, None))
                if current is not None and current is not patched:
                    ours = wrapping(current, self.ours)
                    self.originals[owner, name] = ours, current
                    setattr(owner, name, ours)

    def take_off(self) -> None:
        for (owner, name), (ours, original) in list(self.originals.items()):
            if owner.__dict__[name] is ours:
                setattr(owner, name, original)
                del self.originals[owner, name]
