"""Count what checking an instance costs before it is done, since a running validator can't be interrupted."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from openpipe_mock.core import patterns
from openpipe_mock.instances.documents import MOST_DEPTH, UNEVALUATED, Node, SchemaDocument


class TooCostly(Exception):
    """Checking an instance would cost more than the limit."""


@dataclass(slots=True)
class Meter:
    """Counts the subschemas that checking a value evaluates at most (20 to 50 ns each), without checking it.

    `left` is the limit of that count, `visits` that of the subschemas that the meter itself may look at.
    """

    document: SchemaDocument
    left: int
    visits: int
    known: dict[tuple[int, int], int] = field(default_factory=dict)

    def cost(self, node: Node, value: Any, depth: int = 0) -> int:
        """The evaluations for a value. Raises TooCostly over a limit and for references in circles."""
        schema = node.schema
        if not isinstance(schema, dict):
            return 1
        key = (id(schema), id(value))
        if key not in self.known:
            self.visits -= 1
            if depth > MOST_DEPTH or self.visits < 0:
                raise TooCostly
            self.known[key] = self.left + 1  # a circle that comes here again finds a count over the limit
            beside = sum([self.cost(inside, value, depth + 1) for inside in self.document.in_place(node)])
            below = sum([self.cost(inside, part, depth + 1) for inside, part in _parts(node, value)])
            # Each unevaluated keyword walks everything beside it once more, measured at 2.8 times.
            weight = 3 if not UNEVALUATED.isdisjoint(schema) else 1
            self.known[key] = 1 + weight * beside + below + _own_cost(schema, value)
        if self.known[key] > self.left:
            raise TooCostly
        return self.known[key]


def _parts(node: Node, value: Any) -> Iterator[tuple[Node, Any]]:
    """The members, names and items of a value, each with a subschema that may judge it."""
    schema = node.schema
    if isinstance(value, dict):
        others = [name for name in _OTHERS if name in schema]
        for name, member in value.items():
            if name in schema.get("properties", ()):
                yield node.child("properties", name), member
            for pattern in schema.get("patternProperties", ()):
                yield node.child("patternProperties", pattern), member
            for keyword in others:
                yield node.child(keyword), name if keyword == "propertyNames" else member
    elif isinstance(value, list):
        for at, item in enumerate(value):
            for keyword in _ITEMS:
                if isinstance(schema.get(keyword), list) and at < len(schema[keyword]):
                    yield node.child(keyword, at), item
                elif isinstance(schema.get(keyword), dict):
                    yield node.child(keyword), item


_OTHERS = ("additionalProperties", "unevaluatedProperties", "propertyNames")
_ITEMS = ("items", "prefixItems", "additionalItems", "unevaluatedItems", "contains")


def _own_cost(schema: dict[str, Any], value: Any) -> int:
    """What the keywords about the value itself cost (enums and patterns), in evaluations."""
    cost = len(schema.get("enum", ())) * next((cost for kind, cost in _LISTED if isinstance(value, kind)), 0)
    if isinstance(value, str) and "pattern" in schema:
        cost += pattern_cost(schema["pattern"], len(value))
    elif isinstance(value, dict):
        length = sum(map(len, value)) + len(value)
        cost += sum(pattern_cost(pattern, length) for pattern in schema.get("patternProperties", ()))
    return cost


_LISTED = ((float, 60), (dict, 6), (list, 6))
"""(type of the value, evaluations that comparing it with one value of an enum costs, as measured); values of
other types are looked up at once."""


def pattern_cost(pattern: str, length: int) -> int:
    """What searching a pattern in a text of this length costs at most, in evaluations."""
    # The engine walks pattern times text in the worst case; with lookarounds or back references it does so
    # many times.
    often = 100 if any(sign in pattern for sign in _FANCY) else 1
    return 1 + patterns.size(pattern) * length * often // 6


_FANCY = ("(?=", "(?!", "(?<=", "(?<!", "(?>", *(f"\\{digit}" for digit in range(1, 10)), "\\k")
