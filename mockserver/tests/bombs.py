"""Schemas that are made to cost: small to send, and endless for who takes them at their word."""

from collections.abc import Iterator, Mapping
from functools import reduce
from typing import Any

Json = Any
_WHOLE: Json = {"type": "integer"}
_COMBINING = ("anyOf", "oneOf", "allOf")
_SIZES = (30, 300, 2000)


def _nested(keyword: str, depth: int, inner: Json) -> Json:
    """A schema inside a schema, so many times."""
    return reduce(lambda schema, _: {keyword: schema}, range(depth), inner)


def _listed(keyword: str, depth: int, width: int) -> Json:
    """Alternatives in alternatives: as many ways as `width` to the power of `depth`, by references."""
    levels = {f"l{n}": {keyword: [{"$ref": f"#/$defs/l{n + 1}"}] * width} for n in range(depth)}
    return {"$ref": "#/$defs/l0", "$defs": {**levels, f"l{depth}": _WHOLE}}


def _object(**properties: Json) -> Json:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _doubling(depth: int) -> Json:
    """Objects with two members that refer to the next: twice as large with each level."""
    levels = {
        f"l{n}": _object(a={"$ref": f"#/$defs/l{n + 1}"}, b={"$ref": f"#/$defs/l{n + 1}"})
        for n in range(depth)
    }
    return {"$ref": "#/$defs/l0", "$defs": {**levels, f"l{depth}": _WHOLE}}


def _made() -> Iterator[tuple[str, Json]]:
    for keyword in _COMBINING:
        for depth, width in ((10, 10), (60, 2), (3, 200)):
            yield f"{keyword}: {width} ways, {depth} times", _listed(keyword, depth, width)
        yield f"{keyword}: many", {keyword: [{"const": n} for n in range(1000)]}
        yield f"{keyword}: itself", {"$ref": "#/$defs/a", "$defs": {"a": {keyword: [{"$ref": "#/$defs/a"}]}}}
    for keyword in ("not", "items", "additionalProperties", "contains", "propertyNames", "if"):
        yield f"{keyword}: deep", _nested(keyword, 150, _WHOLE)
    for size in _SIZES:
        names = [f"p{n}" for n in range(size)]
        yield f"{size} properties", _object(**dict.fromkeys(names, _WHOLE))
        yield f"{size} values", {"enum": names}
        yield f"{size} conditions", {"allOf": [{"if": {"const": n}, "then": False} for n in range(size)]}
        yield f"{size} needs", {"type": "object", "dependentRequired": dict.fromkeys(names, names[:30])}
        yield f"{size} items", {"type": "array", "prefixItems": [_WHOLE] * size, "minItems": size}
    for depth in (10, 20, 60):
        yield f"doubling {depth} times", _doubling(depth)
    for most in (10**6, 10**9, 2**63, 10**30):
        yield f"an array of {most}", {"type": "array", "items": _WHOLE, "minItems": most}
        yield f"a text of {most}", {"type": "string", "minLength": most}
        yield f"an object of {most}", {"type": "object", "minProperties": most}
    different = {"type": "array", "uniqueItems": True}
    yield "three different booleans", {**different, "items": {"type": "boolean"}, "minItems": 3}
    yield "many different items", {**different, "items": _WHOLE, "minItems": 3000}
    yield "a list of itself", {"type": "array", "items": {"$ref": "#"}, "minItems": 3}
    yield "an object of itself", _object(a={"$ref": "#"}, b={"$ref": "#"})
    yield "a reference to itself", {"$ref": "#"}
    yield (
        "references in a ring",
        {
            "$ref": "#/$defs/a",
            "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}},
        },
    )
    yield "multiples without end", {"type": "number", "multipleOf": 1e-300, "minimum": 1e300}
    yield "multiples that miss", {"allOf": [{"multipleOf": 7919 + 2 * n} for n in range(100)], "minimum": 1}
    yield "a range of nothing", {"type": "number", "exclusiveMinimum": 1, "exclusiveMaximum": 1}
    for pattern in (
        "(a+)+$",
        "(a|a)*b",
        "^(.{1000}){1000}$",
        "a{100000}",
        "(?=a)(?!a)",
        "((((((x*)*)*)*)*)*)*y",
    ):
        yield f"a text that matches {pattern}", {"type": "string", "pattern": pattern, "minLength": 50}
    yield (
        "patterns for names",
        {
            "type": "object",
            "patternProperties": {f"^(a+)+{n}$": _WHOLE for n in range(200)},
            "minProperties": 50,
        },
    )
    yield "a name of a million", _object(**{"n" * 10**6: _WHOLE})


SCHEMA_BOMBS: Mapping[str, Json] = dict(_made())


def requests_with(schema: Json) -> Iterator[Json]:
    """Chat requests that have this schema: for the answer, for a call's arguments, and in the prompt."""
    asked = {"model": "openpipe:m", "messages": [{"role": "user", "content": "Go"}], "max_tokens": 50}
    form = {"type": "json_schema", "json_schema": {"name": "bomb", "schema": schema}}
    tool = {"type": "function", "function": {"name": "bomb", "parameters": schema}}
    yield {**asked, "response_format": form}
    yield {**asked, "tools": [tool], "tool_choice": "required"}
