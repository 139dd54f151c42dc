"""The texts that a stream of events sends in pieces, as models do: joined, changed, and put back."""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import orjson

from openpipe_mock.core.errors import ParseError
from openpipe_mock.core.eventstream import read_events
from openpipe_mock.core.strictjson import parse

_Channel = tuple[Any, ...]
"""The way to a text that a stream sends in pieces: names and indexes, without the event's own place."""
_EVENT_END = re.compile(rb"(?<=\n\n)|(?<=\r\n\r\n)|(?<=\r\r)")


def split_events(stream: bytes) -> list[bytes]:
    """The events of a stream, each with the blank line that ends it, and what comes behind the last."""
    if b"\r" in stream:
        return [event for event in _EVENT_END.split(stream) if event]
    *events, rest = stream.split(b"\n\n")  # a tenth of the pattern's time
    return [*(event + b"\n\n" for event in events), *filter(None, [rest])]


def changed_data(events: Sequence[bytes], change: Callable[[str], str]) -> list[bytes | None]:
    """The JSON of each event once `change` was applied to the whole texts; None where it stays as it is.

    A text that changes stands whole in the event of its first piece, and its later pieces are empty.
    """
    values = list(map(_value, events))
    whole = _joined(values)
    changed = {channel: found for channel, text in whole.items() if (found := change(text)) != text}
    return [_exchanged_data(value, changed) for value in values]


def joined_texts(stream: bytes) -> list[str]:
    """The whole texts that a stream sends in pieces."""
    return list(_joined(list(map(_value, split_events(stream)))).values())


def _joined(values: Sequence[Any]) -> dict[_Channel, str]:
    """The texts below `choices` that later events may go on with."""
    texts: dict[_Channel, list[str]] = {}
    for value in values:
        if value and "choices" in value:
            _gather(value["choices"], ("choices",), texts)
    return {channel: "".join(found) for channel, found in texts.items()}


def _gather(value: Any, way: _Channel, texts: dict[_Channel, list[str]]) -> None:
    """Add all texts in a value to those of their channels."""
    if isinstance(value, str):
        texts.setdefault(way, []).append(value)
    elif isinstance(value, dict | list):
        for step, inner in _inner(value):
            if inner:
                _gather(inner, (*way, step), texts)


def _exchanged_data(value: Any, changed: dict[_Channel, str]) -> bytes | None:
    found = _exchanged(value, (), changed) if changed else value
    return None if found == value else orjson.dumps(found)


def _value(event: bytes) -> Any:
    """The JSON object of an event, None where it has none."""
    line = event.strip()
    plain = line.startswith(b"data:") and b"\n" not in line and b"\r" not in line
    found = (
        [line.removeprefix(b"data:")] if plain else [each.data.encode() for each in read_events(event).events]
    )
    if len(found) != 1:
        return None
    try:
        value = parse(found[0].strip())
    except ParseError:
        return None
    return value if isinstance(value, dict) else None


def _inner(value: Any) -> Iterator[tuple[Any, Any]]:
    """Members by name, items by their own `index`, else by their place."""
    if isinstance(value, dict):
        yield from value.items()
    elif isinstance(value, list):
        for at, item in enumerate(value):
            yield (item.get("index", at) if isinstance(item, dict) else at), item


def _exchanged(value: Any, way: _Channel, changed: dict[_Channel, str]) -> Any:
    """A copy with the changed texts."""
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
