"""Sessions whose memory is in a Redis, so that several mocks behave as one.

A request asks Redis once when it begins and once when it ends, and once for anything else that it needs.
While Redis is away, a request goes on with the overrides that this mock read last; one that needs more gets
503.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha1
from typing import Any, Literal
from uuid import uuid4

import orjson

from openpipe_mock.answers.chat import Completion
from openpipe_mock.answers.scorers import Declared, Form
from openpipe_mock.answers.scripts import Script
from openpipe_mock.config.limits import Limits
from openpipe_mock.config.settings import Settings
from openpipe_mock.core.errors import ApiError, Conflict, StateUnavailable, TooManySessions
from openpipe_mock.core.userfiles import MEBIBYTE
from openpipe_mock.faults.fault import Fault
from openpipe_mock.sessions.calllog import (
    MOST_CALLS,
    MOST_LOG_BYTES,
    CallLog,
    Labels,
    LogFilter,
    LoggedCall,
    Own,
)
from openpipe_mock.sessions.journal import MOST_ENTRIES, MOST_JOURNAL_BYTES, Entry, Journal, Later
from openpipe_mock.sessions.memory import (
    DEFAULT,
    FULL,
    MOST_CACHED,
    MOST_COUNTERS,
    MOST_LOGS,
    MOST_SESSIONS,
    MOST_TURNS,
    NOTHING,
    REASONS,
    SESSION_NAME,
    Session,
    SessionOverrides,
    Sessions,
    Traffic,
    absent,
    check_name,
    gone,
    remember,
)
from openpipe_mock.sessions.redis import scripts
from openpipe_mock.sessions.redis.codec import (
    ForeignData,
    decode_all,
    decode_call,
    decode_completion,
    decode_entry,
    encode_call,
    encode_completion,
    encode_entry,
)
from openpipe_mock.sessions.redis.link import Link
from openpipe_mock.sessions.redis.overrides import Sources, Stored, orders
from openpipe_mock.sessions.room import Keeper, Room

_Mode = Literal["look", "open", "begin", "join"]

_MOST_CACHED_BYTES = 8 * MEBIBYTE
LEASE_SECONDS = 120
"""How long a request counts as under way if its mock crashed."""
_MOST_TRIES = 10
"""How often an update of a log is tried, while others change the log in between."""
_ONE_BY_ONE = (
    "sessions that lie in a Redis take no whole config: set criteria, completions, faults and limits one by"
    " one, or save the config as the mock's file."
)
_ALL = -1
"""The last index of a list, for Redis."""


@dataclass(slots=True)
class _Known:
    """A session's overrides as this mock read them, their version and their sources."""

    version: bytes = b""
    overrides: SessionOverrides = field(default_factory=lambda: NOTHING)
    sources: Sources = field(default_factory=Sources)


class RedisSession(Session):
    """A session for one request to the API or the control API.

    `requests`: the request's number, 0 before it is counted. `version`: of the overrides. `born`: when the
    session was made or reset last. `came`: when the request came, by Redis's clock, in seconds.
    """

    def __init__(self, memory: "RedisSessions", name: str, *, make: bool = True) -> None:
        """`make`: the request may make the session where it doesn't exist."""
        self.memory = memory
        self.make = make
        self.link = memory.link
        self.name = name
        self.under_way = 0
        self.own = None
        self.source = None
        self.in_test = False
        self.requests = 0
        self.version = b""
        self.born = b""
        self.came = 0.0
        self.sources = Sources()
        self.journal = RedisJournal(self)

    def run(self, script: scripts.RedisScript, *arguments: Any) -> Any:
        return self.link.run(script, self.name, *arguments)

    def ask(self, mode: _Mode) -> "RedisSession":
        """Ask Redis for the session, and keep what it says; the modes are those of LOOK.

        Raises NotFound where it expired; SessionNotFound for `look` and `join` where it doesn't exist; where
        there is no room, TooManySessions for `begin` and Conflict for `open`.
        """
        found, *known = self.run(scripts.LOOK, mode)
        if found == b"full":
            raise Conflict(FULL) if mode == "open" else TooManySessions(FULL)
        if found != b"ok":
            raise _missing(self.name, found)
        self.learn(*known)
        return self

    def learn(self, requests: bytes, version: bytes, born: bytes, now: bytes = b"0") -> None:
        """Keep what Redis says of the session. `now`: in microseconds."""
        self.requests, self.version, self.born = self.number(requests), version, born
        self.came = int(now) / 1_000_000

    def number(self, text: bytes) -> int:
        """Read a count among the session's facts. Raises StateUnavailable where it is none."""
        if not text.isdigit():
            raise self.link.foreign(f"session:{self.name}:facts")
        return int(text)

    def begin(self) -> None:
        """Have Redis count the request, with the errors of `ask`; while it is away there is no number."""
        try:
            self.ask("begin" if self.make else "join")
        except StateUnavailable:
            known = self.memory.memo.get(self.name)
            if known is None:  # its overrides are unknown
                raise
            self.version = known.version

    # Overrides.

    @property
    def overrides(self) -> SessionOverrides:  # type: ignore[override]
        return self.learned().overrides

    def learned(self) -> _Known:
        """Return the overrides, and read them again where another mock has changed them."""
        known = self.memory.memo.get(self.name)
        if known is None or known.version != self.version:
            known = self.memory.remember(self.name, self.read())
            self.version = known.version
        return known

    def read(self) -> _Known:
        """Read the overrides from Redis. Raises StateUnavailable where it holds something else."""
        if not self.version:
            return _Known()
        version, criteria, completions, faults, limits, unknown, *made = self.run(scripts.OVERRIDES)
        stored = Stored(version, _pairs(criteria), completions, faults, limits, unknown, *map(_pairs, made))
        try:
            overrides, sources = stored.built(self.memory.base())
        except ForeignData:
            raise self.link.unavailable(
                f"holds something else than was set at runtime under openpipe-mock:session:{self.name}:…;"
                " POST /_mock/reset begins anew"
            ) from None
        return _Known(version, overrides, sources)

    def use(self, settings: Settings) -> None:
        raise Conflict(_ONE_BY_ONE)

    def override(self, **changes: Any) -> None:
        known = self.learned()
        sources = Sources({**known.sources.known, **self.sources.known})
        self.run(scripts.OVERRIDE, orjson.dumps(list(orders(sources, known.overrides, changes))), self.born)
        self.ask("look")

    def wrote(self, part: Declared | Form | Script | Fault | Limits, source: Any, place: str = "") -> None:
        self.sources.add(part, source, place)

    def next_place(self) -> str:
        return f"/runtime/{self.run(scripts.NEXT_PLACE)}"

    # What happened.

    def count(self, what: bytes | str) -> int:
        if isinstance(what, str):
            return int(
                self.run(scripts.COUNT, "turns", what.encode("utf-8", "surrogatepass"), MOST_TURNS, self.born)
            )
        # With `same` only a hint in the terminal depends on it, which isn't worth a round trip.
        if self.memory.base().repeat == "same":
            return self.memory.count_here((self.name, self.born, what))
        return int(self.run(scripts.COUNT, "counts", what, MOST_COUNTERS, self.born))

    def log(self, credential: bytes) -> CallLog:
        return RedisCallLog(self, credential.hex())

    def read_log(self, credential: bytes) -> CallLog:
        return self.log(credential)

    def keepers(self) -> Iterator[Keeper]:
        """Yield nothing: this process keeps none of it."""
        yield from ()

    def cached(self, key: bytes) -> Completion | None:
        text = self.run(scripts.CACHED, key)
        try:
            return decode_completion(text) if text else None
        except ForeignData:
            return None

    def store(self, key: bytes, completion: Completion) -> None:
        self.run(
            scripts.STORE, key, encode_completion(completion), MOST_CACHED, _MOST_CACHED_BYTES, self.born
        )

    def enter(self, credential: bytes, limits: Limits, at: float) -> tuple[Traffic, str, float]:
        traffic = _RedisTraffic(self, b":".join((self.born, credential.hex().encode())), limits)
        most = ("" if each is None else each for each in (limits.concurrent, limits.requests_per_minute))
        over, milliseconds, traffic.requests = self.run(
            scripts.ENTER, traffic.key, *most, traffic.lease, LEASE_SECONDS
        )
        traffic.left = milliseconds / 1000
        numbers = {b"at once": limits.concurrent, b"a minute": limits.requests_per_minute}
        told = {b"at once": "at a time", b"a minute": "a minute"}
        return traffic, f"{numbers[over]} {told[over]}" if over else "", milliseconds / 1000

    def forget(self) -> None:
        self.run(scripts.FORGET)


class _RedisTraffic(Traffic):
    """A request of one key that is under way; a lease in Redis tells the other mocks of it."""

    def __init__(self, session: RedisSession, key: bytes, limits: Limits) -> None:
        self.session = session
        self.key = key
        self.limits = limits
        self.lease = uuid4().hex
        self.left = 0.0
        """Seconds to the end of the minute."""

    def spent(self, at: float) -> tuple[int, float]:
        return self.requests, self.left

    def leave(self) -> None:
        if self.limits.concurrent is not None:
            with suppress(StateUnavailable):  # then the lease expires
                self.session.run(scripts.LEAVE, self.key, self.lease)


class RedisJournal(Journal):
    """The exchanges of a session, in Redis."""

    def __init__(self, session: RedisSession) -> None:
        self.session = session

    @property
    def dropped(self) -> int:  # type: ignore[override]
        return self.session.number(self.session.run(scripts.DROPPED, "journal"))

    @property
    def newest(self) -> int:  # type: ignore[override]
        return self.session.number(self.session.run(scripts.NEWEST, "journal"))

    def add(self, entry: Entry, token: bytes, value: Any = None) -> None:
        """Keep an exchange, with secrets masked. While Redis is away it is lost, and counted as lost."""
        masked = Journal()
        masked.add(entry, token, value)
        session = self.session
        try:
            for kept in masked.newest_first():
                if not session.requests:
                    raise session.link.unavailable("did not number it")
                kept.at = session.came
                item = encode_entry(kept)
                session.run(
                    scripts.PUSH, "journal", item, MOST_ENTRIES, MOST_JOURNAL_BYTES, "", 0, session.born
                )
        except StateUnavailable:
            session.link.missed()

    def add_later(self, later: Later) -> None:
        """Make the entry and keep it at once, since other mocks may read it."""
        _, make, facts, token = later
        self.add(make(*facts), token or b"")

    def clear(self) -> int:
        return int(self.session.run(scripts.CLEAR, "journal"))

    def find(self, number: int) -> Entry | None:
        return next((entry for entry in self.newest_first() if entry.number == number), None)

    def newest_first(self) -> Iterator[Entry]:
        settings = self.session.settings(self.session.memory.base())
        return decode_all(
            self.session.run(scripts.READ_ENTRIES, "journal", _ALL), lambda data: decode_entry(data, settings)
        )


class RedisCallLog(CallLog):
    """The logged calls of one key, in Redis."""

    def __init__(self, session: RedisSession, fingerprint: str) -> None:
        self.session = session
        self.fingerprint = fingerprint
        self.key = f"log:{fingerprint}"

    def add(self, call: LoggedCall | Own) -> None:
        item, most = encode_call(self.fitted(call.logged())), (MOST_CALLS, MOST_LOG_BYTES)
        self.session.run(scripts.PUSH, self.key, item, *most, self.fingerprint, MOST_LOGS, self.session.born)

    def latest(self) -> LoggedCall | None:
        return next(decode_all(self.session.run(scripts.READ_ENTRIES, self.key, 0), decode_call), None)

    def update(self, filters: Sequence[LogFilter], values: Labels) -> int:
        for _ in range(_MOST_TRIES):
            texts = self.session.run(scripts.READ_ENTRIES, self.key, _ALL)
            calls = CallLog()
            calls.keep(decode_all(texts, decode_call))
            found = calls.update(filters, values)
            read_hash = sha1(b" ".join(texts)).hexdigest()
            newest_first = map(encode_call, reversed(calls.calls))
            if not found or self.session.run(scripts.REPLACE, self.key, read_hash, *newest_first):
                return found
        raise self.session.link.unavailable("changed this log again and again meanwhile")


class RedisSessions(Sessions):
    """The sessions that several mocks share, in Redis.

    `memo`: the overrides of each session as they were read last. They are read again when their version
    changes, and serve requests while Redis is away. Threads may use them at the same time; `lock` guards
    what this mock alone remembers.
    """

    is_remote = True

    def __init__(self, link: Link) -> None:
        self.link = link
        self.place = f"the Redis at {link.place}"
        self.room = Room()
        self.base: Callable[[], Settings] = Settings
        self.memo: OrderedDict[str, _Known] = OrderedDict({DEFAULT: _Known()})
        self.hints: OrderedDict[Any, int] = OrderedDict()
        self.lock = threading.Lock()

    def status(self) -> dict[str, Any]:
        counted = dict.fromkeys(("kept_bytes", "max_kept_bytes", "dropped_requests", "dropped_calls"))
        return {"place": self.place, "shared": True, "redis": self.link.report(), **counted}

    def status_line(self) -> str:
        redis = self.link.report()
        if redis["up"]:
            return self.place
        return f"{self.place}, which has been away for {redis['away_seconds']:.0f} s: {redis['last_problem']}"

    @property
    def default(self) -> Session:  # type: ignore[override]
        return RedisSession(self, DEFAULT)

    @property
    def problem(self) -> str:
        problem = self.link.problem
        return f"{self.place} {problem}." if problem else ""

    @property
    def kept_bytes(self) -> int | None:
        return None

    @property
    def newest(self) -> int:
        return int(self.link.run(scripts.SEQUENCE, DEFAULT))

    def find(self, name: str, at: float, *, make: bool = True) -> RedisSession:
        """Return the session of this name without asking Redis. Raises BadRequest for a malformed name."""
        if name:
            check_name(name)
        return RedisSession(self, name or DEFAULT, make=make)

    def open(self, name: str, at: float) -> Session:
        return self.find(name, at).ask("open")

    def has(self, name: str) -> bool:
        check_name(name)
        return bool(self.link.run(scripts.LOOK, name, "look")[0] == b"ok")

    def known(self, name: str, at: float) -> Session:
        if name and not SESSION_NAME.fullmatch(name):
            raise absent(name)
        return RedisSession(self, name or DEFAULT).ask("look")

    def fresh(self, at: float) -> Session:
        return self.open(self.link.run(scripts.FRESH, DEFAULT).decode(), at)

    def remove(self, name: str) -> bool:
        return bool(SESSION_NAME.fullmatch(name)) and bool(self.link.run(scripts.REMOVE, name))

    def expire(self, at: float) -> None:
        """Do nothing: the scripts close old sessions, by Redis's clock."""

    def all(self) -> Iterator[Session]:
        for name, *known in self.link.run(scripts.LIST, DEFAULT):
            session = RedisSession(self, name.decode("utf-8", "backslashreplace"))
            session.learn(*known)
            yield session

    # What this mock alone remembers.

    def remember(self, name: str, known: _Known) -> _Known:
        """Keep what was read of a session and return it. The default session's always stays."""
        with self.lock:
            self.memo.move_to_end(DEFAULT)
            return remember(self.memo, name, known, MOST_SESSIONS + 1)

    def count_here(self, what: Any) -> int:
        """Count something in this mock alone; return how often it was counted, from 1."""
        with self.lock:
            return remember(self.hints, what, self.hints.get(what, 0) + 1, MOST_COUNTERS)


def _pairs(flat: Sequence[bytes]) -> Mapping[bytes, bytes]:
    """A hash of Redis, which it gives as a list: key, value, key, value, …"""
    return dict(zip(flat[::2], flat[1::2], strict=True))


def _missing(name: str, found: bytes) -> ApiError:
    """The error for a session that LOOK didn't find; `found` is its answer."""
    reason = found.decode("latin-1")
    return gone(name, reason) if reason in REASONS else absent(name)
