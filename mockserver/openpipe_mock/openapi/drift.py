"""What changed between two versions of a contract, and whom each change breaks.

Documents are OpenAPI 3.x as plain data. References are followed, so that a renamed component or another order
of keys is no change. A request's schema that takes less breaks clients, one that takes more breaks servers;
of an answer's schema it is the other way round.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Literal

import orjson

from openpipe_mock.core.pointers import pointer_step, steps_of
from openpipe_mock.core.wording import listed, quoted, quoted_names, shown

Json = Any
_Schema = Mapping[str, Any]
_Way = Literal["less", "more", "other", "words", "gone", "unsaid"]
Breaks = Literal["clients", "servers", "both", "nobody"]


class BadReference(ValueError):
    """A `$ref` that can't be followed."""


METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
_WORDS = frozenset(("description", "title", "example", "examples", "deprecated", "summary", "externalDocs"))
"""Keywords that say something to readers alone, as all that begin with `x-` do."""
_LOWER = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties", "minContains")
_UPPER = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties", "maxContains")
_ONLY = ("pattern", "format", "const", "multipleOf", "propertyNames", "not", "contains", "uniqueItems")
"""Keywords that only forbid: to add one is to allow less."""


@dataclass(frozen=True, slots=True)
class ContractChange:
    """A change of an operation.

    `operation`: such as `POST /criteria/judge`. `part`: `request`, `answer 200`, `header op-criteria`,
    `security`, or "" for all of it. `pointer`: into the values of that part, `*` for any item.
    """

    operation: str
    part: str
    pointer: str
    told: str
    breaks: Breaks

    def __str__(self) -> str:
        return f"{self.part}{self.pointer and f' {self.pointer}'}: {self.told}" if self.part else self.told


def contract_changes(old: Json, new: Json) -> Iterator[ContractChange]:
    """The changes from one document to another, operation by operation."""
    before, after = _operations(old), _operations(new)
    for name in before.keys() - after.keys():
        yield ContractChange(name, "", "", "the operation is gone", "clients")
    for name in after.keys() - before.keys():
        yield ContractChange(name, "", "", "the operation is new", "servers")
    comparison = _Comparison(old, new)
    for name, operation in before.items():
        if name in after:
            yield from dict.fromkeys(_Pair(name, comparison).changes(operation, after[name]))


def _operations(document: Json) -> dict[str, _Schema]:
    """`METHOD /path` → operation, with the parameters of its path, whose names don't count."""
    found: dict[str, _Schema] = {}
    for path, item in document.get("paths", {}).items():
        item = _resolved(item, document)
        shared = item.get("parameters", [])
        for method in METHODS:
            if method in item:
                operation = item[method]
                parameters = [*shared, *operation.get("parameters", [])]
                security = operation.get("security", document.get("security", []))
                name = f"{method.upper()} {_nameless(path)}"
                found[name] = {**operation, "parameters": parameters, "security": security}
    return found


def _nameless(path: str) -> str:
    return "/".join("{}" if step.startswith("{") and step.endswith("}") else step for step in path.split("/"))


def _resolved(value: Json, document: Json) -> Json:
    """What a local reference leads to, with what stands beside it on top. Raises BadReference."""
    seen = set()
    while isinstance(value, dict) and "$ref" in value:
        reference = value["$ref"]
        if reference in seen or not isinstance(reference, str) or not reference.startswith("#/"):
            raise BadReference(f"the reference {shown(reference)} leads out of the document or to itself")
        seen.add(reference)
        target = document
        for step in steps_of(reference.removeprefix("#")):
            target = target.get(step) if isinstance(target, dict) else None
        if not isinstance(target, dict | bool):
            raise BadReference(f"the reference {quoted(reference)} leads nowhere")
        beside = {name: each for name, each in value.items() if name != "$ref"}
        value = {**target, **beside} if beside and isinstance(target, dict) else target
    return value


@dataclass(frozen=True, slots=True)
class _Pair:
    """An operation that both documents have."""

    name: str
    comparison: "_Comparison"

    @property
    def old(self) -> Json:
        return self.comparison.old

    @property
    def new(self) -> Json:
        return self.comparison.new

    def changes(self, before: _Schema, after: _Schema) -> Iterator[ContractChange]:
        yield from self.texts(before, after)
        yield from self.security(before["security"], after["security"])
        yield from self.parameters(self.named(before, self.old), self.named(after, self.new))
        yield from self.bodies(before.get("requestBody"), after.get("requestBody"))
        yield from self.answers(before.get("responses", {}), after.get("responses", {}))

    def change(self, part: str, told: str, breaks: Breaks, pointer: str = "") -> ContractChange:
        return ContractChange(self.name, part, pointer, told, breaks)

    def texts(self, before: _Schema, after: _Schema) -> Iterator[ContractChange]:
        names = [name for name in ("summary", "description") if before.get(name) != after.get(name)]
        if names:
            yield self.change("documentation", f"{listed(names, 'and')} changed", "nobody")

    def security(self, before: Sequence[_Schema], after: Sequence[_Schema]) -> Iterator[ContractChange]:
        old, new = ({_canonical(each) for each in way} or {_canonical({})} for way in (before, after))
        if old - new:
            yield self.change("security", "a way to authorise is gone", "clients")
        elif new - old:
            yield self.change("security", "a way to authorise is new", "servers")

    # Parameters.

    def named(self, operation: _Schema, document: Json) -> dict[str, _Schema]:
        """Place and name of each parameter → the parameter; those of the path by their position."""
        resolved = (_resolved(each, document) for each in operation["parameters"])
        found, number = {}, 0
        for each in resolved:
            number += each["in"] == "path"
            name = f"{number}" if each["in"] == "path" else each["name"]
            found[f"{each['in']} {name.lower() if each['in'] == 'header' else name}"] = each
        return found

    def parameters(
        self, before: Mapping[str, _Schema], after: Mapping[str, _Schema]
    ) -> Iterator[ContractChange]:
        for name in before.keys() - after.keys():
            yield self.change(name, "it is gone", "clients")
        for name in after.keys() - before.keys():
            required = after[name].get("required", False)
            told = "it is new and required" if required else "it is new"
            yield self.change(name, told, "both" if required else "servers")
        for name in before.keys() & after.keys():
            old, new = before[name], after[name]
            if old.get("required", False) != new.get("required", False):
                yield self.change(name, *_requirement(new.get("required", False)))
            yield from self.schemas(name, old.get("schema", {}), new.get("schema", {}), _TAKEN)

    # Bodies.

    def bodies(self, old: Json, new: Json) -> Iterator[ContractChange]:
        if old is None and new is None:
            return
        if new is None or old is None:
            gone, added = self.change("request", "the body is gone", "both"), "the body is new"
            yield gone if new is None else self.change("request", added, "both")
            return
        before, after = _resolved(old, self.old), _resolved(new, self.new)
        if before.get("required", False) != after.get("required", False):
            yield self.change("request", *_requirement(after.get("required", False)))
        yield from self.contents("request", before, after, _TAKEN)

    def answers(self, before: _Schema, after: _Schema) -> Iterator[ContractChange]:
        before = {str(status): each for status, each in before.items()}
        after = {str(status): each for status, each in after.items()}
        for status in before.keys() - after.keys():
            yield self.change(f"answer {status}", "it is gone", "both" if status[0] == "2" else "servers")
        for status in after.keys() - before.keys():
            yield self.change(f"answer {status}", "it is new", "clients" if status[0] in "23" else "nobody")
        for status in before.keys() & after.keys():
            old, new = _resolved(before[status], self.old), _resolved(after[status], self.new)
            yield from self.contents(f"answer {status}", old, new, _GIVEN)
            yield from self.headers(f"answer {status}", old.get("headers", {}), new.get("headers", {}))

    def headers(self, part: str, before: _Schema, after: _Schema) -> Iterator[ContractChange]:
        old = {name.lower(): _resolved(each, self.old) for name, each in before.items()}
        new = {name.lower(): _resolved(each, self.new) for name, each in after.items()}
        for name in old.keys() - new.keys():
            yield self.change(part, f"the header {quoted(name)} is gone", "clients")
        for name in new.keys() - old.keys():
            breaks: Breaks = "servers" if new[name].get("required") else "nobody"
            yield self.change(part, f"the header {quoted(name)} is new", breaks)
        for name in old.keys() & new.keys():
            place = f"{part}, header {name}"
            yield from self.schemas(place, old[name].get("schema", {}), new[name].get("schema", {}), _GIVEN)

    def contents(
        self, part: str, before: _Schema, after: _Schema, breaks: Mapping[_Way, Breaks]
    ) -> Iterator[ContractChange]:
        old, new = before.get("content", {}), after.get("content", {})
        for media in old.keys() - new.keys():
            yield self.change(part, f"the media type {quoted(media)} is gone", breaks["less"])
        for media in new.keys() - old.keys():
            yield self.change(part, f"the media type {quoted(media)} is new", breaks["more"])
        for media in old.keys() & new.keys():
            name = part if media == "application/json" else f"{part}, {media}"
            yield from self.schemas(name, old[media].get("schema", {}), new[media].get("schema", {}), breaks)
            yield from self.schemas(f"{name} event", _of_events(old[media]), _of_events(new[media]), breaks)
        if before.get("description") != after.get("description"):
            yield self.change(part, "its description changed", "nobody")

    def schemas(
        self, part: str, old: Json, new: Json, breaks: Mapping[_Way, Breaks]
    ) -> Iterator[ContractChange]:
        for pointer, way, told in self.comparison.differences(old, new):
            yield self.change(part, told, breaks[way], pointer)


def _of_events(media: _Schema) -> Json:
    """The schema of a stream's events, as OpenAPI 3.2 says it, or our document."""
    return media.get("itemSchema", media.get("x-event-schema", True))


_TAKEN: Mapping[_Way, Breaks] = {
    "less": "clients",
    "more": "servers",
    "other": "both",
    "words": "nobody",
    "gone": "clients",
    "unsaid": "nobody",
}
"""What clients send: how a schema differs → whom that breaks."""
_GIVEN: Mapping[_Way, Breaks] = {**_TAKEN, "less": "servers", "more": "clients", "unsaid": "clients"}
"""What servers send."""


def _requirement(now: bool) -> tuple[str, Breaks]:
    return ("it is required now", "clients") if now else ("it is optional now", "servers")


def _canonical(value: Json) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


_Difference = tuple[str, _Way, str]
"""A pointer, whether the new schema allows less, more or something else there, and what changed."""


class _Comparison:
    """Compares schemas of two documents, each pair of them once; one that is under way has no differences."""

    def __init__(self, old: Json, new: Json) -> None:
        self.old, self.new = old, new
        self.known: dict[tuple[int, int], Sequence[_Difference]] = {}
        self.kept: list[Json] = []
        """What `known` goes by the `id` of."""

    def differences(self, old: Json, new: Json) -> Sequence[_Difference]:
        targets = _target(old, self.old), _target(new, self.new)
        pair = id(targets[0]), id(targets[1])
        if pair not in self.known:
            self.known[pair] = ()
            self.kept += targets
            before, after = _plain(_resolved(old, self.old)), _plain(_resolved(new, self.new))
            self.known[pair] = tuple(dict.fromkeys(self.compared(before, after)))
        beside = _beside(_plain(old), _plain(new)) if _is_reference(old) and _is_reference(new) else ()
        return (*self.known[pair], *(("", way, told) for way, told in beside))

    def compared(self, old: _Schema, new: _Schema) -> Iterator[_Difference]:
        yield from (("", way, told) for way, told in _documentation(old, new))
        if extreme := _extreme(old, new):
            yield "", *extreme
            return
        if _is_union(old) or _is_union(new):
            yield from self.branches(_options(old), _options(new), ("less", "more"))
            return
        for rule in (_types, _values, _bounds, _only, _required, _others):
            yield from (("", way, told) for way, told in rule(old, new))
        yield from self.members(old, new)
        yield from self.items(old, new)
        yield from self.branches(old.get("allOf", []), new.get("allOf", []), ("more", "less"))

    def members(self, old: _Schema, new: _Schema) -> Iterator[_Difference]:
        """What an open object gains was allowed before; what it loses is `unsaid` now, and allowed still."""
        before, after = old.get("properties", {}), new.get("properties", {})
        for name in sorted(before.keys() | after.keys()):
            place = f"/{pointer_step(name)}"
            if name not in after:
                yield place, "gone" if _is_closed(new) else "unsaid", "the property is gone"
            elif name not in before:
                yield place, "more" if _is_closed(old) else "words", "the property is new"
            else:
                yield from self.below(place, before[name], after[name])
        closed = _is_closed(old), _is_closed(new)
        if closed[0] != closed[1]:
            told = "other properties are refused now" if closed[1] else "other properties are allowed now"
            yield "", "less" if closed[1] else "more", told
        elif not closed[0]:
            yield from self.below("/*", *(each.get("additionalProperties", True) for each in (old, new)))

    def items(self, old: _Schema, new: _Schema) -> Iterator[_Difference]:
        yield from self.below("/*", old.get("items", True), new.get("items", True))
        before, after = old.get("prefixItems", []), new.get("prefixItems", [])
        for number, (one, other) in enumerate(zip_longest(before, after, fillvalue=True)):
            yield from self.below(f"/{number}", one, other)

    def below(self, step: str, old: Json, new: Json) -> Iterator[_Difference]:
        for pointer, way, told in self.differences(old, new):
            yield f"{step}{pointer}", way, told

    def branches(self, old: list[Json], new: list[Json], ways: tuple[_Way, _Way]) -> Iterator[_Difference]:
        """Branches are paired by what tells them apart; the rest are gone or new, in these ways."""
        before, after = self.flat(old, self.old), self.flat(new, self.new)
        pairs, gone, added = _paired(before, after)
        for one in gone:
            yield "", ways[0], f"it is no longer {_named(one)}"
        for other in added:
            yield "", ways[1], f"it may be {_named(other)}"
        for one, other in pairs:
            yield from self.differences(one, other)

    def flat(self, options: list[Json], document: Json) -> list[tuple[Json, _Schema]]:
        """Each option with what it refers to, those of unions within unions too."""
        found = []
        for option in options:
            whole = _plain(_resolved(option, document))
            if whole != _NOTHING:
                found += self.flat(_options(whole), document) if _is_union(whole) else [(option, whole)]
        return found


_Branch = tuple[Json, _Schema]
"""A branch as it stands, and what it refers to."""


def _paired(
    before: list[_Branch], after: list[_Branch]
) -> tuple[list[tuple[Json, Json]], list[_Schema], list[_Schema]]:
    """Pairs of branches that are most alike, and those of each side that are left."""
    left, right, pairs = list(before), list(after), []
    for likeness in (_are_equal, _share_labels, _share_types, _overlap):
        for one in list(left):
            other = next((each for each in right if likeness(one[1], each[1])), None)
            if other is not None:
                pairs.append((one[0], other[0]))
                left.remove(one)
                right.remove(other)
    return pairs, [each for _, each in left], [each for _, each in right]


def _are_equal(old: _Schema, new: _Schema) -> bool:
    return _canonical(old) == _canonical(new)


def _share_labels(old: _Schema, new: _Schema) -> bool:
    return bool(_labels(old) & _labels(new))


def _share_types(old: _Schema, new: _Schema) -> bool:
    told_apart = bool(_labels(old) and _labels(new))
    return not told_apart and sorted(_types_of(old)) == sorted(_types_of(new))


def _overlap(old: _Schema, new: _Schema) -> bool:
    told_apart = bool(_labels(old) and _labels(new))
    return not told_apart and bool(set(_types_of(old)) & set(_types_of(new)))


_NOTHING: _Schema = {"not": {}}


def _target(schema: Json, document: Json) -> Json:
    """The object that stands for a schema: what a reference leads to, else itself."""
    return _resolved({"$ref": schema["$ref"]}, document) if _is_reference(schema) else schema


def _is_reference(schema: Json) -> bool:
    return isinstance(schema, dict) and "$ref" in schema


def _plain(schema: Json) -> _Schema:
    """A schema as a mapping: True allows anything, False nothing; `nullable` is written out."""
    if isinstance(schema, bool):
        return {} if schema else _NOTHING
    if schema.get("nullable") is True and "type" in schema:
        schema = {**schema, "type": [*_types_of(schema), "null"]}
    return dict(schema)


def _is_union(schema: _Schema) -> bool:
    """Whether a schema's branches, if any, are more than demands that one of some members is there."""
    options = schema.get("anyOf") or schema.get("oneOf") or []
    return any(_plain(option).keys() != {"required"} for option in options)


def _options(schema: _Schema) -> list[Json]:
    """The branches of a union; of any other schema, itself."""
    found: list[Json] = schema.get("anyOf") or schema.get("oneOf") or []
    return found or [schema]


def _extreme(old: _Schema, new: _Schema) -> tuple[_Way, str] | None:
    """What changed where one of two schemas allows anything or nothing; None where neither does."""
    if _is_anything(new) or old == _NOTHING:
        return None if _is_anything(old) or new == _NOTHING else ("more", "any value is allowed now")
    if _is_anything(old) or new == _NOTHING:
        return "less", "nothing is allowed now" if new == _NOTHING else "only some values are allowed now"
    return None


def _is_anything(schema: _Schema) -> bool:
    """Whether a schema allows any value."""
    return all(name in _WORDS or name.startswith("x-") or name == "default" for name in schema)


def _is_closed(schema: _Schema) -> bool:
    return schema.get("additionalProperties") is False


def _types_of(schema: _Schema) -> list[str]:
    named = schema.get("type", [])
    return [named] if isinstance(named, str) else list(named)


def _labels(schema: _Schema) -> frozenset[tuple[str, str]]:
    """The properties of an object that have one possible value, such as `role`."""
    found = set()
    for name, each in schema.get("properties", {}).items():
        values = (
            each.get("enum", [each["const"]] if "const" in each else []) if isinstance(each, dict) else []
        )
        if len(values) == 1:
            found.add((name, str(values[0])))
    return frozenset(found)


def _named(schema: _Schema) -> str:
    """A branch in a few words."""
    labels = sorted(_labels(schema))
    if labels:
        return f"an object whose {labels[0][0]} is {quoted(labels[0][1])}"
    if "enum" in schema:
        return f"one of {quoted_names([str(each) for each in schema['enum']])}"
    return listed([f"{name}" for name in _types_of(schema)], "or") or "anything"


# Rules: each yields whether the new schema allows less, more or something else, and what changed.

_Told = Iterator[tuple[_Way, str]]


def _types(old: _Schema, new: _Schema) -> _Told:
    before, after = _allowed(old), _allowed(new)
    if before == after:
        return
    way: _Way = "less" if after < before else "more" if before < after else "other"
    yield way, f"the type was {_kinds(old)}, and is {_kinds(new)}"


def _allowed(schema: _Schema) -> frozenset[str]:
    every = {"string", "number", "integer", "boolean", "object", "array", "null"}
    named = set(_types_of(schema)) or every
    return frozenset(named | {"integer"} if "number" in named else named)


def _kinds(schema: _Schema) -> str:
    return listed(sorted(_types_of(schema)), "or") or "any"


def _values(old: _Schema, new: _Schema) -> _Told:
    before, after = (
        {_canonical(each) for each in way["enum"]} if "enum" in way else None for way in (old, new)
    )
    if before == after:
        return
    if before is None or after is None:
        yield (
            ("less", "only some values are allowed now")
            if before is None
            else ("more", "any value is allowed now")
        )
        return
    for gone in sorted(before - after):
        yield "less", f"the value {shown(orjson.loads(gone))} is gone"
    for added in sorted(after - before):
        yield "more", f"the value {shown(orjson.loads(added))} is new"


def _bounds(old: _Schema, new: _Schema) -> _Told:
    for names, sign in ((_LOWER, 1), (_UPPER, -1)):
        for name in names:
            before, after = old.get(name), new.get(name)
            if before == after:
                continue
            tighter = after is not None and (before is None or sign * after > sign * before)
            told = f"{name} was {_number(before)}, and is {_number(after)}"
            yield "less" if tighter else "more", told


def _number(value: Json) -> str:
    return "not there" if value is None else f"{value}"


def _only(old: _Schema, new: _Schema) -> _Told:
    for name in _ONLY:
        before, after = old.get(name), new.get(name)
        if before != after:
            way: _Way = "less" if before is None else "more" if after is None else "other"
            yield way, f"{name} {'is new' if before is None else 'is gone' if after is None else 'changed'}"


def _required(old: _Schema, new: _Schema) -> _Told:
    before, after = set(old.get("required", ())), set(new.get("required", ()))
    for name in sorted(after - before):
        yield "less", f"{quoted(name)} is required now"
    for name in sorted(before - after):
        yield "more", f"{quoted(name)} is no longer required"


_TOLD_ELSEWHERE = frozenset(
    (*_LOWER, *_UPPER, *_ONLY, *_WORDS, *("type", "enum", "required", "properties", "additionalProperties"))
) | {"items", "prefixItems", "allOf", "anyOf", "oneOf", "default", "$ref", "nullable", "$defs", "$comment"}


def _others(old: _Schema, new: _Schema) -> _Told:
    """Any other keyword, of which nothing is known but that it changed."""
    names = old.keys() | new.keys()
    for name in sorted(names - _TOLD_ELSEWHERE):
        if not name.startswith("x-") and old.get(name) != new.get(name):
            yield "other", f"{name} changed"


def _beside(old: _Schema, new: _Schema) -> _Told:
    """What changed beside two references: words alone; all else is compared where they lead."""
    return _documentation(old, new)


def _documentation(old: _Schema, new: _Schema) -> _Told:
    names = {name for name in old.keys() | new.keys() if name in _WORDS or name.startswith("x-")}
    changed = sorted(name for name in names | {"default"} if old.get(name) != new.get(name))
    if changed:
        yield "words", f"{listed(changed, 'and')} changed"
