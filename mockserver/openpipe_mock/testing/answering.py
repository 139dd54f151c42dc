"""Answer a request of this process: what the modules of the client libraries have in common.

Such a module says by `places` what is patched. Most patches are made by `intercept` and `intercept_async`,
from a `Client` that says where a request goes and answers it: by `begin` where the library's requests are
objects, by a `http1.Line` where it writes bytes.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from functools import lru_cache
from http import HTTPStatus
from inspect import signature
from typing import Any, Protocol

from openpipe_mock.core.effects import Effects, Head, HeaderList, Reply
from openpipe_mock.testing.layers import Original, bound, passing
from openpipe_mock.testing.virtual import ConnectionBroken, Journey, TooSlow, VirtualClock, carry_out

HUNG_UP = "Server disconnected without sending a response."
CUT_OFF = "peer closed connection without sending complete message body"
_STATUSES = frozenset(HTTPStatus)
TOO_SLOW = (
    "The read operation timed out (in the mock's virtual time; a time-out around the call, such as "
    "asyncio.wait_for, is felt with openpipe_server alone)"
)


class _Answering(Protocol):
    """A mock that answers requests, in its virtual time."""

    clock: VirtualClock

    def answer(self, head: Head, body: bytes) -> Reply | Effects:
        """A reply, or an exchange where time has to pass, which the caller has to begin at once."""


Catch = tuple[str, _Answering]
"""The path that is asked of the mock, and the mock that answers."""

Ours = Callable[[Any], Catch | None]
"""Takes a URL, of httpx or a `Url`; returns what answers it, None to let it pass. May raise to refuse it."""

_Around = Callable[[], AbstractContextManager[None]]


class _Sending(Protocol):
    @property
    def url(self) -> Callable[..., Any]:
        """Takes the sender and the request: where that goes, for `Ours`; None if it goes by no socket."""


class Client(_Sending, Protocol):
    """How a library sends by a sync method: what `sender` it is called on, and with which `request`.

    The functions name their arguments as the library's method does.
    """

    @property
    def answer(self) -> Callable[..., Any]:
        """Takes a catch, the library's own method, sender and request: what the method returns."""


class AsyncClient(_Sending, Protocol):
    """The same for an async method."""

    @property
    def answer_async(self) -> Callable[..., Awaitable[Any]]:
        """As `Client.answer`; gives other tasks their turn as a socket would."""


def intercept(client: Client, original: Original, ours: Ours, around: _Around = passing) -> Original:
    """A `Client`'s patch for a sync method. `around`: a context for requests that pass."""

    def send(sender: Any, *args: Any, **kwargs: Any) -> Any:
        url = client.url(sender, *args, **kwargs)
        catch = None if url is None else ours(url)
        if catch is None:
            with around():
                return bound(original, sender)(*args, **kwargs)
        return client.answer(catch, original, sender, *args, **kwargs)

    return _with_signature(send, client)


def intercept_async(
    client: AsyncClient, original: Original, ours: Ours, around: _Around = passing
) -> Original:
    """A `Client`'s patch for an async method."""

    async def send(sender: Any, *args: Any, **kwargs: Any) -> Any:
        url = client.url(sender, *args, **kwargs)
        catch = None if url is None else ours(url)
        if catch is None:
            with around():
                return await bound(original, sender)(*args, **kwargs)
        return await client.answer_async(catch, original, sender, *args, **kwargs)

    return _with_signature(send, client)


def _with_signature(patch: Original, client: _Sending) -> Original:
    """A patch with the signature of the client's `url`, since tracers bind a call's arguments by it."""
    patch.__signature__ = signature(client.url)  # type: ignore[attr-defined]
    return patch


lowered = lru_cache(maxsize=1024)(bytes.lower)
"""A header's name in lower case. Cached: requests have the same few, and the journal keeps them."""


def reason_of(status: int) -> bytes:
    """The reason phrase of a status; empty for one that isn't defined."""
    return HTTPStatus(status).phrase.encode() if status in _STATUSES else b""


def in_pieces(headers: HeaderList) -> HeaderList:
    """The headers of a body that is sent in pieces: chunked, unless they have its length."""
    announced = any(name == b"content-length" for name, _ in headers)
    return headers if announced else (*headers, (b"transfer-encoding", b"chunked"))


def with_length(headers: HeaderList, body: bytes) -> HeaderList:
    """The headers of a body that is sent whole."""
    return (*headers, (b"content-length", b"%d" % len(body)))


def whole_body(found: Reply | Journey) -> bytes | None:
    """The body of an answer that came whole, None for one in pieces."""
    return found.body if isinstance(found, Reply) else found.whole


# For libraries whose requests and responses are objects.


class _Objects(Protocol):
    def head(self, catch: Catch, request: Any) -> Head:
        """The head of a request, for the mock."""

    def error(self, request: Any, words: str, problem: Exception) -> Exception:
        """The library's error for a broken connection (with these `words`) or for a timeout."""


def begin(client: _Objects, catch: Catch, request: Any, body: bytes) -> Reply | Journey:
    """A request's answer: a reply, or a journey that has begun. Raises the library's errors."""
    found = catch[1].answer(client.head(catch, request), body)
    if isinstance(found, Reply):
        return found
    try:
        return carry_out(found, body, catch[1].clock, _patience(request.extensions))
    except (ConnectionBroken, TooSlow) as problem:
        raise client.error(request, HUNG_UP, problem) from None


async def begin_async(client: _Objects, catch: Catch, request: Any, body: bytes) -> Reply | Journey:
    """The same, giving other tasks their turn as a socket would."""
    from anyio.lowlevel import checkpoint

    await checkpoint()
    found = catch[1].answer(client.head(catch, request), body)
    if isinstance(found, Reply):
        return found
    journey = Journey(found, body, catch[1].clock, _patience(request.extensions))
    steps, result = journey.begin(), None
    try:
        while True:
            step = steps.send(result)
            result = await (checkpoint() if step is None else step)
    except StopIteration:
        return journey
    except (ConnectionBroken, TooSlow) as problem:
        raise client.error(request, HUNG_UP, problem) from None
    finally:
        steps.close()


def _patience(extensions: Mapping[str, Any]) -> float | None:
    """Seconds that a client waits for the next bytes, None for ever. `extensions`: of httpx or httpcore."""
    found: float | None = (extensions.get("timeout") or {}).get("read")
    return found


class Pieces:
    """A body that comes piece by piece, for sync and async readers. `error` makes the library's errors."""

    def __init__(self, journey: Journey, error: Callable[[Exception], Exception]) -> None:
        self.journey = journey
        self.error = error
        self.pieces = journey.pieces()  # one iterator: who iterates again goes on, as with a socket

    def __iter__(self) -> Iterator[bytes]:
        try:
            for piece in self.pieces:  # noqa: UP028  # `yield from` would end them with the first reader
                yield piece
        except (ConnectionBroken, TooSlow) as problem:
            raise self.error(problem) from None

    async def __aiter__(self) -> AsyncIterator[bytes]:
        from anyio.lowlevel import checkpoint

        for piece in self:
            await checkpoint()
            yield piece

    def close(self) -> None:
        self.journey.close()

    async def aclose(self) -> None:
        self.close()
