"""Reports on what a client did under `exec`: text, JSON, JUnit and a page, all made from a verdict."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from html import escape
from typing import Any

from openpipe_mock import __version__
from openpipe_mock.contract import reporting
from openpipe_mock.contract.reporting import Fact, JUnitCase, mark
from openpipe_mock.core.wording import counted, listed, short
from openpipe_mock.exec.verdict import Run, Verdict

Json = dict[str, Any]

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
        left = counted(verdict.planned - len(verdict.runs), "variant")
        yield f"{left} not tried: {_reason(verdict)}"
    for note in notes(verdict):
        yield f"warning: {note}"
    for run in verdict.runs:
        if run.broke:
            yield from _broken(verdict, run)
    for run in verdict.runs:
        if run.unseen:
            more = counted(run.unseen, "request")
            yield f"{run.name}: {more} came behind those that a run keeps, and nobody looked at them"
    if verdict.first.tolerated:
        yield f"exact validation would refuse what stands at {listed(verdict.first.tolerated, 'and')}"
    for name, line in _told_once(verdict):
        yield f"warning{name}: {line}"
    for line in dict.fromkeys(line for run in verdict.runs for line in run.missed[:_MOST_SHOWN]):
        yield f"not recorded: {line}"


def _broken(verdict: Verdict, run: Run) -> Iterator[str]:
    """What broke in a run, and the command line that repeats it."""
    if run.variant:
        yield f"variant {run.name}: {run.variant.sentence}"
        if run.variant.unless_named:
            yield f"  this variant is off unless named: {run.variant.unless_named}"
    if run.differs:
        yield f"  {run.differs}"
    yield from _cut(f"  {lack}" for lack in run.lacks)
    if run.new:
        yield f"{'  ' if run.variant else ''}{_breaks(run)}:"
    yield from _cut(f"  {breach}" for breach in run.new)
    for name, lines in _circumstances(run):
        yield f"  {name}:"
        yield from (f"    {line}" for line in lines)
    if run.variant:
        yield f"  again: {_again(verdict, run)}"


def _cut(lines: Iterable[str]) -> Iterator[str]:
    """The first `_MOST_SHOWN` lines, and how many more there are."""
    every = [*lines]
    yield from every[:_MOST_SHOWN]
    if len(every) > _MOST_SHOWN:
        yield f"  … and {len(every) - _MOST_SHOWN} more"


def _circumstances(run: Run) -> Iterator[tuple[str, Sequence[str]]]:
    """What a client that broke under a variant printed and asked last: a name each, and lines."""
    if not run.variant:
        return
    if run.tail:
        yield "the end of what it printed", run.tail
    if run.last:
        last = run.last
        lines = [f"{last.request} ({last.id})", *last.body.splitlines()]
        answer = [line for line in last.answer.splitlines() if line.strip()]
        yield "the last exchange", [*lines, f"answer {last.status}", *answer][:_MOST_SHOWN]


def _breaks(run: Run) -> str:
    return f"{counted(len(run.new), 'break')} of the contract"


def _told_once(verdict: Verdict) -> Iterator[tuple[str, str]]:
    """Each broken rule once: the run's name in brackets, "" for the plain run, and the warning."""
    known: set[str] = set()
    for run in verdict.runs:
        for warning in run.warnings:
            if warning.rule.name not in known:
                known.add(warning.rule.name)
                yield f" ({run.name})" if run.variant else "", str(warning)


def _asked(requests: Mapping[str, int]) -> str:
    """How many requests came: `4 requests: 3 judge, 1 chat`."""
    told = ", ".join(f"{number} {endpoint}" for endpoint, number in sorted(requests.items()))
    total = counted(sum(requests.values()), "request")
    return f"{total}: {told}" if told else "no request"


def _again(verdict: Verdict, run: Run) -> str:
    """The command line that repeats a run."""
    flag = f" --variant {run.variant.name}" if run.variant else ""
    return verdict.reproduce.replace("openpipe-mock exec", f"openpipe-mock exec{flag}", 1)


def _title(verdict: Verdict) -> str:
    return verdict.name or short(verdict.command, _MOST_OF_COMMAND)


def _headline(verdict: Verdict) -> str:
    """The verdict in a sentence."""
    first, command = verdict.first, _title(verdict)
    if first.code:
        return f"{command} ended with {first.code}; {_asked(first.requests)}"
    tried = [run for run in verdict.runs if run.variant]
    broke = [run.name for run in tried if run.broke]
    shown = f"{command} passed; {_asked(first.requests)}"
    if not tried or first.variant:
        return shown
    under = counted(len(tried), "variant")
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
        "name": verdict.name or None,
        "command": verdict.command,
        "seed": verdict.seed,
        "exit_code": verdict.exit_code,
        "summary": _headline(verdict),
        "notes": list(notes(verdict)),
        "stopped_by": verdict.stopped_by or None,
        "runs": [_run_as_json(verdict, run) for run in verdict.runs],
    }
    return reporting.json_text(told, 2)


def _run_as_json(verdict: Verdict, run: Run) -> Json:
    new = set(run.new)
    return {
        "name": run.name,
        "variant": run.variant and {"sentence": run.variant.sentence, "seed": run.variant.seed},
        "exit_code": run.code,
        "seconds": round(run.seconds, 3),
        "broke": run.broke,
        "differs": run.differs or None,
        "lacks": list(run.lacks),
        "requests": dict(run.requests),
        "requests_not_kept": run.unseen,
        "not_recorded": list(run.missed),
        "violations": [
            {
                "endpoint": breach.endpoint,
                "violation": breach.violation,
                "requests": list(breach.ids),
                "new": breach in new,
            }
            for breach in run.breaches
        ],
        "tolerated": list(run.tolerated),
        "warnings": [
            {
                "rule": warning.rule.name,
                "sentence": warning.rule.sentence,
                "remedy": warning.rule.remedy,
                "seen": [{"request": sight.id, "told": sight.told} for sight in warning.sights],
            }
            for warning in run.warnings
        ],
        "tail": list(run.tail),
        "last_exchange": run.last and asdict(run.last),
        "again": _again(verdict, run),
    }


# JUnit.


def exec_junit(verdict: Verdict) -> str:
    """A JUnit document for CI services, with one test case for each run."""
    cases = [_case(verdict, run) for run in verdict.runs]
    return reporting.junit(_suite(verdict), cases, sum(run.seconds for run in verdict.runs))


def _suite(verdict: Verdict) -> str:
    return f"openpipe-mock exec {verdict.name}".rstrip()


def _case(verdict: Verdict, run: Run) -> JUnitCase:
    output = "\n".join((_asked(run.requests), *(f"warning: {warning}" for warning in run.warnings)))
    case = JUnitCase(_suite(verdict), run.name, output=output, seconds=run.seconds)
    if run.broke or (run.code and not run.differs):
        broken = _breaks(run) if run.new else f"ended with {run.code}"
        message = run.differs or next(iter(run.lacks), broken)
        return replace(case, state="failure", message=message, text="\n".join(_broken(verdict, run)))
    return replace(case, state="skipped", message=next(notes(verdict))) if run.silent else case


# A page.

_WORDS = {"kept": "Nothing broke", "broken": "Something broke", "inconclusive": "Nothing was tested"}


def exec_page(verdict: Verdict) -> str:
    """An HTML page."""
    state = "inconclusive" if verdict.first.silent else "kept"
    if verdict.first.code or verdict.broken:
        state = "broken"
    facts = f"{_headline(verdict)}. Exit code {verdict.exit_code}, seed {verdict.seed}."
    return reporting.page(f"Client: {_title(verdict)}", state, _WORDS[state], facts, _body(verdict))


def _body(verdict: Verdict) -> Iterator[str]:
    for note in notes(verdict):
        yield f"<p>{mark('flaky', 'warning')}: {escape(note)}</p>"
    yield "<h2>Runs</h2>"
    heads = ("", "run", "exit", "requests", "breaks", "warnings", "s")
    yield reporting.table(heads, map(_row, verdict.runs))
    yield from reporting.section("What broke", [_break(verdict, run) for run in verdict.broken], "Nothing.")
    yield from reporting.section("Warnings", [_warning(*each) for each in _told_once(verdict)], "None.")


def _warning(name: str, line: str) -> str:
    rule, _, told = line.partition(": ")
    return f"<p>{mark('flaky', rule)}{escape(name)}: {escape(told)}</p>"


def _sentence(run: Run) -> str:
    return run.variant.sentence if run.variant else "The usual answers."


def _row(run: Run) -> tuple[str | int, ...]:
    state = "unchecked" if run.silent else "kept"
    if run.broke or run.code:
        state = "broken"
    sign = mark(state, "?" if state == "unchecked" else "")
    name = f'<code title="{escape(_sentence(run))}">{escape(run.name)}</code>'
    numbers = (run.code, sum(run.requests.values()), len(run.breaches), len(run.warnings))
    return sign, name, *numbers, f"{run.seconds:.1f}"


def _break(verdict: Verdict, run: Run) -> str:
    """A run in which something broke."""
    facts = [Fact("Difference", run.differs)] if run.differs else []
    facts += [Fact("Required", lack) for lack in run.lacks]
    facts += [Fact("Contract", str(breach)) for breach in run.new]
    facts += [Fact(name.capitalize(), "\n".join(lines), True) for name, lines in _circumstances(run)]
    facts.append(Fact("Again", _again(verdict, run), True, copy=True))
    return reporting.details(f"<code>{escape(run.name)}</code> {escape(_sentence(run))}", facts, opened=True)


MAKERS: Mapping[str, Callable[[Verdict], str]] = {".html": exec_page, ".xml": exec_junit, ".json": exec_json}
"""Ending of a report's file name → the function that makes the report."""
