"""Valid bodies, built from the contract: the smallest in which a place occurs, and the fullest.

They are what a sensible client would send: a tool result follows its call, a named tool is offered,
alternatives come only with log probabilities.
"""

from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from typing import Any

import orjson

from openpipe_mock.core.levels import weaker
from openpipe_mock.openapi.endpoints import ENDPOINTS
from openpipe_mock.openapi.shapes import Schema
from openpipe_mock.openapi.spec import contract
from openpipe_mock.openapi.violations import fits
from openpipe_mock.payloads.places import (
    Path,
    Spot,
    ValuePath,
    put,
    resolve_path,
    root,
    spots,
    types_of,
    walk,
)
from openpipe_mock.payloads.values import (
    BY_TYPE,
    SAMPLES,
    UNEXPECTED,
    UNKNOWN,
    full,
    grown,
    sample,
    smallest_object,
    smallest_value,
)

Json = Any
REQUEST_COMPONENTS: Mapping[str, str] = {
    each.name: each.request for each in ENDPOINTS.values() if each.answer
}
"""Endpoint → the component of its request."""

USER: Json = {"role": "user", "content": "Count to 3."}
_ARGUMENTS: Json = {"name": "count", "arguments": '{"to":3}'}
_CALLING: Json = {
    "role": "assistant",
    "content": None,
    "tool_calls": [{"id": "call_1", "type": "function", "function": _ARGUMENTS}],
}
_AROUND: Mapping[str, tuple[list[Json], list[Json]]] = {
    "system": ([], [USER]),
    "developer": ([], [USER]),
    "assistant": ([USER], []),
    "tool": ([USER, _CALLING], []),
    "function": ([USER, {"role": "assistant", "content": None, "function_call": _ARGUMENTS}], []),
}
"""Role of a single message → the messages before and after it that make a conversation."""

_ORDER = ("system", "developer", "user", "assistant", "tool", "function")
"""The order of roles in the fullest body."""


@dataclass(frozen=True, slots=True)
class Positive:
    """A valid request: a stable name, the source class of what it shows, and its body as JSON in `text`.

    `needs` names the media in it, "images" and "audio": many models refuse these, whatever the contract says.
    """

    name: str
    endpoint: str
    level: str
    needs: tuple[str, ...]
    text: str
    header: tuple[tuple[str, str], ...] = ()

    @property
    def body(self) -> Json:
        """A new copy of the body."""
        return orjson.loads(self.text)

    @property
    def headers(self) -> dict[str, str]:
        """The header that this shows, by name; empty where it shows a body."""
        return dict(self.header)


@cache
def positives(endpoint: str) -> tuple[Positive, ...]:
    """Valid bodies in which every branch, word and bound of the endpoint's request occurs, the fullest last.

    `endpoint` is "judge" or "chat". Raises KeyError for any other.
    """
    return named_bodies(REQUEST_COMPONENTS[endpoint], endpoint)


@cache
def header_positives() -> tuple[Positive, ...]:
    """Valid headers of a chat request, each with a small body."""
    found: dict[tuple[str, str], Positive] = {}
    body = smallest_body(REQUEST_COMPONENTS["chat"], ())
    for component, parameter in parameters():
        for name, level, text in _header_texts(component, parameter):
            header = (parameter["name"], text)
            dotted = f"chat.{parameter['name']}.{name}"
            found.setdefault(header, Positive(dotted, "chat", level, (), body, (header,)))
    return tuple(found.values())


def named_bodies(component: str, endpoint: str) -> tuple[Positive, ...]:
    """Valid values of any component. Each body comes once, under its first name."""
    found: dict[str, Positive] = {}
    for name, level, body in [
        *_shown(component, endpoint),
        *_turns(component, endpoint),
        *_whole(component, endpoint),
    ]:
        text = orjson.dumps(body).decode()
        found.setdefault(text, Positive(name, endpoint, level, needs(text), text))
    return tuple(found.values())


@cache
def smallest_body(component: str, route: ValuePath) -> str:
    """The smallest sensible body in which a route leads somewhere, as JSON.

    If the last step is UNKNOWN, the body has the object to which such a member could be added.
    """
    return orjson.dumps(_settled(component, grown(root(component), route))).decode()


@cache
def _fullest(component: str) -> bytes:
    """The body with every member and every branch, as JSON."""
    body = full(root(component))
    for talk in (body, body.get("input", {})):
        if isinstance(talk.get("messages"), list):
            talk["messages"].sort(key=lambda message: _ORDER.index(message["role"]))
    return orjson.dumps(_settled(component, body))


def _settled(component: str, body: Json) -> Json:
    """A request completed so that it makes sense; any other body unchanged."""
    if component == "JudgeCriteriaRequest" and isinstance(body.get("input"), dict):
        return {**body, "input": _talk(body["input"])}
    return _asked(_talk(body)) if component == "ChatCompletionRequest" else body


def _talk(body: Json) -> Json:
    """Messages as a conversation, and the tools that a `tool_choice` needs."""
    body = {**body, "messages": _conversation(body["messages"])} if body.get("messages") else body
    if body.get("tool_choice") is not None and not body.get("tools"):
        tool = {"type": "function", "function": {"name": "count", "parameters": SAMPLES["parameters"]}}
        body = {**body, "tools": [tool]}
    return deepcopy(body)


def _conversation(messages: list[Json]) -> list[Json]:
    """A single message with those that belong around it; several are a conversation already."""
    if len(messages) != 1 or messages == [USER]:
        return messages
    (message,) = messages
    before, after = _AROUND.get(message["role"], ([], []))
    calls = message.get("tool_calls") or ()
    results = [{"role": "tool", "tool_call_id": call["id"], "content": "1, 2, 3"} for call in calls]
    return [*before, message, *results, *after]


def _asked(body: Json) -> Json:
    """A chat request with the members that others need: `functions`, `logprobs`, `stream`."""
    if isinstance(body.get("function_call"), str | dict) and not body.get("functions"):
        body = {**body, "functions": [{"name": "count", "parameters": SAMPLES["parameters"]}]}
    if body.get("top_logprobs") is not None:
        body = {**body, "logprobs": True}
    if body.get("stream_options") is not None:
        body = {**body, "stream": True}
    if (body.get("response_format") or {}).get("type") == "json_object" and body["messages"] == [USER]:
        body = {**body, "messages": [{**USER, "content": "Count to 3. Answer in JSON."}]}
    return body


def preceded(component: str, body: Json, other: Json) -> Json:
    """A valid body with the messages of another valid one before its own."""
    if component == "ChatCompletionRequest":
        return {**body, "messages": [*other["messages"], *body["messages"]]}
    earlier, own = other.get("input"), body.get("input") or {"messages": []}
    messages = [*earlier["messages"], *own["messages"]] if earlier else own["messages"]
    return {**body, "input": {**own, "messages": messages}}


def _shown(component: str, endpoint: str) -> Iterator[tuple[str, str, Json]]:
    """For each spot, a body with each allowed value there."""
    for name, level, body in _showing(root(component), spots(component)):
        yield f"{endpoint}.{name}", level, _settled(component, body)


def _showing(start: Spot, every: Iterable[Spot]) -> Iterator[tuple[str, str, Json]]:
    """Name, source class and value: the smallest one for `start`, with each value that each spot allows."""
    for spot in every:
        base, path = holding_spot(start, spot)
        for name, level, value in _variants(spot):
            yield name, level, put(base, path, value)


def _variants(spot: Spot) -> Iterator[tuple[str, str, Json]]:
    """The values that a spot allows: dotted name, source class, value."""
    for branch in spot.branches():
        for label, level, value in _allowed(branch):
            yield ".".join([*map(str, branch.route), label]), level, value


def holding_spot(start: Spot, spot: Spot) -> tuple[Json, Path]:
    """The smallest value for `start` in which a spot occurs, and the path to it."""
    value = grown(start, spot.route)
    return value, next(resolve_path(value, spot.route))


_FUNCTION = {"name": "get_weather", "arguments": '{"city":"Paris"}'}
_CALL_ALONE = {
    "role": "assistant",
    "content": None,
    "tool_calls": [{"id": "call-1", "type": "function", "function": _FUNCTION}],
}
"""An agent's most frequent message: a call without text."""
_AGENT = (
    {"role": "user", "content": "The weather in Paris?"},
    _CALL_ALONE,
    {"role": "tool", "tool_call_id": "call-1", "content": "18 degrees"},
)


def _turns(component: str, endpoint: str) -> Iterator[tuple[str, str, Json]]:
    """Frequent combinations: a call beside content that is null, and the turn of an agent."""
    if component == "JudgeCriteriaRequest":
        named = {"criterion_id": SAMPLES["criterion_id"]}
        older = {"role": "assistant", "content": None, "function_call": _FUNCTION}
        said = {"role": "assistant", "content": "It has 18 degrees."}
        yield "judge.turns.calling", "documented", {**named, "output": _CALL_ALONE}
        yield "judge.turns.calling-the-older-way", "documented", {**named, "output": older}
        yield "judge.turns.agent", "documented", {**named, "input": {"messages": [*_AGENT]}, "output": said}
    if component == "ChatCompletionRequest":
        yield "chat.turns.agent", "sdk", {"model": SAMPLES["model"], "messages": [*_AGENT]}


def _whole(component: str, endpoint: str) -> Iterator[tuple[str, str, Json]]:
    """The fullest body. Only the published page promises that all members go together."""
    level = root(component).level
    together = level if level == "documented" else "decision"
    yield f"{endpoint}.fullest", together, orjson.loads(_fullest(component))


def _allowed(branch: Spot) -> Iterator[tuple[str, str, Json]]:
    """The values that one branch allows: label, source class, value."""
    if "enum" in branch.schema:
        for option in branch.schema["enum"]:
            yield {None: "null", "null": "null-word"}.get(option, option), branch.level, option
        return
    for kind in types_of(branch.schema):
        yield from _of_kind(kind, branch)


def _of_kind(kind: str, branch: Spot) -> Iterator[tuple[str, str, Json]]:
    """The values of one JSON type that a branch allows."""
    if kind == "object":
        yield from _objects(branch)
    elif kind == "array":
        # the clients' types neither forbid an empty list nor promise that a server accepts it
        empty = branch.level if branch.level == "documented" else "decision"
        yield "items", branch.level, smallest_value(branch)
        yield "empty", empty, []
    elif kind == "boolean":
        yield from (("true", branch.level, True), ("false", branch.level, False))
    elif kind == "null":
        yield "null", branch.schema.get("x-source-null", branch.level), None
    else:
        known = sample(branch)
        yield kind, branch.level, known if fits({"type": kind}, known) else BY_TYPE[kind]
        yield from (
            (f"at-{keyword}", branch.level, branch.schema[keyword])
            for keyword in ("minimum", "maximum")
            if keyword in branch.schema
        )


def _objects(branch: Spot) -> Iterator[tuple[str, str, Json]]:
    """An object as usual, with required members only, and with an undeclared member where that is allowed."""
    usual = smallest_value(branch)
    yield "object", branch.level, usual
    yield "bare", branch.level, smallest_object(branch, usual=False)
    if branch.schema.get("additionalProperties", True) is True and "properties" in branch.schema:
        level = weaker(branch.level, branch.additional())
        yield "open", level, {**usual, UNKNOWN: UNEXPECTED}


def parameters() -> Iterator[tuple[str, Schema]]:
    """The headers of a chat request: the component's name and the parameter object."""
    document = contract().document
    for reference in document["paths"]["/chat/completions"]["post"]["parameters"]:
        component = reference["$ref"].rpartition("/")[2]
        yield component, document["components"]["parameters"][component]


def header_spots(component: str, parameter: Schema) -> tuple[Spot, ...]:
    """The spots of a header's JSON; a header without JSON has one spot, for its text."""
    schema = parameter["schema"].get("contentSchema", parameter["schema"])
    return tuple(walk(Spot(contract().document, (), schema, component, parameter["x-source"])))


def _header_texts(component: str, parameter: Schema) -> Iterator[tuple[str, str, str]]:
    """The texts that a header allows: name, source class, text."""
    is_json = "contentSchema" in parameter["schema"]
    every = header_spots(component, parameter)
    for name, level, value in _showing(every[0], every):
        level = "decision" if value == [] else level
        yield name, level, orjson.dumps(value).decode() if is_json else value


def needs(text: str) -> tuple[str, ...]:
    """The media in a body, as `Positive.needs` names them."""
    media = {"images": ('"image_url"',), "audio": ('"input_audio"', '"audio":{')}
    return tuple(name for name, signs in media.items() if any(sign in text for sign in signs))
