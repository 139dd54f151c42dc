"""The feed of server-sent events: each exchange that the journal gets, as it comes.

It looks into the journal again and again, so requests have nothing to do for it, and a slow reader keeps
nothing in memory beside what the journal keeps.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import orjson

from openpipe_mock.core.effects import Begin, Effects, Head, HeaderList, Piece, Tick, Wait
from openpipe_mock.core.errors import BadRequest, StateUnavailable
from openpipe_mock.core.wording import quoted
from openpipe_mock.sessions.inspection import JournalFilter, summary
from openpipe_mock.sessions.journal import Entry
from openpipe_mock.sessions.memory import Session, Sessions

EVERY = "*"
"""The name that means all sessions."""
MOST_FEEDS = 64
"""The most feeds that a mock has open."""
LOOK_SECONDS = 0.2
"""The pause between two looks into the journal."""
HEARTBEAT_SECONDS = 15.0
"""How long a feed is silent; then comes a comment, by which clients and proxies see that it is alive."""
MOST_AT_ONCE = 100
"""The most exchanges that are sent without a pause for other requests."""

FEED_HEADERS: HeaderList = ((b"content-type", b"text/event-stream"),)
_FIRST = b"retry: 1000\n\n"
"""What a feed begins with: a client that lost it comes back after a second."""
_HEARTBEAT = b": still here\n\n"
_NUMBER = re.compile(r"[0-9]{1,18}")


@dataclass(frozen=True, slots=True)
class Feed:
    """What a client follows of some sessions. `name`: of one, or `EVERY`. `after`: a sequence number."""

    sessions: Sessions
    name: str
    wanted: JournalFilter
    after: int

    def exchange(self, headers: HeaderList) -> Effects:
        """Send what the journal gets, until the client hangs up. `headers`: added to the answer's."""
        seen = self.after
        yield Begin(200, (*FEED_HEADERS, *headers))
        quiet_since = yield Piece(_FIRST)
        while True:
            found = self.newer(seen)
            for entry in found:
                seen = entry.sequence
                if self.wanted.holds(entry):
                    quiet_since = yield Piece(_event(entry))
            if (yield Tick()) - quiet_since >= HEARTBEAT_SECONDS:
                quiet_since = yield Piece(_HEARTBEAT)
            yield Wait(LOOK_SECONDS if len(found) < MOST_AT_ONCE else 0)

    def newer(self, number: int) -> list[Entry]:
        """The next exchanges after a sequence number, oldest first; none while nobody can be asked."""
        try:
            # To look at a session doesn't count as using it, so it isn't looked up by its name.
            every = self.sessions.all() if self.sessions.newest > number else ()
            followed = [session for session in every if self.name in (EVERY, session.name)]
            found = [entry for session in followed for entry in _after(session, number)]
        except StateUnavailable:
            return []
        return sorted(found, key=lambda entry: entry.sequence)[:MOST_AT_ONCE]


def _after(session: Session, number: int) -> Iterator[Entry]:
    """The exchanges of a session after a sequence number, newest first."""
    if session.journal.newest > number:
        for entry in session.journal.newest_first():
            if entry.sequence <= number:
                return
            yield entry


def last_seen(head: Head, after: str | None, newest: int) -> int:
    """The sequence number after which a client goes on: without a wish, after the newest. Raises BadRequest.

    A browser that comes back says it in `Last-Event-ID`, which then beats the parameter `after`.
    """
    if after is not None and not _NUMBER.fullmatch(after):
        raise BadRequest.at('query "after"', f"expected the `sequence` of an exchange, got {quoted(after)}.")
    told = head.headers.get(b"last-event-id", b"").decode("latin-1")
    wish = told if _NUMBER.fullmatch(told) else after
    return newest if wish is None else min(int(wish), newest)


def _event(entry: Entry) -> bytes:
    """An exchange as an event: its sequence number as the id, and what a list shows of it."""
    return b"event: request\nid: %d\ndata: %b\n\n" % (entry.sequence, orjson.dumps(summary(entry)))
