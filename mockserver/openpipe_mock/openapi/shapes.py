"""The shape of a schema: what a walk needs to know in order to drop or keep the members of a value.

A validator says whether a value is right; it can't say which members count as absent. A shape can: it knows
the declared, required and default members of each object, and which branch of a union a value belongs to.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

Schema = Mapping[str, Any]
_LEFTOVERS: Mapping[str, frozenset[str]] = {
    "parsed": frozenset(("role", "tool_calls")),
    "parsed_arguments": frozenset(("name", "arguments")),
    "index": frozenset(("id", "function")),
}
"""What OpenAI's clients add to a message that they parsed, or joined from a stream → members of the object
that they add it to. Whoever appends such a message sends these along."""
_NOWHERE = frozenset(("no object has this member",))

_TAGS = ("role", "type", "status")
"""Members whose single-valued enum says which branch of a union an object belongs to."""


@dataclass(slots=True)
class Shape:
    """Members of an object, items of an array, branches of a union; whichever of them the schema allows.

    Mutable while it is built, because schemas may refer to themselves; never changed afterwards.
    """

    members: dict[str, "Shape"] | None = None
    required: frozenset[str] = frozenset()
    closed: bool = False
    items: "Shape | None" = None
    tag: str = ""
    branches: dict[str, "Shape"] = field(default_factory=dict)
    defaults: dict[str, Any] = field(default_factory=dict)

    def is_default(self, name: str, value: Any) -> bool:
        """Whether leaving the member out would say the same."""
        if name not in self.defaults:
            return False
        default = self.defaults[name]
        return type(value) is type(default) and bool(value == default)

    def is_leftover(self, name: str) -> bool:
        """Whether a client's own parsing adds this member to such an object."""
        return self.members is not None and _LEFTOVERS.get(name, _NOWHERE) <= self.members.keys()

    def of(self, value: dict[str, Any]) -> "Shape | None":
        """The shape of the object `value`: this one, or the branch that its tag names; None if none fits."""
        if self.tag:
            name = value.get(self.tag)
            return self.branches.get(name) if isinstance(name, str) else None
        return self if self.members else None


def resolve(schema: Schema, document: Schema) -> Schema:
    """The schema itself, or the one that its local `$ref` names."""
    while "$ref" in schema:
        target: Any = document
        for step in schema["$ref"].removeprefix("#/").split("/"):
            target = target[step]
        schema = target
    return schema


def types(schema: Schema) -> tuple[str, ...]:
    """The JSON types that a schema names; empty when it names none."""
    named = schema.get("type", ())
    return (named,) if isinstance(named, str) else tuple(named)


def union(schema: Schema, document: Schema) -> Iterator[Schema]:
    """The branches of a union, inner unions included, each resolved; any other schema is its own branch."""
    schema = resolve(schema, document)
    if "anyOf" not in schema:
        yield schema
    for branch in schema.get("anyOf", ()):
        yield from union(branch, document)


def tag_of(objects: list[Schema], document: Schema) -> str:
    """The member that tells the branches apart, "" when none does."""
    return next(
        (tag for tag in _TAGS if all(label(branch, tag, document) is not None for branch in objects)), ""
    )


def label(branch: Schema, tag: str, document: Schema) -> str | None:
    """The one value that a branch allows for its tag, None when it allows more or has no such member."""
    values = resolve(branch.get("properties", {}).get(tag, {}), document).get("enum", ())
    return values[0] if len(values) == 1 else None


def shape_of(schema: Schema, document: Schema, known: dict[int, Shape] | None = None) -> Shape:
    """Compile the shape of a schema; `known` holds shapes under construction, by identity of the schema."""
    known = {} if known is None else known
    target = resolve(schema, document)
    if id(target) in known:
        return known[id(target)]
    shape = known[id(target)] = Shape()
    branches = list(union(target, document))
    objects = [branch for branch in branches if "properties" in branch]
    arrays = [branch for branch in branches if "items" in branch]
    if arrays:
        shape.items = shape_of(arrays[0]["items"], document, known)
    if len(objects) == 1:
        _fill(shape, objects[0], document, known)
    elif objects:
        shape.tag = tag_of(objects, document)
        shape.branches = {
            str(label(branch, shape.tag, document)): shape_of(branch, document, known) for branch in objects
        }
    return shape


def _fill(shape: Shape, schema: Schema, document: Schema, known: dict[int, Shape]) -> None:
    """Give a shape the members of an object schema."""
    shape.members = {name: shape_of(member, document, known) for name, member in schema["properties"].items()}
    shape.defaults = {
        name: {**resolve(member, document), **member}["default"]
        for name, member in schema["properties"].items()
        if "default" in member or "default" in resolve(member, document)
    }
    shape.required = frozenset(schema.get("required", ()))
    shape.closed = schema.get("additionalProperties") is False


def tidy(shape: Shape, value: Any, *, unknown: bool = False, defaults: bool = False) -> Any:
    """A copy of `value` without the members that count as absent.

    Always: optional or unknown members that are null (official clients send such), and what clients leave
    behind (LEFTOVERS). With `unknown`: members that a closed object doesn't declare. With `defaults`:
    optional members that equal their default. What lies in a free-form object (`parameters`, `metadata`) is
    data and stays.
    """
    return _walk(shape, value, unknown, defaults)


def _walk(shape: Shape, value: Any, unknown: bool, defaults: bool) -> Any:
    """`tidy` at one place. Every judged message passes here, so it does nothing twice."""
    if type(value) is list:
        items = shape.items
        return value if items is None else [_walk(items, item, unknown, defaults) for item in value]
    own = shape.of(value) if type(value) is dict else None
    if own is None or own.members is None:
        return value
    kept = {}
    for name, member in value.items():
        inner = own.members.get(name)
        if inner is None:
            if member is not None and not (own.closed and (unknown or own.is_leftover(name))):
                kept[name] = member
            continue
        if type(member) is dict or type(member) is list:
            member = _walk(inner, member, unknown, defaults)
        optional = name not in own.required
        if optional and (member is None or (defaults and own.is_default(name, member))):
            continue
        kept[name] = member
    return kept
