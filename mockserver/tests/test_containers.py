"""The Dockerfile and compose.yaml, taken at their word: no image is built, but each command in them is run.

The image's folders lie in a folder of the test; its user has the same number, may read all, write nothing.
"""

import contextlib
import fnmatch
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.environments import ROOT
from tests.live import PATIENCE, Live, finished, until_ready
from tests.redises import Redis, free_port, redis_server

pytestmark = pytest.mark.slow

DOCUMENT = ROOT / "docs" / "containers.md"
COMPOSE: Mapping[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
MOCK, REDIS = COMPOSE["services"]["mock"], COMPOSE["services"]["redis"]


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions, each with what it says."""
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(name, " ".join(rest.split())) for name, _, rest in (line.partition(" ") for line in lines)]


def said(name: str) -> str:
    """What the last instruction of this name says."""
    return [rest for each, rest in instructions() if each == name][-1]


def environment() -> dict[str, str]:
    """What ENV sets."""
    return dict(pair.split("=", 1) for pair in shlex.split(said("ENV")))


def user() -> list[str]:
    """What runs a command as the image's user: without capabilities, but for that of reading what is ours."""
    number, group = said("USER").split(":")
    if os.getuid():
        return []  # whoever runs the tests is no root either
    reading = ["--inh-caps=-all,+dac_read_search", "--ambient-caps=+dac_read_search"]
    setpriv = shutil.which("setpriv")
    assert setpriv, "setpriv is missing; on Debian it is in the package util-linux"
    return [setpriv, f"--reuid={number}", f"--regid={group}", "--clear-groups", *reading]


# The build.


def ignored(path: str) -> bool:
    """Whether .dockerignore leaves a path out: the last line that fits counts."""
    out = False
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        pattern = line.removeprefix("!")
        parts = path.split("/")
        heads = ["/".join(parts[: count + 1]) for count in range(len(parts))]
        anywhere = pattern.startswith("**/") and pattern[3:] in parts
        fits = anywhere or any(fnmatch.fnmatch(head, pattern) for head in heads)
        if fits and not line.startswith("#"):
            out = not line.startswith("!")
    return out


def copied(folder: Path) -> None:
    """`COPY . .`: what git knows or would know of this checkout, without what is ignored."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    ).stdout
    for name in listed.splitlines():
        if not ignored(name) and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)


@pytest.fixture(scope="module")
def image() -> Iterator[Path]:
    """The image's root, once each RUN line was run; what the mock needs comes from the tests' environment."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    try:
        source = folder / "source"
        source.mkdir()
        copied(source)
        packages = sysconfig.get_path("purelib")
        offline = {"PIP_NO_DEPS": "1", "PIP_NO_BUILD_ISOLATION": "0", "PIP_NO_INDEX": "1"}
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        for name, line in instructions():
            if name == "RUN":
                command = line.replace("/opt/", f"{folder}/opt/")
                done = finished(
                    ["sh", "-euc", command], {**offline, "PATH": path, "PYTHONPATH": packages}, cwd=source
                )
                assert done.returncode == 0, done.stderr
        [site] = (folder / "opt" / "mock" / "lib").glob("python*/site-packages")
        (site / "dependencies.pth").write_text(f"{packages}\n")
        shutil.rmtree(source)
        (folder / "config").mkdir()
        yield folder
    finally:
        shutil.rmtree(folder)


@contextlib.contextmanager
def running(image: Path, command: Sequence[str], settings: Mapping[str, str] | None = None) -> Iterator[Live]:
    """What the entry point starts in the image, as its user, in its working folder."""
    ready, port = Path(tempfile.mkdtemp()) / "ready.json", free_port()
    ready.parent.chmod(0o777)
    log = ready.with_name("log")
    steering = {"OPENPIPE_MOCK_PORT": str(port), "OPENPIPE_MOCK_READY_FILE": str(ready)}
    words = [*json.loads(said("ENTRYPOINT")), *command]
    inside = {**environment(), **(settings or {}), **steering}
    inside["PATH"] = inside["PATH"].replace("/opt/", f"{image}/opt/")
    program = shutil.which(words[0], path=inside["PATH"])
    assert program is not None
    assert program.startswith(str(image)), "the entry point is not the image's"
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            [*user(), program, *words[1:]],
            cwd=f"{image}{said('WORKDIR')}",
            env=inside,
            stderr=stderr,
        )
    try:
        facts = until_ready(process, ready, log)
        yield Live(process, facts["base_url"], facts["control_url"], log)
        process.send_signal(getattr(signal, said("STOPSIGNAL")))
        assert process.wait(PATIENCE) == 0, log.read_text()
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(ready.parent)


def healthy(live_port: int) -> bool:
    """What the health check says of a port."""
    command: list[str] = json.loads(said("HEALTHCHECK").partition(" CMD ")[2])
    assert command[0] == "python"
    inside = {"OPENPIPE_MOCK_PORT": str(live_port), "HTTP_PROXY": "http://127.0.0.1:9", "http_proxy": "x"}
    return finished([*user(), sys.executable, *command[1:]], inside).returncode == 0


# The Dockerfile.


def test_the_image_runs_as_a_user_who_is_not_root_and_by_number() -> None:
    number, group = map(int, said("USER").split(":"))
    assert number >= 1000
    assert group >= 1000
    names = [name for name, _ in instructions()]
    assert names.index("USER") < names.index("ENTRYPOINT")
    assert "RUN" not in names[names.index("USER") :]


def test_the_image_exposes_the_port_that_is_the_default() -> None:
    from openpipe_mock.cli.serve import serve_command

    [port] = [parameter.default for parameter in serve_command.params if parameter.name == "port"]
    assert said("EXPOSE") == str(port)


def test_what_goes_into_the_build_is_what_the_wheel_needs() -> None:
    for name in (
        "pyproject.toml",
        "README.md",
        "LICENSE",
        "mockserver/openpipe_mock/cli.py",
        "schemas/openapi.yaml",
    ):
        assert not ignored(name), name
    for name in (".git/config", ".venv/bin/python", ".cache/x", "mockserver/tests/live.py", "secrets.env"):
        assert ignored(name), name
    assert ignored("mockserver/openpipe_mock/__pycache__/x.pyc")


def test_the_image_serves_is_healthy_and_ends_on_its_signal(image: Path) -> None:
    with running(image, json.loads(said("CMD"))) as live:
        port = live.address[1]
        assert healthy(port)
        body = {"criterion_id": "helpful", "output": {"role": "assistant", "content": "1, 2, 3"}}
        key = {"Authorization": "Bearer x"}
        assert httpx.post(f"{live.base_url}/criteria/judge", json=body, headers=key).status_code == 200
        assert "It listens on 0.0.0.0" in live.log.read_text()
        if not os.getuid():
            status = Path(f"/proc/{live.process.pid}/status").read_text()
            assert f"Uid:\t{said('USER').split(':')[0]}" in status
    assert not healthy(port)
    assert list((image / "config").iterdir()) == []


def test_the_image_takes_the_file_that_lies_in_its_working_folder(image: Path) -> None:
    file = image / "config" / "openpipe-mock.yaml"
    file.write_text("seed: 41\n")
    try:
        with running(image, json.loads(said("CMD"))) as live:
            assert httpx.get(f"{live.control_url}/health").json()["seed"] == 41
    finally:
        file.unlink()


def test_the_image_has_the_extra_that_it_asks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = [line for name, line in instructions() if name == "RUN"]
    assert re.findall(r"\.\[(\w+)\]", " ".join(lines)) == ["redis"]
    assert "redis" in project["optional-dependencies"]


# compose.yaml.


@pytest.fixture
def redis() -> Iterator[Redis]:
    """The Redis of compose.yaml, by its own command."""
    program, *flags = REDIS["command"]
    assert program == "redis-server"
    with redis_server(*flags) as server:
        yield server


def test_the_composed_services_work_together(image: Path, redis: Redis) -> None:
    health = REDIS["healthcheck"]["test"]
    assert health[0] == "CMD"
    assert finished([health[1], "-p", str(redis.port), *health[2:]]).stdout == "PONG\n"
    settings = {name: str(value) for name, value in MOCK["environment"].items()}
    assert "//redis:6379/" in settings["OPENPIPE_MOCK_STATE"]
    settings["OPENPIPE_MOCK_STATE"] = redis.url
    with running(image, MOCK["command"], settings) as live:
        control = f"{live.control_url}/criteria/flaky"
        assert httpx.put(control, json={"sequence": [0.1, 0.2]}).status_code == 200
        strange = {"Host": "mock:6736", "X-Forwarded-For": "172.18.0.5"}
        assert httpx.get(f"{live.control_url}/status", headers=strange).status_code == 200
        outside = {"X-Forwarded-For": "203.0.113.9"}
        assert httpx.get(f"{live.control_url}/status", headers=outside).status_code == 403
        assert b"flaky" in redis.contents()


def test_the_composed_mock_may_do_little() -> None:
    assert MOCK["read_only"] is True
    assert MOCK["cap_drop"] == ["ALL"]
    assert MOCK["depends_on"]["redis"]["condition"] == "service_healthy"
    assert MOCK["ports"] == [f"127.0.0.1:{said('EXPOSE')}:{said('EXPOSE')}"], "this machine alone reaches it"
    assert "ports" not in REDIS


# docs/containers.md.


def test_each_variable_that_the_document_names_exists() -> None:
    text = finished([sys.executable, "-m", "openpipe_mock", "serve", "--help"], {"COLUMNS": "200"}).stdout
    ours = set(re.findall("OPENPIPE_MOCK_[A-Z_]+", DOCUMENT.read_text()))
    assert ours
    assert {name for name in ours if name not in text} == set()


def test_the_document_says_that_images_are_not_built_here() -> None:
    assert "no image is built" in DOCUMENT.read_text()
