"""Explain why a value breaks a schema: one sentence for each violation, with what was expected and seen.

`jsonschema-rs` decides whether a value is valid; this module only explains, and a property test holds the
two together. A union is narrowed first by JSON type, then by `role`, `type` or `status`. So a tool message
is judged as a tool message, and nobody reads "not valid under any of the given schemas".

A schema may bring its own words, in keywords that editors read too: `patternErrorMessage` says what a pattern
expects, `errorMessage` what `const` expects or why a closed object has no other members, `goneMessages`
what to write in place of a word that an `enum` no longer has, and `rangeMessage` what runs from 0 to 1.
"""

from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache, partial
from itertools import islice
from typing import Any, TypeVar

import jsonschema_rs
import orjson

from openpipe_mock.core.errors import Violation
from openpipe_mock.core.pointers import pointer_step
from openpipe_mock.core.wording import (
    JSON_NOUNS,
    MOST_COUNTED,
    NUMBER,
    YAML_NOUNS,
    counted,
    did_you_mean,
    listed,
    nearest,
    quoted,
    short,
    shown,
)
from openpipe_mock.openapi.shapes import chooses, default_tag, label, resolve, tag_of, types, union

_Schema = Mapping[str, Any]
_Rule = Callable[["SchemaPlace", _Schema, Any], Iterator["Violation"]]

_Made = TypeVar("_Made")

DIALECT = "https://json-schema.org/draft/2020-12/schema"


@dataclass(frozen=True, slots=True)
class _Union:
    """The branches of a union.

    If a member tells its objects apart, `tag` is its name, `by_label` maps each of its values to a branch,
    `tags` is a schema of these values, and `default` what its absence means. Else `tag` is "".
    """

    branches: tuple[_Schema, ...]
    tag: str
    by_label: Mapping[str | None, _Schema]
    tags: _Schema
    default: str | None


def _union(schema: _Schema, document: _Schema) -> _Union:
    branches = tuple(union(schema, document))
    objects = [branch for branch in branches if "properties" in branch]
    tag = tag_of(objects, document) if len(objects) > 1 else ""
    labels = {label(branch, tag, document): branch for branch in objects} if tag else {}
    default = default_tag(objects, tag, document) if tag else None
    return _Union(branches, tag, labels, {"enum": list(labels)}, default)


@dataclass(slots=True)
class SchemaPlace:
    """A place in a value: the document that `$ref` points into, the JSON pointer, and a noun for sentences.

    `nouns`: what sentences call arrays and objects.

    `known` caches what was worked out for the document's schemas. Pass the same dict again for the same
    document, and no longer than the document lives.
    """

    # Keys of `known` contain the id() of a schema, which another object could have once the document is gone.
    document: _Schema
    pointer: str = ""
    noun: str = "the request body"
    known: dict[tuple[Callable[..., Any], int], Any] = field(default_factory=dict, compare=False)
    nouns: Mapping[str, str] = field(default_factory=lambda: JSON_NOUNS, compare=False)

    def at(self, step: str | int, noun: str = "") -> "SchemaPlace":
        """The place of a member or item; its noun is by default the step in quotes."""
        step = pointer_step(step)
        noun, pointer = noun or f'"{short(step)}"', f"{self.pointer}/{step}"
        return SchemaPlace(self.document, pointer, noun, self.known, self.nouns)

    def called(self, noun: str) -> "SchemaPlace":
        """The same place with another noun."""
        return SchemaPlace(self.document, self.pointer, noun, self.known, self.nouns)

    def once(self, work: Callable[[_Schema, _Schema], _Made], schema: _Schema) -> _Made:
        """What `work` makes of a schema and the document, cached."""
        made: _Made
        try:
            made = self.known[work, id(schema)]
        except KeyError:
            made = self.known[work, id(schema)] = work(schema, self.document)
        return made

    def mismatch(self, schema: _Schema, value: Any) -> str:
        """The sentence that says what a schema of the document accepts and what it got."""
        return f"expected {self.described(schema)}, got {self.got(schema, value)}."

    def described(self, schema: _Schema) -> str:
        """What a schema of the document accepts, in a few words."""
        return self.once(described if self.nouns is JSON_NOUNS else _described_in_yaml, schema)

    def got(self, schema: _Schema, value: Any) -> str:
        """The value, in words; not shown if the schema says that it is a secret (`writeOnly`)."""
        return "something else" if schema.get("writeOnly") else shown(value, self.nouns)

    def accepts(self, schema: _Schema, value: Any) -> bool:
        """Whether a value is valid, by a compiled validator."""
        # Much faster than to look for violations, and most items of a long list have none.
        return bool(self.once(_validator, schema).is_valid(value))


def _validator(schema: _Schema, document: _Schema) -> jsonschema_rs.Validator:
    parts = {name: document[name] for name in ("components", "$defs") if name in document}
    return jsonschema_rs.validator_for({"$schema": DIALECT, **schema, **parts})


@lru_cache(maxsize=256)
def _search(pattern: str) -> Callable[[Any], bool]:
    """A function that tells whether a pattern is found in a text, by the validator's regular expressions."""
    return _validator({"pattern": pattern}, {}).is_valid


def violations_of(schema: _Schema, value: Any, place: SchemaPlace) -> Iterator[Violation]:
    """Every violation of `schema` in `value`, in the order of the value; none if it is valid."""
    schema, is_union, names, rules = place.once(_plan, schema)
    if is_union:
        yield from _any_of(place, schema, value)
    elif not _fits_one(names, value):
        yield Violation(place.pointer, "type", partial(_other_type, place, schema, value))
    else:
        for rule in rules:
            yield from rule(place, schema, value)


def _other_type(place: SchemaPlace, schema: _Schema, value: Any) -> str:
    """The sentence about a value of another type; `numberMessage` says what to do with a number."""
    advice = (
        schema.get("numberMessage") if isinstance(value, NUMBER) and not isinstance(value, bool) else None
    )
    return place.mismatch(schema, value) + (f" {advice.format(number=_as_share(value))}." if advice else "")


@dataclass(frozen=True, slots=True)
class Findings:
    """The first violations of a value, and how many follow them."""

    shown: tuple[Violation, ...]
    more: int

    def issues(self) -> list[str]:
        """One sentence for each shown violation, and one that counts the rest."""
        rest = [f"and {_counted(self.more)} more"] if self.more else []
        return [*map(str, self.shown), *rest]

    def headline(self) -> str:
        """The first violation, and how many others there are."""
        others = len(self.shown) - 1 + self.more
        return f"{self.shown[0]}{f' (and {_counted(others)} more)' if others else ''}"


def gathered(violations: Iterator[Violation], most: int) -> Findings:
    """Take the first `most` violations and count the others, up to MOST_COUNTED."""
    shown = tuple(islice(violations, most))
    # Without a bound a body with a million mistakes would hold up all other requests.
    return Findings(shown, sum(1 for _ in islice(violations, MOST_COUNTED)))


def _counted(number: int) -> str:
    return str(number) if number < MOST_COUNTED else f"at least {MOST_COUNTED}"


def _any_of(place: SchemaPlace, schema: _Schema, value: Any) -> Iterator[Violation]:
    """Violations of the one branch for which the value was meant, as far as that can be told."""
    choice = place.once(_union, schema)
    if isinstance(value, dict) and choice.tag:
        yield from _tagged(place, choice, value)
        return
    branches = [branch for branch in choice.branches if _admits(branch, value)]
    if not branches:
        yield Violation(place.pointer, "anyOf", partial(place.mismatch, schema, value))
    elif len(branches) == 1 and "enum" in branches[0]:
        yield from _enum(place, branches[0], value, schema)
    elif len(branches) == 1:
        yield from violations_of(branches[0], value, place)
    else:
        # The branch with the fewest violations; each is listed only as far as `gathered` counts.
        most = 2 * MOST_COUNTED
        yield from min(
            (list(islice(violations_of(branch, value, place), most)) for branch in branches), key=len
        )


def _tagged(place: SchemaPlace, choice: _Union, value: dict[str, Any]) -> Iterator[Violation]:
    """Violations of the branch whose tag the object carries, or what is wrong with the tag."""
    tag, tags = choice.tag, choice.tags
    if tag not in value and choice.default:
        yield from violations_of(choice.by_label[choice.default], value, place)
    elif tag not in value:
        yield Violation(place.at(tag).pointer, "required", partial(_missing, place, tag, tags))
    elif not isinstance(value[tag], str):
        yield Violation(place.at(tag).pointer, "type", partial(place.mismatch, tags, value[tag]))
    elif value[tag] not in choice.by_label:
        yield from _enum(place.at(tag), tags, value[tag])
    else:
        noun = f'{_article(value[tag])} "{value[tag]}" {_NOUNS[tag]}'
        yield from violations_of(choice.by_label[value[tag]], value, place.called(noun))


def _article(word: str) -> str:
    return "an" if word[:1] in "aeio" else "a"  # "a user"


_NOUNS = {"role": "message", "type": "part", "status": "result", "provider": "training"}


def _required(place: SchemaPlace, schema: _Schema, value: Any) -> Iterator[Violation]:
    for name in schema["required"]:
        if isinstance(value, dict) and name not in value:
            member = schema.get("properties", {}).get(name, {})
            yield Violation(place.at(name).pointer, "required", partial(_missing, place, name, member))


def _missing(place: SchemaPlace, name: str, schema: _Schema) -> str:
    """The sentence about a missing member; `schema` is the member's."""
    expected = place.described(schema)
    return f"{place.noun} requires {quoted(name)} ({expected}), which is missing."


def _members(place: SchemaPlace, schema: _Schema, value: Any) -> Iterator[Violation]:
    """Violations in an object's members, declared and unknown, in the order of the body."""
    if not isinstance(value, dict):
        return
    declared = schema.get("properties", {})
    others, patterns = schema.get("additionalProperties", True), schema.get("patternProperties", {})
    for name, member in value.items():
        patterned = [branch for pattern, branch in patterns.items() if _search(pattern)(name)]
        for branch in patterned:
            yield from violations_of(branch, member, place.at(name))
        if name in declared:
            yield from violations_of(declared[name], member, place.at(name))
        elif patterned:
            continue
        elif others is False:
            gone = schema.get("goneMessages", {}).get(name, "")
            told = partial(_unknown, place, name, declared, schema.get("errorMessage", ""), gone)
            yield Violation(place.at(name).pointer, "additionalProperties", told)
        elif isinstance(others, Mapping):
            yield from violations_of(others, member, place.at(name))


def _unknown(place: SchemaPlace, name: str, known: Collection[str], message: str = "", gone: str = "") -> str:
    """The sentence about a member that a closed object doesn't declare; `known` are the declared ones.

    `gone`: what to write in place of this name.
    """
    near = nearest(name, list(known))
    elsewhere = place.once(_homes, place.document).get(name, ())
    if gone:
        advice = f"{gone}."
    elif near:
        advice = f"did you mean {quoted(near)}?"
    elif message:
        advice = f"{message}."
    elif elsewhere:
        advice = f"{quoted(name)} belongs in {listed(elsewhere, 'or')}."
    else:
        advice = f"it knows {listed(map(quoted, known), 'and')}."
    return f"unknown property in {place.noun}; {advice}"


def _homes(schema: _Schema, document: _Schema) -> Mapping[str, list[str]]:
    """Member → dotted paths of the objects that declare it, with `*` for a list's items and a map's values.

    An object that several places share is named by its shortest path. A member that is a `$ref` to another
    member isn't listed at its own place, only at that other one.
    """
    found: dict[str, list[str]] = {}
    for path, _ in declarations(document):
        home, _, name = path.rpartition(".")
        found.setdefault(name, []).append(home or "the file's top level")
    return found


def declarations(document: _Schema) -> Iterator[tuple[str, _Schema]]:
    """The dotted path and the schema of each member that a document's root or an object below it declares."""
    waiting, seen = deque([("", document)]), set()
    while waiting:
        path, schema = waiting.popleft()
        schema = resolve(schema, document)
        if id(schema) in seen:
            continue
        seen.add(id(schema))
        for name, member in schema.get("properties", {}).items():
            if "/properties/" not in member.get("$ref", ""):
                yield f"{path}.{name}".lstrip("."), member
                waiting.append((f"{path}.{name}".lstrip("."), member))
        waiting += [(path, branch) for branch in _branches(schema)]
        waiting += [(f"{path}.*", inner) for inner in _unnamed(schema)]


def _branches(schema: _Schema) -> Iterator[_Schema]:
    """The schemas inside `schema` that judge the whole value: those of `anyOf`, `then` and `else`."""
    yield from () if chooses(schema) else schema.get("anyOf", ())
    yield from (schema[keyword] for keyword in ("then", "else") if keyword in schema)


def _unnamed(schema: _Schema) -> Iterator[_Schema]:
    """The schemas of items, and of members without a fixed name."""
    yield from schema.get("patternProperties", {}).values()
    yield from (schema[key] for key in ("items", "additionalProperties") if isinstance(schema.get(key), dict))


def _items(place: SchemaPlace, schema: _Schema, value: Any) -> Iterator[Violation]:
    if isinstance(value, list):
        for index, item in enumerate(value):
            if not place.accepts(schema["items"], item):
                yield from violations_of(schema["items"], item, place.at(index, "this item"))


def _unique(place: SchemaPlace, schema: _Schema, value: Any) -> Iterator[Violation]:
    if isinstance(value, list) and len(set(map(orjson.dumps, value))) < len(value):
        yield Violation(place.pointer, "uniqueItems", "expected different items, got one twice.")


def _enum(
    place: SchemaPlace, schema: _Schema, value: Any, described_as: _Schema | None = None
) -> Iterator[Violation]:
    options = schema["enum"]
    if any(value == option and isinstance(value, bool) == isinstance(option, bool) for option in options):
        return
    yield Violation(place.pointer, "enum", partial(_misspelt, described_as or schema, value, options, place))


def _misspelt(schema: _Schema, value: Any, options: list[Any], place: SchemaPlace) -> str:
    """The sentence about a value that is none of the options, and what to do where it once was one."""
    gone = schema.get("goneMessages", {}).get(value) if isinstance(value, str) else None
    return place.mismatch(schema, value) + (f" {gone}." if gone else did_you_mean(value, options))


def _const(place: SchemaPlace, schema: _Schema, value: Any) -> Iterator[Violation]:
    option = schema["const"]
    if value != option or isinstance(value, bool) is not isinstance(option, bool):
        expected = schema.get("errorMessage", f"expected {place.described(schema)}")
        yield Violation(place.pointer, "const", f"{expected}, got {shown(value, place.nouns)}.")


def _pattern(place: SchemaPlace, schema: _Schema, value: Any) -> Iterator[Violation]:
    if isinstance(value, str) and not _search(schema["pattern"])(value):
        expected = schema.get("patternErrorMessage", f"expected a string that matches {schema['pattern']}")
        yield Violation(place.pointer, "pattern", f"{expected}, got {place.got(schema, value)}.")


def _property_names(place: SchemaPlace, schema: _Schema, value: Any) -> Iterator[Violation]:
    for name in value if isinstance(value, dict) else ():
        yield from violations_of(schema["propertyNames"], name, place.at(name))


def _conditional(place: SchemaPlace, schema: _Schema, value: Any) -> Iterator[Violation]:
    branch = "then" if place.accepts(schema["if"], value) else "else"
    if branch in schema:
        yield from violations_of(schema[branch], value, place)


def _chosen(
    place: SchemaPlace, names: list[str], schema: _Schema, value: Any, words: str
) -> Iterator[Violation]:
    """The violation that none of these members is there, unless a misspelt one is reported already."""
    strays = (name for name in value if name not in schema.get("properties", {}))
    closed = schema.get("additionalProperties") is False
    if not (closed and any(nearest(stray, names) for stray in islice(strays, MOST_COUNTED))):
        told = f"{place.noun} requires {words} of {listed(map(quoted, names), 'and')}; none is there."
        yield Violation(place.pointer, "required", told)


def _at_least_one(place: SchemaPlace, schema: _Schema, value: Any) -> Iterator[Violation]:
    """Violations of an `anyOf` whose branches have `required` alone."""
    names = _required_by(schema["anyOf"])
    if isinstance(value, dict) and not value.keys() & names:
        yield from _chosen(place, names, schema, value, "at least one")


def _exactly_one(place: SchemaPlace, schema: _Schema, value: Any) -> Iterator[Violation]:
    """Violations of a `oneOf` whose branches have `required` alone."""
    names = _required_by(schema["oneOf"])
    given = [name for name in value if name in names] if isinstance(value, dict) else []
    if isinstance(value, dict) and not given:
        yield from _chosen(place, names, schema, value, "exactly one")
    for name in given[1:]:
        told = f"{quoted(name)} and {quoted(given[0])} exclude each other; keep one of them."
        yield Violation(place.at(name).pointer, "oneOf", told)


def _required_by(branches: list[_Schema]) -> list[str]:
    return [name for branch in branches for name in branch["required"]]


def _needed(place: SchemaPlace, name: str, others: Collection[str]) -> Violation:
    told = f"{quoted(name)} means something beside {listed(map(quoted, others), 'or')} only; remove it."
    return Violation(place.at(name).pointer, "dependentRequired", told)


def _dependent_required(place: SchemaPlace, schema: _Schema, value: Any) -> Iterator[Violation]:
    for name, others in schema["dependentRequired"].items():
        if isinstance(value, dict) and name in value and not value.keys() >= set(others):
            yield _needed(place, name, others)


def _dependent_schemas(place: SchemaPlace, schema: _Schema, value: Any) -> Iterator[Violation]:
    """Violations where one member needs one of several others, or excludes some."""
    for name, branch in schema["dependentSchemas"].items():
        if not isinstance(value, dict) or name not in value:
            continue
        others = _required_by(branch.get("anyOf", []))
        if others and not value.keys() & others:
            yield _needed(place, name, others)
        for other in branch.get("properties", ()):
            if other in value:
                told = f"{quoted(other)} means nothing beside {quoted(name)}; remove one of them."
                yield Violation(place.at(other).pointer, "dependentSchemas", told)


def _bound(keyword: str, measured: type | tuple[type, ...], unit: str = "") -> _Rule:
    """Make the rule for a bound, `min…` or `max…`, of a number or of the length of a text, list or object.

    It judges values of the type `measured`. `unit`: what is counted.
    """
    lowest = keyword.startswith("min")
    words = "at least" if lowest else "at most"

    def rule(place: SchemaPlace, schema: _Schema, value: Any) -> Iterator[Violation]:
        limit, judged = schema[keyword], isinstance(value, measured) and not isinstance(value, bool)
        if judged:
            size = len(value) if unit else value
            if size < limit if lowest else size > limit:
                amount = counted(limit, unit) if unit else limit
                told = f"expected {words} {amount}, got {place.got(schema, value)}{_in_range(schema, value)}."
                yield Violation(place.pointer, keyword, told)

    return rule


def _in_range(schema: _Schema, value: Any) -> str:
    """What to write in place of a number that isn't from 0 to 1, where the schema has a `rangeMessage`."""
    return f": {schema['rangeMessage']}; write {_as_share(value)}" if "rangeMessage" in schema else ""


def _as_share(number: float) -> str:
    """The number from 0 to 1 that is meant: one up to 10 is taken for tenths, one up to 100 for percents."""
    if 0 <= number <= 1:
        return f"{number}"
    if 2 <= number <= 100:
        return f"{number / (10 if number <= 10 else 100):g}"
    return "0" if number < 0 else "1"


def _above(place: SchemaPlace, schema: _Schema, value: Any) -> Iterator[Violation]:
    limit = schema["exclusiveMinimum"]
    if fits({"type": "number"}, value) and value <= limit:
        told = f"expected more than {limit}, got {place.got(schema, value)}."
        yield Violation(place.pointer, "exclusiveMinimum", told)


_Plan = tuple[_Schema, bool, tuple[str, ...], tuple[_Rule, ...]]
"""A schema, resolved; whether it is a union; its JSON types; and the rules for its keywords."""


def _plan(schema: _Schema, document: _Schema) -> _Plan:
    own = resolve(schema, document)
    rules = tuple(rule for keyword, rule in KEYWORD_RULES.items() if keyword in own)
    return own, "anyOf" in own and not chooses(own), types(own), rules


KEYWORD_RULES: dict[str, _Rule] = {
    "enum": _enum,
    "const": _const,
    "required": _required,
    "type": _members,  # `properties` and `additionalProperties` together: findings keep the body's order
    "items": _items,
    "uniqueItems": _unique,
    "minimum": _bound("minimum", NUMBER),
    "maximum": _bound("maximum", NUMBER),
    "exclusiveMinimum": _above,
    "minItems": _bound("minItems", list, "item"),
    "maxItems": _bound("maxItems", list, "item"),
    "minLength": _bound("minLength", str, "character"),
    "maxLength": _bound("maxLength", str, "character"),
    "pattern": _pattern,
    "propertyNames": _property_names,
    "minProperties": _bound("minProperties", dict, "key"),
    "if": _conditional,
    "anyOf": _at_least_one,
    "oneOf": _exactly_one,
    "dependentRequired": _dependent_required,
    "dependentSchemas": _dependent_schemas,
}
"""Schema keyword → its rule. A test fails if a schema of ours uses a constraining keyword without a rule."""


JSON_TYPES: dict[str, Callable[[Any], bool]] = {
    "null": lambda value: value is None,
    "boolean": lambda value: isinstance(value, bool),
    "integer": lambda value: (
        value.is_integer()
        if isinstance(value, float)
        else isinstance(value, int) and not isinstance(value, bool)
    ),
    "number": lambda value: isinstance(value, NUMBER) and not isinstance(value, bool),
    "string": lambda value: isinstance(value, str),
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
}

_ARTICLES = {
    "null": ["null"],
    "boolean": ["true", "false"],
    "integer": ["a whole number"],
    "number": ["a number"],
    "string": ["a string"],
}


def fits(schema: _Schema, value: Any) -> bool:
    """Whether a value has one of the JSON types that a schema names; True if it names none."""
    return _fits_one(types(schema), value)


def _fits_one(names: tuple[str, ...], value: Any) -> bool:
    """`fits`, for types that were read already."""
    for name in names:
        if JSON_TYPES[name](value):
            return True
    return not names


def _admits(schema: _Schema, value: Any) -> bool:
    """Whether a union's branch is meant for values of this JSON type; an enum's values tell its types."""
    if "enum" in schema and "type" not in schema:
        return any(type(option) is type(value) for option in schema["enum"])
    return fits(schema, value)


def described(schema: _Schema, document: _Schema, nouns: Mapping[str, str] = JSON_NOUNS) -> str:
    """What a schema accepts, in a few words: `"low" or "high"`, `a string, an array or null`."""
    words: list[str] = []
    for branch in union(schema, document):
        if "const" in branch:
            words.append(orjson.dumps(branch["const"]).decode())
        elif "enum" in branch:
            words += ["null" if option in (None, "null") else quoted(option) for option in branch["enum"]]
        else:
            named = (_ARTICLES.get(name) or [nouns[name]] for name in types(branch))
            words += [word for each in named for word in each] or ["any value"]
    return listed(dict.fromkeys(words), "or")


def _described_in_yaml(schema: _Schema, document: _Schema) -> str:
    return described(schema, document, YAML_NOUNS)
