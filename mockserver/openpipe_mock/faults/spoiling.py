"""Puts a fault into the exchange that answers a request.

Each part of a fault is a small generator around the exchange: it passes most effects on and changes the
others. A fault with several parts is a chain of such generators, in the order of `_SPOILERS`.
"""

import math
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from itertools import cycle, islice
from typing import Any

import orjson

from openpipe_mock.answers.pace import Pace
from openpipe_mock.answers.wire import DONE, event
from openpipe_mock.core import errors
from openpipe_mock.core.effects import Begin, Break, Effect, Effects, HeaderList, Piece, Reply, Wait
from openpipe_mock.core.errors import ApiError
from openpipe_mock.faults.kinds import Drip, ErrorAnswer, Fault
from openpipe_mock.faults.selection import describe, needs_stream

STREAM_HEADERS: HeaderList = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
)
_Sent = Begin | Piece | Break | Reply
_Refused = Callable[[ApiError], Reply]


def spoiled(exchange: Effects, fault: Fault, pace: Pace, refused: _Refused, *, streams: bool) -> Effects:
    """Run the exchange that answers a request, with a fault in it.

    `refused` renders an error. `streams`: the request asks for a stream. Where the fault leaves nothing of
    the answer (an error, `raw`, a disconnect before it), the exchange isn't started. Otherwise it runs, and
    the fault changes what it answers, errors too. A reply with status 0 means that the connection broke
    before the answer.
    """
    if fault.delay:
        yield Wait(fault.delay)
    answer = _substitute(fault, refused, streams) or exchange
    for applies, spoil in _SPOILERS:
        if applies(fault):
            answer = spoil(answer, fault, pace)
    reply = yield from answer
    vain = ", which a stream alone can have" if needs_stream(fault) and not streams else ""
    told = filter(None, (reply.subject.removesuffix("."), f"{describe(fault)}{vain}"))
    return replace(reply, subject=", ".join(told))


def _substitute(fault: Fault, refused: _Refused, streams: bool) -> Effects | None:
    """The exchange that replaces the right one; None where the fault only changes its answer."""
    if fault.error:
        return _only(_failure(fault.error, fault, refused))
    if fault.raw is None:
        return None
    return raw_stream(fault.raw) if streams else _only(Reply(200, fault.raw))


def _only(reply: Reply) -> Effects:
    """An exchange that only replies."""
    yield from ()
    return reply


def _failure(answer: ErrorAnswer, fault: Fault, refused: _Refused) -> Reply:
    """An error in the API's own form, or with the body that the fault gives."""
    reply = refused(Injected(answer, fault))
    return replace(reply, body=reply.body if answer.body is None else answer.body, subject="")


class Injected(ApiError):
    """The error of a fault. Where the fault has no message, it says that it was asked for."""

    status, code, words = 500, "INTERNAL_SERVER_ERROR", "Injected"

    def __init__(self, answer: ErrorAnswer, fault: Fault) -> None:
        asked = f", as {fault} asks" if str(fault) else ""
        super().__init__(words=answer.message or f"The mock answers {answer.status} on purpose{asked}.")
        self.status, self.code = answer.status, answer.code or errors.code(answer.status)
        self.headers = retry_headers(fault.retry_after)


def retry_headers(seconds: float | None) -> tuple[tuple[str, str], ...]:
    """Return the headers that say when to retry; none for None.

    `retry-after` has whole seconds, rounded up. Fractions stand in `retry-after-ms` as well, which OpenAI's
    clients read first.
    """
    if seconds is None:
        return ()
    whole = ("retry-after", str(math.ceil(seconds)))
    return (whole,) if seconds == int(seconds) else (whole, ("retry-after-ms", f"{seconds * 1000:.0f}"))


def raw_stream(data: bytes) -> Effects:
    """Send these bytes as the only event of a stream, then `[DONE]`."""
    yield Begin(200, STREAM_HEADERS)
    yield Piece(b"".join(b"data: %s\n" % line for line in data.splitlines()) + b"\n")
    yield Piece(DONE)
    return Reply(200, b"", STREAM_HEADERS)


def sent_by(exchange: Effects) -> Generator[Effect, Any, _Sent]:
    """Run an exchange until it sends something, and return that unsent: an effect, or the reply at its end.

    All other effects are passed on.
    """
    try:
        effect = next(exchange)
        while not isinstance(effect, Begin | Piece | Break):
            effect = exchange.send((yield effect))
    except StopIteration as stop:
        reply: Reply = stop.value
        return reply
    return effect


def _past_events(exchange: Effects, most: int) -> Generator[Effect, Any, _Sent]:
    """Pass on at most so many events of a stream and return the next one, `[DONE]` at the latest."""
    sent = yield from sent_by(exchange)
    while most and isinstance(sent, Piece) and sent.data != DONE:
        most -= 1
        yield sent
        sent = yield from sent_by(exchange)
    return sent


def _ended(begun: Begin) -> Reply:
    """The reply of a stream that a fault has ended."""
    return Reply(begun.status, b"", begun.headers)


def _flowing(exchange: Effects) -> Effects:
    """Run the exchange and send a plain answer as streams are sent: its head and length, then its body."""
    with closing(exchange):
        sent = yield from sent_by(exchange)
        if not isinstance(sent, Reply):
            yield sent
            return (yield from exchange)
        yield Begin(sent.status, (*sent.headers, (b"content-length", b"%d" % len(sent.body))))
        yield Piece(sent.body)
        return replace(sent, body=b"")


def _altered(
    exchange: Effects,
    plain: Callable[[Reply], Reply],
    streamed: Callable[[Begin, Effects], Effects],
) -> Effects:
    """Run the exchange, with a plain answer changed by `plain`, or a stream changed by `streamed`.

    `streamed` gets the effect that began the stream, which is sent, and the rest of the exchange.
    """
    with closing(exchange):
        sent = yield from sent_by(exchange)
        if isinstance(sent, Reply):
            return plain(sent)
        assert isinstance(sent, Begin)
        yield sent
        return (yield from streamed(sent, exchange))


def _unchanged(reply: Reply) -> Reply:
    return reply


def _endless(exchange: Effects, _: Fault, pace: Pace) -> Effects:
    """Repeat the content of a stream up to the bound, then end it as it should end."""

    def streamed(_: Begin, exchange: Effects) -> Effects:
        passed: list[bytes] = []
        sent = yield from sent_by(exchange)
        while isinstance(sent, Piece) and not _ends(sent.data):
            passed.append(sent.data)
            yield sent
            sent = yield from sent_by(exchange)
        yield from _again(passed, pace)
        if isinstance(sent, Reply):
            return sent
        yield sent
        return (yield from exchange)

    return _altered(exchange, _unchanged, streamed)


def _again(passed: Sequence[bytes], pace: Pace) -> Iterator[Effect]:
    """Send the content of these events again and again, up to the number of events that the pace allows."""
    content = [data for data in passed if _says(data)] or list(map(_padding, passed[:1]))
    for data in islice(cycle(content), max(0, pace.most_events - len(passed))):
        if pace.tokens_per_second:
            yield Wait(1 / pace.tokens_per_second)
        yield Piece(data)


def chunk_of(data: bytes) -> Any:
    """Return the JSON of a stream's event, None where it has none."""
    try:
        return orjson.loads(data.removeprefix(b"data: "))
    except orjson.JSONDecodeError:
        return None


def _choices_of(data: bytes) -> list[Any]:
    """The choices in an event of a stream; none where the event has another form, as in a raw answer."""
    chunk = chunk_of(data)
    given = chunk.get("choices") if isinstance(chunk, dict) else None
    listed = given if isinstance(given, list) else []
    return [each for each in listed if isinstance(each, dict) and isinstance(each.get("delta"), dict)]


def _ends(data: bytes) -> bool:
    """Whether an event ends a choice or the whole stream."""
    return data == DONE or any(choice.get("finish_reason") for choice in _choices_of(data))


def _says(data: bytes) -> bool:
    """Whether an event has content and doesn't begin a choice."""
    return any(choice["delta"] and "role" not in choice["delta"] for choice in _choices_of(data))


def _padding(data: bytes) -> bytes:
    """An event with made-up content, for a stream that has none; made from the stream's first event."""
    choices = _choices_of(data)
    if not choices:
        return data
    return event({**chunk_of(data), "choices": [{**choices[0], "delta": {"content": " and on"}}]})


def _failing_event(exchange: Effects, fault: Fault, _: Pace) -> Effects:
    """End a stream with an error event in the form that OpenAI's clients look for."""
    told = fault.error_event or "The stream failed on purpose."
    error = {"message": told, "code": errors.code(500), "type": "server_error"}

    def streamed(begun: Begin, exchange: Effects) -> Effects:
        yield from _past_events(exchange, fault.after_events or 0)
        yield Piece(event({"error": error}))
        return _ended(begun)

    return _altered(exchange, _unchanged, streamed)


def _malformed(exchange: Effects, fault: Fault, _: Pace) -> Effects:
    """Add a bracket to the answer, or to one event of a stream, so that it is no JSON."""

    def streamed(_: Begin, exchange: Effects) -> Effects:
        sent = yield from _past_events(exchange, fault.after_events or 0)
        if isinstance(sent, Reply):
            return sent
        assert isinstance(sent, Piece)
        yield Piece(sent.data.replace(b"data: ", b"data: {", 1))
        return (yield from exchange)

    return _altered(exchange, lambda reply: replace(reply, body=b"{" + reply.body), streamed)


def _truncated(exchange: Effects, _: Fault, __: Pace) -> Effects:
    """Send the first half of the answer: of its bytes, or of a stream's events. Nothing else says so."""

    def streamed(begun: Begin, exchange: Effects) -> Effects:
        effects = yield from _recorded(exchange)
        pieces = [each for each, effect in enumerate(effects) if isinstance(effect, Piece)]
        kept = len(pieces) // 2
        yield from effects[: pieces[kept - 1] + 1 if kept else 0]
        return _ended(begun)

    return _altered(exchange, lambda reply: replace(reply, body=reply.body[: len(reply.body) // 2]), streamed)


def _recorded(exchange: Effects) -> Generator[Effect, Any, list[Effect]]:
    """Run an exchange to its end and return the pieces and waits that it asks for, none carried out."""
    kept: list[Effect] = []
    try:
        effect = next(exchange)
        while True:
            if isinstance(effect, Piece | Wait):
                kept.append(effect)
                effect = next(exchange)
            else:
                effect = exchange.send((yield effect))
    except StopIteration:
        return kept


def _emptied(exchange: Effects, _: Fault, __: Pace) -> Effects:
    """Send the answer without a body, or a stream without events."""

    def streamed(begun: Begin, _: Effects) -> Effects:
        return _only(_ended(begun))

    return _altered(exchange, lambda reply: replace(reply, body=b""), streamed)


def _retyped(exchange: Effects, fault: Fault, _: Pace) -> Effects:
    """Send the answer with another content type."""
    content_type = (b"content-type", str(fault.content_type).encode("latin-1", "replace"))

    def typed(headers: HeaderList) -> HeaderList:
        return (content_type, *(header for header in headers if header[0] != b"content-type"))

    with closing(exchange):
        sent = yield from sent_by(exchange)
        if isinstance(sent, Begin):
            yield Begin(sent.status, typed(sent.headers))
            sent = yield from exchange
        assert isinstance(sent, Reply)
        return replace(sent, headers=typed(sent.headers))


def _broken_off(exchange: Effects, fault: Fault, _: Pace) -> Effects:
    """Break the connection: at once, after events or after bytes, and at the answer's end at the latest."""
    if fault.after_bytes is not None:
        return _broken_after_bytes(_flowing(exchange), fault.after_bytes)
    if fault.after_events is not None:
        return _altered(exchange, _unchanged, partial(_broken_after_events, fault.after_events))
    return _broken_at_once()


def _broken_at_once() -> Effects:
    yield Break()
    return Reply(0, b"", ())


def _broken_after_events(events: int, begun: Begin, exchange: Effects) -> Effects:
    yield from _past_events(exchange, events)
    yield Break()
    return _ended(begun)


def _broken_after_bytes(exchange: Effects, left: int) -> Effects:
    with closing(exchange):
        begun = yield from sent_by(exchange)
        assert isinstance(begun, Begin)
        yield begun
        while left and isinstance(sent := (yield from sent_by(exchange)), Piece):
            yield Piece(sent.data[:left])
            left = max(0, left - len(sent.data))
        yield Break()
        return _ended(begun)


def _dripping(exchange: Effects, fault: Fault, _: Pace) -> Effects:
    """Send the answer a few bytes at a time."""
    drip, begun = fault.drip or Drip(), False
    with closing(_flowing(exchange)) as answer:
        while not isinstance(sent := (yield from sent_by(answer)), Reply):
            if not isinstance(sent, Piece):
                yield sent
                continue
            for start in range(0, len(sent.data), drip.size):
                if begun:
                    yield Wait(drip.seconds)
                begun = True
                yield Piece(sent.data[start : start + drip.size])
        return sent


_SPOILERS: Sequence[tuple[Callable[[Fault], bool], Callable[[Effects, Fault, Pace], Effects]]] = (
    (lambda fault: fault.endless, _endless),
    (lambda fault: fault.error_event is not None, _failing_event),
    (lambda fault: fault.malformed, _malformed),
    (lambda fault: fault.truncated, _truncated),
    (lambda fault: fault.empty, _emptied),
    (lambda fault: fault.content_type is not None, _retyped),
    (lambda fault: fault.disconnect, _broken_off),
    (lambda fault: fault.drip is not None, _dripping),
)
"""Whether a fault has this part, and the generator for it; each one changes what those before it leave."""
