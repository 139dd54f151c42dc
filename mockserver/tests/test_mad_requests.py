"""Mad requests over a socket: no 500, no defect, nothing left behind, and right answers beside them."""

import asyncio
import contextlib
import json
import socket
import sys
import threading
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from functools import reduce
from pathlib import Path
from time import thread_time
from typing import Any

import pytest

from openpipe_mock.config import file as configfile
from openpipe_mock.config.settings import Settings
from openpipe_mock.control.api import Control
from openpipe_mock.core.effects import Effects, Entropy, Head, Now, ReadBody, Tick
from openpipe_mock.service.service import Service
from tests.environments import here
from tests.inprocess import HEADERS, answer
from tests.live import ATTEMPTS, PATIENCE, Live, serving
from tests.mad import CHAT, JUDGE, MAKERS, VALID, Mad, colliding, request, requests
from tests.soaking import (
    ASKED,
    CORRECT,
    LONG_STREAMS,
    MEBIBYTE,
    Report,
    alarms,
    beside,
    crowd,
    descriptors,
    eventually,
    exchange,
    meet,
    memory,
    sent,
    settled,
    torment,
    unread,
)

Json = Any

SEED = 7
COUNT = 3000
RIGHT = answer(Service(), VALID).body
GROWTH = 24 * MEBIBYTE
"""Bytes that a server may need more once it has seen every request before."""


@pytest.fixture(scope="module")
def mad_live() -> Iterator[Live]:
    """A mock for mad clients alone."""
    with serving("--quiet") as live:
        yield live


# The requests themselves


def test_the_requests_of_a_seed_are_always_the_same() -> None:
    assert list(requests(SEED, 200)) == list(requests(SEED, 200))
    assert request(SEED, 199) == list(requests(SEED, 200))[199]
    assert list(requests(SEED, 50)) != list(requests(SEED + 1, 50))


@pytest.mark.slow
def test_every_kind_of_madness_occurs() -> None:
    kinds = Counter(mad.name for mad in requests(SEED, COUNT))
    assert len(kinds) == len(set(MAKERS))
    assert min(kinds.values()) > 50


# All of them


@pytest.mark.slow
def test_mad_requests_do_no_harm(mad_live: Live) -> None:
    open_before = descriptors(mad_live)
    first = torment(mad_live, requests(SEED, COUNT // 2))
    held = memory(mad_live)
    again = torment(mad_live, requests(SEED, COUNT // 2))
    for report in (first, again):
        assert report.defects == []
        assert report.sent == COUNT // 2
        assert report.served > 20
        assert {200, 400, 404, 405} <= set(report.statuses)
    assert memory(mad_live) - held < GROWTH
    assert settled(mad_live, open_before) <= open_before
    assert alarms(mad_live) == []


@asynccontextmanager
async def bad_server(says: bytes) -> AsyncIterator[tuple[str, int]]:
    """What answers everything with these bytes and hangs up; with none it never answers."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(65536)
        writer.write(says)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[:2]


DEFECT = b'HTTP/1.1 200 OK\r\n\r\n{"message":"Internal server error: a defect of the mock"}'


@pytest.mark.parametrize(
    "says", [b"HTTP/1.1 500 Oh\r\n\r\n", b"HTTP/1.1 503 Oh\r\n\r\n", DEFECT, b"", b"junk"]
)
def test_a_server_that_stumbles_would_be_found_out(says: bytes) -> None:
    async def run() -> Report:
        report = Report()
        async with bad_server(says) as address:
            await meet(address, Mad("probe", (sent(JUDGE, {}),), sure=True), report, rude=False)
            async with beside(address, report, 1):
                assert await eventually(lambda: told(report, "a correct client got "))
        return report

    assert told(asyncio.run(run()), "probe: ")


def told(report: Report, beginning: str) -> bool:
    return any(defect.startswith(beginning) for defect in report.defects)


# One by one


async def read_until(reader: asyncio.StreamReader, end: bytes) -> bytes:
    return await asyncio.wait_for(reader.readuntil(end), PATIENCE)


@pytest.mark.slow
def test_requests_that_come_all_at_once_are_answered_in_their_order(mad_live: Live) -> None:
    async def run() -> list[float]:
        reader, writer = await asyncio.open_connection(*mad_live.address)
        scores = []
        for number in range(50):
            body = {"criterion_id": f"mock-score-0.{number:02}", "output": {"role": "assistant"}}
            writer.write(sent(JUDGE, body).replace(b"Connection: close\r\n", b""))
        for _ in range(50):
            head = await read_until(reader, b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].split()[0])
            scores.append(json.loads(await reader.readexactly(length))["score"])
        writer.close()
        return scores

    assert asyncio.run(run()) == [number / 100 for number in range(50)]


@pytest.mark.slow
def test_who_waits_for_leave_to_send_a_body_gets_it(mad_live: Live) -> None:
    async def run() -> tuple[bytes, bytes]:
        reader, writer = await asyncio.open_connection(*mad_live.address)
        whole = sent(JUDGE, json.loads(VALID), headers="Expect: 100-continue")
        head, _, body = whole.partition(b"\r\n\r\n")
        writer.write(head + b"\r\n\r\n")
        leave = await read_until(reader, b"\r\n\r\n")
        writer.write(body)
        reply = await read_until(reader, b"\r\n")
        writer.close()
        return leave, reply

    leave, reply = asyncio.run(run())
    assert leave.startswith(b"HTTP/1.1 100 ")
    assert reply.startswith(b"HTTP/1.1 200 ")


@pytest.mark.slow
def test_a_crowd_that_says_nothing_keeps_nobody_from_being_served(mad_live: Live) -> None:
    open_before = descriptors(mad_live)

    async def run() -> Report:
        report = Report()
        async with crowd(mad_live.address, 400) as number, beside(mad_live.address, report):
            assert number == 400
            assert await eventually(lambda: report.served > 10)
            assert descriptors(mad_live) >= 400 + min(open_before, 5)
        return report

    assert asyncio.run(run()).defects == []
    assert settled(mad_live, open_before) <= open_before


FEW = 100
"""Files that a mock may have open which gets more connections than that."""


@pytest.mark.slow
def test_a_crowd_beyond_what_the_machine_allows_is_turned_away_and_forgotten() -> None:
    limited = ("sh", "-c", f'ulimit -n {FEW}; exec "$@"', "sh", here("openpipe-mock"))
    with serving("--quiet", command=limited) as live:
        open_before = descriptors(live)

        async def run() -> bool:
            async with crowd(live.address, 3 * FEW):
                return await eventually(lambda: descriptors(live) == FEW)

        assert asyncio.run(run())
        assert settled(live, open_before) <= open_before
        assert asyncio.run(exchange(live.address, sent(JUDGE, json.loads(VALID)))) == RIGHT
        assert alarms(live) == []


@pytest.fixture
def streaming(tmp_path: Path) -> Iterator[Live]:
    """A mock whose endless streams are long."""
    file = tmp_path / "long.yaml"
    file.write_text(LONG_STREAMS)
    with serving("--quiet", f"--config={file}") as live:
        yield live


async def length(live: Live, request: bytes) -> int:
    """How many bytes answer a request."""
    reader, writer = await asyncio.open_connection(*live.address)
    writer.write(request)
    total = 0
    while piece := await asyncio.wait_for(reader.read(MEBIBYTE), PATIENCE):
        total += len(piece)
    writer.close()
    return total


READERS = 8


@pytest.mark.slow
def test_who_reads_a_long_stream_slowly_costs_no_memory(streaming: Live) -> None:
    """What of these streams no system takes would be a hundred megabytes and more."""
    stream = sent(CHAT, {**ASKED, "stream": True}, headers="x-mock-fault: endless")

    async def run() -> tuple[int, Report]:
        report, held = Report(), memory(streaming)
        async with unread(streaming, READERS):
            grown = memory(streaming) - held
            async with beside(streaming.address, report):
                assert await eventually(lambda: report.served > 10)
        return grown, report

    assert asyncio.run(length(streaming, stream)) > 16 * MEBIBYTE
    open_before = descriptors(streaming)
    grown, report = asyncio.run(run())
    assert grown < READERS * MEBIBYTE
    assert report.defects == []
    assert settled(streaming, open_before) <= open_before
    assert alarms(streaming) == []


# Bodies that are made to cost


def seconds(body: bytes, path: str = JUDGE, headers: bytes = b"") -> float:
    """How long the mock keeps the processor busy with a body, at best."""
    service = Service()
    sent_headers = {**HEADERS, **({b"op-tags": headers, b"op-criteria": headers} if headers else {})}
    best = float("inf")
    for _ in range(3):
        started = thread_time()
        status = answer(service, body, path=path, headers=sent_headers).status
        best = min(best, thread_time() - started)
        assert status in (200, 400, 404)
    return best


def costs_less(body: bytes, times: float, other: bytes) -> bool:
    """Whether a body costs less than so many times what another one does.

    A generous factor, and several attempts, each of which measures both: on a loaded machine all takes longer
    at times.
    """
    return any(seconds(body) < times * seconds(other) for _ in range(ATTEMPTS))


def plain(size: int) -> bytes:
    """A body of this size that holds one long text."""
    body = {"criterion_id": "helpful", "output": {"role": "assistant", "content": ""}}
    room = size - len(json.dumps(body))
    body["output"] = {"role": "assistant", "content": "x" * room}
    return json.dumps(body).encode()


def nested(opening: bytes, closing: bytes, depth: int) -> bytes:
    start = b'{"criterion_id":"helpful","output":{"role":"assistant"},"input":{"tools":'
    return start + opening * depth + b"1" + closing * depth + b"}}"


def many(names: Iterable[str]) -> bytes:
    """A body with these names where none of them is known."""
    members = {name: number for number, name in enumerate(names)}
    return json.dumps({"criterion_id": "helpful", "output": {"role": "assistant"}, "input": members}).encode()


COSTLY = {
    "lists in lists": nested(b"[", b"]", 100_000),
    "objects in objects": nested(b'{"a":', b"}", 100_000),
    "lists without an end": b"[" * 500_000,
    "objects without an end": b'{"a":' * 100_000,
    "one name many times": b'{"a":{"b":1,' + b'"b":1,' * 60_000 + b'"b":1}}',
    "a number of many digits": b'{"criterion_id":' + b"7" * 500_000 + b"}",
    "a fraction of many digits": b'{"criterion_id":0.' + b"7" * 500_000 + b"}",
    "escapes": b'{"criterion_id":"' + b"\\ud83d\\ude00" * 40_000 + b'","output":{"role":"assistant"}}',
    "halves of escapes": b'{"criterion_id":"' + b"\\ud83d" * 80_000 + b'","output":{"role":"assistant"}}',
}


@pytest.mark.parametrize("name", COSTLY)
def test_a_body_that_is_made_to_cost_costs_about_what_its_size_does(name: str) -> None:
    assert costs_less(COSTLY[name], 20, plain(len(COSTLY[name])))


FLOOD = 16_384
FLOODS = {
    "names that collide where names are added up as Java does": colliding(FLOOD),
    "names that differ by a multiple of 2**61 - 1": many(str(n * (2**61 - 1)) for n in range(FLOOD)),
    "names of null characters": many("\x00" * (n % 100) + str(n) for n in range(FLOOD)),
    "names that differ at their end": many(f"{'x' * 100}{n}" for n in range(FLOOD)),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", FLOODS)
def test_names_that_collide_cost_no_more_than_others(name: str) -> None:
    flood = FLOODS[name]
    width = len(flood) // FLOOD
    assert costs_less(flood, 12, many(f"{n * 2654435761:0{width}}" for n in range(FLOOD)))


def test_colliding_names_do_collide() -> None:
    def java(name: str) -> int:
        return reduce(lambda found, char: (31 * found + ord(char)) % 2**32, name, 0)

    names = json.loads(colliding(FLOOD))["input"]
    assert len(names) == FLOOD
    assert len({java(name) for name in names}) == 1


@pytest.mark.parametrize("header", [b"[" * 30_000, b'{"a":' * 10_000, colliding(3000), b"9" * 60_000])
def test_so_do_headers(header: bytes) -> None:
    body = json.dumps(ASKED).encode()
    assert any(seconds(body, CHAT, header) < 40 * seconds(plain(len(header))) for _ in range(ATTEMPTS))


# What the mock reaches for


class Watch:
    """Notes what this process opens, connects to and starts, while it is on.

    Threads that other tests have left, as a link that looks for its Redis, don't count.
    """

    EVENTS = (
        "open",
        "socket.",
        "subprocess.",
        "os.",
        "urllib.",
        "shutil.",
        "ctypes.",
        "import",
        "exec",
        "compile",
    )

    def __init__(self) -> None:
        self.on = False
        self.seen: list[str] = []
        self.others: set[int | None] = set()
        sys.addaudithook(self.hear)

    def hear(self, event: str, arguments: Any) -> None:
        if self.on and event.startswith(self.EVENTS) and threading.get_ident() not in self.others:
            self.seen.append(f"{event} {arguments!r:.200}")

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        self.others = {thread.ident for thread in threading.enumerate()} - {threading.get_ident()}
        self.on, self.seen = True, []
        try:
            yield
        finally:
            self.on = False


@pytest.fixture(scope="module")
def watch() -> Watch:
    """Such a hook can't be taken away again."""
    return Watch()


def tempting(url: str) -> list[tuple[str, str, dict[bytes, bytes], Json]]:
    """Requests that name a place in every way in which a server might go there."""
    schemas: list[Json] = [
        {"$ref": url},
        {"$schema": url, "type": "object"},
        {"$id": url, "$ref": "#/a"},
        {"$dynamicRef": url},
        {"type": "object", "properties": {"a": {"$ref": f"{url}#/a"}}},
        {"contentMediaType": url, "format": "uri", "default": url, "type": "string"},
    ]
    said = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}]
    sent = {
        b"op-tags": json.dumps({"prompt_id": url}).encode(),
        b"x-forwarded-host": url.encode(),
        b"host": b"localhost",
    }
    found: list[tuple[str, str, dict[bytes, bytes], Json]] = []
    for schema in schemas:
        tool = {"type": "function", "function": {"name": "f", "parameters": schema}}
        answered = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
        chat = {"model": url, "messages": said, "max_tokens": 5}
        found += [
            ("POST", CHAT, sent, {**chat, "tools": [tool], "tool_choice": "required"}),
            ("POST", CHAT, sent, {**chat, "response_format": answered}),
            (
                "POST",
                JUDGE,
                sent,
                {
                    "criterion_id": url,
                    "input": {"messages": said, "tools": [tool]},
                    "output": {"role": "assistant", "content": url},
                },
            ),
        ]
    config: list[tuple[str, str, Json]] = [
        ("PUT", f"/_mock/criteria/{url}", {"score": 1, "explanation": url}),
        ("PUT", "/_mock/criteria/x", {"rules": [{"when": {"output": {"glob": url}}, "score": 1}]}),
        ("PUT", "/_mock/criteria/x", {"raw": {"$ref": url}}),
        ("POST", "/_mock/completions", {"raw": {"$ref": url}, "name": url}),
        ("POST", "/_mock/completions", {"$ref": url, "text": url, "include": url}),
        ("POST", "/_mock/faults", {"status": 429, "body": {"$ref": url}, "content_type": url}),
        ("POST", "/_mock/verify", {"when": {"header": {"x": {"equals": url}}}}),
        ("POST", "/_mock/sessions", {"name": url}),
    ]
    found += [(method, path, sent, body) for method, path, body in config]
    reads = (
        "",
        f"/api/v1/{url}",
        f"/_mock/{url}",
        f"/_mock/requests/{url}",
        "/../../etc/passwd",
        "/_mock/../etc/passwd",
    )
    return found + [("GET", path, sent, None) for path in reads]


def carried(exchange: Effects, body: bytes) -> bytes:
    """The whole answer of an exchange."""
    try:
        effect = next(exchange)
        while True:
            match effect:
                case ReadBody():
                    effect = exchange.send(body)
                case Now() | Tick():
                    effect = exchange.send(0.0)
                case Entropy(size):
                    effect = exchange.send(bytes(size))
                case _:
                    effect = exchange.send(None)
    except StopIteration as stop:
        return bytes(stop.value.body)


def asked(service: Service, url: str) -> list[bytes]:
    """The answers to all that tempts."""
    control, answers = Control(service), []
    for method, path, headers, body in tempting(url):
        engine = control if path.startswith("/_mock/") else service
        head = Head(method, path, {**HEADERS, **headers})
        answers.append(carried(engine.exchange(head), json.dumps(body).encode()))
    return answers


SECRET = "the text of a file that nobody may read"


def test_nothing_that_is_sent_makes_the_mock_read_files_or_reach_the_network(
    watch: Watch, tmp_path: Any
) -> None:
    """What isn't Python's is watched from outside: by a file's text and by a listening socket."""
    hidden = tmp_path / "secret.json"
    hidden.write_text(json.dumps({"type": "string", "const": SECRET, "a": {"const": SECRET}}))
    service = Service(Settings())
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.2)
        port = listener.getsockname()[1]
        urls = [
            f"http://127.0.0.1:{port}/x.json",
            f"file://{hidden}",
            str(hidden),
            f"ftp://127.0.0.1:{port}/x",
        ]
        asked(service, "warm:up")  # what is loaded once is loaded now
        with watch.watching():
            answers = [answer for url in urls for answer in asked(service, url)]
        with pytest.raises(TimeoutError):
            listener.accept()
    assert watch.seen == []
    assert len(answers) > 100
    assert not any(SECRET.encode() in answer for answer in answers)


def wishes(url: str) -> Iterator[bytes]:
    """Config files that name a place in every way in which a reader of YAML might go there."""
    quoted = json.dumps(url)
    yield from (
        f"{tag} {quoted}\n".encode()
        for tag in (
            "!include",
            "!!python/object/apply:os.system",
            "!!python/object/new:open",
            "!ENV",
            "!file",
        )
    )
    yield from (
        f"{name}: {quoted}\n".encode()
        for name in ("include", "extends", "import", "$ref", "$schema", "imports", "from", "<<", "criteria")
    )
    yield f"completions: [{{raw: {{$ref: {quoted}}}}}]\n".encode()
    yield f"completions: [{{text: {quoted}}}]\n".encode()
    yield f"faults: [{{status: 400, body: {{$ref: {quoted}}}}}]\n".encode()
    yield f"criteria: {{helpful: {{score: 1, explanation: {quoted}}}}}\n".encode()


def answers_under(url: str) -> list[bytes]:
    """What is said under each such file, or of it."""
    said = []
    for text in wishes(url):
        try:
            service = Service(configfile.read_config(text, "mock.yaml"))
        except configfile.ConfigError as error:
            said.append(str(error).encode())
            continue
        said += [answer(service, body, path=path).body for path, body in CORRECT[:2]]
    return said


def test_nothing_in_a_config_file_makes_the_mock_read_files_or_reach_the_network(
    watch: Watch, tmp_path: Path
) -> None:
    hidden = tmp_path / "secret.yaml"
    hidden.write_text(f"seed: 7\ntext: {SECRET}\n")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.2)
        urls = (str(hidden), f"file://{hidden}", f"http://127.0.0.1:{listener.getsockname()[1]}/x.yaml")
        answers_under("warm:up")  # what is loaded once is loaded now
        with watch.watching():
            answers = [said for url in urls for said in answers_under(url)]
        with pytest.raises(TimeoutError):
            listener.accept()
    assert watch.seen == []
    began = str(hidden)[:8].encode()  # a long path may be cut by the request's limit
    assert any(b'"choices"' in said and began in said for said in answers), "none was in force"
    assert not any(SECRET.encode() in said for said in answers)


def test_the_watch_sees_what_it_watches_for(watch: Watch, tmp_path: Any) -> None:
    (tmp_path / "x").write_text("x")
    with watch.watching():
        (tmp_path / "x").read_text()
        with contextlib.suppress(OSError), socket.socket() as sock:
            sock.connect(("127.0.0.1", 1))
    assert any(seen.startswith("open ") for seen in watch.seen)
    assert any(seen.startswith("socket.connect") for seen in watch.seen)


def test_the_correct_clients_know_the_right_answers() -> None:
    assert len({answer(Service(), body, path=path).body for path, body in CORRECT}) == len(CORRECT)
