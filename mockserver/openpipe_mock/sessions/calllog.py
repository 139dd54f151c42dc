"""The log of calls: what the official clients report in the background and read back in tests.

One CallLog belongs to one key of one session, as a log belongs to one project. Tags and metadata are two
names of one thing: a tag is an older way to write metadata, and a logged call shows both under either name.
Members of a payload that are named like a secret are masked before they are stored.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from itertools import chain
from operator import attrgetter
from typing import Any, Literal
from uuid import NAMESPACE_OID, uuid5

import orjson

from openpipe_mock.core.errors import MOST_ISSUES, BadRequest, Violation
from openpipe_mock.core.secrets import hidden, masked, may_hide
from openpipe_mock.core.seeded import EPOCH
from openpipe_mock.core.userfiles import MEBIBYTE
from openpipe_mock.core.wording import listed, nearest, quoted, shown
from openpipe_mock.openapi import coercion as javascript
from openpipe_mock.openapi.violations import SchemaPlace, gathered
from openpipe_mock.sessions.anthropic import completion, is_message, text_at

Json = dict[str, Any]
Labels = Mapping[str, str | None]
"""Tags or metadata to set; None deletes one."""

MOST_CALLS = 1000
MOST_LOG_BYTES = 4 * MEBIBYTE
_OVERHEAD = 200
"""What a call counts beside its payloads before anybody reads it, roughly, in bytes."""


@dataclass(frozen=True)
class LoggedCall:
    """A request, its answer, and notes about them.

    Payloads are kept as JSON text, so nobody can change them later and their size is known.
    `created_at` is in seconds since 1970.
    """

    request: bytes
    response: bytes
    status: float | None = None
    error_message: str | None = None
    cache_hit: bool = False
    metadata: Mapping[str, str] = field(default_factory=dict)
    created_at: float = EPOCH
    model: str | None = None
    completion_id: str | None = None

    @cached_property
    def size(self) -> int:
        """What the log counts against its bound, in bytes."""
        notes = [self.error_message, self.metadata, self.model, self.completion_id]
        return len(self.request) + len(self.response) + len(orjson.dumps(notes))

    def labelled(self, values: Labels) -> "LoggedCall":
        """The same call with its metadata updated."""
        return replace(self, metadata=_present({**self.metadata, **values}))

    def without_payloads(self) -> "LoggedCall":
        """The same call for a log that has no room for its payloads, and a sentence in their place."""
        note = f"left out by the mock: the call has {self.size} bytes, more than its log keeps."
        text = orjson.dumps(note)
        return replace(self, request=text, response=text, model=None, completion_id=None)

    def answer(self) -> Json:
        """The call as `GET /local-testing-only-get-latest-logged-call` shows it."""
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
    """A call that the mock answered itself, as it came: JSON texts, status, and what is noted beside them.

    `now` is in seconds since 1970, None where no clock has a say. Nobody changes one; as each request makes
    one, it isn't frozen.
    """

    request: bytes
    response: bytes | None
    status: int
    error_message: str | None = None
    cache_hit: bool = False
    tags: Mapping[str, str] | None = None
    now: float | None = None

    @property
    def size(self) -> int:
        """About what the log will count for it, in bytes."""
        size = len(self.request) + len(self.response or b"") + _OVERHEAD
        if self.tags:
            size += sum(len(key) + len(value or "") for key, value in self.tags.items())
        return size + len(self.error_message or "")

    def logged(self) -> LoggedCall:
        """The call as the log shows it."""
        return completed(
            orjson.loads(self.request),
            None if self.response is None else orjson.loads(self.response),
            status=self.status,
            error_message=self.error_message,
            cache_hit=self.cache_hit,
            tags=self.tags,
            now=self.now,
            own=True,
            request_text=self.request,
            response_text=self.response,
        )


@dataclass(frozen=True, slots=True)
class LogFilter:
    """One condition on a logged call: what `read` finds in it equals `wanted`; None asks for its absence."""

    read: Callable[[LoggedCall], str | None]
    wanted: str | None

    def holds(self, call: LoggedCall) -> bool:
        return self.read(call) == self.wanted


class CallLog:
    """The calls of one key, newest last; the oldest go when there are too many or they are too large.

    Those that the mock answered itself are put into their form, secrets masked, when somebody asks for them:
    most are dropped unread.
    """

    def __init__(self, *, most_calls: int = MOST_CALLS, most_bytes: int = MOST_LOG_BYTES) -> None:
        self.most_calls = most_calls
        self.most_bytes = most_bytes
        self.read: deque[LoggedCall] = deque()
        self.unread: deque[Own] = deque()
        """Those that came after the ones that were read."""
        self.bytes = 0

    @property
    def calls(self) -> deque[LoggedCall]:
        """All calls, oldest first."""
        while self.unread:
            own = self.unread.popleft()
            self.bytes -= own.size
            self.keep(own.logged())
        return self.read

    def add(self, call: LoggedCall) -> None:
        """Log a call. One that alone exceeds the bound is logged without its payloads."""
        _ = self.calls
        self.keep(call)

    def add_own(self, own: Own) -> None:
        """Log a call that the mock answered itself."""
        self.unread.append(own)
        self.bytes += own.size
        while len(self.read) + len(self.unread) > self.most_calls or self.bytes > self.most_bytes:
            if len(self.unread) == 1 and not self.read:
                _ = self.calls
                return
            self.bytes -= (self.read or self.unread).popleft().size

    def keep(self, call: LoggedCall) -> None:
        call = self.fitted(call)
        self.read.append(call)
        self.bytes += call.size
        while self.read and (len(self.read) > self.most_calls or self.bytes > self.most_bytes):
            self.bytes -= self.read.popleft().size

    def latest(self) -> LoggedCall | None:
        """The call that was logged last."""
        return self.calls[-1] if self.calls else None

    def update(self, filters: Sequence[LogFilter], values: Labels) -> int:
        """Update the metadata of the calls that pass every filter; returns how many they are."""
        found = [all(condition.holds(call) for condition in filters) for call in self.calls]
        before = reversed(list(zip(self.calls, found, strict=True)))
        self.read, self.bytes = deque(), 0
        for call, hit in before:  # newest first, so that what no longer fits is never made
            updated = self.fitted(call.labelled(values)) if hit else call
            if self.bytes + updated.size > self.most_bytes:
                break
            self.read.appendleft(updated)
            self.bytes += updated.size
        return sum(found)

    def fitted(self, call: LoggedCall) -> LoggedCall:
        return call if call.size <= self.most_bytes else call.without_payloads()


# The endpoints. Each takes a body that is valid by its schema, and the log of the key that sent it.


def log_report(body: Json, log: CallLog, *, now: float | None = None) -> Json:
    """`POST /report`: log a call that a client made elsewhere."""
    tags = labels(body.get("tags"), "/tags")
    log.add(_reported(body, body.get("respPayload"), tags, now))
    return {"status": "ok"}


def report_anthropic(body: Json, log: CallLog, *, now: float | None = None) -> Json:
    """`POST /report-anthropic`: the same for Anthropic's API, whose messages are kept as completions."""
    tags = {**labels(body.get("tags"), "/tags"), **labels(body.get("metadata"), "/metadata")}
    response = masked(body.get("respPayload"))
    if is_message(response):
        response = completion(response, int(_moment(now)))
    log.add(_reported(body, response, tags, now))
    return {"status": "ok"}


def update(body: Json, log: CallLog, *, member: Literal["tags", "metadata"]) -> Json:
    """`POST /logs/update-tags` and `POST /logs/update-metadata`; `member` says where the new values are."""
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
    """`POST /check-cache`: always a miss, since the service gave up the cache behind it."""
    return {"respPayload": None}


def latest(log: CallLog) -> Json | None:
    """`GET /local-testing-only-get-latest-logged-call`: null as long as nothing is logged."""
    call = log.latest()
    return call.answer() if call else None


def models(known: Sequence[str]) -> Json:
    """`GET /models`: the names that the mock knows, each as a deployed model; its id has no `openpipe:`."""
    ids = dict.fromkeys(name.removeprefix("openpipe:") for name in known)
    return {"object": "list", "data": [_model(name) for name in ids]}


def _model(name: str) -> Json:
    """One entry of the list of models; all but its names is made up, and costs nothing."""
    born = datetime.fromtimestamp(EPOCH, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    return {
        "id": name,
        "name": name,
        "object": "model",
        "description": None,
        "created": born,
        "updated": born,
        "openpipe": {
            "baseModel": "meta-llama/Meta-Llama-3.1-8B-Instruct",
            "hyperparameters": None,
            "status": "DEPLOYED",
            "datasetId": str(uuid5(NAMESPACE_OID, name)),
            "errorMessage": None,
        },
        "contextWindow": 128_000,
        "maxCompletionTokens": 4_096,
        "capabilities": ["chat", "tools", "json"],
        "pricing": {"chatIn": 0, "chatOut": 0},
        "owned_by": "openpipe",
    }


def completed(
    request: Any,
    response: Any,
    *,
    status: float | None,
    error_message: str | None = None,
    cache_hit: bool = False,
    tags: Any = None,
    now: float | None = None,
    own: bool = False,
    request_text: bytes | None = None,
    response_text: bytes | None = None,
) -> LoggedCall:
    """A call as the log keeps it: secrets masked, the request's metadata and the tags put together.

    `tags` is the value of the header `op-tags`, or what `labels` made of it. Where a tag and the request's
    metadata have the same key, metadata counts. `own`: the response is of our making and hides no secret. The
    texts are the JSON of both, where somebody has it already. Raises BadRequest for tags that are none.
    """
    if request_text is None or may_hide(request_text, b""):
        request = masked(request)
        request_text = orjson.dumps(request)
    response = response if own else masked(response)
    return LoggedCall(
        request=request_text,
        response=orjson.dumps(response) if response_text is None else response_text,
        status=status,
        error_message=error_message,
        cache_hit=cache_hit,
        metadata={**labels(tags, "/op-tags"), **_own_metadata(request)},
        created_at=_moment(now),
        model=text_at(request, "model"),
        completion_id=text_at(response, "id"),
    )


def _reported(body: Json, response: Any, tags: Mapping[str, str], now: float | None) -> LoggedCall:
    """The call that a body of `/report` or `/report-anthropic` tells of."""
    return completed(
        body.get("reqPayload"),
        response,
        status=body.get("statusCode"),
        error_message=body.get("errorMessage"),
        tags=tags,
        now=now,
    )


def _moment(now: float | None) -> float:
    return EPOCH if now is None else now


# Tags and metadata.

_SCALAR = (str, int, float, bool, type(None))


def labels(values: Any, pointer: str) -> dict[str, str]:
    """Tags as the log takes them: numbers and booleans as JavaScript writes them, null and "" left out.

    `pointer` says where the values were sent. Raises BadRequest for anything but an object of scalars.
    """
    if not values and (values is None or values == {}):
        return {}
    _refuse(_unfit(values, SchemaPlace({}, pointer)))
    return _present(_changes(values))


def _unfit(values: Any, place: SchemaPlace) -> Iterator[Violation]:
    """What in a set of tags is no tag."""
    if not isinstance(values, dict):
        yield Violation(place.pointer, "type", f"expected an object of tags, got {shown(values)}.")
        return
    for key, value in values.items():
        if not isinstance(value, _SCALAR):
            expected = "expected a string, a number, true, false or null"
            advice = "send structured values as JSON text"
            yield Violation(place.at(key).pointer, "type", f"{expected}, got {shown(value)}; {advice}.")


def _own_metadata(request: Any) -> dict[str, str]:
    """The scalars in a request's own metadata. A request that failed may hold anything there: no error."""
    metadata = request.get("metadata") if isinstance(request, dict) else None
    fit = metadata if isinstance(metadata, dict) else {}
    return _present(_changes({key: value for key, value in fit.items() if isinstance(value, _SCALAR)}))


def _changes(values: Mapping[str, Any]) -> Labels:
    """What tags do to those of a call: set them or, with null, delete them. An empty string does nothing."""
    return {key: hidden(key, _label(value)) for key, value in values.items() if value != ""}


def _label(value: str | int | float | None) -> str | None:
    return value if value is None or isinstance(value, str) else javascript.javascript_text(value)


def _present(values: Labels) -> dict[str, str]:
    return {key: value for key, value in values.items() if value is not None}


# Filters.

_FIELDS: dict[str, Callable[[LoggedCall], str | None]] = {
    "model": attrgetter("model"),
    "completionId": attrgetter("completion_id"),
    "statusCode": lambda call: _label(call.status),
}
"""Fields of a filter that stand alone. All others name a piece of metadata: `metadata.KEY`, `tags.KEY`."""
_FAMILIES = ("metadata", "tags")


def _reader(name: str) -> Callable[[LoggedCall], str | None] | None:
    """What reads the field of this name in a call; None for an unknown field. A key may contain dots."""
    family, _, key = name.partition(".")
    if family in _FAMILIES and key:
        return lambda call: call.metadata.get(key)
    return _FIELDS.get(name)


def _unknown_fields(filters: Sequence[Json], place: SchemaPlace) -> Iterator[Violation]:
    """Filters that ask for nothing we know. The service would ignore them, and so update too many calls."""
    for index, item in enumerate(filters):
        if _reader(item["field"]) is None:
            where = place.at(index).at("field").pointer
            yield Violation(where, "enum", f"unknown field {quoted(item['field'])}; {_meant(item['field'])}")


def _meant(name: str) -> str:
    """What to say of a field that we don't know."""
    family, _, key = name.partition(".")
    near = nearest(family, [*_FIELDS, *_FAMILIES])
    if near is None:
        known = [*_FIELDS, *(f"{family}.KEY" for family in _FAMILIES)]
        return f"known are {listed(map(quoted, known), 'and')}."
    whole = f"{near}.{key or 'KEY'}" if near in _FAMILIES else near
    return f"did you mean {quoted(whole)}?"


def _refuse(violations: Iterator[Violation]) -> None:
    """Raise BadRequest if there are any: the first in the message, each an issue."""
    found = gathered(violations, MOST_ISSUES)
    if found.shown:
        raise BadRequest(found.headline(), issues=found.issues())
