"""Runs exchanges step by step, for faults and variants: what one sends next, and how to send it otherwise."""

from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

from openpipe_mock.answers.events import DONE
from openpipe_mock.core.effects import Begin, Break, Effect, Effects, HeaderList, Piece, Reply, Wait
from openpipe_mock.faults.framing import Framing, Timed, as_sent

STREAM_HEADERS: HeaderList = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
)


def next_sent(exchange: Effects) -> Generator[Effect, Any, Begin | Piece | Break | Reply]:
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


def pass_events(exchange: Effects, most: int) -> Generator[Effect, Any, Begin | Piece | Break | Reply]:
    """Pass on at most so many events of a stream and return the next one, `[DONE]` at the latest."""
    sent = yield from next_sent(exchange)
    while most and isinstance(sent, Piece) and sent.data != DONE:
        most -= 1
        yield sent
        sent = yield from next_sent(exchange)
    return sent


def pass_bytes(exchange: Effects, most: int) -> Generator[Effect, Any, None]:
    """Pass on at most so many bytes of an answer that is sent in pieces."""
    while most and isinstance(sent := (yield from next_sent(exchange)), Piece):
        yield Piece(sent.data[:most])
        most = max(0, most - len(sent.data))


def collect(exchange: Effects) -> Generator[Effect, Any, tuple[list[Timed], Reply]]:
    """Run an exchange to its end; return its pieces with their waits, none sent yet, and its reply."""
    pieces: list[Timed] = []
    wait, result = 0.0, None
    try:
        while True:
            effect = exchange.send(result)
            result = None
            match effect:
                case Wait(seconds):
                    wait += seconds
                case Piece(data):
                    pieces.append((wait, data))
                    wait = 0.0
                case _:
                    result = yield effect
    except StopIteration as stop:
        return pieces, stop.value


def send_pieces(pieces: Iterable[Timed]) -> Iterator[Effect]:
    for wait, data in pieces:
        if wait:
            yield Wait(wait)
        yield Piece(data)


def send_plain(reply: Reply, framing: Framing = as_sent, *, announced: bool = True) -> Effects:
    """Send a plain answer in the pieces of a framing; the head has its length, if that is `announced`."""
    length = ((b"content-length", b"%d" % len(reply.body)),) if announced else ()
    yield Begin(reply.status, (*reply.headers, *length))
    yield from send_pieces(framing([(0.0, reply.body)]))
    return replace(reply, body=b"")


def send_in_pieces(exchange: Effects) -> Effects:
    """Run the exchange and send a plain answer as streams are sent: its head and length, then its body."""
    with closing(exchange):
        sent = yield from next_sent(exchange)
        if isinstance(sent, Reply):
            return (yield from send_plain(sent))
        yield sent
        return (yield from exchange)


def with_headers(exchange: Effects, headers: HeaderList) -> Effects:
    """Run an exchange and send its answer with these headers, in place of others of their names."""
    with closing(exchange):
        sent = yield from next_sent(exchange)
        if isinstance(sent, Begin):
            yield replace(sent, headers=joined_headers(sent.headers, headers))
            sent = yield from exchange
        if isinstance(sent, Reply):
            return replace(sent, headers=joined_headers(sent.headers, headers))
        yield sent
        return (yield from exchange)


def joined_headers(old: HeaderList, new: HeaderList) -> HeaderList:
    """Headers with new ones in place of others of their names."""
    return tuple({**dict(old), **dict(new)}.items())


def reply_only(reply: Reply) -> Effects:
    """An exchange that only replies."""
    yield from ()
    return reply


def stream_reply(begun: Begin) -> Reply:
    """The reply of a stream that ends early."""
    return Reply(begun.status, b"", begun.headers)


def raw_stream(data: bytes, *, whole: bool = False) -> Effects:
    """Send these bytes as the only event of a stream, then `[DONE]`. `whole`: they are the whole stream."""
    yield Begin(200, STREAM_HEADERS)
    if whole:
        yield Piece(data)
        return Reply(200, b"", STREAM_HEADERS)
    yield Piece(b"".join(b"data: %s\n" % line for line in data.splitlines()) + b"\n")
    yield Piece(DONE)
    return Reply(200, b"", STREAM_HEADERS)
