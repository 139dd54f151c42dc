"""Cassettes in a test's hands: when they are recorded, what answers, what a miss and a rest look like."""

import asyncio
import builtins
import json
import sys
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest

from openpipe_mock.config.settings import Settings
from openpipe_mock.core.resources import install_line
from openpipe_mock.recording.cassette import Cassette
from openpipe_mock.testing.cassettes import RECORD, tape_for
from openpipe_mock.testing.interception import patched
from openpipe_mock.testing.live import serving
from openpipe_mock.testing.mock import Mock
from tests.live import PATIENCE
from tests.recording.test_siege import STREAM, until_closed
from tests.recording.test_tape import _OK, CHAT, REQUESTS, _saying, raw_server, real, send

__all__ = ["real"]
BASE = "https://api.openpipe.ai/api/v1"


@pytest.fixture(autouse=True)
def _at_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)


def asked(number: int = 0, **headers: str) -> tuple[int, bytes, str]:
    return send(BASE, REQUESTS[number], **headers)


@pytest.mark.parametrize("record", RECORD)
@pytest.mark.parametrize("filled", [False, True], ids=["empty", "filled"])
def test_the_words_say_when_it_is_recorded(record: Any, filled: bool, real: str, tmp_path: Path) -> None:
    if filled:
        with patched(cassette=tmp_path, record="once", upstream=real):
            before = [asked() for _ in range(2)]
    with patched(cassette=tmp_path, record=record, upstream=real) as mock:
        statuses = [asked(number)[0] for number in (0, 0, 1)]
        tape = mock.service.source
    assert mock.unused_recordings == []
    recorded = tape.upstream.sent if tape and tape.upstream else 0  # type: ignore[attr-defined]
    if filled:
        assert recorded == {"none": 0, "once": 0, "new_episodes": 1, "all": 3}[record]
        assert statuses[:2] == [200, 200]
        assert statuses[2] == (404 if record in ("none", "once") else 200)
        with patched(cassette=tmp_path):
            assert [asked() for _ in range(2)] == before
    else:
        assert recorded == {"none": 0, "once": 3, "new_episodes": 2, "all": 3}[record]
        assert statuses == ([404] * 3 if record == "none" else [200] * 3)
    assert len(Cassette(tmp_path).listed) == {
        ("none", False): 0, ("none", True): 2, ("once", False): 3, ("once", True): 2,
        ("new_episodes", False): 2, ("new_episodes", True): 3, ("all", False): 3, ("all", True): 3,
    }[record, filled]  # fmt: skip


@pytest.mark.openpipe(cassette="../samples/cassette", record="none")
def test_the_marker_names_a_folder_beside_the_test(openpipe_mock: Mock) -> None:
    assert asked()[:2] == (200, b'{"score":0.31,"explanation":"Recorded once, by hand."}')
    assert openpipe_mock.unused_recordings == []
    openpipe_mock.judged("helpful", times=1)
    assert asked(1)[0] == 404


def test_in_ci_nothing_is_recorded(real: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    with patched(cassette=tmp_path, record="all", upstream=real):
        status, body, _ = asked()
        assert (status, b"; nothing is recorded where the variable CI is set." in body) == (404, True)
    assert list(tmp_path.iterdir()) == []


def test_a_miss_says_that_once_records_no_more(real: str, tmp_path: Path) -> None:
    for number, told in ((0, False), (1, True)):
        with patched(cassette=tmp_path, record="once", upstream=real):
            assert (b"`once` records into an empty folder alone" in asked(number)[1]) == told


def test_streams_are_recorded_and_replayed_for_sync_and_async_clients(real: str, tmp_path: Path) -> None:
    body = {**CHAT, "stream": True}
    headers = {"authorization": "Bearer op-local"}

    def read() -> list[bytes]:
        with httpx.stream("POST", f"{BASE}/chat/completions", json=body, headers=headers) as answer:
            return list(answer.iter_raw())

    async def read_async() -> bytes:
        async with httpx.AsyncClient() as client:
            answer = await client.post(f"{BASE}/chat/completions", json=body, headers=headers)
            return answer.content

    with patched(cassette=tmp_path / "sync", record="all", upstream=real):
        recorded = read()
    with patched(cassette=tmp_path / "async", record="all", upstream=real):
        assert asyncio.run(read_async()) == b"".join(recorded)
    for folder in ("sync", "async"):
        with patched(cassette=tmp_path / folder) as mock:
            assert b"".join(read()) == asyncio.run(read_async()) == b"".join(recorded)
            mock.completed(streamed=True, times=2)


def test_recorded_times_pass_in_virtual_time(tmp_path: Path) -> None:
    with (
        raw_server(_saying(_OK + b"content-length: 2\r\n\r\n{}")) as url,
        patched(cassette=tmp_path, record="once", upstream=url),
    ):
        asked()
    [file] = tmp_path.glob("*.yaml")
    lines = [line if "  after:" not in line else "  after: 30.5" for line in file.read_text().splitlines()]
    file.write_text("\n".join(lines))
    with patched(cassette=tmp_path) as mock:
        assert asked()[0] == 200
        assert mock.clock.now == 30.5


def test_a_miss_names_the_nearest_recording_to_the_client(real: str, tmp_path: Path) -> None:
    with patched(cassette=tmp_path, record="once", upstream=real):
        asked()
    with patched(cassette=tmp_path) as mock:
        assert mock.unused_recordings == sorted(Cassette(tmp_path).listed)
        [unused] = mock.unused()
        assert str(unused) == f"recording {mock.unused_recordings[0]}: no request came"
        with pytest.raises(
            AssertionError, match="1 of what is set was never used:\n  recording judge-helpful"
        ):
            mock.assert_all_used()
        status, body, _ = send(BASE, ("POST", "/criteria/judge", {**REQUESTS[0][2], "criterion_id": "x"}, {}))
        with pytest.raises(
            AssertionError, match=r"Not recorded: POST /criteria/judge: .* the nearest is judge-helpful-yes"
        ):
            mock.completed()
        assert "no request was the recorded one" in str(mock.unused()[0])
        assert asked()[0] == 200
        assert mock.unused_recordings == []
        mock.assert_all_used()
    assert (status, "the nearest is judge-helpful-yes" in json.loads(body)["message"]) == (404, True)
    with patched() as plain:
        assert plain.unused_recordings == []


def test_what_the_upstream_says_breaks_no_contract_of_the_client(tmp_path: Path) -> None:
    with (
        raw_server(_saying(_OK + b'content-length: 13\r\n\r\n{"score":"2"}')) as url,
        patched(cassette=tmp_path, record="once", upstream=url) as mock,
    ):
        asked()
        mock.assert_contract_kept()
    with patched(cassette=tmp_path) as mock:
        asked()
        mock.assert_contract_kept()
        with mock.expect_violation():
            send(BASE, ("POST", "/criteria/judge", {"criterion_id": 1}, {}))


def test_a_live_server_records_and_replays_by_session(real: str, tmp_path: Path) -> None:
    with serving() as live:
        with live.session(cassette=tmp_path, record="once", upstream=real) as first:
            recorded = send(first.base_url, REQUESTS[2])
            assert first.unused_recordings == []
        with live.session(cassette=tmp_path) as second, live.session() as third:
            assert send(second.base_url, REQUESTS[2]) == recorded
            assert send(second.base_url, REQUESTS[0])[0] == 404
            assert send(third.base_url, REQUESTS[0])[0] == 200


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"record": "sometimes"}, 'record: expected "none", "once", "new_episodes" or "all"'),
        ({"record": "all", "upstream": "nowhere"}, "^upstream: expected a base URL"),
        ({}, "cassette: .*bad.yaml: the file: expected a mapping"),
    ],
)
def test_what_cannot_be_used_is_told(options: dict[str, Any], told: str, tmp_path: Path) -> None:
    if not options:
        (tmp_path / "bad.yaml").write_text("x")
    with pytest.raises(ValueError, match=told):
        patched(cassette=tmp_path, **options).border()


def test_without_httpx_it_replays_and_says_what_recording_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    importing = builtins.__import__

    def refuse(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "httpx":
            raise ImportError(name)
        return importing(name, *args, **kwargs)

    for name in [name for name in sys.modules if name.startswith("openpipe_mock.recording")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", refuse)
    assert tape_for(tmp_path, "none", "", Settings()).unused() == []
    with pytest.raises(ValueError, match="recording needs the extra `record`") as caught:
        tape_for(tmp_path, "all", "https://x", Settings())
    assert install_line("record") in str(caught.value)


def test_the_server_that_the_mock_stands_for_is_recorded(
    real: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENPIPE_BASE_URL", real)
    expected = send(real, REQUESTS[0])
    with patched(cassette=tmp_path, record="once", upstream=real, block_network=True) as mock:
        assert send(real, REQUESTS[0]) == expected
        mock.judged(times=1)
    with patched(cassette=tmp_path, block_network=True):
        assert send(real, REQUESTS[0]) == expected


def test_a_stream_that_a_client_leaves_closes_the_upstreams_connection(tmp_path: Path) -> None:
    begun, closed = threading.Event(), threading.Event()
    with (
        raw_server(until_closed(begun, closed, STREAM)) as slow,
        patched(cassette=tmp_path, record="all", upstream=slow),
    ):
        headers = {"authorization": "Bearer op-local"}
        with httpx.stream("POST", f"{BASE}/chat/completions", json={**CHAT, "stream": True}, headers=headers):
            assert begun.wait(PATIENCE)
        assert closed.wait(PATIENCE)
    assert list(tmp_path.glob("*.yaml")) == []
