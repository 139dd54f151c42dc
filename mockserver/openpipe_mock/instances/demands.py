"""Merge what several subschemas demand of one value.

Plain keywords are merged into rules. Keywords about members and items stay with their subschema, since
`additionalProperties` applies only to the properties beside it. Unions and conditions are taken in `choices`.
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
    """No value meets the demands. Has the keyword that failed and the JSON pointer to its subschema."""

    def __init__(self, keyword: str, pointer: str) -> None:
        self.keyword, self.pointer = keyword, pointer
        super().__init__(keyword, pointer)


@dataclass(slots=True)
class Budget:
    """The steps that a search has left, each of about 10 µs."""

    left: int

    def spend(self, steps: int, node: Node) -> None:
        """Take steps away. Raises Unbuildable, which names `node`, if there aren't enough."""
        self.left -= steps
        if self.left < 0:
            sentence = "No instance was found within the limits of the search."
            raise Unbuildable(applicator(node.pointer), node.pointer, sentence)


@dataclass(frozen=True, slots=True)
class _Members:
    """One subschema's keywords about the members of an object."""

    node: Node

    def of(self, name: str) -> list[Node]:
        """The subschemas that judge the member with this name; [] if there are none."""
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
    """One subschema's keywords about items: a node for each of the first ones, and one for the rest."""

    prefix: tuple[Node, ...]
    rest: Node | None

    def of(self, at: int) -> list[Node]:
        if at < len(self.prefix):
            return [self.prefix[at]]
        return [self.rest] if self.rest else []


@dataclass(slots=True)
class Demands:
    """The merged demands of several subschemas on one value.

    `rules` holds plain keywords (`type`, `pattern`, `format`, `required` as tuples), `origins` the pointer
    of each rule's subschema. `seen` has the merged subschemas by `id()`, `presets` are defaults and examples.
    `recursive` tells that one of the subschemas also judges a value around this one.
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
        """Merge one plain keyword. Raises Contradiction if nothing meets both the old and the new value."""
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
        """The names of the declared members in their order, then those that are only required."""
        names = [name for part in self.members for name in part.node.schema.get("properties", ())]
        return list(dict.fromkeys([*names, *self.rules.get("required", ())]))

    def member(self, name: str) -> list[Node]:
        """The subschemas that judge the member with this name."""
        found = [node for part in self.members for node in part.of(name)]
        return found or list(self.unevaluated_members)

    def item(self, at: int) -> list[Node]:
        """The subschemas that judge the item at this index, except those of `contains`."""
        found = [node for row in self.rows for node in row.of(at)]
        return found or list(self.unevaluated_items)


_BEYOND = 10**300
"""A `multipleOf` beyond this leaves hardly more than 0: its multiples are too large for a double."""


def _both_types(one: tuple[str, ...], other: tuple[str, ...]) -> tuple[str, ...]:
    """The types that both have, in the order of the first; an integer is a number too."""
    shared = [name for name in map(partial(_narrowed, other), one) if name in _with_integer(other)]
    return tuple(dict.fromkeys(shared))


def _with_integer(types: tuple[str, ...]) -> tuple[str, ...]:
    return (*types, "integer") if "number" in types else types


def _narrowed(other: tuple[str, ...], name: str) -> str:
    """`number` becomes `integer` if the other side has no `number`; other types stay."""
    return "integer" if name == "number" and name not in other else name


def key(value: Any) -> bytes:
    """A text that is the same for equal JSON values, whatever the order of their members."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def common(one: list[Any], other: list[Any]) -> list[Any]:
    """The values of `one` that are in `other` too."""
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
"""Plain keyword → a function that merges its values of two subschemas."""

KEYWORD_READERS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "type": ("type", lambda value: (value,) if isinstance(value, str) else tuple(value)),
    "const": ("enum", lambda value: [value]),
    "multipleOf": ("multipleOf", exact),
    "pattern": ("pattern", lambda value: (value,)),
    "format": ("format", lambda value: (value,)),
    "required": ("required", tuple),
    "dependentRequired": ("dependentRequired", lambda value: tuple(value.items())),
}
"""Keyword → the name of its rule, and a function that reads its value."""


def plain_rules(demands: Demands, node: Node) -> None:
    """Merge the plain keywords of a subschema into the rules. Raises Contradiction."""
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
    """Note a subschema's keywords about members and items, its default and its examples."""
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
    """The keywords about items of a subschema of any draft."""
    # Before 2020-12 a list under `items` was the prefix, and `additionalItems` the rest.
    tuple_like = "items" if isinstance(node.schema.get("items"), list) else "prefixItems"
    rest = "additionalItems" if tuple_like == "items" else "items"
    prefix = tuple(node.child(tuple_like, at) for at in range(len(node.schema.get(tuple_like, ()))))
    return _Row(prefix, node.child(rest) if rest in node.schema else None)
