"""Compares two servers by what they answer to the same requests.

Both get a run of the contract suite with the same seed and options. What differs and matters is told as the
suite tells what is broken: a check for each kind of difference, a cause for each reason, the smallest request
first. Ids, times, texts and scores may differ, unless `exact` is asked for.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from openpipe_mock.contract.checks import Check
from openpipe_mock.contract.findings import CaseResult, Finding, Outcome, Result
from openpipe_mock.contract.probe import BudgetSpent, Exchange, Probe, Request, parse_json
from openpipe_mock.contract.run import Progress, run, server_of
from openpipe_mock.contract.target import RunOptions
from openpipe_mock.core.eventstream import DONE_DATA
from openpipe_mock.core.pointers import gather_types
from openpipe_mock.core.wording import counted, listed

Json = Any
_Shape = Mapping[str, frozenset[str]]
"""JSON pointer, with `*` for any index → the types of the values there."""

_MUST_DIFFER = frozenset(("id", "created", "system_fingerprint"))
"""Members of an answer that are another each time."""
_MOST_PLACES = 2000
"""Places of an answer whose types are kept."""
_DEEPEST = 100
"""Levels of an answer that are looked at."""


@dataclass(frozen=True, slots=True)
class AnswerSight:
    """What is kept of an exchange. `exact`: a digest of all that may be the same."""

    exchange: Exchange
    case: str
    shape: _Shape
    sorted: bool | None
    choices: int
    exact: bytes

    @property
    def status(self) -> int:
        return self.exchange.status


@dataclass
class _Watch:
    """Sees what one server answers: a plugin of its run. `seen`: the first answer to each request."""

    seen: dict[Request, AnswerSight] = field(default_factory=dict)
    fresh: list[Exchange] = field(default_factory=list)

    def pytest_openpipe_exchanged(self, exchange: Exchange) -> None:
        self.fresh.append(exchange)

    def pytest_openpipe_judged(self, result: CaseResult) -> None:
        for exchange in self.fresh:
            self.add(exchange, result.check.id)
        self.fresh.clear()

    def add(self, exchange: Exchange, case: str) -> None:
        if exchange.request not in self.seen and not exchange.busy:
            self.seen[exchange.request] = _sight(exchange, case)


def compare(
    left: RunOptions,
    right: RunOptions,
    progress: Callable[[str], Progress] = lambda url: Progress(),
    *,
    recorded: Sequence[Request] = (),
    exact: bool = False,
) -> Result:
    """The differences of `right` from `left`, as a result of the suite. Raises UsageProblem.

    `progress`: gives what is told of the run against a server. `recorded`: further requests, of a cassette.
    """
    watches = _Watch(), _Watch()
    results = tuple(
        run(options, progress(options.url), watch)
        for options, watch in zip((left, right), watches, strict=True)
    )
    if left.dry_run:
        return results[0]
    for options, watch, result in zip((left, right), watches, results, strict=True):
        _send(recorded, options, watch, result)
    names = results[0].url, results[1].url
    pairs = [
        (sight, watches[1].seen[request])
        for request, sight in watches[0].seen.items()
        if request in watches[1].seen
    ]
    found = [*_differences(pairs, names, exact=exact), *_check_differences(results, names)]
    unreached = {
        endpoint: why for endpoint, why in results[1].unreached.items() if endpoint in results[0].unreached
    }
    return Result(
        names[1],
        right.level,
        right.seed,
        results[1].budget,
        replace(results[1].planned, musts=frozenset(), more=0),
        tuple(_outcomes(found, exact=exact)) if pairs else (),
        unreached,
        tuple(crash for result in results for crash in result.crashes),
        tuple(dict.fromkeys((*_told(len(pairs)), *results[0].remarks, *results[1].remarks))),
        None,
        sum(result.requests for result in results),
        sum(result.seconds for result in results),
        names[0],
    )


def _told(pairs: int) -> Iterator[str]:
    yield f"{counted(pairs, 'request')} got an answer of both."


def _send(requests: Iterable[Request], options: RunOptions, watch: _Watch, result: Result) -> None:
    """Send further requests, as far as the budget reaches."""
    server = server_of(options)
    probe = Probe(replace(server, max_requests=max(0, server.max_requests - result.requests)))
    try:
        with suppress(BudgetSpent):
            for request in requests:
                watch.add(probe.send(request), "compare")
    finally:
        probe.close()


# What is seen of an answer.


def _sight(exchange: Exchange, case: str) -> AnswerSight:
    values = _values(exchange)
    shape: dict[str, set[str]] = {}
    for value in values:
        gather_types(value, shape, most=_MOST_PLACES)
    whole = values[0] if len(values) == 1 and isinstance(values[0], dict) else {}
    choices = whole.get("choices")
    choices = choices if isinstance(choices, list) else []
    exact = orjson.dumps([_without(value) for value in values], option=orjson.OPT_SORT_KEYS)
    return AnswerSight(
        exchange.quoted(),
        case,
        {pointer: frozenset(types) for pointer, types in shape.items()},
        _is_sorted(choices),
        len(choices),
        exact,
    )


def _values(exchange: Exchange) -> list[Json]:
    """The JSON of an answer, of a stream that of each event; what is no JSON is left out."""
    if exchange.media == "text/event-stream":
        texts = [event.data for event in exchange.stream.events if event.data != DONE_DATA]
        return [value for value, wrong in map(parse_json, map(str.encode, texts)) if not wrong]
    value, wrong = exchange.parsed
    return [] if wrong else [value]


def _without(value: Json, level: int = 0) -> Json:
    if level > _DEEPEST:
        return None
    if isinstance(value, dict):
        kept = {name: each for name, each in value.items() if name not in _MUST_DIFFER}
        return {name: _without(each, level + 1) for name, each in kept.items()}
    return [_without(each, level + 1) for each in value] if isinstance(value, list) else value


def _is_sorted(choices: list[Json]) -> bool | None:
    """Whether judged choices stand best first; None where fewer than two are judged."""
    means = [mean for mean in map(_mean, choices) if mean is not None]
    return None if len(means) < 2 else means == sorted(means, reverse=True)


def _mean(choice: Json) -> float | None:
    results = choice.get("criteria_results") if isinstance(choice, dict) else None
    every = results.values() if isinstance(results, dict) else ()
    scores = [each["score"] for each in every if isinstance(each, dict) and _is_number(each.get("score"))]
    return sum(scores) / len(scores) if scores else None


def _is_number(value: Json) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


# Differences.


@dataclass(frozen=True, slots=True)
class _Kind:
    """A kind of difference. `promise`: what holds where there is none."""

    name: str
    promise: str
    remedy: str


_KINDS = {
    kind.name: kind
    for kind in (
        _Kind(
            "reach",
            "Both serve the same endpoints.",
            "Serve what the other serves, or compare the other endpoint alone with --endpoint.",
        ),
        _Kind(
            "status",
            "Both take and refuse the same requests.",
            "openpipe-mock contract says of each server which of them keeps the contract.",
        ),
        _Kind("transport", "Both answer in full.", "Look for the request below in the server's log."),
        _Kind(
            "media",
            "Both answer with the same content type.",
            "Set the content type as the contract says.",
        ),
        _Kind("shape", "Answers have the same members.", "Give what the contract's schema lists."),
        _Kind(
            "choices",
            "Both give the same number of choices.",
            "A request's `n` says how many choices there are.",
        ),
        _Kind("order", "Both sort judged choices.", "Sort them by the mean of their scores."),
        _Kind("refusal", "Both refuse by the same status.", "Clients tell errors apart by their status."),
        _Kind("error", "Errors have the same members.", "Give the members of the contract's error schema."),
        _Kind(
            "checks",
            "The same checks of the contract hold.",
            "openpipe-mock explain ID says more.",
        ),
        _Kind("exact", "Both give the same texts and scores.", "Leave --exact out where texts may differ."),
    )
}


@dataclass(frozen=True, slots=True)
class _Difference:
    """One difference. `detail`: tells those of a kind apart; the first of each is shown with its number."""

    kind: str
    detail: str
    sentence: str
    sight: AnswerSight | None = None
    pointer: str = ""


def _differences(
    pairs: Sequence[tuple[AnswerSight, AnswerSight]], names: tuple[str, str], *, exact: bool
) -> Iterator[_Difference]:
    for left, right in pairs:
        yield from _of_pair(left, right, exact=exact)
    for streamed in (False, True):
        for endpoint in ("judge", "chat", ""):
            own = [
                (left, right)
                for left, right in pairs
                if left.exchange.request.endpoint == endpoint
                and (left.exchange.media == right.exchange.media)
                and (left.exchange.media == "text/event-stream") is streamed
            ]
            good = [(left, right) for left, right in own if left.status == right.status == 200]
            bad = [(left, right) for left, right in own if left.status >= 400 and right.status >= 400]
            about = f"{endpoint or 'other'}{'.stream' if streamed else ''}"
            yield from _of_shapes("shape", about, good)
            yield from _of_shapes("error", about, bad)


def _of_pair(left: AnswerSight, right: AnswerSight, *, exact: bool) -> Iterator[_Difference]:
    endpoint = right.exchange.request.endpoint or "other"
    if bool(left.exchange.failure) != bool(right.exchange.failure):
        which, failure = ("the first", left) if left.exchange.failure else ("the second", right)
        told = f"{which} gives no whole answer: {failure.exchange.failure}"
        yield _Difference("transport", f"{endpoint}.{which[4:]}", told, right)
        return
    if left.exchange.failure:
        return
    if left.status // 100 != right.status // 100:
        told = f"the first answers {left.status}, the second {right.status}"
        yield _Difference("status", f"{endpoint}.{left.status}_{right.status}", told, right)
        return
    if left.status != right.status:
        told = f"the first answers {left.status}, the second {right.status}"
        yield _Difference("refusal", f"{endpoint}.{left.status}_{right.status}", told, right)
    if left.exchange.media != right.exchange.media:
        told = f"the first answers {_media(left)}, the second {_media(right)}"
        yield _Difference("media", f"{endpoint}.{left.status}", told, right)
        return
    if right.status == 200:
        yield from _of_answers(endpoint, left, right, exact=exact)


def _media(sight: AnswerSight) -> str:
    return sight.exchange.media or "no content type"


def _of_answers(
    endpoint: str, left: AnswerSight, right: AnswerSight, *, exact: bool
) -> Iterator[_Difference]:
    if left.choices != right.choices:
        told = f"the first gives {counted(left.choices, 'choice')}, the second {right.choices}"
        yield _Difference("choices", endpoint, told, right, "/choices")
    if None not in (left.sorted, right.sorted) and left.sorted != right.sorted:
        which = "second" if left.sorted else "first"
        yield _Difference("order", which, f"the {which} doesn't sort them", right, "/choices")
    if exact and left.exact != right.exact:
        yield _Difference("exact", endpoint, "they differ in more than ids and times", right)


def _of_shapes(
    kind: str, about: str, pairs: Sequence[tuple[AnswerSight, AnswerSight]]
) -> Iterator[_Difference]:
    """Differences in what answers have at any time: which members a model fills is its own choice."""
    left, right = _joined(one for one, _ in pairs), _joined(other for _, other in pairs)
    for pointer in sorted({*left, *right}):
        before, after = left.get(pointer, frozenset()), right.get(pointer, frozenset())
        parent = pointer.rpartition("/")[0]
        known = not pointer or (parent in left and parent in right)
        if known and before - {"null"} != after - {"null"}:
            told = f"the first has {_types(before)}, the second {_types(after)}"
            shown = [other for one, other in pairs if pointer in one.shape or pointer in other.shape]
            smallest = min(shown, key=lambda each: len(each.exchange.request.body))
            yield _Difference(kind, f"{about}{pointer.replace('/', '.')}", told, smallest, pointer)


def _joined(sights: Iterable[AnswerSight]) -> dict[str, frozenset[str]]:
    found: dict[str, frozenset[str]] = {}
    for sight in sights:
        for pointer, types in sight.shape.items():
            found[pointer] = found.get(pointer, frozenset()) | types
    return found


def _types(names: frozenset[str]) -> str:
    return listed(sorted(names - {"null"}), "or") or ("null" if names else "nothing")


def _check_differences(results: tuple[Result, ...], names: tuple[str, str]) -> Iterator[_Difference]:
    """Endpoints that one of them lacks, and checks that one of them keeps alone."""
    left, right = results
    for endpoint in dict.fromkeys((*left.unreached, *right.unreached)):
        lacking = [n for n, each in (("first", left), ("second", right)) if endpoint in each.unreached]
        if len(lacking) == 1:
            why = (left if lacking == ["first"] else right).unreached[endpoint]
            yield _Difference("reach", f"{endpoint}.{lacking[0]}", f"the {lacking[0]}: {why}")
    states = [{each.check.id: each for each in result.outcomes} for result in results]
    for name in states[0].keys() & states[1].keys():
        before, after = states[0][name], states[1][name]
        if {before.state, after.state} == {"kept", "broken"}:
            which, broken = ("first", before) if before.state == "broken" else ("second", after)
            evidence = broken.first.evidence
            sight = _sight(evidence, name) if evidence else None
            told = f"the {which} breaks it: {broken.first.placed}"
            yield _Difference("checks", name, told, sight)


def _outcomes(found: Iterable[_Difference], *, exact: bool) -> Iterator[Outcome]:
    """An outcome for each difference by kind and detail; one that is kept for each kind without any."""
    groups: dict[tuple[str, str], list[_Difference]] = {}
    for each in found:
        groups.setdefault((each.kind, each.detail), []).append(each)
    for kind in _KINDS.values():
        own = {detail: every for (name, detail), every in groups.items() if name == kind.name}
        for detail, every in own.items():
            check = _check(kind, f"compare.{kind.name}.{detail}")
            findings = (_finding(check, each) for each in every)
            yield Outcome(check, "broken", tuple(sorted(findings, key=lambda each: each.size)))
        if not own and (exact or kind.name != "exact"):
            yield Outcome(_check(kind, f"compare.{kind.name}"), "kept")


def _check(kind: _Kind, id: str) -> Check:
    endpoint = id.split(".")[2] if id.count(".") > 1 else ""
    return Check(
        id, "documented", kind.promise, kind.promise, f"{kind.remedy}", endpoint, must=kind.name == "reach"
    )


def _finding(check: Check, difference: _Difference) -> Finding:
    sight = difference.sight
    case = sight.case if sight else check.id
    evidence = sight.exchange if sight else None
    return Finding(check.id, difference.sentence, difference.pointer, "broken", check.level, evidence, case)
