"""Changes of an answer's headers, and its compression."""

import zlib
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import replace

from openpipe_mock.answers.events import DONE
from openpipe_mock.core.effects import Begin, Effects, HeaderList, Piece, Reply
from openpipe_mock.faults.streams import next_sent

HeaderChange = Callable[[HeaderList], HeaderList]

_GZIP = 31
"""What zlib calls the format of gzip, with the largest window."""


def as_they_are(headers: HeaderList) -> HeaderList:
    return headers


def _typed(change: Callable[[bytes], bytes]) -> HeaderChange:
    """Return the change of headers that changes the content type."""
    return lambda headers: tuple(
        (name, change(value) if name == b"content-type" else value) for name, value in headers
    )


without_charset = _typed(lambda value: value.partition(b";")[0])
with_charset = _typed(lambda value: value.partition(b";")[0] + b"; charset=UTF-8")
in_other_case = _typed(lambda value: value.title())


def accepts_gzip(headers: Mapping[bytes, bytes]) -> bool:
    """Whether the headers of a request say that its answer may be compressed by gzip."""
    offers = headers.get(b"accept-encoding", b"").lower().replace(b" ", b"").split(b",")
    return any(
        offer.partition(b";")[0] == b"gzip" and not offer.endswith((b";q=0", b";q=0.0")) for offer in offers
    )


def compressed(exchange: Effects) -> Effects:
    """Run an exchange and compress what it sends in pieces, each of which can be read as it comes."""
    packer = zlib.compressobj(wbits=_GZIP)
    with closing(exchange):
        sent = yield from next_sent(exchange)
        if not isinstance(sent, Begin):
            assert isinstance(sent, Reply)
            return sent
        kept = tuple(each for each in sent.headers if each[0] != b"content-length")
        yield replace(sent, headers=(*kept, (b"content-encoding", b"gzip")))
        is_whole = False
        while isinstance(piece := (yield from next_sent(exchange)), Piece):
            packer = zlib.compressobj(wbits=_GZIP) if is_whole else packer
            is_whole = piece.data == DONE  # clients stop reading there, so the end has to come with it
            flush = zlib.Z_FINISH if is_whole else zlib.Z_SYNC_FLUSH
            yield Piece(packer.compress(piece.data) + packer.flush(flush))
        if not is_whole:
            yield Piece(packer.flush())
        assert isinstance(piece, Reply)
        return piece
