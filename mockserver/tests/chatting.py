"""Chat requests worth sending, how to send them in this process, and what must hold of every answer."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from hypothesis import strategies as st

from openpipe_mock.core.effects import Reply
from openpipe_mock.openapi.endpoints import BASE
from openpipe_mock.openapi.spec import contract
from openpipe_mock.service.service import Service
from tests.generate import Strategy, valid
from tests.inprocess import HEADERS, JUDGE, answer, content_of, holds

Json = Any

CHAT = f"{BASE}/chat/completions"
LATEST = f"{BASE}/local-testing-only-get-latest-logged-call"
EVENT_STREAM = b"text/event-stream; charset=utf-8"

PLACE: Mapping[str, Json] = {
    "type": "object",
    "properties": {"location": {"type": "string"}, "days": {"type": "integer", "minimum": 1}},
    "required": ["location"],
    "additionalProperties": False,
}
"""The parameters of a tool, or a schema to answer in."""


def asking(text: str = "Count to 10", **members: Json) -> Json:
    """A chat request with one user message; members may replace its `messages` too."""
    return {"model": "openai:gpt-4o-mini", "messages": [user(text)], **members}


def user(text: Json) -> Json:
    return {"role": "user", "content": text}


def tool(name: str, parameters: Json = PLACE) -> Json:
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


def function(name: str, parameters: Json = PLACE) -> Json:
    """A tool in the older form."""
    return {"name": name, "parameters": parameters}


def shaped(schema: Json) -> Json:
    """The `response_format` that asks for JSON in a schema."""
    return {"type": "json_schema", "json_schema": {"name": "shape", "schema": schema}}


def sent_with(key: str = "op-test", **options: Json) -> dict[bytes, bytes]:
    """Headers with a key and `op-*` options; a value that is no text is sent as its JSON."""
    headers = {**HEADERS, b"authorization": f"Bearer {key}".encode()}
    for name, value in options.items():
        text = value if isinstance(value, str | bytes) else json.dumps(value)
        headers[name.replace("_", "-").encode()] = text.encode() if isinstance(text, str) else text
    return headers


def ask(service: Service, body: Json, *, key: str = "op-test", **options: Json) -> Reply:
    """The reply to a chat request, which asks for a place in the log, as those of the official clients do."""
    return answer(service, body, path=CHAT, headers=sent_with(key, **{"op_log_request": "true", **options}))


def completion(service: Service, body: Json, *, key: str = "op-test", **options: Json) -> Json:
    """The plain answer to a chat request, once it is what the contract says."""
    return completed(ask(service, body, key=key, **options))


def completed(reply: Reply) -> Json:
    assert (reply.status, content_of(reply) if reply.status != 200 else "") == (200, "")
    assert holds(reply, CHAT)
    return content_of(reply)


def choices(service: Service, body: Json, **options: Json) -> list[Json]:
    """The choices of a plain answer."""
    found: list[Json] = completion(service, body, **options)["choices"]
    return found


def messages(service: Service, body: Json, **options: Json) -> list[Json]:
    """The messages of a plain answer's choices."""
    return [choice["message"] for choice in choices(service, body, **options)]


def contents(service: Service, body: Json, **options: Json) -> list[str]:
    """The texts of a plain answer's choices."""
    return [message["content"] for message in messages(service, body, **options)]


def refused(reply: Reply, status: int = 400, code: str = "BAD_REQUEST") -> str:
    """A chat error's message, once the error is what the contract says and stands there twice."""
    body = content_of(reply)
    assert (reply.status, body.get("code")) == (status, code)
    assert holds(reply, CHAT)
    assert body["error"] == {"code": code, "message": body["message"]}
    message: str = body["message"]
    return message


def data_of(reply: Reply) -> list[str]:
    """The data of each event of a stream, which consists of nothing else."""
    assert reply.status == 200
    headers = {name: value for name, value in reply.headers if not name.startswith(b"x-ratelimit-")}
    assert headers.pop(b"x-request-id", b"")
    assert headers == {b"content-type": EVENT_STREAM, b"cache-control": b"no-cache"}
    text = reply.body.decode()
    assert text.endswith("\n\n")
    assert "\r" not in text
    lines = text.split("\n\n")[:-1]
    assert all(line.startswith("data: ") and "\n" not in line for line in lines)
    return [line.removeprefix("data: ") for line in lines]


def chunks(reply: Reply) -> list[Json]:
    """The chunks of a stream, once each is what the contract says and `[DONE]` ends it."""
    *events, last = data_of(reply)
    assert last == "[DONE]"
    found = [json.loads(event) for event in events]
    checker = contract().checker("ChatCompletionChunk")
    for chunk in found:
        assert checker.is_valid(chunk), [str(violation) for violation in checker.violations(chunk)]
    return found


def joined(events: list[Json]) -> Json:
    """The plain answer that a client puts together from chunks: see `merged`."""
    head = {name: events[0][name] for name in ("id", "created", "model")}
    assert all({name: chunk[name] for name in head} == head for chunk in events)
    made: dict[int, Json] = {}
    for chunk in events:
        for part in chunk["choices"]:
            choice = made.setdefault(part["index"], {"message": {}, "logprobs": None, "finish_reason": None})
            assert choice["finish_reason"] is None, "something follows the end of a choice"
            merged(choice["message"], part["delta"])
            choice["finish_reason"] = part["finish_reason"]
            if part["logprobs"]:
                choice["logprobs"] = merged(choice["logprobs"] or {}, part["logprobs"])
    ordered = [{"index": index, **made[index]} for index in sorted(made)]
    return {**head, "object": "chat.completion", "choices": ordered}


def merged(whole: Json, piece: Json) -> Json:
    """Put a piece of an object into the whole, in place, as OpenAI's clients do.

    Texts are appended to texts, lists to lists, and a tool call is put into the one with its index.
    """
    for name, value in piece.items():
        old = whole.get(name)
        if name == "tool_calls":
            calls = whole.setdefault(name, [])
            for call in value:
                at = call["index"]
                assert at <= len(calls)
                calls[at : at + 1] = [
                    merged(
                        calls[at] if at < len(calls) else {},
                        {key: part for key, part in call.items() if key != "index"},
                    )
                ]
        elif isinstance(value, dict):
            whole[name] = merged(old or {}, value)
        elif old is not None and value is not None and name not in ("role", "type", "id"):
            whole[name] = old + value
        elif value is not None or name not in whole:
            whole[name] = value
    return whole


def judged(service: Service, criterion: str, body: Json, message: Json) -> Json:
    """What the judge says of a chat request's answer, given just what it may see."""
    seen = {name: body[name] for name in ("messages", "tools", "tool_choice") if name in body}
    reply = answer(service, {"criterion_id": criterion, "input": seen, "output": message}, path=JUDGE)
    assert (reply.status, content_of(reply) if reply.status != 200 else "") == (200, "")
    return content_of(reply)


def latest(service: Service, key: str = "op-test") -> Json:
    """The call that was logged last under a key."""
    reply = answer(service, path=LATEST, method="GET", headers=sent_with(key))
    assert reply.status == 200
    return content_of(reply)


def costs_less(action: Callable[[], object], times: float, other: Callable[[], object]) -> bool:
    """Whether an action keeps the processor busy for less than so many times what another one does.

    Both are measured in turn, at best of three: a loaded machine only ever adds to what they take.
    """

    def seconds(act: Callable[[], object]) -> float:
        started = time.thread_time()
        act()
        return time.thread_time() - started

    pairs = [(seconds(other), seconds(action)) for _ in range(3)]
    return min(taken for _, taken in pairs) < times * min(usual for usual, _ in pairs)


# Requests drawn by hypothesis.

NAMES = ("get_weather", "getWeather", "count", "look-up", "a", "the", "🙂", "x" * 70, 'say "it"', "\x00\n")
SCHEMAS: tuple[Json, ...] = (
    {},
    {"type": "object"},
    PLACE,
    {"type": "object", "properties": {"n": {"enum": [3, 1]}, "of": {"type": "array", "items": PLACE}}},
    {"type": "object", "properties": {"when": {"type": "string", "format": "date"}}, "required": ["when"]},
    {"type": "object", "properties": {"default": {"default": None}, "😀": {"const": "\x00 “x”\n"}}},
)
MODELS = ("openai:gpt-4o-mini", "openpipe:my-model", "gpt-4o", "", "😀\n")
LIMITS = (None, 1, 2, 3.0, 7, 40, 10_000)
STOPS: tuple[Json, ...] = (None, "", "mock", " answer", "\n", '"', ["to", "never said"], [], [""])

schemas: Strategy = st.sampled_from(SCHEMAS)
conversations: Strategy = st.lists(valid("Message"), max_size=3)


def offers(names: list[str], parameters: list[Json]) -> Iterator[Json]:
    """Functions with these names; without parameters where those are None."""
    for name, schema in zip(names, parameters, strict=True):
        yield {"name": name} if schema is None else {"name": name, "parameters": schema}


@st.composite
def functions(draw: st.DrawFn) -> list[Json]:
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=3, unique=True))
    parameters = [draw(st.sampled_from([None, *SCHEMAS])) for _ in names]
    return list(offers(names, parameters))


@st.composite
def callings(draw: st.DrawFn) -> Json:
    """Tools or functions, and the choice among them; or none of them."""
    offered = draw(st.just([]) | functions())
    form = draw(st.sampled_from(["none", "tools", "functions"])) if offered else "none"
    named = draw(st.sampled_from(offered))["name"] if offered else ""
    if form == "tools":
        name = {"type": "function", "function": {"name": named}}
        choice = draw(st.sampled_from(["absent", None, "none", "auto", "required", {}, name]))
        made: Json = {"tools": [{"type": "function", "function": each} for each in offered]}
        return made if choice == "absent" else {**made, "tool_choice": choice}
    if form == "functions":
        choice = draw(st.sampled_from(["absent", None, "none", "auto", {"name": named}]))
        made = {"functions": offered}
        return made if choice == "absent" else {**made, "function_call": choice}
    return draw(st.sampled_from([{}, {"tools": None}, {"tools": []}, {"tool_choice": "none"}]))


@st.composite
def forms(draw: st.DrawFn) -> Json:
    """The value of a `response_format`, None included."""
    kinds = [None, {"type": "text"}, {"type": "json_object"}, shaped(None), shaped(draw(schemas))]
    return draw(st.sampled_from(kinds))


@st.composite
def chosen(draw: st.DrawFn, table: Mapping[str, tuple[Json, ...]]) -> Json:
    """Some members of a table, each with one of its values."""
    names = draw(st.lists(st.sampled_from(sorted(table)), unique=True))
    return {name: draw(st.sampled_from(table[name])) for name in names}


AMOUNTS: Mapping[str, tuple[Json, ...]] = {
    "n": (None, 1, 2, 3.0, 5),
    "max_tokens": LIMITS,
    "max_completion_tokens": LIMITS,
    "stop": STOPS,
    "logprobs": (None, True, False),
    "stream_options": (None, {"include_usage": True}, {"include_usage": False, "unknown": 1}),
}
"""How much to say, how often, in how many words."""
NOTES: Mapping[str, tuple[Json, ...]] = {
    "temperature": (None, 0, 0.7, 1e300, -0.0),
    "metadata": (None, {}, {"prompt_id": "counting", "none": None, "😀": ""}),
    "store": (None, True, False),
    "user": (None, "me"),
    "seed": (None, 1, {"unknown": [None, 2**63]}),
    "audio": (None, {"voice": "alloy", "format": "wav"}),
}
"""Members that say nothing about the form or length of an answer, unknown ones among them."""


@st.composite
def chats(draw: st.DrawFn) -> Json:
    """Requests to be answered with 200: what they refer to is there, and their schemas can be built."""
    form = draw(forms())
    made = {
        "model": draw(st.sampled_from(MODELS)),
        "messages": draw(conversations),
        **draw(callings()),
        **draw(chosen(AMOUNTS)),
        **draw(chosen(NOTES)),
    }
    return {**made, "response_format": form} if form or draw(st.booleans()) else made
