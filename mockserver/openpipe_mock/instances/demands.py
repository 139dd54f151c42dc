"""Merge what several subschemas demand of one value.

Plain keywords are merged into rules. Keywords about members and items stay with their subschema, since
`additionalProperties` applies only to the properties beside it. Keywords that aren't known here, such as
`not`, are left to the check of the whole value.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import product, repeat
from typing import Any

import orjson

from openpipe_mock.instances.documents import Node, SchemaDocument, Unbuildable, applicator
from openpipe_mock.instances.scalars import as_json_number, common_multiple, exact
from openpipe_mock.instances.validators import matches

_BEYOND = 10**300
"""A `multipleOf` beyond this leaves hardly more than 0: its multiples are too large for a double."""

_MOST_CASES = 50
"""Choices up to which an `if` is one too; the check of the value knows them all."""

Alternatives = list[list[Node]]
"""Branches of which one must hold, each with the subschemas that must hold together in it."""


class Contradiction(Unbuildable):
    """No value meets the demands. Has the keyword that failed and the JSON pointer to its subschema.

    `against`: the keyword and the pointer that leave no value for it; `false`: the subschema allows none.
    """

    def __init__(
        self, keyword: str, pointer: str, against: tuple[str, str] | None = None, *, false: bool = False
    ) -> None:
        self.hopeless = false or against is not None
        asked = f'"{keyword}" at {_place(pointer)}'
        told = f"No value was found that meets {asked}."
        if against:
            beside = "" if against[1] == pointer else f" at {_place(against[1])}"
            told = f'No value was found that meets both "{against[0]}"{beside} and {asked}.'
        elif false:
            told = f"No value is allowed at {_place(pointer)}: the schema there is false, or denies all."
        super().__init__(keyword, pointer, told)


def _place(pointer: str) -> str:
    return pointer[:200] or "the top of the schema"


@dataclass(slots=True)
class Budget:
    """The steps that are left to build one value, each of about 10 µs."""

    left: int

    def spend(self, steps: int, node: Node) -> None:
        """Take steps away. Raises Unbuildable, which names `node`, if there aren't enough."""
        self.left -= steps
        if self.left < 0:
            sentence = "No instance was found within the limits of the search."
            raise Unbuildable(applicator(node.pointer), node.pointer, sentence)


@dataclass(slots=True)
class Demands:
    """The merged demands of several subschemas on one value.

    `rules` holds plain keywords (`type`, `pattern`, `format`, `required` as tuples), `origins` the keyword
    and the pointer that each rule is from. `nodes` has the merged subschemas by the `id()` of their schema.
    `recursive` tells that one of them also judges a value around this one.
    """

    rules: dict[str, Any] = field(default_factory=dict)
    origins: dict[str, tuple[str, str]] = field(default_factory=dict)
    nodes: dict[int, Node] = field(default_factory=dict)
    recursive: bool = False

    def copy(self) -> "Demands":
        return replace(self, rules=dict(self.rules), origins=dict(self.origins), nodes=dict(self.nodes))

    def absorb(
        self, document: SchemaDocument, nodes: list[Node], active: frozenset[int], budget: Budget
    ) -> list[Alternatives]:
        """Merge subschemas and all that must hold with them; return the choices that are left.

        `active` holds the `id()` of each subschema that judges a value around this one. Raises Contradiction.
        """
        choices = []
        waiting = deque(nodes)
        while waiting:
            node = waiting.popleft()
            schema = node.schema
            budget.spend(2, node)
            if schema is False:
                raise Contradiction(applicator(node.pointer), node.pointer, false=True)
            if schema is True or id(schema) in self.nodes:
                continue
            merged = sum(len(value) for value in self.rules.values() if isinstance(value, tuple))
            listed = len(schema.get("enum", ())) // 5 if "enum" in self.rules else 0
            budget.spend(len(schema) // 4 + merged // 100 + listed, node)
            if schema.get("not") in ({}, True):
                raise Contradiction("not", f"{node.pointer}/not", false=True)
            self.recursive = self.recursive or id(schema) in active
            self.nodes[id(schema)] = node
            self._merge(node)
            if "$ref" in schema:
                waiting.append(document.target(node))
            waiting.extend(node.children("allOf"))
            for branches in (node.children("anyOf"), node.children("oneOf")):
                if len(branches) > 1:
                    choices.append([[branch] for branch in branches])
                waiting.extend(branches if len(branches) == 1 else ())
            if "if" in schema and not {"then", "else"}.isdisjoint(schema) and len(choices) < _MOST_CASES:
                choices.append([node.present("if", "then"), node.present("else")])
        return choices

    def _merge(self, node: Node) -> None:
        """Merge the plain keywords of a subschema. Raises Contradiction if nothing can meet the rules."""
        for keyword, value in node.schema.items():
            if keyword not in _RULES or (isinstance(value, bool) and keyword.startswith("exclusive")):
                continue  # a flag as in draft 4
            rule, read, combined = _RULES[keyword]
            value = read(value)
            if rule in self.rules:
                value = combined(self.rules[rule], value)
                if (rule in ("type", "enum") and not value) or (rule == "multipleOf" and value > _BEYOND):
                    raise Contradiction(keyword, node.pointer, self.origins[rule])
            self.rules[rule] = value
            self.origins[rule] = (keyword, node.pointer)

    def failure(self, rule: str) -> Contradiction:
        """That a rule can't be met, and against which other one, if it is known that no value meets both."""
        against = "type" if rule == "enum" else "enum" if "enum" in self.rules else self._crossed(rule)
        return Contradiction(*self.origins.get(rule, (rule, "")), self.origins.get(against))

    def _crossed(self, rule: str) -> str:
        """The bound on the other side of this one, if they leave no value between them, else ""."""
        for pair in _BOUNDS:
            low, high = self.rules.get(pair[0]), self.rules.get(pair[1])
            if rule in pair and low is not None and high is not None:
                strict = any(name.startswith("exclusive") for name in pair)
                if low > high or (low == high and strict):
                    return pair[0] if rule == pair[1] else pair[1]
        return ""

    def presets(self) -> list[Any]:
        """The defaults and the examples of the subschemas."""
        found: list[Any] = []
        for node in self.nodes.values():
            found += [node.schema["default"]] if "default" in node.schema else []
            examples = node.schema.get("examples")
            found += examples if isinstance(examples, list) else []
        return found

    def declared(self) -> dict[str, None]:
        """The names of the declared members in their order, then those that are only required."""
        names = [name for node in self.nodes.values() for name in node.schema.get("properties", ())]
        return dict.fromkeys([*names, *self.rules.get("required", ())])

    def needed(self, present: Iterable[str]) -> dict[str, None]:
        """The names of the required members, and of those that they and the `present` ones require."""
        dependent: dict[str, list[str]] = {}
        for name, other in self.rules.get("dependentRequired", ()):
            dependent.setdefault(name, []).append(other)
        needed = dict.fromkeys(self.rules.get("required", ()))
        waiting = deque([*needed, *present])
        while waiting:
            new = [name for name in dependent.pop(waiting.popleft(), ()) if name not in needed]
            needed.update(dict.fromkeys(new))
            waiting.extend(new)
        return needed

    def wanting(self) -> tuple[str, str]:
        """The keyword that requires members, and the pointer to its subschema."""
        return self.origins.get("required") or self.origins["dependentRequired"]

    def contained(self) -> Iterator[Node]:
        """The subschemas of `contains`, each as often as an item must meet it."""
        for node in self.nodes.values():
            for child in node.present("contains"):
                yield from repeat(child, _size(node.schema.get("minContains", 1)))

    def name_patterns(self) -> list[str]:
        return [name for node in self.nodes.values() for name in node.schema.get("patternProperties", ())]

    def is_map(self) -> bool:
        """Whether an object declares no members and maps free names to values, such as `dict[str, int]`."""
        declares, *free = [any(node.schema.get(name) for node in self.nodes.values()) for name in _MEMBERS]
        return any(free) and not declares

    def member(self, name: str) -> list[Node]:
        """The subschemas that judge the member with this name."""
        members: list[Node] = []
        for node in self.nodes.values():
            found = [node.child("properties", name)] if name in node.schema.get("properties", ()) else []
            by_name = node.schema.get("patternProperties", ())
            found += [node.child("patternProperties", each) for each in by_name if matches(each, name)]
            if not found and "additionalProperties" in node.schema:
                found = [node.child("additionalProperties")]
            members += found
        return members

    def item(self, at: int) -> list[Node]:
        """The subschemas that judge the item at this index."""
        items: list[Node] = []
        for node in self.nodes.values():
            prefix, rest = _row(node)
            if at < len(node.schema.get(prefix, ())):
                items.append(node.child(prefix, at))
            elif rest in node.schema:
                items.append(node.child(rest))
        return items

    def prefix_length(self) -> int:
        """The number of items that have a subschema of their own, as in a tuple."""
        return max((len(node.schema.get(_row(node)[0], ())) for node in self.nodes.values()), default=0)

    def scalar_schema(self) -> dict[str, Any]:
        """A schema of its own for the rules that judge a string, number, boolean or null."""
        as_they_are = ("type", "minLength", "maxLength", *_NUMBER)
        schema = {keyword: value for keyword, value in self.rules.items() if keyword in as_they_are}
        if "multipleOf" in self.rules:
            schema["multipleOf"] = as_json_number(self.rules["multipleOf"])
        several = [{name: value} for name in ("pattern", "format") for value in self.rules.get(name, ())]
        return {**schema, "allOf": several} if several else schema

    def kinds(self) -> list[str]:
        """The JSON types to try: null last; without `type` first those with keywords of their own."""
        if "type" in self.rules:
            return sorted(self.rules["type"], key="null".__eq__)
        keywords = {keyword for node in self.nodes.values() for keyword in node.schema}
        return sorted(_HINTS, key=lambda kind: keywords.isdisjoint(_HINTS[kind]))


def _row(node: Node) -> tuple[str, str]:
    """The keywords for the first items, each with a subschema of its own, and for the rest."""
    # Before 2020-12 a list under `items` was the prefix.
    before = isinstance(node.schema.get("items"), list)
    return ("items", "additionalItems") if before else ("prefixItems", "items")


def _both_types(one: tuple[str, ...], other: tuple[str, ...]) -> tuple[str, ...]:
    """The types that both have, in the order of the first; an integer is a number too."""
    shared = [name for name in one if name in other]
    whole = ("integer" in one and "number" in other) or ("number" in one and "integer" in other)
    return tuple(dict.fromkeys([*shared, "integer"] if whole else shared))


def json_key(value: Any) -> bytes:
    """A text that is the same for equal JSON values, whatever the order of their members."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def common(one: list[Any], other: list[Any]) -> list[Any]:
    """The values of `one` that are in `other` too."""
    known = {json_key(value) for value in other}
    return [value for value in one if json_key(value) in known]


def _united(one: tuple[Any, ...], other: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(dict.fromkeys(one + other))


def _pairs(value: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    """Pairs of a name and another that its presence requires; `dependencies` may hold schemas too."""
    lists = ((name, names) for name, names in value.items() if isinstance(names, list))
    return tuple((name, other) for name, names in lists for other in names)


def _types(value: str | list[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def _same(value: Any) -> Any:
    return value


def _size(value: float) -> int:
    """A number of characters, items or members, which JSON may write as `2.0` or `1e300`."""
    return min(int(value), 2**53)


_MEMBERS = ("properties", "patternProperties", "additionalProperties")
_CONTENT = ("contentMediaType", "contentEncoding")
_RULES: dict[str, tuple[str, Callable[[Any], Any], Callable[[Any, Any], Any]]] = {
    **{
        keyword: (keyword, _same, max)
        for keyword in ("minimum", "exclusiveMinimum", "uniqueItems", *_CONTENT)
    },
    **{keyword: (keyword, _same, min) for keyword in ("maximum", "exclusiveMaximum")},
    **{keyword: (keyword, _size, max) for keyword in ("minLength", "minItems", "minProperties")},
    **{keyword: (keyword, _size, min) for keyword in ("maxLength", "maxItems", "maxProperties")},
    **{keyword: (keyword, _types, _united) for keyword in ("pattern", "format", "required")},
    **dict.fromkeys(("dependentRequired", "dependencies"), ("dependentRequired", _pairs, _united)),
    "type": ("type", _types, _both_types),
    "enum": ("enum", _same, common),
    "const": ("enum", lambda value: [value], common),
    "multipleOf": ("multipleOf", exact, common_multiple),
}
"""Keyword → the name of its rule, a function that reads its value, one that merges two values."""

_NUMBER = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
_BOUNDS = (
    *(("minLength", "maxLength"), ("minItems", "maxItems"), ("minProperties", "maxProperties")),
    *product(("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")),
)
_HINTS = {
    "string": ("minLength", "maxLength", "pattern", "format", *_CONTENT),
    "number": (*_NUMBER, "multipleOf"),
    "boolean": (),
    "object": ("required", "dependentRequired", "minProperties", "maxProperties", "propertyNames", *_MEMBERS),
    "array": ("minItems", "maxItems", "uniqueItems", "prefixItems", "items", "contains"),
    "null": (),
}
"""JSON type → the keywords that apply to this type only. A number stands for an integer too."""
