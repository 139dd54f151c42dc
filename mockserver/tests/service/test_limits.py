"""Limits for each key: requests a minute and at a time, what is over them, and when a place is free."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from openpipe_mock.answers.pace import Pace
from openpipe_mock.answers.scorers import Declared, Failing, Form
from openpipe_mock.config.limits import Limits
from openpipe_mock.config.settings import Settings
from openpipe_mock.core.effects import Begin, Effect, Effects, Head, Piece, ReadBody, Reply, Tick, Wait
from openpipe_mock.faults.fault import Fault
from openpipe_mock.faults.kinds import AddedHeaders, ErrorAnswer
from openpipe_mock.openapi.endpoints import ENDPOINTS
from openpipe_mock.service.request import Handler
from openpipe_mock.service.service import HANDLERS, Service
from openpipe_mock.sessions.memory import MOST_COUNTERS
from tests.chatting import CHAT, asking, sent_with
from tests.inprocess import HEADERS, JUDGE, answer, content_of, having, holds, message_of
from tests.projects import send

Json = Any
BODY = json.dumps(having()).encode()


def limited(requests: int | None = None, at_once: int | None = None, **settings: Any) -> Service:
    return Service(Settings(limits=Limits(requests, at_once), **settings))


def judge(service: Service, body: Json = None, *, key: str = "op-test", at: float = 0.0) -> Reply:
    """The judge's reply at a time, once it is what the contract says."""
    reply = answer(service, body or having(), headers=sent_with(key), at=at)
    assert holds(reply)
    return reply


def statuses(service: Service, times: int, *, key: str = "op-test", at: float = 0.0) -> list[int]:
    return [judge(service, key=key, at=at).status for _ in range(times)]


def refused(reply: Reply) -> tuple[int, str]:
    """The seconds that a refused client is to wait, and what it is told."""
    assert (reply.status, content_of(reply)["code"]) == (429, "TOO_MANY_REQUESTS")
    assert message_of(reply).startswith("Too many requests: this key may send ")
    return int(dict(reply.headers)[b"retry-after"]), message_of(reply)


# Requests a minute.


@pytest.mark.parametrize("number", [1, 3, 60])
def test_a_key_may_send_so_many_requests_in_a_minute(number: int) -> None:
    assert statuses(limited(number), number + 2) == [200] * number + [429] * 2


def test_without_limits_nobody_counts() -> None:
    service = Service()
    assert set(statuses(service, 200)) == {200}
    assert service.sessions.default.traffic == {}


@pytest.mark.parametrize(
    ("late", "seconds"), [(0, 60), (0.5, 60), (1, 59), (30.2, 30), (59, 1), (59.999, 1), (59.9999999, 1)]
)
def test_who_is_over_the_limit_is_told_when_to_come_again(late: float, seconds: int) -> None:
    service = limited(1)
    judge(service, at=100)
    wait, told = refused(judge(service, at=100 + late))
    assert wait == seconds
    assert told.endswith(f"1 a minute; try again in {seconds} s.")
    assert judge(service, at=100 + late + wait).status == 200


def test_a_minute_begins_with_a_keys_first_request() -> None:
    service = limited(2)
    assert [judge(service, at=at).status for at in (7, 66, 66.9, 67, 100, 126.9, 127)] == [
        *(200, 200, 429),
        *(200, 200, 429),
        200,
    ]


def test_a_refused_request_uses_nothing_up() -> None:
    service = limited(1)
    judge(service)
    for at in range(60):
        refused(judge(service, at=at))
    assert judge(service, at=60).status == 200


def test_each_key_counts_for_itself() -> None:
    service = limited(1)
    assert [judge(service, key=key).status for key in ("one", "two", "one", "two", "three")] == [
        *(200, 200),
        *(429, 429),
        200,
    ]


def test_a_read_only_key_has_limits_too() -> None:
    service = limited(1, keys=("a",), read_only_keys=("r",))
    assert statuses(service, 2, key="r") == [200, 429]


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_all_endpoints_count_together_and_refuse_alike(endpoint: str) -> None:
    service = limited(1)
    judge(service)
    reply = send(service, endpoint)
    refused(reply)
    told = {"message", "code"} if endpoint == "judge" else {"message", "code", "error"}
    assert set(content_of(reply)) == told


def test_what_is_refused_before_the_limits_does_not_count() -> None:
    service = limited(1)
    for _ in range(3):
        assert answer(service, path="/api/v1/nothing").status == 404
        assert answer(service, method="GET").status == 405
        assert answer(service, having(), headers={}).status == 401
    assert statuses(service, 2) == [200, 429]


@pytest.mark.parametrize("body", [b"{", having(x=1), having(criterion_id="a@b")])
def test_what_is_refused_after_the_limits_counts(body: Json) -> None:
    service = limited(1)
    assert judge(service, body).status in (400, 404)
    refused(judge(service, body))


def test_limits_come_before_the_body_is_read_and_before_faults() -> None:
    service = limited(1, faults=(Fault(call=2, kinds=(ErrorAnswer(503),)),))
    assert judge(service).status == 200
    exchange = service.exchange(Head("POST", JUDGE, HEADERS))
    assert next(exchange) == Tick(), "nobody asked for the body"
    assert judge(service, at=30).status == 429
    assert judge(service, at=61).status == 503, "the fault has seen two requests"


def test_limits_that_change_at_runtime_hold_from_then_on() -> None:
    service = limited(1)
    assert statuses(service, 2) == [200, 429]
    service.sessions.default.override(limits=Limits(3))
    assert statuses(service, 3) == [200, 200, 429]
    service.sessions.default.override(limits=Limits())
    assert statuses(service, 3) == [200, 200, 200]


def test_the_traffic_of_so_many_keys_alone_is_kept() -> None:
    service = limited(1)
    session = service.sessions.default
    for number in range(MOST_COUNTERS + 5):
        session.enter(str(number).encode(), Limits(1), 0)
    assert len(session.traffic) == MOST_COUNTERS


# Requests at a time.


def begun(service: Service, key: str = "op-test", body: Json = None) -> Effects:
    """An exchange that waits for its body: it is under way."""
    path = CHAT if body else JUDGE
    exchange = service.exchange(Head("POST", path, sent_with(key)))
    assert isinstance(next(exchange), ReadBody)
    return exchange


def ended(exchange: Effects, body: bytes = BODY) -> Reply:
    """The reply of an exchange that was begun."""
    effect = exchange.send(body)
    try:
        while True:
            effect = exchange.send(0.0 if isinstance(effect, Tick) else None)
    except StopIteration as stop:
        reply: Reply = stop.value
        return reply


@pytest.mark.parametrize("number", [1, 2, 5])
def test_a_key_may_have_so_many_requests_under_way(number: int) -> None:
    service = limited(at_once=number)
    exchanges = [begun(service) for _ in range(number)]
    wait, told = refused(judge(service))
    assert wait == 1
    assert f"{number} at a time" in told
    assert ended(exchanges.pop()).status == 200
    assert judge(service).status == 200
    again = begun(service)
    refused(judge(service))
    assert [ended(exchange).status for exchange in (again, *exchanges)] == [200] * number
    assert service.sessions.default.traffic[next(iter(service.sessions.default.traffic))].under_way == 0


def test_one_after_the_other_is_one_at_a_time() -> None:
    assert set(statuses(limited(at_once=1), 50)) == {200}


def test_each_key_has_places_of_its_own() -> None:
    service = limited(at_once=1)
    one = begun(service, "one")
    assert judge(service, key="two").status == 200
    refused(judge(service, key="one"))
    ended(one)
    assert judge(service, key="one").status == 200


def test_a_request_that_waits_for_a_place_takes_no_turn_of_the_minute() -> None:
    service = limited(2, 1)
    first = begun(service)
    for _ in range(5):
        assert "at a time" in refused(judge(service))[1]
    ended(first)
    assert statuses(service, 2) == [200, 429]


ENDS: Mapping[str, tuple[bytes, int]] = {
    "a judgement": (BODY, 200),
    "no JSON": (b"{", 400),
    "a bad request": (json.dumps(having(x=1)).encode(), 400),
    "an unknown criterion": (json.dumps(having(criterion_id="b")).encode(), 404),
    "a criterion that fails": (json.dumps(having(criterion_id="broken")).encode(), 503),
    "a fault": (json.dumps(having(criterion_id="mock-status-429")).encode(), 429),
}


@pytest.mark.parametrize("name", ENDS)
def test_a_place_is_free_again_however_a_request_ends(name: str) -> None:
    body, status = ENDS[name]
    broken = Declared({1: Form(Failing(503))})
    service = limited(at_once=1, criteria={"helpful": Declared(), "broken": broken})
    for _ in range(3):
        assert ended(begun(service), body).status == status
    assert judge(service).status == 200


def test_a_place_is_free_again_when_a_body_is_too_large() -> None:
    service = limited(at_once=1, max_body_bytes=5)
    for _ in range(3):
        assert judge(service).status == 413


def test_a_place_is_free_again_when_a_client_hangs_up_before_its_body_is_there() -> None:
    service = limited(at_once=1)
    for _ in range(3):
        begun(service).close()
    assert judge(service).status == 200


def streaming(service: Service) -> Iterator[tuple[Effects, Effect]]:
    """A stream, effect by effect."""
    body = asking(stream=True, n=3)
    exchange = begun(service, body=body)
    effect = exchange.send(json.dumps(body).encode())
    while True:
        yield exchange, effect
        try:
            effect = exchange.send(0.0 if isinstance(effect, Tick) else None)
        except StopIteration:
            return


@pytest.mark.parametrize("kind", [Begin, Piece, Wait])
def test_a_place_is_free_again_when_a_client_leaves_a_stream(kind: type) -> None:
    service = limited(at_once=1, pace=Pace(first_token=0.1, tokens_per_second=50))
    exchange = next(exchange for exchange, effect in streaming(service) if isinstance(effect, kind))
    refused(judge(service))
    exchange.close()
    assert judge(service).status == 200


def test_a_stream_keeps_its_place_to_its_end() -> None:
    service = limited(at_once=1)
    seen = [judge(service).status for _, effect in streaming(service) if isinstance(effect, Piece)]
    assert set(seen) == {429}
    assert len(seen) > 10
    assert judge(service).status == 200


def test_a_delayed_request_keeps_its_place_while_it_waits() -> None:
    service = limited(at_once=1, faults=(Fault(first=1, delay=5),))
    exchange = begun(service)
    assert exchange.send(BODY) == Wait(5)
    refused(judge(service))
    assert exchange.send(None) == Tick()
    with pytest.raises(StopIteration):
        exchange.send(0.0)
    assert judge(service).status == 200


def test_a_place_is_free_again_after_a_defect_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    service = limited(at_once=1)

    def crash(*_: object) -> Reply:
        raise RuntimeError("a defect")

    with monkeypatch.context() as patch:
        patch.setitem(HANDLERS, "judge", Handler(crash))
        for _ in range(3):
            exchange = begun(service)
            with pytest.raises(RuntimeError, match="a defect"):
                exchange.send(BODY)
    assert judge(service).status == 200


def test_forgetting_frees_all_places_and_what_is_under_way_ends_in_peace() -> None:
    service = limited(1, 1)
    under_way = begun(service)
    refused(judge(service))
    service.sessions.default.forget()
    assert judge(service).status == 200
    assert ended(under_way).status == 200
    assert "a minute" in refused(judge(service))[1]


def test_a_place_is_free_again_once_something_is_thrown_into_a_wait() -> None:
    service = limited(at_once=1, faults=(Fault(delay=5),))
    rest = service.answer(Head("POST", JUDGE, HEADERS), BODY, lambda: 0.0)
    assert not isinstance(rest, Reply)
    assert next(rest) == Wait(5)
    with pytest.raises(KeyError) as thrown:
        rest.throw(KeyError())
    assert (service.sessions.default.under_way, thrown.type) == (0, KeyError)


# What is left of a limit.


def rates(reply: Reply) -> Json:
    sent = dict(reply.headers)
    return [sent.get(f"x-ratelimit-{name}-requests".encode()) for name in ("limit", "remaining", "reset")]


def test_each_answer_says_what_is_left_of_the_limit() -> None:
    service = limited(2)
    assert rates(judge(service)) == [b"2", b"1", b"1m0s"]
    assert rates(judge(service, at=15)) == [b"2", b"0", b"45s"]
    assert rates(judge(service, at=15.5)) == [b"2", b"0", b"45s"]
    assert rates(judge(limited(at_once=1))) == [None] * 3


def test_a_stream_and_a_refusal_say_it_too() -> None:
    service = limited(3)
    assert rates(answer(service, asking(stream=True), path=CHAT, headers=sent_with()))[1] == b"2"
    assert rates(answer(service, {}, headers=sent_with()))[1] == b"1"


@pytest.mark.parametrize("streams", [False, True])
def test_a_fault_s_headers_beat_those_of_the_limit(streams: bool) -> None:
    added = AddedHeaders(((b"x-ratelimit-remaining-requests", b"0"), (b"x-a", b"b")))
    service = limited(3, faults=(Fault(kinds=(added,)),))
    reply = answer(service, asking(stream=streams), path=CHAT, headers=sent_with())
    assert (rates(reply)[:2], dict(reply.headers)[b"x-a"]) == ([b"3", b"0"], b"b")
