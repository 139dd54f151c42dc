"""How a mock ends and begins again under load, and where there is no room for what it writes."""

import json
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from openpipe_mock.server import readyfile
from openpipe_mock.server.server import Listener, uvicorn_config
from openpipe_mock.service.service import Service
from tests.environments import here
from tests.inprocess import answer
from tests.live import PATIENCE, Live, clean, has_taken_all, serving, until, with_grace
from tests.mad import CHAT, JUDGE
from tests.soaking import ASKED, JUDGED, sent

pytestmark = pytest.mark.slow

Json = Any
RIGHT = answer(Service(), JUDGED).body


# SIGTERM


def ended_while(live: Live, milliseconds: int) -> bytes:
    """What a client gets whose request would take so long, where the mock is told to end meanwhile."""
    with socket.create_connection(live.address, PATIENCE) as sock:
        sock.sendall(sent(JUDGE, JUDGED, headers=f"x-mock-delay-ms: {milliseconds}"))
        until(lambda: has_taken_all(live))
        code, _ = live.stop()
        assert (code, live.log.read_text()) == (0, "")
        return b"".join(iter(lambda: sock.recv(65536), b""))


def test_a_request_under_way_is_answered_before_the_mock_ends() -> None:
    with serving("--quiet", command=with_grace(3600)) as live:
        assert ended_while(live, 1500).endswith(b"\r\n\r\n" + RIGHT)


def test_one_that_would_take_longer_is_cut_off() -> None:
    """It would take ten minutes. The client sees a broken connection, and no error that nobody asked for."""
    with serving("--quiet") as live:
        assert ended_while(live, 600_000) == b""


def test_requests_under_way_are_given_less_than_a_second() -> None:
    grace = uvicorn_config(Service(), Listener()).timeout_graceful_shutdown
    assert grace is not None
    assert 0 < grace < 1


def test_an_endless_stream_that_nobody_reads_keeps_no_mock_alive() -> None:
    with serving("--quiet") as live, socket.create_connection(live.address) as sock:
        sock.sendall(sent(CHAT, {**ASKED, "stream": True}, headers="x-mock-fault: endless"))
        assert sock.recv(9) == b"HTTP/1.1 "
        code, _ = live.stop()
        assert (code, live.log.read_text()) == (0, "")


# Under load


class Load:
    """Clients that ask without end. `wrong`: answers that are neither right nor broken off."""

    def __init__(self, live: Live, number: int = 4) -> None:
        self.url = f"{live.base_url}/criteria/judge"
        self.right = self.broken = 0
        self.wrong: list[str] = []
        self.over = threading.Event()
        self.threads = [threading.Thread(target=self.run) for _ in range(number)]

    def run(self) -> None:
        headers = {"Authorization": "Bearer op-local"}
        with httpx.Client(headers=headers, timeout=PATIENCE) as client:
            while not self.over.is_set():
                try:
                    got = client.post(self.url, json=JUDGED)
                except httpx.TransportError:
                    self.broken += 1
                    time.sleep(0.01)
                    continue
                if (got.status_code, got.content) == (200, RIGHT):
                    self.right += 1
                else:
                    self.wrong.append(got.text)

    def until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition() and time.monotonic() < deadline:
            time.sleep(0.01)
        assert condition(), f"{self.right} right, {self.broken} broken off, {self.wrong[:3]} wrong"

    def more(self, number: int = 20) -> None:
        """Wait until so many more were answered."""
        goal = self.right + number
        self.until(lambda: self.right >= goal)


@contextmanager
def load(live: Live) -> Iterator[Load]:
    clients = Load(live)
    for thread in clients.threads:
        thread.start()
    try:
        clients.more()
        yield clients
    finally:
        clients.over.set()
        for thread in clients.threads:
            thread.join()


def test_a_mock_that_ends_under_load_answers_rightly_or_not_at_all() -> None:
    with serving("--quiet") as live, load(live) as clients:
        code, _ = live.stop()
        clients.until(lambda: clients.broken >= 4)
        assert (code, live.log.read_text(), clients.wrong) == (0, "", [])


def begun(
    ready: Path, *flags: str, stderr: Any = None, through: Sequence[str] = ()
) -> "subprocess.Popen[bytes]":
    """A mock of which the ready file speaks, or that has ended already; `through`: what starts it."""
    command = [*through, str(here("openpipe-mock")), "serve", f"--ready-file={ready}", *flags]
    steady = {name: value for name, value in clean().items() if not (through and name.startswith("COVERAGE"))}
    process = subprocess.Popen(command, env=steady, stderr=stderr)
    deadline = time.monotonic() + PATIENCE
    while readyfile.owner(ready) != process.pid and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    return process


def test_a_mock_that_is_killed_under_load_begins_again_at_once_at_the_same_place() -> None:
    with serving("--quiet") as live, load(live) as clients:
        ready = live.log.with_name("ready.json")
        live.process.kill()
        live.process.wait()
        clients.until(lambda: clients.broken >= 1)
        assert readyfile.owner(ready) == live.process.pid
        again = begun(ready, "--quiet", f"--port={live.address[1]}")
        try:
            assert readyfile.owner(ready) == again.pid
            clients.more()
        finally:
            again.terminate()
            assert again.wait(PATIENCE) == 0
        assert not ready.exists()
        assert clients.wrong == []


# No room


# What measures coverage would write a file too, and complain.
NO_ROOM = ("sh", "-c", 'ulimit -f 0; exec "$@"', "sh")
"""Whatever is written into a file then finds no room, as on a full disk."""


def test_a_ready_file_for_which_there_is_no_room_is_told_in_one_line_and_leaves_nothing(
    tmp_path: Path,
) -> None:
    process = begun(tmp_path / "ready.json", "--port=0", stderr=subprocess.PIPE, through=NO_ROOM)
    _, said = process.communicate(timeout=PATIENCE)
    [line] = said.decode().splitlines()
    assert process.returncode == 2
    assert line.startswith(f"openpipe-mock: cannot write --ready-file {tmp_path}/ready.json: ")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_takes_no_files_is_told_in_one_line() -> None:
    """Not even root may write there."""
    process = begun(Path("/proc/ready.json"), "--port=0", stderr=subprocess.PIPE)
    _, said = process.communicate(timeout=PATIENCE)
    [line] = said.decode().splitlines()
    assert process.returncode == 2
    assert "--ready-file /proc/ready.json" in line


def test_a_log_for_which_there_is_no_room_keeps_nobody_from_being_served(tmp_path: Path) -> None:
    ready = tmp_path / "ready.json"
    with Path("/dev/full").open("wb") as full:
        process = begun(ready, "--port=0", "--validation=lenient", stderr=full)
    try:
        assert readyfile.owner(ready) == process.pid
        url = json.loads(ready.read_bytes())["base_url"]
        headers = {"Authorization": "Bearer op-local"}
        for body in ({**JUDGED, "unknown": 1}, JUDGED):
            got = httpx.post(f"{url}/criteria/judge", json=body, headers=headers)
            assert (got.status_code, got.content) == (200, RIGHT)
    finally:
        process.terminate()
        assert process.wait(PATIENCE) == 0
    assert not ready.exists()
