"""The journal: keeps each exchange with its request, its answer, and why it was answered so."""

from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

import orjson

from openpipe_mock.core.effects import HeaderList, Headers
from openpipe_mock.core.errors import ParseError
from openpipe_mock.core.eventstream import event_ends
from openpipe_mock.core.eventtexts import joined_texts
from openpipe_mock.core.secrets import MASKED, SHORTEST_TOKEN, Mask, held, may_hide, secret_headers
from openpipe_mock.core.strictjson import parse
from openpipe_mock.core.userfiles import MEBIBYTE
from openpipe_mock.matching.conditions import Subject
from openpipe_mock.sessions.room import Room

if TYPE_CHECKING:
    from openpipe_mock.config.settings import Settings

MOST_ENTRIES = 1000
MOST_JOURNAL_BYTES = 4 * MEBIBYTE
MOST_KEPT = 65_536
"""The most bytes of an exchange's body and answer that are kept."""
MOST_PIECES = 1000
"""The most pieces of a stream whose times are kept."""
_MARGIN = 64
"""Bytes behind the end of a text that are read too, to recognise a secret that begins before it."""
_MOST_KEYS = 8
"""Keys in one header that are looked for one by one: a header has room for thousands."""
OVERHEAD = 500
"""Bytes that an entry counts beside its texts, roughly."""
SCORE_BYTES = 64
"""Bytes that a score counts."""
_PIECE_BYTES = 100
"""Bytes that the time of a piece counts."""
_PASSED_BYTES = 120
"""Bytes that a rule that was passed over counts beside the reason."""


@dataclass(slots=True)
class Entry:
    """One exchange, filled in while it is under way. Read from the journal, it holds no secret.

    `number`: counts the session's requests, from 1. `endpoint`: its short name (`judge`, `chat`, `report`,
    …), "" for an unknown path. `body`: what the client sent, None if it wasn't read. `answer`: what the
    client got, of a stream the bytes of its events. `at`: when it came, on the adapter's clock. `time`: when
    it came, in seconds since 1970. `seconds`: how long it took, None if the client hung up. `status`: 0 where
    the connection broke before an answer. `answer_headers`: without `content-length`, which the adapter adds.

    `settings`: those that it was answered under. `rules`: the places of the script and of the criteria's
    rules that decided. `scores`: key → score, for each choice in the order of their making, or for the
    judgement. `ranking`: for each choice of the answer, the best first, its number in the order of making,
    from 0; () where none were ranked. `violations`: what strict validation refuses, in every mode.
    `tolerated`: JSON pointers of what it takes and exact validation refuses. `checked`: the request was
    checked by the contract. `unscripted`: no script answers the completion, though scripts are there or were
    asked for. `unoffered`: a sentence for each tool that the script calls and the request doesn't offer.
    `struck`: the place of the fault that struck. `passed`: place and reason of each fault or script that
    was passed over though its `when` holds. `retry_after`: seconds that the answer asks to wait.
    `pieces`: of a stream, for each of the first `MOST_PIECES` pieces the seconds after `at` when it was sent,
    and the bytes up to its end. `times`: made of these when the entry is read, for each event with data the
    seconds after `at` when it was sent.

    `body_left_out`, `answer_left_out`: how many bytes at the end were not kept. `gist`: for a body that was
    cut, the JSON of what conditions read in all of it, None where that is too long as well. `query_secrets`:
    names in the query that name a secret. `size`: the bytes that the entry counts. `sequence`: grows with
    each exchange that a journal gets, in whatever session.
    """

    number: int
    session: str
    method: str
    path: str
    headers: Headers
    settings: "Settings"
    at: float = 0.0
    time: float = 0.0
    endpoint: str = ""
    body: bytes | None = None
    status: int = 0
    answer: bytes = b""
    answer_headers: HeaderList = ()
    seconds: float | None = None
    streamed: bool = False
    criteria: tuple[str, ...] = ()
    scores: list[dict[str, int | float]] = field(default_factory=list)
    ranking: tuple[int, ...] = ()
    rules: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    passed: tuple[tuple[str, str], ...] = ()
    violations: tuple[str, ...] = ()
    tolerated: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    unscripted: bool = False
    unoffered: tuple[str, ...] = ()
    body_left_out: int = 0
    answer_left_out: int = 0
    gist: str | None = None
    checked: bool = False
    struck: str = ""
    query_secrets: tuple[str, ...] = ()
    sequence: int = 0
    retry_after: float | None = None
    pieces: tuple[tuple[float, int], ...] = ()
    times: tuple[float, ...] = ()
    size: int = 0

    @property
    def id(self) -> str:
        """A name that no other exchange of the mock has: `SESSION-NUMBER`."""
        return f"{self.session}-{self.number}"

    @property
    def valid(self) -> bool | None:
        """Whether strict accepts the request; None where it wasn't checked, as after a refused key."""
        return False if self.violations else True if self.checked else None

    @property
    def readable(self) -> bool:
        """Whether the journal keeps all of the body that conditions read."""
        return not self.body_left_out or self.gist is not None


Later = tuple[int, Callable[..., Entry], tuple[Any, ...], bytes | None]
"""An exchange that becomes an entry when somebody reads it: its size, a function and the arguments that make
the entry, and the request's token, None where secrets are masked already."""
# A tuple and no class, since each request makes one.


_numbers = count(1)
"""The next numbers of `Entry.sequence`. All journals of the process share them."""


def number_from(first: int) -> None:
    """Let sequence numbers go on from here, unless they are beyond it already."""
    global _numbers
    _numbers = count(max(first, next(_numbers)))


class Journal:
    """The exchanges of one session, newest last. The oldest go when there are too many or they are too large.

    `dropped`: how many are gone. `newest`: the sequence number of the last one, also once it is gone. `room`:
    what all journals share.
    """

    # Entries are made and masked only when somebody reads them, since most are dropped unread: masking each
    # cost a fifth of a request (docs/decisions.md). All that reads goes through `entries`.

    most_entries = MOST_ENTRIES
    most_bytes = MOST_JOURNAL_BYTES

    def __init__(self, room: Room | None = None) -> None:
        self.room = room or Room()
        self.read: deque[Entry] = deque()
        self.unread: deque[tuple[int, Later]] = deque()
        """The exchanges after those in `read`, with their sequence numbers."""
        self.newest = 0
        self.bytes = 0
        self.dropped = 0

    @property
    def entries(self) -> deque[Entry]:
        """All exchanges that are kept, oldest first, without secrets."""
        while self.unread:
            number, (size, make, facts, token) = self.unread.popleft()
            entry = make(*facts)
            if token is not None:
                hide(entry, token)
            entry.size, entry.sequence = size, number
            self.read.append(entry)
        return self.read

    @property
    def kept(self) -> int:
        """How many exchanges there are. Counting them doesn't read them."""
        return len(self.read) + len(self.unread)

    def add(self, entry: Entry, token: bytes, value: Any = None) -> None:
        """Keep an exchange. `token`: its bearer token, which is masked in all that is read.

        `value`: its parsed body, where that is known.
        """
        is_long = len(entry.body or b"") + len(entry.answer) + entry.answer_left_out > MOST_KEPT
        if is_long:
            _shorten(entry, token, value)
        self.add_later((_weight(entry), itself, (entry,), None if is_long else token))

    def add_later(self, later: Later) -> None:
        """The same for an exchange whose entry isn't made yet."""
        self.newest = number = next(_numbers)
        self.unread.append((number, later))
        self.bytes += later[0]
        while len(self.read) + len(self.unread) > self.most_entries or self.bytes > self.most_bytes:
            self.drop_oldest()
        self.room.add(later[0])

    def drop_oldest(self) -> int:
        """Drop the oldest exchange and return its bytes."""
        size = self.read.popleft().size if self.read else self.unread.popleft()[1][0]
        self.bytes -= size
        self.dropped += 1
        return size

    def clear(self) -> int:
        """Forget all exchanges; return how many there were."""
        number = self.kept
        self.read.clear()
        self.unread.clear()
        self.bytes = self.dropped = 0
        return number

    def find(self, number: int) -> Entry | None:
        """Return the exchange with this number, None if it isn't kept."""
        return next((entry for entry in self.entries if entry.number == number), None)

    def newest_first(self) -> Iterator[Entry]:
        """Yield the exchanges, newest first, without secrets."""
        return reversed(self.entries)


# Bounds and secrets.


def itself(entry: Entry) -> Entry:
    """Return the entry: the function of a `Later` whose entry is made already."""
    return entry


def _shorten(entry: Entry, token: bytes, value: Any) -> None:
    """Cut a long body and answer down to their beginnings and mask their secrets."""
    # A margin behind the kept part is masked too. Else a secret at the end would be cut, and its first half,
    # which nothing recognises, would be kept.
    token = token or sent_token(entry.headers)
    longest = max(map(len, _keys(token, entry)), default=0)
    body, answer, margin = entry.body or b"", entry.answer, _MARGIN + 3 * longest
    most_of_body = max(MOST_KEPT // 2, MOST_KEPT - len(answer))
    most_of_answer = max(MOST_KEPT // 2, MOST_KEPT - len(body))
    entry.body_left_out = max(0, len(body) - most_of_body)
    length = len(answer) + entry.answer_left_out  # of a long stream only the beginning comes here
    entry.answer_left_out = max(0, length - most_of_answer)
    entry.body = entry.body and body[: most_of_body + margin]
    entry.answer = answer[: most_of_answer + margin]
    hide(entry, token)
    entry.body = entry.body and _beginning(entry.body, most_of_body, len(body), margin)
    entry.answer = _beginning(entry.answer, most_of_answer, length, margin)
    if entry.body_left_out:
        entry.gist = _gist(entry.endpoint, body, _keys(token, entry), value)


def _beginning(masked: bytes, most: int, length: int, margin: int) -> bytes:
    """The part of a masked text to keep. `length`: of the whole text."""
    # Where the text went on behind the margin, a secret may begin in the margin that isn't masked.
    unknown = margin if length > most + margin else 0
    return masked[: min(most, max(0, len(masked) - unknown))]


def _gist(endpoint: str, body: bytes, keys: tuple[bytes, ...], value: Any) -> str | None:
    """The JSON, without secrets, of what conditions read in a body; None where that is too long as well.

    `value`: the parsed body, None where it isn't known.
    """
    # It is kept because of requests with pictures, which are long while their texts are short.
    try:
        gist = Subject(endpoint, {}, parse(body) if value is None else value).gist(MOST_KEPT)
    except ParseError:
        return "{}"
    kept = orjson.dumps(gist)
    if gist is None or len(kept) > MOST_KEPT:
        return None
    return Mask(*keys).content(kept).decode() if may_hide(kept, *keys) else kept.decode()


def _weight(entry: Entry) -> int:
    """The bytes that an exchange counts, roughly."""
    size = OVERHEAD + len(entry.body or b"") + len(entry.answer) + len(entry.path) + len(entry.gist or "")
    size += head_size(entry.headers) + head_size(dict(entry.answer_headers))
    size += _PIECE_BYTES * len(entry.pieces)
    for scores in entry.scores:
        size += SCORE_BYTES * len(scores)
    for text in (*entry.violations, *entry.tolerated, *entry.notes, *entry.unoffered, *entry.rules):
        size += len(text)
    for _, reason in entry.passed:
        size += _PASSED_BYTES + len(reason)
    return size


def head_size(headers: Headers) -> int:
    """Return the number of bytes in headers, names and values."""
    return len(b"".join([*headers, *headers.values()]))


def hide(entry: Entry, token: bytes) -> None:
    """Mask the secrets in an entry. `token`: the request's bearer token, b"" to take it from its headers."""
    if entry.pieces:
        entry.times, entry.pieces = tuple(_times(entry)), ()  # masked events may have other lengths
    # All texts are searched once for signs of a secret; only if there are any, each is taken apart.
    token = token or sent_token(entry.headers)
    headers = dict(entry.headers)
    for name in secret_headers(tuple(headers)):
        headers[name] = MASKED
    entry.headers = headers
    names = secret_headers(tuple(name for name, _ in entry.answer_headers))
    if names:
        entry.answer_headers = tuple(
            (name, MASKED if name in names else v) for name, v in entry.answer_headers
        )
    answered = [value for _, value in entry.answer_headers]
    head = b"\n".join((entry.path.encode("utf-8", "replace"), *headers.values(), *answered))
    texts = [head, entry.body or b"", entry.answer]
    if entry.violations or entry.tolerated or entry.notes:
        told = (*entry.violations, *entry.tolerated, *entry.notes)
        texts += [text.encode("utf-8", "replace") for text in told]
    if b"%" in head:
        texts.append(unquote_to_bytes(head))
    if entry.streamed:
        texts += [text.encode("utf-8", "replace") for text in joined_texts(entry.answer)]
    seen, keys = b"\n".join(texts), _keys(token, entry)
    short = [key for key in keys if 0 < len(key) < SHORTEST_TOKEN]
    if entry.streamed and entry.answer_left_out:  # it may end within a key, which nothing finds then
        _take_apart(entry, Mask(*keys))
    elif b"%" in head or may_hide(seen, *keys):
        _take_apart(entry, Mask(*held(seen, *keys), *short))
    elif short:
        entry.headers = {name: Mask(*short).header(value) for name, value in headers.items()}


def _times(entry: Entry) -> Iterator[float]:
    """When each event of a stream was sent: with the piece that holds its end."""
    ends = [end for _, end in entry.pieces]
    for end in event_ends(entry.answer):
        index = bisect_left(ends, end)
        if index < len(ends):
            yield entry.pieces[index][0]


def sent_token(headers: Headers) -> bytes:
    """Return what a request sent as its key, whether it was accepted or not; b"" without one."""
    return headers.get(b"authorization", b"").partition(b" ")[2].strip()


def sent_keys(headers: Headers) -> tuple[bytes, ...]:
    """What a request sent as its key, and each of several that it sent in one header."""
    return _each(sent_token(headers))


def _keys(token: bytes, entry: Entry) -> tuple[bytes, ...]:
    """The keys that an entry may not show: the request's, and those that its mock knows."""
    return (*_each(token), *entry.settings.secrets)


def _each(token: bytes) -> tuple[bytes, ...]:
    several = [each.strip().rpartition(b" ")[2] for each in token.split(b",", _MOST_KEYS)[:_MOST_KEYS]]
    return tuple(dict.fromkeys((token, *several)))


def discreet(keys: Iterable[bytes], *texts: str) -> tuple[str, ...]:
    """Return texts for the terminal with these keys and other secrets masked."""
    seen = "\n".join(texts).encode("utf-8", "replace")
    if not may_hide(seen, *keys):
        return texts
    mask = Mask(*held(seen, *keys))
    return tuple(map(mask.sentence, texts))


def _take_apart(entry: Entry, mask: Mask) -> None:
    """Mask each part of an exchange."""
    body = entry.body
    entry.path = mask.path(entry.path)
    entry.headers = {name: mask.header(value) for name, value in entry.headers.items()}
    entry.answer_headers = tuple((name, mask.header(value)) for name, value in entry.answer_headers)
    entry.body = body if body is None else mask.content(body)
    if entry.streamed:
        entry.answer = mask.stream(entry.answer, cut=bool(entry.answer_left_out))
    else:
        entry.answer = mask.content(entry.answer, mask.told if entry.status >= 400 else None)
    entry.violations = tuple(map(mask.sentence, entry.violations))
    entry.tolerated = tuple(map(mask.sentence, entry.tolerated))
    entry.notes = tuple(map(mask.sentence, entry.notes))
    entry.unoffered = tuple(map(mask.sentence, entry.unoffered))
    entry.criteria = tuple(map(mask.text, entry.criteria))
    entry.scores = [{mask.text(key): score for key, score in each.items()} for each in entry.scores]
