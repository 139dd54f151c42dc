"""Record from a server over a socket, replay in its place: equal bytes, orders, failures, and who may not."""

import json
import re
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from openpipe_mock.config.settings import Settings
from openpipe_mock.recording.cassette import Cassette
from openpipe_mock.recording.hiding import Hiding
from openpipe_mock.recording.recording import Recording
from openpipe_mock.recording.tape import Tape, tape_of
from openpipe_mock.recording.upstream import Allowance, BadUpstream, Upstream, key_for, upstream
from openpipe_mock.server.direct import DirectApp
from openpipe_mock.service.service import Service
from tests.live import PATIENCE
from tests.threads import served

KEY = "sk-real-key-1234567"
NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)
JUDGE = {"criterion_id": "helpful", "output": {"role": "assistant", "content": "Yes."}}
CHAT = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Count: \u00e4, \U0001f642"}]}


@contextmanager
def mock(source: Any = None, settings: Settings | None = None) -> Iterator[str]:
    """The base URL of a mock on a socket."""
    service = Service(settings, source=source)
    with served(DirectApp(service)) as (host, port):
        yield f"http://{host}:{port}/api/v1"
    if source:
        source.close()


@pytest.fixture(scope="module")
def real() -> Iterator[str]:
    with mock(settings=Settings(seed=7)) as url:
        yield url


Asked = tuple[str, str, Any, dict[str, str]]
REQUESTS: tuple[Asked, ...] = (
    ("POST", "/criteria/judge", JUDGE, {}),
    ("POST", "/chat/completions", {**CHAT, "n": 3}, {"op-criteria": '["helpful", "brief"]'}),
    ("POST", "/chat/completions", {**CHAT, "stream": True, "stream_options": {"include_usage": True}}, {}),
    ("POST", "/chat/completions", b'{"model', {}),
    ("POST", "/chat/completions", {"model": "gpt-4o"}, {}),
    ("GET", "/models", None, {}),
)


def send(url: str, asked: Asked, key: str = KEY, **headers: str) -> tuple[int, bytes, str]:
    method, path, body, own = asked
    every = {"authorization": f"Bearer {key}", "content-type": "application/json", **own, **headers}
    content = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    with httpx.Client(trust_env=False, verify=False, timeout=PATIENCE) as client:  # it speaks http alone
        answer = client.request(method, url + path, content=content, headers=every)
    return answer.status_code, answer.content, answer.headers["content-type"]


def recorder(folder: Path, url: str, **more: Any) -> Tape:
    return tape_of(folder, Settings(), upstream=Upstream(url), on_miss="upstream", **more)


def test_what_is_recorded_is_replayed_byte_for_byte(real: str, tmp_path: Path) -> None:
    expected = [send(real, asked) for asked in REQUESTS]
    tape = recorder(tmp_path, real, now=lambda: NOW)
    with mock(tape) as url:
        assert [send(url, asked) for asked in REQUESTS] == expected
    names = sorted(tape.cassette.listed)
    assert len(names) == len(REQUESTS)
    written = b"".join((tmp_path / name).read_bytes() for name in names)
    assert KEY.encode() not in written
    assert b"recorded: '2026-12-01T12:00:00.000Z'" in written
    replaying = tape_of(tmp_path, Settings())
    with mock(replaying) as url:
        assert replaying.unused() == names
        assert [send(url, asked, "another-key") for asked in reversed(REQUESTS)] == expected[::-1]
    assert replaying.unused() == []


def test_replaying_asks_nobody_and_recording_again_replaces(real: str, tmp_path: Path) -> None:
    first = recorder(tmp_path, real)
    with mock(first) as url:
        send(url, REQUESTS[0])
    new_only = recorder(tmp_path, "http://127.0.0.1:9/api/v1")
    with mock(new_only) as url:
        assert send(url, REQUESTS[0])[0] == 200
        assert send(url, REQUESTS[1])[0] == 502
    with mock(settings=Settings(seed=8)) as other:
        anew = recorder(tmp_path, other, replays=False)
        with mock(anew) as url:
            twice = [send(url, REQUESTS[0]) for _ in range(2)]
    assert len(Cassette(tmp_path).listed) == 2
    with mock(tape_of(tmp_path, Settings())) as url:
        assert [send(url, REQUESTS[0]) for _ in range(2)] == twice


@pytest.mark.parametrize(("on_end", "statuses"), [("repeat", [200, 201, 201]), ("fail", [200, 201, 404])])
def test_the_same_request_walks_through_its_recordings(
    on_end: Any, statuses: list[int], tmp_path: Path
) -> None:
    body = json.dumps(CHAT).encode()
    for status in (200, 201):
        tape = Cassette(tmp_path)
        request = Recording("POST", "/chat/completions", body, {}, "key", recorded=str(status))
        tape.add(request.answered(status, [("content-type", "application/json")], []))
    with mock(tape_of(tmp_path, Settings(), on_end=on_end)) as url:
        answers = [send(url, ("POST", "/chat/completions", CHAT, {})) for _ in range(3)]
    assert [status for status, *_ in answers] == statuses
    if on_end == "fail":
        told = json.loads(answers[2][1])["message"]
        assert told.startswith("Not recorded: it was recorded 2 times and is asked for the 3. time")


def test_a_miss_is_answered_as_asked_for(real: str, tmp_path: Path) -> None:
    with mock(recorder(tmp_path, real)) as url:
        send(url, REQUESTS[0])
    other: Asked = ("POST", "/criteria/judge", {**JUDGE, "criterion_id": "brief"}, {})
    with mock(tape_of(tmp_path, Settings(), on_miss="error")) as url:
        status, body, _ = send(url, other)
        [name] = Cassette(tmp_path).listed
        differs = 'where /criterion_id: recorded the string "helpful", now the string "brief"'
        assert (status, json.loads(body)) == (
            404,
            {
                "code": "NOT_FOUND",
                "message": f"Not recorded: it has no recording; the nearest is {name}, {differs}.",
            },
        )
    with mock(tape_of(tmp_path, Settings(), on_miss="mock"), Settings(seed=7)) as url:
        assert send(url, other) == send(real, other)
        notes = httpx.get(url.replace("/api/v1", "/_mock/requests")).json()["requests"][0]["notes"]
        assert notes == [f"the mock answers, since it has no recording; the nearest is {name}, {differs}"]


def test_keys_that_were_refused_have_recordings_of_their_own(tmp_path: Path) -> None:
    with mock(settings=Settings(keys=("sk-good-key-1",))) as real, mock(recorder(tmp_path, real)) as url:
        recorded = [send(url, REQUESTS[0], key) for key in ("sk-good-key-1", "sk-wrong-key")]
    assert [status for status, *_ in recorded] == [200, 401]
    with mock(tape_of(tmp_path, Settings())) as url:
        answers = [send(url, REQUESTS[0], key) for key in ("op-local", "sk-wrong-key", "invalid-key")]
    assert [status for status, *_ in answers] == [200, 401, 401]
    assert answers[:2] == recorded


# An upstream that misbehaves.

_OK = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"

_GZIP = _OK + b"content-encoding: gzip\r\n"


def _read_request(connection: socket.socket) -> None:
    """Read a request, but of a body of 64 KiB and more only the beginning."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(65536)
    head, _, body = data.partition(b"\r\n\r\n")
    announced = re.search(rb"(?i)content-length: (\d+)", head)
    length = int(announced[1]) if announced else 0
    while length < 65536 and len(body) < length:
        body += connection.recv(65536)


@contextmanager
def raw_server(talk: Callable[[socket.socket], None]) -> Iterator[str]:
    """The base URL of a server that answers each connection by a function."""
    listening = socket.create_server(("127.0.0.1", 0))
    over = threading.Event()

    def run() -> None:
        while not over.is_set():
            connection, _ = listening.accept()
            with connection:
                if not over.is_set():
                    _read_request(connection)
                    talk(connection)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/api/v1"
    finally:
        over.set()
        socket.create_connection(listening.getsockname()).close()
        thread.join(PATIENCE)
        listening.close()


def _saying(text: bytes) -> Callable[[socket.socket], None]:
    return lambda connection: connection.sendall(text)


def _waiting(connection: socket.socket) -> None:
    with suppress(ConnectionError):
        while connection.recv(65536):
            pass


@pytest.mark.parametrize(
    ("talk", "told"),
    [
        (_saying(b""), "hung up, or what it sent is no HTTP."),
        (_saying(b"220 mail.example ESMTP\r\n"), "hung up, or what it sent is no HTTP."),
        (_saying(_OK + b"content-length: 9\r\n\r\n{"), "broke off within its answer."),
        (
            _saying(b"HTTP/1.1 307 x\r\nlocation: https://other.example/a\r\ncontent-length: 0\r\n\r\n"),
            'redirects to "other.example", which isn\'t followed; name the final base URL.',
        ),
        (
            _saying(_GZIP + b"content-length: 2\r\n\r\n{}"),
            "broke off within its answer.",
        ),
    ],
    ids=["hangs up", "no HTTP", "breaks off", "redirects", "false gzip"],
)
def test_an_upstream_that_fails_is_told_and_records_nothing(
    talk: Callable[[socket.socket], None], told: str, tmp_path: Path
) -> None:
    with raw_server(talk) as real, mock(recorder(tmp_path, real)) as url:
        status, body, _ = send(url, REQUESTS[1])
    message = json.loads(body)["message"]
    assert (status, message) == (502, f"Bad gateway: {real.split('/')[2]} {told}")
    assert list(tmp_path.glob("*.yaml")) == []


def test_a_slow_upstream_is_told_and_others_go_on(tmp_path: Path) -> None:
    tape = recorder(tmp_path, "")
    with raw_server(_waiting) as slow, mock() as good:
        tape.upstream = Upstream(slow, allowance=Allowance(timeout=0.3))
        with mock(tape) as url:
            assert send(url, REQUESTS[1])[0] == 504
            tape.upstream.close()
            tape.upstream = Upstream(good, allowance=Allowance(timeout=PATIENCE))
            assert send(url, REQUESTS[1])[0] == 200


def test_a_stream_that_breaks_off_is_not_recorded(tmp_path: Path) -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    with raw_server(_saying(head + b"a\r\ndata: {}\n\n\r\n")) as real, mock(recorder(tmp_path, real)) as url:
        with pytest.raises(httpx.RemoteProtocolError):
            send(url, REQUESTS[2])
        [entry] = httpx.get(url.replace("/api/v1", "/_mock/requests")).json()["requests"]
    assert "broke off within its answer; nothing was recorded" in entry["notes"][0]
    assert list(tmp_path.glob("*.yaml")) == []


def test_a_huge_answer_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(vars(sys.modules[Upstream.__module__]), "MOST_ANSWER_BYTES", 1000)
    text = _OK + b"content-length: 2000\r\n\r\n" + b"x" * 2000
    with raw_server(_saying(text)) as real, mock(recorder(tmp_path, real)) as url:
        assert send(url, REQUESTS[1])[0] == 502


def test_what_breaks_the_contract_is_recorded_with_the_reason(tmp_path: Path) -> None:
    text = _OK + b'set-cookie: a=b\r\ncontent-length: 13\r\n\r\n{"score":"2"}'
    with raw_server(_saying(text)) as real, mock(recorder(tmp_path, real)) as url:
        assert send(url, REQUESTS[0])[:2] == (200, b'{"score":"2"}')
    [file] = tmp_path.glob("*.yaml")
    assert "- 'answer /score: " in file.read_text()
    assert "a=b" not in file.read_text()


def test_a_client_that_leaves_costs_the_others_nothing(tmp_path: Path) -> None:
    waiting, go_on = threading.Event(), threading.Event()

    def talk(connection: socket.socket) -> None:
        waiting.set()
        go_on.wait(PATIENCE)
        connection.sendall(_OK + b"content-length: 2\r\n\r\n{}")

    with raw_server(talk) as real, mock(recorder(tmp_path, real)) as url:
        host, port = url.split("/")[2].split(":")
        body = json.dumps(CHAT).encode()
        head = "POST /api/v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer abc\r\n"
        head += f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        with socket.create_connection((host, int(port))) as leaving:
            leaving.sendall(head.encode() + body)
            assert waiting.wait(PATIENCE)
        go_on.set()
        assert send(url, REQUESTS[1])[0] == 200


# Who may not.


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"host": "evil.example"},
        {"host": "evil.example:6736"},
        {"host": "127.0.0.1.evil.example"},
    ],
)
@pytest.mark.parametrize("media", ["application/json", "text/plain", "application/x-www-form-urlencoded", ""])
def test_a_foreign_page_costs_the_upstream_nothing(
    headers: dict[str, str], media: str, tmp_path: Path
) -> None:
    tape = recorder(tmp_path, "http://127.0.0.1:9/api/v1")
    with mock(tape) as url:
        for asked in REQUESTS[:2]:
            assert send(url, asked, **{"content-type": media}, **headers)[0] in (400, 403)
    assert tape.upstream
    assert tape.upstream.sent == 0


@pytest.mark.parametrize(
    "path", ["/embeddings", "/../secrets", "/chat/completions/", "/chat/completions?x=1/.."]
)
def test_paths_that_are_not_served_are_not_passed_on(path: str, tmp_path: Path) -> None:
    tape = recorder(tmp_path, "http://127.0.0.1:9/api/v1")
    with mock(tape) as url:
        send(url, ("PUT" if "?" in path else "POST", path, CHAT, {}))
    assert tape.upstream
    assert tape.upstream.sent == 0


def test_no_more_than_the_budget_is_passed_on(real: str, tmp_path: Path) -> None:
    tape = recorder(tmp_path, real)
    tape.upstream = Upstream(real, allowance=Allowance(requests=2, rate=1000))
    with mock(tape) as url:
        answers = [send(url, asked) for asked in REQUESTS[:4]]
    assert [status for status, *_ in answers] == [200, 200, 502, 502]
    told = "Bad gateway: 2 requests were passed on, as many as `--max-requests` allows."
    assert json.loads(answers[2][1])["message"] == told


def test_the_upstream_gets_the_key_and_few_headers() -> None:
    sent = {b"authorization": b"Bearer op-local", b"cookie": b"a", b"op-tags": b"\xe9", b"origin": b"y"}
    assert Upstream("http://x", "sk-1").passed(sent)[b"authorization"] == b"Bearer sk-1"
    found = Upstream("http://x").passed({**sent, b"user-agent": b"me"})
    assert found == {
        b"authorization": b"Bearer op-local",
        b"op-tags": b"\xe9",
        b"user-agent": b"me",
        b"accept-encoding": b"identity",
    }
    assert b"authorization" not in Upstream("http://x", "sk-1").passed({})


def test_the_key_of_the_environment_goes_to_the_service_alone() -> None:
    key = partial(key_for, environment={"OPENPIPE_API_KEY": "sk-1", "MINE": "sk-2"})
    assert key("https://api.openpipe.ai/api/v1") == "sk-1"
    for url in (
        "http://api.openpipe.ai",
        "https://api.openpipe.ai.evil.example",
        "https://evil.example",
        "http://x",
    ):
        assert key(url) == ""
    assert key("https://evil.example", name="MINE") == "sk-2"


@pytest.mark.parametrize(
    ("url", "options", "told"),
    [
        ("api.openpipe.ai", {}, "expected a base URL"),
        ("ftp://x", {}, "expected a base URL"),
        ("http://x:99999", {}, "expected a base URL"),
        ("https://me:secret@x", {}, "give the base URL alone"),
        ("https://x/?key=1", {}, "give the base URL alone"),
        ("https://x", {"key_env": "NO_SUCH_KEY"}, "NO_SUCH_KEY: this variable isn't set"),
        ("https://x", {"ca": "/no/such/file"}, "expected a readable PEM file"),
    ],
)
def test_an_upstream_that_is_no_use_is_told(url: str, options: Any, told: str) -> None:
    with pytest.raises(BadUpstream, match=told) as found:
        upstream(url, **options)
    assert "secret" not in str(found.value)


def test_a_key_in_the_file_keeps_it_from_being_written(
    real: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Hiding, "hidden", lambda self, recording: recording)
    with mock(recorder(tmp_path, real)) as url:
        assert send(url, ("POST", "/chat/completions", {**CHAT, "user": KEY}, {}))[0] == 200
        [entry] = httpx.get(url.replace("/api/v1", "/_mock/requests")).json()["requests"]
    assert list(tmp_path.glob("*.yaml")) == []
    assert entry["notes"] == ["nothing was recorded: the recording would hold a key"]
