"""Whether a request keeps the contract. What answers a broken one says nothing about a server's answers."""

from typing import Any

import jsonschema_rs

from openpipe_mock.contract.probe import Request, parse_json
from openpipe_mock.openapi.spec import contract
from openpipe_mock.payloads.valid import REQUEST_COMPONENTS, parameters


def is_valid(request: Request) -> bool:
    """Whether method, key, content type, headers and body are as the contract has them."""
    return (
        request.method == "POST"
        and request.credential == "key"
        and request.header("content-type") == "application/json"
        and _has_valid_headers(request)
        and _has_valid_body(request)
    )


def _has_valid_body(request: Request) -> bool:
    checker = contract().checker(REQUEST_COMPONENTS[request.endpoint])
    value, problem = parse_json(request.body)
    return not problem and checker.is_valid(checker.tidy(value))


def _has_valid_headers(request: Request) -> bool:
    texts = ((request.header(parameter["name"]), parameter["schema"]) for _, parameter in parameters())
    return all(_fits(text, schema) for text, schema in texts if text)


def _fits(text: str, schema: dict[str, Any]) -> bool:
    """Whether a header's text keeps its schema, as JSON where the schema says so."""
    if "contentSchema" not in schema:
        return jsonschema_rs.is_valid(schema, text)
    value, problem = parse_json(text.encode())
    return not problem and jsonschema_rs.is_valid(schema["contentSchema"], value)
