"""Answer a request of this process: what the modules of the client libraries have in common."""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

from openpipe_mock.core.effects import Effects, Head, HeaderList, Reply
from openpipe_mock.testing.virtual import ConnectionBroken, Journey, TooSlow, VirtualClock, carry_out

HUNG_UP = "Server disconnected without sending a response."
CUT_OFF = "peer closed connection without sending complete message body"
_STATUSES = frozenset(HTTPStatus)
TOO_SLOW = "The read operation timed out (in the mock's virtual time)"


class _Answering(Protocol):
    """A mock that answers requests, in its virtual time."""

    clock: VirtualClock

    def answer(self, head: Head, body: bytes) -> Reply | Effects:
        """A reply, or an exchange where time has to pass, which the caller has to begin at once."""


Catch = tuple[str, _Answering]
"""The path that is asked of the mock, and the mock that answers."""

Ours = Callable[[Any], Catch | None]
"""Takes a URL, of httpx or a `Url`; returns what answers it, None to let it pass. May raise to refuse it."""


@dataclass(frozen=True, slots=True)
class Url:
    """Where a request goes. `port`: None where the URL names none; `path`: decoded, without query."""

    scheme: str
    host: str
    port: int | None
    path: str


def url_of(url: str) -> Url:
    parts = urlsplit(url)
    return Url(parts.scheme, parts.hostname or "", parts.port, unquote(parts.path))


def path_of(target: str) -> str:
    """The decoded path of a target such as `/a%20b?c=d`."""
    return unquote(target.partition("?")[0])


lowered = lru_cache(maxsize=1024)(bytes.lower)
"""A header's name in lower case. Cached: requests have the same few, and the journal keeps them."""


def reason_of(status: int) -> bytes:
    """The reason phrase of a status; empty for one that isn't defined."""
    return HTTPStatus(status).phrase.encode() if status in _STATUSES else b""


def in_pieces(headers: HeaderList) -> HeaderList:
    """The headers of a body that is sent in pieces: chunked, unless they have its length."""
    announced = any(name == b"content-length" for name, _ in headers)
    return headers if announced else (*headers, (b"transfer-encoding", b"chunked"))


def begin_answer(catch: Catch, head: Head, body: bytes, extensions: Mapping[str, Any]) -> Reply | Journey:
    """A request's answer: a reply, or a journey that has begun. Raises ConnectionBroken, TooSlow.

    `extensions`: those of the request in httpx or httpcore, which hold its timeouts.
    """
    found = catch[1].answer(head, body)
    return (
        found if isinstance(found, Reply) else carry_out(found, body, catch[1].clock, _patience(extensions))
    )


async def begin_answer_async(
    catch: Catch, head: Head, body: bytes, extensions: Mapping[str, Any]
) -> Reply | Journey:
    """The same, giving other tasks their turn as a socket would."""
    from anyio.lowlevel import checkpoint

    await checkpoint()
    found = catch[1].answer(head, body)
    if isinstance(found, Reply):
        return found
    journey = Journey(found, body, catch[1].clock, _patience(extensions))
    turns = journey.begin()
    try:
        for _ in turns:
            await checkpoint()
    finally:
        turns.close()
    return journey


def _patience(extensions: Mapping[str, Any]) -> float | None:
    """Seconds that a client waits for the next bytes, None for ever."""
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
