"""Undoes the `Content-Encoding` of a body in small pieces, so that few bytes can't become gigabytes."""

import zlib
from collections.abc import Iterable, Iterator

_PIECE = 2**16
"""Bytes that are decoded at once."""
_MOST_ENCODINGS = 2
_ANY_HEADER, _NO_HEADER = zlib.MAX_WBITS | 32, -zlib.MAX_WBITS


class NotDecodable(Exception):
    """A body that isn't encoded as its header says."""


class TooManyEncodings(Exception):
    """A body that is encoded more than twice."""


def decoded(pieces: Iterable[bytes], header: str) -> Iterator[bytes]:
    """The pieces of a body without the encodings that its header names; those that are unknown stay.

    Raises NotDecodable or TooManyEncodings, the latter before anything is read.
    """
    names = [name.strip().lower() for name in header.split(",")]
    known = [name for name in names if name in ("gzip", "x-gzip", "deflate")]
    if len(known) > _MOST_ENCODINGS:
        raise TooManyEncodings
    for _ in known:
        pieces = _inflated(pieces)
    yield from pieces


def _inflated(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The pieces of a body that zlib has packed: as gzip, with zlib's own header, or with none."""
    reader = None
    for piece in filter(None, pieces):
        reader = reader or zlib.decompressobj(_ANY_HEADER if _has_header(piece) else _NO_HEADER)
        while piece and not reader.eof:
            try:
                found = reader.decompress(piece, _PIECE)
            except zlib.error:
                raise NotDecodable from None
            piece = reader.unconsumed_tail
            yield found
    if reader and not reader.eof:
        raise NotDecodable


def _has_header(piece: bytes) -> bool:
    """Whether a body begins as gzip or as zlib does. Some servers call bare data `deflate`."""
    return piece.startswith(b"\x1f") or piece[0] & 0x8F == 0x08
