"""Turn one schema of the documentation dialect into JSON Schema, as OpenAPI 3.1 uses it.

The dialect is OpenAPI 3.0's schema object with a few words of its own: `requiredProperties`, `refIdentifier`,
`type: any`, `type: enum<string>`, and an `allOf` of one element around every property.
Source: the page in `schemas/sources`; words that it doesn't use were seen on other public pages of that form.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from openpipe_mock.openapi.conversion.refusals import (
    ConversionError,
    child,
    choice,
    expect,
    expect_text,
    fields,
    is_count,
    is_flag,
    is_list,
    is_number,
    is_text,
    mapping,
    refuse_unknown,
)

_Schema = dict[str, Any]
_Located = dict[str, tuple[str, Any]]

_REF_PREFIX = "#/components/schemas/"
COMPONENT_NAME = re.compile(r"[A-Za-z0-9._-]+")
_TYPES = ("string", "number", "integer", "boolean", "object", "array", "null")
_TYPE_WORDS = (*_TYPES, "any", *(f"enum<{name}>" for name in _TYPES[:4]))
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

    A `refIdentifier` stays in, as the bare name that the schema has elsewhere, for naming the parts.

    Raises:
        ConversionError: a word or a value without a known meaning.
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
            found[name] = _handler(keyword, at)(self, value, at)
        for step in _STEPS:
            found = step(found, place)
        return found

    def words(self, raw: Any, place: str) -> _Located:
        """The schema's keywords with their places; an allOf of one element is replaced by the element's."""
        outer: _Located = {key: (child(place, key), value) for key, value in mapping(raw, place).items()}
        at, branches = outer.get("allOf", ("", None))
        if not is_list(branches) or len(branches) != 1:
            return outer
        del outer["allOf"]
        inner = self.words(branches[0], child(at, 0))
        clash = _conflict({k: v for k, (_, v) in inner.items()}, {k: v for k, (_, v) in outer.items()})
        if clash:
            raise ConversionError(
                at, f'"{clash}" inside conflicts with a sibling outside; write it at one place'
            )
        return outer | inner

    def types(self, value: Any, place: str) -> str | list[str]:
        if is_list(value):
            words = expect(value, place, _is_type_list, f"some of {', '.join(_TYPES)}")
            return words[0] if len(words) == 1 else list(words)
        return choice(value, place, _TYPE_WORDS)

    def reference(self, value: Any, place: str) -> str:
        name = _component_name(value, place)
        if name not in self.components:
            raise ConversionError(place, f'no component is named "{name}"; add it to /components/schemas')
        return _REF_PREFIX + name

    def identifier(self, value: Any, place: str) -> str:
        return _component_name(value, place)

    def branches(self, value: Any, place: str) -> list[_Schema]:
        expect(value, place, _is_filled_list, "a list of schemas")
        return [self.schema(branch, child(place, index)) for index, branch in enumerate(value)]

    def properties(self, value: Any, place: str) -> dict[str, _Schema]:
        return {name: self.schema(raw, child(place, name)) for name, raw in mapping(value, place).items()}

    def additional(self, value: Any, place: str) -> _Schema | bool:
        return value if isinstance(value, bool) else self.schema(value, place)

    def discriminator(self, value: Any, place: str) -> dict[str, Any]:
        found = fields(value, place, ("propertyName", "mapping"), required=("propertyName",))
        expect_text(found["propertyName"], child(place, "propertyName"))
        at = child(place, "mapping")
        for key, target in mapping(found.get("mapping", {}), at).items():
            self.reference(target, child(at, key))
        return found


def _component_name(value: Any, place: str) -> str:
    name = expect_text(value, place).removeprefix(_REF_PREFIX)
    if name == value or not COMPONENT_NAME.fullmatch(name):
        raise ConversionError(place, f"{value!r} is no reference; write {_REF_PREFIX} and a name")
    return name


def _conflict(inner: Mapping[str, Any], outer: Mapping[str, Any]) -> str | None:
    """The first keyword that keeps a schema and one in its `allOf` from becoming one; None if none does."""
    different = (key for key in inner if key in outer and inner[key] != outer[key])
    coupled = (inside for inside, outside in _COUPLED if inside in inner and outside in outer)
    return next(different, None) or next(coupled, None)


_Handler = Callable[[_Dialect, Any, str], Any]


def _checked(test: Callable[[Any], bool], description: str) -> _Handler:
    """Make a handler that returns a value as it is if the test holds."""
    return lambda _, value, place: expect(value, place, test, description)


def _is_filled_list(value: Any) -> bool:
    return isinstance(value, list) and bool(value)


def _is_type_list(value: Any) -> bool:
    known = _is_filled_list(value) and all(is_text(word) and word in _TYPES for word in value)
    return known and len(set(value)) == len(value)


def _is_name_list(value: Any) -> bool:
    return isinstance(value, list) and all(map(is_text, value)) and len(set(value)) == len(value)


def _is_bound(value: Any) -> bool:
    return is_flag(value) or is_number(value)


_TEXT = _checked(is_text, "a string")
_FLAG = _checked(is_flag, "true or false")
_NUMBER = _checked(is_number, "a number")
_COUNT = _checked(is_count, "a whole number that is not negative")
_NAMES = _checked(_is_name_list, "a list of different names")
_BOUND = _checked(_is_bound, "a number, true or false")
_ANYTHING = _checked(lambda _: True, "anything")

_KEYWORDS: dict[str, _Handler] = {
    "$ref": _Dialect.reference,
    "refIdentifier": _Dialect.identifier,
    "type": _Dialect.types,
    "nullable": _FLAG,
    "enum": _checked(_is_filled_list, "a list of values"),
    "const": _ANYTHING,
    "title": _TEXT,
    "description": _TEXT,
    "default": _ANYTHING,
    "example": _ANYTHING,
    "examples": _checked(is_list, "a list of examples"),
    "deprecated": _FLAG,
    "readOnly": _FLAG,
    "writeOnly": _FLAG,
    "format": _TEXT,
    "pattern": _TEXT,
    "minLength": _COUNT,
    "maxLength": _COUNT,
    "minimum": _NUMBER,
    "maximum": _NUMBER,
    "exclusiveMinimum": _BOUND,
    "exclusiveMaximum": _BOUND,
    "multipleOf": _checked(lambda value: is_number(value) and value > 0, "a number above 0"),
    "minItems": _COUNT,
    "maxItems": _COUNT,
    "uniqueItems": _FLAG,
    "minProperties": _COUNT,
    "maxProperties": _COUNT,
    "required": _NAMES,
    "requiredProperties": _NAMES,
    "properties": _Dialect.properties,
    "additionalProperties": _Dialect.additional,
    "items": _Dialect.schema,
    "anyOf": _Dialect.branches,
    "oneOf": _Dialect.branches,
    "allOf": _Dialect.branches,
    "discriminator": _Dialect.discriminator,
}
_RENAMED = {"requiredProperties": "required"}


def _handler(keyword: str, place: str) -> _Handler:
    if keyword in _KEYWORDS:
        return _KEYWORDS[keyword]
    if keyword.startswith("x-") and keyword != "x-source":
        return _ANYTHING
    raise refuse_unknown(keyword, place.rpartition("/")[0], _KEYWORDS)


def _plain_type(schema: _Schema, place: str) -> _Schema:
    """Remove the type `any`, for which JSON Schema has no word, and turn `enum<T>` into T."""
    word = schema.get("type", "any")
    if isinstance(word, list) or word in _TYPES:
        return schema
    if word == "any":
        return {key: value for key, value in schema.items() if key != "type"}
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
    return (
        schema.keys() == {"type", "enum"} and schema["type"] == "string" and all(map(is_text, schema["enum"]))
    )


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
