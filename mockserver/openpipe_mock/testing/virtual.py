"""Carry exchanges out in this process, without a socket and in virtual time.

A delay takes no real time: it moves the `VirtualClock` on. A client whose timeout is shorter than the delay
gets its timeout all the same.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from dataclasses import dataclass
from inspect import isawaitable
from math import inf
from os import urandom
from threading import RLock
from time import time
from types import CoroutineType
from typing import Any

from openpipe_mock.core.effects import (
    Await,
    Begin,
    Break,
    Effect,
    Effects,
    Entropy,
    HeaderList,
    Invoke,
    Now,
    Piece,
    Raised,
    ReadBody,
    Reply,
    Tick,
    Wait,
)

Steps = Generator[Any, Any, Any]
"""An exchange step by step. It yields None where time passes, so that others have their turn.

It yields a coroutine of a test's function, and is sent its result. A client that reads bytes gets these, too.
"""
TURN = RLock()
"""Held while an exchange goes a step on: threads take turns, as requests do on a server's event loop."""


class ConnectionBroken(Exception):
    """The connection broke, before an answer or in the middle of it."""


class TooSlow(Exception):
    """The client's timeout for the next bytes passed."""


class OutOfTime(TooSlow):
    """The client's timeout for the whole answer passed."""


class NoTimeout(RuntimeError):
    """A client without a time-out meets a fault that waits for it."""

    def __init__(self) -> None:
        super().__init__(
            "the fault `timeout` waits for the client's time-out, and this client has none; set one, as in "
            "OpenAI(timeout=5). What stands around the call, such as asyncio.wait_for, runs in real time and "
            "feels no delay of this mock; openpipe_server has a mock on a socket, in real time."
        )


@dataclass(slots=True)
class VirtualClock:
    """Virtual time in seconds, from 0. Only the mock's delays and `advance` move it."""

    now: float = 0.0

    def advance(self, seconds: float) -> None:
        """Let time pass, for instance for limits and sessions that expire. Raises ValueError below 0."""
        if seconds < 0:
            raise ValueError(f"expected seconds from 0, got {seconds}; time never goes back.")
        with TURN:
            self.now += seconds


@dataclass(slots=True)
class Journey:
    """One exchange under way, in the order `begin`, `pieces`, `close`.

    `patience`: seconds that the client waits for the next bytes; `budget`: for all of them; None for ever.
    `waited`, `spent`: seconds of these that have passed. After `begin` there are `status`, `headers`, and the
    body: `whole`, or where that is None by `pieces`.
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

    def begin(self) -> Steps:
        """Run until there is an answer. Raises ConnectionBroken, TooSlow."""
        try:
            effect = self.next_effect()
            while effect is not None and not isinstance(effect, Begin):
                result = None
                if isinstance(effect, Invoke):
                    result = yield from _outcome(effect)
                else:
                    if isinstance(effect, Wait):
                        yield None
                    self.carry_out(effect)
                effect = self.next_effect(result)
        except BaseException:
            self.close()
            raise
        if self.broken:
            raise ConnectionBroken
        if effect is not None:
            self.waited = 0.0
            self.status, self.headers, self.whole = effect.status, effect.headers, None

    def pieces(self) -> Iterator[bytes]:
        """The pieces of a body that has begun. Raises ConnectionBroken, TooSlow."""
        # One effect ahead, as servers are: a client that closes a stream after its `[DONE]` didn't hang up.
        effect = self.next_effect()
        while effect is not None:
            self.carry_out(effect)
            following = self.next_effect(self.clock.now if isinstance(effect, Piece) else None)
            if isinstance(effect, Piece):
                self.waited = 0.0
                yield effect.data
            effect = following
        if self.broken:
            raise ConnectionBroken

    def next_effect(self, result: Any = None) -> Effect | None:
        """The next effect that takes time or is for the client; None at the end. Carries out all others.

        `result`: of the last one.
        """
        effect = self.step(result)
        while isinstance(effect, Await):
            effect = self.step(effect.future.result())  # other threads have their turn meanwhile
        return effect

    def step(self, result: Any = None) -> Effect | None:
        """The same, but an `Await` is left to the caller. `result`: of the last one."""
        send = self.exchange.send
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
        """Let virtual time pass. Raises TooSlow or OutOfTime where a timeout of the client's comes first.

        Raises NoTimeout where it would pass for ever.
        """
        gap = inf if self.patience is None else self.patience - self.waited
        rest = inf if self.budget is None else self.budget - self.spent
        passing = max(0.0, min(seconds, gap, rest))
        if passing == inf:
            self.close()
            raise NoTimeout
        self.clock.advance(passing)
        self.waited += passing
        self.spent += passing
        if passing < seconds:
            self.close()
            raise OutOfTime if rest <= gap else TooSlow

    def close(self) -> None:
        """End the exchange, as if the client hung up; after its end nothing happens."""
        with TURN:
            self.exchange.close()


def carry_out(exchange: Effects, body: bytes, clock: VirtualClock, patience: float | None = None) -> Journey:
    """Carry an exchange out until its answer begins. Raises ConnectionBroken, TooSlow."""
    journey = Journey(exchange, body, clock, patience)
    for _ in in_sync(journey.begin()):
        pass
    return journey


def _outcome(effect: Invoke) -> Steps:
    """What comes of a call of a test's function: what it returned, or `Raised`."""
    try:
        result = effect.function()
    except BaseException as error:
        return Raised(error)
    return (yield _awaited(result)) if isawaitable(result) else result


async def _awaited(result: Awaitable[Any]) -> Any:
    try:
        return await result
    except BaseException as error:
        return Raised(error)


def in_sync(steps: Steps) -> Iterator[Any]:
    """Steps whose coroutines have run, each in an event loop and a thread of its own.

    This thread may have a loop that runs: that of an async test with a sync client.
    """
    result = None
    with suppress(StopIteration):
        while True:
            step = steps.send(result)
            result = _run(step) if isinstance(step, CoroutineType) else (yield step)


def _run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(copy_context().run, asyncio.run, coroutine).result()


_KNOWN: dict[type, Callable[[Journey, Any], Any]] = {
    ReadBody: lambda journey, effect: journey.body if len(journey.body) <= effect.limit else None,
    Tick: lambda journey, effect: journey.clock.now,
    Now: lambda journey, effect: time(),
    Entropy: lambda journey, effect: urandom(effect.size),
}
"""Effect → its result, for effects that take no time."""
