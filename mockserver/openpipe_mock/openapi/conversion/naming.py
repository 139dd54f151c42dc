"""Name the reusable parts of schemas, and replace each use of a part by a reference.

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

_Schema = dict[str, Any]

_REF_PREFIX = "#/components/schemas/"
# Keywords that stay at the place where a part is used. So more places can share the part.
_NOTES_OF_USE = ("description", "default", "deprecated", "readOnly", "writeOnly", "example", "examples")
_UNIONS = ("anyOf", "oneOf")
_BRANCHES = (*_UNIONS, "allOf")
_ELEMENTS = ("items", "additionalProperties")
_TAGS = ("role", "type")
# (ending of a plural, ending of its singular), tried in this order; None: it isn't a plural. "Content" is
# what the APIs of this field call a list of parts.
_SINGULARS = (
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
    """A whole schema of a body, response or parameter.

    name: its name, if it becomes a component.
    qualified: its name if a root of other structure wants the same name.
    prefix: goes before the names of the parts directly under it.
    """

    name: str
    qualified: str
    prefix: str
    schema: _Schema


def named_parts(
    roots: Sequence[Root], components: Mapping[str, _Schema]
) -> tuple[list[_Schema], dict[str, _Schema]]:
    """Take the parts out of the roots' schemas and out of the components, which have names already.

    Returns:
        What stays at the place of each root, in the roots' order, and all components: those of the roots,
        then the others in order of first use, then components that nothing uses.
    """
    parts = _Parts()
    for name, schema in components.items():
        parts.add_named(name, schema)
    uses = [parts.extract(root.schema) for root in roots]
    wishes, order = _Wishes.collect(parts, roots, uses, components)
    names = wishes.names(order)
    return (
        [_renamed(use, names) for use in uses],
        {names.get(token, token): _renamed(parts.schemas[token], names) for token in order},
    )


def camel(text: str) -> str:
    """A name in CamelCase, of the ASCII letters and digits of a text; WORDS in capitals become Words."""
    words = re.findall(r"[A-Za-z0-9]+", text)
    return "".join(w.capitalize() if w.isupper() else w[0].upper() + w[1:] for w in words)


def element_name(noun: str) -> str:
    """The name of one element of a list or map: the noun's singular, or the noun with "Item" after it."""
    for plural, ending in _SINGULARS:
        if noun.endswith(plural):
            return noun + "Item" if ending is None else noun.removesuffix(plural) + ending
    return noun + "Item"


@dataclass(frozen=True, slots=True)
class _Wish:
    """A name that a part wants, and the number of the rule that gives it (0: a `refIdentifier`).

    If the name is taken, the part is called `qualified`, or after its owner: the owner's name and `tail`.
    """

    rule: int
    name: str
    tail: str
    owner: str | None
    qualified: str | None = None


@dataclass(frozen=True, slots=True)
class _Visit:
    """A part on the way down from the roots; `owner` is the token of the part around it."""

    token: str
    noun: str
    owner: str | None
    prefix: str = ""


@dataclass(frozen=True, slots=True)
class _Use:
    """A reference to a part inside of another one, with a name that suits it and the rule for that name."""

    token: str
    noun: str
    rule: int


@dataclass(frozen=True, slots=True)
class _Parts:
    """The parts found so far. A token is a component's name, or a number after "?" while it has none."""

    schemas: dict[str, _Schema] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)
    identifiers: dict[str, str] = field(default_factory=dict)

    def add_named(self, name: str, schema: _Schema) -> None:
        """Add a component that has a name; parts inside of it are taken out."""
        self.schemas[name] = _rebuilt(_without(schema, ("refIdentifier",)), self.extract)
        self.tokens.setdefault(_structure(self.schemas[name]), name)

    def extract(self, schema: _Schema) -> _Schema:
        """Take the parts out of a schema, from the inside out, and return what stays at its place."""
        inner = _rebuilt(schema, self.extract)
        core, nullable = _without_null(inner)
        if not _is_part(core):
            return _without(inner, ("refIdentifier",))
        notes = () if "refIdentifier" in core else _NOTES_OF_USE
        ref = {"$ref": _REF_PREFIX + self.token(_without(core, notes))}
        use: _Schema = {"anyOf": [ref, {"type": "null"}]} if nullable else ref
        return use | {key: core[key] for key in notes if key in core}

    def token(self, core: _Schema) -> str:
        """The token of the part with this structure, which is added if it is new."""
        schema = _without(core, ("refIdentifier",))
        token = self.tokens.setdefault(_structure(schema), f"?{len(self.tokens)}")
        self.schemas.setdefault(token, schema)
        if "refIdentifier" in core:
            self.identifiers.setdefault(token, core["refIdentifier"])
        return token

    def uses(self, schema: _Schema, noun: str, rule: int) -> Iterator[_Use]:
        """The parts to which a schema refers, in order, without those inside of them."""
        if "$ref" in schema:
            yield _Use(_token_of(schema), noun, rule)
        for name, inner in schema.get("properties", {}).items():
            yield from self.uses(inner, camel(name) or "Value", 4)
        for key in _ELEMENTS:
            if isinstance(schema.get(key), dict):
                yield from self.uses(schema[key], element_name(noun), 4)
        for key in _BRANCHES:
            yield from self.branch_uses(schema, key, noun, rule)

    def branch_uses(self, schema: _Schema, key: str, noun: str, rule: int) -> Iterator[_Use]:
        branches = schema.get(key, [])
        union = key in _UNIONS and sum("$ref" in branch for branch in branches) > 1
        tags = (schema.get("discriminator", {}).get("propertyName"), *_TAGS)
        for branch in branches:
            if union and "$ref" in branch:
                yield _Use(_token_of(branch), self.tag(_token_of(branch), tags) + noun, 3)
            else:
                yield from self.uses(branch, noun, rule)

    def tag(self, token: str, keys: Sequence[str | None]) -> str:
        """The value that tells a member of a union from its siblings, in CamelCase; "" if there is none."""
        properties = self.schemas[token].get("properties", {})
        for key in keys:
            schema = properties.get(key, {})
            values = schema.get("enum", [schema.get("const")])
            if len(values) == 1 and isinstance(values[0], str):
                return camel(values[0])
        return ""


@dataclass(frozen=True, slots=True)
class _Wishes:
    """The names that the parts want; of each part the wish by the strongest rule, of equals the first."""

    best: dict[str, _Wish] = field(default_factory=dict)

    @classmethod
    def collect(
        cls, parts: _Parts, roots: Sequence[Root], uses: Sequence[_Schema], components: Iterable[str]
    ) -> tuple[_Wishes, list[str]]:
        """All wishes, and the tokens in the order of the finished components."""
        wishes, seen, heads = cls(), dict[str, None](), dict[str, None]()
        for root, use in zip(roots, uses, strict=True):
            for token in _root_tokens(use):
                heads[token] = None
                wishes.add(parts, token, _Wish(1, root.name, root.name, None, root.qualified))
                wishes.walk(parts, _Visit(token, root.name, None, root.prefix), seen)
            if not _root_tokens(use):
                for found in parts.uses(use, root.name, 4):
                    wishes.add(parts, found.token, _Wish(found.rule, found.noun, found.noun, None))
                    wishes.walk(parts, _Visit(found.token, found.noun, None), seen)
        for token in components:
            wishes.walk(parts, _Visit(token, token, None), seen)
        return wishes, list(heads | seen)

    def walk(self, parts: _Parts, start: _Visit, seen: dict[str, None]) -> None:
        """Note the names that the parts below a part want."""
        # A loop instead of recursion, because components may form long chains.
        open_visits = [start]
        while open_visits:
            visit = open_visits.pop()
            if visit.token in seen:
                continue
            seen[visit.token] = None
            schema = parts.schemas[visit.token]
            owner = visit.owner if _is_union(schema) and visit.token.startswith("?") else visit.token
            below = list(parts.uses(schema, visit.noun, 4))
            for use in below:
                direct = visit.prefix != "" and use.rule == 4
                name = visit.prefix + use.noun if direct else use.noun
                self.add(parts, use.token, _Wish(2 if direct else use.rule, name, use.noun, owner))
            open_visits += [_Visit(use.token, use.noun, owner) for use in reversed(below)]

    def add(self, parts: _Parts, token: str, wish: _Wish) -> None:
        if not token.startswith("?"):
            return
        if token in parts.identifiers:
            name = parts.identifiers[token]
            wish = _Wish(0, name, name, wish.owner, wish.qualified)
        if token not in self.best or wish.rule < self.best[token].rule:
            self.best[token] = wish

    def names(self, order: Sequence[str]) -> dict[str, str]:
        """Name every part that has no name yet: token → name."""
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
        """Which of the parts that want a name gets it: the only one, or the only one by rule 0 or 1."""
        rule = min(self.best[token].rule for token in tokens)
        strongest = [token for token in tokens if self.best[token].rule == rule]
        return strongest[0] if len(tokens) == 1 or (rule < 2 and len(strongest) == 1) else None

    def qualify(self, token: str, given: dict[str, str], taken: set[str]) -> str:
        """Name a part after its owner, which is named first if it has no name yet."""
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


def _rebuilt(schema: _Schema, change: Callable[[_Schema], _Schema]) -> _Schema:
    """A copy of a schema with `change` applied to the schemas directly inside of it."""
    found = dict(schema)
    if "properties" in found:
        found["properties"] = {name: change(inner) for name, inner in found["properties"].items()}
    for key in _ELEMENTS:
        if isinstance(found.get(key), dict):
            found[key] = change(found[key])
    for key in _BRANCHES:
        if key in found:
            found[key] = [change(branch) for branch in found[key]]
    return found


def _renamed(schema: _Schema, names: Mapping[str, str]) -> _Schema:
    found = _rebuilt(schema, lambda inner: _renamed(inner, names))
    if "$ref" in found:
        found["$ref"] = _REF_PREFIX + names.get(_token_of(found), _token_of(found))
    return found


def _without(schema: _Schema, keys: Sequence[str]) -> _Schema:
    return {key: value for key, value in schema.items() if key not in keys}


def _without_null(schema: _Schema) -> tuple[_Schema, bool]:
    """Split a schema into its part for other values than null, and whether it accepts null."""
    types = schema.get("type")
    if isinstance(types, list) and "null" in types and not schema.keys() & {"enum", "const"}:
        rest = [name for name in types if name != "null"]
        return {**schema, "type": rest[0] if len(rest) == 1 else rest}, True
    branches = schema.get("anyOf", [])
    if {"type": "null"} in branches:
        return {**schema, "anyOf": [branch for branch in branches if branch != {"type": "null"}]}, True
    return schema, False


def _is_part(schema: _Schema) -> bool:
    return bool(schema.get("properties")) or "refIdentifier" in schema or _is_union(schema)


def _is_union(schema: _Schema) -> bool:
    """Whether a schema is only a choice between several components."""
    rules = schema.keys() - {"title", "discriminator", "refIdentifier", *_NOTES_OF_USE}
    if len(rules) != 1 or not rules <= set(_UNIONS):
        return False
    branches = schema[rules.pop()]
    return len(branches) > 1 and all("$ref" in branch for branch in branches)


def _root_tokens(use: _Schema) -> list[str]:
    """The token of the part that a root has become, also if null is allowed beside it; else []."""
    core, _ = _without_null(use)
    branches = core.get("anyOf", [core])
    return [_token_of(branches[0])] if len(branches) == 1 and "$ref" in branches[0] else []


def _structure(schema: _Schema) -> str:
    return json.dumps(schema, sort_keys=True)


def _token_of(ref: _Schema) -> str:
    token: str = ref["$ref"]
    return token.removeprefix(_REF_PREFIX)
