"""Flags: what they take and say of what they don't, the variables that set them, what shells complete."""

from argparse import ArgumentParser
from collections.abc import Iterator

import click
import pytest
from click.shell_completion import CompletionItem, ShellComplete
from click.testing import CliRunner

from openpipe_mock import patched
from openpipe_mock.cli.main import main
from openpipe_mock.contract.options import OPTIONS, addoption_arguments
from openpipe_mock.core.wording import quoted
from tests.environments import ROOT

GONE = '"report" is gone: "lenient" answers as it did, and notes what stricter modes would refuse.'
README = (ROOT / "README.md").read_text("utf-8")


@pytest.mark.parametrize("command", [["serve"], ["exec", "--", "true"]])
@pytest.mark.parametrize("variable", [True, False])
def test_a_mode_that_is_gone_is_refused_with_the_way_out(command: list[str], variable: bool) -> None:
    name, *rest = command
    if variable:
        done = CliRunner().invoke(main, command, env={"OPENPIPE_MOCK_VALIDATION": "report"})
    else:
        done = CliRunner().invoke(main, [name, "--validation", "report", *rest])
    assert done.exit_code == 2
    assert GONE in done.stderr


def test_another_word_is_refused_with_those_that_there_are() -> None:
    done = CliRunner().invoke(main, ["serve", "--validation", "strickt"])
    assert done.exit_code == 2
    assert 'expected "strict", "exact" or "lenient", got "strickt".' in done.stderr


def test_a_fixture_says_the_same() -> None:
    with pytest.raises(ValueError, match="is gone") as caught:
        patched(validation="report")  # type: ignore[arg-type]
    assert GONE in str(caught.value)


# Any flag.


def commands(within: click.Command = main, *names: str) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command with the words that call it."""
    if isinstance(within, click.Group):
        for name, each in within.commands.items():
            yield from commands(each, *names, name)
    else:
        yield names, within


PARAMS = {
    f"{' '.join(names)} {param.name}": param for names, command in commands() for param in command.params
}


@pytest.mark.parametrize("name", PARAMS)
def test_whatever_a_flag_takes_it_refuses_in_plain_words(name: str) -> None:
    """Of click's own types only those are used that refuse nothing."""
    param = PARAMS[name]
    if isinstance(param.type, click.types.StringParamType | click.types.UnprocessedParamType):
        return
    if isinstance(param, click.Option) and (param.is_flag or param.count):
        return
    if isinstance(param.type, click.Path) and param.type.file_okay and param.type.dir_okay:
        return
    wrong = "/" if isinstance(param.type, click.Path) and param.type.file_okay else __file__
    with pytest.raises(click.BadParameter) as caught:
        param.type.convert(wrong, param, None)
    assert caught.value.message.startswith("expected ")
    assert caught.value.message.endswith((f", got {quoted(wrong)}.", " is a file.", " is a folder."))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["serve", "--port", "abc"], 'expected a whole number from 0 to 65535, got "abc".'),
        (["serve", "--port", "70000"], 'expected a whole number from 0 to 65535, got "70000".'),
        (["serve", "--max-body-bytes", "0"], 'expected a whole number of at least 1, got "0".'),
        (["serve", "--timing", "x"], 'expected a number from 0 to 100, got "x".'),
        (["serve", "--seed", "1.5"], 'expected a whole number, got "1.5".'),
        (["serve", "--on-end", "x"], 'expected "repeat" or "fail", got "x".'),
        (["serve", "--config", "/"], "expected a file, and / is a folder."),
        (["serve", "--cassette", __file__], f"expected a folder, and {__file__} is a file."),
        (["cassette", "ls", "/none"], "expected a folder, and /none isn't there."),
        (["contract", "http://a", "--rate", "x"], 'expected a number, got "x".'),
        (["contract", "http://a", "--jobs", "x"], 'expected a whole number, got "x".'),
        (["exec", "--jobs", "99", "--", "true"], 'expected a whole number from 1 to 64, got "99".'),
    ],
)
def test_a_wrong_value_is_told_in_plain_words(words: list[str], told: str) -> None:
    done = CliRunner().invoke(main, words)
    assert (done.exit_code, told in done.stderr) == (2, True), done.stderr


@pytest.mark.parametrize(
    ("flag", "value", "told"),
    [
        ("jobs", "x", "expected a whole number"),
        ("rate", "x", "expected a number"),
        ("endpoint", "x", 'expected "judge" or "chat"'),
    ],
)
def test_a_flag_of_the_suite_under_pytest_says_the_same(
    flag: str, value: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    parser = ArgumentParser()
    for each in OPTIONS:
        parser.add_argument(f"--openpipe-{each.name}", **addoption_arguments(each))
    assert parser.parse_args(["--openpipe-jobs", "4", "--openpipe-level", "sdk"]).openpipe_jobs == 4
    with pytest.raises(SystemExit):
        parser.parse_args([f"--openpipe-{flag}", value])
    assert capsys.readouterr().err.endswith(f'argument --openpipe-{flag}: {told}, got "{value}".\n')


@pytest.mark.parametrize("command", [["serve", "--workers", "2", "--on-miss", "upstream"], ["exec", "-h"]])
def test_a_variable_of_a_flag_is_known(command: list[str]) -> None:
    known = {"OPENPIPE_MOCK_PORT": "1", "OPENPIPE_MOCK_VARIANT": "", "OPENPIPE_MOCK_CONTROL_URL": "x"}
    assert "means nothing" not in CliRunner().invoke(main, command, env=known).stderr


@pytest.mark.parametrize(
    "command",
    [
        ["serve", "--workers", "2", "--on-miss", "upstream"],
        ["exec", "--variant", "x", "--", "true"],
        ["config", "check", "none"],
    ],
)
def test_any_other_variable_is_told_once(command: list[str]) -> None:
    strange = {"OPENPIPE_MOCK_PROT": "1", "OPENPIPE_MOCK_ZZZZ": "secret", "OPENPIPE_MOCKS": "1"}
    done = CliRunner().invoke(main, command, env=strange)
    assert done.stderr.splitlines()[:2] == [
        "openpipe-mock: the environment variable OPENPIPE_MOCK_PROT means nothing here; did you mean "
        "OPENPIPE_MOCK_PORT?",
        "openpipe-mock: the environment variable OPENPIPE_MOCK_ZZZZ means nothing here.",
    ]
    assert done.stderr.count("means nothing") == 2


# Shells.


def completed(*words: str) -> list[CompletionItem]:
    *before, last = words
    return ShellComplete(main, {}, "openpipe-mock", "").get_completions(before, last)


def values(*words: str) -> list[str]:
    return [each.value for each in completed(*words)]


def test_shells_complete_ids_of_checks() -> None:
    assert "criteria.sorted" in values("explain", "criteria.")
    assert values("contract", "http://a", "--only", "criteria.sor") == ["criteria.sorted"]


def test_shells_complete_names_of_variants() -> None:
    assert values("exec", "--variant", "no-do") == ["no-done"]
    assert values("exec", "--variants", "no-done,single-b") == ["no-done,single-bytes"]
    assert values("exec", "--variants", "al")[0] == "all"
    assert values("exec", "--variants", "all", "--except", "no-do") == ["no-done"]


@pytest.mark.parametrize("words", [("serve", "--config"), ("exec", "--config"), ("config", "check")])
def test_shells_complete_config_files(words: tuple[str, ...]) -> None:
    assert [(each.type, each.value) for each in completed(*words, "open")] == [("file", "open")]


def test_shells_complete_commands_and_words() -> None:
    assert values("ser") == ["serve"]
    assert values("serve", "--validation", "le") == ["lenient"]


@pytest.mark.parametrize(
    "shell",
    [pytest.param("bash", marks=pytest.mark.slow), "zsh", "fish"],  # click asks bash for its version
)
def test_a_shell_gets_what_the_readme_says(shell: str) -> None:
    assert "_OPENPIPE_MOCK_COMPLETE=bash_source openpipe-mock" in README
    assert f"{shell}_source" in README
    done = CliRunner().invoke(
        main, prog_name="openpipe-mock", env={"_OPENPIPE_MOCK_COMPLETE": f"{shell}_source"}
    )
    assert done.exit_code == 0
    assert f"_OPENPIPE_MOCK_COMPLETE={shell}_complete" in done.stdout
