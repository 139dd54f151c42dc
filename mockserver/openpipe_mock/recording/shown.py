"""A recording for people: what was asked, what was answered, and of a stream the texts that it spells."""

from collections.abc import Iterator
from typing import Any

import orjson

from openpipe_mock.core.errors import ParseError
from openpipe_mock.core.eventstream import DONE_DATA, read_events
from openpipe_mock.core.strictjson import parse
from openpipe_mock.core.wording import counted, printable
from openpipe_mock.recording.recording import Recording


def shown_recording(recording: Recording) -> str:
    """The recording as a text of several lines."""
    head = [f"{recording.method} {recording.path}, recorded {recording.recorded}"]
    head += [f"  {name}: {value}" for name, value in recording.headers.items()]
    seconds = recording.chunks[-1].after if recording.chunks else 0.0
    answer = [f"{recording.status} after {seconds:g} s"]
    answer += [f"  {name}: {value}" for name, value in recording.answer_headers.items()]
    answer += _stream(recording) if recording.streamed else [_pretty(recording.answer)]
    wrong = [f"breaks the contract: {each}" for each in recording.deviations]
    return printable("\n".join([*head, _pretty(recording.body), "", *answer, *wrong]), "\n")


def _pretty(body: bytes) -> str:
    try:
        return orjson.dumps(parse(body), option=orjson.OPT_INDENT_2).decode()
    except ParseError:
        return body.decode("utf-8", "replace")


def _stream(recording: Recording) -> Iterator[str]:
    events = read_events(recording.answer).events
    yield f"{counted(len(events), 'event')} in {counted(len(recording.chunks), 'chunk')}"
    texts: dict[Any, str] = {}
    for event in events:
        if event.data == DONE_DATA:
            continue
        try:
            choices = parse(event.data.encode())["choices"]
            for choice in choices:
                content = choice["delta"].get("content")
                texts[choice["index"]] = texts.get(choice["index"], "") + (content or "")
        except (ParseError, KeyError, TypeError, AttributeError):
            yield event.data
    yield from (f"choice {index}: {text}" for index, text in texts.items())
