"""The file of `--journal`: every exchange, no secret, and no request that waits or fails for it."""

import json
import logging
import os
from pathlib import Path
from typing import Any

import httpx
import pytest

from openpipe_mock.core.effects import Head
from openpipe_mock.server import journalfile
from openpipe_mock.server.direct import DirectApp
from openpipe_mock.server.journalfile import JournalFile
from openpipe_mock.service.fast_lane import FastLane
from openpipe_mock.sessions.diagnosis import exchange_detail
from tests.controlling import CHAT, Mock
from tests.inprocess import HEADERS, JUDGE, commanded
from tests.live import PATIENCE, serving, until
from tests.service.test_fast_lane import BODY

Json = Any


def recorded(path: Path, mock: Mock, **more: Any) -> JournalFile:
    """A mock's journal file."""
    journal = JournalFile(path, **more)
    mock.service.journal_file = journal.add
    return journal


def lines(path: Path) -> list[Json]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "openpipe_mock"]


def test_the_file_has_what_an_export_has_and_outlives_a_reset(tmp_path: Path) -> None:
    mock, path = Mock(), tmp_path / "journal"
    journal = recorded(path, mock)
    mock.judge()
    mock.chat("x", stream=True)
    mock.send("/nowhere", {})
    mock.chat("x", session="other")
    names = ["default-1", "default-2", "default-3", "other-1"]
    shown = [mock.json("GET", f"/requests/{name}") for name in names]
    mock.ask("POST", "/reset")
    mock.judge("brief")
    journal.close()
    *found, last = lines(path)
    assert found == [{name: each[name] for name in each if name != "sequence"} for each in shown]
    assert (last["id"], last["criteria"]) == ("default-1", ["brief@v1"])
    assert path.stat().st_mode & 0o777 == 0o600


def test_the_file_holds_no_secret_and_of_a_long_body_the_beginning(tmp_path: Path) -> None:
    mock, path = Mock(), tmp_path / "journal"
    journal = recorded(path, mock)
    key = {**HEADERS, b"authorization": b"Bearer op-private-1"}
    mock.judge(text="op-private-1 " + "long " * 40_000, headers=key)
    journal.close()
    [line] = lines(path)
    assert "op-private-1" not in path.read_text()
    assert line["request"]["bytes_left_out"] > 100_000


def test_judgements_go_the_long_way_then(tmp_path: Path) -> None:
    mock, path = Mock(), tmp_path / "journal"
    journal = recorded(path, mock)
    lane = FastLane(mock.service)
    for _ in "12":
        lane.answer(Head("POST", JUDGE, HEADERS), BODY, lambda: 0.0)
    journal.close()
    assert [line["id"] for line in lines(path)] == ["default-1", "default-2"]
    assert DirectApp(mock.service)


def test_a_file_that_is_there_is_appended_to(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    for _ in "12":
        mock = Mock()
        journal = recorded(path, mock)
        mock.judge()
        journal.close()
    assert [line["id"] for line in lines(path)] == ["default-1", "default-1"]


def test_at_its_bound_the_file_ends_and_one_line_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    mock, path = Mock(), tmp_path / "journal"
    journal = recorded(path, mock, most_bytes=3000)
    for _ in range(9):
        mock.judge()
    journal.close()
    kept = len(lines(path))
    assert 0 < kept < 9
    assert (path.stat().st_size <= 3000, journal.left_out) == (True, 9 - kept)
    [line] = told(caplog)
    assert "has reached 3000 bytes" in line


def test_a_full_disk_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    mock = Mock()
    journal = recorded(Path("/dev/full"), mock)
    for _ in "123":
        assert mock.judge().status == 200
    journal.close()
    assert told(caplog) == [
        "--journal /dev/full is not written: No space left on device; requests are answered all the same"
    ]
    assert journal.left_out == 3


def test_once_there_is_room_it_goes_on_behind_a_line_that_was_cut_off(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path, real = tmp_path / "journal", os.write
    journal = JournalFile(path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.write", lambda number, data: real(number, data[:5]))
        journal.append(b'{"id": 1}\n')
    journal.append(b'{"id": 2}\n')
    journal.append(b'{"id": 3}\n')
    assert path.read_bytes() == b'{"id"\n{"id": 2}\n{"id": 3}\n'
    first, second = told(caplog)
    assert "the disk is full" in first
    assert second.endswith("is written again; it lacks 1 exchanges")


def test_a_disk_that_is_too_slow_makes_nothing_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(journalfile, "MOST_WAITING_BYTES", 10)
    mock = Mock()
    journal = recorded(tmp_path / "journal", mock)
    assert mock.judge().status == 200
    assert (journal.left_out, journal.thread) == (1, None)
    assert "the disk is too slow" in told(caplog)[0]


def test_a_defect_costs_one_line_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    mock, path = Mock(), tmp_path / "journal"
    journal = recorded(path, mock)
    real, calls = exchange_detail, []

    def failing(entry: Any) -> Json:
        calls.append(entry.id)
        if len(calls) == 1:
            raise ValueError("a defect")
        return real(entry)

    monkeypatch.setattr(journalfile, "exchange_detail", failing)
    mock.judge()
    mock.judge()
    journal.close()
    assert [line["id"] for line in lines(path)] == ["default-2"]
    assert [record.levelno for record in caplog.records if record.name == "openpipe_mock"] == [logging.ERROR]


def test_a_file_that_cannot_be_opened_is_refused_in_one_line(tmp_path: Path) -> None:
    done = commanded("serve", "--port=0", f"--journal={tmp_path}/nowhere/journal")
    assert done.exit_code == 2
    [line] = done.stderr.splitlines()
    assert (
        line == f"openpipe-mock: cannot use --journal {tmp_path}/nowhere/journal: No such file or directory"
    )


@pytest.mark.slow
def test_several_workers_append_to_one_file_all_that_they_answered(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    with serving("--workers=2", f"--journal={path}", "--log-format=json") as live:
        ready = f"{live.control_url}/ready"
        until(lambda: httpx.get(ready).status_code == 200)
        body = {"model": "m", "messages": [{"role": "user", "content": "x" * 9000}]}
        for number in range(40):
            answer = httpx.post(
                f"{live.origin}{CHAT}",
                json={**body, "seed": number},
                headers={"authorization": "Bearer op-secret-key"},
                timeout=PATIENCE,
            )
            assert answer.status_code == 200
        live.stop()
        log = [json.loads(line) for line in live.log.read_text().splitlines()]
    found = lines(path)
    assert sorted(line["request"]["body"]["seed"] for line in found) == list(range(40))
    assert "op-secret-key" not in path.read_text()
    assert len([line for line in log if line.get("status") == 200]) == 40
    assert {line["level"] for line in log} == {"info", "warning"}
