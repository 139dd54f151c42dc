"""What a chat answer is: its choices, calls and JSON, what changes them and what doesn't."""

import json
import re
import socket
from collections.abc import Mapping
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openpipe_mock.answers.texts import split
from openpipe_mock.config.settings import Settings
from openpipe_mock.openapi.spec import contract
from openpipe_mock.service.service import Service
from tests.chatting import (
    PLACE,
    ask,
    asking,
    chats,
    choices,
    completion,
    contents,
    costs_less,
    function,
    messages,
    refused,
    shaped,
    tool,
    user,
)
from tests.generate import brief, thorough
from tests.inprocess import content_of, issues_of

Json = Any
SERVICE = Service()
"""Remembers nothing that changes an answer."""

RESULT = {"role": "tool", "tool_call_id": "call_1", "content": "21 °C"}
COUNT = {"type": "function", "function": {"name": "count"}}
CALLING: Mapping[str, Json] = {"tools": [tool("weather"), tool("count")], "tool_choice": COUNT}


def arguments(message: Json) -> Json:
    """The arguments of a message's one call."""
    [call] = message["tool_calls"]
    text = call["function"]["arguments"]
    assert isinstance(text, str)
    return json.loads(text)


def said(body: Json) -> list[str]:
    """What each choice says: its text, or the arguments of its call."""
    found = []
    for message in messages(SERVICE, body):
        call = message.get("function_call") or (message.get("tool_calls") or [{}])[0].get("function")
        found.append(call["arguments"] if call else message["content"])
    return found


def conforms(value: Json, schema: Json) -> None:
    """Ask the independent validator, formats included."""
    jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker()).validate(value)


# Form.


def test_a_plain_answer_looks_like_this() -> None:
    body = completion(SERVICE, asking("Count to 10"))
    assert re.fullmatch(r"chatcmpl-[0-9a-f]{24}", body.pop("id"))
    assert isinstance(body.pop("created"), int)
    opener = body["choices"][0]["message"]["content"].partition(" ")[0]
    assert body == {
        "object": "chat.completion",
        "model": "openai:gpt-4o-mini",
        "choices": [
            {
                "finish_reason": "stop",
                "index": 0,
                "message": {
                    "role": "assistant",
                    "content": f"{opener} mock answer to “Count to 10”.",
                    "refusal": None,
                },
                "logprobs": None,
            }
        ],
        "usage": body["usage"],
    }


def test_a_call_looks_like_this() -> None:
    [choice] = choices(SERVICE, asking(**CALLING))
    [call] = choice["message"].pop("tool_calls")
    assert choice == {
        "finish_reason": "tool_calls",
        "index": 0,
        "message": {"role": "assistant", "content": None, "refusal": None},
        "logprobs": None,
    }
    assert re.fullmatch(r"call_[0-9a-f]{24}", call["id"])
    assert (call["type"], call["function"]["name"]) == ("function", "count")
    conforms(json.loads(call["function"]["arguments"]), PLACE)


def test_a_call_in_the_older_form_looks_like_this() -> None:
    body = asking(functions=[function("weather"), function("count")], function_call={"name": "count"})
    [choice] = choices(SERVICE, body)
    call = choice["message"].pop("function_call")
    assert choice["finish_reason"] == "function_call"
    assert choice["message"] == {"role": "assistant", "content": None, "refusal": None}
    assert call["name"] == "count"
    conforms(json.loads(call["arguments"]), PLACE)


@brief
@given(body=chats())
def test_every_valid_request_gets_a_valid_answer(body: Json) -> None:
    found = choices(SERVICE, body)
    assert len(found) == (body.get("n") or 1)
    assert [choice["index"] for choice in found] == list(range(len(found)))


@thorough
@given(body=chats())
def test_a_message_is_accepted_in_a_conversation_and_by_the_judge_as_it_is(body: Json) -> None:
    for message in messages(SERVICE, body):
        assert contract().checker("Message").is_valid(message)
        assert contract().checker("AssistantMessage").is_valid(message)
        assert contract().checker("JudgeCriteriaOutput").is_valid(message)
        assert "reasoning_content" not in message


@brief
@given(body=chats(), nulls=st.booleans())
def test_an_answer_can_be_appended_and_the_request_sent_again(body: Json, nulls: bool) -> None:
    for message in messages(SERVICE, body):
        dumped = {"annotations": None, "audio": None, "function_call": None, "tool_calls": None}
        again = {**dumped, **message} if nulls else message
        completion(SERVICE, {**body, "messages": [*body["messages"], again]})


def test_a_whole_agent_loop_ends() -> None:
    conversation: list[Json] = [user("What is the weather in Bern?")]
    body = asking(messages=conversation, tools=[tool("get_weather")])
    [called] = messages(SERVICE, body)
    conversation.append(called)
    conversation.append({"role": "tool", "tool_call_id": called["tool_calls"][0]["id"], "content": "21 °C"})
    [answered] = messages(SERVICE, body)
    assert "tool_calls" not in answered
    assert "the tool result “21 °C”" in answered["content"]


# Choices.


@pytest.mark.parametrize("n", [2, 5, 128])
@pytest.mark.parametrize("members", [{}, {"max_tokens": 1}, {"response_format": {"type": "json_object"}}])
def test_choices_differ(n: int, members: Json) -> None:
    assert len(set(contents(SERVICE, asking(n=n, **members)))) == n


@pytest.mark.parametrize("schema", [PLACE, {"type": "object", "properties": {"text": {"type": "string"}}}])
def test_choices_differ_where_a_schema_leaves_room(schema: Json) -> None:
    formed = contents(SERVICE, asking(n=5, response_format=shaped(schema)))
    called = said(asking(n=5, tools=[tool("count", schema)], tool_choice="required"))
    assert len(set(formed)) == len(set(called)) == 5


def test_calls_of_different_choices_and_requests_have_different_ids() -> None:
    bodies = [asking(n=9, **CALLING), asking("Hello", n=9, **CALLING)]
    ids = [message["tool_calls"][0]["id"] for body in bodies for message in messages(SERVICE, body)]
    assert len(set(ids)) == 18


def test_a_larger_n_adds_choices_and_changes_none() -> None:
    assert said(asking(n=9))[:3] == said(asking(n=3))


@pytest.mark.parametrize("n", [1, 1.0, 3, 3.0, 128, 128.0])
def test_a_whole_number_of_choices_is_taken_however_it_is_written(n: float) -> None:
    assert len(choices(SERVICE, asking(n=n))) == n


@pytest.mark.parametrize("n", [0, -1, 1.5, 129, 1e300, 0.0, "2", True, [], {}])
def test_another_number_of_choices_is_a_clear_400(n: Json) -> None:
    reply = ask(SERVICE, asking(n=n))
    refused(reply)
    [issue] = issues_of(reply)
    assert issue.startswith("/n: expected ")


# What changes an answer, and what doesn't.


@brief
@given(body=chats())
def test_the_same_request_gets_the_same_bytes(body: Json) -> None:
    turned = dict(reversed(list(body.items())))
    spaced = json.dumps(turned, indent=1, ensure_ascii=False).encode()
    assert ask(Service(), body).body == ask(Service(), spaced).body


OPTIONAL = sorted(
    set(contract().document["components"]["schemas"]["ChatCompletionRequest"]["properties"])
    - {"messages", "model"}
)


@brief
@given(body=chats(), names=st.sets(st.sampled_from([*OPTIONAL, "user", "unknown"])))
def test_a_null_member_counts_as_absent(body: Json, names: set[str]) -> None:
    bare = {name: value for name, value in body.items() if value is not None}
    nulls = {name: None for name in names if name not in bare}
    assert ask(Service(), {**nulls, **bare}).body == ask(Service(), bare).body


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"messages": [{"role": "user", "content": ""}]}, {"messages": [{"role": "user"}]}),
        ({"messages": [{"role": "assistant", "content": None}]}, {"messages": [{"role": "assistant"}]}),
        (
            {"tools": [tool("a")], "tool_choice": {"type": "function"}},
            {"tools": [tool("a")], "tool_choice": {}},
        ),
    ],
)
def test_a_default_counts_as_absent(one: Json, other: Json) -> None:
    assert ask(Service(), {**asking(), **one}).body == ask(Service(), {**asking(), **other}).body


HOW_MUCH_AND_NOTES: tuple[Json, ...] = (
    {"n": 1},
    {"max_tokens": 10_000},
    {"max_completion_tokens": 10_000},
    {"stop": "never said"},
    {"stop": []},
    {"logprobs": True},
    {"logprobs": True, "top_logprobs": 2},
    {"metadata": {"prompt_id": "counting"}},
    {"store": True},
    {"user": "me"},
    {"stream_options": {"include_usage": True}},
)


@pytest.mark.parametrize("members", HOW_MUCH_AND_NOTES)
@pytest.mark.parametrize("body", [asking(), asking(**CALLING), asking(response_format=shaped(PLACE))])
def test_what_says_how_much_changes_nothing_that_is_said(members: Json, body: Json) -> None:
    assert said({**body, **members}) == said(body)


@brief
@given(body=chats(), members=st.sampled_from(HOW_MUCH_AND_NOTES[7:]))
def test_notes_change_nothing_but_ids(body: Json, members: Json) -> None:
    body = {name: value for name, value in body.items() if name not in members}
    one, other = completion(SERVICE, {**body, **members}), completion(SERVICE, body)
    for whole in (one, other):
        del whole["id"], whole["created"]
    assert one == other


@pytest.mark.parametrize(
    "members",
    [
        {"model": "other"},
        {"temperature": 0},
        {"messages": [user("Hello")]},
        {"tools": []},
        {"n": 2},
        {"max_tokens": 2},
        {"metadata": {"a": "b"}},
        {"store": True},
        {"unknown": 1},
    ],
)
def test_another_request_has_another_id(members: Json) -> None:
    one, other = completion(SERVICE, asking()), completion(SERVICE, asking(**members))
    assert one["id"] != other["id"]


def test_the_seed_changes_texts_calls_and_ids() -> None:
    for body in (asking(n=3), asking(n=3, **CALLING)):
        one, other = (completion(Service(Settings(seed=seed)), body) for seed in (0, 1))
        assert one["id"] != other["id"]
        assert one["created"] != other["created"]
        assert one["choices"] != other["choices"]


def test_seeds_say_different_things() -> None:
    texts = {contents(Service(Settings(seed=seed)), asking())[0] for seed in range(50)}
    assert len(texts) > 30


# Limits.


@brief
@given(body=chats(), limit=st.integers(1, 30))
def test_a_token_limit_cuts_what_would_be_said(body: Json, limit: int) -> None:
    free = {
        name: value for name, value in body.items() if name not in ("max_tokens", "max_completion_tokens")
    }
    reasons = [choice["finish_reason"] for choice in choices(SERVICE, {**free, "max_tokens": limit})]
    for whole, left, reason in zip(said(free), said({**free, "max_tokens": limit}), reasons, strict=True):
        pieces = split(whole)
        assert left == "".join(pieces[:limit])
        assert (reason == "length") == (len(pieces) > limit)


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
@pytest.mark.parametrize(
    "members", [{}, {"response_format": {"type": "json_object"}}, {"response_format": shaped(PLACE)}, CALLING]
)
def test_text_json_and_arguments_are_cut(name: str, members: Json) -> None:
    body = {**asking(**members), name: 2}
    [choice], [text] = choices(SERVICE, body), said(body)
    assert choice["finish_reason"] == "length"
    assert len(split(text)) == 2
    assert completion(SERVICE, body)["usage"]["completion_tokens"] == 2


@pytest.mark.parametrize(("older", "newer"), [(2, 9), (9, 2)])
def test_the_smaller_limit_counts(older: int, newer: int) -> None:
    body = asking(max_tokens=older, max_completion_tokens=newer)
    assert completion(SERVICE, body)["usage"]["completion_tokens"] == 2


def test_a_limit_that_just_suffices_cuts_nothing() -> None:
    spent = completion(SERVICE, asking())["usage"]["completion_tokens"]
    assert choices(SERVICE, asking(max_tokens=spent))[0]["finish_reason"] == "stop"
    assert choices(SERVICE, asking(max_tokens=spent - 1))[0]["finish_reason"] == "length"


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
@pytest.mark.parametrize("value", [0, -1, 1.5, 0.0, "9", True])
def test_another_limit_is_a_clear_400(name: str, value: Json) -> None:
    reply = ask(Service(Settings(validation="exact")), {**asking(), name: value})
    refused(reply)
    assert issues_of(reply)[0].startswith(f"/{name}: expected ")


@pytest.mark.parametrize("value", [1.0, 2**40, 1e300])
def test_a_whole_limit_is_taken_however_it_is_written(value: float) -> None:
    assert choices(SERVICE, asking(max_tokens=value))


@pytest.mark.parametrize(
    ("stop", "left"),
    [
        ("mock", "{} "),
        (["answer", "mock"], "{} "),
        ([" answer"], "{} mock"),
        ("“", "{} mock answer to "),
        ("", "{} mock answer to “Count to 10”."),
        (["", "Count"], "{} mock answer to “"),
    ],
)
def test_a_stop_text_ends_the_answer_before_it(stop: Json, left: str) -> None:
    [opener] = [text.partition(" ")[0] for text in contents(SERVICE, asking())]
    [choice] = choices(SERVICE, asking(stop=stop))
    assert (choice["message"]["content"], choice["finish_reason"]) == (left.format(opener), "stop")


def test_a_stop_text_can_end_an_answer_before_it_begins() -> None:
    [opener] = [text.partition(" ")[0] for text in contents(SERVICE, asking())]
    body = completion(SERVICE, asking(stop=opener))
    assert body["choices"][0]["message"]["content"] == ""
    assert body["usage"]["completion_tokens"] == 0


def test_a_stop_text_leaves_arguments_alone() -> None:
    assert said(asking(stop=['"', "{"], **CALLING)) == said(asking(**CALLING))


# Usage and log probabilities.


@brief
@given(body=chats())
def test_usage_adds_up(body: Json) -> None:
    usage = completion(SERVICE, body)["usage"]
    spent = sum(len(split(text)) for text in said(body))
    assert usage["completion_tokens"] == spent
    assert usage["total_tokens"] == usage["prompt_tokens"] + spent
    assert "criteria" not in usage


def test_a_longer_prompt_has_more_tokens_and_more_choices_do_not() -> None:
    used = [completion(SERVICE, body)["usage"]["prompt_tokens"] for body in (asking(), asking(n=5))]
    assert used[0] == used[1] > 0
    assert completion(SERVICE, asking("word " * 100))["usage"]["prompt_tokens"] >= used[0] + 100
    assert completion(SERVICE, asking(tools=[tool("weather")]))["usage"]["prompt_tokens"] > used[0]


@brief
@given(body=chats(), asked=st.integers(0, 20))
def test_log_probabilities_say_what_was_said(body: Json, asked: int) -> None:
    for choice in choices(SERVICE, {**body, "logprobs": True, "top_logprobs": asked}):
        if choice["message"]["content"] is None:
            assert choice["logprobs"] is None
            continue
        entries = choice["logprobs"]["content"]
        assert "".join(entry["token"] for entry in entries) == choice["message"]["content"]
        assert choice["logprobs"]["refusal"] is None
        for entry in entries:
            assert bytes(entry["bytes"]).decode() == entry["token"]
            assert entry["logprob"] <= 0
            top = entry["top_logprobs"]
            assert len(top) == asked
            assert len({each["token"] for each in top}) == asked
            assert [each["logprob"] for each in top] == sorted(
                (each["logprob"] for each in top), reverse=True
            )
            assert all(bytes(each["bytes"]).decode() == each["token"] for each in top)
            if top:
                assert {name: entry[name] for name in top[0]} == top[0]


@pytest.mark.parametrize("members", [{}, {"logprobs": False}, {"logprobs": None}, {"top_logprobs": None}])
def test_log_probabilities_are_only_there_when_asked_for(members: Json) -> None:
    assert choices(SERVICE, asking(**members))[0]["logprobs"] is None


@pytest.mark.parametrize(
    ("members", "pointer"),
    [
        ({"logprobs": True, "top_logprobs": 21}, "/top_logprobs"),
        ({"logprobs": True, "top_logprobs": -1}, "/top_logprobs"),
        ({"logprobs": True, "top_logprobs": 1.5}, "/top_logprobs"),
        ({"top_logprobs": 2}, "/logprobs"),
        ({"logprobs": False, "top_logprobs": 2}, "/logprobs"),
    ],
)
def test_what_makes_no_sense_of_log_probabilities_is_a_clear_400(members: Json, pointer: str) -> None:
    reply = ask(SERVICE, asking(**members))
    refused(reply)
    assert issues_of(reply)[0].startswith(f"{pointer}: expected ")


# JSON.


def test_a_json_object_is_one() -> None:
    for text in contents(SERVICE, asking(n=3, response_format={"type": "json_object"})):
        assert isinstance(json.loads(text), dict)


@pytest.mark.parametrize("form", [{"type": "json_schema", "json_schema": {"name": "any"}}, shaped(None)])
def test_a_schema_that_is_missing_leaves_any_object(form: Json) -> None:
    assert isinstance(json.loads(contents(SERVICE, asking(response_format=form))[0]), dict)


SCHEMAS: tuple[Json, ...] = (
    {},
    PLACE,
    {"type": "string", "format": "date-time"},
    {"type": "array", "items": {"type": "integer", "minimum": 3}, "minItems": 2, "uniqueItems": True},
    {"anyOf": [{"type": "object", "required": ["a"], "properties": {"a": {"const": 1}}}, {"type": "null"}]},
    {
        "$defs": {"node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}}}},
        "$ref": "#/$defs/node",
    },
    {"type": "object", "additionalProperties": {"type": "number"}, "minProperties": 3},
    {"type": "string", "pattern": "^[A-Z]{2}[0-9]+$", "maxLength": 5},
    {"type": "integer", "multipleOf": 7, "exclusiveMinimum": 7},
    {"enum": ["low", "high"]},
    {"type": ["string", "null"], "minLength": 300},
    {"not": {"type": "object"}},
)


@pytest.mark.parametrize("schema", SCHEMAS)
def test_an_answer_in_a_schema_is_valid_by_another_validator(schema: Json) -> None:
    for text in contents(SERVICE, asking(n=4, response_format=shaped(schema))):
        conforms(json.loads(text), schema)


PREFERRED: tuple[tuple[Json, Json], ...] = (
    ({"const": "c", "enum": ["c", "d"]}, "c"),
    ({"type": "integer", "default": 42}, 42),
    ({"type": "string", "examples": ["first", "second"]}, "first"),
    ({"type": "string", "enum": ["low", "high"]}, "low"),
    ({"type": "string", "default": "d", "enum": ["e", "d"]}, "d"),
)


@pytest.mark.parametrize(("schema", "value"), PREFERRED)
def test_the_first_choice_takes_the_value_that_a_schema_prefers(schema: Json, value: Json) -> None:
    parameters = {"type": "object", "properties": {"x": schema}, "required": ["x"]}
    [text] = contents(SERVICE, asking(response_format=shaped(parameters)))
    assert json.loads(text) == {"x": value}
    [message] = messages(SERVICE, asking(tools=[tool("count", parameters)], tool_choice=COUNT))
    assert arguments(message) == {"x": value}


OBJECTS: tuple[Json, ...] = (
    None,
    {},
    {"type": "object"},
    {"type": "object", "additionalProperties": {"type": "number"}, "minProperties": 3},
    {"type": ["null", "object"], "properties": {"a": {"type": "string"}}},
    {"type": ["string", "object"]},
    {"anyOf": [{"type": "string"}, {"type": "object"}]},
    {"properties": {"a": {"type": "string"}}},
    {"description": "Anything."},
    {"$ref": "#/$defs/args", "$defs": {"args": {"properties": {"a": {"type": "integer"}}}}},
)
"""Parameters that allow an object, though not all of them nothing else."""


@pytest.mark.parametrize("parameters", [PLACE, *OBJECTS])
def test_arguments_are_an_object_that_is_valid_by_another_validator(parameters: Json) -> None:
    """Clients spread arguments into named ones, so an object is what they need."""
    offered = {"type": "function", "function": {"name": "count", "parameters": parameters}}
    for message in messages(SERVICE, asking(n=4, tools=[offered], tool_choice=COUNT)):
        assert isinstance(arguments(message), dict)
        conforms(arguments(message), parameters or {})


PLACES: Mapping[str, Any] = {
    "/response_format": lambda schema: asking(response_format=shaped(schema)),
    "/tools": lambda schema: asking(tools=[tool("count", schema)], tool_choice=COUNT),
    "/functions": lambda schema: asking(
        functions=[function("count", schema)], function_call={"name": "count"}
    ),
}
"""Where a request may have a schema, and a request with one there."""


def holding(member: Json) -> Json:
    return {"type": "object", "properties": {"a": member}, "required": ["a"]}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    ("schema", "keyword", "advice"),
    [
        (holding({"not": {}}), "not", "Change the schema"),
        (
            {"type": "object", "required": ["a"], "maxProperties": 0},
            "maxProperties",
            "Change the schema",
        ),
        (holding({"enum": [1], "type": "string"}), "enum", "Change the schema"),
        (holding({"type": "string", "not": {"minLength": 1}}), "not", 'as "default"'),
    ],
)
def test_a_schema_that_cannot_be_built_is_a_400_that_says_what_to_do(
    place: str, schema: Json, keyword: str, advice: str
) -> None:
    reply = ask(SERVICE, PLACES[place](schema))
    sentence = refused(reply)
    assert issues_of(reply)[0].startswith(place)
    assert f'"{keyword}"' in sentence
    assert "mock could not build" in sentence
    assert advice in sentence
    assert '"completions"' in sentence


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    "schema",
    [
        {"type": "objekt"},
        {"type": 5},
        {"type": [5]},
        {"type": {}},
        {"type": None},
        {"type": "object", "properties": []},
        {"$ref": "#/$defs/missing"},
    ],
)
def test_an_invalid_schema_is_a_400(place: str, schema: Json) -> None:
    reply = ask(SERVICE, PLACES[place](schema))
    refused(reply)
    assert issues_of(reply)[0].startswith(place)


@pytest.mark.parametrize("place", PLACES)
def test_a_remote_reference_is_a_400_and_nobody_is_asked(place: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0.2)
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/schema.json"
        reply = ask(SERVICE, PLACES[place]({"type": "object", "properties": {"a": {"$ref": url}}}))
        refused(reply)
        assert issues_of(reply)[0].startswith(place)
        with pytest.raises(TimeoutError):
            listening.accept()


@pytest.mark.parametrize("url", ["file:///etc/hostname", "other.json", "urn:example:schema"])
def test_no_reference_leads_outside_of_the_schema(url: str) -> None:
    assert refused(ask(SERVICE, asking(response_format=shaped({"$ref": url}))))


def test_of_several_tools_the_one_is_named_whose_schema_is_at_fault() -> None:
    body = asking(tools=[tool("weather"), tool("count", {"type": 5})], tool_choice=COUNT)
    reply = ask(SERVICE, body)
    refused(reply)
    assert re.search(r'/tools/1|"count"', issues_of(reply)[0])


def test_a_schema_that_nobody_needs_may_be_anything() -> None:
    """Its tool isn't called, so the mock never builds it."""
    broken = tool("unmentioned", {"type": 5})
    assert choices(SERVICE, asking(tools=[broken]))[0]["finish_reason"] == "stop"


# Order.

MENTIONED = asking("the weather", tools=[tool("weather"), tool("count")])
UNMENTIONING = {"messages": [user("Hello")]}
JSON_OBJECT = {"type": "json_object"}


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (asking(), "text"),
        (MENTIONED, "call of weather"),
        ({**MENTIONED, "tool_choice": "none"}, "text"),
        ({**MENTIONED, "tool_choice": "none", "response_format": JSON_OBJECT}, "json"),
        ({**MENTIONED, "response_format": JSON_OBJECT}, "call of weather"),
        ({**MENTIONED, "response_format": shaped(PLACE)}, "call of weather"),
        ({**MENTIONED, **UNMENTIONING, "response_format": shaped(PLACE)}, "json"),
        ({**MENTIONED, "response_format": {"type": "text"}}, "call of weather"),
        ({**MENTIONED, "tool_choice": COUNT, "response_format": JSON_OBJECT}, "call of count"),
        ({**MENTIONED, "tool_choice": "required", "response_format": shaped(PLACE)}, "call of weather"),
        ({**MENTIONED, "messages": [user("weather"), RESULT]}, "text"),
        ({**MENTIONED, "messages": [user("weather"), RESULT], "response_format": JSON_OBJECT}, "json"),
        ({**MENTIONED, "messages": [user("weather"), RESULT], "response_format": shaped(PLACE)}, "json"),
        ({**MENTIONED, "tool_choice": {}}, "call of weather"),
    ],
)
def test_a_tool_that_is_called_goes_before_a_form(body: Json, kind: str) -> None:
    [message] = messages(SERVICE, body)
    if message.get("tool_calls"):
        assert kind == f"call of {message['tool_calls'][0]['function']['name']}"
    else:
        assert kind == ("json" if message["content"].startswith("{") else "text")


# What is refused.


@pytest.mark.parametrize(
    ("choice", "place"),
    [
        ({"tool_choice": {"type": "function", "function": {"name": "cuont"}}}, "/tool_choice"),
        ({"tool_choice": "required", "tools": None}, "/tool_choice"),
    ],
)
def test_a_call_that_is_impossible_is_a_400(choice: Json, place: str) -> None:
    reply = ask(SERVICE, {**asking(**CALLING), **choice})
    refused(reply)
    assert issues_of(reply)[0].startswith(place)


def test_the_nearest_tool_is_named() -> None:
    named = {"type": "function", "function": {"name": "cuont"}}
    assert 'did you mean "count"' in refused(ask(SERVICE, asking(tools=[tool("count")], tool_choice=named)))


@pytest.mark.parametrize("body", [None, [], 5, "text", {}, {"model": "m"}, {"messages": []}])
def test_a_body_that_is_no_request_is_a_400(body: Json) -> None:
    refused(ask(SERVICE, body))


@pytest.mark.parametrize("body", [b"", b"{", b'{"messages": [],}', b"\xff"])
def test_a_body_that_is_no_json_is_a_400(body: bytes) -> None:
    refused(ask(SERVICE, body), 400, "PARSE_ERROR")


# Size.


def test_an_empty_conversation_is_answered() -> None:
    assert contents(SERVICE, asking(messages=[]))[0].endswith(" mock answer to an empty conversation.")


def test_a_conversation_of_megabytes_is_answered_in_a_short_time() -> None:
    long = "All work and no play. " * 100_000
    body = asking(messages=[user(long)] * 3, tools=[tool("weather")], n=5)
    assert max(map(len, contents(SERVICE, body))) < 100


def test_many_choices_take_hardly_longer_than_one_on_a_long_text() -> None:
    """The long text is quoted in each choice, but read once."""
    long = "All work and no play. " * 20_000
    one, many = (asking(long, n=n) for n in (1, 128))
    assert costs_less(lambda: ask(SERVICE, many), 10, lambda: ask(SERVICE, one))


def test_unknown_members_pass_through() -> None:
    body = asking(service_tier="flex", nested={"a": [1, None]}, null=None)
    assert content_of(ask(SERVICE, body))["choices"]


@pytest.mark.parametrize(
    "member", [{"temperature": 0.5}, {"top_p": 0.5}, {"seed": 3}, {"reasoning_effort": "low"}]
)
def test_members_that_steer_the_model_change_what_is_said(member: Json) -> None:
    assert contents(SERVICE, asking(**member)) != contents(SERVICE, asking())


def test_only_so_many_stop_texts_are_read() -> None:
    assert ask(SERVICE, asking(stop=["x"] * 64)).status == 200
    assert "/stop" in refused(ask(SERVICE, asking(stop=["x"] * 65)))


def test_a_text_in_the_place_of_a_model_does_not_exist() -> None:
    assert ask(SERVICE, asking(model="m" * 1000)).status == 200
    refused(ask(SERVICE, asking(model="m" * 1001)), 404, "NOT_FOUND")


def test_a_stop_text_ends_a_long_answer_wherever_it_begins() -> None:
    schema = {"const": "word " * 500 + "STOP" + " word" * 500}
    whole = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    [text] = contents(SERVICE, asking(response_format=whole, stop=["STOP"]))
    assert text == '"' + "word " * 500
