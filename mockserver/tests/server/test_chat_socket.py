"""Chat completions over a socket: streams, clients that hang up, and what must not change an answer."""

import json
import socket
import struct
from collections import Counter
from collections.abc import Iterator

import httpx
import pytest

from tests.chatclients import Json, chats
from tests.live import PATIENCE, Live, run, serving, until, untimed

pytestmark = pytest.mark.slow

CRITERIA = ["helpful", "polite@v2", "brief"]
KEY = {"Authorization": "Bearer op-local"}


@pytest.fixture(params=chats())
def chat(request: pytest.FixtureRequest) -> Json:
    """Each request in turn, for several choices."""
    return {**chats()[request.param], "n": 5}


def answered(client: httpx.Client, chat: Json, *criteria: str) -> httpx.Response:
    headers = {"op-criteria": json.dumps(criteria)} if criteria else {}
    return client.post("/chat/completions", json=chat, headers=headers).raise_for_status()


# What curl sees.


def streamed(live: Live, chat: Json, *flags: str) -> str:
    command = ["curl", "--silent", "--show-error", "--no-buffer", *flags]
    headers = ["-H", "Authorization: Bearer op-local", "-H", "Content-Type: application/json"]
    body = json.dumps({**chat, "stream": True})
    return run([*command, *headers, "--data", body, f"{live.base_url}/chat/completions"])


def test_a_stream_consists_of_events_and_ends_with_done(live: Live, chat: Json) -> None:
    printed = streamed(live, chat)
    assert printed.endswith("}\n\ndata: [DONE]\n\n")
    *events, last = printed.removesuffix("\n\n").split("\n\n")
    assert last == "data: [DONE]"
    for event in events:
        name, _, data = event.partition(": ")
        assert name == "data"
        assert json.loads(data)["object"] == "chat.completion.chunk"


def test_a_stream_says_that_it_is_one(live: Live) -> None:
    head, _, _ = streamed(live, chats()["words"], "--include").partition("\n\n")
    status, *headers = head.lower().splitlines()
    assert status.startswith("http/1.1 200")
    assert "content-type: text/event-stream; charset=utf-8" in headers
    assert "cache-control: no-cache" in headers
    assert "transfer-encoding: chunked" in headers


def test_what_is_wrong_with_a_stream_s_request_is_a_normal_error(live: Live) -> None:
    printed = streamed(live, {**chats()["words"], "n": 0}, "--write-out", "\n%{http_code} %{content_type}")
    body, _, facts = printed.rpartition("\n")
    assert facts == "400 application/json"
    assert json.loads(body)["code"] == "BAD_REQUEST"


# Clients that hang up.


@pytest.fixture(scope="module")
def own() -> Iterator[Live]:
    """A mock whose log has a line for each request of these clients."""
    with serving() as server:
        yield server


@pytest.fixture
def begin(own: Live) -> int:
    """The byte from which on its log is this test's own, but for clients that have hung up before."""
    return own.log.stat().st_size


def sent(server: Live, body: bytes, *, announced: int | None = None) -> socket.socket:
    """A connection over which a request went out; it takes in as little as a connection can."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.settimeout(PATIENCE)
    connection.connect(server.address)
    head = (
        "POST /api/v1/chat/completions HTTP/1.1\r\nHost: mock\r\nAuthorization: Bearer op-local\r\n"
        f"Content-Type: application/json\r\nContent-Length: {announced or len(body)}\r\n\r\n"
    )
    connection.sendall(head.encode() + body)
    return connection


def hang_up(connection: socket.socket) -> None:
    """Break the connection off, as a process that is killed does."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


WORDS = {"type": "json_schema", "json_schema": {"name": "words", "schema": {"const": "word " * 2000}}}
LONG = json.dumps({**chats()["words"], "response_format": WORDS, "n": 128, "stream": True}).encode()
"""A request whose stream is larger than what fits between two sockets."""


def test_a_client_that_hangs_up_in_mid_stream_leaves_the_server_well(own: Live, begin: int) -> None:
    for _ in range(3):
        connection = sent(own, LONG)
        assert connection.recv(20).startswith(b"HTTP/1.1 200 OK")
        hang_up(connection)
    assert_well(own, begin)


def test_a_client_that_hangs_up_at_once_leaves_the_server_well(own: Live, begin: int) -> None:
    for _ in range(3):
        hang_up(sent(own, LONG))
    for _ in range(3):
        hang_up(sent(own, LONG[:100], announced=len(LONG)))
    assert_well(own, begin)


def test_others_are_served_while_a_client_reads_slowly(own: Live, begin: int) -> None:
    connection = sent(own, LONG)
    assert connection.recv(20).startswith(b"HTTP/1.1 200 OK")
    assert_well(own, begin)
    hang_up(connection)


def assert_well(server: Live, begin: int) -> None:
    """The next request is served, and it alone is answered: what nobody waits for was left undone."""
    url = f"{server.base_url}/chat/completions"
    answer = httpx.post(url, json=chats()["words"], headers=KEY, timeout=PATIENCE)
    assert answer.status_code == 200
    until(lambda: bool(answered_since(server, begin)))  # a request's line follows its answer
    assert "Traceback" not in server.log.read_text()
    expected = ["POST", "/api/v1/chat/completions", "200", "openai:gpt-4o-mini", "n=3"]
    assert [line.split()[:5] for line in answered_since(server, begin)] == [expected]


def answered_since(server: Live, begin: int) -> list[str]:
    """The lines of requests whose clients waited for the answer."""
    lines = untimed(server.log.read_bytes()[begin:].decode()).splitlines()
    return [line for line in lines if line.startswith("POST ") and "the client hung up" not in line]


# What must not change an answer.


def test_criteria_only_reorder_and_add(client: httpx.Client, chat: Json) -> None:
    plain, judged = answered(client, chat).json(), answered(client, chat, *CRITERIA).json()
    assert Counter(map(unjudged, judged["choices"])) == Counter(map(unjudged, plain["choices"]))
    assert [choice["index"] for choice in judged["choices"]] == [0, 1, 2, 3, 4]
    assert {name: judged[name] for name in judged if name != "choices"} == {
        name: plain[name] for name in plain if name != "choices"
    }


def unjudged(choice: Json) -> str:
    """A choice without its place and its judgements."""
    kept = {name: choice[name] for name in choice if name not in ("index", "criteria_results")}
    return json.dumps(kept, sort_keys=True)


def test_the_best_choice_stands_first(client: httpx.Client, chat: Json) -> None:
    choices = answered(client, chat, *CRITERIA).json()["choices"]
    totals = [sum(result["score"] for result in choice["criteria_results"].values()) for choice in choices]
    assert totals == pytest.approx(sorted(totals, reverse=True))


def test_the_order_of_criteria_changes_nothing(client: httpx.Client, chat: Json) -> None:
    expected = answered(client, chat, *CRITERIA).content
    for order in (CRITERIA[::-1], CRITERIA[1:] + CRITERIA[:1], [*CRITERIA, *CRITERIA]):
        assert answered(client, chat, *order).content == expected


def test_a_criterion_without_a_version_is_its_latest_one(client: httpx.Client, chat: Json) -> None:
    assert answered(client, chat, "helpful").content == answered(client, chat, "helpful@v1").content
    assert answered(client, chat, "helpful").content != answered(client, chat, "helpful@v2").content


def test_the_judge_gives_each_choice_s_results(client: httpx.Client, chat: Json) -> None:
    seen = {name: chat[name] for name in ("messages", "tools", "tool_choice") if name in chat}
    for choice in answered(client, chat, *CRITERIA).json()["choices"]:
        for criterion in CRITERIA:
            asked = {"criterion_id": criterion, "input": seen, "output": choice["message"]}
            judgement = client.post("/criteria/judge", json=asked).raise_for_status().json()
            result = choice["criteria_results"][criterion.partition("@")[0]]
            assert result == {"status": "success", **judgement}


def test_fresh_processes_answer_with_the_same_bytes() -> None:
    first, second = (every_answer() for _ in range(2))
    assert first == second


def every_answer() -> list[tuple[int, list[tuple[bytes, bytes]], bytes]]:
    """Status, headers and body of each answer of a new process, plain, judged, streamed and refused."""
    requests = [
        (body, headers)
        for chat in chats().values()
        for body, headers in (
            (chat, {}),
            (chat, {"op-criteria": json.dumps(CRITERIA)}),
            ({**chat, "stream": True, "stream_options": {"include_usage": True}}, {}),
            ({**chat, "n": 0}, {}),
        )
    ]
    with serving("--quiet") as server, httpx.Client(base_url=server.base_url, headers=KEY) as client:
        answers = [client.post("/chat/completions", json=body, headers=headers) for body, headers in requests]
        return [(answer.status_code, answer.headers.raw, answer.content) for answer in answers]
