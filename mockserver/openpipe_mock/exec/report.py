"""Reports on what a client did under `exec`: text, JSON, JUnit and a page, all made from a verdict."""

import json
from collections.abc import Callable, Iterator, Mapping
from html import escape
from typing import Any
from xml.etree.ElementTree import Element, SubElement, tostring

from openpipe_mock import __version__
from openpipe_mock.contract.html import STYLE
from openpipe_mock.contract.junit import xml_safe
from openpipe_mock.core.wording import listed, short
from openpipe_mock.exec.verdict import Run, Verdict

Json = dict[str, Any]

_WRAPPED = "h1,p,summary{overflow-wrap:anywhere}"
_MOST_OF_COMMAND = 80
"""Characters of a command that the reports repeat."""
_MOST_SHOWN = 20
"""Breaches of one run that the text names."""
UNREACHED = (
    "no request reached the mock, so nothing was tested;"
    " does the command read OPENPIPE_BASE_URL or OPENAI_BASE_URL?"
)


def exec_text(verdict: Verdict) -> Iterator[str]:
    """The report as lines for a terminal or a log."""
    yield _headline(verdict)
    if len(verdict.runs) < verdict.planned:
        left = _counted(verdict.planned - len(verdict.runs), "variant")
        yield f"{left} not tried: {_reason(verdict)}"
    for note in notes(verdict):
        yield f"warning: {note}"
    for run in verdict.runs:
        if run.broke:
            yield from _broken(verdict, run)
    for run in verdict.runs:
        if run.unseen:
            more = _counted(run.unseen, "request")
            yield f"{run.name}: {more} came behind those that a run keeps, and nobody looked at them"
    for name, line in _told_once(verdict):
        yield f"warning{name}: {line}"


def _broken(verdict: Verdict, run: Run) -> Iterator[str]:
    """What broke in a run, and the command line that repeats it."""
    if run.variant:
        yield f"variant {run.name}: {run.variant.sentence}"
    if run.differs:
        yield f"  {run.differs}"
    if run.new:
        yield (
            f"  {_counted(len(run.new), 'break')} of the contract:"
            if run.variant
            else (f"{_counted(len(run.new), 'break')} of the contract:")
        )
    for breach in run.new[:_MOST_SHOWN]:
        yield f"  {breach}"
    if len(run.new) > _MOST_SHOWN:
        yield f"  … and {len(run.new) - _MOST_SHOWN} more"
    if run.variant:
        yield f"  again: {_again(verdict, run)}"


def _told_once(verdict: Verdict) -> Iterator[tuple[str, str]]:
    """Each broken rule once: the run's name in brackets, "" for the plain run, and the warning."""
    known: set[str] = set()
    for run in verdict.runs:
        for warning in run.warnings:
            if warning.rule.name not in known:
                known.add(warning.rule.name)
                yield f" ({run.name})" if run.variant else "", str(warning)


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _asked(requests: Mapping[str, int]) -> str:
    """How many requests came: `4 requests: 3 judge, 1 chat`."""
    told = ", ".join(f"{number} {endpoint}" for endpoint, number in sorted(requests.items()))
    total = _counted(sum(requests.values()), "request")
    return f"{total}: {told}" if told else "no request"


def _again(verdict: Verdict, run: Run) -> str:
    """The command line that repeats a run."""
    flag = f" --variant {run.variant.name}" if run.variant else ""
    return verdict.reproduce.replace("openpipe-mock exec", f"openpipe-mock exec{flag}", 1)


def _headline(verdict: Verdict) -> str:
    """The verdict in a sentence."""
    first, command = verdict.first, short(verdict.command, _MOST_OF_COMMAND)
    if first.code:
        return f"{command} ended with {first.code}; {_asked(first.requests)}"
    tried = [run for run in verdict.runs if run.variant]
    broke = [run.name for run in tried if run.broke]
    shown = f"{command} passed; {_asked(first.requests)}"
    if not tried or first.variant:
        return shown
    under = _counted(len(tried), "variant")
    return f"{shown}; under {under}: {'broke under ' + listed(broke, 'and') if broke else 'nothing broke'}"


def notes(verdict: Verdict) -> Iterator[str]:
    """Warnings about runs in which no request came, so that nothing was tested, with a likely reason."""
    if verdict.first.silent:
        yield UNREACHED
        return
    silent = [run.name for run in verdict.runs if run.silent]
    if silent:
        where = listed(silent, "and")
        yield f"no request came under {where}: nothing was tested there; does the command keep old results?"


def _reason(verdict: Verdict) -> str:
    """Why variants were not tried."""
    if verdict.stopped_by:
        return "a signal ended it"
    return "the plain run has to pass first" if verdict.first.code else "they would test nothing"


# JSON.


def exec_json(verdict: Verdict) -> str:
    """The whole verdict as JSON, for programs."""
    told = {
        "openpipe_mock": __version__,
        "command": verdict.command,
        "seed": verdict.seed,
        "exit_code": verdict.exit_code,
        "summary": _headline(verdict),
        "notes": list(notes(verdict)),
        "stopped_by": verdict.stopped_by or None,
        "runs": [_run_as_json(verdict, run) for run in verdict.runs],
    }
    return json.dumps(told, indent=2, ensure_ascii=False) + "\n"


def _run_as_json(verdict: Verdict, run: Run) -> Json:
    new = set(run.new)
    return {
        "name": run.name,
        "variant": run.variant and {"sentence": run.variant.sentence, "seed": run.variant.seed},
        "exit_code": run.code,
        "seconds": round(run.seconds, 3),
        "broke": run.broke,
        "differs": run.differs or None,
        "requests": dict(run.requests),
        "requests_not_kept": run.unseen,
        "violations": [
            {
                "endpoint": breach.endpoint,
                "violation": breach.violation,
                "requests": list(breach.ids),
                "new": breach in new,
            }
            for breach in run.breaches
        ],
        "warnings": [
            {
                "rule": warning.rule.name,
                "sentence": warning.rule.sentence,
                "remedy": warning.rule.remedy,
                "seen": [{"request": sight.id, "told": sight.told} for sight in warning.sights],
            }
            for warning in run.warnings
        ],
        "again": _again(verdict, run),
    }


# JUnit.


def exec_junit(verdict: Verdict) -> str:
    """A JUnit document for CI services, with one test case for each run."""
    cases = [_testcase(verdict, run) for run in verdict.runs]
    suite = Element("testsuite", name="openpipe-mock exec", tests=str(len(cases)))
    suite.set("failures", str(sum(case.find("failure") is not None for case in cases)))
    suite.set("errors", "0")
    suite.set("skipped", str(sum(case.find("skipped") is not None for case in cases)))
    suite.set("time", f"{sum(run.seconds for run in verdict.runs):.3f}")
    suite.extend(cases)
    whole = Element("testsuites")
    whole.append(suite)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + tostring(whole, encoding="unicode") + "\n"


def _testcase(verdict: Verdict, run: Run) -> Element:
    case = Element(
        "testcase", classname="openpipe-mock exec", name=xml_safe(run.name), time=f"{run.seconds:.3f}"
    )
    if run.broke or (run.code and not run.differs):
        told = list(_broken(verdict, run))
        message = run.differs or (
            f"{_counted(len(run.new), 'break')} of the contract" if run.new else f"ended with {run.code}"
        )
        SubElement(case, "failure", message=xml_safe(message)).text = xml_safe("\n".join(told))
    elif run.silent:
        SubElement(case, "skipped", message=next(notes(verdict)))
    lines = [_asked(run.requests), *(f"warning: {warning}" for warning in run.warnings)]
    SubElement(case, "system-out").text = xml_safe("\n".join(lines))
    return case


# A page.


def exec_page(verdict: Verdict) -> str:
    """An HTML page, light and dark, for narrow and wide screens, without scripts or external files."""
    return "\n".join(_parts(verdict)) + "\n"


def _parts(verdict: Verdict) -> Iterator[str]:
    state = _state_of(verdict)
    yield '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width,initial-scale=1">'
    command = escape(short(verdict.command, _MOST_OF_COMMAND))
    yield f"<title>Client: {command}</title><style>{STYLE}{_WRAPPED}</style></head><body>"
    yield f"<h1>Client: <code>{command}</code></h1>"
    yield f'<p class="verdict is-{state}"><strong>{_WORDS[state]}.</strong>'
    yield f"{escape(_headline(verdict))}. Exit code {verdict.exit_code}, seed {verdict.seed}."
    yield f"openpipe-mock {__version__}</p>"
    for note in notes(verdict):
        yield f'<p><code class="flaky">warning</code>: {escape(note)}</p>'
    yield '<h2>Runs</h2><div class="wide"><table><tr><th></th><th>run</th><th>exit code</th>'
    yield "<th>requests</th><th>breaks</th><th>warnings</th><th>seconds</th></tr>"
    yield from map(_row, verdict.runs)
    yield "</table></div>"
    yield from _findings(verdict)
    yield from _advice(verdict)
    yield "</body></html>"


_WORDS = {"kept": "Nothing broke", "broken": "Something broke", "inconclusive": "Nothing was tested"}


def _state_of(verdict: Verdict) -> str:
    if verdict.first.code or verdict.broken:
        return "broken"
    return "inconclusive" if verdict.first.silent else "kept"


def _row(run: Run) -> str:
    bad = run.broke or run.code
    mark = '<span class="kept">✓</span>'
    if bad or run.silent:
        mark = '<span class="broken">✗</span>' if bad else '<span class="unchecked">?</span>'
    numbers = (run.code, sum(run.requests.values()), len(run.breaches), len(run.warnings))
    cells = "".join(f'<td class="n">{number}</td>' for number in numbers)
    title = escape(run.variant.sentence if run.variant else "The usual answers.")
    name = f'<td title="{title}"><code>{escape(run.name)}</code></td>'
    return f'<tr><td>{mark}</td>{name}{cells}<td class="n">{run.seconds:.1f}</td></tr>'


def _findings(verdict: Verdict) -> Iterator[str]:
    """The runs in which something broke."""
    yield f"<h2>What broke ({len(verdict.broken)})</h2>"
    if not verdict.broken:
        yield '<p class="muted">Nothing.</p>'
    for run in verdict.broken:
        yield f"<details open><summary><code>{escape(run.name)}</code> "
        yield f"{escape(run.variant.sentence if run.variant else 'The usual answers.')}</summary><dl>"
        if run.differs:
            yield f"<dt>difference</dt><dd>{escape(run.differs)}</dd>"
        for breach in run.new:
            yield f"<dt>contract</dt><dd>{escape(str(breach))}</dd>"
        yield f"<dt>again</dt><dd><pre>{escape(_again(verdict, run))}</pre></dd></dl></details>"


def _advice(verdict: Verdict) -> Iterator[str]:
    """Warnings about the client's conduct."""
    warnings = list(_told_once(verdict))
    yield f"<h2>Warnings ({len(warnings)})</h2>"
    if not warnings:
        yield '<p class="muted">None.</p>'
    for name, line in warnings:
        rule, _, told = line.partition(": ")
        yield f'<p><code class="flaky">{escape(rule)}</code>{escape(name)}: {escape(told)}</p>'


MAKERS: Mapping[str, Callable[[Verdict], str]] = {".html": exec_page, ".xml": exec_junit, ".json": exec_json}
"""Ending of a report's file name → the function that makes the report."""
