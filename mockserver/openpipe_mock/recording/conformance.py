"""Hold a recording against the contract: the request and the answer, whole or as the events of a stream."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from openpipe_mock.core.errors import ParseError
from openpipe_mock.core.eventstream import DONE_DATA, read_events
from openpipe_mock.core.strictjson import parse
from openpipe_mock.openapi.endpoints import BASE, endpoint_at
from openpipe_mock.openapi.spec import contract
from openpipe_mock.recording.recording import Recording

_MOST = 10
_NUMBER = re.compile(r"(?<=event )\d+|(?<=/)\d+(?=/|$)")


def deviations_of(recording: Recording) -> tuple[str, ...]:
    """Where an exchange breaks the contract, a sentence each."""
    known = endpoint_at(BASE + recording.path, recording.method)
    found: list[str] = []
    if known and known.request and recording.value is not None:
        found += _violations("request", known.request, recording.value)
    if known and known.answer:
        found += _answer_violations(known.answer, recording)
    more = [f"and {len(found) - _MOST} more"] if len(found) > _MOST else []
    return (*found[:_MOST], *more)


@dataclass(frozen=True, slots=True)
class RecordedDeviation:
    """What recorded answers do beyond the contract. `smallest`: the name of the shortest of `times`."""

    sentence: str
    times: int
    smallest: str


def recorded_deviations(recordings: Iterable[tuple[str, Recording]]) -> list[RecordedDeviation]:
    """The contradictions between recordings, by name, and the contract, the most frequent first.

    Items of lists count as one place.
    """
    found: dict[str, list[tuple[int, str]]] = {}
    for name, recording in recordings:
        for sentence in dict.fromkeys(map(_of_any_item, deviations_of(recording))):
            found.setdefault(sentence, []).append((len(recording.answer), name))
    told = [RecordedDeviation(sentence, len(names), min(names)[1]) for sentence, names in found.items()]
    return sorted(told, key=lambda each: (-each.times, each.sentence))


def _of_any_item(sentence: str) -> str:
    """A sentence with `*` for the number of an event and the indexes in its pointer."""
    place, colon, rest = sentence.partition(": ")
    return f"{_NUMBER.sub('*', place)}{colon}{rest}"


def _answer_violations(schema: str, recording: Recording) -> Iterator[str]:
    if recording.streamed and schema != "ChatCompletion":
        yield "answer: a stream, where the endpoint gives one JSON value"
        return
    if recording.streamed:
        for at, event in enumerate(read_events(recording.answer).events):
            if event.data != DONE_DATA:
                yield from _text_violations(f"event {at + 1}", f"{schema}Chunk", event.data.encode())
        return
    kind = schema if recording.status == 200 else "ChatError" if schema == "ChatCompletion" else "Error"
    yield from _text_violations("answer", kind, recording.answer)


def _text_violations(part: str, schema: str, text: bytes) -> Iterator[str]:
    try:
        value = parse(text)
    except ParseError as error:
        yield f"{part}: {error.message.removeprefix(f'{ParseError.words}: ')}"
        return
    yield from _violations(part, schema, value)


def _violations(part: str, schema: str, value: Any) -> Iterator[str]:
    checker = contract().checker(schema)
    if not checker.is_valid(value):
        tidied = checker.tidy(value) if part == "request" else value
        for violation in checker.violations(tidied, noun=f"the {part}"):
            yield f"{part} {violation}"
