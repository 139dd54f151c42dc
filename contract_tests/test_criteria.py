"""Best of n: results for what was asked, and the best choice first."""

import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any

from openpipe_mock.contract.checks import Finding
from openpipe_mock.contract.probe import Request, wire

from .builders import PROMPTS, best_of, chatting, judging, said, streaming
from .invariants import told
from .promises import Scene, Variant, answered, body, one, promise, successful
from .run import Unjudged
from .settings import Aim, plain
from .test_completions import choices, message

Json = Any
Choice = dict[str, Json]

UNKNOWN = "no-such-criterion-of-the-contract-suite"
NEARLY = 1e-9


def results(choice: Choice) -> dict[str, Json]:
    found = choice.get("criteria_results")
    return found if isinstance(found, dict) else {}


def asked(aim: Aim) -> list[str]:
    """One id for each criterion of the run: two versions of one have no documented keys."""
    return list({plain(criterion): criterion for criterion in reversed(aim.criteria)}.values())[::-1]


def scored(aim: Aim) -> Request:
    return best_of(aim, criteria=tuple(asked(aim)))


@promise("criteria.results.asked", one(scored), rank=4)
def test_each_choice_has_the_results_that_were_asked_for(scene: Scene) -> Iterator[Finding]:
    expected = {plain(criterion) for criterion in asked(scene.aim)}
    for number, choice in enumerate(choices(scene.bodies()[0])):
        seen = {plain(name) for name in results(choice)}
        if seen != expected:
            told = f"expected results for {sorted(expected)}, got {sorted(seen) or 'none'}."
            yield scene.broken(told, f"/choices/{number}/criteria_results")


def versioned(aim: Aim) -> list[Variant]:
    """A criterion asked for by a version: one that is known to exist, else the first that any has."""
    versions = [each for each in aim.criteria if "@" in each]
    versions += [f"{name}@{version}" for name, version in aim.latest]
    versions += [f"{aim.criterion}@v1"]
    return [Variant((best_of(aim, criteria=(versions[0],)), scored(aim)))]


def no_error(result: Json) -> bool:
    """Whether a result is more than an error: no page says under which key a version is missed."""
    return not (isinstance(result, dict) and result.get("status") == "error")


@promise("criteria.results.keys", versioned, rank=6)
def test_keys_are_ids_without_versions(scene: Scene) -> Iterator[Finding]:
    good = [exchange for exchange in scene.exchanges() if exchange.ok]
    for exchange in good:
        for number, choice in enumerate(choices(body(exchange))):
            versioned = [name for name, result in results(choice).items() if "@" in name and no_error(result)]
            if versioned:
                told = f"expected ids without a version, got {versioned}."
                yield scene.broken(told, f"/choices/{number}/criteria_results", about=exchange)
    if not good:
        raise Unjudged("no request with criteria was answered by 200")


def ranking(aim: Aim) -> list[Variant]:
    prompts = PROMPTS if aim.local else PROMPTS[:2]
    return [Variant(tuple(best_of(aim, prompt, tuple(asked(aim))) for prompt in prompts))]


@promise("criteria.sorted", ranking, rank=4)
def test_the_best_choice_comes_first(scene: Scene) -> Iterator[Finding]:
    for exchange in scene.answers():
        every = choices(body(exchange))
        if not all(results(choice) for choice in every):
            raise Unjudged("choices without results can't be told apart")
        if not any(scores(results(choice), errored=True) for choice in every):
            raise Unjudged("no result has a score that is a number")
        if not any(falls([combine(results(choice)) for choice in every]) for combine in COMBINATIONS):
            totals = [round(summed(results(choice)), 6) for choice in every]
            told = f"the choices' scores add up to {totals}, which is no falling order under sum or mean."
            yield scene.broken(told, "/choices", about=exchange)


def falls(totals: list[float]) -> bool:
    return all(first >= second - NEARLY for first, second in pairwise(totals))


def scores(found: dict[str, Json], *, errored: bool) -> list[float]:
    """The scores that count. Whether an errored result's own score does is undecided."""
    return [
        result["score"]
        for result in found.values()
        if isinstance(result, dict)
        and isinstance(result.get("score"), int | float)
        and not isinstance(result["score"], bool)
        and (errored or result.get("status") != "error")
    ]


def summed(found: dict[str, Json]) -> float:
    return math.fsum(scores(found, errored=False))


def mean(found: dict[str, Json]) -> float:
    counting = scores(found, errored=False)
    return math.fsum(counting) / len(counting) if counting else 0.0


def summed_with_errored(found: dict[str, Json]) -> float:
    return math.fsum(scores(found, errored=True))


def mean_with_errored(found: dict[str, Json]) -> float:
    counting = scores(found, errored=True)
    return math.fsum(counting) / len(counting) if counting else 0.0


COMBINATIONS = (summed, mean, summed_with_errored, mean_with_errored)
"""Ways to combine scores, each as good as the others; a mean with errors as 0 orders as the sum does."""


def both_versions(aim: Aim) -> list[Variant]:
    """Two versions of one criterion, where the caller has named them."""
    by_name: dict[str, list[str]] = {}
    for criterion in aim.criteria:
        if "@" in criterion:
            by_name.setdefault(plain(criterion), []).append(criterion)
    pairs = [tuple(ids[:2]) for ids in by_name.values() if len(ids) > 1]
    return [Variant((best_of(aim, criteria=pair),), facts=pair) for pair in pairs[:1]]


@promise("criteria.results.two_versions", both_versions, rank=42)
def test_two_versions_get_a_result_each(scene: Scene) -> Iterator[Finding]:
    for number, choice in enumerate(choices(scene.bodies()[0])):
        if set(results(choice)) != set(scene.facts):
            told = f"expected {sorted(scene.facts)}, got {sorted(results(choice))}."
            yield scene.broken(told, f"/choices/{number}/criteria_results")


@promise("criteria.results.unasked", one(chatting, lambda aim: chatting(aim, criteria=[])), rank=41)
def test_nothing_is_judged_that_nobody_asked_for(scene: Scene) -> Iterator[Finding]:
    for exchange in scene.answers():
        for number, choice in enumerate(choices(body(exchange))):
            if results(choice):
                where = f"/choices/{number}/criteria_results"
                yield scene.broken(f"expected none, got {sorted(results(choice))}.", where, about=exchange)


def bare(every: list[Choice]) -> list[Json]:
    """The choices' messages, in an order of their own."""
    return sorted((json_of(message(choice)) for choice in every), key=str)


def json_of(value: Json) -> str:
    return wire(value).decode("utf-8", "surrogatepass")


@promise("criteria.order_only", one(scored, lambda aim: chatting(aim, n=aim.choices)), rank=43)
def test_criteria_change_nothing_but_order_and_results(scene: Scene) -> Iterator[Finding]:
    judged, unjudged = (choices(answer) for answer in scene.bodies())
    if bare(judged) != bare(unjudged):
        yield scene.broken("the messages differ from those of the same request without criteria.", "/choices")


def turned(aim: Aim) -> Request:
    return best_of(aim, criteria=tuple(reversed(asked(aim))))


@promise("criteria.permuted", one(scored, turned), rank=43)
def test_the_order_of_criteria_says_nothing(scene: Scene) -> Iterator[Finding]:
    first, second = (answer.get("choices") for answer in scene.bodies())
    if first != second:
        yield scene.broken(
            "the choices differ from those for the same criteria in another order.", "/choices"
        )


def plain_and_latest(aim: Aim) -> list[Variant]:
    return [
        Variant((best_of(aim, criteria=(name,)), best_of(aim, criteria=(f"{name}@{version}",))), facts=name)
        for name, version in aim.latest[:1]
    ]


@promise("criteria.latest", plain_and_latest, rank=43)
def test_a_plain_id_gets_the_results_of_the_latest_version(scene: Scene) -> Iterator[Finding]:
    first, second = (
        [sorted(map(json_of, results(choice).values())) for choice in choices(answer)]
        for answer in scene.bodies()
    )
    if first != second:
        yield scene.broken(
            f"the results of {scene.facts} differ from those of its latest version.", "/choices"
        )


@promise("criteria.agree", one(scored), rank=43, further=4)
def test_results_are_what_the_judge_says(scene: Scene) -> Iterator[Finding]:
    every = choices(scene.bodies()[0])
    for criterion in asked(scene.aim)[:2]:
        for number, choice in enumerate(every[:2]):
            result = results(choice).get(plain(criterion))
            if not isinstance(result, dict) or result.get("status") != "success":
                continue
            answer = body(successful(scene.ask(judge_of(scene.aim, criterion, choice))))
            if answer.get("score") != result.get("score"):
                told = f"{criterion} gives {result.get('score')}, and as a judgement {answer.get('score')}."
                yield scene.broken(told, f"/choices/{number}/criteria_results", about=scene.used[0])


def judge_of(aim: Aim, criterion: str, choice: Choice) -> Request:
    return judging(aim, criterion, input={"messages": said(PROMPTS[0])}, output=message(choice))


@promise("criteria.unknown", one(lambda aim: best_of(aim, criteria=(UNKNOWN,))), rank=20)
def test_an_unknown_criterion_is_no_success(scene: Scene) -> Iterator[Finding]:
    exchange = answered(scene.ask(scene.case.requests[0]))
    if not exchange.ok and not exchange.refused:
        yield scene.broken(f"a criterion that doesn't exist was answered by {exchange.status}.")
    if not exchange.ok:
        return
    judged = [result for choice in choices(body(exchange)) for result in results(choice).values()]
    if any(isinstance(result, dict) and result.get("status") == "success" for result in judged):
        yield scene.lenient("a criterion that doesn't exist gave a score.", "/choices/*/criteria_results")


def with_header(text: str) -> Any:
    def build(aim: Aim) -> Request:
        request = chatting(aim)
        return replace(request, headers=(*request.headers, ("op-criteria", text)))

    return build


@promise("criteria.malformed", one(with_header("criterion-1"), with_header('{"criterion-1": true}')), rank=40)
def test_a_header_that_is_no_list_is_refused(scene: Scene) -> Iterator[Finding]:
    for request in scene.case.requests:
        exchange = answered(scene.ask(request))
        if 200 <= exchange.status < 400:
            yield scene.broken(
                f"op-criteria: {request.header('op-criteria')} was answered by {exchange.status}."
            )


def streamed(aim: Aim) -> Request:
    request = streaming(aim)
    return replace(request, headers=(*request.headers, ("op-criteria", wire(asked(aim)).decode())))


@promise("criteria.streamed", one(streamed), rank=40)
def test_a_stream_can_t_be_sorted(scene: Scene) -> Iterator[Finding]:
    exchange = answered(scene.ask(scene.case.requests[0]))
    if not exchange.refused:
        yield scene.broken(
            f"expected a 4xx, got {exchange.status}{told(exchange) if exchange.status >= 400 else '.'}"
        )
