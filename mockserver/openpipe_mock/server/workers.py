"""Run several processes that serve one socket: start them, replace one that crashes, end them."""

import asyncio
import logging
import os
import select
import signal
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field

from openpipe_mock.server.signals import leave_calmly

_log = logging.getLogger("openpipe_mock")

_ENDING = (signal.SIGINT, signal.SIGTERM)
_READY = b"r"
_RESPITE_SECONDS = 0.5
"""The wait before a crashed worker is replaced: one that crashes at once shall not keep the machine busy."""


class Failed(Exception):
    """A worker ended before it served."""


@dataclass(slots=True)
class Workers:
    """The first process and its `number` workers, which all run `work`.

    `work` gets a lifeline and a function to call once it serves. It returns on SIGTERM, or when the lifeline
    is cut. `running`: the workers' process ids.
    """

    number: int
    work: Callable[["Lifeline", Callable[[], None]], None]
    running: set[int] = field(default_factory=set)
    ending: bool = False

    def run(self, ready: Callable[[], None]) -> None:
        """Start the workers, call `ready` once all serve, and return after a signal has ended them.

        Raises Failed where one ends before all serve.
        """
        lifeline = Lifeline()
        for name in _ENDING:
            signal.signal(name, self.end)
        try:
            with closing(_Signal()) as serving:
                for _ in range(self.number):
                    self.start(lifeline, serving)
                self.await_all(serving)
            if not self.ending:
                ready()
            self.stay(lifeline)
        finally:
            self.end()
            self.reap()

    def start(self, lifeline: "Lifeline", serving: "_Signal | None" = None) -> None:
        """Start one worker."""
        sys.stderr.flush()
        signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
        process = os.fork()
        if process:
            self.running.add(process)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)
            return
        status = 1
        try:
            leave_calmly()
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)
            os.setpgid(0, 0)  # Ctrl-C in a terminal is for the first process alone, which passes it on once
            lifeline.hold()
            self.work(lifeline, serving.give if serving else lambda: None)
            status = 0
        except SystemExit as leaving:
            status = leaving.code if isinstance(leaving.code, int) else 1
        except BaseException:
            _log.exception("a worker failed")
        finally:
            logging.shutdown()
            os._exit(status)  # the frames above in this stack are the first process's

    def await_all(self, serving: "_Signal") -> None:
        """Return once every worker serves. Raises Failed."""
        missing = self.number
        while missing and not self.ending:
            missing -= serving.taken(0.1)
            if missing and self.ended(os.WNOHANG) and not self.ending:
                raise Failed("a worker ended before it served; its own words stand above")

    def stay(self, lifeline: "Lifeline") -> None:
        """Wait until all workers have ended; replace one that ends unasked."""
        while self.running:
            gone = self.ended()
            if gone and not self.ending:
                _log.error("worker %d ended unasked; another takes its place", gone)
                time.sleep(_RESPITE_SECONDS)
                self.start(lifeline)
                if self.ending:
                    self.end()  # a signal came before the new worker was known

    def ended(self, options: int = 0) -> int:
        """The process id of the next worker that has ended, 0 for none. `options`: those of `waitpid`."""
        while True:
            try:
                process, _ = os.waitpid(-1, options)
            except ChildProcessError:
                self.running.clear()
                return 0
            if not process or process in self.running:
                self.running.discard(process)
                return process
            # It was another child: under `bash -c 'exec … --config <(command)'` that command is one.

    def end(self, *_: object) -> None:
        """Send SIGTERM to the workers: they finish requests under way and end."""
        self.ending = True
        for process in self.running:
            os.kill(process, signal.SIGTERM)

    def reap(self) -> None:
        while self.running:
            self.ended()


class _Pipe:
    """A pipe that workers inherit."""

    def __init__(self) -> None:
        self.reading, self.writing = os.pipe()


class _Signal(_Pipe):
    """A pipe on which each worker says once that it serves."""

    def close(self) -> None:
        os.close(self.reading)
        os.close(self.writing)

    def give(self) -> None:
        os.write(self.writing, _READY)

    def taken(self, seconds: float) -> int:
        """How many workers have said so since the last call; waits at most so many seconds."""
        readable, _, _ = select.select([self.reading], [], [], seconds)
        return len(os.read(self.reading, 1024)) if readable else 0


class Lifeline(_Pipe):
    """A pipe that the first process keeps open and nobody writes to: it ends when that process does."""

    def hold(self) -> None:
        """In a worker: close the writing end, which the first process alone keeps open."""
        os.close(self.writing)

    async def cut(self) -> None:
        """Return once the first process is gone."""
        gone = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_reader(self.reading, gone.set)
        try:
            await gone.wait()
        finally:
            loop.remove_reader(self.reading)
