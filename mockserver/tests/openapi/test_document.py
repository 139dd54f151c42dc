"""The contract as data: a sound document, examples that hold, sources by name, decisions that stand."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from openpipe_mock.core.errors import ApiError, Conflict
from openpipe_mock.core.resources import folder
from openpipe_mock.core.strictjson import parse
from openpipe_mock.openapi.spec import contract
from openpipe_mock.openapi.violations import DIALECT
from openpipe_mock.recording.failures import UpstreamFailed
from tests.inprocess import FULL, MINIMAL, having, saying, statuses

Json = Any

CLASSES = {"documented", "sdk", "source", "decision"}
METHODS = {"get", "put", "post", "delete", "options", "head", "patch", "trace"}
JUDGE = "/criteria/judge"
CHAT = "/chat/completions"

Places = Iterator[tuple[str, Mapping[str, Any]]]


def document() -> Mapping[str, Any]:
    return contract().document


def walk(node: Json, where: str = "#") -> Places:
    """Every object of the document with its place, without what lies inside examples."""
    if isinstance(node, Mapping):
        yield where, node
    for step, child in node.items() if isinstance(node, Mapping) else enumerate(node):
        is_example = step in ("example", "examples") and not where.endswith("/properties")
        if isinstance(child, Mapping | list) and not is_example:
            yield from walk(child, f"{where}/{step}")


def operations() -> Places:
    for path, item in document()["paths"].items():
        for method in METHODS & set(item):
            yield f"{method} {path}", item[method]


def resolved(node: Mapping[str, Any]) -> Mapping[str, Any]:
    while "$ref" in node:
        target: Any = document()
        for step in node["$ref"].removeprefix("#/").split("/"):
            target = target[step.replace("~1", "/").replace("~0", "~")]
        node = target
    return node


def sourced() -> Places:
    """Everything that has to say what it rests on, save what is a reference to such."""
    components = document()["components"]
    for kind in ("parameters", "requestBodies", "responses", "headers", "schemas", "securitySchemes"):
        yield from ((f"{kind}/{name}", part) for name, part in components.get(kind, {}).items())
        for name, part in components.get(kind, {}).items():
            yield from (
                (f"{kind}/{name}/headers/{h}", header) for h, header in part.get("headers", {}).items()
            )
    for where, operation in operations():
        yield where, operation
        if "requestBody" in operation:
            yield f"{where} requestBody", operation["requestBody"]
        yield from ((f"{where} {p.get('name')}", p) for p in operation.get("parameters", ()))
        for status, response in operation["responses"].items():
            yield f"{where} {status}", response
            yield from (
                (f"{where} {status} {h}", header) for h, header in response.get("headers", {}).items()
            )


@pytest.mark.slow
def test_the_document_is_valid_openapi_3_1() -> None:
    assert document()["openapi"].startswith("3.1.")
    assert [error.message for error in OpenAPIV31SpecValidator(document()).iter_errors()] == []


@pytest.mark.parametrize("name", contract().document["components"]["schemas"])
def test_every_component_is_a_valid_json_schema_and_compiles(name: str) -> None:
    Draft202012Validator.check_schema(document()["components"]["schemas"][name])
    assert contract().checker(name).is_valid is contract().checker(name).is_valid, "compiled once"


def test_everything_says_which_source_it_rests_on() -> None:
    places = [(where, part) for where, part in sourced() if "$ref" not in part]
    assert len(places) > 80
    assert [where for where, part in places if "x-source" not in part] == []


def test_there_are_four_classes_of_sources() -> None:
    found = {
        (where, node[name])
        for where, node in walk(document())
        for name in ("x-source", "x-source-additional", "x-source-null")
        if name in node
    }
    assert [place for place in found if place[1] not in CLASSES] == []
    assert {name for _, name in found} == CLASSES


def test_no_score_has_bounds_since_those_stand_in_prose_alone() -> None:
    scores = [
        (where, node["score"])
        for where, node in walk(document())
        if where.endswith("/properties") and "score" in node
    ]
    assert len(scores) >= 3
    for where, score in scores:
        assert score["type"] == "number", where
        assert not {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"} & set(score), where


def test_the_servers_are_the_services_two_and_the_mock() -> None:
    urls = [server["url"] for server in document()["servers"]]
    assert urls[:2] == ["https://api.openpipe.ai/api/v1", "https://app.openpipe.ai/api/v1"]
    assert "http://127.0.0.1:6736/api/v1" in urls
    assert all(url.endswith("/api/v1") for url in urls)


def test_a_folder_that_does_not_ship_means_a_broken_installation() -> None:
    assert (folder("schemas") / "openapi.yaml").is_file()
    with pytest.raises(FileNotFoundError, match="reinstall"):
        folder("no-such-folder")


def test_every_operation_wants_a_bearer_token() -> None:
    schemes = document()["components"]["securitySchemes"]
    for where, operation in operations():
        [[name]] = operation["security"]
        assert (schemes[name]["type"], schemes[name]["scheme"]) == ("http", "bearer"), where


def test_the_judge_lists_its_statuses() -> None:
    single = {"200", "400", "401", "403", "404", "405", "413", "429", "500", "503"}
    assert statuses(JUDGE) == single | {"default"}


def errors(kind: type[ApiError] = ApiError) -> Iterator[type[ApiError]]:
    for each in kind.__subclasses__():
        yield each
        yield from errors(each)


@pytest.mark.parametrize(
    "error",
    [each for each in errors() if each not in (Conflict, UpstreamFailed)],
    ids=lambda error: error.__name__,
)
def test_every_error_that_the_mock_can_answer_is_listed(error: type[ApiError]) -> None:
    """A conflict is the control API's alone, and an upstream's failures stand under `default`."""
    for path in (JUDGE, CHAT):
        assert str(error.status) in statuses(path)


def test_an_error_answer_has_the_documented_body_for_the_judge() -> None:
    for status, response in document()["paths"][JUDGE]["post"]["responses"].items():
        if status != "200":
            schema = resolved(response)["content"]["application/json"]["schema"]
            assert schema == {"$ref": "#/components/schemas/Error"}, status


def test_401_and_405_carry_the_headers_that_http_asks_for() -> None:
    for path in (JUDGE, CHAT):
        responses = document()["paths"][path]["post"]["responses"]
        assert "WWW-Authenticate" in resolved(responses["401"])["headers"]
        assert "Allow" in resolved(responses["405"])["headers"]


def examples() -> Iterator[tuple[str, Json, Json]]:
    """Place, schema and value of every example in the document."""
    for where, node in walk(document()):
        if "schema" in node and not where.endswith("/properties"):
            if "example" in node:
                yield f"{where}/example", node["schema"], node["example"]
            for name, example in node.get("examples", {}).items():
                yield f"{where}/examples/{name}", node["schema"], example["value"]
        if isinstance(node.get("examples"), list) and "/schemas/" in where:
            own = {keyword: value for keyword, value in node.items() if keyword != "examples"}
            yield from (
                (f"{where}/examples/{number}", own, value) for number, value in enumerate(node["examples"])
            )


def validator(schema: Json) -> Draft202012Validator:
    return Draft202012Validator(
        {"$schema": DIALECT, "allOf": [schema], "components": document()["components"]}
    )


@pytest.mark.parametrize("number", range(len(list(examples()))))
def test_an_example_is_valid(number: int) -> None:
    where, schema, value = list(examples())[number]
    assert [error.message for error in validator(schema).iter_errors(value)] == [], where
    if "contentSchema" in schema:
        inner = validator(schema["contentSchema"])
        assert [error.message for error in inner.iter_errors(json.loads(value))] == [], where


def test_every_body_parameter_and_header_has_an_example() -> None:
    shown = [where for where, _, _ in examples()]
    for where, node in walk(document()):
        if "schema" in node and not where.endswith("/properties"):
            assert any(place.startswith(f"{where}/example") for place in shown), where


def test_the_events_of_the_example_stream_are_chunks() -> None:
    stream = document()["paths"][CHAT]["post"]["responses"]["200"]["content"]["text/event-stream"]
    checker = validator(stream["x-event-schema"])
    for example in stream["examples"].values():
        *events, done, rest = example["value"].split("\n\n")
        assert (done, rest.strip()) == ("data: [DONE]", "")
        assert events
        for event in events:
            assert checker.is_valid(parse(event.removeprefix("data: ").encode()))


def test_no_component_lies_about_unused() -> None:
    used = {node["$ref"] for _, node in walk(document()) if isinstance(node.get("$ref"), str)}
    for kind, parts in document()["components"].items():
        if kind != "securitySchemes":
            assert [name for name in parts if f"#/components/{kind}/{name}" not in used] == []


def with_input(**members: Json) -> Json:
    return having(input={"messages": [], **members})


TAKEN: dict[str, Json] = {
    "the smallest request": dict(MINIMAL),
    "the fullest request": dict(FULL),
    "no input": having(),
    "no messages": with_input(),
    "JSON null as an assistant's content": saying({"role": "assistant", "content": None}),
    "the word null as an assistant's content": saying({"role": "assistant", "content": "null"}),
    "JSON null as a function's content": saying({"role": "function", "name": "f", "content": None}),
    "the word null as a function's content": saying({"role": "function", "name": "f", "content": "null"}),
    "an empty tool choice": with_input(tool_choice={}),
    "any JSON as parameters": with_input(
        tools=[{"type": "function", "function": {"name": "f", "parameters": {"a": [None, {"b": 1.5}]}}}]
    ),
    "an empty list of tools": with_input(tools=[]),
    "an empty list of parts": saying({"role": "user", "content": []}),
    "an output without content": having(output={"role": "assistant"}),
    "reasoning in the output": having(output={"role": "assistant", "reasoning_content": "x"}),
}
REFUSED: dict[str, Json] = {
    "no output": {"criterion_id": "x"},
    "no criterion": {"output": {"role": "assistant"}},
    "an input without messages": having(input={}),
    "a null input": having(input=None),
    "an unknown member": having(extra=1),
    "reasoning in an input message": saying({"role": "assistant", "reasoning_content": "x"}),
    "null annotations": saying({"role": "assistant", "annotations": None}),
    "null as a user's content": saying({"role": "user", "content": None}),
    "parameters that are no object": with_input(
        tools=[{"type": "function", "function": {"name": "f", "parameters": []}}]
    ),
    "content parts in the output": having(output={"role": "assistant", "content": []}),
}


@pytest.mark.parametrize("name", TAKEN)
def test_the_schema_takes(name: str) -> None:
    assert contract().checker("JudgeCriteriaRequest").is_valid(TAKEN[name])


@pytest.mark.parametrize("name", REFUSED)
def test_the_schema_refuses(name: str) -> None:
    assert not contract().checker("JudgeCriteriaRequest").is_valid(REFUSED[name])


@pytest.mark.parametrize(
    ("answer", "valid"),
    [
        ({"score": 0}, True),
        ({"score": 123}, True),
        ({"score": -1.5, "explanation": "x", "usage": {"total_tokens": 1}}, True),
        ({"score": 1, "explanation": None}, False),
        ({"score": 1, "usage": None}, False),
        ({"score": "1"}, False),
        ({"score": True}, False),
        ({"explanation": "x"}, False),
        ({"score": 1, "reason": "x"}, False),
    ],
)
def test_a_judgement_has_a_number_and_may_have_more(answer: Json, valid: bool) -> None:
    assert contract().checker("JudgeCriteriaResponse").is_valid(answer) is valid


@pytest.mark.parametrize(
    ("body", "valid"),
    [
        ({"message": "x", "code": "X"}, True),
        ({"message": "x", "code": "X", "issues": []}, True),
        ({"message": "x", "code": "X", "issues": [{"message": "y"}]}, True),
        ({"message": "x", "code": "X", "issues": [{"message": "y", "path": []}]}, False),
        ({"message": "x", "code": "X", "error": {}}, False),
        ({"message": "x"}, False),
        ({"message": None, "code": "X"}, False),
    ],
)
def test_an_error_has_message_code_issues_and_nothing_else(body: Json, valid: bool) -> None:
    assert contract().checker("Error").is_valid(body) is valid
