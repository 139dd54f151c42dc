"""The contract suite's report as JUnit XML: one test case for each check."""

from collections.abc import Iterator

from openpipe_mock.contract.findings import Outcome, Result
from openpipe_mock.contract.reporting import JUnitCase, junit
from openpipe_mock.contract.text import failure


def report_junit(result: Result, rerun: str) -> str:
    """A JUnit document for CI services. Deviations that decide nothing pass and stand in `system-out`."""
    return junit("openpipe-mock contract", list(_cases(result, rerun)), result.seconds)


def _cases(result: Result, rerun: str) -> Iterator[JUnitCase]:
    for outcome in result.outcomes:
        yield _case(outcome, result, rerun)
    questions = [*result.open_questions, *result.crashes]
    if questions:
        yield JUnitCase("contract", "inconclusive", "error", questions[0], "\n".join(questions))


def _case(outcome: Outcome, result: Result, rerun: str) -> JUnitCase:
    area, _, name = outcome.check.id.partition(".")
    area = f"contract.{area}"
    told = "\n".join(failure(outcome, result.url, rerun)) if outcome.findings else ""
    if outcome in result.breaks:
        return JUnitCase(area, name, "failure", f"{outcome.check.promise} {outcome.first.sentence}", told)
    if outcome.state == "unchecked":
        return JUnitCase(area, name, "skipped", "; ".join(outcome.reasons) or "nothing showed it")
    return JUnitCase(area, name, output=told)
