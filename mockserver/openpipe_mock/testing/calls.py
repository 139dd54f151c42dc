"""Requests as a test reads them, and the messages of assertions about them."""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import Any

from openpipe_mock.core.wording import quoted, short
from openpipe_mock.matching.conditions import Subject, text_of
from openpipe_mock.sessions.diagnosis import first_unmatched
from openpipe_mock.sessions.inspection import asked_of, body_of, json_safe, readable_body, stream_events
from openpipe_mock.sessions.journal import Entry, Journal, itself

Json = Any

_MEANT = "x-mock-expect"
"""The header with which a client says that it breaks the contract on purpose: `violation`."""
MOST_SHOWN = 10
"""Calls that a message lists."""
_MOST_COMPARED = 200
"""Characters of two texts, from where they part, that are compared to find the nearest call."""
_LEAD = 20
"""Characters that are shown before the place where two texts part."""


class Everything(Journal):
    """A journal for one test, which drops nothing and cuts nothing short."""

    most_entries = most_bytes = sys.maxsize

    def add(self, entry: Entry, token: bytes, value: Any = None) -> None:
        self.add_later((0, itself, (entry,), token))


@dataclass(frozen=True, slots=True)
class Call:
    """One request to the mock, and its answer.

    `endpoint`: `judge`, `chat`, `report`, …; "" for a path that isn't served. `status`: 0 where the
    connection broke before an answer. `headers`: names in lower case, secrets masked. `request`, `answer`:
    the JSON of the bodies, or their text where they are none; for a stream the list of its events.
    `criteria`: the ids that were asked for, with the version where the mock knows it. `scores`: of each
    choice, in the order in which choices were made. `violations`: what breaks the contract, each with its
    JSON pointer. `tolerated`: JSON pointers of what popular clients send beyond the contract. `faults`,
    `rules`: descriptions of those that decided the answer. `notes`: the advice that a server would log.
    `unscripted`: a completion that no script answers, though some are scripted. `unoffered`: a sentence for
    each tool that the script calls and the request doesn't offer. `entry`: what the journal keeps.
    """

    id: str
    endpoint: str
    method: str
    path: str
    status: int
    headers: Mapping[str, str]
    request: Json
    answer: Json
    model: str | None
    criteria: tuple[str, ...]
    scores: tuple[Mapping[str, float], ...]
    violations: tuple[str, ...]
    tolerated: tuple[str, ...]
    faults: tuple[str, ...]
    rules: tuple[str, ...]
    notes: tuple[str, ...]
    streamed: bool
    unscripted: bool
    unoffered: tuple[str, ...]
    entry: Entry = field(repr=False, compare=False)

    @property
    def criterion(self) -> str | None:
        """The id of a judge request's criterion; None for other requests."""
        return next(iter(self.criteria), None) if self.endpoint == "judge" else None

    @property
    def output(self) -> str | None:
        """The judged text: the output's content, else its refusal, else ""; None for other requests."""
        given = self.request.get("output") if isinstance(self.request, dict) else None
        return text_of(given) if self.endpoint == "judge" and isinstance(given, dict) else None

    @property
    def last_user(self) -> str | None:
        """The text of the latest user message, None without one."""
        return Subject(self.endpoint, {}, self.request).last_user

    @property
    def breaches(self) -> tuple[str, ...]:
        """What the request breaks of the contract, and what the script does that answers it."""
        return (*self.violations, *self.unoffered)

    @property
    def unmatched(self) -> list[dict[str, Any]]:
        """The rules that didn't fire and why, as `GET /_mock/requests/{id}` of the control API says it."""
        return first_unmatched(self.entry)

    @property
    def meant(self) -> bool:
        """Whether the request has the header `x-mock-expect: violation`."""
        return self.headers.get(_MEANT, "").strip().lower() == "violation"

    def __str__(self) -> str:
        said = self.output if self.endpoint == "judge" else self.last_user
        about = [self.model or "", ", ".join(self.criteria), "" if said is None else short(quoted(said))]
        words = " ".join(filter(None, [self.endpoint or f"{self.method} {self.path}", *about]))
        return f"{self.id}: {words} → {self.status or 'no answer'}"


def call_from_entry(entry: Entry) -> Call:
    """An entry of the journal as a call."""
    body = body_of(entry)
    model = body.get("model") if isinstance(body, dict) else None
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in entry.headers.items()}
    return Call(
        id=entry.id,
        endpoint=entry.endpoint,
        method=json_safe(entry.method),
        path=json_safe(entry.path),
        status=entry.status,
        headers=headers,
        request=readable_body(entry.body or b"") if body is None else body,
        answer=stream_events(entry.answer) if entry.streamed else readable_body(entry.answer),
        model=model if isinstance(model, str) else None,
        criteria=tuple(asked_of(entry)),
        scores=tuple(entry.scores),
        violations=entry.violations,
        tolerated=entry.tolerated,
        faults=tuple(entry.faults),
        rules=tuple(entry.rules),
        notes=entry.notes,
        streamed=entry.streamed,
        unscripted=entry.unscripted,
        unoffered=entry.unoffered,
        entry=entry,
    )


class Calls(list[Call]):
    """Calls in the order in which they came."""

    def filter(
        self,
        *,
        endpoint: str | None = None,
        criterion: str | None = None,
        output: str | None = None,
        model: str | None = None,
        last_user: str | None = None,
        criteria: Sequence[str] | None = None,
        status: int | None = None,
        streamed: bool | None = None,
    ) -> "Calls":
        """The calls with these fields; fields that aren't given don't matter."""
        wanted = not_none(
            endpoint=endpoint, criterion=criterion, output=output, model=model, last_user=last_user,
            criteria=several_criteria(criteria), status=status, streamed=streamed,
        )  # fmt: skip
        return Calls(call for call in self if not list(call_differences(call, wanted)))


def several_criteria(criteria: Sequence[str] | None) -> Sequence[str] | None:
    """Return the criteria. Raises ValueError for a text, whose letters would be taken for criteria."""
    if isinstance(criteria, str):
        raise ValueError(f"criteria: expected a list of them, as in criteria=[{quoted(criteria)}].")
    return criteria


def not_none(**members: Any) -> dict[str, Any]:
    """The arguments that aren't None."""
    return {name: member for name, member in members.items() if member is not None}


# How calls differ.


def call_differences(call: Call, wanted: Mapping[str, Any]) -> Iterator[str]:
    """A sentence for each of the wanted fields that is different in a call."""
    for name, value in wanted.items():
        found = getattr(call, name)
        if not _SAME.get(name, _equal)(found, value):
            yield f"{name} is {_contrast(found, value)}"


def _contrast(found: Any, wanted: Any) -> str:
    """Both values; for texts that look alike when shortened, the place where they part."""
    one, other = _shown(found), _shown(wanted)
    if one == other and isinstance(found, str) and isinstance(wanted, str):
        start = max(0, _parting(found, wanted) - _LEAD)
        one = f"{_shown('…' + found[start:])} from character {start + 1} on"
        other = _shown("…" + wanted[start:])
    return f"{one}, not {other}"


def _parting(one: str, other: str) -> int:
    """How many characters two texts have in common at their beginnings."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((place for place, (here, there) in pairs if here != there), min(len(one), len(other)))


def _equal(found: Any, wanted: Any) -> bool:
    return bool(found == wanted)


def _names(found: Any, wanted: Any) -> bool:
    """Whether an asked criterion is the wanted one; a wanted one without version means any."""
    return bool(found == wanted or ("@" not in wanted and str(found).partition("@")[0] == wanted))


def _all_named(found: Iterable[str], wanted: Sequence[str]) -> bool:
    """Whether these criteria were asked for, in any order, and no others."""
    left = list(found)
    for one in sorted(wanted, key=lambda one: "@" not in one):
        hit = next((each for each in left if _names(each, one)), None)
        if hit is None:
            return False
        left.remove(hit)
    return not left


_SAME: Mapping[str, Callable[[Any, Any], bool]] = {"criterion": _names, "criteria": _all_named}
"""Field → a function that says whether a value is the wanted one; other fields must be equal."""


def _shown(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(_shown, value)) or "none"
    return short(quoted(value)) if isinstance(value, str) else "missing" if value is None else str(value)


# Messages.


def unmet(
    wanted: Mapping[str, Any],
    times: int | None,
    found: Sequence[Call],
    calls: Sequence[Call],
    under_way: int,
    advice: str,
) -> str:
    """The message of an assertion that failed: what was expected, the nearest call, and all calls.

    `times`: None for at least once. `found`: the calls with the wanted fields. `under_way`: the number of
    requests that aren't over, and so aren't among the calls yet. `advice`: what to look at if nothing came.
    """
    asked = ", ".join(f"{field} {_shown(value)}" for field, value in wanted.items())
    often = "at least once" if times is None else frequency(times)
    lines = [f"expected a request with {asked}: {often}; it came {frequency(len(found))}."]
    if len(found) < (1 if times is None else times):
        near = _nearest(wanted, [call for call in calls if all(call is not each for each in found)])
        lines += [f"Nearest: {near}; {'; '.join(call_differences(near, wanted))}."] if near else []
    last = _unfinished(under_way) if calls or under_way else [advice]
    return "\n".join([*lines, "What came:", *_listing(calls), *last])


def _unfinished(under_way: int) -> list[str]:
    """A line on the requests that aren't over; none for 0."""
    if not under_way:
        return []
    several = "1 request isn't" if under_way == 1 else f"{under_way} requests aren't"
    return [f"{several} over: read its stream to the end, or close it, before you assert."]


def frequency(times: int) -> str:
    """How often, in a word."""
    return {0: "never", 1: "once", 2: "twice"}.get(times, f"{times} times")


def _nearest(wanted: Mapping[str, Any], missed: Sequence[Call]) -> Call | None:
    """The call that differs in the fewest fields, and of several the one whose fields look most alike."""

    def distance(call: Call) -> tuple[int, float]:
        alike = sum(_similarity(getattr(call, field), value) for field, value in wanted.items())
        return len(list(call_differences(call, wanted))), -alike

    return min(missed, key=distance, default=None)


def _similarity(found: Any, wanted: Any) -> float:
    """How much two values look alike as texts, from 0 to 1."""
    one, other = str(found), str(wanted)
    same, longest = _parting(one, other), max(len(one), len(other), 1)
    there, here = one[same : same + _MOST_COMPARED], other[same : same + _MOST_COMPARED]
    return (same + (longest - same) * SequenceMatcher(None, there, here, autojunk=False).ratio()) / longest


def _listing(calls: Sequence[Call]) -> list[str]:
    """The calls, a line for each, at most `MOST_SHOWN`."""
    more = [f"  … and {len(calls) - MOST_SHOWN} more"] if len(calls) > MOST_SHOWN else []
    return [f"  {call}" for call in calls[:MOST_SHOWN]] + more or ["  nothing"]


def breach_lines(calls: Iterable[Call]) -> str:
    """The calls, each with what it breaks below it."""
    return "\n".join(f"{call}\n    " + "\n    ".join(call.breaches) for call in calls)


def violation_pointer(violation: str) -> str:
    """The JSON pointer with which a violation's sentence begins; "" for the whole body."""
    pointer = violation.partition(": ")[0]
    return pointer if pointer.startswith("/") else ""
