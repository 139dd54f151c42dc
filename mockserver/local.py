"""The mock in this process: exchanges carried out without a socket, in virtual time.

A delay costs nothing here: `Clock` moves on by itself. A client that would have lost its patience meanwhile
gets its timeout all the same.
"""

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from os import urandom
from threading import RLock
from time import time
from typing import Any

from mockserver.effects import (
    Begin,
    Break,
    Effect,
    Entropy,
    Exchange,
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


class Broken(Exception):
    """The connection broke, before an answer or in the middle of it."""


class TooSlow(Exception):
    """The client's patience ended before the next bytes came."""


@dataclass(slots=True)
class Clock:
    """Virtual time, in seconds since it was made. Only what the mock waits moves it, and whoever calls it."""

    now: float = 0.0

    def advance(self, seconds: float) -> None:
        """Let time pass, for instance for limits and sessions that expire. Time never goes back."""
        if seconds < 0:
            raise ValueError(f"expected seconds from 0, got {seconds}; time never goes back.")
        with TURN:
            self.now += seconds


@dataclass(slots=True)
class Answer:
    """What came back: status, headers, and the body: `whole`, or as the journey's pieces where it is None."""

    status: int
    headers: HeaderList
    whole: bytes | None
    journey: "Journey"


@dataclass(slots=True)
class Journey:
    """One exchange under way. `patience`: seconds that the client waits for the next bytes, None for ever."""

    exchange: Exchange
    body: bytes
    clock: Clock
    patience: float | None = None
    waited: float = 0.0
    broken: bool = False
    reply: Reply | None = None

    def answer(self) -> Generator[None, None, Answer]:
        """Run until there is something to answer; yields where time passes, so that others have their turn.

        Raises Broken, TooSlow.
        """
        try:
            effect = self.next_effect(None)
            while effect is not None and not isinstance(effect, Begin):
                if isinstance(effect, Wait):
                    yield
                effect = self.next_effect(self.carried_out(effect))
        except BaseException:
            self.close()
            raise
        if self.broken:
            raise Broken
        if effect is not None:
            self.waited = 0.0
            return Answer(effect.status, effect.headers, None, self)
        assert self.reply is not None
        return Answer(self.reply.status, self.reply.headers, self.reply.body, self)

    def pieces(self) -> Iterator[bytes]:
        """The pieces of a body that has begun, as a socket would bring them. Raises Broken, TooSlow."""
        effect = self.next_effect(None)
        while effect is not None:
            if isinstance(effect, Piece):
                self.waited = 0.0
                yield effect.data
            effect = self.next_effect(self.carried_out(effect))
        if self.broken:
            raise Broken

    def next_effect(self, result: Any) -> Effect | None:
        """Go a step on; None at the end."""
        with TURN:
            try:
                return self.exchange.send(result)
            except StopIteration as stop:
                self.reply = stop.value
                return None

    def carried_out(self, effect: Effect) -> Any:
        """What an adapter sends back for an effect."""
        match effect:
            case ReadBody(limit):
                return self.body if len(self.body) <= limit else None
            case Wait(seconds):
                self.wait(seconds)
            case Tick():
                return self.clock.now
            case Now():
                return time()
            case Entropy(size):
                return urandom(size)
            case Break():
                self.broken = True

    def wait(self, seconds: float) -> None:
        """Let virtual time pass, unless the client gives up before."""
        left = seconds if self.patience is None else min(seconds, self.patience - self.waited)
        self.clock.advance(max(0.0, left))
        self.waited += seconds
        if self.patience is not None and self.waited > self.patience:
            self.close()
            raise TooSlow

    def close(self) -> None:
        """The client hangs up; after the end of an exchange nothing happens."""
        with TURN:
            self.exchange.close()


def ask(exchange: Exchange, body: bytes, clock: Clock, patience: float | None = None) -> Answer:
    """Carry an exchange out as far as its answer's beginning. Raises Broken, TooSlow."""
    steps = Journey(exchange, body, clock, patience).answer()
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            answer: Answer = stop.value
            return answer
