"""Patch httpcore and httpcore2, by which httpx and httpx2 send.

Here the mock takes requests that its patches of httpx don't see: those that went through a tracer, by a
reference to a transport's method from before the patch, or to httpcore itself.
"""

from collections.abc import Iterator
from functools import partial
from types import ModuleType
from typing import Any

from openpipe_mock.core.effects import Head, Reply
from openpipe_mock.testing.answering import (
    CUT_OFF,
    HUNG_UP,
    TOO_SLOW,
    Catch,
    Ours,
    Pieces,
    Url,
    begin_answer,
    begin_answer_async,
    in_pieces,
    lowered,
    path_of,
    reason_of,
)
from openpipe_mock.testing.layers import Original, Place, bound
from openpipe_mock.testing.network_guard import passing
from openpipe_mock.testing.virtual import ConnectionBroken, Journey, TooSlow


def places(library: ModuleType) -> Iterator[Place]:
    """What is patched in httpcore or httpcore2."""
    yield library.ConnectionPool, "handle_request", partial(_handling, library)
    yield library.AsyncConnectionPool, "handle_async_request", partial(_handling_async, library)


def _url(request: Any) -> Url:
    found = request.url
    return Url(found.scheme.decode(), found.host.decode(), found.port, path_of(found.target.decode()))


def _head(request: Any, catch: Catch) -> Head:
    """The head of a request, for the mock."""
    headers = {lowered(name): value for name, value in request.headers}
    query = request.url.target.partition(b"?")[2]
    return Head(request.method.decode(), catch[0], headers, query, catch[1].clock.now)


def _handling(module: ModuleType, original: Original, ours: Ours) -> Original:
    def handle_request(pool: Any, request: Any) -> Any:
        catch = ours(_url(request))
        if catch is None:
            with passing():
                return bound(original, pool)(request)
        body = b"".join(request.stream)
        try:
            found = begin_answer(catch, _head(request, catch), body, request.extensions)
        except (ConnectionBroken, TooSlow) as problem:
            raise _error(module, HUNG_UP, problem) from None
        return _response(module, request, found)

    return handle_request


def _handling_async(module: ModuleType, original: Original, ours: Ours) -> Original:
    async def handle_async_request(pool: Any, request: Any) -> Any:
        catch = ours(_url(request))
        if catch is None:
            with passing():
                return await bound(original, pool)(request)
        body = b"".join([part async for part in request.stream])
        try:
            found = await begin_answer_async(catch, _head(request, catch), body, request.extensions)
        except (ConnectionBroken, TooSlow) as problem:
            raise _error(module, HUNG_UP, problem) from None
        return _response(module, request, found)

    return handle_async_request


def _error(module: ModuleType, words: str, problem: Exception) -> Exception:
    """The library's error for a broken connection (with these `words`) or for a timeout."""
    slow = isinstance(problem, TooSlow)
    found: Exception = module.ReadTimeout(TOO_SLOW) if slow else module.RemoteProtocolError(words)
    return found


def _response(module: ModuleType, request: Any, found: Reply | Journey) -> Any:
    """An answer as the library's response."""
    content: Any
    if isinstance(found, Journey) and found.whole is None:
        headers, content = in_pieces(found.headers), Pieces(found, partial(_error, module, CUT_OFF))
    else:
        body = found.body if isinstance(found, Reply) else found.whole or b""
        headers = (*found.headers, (b"content-length", b"%d" % len(body)))
        content = b"" if request.method == b"HEAD" else body
    said = {"http_version": b"HTTP/1.1", "reason_phrase": reason_of(found.status)}
    return module.Response(found.status, headers=list(headers), content=content, extensions=said)
