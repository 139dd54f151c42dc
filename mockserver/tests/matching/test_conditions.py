"""Conditions: what each part of a request reads, how each test decides, and what a failure says it saw."""

import string
import sys
from collections.abc import Mapping
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openpipe_mock.config.file import parse_when
from openpipe_mock.matching import conditions as matching
from openpipe_mock.matching.conditions import (
    ALWAYS,
    HOLDS,
    MOST_READ,
    READERS,
    BadPattern,
    Condition,
    Kind,
    Subject,
    When,
    demand,
    text_of,
)
from tests.chatting import asking, function, tool, user
from tests.generate import anything, broken, thorough, valid
from tests.inprocess import having

Json = Any


def chat(body: Json, **headers: str) -> Subject:
    """A chat request, with headers whose names are written with `_`."""
    sent = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
    return Subject("chat", sent, body)


def judging(body: Json) -> Subject:
    return Subject("judge", {}, body)


def read(subject: Subject, part: str, key: str = "") -> list[str]:
    return READERS[part](subject, key)


def condition(part: str, *demands: tuple[Kind, str], key: str = "") -> Condition:
    return Condition(part, key, tuple(demand(*each) for each in demands))


def said(text: str) -> Condition:
    """That the latest user message holds a text."""
    return condition("last_user", ("contains", text))


# What a text must be.

HOLDING: Mapping[Kind, tuple[tuple[str, str, bool], ...]] = {
    "equals": (
        ("a", "a", True),
        ("", "", True),
        ("a", "A", False),
        ("a", "a ", False),
        ("a", "", False),
        ("é", "e\u0301", False),
        ("a.c", "abc", False),
        ("*", "x", False),
    ),
    "contains": (
        ("a", "bab", True),
        ("", "", True),
        ("", "anything", True),
        ("a", "A", False),
        ("ab", "a b", False),
        (".", "x", False),
        ("😀", "so 😀!", True),
        ("\x00", "a\x00", True),
    ),
    "matches": (
        (r"\d", "no. 1", True),
        (r"\d", "none", False),
        (r"^\d+$", "12", True),
        (r"^\d+$", "12 ", False),
        ("weather", "Weather", False),
        ("(?i)weather", "WEATHER?", True),
        ("", "", True),
        ("^$", "", True),
        ("a.b", "a\nb", False),
        ("(?s)a.b", "a\nb", True),
        ("(?m)^b$", "a\nb", True),
        ("^.$", "😀", True),
        ("\x00", "a\x00b", True),
        (r"\pL+é", "Café", True),
    ),
    "glob": (
        ("openai:*", "openai:gpt-4o", True),
        ("openai:*", "openai:", True),
        ("openai:*", "Openai:x", False),
        ("gpt-4?", "gpt-4o", True),
        ("gpt-4?", "gpt-4", False),
        ("gpt-[34]", "gpt-4", True),
        ("gpt-[!34]", "gpt-4", False),
        ("*", "", True),
        ("*", "a\nb", True),
        ("a.c", "abc", False),
        ("a", "ab", False),
    ),
}


@pytest.mark.parametrize(
    ("kind", "wanted", "text", "holds"),
    [(kind, *each) for kind, cases in HOLDING.items() for each in cases],
)
def test_a_demand_decides_about_a_text(kind: Kind, wanted: str, text: str, holds: bool) -> None:
    assert demand(kind, wanted).holds(text) is holds


def test_each_kind_of_demand_is_carried_out_and_tested() -> None:
    assert set(get_args(Kind)) == set(HOLDS) == set(HOLDING)


@pytest.mark.parametrize("kind", HOLDS)
def test_a_demand_says_what_it_wants(kind: Kind) -> None:
    words = "fits the glob" if kind == "glob" else kind
    assert str(demand(kind, 'the "x"')) == rf'{words} "the \"x\""'


NO_LOOKING = "it has no lookaheads, lookbehinds and backreferences; say it without"
UNKNOWN = "look for an escape or a repetition that it doesn't have"


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("(?=a)", NO_LOOKING),
        ("(?<!a)b", NO_LOOKING),
        ("(?>a)b", NO_LOOKING),
        (r"(a)\1", NO_LOOKING),
        (r"[[\]](a)\k<a>", NO_LOOKING),
        ("[", r'a "[" has no counterpart; add it, or write \[ for the character'),
        (r"[\]", r'a "[" has no counterpart; add it, or write \[ for the character'),
        (r"\(a)", r'a ")" has no counterpart; add it, or write \) for the character'),
        ("([)]", r'a "(" has no counterpart; add it, or write \( for the character'),
        ("*", r'a "*" has nothing to repeat; write \* for the character'),
        ("a|?", r'a "?" has nothing to repeat; write \? for the character'),
        ("a**", r'a "*" has nothing to repeat; write \* for the character'),
        ("(a{1000}){1000}", UNKNOWN),
        ("a*?b{2,1}", UNKNOWN),
        (r"\y", UNKNOWN),
        ("\ud800", "half of a surrogate pair is no character; write the whole one"),
    ],
)
def test_a_pattern_that_re2_does_not_read_is_refused_in_our_words(pattern: str, words: str) -> None:
    with pytest.raises(BadPattern) as caught:
        demand("matches", pattern)
    assert str(caught.value) == words


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("^(a+)+$", "a" * 50_000 + "!"),
        ("(x+x+)+y", "x" * 50_000),
        ("^(a|aa)+$", "a" * 50_000 + "b"),
        ("(.*)(.*)(.*)(.*)(.*)=", "x" * 50_000),
        (r"^(([a-z])+.)+[A-Z]([a-z])+$", "a" * 50_000),
        ("(a|b)*a(a|b){200}c", "ab" * 25_000),
        ("(?:a?){90}a{90}c", "a" * 50_000),
    ],
)
def test_a_pattern_that_would_run_away_elsewhere_comes_to_an_end(pattern: str, text: str) -> None:
    """Python's own `re` would not come back within a lifetime."""
    assert not demand("matches", pattern).holds(text)


def test_a_pattern_reads_a_bounded_part_of_a_text() -> None:
    found = demand("matches", "b$")
    assert found.holds("a" * (MOST_READ - 1) + "b")
    assert not found.holds("a" * MOST_READ + "b")


def test_a_glob_of_many_stars_comes_to_an_end() -> None:
    assert not demand("glob", "*a" * 12 + "b").holds("a" * 2000)


# What each part of a request reads.

BODY: Json = {
    "model": "openai:gpt-4o",
    "messages": [
        {"role": "system", "content": "Be brief."},
        {
            "role": "developer",
            "content": [{"type": "text", "text": "Be "}, {"type": "text", "text": "kind."}],
        },
        {"role": "user", "content": "First."},
        {"role": "assistant", "content": None, "refusal": "No."},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is "},
                {"type": "image_url", "image_url": {"url": "data:,text"}},
                {"type": "text", "text": "this?"},
            ],
        },
        {
            "role": "assistant",
            "content": [{"type": "refusal", "refusal": "I "}, {"type": "text", "text": "can't"}],
        },
        {"role": "tool", "tool_call_id": "1", "content": "21 °C"},
    ],
    "tools": [tool("get_weather"), tool("count")],
    "functions": [function("older")],
    "metadata": {"prompt_id": "counting", "try": "2"},
}
READ: tuple[tuple[str, str, list[str]], ...] = (
    ("model", "", ["openai:gpt-4o"]),
    ("last_user", "", ["What is this?"]),
    ("system", "", ["Be brief.", "Be kind."]),
    ("messages", "system", ["Be brief."]),
    ("messages", "developer", ["Be kind."]),
    ("messages", "user", ["First.", "What is this?"]),
    ("messages", "assistant", ["No.", "I can't"]),
    ("messages", "tool", ["21 °C"]),
    ("messages", "function", []),
    ("tool", "", ["get_weather", "count", "older"]),
    ("header", "x-test", ["slow"]),
    ("header", "X-Test", ["slow"]),
    ("header", "X-TEST", ["slow"]),
    ("header", "x-other", []),
    ("metadata", "prompt_id", ["counting"]),
    ("metadata", "PROMPT_ID", []),
    ("body", "/metadata/prompt_id", ["counting"]),
    ("body", "/tools/0/type", ["function"]),
    ("body", "/tools/99", []),
    ("body", "/nowhere/at/all", []),
    ("last_message", "", [text_of(BODY["messages"][-1])]),
    ("last_result", "", ["21 °C"]),
    ("last_tool", "", []),
    ("endpoint", "", ["chat"]),
    ("criterion", "", ["a@v2", "a", "b"]),
    ("output", "", []),
)


@pytest.mark.parametrize(("part", "key", "texts"), READ)
def test_a_part_of_a_chat_request_reads(part: str, key: str, texts: list[str]) -> None:
    subject = chat(BODY, x_test="slow", op_criteria='["a@v2", "b"]')
    assert read(subject, part, key) == texts


CALLS = [{"id": "call_1", "type": "function", "function": {"name": "count", "arguments": "{}"}}]
RESULT = {"role": "tool", "tool_call_id": "call_1", "content": "3"}


@pytest.mark.parametrize(
    ("messages", "seen"),
    [
        ([{"role": "assistant", "tool_calls": CALLS}, RESULT], (["3"], ["count"], ["3"])),
        ([{"role": "assistant", "tool_calls": CALLS}, RESULT, user("x")], (["3"], ["count"], ["x"])),
        ([RESULT], (["3"], [], ["3"])),
        ([{**RESULT, "name": "own"}], (["3"], ["own"], ["3"])),
        ([{"role": "assistant", "tool_calls": [{"id": "call_1"}, 5]}, RESULT], (["3"], [], ["3"])),
        ([], ([], [], [])),
    ],
)
def test_the_latest_result_and_its_tool_are_read(messages: Json, seen: Any) -> None:
    for subject in (chat({"messages": messages}), chat(chat({"messages": messages}).gist(sys.maxsize))):
        assert tuple(read(subject, part) for part in ("last_result", "last_tool", "last_message")) == seen


@pytest.mark.parametrize(
    ("value", "wanted", "holds"),
    [
        (0, 0, True),
        (0.0, 0, True),
        (0.5, 0.5, True),
        (1, 0, False),
        (None, None, True),
        (True, True, True),
        ("a", "a", True),
        ({"a": [1]}, {"a": [2]}, False),
        ([1], [1], True),
    ],
)
def test_a_value_of_the_body_is_compared(value: Json, wanted: Json, holds: bool) -> None:
    asked = parse_when({"body": [{"pointer": "/x", "equals": wanted}, {"pointer": "/x"}]})
    assert asked.holds(chat({"x": value})) is holds
    miss = asked.failure(chat({}))
    assert miss is not None
    assert miss.condition == "body /x"
    assert str(parse_when({"body": {"pointer": "/y"}}).failure(chat({}))).endswith(
        "is there, saw nothing there"
    )


def test_every_part_is_tried_here() -> None:
    assert {part for part, _, _ in READ} == set(READERS)


JUDGED: Json = {
    "criterion_id": "helpful@v2",
    "input": {"messages": [user("Count.")], "tools": [tool("count")]},
    "output": {"role": "assistant", "content": "1, 2, 3"},
    "messages": [user("not read")],
    "tools": [tool("not-read")],
}


@pytest.mark.parametrize(
    ("part", "key", "texts"),
    [
        ("last_user", "", ["Count."]),
        ("messages", "user", ["Count."]),
        ("system", "", []),
        ("tool", "", ["count"]),
        ("output", "", ["1, 2, 3"]),
        ("endpoint", "", ["judge"]),
        ("criterion", "", ["helpful@v2", "helpful"]),
        ("model", "", []),
    ],
)
def test_a_part_of_a_judge_request_reads(part: str, key: str, texts: list[str]) -> None:
    assert read(judging(JUDGED), part, key) == texts


@pytest.mark.parametrize(
    ("output", "text"),
    [
        ({"content": "yes", "refusal": "no"}, "yes"),
        ({"content": None, "refusal": "no"}, "no"),
        ({"content": "", "refusal": "no"}, "no"),
        ({"refusal": None}, ""),
        ({"content": [{"type": "text", "text": "a"}, {"type": "refusal", "refusal": "b"}]}, "ab"),
        ({"content": [], "refusal": "no"}, "no"),
        ({"content": None, "tool_calls": []}, ""),
        ({}, ""),
    ],
)
def test_an_output_is_its_content_else_its_refusal_else_nothing(output: Json, text: str) -> None:
    assert judging(having(output=output)).output == text
    assert text_of(output) == text


@pytest.mark.parametrize("body", [{}, {"input": None}, {"input": {"messages": None}}])
def test_where_there_are_no_messages_nobody_said_anything(body: Json) -> None:
    for subject in (judging(body), chat(body)):
        assert subject.last_user is None
        assert read(subject, "last_user") == read(subject, "system") == read(subject, "tool") == []


def test_a_user_who_says_nothing_says_an_empty_text() -> None:
    assert read(chat(asking("")), "last_user") == [""]
    assert condition("last_user", ("equals", "")).holds(chat({"messages": [{"role": "user"}]}))


@pytest.mark.parametrize("sent", ["", "a", "null", "5", '"a"', '["a"', "{}", "[" * 5000])
def test_a_criteria_header_that_is_no_list_names_what_it_can(sent: str) -> None:
    assert read(chat(asking(), op_criteria=sent), "criterion") == (["a"] if sent == '"a"' else [])


def test_a_criteria_header_counts_for_chat_alone() -> None:
    subject = Subject("report", {b"op-criteria": b'["a"]'}, {})
    assert read(subject, "criterion") == []


def test_a_header_of_any_bytes_is_text() -> None:
    subject = Subject("chat", {b"x-test": b"\xff\x00\n"}, {})
    assert read(subject, "header", "x-test") == ["\xff\x00\n"]
    assert not condition("header", ("matches", "a"), key="x-test").holds(subject)


MAD: tuple[Json, ...] = (
    None,
    True,
    5,
    "text",
    [],
    [None],
    {},
    {"model": 5, "messages": 5, "tools": 5, "functions": 5, "metadata": 5},
    {"model": None, "messages": {}, "tools": {}, "functions": "x", "metadata": []},
    {"messages": [None, 5, "x", [], {"role": ["user"]}, {"role": {}, "content": {}}, {"content": 5}]},
    {"messages": [{"role": "user", "content": [None, 5, [], {"text": {}}, {"text": 5}, {"refusal": ["a"]}]}]},
    {"messages": [{"role": "user", "content": True, "refusal": 5}]},
    {"tools": [None, 5, {}, {"function": None}, {"function": 5}, {"function": {"name": None}}]},
    {"tools": [{"function": {"name": {}}}], "functions": [None, {"name": 5}, {}]},
    {"metadata": {"prompt_id": 5}},
    {"criterion_id": 5, "input": [], "output": 5},
    {"criterion_id": [["a"], None, "a"], "input": {"messages": "x"}, "output": []},
    {"criterion_id": {}, "input": 5, "output": {"content": [5]}},
)
EVERY = [(part, key) for part, key, _ in READ]


@pytest.mark.parametrize("body", MAD)
@pytest.mark.parametrize("endpoint", ["chat", "judge", "report", "models", ""])
def test_a_body_of_any_form_is_read_without_a_word(endpoint: str, body: Json) -> None:
    subject = Subject(endpoint, {b"op-criteria": b"[[1], null]"}, body)
    for part, key in EVERY:
        texts = read(subject, part, key)
        assert all(isinstance(text, str) for text in texts)
        assert not any(character in "{}" for text in texts for character in text), (
            "Python's words for a value"
        )


@thorough
@given(
    body=anything | broken("ChatCompletionRequest") | broken("JudgeCriteriaRequest"),
    endpoint=st.sampled_from(["chat", "judge", "report"]),
    header=st.binary(max_size=12),
)
def test_whatever_is_sent_every_part_gives_texts(body: Json, endpoint: str, header: bytes) -> None:
    subject = Subject(endpoint, {b"op-criteria": header, b"x-test": header}, body)
    for part, key in EVERY:
        assert all(isinstance(text, str) for text in read(subject, part, key))


@thorough
@given(body=valid("ChatCompletionRequest"))
def test_what_is_contained_in_what_was_said_is_found(body: Json) -> None:
    subject = chat(body)
    for part, key in EVERY:
        for text in read(subject, part, key):
            for kind in ("equals", "contains"):
                assert Condition(part, key, (demand(kind, text),)).holds(subject)


# Several demands, texts and conditions.


def test_one_text_must_meet_all_demands_of_a_condition() -> None:
    both = condition("messages", ("contains", "sunny"), ("matches", r"\d"), key="user")
    assert both.holds(chat({"messages": [user("rain"), user("sunny, 21 °C"), user("5")]}))
    assert not both.holds(chat({"messages": [user("sunny"), user("21 °C")]}))


def test_a_condition_on_tools_holds_when_one_of_them_fits() -> None:
    offered = chat({"tools": [tool("a"), tool("b")]})
    assert condition("tool", ("equals", "b")).holds(offered)
    assert not condition("tool", ("equals", "c")).holds(offered)


def test_all_conditions_must_hold_and_none_hold_always() -> None:
    when = When((said("a"), condition("model", ("glob", "m*"))))
    assert when.holds(chat({"model": "mock", "messages": [user("a")]}))
    assert not when.holds(chat({"model": "x", "messages": [user("a")]}))
    assert not when.holds(chat({"model": "mock", "messages": [user("b")]}))
    assert ALWAYS.holds(chat(None))
    assert ALWAYS.failure(chat(None)) is None


def test_the_first_condition_that_fails_is_named_with_what_it_wanted_and_saw() -> None:
    when = When(
        (
            said("weather"),
            condition("header", ("equals", "slow"), key="X-Test"),
            condition("model", ("glob", "openpipe:*")),
        )
    )
    subject = chat(asking("What a weather"), x_test="fast")
    assert [miss.condition for miss in when.misses(subject)] == ["header X-Test", "model"]
    assert str(when.failure(subject)) == 'header X-Test: expected a text that equals "slow", saw "fast"'
    assert when.failure(chat(asking("Hi"))) == matching.Miss("last_user", 'contains "weather"', '"Hi"'), (
        "the first of all three"
    )


def test_a_miss_says_all_demands_and_all_texts_that_it_saw() -> None:
    both = condition("messages", ("contains", "sunny"), ("matches", r"\d"), key="user")
    miss = When((both,)).failure(chat({"messages": [user("sunny"), user("21 °C")]}))
    assert str(miss) == (
        r'messages user: expected a text that contains "sunny" and matches "\\d", saw "sunny" and "21 °C"'
    )


def test_a_miss_says_that_there_was_nothing_to_see() -> None:
    miss = When((condition("metadata", ("equals", "x"), key="prompt_id"),)).failure(chat(asking()))
    assert str(miss) == 'metadata prompt_id: expected a text that equals "x", saw nothing there'


def test_a_miss_is_short_and_of_one_line_whatever_it_saw() -> None:
    subject = chat({"messages": [user("x\n" * 100_000)] * 1000})
    told = str(When((condition("messages", ("equals", "y" * 10_000), key="user"),)).failure(subject))
    assert len(told) < 2500
    assert set(told) - set(string.whitespace.replace(" ", "")) == set(told)


@thorough
@given(body=anything | broken("ChatCompletionRequest"), wanted=st.text(max_size=3))
def test_a_condition_fails_exactly_when_there_is_a_miss(body: Json, wanted: str) -> None:
    subject = chat(body)
    for part, key in EVERY:
        when = When((condition(part, ("contains", wanted), key=key),))
        assert (when.failure(subject) is None) is when.holds(subject)
