"""The control API's document: valid, complete, and in one piece as it is served."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from openapi_spec_validator import validate

from openpipe_mock.config import file as configfile
from openpipe_mock.control.api import ROUTES
from openpipe_mock.control.document import document
from openpipe_mock.control.listings import ROOT
from openpipe_mock.control.parameters import (
    EXPECTATIONS,
    FILTERS,
    MOST_EXPECTED,
    MOST_LISTED,
    STATUS_FILTER,
)
from openpipe_mock.core.resources import folder
from openpipe_mock.openapi.endpoints import ENDPOINTS
from openpipe_mock.openapi.spec import load_document
from tests.controlling import Mock

Json = Any

METHODS = ("get", "put", "post", "delete", "head", "patch", "options")


def served() -> Json:
    return yaml.safe_load(Mock().ask("GET", "/openapi.yaml").body)


def references(value: Json) -> Iterator[str]:
    """Every reference in a document."""
    if isinstance(value, dict):
        yield from (target for key, target in value.items() if key == "$ref" and isinstance(target, str))
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from references(item)


def operations() -> dict[tuple[str, str], Json]:
    return {
        (method.upper(), path): operation
        for path, item in document()["paths"].items()
        for method, operation in item.items()
        if method in METHODS
    }


@pytest.mark.slow
def test_the_served_document_is_valid() -> None:
    validate(served())


def test_the_served_document_needs_no_other() -> None:
    targets = set(references(served()))
    assert targets
    for target in targets:
        found = served_value(target)
        assert found is not None, target


def served_value(target: str) -> Json:
    """What a reference leads to."""
    assert target.startswith("#/"), target
    value = document()
    for step in target.removeprefix("#/").split("/"):
        value = value[step]
    return value


def test_the_document_on_disk_leads_to_shapes_that_exist() -> None:
    on_disk = set(references(load_document(folder("schemas") / "control.yaml")))
    shapes = {target for target in on_disk if not target.startswith("#")}
    known = {f"config.schema.json#/$defs/{name}" for name in configfile.schema()["$defs"]}
    assert shapes
    assert shapes <= known


def test_no_name_means_two_shapes() -> None:
    own = load_document(folder("schemas") / "control.yaml")["components"]["schemas"]
    assert set(own) & set(configfile.schema()["$defs"]) == set()


def test_the_shapes_are_those_of_the_config_file() -> None:
    assert document()["components"]["schemas"]["fault"]["properties"].keys() == (
        configfile.schema()["$defs"]["fault"]["properties"].keys()
    )


def test_every_route_is_in_the_document_and_the_other_way_round() -> None:
    assert set(operations()) == {(route.method, ROOT + route.path) for route in ROUTES}


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_an_operation_names_the_parameters_and_the_body_that_its_route_reads(route: Any) -> None:
    operation = operations()[route.method, ROOT + route.path]
    parameters = [served_value(each["$ref"]) if "$ref" in each else each for each in operation["parameters"]]
    in_query = {each["name"] for each in parameters if each["in"] == "query"}
    in_path = [each["name"] for each in parameters if each["in"] == "path"]
    assert in_query == {"session", *route.parameters}
    assert in_path == re.findall(r"\{(\w+)\}", route.path)
    body = operation.get("requestBody")
    assert (body is not None) is bool(route.body)
    assert body is None or body["required"] is (route.body != "optional")
    assert ("413" in operation["responses"]) is bool(route.body)


def test_each_operation_says_who_is_refused_and_when_redis_is_missed() -> None:
    needs_none = {
        *("/_mock/health", "/_mock/metrics", "/_mock/openapi.yaml", "/_mock/status"),
        "/_mock/config/check",
    }
    for (_, path), operation in operations().items():
        assert "403" in operation["responses"]
        assert ("503" in operation["responses"]) == (path not in needs_none), path


def test_every_operation_has_an_id_of_its_own_and_says_what_it_is() -> None:
    ids = [operation["operationId"] for operation in operations().values()]
    assert len(set(ids)) == len(ids)
    assert all(operation["summary"] and operation["tags"] for operation in operations().values())


def test_the_values_of_the_filters_are_those_that_are_read() -> None:
    parameters = {each.get("name"): each for each in operations()["GET", "/_mock/requests"]["parameters"]}
    assert {*FILTERS, "limit"} < set(parameters)
    assert parameters["endpoint"]["schema"]["enum"] == list(ENDPOINTS)
    assert parameters["limit"]["schema"]["maximum"] == MOST_LISTED
    status = parameters["status"]["schema"]["pattern"]
    for value in ("200", "4xx", "0", "600", "20", "4x", "00"):
        assert bool(re.search(status, value)) is bool(STATUS_FILTER.fullmatch(value)), value


def test_the_forms_and_numbers_are_those_of_the_code() -> None:
    schemas = document()["components"]["schemas"]
    keys = schemas["Criterion"]["properties"]["versions"]["additionalProperties"]["enum"]
    assert set(keys) == {"by", "drawn", *(each["required"][0] for each in schemas["form"]["oneOf"])}
    assert set(schemas["Verification"]["properties"]) == {"when", *EXPECTATIONS}
    assert schemas["Verification"]["properties"]["exactly"]["maximum"] == MOST_EXPECTED


def test_the_document_is_served_as_yaml_and_the_same_every_time() -> None:
    first, second = Mock().ask("GET", "/openapi.yaml"), Mock().ask("GET", "/openapi.yaml")
    assert dict(first.headers)[b"content-type"] == b"application/yaml"
    assert first.body == second.body
    assert json.dumps(served()) == json.dumps(document())
