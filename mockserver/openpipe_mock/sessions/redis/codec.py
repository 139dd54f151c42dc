"""Writes exchanges, logged calls and completions for Redis, and reads them again."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields
from typing import Any, TypeVar

import msgspec

from openpipe_mock.answers.chat import Completion
from openpipe_mock.config.project import Dataset, Model
from openpipe_mock.config.settings import Settings
from openpipe_mock.sessions.calllog import LoggedCall
from openpipe_mock.sessions.inspection import json_safe
from openpipe_mock.sessions.journal import Entry

_Value = TypeVar("_Value")


class ForeignData(ValueError):
    """Raised for something in Redis that no mock wrote."""


def decode_all(texts: Iterable[bytes], read: Callable[[bytes], _Value]) -> Iterator[_Value]:
    """Yield what `read` returns for each text; those that it raises ForeignData for are left out."""
    for text in texts:
        try:
            yield read(text)
        except ForeignData:
            continue


def _decoded(data: bytes, kind: type[_Value]) -> _Value:
    """Read a value of this type. Raises ForeignData."""
    try:
        return msgspec.msgpack.decode(data, type=kind)
    except (msgspec.DecodeError, ValueError, RecursionError):
        raise ForeignData from None


# An exchange is kept without its settings: each mock has its own.
_Exchange: Any = msgspec.defstruct(
    "_Exchange", [(each.name, each.type) for each in fields(Entry) if each.name != "settings"]
)


def encode_entry(entry: Entry) -> bytes:
    value = {name: getattr(entry, name) for name in _Exchange.__struct_fields__}
    value["path"] = json_safe(entry.path)  # MessagePack has no lone surrogates either
    return msgspec.msgpack.encode(value)


def decode_entry(data: bytes, settings: Settings) -> Entry:
    """Read an exchange, its number in front. `settings`: take the place of its own. Raises ForeignData."""
    sequence, _, rest = data.partition(b" ")
    if not sequence.isdigit():
        raise ForeignData
    entry = Entry(settings=settings, **msgspec.structs.asdict(_decoded(rest, _Exchange)))
    entry.sequence = int(sequence)
    return entry


def encode_made(made: Dataset | Model) -> str:
    """What a client made, as a JSON text, which Redis takes among other commands."""
    return msgspec.json.encode(made).decode()


def decode_made(text: bytes, kind: type[_Value]) -> _Value:
    """Read what a client made. Raises ForeignData."""
    try:
        return msgspec.json.decode(text, type=kind)
    except (msgspec.DecodeError, ValueError, RecursionError):
        raise ForeignData from None


def encode_call(call: LoggedCall) -> bytes:
    return msgspec.msgpack.encode({each.name: getattr(call, each.name) for each in fields(LoggedCall)})


def decode_call(data: bytes) -> LoggedCall:
    """Read a logged call. Raises ForeignData."""
    call = _decoded(data, LoggedCall)
    try:
        call.answer()  # raises where the payloads or the time are of no use
    except (ValueError, OverflowError):
        raise ForeignData from None
    return call


def encode_completion(completion: Completion) -> bytes:
    return msgspec.msgpack.encode(completion)


def decode_completion(data: bytes) -> Completion:
    """Read a completion. Raises ForeignData."""
    return _decoded(data, Completion)
