"""Rules about the content of streams, beyond their framing."""

from collections.abc import Iterator
from typing import Any

from openpipe_mock.contract.findings import Finding
from openpipe_mock.contract.probe import Exchange, wire

from . import streams
from .builders import (
    CHAT,
    COUNTING,
    OTHER_TOOL,
    TOOL,
    WEATHER,
    chatting,
    logging,
    post,
    streaming,
    user_messages,
)
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
from .settings import RunSettings, economical
from .streams import Joined
from .test_completions import (
    CUT_SHORT,
    NAMED,
    calls,
    choices,
    message,
    named,
    named_in_stream,
    no_object,
    number_of,
    offered,
)

Json = Any


def counting(settings: RunSettings) -> Any:
    return streaming(settings, stream_options={"include_usage": True})


def several(settings: RunSettings) -> Any:
    return streaming(settings, n=settings.choices)


def calling(settings: RunSettings) -> Any:
    return streaming(settings, WEATHER, tools=[OTHER_TOOL, TOOL], tool_choice=NAMED)


def calling_twice(settings: RunSettings) -> Any:
    return streaming(settings, WEATHER, tools=[OTHER_TOOL, TOOL], tool_choice=NAMED, n=2)


def calling_in_the_older_form(settings: RunSettings) -> Any:
    call = {"name": "get_weather"}
    return streaming(settings, WEATHER, functions=[TOOL["function"]], function_call=call)


def joined(exchange: Exchange) -> dict[Any, Joined]:
    """The choices of a stream. Raises Unjudged where no piece of one could be read."""
    found = streams.joined(exchange)
    if not found:
        raise Unjudged("the stream holds no piece of a choice")
    return found


@rule_for("chat.stream.text", one_case(streaming), rank=3)
def test_a_stream_says_something(context: CaseContext) -> Iterator[Finding]:
    (exchange,) = context.exchanges()
    yield from refusal(context, exchange)
    for index, choice in (joined(exchange) if exchange.ok else {}).items():
        content = choice.content or choice.refusal or choice.calls or choice.call
        if not content and not set(choice.reasons) & set(CUT_SHORT):
            yield context.broken(f"the pieces of choice {index} add up to nothing.", "/events")
        if choice.cumulative:
            yield context.broken(f"each piece of choice {index} repeats those before it.", "/events")


@rule_for("chat.stream.count", one_case(several, streaming), rank=11)
@rule_for("chat.stream.count", further_cases(tools=named_in_stream), rank=11)
def test_a_stream_carries_every_choice(context: CaseContext) -> Iterator[Finding]:
    for exchange in context.answers():
        indexes, expected = sorted(joined(exchange)), number_of(exchange.request)
        if indexes != list(range(expected)):
            sentence = f"expected choices with the indexes from 0 to {expected - 1}, got {indexes}."
            yield context.broken(sentence, "/events", about=exchange)


@rule_for("chat.stream.tools", one_case(calling, calling_twice, calling_in_the_older_form), rank=13)
def test_a_streamed_call_is_whole(context: CaseContext) -> Iterator[Finding]:
    """Refusals of calls in several choices, and in the older form, are for others to tell."""
    every = context.exchanges()
    require_success(every[0])
    for exchange, choice in uncut(every):
        called = choice.calls or choice.call
        if not called and exchange.request.value().get("tool_choice"):
            yield context.broken("expected a call of get_weather, got none.", "/events", about=exchange)
        for trouble in troubles(choice, callable_names(exchange)):
            yield context.broken(trouble, "/events", about=exchange)


def uncut(exchanges: list[Exchange]) -> list[tuple[Exchange, Joined]]:
    """The choices of the streams that came to their end. Raises Unjudged without one."""
    found = [
        (exchange, choice)
        for exchange in exchanges
        for choice in (streams.joined(exchange).values() if exchange.ok else ())
        if not set(choice.reasons) & set(CUT_SHORT)
    ]
    if not found:
        raise Unjudged("no choice came to its end")
    return found


def callable_names(exchange: Exchange) -> list[Json]:
    """The name of the tool that a request names; else those that it offers."""
    choice = exchange.request.value().get("tool_choice")
    return [choice["function"]["name"]] if choice else offered(exchange)


def troubles(choice: Joined, names: list[Json]) -> Iterator[str]:
    """What is wrong with the calls of a choice. `names` are those of the functions that may be called."""
    if choice.repeated:
        yield "a call's id or name is repeated, and clients join the pieces."
    if list(choice.calls) != list(range(len(choice.calls))):
        yield f"the calls have the indexes {list(choice.calls)}, in this order."
    if len({call.get("id") for call in choice.calls.values()}) < len(choice.calls):
        yield "two calls have the same id."
    for call in choice.calls.values():
        lacking = [name for name in ("id", "name") if not call.get(name, "").strip()]
        if lacking:
            yield f"a call's joined pieces are without {' and '.join(lacking)}."
    for call in filter(None, (*choice.calls.values(), choice.call)):
        if call.get("name") and call["name"] not in names:
            yield f"the joined name of a call is {call['name']!r}, not {names[0]}."
        elif trouble := no_object(call.get("arguments", "")):
            yield f"a call's joined pieces are {trouble}."


def bad_streams(settings: RunSettings) -> list[Variant]:
    """A case with requests for a stream that lack something, and what they lack."""
    model, messages = {"model": settings.model}, {"messages": user_messages(COUNTING)}
    bodies: dict[str, Json] = {
        "without messages": model,
        "without a model": messages,
        "with an unknown role": {**model, "messages": [{"role": "narrator", "content": COUNTING}]},
    }
    whole = [economical(settings, {**body, "stream": True}) for body in bodies.values()]
    return [Variant(tuple(post(CHAT, wire(body), *logging(settings)) for body in whole), facts=[*bodies])]


@rule_for("chat.stream.errors", bad_streams, rank=12)
def test_a_bad_request_is_refused_before_a_stream_begins(context: CaseContext) -> Iterator[Finding]:
    for request, lack in zip(context.case.requests, context.facts, strict=True):
        exchange = require_answer(context.ask(request))
        if not exchange.refused:
            yield context.broken(f"a request for a stream {lack} was answered by {exchange.status}.")


@rule_for("chat.stream.usage", one_case(counting), rank=42)
def test_the_tokens_are_counted_at_the_end(context: CaseContext) -> Iterator[Finding]:
    (exchange,) = context.answers()
    every = streams.chunks(exchange)
    last = every[-1] if every else {}
    if last.get("choices") != [] or not isinstance(last.get("usage"), dict):
        yield context.broken("the last chunk has choices, or no usage.", f"/events/{len(every) - 1}")


@rule_for(
    "chat.stream.same",
    one_case(
        streaming,
        chatting,
        calling,
        named,
    ),
    rank=43,
)
def test_a_stream_says_what_the_plain_answer_says(context: CaseContext) -> Iterator[Finding]:
    first, plain, called, plainly_called = context.answers()
    yield from same(context, first, plain)
    yield from same(context, called, plainly_called)


def same(context: CaseContext, stream: Exchange, plain: Exchange) -> Iterator[Finding]:
    pieces = joined(stream)
    for choice in choices(require_object(plain)):
        own = pieces.get(choice.get("index"), Joined())
        expected = ((message(choice).get("content") or ""), [call.get("arguments") for call in calls(choice)])
        if (own.content, [call.get("arguments") for call in own.calls.values()]) != expected:
            sentence = f"choice {choice.get('index')} differs from the plain answer's."
            yield context.broken(sentence, "/events", about=stream)
        elif own.reasons != [choice.get("finish_reason")]:
            yield context.broken(
                f"choice {choice.get('index')} ends as {own.reasons}, not {choice.get('finish_reason')}.",
                "/events",
                about=stream,
            )
