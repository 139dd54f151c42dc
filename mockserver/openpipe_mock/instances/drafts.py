"""Build one draft of an instance top down, each value in the first way that its demands leave."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from itertools import chain, islice
from typing import Any

import orjson

from openpipe_mock.core import patterns
from openpipe_mock.core.pointers import pointer_step
from openpipe_mock.instances.demands import Alternatives, Budget, Contradiction, Demands, common, json_key
from openpipe_mock.instances.documents import Node, SchemaDocument, applicator
from openpipe_mock.instances.scalars import SCALARS, item_noun, noun_of
from openpipe_mock.instances.validators import pattern_cost, simple_validator
from openpipe_mock.openapi.violations import JSON_TYPES

EVALUATIONS = 200
"""So many characters, or evaluations of a validator, count as one step of a budget."""
_VALUE_STEPS = 6
_MOST_LEVELS = 32
_MOST_MEMBERS = 10_000
_MOST_ITEMS = 1_000
_MOST_CHOICES = 100
"""Choices that are followed, one after the other, for one value."""
_OPTIONAL_LEVELS = 8
_OPTIONAL_VALUES = 500
"""Optional members are left out from _OPTIONAL_LEVELS on, and once a draft has so many values."""
_MOST_TRIES = 40
_MOST_LISTED = 2_000
_PRESET_COMBINATIONS = 16
_FEW = 24
"""Variants first use up this many options from the beginning, since those are the most readable."""
_STRING = Node({"type": "string"})


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
        pointer = f"{self.pointer}/{pointer_step(step)}"
        active = self.active | demands.nodes.keys()
        return InstancePlace(pointer, noun or self.noun, self.shift + shift, self.level + 1, active)


@dataclass(slots=True)
class Draft:
    """Makes the values of one draft.

    A `required_only` draft has no optional members. One with `scalar_presets` takes no defaults and examples
    that are objects or arrays.
    """

    document: SchemaDocument
    seed: bytes
    variant: int
    budget: Budget
    required_only: bool
    scalar_presets: bool
    radix: int = 1
    values: int = 0

    def draw(self, place: InstancePlace, count: int) -> int:
        """The option, from 0 to `count` - 1, with which this variant starts; 0 in variant 0."""
        # The variant is a number in a mixed radix with one digit for each choice, so that as many variants
        # differ as there are combinations. The lower digits shuffle each digit further.
        if self.variant == 0 or count < 2:
            return 0
        high, low = divmod(self.variant, self.radix)
        few = min(count, _FEW)
        digit = (high + (self._noise(place, low) % few if low else 0)) % count
        self.radix = min(self.radix * count, 2**64)
        return 1 + (digit - 1 + self._noise(place, 0)) % (few - 1) if 0 < digit < few else digit

    def _noise(self, place: InstancePlace, number: int) -> int:
        """A number in [0, 2**64), drawn from the seed, the pointer and `number`."""
        content = b"\x1f".join((self.seed, str(number).encode(), place.pointer.encode()))
        return int.from_bytes(blake2b(content, digest_size=8).digest())

    def value(self, nodes: list[Node], place: InstancePlace, *, recursive: bool = True) -> Any:
        """A value that meets all these subschemas. Raises Contradiction if none can be made.

        With `recursive=False`, subschemas that already judge a value around this one aren't entered again.
        """
        at = nodes[0] if nodes else self.document.top
        self.budget.spend(_VALUE_STEPS, at)
        if place.level > _MOST_LEVELS:
            raise Contradiction(applicator(at.pointer), at.pointer)
        self.values += 1
        maker = _Maker(self, place, recursive)
        for value in maker.values(nodes):
            return value
        raise maker.conflict or Contradiction(applicator(at.pointer), at.pointer)


@dataclass(slots=True)
class _Maker:
    """Makes one value. `conflict` is the first contradiction that it met."""

    draft: Draft
    place: InstancePlace
    recursive: bool
    conflict: Contradiction | None = None

    def values(self, nodes: list[Node]) -> Iterator[Any]:
        """The values that meet these subschemas, as far as is cheap to tell, the preferred first."""
        found = self.combinations(Demands(), nodes, [])
        combinations = (demands for demands in found if self.recursive or not demands.recursive)
        first = next(combinations, None)
        if first is None:
            return
        presets = [] if "enum" in first.rules else first.presets()
        known = [first, *islice(combinations, _PRESET_COMBINATIONS)] if presets else [first]
        presets = [value for value in presets if any(self.fits(demands, value) for demands in known)]
        start = self.draft.draw(self.place, len(presets) + 1)
        early = presets[start:] + presets[:start] if start < len(presets) else []
        yield from early
        for demands in chain(known, combinations):
            yield from self.generated(demands)
        yield from () if early else presets

    def combinations(
        self, demands: Demands, nodes: list[Node], waiting: list[Alternatives], depth: int = 0
    ) -> Iterator[Demands]:
        """What demands, further subschemas and a branch of each waiting choice demand together."""
        draft = self.draft
        try:
            found = demands.absorb(draft.document, nodes, self.place.active, draft.budget)
        except Contradiction as conflict:
            self.conflict = self.conflict or conflict
            return
        if not waiting and not found:
            yield demands
            return
        branches, *rest = [*waiting, *found]
        endless = depth == _MOST_CHOICES
        draft.budget.spend(draft.budget.left + 1 if endless else 2 + len(branches) // 3, branches[0][0])
        at = draft.draw(self.place, len(branches))
        turned = [*branches[at:], *branches[:at]] if at else branches
        for branch in sorted(turned, key=self.recurses) if self.place.active else turned:
            if not self.clashes(demands, branch):
                yield from self.combinations(demands.copy(), branch, rest, depth + 1)

    def clashes(self, demands: Demands, branch: list[Node]) -> bool:
        """Whether an `if` is about a member that is decided otherwise, as those of the other cases are."""
        # Without this, ten cases of one member would take a thousand combinations.
        if not branch or not branch[0].pointer.endswith("/if") or not isinstance(branch[0].schema, dict):
            return False
        together = demands.copy()
        together.nodes[id(branch[0].schema)] = branch[0]
        for name in branch[0].schema.get("properties", ()):
            member = self.member(together, name)
            try:
                Demands().absorb(self.draft.document, member, self.place.active, self.draft.budget)
            except Contradiction:
                return True
        return False

    def recurses(self, branch: list[Node]) -> bool:
        """Whether a branch leads, through up to four references, to a subschema that is active."""
        node = branch[0] if branch else Node(True)
        for _ in range(4):
            if not isinstance(node.schema, dict) or "$ref" not in node.schema:
                break
            node = self.draft.document.target(node)
        return id(node.schema) in self.place.active

    def generated(self, demands: Demands) -> Iterator[Any]:
        """The values of an enum, or those of each type in turn."""
        if "enum" in demands.rules:
            yield from self.listed(demands)
            return
        kinds = demands.kinds()
        at = self.draft.draw(self.place, len(kinds)) if "type" in demands.rules else 0
        for kind in kinds[at:] + kinds[:at]:
            if kind == "object":
                yield from self.objects(demands)
            elif kind == "array":
                yield from self.arrays(demands)
            else:
                yield from self.scalars(demands, kind)

    def tried(self, make: Callable[[], Any]) -> Iterator[Any]:
        """What a function makes, or nothing if it raises Contradiction."""
        try:
            yield make()
        except Contradiction as conflict:
            self.conflict = self.conflict or conflict

    def fits(self, demands: Demands, value: Any) -> bool:
        """Whether a value that the schema itself names meets the demands, as far as is cheap to tell."""
        listed = demands.rules.get("enum", [value])
        self.spend(len(listed) // 10, demands)
        if self.draft.scalar_presets and isinstance(value, dict | list):
            return False
        return bool(common([value], listed)) and self.judge(demands)(value)

    def listed(self, demands: Demands) -> Iterator[Any]:
        """The values of an enum; first those that are also a default or an example."""
        values: list[Any] = demands.rules["enum"]
        if presets := demands.presets():
            self.spend(len(values) // 5, demands)
            first = common(presets, values)
            known = {json_key(value) for value in first}
            values = [*first, *(value for value in values if json_key(value) not in known)]
        start = self.draft.draw(self.place, len(values)) + self.place.shift
        turned = (values[(start + step) % len(values)] for step in range(min(len(values), _MOST_LISTED)))
        yield from filter(self.judge(demands), turned)
        self.blame("enum", demands)

    def scalars(self, demands: Demands, kind: str) -> Iterator[Any]:
        count, pick = SCALARS[kind](demands.rules, self.place.noun)
        start = self.draft.draw(self.place, count) + self.place.shift
        judge = self.judge(demands)
        later = [(start + step) % count for step in range(min(count, _MOST_TRIES))]
        for number in dict.fromkeys((*later, *range(min(count, _FEW)))):
            try:
                value = pick(number)
            except (patterns.Unsupported, OverflowError):
                self.blame("pattern" if kind == "string" else "multipleOf", demands)
                continue
            self.spend(len(value) // EVALUATIONS if isinstance(value, str) else 0, demands)
            if judge(value):
                yield value
        if kind == "string":  # short texts for patterns that aren't understood
            yield from filter(judge, ("", "a", "0"))

    def blame(self, keyword: str, demands: Demands) -> None:
        self.conflict = self.conflict or demands.failure(keyword)

    def judge(self, demands: Demands) -> Callable[[Any], bool]:
        """Make a test whether a value has the type and a scalar meets the rules; it notes the conflict."""
        schema = demands.scalar_schema()
        kinds = [JSON_TYPES[kind] for kind in demands.rules.get("type", JSON_TYPES)]
        checker = simple_validator(orjson.dumps(schema)) if schema.keys() - {"type"} else None
        texts = demands.rules.get("pattern", ())
        step = demands.rules.get("multipleOf")

        def accepts(value: Any) -> bool:
            if not any(is_kind(value) for is_kind in kinds):
                return False
            if checker is None or isinstance(value, dict | list):
                return True
            length = len(value) if isinstance(value, str) else 0
            self.spend(1 + sum(pattern_cost(pattern, length) for pattern in texts) // EVALUATIONS, demands)
            if not checker.is_valid(value):
                self.blame(next(checker.iter_errors(value)).kind.name, demands)
                return False
            # Many validators divide floats, so the quotient of a multiple must be whole in floats as well.
            fits = not step or isinstance(value, bool | str | None) or (value / float(step)) % 1 == 0
            if not fits:
                self.blame("multipleOf", demands)
            return fits

        return accepts

    def spend(self, steps: int, demands: Demands) -> None:
        self.draft.budget.spend(steps, next(iter(demands.nodes.values()), self.draft.document.top))

    def cheap(self) -> bool:
        """Whether the draft is still small and flat enough for optional members."""
        return self.place.level < _OPTIONAL_LEVELS and self.draft.values < _OPTIONAL_VALUES

    def objects(self, demands: Demands) -> Iterator[Any]:
        """An object with optional members, then one without."""
        if not self.draft.required_only:
            yield from self.tried(partial(self.object, demands, True))
        required = demands.rules.get("required", ())
        if self.draft.required_only or len(demands.declared()) > len(required) or demands.is_map():
            yield from self.tried(partial(self.object, demands, False))

    def object(self, demands: Demands, generous: bool) -> dict[str, Any]:
        """An object with its required members and, if `generous`, the optional ones that are cheap."""
        required = demands.needed(())
        least, most = demands.rules.get("minProperties", 0), demands.rules.get("maxProperties", _MOST_MEMBERS)
        if least > min(most, _MOST_ITEMS):
            raise demands.failure("minProperties")
        if len(required) > most:
            if "maxProperties" not in demands.rules:
                raise demands.failure("required")
            raise Contradiction(*demands.origins["maxProperties"], demands.wanting())
        declared = demands.declared()
        self.spend((len(declared) + len(demands.rules.get("dependentRequired", ()))) // 50, demands)
        left = max(0, (most if generous and self.cheap() else least) - len(required))
        optional = [name for name in declared if name not in required][:left]
        needed = demands.needed(optional)
        if len({*needed, *optional}) > most:  # because of what the optional ones need
            optional, needed = [], required
        chosen = {*needed, *optional}
        made: dict[str, Any] = {}
        for name in declared | needed:
            if name not in chosen:
                continue
            place = self.place.at(name, noun_of(name), 0, demands)
            if name in needed:
                made[name] = self.draft.value(self.wanted(demands, name), place)
            elif self.cheap() or len(required) < least:
                with suppress(Contradiction):
                    made[name] = self.draft.value(self.member(demands, name), place, recursive=False)
        entries = 1 if generous and self.cheap() and demands.is_map() else 0
        return self.filled(made, demands, max(least, min(entries, most)))

    def member(self, demands: Demands, name: str) -> list[Node]:
        """The subschemas for a member; matching patterns with its name is charged to the budget."""
        costs = sum(EVALUATIONS // 10 + pattern_cost(text, len(name)) for text in demands.name_patterns())
        self.spend(costs // EVALUATIONS, demands)
        return demands.member(name)

    def wanted(self, demands: Demands, name: str) -> list[Node]:
        """The subschemas for a member that must be there. Raises Contradiction where one is false."""
        nodes = self.member(demands, name)
        for node in nodes:
            if node.schema is False:
                raise Contradiction(applicator(node.pointer), node.pointer, demands.wanting())
        return nodes

    def filled(self, made: dict[str, Any], demands: Demands, wanted: int) -> dict[str, Any]:
        """The object with invented members added until it has `wanted` members. Raises Contradiction."""
        least = demands.rules.get("minProperties", 0)
        conflict: Contradiction | None = None
        for number in range(2 * wanted + 8):
            if len(made) >= wanted:
                break
            try:
                name = self.invented(demands, number)
                place = self.place.at(name, "value", number, demands)
                if name not in made:
                    made[name] = self.draft.value(
                        self.member(demands, name), place, recursive=len(made) < least
                    )
            except Contradiction as failure:
                conflict = conflict or failure
        if len(made) < least:
            raise conflict or demands.failure("minProperties")
        return made

    def invented(self, demands: Demands, number: int) -> str:
        """A name for a member that the schema doesn't declare."""
        names = [name for node in demands.nodes.values() for name in node.present("propertyNames")]
        if names:
            place = InstancePlace(
                f"{self.place.pointer}/", "key", number, self.place.level + 1, self.place.active
            )
            return str(self.draft.value([*names, _STRING], place))
        by_pattern = demands.name_patterns()
        if not by_pattern:
            return f"key{number + 1 if number else ''}"
        turn, at = divmod(number, len(by_pattern))
        try:
            return patterns.text_for_pattern(by_pattern[at], turn)
        except patterns.Unsupported:
            raise Contradiction("patternProperties", "") from None

    def arrays(self, demands: Demands) -> Iterator[Any]:
        """Arrays of the usual length, then longer ones, the shortest last.

        Usual is the tuple's length with what `contains` asks for, else one item.
        """
        least = demands.rules.get("minItems", 0)
        most = demands.rules.get("maxItems", max(least, _MOST_ITEMS))
        if least > min(most, _MOST_ITEMS):
            self.blame("minItems", demands)
            return
        contained = len(self.contained(demands))
        usual = demands.prefix_length() + contained or 1 if self.cheap() else contained
        usual = min(most, max(least, usual))
        some = range(usual, min(most, usual + 2 if self.cheap() else usual) + 1)
        start = self.draft.draw(self.place, len(some))
        for count in dict.fromkeys((*some[start:], *some[:start], least)):
            yield from self.tried(partial(self.array, demands, count, least))

    def array(self, demands: Demands, count: int, least: int) -> list[Any]:
        items: list[Any] = []
        contained = self.contained(demands)
        known: set[bytes] | None = set() if demands.rules.get("uniqueItems") else None
        prefix = demands.prefix_length()
        for at in range(count):
            make = partial(self.item, demands, at, max(0, at - prefix), known, at < least)
            try:
                if contained:
                    with suppress(Contradiction):  # another item may meet it
                        items.append(make(contained[0]))
                        del contained[0]
                        continue
                items.append(make())
            except Contradiction:
                if at < least:
                    raise
                break
        return items

    def contained(self, demands: Demands) -> list[Node]:
        return list(islice(demands.contained(), _MOST_ITEMS))

    def item(
        self, demands: Demands, at: int, shift: int, known: set[bytes] | None, recursive: bool, *more: Node
    ) -> Any:
        """The item at an index, which meets `more` too. If `known` is a set, its key is new and is added."""
        nodes = [*demands.item(at), *more]
        for turn in range(_MOST_TRIES):
            place = self.place.at(at, item_noun(self.place.noun), shift + turn, demands)
            item = self.draft.value(nodes, place, recursive=recursive)
            if known is None:
                return item
            if json_key(item) not in known:
                known.add(json_key(item))
                return item
        raise demands.failure("uniqueItems")
