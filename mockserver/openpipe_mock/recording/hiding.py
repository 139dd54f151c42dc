"""Replace secrets and personal data in a recording before it is written.

Known keys are found in every spelling: plain, percent-encoded, in base64, escaped as in JSON, and spread over
the events of a stream. `core.secrets` finds what looks like a key or is named like one.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any

import orjson

from openpipe_mock.core.errors import ParseError
from openpipe_mock.core.secrets import MASK, SHORTEST_TOKEN, Mask, masked, may_hide, spellings
from openpipe_mock.core.strictjson import parse
from openpipe_mock.matching.conditions import regular_expression
from openpipe_mock.recording.recording import Chunk, Recording

_DATA = b"data:"
_MASK = Mask(b"")
_MOST_WITHIN = 5
"""How many levels of JSON inside strings of JSON are taken apart."""
_Channel = tuple[Any, ...]
"""The way to a text that a stream sends in pieces: names and indexes, without the event's own place."""


@dataclass(frozen=True)
class Hiding:
    """`keys`: texts that no file may hold. `patterns`: regular expressions of personal data."""

    keys: tuple[str, ...] = field(default=(), repr=False)
    patterns: tuple[str, ...] = ()

    @cached_property
    def spellings(self) -> list[str]:
        """The known keys in every spelling, the longest first."""
        long = [key for key in dict.fromkeys(self.keys) if len(key) >= SHORTEST_TOKEN]
        return sorted({spelling for key in long for spelling in _spellings(key)}, key=len, reverse=True)

    @cached_property
    def spelled(self) -> re.Pattern[str]:
        """Matches a known key in any spelling; nothing where there are none."""
        return re.compile("|".join(map(re.escape, self.spellings)) or "(?!)")

    @cached_property
    def personal(self) -> list[Any]:
        return list(map(regular_expression, self.patterns))

    def text(self, text: str, within: int = _MOST_WITHIN) -> str:
        """A text without known keys, personal data, and what looks like a key; also in JSON within it."""
        text = self.known(text)
        if within and text.lstrip()[:1] in ("{", "[", '"'):
            with suppress(ParseError):
                value = parse(text.encode("utf-8", "replace"))
                found = masked(value, clean=partial(self.text, within=within - 1))
                return text if found == value else orjson.dumps(found).decode()
        return _MASK.string(text, within=0)

    def known(self, text: str) -> str:
        """A text without known keys and personal data."""
        text = self.spelled.sub(MASK, text)
        for pattern in self.personal:
            text = pattern.sub(MASK, text)
        return text

    def may_hide(self, body: bytes) -> bool:
        """Whether a body can hold a secret at all. False is certain, True isn't.

        A replay asks this each time: it takes a few microseconds, and to look for secrets a hundred.
        """
        if b"\\u" in body or b"\\/" in body:
            try:
                body = orjson.dumps(parse(body))  # without escapes that need not be
            except ParseError:
                return True
        if self.patterns or b"\\u" in body or may_hide(body, b""):
            return True
        text = body.decode("utf-8", "replace")
        return any(spelling in text for spelling in self.spellings)

    def headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        """Headers without secrets."""
        return {
            name: self.text(value) if self.may_hide(value.encode()) else value
            for name, value in headers.items()
        }

    def body(self, body: bytes) -> bytes:
        """A body without secrets; one that has none stays as it is, byte for byte."""
        if not self.may_hide(body):
            return body
        found = _MASK.content(body, clean=self.text)
        try:
            return self.known(found.decode()).encode()
        except UnicodeDecodeError:
            return self.known(found.decode("latin-1")).encode("latin-1")

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
        return self.spelled.search(file.decode("utf-8", "replace")) is not None

    # Streams.

    def chunks(self, chunks: Sequence[Chunk]) -> tuple[Chunk, ...]:
        """The chunks of a stream without secrets, also where several events hold one together.

        Without any they stay as they are; else each event becomes a chunk.
        """
        events = list(_events(chunks))
        values = [_value(event.data) for event in events]
        texts: dict[_Channel, list[str]] = {}
        for value in values:
            for channel, text in _pieces(value):
                texts.setdefault(channel, []).append(text)
        whole = {channel: "".join(found) for channel, found in texts.items()}
        told = {channel: self.text(text) for channel, text in whole.items()}
        changed = {channel: told[channel] for channel in whole if told[channel] != whole[channel]}
        written = [self._event(event, value, changed) for event, value in zip(events, values, strict=True)]
        return tuple(chunks) if written == events else tuple(written)

    def _event(self, event: Chunk, value: Any, changed: dict[_Channel, str]) -> Chunk:
        """An event without secrets. `changed`: texts to send instead, each whole at its first piece."""
        if not changed and not self.may_hide(event.data):
            return event
        if value is None:
            return Chunk(event.after, self.body(event.data))
        found = _exchanged(value, (), changed) if changed else value
        data = orjson.dumps(found)
        data = _MASK.content(data, clean=self.text)
        if parse(data) == value:
            return event
        return Chunk(event.after, b"data: " + data + b"\n\n")


def _spellings(key: str) -> Iterator[str]:
    """A key as it may be written, also with characters that aren't ASCII."""
    yield from (key, json.dumps(key)[1:-1], json.dumps(key, ensure_ascii=False)[1:-1])
    yield from spellings(key.encode())


def _events(chunks: Iterable[Chunk]) -> Iterator[Chunk]:
    """The events of a stream, each with the time of the chunk in which it ends."""
    rest, after = b"", 0.0
    for chunk in chunks:
        after = chunk.after
        *whole, rest = re.split(rb"(?<=\n\n)|(?<=\r\n\r\n)", rest + chunk.data)
        yield from (Chunk(after, data) for data in whole)
    if rest:
        yield Chunk(after, rest)


def _value(event: bytes) -> Any:
    """The JSON object of an event that is one line of data, else None."""
    line = event.strip()
    if not line.startswith(_DATA) or b"\n" in line:
        return None
    try:
        value = parse(line.removeprefix(_DATA).strip())
    except ParseError:
        return None
    return value if isinstance(value, dict) else None


def _pieces(value: Any, way: _Channel = ()) -> Iterator[tuple[_Channel, str]]:
    """The texts below `choices` that later events may go on with."""
    if isinstance(value, str):
        if way[:1] == ("choices",):
            yield way, value
        return
    for step, inner in _inner(value):
        yield from _pieces(inner, (*way, step))


def _inner(value: Any) -> Iterator[tuple[Any, Any]]:
    """Members by name, items by their own `index`, else by their place."""
    if isinstance(value, dict):
        yield from value.items()
    elif isinstance(value, list):
        for at, item in enumerate(value):
            yield (item.get("index", at) if isinstance(item, dict) else at), item


def _exchanged(value: Any, way: _Channel, changed: dict[_Channel, str]) -> Any:
    """A copy with the changed texts; each stands whole where its first piece stood, and is then empty."""
    if isinstance(value, str):
        if way not in changed:
            return value
        text, changed[way] = changed[way], ""
        return text
    if isinstance(value, dict):
        return {key: _exchanged(member, (*way, key), changed) for key, member in value.items()}
    if isinstance(value, list):
        return [_exchanged(item, (*way, step), changed) for step, item in _inner(value)]
    return value
