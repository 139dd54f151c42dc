"""Memory in a Redis: several mocks behave as one, and none of them suffers from a Redis that fails."""

import contextlib
import json
import re
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest
import trustme
from msgspec import msgpack

from openpipe_mock.answers.chat import Choice, Completion
from openpipe_mock.answers.scorers import Declared, Fixed, Form, Sequence
from openpipe_mock.config.limits import Limits
from openpipe_mock.config.settings import Settings
from openpipe_mock.control.api import Control
from openpipe_mock.control.feed import EVERY, Feed
from openpipe_mock.core.effects import Head, Reply
from openpipe_mock.core.errors import Conflict, NotFound, StateUnavailable, TooManySessions
from openpipe_mock.core.resources import install_line
from openpipe_mock.recording.cassette import Cassette
from openpipe_mock.recording.recording import Recording
from openpipe_mock.recording.tape import tape_of
from openpipe_mock.service.service import Service
from openpipe_mock.sessions.calllog import MOST_LOG_BYTES, CallLog
from openpipe_mock.sessions.inspection import JournalFilter
from openpipe_mock.sessions.journal import Entry, Journal
from openpipe_mock.sessions.memory import DEFAULT, IDLE_SECONDS, MOST_SESSIONS, NOTHING, Session, Sessions
from openpipe_mock.sessions.redis import link as statelink
from openpipe_mock.sessions.redis import scripts as statescripts
from openpipe_mock.sessions.redis import sessions as stateredis
from openpipe_mock.sessions.redis.codec import (
    ForeignData,
    decode_call,
    decode_completion,
    decode_entry,
    encode_completion,
    encode_entry,
)
from openpipe_mock.sessions.redis.link import BadState, Link, place
from openpipe_mock.sessions.redis.sessions import (
    LEASE_SECONDS,
    RedisCallLog,
    RedisJournal,
    RedisSession,
    RedisSessions,
)
from tests.chatting import CHAT, asking, sent_with
from tests.controlling import holds
from tests.inprocess import HEADERS, JUDGE, answer, commanded, content_of, having
from tests.live import PATIENCE, Live, serving, until
from tests.redises import Redis, free_port, redis_server
from tests.remembering import CONFIG, KEY, SCENARIOS, Scenario, Turns, own_call

pytestmark = [pytest.mark.slow, pytest.mark.measured]

KINDS = ("memory", "redis")


@pytest.fixture(scope="module")
def server() -> Iterator[Redis]:
    with redis_server() as redis:
        yield redis


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("config") / "openpipe-mock.yaml"
    path.write_text(CONFIG)
    return path


@pytest.fixture(scope="module")
def pair(server: Redis, file: Path) -> Iterator[tuple[Live, Live]]:
    """Two mocks that share a Redis."""
    flags = (f"--config={file}", f"--state={server.url}")
    with serving(*flags) as first, serving("--quiet", *flags) as second:
        yield first, second


@pytest.fixture(scope="module")
def everyone(pair: tuple[Live, Live], file: Path) -> Iterator[dict[str, Turns]]:
    """One mock that remembers for itself, and two that share a Redis."""
    with serving("--quiet", f"--config={file}") as alone:
        turns = {"memory": Turns([alone.origin]), "redis": Turns([each.origin for each in pair])}
        yield turns
        for each in turns.values():
            each.close()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_two_mocks_with_one_redis_are_as_one_that_remembers(
    everyone: dict[str, Turns], scenario: Scenario, kind: str
) -> None:
    mock = everyone[kind]
    for session in mock.control("GET", "/sessions")["sessions"]:
        if session["name"] != "default":
            mock.control("DELETE", f"/sessions/{session['name']}")
    mock.control("POST", "/reset")
    scenario(mock)


# What it costs.


@pytest.fixture
def shared(server: Redis) -> Iterator[Service]:
    """A mock in this process whose sessions lie in an empty Redis."""
    service, link = mock_with(server)
    link.client.flushall()
    yield service
    link.close()


def mock_with(server: Redis, settings: Settings | None = None) -> tuple[Service, Link]:
    link = Link(server.url)
    return Service(settings, sessions=RedisSessions(link)), link


def test_two_mocks_have_the_same_datasets_and_models(server: Redis) -> None:
    (one, link), (other, other_link) = mock_with(server), mock_with(server)
    link.client.flushall()
    dataset = content_of(answer(one, {"name": "a"}, path="/api/v1/datasets"))["id"]
    entries = {"entries": [{"messages": [{"role": "user", "content": "a"}]}] * 3}
    for service in (one, other, one):
        assert answer(service, entries, path=f"/api/v1/datasets/{dataset}/entries").status == 200
    trained = {"datasetId": dataset, "slug": "mine", "baseModel": "meta-llama/Llama-3.1-8B"}
    answer(other, trained, path="/api/v1/unstable/finetune/create")
    for service in (one, other):
        found = content_of(order(service, "GET", "/project"))
        assert [each["dataset_entry_count"] for each in found["datasets"]] == [9]
        assert [each["id"] for each in found["models"]] == ["mine"]
    assert answer(one, path="/api/v1/models/mine", method="DELETE").status == 200
    assert answer(other, asking(model="openpipe:mine"), path=CHAT).status == 404
    assert answer(other, path=f"/api/v1/datasets/{dataset}", method="DELETE").status == 200
    assert content_of(answer(one, path="/api/v1/datasets", method="GET"))["data"] == []
    link.close()
    other_link.close()


def test_two_mocks_walk_through_recordings_together(server: Redis, tmp_path: Path) -> None:
    request = Recording("POST", "/criteria/judge", json.dumps(having()).encode(), {}, "key")
    for status in (200, 201):
        Cassette(tmp_path).add(request.answered(status, [], []))
    pair = [mock_with(server) for _ in range(2)]
    for service, link in pair:
        link.client.flushall()
        service.source = tape_of(tmp_path, Settings(), on_end="fail")
    statuses = [answer(service, having()).status for service, _ in (*pair, *pair)]
    for _, link in pair:
        link.close()
    assert statuses == [200, 201, 404, 404]


def chat(service: Service, *, key: str = "op-test", **options: Any) -> Reply:
    return answer(service, asking(), path=CHAT, headers={**HEADERS, **sent_with(key, **options)})


TRIPS: dict[str, tuple[int, Callable[[Service], object]]] = {
    "a judgement": (2, lambda service: answer(service, having())),
    "a refused request": (2, lambda service: answer(service, b"{")),
    "a chat request": (2, chat),
    "a chat request that is logged": (3, lambda service: chat(service, op_log_request="true")),
    "a chat request answered from the cache": (4, lambda service: chat(service, op_cache="readOnly")),
    "one that may make no session": (3, lambda service: answer(service, headers={b"x-mock-session": b"new"})),
}


@pytest.mark.parametrize("name", TRIPS)
def test_a_request_asks_redis_only_so_often(server: Redis, shared: Service, name: str) -> None:
    expected, ask = TRIPS[name]
    chat(shared, op_cache="readWrite")
    ask(shared)  # from here on Redis knows the scripts
    before = server.calls()
    for _ in range(5):
        ask(shared)
    assert server.calls() - before == 5 * expected


# What lies there.


def test_no_key_lies_in_redis(server: Redis, everyone: dict[str, Turns]) -> None:
    mock = everyone["redis"]
    mock.control("PUT", "/limits", {"requests_per_minute": 100, "concurrent": 5})
    mock.chat(op_cache="readWrite", op_log_request="true", op_tags=json.dumps({"secret": KEY}))
    mock.judge(text=KEY)
    mock.api("/report", {"reqPayload": {"api_key": KEY, "model": "m"}, "respPayload": None})
    mock.api("/report", {"reqPayload": {"x": f"it is {KEY}"}, "respPayload": f"so {KEY}"})
    mock.chat(f"I have {KEY} and sk-planted-0123456789", op_tags=json.dumps({"mine": KEY}))
    contents = server.contents()
    assert b"Hello" in contents
    assert b"I have ***" in contents
    assert KEY.encode() not in contents
    assert b"planted" not in contents


def test_everything_in_redis_goes_by_itself_some_day(server: Redis, everyone: dict[str, Turns]) -> None:
    mock = everyone["redis"]
    for session in ("", "a"):
        mock.chat(op_cache="readWrite", op_log_request="true", session=session)
        mock.score("steps", session=session)
        mock.control("POST", f"/completions?session={session}", {"text": "x"}, status=201)
        mock.control("PUT", f"/criteria/x?session={session}", {"score": 1})
        mock.control("PUT", f"/limits?session={session}", {"concurrent": 5})
        mock.judge(session=session)
    with contextlib.closing(server.client) as client:
        lasting = {key.decode() for key in client.scan_iter() if client.ttl(key) < 0}
    assert lasting <= {f"openpipe-mock:{name}" for name in ("sessions", "opened", "made")}
    mock.control("DELETE", "/sessions/a")


def test_what_lasts_longer_than_it_should_is_renewed_in_use(server: Redis, shared: Service) -> None:
    chat(shared)
    with contextlib.closing(server.client) as client:
        for key in client.scan_iter():
            client.expire(key, 100)
        answer(shared, having())
        assert min(client.ttl(key) for key in client.scan_iter()) > 1000


def test_the_journal_is_bounded_in_number(shared: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stateredis, "MOST_ENTRIES", 3)
    for number in range(5):
        answer(shared, having(output={"role": "assistant", "content": str(number)}))
    journal = shared.sessions.known("", 0).journal
    assert [entry.number for entry in journal.newest_first()] == [5, 4, 3]
    assert journal.dropped == 2
    assert journal.clear() == 3
    assert journal.dropped == 0


def test_the_journal_is_bounded_in_bytes(shared: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stateredis, "MOST_JOURNAL_BYTES", 5000)
    for _ in range(4):
        answer(shared, having(output={"role": "assistant", "content": "x" * 1500}))
    journal = shared.sessions.known("", 0).journal
    assert [entry.number for entry in journal.newest_first()] == [4, 3]
    assert journal.find(1) is None


def test_what_a_reset_overtook_is_forgotten(shared: Service) -> None:
    late = shared.exchange(Head("POST", JUDGE, HEADERS))
    next(late)
    order(shared, "POST", "/reset")
    late.send(json.dumps(having()).encode())
    with pytest.raises(StopIteration):
        late.send(0.0)
    assert list(shared.sessions.known("", 0).journal.newest_first()) == []


@pytest.mark.parametrize("way", ["reset", "closed and made anew"])
def test_what_is_said_late_of_a_session_that_began_anew_is_forgotten(
    server: Redis, shared: Service, way: str
) -> None:
    """Also where another mock let it begin anew."""
    other, link = mock_with(server)
    late = shared.sessions.open("a", 0)
    late.override(criteria={"x": Declared({1: Form(Fixed(0.5))})})
    if way == "reset":
        other.sessions.open("a", 0).forget()
    else:
        other.sessions.remove("a")
        other.sessions.open("a", 0)
    assert [late.count("turn") for _ in range(2)] == [1, 1]
    late.store(b"key", Completion("a", 0, "m", (), 0))
    late.log(b"key").add(own_call({}))
    late.journal.add(Entry(1, "a", "POST", JUDGE, {}, Settings()), b"")
    form = Form(Fixed(1))
    late.wrote(form, {"score": 1}, "/runtime/9")
    late.override(criteria={"x": Declared({1: form})}, limits=None)
    fresh = other.sessions.known("a", 0)
    assert fresh.overrides == NOTHING
    assert fresh.count("turn") == 1
    assert fresh.cached(b"key") is None
    assert fresh.read_log(b"key").latest() is None
    assert list(fresh.journal.newest_first()) == []
    link.close()


def test_a_session_that_is_closed_leaves_nothing_though_some_speak_late(
    server: Redis, shared: Service
) -> None:
    late = shared.sessions.open("a", 0)
    shared.sessions.remove("a")
    late.count("turn")
    late.store(b"key", Completion("a", 0, "m", (), 0))
    late.log(b"key").add(own_call({}))
    with pytest.raises(NotFound):
        late.override(limits=Limits(concurrent=1))
    assert b"session:a" not in server.contents()


def test_what_is_dropped_where_nothing_was_set_expires_too(server: Redis, shared: Service) -> None:
    order(shared, "DELETE", "/faults")
    with contextlib.closing(server.client) as client:
        assert client.ttl("openpipe-mock:session:default:facts") > 0
    answer(shared, having())
    assert cast(RedisSession, shared.sessions.known("", 0)).born


def test_a_request_that_began_while_redis_was_away_counts_once_it_is_back(shared: Service) -> None:
    session = cast(RedisSession, shared.sessions.default)
    assert [session.count("turn") for _ in range(2)] == [1, 2]
    session.log(b"key").add(own_call({}))
    assert session.read_log(b"key").latest() is not None


def test_logs_are_bounded(shared: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stateredis, "MOST_LOGS", 2)
    session = shared.sessions.open("", 0)
    for credential in (b"a", b"b", b"a", b"c"):
        session.log(credential).add(own_call({"model": credential.decode()}))
    assert [session.read_log(credential).latest() is None for credential in (b"a", b"b", b"c")] == [
        False,
        True,
        False,
    ]
    huge = own_call({"text": "x" * (MOST_LOG_BYTES + 1)})
    session.log(b"a").add(huge)
    latest = session.read_log(b"a").latest()
    assert latest is not None
    assert b"left out by the mock" in latest.request


def test_counts_and_cache_are_bounded_by_use(shared: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MOST_TURNS", "MOST_CACHED"):
        monkeypatch.setattr(stateredis, name, 2)
    session = shared.sessions.open("", 0)
    assert [session.count(name) for name in "abaca"] == [1, 1, 2, 1, 3]
    assert session.count("b") == 1, "it was used least"
    session.store(b"a", Completion("a", 0, "m", (), 0))
    session.store(b"b", Completion("b", 0, "m", (), 0))
    assert session.cached(b"a")
    session.store(b"c", Completion("c", 0, "m", (), 0))
    assert [bool(session.cached(key)) for key in (b"a", b"b", b"c")] == [True, False, True]


def test_the_cache_is_bounded_in_bytes(shared: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stateredis, "_MOST_CACHED_BYTES", 1000)
    session = shared.sessions.open("", 0)
    for number in range(6):
        session.store(b"%d" % number, Completion("x" * 300, 0, "m", (), 0))
        session.store(b"%d" % number, Completion("x" * 300, 0, "m", (), 0))
    assert [number for number in range(6) if session.cached(b"%d" % number)] == [4, 5]


def test_a_request_that_a_crash_cut_off_gives_its_place_free(server: Redis, shared: Service) -> None:
    limits = Limits(concurrent=1)
    session = shared.sessions.open("", 0)
    _, over, _ = session.enter(b"key", limits, 0)
    assert over == ""
    _, over, _ = session.enter(b"key", limits, 0)
    assert over == "1 at a time"
    with contextlib.closing(server.client) as client:
        [leases] = client.keys("*:leases")
        assert 0 < client.ttl(leases) <= LEASE_SECONDS
        [(lease, ends)] = client.zrange(leases, 0, -1, withscores=True)
        seconds, _ = client.time()
        assert ends / 1e6 <= seconds + LEASE_SECONDS + 1
        client.zadd(leases, {lease: (seconds - 1) * 1e6})
    _, over, _ = session.enter(b"key", limits, 0)
    assert over == ""


# Sessions that expire do so for everybody.


def unused(server: Redis, name: str, seconds: float) -> None:
    """Let a session look as if nobody had used it for some time."""
    with contextlib.closing(server.client) as client:
        client.zadd("openpipe-mock:sessions", {name: (client.time()[0] - seconds) * 1e6})


def test_an_expired_session_is_known_as_such_to_all(server: Redis, everyone: dict[str, Turns]) -> None:
    mock = everyone["redis"]
    mock.score("steps", session="old")
    unused(server, "old", IDLE_SECONDS + 5)
    for _ in range(2):
        refused = mock.judge(session="old")
        assert refused.status_code == 404
        assert 'the session "old" has expired (nobody used it for 60 minutes)' in refused.json()["message"]
        assert "expired" in mock.control("POST", "/reset?session=old", status=404)["message"]
    assert b"session:old" not in server.contents()
    mock.control("DELETE", "/sessions/old")
    assert [mock.score("steps", session="old") for _ in range(2)] == [1, 0]
    mock.control("DELETE", "/sessions/old")


def test_the_least_used_session_makes_room(server: Redis, shared: Service) -> None:
    shared.sessions.open("mine", 0)
    for number in range(MOST_SESSIONS - 1):
        shared.sessions.find(f"w{number}", 0).begin()
    unused(server, "w7", 10)
    unused(server, "mine", 20)
    shared.sessions.open("more", 0)
    with pytest.raises(NotFound, match=f"made room: a mock keeps {MOST_SESSIONS} sessions"):
        shared.sessions.open("w7", 0)
    assert sum(1 for _ in shared.sessions.all()) == MOST_SESSIONS + 1


def test_a_session_that_was_opened_makes_room_again_only_once_it_is_gone(
    server: Redis, shared: Service
) -> None:
    for number in range(MOST_SESSIONS):
        shared.sessions.open(f"w{number}", 0)
    shared.sessions.open("w0", 0).forget()
    with pytest.raises(TooManySessions, match="DELETE one"):
        shared.sessions.find("more", 0).begin()
    with pytest.raises(Conflict, match="DELETE one"):
        shared.sessions.fresh(0)
    shared.sessions.remove("w0")
    for name in ("w0", "more"):  # under its old name it is one of those that make room
        shared.sessions.find(name, 0).begin()
    unused(server, "w1", IDLE_SECONDS + 5)
    shared.sessions.open("another", 0)
    with pytest.raises(NotFound, match="nobody used it"):
        shared.sessions.known("w1", 0)


# Redis fails.


def report(service: Service) -> Reply:
    body = {"reqPayload": {"model": "m"}, "respPayload": None}
    return answer(service, body, path="/api/v1/report")


def unavailable(reply: Reply) -> str:
    """The message of a 503 that is as the contract has it."""
    body = json.loads(reply.body)
    assert (reply.status, body["code"]) == (503, "SERVICE_UNAVAILABLE")
    assert dict(reply.headers)[b"retry-after"] == b"1"
    message: str = body["message"]
    return message


@pytest.fixture
def fragile() -> Iterator[Redis]:
    with redis_server() as redis:
        yield redis


STEPS = Settings(
    criteria={"steps": Declared({1: Form(Sequence((Form(Fixed(1)), Form(Fixed(0)))))})},
    unknown_criteria="judge",
)


@pytest.mark.parametrize("name", [signal.SIGSTOP, signal.SIGKILL])
def test_while_redis_is_away_only_those_suffer_who_need_it(
    fragile: Redis, name: signal.Signals, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(statelink, "_PROBE_SECONDS", 0.05)
    monkeypatch.setattr(statelink, "_TIMEOUT_SECONDS", 0.2)
    service, link = mock_with(fragile, STEPS)
    steps = having(criterion_id="steps")
    assert content_of(answer(service, steps))["score"] == 1
    answer(service, having(), headers={**HEADERS, b"x-mock-session": b"known"})
    before = content_of(answer(service, having()))
    fragile.send(name)
    reply = answer(service, having())
    assert (reply.status, content_of(reply)) == (200, before)
    assert dict(reply.headers)[b"x-request-id"] == b"default-0"
    assert "needs what sessions share" in unavailable(answer(service, steps))
    assert fragile.url in unavailable(report(service))
    assert chat(service).status == 200
    assert unavailable(chat(service, op_log_request="true"))
    named = {b"x-mock-session": b"known"}
    assert answer(service, having(), headers={**HEADERS, **named}).status == 200
    assert unavailable(answer(service, having(), headers={**HEADERS, b"x-mock-session": b"new"}))
    assert link.lost == 6
    if name == signal.SIGSTOP:
        fragile.send(signal.SIGCONT)
    else:
        fragile.start()
    until(lambda: not link.problem)
    assert report(service).status == 200
    expected = 0 if name == signal.SIGSTOP else 1
    assert content_of(answer(service, steps))["score"] == expected
    journal = service.sessions.known("", 0).journal
    assert [entry.endpoint for entry in journal.newest_first()][:2] == ["judge", "report"]
    said = [record.message for record in caplog.records if "Redis" in record.message]
    assert len(said) == 2, "once when it goes, once when it is back"
    assert "6 requests went unrecorded" in said[1]
    link.close()


def memory(service: Service) -> Any:
    """What the status says of the memory."""
    reply = order(service, "GET", "/status")
    assert reply.status == 200
    return json.loads(reply.body)["memory"]


def test_the_status_tells_how_redis_is_also_while_it_is_away(
    fragile: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statelink, "_PROBE_SECONDS", 0.05)
    service, link = mock_with(fragile)
    answer(service, having())
    told = memory(service)
    assert (told["place"], told["shared"]) == (f"the Redis at {fragile.url}", True)
    assert told["redis"] == {
        "url": fragile.url,
        "up": True,
        "away_seconds": None,
        "last_problem": None,
        "last_problem_seconds": None,
        "unrecorded": 0,
    }
    fragile.send(signal.SIGKILL)
    answer(service, having())
    status = json.loads(order(service, "GET", "/status").body)
    numbers = ("sessions", "criteria", "completions", "faults", "requests")
    assert [status[name] for name in numbers] == [None] * 5
    told = status["memory"]["redis"]
    assert (told["up"], told["unrecorded"]) == (False, 1)
    assert told["last_problem"] == "doesn't answer (nothing listens there)"
    assert 0 <= told["away_seconds"] <= told["last_problem_seconds"] + 0.001
    fragile.start()
    until(lambda: memory(service)["redis"]["up"])
    told = memory(service)["redis"]
    assert (told["away_seconds"], told["unrecorded"]) == (None, 1)
    assert told["last_problem"]
    link.close()


def test_no_password_is_in_the_status(server: Redis) -> None:
    link = Link(f"redis://nobody:hush@127.0.0.1:{server.port}/0?db=0")
    service = Service(sessions=RedisSessions(link))
    assert unavailable(answer(service, having(), headers={**HEADERS, b"x-mock-session": b"new"}))
    assert "hush" not in json.dumps(memory(service))
    assert "nobody" not in json.dumps(memory(service))
    link.close()


def starved(client: Any) -> None:
    client.config_set("maxmemory", "100kb")


def fed(client: Any) -> None:
    client.config_set("maxmemory", "0")


def demoted(client: Any) -> None:
    client.replicaof("127.0.0.1", "1")


def promoted(client: Any) -> None:
    client.replicaof("NO", "ONE")


@pytest.mark.parametrize(
    ("spoil", "mend", "told"), [(starved, fed, "maxmemory"), (demoted, promoted, "which only reads")]
)
def test_a_redis_that_takes_nothing_is_told_and_stops_only_those_who_need_it(
    fragile: Redis, spoil: Callable[[Any], None], mend: Callable[[Any], None], told: str
) -> None:
    service, link = mock_with(fragile)
    before = content_of(answer(service, having()))
    with contextlib.closing(fragile.client) as client:
        spoil(client)
        assert content_of(answer(service, having())) == before
        assert told in unavailable(report(service))
        assert told in unavailable(order(service, "PUT", "/criteria/helpful", b'{"score": 1}'))
        assert order(service, "GET", "/requests").status == 200
        redis = memory(service)["redis"]
        assert (redis["up"], told in redis["last_problem"], redis["unrecorded"]) == (True, True, 2)
        with pytest.raises(BadState, match=told):
            link.check()
        mend(client)
    link.check()
    assert report(service).status == 200
    link.close()


def test_a_redis_that_is_slow_is_not_asked_again_before_it_answers_as_requests_need_it(
    fragile: Redis, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It may answer pings and take nothing."""
    monkeypatch.setattr(statelink, "_PROBE_SECONDS", 0.02)
    monkeypatch.setattr(statelink, "_TIMEOUT_SECONDS", 0.05)
    service, link = mock_with(fragile)
    answer(service, having())
    with contextlib.closing(fragile.client) as client:
        client.execute_command("CLIENT", "PAUSE", 60_000, "WRITE")
        assert answer(service, having()).status == 200
        probed = threading.Event()
        asked, tries = link.asked, iter(range(3))

        def counting(*arguments: Any) -> Any:
            if next(tries, None) is None:
                probed.set()
            return asked(*arguments)

        monkeypatch.setattr(link, "asked", counting)
        assert probed.wait(PATIENCE)
        assert "doesn't answer" in unavailable(report(service))
        client.execute_command("CLIENT", "UNPAUSE")
    until(lambda: not link.problem)
    assert report(service).status == 200
    assert len([record for record in caplog.records if "Redis" in record.message]) == 2
    link.close()


def test_an_answer_that_refuses_is_an_answer(fragile: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """Redis is back, though it takes nothing."""
    monkeypatch.setattr(statelink, "_PROBE_SECONDS", 0.02)
    service, link = mock_with(fragile)
    answer(service, having())
    fragile.send(signal.SIGKILL)
    answer(service, having())
    fragile.flags = ("--maxmemory", "100kb")
    fragile.start()
    until(lambda: not link.problem)
    assert "maxmemory" in unavailable(report(service))
    link.close()


@pytest.mark.parametrize("name", ["sessions", "session:default:facts"])
def test_keys_of_others_are_told_with_what_to_do(server: Redis, shared: Service, name: str) -> None:
    with contextlib.closing(server.client) as client:
        client.delete(f"openpipe-mock:{name}")
        client.rpush(f"openpipe-mock:{name}", "theirs")
    told = unavailable(order(shared, "PUT", "/criteria/a", b'{"score": 1}'))
    assert f'something else than a mock wrote under the key "openpipe-mock:{name}"' in told
    assert "database of its own" in told
    assert answer(shared, having()).status == 200


def test_while_redis_is_away_nobody_waits_for_it(fragile: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the first failure on until it is back, requests don't even try."""
    service, link = mock_with(fragile)
    answer(service, having())
    fragile.send(signal.SIGKILL)
    answer(service, having())

    def asked(*_: object) -> None:
        raise AssertionError("a request asked a Redis that is away")

    monkeypatch.setattr(link.client, "evalsha", asked)
    assert answer(service, having()).status == 200
    assert unavailable(report(service))
    link.close()


def test_a_limited_key_gets_503_while_redis_is_away(fragile: Redis) -> None:
    service, link = mock_with(fragile, Settings(limits=Limits(concurrent=1)))
    assert answer(service, having()).status == 200
    fragile.send(signal.SIGKILL)
    assert unavailable(answer(service, having()))
    link.close()


def test_what_was_set_stays_in_force_while_redis_is_away(fragile: Redis) -> None:
    service, link = mock_with(fragile)
    order(service, "PUT", "/criteria/helpful", b'{"score": 0.25}')
    assert content_of(answer(service, having()))["score"] == 0.25
    fragile.send(signal.SIGKILL)
    assert content_of(answer(service, having()))["score"] == 0.25
    assert unavailable(order(service, "PUT", "/criteria/helpful", b'{"score": 0.5}'))
    assert unavailable(order(service, "GET", "/requests"))
    assert order(service, "GET", "/health").status == 200
    link.close()


def test_a_lease_that_cannot_be_given_back_harms_nobody(fragile: Redis) -> None:
    service, link = mock_with(fragile)
    traffic, _, _ = service.sessions.open("", 0).enter(b"key", Limits(concurrent=1), 0)
    fragile.send(signal.SIGKILL)
    traffic.leave()
    assert link.problem
    link.close()


def order(service: Service, method: str, path: str, body: bytes = b"") -> Reply:
    """What the control API answers."""
    exchange = Control(service).exchange(Head(method, f"/_mock{path}", {}))
    try:
        next(exchange)
        exchange.send(body)
    except StopIteration as stop:
        reply: Reply = stop.value
        holds(method, f"/_mock{path}", reply)
        return reply
    raise AssertionError("it wants more than a body")


def test_mocks_agree_on_undeclared_criteria_and_none_takes_a_whole_config(server: Redis) -> None:
    (one, link), (other, second) = mock_with(server), mock_with(server)
    link.client.flushall()
    order(one, "PUT", "/criteria/helpful", b'{"score": 1}')
    assert answer(other, having(criterion_id="else")).status == 404
    order(one, "PUT", "/criteria", b'{"unknown_criteria": "judge"}')
    assert answer(other, having(criterion_id="else")).status == 200
    assert order(one, "PUT", "/config", b"{}").status == 409
    assert order(one, "DELETE", "/config").status == 200
    assert json.loads(order(other, "GET", "/criteria").body)["criteria"] == []
    link.close()
    second.close()


# What others write under our names.

ASKED = (
    ("GET", "/status"),
    ("GET", "/criteria"),
    ("GET", "/completions"),
    ("GET", "/faults"),
    ("GET", "/limits"),
    ("GET", "/project"),
    ("GET", "/sessions"),
    ("GET", "/requests?session=*"),
    ("GET", "/requests/default-1"),
    ("POST", "/verify"),
    ("PUT", "/criteria/helpful@v2"),
    ("DELETE", "/requests"),
    ("DELETE", "/criteria/helpful"),
)
WRONG = b'{"json": {"score": 7}, "place": "/x", "version": null}'


def spoilt(client: Any, garbage: bytes) -> None:
    """Give every value in Redis another content of the same kind."""
    for key in client.keys("openpipe-mock:session:*"):
        match client.type(key):
            case b"hash" if not key.endswith(b":facts"):
                for name in client.hkeys(key):
                    client.hset(key, name, garbage)
            case b"list":
                client.lset(key, 0, garbage)


def used(service: Service) -> None:
    """Leave something of every kind."""
    order(service, "PUT", "/criteria/helpful", b'{"sequence": [0.1, 0.2]}')
    order(service, "POST", "/completions", b'{"text": "x"}')
    order(service, "POST", "/faults", b'{"call": 99, "status": 500}')
    order(service, "PUT", "/limits", b'{"concurrent": 9, "requests_per_minute": 999}')
    made = content_of(answer(service, {"name": "a"}, path="/api/v1/datasets"))
    trained = {"datasetId": made["id"], "slug": "mine", "baseModel": "meta-llama/Llama-3.1-8B"}
    answer(service, trained, path="/api/v1/unstable/finetune/create")
    answer(service, {"entries": [{}]}, path=f"/api/v1/datasets/{made['id']}/entries")
    answer(service, having())
    chat(service, op_cache="readWrite", op_log_request="true")


def survives(service: Service) -> None:
    """Ask for everything: nothing crashes, and no answer is a defect."""
    for method, path in ASKED:
        body = b'{"score": 1}' if method == "PUT" else b"{}"
        assert order(service, method, path.partition("?")[0], body).status in (200, 404, 503), path
    stored = chat(service, op_cache="readWrite", op_log_request="true")
    for reply in (answer(service, having()), stored, report(service)):
        assert reply.status in (200, 503)
    change = {"filters": [], "tags": {"a": "b"}}
    assert answer(service, change, path="/api/v1/logs/update-tags").status in (200, 503)
    latest = "/api/v1/local-testing-only-get-latest-logged-call"
    assert answer(service, path=latest, method="GET").status in (200, 503)


@pytest.mark.parametrize("garbage", [b"5", b"{}", b"[1]", b"null", b"\xff", b"{", WRONG])
def test_values_that_others_wrote_crash_nothing(server: Redis, shared: Service, garbage: bytes) -> None:
    used(shared)
    with contextlib.closing(server.client) as client:
        spoilt(client, garbage)
    fresh, link = mock_with(server)
    survives(fresh)
    assert order(fresh, "POST", "/reset").status == 200
    assert answer(fresh, having()).status == 200
    link.close()


def test_what_was_set_and_cannot_be_read_is_said(server: Redis, shared: Service) -> None:
    used(shared)
    with contextlib.closing(server.client) as client:
        spoilt(client, b"5")
    fresh, link = mock_with(server)
    assert "POST /_mock/reset begins anew" in unavailable(answer(fresh, having()))
    link.close()


def test_keys_of_another_kind_crash_nothing(
    server: Redis, shared: Service, caplog: pytest.LogCaptureFixture
) -> None:
    used(shared)
    with contextlib.closing(server.client) as client:
        keys = client.keys("openpipe-mock:session:*")
        for key in keys:
            client.delete(key)
            client.sadd(key, "garbage")
    survives(shared)
    assert len({record.message for record in caplog.records}) == len(caplog.records), "each is said once"
    assert order(shared, "POST", "/reset").status in (200, 503)


@pytest.mark.parametrize("garbage", [b"", b"{", b"[]", b"{}", b'{"choices": 5}', b"\xff"])
def test_a_text_that_none_of_us_wrote_is_unreadable(garbage: bytes) -> None:
    for read in (partial(decode_entry, settings=Settings()), decode_call, decode_completion):
        with pytest.raises(ForeignData):
            read(garbage)


def test_members_of_another_kind_are_unreadable() -> None:
    entry = msgpack.decode(encode_entry(ENTRY))
    for name in entry:
        other = "x" if isinstance(entry[name], int | float) else 5
        with pytest.raises(ForeignData):
            decode_entry(msgpack.encode({**entry, name: other}), Settings())
    completion = msgpack.decode(encode_completion(Completion("x", 0, "m", (Choice(("a",), "stop"),), 0)))
    for changed in ({"id": 5}, {"choices": [{**completion["choices"][0], "text": [5]}]}):
        with pytest.raises(ForeignData):
            decode_completion(msgpack.encode({**completion, **changed}))


ENTRY = Entry(
    number=7,
    session="s",
    method="POST",
    path="/x",
    headers={b"a": b"\xff"},
    settings=Settings(),
    at=1.5,
    time=9.5,
    endpoint="judge",
    body=b"\x00\xff",
    status=200,
    answer=b"\xfe{}",
    answer_headers=((b"h", b"\xff"), (b"h", b"v")),
    seconds=0.5,
    streamed=True,
    criteria=("a@v1",),
    scores=[{"a": 0.5}],
    ranking=(1, 0),
    rules=["/r"],
    faults=["f"],
    passed=(("/f", "why"),),
    violations=("v",),
    tolerated=("/messages/0/name",),
    unscripted=True,
    unoffered=("u",),
    notes=("n",),
    body_left_out=1,
    answer_left_out=2,
    gist="{}",
    checked=True,
    struck="/f",
    query_secrets=("q",),
    sequence=12,
    retry_after=2.5,
    pieces=((0.5, 7),),
    times=(0.25,),
    size=3,
)


def test_an_exchange_comes_back_as_it_went() -> None:
    assert read_back(ENTRY) == ENTRY
    plain = [field for field in fields(Entry) if field.default == getattr(ENTRY, field.name)]
    assert plain == [], "a member that has its default here proves nothing"
    assert read_back(replace(ENTRY, body=None)).body is None
    assert read_back(replace(ENTRY, path="/x\ud800")).path == "/x?"


def read_back(entry: Entry) -> Entry:
    """An exchange as it is read from Redis, which puts its sequence number in front."""
    return decode_entry(b"%d " % entry.sequence + encode_entry(entry), entry.settings)


def test_a_feed_shows_what_all_mocks_were_asked_in_its_order(server: Redis) -> None:
    (service, link), (other, other_link) = mock_with(server), mock_with(server)
    link.client.flushall()
    feed = Feed(service.sessions, EVERY, JournalFilter(), 0)
    for each, name in ((service, "a"), (other, "b"), (service, ""), (other, "a")):
        answer(each, having(), headers={**HEADERS, b"x-mock-session": name.encode()})
    found = feed.newer(0)
    assert [entry.id for entry in found] == ["a-1", "b-1", "default-1", "a-2"]
    assert sorted({entry.sequence for entry in found}) == [entry.sequence for entry in found]
    assert [entry.id for entry in feed.newer(found[2].sequence)] == ["a-2"]
    assert feed.newer(service.sessions.newest) == []
    assert order(service, "GET", "/ready").status == 200
    link.problem = "doesn't answer"
    assert feed.newer(0) == []
    reply = order(service, "GET", "/ready")
    assert reply.status == 503
    assert service.sessions.place.encode() in reply.body
    assert b"kept_bytes" not in order(service, "GET", "/metrics").body
    for each_link in (link, other_link):
        each_link.close()


def test_a_log_that_others_change_again_and_again_is_given_up(shared: Service) -> None:
    session = shared.sessions.open("", 0)
    session.log(b"a").add(own_call({}))

    class Busy(RedisCallLog):
        """A log that gets another call whenever it is read."""

        def update(self, filters: Any, values: Any) -> int:
            run = self.session.run

            def meddling(script: Any, *arguments: Any) -> Any:
                found = run(script, *arguments)
                if script is statescripts.READ_ENTRIES:
                    session.log(b"a").add(own_call({}))
                return found

            self.session.run = meddling  # type: ignore[method-assign]
            return super().update(filters, values)

    busy = Busy(cast(RedisSession, shared.sessions.open("", 0)), b"a".hex())
    with pytest.raises(StateUnavailable, match="again and again"):
        busy.update([], {"a": "b"})


def test_a_session_in_redis_refuses_to_be_set_directly(shared: Service) -> None:
    sessions, session = shared.sessions, shared.sessions.default
    with pytest.raises(AttributeError):
        session.overrides = NOTHING
    with pytest.raises(AttributeError):
        session.journal.dropped = 1
    with pytest.raises(AttributeError):
        sessions.default = session


def test_every_way_to_use_a_session_leads_to_redis() -> None:
    """What the service calls is overridden: nothing is remembered beside Redis by mistake."""
    kept = {"use", "settings"}  # settings of its own have only sessions of this process; overrides are read
    for plain, there in (
        (Session, RedisSession),
        (Journal, RedisJournal),
        (CallLog, RedisCallLog),
        (Sessions, RedisSessions),
    ):
        mine = {name for name, value in vars(plain).items() if callable(value) and not name.startswith("__")}
        inner = {"make", "least_used", "let_go", "fitted", "keep", "drop_oldest"}  # others call them
        assert mine - set(vars(there)) - kept - inner == set()


# What others write.

FOREIGN: dict[str, Callable[[Any, str], Any]] = {
    "text": lambda client, key: client.set(key, b"\xfftheirs"),
    "list": lambda client, key: client.rpush(key, b"\xfftheirs", b"[1]"),
    "hash": lambda client, key: client.hset(
        key, mapping=dict.fromkeys(("requests", "version", "born", "made", "limits", "a"), b"\xff theirs")
    ),
    "sorted": lambda client, key: client.zadd(key, {b"\xfftheirs": 1.0, b"a b": 2.0}),
    "set": lambda client, key: client.sadd(key, b"\xfftheirs"),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_whatever_lies_under_our_keys_is_told_with_the_key(server: Redis, kind: str) -> None:
    service, link = mock_with(server)
    limits = b'{"requests_per_minute": 90, "concurrent": 9}'
    asked: tuple[Callable[[], Any], ...] = (
        lambda: answer(service, having()),
        lambda: report(service),
        lambda: order(service, "PUT", "/criteria/a", b'{"score": 1}'),
        lambda: order(service, "PUT", "/limits", limits),
        lambda: order(service, "GET", "/requests"),
        lambda: order(service, "GET", "/sessions"),
        lambda: order(service, "GET", "/status"),
    )
    with contextlib.closing(server.client) as client:
        client.flushall()
        for ask in asked * 2:
            ask()
        keys = [key.decode() for key in client.scan_iter("openpipe-mock:*")]
        assert len(keys) > 5
        told = set()
        for key in keys:
            before = client.dump(key)
            client.delete(key)
            FOREIGN[kind](client, key)
            for ask in asked:
                reply = ask()
                assert reply.status in (200, 204, 404, 429, 503), (key, reply.body)
                if reply.status == 503:
                    found = re.search(rb"openpipe-mock:[^ \\\\\"]+", reply.body)
                    assert found, reply.body
                    told.add(found[0].decode())
            client.restore(key, 0, before, replace=True)
        assert told & set(keys)
        client.flushall()
    link.close()


# Where it is.


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://localhost", "redis://localhost:6379"),
        ("redis://user:hush@localhost:1/2", "redis://localhost:1/2"),
        ("rediss://:hush%40@[::1]:1/2?ssl_cert_reqs=none", "rediss://[::1]:1/2"),
        ("unix://user:hush@/run/redis%20x.sock?db=3&password=hush", "unix:///run/redis x.sock"),
    ],
)
def test_a_url_is_shown_without_its_password(url: str, shown: str) -> None:
    assert place(url) == shown
    assert "hush" not in shown


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("http://localhost", "expected redis://HOST:PORT/DB"),
        ("redis://", "expected redis://HOST:PORT/DB"),
        ("localhost:6379", "expected redis://HOST:PORT/DB"),
        ("unix://", "expected redis://HOST:PORT/DB"),
        ("redis://x:hush", "in a password write @ as %40"),
        ("redis://u:hu/sh@localhost", "in a password write @ as %40"),
        ("redis://u:hu#sh@localhost", "in a password write @ as %40"),
        ("redis://hush?sh@localhost", "in a password write @ as %40"),
        ("redis://u:hu@sh@localhost", "in a password write @ as %40"),
        ("redis://localhost:99999", "in a password write @ as %40"),
        ("redis://[hush", "in a password write @ as %40"),
        ("redis://localhost/0?socket_timeout=9", 'the unknown option "socket_timeout"; known are "db"'),
        ("redis://localhost/0?db=hush", "expected redis://HOST:PORT/DB"),
        ("redis://localhost/hush", "expected redis://HOST:PORT/DB"),
        ("redis://localhost/0/hush", "expected redis://HOST:PORT/DB"),
        ("rediss://localhost/-1", "expected redis://HOST:PORT/DB"),
    ],
)
def test_a_url_that_will_not_do_is_refused_without_its_password(url: str, told: str) -> None:
    with pytest.raises(BadState) as refused:
        Link(url)
    assert told in str(refused.value)
    assert "hu" not in str(refused.value)
    assert "\n" not in str(refused.value)


def refusal(*flags: str) -> str:
    done = commanded("serve", "--port=0", *flags)
    assert done.exit_code == 2, done.stderr
    [line] = done.stderr.splitlines()
    return line


def test_a_server_says_in_one_line_why_its_redis_will_not_do(
    server: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    line = refusal(f"--state=redis://:hush@127.0.0.1:{port}/0")
    assert f"cannot use --state redis://127.0.0.1:{port}/0: " in line
    assert line.endswith(": nothing listens there")
    assert "hush" not in line
    monkeypatch.setenv("OPENPIPE_MOCK_STATE", f"{server.url}?db=999")
    line = refusal()
    assert ': it says "' in line


def test_a_wrong_password_is_said_and_not_shown() -> None:
    with redis_server("--requirepass", "right") as redis:
        line = refusal(f"--state=redis://:wr0ng@127.0.0.1:{redis.port}/0")
        assert line.endswith(": it wants another user name or password than the URL has")
        assert "wr0ng" not in line
        link = Link(f"redis://:right@127.0.0.1:{redis.port}/0")
        link.check()
        link.close()


def test_over_tls(tmp_path: Path) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    ca, certificate, key = (tmp_path / name for name in ("ca.pem", "certificate.pem", "key.pem"))
    authority.cert_pem.write_to_path(str(ca))
    issued.cert_chain_pems[0].write_to_path(str(certificate))
    issued.private_key_pem.write_to_path(str(key))
    port = free_port()
    files = ("--tls-cert-file", str(certificate), "--tls-key-file", str(key), "--tls-ca-cert-file", str(ca))
    with redis_server("--tls-port", str(port), "--tls-auth-clients", "no", *files) as redis:
        url = f"rediss://127.0.0.1:{port}/0"
        link = Link(f"{url}?ssl_ca_certs={ca}")
        assert report(Service(sessions=RedisSessions(link))).status == 200
        assert link.place == url
        link.close()
        with pytest.raises(BadState, match="TLS failed: its certificate is not trusted here"):
            Link(url).check()
        for wrong in (f"redis://127.0.0.1:{port}/0", f"rediss://127.0.0.1:{redis.port}/0"):
            with pytest.raises(BadState, match=f"cannot use --state {wrong}: "):
                Link(wrong).check()


def test_a_redis_that_accepts_and_says_nothing_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statelink, "_TIMEOUT_SECONDS", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        link = Link(f"redis://127.0.0.1:{silent.getsockname()[1]}/0")
        with pytest.raises(BadState, match="no answer in time"):
            link.check()


def test_without_the_client_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(BadState, match=re.escape(install_line("redis"))):
        Link("redis://localhost")


def test_a_server_says_where_its_memory_is(server: Redis, pair: tuple[Live, Live]) -> None:
    told = f"what sessions remember lies in the Redis at {server.url}"
    until(lambda: told in pair[0].log.read_text())


def test_a_file_that_is_saved_counts_beside_what_was_set(server: Redis, shared: Service) -> None:
    """A version that only the file has is each mock's own."""
    shared.settings = Settings(criteria={"a": Declared({1: Form(Fixed(0.1)), 2: Form(Fixed(0.2))})})
    order(shared, "PUT", "/criteria/a@v1", b'{"score": 0.9}')
    other, link = mock_with(server, Settings(criteria={"a": Declared({2: Form(Fixed(0.3))})}))
    assert content_of(answer(other, having(criterion_id="a@v1")))["score"] == 0.9
    assert content_of(answer(other, having(criterion_id="a@v2")))["score"] == 0.3
    without, second = mock_with(server)
    assert content_of(answer(without, having(criterion_id="a@v1")))["score"] == 0.9
    assert answer(without, having(criterion_id="a@v2")).status == 404
    for each in (link, second):
        each.close()


def test_hints_are_counted_by_each_mock(shared: Service) -> None:
    notes = [note for _ in range(25) for note in chat(shared).notes]
    assert len([note for note in notes if "identical requests" in note]) == 1


def test_a_session_knows_no_more_names_than_it_may(shared: Service) -> None:
    for number in range(MOST_SESSIONS + 20):
        answer(shared, having(), headers={**HEADERS, b"x-mock-session": b"n%d" % number})
    memory = cast(RedisSessions, shared.sessions)
    assert len(memory.memo) == MOST_SESSIONS + 1
    assert DEFAULT in memory.memo
