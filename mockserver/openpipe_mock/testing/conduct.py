"""Rules of conduct: what a client does wrong though each of its requests keeps the contract.

Each rule looks at the requests of one run, in the order in which they came, and yields what it finds.
Findings are warnings: the mock sees requests, and not why they were sent.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from openpipe_mock.core.secrets import MASK
from openpipe_mock.core.seeded import digest
from openpipe_mock.sessions.inspection import body_of
from openpipe_mock.sessions.journal import Entry

Json = Any

_MEANT = b"x-mock-expect"
"""The header with which a client says that it breaks the contract on purpose: `violation`."""
_RETRIES = b"x-stainless-retry-count"
"""The header in which the official clients count retries: 0 for the first request."""
_REFUSED = frozenset((400, 413, 422))
_PASSING = frozenset((0, 408, 409, 429, 500, 502, 503, 504))
"""Statuses after which a retry makes sense; 0: the connection broke."""
_TOLERANCE = 0.9
"""The share of a wait after which a client is no longer early: clocks and timers are rough."""
MOST_AFTER = 3
"""Requests that an endpoint may get during a pause that it has asked for."""
UNDER_WAY = 0.5
"""Seconds after a 429 within which requests don't count: they may have been under way already."""
_SOON = 1.0
"""Seconds of the pause after a 429 without `Retry-After`."""
MOST_RETRIES = 5
"""Retries of a failed request that aren't too many."""
SOON_ENOUGH = 60.0
"""Seconds within which the same request after a refusal counts as a retry of it."""


@dataclass(frozen=True, slots=True)
class Observed:
    """One request and its answer, as the rules read them.

    `at`, `ended`: seconds on one clock, `ended` None where the client hung up. `same`: equal for equal
    requests. `retry_after`: seconds that the answer asks to wait. `secrets`: parameters of the query that
    name a secret. `meant`: whether it breaks the contract on purpose. `retry`: whether the client says that
    it is one, None where it says nothing.
    """

    id: str
    endpoint: str
    at: float
    ended: float | None
    status: int
    same: bytes
    body: Json = None
    streamed: bool = False
    retry_after: float | None = None
    secrets: tuple[str, ...] = ()
    meant: bool = False
    retry: bool | None = None


def observed(entry: Entry) -> Observed:
    """A journal entry as the rules read it."""
    body, count = entry.body or b"", entry.headers.get(_RETRIES)
    length = str(len(body) + entry.body_left_out)  # of a long body the end may differ
    return Observed(
        id=entry.id,
        endpoint=entry.endpoint or entry.path,
        at=entry.at,
        ended=None if entry.seconds is None else entry.at + entry.seconds,
        status=entry.status,
        same=digest(entry.method.encode(), entry.path.encode("utf-8", "replace"), body, length.encode()),
        body=body_of(entry),
        streamed=entry.streamed,
        retry_after=entry.retry_after,
        secrets=entry.query_secrets,
        meant=entry.headers.get(_MEANT, b"").strip().lower() == b"violation",
        retry=None if count is None else count.strip() != b"0",
    )


@dataclass(frozen=True, slots=True)
class Sight:
    """A request that broke a rule. `id`: of the request; `told`: what was seen, as half a sentence."""

    id: str
    told: str


_Look = Callable[[Sequence[Observed]], Iterator[Sight]]


@dataclass(frozen=True, slots=True)
class _Rule:
    """Something that a client shouldn't do: a name, a sentence, and what to do instead.

    `timed`: it depends on how long the client waited, and so isn't applied in virtual time.
    """

    name: str
    sentence: str
    remedy: str
    look: _Look
    timed: bool = False


@dataclass(frozen=True, slots=True)
class Lapse:
    """A rule that was broken, and the requests that broke it."""

    rule: _Rule
    sights: tuple[Sight, ...]

    def __str__(self) -> str:
        first, *others = self.sights
        more = f", and {len(others)} more" if others else ""
        return f"{self.rule.name}: {self.rule.sentence} {first.id}: {first.told}{more}. {self.rule.remedy}"


def lapses(requests: Sequence[Observed], *, real_time: bool = True) -> tuple[Lapse, ...]:
    """The rules that a client broke, by its requests in the order in which they came.

    `real_time`: whether the mock's clock went on while the client waited. Else timed rules aren't applied.
    """
    found = ((rule, tuple(rule.look(requests))) for rule in CONDUCT_RULES if real_time or not rule.timed)
    return tuple(Lapse(rule, sights) for rule, sights in found if sights)


# The rules.


def _pairs(requests: Sequence[Observed]) -> Iterator[tuple[Observed, Observed]]:
    """Pairs of equal requests, each with the one that came next."""
    latest: dict[bytes, Observed] = {}
    for request in requests:
        before = latest.get(request.same)
        if before is not None:
            yield before, request
        latest[request.same] = request


def _retries(requests: Sequence[Observed]) -> Iterator[tuple[Observed, Observed]]:
    """The pairs that may be a request and its retry: the first had its answer before the second came."""
    for before, request in _pairs(requests):
        if before.ended is not None and request.at >= before.ended and request.retry is not False:
            yield before, request


def _early(requests: Sequence[Observed]) -> Iterator[Sight]:
    """Requests that came too soon after an answer with `Retry-After`."""
    # Of equal requests sent at once, one that comes in time obeys for one that doesn't: a missed warning is
    # better than a false one.
    waiting: dict[bytes, list[Observed]] = {}
    soon: dict[bytes, list[Sight]] = {}
    for request in requests:
        if request.retry is not False:
            told = waiting.get(request.same, [])
            obeyed = next((each for each in told if request.at >= _again_from(each)), None)
            if obeyed:
                told.remove(obeyed)
            elif told and request.at >= (told[-1].ended or 0.0):
                soon.setdefault(request.same, []).append(_too_soon(told[-1], request))
        if request.retry_after is not None and request.ended is not None:
            waiting.setdefault(request.same, []).append(request)
    for same, sights in soon.items():
        yield from sights[: len(waiting[same])]


def _again_from(request: Observed) -> float:
    """When the same request may come again."""
    return (request.ended or request.at) + (request.retry_after or 0.0) * _TOLERANCE


def _too_soon(before: Observed, request: Observed) -> Sight:
    waited = request.at - (before.ended or before.at)
    told = f"told to wait {before.retry_after:g} s after {before.id}, it came after {waited:.2f} s"
    return Sight(request.id, told)


def _refused_again(requests: Sequence[Observed]) -> Iterator[Sight]:
    for before, request in _retries(requests):
        soon = request.at - before.at < SOON_ENOUGH
        if before.status in _REFUSED and soon and not (before.meant or request.meant):
            yield Sight(request.id, f"the same as {before.id}, which was answered {before.status}")


def _hammering(requests: Sequence[Observed]) -> Iterator[Sight]:
    """More than `MOST_AFTER` requests in a pause of an endpoint; an answer other than 429 ends the pause."""
    told: dict[str, Observed] = {}
    after: dict[str, int] = {}
    for request in requests:
        name, before = request.endpoint, told.get(request.endpoint)
        if before and request.at < _pause_end(before):
            after[name] += request.at >= (before.ended or before.at) + UNDER_WAY
            if after[name] == MOST_AFTER + 1:
                yield Sight(request.id, f"{after[name]} requests to {name} came in the pause")
        elif request.status == 429:
            told[name], after[name] = request, 0
        if request.status != 429:
            told.pop(name, None)


def _pause_end(request: Observed) -> float:
    """When the pause after a 429 is over."""
    pause = _SOON if request.retry_after is None else request.retry_after
    return (request.ended or request.at) + pause * _TOLERANCE


def _endless(requests: Sequence[Observed]) -> Iterator[Sight]:
    """The same request again and again, each time after a failure."""
    number: dict[bytes, int] = {}
    for before, request in _retries(requests):
        again = number.get(request.same, 0) + 1 if before.status in _PASSING else 0
        number[request.same] = again
        if again == MOST_RETRIES + 1:
            yield Sight(request.id, f"retry {again} of the same request, and {before.status} each time")


def _secret_queries(requests: Sequence[Observed]) -> Iterator[Sight]:
    for request in requests:
        if request.secrets:
            yield Sight(request.id, f"in its query: {', '.join(request.secrets)}")


def _keys_in_bodies(requests: Sequence[Observed]) -> Iterator[Sight]:
    # The journal masks keys, so a string that is nothing but a mask was one.
    for request in requests:
        place = next(_masked_places(request.body), None)
        if place is not None:
            yield Sight(request.id, f"at {place or 'body'}")


def _masked_places(value: Json, place: str = "") -> Iterator[str]:
    """The JSON pointers of strings that were masked whole."""
    if isinstance(value, dict):
        for name, member in value.items():
            yield from _masked_places(member, f"{place}/{name}")
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _masked_places(item, f"{place}/{number}")
    elif isinstance(value, str) and value.removeprefix("Bearer ") == MASK:
        yield place


def _streams_left(requests: Sequence[Observed]) -> Iterator[Sight]:
    for request in requests:
        if request.streamed and request.ended is None:
            yield Sight(request.id, "the client hung up before the stream had ended")


_CRITERIA = ("op-criteria", "op_criteria", "opCriteria")


def _criteria_in_bodies(requests: Sequence[Observed]) -> Iterator[Sight]:
    for request in requests:
        body = request.body if request.endpoint == "chat" and isinstance(request.body, dict) else {}
        for place, members in (("", body), *((f"/{name}", body.get(name)) for name in _OPTIONS)):
            found = next((name for name in _CRITERIA if isinstance(members, dict) and name in members), None)
            if found:
                yield Sight(request.id, f"at {place}/{found}")


def _unknown_tool_calls(requests: Sequence[Observed]) -> Iterator[Sight]:
    for request in requests:
        place = _orphan(request.body) if request.endpoint == "chat" and not request.meant else ""
        if place:
            yield Sight(request.id, f"at {place}")


def _orphan(body: Json) -> str:
    """The JSON pointer of the first `tool_call_id` that no call before it has, "" without one."""
    known: set[Json] = set()
    messages = body.get("messages") if isinstance(body, dict) else None
    for number, message in enumerate(messages if isinstance(messages, list) else ()):
        if not isinstance(message, dict):
            continue
        named = message.get("tool_call_id")
        if message.get("role") == "tool" and isinstance(named, str) and named not in known:
            return f"/messages/{number}/tool_call_id"
        calls = message.get("tool_calls")
        found = (
            [each.get("id") for each in calls if isinstance(each, dict)] if isinstance(calls, list) else []
        )
        known.update(each for each in found if isinstance(each, str))
    return ""


_OPTIONS = ("headers", "extra_headers", "extra_body", "default_headers")
"""Members of a body that hold options of a client's call by mistake."""

CONDUCT_RULES: tuple[_Rule, ...] = (
    _Rule(
        "ignored-retry-after",
        "A request came again before the time that `Retry-After` had told.",
        "Wait that many seconds before the same request is sent again.",
        _early,
        timed=True,
    ),
    _Rule(
        "hammered-after-429",
        f"More than {MOST_AFTER} requests came to an endpoint that had just answered 429.",
        "Let all requests of the key wait, not only the one that was refused.",
        _hammering,
        timed=True,
    ),
    _Rule(
        "retried-a-400",
        "A request that was refused as wrong came again unchanged.",
        "Retry 408, 409, 429 and 5xx alone; a wrong request stays wrong.",
        _refused_again,
    ),
    _Rule(
        "retried-without-end",
        f"A request that failed came again more than {MOST_RETRIES} times.",
        "Give up after a few attempts, and wait longer before each.",
        _endless,
    ),
    _Rule(
        "secret-in-query",
        "A secret was sent in the query of a URL, where proxies and logs keep it.",
        "Send the key as `Authorization: Bearer KEY`.",
        _secret_queries,
    ),
    _Rule(
        "key-in-body",
        "A key was sent in the body, where it is logged with the request.",
        "Send the key as `Authorization: Bearer KEY` and nowhere else.",
        _keys_in_bodies,
    ),
    _Rule(
        "left-a-stream",
        "A stream was left before it had ended, so its last events, and what they count, are lost.",
        "Read streams to their end, or cancel the request where the answer is no longer wanted.",
        _streams_left,
    ),
    _Rule(
        "criteria-in-body",
        "`op-criteria` stood in the body, where nobody reads it: the choices were not judged.",
        "Send it as a header; in OpenAI's clients among the options of the call.",
        _criteria_in_bodies,
    ),
    _Rule(
        "unknown-tool-call",
        "A tool's result had a `tool_call_id` that no call before it has, so nobody knows what it answers.",
        "Send the assistant's message with its `tool_calls` before the results, and its ids unchanged.",
        _unknown_tool_calls,
    ),
)
"""All rules, in the order in which they are reported."""
