"""Replace secrets and personal data in a recording before it is written.

`core.secrets` finds known keys in every spelling, and what looks like a key or is named like one.
"""

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property

import orjson

from openpipe_mock.core.errors import ParseError
from openpipe_mock.core.secrets import MASK, Mask, may_hide
from openpipe_mock.core.strictjson import parse
from openpipe_mock.matching.conditions import regular_expression
from openpipe_mock.recording.recording import Chunk, Recording


class _Mask(Mask):
    """A mask that hides personal data too."""

    def __init__(self, keys: Iterable[bytes], patterns: Iterable[str]) -> None:
        super().__init__(*keys)
        self.personal = list(map(regular_expression, patterns))

    def known(self, text: str) -> str:
        text = super().known(text)
        with suppress(UnicodeEncodeError):  # RE2 takes UTF-8 alone; `final` reads others as Latin-1
            for pattern in self.personal:
                text = pattern.sub(MASK, text)
        return text

    def final(self, content: bytes) -> bytes:
        try:
            return self.known(content.decode()).encode()
        except UnicodeDecodeError:
            return self.known(content.decode("latin-1")).encode("latin-1")


@dataclass(frozen=True)
class Hiding:
    """`keys`: texts that no file may hold. `patterns`: regular expressions of personal data."""

    keys: tuple[str, ...] = field(default=(), repr=False)
    patterns: tuple[str, ...] = ()

    @cached_property
    def encoded(self) -> tuple[bytes, ...]:
        return tuple(map(os.fsencode, self.keys))

    @cached_property
    def mask(self) -> _Mask:
        return _Mask(self.encoded, self.patterns)

    def text(self, text: str) -> str:
        """A text without known keys, personal data, and what looks like a key; also in JSON within it."""
        return self.mask.string(text)

    def may_hide(self, body: bytes) -> bool:
        """Whether a body can hold a secret at all. False is certain, True isn't.

        A replay asks this each time: it takes a few microseconds, and to look for secrets a hundred.
        """
        if b"\\u" in body or b"\\/" in body:
            try:
                body = orjson.dumps(parse(body))  # without escapes that need not be
            except ParseError:
                return True
        return bool(self.patterns) or b"\\u" in body or may_hide(body, *self.encoded)

    def headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        """Headers without secrets."""
        return {
            name: self.text(value) if self.may_hide(value.encode()) else value
            for name, value in headers.items()
        }

    def body(self, body: bytes) -> bytes:
        """A body without secrets; one that has none stays as it is, byte for byte."""
        return self.mask.content(body) if self.may_hide(body) else body

    def hidden(self, recording: Recording) -> Recording:
        """A recording without secrets."""
        chunks = self.chunks(recording.chunks) if recording.streamed else ()
        if not recording.streamed:
            after = recording.chunks[-1].after if recording.chunks else 0.0
            chunks = (Chunk(after, self.body(recording.answer)),)
        return replace(
            recording,
            body=self.body(recording.body),
            headers=self.headers(recording.headers),
            answer_headers=self.headers(recording.answer_headers),
            chunks=chunks,
            deviations=tuple(map(self.text, recording.deviations)),
        )

    def holds_key(self, file: bytes) -> bool:
        """Whether a file would hold a known key."""
        text = file.decode("utf-8", "replace")
        return any(each in text for each in self.mask.texts)

    def chunks(self, chunks: Sequence[Chunk]) -> tuple[Chunk, ...]:
        """The chunks of a stream without secrets, also where several events hold one together.

        Without any they stay as they are; else each event becomes a chunk.
        """
        events = list(_events(chunks))
        found = self.mask.events([event.data for event in events])
        written = [Chunk(event.after, data) for event, data in zip(events, found, strict=True)]
        return tuple(chunks) if written == events else tuple(written)


def _events(chunks: Iterable[Chunk]) -> Iterator[Chunk]:
    """The events of a stream, each with the time of the chunk in which it ends."""
    rest, after = b"", 0.0
    for chunk in chunks:
        after = chunk.after
        *whole, rest = re.split(rb"(?<=\n\n)|(?<=\r\n\r\n)", rest + chunk.data)
        yield from (Chunk(after, data) for data in whole)
    if rest:
        yield Chunk(after, rest)
