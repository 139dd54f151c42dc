"""Rules about the meaning of completions, beyond their schema."""

import json
from collections.abc import Iterator
from typing import Any

import jsonschema_rs

from openpipe_mock.contract.findings import Finding
from openpipe_mock.contract.probe import Exchange, Request
from openpipe_mock.openapi.violations import SchemaPlace, violations_of

from . import streams
from .builders import ANSWER_SCHEMA, OTHER_TOOL, PROMPTS, TOOL, WEATHER, chatting, with_members
from .jsontext import repeated_key
from .promises import (
    Builder,
    CaseContext,
    further_cases,
    one_case,
    refusal,
    require_answer,
    require_object,
    require_success,
    rule_for,
)
from .run import Unjudged
from .settings import MOST_TOKENS, RunSettings

Json = Any

NAMED = {"type": "function", "function": {"name": "get_weather"}}
"""The tool that is offered last, since a server that calls the first one doesn't look at the name."""
CUT_SHORT = ("length", "content_filter")


def choices(answer: dict[str, Json]) -> list[dict[str, Json]]:
    """The choices of an answer. Raises Unjudged where it has none that can be read."""
    found = answer.get("choices")
    if not isinstance(found, list) or not all(isinstance(choice, dict) for choice in found):
        raise Unjudged("the choices are no list of objects")
    return found


def choices_of(exchange: Exchange) -> list[dict[str, Json]]:
    """The choices of an answer; those of a stream in the form of a plain answer. Raises Unjudged without."""
    if not is_stream(exchange.request):
        return choices(require_object(exchange))
    found = streams.joined(exchange)
    if not found:
        raise Unjudged("the stream holds no piece of a choice")
    return [choice.whole(index) for index, choice in found.items()]


def is_stream(request: Request) -> bool:
    body = request.value()
    return isinstance(body, dict) and body.get("stream") is True


def place(exchange: Exchange, number: int, rest: str = "") -> str:
    """The pointer to what is wrong with a choice."""
    return "/events" if is_stream(exchange.request) else f"/choices/{number}{rest}"


def in_stream(build: Builder) -> Builder:
    """A builder of the same request for a stream."""
    return lambda settings: with_members(build(settings), stream=True)


def for_several(build: Builder) -> Builder:
    """A builder of the same request for several choices."""
    return lambda settings: with_members(build(settings), n=settings.choices)


def message(choice: dict[str, Json]) -> dict[str, Json]:
    found = choice.get("message")
    return found if isinstance(found, dict) else {}


def calls(choice: dict[str, Json]) -> list[dict[str, Json]]:
    """The functions that a choice calls, in either form."""
    own = message(choice)
    found = [call.get("function") for call in listed(own.get("tool_calls")) if isinstance(call, dict)]
    found += [own["function_call"]] if own.get("function_call") else []
    return [function for function in found if isinstance(function, dict)]


def listed(value: Json) -> list[Json]:
    return value if isinstance(value, list) else []


def text(choice: dict[str, Json]) -> str | None:
    """The text of a complete choice, None where it was cut or refused, or calls a tool."""
    own = message(choice)
    if choice.get("finish_reason") in CUT_SHORT or own.get("refusal") or calls(choice):
        return None
    return own.get("content") if isinstance(own.get("content"), str) else ""


def number_of(request: Request) -> int:
    """How many choices a request asks for."""
    return int(request.value().get("n") or 1)


def single(settings: RunSettings) -> Any:
    return chatting(settings)


def several(settings: RunSettings) -> Any:
    return chatting(settings, n=settings.choices)


@rule_for("chat.choices.count", one_case(single, several), rank=5)
def test_an_answer_has_as_many_choices_as_n_asks_for(context: CaseContext) -> Iterator[Finding]:
    for request in context.case.requests:
        exchange = require_answer(context.ask(request))
        yield from refusal(context, exchange)
        if exchange.ok:
            yield from miscounted(context, exchange)


def miscounted(context: CaseContext, exchange: Exchange) -> Iterator[Finding]:
    expected, seen = number_of(exchange.request), len(choices_of(exchange))
    if seen != expected:
        yield context.broken(f"expected {expected} choices, got {seen}.", "/choices", about=exchange)


@rule_for("chat.choices.index", one_case(single, several), rank=11)
def test_choices_have_different_indexes(context: CaseContext) -> Iterator[Finding]:
    for exchange in context.answers():
        yield from misnumbered(context, exchange)


def misnumbered(context: CaseContext, exchange: Exchange) -> Iterator[Finding]:
    indexes = [choice.get("index") for choice in choices(require_object(exchange))]
    if sorted(indexes, key=str) != sorted(range(len(indexes)), key=str):
        sentence = f"expected the numbers from 0 to {len(indexes) - 1} in any order, got {indexes}."
        yield context.broken(sentence, "/choices/*/index", about=exchange)


def named(settings: RunSettings) -> Any:
    return chatting(settings, WEATHER, tools=[OTHER_TOOL, TOOL], tool_choice=NAMED)


def required(settings: RunSettings) -> Any:
    return chatting(settings, WEATHER, tools=[TOOL, OTHER_TOOL], tool_choice="required")


def barred(settings: RunSettings) -> Any:
    return chatting(settings, WEATHER, tools=[TOOL, OTHER_TOOL], tool_choice="none")


def older(settings: RunSettings) -> Any:
    return chatting(settings, WEATHER, functions=[TOOL["function"]], function_call={"name": "get_weather"})


@rule_for("chat.tools.arguments", one_case(named, required), rank=14)
def test_arguments_are_the_text_of_a_json_object(context: CaseContext) -> Iterator[Finding]:
    seen = 0
    for exchange in context.answers():
        for number, choice in enumerate(choices(require_object(exchange))):
            for function in calls(choice) if choice.get("finish_reason") not in CUT_SHORT else ():
                seen += 1
                trouble = no_object(function.get("arguments"))
                if trouble:
                    where = f"/choices/{number}/message/tool_calls"
                    yield context.broken(
                        f"the arguments of {function.get('name')} are {trouble}.", where, about=exchange
                    )
    if not seen:
        raise Unjudged("no tool was called to the end")


def no_object(arguments: Json) -> str:
    """What is wrong with arguments, "" when nothing is."""
    if not isinstance(arguments, str):
        return f"no string but {type(arguments).__name__}"
    try:
        value = json.loads(arguments, parse_constant=no_constant)
    except ValueError:
        return f"no JSON: {arguments[:60]!r}"
    if isinstance(value, str):
        return "JSON that was written as a string once more"
    twice = repeated_key(arguments)
    if twice is not None:
        return f"JSON with the key {twice!r} twice"
    return "" if isinstance(value, dict) else f"no object: {arguments[:60]!r}"


def no_constant(name: str) -> None:
    """Refuses NaN and Infinity, which Python reads and JSON.parse doesn't."""
    raise ValueError(name)


def names(choice: dict[str, Json]) -> list[Json]:
    return [function.get("name") for function in calls(choice)]


def offered(exchange: Exchange) -> list[Json]:
    """The names of the functions that a request offers."""
    body = exchange.request.value()
    functions = [*body.get("functions", ()), *(tool["function"] for tool in body.get("tools", ()))]
    return [function["name"] for function in functions]


@rule_for("chat.tools.ids", one_case(named, required), rank=14)
def test_a_call_can_be_answered(context: CaseContext) -> Iterator[Finding]:
    for exchange in context.answers():
        for number, choice in enumerate(choices(require_object(exchange))):
            where = f"/choices/{number}/message/tool_calls"
            ids = [
                call.get("id") for call in listed(message(choice).get("tool_calls")) if isinstance(call, dict)
            ]
            if not all(isinstance(each, str) and each.strip() for each in ids):
                yield context.broken("a call has an empty id, or none.", where, about=exchange)
            elif len(set(ids)) < len(ids):
                yield context.broken("two calls have the same id.", where, about=exchange)
            strange = [name for name in names(choice) if name not in offered(exchange)]
            if strange:
                yield context.broken(f"{strange} is called and wasn't offered.", where, about=exchange)


def uncut(context: CaseContext) -> list[tuple[str, dict[str, Json]]]:
    """The choices of the only answer that came to their end, with their pointers. Raises Unjudged without."""
    (exchange,) = context.answers()
    every = enumerate(choices_of(exchange))
    found = [
        (place(exchange, number), each)
        for number, each in every
        if each.get("finish_reason") not in CUT_SHORT
    ]
    if not found:
        raise Unjudged("no choice came to its end")
    return found


named_in_stream = in_stream(for_several(named))


@rule_for("chat.tools.named", one_case(named), rank=14)
@rule_for("chat.tools.named", further_cases(several=for_several(named), stream=named_in_stream), rank=14)
def test_the_named_tool_is_called(context: CaseContext) -> Iterator[Finding]:
    for pointer, choice in uncut(context):
        if "get_weather" not in names(choice):
            yield context.broken(f"expected a call of get_weather, got {names(choice) or 'none'}.", pointer)


@rule_for("chat.tools.required", one_case(required), rank=14)
@rule_for("chat.tools.required", further_cases(stream=in_stream(required)), rank=14)
def test_a_required_tool_is_called(context: CaseContext) -> Iterator[Finding]:
    for pointer, choice in uncut(context):
        if not names(choice) or not set(names(choice)) <= {"get_weather", "set_alarm"}:
            sentence = f"expected a call of an offered tool, got {names(choice) or 'none'}."
            yield context.broken(sentence, pointer)


@rule_for("chat.tools.none", one_case(barred), rank=41)
@rule_for("chat.tools.none", further_cases(stream=in_stream(barred)), rank=41)
def test_no_tool_is_called_when_none_may_be(context: CaseContext) -> Iterator[Finding]:
    for pointer, choice in uncut(context):
        if names(choice):
            yield context.broken(f"expected no call, got {names(choice)}.", pointer)


@rule_for("chat.tools.older", one_case(older), rank=41)
@rule_for("chat.tools.older", further_cases(stream=in_stream(older)), rank=41)
def test_a_named_function_is_called_in_the_older_form(context: CaseContext) -> Iterator[Finding]:
    for pointer, choice in uncut(context):
        call = message(choice).get("function_call")
        if not isinstance(call, dict) or call.get("name") != "get_weather":
            yield context.broken("expected a function_call of get_weather.", pointer)


@rule_for("chat.choices.finish", one_case(single, named, required, older), rank=41)
def test_the_finish_reason_fits_the_message(context: CaseContext) -> Iterator[Finding]:
    for exchange in context.answers():
        for number, choice in enumerate(choices(require_object(exchange))):
            fitting = reasons(message(choice))
            if choice.get("finish_reason") not in fitting:
                sentence = f"expected {' or '.join(fitting)}, got {choice.get('finish_reason')}."
                yield context.broken(sentence, f"/choices/{number}/finish_reason", about=exchange)


def reasons(own: dict[str, Json]) -> tuple[str, ...]:
    if own.get("tool_calls"):
        return ("tool_calls", *CUT_SHORT)
    return ("function_call", *CUT_SHORT) if own.get("function_call") else ("stop", *CUT_SHORT)


def short(settings: RunSettings) -> Request:
    return chatting(settings, max_tokens=2)


def short_by_newer_name(settings: RunSettings) -> Request:
    return chatting(settings, max_completion_tokens=2)


@rule_for("chat.choices.cut", one_case(short), rank=42)
@rule_for("chat.choices.cut", further_cases(newer=short_by_newer_name, stream=in_stream(short)), rank=42)
def test_an_answer_ends_where_max_tokens_says(context: CaseContext) -> Iterator[Finding]:
    (exchange,) = context.answers()
    usage = exchange.value.get("usage") if isinstance(exchange.value, dict) else None
    spent = usage.get("completion_tokens") if isinstance(usage, dict) else None
    if isinstance(spent, int | float) and spent > 2:
        yield context.broken(
            f"expected at most 2 completion tokens, got {spent}.", "/usage/completion_tokens"
        )
    for number, choice in enumerate(choices_of(exchange)):
        if choice.get("finish_reason") != "length":
            sentence = f"expected length, got {choice.get('finish_reason')}."
            yield context.broken(sentence, place(exchange, number, "/finish_reason"))


@rule_for("chat.stop", one_case(single), rank=42, further=2)
def test_an_answer_ends_before_a_stop_text(context: CaseContext) -> Iterator[Finding]:
    words = [word for choice in choices(context.bodies()[0]) for word in (text(choice) or "").split()]
    if len(words) < 2:
        raise Unjudged("the answer has no two words, of which one could stop it")
    stop = words[len(words) // 2]
    stopped = chatting(context.settings, stop=[stop])
    for request in (stopped, with_members(stopped, stop=stop, stream=True)):
        exchange = require_success(context.ask(request))
        for number, choice in enumerate(choices_of(exchange)):
            if stop in (message(choice).get("content") or ""):
                sentence = f"the text has {stop!r}, which should stop it."
                yield context.broken(sentence, place(exchange, number, "/message/content"), about=exchange)


def with_logprobs(settings: RunSettings) -> Request:
    return chatting(settings, logprobs=True, top_logprobs=2)


@rule_for("chat.logprobs", one_case(with_logprobs), rank=42)
def test_log_probabilities_are_there_when_they_are_asked_for(context: CaseContext) -> Iterator[Finding]:
    for number, choice in enumerate(choices(context.bodies()[0])):
        pointer, found = f"/choices/{number}/logprobs", choice.get("logprobs")
        tokens = [entry for entry in listed((found or {}).get("content")) if isinstance(entry, dict)]
        if "".join(str(token.get("token")) for token in tokens) != (message(choice).get("content") or ""):
            yield context.broken("expected a log probability of each token of the text.", pointer)
        elif any(len(listed(token.get("top_logprobs"))) not in (1, 2) for token in tokens):
            yield context.broken("expected the 2 likeliest tokens in each place.", pointer)


def in_json(settings: RunSettings) -> Any:
    return chatting(
        settings, "Name one prime number, as a JSON object.", response_format={"type": "json_object"}
    )


def in_schema(settings: RunSettings) -> Any:
    form = {"name": "answer", "strict": True, "schema": ANSWER_SCHEMA}
    return chatting(settings, PROMPTS[1], response_format={"type": "json_schema", "json_schema": form})


def documents(context: CaseContext) -> Iterator[tuple[str, str]]:
    """Pointers and complete texts of the only answer. Raises Unjudged where every text was cut."""
    (exchange,) = context.answers()
    found = [(number, text(choice)) for number, choice in enumerate(choices_of(exchange))]
    whole = [
        (place(exchange, number, "/message/content"), content)
        for number, content in found
        if content is not None
    ]
    if not whole:
        raise Unjudged(f"no choice came to its end; max_tokens of {MOST_TOKENS} may be too few")
    return iter(whole)


@rule_for("chat.json_object", one_case(in_json), rank=15)
@rule_for("chat.json_object", further_cases(several=for_several(in_json), stream=in_stream(in_json)), rank=15)
def test_a_json_object_is_answered(context: CaseContext) -> Iterator[Finding]:
    for pointer, content in documents(context):
        trouble = no_object(content)
        if trouble:
            yield context.broken(f"the content is {trouble}.", pointer)


@rule_for("chat.json_schema", one_case(in_schema), rank=15)
@rule_for("chat.json_schema", further_cases(stream=in_stream(in_schema)), rank=15)
def test_json_is_answered_to_a_schema(context: CaseContext) -> Iterator[Finding]:
    for pointer, content in documents(context):
        try:
            json.loads(content)
        except ValueError:
            yield context.broken(f"the content is no JSON: {content[:60]!r}.", pointer)


@rule_for("chat.json_schema.kept", one_case(in_schema), rank=42)
@rule_for("chat.json_schema.kept", further_cases(stream=in_stream(in_schema)), rank=42)
def test_the_schema_is_kept(context: CaseContext) -> Iterator[Finding]:
    for pointer, content in documents(context):
        if sentence := breach(content):
            yield context.broken(f"the content breaks the schema: {sentence}", pointer)


def breach(content: str) -> str:
    """How a text breaks ANSWER_SCHEMA, "" where it doesn't."""
    try:
        value = json.loads(content)
    except ValueError:
        return "it is no JSON."
    if jsonschema_rs.is_valid(ANSWER_SCHEMA, value):
        return ""
    violation = next(violations_of(ANSWER_SCHEMA, value, SchemaPlace(ANSWER_SCHEMA, noun="the content")))
    return f"{violation.pointer}: {violation.sentence}" if violation.pointer else violation.sentence


@rule_for("chat.model", one_case(single), rank=44)
def test_the_answer_names_the_model(context: CaseContext) -> Iterator[Finding]:
    (answer,) = context.bodies()
    if answer.get("model") != context.settings.model:
        yield context.broken(f"expected {context.settings.model}, got {answer.get('model')}.", "/model")


@rule_for("chat.same_again", one_case(several), rank=43, further=1, alone=True)
def test_the_same_request_gets_the_same_answer(context: CaseContext) -> Iterator[Finding]:
    (first,) = context.bodies()
    again = require_object(require_success(context.anew(context.case.requests[0])))
    if first.get("choices") != again.get("choices"):
        yield context.broken("the choices differ from those of the same request before.", "/choices")
