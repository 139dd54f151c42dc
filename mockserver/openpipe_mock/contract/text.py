"""The contract suite's reports as text and JSON, and the page docs/checks.md."""

import shlex
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from textwrap import wrap
from typing import Any

from openpipe_mock.contract.causes import Cause, causes
from openpipe_mock.contract.checks import MEANINGS, Check, catalogue, citation, decides, family_of
from openpipe_mock.contract.findings import (
    STANDINGS,
    STATES,
    CheckState,
    Finding,
    Outcome,
    Planned,
    Result,
    Standing,
)
from openpipe_mock.contract.probe import Exchange
from openpipe_mock.contract.reporting import Fact, json_text
from openpipe_mock.core.levels import LEVELS
from openpipe_mock.core.wording import counted, short

Json = dict[str, Any]
Paint = Callable[[str, str], str]
"""A function of a state or standing and a text, which gives the text in its colour."""

_COLUMNS = 80
_MOST_SHOWN, _LEAST_SHOWN = 600, 120
"""Characters of a body on one line: with `--verbose` and without."""
_MOST_CURL = 4000
_MOST_LISTED = 12
_MOST_SORTS = 3
"""Further sorts of one check's findings that a block names."""
_MOST_LINE = 200
_MOST_ROWS = 3
_MOST_NAMES = 6
_MOST_BODY, _MOST_ANSWER = 20_000, 4_000
"""Characters of a request's and of an answer's body that reports have."""
TITLES: dict[Standing, str] = {
    "before": "As in the baseline, which fails nothing:",
    "flaky": "Flaky: broken once, kept when asked again:",
    "reported": "Deviations beyond the level, which fail nothing:",
    "known": "Known deviations:",
    "lenient": "More is accepted than the contract allows, as the real service does:",
}
_TELLING = ("cache-control", "location", "retry-after")
"""Headers of an answer on which a finding may rest, beside its content type."""


def header(url: str, level: str, seed: int, budget: int) -> Iterator[str]:
    """Lines for before the run."""
    yield f"Contract suite against {url}"
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


def id_list(ids: tuple[str, ...] | list[str]) -> str:
    """The ids in one line, at most twelve names. Members of one family are summed up as a number."""
    families: dict[str, int] = {}
    for name in ids:
        family = family_of(name)
        families[family.id if family else name] = families.get(family.id if family else name, 0) + 1
    told = [name if name in ids else f"{name}.* ({count})" for name, count in families.items()]
    rest = [f"{len(told) - _MOST_LISTED} more"] if len(told) > _MOST_LISTED else []
    return ", ".join([*told[:_MOST_LISTED], *rest])


# The verdict.


def verdict(result: Result) -> str:
    """The verdict in a sentence, without its full stop."""
    before = len(result.as_before)
    same = f"; {before} as in the baseline" if before else ""
    if result.verdict == "broken":
        found = sum(bool(each.failing) for each in causes(result))
        anew = "broken anew" if result.compared else "broken"
        told = f"{counted(len(result.breaks), 'check')} at level {result.level}"
        return f"The contract is {anew}: {told}, {counted(found, 'cause')}{same}"
    if result.verdict == "inconclusive":
        return f"Inconclusive: {counted(len(result.open_questions), 'open question')}{same}"
    known = len(result.in_state("known"))
    if before:
        return f"No new break{same}"
    return (
        f"The contract is kept, but for {counted(known, 'known deviation')}"
        if known
        else "The contract is kept"
    )


def left_out(result: Result) -> str:
    """What the budget left out, in a sentence; "" if that is nothing."""
    left, parts = result.left_out, []
    if left.checks:
        parts.append(f"{counted(len(left.checks), 'check')} ({id_list(left.checks)})")
    if left.cases:
        parts.append(f"{counted(left.cases, 'further case')} of checks that were made")
    if not parts:
        return ""
    more = "--max-requests N sends more" if left.checks else "--thorough sends them all"
    return f"The budget of {result.budget} requests left out {' and '.join(parts)}; {more}."


def tally(result: Result) -> str:
    """What the run took, and how it ends."""
    return f"{result.requests} requests in {result.seconds:.1f} s, exit code {result.exit_code}"


# The report as text.


def plain(state: str, text: str) -> str:
    return text


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
    yield from (f"Remark: {remark}" for remark in result.remarks)
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
    yield from result.crashes
    yield ""
    yield from _table(result)
    yield f"{tally(result)}."


def _some(lines: list[str], verbose: bool) -> list[str]:
    """All lines, or the first of them and the number of the rest."""
    rest = len(lines) - _MOST_LISTED
    return (
        lines if verbose or rest <= 0 else [*lines[:_MOST_LISTED], f"and {rest} more; --verbose lists them."]
    )


def _overview(number: int, cause: Cause, paint: Paint) -> list[str]:
    """A cause in at most three lines."""
    head, told = f"{number:3}. ", f"{cause.name}  {cause.sentence}"
    lines = wrap(told, _COLUMNS - len(head), max_lines=_MOST_ROWS, placeholder=" …", break_on_hyphens=False)
    rows = [f"{head if place == 0 else ' ' * len(head)}{line}" for place, line in enumerate(lines)]
    return [row.replace(cause.name, paint("broken", cause.name), 1) for row in rows[:1]] + rows[1:]


def _block(number: int, cause: Cause, url: str, rerun: str, paint: Paint) -> Iterator[str]:
    level = cause.main.level
    yield f"{number}. {paint('broken', cause.name)} ({level}: {MEANINGS[level]})"
    yield f"  {cause.main.check.promise}"
    for fact in cause_facts(cause, url, rerun):
        if fact.name != "curl":
            yield _line_of(fact, _LEAST_SHOWN)
    yield ""


def _line_of(fact: Fact, most: int) -> str:
    return f"  {fact.name:9}{fact.text} {_short(fact.body, fact.size, most)}".rstrip()


def failure(outcome: Outcome, url: str, rerun: str, paint: Paint = plain) -> Iterator[str]:
    """Lines about one broken check: promise, source, request and answer, how to repeat it, what to do."""
    check = outcome.check
    state, level = paint(outcome.state, outcome.state.upper()), outcome.level
    yield f"{state} {check.id} ({level}: {MEANINGS[level]})"
    yield f"  {check.promise}"
    yield from (_line_of(fact, _MOST_SHOWN) for fact in check_facts(outcome, url, rerun))
    yield ""


def check_facts(outcome: Outcome, url: str, rerun: str) -> Iterator[Fact]:
    """What reports say of a check: its source, what was seen, sent and answered, and what to do."""
    more = len({each.case for each in outcome.findings}) - 1
    seen = outcome.first.placed + (f" (and in {counted(more, 'other case')})" if more > 0 else "")
    return _facts(outcome, [Fact("Seen", seen)], url, rerun)


def cause_facts(cause: Cause, url: str, rerun: str) -> Iterator[Fact]:
    """The same for a cause, with the other checks that it breaks."""
    more = f" (in {cause.cases} cases)" if cause.cases > 1 else ""
    facts = [Fact("Seen", f"{cause.sentence}{more}")]
    facts += [Fact("And", sentence) for sentence in cause.further[:_MOST_SORTS]]
    if len(cause.further) > _MOST_SORTS:
        facts.append(Fact("And", f"{len(cause.further) - _MOST_SORTS} more; --verbose and --json have them"))
    if cause.others:
        light = len(cause.outcomes) - cause.failing
        note = f"; {light} of these fail nothing" if light and cause.failing else ""
        facts.append(Fact("Breaks", f"{_names(cause)}{note}"))
    return _facts(cause.main, facts, url, rerun)


def _names(cause: Cause) -> str:
    """The other checks of a cause in one line."""
    rest = len(cause.others) - _MOST_NAMES
    return ", ".join([*cause.others[:_MOST_NAMES], *([f"{rest} more"] if rest > 0 else [])])


def _facts(outcome: Outcome, seen: Iterable[Fact], url: str, rerun: str) -> Iterator[Fact]:
    check, first, exchange = outcome.check, outcome.first, outcome.first.evidence
    if outcome.excuse:
        yield Fact("Excused", outcome.excuse)
    yield from seen
    if exchange:
        body = beginning(exchange.request.body, _MOST_BODY)
        yield Fact("Sent", sent(exchange, check), True, body, first.size)
        answer = beginning(exchange.body, _MOST_ANSWER)
        yield Fact("Answered", _answered(exchange), True, answer, len(answer))
        command = curl(first, url)
        if command:
            yield Fact("curl", command, True, copy=True)
    yield Fact("Rests on", f"“{citation(check.id, check.quote, first.pointer)}”")
    yield Fact("Remedy", check.remedy)
    yield Fact("Again", f"{rerun} --only {shlex.quote(first.case)}", True, copy=True)


def sent(exchange: Exchange, check: Check) -> str:
    """A request's method and path, and the headers on which a finding may rest; never the key."""
    request, parts = exchange.request, []
    for name, value in request.headers:
        usual = name.lower() == "content-type" and value == "application/json"
        if not usual or check.id.endswith(".content_type"):
            parts.append(f"{name}: {value}")
    if request.method == "POST" and not request.body:
        parts.append("no body")
    if request.body and not request.header("content-type"):
        parts.append("no content-type")
    if request.credential != "key":
        parts.append("no key" if request.credential == "none" else "a key that doesn't exist")
    return ", ".join([f"{request.method} {request.path}", *parts])


def _answered(exchange: Exchange) -> str:
    if exchange.failure:
        return exchange.failure
    told = [f"{name}: {exchange.header(name)}" for name in _TELLING if exchange.header(name)]
    return ", ".join([f"{exchange.status} {exchange.header('content-type')}".rstrip(), *told])


def beginning(body: bytes, most: int) -> str:
    """The first `most` characters of a body."""
    whole = body[: most + 4].decode("utf-8", "replace")
    return whole if len(body) <= most else f"{whole[:most]}…"


def _short(text: str, size: int, most: int) -> str:
    """The beginning of a body, on one line and without what would steer a terminal."""
    line = text.replace("\n", " ").replace("\r", " ")
    line = "".join(sign if sign.isprintable() else "\ufffd" for sign in line)
    return line if len(line) <= most else f"{line[:most]}… ({size} bytes)"


def curl(finding: Finding, url: str) -> str:
    """A shell command that sends the request again, "" where the body is too long or contains NUL."""
    if not finding.evidence or finding.size > _MOST_CURL or b"\x00" in finding.evidence.request.body:
        return ""
    request = finding.evidence.request
    words = ["curl", "-sS", "-i", "-X", request.method, shlex.quote(f"{url}{request.path}")]
    for name, value in request.headers:
        words += ["-H", shlex.quote(f"{name}: {value}")]
    if request.credential == "key":
        words += ["-H", '"Authorization: Bearer $OPENPIPE_API_KEY"']
    elif request.credential == "wrong":
        words += ["-H", "'Authorization: Bearer invalid-key'"]
    if request.body:
        words += ["--data-binary", shlex.quote(request.body.decode("utf-8", "replace"))]
    return " ".join(words)


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
    others = f"; also {_names(cause)}" if cause.others else ""
    return short(
        f"  {cause.name} ({cause.main.level}) {cause.sentence}{_excuse(cause.main)}{others}", _MOST_LINE
    )


def _outcome_line(outcome: Outcome) -> str:
    return f"  {outcome.check.id} ({outcome.level}) {outcome.first.placed}{_excuse(outcome)}"


def _excuse(outcome: Outcome) -> str:
    return f" ({outcome.excuse})" if outcome.excuse else ""


def _compared(result: Result) -> Iterator[str]:
    """The comparison with the baseline."""
    for word, ids in asdict(result.compared).items() if result.compared else ():
        yield f"{word.capitalize()} since the baseline: {id_list(ids) or 'none'}"


def _table(result: Result) -> Iterator[str]:
    """How many checks of each level are in which state."""
    yield f"{'checks':10}" + "".join(f"{level:>12}" for level in LEVELS)
    for state, counts in by_state(result):
        yield f"{state:10}" + "".join(f"{count:12}" for count in counts)
    light = [level for level in LEVELS if not decides(level, result.level)]
    if light:
        yield f"What is told at level {' and '.join(light)} fails nothing."


def by_state(result: Result) -> Iterator[tuple[CheckState, list[int]]]:
    """The states that checks are in, each with how many of each level."""
    for state in STATES:
        levels = [outcome.level for outcome in result.in_state(state)]
        if levels:
            yield state, [*map(levels.count, LEVELS)]


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
        "body": beginning(request.body, _MOST_BODY),
        "size": len(request.body),
        "status": exchange.status,
        "failure": exchange.failure,
        "content_type": exchange.header("content-type"),
        "answer": beginning(exchange.body, _MOST_ANSWER),
    }
