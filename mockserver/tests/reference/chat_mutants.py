"""One-bug servers whose bug is in what `POST /chat/completions` takes and answers."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from tests.reference.habits import Habits
from tests.reference.http import CHAT, Answer, App, Raw, Request
from tests.reference.mutation import (
    CALLING,
    LEFT_OUT,
    TOOL,
    Make,
    Mutant,
    Where,
    accepting,
    accepts,
    at,
    breaking,
    changing,
    chatting,
    choices,
    content,
    each_call,
    each_choice,
    each_message,
    edited,
    having,
    loosened,
    positive,
    refusing,
    rejects,
    spoiling,
    with_members,
)
from tests.reference.server import Reference

Json = Any
Row = tuple[str, str, str, Make, Request]
"""Name, check, note, the bug, a request that shows it."""

OLDER: dict[str, Json] = {
    "functions": [{"name": "count", "parameters": {"type": "object"}}],
    "function_call": {"name": "count"},
}
OTHER: dict[str, Json] = {"type": "function", "function": {"name": "other"}}
OBJECT: dict[str, Json] = {"response_format": {"type": "json_object"}}
SCHEMA: dict[str, Json] = {
    "response_format": {
        "type": "json_schema",
        "json_schema": {
            "name": "prime",
            "schema": {"type": "object", "properties": {"prime": {"type": "integer"}}, "required": ["prime"]},
        },
    }
}


def has(name: str) -> Where:
    return lambda body: bool(body.get(name))


def some(where: Where) -> Where:
    """Whether a message is such a one."""
    return lambda body: any(where(message) for message in body.get("messages", []))


def form(kind: str) -> Where:
    return lambda body: (body.get("response_format") or {}).get("type") == kind


# What is valid and refused: the case of `chat.accepts` that shows it, and where it is refused.

REFUSED: tuple[tuple[str, Where], ...] = (
    ("open", lambda body: any(name.startswith("x_") for name in body)),
    ("messages.empty", lambda body: body.get("messages") == []),
    ("messages.developer.bare", some(lambda message: message["role"] == "developer")),
    ("messages.function.object", some(lambda message: message["role"] == "function")),
    ("messages.tool.content.items", some(lambda message: isinstance(message.get("content"), list))),
    ("n.at-maximum", lambda body: (body.get("n") or 1) > 100),
    ("tool_choice.required", lambda body: body.get("tool_choice") == "required"),
    ("function_call.object", lambda body: isinstance(body.get("function_call"), dict)),
    ("tools.empty", lambda body: body.get("tools") == []),
    ("stop.items", lambda body: bool(body.get("stop")) and isinstance(body["stop"], list)),
    ("max_completion_tokens.number", has("max_completion_tokens")),
    ("response_format.json_schema.object", form("json_schema")),
    ("metadata.value.null", lambda body: None in (body.get("metadata") or {}).values()),
    ("stream_options.open", lambda body: len(body.get("stream_options") or {}) > 1),
    (
        "functions.item.strict.null",
        lambda body: any(each.get("strict", "") is None for each in body.get("functions") or ()),
    ),
    ("temperature.null", lambda body: body.get("temperature", 0) is None),
    ("store.true", has("store")),
)

ANY: Json = {"$comment": "anything"}
ACCEPTED: tuple[tuple[str, str, tuple[str, ...], Json], ...] = (
    ("messages.missing", "ChatCompletionRequest", ("required",), ["model"]),
    ("function_call.enum-unknown", "ChatCompletionRequest", ("properties", "function_call"), ANY),
    ("tool_choice.enum-unknown", "ChatCompletionRequest", ("properties", "tool_choice"), ANY),
    ("stop.item.type-number", "ChatCompletionRequest", ("properties", "stop"), ANY),
    ("metadata.value.type-number", "ChatCompletionRequest", ("properties", "metadata"), ANY),
    ("stream_options.include_usage.missing", "StreamOptions", ("required",), None),
    ("audio.format.enum-unknown", "ChatAudio", ("properties", "format", "enum"), None),
    ("audio.voice.missing", "ChatAudio", ("required",), ["format"]),
    ("function_call.name.missing", "NamedFunctionCall", ("required",), None),
    ("functions.item.name.missing", "ChatFunction", ("required",), None),
    ("functions.item.parameters.type-array", "ChatFunction", ("properties", "parameters"), ANY),
    (
        "response_format.text.type.enum-unknown",
        "ResponseFormatText",
        ("properties", "type"),
        {"type": "string"},
    ),
    ("response_format.json_schema.json_schema.missing", "ResponseFormatJsonSchema", ("required",), ["type"]),
    ("response_format.json_schema.json_schema.name.missing", "JsonSchemaFormat", ("required",), None),
    ("n.minimum", "ChatCompletionRequest", ("properties", "n", "minimum"), None),
)

TOLERATED: tuple[tuple[str, Where], ...] = (
    ("model.missing", lambda body: bool(body) and "model" not in body),
    ("messages.type-object", lambda body: isinstance(body.get("messages"), dict)),
    ("tools.type-object", lambda body: isinstance(body.get("tools"), dict)),
    ("stream_options.type-string", lambda body: isinstance(body.get("stream_options"), str)),
)
"""Broken requests that are answered as a good one would be."""

BREAKS: tuple[tuple[str, str, Where, Request], ...] = (
    (
        "8k",
        "limits.length",
        lambda body: len(text_of(body)) > 8_000,
        chatting(messages=[{"role": "user", "content": "x" * 8_192}]),
    ),
    (
        "64k",
        "no_5xx",
        lambda body: len(text_of(body)) > 64_000,
        chatting(messages=[{"role": "user", "content": "x" * 65_536}]),
    ),
    (
        "64-messages",
        "limits.messages",
        lambda body: len(body.get("messages", [])) > 60,
        chatting(messages=[{"role": "user", "content": "Go on."}] * 64),
    ),
    (
        "astral",
        "limits.unicode",
        lambda body: max(text_of(body)) > "\uffff",
        chatting(messages=[{"role": "user", "content": "🙂"}]),
    ),
    (
        "nul",
        "no_5xx",
        lambda body: "\\u0000" in text_of(body),
        chatting(messages=[{"role": "user", "content": "1\x002"}]),
    ),
)


def text_of(body: Json) -> str:
    return json.dumps(body.get("messages"), ensure_ascii=False)


# Headers.


def refusing_header(name: str, value: Callable[[str], bool]) -> Make:
    body = {"message": f"{name} is not supported", "code": "BAD_REQUEST"}

    def change(request: Request, answer: Answer) -> Answer:
        refused = answer.status == 200 and name in request.headers and value(request.headers[name])
        return Answer(400, body) if refused else answer

    return changing(change)


HEADER_ROWS: tuple[Row, ...] = (
    (
        "refuses-tags",
        "chat.headers.official",
        "op-tags is refused.",
        refusing_header("op-tags", bool),
        chatting({"op-tags": '{"prompt_id": "counting"}', "op-log-request": "true"}),
    ),
    (
        "refuses-cache",
        "chat.headers.cache",
        "op-cache: readOnly is refused.",
        refusing_header("op-cache", lambda value: value == "readOnly"),
        chatting({"op-cache": "readOnly"}),
    ),
    (
        "refuses-unlogged",
        "chat.headers.unlogged",
        "op-log-request: false is refused.",
        refusing_header("op-log-request", lambda value: value == "false"),
        chatting({"op-log-request": "false"}),
    ),
)


# Features that are refused.

INSTRUCTIONS: list[Json] = [{"role": "system", "content": "Count to 3."}]
STORED: dict[str, Json] = {"store": True, "metadata": {"prompt_id": "counting"}}
FEATURES: tuple[Row, ...] = (
    (
        "refuses-several",
        "chat.choices.count",
        "More than one choice is refused.",
        refusing(CHAT, lambda body: (body.get("n") or 1) > 1),
        chatting(n=3),
    ),
    (
        "refuses-streams",
        "chat.stream.text",
        "A stream is refused.",
        refusing(CHAT, has("stream")),
        chatting(stream=True),
    ),
    (
        "refuses-system-alone",
        "chat.system_alone",
        "A system message alone is refused.",
        refusing(CHAT, lambda body: {message["role"] for message in body["messages"]} == {"system"}),
        chatting(messages=INSTRUCTIONS),
    ),
    (
        "refuses-store-with-metadata",
        "chat.store",
        "store beside metadata is refused.",
        refusing(CHAT, lambda body: bool(body.get("store") and body.get("metadata"))),
        chatting(**STORED),
    ),
)


# Answers of the wrong form.


def schema(name: str, note: str, make: Make, request: Request | None = None) -> Row:
    return (name, "chat.response.schema", note, make, request or chatting())


def choice_having(**members: Json) -> Make:
    return each_choice(lambda choice: with_members(choice, members))


def call_having(**members: Json) -> Make:
    return each_call(lambda call: with_members(call, members))


def function_having(edit: Callable[[Json], Json]) -> Make:
    return each_call(lambda call: {**call, "function": edit(call["function"])})


FORMS: tuple[Row, ...] = (
    schema("id-number", "The id is a number.", having(CHAT, id=7)),
    schema("no-id", "There is no id.", having(CHAT, id=LEFT_OUT)),
    schema("object-list", "The object is `list`.", having(CHAT, object="list")),
    schema("created-string", "The time is a date.", having(CHAT, created="2025-01-01T00:00:00Z")),
    schema("no-created", "There is no time.", having(CHAT, created=LEFT_OUT)),
    schema("no-model", "There is no model.", having(CHAT, model=LEFT_OUT)),
    schema("choices-null", "The choices are null.", having(CHAT, choices=None)),
    schema("choices-object", "The choices are an object.", choices(lambda _, listed: {"0": listed[0]})),  # type: ignore[arg-type,return-value]
    schema("no-choices", "There are no choices at all.", having(CHAT, choices=LEFT_OUT)),
    schema("index-string", "An index is a string.", choice_having(index="0")),
    schema("no-index", "Choices have no index.", choice_having(index=LEFT_OUT)),
    schema("no-message", "Choices have no message.", choice_having(message=LEFT_OUT)),
    schema("text-choice", "Choices have `text` for a message.", choice_having(message=LEFT_OUT, text="1, 2")),
    schema("finish-unknown", "The finish reason is `done`.", choice_having(finish_reason="done")),
    schema("finish-null", "The finish reason is null.", choice_having(finish_reason=None)),
    schema("logprobs-list", "The log probabilities are a list.", choice_having(logprobs=[])),
    schema("role-user", "Messages come from the user.", each_message(role="user")),
    schema("no-role", "Messages have no role.", each_message(role=LEFT_OUT)),
    schema(
        "content-parts",
        "The content is a list of parts.",
        each_message(content=[{"type": "text", "text": "1"}]),
    ),
    schema("calls-object", "The tool calls are an object.", each_message(tool_calls={}), chatting(**CALLING)),
    schema("call-id-number", "The id of a call is a number.", call_having(id=1), chatting(**CALLING)),
    schema("call-no-type", "A call has no type.", call_having(type=LEFT_OUT), chatting(**CALLING)),
    schema(
        "usage-strings",
        "Token counts are strings.",
        having(CHAT, usage={"prompt_tokens": "9", "completion_tokens": "5", "total_tokens": "14"}),
    ),
    schema(
        "usage-short",
        "The usage lacks total_tokens.",
        having(CHAT, usage={"prompt_tokens": 9, "completion_tokens": 5}),
    ),
    schema("wrapped", "The answer lies in `data`.", content(CHAT, lambda _, body: {"data": body})),
)


def byte_edit(wrap: Callable[[bytes], bytes] | None = None, **headers: str) -> Make:
    def spoil(request: Request, raw: Raw) -> Raw:
        plain = request.path == CHAT and raw.status == 200 and not request.json().get("stream")
        return raw.says(wrap(raw.body) if wrap else raw.body, **headers) if plain else raw

    return spoiling(spoil)


def status(number: int) -> Make:
    def change(request: Request, answer: Answer) -> Answer:
        good = request.path == CHAT and answer.status == 200
        return replace(answer, status=number) if good else answer

    return changing(change)


WIRE: tuple[Row, ...] = (
    ("nan", "chat.response.json", "The time is NaN.", having(CHAT, created=float("nan")), chatting()),
    ("no-body", "chat.response.json", "The body of a 200 is empty.", byte_edit(lambda _: b""), chatting()),
    (
        "cut-short",
        "chat.response.json",
        "The last byte of each answer is lost.",
        byte_edit(lambda body: body[:-1]),
        chatting(),
    ),
    (
        "text-type",
        "chat.response.content_type",
        "The content type is text/plain.",
        byte_edit(content_type="text/plain"),
        chatting(),
    ),
    ("created-201", "chat.response.status", "The status is 201.", status(201), chatting()),
    ("usage-null", "chat.response.nulls", "The usage is null.", having(CHAT, usage=None), chatting()),
)


# Answers of the wrong content.


def counted(number: Callable[[int], int]) -> Make:
    """A server that answers as many choices as it makes of `n`."""

    def make(habits: Habits) -> App:
        healthy = Reference(habits)

        def change(request: Request, answer: Answer) -> Answer:
            body = request.json()
            if answer.status != 200 or request.path != CHAT or body.get("stream"):
                return answer
            body["n"] = number(body.get("n") or 1)
            return healthy.answer(replace(request, body=json.dumps(body).encode()))

        return Reference(habits, change=change)

    return make


def renumbered(_: Json, listed: list[Json]) -> list[Json]:
    return [{**choice, "index": number + 1} for number, choice in enumerate(listed)]


def said(text: Callable[[str], str], where: Where = lambda _: True) -> Make:
    """The text of each choice is another one, on some requests."""

    def edit(body: Json, answer: Json) -> Json:
        for choice in answer["choices"] if where(body) else ():
            if choice["message"].get("content") is not None:
                choice["message"]["content"] = text(choice["message"]["content"])
        return answer

    return content(CHAT, edit)


def speaking(where: Where) -> Make:
    """Some requests for a call are answered in words."""

    def edit(body: Json, answer: Json) -> Json:
        for choice in answer["choices"] if where(body) else ():
            choice["message"] = {"role": "assistant", "content": "1, 2, 3.", "refusal": None}
            choice["finish_reason"] = "stop"
        return answer

    return content(CHAT, edit)


def calling(where: Where) -> Make:
    """Some requests for words are answered by a call."""
    call = {"id": "call_1", "type": "function", "function": {"name": "count", "arguments": "{}"}}

    def edit(body: Json, answer: Json) -> Json:
        for choice in answer["choices"] if where(body) else ():
            choice["message"] = {"role": "assistant", "content": None, "tool_calls": [call]}
            choice["finish_reason"] = "tool_calls"
        return answer

    return content(CHAT, edit)


def first_called(body: Json, answer: Json) -> Json:
    """The name of the first tool in each call."""
    for choice in answer["choices"] if body.get("tools") else ():
        for call in choice["message"].get("tool_calls") or ():
            call["function"]["name"] = body["tools"][0]["function"]["name"]
    return answer


def in_newer_form(choice: Json) -> Json:
    call = choice["message"].get("function_call")
    if not call:
        return choice
    calls = [{"id": "call_1", "type": "function", "function": call}]
    message = {"role": "assistant", "content": None, "tool_calls": calls}
    return {**choice, "message": message, "finish_reason": "tool_calls"}


def boundless(body: Json, answer: Json) -> Json:
    """What is said when nobody looks at `max_tokens`."""
    for choice in answer["choices"] if body.get("max_tokens") else ():
        choice["message"]["content"] += " four, five, six, seven, eight, nine, ten." * 20
        choice["finish_reason"] = "stop"
    return answer


def ends(reason: str, where: Where) -> Make:
    def edit(body: Json, answer: Json) -> Json:
        for choice in answer["choices"] if where(body) else ():
            choice["finish_reason"] = reason
        return answer

    return content(CHAT, edit)


def longer_total(_: Json, answer: Json) -> Json:
    return {**answer, "usage": {**answer["usage"], "total_tokens": answer["usage"]["total_tokens"] + 1}}


MEANING: tuple[Row, ...] = (
    ("one-choice", "chat.choices.count", "`n` is ignored.", counted(lambda _: 1), chatting(n=3)),
    (
        "n-plus-one",
        "chat.choices.count",
        "There is one choice too many.",
        counted(lambda n: n + 1),
        chatting(n=3),
    ),
    (
        "at-most-two",
        "chat.choices.count",
        "There are at most two choices.",
        counted(lambda n: min(n, 2)),
        chatting(n=3),
    ),
    (
        "no-choice",
        "chat.choices.count",
        "The list of choices is empty.",
        having(CHAT, choices=[]),
        chatting(),
    ),
    (
        "index-same",
        "chat.choices.index",
        "All choices have the index 0.",
        choice_having(index=0),
        chatting(n=3),
    ),
    ("index-from-1", "chat.choices.index", "Choices are counted from 1.", choices(renumbered), chatting(n=3)),
    (
        "finish-calls",
        "chat.choices.finish",
        "Text ends with `tool_calls`.",
        ends("tool_calls", lambda body: "tools" not in body),
        chatting(),
    ),
    (
        "finish-older",
        "chat.choices.finish",
        "A function call ends with `stop`.",
        ends("stop", has("function_call")),
        chatting(**OLDER),
    ),
    (
        "finish-cut",
        "chat.choices.cut",
        "An answer that is cut ends with `stop`.",
        ends("stop", has("max_tokens")),
        chatting(max_tokens=1),
    ),
    (
        "no-limit",
        "chat.choices.cut",
        "max_tokens is ignored.",
        content(CHAT, boundless),
        chatting(max_tokens=1),
    ),
    (
        "arguments-object",
        "chat.tools.arguments",
        "The arguments of a call are an object.",
        function_having(lambda call: {**call, "arguments": {"to": 3}}),
        chatting(**CALLING),
    ),
    (
        "arguments-python",
        "chat.tools.arguments",
        "The arguments of a call are Python.",
        function_having(lambda call: {**call, "arguments": "{'to': 3}"}),
        chatting(**CALLING),
    ),
    (
        "arguments-list",
        "chat.tools.arguments",
        "The arguments of a call are a list.",
        function_having(lambda call: {**call, "arguments": "[3]"}),
        chatting(**CALLING),
    ),
    (
        "arguments-empty",
        "chat.tools.arguments",
        "The arguments of a call are empty.",
        function_having(lambda call: {**call, "arguments": ""}),
        chatting(**CALLING),
    ),
    (
        "other-tool",
        "chat.tools.named",
        "Another tool is called than the named one.",
        function_having(lambda call: {**call, "name": "other"}),
        chatting(**CALLING),
    ),
    (
        "first-tool",
        "chat.tools.named",
        "The first tool is called, whichever is named.",
        content(CHAT, first_called),
        chatting(tools=[OTHER, TOOL], tool_choice=CALLING["tool_choice"]),
    ),
    (
        "named-unheard",
        "chat.tools.named",
        "A named tool is not called.",
        speaking(lambda body: isinstance(body.get("tool_choice"), dict)),
        chatting(**CALLING),
    ),
    (
        "required-unheard",
        "chat.tools.required",
        "A required tool is not called.",
        speaking(lambda body: body.get("tool_choice") == "required"),
        chatting(tools=[TOOL], tool_choice="required"),
    ),
    (
        "none-unheard",
        "chat.tools.none",
        "A tool is called in spite of `none`.",
        calling(lambda body: body.get("tool_choice") == "none"),
        chatting(tools=[TOOL], tool_choice="none"),
    ),
    (
        "older-unheard",
        "chat.tools.older",
        "A function is called in the newer form.",
        each_choice(in_newer_form),
        chatting(**OLDER),
    ),
    (
        "object-as-text",
        "chat.json_object",
        "json_object is answered in words.",
        said(lambda _: "Certainly: three!", form("json_object")),
        chatting(**OBJECT),
    ),
    (
        "object-fenced",
        "chat.json_object",
        "json_object is answered in a code block.",
        said(lambda text: f"```json\n{text}\n```", form("json_object")),
        chatting(**OBJECT),
    ),
    (
        "object-as-list",
        "chat.json_object",
        "json_object is answered by a list.",
        said(lambda text: f"[{text}]", form("json_object")),
        chatting(**OBJECT),
    ),
    (
        "schema-as-text",
        "chat.json_schema",
        "json_schema is answered in words.",
        said(lambda _: "The prime is 7.", form("json_schema")),
        chatting(**SCHEMA),
    ),
    (
        "schema-unheard",
        "chat.json_schema.kept",
        "json_schema is answered by any object.",
        said(lambda _: '{"answer": "7"}', form("json_schema")),
        chatting(**SCHEMA),
    ),
    ("usage-off", "chat.usage.sum", "The total is one too high.", content(CHAT, longer_total), chatting()),
    ("other-model", "chat.model", "The answer names another model.", having(CHAT, model="gpt-3"), chatting()),
)


def mutants() -> Iterator[Mutant]:
    """All of this page."""
    for case, where in REFUSED:
        note, check = f"A valid request is refused: {case}.", accepts("chat", case)
        yield Mutant(f"chat-refuses-{case}", check, note, refusing(CHAT, where), positive("chat", case))
    for case, component, path, instead in ACCEPTED:
        note = f"A broken request is accepted, as {component} doesn't hold for requests: {case}."
        make, check = loosened(component, *path, to=instead), rejects("chat", case)
        yield Mutant(f"chat-accepts-{case}", check, note, make, edited("chat", case))
    for case, where in TOLERATED:
        note, check = f"A broken request is accepted: {case}.", rejects("chat", case)
        make = accepting(at(CHAT, lambda request, where=where: where(request.json())), chatting())  # type: ignore[misc]
        yield Mutant(f"chat-accepts-{case}", check, note, make, edited("chat", case))
    for name, check, where, request in BREAKS:
        yield breaking(CHAT, f"chat.{check}", f"chat-breaks-at-{name}", where, request)
    for name, check, note, make, request in (*HEADER_ROWS, *FEATURES, *FORMS, *WIRE, *MEANING):
        yield Mutant(f"chat-{name}", check, note, make, request)
