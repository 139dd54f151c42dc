"""Spots, the places in a value that a schema describes, and routes, which lead to them in a body.

A route leads from the body inwards. Each step names a member, any item of an array, or any value of a map.
Where the schema is a union, the step also names the branch: a rule for user messages applies to these only.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from openpipe_mock.core.levels import LEVELS, weaker
from openpipe_mock.openapi.shapes import Schema, label, tag_of, types
from openpipe_mock.openapi.spec import contract

ITEM, VALUE = "", "*"
"""Names of the steps into an item of an array and into a value of a map."""

_KEYS: Mapping[str, str] = {"criteria_results": "criterion-1", "criteria": "criterion-1"}
"""Map → the key that an example of it has, where keys mean something. Other maps have "note"."""


@dataclass(frozen=True, slots=True)
class Step:
    """A step into a member, ITEM or VALUE. `tag` and `label` name the branch of a union, "" without one."""

    name: str
    tag: str = ""
    label: str = ""

    def __str__(self) -> str:
        """The step as part of a dotted name."""
        if self.name == ITEM:
            return self.label or "item"
        name = "value" if self.name == VALUE else self.name
        return f"{name}.{self.label}" if self.label else name

    def holds(self, value: Any) -> bool:
        """Whether a value at this step belongs to the step's branch."""
        return not self.tag or (isinstance(value, dict) and value.get(self.tag) == self.label)


ValuePath = tuple[Step, ...]
Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Spot:
    """One place where a value may stand, with all that the document says of it.

    `schema` has its references resolved; `component` is the one that contains it. `level` is the source class
    of its keywords. `absent` says that the member is optional, so that null counts as absent.
    """

    document: Schema = field(repr=False, compare=False)
    route: ValuePath
    schema: Schema = field(repr=False, compare=False)
    component: str
    level: str
    absent: bool = False

    @property
    def name(self) -> str:
        """The name of the member, or of the array or map that this is a part of."""
        return _member_of(self.route)

    @property
    def label(self) -> str:
        """The label of the union's branch that this is, "" where there is no union."""
        return self.route[-1].label if self.route else ""

    def branches(self) -> tuple["Spot", ...]:
        """The branches of a union, nested ones too. Where several are objects, the route names which one."""
        found = tuple(opened(self))
        objects = [spot.schema for spot in found if "properties" in spot.schema]
        tag = tag_of(objects, self.document) if len(objects) > 1 else ""
        return tuple(_labelled(spot, tag) if tag and "properties" in spot.schema else spot for spot in found)

    def types(self) -> frozenset[str]:
        """The JSON types that are allowed here."""
        return frozenset(name for branch in self.branches() for name in types_of(branch.schema))

    def below(self) -> Iterator["Spot"]:
        """The spots directly inside one branch: members, values of a map, items."""
        required = self.schema.get("required", ())
        for name, member in self.schema.get("properties", {}).items():
            yield self.inner(Step(name), member, name not in required)
        for step, keyword in ((Step(VALUE), "additionalProperties"), (Step(ITEM), "items")):
            inner = self.schema.get(keyword)
            if isinstance(inner, Mapping) and inner:
                yield self.inner(step, inner)

    def inner(self, step: Step, schema: Schema, absent: bool = False) -> "Spot":
        return _entered(replace(self, route=(*self.route, step), schema=schema, absent=absent))

    def additional(self) -> str:
        """The source class of what the schema says about further members of this object.

        Only the published page closes objects. The clients' types name members and don't mention others:
        where an object rests on these types, closing or opening it is a decision, unless the document says
        more.
        """
        told = self.schema.get("x-source-additional", "documented")
        return weaker(told, self.level if self.level == "documented" or told == "sdk" else "decision")


def _member_of(route: ValuePath) -> str:
    """The last member on a route, "" if there is none."""
    return next((step.name for step in reversed(route) if step.name not in (ITEM, VALUE)), "")


def key_of(route: ValuePath) -> str:
    """The key of an example in a map, for a route to the map or to its values."""
    return _KEYS.get(_member_of(route), "note")


def _entered(spot: Spot) -> Spot:
    """The spot with its references followed.

    A member's own `x-source` counts before that of the component around it. A reference makes nothing
    stronger: the judge's messages are documented for the judge alone.
    """
    schema = spot.schema
    component, level = spot.component, schema.get("x-source", spot.level)
    while "$ref" in schema:
        component = schema["$ref"].rpartition("/")[2]
        schema = spot.document["components"]["schemas"][component]
        level = weaker(level, schema.get("x-source", level))
    return replace(spot, schema=schema, component=component, level=level)


def opened(spot: Spot) -> Iterator[Spot]:
    """The branches of a union, inner unions included; any other spot is its own branch."""
    if "anyOf" not in spot.schema:
        yield spot
    for branch in spot.schema.get("anyOf", ()):
        yield from opened(_entered(replace(spot, schema=branch)))


def _labelled(spot: Spot, tag: str) -> Spot:
    """The branch with its label in the route."""
    *before, last = spot.route
    named = replace(last, tag=tag, label=label(spot.schema, tag, spot.document) or "")
    return replace(spot, route=(*before, named))


def types_of(schema: Schema) -> tuple[str, ...]:
    """The JSON types that a schema allows, in its order; without `type`, those of its enum's words."""
    if "type" not in schema and "enum" in schema:
        return tuple("null" if option is None else "string" for option in schema["enum"])
    return types(schema)


def walk(spot: Spot) -> Iterator[Spot]:
    """The spot and all below it, in the order of the document."""
    yield spot
    for branch in spot.branches():
        for inner in branch.below():
            yield from walk(inner)


def root(component: str, document: Schema | None = None) -> Spot:
    """The spot of a whole body, by default in the contract. Raises KeyError for an unknown component."""
    document = contract().document if document is None else document
    schema = document["components"]["schemas"][component]
    return Spot(document, (), schema, component, schema.get("x-source", LEVELS[-1]))


@cache
def spots(component: str) -> tuple[Spot, ...]:
    """Every spot of a component of the contract."""
    return tuple(walk(root(component)))


def resolve_path(value: Any, route: ValuePath) -> Iterator[Path]:
    """Every place in a value that a route leads to: several where it goes through an array."""
    if not route:
        yield ()
        return
    for key, member in _parts(value, route[0]):
        if route[0].holds(member):
            yield from ((key, *path) for path in resolve_path(member, route[1:]))


def _parts(value: Any, step: Step) -> Iterator[tuple[str | int, Any]]:
    """The parts of a value that a step may lead to, of any branch."""
    if step.name == ITEM:
        yield from enumerate(value if isinstance(value, list) else ())
    elif isinstance(value, dict):
        yield from ((key, value[key]) for key in value if step.name in (VALUE, key))


def at(value: Any, path: Path) -> Any:
    """The value at a path that `resolve_path` found."""
    for key in path:
        value = value[key]
    return value


def put(value: Any, path: Path, member: Any) -> Any:
    """A copy of a value with `member` at a path. An item may be an existing one or the next one."""
    if not path:
        return member
    key, *rest = path
    if isinstance(value, list):
        index = int(key)
        old = value[index] if index < len(value) else None
        return [*value[:index], put(old, tuple(rest), member), *value[index + 1 :]]
    return {**value, key: put(value.get(key), tuple(rest), member)}


def without(value: Any, path: Path) -> Any:
    """A copy of a value without the member at a path."""
    *above, name = path
    owner = at(value, tuple(above))
    return put(value, tuple(above), {key: owner[key] for key in owner if key != name})
