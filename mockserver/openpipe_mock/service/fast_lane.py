"""Answer the most usual requests in one go: plain judgements, and completions that were given before.

`Service` gives them the same bytes, journal entries and counts. Whatever is special, in the request or in the
settings, is left to it. In a loop a plain judgement takes 11 µs here and 17 there, a repeated completion 10.5
instead of 35 (docs/performance.md).
"""

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from hashlib import blake2b
from typing import Any

import orjson

from openpipe_mock.answers import magic
from openpipe_mock.answers.chat import NOT_IDENTITY, content_digest
from openpipe_mock.answers.judge import (
    LATEST,
    Criterion,
    drawn,
    no_untidy,
    split_reference,
    tidy_content,
    undeclared_one,
)
from openpipe_mock.answers.scorers import Judgement
from openpipe_mock.config.settings import Settings
from openpipe_mock.core import seeded
from openpipe_mock.core.effects import JSON_HEADERS, Effects, Head, Headers, Reply
from openpipe_mock.core.errors import ApiError
from openpipe_mock.core.secrets import held
from openpipe_mock.core.strictjson import MOST_LEVELS
from openpipe_mock.openapi.endpoints import BASE
from openpipe_mock.openapi.spec import contract
from openpipe_mock.service.completions import OFTEN
from openpipe_mock.service.journaling import REQUEST_ID
from openpipe_mock.service.metrics import SCORES, SECONDS, observe
from openpipe_mock.service.request import Visit
from openpipe_mock.service.service import Keep, Service
from openpipe_mock.sessions.calllog import Own
from openpipe_mock.sessions.journal import OVERHEAD, SCORE_BYTES, Entry, head_size
from openpipe_mock.sessions.memory import Session, Sessions, fingerprint

_Clock = Callable[[], float]
_Key = tuple[bytes, bytes | None]
"""What decides a completion under the same settings: the digest of the body as sent, and `op-criteria`.

The request's identity isn't enough: answers follow the order of a schema's keys, which it ignores.
"""

[_JSON] = JSON_HEADERS
_JUDGE, _CHAT = f"{BASE}/criteria/judge", f"{BASE}/chat/completions"
_LONG_WAY = frozenset(
    (b"content-encoding", b"x-mock-session", b"x-mock-fault", b"x-mock-delay-ms", b"x-mock-score")
)
"""Headers that change the answer, beside the key and the type."""
_LONG_CHAT = _LONG_WAY | {b"op-cache", b"op-log-request", b"op-tags"}
_ANSWER_HEAD = len(b"".join((*_JSON, REQUEST_ID)))
"""Bytes of the headers of an answer, beside the request's id."""
_JUDGE_SIZE = OVERHEAD + SCORE_BYTES + len(_JUDGE) + _ANSWER_HEAD
"""Bytes that the journal counts for a judgement, beside body, answer, the request's headers and its id."""
MOST_BYTES = 32_768
"""Bytes of a body that the fast lane takes. Longer ones take so long that it would save next to nothing."""
_MOST_KNOWN = 512
"""Completions that are remembered, each of at most MOST_BYTES."""
_LONGEST_CRITERIA = 1000
"""Bytes of `op-criteria` with which a completion is remembered."""


@dataclass(frozen=True, slots=True)
class _Known:
    """A completion that was given: JSON text, line in the terminal, and what the journal says of it.

    `identity`: of its request. `size`: bytes that the journal counts beside body, answer, the request's
    headers and its id. Each journal entry gets a copy of the scores.
    """

    text: bytes
    line: str
    identity: bytes
    criteria: tuple[str, ...]
    scores: list[dict[str, float]]
    ranking: tuple[int, ...]
    size: int


class FastLane:
    """The fast lane through a service; sessions that several processes share have none.

    What `learn` works out of the settings: `judges` and `repeats`: whether judgements, and completions given
    before, are answered here. `most`: bytes of a body. `most_digits`: digits of its announced length.
    `known`: the completions given before.
    """

    def __init__(self, service: Service) -> None:
        self.service = service
        self.metrics = service.metrics
        self.durations = self.metrics.durations["judge", 200]
        self.sessions = service.sessions if type(service.sessions) is Sessions else None
        self.is_judgement = contract().checker("JudgeCriteriaRequest").is_valid
        self.is_chat = contract().checker("ChatCompletionRequest").is_valid
        self.base: Settings | None = None
        self.settings: Settings | None = None
        self.most = 0
        self.most_digits = 0
        self.judges = False
        self.repeats = False
        self.known: dict[_Key, _Known] = {}

    def answer(self, head: Head, body: bytes, clock: _Clock) -> Reply | Effects:
        """Answer a request whose body is here: a reply, or the rest of the exchange where time has to pass.

        `clock`: seconds on the clock of `Head.at`.
        """
        reply: Reply | None = None
        keep: Keep | None = None
        if self.sessions and head.method == "POST" and not head.query:
            if head.path == _JUDGE:
                reply = self.judgement(self.sessions.default, head, body, clock)
            elif head.path == _CHAT:
                reply, keep = self.completion(self.sessions.default, head, body, clock)
        return reply or self.service.answer(head, body, clock, keep)

    def plain(self, session: Session, headers: Headers) -> Settings | None:
        """The settings of a session; None where they or a request's headers rule the fast lane out."""
        base = self.service.settings
        settings = session.settings(base)
        if settings is not self.settings or base is not self.base:
            self.learn(session, settings, base)
        return settings if self.judges and _admits(headers, self.most_digits) else None

    # Judgements.

    def judgement(self, session: Session, head: Head, body: bytes, clock: _Clock) -> Reply | None:
        """The reply to a judge request; None, and nothing done, where it isn't plain."""
        headers = head.headers
        settings = self.plain(session, headers)
        if settings is None or not _LONG_WAY.isdisjoint(headers):
            return None
        request = self.read(body, self.is_judgement)
        if request is None:
            return None
        try:
            asked, state = criterion_and_draw(request["criterion_id"], settings.magic, settings.seed)
        except ApiError:
            return None
        if asked is None:
            return None
        content = tidy_content(request.get("input", {}), request["output"])
        found = drawn(asked.text, settings.seed, seeded.step_of(state, content))
        token, seconds = headers[b"authorization"][7:].strip(), clock() - head.at
        # Written out, since calls of `observe` would cost a judgement 3 % more.
        durations = self.durations
        durations[bisect_left(SECONDS, seconds)] += 1
        durations[-1] += seconds
        scores = self.metrics.scores.get(asked.name) or self.metrics.scores_of(asked.name, token)
        scores[bisect_left(SCORES, found.score)] += 1
        scores[-1] += found.score
        session.requests = number = session.requests + 1
        request_id = f"{session.name}-{number}".encode()
        size = _JUDGE_SIZE + len(body) + len(found.answer) + head_size(headers) + len(request_id)
        facts = (asked, found, number, session.name, head, settings, seconds, body)
        session.journal.add_later((size, _judged, facts, token))
        return Reply(200, found.answer, (_JSON, (REQUEST_ID, request_id)), found.line)

    def learn(self, session: Session, settings: Settings, base: Settings) -> None:
        """Work out what these settings allow. `base`: the mock's own, which bound a body."""
        self.base, self.settings, self.known = base, settings, {}
        self.most = min(MOST_BYTES, base.max_body_bytes)
        self.most_digits = len(str(base.max_body_bytes + 1)) - 1
        own = (
            type(session) is Session
            and type(self.service) is Service
            and not (session.source or self.service.source or self.service.journal_file)
        )
        self.judges = own and _is_plain(settings)
        self.repeats = self.judges and _is_repeatable(settings)

    def read(self, body: bytes, fits: Callable[[Any], bool]) -> dict[str, Any] | None:
        """A body's JSON; None where it is invalid, long or deep, or has members that count as absent."""
        if len(body) > self.most:
            return None
        try:
            request: dict[str, Any] = orjson.loads(body)
        except orjson.JSONDecodeError:
            return None
        if body.count(b"[") + body.count(b"{") > MOST_LEVELS:
            return None
        return request if fits(request) and no_untidy(body.decode()) else None

    # Completions.

    def completion(
        self, session: Session, head: Head, body: bytes, clock: _Clock
    ) -> tuple[Reply | None, Keep | None]:
        """The reply to a chat request that was answered before, or what keeps the service's answer to it.

        Neither where it isn't plain.
        """
        headers, criteria = head.headers, head.headers.get(b"op-criteria")
        if self.plain(session, headers) is None or not self.repeats or not _LONG_CHAT.isdisjoint(headers):
            return None, None
        if len(body) > self.most or len(criteria or b"") > _LONGEST_CRITERIA:
            return None, None
        key = blake2b(body, digest_size=16).digest(), criteria
        known = self.known.get(key)
        if known is None:
            request = self.read(body, self.is_chat)
            if request is None or request.get("stream") or request.get("store"):  # which is logged
                return None, None
            return None, partial(self.keep, key, content_digest(request, NOT_IDENTITY))
        if session.counts.get(known.identity) == OFTEN - 1:  # the service notes it
            return None, None
        return self.again(known, session, head, body, clock), None

    def again(self, known: _Known, session: Session, head: Head, body: bytes, clock: _Clock) -> Reply:
        """The reply to a chat request that was answered before."""
        session.count(known.identity)
        session.requests = number = session.requests + 1
        headers, token = head.headers, head.headers[b"authorization"][7:].strip()
        if b"op-criteria" in headers:  # without such a header it isn't logged
            keys = (*held(body, token), *self.service.settings.secrets)
            session.log(fingerprint(token)).add(Own(body, known.text, 200, keys=keys))
        request_id = f"{session.name}-{number}".encode()
        size = known.size + len(body) + len(known.text) + head_size(headers) + len(request_id)
        seconds = clock() - head.at
        observe(self.metrics.durations["chat", 200], SECONDS, seconds)
        self.metrics.scored(known.scores, token)
        facts = (known, number, session.name, head, self.settings, seconds, body)
        session.journal.add_later((size, _completed, facts, token))
        return Reply(200, known.text, (_JSON, (REQUEST_ID, request_id)), known.line)

    def keep(self, key: _Key, identity: bytes, visit: Visit, reply: Reply) -> None:
        """Keep a completion for the next time, unless the journal says more of it."""
        entry = visit.entry
        if reply.status != 200 or reply.headers != JSON_HEADERS or len(reply.body) > MOST_BYTES:
            return
        if reply.notes or entry.notes or entry.rules or entry.faults:
            return
        if entry.violations or entry.tolerated:
            return
        if visit.settings is not self.settings:
            return
        if len(self.known) >= _MOST_KNOWN:
            del self.known[next(iter(self.known))]
        scores = [dict(each) for each in entry.scores]
        size = OVERHEAD + _ANSWER_HEAD + len(_CHAT) + SCORE_BYTES * sum(map(len, scores))
        said = (entry.criteria, scores, entry.ranking)
        self.known[key] = _Known(reply.body, reply.subject, identity, *said, size)


def _admits(headers: Headers, most_digits: int) -> bool:
    """Whether headers have a plain bearer key, the type `application/json`, and no length over the limit."""
    key = headers.get(b"authorization", b"")
    return (
        headers.get(b"content-type") == b"application/json"
        and key[:7] == b"Bearer "
        and key[7:8].isalnum()
        and key[7:14] != b"invalid"
        and len(headers.get(b"content-length", b"")) <= most_digits
    )


def _is_plain(settings: Settings) -> bool:
    """Whether settings draw all scores by content, and have no faults, keys, limits, variant or warning."""
    keys = settings.keys or settings.read_only_keys
    special = settings.criteria or settings.faults or settings.variant or keys or settings.outdated
    return not special and settings.limits.none and settings.judges_unknown


def _is_repeatable(settings: Settings) -> bool:
    """Whether settings give a completion that depends on its request alone, each time it is sent."""
    pure = settings.ids == "content" and settings.clock == "fixed" and settings.repeat == "same"
    scripted = settings.completions or settings.unscripted
    return pure and not scripted and not settings.known_models and not settings.project.models


@lru_cache(maxsize=1024)
def criterion_and_draw(reference: str, magical: bool, seed: int) -> tuple[Criterion | None, seeded.DrawState]:
    """The criterion that a reference names, None for a magic one, and the state that scores are drawn from.

    Raises ApiError for what is no reference. The cache keeps no such text, which may be long.
    """
    name, version = split_reference(reference)
    asked = None if magical and name.startswith(magic.PREFIX) else undeclared_one(name, version or LATEST)
    return asked, seeded.begun(seed, name, version or LATEST)


def _judged(asked: Criterion, found: Judgement, *came: Any) -> Entry:
    """The journal's entry of a plain judgement. `came`: the last six arguments of `_entry`."""
    return _entry(_JUDGE, "judge", found.answer, (asked.text,), [{asked.name: found.score}], (), *came)


def _completed(known: _Known, *came: Any) -> Entry:
    """The journal's entry of a completion that was given before. `came`: as for `_judged`."""
    scores = [dict(each) for each in known.scores]
    return _entry(_CHAT, "chat", known.text, known.criteria, scores, known.ranking, *came)


def _entry(
    path: str,
    endpoint: str,
    answer: bytes,
    criteria: tuple[str, ...],
    scores: list[dict[str, float]],
    ranking: tuple[int, ...],
    number: int,
    session: str,
    head: Head,
    settings: Settings,
    seconds: float,
    body: bytes,
) -> Entry:
    """The journal's entry of a request that was answered with 200."""
    return Entry(
        *(number, session, "POST", path, head.headers, settings, head.at, head.time),
        endpoint=endpoint,
        body=body,
        status=200,
        answer=answer,
        answer_headers=(_JSON, (REQUEST_ID, f"{session}-{number}".encode())),
        seconds=seconds,
        criteria=criteria,
        scores=scores,
        ranking=ranking,
        checked=True,
    )
