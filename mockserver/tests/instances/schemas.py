"""Schemas to build instances of: realistic ones as people send them, and hostile ones that nobody should."""

from collections.abc import Callable
from typing import Any

Schema = dict[str, Any]
S: Schema = {"type": "string"}
I: Schema = {"type": "integer"}  # noqa: E741
N: Schema = {"type": "number"}
B: Schema = {"type": "boolean"}
NULL: Schema = {"type": "null"}


def obj(properties: Schema, required: list[str] | None = None, /, **more: Any) -> Schema:
    """An object as pydantic writes it: with a title, required members listed."""
    named = list(properties) if required is None else required
    return {"properties": properties, "required": named, "title": "Model", "type": "object", **more}


def strict(properties: Schema, /, **more: Any) -> Schema:
    """An object as structured outputs want it: closed, and every member required."""
    return obj(properties, additionalProperties=False, **more)


def ref(name: str, where: str = "$defs") -> Schema:
    return {"$ref": f"#/{where}/{name}"}


def optional(schema: Schema) -> Schema:
    return {"anyOf": [schema, NULL], "default": None}


def array(items: Any, **more: Any) -> Schema:
    return {"items": items, "type": "array", **more}


ADDRESS = obj({"street": S, "city": S, "zip_code": {"type": "string", "pattern": "^[0-9]{5}(-[0-9]{4})?$"}})
COLOR: Schema = {"enum": ["red", "green", "blue"], "title": "Color", "type": "string"}
CAT = obj({"kind": {"const": "cat", "type": "string"}, "lives": I})
DOG = obj({"kind": {"const": "dog", "type": "string"}, "breed": S})
PETS: Schema = {"Cat": CAT, "Dog": DOG}
TAGGED: Schema = {
    "discriminator": {
        "mapping": {"cat": "#/$defs/Cat", "dog": "#/$defs/Dog"},
        "propertyName": "kind",
    },
    "oneOf": [ref("Cat"), ref("Dog")],
}
DECIMAL: Schema = {
    "anyOf": [N, {"pattern": r"^(?!^[-+.]*$)[+-]?0*\d*\.?\d*$", "type": "string"}],
    "title": "Price",
}
DRAFT_7 = "http://json-schema.org/draft-07/schema#"

PYDANTIC: dict[str, Schema] = {
    "flat": obj({"name": {"title": "Name", **S}, "age": {"title": "Age", **I}}),
    "nested": obj({"name": S, "address": ref("Address")}, **{"$defs": {"Address": ADDRESS}}),
    "nested twice": obj(
        {"company": ref("Company")},
        **{"$defs": {"Address": ADDRESS, "Company": obj({"name": S, "offices": array(ref("Address"))})}},
    ),
    "optional string": obj({"nickname": optional(S)}, []),
    "optional without default": obj({"nickname": {"anyOf": [S, NULL]}}),
    "optional model": obj({"address": optional(ref("Address"))}, [], **{"$defs": {"Address": ADDRESS}}),
    "enum": obj({"color": ref("Color")}, **{"$defs": {"Color": COLOR}}),
    "enum with default": obj(
        {"color": {"$ref": "#/$defs/Color", "default": "green"}}, **{"$defs": {"Color": COLOR}}
    ),
    "all of one, as pydantic 2.5 wrote it": obj(
        {"color": {"allOf": [ref("Color")], "default": "red"}}, [], **{"$defs": {"Color": COLOR}}
    ),
    "int enum": obj({"level": {"enum": [1, 2, 3], "title": "Level", "type": "integer"}}),
    "literal": obj({"mode": {"enum": ["fast", "slow"], "type": "string"}}),
    "literal of one": obj({"type": {"const": "text", "default": "text", "type": "string"}}, []),
    "literal mixed": obj({"value": {"enum": ["a", 1, True, None]}}),
    "constr pattern": obj({"code": {"type": "string", "pattern": r"^[A-Z]{3}-\d{3,5}$"}}),
    "constr lengths": obj({"slug": {"type": "string", "minLength": 3, "maxLength": 10}}),
    "conint": obj({"percent": {"type": "integer", "minimum": 0, "maximum": 100}}),
    "conint exclusive": obj({"n": {"type": "integer", "exclusiveMinimum": 10, "exclusiveMaximum": 12}}),
    "conint multiple": obj({"n": {"type": "integer", "multipleOf": 5, "minimum": 12}}),
    "confloat": obj({"score": {"type": "number", "minimum": 0.0, "maximum": 1.0}}),
    "positive float": obj({"price": {"type": "number", "exclusiveMinimum": 0}}),
    "datetime": obj({"at": {"format": "date-time", "type": "string"}}),
    "date and time": obj({"on": {"format": "date", **S}, "at": {"format": "time", **S}}),
    "timedelta": obj({"wait": {"format": "duration", "type": "string"}}),
    "decimal": obj({"price": DECIMAL}),
    "decimal serialized": obj({"price": {"type": "string", "pattern": DECIMAL["anyOf"][1]["pattern"]}}),
    "uuid": obj({"id": {"format": "uuid", "type": "string"}}),
    "uuid4": obj({"id": {"format": "uuid4", "type": "string"}}),
    "email": obj({"email": {"format": "email", "type": "string"}}),
    "http url": obj({"url": {"format": "uri", "maxLength": 2083, "minLength": 1, "type": "string"}}),
    "ip": obj({"ip": {"format": "ipv4", **S}, "six": {"format": "ipv6", **S}}),
    "any ip": obj({"ip": {"format": "ipvanyaddress", "type": "string"}}),
    "bytes": obj({"blob": {"format": "binary", "type": "string"}}),
    "base64 bytes": obj({"blob": {"format": "base64", "type": "string"}}),
    "secret": obj({"key": {"format": "password", "type": "string", "writeOnly": True}}),
    "path": obj({"file": {"format": "path", "type": "string"}}),
    "json string": obj(
        {"raw": {"contentMediaType": "application/json", "contentSchema": {}, "type": "string"}}
    ),
    "list of strings": obj({"tags": array(S)}),
    "list of models": obj({"pets": array(ref("Cat"))}, **{"$defs": PETS}),
    "list with bounds": obj({"tags": array(S, minItems=2, maxItems=4)}),
    "list default": obj({"tags": array(S, default=[])}, []),
    "set": obj({"ids": array(I, uniqueItems=True, minItems=3)}),
    "set of enum": obj(
        {"colors": array(ref("Color"), uniqueItems=True, minItems=3)}, **{"$defs": {"Color": COLOR}}
    ),
    "tuple": obj({"point": {"type": "array", "prefixItems": [N, N], "minItems": 2, "maxItems": 2}}),
    "tuple open": obj({"row": {"type": "array", "prefixItems": [S], "items": I, "minItems": 3}}),
    "dict": obj({"counts": {"additionalProperties": I, "type": "object"}}),
    "dict of models": obj(
        {"by_name": {"additionalProperties": ref("Cat"), "type": "object"}}, **{"$defs": PETS}
    ),
    "dict any": obj({"extra": {"additionalProperties": True, "type": "object"}}),
    "dict with key pattern": obj(
        {"env": {"type": "object", "patternProperties": {"^[A-Z_]+$": S}, "additionalProperties": False}}
    ),
    "dict of enum keys": obj(
        {
            "by": {
                "type": "object",
                "propertyNames": ref("Color"),
                "additionalProperties": I,
                "minProperties": 2,
            }
        },
        **{"$defs": {"Color": COLOR}},
    ),
    "any": obj({"value": {"title": "Value"}}),
    "union": obj({"value": {"anyOf": [I, S]}}),
    "union of models": obj({"pet": {"anyOf": [ref("Cat"), ref("Dog")]}}, **{"$defs": PETS}),
    "union tagged": obj({"pet": TAGGED}, **{"$defs": PETS}),
    "list of tagged": obj({"pets": array(TAGGED, minItems=2)}, **{"$defs": PETS}),
    "nested tagged": obj(
        {"event": {"oneOf": [ref("A"), ref("C")]}},
        **{
            "$defs": {
                "A": obj({"type": {"const": "a"}, "body": {"oneOf": [ref("Cat"), ref("Dog")]}}),
                "C": obj({"type": {"const": "c"}, "count": I}),
                **PETS,
            }
        },
    ),
    "recursive list": {
        "$defs": {"Node": obj({"v": I, "kids": array(ref("Node"), default=[])}, ["v"])},
        **ref("Node"),
    },
    "recursive optional": {
        "$defs": {"Node": obj({"v": I, "next": optional(ref("Node"))}, ["v"])},
        **ref("Node"),
    },
    "recursive mutual": {
        "$defs": {"A": obj({"b": optional(ref("B"))}, []), "B": obj({"a": optional(ref("A"))}, [])},
        **ref("A"),
    },
    "expression": {
        "$defs": {
            "Expr": {"anyOf": [ref("Binary"), ref("Literal")]},
            "Binary": obj({"op": {"enum": ["+", "-"]}, "left": ref("Expr"), "right": ref("Expr")}),
            "Literal": obj({"value": N}),
        },
        **ref("Expr"),
    },
    "root model list": array(ref("Cat"), **{"$defs": PETS}),
    "root model str": {"title": "Name", "type": "string", "minLength": 1},
    "examples": obj({"city": {"type": "string", "examples": ["Paris", "Rome"]}}),
    "defaults": obj(
        {"limit": {"default": 10, **I}, "dry": {"default": False, **B}, "q": {"default": "", **S}}, []
    ),
    "default factory dict": obj({"meta": {"additionalProperties": S, "default": {}, "type": "object"}}, []),
    "extra forbid": strict({"a": S, "b": I}),
    "extra allow": obj({"a": S}, additionalProperties=True),
    "alias": obj({"@type": S, "$id-like": S, "a/b": S, "a~b": S, "ключ": S, "": S}),
    "phone": obj({"phone": {"type": "string", "format": "phone", "pattern": r"^\+?[1-9]\d{1,14}$"}}),
    "hex color": obj({"color": {"type": "string", "pattern": "^#(?:[0-9a-fA-F]{3}){1,2}$"}}),
    "semver": obj({"version": {"type": "string", "pattern": r"^\d+\.\d+\.\d+(?:-[\w.]+)?$"}}),
    "password": obj({"pw": {"type": "string", "pattern": r"^(?=.*[a-z])(?=.*[A-Z])(?=.*\d).{8,64}$"}}),
    "iso country": obj(
        {"country": {"type": "string", "pattern": "^[A-Z]{2}$", "minLength": 2, "maxLength": 2}}
    ),
    "email pattern": obj({"mail": {"type": "string", "pattern": r"^[\w.+-]+@[\w-]+\.[\w.]{2,}$"}}),
    "starts with": obj({"url": {"type": "string", "pattern": "^https://"}}),
    "not blank": obj({"text": {"type": "string", "pattern": r"\S", "minLength": 1}}),
    "yes or no": obj({"answer": {"type": "string", "pattern": "^(yes|no)$"}}),
    "time of day": obj({"at": {"type": "string", "pattern": "^([01]?[0-9]|2[0-3]):[0-5][0-9]$"}}),
    "name chars": obj({"name": {"type": "string", "pattern": r"^[^<>&\"']{2,30}$"}}),
    "unicode name": obj({"name": {"type": "string", "pattern": r"^\p{L}+$"}}),
}

OTHERS: dict[str, Schema] = {
    "math reasoning": strict(
        {
            "steps": array(strict({"explanation": S, "output": S})),
            "final_answer": S,
        }
    ),
    "calendar event": strict({"name": S, "date": S, "participants": array(S)}),
    "ui": {
        "$defs": {},
        **strict(
            {
                "type": {"type": "string", "enum": ["div", "button", "header", "section", "field", "form"]},
                "label": S,
                "children": array({"$ref": "#"}),
                "attributes": array(strict({"name": S, "value": S})),
            }
        ),
    },
    "linked list": {
        "$defs": {"list_node": strict({"value": N, "next": {"anyOf": [ref("list_node"), NULL]}})},
        **strict({"linked_list": ref("list_node")}),
    },
    "moderation": strict(
        {"is_violating": B, "category": {"type": ["string", "null"], "enum": ["violence", "hate", None]}}
    ),
    "nullable by type": strict(
        {"unit": {"type": ["string", "null"], "description": "C or F"}, "n": {"type": ["null", "integer"]}}
    ),
    "weather tool": {
        "type": "object",
        "properties": {
            "location": {"type": "string", "description": "The city and state, e.g. San Francisco, CA"},
            "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
        },
        "required": ["location"],
    },
    "no arguments": {"type": "object", "properties": {}},
    "empty": {},
    "tool with array of enum": obj({"days": array({"enum": ["mon", "tue"]}, minItems=1)}),
    "tool sql": strict({"query": S, "limit": {"type": "integer", "minimum": 1, "maximum": 1000}}),
    "draft 7 definitions": {
        "$schema": DRAFT_7,
        "definitions": {"point": {"type": "object", "properties": {"x": N, "y": N}, "required": ["x", "y"]}},
        "type": "object",
        "properties": {"at": ref("point", "definitions")},
    },
    "draft 7 tuple": {
        "$schema": DRAFT_7,
        "type": "array",
        "items": [S, I],
        "additionalItems": False,
        "minItems": 2,
    },
    "draft 4": {
        "$schema": "http://json-schema.org/draft-04/schema#",
        "type": "number",
        "minimum": 0,
        "exclusiveMinimum": True,
        "maximum": 5,
        "exclusiveMaximum": False,
    },
    "zod union": {
        "$schema": DRAFT_7,
        "type": "object",
        "properties": {
            "v": {"type": ["string", "number"]},
            "w": {"anyOf": [{"type": "string", "const": "a"}, N]},
        },
        "required": ["v", "w"],
        "additionalProperties": False,
    },
    "zod effects": {"allOf": [obj({"a": S}), obj({"b": I})]},
    "inheritance": {
        "$defs": {"Base": {"type": "object", "properties": {"id": I}, "required": ["id"]}},
        "allOf": [ref("Base")],
        "properties": {"name": S},
        "required": ["name"],
        "unevaluatedProperties": False,
    },
    "either of two": {**obj({"a": S, "b": S}, []), "anyOf": [{"required": ["a"]}, {"required": ["b"]}]},
    "one of two": {**obj({"a": S, "b": S}, []), "oneOf": [{"required": ["a"]}, {"required": ["b"]}]},
    "one of two, closed": {"oneOf": [strict({"a": S}), strict({"b": S})]},
    "not both": {**obj({"a": S, "b": S}, ["a"]), "not": {"required": ["a", "b"]}},
    "if only else fits": {
        **obj({"country": {"enum": ["US", "NL"]}, "zip": S}),
        "if": {"properties": {"country": {"const": "US"}}, "required": ["country"]},
        "then": False,
        "else": {"properties": {"zip": {"minLength": 7}}},
    },
    "dependent required": {
        **obj({"card": S, "billing": S}, ["card"]),
        "dependentRequired": {"card": ["billing"]},
    },
    "number that is no integer": {"oneOf": [I, N]},
    "fizz": {"type": "integer", "allOf": [{"multipleOf": 3}, {"multipleOf": 5}]},
    "two patterns": {"type": "string", "allOf": [{"pattern": "^[a-z]+$"}, {"pattern": "^.{4}$"}]},
    "cents": obj({"price": {"type": "number", "multipleOf": 0.01, "minimum": 0.05, "maximum": 0.2}}),
    "escaped pointer": {"$defs": {"a/b~c %": S}, "$ref": "#/$defs/a~1b~0c%20%25"},
    "closed with patterns": {
        "type": "object",
        "properties": {"id": I},
        "patternProperties": {"^x-": S},
        "additionalProperties": False,
        "minProperties": 3,
    },
    "unevaluated items": {"type": "array", "prefixItems": [S, I], "unevaluatedItems": False},
    "const object": {"const": {"b": 1, "a": [None, True]}},
    "enum of objects": {"enum": [{"a": 1}, {"a": 2}], "type": "object"},
    "type inferred": {"properties": {"n": {"minimum": 3}, "s": {"minLength": 2}, "l": {"minItems": 1}}},
    "not an enum": {"type": "string", "not": {"enum": ["example text", "sample text"]}},
    "long text": {"type": "string", "minLength": 200, "maxLength": 220},
    "large": obj({f"field_{at}": [S, I, N, B][at % 4] for at in range(200)}),
    "deep": {
        "type": "object",
        "properties": {"a": array(obj({"b": array(obj({"c": array(obj({"d": S}))}))}))},
    },
}

REALISTIC = {**{f"pydantic: {name}": schema for name, schema in PYDANTIC.items()}, **OTHERS}


def chain(count: int, make: Callable[[Schema], Any], last: Any = None) -> Schema:
    """Definitions each of which refers to the next."""
    steps = {f"d{at}": make(ref(f"d{at + 1}")) for at in range(count)}
    return {"$defs": {**steps, f"d{count}": S if last is None else last}, **ref("d0")}


def nest(count: int, make: Callable[[Any], Any], inner: Any) -> Any:
    for _ in range(count):
        inner = make(inner)
    return inner


def ring(count: int, **more: Any) -> Schema:
    """Unions that refer to each other in circles."""
    steps = {
        f"d{at}": {"anyOf": [ref(f"d{(at + by) % count}") for by in range(1, 6)], **more}
        for at in range(count)
    }
    return {"$defs": steps, **ref("d0")}


HOSTILE: dict[str, Any] = {
    "too many required names": {"type": "object", "required": [f"n{number}" for number in range(10_001)]},
    "more patterns of names than are remembered": {
        "type": "object",
        "patternProperties": {f"^(a|b)*{number}$": {"$ref": "#"} for number in range(500)},
        "minProperties": 100,
    },
    "many names and patterns of names": {
        "type": "object",
        "required": [f"n{number}" for number in range(900)],
        "patternProperties": {f"n.*{number}": {"type": "string"} for number in range(300)},
    },
    "nested deep": nest(120, lambda inner: {"not": inner}, {}),
    "nested deeper": nest(900, lambda inner: {"not": inner}, {}),
    "required deep": nest(60, lambda inner: obj({"a": inner}), S),
    "10,000 branches": {"anyOf": [obj({"a": {"const": at}}) for at in range(10_000)]},
    "10,000 branches, all alike": {"oneOf": [{"type": "string", "minLength": 1} for at in range(10_000)]},
    "10,000 dead branches": {"anyOf": [{"type": "string", "allOf": [I]} for _ in range(10_000)]},
    "anyOf doubling": chain(30, lambda after: {"anyOf": [after, after]}),
    "anyOf doubling, dead": chain(30, lambda after: {"anyOf": [after, after]}, False),
    "allOf doubling": chain(30, lambda after: {"allOf": [after, after]}),
    "oneOf doubling": chain(12, lambda after: {"oneOf": [after, after]}),
    "if doubling": chain(30, lambda after: {"if": after, "then": after, "else": after}),
    "not doubling": chain(31, lambda after: {"not": {"allOf": [after, after]}}),
    "members doubling": chain(30, lambda after: obj({"a": after, "b": after})),
    "optional members doubling": chain(30, lambda after: obj({"a": after, "b": after}, [])),
    "items doubling": chain(30, lambda after: array(after, minItems=2)),
    "unevaluated doubling": chain(
        30, lambda after: {"anyOf": [after, after], "unevaluatedProperties": False}, {}
    ),
    "unevaluated chain": chain(3_000, lambda after: {"allOf": [after], "unevaluatedProperties": False}, {}),
    "unevaluated, nested": chain(60, lambda after: {"allOf": [after], "unevaluatedItems": False}, {}),
    "unevaluated over a chain": {
        **chain(3_000, lambda after: {"allOf": [after]}, {}),
        "unevaluatedItems": False,
    },
    "unevaluated ring": ring(16, unevaluatedProperties=False),
    "ring": ring(16),
    "chain of references": chain(3_900, lambda after: after),
    "endless chain of references": chain(9_000, lambda after: after),
    "chain of unions": chain(3_000, lambda after: {"anyOf": [after, {"type": "integer", "not": {}}]}),
    "mutual": {"$defs": {"a": ref("b"), "b": ref("a")}, **ref("a")},
    "itself": {"$ref": "#"},
    "not itself": {"not": {"$ref": "#"}},
    "required recursion": {**obj({"a": {"$ref": "#"}, "b": {"$ref": "#"}})},
    "required recursion in items": array({"anyOf": [{"$ref": "#"}, {"$ref": "#"}]}, minItems=1),
    "minItems": {"type": "array", "minItems": 10**9},
    "minItems, nested": array(array(S, minItems=200), minItems=200),
    "uniqueItems without room": array(B, minItems=900, uniqueItems=True),
    "minLength": {"type": "string", "minLength": 10**9},
    "minLength, often": array({"type": "string", "minLength": 9_999}, minItems=1_000),
    "minProperties": {"type": "object", "minProperties": 10**9},
    "minContains": {"type": "array", "contains": {}, "minContains": 10**9},
    "too many contained": {"type": "array", "allOf": [{"contains": {"const": at}} for at in range(400)]},
    "catastrophic": {"type": "string", "pattern": "^(a+)+$", "minLength": 5_000},
    "catastrophic, looking ahead": {"type": "string", "pattern": "^(?=(a+)+$)(a|aa)+b$", "minLength": 1_000},
    "catastrophic names": {
        "type": "object",
        "patternProperties": {f"^(a|aa)+{at}$": {} for at in range(300)},
        "propertyNames": {"pattern": "^(?=(a+)+$)(a|aa)+$"},
        "minProperties": 50,
    },
    "repeats in repeats": {"type": "string", "pattern": "((a{1000}){1000}){1000}"},
    "empty repeats": {"type": "string", "pattern": "((|){10000}){10000}"},
    "repeats in unread syntax": {"type": "string", "pattern": r"(a{1000}){1000}(b)\1"},
    "parentheses": {"type": "string", "pattern": "(" * 5_000 + "a" + ")" * 5_000},
    "long pattern": {"type": "string", "pattern": "a" * 200_000},
    "many properties of characters": obj(
        {f"p{at}": {"pattern": rf"^\p{{L}}{{1,{at + 1}}}$"} for at in range(300)}
    ),
    "no text": {"type": "string", "pattern": "(?!)"},
    "not anything": {"not": {}},
    "false": False,
    "enum": {"enum": list(range(100_000))},
    "enum, wrong type": {"enum": list(range(100_000)), "type": "string"},
    "enums": {"allOf": [{"enum": list(range(100_000))}, {"enum": list(range(99_999, 199_999))}]},
    "many members": {"properties": {f"p{at}": S for at in range(40_000)}},
    "5,000 required members": obj({f"p{at}": S for at in range(5_000)}),
    "dependent schemas": {
        "type": "object",
        "dependentSchemas": {f"p{at}": {"required": ["q"]} for at in range(300)},
    },
    "choices without a way": {
        "type": "object",
        "allOf": [{"anyOf": [{"required": [f"a{at}"]}, {"required": [f"b{at}"]}]} for at in range(80)],
        "maxProperties": 3,
    },
    "conditions without an end": {
        "type": "object",
        "allOf": [
            {
                "if": {"properties": {"a": {"minimum": at}}},
                "then": {"required": ["b"]},
                "else": {"properties": {"a": {"maximum": at}}},
            }
            for at in range(300)
        ],
        "properties": {"a": I, "b": False},
        "required": ["a"],
    },
    "contained in itself": array({"$ref": "#"}, contains={"$ref": "#"}, minItems=1),
    "dependent members, often": {
        "type": "object",
        "allOf": [{"dependentRequired": {f"k{at}": [f"k{at + 1}", "k0"]}} for at in range(5_000)],
        "required": ["k0"],
    },
    "references where no keyword is": {
        "x": nest(200, lambda inner: {"x": inner}, {"title": "x" * 100_000}),
        "allOf": [{"$ref": "#" + "/x" * at} for at in range(200, 0, -1)],
    },
    "chain of dependent members": {
        "type": "object",
        "required": ["k0"],
        "dependentRequired": {f"k{at}": [f"k{at + 1}"] for at in range(20_000)},
    },
    "branches that are true": {"anyOf": [True] * 200_000},
    "many formats": {"type": "string", "allOf": [{"format": f"f{at}"} for at in range(10_000)]},
    "many anchors": {"$defs": {f"k{at}": {"$anchor": f"k{at}"} for at in range(10_000)}},
    "lists that nobody knows": {"x-data": [[at] for at in range(100_000)]},
    "enum against fractions": {"type": "number", "anyOf": [{"enum": list(range(100_000))}, N]},
    "multiples of all": {"type": "integer", "allOf": [{"multipleOf": at} for at in range(2, 3_000)]},
    "dead members": obj({f"p{at}": {"oneOf": [I, I]} for at in range(50)}),
    "presets that are wrong": obj(
        {f"p{at}": {**obj({"a": S}), "default": {"a": at}} for at in range(60)}, []
    ),
    "bounds without a number": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 5e-324},
    "multiples beyond": {"type": "integer", "multipleOf": 1e-300, "minimum": 1e300},
    "deep default": {"default": nest(240, lambda inner: [inner], 1)},
    "long name": obj({"x" * 100_000: {"type": "string", "minLength": 3, "maxLength": 2}}),
}
