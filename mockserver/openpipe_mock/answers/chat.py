"""The chat engine: makes a completion from a request, the same one for the same request.

The first of these that applies is the answer: a script, a call of a tool, a value in the form that
`response_format` asks for, a value for a schema in the prompt, a text. Which tool is called, if any,
`answers/tools` says.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from hashlib import blake2b
from typing import Any

import orjson

from openpipe_mock.answers import texts
from openpipe_mock.answers.prompted import prompted_schema
from openpipe_mock.answers.scripts import AS_MADE, Envelope, ScriptedCall, ScriptedChoice
from openpipe_mock.answers.templates import Fill
from openpipe_mock.answers.texts import LONGEST_WORD, estimate, split, until_stop
from openpipe_mock.answers.tools import AutoTools, Tool, Wanted, offered, to_call, wanted_tool
from openpipe_mock.core.canonical import ordered, spelled
from openpipe_mock.core.errors import BadRequest
from openpipe_mock.core.seeded import EPOCH
from openpipe_mock.core.wording import quoted, short, shown
from openpipe_mock.instances import builder as instances
from openpipe_mock.openapi.tolerances import TOKEN_LIMITS

Json = dict[str, Any]

NOT_IDENTITY = frozenset(("stream", "stream_options"))
_HOW_MUCH = frozenset(("n", *TOKEN_LIMITS, "stop", "logprobs", "top_logprobs"))
_NOT_CONTENT = NOT_IDENTITY | _HOW_MUCH | {"metadata", "store", "user"}
"""Members of a request that don't change what an answer says: how it is sent, how much of it, and notes."""
_FORM = frozenset(
    (
        *("tools", "functions", "tool_choice", "function_call", "response_format", "stop"),
        *(*TOKEN_LIMITS, "logprobs", "top_logprobs"),
    )
)
"""Members that give an answer another form than plain text or bound it; without them we read less."""
_NO_CALL = Wanted()
_TEXT = {"type": "text"}

_YEAR_SECONDS = 31_536_000
_MOST_ALTERNATIVES = 20
_MOST_STOPS = 64
_LONGEST_STOP = 10_000
"""Characters of a stop text that are looked for behind what a choice may hold."""
_MOST_TOKENS = 100_000
_MOST_LOGPROBS = 50_000
"""Bounds that all choices of one answer share; a choice that would exceed its part ends with `length`."""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call of a tool. `arguments`: their JSON text as tokens. `legacy`: it is sent as `function_call`."""

    id: str
    name: str
    arguments: tuple[str, ...]
    legacy: bool = False

    def function(self) -> Json:
        return {"name": self.name, "arguments": "".join(self.arguments)}


@dataclass(frozen=True, slots=True)
class Choice:
    """One choice of a completion: its calls, and its text, refusal and thoughts as tokens, None for none.

    `calls_first`: a stream sends the calls before the text. `logprobs`: empty, or the one value to send.
    `filtered`: its `content_filter_results`.
    """

    text: tuple[str, ...] | None
    finish_reason: str
    calls: tuple[ToolCall, ...] = ()
    refusal: tuple[str, ...] | None = None
    reasoning: tuple[str, ...] | None = None
    calls_first: bool = True
    logprobs: tuple[Json | None, ...] = ()
    filtered: Json | None = None

    @property
    def tokens(self) -> int:
        said = sum(len(pieces or ()) for pieces in (self.text, self.refusal, self.reasoning))
        return said + sum(len(call.arguments) for call in self.calls)

    def message(self) -> Json:
        """Return the choice's message. It has only members that a later request and the judge accept."""
        said = {"role": "assistant", "content": _joined(self.text), "refusal": _joined(self.refusal)}
        if not self.calls:
            return said
        if self.calls[0].legacy:
            return {**said, "function_call": self.calls[0].function()}
        calls = [{"id": call.id, "type": "function", "function": call.function()} for call in self.calls]
        return {**said, "tool_calls": calls}

    def thoughtful_message(self) -> Json:
        """Return the message with its thoughts, which no request and no judge accepts."""
        if self.reasoning is None:
            return self.message()
        return {**self.message(), "reasoning_content": _joined(self.reasoning)}


def _joined(pieces: tuple[str, ...] | None) -> str | None:
    return None if pieces is None else "".join(pieces)


@dataclass(frozen=True, slots=True)
class Ask:
    """A chat request as the engine understands it.

    `tool`: the tool to call, None for an answer in words. `format`: its `response_format`. `limit`: the most
    tokens of each choice. `stops`: texts that end a choice. `alternatives`: how many alternatives each log
    probability lists, None without log probabilities. `content`: the digest of what decides the texts.
    `identity`: the digest of what decides the id. `prompt_schemas`: a prompt may have a schema to answer by.
    """

    model: str
    messages: Sequence[Json]
    tools: tuple[Tool, ...]
    tool: Tool | None
    format: Json
    n: int
    limit: int
    stops: tuple[str, ...]
    alternatives: int | None
    stream: bool
    include_usage: bool
    content: bytes
    identity: bytes
    prompt_tokens: int
    prompt_schemas: bool = True


@dataclass(frozen=True, slots=True)
class Completion:
    """A completion. `created` is in seconds since 1970; best of n hasn't sorted the choices yet.

    `scripted_usage`: members of the usage that a script gives.
    """

    id: str
    created: int
    model: str
    choices: tuple[Choice, ...]
    prompt_tokens: int
    alternatives: int | None = None
    scripted_usage: Json = field(default_factory=dict)

    @property
    def completion_tokens(self) -> int:
        return sum(choice.tokens for choice in self.choices)

    def usage(self) -> Json:
        read = self.scripted_usage.get("prompt_tokens", self.prompt_tokens)
        spent = self.scripted_usage.get("completion_tokens", self.completion_tokens)
        counted = {"prompt_tokens": read, "completion_tokens": spent, "total_tokens": read + spent}
        return {**counted, **self.scripted_usage}


def understand(body: Json, auto_tools: AutoTools = "mention", prompt_schemas: bool = True) -> Ask:
    """Read a request that is valid by its schema. Raises BadRequest for what the schema can't rule out."""
    plain, number = _FORM.isdisjoint(body), int(body.get("n") or 1)
    want, tools = (_NO_CALL, ()) if plain else (wanted_tool(body), offered(body))
    listed = None if plain else _alternatives(body)
    content = content_digest(body, _NOT_CONTENT)
    prompt = spelled([body["messages"], body.get("tools"), body.get("functions")])
    return Ask(
        model=body["model"],
        messages=body["messages"],
        tools=tools,
        tool=to_call(want, tools, body["messages"], auto_tools),
        format=body.get("response_format") or _TEXT,
        n=number,
        limit=_room(number, listed) if plain else _limit(body, _room(number, listed)),
        stops=() if plain else _stops(body),
        alternatives=listed,
        stream=bool(body.get("stream")),
        include_usage=bool((body.get("stream_options") or {}).get("include_usage")),
        content=content,
        identity=content if _NOT_CONTENT.isdisjoint(body) else content_digest(body, NOT_IDENTITY),
        prompt_tokens=estimate(prompt),
        # Quotes in a text are escaped here. Without any no text holds JSON, and nothing has to be searched.
        prompt_schemas=prompt_schemas and b'\\"' in prompt,
    )


def content_digest(body: Json, without: frozenset[str]) -> bytes:
    """Return a digest of 16 bytes of a body without some members. 3 and 3.0 count as the same number."""
    counting = {name: _whole(member) for name, member in body.items() if name not in without}
    return blake2b(ordered(counting), digest_size=16).digest()


def _stops(body: Json) -> tuple[str, ...]:
    given = body.get("stop") or ()
    if isinstance(given, list) and len(given) > _MOST_STOPS:
        raise BadRequest.at("/stop", f"expected at most {_MOST_STOPS} texts, got {len(given)}.")
    return (given,) if isinstance(given, str) else tuple(given)


def _whole(value: Any) -> Any:
    """Return a float without decimals as an int, and any other value as it is."""
    # From 2**53 on a double doesn't hold every whole number, so that a larger float stays one.
    exact = isinstance(value, float) and value.is_integer() and abs(value) < 2**53
    return int(value) if exact else value


def _limit(body: Json, most: int) -> int:
    """The most tokens of a choice: the smallest of the request's two limits and `most`."""
    given = {name: body[name] for name in TOKEN_LIMITS if body.get(name) is not None}
    for name, value in given.items():
        if value != int(value) or value < 1:
            raise _refused(f"/{name}", "a whole number from 1", value)
    return int(min([most, *given.values()]))


def _room(number: int, listed: int | None) -> int:
    """The most tokens of each of `number` choices whose log probabilities list so many alternatives."""
    # The bound exists because making a very long answer would keep other requests waiting.
    most = _MOST_TOKENS // number
    return most if listed is None else min(most, _MOST_LOGPROBS // (number * (listed + 1)))


def _alternatives(body: Json) -> int | None:
    """How many alternatives each log probability lists, None without log probabilities."""
    number = body.get("top_logprobs")
    if number is not None and (number != int(number) or not 0 <= number <= _MOST_ALTERNATIVES):
        raise _refused("/top_logprobs", f"a whole number from 0 to {_MOST_ALTERNATIVES}", number)
    if number is not None and not body.get("logprobs"):
        raise _refused("/logprobs", 'true beside "top_logprobs"', body.get("logprobs"))
    return int(number or 0) if body.get("logprobs") else None


def _refused(pointer: str, expected: str, value: Any) -> BadRequest:
    return BadRequest.at(pointer, f"expected {expected}, got {shown(value)}.")


def complete(
    asked: Ask,
    seed: int,
    repeat: int = 0,
    script: Sequence[ScriptedChoice] = (),
    envelope: Envelope = AS_MADE,
    fill: Fill = str,
) -> Completion:
    """Make the completion of a request. The same request with another `repeat` gets another one.

    With a `script` the choices are taken from it in turn, and from its beginning again; of the request then
    only `n`, the stop texts, the token limits and the form of its tools count. `envelope`: what the script
    says around them. `fill`: fills the fields of its templates.
    """
    key = _from_seed(seed, asked.content)
    identity = _from_seed(seed, asked.identity + repeat.to_bytes(8))
    return Completion(
        id=f"chatcmpl-{identity.hex()[:24]}" if envelope.id is None else envelope.id,
        created=_created(identity) if envelope.created is None else envelope.created,
        model=asked.model if envelope.model is None else envelope.model,
        choices=tuple(_choices(asked, key, range(repeat * asked.n, (repeat + 1) * asked.n), script, fill)),
        prompt_tokens=asked.prompt_tokens,
        alternatives=asked.alternatives,
        scripted_usage=dict(envelope.usage),
    )


def _created(identity: bytes) -> int:
    """A plausible time in the past, in seconds since 1970."""
    return EPOCH + int.from_bytes(identity[:4]) % _YEAR_SECONDS


def _from_seed(seed: int, said: bytes) -> bytes:
    """Return 16 bytes that depend on the seed and a digest."""
    state = _begun(seed).copy()
    state.update(said)
    return state.digest()


@lru_cache(maxsize=64)
def _begun(seed: int) -> blake2b:
    return blake2b(f"1\x1f{seed}\x1f".encode(), digest_size=16)


def _choices(
    asked: Ask, key: bytes, numbers: range, script: Sequence[ScriptedChoice], fill: Fill
) -> Iterator[Choice]:
    """The choices with these numbers; a repeated request gets the numbers after the previous ones."""
    if script:
        for number in numbers:
            yield _scripted(script[number % len(script)], asked, _call_id(key, number), fill)
        return
    if asked.tool is not None:
        tool = asked.tool
        for number, arguments in _values(_object_schema(tool.parameters), key, numbers, tool.place):
            yield _called([(tool, spelled(arguments).decode())], asked, _call_id(key, number))
        return
    for said in _spoken(asked, key, numbers):
        yield Choice(*_cut(said, asked))


def _scripted(choice: ScriptedChoice, asked: Ask, call_id: str, fill: Fill) -> Choice:
    """The choice that a script gives, cut to the request's limits; the script's finish reason wins."""
    finish, room = "stop", asked.limit
    if choice.template is not None:
        choice = replace(choice, text=choice.template.filled(fill, _longest(asked)))
    said: dict[str, Any] = {}
    for member in ("reasoning", "text", "refusal"):
        text = getattr(choice, member)
        if text is not None:
            said[member], end = _cut(text, replace(asked, limit=room))
            room -= len(said[member])
            finish = end if end != "stop" else finish
    made = Choice(None, finish)
    if choice.calls:
        calls = [(_meant(call, asked), call.arguments) for call in choice.calls]
        made = _called(calls, replace(asked, limit=room), call_id, [call.id for call in choice.calls])
    further = {"calls_first": choice.calls_first, "logprobs": choice.logprobs, "filtered": choice.filtered}
    ended = choice.finish_reason or (finish if finish != "stop" else made.finish_reason)
    return replace(made, finish_reason=ended, **said, **further)


def _meant(call: ScriptedCall, asked: Ask) -> Tool:
    """The offered tool that a script calls, else a made-up one of that name."""
    return next((tool for tool in asked.tools if tool.name == call.name), Tool(call.name, {}))


def _called(calls: Sequence[tuple[Tool, str]], asked: Ask, call_id: str, ids: Sequence[str] = ()) -> Choice:
    """A choice that calls tools, each given with the JSON text of its arguments. `ids`: "" for the mock's."""
    # `function_call`, the older form, holds one call only, so that several go into `tool_calls`.
    legacy = len(calls) == 1 and calls[0][0].legacy
    finish, made, room = "function_call" if legacy else "tool_calls", [], asked.limit
    for number, (tool, arguments) in enumerate(calls):
        # Stop texts apply to text, not to arguments.
        pieces, end = _cut(arguments, replace(asked, stops=(), limit=room))
        room -= len(pieces)
        finish = end if end != "stop" else finish
        own = f"{call_id}_{number}" if number else call_id
        made.append(ToolCall((ids[number] if ids else "") or own, tool.name, pieces, legacy))
    return Choice(None, finish, tuple(made))


def _spoken(asked: Ask, key: bytes, numbers: range) -> Iterator[str]:
    """The texts of the choices, in the form that `response_format` or the prompt asks for."""
    schema = asked.format.get("json_schema", {}).get("schema")
    if schema is not None:
        for _, value in _values(schema, key, numbers, "/response_format/json_schema/schema"):
            yield spelled(value).decode()
        return
    if asked.prompt_schemas and (prompted := _prompted(asked, key, numbers)):
        yield from prompted
        return
    subject = texts.subject(asked.messages)
    for number in numbers:
        words = texts.reply(subject, int.from_bytes(key[:4]), number)
        yield words if asked.format["type"] == "text" else orjson.dumps({"answer": words}).decode()


def _prompted(asked: Ask, key: bytes, numbers: range) -> list[str]:
    """The texts of the choices for a schema in the prompt; none where there is none that can be built."""
    if asked.format["type"] == "json_schema":
        return []
    found = prompted_schema(asked.messages, json_mode=asked.format["type"] == "json_object")
    if found is None:
        return []
    try:
        values = [spelled(value).decode() for _, value in _values(found.schema, key, numbers, "")]
    except BadRequest:  # nothing says that this is a schema, so it is no mistake of the client's
        return []
    return [f"```json\n{value}\n```" for value in values] if found.fenced else values


def _cut(said: str, asked: Ask) -> tuple[tuple[str, ...], str]:
    """The tokens of a text up to a stop text or the limit, and the finish reason."""
    said = said[: _longest(asked)]  # the rest would be cut anyway; this keeps long texts cheap
    if asked.stops:
        said = until_stop(said, asked.stops)
    pieces = split(said, asked.limit + 1)
    if len(pieces) > asked.limit:
        return tuple(pieces[: asked.limit]), "length"
    return tuple(pieces), "stop"


def _longest(asked: Ask) -> int:
    """How many characters of a text may come into a choice, with those of a stop text behind them."""
    stop = max(map(len, asked.stops), default=0)
    return (asked.limit + 1) * LONGEST_WORD + min(stop, _LONGEST_STOP)


def _object_schema(parameters: Mapping[str, Any]) -> Mapping[str, Any]:
    """A tool's parameters as a schema of objects alone, since arguments always are an object."""
    named = parameters.get("type", ["object"])
    narrowed = isinstance(named, list) and "object" in named
    return {**parameters, "type": "object"} if narrowed else parameters


def _values(schema: Any, key: bytes, numbers: range, place: str) -> Iterator[tuple[int, Any]]:
    """Pairs of a number and a value that the schema allows; `place` is the schema's pointer in the request.

    Raises BadRequest for a schema that is wrong or that we find no value for.
    """
    try:
        variants = instances.Variants(schema, key)
        for number in numbers:
            yield number, variants.value(number)
    except instances.SchemaError as error:
        told = str(error)
        if isinstance(error, instances.Unbuildable):
            advice = _CHANGE_IT if error.hopeless else _SCRIPT_IT
            told = f"the mock could not build a value for {quoted(error.keyword)}. {error} {advice}"
        raise BadRequest.at(short(place + error.pointer, 200), told) from None


_CHANGE_IT = 'Change the schema there, or script the answer under "completions" of the config file.'
_SCRIPT_IT = (
    'If there is one, put it into the schema as "default" or "examples", or script the answer under '
    '"completions" of the config file.'
)


def _call_id(key: bytes, number: int) -> str:
    return f"call_{blake2b(key + number.to_bytes(8), digest_size=12).hexdigest()}"
