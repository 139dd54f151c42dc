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
UNEVALUATED = ("unevaluatedProperties", "unevaluatedItems")
_SINGLE = frozenset(("additionalProperties", "additionalItems", "propertyNames", "contains", "contentSchema"))
_APPLICATORS = MAPS | _LISTS | _SINGLE | {"not", "if", "then", "else", *UNEVALUATED}
"""Keywords that hold subschemas. What others hold is no schema, unless a `$ref` leads there."""
_REFUSED = ("$dynamicRef", "$recursiveRef")
_NAMES = ("$id", "id", "$anchor")
"""Keywords that name a subschema (`id` in draft 4)."""
_NAME = re.compile(r"[\w.-]+")
_NOTED = frozenset((*UNEVALUATED, *_REFUSED, *_NAMES, "$ref", "enum", "pattern", "patternProperties"))
_SINCE_2019 = frozenset(
    ("dependentRequired", "dependentSchemas", "minContains", "$anchor", "$defs", "prefixItems", *UNEVALUATED)
)
_SINCE_7 = _SINCE_2019 | {"if", "then", "else"}
_UNKNOWN = {
    "/draft-04/": _SINCE_7 | {"contains", "propertyNames", "contentMediaType", "contentEncoding"},
    "/draft-06/": _SINCE_7,
    "/draft-07/": _SINCE_2019,
    "/2019-09/": frozenset(("prefixItems",)),
}
"""Part of a `$schema` → keywords that came later. (`const` and `examples` do no harm in draft 4.)"""
_LAST_WITH_LISTS = "https://json-schema.org/draft/2019-09/schema"


class SchemaError(Exception):
    """An error about a schema: the `keyword`, the JSON `pointer` to the subschema with it, and a sentence."""

    def __init__(self, keyword: str, pointer: str, sentence: str) -> None:
        self.keyword, self.pointer = keyword, pointer
        super().__init__(sentence)


class BadSchema(SchemaError):
    """The schema is invalid, not self-contained, nested too deep, or has references that aren't followed."""


class Unbuildable(SchemaError):
    """The schema exceeds a limit, or no instance of it was found within the limits.

    `hopeless`: there is none, so that no default can help.
    """

    hopeless = False


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

    def present(self, *keywords: str) -> list["Node"]:
        """The subschemas under those of these keywords that it has."""
        return [self.child(keyword) for keyword in keywords if keyword in self.schema]


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

    `references` lists the subschemas with `$ref`, `unevaluated` those with such a keyword, `only_referenced`
    those that stand under no keyword. `atoms` is the size of all patterns, `listed` the number of enum
    values. `parts` says for a reference, by the `id()` of its schema, in which part with an `$id` it stands:
    there `#` is that part. `targets` has named subschemas and those pointed at so far, by the pointer of the
    part ("" where every part means the same) and the reference. `stated` is what `$schema` says, `unknown`
    has keywords that this draft doesn't know, `tuples` the keywords under which lists of items stand.
    """

    top: Node
    references: list[Node] = field(default_factory=list)
    unevaluated: list[Node] = field(default_factory=list)
    only_referenced: list[Node] = field(default_factory=list)
    atoms: int = 0
    subschemas: int = 0
    listed: int = 0
    targets: dict[tuple[str, str], Node] = field(default_factory=dict)
    parts: dict[int, Node] = field(default_factory=dict)
    stated: str = ""
    unknown: frozenset[str] = frozenset()
    tuples: set[str] = field(default_factory=set)

    @property
    def is_draft_4(self) -> bool:
        return "/draft-04/" in self.stated

    @property
    def draft(self) -> str:
        """The `$schema` to read it by: the stated one, else 2019-09 for lists under `items`, else ""."""
        return self.stated or (_LAST_WITH_LISTS if self.tuples == {"items"} else "")

    def target(self, node: Node) -> Node:
        """The subschema that the `$ref` of a node names, or points at from its part. Raises BadSchema."""
        reference, part = node.schema["$ref"], self.parts.get(id(node.schema), self.top)
        key = (part.pointer if reference.startswith("#") else "", reference)
        if key not in self.targets:
            try:
                self.targets[key] = _pointed(part, reference)
            except (LookupError, TypeError, AttributeError, ValueError):
                where = "the schema" if part is self.top else f"the part with an $id at {part.pointer[:200]}"
                sentence = f"$ref {reference[:200]!r} names nothing inside {where}."
                raise BadSchema("$ref", node.pointer, sentence) from None
        return self.targets[key]

    @property
    def is_plain(self) -> bool:
        """Whether checks are cheap: each subschema judges a value at most once, in about the same time."""
        return not (self.references or self.unevaluated or self.atoms or self.listed > _FEW_LISTED)

    def in_place(self, node: Node) -> Iterator[Node]:
        """The subschemas directly in this one that judge the same value."""
        for keyword in ("allOf", "anyOf", "oneOf", "dependentSchemas", "dependencies"):
            yield from (child for child in node.children(keyword) if not isinstance(child.schema, list))
        yield from node.present("not", "if", "then", "else")
        if "$ref" in node.schema:
            yield self.target(node)


def _pointed(part: Node, reference: str) -> Node:
    """The subschema that a JSON pointer leads to. Raises LookupError and others where it leads nowhere."""
    pointer = unquote(reference)
    if not f"{pointer}/".startswith("#/"):
        raise LookupError(reference)
    for step in steps_of(pointer):
        part = part.child(int(step) if isinstance(part.schema, list) and step.isdecimal() else step)
    return part


def indexed(schema: Any) -> SchemaDocument:
    """Index a schema. Raises Unbuildable if it has too many subschemas, BadSchema for what isn't followed."""
    stated = str(schema.get("$schema", "")) if isinstance(schema, dict) else ""
    unknown = next((names for draft, names in _UNKNOWN.items() if draft in stated), frozenset[str]())
    document = SchemaDocument(Node(schema), stated=stated, unknown=unknown)
    known: set[int] = set()
    _index(document, document.top, document.top, known)
    for node in document.references:  # grows where one leads to what stands under no keyword
        try:
            start = document.target(node)
        except BadSchema:  # is told where the reference is followed
            continue
        if id(start.schema) not in known and not isinstance(start.schema, bool):
            document.only_referenced.append(start)
            _index(document, start, document.parts[id(node.schema)], known)
    return document


def _index(document: SchemaDocument, start: Node, part: Node, known: set[int]) -> None:
    """Index the subschemas in one that stands in a part; `known` has the `id()` of those that were."""
    applicators = _APPLICATORS - document.unknown
    waiting = [(start, part, False)] if isinstance(start.schema, dict) else []
    while waiting:
        node, part, is_map = waiting.pop()
        if isinstance(node.schema, dict) and not is_map:
            if id(node.schema) in known:
                continue
            known.add(id(node.schema))
            document.subschemas += 1
            _read_older_spelling(document, node.schema)
            if not _NOTED.isdisjoint(node.schema):
                part = _note(document, node, part)
        steps = _inside(node.schema, node.schema if is_map else applicators)
        # Of what waits, lists and maps, which are no subschemas, are about half.
        if document.subschemas + max(len(steps), len(waiting) // 2) > _MOST_SUBSCHEMAS:
            sentence = f"The schema has more than {_MOST_SUBSCHEMAS} subschemas."
            raise Unbuildable(applicator(f"{node.pointer}/0"), node.pointer, sentence)
        waiting += [
            (node.child(step), part, not is_map and step in MAPS)
            for step in steps
            if not isinstance(node.schema[step], bool)
        ]


def _read_older_spelling(document: SchemaDocument, schema: dict[str, Any]) -> None:
    """Replace flags of draft 4 where no draft is stated, and take out what the stated one doesn't know."""
    for flag, bound in () if document.stated else _FLAGS:
        says = schema.get(flag)
        if isinstance(says, bool) and (bound in schema or not says) and schema.pop(flag):
            schema[flag] = schema.pop(bound)
    for keyword in document.unknown:
        if keyword != "$defs":  # where a reference may still lead; no validator looks at the others
            schema.pop(keyword, None)
    document.tuples |= {"items"} if isinstance(schema.get("items"), list) else set()
    document.tuples |= {"prefixItems"} & schema.keys()


_FLAGS = (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum"))


def _inside(schema: Any, keywords: Any) -> list[Any]:
    """The steps from a list, or from a schema or map by these keywords, to what may be schemas."""
    if isinstance(schema, list):
        return [at for at, part in enumerate(schema) if isinstance(part, _NESTED)]
    return [name for name, part in schema.items() if name in keywords and isinstance(part, _NESTED)]


_NESTED = (dict, list, bool)


def _note(document: SchemaDocument, node: Node, part: Node) -> Node:
    """Count what a subschema adds to the costs; return the part that what is inside it stands in.

    Raises Unbuildable over a limit, and BadSchema.
    """
    schema = node.schema
    for keyword in _REFUSED:
        if isinstance(schema.get(keyword), str):
            raise BadSchema(keyword, node.pointer, f"{keyword} is not followed here; use $ref and $defs.")
    for keyword in _NAMES:
        name = schema.get(keyword)
        if isinstance(name, str) and (keyword != "id" or document.is_draft_4):
            if keyword != "$anchor" and name.startswith("#"):  # as older drafts write an anchor
                document.targets.setdefault((part.pointer, name), node)
                continue
            key = (part.pointer, f"#{name}") if keyword == "$anchor" else ("", name)
            if key in document.targets:
                raise BadSchema(keyword, node.pointer, f"{keyword} must be a name that stands once.")
            # These mean the same wherever they stand; others are resolved against those around.
            if not node.pointer or _NAME.fullmatch(name) or "://" in name:
                document.targets[key] = node
            part = part if keyword == "$anchor" else node
    if isinstance(schema.get("$ref"), str):
        document.references.append(node)
        document.parts[id(schema)] = part
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
    return part


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
