"""The converter of documentation pages, on the judge page and on small pages written in its dialect."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from openapi_spec_validator import validate
from openapi_spec_validator.schemas import schema_v31

from openpipe_mock.core import yamltext
from openpipe_mock.openapi.conversion.convert import ConversionError, convert_page, differences, dump, merge
from openpipe_mock.openapi.conversion.naming import camel, element_name
from tests.generate import brief, thorough
from tests.profiles import examples

SOURCE = Path(__file__).parents[3] / "schemas/sources/judge-criteria.md"
JUDGE = "/criteria/judge"
NAMES = [
    "JudgeCriteriaRequest", "JudgeCriteriaResponse", "Error", "JudgeCriteriaInput", "Message",
    "SystemMessage", "TextPart", "UserMessage", "UserMessagePart", "ImageUrlPart", "ImageUrl",
    "InputAudioPart", "InputAudio",
    "AssistantMessage", "Audio", "AssistantMessagePart", "RefusalPart", "FunctionCall", "ToolCall",
    "ToolCallFunction", "Annotation", "UrlCitation", "DeveloperMessage", "ToolMessage", "FunctionMessage",
    "ToolChoice", "ToolChoiceFunction", "Tool", "ToolFunction", "JudgeCriteriaOutput", "JudgeCriteriaUsage",
    "ErrorIssue",
]  # fmt: skip
HOSTILE = ["&a ", "*a", "!!set ", "- ", "? ", "\t", "\x00", "`", "|"]


@cache
def judge_text() -> str:
    return SOURCE.read_text(encoding="utf-8")


@cache
def judge() -> Any:
    return convert_page(judge_text())


@cache
def judge_tree() -> Any:
    return yaml.safe_load(judge_text().split("````")[1].partition("\n")[2])


@cache
def structure_checker() -> Any:
    return jsonschema_rs.validator_for(dict(schema_v31))


def table(text: str, short: dict[str, str]) -> list[str]:
    """The lines of a table, with abbreviations written out."""
    for word, meaning in short.items():
        text = text.replace(word, meaning)
    return text.strip().splitlines()


def page(tree: Any, *, title: str = "Get Thing", opening: str = "post /things") -> str:
    """A page around a tree; JSON is YAML."""
    block = f"````yaml {opening}\n{json.dumps(tree, indent=1)}\n````"
    return f"# {title}\n\n> What it does.\n\n## OpenAPI\n\n{block}\n"


def tree(response: Any = None, *, path: str = "/things", method: str = "post", **request: Any) -> Any:
    answer = {"200": {"application/json": {"schemaArray": [response or {"type": "string"}]}}}
    return {"paths": {"path": path, "method": method, "request": request, "response": answer}}


def with_components(base: Any, **schemas: Any) -> Any:
    return base | {"components": {"schemas": schemas}}


def obj(**properties: Any) -> Any:
    return {"type": "object", "properties": properties}


def tagged(tag: str, **properties: Any) -> Any:
    return obj(type={"type": "string", "enum": [tag]}, **properties)


def converted(raw: Any, **components: Any) -> Any:
    """What a schema, as the response of a small page, becomes."""
    document = convert_page(page(with_components(tree(raw), **components)))
    return document["paths"]["/things"]["post"]["responses"]["200"]["content"]["application/json"]["schema"]


def schema_names(document: Any) -> list[str]:
    return list(document["components"]["schemas"])


def at(value: Any, pointer: str) -> Any:
    for step in pointer.split("/")[1:]:
        value = value[int(step) if isinstance(value, list) else step.replace("~1", "/").replace("~0", "~")]
    return value


def put(root: Any, pointer: str, value: Any) -> None:
    """Set what is at a pointer; one past the end of a list appends."""
    parent, _, key = pointer.rpartition("/")
    found = at(root, parent)
    if isinstance(found, list):
        found[int(key) : int(key) + 1] = [value]
    else:
        found[key.replace("~1", "/")] = value


def nodes(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in inner:
        yield from nodes(child, (*path, key))


def resolve(value: Any, path: tuple[Any, ...]) -> Any:
    for step in path:
        value = value[step]
    return value


# The judge page


def test_the_judge_page_becomes_valid_openapi() -> None:
    validate(judge())


def test_the_parts_of_the_judge_page_have_these_names_in_this_order() -> None:
    assert schema_names(judge()) == NAMES


def test_converting_is_deterministic_and_keeps_the_order_of_keys() -> None:
    assert json.dumps(convert_page(judge_text())) == json.dumps(judge())


SPOTS = [
    ("/openapi", "3.1.0"),
    ("/info/title", "Judge Criteria"),
    ("/info/description", "Get a judgement of a completion against the specified criterion"),
    ("/servers", [{"url": "https://api.openpipe.ai/api/v1"}]),
    ("/paths/~1criteria~1judge/post/operationId", "judgeCriteria"),
    ("/paths/~1criteria~1judge/post/summary", "Judge Criteria"),
    ("/paths/~1criteria~1judge/post/security", [{"Authorization": []}]),
    ("/paths/~1criteria~1judge/post/requestBody/required", True),
    (
        "/paths/~1criteria~1judge/post/requestBody/content/application~1json/examples/example/value/criterion_id",
        "<string>",
    ),
    ("/paths/~1criteria~1judge/post/responses/200/description", "Successful response"),
    (
        "/paths/~1criteria~1judge/post/responses/default/content/application~1json/schema",
        {"$ref": "#/components/schemas/Error"},
    ),
    ("/components/schemas/JudgeCriteriaRequest/required", ["criterion_id", "output"]),
    ("/components/schemas/JudgeCriteriaRequest/additionalProperties", False),
    (
        "/components/schemas/JudgeCriteriaRequest/properties/output",
        {
            "$ref": "#/components/schemas/JudgeCriteriaOutput",
            "description": "The completion message of the model.",
        },
    ),
    ("/components/schemas/Message/anyOf/5/$ref", "#/components/schemas/FunctionMessage"),
    (
        "/components/schemas/AssistantMessage/properties/audio",
        {"anyOf": [{"$ref": "#/components/schemas/Audio"}, {"type": "null"}]},
    ),
    ("/components/schemas/AssistantMessage/properties/refusal", {"type": ["string", "null"]}),
    ("/components/schemas/AssistantMessage/properties/content/default", None),
    ("/components/schemas/AssistantMessage/properties/content/anyOf/2/enum", ["null", None]),
    ("/components/schemas/AssistantMessage/properties/tool_calls/type", ["array", "null"]),
    ("/components/schemas/SystemMessage/properties/content/default", ""),
    (
        "/components/schemas/JudgeCriteriaInput/properties/tool_choice",
        {
            "anyOf": [
                {"type": "string", "enum": ["none", "auto", "required"]},
                {"$ref": "#/components/schemas/ToolChoice"},
            ],
            "description": "The tool choice to use when generating the output, if any.",
        },
    ),
    (
        "/components/schemas/ToolChoice/properties/function",
        {"$ref": "#/components/schemas/ToolChoiceFunction", "default": {"name": ""}},
    ),
    ("/components/schemas/ImageUrl/properties/detail", {"type": "string", "enum": ["auto", "low", "high"]}),
    (
        "/components/schemas/ToolFunction/properties/parameters",
        {"type": "object", "additionalProperties": {}},
    ),
    (
        "/components/securitySchemes/Authorization",
        {"type": "http", "x-source": "documented", "scheme": "bearer"},
    ),
]


@pytest.mark.parametrize(("pointer", "expected"), SPOTS, ids=[pointer for pointer, _ in SPOTS])
def test_the_judge_page_says(pointer: str, expected: Any) -> None:
    assert at(judge(), pointer) == expected


def test_no_bounds_are_invented() -> None:
    keys = {path[-1] for path in nodes(judge()["components"]) if path}
    assert not keys & {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "nullable", "allOf"}


def reverse(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: reverse(inner) for key, inner in reversed(value.items())}
    return [reverse(inner) for inner in value] if isinstance(value, list) else value


def test_the_names_do_not_depend_on_the_order_of_the_page() -> None:
    document = convert_page(
        page(reverse(judge_tree()), title="Judge Criteria", opening="post /criteria/judge")
    )
    assert document["components"] == judge()["components"]


def test_everything_says_where_it_comes_from() -> None:
    operation = judge()["paths"][JUDGE]["post"]
    carriers = [operation, *operation["responses"].values()]
    carriers += [part for section in judge()["components"].values() for part in section.values()]
    assert {carrier["x-source"] for carrier in carriers} == {"documented"}


# One schema


CONVERSIONS = """
{type: any, description: d} => {description: d}
{type: any, nullable: true} => {}
{type: string, nullable: false} => {type: string}
{type: string, nullable: true, format: date} => {type: [string, 'null'], format: date}
{type: [string, 'null'], nullable: true} => {type: [string, 'null']}
{type: [string]} => {type: string}
{type: string, enum: [a], nullable: true} => {type: [string, 'null'], enum: [a, null]}
{enum: [a, null], nullable: true} => {enum: [a, null]}
{type: string, enum: ['null']} => {type: string, enum: ['null']}
{const: 1, nullable: true, title: t} => {anyOf: [{const: 1}, {type: 'null'}], title: t}
{$ref: R, nullable: true} => {anyOf: [{$ref: R}, {type: 'null'}]}
{$ref: R, nullable: true, description: d} => {anyOf: [{$ref: R}, {type: 'null'}], description: d}
{allOf: [{$ref: R}], description: d} => {$ref: R, description: d}
{allOf: [{$ref: R}], nullable: true} => {anyOf: [{$ref: R}, {type: 'null'}]}
{anyOf: [{type: number}, <a>], nullable: true} => {anyOf: [{type: number}, <a>, {type: 'null'}]}
{oneOf: [{type: number}], nullable: true} => {anyOf: [{oneOf: [{type: number}]}, {type: 'null'}]}
{type: enum<string>, enum: [a, b], default: a} => {type: string, enum: [a, b], default: a}
{type: enum<integer>, enum: [0, 60]} => {type: integer, enum: [0, 60]}
{type: integer, minimum: 0, exclusiveMinimum: true} => {type: integer, exclusiveMinimum: 0}
{type: integer, maximum: 9, exclusiveMaximum: false} => {type: integer, maximum: 9}
{exclusiveMaximum: 1.5, multipleOf: 0.5} => {exclusiveMaximum: 1.5, multipleOf: 0.5}
{allOf: [{type: string}], title: t, maxLength: 3} => {type: string, title: t, maxLength: 3}
{allOf: [{allOf: [{type: string}]}], type: string} => {type: string}
{allOf: [{minLength: 1}, {type: string}]} => {allOf: [{minLength: 1}, {type: string}]}
{requiredProperties: [a], additionalProperties: true} => {required: [a], additionalProperties: true}
{anyOf: [<a>, {type: string, enum: [b, a]}], default: b} => {type: string, enum: [a, b], default: b}
{anyOf: [<a>, {}, <b>]} => {anyOf: [<a>, {}, <b>]}
{anyOf: [<a>, <b>], nullable: true} => {type: [string, 'null'], enum: [a, b, null]}
{anyOf: [{type: string}], type: number} => {anyOf: [{type: string}], type: number}
{items: {allOf: [{type: integer, minimum: 0}]}} => {items: {type: integer, minimum: 0}}
{example: e, examples: [f], pattern: ^a} => {example: e, examples: [f], pattern: ^a}
{x-own: {a: [1]}} => {x-own: {a: [1]}}
{type: array, refIdentifier: R} => {$ref: R}
"""
SHORT = {
    ": R": ": '#/components/schemas/R'",
    "<a>": "{type: string, enum: [a]}",
    "<b>": "{type: string, enum: [b]}",
}


@pytest.mark.parametrize("line", table(CONVERSIONS, SHORT))
def test_a_schema_becomes(line: str) -> None:
    raw, _, expected = line.partition(" => ")
    components = {} if "refIdentifier" in raw else {"R": {"type": "string"}}
    assert converted(yaml.safe_load(raw), **components) == yaml.safe_load(expected)


@pytest.mark.parametrize("extra", [{}, {"type": "string"}], ids=["without type", "with type"])
def test_the_word_null_beside_nullable_means_null_and_the_word(extra: Any) -> None:
    found = converted({"enum": ["null"], "nullable": True, **extra})
    assert found.pop("$comment").count(".") == 1
    assert found == {"enum": ["null", None]}


# A whole page


def test_a_page_with_parameters_and_statuses_becomes_valid_openapi() -> None:
    raw = tree(
        path="/runs/{run_id}",
        method="get",
        parameters={
            "path": {
                "run_id": {"schema": [{"type": "string", "required": True, "title": "Run", "format": "uuid"}]}
            },
            "query": {
                "sort": {
                    "schema": [
                        {"type": "enum<string>", "enum": ["up", "down"], "required": False, "default": "up"}
                    ],
                    "style": "form",
                    "explode": True,
                },
                "filter": {
                    "schema": [{"required": True, "deprecated": True, "description": "Which.", **obj(a={})}]
                },
            },
            "header": {},
            "cookie": {},
        },
        body={},
        codeSamples=[{"lang": "python", "source": "run()"}],
        security=[
            {
                "title": "key & sign ature",
                "parameters": {
                    "query": {"k": {"type": "apiKey"}},
                    "cookie": {"s": {"type": "apiKey", "description": "d"}},
                },
            },
            {
                "title": "Basic",
                "parameters": {"header": {"Authorization": {"type": "http", "scheme": "basic"}}},
            },
            {"title": "O", "parameters": {"header": {"Authorization": {"type": "oauth2"}}}},
            {"title": "", "parameters": {"query": {}, "header": {}, "cookie": {}}},
        ],
    )
    raw["paths"] |= {
        "deprecated": True,
        "type": "path",
        "servers": [
            {
                "url": "https://{host}",
                "description": "Ours",
                "variables": {"host": {"type": "string", "default": "a.b", "description": "h"}},
            },
        ],
    }
    raw["paths"]["response"] |= {
        "204": {
            "_mintlify/placeholder": {
                "schemaArray": [{"type": "any", "description": "Gone."}],
                "examples": {},
                "description": "Gone.",
            }
        },
        "404": {},
        "4XX": {
            "application/json": {"schemaArray": [obj(a={"type": "string"})]},
            "text/plain": {"schemaArray": [{"type": "string"}]},
        },
    }
    document = convert_page(page(raw, title="List MCP runs", opening="openapi.json GET /runs/{run_id}"))
    validate(document)
    assert document["servers"] == [
        {
            "url": "https://{host}",
            "description": "Ours",
            "variables": {"host": {"default": "a.b", "description": "h"}},
        }
    ]
    operation = document["paths"]["/runs/{run_id}"]["get"]
    assert (operation["operationId"], operation["deprecated"]) == ("listMcpRuns", True)
    assert "requestBody" not in operation
    assert operation["security"] == [{"key": [], "signature": []}, {"Basic": []}, {"O": []}, {}]
    assert document["components"]["securitySchemes"] == {
        "key": {"type": "apiKey", "x-source": "documented", "in": "query", "name": "k"},
        "signature": {
            "type": "apiKey",
            "x-source": "documented",
            "in": "cookie",
            "name": "s",
            "description": "d",
        },
        "Basic": {"type": "http", "x-source": "documented", "scheme": "basic"},
        "O": {"type": "oauth2", "x-source": "decision", "flows": {}},
    }
    assert operation["parameters"] == [
        {
            "name": "run_id",
            "in": "path",
            "required": True,
            "schema": {"type": "string", "title": "Run", "format": "uuid"},
        },
        {
            "name": "sort",
            "in": "query",
            "style": "form",
            "explode": True,
            "schema": {"type": "string", "enum": ["up", "down"], "default": "up"},
        },
        {
            "name": "filter",
            "in": "query",
            "description": "Which.",
            "required": True,
            "deprecated": True,
            "schema": {"$ref": "#/components/schemas/ListMcpRunsFilter"},
        },
    ]
    assert operation["responses"]["204"] == {"description": "Gone.", "x-source": "documented"}
    assert operation["responses"]["404"] == {"description": "", "x-source": "documented"}
    assert list(operation["responses"]["4XX"]["content"]) == ["application/json", "text/plain"]


def test_what_a_page_leaves_out_is_left_out() -> None:
    block = "{paths: {path: /chat-messages, method: post, request: {}, response: {200: {}}}}"
    text = f"# 发送消息\n```yaml post /chat-messages\n{block}\n```"
    document = convert_page(text)
    validate(document)
    assert document == {
        "openapi": "3.1.0",
        "info": {"title": "发送消息", "version": "1"},
        "paths": {
            "/chat-messages": {
                "post": {
                    "operationId": "postChatMessages",
                    "summary": "发送消息",
                    "x-source": "documented",
                    "responses": {"200": {"description": "", "x-source": "documented"}},
                }
            }
        },
    }


def test_an_empty_security_list_stays() -> None:
    assert convert_page(page(tree(security=[])))["paths"]["/things"]["post"]["security"] == []


def test_a_body_keeps_its_description_and_media_types() -> None:
    media = {"schemaArray": [{"type": "string", "required": True}], "description": "The file."}
    raw = tree(
        body={
            "text/plain": media,
            "multipart/form-data": {**media, "examples": {"e": {"value": "x", "summary": "s"}}},
        }
    )
    body = convert_page(page(raw))["paths"]["/things"]["post"]["requestBody"]
    assert body == {
        "x-source": "documented",
        "description": "The file.",
        "required": True,
        "content": {
            "text/plain": {"schema": {"type": "string"}},
            "multipart/form-data": {
                "schema": {"type": "string"},
                "examples": {"e": {"value": "x", "summary": "s"}},
            },
        },
    }


@pytest.mark.parametrize(
    ("head", "title", "description"),
    [
        ("# T\n> one\ntwo\n>\n> three\n\nfour\n", "T", "one\ntwo\n\nthree\n\nfour"),
        ("# Source: somewhere\n\n# T\n", "T", None),
        ("---\nurl: u\n---\n# T\nprose\n> d\n", "T", "d"),
        ("> ## Index\n> of pages\n\n# T\n\n> d\n", "T", "d"),
        ("# T\n\n> d\n\n```js\ncode()\n```\n", "T", "d\n\n```js\ncode()\n```"),
    ],
)
def test_title_and_description_are_read(head: str, title: str, description: str | None) -> None:
    text = "\ufeff" + head + "\n## OpenAPI\n" + page(tree()).partition("## OpenAPI")[2]
    info = convert_page(text.replace("\n", "\r\n"))["info"]
    assert (info["title"], info.get("description")) == (title, description)


# Names


def test_components_of_the_page_keep_their_names_and_share() -> None:
    error = obj(code={"type": "string"})
    raw = with_components(
        tree(obj(data={"type": "array", "items": {"$ref": "#/components/schemas/thing.v1"}}, error=error)),
        Fault=error,
        **{"thing.v1": {"$ref": "#/components/schemas/Id", "nullable": True}},
        Id={"type": "string", "title": "Id"},
        Unused=obj(inner=obj(a={})),
    )
    document = convert_page(page(raw))
    validate(document)
    assert schema_names(document) == ["GetThingResponse", "thing.v1", "Id", "Fault", "Unused", "Inner"]
    assert document["components"]["schemas"]["GetThingResponse"]["properties"] == {
        "data": {"type": "array", "items": {"$ref": "#/components/schemas/thing.v1"}},
        "error": {"$ref": "#/components/schemas/Fault"},
    }


def test_components_that_refer_to_each_other_without_end_are_kept() -> None:
    chain = {f"C{n}": obj(next={"$ref": f"#/components/schemas/C{(n + 1) % 2000}"}) for n in range(2000)}
    document = convert_page(page(with_components(tree({"$ref": "#/components/schemas/C0"}), **chain)))
    assert schema_names(document) == list(chain)


STRING, NUMBER = {"type": "string"}, {"type": "number"}
NAMINGS: dict[str, tuple[Any, list[str]]] = {
    "elements of a list and a map": (
        obj(a=obj(entries={"type": "array", "items": obj(b={})}, data={"additionalProperties": obj(c={})})),
        ["GetThingResponse", "GetThingA", "Entry", "DataItem"],
    ),
    "a list at the root": ({"type": "array", "items": obj(a=obj(b={}))}, ["GetThingResponseItem", "A"]),
    "an element of a list of lists": (
        {"type": "array", "items": {"type": "array", "items": obj(a={})}},
        ["GetThingResponseItemItem"],
    ),
    "a clash is settled by the parents": (
        obj(x=obj(meta=obj(s=STRING)), y=obj(meta=obj(n=NUMBER))),
        ["GetThingResponse", "GetThingX", "GetThingXMeta", "GetThingY", "GetThingYMeta"],
    ),
    "a clash through two levels": (
        obj(x=obj(m=obj(n=obj(s=STRING))), y=obj(m=obj(n=obj(n=NUMBER)))),
        [
            "GetThingResponse",
            "GetThingX",
            "GetThingXM",
            "GetThingXMN",
            "GetThingY",
            "GetThingYM",
            "GetThingYMN",
        ],
    ),
    "a number as the last resort": (
        {"allOf": [obj(s=STRING), obj(n=NUMBER)]},
        ["GetThingResponse", "GetThingResponse2"],
    ),
    "an optional null doesn't make another part": (
        obj(x=obj(m=obj(s=STRING)), y=obj(m={**obj(s=STRING), "nullable": True, "description": "d"})),
        ["GetThingResponse", "GetThingX", "M", "GetThingY"],
    ),
    "members of a union": (
        obj(x=obj(tools={"type": "array", "items": {"oneOf": [tagged("FLOW"), tagged("one-step", a={})]}})),
        ["GetThingResponse", "GetThingX", "Tool", "FlowTool", "OneStepTool"],
    ),
    "members of a union without tags": (
        obj(x=obj(y={"anyOf": [obj(s=STRING), obj(n=NUMBER)]})),
        ["GetThingResponse", "GetThingX", "GetThingXY", "GetThingXY2", "GetThingXY3"],
    ),
    "a union that may be null": (
        obj(x=obj(y={"anyOf": [tagged("a"), tagged("b")], "nullable": True, "title": "t"})),
        ["GetThingResponse", "GetThingX", "Y", "AY", "BY"],
    ),
    "a union at the root": (
        {"anyOf": [tagged("a"), tagged("b")], "title": "t"},
        ["GetThingResponse", "AGetThingResponse", "BGetThingResponse"],
    ),
    "a member's name is stronger than an element's": (
        obj(
            x=obj(
                one=obj(content={"items": tagged("t")}),
                two=obj(content={"items": {"anyOf": [tagged("t"), tagged("u")]}}),
            )
        ),
        ["GetThingResponse", "GetThingX", "One", "TPart", "Two", "Part", "UPart"],
    ),
    "the order of keys doesn't make another part": (
        obj(x=obj(m=obj(a=STRING, b=NUMBER)), y=obj(n={}, m=obj(b=NUMBER, a=STRING))),
        ["GetThingResponse", "GetThingX", "M", "GetThingY"],
    ),
    "a member and another part clash": (
        obj(x=obj(ys={"items": {"anyOf": [tagged("a"), tagged("b")]}}), z=obj(a_y=obj(c={}))),
        ["GetThingResponse", "GetThingX", "Y", "GetThingXAY", "BY", "GetThingZ", "GetThingZAY"],
    ),
    "a root keeps its name": (
        obj(x=obj(get_thing_response=obj(a={}))),
        ["GetThingResponse", "GetThingX", "GetThingXGetThingResponse"],
    ),
    "an identifier is the name": (
        {
            **obj(a=obj(refused=obj(b={}))),
            "refIdentifier": "#/components/schemas/Refused",
            "description": "d",
        },
        ["Refused", "GetThingA", "GetThingARefused"],
    ),
    "a property without letters": (obj(д=obj(b={})), ["GetThingResponse", "GetThingValue"]),
    "no properties, no part": ({"type": "object", "properties": {}}, []),
    "a null that an enum spells out": (
        obj(a={**obj(b={}), "type": ["object", "null"], "enum": [None]}),
        ["GetThingResponse", "GetThingA"],
    ),
    "several types beside null": (
        obj(a={**obj(b={}), "type": ["object", "string", "null"]}),
        ["GetThingResponse", "GetThingA"],
    ),
}


@pytest.mark.parametrize(("raw", "names"), NAMINGS.values(), ids=NAMINGS)
def test_parts_are_named(raw: Any, names: list[str]) -> None:
    document = convert_page(page(tree(raw)))
    validate(document)
    assert list(document.get("components", {}).get("schemas", {})) == names


def test_a_discriminator_names_the_members_and_keeps_its_mapping() -> None:
    ref = "#/components/schemas/"
    rule = {"propertyName": "kind", "mapping": {"a": ref + "A", "b": ref + "B"}}
    kinds = {name.upper(): obj(kind={"const": name}, type={"const": "no"}) for name in "ab"}
    own = {
        "oneOf": [obj(kind={"const": "c"}), obj(kind={"const": "d"})],
        "discriminator": {"propertyName": "kind"},
    }
    refs = {"oneOf": [{"$ref": ref + "A"}, {"$ref": ref + "B"}], "discriminator": rule}
    document = convert_page(page(with_components(tree(obj(x=obj(filter=refs, rule=own))), **kinds)))
    validate(document)
    assert schema_names(document) == [
        "GetThingResponse",
        "GetThingX",
        "Filter",
        "A",
        "B",
        "Rule",
        "CRule",
        "DRule",
    ]
    assert document["components"]["schemas"]["Filter"]["discriminator"] == rule


def test_different_errors_are_told_apart_by_their_status() -> None:
    raw = tree()
    for status, inner in (("400", STRING), ("404", NUMBER), ("500", STRING), ("default", {"type": "array"})):
        raw["paths"]["response"][status] = {"application/json": {"schemaArray": [obj(issue=obj(a=inner))]}}
    document = convert_page(page(raw))
    assert schema_names(document) == [
        "Error400",
        "Error404",
        "ErrorDefault",
        "Error400Issue",
        "Error404Issue",
        "ErrorDefaultIssue",
    ]


def test_different_bodies_are_told_apart_by_their_media_type() -> None:
    body = {"application/json": {"schemaArray": [obj(a={})]}, "application/xml": {"schemaArray": [obj(b={})]}}
    document = convert_page(page(tree(body=body)))
    assert schema_names(document) == ["GetThingRequestJson", "GetThingRequestXml"]


def test_a_name_of_the_page_is_not_given_to_another_part() -> None:
    raw = with_components(tree(obj(a={})), GetThingResponse={"type": "string"}, GetThingResponse200={})
    assert schema_names(convert_page(page(raw))) == [
        "GetThingResponse2002",
        "GetThingResponse",
        "GetThingResponse200",
    ]


@pytest.mark.parametrize(
    ("text", "name"),
    [("image_url", "ImageUrl"), ("protocolSettings", "ProtocolSettings"), ("API KEY", "ApiKey"), ("é", "")],
)
def test_camel(text: str, name: str) -> None:
    assert camel(text) == name


@pytest.mark.parametrize(
    ("noun", "one"),
    [
        ("ToolCalls", "ToolCall"),
        ("Entries", "Entry"),
        ("Addresses", "Address"),
        ("Boxes", "Box"),
        ("Batches", "Batch"),
        ("Statuses", "Status"),
        ("Children", "Child"),
        ("Content", "Part"),
        ("Status", "StatusItem"),
        ("Access", "AccessItem"),
        ("Data", "DataItem"),
        ("Messages", "Message"),
    ],
)
def test_singular(noun: str, one: str) -> None:
    assert element_name(noun) == one


# Refusals


def block(text: str) -> str:
    return f"# T\n```yaml get /a\n{text}\n```"


def refusal(text: str) -> str:
    with pytest.raises(ConversionError) as caught:
        convert_page(text)
    sentence = str(caught.value)
    assert len(sentence.splitlines()) == 1
    return sentence


TEXT_REFUSALS: dict[str, tuple[str, str]] = {
    "no block": ("# T\n", "page: expected one fenced YAML block, found 0; convert page by page"),
    "two blocks": (page(tree()) * 2, "page: expected one fenced YAML block, found 2"),
    "an open block": ("# T\n```yaml get /a\nx: 1\n", "line 2: the YAML block never ends; close it with ```"),
    "no operation": ("# T\n```yaml\n```", "line 2: the YAML block names no operation"),
    "no title": (page(tree()).replace("# Get Thing", "#"), "page: the title is missing"),
    "an odd method": (
        page(tree(method="fetch"), opening="fetch /things"),
        '/method: expected "get", "put", "post", "delete"',
    ),
    "another method": (page(tree(), opening="get /things"), '/method: expected "get", got the string "post"'),
    "another path": (
        page(tree(), opening="post /other"),
        '/path: expected "/other", got the string "/things"',
    ),
    "a path parameter": (
        page(tree(path="/a/{id}"), opening="post /a/{id}"),
        '/request/parameters/path/id: "id" has to stand in the path and here; add or remove it',
    ),
    "broken YAML": (
        block("a: 1\nb: [1, 2"),
        'line 5: this is not YAML: a comma is missing before this, or the "]" for the "[" in line 4',
    ),
    "a control character": (
        block("a: \x07"),
        "line 3: the character U+0007 may not stand in YAML; remove it",
    ),
    "a surrogate": (block("a: \ud800"), "line 3: the character U+D800 may not stand in YAML; remove it"),
    "empty YAML": (block(""), "line 3: the YAML block is empty"),
    "two documents": (block("a: 1\n---\nb: 2"), "line 4: a second YAML document begins here; keep one"),
    "an alias": (
        block("a: 1\nb: *x"),
        "/b: the alias *x stands for nothing above it; write the value out (line 4)",
    ),
    "an object": (
        block("a: !!python/object:os.system x"),
        "/a: the tag !!python/object:os.system",
    ),
    "a tag on a set": (
        block("a: !!set {x}"),
        "/a: the tag !!set is not read; write plain data",
    ),
    "a double key": (
        block("a:\n  b: 1\n  b: 2"),
        '/a/b: the key "b" stands here twice, first in line 4; remove one (line 5)',
    ),
    "a list as a key": (
        block("? [a]\n: 1"),
        "line 3: a key is a list, a mapping or an alias here; write it as a text",
    ),
    "an endless number": (
        block("paths: {path: 1e999}"),
        "/path: 1e999 is no number that JSON knows; write a finite one (line 3)",
    ),
    "endless digits": (block("a: " + "9" * 5000), "… is no number that JSON knows; write a finite one"),
    "depth": (
        block("a: " + "[" * 61 + "]" * 61),
        ": nested deeper than 60 levels; make it flatter (line 3)",
    ),
    "great depth": (
        block("a: " + "[" * 9000 + "]" * 9000),
        ": nested deeper than 60 levels; make it flatter (line 3)",
    ),
    "no tree": (block("é"), '/: expected an object, got the string "é"; correct the page'),
    "an unknown part": (
        block("paths: {path: /a, method: get, request: {foo: 1}, response: {}}"),
        '"parameters", "body" and "codeSamples"; correct the page or teach the converter the word',
    ),
    "no paths": (
        block("components: {}"),
        '/paths: the page requires "paths" (an object), which is missing; correct the page',
    ),
}


@pytest.mark.parametrize(("text", "message"), TEXT_REFUSALS.values(), ids=TEXT_REFUSALS)
def test_a_broken_text_is_refused(text: str, message: str) -> None:
    assert message in refusal(text)


# A schema of the dialect => where in it it is refused, and the beginning of why.
SCHEMA_REFUSALS = """
{properties: {x: {foo: 1}}} => /properties/x/foo: unknown property in "x"; it knows "$ref",
{x-source: documented} => /x-source: unknown property in this item; it knows "$ref", "refIdentifier",
{properties: {a/b~c: 1}} => /properties/a~1b~0c: expected an object, got the number 1
{type: file} => /type: expected "string", "number", "integer", "boolean", "object", "array", null,
{type: [string, any]} => /type/1: expected "string", "number", "integer", "boolean", "object", "array"
{type: [string, string]} => /type: expected different items, got one twice
{type: enum<string>} => /type: "enum<string>" needs an "enum" beside it; add one
{enum: []} => /enum: expected at least 1 item, got an array of 0
{exclusiveMinimum: true} => /exclusiveMinimum: this needs a "minimum" beside it; add one
{minimum: '1'} => /minimum: expected a number, got the string "1"
{maximum: true} => /maximum: expected a number, got true
{exclusiveMaximum: '1'} => /exclusiveMaximum: expected a number, true or false, got the string "1"
{minLength: -1} => /minLength: expected at least 0, got the number -1
{multipleOf: 0} => /multipleOf: expected more than 0, got the number 0
{required: [a, a]} => /required: expected different items, got one twice
{required: [a], requiredProperties: [a]} => /requiredProperties: this says "required" a second time
{properties: {a: {required: true}}} => /properties/a/required: expected a list of names, as this is no
{nullable: 'yes'} => /nullable: expected true or false, got the string "yes"
{anyOf: []} => /anyOf: expected at least 1 item, got an array of 0
{oneOf: [{}, null]} => /oneOf/1: expected an object, got null
{allOf: {}} => /allOf: expected an array, got an empty object
{allOf: [{foo: 1}]} => /allOf/0/foo: unknown property in this item; it knows "$ref", "refIdentifier",
{allOf: [{type: string}], type: number} => /allOf: "type" inside conflicts with a sibling outside
{allOf: [{properties: {}}], additionalProperties: false} => /allOf: "properties" inside conflicts
{allOf: [{nullable: true}], enum: [a]} => /allOf: "nullable" inside conflicts with a sibling outside
{$ref: '#/components/schemas/X'} => /$ref: no component is named "X"; add it to /components/schemas
{$ref: other.json} => /$ref: expected #/components/schemas/ and a name, got the string "other.json"
{refIdentifier: '#/components/schemas/a b'} => /refIdentifier: expected #/components/schemas/
{discriminator: {}} => /discriminator/propertyName: "discriminator" requires "propertyName" (a string),
{discriminator: {propertyName: a, mapping: {b: '#/components/schemas/B'}}} => /discriminator/mapping/b: no 
{title: [a text of more than the sixty characters that are shown]} => /title: expected a string, got an
"""


@pytest.mark.parametrize("line", table(SCHEMA_REFUSALS, {}))
def test_a_broken_schema_is_refused_at_its_place(line: str) -> None:
    raw, _, message = line.partition(" => ")
    assert refusal(page(tree(yaml.safe_load(raw)))).startswith(
        "/response/200/application~1json/schemaArray/0" + message
    )


# A place on the judge page below /paths, what is put there => where it is refused, and the beginning of why.
PLACE_REFUSALS = """
/type: webhook => /type: expected "path", got the string "webhook"
/response: {} => /response: expected at least 1 key, got an empty object
/response/600: {} => /response/600: expected a status, a range or "default", got the string "600"
/response/200/text~1plain: {schemaArray: [{}]} => /response/200: the media types carry different descriptions
/response/200: {_mintlify/placeholder: {schemaArray: [{type: string}]}} => /response/200/_mintlify~1place
<body>/schemaArray: [{}, {}] => <body>/schemaArray: expected one element
<body>/schemaArray: [] => <body>/schemaArray: expected one element, found 0
<body>/schemaArray: {} => <body>/schemaArray: expected an array, got an empty object
<body>: {} => <body>/schemaArray: "application~1json" requires "schemaArray" (an array), which is missing
<body>/examples: {e: {}} => <body>/examples/e/value: "e" requires "value" (any value), which is missing
/request/body/json: {schemaArray: [{}]} => /request/body/json: expected a media type such as
/request/body/text~1plain: {schemaArray: [{}]} => /request/body: the media types differ in what they say
/request/codeSamples: {} => /request/codeSamples: expected an array, got an empty object
<par>/body: {} => <par>/body: expected "path", "query", "header" or "cookie", got the string "body"
<par>/path: {id: {schema: [{}]}} => <par>/path/id: "id" has to stand in the path and here
<par>/query: {a: {schema: [{}, {}]}} => <par>/query/a/schema: expected one element, found 2
<par>/query: {a: {schema: [{}], style: x}} => <par>/query/a/style: expected "form", "spaceDelimited",
<key>/parameters/header: {a: {type: mutualTLS}} => <key>/parameters/header/a/type: expected "http",
<key>/parameters/header: {a: {type: http, scheme: basic}} => <key>/parameters/header/a: an http scheme travels
<key>/parameters/header/Authorization/scheme: 1 => <key>/parameters/header/Authorization/scheme
<key>/parameters/path: {a: {type: apiKey}} => <key>/title: this names not just 2 schemes
<key>/parameters: {path: {a: {type: apiKey}}} => <key>/parameters/path/a: a key can't travel
<key>/title: é => <key>/title: this names not just 1 schemes; name each, joined by " & "
<key>/title: é & b => <key>/title: this names not just 1 schemes
<key2>: {title: Authorization, parameters: {query: {a: {type: oauth2}}}} => <key2>/title: "Authorization"
/servers: [{}] => /servers/0/url: this item requires "url" (a string), which is missing
/servers: [{url: u, variables: {v: {default: d, type: 1}}}] => /servers/0/variables/v/type: expected
"""
SHORT_PLACES = {
    "<body>": "/request/body/application~1json",
    "<key>": "/request/security/0",
    "<key2>": "/request/security/1",
    "<par>": "/request/parameters",
}


@pytest.mark.parametrize("line", table(PLACE_REFUSALS, SHORT_PLACES))
def test_a_broken_place_of_the_judge_page_is_refused(line: str) -> None:
    change, _, message = line.partition(" => ")
    pointer, _, value = change.partition(": ")
    raw = copy.deepcopy(judge_tree())
    put(raw["paths"], pointer, yaml.safe_load(value))
    assert refusal(page(raw, opening="post /criteria/judge")).startswith(message)


@pytest.mark.parametrize(
    ("schemas", "message"),
    [
        (
            {"a b": {}},
            "/components/schemas/a b: expected a name of the letters A to Z, digits and . _ -, got",
        ),
        ({"A": {"foo": 1}}, '/components/schemas/A/foo: unknown property in "A"; it knows "$ref"'),
    ],
)
def test_a_broken_component_is_refused(schemas: Any, message: str) -> None:
    assert refusal(page(with_components(tree(), **schemas))).startswith(message)


# YAML


def test_without_the_c_parser_a_page_reads_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yamltext, "_EventLoader", yaml.SafeLoader)
    assert convert_page(judge_text()) == judge()


# Any damage


JUNK: list[Any] = [
    None,
    True,
    -1,
    2.5,
    "",
    "null",
    "any",
    "x",
    [],
    {},
    [{}],
    {"type": "string"},
    ["a", "a"],
    "#/components/schemas/X",
]
WORDS = [
    "type",
    "properties",
    "$ref",
    "allOf",
    "nullable",
    "required",
    "refIdentifier",
    "discriminator",
    "x-a",
    "é",
    "",
]


def picked(draw: st.DrawFn, values: list[Any]) -> Any:
    return copy.deepcopy(draw(st.sampled_from(values)))


@st.composite
def damaged_trees(draw: st.DrawFn) -> Any:
    found = copy.deepcopy(judge_tree())
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from([path for path in nodes(found) if len(path) > 1]))
        parent = resolve(found, path[:-1])
        kind = draw(st.sampled_from(["drop", "replace", "rename", "double", "move"]))
        if kind == "replace":
            parent[path[-1]] = picked(draw, JUNK)
        elif kind == "move":
            parent[path[-1]] = copy.deepcopy(resolve(found, draw(st.sampled_from(list(nodes(found))))))
        else:
            value = parent.pop(path[-1])
            if kind != "drop" and isinstance(parent, dict):
                parent[draw(st.sampled_from(WORDS))] = value
            elif kind == "double" and isinstance(parent, list):
                parent += [value, value]
    return found


@pytest.mark.slow
@thorough
@given(damaged_trees())
def test_a_damaged_tree_is_refused_or_becomes_openapi(damaged: Any) -> None:
    try:
        document = convert_page(page(damaged, opening="post /criteria/judge"))
    except ConversionError:
        return
    assert [error.message for error in structure_checker().iter_errors(document)] == []
    for schema in document.get("components", {}).get("schemas", {}).values():
        jsonschema_rs.meta.validate({**schema, "$schema": "https://json-schema.org/draft/2020-12/schema"})


@thorough
@given(st.data())
def test_a_page_with_a_cut_or_an_insertion_is_refused_or_converted(data: st.DataObject) -> None:
    text = judge_text()
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 300)) | st.just(len(text)))
    inserted = data.draw(st.text(max_size=4) | st.sampled_from(HOSTILE))
    try:
        document = convert_page(text[:start] + inserted + text[end:])
    except ConversionError:
        return
    assert structure_checker().is_valid(document)


# The meaning stays


PYTHON_TYPES: dict[str, Any] = {
    "string": str,
    "number": (int, float),
    "boolean": bool,
    "object": dict,
    "array": list,
}


def accepts(raw: Any, value: Any) -> bool:
    """Read a raw schema of the dialect word by word."""
    if value is None and raw.get("nullable"):
        return True
    required = raw.get("requiredProperties", raw.get("required", []))
    if "type" in raw and not isinstance(value, PYTHON_TYPES[raw["type"]]):
        return False
    if raw.get("type") == "number" and isinstance(value, bool):
        return False
    if "enum" in raw and not any(type(value) is type(one) and value == one for one in raw["enum"]):
        return False
    if "allOf" in raw and not all(accepts(branch, value) for branch in raw["allOf"]):
        return False
    if "anyOf" in raw and not any(accepts(branch, value) for branch in raw["anyOf"]):
        return False
    if isinstance(value, list):
        return all(accepts(raw.get("items", {}), element) for element in value)
    if not isinstance(value, dict):
        return True
    known = raw.get("properties", {})
    if isinstance(required, list) and not set(required) <= value.keys():
        return False
    if raw.get("additionalProperties") is False and not value.keys() <= known.keys():
        return False
    return all(accepts(known.get(key, {}), inner) for key, inner in value.items())


@cache
def checker(name: str) -> Any:
    return jsonschema_rs.validator_for(
        {"$ref": f"#/components/schemas/{name}", "components": judge()["components"]}
    )


def raw_schema(place: str) -> Any:
    return at(judge_tree()["paths"], place)["schemaArray"][0]


PLACES = {
    "JudgeCriteriaRequest": "/request/body/application~1json",
    "JudgeCriteriaResponse": "/response/200/application~1json",
    "Error": "/response/default/application~1json",
}
TEXT_PART = {"type": "text", "text": "t"}
CALL = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
OUTPUT = {"role": "assistant", "content": None, "tool_calls": [CALL], "function_call": {"name": "f"}}
FULL = {
    "criterion_id": "c@v1",
    "output": OUTPUT,
    "input": {
        "messages": [
            {"role": "system", "content": [TEXT_PART]},
            {"role": "developer", "content": "d", "name": "n"},
            {
                "role": "user",
                "content": [
                    TEXT_PART,
                    {"type": "image_url", "image_url": {"url": "u", "detail": "low"}},
                    {"type": "input_audio", "input_audio": {"data": "d", "format": "mp3"}},
                ],
            },
            {
                "role": "assistant",
                "content": [TEXT_PART, {"type": "refusal", "refusal": "r"}],
                "audio": {"id": "a"},
                "function_call": None,
                "tool_calls": [CALL],
                "refusal": None,
                "annotations": [
                    {
                        "type": "url_citation",
                        "url_citation": {"start_index": 0, "end_index": 1.5, "title": "t", "url": "u"},
                    }
                ],
            },
            {"role": "assistant", "content": None, "audio": None},
            {"role": "tool", "content": "t", "tool_call_id": "1"},
            {"role": "function", "name": "f", "content": None},
        ],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {"a": {}}, "strict": None}}],
    },
}
BODIES: list[tuple[str, Any, bool]] = [
    ("JudgeCriteriaRequest", FULL, True),
    ("JudgeCriteriaRequest", {"criterion_id": "c", "output": {"role": "assistant"}}, True),
    (
        "JudgeCriteriaRequest",
        {"criterion_id": "c", "output": OUTPUT, "input": {"messages": [], "tool_choice": {}}},
        True,
    ),
    ("JudgeCriteriaRequest", {"criterion_id": "c", "output": OUTPUT, "input": {}}, False),
    ("JudgeCriteriaRequest", {"criterion_id": "c", "output": {**OUTPUT, "audio": None}}, False),
    ("JudgeCriteriaRequest", {"criterion_id": None, "output": OUTPUT}, False),
    ("JudgeCriteriaResponse", {"score": 123, "explanation": "e", "usage": {"total_tokens": 1}}, True),
    ("JudgeCriteriaResponse", {"score": True}, False),
    ("JudgeCriteriaResponse", {"score": 0.5, "usage": None}, False),
    ("Error", {"message": "m", "code": "C", "issues": [{"message": "i"}]}, True),
    ("Error", {"message": "m", "code": "C", "issues": [{"message": "i", "path": []}]}, False),
]
CONTENTS = [
    None,
    "null",
    "",
    "none",
    "auto",
    0,
    1.5,
    True,
    [],
    {},
    TEXT_PART,
    [TEXT_PART],
    CALL,
    {"role": "user"},
]
KEYS = [
    "role",
    "content",
    "type",
    "name",
    "audio",
    "refusal",
    "reasoning_content",
    "annotations",
    "usage",
    "other",
]


@pytest.mark.parametrize(("name", "body", "verdict"), BODIES)
def test_both_readings_agree_on_known_bodies(name: str, body: Any, verdict: bool) -> None:
    assert accepts(raw_schema(PLACES[name]), body) is verdict
    assert checker(name).is_valid(body) is verdict


@st.composite
def altered_bodies(draw: st.DrawFn) -> tuple[str, Any]:
    name, body, _ = draw(st.sampled_from([entry for entry in BODIES if entry[2]]))
    body = {"body": copy.deepcopy(body)}
    for _ in range(draw(st.integers(1, 2))):
        path = draw(st.sampled_from([path for path in nodes(body) if path]))
        parent, key = resolve(body, path[:-1]), path[-1]
        kind = draw(st.sampled_from(["drop", "replace", "add", "borrow"]))
        if kind == "drop" and len(path) > 1:
            del parent[key]
        elif kind == "borrow":
            parent[key] = copy.deepcopy(resolve(FULL, draw(st.sampled_from(list(nodes(FULL))))))
        elif kind == "add" and isinstance(parent[key], dict):
            parent[key][draw(st.sampled_from(KEYS))] = picked(draw, CONTENTS)
        else:
            parent[key] = picked(draw, CONTENTS)
    return name, body["body"]


@settings(thorough, max_examples=examples(600))
@given(altered_bodies())
def test_the_conversion_accepts_what_the_page_accepts(altered: tuple[str, Any]) -> None:
    name, body = altered
    assert checker(name).is_valid(body) is accepts(raw_schema(PLACES[name]), body)


def test_altered_bodies_get_both_verdicts() -> None:
    """The comparison above says little if nearly all bodies are refused."""
    replaced = [
        {**FULL, "input": {**FULL["input"], key: value}}  # type: ignore[dict-item]
        for key in ("messages", "tool_choice")
        for value in CONTENTS
    ]
    verdicts = [accepts(raw_schema(PLACES["JudgeCriteriaRequest"]), body) for body in replaced]
    assert verdicts == [checker("JudgeCriteriaRequest").is_valid(body) for body in replaced]
    assert {True, False} == set(verdicts)


# A whole document


def own_document() -> Any:
    """A document as kept by hand: the judge part, other parts and notes."""
    document = copy.deepcopy(judge())
    document["info"] = {"title": "All of it", "version": "7"}
    document["x-note"] = {"kept": True}
    document["servers"].insert(0, {"url": "http://localhost"})
    document["paths"][JUDGE]["post"]["responses"]["401"] = {"description": "No key."}
    document["paths"][JUDGE]["post"]["x-note"] = "kept"
    document["paths"][JUDGE]["parameters"] = []
    document["paths"]["/chat"] = {"post": {"responses": {"200": {"description": "d"}}}}
    document["components"]["schemas"] = {"Chat": {"type": "object"}, **document["components"]["schemas"]}
    document["components"]["headers"] = {"H": {}}
    return document


def same_json(left: Any, right: Any) -> bool:
    """Equality that tells true from 1."""
    return json.dumps(left, sort_keys=True) == json.dumps(right, sort_keys=True)


def test_a_document_in_step_stays_as_it_is() -> None:
    document = own_document()
    merged = merge(document, judge())
    assert json.dumps(merged) == json.dumps(document)
    assert list(differences(document, judge())) == []


def test_an_empty_document_becomes_the_part() -> None:
    assert merge({}, judge()) == judge()


def test_merging_leaves_its_arguments_alone() -> None:
    document, part = own_document(), copy.deepcopy(judge())
    document["components"]["schemas"]["Error"] = {}
    before = copy.deepcopy(document)
    merged = merge(document, part)
    merged["components"]["schemas"]["Error"]["properties"]["code"]["type"] = "number"
    merged["paths"][JUDGE]["post"]["responses"]["401"]["description"] = "changed"
    assert (document, part) == (before, judge())


STRAYS: list[tuple[str, Any, str]] = [
    (
        "/components/schemas/Error/required/0",
        "code",
        '/components/schemas/Error/required/0: expected "message", found "code"',
    ),
    (
        "/components/schemas/Error/minProperties",
        1,
        "/components/schemas/Error/minProperties: expected nothing, found 1",
    ),
    (
        "/components/schemas/Error/additionalProperties",
        0,
        "/components/schemas/Error/additionalProperties: expected false, found 0",
    ),
    ("/components/schemas/Error/required/1", "é", 'required/1: expected "code", found "é"'),
    ("/components/schemas/Error", 5, "/components/schemas/Error: expected {"),
    (
        "/paths/~1criteria~1judge/post/summary",
        "x" * 99,
        '/paths/~1criteria~1judge/post/summary: expected "Judge Criteria", found "xxx',
    ),
    ("/paths/~1criteria~1judge/post/deprecated", True, "/post/deprecated: expected nothing, found true"),
    ("/paths/~1criteria~1judge/post/responses/200/description", "", "/responses/200/description: expected "),
    ("/paths/~1criteria~1judge/post/responses", None, "/post/responses: expected {"),
    ("/paths/~1criteria~1judge", [], "/paths/~1criteria~1judge: expected {"),
    ("/paths", None, "/paths: expected {"),
    ("/servers", [None], "/servers/1: expected {"),
    ("/servers", "x", "/servers: expected ["),
]


@pytest.mark.parametrize(("pointer", "value", "sentence"), STRAYS, ids=[f"{p}={v}" for p, v, _ in STRAYS])
def test_a_document_out_of_step_is_told_where_and_mended(pointer: str, value: Any, sentence: str) -> None:
    document = own_document()
    put(document, pointer, value)
    sentences = list(differences(document, judge()))
    assert any(sentence in line for line in sentences)
    assert len(sentences) == 1
    assert list(differences(merge(document, judge()), judge())) == []


def test_a_changed_server_is_replaced_at_its_place() -> None:
    document = own_document()
    document["servers"][1]["description"] = "old"
    assert merge(document, judge())["servers"] == own_document()["servers"]
    assert list(differences(document, judge())) == ['/servers/1/description: expected nothing, found "old"']


def test_what_is_missing_is_named() -> None:
    document = own_document()
    del document["components"]["schemas"]["Audio"]
    assert [line.partition(": expected {")[0] for line in differences(document, judge())] == [
        "/components/schemas/Audio"
    ]
    assert list(merge(document, judge())["components"]["schemas"])[-1] == "Audio"


@st.composite
def stray_documents(draw: st.DrawFn) -> Any:
    found = {"document": own_document()}
    for _ in range(draw(st.integers(0, 3))):
        path = draw(st.sampled_from([path for path in nodes(found) if len(path) > 1]))
        parent = resolve(found, path[:-1])
        if draw(st.booleans()):
            parent[path[-1]] = picked(draw, JUNK)
        else:
            del parent[path[-1]]
    return found["document"]


@brief
@given(stray_documents())
def test_differences_are_told_just_when_merging_changes_something(document: Any) -> None:
    merged = merge(document, judge())
    assert (list(differences(document, judge())) == []) is same_json(merged, document)
    assert same_json(merge(merged, judge()), merged)
    kept = [key for key in document if key in merged]
    assert list(merged)[: len(kept)] == kept == list(document)


# Text


texts = (
    st.text()
    | st.text("ab \n#:-'\"\\", max_size=200)
    | st.sampled_from(
        [
            "null",
            "200",
            "on",
            "16:9",
            "=",
            "<<",
            "2024-01-01",
            "\x85",
            "\u2028a\nb",
            "word " * 40,
            "long\n" * 30,
        ]
    )
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


@thorough
@given(st.dictionaries(texts, values, max_size=4))
def test_a_dumped_document_is_read_back_and_dumped_the_same(document: Any) -> None:
    text = dump(document)
    loaded = yaml.safe_load(text)
    assert json.dumps(loaded) == json.dumps(document)
    assert dump(loaded) == text


def test_the_judge_document_survives_its_text() -> None:
    text = dump(judge())
    assert json.dumps(yaml.safe_load(text)) == json.dumps(judge())
    assert max(len(line.rpartition(" ")[0]) for line in text.splitlines()) <= 100
    assert text.startswith(
        "# The API, as OpenAPI 3.1. What the documentation page says is generated with `make schemas`;"
    )


def test_a_dumped_document_is_easy_to_read() -> None:
    shared = {"type": "string"}
    document = {
        "long": "word " * 30 + "end",
        "lines": "one\ntwo\n",
        "short": "a b",
        "word": "w" * 90,
        "200": ["null", "", shared, shared],
        "ö": None,
    }
    assert dump(document, header=("First.", "Second.")) == (
        "# First.\n# Second.\nlong: >-\n  " + "word " * 19 + "word\n  " + "word " * 10 + "end\n"
        "lines: |\n  one\n  two\nshort: a b\nword: " + "w" * 90 + "\n"
        "'200':\n- 'null'\n- ''\n- type: string\n- type: string\nö: null\n"
    )
