"""The suite is fair: servers that keep the contract, each in its own way, are told that they keep it.

Of those that take long a part stands here, as large as MUTANTS says: see test_contract_mutants.py.
"""

import pytest

from openpipe_mock.contract.findings import Result
from tests.judging import states, told, verdict_on
from tests.reference.habits import Habits
from tests.reference.killing import part
from tests.reference.mutants import DEVIANTS
from tests.reference.mutation import Mutant
from tests.reference.server import Reference
from tests.reference.variants import VARIANTS

pytestmark = pytest.mark.slow

THOROUGH = ("terse", "reward-models", "open-fake")
"""Those that say no to no request for being busy too often: patience takes seconds."""


def assert_kept(result: Result) -> None:
    """Nothing that decides is broken or open, and what deviates rests on the weaker words alone."""
    assert result.verdict == "kept", told(result) + result.open_questions
    assert not result.deciding("broken", "flaky"), told(result)
    assert {outcome.level for outcome in result.deviations} <= {"source", "decision"}


@pytest.mark.parametrize("name", part(THOROUGH))
def test_a_correct_server_breaks_nothing_when_everything_is_asked(name: str) -> None:
    result = verdict_on(Reference(VARIANTS[name]), thorough=True, seed=5)
    assert_kept(result)
    # A server that is busy is asked one by one.
    assert states(result, "unchecked") <= {"judge.at_once", "chat.at_once"}
    assert result.requests > 1000


def test_a_correct_server_breaks_nothing_that_is_made_up() -> None:
    result = verdict_on(Reference(VARIANTS["open-fake"]), only=("judge.fuzz", "chat.fuzz"), fuzz=40)
    assert_kept(result)
    assert states(result, "kept") >= {"judge.fuzz.valid", "judge.fuzz.broken", "chat.fuzz.broken"}


def test_ids_without_versions_are_enough_for_every_check_but_those_about_versions() -> None:
    result = verdict_on(Reference(), criteria=("criterion-1", "criterion-2"), latest=())
    assert_kept(result)
    unchecked = {name for name in states(result, "unchecked") if ".accepts." not in name}
    assert {name for name in unchecked if ".rejects." not in name} <= {"judge.latest", "criteria.latest"}


@pytest.mark.parametrize("deviant", part(DEVIANTS), ids=lambda deviant: deviant.name)
def test_a_habit_that_only_we_decided_against_is_reported_and_never_broken(deviant: Mutant) -> None:
    result = verdict_on(deviant.make(Habits()))
    assert_kept(result)
    assert deviant.kills in states(result, "broken", "lenient")
