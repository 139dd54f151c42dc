"""The contract suite's report as one HTML page without external files."""

from collections.abc import Iterator, Mapping
from html import escape

from openpipe_mock.contract.causes import Cause, causes
from openpipe_mock.contract.checks import family_of
from openpipe_mock.contract.facts import TITLES, by_state, cause_facts, left_out, tally, verdict
from openpipe_mock.contract.findings import STANDINGS, STATES, Outcome, Result
from openpipe_mock.contract.reporting import MARKS, Fact, details, mark, page, section, table
from openpipe_mock.core.levels import LEVELS
from openpipe_mock.core.wording import short

_AREAS = {"judge": "judge", "chat": "chat", "criteria": "criteria", "": "both endpoints"}
_MOST_NOTES = 5
_MOST_SEEN = 160
"""Characters of a sentence in the list of causes."""


def report_page(result: Result, rerun: str) -> str:
    """An HTML page. `rerun`: the command that repeats the run."""
    told = f"Level {result.level}, seed {result.seed}. {tally(result)}."
    return page(f"Contract of {result.url}", result.verdict, verdict(result), told, _body(result, rerun))


def _body(result: Result, rerun: str) -> Iterator[str]:
    found = causes(result)
    failing = [cause for cause in found if cause.failing]
    yield from _overview(failing)
    yield from _notes([*result.open_questions, *result.remarks, *filter(None, [left_out(result)])])
    yield from _grid(result, found)
    told = [_cause(cause, result, rerun) for cause in failing]
    yield from section("What fails the run", told, "Nothing.")
    for standing in STANDINGS[1:]:
        own = [_cause(cause, result, rerun) for cause in found if cause.standing == standing]
        if own:
            yield f"<h3>{TITLES[standing]}</h3>"
            yield from own
    yield "<h2>Checks by level</h2>"
    yield table(("", *LEVELS), ([mark(state, state), *counts] for state, counts in by_state(result)))
    for crash in result.crashes:
        yield f"<h2>Traceback</h2><pre>{escape(crash)}</pre>"


def _overview(failing: list[Cause]) -> Iterator[str]:
    """The causes in a line each, with links to all that is known of them."""
    if failing:
        lines = (
            f'<li><a href="#{_anchor(cause)}"><code>{_breaking(cause.name)}</code></a>'
            f" {escape(short(cause.sentence, _MOST_SEEN))}</li>"
            for cause in failing
        )
        yield f'<ol class="causes">{"".join(lines)}</ol>'


def _notes(notes: list[str]) -> Iterator[str]:
    yield from (f"<p>{escape(note)}</p>" for note in notes[:_MOST_NOTES])
    rest = notes[_MOST_NOTES:]
    if rest:
        lines = "".join(f"<p>{escape(note)}</p>" for note in rest)
        yield f"<details><summary>{len(rest)} more notes</summary>{lines}</details>"


def _anchor(cause: Cause) -> str:
    return f"cause-{cause.main.check.id}"


def _grid(result: Result, found: list[Cause]) -> Iterator[str]:
    """Every check in a field of its area, a family as one; what has findings leads to its cause."""
    links = {
        outcome.check.id: f'class="{result.standing(outcome)}" href="#{_anchor(cause)}"'
        for cause in found
        for outcome in cause.outcomes
    }
    areas: dict[str, dict[str, list[Outcome]]] = {}
    for outcome in result.outcomes:
        family = family_of(outcome.check.id)
        area, _, name = (family.id if family else outcome.check.id).partition(".")
        column, name = (area, name) if area in _AREAS else (outcome.check.endpoint, _bare(outcome))
        areas.setdefault(column, {}).setdefault(name, []).append(outcome)
    yield "<h2>Checks</h2>"
    signs = [f"{mark(state)} {state}" for state in STATES]
    signs.insert(1, f"{mark('reported', MARKS['broken'])} broken, fails nothing")
    yield f'<p class="muted">{", ".join(signs)}</p>'
    for area in (each for each in _AREAS if each in areas):
        fields = "\n".join(_field(name, outcomes, links) for name, outcomes in areas[area].items())
        yield f'<h3>{_AREAS[area]}</h3><div class="grid">{fields}</div>'


def _bare(outcome: Outcome) -> str:
    """The name of a check that belongs to no area."""
    return outcome.check.id.removesuffix(f".{outcome.check.endpoint}")


def _field(name: str, outcomes: list[Outcome], links: Mapping[str, str]) -> str:
    """A check or family: its worst state, and how many of its members are in it."""
    worst = min(outcomes, key=lambda outcome: STATES.index(outcome.state))
    count = sum(outcome.state == worst.state for outcome in outcomes)
    many = f" {count}/{len(outcomes)}" if len(outcomes) > 1 else ""
    text = f"{MARKS[worst.state]} {_breaking(name)}{many}"
    title = f'title="{escape(worst.check.promise)}"'
    link = links.get(worst.check.id)
    return f"<a {link} {title}>{text}</a>" if link else f'<span class="{worst.state}" {title}>{text}</span>'


def _breaking(name: str) -> str:
    """A name as HTML that may be broken behind dots and underscores only."""
    return escape(name).replace(".", ".<wbr>").replace("_", "_<wbr>")


def _cause(cause: Cause, result: Result, rerun: str) -> str:
    sign = mark(cause.standing, f"{MARKS[cause.main.state]} {cause.main.state}")
    summary = (
        f'{sign} <code>{_breaking(cause.name)}</code> <span class="muted">{cause.main.level}</span>'
        f" {escape(short(cause.sentence, _MOST_SEEN))}"
    )
    facts = [Fact("Promise", cause.main.check.promise), *cause_facts(cause, result.url, rerun)]
    more = _members(cause) if len(cause.outcomes) > 1 else ""
    return details(summary, facts, more=more, name=_anchor(cause), state=cause.standing)


def _members(cause: Cause) -> str:
    """All checks of a cause, each with what it saw."""
    lines = (
        f"<dt><code>{_breaking(each.check.id)}</code> {each.level}, {each.state}</dt>"
        f"<dd>{escape(each.first.placed)}</dd>"
        for each in cause.outcomes
    )
    summary = f"All {len(cause.outcomes)} checks that it breaks"
    return f"<details><summary>{summary}</summary><dl>{''.join(lines)}</dl></details>"
