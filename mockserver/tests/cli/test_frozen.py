"""`openpipe-mock config check --freeze` and `--frozen`: which answers differ after an upgrade or an edit."""

import json
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from click.testing import CliRunner, Result

from openpipe_mock.answers import texts
from openpipe_mock.cli.main import main
from openpipe_mock.config.file import DEFAULT_FILE
from tests.environments import ROOT

Json = Any

KEY = "op-not-to-be-shown"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a config file."""
    monkeypatch.chdir(tmp_path)
    write("answers: 2\n")
    return tmp_path


def write(text: str) -> None:
    Path(DEFAULT_FILE).write_text(text, encoding="utf-8")


def check(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["config", "check", *arguments])


def rows() -> list[Json]:
    frozen: Json = json.loads(Path("f.json").read_bytes())
    found: list[Json] = frozen["answered"]
    return found


def freeze(text: str) -> None:
    write(text)
    assert check("--freeze", "f.json").exit_code == 0


EXAMPLE = (ROOT / "examples" / DEFAULT_FILE).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "text",
    [
        "answers: 2",
        EXAMPLE,
        "ids: random\nclock: real",
        "stream: {first_token_ms: 60000}",
        "faults: [{timeout: true}]",
    ],
)
def test_the_same_file_gives_the_same_answers(here: Path, text: str) -> None:
    freeze(text)
    result = check("--frozen", "f.json")
    told = f"{DEFAULT_FILE}: no problem\nf.json: all answers are the same\n"
    assert (result.exit_code, result.stdout) == (0, told)


def test_each_kind_of_answer_and_each_criterion_is_asked_for_once(here: Path) -> None:
    freeze("criteria: {a: {score: 1}, b: {score: 0}}")
    names = [row["name"] for row in rows()]
    assert names[-4:] == ["criterion a", "best of 3 by a", "criterion b", "best of 3 by b"]
    assert len(names) == len(set(names)) == 22
    assert {row["status"] for row in rows()} == {200}


def test_a_known_model_is_asked(here: Path) -> None:
    freeze("models: {known: ['openai:*', 'openpipe:mine']}")
    assert {row["request"].get("model", "openpipe:mine") for row in rows()} == {"openpipe:mine"}
    assert {row["status"] for row in rows()} == {200}


def test_the_files_key_is_used_and_not_kept(here: Path) -> None:
    freeze(f"auth: {{keys: [{KEY}]}}")
    assert {row["status"] for row in rows()} == {200}
    assert KEY not in Path("f.json").read_text()


def test_another_answer_is_shown_where_it_begins_to_differ(here: Path) -> None:
    freeze("criteria: {a: {score: 1}}")
    write("criteria: {a: {score: 0.5}}")
    result = check("--frozen", "f.json")
    assert result.exit_code == 1
    first, *lines = result.stdout.splitlines()[1:]
    assert first.startswith("2 of 20 answers differ from those of openpipe-mock ")
    assert lines[0] == "  criterion a"
    assert '"score":1.0' in lines[1]
    assert '"score":0.5' in lines[2]
    assert (lines[1][:8], lines[2][:8]) == ("    was ", "    is  ")


def test_other_words_of_a_later_release_are_told(here: Path) -> None:
    freeze("answers: 2")
    with patch.object(texts, "reply", lambda about, key, number: f"{number} other words"):
        result = check("--frozen", "f.json")
    assert result.exit_code == 1
    told = result.stdout.splitlines()
    assert "  a text" in told
    assert "  a mentioned tool" not in told


def test_a_broken_connection_is_an_answer_too(here: Path) -> None:
    freeze("faults: [{when: {endpoint: judge}, disconnect: true}, {disconnect: true, after_bytes: 20}]")
    lengths = {(row["path"], row["status"], len(row["answer"])) for row in rows()}
    assert lengths == {("/criteria/judge", 0, 0), ("/chat/completions", 200, 20)}
    assert check("--frozen", "f.json").exit_code == 0


def test_the_requests_of_the_file_are_sent(here: Path) -> None:
    """A later release may have other requests; a user may add some."""
    freeze("answers: 2")
    frozen: Json = json.loads(Path("f.json").read_bytes())
    [row] = [row for row in frozen["answered"] if row["name"] == "a text"]
    own = {**row, "name": "mine", "request": {**row["request"], "seed": 1}}
    Path("f.json").write_text(json.dumps({**frozen, "answered": [row, own]}))
    result = check("--frozen", "f.json")
    assert result.exit_code == 1
    assert "1 of 2 answers differ" in result.stdout
    assert "  mine" in result.stdout.splitlines()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"version": 1, "answers": 2, "answered": [1]}', "\xff"])
def test_what_is_no_frozen_file_is_refused(here: Path, text: str) -> None:
    Path("f.json").write_text(text, encoding="latin-1")
    result = check("--frozen", "f.json")
    assert result.exit_code == 2
    assert result.stderr == "openpipe-mock: f.json: this is no file that --freeze wrote; write it anew\n"


def test_what_cannot_be_read_or_written_is_told(here: Path) -> None:
    for flag in ("--frozen", "--freeze"):
        result = check(flag, "none/f.json")
        assert result.exit_code == 2
        assert "openpipe-mock: none/f.json: No such file or directory" in result.stderr


def test_a_file_with_a_mistake_is_not_frozen(here: Path) -> None:
    write("sed: 1")
    assert check("--freeze", "f.json").exit_code == 1
    assert not Path("f.json").exists()


def test_answers_that_are_gone_are_noted(here: Path) -> None:
    write("answers: 1")
    result = check()
    assert result.exit_code == 0
    told = "answers 1 is gone, and 2 is given in its place; write answers: 2"
    assert result.stdout == f"{DEFAULT_FILE}: {told}\n{DEFAULT_FILE}: no problem\n"
