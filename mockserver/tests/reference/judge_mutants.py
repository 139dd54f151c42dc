"""One-bug servers whose bug is in what `POST /criteria/judge` takes and answers."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from tests.reference.http import JUDGE, Answer, Raw, Request
from tests.reference.mutation import (
    LEFT_OUT,
    Make,
    Mutant,
    When,
    Where,
    accepting,
    accepts,
    answering_as,
    at,
    breaking,
    changing,
    content,
    edited,
    having,
    judging,
    loosened,
    positive,
    refusing,
    rejects,
    spoiling,
)

Json = Any


def given(body: Json) -> Json:
    """The input of a judge request, an empty object without one."""
    return body.get("input") or {}


def messages(body: Json) -> list[Json]:
    listed: list[Json] = given(body).get("messages", [])
    return listed


def parts(body: Json) -> list[Json]:
    """The content parts of all input messages."""
    contents = [message.get("content") for message in messages(body)]
    return [part for content in contents if isinstance(content, list) for part in content]


def some(where: Where) -> Where:
    """Whether a message of the input is such a one."""
    return lambda body: any(where(message) for message in messages(body))


def text_of(body: Json) -> str:
    """All that a judge reads, as text."""
    return json.dumps(body, ensure_ascii=False)


def role(name: str) -> Where:
    return some(lambda message: message["role"] == name)


def part(kind: str) -> Where:
    return lambda body: any(part.get("type") == kind for part in parts(body))


def choice(wanted: Json) -> Where:
    """Whether the tool choice is this one."""
    return lambda body: bool(given(body).get("tool_choice") == wanted)


def output(name: str) -> Where:
    """Whether the output has something under a name."""
    return lambda body: bool(body["output"].get(name))


def nothing(name: str, owner: Callable[[Json], list[Json]]) -> Where:
    """Whether one of the owners has null under a name."""
    return lambda body: any(each.get(name, "") is None for each in owner(body))


def functions(body: Json) -> list[Json]:
    return [tool["function"] for tool in given(body).get("tools") or []]


# What is valid and refused: the case of `judge.accepts` that shows it, and where it is refused.

REFUSED: tuple[tuple[str, Where], ...] = (
    ("input.messages.system.bare", role("system")),
    ("input.messages.developer.bare", role("developer")),
    ("input.messages.user.bare", role("user")),
    ("input.messages.assistant.bare", role("assistant")),
    ("input.messages.tool.bare", role("tool")),
    ("input.messages.function.object", role("function")),
    ("input.messages.empty", lambda body: "input" in body and not messages(body)),
    ("input.messages.developer.bare", some(lambda message: "content" not in message)),
    ("input.messages.assistant.content.null", nothing("content", messages)),
    ("input.messages.assistant.content.null-word", some(lambda message: message.get("content") == "null")),
    (
        "input.messages.function.content.null",
        some(lambda message: message["role"] == "function" and message.get("content") is None),
    ),
    ("input.messages.user.content.empty", some(lambda message: message.get("content") == [])),
    ("input.messages.user.content.items", part("text")),
    ("input.messages.user.content.image_url.object", part("image_url")),
    ("input.messages.user.content.input_audio.object", part("input_audio")),
    ("input.messages.assistant.content.refusal.object", part("refusal")),
    ("input.messages.user.name.string", some(lambda message: "name" in message)),
    ("input.messages.assistant.audio.object", some(lambda message: bool(message.get("audio")))),
    ("input.messages.assistant.annotations.items", some(lambda message: bool(message.get("annotations")))),
    ("input.messages.assistant.annotations.empty", some(lambda message: message.get("annotations") == [])),
    ("input.messages.assistant.tool_calls.items", some(lambda message: bool(message.get("tool_calls")))),
    ("input.tool_choice.object", choice({})),
    ("input.tool_choice.none", choice("none")),
    ("input.tool_choice.auto", choice("auto")),
    ("input.tool_choice.required", choice("required")),
    ("input.tool_choice.function.object", lambda body: "function" in (given(body).get("tool_choice") or "")),
    ("input.tools.empty", lambda body: given(body).get("tools") == []),
    ("input.tools.item.function.strict.null", nothing("strict", functions)),
    ("output.bare", lambda body: "content" not in body["output"]),
    ("output.content.null", nothing("content", lambda body: [body["output"]])),
    ("output.tool_calls.items", output("tool_calls")),
    ("output.function_call.object", lambda body: isinstance(body["output"].get("function_call"), dict)),
    ("output.refusal.string", output("refusal")),
    ("output.reasoning_content.string", output("reasoning_content")),
)

# Sizes and characters that a server refuses, or at which it crashes.


def saying(text: str) -> Request:
    return judging(output={"role": "assistant", "content": text})


def turns(number: int) -> Request:
    return judging(input={"messages": [{"role": "user", "content": "Count."}] * number})


BREAKS: tuple[tuple[str, str, Where, Request], ...] = (
    ("1k", "limits.length", lambda body: len(text_of(body)) > 1_000, saying("x" * 1_024)),
    ("8k", "no_5xx", lambda body: len(text_of(body)) > 8_000, saying("x" * 8_192)),
    ("64k", "no_5xx", lambda body: len(text_of(body)) > 64_000, saying("x" * 65_536)),
    ("1m", "no_5xx", lambda body: len(text_of(body)) > 1_000_000, saying("x" * 1_048_576)),
    ("64-messages", "limits.messages", lambda body: len(messages(body)) > 60, turns(64)),
    ("500-messages", "no_5xx", lambda body: len(messages(body)) > 400, turns(500)),
    ("astral", "limits.unicode", lambda body: max(text_of(body)) > "\uffff", saying("🙂")),
    ("nul", "no_5xx", lambda body: "\\u0000" in text_of(body), saying("1\x002")),
    ("combining", "limits.unicode", lambda body: between(body, "\u0300", "\u036f"), saying("e\u0301")),
    ("right-to-left", "limits.unicode", lambda body: between(body, "\u0590", "\u06ff"), saying("שלום")),
)
"""Name, the check behind `judge`, where it happens, a request that shows it."""


def between(body: Json, first: str, last: str) -> bool:
    """Whether a sign of this range is in what a judge reads."""
    return any(first <= sign <= last for sign in text_of(body))


# What is broken and accepted: the case of `judge.rejects` that shows it, the component, and the keyword that
# isn't held against it, or what stands in its place.

ANY: Json = {"$comment": "anything"}
ACCEPTED: tuple[tuple[str, str, tuple[str, ...], Json], ...] = (
    ("output.missing", "JudgeCriteriaRequest", ("required",), ["criterion_id"]),
    ("output.type-array", "JudgeCriteriaRequest", ("properties", "output"), ANY),
    ("input.messages.missing", "JudgeCriteriaInput", ("required",), None),
    ("input.messages.type-object", "JudgeCriteriaInput", ("properties", "messages"), ANY),
    ("input.messages.item.type-string", "JudgeCriteriaInput", ("properties", "messages", "items"), ANY),
    ("input.tool_choice.enum-unknown", "JudgeCriteriaInput", ("properties", "tool_choice"), ANY),
    ("input.tools.type-object", "JudgeCriteriaInput", ("properties", "tools"), ANY),
    ("input.messages.user.role.missing", "UserMessage", ("required",), None),
    ("input.messages.user.role.enum-unknown", "UserMessage", ("properties", "role"), {"type": "string"}),
    ("input.messages.user.name.type-number", "UserMessage", ("properties", "name"), ANY),
    ("input.messages.user.content.type-number", "UserMessage", ("properties", "content"), ANY),
    ("input.messages.system.content.type-object", "SystemMessage", ("properties", "content"), ANY),
    ("input.messages.assistant.refusal.type-number", "AssistantMessage", ("properties", "refusal"), ANY),
    ("input.messages.developer.content.type-number", "DeveloperMessage", ("properties", "content"), ANY),
    ("input.messages.tool.tool_call_id.missing", "ToolMessage", ("required",), ["role"]),
    ("input.messages.function.name.missing", "FunctionMessage", ("required",), ["role", "content"]),
    ("input.messages.function.content.missing", "FunctionMessage", ("required",), ["role", "name"]),
    ("input.messages.user.content.text.text.missing", "TextPart", ("required",), ["type"]),
    ("input.messages.user.content.text.text.type-number", "TextPart", ("properties", "text"), ANY),
    ("input.messages.user.content.image_url.image_url.url.missing", "ImageUrl", ("required",), None),
    (
        "input.messages.user.content.image_url.image_url.detail.enum-unknown",
        "ImageUrl",
        ("properties", "detail", "enum"),
        None,
    ),
    (
        "input.messages.user.content.input_audio.input_audio.format.enum-unknown",
        "InputAudio",
        ("properties", "format", "enum"),
        None,
    ),
    ("input.messages.assistant.annotations.item.url_citation.missing", "Annotation", ("required",), ["type"]),
    ("input.messages.assistant.audio.id.missing", "Audio", ("required",), None),
    ("output.tool_calls.item.id.missing", "ToolCall", ("required",), ["type", "function"]),
    ("output.tool_calls.item.type.enum-unknown", "ToolCall", ("properties", "type", "enum"), None),
    (
        "output.tool_calls.item.function.arguments.type-object",
        "ToolCallFunction",
        ("properties", "arguments"),
        ANY,
    ),
    ("input.tools.item.function.missing", "Tool", ("required",), ["type"]),
    ("input.tools.item.function.name.missing", "ToolFunction", ("required",), None),
    ("input.tools.item.function.parameters.type-array", "ToolFunction", ("properties", "parameters"), ANY),
    ("input.tool_choice.function.name.missing", "ToolChoiceFunction", ("required",), None),
    ("output.role.missing", "JudgeCriteriaOutput", ("required",), None),
    ("output.role.enum-unknown", "JudgeCriteriaOutput", ("properties", "role", "enum"), None),
    ("output.content.type-array", "JudgeCriteriaOutput", ("properties", "content"), ANY),
    ("output.function_call.name.type-number", "FunctionCall", ("properties", "name"), ANY),
)
TOLERATED: tuple[tuple[str, When], ...] = (
    ("criterion_id.missing", lambda request: "criterion_id" not in (whole(request) or ())),
    ("type-array", lambda request: isinstance(whole(request), list)),
    ("type-string", lambda request: isinstance(whole(request), str)),
    ("type-null", lambda request: request.body.strip() == b"null"),
)
"""Broken requests that are answered as a good one would be."""


def whole(request: Request) -> Json:
    """The JSON value of a body, None where it is no JSON."""
    try:
        return json.loads(request.body)
    except ValueError:
        return None


def byte_edit(**edit: Json) -> Make:
    """The bytes of each 200 of the judge are edited: other headers, or `wrap` of the body."""
    wrap = edit.pop("wrap", None)

    def spoil(request: Request, raw: Raw) -> Raw:
        if request.path != JUDGE or raw.status != 200:
            return raw
        return raw.says(wrap(raw.body) if wrap else raw.body, **edit)

    return spoiling(spoil)


def status(number: int) -> Make:
    def change(request: Request, answer: Answer) -> Answer:
        good = request.path == JUDGE and answer.status == 200
        return replace(answer, status=number) if good else answer

    return changing(change)


def scored(value: Json) -> Make:
    return having(JUDGE, score=value)


# What is answered wrongly: name, the check behind `judge.response`, a note, the bug.

ANSWERS: tuple[tuple[str, str, str, Make], ...] = (
    ("score-string", "schema", "The score is a string.", scored("0.5")),
    ("score-boolean", "schema", "The score is a boolean.", scored(True)),
    ("score-null", "schema", "The score is null.", scored(None)),
    ("score-missing", "schema", "There is no score.", scored(LEFT_OUT)),
    ("score-above-1", "score", "Scores go up to 1.2.", scored(1.2)),
    ("score-below-0", "score", "Scores go down to -0.1.", scored(-0.1)),
    ("score-percent", "score", "Scores are out of 100.", scored(70)),
    ("score-nan", "json", "The score is NaN.", scored(float("nan"))),
    ("score-infinity", "json", "The score is Infinity.", scored(float("inf"))),
    ("explanation-null", "schema", "The explanation is null.", having(JUDGE, explanation=None)),
    ("explanation-list", "schema", "The explanation is a list.", having(JUDGE, explanation=["Good."])),
    ("usage-null", "schema", "The usage is null.", having(JUDGE, usage=None)),
    ("usage-empty", "schema", "The usage lacks total_tokens.", having(JUDGE, usage={})),
    ("usage-number", "schema", "The usage is a number.", having(JUDGE, usage=140)),
    ("extra-member", "schema", "The answer has a member `passed`.", having(JUDGE, passed=True)),
    ("wrapped", "schema", "The answer lies in `data`.", content(JUDGE, lambda _, body: {"data": body})),
    ("in-a-list", "schema", "The answer is a list.", content(JUDGE, lambda _, body: [body])),
    ("text-type", "content_type", "The content type is text/plain.", byte_edit(content_type="text/plain")),
    ("html-type", "content_type", "The content type is text/html.", byte_edit(content_type="text/html")),
    ("created-201", "status", "The status is 201.", status(201)),
    ("no-body", "json", "The body of a 200 is empty.", byte_edit(wrap=lambda _: b"")),
    (
        "trailing-comma",
        "json",
        "The JSON has a trailing comma.",
        byte_edit(wrap=lambda body: body[:-1] + b",}"),
    ),
    (
        "byte-order-mark",
        "json",
        "The body begins with a byte order mark.",
        byte_edit(wrap=lambda body: b"\xef\xbb\xbf" + body),
    ),
    (
        "not-utf-8",
        "json",
        "The body is not UTF-8.",
        byte_edit(wrap=lambda body: body.replace(b"gives", b"g\xe9ves")),
    ),
    ("two-documents", "json", "The body holds the answer twice.", byte_edit(wrap=lambda body: body * 2)),
)


def flipped(body: Json) -> Json:
    return {**body, "score": round(1 - body["score"], 2)}


def latest_differs(body: Json, answer: Json) -> Json:
    return flipped(answer) if "@" in str(body.get("criterion_id")) else answer


def of_version(version: str) -> Make:
    """A judge that takes the plain id of criterion-1 for this version, or each version for the plain id."""

    def other(request: Request) -> Request:
        return replace(request, body=json.dumps({**request.json(), "criterion_id": version}).encode())

    def when(request: Request) -> bool:
        asked = str(request.json().get("criterion_id"))
        return asked == "criterion-1" if "@" in version else asked.startswith("criterion-1@v")

    return answering_as(at(JUDGE, when), other)


VERSIONS: tuple[tuple[str, str, str, Make, Request, str], ...] = (
    (
        "latest-differs",
        "latest",
        "A criterion's latest version judges unlike the plain id.",
        content(JUDGE, latest_differs),
        judging(criterion_id="criterion-1@v2"),
        "decision",
    ),
    (
        "first-version",
        "latest",
        "A plain id means the first version.",
        of_version("criterion-1@v1"),
        judging(),
        "",
    ),
    (
        "no-versions",
        "versions",
        "Versions are not looked at.",
        of_version("criterion-1"),
        judging(criterion_id="criterion-1@v1"),
        "",
    ),
    (
        "refuses-version",
        "latest",
        "An id with a version is refused.",
        refusing(JUDGE, lambda body: "@" in str(body.get("criterion_id")), 404),
        judging(criterion_id="criterion-1@v2"),
        "",
    ),
)
"""Name, the check behind `judge`, a note, the bug, a request that shows it, a level of its own or ""."""


def mutants() -> Iterator[Mutant]:
    """All of this page."""
    for number, (case, where) in enumerate(REFUSED):
        twin = "-2" if case in [other for other, _ in REFUSED[:number]] else ""
        note = f"A valid request is refused: {case}."
        name, check = f"judge-refuses-{case}{twin}", accepts("judge", case)
        yield Mutant(name, check, note, refusing(JUDGE, where), positive("judge", case))
    for case, component, path, instead in ACCEPTED:
        note = f"A broken request is accepted, as {component} doesn't hold for requests: {case}."
        make, check = loosened(component, *path, to=instead), rejects("judge", case)
        yield Mutant(f"judge-accepts-{case}", check, note, make, edited("judge", case))
    for case, when in TOLERATED:
        note, check = f"A broken request is accepted: {case}.", rejects("judge", case)
        make = accepting(at(JUDGE, when), judging())
        yield Mutant(f"judge-accepts-{case}", check, note, make, edited("judge", case))
    for name, check, where, request in BREAKS:
        yield breaking(JUDGE, f"judge.{check}", f"judge-breaks-at-{name}", where, request)
    for name, check, note, make in ANSWERS:
        yield Mutant(f"judge-{name}", f"judge.response.{check}", note, make, judging())
    for name, check, note, make, request, level in VERSIONS:
        yield Mutant(f"judge-{name}", f"judge.{check}", note, make, request, level=level)
