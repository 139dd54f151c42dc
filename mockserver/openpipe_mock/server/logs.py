"""The log on standard error, for which nothing waits: a harness may never read the pipe that it gave us."""

import logging
import os
import select
import signal
import stat
import sys
import threading
import time
from queue import Empty, SimpleQueue

from openpipe_mock.server.banner import LineFormatter

_STANDARD_ERROR = 2
MOST_WAITING = 2**20
"""Bytes of lines that wait for a reader, beside what the pipe or the terminal itself takes."""
_MOST_AT_ONCE = 4096
"""Bytes of lines that are written together."""
FLUSH_SECONDS = 1.0
"""How long the end of the process waits for a reader that is slow."""
STALL_SECONDS = 0.2
"""How long it waits for one that reads nothing."""
_LOOK_SECONDS = 0.002
_NAME = "openpipe_mock"


class LogHandler(logging.Handler):
    """Writes each record as a line to a file descriptor, in their order, and never waits for a reader.

    A line goes out at once where that can be tried without waiting. What there is no room for is left to a
    thread. Where too much waits, lines are dropped; once all others are out, a line says how many.
    """

    def __init__(self, descriptor: int = _STANDARD_ERROR) -> None:
        super().__init__()
        self.descriptor = descriptor
        self.direct = _nonblocking(descriptor)
        self.encoding = getattr(sys.stderr, "encoding", None) or "utf-8"
        self.is_terminal = os.isatty(descriptor)
        self.setFormatter(LineFormatter(colour=self.is_terminal))
        self.reset()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self.reset)

    def reset(self) -> None:
        """Let nothing wait: in a fork there is no thread, and what waited is for the first process to write.

        `queued` and `written` count the bytes that the thread was given, and that it is done with; `dropped`
        counts the lines of which the log has not told. `failed`: the last write. `given_up`: nobody reads.
        """
        self.mutex = threading.Lock()
        self.lines: SimpleQueue[bytes] = SimpleQueue()
        self.thread: threading.Thread | None = None
        self.queued = self.written = self.dropped = 0
        self.failed = self.given_up = False

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self.write_line(self.format(record))
        except Exception:
            self.handleError(record)

    def write_line(self, text: str) -> None:
        """Write a text and a line's end after it, or drop it."""
        data = f"{text}\n".encode(self.encoding, "backslashreplace")
        with self.mutex:
            if self.queued == self.written and not self.dropped:
                data = data[self.try_write(data) :]
            if data:
                self.enqueue(data)

    def try_write(self, data: bytes) -> int:
        """Write what there is room for, without waiting; returns how many bytes that were."""
        try:
            return os.write(self.direct, data) if self.direct is not None else 0
        except OSError:
            return 0

    def enqueue(self, data: bytes) -> None:
        """Leave it to the thread, or drop it."""
        if self.dropped or self.queued - self.written + len(data) > MOST_WAITING:
            self.dropped += _lines(data)
            data = b""  # all that the thread hears is that it has a number to tell
        self.queued += len(data)
        if data or self.lines.empty():
            self.lines.put(data)
        if not self.thread:
            self.thread = threading.Thread(target=self.run, name="openpipe-mock-log", daemon=True)
            self.thread.start()

    def run(self) -> None:
        """Write what is left to this thread, for as long as the process lives."""
        if hasattr(signal, "pthread_sigmask"):  # signals are for the first thread, which they wake up
            signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        while True:
            data = self.next_lines()
            if not self.write_all(data):
                with self.mutex:
                    self.dropped += _lines(data)
            self.written += len(data)
            while self.dropped and self.lines.empty():
                number = self.dropped
                if not self.write_all(self.dropped_line(number)):
                    break
                with self.mutex:
                    self.dropped -= number

    def next_lines(self) -> bytes:
        """The next lines that wait, as soon as there are any."""
        data = self.lines.get()
        try:
            while len(data) < _MOST_AT_ONCE:
                data += self.lines.get_nowait()
        except Empty:
            pass
        return data

    def write_all(self, data: bytes) -> bool:
        """Write all of it, however long that takes; whether it went well."""
        while data:
            try:
                data = data[os.write(self.descriptor, data) :]
            except BlockingIOError:  # somebody who shares the pipe or terminal wants it so
                select.select([], [self.descriptor], [])
            except OSError:
                self.failed = True
                return False
        self.failed = self.given_up = False
        return True

    def dropped_line(self, number: int) -> bytes:
        """The line that says how many were dropped."""
        lines = "1 line was" if number == 1 else f"{number} lines were"
        told = f"{lines} dropped here: nobody read this log, or its disk was full"
        record = logging.LogRecord(_NAME, logging.WARNING, "", 0, told, None, None)
        return f"{self.format(record)}\n".encode(self.encoding)

    def flush(self) -> None:
        """Wait until all is written, as long as somebody reads and no longer than FLUSH_SECONDS."""
        began = moved = time.monotonic()
        before = self.written
        while self.thread and (self.written < self.queued or (self.dropped and not self.failed)):
            now = time.monotonic()
            if self.written > before or self.has_room():
                before, moved = self.written, now
            elif self.given_up or now - moved > STALL_SECONDS:
                self.given_up = True
                return
            if now - began > FLUSH_SECONDS:
                return
            time.sleep(_LOOK_SECONDS)

    def has_room(self) -> bool:
        """Whether the thread doesn't wait for a reader, but for its turn."""
        try:
            return bool(select.select([], [self.descriptor], [], 0)[1])
        except OSError:  # as on Windows, which knows of sockets alone
            return False

    def close(self) -> None:
        if self.direct not in (None, self.descriptor):
            os.close(self.direct)
        self.direct = None
        super().close()


def _nonblocking(descriptor: int) -> int | None:
    """A descriptor of the same file, pipe or terminal on which writing never waits; None where there is none.

    A file is such a one. A pipe or terminal is opened once more: the one that we have is shared with whoever
    started us, and so its O_NONBLOCK would be.
    """
    mode = os.fstat(descriptor).st_mode
    if not (os.isatty(descriptor) or stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)):
        return descriptor
    if sys.platform != "linux":
        return None
    try:
        return os.open(f"/proc/self/fd/{descriptor}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError:
        return None


def _lines(data: bytes) -> int:
    """How many lines these bytes are."""
    return data.count(b"\n")


def configure(quiet: bool) -> LogHandler:
    """Log to standard error: requests and notes; with `quiet` only what needs attention.

    Whatever else logs in this process does so by the same handler, since its lines might block just as well.
    """
    handler = LogHandler()
    least = logging.WARNING if quiet else logging.INFO
    for name, level in ((_NAME, least), ("uvicorn", logging.WARNING), ("", logging.WARNING)):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(level)
    return handler
