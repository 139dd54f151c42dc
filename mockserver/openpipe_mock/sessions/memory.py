"""What sessions remember, bounded and in memory: counts, overrides, logged calls, cache and journal.

`Session` and `Sessions`, with their `Journal` and `CallLog`, are all that the rest of the mock knows of its
memory. `redis/` has the same four with the memory in a Redis, for several mocks that shall behave as one.
There a method may raise an ApiError with 503; `find` asks nothing yet, a request begins with `requests += 1`.
"""

import re
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import Any, TypeVar

from openpipe_mock.answers.chat import Completion
from openpipe_mock.answers.scorers import Declared, Form
from openpipe_mock.answers.scripts import Script
from openpipe_mock.config.limits import Limits
from openpipe_mock.config.settings import Settings
from openpipe_mock.core.errors import BadRequest, Conflict, NotFound, SessionNotFound, TooManySessions
from openpipe_mock.core.wording import quoted
from openpipe_mock.faults.kinds import Fault
from openpipe_mock.matching.rules import rulebook
from openpipe_mock.sessions.calllog import CallLog
from openpipe_mock.sessions.journal import Journal

_Value = TypeVar("_Value")
MOST_LOGS = 64
MOST_CACHED = 1000
MOST_CACHED_TOKENS = 1_000_000
MOST_COUNTERS = 10_000
MOST_TURNS = 100_000
MOST_SESSIONS = 100
_MOST_EXPIRED = 100_000
IDLE_SECONDS = 3600.0
"""How long a session lives that nobody uses."""
_MINUTE = 60.0

DEFAULT = "default"
SESSION_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True, slots=True)
class SessionOverrides:
    """What was set at runtime, in front of what the config file says."""

    criteria: Mapping[str, Declared] = field(default_factory=dict)
    completions: tuple[Script, ...] = ()
    faults: tuple[Fault, ...] = ()
    limits: Limits | None = None

    def over(self, base: Settings) -> Settings:
        """The settings that are in force."""
        return replace(
            base,
            criteria={**base.criteria, **self.criteria},
            completions=rulebook(base.completions).under(self.completions),
            faults=rulebook(base.faults).under(self.faults),
            limits=self.limits or base.limits,
        )


NOTHING = SessionOverrides()


@dataclass(slots=True)
class Traffic:
    """What one key does: requests in this minute, which began at `since`, and requests under way."""

    since: float = 0.0
    requests: int = 0
    under_way: int = 0


class Session:
    """The memory of one session. A key sees only what was logged and cached under the same key."""

    def __init__(self, name: str = DEFAULT) -> None:
        self.name = name
        self.used_at = 0.0
        self.opened = False
        """Whether the control API opened it: then no other session takes its place."""
        self.made = 0
        """How many overrides were ever set: their places are numbered, so that none inherits counts."""
        self.requests = 0
        self.under_way = 0
        self.traffic: OrderedDict[bytes, Traffic] = OrderedDict()
        self.new_journal: Callable[[], Journal] = Journal
        self.journal = Journal()
        self.logs: OrderedDict[bytes, CallLog] = OrderedDict()
        self.cache: OrderedDict[bytes, Completion] = OrderedDict()
        self.counts: OrderedDict[bytes, int] = OrderedDict()
        self.turns: OrderedDict[str, int] = OrderedDict()
        self.overrides = NOTHING
        self.own: Settings | None = None
        """Settings of its own, in place of the mock's."""
        self.base: Settings | None = None
        self.in_force = Settings()

    def settings(self, base: Settings) -> Settings:
        """The settings in force: its own or the mock's, and over them what this session overrides."""
        base = self.own or base
        if self.overrides is NOTHING:
            return base
        if self.base is not base:
            self.base, self.in_force = base, self.overrides.over(base)
        return self.in_force

    def use(self, settings: Settings) -> None:
        """Take settings of its own; what was set at runtime stays in front of them."""
        self.own = settings

    def override(self, **changes: Any) -> None:
        """Set something at runtime; requests under way go on as they began."""
        self.overrides = replace(self.overrides, **changes)
        self.base = None

    def wrote(self, part: Declared | Form | Script | Fault | Limits, source: Any, place: str = "") -> None:
        """A part that is about to be set was built from this JSON at this place. Shared memory notes it."""

    def next_place(self) -> str:
        """The place of the next override, in the way of a pointer: `/runtime/1`."""
        self.made += 1
        return f"/runtime/{self.made}"

    def log(self, credential: bytes) -> CallLog:
        """The calls logged under a credential, to add to."""
        return remember(self.logs, credential, self.read_log(credential), MOST_LOGS)

    def read_log(self, credential: bytes) -> CallLog:
        """The same to read: looking never makes another log go."""
        return self.logs.get(credential) or CallLog()

    def count(self, what: bytes | str) -> int:
        """Which time this happens, from 1; counts it.

        Names are those of faults and sequences, which no number of different requests makes forgotten.
        """
        if isinstance(what, str):
            return remember(self.turns, what, self.turns.get(what, 0) + 1, MOST_TURNS)
        return remember(self.counts, what, self.counts.get(what, 0) + 1, MOST_COUNTERS)

    def forget(self) -> None:
        """Begin anew: what comes next is answered as in a new session."""
        self.overrides, self.own, self.base, self.requests = NOTHING, None, None, 0
        self.journal = self.new_journal()  # a request under way keeps the one that it began with
        for shelf in (self.logs, self.cache, self.counts, self.turns, self.traffic):
            shelf.clear()

    def cached(self, key: bytes) -> Completion | None:
        """The completion stored under a key."""
        if key in self.cache:
            self.cache.move_to_end(key)
        return self.cache.get(key)

    def store(self, key: bytes, completion: Completion) -> None:
        """Keep a completion; the least recently used go when there are too many or they are too long."""
        remember(self.cache, key, completion, MOST_CACHED)
        weight = sum(stored.completion_tokens for stored in self.cache.values())
        while weight > MOST_CACHED_TOKENS and len(self.cache) > 1:
            weight -= self.cache.popitem(last=False)[1].completion_tokens

    def enter(self, credential: bytes, limits: Limits, at: float) -> tuple[Traffic, str, float]:
        """A key's request begins: its traffic; where it is over a limit, which one and how long to wait."""
        traffic = remember(
            self.traffic, credential, self.traffic.get(credential) or Traffic(at), MOST_COUNTERS
        )
        if at - traffic.since >= _MINUTE:
            traffic.since, traffic.requests = at, 0
        if limits.concurrent is not None and traffic.under_way >= limits.concurrent:
            return traffic, f"{limits.concurrent} at a time", 1.0
        if limits.requests_per_minute is not None and traffic.requests >= limits.requests_per_minute:
            return traffic, f"{limits.requests_per_minute} a minute", traffic.since + _MINUTE - at
        traffic.requests += 1
        return traffic, "", 0.0


class Sessions:
    """The sessions of a mock, by name. They are few, and one that nobody uses for an hour expires.

    Where there are too many, the least recently used goes of those that requests began; one that the control
    API opened stays. A name that expired stays known as such, so that nobody takes an empty session for the
    one that was.
    """

    def __init__(self) -> None:
        self.default = Session()
        self.named: OrderedDict[str, Session] = OrderedDict()
        self.expired: OrderedDict[str, str] = OrderedDict()
        self.made = 0
        self.base: Callable[[], Settings] = Settings
        """The mock's own settings, over which sessions set theirs."""
        self.place = "this process"

    def find(self, name: str, at: float, *, make: bool = True) -> Session:
        """The session of this name, for a request. One that isn't there is made, if `make` allows it.

        Raises NotFound for one that expired, SessionNotFound for one that may not be made, TooManySessions.
        """
        if name in ("", DEFAULT):
            return self.default
        self.expire(at)
        session = self.named.get(name) or self.make(name, allowed=make)
        session.used_at = at
        self.named.move_to_end(name)
        return session

    def open(self, name: str, at: float) -> Session:
        """The session of this name, for the control API; it is made where it is new, and makes no room for
        those of requests. Raises NotFound for one that expired, Conflict where there is no room."""
        try:
            session = self.find(name, at)
        except TooManySessions:
            raise Conflict(FULL) from None
        session.opened = True
        return session

    def has(self, name: str) -> bool:
        """Whether a session of this name is there now."""
        return name == DEFAULT or name in self.named

    def has_expired(self, name: str) -> bool:
        return name in self.expired

    def known(self, name: str, at: float) -> Session:
        """The session of this name, which must exist: the control API makes none by looking."""
        self.expire(at)
        if name in ("", DEFAULT):
            return self.default
        if name not in self.named:
            raise gone(name, self.expired[name]) if name in self.expired else absent(name)
        self.named[name].used_at = at
        self.named.move_to_end(name)
        return self.named[name]

    def make(self, name: str, *, allowed: bool) -> Session:
        check_name(name)
        if name in self.expired:
            raise gone(name, self.expired[name])
        if not allowed:
            raise absent(name)
        if len(self.named) >= MOST_SESSIONS:
            self.let_go(self.least_used(), "room")
        session = self.named[name] = Session(name)
        return session

    def fresh(self, at: float) -> Session:
        """A new session with a name of its own."""
        self.made += 1
        while f"s{self.made}" in self.named or f"s{self.made}" in self.expired:
            self.made += 1
        return self.open(f"s{self.made}", at)

    def remove(self, name: str) -> None:
        """Close a session; its name may begin anew."""
        self.named.pop(name, None)
        self.expired.pop(name, None)

    def expire(self, at: float) -> None:
        """Let go of those that nobody has used for long and that answer nothing now."""
        for name, session in list(self.named.items()):
            if at - session.used_at <= IDLE_SECONDS:
                break  # those behind it were used later
            if not session.under_way:
                self.let_go(name, "idle")

    def least_used(self) -> str:
        """Which session makes room: it answers something now only if all do. Raises TooManySessions."""
        begun = [session for session in self.named.values() if not session.opened]
        if not begun:
            raise TooManySessions(FULL)
        return next((session.name for session in begun if not session.under_way), begun[0].name)

    def let_go(self, name: str, reason: str) -> None:
        del self.named[name]
        remember(self.expired, name, reason, _MOST_EXPIRED)

    def all(self) -> Iterator[Session]:
        yield self.default
        yield from self.named.values()


REASONS = {
    "idle": f"nobody used it for {IDLE_SECONDS / _MINUTE:.0f} minutes",
    "room": f"made room: a mock keeps {MOST_SESSIONS} sessions",
}
"""Why sessions expire."""
FULL = (
    f"a mock keeps {MOST_SESSIONS} sessions, and each of them was opened by the control API, so that none"
    " makes room; DELETE one that is done with (GET /_mock/sessions lists them)."
)


def gone(name: str, reason: str) -> NotFound:
    """What is said of a session that expired; `reason` is one of REASONS."""
    advice = "ask POST /_mock/sessions for a fresh one, or DELETE it to begin anew under this name"
    return NotFound(f"the session {quoted(name)} has expired ({REASONS[reason]}); {advice}.")


def absent(name: str) -> SessionNotFound:
    return SessionNotFound(f"there is no session {quoted(name)}.")


def check_name(name: str) -> None:
    """Raise BadRequest for what can't be the name of a session."""
    if not SESSION_NAME.fullmatch(name):
        rule = "1 to 64 of A-Z a-z 0-9 _ . -, not beginning with . or -"
        raise BadRequest.at("session", f"expected a name ({rule}), got {quoted(name)}.")


def remember(shelf: OrderedDict[Any, _Value], key: Any, value: _Value, most: int) -> _Value:
    """Put a value on a shelf, whose least recently used one goes when it is full."""
    shelf[key] = value
    shelf.move_to_end(key)
    if len(shelf) > most:
        shelf.popitem(last=False)
    return value


def fingerprint(secret: bytes) -> bytes:
    """What stands for a key in memory: the key itself is never kept."""
    return blake2b(secret, digest_size=16).digest()
