"""What of a value counts: members that are dropped, members that stay, and scalars that are turned around."""

import copy
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given

from openpipe_mock.openapi.coercion import coerced
from openpipe_mock.openapi.shapes import shape_of
from openpipe_mock.openapi.shapes import tidy as tidy_shape
from openpipe_mock.openapi.spec import contract
from tests.generate import anything, broken, thorough, valid
from tests.inprocess import FULL, having, saying

Json = Any

REQUESTS = ("JudgeCriteriaRequest", "ChatCompletionRequest")
MODES: tuple[Mapping[str, bool], ...] = ({}, {"unknown": True}, {"defaults": True})


def tidy(value: Json, component: str = "JudgeCriteriaRequest", **mode: bool) -> Json:
    return contract().checker(component).tidy(value, **mode)


def chat(**members: Json) -> Json:
    return {"model": "m", "messages": [], **members}


def tool(**function: Json) -> Json:
    return having(
        input={"messages": [], "tools": [{"type": "function", "function": {"name": "f", **function}}]}
    )


NULLS: dict[str, tuple[Json, Json]] = {
    "an optional member": (having(input=None), having()),
    "an unknown member": (having(annotations=None), having()),
    "what a client dumps of an output": (
        having(output={"role": "assistant", "content": "x", "annotations": None, "audio": None}),
        having(output={"role": "assistant", "content": "x"}),
    ),
    "a nullable optional member": (
        saying({"role": "assistant", "content": None, "tool_calls": None, "refusal": None}),
        saying({"role": "assistant"}),
    ),
    "a member of a message that isn't nullable": (
        saying({"role": "assistant", "annotations": None, "reasoning_content": None}),
        saying({"role": "assistant"}),
    ),
    "a member inside a part": (
        saying(
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x", "detail": None}}]}
        ),
        saying({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}),
    ),
    "a required member stays": (having(output=None), having(output=None)),
    "a required member of a message stays": (
        saying({"role": "function", "name": None, "content": None}),
        saying({"role": "function", "name": None, "content": None}),
    ),
    "an item of a list stays": (saying(None, {"role": "user"}), saying(None, {"role": "user"})),
    "an unknown member with a value stays": (having(other=0), having(other=0)),
    "an empty text is no null": (
        saying({"role": "user", "content": "", "name": ""}),
        saying({"role": "user", "content": "", "name": ""}),
    ),
    "the word null is no null": (
        saying({"role": "assistant", "content": "null"}),
        saying({"role": "assistant", "content": "null"}),
    ),
    "a null in parameters is data": (
        tool(parameters={"a": None, "b": {"c": None}, "d": [None]}, strict=None),
        tool(parameters={"a": None, "b": {"c": None}, "d": [None]}),
    ),
    "a message of an unknown role is left alone": (
        saying({"role": "judge", "content": None}),
        saying({"role": "judge", "content": None}),
    ),
    "a message without a role is left alone": (saying({"content": None}), saying({"content": None})),
}


@pytest.mark.parametrize("name", NULLS)
def test_a_null_member_counts_as_absent_where_it_is_optional_or_unknown(name: str) -> None:
    value, expected = NULLS[name]
    assert tidy(value) == expected


CHAT_NULLS: dict[str, tuple[Json, Json]] = {
    "options": (chat(n=None, stop=None, tools=None, temperature=None), chat()),
    "a null in metadata is data": (chat(metadata={"a": None}), chat(metadata={"a": None})),
    "metadata itself is not": (chat(metadata=None), chat()),
    "a null in a schema is data": (
        chat(
            response_format={
                "type": "json_schema",
                "json_schema": {"name": "x", "schema": {"default": None}, "strict": None},
            }
        ),
        chat(
            response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": {"default": None}}}
        ),
    ),
    "a null in an open member is data": (chat(extra={"a": None}), chat(extra={"a": None})),
    "an unknown null member of an open object": (chat(extra=None), chat()),
}


@pytest.mark.parametrize("name", CHAT_NULLS)
def test_the_null_rule_holds_for_chat_requests(name: str) -> None:
    value, expected = CHAT_NULLS[name]
    assert tidy(value, "ChatCompletionRequest") == expected


UNKNOWN: dict[str, tuple[Json, Json]] = {
    "at the top": (having(other=1), having()),
    "in a message": (saying({"role": "user", "x": 1}), saying({"role": "user"})),
    "in a part": (
        saying({"role": "user", "content": [{"type": "text", "text": "x", "cache": {}}]}),
        saying({"role": "user", "content": [{"type": "text", "text": "x"}]}),
    ),
    "in a tool, but not in its parameters": (
        tool(parameters={"x": 1}, x=1),
        tool(parameters={"x": 1}),
    ),
    "a member that another role has": (
        saying({"role": "user", "tool_call_id": "x"}),
        saying({"role": "user"}),
    ),
    "not in a message of an unknown role": (
        saying({"role": "judge", "x": 1}),
        saying({"role": "judge", "x": 1}),
    ),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_unknown_members_are_dropped_on_demand_only(name: str) -> None:
    value, expected = UNKNOWN[name]
    assert tidy(value) == value
    assert tidy(value, unknown=True) == expected


def test_members_of_an_open_object_are_never_unknown() -> None:
    assert tidy(chat(service_tier="x"), "ChatCompletionRequest", unknown=True) == chat(service_tier="x")


DEFAULTS: dict[str, tuple[Json, Json]] = {
    "empty content": (saying({"role": "user", "content": ""}), saying({"role": "user"})),
    "empty names of a call": (
        having(output={"role": "assistant", "function_call": {"name": "", "arguments": ""}}),
        having(output={"role": "assistant", "function_call": {}}),
    ),
    "the defaults of a tool choice": (
        having(input={"messages": [], "tool_choice": {"type": "function", "function": {"name": ""}}}),
        having(input={"messages": [], "tool_choice": {}}),
    ),
    "a required member stays": (
        saying({"role": "function", "name": "", "content": None}),
        saying({"role": "function", "name": "", "content": None}),
    ),
    "data in parameters stays": (
        tool(parameters={"content": "", "type": "function"}),
        tool(parameters={"content": "", "type": "function"}),
    ),
    "an empty list is no empty text": (
        saying({"role": "user", "content": []}),
        saying({"role": "user", "content": []}),
    ),
    "another value stays": (
        saying({"role": "user", "content": " "}),
        saying({"role": "user", "content": " "}),
    ),
}


@pytest.mark.parametrize("name", DEFAULTS)
def test_defaults_are_dropped_on_demand_only(name: str) -> None:
    value, expected = DEFAULTS[name]
    assert tidy(value) == value
    assert tidy(value, defaults=True) == expected


def test_a_default_is_of_the_same_type_or_it_is_none() -> None:
    """0 equals False in Python, not in JSON."""
    shape = shape_of(
        {"type": "object", "properties": {"a": {"default": 0}, "b": {"default": False}, "c": {"default": 1}}},
        {},
    )
    kept = {"a": False, "b": 0, "c": True}
    assert tidy_shape(shape, kept, defaults=True) == kept
    assert tidy_shape(shape, {"a": 0, "b": False, "c": 1}, defaults=True) == {}


def test_a_schema_that_refers_to_itself_has_a_shape() -> None:
    tree = {"type": "object", "properties": {"next": {"$ref": "#/tree"}}, "additionalProperties": False}
    shape = shape_of({"$ref": "#/tree"}, {"tree": tree})
    assert tidy_shape(shape, {"next": {"next": None, "x": 1}}, unknown=True) == {"next": {}}


@pytest.mark.slow
@pytest.mark.parametrize("component", REQUESTS)
@pytest.mark.parametrize("mode", MODES, ids=["nulls", "unknown", "defaults"])
def test_tidying_twice_is_tidying_once_and_leaves_the_original_alone(
    component: str, mode: Mapping[str, bool]
) -> None:
    @thorough
    @given(valid(component) | broken(component) | anything)
    def hold(value: Json) -> None:
        before = copy.deepcopy(value)
        once = tidy(value, component, **mode)
        assert tidy(once, component, **mode) == once
        assert repr(value) == repr(before)

    hold()


@pytest.mark.slow
@pytest.mark.parametrize("component", REQUESTS)
@pytest.mark.parametrize("mode", MODES, ids=["nulls", "unknown", "defaults"])
def test_what_is_valid_stays_valid(component: str, mode: Mapping[str, bool]) -> None:
    is_valid = contract().checker(component).is_valid

    @thorough
    @given(valid(component) | broken(component))
    def hold(value: Json) -> None:
        if is_valid(value):
            assert is_valid(tidy(value, component, **mode))
            assert is_valid(contract().checker(component).coerced(value))

    hold()


@thorough
@given(valid("JudgeCriteriaRequest"), anything)
def test_what_lies_in_parameters_is_never_touched(request: Json, data: Json) -> None:
    parameters = {"x": data, "y": [data], "content": None, "role": "user"}
    sent = {**request, "input": tool(parameters=parameters)["input"]}
    for mode in MODES:
        kept = tidy(sent, "JudgeCriteriaRequest", **mode)["input"]["tools"][0]["function"]["parameters"]
        assert repr(kept) == repr(parameters)


def test_the_full_sample_loses_its_nulls_and_nothing_else() -> None:
    assert tidy(FULL)["output"] == {"role": "assistant", "content": "1, 2, 3"}
    assert tidy(FULL)["input"]["messages"][3].keys() == {"role", "tool_calls"}
    assert len(tidy(FULL)["input"]["messages"]) == 6


COERCIONS: dict[str, tuple[str, Json, Json]] = {
    "a whole number": ("string", 5, "5"),
    "a whole number with a point": ("string", 5.0, "5"),
    "a fraction": ("string", 1.5, "1.5"),
    "minus zero": ("string", -0.0, "0"),
    "true as a text": ("string", True, "true"),
    "false as a text": ("string", False, "false"),
    "a small number": ("string", 1e-7, "1e-7"),
    "a large number": ("string", 1e20, "100000000000000000000"),
    "a larger number": ("string", 1e21, "1e+21"),
    "the largest number": ("string", 1.7976931348623157e308, "1.7976931348623157e+308"),
    "digits": ("number", "5", 5),
    "digits with spaces": ("number", " 5\n", 5),
    "digits with a point": ("number", "-5.5", -5.5),
    "digits with an exponent": ("number", "1e3", 1000.0),
    "digits of a whole number": ("integer", "5", 5),
    "the word true": ("boolean", "true", True),
    "the word false": ("boolean", "false", False),
    "one": ("boolean", 1, True),
    "zero": ("boolean", 0, False),
}
STUBBORN: dict[str, tuple[str, Json]] = {
    "no digits": ("number", "five"),
    "nothing": ("number", ""),
    "NaN": ("number", "NaN"),
    "Infinity": ("number", "Infinity"),
    "hexadecimal digits": ("number", "0x10"),
    "more than a double": ("number", "9" * 400),
    "an array in a text": ("number", "[1]"),
    "deep nesting in a text": ("number", "[" * 100_000),
    "a boolean in a text": ("number", "true"),
    "the word True": ("boolean", "True"),
    "two": ("boolean", 2),
    "null": ("string", None),
    "a list": ("string", ["x"]),
    "an object": ("number", {}),
    "what is right already": ("string", "5"),
}


@pytest.mark.parametrize("name", COERCIONS)
def test_a_scalar_is_turned_into_the_wanted_scalar(name: str) -> None:
    wanted, value, expected = COERCIONS[name]
    found = coerced(value, (wanted,))
    assert (found, type(found)) == (expected, type(expected))


@pytest.mark.parametrize("name", STUBBORN)
def test_what_spells_nothing_of_the_wanted_type_stays_as_it_is(name: str) -> None:
    wanted, value = STUBBORN[name]
    assert coerced(value, (wanted,)) is value


def test_only_declared_scalars_at_the_top_are_coerced() -> None:
    checker = contract().checker("JudgeCriteriaRequest")
    body = {"criterion_id": 1, "output": {"role": 2}, "other": 3}
    assert checker.coerced(body) == {"criterion_id": "1", "output": {"role": 2}, "other": 3}
    assert checker.coerced([1]) == [1]


@thorough
@given(anything)
def test_coercion_never_fails_whatever_the_members_are(value: Json) -> None:
    members = ("model", "n", "stream", "temperature", "messages", "metadata", "stop", "x")
    chat_checker = contract().checker("ChatCompletionRequest")
    assert chat_checker.coerced(dict.fromkeys(members, value)).keys() == set(members)
    assert contract().checker("JudgeCriteriaRequest").coerced({"criterion_id": value})
