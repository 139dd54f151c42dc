"""`openpipe-mock config`: what it prints, and how it ends."""

import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from openpipe_mock.cli.main import main
from openpipe_mock.config.file import DEFAULT_FILE, FILE_NAMES, ConfigError, read_config
from tests.environments import ROOT

EXAMPLE = ROOT / "examples" / DEFAULT_FILE
BAD = "seed: x\ncriteria: {a: {scor: 1}}\n"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["config", *arguments])


def test_the_example_has_no_problem() -> None:
    result = run("check", str(EXAMPLE))
    assert (result.exit_code, result.output) == (0, f"{EXAMPLE}: no problem\n")


@pytest.mark.parametrize("name", FILE_NAMES)
def test_the_file_of_the_working_folder_is_checked_by_itself(here: Path, name: str) -> None:
    (here / name).write_text("seed: 1\n")
    result = run("check")
    assert (result.exit_code, result.output) == (0, f"{name}: no problem\n")


def test_of_two_files_in_the_working_folder_none_is_checked_unasked(here: Path) -> None:
    for name in FILE_NAMES:
        (here / name).write_text("seed: 1\n")
    result = run("check")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "openpipe-mock.yaml and openpipe-mock.yml are both here; remove openpipe-mock.yml" in result.stderr
    assert run("check", DEFAULT_FILE).exit_code == 0


def test_a_file_that_is_endless_is_not_read(here: Path) -> None:
    result = run("check", "/dev/zero")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "openpipe-mock: /dev/zero: it has more than 1 MiB" in result.stderr


def test_a_pipe_is_checked_as_a_file_is(here: Path) -> None:
    reading, writing = os.pipe()
    os.write(writing, BAD.encode())
    os.close(writing)
    result = run("check", f"/dev/fd/{reading}")
    os.close(reading)
    assert result.exit_code == 1
    assert result.output.startswith(f"/dev/fd/{reading}:1:1: /seed: expected")


def test_mistakes_are_printed_a_line_each(here: Path) -> None:
    (here / DEFAULT_FILE).write_text(BAD)
    result = run("check")
    assert result.exit_code == 1
    with pytest.raises(ConfigError) as caught:
        read_config(BAD.encode(), DEFAULT_FILE)
    assert result.output == f"{caught.value}\n"
    assert result.output.splitlines() == [
        f'{DEFAULT_FILE}:1:1: /seed: expected a whole number, got the string "x".',
        f'{DEFAULT_FILE}:2:16: /criteria/a/scor: unknown property in "a"; did you mean "score"?',
    ]


def test_scripts_behind_one_that_always_fires_are_warned_of(here: Path) -> None:
    always, calling = (
        "{text: a, when: {endpoint: chat}, name: all}",
        "{tool_calls: [{name: f, arguments: {}}]}",
    )
    some = "{text: c, when: {last_user: x}}"
    (here / DEFAULT_FILE).write_text(f"completions: [{calling}, {always}, {some}, {always}]\n")
    result = run("check")
    assert result.exit_code == 0
    told = "behind /completions/1 (all), which answers every chat request, no script fires"
    hidden = '"/completions/2" and "/completions/3 (all)"'
    assert result.output.splitlines() == [
        f"{DEFAULT_FILE}: warning: {told}: {hidden}. Move it to the end.",
        f"{DEFAULT_FILE}: no problem",
    ]
    (here / DEFAULT_FILE).write_text(f"completions: [{calling}, {some}, {always}]\n")
    assert run("check").output == f"{DEFAULT_FILE}: no problem\n"


def test_a_file_that_is_not_there_is_told_from_a_bad_one(here: Path) -> None:
    result = run("check")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == f"openpipe-mock: {DEFAULT_FILE}: No such file or directory\n"


def test_a_folder_is_no_file(here: Path) -> None:
    result = run("check", str(here))
    assert result.exit_code == 2
    assert "is a directory" in result.stderr


def test_the_example_is_printed_as_it_is_and_can_be_used_at_once(here: Path) -> None:
    result = run("example")
    assert (result.exit_code, result.stdout_bytes) == (0, EXAMPLE.read_bytes())
    (here / DEFAULT_FILE).write_bytes(result.stdout_bytes)
    assert run("check").exit_code == 0


def test_the_schema_is_printed_as_it_is() -> None:
    result = run("schema")
    shipped = (ROOT / "schemas" / "config.schema.json").read_bytes()
    assert (result.exit_code, result.stdout_bytes) == (0, shipped)


@pytest.mark.parametrize("command", ["check", "schema", "example"])
def test_each_command_has_help_with_an_example(command: str) -> None:
    result = run(command, "--help")
    assert result.exit_code == 0
    assert f"  openpipe-mock config {command}" in result.output
