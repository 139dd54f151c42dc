"""How the bytes of an answer are cut and delayed on their way, whatever they say."""

import re
from collections.abc import Callable, Iterable, Iterator

Timed = tuple[float, bytes]
"""Seconds to wait, and the bytes that are sent then."""
Framing = Callable[[Iterable[Timed]], Iterator[Timed]]


def as_sent(pieces: Iterable[Timed]) -> Iterator[Timed]:
    yield from pieces


MOST_SINGLE = 2_000
"""How many bytes come one by one; the pieces behind them are larger, so that long answers end."""
_LARGER = 61
_LEADING = 0xC0
"""From here on a byte begins a character of several bytes."""
_SEVERAL = re.compile(rb"[\xc0-\xff]")
MOST_PAUSES = 12
PAUSE = 0.004
"""Seconds for which half of a character is all that has come, so that no socket joins it with its rest."""


def one_by_one(pieces: Iterable[Timed]) -> Iterator[Timed]:
    """Each byte by itself; after the first byte of a character of several there is a pause."""
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
    """Where a larger piece ends: behind the first byte of a character of several, wherever there is one."""
    leading = _SEVERAL.search(data, start, start + _LARGER)
    return leading.end() if leading else start + _LARGER


def in_one_piece(pieces: Iterable[Timed]) -> Iterator[Timed]:
    """All bytes at once, as late as the last of them would come."""
    every = list(pieces)
    yield sum(wait for wait, _ in every), b"".join(data for _, data in every)


def with_crlf(pieces: Iterable[Timed]) -> Iterator[Timed]:
    return ((wait, data.replace(b"\n", b"\r\n")) for wait, data in pieces)


def with_comments(pieces: Iterable[Timed]) -> Iterator[Timed]:
    """A comment before each event, which says nothing and keeps a connection alive."""
    return ((wait, b": keep-alive\n\n" + data) for wait, data in pieces)
