"""Ask an upstream again what a cassette holds, and tell what changed in shape and contract, not in text."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, TypeVar

from openpipe_mock.core.errors import ParseError
from openpipe_mock.core.eventstream import DONE_DATA, read_events
from openpipe_mock.core.pointers import gather_types
from openpipe_mock.core.strictjson import parse
from openpipe_mock.core.wording import listed
from openpipe_mock.recording.failures import UpstreamFailed
from openpipe_mock.recording.recording import Chunk, Recording

if TYPE_CHECKING:
    from openpipe_mock.recording.upstream import Upstream

_Result = TypeVar("_Result")
_MOST = 20


def changes(before: Recording, now: Recording) -> Iterator[str]:
    """What changed between two recordings of the same request, a sentence each; at most 20."""
    found = list(_changes(before, now))
    yield from found[:_MOST]
    if len(found) > _MOST:
        yield f"and {len(found) - _MOST} more"


def _changes(before: Recording, now: Recording) -> Iterator[str]:
    if before.status != now.status:
        yield f"the status was {before.status} and is {now.status}"
    if before.streamed != now.streamed:
        yield f"the answer is {'' if now.streamed else 'no longer '}a stream"
    old, new = _shape(before), _shape(now)
    for pointer in sorted({*old, *new}):
        was, became = old.get(pointer, set()), new.get(pointer, set())
        if not became:
            yield f"{pointer or 'body'}: gone, was {_types(was)}"
        elif not was:
            yield f"{pointer or 'body'}: new, {_types(became)}"
        elif was != became:
            yield f"{pointer or 'body'}: was {_types(was)}, is {_types(became)}"
    yield from (f"no longer so: {each}" for each in before.deviations if each not in now.deviations)
    yield from (f"breaks the contract: {each}" for each in now.deviations if each not in before.deviations)


def _types(names: set[str]) -> str:
    return listed(sorted(names), "or")


def _shape(recording: Recording) -> dict[str, set[str]]:
    """JSON pointer → types of the values there, with `*` for any item; of a stream, over all events."""
    found: dict[str, set[str]] = {}
    for text in _texts(recording):
        try:
            gather_types(parse(text), found)
        except ParseError:
            found.setdefault("", set()).add("no JSON")
    return found


def _texts(recording: Recording) -> list[bytes]:
    if not recording.streamed:
        return [recording.answer]
    return [each.data.encode() for each in read_events(recording.answer).events if each.data != DONE_DATA]


def asked_again(before: Recording, upstream: "Upstream") -> Recording:
    """The recording of the same request now, with what it holds of secrets. Raises UpstreamFailed."""
    headers = {name.encode(): value.encode("latin-1") for name, value in before.headers.items()}
    if before.key != "none":
        headers[b"authorization"] = b"Bearer op-local"  # the upstream's own key takes its place
    sending = upstream.send(before.method, before.path, headers, before.body)
    try:
        answer = _succeeded(sending.result())
        chunks: list[Chunk] = []
        while (data := _succeeded(answer.next_chunk().result())) is not None:
            chunks.append(Chunk(round(answer.seconds(), 3), data))
        return before.answered(answer.status, answer.headers, chunks)
    finally:
        upstream.abandon(sending)


def _succeeded(result: _Result | UpstreamFailed) -> _Result:
    if isinstance(result, UpstreamFailed):
        raise result
    return result
