"""The contract suite's reports as text and JSON, and the page docs/checks.md."""

from collections.abc import Iterator
from dataclasses import asdict
from textwrap import wrap
from typing import Any

from openpipe_mock.contract.causes import Cause, causes
from openpipe_mock.contract.checks import MEANINGS, Check, catalogue, citation, decides
from openpipe_mock.contract.facts import (
    MOST_ANSWER,
    MOST_BODY,
    TITLES,
    Paint,
    beginning,
    by_state,
    cause_facts,
    fact_line,
    failure,
    id_list,
    left_out,
    plain,
    tally,
    verdict,
)
from openpipe_mock.contract.findings import STANDINGS, Finding, Outcome, Planned, Result
from openpipe_mock.contract.probe import Exchange
from openpipe_mock.contract.reporting import json_text
from openpipe_mock.core.levels import LEVELS
from openpipe_mock.core.wording import counted, printable, printable_lines, short

Json = dict[str, Any]
_COLUMNS = 80
_MOST_ROWS = 3
_MOST_LISTED = 12
_MOST_LINE = 200
_COMPARED = {
    "new": "New since the baseline",
    "gone": "Gone since the baseline",
    "unchanged": "Unchanged since the baseline",
    "unknown": "Broken, and not checked by the baseline",
}


def header(url: str, level: str, seed: int, budget: int) -> Iterator[str]:
    """Lines for before the run."""
    yield f"Contract suite against {printable(url)}"
    yield f"  level {level}, seed {seed}, at most {budget} requests"


def plan(planned: Planned, *, whole: bool = False) -> Iterator[str]:
    """Lines about the plan. `whole` names each check and its requests, and what the budget leaves out."""
    kept = f", {planned.reserve} kept back" if planned.reserve else ""
    size = f"{planned.bytes:,} bytes, at most {planned.tokens:,} tokens"
    yield f"  plan: {planned.requests} requests{kept}, {size}"
    if whole:
        width = max(map(len, planned.families), default=0)
        yield from (f"    {name:{width}} {cost:5}" for name, cost in planned.families.items())
        yield from _limits_of(planned)


def _limits_of(planned: Planned) -> Iterator[str]:
    if planned.shared:
        yield (
            f"  {planned.shared} valid requests are asked as {planned.bodies};"
            " where one of these is refused, halves of it show what is"
        )
    if planned.cut:
        yield f"  beyond the budget, {len(planned.cut)} checks: {id_list(planned.cut)}"
    if planned.more:
        yield f"  and {planned.more} further cases of checks that are made; --thorough makes all of them"


def report_text(result: Result, rerun: str, *, verbose: bool = False, paint: Paint = plain) -> Iterator[str]:
    """Lines for after the run: the verdict, the causes in a line each, then a block for each of them.

    `rerun` is the command that repeats the run, without `--only`. `verbose` has a block for each check.
    """
    every = causes(result)
    failing = [cause for cause in every if cause.failing]
    yield ""
    yield f"{paint(result.verdict, verdict(result))}."
    for number, cause in enumerate(failing, 1):
        yield from _overview(number, cause, paint)
    yield from (f"Not judged: {question}" for question in _some(result.open_questions, verbose))
    yield from (f"Remark: {printable(remark)}" for remark in result.remarks)
    yield ""
    for number, cause in enumerate(failing, 1):
        if verbose:
            for outcome in cause.outcomes:
                yield from failure(outcome, result.url, rerun, paint)
        else:
            yield from _block(number, cause, result.url, rerun, paint)
    yield from _others([cause for cause in every if not cause.failing], verbose, paint)
    yield from _compared(result)
    yield from filter(None, [left_out(result)])
    yield from map(printable_lines, result.crashes)
    yield ""
    yield from _table(result)
    yield f"{tally(result)}."


def _some(lines: list[str], verbose: bool) -> list[str]:
    """All lines, or the first of them and the number of the rest, without what would steer a terminal."""
    lines, rest = [*map(printable_lines, lines)], len(lines) - _MOST_LISTED
    return (
        lines if verbose or rest <= 0 else [*lines[:_MOST_LISTED], f"and {rest} more; --verbose lists them."]
    )


def _overview(number: int, cause: Cause, paint: Paint) -> list[str]:
    """A cause in at most three lines."""
    head, told = f"{number:3}. ", printable(f"{cause.name}  {cause.sentence}")
    lines = wrap(told, _COLUMNS - len(head), max_lines=_MOST_ROWS, placeholder=" …", break_on_hyphens=False)
    rows = [f"{head if place == 0 else ' ' * len(head)}{line}" for place, line in enumerate(lines)]
    return [row.replace(cause.name, paint("broken", cause.name), 1) for row in rows[:1]] + rows[1:]


def _block(number: int, cause: Cause, url: str, rerun: str, paint: Paint) -> Iterator[str]:
    level = cause.main.level
    yield f"{number}. {paint('broken', cause.name)} ({level}: {MEANINGS[level]})"
    yield f"  {cause.main.check.promise}"
    for fact in cause_facts(cause, url, rerun):
        if fact.name != "curl":
            yield fact_line(fact)
    yield ""


def _others(found: list[Cause], verbose: bool, paint: Paint) -> Iterator[str]:
    """What fails nothing, one line for each cause; `verbose` has one for each check."""
    for standing in STANDINGS[1:]:
        own = [cause for cause in found if cause.standing == standing]
        if own:
            yield paint(standing, TITLES[standing])
            told = (_outcome_line(each) for cause in own for each in cause.outcomes)
            yield from _some([*told] if verbose else [*map(_line, own)], verbose)
            yield ""


def _line(cause: Cause) -> str:
    """A cause that fails nothing, in a line."""
    told = f"{cause.sentence}{_excuse(cause.main)}"
    told = f"{told.removesuffix('.')}; also {cause.also}" if cause.others else told
    return short(f"  {cause.name} ({cause.main.level}) {told}", _MOST_LINE)


def _outcome_line(outcome: Outcome) -> str:
    return f"  {outcome.check.id} ({outcome.level}) {outcome.first.placed}{_excuse(outcome)}"


def _excuse(outcome: Outcome) -> str:
    return f" ({outcome.excuse})" if outcome.excuse else ""


def _compared(result: Result) -> Iterator[str]:
    """The comparison with the baseline."""
    for word, ids in asdict(result.compared).items() if result.compared else ():
        if word in _COMPARED:
            yield f"{_COMPARED[word]}: {printable(id_list(ids)) or 'none'}"


def _table(result: Result) -> Iterator[str]:
    """How many checks of each level are in which state."""
    yield f"{'checks':10}" + "".join(f"{level:>12}" for level in LEVELS)
    for state, counts in by_state(result):
        yield f"{state:10}" + "".join(f"{count:12}" for count in counts)
    light = [level for level in LEVELS if not decides(level, result.level)]
    if light:
        yield f"What is told at level {' and '.join(light)} fails nothing."


def documentation(members: dict[str, str]) -> str:
    """The text of docs/checks.md. `members` maps the ids of the families' members to their levels."""
    lines = [
        "# Checks",
        "",
        "What the contract suite checks. `openpipe-mock explain ID` says the same in a terminal. This page is"
        " made from the code: `openpipe-mock explain --markdown > docs/checks.md`.",
        "",
        "| level | means |",
        "| --- | --- |",
        *(f"| {level} | {meaning} |" for level, meaning in MEANINGS.items()),
        "",
        "A *must* is a check without which a run is inconclusive. Requests are those of one case; a check"
        " that names none looks at the answers that others asked for.",
        "",
    ]
    for check in catalogue().values():
        lines += [*_entry(check, sum(name.startswith(f"{check.id}.") for name in members))]
    return "\n".join(lines)


def _entry(check: Check, cases: int) -> Iterator[str]:
    facts = [check.level, *(["must"] if check.must else [])]
    if check.cost:
        facts.append(counted(check.cost, "request"))
    if check.family:
        facts.append(f"{cases} cases: `{check.id}.…`")
    yield f"## {check.id}"
    yield ""
    yield f"{check.promise} *({', '.join(facts)})*"
    yield ""
    yield f"> {check.quote}"
    yield ""
    yield f"Remedy: {check.remedy}"
    yield ""


def report_json(result: Result) -> str:
    """The whole result as JSON."""
    told = {
        "version": 1,
        "target": result.url,
        "level": result.level,
        "seed": result.seed,
        "verdict": result.verdict,
        "summary": f"{verdict(result)}.",
        "exit_code": result.exit_code,
        "requests": result.requests,
        "budget": result.budget,
        "seconds": round(result.seconds, 3),
        "remarks": result.remarks,
        "open_questions": result.open_questions,
        "crashes": result.crashes,
        "baseline": result.compared and asdict(result.compared),
        "left_out": {"sentence": left_out(result), **asdict(result.left_out)},
        "causes": [_cause_json(cause) for cause in causes(result)],
        "checks": [
            {
                "id": outcome.check.id,
                "level": outcome.level,
                "state": outcome.state,
                "decides": decides(outcome.level, result.level),
                "reasons": outcome.reasons,
                "excuse": outcome.excuse,
                "findings": [_finding_json(finding) for finding in outcome.findings],
            }
            for outcome in result.outcomes
        ],
    }
    return json_text(told, 1)


def _cause_json(cause: Cause) -> Json:
    check, first = cause.main.check, cause.main.first
    return {
        "name": cause.name,
        "standing": cause.standing,
        "level": cause.main.level,
        "sentence": cause.sentence,
        "rests_on": citation(check.id, check.quote, first.pointer),
        "remedy": check.remedy,
        "checks": [outcome.check.id for outcome in cause.outcomes],
    }


def _finding_json(finding: Finding) -> Json:
    return {
        "check": finding.check,
        "level": finding.level,
        "kind": finding.kind,
        "pointer": finding.pointer,
        "sentence": finding.sentence,
        "case": finding.case,
        "evidence": finding.evidence and _exchange_json(finding.evidence),
    }


def _exchange_json(exchange: Exchange) -> Json:
    """A request and its answer, without the key and with bodies shortened."""
    request = exchange.request
    return {
        "method": request.method,
        "path": request.path,
        "headers": request.headers,
        "credential": request.credential,
        "body": beginning(request.body, MOST_BODY),
        "size": len(request.body),
        "status": exchange.status,
        "failure": exchange.failure,
        "content_type": exchange.header("content-type"),
        "answer": beginning(exchange.body, MOST_ANSWER),
    }
