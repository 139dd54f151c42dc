"""What sessions remember, in a Redis: several mocks with one Redis behave as one.

A request asks Redis once when it begins and once when it ends; what else it needs costs one question each.
While Redis is away a request goes on under the overrides that this mock knew last, until it needs what
sessions share.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha1
from itertools import count
from os import urandom
from typing import Any, Literal

from openpipe_mock.answers.chat import Completion
from openpipe_mock.answers.scorers import Declared, Form
from openpipe_mock.answers.scripts import Script
from openpipe_mock.config.limits import Limits
from openpipe_mock.config.settings import Settings
from openpipe_mock.core.errors import ApiError, Conflict, StateUnavailable, TooManySessions
from openpipe_mock.core.userfiles import MEBIBYTE
from openpipe_mock.faults.kinds import Fault
from openpipe_mock.sessions.calllog import MOST_CALLS, CallLog, Labels, LogFilter, LoggedCall, Own
from openpipe_mock.sessions.calllog import MOST_LOG_BYTES as MOST_CALL_BYTES
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
from openpipe_mock.sessions.redis.codec import (
    ForeignData,
    call_text,
    completion_of,
    completion_text,
    decode_all,
    decode_call,
    dumped,
    entry_of,
    entry_text,
)
from openpipe_mock.sessions.redis.link import Link
from openpipe_mock.sessions.redis.overrides import Sources, Stored, orders
from openpipe_mock.sessions.redis.scripts import (
    CACHED,
    CLEAR,
    COUNT,
    DROPPED,
    ENTER,
    FORGET,
    FRESH,
    IS_GONE,
    LEAVE,
    LIST,
    LOOK,
    NEXT_PLACE,
    OVERRIDE,
    OVERRIDES,
    PUSH,
    READ_ENTRIES,
    REMOVE,
    REPLACE,
    STORE,
)
from openpipe_mock.sessions.redis.scripts import RedisScript as RedisScript

_Mode = Literal["look", "open", "begin", "join"]

_MOST_CACHED_BYTES = 8 * MEBIBYTE
LEASE_SECONDS = 120
"""How long a request counts as under way that a crashed mock never ended."""
_MOST_TRIES = 10
"""How often a log is read and changed until nobody else has changed it in between."""
_ALL = -1


@dataclass(slots=True)
class _Known:
    """What this mock knows of a session's overrides: in which version, and what they make of its settings."""

    version: bytes = b""
    overrides: SessionOverrides = NOTHING
    sources: Sources = field(default_factory=Sources)
    base: Settings | None = None
    in_force: Settings = field(default_factory=Settings)

    def settings(self, base: Settings) -> Settings:
        if self.overrides is NOTHING:
            return base
        if self.base is not base:
            self.base, self.in_force = base, self.overrides.over(base)
        return self.in_force


class RedisSession(Session):
    """One session as one request, or one order, sees it."""

    def __init__(self, memory: "RedisSessions", name: str, *, make: bool = True) -> None:
        """`make`: a request may begin it where it isn't there."""
        self.memory = memory
        self.make = make
        self.link = memory.link
        self.name = name
        self.under_way = 0
        self.own = None
        self.number = 0
        self.version = b""
        self.born = b""
        self.came = 0.0
        self.sources = Sources()
        self.journal = RedisJournal(self)

    def run(self, script: RedisScript, *arguments: Any) -> Any:
        return self.link.run(script, self.name, *arguments)

    def ask(self, mode: _Mode) -> "RedisSession":
        """Learn what there is to know of it.

        Raises NotFound where it expired; SessionNotFound for `look` and `join` where it isn't there; where
        there is no room, TooManySessions for `begin` and Conflict for `open`.
        """
        found, *known = self.run(LOOK, mode)
        if found == b"full":
            raise Conflict(FULL) if mode == "open" else TooManySessions(FULL)
        if found != b"ok":
            raise _missing(self.name, found)
        self.learn(*known)
        return self

    def learn(self, requests: bytes, version: bytes, born: bytes, now: bytes = b"0") -> None:
        self.number, self.version, self.born = int(requests), version, born
        self.came = int(now) / 1_000_000

    # Requests. The service counts one with `requests += 1`, which is where it begins.

    @property
    def requests(self) -> int:
        return self.number

    @requests.setter
    def requests(self, _: int) -> None:
        try:
            self.ask("begin" if self.make else "join")
        except StateUnavailable:
            if self.name not in self.memory.memo:
                raise
            self.version = self.memory.memo[self.name].version

    # Overrides.

    @property
    def overrides(self) -> SessionOverrides:
        return self.learned().overrides

    @overrides.setter
    def overrides(self, _: SessionOverrides) -> None:
        raise AttributeError("what is set at runtime is set by `override`")

    def learned(self) -> _Known:
        """What is set at runtime; read again where another mock has changed it."""
        known = self.memory.memo.get(self.name)
        if known is None or known.version != self.version:
            known = self.memory.remember(self.name, self.read())
            self.version = known.version
        return known

    def read(self) -> _Known:
        if not self.version:
            return _Known()
        version, criteria, completions, faults, limits = self.run(OVERRIDES)
        pairs = dict(zip(criteria[::2], criteria[1::2], strict=True))
        try:
            overrides, sources = Stored(version, pairs, completions, faults, limits).built(self.memory.base())
        except ForeignData:
            raise self.link.unavailable(
                f"holds something else than was set at runtime in session {self.name};"
                " POST /_mock/reset begins anew"
            ) from None
        return _Known(version, overrides, sources)

    def settings(self, base: Settings) -> Settings:
        return self.learned().settings(base)

    def override(self, **changes: Any) -> None:
        known = self.learned()
        sources = Sources({**known.sources.known, **self.sources.known})
        self.run(OVERRIDE, dumped(list(orders(sources, known.overrides, changes))), self.born)
        self.ask("look")

    def wrote(self, part: Declared | Form | Script | Fault | Limits, source: Any, place: str = "") -> None:
        self.sources.add(part, source, place)

    def next_place(self) -> str:
        return f"/runtime/{self.run(NEXT_PLACE)}"

    # What happened.

    def count(self, what: bytes | str) -> int:
        if isinstance(what, str):
            return int(self.run(COUNT, "turns", what.encode("utf-8", "surrogatepass"), MOST_TURNS, self.born))
        if self.memory.base().repeat == "same":  # then no answer depends on it, but a hint in the terminal
            return self.memory.seen((self.name, self.born, what))
        return int(self.run(COUNT, "counts", what, MOST_COUNTERS, self.born))

    def log(self, credential: bytes) -> CallLog:
        return RedisCallLog(self, credential.hex())

    def read_log(self, credential: bytes) -> CallLog:
        return self.log(credential)

    def cached(self, key: bytes) -> Completion | None:
        text = self.run(CACHED, key)
        try:
            return completion_of(text) if text else None
        except ForeignData:
            return None

    def store(self, key: bytes, completion: Completion) -> None:
        self.run(STORE, key, completion_text(completion), MOST_CACHED, _MOST_CACHED_BYTES, self.born)

    def enter(self, credential: bytes, limits: Limits, at: float) -> tuple[Traffic, str, float]:
        traffic = _RedisTraffic(self, b":".join((self.born, credential.hex().encode())), limits)
        over, milliseconds = self.run(ENTER, *traffic.arguments())
        numbers = {b"at once": limits.concurrent, b"a minute": limits.requests_per_minute}
        told = {b"at once": "at a time", b"a minute": "a minute"}
        return traffic, f"{numbers[over]} {told[over]}" if over else "", milliseconds / 1000

    def forget(self) -> None:
        self.run(FORGET)


class _RedisTraffic(Traffic):
    """A request of one key that is under way, and the lease that says so to the other mocks."""

    def __init__(self, session: RedisSession, key: bytes, limits: Limits) -> None:
        self.session = session
        self.key = key
        self.limits = limits
        self.lease = session.memory.lease()

    def arguments(self) -> Sequence[Any]:
        most = (self.limits.concurrent, self.limits.requests_per_minute)
        return self.key, *("" if number is None else number for number in most), self.lease, LEASE_SECONDS

    @property
    def under_way(self) -> int:
        return 0

    @under_way.setter
    def under_way(self, change: int) -> None:
        if change > 0 or self.limits.concurrent is None:
            return
        with suppress(StateUnavailable):  # then it expires
            self.session.run(LEAVE, self.key, self.lease)


class RedisJournal(Journal):
    """The exchanges of a session."""

    def __init__(self, session: RedisSession) -> None:
        self.session = session

    @property
    def dropped(self) -> int:
        return int(self.session.run(DROPPED, "journal"))

    @dropped.setter
    def dropped(self, _: int) -> None:
        raise AttributeError("Redis counts what is dropped")

    def add(self, entry: Entry, token: bytes) -> None:
        """Keep an exchange. Where Redis is away it is lost, and counted as such: it was answered already."""
        masked = Journal()
        masked.add(entry, token)
        session = self.session
        try:
            for kept in masked.newest_first():
                if not session.number:
                    raise session.link.unavailable("did not number it")
                kept.at = session.came
                item = entry_text(kept)
                session.run(PUSH, "journal", item, MOST_ENTRIES, MOST_JOURNAL_BYTES, "", 0, session.born)
        except StateUnavailable:
            session.link.missed()

    def add_later(self, later: Later) -> None:
        """Others may read it at once, so it is written down now."""
        _, make, facts, token = later
        self.add(make(*facts), token or b"")

    def clear(self) -> int:
        return int(self.session.run(CLEAR, "journal"))

    def find(self, number: int) -> Entry | None:
        return next((entry for entry in self.newest_first() if entry.number == number), None)

    def newest_first(self) -> Iterator[Entry]:
        settings = self.session.settings(self.session.memory.base())
        return decode_all(
            self.session.run(READ_ENTRIES, "journal", _ALL), lambda text: entry_of(text, settings)
        )


class RedisCallLog(CallLog):
    """The logged calls of one key."""

    def __init__(self, session: RedisSession, fingerprint: str) -> None:
        self.session = session
        self.fingerprint = fingerprint
        self.key = f"log:{fingerprint}"
        self.most_bytes = MOST_CALL_BYTES

    def add_own(self, own: Own) -> None:
        self.add(own.logged())

    def add(self, call: LoggedCall) -> None:
        item, most = call_text(self.fitted(call)), (MOST_CALLS, MOST_CALL_BYTES)
        self.session.run(PUSH, self.key, item, *most, self.fingerprint, MOST_LOGS, self.session.born)

    def latest(self) -> LoggedCall | None:
        return next(decode_all(self.session.run(READ_ENTRIES, self.key, 0), decode_call), None)

    def update(self, filters: Sequence[LogFilter], values: Labels) -> int:
        for _ in range(_MOST_TRIES):
            texts = self.session.run(READ_ENTRIES, self.key, _ALL)
            calls = CallLog()
            for call in decode_all(reversed(texts), decode_call):
                calls.add(call)
            found = calls.update(filters, values)
            seen = sha1(b" ".join(texts)).hexdigest()
            newest_first = map(call_text, reversed(calls.calls))
            if not found or self.session.run(REPLACE, self.key, seen, *newest_first):
                return found
        raise self.session.link.unavailable("changed this log again and again meanwhile")


class RedisSessions(Sessions):
    """The sessions that several mocks share."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.place = f"the Redis at {link.place}"
        self.base: Callable[[], Settings] = Settings
        self.memo: OrderedDict[str, _Known] = OrderedDict({DEFAULT: _Known()})
        self.hints: OrderedDict[Any, int] = OrderedDict()
        self.leases = count()

    @property
    def default(self) -> Session:
        return RedisSession(self, DEFAULT)

    @default.setter
    def default(self, _: Session) -> None:
        raise AttributeError("the default session lies in Redis")

    def find(self, name: str, at: float, *, make: bool = True) -> Session:
        """The session of this name, of which nothing is asked yet. Raises BadRequest for what is no name."""
        if name:
            check_name(name)
        return RedisSession(self, name or DEFAULT, make=make)

    def open(self, name: str, at: float) -> Session:
        if name:
            check_name(name)
        return RedisSession(self, name or DEFAULT).ask("open")

    def has(self, name: str) -> bool:
        check_name(name)
        return bool(self.link.run(LOOK, name, "look")[0] == b"ok")

    def has_expired(self, name: str) -> bool:
        return bool(SESSION_NAME.fullmatch(name)) and bool(self.link.run(IS_GONE, name))

    def known(self, name: str, at: float) -> Session:
        if name and not SESSION_NAME.fullmatch(name):
            raise absent(name)
        return RedisSession(self, name or DEFAULT).ask("look")

    def fresh(self, at: float) -> Session:
        return self.open(self.link.run(FRESH, DEFAULT).decode(), at)

    def remove(self, name: str) -> None:
        self.link.run(REMOVE, name)

    def expire(self, at: float) -> None:
        """Redis lets go of sessions by its own clock, whenever it is asked for one."""

    def all(self) -> Iterator[Session]:
        for name, *known in self.link.run(LIST, DEFAULT):
            session = RedisSession(self, name.decode())
            session.learn(*known)
            yield session

    # What this mock remembers by itself.

    def remember(self, name: str, known: _Known) -> _Known:
        """Keep what was learned of a session; that of the default session always stays."""
        self.memo.move_to_end(DEFAULT)
        return remember(self.memo, name, known, MOST_SESSIONS + 1)

    def seen(self, what: Any) -> int:
        """Which time this mock alone sees something."""
        return remember(self.hints, what, self.hints.get(what, 0) + 1, MOST_COUNTERS)

    def lease(self) -> bytes:
        """A name that no other request of any mock has."""
        return b"%d-%s" % (next(self.leases), urandom(8).hex().encode())


def _missing(name: str, found: bytes) -> ApiError:
    """Why there is no such session."""
    reason = found.decode("latin-1")
    return gone(name, reason) if reason in REASONS else absent(name)
