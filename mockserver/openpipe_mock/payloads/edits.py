"""Single edits of valid requests: all that the contract forbids, one at a time, from a table.

The list is read off `openapi.yaml` alone, in its order: no randomness, the same on every machine. Each edit
breaks one rule at one place, and a value that it was applied to is invalid however it is tidied.

    for edit in edits("judge"):
        send(edit.apply(edit.base))    # has to be refused: edit.rule is broken at edit.pointer
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import orjson

from openpipe_mock.openapi.shapes import Schema
from openpipe_mock.payloads.places import (
    ITEM,
    VALUE,
    Path,
    Spot,
    Step,
    ValuePath,
    at,
    key_of,
    opened,
    pointer,
    put,
    resolve_path,
    spots,
    weaker,
    without,
)
from openpipe_mock.payloads.valid import (
    REQUEST_COMPONENTS,
    header_spots,
    holding_spot,
    parameters,
    smallest_body,
)
from openpipe_mock.payloads.values import UNEXPECTED, UNKNOWN

Json = Any

_WRONG: Mapping[str, Json] = {
    "number": 7,
    "string": "text",
    "boolean": True,
    "array": ["text"],
    "object": {"key": "value"},
    "null": None,
}
"""JSON type → a value of it, for places that don't take it."""

_SCALARS = frozenset(("string", "number", "integer", "boolean", "null"))


@dataclass(frozen=True, slots=True)
class Edit:
    """One change that makes a valid body invalid.

    `name` is stable and dotted. `rule` is the schema keyword that breaks, `component` the schema that it
    stands in, `level` the source class of that keyword. `pointer` says where the violation is in
    `apply(base)`; `pointer_in(body)` says it for another body.

    `lenient`: a service may accept this all the same, since the real one strips unknown members and coerces
    the scalars at the top of a body. Report such a server, don't fail it.

    An edit of a header leaves the body alone: `header` is its name, `text` its broken value.
    """

    name: str
    rule: str
    component: str = field(repr=False)
    level: str = field(repr=False)
    route: ValuePath = field(default=(), repr=False)
    key: Step | None = field(default=None, repr=False)
    text: str = field(default="", repr=False)
    lenient: bool = field(default=False, repr=False)
    endpoint: str = field(default="", repr=False)
    root: str = field(default="", repr=False)
    pointer: str = ""
    header: str = field(default="", repr=False)

    @property
    def base(self) -> Json:
        """The smallest valid body that the edit fits, new each time."""
        return orjson.loads(
            smallest_body(self.root, self.route if self.key is None else (*self.route, self.key))
        )

    @property
    def headers(self) -> dict[str, str]:
        """The header that the edit breaks, by name; empty for an edit of the body."""
        return {self.header: self.text} if self.header else {}

    def place(self, body: Json) -> Path | None:
        """Where the edit changes a body: the first place that its route leads to; None without one."""
        if self.key is None:
            return ()
        kind = list if self.key.name == ITEM else dict
        owners = (path for path in resolve_path(body, self.route) if isinstance(at(body, path), kind))
        owner = next(owners, None)
        return None if owner is None else (*owner, self.last(self.key))

    def last(self, key: Step) -> str | int:
        """The member, or the first item, which comes into being in an empty array."""
        return 0 if key.name == ITEM else key_of(self.route) if key.name == VALUE else key.name

    def fits(self, body: Json) -> bool:
        """Whether the body has a place for this edit."""
        return self.place(body) is not None

    def found(self, body: Json) -> Path:
        """The place in a body. ValueError when it has none."""
        place = self.place(body)
        if place is None:
            raise ValueError(
                f"{self.name} finds nothing to change in this body; `edit.base` has what it needs"
            )
        return place

    def pointer_in(self, body: Json) -> str:
        """Where the violation will be, as a JSON pointer. ValueError when the edit doesn't fit the body."""
        return pointer(self.found(body))

    def apply(self, body: Json) -> Json:
        """A changed copy of a valid body; it is invalid. ValueError when the edit doesn't fit the body."""
        place = self.found(body)
        if self.header:
            return orjson.loads(orjson.dumps(body))
        return put(body, place, orjson.loads(self.text)) if self.text else without(body, place)


# What can be done to a spot. Each change yields name, rule, and the JSON that takes the value's place.

_Change = tuple[str, str, Json]


def _wrong_types(spot: Spot) -> Iterator[_Change]:
    """A value of each JSON type that the spot doesn't take; null only where null isn't the same as absent."""
    taken = spot.types()
    rule = "anyOf" if "anyOf" in spot.schema else "type"
    for name, value in _WRONG.items():
        if name in taken or (name == "null" and spot.absent) or (name == "number" and "integer" in taken):
            continue
        yield f"type-{name}", rule, value
    if "integer" in taken:
        yield "type-fraction", rule, 1.5


def _wrong_words(spot: Spot) -> Iterator[_Change]:
    """Neighbours of an enum's words: the first one in another case, no word, an unheard-of one."""
    branches = [branch.schema for branch in opened(spot) if "string" in branch.types()]
    if not branches or not all("enum" in schema for schema in branches):
        return
    words = [word for schema in branches for word in schema["enum"] if isinstance(word, str)]
    for name, word in (("case", words[0].capitalize()), ("empty", ""), ("unknown", "unheard-of")):
        if word not in words:
            yield f"enum-{name}", "enum", word


def _beyond(keyword: str, broken: Callable[[Any], Json]) -> Callable[[Spot], Iterator[_Change]]:
    """A change that goes just beyond the bound in `keyword`."""

    def change(spot: Spot) -> Iterator[_Change]:
        for branch in opened(spot):
            if keyword in branch.schema:
                yield keyword, keyword, broken(branch.schema[keyword])

    return change


_BREAKS: Mapping[str, Callable[[Spot], Iterator[_Change]]] = {
    "type": _wrong_types,
    "enum": _wrong_words,
    "minimum": _beyond("minimum", lambda limit: limit - 1),
    "maximum": _beyond("maximum", lambda limit: limit + 1),
    "minLength": _beyond("minLength", lambda limit: "x" * (limit - 1)),
    "maxLength": _beyond("maxLength", lambda limit: "x" * (limit + 1)),
}
"""Keyword → how to break it with another value. `required` and `additionalProperties` are broken below."""

_SPEAKING = ("default", "description", "title", "examples", "$comment", "x-source", "x-source-additional")
_HARMLESS = frozenset(("anyOf", "properties", "items", "required", "additionalProperties", *_SPEAKING))
"""Keywords that forbid nothing by themselves, or are broken otherwise."""


def _changes(spot: Spot) -> Iterator[_Change]:
    """All that may be put where the spot is. ValueError for a keyword that nobody knows how to break."""
    for branch in (spot, *opened(spot)):
        strange = branch.schema.keys() - _BREAKS.keys() - _HARMLESS
        if strange:
            place = ".".join(map(str, spot.route))
            raise ValueError(f"{place}: no edit breaks {', '.join(sorted(strange))}; add it to edits.BREAKS")
    for change in _BREAKS.values():
        yield from change(spot)


def edits_at(spot: Spot) -> Iterator[Edit]:
    """The edits of one spot: those of its value, then those of the objects that may stand there."""
    yield from _replaced(spot)
    for branch in spot.branches():
        if "properties" in branch.schema:
            yield from _left_out(branch)
            yield from _added(branch)


def _replaced(spot: Spot) -> Iterator[Edit]:
    """Another value in the spot's place."""
    above, key = (spot.route[:-1], spot.route[-1]) if spot.route else ((), None)
    coerced = not above and spot.types() <= _SCALARS
    for name, rule, value in _changes(spot):
        text = orjson.dumps(value).decode()
        lenient = coerced and rule == "type"
        yield Edit(_dotted(spot, name), rule, spot.component, spot.level, above, key, text, lenient)


def _left_out(branch: Spot) -> Iterator[Edit]:
    """An object without one of its required members."""
    for name in branch.schema.get("required", ()):
        told = _dotted(branch, f"{name}.missing")
        yield Edit(told, "required", branch.component, branch.level, branch.route, Step(name))


def _added(branch: Spot) -> Iterator[Edit]:
    """A closed object with a member that it doesn't know."""
    rule = "additionalProperties"
    if branch.schema.get(rule, True) is False:
        level = weaker(branch.level, branch.additional())
        text = orjson.dumps(UNEXPECTED).decode()
        name = _dotted(branch, "additional")
        yield Edit(name, rule, branch.component, level, branch.route, Step(UNKNOWN), text, lenient=True)


def _dotted(spot: Spot, name: str) -> str:
    return ".".join([*map(str, spot.route), name])


def component_edits(component: str, endpoint: str) -> tuple[Edit, ...]:
    """The edits of any component, in the order of the document; their names begin with `endpoint`."""
    found = (edit for spot in spots(component) for edit in edits_at(spot))
    return tuple(_finished(edit, component, endpoint) for edit in found)


def _finished(edit: Edit, component: str, endpoint: str) -> Edit:
    """An edit that knows its endpoint, and its place in its own base."""
    lenient = edit.lenient and component in REQUEST_COMPONENTS.values()  # nobody strips and coerces answers
    name = f"{endpoint}.{edit.name}"
    edit = replace(edit, name=name, endpoint=endpoint, root=component, lenient=lenient)
    return replace(edit, pointer=edit.pointer_in(edit.base))


@cache
def edits(endpoint: str) -> tuple[Edit, ...]:
    """Every edit of the body of a request, for "judge" or "chat"; KeyError for any other endpoint."""
    return component_edits(REQUEST_COMPONENTS[endpoint], endpoint)


@cache
def header_edits() -> tuple[Edit, ...]:
    """Every edit of a chat request's headers.

    What a service answers to such a header is nowhere said, so each of them is a `decision`.
    """
    return tuple(
        Edit(
            f"chat.{parameter['name']}.{name}",
            rule,
            component,
            "decision",
            text=text,
            endpoint="chat",
            root=REQUEST_COMPONENTS["chat"],
            pointer=place,
            header=parameter["name"],
        )
        for component, parameter in parameters()
        for name, rule, place, text in _broken_texts(component, parameter)
    )


def _broken_texts(component: str, parameter: Schema) -> Iterator[tuple[str, str, str, str]]:
    """Name, rule, pointer in the header's JSON, and the header's broken text."""
    every = header_spots(component, parameter)
    if "contentSchema" not in parameter["schema"]:
        # an empty header is as good as none for many servers
        yield from ((name, rule, "", word) for name, rule, word in _wrong_words(every[0]) if word)
        return
    yield "no-json", "contentMediaType", "", "no JSON"
    for spot in every:
        value, place = holding_spot(every[0], spot)
        for name, rule, wrong in _changes(spot):
            yield _dotted(spot, name), rule, pointer(place), orjson.dumps(put(value, place, wrong)).decode()
