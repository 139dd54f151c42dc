"""Changes answers and streams into others that the contract allows too; `variants` builds on them.

A change is a pure function of an answer and the seed of its variant. It takes a valid answer and returns a
valid one. An answer that it doesn't apply to is returned as it is.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from math import fsum
from typing import Any

from openpipe_mock.answers.texts import split
from openpipe_mock.answers.wire import token_logprob
from openpipe_mock.core.reading import not_null
from openpipe_mock.core.seeded import digest
from openpipe_mock.faults.course import (
    CALLING,
    Change,
    Course,
    CourseChange,
    Frame,
    behind_role,
    choice_numbers,
    counting,
    deltas_of,
    finish_of,
    in_choices,
    in_chunks,
    may_grow,
    without_members,
)

Json = Any


# Changes of parts, made into changes of answers and streams.


def in_results(change: Callable[[Mapping[str, Json], Json, int], Json]) -> Change:
    """Return the change of a completion that changes each choice's `criteria_results` and sorts anew.

    `change` takes the results of a choice, those of the first choice, and the seed.
    """

    def changed(answer: Json, seed: int) -> Json:
        if not _judged(answer):
            return answer
        first = answer["choices"][0]["criteria_results"]
        choices = [
            {**choice, "criteria_results": change(choice["criteria_results"], first, seed)}
            for choice in answer["choices"]
        ]
        return {**answer, "choices": _in_order(choices)}

    return changed


def _judged(answer: Json) -> bool:
    """Whether there are choices and each was judged by criteria."""
    return bool(answer["choices"]) and all(choice.get("criteria_results") for choice in answer["choices"])


def combined(choice: Json) -> float:
    """Return the mean of a choice's scores; a failed one counts 0, also where it has a score."""
    results = choice["criteria_results"].values()
    return fsum(each["score"] if each["status"] == "success" else 0 for each in results) / len(results)


def _in_order(choices: Sequence[Json]) -> list[Json]:
    """The choices, best first and equal ones in their order, each with its place as `index`."""
    ranked = sorted(choices, key=lambda choice: -combined(choice))
    return [{**choice, "index": index} for index, choice in enumerate(ranked)]


def in_scores(change: Callable[[float, int], float]) -> Change:
    """Return the change of a completion that changes each score in `criteria_results`."""
    return in_results(
        lambda results, _, seed: {
            name: {**each, "score": change(each["score"], seed)} if each["status"] == "success" else each
            for name, each in results.items()
        }
    )


def in_score(change: Callable[[float, int], float]) -> Change:
    """Return the change of a judgement that changes its score."""
    return lambda answer, seed: {**answer, "score": change(answer["score"], seed)}


# Members that may be absent, null, or more.

_MESSAGE_NULLS = ("content", "refusal", "reasoning_content", "function_call", "tool_calls")
_USAGE_NULLS = ("completion_tokens_details", "prompt_tokens_details")


def _nulls_beside(members: Json, *names: str) -> Json:
    return {**dict.fromkeys(names), **members}


def bare_choice(choice: Json) -> Json:
    """Remove the members of a choice and its message that are null."""
    return not_null({**choice, "message": not_null(choice["message"])})


def bare_delta(choice: Json) -> Json:
    return not_null({**choice, "delta": not_null(choice["delta"])})


def null_choice(choice: Json) -> Json:
    nulls = _nulls_beside(
        {**choice, "message": _nulls_beside(choice["message"], *_MESSAGE_NULLS)}, "logprobs"
    )
    return _null_bytes(nulls)


def _null_bytes(choice: Json) -> Json:
    """Set the bytes of each token to null where log probabilities are listed."""
    listed = (choice.get("logprobs") or {}).get("content")
    if not listed:
        return choice
    tokens = [
        {**token, "bytes": None, "top_logprobs": [{**each, "bytes": None} for each in token["top_logprobs"]]}
        for token in listed
    ]
    return {**choice, "logprobs": {**choice["logprobs"], "content": tokens}}


def null_usage(answer: Json, _: int) -> Json:
    usage = _nulls_beside(answer["usage"], *_USAGE_NULLS) if answer.get("usage") else None
    return {**answer, "usage": usage} if usage else answer


def null_chunk(chunk: Json) -> Json:
    """Set all absent members of a chunk that may be null to null."""
    choices = [
        _nulls_beside(
            _null_bytes({**choice, "delta": _nulls_beside(choice["delta"], "role", *_MESSAGE_NULLS)}),
            *("logprobs", "finish_reason"),
        )
        for choice in chunk["choices"]
    ]
    return _nulls_beside({**chunk, "choices": choices}, "usage")


_MORE = {"system_fingerprint": "fp_9b2f0c71de", "service_tier": "default"}
_DETAILS = {
    "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": None},
    "completion_tokens_details": {
        "reasoning_tokens": 0,
        "accepted_prediction_tokens": 0,
        "text_tokens": None,
    },
    "prompt_cache_hit_tokens": 0,
    "prompt_cache_miss_tokens": 0,
}


def more_members(answer: Json, seed: int) -> Json:
    """Add further members to a completion, its choices, messages, results and usage."""

    def more(choice: Json) -> Json:
        results = choice.get("criteria_results")
        judged_more = {name: {**each, "duration_ms": 12} for name, each in (results or {}).items()}
        return {
            **choice,
            "message": {**choice["message"], "annotations": []},
            "matched_stop": None,
            "content_filter_results": {"hate": {"filtered": False, "severity": "safe"}},
            **({"criteria_results": judged_more} if results else {}),
        }

    usage = {"usage": {**answer["usage"], **_DETAILS}} if answer.get("usage") else {}
    return {**in_choices(more)(answer, seed), **usage, **_MORE}


def more_of_chunk(chunk: Json) -> Json:
    further: Json = {"content_filter_results": {}, "matched_stop": None}
    choices = [{**choice, **further} for choice in chunk["choices"]]
    return {**chunk, "choices": choices, **_MORE, "obfuscation": "k3Qx"}


def without_usage(answer: Json, _: int) -> Json:
    return without_members(answer, "usage")


def uncounted(course: Course, _: int) -> Course:
    """Remove the chunk that counts tokens from a stream, and `usage` from the other chunks."""
    kept = [frame for frame in course if frame.chunk is None or not frame.chunk.get("usage")]
    return in_chunks(lambda chunk: without_members(chunk, "usage"))(kept, 0)


def without_logprobs(choice: Json) -> Json:
    return {**choice, "logprobs": None}


def unnamed(answer: Json, _: int) -> Json:
    """Empty the id and the model of a completion or a chunk, and set its time to 0."""
    return {**answer, "id": "", "model": "", "created": 0}


def bare_error(answer: Json, _: int) -> Json:
    """Remove all members of an error but `message` and `code`."""
    return without_members(answer, "issues", "error")


# Criteria.


def blank_explanation(members: Json) -> Json:
    """Empty the explanation of a judgement or a result that has one."""
    return {**members, "explanation": ""} if "explanation" in members else members


def in_each_result(change: Callable[[Json], Json]) -> Change:
    """Return the change of a completion that changes each result of a criterion and no score."""

    def changed(choice: Json) -> Json:
        results = choice.get("criteria_results")
        changed = {name: change(each) for name, each in (results or {}).items()}
        return {**choice, "criteria_results": changed} if results else choice

    return in_choices(changed)


def no_error(result: Json) -> Json:
    """Add an error of 0 and no words to the result of a criterion that succeeded."""
    return {**result, "errorCode": 0, "errorMessage": ""} if result["status"] == "success" else result


FAILED = {"status": "error", "errorCode": 500, "errorMessage": "The criterion could not be judged."}


def failing(beside: Mapping[str, Json]) -> Change:
    """Return the change in which one criterion, the same in each choice, fails.

    `beside`: further members of its result.
    """

    def change(results: Mapping[str, Json], _: Mapping[str, Json], seed: int) -> Json:
        names = sorted(results)
        chosen = names[_drawn(seed, *names) % len(names)]
        return {**results, chosen: {**FAILED, **beside}}

    return in_results(change)


def tied(results: Mapping[str, Json], first: Mapping[str, Json], _: int) -> Json:
    """Give a choice the scores of the first one; where either result failed, the first one's whole result."""
    return {
        name: {**each, "score": first[name]["score"]}
        if name in first and each["status"] == first[name]["status"] == "success"
        else first.get(name, each)
        for name, each in results.items()
    }


def backwards(answer: Json, seed: int) -> Json:
    """Reverse the order of the criteria in a completion, wherever they are listed."""
    usage = answer.get("usage") or {}
    listed = {"criteria": _reversed_keys(usage["criteria"])} if "criteria" in usage else {}
    counted = {"usage": {**usage, **listed}} if listed else {}
    return {**in_results(lambda results, _, __: _reversed_keys(results))(answer, seed), **counted}


def _reversed_keys(members: Mapping[str, Json]) -> Json:
    return dict(reversed(list(members.items())))


def as_reward_model(answer: Json, seed: int) -> Json:
    """Make a judgement look like a trained reward model's: with tokens and without an explanation."""
    return {**without_members(answer, "explanation"), "usage": {"total_tokens": 120 + _drawn(seed) % 80}}


def as_reward_models(answer: Json, seed: int) -> Json:
    """The same for the results and the usage of a best of n."""
    if not _judged(answer):
        return answer

    def silent(results: Mapping[str, Json], _: Mapping[str, Json], __: int) -> Json:
        return {name: without_members(each, "explanation") for name, each in results.items()}

    names = answer["choices"][0]["criteria_results"]
    spent = {name: {"total_tokens": 120 + _drawn(seed, name) % 80} for name in names}
    usage = {**answer["usage"], "criteria": spent} if answer.get("usage") else None
    return {**in_results(silent)(answer, seed), **({"usage": usage} if usage else {})}


def whole_score(score: float, _: int) -> float:
    """Round a score to 0 or 1, as a whole number."""
    return int(score >= 0.5)


def fine_score(score: float, seed: int) -> float:
    """Move a score by at most a millionth towards 0.5, so that it has as many decimals as a double can."""
    shift = (1 + _drawn(seed, repr(score))) / 2**48 * 1e-6
    return score - shift if score >= 0.5 else score + shift


def kept_index(answer: Json, _: int) -> Json:
    """Number the choices of a best of n as if each kept its index from before the sorting.

    The best choice doesn't get 0, unless all are equal; equal choices have rising numbers.
    """
    if not _judged(answer):
        return answer
    choices, made = answer["choices"], list[int]()
    numbers = [*range(1, len(choices)), 0]
    for __, equal in groupby(choices, combined):
        size = len(list(equal))
        made += sorted(numbers[len(made) : len(made) + size])
    kept = zip(choices, made, strict=True)
    return {**answer, "choices": [{**choice, "index": index} for choice, index in kept]}


# Texts.

UNUSUAL = (
    " \N{FAMILY}\N{VARIATION SELECTOR-16} \N{WOMAN}\N{ZERO WIDTH JOINER}\N{PERSONAL COMPUTER}"
    " e\N{COMBINING ACUTE ACCENT} \N{LINE SEPARATOR}\N{PARAGRAPH SEPARATOR}\N{NEXT LINE}\N{NO-BREAK SPACE}"
    " \N{HEBREW LETTER SHIN}\N{ARABIC LETTER SEEN} \N{RIGHT-TO-LEFT OVERRIDE}ab\N{LEFT-TO-RIGHT MARK}"
    " \N{ZERO WIDTH NO-BREAK SPACE}\N{CJK UNIFIED IDEOGRAPH-4E2D} \N{MATHEMATICAL BOLD CAPITAL A}"
    ' "quoted" \\ back </script> \x7f\t\r\n\x00 end'
)
LATIN = " \N{LATIN CAPITAL LETTER A WITH RING ABOVE} \N{WHITE HEAVY CHECK MARK}"
"""Characters with a byte 0x85 in UTF-8, which Latin-1 reads as the end of a line."""
SEVERAL_BYTES = " \N{EURO SIGN}\N{GRINNING FACE}\N{CJK UNIFIED IDEOGRAPH-4E2D}"
LONG = 60_000
"""The least number of characters in a long text."""
MOST_LIKELY = 2_000
"""The most characters that are added to a text whose tokens are listed with log probabilities."""
_PIECE = 600
"""Characters of an addition in each chunk of a stream."""


def unusual(_: str) -> str:
    return UNUSUAL


def of_several_bytes(_: str) -> str:
    return SEVERAL_BYTES


def latin(_: str) -> str:
    return LATIN


def much_more(text: str) -> str:
    """Return the text again and again, LONG characters or more."""
    again = f"\n{text or 'on and on'}"
    return again * (LONG // len(again) + 1)


_Addition = Callable[[str], str]
"""Takes a text, returns what to add to its end."""


def longer_explanation(addition: _Addition) -> Change:
    """Return the change of a judgement that adds to its explanation."""

    def changed(answer: Json, _: int) -> Json:
        text = answer.get("explanation")
        return answer if text is None else {**answer, "explanation": text + addition(text)}

    return changed


def longer_texts(addition: _Addition) -> Change:
    """Return the change of a completion that adds to its texts.

    Texts that were cut, refusals, JSON and choices that call tools stay as they are.
    """

    def changed(answer: Json, _: int) -> Json:
        choices, tokens = [], 0
        for choice in answer["choices"]:
            text = choice["message"].get("content")
            more = _said_more(text, choice, addition) if may_grow(text, choice["finish_reason"]) else ""
            tokens += len(split(more))
            choices.append(_grown(choice, more) if more else choice)
        return {**counting(answer, tokens), "choices": choices}

    return changed


def _said_more(text: str, choice: Json, addition: _Addition) -> str:
    """What to add to a text; at most MOST_LIKELY characters where its tokens are listed."""
    more = addition(text)
    return more[:MOST_LIKELY] if (choice.get("logprobs") or {}).get("content") else more


def _grown(choice: Json, more: str) -> Json:
    message = {**choice["message"], "content": choice["message"]["content"] + more}
    further = _also_likely(choice.get("logprobs"), more)
    if not further:
        return {**choice, "message": message}
    listed = {**choice["logprobs"], "content": [*choice["logprobs"]["content"], *further]}
    return {**choice, "message": message, "logprobs": listed}


def _also_likely(logprobs: Json, more: str) -> list[Json]:
    """The log probabilities of an addition's tokens; none where no tokens are listed."""
    listed = (logprobs or {}).get("content")
    return [token_logprob(piece, len(listed[0]["top_logprobs"])) for piece in split(more)] if listed else []


def longer_stream(addition: _Addition) -> CourseChange:
    """Return the change of a stream that adds to its texts, in chunks behind the last one of each text."""

    def changed(course: Course, _: int) -> Course:
        further, tokens = {}, 0
        for number in choice_numbers(course):
            places = [place for place, choice in deltas_of(course, number) if choice["delta"].get("content")]
            text = "".join(course[place].chunk["choices"][0]["delta"]["content"] for place in places)
            if may_grow(text, finish_of(course, number)):
                more = _said_more(text, course[places[-1]].chunk["choices"][0], addition)
                tokens += len(split(more))
                further[places[-1]] = list(_saying(course[places[-1]].chunk, more))
        frames = [each for place, frame in enumerate(course) for each in (frame, *further.get(place, ()))]
        return in_chunks(lambda chunk: counting(chunk, tokens))(frames, 0)

    return changed


def _saying(chunk: Json, more: str) -> Iterator[Frame]:
    """Chunks like this one whose deltas are the pieces of a text."""
    [choice] = chunk["choices"]
    for start in range(0, len(more), _PIECE):
        piece = more[start : start + _PIECE]
        further = _also_likely(choice.get("logprobs"), piece)
        logprobs = {"logprobs": {**choice["logprobs"], "content": further}} if further else {}
        yield Frame({**chunk, "choices": [{**choice, "delta": {"content": piece}, **logprobs}]})


# Changes of streams. Each chunk of the mock has one choice or none.


def with_role(choice: Json) -> Json:
    """Add the role to a delta."""
    return {**choice, "delta": {**choice["delta"], "role": "assistant"}}


def empty_first(course: Course, _: int) -> Course:
    """Put a chunk with an empty delta before the first one of each choice."""
    firsts = {deltas_of(course, number)[0][0] for number in choice_numbers(course)}

    def behind_role(place: int, frame: Frame) -> Iterator[Frame]:
        if place in firsts:
            [choice] = frame.chunk["choices"]
            yield Frame({**frame.chunk, "choices": [{**choice, "delta": {}, "logprobs": None}]}, frame.wait)
            frame = replace(frame, wait=0.0)
        yield frame

    return [each for place, frame in enumerate(course) for each in behind_role(place, frame)]


def finish_with_text(course: Course, _: int) -> Course:
    """Move each choice's finish reason from its own chunk into the one with the choice's last piece."""
    frames: list[Frame | None] = list(course)
    for number in choice_numbers(course):
        said = deltas_of(course, number)
        if len(said) > 1 and not said[-1][1]["delta"]:
            (place, last), (end, final) = said[-2:]
            logprobs = last.get("logprobs") or final.get("logprobs")
            ended = {**last, "finish_reason": final["finish_reason"], "logprobs": logprobs}
            frames[place] = replace(course[place], chunk={**course[place].chunk, "choices": [ended]})
            frames[end] = None
    return [frame for frame in frames if frame]


THOUGHTS = ("The user asks something; ", "an answer is due.")
"""What a model thinks before it answers, in pieces."""


def reasoned(message: Json) -> Json:
    return {**message, "reasoning_content": "".join(THOUGHTS)}


def reasoned_stream(course: Course, _: int) -> Course:
    """Let each choice think before it answers, in deltas that have no content."""
    deltas = [{"reasoning_content": piece} for piece in THOUGHTS]
    return behind_role(
        course, {number: deltas for number in choice_numbers(course) if deltas_of(course, number)}
    )


def blank_pieces(course: Course, _: int) -> Course:
    """Put a delta with an empty text behind each piece of text."""

    def blank(frame: Frame) -> Iterator[Frame]:
        yield frame
        choices = frame.chunk["choices"] if frame.chunk else []
        if len(choices) == 1 and choices[0]["delta"].get("content") and not choices[0].get("finish_reason"):
            empty = {**choices[0], "delta": {"content": ""}, "logprobs": None}
            yield Frame({**frame.chunk, "choices": [empty]})

    return [each for frame in course for each in blank(frame)]


def usage_with_finish(course: Course, _: int) -> Course:
    """Move the usage of a stream from a chunk of its own into the last one with a finish reason."""
    counted = [place for place, frame in enumerate(course) if frame.chunk and frame.chunk.get("usage")]
    finished = [place for place, frame in enumerate(course) if frame.chunk and _finishes(frame.chunk)]
    if len(counted) != 1 or not finished or course[counted[0]].chunk["choices"]:
        return course
    frames: list[Frame | None] = list(course)
    last, usage = finished[-1], course[counted[0]].chunk["usage"]
    frames[last], frames[counted[0]] = (
        replace(course[last], chunk={**course[last].chunk, "usage": usage}),
        None,
    )
    return [frame for frame in frames if frame]


def _finishes(chunk: Json) -> bool:
    return any(choice.get("finish_reason") for choice in chunk["choices"])


def together(course: Course, _: int) -> Course:
    """Put what comes of several choices in a row into one chunk."""
    frames: list[Frame] = []
    for frame in course:
        if frames and _apart(frames[-1].chunk, frame.chunk):
            last = frames.pop()
            choices = [*last.chunk["choices"], *frame.chunk["choices"]]
            frames.append(Frame({**last.chunk, "choices": choices}, last.wait + frame.wait))
        else:
            frames.append(frame)
    return frames


def _apart(one: Json, other: Json) -> bool:
    """Whether two chunks have choices, and none of them in common."""
    if not (one and other and one["choices"] and other["choices"]):
        return False
    numbers = {choice["index"] for choice in one["choices"]}
    return numbers.isdisjoint(choice["index"] for choice in other["choices"])


def without_choices(course: Course, _: int) -> Course:
    """Add chunks without choices to a stream: one at the beginning, one after the last chunk."""
    chunks = [place for place, frame in enumerate(course) if frame.chunk]
    if not chunks:
        return course
    empty = Frame({**without_members(course[chunks[0]].chunk, "usage"), "choices": []})
    end = chunks[-1] + 1
    return [empty, *course[:end], empty, *course[end:]]


def without_done(course: Course, _: int) -> Course:
    return [frame for frame in course if frame.chunk is not None]


def stopping(choice: Json) -> Json:
    """Replace the finish reason of a choice that calls tools by `stop`."""
    return {**choice, "finish_reason": "stop"} if choice.get("finish_reason") in CALLING else choice


def _drawn(seed: int, *names: str) -> int:
    """A number that depends on the seed and the names, the same on every machine."""
    return int.from_bytes(digest(str(seed).encode(), *(name.encode() for name in names))[:6])
