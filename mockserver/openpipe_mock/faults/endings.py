"""Changes of how a choice ends, and of how much of it comes at once; see `rewriting`."""

from collections.abc import Callable
from typing import Any

from openpipe_mock.answers.texts import split
from openpipe_mock.faults.course import (
    Change,
    Course,
    CourseChange,
    choice_numbers,
    deltas_of,
    in_choices,
    joined_call,
    may_grow,
    merged,
)

Json = Any

REFUSAL = "I can't help with that."


def all_at_once(course: Course, _: int) -> Course:
    """Send each choice in one chunk, role and text or calls; its finish reason follows in another."""
    for number in choice_numbers(course):
        said = _whole(course, number)
        course = course if said is None else merged(course, number, said, apart=True)
    return course


def _whole(course: Course, number: int) -> Json | None:
    """All that a choice says in a stream as one choice of a chunk; None where it can't be joined."""
    choices = [choice for _, choice in deltas_of(course, number)]
    delta: dict[str, Json] = {}
    calls: dict[int, list[Json]] = {}
    for choice in choices:
        for name, member in choice["delta"].items():
            if isinstance(member, str) and name != "role":
                delta[name] = (delta.get(name) or "") + member
            elif name == "tool_calls" and member:
                for call in member:
                    calls.setdefault(call["index"], []).append(call)
            elif isinstance(member, dict):
                return None
            else:
                delta[name] = delta.get(name) or member
    if not all(piece.get("function") for pieces in calls.values() for piece in pieces):
        return None
    called = {"tool_calls": [joined_call(pieces) for pieces in calls.values()]} if calls else {}
    finish = next((each["finish_reason"] for each in choices if each.get("finish_reason")), None)
    return {**choices[0], "delta": {**delta, **called}, "logprobs": _listed(choices), "finish_reason": finish}


def _listed(choices: list[Json]) -> Json:
    """The log probabilities of all pieces of a choice."""
    every = [each["logprobs"] for each in choices if each.get("logprobs")]
    listed = [token for logprobs in every for token in logprobs.get("content") or ()]
    return {**every[0], "content": listed} if listed else None


# How a text ends. Refusals, JSON, calls and texts that were cut stay as they are.

_Ending = Callable[[Json], Json]
"""Takes a choice whose `message` has a text, returns it with another ending."""


def _refused(choice: Json) -> Json:
    return {**choice, "message": {**choice["message"], "content": None, "refusal": REFUSAL}, "logprobs": None}


def _filtered(choice: Json) -> Json:
    message = {**choice["message"], "content": ""}
    return {**choice, "message": message, "logprobs": None, "finish_reason": "content_filter"}


def _cut(choice: Json) -> Json:
    pieces = split(choice["message"]["content"])
    kept = max(1, len(pieces) // 2)
    message = {**choice["message"], "content": "".join(pieces[:kept])}
    logprobs = choice.get("logprobs")
    if logprobs and logprobs.get("content"):
        logprobs = {**logprobs, "content": logprobs["content"][:kept]}
    return {**choice, "message": message, "logprobs": logprobs, "finish_reason": "length"}


def _ending(change: _Ending) -> tuple[Change, CourseChange]:
    """The changes of a completion and of a stream that end each text in a way."""

    def ended(choice: Json) -> Json:
        grows = may_grow(choice["message"].get("content"), choice["finish_reason"])
        return change(choice) if grows and not choice["message"].get("tool_calls") else choice

    def streamed(course: Course, _: int) -> Course:
        for number in choice_numbers(course):
            said = _whole(course, number)
            if said and said["delta"].get("content") and said["finish_reason"]:
                changed = ended({**said, "message": said["delta"]})
                if changed["message"] != said["delta"]:
                    kept = {name: member for name, member in changed.items() if name != "message"}
                    course = merged(course, number, {**kept, "delta": changed["message"]})
        return course

    return in_choices(ended), streamed


refused, refused_stream = _ending(_refused)
filtered, filtered_stream = _ending(_filtered)
cut, cut_stream = _ending(_cut)
