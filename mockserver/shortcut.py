"""The short way to the answers that most requests get: plain judgements, and completions given before.

`Service` answers the same in its steps, with the same bytes, the same journal and the same memory. What is
unlike the usual in any respect goes that way; here it is only recognised.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import orjson

from mockserver import magic, scoring
from mockserver.calls import Own
from mockserver.chat import NOT_IDENTITY, digest
from mockserver.completions import OFTEN
from mockserver.config import Settings
from mockserver.effects import JSON_HEADERS, Exchange, Head, Headers, Reply
from mockserver.errors import ApiError
from mockserver.forms import Judgement
from mockserver.journal import OVERHEAD, SCORE_BYTES, Entry
from mockserver.judge import (
    LATEST,
    Criterion,
    drawn,
    no_untidy,
    parts,
    tidy_content,
    undeclared_one,
)
from mockserver.paths import BASE
from mockserver.service import REQUEST_ID, Service, finished
from mockserver.spec import contract
from mockserver.state import Session, fingerprint
from mockserver.strictjson import MOST_LEVELS
from mockserver.visit import Visit

Clock = Callable[[], float]
Key = tuple[bytes, bytes | None]
"""What a completion is a function of, under the same settings: the request's identity, and `op-criteria`."""

JUDGE, CHAT = f"{BASE}/criteria/judge", f"{BASE}/chat/completions"
LONG_WAY = frozenset(
    (b"content-encoding", b"x-mock-session", b"x-mock-fault", b"x-mock-delay-ms", b"x-mock-score")
)
"""Headers that have a say in the answer, beside the key and the type."""
LONG_CHAT = LONG_WAY | {b"op-cache", b"op-log-request", b"op-tags"}
MOST_BYTES = 32_768
"""Longer bodies take so long that the way there doesn't count."""
MOST_DIGITS = len(str(MOST_BYTES))
MOST_KNOWN = 512
"""Completions that are remembered; each has at most MOST_BYTES."""


@dataclass(frozen=True, slots=True)
class Known:
    """A completion that was given: JSON text, line in the terminal, and what the journal says of it."""

    text: bytes
    line: str
    criteria: tuple[str, ...]
    scores: list[dict[str, float]]


class Shortcut:
    """The short ways through a service. Sessions that several processes share have none."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.is_judgement = contract().checker("JudgeCriteriaRequest").is_valid
        self.is_chat = contract().checker("ChatCompletionRequest").is_valid
        self.settings: Settings | None = None
        self.judges = False
        self.repeats = False
        self.known: dict[Key, Known] = {}
        self.parsed: Any = None
        """The JSON of the body that is looked at, once somebody has read it."""

    def answer(self, head: Head, body: bytes, clock: Clock) -> Reply | Exchange:
        """What the service says to a request whose body is here; an exchange where time has to pass.

        `clock` is that of `Head.at`, in seconds.
        """
        asked, self.parsed = head.method == "POST" and not head.query, None
        if asked and head.path == JUDGE:
            reply = self.judgement(head.headers, body, head.at, clock)
            if reply:
                return reply
        key = self.key(head.headers, body) if asked and head.path == CHAT else None
        return (self.again(key, head, body, clock) if key else None) or self.stepwise(head, body, clock, key)

    def stepwise(self, head: Head, body: bytes, clock: Clock, key: Key | None = None) -> Reply | Exchange:
        """The service's own steps; a completion with a key is remembered."""
        service = self.service
        visit = service.begin(head)
        if isinstance(visit, Reply):
            return visit
        try:
            sent = body if len(body) <= service.settings.max_body_bytes else None
            found = service.proceed(visit, sent, self.parsed)
            if isinstance(found, Reply):
                finished(visit, found, clock())
        except BaseException:
            service.end(visit)
            raise
        if not isinstance(found, Reply):
            return service.go_on(visit, found)
        if key:
            self.remember(key, visit, found)
        service.end(visit)
        return found

    # Judgements.

    def judgement(self, headers: Headers, body: bytes, at: float, clock: Clock) -> Reply | None:
        """The reply to a judge request; None, and nothing done, where it isn't plain.

        `at`: when it came, on `clock`, in seconds.
        """
        session = self.service.sessions.default
        settings = session.settings(self.service.settings)
        if settings is not self.settings:
            self.learn(session, settings)
        if not (self.judges and admits(headers) and LONG_WAY.isdisjoint(headers)):
            return None
        request = self.read(body, settings, self.is_judgement)
        if request is None:
            return None
        asked, state = lot(request["criterion_id"], settings.magic, settings.answers, settings.seed)
        if asked is None:
            return None
        content = tidy_content(request.get("input", {}), request["output"])
        found = drawn(asked.text, settings.seed, scoring.step_of(state, content))
        session.requests = number = session.requests + 1
        size = OVERHEAD + SCORE_BYTES + len(JUDGE) + len(body) + len(found.answer)
        size += sum(map(len, headers.values()))
        facts = (number, session.name, headers, settings, at, clock() - at, body, asked, found)
        session.journal.add_later((size, judged, facts, headers[b"authorization"][7:].strip()))
        request_id = (REQUEST_ID, f"{session.name}-{number}".encode())
        return Reply(200, found.answer, (*JSON_HEADERS, request_id), found.line)

    def learn(self, session: Session, settings: Settings) -> None:
        """What short ways there are under these settings."""
        self.settings, self.known = settings, {}
        own = type(session) is Session and type(self.service) is Service
        self.judges = own and is_plain(settings)
        self.repeats = self.judges and is_repeatable(settings)

    def read(self, body: bytes, settings: Settings, fits: Callable[[Any], bool]) -> dict[str, Any] | None:
        """A body's JSON; None where it is wrong, untidy, long or deep."""
        if len(body) > MOST_BYTES or len(body) > settings.max_body_bytes:
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

    def key(self, headers: Headers, body: bytes) -> Key | None:
        """What the completion of a chat request is a function of; None where that isn't all."""
        session = self.service.sessions.default
        settings = session.settings(self.service.settings)
        if settings is not self.settings:
            self.learn(session, settings)
        if not (self.repeats and admits(headers) and LONG_CHAT.isdisjoint(headers)):
            return None
        request = self.read(body, settings, self.is_chat)
        if request is None or request.get("stream"):
            return None
        return digest(request, NOT_IDENTITY), headers.get(b"op-criteria")

    def again(self, key: Key, head: Head, body: bytes, clock: Clock) -> Reply | None:
        """The reply to a chat request that was answered before; None, and nothing done, for any other."""
        session, known = self.service.sessions.default, self.known.get(key)
        if known is None or session.counts.get(key[0]) == OFTEN - 1:  # which the terminal is told
            return None
        session.count(key[0])
        session.requests = number = session.requests + 1
        headers, at, token = head.headers, head.at, head.headers[b"authorization"][7:].strip()
        session.log(fingerprint(token)).add_own(Own(body, known.text, 200))
        size = OVERHEAD + len(CHAT) + len(body) + len(known.text) + sum(map(len, headers.values()))
        size += SCORE_BYTES * sum(map(len, known.scores))
        facts = (number, session.name, headers, self.settings, at, clock() - at, body, known)
        session.journal.add_later((size, completed, facts, token))
        request_id = (REQUEST_ID, f"{session.name}-{number}".encode())
        return Reply(200, known.text, (*JSON_HEADERS, request_id), known.line)

    def remember(self, key: Key, visit: Visit, reply: Reply) -> None:
        """Keep a completion, unless more is said of it than its answer."""
        entry, settings = visit.entry, visit.settings
        special = entry.notes or entry.rules or entry.violations or settings is not self.settings
        if reply.status == 200 and not special and len(reply.body) <= MOST_BYTES:
            if len(self.known) >= MOST_KNOWN:
                del self.known[next(iter(self.known))]
            self.known[key] = Known(reply.body, reply.subject, entry.criteria, entry.scores)


def admits(headers: Headers) -> bool:
    """Whether a request has a key and a type that need no second look."""
    key = headers.get(b"authorization", b"")
    return (
        headers.get(b"content-type") == b"application/json"
        and key[:7] == b"Bearer "
        and key[7:8].isalnum()
        and key[7:14] != b"invalid"
        and len(headers.get(b"content-length", b"")) <= MOST_DIGITS
    )


def is_plain(settings: Settings) -> bool:
    """Whether settings leave judgements to the draw, and requests alone."""
    special = (
        settings.criteria or settings.faults or settings.variant or settings.keys or settings.read_only_keys
    )
    return not special and settings.limits.none and settings.judges_unknown


def is_repeatable(settings: Settings) -> bool:
    """Whether settings leave a completion to what was asked, and that again and again."""
    pure = settings.ids == "content" and settings.clock == "fixed" and settings.repeat == "same"
    return pure and not settings.completions and not settings.known_models


@lru_cache(maxsize=1024)
def lot(reference: str, magical: bool, answers: int, seed: int) -> tuple[Criterion | None, scoring.State]:
    """The criterion that a reference names, and what its scores are drawn from.

    None for what is no reference, or where magic may have a say.
    """
    try:
        name, version = parts(reference)
    except ApiError:
        return None, scoring.begun(answers, seed, "", 0)
    asked = None if magical and name.startswith(magic.PREFIX) else undeclared_one(name, version or LATEST)
    return asked, scoring.begun(answers, seed, name, version or LATEST)


def judged(
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
        *(number, session, "POST", JUDGE, headers, settings, at),
        endpoint="judge",
        body=body,
        status=200,
        answer=found.answer,
        seconds=seconds,
        criteria=(asked.text,),
        scores=[{asked.name: found.score}],
        checked=True,
    )


def completed(
    number: int,
    session: str,
    headers: Headers,
    settings: Settings,
    at: float,
    seconds: float,
    body: bytes,
    known: Known,
) -> Entry:
    """What the journal says of a completion that was given before."""
    return Entry(
        *(number, session, "POST", CHAT, headers, settings, at),
        endpoint="chat",
        body=body,
        status=200,
        answer=known.text,
        seconds=seconds,
        criteria=known.criteria,
        scores=known.scores,
        checked=True,
    )
