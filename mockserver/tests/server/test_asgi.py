"""The ASGI adapter, spoken to as a server speaks to it: bodies, streams, crashes, origins, logs, the page."""

import asyncio
import json
import logging
import os
import subprocess
import sys
from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from openpipe_mock import __version__
from openpipe_mock.config import file as configfile
from openpipe_mock.config.settings import Settings, Validation
from openpipe_mock.core.effects import Begin, Effect, Entropy, Now, Piece, Reply, Wait
from openpipe_mock.server.asgi import create_app
from openpipe_mock.server.transport import WRITE, ClientGone, Transport
from openpipe_mock.service.fast_lane import FastLane
from openpipe_mock.service.service import Service
from tests.chatting import CHAT
from tests.inprocess import FULL, HEADERS, JUDGE, MINIMAL, answer, having

Json = Any
Message = dict[str, Any]

PATIENCE = 40
MINIMAL_BODY = json.dumps(MINIMAL).encode()
GONE: Message = {"type": "http.disconnect"}


@dataclass
class Heard:
    """What a server hears from the app: the messages, and how often the app asked for more of the request."""

    messages: list[Message] = field(default_factory=list)
    reads: int = 0

    @property
    def status(self) -> int:
        status: int = self.messages[0]["status"]
        return status

    @property
    def headers(self) -> Mapping[bytes, bytes]:
        pairs = self.messages[0]["headers"]
        assert len({name for name, _ in pairs}) == len(pairs), pairs
        return dict(pairs)

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.messages[1:])

    @property
    def json(self) -> Json:
        return json.loads(self.body)


class Client:
    """The client's side of a request: its messages in order, then silence."""

    def __init__(self, messages: Iterable[Message]) -> None:
        self.coming = iter(messages)
        self.heard = Heard()

    async def receive(self) -> Message:
        self.heard.reads += 1
        for message in self.coming:
            return message
        return await asyncio.Future()

    async def send(self, message: Any) -> None:
        self.heard.messages.append(dict(message))


def pieces(*parts: bytes, complete: bool = True) -> list[Message]:
    """A body in parts, as a server hands it on."""
    last = len(parts) - 1 if complete else len(parts)
    return [{"type": "http.request", "body": p, "more_body": n < last} for n, p in enumerate(parts)]


def scope_of(path: str, method: str, headers: Mapping[bytes, bytes], query: bytes) -> Message:
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query,
        "root_path": "",
        "headers": list(headers.items()),
        "server": ("127.0.0.1", 6736),
        "client": ("127.0.0.1", 50000),
    }


def drive(
    path: str = JUDGE,
    method: str = "POST",
    *,
    headers: Mapping[bytes, bytes] = HEADERS,
    messages: Iterable[Message] = (),
    query: bytes = b"",
    settings: Settings | None = None,
) -> Heard:
    """Send one request to a new app; fails when the app waits for what never comes."""
    client = Client(messages)
    app = create_app(settings)

    async def run() -> None:
        async with asyncio.timeout(PATIENCE):
            await app(scope_of(path, method, headers, query), client.receive, client.send)
        assert asyncio.all_tasks() == {asyncio.current_task()}, "the app left a task behind"

    asyncio.run(run())
    return client.heard


def get(path: str, **headers: bytes) -> Heard:
    """A browser's request, without a key."""
    named = {name.replace("_", "-").encode(): value for name, value in headers.items()}
    return drive(path, "GET", headers={b"host": b"127.0.0.1:6736", **named}, messages=pieces(b""))


# Bodies


def test_the_reply_of_the_service_goes_out_whole_with_its_length() -> None:
    heard = drive(messages=pieces(json.dumps(FULL).encode()))
    expected = answer(Service(), FULL)
    assert [message["type"] for message in heard.messages] == ["http.response.start", "http.response.body"]
    assert (heard.status, heard.body) == (200, expected.body)
    assert heard.headers == {**dict(expected.headers), b"content-length": str(len(heard.body)).encode()}


@pytest.mark.parametrize(
    "parts",
    [
        [MINIMAL_BODY],
        [MINIMAL_BODY, b""],
        [b"", b"", MINIMAL_BODY],
        [MINIMAL_BODY[:1], MINIMAL_BODY[1:-1], MINIMAL_BODY[-1:]],
        [bytes([byte]) for byte in MINIMAL_BODY],
    ],
    ids=["one", "an empty one behind", "empty ones before", "three", "one for each byte"],
)
def test_a_body_may_come_in_any_number_of_pieces(parts: list[bytes]) -> None:
    assert drive(messages=pieces(*parts)).body == answer(Service(), MINIMAL).body


def test_a_message_without_a_body_is_an_empty_piece() -> None:
    assert drive(messages=[{"type": "http.request"}]).json["code"] == "PARSE_ERROR"
    parts = [{"type": "http.request", "more_body": True}, *pieces(MINIMAL_BODY)]
    assert drive(messages=parts).status == 200


@pytest.mark.parametrize("sent", [[], pieces(b"{", complete=False), pieces(b"{", b'"a"', complete=False)])
def test_a_client_that_leaves_before_its_body_is_complete_gets_nothing(
    sent: list[Message], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, "openpipe_mock"):
        assert drive(messages=[*sent, GONE]).messages == []
    [line] = caplog.messages
    assert "the client hung up" in line


def test_a_body_beyond_the_limit_is_not_read_to_its_end() -> None:
    endless = ({"type": "http.request", "body": b"x" * 40, "more_body": True} for _ in range(1000))
    heard = drive(messages=endless, settings=Settings(max_body_bytes=100))
    assert (heard.status, heard.json["code"]) == (413, "PAYLOAD_TOO_LARGE")
    assert heard.reads == 3


def test_a_body_beyond_the_limit_in_one_piece_is_refused_too() -> None:
    body = MINIMAL_BODY
    for limit, status in ((len(body), 200), (len(body) - 1, 413)):
        assert drive(messages=pieces(body), settings=Settings(max_body_bytes=limit)).status == status
        halves = pieces(body[:9], body[9:])
        assert drive(messages=halves, settings=Settings(max_body_bytes=limit)).status == status


def test_what_is_refused_by_its_head_is_not_read_at_all() -> None:
    for headers in ({}, {**HEADERS, b"content-length": b"99999999999"}, {**HEADERS, b"content-type": b"x/y"}):
        assert drive(headers=headers, messages=pieces(MINIMAL_BODY)).reads == 0


# Streams


def carried(exchange: Generator[Effect, Any, Reply], messages: Iterable[Message] = ()) -> Heard:
    """Carry out an exchange of one's own."""
    client = Client(messages)

    async def run() -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                await Transport({}, client.receive, client.send).carry(exchange)
        finally:
            await asyncio.sleep(0)
            assert asyncio.all_tasks() == {asyncio.current_task()}, "a task was left behind"

    asyncio.run(run())
    return client.heard


STREAM = ((b"content-type", b"text/event-stream"),)


def test_a_stream_goes_out_piece_by_piece_and_is_ended() -> None:
    def exchange() -> Generator[Effect, Any, Reply]:
        yield Begin(200, STREAM)
        yield Piece(b"one")
        yield Piece(b"two")
        return Reply(200, b"", STREAM)

    start, one, two, end = carried(exchange()).messages
    assert (start["status"], list(start["headers"])) == (200, list(STREAM))
    assert [part["body"] for part in (one, two)] == [b"one", b"two"]
    assert [part.get("more_body", False) for part in (one, two, end)] == [True, True, False]
    assert end.get("body", b"") == b""


@pytest.mark.parametrize("writes", [True, False])
def test_pieces_may_be_written_several_at_once(writes: bool) -> None:
    texts = [b"%d" % number for number in range(100)]
    together: list[int] = []
    client = Client([])

    def exchange() -> Generator[Effect, Any, Reply]:
        yield Begin(200, STREAM)
        for text in texts:
            yield Piece(text)
        return Reply(200, b"", STREAM)

    def write(pieces: list[bytes]) -> bool:
        together.append(len(pieces))
        if writes:
            client.heard.messages.extend({"type": "http.response.body", "body": piece} for piece in pieces)
        return writes

    async def run() -> None:
        scope = {"extensions": {WRITE: {"call": write}}}
        await Transport(scope, client.receive, client.send).carry(exchange())

    asyncio.run(run())
    _, *sent = client.heard.messages
    assert [message.get("body", b"") for message in sent] == [*texts, b""]
    assert together == [31, 31, 31, 2]


def test_a_client_that_leaves_ends_the_stream_and_the_exchange() -> None:
    made: list[int] = []

    def exchange() -> Generator[Effect, Any, Reply]:
        try:
            yield Begin(200, STREAM)
            for number in range(1000):
                made.append(number)
                yield Piece(b"x")
            return Reply(200, b"", STREAM)
        finally:
            made.append(-1)

    class Leaving(Client):
        async def send(self, message: Any) -> None:
            await super().send(message)
            await asyncio.sleep(0)

    client = Leaving([GONE])

    async def run() -> None:
        async with asyncio.timeout(PATIENCE):
            await Transport({}, client.receive, client.send).carry(exchange())

    with pytest.raises(ClientGone):
        asyncio.run(run())
    assert len(client.heard.messages) < 10
    assert made[-1] == -1


def test_a_stream_that_fails_in_the_middle_leaves_no_task_behind() -> None:
    def exchange() -> Generator[Effect, Any, Reply]:
        yield Begin(200, STREAM)
        yield Piece(b"x")
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        carried(exchange())


def test_waiting_takes_its_time_and_nothing_else() -> None:
    seen: list[float] = []

    def exchange() -> Generator[Effect, Any, Reply]:
        seen.append((yield Now()))
        seen.append((yield Wait(0.05)))
        seen.append((yield Now()))
        return Reply(204, b"")

    carried(exchange())
    started, nothing, ended = seen
    assert nothing is None
    assert 0.04 < ended - started < PATIENCE


def test_time_and_chance_come_from_outside() -> None:
    seen: list[Any] = []

    def exchange() -> Generator[Effect, Any, Reply]:
        seen.extend(((yield Now()), (yield Entropy(12)), (yield Entropy(12))))
        return Reply(204, b"")

    assert carried(exchange()).status == 204
    now, one, other = seen
    assert now > 1_700_000_000
    assert (len(one), len(other)) == (12, 12)
    assert one != other


# Crashes


def crashing(monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(self: object, *rest: object) -> Reply:
        raise RuntimeError("an inner detail")

    monkeypatch.setattr(Service, "admit", crash)
    monkeypatch.setattr(FastLane, "judgement", crash)


def test_a_defect_of_ours_answers_500_and_leaves_its_traceback_in_the_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    crashing(monkeypatch)
    heard = drive(path="/api/v1/x\n\x1b[31m", messages=pieces(MINIMAL_BODY))
    assert (heard.status, heard.json["code"]) == (500, "INTERNAL_SERVER_ERROR")
    assert heard.json["message"].startswith("Internal server error: ")
    assert b"inner detail" not in heard.body
    [record] = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert record.name == "openpipe_mock"
    assert record.exc_info is not None
    assert str(record.exc_info[1]) == "an inner detail"
    assert record.getMessage().isprintable()


def test_a_defect_of_ours_still_has_its_line_in_the_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    crashing(monkeypatch)
    with caplog.at_level(logging.INFO, "openpipe_mock.requests"):
        drive(messages=pieces(MINIMAL_BODY))
    [line] = lines(caplog)
    assert line.startswith(f"POST {JUDGE} 500  Internal server error")


# Other origins


LOCAL = (
    "http://localhost",
    "http://localhost:3000",
    "https://localhost:8443",
    "http://127.0.0.1:5173",
    "http://[::1]:8080",
    "http://app.localhost:1234",
)
FOREIGN = (
    "https://example.com",
    "null",
    "",
    "http://localhost.example.com",
    "http://example.com/localhost",
    "http://evil-localhost",
    "http://127.0.0.1.example.com",
    "http://127.0.0.2",
    "http://127-0-0-1",
    "http://127.0.0.1:",
    "http://127.0.0.1/x",
    "http://localhost:3000.example.com",
    "http://localhost:",
    "http://user@localhost",
    "https://localhost\n",
    "file://localhost",
    "http://\u00ff.localhost\u00ff",
)
PREFLIGHT = {
    b"access-control-request-method": b"POST",
    b"access-control-request-headers": b"authorization,content-type,op-criteria,x-stainless-lang",
}


def allowed_origin(heard: Heard) -> bytes | None:
    return heard.headers.get(b"access-control-allow-origin")


@pytest.mark.parametrize("origin", LOCAL)
def test_a_page_of_this_machine_may_call_the_mock(origin: str) -> None:
    sent = {b"origin": origin.encode()}
    for heard in (
        drive(headers={**HEADERS, **sent}, messages=pieces(MINIMAL_BODY)),
        drive(headers=sent, messages=pieces(MINIMAL_BODY)),
        drive("/api/v1/datasets", headers={**HEADERS, **sent}, messages=pieces(b"")),
        get("/_mock/health", origin=origin.encode()),
    ):
        assert allowed_origin(heard) == origin.encode()
        assert b"origin" in heard.headers[b"vary"].lower()


@pytest.mark.parametrize("origin", LOCAL)
def test_a_browser_that_asks_first_is_told_that_it_may(origin: str) -> None:
    heard = drive(method="OPTIONS", headers={b"origin": origin.encode(), **PREFLIGHT}, messages=pieces(b""))
    assert heard.status in (200, 204)
    assert allowed_origin(heard) == origin.encode()
    assert "POST" in heard.headers[b"access-control-allow-methods"].decode()
    for name in PREFLIGHT[b"access-control-request-headers"].split(b","):
        assert name in heard.headers[b"access-control-allow-headers"].lower()


@pytest.mark.parametrize("origin", FOREIGN)
def test_a_page_from_elsewhere_gets_no_permission(origin: str) -> None:
    sent = {b"origin": origin.encode("latin-1")}
    for heard in (
        drive(headers={**HEADERS, **sent}, messages=pieces(MINIMAL_BODY)),
        drive(method="OPTIONS", headers={**sent, **PREFLIGHT}, messages=pieces(b"")),
        drive("/_mock/health", "OPTIONS", headers={**sent, **PREFLIGHT}, messages=pieces(b"")),
        get("/_mock/health", **{"origin": sent[b"origin"]}),
        get("/", **{"origin": sent[b"origin"]}),
    ):
        assert [name for name in heard.headers if name.startswith(b"access-control-")] == []


def test_a_failing_answer_lets_a_local_page_read_it_too(monkeypatch: pytest.MonkeyPatch) -> None:
    crashing(monkeypatch)
    heard = drive(headers={**HEADERS, b"origin": LOCAL[0].encode()}, messages=pieces(MINIMAL_BODY))
    assert (heard.status, allowed_origin(heard)) == (500, LOCAL[0].encode())


# The mock's own paths


def test_the_health_check_needs_no_key_and_says_what_decides_the_answers() -> None:
    heard = drive("/_mock/health", "GET", headers={}, settings=Settings(seed=7, validation="lenient"))
    assert heard.status == 200
    assert heard.json == {
        "status": "ok",
        "name": "openpipe-mock",
        "version": __version__,
        "seed": 7,
        "answers": 2,
        "validation": "lenient",
    }


@pytest.mark.parametrize("path", ["/_mock/", "/_mock/nothing", "/_mock/health/x", "/_mock", "/_mock//health"])
def test_an_unknown_path_of_the_mocks_own_answers_json(path: str) -> None:
    heard = get(path)
    assert (heard.status, heard.json["code"]) == (404, "NOT_FOUND")
    assert heard.headers[b"content-type"] == b"application/json"


@pytest.mark.parametrize("path", ["/", "/_mock/health"])
@pytest.mark.parametrize("method", ["POST", "DELETE", "OPTIONS"])
def test_a_wrong_method_on_the_mocks_own_paths_answers_json_with_allow(path: str, method: str) -> None:
    heard = drive(path, method, messages=pieces(b""))
    assert (heard.status, heard.json["code"]) == (405, "METHOD_NOT_SUPPORTED")
    assert set(heard.headers[b"allow"].split(b", ")) == {b"GET", b"HEAD"}
    assert heard.headers[b"content-type"] == b"application/json"


def test_the_mock_forgets_when_told_to_and_only_by_post() -> None:
    assert drive("/_mock/reset", headers={}, messages=pieces(b"")).json == {"status": "ok"}
    heard = get("/_mock/reset")
    assert (heard.status, heard.headers[b"allow"]) == (405, b"POST")


@pytest.mark.slow
def test_the_mocks_own_errors_are_the_same_bytes_whatever_the_hash_seed() -> None:
    program = (
        "from tests.server.test_asgi import drive, pieces\n"
        "print(repr(drive('/', 'POST', messages=pieces(b'')).messages))"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": str(seed)},
            capture_output=True,
            check=True,
        ).stdout
        for seed in range(4)
    }
    assert len(said) == 1


def test_head_of_the_page_and_of_the_health_check_is_answered() -> None:
    for path in ("/", "/_mock/health"):
        assert drive(path, "HEAD", headers={}, messages=pieces(b"")).status == 200


def test_the_app_starts_and_stops_when_the_server_says_so() -> None:
    client = Client([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])

    async def run() -> None:
        async with asyncio.timeout(PATIENCE):
            await create_app()({"type": "lifespan", "asgi": {}}, client.receive, client.send)

    asyncio.run(run())
    assert [message["type"] for message in client.heard.messages] == [
        "lifespan.startup.complete",
        "lifespan.shutdown.complete",
    ]


# Log lines


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "openpipe_mock.requests"]


def test_a_request_has_one_line_with_method_path_status_and_subject(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.INFO, "openpipe_mock.requests"):
        score = drive(messages=pieces(MINIMAL_BODY)).json["score"]
    [line] = lines(caplog)
    assert line.startswith(f"POST {JUDGE} 200  helpful@v1 {score}  ")
    assert line.endswith(" ms  default-1")
    assert {record.levelno for record in caplog.records} == {logging.INFO}


def test_no_line_is_written_where_nobody_listens(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "openpipe_mock.requests"):
        drive(messages=pieces(MINIMAL_BODY))
    assert caplog.records == []


@pytest.mark.parametrize("key", [b"Bearer s3cret", b"Bearer invalid-s3cret", b"Basic s3cret", b"s3cret"])
def test_no_line_holds_the_key_or_the_query(key: bytes, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "openpipe_mock"):
        headers = {**HEADERS, b"authorization": key}
        drive(headers=headers, messages=pieces(MINIMAL_BODY), query=b"key=s3cret")
        drive("/nowhere", headers=headers, query=b"key=s3cret")
    assert len(lines(caplog)) == 2
    assert "s3cret" not in caplog.text


SECRET = "op-s3cret-1"
SAYS = {"messages": [{"role": "user", "content": "Hi"}]}
CHATTED = {"model": "openpipe:m", **SAYS}
SPILLED: dict[str, tuple[str, Json, dict[bytes, bytes]]] = {
    "model": (CHAT, {"model": SECRET, **SAYS}, {}),
    "n": (CHAT, {**CHATTED, "n": SECRET}, {}),
    "a member": (JUDGE, having(**{SECRET: 1}), {}),
    "op-cache": (CHAT, CHATTED, {b"op-cache": SECRET.encode()}),
    "op-criteria": (CHAT, CHATTED, {b"op-criteria": SECRET.encode()}),
    "x-mock-fault": (JUDGE, having(), {b"x-mock-fault": SECRET.encode()}),
    "x-mock-session": (JUDGE, having(), {b"x-mock-session": f"-{SECRET}".encode()}),
    "criterion_id": (JUDGE, having(criterion_id=SECRET), {}),
    "an unknown criterion": (JUDGE, having(criterion_id=f"mock-{SECRET}"), {}),
    "path": (f"/api/v1/{SECRET}", {}, {}),
    "another key": (CHAT, {"model": "sk-abcdefgh", **SAYS}, {}),
}


@pytest.mark.parametrize("place", SPILLED)
@pytest.mark.parametrize("validation", ["strict", "lenient"])
def test_no_line_and_no_note_holds_a_key_that_a_client_sent_elsewhere(
    place: str, validation: Validation, caplog: pytest.LogCaptureFixture
) -> None:
    path, body, more = SPILLED[place]
    headers = {**HEADERS, b"authorization": f"Bearer {SECRET}".encode(), **more}
    sent = pieces(json.dumps(body).encode())
    with caplog.at_level(logging.DEBUG, "openpipe_mock"):
        drive(path, headers=headers, messages=sent, settings=Settings(validation=validation))
    [line] = lines(caplog)
    assert "***" in caplog.text
    assert line.startswith("POST /api/v1/")
    assert SECRET not in caplog.text
    assert "sk-abc" not in caplog.text


def test_an_undeclared_criterion_is_told_in_full_once(caplog: pytest.LogCaptureFixture) -> None:
    declared = configfile.settings({"criteria": {"helpful": {"score": 1}}})
    with caplog.at_level(logging.DEBUG, "openpipe_mock"):
        drive(messages=pieces(json.dumps(having(criterion_id="helpfull")).encode()), settings=declared)
    assert lines(caplog)[0].startswith(f"POST {JUDGE} 404  Criterion helpfull not found  ")
    assert caplog.text.count('Did you mean "helpful"?') == 1


HOSTILE = "\n\r\x1b[31m\x00\x7f\x85\u2028\u202e\ufeff"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (f"/api/v1/{HOSTILE}", {}),
        (JUDGE, having(criterion_id=HOSTILE)),
        (JUDGE, having(criterion_id=f"a@{HOSTILE}")),
        (JUDGE, having(criterion_id="a\x85\u202e\ufeff")),
        (JUDGE, having(**{HOSTILE: 1})),
        (JUDGE, having(output=HOSTILE)),
    ],
)
@pytest.mark.parametrize("validation", ["strict", "lenient"])
def test_nothing_that_a_client_sends_plays_tricks_in_the_log(
    path: str, body: Json, validation: Validation, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, "openpipe_mock"):
        drive(path, messages=pieces(json.dumps(body).encode()), settings=Settings(validation=validation))
    assert lines(caplog)
    for record in caplog.records:
        assert record.getMessage().isprintable(), record.getMessage()
        assert len(record.getMessage()) < 1000


def test_a_long_path_is_cut_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "openpipe_mock.requests"):
        drive("/" + "x" * 100_000)
    [line] = lines(caplog)
    assert len(line) < 1000


def test_what_strict_would_refuse_is_a_warning_for_each_finding(caplog: pytest.LogCaptureFixture) -> None:
    body = json.dumps(having(criterion_id=5, extra=1)).encode()
    expected: tuple[tuple[Validation, int], ...] = (("lenient", 2), ("strict", 0))
    for mode, number in expected:
        caplog.clear()
        drive(messages=pieces(body), settings=Settings(validation=mode))
        found = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
        assert len(found) == number
        assert all("strict would refuse /" in text and JUDGE in text for text in found)


# The page


@pytest.mark.parametrize(
    "host",
    [
        b'"><script>x</script>',
        b"<b>",
        b"[::",
        b"[evil",
        b"a/b?c#d",
        b"x:notaport",
        b"\xff\xfe",
        b"",
        b"a b\x00",
    ],
)
def test_a_hostile_host_gets_neither_the_page_nor_the_control_api(host: bytes) -> None:
    for path in ("/", "/_mock/nothing"):
        heard = get(path, host=host)
        assert (heard.status, heard.json["code"]) == (403, "FORBIDDEN")
        assert heard.headers[b"x-content-type-options"] == b"nosniff"
        assert heard.headers[b"content-type"] == b"application/json"
