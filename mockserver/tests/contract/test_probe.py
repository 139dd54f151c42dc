"""The suite's client: whatever a server does comes back as a result, within bounds and without the key."""

import errno
import socket
import ssl
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest
import trustme

from contract_tests import invariants
from openpipe_mock.contract import probe
from openpipe_mock.contract.probe import (
    NO_ANSWER,
    NOT_IN_TIME,
    SILENT,
    BudgetSpent,
    Exchange,
    NameCase,
    Probe,
    Request,
    wire,
)
from openpipe_mock.contract.target import RunOptions, Target, UsageProblem, target, withheld
from tests.live import PATIENCE

KEY = "sk-very-secret-key"
ASK = Request("POST", "/criteria/judge", b'{"a":1}', (("content-type", "application/json"),))


@dataclass
class Clock:
    """Time that passes only when somebody sleeps."""

    now: float = 0.0
    naps: list[float] = field(default_factory=list)

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.naps.append(seconds)
        self.now += seconds


def probing(
    answer: Callable[[httpx.Request], httpx.Response], clock: Clock | None = None, **settings: object
) -> Probe:
    clock = clock or Clock()
    server = Target("http://mock.test/api/v1", **settings)  # type: ignore[arg-type]
    transport = httpx.MockTransport(lambda request: unread(answer(request)))
    return Probe(server, clock, clock.sleep, transport)


class Once(httpx.SyncByteStream):
    def __init__(self, content: bytes) -> None:
        self.content = content

    def __iter__(self) -> Iterator[bytes]:
        yield self.content


def unread(response: httpx.Response) -> httpx.Response:
    """The response as one from a socket, whose body wasn't read yet."""
    if not response.is_stream_consumed:
        return response
    return httpx.Response(response.status_code, headers=response.headers, stream=Once(response.content))


def in_turn(*answers: httpx.Response | Exception) -> Callable[[httpx.Request], httpx.Response]:
    waiting = list(answers)

    def answer(request: httpx.Request) -> httpx.Response:
        found = waiting.pop(0) if len(waiting) > 1 else waiting[0]
        if isinstance(found, Exception):
            raise found
        return httpx.Response(found.status_code, headers=found.headers, content=found.content)

    return answer


@contextmanager
def raw(*answers: bytes, close: bool = True) -> Iterator[Target]:
    """A server that writes these bytes, one answer for each connection, whatever is asked."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        kept: list[socket.socket] = []

        def serve() -> None:
            for answer in answers:
                connection, _ = listener.accept()
                connection.recv(65536)
                connection.sendall(answer)
                if close:
                    connection.close()
                else:
                    kept.append(connection)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        timeout = 20.0 if close else 0.3
        yield Target(f"http://127.0.0.1:{listener.getsockname()[1]}/api/v1", timeout=timeout)
        for connection in kept:
            connection.close()


# What goes on the wire, and what is kept of it.


def test_the_same_request_is_the_same_bytes_and_the_key_is_only_on_the_wire() -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json={"score": 1})

    client = probing(answer, key=KEY)
    first, second = client.send(ASK), client.send(ASK)
    assert seen[0].content == seen[1].content == b'{"a":1}'
    assert seen[0].headers.raw == seen[1].headers.raw
    assert seen[0].headers["authorization"] == f"Bearer {KEY}"
    assert seen[0].headers["accept-encoding"] == "identity"
    assert first.request == second.request == ASK
    assert KEY not in repr((first, client, client.target))


@pytest.mark.parametrize(
    ("credential", "sent"), [("none", None), ("wrong", f"Bearer {probe.WRONG_KEY}"), ("key", f"Bearer {KEY}")]
)
def test_a_request_may_go_without_the_key_or_with_a_wrong_one(credential: str, sent: str | None) -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(401)

    asking = Request("POST", "/criteria/judge", b"", (), credential)  # type: ignore[arg-type]
    probing(answer, key=KEY).send(asking)
    assert seen[0].headers.get("authorization") == sent


@pytest.mark.parametrize("name_case", ["lower", "title", "upper"])
def test_all_names_of_headers_are_written_as_a_request_says(name_case: NameCase) -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200)

    probing(answer).send(replace(ASK, name_case=name_case))
    own = {name.decode() for name, _ in seen[0].headers.raw if name.lower() not in HTTPX_OWN}
    assert own == {
        getattr(str, name_case)(name)
        for name in ("accept", "accept-encoding", "user-agent", "authorization", "content-type")
    }


HTTPX_OWN = (b"host", b"content-length", b"connection")
"""Headers whose names the HTTP client writes itself."""


class Addresses(BaseHTTPRequestHandler):
    """Answers each request with the port from which it came."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        port = str(self.client_address[1]).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(port)))
        self.end_headers()
        self.wfile.write(port)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def test_requests_of_one_name_share_a_connection_whichever_thread_sends_them() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Addresses) as server, ThreadPoolExecutor(2) as pool:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        client = Probe(Target(f"http://127.0.0.1:{server.server_port}"))
        plain = client.send(ASK).body
        named = [replace(ASK, connection=name) for name in ("one", "one", "two")]
        one, again, two = (pool.submit(client.send, request).result().body for request in named)
        client.close()
        server.shutdown()
    assert one == again
    assert len({plain, one, two}) == 3


def test_a_server_that_repeats_the_key_puts_it_into_no_report() -> None:
    answer = httpx.Response(
        401, headers={"x-key": f"Bearer {KEY}", "set-cookie": f"s={KEY}"}, json={"message": f"no key {KEY}"}
    )
    exchange = probing(in_turn(answer), key=KEY).send(ASK)
    assert KEY not in repr(exchange)
    assert exchange.value == {"message": "no key $OPENPIPE_API_KEY"}
    assert exchange.header("x-key") == "Bearer $OPENPIPE_API_KEY"
    assert exchange.header("set-cookie") == ""


def test_cookies_and_redirects_are_left_alone() -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(307, headers={"location": "http://evil.test/", "set-cookie": "a=b"})

    client = probing(answer, key=KEY)
    assert [client.send(ASK).status, client.send(ASK).status] == [307, 307]
    assert [str(request.url) for request in seen] == ["http://mock.test/api/v1/criteria/judge"] * 2
    assert "cookie" not in seen[1].headers


def test_text_goes_as_it_is_and_keys_keep_their_order() -> None:
    assert wire({"b": "café\x00", "a": [1, None]}) == '{"b":"café\\u0000","a":[1,null]}'.encode()


# What comes back.

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"transfer-encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("bytes_sent", "failure"),
    [
        (b"", NO_ANSWER),
        (b"no http at all\r\n\r\n", "it does not speak HTTP"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{", "it broke off within the answer"),
        (
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nabcde\r\n",
            "it broke off within the answer",
        ),
        (
            b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 3\r\n\r\nabc",
            "the body is not encoded",
        ),
        (
            b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip,gzip, gzip\r\ncontent-length: 3\r\n\r\nabc",
            "the body is encoded more than twice",
        ),
    ],
)
def test_what_a_server_does_wrong_is_told_in_plain_words(bytes_sent: bytes, failure: str) -> None:
    with raw(bytes_sent) as server:
        exchange = Probe(server).send(ASK)
    assert exchange.failure.startswith(failure)
    assert not exchange.ok


def test_what_arrived_before_the_break_is_kept() -> None:
    with raw(b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{half") as server:
        exchange = Probe(server).send(ASK)
    assert (exchange.status, exchange.body) == (200, b"{half")


def test_a_server_that_never_answers_costs_its_timeout() -> None:
    with raw(b"", close=False) as server:
        exchange = Probe(server).send(ASK)
    assert exchange.failure == "no answer in time"


@contextmanager
def dripping(first: bytes, piece: bytes) -> Iterator[Target]:
    """A server that goes on to write a piece, once every hundredth second, until the client is gone."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection, suppress(OSError):
                connection.recv(65536)
                connection.sendall(first)
                while not gone.wait(0.01):
                    connection.sendall(piece)

        gone, thread = threading.Event(), threading.Thread(target=serve)
        thread.start()
        yield Target(f"http://127.0.0.1:{listener.getsockname()[1]}/api/v1", timeout=0.4)
        gone.set()
        thread.join()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("first", "piece", "failure"),
    [
        (b"", b"H", SILENT),
        (OK, b"x: y\r\n", SILENT),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n", SILENT),
        (OK + b"content-length: 999999\r\n\r\n", b" ", NOT_IN_TIME),
        (CHUNKED, b"1;a=b\r\n \r\n", NOT_IN_TIME),
        (CHUNKED + b"5;", b"a=b;", NOT_IN_TIME),
        (CHUNKED + b"0\r\n", b"x: y\r\n", NOT_IN_TIME),
    ],
    ids=["status", "headers", "continue", "body", "chunks", "extension", "trailers"],
)
def test_the_timeout_is_for_the_whole_answer(first: bytes, piece: bytes, failure: str) -> None:
    """However often a piece of it arrives."""
    with dripping(first, piece) as server:
        assert Probe(server).send(ASK).failure == failure


def test_after_the_timeout_the_next_request_is_answered() -> None:
    late = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{"
    with raw(late, OK + b"content-length: 2\r\n\r\n{}", close=False) as server:
        client = Probe(server)
        assert client.send(ASK).failure == NOT_IN_TIME
        assert client.send(ASK).body == b"{}"
        client.close()


def test_a_stream_that_never_ends_is_cut_at_the_timeout() -> None:
    clock = Clock()

    class Endless(httpx.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            while True:
                clock.now += 1
                yield b"data: 1\n\n"

    exchange = probing(lambda request: httpx.Response(200, stream=Endless()), clock).send(ASK)
    assert exchange.failure == NOT_IN_TIME
    assert exchange.stream.events


def test_an_answer_beyond_all_bounds_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "_MOST_BYTES", 10)
    assert probing(in_turn(httpx.Response(200, content=b"x" * 99))).send(ASK).failure == probe.ENDLESS


@pytest.mark.parametrize("scheme", ["https", "HTTPS"])
def test_a_certificate_that_nobody_vouches_for_is_refused(scheme: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(20)

        def shake_hands() -> None:
            connection, _ = listener.accept()
            with connection, suppress(ssl.SSLError, ConnectionError):
                connection.settimeout(20)
                context.wrap_socket(connection, server_side=True).close()

        server = threading.Thread(target=shake_hands)
        server.start()
        exchange = Probe(Target(f"{scheme}://127.0.0.1:{listener.getsockname()[1]}")).send(ASK)
        server.join()
    assert exchange.failure == "no connection (TLS failed: its certificate is not trusted here)"


def unconnected(beneath: OSError) -> httpx.ConnectError:
    """The error of a connection that failed by another one."""
    error = httpx.ConnectError("some words")
    error.__cause__ = beneath
    return error


def plain_text() -> ssl.SSLError:
    error = ssl.SSLError("some words")
    error.reason = "WRONG_VERSION_NUMBER"
    return error


def not_trusted(code: int) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError("some words")
    error.verify_code = code
    return error


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (unconnected(ConnectionRefusedError("no")), "no connection (nothing listens there)"),
        (unconnected(socket.gaierror("no")), "no connection (there is no such host)"),
        (
            unconnected(ssl.SSLError("no")),
            "no connection (TLS failed: one side speaks no TLS, or another one)",
        ),
        (unconnected(not_trusted(10)), "no connection (TLS failed: its certificate has expired)"),
        (unconnected(not_trusted(19)), "no connection (TLS failed: its certificate is not trusted here)"),
        (unconnected(plain_text()), "no connection: it speaks no TLS"),
        (unconnected(OSError(errno.ENETUNREACH, "no")), "no connection (network is unreachable)"),
        (unconnected(OSError("no")), "no connection"),
        (httpx.ConnectError("some words"), "no connection"),
        (httpx.ConnectTimeout(""), "no connection in time"),
        (httpx.ProxyError("403"), "the proxy refused the connection"),
        (httpx.WriteError(""), NO_ANSWER),
    ],
)
def test_failures_of_the_connection_are_told_in_plain_words(error: httpx.HTTPError, words: str) -> None:
    assert probing(in_turn(error)).send(ASK).failure == words


WHOLE = httpx.Response(200, json={"score": 1})
GONE = httpx.RemoteProtocolError("Server disconnected without sending a response.")


def test_a_request_on_a_kept_connection_that_was_closed_is_sent_again() -> None:
    client = probing(in_turn(WHOLE, GONE, WHOLE))
    assert client.send(ASK).ok
    assert client.send(ASK).ok
    assert client.sent == 3


def test_one_hang_up_on_a_kept_connection_is_forgiven_and_more_are_a_finding() -> None:
    clock = Clock()
    client = probing(in_turn(WHOLE, GONE, WHOLE, GONE, WHOLE), clock)
    client.send(ASK)
    first = client.send(ASK)
    clock.now += 1
    second = client.send(ASK)
    assert (first.ok, first.hangups, [*invariants.broken(first)]) == (True, 1, [])
    assert (second.ok, second.hangups, client.hangups) == (True, 2, 2)
    [finding] = invariants.broken(second)
    assert (finding.check, finding.sentence) == (
        "judge.answers",
        "it hung up on kept connections without an answer, 2 times so far.",
    )


def test_hang_ups_at_one_moment_count_once() -> None:
    """As when a server restarts beneath several threads."""
    met, clock = threading.Barrier(3), Clock()
    turns: Counter[int] = Counter()

    def answer(request: httpx.Request) -> httpx.Response:
        turns[threading.get_ident()] += 1
        if turns[threading.get_ident()] == 2:
            met.wait(PATIENCE)
            raise GONE
        return httpx.Response(200, json={"score": 1})

    client = probing(answer, clock)
    with ThreadPoolExecutor(3, initializer=lambda: client.send(ASK)) as pool:
        every = [*pool.map(client.send, [ASK] * 3)]
    assert [each.ok for each in every] == [True] * 3
    assert client.hangups == 1


def test_a_new_connection_that_is_closed_without_an_answer_is_not_forgiven() -> None:
    client = probing(in_turn(GONE))
    assert client.send(ASK).failure == NO_ANSWER
    assert (client.sent, client.hangups) == (1, 0)


def test_a_dead_port_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    client = Probe(Target(f"http://127.0.0.1:{port}/api/v1"))
    assert client.send(ASK).failure == "no connection (nothing listens there)"


def test_a_short_key_is_not_looked_for_in_answers() -> None:
    answer = httpx.Response(200, json={"score": 1})
    assert probing(in_turn(answer), key="1").send(ASK).value == {"score": 1}


def test_an_exchange_knows_what_it_is() -> None:
    refused = Exchange(ASK, 422, (("content-type", "Application/JSON; charset=utf-8"),), b'{"a": NaN}')
    assert (refused.ok, refused.refused, refused.busy) == (False, True, False)
    assert refused.media == "application/json"
    assert refused.value is None
    assert "NaN" in refused.parsed[1]
    assert Exchange(ASK, 200, (), b"[1]").value == [1]
    assert Exchange(ASK, 429).busy
    assert Exchange(ASK, 503, (("retry-after", "1"),)).busy
    assert not Exchange(ASK, 503).busy
    assert not Exchange(ASK, 400, (), b"", "cut").refused
    assert Request("GET", "/models").endpoint == ""
    assert Request("POST", "/x", b"{").value() is None


# Waiting, pace and budget.


def busy(status: int, retry_after: str | None = None) -> httpx.Response:
    return httpx.Response(status, headers={} if retry_after is None else {"retry-after": retry_after})


@pytest.mark.parametrize(
    ("answer", "naps"),
    [
        (busy(429, "2"), [2.0]),
        (busy(503, "0"), [0.0]),
        (busy(429), [1.0]),
        (busy(429, "soon"), [1.0]),
        (busy(429, "Wed, 21 Oct 2015 07:28:00 GMT"), [0.0]),
        (busy(503), []),
        (busy(429, "3600"), []),
    ],
)
def test_a_busy_server_is_asked_again_when_it_says_so(answer: httpx.Response, naps: list[float]) -> None:
    clock = Clock()
    exchange = probing(in_turn(answer, httpx.Response(200)), clock).send(ASK)
    assert clock.naps == naps
    assert exchange.status == (200 if naps else answer.status_code)


def test_a_date_in_the_future_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("openpipe_mock.contract.probe.time.time", lambda: 1000.0)
    clock = Clock()
    later = busy(429, formatdate(1003, usegmt=True))
    assert probing(in_turn(later, httpx.Response(200)), clock).send(ASK).ok
    assert clock.naps == [3.0]


def test_patience_ends_within_a_request_and_within_a_run() -> None:
    clock = Clock()
    client = probing(in_turn(busy(429, "9")), clock)
    for _ in range(5):
        assert client.send(ASK).status == 429
    assert clock.naps[:3] == [9.0] * 3
    assert sum(clock.naps) <= probe.MOST_PATIENCE


def test_the_budget_counts_every_request_on_the_wire() -> None:
    client = probing(in_turn(busy(429, "1"), httpx.Response(200)), max_requests=20)
    client.send(ASK)
    assert (client.sent, client.left) == (2, 18)
    for _ in range(18):
        client.send(ASK)
    with pytest.raises(BudgetSpent):
        client.send(ASK)
    assert client.sent == 20


def test_what_a_busy_server_may_cost_is_a_part_of_the_budget_of_its_own() -> None:
    """So that what else is checked doesn't depend on how often it was busy."""
    client = probing(in_turn(busy(429, "0")))
    client.resends = 2
    assert [client.send(ASK).status for _ in range(3)] == [429] * 3
    assert client.sent == 3 + 2


def test_a_busy_server_is_asked_no_faster_than_it_took_requests() -> None:
    clock, whole = Clock(), httpx.Response(200)
    client = probing(in_turn(*[whole] * 9, busy(429, "1"), whole), clock)
    for _ in range(12):
        client.send(ASK)
    assert clock.naps[0] == 1.0
    assert clock.naps[1:] == pytest.approx([0.1] * 2), "ten in a second"
    assert client.slowed


def test_threads_share_rate_and_budget() -> None:
    lock, clock = threading.Lock(), Clock()

    def sleep(seconds: float) -> None:
        with lock:
            clock.sleep(0)

    client = probing(in_turn(httpx.Response(200)), clock, rate=10.0, max_requests=30)
    client.sleep = sleep
    with ThreadPoolExecutor(4) as pool:
        every = [pool.submit(client.send, ASK) for _ in range(40)]
    assert sum(each.exception() is None for each in every) == client.sent == 30
    assert len(clock.naps) == 29, "each but the first waits for its turn"


def test_a_rate_keeps_requests_apart() -> None:
    clock = Clock()
    client = probing(in_turn(httpx.Response(200)), clock, rate=4.0)
    for _ in range(3):
        client.send(ASK)
    assert clock.naps == [0.25, 0.25]


# The target, and where the key may go.


@pytest.mark.parametrize(
    ("url", "used"),
    [
        ("http://127.0.0.1:6736/api/v1/", "http://127.0.0.1:6736/api/v1"),
        (" https://api.openpipe.ai/api/v1 ", "https://api.openpipe.ai/api/v1"),
        ("http://[::1]:80/x", "http://[::1]:80/x"),
    ],
)
def test_a_url_is_used_without_its_last_slash(url: str, used: str) -> None:
    assert target(RunOptions(url), {}).url == used


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("127.0.0.1:6736", "has to begin with http"),
        ("ftp://x/", "has to begin with http"),
        ("http://user:pw@x/", "pass a key with --api-key"),
        ("http://x/?a=1", "give the base URL alone"),
        ("http://x:99999/", "can't be read"),
        ("http://[x/", "can't be read"),
    ],
)
def test_a_url_that_makes_no_sense_is_refused(url: str, words: str) -> None:
    with pytest.raises(UsageProblem, match=words):
        target(RunOptions(url), {})


@pytest.mark.parametrize("key", ["two words", "tab\t", "schlüssel", "line\nfeed"])
def test_a_key_that_no_header_can_carry_is_refused(key: str) -> None:
    with pytest.raises(UsageProblem, match="key"):
        target(RunOptions("http://127.0.0.1/", api_key=key))


def addresses(*found: str) -> Callable[..., Sequence[tuple[object, ...]]]:
    return lambda host, port: [(0, 0, 0, "", (address, 0)) for address in found]


@pytest.mark.parametrize(
    ("host", "found", "local"),
    [
        ("127.0.0.1", (), True),
        ("localhost", (), True),
        ("mock.localhost", (), True),
        ("[::1]", (), True),
        ("mock", ("172.18.0.2",), True),
        ("mock", ("172.18.0.2", "8.8.8.8"), False),
        ("mock", ("fe80::1%eth0",), True),
        ("example.test", ("93.184.216.34",), False),
        ("api.openpipe.ai", ("10.0.0.1",), False),
    ],
)
def test_local_is_what_lies_on_this_machine_or_in_a_private_network(
    host: str, found: tuple[str, ...], local: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", addresses(*found))
    server = target(RunOptions(f"http://{host}/api/v1"), {})
    assert server.local is local
    assert (server.max_requests, server.timeout) == ((400, 10.0) if local else (60, 60.0))


def test_a_host_without_an_address_is_not_local(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(host: str, port: object) -> None:
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", fails)
    assert not target(RunOptions("http://nowhere.test/"), {}).local


@pytest.mark.parametrize(
    ("url", "given", "send", "key"),
    [
        ("https://api.openpipe.ai/api/v1", None, False, "sk-env-key"),
        ("https://app.openpipe.ai/api/v1", None, False, "sk-env-key"),
        ("http://127.0.0.1:1/", None, False, "sk-env-key"),
        ("http://api.openpipe.ai/api/v1", None, False, ""),
        ("https://openpipe.ai.evil.test/", None, False, ""),
        ("https://notopenpipe.ai/", None, False, ""),
        ("http://10.0.0.1/", None, False, ""),
        ("http://10.0.0.1/", None, True, "sk-env-key"),
        ("http://10.0.0.1/", "sk-other", False, "sk-other"),
        ("http://127.0.0.1:1/", "", False, ""),
    ],
)
def test_the_environment_s_key_goes_where_it_belongs(
    url: str, given: str | None, send: bool, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", addresses("10.0.0.1"))
    environment = {"OPENPIPE_API_KEY": "sk-env-key"}
    options = RunOptions(url, api_key=given, send_key=send)
    server = target(options, environment)
    assert server.key == key
    assert withheld(options, server, environment) is (key == "" and given is None)
