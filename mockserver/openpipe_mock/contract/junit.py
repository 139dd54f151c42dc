"""The contract suite's report as JUnit XML: one test case for each check."""

from collections.abc import Iterator

from openpipe_mock.contract.facts import failure, left_out, verdict
from openpipe_mock.contract.findings import Outcome, Result
from openpipe_mock.contract.reporting import JUnitCase, junit


def report_junit(result: Result, rerun: str) -> str:
    """A JUnit document for CI services.

    Known deviations and those of the baseline are skipped. Others that decide nothing pass, and stand in
    `system-out`.
    """
    told = {"verdict": verdict(result), "left out by the budget": left_out(result) or "nothing"}
    return junit("openpipe-mock contract", list(_cases(result, rerun)), result.seconds, told)


def _cases(result: Result, rerun: str) -> Iterator[JUnitCase]:
    failing = {outcome.check.id for outcome in result.breaks}
    before = {outcome.check.id for outcome in result.as_before}
    unknown = result.compared.unknown if result.compared else ()
    for outcome in result.outcomes:
        told = "not checked by the baseline" if outcome.check.id in unknown else "broken as in the baseline"
        excuse = told if outcome.check.id in before else outcome.excuse
        yield _case(outcome, result, rerun, outcome.check.id in failing, excuse)
    questions = [*result.open_questions, *result.crashes]
    if questions:
        yield JUnitCase("contract", "inconclusive", "error", questions[0], "\n".join(questions))


def _case(outcome: Outcome, result: Result, rerun: str, fails: bool, excuse: str) -> JUnitCase:
    area, _, name = outcome.check.id.partition(".")
    area = f"contract.{area}"
    told = "\n".join(failure(outcome, result.url, rerun)) if outcome.findings else ""
    if fails:
        return JUnitCase(area, name, "failure", f"{outcome.check.promise} {outcome.first.sentence}", told)
    if excuse:
        return JUnitCase(area, name, "skipped", excuse, told)
    if outcome.state == "unchecked":
        return JUnitCase(area, name, "skipped", "; ".join(outcome.reasons) or "nothing showed it")
    return JUnitCase(area, name, output=told)
