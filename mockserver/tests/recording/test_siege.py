"""What goes wrong around a recorder: many at once, files that change, folders that fill, odd upstreams."""

import json
import os
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from email.utils import formatdate
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner

from openpipe_mock.cli.main import main
from openpipe_mock.config.file import read_config
from openpipe_mock.config.settings import Settings
from openpipe_mock.recording import cassette as module
from openpipe_mock.recording.cassette import INDEX, Cassette
from openpipe_mock.recording.recording import Chunk, Recording, from_yaml
from openpipe_mock.recording.refreshing import changes
from openpipe_mock.recording.shown import shown_recording
from openpipe_mock.recording.tape import tape_of
from openpipe_mock.recording.upstream import Upstream
from openpipe_mock.service.service import Service
from tests.chatting import CHAT as CHAT_PATH
from tests.inprocess import answer
from tests.live import ATTEMPTS, PATIENCE
from tests.recording.test_tape import (
    _OK,
    CHAT,
    REQUESTS,
    Asked,
    _saying,
    mock,
    raw_server,
    real,
    recorder,
    send,
)
from tests.threads import eventually

__all__ = ["real"]
_CHAT: Asked = ("POST", "/chat/completions", CHAT, {})


def notes(url: str) -> list[str]:
    """What the journal notes of the latest request."""
    found = httpx.get(url.replace("/api/v1", "/_mock/requests")).json()["requests"]
    return list(found[0]["notes"])


@pytest.mark.slow
@pytest.mark.parametrize("replays", [True, False], ids=["what is new", "everything"])
def test_many_at_once_ask_the_same(replays: bool, real: str, tmp_path: Path) -> None:
    tape = recorder(tmp_path, real, replays=replays)
    with mock(tape) as url, ThreadPoolExecutor(100) as pool:
        answers = list(pool.map(lambda number: send(url, REQUESTS[number % 3]), range(100)))
    assert len(set(answers)) == 3
    files = list(tmp_path.glob("*.yaml"))
    assert len(files) == len({path.name.lower() for path in files}) == len(tape.cassette.listed)
    assert len(files) == 100 if not replays else 3 <= len(files) <= 100
    for file in files:
        assert from_yaml(file.read_bytes()).answer
    assert sorted(path.name for path in tmp_path.iterdir() if path not in files) == [".gitignore", INDEX]


def test_two_recorders_share_a_folder(real: str, tmp_path: Path) -> None:
    tapes = [recorder(tmp_path, real, replays=False) for _ in range(2)]
    with mock(tapes[0]) as one, mock(tapes[1]) as other, ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: send((one, other)[number % 2], REQUESTS[0]), range(20)))
    assert len(Cassette(tmp_path).listed) == 20


# Files that change.


@pytest.fixture
def recorded(real: str, tmp_path: Path) -> Path:
    with mock(recorder(tmp_path, real)) as url:
        for asked in REQUESTS[:2]:
            send(url, asked)
    return tmp_path


def test_a_cassette_is_edited_by_hand_while_it_is_served(recorded: Path) -> None:
    [judge] = recorded.glob("judge*.yaml")
    text = judge.read_text()
    with mock(tape_of(recorded, Settings())) as url:
        assert send(url, REQUESTS[0])[0] == 200
        judge.write_text(text.replace("status: 200", "status: 299"))
        assert send(url, REQUESTS[0])[0] == 299
        judge.write_text(text.replace('"helpful"', '"polite"'))
        status, body, _ = send(url, REQUESTS[0])
        assert (status, b"now the string" in body) == (404, True)
        assert (
            send(url, ("POST", "/criteria/judge", {**REQUESTS[0][2], "criterion_id": "polite"}, {}))[0] == 200
        )
        judge.write_text("a: [")
        polite: Asked = ("POST", "/criteria/judge", {**REQUESTS[0][2], "criterion_id": "polite"}, {})
        status, body, _ = send(url, polite)
        assert (status, b"it is not YAML (line" in body) == (404, True)
        status, body, _ = send(url, REQUESTS[0])
        assert (status, b"it can't be read any more" in body) == (404, True)
        judge.unlink()
        judge.mkdir()
        assert send(url, polite)[0] == 404
        judge.rmdir()
        status, body, _ = send(url, polite)
        assert (status, b"it has no recording." in body) == (404, True)
        assert send(url, REQUESTS[1])[0] == 200


def test_an_index_that_lies_costs_no_wrong_answer(recorded: Path) -> None:
    [judge] = recorded.glob("judge*.yaml")
    state = judge.stat()
    judge.write_text(judge.read_text().replace("helpful", "harmful").replace("status: 200", "status: 299"))
    os.utime(judge, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert judge.stat().st_size == state.st_size
    with mock(tape_of(recorded, Settings())) as url:
        assert send(url, REQUESTS[0])[0] == 404
        harmful = {**REQUESTS[0][2], "criterion_id": "harmful"}
        assert send(url, ("POST", "/criteria/judge", harmful, {}))[0] == 299


@pytest.mark.parametrize("member", ["modified", "identity", "place", "status", "subject"])
def test_an_index_of_other_types_is_made_anew(member: str, recorded: Path) -> None:
    index = json.loads((recorded / INDEX).read_bytes())
    for listed in index["files"].values():
        listed[member] = [1]
    (recorded / INDEX).write_text(json.dumps(index))
    with mock(tape_of(recorded, Settings(), on_miss="mock")) as url:
        assert [send(url, asked)[0] for asked in REQUESTS[:3]] == [200, 200, 200]
    assert [type(listed.status) for listed in Cassette(recorded).listed.values()] == [int, int]


def test_files_that_are_too_long_or_no_files_are_told(
    recorded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_RECORDING_BYTES", 100)
    with mock(tape_of(recorded, Settings())) as url:
        assert b"it has more than 0 MiB" in send(url, REQUESTS[0])[1]
    [judge] = recorded.glob("judge*.yaml")
    judge.unlink()
    os.mkfifo(judge)
    assert judge.name not in Cassette(recorded).listed


def test_a_recording_that_is_no_longer_short_is_read_each_time(
    recorded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MOST_CACHED_BYTES", 1)
    tape = tape_of(recorded, Settings())
    with mock(tape) as url:
        assert [send(url, REQUESTS[0])[0] for _ in range(2)] == [200, 200]
    assert tape.cassette.cached == {}
    monkeypatch.setattr(module, "_MOST_CACHED_BYTES", 10**6)
    monkeypatch.setattr(module, "_MOST_CACHED", 1)
    tape = tape_of(recorded, Settings())
    with mock(tape) as url:
        assert [send(url, REQUESTS[at % 2])[0] for at in range(4)] == [200] * 4
    assert len(tape.cassette.cached) == 1


def test_counts_are_those_of_a_session(real: str, tmp_path: Path) -> None:
    with mock(recorder(tmp_path, real, replays=False)) as url:
        for _ in range(2):
            send(url, REQUESTS[0])
    with mock(tape_of(tmp_path, Settings(), on_end="fail")) as url:
        for name in ("one", "other"):
            found = [send(url, REQUESTS[0], **{"x-mock-session": name})[0] for _ in range(3)]
            assert found == [200, 200, 404]


# Folders that can't be written.


def _full(*args: Any, **kwargs: Any) -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize(("owner", "name"), [(Path, "write_bytes"), (Path, "mkdir"), (os, "link")])
def test_a_full_disk_costs_the_recording_and_no_answer(
    owner: Any, name: str, real: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "tapes"
    with mock(recorder(folder, real)) as url:
        if owner is os:
            monkeypatch.setattr(os, "replace", _full)
        monkeypatch.setattr(owner, name, _full)
        assert send(url, REQUESTS[0])[0] == 200
        assert notes(url) == ["nothing was recorded: No space left on device"]
        assert not list(folder.glob("*"))
        monkeypatch.undo()
        assert send(url, REQUESTS[0])[0] == 200
    assert len(list(folder.glob("*.yaml"))) == 1


def test_a_file_system_without_links_is_recorded_to(
    real: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "link", _full)
    with mock(recorder(tmp_path, real, replays=False)) as url:
        for _ in range(2):
            send(url, REQUESTS[0])
    assert len(Cassette(tmp_path).listed) == 2


# Odd upstreams.

_BUSY = b"HTTP/1.1 429 x\r\ncontent-length: 0\r\n"
_CHUNKED = _OK + b"transfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n"


@pytest.mark.parametrize(
    ("said", "status", "body"),
    [
        (b"HTTP/1.1 204 x\r\n\r\n", 204, b""),
        (b"HTTP/1.1 304 x\r\netag: 1\r\n\r\n", 304, b""),
        (b"HTTP/1.1 100 x\r\n\r\n" + _OK + b"content-length: 2\r\n\r\n{}", 200, b"{}"),
        (_OK + b"content-length: 2\r\n\r\n{}{}junk", 200, b"{}"),
        (_CHUNKED + b"x-trailer: a\r\n\r\n", 200, b"{}"),
        (_OK + b"\r\n{}", 200, b"{}"),
        (_OK + b"op-x: \xe2\x82\xac\xff\r\nop-y: a\x01b\r\ncontent-length: 2\r\n\r\n{}", 200, b"{}"),
        (
            _BUSY + f"retry-after: {formatdate()}\r\n\r\n".encode(),
            429,
            b"",
        ),
        (
            _BUSY + b"retry-after: nan\r\nretry-after-ms: 1e999\r\n\r\n",
            429,
            b"",
        ),
        (b"HTTP/1.1 599 x\r\ncontent-length: 3\r\n\r\n\xff\x00\x01", 599, b"\xff\x00\x01"),
    ],
    ids=["204", "304", "100", "junk", "trailer", "unframed", "bytes", "date", "nan", "binary"],
)
def test_an_odd_answer_is_passed_on_and_replayed(
    said: bytes, status: int, body: bytes, tmp_path: Path
) -> None:
    def get(url: str) -> tuple[int, bytes]:
        with httpx.Client(trust_env=False, verify=False, timeout=PATIENCE) as client:
            headers = {b"authorization": b"Bearer abc", b"op-tags": b"\xe9"}
            found = client.post(f"{url}/chat/completions", json=CHAT, headers=headers)
        return found.status_code, found.content

    with raw_server(_saying(said)) as odd, mock(recorder(tmp_path, odd)) as url:
        recorded = get(url)
    with mock(tape_of(tmp_path, Settings())) as url:
        replayed = get(url)
    if b"\x01" in said and recorded[0] == 502:
        return  # h11 refuses such a header
    assert recorded == replayed == (status, body)


@pytest.mark.parametrize("said", [b"HTTP/1.1 999 x\r\ncontent-length: 0\r\n\r\n", b"HTTP/1.1 199 x\r\n\r\n"])
def test_a_status_that_is_none_is_told(said: bytes, tmp_path: Path) -> None:
    with raw_server(_saying(said)) as odd, mock(recorder(tmp_path, odd)) as url:
        assert send(url, _CHAT)[0] == 502
    assert list(tmp_path.glob("*.yaml")) == []


def test_an_upstream_may_answer_before_the_body_is_there(tmp_path: Path) -> None:
    # `raw_server` reads 65,536 bytes at most, answers and closes.
    long = {**CHAT, "user": "x" * 3_000_000}
    answer = b"HTTP/1.1 413 x\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
    with raw_server(_saying(answer)) as early, mock(recorder(tmp_path, early)) as url:
        assert send(url, ("POST", "/chat/completions", long, {}))[0] in (413, 502)
        assert send(url, _CHAT)[:2] == (413, b"{}")


def test_a_stream_that_nobody_asked_for_is_in_the_journal(tmp_path: Path) -> None:
    said = b"HTTP/1.1 200 x\r\ncontent-type: text/event-stream\r\ncontent-length: 10\r\n\r\ndata: {}\n\n"
    with raw_server(_saying(said)) as odd, mock(recorder(tmp_path, odd)) as url:
        assert send(url, _CHAT)[1] == b"data: {}\n\n"
        [entry] = httpx.get(url.replace("/api/v1", "/_mock/requests")).json()["requests"]
        assert (entry["streamed"], entry["status"]) == (True, 200)
    with mock(tape_of(tmp_path, Settings())) as url:
        assert send(url, _CHAT)[1] == b"data: {}\n\n"


# Who leaves.


def _request(stream: bool) -> bytes:
    body = json.dumps({**CHAT, "stream": stream}).encode()
    head = "POST /api/v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer abc\r\n"
    return f"{head}content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body


def until_closed(
    begun: threading.Event, closed: threading.Event, first: bytes
) -> Callable[[socket.socket], None]:
    """An upstream that begins an answer, and waits until its connection is closed."""

    def talk(connection: socket.socket) -> None:
        connection.sendall(first)
        begun.set()
        with suppress(ConnectionError):
            while connection.recv(65536):
                pass
        closed.set()

    return talk


STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: {}\n\n"


@pytest.mark.parametrize(
    "first", [b"", _OK + b"content-length: 9\r\n\r\n{", STREAM], ids=["none", "half", "stream"]
)
def test_a_client_that_leaves_closes_the_upstreams_connection(first: bytes, tmp_path: Path) -> None:
    begun, closed = threading.Event(), threading.Event()
    with raw_server(until_closed(begun, closed, first)) as slow, mock(recorder(tmp_path, slow)) as url:
        host, port = url.split("/")[2].split(":")
        with socket.create_connection((host, int(port))) as leaving:
            leaving.sendall(_request(stream=bool(first)))
            assert begun.wait(PATIENCE)
        assert closed.wait(PATIENCE)
    assert list(tmp_path.glob("*.yaml")) == []


def test_who_waits_when_the_recorder_closes_gets_a_failure(tmp_path: Path) -> None:
    begun, closed = threading.Event(), threading.Event()
    tape = recorder(tmp_path, "")
    with (
        raw_server(until_closed(begun, closed, b"")) as slow,
        mock(tape) as url,
        ThreadPoolExecutor(1) as pool,
    ):
        tape.upstream = upstream = Upstream(slow)
        waiting = pool.submit(send, url, _CHAT)
        assert begun.wait(PATIENCE)
        upstream.close()
        status, body, _ = waiting.result(PATIENCE)
        assert (status, b"the recorder was closed" in body) == (502, True)
        assert send(url, _CHAT)[0] == 502
        eventually(lambda: upstream.loop is None)
        assert closed.wait(PATIENCE)


# Flags that contradict each other.


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ("--cassette", "x", "--on-miss", "upstream", "--workers", "2"),
            "--on-miss upstream needs --workers 1",
        ),
        (("--on-miss", "upstream"), "--on-miss upstream needs --cassette"),
        (("--on-miss", "error"), "--on-miss error needs --cassette"),
    ],
)
def test_a_recorder_is_one_process_with_a_folder(words: tuple[str, ...], told: str) -> None:
    found = CliRunner().invoke(main, ["serve", "--port", "0", *words])
    assert (found.exit_code, told in found.output) == (2, True), found.output


# What it costs.


@pytest.mark.slow
def test_a_replay_costs_about_what_a_scripted_answer_costs(tmp_path: Path) -> None:
    scripted = Service(read_config(b"completions: [{text: Sunny.}]"))
    body = json.dumps(CHAT).encode()
    reply = answer(scripted, body, path=CHAT_PATH)
    request = Recording("POST", "/chat/completions", body, {}, "key")
    headers = [("content-type", "application/json")]
    Cassette(tmp_path).add(request.answered(200, headers, [Chunk(0.0, reply.body)]))
    replaying = Service(Settings(), source=tape_of(tmp_path, Settings()))
    assert answer(replaying, body, path=CHAT_PATH).body == reply.body

    def seconds(service: Service) -> float:
        begun = time.thread_time()
        for _ in range(300):
            answer(service, body, path=CHAT_PATH)
        return time.thread_time() - begun

    shares = []
    for _ in range(ATTEMPTS):
        pairs = [(seconds(replaying), seconds(scripted)) for _ in range(5)]
        shares.append(min(each for each, _ in pairs) / min(each for _, each in pairs))
        if shares[-1] <= 1.2:
            return
    raise AssertionError(f"a replay cost {shares} times a scripted answer")


_ODD = (
    *(b'{"score":"\\ud800"}', b"\xed\xa0\x80", b'{"a":1e999}', b"[" * 3000, b"\x00\x1b", b"\xef\xbb\xbf{}"),
    *(
        b'{"score":1,"score":2}',
        b"NaN",
        b"null",
        b'{"choices":[{"index":null,"delta":5}]}',
        b'{"choices":{"a":1}}',
    ),
)


@pytest.mark.parametrize("path", ["/chat/completions", "/criteria/judge", "/models"])
@pytest.mark.parametrize("media", ["application/json", "text/event-stream"])
def test_whatever_an_upstream_says_is_written_read_and_shown(path: str, media: str, tmp_path: Path) -> None:
    tape = tape_of(tmp_path, Settings())
    for body in _ODD:
        said = b"data: %b\n\n" % body if media == "text/event-stream" else body
        request = Recording("POST", path, body, {"op-tags": "\xe9"}, "key-1")
        chunks = [Chunk(0.1, said[:7]), Chunk(0.2, said[7:])]
        written = tape.ready(request.answered(200, [("content-type", media)], chunks))
        read = from_yaml((tmp_path / tape.write(written)).read_bytes())
        assert read == written
        assert shown_recording(read)
        assert list(changes(read, read)) == []
