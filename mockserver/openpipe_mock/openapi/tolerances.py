"""What popular clients send to chat beyond the contract. Strict validation takes it, exact refuses it.

`TOLERANCES` has a row for each kind. `schemas/openapi.yaml` stays as it is: `widened` makes of it the
document that strict and lenient validation read for chat.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from openpipe_mock.core.errors import Violation
from openpipe_mock.core.wording import listed

_Schema = Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Tolerance:
    """A kind of thing that clients send and the contract doesn't have.

    `sends`: what it is. `clients`: who sends it. `places`: JSON pointers of it, where `*` is any one step.
    `type`: its `type`, where several kinds share a place. `members`: component → members that the component
    gets, or whose schema changes; an `enum` is added to the present one. `branches`: component → a schema of
    which its values may be as well.
    """

    sends: str
    clients: tuple[str, ...]
    places: tuple[str, ...]
    type: str = ""
    members: Mapping[str, Mapping[str, _Schema]] = field(default_factory=dict)
    branches: Mapping[str, _Schema] = field(default_factory=dict)

    @cached_property
    def _patterns(self) -> list[re.Pattern[str]]:
        return [re.compile(f"{place.replace('*', '[^/]+')}(?=/|$)") for place in self.places]

    def place(self, pointer: str, body: Any) -> str:
        """The pointer of the thing in which `pointer` lies; "" where it lies in no such thing."""
        found = (match[0] for pattern in self._patterns if (match := pattern.match(pointer)))
        fitting = (place for place in found if not self.type or _type_at(place, body) == self.type)
        return next(fitting, "")

    def __str__(self) -> str:
        senders = listed(self.clients, "and")
        return f"exact would refuse {self.sends}, which {senders} send."


def _type_at(pointer: str, body: Any) -> Any:
    """The `type` of the object at a pointer in a body; None where there is none."""
    for step in pointer.split("/")[1:]:
        body = body[int(step)] if isinstance(body, list) else body.get(step)
    return body.get("type") if isinstance(body, dict) else None


def _object(required: Mapping[str, _Schema], **optional: _Schema) -> _Schema:
    """The schema of a closed object."""
    members = {**required, **optional}
    return {
        "type": "object",
        "properties": members,
        "required": list(required),
        "additionalProperties": False,
    }


def _word(word: str) -> _Schema:
    return {"type": "string", "enum": [word]}


def _component(name: str) -> _Schema:
    return {"$ref": f"#/components/schemas/{name}"}


_ANY_OBJECT = {"type": "object"}
_TEXT = {"type": "string"}
_ALLOWED_TOOL = {"type": "object", "properties": {"name": _TEXT, "function": _object({"name": _TEXT})}}
_FILE_PART = _object({"type": _word("file"), "file": _ANY_OBJECT}, cache_control=_ANY_OBJECT)
_TOOL_PARTS = [*map(_component, ("TextPart", "ImageUrlPart")), _FILE_PART]
_TOOL_CONTENT = {"anyOf": [_TEXT, {"type": "array", "items": {"anyOf": _TOOL_PARTS}}]}

TOKEN_LIMITS = ("max_tokens", "max_completion_tokens")
_NO_LIMIT = Tolerance(
    "a token limit of 0",
    ("chat front ends whose field for it is empty",),
    tuple(f"/{name}" for name in TOKEN_LIMITS),
)
"""The schema allows any number; so it is `unlimited` that finds this one."""

TOLERANCES = (
    Tolerance(
        "`name` in a tool message",
        ("LangChain JS", "aisuite", "litellm's documented loop"),
        ("/messages/*/name",),
        members={"ToolMessage": {"name": _TEXT}},
    ),
    Tolerance(
        "`reasoning_content` in an assistant message",
        ("AI SDK", "litellm"),
        ("/messages/*/reasoning_content",),
        members={"AssistantMessage": {"reasoning_content": _TEXT}},
    ),
    Tolerance(
        "`cache_control` on a part, a message or a tool",
        ("AI SDK", "litellm"),
        (
            "/messages/*/content/*/cache_control",
            "/messages/*/cache_control",
            "/tools/*/cache_control",
            "/tools/*/function/cache_control",
        ),
        members={
            component: {"cache_control": _ANY_OBJECT}
            for component in (
                *("TextPart", "ImageUrlPart", "InputAudioPart", "SystemMessage", "DeveloperMessage"),
                *("UserMessage", "AssistantMessage", "ToolMessage", "Tool", "ToolFunction"),
            )
        },
    ),
    Tolerance(
        "`provider_specific_fields` in an assistant message or its calls",
        ("programs that append litellm's messages",),
        (
            "/messages/*/provider_specific_fields",
            "/messages/*/tool_calls/*/provider_specific_fields",
            "/messages/*/tool_calls/*/function/provider_specific_fields",
        ),
        members={
            component: {"provider_specific_fields": _ANY_OBJECT}
            for component in ("AssistantMessage", "ToolCall", "ToolCallFunction")
        },
    ),
    Tolerance(
        "a part of type `file`",
        ("pydantic-ai", "LangChain", "llama-index", "openai-agents", "litellm", "AI SDK"),
        ("/messages/*/content/*",),
        type="file",
        members={"ToolMessage": {"content": _TOOL_CONTENT}},
        branches={"UserMessagePart": _FILE_PART},
    ),
    Tolerance(
        "an image in a tool message",
        ("LangChain",),
        ("/messages/*/content/*",),
        type="image_url",
        members={"ToolMessage": {"content": _TOOL_CONTENT}},
    ),
    Tolerance(
        "a tool of type `custom`, or a call or choice of one",
        ("users of OpenAI's newer tools",),
        ("/tools/*", "/messages/*/tool_calls/*", "/tool_choice"),
        type="custom",
        branches={
            "Tool": _object(
                {
                    "type": _word("custom"),
                    "custom": _object({"name": _TEXT}, description=_TEXT, format=_ANY_OBJECT),
                },
                cache_control=_ANY_OBJECT,
            ),
            "ToolCall": _object(
                {"type": _word("custom"), "id": _TEXT, "custom": _object({"name": _TEXT, "input": _TEXT})}
            ),
            "ToolChoice": _object({"type": _word("custom"), "custom": _object({"name": _TEXT})}),
        },
    ),
    Tolerance(
        "a `tool_choice` of type `allowed_tools`",
        ("users of OpenAI's newer choice",),
        ("/tool_choice",),
        type="allowed_tools",
        branches={
            "ToolChoice": _object(
                {
                    "type": _word("allowed_tools"),
                    "allowed_tools": _object(
                        {
                            "mode": {"type": "string", "enum": ["auto", "required"]},
                            "tools": {"type": "array", "items": _ALLOWED_TOOL},
                        }
                    ),
                }
            )
        },
    ),
    Tolerance(
        "a newer voice or audio format",
        ("users of OpenAI's newer models",),
        ("/audio/voice", "/audio/format"),
        members={
            "ChatAudio": {
                "voice": {"enum": ["fable", "onyx", "nova", "marin", "cedar"]},
                "format": {"enum": ["aac"]},
            }
        },
    ),
    Tolerance(
        "metadata that is no text",
        ("users who pass numbers, booleans or lists",),
        ("/metadata/*",),
        members={"ChatCompletionRequest": {"metadata": {"additionalProperties": True}}},
    ),
    _NO_LIMIT,
)
"""All kinds. The first whose place fits names a thing."""


def widened(document: _Schema) -> _Schema:
    """The contract document with all that `TOLERANCES` takes."""
    schemas = deepcopy(document["components"]["schemas"])
    for row in TOLERANCES:
        for component, members in row.members.items():
            own = schemas[component]["properties"]
            own.update({name: _joined(own.get(name, {}), schema) for name, schema in members.items()})
    for row in TOLERANCES:
        for component, branch in row.branches.items():
            present = schemas[component].get("anyOf") or [schemas[component]]
            schemas[component] = {"anyOf": [*present, branch]}
    return {"components": {"schemas": schemas}}


def _joined(present: _Schema, schema: _Schema) -> _Schema:
    """A member's schema with another's keywords; its `enum` has the words of both."""
    both = {**present, **schema}
    return {**both, "enum": present["enum"] + schema["enum"]} if "enum" in present else both


def tolerated(violations: Iterable[Violation], body: Any) -> Iterator[tuple[str, Tolerance]]:
    """Pointer and row of each thing in which violations of the contract lie; of others nothing."""
    for violation in violations:
        found = ((row.place(violation.pointer, body), row) for row in TOLERANCES)
        yield from next(([(place, row)] for place, row in found if place), [])


def unlimited(body: dict[str, Any]) -> tuple[dict[str, Any], tuple[tuple[str, Tolerance], ...]]:
    """A chat body without token limits of 0, and the pointer and row of each of these."""
    zeros = [name for name in TOKEN_LIMITS if body.get(name) == 0]
    kept = {name: member for name, member in body.items() if name not in zeros}
    return kept, tuple((f"/{name}", _NO_LIMIT) for name in zeros)
