"""What a schema of the contract says under one keyword, in the document's own words."""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import yaml

from openpipe_mock.openapi.spec import contract

_CHOICES = ("anyOf", "oneOf", "allOf")


@cache
def statements(component: str, keyword: str) -> tuple[tuple[str, str], ...]:
    """Pairs of a member and what a component says of it, as `("role", "role: enum: [user]")`.

    The member is "" for the component itself. () for an unknown component or a keyword that stands nowhere.
    """
    parts = contract().document["components"]
    schema = parts["schemas"].get(component) or parts["parameters"].get(component, {}).get("schema")
    return tuple(_said(schema, keyword)) if schema else ()


def _said(schema: Mapping[str, Any], keyword: str, name: str = "") -> Iterator[tuple[str, str]]:
    # A schema under the keyword, as in `additionalProperties: {…}`, is no statement about the value here.
    if not isinstance(schema.get(keyword, {}), dict):
        yield name, _line(name, keyword, schema[keyword])
    for member, inner in schema.get("properties", {}).items():
        yield from _said(inner, keyword, member)
    for word in _CHOICES:
        names = [inner["$ref"].rpartition("/")[2] for inner in schema.get(word, ()) if "$ref" in inner]
        if names and keyword == "type":
            yield name, _line(name, word, names)
        for inner in schema.get(word, ()):
            yield from _said(inner, keyword, name)
    if isinstance(schema.get("items"), dict):
        yield from _said(schema["items"], keyword, f"{name}.items".removeprefix("."))


def _line(name: str, keyword: str, value: Any) -> str:
    """A statement as the document writes it, on one line."""
    text = yaml.safe_dump(value, default_flow_style=True, width=10**6).removesuffix("...\n").strip()
    return f"{name}: {keyword}: {text}".removeprefix(": ")
