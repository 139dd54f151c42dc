"""The log on standard error: each line at once, in order, and nobody waits for who reads it."""

import contextlib
import json
import logging
import os
import pty
import re
import select
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from openpipe_mock.server import logs
from openpipe_mock.server.logs import MOST_WAITING, LogHandler
from tests.environments import here
from tests.live import ATTEMPTS, PATIENCE, clean, serving, until, untimed
from tests.redises import state_of, workers_of

LINE = "x" * 99
UNMEASURED = {name: value for name, value in clean().items() if not name.startswith("COVERAGE")}
"""The variables of a process that can't write what coverage measured."""
MANY = 2 * MOST_WAITING // len(LINE)
"""More lines than wait for a reader."""
TOLD = re.compile(r"warning: (\d+) lines? (?:was|were) dropped here: ")


# The handler


@contextlib.contextmanager
def pipe(*, direct: bool = True) -> Iterator[tuple[LogHandler, int]]:
    """A handler, and where its lines come out of a pipe; `direct`: it may write without its thread."""
    reading, writing = os.pipe()
    handler = LogHandler(writing)
    if not direct:
        handler.close()
    try:
        yield handler, reading
    finally:
        retire(handler, reading)


def retire(handler: LogHandler, reading: int) -> None:
    """Let the thread come to an end with what waits. Its descriptor stays taken: it may look at it again."""
    handler.close()
    os.close(reading)
    until(lambda: handler.written == handler.queued)
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), handler.descriptor)


def record(text: str, level: int = logging.INFO) -> logging.LogRecord:
    return logging.LogRecord("openpipe_mock.requests", level, "", 0, text, None, None)


def number_told(line: str) -> int:
    """How many lines were dropped, as the log has it."""
    found = TOLD.match(line)
    assert found, line
    return int(found[1])


def read_until(reading: int, text: str) -> list[str]:
    """The lines up to one with a text."""
    seen = b""
    while text.encode() not in seen or not seen.endswith(b"\n"):
        assert select.select([reading], [], [], PATIENCE)[0], f"{text!r} did not come; seen: {seen[-200:]!r}"
        seen += os.read(reading, 65536)
    return untimed(seen.decode()).splitlines()


def test_a_line_is_out_before_the_next_step() -> None:
    with tempfile.TemporaryFile("w+b") as file:
        handler = LogHandler(file.fileno())
        handler.handle(record("first"))
        handler.handle(record("second", logging.WARNING))
        assert untimed(os.pread(file.fileno(), 100, 0).decode()) == "first\nwarning: second\n"
        assert handler.thread is None
    with pipe() as (handler, reading):
        handler.handle(record("first"))
        assert untimed(os.read(reading, 100).decode()) == "first\n"
        assert handler.thread is None


@pytest.mark.parametrize("direct", [True, False])
def test_nobody_waits_for_a_reader_and_what_was_dropped_is_told(direct: bool) -> None:
    with pipe(direct=direct) as (handler, reading):
        for number in range(MANY):
            handler.write_line(f"{number:06} {LINE}")
        lost = handler.dropped
        assert MANY / 4 < lost < MANY
        *kept, told = read_until(reading, "dropped")
        assert [int(line[:6]) for line in kept] == list(range(MANY - lost))
        assert number_told(told) == lost
        until(lambda: not handler.dropped)
        handler.write_line("after")
        assert read_until(reading, "after") == ["after"]


def test_what_was_dropped_last_is_told_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "MOST_WAITING", 200_000)
    with pipe() as (handler, reading):
        handler.write_line("a" * 190_000)
        handler.write_line("b" * 190_000)
        handler.write_line("c" * 190_000)
        first, *more = read_until(reading, "dropped")
        assert set(first) == {"a"}
        assert list(map(number_told, more)) == [2]


def test_lines_of_several_threads_stay_whole() -> None:
    with pipe() as (handler, reading):

        def say(letter: str) -> None:
            for _ in range(500):
                handler.handle(record(letter * 200))

        threads = [threading.Thread(target=say, args=(letter,)) for letter in "abc"]
        for thread in threads:
            thread.start()
        time.sleep(0.1)  # the pipe fills up
        seen: list[str] = []
        while len(seen) < 1500:
            seen += read_until(reading, "\n")
        for thread in threads:
            thread.join()
    assert sorted(seen) == sorted(letter * 200 for letter in "abc" for _ in range(500))


def test_a_pipe_that_somebody_made_unwaiting_loses_nothing() -> None:
    """Node makes the terminal so that it shares with us."""
    with pipe(direct=False) as (handler, reading):
        os.set_blocking(handler.descriptor, False)
        for number in range(5000):
            handler.write_line(f"{number} {LINE}")
        got: list[str] = []
        while len(got) < 5000:
            got += read_until(reading, "\n")
    assert [int(line.partition(" ")[0]) for line in got] == list(range(5000))


def test_our_own_way_into_a_pipe_leaves_the_shared_one_as_it_is() -> None:
    with pipe() as (handler, _):
        assert handler.direct not in (None, handler.descriptor)
        assert os.get_blocking(handler.descriptor)


def test_the_end_does_not_wait_for_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "FLUSH_SECONDS", 2 * PATIENCE)
    with pipe() as (handler, _):
        handler.write_line("x" * 500_000)
        began = time.monotonic()
        handler.flush()
        assert PATIENCE > time.monotonic() - began > logs.STALL_SECONDS
        monkeypatch.setattr(logs, "STALL_SECONDS", 2 * PATIENCE)
        handler.flush()  # and not once more
        assert time.monotonic() - began < PATIENCE
        assert handler.written < handler.queued


def test_the_end_waits_for_a_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FLUSH_SECONDS", "STALL_SECONDS"):
        monkeypatch.setattr(logs, name, PATIENCE)
    with pipe() as (handler, reading):
        handler.write_line("x" * 500_000)
        reader = threading.Timer(0.1, read_until, args=(reading, "x\n"))
        reader.start()
        handler.flush()
        assert handler.written == handler.queued
        reader.join()


@pytest.mark.slow
def test_the_end_does_not_wait_long_for_a_slow_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "STALL_SECONDS", PATIENCE)
    with pipe() as (handler, _):
        handler.write_line("x" * 500_000)
        began = time.monotonic()
        handler.flush()
        assert PATIENCE > time.monotonic() - began > logs.FLUSH_SECONDS


def test_a_reader_that_has_left_harms_nobody() -> None:
    with pipe() as (handler, reading):
        with open(os.devnull, "rb") as nowhere:
            os.dup2(nowhere.fileno(), reading)
        for number in range(100):
            handler.handle(record(str(number)))
        until(lambda: handler.dropped == 100)
        handler.flush()
        assert not handler.given_up


@pytest.mark.slow
def test_a_disk_that_was_full_gets_the_number_of_lines_that_it_lacks(tmp_path: Path) -> None:
    """A write behind the limit fails, as on a full disk, until the file is shortened."""
    log = tmp_path / "log"
    program = (
        "import resource, signal, sys, time\n"
        "from openpipe_mock.server.logs import LogHandler\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))\n"
        "file = open(sys.argv[1], 'ab')\n"
        "handler = LogHandler(file.fileno())\n"
        "for _ in range(100): handler.write_line('x' * 199)\n"
        "while handler.written < handler.queued: time.sleep(0.01)\n"
        "file.truncate(0)\n"
        "handler.write_line('room')\n"
        "while handler.dropped: time.sleep(0.01)\n"
        "handler.write_line('after')\n"
    )
    done = subprocess.run(
        [here("python"), "-c", program, log],
        capture_output=True,
        timeout=PATIENCE,
        env=UNMEASURED,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    told, after = untimed(log.read_text()).splitlines()
    assert (number_told(told), after) == (51, "after")


@pytest.mark.slow
@pytest.mark.measured
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_fork_begins_anew_and_writes_nothing_twice() -> None:
    with pipe(direct=False) as (handler, reading):
        handler.write_line("x" * 200_000)
        handler.write_line("y")  # waits behind it
        child = os.fork()
        if not child:
            try:
                handler.write_line("z")
                while handler.written < handler.queued:
                    time.sleep(0.01)
            finally:
                os._exit(0)
        seen = b""
        while seen.count(b"\n") < 3:
            seen += os.read(reading, 65536)
        assert os.waitpid(child, 0)[1] == 0
        assert [seen.count(letter) for letter in (b"x", b"y", b"z")] == [200_000, 1, 1]


def test_a_terminal_gets_colours_without_a_thread() -> None:
    master, slave = pty.openpty()
    handler = LogHandler(slave)
    handler.handle(record("GET / 200  ok"))
    assert os.read(master, 100).endswith(b"\x1b[0m GET /\x1b[32m 200 \x1b[0m ok\r\n")
    assert handler.thread is None
    handler.close()
    os.close(slave)
    os.close(master)


def test_a_socket_is_written_to_by_the_thread() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        handler = LogHandler(ours.fileno())
        assert handler.direct is None
        handler.handle(record("first"))
        theirs.settimeout(PATIENCE)
        assert untimed(theirs.recv(100).decode()) == "first\n"


def test_what_cannot_be_encoded_is_escaped() -> None:
    with pipe() as (handler, reading):
        handler.encoding = "ascii"
        handler.handle(record("ü"))
        assert os.read(reading, 100).endswith(b" \\xfc\n")


def test_a_record_that_cannot_be_formatted_harms_nobody(capsys: pytest.CaptureFixture[str]) -> None:
    with pipe() as (handler, reading):
        handler.handle(logging.LogRecord("x", logging.INFO, "", 0, "%d", ("no number",), None))
        handler.handle(record("next"))
        assert os.read(reading, 100).endswith(b" next\n")
    assert "Logging error" in capsys.readouterr().err


# A mock whose harness reads nothing


@dataclass(frozen=True, slots=True)
class Unread:
    """A running mock whose standard output and standard error are pipes."""

    process: "subprocess.Popen[bytes]"
    ready_file: Path
    base_url: str

    @property
    def stderr(self) -> int:
        assert self.process.stderr
        return self.process.stderr.fileno()

    @property
    def address(self) -> tuple[str, int]:
        parts = urlsplit(self.base_url)
        return str(parts.hostname), int(parts.port or 0)

    def ask(self, number: int, path: str = "/api/v1/models") -> None:
        """Get so many answers over one connection."""
        request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
        with socket.create_connection(self.address, timeout=PATIENCE) as sock:
            left = number
            while left:
                count = min(left, 50)
                sock.sendall(request * count)
                seen = b""
                while seen.count(b"HTTP/1.1 ") < count or not seen.endswith(b"}"):
                    got = sock.recv(65536)
                    assert got
                    seen += got
                left -= count

    def rest(self) -> str:
        """What can be read of standard error once the mock has ended."""
        return untimed(self.process.communicate(timeout=PATIENCE)[1].decode())


@contextlib.contextmanager
def unread(*flags: str, through: Sequence[str] = ()) -> Iterator[Unread]:
    with tempfile.TemporaryDirectory() as folder:
        ready_file = Path(folder) / "ready.json"
        command = [*through, str(here("openpipe-mock")), "serve", "--port=0", f"--ready-file={ready_file}"]
        process = subprocess.Popen(
            [*command, *flags], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=clean()
        )
        try:
            until(lambda: ready_file.exists() or process.poll() is not None)
            yield Unread(process, ready_file, json.loads(ready_file.read_bytes())["base_url"])
        finally:
            process.kill()
            process.communicate()


@pytest.mark.slow
@pytest.mark.measured
@pytest.mark.parametrize("flags", [(), ("--workers=2",)], ids=str)
def test_a_log_that_nobody_reads_stops_neither_requests_nor_the_end(flags: Sequence[str]) -> None:
    with unread(*flags) as mock:
        mock.ask(2000)
        workers = workers_of(mock.process.pid) if flags else []
        mock.process.terminate()
        assert mock.process.wait(PATIENCE) == 0
        assert not mock.ready_file.exists()
        assert not any(map(state_of, workers))
        out, log = mock.process.communicate(timeout=PATIENCE)
        assert out == b""
        assert untimed(log.decode()).startswith("openpipe-mock ")
        assert log.count(b"GET /api/v1/models 401 ") > 350


@pytest.mark.slow
@pytest.mark.measured
def test_lines_that_were_dropped_are_told_once_somebody_reads() -> None:
    with unread() as mock:
        mock.ask(1500, f"/api/v1/{'%01' * 300}")  # in a line, each of these has three bytes
        lines = read_until(mock.stderr, "dropped here")
        [told] = [found for line in lines if (found := TOLD.match(line))]
        written = sum(line.startswith("GET ") for line in lines)
        assert written + int(told[1]) == 1500
        assert int(told[1]) > 0
        mock.ask(1)
        assert read_until(mock.stderr, "models 401")[-1].startswith("GET /api/v1/models 401 ")
        mock.process.terminate()
        assert mock.process.wait(PATIENCE) == 0


def lines_at_the_end() -> int:
    """How many lines of 1,000 requests come out of a mock that is told to end before anybody reads one."""
    with unread() as mock:
        mock.ask(1000)
        mock.process.terminate()
        written = mock.rest().count("GET /api/v1/models 401 ")
        assert mock.process.returncode == 0
    return written


@pytest.mark.slow
@pytest.mark.measured
def test_what_a_reader_was_late_for_it_gets_at_the_end() -> None:
    """A loaded machine may keep a reader from reading for so long that it counts as none, but not always."""
    assert any(lines_at_the_end() == 1000 for _ in range(ATTEMPTS))


def test_what_other_libraries_log_keeps_nobody_waiting_either() -> None:
    """asyncio's words about broken TLS connections, for instance."""
    names = [logging.getLogger(name) for name in ("openpipe_mock", "uvicorn", "")]
    before = [(logger.handlers, logger.propagate, logger.level) for logger in names]
    try:
        handler = logs.configure(quiet=True)
        for name in ("asyncio", "redis", "openpipe_mock.notes", "uvicorn.error"):
            logger: logging.Logger | None = logging.getLogger(name)
            while logger and not logger.handlers:
                logger = logger.parent
            assert logger
            assert logger.handlers == [handler]
        assert not logging.getLogger("openpipe_mock.requests").isEnabledFor(logging.INFO)
        assert logging.getLogger("openpipe_mock.requests").isEnabledFor(logging.WARNING)
    finally:
        for logger, (handlers, propagate, level) in zip(names, before, strict=True):
            logger.handlers, logger.propagate = handlers, propagate
            logger.setLevel(level)


# SIGHUP


@pytest.fixture
def terminal() -> Iterator[None]:
    """Processes that start now hear SIGHUP, though these tests may run under nohup themselves."""
    before = signal.signal(signal.SIGHUP, lambda *_: None)  # a handler, which no other program inherits
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.slow
@pytest.mark.measured
@pytest.mark.usefixtures("terminal")
@pytest.mark.parametrize("flags", [(), ("--workers=2",)], ids=str)
def test_a_terminal_that_closes_ends_the_mock_like_sigterm(flags: Sequence[str]) -> None:
    with serving("--quiet", *flags) as live:
        workers = workers_of(live.process.pid) if flags else []
        code, _ = live.stop(signal.SIGHUP)
        assert code == 0
        assert not (live.log.parent / "ready.json").exists()
        assert not any(map(state_of, workers))
        assert "Traceback" not in live.log.read_text()


@pytest.mark.slow
@pytest.mark.measured
@pytest.mark.parametrize("flags", [(), ("--workers=2",)], ids=str)
def test_under_nohup_it_goes_on(flags: Sequence[str]) -> None:
    with unread("--quiet", *flags, through=["nohup"]) as mock:
        for process in (mock.process.pid, *(workers_of(mock.process.pid) if flags else [])):
            os.kill(process, signal.SIGHUP)
        for _ in range(3):
            assert httpx.get(f"{mock.base_url}/models", timeout=PATIENCE).status_code == 401
        mock.process.terminate()
        assert mock.process.wait(PATIENCE) == 0
        assert not mock.ready_file.exists()
        assert "ended unasked" not in mock.rest()
