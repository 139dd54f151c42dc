"""Patch httpcore and httpcore2, by which httpx and httpx2 send.

Here the mock takes requests that its patches of httpx don't see: those that went through a tracer, by a
reference to a transport's method from before the patch, or to httpcore itself.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from time import time
from types import ModuleType
from typing import Any

from openpipe_mock.core.effects import Head, Reply
from openpipe_mock.testing.answering import (
    CUT_OFF,
    TOO_SLOW,
    Catch,
    Pieces,
    begin,
    begin_async,
    in_pieces,
    intercept,
    intercept_async,
    lowered,
    reason_of,
    whole_body,
    with_length,
)
from openpipe_mock.testing.base_urls import Url, path_of
from openpipe_mock.testing.layers import Original, Place
from openpipe_mock.testing.virtual import Journey, TooSlow


def places(library: ModuleType) -> Iterator[Place]:
    """What is patched in httpcore or httpcore2."""
    client = _Pool(library)
    yield library.ConnectionPool, "handle_request", partial(intercept, client)
    yield library.AsyncConnectionPool, "handle_async_request", partial(intercept_async, client)


@dataclass(frozen=True, slots=True)
class _Pool:
    """How a library's pools send. `module`: `httpcore` or `httpcore2`."""

    module: Any

    def url(self, pool: Any, request: Any) -> Url:
        found = request.url
        return Url(found.scheme.decode(), found.host.decode(), found.port, path_of(found.target.decode()))

    def answer(self, catch: Catch, original: Original, pool: Any, request: Any) -> Any:
        return self.response(request, begin(self, catch, request, b"".join(request.stream)))

    async def answer_async(self, catch: Catch, original: Original, pool: Any, request: Any) -> Any:
        body = b"".join([part async for part in request.stream])
        return self.response(request, await begin_async(self, catch, request, body))

    def head(self, catch: Catch, request: Any) -> Head:
        headers = {lowered(name): value for name, value in request.headers}
        query = request.url.target.partition(b"?")[2]
        return Head(request.method.decode(), catch[0], headers, query, catch[1].clock.now, time=time())

    def error(self, request: Any, words: str, problem: Exception) -> Exception:
        slow = isinstance(problem, TooSlow)
        found: Exception = (
            self.module.ReadTimeout(TOO_SLOW) if slow else self.module.RemoteProtocolError(words)
        )
        return found

    def response(self, request: Any, found: Reply | Journey) -> Any:
        """An answer as the library's response."""
        content: Any
        if isinstance(found, Journey) and found.whole is None:
            headers, content = in_pieces(found.headers), Pieces(found, partial(self.error, request, CUT_OFF))
        else:
            body = whole_body(found) or b""
            headers, content = with_length(found.headers, body), b"" if request.method == b"HEAD" else body
        said = {"http_version": b"HTTP/1.1", "reason_phrase": reason_of(found.status)}
        return self.module.Response(found.status, headers=list(headers), content=content, extensions=said)
