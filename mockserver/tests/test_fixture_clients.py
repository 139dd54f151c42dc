"""The fixtures with real clients, in test runs where those are installed: see `clients/python-fixtures-*`."""

import subprocess
from pathlib import Path

import pytest

from tests.environments import ROOT, TESTS, installed
from tests.live import INSTALLING, TRUSTING_NOBODY, clean

pytestmark = pytest.mark.slow

CLIENTS = TESTS / "clients"
SCRIPTS = sorted(CLIENTS.glob("python-fixtures-*/check_*.py"))


def finished(environment: str, *arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    """A test run in a client's environment."""
    command = [installed(environment, "python"), "-m", "pytest", "-q", *arguments]
    variables = clean({"PYTHONDONTWRITEBYTECODE": "1", **TRUSTING_NOBODY})
    return subprocess.run(
        command,
        env=variables,
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
        timeout=INSTALLING,
        check=False,
    )


def test_the_scripts_are_found() -> None:
    assert [script.stem for script in SCRIPTS] == [
        "check_leaks",
        "check_litellm",
        "check_other_guards",
        "check_neighbours",
        "check_openai",
        "check_tasks",
        "check_tracers",
        "check_openpipe",
    ]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_a_client_with_the_fixtures(script: Path) -> None:
    """As its users test: sync and async, by all libraries, under faults, beside other tools."""
    environment = script.parent.name.removeprefix("python-")
    done = finished(environment, "-p", "openpipe_mock.fixtures", "-c", CLIENTS / "fixtures.ini", script)
    assert done.returncode == 0, done.stdout
