"""Turn one schema of the documentation dialect into JSON Schema, as OpenAPI 3.1 uses it.

The dialect is OpenAPI 3.0's schema object with a few words of its own: `requiredProperties`, `refIdentifier`,
`type: any`, `type: enum<string>`, and an `allOf` of one element around every property.
Source: the page in `schemas/sources`; words that it doesn't use were seen on other public pages of that form.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from openpipe_mock.openapi.conversion.refusals import ConversionError, child

_Schema = dict[str, Any]
_Located = dict[str, tuple[str, Any]]

_REF_PREFIX = "#/components/schemas/"
_NOTES = ("title", "description", "default", "deprecated", "readOnly", "writeOnly", "example", "examples")
_NULL_COMMENT = (
    "The generator writes JSON null as the string 'null', and the official types take that word literally, "
    "so both are accepted."
)
# (keyword inside a one-element allOf, keyword outside) that read each other: side by side, without the allOf,
# they would mean something else.
_COUPLED = (
    ("properties", "additionalProperties"),
    ("additionalProperties", "properties"),
    ("minimum", "exclusiveMinimum"),
    ("exclusiveMinimum", "minimum"),
    ("maximum", "exclusiveMaximum"),
    ("exclusiveMaximum", "maximum"),
    ("anyOf", "discriminator"),
    ("oneOf", "discriminator"),
    *(("nullable", outside) for outside in ("type", "enum", "const", "anyOf", "oneOf", "$ref")),
)
# Beside one of these, adding null to `type` isn't enough to accept null.
_COMPOSED = frozenset({"$ref", "anyOf", "oneOf", "allOf", "const"})


def standard_schema(raw: Any, place: str, components: frozenset[str]) -> _Schema:
    """Turn a page's schema into JSON Schema, still in one piece; `$ref` may name one of `components`.

    The schema keeps its form in `schemas/page.schema.yaml`. A `refIdentifier` stays in, as the bare name that
    the schema has elsewhere, for naming the parts.

    Raises:
        ConversionError: words that contradict each other or lead nowhere.
    """
    return _Dialect(components).schema(raw, place)


@dataclass(frozen=True, slots=True)
class _Dialect:
    """Reads schemas. `components` are the names that a `$ref` may use."""

    components: frozenset[str] = frozenset()

    def schema(self, raw: Any, place: str) -> _Schema:
        """Turn a schema into JSON Schema: see `standard_schema`."""
        found: _Schema = {}
        for keyword, (at, value) in self.words(raw, place).items():
            name = _RENAMED.get(keyword, keyword)
            if name in found:
                raise ConversionError(at, f'this says "{name}" a second time; keep one of the two')
            found[name] = _READERS[keyword](self, value, at) if keyword in _READERS else value
        for step in _STEPS:
            found = step(found, place)
        return found

    def words(self, raw: Any, place: str) -> _Located:
        """The schema's keywords with their places; an allOf of one element is replaced by the element's."""
        outer: _Located = {key: (child(place, key), value) for key, value in raw.items()}
        at, branches = outer.get("allOf", ("", ()))
        if len(branches) != 1:
            return outer
        del outer["allOf"]
        inner = self.words(branches[0], child(at, 0))
        clash = _conflict({k: v for k, (_, v) in inner.items()}, {k: v for k, (_, v) in outer.items()})
        if clash:
            raise ConversionError(
                at, f'"{clash}" inside conflicts with a sibling outside; write it at one place'
            )
        return outer | inner

    def types(self, value: str | list[str], place: str) -> str | list[str]:
        return value[0] if isinstance(value, list) and len(value) == 1 else value

    def required(self, value: Any, place: str) -> list[str]:
        if isinstance(value, bool):
            raise ConversionError(place, "expected a list of names, as this is no root; correct the page")
        return list(value)

    def reference(self, value: str, place: str) -> str:
        name = value.removeprefix(_REF_PREFIX)
        if name not in self.components:
            raise ConversionError(place, f'no component is named "{name}"; add it to /components/schemas')
        return value

    def identifier(self, value: str, place: str) -> str:
        return value.removeprefix(_REF_PREFIX)

    def branches(self, value: Any, place: str) -> list[_Schema]:
        return [self.schema(branch, child(place, index)) for index, branch in enumerate(value)]

    def properties(self, value: Any, place: str) -> dict[str, _Schema]:
        return {name: self.schema(raw, child(place, name)) for name, raw in value.items()}

    def additional(self, value: Any, place: str) -> _Schema | bool:
        return value if isinstance(value, bool) else self.schema(value, place)

    def discriminator(self, value: Any, place: str) -> dict[str, Any]:
        for key, target in value.get("mapping", {}).items():
            self.reference(target, child(place, "mapping", key))
        return dict(value)


def _conflict(inner: Mapping[str, Any], outer: Mapping[str, Any]) -> str | None:
    """The first keyword that keeps a schema and one in its `allOf` from becoming one; None if none does."""
    different = (key for key in inner if key in outer and inner[key] != outer[key])
    coupled = (inside for inside, outside in _COUPLED if inside in inner and outside in outer)
    return next(different, None) or next(coupled, None)


_READERS: dict[str, Callable[[_Dialect, Any, str], Any]] = {
    "$ref": _Dialect.reference,
    "refIdentifier": _Dialect.identifier,
    "type": _Dialect.types,
    "required": _Dialect.required,
    "properties": _Dialect.properties,
    "additionalProperties": _Dialect.additional,
    "items": _Dialect.schema,
    **dict.fromkeys(("anyOf", "oneOf", "allOf"), _Dialect.branches),
    "discriminator": _Dialect.discriminator,
}
"""Keyword → what its value is read by; other values stay as they are."""
_RENAMED = {"requiredProperties": "required"}


def _plain_type(schema: _Schema, place: str) -> _Schema:
    """Remove the type `any`, for which JSON Schema has no word, and turn `enum<T>` into T."""
    word = schema.get("type", "any")
    if word == "any":
        return {key: value for key, value in schema.items() if key != "type"}
    if isinstance(word, list) or not word.startswith("enum<"):
        return schema
    if "enum" not in schema:
        raise ConversionError(child(place, "type"), f'"{word}" needs an "enum" beside it; add one')
    return {**schema, "type": word.removeprefix("enum<").removesuffix(">")}


def _numeric_bounds(schema: _Schema, place: str) -> _Schema:
    """Turn OpenAPI 3.0's flag of an exclusive bound into JSON Schema's exclusive bound."""
    found = dict(schema)
    for bound, exclusive in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
        if not isinstance(found.get(exclusive), bool):
            continue
        if found.pop(exclusive):
            if bound not in found:
                raise ConversionError(child(place, exclusive), f'this needs a "{bound}" beside it; add one')
            found[exclusive] = found.pop(bound)
    return found


def _joined_enums(schema: _Schema, place: str) -> _Schema:
    """Join neighbouring branches that list strings into one enum, and unwrap an anyOf of one branch."""
    if "anyOf" not in schema:
        return schema
    branches: list[_Schema] = []
    for branch in schema["anyOf"]:
        if branches and _lists_strings(branch) and _lists_strings(branches[-1]):
            values = branches[-1]["enum"] + [v for v in branch["enum"] if v not in branches[-1]["enum"]]
            branches[-1] = {"type": "string", "enum": values}
        else:
            branches.append(branch)
    outer = {key: value for key, value in schema.items() if key != "anyOf"}
    if len(branches) == 1 and not _conflict(branches[0], outer):
        return {**branches[0], **outer}
    return {**schema, "anyOf": branches}


def _lists_strings(schema: _Schema) -> bool:
    texts = schema.keys() == {"type", "enum"} and schema["type"] == "string"
    return texts and all(isinstance(value, str) for value in schema["enum"])


def _with_null(schema: _Schema, place: str) -> _Schema:
    """Express `nullable: true` in JSON Schema's keywords."""
    core = {key: value for key, value in schema.items() if key != "nullable"}
    if not schema.get("nullable"):
        return core
    if core.get("enum") == ["null"]:
        core.pop("type", None)
        return {**core, "enum": ["null", None], "$comment": _NULL_COMMENT}
    rules = core.keys() - set(_NOTES)
    if rules == {"enum"} or ("type" in rules and not rules & _COMPOSED):
        return core | {key: _ADD_NULL[key](core[key]) for key in ("type", "enum") if key in core}
    if rules == {"anyOf"}:
        return {**core, "anyOf": [*core["anyOf"], {"type": "null"}]}
    if not rules:
        return core
    notes = {key: value for key, value in core.items() if key in _NOTES}
    rest = {key: value for key, value in core.items() if key not in _NOTES}
    return {"anyOf": [rest, {"type": "null"}], **notes}


def _types_with_null(types: str | list[str]) -> str | list[str]:
    listed = [types] if isinstance(types, str) else types
    return types if "null" in listed else [*listed, "null"]


def _values_with_null(values: list[Any]) -> list[Any]:
    return values if None in values else [*values, None]


_ADD_NULL: dict[str, Callable[[Any], Any]] = {"type": _types_with_null, "enum": _values_with_null}
_STEPS: tuple[Callable[[_Schema, str], _Schema], ...] = (
    _plain_type,
    _numeric_bounds,
    _joined_enums,
    _with_null,
)
