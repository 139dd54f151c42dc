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
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from hypothesis import strategies as st

from openpipe_mock.openapi.shapes import label, union
from openpipe_mock.openapi.spec import contract
from openpipe_mock.payloads.edits import Edit, edits
from openpipe_mock.payloads.places import pointer
from openpipe_mock.payloads.valid import REQUEST_COMPONENTS, grafted
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


def _component(name: str) -> Any:
    """A component schema of the contract."""
    return contract().document["components"]["schemas"][name]


def _words(name: str, member: str) -> _Strategy:
    """The words that a component's member allows."""
    return st.sampled_from(_component(name)["properties"][member]["enum"])


# Messages and their parts.


@cache
def content_parts(kind: str | None = None) -> _Strategy:
    """Parts of a message's content, of one kind ("text", "image_url", "input_audio", "refusal") or any.

    Raises ValueError for another kind.
    """
    kinds = {
        "text": {"text": texts()},
        "image_url": {
            "image_url": _objects({"url": st.sampled_from([PIXEL, "https://example.com/cat.png"])})
            | _objects({"url": st.just(PIXEL), "detail": _words("ImageUrl", "detail")})
        },
        "input_audio": {
            "input_audio": _objects({"data": st.just(SOUND), "format": _words("InputAudio", "format")})
        },
        "refusal": {"refusal": texts()},
    }
    wanted = [_known(kind, kinds, "kind of part")] if kind else list(kinds)
    return st.one_of([_objects({"type": st.just(each), **kinds[each]}) for each in wanted])


def _known(name: str, names: Any, noun: str) -> str:
    """The name. Raises ValueError if it isn't one of `names`."""
    if name not in names:
        raise ValueError(f"{name!r} is no {noun}; there are {', '.join(names)}")
    return name


@cache
def _contents(*kinds: str) -> _Strategy:
    """A message's content: a text, or a list of parts of these kinds."""
    parts = st.one_of([content_parts(kind) for kind in kinds])
    return texts() | st.lists(parts, max_size=3)


@cache
def _function_calls() -> _Strategy:
    """Calls in the older form; both members may be missing."""
    return _objects({}, {"name": st.sampled_from(_NAMES), "arguments": st.sampled_from(_ARGUMENTS)})


@cache
def _tool_calls() -> _Strategy:
    """Lists of tool calls with different ids."""
    function = _objects({"name": st.sampled_from(_NAMES), "arguments": st.sampled_from(_ARGUMENTS)})
    ids = st.sampled_from(["call_1", "call_2", "call_3"])
    call = _objects({"id": ids, "type": st.just("function"), "function": function})
    return st.lists(call, max_size=3, unique_by=lambda drawn: drawn["id"])


@cache
def _annotations() -> _Strategy:
    citation = {"start_index": st.just(0), "end_index": st.integers(0, 9), "title": texts(), "url": texts()}
    return st.lists(
        _objects({"type": st.just("url_citation"), "url_citation": _objects(citation)}), max_size=2
    )


@cache
def roles() -> tuple[str, ...]:
    """The roles of the contract's messages, in its order."""
    document = contract().document
    return tuple(str(label(branch, "role", document)) for branch in union(_component("Message"), document))


@cache
def messages(role: str | None = None) -> _Strategy:
    """Messages of one role, or of any. Raises ValueError for a role that the contract doesn't have."""
    named: dict[str, _Strategy] = {"name": st.sampled_from(["ada", "x"])}
    members: dict[str, tuple[dict[str, _Strategy], dict[str, _Strategy]]] = {
        "system": ({}, {"content": _contents("text"), **named}),
        "user": ({}, {"content": _contents("text", "image_url", "input_audio"), **named}),
        "assistant": (
            {},
            {
                "content": _nullable(_contents("text", "refusal")),
                "refusal": _nullable(texts()),
                "function_call": _nullable(_function_calls()),
                "tool_calls": _nullable(_tool_calls()),
                "audio": _nullable(_objects({"id": st.just("audio_1")})),
                "annotations": _annotations(),
                **named,
            },
        ),
        "developer": ({}, {"content": _contents("text"), **named}),
        "tool": ({"tool_call_id": st.just("call_1")}, {"content": _contents("text")}),
        "function": ({"name": st.sampled_from(_NAMES), "content": _nullable(texts())}, {}),
    }
    wanted = [_known(role, roles(), "role")] if role else roles()
    return st.one_of(
        [_objects({"role": st.just(each), **members[each][0]}, members[each][1]) for each in wanted]
    )


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
def _functions() -> _Strategy:
    """Functions as both forms of a tool describe them."""
    described = {"description": texts(), "parameters": st.sampled_from(_SCHEMAS)}
    return _objects({"name": st.sampled_from(_NAMES)}, {**described, "strict": _nullable(st.booleans())})


@cache
def tools(*, min_size: int = 0, max_size: int = 3) -> _Strategy:
    """Lists of tools with different names."""
    tool = _objects({"type": st.just("function"), "function": _functions()})
    return st.lists(
        tool, min_size=min_size, max_size=max_size, unique_by=lambda drawn: drawn["function"]["name"]
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


@cache
def outputs() -> _Strategy:
    """Messages of a model, as a judge reads them: `{"role": "assistant"}` and more."""
    return _objects(
        {"role": st.just("assistant")},
        {
            "content": _nullable(texts()),
            "refusal": _nullable(texts()),
            "reasoning_content": _nullable(texts()),
            "function_call": _nullable(_function_calls()),
            "tool_calls": _nullable(_tool_calls()),
        },
    )


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


@cache
def response_formats() -> _Strategy:
    """The forms of an answer: text, any JSON object, JSON that follows a schema."""
    schema = {"schema": _nullable(st.sampled_from(_SCHEMAS)), "description": _nullable(texts())}
    bound = _objects(
        {"name": st.sampled_from(["answer", "x"])}, {**schema, "strict": _nullable(st.booleans())}
    )
    simple = st.sampled_from(["text", "json_object"])
    return _objects({"type": simple}) | _objects({"type": st.just("json_schema"), "json_schema": bound})


def _whole_numbers(low: int, high: int) -> _Strategy:
    """Whole numbers, also as floats (JSON's `3.0`), or null."""
    numbers = st.integers(low, high)
    return _nullable(numbers | numbers.map(float))


@st.composite
def _function_choices(draw: st.DrawFn) -> Json:
    """The older form of tools: functions, and which of them is called."""
    offered = [tool["function"] for tool in draw(tools(min_size=1, max_size=2))]
    named = [{"name": function["name"]} for function in offered]
    choice = draw(st.sampled_from(["auto", "none", None, *named]))
    return {"functions": offered, "function_call": choice}


@cache
def _samplings(max_choices: int) -> dict[str, _Strategy]:
    """The optional members that need nothing beside them."""
    signed = _nullable(st.sampled_from([0, -2, 2, 0.5]) | st.floats(-2, 2))
    share = _nullable(st.sampled_from([0, 1, 0.5]) | st.floats(0, 1))
    flags = _nullable(st.booleans())
    return {
        "n": _nullable(st.integers(1, max_choices)),
        "max_tokens": _whole_numbers(1, 64),
        "max_completion_tokens": _whole_numbers(1, 64),
        "temperature": share,
        "top_p": share,
        "presence_penalty": signed,
        "frequency_penalty": signed,
        "stop": _nullable(texts(max_size=8) | st.lists(texts(max_size=8), max_size=4)),
        "response_format": _nullable(response_formats()),
        "audio": _nullable(
            _objects({"format": _words("ChatAudio", "format"), "voice": _words("ChatAudio", "voice")})
        ),
        "store": flags,
        "metadata": _nullable(st.dictionaries(texts(max_size=8), _nullable(texts()), max_size=2)),
        "seed": st.integers(0, 9),
    }


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
    return st.lists(criteria_ids() if ids is None else ids, max_size=max_size).map(_ascii_json)


def tags_headers(*, max_size: int = 3) -> _Strategy:
    """Values of `op-tags`: JSON objects of strings, numbers, booleans and null, in plain ASCII."""
    values = _nullable(texts(max_size=20) | st.booleans() | st.integers(-9, 9) | st.just(0.5))
    found = st.dictionaries(texts(max_size=8), values, max_size=max_size)
    return found.map(_ascii_json)


def _ascii_json(value: Json) -> str:
    """JSON text in ASCII, since a header can't carry more."""
    return json.dumps(value)


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
    """An edit and a body that it fits. A body without the place gets it from the edit's own base."""
    edit = draw(st.sampled_from([edit for edit in edits(endpoint) if not (strict and edit.lenient)]))
    before = draw(bodies)
    if not edit.fits(before):
        before = grafted(REQUEST_COMPONENTS[endpoint], before, edit.base)
    found = Broken(edit.apply(before), edit, before, pointer(edit.found(before)))
    checker = contract().checker(REQUEST_COMPONENTS[endpoint])
    assert checker.is_valid(before), f"{edit.name} was given a body that is invalid already"
    assert not checker.is_valid(checker.tidy(found.body)), f"{edit.name} left the body valid"
    return found
