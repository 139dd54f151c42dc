"""Build one draft of an instance top down, each value out of the alternatives that its demands leave."""

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from hashlib import blake2b
from itertools import chain, islice
from typing import Any

import orjson

from openpipe_mock.core import patterns
from openpipe_mock.instances.choices import Alternatives, Flattening
from openpipe_mock.instances.costs import pattern_cost
from openpipe_mock.instances.demands import Branch, Budget, Contradiction, Demands, common, key
from openpipe_mock.instances.documents import Node, SchemaDocument, applicator, escaped, simple_validator
from openpipe_mock.instances.kinds import (
    MOST_ITEMS,
    contained,
    inferred,
    is_map,
    lengths,
    needed,
    prefix_length,
    scalar_schema,
)
from openpipe_mock.instances.scalars import EDGES, SCALARS, item_noun, noun_of
from openpipe_mock.openapi.violations import JSON_TYPES

_MOST_LEVELS = 32
_MOST_MEMBERS = 10_000
_OPTIONAL_LEVELS = 8
_OPTIONAL_VALUES = 500
"""Optional members are left out from _OPTIONAL_LEVELS on, and once a draft has so many values."""
_MOST_TRIES = 40
_VALUE_STEPS = 6
_CHARACTERS = 200
_EVALUATIONS = 200
"""So many characters, or evaluations of a validator, count as one step of a search."""
_MOST_LISTED = 2_000
_PRESET_WAYS = 16
_IN_TURN = 16
_FEW = 24
"""Variants first use up this many options from the beginning, since those are the most readable."""
_STRING = Node({"type": "string"})

_Build = Callable[[int], Any]
"""Makes a value in one way; the argument shifts the choices of all values inside."""


@dataclass(frozen=True, slots=True)
class InstancePlace:
    """A place in the instance.

    `noun` names the value in readable texts, `shift` is how many options to skip, `active` holds the `id()`
    of each subschema that judges a value around this one.
    """

    pointer: str = ""
    noun: str = "text"
    shift: int = 0
    level: int = 0
    active: frozenset[int] = frozenset()

    def at(self, step: str | int, noun: str, shift: int, demands: Demands) -> "InstancePlace":
        """The place of a member or item of a value that was made for these demands."""
        pointer = f"{self.pointer}/{escaped(step)}"
        active = self.active | demands.seen.keys()
        return InstancePlace(pointer, noun or self.noun, self.shift + shift, self.level + 1, active)


@dataclass(slots=True)
class Draft:
    """Makes the values of one draft. `bumps` tells, by pointer, how many alternatives were tried in vain.

    Afterwards `visited` holds the pointers of all values, `wrapped` those without further alternatives.
    """

    document: SchemaDocument
    seed: bytes
    variant: int
    bumps: Mapping[str, int]
    budget: Budget
    radix: int = 1
    values: int = 0
    visited: set[str] = field(default_factory=set)
    wrapped: set[str] = field(default_factory=set)

    def draw(self, place: InstancePlace, count: int) -> int:
        """The option, from 0 to `count` - 1, with which this variant starts; 0 in variant 0."""
        # The variant is a number in a mixed radix with one digit for each choice, so that as many variants
        # differ as there are combinations. The lower digits shuffle each digit further.
        if self.variant == 0 or count < 2:
            return 0
        high, low = divmod(self.variant, self.radix)
        few = min(count, _FEW)
        digit = (high + (self.noise(place, low) % few if low else 0)) % count
        self.radix = min(self.radix * count, 2**64)
        return 1 + (digit - 1 + self.noise(place, 0)) % (few - 1) if 0 < digit < few else digit

    def noise(self, place: InstancePlace, number: int) -> int:
        """A number in [0, 2**64), drawn from the seed, the pointer and `number`."""
        content = b"\x1f".join((self.seed, str(number).encode(), place.pointer.encode()))
        return int.from_bytes(blake2b(content, digest_size=8).digest())

    def value(self, nodes: Branch, place: InstancePlace, *, recursive: bool = True) -> Any:
        """A value that meets all these subschemas. Raises Contradiction if none can be made.

        With `recursive=False`, subschemas that already judge a value around this one aren't entered again.
        """
        at = nodes[0] if nodes else self.document.top
        self.budget.spend(_VALUE_STEPS, at)
        if place.level > _MOST_LEVELS:
            raise Contradiction(applicator(at.pointer), at.pointer)
        self.visited.add(place.pointer)
        self.values += 1
        flattening = Flattening(self.document, self.budget, partial(self.ordered, place), place.active)
        builds = _Alternatives(self, flattening, place, recursive).builds(nodes)
        conflict: Contradiction | None = None
        for build, shift in self.from_bump(place, builds):
            try:
                return build(shift)
            except Contradiction as failure:
                conflict = conflict or failure
        raise conflict or flattening.conflict or Contradiction(applicator(at.pointer), at.pointer)

    def from_bump(self, place: InstancePlace, builds: Iterator[_Build]) -> Iterator[tuple[_Build, int]]:
        """The alternatives after those that failed, then all once more, shifted to other values inside."""
        start = self.bumps.get(place.pointer, 0)
        skipped = list(islice(builds, start))
        yield from ((build, 0) for build in builds)
        self.wrapped.add(place.pointer)
        turns, at = divmod(start, max(1, len(skipped)))
        yield from ((build, turns) for build in (*skipped[at:], *skipped[:at]))

    def ordered(self, place: InstancePlace, choice: Alternatives) -> list[Branch]:
        """The branches in the variant's order, those that recurse last."""
        branches = choice.branches
        self.budget.spend(len(branches) // 3, choice.node)
        at = self.draw(place, len(branches))
        turned = [*branches[at:], *branches[:at]] if at else branches
        return sorted(turned, key=partial(self.recurses, place)) if place.active else turned

    def recurses(self, place: InstancePlace, branch: Branch) -> bool:
        """Whether a branch leads, through up to four references, to a subschema that is active."""
        node = branch[0]
        for _ in range(4):
            if not isinstance(node.schema, dict) or "$ref" not in node.schema:
                break
            with suppress(LookupError):
                node = self.document.target(node, "$ref")
        return id(node.schema) in place.active


@dataclass(slots=True)
class _Alternatives:
    """Yields the ways to make one value, the preferred first."""

    draft: Draft
    flattening: Flattening
    place: InstancePlace
    recursive: bool

    def builds(self, nodes: Branch) -> Iterator[_Build]:
        ways = self.ways(nodes)
        first = next(ways, None)
        if first is None:
            return
        known = [first, *islice(ways, _PRESET_WAYS)] if first.presets else [first]
        presets: list[_Build] = [
            partial(_constant, value)
            for value in first.presets
            if "enum" not in first.rules and any(self.fits(way, value) for way in known)
        ]
        start = self.draft.draw(self.place, len(presets) + 1)
        generated = self.generated(chain(known, ways))
        early = presets[start:] + presets[:start] if start < len(presets) else []
        yield from chain(early, generated, () if early else presets)

    def ways(self, nodes: Branch) -> Iterator[Demands]:
        for way in self.flattening.ways(nodes):
            if self.recursive or not way.recursive:
                yield way

    def generated(self, ways: Iterator[Demands]) -> Iterator[_Build]:
        """The alternatives of all ways, taking one of each in turn."""
        # In turn, because the next alternative of the same way often fails like the last.
        yield from _in_turn(self.of_way(way) for way in ways)

    def of_way(self, way: Demands) -> Iterator[_Build]:
        if "enum" in way.rules:
            yield from self.listed(way)
            return
        for kind in self.kinds(way):
            yield from _BUILDERS[kind](self, way, kind)

    def kinds(self, way: Demands) -> list[str]:
        """The JSON types to try: null last; without `type` first those with keywords of their own."""
        if "type" in way.rules:
            named = sorted(way.rules["type"], key="null".__eq__)
            at = self.draft.draw(self.place, len(named))
            return named[at:] + named[:at]
        return inferred(way)

    def fits(self, way: Demands, value: Any) -> bool:
        """Whether a value that the schema itself names meets the demands, as far as is cheap to tell."""
        if "type" in way.rules and not any(JSON_TYPES[kind](value) for kind in way.rules["type"]):
            return False
        if "enum" in way.rules:
            self.spend(len(way.rules["enum"]) // 10, way)
            if not common([value], way.rules["enum"]):
                return False
        return isinstance(value, dict | list) or self.judge(way)(value)

    def listed(self, way: Demands) -> Iterator[_Build]:
        values = self.enumerated(way)
        start = self.draft.draw(self.place, len(values)) + self.place.shift
        kinds = way.rules.get("type", JSON_TYPES)
        judge = self.judge(way)
        found = False
        for step in range(min(len(values), _MOST_LISTED)):
            value = values[(start + step) % len(values)]
            fits = any(JSON_TYPES[kind](value) for kind in kinds)
            if fits and (isinstance(value, dict | list) or judge(value)):
                found = True
                yield partial(_constant, value)
        if not found:
            self.blame("enum", way)

    def enumerated(self, way: Demands) -> list[Any]:
        """The values of an enum; first those that are also a default or an example."""
        values: list[Any] = way.rules["enum"]
        if not way.presets:
            return values
        self.spend(len(values) // 5, way)
        first = common(list(way.presets), values)
        known = {key(value) for value in first}
        return [*first, *(value for value in values if key(value) not in known)]

    def scalars(self, way: Demands, kind: str) -> Iterator[_Build]:
        options = SCALARS[kind](way.rules, self.place.noun)
        start = self.draft.draw(self.place, options.count) + self.place.shift
        judge = self.judge(way)
        later = [(start + step) % options.count for step in range(min(options.count, _MOST_TRIES))]
        for number in dict.fromkeys((*later, *range(min(options.count, _FEW)))):
            try:
                value = options.pick(number)
            except (patterns.Unsupported, OverflowError):
                self.blame("pattern" if kind == "string" else "multipleOf", way)
                continue
            self.spend(len(value) // _CHARACTERS if isinstance(value, str) else 0, way)
            if judge(value):
                yield partial(_constant, value)
        yield from (partial(_constant, value) for value in EDGES.get(kind, ()) if judge(value))

    def blame(self, keyword: str, way: Demands) -> None:
        conflict = self.flattening.conflict
        self.flattening.conflict = conflict or Contradiction(keyword, way.origins.get(keyword, ""))

    def judge(self, way: Demands) -> Callable[[Any], bool]:
        """Make a test whether a scalar meets the rules; it notes a failure as the flattening's conflict."""
        schema = scalar_schema(way)
        if not schema.keys() - {"type"}:
            return _accepted
        checker = simple_validator(orjson.dumps(schema))
        texts = way.rules.get("pattern", ())
        step = way.rules.get("multipleOf")

        def accepts(value: Any) -> bool:
            length = len(value) if isinstance(value, str) else 0
            self.spend(1 + sum(pattern_cost(pattern, length) for pattern in texts) // _EVALUATIONS, way)
            if not checker.is_valid(value):
                self.blame(next(checker.iter_errors(value)).kind.name, way)
                return False
            # Many validators divide floats, so the quotient of a multiple must be whole in floats as well.
            fits = not step or isinstance(value, bool | str | None) or (value / float(step)) % 1 == 0
            if not fits:
                self.blame("multipleOf", way)
            return fits

        return accepts

    def spend(self, steps: int, way: Demands) -> None:
        self.draft.budget.spend(steps, next(iter(way.seen.values()), self.draft.document.top))

    def objects(self, way: Demands, kind: str) -> Iterator[_Build]:
        yield partial(self.object, way, True)
        if len(way.declared()) > len(way.rules.get("required", ())) or is_map(way):
            yield partial(self.object, way, False)

    def object(self, way: Demands, generous: bool, shift: int) -> dict[str, Any]:
        """An object with its required members and, if `generous`, the optional ones that are cheap."""
        required = needed(way.rules, ())
        least, most = way.rules.get("minProperties", 0), way.rules.get("maxProperties", _MOST_MEMBERS)
        if least > min(most, MOST_ITEMS):
            raise Contradiction("minProperties", way.origins["minProperties"])
        if len(required) > most:
            raise Contradiction("maxProperties", way.origins["maxProperties"])
        declared = way.declared()
        self.spend(len(declared) // 50, way)
        left = (most if generous and self.cheap() else least) - len(required)
        chosen = needed(way.rules, [name for name in declared if name not in required][: max(0, left)])
        made: dict[str, Any] = {}
        for name in dict.fromkeys((*(name for name in declared if name in chosen), *chosen)):
            place = self.place.at(name, noun_of(name), shift, way)
            if name in required:
                made[name] = self.draft.value(self.member(way, name), place)
            elif self.cheap() or len(required) < least:
                made |= self.optional(way, name, place)
        entries = 1 if generous and self.cheap() and is_map(way) else 0
        return self.filled(made, way, shift, max(least, min(entries, most)))

    def cheap(self) -> bool:
        """Whether the draft is still small and flat enough for optional members."""
        return self.place.level < _OPTIONAL_LEVELS and self.draft.values < _OPTIONAL_VALUES

    def member(self, way: Demands, name: str) -> Branch:
        """The subschemas for a member; matching patterns with its name is charged to the budget."""
        by_name = [text for part in way.members for text in part.node.schema.get("patternProperties", ())]
        costs = sum(_EVALUATIONS // 10 + pattern_cost(text, len(name)) for text in by_name)
        self.spend(costs // _EVALUATIONS, way)
        return way.member(name)

    def optional(self, way: Demands, name: str, place: InstancePlace) -> dict[str, Any]:
        """An object with this optional member, {} if no value can be made for it."""
        try:
            return {name: self.draft.value(self.member(way, name), place, recursive=False)}
        except Contradiction:
            return {}

    def filled(self, made: dict[str, Any], way: Demands, shift: int, wanted: int) -> dict[str, Any]:
        """The object with invented members added until it has `wanted` members. Raises Contradiction."""
        least = way.rules.get("minProperties", 0)
        conflict: Contradiction | None = None
        for number in range(2 * wanted + 8):
            if len(made) >= wanted:
                break
            try:
                name = self.invented(way, number)
                place = self.place.at(name, "value", shift + number, way)
                if name not in made:
                    made[name] = self.draft.value(self.member(way, name), place, recursive=len(made) < least)
            except Contradiction as failure:
                conflict = conflict or failure
        if len(made) < least:
            raise conflict or Contradiction("minProperties", way.origins.get("minProperties", ""))
        return made

    def invented(self, way: Demands, number: int) -> str:
        """A name for a member that the schema doesn't declare."""
        if way.names:
            place = InstancePlace(
                f"{self.place.pointer}/", "key", number, self.place.level + 1, self.place.active
            )
            return str(self.draft.value([*way.names, _STRING], place))
        schemas = [part.node.schema for part in way.members]
        pattern = next((name for schema in schemas for name in schema.get("patternProperties", ())), "")
        try:
            return (
                patterns.text_for_pattern(pattern, number)
                if pattern
                else f"key{number + 1 if number else ''}"
            )
        except patterns.Unsupported:
            raise Contradiction("patternProperties", "") from None

    def arrays(self, way: Demands, kind: str) -> Iterator[_Build]:
        """Arrays of the usual length (the tuple's, else one item), then longer ones, the shortest last."""
        least, most = lengths(way)
        usual = prefix_length(way) or 1
        usual = min(most, max(least, usual)) if self.cheap() else least
        some = range(usual, min(most, usual + 2 if self.cheap() else usual) + 1) or range(least, least + 1)
        start = self.draft.draw(self.place, len(some))
        for count in dict.fromkeys((*some[start:], *some[:start], least)):
            yield partial(self.array, way, count)

    def array(self, way: Demands, count: int, shift: int) -> list[Any]:
        least, most = lengths(way)
        if least > min(most, MOST_ITEMS):
            node = way.contains[0] if "minItems" not in way.rules else None
            raise Contradiction(
                "contains" if node else "minItems", node.pointer if node else way.origins["minItems"]
            )
        self.spend(count * len(way.contains) // 20, way)
        slots = contained(way, count)
        prefix = prefix_length(way)
        items: list[Any] = []
        known: set[bytes] | None = set() if way.rules.get("uniqueItems") else None
        for at in range(count):
            try:
                nodes = [*way.item(at), *slots[at]]
                items.append(self.item(way, nodes, at, shift + max(0, at - prefix), known, at < least))
            except Contradiction:
                if at < least:
                    raise
                break
        return items

    def item(
        self, way: Demands, nodes: Branch, at: int, shift: int, known: set[bytes] | None, recursive: bool
    ) -> Any:
        """The item at an index. If `known` is a set, the item's key isn't in it and is added."""
        for turn in range(_MOST_TRIES):
            place = self.place.at(at, item_noun(self.place.noun), shift + turn, way)
            item = self.draft.value(nodes, place, recursive=recursive)
            if known is None:
                return item
            if key(item) not in known:
                known.add(key(item))
                return item
        raise Contradiction("uniqueItems", way.origins["uniqueItems"])


def _in_turn(sources: Iterator[Iterator[_Build]]) -> Iterator[_Build]:
    """One build of each of the first _IN_TURN sources, then the next of each; then the other sources."""
    waiting: deque[Iterator[_Build]] = deque()
    for source in sources:
        for build in islice(source, 1):
            yield build
            waiting.append(source)
        if len(waiting) == _IN_TURN:
            break
    while waiting:
        for build in islice(waiting[0], 1):
            yield build
            waiting.append(waiting[0])
        waiting.popleft()
    yield from chain.from_iterable(sources)


def _constant(value: Any, shift: int) -> Any:
    return value


def _accepted(value: Any) -> bool:
    return True


_BUILDERS: dict[str, Callable[[_Alternatives, Demands, str], Iterator[_Build]]] = {
    **dict.fromkeys(SCALARS, _Alternatives.scalars),
    "object": _Alternatives.objects,
    "array": _Alternatives.arrays,
}
