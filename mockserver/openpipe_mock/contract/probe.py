"""The suite's HTTP client: it counts and paces requests, bounds answers, and records no secrets.

`Probe.send` returns an `Exchange`, also for a server that hangs, hangs up or speaks no HTTP: `failure` then
says in plain words what happened. Requests are recorded without the key, and where a server repeats the key,
`$OPENPIPE_API_KEY` takes its place.
"""

import http.cookiejar
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import Any, Literal

import httpx

from openpipe_mock import __version__
from openpipe_mock.contract.decoding import NotDecodable, TooManyEncodings, decoded
from openpipe_mock.contract.target import KEY_VARIABLE, Target
from openpipe_mock.core import eventstream, strictjson
from openpipe_mock.core.errors import ParseError
from openpipe_mock.core.eventtexts import joined_texts
from openpipe_mock.core.reasons import chain, reason
from openpipe_mock.core.secrets import Mask, environment_keys

Credential = Literal["key", "none", "wrong"]
NameCase = Literal["lower", "title", "upper"]
_Headers = tuple[tuple[str, str], ...]

STAND_IN = f"${KEY_VARIABLE}"
_NO_KEY = "op-contract"
"""The key that is sent where the user gave none. Mocks accept any."""
WRONG_KEY = "invalid-key-of-the-contract-suite"
_AGENT = f"openpipe-mock-contract/{__version__}"

_MOST_BYTES = 8 * 2**20
"""Bytes that are read of an answer at most."""
_MOST_QUOTED = 2**16
"""Bytes of an answer that a finding keeps."""
_LONGEST_WAIT = 10.0
"""Seconds that a `Retry-After` may ask for. For longer ones nothing is sent again."""
MOST_PATIENCE = 60.0
"""Seconds that a whole run spends waiting at most."""
_MOST_WAITS = 3
_LONGEST_PACE = 0.2
"""Seconds between two requests to a server that was busy once, at most."""
_BUSY = (429, 503)


@dataclass(frozen=True, slots=True)
class Request:
    """A request as data, without the key: the same value means the same bytes on the wire.

    name_case   how the names of all headers are written
    connection  requests of the same name here share a connection of their own; "" for any
    """

    method: str
    path: str
    body: bytes = b""
    headers: _Headers = ()
    credential: Credential = "key"
    name_case: NameCase = "lower"
    connection: str = ""

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
    hangups  how often the server had hung up on a kept connection, where it did so here; the request was
             sent again
    """

    request: Request
    status: int = 0
    headers: _Headers = ()
    body: bytes = b""
    failure: str = ""
    seconds: float = 0.0
    hangups: int = 0

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

    @property
    def silent(self) -> bool:
        """Whether no answer began."""
        return bool(self.failure) and not self.status

    @property
    def large(self) -> bool:
        """Whether the body is longer than what findings keep of it."""
        return len(self.body) > _MOST_QUOTED

    def quoted(self) -> "Exchange":
        """The exchange with the beginning of its body, without what was parsed of it."""
        return replace(self, body=self.body[:_MOST_QUOTED])

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


class _Line:
    """One thread's way to the server: an HTTP client, and its connection while there is one."""

    def __init__(self, probe: "Probe") -> None:
        self._probe = probe
        self._client: httpx.Client | None = None
        self._connection: socket.socket | None = None

    @property
    def kept(self) -> bool:
        """Whether a connection of an earlier request may be used again."""
        return self._client is not None

    @property
    def client(self) -> httpx.Client:
        self._client = self._client or self._probe.new_client()
        return self._client

    def trace(self, event: str, info: Mapping[str, Any]) -> None:
        """Take a second handle of each connection, which stays when TLS takes over the first."""
        if event.endswith("connect_tcp.complete"):
            self._release()
            self._connection = info["return_value"].get_extra_info("socket").dup()

    def cut(self) -> None:
        """End what goes on at the connection. May be called by any thread."""
        connection = self._connection
        if connection:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._release()
        client, self._client = self._client, None
        if client:
            client.close()

    def _release(self) -> None:
        connection, self._connection = self._connection, None
        if connection:
            connection.close()


class _Deadline:
    """Cuts a line when an exchange takes too long. httpx bounds each read, and no exchange as a whole."""

    def __init__(self, line: _Line, seconds: float) -> None:
        self._line, self._lock, self._over = line, threading.Lock(), False
        self.passed = False
        self._timer = threading.Timer(seconds, self._pass)
        self._timer.daemon = True

    def __enter__(self) -> "_Deadline":
        self._timer.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._timer.cancel()
        with self._lock:
            self._over = True

    def _pass(self) -> None:
        with self._lock:
            if not self._over:
                self.passed = True
                self._line.cut()


@dataclass
class Probe:
    """Sends requests to one server and counts them. Threads may share it; each has a client of its own.

    clock, sleep  in seconds; without `sleep`, waits end when the probe is stopped
    waiting       is called with the seconds before each wait for a busy server
    sent          all requests on the wire
    waited        seconds of waiting for a busy server
    resends       requests that may still be sent again, as the server was busy or had hung up
    slowed        the server was busy, or had no answer beside others; requests go one at a time since then
    hangups       how often it hung up on a kept connection; at one moment counts once
    """

    target: Target
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], object] | None = None
    transport: httpx.BaseTransport | None = None
    waiting: Callable[[float], object] = lambda seconds: None
    resends: int = 10
    sent: int = 0
    waited: float = 0.0
    slowed: bool = False
    hangups: int = 0

    def __post_init__(self) -> None:
        self._lock, self._again, self._stopped = threading.Lock(), threading.Lock(), threading.Event()
        self._threads, self._lines, self._named = threading.local(), list[_Line](), dict[str, _Line]()
        self._interval = 1 / self.target.rate if self.target.rate else 0.0
        self._next = self._hung_up = float("-inf")
        self._window, self._served = 0.0, 0

    @property
    def line(self) -> _Line:
        """The line of the calling thread."""
        if not hasattr(self._threads, "line"):
            self._threads.line = self._new_line()
        found: _Line = self._threads.line
        return found

    def _line_of(self, request: Request) -> _Line:
        """The line that a request takes."""
        if not request.connection:
            return self.line
        if request.connection not in self._named:
            self._named[request.connection] = self._new_line()
        return self._named[request.connection]

    def _new_line(self) -> _Line:
        line = _Line(self)
        self._lines.append(line)
        return line

    def new_client(self) -> httpx.Client:
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

    def stop(self) -> None:
        """End every exchange that is under way; nothing more is sent."""
        self._stopped.set()
        for line in list(self._lines):
            line.cut()

    def close(self) -> None:
        """Close the connections, of which none may be in use."""
        for line in self._lines:
            line.close()

    @property
    def left(self) -> int:
        return 0 if self._stopped.is_set() else max(0, self.target.max_requests - self.sent)

    def send(self, request: Request) -> Exchange:
        """Send a request, again after a wait while the server is busy, and return the last exchange.

        Raises BudgetSpent when no request is left.
        """
        exchange, answered = self._once(request), self.clock()
        if exchange.busy:
            with self._again:  # one at a time: a server may be busy as it takes few requests at once
                exchange = self._until_served(exchange, answered)
        return exchange

    def again(self, exchange: Exchange) -> Exchange:
        """Send a request once more that failed beside others, since the server may take fewer at once.

        Nothing else may be under way. If it is answered now, requests go one at a time from then on.
        """
        with self._lock:
            allowed = self._may_resend()
        if not allowed:
            return exchange
        alone = self._once(exchange.request)
        self.slowed = self.slowed or not alone.failure
        return alone

    def _until_served(self, exchange: Exchange, answered: float) -> Exchange:
        """Send a request again that was answered at a time by "busy", for as long as that may take."""
        for attempt in range(_MOST_WAITS):
            seconds = _pause(exchange, attempt)
            if seconds is None or seconds > _LONGEST_WAIT or not self._wait(answered + seconds):
                break
            exchange, answered = self._once(exchange.request), self.clock()
        return exchange

    def _wait(self, until: float) -> bool:
        """Wait for a busy server up to a time, unless patience or what may be sent again is at its end."""
        with self._lock:
            now = self.clock()
            seconds, until = max(0.0, until - now), max(self._next, until)
            longer = until - max(self._next, now)
            if self.waited + longer > MOST_PATIENCE or not self._may_resend():
                return False
            self.waited += longer
            self._slow_down(until)
        self.waiting(seconds)
        self._sleep(seconds)
        return True

    def _sleep(self, seconds: float) -> None:
        (self.sleep or self._stopped.wait)(seconds)

    def _may_resend(self) -> bool:
        """Whether a request may be sent again; it is counted here."""
        allowed = self.resends > 0 and self.left > 0
        self.resends -= allowed
        return allowed

    def _slow_down(self, until: float) -> None:
        """Send nothing before that time, and from then on no faster than the server took requests so far."""
        self.slowed, self._next = True, until
        if self._served:
            self._interval = max(self._interval, min((until - self._window) / self._served, _LONGEST_PACE))
        self._served = 0

    def _once(self, request: Request) -> Exchange:
        """Send a request without waiting; once more where the server had closed a kept connection."""
        kept, started = self._line_of(request).kept, self.clock()
        exchange = self._attempt(request)
        if not (kept and exchange.failure == NO_ANSWER) or self._stopped.is_set():
            return exchange
        with self._lock:
            if started > self._hung_up:
                self.hangups += 1
            self._hung_up, hangups = self.clock(), self.hangups
            allowed = self._may_resend()
        return replace(self._attempt(request) if allowed else exchange, hangups=hangups)

    def _attempt(self, request: Request) -> Exchange:
        self._keep_pace()
        line, pieces, failure = self._line_of(request), list[bytes](), ""
        exchange, started = Exchange(request), self.clock()
        url = f"{self.target.url}{request.path}"
        headers = [(name.encode(), value.encode()) for name, value in self.headers(request)]
        with _Deadline(line, self.target.timeout) as deadline:
            try:
                with line.client.stream(
                    request.method,
                    url,
                    content=request.body or None,
                    headers=headers,
                    extensions={"trace": line.trace},
                ) as response:
                    head = tuple((name.lower(), value) for name, value in response.headers.multi_items())
                    exchange = Exchange(request, response.status_code, head)
                    failure = self._read(response, pieces, started + self.target.timeout)
            except httpx.HTTPError as error:
                failure = _plain(error, exchange)
            except httpx.InvalidURL as error:
                failure = f"the URL can't be used: {error}"
        if deadline.passed:
            failure = NOT_IN_TIME if exchange.status else SILENT
        if failure:
            line.close()
        seconds = self.clock() - started
        return self._redacted(replace(exchange, body=b"".join(pieces), failure=failure, seconds=seconds))

    def _read(self, response: httpx.Response, pieces: list[bytes], end: float) -> str:
        """Append the body's pieces as they arrive. Returns why it was not read to its end, "" if it was."""
        size = 0
        try:
            for piece in decoded(response.iter_raw(), response.headers.get("content-encoding", "")):
                pieces.append(piece)
                size += len(piece)
                if size > _MOST_BYTES:
                    return ENDLESS
                if self.clock() > end:
                    return NOT_IN_TIME
        except NotDecodable:
            return NOT_DECODABLE
        except TooManyEncodings:
            return TOO_MANY_ENCODINGS
        return ""

    def headers(self, request: Request) -> Iterator[tuple[str, str]]:
        """All headers that go on the wire, the key among them. They are never recorded."""
        written = getattr(str, request.name_case)
        yield from ((written(name), value) for name, value in self._headers(request))

    def _headers(self, request: Request) -> Iterator[tuple[str, str]]:
        own = {name.lower() for name, _ in request.headers}
        standard = {"accept": "*/*", "accept-encoding": "identity", "user-agent": _AGENT}
        yield from ((name, value) for name, value in standard.items() if name not in own)
        keys = {"key": self.target.key or _NO_KEY, "wrong": WRONG_KEY}
        if request.credential in keys:
            yield "authorization", f"Bearer {keys[request.credential]}"
        yield from request.headers

    def _keep_pace(self) -> None:
        """Count a request and wait for its turn. Raises BudgetSpent."""
        with self._lock:
            if not self.left:
                raise BudgetSpent
            now = self.clock()
            turn = max(now, self._next)
            self._next = turn + self._interval
            self._window = self._window if self._served else turn
            self._served += 1
            self.sent += 1
        if turn > now:
            self._sleep(turn - now)

    @cached_property
    def mask(self) -> Mask:
        return Mask(*map(os.fsencode, (*self.target.secrets, *environment_keys())))

    def _redacted(self, exchange: Exchange) -> Exchange:
        """The exchange without the key and those of the environment, wherever the server repeated them."""
        headers, body = exchange.headers, exchange.body
        for secret in self.target.secrets:
            headers = tuple((name, value.replace(secret, STAND_IN)) for name, value in headers)
            body = body.replace(secret.encode(), STAND_IN.encode())
        headers = tuple((name, self.mask.known(value)) for name, value in headers)
        told = joined_texts(body) if exchange.header("content-type").startswith("text/event-stream") else ()
        if any(self.mask.known(text) != text for text in told):
            body = self.mask.stream(body)
        body = self.mask.final(body)
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
SILENT = "no answer in time"
NO_HTTP = "it does not speak HTTP"
NO_TLS = "no connection: it speaks no TLS"
NOT_IN_TIME = "its answer was not complete in time"
NOT_DECODABLE = "the body is not encoded as its Content-Encoding says"
TOO_MANY_ENCODINGS = "the body is encoded more than twice"
ENDLESS = f"its answer is longer than {_MOST_BYTES // 2**20} MiB"
_PLAIN: tuple[tuple[type[httpx.HTTPError], str], ...] = (
    (httpx.ConnectTimeout, "no connection in time"),
    (httpx.TimeoutException, SILENT),
    (httpx.ConnectError, "no connection"),
    (httpx.UnsupportedProtocol, "the URL can't be used"),
    (httpx.ProxyError, "the proxy refused the connection"),
)


def _plain(error: httpx.HTTPError, exchange: Exchange) -> str:
    """A transport error in words for people."""
    words = next((words for kind, words in _PLAIN if isinstance(error, kind)), "")
    if isinstance(error, httpx.ConnectError):
        if any(getattr(each, "reason", "") in _NO_TLS_REASONS for each in chain(error)):
            return NO_TLS
        because = reason(error)
        return f"{words} ({because})" if because else words
    if words:
        return NOT_IN_TIME if exchange.status and words == SILENT else words
    if exchange.status:
        return "it broke off within the answer"
    return NO_HTTP if any(map(_came_from_parser, chain(error))) else NO_ANSWER


_NO_TLS_REASONS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST")
"""What OpenSSL says, by version, where the other side answers in plain text."""


def _came_from_parser(error: BaseException) -> bool:
    """Whether an error is the HTTP parser's: then something arrived, and it was no HTTP."""
    return type(error).__module__.partition(".")[0] == "h11"
