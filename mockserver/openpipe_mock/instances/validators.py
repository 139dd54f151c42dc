"""Compile validators that fetch nothing, and count what they cost before they run.

A running validator can't be interrupted, and some schemas keep it busy for hours or run it out of stack:
references that branch twice at each step, `unevaluatedProperties` over a chain of them, repeats in a pattern.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import jsonschema_rs
import orjson

from openpipe_mock.core import patterns
from openpipe_mock.core.pointers import pointer_to
from openpipe_mock.instances.documents import (
    MAPS,
    MOST_SCHEMA_BYTES,
    UNEVALUATED,
    BadSchema,
    Node,
    SchemaDocument,
    Unbuildable,
    indexed,
)

_BACKTRACKS = 10_000
_MOST_DEPTH = 120
_MOST_UNEVALUATED = 3_000
"""Subschemas that `unevaluated…` keywords reach in place, counted once for each path, as compiling does."""
_TURNING = (b'"not"', b'"oneOf"', b'"if"', b'"contains"')


@lru_cache(maxsize=16)
def read_schema(text: bytes) -> tuple[SchemaDocument, list[Any]]:
    """Read a schema from its JSON text, and compile the validators that a value has to pass.

    Raises BadSchema if it is invalid or refers outside, Unbuildable if it costs too much.
    """
    schema = orjson.loads(text)
    if not isinstance(schema, dict | bool):
        raise BadSchema("type", "", "A JSON Schema is an object or a boolean.")
    document = indexed(schema)
    if isinstance(schema, dict) and not document.stated:  # in which older spelling is replaced
        text = orjson.dumps({**schema, "$schema": document.draft} if document.draft else schema)
    with suppress(LookupError, TypeError, AttributeError, ValueError):  # invalid: the compiler says where
        _bound(document)
    # Under "not" and the like, failing an asserted format could make a value valid. So it has to pass both
    # readings of formats: asserted, and what the schema's draft says.
    turns = b'"format"' in text and any(keyword in text for keyword in _TURNING)
    readings = (True, None) if turns else (True,)
    validators = [_compiled(text.decode(), document, asserts) for asserts in readings]
    _check_only_referenced(document)
    return document, validators


def _check_only_referenced(document: SchemaDocument) -> None:
    """Check those subschemas, since compiling leaves out what they hold. Raises SchemaError."""
    left = MOST_SCHEMA_BYTES  # they may overlap
    for node in document.only_referenced:
        left -= len(orjson.dumps(node.schema))
        if left < 0:
            raise Unbuildable("$ref", node.pointer, "Too much of the schema is only reached by references.")
        if not isinstance(node.schema, dict):
            raise BadSchema("$ref", node.pointer, "A $ref leads here, and this is no schema.")
        stated = {"$schema": document.draft} if document.draft else {}
        try:
            jsonschema_rs.meta.validate({**node.schema, **stated})
        except jsonschema_rs.ValidationError as error:
            raise _refusal(error, document, node.pointer) from None


def _bound(document: SchemaDocument) -> None:
    """Raise Unbuildable if `unevaluated…` keywords make compiling too long."""
    left = _MOST_UNEVALUATED
    for node in document.unevaluated:
        try:
            left -= Meter(document, left, left).cost(node, None)
        except Unbuildable:
            keyword = next(name for name in UNEVALUATED if name in node.schema)
            sentence = f'"{keyword}" looks through too many subschemas.'
            raise Unbuildable(keyword, node.pointer, sentence) from None


def _compiled(text: str, document: SchemaDocument, asserts: bool | None) -> Any:
    """Compile a validator. Raises BadSchema."""
    try:
        return jsonschema_rs.validator_for(
            text, offline=True, validate_formats=asserts, pattern_options=_regexes()
        )
    except jsonschema_rs.ValidationError as error:
        raise _refusal(error, document) from None
    except (ValueError, jsonschema_rs.ReferencingError):
        raise BadSchema("type", "", "The schema is nested too deep to be read.") from None


def _regexes() -> jsonschema_rs.FancyRegexOptions:
    return jsonschema_rs.FancyRegexOptions(
        backtrack_limit=_BACKTRACKS, size_limit=10_000_000, dfa_size_limit=1_000_000
    )


def _refusal(error: jsonschema_rs.ValidationError, document: SchemaDocument, pointer: str = "") -> BadSchema:
    """Explain where and why the compiler refused a schema, or the subschema at a pointer."""
    if error.kind.name != "$ref":
        *place, keyword = error.instance_path or ["type"]
        while place and (isinstance(keyword, int) or place[-1] in MAPS):
            keyword = place.pop()
        wrong = "no regular expression that is understood" if error.kind.name == "format" else "not allowed"
        sentence = f'The value of "{keyword}" is {wrong} here{_EXPECTED.get(str(keyword), "")}.'
        return BadSchema(str(keyword), pointer + pointer_to(*place), sentence)
    try:
        for node in document.references:
            document.target(node)
    except BadSchema as refusal:
        return refusal
    keyword = next((name for name in ("$schema", "$id") if name in document.top.schema), "$ref")
    return BadSchema(keyword, "", f"{keyword} has a value that isn't known here, and nothing is fetched.")


_EXPECTED = {
    "exclusiveMinimum": '; expected a number, or in the older spelling true beside "minimum"',
    "exclusiveMaximum": '; expected a number, or in the older spelling true beside "maximum"',
    "required": "; expected a list of the names of members, at the object that has them",
    "type": "; expected the name of a JSON type, or a list of such names",
}
"""What older and other dialects spell in another way → what is expected."""


@lru_cache(maxsize=512)
def simple_validator(text: bytes) -> Any:
    """A validator for a small schema without references, given as JSON text."""
    return jsonschema_rs.Draft202012Validator(
        text.decode(), offline=True, validate_formats=True, pattern_options=_regexes()
    )


def matches(pattern: str, text: str) -> bool:
    """Whether a user's pattern is found in a text, by the engine with bounded backtracking."""
    return bool(simple_validator(orjson.dumps({"pattern": pattern})).is_valid(text))


@dataclass(slots=True)
class Meter:
    """Counts the subschemas that checking a value evaluates at most (20 to 50 ns each), without checking it.

    `left` is the limit of that count, `visits` that of the subschemas that the meter itself may look at.
    """

    document: SchemaDocument
    left: int
    visits: int
    known: dict[tuple[int, int], int] = field(default_factory=dict)

    def cost(self, node: Node, value: Any, depth: int = 0) -> int:
        """The evaluations for a value. Raises Unbuildable over a limit and for references in circles."""
        schema = node.schema
        if not isinstance(schema, dict):
            return 1
        key = (id(schema), id(value))
        if key not in self.known:
            self.visits -= 1
            if depth > _MOST_DEPTH or self.visits < 0:
                raise self.too_costly()
            self.known[key] = self.left + 1  # a circle that comes here again finds a count over the limit
            beside = sum([self.cost(inside, value, depth + 1) for inside in self.document.in_place(node)])
            below = sum([self.cost(inside, part, depth + 1) for inside, part in _parts(node, value)])
            # Each unevaluated keyword walks everything beside it once more, measured at 2.8 times.
            weight = 3 if any(keyword in schema for keyword in UNEVALUATED) else 1
            self.known[key] = 1 + weight * beside + below + _own_cost(schema, value)
        if self.known[key] > self.left:
            raise self.too_costly()
        return self.known[key]

    def too_costly(self) -> Unbuildable:
        keyword = "$ref" if self.document.references else "enum"
        return Unbuildable(keyword, "", "Checking an instance of this schema would take too long.")


def _parts(node: Node, value: Any) -> Iterator[tuple[Node, Any]]:
    """The members, names and items of a value, each with a subschema that may judge it."""
    schema = node.schema
    if isinstance(value, dict):
        others = [name for name in _OTHERS if name in schema]
        by_name = node.children("patternProperties")
        for name, member in value.items():
            if name in schema.get("properties", ()):
                yield node.child("properties", name), member
            yield from ((inside, member) for inside in by_name)
            for keyword in others:
                yield node.child(keyword), name if keyword == "propertyNames" else member
    elif isinstance(value, list):
        for at, item in enumerate(value):
            for keyword in _ITEMS:
                if isinstance(schema.get(keyword), list) and at < len(schema[keyword]):
                    yield node.child(keyword, at), item
                elif isinstance(schema.get(keyword), dict):
                    yield node.child(keyword), item


_OTHERS = ("additionalProperties", "unevaluatedProperties", "propertyNames")
_ITEMS = ("items", "prefixItems", "additionalItems", "unevaluatedItems", "contains")


def _own_cost(schema: dict[str, Any], value: Any) -> int:
    """What the keywords about the value itself cost (enums and patterns), in evaluations."""
    # As measured: comparing a float or a container with one value of an enum; other types are looked up.
    each = 60 if isinstance(value, float) else 6 if isinstance(value, dict | list) else 0
    cost = each * len(schema.get("enum", ()))
    if isinstance(value, str) and "pattern" in schema:
        cost += pattern_cost(schema["pattern"], len(value))
    elif isinstance(value, dict):
        length = sum(map(len, value)) + len(value)
        cost += sum(pattern_cost(pattern, length) for pattern in schema.get("patternProperties", ()))
    return cost


def pattern_cost(pattern: str, length: int) -> int:
    """What searching a pattern in a text of this length costs at most, in evaluations."""
    # The engine walks pattern times text in the worst case; with lookarounds or back references it does so
    # many times.
    often = 100 if any(sign in pattern for sign in _FANCY) else 1
    return 1 + patterns.size(pattern) * length * often // 6


_FANCY = ("(?=", "(?!", "(?<=", "(?<!", "(?>", *(f"\\{digit}" for digit in range(1, 10)), "\\k")
