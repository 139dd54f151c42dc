"""Find the ways to meet a set of subschemas: each is one choice of a branch in every union and condition."""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from openpipe_mock.instances.demands import (
    KEYWORD_READERS,
    LOWER,
    UPPER,
    Branch,
    Budget,
    Contradiction,
    Demands,
    plain_rules,
    structure,
)
from openpipe_mock.instances.documents import REFERENCES, Node, SchemaDocument, applicator

_MOST_CHOICES = 100
"""Choices that are followed, one after the other, for one value."""


@dataclass(frozen=True, slots=True)
class Alternatives:
    """Branches of which at least one must hold, exactly one if `exclusive`."""

    node: Node
    branches: list[Branch]
    exclusive: bool = False

    def alone(self, branch: Branch) -> Branch:
        """A branch together with the negations of all others."""
        return [
            *branch,
            *(one.made({"not": one.schema}) for each in self.branches if each is not branch for one in each),
        ]


_Order = Callable[[Alternatives], list[Branch]]
_MOST_EXCLUSIVE = 8
"""Up to so many branches of a `oneOf`, each is also tried with the others negated."""


@dataclass(slots=True)
class Flattening:
    """Finds the ways to meet a set of subschemas.

    `order` puts the branches of a choice in the order in which they are tried. `active` holds the `id()` of
    each subschema that judges a value around this one. `conflict` is the first contradiction that was met.
    """

    document: SchemaDocument
    budget: Budget
    order: _Order
    active: frozenset[int]
    conflict: Contradiction | None = None

    def ways(self, nodes: Branch) -> Iterator[Demands]:
        """Yield, lazily, the `Demands` of each way; nothing if the subschemas contradict each other."""
        yield from self.expanded(Demands(), nodes, [], 0)

    def expanded(
        self, demands: Demands, nodes: Branch, waiting: list[Alternatives], depth: int
    ) -> Iterator[Demands]:
        """The ways to meet `demands`, further subschemas and the choices that are waiting."""
        try:
            waiting = [*waiting, *self.absorbed(demands, nodes)]
        except Contradiction as conflict:
            self.conflict = self.conflict or conflict
            return
        if not waiting:
            yield demands
            return
        choice, *rest = waiting
        self.budget.spend(2, choice.node)
        if depth == _MOST_CHOICES:
            self.budget.spend(self.budget.left + 1, choice.node)  # raises Unbuildable
        if not choice.branches:
            self.conflict = self.conflict or Contradiction(
                applicator(choice.node.pointer), choice.node.pointer
            )
            return
        branches = self.order(choice)
        for branch in branches:
            yield from self.expanded(demands.copy(), branch, rest, depth + 1)
        if choice.exclusive and len(branches) <= _MOST_EXCLUSIVE:
            for branch in branches:
                yield from self.expanded(demands.copy(), choice.alone(branch), rest, depth + 1)

    def absorbed(self, demands: Demands, nodes: Branch) -> list[Alternatives]:
        """Merge subschemas and all that must hold with them; return the choices that are left.

        Raises Contradiction.
        """
        found = []
        waiting = deque(nodes)
        while waiting:
            node = waiting.popleft()
            self.budget.spend(2, node)
            if node.schema is False:
                raise Contradiction(applicator(node.pointer), node.pointer)
            if node.schema is True or id(node.schema) in demands.seen:
                continue
            merged = sum(len(value) for value in demands.rules.values() if isinstance(value, tuple))
            self.budget.spend(len(node.schema) // 4 + merged // 100, node)
            if "enum" in demands.rules:
                self.budget.spend(len(node.schema.get("enum", ())) // 5, node)
            demands.recursive = demands.recursive or id(node.schema) in self.active
            demands.seen[id(node.schema)] = node
            plain_rules(demands, node)
            structure(demands, node)
            for choice in _choices(self.document, node, demands):
                if len(choice.branches) == 1:
                    waiting.extend(choice.branches[0])
                else:
                    found.append(choice)
        return found


def _choices(document: SchemaDocument, node: Node, demands: Demands) -> Iterator[Alternatives]:
    """The choices that a subschema leaves; if one has a single branch, that branch must hold."""
    schema = node.schema
    for keyword in REFERENCES:
        if keyword in schema:
            yield Alternatives(node, [[_target(document, node, keyword)]])
    for at in range(len(schema.get("allOf", ()))):
        yield Alternatives(node, [[node.child("allOf", at)]])
    for keyword in ("anyOf", "oneOf"):
        if keyword in schema:
            branches = [[node.child(keyword, at)] for at in range(len(schema[keyword]))]
            yield Alternatives(node, branches, keyword == "oneOf")
    if "if" in schema:
        yield _conditional(node)
    for keyword in ("dependentSchemas", "dependencies"):
        for name, dependent in schema.get(keyword, {}).items():
            if not isinstance(dependent, list):
                present, absent = node.made({"required": [name]}), node.made({"properties": {name: False}})
                yield Alternatives(node, [[present, node.child(keyword, name)], [absent]])
    if "not" in schema:
        ways = _negations(document, node.child("not"))
        if ways is None:
            demands.nots += (node.child("not"),)
        else:
            yield Alternatives(node.child("not"), [[way] for way in ways])


def _target(document: SchemaDocument, node: Node, keyword: str) -> Node:
    try:
        return document.target(node, keyword)
    except LookupError:  # a meta-schema that the compiler knows by itself
        raise Contradiction(keyword, node.pointer) from None


def _conditional(node: Node) -> Alternatives:
    condition = node.child("if")
    otherwise = condition.made({"not": condition.schema})
    met = [condition, *([node.child("then")] if "then" in node.schema else ())]
    unmet = [otherwise, *([node.child("else")] if "else" in node.schema else ())]
    return Alternatives(node, [met, unmet])


_JUDGED_AS_WHOLE = frozenset((*LOWER, *UPPER, "const", "enum", "pattern", "format", "multipleOf")) - {
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
}
_ANNOTATIONS = frozenset(
    ("title", "description", "default", "examples", "$comment", "$defs", "definitions", "$schema", "$id")
)
_TYPES = ("string", "integer", "number", "boolean", "object", "array", "null")


def _negations(document: SchemaDocument, node: Node) -> list[Node] | None:
    """Subschemas of which one must hold so that `node` doesn't; None if values can only be tried."""
    schema = node.schema
    if isinstance(schema, bool):
        return [node.made(not schema)]
    keywords = schema.keys() - _ANNOTATIONS
    if not keywords:
        return [node.made(False)]
    if keywords <= _JUDGED_AS_WHOLE | {"type"} or not keywords <= _NEGATED.keys() | _JUDGED_AS_WHOLE:
        return _negated_type(document, node) if keywords == {"type"} else None
    tables = [negated for keyword, negated in _NEGATED.items() if keyword in schema]
    ways = [way for negated in tables for way in negated(document, node)]
    whole = {keyword: schema[keyword] for keyword in schema if keyword in _JUDGED_AS_WHOLE}
    return [*ways, *([node.made({"not": whole})] if whole else ())]


def _negated_members(document: SchemaDocument, node: Node) -> list[Node]:
    return [
        node.made({"type": "object", "required": [name], "properties": {name: {"not": member}}})
        for name, member in node.schema["properties"].items()
    ]


def _negated_required(document: SchemaDocument, node: Node) -> list[Node]:
    return [node.made({"type": "object", "properties": {name: False}}) for name in node.schema["required"]]


def _negated_items(document: SchemaDocument, node: Node) -> list[Node]:
    if isinstance(node.schema["items"], list):  # a prefix, before 2020-12
        return []
    return [node.made({"type": "array", "contains": {"not": node.schema["items"]}})]


def _negated_type(document: SchemaDocument, node: Node) -> list[Node]:
    named = KEYWORD_READERS["type"][1](node.schema["type"])
    named += ("integer",) if "number" in named else ()
    others = [name for name in _TYPES if name not in named and (name != "number" or "integer" not in named)]
    return [node.made({"type": others})] if others else [node.made(False)]


def _negated_reference(document: SchemaDocument, node: Node) -> list[Node]:
    found = _target(document, node, "$ref")
    return [found.made({"not": found.schema})]


_NEGATED: dict[str, Callable[[SchemaDocument, Node], list[Node]]] = {
    "required": _negated_required,
    "properties": _negated_members,
    "anyOf": lambda document, node: [node.made({"allOf": [{"not": each} for each in node.schema["anyOf"]]})],
    "allOf": lambda document, node: [node.made({"not": each}) for each in node.schema["allOf"]],
    "not": lambda document, node: [node.child("not")],
    "$ref": _negated_reference,
    "items": _negated_items,
    "type": _negated_type,
}
"""Keyword → a function that returns subschemas of which one must hold so that the keyword isn't met."""
