"""A saved config file: when it is in force, what becomes of one with mistakes, and that nobody suffers."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest

from openpipe_mock.config.file import DEFAULT_FILE as DEFAULT_NAME
from openpipe_mock.config.file import TwoFiles
from openpipe_mock.config.settings import Settings
from openpipe_mock.core.userfiles import read_file_again
from openpipe_mock.server import banner, reload
from openpipe_mock.server.reload import Source, service_of, watch
from openpipe_mock.service.service import Service
from tests.environments import here
from tests.inprocess import commanded
from tests.live import PATIENCE, Live, clean, finished, serving, until, untimed

pytestmark = [pytest.mark.slow, pytest.mark.measured]

Json = Any

PAUSE = 0.05
"""Seconds between two looks at what a mock has in force."""
KEY = {"Authorization": "Bearer op-local"}
REQUEST = {"criterion_id": "helpful", "output": {"role": "assistant", "content": "1, 2, 3"}}
BAD = "sed: 7\ncriteria: {fussy: {uniform: [1, 0]}}\n"
MISTAKES = ("/sed: unknown property", "/criteria/fussy/uniform: the lowest score")
QUICK = {"_STEP_MS": 5, "_DEBOUNCE_MS": 20, "LOOK_MS": 50}
"""How often a file is looked at where a test isn't about that."""
STARTING = "from openpipe_mock.cli.main import main; from openpipe_mock.server import reload"
LOOKING = f"{STARTING}; vars(reload).update({QUICK}); main()"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, milliseconds in QUICK.items():
        monkeypatch.setattr(reload, name, milliseconds)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A config file of one test's own."""
    path = tmp_path / DEFAULT_NAME
    path.write_text("seed: 1\n")
    return path


@dataclass(frozen=True, slots=True)
class Served:
    """A mock that was started beside its config file, which says no more than `seed`.

    Its log is looked at from the byte `begin`.
    """

    live: Live
    file: Path
    seed: int
    begin: int

    def told(self) -> str:
        return untimed(self.live.log.read_bytes()[self.begin :].decode())


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Live, Path]]:
    file = tmp_path_factory.mktemp("shared") / DEFAULT_NAME
    file.write_text("seed: 1\n")
    with serving(command=[here("python"), "-c", LOOKING], cwd=file.parent) as live:
        yield live, file


SEEDS = count(1000)


@pytest.fixture
def served(shared: tuple[Live, Path]) -> Served:
    """The shared mock, as it is after a start with a seed of this test's own."""
    (live, file), seed = shared, next(SEEDS)
    if file.is_dir():
        file.rmdir()
    replaced(file, f"seed: {seed}\n")
    until_seed(live, seed)
    httpx.post(f"{live.control_url}/reset").raise_for_status()
    return Served(live, file, seed, live.log.stat().st_size)


NAMED = "named.yaml"


@dataclass(frozen=True, slots=True)
class Named:
    """A mock whose flags name its config file, which was saved as soon as the mock was ready.

    `seen`: whether that save came in force.
    """

    live: Live
    file: Path
    seen: bool


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Named]:
    file = tmp_path_factory.mktemp("named") / NAMED
    file.write_text("seed: 1\nvalidation: exact\n")
    file.with_name(DEFAULT_NAME).write_text("seed: 2\n")
    with serving(f"--config={NAMED}", "--validation=lenient", cwd=file.parent) as live:
        file.write_text("seed: 3\nvalidation: exact\n")
        with contextlib.suppress(AssertionError):
            until_seed(live, 3)
        yield Named(live, file, status(live)["seed"] == 3)


def status(live: Live) -> Json:
    return httpx.get(f"{live.control_url}/status").raise_for_status().json()


def until_seed(live: Live, seed: int) -> None:
    until(lambda: bool(status(live)["seed"] == seed))


def replaced(file: Path, text: str) -> None:
    """Save as most editors do: another file is written and takes the name."""
    other = file.with_name(".saving")
    other.write_text(text)
    other.replace(file)


def judge(live: Live, client: httpx.Client | None = None) -> httpx.Response:
    send = client.post if client else httpx.post
    return send(f"{live.base_url}/criteria/judge", json=REQUEST, headers=KEY)


# A good file.


@pytest.mark.parametrize("save", [Path.write_text, replaced], ids=["written", "replaced"])
def test_a_saved_file_is_in_force_within_a_second(named: Named, save: Callable[[Path, str], None]) -> None:
    """Counted in answers with the old settings, of which a second has no more than so many."""
    live, file = named.live, named.file
    for seed in (next(SEEDS), next(SEEDS)):
        save(file, f"seed: {seed}\n")
        answers = 0
        while status(live)["seed"] != seed:
            answers += 1
            assert answers < 1 / PAUSE
            time.sleep(PAUSE)


def test_a_file_may_be_saved_once_it_is_ready(named: Named) -> None:
    """However soon: what was saved while the mock began is not overlooked."""
    assert named.seen


def test_the_terminal_says_that_a_file_is_in_force(served: Served) -> None:
    before = status(served.live)["config"]["loads"]
    served.file.write_text("seed: 2\n")
    until_seed(served.live, 2)
    until(lambda: f"{DEFAULT_NAME} was saved and is in force\n" in served.told())
    assert status(served.live)["config"] == {
        "file": DEFAULT_NAME,
        "loads": before + 1,
        "in_force": True,
        "missing": False,
        "replaced": False,
        "problems": [],
    }


def test_what_is_saved_changes_the_answers(served: Served) -> None:
    served.file.write_text("criteria: {helpful: {score: 0.25}}\n")
    until(lambda: judge(served.live).json()["score"] == 0.25)


@pytest.mark.parametrize("place", ["beside it", "elsewhere"])
def test_the_file_may_be_a_link(tmp_path: Path, place: str) -> None:
    folder = tmp_path / "elsewhere" if place == "elsewhere" else tmp_path
    folder.mkdir(exist_ok=True)
    target, link = folder / "settings.yaml", tmp_path / DEFAULT_NAME
    target.write_text("seed: 1\n")
    link.symlink_to(target)

    async def play() -> None:
        async with watching(link) as service:
            assert has_seed(service, 1)
            target.write_text("seed: 2\n")
            await eventually(partial(has_seed, service, 2))
            replaced(target, "seed: 3\n")
            await eventually(partial(has_seed, service, 3))

    asyncio.run(play())


def test_a_link_may_be_turned(tmp_path: Path) -> None:
    """As a mounted folder of settings is renewed: the link that the file's link leads through changes."""
    for number in (1, 2):
        (tmp_path / f"v{number}").mkdir()
        (tmp_path / f"v{number}" / "settings.yaml").write_text(f"seed: {number}\n")
    (tmp_path / "now").symlink_to("v1")
    (tmp_path / DEFAULT_NAME).symlink_to("now/settings.yaml")

    async def play() -> None:
        async with watching(tmp_path / DEFAULT_NAME) as service:
            assert has_seed(service, 1)
            (tmp_path / "next").symlink_to("v2")
            (tmp_path / "next").replace(tmp_path / "now")
            await eventually(partial(has_seed, service, 2))

    asyncio.run(play())


# A file with mistakes.


def test_a_bad_file_leaves_the_old_one_in_force_and_says_why(served: Served) -> None:
    before = status(served.live)["config"]["loads"]
    served.file.write_text(BAD)
    until(lambda: not status(served.live)["config"]["in_force"])
    found = status(served.live)
    assert found["seed"] == served.seed
    assert found["config"]["loads"] == before
    problems = found["config"]["problems"]
    assert [any(mistake in problem for problem in problems) for mistake in MISTAKES] == [True, True]
    assert all(problem.startswith(f"{DEFAULT_NAME}:") for problem in problems)
    told = served.told()
    assert all(f"error: {problem}\n" in told for problem in problems)
    assert f"{DEFAULT_NAME} is not in force; the settings before it stay" in told
    assert judge(served.live).status_code == 200


def differs(live: Live, before: Json) -> bool:
    return bool(status(live)["config"] != before)


def test_a_file_that_is_right_again_is_in_force_again(served: Served) -> None:
    for text in (BAD, "seed: [\n", "\x00", "seed: 2\n"):
        before = status(served.live)["config"]
        served.file.write_text(text)
        until(partial(differs, served.live, before))
    assert status(served.live)["seed"] == 2
    assert status(served.live)["config"]["problems"] == []


def test_a_deleted_file_leaves_its_settings_in_force(served: Served) -> None:
    served.file.unlink()
    until(lambda: status(served.live)["config"]["missing"])
    assert status(served.live)["seed"] == served.seed
    assert not status(served.live)["config"]["in_force"]
    assert f"{DEFAULT_NAME}: cannot be read: No such file or directory" in served.told()
    served.file.write_text(f"seed: {served.seed}\n")
    until(lambda: status(served.live)["config"]["in_force"])


def test_a_folder_in_the_file_s_place_leaves_its_settings_in_force(served: Served) -> None:
    served.file.unlink()
    served.file.mkdir()
    until(lambda: "Is a directory" in str(status(served.live)["config"]["problems"]))
    assert status(served.live)["seed"] == served.seed
    assert not status(served.live)["config"]["missing"]


# What is no regular file.

IN_BASH = 'exec "$0" "$@" '


def in_bash(redirection: str, *flags: str) -> contextlib.AbstractContextManager[Live]:
    """A mock that a shell starts."""
    return serving(*flags, command=["bash", "-c", IN_BASH + redirection, here("openpipe-mock")])


def test_what_can_be_read_only_once_stays_in_force(file: Path, named: Named) -> None:
    """Also once another mock has seen its file change twice."""
    seed = 'printf "seed: 5"'
    with (
        in_bash(f"--config <({seed})") as substituted,
        in_bash(f"--config <({seed})", "--workers=2") as shared,
        in_bash(f"--config /dev/stdin < '{file}'") as redirected,
    ):
        for live in (substituted, shared, redirected):
            until(lambda live=live: "read once" in live.log.read_text())  # type: ignore[misc]
        file.write_text("seed: 2\n")
        for other in (next(SEEDS), next(SEEDS)):
            named.file.write_text(f"seed: {other}\n")
            until_seed(named.live, other)
        for live, expected in ((substituted, 5), (shared, 5), (redirected, 1)):
            for _ in range(4):  # another connection may be another worker's
                config = status(live)["config"]
                assert (status(live)["seed"], config["loads"], config["problems"]) == (expected, 1, [])
            assert "error" not in live.log.read_text()


def test_a_pipe_without_a_writer_is_waited_for_until_ctrl_c(tmp_path: Path) -> None:
    told = "openpipe-mock reads pipe and waits until whoever writes to it is done\n"
    os.mkfifo(tmp_path / "pipe")
    log = tmp_path / "log"
    command = [str(here("openpipe-mock")), "serve", "--port=0", "--config=pipe"]
    with log.open("wb") as stderr:
        process = subprocess.Popen(command, cwd=tmp_path, env=clean(), stderr=stderr)
    try:
        until(lambda: untimed(log.read_text()) == told)
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 0
        assert untimed(log.read_text()) == told
    finally:
        process.kill()
        process.wait()


def test_nothing_starts_on_an_endless_file(tmp_path: Path) -> None:
    told = refused("--config=/dev/zero", cwd=tmp_path)
    assert "cannot read the config file /dev/zero: it has more than 1 MiB" in told


def pipe_at(path: Path) -> None:
    os.mkfifo(path)


def device_at(path: Path) -> None:
    path.symlink_to("/dev/zero")


def large_at(path: Path) -> None:
    with path.open("wb") as saving:
        saving.truncate(4 * 2**30)


def loop_at(path: Path) -> None:
    path.symlink_to(path)


UNFIT: dict[str, tuple[Callable[[Path], None], str]] = {
    "pipe": (pipe_at, "cannot be read: it is a pipe now; put a regular file there"),
    "device": (device_at, "cannot be read: it is a device now; put a regular file there"),
    "large": (large_at, "cannot be read: it has more than 1 MiB, the most that is read; make it smaller"),
    "folder": (Path.mkdir, "cannot be read: Is a directory"),
    "loop": (loop_at, "cannot be read: Too many levels of symbolic links"),
}


def health_seconds(live: Live) -> float:
    started = time.monotonic()
    httpx.get(f"{live.control_url}/health", timeout=PATIENCE).raise_for_status()
    return time.monotonic() - started


@pytest.mark.parametrize("kind", ["pipe", "large"])
def test_what_takes_the_file_s_place_holds_nobody_up(served: Served, kind: str) -> None:
    (make, told), live, file = UNFIT[kind], served.live, served.file
    before = max(health_seconds(live) for _ in range(20))
    make(file.with_name("other"))
    file.with_name("other").replace(file)
    during: list[float] = []
    while told not in served.told() or len(during) < 20:
        during.append(health_seconds(live))
        assert sum(during) < PATIENCE
    assert max(during) < 1 + 10 * before
    assert status(live)["seed"] == served.seed
    file.unlink()
    file.write_text("seed: 2\n")
    until_seed(live, 2)


# Two names.


def test_a_file_is_found_under_its_other_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    file = Path("openpipe-mock.yml")
    file.write_text("seed: 3\n")

    async def play() -> None:
        async with watching(Source.from_flag(None, {})) as service:
            assert (service.settings.seed, service.file.path) == (3, file.name)
            file.write_text("seed: 4\n")
            await eventually(partial(has_seed, service, 4))

    asyncio.run(play())


def test_nothing_starts_beside_both_names(file: Path) -> None:
    file.with_name("openpipe-mock.yml").write_text("seed: 2\n")
    assert refused(cwd=file.parent) == (
        "openpipe-mock: openpipe-mock.yaml and openpipe-mock.yml are both here; remove openpipe-mock.yml, or"
        " name the file that is meant\n"
    )


# What is under way.


WORDS = 8


def script(word: str) -> str:
    return f"completions: [{{text: {' '.join([word] * WORDS)}}}]\n"


def streamed(live: Live, file: Path, tokens_per_second: float) -> tuple[list[str], bool]:
    """What a stream says during which another file comes in force, and whether it really still ran then."""
    file.write_text(f"stream: {{tokens_per_second: {tokens_per_second}}}\nseed: 1\n{script('before')}")
    until(lambda: status(live)["completions"] == 1 and status(live)["seed"] == 1)
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello"}], "stream": True}
    with httpx.stream("POST", f"{live.base_url}/chat/completions", json=body, headers=KEY) as answer:
        lines = answer.iter_lines()
        next(lines)
        file.write_text("seed: 2\n" + script("after"))
        until_seed(live, 2)
        running = httpx.get(f"{live.control_url}/requests?endpoint=chat").json()["count"] == 0
        events = [line.removeprefix("data: ") for line in lines if line and "[DONE]" not in line]
    httpx.delete(f"{live.control_url}/requests")
    deltas = [choice["delta"] for event in events for choice in json.loads(event)["choices"]]
    return [delta["content"].strip() for delta in deltas if delta.get("content")], running


def test_a_request_under_way_finishes_under_the_settings_it_began_with(served: Served) -> None:
    for tokens_per_second in (6, 3, 1, 0.3):  # on a slow machine a stream may be over too soon
        said, ran = streamed(served.live, served.file, tokens_per_second)
        if ran:
            break
    assert (said, ran) == (["before"] * WORDS, True)


REWRITES = 30
SENDERS = 4
BREATH = 0.01
"""Seconds between a sender's requests, so that the mock has time for its file on a slow machine."""


def test_a_reload_under_load_loses_no_request(served: Served) -> None:
    """Good files and bad ones in turn, while requests come: each is answered by one of the good ones."""
    live, file = served.live, served.file
    good = {number: number / 100 for number in range(0, REWRITES, 2)}
    replaced(file, f"criteria: {{helpful: {{score: {good[0]}}}}}\n")
    until(lambda: judge(live).json()["score"] == good[0])
    over = threading.Event()

    def send() -> list[tuple[int, Json]]:
        answers = []
        with httpx.Client(timeout=PATIENCE) as client:
            while not over.wait(BREATH):
                answer = judge(live, client)
                answers.append((answer.status_code, answer.json().get("score")))
        return answers

    with ThreadPoolExecutor(SENDERS) as pool:
        senders = [pool.submit(send) for _ in range(SENDERS)]
        for number in range(1, REWRITES):
            text = f"criteria: {{helpful: {{score: {good[number]}}}}}\n" if number in good else BAD
            replaced(file, text)
            time.sleep(0.02 if number % 5 else 0.2)  # some are seen, some pass unseen
        over.set()
        answers = [answer for sender in senders for answer in sender.result()]
    assert {code for code, _ in answers} == {200}
    scores = {score for _, score in answers}
    assert scores <= set(good.values())
    assert len(scores) > 1, "no file was renewed while requests came"
    assert "Traceback" not in served.told()


# Flags, the banner, the beginning.


def test_flags_beat_the_file_now_and_later(named: Named) -> None:
    live, file = named.live, named.file
    assert status(live)["validation"] == "lenient"
    seed = next(SEEDS)
    file.write_text(f"seed: {seed}\nvalidation: exact\n")
    until_seed(live, seed)
    assert status(live)["validation"] == "lenient"


def test_the_banner_names_the_file(shared: tuple[Live, Path], named: Named, live: Live) -> None:
    assert f"(config {DEFAULT_NAME}, seed 1, " in shared[0].log.read_text()
    assert f"(config {NAMED}, seed 1, " in named.live.log.read_text()
    assert "config" not in banner.banner(Service(), "http://127.0.0.1:1", "", False)
    assert status(live)["config"]["file"] is None


def test_a_named_file_comes_before_the_one_in_the_folder(named: Named) -> None:
    live, file = named.live, named.file
    assert status(live)["config"]["file"] == NAMED
    assert status(live)["seed"] != 2
    file.with_name(DEFAULT_NAME).write_text("seed: 4\n")
    seed = next(SEEDS)
    file.write_text(f"seed: {seed}\n")
    until_seed(live, seed)


def refused(*flags: str, cwd: Path) -> str:
    """What a mock says that doesn't start."""
    with contextlib.chdir(cwd):
        done = commanded("serve", "--port=0", *flags)
    assert (done.exit_code, done.stdout) == (2, "")
    return done.stderr


def test_nothing_starts_on_a_bad_file(file: Path) -> None:
    file.write_text(BAD)
    flags = ["--port=0", f"--ready-file={file.with_name('ready')}"]
    done = finished([here("openpipe-mock"), "serve", *flags], cwd=file.parent)
    assert (done.returncode, done.stdout) == (2, "")
    assert all(mistaken(done.stderr))
    assert "Traceback" not in done.stderr
    assert not file.with_name("ready").exists()


def mistaken(told: str) -> list[bool]:
    """Whether each mistake of BAD is told, with its place."""
    return [f"{DEFAULT_NAME}:{n + 1}:" in told and mistake in told for n, mistake in enumerate(MISTAKES)]


def test_nothing_starts_on_a_bad_file_that_is_named(file: Path) -> None:
    file.write_text(BAD)
    told = refused(f"--config={DEFAULT_NAME}", f"--ready-file={file.with_name('ready')}", cwd=file.parent)
    assert all(mistaken(told))
    assert not file.with_name("ready").exists()


def test_a_file_that_isn_t_there_is_named(tmp_path: Path) -> None:
    told = refused("--config=nowhere.yaml", cwd=tmp_path)
    assert "nowhere.yaml" in told
    assert "No such file" in told


@pytest.mark.parametrize("kind", ["folder", "loop"])
def test_a_file_that_can_t_be_read_is_named(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "settings.yaml"
    if kind == "folder":
        path.mkdir()
    else:
        path.symlink_to(path)
    assert "settings.yaml" in refused("--config=settings.yaml", cwd=tmp_path)


def test_a_link_that_leads_nowhere_is_not_passed_over(tmp_path: Path) -> None:
    (tmp_path / DEFAULT_NAME).symlink_to("nowhere.yaml")
    assert DEFAULT_NAME in refused(cwd=tmp_path)


SELDOM = f"{STARTING}; reload.LOOK_MS = 3_600_000; main()"


@pytest.mark.parametrize("name", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_mock_that_watches_a_file_promptly(file: Path, name: signal.Signals) -> None:
    """Without a further look at the file, which here would come in an hour."""
    with serving("--quiet", command=[here("python"), "-c", SELDOM], cwd=file.parent) as live:

        def is_watched() -> bool:
            file.write_text("seed: 2\n")  # again and again: none is looked for that came before the watch
            time.sleep(2 * PAUSE)
            return bool(status(live)["seed"] == 2)

        until(is_watched)
        code, _ = live.stop(name)
        assert (code, live.log.read_text()) == (0, "")


# The watcher by itself.


class Noting(Service):
    """A mock that notes each of its settings."""

    noted: list[Settings]

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "settings":
            self.__dict__.setdefault("noted", []).append(value)
        super().__setattr__(name, value)


@contextlib.asynccontextmanager
async def watching(what: Path | Source) -> AsyncIterator[Noting]:
    source = what if isinstance(what, Source) else Source(str(what))
    plain = service_of(source)
    service = Noting(plain.settings, plain.file)
    task = asyncio.create_task(watch(source, service))
    try:
        yield service
    finally:
        task.cancel()
        await asyncio.wait((task,))


async def eventually(holds: Callable[[], bool]) -> None:
    """As `until`, while the event loop goes on."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, "it never came to that"
        await asyncio.sleep(0.01)


def test_what_was_saved_before_the_watch_began_is_seen(file: Path) -> None:
    async def play() -> None:
        async with watching(file) as service:
            file.write_text("seed: 2\n")  # the watcher had no time to look at all
            await eventually(lambda: service.settings.seed == 2)

    asyncio.run(play())


GAP = 0.02
"""Seconds for which a file is empty while it is saved."""
LATE = 0.05


def has_seed(service: Service, seed: int) -> bool:
    return service.settings.seed == seed


def test_a_file_that_is_emptied_and_then_written_is_never_empty_in_force(file: Path) -> None:
    """As many programs save: the file is truncated, and its text comes a moment later."""

    async def play() -> list[int]:
        async with watching(file) as service:
            seed, written = 1, 0
            await asyncio.sleep(0.3)
            while written < 5:
                seed += 1
                started = time.monotonic()
                with file.open("w") as saving:
                    await asyncio.sleep(GAP)
                    saving.write(f"seed: {seed}\n")
                    saving.flush()
                if time.monotonic() - started > LATE:
                    service.noted.clear()  # the machine is slow: this was no moment
                    continue
                written += 1
                await eventually(partial(has_seed, service, seed))
            return [settings.seed for settings in service.noted]

    assert 0 not in asyncio.run(play())


def test_a_file_that_is_touched_is_not_read_again(file: Path) -> None:
    async def play() -> None:
        async with watching(file) as service:
            await asyncio.sleep(0.3)
            os.utime(file)
            file.with_name("other").write_text("seed: 9\n")
            file.write_text("seed: 2\n")
            await eventually(lambda: service.settings.seed == 2)
            assert service.file.loads == 2

    asyncio.run(play())


def test_the_mock_knows_what_is_wrong_with_its_file(file: Path) -> None:
    async def play() -> None:
        async with watching(file) as service:
            file.write_text(BAD)
            await eventually(lambda: len(service.file.problems) == len(MISTAKES))
            file.unlink()
            await eventually(lambda: service.file.missing)
            assert service.settings == Settings(seed=1)
            file.mkdir()
            await eventually(lambda: "Is a directory" in str(service.file.problems))
            file.rmdir()
            file.write_text("seed: 3\n")
            await eventually(partial(has_seed, service, 3))
            assert (service.file.problems, service.file.missing) == ((), False)

    asyncio.run(play())


@pytest.mark.parametrize("kind", UNFIT)
def test_what_is_no_readable_file_is_told_once_and_changes_nothing(
    file: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    make, told = UNFIT[kind]

    async def play() -> None:
        async with watching(file) as service:
            file.unlink()
            make(file)
            await eventually(lambda: told in str(service.file.problems))
            await asyncio.sleep(3 * reload.LOOK_MS / 1000)
            assert service.settings == Settings(seed=1)
            assert not service.file.missing
            file.rmdir() if kind == "folder" else file.unlink()
            file.write_text("seed: 2\n")
            await eventually(partial(has_seed, service, 2))
            assert service.file.problems == ()

    asyncio.run(play())
    assert [told in message for message in caplog.messages].count(True) == 1


class Holding:
    """Does what a function does, but not before it may; knows how many do it at once."""

    def __init__(self, work: Callable[..., Any]) -> None:
        self.work = work
        self.begun, self.may = threading.Event(), threading.Event()
        self.inside = self.most = 0

    def __call__(self, *values: Any) -> Any:
        self.inside += 1
        self.most = max(self.most, self.inside)
        self.begun.set()
        assert self.may.wait(PATIENCE)
        self.inside -= 1
        return self.work(*values)


@pytest.mark.parametrize("stage", ["reading", "parsing"])
def test_requests_go_on_while_a_file_is_read(file: Path, stage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long that takes; and the newest file is in force in the end."""
    name = "read_file_again" if stage == "reading" else "read_config"

    async def play() -> None:
        async with watching(file) as service:
            held = Holding(getattr(reload, name))
            monkeypatch.setattr(reload, name, held)
            file.write_text("seed: 2\n")
            await eventually(held.begun.is_set)
            for seed in (3, 4):
                file.write_text(f"seed: {seed}\n")
                await asyncio.sleep(reload.LOOK_MS / 1000)
            assert service.settings.seed == 1
            held.may.set()
            await eventually(partial(has_seed, service, 4))
            assert held.most == 1

    asyncio.run(play())


def test_the_end_waits_for_no_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system that doesn't answer keeps no process alive."""

    async def play() -> Holding:
        async with watching(file):
            held = Holding(read_file_again)
            monkeypatch.setattr(reload, "read_file_again", held)
            await eventually(held.begun.is_set)
        return held

    held = asyncio.run(play())
    assert held.inside == 1
    assert all(each.daemon for each in threading.enumerate() if each.name == "openpipe-mock config")
    held.may.set()


def test_the_other_name_is_told_once_and_the_file_stays_in_use(
    file: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(file.parent)
    other = Path("openpipe-mock.yml")
    told = (
        "openpipe-mock.yml is not read, as openpipe-mock.yaml was found at the start;"
        " keep one of them, a start with both is refused"
    )

    async def play() -> None:
        source = Source.from_flag(None, {})
        async with watching(source) as service:
            other.write_text("seed: 9\n")
            await eventually(lambda: told in caplog.messages)
            for seed in (2, 3):
                file.write_text(f"seed: {seed}\n")
                await eventually(partial(has_seed, service, seed))
            assert service.file.problems == ()

    asyncio.run(play())
    assert caplog.messages.count(told) == 1
    with pytest.raises(TwoFiles):
        Source.from_flag(None, {})
    assert Source.from_flag(other, {}) == Source("openpipe-mock.yml")


def test_a_named_file_has_no_rival(
    file: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(file.parent)
    file.with_name("openpipe-mock.yml").write_text("seed: 9\n")

    async def play() -> None:
        async with watching(Source.from_flag(Path(file.name), {})) as service:
            file.write_text("seed: 2\n")
            await eventually(partial(has_seed, service, 2))

    asyncio.run(play())
    assert caplog.messages == []


def test_a_folder_that_is_made_again_is_watched_again(file: Path) -> None:
    folder = file.parent / "settings"
    folder.mkdir()
    inner = folder / file.name
    inner.write_text("seed: 1\n")

    async def play() -> None:
        async with watching(inner) as service:
            await asyncio.sleep(0.3)
            for seed in (2, 3):
                shutil.rmtree(folder)
                await eventually(lambda: service.file.missing)
                folder.mkdir()
                inner.write_text(f"seed: {seed}\n")
                await eventually(partial(has_seed, service, seed))
            inner.write_text("seed: 4\n")
            await eventually(partial(has_seed, service, 4))

    asyncio.run(play())


def test_a_defect_is_told_and_does_not_end_the_watch(
    file: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def defective(source: Source, data: bytes) -> Settings:
        if b"seed: 2" in data:
            raise ArithmeticError("nobody thought of this")
        return plain(source, data)

    plain = Source.settings

    async def play() -> None:
        async with watching(file) as service:
            monkeypatch.setattr(Source, "settings", defective)
            file.write_text("seed: 2\n")
            await eventually(lambda: "a defect of the mock" in str(service.file.problems))
            assert service.settings == Settings(seed=1)
            file.write_text("seed: 3\n")
            await eventually(partial(has_seed, service, 3))
            assert service.file.problems == ()

    asyncio.run(play())
    assert "nobody thought of this" in caplog.text


def test_a_number_beyond_json_is_a_mistake_like_others(file: Path) -> None:
    async def play() -> None:
        async with watching(file) as service:
            file.write_text("seed: .inf\n")
            await eventually(lambda: "/seed: .inf is no number" in str(service.file.problems))

    asyncio.run(play())


def test_without_a_file_a_mock_has_what_its_flags_say() -> None:
    service = service_of(Source(given={"seed": 4}))
    assert service.settings == Settings(seed=4)
    assert (service.file.path, service.file.loads) == ("", 0)
