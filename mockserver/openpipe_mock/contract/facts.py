"""What every report of the contract suite says: the verdict, what was left out, the facts about a cause."""

import shlex
from collections.abc import Callable, Iterable, Iterator

from openpipe_mock.contract.causes import Cause, causes
from openpipe_mock.contract.checks import MEANINGS, Check, citation, family_of
from openpipe_mock.contract.findings import STATES, CheckState, Finding, Outcome, Result, Standing
from openpipe_mock.contract.probe import Exchange
from openpipe_mock.contract.reporting import Fact
from openpipe_mock.core.levels import LEVELS
from openpipe_mock.core.wording import counted, printable, printable_lines

Paint = Callable[[str, str], str]
"""A function of a state or standing and a text, which gives the text in its colour."""
_MOST_SHOWN, _LEAST_SHOWN = 600, 120
"""Characters of a body on one line: with `--verbose` and without."""
_MOST_CURL = 4000
_MOST_LISTED = 12
_MOST_SORTS = 3
"""Further sorts of one check's findings that a cause names."""
MOST_BODY, MOST_ANSWER = 20_000, 4_000
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


def verdict(result: Result) -> str:
    """The verdict in a sentence, without its full stop."""
    unknown = result.compared.unknown if result.compared else ()
    unasked = sum(outcome.check.id in unknown for outcome in result.as_before)
    before = len(result.as_before) - unasked
    told = [f"{before} as in the baseline"] if before else []
    told += [f"{unasked} not checked by the baseline"] if unasked else []
    return "; ".join([_judged(result), *told])


def _judged(result: Result) -> str:
    known = len(result.in_state("known"))
    if result.against and result.verdict != "inconclusive":
        found = sum(bool(cause.failing) for cause in causes(result))
        return f"The servers differ: {counted(found, 'cause')}" if found else "The servers don't differ"
    if result.verdict == "broken":
        anew = " anew" if result.compared else ""
        found = sum(bool(cause.failing) for cause in causes(result))
        told = f"{counted(len(result.breaks), 'check')} at level {result.level}, {counted(found, 'cause')}"
        return f"The contract is broken{anew}: {told}"
    if result.verdict == "inconclusive":
        return f"Inconclusive: {counted(len(result.open_questions), 'open question')}"
    if result.as_before:
        return "No new break"
    return "The contract is kept" + (f", but for {counted(known, 'known deviation')}" if known else "")


def left_out(result: Result) -> str:
    """What the budget left out, in a sentence; "" if that is nothing."""
    left, parts = result.left_out, []
    if left.checks:
        parts.append(f"{counted(len(left.checks), 'check')} ({id_list(left.checks)})")
    if left.cases:
        parts.append(f"{counted(left.cases, 'further case')} of checks that were made")
    if not parts:
        return ""
    told = " and ".join(parts)
    return (
        f"The budget of {result.budget} requests left out {told}; --thorough and --max-requests N send more."
    )


def tally(result: Result) -> str:
    """What the run took, and how it ends."""
    return f"{result.requests} requests in {result.seconds:.1f} s, exit code {result.exit_code}"


def id_list(ids: tuple[str, ...] | list[str]) -> str:
    """The ids in one line, at most twelve names. Members of one family are summed up as a number."""
    families: dict[str, int] = {}
    for name in ids:
        family = family_of(name)
        families[family.id if family else name] = families.get(family.id if family else name, 0) + 1
    told = [name if name in ids else f"{name}.* ({count})" for name, count in families.items()]
    rest = [f"{len(told) - _MOST_LISTED} more"] if len(told) > _MOST_LISTED else []
    return ", ".join([*told[:_MOST_LISTED], *rest])


def by_state(result: Result) -> Iterator[tuple[CheckState, list[int]]]:
    """The states that checks are in, each with how many of each level."""
    for state in STATES:
        levels = [outcome.level for outcome in result.in_state(state)]
        if levels:
            yield state, [*map(levels.count, LEVELS)]


def plain(state: str, text: str) -> str:
    return text


def failure(outcome: Outcome, url: str, rerun: str, paint: Paint = plain) -> Iterator[str]:
    """Lines about one broken check: promise, source, request and answer, how to repeat it, what to do."""
    check = outcome.check
    state, level = paint(outcome.state, outcome.state.upper()), outcome.level
    yield f"{state} {check.id} ({level}: {MEANINGS[level]})"
    yield f"  {check.promise}"
    yield from (fact_line(fact, _MOST_SHOWN) for fact in check_facts(outcome, url, rerun))
    yield ""


def fact_line(fact: Fact, most: int = _LEAST_SHOWN) -> str:
    """A fact on one line, with the first `most` characters of its body."""
    return f"  {fact.name:9}{printable_lines(fact.text)} {_short(fact.body, fact.size, most)}".rstrip()


def _short(text: str, size: int, most: int) -> str:
    """The beginning of a body, on one line and without what would steer a terminal."""
    line = printable(text.replace("\n", " ").replace("\r", " "))
    return line if len(line) <= most else f"{line[:most]}… ({size} bytes)"


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
        facts.append(Fact("Breaks", f"{cause.also}{note}"))
    return _facts(cause.main, facts, url, rerun)


def _facts(outcome: Outcome, seen: Iterable[Fact], url: str, rerun: str) -> Iterator[Fact]:
    check, first, exchange = outcome.check, outcome.first, outcome.first.evidence
    if outcome.excuse:
        yield Fact("Excused", outcome.excuse)
    yield from seen
    if exchange:
        body = beginning(exchange.request.body, MOST_BODY)
        yield Fact("Sent", sent(exchange, check), True, body, first.size)
        answer = beginning(exchange.body, MOST_ANSWER)
        yield Fact("Answered", _answered(exchange), True, answer, len(answer))
        command = curl(first, url)
        if command:
            yield Fact("curl", command, True, copy=True)
    yield Fact("Rests on", f"“{citation(check.id, check.quote, first.pointer)}”")
    yield Fact("Remedy", check.remedy)
    again = " ".join(f"--only {shlex.quote(each)}" for each in first.only)
    yield Fact("Again", f"{rerun} {again}", True, copy=True)


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
    if request.name_case != "lower":
        parts.append(f"header names in {request.name_case} case")
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


def curl(finding: Finding, url: str) -> str:
    """A shell command that sends the request again, "" where the body is too long or contains NUL."""
    if not finding.evidence or finding.size > _MOST_CURL or b"\x00" in finding.evidence.request.body:
        return ""
    request = finding.evidence.request
    words = ["curl", "-sS", "-i", "-X", request.method, shlex.quote(f"{url}{request.path}")]
    written = getattr(str, request.name_case)
    for name, value in request.headers:
        words += ["-H", shlex.quote(f"{written(name)}: {value}")]
    key = "Authorization" if request.name_case == "lower" else written("authorization")
    if request.credential == "key":
        words += ["-H", f'"{key}: Bearer $OPENPIPE_API_KEY"']
    elif request.credential == "wrong":
        words += ["-H", f"'{key}: Bearer invalid-key'"]
    if request.body:
        words += ["--data-binary", shlex.quote(request.body.decode("utf-8", "replace"))]
    return " ".join(words)
