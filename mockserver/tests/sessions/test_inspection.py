"""The journal read: which exchanges are meant, how they look, why rules didn't fire."""

import json
from collections.abc import Mapping
from math import fsum
from typing import Any

import pytest

from openpipe_mock.config import file as configfile
from openpipe_mock.config.settings import Settings
from openpipe_mock.core.effects import Head
from openpipe_mock.matching.conditions import When
from openpipe_mock.sessions.diagnosis import Expectation, detail, unmatched, verify
from openpipe_mock.sessions.inspection import JournalFilter, readable_body, stream_events
from openpipe_mock.sessions.journal import Entry
from openpipe_mock.testing.virtual import VirtualClock, carry_out
from tests.controlling import CHAT, Mock
from tests.inprocess import HEADERS

Json = Any


def mocking(**members: Any) -> Mock:
    """A mock whose config file says this."""
    return Mock(configfile.settings(members))


def last(mock: Mock) -> Json:
    """The newest exchange in detail."""
    return detail(mock.service.sessions.default.journal.entries[-1])


def why(mock: Mock) -> list[Json]:
    found: list[Json] = last(mock).get("unmatched", [])
    return found


SCRIPTS: list[Json] = [
    {"name": "weather", "when": {"last_user": {"contains": "weather"}}, "text": "Sunny."},
    {"when": {"model": "openai:*", "last_user": "Hello"}, "text": "Hi."},
]


# How they look


def test_the_detail_of_a_judge_request() -> None:
    mock = mocking(criteria={"helpful": {"score": 0.5}})
    mock.judge("helpful", "x")
    shown = last(mock)
    assert shown["request"]["body"] == {
        "criterion_id": "helpful",
        "output": {"role": "assistant", "content": "x"},
    }
    assert shown["request"]["headers"] == {"authorization": "***", "content-type": "application/json"}
    assert shown["answer"]["body"]["score"] == 0.5
    assert (shown["criteria"], shown["scores"], shown["valid"]) == (["helpful@v1"], [{"helpful": 0.5}], True)
    assert "unmatched" not in shown


def test_a_stream_is_shown_by_its_events() -> None:
    mock = Mock()
    mock.chat("x", stream=True)
    shown = last(mock)["answer"]
    assert shown["events"][-1] == "[DONE]"
    assert all(event["object"] == "chat.completion.chunk" for event in shown["events"][:-1])


def test_each_event_of_a_stream_has_the_time_at_which_it_was_sent() -> None:
    mock = mocking(stream={"first_token_ms": 500, "tokens_per_second": 4})
    body = {"model": "m", "max_tokens": 2, "messages": [{"role": "user", "content": "x"}], "stream": True}
    exchange = mock.service.exchange(Head("POST", CHAT, HEADERS, at=7.0))
    list(carry_out(exchange, json.dumps(body).encode(), VirtualClock(7.0)).pieces())
    shown = last(mock)["answer"]
    assert len(shown["events"]) > 3
    assert shown["events_ms"] == [500.0 + 250 * number for number, _ in enumerate(shown["events"])]
    assert shown["headers"]["content-type"] == "text/event-stream; charset=utf-8"


def test_the_ranking_says_where_each_choice_was_made_and_why_it_stands_there() -> None:
    mock = Mock()
    body = {"model": "openpipe:m", "n": 4, "messages": [{"role": "user", "content": "Hello"}]}
    mock.send(CHAT, body, headers={**HEADERS, b"op-criteria": b'["helpful", "brief"]'})
    shown = last(mock)
    ranking, scores = shown["ranking"], shown["scores"]
    means = [fsum(scores[each["made"]].values()) / 2 for each in ranking]
    assert [each["mean"] for each in ranking] == means == sorted(means, reverse=True)
    answered = [choice["criteria_results"] for choice in shown["answer"]["body"]["choices"]]
    for choice, each in zip(answered, ranking, strict=True):
        assert {name: result["score"] for name, result in choice.items()} == scores[each["made"]]
    assert [each["made"] for each in ranking] != sorted(each["made"] for each in ranking)


def test_what_is_no_json_is_shown_as_text() -> None:
    assert [readable_body(b"\xff{"), readable_body(b""), readable_body(b"[1]")] == [
        "\N{REPLACEMENT CHARACTER}{",
        None,
        [1],
    ]
    assert readable_body(b"[" * 300 + b"]" * 300) == "[" * 300 + "]" * 300
    assert stream_events(b'data: {"a": 1}\n\nevent: x\ndata: y\n\n: z\n\n') == [{"a": 1}, "y"]


@pytest.mark.parametrize("validation", ["strict", "exact", "lenient"])
def test_the_journal_says_what_strict_refuses_in_every_mode(validation: Any) -> None:
    mock = Mock(Settings(validation=validation))
    mock.send("/api/v1/criteria/judge", {"criterion_id": "x", "output": {"role": "assistant"}, "extra": 1})
    shown = last(mock)
    assert shown["valid"] is False
    assert shown["violations"][0].startswith("/extra: ")


# Which are meant


@pytest.mark.parametrize(
    ("asked", "wanted", "meant"),
    [
        ("helpful@v2", "helpful", True),
        ("helpful@v2", "helpful@v2", True),
        ("helpful@v2", "helpful@v1", False),
        ("helpful", "helpful@v3", True),
        ("helpful", "helpful@v1", False),
        ("other", "other@v1", True),
        ("helpful2", "helpful", False),
    ],
)
def test_a_criterion_is_meant_with_and_without_its_version(asked: str, wanted: str, meant: bool) -> None:
    settings = configfile.settings({"criteria": {"helpful": {"v1": {"score": 1}, "v3": {"score": 1}}}})
    entry = Entry(1, "default", "POST", "/", {}, settings, criteria=(asked,))
    assert JournalFilter(criterion=wanted).holds(entry) is meant


def test_a_broken_connection_has_the_status_0() -> None:
    entry = Entry(1, "default", "POST", "/", {}, Settings())
    assert JournalFilter(status="0").holds(entry)
    assert not JournalFilter(status="5xx").holds(entry)
    assert detail(entry)["status"] is None


# Why rules didn't fire


def test_scripts_that_did_not_fire_say_what_failed() -> None:
    mock = mocking(completions=SCRIPTS)
    mock.chat("Hello")
    assert why(mock) == [
        {
            "kind": "script",
            "place": "/completions/0",
            "name": "weather",
            "reason": 'last_user: expected a text that contains "weather", saw "Hello"',
            "condition": "last_user",
            "expected": 'contains "weather"',
            "seen": '"Hello"',
        },
        {
            "kind": "script",
            "place": "/completions/1",
            "name": None,
            "reason": 'model: expected a text that fits the glob "openai:*", saw "openpipe:m"',
            "condition": "model",
            "expected": 'fits the glob "openai:*"',
            "seen": '"openpipe:m"',
        },
    ]


def test_a_script_that_fired_leaves_nothing_to_explain() -> None:
    mock = mocking(completions=SCRIPTS)
    mock.chat("weather")
    assert last(mock)["rules"] == ["/completions/0 (weather)"]
    assert why(mock) == []


def test_a_script_that_calls_tools_does_not_fire_on_a_tools_result() -> None:
    mock = mocking(completions=[{"tool_calls": [{"name": "f", "arguments": {}}]}])
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    messages = [
        {"role": "user", "content": "go"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": "done"},
    ]
    mock.send(CHAT, {"model": "openpipe:m", "messages": messages})
    [missed] = why(mock)
    assert "tool's result" in missed["reason"]


def test_a_script_that_was_passed_over_says_so_beside_the_one_that_fired() -> None:
    mock = mocking(completions=[{"tool_calls": [{"name": "f", "arguments": {}}]}, {"text": "x"}])
    stray = {"role": "tool", "tool_call_id": "c", "content": "done"}
    mock.send(CHAT, {"model": "openpipe:m", "messages": [{"role": "user", "content": "go"}, stray]})
    assert last(mock)["rules"] == ["/completions/1"]
    [missed] = why(mock)
    assert (missed["place"], missed["kind"]) == ("/completions/0", "script")
    assert 'it calls "f"' in missed["reason"]


def test_a_refused_request_says_that_no_script_was_asked() -> None:
    mock = mocking(completions=[{"text": "x"}])
    mock.send(CHAT, {"model": "openpipe:m", "messages": []}, headers={})
    assert (
        why(mock)[0]["reason"] == "all its conditions hold; the request was answered 401 before it was asked"
    )


def test_a_request_that_a_fault_struck_says_so_of_its_scripts() -> None:
    mock = mocking(completions=[{"text": "x"}], faults=[{"status": 500}])
    mock.chat()
    assert [(each["kind"], each["reason"]) for each in why(mock)] == [
        ("script", "all its conditions hold; a fault struck before it was asked")
    ]


def test_a_script_that_fired_on_what_the_journal_masks_is_not_said_to_have_failed() -> None:
    mock = mocking(completions=[{"when": {"last_user": {"contains": "sk-abcdefgh"}}, "text": "x"}])
    mock.chat("my key: sk-abcdefgh")
    assert last(mock)["request"]["body"]["messages"][0]["content"] == "my key: ***"
    assert why(mock) == []


def test_a_script_that_fits_only_what_the_journal_masked_says_so() -> None:
    mock = mocking(completions=[{"when": {"last_user": "***"}, "text": "x"}])
    mock.chat("sk-abcdefgh")
    assert "a text that the journal has masked since" in why(mock)[0]["reason"]


RULES: Json = {
    "rules": [
        {"when": {"output": {"contains": "sorry"}}, "score": 0},
        {"when": {"input": {"last_user": "Hello"}, "output": "no"}, "score": 1},
    ]
}


def test_the_rules_of_a_criterion_that_decided_nothing() -> None:
    mock = mocking(criteria={"polite": {"v1": {"score": 1}, "v2": RULES}})
    mock.judge("polite", "fine")
    assert [(each["kind"], each["place"], each["criterion"]) for each in why(mock)] == [
        ("rule", "/criteria/polite/v2/rules/0", "polite@v2"),
        ("rule", "/criteria/polite/v2/rules/1", "polite@v2"),
    ]
    assert why(mock)[0]["seen"] == '"fine"'


def test_rules_of_which_one_decided_need_no_explanation() -> None:
    mock = mocking(criteria={"polite": RULES})
    mock.judge("polite", "so sorry")
    assert why(mock) == []


@pytest.mark.parametrize(
    "form",
    [
        {"sequence": [RULES]},
        {"by_output": {"x": 1}, "otherwise": RULES},
        {"rules": [{"when": {"output": "fine"}, **RULES}]},
    ],
)
def test_rules_further_down_are_found_too(form: Json) -> None:
    mock = mocking(criteria={"polite": form})
    mock.judge("polite", "fine")
    places = [each["place"] for each in why(mock) if each["kind"] == "rule"]
    assert len(places) == 2
    assert all(place.count("/") > 3 for place in places)


def test_each_choice_of_a_chat_is_held_against_the_rules() -> None:
    choices = ["fine", "so sorry"]
    mock = mocking(criteria={"polite": RULES}, completions=[{"choices": choices}])
    mock.send(
        CHAT,
        {"model": "openpipe:m", "n": 2, "messages": [{"role": "user", "content": "Bye"}]},
        headers={**HEADERS, b"op-criteria": b'["polite"]'},
    )
    answered = [each["message"]["content"] for each in last(mock)["answer"]["body"]["choices"]]
    missed = why(mock)
    assert {each["choice"] for each in missed} == {answered.index("fine")}
    assert len(missed) == 2


def test_faults_that_did_not_strike_say_why() -> None:
    mock = mocking(
        faults=[
            {"when": {"endpoint": "chat"}, "status": 500},
            {"name": "later", "when": {"endpoint": "judge"}, "call": 3, "status": 500},
        ]
    )
    mock.judge()
    first, second = why(mock)
    assert (first["kind"], first["condition"], first["seen"]) == ("fault", "endpoint", '"judge"')
    assert (second["name"], "its turn" in second["reason"]) == ("later", True)


def test_a_fault_behind_the_one_that_struck_says_so() -> None:
    mock = mocking(faults=[{"status": 500}, {"status": 503}])
    mock.judge()
    [missed] = why(mock)
    assert (missed["place"], "earlier fault" in missed["reason"]) == ("/faults/1", True)


def test_a_path_that_is_not_served_was_held_against_nothing() -> None:
    mock = mocking(completions=SCRIPTS, faults=[{"status": 500}])
    mock.send("/api/v1/nothing", {})
    assert why(mock) == []


@pytest.mark.parametrize("endpoint", ["chat", "judge", "report", "models"])
@pytest.mark.parametrize("answer", [b"", b"{", b'{"choices": 1}', b'{"choices": [1, {"message": 2}]}'])
@pytest.mark.parametrize("body", [None, b"", b"{", b"[]", b'{"messages": 3, "input": 4, "criterion_id": []}'])
def test_nothing_that_was_kept_makes_it_fail(endpoint: str, answer: bytes, body: bytes | None) -> None:
    settings = configfile.settings(
        {
            "completions": SCRIPTS,
            "criteria": {"polite": RULES},
            "faults": [{"when": {"model": "x"}, "status": 500}],
        }
    )
    entry = Entry(1, "default", "POST", "/", {}, settings, endpoint=endpoint, body=body, answer=answer)
    entry.criteria = ("polite", "polite@v9", "\x00", "gone@v1")
    assert [each["kind"] for each in unmatched(entry)].count("fault") == 1
    assert json.dumps(detail(entry))


# Verify


def entries(*bodies: Mapping[str, Json]) -> list[Entry]:
    return [
        Entry(
            number, "default", "POST", CHAT, {}, Settings(), endpoint="chat", body=json.dumps(body).encode()
        )
        for number, body in enumerate(bodies, 1)
    ]


@pytest.mark.parametrize(
    ("comparison", "number", "count", "ok"),
    [
        ("exactly", 1, 1, True),
        ("exactly", 1, 2, False),
        ("exactly", 2, 1, False),
        ("at_least", 1, 2, True),
        ("at_least", 2, 1, False),
        ("at_most", 1, 1, True),
        ("at_most", 0, 1, False),
    ],
)
def test_verify_compares(comparison: str, number: int, count: int, ok: bool) -> None:
    said = verify(entries(*[{}] * count), When(), Expectation(comparison, number))
    assert (said["ok"], said["count"]) == (ok, count)
    assert len(said["matched"]) == (count if not ok and count > number else 0)


def test_at_most_five_near_misses_are_shown_the_nearest_first() -> None:
    when = configfile.parse_when({"model": "m", "last_user": "x"})
    near = {"model": "m"}
    said = verify(entries({}, near, *[{}] * 9), when, Expectation())
    assert said["near_misses"][0]["id"] == "default-2"
    assert [each["held"] for each in said["near_misses"]] == [1, 0, 0, 0, 0]


def test_a_body_that_was_cut_says_that_it_can_not_be_read() -> None:
    [entry] = entries({})
    entry.body, entry.body_left_out = b'{"model": "m', 70_000
    said = verify([entry], configfile.parse_when({"model": "m", "header": {"x": "y"}}), Expectation())
    model, header = said["near_misses"][0]["failed"]
    assert "left out 70000 bytes" in model["seen"]
    assert header["seen"] == "nothing there"
