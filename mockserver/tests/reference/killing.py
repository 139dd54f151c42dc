"""Runs of the contract suite against one-bug servers: does the right check find each bug?"""

import math
import os
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, TypeVar

from openpipe_mock.contract.checks import family_of
from openpipe_mock.contract.findings import Result
from openpipe_mock.contract.run import run
from openpipe_mock.contract.target import RunOptions
from tests.judging import KNOWN, states
from tests.reference.habits import Habits
from tests.reference.mutation import Mutant
from tests.reference.serving import Stage

T = TypeVar("T")

SHARE = Fraction(os.environ.get("MUTANTS", "1/5"))
"""The share of servers that the tests meet, the same ones in every run."""
FEW = 24
"""Requests that show most bugs, as what tells most is sent first; for the others it takes a whole run."""
SHORT, LONG = 0.5, 10.0
"""Seconds until an answer is given up: where one never comes, and where each comes in the end."""


def judged(mutant: Mutant, stage: Stage, **options: Any) -> Result:
    """What the suite says of a one-bug server that has just been started."""
    stage.app = mutant.make(Habits())
    timeout = SHORT if mutant.kills.endswith(".answers") else LONG
    return run(RunOptions(stage.base_url, **{**KNOWN, "timeout": timeout, **options}))


def reported(mutant: Mutant, result: Result) -> bool:
    """Whether the check that has to find the bug has found it."""
    return mutant.kills in states(result, "broken", "flaky")


def killed(mutant: Mutant, stage: Stage) -> bool:
    """Whether the check finds the bug when nothing else is asked for."""
    alone = {"only": (mutant.kills,), "level": "decision"}
    few = judged(mutant, stage, max_requests=FEW, **alone)
    return reported(mutant, few) or reported(mutant, judged(mutant, stage, **alone))


def found(mutant: Mutant, stage: Stage, *, thorough: bool = False) -> bool:
    """Whether the check finds the bug in a run that is told nothing of it."""
    return reported(mutant, judged(mutant, stage, thorough=thorough))


def part(every: Sequence[T]) -> list[T]:
    """The share of them that the tests meet, evenly spread."""
    return list(every[:: round(1 / SHARE)])


def sample(mutants: Sequence[Mutant], share: Fraction = SHARE) -> list[Mutant]:
    """This share of the servers, at least one for each check: the first of each, then the second of each, and
    so on. The checks of a family count as one.
    """
    before: Counter[object] = Counter()
    turns: list[int] = []
    for mutant in mutants:
        check = family_of(mutant.kills) or mutant.kills
        turns.append(before[check])
        before[check] += 1
    in_turn = sorted(zip(turns, range(len(mutants)), strict=True))
    number = max(len(before), math.ceil(share * len(mutants)))
    return [mutants[position] for _, position in in_turn[:number]]
