"""The contract suite's report as JUnit XML: one test case for each check."""

import re
from collections.abc import Iterator
from xml.etree.ElementTree import Element, SubElement, tostring

from openpipe_mock.contract.findings import Outcome, Result
from openpipe_mock.contract.text import failure

_UNPRINTABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def report_junit(result: Result, rerun: str) -> str:
    """A JUnit document for CI services. Deviations that decide nothing pass and stand in `system-out`."""
    cases = list(_testcases(result, rerun))
    suite = Element("testsuite", name="openpipe-mock contract", tests=str(len(cases)))
    suite.set("failures", str(sum(case.find("failure") is not None for case in cases)))
    suite.set("errors", str(sum(case.find("error") is not None for case in cases)))
    suite.set("skipped", str(sum(case.find("skipped") is not None for case in cases)))
    suite.set("time", f"{result.seconds:.3f}")
    suite.extend(cases)
    whole = Element("testsuites")
    whole.append(suite)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + tostring(whole, encoding="unicode") + "\n"


def _testcases(result: Result, rerun: str) -> Iterator[Element]:
    for outcome in result.outcomes:
        yield _testcase(outcome, result, rerun)
    questions = [*result.open_questions, *result.crashes]
    if questions:
        case = Element("testcase", classname="contract", name="inconclusive")
        told = SubElement(case, "error", message=xml_safe(questions[0]))
        told.text = xml_safe("\n".join(questions))
        yield case


def _testcase(outcome: Outcome, result: Result, rerun: str) -> Element:
    area, _, name = outcome.check.id.partition(".")
    case = Element("testcase", classname=f"contract.{area}", name=name)
    told = "\n".join(failure(outcome, result.url, rerun)) if outcome.sightings else ""
    if outcome in result.breaks:
        message = xml_safe(f"{outcome.check.promise} {outcome.first.sentence}")
        SubElement(case, "failure", message=message).text = xml_safe(told)
    elif outcome.state == "unchecked":
        SubElement(case, "skipped", message=xml_safe("; ".join(outcome.reasons) or "nothing showed it"))
    elif told:
        SubElement(case, "system-out").text = xml_safe(told)
    return case


def xml_safe(text: str) -> str:
    """The text with U+FFFD in place of characters that XML can't carry."""
    return _UNPRINTABLE.sub("\ufffd", text)
