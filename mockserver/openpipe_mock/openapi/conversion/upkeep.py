"""Check the contract for `openpipe-mock schemas check`: is it valid, up to date, and true to its examples?"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema_rs

from openpipe_mock.core.resources import folder
from openpipe_mock.core.wording import listed, quoted, quoted_names, shown
from openpipe_mock.openapi.conversion.convert import convert_page, differences
from openpipe_mock.openapi.conversion.refusals import child
from openpipe_mock.openapi.shapes import Schema, resolve
from openpipe_mock.openapi.spec import load_document
from openpipe_mock.openapi.violations import SchemaPlace, violations_of

_CONVERTED = ("judge-criteria.md",)
"""Pages of `schemas/sources/` from which the document is converted."""


def problems(path: Path | None = None) -> Iterator[str]:
    """Yield one sentence for each thing that is wrong with an OpenAPI document, by default the shipped one.

    Raises ModuleNotFoundError without the extra `contract`.
    """
    document = load_document(path or folder("schemas") / "openapi.yaml")
    invalid = list(_openapi_errors(document))
    yield from invalid
    yield from _outdated(document)
    if not invalid:
        yield from _bad_examples(document)


def _openapi_errors(document: Mapping[str, Any]) -> Iterator[str]:
    """Where the document is no valid OpenAPI 3.1."""
    from openapi_spec_validator import OpenAPIV31SpecValidator
    from openapi_spec_validator.schemas import schema_v31

    errors = list(jsonschema_rs.validator_for(dict(schema_v31)).iter_errors(document))
    for error in errors:
        yield f"{_pointer(error.instance_path)}: {_explained(error)}"
    if not errors:
        for found in OpenAPIV31SpecValidator(document).iter_errors():
            yield f"{_pointer(found.absolute_path)}: {_CONTRADICTION}"


_CONTRADICTION = (
    "the document contradicts itself: a reference leads nowhere, an operationId or a parameter stands twice, "
    "a path's parameter is not declared, or a default breaks its schema."
)


def _explained(error: jsonschema_rs.ValidationError) -> str:
    """The sentence about a violation of OpenAPI's own schema."""
    kind = error.kind
    if isinstance(kind, jsonschema_rs.ValidationErrorKind.Required):
        return f"{quoted(kind.property)} is missing."
    if isinstance(kind, jsonschema_rs.ValidationErrorKind.Type):
        return f"expected {listed(kind.types, 'or')}, got {shown(error.instance)}."
    if isinstance(kind, jsonschema_rs.ValidationErrorKind.UnevaluatedProperties):
        return f"OpenAPI 3.1 has no {quoted_names(kind.unexpected)} here."
    return f'OpenAPI 3.1 doesn\'t allow {shown(error.instance)} here, by "{kind.name}" in its schema.'


def _outdated(document: Mapping[str, Any]) -> Iterator[str]:
    """Where the document differs from a new conversion of its source pages."""
    for name in _CONVERTED:
        page = (folder("schemas") / "sources" / name).read_text("utf-8")
        for difference in differences(dict(document), convert_page(page)):
            yield f"{difference} (source: {name}; `make schemas` converts it anew)"


def _bad_examples(document: Mapping[str, Any]) -> Iterator[str]:
    """Where an example breaks the schema beside it."""
    for place, schema, example in _examples(document, document):
        start = SchemaPlace(document, noun="the example")
        if not start.accepts(schema, example):
            found = list(violations_of(schema, example, start))
            for violation in found:
                yield f"{place}{violation.pointer}: {violation.sentence}"
            if not found:
                yield f"{place}: this example breaks its schema."


def _examples(node: Any, document: Schema, place: str = "") -> Iterator[tuple[str, Schema, Any]]:
    """The place of every example below a node, the schema that it has to keep, and its value."""
    if isinstance(node, list):
        for index, item in enumerate(node):
            yield from _examples(item, document, child(place, index))
    if not isinstance(node, dict):
        return
    schema = node.get("schema", node)
    if "example" in node:
        yield child(place, "example"), schema, node["example"]
    given = node.get("examples", ())
    if isinstance(given, list):
        for index, value in enumerate(given):
            yield child(place, "examples", index), schema, value
    elif isinstance(given, dict) and "schema" in node:
        for name, entry in given.items():
            yield child(place, "examples", name), schema, resolve(entry, document)["value"]
    for name, inner in node.items():
        if name not in ("example", "examples", "default", "enum", "const"):
            yield from _examples(inner, document, child(place, name))


def _pointer(place: Any) -> str:
    """The JSON pointer of a path of steps."""
    return child("", *place) or "/"
