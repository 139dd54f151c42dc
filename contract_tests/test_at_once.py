"""Rules about requests that are under way at the same time: each gets its own answer."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from openpipe_mock.contract.findings import Finding
from openpipe_mock.contract.probe import Exchange, Request

from .builders import OTHER_TOOL, PROMPTS, TOOL, WEATHER, best_of, chatting, judging, streaming
from .promises import CaseContext, MakeVariants, Variant, require_object, rule_for
from .run import Unjudged
from .settings import RunSettings, plain
from .test_completions import calls, choices_of, message, names, number_of
from .test_criteria import asked_criteria, criteria_of, results

Json = Any

TEXTS = ("One.", "Two, three.", "Four, five, six.", "The sea is wide, deep and blue.")
MOST_ALIKE = 2
"""So many different answers or fewer come out alike too often to tell whose they are."""


def judgements(settings: RunSettings) -> list[Request]:
    return [judging(settings, output={"role": "assistant", "content": text}) for text in TEXTS]


def completions(settings: RunSettings) -> list[Request]:
    """Requests whose answers differ: in choices, criteria and tools, some in nothing but their texts."""
    asked, tools = asked_criteria(settings), [TOOL, OTHER_TOOL]
    return [
        best_of(settings, PROMPTS[0], tuple(asked)),
        best_of(settings, PROMPTS[1], tuple(asked[:1]), n=2),
        chatting(settings, WEATHER, tools=tools, tool_choice=named(TOOL)),
        streaming(settings, WEATHER, tools=tools, tool_choice=named(OTHER_TOOL)),
        streaming(settings, PROMPTS[2], n=2),
    ]


def named(tool: Json) -> Json:
    return {"type": "function", "function": {"name": tool["function"]["name"]}}


def at_once(build: Callable[[RunSettings], list[Request]]) -> MakeVariants:
    """A case with the requests of a builder: sent together first, there and back, then alone.

    A server elsewhere gets one request at a time.
    """

    def make_variants(settings: RunSettings) -> Iterator[Variant]:
        if settings.local:
            requests = build(settings)
            yield Variant((), facts=requests, further=3 * len(requests))

    return make_variants


@rule_for("judge.at_once", at_once(judgements), rank=10.5, alone=True)
@rule_for("chat.at_once", at_once(completions), rank=10.5, alone=True)
def test_requests_at_the_same_time_get_an_answer_each(context: CaseContext) -> Iterator[Finding]:
    """Broken is an answer that fits another request, or that says something else than each time alone."""
    there_and_back = [*context.facts, *reversed(context.facts)]
    together = context.together([turn(each, place) for place, each in enumerate(there_and_back, start=1)])
    alone = [context.anew(turn(request, len(together) + 1)) for request in context.facts]
    differing = []
    for beside, single in zip(together, [*alone, *reversed(alone)], strict=True):
        if single.ok and not beside.ok:
            yield mixed(context, beside, f"{beside.status} beside others, and 200 alone.")
        elif single.ok and (wrong := misfit(beside)) and not misfit(single):
            yield mixed(context, beside, f"{wrong}, and alone as it was asked for.")
        elif single.ok and gist(beside) != gist(single):
            differing.append(beside)
    if differing:
        prove_steady(context, alone)
    for beside in differing:
        yield mixed(context, beside, "it says something else than alone, where it says the same each time.")
    if context.run.ahead.one_at_a_time:
        raise Unjudged("no requests went at the same time")


def turn(request: Request, number: int) -> Request:
    """The request in bytes of their own for each turn: what a cache has for others says nothing."""
    return replace(request, body=request.body + b"\n" * number)


def mixed(context: CaseContext, exchange: Exchange, sentence: str) -> Finding:
    """A finding; no page tells of streams and tools.

    It isn't repeated: its rule has asked again already, and what gets mixed up is a matter of chance. Later
    cases get their requests sent one by one.
    """
    context.run.confirmed.add(context.case.check.id)
    context.run.ahead.mixed_up = True
    own = exchange.request.endpoint == "judge" or criteria_of(exchange.request)
    return context.broken(sentence, about=exchange, level="" if own else "sdk")


def misfit(exchange: Exchange) -> str:
    """In what an answer isn't that to its request, "" where it may be."""
    request = exchange.request
    if request.endpoint != "chat":
        return ""
    found, expected = choices_of(exchange), number_of(request)
    if len(found) != expected:
        return f"{len(found)} choices in place of {expected}"
    criteria = {plain(each) for each in criteria_of(request)}
    judged = {plain(each) for choice in found for each in results(choice)}
    if criteria and judged != criteria:
        return f"results for {sorted(judged)} in place of {sorted(criteria)}"
    tool = (request.value().get("tool_choice") or {}).get("function", {}).get("name")
    called = {str(name) for choice in found for name in names(choice)}
    return f"a call of {sorted(called)} in place of {tool}" if tool and called - {tool} else ""


def gist(exchange: Exchange) -> str:
    """What an answer says, as text; what may differ from time to time is left out."""
    if exchange.request.endpoint == "judge":
        return json.dumps(require_object(exchange).get("score"))
    return json.dumps([*map(said, choices_of(exchange))])


def said(choice: dict[str, Json]) -> Json:
    """The text, the calls and the scores of a choice."""
    judged = {name: each.get("score") for name, each in results(choice).items() if isinstance(each, dict)}
    return message(choice).get("content") or "", calls(choice), judged


def prove_steady(context: CaseContext, alone: list[Exchange]) -> None:
    """Raise Unjudged where a server doesn't repeat itself, or has too few answers to show it."""
    again = [context.anew(turn(exchange.request, 1)) for exchange in alone]
    first, second = ([gist(each) for each in answers if each.ok] for answers in (alone, again))
    if first != second or len({*first}) <= MOST_ALIKE:
        raise Unjudged("the server doesn't repeat itself, so mixed answers can't be told from new ones")
