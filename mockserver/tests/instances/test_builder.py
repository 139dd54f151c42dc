"""Instances of schemas: valid, readable, the same everywhere, and found or given up soon."""

import json
import re
import socket
import string
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import jsonschema
import jsonschema_rs
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openpipe_mock.core import patterns
from openpipe_mock.instances import documents, scalars, validators
from openpipe_mock.instances.builder import MOST_BUILDS, BadSchema, SchemaError, Unbuildable, Variants, build
from tests.instances.schemas import (
    DRAFT_7,
    HOSTILE,
    REALISTIC,
    B,
    I,
    N,
    S,
    array,
    nest,
    obj,
    optional,
    ref,
)
from tests.profiles import examples
from tests.speed import unit

SEED = b"seed"
DRAFT_4 = "http://json-schema.org/draft-04/schema#"
META = "https://json-schema.org/draft/2020-12/schema"
LIMIT = 30
"""Units of work that no build may exceed: half a second."""


def verdicts(schema: Any) -> Iterator[Callable[[Any], bool]]:
    """Two implementations' opinions, formats asserted or not; Python's `re` knows no Unicode properties."""
    yield jsonschema_rs.validator_for(schema).is_valid
    yield jsonschema_rs.validator_for(schema, validate_formats=True).is_valid
    if r"\p{" not in json.dumps(schema):
        yield jsonschema.validators.validator_for(schema, default=jsonschema.Draft202012Validator)(
            schema
        ).is_valid


def valid(schema: Any, value: Any) -> bool:
    return all(is_valid(value) for is_valid in verdicts(schema))


KINDS = "abcdefghijklmnop"


def case(kind: str) -> Any:
    return {"if": {"properties": {"kind": {"const": kind}}}, "then": {"required": [f"x{kind}"]}}


READABLE: list[tuple[Any, Any]] = [
    # type
    (True, "example text"),
    ({}, "example text"),
    (S, "example text"),
    (I, 1),
    (N, 1.5),
    (B, True),
    ({"type": "null"}, None),
    ({"type": "array"}, ["example text"]),
    ({"type": "object"}, {}),
    ({"type": ["null", "integer"]}, 1),
    ({"type": ["boolean", "string"]}, True),
    # const, default, examples, enum
    ({"const": {"b": 1, "a": 2}}, {"b": 1, "a": 2}),
    ({"type": "string", "default": "this", "examples": ["that"]}, "this"),
    ({"type": "string", "default": 5, "examples": [6, "that"]}, "that"),
    ({"type": "integer", "minimum": 3, "default": 2}, 3),
    ({"enum": ["low", "high"]}, "low"),
    ({"enum": ["low", "high"], "default": "high"}, "high"),
    ({"enum": ["low", "high"], "default": "middle"}, "low"),
    ({"enum": ["low", 7, None], "type": "integer"}, 7),
    ({"anyOf": [S, {"type": "null"}], "default": None}, None),
    ({"type": "array", "items": S, "default": []}, []),
    ({"type": "object", "properties": {"a": I}, "default": {"a": "no integer"}}, {"a": 1}),
    ({"allOf": [{"enum": [1, 2, 3]}, {"enum": [3, 2]}]}, 2),
    # strings
    (obj({"city": S}), {"city": "example city"}),
    (obj({"firstName": S}), {"firstName": "example first name"}),
    (obj({"tags": array(S)}), {"tags": ["example tag"]}),
    ({"type": "string", "minLength": 20}, "example text example"),
    ({"type": "string", "minLength": 13}, "example text."),
    ({"type": "string", "maxLength": 8}, "example"),
    ({"type": "string", "maxLength": 4}, "abc"),
    ({"type": "string", "minLength": 5, "maxLength": 5}, "abcde"),
    ({"type": "string", "maxLength": 0}, ""),
    ({"type": "string", "format": "date"}, "2024-01-15"),
    ({"type": "string", "format": "time"}, "09:30:00Z"),
    ({"type": "string", "format": "date-time"}, "2024-01-15T09:30:00Z"),
    ({"type": "string", "format": "duration"}, "P1D"),
    ({"type": "string", "format": "email"}, "alex@example.com"),
    ({"type": "string", "format": "idn-email"}, "alex@example.com"),
    ({"type": "string", "format": "hostname"}, "example.example.com"),
    ({"type": "string", "format": "idn-hostname"}, "example.example.com"),
    ({"type": "string", "format": "ipv4"}, "192.0.2.1"),
    ({"type": "string", "format": "ipv6"}, "2001:db8::1"),
    ({"type": "string", "format": "uri"}, "https://example.com/example"),
    ({"type": "string", "format": "uri-reference"}, "/example"),
    ({"type": "string", "format": "uri-template"}, "https://example.com/example/{id}"),
    ({"type": "string", "format": "uuid"}, "00000000-0000-4000-8000-000000000001"),
    ({"type": "string", "format": "json-pointer"}, "/example"),
    ({"type": "string", "format": "relative-json-pointer"}, "0/example"),
    ({"type": "string", "format": "regex"}, "^example$"),
    ({"type": "string", "format": "unheard-of"}, "example text"),
    ({"type": "string", "format": "email", "pattern": r"@corp\.com$"}, "abc@corp.com"),
    ({"type": "string", "contentMediaType": "application/json"}, "1"),
    ({"type": "string", "contentEncoding": "base64"}, "ZXhhbXBsZQ=="),
    ({"type": "string", "pattern": r"^[A-Z]{2}-\d{4}$"}, "AB-1234"),
    ({"type": "string", "pattern": "^[a-z]+$", "minLength": 6, "maxLength": 6}, "abcdef"),
    # numbers
    ({"type": "integer", "minimum": 5}, 5),
    ({"type": "integer", "exclusiveMinimum": 5}, 6),
    ({"type": "integer", "maximum": -5}, -5),
    ({"type": "integer", "exclusiveMaximum": 0}, -1),
    ({"type": "integer", "minimum": -3, "maximum": 0}, 0),
    ({"type": "integer", "multipleOf": 7, "minimum": 20}, 21),
    ({"allOf": [{"multipleOf": 4}, {"multipleOf": 6}], "type": "integer"}, 12),
    ({"type": "number", "multipleOf": 0.01}, 1.5),
    ({"type": "number", "multipleOf": 0.3}, 1.5),
    ({"type": "number", "minimum": 0, "maximum": 1}, 0.5),
    ({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 0.1}, 0.05),
    ({"type": "number", "minimum": 10}, 10.5),
    ({"type": "number", "maximum": -10}, -10.5),
    ({"type": "number", "minimum": 4, "maximum": 4}, 4.0),
    ({"type": "number", "minimum": 1e308}, 1e308),
    ({"type": "integer", "minimum": 1e30}, 1e30),
    # objects
    (obj({"b": S, "a": I}, ["a"]), {"b": "example b", "a": 1}),
    ({"type": "object", "required": ["x"]}, {"x": "example x"}),
    ({"type": "object", "allOf": [{"required": []}, {"required": []}]}, {}),
    (obj({"a": S, "b": False}, []), {"a": "example a"}),
    ({"type": "object", "additionalProperties": I}, {"key": 1}),
    ({"type": "object", "additionalProperties": I, "minProperties": 2}, {"key": 1, "key2": 2}),
    ({"type": "object", "patternProperties": {"^x-": I}}, {"x-abc": 1}),
    (
        {"type": "object", "patternProperties": {"^x$": I, "^y$": S}, "minProperties": 2},
        {"x": 1, "y": "sample value"},
    ),
    (
        {"type": "object", "patternProperties": {"^x": False, "^y": S}, "minProperties": 1},
        {"yabc": "sample value"},
    ),
    (
        {"type": "object", "patternProperties": {r"^(a)\1$": {}, "^y": S}, "minProperties": 1},
        {"yabc": "sample value"},
    ),
    ({"type": "object", "properties": {"x-a": {}}, "patternProperties": {"^x-": I}}, {"x-a": 1}),
    ({"type": "object", "propertyNames": {"maxLength": 3}, "minProperties": 1}, {"abc": "example value"}),
    (obj({"a": S, "b": S, "c": S}, ["c"], maxProperties=2), {"a": "example a", "c": "example c"}),
    (
        obj({"a": S}, [], unevaluatedProperties=False, allOf=[{"properties": {"b": I}}]),
        {"a": "example a", "b": 1},
    ),
    # arrays
    (array(S, minItems=3), ["example text", "sample text", "amber text"]),
    (array(S, maxItems=0), []),
    (array(B, minItems=2, uniqueItems=True), [True, False]),
    (array(False), []),
    ({"type": "array", "minItems": 2.0, "maxItems": 1e300}, ["example text", "sample text"]),
    ({"type": "string", "minLength": 13.0, "maxLength": 20.0}, "example text."),
    (obj({"a": S}, [], minProperties=2.0, maxProperties=1e300), {"a": "example a", "key": "example value"}),
    ({"type": "array", "prefixItems": [S, I]}, ["example text", 1]),
    ({"type": "array", "prefixItems": [S], "items": I, "minItems": 3}, ["example text", 1, 2]),
    (array(I, contains={"const": 1}, maxContains=1, minItems=3), [1, 2, 3]),
    (array(I, contains={"const": 1}, minContains=0), [1]),
    ({"type": "array", "prefixItems": [S, I], "unevaluatedItems": False}, ["example text", 1]),
    # contains
    (array(I, contains={"const": 7}), [7]),
    (array(I, contains={"minimum": 100}, minContains=2, maxContains=2, minItems=4), [100, 101, 3, 4]),
    ({"type": "array", "prefixItems": [S, B], "contains": {"const": 5}}, ["example text", True, 5]),
    ({"type": "array", "prefixItems": [S, I], "contains": I, "items": False}, ["example text", 1]),
    (array(I, contains={"const": 5}, maxItems=1, allOf=[{"contains": I}]), [5]),
    ({"type": ["array", "string"], "contains": {"$ref": "#"}}, ["example text"]),
    (
        obj({"a": array(S, contains={"pattern": "^x"}, uniqueItems=True, minItems=2)}),
        {"a": ["xabc", "sample a"]},
    ),
    # conditions
    ({"if": S, "then": {"minLength": 13}}, "example text."),
    ({"if": {"const": 1}, "then": False, "else": {"minLength": 13}}, "example text."),
    ({"if": S, "else": I}, "example text"),
    ({"then": I, "else": I}, "example text"),
    (
        obj(
            {"kind": {"enum": ["a", "b"]}, "x": S},
            ["kind"],
            **{"if": {"properties": {"kind": {"const": "b"}}}, "then": {"required": ["y"]}},
        ),
        {"kind": "b", "x": "example x", "y": "example y"},
    ),
    (
        obj({"kind": {"enum": list(KINDS)}}, allOf=[case(kind) for kind in KINDS]),
        {"kind": "a", "xa": "example xa"},
    ),
    (
        obj({"kind": {"enum": ["a", "b"]}}, allOf=[case(str(number)) for number in range(300)]),
        {"kind": "a"},
    ),
    # members that others require
    (obj({"a": S}, [], dependentRequired={"a": ["b"]}), {"a": "example a", "b": "example b"}),
    (obj({"a": S}, dependentRequired={"a": ["b"], "b": ["c"]}), {name: f"example {name}" for name in "abc"}),
    (obj({"a": S, "b": I}, dependentRequired={"a": ["b"]}, maxProperties=2), {"a": "example a", "b": 1}),
    (obj({"a": S}, [], dependentRequired={"a": ["b"]}, maxProperties=1), {}),
    (obj({"a": S}, [], dependentRequired={"a": ["b"]}, additionalProperties=False), {}),
    (
        obj({"a": S}, [], allOf=[{"dependentRequired": {"a": [name]}} for name in "bc"]),
        {name: f"example {name}" for name in "abc"},
    ),
    (
        {"$schema": DRAFT_7, **obj({"a": S}, [], dependencies={"a": ["b"], "b": {"required": ["a"]}})},
        {"a": "example a", "b": "example b"},
    ),
    # unions
    ({"anyOf": [I, S]}, 1),
    ({"anyOf": [{"type": "string", "minLength": 3, "maxLength": 2}, I]}, 1),
    ({"type": "string", "oneOf": [{"format": "email"}, {"minLength": 30}]}, "alex@example.com"),
    ({"oneOf": [{"required": ["a"]}, {"required": ["b"]}], **obj({"a": S, "b": S}, [])}, {"a": "example a"}),
    ({"allOf": [S, {"maxLength": 5}, {"minLength": 5}]}, "abcde"),
    ({"allOf": [{"type": ["integer", "number"]}, {"type": ["integer", "object"]}], "minimum": 2}, 2),
    ({"allOf": [{"type": ["object", "integer"]}, {"type": ["number", "string"]}]}, 1),
    ({"allOf": [N, I]}, 1),
    ({"not": N, "type": ["integer", "boolean"]}, True),
    # a plainer or another draft is tried if the first isn't valid
    ({"not": False}, "example text"),
    ({"oneOf": [I, N]}, 2.5),
    ({"type": "integer", "not": {"const": 1}}, 19),
    ({"not": {"required": ["a"]}, **obj({"a": S, "b": I}, [])}, {}),
    ({"anyOf": [S, obj({"a": I})], "examples": [{"a": "1"}, {"a": 2}]}, "example text"),
    ({"$schema": DRAFT_7, "not": {"items": [S], "type": "array"}}, "example text"),
    ({"anyOf": [S, {"enum": [1, 2]}], "default": 2}, 2),
    ({"anyOf": [S, {"enum": [1, 2]}], "default": 3}, "example text"),
    # references
    ({"$defs": {"a": I}, "$ref": "#/$defs/a"}, 1),
    ({"definitions": {"a": I}, "$ref": "#/definitions/a"}, 1),
    ({"$defs": {"a": {"$anchor": "here", **I}}, "$ref": "#here"}, 1),
    ({"$defs": {"a": {"$id": "A", **S}, "b": I}, "$ref": "#/$defs/b"}, 1),
    ({"$defs": {"a": {"$id": "A", "$defs": {"b": I}, "$ref": "#/$defs/b"}, "b": S}, "$ref": "A"}, 1),
    (
        {"$defs": {"a": {"$id": "A", "$anchor": "b", **I}, "b": {"$anchor": "b", **S}}, "$ref": "#b"},
        "example text",
    ),
    ({"components": {"a": ref("b", "components"), "b": I}, **ref("a", "components")}, 1),
    ({"x-example": {"$ref": "no/where", "$dynamicRef": "#a", "pattern": "(", "type": 5}, **I}, 1),
    ({"$defs": {"a": {"$id": "Named", **I}}, **obj({"a": {"$ref": "Named"}})}, {"a": 1}),
    ({"$id": "https://example.com/a", "$ref": "#/$defs/a", "$defs": {"a": I}}, 1),
    ({"$defs": {"a": {"id": "no name", **I}}, "$ref": "#/$defs/a"}, 1),
    ({"$id": "Node", **obj({"v": I, "kids": array({"$ref": "Node"})})}, {"v": 1, "kids": []}),
    ({"allOf": [I, S, {"$ref": "#/allOf/0"}][::2]}, 1),
    (obj({"v": I, "next": optional({"$ref": "#"})}, ["v", "next"]), {"v": 1, "next": None}),
    (obj({"v": I, "next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}}), {"v": 1, "next": None}),
    (obj({"v": I, "next": {"$ref": "#"}}, ["v"]), {"v": 1}),
    (obj({"kids": array({"$ref": "#"})}), {"kids": []}),
    (
        obj(
            {"v": {"anyOf": [ref("a"), B]}},
            **{"$defs": {a: ref(b) for a, b in pairwise("abcdef")} | {"f": I}},
        ),
        {"v": 1},
    ),
    (obj({"by": {"type": "object", "additionalProperties": {"$ref": "#"}}}), {"by": {}}),
]


class TestReadable:
    @pytest.mark.parametrize(("schema", "expected"), READABLE, ids=lambda value: json.dumps(value)[:60])
    def test_the_first_variant_is_plain(self, schema: Any, expected: Any) -> None:
        value = build(schema, SEED)
        assert orjson.dumps(value) == orjson.dumps(expected), value
        assert valid(schema, value)

    def test_members_follow_properties(self) -> None:
        assert list(build(obj({"z": S, "a": S, "m": S}, ["m", "q", "a"]), SEED)) == ["z", "a", "m", "q"]

    def test_the_schema_is_not_lent_out(self) -> None:
        schema = {"const": [1]}
        build(schema, SEED).append(2)
        assert build(schema, SEED) == [1]

    def test_optional_members_stop_at_some_depth_and_size(self) -> None:
        value = build(HOSTILE["optional members doubling"], SEED)
        assert set(value) == {"a", "b"}
        assert len(orjson.dumps(value)) < 10_000


class TestRealistic:
    def test_there_are_enough(self) -> None:
        assert len(REALISTIC) >= 100

    @pytest.mark.parametrize("name", REALISTIC)
    def test_every_variant_is_valid(self, name: str) -> None:
        schema = REALISTIC[name]
        opinions = list(verdicts(schema))
        for variant in range(5):
            value = build(schema, SEED, variant)
            assert all(is_valid(value) for is_valid in opinions), value


class TestVariants:
    def test_ten_choices_are_ten_instances(self) -> None:
        schema = obj({"name": S, "age": I})
        assert len({orjson.dumps(build(schema, SEED, variant)) for variant in range(10)}) == 10

    @pytest.mark.parametrize(
        ("schema", "count"),
        [
            (S, 100),
            (I, 100),
            ({"type": "string", "format": "email"}, 100),
            ({"enum": ["a", "b", "c"]}, 3),
            ({"enum": ["a", "b", "c"], "default": "b"}, 3),
            (B, 2),
            ({"type": "integer", "minimum": 1, "maximum": 6}, 6),
            (obj({"a": B, "b": {"enum": [1, 2, 3]}, "c": B}), 12),
            ({"type": "string", "maxLength": 2}, 100),
            ({"type": "string", "pattern": "^[ab]-[0-9]$"}, 20),
            ({"type": "string", "pattern": "^(yes|no|maybe)$"}, 3),
            ({"type": "string", "examples": ["a", "b"]}, 3),
            ({"anyOf": [{"const": 1}, {"const": 2}, {"const": 3}]}, 3),
            ({"type": ["integer", "boolean"]}, 4),
            (array({"const": 1}), 3),
        ],
        ids=lambda value: json.dumps(value)[:50],
    )
    def test_as_many_differ_as_there_are(self, schema: Any, count: int) -> None:
        values = [build(schema, SEED, variant) for variant in range(count)]
        assert len({orjson.dumps(value) for value in values}) == count
        assert all(valid(schema, value) for value in values)

    def test_the_seed_changes_variants_but_not_the_plain_one(self) -> None:
        schema = obj({"name": S, "age": I})
        assert build(schema, b"one") == build(schema, b"two")
        assert build(schema, b"one", 1) != build(schema, b"two", 1)

    def test_variants_stay_small(self) -> None:
        assert all(build(I, SEED, variant) <= 24 for variant in range(24))


DETERMINED = """
import hashlib, sys, orjson
from openpipe_mock.instances.builder import build
from tests.instances.schemas import REALISTIC
values = [build(schema, b"seed", variant) for schema in REALISTIC.values() for variant in (0, 1, 7)]
sys.stdout.write(hashlib.sha256(orjson.dumps(values)).hexdigest())
"""
FROZEN = "9ef452bc7c1267fdffec3fee654f8710d37eae81e5d5ea01a095c8db18d123c6"
"""The digest of all those values, on every machine: who changes a value changes it on purpose."""


class TestDeterminism:
    @pytest.mark.slow
    def test_the_same_in_every_process(self) -> None:
        digests = {
            subprocess.run(
                [sys.executable, "-c", DETERMINED],
                env={"PYTHONHASHSEED": str(seed), "PYTHONPATH": str(Path(documents.__file__).parents[2])},
                capture_output=True,
                check=True,
                text=True,
            ).stdout
            for seed in (0, 1, 4_242)
        }
        assert digests == {FROZEN}

    def test_what_was_built_before_does_not_matter(self) -> None:
        schema = REALISTIC["large"]
        first = build(schema, SEED, 3)
        build(schema, SEED, 4)
        validators.read_schema.cache_clear()
        assert build(schema, SEED, 3) == first


UNBUILDABLE: list[tuple[Any, str, str]] = [
    (False, "false", ""),
    ({"title": "x", "description": "x" * documents.MOST_SCHEMA_BYTES}, "description", ""),
    ("x" * documents.MOST_SCHEMA_BYTES, "type", ""),
    (
        {"type": "integer", "allOf": [{"multipleOf": prime} for prime in range(2, 1000)]},
        "multipleOf",
        "/allOf/681",
    ),
    ({"not": {}}, "not", "/not"),
    ({"not": True}, "not", "/not"),
    ({"type": "string", "allOf": [{"format": "ipv4"}, {"format": "ipv6"}]}, "format", "/allOf/1"),
    ({"allOf": [S, I]}, "type", "/allOf/1"),
    ({"allOf": [{"const": 1}, {"const": 2}]}, "const", "/allOf/1"),
    ({"type": "integer", "minimum": 5, "maximum": 3}, "maximum", ""),
    ({"type": "integer", "exclusiveMinimum": 1, "exclusiveMaximum": 2}, "exclusiveMaximum", ""),
    ({"type": "string", "minLength": 10**9}, "minLength", ""),
    ({"type": "string", "minLength": 3, "maxLength": 2}, "maxLength", ""),
    ({"type": "string", "pattern": "(?!)"}, "pattern", ""),
    ({"type": "string", "pattern": r"^(a)\1$"}, "pattern", ""),
    ({"type": "string", "format": "ipv4", "pattern": "^x"}, "pattern", ""),
    ({"type": "string", "not": {"format": "email"}}, "not", ""),
    ({"type": "array", "minItems": 10**9}, "minItems", ""),
    ({"type": "array", "minItems": 2, "maxItems": 1}, "minItems", ""),
    ({"type": "array", "contains": {}, "maxItems": 0}, "contains", ""),
    (array(B, minItems=3, uniqueItems=True), "uniqueItems", ""),
    (array(False, minItems=1), "items", "/items"),
    ({"type": "object", "minProperties": 10**9}, "minProperties", ""),
    (
        obj({"a": S}, additionalProperties=False, minProperties=2),
        "additionalProperties",
        "/additionalProperties",
    ),
    (obj({"a": S, "b": S}, maxProperties=1), "maxProperties", ""),
    ({"type": "object", "propertyNames": {"enum": ["a"]}, "minProperties": 2}, "minProperties", ""),
    (
        {"type": "object", "patternProperties": {r"^(a)\1$": {}}, "minProperties": 1},
        "patternProperties",
        "",
    ),
    (obj({"a": False}), "properties", "/properties/a"),
    (nest(32, lambda inner: obj({"a": inner}), {"type": "object", "required": ["a"]}), "false", ""),
    (obj({"a": {"$ref": "#"}}), "properties", "/properties/a"),
    ({**obj({"a": I}), "if": {"minProperties": 1}, "then": False}, "then", "/then"),
    (obj({"a": {"oneOf": [I, I]}}), "oneOf", "/properties/a"),
    (obj({"a": {"oneOf": [I, I], "enum": [1, 2]}}), "oneOf", "/properties/a"),
    ({"enum": [1, 2], "type": "string"}, "enum", ""),
    (
        {
            "x": nest(30, lambda inner: {"x": inner}, {"title": "x" * (documents.MOST_SCHEMA_BYTES // 15)}),
            "allOf": [{"$ref": "#" + "/x" * at} for at in range(30, 0, -1)],
        },
        "$ref",
        "/x" * 15,
    ),
    ({"enum": [1, 2], "multipleOf": 3}, "multipleOf", ""),
    ({"type": "number", "multipleOf": 1e-300, "minimum": 1e300}, "multipleOf", ""),
]


LEFT_OUT: list[tuple[Any, str, str]] = [
    ({"type": "array", "contains": False}, "contains", ""),
    (obj({"a": S}, dependentSchemas={"a": {"required": ["b"]}}), "required", "/dependentSchemas/a"),
    ({"not": S}, "not", ""),
    ({"not": {"not": I}}, "not", ""),
    ({"type": "integer", "not": {"type": "integer"}}, "not", ""),
    ({"unevaluatedProperties": I, "type": "object", "minProperties": 1}, "unevaluatedProperties", ""),
    ({"oneOf": [obj({"a": S}, []), obj({"b": S}, [])]}, "oneOf", ""),
    (array(I, contains=S), "contains", ""),
    (array(I, contains=I, minContains=10**9), "contains", ""),
    (array(I, contains=I, maxContains=1, minItems=2), "contains", ""),
    ({"type": "integer", "if": {"maximum": 0}, "then": False, "else": {"maximum": 0}}, "then", "/then"),
]
"""Valid schemas whose keywords the builder doesn't aim at, so that no draft passes the check."""


class TestUnbuildable:
    @pytest.mark.parametrize(
        ("schema", "keyword", "pointer"), UNBUILDABLE + LEFT_OUT, ids=lambda value: str(value)[:60]
    )
    def test_it_names_what_could_not_be_met(self, schema: Any, keyword: str, pointer: str) -> None:
        with pytest.raises(Unbuildable) as caught:
            build(schema, SEED)
        assert (caught.value.keyword, caught.value.pointer) == (keyword, pointer)
        assert str(caught.value).endswith(".")


class TestPresets:
    @pytest.mark.parametrize("variant", range(3))
    @pytest.mark.parametrize(
        ("schema", "preset"),
        [
            ({"type": "object", "minProperties": 1, "unevaluatedProperties": I}, {"a": 2}),
            ({"not": {"type": "string"}}, 5),
            (obj({"a": S}, dependentSchemas={"a": {"required": ["b"]}}), {"a": "x", "b": "y"}),
        ],
        ids=lambda value: str(value)[:40],
    )
    def test_a_default_helps_where_nothing_is_built(self, schema: Any, preset: Any, variant: int) -> None:
        assert build({**schema, "default": preset}, SEED, variant) == preset
        assert build({**schema, "examples": [preset]}, SEED, variant) == preset
        assert build(obj({"in": {**schema, "default": preset}}), SEED, variant) == {"in": preset}


BAD: list[tuple[Any, str, str]] = [
    ([], "type", ""),
    ("string", "type", ""),
    (None, "type", ""),
    ({"const": object()}, "type", ""),
    ({"const": "\ud800"}, "type", ""),
    ({"type": "text"}, "type", ""),
    ({"properties": {"a": {"type": 5}}}, "type", "/properties/a"),
    ({"properties": {"a": 5}}, "properties", ""),
    ({"allOf": [{}, {"minimum": "1"}]}, "minimum", "/allOf/1"),
    ({"allOf": []}, "allOf", ""),
    ({"allOf": [5]}, "allOf", ""),
    ({"required": "a"}, "required", ""),
    ({"required": [1]}, "required", ""),
    ({"pattern": "("}, "pattern", ""),
    ({"patternProperties": {"(": {}}}, "patternProperties", ""),
    ({"$ref": 5}, "$ref", ""),
    ({"$id": 5}, "$id", ""),
    ({"properties": {"a": {"$ref": "#/$defs/b"}}}, "$ref", "/properties/a"),
    ({"properties": {"a": {"$ref": "#b"}}}, "$ref", "/properties/a"),
    ({"allOf": [{}], "$ref": "#/allOf/1"}, "$ref", ""),
    ({"allOf": [{}], "$ref": "#/allOf/x"}, "$ref", ""),
    ({"$ref": "#/title/x", "title": "text"}, "$ref", ""),
    ({"$ref": "other.json"}, "$ref", ""),
    ({"$ref": META}, "$ref", ""),
    (obj({"a": {"anyOf": [{"$ref": META}, I]}}), "$ref", "/properties/a/anyOf/0"),
    ({"$defs": {"a": {"$id": "/address", **I}}, "$ref": "/address"}, "$ref", ""),
    ({"$defs": {"a": {"$id": "A", **I}, "b": {"$id": "A"}}, "$ref": "A"}, "$id", "/$defs/a"),
    ({"$defs": {"a": {"$id": "A", **ref("b")}, "b": I}, "$ref": "A"}, "$ref", "/$defs/a"),
    ({"$defs": {"a": {"$id": "A", "$anchor": "b", **I}}, "$ref": "#b"}, "$ref", ""),
    ({"x": {"a": {"type": 5}}, "$ref": "#/x/a"}, "type", "/x/a"),
    ({"x": {"not": {"$ref": "#/x", "anyOf": False}}, "not": {"$ref": "#/x"}}, "anyOf", "/x/not"),
    (
        {"$schema": DRAFT_4, "$defs": {"a": {"not": {**ref("a"), "anyOf": 5}}}, "not": ref("a")},
        "anyOf",
        "/$defs/a/not",
    ),
    ({"x": 5, "not": {"$ref": "#/x"}}, "x", ""),
    ({"items": [S], "prefixItems": [S]}, "items", ""),
    ({"exclusiveMinimum": True}, "exclusiveMinimum", ""),
    ({"$schema": META, "items": [S]}, "items", ""),
    ({"$defs": {"a": {"$id": "a", **I}, "b": {"$id": "a", **S}}}, "$id", "/$defs/a"),
    (
        {"$id": "https://example.com/a", "$ref": "https://example.com/a#/$defs/a", "$defs": {"a": S}},
        "$ref",
        "",
    ),
    (
        obj({"a": array({"$dynamicRef": "#node"})}, **{"$dynamicAnchor": "node"}),
        "$dynamicRef",
        "/properties/a/items",
    ),
    (obj({"a": {"$recursiveRef": "#"}}), "$recursiveRef", "/properties/a"),
    ({"$ref": "http://[::1"}, "$ref", ""),
    ({"$id": "http://example.com/", "$ref": "http://[::1", "unevaluatedItems": False}, "$ref", ""),
    ({"$ref": "file:///etc/hostname"}, "$ref", ""),
    ({"$id": "file:///etc/", "$ref": "hostname"}, "$ref", ""),
    ({"$schema": "https://example.com/schema"}, "$schema", ""),
    ({"$id": "http://[::1"}, "$id", ""),
    ({"unevaluatedProperties": False, "allOf": 5}, "allOf", ""),
]


def spelt(value: Any) -> str:
    """A value as text, without the address of an object: the processes that share a run must agree."""
    return re.sub(r"0x[0-9a-f]+", "", ascii(value))


OWN_NAMES = (
    {"properties": {"a": {"$id": "#/properties/a", **S}}, "required": ["a"]},
    {"$defs": {"A": {"$id": "https://example.com/a.json", **I}}, "properties": {"x": S}, "required": ["x"]},
    {
        "$defs": {"A": {"$id": "https://example.com/a", **I}},
        "properties": {"x": {"$ref": "https://example.com/a"}},
    },
    {"definitions": {"X": {"$id": "#X", **S}}, "properties": {"x": {"$ref": "#X"}}, "required": ["x"]},
    {"$schema": DRAFT_4, "definitions": {"a": {"id": "http://x/", **S}}, "properties": {"x": I}},
)
"""Schemas as generators and older drafts name their parts."""


@pytest.mark.parametrize("schema", OWN_NAMES, ids=lambda schema: next(iter(schema)))
def test_parts_may_have_names_of_their_own(schema: Any) -> None:
    older = {} if "$defs" in schema else {"$schema": DRAFT_7}
    schema = {**older, **schema, "type": "object"}
    assert valid(schema, build(schema, SEED))


OLDER: list[tuple[Any, Any, list[Any]]] = [
    (
        {"type": "array", "items": [S, I], "additionalItems": False, "minItems": 2},
        ["example text", 1],
        [jsonschema_rs.Draft201909Validator, jsonschema_rs.Draft7Validator, jsonschema.Draft7Validator],
    ),
    (
        {"components": {"a": {"type": "array", "items": [I]}}, **obj({"a": ref("a", "components")})},
        {"a": [1]},
        [jsonschema_rs.Draft7Validator, jsonschema.Draft7Validator],
    ),
    (
        obj({"a": {"minimum": 5, "exclusiveMinimum": True, **I}, "b": {"exclusiveMaximum": False, **I}}),
        {"a": 6, "b": 1},
        [],
    ),
    (
        obj(
            {
                "a": {"maximum": 0, "exclusiveMaximum": True, **I},
                "b": {"minimum": 7, "exclusiveMinimum": False, **I},
            }
        ),
        {"a": -1, "b": 7},
        [jsonschema_rs.Draft4Validator, jsonschema.Draft4Validator],
    ),
    (
        obj({"a": {"enum": ["x"]}}, [], dependencies={"a": ["b"]}),
        {"a": "x", "b": "example b"},
        [jsonschema_rs.Draft7Validator, jsonschema.Draft7Validator],
    ),
]
"""Schemas that don't say their draft, in an older spelling, and the validators of older drafts."""


@pytest.mark.parametrize(("schema", "expected", "older"), OLDER, ids=str)
def test_older_spelling_is_understood(schema: Any, expected: Any, older: list[Any]) -> None:
    assert build(schema, SEED) == expected
    for variant in range(5):
        value = build(schema, SEED, variant)
        assert all(validator(schema).is_valid(value) for validator in older)


UNHEARD_OF = {
    "http://json-schema.org/draft-04/schema#": ["contains", "propertyNames", "if", "then"],
    "http://json-schema.org/draft-06/schema#": ["if", "then", "else"],
    DRAFT_7: ["prefixItems", "dependentRequired", "dependentSchemas", "unevaluatedItems"],
    "https://json-schema.org/draft/2019-09/schema": ["prefixItems"],
}


@pytest.mark.parametrize("draft", UNHEARD_OF)
def test_what_a_draft_does_not_know_may_be_anything(draft: str) -> None:
    schema = {"$schema": draft, **dict.fromkeys(UNHEARD_OF[draft], 5), "minItems": 1, "minProperties": 1}
    for kind in ("array", "object"):
        assert valid({**schema, "type": kind}, build({**schema, "type": kind}, SEED))


def test_only_its_own_draft_counts() -> None:
    schema = {"description": f"as in {DRAFT_4}", **obj({"a": {"id": "b", **S}, "b": {"id": "b", **I}})}
    assert build(schema, SEED) == {"a": "example a", "b": 1}


BOTH = [
    (
        {"type": "string", "minLength": 3, "maxLength": 2},
        '"minLength" and "maxLength" at the top of the schema',
    ),
    ({"allOf": [S, I]}, '"type" at /allOf/0 and "type" at /allOf/1'),
    ({"allOf": [{"const": 1}, {"enum": [2]}]}, '"const" at /allOf/0 and "enum" at /allOf/1'),
    (
        {"exclusiveMinimum": 5, "allOf": [{"maximum": 5, **I}]},
        '"exclusiveMinimum" at the top of the schema and "maximum" at /allOf/0',
    ),
    ({"const": 1, "type": "string"}, '"type" and "const" at the top of the schema'),
    (
        {"allOf": [{"enum": [1, 2]}, {"multipleOf": 3}]},
        '"enum" at /allOf/0 and "multipleOf" at /allOf/1',
    ),
    ({"type": "array", "minItems": 2, "maxItems": 1}, '"maxItems" and "minItems" at the top of the schema'),
    (obj({"a": S, "b": S}, maxProperties=1), '"required" and "maxProperties" at the top of the schema'),
    (
        obj({"a": S}, ["b"], additionalProperties=False),
        '"required" at the top of the schema and "additionalProperties" at /additionalProperties',
    ),
    (
        obj({"a": S}, dependentRequired={"a": ["b"]}, additionalProperties=False),
        '"required" at the top of the schema and "additionalProperties" at /additionalProperties',
    ),
]


@pytest.mark.parametrize(("schema", "both"), BOTH, ids=lambda value: str(value)[:40])
def test_a_contradiction_names_both_sides(schema: Any, both: str) -> None:
    with pytest.raises(Unbuildable) as caught:
        build(schema, SEED)
    assert both in str(caught.value)
    assert caught.value.hopeless


@pytest.mark.parametrize("schema", [{"type": "string", "not": S}, {"type": "string", "minLength": 10**9}])
def test_what_may_have_a_value_is_not_hopeless(schema: Any) -> None:
    with pytest.raises(Unbuildable) as caught:
        build(schema, SEED)
    assert not caught.value.hopeless


class TestBadSchema:
    @pytest.mark.parametrize(
        ("schema", "keyword", "pointer"), BAD, ids=lambda value: re.sub(r"0x[0-9a-f]+", "", ascii(value))[:60]
    )
    def test_it_names_the_place(self, schema: Any, keyword: str, pointer: str) -> None:
        with pytest.raises(BadSchema) as caught:
            build(schema, SEED)
        assert (caught.value.keyword, caught.value.pointer) == (keyword, pointer)
        assert str(caught.value).endswith(".")

    @pytest.mark.parametrize(
        ("schema", "told"),
        [
            ({"exclusiveMinimum": True}, 'true beside "minimum"'),
            ({"required": True}, "expected a list of the names of members"),
            ({"type": "any"}, "expected the name of a JSON type"),
        ],
    )
    def test_it_says_what_older_spellings_need(self, schema: Any, told: str) -> None:
        with pytest.raises(BadSchema, match=told):
            build(schema, SEED)

    @pytest.mark.parametrize("keyword", ["$ref", "$schema", "$dynamicRef"])
    def test_nothing_is_fetched(self, keyword: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            server.settimeout(0.05)
            uri = f"http://127.0.0.1:{server.getsockname()[1]}/schema.json"
            for schema in ({keyword: uri}, {"$id": uri, "properties": {"a": {keyword: "other.json"}}}):
                with suppress(SchemaError):
                    build({**schema, "required": ["a"], "type": "object"}, SEED)
            with pytest.raises(TimeoutError):
                server.accept()

    def test_no_file_is_read(self, tmp_path: Path) -> None:
        file = tmp_path / "schema.json"
        file.write_text('{"const": "read"}')
        with pytest.raises(BadSchema):
            build({"$ref": file.as_uri()}, SEED)


def seconds(schema: Any) -> float:
    """Processor time of one cold build; it has to end in an instance or in words."""
    validators.read_schema.cache_clear()
    validators.simple_validator.cache_clear()
    begun = time.thread_time()
    try:
        value = build(schema, SEED)
    except SchemaError:
        return time.thread_time() - begun
    taken = time.thread_time() - begun
    assert jsonschema_rs.validator_for(schema).is_valid(value)
    return taken


@pytest.mark.slow
class TestHostile:
    @pytest.mark.parametrize("name", HOSTILE)
    def test_it_ends_soon(self, name: str) -> None:
        # Traced, or on a busy machine, all is slower: time is measured in units of work, and the best counts.
        assert any(seconds(HOSTILE[name]) < LIMIT * unit() for _ in range(3))

    @pytest.mark.parametrize(
        "name", ["minItems", "minLength", "minLength, often", "items doubling", "minContains"]
    )
    def test_it_needs_little_memory(self, name: str) -> None:
        tracemalloc.start()
        try:
            seconds(HOSTILE[name])
            assert tracemalloc.get_traced_memory()[1] < 50_000_000
        finally:
            tracemalloc.stop()


class TestVariantsOfOneRequest:
    def test_they_are_what_each_build_gives(self) -> None:
        schema = {"type": "object", "properties": {"name": {"type": "string"}, "age": {"type": "integer"}}}
        variants = Variants(schema, b"seed")
        assert [variants.value(number) for number in range(128)] == [
            build(schema, b"seed", number) for number in range(128)
        ]

    def test_those_of_a_hard_schema_repeat_once_the_common_budget_is_spent(self) -> None:
        hard = {"allOf": [{"type": "integer"}, {"anyOf": [{"multipleOf": n} for n in range(2, 2000)]}]}
        variants = Variants(hard, b"seed")
        values = [variants.value(number) for number in range(128)]
        assert variants.spent >= MOST_BUILDS
        assert 1 <= len(variants.made) < 128
        assert {str(value) for value in values} == {str(value) for value in variants.made}

    def test_a_number_that_finds_nothing_repeats_another(self) -> None:
        variants = Variants({"type": "string"}, b"seed")
        first = variants.value(0)
        variants.document = Variants({"not": {}}, b"seed").document
        assert variants.value(1) == first

    def test_without_any_instance_there_is_none(self) -> None:
        with pytest.raises(Unbuildable):
            Variants({"not": {}}, b"seed").value(3)


PATTERNS: list[tuple[str, str]] = [
    ("abc", "abc"),
    ("^a.c$", "aac"),
    ("^[abc]{2,3}$", "abc"),
    ("^[^abc]$", "d"),
    ("^[^a-z0-9]$", "A"),
    (r"^\d+$", "123"),
    (r"^\D$", "a"),
    (r"^\w*$", "abc"),
    (r"^\W$", "!"),
    (r"^a\sb$", "a b"),
    (r"^\S{2}$", "ab"),
    (r"^[\d\-x]$", "x"),
    (r"^[-a]$", "a"),
    (r"^[a-]$", "a"),
    (r"^[\]]$", "]"),
    (r"^a?b{2}c{1,}?d*?$", "bbc"),
    ("^(ab|cd)e$", "abe"),
    ("^(?:ab)+$", "ab"),
    ("^(?P<x>ab){2}$", "abab"),
    ("^(?<x>ab)$", "ab"),
    ("(?i)^ab$", "ab"),
    ("^(?i:ab)$", "ab"),
    ("^(|x)$", ""),
    (r"\Aab\z", "ab"),
    (r"^\bab\b$", "ab"),
    (r"^\t\n\x41\u0042\u{43}\.\/$", "\t\nABC./"),
    (r"^\p{Lu}\p{Ll}\p{L}\p{N}$", "Aaa1"),
    ("^[à-ÿ]{3}$", "àáâ"),
    ("^(?=.*[0-9])[a-z0-9]{4}$", "a0b1"),
    ("^foo", "fooabc"),
]


class TestPatterns:
    @pytest.mark.parametrize(("pattern", "expected"), PATTERNS)
    def test_the_first_text(self, pattern: str, expected: str) -> None:
        assert patterns.text_for_pattern(pattern, 0) == expected
        assert validators.matches(pattern, expected)

    @pytest.mark.parametrize(
        ("pattern", "least", "most", "expected"),
        [
            ("^[a-z]+-[0-9]+$", 9, 9, "abcde-123"),
            ("^[a-z]{2,}$", 0, 2, "ab"),
            ("^(ab)*$", 6, 6, "ababab"),
            ("^(abc|d)$", 0, 1, "d"),
            ("^x", 4, 4, "xabc"),
            ("x", 3, 3, "abx"),
            ("^x$", 5, 9, "x"),
        ],
    )
    def test_lengths_are_met_where_the_pattern_allows(
        self, pattern: str, least: int, most: int, expected: str
    ) -> None:
        assert patterns.text_for_pattern(pattern, 0, least, most) == expected

    @pytest.mark.parametrize(
        "pattern",
        [
            "(",
            "a)",
            "[a",
            "a\\",
            r"\cA",
            r"(a)\1",
            r"\p{Greek}",
            r"\P{L}",
            "[^\\w\\W]",
            "a{20000}",
            "(a{9999}){9}",
        ],
    )
    def test_other_syntax_is_unsupported(self, pattern: str) -> None:
        with pytest.raises(patterns.Unsupported):
            patterns.text_for_pattern(pattern, 0)

    def test_nesting_is_bounded(self) -> None:
        with pytest.raises(patterns.Unsupported):
            patterns.text_for_pattern("(" * 50 + ")" * 50, 0)

    @given(st.integers(0, 10**6))
    @settings(max_examples=examples(50))
    def test_every_number_gives_a_match(self, number: int) -> None:
        for pattern in (r"^[\w.+-]+@[\w-]+\.[a-z]{2,}$", "^(a|b[0-9]{1,3}|c*)+$", r"^\+?[1-9]\d{1,14}$"):
            assert validators.matches(pattern, patterns.text_for_pattern(pattern, number))


class TestScalars:
    @given(st.sampled_from(sorted(scalars.FORMATS)), st.integers(0, scalars.FEW_OPTIONS - 1))
    @settings(max_examples=examples(200))
    def test_every_format_is_met(self, name: str, number: int) -> None:
        schema = {"type": "string", "format": name}
        value = scalars.FORMATS[name](number)
        assert jsonschema_rs.Draft202012Validator(schema, validate_formats=True).is_valid(value), value


NAMES = st.text(string.ascii_letters + "_/~ ", max_size=8)


def bounded_integers() -> st.SearchStrategy[tuple[Any, Any]]:
    """A whole number, and a schema that admits it."""
    return st.builds(
        lambda value, below, above, step: (
            value * step,
            {
                "type": "integer",
                "minimum": value * step - below,
                "maximum": value * step + above,
                "multipleOf": step,
            },
        ),
        st.integers(-1000, 1000),
        st.integers(0, 50),
        st.integers(0, 50),
        st.integers(1, 9),
    )


def bounded_strings() -> st.SearchStrategy[tuple[Any, Any]]:
    return st.builds(
        lambda value, below, above: (
            value,
            {"type": "string", "minLength": max(0, len(value) - below), "maxLength": len(value) + above},
        ),
        st.text(string.ascii_lowercase, max_size=30),
        st.integers(0, 5),
        st.integers(0, 5),
    )


def scalar_pairs() -> st.SearchStrategy[tuple[Any, Any]]:
    plain = st.sampled_from(
        [("a", S), (1, I), (0.5, N), (True, B), (None, {"type": "null"}), (1, {}), (2, True)]
    )
    listed = st.lists(
        st.one_of(st.integers(-(2**63), 2**63 - 1), st.text(max_size=3)), min_size=1, max_size=4
    )
    return st.one_of(
        plain,
        bounded_integers(),
        bounded_strings(),
        listed.map(lambda values: (values[-1], {"enum": values})),
    )


def object_pair(members: dict[str, tuple[Any, Any]], closed: bool, optional: bool) -> tuple[Any, Any]:
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {name: pair[1] for name, pair in members.items()},
    }
    schema |= {"additionalProperties": False} if closed else {}
    needs = {name: list(members) for name in members}  # all or none
    schema |= (
        {"dependentRequired": needs} if optional else {"required": [*members], "minProperties": len(members)}
    )
    return {name: pair[0] for name, pair in members.items()}, schema


def array_pair(pairs: list[tuple[Any, Any]], as_prefix: bool) -> tuple[Any, Any]:
    values, schemas = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    if as_prefix or not pairs:
        return values, {"type": "array", "prefixItems": schemas, "minItems": len(values)} if pairs else {
            "maxItems": 0
        }
    return values, {
        "type": "array",
        "items": {"anyOf": schemas},
        "contains": schemas[-1],
        "minItems": len(values),
        "maxItems": len(values),
    }


def wrapped_pair(pair: tuple[Any, Any], how: str, other: Any) -> tuple[Any, Any]:
    value, schema = pair
    wrappings: dict[str, Any] = {
        "anyOf": {"anyOf": [False, other, schema]},
        "allOf": {"allOf": [True, schema]},
        "oneOf": {"oneOf": [schema, {"type": "string", "minLength": 1, "maxLength": 0}]},
        "if": {"if": schema, "then": schema, "else": False},
        "not": {"allOf": [schema], "not": {"const": "never this one"}},
    }
    return value, wrappings[how]


def pairs() -> st.SearchStrategy[tuple[Any, Any]]:
    """A value, and a schema around it that it satisfies by construction."""
    return st.recursive(
        scalar_pairs(),
        lambda inner: st.one_of(
            st.builds(object_pair, st.dictionaries(NAMES, inner, max_size=4), st.booleans(), st.booleans()),
            st.builds(array_pair, st.lists(inner, max_size=3), st.booleans()),
            st.builds(
                wrapped_pair,
                inner,
                st.sampled_from(["anyOf", "allOf", "oneOf", "not", "if"]),
                st.sampled_from([S, I, {"type": "object"}]),
            ),
        ),
        max_leaves=8,
    )


class TestProperties:
    @given(pairs(), st.integers(0, 30))
    @settings(max_examples=examples(150))
    def test_a_satisfiable_schema_is_built(self, pair: tuple[Any, Any], variant: int) -> None:
        witness, schema = pair
        assert valid(schema, witness)
        value = build(schema, SEED, variant)
        assert valid(schema, value)
        assert build(schema, SEED, variant) == value
