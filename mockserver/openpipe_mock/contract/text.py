"""The contract suite's reports as text and JSON, and the page docs/checks.md."""

import json
import shlex
from collections.abc import Iterator

from openpipe_mock.contract.checks import LEVELS, MEANINGS, Check, catalogue, decides
from openpipe_mock.contract.findings import CheckState, Outcome, Planned, Result, Sighting

_MOST_SHOWN = 600
_MOST_CURL = 4000
_MOST_LISTED = 12
VERDICT_WORDS = {
    "kept": "The contract is kept",
    "broken": "The contract is broken",
    "inconclusive": "Inconclusive",
}
COLUMNS: tuple[tuple[str, CheckState], ...] = (
    ("kept", "kept"),
    ("broken", "broken"),
    ("flaky", "flaky"),
    ("known", "known"),
    ("lenient", "lenient"),
    ("unchecked", "unchecked"),
)


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
        count = len(result.breaks)
        told = f"{told}: {count} check{'s' if count > 1 else ''} at level {result.level}"
    return f"{told}. {result.requests} requests in {result.seconds:.1f} s, exit code {result.exit_code}."


def failure(outcome: Outcome, url: str, rerun: str) -> Iterator[str]:
    """Lines about one broken check: promise, source, request and answer, how to repeat it, what to do."""
    check, first = outcome.check, outcome.first
    yield f"{outcome.state.upper()} {check.id} ({outcome.level}: {MEANINGS[outcome.level]})"
    yield f"  {check.promise}"
    yield f"  Rests on “{check.quote}”"
    more = len({each.case for each in outcome.sightings}) - 1
    also = f" (and in {more} other cases)" if more > 0 else ""
    yield f"  Seen     {_placed(first)}{also}"
    yield from _evidence(first, url)
    yield f"  Remedy   {check.remedy}"
    yield f"  Again    {rerun} --only {shlex.quote(first.case)}"
    yield ""


def _evidence(sighting: Sighting, url: str) -> Iterator[str]:
    seen = sighting.evidence
    if not seen:
        return
    yield f"  Sent     {seen['method']} {seen['path']} {_short(seen['body'], seen['size'])}".rstrip()
    answer = seen["failure"] or f"{seen['status']} {seen['content_type']}"
    yield f"  Answered {answer} {_short(seen['answer'], len(seen['answer']))}".rstrip()
    command = curl(sighting, url)
    if command:
        yield f"  curl     {command}"


def _short(text: str, size: int) -> str:
    """The beginning of a body, on one line."""
    line = " ".join(text.split("\n")).replace("\r", " ")
    return line if len(line) <= _MOST_SHOWN else f"{line[:_MOST_SHOWN]}… ({size} bytes)"


def curl(sighting: Sighting, url: str) -> str:
    """A shell command that sends the request again, "" where the body is too long or contains NUL."""
    seen = sighting.evidence
    if not seen or seen["size"] > _MOST_CURL or "\x00" in seen["body"]:
        return ""
    words = ["curl", "-sS", "-i", "-X", seen["method"], shlex.quote(f"{url}{seen['path']}")]
    for name, value in seen["headers"]:
        words += ["-H", shlex.quote(f"{name}: {value}")]
    if seen["credential"] == "key":
        words += ["-H", '"Authorization: Bearer $OPENPIPE_API_KEY"']
    elif seen["credential"] == "wrong":
        words += ["-H", "'Authorization: Bearer invalid-key'"]
    if seen["body"]:
        words += ["--data-binary", shlex.quote(seen["body"])]
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
    if result.compared:
        for word, ids in (
            ("New", result.compared.new),
            ("Gone", result.compared.gone),
            ("Unchanged", result.compared.unchanged),
        ):
            yield f"{word} since the baseline: {', '.join(ids) or 'none'}"


def _line(outcome: Outcome) -> str:
    return f"  {outcome.check.id} ({outcome.level}) {_placed(outcome.first)}"


def _placed(sighting: Sighting) -> str:
    """The sentence, behind its pointer if it has one."""
    return f"{sighting.pointer}: {sighting.sentence}" if sighting.pointer else sighting.sentence


def _table(result: Result) -> Iterator[str]:
    """How many checks of each level are in which state."""
    yield f"{'level':12}" + "".join(f"{title:>11}" for title, _ in COLUMNS)
    for level in LEVELS:
        own = [outcome for outcome in result.outcomes if outcome.level == level]
        counts = [sum(outcome.state == state for outcome in own) for _, state in COLUMNS]
        note = "" if decides(level, result.level) else "  (only reported)"
        yield f"{level:12}" + "".join(f"{count:11}" for count in counts) + note


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
        facts.append(f"{check.cost} request{'s' if check.cost > 1 else ''}")
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
    return json.dumps(_plain(result), ensure_ascii=False, indent=1) + "\n"


def _plain(result: Result) -> dict[str, object]:
    """The whole result as JSON."""
    return {
        "version": 1,
        "target": result.url,
        "level": result.level,
        "seed": result.seed,
        "verdict": result.verdict,
        "exit_code": result.exit_code,
        "requests": result.requests,
        "budget": result.budget,
        "seconds": round(result.seconds, 3),
        "remarks": list(result.remarks),
        "open_questions": result.open_questions,
        "crashes": list(result.crashes),
        "baseline": None
        if result.compared is None
        else {
            "new": result.compared.new,
            "gone": result.compared.gone,
            "unchanged": result.compared.unchanged,
        },
        "checks": [
            {
                "id": outcome.check.id,
                "level": outcome.level,
                "state": outcome.state,
                "decides": outcome in result.deciding(outcome.state),
                "reasons": list(outcome.reasons),
                "findings": [sighting.plain() for sighting in outcome.sightings],
            }
            for outcome in result.outcomes
        ],
    }
