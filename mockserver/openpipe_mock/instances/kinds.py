"""What demands mean for each JSON type: which type is likely, which members are needed, how many items."""

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
    """A schema of its own for the rules that judge a string, number, boolean or null."""
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
    """The names of `present` members and of those that are required, also by other members' presence."""
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
    """Whether an object declares no members and maps free names to values, such as `dict[str, int]`."""
    schemas = [part.node.schema for part in way.members]
    if any(schema.get("properties") for schema in schemas):
        return False
    return any(schema.get("additionalProperties") or schema.get("patternProperties") for schema in schemas)


def lengths(way: Demands) -> tuple[int, int]:
    """The least and the greatest number of items of an array."""
    contained = sum(node.schema.get("minContains", 1) for node in way.contains)
    least = max(way.rules.get("minItems", 0), contained)
    return least, way.rules.get("maxItems", max(least, MOST_ITEMS))


def prefix_length(way: Demands) -> int:
    """The number of items that have a subschema of their own, as in a tuple."""
    return max((len(row.prefix) for row in way.rows), default=0)


def contained(way: Demands, count: int) -> list[Branch]:
    """For each index of an array with `count` items, the subschemas that it gets from `contains`."""
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
    """All JSON types except integer, first those with keywords of their own among the demands."""
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
"""JSON type → a test whether there are keywords that apply to this type only."""
