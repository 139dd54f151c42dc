"""Keep the event loop free: what takes long runs in a thread, and streams take turns."""

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

_Result = TypeVar("_Result")

HEAVY_BYTES = 65_536
"""A body with more bytes is read and answered in a thread. One of 10 MiB takes seconds."""
_MOST_THREADS = 32
_STREAMS_A_ROUND = 16
"""Streams that go on in one round of the event loop, which takes a millisecond or two then."""


class SharedSteps:
    """Runs the steps of a mock's exchanges: each leads to the next effect.

    They run one at a time and in the order in which they come, since the mock's memory is one. A heavy one
    runs in a thread, so that the event loop meanwhile reads, writes, and answers what needs no memory.

    `is_remote`: the memory lies with another server. Each step may have to wait for that, so all of them run
    in threads, and several at a time. `most`: how many.
    """

    def __init__(self, *, is_remote: bool = False, most: int = _MOST_THREADS) -> None:
        self.is_remote = is_remote
        self.most = most if is_remote else 1
        self.threads: ThreadPoolExecutor | None = None
        self.waiting = 0
        """Steps that run or wait in `run`."""
        self.lock = asyncio.Lock()

    @property
    def is_free(self) -> bool:
        """Whether a step that isn't heavy may run at once, without `run`."""
        return not (self.waiting or self.is_remote)

    async def run(self, step: Callable[[], _Result], *, heavy: bool) -> _Result:
        """Run a step once the steps before it are done."""
        if self.is_remote:
            return await self.in_thread(step)
        if not self.waiting:
            self.lock = asyncio.Lock()  # a lock belongs to the event loop in which it was waited for
        self.waiting += 1
        try:
            async with self.lock:
                return await self.in_thread(step) if heavy else step()
        finally:
            self.waiting -= 1

    async def in_thread(self, step: Callable[[], _Result]) -> _Result:
        if self.threads is None:  # made late, since processes that serve together are forked
            self.threads = ThreadPoolExecutor(self.most, "openpipe-mock-step")
        running = asyncio.get_running_loop().run_in_executor(self.threads, step)
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            # An exchange can't be closed while a thread runs it. Who ends a server may cancel twice.
            while not running.done():
                with suppress(asyncio.CancelledError):
                    await asyncio.wait((running,))
            raise


class Turns:
    """Lets the streams of an event loop go on a few at a time, so that nothing else waits for all of them."""

    # It doesn't refer to the loop, which would keep both in memory for ever: see `turns`.

    def __init__(self) -> None:
        self.queue: deque[asyncio.Future[Any]] = deque()

    async def turn(self) -> None:
        """Return when it is the caller's turn."""
        future = asyncio.get_running_loop().create_future()
        self.join(future)
        await future

    def join(self, future: asyncio.Future[Any]) -> None:
        """Set the future's result when its turn has come."""
        if not self.queue:
            future.get_loop().call_soon(self.next)
        self.queue.append(future)

    def next(self) -> None:
        for _ in range(min(_STREAMS_A_ROUND, len(self.queue))):
            wake(self.queue.popleft())
        if self.queue:
            self.queue[0].get_loop().call_soon(self.next)


def wake(future: asyncio.Future[Any]) -> None:
    """Let who awaits a future go on."""
    if not future.done():
        future.set_result(None)


_turns: WeakKeyDictionary[asyncio.AbstractEventLoop, Turns] = WeakKeyDictionary()


def turns() -> Turns:
    """The turns of the event loop that runs."""
    loop = asyncio.get_running_loop()
    found = _turns.get(loop)
    if found is None:
        found = _turns[loop] = Turns()
    return found
