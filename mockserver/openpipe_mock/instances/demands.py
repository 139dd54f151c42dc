"""What subschemas demand together of one value.

Plain keywords merge into rules; those that speak of members and items stay apart, since
`additionalProperties` knows only the properties beside it. What is a choice is taken in `choices`.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import orjson

from openpipe_mock.instances.documents import Node, Unbuildable, applicator, matches
from openpipe_mock.instances.scalars import common_multiple, exact

Branch = list[Node]


class Contradiction(Exception):
    """No value meets these demands: the keyword that failed, and the JSON pointer to its subschema."""

    def __init__(self, keyword: str, pointer: str) -> None:
        self.keyword, self.pointer = keyword, pointer
        super().__init__(keyword, pointer)


@dataclass(slots=True)
class Budget:
    """Steps that are left of a search; about 10 µs each."""

    left: int

    def spend(self, steps: int, node: Node) -> None:
        self.left -= steps
        if self.left < 0:
            sentence = "No instance was found within the limits of the search."
            raise Unbuildable(applicator(node.pointer), node.pointer, sentence)


@dataclass(frozen=True, slots=True)
class _Members:
    """What one subschema says of the members of an object."""

    node: Node

    def of(self, name: str) -> list[Node]:
        """The subschemas that judge the member with this name; empty when none does."""
        schema = self.node.schema
        found = [self.node.child("properties", name)] if name in schema.get("properties", ()) else []
        found += [
            self.node.child("patternProperties", pattern)
            for pattern in schema.get("patternProperties", ())
            if matches(pattern, name)
        ]
        if not found and "additionalProperties" in schema:
            found = [self.node.child("additionalProperties")]
        return found


@dataclass(frozen=True, slots=True)
class _Row:
    """What one subschema says of the items of an array: the first ones, each by itself, and the rest."""

    prefix: tuple[Node, ...]
    rest: Node | None

    def of(self, at: int) -> list[Node]:
        if at < len(self.prefix):
            return [self.prefix[at]]
        return [self.rest] if self.rest else []


@dataclass(slots=True)
class Demands:
    """The merged demands.

    `rules` holds plain keywords (`type`, `pattern`, `format`, `required` as tuples), `origins` the pointer
    that each came from; `recursive` says that a value above is under one of the same subschemas.
    """

    rules: dict[str, Any] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    seen: dict[int, Node] = field(default_factory=dict)
    presets: tuple[Any, ...] = ()
    members: tuple[_Members, ...] = ()
    rows: tuple[_Row, ...] = ()
    contains: tuple[Node, ...] = ()
    names: tuple[Node, ...] = ()
    nots: tuple[Node, ...] = ()
    unevaluated_members: tuple[Node, ...] = ()
    unevaluated_items: tuple[Node, ...] = ()
    recursive: bool = False

    def copy(self) -> "Demands":
        return replace(self, rules=dict(self.rules), origins=dict(self.origins), seen=dict(self.seen))

    def rule(self, keyword: str, value: Any, node: Node) -> None:
        """Merge one plain keyword; Conflict when nothing meets both the old and the new value."""
        if keyword in self.rules:
            value = _COMBINED[keyword](self.rules[keyword], value)
            nothing = (
                not value if keyword in ("type", "enum") else keyword == "multipleOf" and value > _BEYOND
            )
            if nothing:
                raise Contradiction(keyword, node.pointer)
        self.rules[keyword] = value
        self.origins[keyword] = node.pointer

    def declared(self) -> list[str]:
        """The names of the declared members in order, then those that are only required."""
        names = [name for part in self.members for name in part.node.schema.get("properties", ())]
        return list(dict.fromkeys([*names, *self.rules.get("required", ())]))

    def member(self, name: str) -> list[Node]:
        found = [node for part in self.members for node in part.of(name)]
        return found or list(self.unevaluated_members)

    def item(self, at: int) -> list[Node]:
        found = [node for row in self.rows for node in row.of(at)]
        return found or list(self.unevaluated_items)


_BEYOND = 10**300
"""No number up to here is a multiple of what is larger, except 0; and what is much larger is no double."""


def _both_types(one: tuple[str, ...], other: tuple[str, ...]) -> tuple[str, ...]:
    """The types in both, in the order of the first; an integer is a number too."""
    shared = [name for name in map(partial(_narrowed, other), one) if name in _with_integer(other)]
    return tuple(dict.fromkeys(shared))


def _with_integer(types: tuple[str, ...]) -> tuple[str, ...]:
    return (*types, "integer") if "number" in types else types


def _narrowed(other: tuple[str, ...], name: str) -> str:
    """A number is an integer where the other side knows no other numbers."""
    return "integer" if name == "number" and name not in other else name


def key(value: Any) -> bytes:
    """Equal for equal JSON values, whatever the order of their members."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def common(one: list[Any], other: list[Any]) -> list[Any]:
    known = {key(value) for value in other}
    return [value for value in one if key(value) in known]


def _united(one: tuple[str, ...], other: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(one + other))


LOWER = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
UPPER = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
_COMBINED: dict[str, Callable[[Any, Any], Any]] = {
    **dict.fromkeys(LOWER, max),
    **dict.fromkeys(UPPER, min),
    "type": _both_types,
    "enum": common,
    "multipleOf": common_multiple,
    "pattern": _united,
    "format": _united,
    "required": _united,
    "dependentRequired": lambda one, other: (*one, *other),
    "uniqueItems": lambda one, other: one or other,
    "contentMediaType": lambda one, other: one,
    "contentEncoding": lambda one, other: one,
}
"""Plain keyword → what its values in two subschemas come to."""

KEYWORD_READERS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "type": ("type", lambda value: (value,) if isinstance(value, str) else tuple(value)),
    "const": ("enum", lambda value: [value]),
    "multipleOf": ("multipleOf", exact),
    "pattern": ("pattern", lambda value: (value,)),
    "format": ("format", lambda value: (value,)),
    "required": ("required", tuple),
    "dependentRequired": ("dependentRequired", lambda value: tuple(value.items())),
}
"""Keyword → the rule that it becomes, and how its value is read."""


def plain_rules(demands: Demands, node: Node) -> None:
    for keyword, value in node.schema.items():
        name, read = KEYWORD_READERS.get(keyword, (keyword, None))
        if name not in _COMBINED or (keyword in _BOUNDS and isinstance(value, bool)):
            continue
        demands.rule(name, read(value) if read else value, node)
    for keyword, bound in _BOUNDS.items():  # draft 4: a flag beside the bound
        if node.schema.get(keyword) is True and bound in node.schema:
            demands.rule(keyword, node.schema[bound], node)
    dependencies = node.schema.get("dependencies", {})
    lists = tuple((name, needed) for name, needed in dependencies.items() if isinstance(needed, list))
    if lists:
        demands.rule("dependentRequired", lists, node)


_BOUNDS = {"exclusiveMinimum": "minimum", "exclusiveMaximum": "maximum"}
_MEMBERS = frozenset(("properties", "patternProperties", "additionalProperties"))


def structure(demands: Demands, node: Node) -> None:
    """Note the keywords that speak of members and items."""
    schema = node.schema
    if not _MEMBERS.isdisjoint(schema):
        demands.members += (_Members(node),)
    if "prefixItems" in schema or "items" in schema:
        demands.rows += (_row(node),)
    if "contains" in schema:
        demands.contains += (node,)
    if "propertyNames" in schema:
        demands.names += (node.child("propertyNames"),)
    if "unevaluatedProperties" in schema:
        demands.unevaluated_members += (node.child("unevaluatedProperties"),)
    if "unevaluatedItems" in schema:
        demands.unevaluated_items += (node.child("unevaluatedItems"),)
    presets = [schema["default"]] if "default" in schema else []
    examples = schema.get("examples")
    demands.presets += (*presets, *(examples if isinstance(examples, list) else ()))


def _row(node: Node) -> _Row:
    """Items in the words of any draft: before 2020-12, a list under `items` was the prefix."""
    tuple_like = "items" if isinstance(node.schema.get("items"), list) else "prefixItems"
    rest = "additionalItems" if tuple_like == "items" else "items"
    prefix = tuple(node.child(tuple_like, at) for at in range(len(node.schema.get(tuple_like, ()))))
    return _Row(prefix, node.child(rest) if rest in node.schema else None)
