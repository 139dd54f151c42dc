"""What demands say of each JSON type: which one is meant, which members and how many items there are."""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import orjson

from openpipe_mock.instances.demands import Branch, Demands
from openpipe_mock.instances.scalars import as_json_number

MOST_ITEMS = 1_000


_AS_THEY_ARE = frozenset(
    ("type", "minLength", "maxLength", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
)


def scalar_schema(way: Demands) -> dict[str, Any]:
    """The rules that judge a string, number, boolean or null, as a schema of their own."""
    schema = {keyword: value for keyword, value in way.rules.items() if keyword in _AS_THEY_ARE}
    if "multipleOf" in way.rules:
        schema["multipleOf"] = as_json_number(way.rules["multipleOf"])
    whole = [
        *({"pattern": pattern} for pattern in way.rules.get("pattern", ())),
        *({"format": name} for name in way.rules.get("format", ())),
        *({"not": node.schema} for node in way.nots if b'"$ref"' not in orjson.dumps(node.schema)),
    ]
    return {**schema, "allOf": whole} if whole else schema


def needed(rules: Mapping[str, Any], present: Iterable[str]) -> dict[str, None]:
    """The names that are required, also because another one is there."""
    dependent: dict[str, list[str]] = {}
    for name, wanted in rules.get("dependentRequired", ()):
        dependent.setdefault(name, []).extend(wanted)
    names: dict[str, None] = {}
    waiting = deque((*rules.get("required", ()), *present))
    while waiting:
        name = waiting.popleft()
        if name not in names:
            names[name] = None
            waiting.extend(dependent.get(name, ()))
    return names


def is_map(way: Demands) -> bool:
    """Whether an object is a map from free names to values of one kind, such as `dict[str, int]`."""
    schemas = [part.node.schema for part in way.members]
    if any(schema.get("properties") for schema in schemas):
        return False
    return any(schema.get("additionalProperties") or schema.get("patternProperties") for schema in schemas)


def lengths(way: Demands) -> tuple[int, int]:
    """How many items an array has at least and at most."""
    contained = sum(node.schema.get("minContains", 1) for node in way.contains)
    least = max(way.rules.get("minItems", 0), contained)
    return least, way.rules.get("maxItems", max(least, MOST_ITEMS))


def prefix_length(way: Demands) -> int:
    return max((len(row.prefix) for row in way.rows), default=0)


def contained(way: Demands, count: int) -> list[Branch]:
    """For each index the subschemas that `contains` lays upon it."""
    slots: list[Branch] = [[] for _ in range(count)]
    wanted = sum(node.schema.get("minContains", 1) for node in way.contains)
    prefix = prefix_length(way)
    at = prefix if prefix + wanted <= count else 0
    for node in way.contains:
        some = range(at, at + node.schema.get("minContains", 1))
        for index, slot in enumerate(slots):
            if index in some:
                slot.append(node.child("contains"))
            elif "maxContains" in node.schema:
                slot.append(node.made({"not": node.schema["contains"]}))
        at = some.stop
    return slots


def inferred(way: Demands) -> list[str]:
    """Every JSON type, those first that the keywords speak of."""
    return sorted(_ANY_KIND, key=lambda kind: kind not in _HINTS or not _HINTS[kind](way))


_ANY_KIND = ("string", "number", "boolean", "object", "array", "null")
_SAYS_NUMBER = {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}
_SAYS_STRING = {"minLength", "maxLength", "pattern", "format", "contentMediaType", "contentEncoding"}
_SAYS_OBJECT = {"required", "minProperties", "maxProperties", "dependentRequired"}
_SAYS_ARRAY = {"minItems", "maxItems", "uniqueItems"}
_HINTS: dict[str, Callable[[Demands], bool]] = {
    "string": lambda way: not _SAYS_STRING.isdisjoint(way.rules),
    "number": lambda way: not _SAYS_NUMBER.isdisjoint(way.rules),
    "object": lambda way: bool(way.members or way.names) or not _SAYS_OBJECT.isdisjoint(way.rules),
    "array": lambda way: bool(way.rows or way.contains) or not _SAYS_ARRAY.isdisjoint(way.rules),
}
"""JSON type → whether keywords speak of it that mean nothing to other types."""
