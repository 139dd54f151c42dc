"""One-bug servers whose bug shows where a request asks for several things, or several are under way."""

import asyncio
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from tests.reference.chat_mutants import OBJECT, OLDER, OTHER, SCHEMA, STORED, refusing_header
from tests.reference.criteria_mutants import asked, judged, ranked
from tests.reference.habits import Habits
from tests.reference.http import CHAT, JUDGE, Answer, App, Event, Receive, Request, Send, received, sent
from tests.reference.mutation import (
    CALLING,
    TOOL,
    Make,
    Mutant,
    When,
    accepting,
    answering_as,
    at,
    best_of,
    changing,
    chatting,
    content,
    judging,
    refusing,
    streaming,
)
from tests.reference.server import Reference

Json = Any
Row = tuple[str, str, str, Make, Request]
"""Name, check, note, the bug, a request that shows it."""
Shared = tuple[str, str, str, When, Request, Request]
"""Name, check, note, the requests that get mixed up, one that shows it, one that is under way beside it."""

MOMENT = 0.02
"""Seconds for which a server that mixes answers up waits before each."""


def asking(*names: str, **members: Json) -> When:
    """Whether a chat request has all of these members or headers, and such members."""

    def when(request: Request) -> bool:
        body = request.json()
        has_all = all(body.get(name) or name in request.headers for name in names)
        return has_all and all(body.get(name) == value for name, value in members.items())

    return at(CHAT, when)


def with_members(request: Request, **members: Json) -> Request:
    """The request with other members; None leaves one out."""
    kept = {name: value for name, value in {**request.json(), **members}.items() if value is not None}
    return replace(request, body=json.dumps(kept).encode())


def ignoring(when: When, *names: str, **members: Json) -> Make:
    """Some requests are answered as if they lacked these members, or had others."""
    return answering_as(when, lambda request: with_members(request, **dict.fromkeys(names), **members))


def hearing(when: When, heard: Callable[[list[str]], list[str]]) -> Make:
    """Of the criteria of some requests only these are heard."""

    def other(request: Request) -> Request:
        header = json.dumps(heard(asked(request)))
        return replace(request, headers={**request.headers, "op-criteria": header})

    return answering_as(when, other)


def refusing_when(when: When) -> Make:
    """Some valid requests are refused."""
    refusal = Answer(400, {"message": "This does not go together", "code": "BAD_REQUEST"})

    def change(request: Request, answer: Answer) -> Answer:
        return refusal if answer.status == 200 and when(request) else answer

    return changing(change)


def later_in_words(body: Json, answer: Json) -> Json:
    """Words in each choice but the first, where JSON is asked for."""
    for choice in answer["choices"][1:] if body.get("response_format") else ():
        choice["message"]["content"] = "In words."
    return answer


def later_uncalled(body: Json, answer: Json) -> Json:
    """Words in each choice but the first, where a tool is named."""
    for choice in answer["choices"][1:] if isinstance(body.get("tool_choice"), dict) else ():
        choice["message"] = {"role": "assistant", "content": "In words.", "refusal": None}
        choice["finish_reason"] = "stop"
    return answer


def without_alternatives(body: Json, answer: Json) -> Json:
    for choice in answer["choices"] if body.get("logprobs") else ():
        for entry in choice["logprobs"]["content"]:
            entry["top_logprobs"] = []
    return answer


def is_stream(request: Request) -> bool:
    return bool(request.json().get("stream"))


def is_plain(request: Request) -> bool:
    return not is_stream(request)


def without_key(request: Request) -> bool:
    return is_stream(request) and "authorization" not in request.headers


def of_no_model(request: Request) -> bool:
    return is_stream(request) and str(request.json().get("model")).startswith("openpipe:no")


def unjudged_calls(_: list[str], choices: list[Json]) -> list[Json]:
    """No results for choices that call a tool."""
    return [
        {name: value for name, value in choice.items() if name != "criteria_results"}
        if choice["message"].get("tool_calls")
        else choice
        for choice in choices
    ]


NARRATED = streaming(messages=[{"role": "narrator", "content": "Count to 3."}])
MODELLESS = streaming(model=None)
UNKNOWN = streaming(model="openpipe:nobody-knows-this")
KEYLESS = replace(streaming(), headers={"content-type": "application/json"})
REQUIRED = {"tools": [OTHER, TOOL], "tool_choice": "required"}
BARRED = {"tools": [TOOL], "tool_choice": "none"}

PAIRS: tuple[Row, ...] = (
    (
        "stream-names-no-tool",
        "chat.tools.named",
        "In a stream a named tool is not called.",
        ignoring(asking("stream", "tools"), "tools", "tool_choice"),
        streaming(**CALLING),
    ),
    (
        "stream-requires-no-tool",
        "chat.tools.required",
        "In a stream a required tool is not called.",
        ignoring(asking("stream", tool_choice="required"), "tools", "tool_choice"),
        streaming(**REQUIRED),
    ),
    (
        "stream-bars-no-tool",
        "chat.tools.none",
        "In a stream a tool is called in spite of `none`.",
        ignoring(asking("stream", tool_choice="none"), tool_choice="required"),
        streaming(**BARRED),
    ),
    (
        "stream-without-older-calls",
        "chat.tools.older",
        "In a stream no function is called in the older form.",
        ignoring(asking("stream", "functions"), "functions", "function_call"),
        streaming(**OLDER),
    ),
    (
        "stream-object-as-text",
        "chat.json_object",
        "In a stream json_object is answered in words.",
        ignoring(asking("stream", "response_format"), "response_format"),
        streaming(**OBJECT),
    ),
    (
        "stream-schema-as-text",
        "chat.json_schema",
        "In a stream json_schema is answered in words.",
        ignoring(asking("stream", "response_format"), "response_format"),
        streaming(**SCHEMA),
    ),
    (
        "stream-schema-unheard",
        "chat.json_schema.kept",
        "In a stream json_schema is answered by any object.",
        ignoring(asking("stream", "response_format"), **OBJECT),
        streaming(**SCHEMA),
    ),
    (
        "stream-calls-once",
        "chat.stream.count",
        "`n` is ignored in a stream with tools.",
        ignoring(asking("stream", "tools"), "n"),
        streaming(n=2, **CALLING),
    ),
    (
        "stream-refuses-tools",
        "chat.combined",
        "A stream with tools is refused.",
        refusing_when(asking("stream", "tools")),
        streaming(**CALLING),
    ),
    (
        "stream-refuses-cache",
        "chat.combined",
        "A stream with op-cache is refused, even where it says false.",
        refusing_when(asking("stream", "op-cache")),
        chatting({"op-cache": "false"}, stream=True),
    ),
    (
        "stream-refuses-store",
        "chat.combined",
        "A stream with store is refused.",
        refusing_when(asking("stream", "store")),
        streaming(**STORED),
    ),
    (
        "stream-of-any-model",
        "chat.errors.unknown_model",
        "A model that doesn't exist answers in a stream.",
        accepting(at(CHAT, of_no_model), streaming()),
        UNKNOWN,
    ),
    (
        "stream-without-model",
        "chat.stream.errors",
        "A stream needs no model.",
        accepting(asking("stream", model=None), streaming()),
        MODELLESS,
    ),
    (
        "stream-of-any-role",
        "chat.stream.errors",
        "A stream takes any role.",
        accepting(at(CHAT, lambda request: is_stream(request) and b"narrator" in request.body), streaming()),
        NARRATED,
    ),
    (
        "stream-without-key",
        "chat.errors.missing_key",
        "A stream needs no key.",
        accepting(at(CHAT, without_key), streaming()),
        KEYLESS,
    ),
    (
        "several-refuse-tools",
        "chat.combined",
        "Several choices with tools are refused.",
        refusing_when(asking("n", "tools")),
        chatting(n=2, **CALLING),
    ),
    (
        "one-call",
        "chat.choices.count",
        "`n` is ignored where tools are offered.",
        ignoring(asking("n", "tools"), "n"),
        chatting(n=2, **CALLING),
    ),
    (
        "first-calls",
        "chat.tools.named",
        "Only the first choice calls the named tool.",
        content(CHAT, later_uncalled),
        chatting(n=2, **CALLING),
    ),
    (
        "first-in-json",
        "chat.json_object",
        "Only the first choice is JSON.",
        content(CHAT, later_in_words),
        chatting(n=2, **OBJECT),
    ),
    (
        "refuses-write-only",
        "chat.headers.cache",
        "op-cache: writeOnly is refused.",
        refusing_header("op-cache", lambda value: value == "writeOnly"),
        chatting({"op-cache": "writeOnly"}),
    ),
    (
        "stop-unheard",
        "chat.stop",
        "`stop` is ignored.",
        ignoring(asking("stop"), "stop"),
        chatting(stop=["e"]),
    ),
    (
        "stream-stop-unheard",
        "chat.stop",
        "`stop` is ignored in a stream.",
        ignoring(asking("stream", "stop"), "stop"),
        streaming(stop=["e"]),
    ),
    (
        "no-logprobs",
        "chat.logprobs",
        "`logprobs` is ignored.",
        ignoring(asking("logprobs"), "logprobs"),
        chatting(logprobs=True),
    ),
    (
        "no-top-logprobs",
        "chat.logprobs",
        "`top_logprobs` is ignored.",
        content(CHAT, without_alternatives),
        chatting(logprobs=True, top_logprobs=2),
    ),
    (
        "no-newer-limit",
        "chat.choices.cut",
        "max_completion_tokens is ignored.",
        ignoring(asking("max_completion_tokens"), "max_completion_tokens"),
        chatting(max_completion_tokens=1),
    ),
    (
        "stream-no-limit",
        "chat.choices.cut",
        "max_tokens is ignored in a stream.",
        ignoring(asking("stream", "max_tokens"), "max_tokens"),
        streaming(max_tokens=1),
    ),
)


def without_n(request: Request) -> bool:
    return "n" not in request.json() and bool(asked(request))


CRITERIA: tuple[Row, ...] = (
    (
        "best-alone",
        "chat.choices.count",
        "Only the best choice is answered.",
        judged(lambda _, choices: choices[:1]),
        best_of(3),
    ),
    (
        "same-index",
        "chat.choices.index",
        "Sorted choices have the index 0.",
        judged(lambda _, choices: [{**choice, "index": 0} for choice in choices]),
        best_of(3),
    ),
    (
        "only-several",
        "criteria.results.asked",
        "A single choice is not judged.",
        hearing(at(CHAT, without_n), lambda _: []),
        chatting({"op-criteria": '["criterion-1"]'}),
    ),
    (
        "not-for-one",
        "criteria.results.asked",
        "A choice is not judged where `n` is 1.",
        hearing(asking("op-criteria", n=1), lambda _: []),
        best_of(1),
    ),
    (
        "calls-unjudged",
        "criteria.results.asked",
        "Choices that call a tool are not judged.",
        judged(unjudged_calls),
        best_of(2, **CALLING),
    ),
    (
        "calls-refused",
        "criteria.header",
        "Criteria with tools are refused.",
        refusing_when(asking("op-criteria", "tools")),
        best_of(2, **CALLING),
    ),
    (
        "json-refused",
        "criteria.header",
        "Criteria with JSON are refused.",
        refusing_when(asking("op-criteria", "response_format")),
        best_of(2, **OBJECT),
    ),
    (
        "five-refused",
        "criteria.header",
        "More than three choices with criteria are refused.",
        refusing_when(at(CHAT, lambda request: (request.json().get("n") or 1) > 3 and bool(asked(request)))),
        best_of(5),
    ),
    (
        "noted-refused",
        "criteria.header",
        "Criteria with store are refused.",
        refusing_when(asking("op-criteria", "store")),
        best_of(2, **STORED),
    ),
    (
        "plain-alone",
        "criteria.results.asked",
        "Of mixed ids only those without a version are judged.",
        hearing(
            at(CHAT, lambda request: len(asked(request)) > 1),
            lambda ids: [each for each in ids if "@" not in each] or ids,
        ),
        best_of(2, "criterion-1@v1", "criterion-2"),
    ),
    (
        "three-sorted",
        "criteria.sorted",
        "Only the first three choices are sorted.",
        judged(lambda _, choices: [*ranked(choices[:3]), *choices[3:][::-1]]),
        best_of(8),
    ),
)
JUDGED: tuple[Row, ...] = (
    (
        "plain-ids-alone",
        "judge.example",
        "An id with a version is refused.",
        refusing(JUDGE, lambda body: "@" in str(body.get("criterion_id"))),
        judging(criterion_id="criterion-1@v1"),
    ),
)


# Requests that are under way at the same time.


def mixing(when: When) -> Make:
    """A server that keeps one request for all: each such request is answered as the newest one would be."""

    def make(habits: Habits) -> App:
        reference, newest = Reference(habits), list[Request]()

        async def app(scope: Event, receive: Receive, send: Send) -> None:
            request = await received(scope, receive)
            if when(request):
                newest[:] = [request]
                await asyncio.sleep(MOMENT)
                [request] = newest
            await sent(reference.reply(request), send, request.method)

        return app

    return make


OTHERS = judging(output={"role": "assistant", "content": "Another."})
MIXED: tuple[Shared, ...] = (
    ("scores", "judge.at_once", "Judgements under way at once get one score.", at(JUDGE), judging(), OTHERS),
    (
        "choices",
        "chat.at_once",
        "Completions under way at once get the same choices.",
        at(CHAT, is_plain),
        chatting(n=3),
        chatting(n=2),
    ),
    (
        "results",
        "chat.at_once",
        "Choices under way at once are judged by the same criteria.",
        asking("op-criteria"),
        best_of(2),
        best_of(2, "criterion-1"),
    ),
    (
        "streams",
        "chat.at_once",
        "Streams under way at once say the same.",
        at(CHAT, is_stream),
        streaming(),
        streaming(messages=[{"role": "user", "content": "Another."}]),
    ),
)


def mutants() -> Iterator[Mutant]:
    """All of this page."""
    pages = {"pair": PAIRS, "criteria": CRITERIA, "judge": JUDGED}
    for page, rows in pages.items():
        for name, check, note, make, request in rows:
            yield Mutant(f"{page}-{name}", check, note, make, request)
    for name, check, note, when, request, beside in MIXED:
        level = "sdk" if name == "streams" else ""
        yield Mutant(f"mixed-{name}", check, note, mixing(when), request, level=level, beside=beside)
