"""Writes exchanges, logged calls and completions as JSON for Redis, and reads them again."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields
from typing import Any, TypeVar

import orjson

from openpipe_mock.answers.chat import Choice, Completion, ToolCall
from openpipe_mock.config.settings import Settings
from openpipe_mock.sessions.calllog import LoggedCall
from openpipe_mock.sessions.journal import Entry

Json = Any
_Value = TypeVar("_Value")


class ForeignData(ValueError):
    """Raised for something in Redis that no mock wrote."""


def dumped(value: Json) -> bytes:
    """Return a value as a JSON text."""
    try:
        return orjson.dumps(value)
    except TypeError:  # a lone surrogate, which clients may put into a path and orjson refuses
        return json.dumps(value).encode()


def loaded(text: bytes) -> Json:
    """Return the value of a JSON text. Raises ForeignData where it is no JSON."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        try:
            return json.loads(text)
        except ValueError:
            raise ForeignData from None


def decode_all(texts: Iterable[bytes], read: Callable[[bytes], _Value]) -> Iterator[_Value]:
    """Yield what `read` returns for each text; those that it raises ForeignData for are left out."""
    for text in texts:
        try:
            yield read(text)
        except ForeignData:
            continue


def _strings(values: Iterable[str]) -> tuple[str, ...]:
    """The values as a tuple. Raises TypeError where one is no string."""
    found = tuple(values)
    "".join(found)  # raises the TypeError
    return found


def _pair(values: Iterable[str]) -> tuple[str, str]:
    first, second = _strings(values)
    return first, second


# Exchanges. Bytes are written as Latin-1 text: each byte is the character of the same number.


def _text_of(value: bytes) -> str:
    return value.decode("latin-1")


def _bytes_of(value: str) -> bytes:
    return value.encode("latin-1")


def _texts_of(values: Mapping[bytes, bytes]) -> dict[str, str]:
    return {_text_of(name): _text_of(value) for name, value in values.items()}


def _headers_of(values: Mapping[str, str]) -> dict[bytes, bytes]:
    return {_bytes_of(name): _bytes_of(value) for name, value in values.items()}


_CODECS: Mapping[str, tuple[Callable[[Any], Json], Callable[[Json], Any]]] = {
    "headers": (_texts_of, _headers_of),
    "body": (
        lambda value: None if value is None else _text_of(value),
        lambda value: None if value is None else _bytes_of(value),
    ),
    "answer": (_text_of, _bytes_of),
    "criteria": (list, _strings),
    "violations": (list, _strings),
    "tolerated": (list, _strings),
    "notes": (list, _strings),
    "query_secrets": (list, _strings),
    "passed": (list, lambda pairs: tuple(map(_pair, pairs))),
}
"""Members of an exchange that JSON can't hold as they are → how to write them, how to read them."""
_KINDS: Mapping[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("session", "method", "path", "endpoint", "struck"), str),
    **dict.fromkeys(("number", "status", "body_left_out", "answer_left_out", "size"), int),
    **dict.fromkeys(("scores", "rules", "faults"), list),
    "at": (int, float),
    **dict.fromkeys(("seconds", "retry_after"), (int, float, type(None))),
    **dict.fromkeys(("streamed", "checked"), bool),
    "gist": (str, type(None)),
}
"""The other members → their types in JSON."""
_SHARED = tuple(field.name for field in fields(Entry) if field.name != "settings")


def entry_text(entry: Entry) -> bytes:
    """Return an exchange as a JSON text, without its settings: each mock has its own."""
    value = {name: getattr(entry, name) for name in _SHARED}
    for name, (write, _) in _CODECS.items():
        value[name] = write(value[name])
    return dumped(value)


def entry_of(text: bytes, settings: Settings) -> Entry:
    """Read an exchange from its text. `settings`: take the place of its own. Raises ForeignData."""
    value = loaded(text)
    try:
        for name, (_, read) in _CODECS.items():
            value[name] = read(value[name])
        _expect(value, _KINDS)
        return Entry(settings=settings, **value)
    except (LookupError, TypeError, ValueError, AttributeError):
        raise ForeignData from None


def _expect(value: Json, kinds: Mapping[str, type | tuple[type, ...]]) -> None:
    """Raise TypeError where a member has another type."""
    for name, kind in kinds.items():
        if not isinstance(value[name], kind):
            raise TypeError(f"{name} is no {kind}")


# Logged calls.

_CALL = tuple(field.name for field in fields(LoggedCall))


def call_text(call: LoggedCall) -> bytes:
    """Return a logged call as a JSON text, with its payloads as strings."""
    value = {name: getattr(call, name) for name in _CALL}
    value["metadata"] = dict(call.metadata)
    value["request"], value["response"] = call.request.decode(), call.response.decode()
    return dumped(value)


def decode_call(text: bytes) -> LoggedCall:
    """Read a logged call from its text. Raises ForeignData."""
    value = loaded(text)
    try:
        value["request"], value["response"] = value["request"].encode(), value["response"].encode()
        call = LoggedCall(**value)
        call.answer()  # raises where the payloads or the time are of no use
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError):
        raise ForeignData from None
    return call


# Completions.


def completion_text(completion: Completion) -> bytes:
    """Return a completion as a JSON text."""
    return orjson.dumps(completion)


def completion_of(text: bytes) -> Completion:
    """Read a completion from its text. Raises ForeignData."""
    value = loaded(text)
    try:
        value["choices"] = tuple(map(_choice_of, value["choices"]))
        _expect(value, {"id": str, "created": int, "model": str, "prompt_tokens": int})
        return Completion(**value)
    except (LookupError, TypeError, ValueError, AttributeError):
        raise ForeignData from None


def _choice_of(value: Json) -> Choice:
    calls = tuple(
        ToolCall(call["id"], call["name"], _strings(call["arguments"]), call["legacy"])
        for call in value["calls"]
    )
    return Choice(_strings(value["text"]), value["finish_reason"], calls, value["refused"])
