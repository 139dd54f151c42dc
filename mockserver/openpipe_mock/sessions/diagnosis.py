"""Explains the journal: which rules a request didn't meet and why, and whether as many came as expected."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from itertools import islice
from operator import eq, ge, le

from openpipe_mock.answers.judge import REFERENCE
from openpipe_mock.answers.scorers import Form, JudgeRule, Rules
from openpipe_mock.answers.scripts import Script
from openpipe_mock.config.settings import Settings
from openpipe_mock.core.wording import short
from openpipe_mock.faults.fault import Fault
from openpipe_mock.matching.conditions import Miss, Subject, When
from openpipe_mock.sessions.inspection import (
    JsonObject,
    criterion_names,
    read_of,
    readable_body,
    stream_events,
    subject_of,
    summary,
)
from openpipe_mock.sessions.journal import Entry

_MOST_NEAR = 5
_MOST_WEIGHED = 100
"""Scripts that are looked at to find the nearest."""
_MOST_ALIKE = 200
"""Characters of a wanted and of a seen text that are compared."""
_MOST_TOLD = 600
"""Characters that say what differs."""
_MOST_UNMATCHED = 200


def detail(entry: Entry) -> JsonObject:
    """Return all that the journal keeps of an exchange, and which rules didn't fire and why."""
    missed = first_unmatched(entry)
    return {**exchange_detail(entry), **({"unmatched": missed} if missed else {})}


def exchange_detail(entry: Entry) -> JsonObject:
    """Return all that the journal keeps of an exchange."""
    sent = None if entry.body is None else readable_body(entry.body)
    return {
        **summary(entry),
        "request": {
            "headers": _readable_headers(entry.headers.items()),
            "body": sent,
            "bytes_left_out": entry.body_left_out,
        },
        "answer": {
            "headers": _readable_headers(entry.answer_headers),
            **_answered(entry),
            "bytes_left_out": entry.answer_left_out,
        },
    }


def _readable_headers(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Headers as an object; several of one name are joined, as HTTP allows."""
    found: dict[str, str] = {}
    for name, value in headers:
        key, text = name.decode("latin-1"), value.decode("latin-1")
        found[key] = f"{found[key]}, {text}" if key in found else text
    return found


def _answered(entry: Entry) -> JsonObject:
    """An answer's body; of a stream its events, and for each its milliseconds, null where none are kept."""
    if not entry.streamed:
        return {"body": readable_body(entry.answer)}
    events = stream_events(entry.answer)
    times = [round(seconds * 1000, 1) for seconds in entry.times[: len(events)]]
    return {"events": events, "events_ms": [*times, *[None] * (len(events) - len(times))]}


def first_unmatched(entry: Entry) -> list[JsonObject]:
    """The rules that didn't fire, as `unmatched` yields them, as many as are shown."""
    return list(islice(unmatched(entry), _MOST_UNMATCHED))


def unmatched(entry: Entry) -> Iterator[JsonObject]:
    """Yield the rules that didn't fire, each with its kind, place, name and the reason.

    These are the scripts where none fired, else those that were passed over; a criterion's rules where none
    decided; and the faults that didn't strike.
    """
    if not entry.endpoint:
        return
    subject = subject_of(entry)
    if entry.endpoint == "chat":
        yield from _idle_scripts(entry, subject)
    yield from _idle_rules(entry)
    yield from _idle_faults(entry, subject)


def _idle_scripts(entry: Entry, subject: Subject) -> Iterator[JsonObject]:
    scripts, passed = entry.settings.completions, dict(entry.passed)
    fired = any(script.fired(entry.rules) for script in scripts)
    for script in scripts:
        why = passed.get(script.place)
        if why or not fired:
            reason = {"reason": why} if why else _failed(script.when, subject, entry)
            yield {"kind": "script", "place": script.place, "name": script.name or None, **reason}


def nearest_script(scripts: Sequence[Script], subject: Subject, passed: Mapping[str, str]) -> str:
    """Say which script comes nearest to a chat request that none answers, and what differs.

    That is the one that fails the fewest conditions, and of several the one whose texts look most alike.
    `passed`: place → why a script was passed over though its conditions hold.
    """
    near = min(scripts[:_MOST_WEIGHED], key=lambda script: _distance(script.when, subject), default=None)
    if near is None:
        return "none is there"
    misses = [str(miss) for miss in near.when.misses(subject)]
    return short(f"the nearest, {near}, differs: {'; '.join(misses) or passed.get(near.place)}", _MOST_TOLD)


def why_idle(rule: Script | Fault, entries: Sequence[Entry]) -> str:
    """Say why a rule never fired: what the nearest of the requests lacked; "" where there are none."""
    newest = entries[-_MOST_WEIGHED:]
    near = min(newest, key=lambda entry: _distance(rule.when, subject_of(entry)), default=None)
    if near is None:
        return ""
    told = dict(near.passed).get(rule.place) or _failed(rule.when, subject_of(near), near)["reason"]
    return short(f"the nearest request is {near.id}; {told}", _MOST_TOLD)


def _distance(when: When, subject: Subject) -> tuple[int, float]:
    misses = list(when.misses(subject))
    return len(misses), -sum(_alike(miss.expected, miss.seen) for miss in misses)


def _alike(one: str, other: str) -> float:
    """How much two texts look alike, from 0 to 1."""
    return SequenceMatcher(None, one[:_MOST_ALIKE], other[:_MOST_ALIKE], autojunk=False).quick_ratio()


def _failed(when: When, subject: Subject, entry: Entry) -> JsonObject:
    """The first condition that failed, or why the rule didn't fire though all its conditions hold."""
    miss = when.failure(subject)
    if miss:
        return {"reason": _told(miss, entry), **_missed(miss, entry)}
    return {"reason": f"all its conditions hold; {_before(entry)}"}


def _before(entry: Entry) -> str:
    if entry.faults:
        return "a fault struck before it was asked"
    if entry.rules:
        return f"{entry.rules[0]} answered before it"
    if entry.status >= 400:
        return f"the request was answered {entry.status} before it was asked"
    return "something else answered: the cache, a magic value, or a text that the journal has masked since"


def _missed(miss: Miss, entry: Entry) -> JsonObject:
    return {"condition": miss.condition, "expected": miss.expected, "seen": _seen(miss, entry)}


def _told(miss: Miss, entry: Entry) -> str:
    return str(replace(miss, seen=_seen(miss, entry)))


def _in_body(miss: Miss, entry: Entry) -> bool:
    """Whether a condition looked at the body."""
    part = miss.condition.partition(" ")[0]
    return part not in ("header", "endpoint") and not (part == "criterion" and entry.endpoint == "chat")


def _seen(miss: Miss, entry: Entry) -> str:
    """What a condition saw, with a note where the journal keeps too little of the body to read it."""
    if entry.readable or not _in_body(miss, entry):
        return miss.seen
    return f"{miss.seen} (the journal left out {entry.body_left_out} bytes of this body, so it can't be read)"


def _idle_rules(entry: Entry) -> Iterator[JsonObject]:
    """The rules of the judged criteria that didn't decide, for each judged choice."""
    for asked in entry.criteria:
        for rules in _rules_of(_form_of(entry.settings, *criterion_names(entry, asked))):
            if entry.endpoint == "judge" and any(rule.place in entry.rules for rule in rules.rules):
                continue
            for choice, subject in _judged(entry):
                yield from _undecided(rules.rules, subject, entry, {"criterion": asked, **choice})


def _undecided(
    rules: Iterable[JudgeRule], subject: Subject, entry: Entry, about: JsonObject
) -> Iterator[JsonObject]:
    """Why none of these rules decided; nothing where the conditions of one hold."""
    found = [(rule, rule.when.failure(subject)) for rule in rules]
    if all(miss for _, miss in found):
        for rule, miss in found:
            if miss:
                reason = {"reason": _told(miss, entry), **_missed(miss, entry)}
                yield {"kind": "rule", "place": rule.place, "name": None, **about, **reason}


def _form_of(settings: Settings, name: str, versioned: str) -> Form | None:
    """The form that judged a criterion, None for an undeclared one."""
    match = REFERENCE.fullmatch(versioned)
    declared = settings.criteria.get(name)
    return declared.versions.get(int(match["version"])) if match and declared else None


def _rules_of(form: Form | None) -> Iterator[Rules]:
    """All `Rules` in a form, also in the forms inside it."""
    if form:
        if isinstance(form.scorer, Rules):
            yield form.scorer
        for inner in form.scorer.inner():
            yield from _rules_of(inner)


def _judged(entry: Entry) -> Iterator[tuple[JsonObject, Subject]]:
    """What the judge saw: the request or, of a chat request, each choice in the order of the answer."""
    body = read_of(entry)
    if entry.endpoint == "judge":
        yield {}, Subject("judge", {}, body)
        return
    answer = readable_body(entry.answer)
    choices = answer.get("choices") if isinstance(answer, dict) else None
    for index, choice in enumerate(choices if isinstance(choices, list) else ()):
        output = choice.get("message") if isinstance(choice, dict) else None
        yield {"choice": index}, Subject("judge", {}, {"input": body, "output": output})


def _idle_faults(entry: Entry, subject: Subject) -> Iterator[JsonObject]:
    passed = dict(entry.passed)
    for fault in entry.settings.faults:
        if fault.place == entry.struck:
            continue
        why = passed.get(fault.place)
        reason = {"reason": why} if why else _failed(fault.when, subject, entry)
        yield {"kind": "fault", "place": fault.place, "name": fault.name or None, **reason}


_COMPARISONS = {"exactly": eq, "at_least": ge, "at_most": le}


@dataclass(frozen=True, slots=True)
class Expectation:
    """How many requests are expected. `comparison`: `exactly`, `at_least` or `at_most`."""

    comparison: str = "at_least"
    number: int = 1

    def __str__(self) -> str:
        return f"{self.comparison.replace('_', ' ')} {self.number}"

    def holds(self, count: int) -> bool:
        return bool(_COMPARISONS[self.comparison](count, self.number))


def verify(entries: Iterable[Entry], when: When, expected: Expectation) -> JsonObject:
    """Say whether as many requests as expected meet a condition, and where not, what to look at.

    `entries`: the newest first. Where too few came, `near_misses` has the requests that met most of the
    conditions; where too many came, `matched` has their ids. `unreadable` counts requests of which the
    journal keeps too little to tell; where they could change the verdict, `ok` is false.
    """
    hits: list[str] = []
    misses: list[JsonObject] = []
    unreadable = 0
    for entry in entries:
        found = list(when.misses(subject_of(entry)))
        if found:
            held = len(when.conditions) - len(found)
            misses.append({"id": entry.id, "held": held, "failed": [_missed(each, entry) for each in found]})
            unreadable += not entry.readable and all(_in_body(each, entry) for each in found)
        else:
            hits.append(entry.id)
    ok = expected.holds(len(hits)) and expected.holds(len(hits) + unreadable)
    few = not ok and len(hits) < expected.number
    near = sorted(misses, key=lambda miss: -miss["held"])[:_MOST_NEAR] if few else []
    return {
        "ok": ok,
        "expected": str(expected),
        "count": len(hits),
        "unreadable": unreadable,
        "near_misses": near,
        "matched": [] if ok or few else hits,
    }
