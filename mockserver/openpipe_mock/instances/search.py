"""Build instances of a user's JSON Schema: the same for the same schema, seed and variant on every machine.

A draft is built top down (`drafts`) from what the subschemas demand (`demands`, `choices`), out of readable
scalars (`scalars`, `core/patterns`). A validator checks the draft. At each place where it finds a fault, the
next draft takes the next alternative. One budget bounds the whole search, so every schema soon ends in an
instance or in `Unbuildable`.

Preferred are `const`, a valid `default`, the first valid of `examples`, the first of `enum`, plain values.
Optional members are there unless they would recurse, lie deep, or the instance is already large.
"""

from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import orjson

from openpipe_mock.instances.costs import Meter, TooCostly
from openpipe_mock.instances.demands import Budget, Contradiction
from openpipe_mock.instances.documents import (
    BadSchema,
    SchemaDocument,
    SchemaError,
    Unbuildable,
    applicator,
    read_schema,
    schema_pointer,
    serialized,
)
from openpipe_mock.instances.drafts import Draft, InstancePlace

__all__ = ["BadSchema", "SchemaError", "Unbuildable", "Variants", "build"]

_MOST_STEPS = 12_000
_MOST_EVALUATIONS = 1_000_000
_MOST_VISITS = 20_000
_MOST_ATTEMPTS = 40
MOST_BUILDS = 2.0
_MOST_TOLD, _MOST_TOLD_AT_ONCE = 20_000, 4_000
"""Evaluations in checks that name their errors: all together, and in one. Naming all errors takes up to 700
times as long as finding one."""
_MOST_ERRORS = 50


def build(schema: Any, seed: bytes, variant: int = 0) -> Any:
    """Build an instance of `schema` as plain JSON values, with members in the order of `properties`.

    Variant 0 is the plainest; others differ where the schema leaves room. Formats are met as well. Raises
    BadSchema for anything but a self-contained JSON Schema, Unbuildable if the bounded search finds nothing.
    """
    return Variants(schema, seed).value(variant)


class Variants:
    """Instances of one schema, which is read once.

    All instances together may cost as much as MOST_BUILDS full searches. After that earlier values are
    returned again, so that a request for many choices with a hard schema ends soon too.
    """

    def __init__(self, schema: Any, seed: bytes) -> None:
        self.document = read_schema(serialized(schema))
        self.seed = seed
        self.made: list[Any] = []
        self.spent = 0.0

    def value(self, variant: int) -> Any:
        """The instance with this number. Raises Unbuildable if none is found and none was found before."""
        if self.spent < MOST_BUILDS:
            search = _Search(self.document, self.seed, variant)
            try:
                self.made.append(search.run())
                return self.made[-1]
            except Unbuildable:
                if not self.made:
                    raise
            finally:
                self.spent += search.spent()
        return self.made[variant % len(self.made)]


@dataclass(slots=True)
class _Search:
    """Makes and checks drafts until one passes.

    `bumps` counts the failures at each pointer of the instance, `blame` is the first failure.
    """

    document: SchemaDocument
    seed: bytes
    variant: int
    bumps: dict[str, int] = field(default_factory=dict)
    evaluations: int = _MOST_EVALUATIONS
    visits: int = _MOST_VISITS
    told: int = _MOST_TOLD
    blame: Contradiction | None = None
    budget: Budget = field(default_factory=lambda: Budget(_MOST_STEPS))

    def run(self) -> Any:
        try:
            return self.searched()
        except Contradiction as conflict:
            raise _unbuildable(self.blame or conflict) from None
        except (TooCostly, LookupError):
            keyword = "$ref" if self.document.references else "enum"
            sentence = "Checking an instance of this schema would take too long."
            raise Unbuildable(keyword, "", sentence) from None
        except Unbuildable as limit:
            raise _unbuildable(self.blame) if self.blame else limit from None

    def spent(self) -> float:
        """The share of the budget that the search has used, from 0 to 1: that of its most used part."""
        steps = 1 - self.budget.left / _MOST_STEPS
        return max(steps, 1 - self.evaluations / _MOST_EVALUATIONS, 1 - self.visits / _MOST_VISITS)

    def searched(self) -> Any:
        for _ in range(_MOST_ATTEMPTS):
            draft = Draft(self.document, self.seed, self.variant, self.bumps, self.budget)
            value = draft.value([self.document.top], InstancePlace())
            if self.passes(value, draft):
                return orjson.loads(orjson.dumps(value))  # a copy: callers may change it, the schema not
        raise self.blame or Contradiction("false", "")

    def passes(self, value: Any, draft: Draft) -> bool:
        """Whether the validators accept a draft; if not, the places at fault are bumped."""
        most = self.document.subschemas * draft.values if self.document.is_plain else self.evaluations
        self.evaluations -= most if 4 * most < self.evaluations else self.cost(value, self.evaluations)
        refusing = next((each for each in self.document.validators if not each.is_valid(value)), None)
        if refusing is None:
            return True
        faults = self.faults(value, refusing)
        self.blame = self.blame or faults[0][1]
        for pointer in {self.movable(pointer, draft) for pointer, _ in faults}:
            self.bumps[pointer] = self.bumps.get(pointer, 0) + 1
        return False

    def cost(self, value: Any, most: int) -> int:
        """How many evaluations a check takes at most. Raises TooCostly if that is more than `most`."""
        meter = Meter(self.document, most, min(self.visits, most))
        try:
            return meter.cost(self.document.top, value)
        finally:
            self.visits -= len(meter.known)

    def faults(self, value: Any, refusing: Any) -> list[tuple[str, Contradiction]]:
        """The pointer and the reason of each fault that a validator finds; the top if that takes too long."""
        with suppress(TooCostly):
            self.told -= self.cost(value, min(self.told, _MOST_TOLD_AT_ONCE))
            errors = islice(refusing.iter_errors(value), _MOST_ERRORS)
            return [(schema_pointer(error.instance_path), _fault(error)) for error in errors]
        keyword = next((name for name in ("anyOf", "oneOf") if name in self.document.top.schema), "$ref")
        return [("", Contradiction(keyword, ""))]

    def movable(self, pointer: str, draft: Draft) -> str:
        """The nearest place around a fault that has further alternatives, else "", the top."""
        while pointer and (pointer not in draft.visited or pointer in draft.wrapped):
            pointer = pointer.rpartition("/")[0]
        return pointer


def _fault(error: Any) -> Contradiction:
    """The keyword and the subschema of a validator's error."""
    path = schema_pointer(error.schema_path)
    if error.kind.name == "falseSchema":
        return Contradiction(applicator(path), path)
    return Contradiction(error.kind.name, path.rpartition("/")[0])


def _unbuildable(conflict: Contradiction) -> Unbuildable:
    where = conflict.pointer or "the top of the schema"
    sentence = f'No value was found that meets "{conflict.keyword}" at {where[:200]}.'
    return Unbuildable(conflict.keyword, conflict.pointer, sentence)
