"""Drop the members of a value that count as absent, such as an optional member that is null.

A validator can't tell which members these are. A `Shape` is compiled from a schema and can: it knows the
declared, required and default members of each object, and which branch of a union a value belongs to.
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
"""Member that OpenAI's clients add to a message when they parse it or join it from a stream → members of the
object that they add it to. A program that appends such a message to its next request sends them along."""
_NOWHERE = frozenset(("no object has this member",))

_TAGS = ("role", "type", "status", "provider")
"""Members that may tell the branches of a union apart, each branch having an enum of one value for it."""


@dataclass(slots=True)
class Shape:
    """What a schema allows: members of an object, items of an array, branches of a union by their tag.

    `default_tag`: what a missing tag means, None where it means nothing.

    Treat it as immutable.
    """

    # Not frozen: schemas may refer to themselves, so a shape is filled after others refer to it.
    members: dict[str, "Shape"] | None = None
    required: frozenset[str] = frozenset()
    closed: bool = False
    items: "Shape | None" = None
    tag: str = ""
    default_tag: str | None = None
    branches: dict[str, "Shape"] = field(default_factory=dict)
    defaults: dict[str, Any] = field(default_factory=dict)

    def is_default(self, name: str, value: Any) -> bool:
        """Whether a member equals its default, so that leaving it out would mean the same."""
        default = self.defaults.get(name, _NOWHERE)
        return type(value) is type(default) and bool(value == default)

    def is_leftover(self, name: str) -> bool:
        """Whether an undeclared member is one that OpenAI's clients add to such an object."""
        return self.members is not None and _LEFTOVERS.get(name, _NOWHERE) <= self.members.keys()

    def of(self, value: dict[str, Any]) -> "Shape | None":
        """The shape of the object `value`: this one, or the branch that its tag names. None if none fits."""
        if self.tag:
            name = value.get(self.tag)
            name = self.default_tag if name is None else name
            return self.branches.get(name) if isinstance(name, str) else None
        return self if self.members else None


def resolve(schema: Schema, document: Schema) -> Schema:
    """The schema that a local `$ref` names; a schema without one is returned itself."""
    while "$ref" in schema:
        target: Any = document
        for step in schema["$ref"].removeprefix("#/").split("/"):
            target = target[step]
        schema = target
    return schema


def types(schema: Schema) -> tuple[str, ...]:
    """The JSON types that a schema names in `type`; () if it has none."""
    named = schema.get("type", ())
    return (named,) if isinstance(named, str) else tuple(named)


def union(schema: Schema, document: Schema) -> Iterator[Schema]:
    """The branches of an `anyOf`, inner ones included, all resolved; any other schema is its only branch."""
    schema = resolve(schema, document)
    if chooses(schema):
        yield schema
        return
    for branch in schema["anyOf"]:
        yield from union(branch, document)


def chooses(schema: Schema) -> bool:
    """Whether a schema's `anyOf`, if any, only demands that one of some members is there."""
    return all(branch.keys() == {"required"} for branch in schema.get("anyOf", ()))


def tag_of(objects: list[Schema], document: Schema) -> str:
    """The member that tells the branches of a union apart: one of _TAGS, "" if none does."""
    return next(
        (tag for tag in _TAGS if all(label(branch, tag, document) is not None for branch in objects)), ""
    )


def label(branch: Schema, tag: str, document: Schema) -> str | None:
    """The one value that a branch allows for its tag; None if it allows several or has no such member."""
    values = resolve(branch.get("properties", {}).get(tag, {}), document).get("enum", ())
    return values[0] if len(values) == 1 else None


def default_tag(objects: list[Schema], tag: str, document: Schema) -> str | None:
    """What an absent tag means, by the branch whose tag has a default; None if none has."""
    tags = [resolve(branch.get("properties", {}).get(tag, {}), document) for branch in objects]
    return next((schema["default"] for schema in tags if "default" in schema), None)


def shape_of(schema: Schema, document: Schema, known: dict[int, Shape] | None = None) -> Shape:
    """Compile the shape of a schema; `known` holds the shapes under construction, by the schema's `id()`."""
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
        shape.default_tag = default_tag(objects, shape.tag, document)
        shape.branches = {
            str(label(branch, shape.tag, document)): shape_of(branch, document, known) for branch in objects
        }
    return shape


def _fill(shape: Shape, schema: Schema, document: Schema, known: dict[int, Shape]) -> None:
    """Give a shape the members of an object schema."""
    shape.members = {name: shape_of(member, document, known) for name, member in schema["properties"].items()}
    whole = {name: {**resolve(member, document), **member} for name, member in schema["properties"].items()}
    shape.defaults = {name: member["default"] for name, member in whole.items() if "default" in member}
    shape.required = frozenset(schema.get("required", ()))
    shape.closed = schema.get("additionalProperties") is False


def tidy(shape: Shape, value: Any, unknown: bool = False, defaults: bool = False) -> Any:
    """A copy of `value` without the members that count as absent.

    These are optional or unknown members that are null, since official clients send such, and members that
    OpenAI's clients add; with `unknown` also members that a closed object doesn't declare; with `defaults`
    also optional members that equal their default. The content of a free-form object (`parameters`,
    `metadata`) is data and stays.
    """
    # Every judged message passes here, so types are compared directly and nothing is looked up twice.
    if type(value) is list:
        items = shape.items
        return value if items is None else [tidy(items, item, unknown, defaults) for item in value]
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
            member = tidy(inner, member, unknown, defaults)
        optional = name not in own.required
        if optional and (member is None or (defaults and own.is_default(name, member))):
            continue
        kept[name] = member
    return kept
