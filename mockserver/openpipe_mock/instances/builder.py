"""Build instances of a user's JSON Schema: the same for the same schema, seed and variant on every machine.

A draft is built top down (`drafts`) from what the subschemas demand (`demands`), out of readable scalars
(`scalars`, `core/patterns`). A validator checks the draft; if it refuses, a few plainer drafts are tried. One
budget bounds the whole, so every schema soon ends in an instance or in `Unbuildable`.

Preferred are `const`, a valid `default`, the first valid of `examples`, the first of `enum`, plain values.
Optional members are there unless they would recurse, lie deep, or the instance is already large.
"""

from collections.abc import Iterator
from typing import Any

import orjson

from openpipe_mock.core.pointers import pointer_to
from openpipe_mock.instances.demands import Budget, Contradiction
from openpipe_mock.instances.documents import (
    BadSchema,
    SchemaError,
    Unbuildable,
    applicator,
    serialized,
)
from openpipe_mock.instances.drafts import EVALUATIONS, Draft, InstancePlace
from openpipe_mock.instances.validators import Meter, read_schema

__all__ = ["BadSchema", "SchemaError", "Unbuildable", "Variants", "build"]

_MOST_STEPS = 12_000
_MORE_VARIANTS = 8
MOST_BUILDS = 2.0
_MOST_TOLD = 4_000
"""Evaluations in a check that names its error: naming it takes up to 700 times as long as finding it."""


def build(schema: Any, seed: bytes, variant: int = 0) -> Any:
    """Build an instance of `schema` as plain JSON values, with members in the order of `properties`.

    Variant 0 is the plainest; others differ where the schema leaves room. Formats are met as well. Raises
    BadSchema for anything but a self-contained JSON Schema, Unbuildable if no draft keeps the schema.
    """
    return Variants(schema, seed).value(variant)


class Variants:
    """Instances of one schema, which is read once.

    All instances together may cost as much as MOST_BUILDS full budgets. After that earlier values are
    returned again, so that a request for many choices with a hard schema ends soon too.
    """

    def __init__(self, schema: Any, seed: bytes) -> None:
        self.document, self.validators = read_schema(serialized(schema))
        self.seed = seed
        self.made: list[Any] = []
        self.spent = 0.0

    def value(self, variant: int) -> Any:
        """The instance with this number. Raises Unbuildable if none is found and none was found before."""
        if self.spent < MOST_BUILDS:
            budget = Budget(_MOST_STEPS)
            try:
                self.made.append(self._built(variant, budget))
                return self.made[-1]
            except Unbuildable:
                if not self.made:
                    raise
            finally:
                self.spent += 1 - budget.left / _MOST_STEPS
        return self.made[variant % len(self.made)]

    def _built(self, variant: int, budget: Budget) -> Any:
        """The first draft that all validators accept. Raises Unbuildable."""
        blame: Unbuildable | None = None
        for number, required_only, scalar_presets in _tries(variant):
            draft = Draft(self.document, self.seed, number, budget, required_only, scalar_presets)
            try:
                value = draft.value([self.document.top], InstancePlace())
                fault: Unbuildable | None = self._fault(value, draft)
            except Unbuildable as refusal:
                # If the first draft can't be made, no other can; nor can any once the budget is spent.
                if blame is None or not isinstance(refusal, Contradiction):
                    raise blame or refusal from None
                fault = refusal
            if fault is None:
                return orjson.loads(orjson.dumps(value))  # a copy: callers may change it, the schema not
            blame = blame or fault
        raise blame or Contradiction("false", "")

    def _fault(self, value: Any, draft: Draft) -> Contradiction | None:
        """What a validator finds wrong with a draft, None if all accept it. Raises Unbuildable."""
        top, budget = self.document.top, draft.budget
        cost, visits = self.document.subschemas * draft.values, 0
        if not self.document.is_plain or cost > budget.left:
            meter = Meter(self.document, budget.left * EVALUATIONS, budget.left * 2)
            cost = meter.cost(top, value)
            visits = len(meter.known)
        budget.spend(cost // EVALUATIONS + visits // 2, top)
        refusing = next((each for each in self.validators if not each.is_valid(value)), None)
        if refusing is None:
            return None
        if cost > _MOST_TOLD:
            unions = (name for name in ("anyOf", "oneOf", "allOf") if name in top.schema)
            return Contradiction(next(unions, "$ref"), "")
        error = next(refusing.iter_errors(value))
        path = pointer_to(*error.schema_path)
        if error.kind.name == "falseSchema":
            return Contradiction(applicator(path), path)
        return Contradiction(error.kind.name, path.rpartition("/")[0])


def _tries(variant: int) -> Iterator[tuple[int, bool, bool]]:
    """The drafts to try: the variant, whether `required_only`, and whether with `scalar_presets`."""
    yield variant, False, False
    for number in range(variant, variant + _MORE_VARIANTS):
        yield number, False, True
        yield number, True, True
    yield 0, False, False
