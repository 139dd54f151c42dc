"""A foreign mock under the suite: aimock, which answers chat from a fixture and validates nothing."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from openpipe_mock.contract.checks import family_of
from openpipe_mock.contract.findings import Result
from openpipe_mock.contract.run import run
from openpipe_mock.contract.target import RunOptions
from tests.contract.foreign import foreign
from tests.judging import states, told

pytestmark = pytest.mark.slow

FIRST = (
    "chat.choices.count",
    "criteria.results.asked",
    "chat.stream.count",
    "chat.stream.tools",
    "chat.stream.errors",
    "chat.tools.named",
    "chat.tools.required",
)
"""What its authors should hear of first."""


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Result]:
    fixtures: Path = tmp_path_factory.mktemp("aimock") / "fixtures.json"
    answer = {"match": {}, "response": {"content": "One, two, three."}}
    fixtures.write_text(json.dumps({"fixtures": [answer]}), "utf-8")
    with foreign("aimock", "llmock", "--fixtures", str(fixtures)) as origin:
        yield run(RunOptions(f"{origin}/v1", max_requests=600))


def test_it_is_judged_and_what_matters_comes_first(result: Result) -> None:
    assert (result.verdict, result.exit_code) == ("broken", 1)
    assert result.crashes == ()
    assert tuple(outcome.check.id for outcome in result.breaks)[: len(FIRST)] == FIRST


def test_what_it_takes_is_one_family_and_comes_last(result: Result) -> None:
    """All that it accepts against the clients' types; only what clients rely on fails the run."""
    broken = [outcome.check.id for outcome in result.in_state("broken")]
    families = [name for name in map(family_of, broken) if name]
    assert {family.id for family in families} == {"chat.rejects"}
    assert len(families) > 50
    assert [bool(family_of(name)) for name in broken] == sorted(bool(family_of(name)) for name in broken)
    relied_on = {each.check.id for each in result.breaks if family_of(each.check.id)}
    assert "chat.rejects.ChatCompletionRequest.required" in relied_on
    assert {name.rpartition(".")[2] for name in relied_on} == {"required", "enum"}


def test_what_it_answers_to_broken_requests_is_not_held_against_its_answers(result: Result) -> None:
    kept = states(result, "kept")
    assert {"chat.response.schema", "chat.response.json", "chat.no_5xx", "chat.answers"} <= kept, told(result)
    assert {"chat.stream.events", "chat.stream.finish", "chat.stream.readable"} <= kept
