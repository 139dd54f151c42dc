"""Sessions: what they keep apart, the two ways into one, and how they end."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from openpipe_mock.answers.scorers import Declared, Fixed, Form, Sequence
from openpipe_mock.answers.scripts import Script, ScriptedChoice
from openpipe_mock.config import file as configfile
from openpipe_mock.config.limits import Limits
from openpipe_mock.config.settings import Settings
from openpipe_mock.core.effects import Head, Reply, Tick
from openpipe_mock.core.errors import BadRequest, Conflict, NotFound, TooManySessions
from openpipe_mock.faults.fault import Fault
from openpipe_mock.faults.kinds import ErrorAnswer
from openpipe_mock.service.service import Service
from openpipe_mock.sessions.memory import DEFAULT, IDLE_SECONDS, MOST_SESSIONS, Sessions
from tests.chatting import CHAT, LATEST, asking, sent_with
from tests.inprocess import (
    HEADERS,
    JUDGE,
    answer,
    content_of,
    having,
    holds,
    issues_of,
    message_of,
)

Json = Any
VARYING = Settings(repeat="vary")
HALF = Form(Fixed(0.5))
TURNS = Settings(criteria={"a": Declared({1: Form(Sequence((Form(Fixed(1)), Form(Fixed(0)), HALF)))})})


def by_header(name: str, path: str) -> tuple[str, dict[bytes, bytes]]:
    return path, {b"x-mock-session": name.encode()}


def by_path(name: str, path: str) -> tuple[str, dict[bytes, bytes]]:
    return f"/_mock/sessions/{name}{path}", {}


WAYS: Mapping[str, Callable[[str, str], tuple[str, dict[bytes, bytes]]]] = {
    "header": by_header,
    "path": by_path,
}


def ask(
    service: Service,
    name: str,
    body: Json = None,
    *,
    path: str = JUDGE,
    way: str = "header",
    at: float = 0.0,
    method: str = "POST",
    **options: Json,
) -> Reply:
    """The reply to a request in a session."""
    where, further = WAYS[way](name, path) if name else (path, {})
    headers = {**HEADERS, **sent_with(**{"key": "op-test", **options}), **further}
    return answer(service, body, path=where, headers=headers, at=at, method=method)


def score(service: Service, name: str, criterion: str = "a", **options: Json) -> float:
    reply = ask(service, name, having(criterion_id=criterion), **options)
    assert reply.status == 200, reply.body
    found: float = content_of(reply)["score"]
    return found


def chat(service: Service, name: str, **options: Json) -> Json:
    reply = ask(service, name, asking(), path=CHAT, **options)
    assert reply.status == 200, reply.body
    return content_of(reply)


def gone(reply: Reply, path: str = JUDGE) -> str:
    """The sentence about a session that expired, once the reply is what the contract says."""
    assert (reply.status, content_of(reply)["code"]) == (404, "NOT_FOUND")
    assert holds(reply, path)
    return message_of(reply)


# Two ways in.


@pytest.mark.parametrize("way", WAYS)
def test_a_session_gives_the_bytes_that_any_gives(way: str) -> None:
    for path, body in (
        (JUDGE, having()),
        (CHAT, asking(n=3)),
        (CHAT, asking(stream=True)),
        (CHAT, asking(n=0)),
    ):
        inside, outside = (ask(Service(), name, body, path=path, way=way) for name in ("a", ""))
        assert (inside.status, inside.body) == (outside.status, outside.body)


def test_header_and_path_lead_to_the_same_session() -> None:
    service = Service(TURNS)
    assert [score(service, "w1", way=way) for way in ("header", "path", "header")] == [1, 0, 0.5]


def test_the_path_counts_where_both_name_a_session() -> None:
    service = Service(TURNS)
    path, _ = by_path("inner", JUDGE)
    headers = {**HEADERS, b"x-mock-session": b"outer"}
    reply = answer(service, having(criterion_id="a"), path=path, headers=headers)
    assert dict(reply.headers)[b"x-request-id"] == b"inner-1"
    assert list(service.sessions.named) == ["inner"]


@pytest.mark.parametrize("name", ["", DEFAULT])
@pytest.mark.parametrize("way", WAYS)
def test_no_name_is_the_default_session(name: str, way: str) -> None:
    service = Service(TURNS)
    assert [score(service, ""), score(service, name, way=way), score(service, "")] == [1, 0, 0.5]
    assert service.sessions.named == {}


@pytest.mark.parametrize("path", ["/api/v1/models", "/api/v1/local-testing-only-get-latest-logged-call"])
def test_every_endpoint_is_there_in_a_session(path: str) -> None:
    assert ask(Service(), "a", path=path, way="path", method="GET").status == 200


@pytest.mark.parametrize("path", ["/api/v1/nothing", "/api/criteria/judge", "/api/v1", "/api/"])
def test_a_path_that_is_none_is_none_in_a_session(path: str) -> None:
    reply = ask(Service(), "a", having(), path=path, way="path")
    assert (reply.status, content_of(reply)["code"]) == (404, "NOT_FOUND")


def test_a_wrong_method_in_a_session_is_told_the_right_one() -> None:
    reply = ask(Service(), "a", way="path", method="GET")
    assert (reply.status, dict(reply.headers)[b"allow"]) == (405, b"POST")
    assert "POST" in message_of(reply)


def test_each_reply_says_which_exchange_of_which_session_it_is() -> None:
    service = Service()
    replies = [ask(service, name, having()) for name in ("a", "", "a", "b")]
    ids = [dict(reply.headers)[b"x-request-id"] for reply in replies]
    assert ids == [b"a-1", b"default-1", b"a-2", b"b-1"]


# What is kept apart.


def test_sequences_count_for_themselves() -> None:
    service = Service(TURNS)
    found = [score(service, name) for name in ("a", "b", "", "a", "b", "", "a")]
    assert found == [1, 1, 1, 0, 0, 0, 0.5]


def test_repeats_count_for_themselves() -> None:
    service = Service(VARYING)
    ids = [chat(service, name)["id"] for name in ("a", "b", "a", "b", "")]
    assert ids[0] == ids[1] == ids[4]
    assert ids[2] == ids[3] != ids[0]


def test_faults_count_for_themselves() -> None:
    service = Service(Settings(faults=(Fault(call=2, kinds=(ErrorAnswer(503),)),)))
    statuses = [ask(service, name, having()).status for name in ("a", "b", "a", "a", "b", "")]
    assert statuses == [200, 200, 503, 200, 503, 200]


def test_limits_count_for_themselves() -> None:
    service = Service(Settings(limits=Limits(requests_per_minute=1)))
    statuses = [ask(service, name, having()).status for name in ("a", "b", "a", "")]
    assert statuses == [200, 200, 429, 200]


def test_caches_are_apart() -> None:
    service = Service(VARYING)
    chat(service, "a")
    cached = {name: chat(service, name, op_cache="readWrite")["id"] for name in ("a", "b")}
    assert cached["a"] != cached["b"]
    assert {name: chat(service, name, op_cache="readOnly")["id"] for name in ("a", "b")} == cached


def test_logs_are_apart() -> None:
    service = Service()
    chat(service, "a", op_log_request="true", op_tags={"in": "a"})
    logged = [content_of(ask(service, name, path=LATEST, method="GET")) for name in ("a", "b", "")]
    assert [call and call["tags"] for call in logged] == [{"in": "a"}, None, None]


def test_journals_are_apart() -> None:
    service = Service()
    for name in ("a", "b", "a", ""):
        ask(service, name, having())
    kept = {
        session.name: [entry.id for entry in session.journal.entries] for session in service.sessions.all()
    }
    assert kept == {"default": ["default-1"], "a": ["a-1", "a-2"], "b": ["b-1"]}


def test_what_is_set_at_runtime_is_set_for_its_session_alone() -> None:
    service = Service()
    usual = score(service, "", "helpful")
    session = service.sessions.find("a", 0)
    session.override(criteria={"helpful": Declared({1: HALF})})
    session.override(completions=(Script(choices=(ScriptedChoice("scripted"),), place="/runtime/1"),))
    session.override(
        faults=(Fault(first=1, kinds=(ErrorAnswer(503),)),), limits=Limits(requests_per_minute=9)
    )
    assert ask(service, "a", having()).status == 503
    assert [score(service, name, "helpful") for name in ("a", "b", "")] == [0.5, usual, usual]
    said = [chat(service, name)["choices"][0]["message"]["content"] for name in ("a", "b")]
    assert said[0] == "scripted" != said[1]
    assert ask(service, "a", having(criterion_id="other")).status == 404, "a declaration closes the world"
    assert ask(service, "b", having(criterion_id="other")).status == 200


def test_overrides_stand_in_front_of_settings_that_change_under_them() -> None:
    service = Service(Settings(seed=1, criteria={"a": Declared({1: HALF})}))
    service.sessions.find("s", 0).override(criteria={"b": Declared({1: Form(Fixed(0.25))})})
    assert [score(service, "s", name) for name in ("a", "b")] == [0.5, 0.25]
    service.settings = Settings(criteria={"a": Declared({1: Form(Fixed(1))}), "b": Declared({1: HALF})})
    assert [score(service, "s", name) for name in ("a", "b")] == [1, 0.25]
    assert [score(service, "", name) for name in ("a", "b")] == [1, 0.5]


def test_forgetting_begins_anew_in_one_session_alone() -> None:
    service = Service(TURNS)
    for name in ("a", "b"):
        score(service, name)
    service.sessions.find("a", 0).forget()
    assert [score(service, name) for name in ("a", "b")] == [1, 0]
    assert len(service.sessions.find("a", 0).journal.entries) == 1


# How they end.


def test_a_session_that_nobody_uses_expires_and_says_so_from_then_on() -> None:
    service = Service(TURNS)
    assert score(service, "a", at=10) == 1
    for way in WAYS:
        sentence = gone(ask(service, "a", having(criterion_id="a"), at=10 + IDLE_SECONDS + 0.001, way=way))
        assert '"a" has expired (nobody used it for 60 minutes)' in sentence
        assert "POST /_mock/sessions" in sentence
        assert "DELETE" in sentence
    assert gone(ask(service, "a", having(), at=10**9))
    assert score(service, "", at=10**9) == 1


def test_a_session_in_use_lives_on() -> None:
    service = Service(TURNS)
    assert [score(service, "a", at=number * IDLE_SECONDS) for number in range(4)] == [1, 0, 0.5, 1]


def test_the_default_session_never_expires() -> None:
    service = Service(TURNS)
    assert [score(service, "", at=at) for at in (0, 10 * IDLE_SECONDS)] == [1, 0]


def test_a_session_expires_by_its_own_use() -> None:
    service = Service()
    for name, at in (("a", 0), ("b", 1000), ("a", 2000)):
        score(service, name, at=at)
    assert gone(ask(service, "b", having(), at=1001 + IDLE_SECONDS))
    assert score(service, "a", at=1001 + IDLE_SECONDS)


def test_a_removed_name_begins_anew() -> None:
    service = Service(TURNS)
    for late in (0, 2 * IDLE_SECONDS):
        assert score(service, "a", at=late) == 1
        service.sessions.remove("a")
        assert score(service, "a", at=late) == 1
        if late == 0:
            assert gone(ask(service, "a", having(), at=IDLE_SECONDS + 1))
            service.sessions.remove("a")


def test_a_session_that_answers_something_does_not_expire() -> None:
    service = Service()
    exchange = service.exchange(Head("POST", JUDGE, {**HEADERS, b"x-mock-session": b"slow"}))
    next(exchange)
    assert score(service, "other", at=2 * IDLE_SECONDS)
    assert "slow" in service.sessions.named
    assert exchange.send(json.dumps(having()).encode()) == Tick()
    with pytest.raises(StopIteration) as stopped:
        exchange.send(0.0)
    assert stopped.value.value.status == 200
    score(service, "other", at=2 * IDLE_SECONDS)
    assert gone(ask(service, "slow", having(), at=2 * IDLE_SECONDS))


def test_a_request_of_an_expired_session_is_refused_before_anything_else() -> None:
    service = Service()
    score(service, "a")
    reply = answer(service, b"{", path=CHAT, headers={b"x-mock-session": b"a"}, at=2 * IDLE_SECONDS)
    assert "has expired" in gone(reply, CHAT)
    assert content_of(reply)["error"]["message"] == message_of(reply)


def test_there_are_only_so_many_and_the_least_used_goes_with_a_reason() -> None:
    service = Service(TURNS)
    for number in range(MOST_SESSIONS):
        score(service, f"w{number}", at=number)
    score(service, "w0", at=MOST_SESSIONS)
    score(service, "one-more", at=MOST_SESSIONS + 1)
    assert len(service.sessions.named) == MOST_SESSIONS
    sentence = gone(ask(service, "w1", having(), at=MOST_SESSIONS + 2))
    assert f"made room: a mock keeps {MOST_SESSIONS} sessions" in sentence
    assert score(service, "w0", at=MOST_SESSIONS + 3) == 0.5
    assert len(service.sessions.named) == MOST_SESSIONS, "a refused request makes no room"


def test_a_session_under_way_makes_room_only_where_all_are() -> None:
    sessions = Sessions()
    for number in range(MOST_SESSIONS):
        sessions.find(f"w{number}", 0).under_way = int(number < 2)
    sessions.find("more", 0)
    assert {"w0", "w1"} <= set(sessions.named)
    assert "w2" not in sessions.named
    for session in sessions.named.values():
        session.under_way = 1
    sessions.find("another", 0)
    assert "w0" not in sessions.named


def test_a_session_that_was_opened_makes_no_room() -> None:
    sessions = Sessions()
    sessions.open("opened", 0)
    sessions.open(sessions.find("begun", 0).name, 0)
    for number in range(MOST_SESSIONS):
        sessions.find(f"w{number}", number)
    assert {"opened", "begun"} <= set(sessions.named)
    sessions.fresh(MOST_SESSIONS)
    assert {"opened", "begun", "s1"} <= set(sessions.named)
    assert len(sessions.named) == MOST_SESSIONS


def test_where_all_were_opened_a_further_one_is_refused_until_one_is_closed() -> None:
    sessions = Sessions()
    for _ in range(MOST_SESSIONS):
        sessions.fresh(0)
    with pytest.raises(TooManySessions, match="DELETE one that is done with"):
        sessions.find("more", 0)
    with pytest.raises(Conflict, match="DELETE one that is done with"):
        sessions.open("more", 0)
    with pytest.raises(Conflict, match="DELETE one that is done with"):
        sessions.fresh(0)
    assert sessions.open("s1", 0) is sessions.find("s1", 0)
    sessions.remove("s1")
    assert not sessions.find("more", 0).opened
    assert sessions.open("more", 0).opened
    assert len(sessions.named) == MOST_SESSIONS


def test_a_request_for_which_there_is_no_room_is_told_so_and_kept() -> None:
    service = Service(TURNS)
    for _ in range(MOST_SESSIONS):
        service.sessions.fresh(0)
    for path, body in ((JUDGE, having()), (CHAT, asking())):
        reply = ask(service, "more", body, path=path)
        assert (reply.status, content_of(reply)["code"]) == (503, "SERVICE_UNAVAILABLE")
        assert dict(reply.headers)[b"retry-after"] == b"1"
        assert f"a mock keeps {MOST_SESSIONS} sessions" in message_of(reply)
        assert holds(reply, path)
    assert [entry.status for entry in service.sessions.default.journal.entries] == [503, 503]
    assert ask(service, "more", having(), key="invalid").status == 401


# Who may make one.

FOREIGN = (
    {"origin": "https://elsewhere.example"},
    {"origin": "null"},
    {"origin": "http://localhost.elsewhere.example", "sec-fetch-site": "same-site"},
    {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors", "sec-fetch-dest": "image"},
)
NEAR = (
    {"origin": "http://localhost:3000", "sec-fetch-site": "cross-site"},  # to a browser 127.0.0.1 is another
    {"origin": "http://app.localhost:3000", "sec-fetch-site": "same-site"},
    {"sec-fetch-site": "same-site"},
    {"sec-fetch-site": "none"},
)
READERS = Settings(keys=("op-test",), read_only_keys=("op-read",))


def told(headers: Mapping[str, str]) -> dict[bytes, bytes]:
    return {name.encode(): value.encode() for name, value in headers.items()}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("method", "path", "key", "status"),
    [
        ("POST", JUDGE, b"", 401),
        ("POST", CHAT, b"Bearer invalid", 401),
        ("POST", JUDGE, b"Bearer op-other", 401),
        ("POST", CHAT, b"Basic op-test", 401),
        ("POST", "/api/v1/report", b"Bearer op-read", 401),
        ("GET", LATEST, b"", 401),
        ("GET", "/api/v1/models", b"", 401),
        ("GET", CHAT, b"Bearer op-test", 405),
        ("OPTIONS", JUDGE, b"Bearer op-test", 405),
        ("POST", "/api/v1/model", b"Bearer op-test", 404),
        ("POST", "/api/v1/nothing", b"Bearer op-test", 404),
    ],
)
def test_a_request_that_is_refused_makes_no_session(
    method: str, path: str, key: bytes, status: int, way: str
) -> None:
    service = Service(READERS)
    where, further = WAYS[way]("new", path)
    sent = {**HEADERS, **further, b"authorization": key}
    reply = answer(service, having(), method=method, path=where, headers=sent)
    usual = answer(service, having(), method=method, path=path, headers={**sent, b"x-mock-session": b""})
    assert reply.status == usual.status == status
    assert content_of(reply)["code"] == content_of(usual)["code"]
    assert service.sessions.named == {}
    kept, _ = service.sessions.default.journal.entries
    assert dict(reply.headers)[b"x-request-id"].decode() == kept.id == "default-1"
    assert (kept.path, kept.status) == (where, status)
    assert kept.notes == reply.notes == ('it names the session "new", which isn\'t there',)


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
@pytest.mark.parametrize("way", WAYS)
def test_a_page_of_another_site_makes_no_session(headers: Mapping[str, str], way: str) -> None:
    service = Service(READERS)
    for path, body in ((JUDGE, having()), (CHAT, asking())):
        where, further = WAYS[way]("new", path)
        sent = {**HEADERS, **sent_with("op-test"), **further, **told(headers)}
        reply = answer(service, body, path=where, headers=sent)
        assert (reply.status, content_of(reply)["code"]) == (403, "FORBIDDEN")
        assert "POST /_mock/sessions opens one" in message_of(reply)
        assert holds(reply, path)
    assert service.sessions.named == {}
    assert [entry.status for entry in service.sessions.default.journal.entries] == [403, 403]
    service.sessions.open("new", 0)
    assert answer(service, body, path=where, headers=sent).status == 200, "one that is there it may use"


@pytest.mark.parametrize("headers", NEAR, ids=str)
def test_a_page_of_this_machine_does(headers: Mapping[str, str]) -> None:
    service = Service(READERS)
    where, further = by_path("new", JUDGE)
    sent = {**HEADERS, **sent_with("op-test"), **further, **told(headers)}
    assert answer(service, having(), path=where, headers=sent).status == 200
    assert list(service.sessions.named) == ["new"]


def test_what_is_wrong_with_a_body_is_kept_in_the_session_of_its_request() -> None:
    service = Service()
    assert ask(service, "new", b"{").status == 400
    assert [entry.status for entry in service.sessions.named["new"].journal.entries] == [400]


def test_a_session_that_is_there_keeps_what_is_refused() -> None:
    service = Service()
    for key in ("op-test", "invalid"):
        ask(service, "a", having(), key=key)
    assert [entry.status for entry in service.sessions.named["a"].journal.entries] == [200, 401]


def test_the_mock_s_own_keys_say_who_begins_a_session() -> None:
    """The default session may have other settings: a new session has those of the mock."""
    service = Service()
    service.sessions.default.use(READERS)
    assert ask(service, "a", having(), key="op-other").status == 200
    service.settings = READERS
    service.sessions.default.use(Settings())
    assert ask(service, "b", having(), key="op-other").status == 401
    assert list(service.sessions.named) == ["a"]
    assert service.sessions.default.traffic == {}


def test_fresh_sessions_have_names_that_nobody_had() -> None:
    sessions = Sessions()
    sessions.find("s2", 0)
    names = [sessions.fresh(0).name for _ in range(3)]
    assert names == ["s1", "s3", "s4"]
    sessions.expire(IDLE_SECONDS + 1)
    assert sessions.fresh(IDLE_SECONDS + 1).name == "s5"
    assert list(sessions.named) == ["s5"]


def test_looking_makes_no_session() -> None:
    sessions = Sessions()
    assert sessions.known("", 0) is sessions.known(DEFAULT, 0) is sessions.default
    with pytest.raises(NotFound, match='there is no session "a"'):
        sessions.known("a", 0)
    made = sessions.find("a", 0)
    assert sessions.known("a", IDLE_SECONDS) is sessions.known("a", 2 * IDLE_SECONDS) is made
    with pytest.raises(NotFound, match="has expired"):
        sessions.known("a", 3 * IDLE_SECONDS + 1)


# Names.


@pytest.mark.parametrize("name", ["a", "gw0", "A-1_b.c", "_x", "0", "x" * 64, "a..b", "s-"])
@pytest.mark.parametrize("way", WAYS)
def test_a_name_is_letters_digits_and_a_few_signs(name: str, way: str) -> None:
    service = Service()
    assert ask(service, name, having(), way=way).status == 200
    assert list(service.sessions.named) == [name]


BAD = ("-a", ".", "..", "a b", "a\n", "x" * 65, "é", "a:b", "a\x00", "*", "😀", "%2e")


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("way", WAYS)
def test_another_name_is_a_400_that_says_the_rule(name: str, way: str) -> None:
    service = Service()
    reply = ask(service, name, having(), way=way)
    assert (reply.status, content_of(reply)["code"]) == (400, "BAD_REQUEST")
    assert issues_of(reply)[0].startswith("session: expected a name (1 to 64 of A-Z a-z 0-9 _ . -")
    assert holds(reply)
    assert service.sessions.named == {}
    with pytest.raises(BadRequest):
        service.sessions.find(name, 0)


def test_a_bad_name_is_refused_where_openais_clients_look_too() -> None:
    reply = ask(Service(), "a b", asking(), path=CHAT)
    assert content_of(reply)["error"]["message"] == message_of(reply)
    assert holds(reply, CHAT)


@pytest.mark.parametrize(
    "path", [f"/_mock/sessions/a/b{JUDGE}", f"/_mock/sessions//{JUDGE}", f"/_mock/session/a{JUDGE}"]
)
def test_a_path_that_names_no_session_is_not_found(path: str) -> None:
    service = Service()
    assert answer(service, having(), path=path).status == 404
    assert service.sessions.named == {}


def test_what_a_reset_overtook_counts_stores_and_logs_nothing() -> None:
    """As it is with a Redis."""
    service = Service(configfile.read_config(b"criteria: {flaky: {sequence: [0.1, 0.2]}}\n"))
    cached = {**HEADERS, b"op-cache": b"true"}
    late = service.exchange(Head("POST", JUDGE, HEADERS)), service.exchange(Head("POST", CHAT, cached))
    for exchange in late:
        next(exchange)
    service.sessions.default.forget()
    flaky = json.dumps({"criterion_id": "flaky", "output": {"role": "assistant"}}).encode()
    for exchange, body in zip(late, (flaky, json.dumps(asking(max_tokens=5)).encode()), strict=True):
        exchange.send(body)  # it now asks for the time
        with pytest.raises(StopIteration):
            exchange.send(0.0)
    session = service.sessions.default
    assert [len(each) for each in (session.cache, session.logs, session.counts, session.turns)] == [0] * 4
    assert json.loads(answer(service, flaky, path=JUDGE).body)["score"] == 0.1
