"""Faults over a socket: what exactly arrives, that the connection then ends, and that nobody else suffers."""

import asyncio
import contextlib
import json
import logging
import socket
import ssl
import struct
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest
import trustme

from openpipe_mock.answers.pace import Pace
from openpipe_mock.config.settings import Settings
from openpipe_mock.core.effects import Begin, Break, Effects, Head, Piece, ReadBody, Reply, Tick, Wait
from openpipe_mock.faults.fault import Fault, with_fault
from openpipe_mock.faults.kinds import Context, Disconnect, Drip, Empty, Endless, Malformed, Truncated
from openpipe_mock.matching.conditions import Condition, When, demand
from openpipe_mock.server.direct import DirectApp
from openpipe_mock.server.server import LOOP
from openpipe_mock.server.transport import DROP, ExchangeApp
from openpipe_mock.service.refusals import refusal
from tests.live import PATIENCE
from tests.threads import eventually, served

STREAM = ((b"content-type", b"text/event-stream"),)
EVENTS = [b"data: one\n\n", b"data: two\n\n", b"data: three\n\n", b"data: [DONE]\n\n"]
CHUNK = b'data: {"choices":[{"index":0,"delta":{"content":"on "},"finish_reason":null}]}\n\n'
ANSWER = b'{"score":0.5}'
LARGE = b"x" * 4_000_000
"""More than what fits between two sockets."""
FOREVER = 10**9

# An engine behind a socket.


def plain(body: bytes = ANSWER) -> Effects:
    yield from ()
    return Reply(200, body)


def streaming() -> Effects:
    yield Begin(200, STREAM)
    for each in EVENTS:
        yield Piece(each)
    return Reply(200, b"", STREAM)


def chunks() -> Effects:
    yield Begin(200, STREAM)
    yield Piece(CHUNK)
    return Reply(200, b"", STREAM)


ROUTES: Mapping[str, tuple[Callable[[], Effects], Fault]] = {
    "/plain": (plain, Fault()),
    "/stream": (streaming, Fault()),
    "/disconnect": (plain, Fault(kinds=(Disconnect(),))),
    "/after-4-bytes": (plain, Fault(kinds=(Disconnect(after_bytes=4),))),
    "/after-all-bytes": (plain, Fault(kinds=(Disconnect(after_bytes=9999),))),
    "/after-2-events": (streaming, Fault(kinds=(Disconnect(after_events=2),))),
    "/after-15-bytes": (streaming, Fault(kinds=(Disconnect(after_bytes=15),))),
    "/after-many-bytes": (partial(plain, LARGE), Fault(kinds=(Disconnect(after_bytes=len(LARGE) - 1),))),
    "/malformed": (plain, Fault(kinds=(Malformed(),))),
    "/truncated": (plain, Fault(kinds=(Truncated(),))),
    "/truncated-stream": (streaming, Fault(kinds=(Truncated(),))),
    "/empty": (plain, Fault(kinds=(Empty(),))),
    "/empty-stream": (streaming, Fault(kinds=(Empty(),))),
    "/drip": (plain, Fault(kinds=(Drip(5, 0.001),))),
    "/drip-and-break": (streaming, Fault(kinds=(Disconnect(after_events=2), Drip(3, 0.001)))),
    "/delay": (plain, Fault(delay=0.001)),
    "/endless": (chunks, Fault(kinds=(Endless(),))),
    "/sleep": (plain, Fault(delay=1000)),
    "/slow": (plain, Fault(kinds=(Drip(1, 1000),))),
}


@dataclass
class Engine:
    """Answers by path; `ended` are the paths of the exchanges that came to an end, in whatever way."""

    ended: list[str] = field(default_factory=list)

    def exchange(self, head: Head) -> Effects:
        try:
            if head.method == "POST":
                yield ReadBody(1000)
            answer, fault = ROUTES[head.path]
            context = Context("", False, Pace(most_events=FOREVER), refusal, lambda _: 1)
            return (yield from with_fault(answer(), fault, context))
        finally:
            self.ended.append(head.path)


# The server, in a thread of this process.


@dataclass(frozen=True)
class Mock:
    """A running server: where it listens, and the engine behind it. `context`: how to speak TLS with it."""

    address: tuple[str, int]
    engine: Engine
    context: ssl.SSLContext | None = None

    @contextlib.contextmanager
    def connection(self) -> Iterator[socket.socket]:
        with contextlib.closing(socket.create_connection(self.address, timeout=PATIENCE)) as plain:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.context is None:
                yield plain
                return
            with self.context.wrap_socket(plain, server_hostname="localhost") as secure:
                yield secure

    def asked(self, *paths: str) -> bytes:
        """All that comes back over one connection, until its end, for requests that are sent at once."""
        with self.connection() as connection:
            connection.sendall(b"".join(map(request, paths)))
            return rest(connection)


def request(path: str) -> bytes:
    body = json.dumps({"path": path}).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: mock\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def rest(connection: socket.socket) -> bytes:
    """What comes until the server closes the connection; an abortive end is an error."""
    return b"".join(iter(lambda: connection.recv(65536), b""))


def until(connection: socket.socket, end: bytes) -> bytes:
    """What comes up to these bytes."""
    received = b""
    while not received.endswith(end):
        byte = connection.recv(1)
        assert byte, f"the connection ended after {received!r}"
        received += byte
    return received


@contextlib.contextmanager
def engine(context: ssl.SSLContext | None = None, **settings: Any) -> Iterator[Mock]:
    """A server of the exchanges above."""
    engine = Engine()
    with served(ExchangeApp(engine.exchange), **settings) as address:
        yield Mock(address, engine, context)


@pytest.fixture(scope="module", params=sorted({"asyncio", LOOP}))
def shared(request: pytest.FixtureRequest) -> Iterator[Mock]:
    with engine(loop=request.param) as mock:
        yield mock


@pytest.fixture
def quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Fails a test that leaves a warning or an error in any log."""
    for name in ("uvicorn", "uvicorn.error", "openpipe_mock"):
        assert logging.getLogger(name).propagate, f"nobody would see what {name} logs"
    caplog.set_level(logging.WARNING)
    yield
    assert [record.getMessage() for record in caplog.get_records("call")] == []


@pytest.fixture
def mock(shared: Mock, quiet: None) -> Mock:
    shared.engine.ended.clear()
    return shared


def split(received: bytes) -> tuple[list[bytes], bytes]:
    """An answer's head, sorted and without its first line's tail, and what follows it."""
    head, end, body = received.partition(b"\r\n\r\n")
    assert end
    return sorted(head.split(b"\r\n")), body


def chunked(*pieces: bytes) -> bytes:
    """Pieces of a body as HTTP writes them when it doesn't know their sum."""
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)


JSON_HEAD = [b"HTTP/1.1 200 OK", b"content-length: 13", b"content-type: application/json"]
STREAM_HEAD = [b"HTTP/1.1 200 OK", b"content-type: text/event-stream", b"transfer-encoding: chunked"]
END = chunked(b"")

# Disconnects


def test_a_connection_that_breaks_at_once_brings_nothing(mock: Mock) -> None:
    assert mock.asked("/disconnect") == b""


def test_a_plain_answer_breaks_in_the_middle_of_what_it_announced(mock: Mock) -> None:
    assert split(mock.asked("/after-4-bytes")) == (JSON_HEAD, ANSWER[:4])


def test_a_connection_may_break_behind_its_answer(mock: Mock) -> None:
    assert split(mock.asked("/after-all-bytes")) == (JSON_HEAD, ANSWER)


def test_a_stream_breaks_after_its_events_and_isn_t_ended(mock: Mock) -> None:
    assert split(mock.asked("/after-2-events")) == (STREAM_HEAD, chunked(*EVENTS[:2]))


def test_a_stream_breaks_in_the_middle_of_an_event(mock: Mock) -> None:
    assert split(mock.asked("/after-15-bytes")) == (STREAM_HEAD, chunked(EVENTS[0], EVENTS[1][:4]))


def test_what_was_sent_before_a_break_arrives_also_at_a_slow_reader(mock: Mock) -> None:
    with mock.connection() as connection:
        connection.sendall(request("/after-many-bytes"))
        until(connection, b"\r\n\r\n")
        time.sleep(0.05)  # the server has closed long since, with most of it still to be sent
        assert len(rest(connection)) == len(LARGE) - 1


def test_a_drip_that_breaks_has_brought_its_events(mock: Mock) -> None:
    head, body = split(mock.asked("/drip-and-break"))
    assert (head, body[-2:]) == (STREAM_HEAD, b"\r\n")
    sizes, pieces = body.split(b"\r\n")[:-1:2], body.removesuffix(b"\r\n").split(b"\r\n")[1::2]
    assert not body.endswith(END)
    assert max(int(size, 16) for size in sizes if size) == 3
    assert b"".join(pieces) in b"".join(EVENTS[:2])


# Others on the same connection, and on other ones


def test_a_connection_that_was_kept_alive_may_break(mock: Mock) -> None:
    with mock.connection() as connection:
        for _ in range(2):
            connection.sendall(request("/plain"))
            assert split(until(connection, ANSWER)) == (JSON_HEAD, ANSWER)
        connection.sendall(request("/disconnect"))
        assert rest(connection) == b""


def test_requests_before_a_break_are_answered_and_those_behind_it_are_not(mock: Mock) -> None:
    received = mock.asked("/plain", "/stream", "/disconnect", "/plain")
    first, _, second = received.partition(ANSWER)
    assert split(first + ANSWER) == (JSON_HEAD, ANSWER)
    assert split(second) == (STREAM_HEAD, chunked(*EVENTS) + END)
    assert mock.engine.ended == ["/plain", "/stream", "/disconnect"]


def test_a_pipeline_breaks_in_the_middle_of_its_second_answer(mock: Mock) -> None:
    received = mock.asked("/plain", "/after-2-events", "/plain", "/plain")
    _, _, second = received.partition(ANSWER)
    assert split(second) == (STREAM_HEAD, chunked(*EVENTS[:2]))


def test_other_connections_go_on_when_one_breaks(mock: Mock) -> None:
    with mock.connection() as endless, mock.connection() as kept:
        endless.sendall(request("/endless"))
        until(endless, CHUNK)
        kept.sendall(request("/plain"))
        until(kept, ANSWER)
        for path in ("/disconnect", "/after-4-bytes", "/after-2-events"):
            mock.asked(path)
        kept.sendall(request("/plain"))
        assert split(until(kept, ANSWER)) == (JSON_HEAD, ANSWER)
        for _ in range(3):
            until(endless, CHUNK)
        assert "/endless" not in mock.engine.ended
        hang_up(endless)
    eventually(lambda: "/endless" in mock.engine.ended)


def test_many_connections_break_at_once(mock: Mock) -> None:
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(mock.connection()) for _ in range(50)]
        for connection in connections:
            connection.sendall(request("/after-4-bytes"))
        assert {split(rest(connection))[1] for connection in connections} == {ANSWER[:4]}
    assert mock.engine.ended == ["/after-4-bytes"] * 50


# Bodies


@pytest.mark.parametrize(
    ("path", "length", "body"),
    [
        ("/malformed", 14, b"{" + ANSWER),
        ("/truncated", 6, ANSWER[:6]),
        ("/empty", 0, b""),
        ("/drip", 13, ANSWER),
        ("/delay", 13, ANSWER),
    ],
)
def test_a_spoiled_body_has_the_length_that_is_announced_and_the_connection_goes_on(
    mock: Mock, path: str, length: int, body: bytes
) -> None:
    received = mock.asked(path, "/disconnect")
    head, arrived = split(received)
    assert head == [JSON_HEAD[0], b"content-length: %d" % length, JSON_HEAD[2]]
    assert arrived == body


@pytest.mark.parametrize(("path", "events"), [("/truncated-stream", 2), ("/empty-stream", 0)])
def test_a_stream_that_is_cut_ends_as_http_wants_it(mock: Mock, path: str, events: int) -> None:
    expected = chunked(*EVENTS[:events]) + END
    assert split(mock.asked(path, "/disconnect")) == (STREAM_HEAD, expected)


# Clients that leave


def hang_up(connection: socket.socket) -> None:
    """Break the connection off, as a process that is killed does."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


@pytest.mark.parametrize(
    ("path", "seen"), [("/endless", CHUNK), ("/slow", b"\r\n\r\n{"), ("/sleep", b"")], ids=str
)
@pytest.mark.parametrize("leave", [hang_up, socket.socket.close], ids=["reset", "close"])
def test_a_client_that_leaves_ends_what_would_go_on(
    mock: Mock, path: str, seen: bytes, leave: Callable[[socket.socket], None]
) -> None:
    with mock.connection() as connection:
        connection.sendall(request(path))
        until(connection, seen)
        assert mock.engine.ended == []
        leave(connection)
    eventually(lambda: mock.engine.ended == [path])


def test_an_endless_stream_waits_for_a_client_that_doesn_t_read(mock: Mock) -> None:
    with mock.connection() as connection:
        connection.sendall(request("/endless"))
        until(connection, CHUNK)
        assert split(mock.asked("/plain", "/disconnect")) == (JSON_HEAD, ANSWER)
        hang_up(connection)
    eventually(lambda: "/endless" in mock.engine.ended)


def test_a_request_without_a_body_is_not_taken_for_one_whose_client_left(mock: Mock) -> None:
    with mock.connection() as connection:
        connection.sendall(b"GET /delay HTTP/1.1\r\nHost: mock\r\nConnection: close\r\n\r\n")
        assert split(rest(connection))[1] == ANSWER


# TLS


@pytest.fixture(scope="module", params=sorted({"asyncio", LOOP}))
def secure(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mock]:
    """A server that speaks TLS."""
    authority, folder = trustme.CA(), tmp_path_factory.mktemp("tls")
    certificate = authority.issue_cert("localhost")
    certificate.private_key_pem.write_to_path(str(folder / "key"))
    certificate.cert_chain_pems[0].write_to_path(str(folder / "certificate"))
    context = ssl.create_default_context()
    authority.configure_trust(context)
    files = {"ssl_keyfile": str(folder / "key"), "ssl_certfile": str(folder / "certificate")}
    with engine(context, loop=request.param, **files) as mock:
        yield mock


@pytest.mark.parametrize(
    ("path", "arrives"),
    [("/after-4-bytes", ANSWER[:4]), ("/after-2-events", chunked(*EVENTS[:2]))],
)
def test_a_secure_connection_breaks_after_what_was_sent(
    secure: Mock, quiet: None, path: str, arrives: bytes
) -> None:
    assert split(secure.asked(path))[1] == arrives
    assert secure.asked("/disconnect") == b""


def test_much_arrives_over_a_secure_connection_before_it_breaks(secure: Mock, quiet: None) -> None:
    assert len(split(secure.asked("/after-many-bytes"))[1]) == len(LARGE) - 1


# Servers that know no way to drop a connection


@pytest.fixture
def foreign() -> Iterator[Mock]:
    with engine(http="httptools") as mock:
        yield mock


def test_another_server_breaks_off_an_answer_that_was_begun(
    foreign: Mock, caplog: pytest.LogCaptureFixture
) -> None:
    assert split(foreign.asked("/after-4-bytes")) == (JSON_HEAD, ANSWER[:4])
    assert split(foreign.asked("/after-2-events")) == (STREAM_HEAD, chunked(*EVENTS[:2]))
    assert {record.name for record in caplog.records} == {"uvicorn.error"}


def test_another_server_breaks_off_an_answer_that_was_not_begun_after_its_head(
    foreign: Mock, caplog: pytest.LogCaptureFixture
) -> None:
    assert split(foreign.asked("/disconnect")) == ([JSON_HEAD[0], b"content-length: 1"], b"")
    assert {record.name for record in caplog.records} == {"uvicorn.error"}


# What an adapter tells of a request


def test_a_head_carries_its_query_and_when_it_came_on_the_clock_that_ticks() -> None:
    heads: list[Head] = []
    ticks: list[float] = []

    def exchange(head: Head) -> Effects:
        heads.append(head)
        ticks.append((yield Tick()))
        yield Wait(0.01)
        ticks.append((yield Tick()))
        return Reply(200, b"{}")

    one_request(exchange, {"query_string": b"n=1&m=%20"})
    one_request(exchange, {})
    assert [head.query for head in heads] == [b"n=1&m=%20", b""]
    assert heads[0].at <= ticks[0] < ticks[1] <= heads[1].at <= ticks[2] < ticks[3]


@pytest.mark.parametrize(("begun", "sent"), [(False, []), (True, ["http.response.start"])])
def test_nothing_is_sent_behind_a_break(begun: bool, sent: list[str]) -> None:
    def exchange(_: Head) -> Effects:
        if begun:
            yield Begin(200, STREAM)
        yield Break()
        return Reply(0, b"")

    dropped: list[str] = []
    extensions = {DROP: {"call": lambda: dropped.append("dropped")}}
    assert one_request(exchange, {"extensions": extensions}) == sent
    assert dropped == ["dropped"]


def one_request(exchange: Callable[[Head], Effects], members: Mapping[str, Any]) -> list[str]:
    """Carry out one request without a server; the types of the messages that it sends."""
    types: list[str] = []

    async def receive() -> Any:
        return await asyncio.Future()

    async def send(message: Any) -> None:
        types.append(message["type"])

    scope = {"type": "http", "method": "GET", "path": "/", "headers": [], **members}
    asyncio.run(ExchangeApp(exchange)(scope, receive, send))
    return types


# The whole mock

CHATTING = When((Condition("endpoint", "", (demand("equals", "chat"),)),))
FAULTS = (
    Fault(when=CHATTING, call=2, place="/faults/0", counter="0", kinds=(Disconnect(after_events=2),)),
    Fault(when=CHATTING, call=1, place="/faults/1", counter="1", kinds=(Disconnect(after_bytes=40),)),
    Fault(share=0.0, place="/faults/2", counter="2", kinds=(Malformed(),)),
)


@pytest.fixture
def address() -> Iterator[tuple[str, int]]:
    with served(DirectApp(Settings(faults=FAULTS))) as address:
        yield address


def chat(address: tuple[str, int], *, stream: bool, header: str = "") -> tuple[list[bytes], bytes]:
    """Head and body of a chat request's answer, up to the end of its connection."""
    messages = [{"role": "user", "content": "Count to three."}]
    body = json.dumps({"model": "openpipe:m", "messages": messages, "stream": stream}).encode()
    head = (
        "POST /api/v1/chat/completions HTTP/1.1\r\nHost: mock\r\nAuthorization: Bearer op\r\n"
        f"Connection: close\r\n{header}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with contextlib.closing(socket.create_connection(address, timeout=PATIENCE)) as connection:
        connection.sendall(head.encode() + body)
        received = rest(connection)
    return split(received) if received else ([], b"")


def test_the_faults_of_the_settings_strike_at_their_turns(address: tuple[str, int], quiet: None) -> None:
    head, body = chat(address, stream=False)
    [length] = (line.partition(b": ")[2] for line in head if line.startswith(b"content-length"))
    assert (int(length) > 40, len(body)) == (True, 40)
    _, whole = chat(address, stream=True)
    assert whole.endswith(b"data: [DONE]\n\n\r\n" + END)
    _, broken = chat(address, stream=True)
    assert broken.count(b"data: ") == 2
    assert whole.startswith(broken)
    _, answer = chat(address, stream=False)
    assert json.loads(answer)["object"] == "chat.completion"


@pytest.mark.parametrize(("name", "arrives"), [("disconnect", 0), ("disconnect-after-3", 3)])
def test_the_header_breaks_the_connection(
    address: tuple[str, int], quiet: None, name: str, arrives: int
) -> None:
    _, body = chat(address, stream=True, header=f"x-mock-fault: {name}\r\n")
    assert (body.count(b"data: "), b"[DONE]" in body) == (arrives, False)
