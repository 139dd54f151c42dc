"""The short way to the answer that most requests get: a plain judgement, and nothing unusual about it.

`Service` answers the same in its steps, with the same bytes, the same journal and the same memory. What is
unlike the usual in any respect goes that way; here it is only recognised.
"""

from collections.abc import Callable
from functools import lru_cache

import orjson

from mockserver import magic, scoring
from mockserver.config import Settings
from mockserver.effects import JSON_HEADERS, Headers, Reply
from mockserver.errors import ApiError
from mockserver.forms import Judgement
from mockserver.journal import OVERHEAD, SCORE_BYTES, Entry, Later
from mockserver.judge import (
    LATEST,
    Criterion,
    content,
    drawn,
    drawn_from,
    no_untidy,
    parts,
    scene,
    undeclared_one,
)
from mockserver.paths import BASE
from mockserver.service import REQUEST_ID, Service
from mockserver.spec import contract
from mockserver.state import Session
from mockserver.strictjson import MOST_LEVELS

PATH = f"{BASE}/criteria/judge"
LONG_WAY = frozenset(
    (b"content-encoding", b"x-mock-session", b"x-mock-fault", b"x-mock-delay-ms", b"x-mock-score")
)
"""Headers that have a say in the answer, beside the key and the type."""
BESIDE = OVERHEAD + SCORE_BYTES + len(PATH)
"""What the journal counts for such an exchange beside its texts."""
MOST_BYTES = 32_768
"""Longer bodies take so long that the way there doesn't count."""
MOST_DIGITS = len(str(MOST_BYTES))


class Shortcut:
    """The short way through a service. Sessions that several processes share have none."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.fits = contract().checker("JudgeCriteriaRequest").is_valid
        self.settings: Settings | None = None
        self.is_open = False

    def admits(self, headers: Headers) -> bool:
        """Whether a judge request with these headers may come this way."""
        key = headers.get(b"authorization", b"")
        return (
            headers.get(b"content-type") == b"application/json"
            and key[:7] == b"Bearer "
            and key[7:8].isalnum()
            and key[7:14] != b"invalid"
            and len(headers.get(b"content-length", b"")) <= MOST_DIGITS
            and LONG_WAY.isdisjoint(headers)
        )

    def judgement(self, headers: Headers, body: bytes, at: float, clock: Callable[[], float]) -> Reply | None:
        """The reply to a judge request with admitted headers; None, and nothing done, where it isn't plain.

        `at`: when it came, on `clock`, in seconds.
        """
        session = self.service.sessions.default
        settings = session.settings(self.service.settings)
        if settings is not self.settings:
            self.settings, self.is_open = settings, type(session) is Session and is_plain(settings)
        if not self.is_open or len(body) > min(MOST_BYTES, settings.max_body_bytes):
            return None
        try:
            request = orjson.loads(body)
        except orjson.JSONDecodeError:
            return None
        if not (self.fits(request) and no_untidy(body.decode()) and is_flat(body)):
            return None
        asked = plain_criterion(request["criterion_id"], settings.magic)
        if asked is None:
            return None
        given = request.get("input", {})
        digest = content(scene(given, tidy=True), request["output"], tidy=True)
        draw = drawn_from(settings.answers, settings.seed)
        found = drawn(asked.text, settings.seed, scoring.step(draw, asked.name, asked.version, digest))
        session.requests = number = session.requests + 1
        size = BESIDE + len(body) + len(found.answer) + sum(map(len, headers.values()))
        facts = (number, session.name, headers, settings, at, clock() - at, body, asked, found)
        session.journal.add_later(Later(size, entry_of, facts, headers[b"authorization"][7:].strip()))
        request_id = (REQUEST_ID, f"{session.name}-{number}".encode())
        return Reply(200, found.answer, (*JSON_HEADERS, request_id), found.line)


def is_plain(settings: Settings) -> bool:
    """Whether settings leave judgements to the draw, and requests alone."""
    special = (
        settings.criteria or settings.faults or settings.variant or settings.keys or settings.read_only_keys
    )
    return not special and settings.limits.none and settings.judges_unknown


def is_flat(body: bytes) -> bool:
    """Whether a JSON text can't be nested deeper than is read."""
    return body.count(b"[") + body.count(b"{") <= MOST_LEVELS


@lru_cache(maxsize=1024)
def plain_criterion(reference: str, magical: bool) -> Criterion | None:
    """The criterion that a reference names, None for what is none or where magic may have a say."""
    try:
        name, version = parts(reference)
    except ApiError:
        return None
    return None if magical and name.startswith(magic.PREFIX) else undeclared_one(name, version or LATEST)


def entry_of(
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
        *(number, session, "POST", PATH, headers, settings, at),
        endpoint="judge",
        body=body,
        status=200,
        answer=found.answer,
        seconds=seconds,
        criteria=(asked.text,),
        scores=[{asked.name: found.score}],
        checked=True,
    )
