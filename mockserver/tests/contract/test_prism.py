"""A foreign server under the suite: Prism, which answers from our `openapi.yaml` and knows no semantics."""

from collections.abc import Iterator

import pytest

from openpipe_mock.contract.findings import Result
from openpipe_mock.contract.run import run
from openpipe_mock.contract.target import RunOptions
from openpipe_mock.core.resources import folder
from tests.contract.foreign import foreign
from tests.judging import states, told

pytestmark = pytest.mark.slow


FIRST = (
    "judge.answers",
    "judge.response.score",
    "chat.answers",
    "chat.choices.count",
    "criteria.results.asked",
    "chat.stream.events",
)
"""What its authors should hear of first."""


@pytest.fixture(scope="module")
def prism() -> Iterator[str]:
    with foreign("prism", "prism", "mock", str(folder("schemas") / "openapi.yaml")) as origin:
        yield origin


@pytest.fixture(scope="module")
def result(prism: str) -> Result:
    return run(RunOptions(prism, timeout=2.0))


def test_it_is_judged_and_breaks_what_needs_more_than_a_schema(result: Result) -> None:
    assert (result.verdict, result.exit_code) == ("broken", 1)
    assert result.crashes == ()
    assert tuple(outcome.check.id for outcome in result.breaks)[: len(FIRST)] == FIRST


def test_what_follows_from_the_schema_it_keeps(result: Result) -> None:
    broken = [
        name for name in states(result, "broken", "flaky") if ".rejects." in name or ".accepts." in name
    ]
    assert [name for name in broken if not name.startswith("chat.rejects.Op")] == [], told(result)
    kept = states(result, "kept")
    assert {"judge.response.schema", "chat.response.schema", "judge.response.json"} <= kept
    assert sum(name.startswith("judge.rejects.") for name in kept) > 50
    assert sum(name.startswith("chat.accepts.") for name in kept) > 50


def test_what_it_can_t_read_it_never_answers(result: Result) -> None:
    """Prism 5 leaves a body that is no JSON unanswered; the suite gives up on that, not on all."""
    assert {"judge.answers", "chat.answers"} <= states(result, "broken")
    assert result.requests > 300


def test_its_errors_of_another_kind_are_deviations(result: Result) -> None:
    deviations = {outcome.check.id: outcome.level for outcome in result.deviations}
    assert deviations["judge.error.content_type"] == "source"
    assert deviations["judge.errors.wrong_key"] == "source"
