"""The real server behind a recorder: asks it, within limits, and tells its failures in the API's errors.

Only the base URL that the user named is ever asked; redirects aren't followed. The client runs in an event
loop and a thread of its own, so that servers and patched clients, sync or async, wait for it alike.
"""

import asyncio
import os
import ssl
import time
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Future
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field
from threading import Lock, Thread
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx

from openpipe_mock import __version__
from openpipe_mock.core.effects import Headers
from openpipe_mock.core.reasons import reason
from openpipe_mock.core.wording import quoted
from openpipe_mock.recording.failures import UpstreamFailed
from openpipe_mock.recording.recording import is_listed
from openpipe_mock.service.admission import is_this_machine

_Result = TypeVar("_Result")
MOST_ANSWER_BYTES = 64 * 2**20
"""Bytes that are read of an answer at most."""
_PASSED = (
    *("content-type", "accept", "user-agent", "idempotency-key"),
    *("op-", "x-stainless-", "x-fern-", "openai-"),
)
"""Headers of a request that are passed on; names, and beginnings of names that end in `-`."""
_MOST_CONNECTIONS = 200


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a recorder may spend.

    `requests`: in all. `rate`: requests a second, 0 for any number. `timeout`: seconds for the next bytes.
    """

    requests: int = 200
    rate: float = 0.0
    timeout: float = 60.0


@dataclass(eq=False, slots=True)
class UpstreamAnswer:
    """An answer that has begun: `next_chunk` gives the pieces of its body as they come.

    `headers` have names in lower case. `started`: when the request was sent, on the monotonic clock.
    """

    upstream: "Upstream"
    response: httpx.Response
    started: float
    status: int
    headers: tuple[tuple[str, str], ...]
    size: int = 0
    pieces: Any = None

    def next_chunk(self) -> "Future[bytes | UpstreamFailed | None]":
        """The next piece, None at the end, or what went wrong."""
        return self.upstream.submit(self._next_chunk())

    def seconds(self) -> float:
        """Seconds since the request was sent."""
        return time.monotonic() - self.started

    async def _next_chunk(self) -> bytes | UpstreamFailed | None:
        self.pieces = self.pieces or self.response.aiter_bytes()
        try:
            piece: bytes | None = await anext(self.pieces, None)
        except httpx.HTTPError as error:
            return self.upstream.failure(error, begun=True)
        except asyncio.CancelledError:
            return _CLOSED
        self.size += len(piece or b"")
        if self.size > MOST_ANSWER_BYTES:
            await self.response.aclose()
            return UpstreamFailed(f"the upstream's answer is longer than {MOST_ANSWER_BYTES // 2**20} MiB.")
        return piece


@dataclass(eq=False)
class Upstream:
    """A server that is asked in place of the mock.

    `url`: its base URL. `key`: sent in place of the clients' keys; "" passes theirs on. `verify`: whether
    its certificate is checked, or a file with the authority that signed it. `sent`: requests so far.
    `around`: a context in which the client runs, such as one in which no mock takes its requests.
    """

    url: str
    key: str = field(default="", repr=False)
    allowance: Allowance = Allowance()
    verify: bool | str = True
    sent: int = 0
    last: float = float("-inf")
    lock: Lock = field(default_factory=Lock, repr=False)
    closed: bool = False
    loop: asyncio.AbstractEventLoop | None = field(default=None, repr=False)
    client: httpx.AsyncClient | None = field(default=None, repr=False)
    around: Callable[[], AbstractContextManager[None]] = nullcontext

    @property
    def host(self) -> str:
        return urlsplit(self.url).netloc

    def send(
        self, method: str, path: str, headers: Headers, body: bytes
    ) -> "Future[UpstreamAnswer | UpstreamFailed]":
        """Send a request; the result is an answer that has begun, or what went wrong.

        Whoever sends has to `abandon` the result in the end.
        """
        if self.sent >= self.allowance.requests:
            spent: Future[UpstreamAnswer | UpstreamFailed] = Future()
            spent.set_result(self.refused_by_budget())
            return spent
        self.sent += 1
        return self.submit(self._send(method, path, self.passed(headers), body))

    def refused_by_budget(self) -> UpstreamFailed:
        return UpstreamFailed(
            f"{self.allowance.requests} requests were passed on, as many as `--max-requests` allows."
        )

    def abandon(self, sending: "Future[UpstreamAnswer | UpstreamFailed]") -> None:
        """Close the connection of a request, whatever is left of its answer, or comes of it later."""

        def close(done: "Future[UpstreamAnswer | UpstreamFailed]") -> None:
            if not done.cancelled() and isinstance(answer := done.result(), UpstreamAnswer):
                self.submit(answer.response.aclose())

        sending.add_done_callback(close)

    def passed(self, headers: Headers) -> dict[bytes, bytes]:
        """The headers that go upstream, with the recorder's key in place of the client's."""
        found = {name: value for name, value in headers.items() if is_listed(name.decode("latin-1"), _PASSED)}
        found.setdefault(b"user-agent", f"openpipe-mock/{__version__}".encode())
        found[b"accept-encoding"] = b"identity"
        if b"authorization" in headers:
            found[b"authorization"] = f"Bearer {self.key}".encode() if self.key else headers[b"authorization"]
        return found

    async def _send(
        self, method: str, path: str, headers: dict[bytes, bytes], body: bytes
    ) -> UpstreamAnswer | UpstreamFailed:
        client = self._client()
        try:
            await self._keep_pace()
            started = time.monotonic()
            # httpx takes the names and values of a mapping for ASCII.
            sent = httpx.Headers(list(headers.items()))
            request = client.build_request(method, self.url + path, headers=sent, content=body or None)
            response = await client.send(request, stream=True)
        except httpx.HTTPError as error:
            return self.failure(error)
        except asyncio.CancelledError:
            return _CLOSED
        if response.has_redirect_location:
            await response.aclose()
            target = urlsplit(response.headers.get("location", "")).netloc or "another path"
            return UpstreamFailed(
                f"{self.host} redirects to {quoted(target)}, which isn't followed; name the final base URL."
            )
        if not 200 <= response.status_code <= 599:
            await response.aclose()
            return UpstreamFailed(f"{self.host} answered {response.status_code}, which is no status.")
        found = tuple(
            (name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in response.headers.raw
        )
        return UpstreamAnswer(self, response, started, response.status_code, found)

    async def _keep_pace(self) -> None:
        """Wait until the rate allows the next request."""
        if not self.allowance.rate:
            return
        due = max(self.last + 1 / self.allowance.rate, time.monotonic())
        self.last = due
        await asyncio.sleep(due - time.monotonic())

    def _client(self) -> httpx.AsyncClient:
        if self.client is None:
            self.client = httpx.AsyncClient(
                timeout=httpx.Timeout(self.allowance.timeout, connect=min(10.0, self.allowance.timeout)),
                limits=httpx.Limits(max_connections=_MOST_CONNECTIONS),
                verify=self._context(),
                trust_env=not is_this_machine(self.host),  # no proxy has to be asked,
                follow_redirects=False,
            )
            self.client.headers.clear()
        return self.client

    def _context(self) -> Any:
        if isinstance(self.verify, str):
            return ssl.create_default_context(cafile=self.verify)
        return self.verify if self.url.startswith("https:") else False

    def failure(self, error: httpx.HTTPError, *, begun: bool = False) -> UpstreamFailed:
        """A failure of the connection in words for people."""
        if isinstance(error, httpx.TimeoutException):
            return UpstreamFailed(f"{self.host} didn't answer in {self.allowance.timeout:g} s.", status=504)
        if begun:
            return UpstreamFailed(f"{self.host} broke off within its answer.")
        if isinstance(error, httpx.ConnectError):
            because = reason(error)
            return UpstreamFailed(f"no connection to {self.host}{f': {because}' if because else ''}.")
        return UpstreamFailed(f"{self.host} hung up, or what it sent is no HTTP.")

    # The event loop.

    def submit(self, coroutine: Coroutine[Any, Any, _Result]) -> "Future[_Result]":
        """Run a coroutine in the client's event loop; after the end its result is a failure."""
        with self.lock:
            if self.closed:
                coroutine.close()
                over: Future[Any] = Future()
                over.set_result(_CLOSED)
                return over
            if self.loop is None:
                self.loop = asyncio.new_event_loop()
                Thread(
                    target=self._run, args=(self.loop,), name="openpipe-mock-upstream", daemon=True
                ).start()
            with self.around():  # the coroutine gets a copy of the context that is current here
                return asyncio.run_coroutine_threadsafe(coroutine, self.loop)

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.run_forever()
        loop.run_until_complete(self._end())
        loop.close()

    async def _end(self) -> None:
        """Give whoever still waits a failure, and close all connections."""
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        if self.client is not None:
            with suppress(Exception):
                await self.client.aclose()

    def close(self) -> None:
        """Close all connections and end the thread."""
        with self.lock:
            self.closed = True
            if self.loop:
                self.loop.call_soon_threadsafe(self.loop.stop)
            self.loop = None


_CLOSED = UpstreamFailed("the recorder was closed before the upstream answered.")


class BadUpstream(ValueError):
    """An upstream can't be used; the message says why and what to do."""


def upstream(url: str, key_env: str = "", ca: str = "", allowance: Allowance | None = None) -> Upstream:
    """The upstream at a base URL. `key_env`: the variable that holds its key; `ca`: a file of authorities.

    Raises BadUpstream.
    """
    try:
        parts = urlsplit(url.strip())
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise BadUpstream("--upstream: expected a base URL such as https://api.openpipe.ai/api/v1")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise BadUpstream("--upstream: give the base URL alone; the key belongs in a variable (--key-env)")
    if key_env and not os.environ.get(key_env):
        raise BadUpstream(f"--key-env {key_env}: this variable isn't set")
    key = key_for(url, os.environ, key_env)
    if not (key.isascii() and key.isprintable()):
        raise BadUpstream("the key holds signs that no header can carry")
    if ca:
        try:
            ssl.create_default_context(cafile=ca)
        except OSError:  # ssl.SSLError is one
            raise BadUpstream(f"--ca {ca}: expected a readable PEM file with certificates") from None
    return Upstream(url.strip().rstrip("/"), key, allowance or Allowance(), ca or True)


def key_for(url: str, environment: Mapping[str, str] = os.environ, name: str = "") -> str:
    """The key that a recorder sends.

    That of the named variable, else OPENPIPE_API_KEY for the service's own hosts over https; "" for none.
    """
    if name:
        return environment.get(name, "")
    parts = urlsplit(url)
    own = parts.scheme == "https" and (parts.hostname or "").endswith(".openpipe.ai")
    return environment.get("OPENPIPE_API_KEY", "") if own else ""
