"""Rules about `op-cache`: what is kept answers the same request alone, in the modes that read it."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from openpipe_mock.contract.findings import Finding
from openpipe_mock.contract.probe import Exchange, Request

from .builders import chatting, streaming
from .promises import (
    CaseContext,
    Variant,
    one_case,
    require_answer,
    require_object,
    require_success,
    rule_for,
)
from .settings import RunSettings, plain
from .test_completions import choices

Json = Any

PROMPT, OTHER, UNREAD = (f"Write down {number} random digits." for number in (20, 21, 22))
"""Texts that a model hardly answers alike by chance. A server may have kept answers in an earlier run."""


@dataclass
class Cache:
    """Asks for completions in a mode of op-cache, one after the other."""

    context: CaseContext

    def ask(self, mode: str, prompt: str = PROMPT, **members: Json) -> Exchange:
        """The answer in a mode, "" for none. Raises Unjudged where it isn't 200."""
        request = chatting(self.context.settings, prompt, **members)
        headers = (*request.headers, ("op-cache", mode)) if mode else request.headers
        exchange = require_success(self.context.anew(replace(request, headers=headers)))
        require_object(exchange)
        return exchange

    def broken(self, sentence: str, exchange: Exchange, level: str = "") -> Finding:
        return self.context.broken(sentence, about=exchange, level=level)


def identity(exchange: Exchange) -> Json:
    return exchange.value.get("id")


def said(exchange: Exchange) -> list[Json]:
    return [choice.get("message") for choice in choices(exchange.value)]


def in_turn(number: int) -> Any:
    """A case that sends requests one after the other, none of them ahead."""
    return lambda settings: [Variant((), further=number)]


@rule_for("chat.cache.answers", in_turn(3), rank=46, alone=True)
def test_what_is_kept_answers_the_same_request_alone(context: CaseContext) -> Iterator[Finding]:
    """A server may keep nothing. Where it may keep, more is asked at the expense of the reserve."""
    cache = Cache(context)
    unkept, first, again = (cache.ask(mode) for mode in ("", "writeOnly", "readWrite"))
    if identity(again) == identity(first):
        yield from _of_kept(cache, first, again, identity(unkept) != identity(first))
    elif said(again) == said(first) != said(unkept):
        yield cache.broken("a kept answer has another id than the first.", again)


def _of_kept(cache: Cache, first: Exchange, again: Exchange, telling: bool) -> Iterator[Finding]:
    """Findings about what is kept. `telling`: ids tell an answer that is kept from a new one."""
    if telling and said(again) != said(first):
        yield cache.broken("a kept answer has the id of the first and says something else.", again)
    other, warmer = cache.ask("readWrite", OTHER), cache.ask("readWrite", temperature=0.7)
    for exchange, what in ((other, "prompt"), (warmer, "temperature")):
        if telling and identity(exchange) == identity(first):
            yield cache.broken(f"another {what} got the answer that is kept for the first.", exchange)
    two = cache.ask("readWrite", n=2)
    if len(choices(two.value)) != 2:
        yield cache.broken("a request for two choices got the answer that is kept for one.", two)
    yield from _of_judged(cache)


def _of_judged(cache: Cache) -> Iterator[Finding]:
    """Findings about results of what is kept: asked for by all criteria of the run, then by one."""
    every = cache.context.settings.criteria
    for criteria in (every, every[:1]):
        exchange = cache.ask("readWrite", criteria=list(criteria))
        for choice in choices(exchange.value):
            if set(choice.get("criteria_results") or ()) - {plain(each) for each in criteria} - {*criteria}:
                sentence = "an answer that is kept has results of other criteria than are asked for."
                yield cache.broken(sentence, exchange, level="documented")
            elif not choice.get("criteria_results"):
                sentence = "an answer that is kept has no results, though criteria are asked for."
                yield cache.broken(sentence, exchange, level="documented")


@rule_for("chat.cache.modes", in_turn(3), rank=47, alone=True)
def test_each_mode_reads_and_writes_what_it_says(context: CaseContext) -> Iterator[Finding]:
    """Nothing to judge where the server keeps nothing, or the same request gets the same id anyway."""
    cache = Cache(context)
    unkept, first, read = (identity(cache.ask(mode)) for mode in ("", "writeOnly", "readOnly"))
    if first == unkept:
        return
    if read != first:
        yield from _unread(cache, unkept)
        return
    for mode in ("", "writeOnly"):
        exchange = cache.ask(mode)
        if identity(exchange) == first:
            asked = mode or "a request without op-cache"
            yield cache.broken(f"{asked} got an answer that is kept.", exchange)
    unwritten, missed = cache.ask("readOnly", UNREAD), cache.ask("readOnly", UNREAD)
    if identity(missed) == identity(unwritten):
        yield cache.broken("readOnly kept its answer.", missed)


def _unread(cache: Cache, unkept: Json) -> Iterator[Finding]:
    """A finding where readWrite keeps answers, and the other two modes don't work together."""
    written, again = cache.ask("readWrite"), cache.ask("readWrite")
    if identity(written) == identity(again) != unkept:
        yield cache.broken("readOnly didn't get what writeOnly had kept.", again)


def streamed(settings: RunSettings) -> Request:
    request = streaming(settings, PROMPT)
    return replace(request, headers=(*request.headers, ("op-cache", "readWrite")))


@rule_for("chat.cache.streamed", one_case(streamed), rank=48)
def test_a_stream_is_not_kept(context: CaseContext) -> Iterator[Finding]:
    exchange = require_answer(context.ask(context.case.requests[0]))
    if not exchange.refused:
        yield context.broken(f"a stream with op-cache was answered by {exchange.status}, not a 4xx.")
