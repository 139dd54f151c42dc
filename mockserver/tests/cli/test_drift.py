"""`schemas diff` and `schemas check --cassettes`: what they print, and how they end."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from openpipe_mock.recording.cassette import Cassette
from openpipe_mock.recording.recording import Chunk, Recording
from tests.environments import ROOT
from tests.inprocess import commanded, having

Json = Any
CONTRACT = (ROOT / "schemas" / "openapi.yaml").read_text("utf-8")
PAGE = str(ROOT / "schemas" / "sources" / "judge-criteria.md")


def compared(folder: Path, change: Callable[[str], str], *options: str) -> tuple[int, str]:
    """The exit code and the output for our document and a changed one."""
    path = folder / "new.yaml"
    path.write_text(change(CONTRACT), "utf-8")
    found = commanded("schemas", "diff", "ours", str(path), *options)
    return found.exit_code, found.output


def test_the_same_document_has_not_changed(tmp_path: Path) -> None:
    assert compared(tmp_path, str) == (0, "nothing changed\n")
    assert compared(tmp_path, lambda text: "# A comment.\n" + text) == (0, "nothing changed\n")


def test_words_break_nobody(tmp_path: Path) -> None:
    code, printed = compared(
        tmp_path, lambda text: text.replace("The ID of the criterion to judge.", "Its id.")
    )
    assert code == 0
    assert printed == (
        "POST /criteria/judge\n"
        "  breaks nobody               request /criterion_id: description changed\n\n"
        "1 change: 1 breaks nobody\n"
    )


def test_what_breaks_somebody_comes_first_with_checks_and_strategies(tmp_path: Path) -> None:

    def renamed(text: str) -> str:
        return text.replace("criterion_id", "criterion")

    code, printed = compared(tmp_path, renamed)
    assert code == 1
    lines = printed.splitlines()
    assert lines[0] == "POST /criteria/judge"
    assert lines[1] == '  breaks clients              request: "criterion" is required now'
    assert lines[2].strip() == (
        "touches checks judge.rejects.*, judge.accepts.*, judge.fuzz.*; "
        "strategies judge_requests, broken_judge_requests"
    )
    assert lines[-1] == "4 changes: 2 break clients; 2 break servers"
    code, printed = compared(
        tmp_path, lambda text: text.replace("criterion_id", "criterion"), "--format=json"
    )
    rows = json.loads(printed)
    assert (code, len(rows), {row["breaks"] for row in rows}) == (1, 4, {"clients", "servers"})
    assert rows[0]["checks"] == ["judge.rejects.*", "judge.accepts.*", "judge.fuzz.*"]


def test_a_page_is_a_document_too() -> None:
    assert commanded("schemas", "diff", PAGE, PAGE).output == "nothing changed\n"
    found = commanded("schemas", "diff", "ours", PAGE).output
    assert "POST /chat/completions\n  breaks clients              the operation is gone\n" in found


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a shopping list", "is no OpenAPI document: expected `openapi: 3.1.0` in it"),
        ("openapi: 2.0", "is no OpenAPI document"),
        ("a: [", "1:"),
        ('openapi: 3.1.0\npaths: {/a: {$ref: "#/nowhere"}}', "leads nowhere"),
    ],
)
def test_what_is_no_document_is_a_mistake_in_usage(text: str, told: str, tmp_path: Path) -> None:
    code, printed = compared(tmp_path, lambda _: text)
    assert (code, told in printed) == (2, True), printed


def test_a_file_that_is_not_there_is_a_mistake_in_usage(tmp_path: Path) -> None:
    found = commanded("schemas", "diff", "ours", str(tmp_path / "none.yaml"))
    assert (found.exit_code, "No such file" in found.output) == (2, True)


# Recorded answers.


def recorded(folder: Path, answer: Json, text: str = "a") -> str:
    body = json.dumps(having(output={"role": "assistant", "content": text})).encode()
    recording = Recording("POST", "/criteria/judge", body, {}, "key")
    return Cassette(folder).add(recording.answered(200, [], [Chunk(0.0, json.dumps(answer).encode())]))


def test_recorded_answers_that_contradict_the_document_are_told_with_the_smallest(tmp_path: Path) -> None:
    recorded(tmp_path, {"score": 1})
    recorded(tmp_path, {"score": 1, "new": True, "explanation": "much longer"}, "b")
    small = recorded(tmp_path, {"score": 1, "new": True}, "c")
    found = commanded("schemas", "check", "--cassettes", str(tmp_path))
    assert found.exit_code == 1
    first, second, last = found.output.splitlines()
    assert first.startswith("answer /new: unknown property")
    assert second == f"  2 recordings; the smallest: {small}"
    assert last == "openapi.yaml: 1 contradiction"


def test_recorded_answers_that_keep_the_contract_contradict_nothing(tmp_path: Path) -> None:
    recorded(tmp_path, {"score": 1})
    found = commanded("schemas", "check", "--cassettes", str(tmp_path))
    assert (found.exit_code, found.output) == (0, "openapi.yaml: no contradictions\n")
