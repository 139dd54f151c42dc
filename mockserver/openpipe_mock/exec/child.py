"""The command of `exec` as a child process: starts it, passes signals on, explains why it can't start."""

import errno
import os
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import IO

from openpipe_mock.core.wording import short

_MOST_LINES, _MOST_OF_LINE, _MOST_BYTES = 15, 200, 16_384
"""Lines that a tail keeps of each stream, characters of a line, bytes in which they are looked for."""

_NOT_FOUND, _NOT_RUNNABLE = 127, 126
"""Exit codes for a command that can't be started, as shells use them."""


class CannotRun(Exception):
    """The command can't be started; the message says why, `code` is what a shell would end with."""

    def __init__(self, problem: str, code: int) -> None:
        super().__init__(problem)
        self.code = code


class Output:
    """What a child prints, kept in files, so that no process that it leaves behind is waited for."""

    def __init__(self) -> None:
        self.files = [tempfile.TemporaryFile() for _ in range(2)]  # noqa: SIM115 - `close` closes them

    def pass_on(self) -> None:
        """Write it to this process's own standard output and error."""
        for file, number in zip(self.files, (1, 2), strict=True):
            file.seek(0)
            with suppress(OSError), open(number, "wb", closefd=False) as own:
                shutil.copyfileobj(file, own)

    def tail(self) -> tuple[str, ...]:
        """The last lines of standard output, and of standard error."""
        return tuple(line for file in self.files for line in _last_lines(file))

    def close(self) -> None:
        for file in self.files:
            file.close()


def _last_lines(file: IO[bytes]) -> list[str]:
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _MOST_BYTES))
    lines = file.read().decode("utf-8", "replace").splitlines()
    return [short(line, _MOST_OF_LINE) for line in lines if line.strip()][-_MOST_LINES:]


class Child:
    """Runs commands as child processes and passes signals on to them.

    `stopped_by` is the number of the first signal that came, 0 while none did.
    """

    def __init__(self) -> None:
        self.processes: set[subprocess.Popen[bytes]] = set()
        self.stopped_by = 0

    def run(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        output: Output | None = None,
        *,
        reads: bool = True,
    ) -> int:
        """Run a command and return its exit code, or 128 plus the signal that ended it. Raises CannotRun.

        It prints into `output`, if there is one. `reads`: whether it has this process's standard input.
        """
        stdout, stderr = output.files if output else (None, None)
        stdin = None if reads else subprocess.DEVNULL
        try:
            process = subprocess.Popen(command, env=environment, stdin=stdin, stdout=stdout, stderr=stderr)
        except OSError as error:
            raise _cannot_run(command[0], error) from None
        self.processes.add(process)
        if self.stopped_by:  # a signal came before the child was started
            process.send_signal(self.stopped_by)
        code = process.wait()
        self.processes.discard(process)
        return 128 - code if code < 0 else code

    @contextmanager
    def passing_signals_on(self) -> Iterator[None]:
        """Context in which signals to this process reach the child. Signals that are ignored stay ignored."""
        if threading.current_thread() is not threading.main_thread():
            yield  # Python lets only the main thread set signal handlers
            return
        before = {number: signal.getsignal(number) for number in PASSED_ON}
        for number, handler in before.items():
            if handler is not signal.SIG_IGN:
                signal.signal(number, self.pass_on)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def pass_on(self, number: int, _: FrameType | None) -> None:
        self.stopped_by = self.stopped_by or number
        # A terminal has sent this signal to the child already; passed on, it would come twice.
        if self.processes and not (signal.Signals(number).name in _TYPED and _in_foreground()):
            for process in tuple(self.processes):
                process.send_signal(number)


_TYPED = ("SIGINT", "SIGHUP")
"""Signals that a terminal sends to all processes in its foreground, so to the child as well."""
PASSED_ON = [getattr(signal, name) for name in (*_TYPED, "SIGTERM") if hasattr(signal, name)]


def _in_foreground() -> bool:
    """Whether a terminal has this process's group in its foreground."""
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)


def _cannot_run(program: str, error: OSError) -> CannotRun:
    """The error for a command that can't be started: the reason in words, and a shell's exit code."""
    if isinstance(error, FileNotFoundError):
        return CannotRun(f"cannot run {program}: {_missing(program)}", _NOT_FOUND)
    reason = error.strerror or error
    if error.errno == errno.ENOEXEC:
        reason = "its first line doesn't say what runs it, as #!/bin/sh does"
    return CannotRun(f"cannot run {program}: {reason}", _NOT_RUNNABLE)


def _missing(program: str) -> str:
    """Why a program wasn't found, with a hint where the command line looks mistaken."""
    if shutil.which(program):
        return "what its first line says should run it is not there"
    if os.sep in program:
        return "there is no such file"
    if " " in program:
        return f"no folder in PATH has it; write its words apart, as in: openpipe-mock exec -- {program}"
    if "=" in program:
        return "no folder in PATH has it; write variables in front of openpipe-mock"
    return "no folder in PATH has it"
