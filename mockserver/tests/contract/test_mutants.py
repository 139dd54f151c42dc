"""The suite finds what is wrong: each one-bug server is found by the check meant for it, most in any run.

A part of the servers stands here, the same in every run; the variable MUTANTS says how large it is, as "1/5".
`make mutants` runs them all and writes docs/mutants.md.
"""

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest

from openpipe_mock.contract.checks import family_of
from openpipe_mock.contract.findings import Result
from tests.judging import states, told, verdict_on
from tests.mutants_page import PAGE, is_reported_only, page, recorded
from tests.reference.criteria_mutants import asked
from tests.reference.habits import Habits
from tests.reference.http import App, Request
from tests.reference.killing import SHARE, judged, killed, reported, sample
from tests.reference.mutants import mutants
from tests.reference.mutation import Mutant, answering_as
from tests.reference.pair_mutants import with_members
from tests.reference.server import Reference
from tests.reference.serving import Stage, live

pytestmark = pytest.mark.slow

CHOSEN = tuple(sample(mutants()))
SAMPLE = CHOSEN[::17]
"""Those that meet a default run, which takes much longer."""
MOST = 0.85
"""The share that a default run finds at least."""


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with live(Reference()) as stage:
        yield stage


def test_the_chosen_servers_stand_for_every_check_and_both_endpoints() -> None:
    every = {family_of(mutant.kills) or mutant.kills for mutant in mutants()}
    assert {family_of(mutant.kills) or mutant.kills for mutant in CHOSEN} == every
    for beginning in ("judge.accepts.", "judge.rejects.", "judge.response.", "judge.error.", "judge.errors."):
        assert some(beginning)
        assert some(beginning.replace("judge", "chat"))
    assert all(map(some, ("judge.limits.", "chat.limits.", "chat.tools.", "chat.stream.", "criteria.")))
    assert len(CHOSEN) >= SHARE * len(mutants())


def some(beginning: str) -> bool:
    return any(mutant.kills.startswith(beginning) for mutant in CHOSEN)


def test_no_check_finds_anything_in_a_server_without_a_bug() -> None:
    result = verdict_on(Reference(), thorough=True, level="decision")
    assert result.verdict == "kept", told(result) + result.open_questions
    assert {mutant.kills for mutant in mutants()} <= states(result, "kept")


@pytest.mark.parametrize("mutant", CHOSEN, ids=lambda mutant: mutant.name)
def test_a_bug_is_found_by_the_check_meant_for_it(mutant: Mutant, stage: Stage) -> None:
    assert killed(mutant, stage), f"{mutant.kills} does not find this: {mutant.note}"


@pytest.fixture(scope="module")
def runs(stage: Stage) -> dict[str, Result]:
    """Server → what a default run says of it, for a sample."""
    return {mutant.name: judged(mutant, stage) for mutant in SAMPLE}


@pytest.fixture(scope="module")
def measured(runs: dict[str, Result]) -> dict[str, bool]:
    """Server → whether a default run finds its bug."""
    return {mutant.name: reported(mutant, runs[mutant.name]) for mutant in SAMPLE}


def test_a_default_run_finds_most(measured: dict[str, bool]) -> None:
    assert len(measured) >= 5
    assert sum(measured.values()) >= MOST * len(measured), measured


def test_a_bug_fails_a_default_run_unless_the_page_says_that_it_is_reported_only(
    runs: dict[str, Result], measured: dict[str, bool]
) -> None:
    for mutant in (each for each in SAMPLE if measured[each.name]):
        decided = {outcome.check.id for outcome in runs[mutant.name].deciding("broken", "flaky")}
        assert (mutant.kills in decided) is not is_reported_only(mutant), mutant.name


def test_the_page_says_of_default_runs_what_is_measured(measured: dict[str, bool]) -> None:
    """If this fails: `make mutants`."""
    known = recorded(PAGE.read_text("utf-8"))
    assert {name: known[name] for name in measured} == measured
    assert sum(known.values()) >= MOST * len(mutants())


def test_the_page_lists_every_server_with_its_bug_and_its_check() -> None:
    """If this fails: `make mutants`."""
    written = PAGE.read_text("utf-8")
    assert written == page(recorded(written))


LATEST = "criterion-1@v12"


def numbered(ids: dict[str, str]) -> App:
    """A server where every version exists, and some ids are taken for others."""

    def other(request: Request) -> Request:
        header = json.dumps([ids.get(each, each) for each in asked(request)])
        named = replace(request, headers={**request.headers, "op-criteria": header})
        criterion = request.json().get("criterion_id")
        return with_members(named, criterion_id=ids.get(criterion, criterion))

    return answering_as(lambda request: True, other)(Habits(closed=False))


@pytest.mark.parametrize(
    ("ids", "says"),
    [
        ({"criterion-1": LATEST}, ""),
        ({"criterion-1": "criterion-1@v9"}, "criterion-1 scores as criterion-1@v9 does"),
        ({"criterion-1": "criterion-1@v11"}, "criterion-1 scores as criterion-1@v11 does"),
        ({"criterion-1": LATEST, LATEST: "criterion-1@v1"}, f"{LATEST} scores as criterion-1@v1 does"),
    ],
    ids=["right", "by-spelling", "one-too-low", "first-digit"],
)
def test_what_is_taken_for_the_latest_version_is_found_out(ids: dict[str, str], says: str) -> None:
    """The user names the latest version and no other."""
    known = {"criteria": ("criterion-1", "criterion-2"), "latest": ("criterion-1=v12",)}
    result = verdict_on(numbered(ids), only=("judge.latest", "criteria.latest"), **known)
    assert result.verdict == ("broken" if says else "kept"), told(result) + result.open_questions
    broken = {outcome.check.id for outcome in result.breaks}
    assert broken == ({"criteria.latest", "judge.latest"} if says else set())
    assert all(says in sentence for sentence in told(result))


def test_ids_without_versions_show_that_keys_carry_one() -> None:
    [mutant] = [each for each in mutants() if each.kills == "criteria.results.keys"]
    result = verdict_on(mutant.make(Habits()), criteria=("criterion-1", "criterion-2"), latest=())
    assert "criteria.results.keys" in states(result, "broken"), told(result)
    assert result.verdict == "broken"
