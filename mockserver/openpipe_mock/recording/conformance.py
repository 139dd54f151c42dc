"""Hold a recording against the contract: the request and the answer, whole or as the events of a stream."""

from collections.abc import Iterator
from typing import Any

from openpipe_mock.core.errors import ParseError
from openpipe_mock.core.eventstream import DONE_DATA, read_events
from openpipe_mock.core.strictjson import parse
from openpipe_mock.openapi.endpoints import BASE, endpoint_at
from openpipe_mock.openapi.spec import contract
from openpipe_mock.recording.recording import Recording

_MOST = 10


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
