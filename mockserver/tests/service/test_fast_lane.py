"""The fast lane says and remembers what the service does, whatever comes; taken out it is not missed."""

import asyncio
import json
import logging
import random
from collections.abc import Callable, Coroutine, Iterator, Mapping
from dataclasses import asdict, replace
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from openpipe_mock.answers.scorers import Declared, Fixed, Form
from openpipe_mock.answers.scripts import Script, ScriptedChoice
from openpipe_mock.config.limits import Limits
from openpipe_mock.config.settings import Settings
from openpipe_mock.control.api import Control
from openpipe_mock.core.effects import Head, Reply
from openpipe_mock.core.strictjson import MOST_LEVELS
from openpipe_mock.faults.fault import Fault
from openpipe_mock.faults.kinds import ErrorAnswer
from openpipe_mock.faults.variants import VARIANTS
from openpipe_mock.payloads import strategies
from openpipe_mock.server.direct import DirectApp
from openpipe_mock.service import fast_lane, journaling
from openpipe_mock.service.completions import OFTEN
from openpipe_mock.service.service import Service
from openpipe_mock.sessions.journal import Entry
from openpipe_mock.sessions.memory import Session, Sessions
from openpipe_mock.sessions.redis.link import Link
from openpipe_mock.sessions.redis.sessions import RedisSessions
from tests import golden
from tests.chatting import CHAT, sent_with, shaped, tool
from tests.controlling import Mock
from tests.golden import chat
from tests.inprocess import HEADERS, JUDGE, MINIMAL, answer, having
from tests.profiles import examples
from tests.redises import redis_server

Json = Any
Headers = Mapping[bytes, bytes]
FIXED = Declared({1: Form(Fixed(1.0))})
BODY = json.dumps(having(output={"role": "assistant", "content": "1, 2, 3."})).encode()


@pytest.fixture(scope="module", autouse=True)
def timeless() -> Iterator[None]:
    """Have the journal keep no times of pieces, which differ from way to way."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(journaling, "MOST_PIECES", 0)
        yield


def sent(
    app: DirectApp, body: bytes, headers: Headers = HEADERS, query: bytes = b"", *, path: str = JUDGE
) -> Json:
    """Status, headers and body of the answer to a request, at once where that is possible."""
    heard: list[Json] = []
    coming = [{"type": "http.request", "body": body}]

    async def receive() -> Json:
        return coming.pop() if coming else await asyncio.Future()

    async def send(message: Json) -> None:
        heard.append(message)

    scope = {
        **{"type": "http", "method": "POST", "path": path, "query_string": query},
        **{"headers": list(headers.items()), "extensions": {}, "client": ("127.0.0.1", 50000)},
    }
    found = app.at_once(scope, body)
    if isinstance(found, Reply):
        length = (b"content-length", b"%d" % len(found.body))
        return found.status, [*found.headers, length], found.body
    run = cast(Callable[..., Coroutine[Any, Any, None]], found or app)
    asyncio.run(run(scope, receive, send))
    start, *pieces = heard
    return start["status"], list(start["headers"]), b"".join(piece.get("body", b"") for piece in pieces)


def long_way(service: Service, body: bytes, headers: Headers = HEADERS, *, path: str = JUDGE) -> Json:
    """The same for the service's own steps."""
    reply = answer(service, body, headers=headers, path=path)
    streamed = b"text/event-stream" in dict(reply.headers)[b"content-type"]
    length = [] if streamed else [(b"content-length", b"%d" % len(reply.body))]
    return reply.status, [*reply.headers, *length], reply.body


def remembered(service: Service) -> list[Json]:
    """What the journal holds, but for its times and number."""
    entries = service.sessions.default.journal.entries
    return [
        asdict(replace(entry, at=0.0, time=0.0, sequence=0, seconds=0.0, times=(), settings=Settings()))
        for entry in entries
    ]


def same(body: bytes, headers: Headers = HEADERS, settings: Settings | None = None) -> Service:
    """Fails unless both ways say and remember the same, twice."""
    short, long = Service(settings), Service(settings)
    app = DirectApp(short)
    for _ in range(2):
        assert sent(app, body, headers) == long_way(long, body, headers)
    assert remembered(short) == remembered(long)
    assert short.sessions.default.journal.bytes == long.sessions.default.journal.bytes
    return short


def counted(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Notes for each judge request that is looked at whether it goes the short way."""
    ways: list[bool] = []
    plain = fast_lane.FastLane.judgement

    def judgement(self: fast_lane.FastLane, *rest: Any) -> Any:
        reply = plain(self, *rest)
        ways.append(reply is not None)
        return reply

    monkeypatch.setattr(fast_lane.FastLane, "judgement", judgement)
    return ways


IDS = st.sampled_from(
    ["helpful", "helpful@v3", "mock-pass", "mock-score-0.5", "mock-", "a b", "@v1", "x" * 201, "ü@v2", ""]
)
bodies = st.one_of(
    strategies.judge_requests(),
    strategies.judge_requests(ids=IDS),
    strategies.broken_judge_requests().map(lambda broken: broken.body),
).map(lambda body: json.dumps(body).encode())
texts = st.one_of(bodies, st.binary(max_size=20), bodies.map(lambda body: body[:-1]))
keys = st.sampled_from(
    [b"Bearer op-test", b"Bearer invalid", b"bearer x", b"Bearer  x", b"Bearer", b"Basic x"]
)
others = st.fixed_dictionaries(
    {},
    optional={
        b"content-type": st.sampled_from([b"text/plain", b"application/json; charset=utf-8"]),
        b"content-encoding": st.sampled_from([b"gzip", b"identity"]),
        b"content-length": st.sampled_from([b"1", b"99999999999"]),
        b"x-mock-session": st.sampled_from([b"default", b"other"]),
        b"x-mock-fault": st.sampled_from([b"500", b"nonsense"]),
        b"x-mock-score": st.sampled_from([b"0.25", b"2"]),
        b"x-secret": st.just(b"hidden"),
        b"user-agent": st.just(b"test"),
    },
)


@pytest.mark.usefixtures("lane")
@settings(suppress_health_check=[*settings().suppress_health_check, HealthCheck.function_scoped_fixture])
@given(texts, keys, others)
@example(BODY, b"Bearer op-test", {})
@example(BODY, b"Bearer 1, 2, 3.", {})
@example(b"[" * (MOST_LEVELS + 1) + b"]" * (MOST_LEVELS + 1), b"Bearer op-test", {})
def test_both_ways_say_and_remember_the_same(body: bytes, key: bytes, other: Headers) -> None:
    same(body, {**HEADERS, b"authorization": key, **other})


@pytest.fixture(params=["with the lane", "without it"])
def lane(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once as it is, and once with the fast lane taken out."""
    if request.param == "without it":
        monkeypatch.setattr(
            fast_lane.FastLane, "answer", lambda self, *request: self.service.answer(*request)
        )


def at_hand(service: Service, path: str, body: Json, headers: Headers) -> str:
    """The body of a plain answer, each time that it is asked for."""
    lane, sent = fast_lane.FastLane(service), json.dumps(body).encode()
    replies = [lane.answer(Head("POST", path, headers), sent, lambda: 0.0) for _ in "123"]
    [text] = {reply.body.decode() for reply in replies if isinstance(reply, Reply)}
    return text


@pytest.mark.usefixtures("lane")
def test_the_golden_bytes_are_the_same_with_the_lane_and_without() -> None:
    for row in json.loads(golden.FILE.read_text("utf-8")):
        service = Service(Settings(seed=row["seed"]))
        assert at_hand(service, JUDGE, row["request"], HEADERS) == row["reply"], row["name"]
    for row in json.loads(chat.FILE.read_text("utf-8")):
        if row["request"].get("stream") or row["settings"].get("repeat") == "vary":
            continue
        service, headers = Service(Settings(**row["settings"])), sent_with(**row["options"])
        assert at_hand(service, CHAT, row["request"], headers) == row["reply"], row["name"]


SETTINGS = {
    "a seed": Settings(seed=7),
    "no magic": Settings(magic=False),
    "lenient": Settings(validation="lenient"),
    "unknown criteria are refused": Settings(unknown_criteria="not_found"),
    "unknown criteria are judged": Settings(unknown_criteria="judge", criteria={"a": FIXED}),
    "declared criteria": Settings(criteria={"helpful": FIXED}),
    "keys": Settings(keys=("op-other",)),
    "read-only keys": Settings(read_only_keys=("op-test",)),
    "a limit": Settings(limits=Limits(requests_per_minute=1)),
    "a fault": Settings(faults=(Fault(kinds=(ErrorAnswer(503),)),)),
    "a variant": Settings(variant=VARIANTS[0].name),
    "small bodies": Settings(max_body_bytes=20),
}
PLAIN = {"a seed", "no magic", "lenient"}


@pytest.mark.parametrize("name", SETTINGS)
def test_settings_count_on_both_ways(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ways = counted(monkeypatch)
    same(BODY, settings=SETTINGS[name])
    assert set(ways) <= {name in PLAIN}


def test_a_plain_judgement_goes_the_short_way(monkeypatch: pytest.MonkeyPatch) -> None:
    ways = counted(monkeypatch)
    same(BODY, {**HEADERS, b"user-agent": b"test", b"op-tags": b"{}"})
    assert ways == [True, True]


@pytest.mark.parametrize(
    "body",
    [
        json.dumps({**MINIMAL, "input": None}).encode(),
        json.dumps(having(criterion_id="mock-pass")).encode(),
        json.dumps(having(criterion_id="a b")).encode(),
        BODY.replace(b"helpful", b"\\u0068elpful"),
        BODY[:-1],
        b"",
    ],
)
def test_what_is_unlike_the_usual_goes_the_long_way(body: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    ways = counted(monkeypatch)
    same(body)
    assert ways == [False, False]


def test_a_query_goes_the_long_way(monkeypatch: pytest.MonkeyPatch) -> None:
    ways = counted(monkeypatch)
    plain, asked = Service(), Service()
    assert sent(DirectApp(asked), BODY, query=b"api_key=s3cret-value") == sent(DirectApp(plain), BODY)
    assert ways == [True]
    assert remembered(asked)[0]["query_secrets"] == ("api_key",)


def test_another_server_gets_the_same_from_the_app() -> None:
    class Elsewhere(DirectApp):
        """What a server hears that asks nothing at once."""

        def at_once(self, scope: object, body: bytes) -> None:
            return None

    one, other = Service(), Service()
    for body in (BODY, BODY[:-1]):
        assert sent(DirectApp(one), body) == sent(Elsewhere(other), body)
    assert remembered(one) == remembered(other)


def test_what_is_set_at_runtime_closes_the_short_way_and_a_reset_opens_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ways = counted(monkeypatch)
    service = Service()
    app, session = DirectApp(service), service.sessions.default
    first = sent(app, BODY)
    session.override(criteria={"helpful": FIXED})
    assert json.loads(sent(app, BODY)[2])["score"] == 1.0
    session.forget()
    assert sent(app, BODY) == first
    service.settings = Settings(seed=1)
    assert sent(app, BODY) != first
    assert ways == [True, False, True, True]


def test_shared_sessions_have_no_short_way(monkeypatch: pytest.MonkeyPatch) -> None:
    class Shared(Session):
        """Sessions that several processes share are of another class."""

    ways = counted(monkeypatch)
    service = Service()
    service.sessions.default = Shared()
    assert sent(DirectApp(service), BODY) == sent(DirectApp(Service()), BODY)
    assert ways == [False, True]


def test_a_long_judgement_is_kept_in_part(monkeypatch: pytest.MonkeyPatch) -> None:
    ways = counted(monkeypatch)
    text = "long " * (fast_lane.MOST_BYTES // 5)
    same(json.dumps(having(output={"role": "assistant", "content": text})).encode())
    assert ways == [False, False]


def test_the_short_way_has_its_line_without_secrets(caplog: pytest.LogCaptureFixture) -> None:
    key = b"Bearer helpful@v1"
    with caplog.at_level(logging.INFO, "openpipe_mock.requests"):
        sent(DirectApp(Service()), BODY, {**HEADERS, b"authorization": key})
    [line] = caplog.messages
    assert line.startswith(f"POST {JUDGE} 200  *** 0.")
    assert line.endswith(" ms  default-1")


def test_the_journal_of_the_short_way_is_bounded() -> None:
    service = Service()
    app, journal = DirectApp(service), service.sessions.default.journal
    for _ in range(5):
        sent(app, BODY)
    assert [entry.number for entry in journal.entries] == [1, 2, 3, 4, 5]
    journal.most_entries = 3
    sent(app, BODY)
    assert ([entry.number for entry in journal.entries], journal.dropped) == ([4, 5, 6], 3)
    assert journal.bytes == sum(entry.size for entry in journal.entries)
    [*_, last] = journal.entries
    assert isinstance(last, Entry)
    assert last.headers[b"authorization"] == b"***"


# Completions that were given before


def asked(body: Json, app: DirectApp, service: Service, **headers: bytes) -> None:
    """Fails unless a chat request gets the same both ways; all is remembered in both."""
    sent_with = {**HEADERS, **{name.replace("_", "-").encode(): value for name, value in headers.items()}}
    text = json.dumps(body).encode()
    assert sent(app, text, sent_with, path=CHAT) == long_way(service, text, sent_with, path=CHAT)


def logged(service: Service) -> list[Json]:
    logs = service.sessions.default.logs
    return [[call.answer() for call in log.calls] for log in logs.values()]


def alike(one: Service, other: Service) -> None:
    """Fails unless two services remember the same."""
    first, second = one.sessions.default, other.sessions.default
    assert remembered(one) == remembered(other)
    assert first.journal.bytes == second.journal.bytes
    assert logged(one) == logged(other)
    assert (first.counts, first.turns, first.requests) == (second.counts, second.turns, second.requests)
    assert (first.cache, first.under_way) == (second.cache, second.under_way)


chat_headers = st.fixed_dictionaries(
    {},
    optional={
        "op_criteria": st.sampled_from(
            [b"[]", b'["helpful", "b@v2"]', b'["mock-pass"]', b'["mock-delay-1"]', b"x"]
        ),
        "op_tags": st.just(b'{"a": "b"}'),
        "op_log_request": st.sampled_from([b"true", b"false"]),
        "op_cache": st.sampled_from([b"readWrite", b"false"]),
        "x_mock_score": st.just(b"0.5"),
        "authorization": st.sampled_from([b"Bearer other", b"Bearer invalid"]),
    },
)
chats = st.one_of(
    strategies.chat_requests(),
    strategies.broken_chat_requests().map(lambda broken: broken.body),
    st.sampled_from(["gpt-4o", "mock-echo", "mock-status-503", "x" * 1001]).map(
        lambda model: {"model": model, "messages": [{"role": "user", "content": "Count to 3"}], "n": 2}
    ),
)


@pytest.mark.slow
@given(
    st.lists(st.tuples(chats, chat_headers), min_size=1, max_size=2), st.lists(st.integers(0, 1), max_size=4)
)
def test_completions_are_repeated_as_they_were_given(requests: list[Json], order: list[int]) -> None:
    short, long = Service(), Service()
    app = DirectApp(short)
    for number in (0, *order, *order):
        body, headers = requests[number % len(requests)]
        asked(body, app, long, **headers)
    alike(short, long)


PLAIN_CHAT = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Count to 3"}]}


def repeated(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Notes for each request whether it was answered by a completion that was given before."""
    ways: list[bool] = []
    again, answered = fast_lane.FastLane.again, Service.answer

    def short(self: fast_lane.FastLane, *rest: Any) -> Any:
        ways.append(True)
        return again(self, *rest)

    def long(self: Service, *rest: Any) -> Any:
        ways.append(False)
        return answered(self, *rest)

    monkeypatch.setattr(fast_lane.FastLane, "again", short)
    monkeypatch.setattr(Service, "answer", long)
    return ways


def test_a_second_request_goes_the_short_way_and_the_twentieth_is_told_of(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ways = repeated(monkeypatch)
    short, long = Service(), Service()
    app = DirectApp(short)
    for _ in range(OFTEN + 1):
        asked(PLAIN_CHAT, app, long, op_criteria=b'["helpful"]')
    alike(short, long)
    assert ways == [False, *[True] * (OFTEN - 2), False, True]
    assert ["identical" in note for entry in remembered(short) for note in entry["notes"]] == [True]


@pytest.mark.parametrize(
    "settings",
    [
        Settings(repeat="vary"),
        Settings(ids="random"),
        Settings(clock="real"),
        Settings(known_models=("gpt-*",)),
        Settings(completions=(Script(choices=(ScriptedChoice(text="a"),)),)),
        Settings(criteria={"helpful": FIXED}),
    ],
)
def test_what_changes_from_time_to_time_is_never_repeated(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    ways = repeated(monkeypatch)
    app = DirectApp(settings)
    for _ in range(2):
        sent(app, json.dumps(PLAIN_CHAT).encode(), path=CHAT)
    assert ways == [False, False]


def test_no_more_completions_are_remembered_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fast_lane, "_MOST_KNOWN", 2)
    ways = repeated(monkeypatch)
    app = DirectApp(Service())
    for model in ("a", "b", "c", "a", "c"):
        sent(app, json.dumps({**PLAIN_CHAT, "model": model}).encode(), path=CHAT)
    assert ways == [False, False, False, False, True]
    assert len(app.fast_lane.known) == 2


def test_the_order_of_a_schema_s_keys_is_followed_whoever_asked_before() -> None:
    def shape(*names: str) -> Json:
        schema = {"type": "object", "properties": {name: {"type": "integer"} for name in names}}
        return shaped({**schema, "required": ["a", "b"]})

    short, long = Service(), Service()
    app = DirectApp(short)
    for form in (shape("a", "b"), shape("b", "a"), shape("a", "b"), shape("b", "a")):
        asked({**PLAIN_CHAT, "response_format": form}, app, long)
    tools = [[tool("count", shape(*names)["json_schema"]["schema"])] for names in ("ab", "ba", "ab")]
    for offered in tools:
        asked({**PLAIN_CHAT, "tools": offered, "tool_choice": "required"}, app, long)
    alike(short, long)


def test_the_same_body_with_other_criteria_is_another_request(monkeypatch: pytest.MonkeyPatch) -> None:
    ways = repeated(monkeypatch)
    short, long = Service(), Service()
    app = DirectApp(short)
    all_criteria = (b"null", b"[]", b'["a"]', b'[ "a"]', b'["a", "b"]', b"x", b"[%s]" % (b" " * 2000))
    for criteria in (*all_criteria, *all_criteria):
        asked(PLAIN_CHAT, app, long, op_criteria=criteria)
    asked(PLAIN_CHAT, app, long)
    alike(short, long)
    first, second, rest = ways[:7], ways[7:14], ways[14:]
    assert (first, second, rest) == ([False] * 7, [False, True, True, True, True, False, False], [False])


def test_who_changes_what_the_journal_shows_changes_nothing_that_comes() -> None:
    service = Service()
    app, journal = DirectApp(service), service.sessions.default.journal
    request, headers = json.dumps(PLAIN_CHAT).encode(), {**HEADERS, b"op-criteria": b'["helpful"]'}
    for _ in range(3):
        sent(app, request, headers, path=CHAT)
        shown = dict(journal.entries[-1].scores[0])
        journal.entries[-1].scores[0].clear()
        assert list(shown) == ["helpful"]


def test_a_call_that_is_stored_or_judged_is_logged_each_time() -> None:
    judged = {**HEADERS, b"op-criteria": b'["helpful"]'}
    for headers, body, times in (
        (HEADERS, {**PLAIN_CHAT, "store": True}, [3]),
        (judged, PLAIN_CHAT, [3]),
        (HEADERS, PLAIN_CHAT, []),
    ):
        service = Service()
        app, request = DirectApp(service), json.dumps(body).encode()
        assert [sent(app, request, headers, path=CHAT)[0] for _ in range(3)] == [200] * 3
        assert [len(calls) for calls in logged(service)] == times


# Bounds


def test_an_answer_that_is_stored_with_its_time_is_given_at_once() -> None:
    """Its exchange asks for the time, and ends without another pause."""
    headers, body = {**HEADERS, b"op-cache": b"readWrite"}, json.dumps(PLAIN_CHAT).encode()
    for service in (Service(), Service(Settings(clock="real"))):
        app = DirectApp(service)
        assert [sent(app, body, headers, path=CHAT)[0] for _ in "12"] == [200, 200]


def test_what_names_no_criterion_is_kept_nowhere() -> None:
    app = DirectApp(Service())
    before = fast_lane.criterion_and_draw.cache_info().currsize
    for letter in "abcdef":
        body = json.dumps(having(criterion_id=letter * 20_000, output={"role": "assistant"})).encode()
        assert sent(app, body)[0] == 404
    assert fast_lane.criterion_and_draw.cache_info().currsize == before


@pytest.mark.parametrize("announced", [b"", b"80", b"999", b"1000", b"1001", b"9999", b"50000"])
def test_an_announced_length_counts_as_it_does_elsewhere(announced: bytes) -> None:
    limit = Settings(max_body_bytes=1000)
    same(BODY, {**HEADERS, b"content-length": announced}, limit)


@pytest.mark.parametrize(("mock", "session", "status"), [(300, 1000, 413), (1000, 300, 200)])
def test_the_mock_s_own_bound_counts_and_not_the_session_s(mock: int, session: int, status: int) -> None:
    body, head = BODY + b" " * 300, Head("POST", JUDGE, HEADERS)
    for path in (JUDGE, CHAT):
        service = Service(Settings(max_body_bytes=mock))
        service.sessions.default.use(Settings(max_body_bytes=session))
        found = fast_lane.FastLane(service).answer(replace(head, path=path), body, lambda: 0.0)
        assert isinstance(found, Reply)
        assert found.status == (status if path == JUDGE or status == 413 else 400)


# Sessions that are shared


def test_nothing_is_asked_of_shared_sessions_beforehand() -> None:
    class Shared(Session):
        """A session elsewhere, of which each question costs a journey."""

        def settings(self, base: Settings) -> Settings:
            assert self.requests, "nobody has begun"
            return super().settings(base)

    class Elsewhere(Sessions):
        """Sessions that several processes share are of another class."""

    shared, app = Elsewhere(), DirectApp(Service())
    shared.default = Shared()
    there = DirectApp(Service(sessions=shared))
    chat = json.dumps(PLAIN_CHAT).encode()
    assert sent(there, BODY) == sent(app, BODY)
    assert sent(there, chat, path=CHAT) == sent(app, chat, path=CHAT)


@pytest.mark.slow
def test_while_redis_is_away_requests_go_on_as_was_set_at_runtime() -> None:
    with redis_server() as redis:
        service = Service(sessions=RedisSessions(Link(redis.url)))
        app = DirectApp(service)
        orders = Mock()
        orders.service, orders.control = service, Control(service)
        orders.json("PUT", "/criteria/helpful", {"score": 1.0})
        assert [json.loads(sent(app, BODY)[2])["score"] for _ in range(2)] == [1.0, 1.0]
        assert redis.process
        redis.process.kill()
        redis.process.wait()
        assert [json.loads(sent(app, BODY)[2])["score"] for _ in range(2)] == [1.0, 1.0]


# Whatever happens between the requests


ALL_SETTINGS = (*SETTINGS.values(), Settings(repeat="vary"), Settings(unknown_criteria="judge"), Settings())
JUDGEMENTS = (BODY, BODY[:-1], BODY.replace(b"helpful", b"other@v2"), json.dumps({"output": None}).encode())
VARIED: tuple[Json, ...] = (
    {},
    {"n": 3},
    {"model": "mock-echo"},
    {"model": "mock-status-503"},
    {"stop": None},
    {"stream": True},
    {"headers": {}},
    {"metadata": {"a": "b"}},
    {"messages": 1},
)
COMPLETIONS = tuple(json.dumps({**PLAIN_CHAT, **more}).encode() for more in VARIED)
ORDERS = (
    ("PUT", "/criteria/helpful", {"score": 0.5}),
    ("DELETE", "/criteria/helpful", None),
    ("POST", "/completions", {"text": "said"}),
    ("DELETE", "/completions", None),
    ("POST", "/faults", {"first": 1, "status": 429}),
    ("DELETE", "/faults", None),
    ("PUT", "/limits", {"requests_per_minute": 1}),
    ("DELETE", "/limits", None),
    ("DELETE", "/requests", None),
    ("GET", "/requests", None),
    ("POST", "/reset", None),
)
some_headers = st.fixed_dictionaries(
    {},
    optional={
        b"authorization": st.sampled_from([b"Bearer op-other", b"Bearer 3", b"Bearer invalid"]),
        b"op-criteria": st.sampled_from([b"[]", b'["helpful"]', b'["mock-error", "b@v2"]']),
        b"op-cache": st.just(b"readWrite"),
        b"x-mock-session": st.just(b"other"),
        b"x-mock-score": st.just(b"0.5"),
        b"content-length": st.just(b"70000"),
    },
)
requests = st.tuples(
    st.sampled_from(
        [*((JUDGE, each) for each in JUDGEMENTS), *((CHAT, each) for each in COMPLETIONS), (CHAT, BODY)]
    ),
    st.one_of(st.just({}), some_headers),
)
steps = st.one_of(requests, requests, st.sampled_from(ORDERS), st.sampled_from(ALL_SETTINGS))


@settings(max_examples=examples(150))
@given(st.lists(steps, max_size=12), st.integers(1, 3))
def test_both_ways_stay_together_whatever_is_set_and_read_in_between(script: list[Json], times: int) -> None:
    short, long = Mock(), Mock()
    app = DirectApp(short.service)
    for step in script * times:
        if isinstance(step, Settings):
            short.service.settings = long.service.settings = step
        elif len(step) == 3:
            method, path, body = step
            assert short.ask(method, path, body).status == long.ask(method, path, body).status
        else:
            (path, body), more = step
            headers = {**HEADERS, **more}
            assert sent(app, body, headers, path=path) == long_way(long.service, body, headers, path=path)
    alike(short.service, long.service)


def test_no_secret_is_left_in_what_is_read_late() -> None:
    """A thousand requests of every way come first; only then somebody reads."""
    token, draw = b"op-private-77", random.Random(7)
    service = Service()
    app = DirectApp(service)
    talk = {**PLAIN_CHAT, "messages": [{"role": "user", "content": f"say {token.decode()} sk-abcdefghijk"}]}
    kinds = [
        (
            JUDGE,
            json.dumps(having(output={"role": "assistant", "content": f"it is {token.decode()}"})).encode(),
        ),
        (CHAT, json.dumps(talk).encode()),
        (CHAT, json.dumps({**talk, "model": "mock-echo"}).encode()),
        (CHAT, json.dumps({**talk, "model": token.decode()}).encode()),
        (CHAT, token),
        (f"{JUDGE}/{token.decode()}", b"{}"),
    ]
    headers = {**HEADERS, b"authorization": b"Bearer " + token, b"x-copy": b"a=" + token}
    for _ in range(200):
        path, body = draw.choice(kinds)
        sent(app, body, headers, path=path)
    entries = remembered(service)
    assert len(entries) == 200
    assert token.decode() not in repr(entries)
    assert "abcdefghijk" not in repr(entries)
