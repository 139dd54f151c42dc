"""Read a user's JSON Schema: index its names, bound what it costs, and compile it. Nothing is fetched.

A compiled validator can't be interrupted, and some schemas keep it busy for hours or run it out of stack:
references that branch twice at each step, `unevaluatedProperties` over a chain of them, repeats inside
repeats in a pattern. So the cost of compiling is estimated here first, and that of each check in `costs`.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import unquote, urldefrag, urljoin

import jsonschema_rs
import orjson

from openpipe_mock.core import patterns

MOST_SCHEMA_BYTES = 1_500_000
_MOST_SUBSCHEMAS = 25_000
_MOST_REFERENCES = 4_000
_MOST_UNEVALUATED = 3_000
"""Subschemas that `unevaluated…` keywords reach in place, counted once for each path, as compiling does."""
_MOST_PATTERN = 10_000
"""Characters of all patterns, with repeats multiplied out: 5 µs each to compile (measured)."""
MOST_DEPTH = 120
_FEW_LISTED = 100
_BACKTRACKS = 10_000

_MAPS = frozenset(
    ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas", "dependencies")
)
_DEFINITIONS = frozenset(("$defs", "definitions"))
_LISTS = frozenset(("allOf", "anyOf", "oneOf", "prefixItems", "items"))
_SINGLES = ("not", "if", "then", "else")
REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")
_ANCHORS = ("$anchor", "$dynamicAnchor")
_DATA = frozenset(
    ("enum", "const", "default", "examples", "example", "required", "type", "dependentRequired")
)
_MALFORMED = (LookupError, TypeError, AttributeError, ValueError)
UNEVALUATED = frozenset(("unevaluatedProperties", "unevaluatedItems"))


class SchemaError(Exception):
    """An error about a schema: the `keyword`, the JSON `pointer` to the subschema with it, and a sentence."""

    def __init__(self, keyword: str, pointer: str, sentence: str) -> None:
        self.keyword, self.pointer = keyword, pointer
        super().__init__(sentence)


class BadSchema(SchemaError):
    """The schema is invalid, refers to something outside of itself, or is nested too deep to be read."""


class Unbuildable(SchemaError):
    """The schema exceeds a limit, or no instance of it was found within the limits."""


class Node(NamedTuple):
    """A subschema, the JSON pointer to it, and the base URI of the references in it."""

    schema: Any
    pointer: str = ""
    base: str = ""

    def child(self, *steps: str | int) -> "Node":
        """The subschema that these steps (keywords, names, indexes) lead to."""
        schema, pointer, base = self
        for step in steps:
            schema = schema[step]
            pointer = f"{pointer}/{escaped(step)}"
        return Node(schema, pointer, _base_of(schema, base))

    def made(self, schema: Any) -> "Node":
        """A node for a schema that was derived from this one, with the same pointer."""
        return Node(schema, self.pointer, self.base)


def escaped(step: str | int) -> str:
    """One step of a JSON pointer, escaped."""
    return str(step) if isinstance(step, int) else step.replace("~", "~0").replace("/", "~1")


def schema_pointer(path: list[str | int]) -> str:
    """The JSON pointer of a path of steps."""
    return "".join(f"/{escaped(step)}" for step in path)


def _base_of(schema: Any, base: str) -> str:
    if not isinstance(schema, dict) or "$id" not in schema:
        return base
    own = schema["$id"]
    return _joined(base, own) if isinstance(own, str) and not own.startswith("#") else base


def _joined(base: str, reference: str) -> str:
    """Resolve a reference against a base URI, without an empty fragment."""
    # Fragments apart: urljoin knows no `urn:`.
    if reference.startswith("#"):
        return base if reference == "#" else urldefrag(base).url + reference
    try:
        return urljoin(base, reference).removesuffix("#")
    except ValueError:
        return reference


@dataclass(slots=True)
class SchemaDocument:
    """A whole schema, read and compiled.

    `names` maps URIs and anchors to subschemas, `references` lists each reference with its keyword,
    `unevaluated` the subschemas with such a keyword. `atoms` is the size of all patterns, `listed` the number
    of enum values. `targets` caches resolved references. A value has to pass all `validators`.
    """

    top: Node
    names: dict[str, Node] = field(default_factory=dict)
    references: list[tuple[Node, str]] = field(default_factory=list)
    unevaluated: list[Node] = field(default_factory=list)
    atoms: int = 0
    subschemas: int = 0
    listed: int = 0
    targets: dict[tuple[str, str], Node] = field(default_factory=dict)
    validators: list[Any] = field(default_factory=list)

    def target(self, node: Node, keyword: str) -> Node:
        """The subschema that a reference names. Raises LookupError if the document doesn't have it."""
        key = (node.base, node.schema[keyword])
        if key not in self.targets:
            self.targets[key] = self.found(_joined(*key))
        return self.targets[key]

    def found(self, uri: str) -> Node:
        """The subschema with this URI. Raises LookupError if the document doesn't have it."""
        if uri in self.names:
            return self.names[uri]
        address, fragment = urldefrag(uri)
        found = self.names[address]
        if fragment and not fragment.startswith("/"):
            raise KeyError(uri)
        for step in unquote(fragment).split("/")[1:]:
            step = step.replace("~1", "/").replace("~0", "~")
            found = found.child(int(step) if isinstance(found.schema, list) and step.isdecimal() else step)
        return found

    @property
    def is_plain(self) -> bool:
        """Whether checks are cheap: each subschema judges a value at most once, in about the same time."""
        return not (self.references or self.unevaluated or self.atoms or self.listed > _FEW_LISTED)

    def in_place(self, node: Node) -> Iterator[Node]:
        """The subschemas directly in this one that judge the same value."""
        schema = node.schema
        for keyword in ("allOf", "anyOf", "oneOf"):
            for at in range(len(schema.get(keyword, ()))):
                yield node.child(keyword, at)
        for keyword in _SINGLES:
            if keyword in schema:
                yield node.child(keyword)
        for keyword in ("dependentSchemas", "dependencies"):
            for name, dependent in schema.get(keyword, {}).items():
                if not isinstance(dependent, list):
                    yield node.child(keyword, name)
        for keyword in REFERENCES:
            if keyword in schema:
                yield self.target(node, keyword)


@lru_cache(maxsize=16)
def read_schema(text: bytes) -> SchemaDocument:
    """Read and compile a schema from its JSON text.

    Raises BadSchema if it is invalid or refers outside, Unbuildable if it costs too much.
    """
    schema = orjson.loads(text)
    if not isinstance(schema, dict | bool):
        raise BadSchema("type", "", "A JSON Schema is an object or a boolean.")
    document = SchemaDocument(Node(schema, "", _base_of(schema, "")))
    if isinstance(schema, dict):
        _index(document)
    with suppress(*_MALFORMED):  # an invalid schema or a dangling reference: the compiler names it
        _bound(document)
    document.validators = [_compiled(text.decode(), document, asserts=asserts) for asserts in _readings(text)]
    return document


def _readings(text: bytes) -> tuple[bool | None, ...]:
    """How validators treat formats: True asserts them, None does what the schema's draft says."""
    # Under "not" and the like, failing an asserted format could make a value valid. So it has to pass both.
    turns = b'"format"' in text and any(keyword in text for keyword in _TURNING)
    return (True, None) if turns else (True,)


_TURNING = (b'"not"', b'"oneOf"', b'"if"', b'"contains"')


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


def _index(document: SchemaDocument) -> None:
    """Fill a document with every name, reference and pattern. Raises Unbuildable for too many subschemas."""
    document.names[document.top.base] = document.names[""] = document.top
    waiting = [(document.top, False)]
    while waiting:
        node, is_map = waiting.pop()
        if isinstance(node.schema, dict) and not is_map:
            document.subschemas += 1
            _note(document, node)
        steps = _inside(node.schema, is_map)
        # Of what waits, lists and maps, which are no subschemas, are about half.
        if document.subschemas + max(len(steps), len(waiting) // 2) > _MOST_SUBSCHEMAS:
            sentence = f"The schema has more than {_MOST_SUBSCHEMAS} subschemas."
            raise Unbuildable(applicator(f"{node.pointer}/0"), node.pointer, sentence)
        waiting += [
            (node.child(step), not is_map and step in _MAPS)
            for step in steps
            if not isinstance(node.schema[step], bool)
        ]


def _inside(schema: Any, is_map: bool) -> list[Any]:
    """The steps from a schema, a list or a map to the parts that may be schemas."""
    if isinstance(schema, list):
        return [at for at, part in enumerate(schema) if isinstance(part, _NESTED)]
    return [
        name for name, part in schema.items() if isinstance(part, _NESTED) and (is_map or name not in _DATA)
    ]


_NESTED = (dict, list, bool)


def _note(document: SchemaDocument, node: Node) -> None:
    schema = node.schema
    if _NOTED.isdisjoint(schema):
        return
    own = schema.get("$id")
    if isinstance(own, str):
        document.names[_joined(node.base, own) if own.startswith("#") else node.base] = node
    for keyword in _ANCHORS:
        if isinstance(schema.get(keyword), str):
            document.names[f"{urldefrag(node.base).url}#{schema[keyword]}"] = node
    document.references += [(node, name) for name in REFERENCES if isinstance(schema.get(name), str)]
    if not UNEVALUATED.isdisjoint(schema):
        document.unevaluated.append(node)
    if isinstance(schema.get("enum"), list):
        document.listed += len(schema["enum"])
    for pattern in _patterns_of(schema):
        document.atoms += patterns.size(pattern)
        if document.atoms > _MOST_PATTERN:
            raise Unbuildable("pattern", node.pointer, "The patterns repeat too much to be compiled.")


_NOTED = UNEVALUATED.union(REFERENCES, _ANCHORS, ("$id", "enum", "pattern", "patternProperties"))


def _patterns_of(schema: dict[str, Any]) -> list[str]:
    by_name = schema.get("patternProperties")
    own = schema.get("pattern")
    return [*(by_name if isinstance(by_name, dict) else ()), *([own] if isinstance(own, str) else ())]


def _bound(document: SchemaDocument) -> None:
    """Raise Unbuildable if compiling would take too long."""
    if len(document.references) > _MOST_REFERENCES:
        raise Unbuildable("$ref", "", f"The schema has more than {_MOST_REFERENCES} references.")
    left = _MOST_UNEVALUATED
    for node in document.unevaluated:
        left -= _reach(document, node, left, ())
        if left < 0:
            keyword = next(name for name in node.schema if name in UNEVALUATED)
            raise Unbuildable(keyword, node.pointer, f'"{keyword}" looks through too many subschemas.')


def _reach(document: SchemaDocument, node: Node, left: int, above: tuple[int, ...]) -> int:
    """How many subschemas below a node judge the same value, once for each path; stops over `left`."""
    if not isinstance(node.schema, dict) or id(node.schema) in above:
        return 1
    if len(above) > MOST_DEPTH:
        return left + 1
    count = 1
    for inside in document.in_place(node):
        count += _reach(document, inside, left - count, (*above, id(node.schema)))
        if count > left:
            break
    return count


def _regexes() -> jsonschema_rs.FancyRegexOptions:
    return jsonschema_rs.FancyRegexOptions(
        backtrack_limit=_BACKTRACKS, size_limit=10_000_000, dfa_size_limit=1_000_000
    )


def _compiled(text: str, document: SchemaDocument, *, asserts: bool | None) -> Any:
    """Compile a validator that fetches nothing and bounds the backtracking of patterns. Raises BadSchema."""
    try:
        return jsonschema_rs.validator_for(
            text, offline=True, validate_formats=asserts, pattern_options=_regexes()
        )
    except jsonschema_rs.ValidationError as error:
        raise _refusal(error, document) from None
    except (ValueError, jsonschema_rs.ReferencingError):
        raise BadSchema("type", "", "The schema is nested too deep to be read.") from None


def _refusal(error: jsonschema_rs.ValidationError, document: SchemaDocument) -> BadSchema:
    """Explain where and why the compiler refused a schema."""
    if error.kind.name != "$ref":
        *place, keyword = error.instance_path or ["type"]
        while place and (isinstance(keyword, int) or place[-1] in _MAPS):
            keyword = place.pop()
        wrong = "no regular expression that is understood" if error.kind.name == "format" else "not allowed"
        return BadSchema(str(keyword), schema_pointer(place), f'The value of "{keyword}" is {wrong} here.')
    for node, keyword in document.references:
        try:
            document.target(node, keyword)
        except _MALFORMED:
            reference = node.schema[keyword]
            return BadSchema(
                keyword, node.pointer, f"{keyword} {reference[:200]!r} names nothing inside the schema."
            )
    keyword = next((name for name in ("$schema", "$id") if name in document.top.schema), "$ref")
    return BadSchema(keyword, "", f"{keyword} has a value that isn't known here, and nothing is fetched.")


def applicator(pointer: str) -> str:
    """The keyword through which the subschema at a pointer applies: `properties` for `/properties/name`."""
    steps = pointer.split("/")
    if len(steps) > 2 and steps[-2] in _DEFINITIONS:
        return "$ref"
    if len(steps) > 2 and steps[-2] in _MAPS | _LISTS:
        return steps[-2]
    return steps[-1] or "false"


@lru_cache(maxsize=512)
def simple_validator(text: bytes) -> Any:
    """A validator for a small schema without references, given as JSON text."""
    return jsonschema_rs.Draft202012Validator(
        text.decode(), offline=True, validate_formats=True, pattern_options=_regexes()
    )


def matches(pattern: str, text: str) -> bool:
    """Whether a user's pattern is found in a text, by the engine with bounded backtracking."""
    return bool(simple_validator(orjson.dumps({"pattern": pattern})).is_valid(text))
