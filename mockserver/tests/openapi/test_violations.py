"""Why a value breaks its schema: the sentences, their order, their number, and two second opinions."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from openpipe_mock.core import wording
from openpipe_mock.core.errors import Violation
from openpipe_mock.core.wording import MOST_COUNTED, MOST_NAMES, listed, nearest, quoted, quoted_names, shown
from openpipe_mock.openapi import violations as explaining
from openpipe_mock.openapi.spec import contract, standalone
from openpipe_mock.openapi.violations import KEYWORD_RULES, Findings, SchemaPlace, gathered, violations_of
from tests.generate import anything, brief, broken, thorough, valid
from tests.inprocess import FULL, MINIMAL, having, saying

Json = Any

COMPONENTS = (
    "JudgeCriteriaRequest",
    "JudgeCriteriaResponse",
    "Error",
    "ChatCompletionRequest",
    "ChatCompletion",
    "ChatCompletionChunk",
)
ROLES = '"system", "user", "assistant", "developer", "tool" or "function"'
KNOWN = 'it knows "criterion_id", "input" and "output".'


def calling(*calls: Json) -> Json:
    return having(output={"role": "assistant", "tool_calls": list(calls)})


def user_says(*parts: Json) -> Json:
    return saying({"role": "user", "content": list(parts)})


def given_input(**members: Json) -> Json:
    return having(input={"messages": [], **members})


SENTENCES: dict[str, tuple[Json, list[str]]] = {
    "no object": ([], ["body: expected an object, got an array of 0."]),
    "null": (None, ["body: expected an object, got null."]),
    "a text": ("hi", ['body: expected an object, got the string "hi".']),
    "a boolean": (False, ["body: expected an object, got false."]),
    "nothing in it": (
        {},
        [
            '/criterion_id: the request body requires "criterion_id" (a string), which is missing.',
            '/output: the request body requires "output" (an object), which is missing.',
        ],
    ),
    "a number for a text": (
        having(criterion_id=1.5),
        ["/criterion_id: expected a string, got the number 1.5."],
    ),
    "a boolean is no number and no text": (
        having(criterion_id=True),
        ["/criterion_id: expected a string, got true."],
    ),
    "null for a required member": (having(output=None), ["/output: expected an object, got null."]),
    "input without messages": (
        having(input={}),
        ['/input/messages: "input" requires "messages" (an array), which is missing.'],
    ),
    "messages that are no list": (
        having(input={"messages": "hi"}),
        ['/input/messages: expected an array, got the string "hi".'],
    ),
    "messages that are no objects": (
        saying("hi", None, ["x"], {}),
        [
            '/input/messages/0: expected an object, got the string "hi".',
            "/input/messages/1: expected an object, got null.",
            "/input/messages/2: expected an object, got an array of 1.",
            f'/input/messages/3/role: this item requires "role" ({ROLES}), which is missing.',
        ],
    ),
    "a misspelt role": (
        saying({"role": "assitant", "content": 1}),
        [f'/input/messages/0/role: expected {ROLES}, got the string "assitant". Did you mean "assistant"?'],
    ),
    "a role in capitals": (
        saying({"role": "USER"}),
        [f'/input/messages/0/role: expected {ROLES}, got the string "USER". Did you mean "user"?'],
    ),
    "an unknown role": (
        saying({"role": "moderator"}),
        [f'/input/messages/0/role: expected {ROLES}, got the string "moderator".'],
    ),
    "a null role": (saying({"role": None}), [f"/input/messages/0/role: expected {ROLES}, got null."]),
    "a list of roles": (
        saying({"role": ["user"]}),
        [f"/input/messages/0/role: expected {ROLES}, got an array of 1."],
    ),
    "a tool message without its call": (
        saying({"role": "tool", "content": "x"}),
        [
            '/input/messages/0/tool_call_id: a "tool" message requires "tool_call_id" (a string), '
            "which is missing."
        ],
    ),
    "a function message without name and content": (
        saying({"role": "function"}),
        [
            '/input/messages/0/name: a "function" message requires "name" (a string), which is missing.',
            '/input/messages/0/content: a "function" message requires "content" (a string or null), '
            "which is missing.",
        ],
    ),
    "a tool's member in a user message": (
        saying({"role": "user", "tool_call_id": "x"}),
        [
            '/input/messages/0/tool_call_id: unknown property in a "user" message; '
            'it knows "role", "content" and "name".'
        ],
    ),
    "a member in capitals": (
        saying({"role": "user", "Content": "x"}),
        ['/input/messages/0/Content: unknown property in a "user" message; did you mean "content"?'],
    ),
    "content of a wrong type": (
        saying({"role": "assistant", "content": 5}),
        ["/input/messages/0/content: expected a string, an array or null, got the number 5."],
    ),
    "a part without its payload": (
        user_says({"type": "image_url"}),
        [
            '/input/messages/0/content/0/image_url: an "image_url" part requires "image_url" (an object), '
            "which is missing."
        ],
    ),
    "a part without a type": (
        user_says({"text": "x"}),
        [
            '/input/messages/0/content/0/type: this item requires "type" ("text", "image_url" or '
            '"input_audio"), which is missing.'
        ],
    ),
    "a part of a misspelt type": (
        user_says({"type": "txt", "text": "x"}),
        [
            '/input/messages/0/content/0/type: expected "text", "image_url" or "input_audio", '
            'got the string "txt". Did you mean "text"?'
        ],
    ),
    "a word that isn't listed": (
        user_says({"type": "image_url", "image_url": {"url": "x", "detail": "medium"}}),
        [
            '/input/messages/0/content/0/image_url/detail: expected "auto", "low" or "high", '
            'got the string "medium".'
        ],
    ),
    "a tool choice in another word": (
        given_input(tool_choice="any"),
        ['/input/tool_choice: expected "none", "auto", "required" or an object, got the string "any".'],
    ),
    "a tool choice of a wrong type": (
        given_input(tool_choice=[]),
        ['/input/tool_choice: expected "none", "auto", "required" or an object, got an array of 0.'],
    ),
    "a tool choice with a bare name": (
        given_input(tool_choice={"function": "f"}),
        ['/input/tool_choice/function: expected an object, got the string "f".'],
    ),
    "a call with all kinds of faults": (
        calling({"id": 1, "function": {"name": "f", "arguments": {}}, "extra": 1}),
        [
            '/output/tool_calls/0/type: this item requires "type" ("function"), which is missing.',
            "/output/tool_calls/0/id: expected a string, got the number 1.",
            "/output/tool_calls/0/function/arguments: expected a string, got an empty object.",
            "/output/tool_calls/0/extra: unknown property in this item; "
            'it knows "id", "function" and "type".',
        ],
    ),
    "arguments as an object": (
        calling({"id": "1", "type": "function", "function": {"name": "f", "arguments": {"a": 1, "b": 2}}}),
        ['/output/tool_calls/0/function/arguments: expected a string, got an object with "a" and "b".'],
    ),
    "an output by the user": (
        having(output={"role": "user"}),
        ['/output/role: expected "assistant", got the string "user".'],
    ),
    "content parts in the output": (
        having(output={"role": "assistant", "content": [{"type": "text", "text": "x"}]}),
        ["/output/content: expected a string or null, got an array of 1."],
    ),
    "parameters that are no object": (
        given_input(tools=[{"type": "function", "function": {"name": "f", "parameters": []}}]),
        ["/input/tools/0/function/parameters: expected an object, got an array of 0."],
    ),
    "keys that need escaping, and an empty one": (
        having(**{"a/b~c": 1, "": 2}),
        [
            f"/a~1b~0c: unknown property in the request body; {KNOWN}",
            f"/: unknown property in the request body; {KNOWN}",
        ],
    ),
    "a long text, shortened": (
        having(output="x" * 1000),
        [f'/output: expected an object, got the string "{"x" * 60}…".'],
    ),
    "faults in two places, in the body's order": (
        {"output": {"role": "assistant", "refusal": 1}, "zzz": 1, "criterion_id": 2},
        [
            "/output/refusal: expected a string or null, got the number 1.",
            f"/zzz: unknown property in the request body; {KNOWN}",
            "/criterion_id: expected a string, got the number 2.",
        ],
    ),
}


@pytest.mark.parametrize("name", SENTENCES)
def test_each_violation_is_one_sentence_with_its_place(name: str) -> None:
    body, sentences = SENTENCES[name]
    assert [str(violation) for violation in violations("JudgeCriteriaRequest", body)] == sentences


CHAT_SENTENCES: dict[str, tuple[Json, list[str]]] = {
    "too few": ({"n": 0}, ["/n: expected at least 1, got the number 0."]),
    "too many": ({"n": 129}, ["/n: expected at most 128, got the number 129."]),
    "no whole number": ({"n": 1.5}, ["/n: expected a whole number or null, got the number 1.5."]),
    "an item of a list": ({"stop": ["x", 1]}, ["/stop/1: expected a string, got the number 1."]),
    "no branch": ({"stop": 1}, ["/stop: expected a string, an array or null, got the number 1."]),
    "an unlisted word of a union": (
        {"function_call": "maybe"},
        ['/function_call: expected "none", "auto", an object or null, got the string "maybe".'],
    ),
    "a format without its schema": (
        {"response_format": {"type": "json_schema"}},
        [
            '/response_format/json_schema: a "json_schema" part requires "json_schema" (an object), '
            "which is missing."
        ],
    ),
    "values of a map": (
        {"metadata": {"a": 1, "b/c": {}}},
        [
            "/metadata/a: expected a string or null, got the number 1.",
            "/metadata/b~1c: expected a string or null, got an empty object.",
        ],
    ),
    "an open object lets others in": ({"service_tier": "auto"}, []),
}


@pytest.mark.parametrize("name", CHAT_SENTENCES)
def test_the_chat_request_is_explained_in_the_same_way(name: str) -> None:
    members, sentences = CHAT_SENTENCES[name]
    body = {"model": "m", "messages": [], **members}
    assert [str(violation) for violation in violations("ChatCompletionRequest", body)] == sentences


SMALL_SCHEMAS: dict[str, tuple[Mapping[str, Any], Json, str]] = {
    "minimum": ({"minimum": 1}, 0, "expected at least 1, got the number 0."),
    "maximum": ({"maximum": 1}, 1.5, "expected at most 1, got the number 1.5."),
    "minItems": ({"minItems": 2}, [1], "expected at least 2 items, got an array of 1."),
    "maxItems": ({"maxItems": 1}, [1, 2], "expected at most 1 item, got an array of 2."),
    "minLength": ({"minLength": 1}, "", 'expected at least 1 character, got the string "".'),
    "maxLength": ({"maxLength": 1}, "ab", 'expected at most 1 character, got the string "ab".'),
}


@pytest.mark.parametrize("keyword", SMALL_SCHEMAS)
def test_a_bound_speaks_of_what_it_measures_and_of_nothing_else(keyword: str) -> None:
    schema, bad, sentence = SMALL_SCHEMAS[keyword]
    assert [violation.sentence for violation in violations_of(schema, bad, SchemaPlace({}))] == [sentence]
    assert [violation.rule for violation in violations_of(schema, bad, SchemaPlace({}))] == [keyword]
    others: tuple[Json, ...] = (None, True, False, {}, "1", [1], 1)
    for other in others:
        assert Draft202012Validator(schema).is_valid(other) is not any(
            violations_of(schema, other, SchemaPlace({}))
        )


@pytest.mark.parametrize(("option", "other"), [(1, True), (True, 1), (0, False), (False, 0), ("1", 1)])
def test_an_enum_tells_numbers_from_booleans_and_texts(option: Json, other: Json) -> None:
    assert not any(violations_of({"enum": [option]}, option, SchemaPlace({})))
    [violation] = violations_of({"enum": [option]}, other, SchemaPlace({}))
    assert violation.rule == "enum"
    assert not Draft202012Validator({"enum": [option]}).is_valid(other)


ANNOTATIONS = {
    "$comment",
    "contentMediaType",
    "contentSchema",
    "default",
    "deprecated",
    "description",
    "example",
    "examples",
    "title",
}
UNION = {"anyOf", "$ref"}
IN_TYPE = {"properties", "additionalProperties"}


def subschemas(schema: Json, where: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """A schema and all schemas inside it, with their places."""
    yield where, schema
    for name, member in schema.get("properties", {}).items():
        yield from subschemas(member, f"{where}/properties/{name}")
    for index, branch in enumerate(schema.get("anyOf", ())):
        yield from subschemas(branch, f"{where}/anyOf/{index}")
    for keyword in ("items", "additionalProperties"):
        if isinstance(schema.get(keyword), Mapping):
            yield from subschemas(schema[keyword], f"{where}/{keyword}")


@cache
def all_schemas() -> list[tuple[str, Mapping[str, Any]]]:
    components = contract().document["components"]["schemas"]
    return [found for name, schema in components.items() for found in subschemas(schema, name)]


def constraining(schema: Mapping[str, Any]) -> set[str]:
    return {keyword for keyword in schema if keyword not in ANNOTATIONS and not keyword.startswith("x-")}


def test_every_constraining_keyword_of_the_contract_has_a_rule() -> None:
    used = {keyword for _, schema in all_schemas() for keyword in constraining(schema)}
    assert used - set(KEYWORD_RULES) - UNION - IN_TYPE == set()
    assert {"anyOf", "enum", "required", "items", "minimum"} <= used  # what the walk is sure to meet


def test_a_union_or_reference_carries_no_other_constraint_since_those_would_be_passed_over() -> None:
    for where, schema in all_schemas():
        for keyword in UNION & set(schema):
            assert constraining(schema) == {keyword}, where


def test_members_are_declared_only_beside_a_type_since_the_type_calls_their_rule() -> None:
    for where, schema in all_schemas():
        assert "type" in schema or not IN_TYPE & set(schema), where


def test_missing_members_come_first_then_all_else_in_the_order_in_which_it_was_sent() -> None:
    body = {"zz": 1, "input": {"tools": 5, "messages": 5}, "aa": 1}
    assert [violation.pointer for violation in violations("JudgeCriteriaRequest", body)] == [
        "/criterion_id",
        "/output",
        "/zz",
        "/input/tools",
        "/input/messages",
        "/aa",
    ]


class Counted(list[Json]):
    """A list that counts how many of its items were looked at."""

    def __init__(self, items: list[Json]) -> None:
        super().__init__(items)
        self.looked_at = 0

    def __iter__(self) -> Iterator[Json]:
        for item in super().__iter__():
            self.looked_at += 1
            yield item


LISTS: dict[str, Callable[[Json], Json]] = {
    "messages": lambda many: having(input={"messages": many}),
    "tools": lambda many: given_input(tools=many),
    "content parts": lambda many: saying({"role": "user", "content": many}),
    "tool calls": lambda many: saying({"role": "assistant", "tool_calls": many}),
}


@pytest.mark.parametrize("place", LISTS)
def test_of_100_000_violations_only_the_first_thousand_and_some_are_looked_at(place: str) -> None:
    many = Counted([1] * 100_000)
    checker = contract().checker("JudgeCriteriaRequest")
    found = gathered(checker.violations(LISTS[place](many)), 20)
    assert len(found.shown) == 20
    assert found.issues()[20] == "and at least 1000 more"
    assert many.looked_at < 2000


MANY_UNKNOWN: dict[str, Callable[[dict[str, Json]], Json]] = {
    "the body": lambda many: having(**many),
    "a message": lambda many: saying({"role": "user", "content": "x", **many}),
    "the output": lambda many: having(output={"role": "assistant", **many}),
}


@pytest.mark.parametrize("place", MANY_UNKNOWN)
def test_of_a_thousand_unknown_members_only_those_shown_are_put_into_words(
    place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(explaining, "nearest", lambda word, known: asked.append(word))
    many = {f"member{number}": 1 for number in range(MOST_COUNTED)}
    found = gathered(contract().checker("JudgeCriteriaRequest").violations(MANY_UNKNOWN[place](many)), 20)
    assert asked == []
    assert found.issues()[20] == "and 980 more"
    assert asked == list(many)[:20]


def test_a_misspelt_value_is_compared_only_where_it_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(wording, "nearest", lambda word, known: asked.append(word))
    many = saying(*({"role": f"usr{number}", "content": "x"} for number in range(500)))
    found = gathered(contract().checker("JudgeCriteriaRequest").violations(many), 3)
    assert len(found.issues()) == 4
    assert asked == ["usr0", "usr1", "usr2"]


def test_what_is_put_into_words_later_speaks_of_its_own_place() -> None:
    """All of them are there before the first is read."""
    body = having(ouput=1, criterion=2, output={"rol": 1, "contents": 2})
    found = violations("JudgeCriteriaRequest", body)
    assert [str(violation) for violation in found] == [
        '/output/role: "output" requires "role" ("assistant"), which is missing.',
        '/output/rol: unknown property in "output"; did you mean "role"?',
        '/output/contents: unknown property in "output"; did you mean "content"?',
        '/ouput: unknown property in the request body; did you mean "output"?',
        '/criterion: unknown property in the request body; did you mean "criterion_id"?',
    ]


class Names(dict[str, Json]):
    """An object that counts how many of its members were looked at."""

    looked_at = 0

    def __iter__(self) -> Iterator[str]:
        for name in super().__iter__():
            self.looked_at += 1
            yield name


@pytest.mark.parametrize("number", range(1, MOST_NAMES + 4))
def test_an_object_is_shown_by_its_names(number: int) -> None:
    value = {f'k"{each}': 1 for each in range(number)}
    assert quoted_names(value) == listed(map(quoted, value), "and")
    assert shown(value) == f"an object with {quoted_names(value)}"


def test_of_an_object_with_many_members_only_those_shown_are_looked_at() -> None:
    many = Names({f"k{number}": 1 for number in range(100_000)})
    assert shown(many).endswith('"k9", "k10" and 99989 more')
    assert many.looked_at <= MOST_NAMES


def test_of_two_branches_that_both_fit_neither_is_listed_to_its_end() -> None:
    lists = {"anyOf": [{"type": "array", "items": {"type": kind}} for kind in ("string", "boolean")]}
    many = Counted([1] * 100_000)
    assert sum(1 for _ in violations_of(lists, many, SchemaPlace({}))) > MOST_COUNTED
    assert many.looked_at < 5 * MOST_COUNTED


def test_of_many_unknown_members_the_first_thousand_may_be_a_misspelt_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(explaining, "nearest", lambda word, known: asked.append(word))
    schema = {"properties": {}, "additionalProperties": False, "oneOf": [{"required": ["score"]}]}
    found = violations_of(schema, {f"k{number}": 1 for number in range(5000)}, SchemaPlace({}))
    assert [violation.pointer for violation in found if violation.rule == "required"] == [""]
    assert len(asked) == MOST_COUNTED


NAME = st.text("abAB1-_é", max_size=9)


@thorough
@given(word=NAME, known=st.lists(NAME, max_size=14))
def test_the_nearest_name_is_the_one_that_difflib_finds(word: str, known: list[str]) -> None:
    names = {name.lower(): name for name in known}
    [near] = get_close_matches(word.lower(), names, n=1, cutoff=0.6) or [""]
    assert (nearest(word, known) or "") == names.get(near, "")


@pytest.mark.parametrize("word", ["criteron-57", "criterion-57", "CRITERION-5", "helpful", "", "criterion"])
def test_among_a_thousand_names_the_nearest_is_the_same(word: str) -> None:
    names = [f"criterion-{number}" for number in range(MOST_COUNTED)]
    assert nearest(word, names) == next(iter(get_close_matches(word.lower(), names, n=1)), None)


def test_names_that_are_none_and_words_that_are_too_long_are_near_to_nothing() -> None:
    assert nearest("a", [None, 5, "a"]) == "a"
    assert nearest(5, ["a"]) is None
    assert nearest("a" * 61, ["a" * 61]) is None


def test_findings_tell_what_they_cut_off() -> None:
    every = tuple(Violation(f"/{number}", "type", "wrong.") for number in range(25))
    assert gathered(iter(every), 20) == Findings(every[:20], 5)
    assert gathered(iter(every), 20).issues()[19:] == ["/19: wrong.", "and 5 more"]
    assert gathered(iter(every), 20).headline() == "/0: wrong. (and 24 more)"
    assert gathered(iter(every[:1]), 20).headline() == "/0: wrong."
    assert gathered(iter(every[:20]), 20) == Findings(every[:20], 0)
    assert gathered(iter([]), 20) == Findings((), 0)


HOSTILE_KEYS = ("k" * 1_000_000, "\x00\x1b[31m\n", "~1/~0", "", "😀" * 100, "\u202e\u2028", "output" * 50)


CONTROL = re.compile("[\\x00-\\x1f]")


@pytest.mark.parametrize("number", range(len(HOSTILE_KEYS)))
def test_a_hostile_key_gives_a_short_sentence(number: int) -> None:
    key = HOSTILE_KEYS[number]
    found = violations("JudgeCriteriaRequest", having(**{key: 1}))
    assert [pointed_at(violation, having(**{key: 1})) for violation in found] == [1]
    assert all(len(str(violation)) < 500 for violation in found)
    assert not any(CONTROL.search(violation.sentence) for violation in found)


@pytest.mark.parametrize("number", range(len(HOSTILE_KEYS)))
def test_a_hostile_value_gives_a_short_sentence(number: int) -> None:
    value = HOSTILE_KEYS[number]
    for body in (
        having(output=value),
        having(output=[value] * 9),
        having(output={"role": value}),
        having(criterion_id={value: value}),
        having(criterion_id={f"{value}{number}": 1 for number in range(100)}),
        saying({"role": value}),
    ):
        found = violations("JudgeCriteriaRequest", body)
        assert found
        for violation in found:
            assert len(violation.sentence) < 2000
            assert not CONTROL.search(violation.sentence)


@pytest.mark.slow
@pytest.mark.parametrize("component", COMPONENTS)
def test_three_judges_agree_on_generated_values(component: str) -> None:
    @thorough
    @given(valid(component) | broken(component))
    def agree(value: Json) -> None:
        checker = contract().checker(component)
        verdict = checker.is_valid(value)
        assert independent(component).is_valid(value) is verdict
        assert (not list(checker.violations(value))) is verdict

    agree()


@pytest.mark.slow
@pytest.mark.parametrize("component", COMPONENTS)
def test_generated_values_are_valid_and_many_broken_ones_are_not(component: str) -> None:
    """Otherwise the agreement of the judges would be worth little."""
    verdicts: list[bool] = []

    @brief
    @given(valid(component), broken(component))
    def judge(right: Json, wrong: Json) -> None:
        assert contract().checker(component).is_valid(right)
        verdicts.append(contract().checker(component).is_valid(wrong))

    judge()
    assert verdicts.count(False) > len(verdicts) // 4


@thorough
@given(anything)
def test_three_judges_agree_on_any_json(value: Json) -> None:
    for component in COMPONENTS:
        checker = contract().checker(component)
        assert independent(component).is_valid(value) is checker.is_valid(value)
        assert (not list(checker.violations(value))) is checker.is_valid(value)


@thorough
@given(broken("JudgeCriteriaRequest"))
def test_every_pointer_leads_to_a_place_in_the_body_or_to_what_is_missing_there(value: Json) -> None:
    for violation in violations("JudgeCriteriaRequest", value):
        pointed_at(violation, value)


@thorough
@given(broken("ChatCompletionRequest"))
def test_every_pointer_into_a_chat_request_leads_somewhere_too(value: Json) -> None:
    for violation in violations("ChatCompletionRequest", value):
        pointed_at(violation, value)


@thorough
@given(broken("JudgeCriteriaRequest"))
def test_every_violation_is_a_sentence_of_its_own(value: Json) -> None:
    found = violations("JudgeCriteriaRequest", value)
    assert len(set(map(str, found))) == len(found)
    for violation in found:
        assert violation.sentence.endswith((".", "?"))
        assert "under any of the given schemas" not in violation.sentence


def test_full_and_minimal_requests_have_nothing_wrong() -> None:
    assert violations("JudgeCriteriaRequest", dict(FULL)) == []
    assert violations("JudgeCriteriaRequest", dict(MINIMAL)) == []


def violations(component: str, value: Json) -> list[Violation]:
    return list(contract().checker(component).violations(value))


@cache
def independent(component: str) -> Draft202012Validator:
    """The same schema in the hands of another library."""
    return Draft202012Validator(standalone(component, contract().document))


def pointed_at(violation: Violation, value: Json) -> Json:
    """What a violation's pointer leads to; None for a missing member. Fails where it leads nowhere."""
    steps = [step.replace("~1", "/").replace("~0", "~") for step in violation.pointer.split("/")[1:]]
    for place, step in enumerate(steps):
        if isinstance(value, dict) and step not in value:
            assert violation.rule == "required", violation
            assert place == len(steps) - 1, violation
            return None
        assert isinstance(value, dict | list), json.dumps(violation.pointer)
        value = value[int(step)] if isinstance(value, list) else value[step]
    assert violation.rule != "required", violation
    return value
