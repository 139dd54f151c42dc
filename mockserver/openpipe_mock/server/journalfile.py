"""The file of `--journal`: each exchange is appended as a line of JSON, with secrets masked.

A thread writes, so that no request waits for a disk. Each line is one write at the file's end, so several
processes may share the file.
"""

import logging
import os
import threading
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue

import orjson

from openpipe_mock.core.userfiles import MEBIBYTE
from openpipe_mock.core.wording import printable
from openpipe_mock.sessions.diagnosis import exchange_detail
from openpipe_mock.sessions.journal import Entry, Journal

MOST_JOURNAL_FILE_BYTES = 256 * MEBIBYTE
"""The size from which on nothing is appended."""
MOST_WAITING_BYTES = 64 * MEBIBYTE
"""Bytes of bodies and answers that wait for a slow disk; further exchanges are left out."""
CLOSE_SECONDS = 2.0
"""How long the end waits for what isn't written yet."""

_log = logging.getLogger("openpipe_mock")


class JournalFile:
    """A file that exchanges are appended to. Raises OSError where it can't be opened.

    `queued` and `written`: bytes that the thread was given, and that it is done with. `left_out`: exchanges
    that aren't in the file. `trouble`: why the last one isn't, "" where it is; the log is told when it begins
    and when it ends. `is_cut`: the last write was in part.
    """

    def __init__(self, path: Path, most_bytes: int = MOST_JOURNAL_FILE_BYTES) -> None:
        self.path = path
        self.most_bytes = most_bytes
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NONBLOCK", 0)
        self.descriptor = os.open(path, flags, 0o600)
        self.queue: SimpleQueue[tuple[Entry, bytes, int] | None] = SimpleQueue()
        self.thread: threading.Thread | None = None
        self.queued = self.written = self.left_out = 0
        self.trouble = ""
        self.is_cut = False

    def add(self, entry: Entry, token: bytes) -> None:
        """Append an exchange soon. `token`: the request's, which is masked."""
        size = len(entry.body or b"") + len(entry.answer)
        if self.queued - self.written + size > MOST_WAITING_BYTES:
            self.fail("the disk is too slow")
            return
        self.queued += size
        self.queue.put((replace(entry), token, size))  # a copy, since the journal masks its own
        if self.thread is None:  # begun here, since a fork has no thread
            self.thread = threading.Thread(target=self.run, name="openpipe-mock-journal", daemon=True)
            self.thread.start()

    def run(self) -> None:
        """Write what waits, until the end is put into the queue."""
        while (found := self.queue.get()) is not None:
            entry, token, size = found
            try:
                self.append(_line(entry, token))
            except Exception:  # the thread has to go on with the next
                _log.exception("%s lacks an exchange", self.shown)
            self.written += size

    def append(self, line: bytes) -> None:
        """Write a line at the end of the file, unless that makes the file too long."""
        line = b"\n" + line if self.is_cut else line
        try:
            if os.fstat(self.descriptor).st_size + len(line) > self.most_bytes:
                self.fail(f"it has reached {self.most_bytes} bytes")
                return
            written = os.write(self.descriptor, line)
        except OSError as error:
            self.fail(error.strerror or str(error))
            return
        self.is_cut = written < len(line)
        if self.is_cut:
            self.fail("the disk is full")
        elif self.trouble:
            _log.warning("%s is written again; it lacks %d exchanges", self.shown, self.left_out)
            self.trouble = ""

    def fail(self, why: str) -> None:
        """Leave an exchange out, and tell the log if it is the first."""
        self.left_out += 1
        if not self.trouble:
            self.trouble = why
            _log.warning("%s is not written: %s; requests are answered all the same", self.shown, why)

    @property
    def shown(self) -> str:
        return f"--journal {printable(str(self.path))}"

    def close(self) -> None:
        """Wait a little for what isn't written yet."""
        if self.thread:
            self.queue.put(None)
            self.thread.join(CLOSE_SECONDS)


def _line(entry: Entry, token: bytes) -> bytes:
    """An exchange as the journal keeps it: without secrets, of a long one the beginning."""
    journal = Journal()
    journal.add(entry, token)
    detail = exchange_detail(journal.entries[0])
    del detail["sequence"]  # that of the journal of this moment
    return orjson.dumps(detail, option=orjson.OPT_APPEND_NEWLINE)
