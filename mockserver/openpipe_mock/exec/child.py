"""The command of `exec` as a child process: starts it, passes signals on, explains why it can't start."""

import errno
import os
import shutil
import signal
import subprocess
import sys
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


_GUARD = """
running=
while read -r word process; do
  case $word in
    begun) running="$running $process " ;;
    ended) running="${running%% $process *} ${running#* $process }" ;;
  esac
done
set -- $running
[ $# = 0 ] || { kill "$@"; sleep 2; kill -KILL "$@"; }
"""
"""A program for sh that ends the processes of which its input tells, once nobody writes there any more."""


class _Guard:
    """Ends the commands that are left when this process is killed. It is a process of its own.

    The kernel's own means, PR_SET_PDEATHSIG, has to be called in a fork, which isn't safe beside threads.
    """

    def __init__(self) -> None:
        self.process: subprocess.Popen[bytes] | None = None
        with suppress(OSError):  # a system without sh
            self.process = subprocess.Popen(
                ("/bin/sh", "-c", _GUARD),
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # no signal of a terminal reaches it
                cwd=os.sep,
            )

    def tell(self, word: str, process: int) -> None:
        if self.process and self.process.stdin:
            with suppress(OSError):
                self.process.stdin.write(f"{word} {process}\n".encode())

    def close(self) -> None:
        if self.process and self.process.stdin:
            self.process.stdin.close()
            self.process.wait()


class Child:
    """Runs commands as child processes and passes signals on to them.

    `stopped_by` is the number of the first signal that came, 0 while none did.
    """

    def __init__(self) -> None:
        self.processes: set[subprocess.Popen[bytes]] = set()
        self.stopped_by = 0
        self.guard: _Guard | None = None
        self.lock = threading.RLock()

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
            with _receiving():  # which the child inherits
                process = subprocess.Popen(
                    command, env=environment, stdin=stdin, stdout=stdout, stderr=stderr
                )
        except OSError as error:
            raise _cannot_run(command[0], error) from None
        if self.guard:
            self.guard.tell("begun", process.pid)
        with self.lock:
            self.processes.add(process)
            if self.stopped_by:  # a signal came before the child was started
                process.send_signal(self.stopped_by)
        code = process.wait()
        self.processes.discard(process)
        if self.guard:
            self.guard.tell("ended", process.pid)
        return 128 - code if code < 0 else code

    @contextmanager
    def passing_signals_on(self) -> Iterator[None]:
        """Context in which signals to this process reach the child, and the child ends if this is killed.

        Signals that are ignored stay ignored.
        """
        if threading.current_thread() is not threading.main_thread():
            yield  # Python lets only the main thread set signal handlers
            return
        before = {number: signal.getsignal(number) for number in PASSED_ON}
        heard = [number for number, handler in before.items() if handler is not signal.SIG_IGN]
        for number in heard:
            signal.signal(number, self.handle)
        self.guard = _Guard()
        try:
            with self.listening(heard):
                yield
        finally:
            self.guard.close()
            self.guard = None
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def listening(self, heard: Sequence[signal.Signals]) -> Iterator[None]:
        """Context in which a thread waits for the signals, since only who waits is told who sent one.

        Not where there are other threads already: one of them might get a signal, and nobody would wake up.
        """
        if not heard or not _is_alone():
            yield
            return
        ended = threading.Event()

        def listen() -> None:
            while info := signal.sigwaitinfo(heard):
                if ended.is_set():
                    return
                self.pass_on(info.si_signo, typed=info.si_code == _SENT_BY_KERNEL)

        signal.pthread_sigmask(signal.SIG_BLOCK, heard)
        listener = threading.Thread(target=listen, name="openpipe-mock signals", daemon=True)
        listener.start()
        try:
            yield
        finally:
            ended.set()
            signal.pthread_kill(listener.ident or 0, heard[0])  # it waits for one
            listener.join()
            signal.pthread_sigmask(signal.SIG_UNBLOCK, heard)

    def handle(self, number: int, _: FrameType | None) -> None:
        """Pass a signal on that came to a thread which doesn't wait for one."""
        self.pass_on(number, typed=signal.Signals(number).name in _TYPED and _in_foreground())

    def pass_on(self, number: int, *, typed: bool) -> None:
        """Pass a signal on. `typed`: a terminal sent it to the child already, which would get it twice."""
        with self.lock:
            self.stopped_by = self.stopped_by or number
            for process in () if typed else tuple(self.processes):
                process.send_signal(number)


_SENT_BY_KERNEL = 0x80
"""What `si_code` says of a signal that a terminal sends: Linux' SI_KERNEL."""
_TYPED = ("SIGINT", "SIGHUP")
"""Signals that a terminal sends to all processes in its foreground, so to the child as well."""
PASSED_ON = [getattr(signal, name) for name in (*_TYPED, "SIGTERM") if hasattr(signal, name)]


def _is_alone() -> bool:
    """Whether this is Linux, and the process has no other thread."""
    try:
        return len(os.listdir("/proc/self/task")) == 1
    except OSError:
        return False


@contextmanager
def _receiving() -> Iterator[None]:
    """Context in which this thread gets signals; what it starts meanwhile gets them too."""
    if sys.platform != "linux":
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_UNBLOCK, PASSED_ON)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


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
