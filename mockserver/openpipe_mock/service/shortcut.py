"""The short way to the answers that most requests get: plain judgements, and completions given before.

`Service` answers the same in its steps, with the same bytes, the same journal and the same memory. What is
unlike the usual in any respect goes that way; here it is only recognised.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
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
from openpipe_mock.core import seeded as scoring
from openpipe_mock.core.effects import JSON_HEADERS, Effects, Head, Headers, Reply
from openpipe_mock.core.errors import ApiError
from openpipe_mock.core.strictjson import MOST_LEVELS
from openpipe_mock.openapi.endpoints import BASE
from openpipe_mock.openapi.spec import contract
from openpipe_mock.service.completions import OFTEN
from openpipe_mock.service.journaling import REQUEST_ID, finished
from openpipe_mock.service.request import Visit
from openpipe_mock.service.service import Service
from openpipe_mock.sessions.calllog import Own
from openpipe_mock.sessions.journal import OVERHEAD, SCORE_BYTES, Entry, head_size
from openpipe_mock.sessions.memory import Session, Sessions, fingerprint

_Clock = Callable[[], float]
_Key = tuple[bytes, bytes | None]
"""What a completion is a function of, under the same settings: its body's digest, and `op-criteria`.

The body as it was sent, to the letter: an answer follows the order of a schema's keys, which counts for
nothing in the request's identity.
"""
_Asked = tuple[_Key, bytes]
"""The key of a completion, and the identity of its request, by which repetitions are counted."""

[_JSON] = JSON_HEADERS
_JUDGE, _CHAT = f"{BASE}/criteria/judge", f"{BASE}/chat/completions"
_LONG_WAY = frozenset(
    (b"content-encoding", b"x-mock-session", b"x-mock-fault", b"x-mock-delay-ms", b"x-mock-score")
)
"""Headers that have a say in the answer, beside the key and the type."""
_LONG_CHAT = _LONG_WAY | {b"op-cache", b"op-log-request", b"op-tags"}
_JUDGE_SIZE = OVERHEAD + SCORE_BYTES + len(_JUDGE)
"""What the journal counts for a judgement, beside body, answer and headers."""
MOST_SHORTCUT_BYTES = 32_768
"""Longer bodies take so long that the way there doesn't count."""
_MOST_KNOWN = 512
"""Completions that are remembered; each has at most MOST_BYTES."""
_LONGEST_CRITERIA = 1000
"""Bytes of `op-criteria` that are kept of one."""


@dataclass(frozen=True, slots=True)
class _Known:
    """A completion that was given: JSON text, line in the terminal, and what the journal says of it.

    `identity` is that of its request, `size` what the journal counts beside body, answer and headers. Nobody
    changes the scores: an entry has its own.
    """

    text: bytes
    line: str
    identity: bytes
    criteria: tuple[str, ...]
    scores: list[dict[str, float]]
    size: int


class Shortcut:
    """The short ways through a service. Sessions that several processes share have none."""

    def __init__(self, service: Service) -> None:
        self.service = service
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
        self.parsed: Any = None
        """The JSON of the body that is looked at, once somebody has read it."""

    def answer(self, head: Head, body: bytes, clock: _Clock) -> Reply | Effects:
        """What the service says to a request whose body is here; an exchange where time has to pass.

        `clock` is that of `Head.at`, in seconds.
        """
        reply: Reply | Effects | None = None
        self.parsed = None
        if self.sessions and head.method == "POST" and not head.query:
            if head.path == _JUDGE:
                reply = self.judgement(self.sessions.default, head.headers, body, head.at, clock)
            elif head.path == _CHAT:
                reply = self.completion(self.sessions.default, head, body, clock)
        return reply or self.stepwise(head, body, clock)

    def stepwise(
        self, head: Head, body: bytes, clock: _Clock, asked: _Asked | None = None
    ) -> Reply | Effects:
        """The service's own steps; what is `asked` for the first time is remembered with its completion."""
        service = self.service
        visit = service.begin(head)
        if isinstance(visit, Reply):
            return visit
        try:
            sent = body if len(body) <= service.settings.max_body_bytes else None
            found = service.proceed(visit, sent, self.parsed)
            if isinstance(found, Reply):
                finished(visit, found, clock())
                if asked:
                    self.remember(asked, visit, found)
        except BaseException:
            service.end(visit)
            raise
        if not isinstance(found, Reply):
            return service.go_on(visit, found)
        service.end(visit)
        return found

    def plain(self, session: Session, headers: Headers) -> Settings | None:
        """The settings of a session, where they and a request's headers leave it to what was asked."""
        base = self.service.settings
        settings = session.settings(base)
        if settings is not self.settings or base is not self.base:
            self.learn(session, settings, base)
        return settings if self.judges and _admits(headers, self.most_digits) else None

    # Judgements.

    def judgement(
        self, session: Session, headers: Headers, body: bytes, at: float, clock: _Clock
    ) -> Reply | None:
        """The reply to a judge request; None, and nothing done, where it isn't plain.

        `at`: when it came, on `clock`, in seconds.
        """
        settings = self.plain(session, headers)
        if settings is None or not _LONG_WAY.isdisjoint(headers):
            return None
        request = self.read(body, self.is_judgement)
        if request is None:
            return None
        try:
            asked, state = lot(request["criterion_id"], settings.magic, settings.answers, settings.seed)
        except ApiError:
            return None
        if asked is None:
            return None
        content = tidy_content(request.get("input", {}), request["output"])
        found = drawn(asked.text, settings.seed, scoring.step_of(state, content))
        session.requests = number = session.requests + 1
        size = _JUDGE_SIZE + len(body) + len(found.answer) + head_size(headers)
        facts = (number, session.name, headers, settings, at, clock() - at, body, asked, found)
        session.journal.add_later((size, _judged, facts, headers[b"authorization"][7:].strip()))
        request_id = f"{session.name}-{number}".encode()
        return Reply(200, found.answer, (_JSON, (REQUEST_ID, request_id)), found.line)

    def learn(self, session: Session, settings: Settings, base: Settings) -> None:
        """What short ways there are under these settings; `base`: the mock's own, which bound its bodies."""
        self.base, self.settings, self.known = base, settings, {}
        self.most = min(MOST_SHORTCUT_BYTES, base.max_body_bytes)
        self.most_digits = len(str(base.max_body_bytes + 1)) - 1
        own = type(session) is Session and type(self.service) is Service
        self.judges = own and _is_plain(settings)
        self.repeats = self.judges and _is_repeatable(settings)

    def read(self, body: bytes, fits: Callable[[Any], bool]) -> dict[str, Any] | None:
        """A body's JSON; None where it is wrong, untidy, long or deep."""
        if len(body) > self.most:
            return None
        try:
            request: dict[str, Any] = orjson.loads(body)
        except orjson.JSONDecodeError:
            return None
        if body.count(b"[") + body.count(b"{") > MOST_LEVELS:
            return None
        self.parsed = request
        return request if fits(request) and no_untidy(body.decode()) else None

    # Completions.

    def completion(self, session: Session, head: Head, body: bytes, clock: _Clock) -> Reply | Effects | None:
        """The reply to a chat request, kept for the next time; None, and nothing done, for a special one."""
        headers, criteria = head.headers, head.headers.get(b"op-criteria")
        if self.plain(session, headers) is None or not self.repeats or not _LONG_CHAT.isdisjoint(headers):
            return None
        if len(body) > self.most or len(criteria or b"") > _LONGEST_CRITERIA:
            return None
        key = blake2b(body, digest_size=16).digest(), criteria
        known = self.known.get(key)
        if known is None:
            request = self.read(body, self.is_chat)
            if request is None or request.get("stream"):
                return None
            return self.stepwise(head, body, clock, (key, content_digest(request, NOT_IDENTITY)))
        if session.counts.get(known.identity) == OFTEN - 1:  # which the terminal is told
            return None
        return self.again(known, session, head, body, clock)

    def again(self, known: _Known, session: Session, head: Head, body: bytes, clock: _Clock) -> Reply:
        """The reply to a chat request that was answered before."""
        session.count(known.identity)
        session.requests = number = session.requests + 1
        headers, at, token = head.headers, head.at, head.headers[b"authorization"][7:].strip()
        session.log(fingerprint(token)).add_own(Own(body, known.text, 200))
        size = known.size + len(body) + len(known.text) + head_size(headers)
        facts = (number, session.name, headers, self.settings, at, clock() - at, body, known)
        session.journal.add_later((size, _completed, facts, token))
        request_id = f"{session.name}-{number}".encode()
        return Reply(200, known.text, (_JSON, (REQUEST_ID, request_id)), known.line)

    def remember(self, asked: _Asked, visit: Visit, reply: Reply) -> None:
        """Keep a completion, unless more is said of it than its answer."""
        key, identity = asked
        entry, settings = visit.entry, visit.settings
        if reply.status != 200 or reply.headers[:-1] != JSON_HEADERS or len(reply.body) > MOST_SHORTCUT_BYTES:
            return
        if entry.notes or entry.rules or entry.faults or entry.violations or settings is not self.settings:
            return
        if len(self.known) >= _MOST_KNOWN:
            del self.known[next(iter(self.known))]
        scores = [dict(each) for each in entry.scores]
        size = OVERHEAD + len(_CHAT) + SCORE_BYTES * sum(map(len, scores))
        self.known[key] = _Known(reply.body, reply.subject, identity, entry.criteria, scores, size)


def _admits(headers: Headers, most_digits: int) -> bool:
    """Whether a request has a key and a type that need no second look, and no length that may be too much."""
    key = headers.get(b"authorization", b"")
    return (
        headers.get(b"content-type") == b"application/json"
        and key[:7] == b"Bearer "
        and key[7:8].isalnum()
        and key[7:14] != b"invalid"
        and len(headers.get(b"content-length", b"")) <= most_digits
    )


def _is_plain(settings: Settings) -> bool:
    """Whether settings leave judgements to the draw, and requests alone."""
    special = (
        settings.criteria or settings.faults or settings.variant or settings.keys or settings.read_only_keys
    )
    return not special and settings.limits.none and settings.judges_unknown


def _is_repeatable(settings: Settings) -> bool:
    """Whether settings leave a completion to what was asked, and that again and again."""
    pure = settings.ids == "content" and settings.clock == "fixed" and settings.repeat == "same"
    return pure and not settings.completions and not settings.known_models


@lru_cache(maxsize=1024)
def lot(reference: str, magical: bool, answers: int, seed: int) -> tuple[Criterion | None, scoring.DrawState]:
    """The criterion that a reference names, None where magic may have a say; what its scores are drawn from.

    Raises ApiError for what is no reference: such may be long, and none is kept.
    """
    name, version = split_reference(reference)
    asked = None if magical and name.startswith(magic.PREFIX) else undeclared_one(name, version or LATEST)
    return asked, scoring.begun(answers, seed, name, version or LATEST)


def _judged(
    number: int,
    session: str,
    headers: Headers,
    settings: Settings,
    at: float,
    seconds: float,
    body: bytes,
    asked: Criterion,
    found: Judgement,
) -> Entry:
    """What the journal says of a plain judgement."""
    return Entry(
        *(number, session, "POST", _JUDGE, headers, settings, at),
        endpoint="judge",
        body=body,
        status=200,
        answer=found.answer,
        seconds=seconds,
        criteria=(asked.text,),
        scores=[{asked.name: found.score}],
        checked=True,
    )


def _completed(
    number: int,
    session: str,
    headers: Headers,
    settings: Settings,
    at: float,
    seconds: float,
    body: bytes,
    known: _Known,
) -> Entry:
    """What the journal says of a completion that was given before."""
    return Entry(
        *(number, session, "POST", _CHAT, headers, settings, at),
        endpoint="chat",
        body=body,
        status=200,
        answer=known.text,
        seconds=seconds,
        criteria=known.criteria,
        scores=[dict(each) for each in known.scores],
        checked=True,
    )
