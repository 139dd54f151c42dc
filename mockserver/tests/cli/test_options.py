"""Flags that are settings: what they take, and what they say of a word that they took once."""

import pytest
from click.testing import CliRunner

from openpipe_mock import patched
from openpipe_mock.cli.main import main

GONE = '"report" is gone: "lenient" answers as it did, and notes what stricter modes would refuse.'


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
    assert "'strickt' is not one of 'strict', 'exact', 'lenient'" in done.stderr


def test_a_fixture_says_the_same() -> None:
    with pytest.raises(ValueError, match="is gone") as caught:
        patched(validation="report")  # type: ignore[arg-type]
    assert GONE in str(caught.value)
