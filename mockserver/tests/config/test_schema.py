"""The schema of the config file: that it is one, that editors are served, and that its explanation agrees."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any, get_args, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from openpipe_mock.answers.judge import REFERENCE
from openpipe_mock.config import file as configfile
from openpipe_mock.config.file import schema
from openpipe_mock.config.settings import Overrides, Settings
from openpipe_mock.openapi.shapes import chooses, resolve
from openpipe_mock.openapi.violations import KEYWORD_RULES, SchemaPlace, declarations, violations_of
from tests.configurations import PARTS, wrong
from tests.generate import anything, brief, thorough
from tests.openapi.test_violations import ANNOTATIONS, IN_TYPE, UNION, pointed_at

Json = Any
Schema = Mapping[str, Any]

PLAIN = ("string", "integer", "boolean")
WORDS = {
    "patternErrorMessage",
    "errorMessage",
    "goneMessages",
    "numberMessage",
    "rangeMessage",
    "writeOnly",
    "$schema",
    "$defs",
}
IN_MEMBERS = IN_TYPE | {"patternProperties"}
IN_IF = {"then", "else"}
OF_SCHEMAS = ("properties", "patternProperties", "$defs")
OF_ONE = ("items", "additionalProperties", "propertyNames", "then", "else")


def subschemas(within: Schema, where: str = "") -> Iterator[tuple[str, Schema]]:
    """A schema and all schemas inside it that values are explained with, with their places."""
    yield where, within
    for keyword in OF_SCHEMAS:
        for name, inner in within.get(keyword, {}).items():
            yield from subschemas(inner, f"{where}/{keyword}/{name}")
    for keyword in OF_ONE:
        if isinstance(within.get(keyword), Mapping):
            yield from subschemas(within[keyword], f"{where}/{keyword}")
    if not chooses(within):
        for index, inner in enumerate(within["anyOf"]):
            yield from subschemas(inner, f"{where}/anyOf/{index}")


EVERY = dict(subschemas(schema()))


def constraining(within: Schema) -> set[str]:
    return set(within) - ANNOTATIONS - WORDS


def explained(part: str, value: Json) -> list[str]:
    found = violations_of(configfile.part_schema(part), value, SchemaPlace(schema(), noun="it"))
    return [str(violation) for violation in found]


def test_it_is_a_schema() -> None:
    Draft202012Validator.check_schema(schema())
    assert schema()["$schema"].endswith("2020-12/schema")
    assert schema()["title"] == configfile.DEFAULT_FILE


def test_each_constraining_keyword_has_a_rule() -> None:
    used = {keyword for within in EVERY.values() for keyword in constraining(within)}
    assert used - set(KEYWORD_RULES) - UNION - IN_MEMBERS - IN_IF == set()
    assert {"anyOf", "oneOf", "if", "dependentSchemas", "propertyNames", "patternProperties"} <= used


def test_a_union_or_reference_carries_no_other_constraint_since_those_would_be_passed_over() -> None:
    for where, within in EVERY.items():
        for keyword in UNION & set(within):
            alone = constraining(within) == {keyword}
            assert alone or (keyword == "anyOf" and chooses(within)), where


def test_what_its_rules_take_for_granted_holds() -> None:
    for where, within in EVERY.items():
        assert "type" in within or not IN_MEMBERS & set(within), where
        for branch in within.get("oneOf", ()):
            assert branch.keys() == {"required"}, where
        for branch in within.get("dependentSchemas", {}).values():
            assert chooses(branch), where
            assert branch.keys() <= {"anyOf", "properties"}, where
            assert all(member is False for member in branch.get("properties", {}).values()), where


def test_each_object_is_closed_or_a_map() -> None:
    for where, within in EVERY.items():
        if within.get("type") == "object" and "if" not in within and not where.endswith("arguments/anyOf/0"):
            assert "additionalProperties" in within, where


def test_each_key_is_described_and_each_default_is_right() -> None:
    for path, member in declarations(schema()):
        told = member.get("description", resolve(member, schema()).get("description", ""))
        assert re.fullmatch(r"[A-Z0-9].*\.", told, re.DOTALL), path
        for example in [*member.get("examples", ()), *[member[key] for key in ("default",) if key in member]]:
            assert [*violations_of(member, example, SchemaPlace(schema()))] == [], path


def test_what_beats_a_file_are_the_keys_with_a_plain_value() -> None:
    plain = {name for name, member in schema()["properties"].items() if member.get("type") in PLAIN}
    beating, settings = get_type_hints(Overrides), get_type_hints(Settings)
    assert beating.keys() == plain - {"version"} | {"variant"}
    for name, kind in beating.items():
        assert kind == settings[name] | None, name


def test_a_setting_has_the_words_and_the_default_of_its_key() -> None:
    members = schema()["properties"]
    for field in fields(Settings):
        if words := members.get(field.name, {}).get("enum"):
            kinds = get_args(field.type) if field.default is not None else get_args(get_args(field.type)[0])
            assert (list(kinds), field.default) == (words, members[field.name].get("default")), field.name


def test_a_rule_is_a_form_with_a_condition() -> None:
    form, rule = schema()["$defs"]["form"], schema()["$defs"]["rule"]
    assert list(rule["properties"]) == ["when", *form["properties"]]
    for keyword in ("oneOf", "dependentRequired", "dependentSchemas"):
        assert rule[keyword] == form[keyword]


@thorough
@given(st.text(max_size=6) | st.sampled_from(["x" * 200, "x" * 201, "a\x85b", "\ufeff", "a\u2028b", "a@b"]))
def test_the_ids_that_may_be_declared_are_those_that_can_be_asked_for(name: str) -> None:
    match = REFERENCE.fullmatch(name)
    declarable = configfile.shape_validator("").is_valid({"criteria": {name: {"score": 1}}})
    assert declarable is (match is not None and match["version"] is None)


@pytest.mark.parametrize("part", PARTS)
def test_right_values_are_accepted(part: str) -> None:
    @brief
    @given(PARTS[part])
    def accepted(value: Json) -> None:
        assert explained(part, value) == []
        assert configfile.shape_validator(part).is_valid(value)

    accepted()


@pytest.mark.slow
@pytest.mark.parametrize("part", PARTS)
def test_a_value_is_refused_exactly_if_something_is_wrong_with_it(part: str) -> None:
    verdicts: list[bool] = []

    @thorough
    @given(wrong(PARTS[part]))
    def agree(value: Json) -> None:
        verdicts.append(configfile.shape_validator(part).is_valid(value))
        found = explained(part, value)
        assert (not found) is verdicts[-1], found

    agree()
    assert verdicts.count(False) > len(verdicts) // 4


@thorough
@given(anything)
def test_any_json_is_refused_exactly_if_something_is_wrong_with_it(value: Json) -> None:
    for part in PARTS:
        assert (not explained(part, value)) is configfile.shape_validator(part).is_valid(value)


@pytest.mark.slow
@thorough
@given(wrong(PARTS[""]))
def test_each_violation_is_a_sentence_of_its_own_and_leads_somewhere(value: Json) -> None:
    found = list(violations_of(schema(), value, SchemaPlace(schema(), noun="the file")))
    assert len(set(map(str, found))) == len(found)
    for violation in found:
        assert violation.sentence.endswith((".", "?"))
        if violation.rule != "required":
            pointed_at(violation, value)


SMALL: dict[str, tuple[Schema, Json, list[str]]] = {
    "a constant": ({"const": 1}, 2, ["body: expected 1, got the number 2."]),
    "a constant is no boolean": ({"const": 1}, True, ["body: expected 1, got true."]),
    "a constant with words": (
        {"const": 1, "errorMessage": "expected one"},
        None,
        ["body: expected one, got null."],
    ),
    "a pattern": (
        {"type": "string", "pattern": "^a"},
        "b",
        ['body: expected a string that matches ^a, got the string "b".'],
    ),
    "a pattern is of texts": ({"pattern": "^a"}, 1, []),
    "a secret": (
        {"type": "string", "pattern": "^a", "writeOnly": True},
        "b",
        ["body: expected a string that matches ^a, got something else."],
    ),
    "a secret of another type": (
        {"type": "string", "writeOnly": True},
        123,
        ["body: expected a string, got something else."],
    ),
    "names": (
        {"propertyNames": {"type": "string", "maxLength": 1}},
        {"a": 1, "bc": 2},
        ['/bc: expected at most 1 character, got the string "bc".'],
    ),
    "names are those of objects": ({"propertyNames": {"maxLength": 1}}, "abc", []),
    "too few keys": ({"minProperties": 1}, {}, ["body: expected at least 1 key, got an empty object."]),
    "members by pattern": (
        {
            "type": "object",
            "properties": {"a": {}},
            "patternProperties": {"^x": {"type": "string"}},
            "additionalProperties": False,
        },
        {"a": 1, "x1": 2, "b": 3},
        [
            "/x1: expected a string, got the number 2.",
            '/b: unknown property in the request body; it knows "a".',
        ],
    ),
    "if without else": ({"if": {"required": ["a"]}, "then": {"required": ["b"]}}, {}, []),
    "then": (
        {"if": {"required": ["a"]}, "then": {"required": ["b"]}},
        {"a": 1},
        ['/b: the request body requires "b" (any value), which is missing.'],
    ),
    "one of several, and there is none": (
        {"oneOf": [{"required": ["a"]}, {"required": ["b"]}]},
        {"c": 1},
        ['body: the request body requires exactly one of "a" and "b"; none is there.'],
    ),
    "one of several, and there are three": (
        {"oneOf": [{"required": ["a"]}, {"required": ["b"]}, {"required": ["c"]}]},
        {"c": 1, "a": 1, "b": 2},
        [
            '/a: "a" and "c" exclude each other; keep one of them.',
            '/b: "b" and "c" exclude each other; keep one of them.',
        ],
    ),
    "one of several in an open object, which may have a key of a similar name": (
        {"type": "object", "properties": {}, "oneOf": [{"required": ["score"]}]},
        {"scor": 1},
        ['body: the request body requires exactly one of "score"; none is there.'],
    ),
    "at least one of several": (
        {"type": "object", "anyOf": [{"required": ["a"]}, {"required": ["b"]}]},
        {},
        ['body: the request body requires at least one of "a" and "b"; none is there.'],
    ),
    "a key needs another": (
        {"dependentRequired": {"a": ["b"]}},
        {"a": 1},
        ['/a: "a" means something beside "b" only; remove it.'],
    ),
    "keys and needs are those of objects": (
        {
            "dependentRequired": {"a": ["b"]},
            "dependentSchemas": {"a": {"properties": {"b": False}}},
            "oneOf": [{"required": ["a"]}],
            "anyOf": [{"required": ["a"]}],
        },
        ["a"],
        [],
    ),
    "a key excludes another": (
        {"dependentSchemas": {"a": {"properties": {"b": False}}}},
        {"b": 1, "a": 1},
        ['/b: "b" means nothing beside "a"; remove one of them.'],
    ),
}


@pytest.mark.parametrize("name", SMALL)
def test_a_keyword_is_explained_in_one_sentence(name: str) -> None:
    within, value, sentences = SMALL[name]
    assert [str(violation) for violation in violations_of(within, value, SchemaPlace({}))] == sentences
    assert Draft202012Validator(within).is_valid(value) is (not sentences)
