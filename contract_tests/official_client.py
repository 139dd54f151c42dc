"""Reads a stream as the official Python client does: openai 1.97.1, which openpipe 5.0.0 pins.

Its rules differ from the standard of server-sent events, and its helper `chat.completions.stream()` joins
deltas in a way of its own. A test compares this reader with the client itself.
"""

import json
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

Json = Any

_PLAIN_NAMES = ("response.", "transcript.", "image_edit.", "image_generation.")
"""Beginnings of event names whose data the client takes for a chunk. Data of other named events it wraps."""
_LINE_END = re.compile(rb"\r\n|\n|\r")


class Unreadable(Exception):
    """The client raises an error, or reads something else than what was sent. The message says why."""


def trouble(body: bytes, *, sorted_choices: bool = False) -> str:
    """Why the client can't read a stream, "" where it can.

    `sorted_choices`: choices may come in another order than their indexes.
    """
    try:
        message = Completion(sorted_choices)
        for event in _events(body):
            message.add(_chunk(event))
    except Unreadable as problem:
        return str(problem)
    return ""


# Events.


@dataclass
class _Event:
    data: str
    name: str


@dataclass
class _Block:
    """The fields since the last blank line. The client keeps an id for all blocks that follow."""

    data: list[str] = field(default_factory=list)
    name: str = ""
    retries: bool = False
    known_id: str = ""

    def take(self, line: str) -> None:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self.data.append(value)
        elif name == "event":
            self.name = value
        elif name == "id" and "\0" not in value:
            self.known_id = value
        elif name == "retry":
            with suppress(ValueError):
                self.retries = int(value) is not None

    @property
    def counts(self) -> bool:
        """Whether the client takes the block for an event."""
        return bool(self.data or self.name or self.known_id or self.retries)


def _events(body: bytes) -> Iterator[_Event]:
    """The events up to [DONE]. Raises Unreadable."""
    lines = _lines(body)
    block = _Block()
    for line in lines:
        if line and not line.startswith(":"):
            block.take(line)
        elif not line and block.counts:
            event = _Event("\n".join(block.data), block.name)
            if event.data.startswith("[DONE]"):
                return
            if not block.data:
                raise Unreadable("a block has no data, behind an `id:` or with a name or a `retry:`")
            yield event
            block = _Block(known_id=block.known_id)


def _lines(body: bytes) -> list[str]:
    """The lines that have an end."""
    try:
        lines = [line.decode() for line in _LINE_END.split(body)[:-1]]
    except UnicodeDecodeError:
        raise Unreadable("it is not encoded as UTF-8") from None
    if lines and lines[0].startswith("\ufeffdata"):
        raise Unreadable("it begins with a byte order mark, which loses the first event")
    return lines


def _chunk(event: _Event) -> dict[str, Json]:
    """The chunk of an event. Raises Unreadable."""
    try:
        value = json.loads(event.data)
    except (ValueError, RecursionError):
        raise Unreadable(f"the data of an event is no JSON: {event.data[:40]!r}") from None
    if not isinstance(value, dict):
        raise Unreadable("the data of an event is no JSON object")
    if value.get("error") and not event.name:
        raise Unreadable("an event has `error`, which is raised")
    if event.name and not event.name.startswith(_PLAIN_NAMES):
        raise Unreadable("an event has a name (`event:`)")
    return value


# What the helper joins chunks to.


class Completion:
    """The messages so far by their choices' indexes, which the helper takes for places in its list."""

    def __init__(self, sorted_choices: bool = False) -> None:
        self.messages: dict[Json, dict[str, Json]] = {}
        self._begun, self._sorted = False, sorted_choices

    def add(self, chunk: dict[str, Json]) -> None:
        """Join a chunk. Raises Unreadable."""
        choices = chunk.get("choices")
        if not isinstance(choices, list):
            raise Unreadable("a chunk has no list of choices")
        places = 0 if self._begun else len(choices)
        self._begun = True
        for choice in choices:
            self._add_choice(choice, max(places, len(self.messages) + 1))

    def _add_choice(self, choice: Json, places: int) -> None:
        index = choice.get("index") if isinstance(choice, dict) else None
        if type(index) is not int:
            raise Unreadable(f"a choice has the index {index!r}")
        if index >= places and not self._sorted:
            raise Unreadable(f"choice {index} begins before those of lower index")
        self._join(self.messages.setdefault(index, {}), choice.get("delta"))

    def _join(self, message: dict[str, Json], delta: Json) -> None:
        if not isinstance(delta, dict):
            raise Unreadable("a choice has no delta")
        _once(message.get("function_call"), delta.get("function_call"))
        _append(message, {name: value for name, value in delta.items() if name != "tool_calls"})
        for call in _objects(delta.get("tool_calls")):
            _add_call(message.setdefault("tool_calls", []), call)


def _objects(value: Json) -> Iterable[dict[str, Json]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _add_call(calls: list[dict[str, Json]], call: dict[str, Json]) -> None:
    """Join a piece of a call. Raises Unreadable."""
    index = call.get("index")
    if not isinstance(index, int | float) or index > len(calls):
        raise Unreadable(f"a call has the index {index!r} where {len(calls)} is next")
    if index == len(calls):
        calls.append({})
    own = calls[int(index)]
    if own.get("type") == "function" and call.get("type", "function") != "function":
        raise Unreadable("the type of a call is taken back")
    if own.get("id") and call.get("id"):
        raise Unreadable("the id of a call is repeated, and joined")
    _once(own.get("function"), call.get("function"))
    _append(own, call)
    if own.get("type") == "function" and not isinstance(call.get("function"), dict):
        raise Unreadable("a piece of a call has no function")


def _once(before: Json, now: Json) -> None:
    """Raise Unreadable where a function's name is said once more."""
    names = [each.get("name") if isinstance(each, dict) else None for each in (before, now)]
    if names[0] and names[0] == names[1]:
        raise Unreadable("the name of a call is repeated, and joined")


def _append(whole: dict[str, Json], piece: dict[str, Json]) -> None:
    """Join the members of a piece to those before: texts and numbers are added, lists by index."""
    for name, value in piece.items():
        before = whole.get(name)
        if before is None or name in ("index", "type"):
            whole[name] = _copied(value)
        elif isinstance(before, dict) and isinstance(value, dict):
            _append(before, value)
        elif isinstance(before, list) and isinstance(value, list):
            _append_items(name, before, value)
        elif isinstance(before, str) and isinstance(value, str):
            whole[name] = before + value


def _append_items(name: str, before: list[Json], items: list[Json]) -> None:
    if all(isinstance(item, str | int | float) for item in before):
        before += items
        return
    for item in items:
        index = item.get("index") if isinstance(item, dict) else None
        if not isinstance(index, int):
            raise Unreadable(f"an object in the list {name} has no index")
        if index < len(before):
            _append(before[index], item)
        else:
            before.append(_copied(item))


def _copied(value: Json) -> Json:
    """A copy that may be appended to."""
    return json.loads(json.dumps(value)) if isinstance(value, dict | list) else value
