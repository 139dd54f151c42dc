"""How a run goes: several requests at once, the same run twice, bounds of memory, and what is left out."""

import asyncio
import itertools
import json
import threading
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from contract_tests.promises import Case
from contract_tests.run import Run, Unjudged
from contract_tests.settings import RunSettings
from openpipe_mock.contract.checks import find
from openpipe_mock.contract.decoding import NotDecodable, TooManyEncodings, decoded
from openpipe_mock.contract.findings import Result
from openpipe_mock.contract.probe import Exchange, Probe, Request
from openpipe_mock.contract.run import Progress, run
from openpipe_mock.contract.target import RunOptions, Target
from tests.judging import KNOWN, states, told, verdict_on
from tests.live import PATIENCE
from tests.reference import http as wire
from tests.reference.habits import Habits
from tests.reference.http import CHAT, JUDGE, App, Event, Raw, Receive, Send, received, sent
from tests.reference.mutants import mutants
from tests.reference.mutation import refusing
from tests.reference.server import Reference
from tests.reference.serving import live
from tests.reference.wire_mutants import Keeping, Keeps

pytestmark = pytest.mark.measured

JSON = {"content-type": "application/json"}
BUSY = Raw(429, {**JSON, "retry-after": "0"}, (b'{"message":"busy","code":"TOO_MANY_REQUESTS"}',))
PAGE = b"<!doctype html><title>Welcome</title>"


class Watching:
    """A server that counts what it was asked, and how much of it at once.

    From the tenth request on it waits until a crowd of that many was there at once, but not for ever.
    """

    def __init__(self, app: App | None = None, crowd: int = 1) -> None:
        self.app, self.crowd = app or Reference(), crowd
        self.under_way = self.most = 0
        self.beside_large = 0
        self.paths: Counter[str] = Counter()
        self.bodies: list[bytes] = []

    async def __call__(self, scope: Event, receive: Receive, send: Send) -> None:
        request = await received(scope, receive)
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            for _ in range(round(PATIENCE / 0.01) if self.paths.total() > 9 else 0):
                if self.most >= self.crowd:
                    break
                await asyncio.sleep(0.01)
            await self.take(request, scope, send)
        finally:
            self.under_way -= 1

    async def take(self, request: wire.Request, scope: Event, send: Send) -> None:
        self.paths[request.path] += 1
        self.bodies.append(request.body)
        if len(request.body) > 2**15:
            self.beside_large = max(self.beside_large, self.under_way - 1)

        async def again() -> Event:
            return {"type": "http.request", "body": request.body, "more_body": False}

        await self.app(scope, again, send)


def broken_in_places() -> App:
    """A server that refuses some valid requests, and so breaks some checks."""
    return refusing(JUDGE, lambda body: "tools" in (body.get("input") or {}))(Habits())


def statement(result: Result) -> dict[str, Any]:
    """What a run says of each check."""
    return {
        each.check.id: (each.state, each.reasons, [(one.sentence, one.case) for one in each.findings])
        for each in result.outcomes
    }


def told_alike(result: Result) -> dict[str, Any]:
    """What a run says whether requests go at once or not."""
    return {name: said for name, said in statement(result).items() if not name.endswith(".at_once")}


# Several requests at once.


@pytest.mark.slow
def test_several_jobs_find_what_one_finds() -> None:
    alone, four = Watching(broken_in_places()), Watching(broken_in_places(), crowd=4)
    first, second = verdict_on(alone, jobs=1), verdict_on(four)
    assert told_alike(first) == told_alike(second)
    assert states(first, "broken"), "or there is nothing to compare"
    assert (alone.most, four.most) == (1, 4), "as many as are allowed, and no more"
    assert four.beside_large == 0, "large texts go alone"
    assert sorted(alone.bodies) == sorted(four.bodies)
    assert first.requests == second.requests == alone.paths.total()


@pytest.mark.slow
@pytest.mark.parametrize(("jobs", "state"), [(1, "unchecked"), (4, "kept")])
def test_what_goes_at_once_is_judged_only_where_it_does(jobs: int, state: str) -> None:
    app = Watching()
    result = verdict_on(app, jobs=jobs, only=("judge.at_once", "chat.at_once"))
    outcomes = {each.check.id: each for each in result.outcomes if each.check.id.endswith(".at_once")}
    assert {each.state for each in outcomes.values()} == {state}, told(result)
    assert len(outcomes) == 2
    assert jobs > 1 or outcomes["chat.at_once"].reasons == ("no requests went at the same time",)


class Crowded(Watching):
    """A server that takes two requests at once and tells others that it is busy."""

    async def take(self, request: wire.Request, scope: Event, send: Send) -> None:
        if self.under_way > 2:
            await sent(BUSY, send)
        else:
            await super().take(request, scope, send)


class Limited(Watching):
    """A server that is busy after every sixtieth request."""

    async def take(self, request: wire.Request, scope: Event, send: Send) -> None:
        if self.paths.total() % 60 == 59:
            self.paths["busy"] += 1
            await sent(BUSY, send)
        else:
            await super().take(request, scope, send)


class Jammed(Watching):
    """A server that has no answer for a request that comes while another is under way."""

    async def __call__(self, scope: Event, receive: Receive, send: Send) -> None:
        async def patient() -> Event:
            return {"type": "http.request", "body": request.body, "more_body": False}

        request = await received(scope, receive)
        self.under_way += 1
        try:
            await asyncio.sleep(0.05)
            if self.under_way == 1:
                await self.app(scope, patient, send)
            else:
                self.paths["jammed"] += 1
                while (await receive())["type"] != "http.disconnect":
                    pass
        finally:
            self.under_way -= 1


@pytest.mark.slow
def test_what_gets_no_answer_beside_others_is_asked_again_alone() -> None:
    app = Jammed()
    result = verdict_on(app, only=("judge.errors",), timeout=2.0)
    assert result.verdict == "kept", told(result) + result.open_questions
    assert states(result, "broken", "flaky") == set()
    assert app.paths["jammed"] > 0
    assert any("The server was busy with several at once" in remark for remark in result.remarks)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [Crowded, Limited])
def test_a_server_that_limits_requests_is_not_broken(kind: type[Watching]) -> None:
    app = kind(crowd=3)
    result = verdict_on(app, max_requests=150, level="documented")
    assert result.verdict == "kept", told(result) + result.open_questions
    assert states(result, "broken", "flaky") == set()
    assert any("The server was busy" in remark for remark in result.remarks)


# The same run twice.


@pytest.mark.slow
def test_five_runs_at_the_edge_of_the_budget_say_the_same() -> None:
    """Of a server that refuses some and is in no hurry with others."""

    class Moody(Watching):
        async def take(self, request: wire.Request, scope: Event, send: Send) -> None:
            for _ in range(zlib.crc32(request.body) % 50 * (1 + self.paths.total() % 3)):
                await asyncio.sleep(0)
            await super().take(request, scope, send)

    app = refusing(JUDGE, lambda body: "input" in body)(Habits())
    every = [verdict_on(Moody(app), max_requests=100, jobs=jobs) for jobs in (1, 4, 4, 8, 1)]
    assert states(every[0], "broken")
    assert "the budget of requests was spent" in {
        reason for each in every[0].in_state("unchecked") for reason in each.reasons
    }
    assert all(each.requests <= 100 for each in every)
    for each in every[1:]:
        assert told_alike(each) == told_alike(every[0])


def new_run(**settings: Any) -> Run:
    return Run(RunSettings(**settings), Probe(Target("http://mock.test/api/v1")))


def asking(number: int, size: int = 1) -> Request:
    return Request("POST", "/criteria/judge", str(number).encode() * size)


def case(*requests: Request) -> Case:
    return Case(find("judge.no_5xx"), requests, lambda context: [])


def answering(answer: Callable[[Request], Exchange], run: Run) -> Run:
    run.ahead.exchange = answer  # type: ignore[assignment,method-assign]
    return run


def test_what_a_case_may_send_depends_on_plan_and_reserve() -> None:
    run = answering(lambda request: Exchange(request, 200), new_run())
    run.begin([case(asking(1)), case(asking(2))], reserve=1)
    run.exchange(asking(1))
    run.exchange(asking(1))  # a repetition
    with pytest.raises(Unjudged, match="the budget of requests was spent"):
        run.exchange(asking(1))
    assert run.exchange(asking(2)).ok, "what is planned is always there"
    run.further = 1
    assert run.exchange(asking(3)).ok
    assert run.sent == 4


def test_a_server_that_stays_silent_is_given_up() -> None:
    dead = answering(lambda request: Exchange(request, failure="no answer in time"), new_run())
    dead.begin([case(*map(asking, range(9)))], 0)
    for number in range(2):
        dead.exchange(asking(number))
    with pytest.raises(Unjudged, match="too many requests unanswered"):
        dead.exchange(asking(3))


def test_a_server_that_answered_once_may_stay_silent_a_few_times_more() -> None:
    statuses = iter([200, 0, 0, 0, 0, 200, 0, 0, 0, 0])
    run = answering(lambda request: answered(request, next(statuses)), new_run())
    run.begin([case(*map(asking, range(20)))], 0)
    for number in range(10):
        run.exchange(asking(number))
    with pytest.raises(Unjudged, match="too many requests unanswered"):
        run.exchange(asking(11))


def answered(request: Request, status: int) -> Exchange:
    return Exchange(request, status, failure="" if status else "no answer in time")


# Memory.


def test_large_answers_are_kept_while_a_case_needs_them() -> None:
    long = b"x" * 2**20
    run = answering(lambda request: Exchange(request, 200, body=long), new_run())
    shared, own = asking(1), asking(2)
    first, second = case(shared, own), case(shared)
    run.begin([first, second], 0)
    for request in first.requests:
        run.exchange(request)
    run.end_case(first)
    assert (run.seen[own].body, run.seen[own].ok) == (b"", True)
    assert run.seen[shared].body == long
    run.end_case(second)
    assert run.seen[shared].body == b""


def test_there_is_a_bound_to_what_is_kept_of_all_answers() -> None:
    long = b"x" * 2**23
    run = answering(lambda request: Exchange(request, 200, body=long), new_run())
    first = second = case(*map(asking, range(12)))
    run.begin([first, second], 0)
    for request in first.requests:
        run.exchange(request)
    run.end_case(first)
    assert sum(len(each.body) for each in run.seen.values()) == 2**26
    lost = [each for each in run.seen.values() if not each.body]
    assert {each.failure for each in lost} == {"its answer is too long to be kept"}


@pytest.mark.slow
def test_findings_quote_the_beginning_of_a_long_answer() -> None:
    long = Raw(200, JSON, (json.dumps({"score": 2, "explanation": "x" * 2**20}).encode(),))

    async def app(scope: Event, receive: Receive, send: Send) -> None:
        await received(scope, receive)
        await sent(long, send)

    result = verdict_on(app, endpoint="judge", max_requests=30)
    [broken] = [each for each in result.outcomes if each.check.id == "judge.response.score"]
    bodies = [each.evidence.body for each in broken.findings if each.evidence]
    assert bodies
    assert all(0 < len(body) <= 2**16 for body in bodies)


def packed(data: bytes, bits: int = 31) -> bytes:
    packer = zlib.compressobj(wbits=bits)
    return packer.compress(data) + packer.flush()


@pytest.mark.parametrize("bits", [31, 15, -15], ids=["gzip", "zlib", "bare"])
@pytest.mark.parametrize("size", [1, 7, 10**6])
def test_what_is_packed_is_unpacked(bits: int, size: int) -> None:
    text = json.dumps(list(range(1000))).encode()
    whole = packed(text, bits)
    pieces = [whole[start : start + size] for start in range(0, len(whole), size)]
    assert b"".join(decoded(pieces, "gzip" if bits == 31 else "deflate")) == text
    assert b"".join(decoded([text], "identity")) == b"".join(decoded([text], "unknown")) == text


def test_a_small_body_can_t_become_a_large_one_at_once() -> None:
    bomb = packed(packed(bytes(2**25)))
    assert len(bomb) < 1000
    first = [*itertools.islice(decoded([bomb], "gzip, gzip"), 100)]
    assert max(map(len, first)) <= 2**16


@pytest.mark.parametrize(
    ("body", "header", "problem"),
    [
        (b"abc", "gzip", NotDecodable),
        (packed(b"abc" * 99)[:-9], "x-gzip", NotDecodable),
        (packed(b"abc" * 99).replace(b"\x1f\x8b", b"\x1f\x8c"), "gzip", NotDecodable),
        (packed(packed(packed(b""))), "gzip, gzip,gzip", TooManyEncodings),
    ],
)
def test_what_can_t_be_unpacked_is_told(body: bytes, header: str, problem: type[Exception]) -> None:
    with pytest.raises(problem):
        list(decoded([body], header))


# Endpoints, and checks by name.


@pytest.mark.slow
@pytest.mark.parametrize(("endpoint", "path"), [("judge", JUDGE), ("chat", CHAT)])
def test_one_endpoint_is_judged_alone(endpoint: str, path: str) -> None:
    app = Watching()
    result = verdict_on(app, endpoint=endpoint, max_requests=60)
    assert result.verdict == "kept", told(result) + result.open_questions
    assert {each for each in app.paths if each in (JUDGE, CHAT)} == {path}
    assert {each.check.endpoint for each in result.outcomes} <= {endpoint, ""}


@pytest.mark.slow
def test_a_check_by_name_is_sent_and_reported_alone() -> None:
    app = Watching()
    result = verdict_on(app, only=("criteria.sorted",))
    assert {each.check.id for each in result.outcomes} == {"criteria.sorted"}
    assert app.paths == {CHAT: 9}, "eight to sort, and whether chat answers"


@pytest.mark.slow
def test_a_check_of_streams_sends_streams() -> None:
    app = Watching()
    result = verdict_on(app, only=("chat.stream.finish",))
    assert states(result, "kept") == {each.check.id for each in result.outcomes} == {"chat.stream.finish"}
    bodies = [body for body in app.bodies if b'"stream":true' not in body]
    assert len(bodies) == 8, "whether chat answers, and what cases with a stream send beside it"


# Servers that aren't there, or are something else.


def answers(**by_path: tuple[int, dict[str, str], bytes]) -> App:
    """A server with fixed answers for the judge or chat, and a correct one for the rest."""
    reference = Reference()

    async def app(scope: Event, receive: Receive, send: Send) -> None:
        name = "judge" if scope["path"].endswith("/judge") else "chat"
        if name not in by_path:
            await reference(scope, receive, send)
            return
        await received(scope, receive)
        status, headers, body = by_path[name]
        await sent(Raw(status, headers, (body,)), send)

    return app


NOWHERE = (404, JSON, b'{"detail":"Not Found"}')
HTML = {"content-type": "text/html"}


@pytest.mark.slow
@pytest.mark.parametrize("answer", [NOWHERE, (405, JSON, b"{}"), (404, HTML, PAGE), (501, {}, b"")])
def test_an_endpoint_that_isn_t_there_is_one_statement(answer: tuple[int, dict[str, str], bytes]) -> None:
    result = verdict_on(answers(judge=answer), only=("reachability",))
    assert (result.exit_code, states(result, "broken", "flaky")) == (3, set()), told(result)
    [question] = [each for each in result.open_questions if "judge" in each]
    assert question.startswith(
        f"judge was not judged. The judge isn't served: {answer[0]}. The chat is there;"
    )
    assert "--endpoint chat" in question
    assert "Try" not in question, "the base URL is right"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((200, HTML, PAGE), "A page of a web server or proxy came: 200."),
        ((502, HTML, b"<html><h1>Bad Gateway</h1></html>"), "A page of a web server or proxy came: 502."),
        ((200, {}, b"\n <html>"), "A page of a web server or proxy came: 200."),
        ((301, {"location": "https://x.test/"}, b""), "Give the URL that it redirects to"),
    ],
)
def test_something_else_than_the_api_is_no_verdict(
    answer: tuple[int, dict[str, str], bytes], words: str
) -> None:
    result = verdict_on(answers(judge=answer, chat=answer), only=("reachability",))
    assert (result.exit_code, result.requests) == (3, 2)
    assert states(result, "broken", "flaky") == set()
    assert all(words in question for question in result.open_questions), result.open_questions


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/v1", "Give the base URL that its clients use."),
        ("/api/v1/criteria/judge", "/api/v1 instead."),
        ("", "Is /api/v1 missing?"),
    ],
)
def test_a_wrong_base_url_is_told_with_one_that_may_be_right(path: str, words: str) -> None:
    with live(Reference()) as stage:
        result = run(RunOptions(f"{stage.origin}{path}", **KNOWN, only=("reachability",)))
    assert (result.exit_code, result.requests) == (3, 2)
    assert all(words in question for question in result.open_questions)
    assert "/v1/api/v1" not in "".join(result.open_questions)


@pytest.mark.slow
def test_https_to_a_server_without_tls_is_told() -> None:
    with live(Reference()) as stage:
        url = stage.base_url.replace("http://", "https://")
        result = run(RunOptions(url, **KNOWN, only=("reachability",)))
        assert f"it speaks no TLS. Try {stage.base_url} instead." in result.open_questions[0]
    assert result.exit_code == 3


# Waiting, and hanging up.


@contextmanager
def hanging_up(when: Callable[[int], bool]) -> Iterator[str]:
    """A correct server, by its base URL, that closes a kept connection in place of some answers."""
    reference, numbers = Reference(), itertools.count(1)

    class Handler(BaseHTTPRequestHandler):
        protocol_version, disable_nagle_algorithm = "HTTP/1.1", True
        kept = False

        def log_message(self, format: str, *args: object) -> None:
            """Nothing is printed."""

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            if when(next(numbers)) and self.kept:
                self.close_connection = True
                return
            self.kept = True
            headers = {name.lower(): value for name, value in self.headers.items()}
            raw = reference.reply(wire.Request(self.command, self.path, headers, body))
            self.send_response_only(raw.status)
            for name, value in {**raw.headers, "content-length": str(len(raw.body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(raw.body)

        do_GET = do_POST

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}{wire.BASE}"
        server.shutdown()
        thread.join()


@pytest.mark.slow
def test_one_hang_up_is_remarked() -> None:
    with hanging_up(lambda number: number == 20) as url:
        result = run(RunOptions(url, **KNOWN, endpoint="judge", max_requests=60))
    assert result.verdict == "kept", told(result) + result.open_questions
    remark = "The server hung up on a kept connection once; what it left unanswered was sent again."
    assert remark in result.remarks


@pytest.mark.slow
def test_several_hang_ups_are_a_finding() -> None:
    with hanging_up(lambda number: number % 20 == 0) as url:
        result = run(RunOptions(url, **KNOWN, endpoint="judge", max_requests=60, jobs=1))
    assert states(result, "broken", "flaky") == {"judge.answers"}
    assert result.exit_code == 1
    assert "2 times so far" in result.breaks[0].first.sentence


@pytest.mark.slow
def test_waits_for_a_busy_server_are_told_to_who_watches() -> None:
    slow = Raw(429, {**JSON, "retry-after": "1"}, BUSY.pieces)
    waits: list[float] = []

    class Once(Watching):
        async def take(self, request: wire.Request, scope: Event, send: Send) -> None:
            if not self.paths.total():
                self.paths["busy"] += 1
                await sent(slow, send)
            else:
                await super().take(request, scope, send)

    with live(Once()) as stage:
        run(RunOptions(stage.base_url, **KNOWN, only=("judge.same_again",)), Progress(waiting=waits.append))
    assert [round(each) for each in waits] == [1]


@pytest.fixture(scope="module", autouse=True)
def no_key_from_outside() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("OPENPIPE_API_KEY", raising=False)
        yield


# What a server keeps.


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "check"),
    [
        ("cache-says-otherwise", "chat.cache.answers"),
        ("cache-judged-once", "chat.cache.answers"),
        ("cache-unasked", "chat.cache.modes"),
        ("cache-write-only-forgets", "chat.cache.modes"),
    ],
)
def test_a_cache_is_found_out_twice_and_so_is_not_flaky(name: str, check: str) -> None:
    [mutant] = [each for each in mutants() if each.name == name]
    result = verdict_on(mutant.make(Habits()), only=("chat.cache",))
    assert states(result, "broken") >= {check}
    assert result.requests < 40


@pytest.mark.slow
def test_a_server_that_keeps_answers_as_it_should_breaks_nothing() -> None:
    assert verdict_on(Keeping(Habits(), Keeps()), only=("chat.cache",)).verdict == "kept"
