"""A stream as a sequence of frames, and what the changes of answers and streams share; see `rewriting`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson

Json = Any


Change = Callable[[Json, int], Json]
"""Takes an answer and a seed, returns an answer."""


@dataclass(frozen=True, slots=True)
class Frame:
    """An event of a stream. `chunk`: its JSON, None for `[DONE]`. `wait`: the seconds that pass before it."""

    chunk: Json
    wait: float = 0.0


Course = Sequence[Frame]
"""All events of a stream, in order."""


CourseChange = Callable[[Course, int], Course]
"""Takes the events of a stream and a seed, returns events."""


def in_choices(change: Callable[[Json], Json]) -> Change:
    """Return the change of a completion that changes each of its choices."""
    return lambda answer, _: {**answer, "choices": [change(choice) for choice in answer["choices"]]}


def in_chunks(change: Callable[[Json], Json]) -> CourseChange:
    """Return the change of a stream that changes each of its chunks."""

    def changed(course: Course, _: int) -> Course:
        return [
            frame if frame.chunk is None else replace(frame, chunk=change(frame.chunk)) for frame in course
        ]

    return changed


def in_deltas(change: Callable[[Json], Json]) -> CourseChange:
    """Return the change of a stream that changes each choice of each chunk."""
    return in_chunks(lambda chunk: {**chunk, "choices": [change(choice) for choice in chunk["choices"]]})


def in_messages(change: Callable[[Json], Json]) -> Change:
    """Return the change of a completion that changes the message of each choice."""
    return in_choices(lambda choice: {**choice, "message": change(choice["message"])})


def in_members(change: Callable[[Json], Json]) -> CourseChange:
    """Return the change of a stream that changes each delta."""
    return in_deltas(lambda choice: {**choice, "delta": change(choice["delta"])})


def choice_numbers(course: Course) -> list[int]:
    """The indices of a stream's choices, in the order in which they come."""
    found = (choice["index"] for frame in course if frame.chunk for choice in frame.chunk["choices"])
    return list(dict.fromkeys(found))


def deltas_of(course: Course, number: int) -> list[tuple[int, Json]]:
    """The places of the chunks that have this choice alone, each with what it says of the choice."""
    return [
        (place, frame.chunk["choices"][0])
        for place, frame in enumerate(course)
        if frame.chunk and [choice["index"] for choice in frame.chunk["choices"]] == [number]
    ]


def finish_of(course: Course, number: int) -> str | None:
    """The finish reason of a choice."""
    found = (choice.get("finish_reason") for _, choice in deltas_of(course, number))
    return next(filter(None, found), None)


def compacted(frames: Sequence[Frame | None], course: Course) -> Course:
    """The frames that are left of a stream; each comes when it, or the last one dropped before it, would."""
    found: list[Frame] = []
    wait = 0.0
    for frame, before in zip(frames, course, strict=True):
        wait += before.wait
        if frame:
            found.append(replace(frame, wait=wait))
            wait = 0.0
    return found


def behind_role(course: Course, deltas: Mapping[int, Sequence[Json]]) -> Course:
    """Put deltas behind the role of a choice, before all else that it says. `deltas`: by its number."""
    firsts = {deltas_of(course, number)[0][0]: said for number, said in deltas.items()}
    frames: list[Frame] = []
    for place, frame in enumerate(course):
        if place not in firsts:
            frames.append(frame)
            continue
        [choice] = frame.chunk["choices"]
        rest = {name: choice["delta"][name] for name in CALLING if choice["delta"].get(name)}
        role = without_members(choice["delta"], *rest)
        said = [role, *firsts[place], *([rest] if rest else ())]
        for number, delta in enumerate(said):
            chunk = {**frame.chunk, "choices": [{**choice, "delta": delta}]}
            frames.append(Frame(chunk, 0.0 if number else frame.wait))
    return frames


def merged(course: Course, number: int, said: Json, *, apart: bool = False) -> Course:
    """Put all that a choice says into its last chunk, and its finish reason behind it, if that is `apart`."""
    places = [place for place, _ in deltas_of(course, number)]
    frames: list[Frame | None] = list(course)
    for place in places[:-1]:
        frames[place] = None
    last = course[places[-1]]
    if not apart:
        frames[places[-1]] = replace(last, chunk={**last.chunk, "choices": [said]})
        return compacted(frames, course)
    parts = ({**said, "finish_reason": None}, {**said, "delta": {}, "logprobs": None})
    told, end = (Frame({**last.chunk, "choices": [part]}) for part in parts)
    frames[places[-1]] = told
    found = compacted(frames, course)
    return [each for frame in found for each in ((frame, end) if frame.chunk is told.chunk else (frame,))]


def without_members(members: Mapping[str, Json], *names: str) -> Json:
    return {name: member for name, member in members.items() if name not in names}


def counting(answer: Json, tokens: int) -> Json:
    """Add a number of tokens to the usage of an answer or a chunk."""
    usage = answer.get("usage")
    if not usage:
        return answer
    more = {name: usage[name] + tokens for name in ("completion_tokens", "total_tokens")}
    return {**answer, "usage": {**usage, **more}}


def may_grow(text: str | None, finish_reason: str | None) -> bool:
    return bool(text) and finish_reason == "stop" and not is_json(str(text))


def is_json(text: str) -> bool:
    """Whether a text is JSON, which an addition would break."""
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return True


CALLING = ("tool_calls", "function_call")


def joined_call(pieces: Sequence[Json]) -> Json:
    """A call of all its pieces."""
    arguments = "".join(piece["function"].get("arguments") or "" for piece in pieces)
    return {**pieces[0], "function": {**pieces[0]["function"], "arguments": arguments}}
