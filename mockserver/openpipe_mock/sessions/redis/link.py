"""The connection to Redis. Short timeouts and a breaker keep requests from waiting for one that is away."""

import logging
import re
import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote, urlsplit

from openpipe_mock.core.errors import StateUnavailable
from openpipe_mock.core.reasons import reason
from openpipe_mock.core.resources import install_line
from openpipe_mock.core.wording import listed, quoted, short
from openpipe_mock.sessions.memory import DEFAULT
from openpipe_mock.sessions.redis.scripts import PROBE, RedisScript

if TYPE_CHECKING:
    import redis

_ROOT = "openpipe-mock:"
"""The prefix of all keys."""
_TIMEOUT_SECONDS = 0.5
"""How long a connection attempt, and an answer, may take."""
_PROBE_SECONDS = 1.0
"""The pause between two tries to reach a Redis that is away."""
_MOST_REFUSALS = 20
"""How many different refusals the terminal is told."""
_DATABASE = re.compile("/?|/[0-9]{1,6}/?")
_FOREIGN = re.compile(r"\bFOREIGN (\S+)")
"""What the scripts say of a key that holds something else than a mock wrote."""
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
"""Options that the URL's query may have. Timeouts and retries aren't: the mock needs its own."""

_log = logging.getLogger("openpipe_mock")


class BadState(Exception):
    """Raised for a Redis that can't be used. The message is one line and holds no password."""


class Link:
    """A Redis, and whether it can be asked now. Raises BadState for a URL that isn't one of a Redis.

    `place`: its URL without credentials. `problem`: why it can't be asked, "" while it can. `refusals`: what
    it refused, as the terminal was told. `lost`: how many exchanges no journal kept since it is away.
    `unrecorded`: the same since the start. `last_problem`, `failed_at`: what was wrong last, and when, by
    `time.monotonic`. `gone_at`: since when it is away, by the same clock.
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
        """Run a script on a session and return its answer.

        Raises StateUnavailable where Redis doesn't answer or refuses; while it is away, without asking it.
        """
        from redis.exceptions import RedisError, ResponseError

        if self.problem:
            raise self.unavailable(self.problem)
        try:
            return self.asked(script, name, *arguments)
        except ResponseError as error:
            found = _FOREIGN.search(str(error))
            raise self.refused(_holds_foreign(found[1]) if found else f"refuses: {_told(error)}") from None
        except (RedisError, OSError) as error:
            self.gone(_told(error))
            raise self.unavailable(self.problem or _told(error)) from None

    def asked(self, script: RedisScript, name: str, *arguments: Any) -> Any:
        """Run a script and return its answer. Raises the client's errors."""
        from redis.exceptions import NoScriptError

        try:
            return self.client.evalsha(script.sha, 1, _ROOT, name, *arguments)
        except NoScriptError:
            return self.client.eval(script.text, 1, _ROOT, name, *arguments)

    def refused(self, problem: str) -> StateUnavailable:
        """Return the error for a Redis that answers with an error, and tell the terminal once."""
        self.failed(problem)
        if problem not in self.refusals and len(self.refusals) < _MOST_REFUSALS:
            self.refusals.add(problem)
            _log.warning("the Redis at %s %s", self.place, problem)
        return self.unavailable(problem)

    def unavailable(self, problem: str) -> StateUnavailable:
        """Return the error (503) for a request that needs Redis. `problem`: a verb phrase about it."""
        return StateUnavailable(
            f"this request needs what sessions share, and the Redis at {self.place} {problem}; try again."
        )

    def foreign(self, key: str) -> StateUnavailable:
        """Return the error for a key, without its prefix, that holds something else than a mock wrote."""
        return self.refused(_holds_foreign(f"{_ROOT}{key}"))

    def failed(self, problem: str) -> None:
        """Note the last problem and its time."""
        self.last_problem, self.failed_at = problem, time.monotonic()

    def missed(self) -> None:
        """Count an exchange that was answered and that no journal keeps."""
        with self.lock:
            self.lost += 1
            self.unrecorded += 1

    def report(self) -> dict[str, Any]:
        """Return the state of this Redis as `GET /_mock/status` answers it."""
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
        """Raise BadState for a Redis that can't be used. Afterwards no connection is open, for forks."""
        from redis.exceptions import RedisError

        try:
            self.asked(PROBE, DEFAULT)
        except (RedisError, OSError) as error:
            raise BadState(f"cannot use --state {self.place}: {_told(error)}") from None
        finally:
            self.client.close()

    def gone(self, problem: str) -> None:
        """Stop asking Redis, and start a thread that looks whether it is back."""
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
        """Ask Redis until it answers, then let requests use it again."""
        from redis.exceptions import RedisError, ResponseError

        while not self.closed.wait(_PROBE_SECONDS):
            try:
                self.asked(PROBE, DEFAULT)
            except ResponseError:
                pass  # it answers, so it is back; each request is told what it refuses
            except (RedisError, OSError):
                continue
            lost, self.lost, self.problem = self.lost, 0, ""
            _log.warning("the Redis at %s is back; %d requests went unrecorded", self.place, lost)
            return

    def close(self) -> None:
        """Close the connections and end the thread that looks for Redis."""
        self.closed.set()
        self.client.close()


def _client_of(url: str, shown: str) -> "redis.Redis":
    """The client for a URL; `shown` stands for the URL in errors. Raises BadState."""
    try:
        import msgspec  # noqa: F401  `codec` needs it
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
_ADVICE = "in a password write @ as %40, / as %2F, ? as %3F and # as %23"


def place(url: str) -> str:
    """Return a URL without user, password and options, as anybody may see it.

    Raises BadState for a text that isn't the URL of a Redis.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise BadState(f"cannot use --state: {_EXPECTED}; {_ADVICE}") from None
    if parts.fragment or "@" in parts.path + parts.query or parts.netloc.count("@") > 1:
        raise BadState(f"cannot use --state: {_EXPECTED}; {_ADVICE}")
    if parts.scheme not in _SCHEMES or not (parts.path if parts.scheme == "unix" else host):
        raise BadState(f"cannot use --state: {_EXPECTED}")
    _check_options(parts.query)
    if parts.scheme != "unix" and not _DATABASE.fullmatch(parts.path):
        raise BadState(f"cannot use --state: {_EXPECTED}, where DB is a number")
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


def _told(error: BaseException) -> str:
    """What went wrong, in one line without a full stop, from an error of the client's."""
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
"""Class of `redis.exceptions` → what it means here."""
_HUNG_UP = "it broke off the connection"


def _holds_foreign(key: str) -> str:
    told = f"holds something else than a mock wrote under the key {quoted(short(key, 200))}"
    return f"{told}; delete that, or give the mock a database of its own"


def _answered(error: BaseException) -> str:
    """What Redis said, quoted, so that its owner can look it up."""
    words = " ".join(str(error).split()).partition(" script: ")[0]  # and which of our scripts it was
    return f"it says {quoted(words)}"
