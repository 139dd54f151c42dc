"""`openpipe-mock generate`: the same lines for the same seed, each of them true."""

import json
import subprocess
import sys
from typing import Any

import pytest
from click.testing import CliRunner

from openpipe_mock import __version__
from openpipe_mock.cli.generate import generate
from openpipe_mock.config.settings import Settings
from openpipe_mock.openapi.endpoints import BASE
from openpipe_mock.openapi.spec import contract
from openpipe_mock.payloads.edits import edits
from openpipe_mock.payloads.valid import REQUEST_COMPONENTS, positives
from openpipe_mock.payloads.vectors import requests
from openpipe_mock.service.service import Service
from tests.inprocess import JUDGE, answer
from tests.live import clean, run

Json = Any

PATHS = {"judge": JUDGE, "chat": f"{BASE}/chat/completions"}
COMMAND = [sys.executable, "-c", "from openpipe_mock.cli.generate import generate; generate()"]


def printed(*arguments: str) -> list[Json]:
    """The lines of the command, the header first."""
    done = CliRunner().invoke(generate, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.slow
@pytest.mark.parametrize("endpoint", sorted(REQUEST_COMPONENTS))
@pytest.mark.parametrize("kind", ["--valid", "--invalid"])
def test_each_line_is_true_and_our_server_agrees(endpoint: str, kind: str) -> None:
    check = contract().checker(REQUEST_COMPONENTS[endpoint])
    service = Service(Settings(validation="exact"))
    _, *lines = printed(endpoint, kind, "--count", "300", "--seed", "7")
    assert len(lines) == 300
    for line in lines:
        assert line["valid"] is (kind == "--valid") is check.is_valid(line["body"])
        seen = [(violation.pointer, violation.rule) for violation in check.violations(line["body"])]
        assert seen == ([] if line["valid"] else [(line["pointer"], line["rule"])])
        assert answer(service, line["body"], path=PATHS[endpoint]).status == (200 if line["valid"] else 400)


def test_a_line_has_the_fields_of_the_files_and_an_id_of_its_own() -> None:
    _, *lines = printed("judge", "--count", "200")
    assert {tuple(line) for line in lines} == {tuple(next(requests("judge")))}
    assert len({line["id"] for line in lines}) == 200


def test_the_bodies_differ() -> None:
    _, *lines = printed("chat", "--count", "200")
    assert len({json.dumps(line["body"]) for line in lines}) > 190


def test_everything_comes_once_before_it_comes_again() -> None:
    _, *lines = printed("judge", "--invalid", "--count", str(len(edits("judge")) + 5))
    names = [line["id"].partition("#")[0] for line in lines]
    assert sorted(names[:-5]) == sorted(edit.name for edit in edits("judge"))
    assert names[-5:] != names[:5]
    _, *lines = printed("judge", "--count", str(len(positives("judge"))))
    assert len({line["id"].partition("#")[0] for line in lines}) == len(lines)


def test_another_seed_gives_others_and_a_count_only_cuts() -> None:
    assert printed("chat", "--count", "5", "--seed", "1")[1:] != printed("chat", "--count", "5")[1:]
    assert printed("chat", "--count", "5")[1:] == printed("chat", "--count", "9")[1:6]


def test_the_header_names_the_command_and_what_the_seed_depends_on() -> None:
    (header,) = printed("chat", "--invalid", "--count", "0", "--seed", "-3")
    assert header["comment"] == "openpipe-mock generate chat --invalid --count 0 --seed -3"
    assert header["repeats_with"]["openpipe-mock"] == __version__
    assert set(header["repeats_with"]) == {"openpipe-mock", "contract"}
    assert len(printed("judge")) == 11


@pytest.mark.slow
def test_the_lines_are_the_same_in_another_process_with_other_modules_and_hashes() -> None:
    arguments = ["chat", "--invalid", "--count", "40", "--seed", "5"]
    other = f"import hypothesis, random; random.seed(1); {COMMAND[-1]}"
    found = {
        run([*COMMAND, *arguments], {"PYTHONHASHSEED": "1"}),
        run([*COMMAND, *arguments], {"PYTHONHASHSEED": "2"}),
        run([sys.executable, "-c", other, *arguments]),
        CliRunner().invoke(generate, arguments).stdout,
    }
    assert len(found) == 1


@pytest.mark.slow
def test_it_needs_no_hypothesis() -> None:
    code = "import sys, openpipe_mock.payloads.vectors; print('hypothesis' in sys.modules)"
    assert run([sys.executable, "-c", code]) == "False\n"


@pytest.mark.slow
def test_a_reader_that_leaves_ends_it_calmly() -> None:
    with subprocess.Popen(
        [*COMMAND, "judge", "--count", "100000"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=clean()
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().startswith(b'{"comment"')
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


def test_the_help_has_examples_that_run() -> None:
    told = CliRunner().invoke(generate, ["--help"]).stdout
    examples = [
        line.partition("|")[0].split() for line in told.splitlines() if "  openpipe-mock generate" in line
    ]
    assert len(examples) == 3
    for _, _, *arguments in examples:
        assert len(printed(*arguments)) > 20


@pytest.mark.parametrize("arguments", [["report"], ["judge", "--count", "-1"], ["judge", "--seed", "x"], []])
def test_a_wrong_use_is_explained(arguments: list[str]) -> None:
    done = CliRunner().invoke(generate, arguments)
    assert done.exit_code == 2
    assert "Error:" in done.stderr
