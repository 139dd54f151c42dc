"""One-bug servers: what a mutant is, and the ways to put one bug into a reference server."""

import asyncio
import copy
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from openpipe_mock.openapi.spec import contract
from openpipe_mock.payloads.edits import Edit, edits
from openpipe_mock.payloads.valid import positives
from tests.reference.habits import Habits
from tests.reference.http import (
    CHAT,
    ENDPOINTS,
    JUDGE,
    Answer,
    App,
    Event,
    Raw,
    Receive,
    Request,
    Send,
    received,
    sent,
)
from tests.reference.server import HEADERS, MODELS, Change, Reference, Spoil

Json = Any
Make = Callable[[Habits], App]
When = Callable[[Request], bool]
Where = Callable[[Json], bool]
"""Whether a bug shows on a request, by its body."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """A server with one bug.

    `kills`: the id of the check that has to find it. `shown_by`: a request that shows the bug, when it is
    sent up to `tries` times, with `beside` under way at the same time. `make` puts the bug into a server with
    the given habits. `level`: the level of what is found, "" for the check's own.
    """

    name: str
    kills: str
    note: str
    make: Make
    shown_by: Request
    tries: int = 1
    level: str = ""
    beside: Request | None = None


MINIMAL: Mapping[str, Json] = {
    "criterion_id": "criterion-1",
    "output": {"role": "assistant", "content": "1, 2"},
}
HELLO: Mapping[str, Json] = {"model": MODELS[0], "messages": [{"role": "user", "content": "Count to 3."}]}
TOOL: Mapping[str, Json] = {
    "type": "function",
    "function": {
        "name": "count",
        "parameters": {"type": "object", "properties": {"to": {"type": "integer"}}, "required": ["to"]},
    },
}
CALLING: Mapping[str, Json] = {
    "tools": [TOOL],
    "tool_choice": {"type": "function", "function": {"name": "count"}},
}
BEST_OF: Mapping[str, str] = {"op-criteria": '["criterion-1", "criterion-2"]'}


def post(path: str, body: Json, headers: Mapping[str, str] | None = None) -> Request:
    """A request with a key; a body of bytes is sent as it is."""
    sent = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Request("POST", path, {**HEADERS, **(headers or {})}, sent)


def judging(**members: Json) -> Request:
    """A judge request with other or further members; None leaves one out."""
    body = {**MINIMAL, **members}
    return post(JUDGE, {name: member for name, member in body.items() if member is not None})


def reading(*messages: Json) -> Request:
    """A judge request with these input messages."""
    return judging(input={"messages": list(messages)})


def chatting(headers: Mapping[str, str] | None = None, **members: Json) -> Request:
    """A chat request with other or further members; None leaves one out."""
    body = {**HELLO, **members}
    return post(CHAT, {name: member for name, member in body.items() if member is not None}, headers)


def best_of(n: int = 4, *criteria: str, **members: Json) -> Request:
    """A chat request whose choices are judged by these criteria."""
    headers = {"op-criteria": json.dumps(criteria)} if criteria else BEST_OF
    return chatting(headers, n=n, **members)


def streaming(**members: Json) -> Request:
    return chatting(stream=True, **members)


def accepts(endpoint: str, case: str) -> str:
    """The id of the check that sends the suite's valid request with this name."""
    return f"{endpoint}.accepts.{case}"


def rejects(endpoint: str, case: str) -> str:
    """The id of the check that sends this broken request and others like it; KeyError for an unknown one."""
    edit = edit_of(endpoint, case)
    rule = "type" if edit.rule == "anyOf" else edit.rule  # none of the types is one to whoever sends it
    return f"{endpoint}.rejects.{edit.component}.{rule}"


def edit_of(endpoint: str, case: str) -> Edit:
    return {each.name: each for each in edits(endpoint)}[f"{endpoint}.{case}"]


def known(endpoint: str, body: Json) -> Json:
    """A body that names what a reference server has."""
    if not isinstance(body, dict):
        return body
    names = {"criterion_id": "criterion-1"} if endpoint == "judge" else {"model": MODELS[0]}
    return {**body, **{name: value for name, value in names.items() if name in body}}


def positive(endpoint: str, name: str) -> Request:
    """The suite's valid request with this name; KeyError for an unknown one."""
    bodies = {each.name: each for each in positives(endpoint)}
    return post(ENDPOINTS[endpoint], known(endpoint, bodies[f"{endpoint}.{name}"].body))


def edited(endpoint: str, name: str) -> Request:
    """The suite's broken request with this name; KeyError for an unknown one."""
    edit = edit_of(endpoint, name)
    return post(ENDPOINTS[endpoint], edit.apply(known(endpoint, edit.base)))


# Where a bug lies: in what is answered, in its bytes, in the contract that requests are held against, or in
# how an answer is sent.


def changing(change: Change) -> Make:
    return lambda habits: Reference(habits, change=change)


def spoiling(spoil: Spoil) -> Make:
    return lambda habits: Reference(habits, spoil=spoil)


def believing(edit: Callable[[Json], object]) -> Make:
    """A server that holds requests against an edited copy of the component schemas."""

    def make(habits: Habits) -> App:
        schemas = copy.deepcopy(contract().document["components"]["schemas"])
        edit(schemas)
        return Reference(habits, document={"components": {"schemas": schemas}})

    return make


def sending(when: When, send_badly: Callable[[Raw, Send], Awaitable[None]]) -> Make:
    """A server that sends the answers of some requests in a way of its own."""

    def make(habits: Habits) -> App:
        reference = Reference(habits)

        async def app(scope: Event, receive: Receive, send: Send) -> None:
            request = await received(scope, receive)
            raw = reference.reply(request)
            await (send_badly(raw, send) if when(request) else sent(raw, send, request.method))

        return app

    return make


async def begun(raw: Raw, send: Send, length: int | None, share: float) -> None:
    """Send the head of an answer and a share of its body; None announces no length."""
    headers = {**raw.headers, **({} if length is None else {"content-length": str(length)})}
    listed = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": raw.status, "headers": listed})
    part = raw.body[: int(len(raw.body) * share)]
    await send({"type": "http.response.body", "body": part, "more_body": True})


async def hang(raw: Raw, send: Send) -> None:
    """Never answer."""
    await asyncio.Event().wait()


async def stall(raw: Raw, send: Send) -> None:
    """Begin an answer and never go on."""
    await begun(raw, send, None, 0.5)
    await asyncio.Event().wait()


async def hang_up(raw: Raw, send: Send) -> None:
    """Begin an answer and close the connection."""
    await begun(raw, send, None, 0.5)
    raise ConnectionAbortedError


async def lie(raw: Raw, send: Send) -> None:
    """Announce more bytes than there are."""
    await begun(raw, send, len(raw.body) + 10, 1.0)
    raise ConnectionAbortedError


def deviating(**knobs: Any) -> Make:
    """A correct server with another habit."""
    return lambda habits: Reference(replace(habits, **knobs))


# Bugs in what is accepted


def refusing(path: str, where: Where, status: int = 400) -> Make:
    """A valid request is answered by an error."""
    code = "BAD_REQUEST" if status < 500 else "INTERNAL_SERVER_ERROR"
    content = {"message": "This is not supported", "code": code}

    def change(request: Request, answer: Answer) -> Answer:
        refused = request.path == path and answer.status == 200 and where(request.json())
        return Answer(status, content) if refused else answer

    return changing(change)


def breaking(path: str, check: str, name: str, where: Where, request: Request) -> Mutant:
    """A server that crashes on some valid requests, or refuses them, whichever the check is about."""
    crashes = check.endswith(".no_5xx")
    case = name.rpartition("-at-")[2]
    note = f"It crashes on this: {case}." if crashes else f"This is refused: {case}."
    is_long = check.endswith((".length", ".messages")) and case != "1k"  # which is the smallest size of all
    level = "decision" if is_long else ""
    return Mutant(name, check, note, refusing(path, where, 500 if crashes else 400), request, level=level)


def loosened(component: str, *path: str, to: Json = None) -> Make:
    """A constraint of a component is not held against requests: the keyword at a path, or it is `to`."""

    def edit(schemas: Json) -> None:
        schema = schemas[component]
        for step in path[:-1]:
            schema = schema[step]
        if to is None:
            del schema[path[-1]]
        else:
            schema[path[-1]] = to

    return believing(edit)


def at(path: str, when: When | None = None) -> When:
    """Whether a request that is POSTed to a path is such a one."""
    return lambda sent: sent.path == path and sent.method == "POST" and (when is None or when(sent))


def accepting(when: When, instead: Request) -> Make:
    """A broken request is answered as another one would be."""

    def make(habits: Habits) -> App:
        healthy = Reference(habits)

        def change(request: Request, answer: Answer) -> Answer:
            return healthy.answer(instead) if answer.status >= 400 and when(request) else answer

        return Reference(habits, change=change)

    return make


def answering_as(when: When, other: Callable[[Request], Request]) -> Make:
    """Some requests are answered as another one would be."""

    def make(habits: Habits) -> App:
        healthy = Reference(habits)
        return Reference(
            habits, change=lambda sent, answer: healthy.answer(other(sent)) if when(sent) else answer
        )

    return make


# Bugs in what is answered


def content(path: str, edit: Callable[[Json, Json], Json]) -> Make:
    """The content of each 200 is edited: body of the request and content in, content out."""

    def change(request: Request, answer: Answer) -> Answer:
        good = request.path == path and answer.status == 200 and answer.chunks is None
        if not good:
            return answer
        return replace(answer, content=edit(request.json(), copy.deepcopy(answer.content)))

    return changing(change)


def having(path: str, **members: Json) -> Make:
    """Each 200 has these members, those that are LEFT_OUT not."""
    return content(path, lambda _, body: with_members(body, members))


LEFT_OUT = object()


def with_members(value: Json, members: Mapping[str, Json]) -> Json:
    merged = {**value, **members}
    return {name: member for name, member in merged.items() if member is not LEFT_OUT}


def choices(edit: Callable[[Json, list[Json]], list[Json]]) -> Make:
    """The choices of each completion are edited: completion and choices in, choices out."""
    return content(CHAT, lambda _, body: {**body, "choices": edit(body, body["choices"])})


def each_choice(edit: Callable[[Json], Json]) -> Make:
    return choices(lambda _, listed: [edit(choice) for choice in listed])


def each_message(**members: Json) -> Make:
    return each_choice(lambda choice: {**choice, "message": with_members(choice["message"], members)})


def each_call(edit: Callable[[Json], Json]) -> Make:
    """The tool calls of each message are edited."""

    def edited(choice: Json) -> Json:
        calls = choice["message"].get("tool_calls")
        if not calls:
            return choice
        return {**choice, "message": {**choice["message"], "tool_calls": [edit(call) for call in calls]}}

    return each_choice(edited)


def results(edit: Callable[[Json], Json]) -> Make:
    """The criteria results of each choice are edited."""

    def edited(choice: Json) -> Json:
        judged = choice.get("criteria_results")
        return {**choice, "criteria_results": edit(judged)} if judged else choice

    return each_choice(edited)


def each_result(edit: Callable[[Json], Json]) -> Make:
    return results(lambda judged: {key: edit(result) for key, result in judged.items()})


def chunks(edit: Callable[[list[Json]], list[Json]]) -> Make:
    """The chunks of each stream are edited."""

    def change(_: Request, answer: Answer) -> Answer:
        if answer.chunks is None:
            return answer
        return replace(answer, chunks=tuple(edit(copy.deepcopy(list(answer.chunks)))))

    return changing(change)


def each_chunk(edit: Callable[[Json], Json]) -> Make:
    return chunks(lambda listed: [edit(chunk) for chunk in listed])


# Bugs in errors


def errors(when: When, edit: Callable[[Json], Json]) -> Make:
    """The content of the errors that answer some requests is edited."""

    def change(request: Request, answer: Answer) -> Answer:
        wrong = answer.status >= 400 and when(request)
        return replace(answer, content=edit(copy.deepcopy(answer.content))) if wrong else answer

    return changing(change)


def error_bytes(when: When, body: bytes, status: int = 0, content_type: str = "") -> Make:
    """The errors that answer some requests have these bytes, and another status or type."""

    def spoil(request: Request, raw: Raw) -> Raw:
        if raw.status < 400 or not when(request):
            return raw
        typed = {"content_type": content_type} if content_type else {}
        return replace(raw.says(body, **typed), status=status or raw.status)

    return spoiling(spoil)


def answers(when: When, status: int, body: Json) -> Make:
    """Some requests are answered so, whatever else is wrong or right with them."""
    return changing(lambda request, answer: Answer(status, body) if when(request) else answer)
