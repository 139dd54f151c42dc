"""Keeps what a config file answers to a fixed set of requests, and says later where the answers differ."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import jsonschema_rs
import orjson

from openpipe_mock import __version__
from openpipe_mock.config.settings import GLOB, Settings
from openpipe_mock.core.effects import Head
from openpipe_mock.core.errors import ParseError
from openpipe_mock.core.strictjson import parse
from openpipe_mock.core.wording import counted, short
from openpipe_mock.openapi.endpoints import BASE
from openpipe_mock.service.service import Service
from openpipe_mock.testing.virtual import ConnectionBroken, NoTimeout, VirtualClock, carry_out

Json = Any
_JUDGE, _CHAT = "/criteria/judge", "/chat/completions"
_SHOWN = 160
"""Characters of an answer that a difference shows, from a bit before the first that differs."""
_BEFORE = 40


class NotFrozen(ValueError):
    """The text is none that `freeze` made."""


def freeze(settings: Settings) -> bytes:
    """Return the text of a file with all requests and their answers under these settings."""
    rows = [{**row, **_answer(settings, row)} for row in _requests(settings)]
    whole = {"version": __version__, "answers": settings.given_answers, "answered": rows}
    return orjson.dumps(whole, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def changed_answers(settings: Settings, frozen: bytes) -> list[str]:
    """Send the requests of a frozen text again; return lines on the answers that differ, none if all agree.

    Raises NotFrozen.
    """
    whole = _read(frozen)
    pairs = [(row, {**row, **_answer(settings, row)}) for row in whole["answered"]]
    lines = [_difference(row, now) for row, now in pairs if row != now]
    if not lines:
        return []
    told = f"openpipe-mock {whole['version']} (answers {whole['answers']})"
    return [f"{len(lines)} of {counted(len(pairs), 'answer')} differ from those of {told}:", *lines]


def _read(frozen: bytes) -> Json:
    """The value of a frozen text. Raises NotFrozen."""
    try:
        whole = parse(frozen)
        if not jsonschema_rs.is_valid(_FROZEN, whole):
            raise NotFrozen(_UNFIT)
    except ParseError:
        raise NotFrozen(_UNFIT) from None
    return whole


_UNFIT = "this is no file that --freeze wrote; write it anew"
_TEXT = {"type": "string"}
_ROW = {
    "type": "object",
    "required": ["name", "path", "headers", "request", "status", "answer"],
    "properties": {
        "name": _TEXT,
        "path": _TEXT,
        "headers": {"type": "object", "additionalProperties": _TEXT},
        "status": {"type": "integer"},
        "answer": _TEXT,
    },
}
_FROZEN = {
    "type": "object",
    "required": ["version", "answers", "answered"],
    "properties": {"answered": {"type": "array", "items": _ROW}},
}


def _answer(settings: Settings, row: Json) -> Json:
    """Status and text of the answer to a row's request. The status is 0 where the connection broke before.

    Each request meets a mock of its own, so that one answer decides no other.
    """
    # What is random or of today would never be the same.
    service = Service(replace(settings, ids="content", clock="fixed"))
    key = next(iter(settings.keys), "frozen")
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json", **row["headers"]}
    head = Head("POST", f"{BASE}{row['path']}", {k.lower().encode(): v.encode() for k, v in headers.items()})
    said = bytearray()
    status = 0
    try:
        journey = carry_out(service.exchange(head), orjson.dumps(row["request"]), VirtualClock())
        status = journey.status
        for piece in [journey.whole] if journey.whole is not None else journey.pieces():
            said += piece
    except (ConnectionBroken, NoTimeout):
        pass
    return {"status": status, "answer": said.decode("utf-8", "backslashreplace")}


def _difference(before: Json, now: Json) -> str:
    one, two = (f"{each['status']} {each['answer']}" for each in (before, now))
    same = next((at for at, pair in enumerate(zip(one, two, strict=False)) if len({*pair}) > 1), 0)
    start = max(0, same - _BEFORE)
    was, now_is = (f"{'…' if start else ''}{short(text[start:], _SHOWN)}" for text in (one, two))
    return f"  {now['name']}\n    was {was}\n    is  {now_is}"


# The requests.


def _requests(settings: Settings) -> Iterator[Json]:
    """One request for each kind of answer, and two for each declared criterion."""
    model = next((name for name in settings.known_models if not GLOB.intersection(name)), "openpipe:frozen")
    for name, members in _CHATS.items():
        yield _row(name, _CHAT, {"model": model, "messages": _user("Count to 3."), **members})
    for criterion in settings.criteria or ("helpful",):
        judged = {"criterion_id": criterion, "input": {"messages": _user("Count to 3.")}, "output": _OUTPUT}
        yield _row(f"criterion {criterion}", _JUDGE, judged)
        options = {"op-criteria": orjson.dumps([criterion]).decode()}
        chat = {"model": model, "messages": _user("Count to 3."), "n": 3}
        yield _row(f"best of 3 by {criterion}", _CHAT, chat, options)


def _row(name: str, path: str, request: Json, headers: Json | None = None) -> Json:
    return {"name": name, "path": path, "headers": headers or {}, "request": request}


def _user(text: str) -> list[Json]:
    return [{"role": "user", "content": text}]


def _result(*names: str) -> list[Json]:
    """Calls of tools with their results."""
    calls = [
        {"id": name, "type": "function", "function": {"name": name, "arguments": "{}"}} for name in names
    ]
    results = [{"role": "tool", "tool_call_id": name, "content": "21"} for name in names]
    return [{"role": "assistant", "content": None, "tool_calls": calls}, *results]


_OUTPUT = {"role": "assistant", "content": "1, 2, 3."}
_SCHEMA = {
    "type": "object",
    "properties": {
        "city": {"type": "string"},
        "days": {"type": "integer", "minimum": 1},
        "kind": {"enum": ["long", "short"]},
        "born": {"type": "string", "format": "date"},
    },
    "required": ["city", "days", "kind", "born"],
}
_FUNCTIONS = [{"name": name, "parameters": _SCHEMA} for name in ("get_weather", "get_time", "final_result")]
_TOOLS = [{"type": "function", "function": function} for function in _FUNCTIONS]
_SHAPE = {"type": "json_schema", "json_schema": {"name": "shape", "schema": _SCHEMA}}
_ASKED = _user("The weather, and the time?")
_CHATS: dict[str, Json] = {
    "a text": {},
    "three choices": {"n": 3},
    "a stream": {"stream": True, "stream_options": {"include_usage": True}},
    "log probabilities": {"logprobs": True, "top_logprobs": 2},
    "a limit and a stop text": {"max_tokens": 5, "stop": ["mock"]},
    "an empty conversation": {"messages": []},
    "a json object": {"response_format": {"type": "json_object"}},
    "json in a schema": {"n": 2, "response_format": _SHAPE},
    "a mentioned tool": {"messages": _ASKED, "tools": _TOOLS},
    "a mentioned tool, streamed": {"messages": _ASKED, "tools": _TOOLS, "stream": True},
    "a second tool": {"messages": [*_ASKED, *_result("get_weather")], "tools": _TOOLS},
    "no further tool": {"messages": [*_ASKED, *_result("get_weather", "get_time")], "tools": _TOOLS},
    "a mentioned tool before json": {"messages": _ASKED, "tools": _TOOLS, "response_format": _SHAPE},
    "json behind the tools": {
        "messages": [*_ASKED, *_result("get_weather", "get_time")],
        "tools": _TOOLS,
        "response_format": _SHAPE,
    },
    "a required tool": {"tools": _TOOLS, "tool_choice": "required"},
    "a final tool": {
        "messages": [*_ASKED, *_result("get_weather", "get_time")],
        "tools": _TOOLS,
        "tool_choice": "required",
    },
    "a named tool": {
        "tools": _TOOLS,
        "tool_choice": {"type": "function", "function": {"name": "get_time"}},
    },
    "a function in the older form": {"messages": _ASKED, "functions": _FUNCTIONS},
}
"""What a request asks → the members that it has beside a model and one message."""
