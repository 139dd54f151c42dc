"""Changes of tool calls, plain and streamed, into others that the contract allows; see `rewriting`."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import chain, zip_longest
from typing import Any

from openpipe_mock.answers.texts import split
from openpipe_mock.faults.course import (
    Change,
    Course,
    Frame,
    behind_role,
    choice_numbers,
    compacted,
    counting,
    deltas_of,
    in_choices,
    joined_call,
)

Json = Any

BESIDE = "One moment, please."
"""The text beside calls."""


def may_call_twice(request: Json) -> bool:
    """Whether a request leaves it to the model which calls it makes, and how many."""
    # With `required` a tool mostly stands for a value that is wanted; who takes one call then may be right.
    free = request.get("tool_choice") in (None, "auto")
    return free and request.get("parallel_tool_calls") is not False


def _in_calls(change: Callable[[list[Json]], list[Json]]) -> Change:
    """Return the change of a completion that changes the calls of each choice that has some."""

    def changed(choice: Json) -> Json:
        calls = choice["message"].get("tool_calls")
        return {**choice, "message": {**choice["message"], "tool_calls": change(calls)}} if calls else choice

    return in_choices(changed)


def _places(course: Course, number: int) -> Mapping[int, list[int]]:
    """Index of each call of a choice → the places of the chunks with its pieces.

    Empty where a chunk has several calls or one without a function, as no stream of the mock's own has.
    """
    found: dict[int, list[int]] = {}
    for place, choice in deltas_of(course, number):
        calls = choice["delta"].get("tool_calls") or []
        if calls and (len(calls) > 1 or not calls[0].get("function")):
            return {}
        for call in calls:
            found.setdefault(call["index"], []).append(place)
    return found


def _call_at(frame: Frame) -> Json:
    """The piece of a call in a chunk that has one."""
    return frame.chunk["choices"][0]["delta"]["tool_calls"][0]


def _with_calls(frame: Frame, calls: Sequence[Json], wait: float | None = None) -> Frame:
    """The frame with other calls in its delta."""
    [choice] = frame.chunk["choices"]
    delta = {**choice["delta"], "tool_calls": list(calls)}
    chunk = {**frame.chunk, "choices": [{**choice, "delta": delta}]}
    return Frame(chunk, frame.wait if wait is None else wait)


def _changed_pieces(course: Course, change: Callable[[Json, bool], Json]) -> Course:
    """Change each piece of each call. `change` takes the piece, and whether it opens the call."""
    frames = list(course)
    for number in choice_numbers(course):
        for places in _places(course, number).values():
            for place in places:
                piece = change(_call_at(course[place]), place == places[0])
                frames[place] = _with_calls(frames[place], [piece])
    return frames


# One call or two, whole or in turns.


def twice(answer: Json, seed: int) -> Json:
    """Make each choice that calls one tool call it twice."""

    def doubled(calls: list[Json]) -> list[Json]:
        return [*calls, {**calls[0], "id": _second(calls[0]["id"])}] if len(calls) == 1 else calls

    return _in_calls(doubled)(answer, seed)


def _second(name: str) -> str:
    return f"{name}_1"


def twice_streamed(course: Course, _: int) -> Course:
    """The same for a stream: the second call follows the last piece of the first."""
    frames: list[list[Frame]] = [[frame] for frame in course]
    for number in choice_numbers(course):
        found = _places(course, number)
        if len(found) == 1:
            [(index, places)] = found.items()
            frames[places[-1]] += [_again(course[place], index) for place in places]
    return list(chain.from_iterable(frames))


def _again(frame: Frame, index: int) -> Frame:
    """The frame of a call's piece as a piece of the next call."""
    call = _call_at(frame)
    named = {"id": _second(call["id"])} if call.get("id") else {}
    [choice] = frame.chunk["choices"]
    delta = {"tool_calls": [{**call, **named, "index": index + 1}]}
    return Frame({**frame.chunk, "choices": [{**choice, "delta": delta}]})


def in_turns(course: Course, seed: int) -> Course:
    """Make each choice call twice, and send the pieces of its calls in turns."""
    course = twice_streamed(course, seed)
    frames = list(course)
    for number in choice_numbers(course):
        by_call = _places(course, number).values()
        turns = (place for turn in zip_longest(*by_call) for place in turn if place is not None)
        for place, source in zip(sorted(chain.from_iterable(by_call)), turns, strict=True):
            frames[place] = replace(course[source], wait=course[place].wait)
    return frames


def each_whole(course: Course, _: int) -> Course:
    """Send each call in one piece."""
    frames: list[Frame | None] = list(course)
    for number in choice_numbers(course):
        for places in _places(course, number).values():
            joined = joined_call([_call_at(course[place]) for place in places])
            frames[places[0]] = _with_calls(course[places[0]], [joined])
            for place in places[1:]:
                frames[place] = None
    return compacted(frames, course)


# What stands beside calls.


def with_text(answer: Json, seed: int) -> Json:
    """Put a text beside calls."""
    calling = [choice for choice in answer["choices"] if _only_calls(choice["message"])]

    def said(choice: Json) -> Json:
        if not _only_calls(choice["message"]):
            return choice
        return {**choice, "message": {**choice["message"], "content": BESIDE}}

    return in_choices(said)(counting(answer, len(calling) * len(split(BESIDE))), seed)


def _only_calls(message: Json) -> bool:
    return bool(message.get("tool_calls")) and not message.get("content")


def with_text_streamed(course: Course, _: int) -> Course:
    """The same for a stream: the text comes before the first call."""
    calling = [
        number for number in choice_numbers(course) if _only_calls(deltas_of(course, number)[0][1]["delta"])
    ]
    told = behind_role(course, {number: [{"content": BESIDE}] for number in calling})
    tokens = len(calling) * len(split(BESIDE))
    return [
        frame if frame.chunk is None else replace(frame, chunk=counting(frame.chunk, tokens))
        for frame in told
    ]


def blank_beside(members: Json) -> Json:
    """Replace the null of a message or a delta with calls by an empty text."""
    return {**members, "content": ""} if _only_calls(members) and "content" in members else members


def no_calls_listed(members: Json) -> Json:
    """Add an empty list of calls to a message or a delta without calls."""
    return {"tool_calls": [], **members} if not members.get("tool_calls") else members


# Names and arguments.


def respelled_arguments(text: str) -> str:
    """Write the JSON of arguments with its members in reverse, with blanks and escapes; other texts stay."""
    try:
        return json.dumps(_reversed(json.loads(text)), indent=1, allow_nan=False).replace("/", "\\/")
    except ValueError:
        return text


def _reversed(value: Json) -> Json:
    if isinstance(value, dict):
        return {name: _reversed(value[name]) for name in reversed(value)}
    return [_reversed(item) for item in value] if isinstance(value, list) else value


def other_arguments(answer: Json, seed: int) -> Json:
    def spelled(calls: list[Json]) -> list[Json]:
        return [
            {
                **call,
                "function": {
                    **call["function"],
                    "arguments": respelled_arguments(call["function"]["arguments"]),
                },
            }
            for call in calls
        ]

    return _in_calls(spelled)(answer, seed)


def other_arguments_streamed(course: Course, _: int) -> Course:
    """The same for a stream, in as many pieces as before."""
    frames = list(course)
    for number in choice_numbers(course):
        for places in _places(course, number).values():
            calls = [_call_at(course[place]) for place in places]
            text = respelled_arguments(joined_call(calls)["function"]["arguments"])
            filled = [place for place, call in enumerate(calls) if call["function"].get("arguments")]
            size = -(-len(text) // max(1, len(filled)))
            for turn, at in enumerate(filled):
                function = {**calls[at]["function"], "arguments": text[turn * size : (turn + 1) * size]}
                frames[places[at]] = _with_calls(course[places[at]], [{**calls[at], "function": function}])
    return frames


def naming(value: str | None) -> Callable[[Course, int], Course]:
    """Return the change of a stream that gives the pieces behind a call's opening this id and name."""

    def named(piece: Json, opens: bool) -> Json:
        return piece if opens else {**piece, "id": value, "function": {"name": value, **piece["function"]}}

    return lambda course, _: _changed_pieces(course, named)


def repeating(course: Course, _: int) -> Course:
    """Say a call's id, type and name in each of its pieces."""
    frames = list(course)
    for number in choice_numbers(course):
        for places in _places(course, number).values():
            opening = _call_at(course[places[0]])
            for place in places:
                piece = _call_at(course[place])
                function = {**opening["function"], **piece["function"]}
                frames[place] = _with_calls(frames[place], [{**opening, **piece, "function": function}])
    return frames


def from_one(course: Course, _: int) -> Course:
    """Give the only call of a choice the index 1."""
    alone = {number for number in choice_numbers(course) if len(_places(course, number)) == 1}
    frames = list(course)
    for number in alone:
        [places] = _places(course, number).values()
        for place in places:
            frames[place] = _with_calls(frames[place], [{**_call_at(frames[place]), "index": 1}])
    return frames
