"""Give the reusable parts of schemas names, and refer to them instead of repeating them.

Every object with properties becomes a component, and so does every union that consists of components. Parts
of the same structure share one. A part is named after its place; the rules, strongest first:

1. a `refIdentifier` is the name; a part at the root has the root's name;
2. a part directly under a root is the root's prefix and the property's name;
3. a member of a union is its `role` or `type` and the union's name: SystemMessage;
4. any other part has its property's name, an element of a list or a map its singular: tool_calls → ToolCall.

When different parts want one name, a part named by rule 1 keeps it if it is alone in that, and the others are
qualified by the name of the part that they stand in: ToolCallFunction. A number is the last resort.
All wishes are collected before any name is given, so the outcome doesn't depend on the order of the parts.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Schema = dict[str, Any]

REF_PREFIX = "#/components/schemas/"
# These belong to the place where a part is used, not to the part: without them more places share a part.
NOTES_OF_USE = ("description", "default", "deprecated", "readOnly", "writeOnly", "example", "examples")
UNIONS = ("anyOf", "oneOf")
BRANCHES = (*UNIONS, "allOf")
ELEMENTS = ("items", "additionalProperties")
TAGS = ("role", "type")
# Endings of plurals and of their singulars, tried in this order; None: it is no plural. "Content" is what the
# APIs of this field call a list of parts.
SINGULARS = (
    ("Children", "Child"),
    ("People", "Person"),
    ("Content", "Part"),
    ("Statuses", "Status"),
    ("ies", "y"),
    ("sses", "ss"),
    ("xes", "x"),
    ("ches", "ch"),
    ("shes", "sh"),
    ("ss", None),
    ("us", None),
    ("is", None),
    ("s", ""),
)


@dataclass(frozen=True, slots=True)
class Root:
    """A schema at a place where a document wants one.

    name: its name, if it becomes a component.
    qualified: its name if another root, of other structure, wants the same.
    prefix: goes before the names of the parts directly under it.
    """

    name: str
    qualified: str
    prefix: str
    schema: Schema


@dataclass(frozen=True, slots=True)
class Wish:
    """A name that a part wants: by which rule, and how it is qualified (`tail` follows the owner's name)."""

    rule: int
    name: str
    tail: str
    owner: str | None
    qualified: str | None = None


@dataclass(frozen=True, slots=True)
class Visit:
    """A part on the way down from the roots; `owner` is the part that it stands in."""

    token: str
    noun: str
    owner: str | None
    prefix: str = ""


@dataclass(frozen=True, slots=True)
class Use:
    """A reference to a part inside of another one, and the noun that fits there."""

    token: str
    noun: str
    rule: int


def named_parts(
    roots: Sequence[Root], components: Mapping[str, Schema]
) -> tuple[list[Schema], dict[str, Schema]]:
    """Take the parts out of the roots' schemas and of the components that have names already.

    Returns:
        What stays at the place of each root, in the roots' order, and all components: those of the roots,
        then the others in order of first use, then components that nothing uses.
    """
    parts = Parts()
    for name, schema in components.items():
        parts.add_named(name, schema)
    uses = [parts.extract(root.schema) for root in roots]
    wishes, order = Wishes.collect(parts, roots, uses, components)
    names = wishes.names(order)
    return (
        [renamed(use, names) for use in uses],
        {names.get(token, token): renamed(parts.schemas[token], names) for token in order},
    )


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts found so far. A token is a component's name, or a number after "?" while it has none."""

    schemas: dict[str, Schema] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)
    identifiers: dict[str, str] = field(default_factory=dict)

    def add_named(self, name: str, schema: Schema) -> None:
        self.schemas[name] = rebuilt(without(schema, ("refIdentifier",)), self.extract)
        self.tokens.setdefault(structure(self.schemas[name]), name)

    def extract(self, schema: Schema) -> Schema:
        """Take the parts out of a schema, from the inside out, and return what stays at its place."""
        inner = rebuilt(schema, self.extract)
        core, nullable = without_null(inner)
        if not is_part(core):
            return without(inner, ("refIdentifier",))
        notes = () if "refIdentifier" in core else NOTES_OF_USE
        ref = {"$ref": REF_PREFIX + self.token(without(core, notes))}
        use: Schema = {"anyOf": [ref, {"type": "null"}]} if nullable else ref
        return use | {key: core[key] for key in notes if key in core}

    def token(self, core: Schema) -> str:
        schema = without(core, ("refIdentifier",))
        token = self.tokens.setdefault(structure(schema), f"?{len(self.tokens)}")
        self.schemas.setdefault(token, schema)
        if "refIdentifier" in core:
            self.identifiers.setdefault(token, core["refIdentifier"])
        return token

    def uses(self, schema: Schema, noun: str, rule: int) -> Iterator[Use]:
        """The parts that a schema refers to, not those inside of them, in order."""
        if "$ref" in schema:
            yield Use(token_of(schema), noun, rule)
        for name, inner in schema.get("properties", {}).items():
            yield from self.uses(inner, camel(name) or "Value", 4)
        for key in ELEMENTS:
            if isinstance(schema.get(key), dict):
                yield from self.uses(schema[key], singular(noun), 4)
        for key in BRANCHES:
            yield from self.branch_uses(schema, key, noun, rule)

    def branch_uses(self, schema: Schema, key: str, noun: str, rule: int) -> Iterator[Use]:
        branches = schema.get(key, [])
        union = key in UNIONS and sum("$ref" in branch for branch in branches) > 1
        tags = (schema.get("discriminator", {}).get("propertyName"), *TAGS)
        for branch in branches:
            if union and "$ref" in branch:
                yield Use(token_of(branch), self.tag(token_of(branch), tags) + noun, 3)
            else:
                yield from self.uses(branch, noun, rule)

    def tag(self, token: str, keys: Sequence[str | None]) -> str:
        """The one value that tells a member of a union from its siblings, as a name."""
        properties = self.schemas[token].get("properties", {})
        for key in keys:
            schema = properties.get(key, {})
            values = schema.get("enum", [schema.get("const")])
            if len(values) == 1 and isinstance(values[0], str):
                return camel(values[0])
        return ""


@dataclass(frozen=True, slots=True)
class Wishes:
    """Which names the parts want. The best wish of each part counts, of equals the first."""

    best: dict[str, Wish] = field(default_factory=dict)

    @classmethod
    def collect(
        cls, parts: Parts, roots: Sequence[Root], uses: Sequence[Schema], components: Iterable[str]
    ) -> tuple[Wishes, list[str]]:
        """All wishes, and the tokens in the order of the finished components."""
        wishes, seen, heads = cls(), dict[str, None](), dict[str, None]()
        for root, use in zip(roots, uses, strict=True):
            for token in root_tokens(use):
                heads[token] = None
                wishes.add(parts, token, Wish(1, root.name, root.name, None, root.qualified))
                wishes.walk(parts, Visit(token, root.name, None, root.prefix), seen)
            if not root_tokens(use):
                for found in parts.uses(use, root.name, 4):
                    wishes.add(parts, found.token, Wish(found.rule, found.noun, found.noun, None))
                    wishes.walk(parts, Visit(found.token, found.noun, None), seen)
        for token in components:
            wishes.walk(parts, Visit(token, token, None), seen)
        return wishes, list(heads | seen)

    def walk(self, parts: Parts, start: Visit, seen: dict[str, None]) -> None:
        """Note what the parts below a part want. A loop, because components may form long chains."""
        open_visits = [start]
        while open_visits:
            visit = open_visits.pop()
            if visit.token in seen:
                continue
            seen[visit.token] = None
            schema = parts.schemas[visit.token]
            owner = visit.owner if is_union(schema) and visit.token.startswith("?") else visit.token
            below = list(parts.uses(schema, visit.noun, 4))
            for use in below:
                direct = visit.prefix != "" and use.rule == 4
                name = visit.prefix + use.noun if direct else use.noun
                self.add(parts, use.token, Wish(2 if direct else use.rule, name, use.noun, owner))
            open_visits += [Visit(use.token, use.noun, owner) for use in reversed(below)]

    def add(self, parts: Parts, token: str, wish: Wish) -> None:
        if not token.startswith("?"):
            return
        if token in parts.identifiers:
            name = parts.identifiers[token]
            wish = Wish(0, name, name, wish.owner, wish.qualified)
        if token not in self.best or wish.rule < self.best[token].rule:
            self.best[token] = wish

    def names(self, order: Sequence[str]) -> dict[str, str]:
        """The name of every part that had none."""
        taken = {token for token in order if not token.startswith("?")}
        rivals: dict[str, list[str]] = defaultdict(list)
        for token in self.best:
            rivals[self.best[token].name].append(token)
        winners = {self.winner(tokens): name for name, tokens in rivals.items() if name not in taken}
        given = {token: name for token, name in winners.items() if token is not None}
        taken.update(given.values())
        for token in order:
            if token in self.best:
                self.qualify(token, given, taken)
        return given

    def winner(self, tokens: Sequence[str]) -> str | None:
        """Who of the parts that want a name gets it: the only one, or the only one that rule 0 or 1 names."""
        rule = min(self.best[token].rule for token in tokens)
        strongest = [token for token in tokens if self.best[token].rule == rule]
        return strongest[0] if len(tokens) == 1 or (rule < 2 and len(strongest) == 1) else None

    def qualify(self, token: str, given: dict[str, str], taken: set[str]) -> str:
        """Name a part after its owner, naming that one first if need be."""
        if token in given or token not in self.best:
            return given.get(token, token)
        wish = self.best[token]
        owner = self.qualify(wish.owner, given, taken) if wish.owner else ""
        name = base = wish.qualified or owner + wish.tail
        number = 1
        while name in taken:
            number += 1
            name = f"{base}{number}"
        given[token] = name
        taken.add(name)
        return name


def rebuilt(schema: Schema, change: Callable[[Schema], Schema]) -> Schema:
    """A copy of a schema with `change` applied to the schemas directly inside of it."""
    found = dict(schema)
    if "properties" in found:
        found["properties"] = {name: change(inner) for name, inner in found["properties"].items()}
    for key in ELEMENTS:
        if isinstance(found.get(key), dict):
            found[key] = change(found[key])
    for key in BRANCHES:
        if key in found:
            found[key] = [change(branch) for branch in found[key]]
    return found


def renamed(schema: Schema, names: Mapping[str, str]) -> Schema:
    found = rebuilt(schema, lambda inner: renamed(inner, names))
    if "$ref" in found:
        found["$ref"] = REF_PREFIX + names.get(token_of(found), token_of(found))
    return found


def without(schema: Schema, keys: Sequence[str]) -> Schema:
    return {key: value for key, value in schema.items() if key not in keys}


def without_null(schema: Schema) -> tuple[Schema, bool]:
    """Split a schema into what it says of other values than null, and whether it lets null in."""
    types = schema.get("type")
    if isinstance(types, list) and "null" in types and not schema.keys() & {"enum", "const"}:
        rest = [name for name in types if name != "null"]
        return {**schema, "type": rest[0] if len(rest) == 1 else rest}, True
    branches = schema.get("anyOf", [])
    if {"type": "null"} in branches:
        return {**schema, "anyOf": [branch for branch in branches if branch != {"type": "null"}]}, True
    return schema, False


def is_part(schema: Schema) -> bool:
    return bool(schema.get("properties")) or "refIdentifier" in schema or is_union(schema)


def is_union(schema: Schema) -> bool:
    """Whether a schema says nothing but that one of several components holds."""
    rules = schema.keys() - {"title", "discriminator", "refIdentifier", *NOTES_OF_USE}
    if len(rules) != 1 or not rules <= set(UNIONS):
        return False
    branches = schema[rules.pop()]
    return len(branches) > 1 and all("$ref" in branch for branch in branches)


def root_tokens(use: Schema) -> list[str]:
    """The part that a root became, if it did, even if null is allowed beside it."""
    core, _ = without_null(use)
    branches = core.get("anyOf", [core])
    return [token_of(branches[0])] if len(branches) == 1 and "$ref" in branches[0] else []


def structure(schema: Schema) -> str:
    return json.dumps(schema, sort_keys=True)


def token_of(ref: Schema) -> str:
    token: str = ref["$ref"]
    return token.removeprefix(REF_PREFIX)


def camel(text: str) -> str:
    """A name in CamelCase, of the ASCII letters and digits of a text; WORDS in capitals become Words."""
    words = re.findall(r"[A-Za-z0-9]+", text)
    return "".join(w.capitalize() if w.isupper() else w[0].upper() + w[1:] for w in words)


def singular(noun: str) -> str:
    """The name of one element of what a noun names; "Item" is added to a noun that names no plural."""
    for plural, ending in SINGULARS:
        if noun.endswith(plural):
            return noun + "Item" if ending is None else noun.removesuffix(plural) + ending
    return noun + "Item"
