"""Finds the JSON Schema that a prompt asks the answer to fit, where `response_format` has none.

instructor's JSON modes, DSPy's JSONAdapter, pydantic-ai's PromptedOutput, LangChain's output parsers and
AI SDK 4 write the schema into a message, and read the text of the answer.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from openpipe_mock.answers.texts import said
from openpipe_mock.core.errors import ParseError
from openpipe_mock.core.pointers import pointer_step
from openpipe_mock.core.strictjson import parse

_Schema = Mapping[str, Any]

_MOST_READ = 200_000
"""Characters of a conversation, its last ones, in which a schema is looked for."""
_MOST_FAILURES = 200
"""Beginnings of an object that turn out to be none, after which no more are looked at."""
_NEAR = 2000
"""Characters before and behind a schema, and at the end of the conversation, that say what it is for."""


@dataclass(frozen=True, slots=True)
class PromptedSchema:
    """A schema that a prompt asks for. `fenced`: in a Markdown block."""

    schema: _Schema
    fenced: bool


def prompted_schema(messages: Sequence[Mapping[str, Any]], *, json_mode: bool) -> PromptedSchema | None:
    """The schema that the messages ask the answer to fit; of several the last. None if they ask for none.

    `json_mode`: JSON is asked for anyhow. If not, the words around the schema or at the end have to: a schema
    may also stand there to be talked about.
    """
    texts = _instructions(messages, json_mode)
    talked_about = None
    for number, text in enumerate(texts):
        found = _last_schema(text)
        if found is None:
            continue
        schema, start, end = found
        words = f"{text[max(0, start - _NEAR) : start]}\n{text[end : end + _NEAR]}"
        words += f"\n{texts[0][-_NEAR:]}" if number else ""
        if _ASKS.search(words):
            fenced = _FENCED.search(words) is not None and not _UNFENCED.search(words)
            return PromptedSchema(schema, fenced and not json_mode)
        talked_about = talked_about or schema
    return PromptedSchema(talked_about, False) if talked_about and json_mode else None


def _instructions(messages: Sequence[Mapping[str, Any]], json_mode: bool) -> list[str]:
    """The texts that may tell how to answer, the last first.

    Without `json_mode` what the user said before an answer counts no more.
    """
    found, room, is_over = [], _MOST_READ, False
    for message in reversed(messages):
        is_over = is_over or (message["role"] == "assistant" and bool(said(message)))
        counts = message["role"] in ("system", "developer") or (
            message["role"] == "user" and (json_mode or not is_over)
        )
        text = said(message)[-room:] if counts and room else ""
        room -= len(text)
        found += [text] if text else []
    return found


_VERBS = (
    r"(?<!\bi\s)(?<!\bwe\s)(?<!\bthey\s)"  # "I return JSON" asks for nothing
    r"\b(?:respond|reply|answer|return|output|produce|provide|generate|format(?:ted)?|give|write|send)\b"
)
_PLAIN = r"(?:(?:an?|the|one|only|just|single|valid|correct|raw|plain|pure|strict|your|me|us)\s+){0,4}"
_JSON = r"json\b(?!.?schema)"
_ASKS = re.compile(
    rf"(?i){_VERBS}\s+(?:{_PLAIN}{_JSON}|[^.?!]{{0,120}}\b(?:in|as|with|into|using)\s+{_PLAIN}{_JSON})"
)
"""Matches words that ask for JSON: `return only valid JSON`, `format your output as a JSON value`."""
_BLOCK = r"(?:```|markdown|code ?block|fence|fencing)"
_FENCED = re.compile(
    rf"(?i)\b(?:with)?in(?:side)?\s+(?:(?:an?|the)\s+)?{_BLOCK}|\binclude\b[^.\n]{{0,40}}{_BLOCK}"
)
_UNFENCED = re.compile(rf"(?i)\b(?:don't|do not|without|no)\b[^.\n]{{0,60}}{_BLOCK}")


# Objects in a text.

_SIGNS = tuple(f'"{word}"' for word in ("properties", "$ref", "anyOf", "oneOf", "allOf", "items"))
_SIGNS += ('"additionalProperties"', '": "{')
"""Each schema or template has one of these, so that other texts aren't searched for objects."""
_START = re.compile(r'\{\s*+"')
_DECODER = json.JSONDecoder()


def _last_schema(text: str) -> tuple[_Schema, int, int] | None:
    """The last schema in a text with its start and end."""
    last = None
    if any(sign in text for sign in _SIGNS):
        for start, end, value in _objects(text):
            schema = value if _is_schema(value) else _template_schema(value)
            if schema:
                last = ({"type": "object", **schema} if "properties" in schema else schema), start, end
    return last


def _objects(text: str) -> Iterator[tuple[int, int, dict[str, Any]]]:
    """The JSON objects in a text with their starts and ends; not those inside others."""
    # What fails is read again from the next beginning on, so both its number and its characters are bounded.
    start, failures, room = 0, 0, len(text)
    while failures < _MOST_FAILURES and room >= 0 and (match := _START.search(text, start)):
        begin = match.start()
        try:
            start = _DECODER.raw_decode(text, begin)[1]
        except (ValueError, RecursionError) as error:
            failures += 1
            room -= getattr(error, "pos", begin + _NEAR) - begin
            start = begin + 1
            continue
        with suppress(ParseError):  # the decoder also takes what no strict JSON is
            yield begin, start, parse(text[begin:start].encode())


def _is_schema(value: Mapping[str, Any]) -> bool:
    """Whether an object is a JSON Schema and no example of a value."""
    members = value.get("properties")
    if members is not None:
        return isinstance(members, dict) and all(isinstance(each, dict | bool) for each in members.values())
    if isinstance(value.get("$ref"), str):
        is_local = value["$ref"].startswith("#/")
        return is_local and any(isinstance(value.get(key), dict) for key in ("$defs", "definitions"))
    if value.get("type") == "array":
        return isinstance(value.get("items"), dict)
    branches = next((value[key] for key in ("anyOf", "oneOf", "allOf") if key in value), None)
    if branches is None:
        return value.get("type") == "object" and isinstance(value.get("additionalProperties"), dict)
    return isinstance(branches, list) and all(isinstance(each, dict) for each in branches)


# DSPy shows an object with a placeholder for each value.


def _template_schema(value: Mapping[str, Any]) -> _Schema | None:
    """The schema of DSPy's template, `{"age": "{age}  # note: …"}`; None for any other object."""
    for name, text in value.items():
        if not isinstance(text, str) or not text.startswith(f"{{{name}}}"):
            return None
    members = {name: _placeholder_schema(name, text) for name, text in value.items()}
    return {"properties": members, "required": list(members), "additionalProperties": False}


def _placeholder_schema(name: str, text: str) -> _Schema:
    """The schema that the note of a placeholder tells; a text's where it tells none."""
    _, _, note = text.partition("# note: the value you produce must ")
    for words, schema in _NOTES.items():
        if note.startswith(words):
            return schema
    _, _, told = note.partition("adhere to the JSON schema: ")
    if told:
        try:
            # Its references begin at its own root, which is a member here.
            moved = told.replace('"$ref": "#', f'"$ref": "#/properties/{pointer_step(name)}')
            schema = parse(moved.encode())
        except ParseError:
            return {}
        return schema if isinstance(schema, dict) else {}
    _, _, words = note.partition("one of: ")
    return {"enum": words.split("; ")} if words else {"type": "string"}


_NOTES: Mapping[str, _Schema] = {
    "be True or False": {"type": "boolean"},
    "be a single int value": {"type": "integer"},
    "be a single float value": {"type": "number"},
}
