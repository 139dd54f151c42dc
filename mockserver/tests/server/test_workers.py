"""Several processes behind one socket: what is said once, who serves, who replaces whom, and how they end."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.inprocess import commanded
from tests.live import PATIENCE, Live, clean, finished, has_taken_all, serving, until, untimed, with_grace
from tests.mad import JUDGE
from tests.redises import Redis, redis_server, state_of, workers_of
from tests.remembering import SLOW, Turns
from tests.soaking import sent

pytestmark = [pytest.mark.slow, pytest.mark.measured]

KEY = {"Authorization": "Bearer op-local"}
REQUEST = {"criterion_id": "helpful", "output": {"role": "assistant", "content": "1, 2, 3"}}


@contextlib.contextmanager
def alone(live: Live, worker: int) -> Iterator[None]:
    """While this lasts, one worker alone answers."""
    others = [process for process in workers_of(live.process.pid) if process != worker]
    for process in others:
        os.kill(process, signal.SIGSTOP)
    until(lambda: all(state_of(process) == "T" for process in others))
    try:
        yield
    finally:
        for process in others:
            os.kill(process, signal.SIGCONT)


def seed(live: Live) -> int:
    """What one new connection is told. One that a stopped worker took is given up."""
    while True:
        with contextlib.suppress(httpx.TimeoutException):
            found: int = httpx.get(f"{live.control_url}/health", timeout=0.5).json()["seed"]
            return found


def judge(live: Live) -> httpx.Response:
    return httpx.post(f"{live.base_url}/criteria/judge", json=REQUEST, headers=KEY, timeout=PATIENCE)


@pytest.fixture(scope="module")
def three() -> Iterator[Live]:
    with serving("--workers=3", "--seed=5") as live:
        yield live


@pytest.fixture(scope="module")
def joined() -> Iterator[tuple[Live, Redis]]:
    """Three workers that share a Redis."""
    with redis_server() as redis, serving("--workers=3", f"--state={redis.url}") as live:
        yield live, redis


def test_the_banner_and_the_ready_file_come_once(three: Live) -> None:
    until(lambda: three.log.read_text().count("\n") >= 2)  # the warning comes right behind the ready file
    banner, warning = untimed(three.log.read_text()).splitlines()[:2]
    assert banner.startswith("openpipe-mock ")
    assert three.log.read_text().count(" serves ") == 1
    assert (three.log.parent / "ready.json").read_text().count(str(three.process.pid)) == 1
    assert "3 workers, each with a memory of its own: sequences" in warning
    assert "--state redis://HOST:PORT/DB shares them" in warning


def test_each_worker_serves(three: Live) -> None:
    workers = workers_of(three.process.pid)
    assert len(workers) == 3
    scores = set()
    for worker in workers:
        with alone(three, worker):
            assert seed(three) == 5
    for _ in range(20):
        scores.add(judge(three).json()["score"])
    assert len(scores) == 1, "a judgement by content is the same everywhere"


def test_a_worker_that_crashed_is_replaced(three: Live) -> None:
    before = workers_of(three.process.pid)
    os.kill(before[0], signal.SIGKILL)
    until(lambda: len(workers_of(three.process.pid)) == 3 and workers_of(three.process.pid) != before)
    [fresh] = set(workers_of(three.process.pid)) - set(before)
    with alone(three, fresh):
        assert seed(three) == 5
    assert f"worker {before[0]} ended unasked; another takes its place" in three.log.read_text()


@pytest.mark.parametrize("name", [signal.SIGINT, signal.SIGTERM])  # SIGHUP: in test_logs.py
def test_a_signal_ends_them_all_calmly(name: signal.Signals) -> None:
    with serving("--workers=2", "--quiet") as live:
        workers = workers_of(live.process.pid)
        judge(live)
        code, _ = live.stop(name)
        assert code == 0
        assert not any(map(state_of, workers))
        assert not (live.log.parent / "ready.json").exists()
        assert "Traceback" not in live.log.read_text()


def test_what_is_under_way_is_finished_at_the_end() -> None:
    request = sent(JUDGE, REQUEST, headers="x-mock-delay-ms: 1500")
    patient = serving("--workers=2", "--quiet", command=with_grace(3600))
    with patient as live, socket.create_connection(live.address, PATIENCE) as sock:
        sock.sendall(request)
        until(lambda: has_taken_all(live))
        code, _ = live.stop()
        assert code == 0
        assert sock.recv(65536).startswith(b"HTTP/1.1 200 ")


def test_a_request_that_takes_too_long_does_not_keep_them() -> None:
    with serving("--workers=2", "--quiet") as live, socket.create_connection(live.address) as sock:
        sock.sendall(SLOW)
        until(lambda: has_taken_all(live))
        code, _ = live.stop()
        assert code == 0


def test_workers_end_with_the_first_process_however_it_ends() -> None:
    with serving("--workers=2", "--quiet") as live:
        workers = workers_of(live.process.pid)
        live.process.kill()
        live.process.wait()
        until(lambda: not any(state_of(worker) not in ("Z", "") for worker in workers))


def test_a_saved_file_is_in_force_in_every_worker(tmp_path: Path) -> None:
    file = tmp_path / "openpipe-mock.yaml"
    file.write_text("seed: 1\n")
    with serving("--workers=2", f"--config={file}") as live:
        assert seed(live) == 1
        file.write_text("seed: 2\n")
        for worker in workers_of(live.process.pid):
            with alone(live, worker):
                until(lambda: seed(live) == 2)


def test_a_start_that_fails_ends_with_one_line(three: Live) -> None:
    done = commanded("serve", "--workers=2", f"--port={three.address[1]}")
    assert done.exit_code == 2
    [line] = done.stderr.splitlines()
    assert "is taken" in line


def test_workers_with_one_redis_are_as_one(joined: tuple[Live, Redis]) -> None:
    live, _ = joined
    mock = Turns([live.origin] * 6)
    mock.control("PUT", "/criteria/flaky", {"sequence": [number / 20 for number in range(20)]})
    assert [mock.score("flaky") for _ in range(12)] == [number / 20 for number in range(12)]
    assert mock.control("GET", "/requests")["count"] == 12
    mock.close()
    assert "memory of its own" not in live.log.read_text()


PROGRAM = """
import os, sys, time
from openpipe_mock.server.workers import Failed, Workers
def work(lifeline, serving):
    if sys.argv[1] == "raises":
        raise ValueError("it can't")
    if sys.argv[1] == "exits":
        raise SystemExit(3)
    if sys.argv[1] == "leaves":
        raise SystemExit("words")
    serving()
    time.sleep(60)
try:
    Workers(2, work).run(lambda: print("ready", flush=True))
except Failed as error:
    print(error)
"""


@pytest.mark.parametrize("way", ["raises", "exits", "leaves"])
def test_workers_that_cannot_serve_end_the_start(way: str) -> None:
    done = finished([sys.executable, "-c", PROGRAM, way])
    assert done.returncode == 0, done.stderr
    assert done.stdout == "a worker ended before it served; its own words stand above\n"
    assert ("it can't" in done.stderr) == (way == "raises")


def test_the_status_tells_that_workers_share_no_sessions(three: Live) -> None:
    told = httpx.get(f"{three.control_url}/status").json()["memory"]
    assert {**told, "place": "each process by itself", "shared": False, "redis": None} == told


def test_the_status_tells_that_workers_share_their_sessions(joined: tuple[Live, Redis]) -> None:
    live, redis = joined
    told = httpx.get(f"{live.control_url}/status").json()["memory"]
    assert (told["shared"], told["redis"]["up"], told["redis"]["url"]) == (True, True, redis.url)


def test_a_signal_before_all_serve_ends_the_start() -> None:
    program = PROGRAM.replace("    serving()", "    print('begun', flush=True)")
    process = subprocess.Popen([sys.executable, "-c", program, ""], stdout=subprocess.PIPE, env=clean())
    assert process.stdout
    assert [process.stdout.readline() for _ in range(2)] == [b"begun\n"] * 2
    process.terminate()
    assert process.communicate(timeout=PATIENCE)[0] == b""
    assert process.returncode == 0


def test_where_processes_cannot_fork_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "fork")
    done = commanded("serve", "--workers=2", "--port=0")
    assert done.exit_code == 2
    assert "--workers above 1 needs a system with fork" in done.stderr
