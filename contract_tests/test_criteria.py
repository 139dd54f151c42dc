"""Rules about `op-criteria`: results for each criterion that is asked for, and the best choice first."""

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise, product
from typing import Any

from openpipe_mock.contract.findings import Finding
from openpipe_mock.contract.probe import Request, wire

from .builders import (
    OFFICIAL,
    PROMPTS,
    best_of,
    chatting,
    judging,
    streaming,
    user_messages,
    with_headers,
)
from .invariants import message_suffix
from .promises import (
    CaseContext,
    Variant,
    further_cases,
    one_case,
    refusal,
    require_answer,
    require_object,
    require_success,
    rule_for,
)
from .run import Unjudged
from .settings import RunSettings, plain
from .test_completions import choices, for_several, in_json, message, miscounted, misnumbered, named

Json = Any
Choice = dict[str, Json]

UNKNOWN = "no-such-criterion-of-the-contract-suite"
MANY = 8
"""Choices that show what sorting a few doesn't. Elsewhere no more are asked for than usual."""
NEARLY = 1e-9


def results(choice: Choice) -> dict[str, Json]:
    found = choice.get("criteria_results")
    return found if isinstance(found, dict) else {}


def asked_criteria(settings: RunSettings) -> list[str]:
    """One id for each criterion of the run: no source says which keys two versions of one get."""
    return list({plain(criterion): criterion for criterion in reversed(settings.criteria)}.values())[::-1]


def unscored(settings: RunSettings) -> Request:
    """Criteria of a single choice, without `n`; the header as JavaScript writes it."""
    return chatting(settings, criteria=asked_criteria(settings))


def spaced(request: Request) -> Request:
    """The same request with the header as Python writes it."""
    kept = [pair for pair in request.headers if pair[0] != "op-criteria"]
    return replace(request, headers=(*kept, ("op-criteria", json.dumps(criteria_of(request)))))


def criteria_of(request: Request) -> list[str]:
    """The ids that a request's header asks for."""
    return list(json.loads(request.header("op-criteria") or "[]"))


def in_both_spellings(settings: RunSettings) -> list[Variant]:
    dense = unscored(settings)
    return [Variant((dense, spaced(dense)), further=len(asked_criteria(settings)))]


def a_version(settings: RunSettings) -> str:
    """An id with a version: one that the user named, else `v1`."""
    known = [each for each in settings.criteria if "@" in each]
    known += [f"{name}@{version}" for name, version in settings.latest]
    return next(iter(known), f"{settings.criterion}@v1")


def mixed(settings: RunSettings) -> list[str]:
    """An id with a version beside a plain one, as the page's examples have them."""
    first = a_version(settings)
    others = [plain(each) for each in asked_criteria(settings) if plain(each) != plain(first)]
    return [first, *others[:1]]


NOTES = {"prompt_id": "counting", "any_key": "any_value"}


def printed_for_python(settings: RunSettings) -> Request:
    """The page's example in Python, as the client sends it."""
    messages = [{"role": "system", "content": "count to 10"}]
    request = chatting(settings, messages=messages, metadata=NOTES, n=5, criteria=mixed(settings))
    return spaced(with_headers(settings, request, *OFFICIAL))


def printed_for_curl(settings: RunSettings) -> Request:
    """The page's example for curl, without the commas too many."""
    return spaced(
        chatting(settings, "Count to 10", store=True, n=5, metadata=NOTES, criteria=mixed(settings))
    )


EXAMPLES = (printed_for_python, printed_for_curl)


def scored(settings: RunSettings) -> Request:
    return best_of(settings, criteria=tuple(asked_criteria(settings)))


def one_scored(settings: RunSettings) -> Request:
    return chatting(settings, n=1, criteria=asked_criteria(settings))


def eight_scored(settings: RunSettings) -> Request:
    return best_of(settings, PROMPTS[1], tuple(asked_criteria(settings)), n=MANY)


def by_one_criterion(settings: RunSettings) -> Request:
    return best_of(settings, criteria=tuple(asked_criteria(settings)[:1]))


def calls_scored(settings: RunSettings) -> Request:
    members = for_several(named)(settings).value()
    return chatting(settings, criteria=asked_criteria(settings), **members)


def json_scored(settings: RunSettings) -> Request:
    members = for_several(in_json)(settings).value()
    return chatting(settings, criteria=asked_criteria(settings), **members)


PAIRS = {"one": one_scored, "criterion": by_one_criterion, "tools": calls_scored, "json": json_scored}
"""What criteria may be asked for with, by the names of the cases."""


@rule_for("criteria.header", in_both_spellings, rank=3)
@rule_for("criteria.header", further_cases(**PAIRS, examples=EXAMPLES), rank=3)
def test_criteria_that_the_judge_knows_can_be_asked_for(context: CaseContext) -> Iterator[Finding]:
    for request in context.case.requests:
        exchange = require_answer(context.ask(request))
        if exchange.refused:
            prove_known(context, criteria_of(request))
        yield from refusal(context, exchange)


def prove_known(context: CaseContext, criteria: list[str]) -> None:
    """Raise Unjudged unless the judge knows each of these criteria."""
    for criterion in criteria:
        if not require_answer(context.ask(judging(context.settings, criterion))).ok:
            raise Unjudged(f"the judge doesn't know {criterion} either")


@rule_for(
    "chat.choices.count",
    further_cases(
        tools=for_several(named),
        json=for_several(in_json),
        criteria=scored,
        eight=eight_scored,
        examples=EXAMPLES,
    ),
    rank=5,
)
def test_no_choice_is_dropped(context: CaseContext) -> Iterator[Finding]:
    for exchange in context.answers():
        yield from miscounted(context, exchange)


@rule_for("chat.choices.index", further_cases(criteria=scored, eight=eight_scored), rank=11)
def test_sorted_choices_have_different_indexes(context: CaseContext) -> Iterator[Finding]:
    for exchange in context.answers():
        yield from misnumbered(context, exchange)


@rule_for("criteria.results.asked", one_case(scored), rank=4)
@rule_for("criteria.results.asked", further_cases(bare=unscored, **PAIRS, examples=EXAMPLES), rank=4)
def test_each_choice_has_the_results_that_were_asked_for(context: CaseContext) -> Iterator[Finding]:
    for exchange in context.answers():
        expected = {plain(criterion) for criterion in criteria_of(exchange.request)}
        for number, choice in enumerate(choices(require_object(exchange))):
            seen = {plain(name) for name in results(choice)}
            if seen != expected:
                sentence = f"expected results for {sorted(expected)}, got {sorted(seen) or 'none'}."
                yield context.broken(sentence, f"/choices/{number}/criteria_results", about=exchange)


def versioned(settings: RunSettings) -> Request:
    return best_of(settings, criteria=tuple(reversed(mixed(settings))))


def no_error(result: Json) -> bool:
    """Whether a result is no error. No page says which key an error for a missing version has."""
    return not (isinstance(result, dict) and result.get("status") == "error")


@rule_for("criteria.results.keys", one_case(versioned, scored), rank=6)
@rule_for("criteria.results.keys", further_cases(examples=EXAMPLES), rank=6)
def test_keys_are_ids_without_versions(context: CaseContext) -> Iterator[Finding]:
    good = [exchange for exchange in context.exchanges() if exchange.ok]
    for exchange in good:
        for number, choice in enumerate(choices(require_object(exchange))):
            versioned = [name for name, result in results(choice).items() if "@" in name and no_error(result)]
            if versioned:
                sentence = f"expected ids without a version, got {versioned}."
                yield context.broken(sentence, f"/choices/{number}/criteria_results", about=exchange)
    if not good:
        raise Unjudged("no request with criteria was answered by 200")


def ranking(settings: RunSettings) -> list[Variant]:
    prompts = PROMPTS if settings.local else PROMPTS[:2]
    return [Variant(tuple(best_of(settings, prompt, tuple(asked_criteria(settings))) for prompt in prompts))]


@rule_for("criteria.sorted", ranking, rank=4)
@rule_for(
    "criteria.sorted",
    further_cases(eight=eight_scored, criterion=by_one_criterion, tools=calls_scored, examples=EXAMPLES),
    rank=4,
)
def test_the_best_choice_comes_first(context: CaseContext) -> Iterator[Finding]:
    for exchange in context.answers():
        every = choices(require_object(exchange))
        if not all(results(choice) for choice in every):
            raise Unjudged("choices without results can't be told apart")
        counted = {errored: [scores(results(choice), errored) for choice in every] for errored in ERRORED}
        if not any(counted["own"]):
            raise Unjudged("no result has a score that is a number")
        ways = product(COMBINATIONS, counted.values())
        if not any(falls([combine(each) for each in found]) for combine, found in ways):
            totals = [round(math.fsum(each), 6) for each in counted["none"]]
            sentence = f"the scores add up to {totals}, no falling order under sum, mean, product or least."
            yield context.broken(sentence, "/choices", about=exchange)


def falls(totals: list[float]) -> bool:
    return all(first >= second - NEARLY for first, second in pairwise(totals))


ERRORED = ("none", "own", "zero")
"""What an errored result may count for, which no source decides: nothing, its own score, or 0."""


def scores(found: dict[str, Json], errored: str) -> list[float]:
    """The scores of results; `errored` is one of ERRORED."""
    counted: list[float] = []
    for result in (each for each in found.values() if isinstance(each, dict)):
        score, fails = result.get("score"), result.get("status") == "error"
        if fails and errored == "zero":
            counted.append(0.0)
        elif isinstance(score, int | float) and not isinstance(score, bool):
            counted += [] if fails and errored == "none" else [score]
    return counted


def mean(numbers: list[float]) -> float:
    return math.fsum(numbers) / len(numbers) if numbers else 0.0


def least(numbers: list[float]) -> float:
    return min(numbers, default=0.0)


COMBINATIONS = (math.fsum, mean, math.prod, least)
"""The ways to combine scores that are judged as correct, since no source names one."""


def both_versions(settings: RunSettings) -> list[Variant]:
    """A case with two versions of one criterion, if the user has named two."""
    by_name: dict[str, list[str]] = {}
    for criterion in settings.criteria:
        if "@" in criterion:
            by_name.setdefault(plain(criterion), []).append(criterion)
    pairs = [tuple(ids[:2]) for ids in by_name.values() if len(ids) > 1]
    return [Variant((best_of(settings, criteria=pair),), facts=pair) for pair in pairs[:1]]


@rule_for("criteria.results.two_versions", both_versions, rank=42)
def test_two_versions_get_a_result_each(context: CaseContext) -> Iterator[Finding]:
    for number, choice in enumerate(choices(context.bodies()[0])):
        if set(results(choice)) != set(context.facts):
            sentence = f"expected {sorted(context.facts)}, got {sorted(results(choice))}."
            yield context.broken(sentence, f"/choices/{number}/criteria_results")


@rule_for(
    "criteria.results.unasked", one_case(chatting, lambda settings: chatting(settings, criteria=[])), rank=41
)
def test_nothing_is_judged_that_nobody_asked_for(context: CaseContext) -> Iterator[Finding]:
    for exchange in context.answers():
        for number, choice in enumerate(choices(require_object(exchange))):
            if results(choice):
                where = f"/choices/{number}/criteria_results"
                yield context.broken(f"expected none, got {sorted(results(choice))}.", where, about=exchange)


def message_texts(every: list[Choice]) -> list[Json]:
    """The choices' messages as sorted JSON texts, to compare them in any order."""
    return sorted((json_of(message(choice)) for choice in every), key=str)


def json_of(value: Json) -> str:
    return wire(value).decode("utf-8", "surrogatepass")


@rule_for(
    "criteria.order_only", one_case(scored, lambda settings: chatting(settings, n=settings.choices)), rank=43
)
def test_criteria_change_nothing_but_order_and_results(context: CaseContext) -> Iterator[Finding]:
    judged, unjudged = (choices(answer) for answer in context.bodies())
    if message_texts(judged) != message_texts(unjudged):
        yield context.broken(
            "the messages differ from those of the same request without criteria.", "/choices"
        )


def scored_in_reverse(settings: RunSettings) -> Request:
    return best_of(settings, criteria=tuple(reversed(asked_criteria(settings))))


@rule_for("criteria.permuted", one_case(scored, scored_in_reverse), rank=43)
def test_the_order_of_criteria_says_nothing(context: CaseContext) -> Iterator[Finding]:
    first, second = (answer.get("choices") for answer in context.bodies())
    if first != second:
        yield context.broken(
            "the choices differ from those for the same criteria in another order.", "/choices"
        )


@rule_for("criteria.agree", one_case(scored), rank=43, further=4)
def test_results_are_what_the_judge_says(context: CaseContext) -> Iterator[Finding]:
    every = choices(context.bodies()[0])
    for criterion in asked_criteria(context.settings)[:2]:
        for number, choice in enumerate(every[:2]):
            result = results(choice).get(plain(criterion))
            if not isinstance(result, dict) or result.get("status") != "success":
                continue
            answer = require_object(
                require_success(context.ask(judge_of(context.settings, criterion, choice)))
            )
            if answer.get("score") != result.get("score"):
                sentence = (
                    f"{criterion} gives {result.get('score')}, and as a judgement {answer.get('score')}."
                )
                yield context.broken(sentence, f"/choices/{number}/criteria_results", about=context.used[0])


def judge_of(settings: RunSettings, criterion: str, choice: Choice) -> Request:
    return judging(settings, criterion, input={"messages": user_messages(PROMPTS[0])}, output=message(choice))


@rule_for("criteria.unknown", one_case(lambda settings: best_of(settings, criteria=(UNKNOWN,))), rank=20)
def test_an_unknown_criterion_is_no_success(context: CaseContext) -> Iterator[Finding]:
    exchange = require_answer(context.ask(context.case.requests[0]))
    if not exchange.ok and not exchange.refused:
        yield context.broken(f"a criterion that doesn't exist was answered by {exchange.status}.")
    if not exchange.ok:
        return
    judged = [result for choice in choices(require_object(exchange)) for result in results(choice).values()]
    if any(isinstance(result, dict) and result.get("status") == "success" for result in judged):
        yield context.lenient("a criterion that doesn't exist gave a score.", "/choices/*/criteria_results")
    elif not judged:
        yield context.broken("a criterion that doesn't exist was left out.", "/choices/*/criteria_results")


def with_header(text: str) -> Any:
    def build(settings: RunSettings) -> Request:
        request = chatting(settings)
        return replace(request, headers=(*request.headers, ("op-criteria", text)))

    return build


@rule_for(
    "criteria.malformed", one_case(with_header("criterion-1"), with_header('{"criterion-1": true}')), rank=40
)
def test_a_header_that_is_no_list_is_refused(context: CaseContext) -> Iterator[Finding]:
    for request in context.case.requests:
        exchange = require_answer(context.ask(request))
        if 200 <= exchange.status < 400:
            yield context.broken(
                f"op-criteria: {request.header('op-criteria')} was answered by {exchange.status}."
            )


def streamed(settings: RunSettings) -> Request:
    request = streaming(settings)
    return replace(
        request, headers=(*request.headers, ("op-criteria", wire(asked_criteria(settings)).decode()))
    )


@rule_for("criteria.streamed", one_case(streamed), rank=40)
def test_a_stream_can_t_be_sorted(context: CaseContext) -> Iterator[Finding]:
    exchange = require_answer(context.ask(context.case.requests[0]))
    if not exchange.refused:
        suffix = message_suffix(exchange) if exchange.status >= 400 else "."
        yield context.broken(f"expected a 4xx, got {exchange.status}{suffix}")
