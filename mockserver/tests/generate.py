"""Values for a schema of openapi.yaml, right ones and broken ones, drawn by hypothesis."""

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any, get_args

from hypothesis import settings
from hypothesis import strategies as st

from openpipe_mock.config.settings import Validation
from openpipe_mock.openapi.shapes import types
from openpipe_mock.openapi.spec import contract
from tests.profiles import examples

Json = Any
Strategy = st.SearchStrategy[Any]
Path = tuple[str | int, ...]
VALIDATIONS: tuple[Validation, ...] = get_args(Validation)

thorough = settings(max_examples=examples(150))
brief = settings(thorough, max_examples=examples(60))

ODD_TEXTS = (
    "",
    "null",
    "assistant",
    "😀 astral",
    "e\u0301 combining, \u202e turned",
    'quote " backslash \\ slash / tilde ~',
    "\x00\x1f\x7f\u2028\n",
    "long " * 100,
)
texts: Strategy = st.sampled_from(ODD_TEXTS) | st.text(max_size=12)
whole_numbers: Strategy = st.sampled_from([0, 1, -1, 2**53 + 1, -(2**63), 2**64 - 1]) | st.integers(-9, 9)
numbers: Strategy = (
    whole_numbers
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from([0.1, -0.0, 1.0, 1e300, 5e-324])
)
scalars: Strategy = st.none() | st.booleans() | numbers | texts
anything: Strategy = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
"""Any JSON value."""

BY_TYPE: Mapping[str, Strategy] = {
    "null": st.none(),
    "boolean": st.booleans(),
    "integer": whole_numbers,
    "number": numbers,
    "string": texts,
}


@cache
def valid(component: str) -> Strategy:
    """Values of a component schema."""
    return values(contract().document["components"]["schemas"][component])


def values(schema: Mapping[str, Any]) -> Strategy:
    """Values of a schema: of a type or an enum, of one branch of an `anyOf`, arrays and objects of such."""
    if "$ref" in schema:
        return st.deferred(lambda: valid(schema["$ref"].rpartition("/")[2]))
    if "anyOf" in schema:
        return st.one_of([values(branch) for branch in schema["anyOf"]])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if "minimum" in schema or "maximum" in schema:
        bounded = st.integers(schema.get("minimum", -5), schema.get("maximum", 200))
        return bounded | st.none() if "null" in types(schema) else bounded
    return st.one_of([of_type(name, schema) for name in types(schema)]) if types(schema) else anything


def of_type(name: str, schema: Mapping[str, Any]) -> Strategy:
    if name == "array":
        return st.lists(values(schema.get("items", {})), max_size=3)
    return objects(schema) if name == "object" else BY_TYPE[name]


def objects(schema: Mapping[str, Any]) -> Strategy:
    """Objects with the required members, some of the optional ones, and others where the schema is open."""
    members = {name: values(member) for name, member in schema.get("properties", {}).items()}
    required = {name: members[name] for name in schema.get("required", ())}
    optional = {name: members[name] for name in members if name not in required}
    declared = st.fixed_dictionaries(required, optional=optional)
    others = schema.get("additionalProperties", True)
    if others is False:
        return declared
    names = texts.filter(lambda name: name not in members)
    inner = values(others) if isinstance(others, Mapping) else anything
    extra = st.dictionaries(names, inner, max_size=0 if members and others is True else 2)
    surprising = extra | st.dictionaries(names, inner, max_size=2)
    return st.builds(lambda more, known: {**more, **known}, surprising, declared)


@cache
def broken(component: str) -> Strategy:
    """Values of a component schema after one to three edits in random places; a few stay valid."""
    return edited(valid(component))


@st.composite
def edited(draw: st.DrawFn, originals: Strategy) -> Json:
    """A value with random edits: see EDITS."""
    value = draw(originals)
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(list(places(value))))
        new = changed(value, path, draw(st.sampled_from(EDITS))(draw))
        value = None if new is GONE else new
    return value


def places(value: Json, path: Path = ()) -> Iterator[Path]:
    """Where something lies in a value: the value itself, its members, their members, …"""
    yield path
    if isinstance(value, dict | list):
        for step, child in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(child, (*path, step))


Change = Callable[[Json], Json]
GONE: Json = object()


def changed(value: Json, path: Path, change: Change) -> Json:
    """A copy of a value with the change made at one place; what is changed to GONE is left out."""
    if not path:
        return change(value)
    if isinstance(value, list):
        items = (changed(item, path[1:], change) if i == path[0] else item for i, item in enumerate(value))
        return [item for item in items if item is not GONE]
    members = (
        (name, changed(member, path[1:], change) if name == path[0] else member)
        for name, member in value.items()
    )
    return {name: member for name, member in members if member is not GONE}


def delete(_: st.DrawFn) -> Change:
    return lambda value: GONE


def add_member(draw: st.DrawFn) -> Change:
    name, member = draw(texts | st.just("contnet")), draw(anything)
    return lambda value: {**value, name: member} if isinstance(value, dict) else value


def rename_member(draw: st.DrawFn) -> Change:
    """Loses a letter of a member's name."""
    which = draw(st.integers(0, 5))

    def change(value: Json) -> Json:
        names = list(value) if isinstance(value, dict) else []
        lost = names[which % len(names)] if names else None
        return {name[:-1] if name == lost else name: value[name] for name in names} if names else value

    return change


def retag(draw: st.DrawFn) -> Change:
    """Another word, right or misspelt, for what tells the branches of a union apart."""
    tag = draw(st.sampled_from(["role", "type", "status"]))
    word = draw(st.sampled_from(["user", "tool", "assitant", "text", "functoin", "error", None, 1, ["user"]]))
    return lambda value: {**value, tag: word} if isinstance(value, dict) else value


def replace(draw: st.DrawFn) -> Change:
    other = draw(anything)
    return lambda value: other


CARELESS: tuple[Change, ...] = (str, bool, lambda value: [value], lambda value: None)
"""What a careless client makes of a value: its text, whether there is one, a list of it, null for it."""


def another_type(draw: st.DrawFn) -> Change:
    return draw(st.sampled_from(CARELESS))


EDITS: tuple[Callable[[st.DrawFn], Change], ...] = (
    delete,
    add_member,
    rename_member,
    retag,
    replace,
    another_type,
)
