"""HTTP at the socket: offers of other protocols, slow senders, headers sent twice, and what is no HTTP."""

import asyncio
import contextlib
import gc
import json
import re
import select
import socket
import time
from collections.abc import Iterator
from typing import Any, cast

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from uvicorn.server import ServerState

from openpipe_mock.core.effects import Reply
from openpipe_mock.server import protocol
from openpipe_mock.server.direct import DirectApp
from openpipe_mock.server.protocol import DroppingProtocol
from openpipe_mock.server.server import Listener, uvicorn_config
from openpipe_mock.service.service import Service
from tests.live import PATIENCE, Live, serving, untimed
from tests.profiles import examples

BODY = b'{"criterion_id": "helpful", "output": {"role": "assistant", "content": "1, 2, 3"}}'
H2C = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n"
"""What Java's client offers with each first request of a connection."""
WEBSOCKET = (
    b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
FAR = b"203.0.113.9"


@pytest.fixture(scope="module")
def live() -> Iterator[Live]:
    with serving() as live:
        yield live


def judge(lines: bytes = b"", *, version: bytes = b"1.1", body: bytes = BODY) -> bytes:
    """A judge request with further header lines."""
    head = b"POST /api/v1/criteria/judge HTTP/%b\r\nHost: localhost\r\nAuthorization: Bearer op-local\r\n"
    length = b"Content-Type: application/json\r\nContent-Length: %d\r\n" % len(body)
    return head % version + length + lines + b"\r\n" + body


def get(path: bytes, lines: bytes = b"") -> bytes:
    return b"GET %b HTTP/1.1\r\n%b\r\n" % (path, lines)


CLOSING = get(b"/_mock/health", b"Host: localhost\r\nConnection: close\r\n")


def answers(live: Live, *pieces: bytes, ends: bool = False) -> list[tuple[int, bytes]]:
    """Status and body of each answer on a connection. Unless it ends by itself, a last request closes it."""
    received = b""
    with socket.create_connection(live.address, timeout=PATIENCE) as sock:
        for piece in pieces if ends else (*pieces, CLOSING):
            sock.sendall(piece)
        while more := sock.recv(65536):
            received += more
    found = list(split(received))
    return found if ends else found[:-1]


def split(received: bytes) -> Iterator[tuple[int, bytes]]:
    while received:
        head, _, rest = received.partition(b"\r\n\r\n")
        lines = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
        length = int(lines[b"content-length"])
        yield int(head.split()[1]), rest[:length]
        received = rest[length:]


def said(live: Live, before: int) -> list[str]:
    """The lines in the terminal since there were so many characters."""
    return untimed(live.log.read_text()[before:]).splitlines()


@pytest.fixture
def before(live: Live) -> int:
    return len(live.log.read_text())


# Offers of another protocol


def test_a_request_that_offers_http2_is_served_with_its_body_and_so_are_those_behind_it(
    live: Live, before: int
) -> None:
    [plain] = answers(live, judge())
    assert plain[0] == 200
    assert answers(live, judge(H2C), judge()) == [plain] * 2
    assert answers(live, judge(H2C) + judge() + judge(H2C)) == [plain] * 3
    assert [line.split()[2] for line in said(live, before) if "judge" in line] == ["200"] * 6
    assert len(said(live, before)) == 6, "and nothing is said of the offer"


def test_the_body_of_an_offer_may_come_in_pieces_and_in_chunks(live: Live) -> None:
    [plain] = answers(live, judge())
    whole = judge(H2C)
    assert answers(live, *(whole[at : at + 40] for at in range(0, len(whole), 40))) == [plain]
    chunked = judge(H2C + b"Transfer-Encoding: chunked\r\n", body=b"").replace(b"Content-Length: 0\r\n", b"")
    assert answers(live, chunked + b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)) == [plain]


def test_an_offer_that_ends_the_connection_ends_it(live: Live) -> None:
    lines = H2C.replace(b"Upgrade, ", b"Upgrade, close, ")
    [(status, _)] = answers(live, judge(lines), ends=True)
    assert status == 200


def test_very_many_offers_at_once_are_all_answered(live: Live) -> None:
    offer = get(b"/_mock/health", b"Host: x\r\n" + H2C)
    assert [status for status, _ in answers(live, offer * 1500)] == [200] * 1500


def test_a_websocket_is_refused_in_words_and_the_terminal_has_one_line(live: Live, before: int) -> None:
    request = get(b"/api/v1/realtime?model=m", b"Host: localhost\r\n" + WEBSOCKET)
    [(status, body)] = answers(live, request, b"\x81\x85frames", ends=True)
    answer = json.loads(body)
    assert (status, answer["code"]) == (400, "BAD_REQUEST")
    assert "speaks no WebSocket" in answer["message"]
    [line] = said(live, before)
    assert line.startswith("GET /api/v1/realtime 400  ")
    assert "speaks no WebSocket" in line


def test_a_websocket_to_the_control_api_is_refused_alike(live: Live) -> None:
    [(status, body)] = answers(live, get(b"/_mock/status", b"Host: localhost\r\n" + WEBSOCKET), ends=True)
    assert (status, b"no WebSocket" in body) == (400, True)


@pytest.mark.parametrize("target", [b"api.openpipe.ai:443", b"/"])
def test_it_is_no_proxy(live: Live, target: bytes) -> None:
    [(status, body)] = answers(live, b"CONNECT %b HTTP/1.1\r\nHost: x\r\n\r\n" % target, ends=True)
    answer = json.loads(body)
    assert (status, answer["code"], "CONNECT" in answer["message"]) == (400, "BAD_REQUEST", True)


# What is no HTTP


@pytest.mark.parametrize(
    "sent",
    [
        b"nonsense\r\n\r\n",
        judge(b"Transfer-Encoding: chunked\r\n"),
        judge(b"Transfer-Encoding: identity\r\n"),
        judge(b"Content-Length: 5\r\n"),
        judge(b"Content-Length: +5\r\n"),
        judge(b"X-A : a\r\n"),
        judge(b"X-A: a\r\n b\r\n"),
        judge(b"X-A: a\rX-B: b\r\n"),
        judge(b"X-A: a\nX-B: b\r\n"),
        judge(b"X-A: a\0b\r\n"),
        judge(b"X-A: a\0b\r\n" + H2C),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
)
def test_what_two_readers_might_read_differently_is_refused_and_ends_the_connection(
    live: Live, sent: bytes
) -> None:
    [(status, body)] = answers(live, sent, ends=True)
    assert (status, json.loads(body)) == (
        400,
        {"message": "Invalid HTTP request received.", "code": "BAD_REQUEST"},
    )


def test_https_to_a_mock_that_speaks_http_is_told_apart(live: Live, before: int) -> None:
    [(status, body)] = answers(live, b"\x16\x03\x01\x00\xa5\x01\x00", ends=True)
    assert (status, "begins like https" in json.loads(body)["message"]) == (400, True)
    [line] = said(live, before)
    assert "begins like https" in line


@pytest.mark.parametrize(
    "path",
    [b"/_mock/requests/a%0d%0aSet-Cookie:%20x=1", b"/_mock/sessions/a%0d%0aX-A:%20b/api/v1/criteria/judge"],
)
def test_what_is_repeated_begins_no_header(live: Live, path: bytes) -> None:
    with socket.create_connection(live.address, timeout=PATIENCE) as sock:
        sock.sendall(get(path, b"Host: localhost\r\nConnection: close\r\n"))
        head = b"".join(iter(lambda: sock.recv(65536), b"")).partition(b"\r\n\r\n")[0].lower()
    assert b"set-cookie" not in head
    assert b"x-a" not in head


# Headers that were sent twice

LOCAL = b"Host: localhost\r\n"


@pytest.mark.parametrize(
    "lines",
    [
        LOCAL + b"X-Forwarded-For: " + FAR + b"\r\nX-Forwarded-For: 127.0.0.1\r\n",
        LOCAL + b"X-Forwarded-For: 127.0.0.1\r\nx-forwarded-for: " + FAR + b"\r\n",
        LOCAL + b"Forwarded: for=" + FAR + b"\r\nForwarded: for=127.0.0.1\r\n",
        LOCAL + b"X-Real-IP: " + FAR + b"\r\nX-Real-IP: 127.0.0.1\r\n",
        LOCAL + b"Origin: http://evil.example\r\nOrigin: http://localhost\r\n",
        b"Host: evil.example\r\nHost: localhost\r\n",
        b"Host: localhost\r\nHost: evil.example\r\n",
    ],
)
@pytest.mark.parametrize(
    "path", [b"/_mock/status", b"/", b"http://localhost/_mock/status", b"/%5fmock/status"]
)
def test_of_several_headers_that_say_who_asks_each_counts(live: Live, path: bytes, lines: bytes) -> None:
    [(status, _)] = answers(live, get(path, lines))
    assert status == 403


def test_the_host_counts_and_not_what_the_request_line_claims(live: Live) -> None:
    [(status, _)] = answers(live, get(b"http://localhost/_mock/status", b"Host: evil.example\r\n"))
    assert status == 403


@pytest.mark.parametrize(
    ("lines", "trailer"),
    [
        (b"Host: evil.example\r\n", LOCAL),
        (LOCAL + b"Origin: http://evil.example\r\n", b"Origin: http://localhost\r\n"),
        (LOCAL + b"X-Forwarded-For: " + FAR + b"\r\n", b"X-Forwarded-For: 127.0.0.1\r\n"),
    ],
)
def test_what_follows_a_body_is_no_header(live: Live, lines: bytes, trailer: bytes) -> None:
    chunks = b"2\r\n{}\r\n0\r\n" + trailer + b"\r\n"
    head = b"POST /_mock/reset HTTP/1.1\r\nTransfer-Encoding: chunked\r\n"
    assert [status for status, _ in answers(live, head + lines + b"\r\n" + chunks)] == [403]


def test_no_key_comes_behind_a_body(live: Live) -> None:
    head = b"POST /api/v1/criteria/judge HTTP/1.1\r\nTransfer-Encoding: chunked\r\n"
    chunks = b"%x\r\n%b\r\n0\r\nAuthorization: Bearer op-local\r\n\r\n" % (len(BODY), BODY)
    whole = head + LOCAL + b"Content-Type: application/json\r\n\r\n" + chunks
    assert [status for status, _ in answers(live, whole + judge())] == [401, 200]


# Codings and chunks

CODED = judge(b"Transfer-Encoding: %b\r\n", body=b"").replace(b"Content-Length: 0\r\n", b"")
CHUNKS = b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)


@pytest.mark.parametrize("coding", [b"gzip, chunked", b"gzip,chunked", b"chunked, chunked", b"x, chunked"])
def test_a_body_that_is_coded_otherwise_is_refused(live: Live, coding: bytes) -> None:
    assert [status for status, _ in answers(live, CODED % coding + CHUNKS, ends=True)] == [400]
    twice = coding.replace(b", ", b"\r\nTransfer-Encoding: ")
    assert [status for status, _ in answers(live, CODED % twice + CHUNKS, ends=True)] == [400]


def test_a_coding_is_refused_in_words(live: Live) -> None:
    [(_, body)] = answers(live, CODED % b"gzip, chunked" + CHUNKS, ends=True)
    assert "with no other coding" in json.loads(body)["message"]


def test_chunked_may_be_written_in_any_case(live: Live) -> None:
    assert [status for status, _ in answers(live, CODED % b"Chunked" + CHUNKS)] == [200]


def too_large(live: Live, *pieces: bytes) -> list[bytes]:
    """The lines of the answer to pieces that end amid a body."""
    with socket.create_connection(live.address, timeout=PATIENCE) as sock:
        for piece in pieces:
            sock.sendall(piece)
            time.sleep(0.01)
        return sock.recv(65536).split(b"\r\n")


HUGE = (b"FFFFFFF\r\n", b"fffffff;a=b\r\n{", b"2\r\n{}\r\nfffffff\r\n", b"00fffffff\r\n" + b" " * 70)


@pytest.mark.parametrize("chunk", HUGE)
@pytest.mark.parametrize("divided", [0, 1, 4])
def test_a_chunk_that_is_announced_beyond_the_limit_is_refused_at_once(
    live: Live, chunk: bytes, divided: int
) -> None:
    head = CODED % b"chunked"
    cuts = range(0, len(chunk), divided or len(chunk))
    pieces = [chunk[at : at + (divided or len(chunk))] for at in cuts]
    head, *pieces = [head, *pieces] if divided else [head + chunk]
    assert too_large(live, head, *pieces)[0].startswith(b"HTTP/1.1 413 ")


def test_trailers_are_no_sizes(live: Live) -> None:
    head, chunk = CODED % b"chunked", CHUNKS[: -len(b"\r\n")]
    trailers = (b"fffffff: a\r\n", b"x: fffffff\r\n", b"x:\r\nfffffff", b": a\r\n", b"\r\n")
    assert [status for status, _ in answers(live, head + chunk, *trailers)] == [200]
    assert [status for status, _ in answers(live, head + chunk + b"".join(trailers) + judge())] == [200, 200]


# Heads without an end

ROOM = protocol.MOST_HEAD - len(judge()) + len(BODY)
"""Bytes that a header may have beside the others, roughly."""


@pytest.mark.parametrize("line", [b"x-long: %b\r\n", b"%b: v\r\n"])
@pytest.mark.parametrize("step", [10_000_000, 50_000, 7_001])
@pytest.mark.parametrize(("size", "status"), [(ROOM - 100, 200), (ROOM + 100, 400), (ROOM * 3, 400)])
def test_a_long_head_is_read_and_one_that_is_too_long_is_refused(
    live: Live, line: bytes, step: int, size: int, status: int
) -> None:
    whole = judge(line % (b"n" * size) + b"Connection: close\r\n")
    head, _, body = heard(live, *(whole[at : at + step] for at in range(0, len(whole), step))).partition(
        b"\r\n\r\n"
    )
    assert int(head.split()[1]) == status
    assert status == 200 or f"more than {protocol.MOST_HEAD} bytes" in json.loads(body)["message"]


def test_a_head_that_never_ends_is_refused_before_it_does(live: Live) -> None:
    found = heard(live, judge(b"x-long: ")[: -len(BODY)], *[b"v" * 50_000] * 40)
    assert found.startswith(b"HTTP/1.1 400 ")


def heard(live: Live, *pieces: bytes) -> bytes:
    """What a client hears who stops sending as soon as it hears something."""
    received = b""
    with socket.create_connection(live.address, timeout=PATIENCE) as sock, contextlib.suppress(OSError):
        for piece in pieces:
            if select.select([sock], [], [], 0.0)[0]:
                break
            sock.sendall(piece)
            time.sleep(0.001)
        while more := sock.recv(65536):
            received += more
    return received


# Who sends slowly


class Wire(asyncio.Transport):
    """A transport that remembers what was written, whether it was closed, and whether it reads."""

    closed = False
    reads = True
    written = b""

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def write(self, data: Any) -> None:
        if not self.closed:
            self.written += data

    def pause_reading(self) -> None:
        self.reads = False

    def resume_reading(self) -> None:
        self.reads = True


def looked_at(*pieces: bytes, looks: int, each: bytes = b"") -> bool:
    """Whether a connection on which these came is closed after so many looks, with more before each look."""

    async def run() -> bool:
        config = uvicorn_config(Service(), Listener())
        wire = Wire()
        spoken = DroppingProtocol(config, ServerState(), {}, asyncio.get_running_loop())
        spoken.connection_made(wire)
        try:
            for piece in pieces:
                spoken.data_received(piece)
            for _ in range(looks):
                await asyncio.sleep(0)
                spoken.data_received(each)
                cast(asyncio.TimerHandle, spoken.timer).cancel()
                spoken.look()
            return wire.closed
        finally:
            spoken.connection_lost(None)
            await asyncio.sleep(0.01)

    return asyncio.run(run())


def test_a_connection_on_which_nothing_comes_is_closed_at_the_second_look() -> None:
    assert not looked_at(looks=1)
    assert looked_at(looks=2)


def test_a_head_that_isn_t_complete_at_two_looks_is_given_up() -> None:
    assert not looked_at(judge()[:20], looks=1)
    assert looked_at(judge()[:20], looks=2, each=b"a")
    assert looked_at(CLOSING[:-30], looks=3)


def test_empty_lines_keep_no_connection_open() -> None:
    assert looked_at(looks=2, each=b"\r\n")


def test_a_body_gets_more_time_but_not_for_ever() -> None:
    slow = judge()[:-30]
    assert not looked_at(slow, looks=protocol.MOST_LOOKS, each=b" ")
    assert looked_at(slow, looks=protocol.MOST_LOOKS + 1, each=b" ")


def test_an_answer_that_takes_long_is_waited_for() -> None:
    assert not looked_at(judge(b"x-mock-delay-ms: 9000\r\n"), looks=50)


# What is left behind


def garbage(request: bytes, number: int) -> int:
    """How many objects only the collector finds after so many answered requests on one connection."""

    async def run() -> int:
        state, wire = ServerState(), Wire()
        spoken = DroppingProtocol(
            uvicorn_config(Service(), Listener()), state, {}, asyncio.get_running_loop()
        )
        spoken.connection_made(wire)
        for _ in range(number):
            answered = state.total_requests
            spoken.data_received(request)
            while state.total_requests == answered:
                await asyncio.sleep(0)
        await asyncio.sleep(0)
        found = gc.collect()
        spoken.connection_lost(None)
        return found

    gc.disable()
    gc.freeze()  # what is there already needn't be looked at again, which takes most of the time
    try:
        return asyncio.run(run())
    finally:
        gc.unfreeze()
        gc.enable()


@pytest.mark.parametrize(
    "request_bytes",
    [
        judge(),
        judge(body=BODY[:-1]),
        judge(body=b"{}"),
        judge().replace(b"op-local", b"invalid"),
        judge().replace(b"/judge", b"/judges"),
        judge().replace(b"application/json", b"text/plain"),
        judge(b"x-mock-fault: 503\r\n"),
        judge(b"x-mock-delay-ms: 1\r\n"),
    ],
)
def test_a_request_leaves_nothing_that_only_the_collector_finds(request_bytes: bytes) -> None:
    garbage(request_bytes, 1)
    assert garbage(request_bytes, 60) - garbage(request_bytes, 10) < 50


def test_a_request_that_is_dropped_behind_another_leaves_the_first_its_answer(
    live: Live, before: int
) -> None:
    found = answers(live, judge() + judge(b"x-mock-fault: disconnect\r\n") + judge(), ends=True)
    assert [status for status, _ in found] == [200]
    assert "error" not in "\n".join(said(live, before))


# Whole requests are answered at once, without a task


def raw(live: Live, *pieces: bytes) -> bytes:
    """All that comes back on a connection, without the ids of the requests; the pieces come one by one.

    Who is answered already sends nothing more: the connection may be closed.
    """
    received = b""
    with socket.create_connection(live.address, timeout=PATIENCE) as sock:
        for number, piece in enumerate(pieces):
            if not number or not select.select([sock], [], [], 0.05)[0]:
                sock.sendall(piece)
        while more := sock.recv(65536):
            received += more
    return re.sub(rb"default-\d+", b"default-N", received)


CHAT = b'{"model": "gpt-4o", "messages": [{"role": "user", "content": "Count to 3"}], "n": 2%b}'


@pytest.mark.parametrize(
    "request_bytes",
    [
        judge(),
        judge(version=b"1.0"),
        judge(b"Connection: close\r\n"),
        judge(b"Connection: keep-alive\r\n", version=b"1.0"),
        judge(b"Origin: http://localhost\r\n"),
        judge(b"x-mock-delay-ms: 20\r\n"),
        judge(b"x-mock-fault: 503\r\n"),
        judge(b"x-mock-fault: disconnect\r\n"),
        judge(b"x-mock-session: -\r\n"),
        judge(body=BODY[:-1]),
        judge(body=BODY.replace(b"helpful", b"mock-status-429")),
        judge().replace(b"op-local", b"invalid"),
        judge().replace(b"/judge", b"/judges"),
        judge(body=CHAT % b"").replace(b"/criteria/judge", b"/chat/completions"),
        judge(body=CHAT % b', "stream": true').replace(b"/criteria/judge", b"/chat/completions"),
        judge(body=CHAT % b', "stream": true', version=b"1.0").replace(
            b"/criteria/judge", b"/chat/completions"
        ),
    ],
)
def test_a_request_that_comes_whole_is_answered_like_one_in_pieces(live: Live, request_bytes: bytes) -> None:
    closing = request_bytes.replace(b"Host: localhost\r\n", b"Host: localhost\r\nConnection: close\r\n")
    whole = raw(live, closing)
    assert whole == raw(live, closing[:-1], closing[-1:])
    assert whole.startswith(b"HTTP/1.1 ") or b"disconnect" in closing


def test_requests_in_one_piece_are_answered_in_their_order(live: Live) -> None:
    mixed = [judge(), judge(b"x-mock-delay-ms: 30\r\n"), judge(body=BODY[:-1]), judge(H2C), judge()]
    apart = [answer for request in mixed for answer in answers(live, request)]
    assert answers(live, b"".join(mixed)) == apart
    assert [status for status, _ in apart] == [200, 200, 400, 200, 200]


def test_who_reads_nothing_is_not_answered_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bytes] = []

    async def run() -> None:
        config, state = uvicorn_config(Service(), Listener()), ServerState()
        monkeypatch.setattr(config.loaded_app, "at_once", lambda scope, body: asked.append(body))
        spoken = DroppingProtocol(config, state, {}, asyncio.get_running_loop())
        spoken.connection_made(Wire())
        spoken.data_received(judge())
        while not state.total_requests:
            await asyncio.sleep(0)
        spoken.pause_writing()
        spoken.data_received(judge())
        await asyncio.sleep(0)
        assert state.total_requests == 1
        spoken.resume_writing()
        while state.total_requests == 1:
            await asyncio.sleep(0)
        spoken.connection_lost(None)

    asyncio.run(run())
    assert asked == [BODY]


def test_a_defect_of_ours_is_answered_and_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(self: Service, *rest: object) -> None:
        raise RuntimeError("an inner detail")

    monkeypatch.setattr(Service, "admit", broken)
    service = Service()
    app = DirectApp(service)
    request = {"model": "gpt-4o", "messages": []}
    scope = {"type": "http", "method": "POST", "path": "/api/v1/chat/completions", "query_string": b""}
    scope |= {"headers": [(b"authorization", b"Bearer op-local"), (b"content-type", b"application/json")]}
    reply = app.at_once(scope, json.dumps(request).encode())
    assert isinstance(reply, Reply)
    assert (reply.status, b"inner detail" in reply.body) == (500, False)
    assert "an inner detail" in caplog.text
    assert service.sessions.default.under_way == 0


LONG = {"model": "mock-echo", "messages": [{"role": "user", "content": "word " * 100}], "stream": True}


@pytest.mark.parametrize("lines", [b"", b"x-mock-fault: disconnect-after-50\r\n"])
def test_each_event_of_a_stream_is_a_chunk_of_its_own(
    live: Live, lines: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = judge(b"Connection: close\r\n" + lines, body=json.dumps(LONG).encode())
    request = request.replace(b"/criteria/judge", b"/chat/completions")
    chunks = raw(live, request).partition(b"\r\n\r\n")[2].split(b"\r\n")
    sizes, events = chunks[:-1:2], chunks[1::2]
    events = [event for event in events if event]
    assert len(events) == (50 if lines else 104)
    assert all(event.startswith(b"data: ") and event.count(b"data: ") == 1 for event in events)
    assert [int(size, 16) for size in sizes if size][: len(events)] == [len(event) for event in events]


# However the bytes come


CHUNKED = judge(b"Transfer-Encoding: chunked\r\n", body=b"").replace(b"Content-Length: 0\r\n", b"")
CHUNKED += b"%x\r\n%b\r\n0\r\na: b\r\n\r\n" % (len(BODY), BODY)
MIXED = (
    judge(),
    judge(body=BODY[:-1]),
    judge(b"x-mock-delay-ms: 1\r\n"),
    judge(H2C),
    judge(b"x-mock-fault: 503\r\n"),
    judge(b"Expect: nothing\r\n"),
    CHUNKED,
    judge(body=CHAT % b"").replace(b"/criteria/judge", b"/chat/completions"),
    judge(body=CHAT % b', "stream": true').replace(b"/criteria/judge", b"/chat/completions"),
    judge(body=b"").replace(b"POST", b"HEAD"),
    judge().replace(b"/judge", b"/judges"),
    get(b"/_mock/health", LOCAL),
    b"\r\n",
)
LAST = (
    judge(b"Connection: close\r\n"),
    judge(version=b"1.0"),
    judge(H2C.replace(b"Upgrade, ", b"Upgrade, close, ")),
)


def written(sent: bytes, cuts: list[int]) -> bytes:
    """What is written on a connection on which these bytes come, cut at these places."""

    async def run() -> bytes:
        state, wire = ServerState(), Wire()
        spoken = DroppingProtocol(
            uvicorn_config(Service(), Listener()), state, {}, asyncio.get_running_loop()
        )
        spoken.connection_made(wire)
        for begin, end in zip([0, *cuts], [*cuts, len(sent)], strict=True):
            while not wire.reads:
                await asyncio.sleep(0)
            if not wire.closed:
                spoken.data_received(sent[begin:end])
        deadline = asyncio.get_running_loop().time() + PATIENCE
        while not wire.closed and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0)
        assert wire.closed
        assert not spoken.pipeline
        spoken.connection_lost(None)
        await asyncio.sleep(0)
        return wire.written

    return asyncio.run(run())


@settings(max_examples=examples(60))
@given(
    st.lists(st.sampled_from(MIXED), max_size=4),
    st.sampled_from(LAST),
    st.sampled_from([b"", judge(), b"\0junk"]),
    st.lists(st.floats(0, 1), max_size=4),
)
@example(list(MIXED), LAST[0], b"", [])
def test_the_same_is_answered_however_the_bytes_are_cut(
    requests: list[bytes], last: bytes, rest: bytes, cuts: list[float]
) -> None:
    whole = b"".join((*requests, last))
    starts = [len(b"".join(requests[:number])) for number in range(1, len(requests) + 1)]
    one_by_one = written(whole, sorted({*starts} - {0, len(whole)}))
    assert one_by_one.count(b"HTTP/1.1 ") == sum(request != b"\r\n" for request in (*requests, last))
    sent = whole + rest
    places = sorted({int(cut * len(sent)) for cut in cuts} - {0, len(sent)})
    assert clockless(written(sent, places)) == clockless(one_by_one)


def clockless(received: bytes) -> bytes:
    """Answers without what the health of a mock says of its age."""
    return re.sub(rb'"uptime_seconds":[0-9.]+', b"", received)


def test_what_is_answered_at_once_stays_so_before_bytes_that_are_no_http(live: Live) -> None:
    [plain] = answers(live, judge())
    found = answers(live, judge() + b"nonsense\r\n\r\n", ends=True)
    assert (found[0], [status for status, _ in found]) == (plain, [200, 400])
    length = b"Content-Length: %d" % len(BODY)
    short = answers(live, judge().replace(length, b"Content-Length: 5"), ends=True)
    assert [json.loads(body)["code"] for _, body in short] == ["PARSE_ERROR", "BAD_REQUEST"]
    assert "ends too early" in json.loads(short[0][1])["message"]


def test_no_more_is_read_while_requests_wait_for_their_turn() -> None:
    async def run() -> list[tuple[bool, int]]:
        state, wire = ServerState(), Wire()
        spoken = DroppingProtocol(
            uvicorn_config(Service(), Listener()), state, {}, asyncio.get_running_loop()
        )
        spoken.connection_made(wire)
        spoken.data_received(judge(b"x-mock-delay-ms: 1\r\n") + judge() * 50)
        seen = []
        while state.total_requests < 51:
            await asyncio.sleep(0)
            seen.append((wire.reads, len(spoken.pipeline)))
        spoken.connection_lost(None)
        await asyncio.sleep(0)
        return seen

    seen = asyncio.run(run())
    assert seen[0] == (False, 50)
    assert all(waiting == 0 for reads, waiting in seen if reads)
    assert seen[-1] == (True, 0)
