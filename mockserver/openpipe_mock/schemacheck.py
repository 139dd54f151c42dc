"""`openpipe-mock schemas check`: is the contract valid, in step with its sources, true to its examples?"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema_rs

from openpipe_mock.convert import convert_page, differences
from openpipe_mock.resources import folder
from openpipe_mock.shapes import resolve
from openpipe_mock.spec import load
from openpipe_mock.violations import DIALECT

CONVERTED = ("judge-criteria.md",)
"""Pages of `schemas/sources/` that the document is converted from."""


def problems(path: Path | None = None) -> Iterator[str]:
    """One sentence for each thing that is wrong with a document; by default with the one that ships.

    Raises ModuleNotFoundError without the extra `contract`.
    """
    document = load(path or folder("schemas") / "openapi.yaml")
    invalid = list(openapi_errors(document))
    yield from invalid
    yield from outdated(document)
    if not invalid:
        yield from bad_examples(document)


def openapi_errors(document: Mapping[str, Any]) -> Iterator[str]:
    """Where the document is no valid OpenAPI 3.1."""
    from openapi_spec_validator import OpenAPIV31SpecValidator

    for error in OpenAPIV31SpecValidator(document).iter_errors():
        yield f"{pointer(error.absolute_path)}: {error.message}"


def outdated(document: Mapping[str, Any]) -> Iterator[str]:
    """Where the document differs from a new conversion of its source pages."""
    for name in CONVERTED:
        page = (folder("schemas") / "sources" / name).read_text("utf-8")
        for difference in differences(dict(document), convert_page(page)):
            yield f"{difference} (source: {name}; `make schemas` converts it anew)"


def bad_examples(document: Mapping[str, Any]) -> Iterator[str]:
    """Where an example breaks the schema that it stands beside."""
    for place, schema, example in examples(document, document, ()):
        validator = jsonschema_rs.validator_for(
            {"$schema": DIALECT, **schema, "components": document["components"]}
        )
        for error in validator.iter_errors(example):
            yield f"{pointer(place)}: {error.message}"


def examples(
    node: Any, document: Mapping[str, Any], place: tuple[str | int, ...]
) -> Iterator[tuple[tuple[str | int, ...], Mapping[str, Any], Any]]:
    """Every example below a node: its place, the schema that it has to keep, its value."""
    if isinstance(node, list):
        for index, item in enumerate(node):
            yield from examples(item, document, (*place, index))
    if not isinstance(node, dict):
        return
    schema = node.get("schema", node)
    if "example" in node:
        yield (*place, "example"), schema, node["example"]
    given = node.get("examples", ())
    if isinstance(given, list):
        for index, value in enumerate(given):
            yield (*place, "examples", index), schema, value
    elif isinstance(given, dict) and "schema" in node:
        for name, entry in given.items():
            yield (*place, "examples", name), schema, resolve(entry, document)["value"]
    for name, child in node.items():
        if name not in ("example", "examples", "default", "enum", "const"):
            yield from examples(child, document, (*place, name))


def pointer(place: Any) -> str:
    """A JSON pointer."""
    return "".join(f"/{str(step).replace('~', '~0').replace('/', '~1')}" for step in place) or "/"
