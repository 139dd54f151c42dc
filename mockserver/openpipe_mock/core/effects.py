"""What passes between the service and an adapter: requests, replies, and the effects between them."""

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any

Headers = Mapping[bytes, bytes]
"""Header names in lower case → values."""
HeaderList = tuple[tuple[bytes, bytes], ...]

JSON_HEADERS: HeaderList = ((b"content-type", b"application/json"),)


@dataclass(slots=True)
class Head:
    """A request before its body: method, decoded path, headers, query, and when it came.

    `at` is in seconds on a clock that only ever goes forward; what it counts from is the adapter's affair.
    `peer` is the address of who sent it, "" where it came from this process. Nobody changes one: it isn't
    frozen because that would make it take three times as long to make.
    """

    method: str
    path: str
    headers: Headers
    query: bytes = b""
    at: float = 0.0
    peer: str = ""


@dataclass(slots=True)
class Reply:
    """Status, headers and body bytes; `subject` and `notes` are for the log, not for the client.

    After a stream was begun, the reply says what was streamed, and its body is empty. Not frozen: the service
    adds the request's id, and a frozen one takes twice as long to make.
    """

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
    """Effect: the adapter lets `seconds` pass."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Now:
    """Effect: the adapter sends the time back, in seconds since 1970."""


@dataclass(frozen=True, slots=True)
class Tick:
    """Effect: the adapter sends the time back, in seconds on the clock of `Head.at`."""


@dataclass(frozen=True, slots=True)
class Entropy:
    """Effect: the adapter sends `size` random bytes back."""

    size: int


@dataclass(frozen=True, slots=True)
class Begin:
    """Effect: the adapter sends status and headers; pieces of the body follow."""

    status: int
    headers: HeaderList


@dataclass(slots=True)
class Piece:
    """Effect: the adapter sends a piece of the body. Nobody changes one: see `Head`."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Break:
    """Effect: the adapter drops the connection once what was sent is out; nothing follows."""


Effect = ReadBody | Wait | Now | Tick | Entropy | Begin | Piece | Break
Effects = Generator[Effect, Any, Reply]
"""An exchange under way: it yields effects, is sent their results, and returns the reply."""
