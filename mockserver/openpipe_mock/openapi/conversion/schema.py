"""One schema of the documentation dialect, turned into JSON Schema as OpenAPI 3.1 takes it.

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
    fields,
    is_count,
    is_flag,
    is_list,
    is_number,
    is_text,
    mapping,
    text,
    unknown,
    wanted,
)

Schema = dict[str, Any]
Located = dict[str, tuple[str, Any]]

REF_PREFIX = "#/components/schemas/"
COMPONENT_NAME = re.compile(r"[A-Za-z0-9._-]+")
TYPES = ("string", "number", "integer", "boolean", "object", "array", "null")
TYPE_WORDS = (*TYPES, "any", *(f"enum<{name}>" for name in TYPES[:4]))
NOTES = ("title", "description", "default", "deprecated", "readOnly", "writeOnly", "example", "examples")
NULL_COMMENT = (
    "The generator writes JSON null as the string 'null', and the official types take that word literally, "
    "so both are accepted."
)
# (inside, outside) of a one-element allOf: these read each other; without the allOf they mean something else.
COUPLED = (
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
# Beside one of these, adding null to `type` isn't enough to let null in.
COMPOSED = frozenset({"$ref", "anyOf", "oneOf", "allOf", "const"})


@dataclass(frozen=True, slots=True)
class Dialect:
    """Reads schemas. `components` are the names that a `$ref` may point to."""

    components: frozenset[str] = frozenset()

    def schema(self, raw: Any, place: str) -> Schema:
        """Turn a schema of the dialect into JSON Schema, still in one piece.

        A `refIdentifier` stays in, as the bare name that the schema has elsewhere, for naming the parts.

        Raises:
            ConversionError: a word or a value without a known meaning.
        """
        found: Schema = {}
        for keyword, (at, value) in self.words(raw, place).items():
            name = RENAMED.get(keyword, keyword)
            if name in found:
                raise ConversionError(at, f'this says "{name}" a second time; keep one of the two')
            found[name] = handler(keyword, at)(self, value, at)
        for step in STEPS:
            found = step(found, place)
        return found

    def words(self, raw: Any, place: str) -> Located:
        """The schema's keywords with their places; an allOf of one element is replaced by the element's."""
        outer: Located = {key: (child(place, key), value) for key, value in mapping(raw, place).items()}
        at, branches = outer.get("allOf", ("", None))
        if not is_list(branches) or len(branches) != 1:
            return outer
        del outer["allOf"]
        inner = self.words(branches[0], child(at, 0))
        clash = conflict({k: v for k, (_, v) in inner.items()}, {k: v for k, (_, v) in outer.items()})
        if clash:
            raise ConversionError(
                at, f'"{clash}" inside conflicts with a sibling outside; write it at one place'
            )
        return outer | inner

    def types(self, value: Any, place: str) -> str | list[str]:
        if is_list(value):
            words = wanted(value, place, is_type_list, f"some of {', '.join(TYPES)}")
            return words[0] if len(words) == 1 else list(words)
        return choice(value, place, TYPE_WORDS)

    def reference(self, value: Any, place: str) -> str:
        name = component_name(value, place)
        if name not in self.components:
            raise ConversionError(place, f'no component is named "{name}"; add it to /components/schemas')
        return REF_PREFIX + name

    def identifier(self, value: Any, place: str) -> str:
        return component_name(value, place)

    def branches(self, value: Any, place: str) -> list[Schema]:
        wanted(value, place, is_filled_list, "a list of schemas")
        return [self.schema(branch, child(place, index)) for index, branch in enumerate(value)]

    def properties(self, value: Any, place: str) -> dict[str, Schema]:
        return {name: self.schema(raw, child(place, name)) for name, raw in mapping(value, place).items()}

    def additional(self, value: Any, place: str) -> Schema | bool:
        return value if isinstance(value, bool) else self.schema(value, place)

    def discriminator(self, value: Any, place: str) -> dict[str, Any]:
        found = fields(value, place, ("propertyName", "mapping"), required=("propertyName",))
        text(found["propertyName"], child(place, "propertyName"))
        at = child(place, "mapping")
        for key, target in mapping(found.get("mapping", {}), at).items():
            self.reference(target, child(at, key))
        return found


def standard_schema(raw: Any, place: str, components: frozenset[str]) -> Schema:
    """`Dialect.schema` for a page with these components."""
    return Dialect(components).schema(raw, place)


def component_name(value: Any, place: str) -> str:
    name = text(value, place).removeprefix(REF_PREFIX)
    if name == value or not COMPONENT_NAME.fullmatch(name):
        raise ConversionError(place, f"{value!r} is no reference; write {REF_PREFIX} and a name")
    return name


def conflict(inner: Mapping[str, Any], outer: Mapping[str, Any]) -> str | None:
    """The first keyword that keeps two schemas, one meant to hold inside the other, from becoming one."""
    different = (key for key in inner if key in outer and inner[key] != outer[key])
    coupled = (inside for inside, outside in COUPLED if inside in inner and outside in outer)
    return next(different, None) or next(coupled, None)


Handler = Callable[[Dialect, Any, str], Any]


def checked(test: Callable[[Any], bool], description: str) -> Handler:
    """A handler that keeps a value as it is when the test holds."""
    return lambda _, value, place: wanted(value, place, test, description)


def is_filled_list(value: Any) -> bool:
    return isinstance(value, list) and bool(value)


def is_type_list(value: Any) -> bool:
    known = is_filled_list(value) and all(is_text(word) and word in TYPES for word in value)
    return known and len(set(value)) == len(value)


def is_name_list(value: Any) -> bool:
    return isinstance(value, list) and all(map(is_text, value)) and len(set(value)) == len(value)


def is_bound(value: Any) -> bool:
    return is_flag(value) or is_number(value)


TEXT = checked(is_text, "a string")
FLAG = checked(is_flag, "true or false")
NUMBER = checked(is_number, "a number")
COUNT = checked(is_count, "a whole number that is not negative")
NAMES = checked(is_name_list, "a list of different names")
BOUND = checked(is_bound, "a number, true or false")
ANYTHING = checked(lambda _: True, "anything")

KEYWORDS: dict[str, Handler] = {
    "$ref": Dialect.reference,
    "refIdentifier": Dialect.identifier,
    "type": Dialect.types,
    "nullable": FLAG,
    "enum": checked(is_filled_list, "a list of values"),
    "const": ANYTHING,
    "title": TEXT,
    "description": TEXT,
    "default": ANYTHING,
    "example": ANYTHING,
    "examples": checked(is_list, "a list of examples"),
    "deprecated": FLAG,
    "readOnly": FLAG,
    "writeOnly": FLAG,
    "format": TEXT,
    "pattern": TEXT,
    "minLength": COUNT,
    "maxLength": COUNT,
    "minimum": NUMBER,
    "maximum": NUMBER,
    "exclusiveMinimum": BOUND,
    "exclusiveMaximum": BOUND,
    "multipleOf": checked(lambda value: is_number(value) and value > 0, "a number above 0"),
    "minItems": COUNT,
    "maxItems": COUNT,
    "uniqueItems": FLAG,
    "minProperties": COUNT,
    "maxProperties": COUNT,
    "required": NAMES,
    "requiredProperties": NAMES,
    "properties": Dialect.properties,
    "additionalProperties": Dialect.additional,
    "items": Dialect.schema,
    "anyOf": Dialect.branches,
    "oneOf": Dialect.branches,
    "allOf": Dialect.branches,
    "discriminator": Dialect.discriminator,
}
RENAMED = {"requiredProperties": "required"}


def handler(keyword: str, place: str) -> Handler:
    if keyword in KEYWORDS:
        return KEYWORDS[keyword]
    if keyword.startswith("x-") and keyword != "x-source":
        return ANYTHING
    raise unknown(keyword, place.rpartition("/")[0], KEYWORDS)


def plain_type(schema: Schema, place: str) -> Schema:
    """`any` says nothing, and JSON Schema has no word for it; `enum<T>` is T with an enum beside it."""
    word = schema.get("type", "any")
    if isinstance(word, list) or word in TYPES:
        return schema
    if word == "any":
        return {key: value for key, value in schema.items() if key != "type"}
    if "enum" not in schema:
        raise ConversionError(child(place, "type"), f'"{word}" needs an "enum" beside it; add one')
    return {**schema, "type": word.removeprefix("enum<").removesuffix(">")}


def numeric_bounds(schema: Schema, place: str) -> Schema:
    """OpenAPI 3.0 marks a bound as exclusive, JSON Schema states an exclusive bound."""
    found = dict(schema)
    for bound, exclusive in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
        if not isinstance(found.get(exclusive), bool):
            continue
        if found.pop(exclusive):
            if bound not in found:
                raise ConversionError(child(place, exclusive), f'this needs a "{bound}" beside it; add one')
            found[exclusive] = found.pop(bound)
    return found


def joined_enums(schema: Schema, place: str) -> Schema:
    """Make one enum of neighbouring branches that list strings, and drop an anyOf with one branch."""
    if "anyOf" not in schema:
        return schema
    branches: list[Schema] = []
    for branch in schema["anyOf"]:
        if branches and lists_strings(branch) and lists_strings(branches[-1]):
            values = branches[-1]["enum"] + [v for v in branch["enum"] if v not in branches[-1]["enum"]]
            branches[-1] = {"type": "string", "enum": values}
        else:
            branches.append(branch)
    outer = {key: value for key, value in schema.items() if key != "anyOf"}
    if len(branches) == 1 and not conflict(branches[0], outer):
        return {**branches[0], **outer}
    return {**schema, "anyOf": branches}


def lists_strings(schema: Schema) -> bool:
    return (
        schema.keys() == {"type", "enum"} and schema["type"] == "string" and all(map(is_text, schema["enum"]))
    )


def with_null(schema: Schema, place: str) -> Schema:
    """Say `nullable: true` in JSON Schema's words."""
    core = {key: value for key, value in schema.items() if key != "nullable"}
    if not schema.get("nullable"):
        return core
    if core.get("enum") == ["null"]:
        core.pop("type", None)
        return {**core, "enum": ["null", None], "x-source": "decision", "$comment": NULL_COMMENT}
    rules = core.keys() - set(NOTES)
    if rules == {"enum"} or ("type" in rules and not rules & COMPOSED):
        return core | {key: ADD_NULL[key](core[key]) for key in ("type", "enum") if key in core}
    if rules == {"anyOf"}:
        return {**core, "anyOf": [*core["anyOf"], {"type": "null"}]}
    if not rules:
        return core
    notes = {key: value for key, value in core.items() if key in NOTES}
    rest = {key: value for key, value in core.items() if key not in NOTES}
    return {"anyOf": [rest, {"type": "null"}], **notes}


def types_with_null(types: str | list[str]) -> str | list[str]:
    listed = [types] if isinstance(types, str) else types
    return types if "null" in listed else [*listed, "null"]


def values_with_null(values: list[Any]) -> list[Any]:
    return values if None in values else [*values, None]


ADD_NULL: dict[str, Callable[[Any], Any]] = {"type": types_with_null, "enum": values_with_null}
STEPS: tuple[Callable[[Schema, str], Schema], ...] = (plain_type, numeric_bounds, joined_enums, with_null)
