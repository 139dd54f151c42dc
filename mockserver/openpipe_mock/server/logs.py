"""Log to standard error without ever waiting: a harness may never read the pipe that it gave us."""

import logging
import os
import select
import signal
import stat
import sys
import threading
import time
from queue import Empty, SimpleQueue

from openpipe_mock.core.secrets import Mask, environment_keys
from openpipe_mock.server.banner import JsonFormatter, LineFormatter

_STANDARD_ERROR = 2
MOST_WAITING = 2**20
"""Bytes of lines that are kept for a slow reader, beside what the pipe or terminal takes itself."""
_MOST_AT_ONCE = 4096
"""Bytes from which on no more lines are added to a write."""
FLUSH_SECONDS = 1.0
"""How long `flush` waits for a slow reader."""
STALL_SECONDS = 0.2
"""How long `flush` waits for a reader that reads nothing."""
_LOOK_SECONDS = 0.002
_NAME = "openpipe_mock"


class LogHandler(logging.Handler):
    """Writes each record as a line to a file descriptor, in order, without waiting for a reader.

    A line is written at once where that is possible without waiting; the rest is left to a thread. Lines are
    dropped where more than MOST_WAITING bytes wait; once the others are out, a line says how many.
    """

    def __init__(self, descriptor: int = _STANDARD_ERROR, *, as_json: bool = False) -> None:
        super().__init__()
        self.descriptor = descriptor
        self.direct = _nonblocking(descriptor)
        self.encoding = getattr(sys.stderr, "encoding", None) or "utf-8"
        self.is_terminal = os.isatty(descriptor) and not as_json
        self.setFormatter(JsonFormatter() if as_json else LineFormatter(terminal=self.is_terminal))
        self.mask = Mask(*map(os.fsencode, environment_keys()))
        self.reset()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self.reset)

    def reset(self) -> None:
        """Begin with nothing waiting; also called in a fork.

        `queued` and `written`: bytes that the thread was given, and that it is done with. `dropped`: lines
        that were dropped and not yet reported. `failed`: whether the last write did. `given_up`: nobody
        reads.
        """
        # A fork has no thread, and the first process writes what waits; the lock may be held there for good.
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
        """Write a text as a line, or drop it."""
        data = f"{self.mask.text(text)}\n".encode(self.encoding, "backslashreplace")
        with self.mutex:
            if self.queued == self.written and not self.dropped:
                data = data[self.try_write(data) :]
            if data:
                self.enqueue(data)

    def announce(self, text: str) -> None:
        """Write the banner: on a terminal as it is, elsewhere as a line like the others."""
        if self.is_terminal:
            self.write_line(text)
        else:
            self.emit(logging.LogRecord(_NAME, logging.INFO, "", 0, text, None, None))

    def try_write(self, data: bytes) -> int:
        """Write what there is room for, without waiting; returns how many bytes were written."""
        try:
            return os.write(self.direct, data) if self.direct is not None else 0
        except OSError:
            return 0

    def enqueue(self, data: bytes) -> None:
        """Leave data to the thread, or drop it."""
        if self.dropped or self.queued - self.written + len(data) > MOST_WAITING:
            self.dropped += _lines(data)
            data = b""  # wakes the thread, which then reports the number
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
        """Wait for lines; returns at most some `_MOST_AT_ONCE` bytes of them."""
        data = self.lines.get()
        try:
            while len(data) < _MOST_AT_ONCE:
                data += self.lines.get_nowait()
        except Empty:
            pass
        return data

    def write_all(self, data: bytes) -> bool:
        """Write data, however long that takes; returns whether all was written."""
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
        """The line that reports how many lines were dropped."""
        lines = "1 line was" if number == 1 else f"{number} lines were"
        told = f"{lines} dropped here: nobody read this log, or its disk was full"
        record = logging.LogRecord(_NAME, logging.WARNING, "", 0, told, None, None)
        return f"{self.format(record)}\n".encode(self.encoding)

    def flush(self) -> None:
        """Wait until all is written: at most FLUSH_SECONDS, and STALL_SECONDS where nobody reads."""
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
        """Whether the descriptor takes data: then the thread waits for its turn, not for a reader."""
        try:
            return bool(select.select([], [self.descriptor], [], 0)[1])
        except OSError:  # as on Windows, which knows of sockets alone
            return False

    def close(self) -> None:
        if self.direct not in (None, self.descriptor):
            os.close(self.direct)
        self.direct = None
        super().close()


def configure(quiet: bool, *, as_json: bool = False) -> LogHandler:
    """Log requests and notes to standard error, with `quiet` only warnings and errors; returns the handler.

    All other loggers of the process get the same handler, since their lines might block too.
    """
    handler = LogHandler(as_json=as_json)
    least = logging.WARNING if quiet else logging.INFO
    for name, level in ((_NAME, least), ("uvicorn", logging.WARNING), ("", logging.WARNING)):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(level)
    return handler


def _nonblocking(descriptor: int) -> int | None:
    """A descriptor of the same file, pipe or terminal that never blocks; None where there is none."""
    mode = os.fstat(descriptor).st_mode
    if not (os.isatty(descriptor) or stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)):
        return descriptor
    if sys.platform != "linux":
        return None
    # Opened once more: whoever started us shares our descriptor, and would get its O_NONBLOCK too.
    try:
        return os.open(f"/proc/self/fd/{descriptor}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError:
        return None


def _lines(data: bytes) -> int:
    """The number of lines in these bytes."""
    return data.count(b"\n")
