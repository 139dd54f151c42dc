"""Patch urllib3, and so requests, botocore and others that send by it.

A pool has requests to the mock sent by a copy of itself, whose connections end in the mock in place of a
socket. Responses, retries, redirects, errors and all else are urllib3's own.
"""

from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass
from functools import cache, partial
from io import BufferedReader, RawIOBase
from types import ModuleType
from typing import Any

from openpipe_mock.testing.answering import Catch, intercept
from openpipe_mock.testing.base_urls import DEFAULT_PORTS, Url, path_of, url_of
from openpipe_mock.testing.http1 import Line
from openpipe_mock.testing.layers import Original, Place, bound
from openpipe_mock.testing.virtual import TooSlow, in_sync


def places(library: ModuleType) -> Iterator[Place]:
    """What is patched in urllib3."""
    yield library.HTTPConnectionPool, "urlopen", partial(intercept, _Pool(_connection_class(library)))


@dataclass(frozen=True, slots=True)
class _Pool:
    """How pools send. `connection`: the class of connections that end in a mock."""

    connection: type

    def url(self, pool: Any, method: str, url: str, *_: Any, **__: Any) -> Url:
        """The URL that a pool is asked for: by a path, or for a pool of a proxy by a whole URL."""
        return Url(pool.scheme, pool.host, pool.port, path_of(url)) if url.startswith("/") else url_of(url)

    def answer(self, catch: Catch, original: Original, pool: Any, *args: Any, **kwargs: Any) -> Any:
        return bound(original, _short_circuited(pool, self.connection, catch))(*args, **kwargs)


def _short_circuited(pool: Any, connection: type, catch: Catch) -> Any:
    """A copy of a pool whose connections end in the mock: it keeps none, and uses no proxy."""
    found = copy(pool)
    found.ConnectionCls, found.conn_kw = connection, {"catch": catch, "scheme": pool.scheme}
    if pool.pool is not None:  # else the pool is closed, and urllib3 raises its error
        found.pool = _Nothing()
    found.proxy, found.proxy_headers = None, {}
    return found


class _Nothing:
    """The queue of a pool that keeps no connections."""

    def get(self, *_: Any, **__: Any) -> None:
        return None

    def put(self, *_: Any, **__: Any) -> None:
        return None

    def qsize(self) -> int:
        return 0


@cache
def _connection_class(module: ModuleType) -> type:
    """The class of connections that end in a mock, for this urllib3."""

    class Connection(module.connection.HTTPConnection):  # type: ignore[misc,name-defined]
        is_verified = True

        def __init__(self, catch: Catch, scheme: str, host: str, port: int | None = None, **_: Any) -> None:
            super().__init__(host, port)
            self.catch = catch
            self.default_port = DEFAULT_PORTS[scheme]  # left out of the header `Host`

        def connect(self) -> None:
            self.sock = _Socket(self.catch)

    return Connection


class _Socket:
    """The methods of a socket that http.client calls, on the mock's line."""

    def __init__(self, catch: Catch) -> None:
        self.line = Line(catch)

    def settimeout(self, seconds: float | None) -> None:
        self.line.patience = seconds

    def sendall(self, data: Any) -> None:
        self.line.feed(bytes(data))

    def makefile(self, *_: Any, **__: Any) -> BufferedReader:
        return BufferedReader(_Incoming(self.line))

    def shutdown(self, _: int) -> None: ...

    def close(self) -> None: ...


class _Incoming(RawIOBase):
    """The readable end of such a socket. Reading raises TimeoutError."""

    def __init__(self, line: Line) -> None:
        self.line = line
        self.pieces = filter(None, in_sync(line.answer())) if line.complete else iter(())
        self.rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            self.rest = self.rest or next(self.pieces, b"")
        except TooSlow:
            raise TimeoutError("timed out") from None
        size = min(len(buffer), len(self.rest))
        buffer[:size], self.rest = self.rest[:size], self.rest[size:]
        return size

    def close(self) -> None:
        self.line.close()
        super().close()
