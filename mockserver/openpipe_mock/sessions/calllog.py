"""The call log: keeps the calls that the official clients report and that the mock answers itself.

Each key of a session has a CallLog, as each project of the service has a log. Tags are the older name of
metadata: they are stored together, and a logged call shows all of them under both names. Members of a payload
that are named like a secret are masked before anybody reads them.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from itertools import chain
from operator import attrgetter
from typing import Any, Literal

import orjson

from openpipe_mock.core.errors import MOST_ISSUES, BadRequest, Violation
from openpipe_mock.core.reading import not_null
from openpipe_mock.core.secrets import Mask, hidden, masked, may_hide
from openpipe_mock.core.seeded import EPOCH
from openpipe_mock.core.userfiles import MEBIBYTE
from openpipe_mock.core.wording import listed, nearest, quoted, shown
from openpipe_mock.openapi.coercion import javascript_text
from openpipe_mock.openapi.violations import SchemaPlace, gathered
from openpipe_mock.sessions.anthropic import completion, is_message, text_at
from openpipe_mock.sessions.room import Room

Json = dict[str, Any]
Labels = Mapping[str, str | None]
"""Tags or metadata to set; a None deletes the key."""

MOST_CALLS = 1000
MOST_LOG_BYTES = 4 * MEBIBYTE
_OVERHEAD = 200
"""Bytes that an unread call counts beside its payloads, roughly."""


@dataclass(frozen=True)
class LoggedCall:
    """A logged request and its answer.

    `request`, `response`: JSON texts. `metadata`: the request's own and the tags. `created_at`: in seconds
    since 1970. `model`, `completion_id`: members of the payloads that filters look at.
    """

    # Payloads are kept as texts, so that nobody can change them and their size is known.

    request: bytes
    response: bytes
    status: int | float | None = None
    error_message: str | None = None
    cache_hit: bool = False
    metadata: Mapping[str, str] = field(default_factory=dict)
    created_at: float = EPOCH
    model: str | None = None
    completion_id: str | None = None

    @cached_property
    def size(self) -> int:
        """The bytes that the call counts in its log."""
        notes = [self.error_message, self.metadata, self.model, self.completion_id]
        return len(self.request) + len(self.response) + len(orjson.dumps(notes))

    def logged(self) -> "LoggedCall":
        return self

    def labelled(self, values: Labels) -> "LoggedCall":
        """Return the call with its metadata updated."""
        return replace(self, metadata=not_null({**self.metadata, **values}))

    def without_payloads(self) -> "LoggedCall":
        """Return the call with a sentence in place of its payloads, for a log that has no room for them."""
        note = f"left out by the mock: the call has {self.size} bytes, more than its log keeps."
        text = orjson.dumps(note)
        return replace(self, request=text, response=text, model=None, completion_id=None)

    def answer(self) -> Json:
        """Return the call as `GET /local-testing-only-get-latest-logged-call` answers it."""
        created = datetime.fromtimestamp(self.created_at, UTC).isoformat(timespec="milliseconds")
        return {
            "createdAt": created.replace("+00:00", "Z"),
            "cacheHit": self.cache_hit,
            "statusCode": self.status,
            "errorMessage": self.error_message,
            "reqPayload": orjson.loads(self.request),
            "respPayload": orjson.loads(self.response),
            "tags": dict(self.metadata),
            "metadata": dict(self.metadata),
        }


@dataclass(slots=True)
class Own:
    """A call that the mock answered itself, before somebody reads it.

    `request`, `response`: JSON texts, not masked. `tags`: as `labels` made them; where the request's metadata
    has the same key, its value counts. `now`: in seconds since 1970, None without a clock. `keys`: the
    request's key where a text may hold it, and those that the mock knows.
    """

    # Nobody changes one. It isn't frozen since each request makes one: see docs/performance.md.

    request: bytes
    response: bytes | None
    status: int | float | None
    error_message: str | None = None
    cache_hit: bool = False
    tags: Mapping[str, str] | None = None
    now: float | None = None
    keys: tuple[bytes, ...] = ()

    @property
    def size(self) -> int:
        """About how many bytes the call counts in its log."""
        size = len(self.request) + len(self.response or b"") + _OVERHEAD
        if self.tags:
            size += sum(len(key) + len(value or "") for key, value in self.tags.items())
        return size + len(self.error_message or "")

    def logged(self) -> LoggedCall:
        """Return the call as the log shows it, with secrets masked."""
        mask = Mask(*self.keys)
        text, response = (
            mask.content(each) if may_hide(each, *self.keys) else each
            for each in (self.request, self.response or b"null")
        )
        request = orjson.loads(text)
        tags = {key: mask.string(tag) for key, tag in (self.tags or {}).items()}
        return LoggedCall(
            request=text,
            response=response,
            status=self.status,
            error_message=self.error_message and mask.told(self.error_message),
            cache_hit=self.cache_hit,
            metadata=tags | _own_metadata(request),
            created_at=_moment(self.now),
            model=text_at(request, "model"),
            completion_id=text_at(orjson.loads(response), "id"),
        )


@dataclass(frozen=True, slots=True)
class LogFilter:
    """A condition on a logged call: what `read` returns for it equals `wanted`; None means absent."""

    read: Callable[[LoggedCall], str | None]
    wanted: str | None

    def holds(self, call: LoggedCall) -> bool:
        return self.read(call) == self.wanted


class CallLog:
    """The calls of one key, newest last. The oldest go when there are too many or they are too large.

    `dropped`: how many are gone. `room`: what all logs share.
    """

    # The mock's own calls are parsed and masked only when somebody reads the log, since most are dropped
    # unread: masking each cost a fifth of a request (docs/decisions.md).

    most_calls = MOST_CALLS
    most_bytes = MOST_LOG_BYTES

    def __init__(self, room: Room | None = None) -> None:
        self.room = room or Room()
        self.kept: deque[LoggedCall | Own] = deque()
        self.bytes = 0
        self.dropped = 0

    @property
    def calls(self) -> list[LoggedCall]:
        """All calls, oldest first, with secrets masked."""
        return self.keep(call.logged() for call in reversed(self.kept))

    def keep(self, newest_first: Iterable[LoggedCall]) -> list[LoggedCall]:
        """Keep these calls in place of all others, as far as they fit; return them, oldest first."""
        calls, before, self.bytes = deque[LoggedCall](), self.bytes, 0
        for call in map(self.fitted, newest_first):
            if self.bytes + call.size > self.most_bytes:
                break
            calls.appendleft(call)
            self.bytes += call.size
        self.dropped += max(0, len(self.kept) - len(calls))
        self.kept = deque(calls)
        self.room.add(max(0, self.bytes - before))
        return list(calls)

    def add(self, call: LoggedCall | Own) -> None:
        """Log a call. One that exceeds the bound alone is logged without its payloads."""
        size = call.size
        if size > self.most_bytes:
            call = self.fitted(call.logged())
            size = call.size
        self.kept.append(call)
        self.bytes += size
        while self.kept and (len(self.kept) > self.most_calls or self.bytes > self.most_bytes):
            self.drop_oldest()
        self.room.add(size)

    def drop_oldest(self) -> int:
        """Drop the oldest call and return its bytes."""
        size = self.kept.popleft().size
        self.bytes -= size
        self.dropped += 1
        return size

    def latest(self) -> LoggedCall | None:
        """Return the call that was logged last, None without any."""
        return next(reversed(self.calls), None)

    def update(self, filters: Sequence[LogFilter], values: Labels) -> int:
        """Update the metadata of the calls that pass every filter; return how many they are."""
        calls = self.calls
        found = [all(condition.holds(call) for condition in filters) for call in calls]
        before = reversed(list(zip(calls, found, strict=True)))  # newest first: what doesn't fit isn't made
        self.keep(call.labelled(values) if hit else call for call, hit in before)
        return sum(found)

    def fitted(self, call: LoggedCall) -> LoggedCall:
        """Return the call, without its payloads if it exceeds the bound alone."""
        return call if call.size <= self.most_bytes else call.without_payloads()


# Endpoints. Each takes a body that is valid by its schema and the log of the key that sent it, and returns
# the body of the answer. They raise BadRequest for tags and filters that the schemas can't rule out.


def log_report(body: Json, log: CallLog, *, now: float | None = None) -> Json:
    """`POST /report`: log a call that a client made elsewhere."""
    tags = labels(body.get("tags"), "/tags")
    log.add(_reported(body, masked(body.get("respPayload")), tags, now))
    return {"status": "ok"}


def report_anthropic(body: Json, log: CallLog, *, now: float | None = None) -> Json:
    """`POST /report-anthropic`: the same for a call of Anthropic's API; messages are kept as completions."""
    tags = {**labels(body.get("tags"), "/tags"), **labels(body.get("metadata"), "/metadata")}
    response = masked(body.get("respPayload"))
    if is_message(response):
        response = completion(response, int(_moment(now)))
    log.add(_reported(body, response, tags, now))
    return {"status": "ok"}


def update(body: Json, log: CallLog, *, member: Literal["tags", "metadata"]) -> Json:
    """`POST /logs/update-tags`, `POST /logs/update-metadata`. `member`: the body's member with the values."""
    place = SchemaPlace({})
    _refuse(
        chain(_unknown_fields(body["filters"], place.at("filters")), _unfit(body[member], place.at(member)))
    )
    filters = [
        LogFilter(read, _label(item["equals"]))
        for item in body["filters"]
        if (read := _reader(item["field"]))
    ]
    return {"matchedLogs": log.update(filters, _changes(body[member]))}


def check_cache() -> Json:
    """`POST /check-cache`: always a miss, since the endpoint is deprecated (source class: sdk)."""
    return {"respPayload": None}


def latest(log: CallLog) -> Json | None:
    """`GET /local-testing-only-get-latest-logged-call`: the last call, null where nothing is logged."""
    call = log.latest()
    return call.answer() if call else None


def _reported(body: Json, response: Any, tags: Mapping[str, str], now: float | None) -> LoggedCall:
    """The call that a body of `/report` or `/report-anthropic` describes. `response`: secrets masked."""
    texts = orjson.dumps(body.get("reqPayload")), orjson.dumps(response)
    return Own(*texts, body.get("statusCode"), body.get("errorMessage"), tags=tags, now=now).logged()


def _moment(now: float | None) -> float:
    return EPOCH if now is None else now


# Tags and metadata.

_SCALAR = (str, int, float, bool, type(None))


def labels(values: Any, pointer: str, *, words: str = "") -> dict[str, str]:
    """Return tags as the log keeps them, as strings.

    Numbers and booleans are written as JavaScript does; null and "" are left out. `pointer`: where the values
    were sent. Raises BadRequest for anything but an object of scalars; its message begins with `words`.
    """
    if not values and (values is None or values == {}):
        return {}
    _refuse(_unfit(values, SchemaPlace({}, pointer)), words)
    return not_null(_changes(values))


def _unfit(values: Any, place: SchemaPlace) -> Iterator[Violation]:
    """The violations in a value that should be an object of tags."""
    if not isinstance(values, dict):
        yield Violation(place.pointer, "type", f"expected an object of tags, got {shown(values)}.")
        return
    for key, value in values.items():
        if not isinstance(value, _SCALAR):
            expected = "expected a string, a number, true, false or null"
            advice = "send structured values as JSON text"
            yield Violation(place.at(key).pointer, "type", f"{expected}, got {shown(value)}; {advice}.")


def _own_metadata(request: Any) -> dict[str, str]:
    """The scalars in a request's own metadata. A request that failed may have anything there: no error."""
    metadata = request.get("metadata") if isinstance(request, dict) else None
    fit = metadata if isinstance(metadata, dict) else {}
    return not_null(_changes({key: value for key, value in fit.items() if isinstance(value, _SCALAR)}))


def _changes(values: Mapping[str, Any]) -> Labels:
    """The changes that tags make to a call: each sets a key or, with null, deletes it; "" does nothing."""
    return {key: hidden(key, _label(value)) for key, value in values.items() if value != ""}


def _label(value: str | int | float | None) -> str | None:
    return value if value is None or isinstance(value, str) else javascript_text(value)


# Filters.

_FIELDS: dict[str, Callable[[LoggedCall], str | None]] = {
    "model": attrgetter("model"),
    "completionId": attrgetter("completion_id"),
    "statusCode": lambda call: _label(call.status),
}
"""Fields of a filter → how to read them. All others name metadata: `metadata.KEY`, `tags.KEY`."""
_METADATA = ("metadata", "tags")


def _reader(name: str) -> Callable[[LoggedCall], str | None] | None:
    """The function that reads a field of a call; None for an unknown field. A key may contain dots."""
    first, _, key = name.partition(".")
    if first in _METADATA and key:
        return lambda call: call.metadata.get(key)
    return _FIELDS.get(name)


def _unknown_fields(filters: Sequence[Json], place: SchemaPlace) -> Iterator[Violation]:
    """The violations of filters with an unknown field."""
    # The service ignores such filters, and so updates more calls than were meant.
    for index, item in enumerate(filters):
        if _reader(item["field"]) is None:
            where = place.at(index).at("field").pointer
            yield Violation(where, "enum", f"unknown field {quoted(item['field'])}; {_meant(item['field'])}")


def _meant(name: str) -> str:
    """The advice for an unknown field."""
    first, _, key = name.partition(".")
    near = nearest(first, [*_FIELDS, *_METADATA])
    if near is None:
        known = [*_FIELDS, *(f"{each}.KEY" for each in _METADATA)]
        return f"known are {listed(map(quoted, known), 'and')}."
    whole = f"{near}.{key or 'KEY'}" if near in _METADATA else near
    return f"did you mean {quoted(whole)}?"


def _refuse(violations: Iterator[Violation], words: str = "") -> None:
    """Raise BadRequest if there are violations; the first one stands in the message, all in `issues`."""
    found = gathered(violations, MOST_ISSUES)
    if found.shown:
        raise BadRequest(found.headline(), issues=found.issues(), words=words)
