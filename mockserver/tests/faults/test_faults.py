"""Faults: whose turn it is, in what words it is told, and what becomes of an exchange."""

import copy
import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openpipe_mock.answers.pace import Pace
from openpipe_mock.config import file as configfile
from openpipe_mock.config.file import parse_fault
from openpipe_mock.core.effects import (
    JSON_HEADERS,
    Begin,
    Break,
    Effect,
    Effects,
    Entropy,
    HeaderList,
    Now,
    Piece,
    Reply,
    Tick,
    Wait,
)
from openpipe_mock.core.errors import CODES, ApiError, BadRequest, code
from openpipe_mock.faults import fault as faultmodule
from openpipe_mock.faults.fault import Fault, with_fault
from openpipe_mock.faults.kinds import (
    FAULT_KINDS,
    ContentType,
    Context,
    Disconnect,
    Drip,
    Empty,
    Endless,
    ErrorAnswer,
    ErrorEvent,
    FaultKind,
    Malformed,
    Raw,
    Timeout,
    Truncated,
    retry_headers,
)
from openpipe_mock.faults.magic import header_fault
from openpipe_mock.faults.selection import Sampler, Selection, select
from openpipe_mock.faults.streams import STREAM_HEADERS, next_sent
from openpipe_mock.matching.conditions import Condition, Subject, When, demand
from openpipe_mock.matching.rules import rulebook
from openpipe_mock.service.service import Service
from openpipe_mock.testing.mock import Mock
from tests.chatting import CHAT, asking
from tests.inprocess import MINIMAL, answer

Json = Any

# Whose turn it is.


class Counts:
    """A session's counts, each from 1."""

    def __init__(self) -> None:
        self.seen: Counter[str] = Counter()

    def __call__(self, name: str) -> int:
        self.seen[name] += 1
        return self.seen[name]


def when(part: str, text: str) -> When:
    return When((Condition(part, "", (demand("equals", text),)),))


def subject(endpoint: str = "chat", **body: Json) -> Subject:
    return Subject(endpoint, {}, body)


def struck(faults: Sequence[Fault], requests: Iterable[Subject], *, streams: bool = False) -> list[str]:
    """The place of the fault that strikes each request, "" where none does."""
    counts = Counts()
    found = (select(faults, each, counts, Sampler(0, b"{}"), streams=streams).fault for each in requests)
    return [fault.place if fault else "" for fault in found]


def fault_of(*kinds: FaultKind, **members: Any) -> Fault:
    return Fault(kinds=kinds, **members)


def at(place: str, *kinds: FaultKind, **members: Any) -> Fault:
    """A fault with a place, and a count of its own."""
    return Fault(kinds=kinds, place=place, counter=place, **members)


@pytest.mark.parametrize(
    ("members", "turns"),
    [
        ({}, [1, 2, 3, 4, 5, 6]),
        ({"call": 3}, [3]),
        ({"call": 1}, [1]),
        ({"every": 2}, [2, 4, 6]),
        ({"every": 1}, [1, 2, 3, 4, 5, 6]),
        ({"first": 2}, [1, 2]),
        ({"share": 1.0}, [1, 2, 3, 4, 5, 6]),
        ({"share": 0.0}, []),
        ({"every": 2, "first": 4}, [2, 4]),
        ({"call": 2, "every": 3}, []),
        ({"first": 3, "share": 0.0}, []),
    ],
)
def test_a_fault_strikes_at_its_turns_alone(members: Mapping[str, Any], turns: list[int]) -> None:
    found = struck([at("/faults/0", **members)], [subject()] * 6)
    assert [number for number, place in enumerate(found, 1) if place] == turns


def test_a_fault_counts_the_requests_that_meet_its_when() -> None:
    faults = [at("/faults/0", when=when("endpoint", "judge"), every=2)]
    requests = [subject(name) for name in ("judge", "chat", "chat", "judge", "judge", "chat", "judge")]
    assert struck(faults, requests) == ["", "", "", "/faults/0", "", "", "/faults/0"]


def test_the_first_fault_whose_turn_it_is_strikes_and_the_others_count_all_the_same() -> None:
    faults = [at("a", every=2), at("b", call=2), at("c", call=3), at("d")]
    assert struck(faults, [subject()] * 4) == ["d", "a", "c", "a"]


def test_of_a_thousand_faults_that_are_looked_up_all_that_meet_their_when_count() -> None:
    wanted = [when("model", f"m{number}") for number in range(1000)]
    faults = [at(f"{number}", when=each, every=2) for number, each in enumerate(wanted)]
    both = [at("each", every=3), *faults, at("last", when=wanted[7], call=3)]
    requests = [subject(model=f"m{number}") for number in (7, 7, 8, 7, 8, 7)]
    assert (
        struck(rulebook(both), requests) == struck(both, requests) == ["", "7", "each", "last", "8", "each"]
    )


def test_a_fault_counts_by_the_name_of_its_count() -> None:
    counts = Counts()
    faults = [Fault(counter="shared", call=2, place="a"), Fault(counter="shared", place="b")]
    found = select(faults, subject(), counts, Sampler(0, b""), streams=False)
    assert found.fault is faults[1]
    assert counts.seen == {"shared": 2}


@pytest.mark.parametrize(
    "kind", [Disconnect(after_events=0), Timeout(after_events=0), ErrorEvent(""), Endless()]
)
def test_what_only_a_stream_can_have_neither_counts_nor_strikes_elsewhere(kind: FaultKind) -> None:
    fault, counts = at("/faults/0", kind, call=1), Counts()
    found = select([fault], subject(), counts, Sampler(0, b""), streams=False)
    assert found == Selection(None, ((fault, "it strikes streams alone, and this request asks for none"),))
    assert counts.seen == {}
    assert select([fault], subject(), counts, Sampler(0, b""), streams=True).fault is fault
    assert counts.seen == {"/faults/0": 1}


def test_what_any_answer_can_have_needs_no_stream() -> None:
    bodies = (Raw(b"1"), Malformed(), Truncated(), Empty(), ContentType("a/b"))
    assert not fault_of(ErrorAnswer(500), *bodies, Disconnect(after_bytes=3), Drip(), delay=1).needs_stream


def asked(body: Json, *, share: float, seed: int = 0, endpoint: str = "chat", place: str = "p") -> bool:
    """Whether a fault with a share strikes a body, which is JSON or bytes."""
    sent = body if isinstance(body, bytes) else json.dumps(body).encode()
    fault = at(place, share=share)
    return select([fault], subject(endpoint), Counts(), Sampler(seed, sent), streams=False).fault is fault


BODIES = [{"messages": [{"role": "user", "content": f"Question {number}"}]} for number in range(400)]


def test_a_share_is_about_that_share_of_contents() -> None:
    assert 70 <= sum(asked(body, share=0.25) for body in BODIES) <= 130
    assert 330 <= sum(asked(body, share=0.9) for body in BODIES) < 400


def test_a_greater_share_strikes_all_that_a_smaller_one_does() -> None:
    small, large = ({n for n, b in enumerate(BODIES) if asked(b, share=share)} for share in (0.2, 0.5))
    assert small < large


def test_a_retry_meets_the_same_fate() -> None:
    fault, counts = at("p", share=0.5), Counts()
    for body in BODIES[:40]:
        samplers = (Sampler(0, json.dumps(body, indent=indent).encode()) for indent in (None, 2, None))
        fates = {select([fault], subject(), counts, each, streams=False).fault is fault for each in samplers}
        assert len(fates) == 1


def test_a_share_doesn_t_look_at_the_order_of_keys() -> None:
    for number in range(40):
        assert asked({"a": number, "b": {"c": 1, "d": 2}}, share=0.5) is asked(
            {"b": {"d": 2, "c": 1}, "a": number}, share=0.5
        )


@pytest.mark.parametrize("change", [{"seed": 1}, {"endpoint": "judge"}, {"place": "q"}])
def test_seed_endpoint_and_fault_decide_about_a_share_too(change: Mapping[str, Any]) -> None:
    changed = sum(asked(body, share=0.5) is not asked(body, share=0.5, **change) for body in BODIES)
    assert 130 < changed < 270


def test_what_is_no_json_has_a_share_too() -> None:
    bodies = [b"{broken %d" % number for number in range(100)] + [b"\xff%d" % n for n in range(100)]
    assert 60 < sum(asked(body, share=0.5) for body in bodies) < 140
    assert asked(b"", share=1.0)
    deep = b"[" * 5000 + b"]" * 5000
    assert asked(deep, share=1.0)


def test_a_sampler_says_what_it_always_said() -> None:
    assert Sampler(42, b'{"b": 1, "a": 2}').number("/faults/4", "chat") == 0.9390106269137704


@given(st.integers(), st.binary(max_size=50), st.lists(st.text(max_size=5), max_size=3))
def test_a_sampler_lies_from_0_up_to_1(seed: int, body: bytes, names: list[str]) -> None:
    names = [name.encode("utf-8", "replace").decode() for name in names]
    assert 0 <= Sampler(seed, body).number(*names) < 1


# Why a fault did not strike.


def why_not(fault: Fault, subject: Subject, found: Selection) -> str:
    """Why a fault did not strike a request, once `select` has found what did; "" for the one that struck."""
    if fault is found.fault:
        return ""
    told = next((why for each, why in found.skipped if each is fault), None)
    return told or str(fault.when.failure(subject))


def reason(fault: Fault, request: Subject | None = None, *before: Fault, requests: int = 1) -> str:
    """Why the last fault of these did not strike the last of so many requests."""
    request, counts = request or subject(), Counts()
    for _ in range(requests):
        found = select([*before, fault], request, counts, Sampler(0, b"{}"), streams=False)
    return why_not(fault, request, found)


def test_the_fault_that_struck_has_no_reason_not_to() -> None:
    assert reason(at("p")) == ""


def test_a_condition_that_failed_is_the_reason() -> None:
    assert reason(at("p", when=when("model", "m")), subject(model="x")) == (
        'model: expected a text that equals "m", saw "x"'
    )


@pytest.mark.parametrize(
    ("members", "told"), [({"call": 3}, "call: 3"), ({"every": 5}, "every: 5"), ({"first": 1}, "first: 1")]
)
def test_a_turn_that_is_not_now_is_the_reason(members: Mapping[str, Any], told: str) -> None:
    assert reason(at("p", **members), requests=2) == (
        f"it was not its turn: request 2 that meets its `when`, it has `{told}`"
    )


def test_a_share_is_the_reason() -> None:
    drawn = Sampler(0, b"{}").number("p", "chat")
    assert reason(at("p", share=0.0)) == (
        f"this content is not in its share: it drew {drawn:.4f}, which is not below 0.0"
    )


def test_an_earlier_fault_is_the_reason() -> None:
    assert reason(at("p"), None, Fault(place="/faults/0", name="first")) == (
        "an earlier fault struck: /faults/0 (first)"
    )


def test_its_own_turn_comes_before_an_earlier_fault_as_the_reason() -> None:
    assert "call: 7" in reason(at("p", call=7), None, at("q"))


def test_two_faults_that_say_the_same_are_told_apart() -> None:
    one, other, late, later = at("p"), at("p"), at("q", call=9), at("q", call=9)
    assert (one, late) == (other, later)
    found = select([one, other, late, later], subject(), Counts(), Sampler(0, b""), streams=False)
    told = "it was not its turn: request {} that meets its `when`, it has `call: 9`"
    assert [why_not(fault, subject(), found) for fault in (one, other, late, later)] == [
        "",
        "an earlier fault struck: p",
        told.format(1),
        told.format(2),
    ]


# Words.


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (at("/faults/0", ErrorAnswer(429)), "status 429 (fault /faults/0)"),
        (at("/faults/1", name="slow", delay=0.2), "delay of 200 ms (fault /faults/1 (slow))"),
        (fault_of(ErrorAnswer(500), delay=1.5), "delay of 1500 ms, status 500"),
        (fault_of(Timeout()), "time-out"),
        (fault_of(Disconnect()), "disconnect"),
        (fault_of(Disconnect(after_events=1)), "disconnect after 1 event"),
        (fault_of(Disconnect(after_events=0)), "disconnect after 0 events"),
        (fault_of(Disconnect(after_bytes=10)), "disconnect after 10 bytes"),
        (Fault(), "nothing"),
        (fault_of(Malformed()), "malformed JSON"),
        (fault_of(Truncated()), "truncated body"),
        (fault_of(Empty()), "empty body"),
        (fault_of(ContentType("text/html")), 'content type "text/html"'),
        (fault_of(Raw(b"")), "raw body"),
        (fault_of(ErrorEvent("")), "error event"),
        (fault_of(Endless(), Drip(size=1)), "endless stream, drip of 1 byte"),
        (Fault(place="x"), "nothing (fault x)"),
    ],
)
def test_a_fault_is_told_in_few_words(fault: Fault, words: str) -> None:
    assert fault.describe() == words


# What becomes of an exchange.

STREAM: HeaderList = ((b"content-type", b"text/event-stream"), (b"cache-control", b"no-cache"))
DONE = b"data: [DONE]\n\n"
PACE = Pace(most_events=12)
ANSWER = b'{"score":0.5,"explanation":"well done"}'


def chunk(finish_reason: str | None = None, **delta: str | None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return b"data: " + json.dumps({"id": "c", "choices": [choice]}).encode() + b"\n\n"


OPENING, ENDING = chunk(role="assistant", content=""), chunk("stop")
WORDS = [chunk(content="one"), chunk(content=" two")]
EVENTS = [OPENING, *WORDS, ENDING, DONE]


class Engine:
    """An exchange of one's own: what it did is told in `log`."""

    def __init__(self, *effects: Effect, reply: Reply) -> None:
        self.log: list[Any] = []
        self.exchange = self.run(effects, reply)

    def run(self, effects: Sequence[Effect], reply: Reply) -> Effects:
        self.log.append("begun")
        try:
            for effect in effects:
                self.log.append((yield effect))
            return reply
        finally:
            self.log.append("ended")


def plain(*effects: Effect, status: int = 200, body: bytes = ANSWER) -> Engine:
    """One that answers at once, after these effects."""
    return Engine(*effects, reply=Reply(status, body, JSON_HEADERS, "helpful@v1 0.5", ("a note",)))


def streaming(*effects: Effect, events: Sequence[bytes] = EVENTS) -> Engine:
    """One that streams, after these effects."""
    return Engine(
        *effects, Begin(200, STREAM), *map(Piece, events), reply=Reply(200, b"", STREAM, "gpt n=1, streamed")
    )


def refused(error: ApiError) -> Reply:
    """As the service does it."""
    headers = tuple((name.encode(), value.encode()) for name, value in error.headers)
    return Reply(error.status, json.dumps(error.body()).encode(), JSON_HEADERS + headers, error.message)


def context(fault: Fault | None = None, *, streams: bool = True, pace: Pace = PACE) -> Context:
    return Context("chat", streams, pace, refused, Counts(), str(fault or ""))


RESULTS: Mapping[type, Any] = {Now: 17.0, Entropy: b"dice", Tick: 3.0}
"""What the adapter sends back for an effect."""


def carried(
    engine: Engine, fault: Fault, *, pace: Pace = PACE, streams: bool = False
) -> tuple[list[Effect], Reply]:
    """The effects that a spoiled exchange yields, in order, and its reply."""
    exchange = with_fault(engine.exchange, fault, context(fault, streams=streams, pace=pace))
    effects: list[Effect] = []
    try:
        effect = next(exchange)
        while True:
            effects.append(effect)
            effect = exchange.send(RESULTS.get(type(effect)))
    except StopIteration as stop:
        reply: Reply = stop.value
        return effects, reply


def streamed(fault: Fault, *, pace: Pace = PACE, events: Sequence[bytes] = EVENTS) -> list[Effect]:
    """The effects of a spoiled stream, which begins as it should and whose engine comes to its end."""
    engine = streaming(events=events)
    effects, reply = carried(engine, fault, pace=pace, streams=True)
    assert effects[0] == Begin(200, STREAM)
    assert (reply.status, reply.body, dict(reply.headers)) == (200, b"", dict(STREAM))
    assert reply.subject.endswith(fault.describe())
    assert engine.log[-1] == "ended"
    return effects[1:]


def answered(fault: Fault, engine: Engine | None = None) -> Reply:
    """The reply of a spoiled plain answer, for which nothing but the reply is sent."""
    engine = engine or plain()
    effects, reply = carried(engine, fault)
    assert effects == []
    assert engine.log == ["begun", "ended"]
    return reply


def sent(effects: Iterable[Effect]) -> bytes:
    return b"".join(effect.data for effect in effects if isinstance(effect, Piece))


def test_effects_that_ask_pass_through_and_get_their_answers() -> None:
    for fault in (fault_of(Malformed()), fault_of(Drip()), fault_of(Disconnect(after_bytes=1))):
        engine = plain(Now(), Entropy(4), Wait(0.5), Tick())
        effects, _ = carried(engine, fault)
        assert effects[:4] == [Now(), Entropy(4), Wait(0.5), Tick()]
        assert engine.log[:5] == ["begun", 17.0, b"dice", None, 3.0]


def test_a_fault_that_does_nothing_changes_nothing_but_the_log() -> None:
    reply = answered(Fault(place="/faults/0"))
    assert reply == Reply(200, ANSWER, JSON_HEADERS, "helpful@v1 0.5, nothing (fault /faults/0)", ("a note",))


# Delays


def test_a_timeout_sends_nothing_and_waits_for_ever() -> None:
    effects, reply = carried(plain(), fault_of(Timeout()))
    assert (effects, reply.status) == ([Wait(math.inf)], 0)
    assert streamed(fault_of(Timeout(after_events=2))) == [*map(Piece, EVENTS[:2]), Wait(math.inf)]


def test_a_delay_comes_before_anything_else() -> None:
    engine = plain(Now())
    effects, reply = carried(engine, Fault(delay=0.2))
    assert effects == [Wait(0.2), Now()]
    assert (reply.status, reply.body) == (200, ANSWER)


def test_the_engine_does_nothing_while_an_answer_is_delayed() -> None:
    engine = plain()
    exchange = with_fault(engine.exchange, Fault(delay=1), context(streams=False))
    assert next(exchange) == Wait(1)
    assert engine.log == []
    exchange.close()
    assert engine.log == []


@pytest.mark.parametrize(
    ("fault", "follows"),
    [
        (fault_of(Disconnect()), [Break()]),
        (fault_of(ErrorAnswer(500)), []),
        (fault_of(Drip(1000, 9)), [Begin(200, (*JSON_HEADERS, (b"content-length", b"39"))), Piece(ANSWER)]),
    ],
)
def test_a_delay_comes_before_other_faults(fault: Fault, follows: list[Effect]) -> None:
    effects, _ = carried(plain(), replace(fault, delay=3))
    assert effects == [Wait(3), *follows]


# Errors


def error(fault: Fault) -> Reply:
    """The reply of an error, which asks no engine and says what it is in the log."""
    engine = plain()
    effects, reply = carried(engine, fault)
    assert (effects, engine.log, reply.subject) == ([], [], fault.describe())
    return reply


def test_an_error_has_the_form_of_the_api() -> None:
    reply = error(at("/faults/0", ErrorAnswer(429, retry_after=1)))
    assert json.loads(reply.body) == {
        "message": "The mock answers 429 on purpose, as /faults/0 asks.",
        "code": "TOO_MANY_REQUESTS",
    }
    assert reply.status == 429
    assert reply.headers == ((b"content-type", b"application/json"), (b"retry-after", b"1"))


def test_an_error_says_what_it_is_told_to_say() -> None:
    reply = error(fault_of(ErrorAnswer(503, "No capacity.", "BUSY")))
    assert json.loads(reply.body) == {"message": "No capacity.", "code": "BUSY"}
    assert reply.headers == JSON_HEADERS


def test_an_error_without_a_place_says_that_it_is_meant() -> None:
    assert json.loads(error(fault_of(ErrorAnswer(500))).body)["message"] == (
        "The mock answers 500 on purpose."
    )


def test_an_error_may_have_any_body() -> None:
    reply = error(fault_of(ErrorAnswer(502, "m", "C", b'["bad gateway"]', retry_after=2)))
    assert (reply.status, reply.body) == (502, b'["bad gateway"]')
    assert dict(reply.headers) == {b"content-type": b"application/json", b"retry-after": b"2"}


def test_a_stream_s_error_is_no_stream() -> None:
    engine = streaming()
    effects, reply = carried(engine, fault_of(ErrorAnswer(500)), streams=True)
    assert (effects, engine.log, reply.status) == ([], [], 500)


@pytest.mark.parametrize(
    ("seconds", "headers"),
    [
        (None, ()),
        (0, (("retry-after", "0"),)),
        (3.0, (("retry-after", "3"),)),
        (0.25, (("retry-after", "1"), ("retry-after-ms", "250"))),
        (1.5, (("retry-after", "2"), ("retry-after-ms", "1500"))),
    ],
)
def test_when_to_come_again_is_told_in_whole_seconds_and_where_needed_in_milliseconds(
    seconds: float | None, headers: tuple[tuple[str, str], ...]
) -> None:
    assert retry_headers(seconds) == headers


@pytest.mark.parametrize(
    ("status", "name"),
    [
        (408, "TIMEOUT"),
        (429, "TOO_MANY_REQUESTS"),
        (503, "SERVICE_UNAVAILABLE"),
        (418, "BAD_REQUEST"),
        (499, "CLIENT_CLOSED_REQUEST"),
        (599, "INTERNAL_SERVER_ERROR"),
        (505, "INTERNAL_SERVER_ERROR"),
    ],
)
def test_a_status_has_the_code_of_the_api_or_of_its_class(status: int, name: str) -> None:
    assert code(status) == name


def test_codes_are_the_api_s() -> None:
    for error_class in ApiError.__subclasses__():
        if getattr(error_class, "status", None) in CODES and "code" in vars(error_class):
            known = {CODES[error_class.status], "PARSE_ERROR"}
            assert error_class.code in known


# Disconnects


def test_a_disconnect_asks_no_engine() -> None:
    for engine in (plain(), streaming()):
        effects, reply = carried(engine, at("p", Disconnect()))
        assert effects == [Break()]
        assert engine.log == []
        assert reply == Reply(0, b"", (), "disconnect (fault p)")


@pytest.mark.parametrize("events", range(5))
def test_a_stream_breaks_after_so_many_events(events: int) -> None:
    expected = [*map(Piece, EVENTS[:events]), Break()]
    assert streamed(fault_of(Disconnect(after_events=events))) == expected


def test_a_stream_with_fewer_events_breaks_before_it_is_done() -> None:
    expected = [*map(Piece, EVENTS[:4]), Break()]
    assert streamed(fault_of(Disconnect(after_events=100))) == expected


def test_a_stream_that_never_says_done_breaks_where_it_ends() -> None:
    expected = [*map(Piece, WORDS), Break()]
    assert streamed(fault_of(Disconnect(after_events=100)), events=WORDS) == expected


def test_a_stream_that_breaks_keeps_its_pace_until_then() -> None:
    effects = (Begin(200, STREAM), Wait(1), Piece(b"1"), Wait(2), Piece(b"2"), Wait(3), Piece(b"3"))
    engine = Engine(*effects, reply=Reply(200, b""))
    assert carried(engine, fault_of(Disconnect(after_events=2)), streams=True)[0] == [
        *effects[:6],
        Break(),
    ]


WHOLE = Begin(200, (*JSON_HEADERS, (b"content-length", b"%d" % len(ANSWER))))


@pytest.mark.parametrize(
    ("count", "pieces"),
    [(0, []), (1, [b"{"]), (30, [ANSWER[:30]]), (len(ANSWER), [ANSWER]), (9999, [ANSWER])],
)
def test_a_plain_answer_breaks_after_so_many_bytes_of_those_that_it_promised(
    count: int, pieces: list[bytes]
) -> None:
    engine = plain()
    effects, reply = carried(engine, fault_of(Disconnect(after_bytes=count)))
    assert effects == [WHOLE, *map(Piece, pieces), Break()]
    assert (reply.status, reply.body) == (200, b"")
    assert engine.log == ["begun", "ended"]


@pytest.mark.parametrize("count", [0, 1, len(OPENING), len(OPENING) + 1, 9999])
def test_a_stream_breaks_after_so_many_bytes(count: int) -> None:
    effects = streamed(fault_of(Disconnect(after_bytes=count)))
    assert effects[-1] == Break()
    assert all(isinstance(effect, Piece) for effect in effects[:-1])
    assert sent(effects) == b"".join(EVENTS)[:count]


def test_an_error_may_break_in_the_middle_too() -> None:
    fault = fault_of(ErrorAnswer(500, body=b"0123456789"), Disconnect(after_bytes=4))
    effects, reply = carried(plain(), fault)
    assert effects == [
        Begin(500, (*JSON_HEADERS, (b"content-length", b"10"))),
        Piece(b"0123"),
        Break(),
    ]
    assert reply.status == 500


# Broken bodies


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=5,
    )
)
def test_what_is_malformed_is_never_json(value: Json) -> None:
    body = answered(fault_of(Malformed()), plain(body=json.dumps(value).encode())).body
    with pytest.raises(ValueError, match=r"line 1 column"):
        json.loads(body)


def test_a_malformed_answer_is_the_right_one_but_for_a_bracket() -> None:
    reply = answered(fault_of(Malformed()))
    assert (reply.status, reply.body, reply.headers) == (200, b"{" + ANSWER, JSON_HEADERS)
    assert reply.notes == ("a note",)


def test_the_first_event_of_a_stream_is_malformed() -> None:
    broken = Piece(EVENTS[0].replace(b"data: {", b"data: {{"))
    assert streamed(fault_of(Malformed())) == [broken, *map(Piece, EVENTS[1:])]


def test_a_stream_without_a_chunk_is_malformed_where_it_is_done() -> None:
    assert streamed(fault_of(Malformed()), events=[DONE]) == [Piece(b"data: {[DONE]\n\n")]
    assert streamed(fault_of(Malformed()), events=[]) == []


@pytest.mark.parametrize(("body", "half"), [(ANSWER, ANSWER[:19]), (b"12345", b"12"), (b"", b"")])
def test_a_truncated_answer_is_the_first_half_of_it(body: bytes, half: bytes) -> None:
    assert answered(fault_of(Truncated()), plain(body=body)).body == half


@pytest.mark.parametrize(("events", "kept"), [(5, 2), (4, 2), (1, 0), (0, 0)])
def test_a_truncated_stream_ends_after_half_of_its_events(events: int, kept: int) -> None:
    assert streamed(fault_of(Truncated()), events=EVENTS[:events]) == [*map(Piece, EVENTS[:kept])]


def test_a_truncated_stream_keeps_its_pace_and_asks_what_it_has_to() -> None:
    effects = (Begin(200, STREAM), Wait(1), Piece(b"1"), Now(), Wait(2), Piece(b"2"))
    engine = Engine(*effects, reply=Reply(200, b""))
    assert carried(engine, fault_of(Truncated()), streams=True)[0] == [
        Begin(200, STREAM),
        Now(),
        Wait(1),
        Piece(b"1"),
    ]
    assert 17.0 in engine.log


def test_an_empty_answer_keeps_all_but_its_body() -> None:
    reply = answered(fault_of(Empty()))
    assert (reply.status, reply.body, reply.headers) == (200, b"", JSON_HEADERS)


def test_an_empty_stream_begins_and_has_no_event() -> None:
    assert streamed(fault_of(Empty())) == []


def test_another_content_type_changes_nothing_else() -> None:
    reply = answered(fault_of(ContentType("text/html")))
    assert (reply.status, reply.body, reply.headers) == (200, ANSWER, ((b"content-type", b"text/html"),))


def test_a_stream_may_have_another_content_type() -> None:
    effects, reply = carried(streaming(), fault_of(ContentType("text/plain")), streams=True)
    headers = ((b"content-type", b"text/plain"), (b"cache-control", b"no-cache"))
    assert effects == [Begin(200, headers), *map(Piece, EVENTS)]
    assert reply.headers == headers


@pytest.mark.parametrize(
    ("fault", "body"),
    [
        (fault_of(Malformed()), b'{{"code":1}'),
        (fault_of(Truncated()), b'{"cod'),
        (fault_of(Empty()), b""),
        (fault_of(ContentType("a/b")), b'{"code":1}'),
        (Fault(delay=1), b'{"code":1}'),
    ],
)
@pytest.mark.parametrize("streams", [False, True])
def test_an_error_of_the_engine_is_spoiled_like_any_answer(fault: Fault, body: bytes, streams: bool) -> None:
    _, reply = carried(plain(status=400, body=b'{"code":1}'), fault, streams=streams)
    assert (reply.status, reply.body) == (400, body)


# Raw bodies


def test_a_raw_body_is_the_answer_whatever_was_asked() -> None:
    engine = plain(status=400)
    effects, reply = carried(engine, at("p", Raw(b'{"score": 7}')))
    assert (effects, engine.log) == ([], [])
    assert reply == Reply(200, b'{"score": 7}', JSON_HEADERS, "raw body (fault p)")


def test_a_raw_text_of_events_is_a_whole_stream() -> None:
    fault = parse_fault({"raw": "data: {}\n\n", "content_type": "text/event-stream"}, place="")
    effects, _ = carried(streaming(), fault, streams=True)
    assert effects == [Begin(200, (STREAM_TYPE, (b"cache-control", b"no-cache"))), Piece(b"data: {}\n\n")]
    assert carried(plain(), fault)[1].body == b"data: {}\n\n"


STREAM_TYPE = (b"content-type", b"text/event-stream")


def test_the_headers_of_a_fault_are_sent_and_told() -> None:
    fault = parse_fault({"headers": {"X-A": 1, "x-b": "b"}, "status": 429, "retry_after": DATE}, place="/f")
    sent = dict(carried(plain(), fault)[1].headers)
    assert (sent[b"x-a"], sent[b"x-b"], sent[b"retry-after"]) == (b"1", b"b", DATE.encode())
    assert fault.describe() == "status 429, headers x-a and x-b (fault /f)"


DATE = "Wed, 21 Oct 2026 07:28:00 GMT"


def test_an_empty_raw_body_is_one_too() -> None:
    assert carried(plain(), fault_of(Raw(b"")))[1].body == b""


def test_a_raw_body_is_a_stream_s_only_event() -> None:
    engine = streaming()
    effects, reply = carried(engine, fault_of(Raw(b'{"a":\n 1}')), streams=True)
    begun, *pieces = effects
    assert begun == Begin(200, STREAM_HEADERS)
    assert pieces == [Piece(b'data: {"a":\ndata:  1}\n\n'), Piece(DONE)]
    assert (reply.status, reply.body, engine.log) == (200, b"", [])


# Streams alone


@pytest.mark.parametrize(("after", "events"), [(0, 0), (2, 2), (100, 4)])
def test_an_error_event_ends_a_stream_which_is_never_done(after: int, events: int) -> None:
    *passed, last = streamed(fault_of(ErrorEvent("Out of breath.", after_events=after)))
    assert passed == [*map(Piece, EVENTS[:events])]
    assert isinstance(last, Piece)
    told, end = last.data.removeprefix(b"data: "), last.data[-2:]
    assert json.loads(told) == {
        "error": {"message": "Out of breath.", "code": "INTERNAL_SERVER_ERROR", "type": "server_error"}
    }
    assert (end, last.data.count(b"\n")) == (b"\n\n", 2)


def test_an_error_event_always_says_something() -> None:
    [event] = streamed(fault_of(ErrorEvent("")))
    assert b'"message":"The stream failed on purpose."' in sent([event])


def test_an_endless_stream_repeats_its_content_up_to_the_bound_and_then_ends_as_it_should() -> None:
    effects = streamed(fault_of(Endless()), pace=Pace(most_events=8))
    expected = [OPENING, *WORDS, *WORDS, *WORDS, WORDS[0], ENDING, DONE]
    assert effects == [*map(Piece, expected)]


def test_an_endless_stream_that_is_long_already_goes_out_as_it_is() -> None:
    assert streamed(fault_of(Endless()), pace=Pace(most_events=2)) == [*map(Piece, EVENTS)]


def test_an_endless_stream_keeps_its_pace() -> None:
    effects = streamed(fault_of(Endless()), pace=Pace(tokens_per_second=4, most_events=5))
    assert effects == [
        *map(Piece, EVENTS[:3]),
        Wait(0.25),
        Piece(WORDS[0]),
        Wait(0.25),
        Piece(WORDS[1]),
        *map(Piece, EVENTS[3:]),
    ]


def test_an_endless_stream_of_no_content_says_something() -> None:
    effects = streamed(fault_of(Endless()), pace=Pace(most_events=3), events=[OPENING, ENDING, DONE])
    more = json.loads(OPENING[6:])
    more["choices"][0]["delta"] = {"content": " and on"}
    _, *again, ending, done = (effect for effect in effects if isinstance(effect, Piece))
    assert [json.loads(piece.data[6:]) for piece in again] == [more, more]
    assert (ending, done) == (Piece(ENDING), Piece(DONE))


@pytest.mark.parametrize(
    "data",
    [b"data: nonsense\n\n", b"data: 1\n\n", b'data: {"choices":7}\n\n', b'data: {"choices":[1, {}]}\n\n'],
)
def test_an_endless_stream_may_be_one_of_another_form(data: bytes) -> None:
    effects = streamed(fault_of(Endless()), pace=Pace(most_events=4), events=[data, DONE])
    assert effects == [Piece(data)] * 4 + [Piece(DONE)]
    assert streamed(fault_of(Endless()), pace=Pace(most_events=3), events=[data]) == [Piece(data)] * 3


def test_an_endless_stream_without_an_event_ends() -> None:
    assert streamed(fault_of(Endless()), events=[DONE]) == [Piece(DONE)]


@pytest.mark.parametrize(
    "fault",
    [fault_of(ErrorEvent("x")), fault_of(Endless()), fault_of(Disconnect(after_events=1))],
)
def test_what_only_a_stream_can_have_leaves_other_answers_as_they_are(fault: Fault) -> None:
    engine = plain()
    effects, reply = carried(engine, fault)
    assert (effects, reply.status, reply.body) == ([], 200, ANSWER)
    assert reply.subject == f"helpful@v1 0.5, {fault.describe()}, which a stream alone can have"


# Drips


def test_a_plain_answer_drips() -> None:
    effects, reply = carried(plain(body=b"0123456"), fault_of(Drip(size=3, seconds=0.5)))
    assert effects == [
        Begin(200, (*JSON_HEADERS, (b"content-length", b"7"))),
        Piece(b"012"),
        Wait(0.5),
        Piece(b"345"),
        Wait(0.5),
        Piece(b"6"),
    ]
    assert (reply.status, reply.body, reply.notes) == (200, b"", ("a note",))


def test_a_stream_drips() -> None:
    effects = streamed(fault_of(Drip(size=2, seconds=1)), events=[b"abc", b"d"])
    assert effects == [Piece(b"ab"), Wait(1), Piece(b"c"), Wait(1), Piece(b"d")]


def test_an_empty_body_drips_nothing() -> None:
    effects, _ = carried(plain(), fault_of(Empty(), Drip()))
    assert effects == [Begin(200, (*JSON_HEADERS, (b"content-length", b"0")))]


DROPS = Drip(size=5, seconds=1)
SPOILED: list[tuple[tuple[FaultKind, ...], int, str, bytes]] = [
    ((ErrorAnswer(500, body=b"an error's body"),), 500, "application/json", b"an error's body"),
    ((Raw(b"some raw body"),), 200, "application/json", b"some raw body"),
    ((Malformed(),), 200, "application/json", b"{" + ANSWER),
    ((Truncated(),), 200, "application/json", ANSWER[:19]),
    ((Truncated(), ContentType("text/html")), 200, "text/html", ANSWER[:19]),
]


@pytest.mark.parametrize(("kinds", "status", "media_type", "body"), SPOILED)
def test_whatever_is_answered_can_drip(
    kinds: Sequence[FaultKind], status: int, media_type: str, body: bytes
) -> None:
    (begun, *effects), reply = carried(plain(), fault_of(*kinds, DROPS))
    assert isinstance(begun, Begin)
    assert (begun.status, reply.status) == (status, status)
    assert dict(begun.headers)[b"content-length"] == b"%d" % len(body)
    assert dict(begun.headers)[b"content-type"] == media_type.encode()
    assert sent(effects) == body
    assert effects[1::2] == [Wait(1)] * (len(effects) // 2)
    assert [len(effect.data) for effect in effects[:-1] if isinstance(effect, Piece)] == (
        [5] * (len(effects) // 2)
    )


@pytest.mark.parametrize("broken", [Disconnect(after_bytes=12), Disconnect(after_events=1)])
def test_a_stream_drips_until_it_breaks(broken: Disconnect) -> None:
    whole = streamed(fault_of(broken))
    effects = streamed(fault_of(broken, DROPS))
    assert (sent(effects), effects[-1]) == (sent(whole), Break())
    assert effects.count(Break()) == 1
    assert effects[1] == Wait(1)


def test_nothing_drips_of_a_connection_that_breaks_at_once() -> None:
    engine = plain()
    effects, reply = carried(engine, fault_of(Disconnect(), DROPS))
    assert (effects, engine.log, reply.status) == ([Break()], [], 0)


def test_an_endless_stream_drips_too() -> None:
    whole = streamed(fault_of(Endless()))
    assert sent(streamed(fault_of(Endless(), DROPS))) == sent(whole)


# Clients that leave

EVERY = [
    Fault(),
    fault_of(Malformed()),
    fault_of(Truncated()),
    fault_of(ContentType("a/b")),
    fault_of(Endless()),
    fault_of(ErrorEvent("x", after_events=2)),
    fault_of(Disconnect(after_events=2)),
    fault_of(Disconnect(after_bytes=200)),
    fault_of(Drip()),
    fault_of(Endless(), ContentType("a/b"), Disconnect(after_bytes=500), Drip()),
]


@pytest.mark.parametrize("fault", EVERY)
@pytest.mark.parametrize("steps", range(1, 5))
def test_a_client_that_leaves_ends_the_engine_too(fault: Fault, steps: int) -> None:
    engine = streaming(Now())
    exchange = with_fault(engine.exchange, fault, context(fault))
    next(exchange)
    for _ in range(steps - 1):
        exchange.send(None)
    exchange.close()
    assert engine.log[-1] == "ended"
    assert engine.log.count("ended") == 1


@pytest.mark.parametrize("fault", EVERY)
def test_a_crash_of_the_engine_comes_through(fault: Fault) -> None:
    def crashing() -> Effects:
        yield Now()
        raise ZeroDivisionError

    exchange = with_fault(crashing(), fault, context(fault))
    assert next(exchange) == Now()
    with pytest.raises(ZeroDivisionError):
        exchange.send(17.0)


# The header


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("malformed", fault_of(Malformed())),
        ("truncated", fault_of(Truncated())),
        ("empty", fault_of(Empty())),
        ("disconnect", fault_of(Disconnect())),
        ("disconnect-after-0", fault_of(Disconnect(after_events=0))),
        ("disconnect-after-12", fault_of(Disconnect(after_events=12))),
        ("endless", fault_of(Endless())),
        ("drip", fault_of(Drip())),
        ("content-type", fault_of(ContentType("text/html"))),
        ("500", fault_of(ErrorAnswer(500))),
        ("400", fault_of(ErrorAnswer(400))),
        ("599", fault_of(ErrorAnswer(599))),
        ("429", fault_of(ErrorAnswer(429, retry_after=1))),
        (" 503 ", fault_of(ErrorAnswer(503, retry_after=1))),
        ("Malformed", fault_of(Malformed())),
    ],
)
def test_the_header_asks_for_a_fault(name: str, fault: Fault) -> None:
    place = "header x-mock-fault"
    assert header_fault(name) == replace(fault, place=place, counter=place)


def test_the_header_asks_for_an_error_event() -> None:
    assert header_fault("error-event").describe() == "error event (fault header x-mock-fault)"


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("", ""),
        ("200", ""),
        ("600", ""),
        ("5\u0660\u0660", ""),
        ("malformd", ' Did you mean "malformed"?'),
        ("disconnect-after-x", ' Did you mean "disconnect-after-N"?'),
        ("disconnect-after-1234567", ' Did you mean "disconnect-after-N"?'),
        ("dripp", ' Did you mean "drip"?'),
    ],
)
def test_a_value_that_is_no_fault_is_refused_with_those_that_are(name: str, near: str) -> None:
    with pytest.raises(BadRequest) as caught:
        header_fault(name)
    [issue] = caught.value.issues
    assert issue == (
        'header x-mock-fault: expected "malformed", "truncated", "empty", "content-type", "disconnect", '
        '"drip", "timeout", "error-event", "endless", "disconnect-after-N" (events) or a status from '
        "400 to 599, "
        f'got "{name}".{near}'
    )


def test_a_fault_of_the_header_can_be_due_like_any() -> None:
    for name in ("drip", "503"):
        fault = header_fault(name)
        assert select([fault], subject(), Counts(), Sampler(0, b""), streams=False) == Selection(fault)


# In a service


def test_a_page_is_sent_with_its_status_and_type() -> None:
    page = {"status": 502, "content_type": "text/html", "body": "<h1>Bad gateway</h1>"}
    service = Service(configfile.settings({"faults": [page]}))
    reply = answer(service, MINIMAL)
    assert (reply.status, reply.body) == (502, b"<h1>Bad gateway</h1>")
    assert dict(reply.headers)[b"content-type"] == b"text/html"


def test_the_line_of_an_error_that_a_fault_spoils_is_one_sentence() -> None:
    service = Service(configfile.settings({"faults": [{"empty": True}]}))
    subject = answer(service, {"criterion_id": 5}).subject
    assert "., " not in subject
    assert subject.endswith(", empty body (fault /faults/0)")


# A kind more


class Shouting(FaultKind):
    """Says everything in capitals. A kind as somebody might add it."""

    __slots__ = ()
    key, words = "shouting", "capitals"

    def plain(self, body: bytes) -> bytes:
        return body.upper()

    def stream(self, begun: Begin, rest: Effects, context: Context) -> Effects:
        while isinstance(sent := (yield from next_sent(rest)), Piece):
            yield Piece(sent.data.upper())
        assert isinstance(sent, Reply)
        return sent


@pytest.fixture
def shouting(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Add the kind to the table and its key to the schema, which is all that a new one needs in code."""
    schema = copy.deepcopy(configfile.schema())
    schema["$defs"]["fault"]["properties"]["shouting"] = {"type": "boolean", "const": True}
    schema["$defs"]["fault"]["anyOf"].append({"required": ["shouting"]})
    monkeypatch.setattr(faultmodule, "FAULT_KINDS", (*FAULT_KINDS, Shouting))
    monkeypatch.setattr(configfile, "schema", lambda: schema)
    for cached in (configfile.part_schema, configfile.shape_validator):
        cached.cache_clear()
    yield
    for cached in (configfile.part_schema, configfile.shape_validator):
        cached.cache_clear()


@pytest.mark.usefixtures("shouting")
def test_a_new_kind_is_read_applied_and_told_of_by_its_class_alone() -> None:
    file = configfile.read_config(
        b"faults: [{when: {endpoint: judge}, shouting: true, drip: {bytes: 99999}}]"
    )
    service = Service(file)
    usual, shouted = answer(Service(), MINIMAL), answer(service, MINIMAL)
    assert shouted.body == usual.body.upper()
    assert shouted.subject.endswith(", drip of 99999 bytes, capitals (fault /faults/0)")
    assert service.sessions.default.journal.entries[-1].faults == [
        "drip of 99999 bytes, capitals (fault /faults/0)"
    ]


@pytest.mark.usefixtures("shouting")
def test_a_new_kind_is_a_keyword_of_the_mock() -> None:
    mock = Mock(Service())
    options: Json = {"shouting": True}
    mock.fault(**options)
    body = asking(stream=True)
    assert answer(mock.service, body, path=CHAT).body == answer(Service(), body, path=CHAT).body.upper()


def test_each_kind_is_in_the_schema_under_its_key() -> None:
    parts = configfile.schema()["$defs"]["fault"]
    keys = {kind.key for kind in FAULT_KINDS}
    assert {"delay_ms", *keys} == {name for part in parts["anyOf"] for name in part["required"]}
