"""What happened: each exchange with its request, its answer, and why it was answered so."""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from openpipe_mock.core.effects import Headers
from openpipe_mock.core.errors import ParseError
from openpipe_mock.core.secrets import MASKED, SHORTEST_TOKEN, Mask, may_hide, secret_headers
from openpipe_mock.core.strictjson import parse
from openpipe_mock.core.userfiles import MEBIBYTE
from openpipe_mock.matching.conditions import Subject

if TYPE_CHECKING:
    from openpipe_mock.config.settings import Settings

MOST_ENTRIES = 1000
MOST_JOURNAL_BYTES = 4 * MEBIBYTE
MOST_KEPT = 65_536
"""Bytes of body and answer that are kept of one exchange."""
_MARGIN = 64
"""Bytes past an end that are read to recognise a secret which begins before it."""
OVERHEAD = 500
"""What an entry counts beside its texts, roughly, in bytes."""
SCORE_BYTES = 64


@dataclass(slots=True)
class Entry:
    """One exchange, filled in while it is under way. What is read of it from the journal holds no secret.

    `number` counts from 1 in its session. `endpoint` is its short name (`judge`, `chat`, `report`, …), "" for
    none of ours. `body` is what the client sent, None if it was not read; `answer` what it got, of a stream
    the bytes of its events. `at` and `seconds`: when it came, on the adapter's clock, and how long it took
    (None: the client hung up). `status` is 0 where the connection broke before an answer. `rules`: the places
    of the script and the criteria's rules that decided. `scores`: by choice, in the order of their making, or
    of the one judgement: key → score. `violations`: what strict refuses, in every mode. `settings`: those it
    was answered under. `passed`: faults that met their `when`, and why they didn't strike. `body_left_out`,
    `answer_left_out`: bytes at the end that the journal had no room for. `gist`: of a body that was cut, as
    JSON, what conditions read of the whole; None where that is too long as well. `checked`: the request was
    held against the contract. `struck`: the place of the fault that struck. `query_secrets`: the names in its
    query that name a secret. `retry_after`: seconds that the answer asks to wait. `size`: what it counts.
    """

    number: int
    session: str
    method: str
    path: str
    headers: Headers
    settings: "Settings"
    at: float = 0.0
    endpoint: str = ""
    body: bytes | None = None
    status: int = 0
    answer: bytes = b""
    seconds: float | None = None
    streamed: bool = False
    criteria: tuple[str, ...] = ()
    scores: list[dict[str, float]] = field(default_factory=list)
    rules: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    passed: tuple[tuple[str, str], ...] = ()
    violations: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    body_left_out: int = 0
    answer_left_out: int = 0
    gist: str | None = None
    checked: bool = False
    struck: str = ""
    query_secrets: tuple[str, ...] = ()
    retry_after: float | None = None
    size: int = 0

    @property
    def id(self) -> str:
        """Its name in the whole mock."""
        return f"{self.session}-{self.number}"

    @property
    def valid(self) -> bool | None:
        """Whether strict takes the request; None where nobody looked, as behind a refused key."""
        return False if self.violations else True if self.checked else None

    @property
    def readable(self) -> bool:
        """Whether conditions see all of the body that they would have seen when it came."""
        return not self.body_left_out or self.gist is not None


Later = tuple[int, Callable[..., Entry], tuple[Any, ...], bytes | None]
"""An exchange that becomes an entry when somebody reads it: its size, what makes it of which facts, and the
key that it came with; None where its secrets are masked already. No class: each request makes one."""


class Journal:
    """The exchanges of one session, newest last; the oldest go when there are too many or they are too large.

    `dropped` says how many are gone. Secrets are masked before anybody reads an entry, and not when it comes:
    most are dropped unread.
    """

    def __init__(self, *, most_entries: int = MOST_ENTRIES, most_bytes: int = MOST_JOURNAL_BYTES) -> None:
        self.most_entries = most_entries
        self.most_bytes = most_bytes
        self.read: deque[Entry] = deque()
        self.unread: deque[Later] = deque()
        """Those that came after the ones that were read."""
        self.bytes = 0
        self.dropped = 0

    @property
    def entries(self) -> deque[Entry]:
        """What is kept, oldest first, without secrets."""
        while self.unread:
            size, make, facts, token = self.unread.popleft()
            entry = make(*facts)
            if token is not None:
                hide(entry, token)
            entry.size = size
            self.read.append(entry)
        return self.read

    @property
    def kept(self) -> int:
        """How many there are; nobody reads them for that."""
        return len(self.read) + len(self.unread)

    def add(self, entry: Entry, token: bytes) -> None:
        """Keep an exchange; `token` is the bearer token that it came with, which nobody reads here."""
        is_long = len(entry.body or b"") + len(entry.answer) + entry.answer_left_out > MOST_KEPT
        if is_long:
            _shorten(entry, token)
        self.add_later((_weight(entry), itself, (entry,), None if is_long else token))

    def add_later(self, later: Later) -> None:
        """The same for one that isn't written down yet."""
        self.unread.append(later)
        self.bytes += later[0]
        while len(self.read) + len(self.unread) > self.most_entries or self.bytes > self.most_bytes:
            self.bytes -= self.read.popleft().size if self.read else self.unread.popleft()[0]
            self.dropped += 1

    def clear(self) -> int:
        """Forget every exchange; returns how many there were."""
        number = self.kept
        self.read.clear()
        self.unread.clear()
        self.bytes = self.dropped = 0
        return number

    def find(self, number: int) -> Entry | None:
        """The exchange with this number, if it is still kept."""
        return next((entry for entry in self.entries if entry.number == number), None)

    def newest_first(self) -> Iterator[Entry]:
        return reversed(self.entries)


# Bounds and secrets.


def itself(entry: Entry) -> Entry:
    return entry


def _shorten(entry: Entry, token: bytes) -> None:
    """Keep the beginnings of a long body and answer, without their secrets.

    Somewhat more is read and masked than is kept, so that no secret is cut in two and half of it stays.
    """
    token = token or sent_token(entry.headers)
    body, answer, margin = entry.body or b"", entry.answer, _MARGIN + len(token)
    most_of_body = max(MOST_KEPT // 2, MOST_KEPT - len(answer))
    most_of_answer = max(MOST_KEPT // 2, MOST_KEPT - len(body))
    entry.body_left_out = max(0, len(body) - most_of_body)
    length = len(answer) + entry.answer_left_out  # of a long stream no more than a beginning comes here
    entry.answer_left_out = max(0, length - most_of_answer)
    entry.body = entry.body and body[: most_of_body + margin]
    entry.answer = answer[: most_of_answer + margin]
    hide(entry, token)
    entry.body = entry.body and _beginning(entry.body, most_of_body, len(body), margin)
    entry.answer = _beginning(entry.answer, most_of_answer, length, margin)
    if entry.body_left_out:
        entry.gist = _gist(entry.endpoint, body, token)


def _beginning(masked: bytes, most: int, length: int, margin: int) -> bytes:
    """What is kept of a text of some length; of the margin's end one can't tell what it began."""
    unknown = margin if length > most + margin else 0
    return masked[: min(most, max(0, len(masked) - unknown))]


def _gist(endpoint: str, body: bytes, token: bytes) -> str | None:
    """What conditions read of a body, as JSON without secrets; None where there is no room for it either.

    Requests with pictures are long, what they say is short.
    """
    try:
        kept = orjson.dumps(Subject(endpoint, {}, parse(body)).gist())
    except ParseError:
        return "{}"
    if len(kept) > MOST_KEPT:
        return None
    for each in _keys(token):
        kept = Mask(each).content(kept) if may_hide(kept, each) else kept
    return kept.decode()


def _weight(entry: Entry) -> int:
    """What an exchange counts against the bound, roughly, in bytes."""
    size = OVERHEAD + len(entry.body or b"") + len(entry.answer) + len(entry.path) + len(entry.gist or "")
    size += head_size(entry.headers)
    for scores in entry.scores:
        size += SCORE_BYTES * len(scores)
    for text in (*entry.violations, *entry.notes):
        size += len(text)
    return size


def head_size(headers: Headers) -> int:
    """The bytes of a request's headers, names and values."""
    return len(b"".join([*headers, *headers.values()]))


def hide(entry: Entry, token: bytes) -> None:
    """Mask what is secret; one look tells whether there may be anything."""
    token = token or sent_token(entry.headers)
    headers = dict(entry.headers)
    for name in secret_headers(tuple(headers)):
        headers[name] = MASKED
    entry.headers = headers
    head = b"\n".join((entry.path.encode("utf-8", "replace"), *headers.values()))
    texts = [head, entry.body or b"", entry.answer]
    if entry.violations or entry.notes:
        texts += [text.encode("utf-8", "replace") for text in (*entry.violations, *entry.notes)]
    seen = b"\n".join(texts)
    if b"%" in head or b"," in token or may_hide(seen, token):
        for each in _keys(token):
            _take_apart(entry, Mask(each))
    elif 0 < len(token) < SHORTEST_TOKEN:
        entry.headers = {name: Mask(token).header(value) for name, value in headers.items()}


def sent_token(headers: Headers) -> bytes:
    """What a request sent as its key, whether it was accepted or not."""
    return headers.get(b"authorization", b"").partition(b" ")[2].strip()


def _keys(token: bytes) -> list[bytes]:
    """A token, and where a client sent several in one header, each of them."""
    several = [each.strip().rpartition(b" ")[2] for each in token.split(b",")]
    return list(dict.fromkeys((token, *several)))


def discreet(token: bytes, *texts: str) -> tuple[str, ...]:
    """Texts for the terminal, without the token and other secrets."""
    if may_hide("\n".join(texts).encode("utf-8", "replace"), token):
        for each in _keys(token):
            texts = tuple(map(Mask(each).sentence, texts))
    return texts


def _take_apart(entry: Entry, mask: Mask) -> None:
    """Mask each part of an exchange."""
    body = entry.body
    entry.path = mask.path(entry.path)
    entry.headers = {name: mask.header(value) for name, value in entry.headers.items()}
    entry.body = body if body is None else mask.content(body)
    if entry.streamed:
        entry.answer = mask.events(entry.answer, spread=entry.body != body)
    else:
        entry.answer = mask.content(entry.answer, mask.told if entry.status >= 400 else None)
    entry.violations = tuple(map(mask.sentence, entry.violations))
    entry.notes = tuple(map(mask.sentence, entry.notes))
    entry.criteria = tuple(map(mask.text, entry.criteria))
    entry.scores = [{mask.text(key): score for key, score in each.items()} for each in entry.scores]
