"""The kinds of faults: what can go wrong with an answer, one class for each.

A new kind is a subclass of `FaultKind` and its entry in `FAULT_KINDS`.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import cycle, islice
from typing import Any, ClassVar, Self

import orjson

from openpipe_mock.answers.events import DONE, event, event_data
from openpipe_mock.answers.headers import read_headers
from openpipe_mock.answers.pace import Draw, Duration, Pace, durations, seconds_of
from openpipe_mock.core import errors
from openpipe_mock.core.effects import Begin, Break, Effect, Effects, HeaderList, Piece, Reply, Wait
from openpipe_mock.core.errors import ApiError
from openpipe_mock.core.reading import At, Json, present_keys, whole
from openpipe_mock.core.wording import counted, listed, quoted
from openpipe_mock.faults import streams


@dataclass(frozen=True, slots=True)
class Context:
    """What faults and variants may ask about the request whose answer they change.

    `streams`: it asks for a stream. `pace`: how fast streams are. `refused` renders an error. `count` takes
    the name of a count and returns the number of this request in it, from 1. `fault`: place and name of the
    fault that strikes. `draw`: draws for it by seed and content.
    """

    endpoint: str
    streams: bool
    pace: Pace
    refused: Callable[[ApiError], Reply]
    count: Callable[[str], int]
    fault: str = ""
    draw: Draw = lambda use: 0.0


class FaultKind:
    """Something that goes wrong with an answer.

    `key`: the member that asks for it in the config file. `words`: what log and journal call it.
    """

    __slots__ = ()
    key: ClassVar[str]
    words: ClassVar[str]

    @property
    def needs_stream(self) -> bool:
        """Whether only a stream can have it. Other answers stay as they are."""
        return False

    @classmethod
    def read(cls, value: Json, at: At) -> Self:
        """Read it from a fault whose shape is right and that has its key; note in `at` what else is wrong."""
        return cls()

    def describe(self) -> str:
        return self.words

    def around(self, exchange: Effects, context: Context) -> Effects:
        """Run the exchange that answers, and change its answer: a plain body by `plain`, or by `stream`.

        A kind that leaves nothing of the answer returns another exchange, and this one isn't started.
        """
        with closing(exchange):
            sent = yield from streams.next_sent(exchange)
            if isinstance(sent, Reply):
                return replace(sent, body=self.plain(sent.body))
            yield sent
            rest = self.stream(sent, exchange, context) if isinstance(sent, Begin) else exchange
            return (yield from rest)

    def plain(self, body: bytes) -> bytes:
        """Change the body of a plain answer."""
        return body

    def stream(self, begun: Begin, rest: Effects, context: Context) -> Effects:
        """Change a stream. `begun`: what began it, which is sent already."""
        return rest


RETRY_AFTER: Mapping[int, float] = {429: 1.0, 503: 1.0}
"""Status → seconds in `Retry-After`, for the statuses with which servers usually send it."""


@dataclass(frozen=True, slots=True)
class ErrorAnswer(FaultKind):
    """An error in place of an answer. `message`, `code`: "" for the mock's own.

    `body`: the whole body, None for the API's own form. `retry_after`: the seconds in its header, or a date.
    """

    key = "status"

    status: int
    message: str = ""
    code: str = ""
    body: bytes | None = None
    retry_after: float | str | None = None

    @classmethod
    def read(cls, value: Json, at: At) -> Self:
        body = _body_of(value, "body") if "body" in value else None
        texts = present_keys(value, message="message", code="code", retry_after="retry_after")
        return cls(int(value["status"]), body=body, **texts)

    def describe(self) -> str:
        return f"status {self.status}"

    def error(self, fault: str = "") -> ApiError:
        """The error to render. `fault`: names the fault, for where there is no message."""
        asked = f", as {fault} asks" if fault else ""
        error = ApiError(words=self.message or f"The mock answers {self.status} on purpose{asked}.")
        error.status, error.code = self.status, self.code or errors.code(self.status)
        error.headers = retry_headers(self.retry_after)
        return error

    def around(self, exchange: Effects, context: Context) -> Effects:
        reply = replace(context.refused(self.error(context.fault)), subject="")
        return streams.reply_only(reply if self.body is None else replace(reply, body=self.body))


def retry_headers(seconds: float | str | None) -> tuple[tuple[str, str], ...]:
    """Return the headers that say when to retry, in seconds or by an HTTP date; none for None.

    `retry-after` has whole seconds, rounded up. Fractions stand in `retry-after-ms` as well, which OpenAI's
    clients read first.
    """
    if seconds is None:
        return ()
    if isinstance(seconds, str):
        return (("retry-after", seconds),)
    rounded = ("retry-after", str(math.ceil(seconds)))
    return (rounded,) if seconds == int(seconds) else (rounded, ("retry-after-ms", f"{seconds * 1000:.0f}"))


def _body_of(value: Json, key: str) -> bytes:
    """The bytes of a body: a text as it stands where the fault's content type is not JSON, else its JSON."""
    body, media = value[key], value.get("content_type", "json").partition(";")[0].strip().lower()
    return body.encode() if isinstance(body, str) and not media.endswith("json") else orjson.dumps(body)


@dataclass(frozen=True, slots=True)
class Raw(FaultKind):
    """These bytes as the body in place of an answer, or as the only event of a stream.

    `whole`: they are a whole stream themselves.
    """

    key, words = "raw", "raw body"

    data: bytes
    whole: bool = False

    @classmethod
    def read(cls, value: Json, at: At) -> Self:
        typed = value.get("content_type", "").strip().lower().startswith("text/event-stream")
        return cls(_body_of(value, "raw"), typed and isinstance(value["raw"], str))

    def around(self, exchange: Effects, context: Context) -> Effects:
        if context.streams:
            return streams.raw_stream(self.data, whole=self.whole)
        return streams.reply_only(Reply(200, self.data))


@dataclass(frozen=True, slots=True)
class Endless(FaultKind):
    """Repeats the content of a stream up to the settings' bound, then ends it as it should end."""

    key, words, needs_stream = "endless", "endless stream", True

    def stream(self, begun: Begin, rest: Effects, context: Context) -> Effects:
        passed: list[bytes] = []
        sent = yield from streams.next_sent(rest)
        while isinstance(sent, Piece) and not _is_end(sent.data):
            passed.append(sent.data)
            yield sent
            sent = yield from streams.next_sent(rest)
        yield from _repeat(passed, context)
        if isinstance(sent, Reply):
            return sent
        yield sent
        return (yield from rest)


def _repeat(passed: Sequence[bytes], context: Context) -> Iterator[Effect]:
    """Send the content of these events again and again, up to the number of events that the pace allows."""
    content = [data for data in passed if _has_content(data)] or list(map(_with_content, passed[:1]))
    pace, left = context.pace, max(0, context.pace.most_events - len(passed))
    for number, data in enumerate(islice(cycle(content), left)):
        if pace.tokens_per_second:
            yield Wait(pace.gap(context.draw, f"again {number}"))
        yield Piece(data)


def _choices_of(data: bytes) -> list[Any]:
    """The choices in an event of a stream; none where the event has another form, as in a raw answer."""
    chunk = event_data(data)
    given = chunk.get("choices") if isinstance(chunk, dict) else None
    listed = given if isinstance(given, list) else []
    return [each for each in listed if isinstance(each, dict) and isinstance(each.get("delta"), dict)]


def _is_end(data: bytes) -> bool:
    """Whether an event ends a choice or the whole stream."""
    return data == DONE or any(choice.get("finish_reason") for choice in _choices_of(data))


def _has_content(data: bytes) -> bool:
    """Whether an event has content and doesn't begin a choice."""
    return any(choice["delta"] and "role" not in choice["delta"] for choice in _choices_of(data))


def _with_content(data: bytes) -> bytes:
    """An event with made-up content, for a stream that has none; made from the stream's first event."""
    choices = _choices_of(data)
    if not choices:
        return data
    return event({**event_data(data), "choices": [{**choices[0], "delta": {"content": " and on"}}]})


@dataclass(frozen=True, slots=True)
class ErrorEvent(FaultKind):
    """Ends a stream with an error event in the form that OpenAI's clients look for.

    `after_events`: how many of its events come before.
    """

    key, words, needs_stream = "error_event", "error event", True

    message: str = "The mock broke this stream."
    after_events: int = 0

    @classmethod
    def read(cls, value: Json, at: At) -> Self:
        given = {} if value["error_event"] is True else {"message": value["error_event"]}
        return cls(**given, **whole(value, after_events="after_events"))

    def stream(self, begun: Begin, rest: Effects, context: Context) -> Effects:
        message = self.message or "The stream failed on purpose."
        yield from streams.pass_events(rest, self.after_events)
        yield Piece(event({"error": {"message": message, "code": errors.code(500), "type": "server_error"}}))
        return streams.stream_reply(begun)


@dataclass(frozen=True, slots=True)
class Malformed(FaultKind):
    """Adds a bracket to the answer, or to the first event of a stream, so that it is no JSON."""

    key, words = "malformed", "malformed JSON"

    def plain(self, body: bytes) -> bytes:
        return b"{" + body

    def stream(self, begun: Begin, rest: Effects, context: Context) -> Effects:
        sent = yield from streams.next_sent(rest)
        if isinstance(sent, Piece):
            yield Piece(sent.data.replace(b"data: ", b"data: {", 1))
            sent = yield from rest
        assert isinstance(sent, Reply)
        return sent


@dataclass(frozen=True, slots=True)
class Truncated(FaultKind):
    """Sends the first half of the answer: of its bytes, or of a stream's events. Nothing else says so."""

    key, words = "truncated", "truncated body"

    def plain(self, body: bytes) -> bytes:
        return body[: len(body) // 2]

    def stream(self, begun: Begin, rest: Effects, context: Context) -> Effects:
        pieces, _ = yield from streams.collect(rest)
        yield from streams.send_pieces(pieces[: len(pieces) // 2])
        return streams.stream_reply(begun)


@dataclass(frozen=True, slots=True)
class Empty(FaultKind):
    """Sends the answer without a body, or a stream without events."""

    key, words = "empty", "empty body"

    def plain(self, body: bytes) -> bytes:
        return b""

    def stream(self, begun: Begin, rest: Effects, context: Context) -> Effects:
        return streams.reply_only(streams.stream_reply(begun))


@dataclass(frozen=True, slots=True)
class ContentType(FaultKind):
    """Sends the answer with another content type."""

    key = "content_type"

    media_type: str

    @classmethod
    def read(cls, value: Json, at: At) -> Self:
        return cls(value["content_type"])

    def describe(self) -> str:
        return f"content type {quoted(self.media_type)}"

    def around(self, exchange: Effects, context: Context) -> Effects:
        media_type = self.media_type.encode("latin-1", "replace")
        return streams.with_headers(exchange, ((b"content-type", media_type),))


@dataclass(frozen=True, slots=True)
class AddedHeaders(FaultKind):
    """Sends the answer with these headers, in place of others of their names."""

    key = "headers"

    headers: HeaderList

    @classmethod
    def read(cls, value: Json, at: At) -> Self:
        return cls(read_headers(value, at))

    def describe(self) -> str:
        names = [name.decode() for name, _ in self.headers]
        return f"{'header' if len(names) == 1 else 'headers'} {listed(names, 'and')}"

    def around(self, exchange: Effects, context: Context) -> Effects:
        return streams.with_headers(exchange, self.headers)


@dataclass(frozen=True, slots=True)
class Timeout(FaultKind):
    """Sends nothing until the client's own time-out: no answer at all, or no further event of a stream."""

    key, words = "timeout", "time-out"

    after_events: int | None = None

    @property
    def needs_stream(self) -> bool:
        return self.after_events is not None

    @classmethod
    def read(cls, value: Json, at: At) -> Self:
        return cls(**whole(value, after_events="after_events"))

    def around(self, exchange: Effects, context: Context) -> Effects:
        if self.after_events is None:
            return _for_ever(Reply(0, b"", ()))
        # No `super()`: in a dataclass with slots it fails before Python 3.14.
        return FaultKind.around(self, exchange, context)

    def stream(self, begun: Begin, rest: Effects, context: Context) -> Effects:
        yield from streams.pass_events(rest, self.after_events or 0)
        return (yield from _for_ever(streams.stream_reply(begun)))


def _for_ever(reply: Reply) -> Effects:
    yield Wait(math.inf)
    return reply


@dataclass(frozen=True, slots=True)
class Disconnect(FaultKind):
    """Breaks the connection: at once, after events or after bytes, and at the answer's end at the latest."""

    key = "disconnect"

    after_events: int | None = None
    after_bytes: int | None = None

    @property
    def needs_stream(self) -> bool:
        return self.after_events is not None

    @classmethod
    def read(cls, value: Json, at: At) -> Self:
        return cls(**whole(value, after_events="after_events", after_bytes="after_bytes"))

    def describe(self) -> str:
        for number, noun in ((self.after_bytes, "byte"), (self.after_events, "event")):
            if number is not None:
                return f"disconnect after {counted(number, noun)}"
        return "disconnect"

    def around(self, exchange: Effects, context: Context) -> Effects:
        if self.after_bytes is not None:
            exchange = streams.send_in_pieces(exchange)
        elif self.after_events is None:
            yield Break()
            return Reply(0, b"", ())
        # No `super()`: in a dataclass with slots it fails before Python 3.14.
        return (yield from FaultKind.around(self, exchange, context))

    def stream(self, begun: Begin, rest: Effects, context: Context) -> Effects:
        if self.after_bytes is not None:
            yield from streams.pass_bytes(rest, self.after_bytes)
        else:
            yield from streams.pass_events(rest, self.after_events or 0)
        yield Break()
        return streams.stream_reply(begun)


@dataclass(frozen=True, slots=True)
class Drip(FaultKind):
    """Sends an answer `size` bytes at a time, `seconds` apart."""

    key = "drip"

    size: int = 16
    seconds: Duration = 0.05

    @classmethod
    def read(cls, value: Json, at: At) -> Self:
        drip = value["drip"]
        return cls(**whole(drip, bytes="size"), **durations(drip, at.at("drip"), every_ms="seconds"))

    def describe(self) -> str:
        return f"drip of {counted(self.size, 'byte')}"

    def around(self, exchange: Effects, context: Context) -> Effects:
        return FaultKind.around(self, streams.send_in_pieces(exchange), context)

    def stream(self, begun: Begin, rest: Effects, context: Context) -> Effects:
        sent_before = 0
        while not isinstance(sent := (yield from streams.next_sent(rest)), Reply):
            if not isinstance(sent, Piece):
                yield sent
                continue
            for start in range(0, len(sent.data), self.size):
                if sent_before:
                    yield Wait(seconds_of(self.seconds, context.draw, f"drip {sent_before}"))
                sent_before += 1
                yield Piece(sent.data[start : start + self.size])
        return sent


FAULT_KINDS: tuple[type[FaultKind], ...] = (
    ErrorAnswer,
    Raw,
    Endless,
    ErrorEvent,
    Malformed,
    Truncated,
    Empty,
    ContentType,
    AddedHeaders,
    Timeout,
    Disconnect,
    Drip,
)
"""All kinds, in the order in which a fault applies its own: each changes what those before it leave."""
