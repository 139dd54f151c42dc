"""The contract suite's report as one HTML page without external files."""

from collections.abc import Iterator, Mapping
from html import escape
from itertools import starmap

from openpipe_mock.contract.checks import MEANINGS, family_of
from openpipe_mock.contract.findings import STATES, Outcome, Result
from openpipe_mock.contract.reporting import MARKS, Fact, details, mark, page, section, table
from openpipe_mock.contract.text import COLUMNS, VERDICT_WORDS, by_level, check_facts
from openpipe_mock.core.levels import LEVELS, Level

_AREAS = ("judge", "chat", "criteria", "")


def report_page(result: Result, rerun: str) -> str:
    """An HTML page. `rerun`: the command that repeats the run."""
    spent = f"{result.requests} of {result.budget} requests, {result.seconds:.1f} s."
    told = f"Level {result.level}, seed {result.seed}, {spent}"
    words = VERDICT_WORDS[result.verdict]
    return page(f"Contract of {result.url}", result.verdict, words, told, _body(result, rerun))


def _body(result: Result, rerun: str) -> Iterator[str]:
    for note in (*result.open_questions, *result.remarks):
        yield f"<p>{escape(note)}</p>"
    yield "<h2>By level</h2>"
    yield table(("level", *COLUMNS), (_counts(result, level) for level in LEVELS))
    found = [outcome for state in STATES for outcome in result.in_state(state) if outcome.findings]
    yield from section("Findings", [_finding(outcome, result, rerun) for outcome in found], "None.")
    yield from _matrix(result)
    for crash in result.crashes:
        yield f"<h2>Traceback</h2><pre>{escape(crash)}</pre>"


def _counts(result: Result, level: Level) -> Iterator[str | int]:
    """A row of the table by level."""
    yield f'<span title="{escape(MEANINGS[level])}">{level}</span>'
    yield from by_level(result, level)


def _matrix(result: Result) -> Iterator[str]:
    """A table of checks by endpoint; a cell sums up a family's members."""
    rows: dict[str, dict[str, list[Outcome]]] = {}
    for outcome in result.outcomes:
        family = family_of(outcome.check.id)
        area, _, name = (family.id if family else outcome.check.id).partition(".")
        column, name = (area, name) if area in _AREAS else (outcome.check.endpoint, outcome.check.id)
        rows.setdefault(name, {}).setdefault(column, []).append(outcome)
    yield "<h2>Checks</h2>"
    yield table(("", *(area or "both" for area in _AREAS)), starmap(_area_cells, rows.items()))
    yield f'<p class="muted">{", ".join(f"{mark(state)} {state}" for state in STATES)}</p>'


def _area_cells(name: str, columns: Mapping[str, list[Outcome]]) -> Iterator[str]:
    """A row of the table by endpoint."""
    yield f"<code>{_breaking(name)}</code>"
    yield from (_cell(columns.get(area, [])) for area in _AREAS)


def _breaking(name: str) -> str:
    """A name as HTML that may be broken behind dots and underscores only."""
    return escape(name).replace(".", ".<wbr>").replace("_", "_<wbr>")


def _cell(outcomes: list[Outcome]) -> str:
    """The worst state of some outcomes, and how many of them are in it if there are several."""
    if not outcomes:
        return ""
    present = [outcome.state for outcome in outcomes]
    state = min(present, key=STATES.index)
    many = f" {present.count(state)}/{len(present)}" if len(present) > 1 else ""
    return mark(state, f"{MARKS[state]}{many}", state)


def _finding(outcome: Outcome, result: Result, rerun: str) -> str:
    check = outcome.check
    reported = "" if outcome in result.deciding(outcome.state) else ", only reported"
    summary = (
        f"{mark(outcome.state, f'{MARKS[outcome.state]} {outcome.state}')} <code>{escape(check.id)}</code>"
        f' <span class="muted">{outcome.level}{reported}</span>'
    )
    every = check_facts(outcome, result.url, rerun)
    return details(summary, [Fact("Promise", check.promise), *every], opened=outcome in result.breaks)
