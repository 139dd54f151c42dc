"""Sample values for the spots of a schema: the smallest that make sense, and the fullest."""

from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any

from openpipe_mock.openapi.violations import fits
from openpipe_mock.payloads.places import ITEM, VALUE, Spot, Step, ValuePath, key_of, types_of

Json = Any

UNKNOWN, UNEXPECTED = "x_unknown", "unexpected"
"""A member that no object declares, and its value: never null, since null counts as absent."""

PIXEL = (
    "data:image/png;base64,"
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII="
)
SOUND = "UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAIA+AAACABAAZGF0YQIAAAAAAA=="
"""Silence for 1/8000 s, as WAV in base64."""

_ANSWERS = ("JudgeCriteriaOutput", "AssistantMessage", "ChatCompletionMessage", "ChunkDelta")
"""Components of what a model says."""
SAMPLES: Mapping[str, Json] = {
    "criterion_id": "criterion-1",
    "model": "openai:gpt-4o-mini",
    **dict.fromkeys(("content", "text"), "Count to 3."),
    "url": PIXEL,
    "data": SOUND,
    "name": "count",
    "description": "Counts up to a number.",
    "parameters": {"type": "object", "properties": {"to": {"type": "integer"}}},
    "arguments": '{"to":3}',
    **dict.fromkeys(("tool_call_id", "ToolCall.id", "ChatToolCall.id", "ChunkToolCall.id"), "call_1"),
    "Audio.id": "audio_1",
    "id": "chatcmpl-1",
    "title": "Numbers",
    "UrlCitation.url": "https://example.com/numbers",
    "start_index": 0,
    "end_index": 5,
    "refusal": "I can't help with that.",
    "reasoning_content": "One comes first.",
    **dict.fromkeys((f"{component}.content" for component in _ANSWERS), "1, 2, 3."),
    **dict.fromkeys(("tool_choice", "function_call"), "auto"),
    "n": 2,
    **dict.fromkeys(("max_tokens", "max_completion_tokens"), 16),
    "temperature": 0.7,
    "top_p": 0.9,
    "presence_penalty": 0.5,
    "frequency_penalty": -0.5,
    "stop": "END",
    "top_logprobs": 2,
    "schema": {
        "type": "object",
        "properties": {"numbers": {"type": "array", "items": {"type": "integer"}}},
        "required": ["numbers"],
        "additionalProperties": False,
    },
    "note": "counting",
    "score": 0.75,
    "explanation": "It counts in order.",
    "created": 1_735_689_600,
    "index": 0,
    "bytes": 49,
    "token": "1",
    "logprob": -0.25,
    "prompt_tokens": 11,
    "completion_tokens": 8,
    "total_tokens": 19,
    "errorCode": 500,
    "errorMessage": "Internal server error",
    "message": "Input validation failed",
    "code": "BAD_REQUEST",
    "OpCriteria": "criterion-1",
}
"""Member, or component and member → its sample. It is used only where its JSON type fits."""

BY_TYPE: Mapping[str, Json] = {"string": "text", "number": 1, "integer": 1, "boolean": True, "null": None}
"""JSON type → the sample where SAMPLES has none."""

_SPOKEN = frozenset(
    f"{name}Message" for name in ("System", "User", "Assistant", "Developer", "Tool", "ChatCompletion")
) | {"JudgeCriteriaOutput"}
"""Components whose optional `content` clients usually send."""

_USUAL_LABELS = ("user", "text", "success")
"""Labels of the branches that are preferred where any will do; without one, the first branch is taken."""

ODD_TEXTS = (
    "",
    "null",
    " ",
    "two\nlines\r\n",
    "😀 astral",
    "e\u0301 combining",
    "\u202eright to left\u202c שלום",
    "\x00 NUL",
    "\u2028\ufeff\x7f",
    'quote " backslash \\ slash / tilde ~',
    "<|im_start|>system",
    '{"json": true}',
    "data: [DONE]\n\n",
    "long " * 400,
)
"""Texts that often break servers."""


def smallest_value(spot: Spot, label: str = "") -> Json:
    """The smallest sensible value for a spot; of a union, the branch with this label or the usual one."""
    branch = _chosen(spot, label)
    known = sample(branch)
    if known is not None:
        return deepcopy(known)
    if "object" in types_of(branch.schema):
        return smallest_object(branch)
    if "array" in types_of(branch.schema):
        return [smallest_value(item) for item in branch.below()]
    return _word(branch)


def _chosen(spot: Spot, label: str = "") -> Spot:
    """One branch of a spot."""
    branches = spot.branches()
    labels = {branch.label: branch for branch in branches}
    wanted = (label,) if label else _USUAL_LABELS
    return next((labels[each] for each in wanted if each in labels), branches[0])


def sample(branch: Spot) -> Json | None:
    """The sample for a branch, None if SAMPLES has none of the right JSON type."""
    for name in (f"{branch.component}.{branch.name}", branch.name or branch.component):
        value = SAMPLES.get(name)
        if value is not None and fits(branch.schema, value):
            return value if value in branch.schema.get("enum", (value,)) else None
    return None


def _word(branch: Spot) -> Json:
    """The first word of an enum, or the sample for the JSON type."""
    return next(iter(branch.schema.get("enum", ())), BY_TYPE.get(types_of(branch.schema)[0]))


def smallest_object(branch: Spot, usual: bool = True) -> dict[str, Json]:
    """An object with its required members and, if `usual`, those that clients usually send."""
    spoken = usual and branch.component in _SPOKEN
    return {
        spot.name: smallest_value(spot)
        for spot in branch.below()
        if spot.route[-1].name != VALUE and (not spot.absent or (spoken and spot.name == "content"))
    }


def full(spot: Spot) -> Json:
    """A value with every member. An array gets an item of each branch, other unions use their last object."""
    branches = spot.branches()
    objects = [branch for branch in branches if "properties" in branch.schema]
    arrays = [branch for branch in branches if "items" in branch.schema]
    if objects:
        return _full_object(objects[-1])
    if arrays:
        (item,) = arrays[-1].below()
        kinds = [branch for branch in item.branches() if branch.schema.get("properties")]
        return [_full_object(kind) for kind in kinds] or [smallest_value(item)]
    return _full_map(spot) or smallest_value(spot)


def _full_object(branch: Spot) -> dict[str, Json]:
    return {inner.name: full(inner) for inner in branch.below()}


def _full_map(spot: Spot) -> dict[str, Json]:
    """A map with one value; empty if the spot is no map."""
    values = [inner for branch in spot.branches() for inner in branch.below() if _is_value(inner)]
    return {key_of(inner.route): full(inner) for inner in values}


def _is_value(spot: Spot) -> bool:
    return spot.route[-1].name == VALUE


def grown(spot: Spot, route: ValuePath) -> Json:
    """The smallest value for a spot in which the place at `route` exists."""
    here = len(spot.route)
    if here == len(route):
        return smallest_value(spot, route[-1].label if route else "")
    step, label = route[here], route[here - 1].label if here else ""
    branch, inner = next(fork for fork in _forks(spot, step) if not label or fork[0].label == label)
    if inner is None:
        return smallest_object(branch)
    value = grown(inner, route)
    if step.name == ITEM:
        return [value]
    return (
        {key_of(route[:here]): value} if step.name == VALUE else {**smallest_object(branch), step.name: value}
    )


def _forks(spot: Spot, step: Step) -> Iterator[tuple[Spot, Spot | None]]:
    """The branches of a spot that a step goes through, each with the spot that it leads to."""
    for branch in spot.branches():
        if step.name == UNKNOWN and "properties" in branch.schema:
            yield branch, None
        yield from ((branch, inner) for inner in branch.below() if inner.route[-1].name == step.name)
