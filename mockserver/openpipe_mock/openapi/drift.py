"""What changed between two versions of a contract, and whom each change breaks.

Documents are OpenAPI 3.x as plain data. References are followed, so that a renamed component or another order
of keys is no change. A request's schema that takes less breaks clients, one that takes more breaks servers;
of an answer's schema it is the other way round.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, zip_longest
from typing import Any, Literal

from openpipe_mock.core.pointers import pointer_step, steps_of
from openpipe_mock.core.wording import listed, quoted, quoted_names, shown

Json = Any
_Schema = Mapping[str, Any]
_Way = Literal["less", "more", "other", "words", "gone", "unsaid", "unserved"]
Breaks = Literal["clients", "servers", "both", "nobody"]


class BadDocument(ValueError):
    """A document with a `$ref` that can't be followed, or a part that is of no use."""


METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
_WORDS = frozenset(
    ("description", "title", "example", "examples", "deprecated", "summary", "externalDocs", "discriminator")
)
"""Keywords that say something to readers alone, as all that begin with `x-` do."""
_LOWER = (("minimum", "exclusiveMinimum"), *((f"min{what}",) for what in ("Length", "Items", "Properties")))
_UPPER = (("maximum", "exclusiveMaximum"), *((f"max{what}",) for what in ("Length", "Items", "Properties")))
_BOUNDS = frozenset(name for names in (*_LOWER, *_UPPER) for name in names)
_ONLY = ("pattern", "format", "multipleOf", "propertyNames", "not", "contains", "uniqueItems")
"""Keywords that only forbid: to add one is to allow less."""
_SAYS_NOTHING = {"minLength": 0, "minItems": 0, "minProperties": 0, "uniqueItems": False}
_MAPPINGS = ("paths", "responses", "content", "headers", "properties")
_LISTS = ("parameters", "security", "enum", "prefixItems", "allOf", "anyOf", "oneOf")
_FORMS: Mapping[str, tuple[type | tuple[type, ...], str]] = {
    **dict.fromkeys(_MAPPINGS, (dict, "a mapping")),
    **dict.fromkeys(_LISTS, (list, "a list")),
    **dict.fromkeys(_BOUNDS, ((int, float), "a number")),
    **dict.fromkeys(("in", "name"), (str, "a text")),
}
"""Member of a document's parts → what it has to be."""
_MOST = 1000
"""Differences of one schema that are told."""


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
    for name in sorted(before.keys() - after.keys()):
        yield ContractChange(name, "", "", "the operation is gone", "clients")
    for name in sorted(after.keys() - before.keys()):
        yield ContractChange(name, "", "", "the operation is new", "servers")
    for name, operation in before.items():
        if name in after:
            yield from dict.fromkeys(_Pair(name, old, new).changes(operation, after[name]))


def _operations(document: Json) -> dict[str, _Schema]:
    """`METHOD /path` → operation, with the parameters of its path, whose names don't count."""
    found: dict[str, _Schema] = {}
    for path, item in _checked(document).get("paths", {}).items():
        item = _checked(_resolved(item, document))
        shared = item.get("parameters", [])
        for method in METHODS:
            if method in item:
                operation = _checked(item[method])
                parameters = [*shared, *operation.get("parameters", [])]
                security = _ways(operation.get("security", document.get("security", [])), document)
                name = f"{method.upper()} {_nameless(path)}"
                found[name] = {**operation, "parameters": parameters, "security": security, "path": path}
    return found


def _ways(security: Sequence[Json], document: Json) -> set[frozenset[str]]:
    """The ways to authorise, each as what it demands; a scheme counts by what it is, not by its name."""
    components = document.get("components")
    schemes = components.get("securitySchemes") if isinstance(components, dict) else {}
    schemes = schemes if isinstance(schemes, dict) else {}
    found = set()
    for way in security or [{}]:
        demands = (
            (_resolved(schemes.get(name, name), document), scopes) for name, scopes in _checked(way).items()
        )
        found.add(frozenset(_canonical([_wordless(scheme), scopes]) for scheme, scopes in demands))
    return found


def _wordless(value: Json) -> Json:
    if not isinstance(value, dict):
        return value
    return {name: each for name, each in value.items() if name not in _WORDS and not name.startswith("x-")}


def _checked(value: Json) -> Any:
    """A part of a document whose members are what they have to be. Raises BadDocument."""
    if not isinstance(value, dict):
        raise BadDocument(f"a part of the document is {shown(value)}; expected a mapping")
    for name, (form, what) in _FORMS.items():
        if name in value and not isinstance(value[name], form):
            raise BadDocument(f"{quoted(name)} is {shown(value[name])}; expected {what}")
    return value


def _nameless(path: str) -> str:
    return "/".join("{}" if step.startswith("{") and step.endswith("}") else step for step in path.split("/"))


def _resolved(value: Json, document: Json) -> Json:
    """What a local reference leads to, with what stands beside it on top. Raises BadDocument."""
    seen = set()
    while isinstance(value, dict) and "$ref" in value:
        reference = value["$ref"]
        if reference in seen or not isinstance(reference, str) or not reference.startswith("#/"):
            raise BadDocument(f"the reference {shown(reference)} leads out of the document or to itself")
        seen.add(reference)
        target = _target(reference, document)
        beside = {name: each for name, each in value.items() if name != "$ref"}
        value = {**target, **beside} if beside and isinstance(target, dict) else target
    return value


def _target(reference: str, document: Json) -> Json:
    """What stands where a local reference leads. Raises BadDocument."""
    target = document
    for step in steps_of(reference.removeprefix("#")):
        target = target.get(step) if isinstance(target, dict) else None
    if not isinstance(target, dict | bool):
        raise BadDocument(f"the reference {quoted(reference)} leads nowhere")
    return target


@dataclass(frozen=True, slots=True)
class _Pair:
    """An operation that both documents have."""

    name: str
    old: Json
    new: Json

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

    def security(self, old: set[frozenset[str]], new: set[frozenset[str]]) -> Iterator[ContractChange]:
        """Who does more than a way demands is authorised too."""
        if not all(any(way <= each for way in new) for each in old):
            yield self.change("security", "a way to authorise is gone", "clients")
        if not all(any(way <= each for way in old) for each in new):
            yield self.change("security", "a way to authorise is new", "servers")

    # Parameters.

    def named(self, operation: _Schema, document: Json) -> dict[str, _Schema]:
        """Place and name of each parameter → the parameter; those of the path by their position."""
        found = {}
        for each in operation["parameters"]:
            each = _checked(_resolved(each, document))
            if "in" not in each or "name" not in each:
                raise BadDocument(f'a parameter of {self.name} lacks its "in" or its "name"')
            name = each["name"].lower() if each["in"] == "header" else each["name"]
            if each["in"] == "path":
                name = f"{operation['path'].partition(f'{{{name}}}')[0].count('{') + 1}"
            found[f"{each['in']} {name}"] = each
        return found

    def parameters(
        self, before: Mapping[str, _Schema], after: Mapping[str, _Schema]
    ) -> Iterator[ContractChange]:
        for name in sorted(before.keys() - after.keys()):
            yield self.change(name, "it is gone", "clients")
        for name in sorted(after.keys() - before.keys()):
            required = after[name].get("required", False)
            told = "it is new and required" if required else "it is new"
            yield self.change(name, told, "both" if required else "servers")
        for name in sorted(before.keys() & after.keys()):
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
        before, after = _checked(_resolved(old, self.old)), _checked(_resolved(new, self.new))
        if before.get("required", False) != after.get("required", False):
            yield self.change("request", *_requirement(after.get("required", False)))
        yield from self.contents("request", before, after, _TAKEN)

    def answers(self, before: _Schema, after: _Schema) -> Iterator[ContractChange]:
        before = {str(status): each for status, each in before.items()}
        after = {str(status): each for status, each in after.items()}
        for status in sorted(before.keys() - after.keys()):
            yield self.change(f"answer {status}", "it is gone", "both" if status[:1] == "2" else "servers")
        for status in sorted(after.keys() - before.keys()):
            yield self.change(
                f"answer {status}", "it is new", "clients" if status[:1] in ("2", "3") else "nobody"
            )
        for status in sorted(before.keys() & after.keys()):
            old = _checked(_resolved(before[status], self.old))
            new = _checked(_resolved(after[status], self.new))
            yield from self.contents(f"answer {status}", old, new, _GIVEN)
            yield from self.headers(f"answer {status}", old.get("headers", {}), new.get("headers", {}))

    def headers(self, part: str, before: _Schema, after: _Schema) -> Iterator[ContractChange]:
        old = {name.lower(): _checked(_resolved(each, self.old)) for name, each in before.items()}
        new = {name.lower(): _checked(_resolved(each, self.new)) for name, each in after.items()}
        for name in sorted(old.keys() - new.keys()):
            yield self.change(part, f"the header {quoted(name)} is gone", "clients")
        for name in sorted(new.keys() - old.keys()):
            breaks: Breaks = "servers" if new[name].get("required") else "nobody"
            yield self.change(part, f"the header {quoted(name)} is new", breaks)
        for name in sorted(old.keys() & new.keys()):
            place = f"{part}, header {name}"
            required = new[name].get("required", False)
            if old[name].get("required", False) != required:
                yield self.change(place, _requirement(required)[0], "servers" if required else "clients")
            yield from self.schemas(place, old[name].get("schema", {}), new[name].get("schema", {}), _GIVEN)

    def contents(
        self, part: str, before: _Schema, after: _Schema, breaks: Mapping[_Way, Breaks]
    ) -> Iterator[ContractChange]:
        old, new = before.get("content", {}), after.get("content", {})
        for media in sorted(old.keys() - new.keys()):
            yield self.change(part, f"the media type {quoted(media)} is gone", breaks["unserved"])
        for media in sorted(new.keys() - old.keys()):
            yield self.change(part, f"the media type {quoted(media)} is new", breaks["more"])
        for media in sorted(old.keys() & new.keys()):
            name = part if media == "application/json" else f"{part}, {media}"
            one, other = _checked(old[media]), _checked(new[media])
            yield from self.schemas(name, one.get("schema", {}), other.get("schema", {}), breaks)
            yield from self.schemas(f"{name} event", _of_events(one), _of_events(other), breaks)
        if before.get("description") != after.get("description"):
            yield self.change(part, "its description changed", "nobody")

    def schemas(
        self, part: str, old: Json, new: Json, breaks: Mapping[_Way, Breaks]
    ) -> Iterator[ContractChange]:
        for pointer, way, told in _Comparison(self.old, self.new).differences(old, new):
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
    "unserved": "clients",
}
"""What clients send: how a schema differs → whom that breaks."""
_GIVEN: Mapping[_Way, Breaks] = {
    **_TAKEN,
    "less": "servers",
    "more": "clients",
    "unsaid": "clients",
    "unserved": "both",
}
"""What servers send."""


def _requirement(now: bool) -> tuple[str, Breaks]:
    return ("it is required now", "clients") if now else ("it is optional now", "servers")


def _canonical(value: Json) -> str:
    return json.dumps(value, sort_keys=True)


_Difference = tuple[str, _Way, str]
"""A pointer, whether the new schema allows less, more or something else there, and what changed."""


class _Comparison:
    """Compares two schemas, and each pair below them once; one that is under way has no differences."""

    def __init__(self, old: Json, new: Json) -> None:
        self.old, self.new = old, new
        self.known: dict[tuple[_Key, _Key], Sequence[_Difference]] = {}
        self.kept: list[Json] = []
        """What `known` goes by the `id` of."""

    def differences(self, old: Json, new: Json) -> Sequence[_Difference]:
        pair = _key(old, self.old), _key(new, self.new)
        if pair not in self.known:
            self.known[pair] = ()
            self.kept += (old, new)
            found = dict.fromkeys(self.compared(_whole(old, self.old), _whole(new, self.new)))
            more = (("", "other", "more changed than is told"),) if len(found) > _MOST else ()
            self.known[pair] = (*islice(found, _MOST), *more)
        beside = _documentation(_plain(old), _plain(new)) if _is_reference(old) and _is_reference(new) else ()
        return (*self.known[pair], *(("", way, told) for way, told in beside))

    def compared(self, old: _Schema, new: _Schema) -> Iterator[_Difference]:
        yield from (("", way, told) for way, told in _documentation(old, new))
        if extreme := _extreme(old, new):
            yield "", *extreme
            return
        if _is_union(old) or _is_union(new):
            yield from self.branches([old], [new], ("less", "more"))
            return
        for rule in (_types, _values, _bounds, _only, _required, _demands, _others):
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

    def flat(self, options: list[Json], document: Json, seen: set[int] | None = None) -> list["_Branch"]:
        """Each option with what it refers to, those of unions within unions too; null by itself."""
        found: list[_Branch] = []
        seen = set() if seen is None else seen
        for option in options:
            whole = _whole(option, document)
            below = _options(whole)
            if whole == _NOTHING or (_is_union(whole) and id(below) in seen):
                continue
            if _is_union(whole):
                seen.add(id(below))
                rest = {name: each for name, each in _wordless(whole).items() if name not in _UNION}
                for branch, its in self.flat(below, document, seen):
                    joined = _joined(rest, its)
                    found.append((joined, joined) if rest else (branch, its))
            else:
                found += _without_null(option, whole)
        return found


_UNION = ("anyOf", "oneOf", "default", "nullable")
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


_Key = tuple[int, str]


def _key(schema: Json, document: Json) -> _Key:
    """What stands for a schema: where its references lead, and what stands beside them."""
    _resolved(schema, document)  # refuses references that lead to themselves
    beside: dict[str, Json] = {}
    while _is_reference(schema):
        beside, schema = {**schema, **beside}, _target(schema["$ref"], document)
    return id(schema), _canonical({name: each for name, each in _wordless(beside).items() if name != "$ref"})


def _whole(schema: Json, document: Json) -> _Schema:
    """A schema with what its reference, or its only part of `allOf`, says."""
    found, rounds = _plain(_resolved(schema, document)), 0
    while len(found.get("allOf", ())) == 1 and rounds < _MOST_WRAPS:
        rest = {name: each for name, each in found.items() if name != "allOf"}
        found, rounds = _joined(rest, _plain(_resolved(found["allOf"][0], document))), rounds + 1
    return found


_MOST_WRAPS = 50


def _joined(rest: _Schema, schema: _Schema) -> _Schema:
    """A schema with what stands beside it."""
    found = {**rest, **schema, **{name: each for name, each in rest.items() if name not in _wordless(rest)}}
    if "properties" in rest:
        found["properties"] = {**rest["properties"], **schema.get("properties", {})}
    if "required" in rest:
        found["required"] = [*_names_required(rest), *_names_required(schema)]
    return found


def _without_null(option: Json, whole: _Schema) -> list["_Branch"]:
    """An option, and null as one of its own where it is among others."""
    types = _types_of(whole)
    if "null" not in types or len(types) == 1:
        return [(option, whole)]
    rest = {**whole, "type": [name for name in types if name != "null"]}
    if "enum" in rest:
        rest["enum"] = [each for each in rest["enum"] if each is not None]
    return [(rest, rest), ({"type": "null"}, {"type": "null"})]


def _is_reference(schema: Json) -> bool:
    return isinstance(schema, dict) and "$ref" in schema


def _plain(schema: Json) -> _Schema:
    """A schema as a mapping: True allows anything, False nothing; `nullable` is written out."""
    if isinstance(schema, bool):
        return {} if schema else _NOTHING
    found = {
        name: each
        for name, each in _checked(schema).items()
        if name not in _SAYS_NOTHING or each != _SAYS_NOTHING[name]
    }
    if found.get("nullable") is True and "type" in found:
        found["type"] = [*_types_of(found), "null"]
    if "const" in found:
        found["enum"] = [found.pop("const")]
    for bound, strict in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
        if isinstance(found.get(strict), bool) and found.pop(strict) and bound in found:  # OpenAPI 3.0
            found[strict] = found.pop(bound)
    return found


def _is_union(schema: _Schema) -> bool:
    """Whether a schema's branches, if any, are more than demands that one of some members is there."""
    options = schema.get("anyOf") or schema.get("oneOf") or []
    return any(_plain(option).keys() != {"required"} for option in options)


def _options(schema: _Schema) -> list[Json]:
    """The branches of a union."""
    found: list[Json] = schema.get("anyOf") or schema.get("oneOf") or []
    return found


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
    names = [named] if isinstance(named, str) else named if isinstance(named, list) else []
    return [name for name in names if isinstance(name, str)]


def _labels(schema: _Schema) -> frozenset[tuple[str, str]]:
    """The properties of an object that have one possible value, such as `role`."""
    found = set()
    for name, each in schema.get("properties", {}).items():
        values = _plain(each).get("enum", ())
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
        yield "less", f"the value {shown(json.loads(gone))} is gone"
    for added in sorted(after - before):
        yield "more", f"the value {shown(json.loads(added))} is new"


def _bounds(old: _Schema, new: _Schema) -> _Told:
    for bounds, sign in ((_LOWER, 1), (_UPPER, -1)):
        for names in bounds:
            before, after = _bound(old, names, sign), _bound(new, names, sign)
            if before != after:
                tighter = after is not None and (before is None or after > before)
                told = f"{names[0]} was {_number(before, sign)}, and is {_number(after, sign)}"
                yield "less" if tighter else "more", told


def _bound(schema: _Schema, names: Sequence[str], sign: int) -> tuple[float, bool] | None:
    """The tightest of some bounds, the greater the tighter, and whether it excludes the value itself."""
    given = [(sign * schema[name], name.startswith("exclusive")) for name in names if name in schema]
    return max(given, default=None)


def _number(bound: tuple[float, bool] | None, sign: int) -> str:
    return f"{sign * bound[0]}{' (exclusive)' if bound[1] else ''}" if bound else "not there"


def _only(old: _Schema, new: _Schema) -> _Told:
    for name in _ONLY:
        before, after = old.get(name), new.get(name)
        if before != after:
            way: _Way = "less" if before is None else "more" if after is None else "other"
            yield way, f"{name} {'is new' if before is None else 'is gone' if after is None else 'changed'}"


def _required(old: _Schema, new: _Schema) -> _Told:
    before, after = set(_names_required(old)), set(_names_required(new))
    for name in sorted(after - before):
        yield "less", f"{quoted(name)} is required now"
    for name in sorted(before - after):
        yield "more", f"{quoted(name)} is no longer required"


def _names_required(schema: _Schema) -> list[str]:
    names = schema.get("required", [])
    return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []


def _demands(old: _Schema, new: _Schema) -> _Told:
    """What changed where one of some groups of members has to be there."""
    before, after = ({frozenset(_names_required(each)) for each in _options(way)} for way in (old, new))
    told = "which members have to be there, one or the other, changed"
    if after and not (before and before <= after):
        yield "less", told
    if before and not (after and after <= before):
        yield "more", told


_TOLD_ELSEWHERE = frozenset(
    (*_BOUNDS, *_ONLY, *_WORDS, *("type", "enum", "required", "properties", "additionalProperties"))
) | {"items", "prefixItems", "allOf", "anyOf", "oneOf", "default", "$ref", "nullable", "$defs", "$comment"}


def _others(old: _Schema, new: _Schema) -> _Told:
    """Any other keyword, of which nothing is known but that it changed."""
    names = old.keys() | new.keys()
    for name in sorted(names - _TOLD_ELSEWHERE):
        if not name.startswith("x-") and old.get(name) != new.get(name):
            yield "other", f"{name} changed"


def _documentation(old: _Schema, new: _Schema) -> _Told:
    names = {name for name in old.keys() | new.keys() if name in _WORDS or name.startswith("x-")}
    changed = sorted(name for name in names | {"default"} if old.get(name) != new.get(name))
    if changed:
        yield "words", f"{listed(changed, 'and')} changed"
