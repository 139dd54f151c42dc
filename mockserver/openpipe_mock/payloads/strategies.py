"""Hypothesis strategies for requests: valid ones, and ones that are broken in one place.

    @given(judge_requests())
    def test_my_server_takes_it(body): ...

    @given(broken_chat_requests())
    def test_my_server_refuses_it(broken): ...    # broken.body, broken.pointer, broken.rule

Requests are built valid, never filtered. They make sense too: a named tool is offered, a tool result has its
call, alternatives come only with log probabilities. Examples shrink to short conversations in plain words.
Needs the extra `contract`; docs/strategies.md shows each strategy at work.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from hypothesis import strategies as st

from openpipe_mock.core.pointers import pointer_to
from openpipe_mock.openapi.shapes import label, union
from openpipe_mock.openapi.spec import contract
from openpipe_mock.payloads.edits import Edit, edits
from openpipe_mock.payloads.places import Spot, root, types_of
from openpipe_mock.payloads.valid import REQUEST_COMPONENTS, preceded
from openpipe_mock.payloads.values import ODD_TEXTS, PIXEL, SOUND

Json = Any
_Strategy = st.SearchStrategy[Any]

_NAMES = ("count", "get_weather", "a", "x" * 64)
_SCHEMAS: tuple[Json, ...] = (
    {},
    {"type": "object"},
    {"type": "object", "properties": {"to": {"type": "integer"}}, "required": ["to"]},
    {
        "type": "object",
        "properties": {"place": {"type": "string"}, "unit": {"enum": ["C", "F"], "default": None}},
        "required": ["place"],
        "additionalProperties": False,
    },
    {"type": "object", "properties": {"many": {"type": "array", "items": {"type": ["string", "null"]}}}},
)
_ARGUMENTS = ("{}", '{"to":3}', '{"place":"Zürich"}', "", '{"to":')
"""Arguments of a call as a model writes them. Two are no JSON, which the schema allows."""


@cache
def texts(*, max_size: int = 60) -> _Strategy:
    """Strings: plain ones, ODD_TEXTS, and any others up to `max_size` characters."""
    odd = [text for text in ODD_TEXTS if len(text) <= max_size or len(text) > 1000]
    return st.sampled_from(["Count to 3.", *odd]) | st.text(max_size=max_size)


def _objects(required: dict[str, _Strategy], optional: dict[str, _Strategy] | None = None) -> _Strategy:
    """Objects with these members."""
    return st.fixed_dictionaries(required, optional=optional or {})


def _nullable(values: _Strategy) -> _Strategy:
    return st.none() | values


# Any value of a schema, with names, numbers and media that make sense.


@cache
def _component(name: str) -> _Strategy:
    """Values of a component of the contract."""
    return _values(root(name))


def _values(spot: Spot) -> _Strategy:
    return st.one_of([values for branch in spot.branches() for values in _of_branch(branch)])


def _of_branch(branch: Spot) -> Iterator[_Strategy]:
    """Values of each JSON type that a branch allows."""
    kinds = types_of(branch.schema)
    if "enum" in branch.schema:
        yield st.sampled_from(branch.schema["enum"])
    else:
        yield from (st.none() for kind in kinds if kind == "null")
        drawn = _DRAWN.get(f"{branch.component}.{branch.name}", _DRAWN.get(branch.name))
        yield from (_BY_TYPE[kind](branch) if drawn is None else drawn for kind in kinds if kind != "null")


def _members(branch: Spot) -> _Strategy:
    """Objects with the required members and any of the optional ones."""
    below = [(inner.absent, inner.name, _values(inner)) for inner in branch.below()]
    required = {name: values for absent, name, values in below if not absent}
    return _objects(required, {name: values for absent, name, values in below if absent})


def _lists(branch: Spot) -> _Strategy:
    """Lists of at most three items. Those that have ids have different ones."""
    (item,) = branch.below()
    unique = (lambda drawn: drawn["id"]) if "id" in item.schema.get("properties", ()) else None
    return st.lists(_values(item), max_size=3, unique_by=unique)


_BY_TYPE: Mapping[str, Callable[[Spot], _Strategy]] = {
    "string": lambda _: texts(),
    "boolean": lambda _: st.booleans(),
    "array": _lists,
    "object": _members,
}
"""JSON type → what is drawn. For numbers, `_DRAWN` has what makes sense."""
_SHARES = st.sampled_from([0, 1, 0.5]) | st.floats(0, 1)
_PENALTIES = st.sampled_from([0, -2, 2, 0.5]) | st.floats(-2, 2)
_LENGTHS = st.integers(1, 64) | st.integers(1, 64).map(float)
"""Whole numbers, also as floats (JSON's `3.0`)."""
_STOPS = texts(max_size=8)
_DRAWN: Mapping[str, _Strategy] = {
    "name": st.sampled_from(_NAMES),
    "arguments": st.sampled_from(_ARGUMENTS),
    "parameters": st.sampled_from(_SCHEMAS),
    "schema": st.sampled_from(_SCHEMAS),
    "url": st.sampled_from([PIXEL, "https://example.com/cat.png"]),
    "data": st.just(SOUND),
    "Audio.id": st.just("audio_1"),
    "ToolCall.id": st.sampled_from(["call_1", "call_2", "call_3"]),
    "tool_call_id": st.just("call_1"),
    "start_index": st.just(0),
    "end_index": st.integers(0, 9),
    "max_tokens": _LENGTHS,
    "max_completion_tokens": _LENGTHS,
    "temperature": _SHARES,
    "top_p": _SHARES,
    "presence_penalty": _PENALTIES,
    "frequency_penalty": _PENALTIES,
    "stop": _STOPS | st.lists(_STOPS, max_size=4),
    "metadata": st.dictionaries(texts(max_size=8), _nullable(texts()), max_size=2),
}
"""Member, or component and member → what is drawn for it, but for null."""


# Messages and their parts.

_PARTS = {
    "text": "TextPart",
    "image_url": "ImageUrlPart",
    "input_audio": "InputAudioPart",
    "refusal": "RefusalPart",
}
"""Kind of part → its component."""


def content_parts(kind: str | None = None) -> _Strategy:
    """Parts of a message's content, of one kind ("text", "image_url", "input_audio", "refusal") or any.

    Raises ValueError for another kind.
    """
    wanted = [_known(kind, _PARTS, "kind of part")] if kind else list(_PARTS)
    return st.one_of([_component(_PARTS[each]) for each in wanted])


def _known(name: str, names: Any, noun: str) -> str:
    """The name. Raises ValueError if it isn't one of `names`."""
    if name not in names:
        raise ValueError(f"{name!r} is no {noun}; there are {', '.join(names)}")
    return name


@cache
def roles() -> tuple[str, ...]:
    """The roles of the contract's messages, in its order."""
    document = contract().document
    every = union(document["components"]["schemas"]["Message"], document)
    return tuple(str(label(branch, "role", document)) for branch in every)


@cache
def messages(role: str | None = None) -> _Strategy:
    """Messages of one role, or of any. Raises ValueError for a role that the contract doesn't have."""
    wanted = [_known(role, roles(), "role")] if role else roles()
    return st.one_of([_component(f"{each.capitalize()}Message") for each in wanted])


def conversations(*, max_messages: int = 4) -> _Strategy:
    """Lists of messages, empty ones too, in which each tool or function result follows a call."""
    return st.lists(messages(), max_size=max_messages).map(_with_calls)


def _with_calls(found: list[Json]) -> list[Json]:
    """Messages, and before each result the call that it answers."""
    return [each for message in found for each in (*_call_before(message), message)]


def _call_before(message: Json) -> Iterator[Json]:
    """The assistant's message that a tool or function answers; nothing for any other role."""
    if message["role"] == "tool":
        call = {"id": "call_1", "type": "function", "function": {"name": "count", "arguments": "{}"}}
        yield {"role": "assistant", "content": None, "tool_calls": [call]}
    elif message["role"] == "function":
        call = {"name": message["name"], "arguments": "{}"}
        yield {"role": "assistant", "content": None, "function_call": call}


@cache
def tools(*, min_size: int = 0, max_size: int = 3) -> _Strategy:
    """Lists of tools with different names."""
    return st.lists(
        _component("Tool"),
        min_size=min_size,
        max_size=max_size,
        unique_by=lambda drawn: drawn["function"]["name"],
    )


def tool_choices(*, names: Sequence[str] = _NAMES) -> _Strategy:
    """Values of `tool_choice`: words, `{}`, and a tool by its name. `names` are the offered tools."""
    plain: list[Json] = ["auto", "none", {}, {"type": "function"}]
    if not names:
        return st.sampled_from(plain)
    named = _objects({"function": _objects({"name": st.sampled_from(names)})}, {"type": st.just("function")})
    return st.sampled_from([*plain, "required"]) | named


@st.composite
def _toolings(draw: st.DrawFn) -> Json:
    """Members of a request: none, `tools`, or `tools` and `tool_choice`."""
    offered = draw(tools(max_size=2))
    names = [tool["function"]["name"] for tool in offered]
    choice = draw(_nullable(tool_choices(names=names)))
    found = {"tools": offered} if offered or draw(st.booleans()) else {}
    return found if choice is None else {**found, "tool_choice": choice}


def outputs() -> _Strategy:
    """Messages of a model, as a judge reads them: `{"role": "assistant"}` and more."""
    return _component("JudgeCriteriaOutput")


# Judge requests.


def criteria_ids(*, names: Sequence[str] = ("criterion-1", "criterion-2", "helpful")) -> _Strategy:
    """Ids of criteria: `name` or `name@vN`."""
    versions = st.sampled_from(["", "@v1", "@v2", "@v10"])
    return st.builds(lambda name, version: name + version, st.sampled_from(names), versions)


def judge_requests(*, ids: _Strategy | None = None, max_messages: int = 4) -> _Strategy:
    """Bodies for `POST /criteria/judge`; `ids` draws their `criterion_id`."""
    ids = criteria_ids() if ids is None else ids
    talks = st.builds(
        lambda said, tooling: {"messages": said, **tooling},
        conversations(max_messages=max_messages),
        _toolings(),
    )
    return _objects({"criterion_id": ids, "output": outputs()}, {"input": talks})


# Chat requests, and their headers.


def response_formats() -> _Strategy:
    """The forms of an answer: text, any JSON object, JSON that follows a schema."""
    return st.one_of([_component(f"ResponseFormat{kind}") for kind in ("Text", "JsonObject", "JsonSchema")])


@st.composite
def _function_choices(draw: st.DrawFn) -> Json:
    """The older form of tools: functions, and which of them is called."""
    offered = [tool["function"] for tool in draw(tools(min_size=1, max_size=2))]
    named = [{"name": function["name"]} for function in offered]
    choice = draw(st.sampled_from(["auto", "none", None, *named]))
    return {"functions": offered, "function_call": choice}


_TOGETHER = (
    *("tools", "tool_choice", "functions", "function_call"),
    *("logprobs", "top_logprobs", "stream", "stream_options", "n"),
)
"""Members of a chat request that are drawn together, and `n`, which has a bound of its own."""


@cache
def _samplings(max_choices: int) -> dict[str, _Strategy]:
    """The optional members that need nothing beside them, and one that the contract doesn't declare."""
    members = {inner.name: inner for inner in root("ChatCompletionRequest").below() if inner.absent}
    alone = {name: _values(inner) for name, inner in members.items() if name not in _TOGETHER}
    return {**alone, "n": _nullable(st.integers(1, max_choices)), "seed": st.integers(0, 9)}


@cache
def _logprob_choices() -> _Strategy:
    """Log probabilities: none, those of the tokens, or those of alternatives too."""
    alone = _objects({}, {"logprobs": _nullable(st.booleans()), "top_logprobs": st.none()})
    return alone | _objects({"logprobs": st.just(True), "top_logprobs": st.integers(0, 20)})


@cache
def _streamings() -> _Strategy:
    """Whether the answer is streamed, and what the stream carries."""
    options = _objects({"include_usage": st.booleans()})
    plain = _objects({}, {"stream": st.sampled_from([False, None]), "stream_options": st.none()})
    return plain | _objects({"stream": st.just(True)}, {"stream_options": _nullable(options)})


def chat_requests(
    *,
    models: _Strategy | None = None,
    max_messages: int = 4,
    max_choices: int = 3,
    stream: bool | None = None,
) -> _Strategy:
    """Bodies for `POST /chat/completions`.

    `models` draws the model's name. `n` goes up to `max_choices`. `stream` decides whether the answer is
    streamed; None means either.
    """
    streaming = _streamings() if stream is None else st.just({"stream": stream})
    asked = {
        "model": st.just("openai:gpt-4o-mini") if models is None else models,
        "messages": conversations(max_messages=max_messages),
    }
    return st.builds(
        lambda *parts: {name: member for part in parts for name, member in part.items()},
        _objects(asked, _samplings(max_choices)),
        _toolings() | _function_choices(),
        _logprob_choices(),
        streaming,
    )


def criteria_headers(*, ids: _Strategy | None = None, max_size: int = 3) -> _Strategy:
    """Values of `op-criteria`: JSON arrays of ids, empty ones and repeated ids among them."""
    return st.lists(criteria_ids() if ids is None else ids, max_size=max_size).map(json.dumps)


def tags_headers(*, max_size: int = 3) -> _Strategy:
    """Values of `op-tags`: JSON objects of strings, numbers, booleans and null, in plain ASCII."""
    values = _nullable(texts(max_size=20) | st.booleans() | st.integers(-9, 9) | st.just(0.5))
    found = st.dictionaries(texts(max_size=8), values, max_size=max_size)
    return found.map(json.dumps)  # in ASCII, since a header can't carry more


# Requests that are broken in one place.


@dataclass(frozen=True, slots=True)
class Broken:
    """A body that is invalid in one place, the edit that made it so, and the valid body before."""

    body: Json
    edit: Edit
    before: Json = field(repr=False)
    pointer: str

    @property
    def name(self) -> str:
        return self.edit.name

    @property
    def rule(self) -> str:
        return self.edit.rule


def broken_judge_requests(*, strict: bool = False) -> _Strategy:
    """Judge requests that are one edit away from a valid one, as `Broken`.

    `strict` leaves out the edits that a service may tolerate (`Edit.lenient`).
    """
    return _broken("judge", judge_requests(), strict)


def broken_chat_requests(*, strict: bool = False) -> _Strategy:
    """Chat requests that are one edit away from a valid one, as `Broken`; `strict` as for judge requests."""
    return _broken("chat", chat_requests(), strict)


@st.composite
def _broken(draw: st.DrawFn, endpoint: str, bodies: _Strategy, strict: bool) -> Broken:
    """An edit and a body that it fits: what was drawn, else the edit's own base after the drawn messages."""
    edit = draw(st.sampled_from([edit for edit in edits(endpoint) if not (strict and edit.lenient)]))
    before = draw(bodies)
    if not edit.fits(before):
        before = preceded(REQUEST_COMPONENTS[endpoint], edit.base, before)
    found = Broken(edit.apply(before), edit, before, pointer_to(*edit.found(before)))
    checker = contract().checker(REQUEST_COMPONENTS[endpoint])
    assert checker.is_valid(before), f"{edit.name} was given a body that is invalid already"
    assert not checker.is_valid(checker.tidy(found.body)), f"{edit.name} left the body valid"
    return found
