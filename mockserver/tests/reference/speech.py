"""What a reference server says: texts, tool calls, values for schemas, and the pieces of a stream."""

import hashlib
import json
import re
from collections.abc import Iterator
from itertools import zip_longest
from typing import Any

from tests.reference.habits import Habits

Json = Any

WORDS = (
    "one",
    "two",
    "drei",
    "quatre",
    "五",
    "шесть",
    "sieben",
    "huit",
    "🙂",
    "ten",
    "maybe",
    "not",
    "quite",
)
NOT_CONTENT = frozenset(
    (
        *("n", "stream", "stream_options", "max_tokens", "max_completion_tokens", "stop", "logprobs"),
        *("top_logprobs", "metadata", "store", "user"),
    )
)
"""Members of a request that don't change what is said."""


def drawn(*parts: Json) -> int:
    """A large number for any JSON values, the same for the same ones."""
    told = json.dumps(parts, sort_keys=True).encode()
    return int.from_bytes(hashlib.sha256(told).digest())


def pieces(text: str) -> list[str]:
    """The tokens of a text: words with the white space behind them."""
    return re.findall(r"\S+\s*|\s+", text)


def content(body: Json) -> Json:
    """What of a request decides what is said."""
    return {name: member for name, member in body.items() if name not in NOT_CONTENT}


def text(body: Json, salt: int, number: int) -> str:
    """What the choice with this number says."""
    lot = drawn(content(body), salt, number)
    words = [WORDS[(lot >> (5 * place)) % len(WORDS)] for place in range(3 + lot % 6)]
    return f"Answer {' '.join(words)}."


def limit(body: Json) -> int | None:
    """The most tokens of a choice, None without a limit."""
    given = [body.get("max_tokens"), body.get("max_completion_tokens")]
    return min((max(1, int(most)) for most in given if most is not None), default=None)


def cut(said: str, body: Json) -> tuple[str, str]:
    """A text up to its stop text or token limit, and the finish reason."""
    stops = body.get("stop") or []
    for stop in [stops] if isinstance(stops, str) else stops:
        said = said.partition(str(stop))[0] if stop else said
    most, tokens = limit(body), pieces(said)
    if most is not None and len(tokens) > most:
        return "".join(tokens[:most]), "length"
    return said, "stop"


def instance(schema: Json, root: Json = None) -> Json:
    """A small value that a plain JSON Schema allows."""
    root = schema if root is None else root
    if not isinstance(schema, dict):
        return {}
    for keyword in ("const", "default"):
        if keyword in schema:
            return schema[keyword]
    if "enum" in schema:
        return schema["enum"][0]
    if "$ref" in schema:
        return instance(root.get("$defs", {}).get(schema["$ref"].rpartition("/")[2], {}), root)
    for keyword in ("anyOf", "oneOf", "allOf"):
        if schema.get(keyword):
            return instance(schema[keyword][0], root)
    return typed(schema, root)


def arguments(parameters: Json) -> str:
    """Arguments for a function, as JSON text. Parameters may be any object; not each is a sensible schema."""
    value = built(parameters)
    return json.dumps(value if isinstance(value, dict) else {})


def built(schema: Json) -> Json:
    """A value that a schema allows, an empty object where the schema makes no sense."""
    try:
        return instance(schema)
    except (TypeError, AttributeError, ValueError, LookupError, RecursionError):
        return {}


def typed(schema: Json, root: Json) -> Json:
    """A value of the schema's type."""
    named = schema.get("type", "object")
    match named[0] if isinstance(named, list) else named:
        case "object":
            members = schema.get("properties", {})
            return {name: instance(members.get(name, {}), root) for name in schema.get("required", members)}
        case "array":
            return [instance(schema.get("items", {}), root)] * min(schema.get("minItems", 1), 1000)
        case "string":
            return "x" * min(schema.get("minLength", 3), 1000)
        case "integer" | "number":
            return schema.get("minimum", 0)
        case "boolean":
            return True
    return None


def tool_called(body: Json, habits: Habits) -> tuple[Json, bool, bool] | None:
    """The function that is called, whether in the older form, and whether it was named; None for no call."""
    tools = [tool["function"] for tool in body.get("tools") or [] if isinstance(tool.get("function"), dict)]
    functions = list(body.get("functions") or [])
    choice, older = body.get("tool_choice"), body.get("function_call")
    named = choice.get("function", {}).get("name") if isinstance(choice, dict) else None
    older_name = older.get("name") if isinstance(older, dict) else None
    for name, offered, legacy in ((named, tools, False), (older_name, functions, True)):
        found = [function for function in offered if name and function.get("name") == name]
        if found:
            return found[0], legacy, True
    answered = any(last.get("role") in ("tool", "function") for last in (body.get("messages") or [])[-1:])
    eager = habits.eager_tools and choice in (None, "auto") and not answered
    return (tools[0], False, False) if tools and (choice == "required" or eager) else None


def message(body: Json, habits: Habits, salt: int, number: int) -> tuple[Json, str]:
    """The message of one choice, and its finish reason."""
    called = tool_called(body, habits)
    empty = {"content": None, "refusal": None} if habits.nulls else {}
    if called:
        function, legacy, named = called
        call = {"name": function.get("name", ""), "arguments": arguments(function.get("parameters") or {})}
        if legacy:
            return {"role": "assistant", **empty, "function_call": call}, "function_call"
        calls = [
            {"id": f"call_{drawn(content(body), salt, number) % 10**9}", "type": "function", "function": call}
        ]
        finish: str = habits.named_tool_finish if named else "tool_calls"
        return {"role": "assistant", **empty, "tool_calls": calls}, finish
    said, finish = cut(spoken(body, salt, number), body)
    return {"role": "assistant", **empty, "content": said}, finish


def spoken(body: Json, salt: int, number: int) -> str:
    """What a choice says, in the form that `response_format` asks for."""
    form = body.get("response_format") or {}
    if form.get("type") == "json_schema" and form.get("json_schema", {}).get("schema"):
        return json.dumps(built(form["json_schema"]["schema"]))
    said = text(body, salt, number)
    return said if form.get("type", "text") == "text" else json.dumps({"answer": said}, ensure_ascii=False)


def calls_of(message: Json) -> list[Json]:
    """The functions that a message calls, in either form."""
    older = [message["function_call"]] if message.get("function_call") else []
    return [call["function"] for call in message.get("tool_calls") or []] + older


def size(message: Json) -> int:
    """The tokens of a message."""
    arguments = (part for call in calls_of(message) for part in parts(call["arguments"]))
    return len(pieces(message.get("content") or "")) + len([*arguments])


def parts(arguments: str) -> list[str]:
    """The pieces in which a call's arguments are streamed."""
    return [arguments[start : start + 8] for start in range(0, len(arguments), 8)]


def logprobs(message: Json, body: Json) -> Json:
    """The log probabilities of a message's tokens."""
    entries = [entry(token) for token in pieces(message.get("content") or "")]
    listed = min(20, int(body.get("top_logprobs") or 0))
    return {"content": [{**each, "top_logprobs": [each] * listed} for each in entries], "refusal": None}


def entry(token: str) -> Json:
    return {"token": token, "bytes": list(token.encode()), "logprob": -0.5}


def deltas(message: Json) -> Iterator[Json]:
    """What a stream says of a message, piece by piece; the first piece opens the message and its calls."""
    if message.get("tool_calls"):
        call = message["tool_calls"][0]
        opening = {"index": 0, "id": call["id"], "type": "function"}
        yield {"tool_calls": [{**opening, "function": {"name": call["function"]["name"], "arguments": ""}}]}
        for part in parts(call["function"]["arguments"]):
            yield {"tool_calls": [{"index": 0, "function": {"arguments": part}}]}
    elif message.get("function_call"):
        yield {"function_call": {"name": message["function_call"]["name"], "arguments": ""}}
        for part in parts(message["function_call"]["arguments"]):
            yield {"function_call": {"arguments": part}}
    else:
        yield {"content": ""}
        for piece in pieces(message.get("content") or ""):
            yield {"content": piece}


def choice_chunks(choice: Json, habits: Habits) -> list[Json]:
    """The parts of chunks that say one choice."""
    said = [dict(delta) for delta in deltas(choice["message"])]
    for number, delta in enumerate(said):
        if number == 0 or habits.role == "every":
            delta["role"] = "assistant"
    beside = habits.finish_beside_text
    ended = said if beside else [*said, {}]
    unsaid: Json = {"finish_reason": None, "logprobs": None} if habits.nulls else {}
    made = [{"index": choice["index"], "delta": delta, **unsaid} for delta in ended]
    made[-1]["finish_reason"] = choice["finish_reason"]
    return made


def chunks(completion: Json, body: Json, habits: Habits) -> Iterator[Json]:
    """The chunks of a stream that says what a completion says."""
    head = {name: completion[name] for name in ("id", "created", "model")}
    head |= {"object": "chat.completion.chunk"}
    counts = bool((body.get("stream_options") or {}).get("include_usage")) and habits.counts_stream
    by_choice = [choice_chunks(choice, habits) for choice in completion["choices"]]
    turns = zip_longest(*by_choice) if habits.interleaved else by_choice
    for part in (part for turn in turns for part in turn if part):
        yield {**head, "choices": [part], **({"usage": None} if counts and habits.nulls else {})}
    if counts:
        yield {**head, "choices": [], "usage": completion_usage(completion, body)}


def completion_usage(completion: Json, body: Json) -> Json:
    """The tokens of a request and its completion."""
    prompt = len(json.dumps(body.get("messages"))) // 4 + 1
    spent = sum(size(choice["message"]) for choice in completion["choices"])
    return {"prompt_tokens": prompt, "completion_tokens": spent, "total_tokens": prompt + spent}
