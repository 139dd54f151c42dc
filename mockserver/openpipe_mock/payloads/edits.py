"""Edits that each break one rule of a valid request; together they cover all that the contract forbids.

The list follows from `openapi.yaml` alone, in its order, and is the same on every machine. An edited body is
invalid also once it is tidied (`Checker.tidy`).

    for edit in edits("judge"):
        send(edit.apply(edit.base))    # has to be refused: edit.rule is broken at edit.pointer
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import orjson

from openpipe_mock.core.levels import weaker
from openpipe_mock.core.pointers import pointer_to
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
    put,
    resolve_path,
    spots,
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
"""JSON type → the value of that type that is put where the type isn't allowed."""

_CLIENTS_RELY_ON = frozenset(("chat.messages.missing", "chat.model.missing"))
"""The edits of a chat request that have to be refused, beside those of a role: see `_level`."""

_SCALARS = frozenset(("string", "number", "integer", "boolean", "null"))


@dataclass(frozen=True, slots=True)
class Edit:
    """One change that makes a valid body invalid.

    `name` is stable and dotted. `rule` is the schema keyword that breaks, `component` the schema that has it,
    `level` the source class of refusing it. `pointer` is the place of the violation in `apply(base)`;
    `pointer_in(body)` gives it for another body.

    `lenient`: a server may accept this all the same, since the real one strips unknown members and coerces
    the scalars at the top of a body. Report such a server, don't fail it.

    An edit of a header doesn't change the body: `header` is the header's name, `text` its broken value.
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
        """Where the edit changes a body: the first place that its route leads to, None if there is none."""
        if self.key is None:
            return ()
        kind = list if self.key.name == ITEM else dict
        owners = (path for path in resolve_path(body, self.route) if isinstance(at(body, path), kind))
        owner = next(owners, None)
        return None if owner is None else (*owner, self.last(self.key))

    def last(self, key: Step) -> str | int:
        """The last step of the place: a member's name, a map's key, or 0 in an array, even an empty one."""
        return 0 if key.name == ITEM else key_of(self.route) if key.name == VALUE else key.name

    def fits(self, body: Json) -> bool:
        """Whether the body has a place for this edit."""
        return self.place(body) is not None

    def found(self, body: Json) -> Path:
        """Where the edit changes a body. Raises ValueError if it doesn't fit."""
        place = self.place(body)
        if place is None:
            raise ValueError(
                f"{self.name} finds nothing to change in this body; `edit.base` has what it needs"
            )
        return place

    def pointer_in(self, body: Json) -> str:
        """The JSON pointer of the violation in `apply(body)`. Raises ValueError if the edit doesn't fit."""
        return pointer_to(*self.found(body))

    def apply(self, body: Json) -> Json:
        """An invalid copy of a valid body. Raises ValueError if the edit doesn't fit."""
        place = self.found(body)
        if self.header:
            return orjson.loads(orjson.dumps(body))
        return put(body, place, orjson.loads(self.text)) if self.text else without(body, place)


@cache
def edits(endpoint: str) -> tuple[Edit, ...]:
    """Every edit of a request's body, for "judge" or "chat". Raises KeyError for any other endpoint."""
    return component_edits(REQUEST_COMPONENTS[endpoint], endpoint)


@cache
def header_edits() -> tuple[Edit, ...]:
    """Every edit of a chat request's headers.

    No source says what a service answers to a broken header, so each edit is a `decision`.
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


def component_edits(component: str, endpoint: str) -> tuple[Edit, ...]:
    """The edits of any component, in the document's order. Their names begin with `endpoint`."""
    found = (edit for spot in spots(component) for edit in edits_at(spot))
    return tuple(_finished(edit, component, endpoint) for edit in found)


def edits_at(spot: Spot) -> Iterator[Edit]:
    """The edits of one spot: of its value, then of the objects that it allows."""
    yield from _replaced(spot)
    for branch in spot.branches():
        if "properties" in branch.schema:
            yield from _left_out(branch)
            yield from _added(branch)


_Change = tuple[str, str, Json]
"""A change of a spot's value: the last part of the edit's name, the broken rule, the new value."""


def _wrong_types(spot: Spot) -> Iterator[_Change]:
    """A value of each JSON type that the spot doesn't allow; no null where null counts as absent."""
    taken = spot.types()
    rule = "anyOf" if "anyOf" in spot.schema else "type"
    for name, value in _WRONG.items():
        if name in taken or (name == "null" and spot.absent) or (name == "number" and "integer" in taken):
            continue
        yield f"type-{name}", rule, value
    if "integer" in taken:
        yield "type-fraction", rule, 1.5


def _wrong_words(spot: Spot) -> Iterator[_Change]:
    """Words that an enum lacks: its first one in another case, the empty one, an unknown one."""
    branches = [branch.schema for branch in opened(spot) if "string" in branch.types()]
    if not branches or not all("enum" in schema for schema in branches):
        return
    words = [word for schema in branches for word in schema["enum"] if isinstance(word, str)]
    for name, word in (("case", words[0].capitalize()), ("empty", ""), ("unknown", "unheard-of")):
        if word not in words:
            yield f"enum-{name}", "enum", word


def _beyond(keyword: str, broken: Callable[[Any], Json]) -> Callable[[Spot], Iterator[_Change]]:
    """A function that yields a value just beyond the bound in `keyword`."""

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
"""Keyword → what breaks it with another value. `_left_out` and `_added` break keywords of objects."""

_SOURCES = ("x-source", "x-source-additional", "x-source-null")
_SPEAKING = ("default", "description", "title", "examples", "$comment", *_SOURCES)
_HARMLESS = frozenset(("anyOf", "properties", "items", "required", "additionalProperties", *_SPEAKING))
"""Keywords that forbid nothing by themselves, and those that `_left_out` and `_added` break."""


def _changes(spot: Spot) -> Iterator[_Change]:
    """All changes of a spot. Raises ValueError for a keyword that no change here breaks."""
    for branch in (spot, *opened(spot)):
        strange = branch.schema.keys() - _BREAKS.keys() - _HARMLESS
        if strange:
            place = ".".join(map(str, spot.route))
            raise ValueError(f"{place}: no edit breaks {', '.join(sorted(strange))}; add it to edits.BREAKS")
    for change in _BREAKS.values():
        yield from change(spot)


def _replaced(spot: Spot) -> Iterator[Edit]:
    """Edits that put another value in the spot's place."""
    above, key = (spot.route[:-1], spot.route[-1]) if spot.route else ((), None)
    coerced = not above and spot.types() <= _SCALARS
    for name, rule, value in _changes(spot):
        text = orjson.dumps(value).decode()
        lenient = coerced and rule == "type"
        yield Edit(_dotted(spot, name), rule, spot.component, spot.level, above, key, text, lenient)


def _left_out(branch: Spot) -> Iterator[Edit]:
    """Edits that leave out a required member."""
    for name in branch.schema.get("required", ()):
        dotted = _dotted(branch, f"{name}.missing")
        yield Edit(dotted, "required", branch.component, branch.level, branch.route, Step(name))


def _added(branch: Spot) -> Iterator[Edit]:
    """The edit that adds an unknown member to a closed object."""
    rule = "additionalProperties"
    if branch.schema.get(rule, True) is False:
        level = weaker(branch.level, branch.additional())
        text = orjson.dumps(UNEXPECTED).decode()
        name = _dotted(branch, "additional")
        yield Edit(name, rule, branch.component, level, branch.route, Step(UNKNOWN), text, lenient=True)


def _dotted(spot: Spot, name: str) -> str:
    return ".".join([*map(str, spot.route), name])


def _finished(edit: Edit, component: str, endpoint: str) -> Edit:
    """The edit with its full name, its endpoint and its pointer."""
    lenient = edit.lenient and component in REQUEST_COMPONENTS.values()  # nobody strips and coerces answers
    name = f"{endpoint}.{edit.name}"
    edit = replace(edit, name=name, endpoint=endpoint, root=component, lenient=lenient)
    return replace(edit, level=_level(edit), pointer=edit.pointer_in(edit.base))


def _level(edit: Edit) -> str:
    """The source class of refusing an edited body. A chat server that takes more breaks no client."""
    about_role = edit.rule == "enum" and edit.key is not None and edit.key.name == "role"
    free = edit.root == REQUEST_COMPONENTS["chat"] and not about_role and edit.name not in _CLIENTS_RELY_ON
    return "decision" if free else edit.level


def _broken_texts(component: str, parameter: Schema) -> Iterator[tuple[str, str, str, str]]:
    """Name, rule, pointer in the header's JSON, and the header's broken text."""
    every = header_spots(component, parameter)
    if "contentSchema" not in parameter["schema"]:
        # no empty word: many servers take an empty header for none
        yield from ((name, rule, "", word) for name, rule, word in _wrong_words(every[0]) if word)
        return
    yield "no-json", "contentMediaType", "", "no JSON"
    for spot in every:
        value, place = holding_spot(every[0], spot)
        for name, rule, wrong in _changes(spot):
            text = orjson.dumps(put(value, place, wrong)).decode()
            yield _dotted(spot, name), rule, pointer_to(*place), text
