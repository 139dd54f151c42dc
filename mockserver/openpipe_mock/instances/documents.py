"""Read a user's JSON Schema: index its subschemas, resolve its references, bound its size."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import unquote

import orjson

from openpipe_mock.core import patterns
from openpipe_mock.core.pointers import pointer_step, steps_of

MOST_SCHEMA_BYTES = 1_500_000
_MOST_SUBSCHEMAS = 25_000
_MOST_REFERENCES = 4_000
_MOST_PATTERN = 10_000
"""Characters of all patterns, with repeats multiplied out: 5 µs each to compile (measured)."""
_FEW_LISTED = 100

MAPS = frozenset(
    ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas", "dependencies")
)
_LISTS = frozenset(("allOf", "anyOf", "oneOf", "prefixItems", "items"))
_DATA = frozenset(
    ("enum", "const", "default", "examples", "example", "required", "type", "dependentRequired")
)
_REFUSED = ("$dynamicRef", "$recursiveRef")
_NAMES = {"$id": "", "id": "", "$anchor": "#"}
"""Keyword that names a subschema (`id` in draft 4) → what stands before the name in a `$ref`."""
_NAME = re.compile(r"[\w.-]+")
UNEVALUATED = ("unevaluatedProperties", "unevaluatedItems")
_NOTED = frozenset((*UNEVALUATED, *_REFUSED, *_NAMES, "$ref", "enum", "pattern", "patternProperties"))


class SchemaError(Exception):
    """An error about a schema: the `keyword`, the JSON `pointer` to the subschema with it, and a sentence."""

    def __init__(self, keyword: str, pointer: str, sentence: str) -> None:
        self.keyword, self.pointer = keyword, pointer
        super().__init__(sentence)


class BadSchema(SchemaError):
    """The schema is invalid, not self-contained, nested too deep, or has references that aren't followed."""


class Unbuildable(SchemaError):
    """The schema exceeds a limit, or no instance of it was found within the limits."""


class Node(NamedTuple):
    """A subschema and the JSON pointer to it."""

    schema: Any
    pointer: str = ""

    def child(self, *steps: str | int) -> "Node":
        """The subschema that these steps (keywords, names, indexes) lead to."""
        schema, pointer = self
        for step in steps:
            schema = schema[step]
            pointer = f"{pointer}/{pointer_step(step)}"
        return Node(schema, pointer)

    def children(self, keyword: str) -> list["Node"]:
        """The subschemas in the list or the map under a keyword; [] without it."""
        held = self.schema.get(keyword, ())
        return [self.child(keyword, step) for step in (held if isinstance(held, dict) else range(len(held)))]


def applicator(pointer: str) -> str:
    """The keyword through which the subschema at a pointer applies: `properties` for `/properties/name`."""
    steps = pointer.split("/")
    if len(steps) > 2 and steps[-2] in ("$defs", "definitions"):
        return "$ref"
    if len(steps) > 2 and steps[-2] in MAPS | _LISTS:
        return steps[-2]
    return steps[-1] or "false"


@dataclass(slots=True)
class SchemaDocument:
    """A whole schema.

    `references` lists the subschemas with `$ref`, `unevaluated` those with such a keyword. `atoms` is the
    size of all patterns, `listed` the number of enum values. `targets` has named subschemas and caches
    resolved references. `bundled` tells that a subschema has an `$id`, `is_draft_4` that one may be
    of draft 4.
    """

    top: Node
    references: list[Node] = field(default_factory=list)
    unevaluated: list[Node] = field(default_factory=list)
    atoms: int = 0
    subschemas: int = 0
    listed: int = 0
    targets: dict[str, Node] = field(default_factory=dict)
    bundled: bool = False
    is_draft_4: bool = False

    def target(self, node: Node) -> Node:
        """The subschema that the `$ref` of a node names, or points at from the top. Raises BadSchema."""
        reference = node.schema["$ref"]
        if self.bundled and reference.startswith("#"):
            raise BadSchema("$ref", node.pointer, _STARTS_ANEW)
        if reference not in self.targets:
            try:
                self.targets[reference] = self._found(reference)
            except (LookupError, TypeError, AttributeError, ValueError):
                sentence = f"$ref {reference[:200]!r} names nothing inside the schema."
                raise BadSchema("$ref", node.pointer, sentence) from None
        return self.targets[reference]

    def _found(self, reference: str) -> Node:
        pointer = unquote(reference)
        if not f"{pointer}/".startswith("#/"):
            raise LookupError(reference)
        found = self.top
        for step in steps_of(pointer):
            found = found.child(int(step) if isinstance(found.schema, list) and step.isdecimal() else step)
        return found

    @property
    def is_plain(self) -> bool:
        """Whether checks are cheap: each subschema judges a value at most once, in about the same time."""
        return not (self.references or self.unevaluated or self.atoms or self.listed > _FEW_LISTED)

    def in_place(self, node: Node) -> Iterator[Node]:
        """The subschemas directly in this one that judge the same value."""
        for keyword in ("allOf", "anyOf", "oneOf", "dependentSchemas", "dependencies"):
            yield from (child for child in node.children(keyword) if not isinstance(child.schema, list))
        for keyword in ("not", "if", "then", "else"):
            if keyword in node.schema:
                yield node.child(keyword)
        if "$ref" in node.schema:
            yield self.target(node)


def indexed(schema: Any, is_draft_4: bool) -> SchemaDocument:
    """Index a schema. Raises Unbuildable if it has too many parts, BadSchema for what isn't followed."""
    document = SchemaDocument(Node(schema), is_draft_4=is_draft_4)
    waiting = [(document.top, False)] if isinstance(schema, dict) else []
    while waiting:
        node, is_map = waiting.pop()
        if isinstance(node.schema, dict) and not is_map:
            document.subschemas += 1
            if not _NOTED.isdisjoint(node.schema):
                _note(document, node)
        steps = _inside(node.schema, is_map)
        # Of what waits, lists and maps, which are no subschemas, are about half.
        if document.subschemas + max(len(steps), len(waiting) // 2) > _MOST_SUBSCHEMAS:
            sentence = f"The schema has more than {_MOST_SUBSCHEMAS} subschemas."
            raise Unbuildable(applicator(f"{node.pointer}/0"), node.pointer, sentence)
        waiting += [
            (node.child(step), not is_map and step in MAPS)
            for step in steps
            if not isinstance(node.schema[step], bool)
        ]
    return document


def _inside(schema: Any, is_map: bool) -> list[Any]:
    """The steps from a schema, a list or a map to the parts that may be schemas."""
    if isinstance(schema, list):
        return [at for at, part in enumerate(schema) if isinstance(part, _NESTED)]
    return [
        name for name, part in schema.items() if isinstance(part, _NESTED) and (is_map or name not in _DATA)
    ]


_NESTED = (dict, list, bool)
_STARTS_ANEW = "A $ref that begins with # is not followed in a schema with $id inside."


def _note(document: SchemaDocument, node: Node) -> None:
    """Count what a subschema adds to the costs. Raises Unbuildable over a limit, and BadSchema."""
    schema = node.schema
    for keyword in _REFUSED:
        if isinstance(schema.get(keyword), str):
            raise BadSchema(keyword, node.pointer, f"{keyword} is not followed here; use $ref and $defs.")
    for keyword, sign in _NAMES.items():
        name = schema.get(keyword)
        if isinstance(name, str) and (keyword != "id" or document.is_draft_4):
            if keyword != "$anchor" and name.startswith("#"):  # as older drafts write an anchor
                document.targets.setdefault(name, node)
                continue
            if f"{sign}{name}" in document.targets:
                raise BadSchema(keyword, node.pointer, f"{keyword} must be a name that stands once.")
            # These mean the same wherever they stand; others are resolved against those around.
            if not node.pointer or _NAME.fullmatch(name) or "://" in name:
                document.targets[f"{sign}{name}"] = node
            document.bundled |= keyword != "$anchor" and node.pointer != ""
    if isinstance(schema.get("$ref"), str):
        document.references.append(node)
    if any(keyword in schema for keyword in UNEVALUATED):
        document.unevaluated.append(node)
    if isinstance(schema.get("enum"), list):
        document.listed += len(schema["enum"])
    by_name, own = schema.get("patternProperties"), schema.get("pattern")
    for pattern in (*(by_name if isinstance(by_name, dict) else ()), own):
        document.atoms += patterns.size(pattern) if isinstance(pattern, str) else 0
    if document.atoms > _MOST_PATTERN:
        raise Unbuildable("pattern", node.pointer, "The patterns repeat too much to be compiled.")
    if len(document.references) > _MOST_REFERENCES:
        raise Unbuildable("$ref", "", f"The schema has more than {_MOST_REFERENCES} references.")


def serialized(schema: Any) -> bytes:
    """Write a schema as JSON text. Raises BadSchema if it isn't JSON or too deep, Unbuildable if too long."""
    try:
        text = orjson.dumps(schema)
    except (TypeError, ValueError, RecursionError):
        raise BadSchema("type", "", "The schema is not JSON, or is nested too deep to be read.") from None
    if len(text) > MOST_SCHEMA_BYTES:
        members = schema if isinstance(schema, dict) else {"type": None}
        largest = max(members, key=lambda name: len(orjson.dumps(members[name])))
        raise Unbuildable(
            largest, "", f"The schema has {len(text)} bytes; at most {MOST_SCHEMA_BYTES} are read."
        )
    return text
