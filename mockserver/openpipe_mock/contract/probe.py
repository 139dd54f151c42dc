"""The suite's HTTP client: it counts and paces requests, bounds answers, and records no secrets.

`Probe.send` returns an `Exchange`, also for a server that hangs, hangs up or speaks no HTTP: `failure` then
says in plain words what happened. Requests are recorded without the key, and where a server repeats the key,
`$OPENPIPE_API_KEY` takes its place.
"""

import http.cookiejar
import json
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import Any, Literal

import httpx

from openpipe_mock import __version__
from openpipe_mock.contract.target import KEY_VARIABLE, Target
from openpipe_mock.core import eventstream, strictjson
from openpipe_mock.core.errors import ParseError
from openpipe_mock.core.reasons import chain, reason

Credential = Literal["key", "none", "wrong"]
_Headers = tuple[tuple[str, str], ...]

STAND_IN = f"${KEY_VARIABLE}"
_NO_KEY = "op-contract"
"""The key that is sent where the user gave none. Mocks accept any."""
WRONG_KEY = "invalid-key-of-the-contract-suite"
_AGENT = f"openpipe-mock-contract/{__version__}"

_MOST_BYTES = 32 * 2**20
"""Bytes that are read of an answer at most."""
_LONGEST_WAIT = 10.0
"""Seconds that a `Retry-After` may ask for. For longer ones nothing is sent again."""
MOST_PATIENCE = 60.0
"""Seconds that a whole run spends waiting at most."""
_MOST_WAITS = 3
_BUSY = (429, 503)


@dataclass(frozen=True, slots=True)
class Request:
    """A request as data, without the key: the same value means the same bytes on the wire."""

    method: str
    path: str
    body: bytes = b""
    headers: _Headers = ()
    credential: Credential = "key"

    @property
    def endpoint(self) -> str:
        """`judge` or `chat`, "" for any other path."""
        return {"/criteria/judge": "judge", "/chat/completions": "chat"}.get(self.path, "")

    def header(self, name: str) -> str:
        return _found(self.headers, name)

    def value(self) -> Any:
        """The JSON value of the body, None where it is no JSON."""
        with suppress(ValueError):
            return json.loads(self.body)
        return None


@dataclass(frozen=True)
class Exchange:
    """A request and what came of it.

    status   0 when no answer began
    body     what arrived of the body, decoded
    failure  what went wrong in transport, in plain words; "" when nothing did
    seconds  from the first byte sent to the last received, without waiting
    """

    request: Request
    status: int = 0
    headers: _Headers = ()
    body: bytes = b""
    failure: str = ""
    seconds: float = 0.0

    def header(self, name: str) -> str:
        return _found(self.headers, name)

    @property
    def media(self) -> str:
        """The answer's content type without parameters, in lower case."""
        return self.header("content-type").partition(";")[0].strip().lower()

    @property
    def ok(self) -> bool:
        return self.status == 200 and not self.failure

    @property
    def refused(self) -> bool:
        """Whether the server said no, other than for being busy."""
        return 400 <= self.status < 500 and self.status not in _BUSY and not self.failure

    @property
    def busy(self) -> bool:
        return self.status == 429 or (self.status == 503 and bool(self.header("retry-after")))

    @cached_property
    def parsed(self) -> tuple[Any, str]:
        """The body's JSON value and "", or None and what is wrong with the text."""
        return parse_json(self.body)

    @property
    def value(self) -> Any:
        """The JSON value, None where the body is none."""
        return self.parsed[0]

    @cached_property
    def stream(self) -> eventstream.EventStream:
        return eventstream.read_events(self.body)


def parse_json(text: bytes) -> tuple[Any, str]:
    """The JSON value of a text and "", or None and what is wrong with it."""
    try:
        return strictjson.parse(text), ""
    except ParseError as error:
        return None, error.message.removeprefix(f"{ParseError.words}: ")


def _found(headers: _Headers, name: str) -> str:
    return next((value for key, value in headers if key.lower() == name.lower()), "")


def wire(value: Any) -> bytes:
    """A value as a JSON body in UTF-8, without spaces. Keys keep their order, lone surrogates are kept."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "surrogatepass")


class BudgetSpent(Exception):
    """The budget has no request left."""


class Unanswered(Exception):
    """Too many requests got no answer; further ones would only take time."""


_NEVER_HEARD, _IN_A_ROW, _IN_ALL = 2, 5, 8
"""Unanswered requests after which no more are sent: to a server that never answered, in a row, in all."""


@dataclass
class Probe:
    """Sends requests to one server and counts them. Not for several threads.

    `clock` and `sleep` are in seconds. `waited` sums up the waiting for a busy server. `silences` counts the
    unanswered requests in a row, `unanswered` all of them; `heard` says whether any was answered.
    """

    target: Target
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    transport: httpx.BaseTransport | None = None
    sent: int = 0
    waited: float = 0.0
    heard: bool = False
    silences: int = 0
    unanswered: int = 0
    last: float = field(default=float("-inf"))

    @cached_property
    def client(self) -> httpx.Client:
        """A client without cookies, redirects, compression and, for local servers, proxies."""
        client = httpx.Client(
            transport=self.transport,
            timeout=httpx.Timeout(self.target.timeout, connect=min(self.target.timeout, 5.0)),
            trust_env=not self.target.local,
            verify=not self.target.url.startswith("http:"),  # loading the CA certificates takes 30 ms
            follow_redirects=False,
            headers={},
        )
        client.headers.clear()
        client.cookies.jar.set_policy(http.cookiejar.DefaultCookiePolicy(allowed_domains=[]))
        return client

    def close(self) -> None:
        if "client" in self.__dict__:
            self.client.close()
            del self.client

    @property
    def left(self) -> int:
        return max(0, self.target.max_requests - self.sent)

    def send(self, request: Request) -> Exchange:
        """Send a request, again after a wait while the server is busy, and return the last exchange.

        Raises BudgetSpent when no request is left, Unanswered when too many got no answer.
        """
        exchange = self.once(request)
        for attempt in range(_MOST_WAITS):
            seconds = _pause(exchange, attempt)
            if (
                seconds is None
                or seconds > _LONGEST_WAIT
                or self.waited + seconds > MOST_PATIENCE
                or not self.left
            ):
                break
            self.waited += seconds
            self.sleep(seconds)
            exchange = self.once(request)
        return exchange

    def once(self, request: Request) -> Exchange:
        """Send a request without waiting; once more where the server had closed a kept connection."""
        reused, exchange = "client" in self.__dict__, self.attempt(request)
        if reused and exchange.failure == NO_ANSWER and self.left:
            self.close()
            exchange = self.attempt(request)
        silent = bool(exchange.failure) and not exchange.status
        self.heard = self.heard or not silent
        self.silences = self.silences + 1 if silent else 0
        self.unanswered += silent
        return exchange

    def attempt(self, request: Request) -> Exchange:
        if self.silences >= (_IN_A_ROW if self.heard else _NEVER_HEARD) or self.unanswered >= _IN_ALL:
            raise Unanswered
        if not self.left:
            raise BudgetSpent
        self.keep_pace()
        self.sent += 1
        started, pieces, failure = self.clock(), list[bytes](), ""
        exchange = Exchange(request)
        url, headers = f"{self.target.url}{request.path}", list(self.headers(request))
        try:
            with self.client.stream(
                request.method, url, content=request.body or None, headers=headers
            ) as response:
                head = tuple((name.lower(), value) for name, value in response.headers.multi_items())
                exchange = Exchange(request, response.status_code, head)
                failure = self.read(response, pieces, started + self.target.timeout)
        except httpx.HTTPError as error:
            failure = _plain(error, exchange)
            self.close()
        except httpx.InvalidURL as error:
            failure = f"the URL can't be used: {error}"
        seconds = self.clock() - started
        return self.redacted(replace(exchange, body=b"".join(pieces), failure=failure, seconds=seconds))

    def read(self, response: httpx.Response, pieces: list[bytes], end: float) -> str:
        """Append the body's pieces as they arrive. Returns why it was not read to its end, "" if it was."""
        size = 0
        for piece in response.iter_bytes():
            pieces.append(piece)
            size += len(piece)
            if size > _MOST_BYTES:
                return ENDLESS
            if self.clock() > end:
                return NOT_IN_TIME
        return ""

    def headers(self, request: Request) -> Iterator[tuple[str, str]]:
        """All headers that go on the wire, the key among them. They are never recorded."""
        own = {name.lower() for name, _ in request.headers}
        standard = {"accept": "*/*", "accept-encoding": "identity", "user-agent": _AGENT}
        yield from ((name, value) for name, value in standard.items() if name not in own)
        keys = {"key": self.target.key or _NO_KEY, "wrong": WRONG_KEY}
        if request.credential in keys:
            yield "authorization", f"Bearer {keys[request.credential]}"
        yield from request.headers

    def keep_pace(self) -> None:
        if self.target.rate:
            due = self.last + 1 / self.target.rate
            if self.clock() < due:
                self.sleep(due - self.clock())
        self.last = self.clock()

    def redacted(self, exchange: Exchange) -> Exchange:
        """The exchange without the key, wherever the server repeated it."""
        headers, body = exchange.headers, exchange.body
        for secret in self.target.secrets:
            headers = tuple((name, value.replace(secret, STAND_IN)) for name, value in headers)
            body = body.replace(secret.encode(), STAND_IN.encode())
        headers = tuple((name, value) for name, value in headers if name != "set-cookie")
        return replace(exchange, headers=headers, body=body)


def _pause(exchange: Exchange, attempt: int) -> float | None:
    """Seconds to wait before a busy server is asked again, None where it isn't busy."""
    if not exchange.busy:
        return None
    asked = exchange.header("retry-after").strip()
    if asked.isdigit():
        return float(asked[:9])
    with suppress(ValueError, TypeError):
        return max(0.0, parsedate_to_datetime(asked).timestamp() - time.time())
    return float(2**attempt)


NO_ANSWER = "it hung up without an answer"
NOT_IN_TIME = "its answer was not complete in time"
ENDLESS = f"its answer is longer than {_MOST_BYTES // 2**20} MiB"
_PLAIN: tuple[tuple[type[httpx.HTTPError], str], ...] = (
    (httpx.ConnectTimeout, "no connection in time"),
    (httpx.TimeoutException, "no answer in time"),
    (httpx.ConnectError, "no connection"),
    (httpx.DecodingError, "the body is not encoded as its Content-Encoding says"),
    (httpx.UnsupportedProtocol, "the URL can't be used"),
    (httpx.ProxyError, "the proxy refused the connection"),
)


def _plain(error: httpx.HTTPError, exchange: Exchange) -> str:
    """A transport error in words for people."""
    words = next((words for kind, words in _PLAIN if isinstance(error, kind)), "")
    if isinstance(error, httpx.ConnectError):
        because = reason(error)
        return f"{words} ({because})" if because else words
    if words:
        return words
    if exchange.status:
        return "it broke off within the answer"
    return "it does not speak HTTP" if any(map(_came_from_parser, chain(error))) else NO_ANSWER


def _came_from_parser(error: BaseException) -> bool:
    """Whether an error is the HTTP parser's: then something arrived, and it was no HTTP."""
    return type(error).__module__.partition(".")[0] == "h11"
