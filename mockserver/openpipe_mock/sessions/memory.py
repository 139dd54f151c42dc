"""Sessions and what they remember, in memory: counts, overrides, logged calls, cache and journal.

The rest of the mock uses memory through `Session` and `Sessions`, with their `Journal` and `CallLog`.
`redis/` has subclasses of these four that keep everything in a Redis, so that several mocks behave as one.
Their methods may also raise StateUnavailable (503).
"""

import re
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from hashlib import blake2b
from typing import Any, TypeVar

from openpipe_mock.answers.chat import Completion
from openpipe_mock.answers.scorers import Declared, Form
from openpipe_mock.answers.scripts import Script
from openpipe_mock.config.limits import Limits
from openpipe_mock.config.project import EMPTY, Project
from openpipe_mock.config.settings import Settings, Unknown
from openpipe_mock.core.errors import BadRequest, Conflict, NotFound, SessionNotFound, TooManySessions
from openpipe_mock.core.wording import quoted
from openpipe_mock.faults.fault import Fault
from openpipe_mock.matching.rules import rulebook
from openpipe_mock.sessions.calllog import CallLog
from openpipe_mock.sessions.journal import Journal
from openpipe_mock.sessions.room import Keeper, Room

_Value = TypeVar("_Value")
MOST_LOGS = 64
MOST_CACHED = 1000
MOST_CACHED_TOKENS = 1_000_000
MOST_COUNTERS = 10_000
MOST_TURNS = 100_000
MOST_SESSIONS = 100
_MOST_EXPIRED = 100_000
IDLE_SECONDS = 3600.0
"""How long a session is kept that nobody uses."""
_MINUTE = 60.0

APART = "each process by itself"
"""The place of sessions where several processes share none."""
DEFAULT = "default"
SESSION_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")


@dataclass(slots=True)
class SessionOverrides:
    """What was set at runtime, `project` by clients. It comes before the file. Treat it as immutable."""

    # Not frozen: `over` keeps what it made last, in `made`.

    criteria: Mapping[str, Declared] = field(default_factory=dict)
    completions: tuple[Script, ...] = ()
    faults: tuple[Fault, ...] = ()
    limits: Limits | None = None
    unknown_criteria: Unknown | None = None
    project: Project = EMPTY
    made: tuple[Settings, Settings] | None = field(default=None, init=False, repr=False, compare=False)

    def over(self, base: Settings) -> Settings:
        """Return the settings with these overrides on top, for the same settings the same."""
        made = self.made
        if made is None or made[0] is not base:
            changed = replace(
                base,
                criteria={**base.criteria, **self.criteria},
                completions=rulebook(base.completions).under(self.completions),
                faults=rulebook(base.faults).under(self.faults),
                limits=self.limits or base.limits,
                unknown_criteria=self.unknown_criteria or base.unknown_criteria,
                project=self.project,
            )
            self.made = made = base, changed
        return made[1]


NOTHING = SessionOverrides()


@dataclass(slots=True)
class Traffic:
    """The requests of one key: those of the minute that began at `since`, and those under way."""

    since: float = 0.0
    requests: int = 0
    under_way: int = 0

    def spent(self, at: float) -> tuple[int, float]:
        """How many requests came in this minute, and the seconds to its end. `at`: now, in seconds."""
        return self.requests, self.since + _MINUTE - at

    def leave(self) -> None:
        """End one of the requests under way."""
        self.under_way -= 1


class Session:
    """The memory of one session. A key sees only what was logged and cached under the same key."""

    def __init__(self, name: str = DEFAULT, room: Room | None = None) -> None:
        self.name = name
        self.room = room or Room()
        self.used_at = 0.0
        self.opened = False
        """Whether the control API opened it. Such a session doesn't make room for others."""
        self.made = 0
        """How many overrides were ever set. It numbers their places: none inherits another's counts."""
        self.in_test = False
        """Whether a test holds it: `Settings.refuses_unscripted`."""
        self.requests = 0
        self.under_way = 0
        self.traffic: OrderedDict[bytes, Traffic] = OrderedDict()
        self.new_journal: Callable[[], Journal] = partial(Journal, self.room)
        self.journal = self.new_journal()
        self.logs: OrderedDict[bytes, CallLog] = OrderedDict()
        self.cache: OrderedDict[bytes, Completion] = OrderedDict()
        self.counts: OrderedDict[bytes, int] = OrderedDict()
        self.turns: OrderedDict[str, int] = OrderedDict()
        self.overrides = NOTHING
        self.source: Any = None
        """What is asked for this session's answers before the mock: a `service.request.AnswerSource`."""
        self.own: Settings | None = None
        """Settings of this session that replace the mock's."""

    def settings(self, base: Settings) -> Settings:
        """Return the settings in force: the session's own, else `base`, with its overrides on top."""
        base = self.own or base
        overrides = self.overrides
        return base if overrides is NOTHING else overrides.over(base)

    def begin(self) -> None:
        """Count a request."""
        self.requests += 1

    def use(self, settings: Settings) -> None:
        """Give the session settings of its own; its overrides stay on top. Raises Conflict where it can't."""
        self.own = settings

    def override(self, **changes: Any) -> None:
        """Replace fields of the overrides. Requests under way go on with the settings they began with."""
        self.overrides = replace(self.overrides, **changes)

    def wrote(self, part: Declared | Form | Script | Fault | Limits, source: Any, place: str = "") -> None:
        """Note the JSON and the place from which an override was built. Only shared memory needs it."""

    def next_place(self) -> str:
        """Return the place of the next override, such as `/runtime/1`."""
        self.made += 1
        return f"/runtime/{self.made}"

    def log(self, credential: bytes) -> CallLog:
        """Return the log of a credential, to add calls to it."""
        return remember(self.logs, credential, self.read_log(credential), MOST_LOGS)

    def read_log(self, credential: bytes) -> CallLog:
        """Return the log of a credential to read it; this never removes another log."""
        return self.logs.get(credential) or CallLog(self.room)

    def keepers(self) -> Iterator[Keeper]:
        """Yield what keeps the session's exchanges and calls."""
        yield self.journal
        yield from self.logs.values()

    def count(self, what: bytes | str) -> int:
        """Count something and return how often it was counted, from 1.

        `what`: a digest of a request, or the name of a fault's or a sequence's count.
        """
        # Names are kept apart, so that many different requests don't push them out.
        if isinstance(what, str):
            return remember(self.turns, what, self.turns.get(what, 0) + 1, MOST_TURNS)
        return remember(self.counts, what, self.counts.get(what, 0) + 1, MOST_COUNTERS)

    def forget(self) -> None:
        """Forget everything, so that the next request is answered as in a new session."""
        self.overrides, self.own, self.requests = NOTHING, None, 0
        self.journal = self.new_journal()  # a request under way keeps the one that it began with
        for shelf in (self.logs, self.cache, self.counts, self.turns, self.traffic):
            shelf.clear()

    def cached(self, key: bytes) -> Completion | None:
        """Return the completion that was stored under a key, None without one."""
        if key in self.cache:
            self.cache.move_to_end(key)
        return self.cache.get(key)

    def store(self, key: bytes, completion: Completion) -> None:
        """Keep a completion. The least recently used go when there are too many or they are too long."""
        remember(self.cache, key, completion, MOST_CACHED)
        weight = sum(stored.completion_tokens for stored in self.cache.values())
        while weight > MOST_CACHED_TOKENS and len(self.cache) > 1:
            weight -= self.cache.popitem(last=False)[1].completion_tokens

    def enter(self, credential: bytes, limits: Limits, at: float) -> tuple[Traffic, str, float]:
        """Let a request of a key in, if its limits allow it. `at`: now, in seconds.

        Returns the key's traffic, which the request leaves at its end, the limit that the request exceeds in
        words ("" for none), and the seconds to wait.
        """
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
        traffic.under_way += 1
        return traffic, "", 0.0


class Sessions:
    """The sessions of a mock by name. There are at most MOST_SESSIONS; an unused one expires after an hour.

    A new session takes the place of the least recently used one that a request began; those that the control
    API opened stay. The name of an expired session stays known, so that nobody takes an empty session for it.
    Times (`at`) are in seconds of the mock's clock. `is_remote`: to ask them may take time, as a Redis does.
    """

    is_remote = False

    def __init__(self) -> None:
        self.room = Room(lambda: (session.keepers() for session in self.all()))
        self.default = Session(room=self.room)
        self.named: OrderedDict[str, Session] = OrderedDict()
        self.expired: OrderedDict[str, str] = OrderedDict()
        self.made = 0
        self.base: Callable[[], Settings] = Settings
        """Returns the mock's own settings."""
        self.place = "this process"

    def status(self) -> dict[str, Any]:
        """Where sessions lie, whether all processes share them, and the state of a Redis, None without.

        And how many bytes their journals and logs hold, how many they may, and how many entries were dropped;
        None where these lie in a Redis.
        """
        keepers = [keeper for session in self.all() for keeper in session.keepers()]
        return {
            "place": self.place,
            "shared": self.place != APART,
            "redis": None,
            "kept_bytes": sum(keeper.bytes for keeper in keepers),
            "max_kept_bytes": self.room.most,
            "dropped_requests": sum(session.journal.dropped for session in self.all()),
            "dropped_calls": sum(log.dropped for session in self.all() for log in session.logs.values()),
        }

    def status_line(self) -> str:
        """The same as a text."""
        return self.place

    @property
    def problem(self) -> str:
        """Why what is remembered can't be asked now, "" where it can."""
        return ""

    @property
    def kept_bytes(self) -> int | None:
        """The bytes that journals and logs of calls hold, None where they lie elsewhere."""
        logs = sum(log.bytes for session in self.all() for log in session.logs.values())
        return logs + sum(session.journal.bytes for session in self.all())

    @property
    def newest(self) -> int:
        """The sequence number of the exchange that a journal got last."""
        return max(session.journal.newest for session in self.all())

    def find(self, name: str, at: float, *, make: bool = True) -> Session:
        """Return the session of this name for a request. `make`: make it where it doesn't exist.

        Raises BadRequest for a malformed name, NotFound where it expired, SessionNotFound where it doesn't
        exist and may not be made, TooManySessions where there is no room.
        """
        if name in ("", DEFAULT):
            return self.default
        self.expire(at)
        session = self.named.get(name) or self.make(name, allowed=make)
        session.used_at = at
        self.named.move_to_end(name)
        return session

    def open(self, name: str, at: float) -> Session:
        """Return the session of this name for the control API, and make it where it doesn't exist.

        It then stays until it expires. Raises BadRequest for a malformed name, NotFound where it expired,
        Conflict where there is no room.
        """
        try:
            session = self.find(name, at)
        except TooManySessions:
            raise Conflict(FULL) from None
        session.opened = True
        return session

    def has(self, name: str) -> bool:
        """Whether a session of this name exists."""
        return name == DEFAULT or name in self.named

    def known(self, name: str, at: float) -> Session:
        """Return the session of this name for the control API, without making it.

        Raises NotFound where it expired, SessionNotFound where it doesn't exist.
        """
        if name and not SESSION_NAME.fullmatch(name):
            raise absent(name)
        return self.find(name, at, make=False)

    def make(self, name: str, *, allowed: bool) -> Session:
        """Make a session, with the errors of `find`. `allowed`: False only raises."""
        check_name(name)
        if name in self.expired:
            raise gone(name, self.expired[name])
        if not allowed:
            raise absent(name)
        if len(self.named) >= MOST_SESSIONS:
            self.let_go(self.least_used(), "room")
        session = self.named[name] = Session(name, self.room)
        return session

    def fresh(self, at: float) -> Session:
        """Make a session with a new name for the control API. Raises Conflict where there is no room."""
        self.made += 1
        while f"s{self.made}" in self.named or f"s{self.made}" in self.expired:
            self.made += 1
        return self.open(f"s{self.made}", at)

    def remove(self, name: str) -> bool:
        """Close a session, or forget an expired one; return whether there was one. Its name is free again."""
        return bool(self.named.pop(name, None)) | bool(self.expired.pop(name, None))

    def expire(self, at: float) -> None:
        """Close the sessions that nobody has used for an hour and that have no request under way."""
        for name, session in list(self.named.items()):
            if at - session.used_at <= IDLE_SECONDS:
                break  # they are in the order of last use, so the others were used later
            if not session.under_way:
                self.let_go(name, "idle")

    def least_used(self) -> str:
        """Return the name of the session that makes room, if possible one without requests under way.

        Raises TooManySessions where the control API opened all of them.
        """
        begun = [session for session in self.named.values() if not session.opened]
        if not begun:
            raise TooManySessions(FULL)
        return next((session.name for session in begun if not session.under_way), begun[0].name)

    def let_go(self, name: str, reason: str) -> None:
        """Let a session expire; `reason` is one of REASONS."""
        del self.named[name]
        remember(self.expired, name, reason, _MOST_EXPIRED)

    def all(self) -> Iterator[Session]:
        """Yield the default session, then the others by last use."""
        yield self.default
        yield from self.named.values()


REASONS = {
    "idle": f"nobody used it for {IDLE_SECONDS / _MINUTE:.0f} minutes",
    "room": f"made room: a mock keeps {MOST_SESSIONS} sessions",
}
"""Reason why sessions expire → its words in errors."""
FULL = (
    f"a mock keeps {MOST_SESSIONS} sessions, and each of them was opened by the control API, so that none"
    " makes room; DELETE one that is done with (GET /_mock/sessions lists them)."
)


def gone(name: str, reason: str) -> NotFound:
    """Return the error for a session that expired; `reason` is one of REASONS."""
    advice = "ask POST /_mock/sessions for a fresh one, or DELETE it to begin anew under this name"
    return NotFound(f"the session {quoted(name)} has expired ({REASONS[reason]}); {advice}.")


def absent(name: str) -> SessionNotFound:
    """Return the error for a session that doesn't exist."""
    return SessionNotFound(f"there is no session {quoted(name)}.")


def check_name(name: str) -> None:
    """Raise BadRequest for what can't be the name of a session."""
    if not SESSION_NAME.fullmatch(name):
        rule = "1 to 64 of A-Z a-z 0-9 _ . -, not beginning with . or -"
        raise BadRequest.at("session", f"expected a name ({rule}), got {quoted(name)}.")


def remember(shelf: OrderedDict[Any, _Value], key: Any, value: _Value, most: int) -> _Value:
    """Put a value on a shelf and return it. Of more than `most`, the least recently used goes."""
    shelf[key] = value
    shelf.move_to_end(key)
    if len(shelf) > most:
        shelf.popitem(last=False)
    return value


def fingerprint(secret: bytes) -> bytes:
    """Return the digest that stands for a key in memory, where the key itself is never kept."""
    return blake2b(secret, digest_size=16).digest()
