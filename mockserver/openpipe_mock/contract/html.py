"""The contract suite's report as one HTML page without external files."""

from collections.abc import Iterator
from html import escape

from openpipe_mock import __version__
from openpipe_mock.contract.checks import LEVELS, MEANINGS, family_of
from openpipe_mock.contract.findings import STATES, Outcome, Result, Sighting
from openpipe_mock.contract.text import COLUMNS, VERDICT_WORDS, curl

_MARKS = {"kept": "✓", "broken": "✗", "flaky": "~", "known": "k", "lenient": "+", "unchecked": "·"}
_AREAS = ("judge", "chat", "criteria", "")

STYLE = """
:root{color-scheme:light dark;--back:#fff;--fore:#1c2024;--muted:#5b6570;--line:#d8dde2;--card:#f4f6f8;
 --good:#1a7f37;--bad:#b42318;--odd:#9a5b00}
@media(prefers-color-scheme:dark){:root{--back:#14171a;--fore:#e6e9ec;--muted:#9aa4ae;--line:#343a40;
 --card:#1d2125;--good:#4ac26b;--bad:#ff7b72;--odd:#e3a93c}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:60rem;padding:1rem;background:var(--back);color:var(--fore);
 font:16px/1.5 system-ui,sans-serif}
h1{font-size:1.4rem;margin:.2rem 0;overflow-wrap:anywhere}h2{font-size:1.1rem;margin:1.6rem 0 .4rem}
code,pre{font:13px/1.45 ui-monospace,monospace}code{overflow-wrap:anywhere}
pre{overflow-x:auto;background:var(--card);padding:.6rem;border-radius:.4rem;margin:.2rem 0}
.verdict{border-left:.4rem solid var(--muted);padding:.4rem .8rem;background:var(--card)}
.verdict.is-broken{border-color:var(--bad)}.verdict.is-kept{border-color:var(--good)}
.verdict.is-inconclusive{border-color:var(--odd)}
.broken{color:var(--bad)}.kept{color:var(--good)}.flaky,.known,.lenient{color:var(--odd)}
.unchecked,.muted{color:var(--muted)}
.wide{overflow-x:auto}table{border-collapse:collapse;font-size:.9rem}
td,th{padding:.25rem .6rem;border-bottom:1px solid var(--line);text-align:left}
td code{overflow-wrap:normal}
td.n{text-align:right;font-variant-numeric:tabular-nums}
details{border:1px solid var(--line);border-radius:.4rem;margin:.4rem 0;padding:.4rem .7rem}
summary{cursor:pointer;overflow-wrap:anywhere}
dt{color:var(--muted);font-size:.85rem;margin-top:.5rem}dd{margin:0;overflow-wrap:anywhere}
"""


def report_page(result: Result, rerun: str) -> str:
    """An HTML page, light and dark, for narrow and wide screens. `rerun`: the command that repeats it."""
    return "\n".join(_parts(result, rerun)) + "\n"


def _parts(result: Result, rerun: str) -> Iterator[str]:
    title = f"Contract of {result.url}"
    yield '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width,initial-scale=1">'
    yield f"<title>{escape(title)}</title><style>{STYLE}</style></head><body>"
    yield f"<h1>{escape(title)}</h1>"
    yield f'<p class="verdict is-{result.verdict}"><strong>{VERDICT_WORDS[result.verdict]}.</strong> '
    yield f"Level {escape(result.level)}, seed {result.seed}, {result.requests} of {result.budget} requests,"
    yield f" {result.seconds:.1f} s. openpipe-mock {__version__}</p>"
    for note in (*result.open_questions, *result.remarks):
        yield f"<p>{escape(note)}</p>"
    yield from _summary(result)
    yield from _findings(result, rerun)
    yield from _matrix(result)
    for crash in result.crashes:
        yield f"<h2>Traceback</h2><pre>{escape(crash)}</pre>"
    yield "</body></html>"


def _summary(result: Result) -> Iterator[str]:
    yield '<h2>By level</h2><div class="wide"><table><tr><th>level</th>'
    yield "".join(f"<th>{title}</th>" for title, _ in COLUMNS) + "</tr>"
    for level in LEVELS:
        own = [outcome for outcome in result.outcomes if outcome.level == level]
        cells = (sum(outcome.state == state for outcome in own) for _, state in COLUMNS)
        row = "".join(f'<td class="n">{count}</td>' for count in cells)
        yield f'<tr><td title="{escape(MEANINGS[level])}">{level}</td>{row}</tr>'
    yield "</table></div>"


def _matrix(result: Result) -> Iterator[str]:
    """A table of checks by endpoint; a cell sums up a family's members."""
    rows: dict[str, dict[str, list[Outcome]]] = {}
    for outcome in result.outcomes:
        family = family_of(outcome.check.id)
        area, _, name = (family.id if family else outcome.check.id).partition(".")
        column, name = (area, name) if area in _AREAS else (outcome.check.endpoint, outcome.check.id)
        rows.setdefault(name, {}).setdefault(column, []).append(outcome)
    yield '<h2>Checks</h2><div class="wide"><table><tr><th></th>'
    yield "".join(f"<th>{area or 'both'}</th>" for area in _AREAS) + "</tr>"
    for name, columns in rows.items():
        cells = "".join(f"<td>{_cell(columns.get(area, []))}</td>" for area in _AREAS)
        yield f"<tr><td><code>{_breaking(name)}</code></td>{cells}</tr>"
    marks = ", ".join(f'<span class="{state}">{_MARKS[state]}</span> {state}' for state in STATES)
    yield f'</table></div><p class="muted">{marks}</p>'


def _breaking(name: str) -> str:
    """A name as HTML that may be broken behind dots and underscores only."""
    return escape(name).replace(".", ".<wbr>").replace("_", "_<wbr>")


def _cell(outcomes: list[Outcome]) -> str:
    """The worst state of some outcomes, and how many of them are in it if there are several."""
    if not outcomes:
        return ""
    present = {outcome.state for outcome in outcomes}
    state = next(state for state in STATES if state in present)
    count = sum(outcome.state == state for outcome in outcomes)
    many = f" {count}/{len(outcomes)}" if len(outcomes) > 1 else ""
    return f'<span class="{state}" title="{state}">{_MARKS[state]}{many}</span>'


def _findings(result: Result, rerun: str) -> Iterator[str]:
    found = [outcome for state in STATES for outcome in result.in_state(state) if outcome.sightings]
    yield f"<h2>Findings ({len(found)})</h2>"
    if not found:
        yield '<p class="muted">None.</p>'
    for outcome in found:
        opened = " open" if outcome in result.breaks else ""
        reported = "" if outcome in result.deciding(outcome.state) else ", only reported"
        state = f'<span class="{outcome.state}">{_MARKS[outcome.state]} {outcome.state}</span>'
        yield f"<details{opened}><summary>{state} "
        yield f"<code>{escape(outcome.check.id)}</code> "
        yield f'<span class="muted">{outcome.level}{reported}</span></summary>'
        yield f"<p>{escape(outcome.check.promise)}</p><dl>"
        yield from _detail(outcome, outcome.first, result.url, rerun)
        yield "</dl></details>"


def _detail(outcome: Outcome, first: Sighting, url: str, rerun: str) -> Iterator[str]:
    place = f"{first.pointer}: " if first.pointer else ""
    yield from _entry("seen", f"{place}{first.sentence}")
    yield from _entry("rests on", f"“{outcome.check.quote}”")
    yield from _entry("remedy", outcome.check.remedy)
    seen = first.evidence
    if seen:
        yield from _entry("sent", f"{seen['method']} {seen['path']}\n{seen['body']}", code=True)
        answer = seen["failure"] or f"{seen['status']} {seen['content_type']}"
        yield from _entry("answered", f"{answer}\n{seen['answer']}", code=True)
    yield from _entry("curl", curl(first, url), code=True)
    yield from _entry("again", f"{rerun} --only {first.case}", code=True)


def _entry(name: str, text: str, *, code: bool = False) -> Iterator[str]:
    if text:
        shown = f"<pre>{escape(text)}</pre>" if code else escape(text)
        yield f"<dt>{name}</dt><dd>{shown}</dd>"
