"""The mock in this process: exchanges carried out without a socket, in virtual time.

A delay costs nothing here: `Clock` moves on by itself. A client that would have lost its patience meanwhile
gets its timeout all the same.
"""

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from math import inf
from os import urandom
from threading import RLock
from time import time
from typing import Any

from openpipe_mock.core.effects import (
    Begin,
    Break,
    Effect,
    Effects,
    Entropy,
    HeaderList,
    Now,
    Piece,
    ReadBody,
    Reply,
    Tick,
    Wait,
)

TURN = RLock()
"""Held wherever an exchange goes a step on: threads take turns, as requests do on a server's event loop."""


class ConnectionBroken(Exception):
    """The connection broke, before an answer or in the middle of it."""


class TooSlow(Exception):
    """The client's patience ended before the next bytes came."""


class OutOfTime(TooSlow):
    """The client's patience with the whole answer ended."""


@dataclass(slots=True)
class VirtualClock:
    """Virtual time, in seconds since it was made. Only what the mock waits moves it, and whoever calls it."""

    now: float = 0.0

    def advance(self, seconds: float) -> None:
        """Let time pass, for instance for limits and sessions that expire. Time never goes back."""
        if seconds < 0:
            raise ValueError(f"expected seconds from 0, got {seconds}; time never goes back.")
        with TURN:
            self.now += seconds


@dataclass(slots=True)
class Journey:
    """One exchange under way.

    `patience`: seconds that the client waits for the next bytes; `budget`: for all of them; None for ever.
    What comes back is there once `begin` has come to its end: status, headers, and the body: `whole`, or as
    `pieces` where that is None.
    """

    exchange: Effects
    body: bytes
    clock: VirtualClock
    patience: float | None = None
    budget: float | None = None
    waited: float = 0.0
    spent: float = 0.0
    broken: bool = False
    status: int = 0
    headers: HeaderList = ()
    whole: bytes | None = None

    def begin(self) -> Generator[None]:
        """Run until there is an answer; yields where time passes, so that others have their turn.

        Raises Broken, TooSlow.
        """
        try:
            effect = self.next_effect()
            while effect is not None and not isinstance(effect, Begin):
                if isinstance(effect, Wait):
                    yield
                self.carry_out(effect)
                effect = self.next_effect()
        except BaseException:
            self.close()
            raise
        if self.broken:
            raise ConnectionBroken
        if effect is not None:
            self.waited = 0.0
            self.status, self.headers, self.whole = effect.status, effect.headers, None

    def pieces(self) -> Iterator[bytes]:
        """The pieces of a body that has begun, as a socket would bring them. Raises Broken, TooSlow.

        The exchange is one effect ahead, as servers are: clients that close a stream behind its `[DONE]` have
        all of it, and didn't hang up.
        """
        effect = self.next_effect()
        while effect is not None:
            self.carry_out(effect)
            following = self.next_effect()
            if isinstance(effect, Piece):
                self.waited = 0.0
                yield effect.data
            effect = following
        if self.broken:
            raise ConnectionBroken

    def next_effect(self) -> Effect | None:
        """Go on to the next effect that takes time or is for the client; None at the end."""
        send, result = self.exchange.send, None
        with TURN:
            try:
                while True:
                    effect = send(result)
                    known = _KNOWN.get(type(effect))
                    if known is None:
                        return effect
                    result = known(self, effect)
            except StopIteration as stop:
                reply: Reply = stop.value
                self.status, self.headers, self.whole = reply.status, reply.headers, reply.body
                return None

    def carry_out(self, effect: Effect) -> None:
        if isinstance(effect, Wait):
            self.wait(effect.seconds)
        elif isinstance(effect, Break):
            self.broken = True

    def wait(self, seconds: float) -> None:
        """Let virtual time pass, unless the client gives up before."""
        gap = inf if self.patience is None else self.patience - self.waited
        rest = inf if self.budget is None else self.budget - self.spent
        passing = max(0.0, min(seconds, gap, rest))
        self.clock.advance(passing)
        self.waited += passing
        self.spent += passing
        if passing < seconds:
            self.close()
            raise OutOfTime if rest <= gap else TooSlow

    def close(self) -> None:
        """The client hangs up; after the end of an exchange nothing happens."""
        with TURN:
            self.exchange.close()


_KNOWN: dict[type, Callable[[Journey, Any], Any]] = {
    ReadBody: lambda journey, effect: journey.body if len(journey.body) <= effect.limit else None,
    Tick: lambda journey, effect: journey.clock.now,
    Now: lambda journey, effect: time(),
    Entropy: lambda journey, effect: urandom(effect.size),
}
"""Effect → its result, where that is known at once."""


def carry_out(exchange: Effects, body: bytes, clock: VirtualClock, patience: float | None = None) -> Journey:
    """Carry an exchange out as far as its answer's beginning. Raises Broken, TooSlow."""
    journey = Journey(exchange, body, clock, patience)
    for _ in journey.begin():
        pass
    return journey
