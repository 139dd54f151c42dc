"""The types that the service and an adapter exchange: requests, replies, and effects.

The service does no I/O. It yields effects, and the adapter (a server or a patched client) carries them out.
"""

from collections.abc import Callable, Generator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

Headers = Mapping[bytes, bytes]
"""Header name in lower case → value."""
HeaderList = tuple[tuple[bytes, bytes], ...]

JSON_HEADERS: HeaderList = ((b"content-type", b"application/json"),)


@dataclass(slots=True)
class Head:
    """A request without its body: method, decoded path, headers, query, and time of arrival.

    `at` is in seconds on a monotonic clock; the adapter chooses its zero. `time` is the same moment in
    seconds since 1970. `peer` is the sender's address, "" for a request from this process. `root` is the
    prefix of the URL below which another app mounts the mock, percent-encoded; `path` is what follows.
    `scheme` is that of the URL, "" where no socket took the request.
    Treat it as immutable.
    """

    # Not frozen: making a frozen one takes three times as long, and each request makes one.
    method: str
    path: str
    headers: Headers
    query: bytes = b""
    at: float = 0.0
    peer: str = ""
    root: str = ""
    scheme: str = ""
    time: float = 0.0


@dataclass(slots=True)
class Reply:
    """A response: status, headers and body bytes. `subject` and `notes` are for the log, not for the client.

    After a stream has begun, the reply only says what was streamed, and its body is empty.
    """

    # Not frozen: the service adds the request's id, and making a frozen one takes twice as long.
    status: int
    body: bytes
    headers: HeaderList = JSON_HEADERS
    subject: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ReadBody:
    """Effect: the adapter sends the whole body back, or None as soon as it exceeds `limit` bytes."""

    limit: int


@dataclass(frozen=True, slots=True)
class Wait:
    """Effect: the adapter lets `seconds` pass, with infinity all that the client gives."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Now:
    """Effect: the adapter sends back the time, in seconds since 1970."""


@dataclass(frozen=True, slots=True)
class Tick:
    """Effect: the adapter sends back the time, in seconds on the clock of `Head.at`."""


@dataclass(frozen=True, slots=True)
class Entropy:
    """Effect: the adapter sends back `size` random bytes."""

    size: int


@dataclass(frozen=True, slots=True)
class Begin:
    """Effect: the adapter sends status and headers to the client; pieces of the body follow."""

    status: int
    headers: HeaderList


@dataclass(slots=True)
class Piece:
    """Effect: the adapter sends a piece of the body to the client, and sends back the time as for `Tick`.

    Treat it as immutable.
    """

    # Not frozen: see `Head`.
    data: bytes


@dataclass(frozen=True, slots=True)
class Break:
    """Effect: the adapter flushes what was sent and drops the connection; nothing follows."""


@dataclass(frozen=True, slots=True)
class Await:
    """Effect: the adapter waits until a future is done, and sends its result back."""

    future: Future[Any]


@dataclass(frozen=True, slots=True)
class Invoke:
    """Effect: the adapter calls a test's function, and sends back what it returns, or `Raised`.

    What can be awaited is awaited, in the client's own event loop where it has one. A mock on a socket takes
    no functions, so that only the adapters in this process meet it.
    """

    function: Callable[[], Any]


@dataclass(frozen=True, slots=True)
class Raised:
    """What an adapter sends back for a function that raised. It is no effect."""

    # Sent and not thrown, since a generator between the two would have to pass it on.
    error: BaseException


Effect = ReadBody | Wait | Now | Tick | Entropy | Begin | Piece | Break | Await | Invoke
Effects = Generator[Effect, Any, Reply]
"""A running exchange: a generator that yields effects, is sent their results, and returns the reply."""
