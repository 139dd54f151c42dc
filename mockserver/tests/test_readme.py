"""The README, taken at its word: each of its code blocks is run, and each of its links leads somewhere."""

import contextlib
import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from openpipe_mock.cli.main import main
from openpipe_mock.cli.serve import serve_command
from openpipe_mock.core.resources import SOURCE
from tests.chatclients import CLIENTS
from tests.environments import ROOT, here, installed, node_modules, path_into
from tests.live import INSTALLING, PATIENCE, Live, clean, finished, run, serving, until_ready
from tests.markdown import Block, blocks

README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = {block.code.split()[0]: block for block in blocks(README)}
"""By their first words."""


def default(flag: str) -> object:
    return next(parameter.default for parameter in serve_command.params if parameter.name == flag)


ORIGIN = f"http://{default('host')}:{default('port')}"


def test_each_block_of_the_readme_is_run() -> None:
    """The one that holds a test with the clients' own tests, all others below."""
    assert len(list(blocks(README))) == len(BLOCKS)
    known = "make export from 0.02 import Moss // curl pip answers: def openpipe-mock"
    assert set(BLOCKS) == set(known.split())


@contextlib.contextmanager
def running(block: Block, environment: dict[str, str], folder: Path) -> Iterator[str]:
    """A block that installs and serves until Ctrl-C: its base URL, steered to a free port by variables."""
    ready, log = folder / "ready.json", folder / "log"
    steering = {"OPENPIPE_MOCK_PORT": "0", "OPENPIPE_MOCK_READY_FILE": str(ready)}
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["sh", "-euc", block.code],
            cwd=ROOT,
            env=clean({**environment, **steering}),
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield until_ready(process, ready, log, INSTALLING)["base_url"]
        os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C does, to make and shell too
        process.wait(PATIENCE)
        assert not ready.exists()
        assert "Error" not in log.read_text()
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.mark.slow
def test_make_serve_serves_until_ctrl_c(tmp_path: Path) -> None:
    with running(BLOCKS["make"], {}, tmp_path) as base_url:
        assert httpx.get(f"{base_url.removesuffix('/api/v1')}/_mock/health").status_code == 200


@pytest.mark.slow
def test_the_package_installs_and_serves(tmp_path: Path) -> None:
    """In a new environment, from this checkout."""
    environment = tmp_path / "environment"
    run([here("python"), "-m", "venv", "--without-pip", environment])
    path = path_into(environment, tmp_path / "commands")
    install, serve = BLOCKS["pip"].code.replace(SOURCE, str(ROOT)).splitlines()
    run(["sh", "-euc", install], {"PATH": path, "PIP_NO_COMPILE": "1"}, cwd=tmp_path)
    with running(Block("sh", serve), {"PATH": path}, tmp_path) as base_url:
        assert httpx.get(f"{base_url.removesuffix('/api/v1')}/_mock/health").status_code == 200


def test_the_exports_name_the_default_address() -> None:
    for name in ("OPENPIPE_BASE_URL", "OPENAI_BASE_URL"):
        assert f"export {name}={ORIGIN}/api/v1\n" in BLOCKS["export"].code
    assert f"<{ORIGIN}/>" in README


@pytest.fixture(scope="module")
def printed(live: Live, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What the scripts for the Python client print, led by the exports; the client is imported once."""
    scripts = [tmp_path_factory.mktemp("scripts") / name for name in ("judge.py", "best.py")]
    for script, block in zip(scripts, ("from", "import"), strict=True):
        script.write_text(BLOCKS[block].code)
    exports = BLOCKS["export"].code.replace(ORIGIN, live.origin)
    asked = json.dumps([({}, [str(script)]) for script in scripts])
    python = f'"{installed("openpipe", "python")}" "{CLIENTS / "in_turn.py"}" "$1"'
    found: list[str] = json.loads(run(["sh", "-euc", f"{exports}\n{python}", "sh", asked]))
    return found


@pytest.mark.slow
def test_the_exports_lead_the_python_client_to_the_judgement_that_is_shown(printed: list[str]) -> None:
    assert printed[0] == BLOCKS["0.02"].code


@pytest.mark.slow
def test_the_exports_lead_the_python_client_to_the_best_of_n_that_is_shown(printed: list[str]) -> None:
    assert printed[1] == BLOCKS["Moss"].code


@pytest.mark.slow
def test_the_exports_lead_the_node_client_to_the_same_best_of_n(live: Live, tmp_path: Path) -> None:
    script = tmp_path / "best.mjs"
    script.write_text(BLOCKS["//"].code)
    (tmp_path / "node_modules").symlink_to(node_modules())
    exports = BLOCKS["export"].code.replace(ORIGIN, live.origin)
    content, score = run(["sh", "-euc", f'{exports}\nnode "$1"', "sh", script]).splitlines()
    shown, scores = BLOCKS["Moss"].code.splitlines()
    assert (content, f"'helpful': {score}" in scores) == (shown, True)


def test_the_exports_lead_curl_to_a_judgement(live: Live) -> None:
    exports = BLOCKS["export"].code.replace(ORIGIN, live.origin)
    printed = run(["sh", "-euc", f"{exports}\n{BLOCKS['curl'].code}"])
    assert re.fullmatch(r'\{"score":(0\.\d+|1\.0),"explanation":"[^"]+"\}', printed)


@pytest.mark.slow
def test_the_config_decides_what_is_answered(tmp_path: Path) -> None:
    (tmp_path / "openpipe-mock.yaml").write_text(BLOCKS["answers:"].code)
    chat = {"model": "openai:x", "messages": [{"role": "user", "content": "The weather?"}], "n": 2}
    judge = {"criterion_id": "helpful", "output": {"role": "assistant", "content": "It is sunny."}}
    with serving("--quiet", cwd=tmp_path) as mock, httpx.Client(base_url=mock.base_url) as client:
        client.headers["authorization"] = "Bearer op-local"
        assert client.post("/criteria/judge", json=judge).json() == {
            "score": 0.9,
            "explanation": "It does what was asked.",
        }
        assert (
            client.post("/criteria/judge", json={**judge, "criterion_id": "concise"}).json()["score"] == 1.0
        )
        assert client.post("/criteria/judge", json={**judge, "criterion_id": "other"}).status_code == 404
        answers = [client.post("/chat/completions", json=chat) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200, 200, 429]
        assert answers[2].headers["retry-after"] == "1"
        said = [choice["message"]["content"] for choice in answers[0].json()["choices"]]
        assert said == ["It is sunny.", "I don't know."]


def test_the_contract_is_kept_by_the_mock_itself(live: Live) -> None:
    command = BLOCKS["openpipe-mock"].code.replace(ORIGIN, live.origin).split()
    done = finished([here(command[0]), *command[1:]])
    assert done.returncode == 0, done.stderr
    assert "The contract is kept." in done.stdout


@pytest.mark.parametrize("target", re.findall(r"\]\((?!https?:)([^)#]+)", README))
def test_each_link_into_the_repository_leads_somewhere(target: str) -> None:
    assert (ROOT / target).exists()


@pytest.mark.parametrize("flag", sorted(set(re.findall(r"[` ](--[a-z][\w-]+)", README))))
def test_each_flag_in_the_readme_exists(flag: str) -> None:
    commands = [serve_command, *main.commands.values()]
    known = {name for command in commands for parameter in command.params for name in parameter.opts}
    assert flag in {"--help", *known}


@pytest.fixture(scope="module")
def make_help() -> str:
    return run(["make", "help"], cwd=ROOT)


@pytest.mark.slow
@pytest.mark.parametrize("target", sorted(set(re.findall(r"`make (\w+)`", README))))
def test_each_make_target_in_the_readme_exists(target: str, make_help: str) -> None:
    assert f"make {target} " in make_help
