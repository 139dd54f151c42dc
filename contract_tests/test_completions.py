"""What a completion means, beyond its form."""

import json
from collections.abc import Iterator
from typing import Any

import jsonschema_rs

from openpipe_mock.contract.checks import Finding
from openpipe_mock.openapi.violations import SchemaPlace, violations_of

from .builders import ANSWER_SCHEMA, OTHER_TOOL, PROMPTS, TOOL, WEATHER, chatting
from .promises import Scene, body, one, promise, successful
from .run import Unjudged
from .settings import MOST_TOKENS, Aim

Json = Any

NAMED = {"type": "function", "function": {"name": "get_weather"}}
CUT_SHORT = ("length", "content_filter")


def choices(answer: dict[str, Json]) -> list[dict[str, Json]]:
    """The choices of an answer. Raises Unjudged where it has none that can be read."""
    found = answer.get("choices")
    if not isinstance(found, list) or not all(isinstance(choice, dict) for choice in found):
        raise Unjudged("the choices are no list of objects")
    return found


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
    """The text of a choice that came to its end, None where it was cut or refused."""
    own = message(choice)
    if choice.get("finish_reason") in CUT_SHORT or own.get("refusal") or calls(choice):
        return None
    return own.get("content") if isinstance(own.get("content"), str) else ""


def single(aim: Aim) -> Any:
    return chatting(aim)


def several(aim: Aim) -> Any:
    return chatting(aim, n=aim.choices)


@promise("chat.choices.count", one(single, several), rank=5)
def test_an_answer_has_as_many_choices_as_n_asks_for(scene: Scene) -> Iterator[Finding]:
    for request, expected in zip(scene.case.requests, (1, scene.aim.choices), strict=True):
        exchange = successful(scene.ask(request))
        seen = len(choices(body(exchange)))
        if seen != expected:
            yield scene.broken(f"expected {expected} choices, got {seen}.", "/choices", about=exchange)


@promise("chat.choices.index", one(single, several), rank=11)
def test_choices_have_different_indexes(scene: Scene) -> Iterator[Finding]:
    for exchange in scene.answers():
        indexes = [choice.get("index") for choice in choices(body(exchange))]
        if sorted(indexes, key=str) != sorted(range(len(indexes)), key=str):
            told = f"expected the numbers from 0 to {len(indexes) - 1} in any order, got {indexes}."
            yield scene.broken(told, "/choices/*/index", about=exchange)


def named(aim: Aim) -> Any:
    return chatting(aim, WEATHER, tools=[TOOL, OTHER_TOOL], tool_choice=NAMED)


def required(aim: Aim) -> Any:
    return chatting(aim, WEATHER, tools=[TOOL, OTHER_TOOL], tool_choice="required")


def barred(aim: Aim) -> Any:
    return chatting(aim, WEATHER, tools=[TOOL, OTHER_TOOL], tool_choice="none")


def older(aim: Aim) -> Any:
    return chatting(aim, WEATHER, functions=[TOOL["function"]], function_call={"name": "get_weather"})


@promise("chat.tools.arguments", one(named, required), rank=14)
def test_arguments_are_the_text_of_a_json_object(scene: Scene) -> Iterator[Finding]:
    seen = 0
    for exchange in scene.answers():
        for number, choice in enumerate(choices(body(exchange))):
            for function in calls(choice) if choice.get("finish_reason") not in CUT_SHORT else ():
                seen += 1
                trouble = no_object(function.get("arguments"))
                if trouble:
                    where = f"/choices/{number}/message/tool_calls"
                    yield scene.broken(
                        f"the arguments of {function.get('name')} are {trouble}.", where, about=exchange
                    )
    if not seen:
        raise Unjudged("no tool was called to the end")


def no_object(arguments: Json) -> str:
    """What is wrong with arguments, "" when nothing is."""
    if not isinstance(arguments, str):
        return f"no string but {type(arguments).__name__}"
    try:
        value = json.loads(arguments)
    except ValueError:
        return f"no JSON: {arguments[:60]!r}"
    if isinstance(value, str):
        return "JSON that was written as a string once more"
    return "" if isinstance(value, dict) else f"no object: {arguments[:60]!r}"


def names(choice: dict[str, Json]) -> list[Json]:
    return [function.get("name") for function in calls(choice)]


@promise("chat.tools.named", one(named), rank=41)
def test_the_named_tool_is_called(scene: Scene) -> Iterator[Finding]:
    for number, choice in enumerate(choices(scene.bodies()[0])):
        if set(names(choice)) != {"get_weather"}:
            yield scene.broken(
                f"expected a call of get_weather, got {names(choice) or 'none'}.", f"/choices/{number}"
            )


@promise("chat.tools.required", one(required), rank=41)
def test_a_required_tool_is_called(scene: Scene) -> Iterator[Finding]:
    for number, choice in enumerate(choices(scene.bodies()[0])):
        if not names(choice) or not set(names(choice)) <= {"get_weather", "set_alarm"}:
            told = f"expected a call of an offered tool, got {names(choice) or 'none'}."
            yield scene.broken(told, f"/choices/{number}")


@promise("chat.tools.none", one(barred), rank=41)
def test_no_tool_is_called_when_none_may_be(scene: Scene) -> Iterator[Finding]:
    for number, choice in enumerate(choices(scene.bodies()[0])):
        if names(choice):
            yield scene.broken(f"expected no call, got {names(choice)}.", f"/choices/{number}")


@promise("chat.tools.older", one(older), rank=41)
def test_a_named_function_is_called_in_the_older_form(scene: Scene) -> Iterator[Finding]:
    for number, choice in enumerate(choices(scene.bodies()[0])):
        call = message(choice).get("function_call")
        if not isinstance(call, dict) or call.get("name") != "get_weather":
            yield scene.broken("expected a function_call of get_weather.", f"/choices/{number}/message")


@promise("chat.choices.finish", one(single, named, required, older), rank=41)
def test_the_finish_reason_fits_the_message(scene: Scene) -> Iterator[Finding]:
    for exchange in scene.answers():
        for number, choice in enumerate(choices(body(exchange))):
            fitting = reasons(message(choice))
            if choice.get("finish_reason") not in fitting:
                told = f"expected {' or '.join(fitting)}, got {choice.get('finish_reason')}."
                yield scene.broken(told, f"/choices/{number}/finish_reason", about=exchange)


def reasons(own: dict[str, Json]) -> tuple[str, ...]:
    if own.get("tool_calls"):
        return ("tool_calls", *CUT_SHORT)
    return ("function_call", *CUT_SHORT) if own.get("function_call") else ("stop", *CUT_SHORT)


@promise("chat.choices.cut", one(lambda aim: chatting(aim, max_tokens=2)), rank=42)
def test_an_answer_ends_where_max_tokens_says(scene: Scene) -> Iterator[Finding]:
    (answer,) = scene.bodies()
    usage = answer.get("usage")
    spent = usage.get("completion_tokens") if isinstance(usage, dict) else None
    if isinstance(spent, int | float) and spent > 2:
        yield scene.broken(f"expected at most 2 completion tokens, got {spent}.", "/usage/completion_tokens")
    for number, choice in enumerate(choices(answer)):
        if choice.get("finish_reason") != "length":
            told = f"expected length, got {choice.get('finish_reason')}."
            yield scene.broken(told, f"/choices/{number}/finish_reason")


def in_json(aim: Aim) -> Any:
    return chatting(aim, "Name one prime number, as a JSON object.", response_format={"type": "json_object"})


def in_schema(aim: Aim) -> Any:
    form = {"name": "answer", "strict": True, "schema": ANSWER_SCHEMA}
    return chatting(aim, PROMPTS[1], response_format={"type": "json_schema", "json_schema": form})


def documents(scene: Scene) -> Iterator[tuple[str, str]]:
    """The finished texts of the only answer, by pointer. Raises Unjudged where every one was cut."""
    found = [(number, text(choice)) for number, choice in enumerate(choices(scene.bodies()[0]))]
    whole = [(f"/choices/{number}/message/content", said) for number, said in found if said is not None]
    if not whole:
        raise Unjudged(f"no choice came to its end; max_tokens of {MOST_TOKENS} may be too few")
    return iter(whole)


@promise("chat.json_object", one(in_json), rank=15)
def test_a_json_object_is_answered(scene: Scene) -> Iterator[Finding]:
    for pointer, said in documents(scene):
        trouble = no_object(said)
        if trouble:
            yield scene.broken(f"the content is {trouble}.", pointer)


@promise("chat.json_schema", one(in_schema), rank=15)
def test_json_is_answered_to_a_schema(scene: Scene) -> Iterator[Finding]:
    for pointer, said in documents(scene):
        try:
            json.loads(said)
        except ValueError:
            yield scene.broken(f"the content is no JSON: {said[:60]!r}.", pointer)


@promise("chat.json_schema.kept", one(in_schema), rank=42)
def test_the_schema_is_kept(scene: Scene) -> Iterator[Finding]:
    for pointer, said in documents(scene):
        if told := breach(said):
            yield scene.broken(f"the content breaks the schema: {told}", pointer)


def breach(said: str) -> str:
    """How a text breaks the schema that was asked for, "" where it doesn't."""
    try:
        value = json.loads(said)
    except ValueError:
        return "it is no JSON."
    if jsonschema_rs.is_valid(ANSWER_SCHEMA, value):
        return ""
    violation = next(violations_of(ANSWER_SCHEMA, value, SchemaPlace(ANSWER_SCHEMA, noun="the content")))
    return f"{violation.pointer}: {violation.sentence}" if violation.pointer else violation.sentence


@promise("chat.model", one(single), rank=44)
def test_the_answer_names_the_model(scene: Scene) -> Iterator[Finding]:
    (answer,) = scene.bodies()
    if answer.get("model") != scene.aim.model:
        yield scene.broken(f"expected {scene.aim.model}, got {answer.get('model')}.", "/model")


@promise("chat.same_again", one(several), rank=43, further=1)
def test_the_same_request_gets_the_same_answer(scene: Scene) -> Iterator[Finding]:
    (first,) = scene.bodies()
    again = body(successful(scene.anew(scene.case.requests[0])))
    if first.get("choices") != again.get("choices"):
        yield scene.broken("the choices differ from those of the same request before.", "/choices")
