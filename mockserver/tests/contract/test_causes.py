"""What reports make one cause of, in which order they tell it, and all that for a fake with three bugs."""

import json
from dataclasses import replace
from functools import cache
from textwrap import wrap

import pytest

from openpipe_mock.contract.causes import Cause, causes
from openpipe_mock.contract.checks import find
from openpipe_mock.contract.deviations import against_baseline
from openpipe_mock.contract.findings import Finding, Outcome, Planned, Result
from openpipe_mock.contract.html import report_page
from openpipe_mock.contract.probe import Exchange, Request
from openpipe_mock.contract.summary import report_summary
from openpipe_mock.contract.text import header, plan, report_json, report_text
from tests.contract.fakes import careless
from tests.judging import verdict_on

AGAIN = "openpipe-mock contract http://mock.test/api/v1"
SENT = Request("POST", "/chat/completions", b"{}")
CRASHED, ACCEPTED, REFUSED = (Exchange(SENT, status) for status in (500, 200, 400))


def broken(check: str, evidence: Exchange = ACCEPTED, *more: str, level: str = "") -> Outcome:
    """A check that is broken, with a finding for each sentence."""
    sentences = more or (f"{check} is broken.",)
    found = find(check)
    findings = [
        Finding(check, each, "", "broken", level or found.level, evidence, f"{check}[{number}]")
        for number, each in enumerate(sentences)
    ]
    return Outcome(found, "broken", tuple(findings))


def lenient(check: str) -> Outcome:
    made = broken(check)
    return replace(made, state="lenient", findings=(replace(made.findings[0], kind="lenient"),))


def result(*outcomes: Outcome) -> Result:
    return Result("http://mock.test/api/v1", "sdk", 0, 400, Planned(), outcomes)


def names(*outcomes: Outcome) -> list[str]:
    return [cause.name for cause in causes(result(*outcomes))]


def only(*outcomes: Outcome) -> Cause:
    [cause] = causes(result(*outcomes))
    return cause


def test_checks_with_one_remedy_have_one_cause() -> None:
    cause = only(broken("judge.response.score"), broken("chat.response.score"))
    assert (cause.name, cause.others) == ("judge.response.score", ["chat.response.score"])
    assert names(broken("judge.response.score"), broken("criteria.sorted")) == [
        "judge.response.score",
        "criteria.sorted",
    ]


def test_the_cases_of_a_family_are_counted() -> None:
    kept = [Outcome(find(f"judge.rejects.{name}.type"), "kept") for name in ("C", "D")]
    unseen = Outcome(find("judge.rejects.E.type"), "unchecked")
    cases = [broken(f"judge.rejects.{name}.type") for name in ("A", "B")]
    told = only(*cases, *kept, unseen).sentence
    assert told == "2 of 4 kinds are accepted; first: A.type: judge.rejects.A.type is broken."
    told = only(broken("judge.accepts.a", REFUSED), broken("judge.accepts.b", REFUSED)).sentence
    assert told.startswith("2 of 2 kinds are refused; first: a: ")
    assert only(*cases[:1]).name == "judge.rejects.A.type", "one case goes by its own name"


def test_a_server_that_validates_nothing_has_one_cause() -> None:
    cause = only(
        broken("judge.errors.malformed_json"),
        *(broken(f"judge.rejects.{name}.type") for name in ("A", "B")),
        *(broken(f"chat.rejects.{name}.type", level="decision") for name in ("A", "B")),
        broken("judge.errors.wrong_key", level="source"),
        lenient("chat.errors.unknown_model"),
        broken("criteria.malformed", level="decision"),
        broken("chat.stream.errors", level="sdk"),
    )
    assert cause.name == "judge.rejects"
    assert cause.failing == 4, "the others are reported only"
    assert "chat.rejects (2 of 2)" in cause.others


def test_a_crash_is_one_cause_whatever_it_breaks() -> None:
    crash = [broken("chat.no_5xx", CRASHED), broken("chat.errors.malformed_json", CRASHED)]
    cause = only(*crash, broken("chat.accepts.n", CRASHED))
    assert cause.name == "chat.no_5xx"
    assert set(cause.others) == {"chat.errors.malformed_json", "chat.accepts.n"}
    assert set(names(*crash, broken("chat.accepts.n", REFUSED))) == {"chat.accepts.n", "chat.no_5xx"}


def test_one_mistake_in_answer_and_stream_is_one_cause() -> None:
    sentences = ('expected "stop", got "done".', 'expected "stop" or null, got "done".')
    checks = ("chat.response.schema", "chat.stream.chunks")
    found = [broken(check, ACCEPTED, told) for check, told in zip(checks, sentences, strict=True)]
    assert only(*found).others == ["chat.stream.chunks"]
    other = broken("chat.stream.chunks", ACCEPTED, '"id" is missing.')
    assert names(found[0], other) == ["chat.response.schema", "chat.stream.chunks"]


def test_the_worst_cause_comes_first() -> None:
    expected = [
        "judge.response.schema",  # a must, documented
        "chat.stream.chunks",  # a must, sdk
        "criteria.results.keys",
        "chat.no_5xx",
        "judge.error.body",  # the form of an error, though a must
        "judge.errors.malformed_json",
        "chat.stream.no_cache",  # beyond the level
        "chat.model",
    ]
    own = {"chat.no_5xx": CRASHED, "judge.error.body": REFUSED, "judge.errors.malformed_json": REFUSED}
    found = [broken(name, own.get(name, ACCEPTED)) for name in reversed(expected)]
    assert names(*found) == expected


def test_sorts_of_findings_are_told_once_without_their_numbers() -> None:
    sentences = ("the score 7 is too high.", "the score 8 is too high.", "the score is no number.")
    cause = only(broken("judge.response.score", ACCEPTED, *sentences))
    assert (cause.sentence, cause.further) == (sentences[0], [sentences[2]])
    assert cause.cases == 3


def test_what_fails_nothing_is_apart_by_its_standing() -> None:
    every = [broken(f"judge.rejects.{name}.type") for name in ("A", "B")]
    made = result(*every, broken("judge.errors.wrong_key", level="source"))
    [cause] = causes(
        against_baseline(made, {"judge.rejects.A.type": "broken", "judge.rejects.B.type": "kept"})
    )
    assert (cause.standing, cause.failing) == ("fails", 1), "what is new takes the rest along"
    before = dict.fromkeys((each.check.id for each in every), "broken")
    assert [each.standing for each in causes(against_baseline(made, before))] == ["before", "reported"]


# A fake with three bugs.


@cache
def fake_s() -> Result:
    """The suite's result for the fake, with whatever it asks by default."""
    return verdict_on(careless)


def lines(*, verbose: bool = False) -> list[str]:
    """What is printed of it, as lines of 80 columns."""
    found = fake_s()
    before = [*header(found.url, found.level, found.seed, found.budget), *plan(found.planned)]
    told = [*before, *report_text(found, AGAIN, verbose=verbose)]
    return [row for line in told for row in wrap(line, 80, break_on_hyphens=False) or [""]]


@pytest.mark.slow
def test_the_first_screen_has_the_verdict_and_the_three_bugs() -> None:
    screen = " ".join(" ".join(lines()[:24]).split())
    assert "The contract is broken: " in screen
    parts = (" is outside 0 to 1.", "no falling order", '"done"', "judge.rejects ")
    assert max(screen.index(part) for part in parts[:3]) < screen.index(parts[3])


@pytest.mark.slow
def test_a_cause_has_one_block_and_its_remedy_once() -> None:
    told = [*report_text(fake_s(), AGAIN)]
    assert len(told) <= 120
    for remedy in ("Scale or clamp scores", "Sort before answering", "Validate the body against Judge"):
        assert sum(remedy in line for line in told) == 1
    assert sum("judge.rejects (documented: " in line for line in told) == 1
    assert len(lines(verbose=True)) > 500


@pytest.mark.slow
def test_all_that_it_does_not_validate_is_one_cause_and_each_bug_another() -> None:
    failing = [cause for cause in causes(fake_s()) if cause.failing]
    unvalidated = [cause for cause in failing if ".rejects" in cause.name or ".errors" in cause.name]
    assert [cause.name for cause in unvalidated] == ["judge.rejects"]
    assert {"judge.response.score", "criteria.sorted", "chat.response.schema"} < {
        each.name for each in failing
    }
    told = json.loads(report_json(fake_s()))["causes"]
    assert [each["name"] for each in told[: len(failing)]] == [cause.name for cause in failing]


@pytest.mark.slow
def test_page_and_summary_of_it_are_short() -> None:
    assert len(report_page(fake_s(), AGAIN)) < 200_000
    assert len(report_summary(fake_s()).splitlines()) <= 40
