"""What changes of a contract are told, and whom each breaks: a table of single edits; what is no change."""

import json
from collections.abc import Callable
from copy import deepcopy
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openpipe_mock.contract.checks import catalogue, covers
from openpipe_mock.contract.touched import checks_touched, strategies_touched
from openpipe_mock.openapi.drift import BadDocument, ContractChange, contract_changes
from openpipe_mock.openapi.spec import contract
from openpipe_mock.strategies import __all__ as STRATEGIES
from tests.generate import brief
from tests.profiles import examples

Json = Any
Edit = Callable[[Json], object]

SCHEMAS = ("components", "schemas")


ASKED = (
    *("/criteria/judge", "/chat/completions", "/report", "/datasets", "/models"),
    *("/datasets/{id}", "/datasets/{id}/entries", "/unstable/dataset-entry/create"),
)


@cache
def before() -> Json:
    """Our document with those operations that the tables are about, since each comparison takes its time."""
    document = contract().document
    return {**document, "paths": {path: document["paths"][path] for path in ASKED}}


def edited(edit: Edit) -> Json:
    document = deepcopy(before())
    edit(document)
    return document


def at(document: Json, *steps: str | int) -> Json:
    for step in steps:
        document = document[step]
    return document


def told(edit: Edit) -> list[ContractChange]:
    return list(contract_changes(before(), edited(edit)))


def verdicts(edit: Edit) -> set[str]:
    """Whom an edit breaks; that its words break nobody counts only where there is nothing else."""
    changes = told(edit)
    for change in changes:
        assert_touches_what_is_there(change)
    found = {str(each.breaks) for each in changes}
    return found - {"nobody"} or found


def assert_touches_what_is_there(change: ContractChange) -> None:
    for pattern in checks_touched(change):
        assert any(covers(pattern, name) for each in catalogue() for name in (each, f"{each}.x")), pattern
    assert {*strategies_touched(change)} <= {*STRATEGIES}
    if change.breaks != "nobody" and change.operation in ("POST /criteria/judge", "POST /chat/completions"):
        assert checks_touched(change)


# A table of edits.

GONE = object()

KEYWORDS: tuple[tuple[str, str, Json, str], ...] = (
    # What clients send.
    ("JudgeCriteriaRequest", "required", ["criterion_id", "output", "input"], "clients"),
    ("JudgeCriteriaRequest", "required", ["criterion_id"], "servers"),
    ("JudgeCriteriaRequest", "required", [], "servers"),
    ("JudgeCriteriaRequest", "additionalProperties", True, "servers"),
    ("JudgeCriteriaRequest", "additionalProperties", {"type": "string"}, "servers"),
    ("JudgeCriteriaRequest", "additionalProperties", GONE, "servers"),
    ("JudgeCriteriaRequest", "minProperties", 3, "clients"),
    ("JudgeCriteriaRequest", "description", "Other words.", "nobody"),
    ("JudgeCriteriaRequest", "x-source", "sdk", "nobody"),
    ("JudgeCriteriaRequest", "title", "Request", "nobody"),
    ("JudgeCriteriaRequest", "dependentRequired", {"input": ["output"]}, "both"),
    ("JudgeCriteriaRequest/criterion_id", "type", "number", "both"),
    ("JudgeCriteriaRequest/criterion_id", "type", ["string", "number"], "servers"),
    ("JudgeCriteriaRequest/criterion_id", "type", GONE, "servers"),
    ("JudgeCriteriaRequest/criterion_id", "minLength", 1, "clients"),
    ("JudgeCriteriaRequest/criterion_id", "maxLength", 10, "clients"),
    ("JudgeCriteriaRequest/criterion_id", "pattern", "^a", "clients"),
    ("JudgeCriteriaRequest/criterion_id", "format", "uuid", "clients"),
    ("JudgeCriteriaRequest/criterion_id", "enum", ["a"], "clients"),
    ("JudgeCriteriaRequest/criterion_id", "const", "a", "clients"),
    ("JudgeCriteriaRequest/criterion_id", "default", "a", "nobody"),
    ("JudgeCriteriaRequest/criterion_id", "nullable", True, "servers"),
    ("JudgeCriteriaInput/messages", "minItems", 1, "clients"),
    ("JudgeCriteriaInput/messages", "maxItems", 9, "clients"),
    ("JudgeCriteriaInput/messages", "uniqueItems", True, "clients"),
    ("JudgeCriteriaInput/messages", "items", True, "servers"),
    ("JudgeCriteriaOutput/content", "type", "string", "clients"),
    ("JudgeCriteriaOutput/content", "type", ["string", "null", "array"], "servers"),
    ("JudgeCriteriaOutput/role", "enum", ["assistant", "tool"], "servers"),
    ("JudgeCriteriaOutput/role", "enum", ["model"], "clients, servers"),
    ("ChatCompletionRequest/n", "maximum", 2, "clients"),
    ("ChatCompletionRequest/temperature", "minimum", 1, "clients"),
    ("ChatCompletionRequest/temperature", "maximum", 1000, "clients"),
    ("ChatCompletionRequest/messages", "maxItems", 1, "clients"),
    ("ChatCompletionRequest/model", "minLength", 3, "clients"),
    ("ChatCompletionRequest", "required", ["messages", "model", "n"], "clients"),
    ("JsonSchemaFormat/name", "pattern", "^a", "clients"),
    ("ToolFunction/name", "maxLength", 8, "clients"),
    ("ImageUrl/detail", "enum", ["low"], "clients"),
    ("ReportRequest", "required", ["reqPayload"], "clients"),
    ("CreateDatasetRequest", "required", [], "servers"),
    # What servers send.
    ("JudgeCriteriaResponse", "required", ["score", "explanation"], "servers"),
    ("JudgeCriteriaResponse", "required", [], "clients"),
    ("JudgeCriteriaResponse", "additionalProperties", True, "clients"),
    ("JudgeCriteriaResponse/score", "type", ["number", "null"], "clients"),
    ("JudgeCriteriaResponse/score", "type", "integer", "servers"),
    ("JudgeCriteriaResponse/score", "type", "string", "both"),
    ("JudgeCriteriaResponse/score", "minimum", 0, "servers"),
    ("JudgeCriteriaResponse/score", "maximum", 1, "servers"),
    ("JudgeCriteriaResponse/score", "description", "A number.", "nobody"),
    ("JudgeCriteriaResponse/explanation", "maxLength", 100, "servers"),
    ("JudgeCriteriaUsage", "required", [], "clients"),
    ("ChatCompletion", "required", ["id"], "clients"),
    ("ChatCompletion", "additionalProperties", False, "servers"),
    ("ChatCompletion/object", "enum", ["chat.completion", "other"], "clients"),
    ("ChatCompletion/choices", "minItems", 5, "servers"),
    ("ChatCompletionUsage/total_tokens", "type", ["integer", "null"], "both"),
    ("ChatCompletionChunk", "required", ["id"], "clients"),
    ("CriterionSuccess/score", "type", ["number", "null"], "clients"),
    ("CriterionError", "required", ["status", "message"], "clients, servers"),
    ("Error/code", "enum", ["BAD_REQUEST"], "servers"),
    ("Error", "required", ["message"], "clients"),
    ("ChatErrorDetail", "required", [], "clients"),
    ("ModelTraining/status", "enum", GONE, "clients"),
    ("Dataset", "required", ["id"], "clients"),
    ("Dataset/name", "maxLength", 3, "servers"),
)
"""Schema, perhaps a property of it, a keyword, its new value, and whom that breaks."""


def place_of(document: Json, name: str) -> Json:
    schema, _, member = name.partition("/")
    found = at(document, *SCHEMAS, schema)
    return found["properties"].get(member, {}) if member else found


def setting(name: str, keyword: str, value: Json) -> Edit:
    def edit(document: Json) -> None:
        schema = place_of(document, name)
        if value is GONE:
            schema.pop(keyword, None)
        else:
            schema[keyword] = value

    return edit


@pytest.mark.slow
@pytest.mark.parametrize(("name", "keyword", "value", "breaks"), KEYWORDS)
def test_a_keyword_that_changes_breaks_whom_the_table_says(
    name: str, keyword: str, value: Json, breaks: str
) -> None:
    assert verdicts(setting(name, keyword, value)) == {*breaks.split(", ")}


JUDGE, CHAT = ("paths", "/criteria/judge", "post"), ("paths", "/chat/completions", "post")
NEW = {"type": "string"}


def member(schema: str, name: str, value: Json = GONE) -> Edit:
    """Take a property away, or add one."""

    def edit(document: Json) -> None:
        properties = at(document, *SCHEMAS, schema)["properties"]
        if value is GONE:
            del properties[name]
        else:
            properties[name] = value

    return edit


def update(*steps: str | int, **members: Json) -> Edit:
    return lambda document: at(document, *steps).update(members)


def drop(*steps: str | int) -> Edit:
    return lambda document: at(document, *steps[:-1]).pop(steps[-1])


def append(value: Json, *steps: str | int) -> Edit:
    return lambda document: at(document, *steps).append(value)


def header(document: Json, name: str) -> Json:
    """Where chat refers to a header."""
    [found] = [each for each in document["components"]["parameters"].values() if each["name"] == name]
    return found


def without_header(document: Json) -> None:
    parameters = at(document, *CHAT)["parameters"]
    at(document, *CHAT)["parameters"] = [each for each in parameters if "OpTags" not in each["$ref"]]


PARTS: dict[str, tuple[Edit, str]] = {
    "an operation that is gone": (drop("paths", "/report"), "clients"),
    "a method that is gone": (drop("paths", "/models", "post"), "clients"),
    "an operation that is new": (update("paths", **{"/new": {"get": {"responses": {}}}}), "servers"),
    "a path that moved": (
        lambda document: document["paths"].update({"/judge": document["paths"].pop("/criteria/judge")}),
        "clients, servers",
    ),
    "an operation's words": (update(*JUDGE, summary="Judge!"), "nobody"),
    "an operation that needs no key": (update(*JUDGE, security=[]), "servers"),
    "an operation that takes another key": (append({"other": []}, *JUDGE, "security"), "servers"),
    "a body that may be left out": (update(*JUDGE, "requestBody", required=False), "servers"),
    "a body that is gone": (drop(*JUDGE, "requestBody"), "both"),
    "a body's media type that is new": (
        update(*JUDGE, "requestBody", "content", **{"text/plain": {}}),
        "servers",
    ),
    "a body's media type that is gone": (
        drop(*JUDGE, "requestBody", "content", "application/json"),
        "clients",
    ),
    "a body's words": (update(*JUDGE, "requestBody", description="?"), "nobody"),
    "an answer that is gone": (drop(*JUDGE, "responses", "200"), "both"),
    "a refusal that is gone": (drop(*JUDGE, "responses", "400"), "servers"),
    "an answer that is new": (update(*JUDGE, "responses", **{"201": {"description": "?"}}), "clients"),
    "a refusal that is new": (update(*JUDGE, "responses", **{"418": {"description": "?"}}), "nobody"),
    "a stream that is gone": (
        drop(*CHAT, "responses", "200", "content", "text/event-stream"),
        "both",
    ),
    "a header of an answer that is new": (
        update(*JUDGE, "responses", "200", headers={"x-new": {"schema": NEW}}),
        "nobody",
    ),
    "a header of an answer that is required": (
        update(*JUDGE, "responses", "200", headers={"x-new": {"required": True, "schema": NEW}}),
        "servers",
    ),
    "a header that is gone": (without_header, "clients"),
    "a header that is new": (
        append({"name": "x-new", "in": "header", "schema": NEW}, *CHAT, "parameters"),
        "servers",
    ),
    "a header that is new and required": (
        append({"name": "x-new", "in": "header", "required": True, "schema": NEW}, *CHAT, "parameters"),
        "both",
    ),
    "a header that is required": (
        lambda document: header(document, "op-criteria").update(required=True),
        "clients",
    ),
    "a header with fewer values": (
        lambda document: header(document, "op-log-request")["schema"].update(enum=["true"]),
        "clients",
    ),
    "a member of a request that is gone": (member("JudgeCriteriaRequest", "input"), "clients"),
    "a member of a request that is new": (member("JudgeCriteriaRequest", "new", NEW), "servers"),
    "a member of an answer that is gone": (member("JudgeCriteriaResponse", "usage"), "clients"),
    "a member of a closed answer that is new": (member("JudgeCriteriaResponse", "new", NEW), "clients"),
    "a member of an open answer that is gone": (
        member("ChatCompletionChoice", "criteria_results"),
        "clients",
    ),
    "a member of an open answer that is new": (member("ChatCompletionChoice", "new", NEW), "nobody"),
    "a member of a chunk that is gone": (member("ChunkChoice", "delta"), "clients"),
    "a role that is gone": (drop(*SCHEMAS, "Message", "anyOf", 0), "clients"),
    "a role that is new": (
        append(
            {"type": "object", "properties": {"role": {"type": "string", "enum": ["critic"]}}},
            *(*SCHEMAS, "Message", "anyOf"),
        ),
        "servers",
    ),
    "a result that is new": (append({"type": "string"}, *SCHEMAS, "CriterionResult", "anyOf"), "clients"),
    "no union any more": (
        lambda document: at(document, *SCHEMAS).update(CriterionResult={"type": "string"}),
        "clients, servers",
    ),
    "anything": (lambda document: at(document, *SCHEMAS).update(CriterionResult=True), "clients"),
    "nothing": (lambda document: at(document, *SCHEMAS).update(ToolChoice=False), "clients"),
}


@pytest.mark.parametrize("name", PARTS)
def test_a_part_that_changes_breaks_whom_the_table_says(name: str) -> None:
    edit, breaks = PARTS[name]
    assert verdicts(edit) == {*breaks.split(", ")}


def test_the_tables_have_a_hundred_edits() -> None:
    assert len(KEYWORDS) + len(PARTS) >= 100


# What is no change.


def reordered(value: Json, draw: Callable[[list[Json]], list[Json]]) -> Json:
    if isinstance(value, dict):
        return {name: reordered(value[name], draw) for name in draw(list(value))}
    return [reordered(each, draw) for each in value] if isinstance(value, list) else value


@settings(brief, max_examples=examples(9))
@given(st.randoms(use_true_random=False))
def test_another_order_of_keys_is_no_change(random: Any) -> None:
    def shuffled(names: list[Json]) -> list[Json]:
        random.shuffle(names)
        return names

    assert list(contract_changes(before(), reordered(before(), shuffled))) == []


def test_another_order_of_required_enum_and_branches_is_no_change() -> None:
    def turned(value: Json) -> Json:
        if isinstance(value, list):
            return [turned(each) for each in reversed(value)]
        return {name: turned(each) for name, each in value.items()} if isinstance(value, dict) else value

    unordered = ("required", "enum", "anyOf")
    document = contract().document
    other = {**document, "components": {**document["components"], "schemas": {}}}
    schemas = at(document, *SCHEMAS)
    other["components"]["schemas"] = {
        name: {key: turned(each) if key in unordered else each for key, each in schema.items()}
        for name, schema in schemas.items()
    }
    assert list(contract_changes(document, other)) == []


def test_other_names_of_components_are_no_change() -> None:
    text = json.dumps(contract().document)
    for name in at(contract().document, *SCHEMAS):
        text = text.replace(f'schemas/{name}"', f'schemas/Other{name}"')
    document = json.loads(text)
    schemas = at(document, *SCHEMAS)
    document["components"]["schemas"] = {f"Other{name}": schema for name, schema in schemas.items()}
    assert list(contract_changes(contract().document, document)) == []


def test_a_reference_and_what_it_leads_to_are_the_same() -> None:
    def inline(document: Json) -> None:
        schemas = at(document, *SCHEMAS)
        schemas["JudgeCriteriaRequest"]["properties"]["output"] = {
            **schemas["JudgeCriteriaOutput"],
            "description": schemas["JudgeCriteriaRequest"]["properties"]["output"]["description"],
        }

    assert {each.breaks for each in told(inline)} <= {"nobody"}


def test_the_name_of_a_paths_parameter_is_no_change() -> None:
    def edit(document: Json) -> None:
        document["paths"]["/datasets/{dataset}"] = item = document["paths"].pop("/datasets/{id}")
        for parameter in item["delete"]["parameters"]:
            parameter["name"] = "dataset"

    assert told(edit) == []


def test_each_change_is_told_for_each_operation_that_it_reaches() -> None:
    found = told(setting("Tool", "required", ["type", "function", "new"]))
    assert {each.operation for each in found} >= {"POST /criteria/judge", "POST /chat/completions"}
    assert all(str(each).endswith('/tools/*: "new" is required now') for each in found)


def test_a_reference_that_leads_nowhere_is_told() -> None:
    for reference in ("#/components/schemas/None", "other.yaml#/a", "#/components/schemas/Loop", 5):
        document = edited(lambda each: at(each, *SCHEMAS).update(Loop={"$ref": "#/components/schemas/Loop"}))
        at(document, *SCHEMAS)["JudgeCriteriaRequest"]["properties"]["input"] = {"$ref": reference}
        with pytest.raises(BadDocument):
            list(contract_changes(before(), document))


# Documents of others, made by hand.


TEXT, NUMBER, REF = {"type": "string"}, {"type": "number"}, {"$ref": "#/components/schemas/A"}


def taking(schema: Json, **schemas: Json) -> Json:
    """A document with an operation that takes such a body."""
    body = {"content": {"application/json": {"schema": schema}}}
    return {"paths": {"/a": {"post": {"requestBody": body}}}, "components": {"schemas": schemas}}


def broken_by(old: Json, new: Json) -> set[str]:
    return {each.breaks for each in contract_changes(old, new)}


def union(**beside: Json) -> Json:
    return {**beside, "anyOf": [{"properties": {"k": {"const": each}}} for each in "ab"]}


@pytest.mark.parametrize(
    ("old", "new", "breaks"),
    [
        ({"minimum": 0, "exclusiveMinimum": True}, {"exclusiveMinimum": 0}, set()),
        ({"minimum": 0}, {"exclusiveMinimum": 0}, {"clients"}),
        ({"maximum": 5, "exclusiveMaximum": True}, {"maximum": 5}, {"servers"}),
        (TEXT, {**TEXT, "minLength": 0, "uniqueItems": False}, set()),
        ({"const": "a"}, {"enum": ["a"]}, set()),
        ({"const": "a"}, {"enum": ["a", 10**40]}, {"servers"}),
        (
            {"type": ["string", "null"], "enum": ["a", None]},
            {"anyOf": [{"type": "null"}, {"const": "a", **TEXT}]},
            set(),
        ),
        (REF, {"allOf": [REF]}, set()),
        (REF, {"allOf": [REF], "required": ["b"]}, {"clients"}),
        (union(properties={"a": TEXT}), union(properties={"a": NUMBER}), {"both"}),
        (
            {"anyOf": [{"required": ["a"]}, {"required": ["b"]}]},
            {"anyOf": [{"required": ["a"]}]},
            {"clients"},
        ),
        ({"type": "object", "anyOf": [{"required": ["a"]}]}, {"type": "object"}, {"servers"}),
        ({"type": "object", "required": True}, {"type": "object"}, set()),
        (
            {"properties": {"a": REF, "b": {**REF, "minProperties": 1}}},
            {"properties": {"a": REF, "b": {**REF, "minProperties": 2}}},
            {"clients"},
        ),
    ],
)
def test_schemas_say_the_same_in_several_ways(old: Json, new: Json, breaks: set[str]) -> None:
    a = {"type": "object", "properties": {"a": TEXT}, "required": ["a"]}
    assert broken_by(taking(old, A=a), taking(new, A=a)) == breaks


def test_unions_that_lead_to_themselves_end() -> None:
    loop = {
        "A": {"anyOf": [TEXT, {"$ref": "#/components/schemas/B"}]},
        "B": {"description": "?", "oneOf": [REF]},
    }
    assert broken_by(taking(REF, **loop), taking(TEXT)) <= {"nobody"}
    chain = {"A": {"$ref": "#/components/schemas/B", "title": "A"}, "B": {"properties": {"a": REF}}}
    assert broken_by(taking(REF, **chain), taking(REF, **chain)) == set()


def test_a_change_below_a_cycle_is_told_of_each_operation() -> None:
    def document(leaf: Json) -> Json:
        a = {"properties": {"b": {"$ref": "#/components/schemas/B"}, "leaf": leaf}}
        found = taking(REF, A=a, B={"properties": {"a": REF}})
        found["paths"]["/b"] = taking({"$ref": "#/components/schemas/B"})["paths"]["/a"]
        return found

    found = list(contract_changes(document(TEXT), document(NUMBER)))
    assert {(each.operation, each.pointer) for each in found} == {
        ("POST /a", "/leaf"),
        ("POST /b", "/a/leaf"),
    }


def test_differences_that_multiply_are_cut() -> None:
    def document(leaf: Json) -> Json:
        schemas = {
            f"A{n}": {"properties": {side: {"$ref": f"#/components/schemas/A{n + 1}"} for side in "lr"}}
            for n in range(30)
        }
        return taking({"$ref": "#/components/schemas/A0"}, **schemas, A30=leaf)

    found = list(contract_changes(document(TEXT), document(NUMBER)))
    assert (len(found), found[-1].told) == (1001, "more changed than is told")


@pytest.mark.parametrize(
    "document",
    [
        {"paths": []},
        {"paths": {"/a": None}},
        {"paths": {"/a": {"get": 5}}},
        {"paths": {"/a": {"get": {"parameters": [{"in": "query"}]}}}},
        taking([TEXT]),
        taking({"minimum": "1"}),
        taking({"type": "array", "items": [TEXT]}),
    ],
)
def test_a_part_of_no_use_is_told(document: Json) -> None:
    with pytest.raises(BadDocument):
        list(contract_changes(document, document))


def test_a_scheme_of_authorisation_counts_by_what_it_is() -> None:
    def document(name: str, scheme: Json) -> Json:
        return {
            "paths": {"/a": {"get": {}}},
            "security": [{name: []}],
            "components": {"securitySchemes": {name: scheme}},
        }

    bearer, key = {"type": "http", "scheme": "bearer"}, {"type": "apiKey", "in": "header", "name": "x"}
    assert broken_by(document("a", bearer), document("b", {**bearer, "description": "?"})) == set()
    assert broken_by(document("a", bearer), document("a", key)) == {"clients", "servers"}


def test_a_paths_parameters_are_told_apart_by_their_place() -> None:
    def document(*names: tuple[str, str]) -> Json:
        given = [
            {"in": "path", "name": name, "required": True, "schema": {"type": kind}} for name, kind in names
        ]
        return {"paths": {"/{a}/{b}": {"parameters": given[:1], "get": {"parameters": given}}}}

    a, b = ("a", "string"), ("b", "number")
    assert broken_by(document(a, b), document(b, a)) == set()


def test_a_header_of_an_answer_that_becomes_required_breaks_servers() -> None:
    def document(required: bool) -> Json:
        answer = {"headers": {"x-a": {"required": required, "schema": TEXT}}}
        return {"paths": {"/a": {"get": {"responses": {"200": answer}}}}}

    assert broken_by(document(False), document(True)) == {"servers"}
    assert broken_by(document(True), document(False)) == {"clients"}
