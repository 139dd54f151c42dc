"""Two servers compared: what differs and matters is told, with the smallest request; all else is not."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from openpipe_mock.contract import comparison
from openpipe_mock.contract.comparison import compare
from openpipe_mock.contract.findings import Result
from openpipe_mock.contract.probe import Request, wire
from openpipe_mock.contract.target import RunOptions, UsageProblem
from openpipe_mock.contract.text import report_text
from openpipe_mock.core.pointers import gather_types
from openpipe_mock.core.resources import folder
from tests.contract.foreign import foreign
from tests.inprocess import commanded, having
from tests.judging import KNOWN
from tests.live import Live
from tests.reference.habits import Habits
from tests.reference.killing import LONG, SHORT, sample
from tests.reference.mutants import mutants
from tests.reference.mutation import Mutant
from tests.reference.server import Reference
from tests.reference.serving import Stage
from tests.reference.serving import live as staged

pytestmark = [pytest.mark.slow, pytest.mark.measured]

Json = Any
SAMPLE = sample(mutants())[::12]


@pytest.fixture(scope="module")
def pair() -> Iterator[tuple[Stage, Stage]]:
    with staged(Reference()) as left, staged(Reference()) as right:
        yield left, right


def compared(pair: tuple[Stage, Stage], **options: Any) -> Result:
    left, right = (RunOptions(stage.base_url, **{**KNOWN, **options}) for stage in pair)
    return compare(left, right)


def differing(result: Result) -> set[str]:
    """The kinds of differences."""
    return {outcome.check.id.split(".")[1] for outcome in result.in_state("broken")}


@pytest.mark.parametrize("jobs", [1, 4])
def test_a_server_compared_with_itself_differs_in_nothing(live: Live, jobs: int) -> None:
    options = RunOptions(live.base_url, jobs=jobs, max_requests=80)
    result = compare(options, options, exact=True)
    assert (result.verdict, result.exit_code, result.in_state("broken")) == ("kept", 0, [])
    assert result.remarks[0].endswith("requests got an answer of both.")


def test_texts_and_scores_may_differ_unless_they_are_asked_for(pair: tuple[Stage, Stage]) -> None:
    pair[1].app = Reference(Habits(unstable=True))
    left, right = (RunOptions(stage.base_url, **KNOWN, only=("judge.accepts.*",)) for stage in pair)
    assert compare(left, right).exit_code == 0
    assert differing(compare(left, right, exact=True)) == {"exact"}


@pytest.mark.parametrize("mutant", SAMPLE, ids=lambda mutant: mutant.name)
def test_a_bug_of_one_of_them_is_shown(mutant: Mutant, pair: tuple[Stage, Stage]) -> None:
    pair[0].app, pair[1].app = Reference(), mutant.make(Habits())
    timeout = SHORT if mutant.kills.endswith(".answers") else LONG
    result = compared(pair, only=(mutant.kills,), level="decision", timeout=timeout)
    assert result.exit_code == 1
    assert differing(result) - {"checks"} or mutant.kills in {
        outcome.check.id.removeprefix("compare.checks.") for outcome in result.in_state("broken")
    }


def test_each_cause_has_the_smallest_request(pair: tuple[Stage, Stage]) -> None:
    pair[0].app, pair[1].app = Reference(), Reference(Habits(wrong_method=404))
    result = compared(pair, only=("judge.errors.*",))
    assert differing(result) == {"refusal"}
    [outcome] = result.in_state("broken")
    assert outcome.check.id == "compare.refusal.judge.405_404"
    evidence = outcome.first.evidence
    assert evidence is not None
    assert outcome.first.size == min(finding.size for finding in outcome.findings)
    assert outcome.first.sentence == "the first answers 405, the second 404"


def test_an_endpoint_that_one_of_them_lacks_is_one_difference(pair: tuple[Stage, Stage]) -> None:
    pair[0].app, pair[1].app = Reference(), Reference()
    left, right = (
        RunOptions(f"{stage.base_url}{end}", **KNOWN) for stage, end in zip(pair, ("", "x"), strict=True)
    )
    result = compare(left, right)
    assert differing(result) >= {"reach"}
    assert len([each for each in result.in_state("broken") if ".reach." in each.check.id]) == 2


def test_where_neither_answers_nothing_can_be_told() -> None:
    nobody = RunOptions("http://127.0.0.1:9/api/v1")
    assert compare(nobody, nobody).exit_code == 3
    with pytest.raises(UsageProblem):
        compare(RunOptions("nowhere"), nobody)


def test_recorded_requests_are_compared_too(live: Live) -> None:
    options = RunOptions(live.base_url, only=("judge.accepts_dumped_message",))
    body = wire(having(criterion_id="recorded"))
    recorded = [Request("POST", "/criteria/judge", body, (("content-type", "application/json"),))]
    result = compare(options, options, recorded=recorded)
    few = compare(options, options)
    counts = [int(each.remarks[0].split()[0]) for each in (few, result)]
    assert counts[1] == counts[0] + 1


def lines(result: Result) -> list[str]:
    """What is told before the blocks about each cause."""
    told = list(report_text(result, "openpipe-mock compare LEFT RIGHT"))
    return told[1 : told.index("", 1)]


def test_what_aimock_lacks_is_said_in_few_lines(live: Live, tmp_path: Path) -> None:
    fixtures = tmp_path / "fixtures.json"
    answer = {"match": {}, "response": {"content": "One, two, three."}}
    fixtures.write_text(json.dumps({"fixtures": [answer]}), "utf-8")
    with foreign("aimock", "llmock", "--fixtures", str(fixtures)) as origin:
        told = lines(
            compare(RunOptions(live.base_url, endpoint="chat"), RunOptions(f"{origin}/v1", endpoint="chat"))
        )
        judge = RunOptions(live.base_url, max_requests=20), RunOptions(f"{origin}/v1", max_requests=20)
        assert "compare.reach.judge.second" in "\n".join(lines(compare(*judge)))
    text = "\n".join(told)
    assert told[0].startswith("The servers differ: ")
    assert "compare.choices.chat" in text
    assert "compare.status.chat.400_200" in text


def test_what_prism_lacks_is_said_in_few_lines(live: Live) -> None:
    with foreign("prism", "prism", "mock", str(folder("schemas") / "openapi.yaml")) as origin:
        told = lines(
            compare(
                RunOptions(live.base_url, max_requests=150), RunOptions(origin, max_requests=150, timeout=2.0)
            )
        )
    text = "\n".join(told)
    assert told[0].startswith("The servers differ: ")
    assert "compare.choices.chat" in text


def test_an_answer_of_many_levels_is_compared_as_far_as_it_is_looked_at() -> None:
    deep: Json = "a"
    for _ in range(900):
        deep = [deep]
    shape: dict[str, set[str]] = {}
    gather_types(deep, shape)
    assert len(shape) == 101
    assert comparison._without(deep) != deep


# The command.


def test_the_command_tells_the_plan_writes_its_reports_and_ends_as_the_suite_does(
    pair: tuple[Stage, Stage], tmp_path: Path
) -> None:
    pair[0].app, pair[1].app = Reference(), Reference(Habits(wrong_method=404))
    files = {name: tmp_path / name for name in ("json", "junit", "html", "summary")}
    words = [*(f"--{name}={path}" for name, path in files.items()), "--only=judge.errors.method"]
    words += [f"--criterion={KNOWN['criteria'][0]}", f"--api-key={KNOWN['api_key']}"]
    words += [f"--model={KNOWN['models'][0]}"]
    found = commanded("compare", pair[0].base_url, pair[1].base_url, *words)
    assert found.exit_code == 1
    assert f"Asking {pair[0].base_url}\n  plan: " in found.output
    assert "The servers differ: 1 cause." in found.output
    report = json.loads(files["json"].read_bytes())
    assert (report["verdict"], report["exit_code"]) == ("broken", 1)
    assert report["causes"][0]["checks"] == ["compare.refusal.judge.405_404"]
    assert ElementTree.parse(files["junit"]).getroot() is not None
    assert "The servers differ" in files["html"].read_text("utf-8")
    assert files["summary"].read_text("utf-8").startswith("## ❌ The servers differ: 1 cause")
    assert KNOWN["api_key"] not in "".join(path.read_text("utf-8") for path in files.values()) + found.output


def test_the_command_ends_with_2_for_what_makes_no_sense(tmp_path: Path) -> None:
    assert commanded("compare", "nowhere", "http://127.0.0.1:9/api/v1").exit_code == 2
    assert commanded("compare", "http://127.0.0.1:9/api/v1").exit_code == 2
    lost = tmp_path / "none" / "report.json"
    url = "http://127.0.0.1:9/api/v1"
    assert commanded("compare", url, url, f"--json={lost}").exit_code == 2


def test_a_dry_run_prints_the_plan_and_sends_nothing() -> None:
    found = commanded("compare", "http://127.0.0.1:9/api/v1", "http://127.0.0.1:9/api/v1", "--dry-run")
    assert (found.exit_code, "plan: " in found.output) == (0, True)
