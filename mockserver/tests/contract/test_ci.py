"""The recipe in docs/ci.md and the action: both are YAML, and name options, inputs and pages that exist."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from openpipe_mock.cli.contract import contract_command
from tests.environments import ROOT, here
from tests.live import Live

Json = Any
PAGE = ROOT / "docs" / "ci.md"
ACTION = ROOT / ".github" / "actions" / "contract" / "action.yml"
FENCED = re.compile(r"```yaml\n(.*?)```", re.DOTALL)
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")


def blocks() -> list[Json]:
    """The YAML of the page, each part as a value."""
    return [yaml.safe_load(text) for text in FENCED.findall(PAGE.read_text("utf-8"))]


def action() -> Json:
    return yaml.safe_load(ACTION.read_text("utf-8"))


def scripts(steps: list[Json]) -> dict[str, str]:
    """The shell scripts of the steps that have a name and speak of the suite."""
    named = {step["name"]: step.get("run", "") for step in steps if "name" in step}
    return {name: script for name, script in named.items() if "openpipe-mock" in script}


def options_of(script: str) -> set[str]:
    """The options that a script gives to the suite."""
    commands = re.findall(r"contract .*", script.replace("\\\n", " "))
    return {option for command in commands for option in OPTION.findall(command)}


KNOWN = {flag for parameter in contract_command.params for flag in parameter.opts}


def test_each_option_of_the_recipe_exists() -> None:
    [script] = scripts(blocks()[0]["jobs"]["contract"]["steps"]).values()
    assert options_of(script) >= {"--baseline", "--junit", "--html", "--json", "--summary"}
    assert options_of(script) - KNOWN == set()


def test_each_option_of_the_action_exists() -> None:
    script = scripts(action()["runs"]["steps"])["Judge the server"]
    given = {*OPTION.findall(script)}
    assert given >= {"--baseline", "--known", "--junit", "--html", "--json", "--summary"}
    assert given - KNOWN == set()


def test_the_page_uses_the_action_as_it_is() -> None:
    [step] = next(block for block in blocks() if isinstance(block, list))
    made = action()
    assert (ROOT / step["uses"].removeprefix("./openpipe-mock/") / "action.yml").samefile(ACTION)
    assert set(step["with"]) <= set(made["inputs"])
    assert {*OPTION.findall(step["with"]["options"])} - KNOWN == set()
    required = {name for name, said in made["inputs"].items() if said.get("required")}
    assert required <= set(step["with"])
    rows = re.findall(r"^\| (`.*?) \|", PAGE.read_text("utf-8"), re.MULTILINE)
    assert {name for row in rows for name in re.findall(r"`([\w-]+)`", row)} == set(made["inputs"])


def test_inputs_come_to_the_shell_by_its_environment_alone() -> None:
    """What is put into a script's text would be read as its text."""
    assert [step["run"] for step in action()["runs"]["steps"] if "${{" in step.get("run", "")] == []


@pytest.mark.slow
def test_the_action_s_script_judges_a_server_and_writes_each_report(live: Live, tmp_path: Path) -> None:
    tool = tmp_path / "openpipe-mock" / "bin" / "openpipe-mock"
    tool.parent.mkdir(parents=True)
    tool.symlink_to(here("openpipe-mock"))
    environment = {
        "PATH": "/usr/bin:/bin",
        "RUNNER_TEMP": str(tmp_path),
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md"),
        "URL": live.base_url,
        "OPTIONS": "--only criteria.sorted --only chat.ch*",
        "BASELINE": "no-such-file.json",
        "KNOWN": "",
        "REPORTS": "reports",
    }
    script = scripts(action()["runs"]["steps"])["Judge the server"]
    command = ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c", script]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert {path.name for path in (tmp_path / "reports").iterdir()} == {
        "contract.xml",
        "contract.html",
        "contract.json",
    }
    assert "The contract is kept" in (tmp_path / "summary.md").read_text("utf-8")
    judged = json.loads((tmp_path / "reports" / "contract.json").read_text("utf-8"))
    assert judged["verdict"] == "kept"
