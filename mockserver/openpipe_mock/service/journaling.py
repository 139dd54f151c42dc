"""Write an exchange into its journal entry, and the entry's id into the answer."""

import re

from openpipe_mock.core.effects import Begin, Effects, HeaderList, Piece, Reply
from openpipe_mock.faults.streams import joined_headers
from openpipe_mock.service.request import Visit
from openpipe_mock.sessions.journal import MOST_KEPT, MOST_PIECES, Entry

REQUEST_ID = b"x-request-id"
"""The header with the id under which the journal keeps the exchange; OpenAI's clients show it."""

_MOST_TOLD = 3
_SECONDS = re.compile(rb"[0-9]{1,9}(\.[0-9]{0,9})?")


def with_journal(exchange: Effects, entry: Entry) -> Effects:
    """Pass an exchange on, and keep the first `MOST_KEPT` bytes of its pieces in the journal's entry.

    Of the first `MOST_PIECES` pieces it keeps the times.
    """
    kept: list[bytes] = []
    pieces: list[tuple[float, int]] = []
    room = MOST_KEPT
    try:
        effect = next(exchange)
        while True:
            if isinstance(effect, Piece):
                length = len(effect.data)
                if length <= room:
                    kept.append(effect.data)
                    room -= length
                else:
                    kept.append(effect.data[:room])
                    entry.answer_left_out += length - room
                    room = 0
            elif isinstance(effect, Begin):
                entry.streamed, entry.status = _is_stream(effect.headers), effect.status
                entry.answer_headers = (*effect.headers, (REQUEST_ID, entry.id.encode()))
                effect = Begin(effect.status, entry.answer_headers)
            result = yield effect
            if isinstance(result, float) and len(pieces) < MOST_PIECES and isinstance(effect, Piece):
                pieces.append((result - entry.at, MOST_KEPT - room))
            effect = exchange.send(result)
    except StopIteration as stop:
        reply: Reply = stop.value
        return reply
    finally:
        exchange.close()
        entry.answer = b"".join(kept)
        if entry.streamed:
            entry.pieces = tuple(pieces)


def _is_stream(headers: HeaderList) -> bool:
    """Whether an answer is a stream of events."""
    return any(
        name == b"content-type" and value.lower().startswith(b"text/event-stream") for name, value in headers
    )


def finished(visit: Visit, reply: Reply, now: float) -> Reply:
    """Complete the journal's entry, and the reply with the request's id and notes; returns that reply.

    `now`: seconds on the clock of `Head.at`.
    """
    entry = visit.entry
    entry.seconds = now - visit.head.at
    entry.status = reply.status
    if reply.body:
        entry.answer = reply.body
    if reply.notes:
        visit.note(*reply.notes)
    if len(reply.headers) > 1:
        entry.retry_after = _seconds_asked(reply.headers)
    if visit.rates:
        reply.headers = joined_headers(visit.rates, reply.headers)
    reply.headers = (*reply.headers, (REQUEST_ID, entry.id.encode()))
    if reply.status and not entry.answer_headers:
        entry.answer_headers = reply.headers
    reply.notes = entry.notes
    if entry.rules:
        reply.subject += _rules_untold(entry, reply.subject)
    return reply


def _rules_untold(entry: Entry, subject: str) -> str:
    """The rules of criteria that decided, for the log's line; "" where it names them already."""
    rules = [rule for rule in dict.fromkeys(entry.rules) if rule not in subject]
    more = f" and {len(rules) - _MOST_TOLD} more" if len(rules) > _MOST_TOLD else ""
    return f", rule {', '.join(rules[:_MOST_TOLD])}{more}" if rules else ""


def _seconds_asked(headers: HeaderList) -> float | None:
    """The seconds that an answer asks to wait, None where it asks for none, or by a date as a server may."""
    by_name = dict(headers)
    for name, unit in ((b"retry-after-ms", 1000), (b"retry-after", 1)):
        if _SECONDS.fullmatch(by_name.get(name, b"")):
            return float(by_name[name]) / unit
    return None
