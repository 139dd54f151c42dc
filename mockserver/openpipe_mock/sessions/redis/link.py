"""The way to Redis: one client, short timeouts, and a breaker, so that a Redis that is away stalls nobody."""

import logging
import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote, urlsplit

from openpipe_mock.core.errors import StateUnavailable
from openpipe_mock.core.reasons import reason
from openpipe_mock.core.resources import install_line
from openpipe_mock.core.wording import listed, quoted
from openpipe_mock.sessions.memory import DEFAULT
from openpipe_mock.sessions.redis.scripts import PROBE, RedisScript

if TYPE_CHECKING:
    import redis

_ROOT = "openpipe-mock:"
"""What all keys begin with."""
_TIMEOUT_SECONDS = 0.5
"""How long one connection attempt, and one answer, may take."""
_PROBE_SECONDS = 1.0
"""How often a Redis that was away is asked whether it is back."""
_MOST_REFUSALS = 20
_SCHEMES = ("redis", "rediss", "unix")
_OPTIONS = (
    "db",
    "username",
    "password",
    "ssl_ca_certs",
    "ssl_certfile",
    "ssl_keyfile",
    "ssl_cert_reqs",
    "ssl_check_hostname",
)
"""What the URL's query may say. Timeouts and retries are not among it: the mock depends on its own."""

_log = logging.getLogger("openpipe_mock")


class BadState(Exception):
    """A Redis that can't be used; the message is a line that holds no password."""


class Link:
    """A Redis, and whether it can be asked now.

    `place` is its URL without credentials. `problem` says why it can't be asked, "" while it can. `refusals`:
    what the terminal was told of one that answers amiss. `lost`: exchanges that no journal kept while it was
    away, `unrecorded` all that none ever kept. `last_problem` says what was wrong at the time `failed_at`.
    """

    def __init__(self, url: str) -> None:
        self.place = place(url)
        self.client = _client_of(url, self.place)
        self.problem = ""
        self.refusals: set[str] = set()
        self.lost = 0
        self.unrecorded = 0
        self.last_problem = ""
        self.failed_at = self.gone_at = 0.0
        self.lock = threading.Lock()
        self.closed = threading.Event()

    def run(self, script: RedisScript, name: str, *arguments: Any) -> Any:
        """What a script answers of a session. Raises StateUnavailable: at once while Redis is away."""
        from redis.exceptions import RedisError, ResponseError

        if self.problem:
            raise self.unavailable(self.problem)
        try:
            return self.asked(script, name, *arguments)
        except ResponseError as error:
            raise self.refused(f"refuses: {_told(error)}") from None
        except (RedisError, OSError) as error:
            self.gone(_told(error))
            raise self.unavailable(self.problem or _told(error)) from None

    def asked(self, script: RedisScript, name: str, *arguments: Any) -> Any:
        from redis.exceptions import NoScriptError

        try:
            return self.client.evalsha(script.sha, 1, _ROOT, name, *arguments)
        except NoScriptError:
            return self.client.eval(script.text, 1, _ROOT, name, *arguments)

    def refused(self, problem: str) -> StateUnavailable:
        """Redis answers, but not as it should; the terminal is told once."""
        self.failed(problem)
        if problem not in self.refusals and len(self.refusals) < _MOST_REFUSALS:
            self.refusals.add(problem)
            _log.warning("the Redis at %s %s", self.place, problem)
        return self.unavailable(problem)

    def unavailable(self, problem: str) -> StateUnavailable:
        return StateUnavailable(
            f"this request needs what sessions share, and the Redis at {self.place} {problem}; try again."
        )

    def failed(self, problem: str) -> None:
        self.last_problem, self.failed_at = problem, time.monotonic()

    def missed(self) -> None:
        """An exchange was answered that no journal keeps."""
        self.lost += 1
        self.unrecorded += 1

    def report(self) -> dict[str, Any]:
        """How this mock finds its Redis, as `GET /_mock/status` shows it."""
        now = time.monotonic()
        return {
            "url": self.place,
            "up": not self.problem,
            "away_seconds": round(now - self.gone_at, 3) if self.problem else None,
            "last_problem": self.last_problem or None,
            "last_problem_seconds": round(now - self.failed_at, 3) if self.last_problem else None,
            "unrecorded": self.unrecorded,
        }

    def check(self) -> None:
        """Raise BadState for a Redis that can't be used; afterwards nothing is connected, so one may fork."""
        from redis.exceptions import RedisError

        try:
            self.asked(PROBE, DEFAULT)
        except (RedisError, OSError) as error:
            raise BadState(f"cannot use --state {self.place}: {_told(error)}") from None
        finally:
            self.client.close()

    def gone(self, problem: str) -> None:
        """From now on nobody waits for Redis; a thread asks whether it is back."""
        with self.lock:
            if self.problem or self.closed.is_set():
                return
            self.problem = f"doesn't answer ({problem})"
            self.gone_at = time.monotonic()
            self.failed(self.problem)
        _log.warning(
            "the Redis at %s %s: requests that need what sessions share get 503, the others go on unrecorded",
            self.place,
            self.problem,
        )
        threading.Thread(target=self.wait, name="openpipe-mock-probe", daemon=True).start()

    def wait(self) -> None:
        """Ask until Redis is back."""
        from redis.exceptions import RedisError, ResponseError

        while not self.closed.wait(_PROBE_SECONDS):
            try:
                self.asked(PROBE, DEFAULT)
            except ResponseError:
                pass  # it answers; what it refuses is told to those who ask
            except (RedisError, OSError):
                continue
            lost, self.lost, self.problem = self.lost, 0, ""
            _log.warning("the Redis at %s is back; %d requests went unrecorded", self.place, lost)
            return

    def close(self) -> None:
        self.closed.set()
        self.client.close()


def _client_of(url: str, shown: str) -> "redis.Redis":
    """The client of a URL. Raises BadState."""
    try:
        import redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry
    except ModuleNotFoundError:
        raise BadState(f"--state needs the client of Redis: {install_line('redis')}") from None
    try:
        return redis.Redis.from_url(
            url,
            protocol=2,
            socket_timeout=_TIMEOUT_SECONDS,
            socket_connect_timeout=_TIMEOUT_SECONDS,
            retry=Retry(NoBackoff(), 0),
        )
    except (ValueError, TypeError, LookupError):
        raise BadState(f"cannot use --state {shown}: {_EXPECTED}") from None


_EXPECTED = "expected redis://HOST:PORT/DB, rediss://HOST:PORT/DB or unix:///PATH?db=DB"
_ESCAPES: Mapping[str, str] = {"@": "%40", "/": "%2F", "?": "%3F", "#": "%23"}


def place(url: str) -> str:
    """A URL as everybody may see it: no name, no password, no options. Raises BadState where it is none."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise BadState(f"cannot use --state: {_EXPECTED}; {_advice()}") from None
    if parts.fragment or "@" in parts.path + parts.query or parts.netloc.count("@") > 1:
        raise BadState(f"cannot use --state: {_EXPECTED}; {_advice()}")
    if parts.scheme not in _SCHEMES or not (parts.path if parts.scheme == "unix" else host):
        raise BadState(f"cannot use --state: {_EXPECTED}")
    _check_options(parts.query)
    if parts.scheme == "unix":
        return f"unix://{unquote(parts.path)}"
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown}:{port or 6379}{parts.path.rstrip('/')}"


def _check_options(query: str) -> None:
    unknown = [name for name, _ in parse_qsl(query, keep_blank_values=True) if name not in _OPTIONS]
    if unknown:
        known = listed(map(quoted, _OPTIONS), "and")
        raise BadState(
            f"cannot use --state: its URL has the unknown option {quoted(unknown[0])}; known are {known}"
        )


def _advice() -> str:
    escapes = [f"{sign} as {written}" for sign, written in _ESCAPES.items()]
    return f"in a password write {listed(escapes, 'and')}"


def _told(error: BaseException) -> str:
    """What went wrong, in one line without a full stop."""
    kinds = {kind.__name__ for kind in type(error).__mro__}
    known = next((words for kind, words in _KINDS.items() if kind in kinds), "")
    return known or (_answered(error) if "ResponseError" in kinds else reason(error) or _HUNG_UP)


_KINDS: Mapping[str, str] = {
    "AuthenticationError": "it wants another user name or password than the URL has",
    "NoPermissionError": f"it doesn't let this user run scripts on the keys that begin with {_ROOT}",
    "OutOfMemoryError": "its memory is full; raise its maxmemory, or give the mock a Redis of its own",
    "ReadOnlyError": "it is a replica, which only reads; name its primary",
    "BusyLoadingError": "it is still loading its data",
    "TimeoutError": "no answer in time",
}
"""Classes of redis.exceptions → what they mean here."""
_HUNG_UP = "it broke off the connection"


def _answered(error: BaseException) -> str:
    """What a Redis itself said, quoted: it is another program, whose words its owner looks up."""
    words = " ".join(str(error).split()).partition(" script: ")[0]  # and which of our scripts it was
    if words.startswith("WRONGTYPE"):
        return f"something else lies under keys that begin with {_ROOT}; give the mock a database of its own"
    return f"it says {quoted(words)}"
