"""The contract suite's reports as text and JSON, and the page docs/checks.md."""

import shlex
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from openpipe_mock.contract.checks import MEANINGS, Check, catalogue, decides
from openpipe_mock.contract.findings import CheckState, Finding, Outcome, Planned, Result
from openpipe_mock.contract.probe import Exchange
from openpipe_mock.contract.reporting import Fact, json_text
from openpipe_mock.core.levels import LEVELS
from openpipe_mock.core.wording import counted

Json = dict[str, Any]

_MOST_SHOWN = 600
_MOST_CURL = 4000
_MOST_LISTED = 12
_MOST_BODY, _MOST_ANSWER = 20_000, 4_000
"""Characters of a request's and of an answer's body that reports have."""
VERDICT_WORDS = {
    "kept": "The contract is kept",
    "broken": "The contract is broken",
    "inconclusive": "Inconclusive",
}
_COMPARED = {
    "new": "New since the baseline",
    "gone": "Gone since the baseline",
    "unchanged": "Unchanged since the baseline",
    "unknown": "Broken, and not checked by the baseline",
}
COLUMNS: tuple[CheckState, ...] = ("kept", "broken", "flaky", "known", "lenient", "unchecked")
"""The columns of the table by level."""


def header(url: str, level: str, seed: int, budget: int) -> Iterator[str]:
    """Lines for before the run."""
    yield f"Contract suite against {url}"
    yield f"  level {level}, seed {seed}, at most {budget} requests"


def plan(planned: Planned, *, whole: bool = False) -> Iterator[str]:
    """Lines about the plan. `whole` names each check, else they are summed up by family."""
    kept = f", {planned.reserve} kept back to ask again" if planned.reserve else ""
    yield (
        f"  plan: {planned.requests} requests{kept}, {planned.bytes:,} bytes to send,"
        f" at most {planned.tokens:,} tokens to read and write"
    )
    groups: dict[str, int] = {}
    for family, cost in planned.families.items():
        name = family if whole else ".".join(family.split(".")[:2])
        groups[name] = groups.get(name, 0) + cost
    width = max(map(len, groups), default=0)
    yield from (f"    {name:{width}} {cost:5}" for name, cost in groups.items())
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
        family = ".".join(name.split(".")[:2]) if name.count(".") > 2 else name
        families[family] = families.get(family, 0) + 1
    told = [name if count == 1 else f"{name}.* ({count})" for name, count in families.items()]
    rest = [f"{len(told) - _MOST_LISTED} more"] if len(told) > _MOST_LISTED else []
    return ", ".join([*told[:_MOST_LISTED], *rest])


def report_text(result: Result, rerun: str) -> Iterator[str]:
    """Lines for after the run. `rerun` is the command that repeats it, without `--only`."""
    yield ""
    for outcome in result.breaks:
        yield from failure(outcome, result.url, rerun)
    yield from _others(result, rerun)
    yield from (f"Remark: {remark}" for remark in result.remarks)
    yield from (f"Not judged: {question}" for question in result.open_questions)
    yield from result.crashes
    yield ""
    yield from _table(result)
    yield ""
    yield _verdict(result)


def _verdict(result: Result) -> str:
    told = VERDICT_WORDS[result.verdict]
    if result.breaks:
        told = f"{told}: {counted(len(result.breaks), 'check')} at level {result.level}"
    return f"{told}. {result.requests} requests in {result.seconds:.1f} s, exit code {result.exit_code}."


def failure(outcome: Outcome, url: str, rerun: str) -> Iterator[str]:
    """Lines about one broken check: promise, source, request and answer, how to repeat it, what to do."""
    check = outcome.check
    yield f"{outcome.state.upper()} {check.id} ({outcome.level}: {MEANINGS[outcome.level]})"
    yield f"  {check.promise}"
    for fact in check_facts(outcome, url, rerun):
        yield f"  {fact.name:9}{fact.text} {_short(fact.body, fact.size)}".rstrip()
    yield ""


def check_facts(outcome: Outcome, url: str, rerun: str) -> Iterator[Fact]:
    """What reports say of a check: its source, what was seen, sent and answered, and what to do."""
    check, first, seen = outcome.check, outcome.first, outcome.first.evidence
    more = len({each.case for each in outcome.findings}) - 1
    yield Fact("Rests on", f"“{check.quote}”")
    yield Fact("Seen", first.placed + (f" (and in {more} other cases)" if more > 0 else ""))
    if seen:
        request, answer = seen.request, beginning(seen.body, _MOST_ANSWER)
        body = beginning(request.body, _MOST_BODY)
        yield Fact("Sent", f"{request.method} {request.path}", True, body, first.size)
        status = seen.failure or f"{seen.status} {seen.header('content-type')}"
        yield Fact("Answered", status, True, answer, len(answer))
        command = curl(first, url)
        if command:
            yield Fact("curl", command, True)
    yield Fact("Remedy", check.remedy)
    again = " ".join(f"--only {shlex.quote(each)}" for each in first.only)
    yield Fact("Again", f"{rerun} {again}", True)


def beginning(body: bytes, most: int) -> str:
    """The first `most` characters of a body."""
    whole = body[: most + 4].decode("utf-8", "replace")
    return whole if len(body) <= most else f"{whole[:most]}…"


def _short(text: str, size: int) -> str:
    """The beginning of a body, on one line."""
    line = " ".join(text.split("\n")).replace("\r", " ")
    return line if len(line) <= _MOST_SHOWN else f"{line[:_MOST_SHOWN]}… ({size} bytes)"


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


def _others(result: Result, rerun: str) -> Iterator[str]:
    """Outcomes that fail nothing, one line each, and the comparison with the baseline."""
    groups = (
        ("Deviations beyond the level, which fail nothing:", result.deviations),
        (
            "Broken before, too (baseline):",
            [each for each in result.deciding("broken") if each not in result.breaks],
        ),
        ("Flaky: broken once, kept when asked again:", result.in_state("flaky")),
        ("Known deviations:", result.in_state("known")),
        ("More is accepted than the contract allows, as the real service does:", result.in_state("lenient")),
    )
    for title, found in groups:
        if found:
            yield title
            yield from (_line(outcome) for outcome in found[:_MOST_LISTED])
            if len(found) > _MOST_LISTED:
                yield f"  and {len(found) - _MOST_LISTED} more; --json lists them all"
            yield ""
    for word, ids in asdict(result.compared).items() if result.compared else ():
        if word in _COMPARED:
            yield f"{_COMPARED[word]}: {', '.join(ids) or 'none'}"


def _line(outcome: Outcome) -> str:
    return f"  {outcome.check.id} ({outcome.level}) {outcome.first.placed}"


def _table(result: Result) -> Iterator[str]:
    """How many checks of each level are in which state."""
    yield f"{'level':12}" + "".join(f"{state:>11}" for state in COLUMNS)
    for level in LEVELS:
        note = "" if decides(level, result.level) else "  (only reported)"
        yield f"{level:12}" + "".join(f"{count:11}" for count in by_level(result, level)) + note


def by_level(result: Result, level: str) -> Iterator[int]:
    """How many checks of a level are in each of the states in COLUMNS."""
    own = [outcome.state for outcome in result.outcomes if outcome.level == level]
    yield from map(own.count, COLUMNS)


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
        "exit_code": result.exit_code,
        "requests": result.requests,
        "budget": result.budget,
        "seconds": round(result.seconds, 3),
        "remarks": result.remarks,
        "open_questions": result.open_questions,
        "crashes": result.crashes,
        "baseline": result.compared and asdict(result.compared),
        "checks": [
            {
                "id": outcome.check.id,
                "level": outcome.level,
                "state": outcome.state,
                "decides": outcome in result.deciding(outcome.state),
                "reasons": outcome.reasons,
                "findings": [_finding_json(finding) for finding in outcome.findings],
            }
            for outcome in result.outcomes
        ],
    }
    return json_text(told, 1)


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
