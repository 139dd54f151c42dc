"""Framings: ways to cut and delay the bytes of an answer, which leave its content as it is."""

import re
from collections.abc import Callable, Iterable, Iterator

import orjson

Timed = tuple[float, bytes]
"""Seconds to wait, and the bytes to send then."""
Framing = Callable[[Iterable[Timed]], Iterator[Timed]]
"""Takes the pieces of an answer and yields those to send."""


def as_sent(pieces: Iterable[Timed]) -> Iterator[Timed]:
    """Send the pieces as they come."""
    yield from pieces


MOST_SINGLE = 2_000
"""How many bytes come one by one; later pieces are larger, so that long answers end."""
_LARGER = 61
_LEADING = 0xC0
"""The lowest byte that begins a character of several bytes in UTF-8."""
_SEVERAL = re.compile(rb"[\xc0-\xff]")
MOST_PAUSES = 12
PAUSE = 0.004
"""Seconds between two parts of a character, so that no socket sends them together."""


def one_by_one(pieces: Iterable[Timed]) -> Iterator[Timed]:
    """Send each byte by itself, and pause after the first byte of a character of several bytes.

    After MOST_SINGLE bytes the pieces are larger; after MOST_PAUSES pauses there are no more.
    """
    sent = pauses = 0
    for wait, data in pieces:
        start = 0
        while start < len(data):
            halved = start > 0 and data[start - 1] >= _LEADING
            pause = PAUSE if halved and pauses < MOST_PAUSES else 0.0
            pauses += bool(pause)
            end = start + 1 if sent < MOST_SINGLE else _larger(data, start)
            yield wait + pause, data[start:end]
            wait, start, sent = 0.0, end, sent + 1


def _larger(data: bytes, start: int) -> int:
    """Where a larger piece ends: behind the first byte of a character of several bytes, if it has one."""
    leading = _SEVERAL.search(data, start, start + _LARGER)
    return leading.end() if leading else start + _LARGER


def in_one_piece(pieces: Iterable[Timed]) -> Iterator[Timed]:
    """Send all bytes at once, when the last of them would come."""
    every = list(pieces)
    yield sum(wait for wait, _ in every), b"".join(data for _, data in every)


def with_crlf(pieces: Iterable[Timed]) -> Iterator[Timed]:
    """End lines with CR and LF in place of LF."""
    return ((wait, data.replace(b"\n", b"\r\n")) for wait, data in pieces)


def with_comments(pieces: Iterable[Timed]) -> Iterator[Timed]:
    """Send a comment before each event, as servers do to keep a connection alive."""
    return ((wait, b": keep-alive\n\n" + data) for wait, data in pieces)


_DATA = b"data: "


def without_space(pieces: Iterable[Timed]) -> Iterator[Timed]:
    """Leave out the space behind `data:`, which the standard makes optional."""
    return (
        (wait, b"data:" + data[len(_DATA) :] if data.startswith(_DATA) else data) for wait, data in pieces
    )


def with_cr(pieces: Iterable[Timed]) -> Iterator[Timed]:
    """End lines with CR alone."""
    return ((wait, data.replace(b"\n", b"\r")) for wait, data in pieces)


def in_data_lines(pieces: Iterable[Timed]) -> Iterator[Timed]:
    """Spread the JSON of each event over several `data:` lines."""
    for wait, data in pieces:
        try:
            spread = orjson.dumps(orjson.loads(data.removeprefix(_DATA)), option=orjson.OPT_INDENT_2)
            yield wait, b"".join(_DATA + line + b"\n" for line in spread.split(b"\n")) + b"\n"
        except orjson.JSONDecodeError:
            yield wait, data


def with_fields(pieces: Iterable[Timed]) -> Iterator[Timed]:
    """Give each event an `id` and a `retry`."""
    return (
        (wait, b"id: %d\nretry: 3000\n%b" % (number, data)) for number, (wait, data) in enumerate(pieces, 1)
    )


def with_names(pieces: Iterable[Timed]) -> Iterator[Timed]:
    """Give each event a name."""
    return ((wait, b"event: message\n" + data) for wait, data in pieces)


def with_lone_fields(pieces: Iterable[Timed]) -> Iterator[Timed]:
    """Send a `retry` before each event, in a block without data."""
    return ((wait, b"retry: 3000\n\n" + data) for wait, data in pieces)


def with_mark(pieces: Iterable[Timed]) -> Iterator[Timed]:
    """Begin with a byte order mark."""
    mark = b"\xef\xbb\xbf"
    for wait, data in pieces:
        yield wait, mark + data
        mark = b""
