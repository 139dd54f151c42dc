"""Answers said in another way that the contract allows too: whole ones, and the chunks of streams.

A change is a pure function of an answer and the seed of its variant. It takes what the contract calls valid
and gives what the contract calls valid; what it has no use for it leaves alone.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from math import fsum
from typing import Any

import orjson

from openpipe_mock.answers.texts import split
from openpipe_mock.answers.wire import token_logprob
from openpipe_mock.core.seeded import digest

Json = Any
Change = Callable[[Json, int], Json]
"""An answer and a seed in, an answer out."""


@dataclass(frozen=True, slots=True)
class Frame:
    """An event of a stream and the seconds that pass before it; `chunk` is None for `[DONE]`."""

    chunk: Json
    wait: float = 0.0


Course = Sequence[Frame]
CourseChange = Callable[[Course, int], Course]


def unchanged(answer: Json, _: int) -> Json:
    return answer


def as_it_comes(course: Course, _: int) -> Course:
    return course


def _drawn(seed: int, *names: str) -> int:
    """A number from the seed and some names, the same on every machine."""
    return int.from_bytes(digest(str(seed).encode(), *(name.encode() for name in names))[:6])


def _without(members: Mapping[str, Json], *names: str) -> Json:
    return {name: member for name, member in members.items() if name not in names}


def _told(members: Mapping[str, Json]) -> Json:
    """The members that are not null."""
    return {name: member for name, member in members.items() if member is not None}


# Where changes take hold.


def in_choices(change: Callable[[Json], Json]) -> Change:
    """A change of each choice of a completion."""
    return lambda answer, _: {**answer, "choices": [change(choice) for choice in answer["choices"]]}


def in_chunks(change: Callable[[Json], Json]) -> CourseChange:
    """A change of each chunk of a stream."""

    def changed(course: Course, _: int) -> Course:
        return [
            frame if frame.chunk is None else replace(frame, chunk=change(frame.chunk)) for frame in course
        ]

    return changed


def in_deltas(change: Callable[[Json], Json]) -> CourseChange:
    """A change of each choice of each chunk."""
    return in_chunks(lambda chunk: {**chunk, "choices": [change(choice) for choice in chunk["choices"]]})


def in_results(change: Callable[[Mapping[str, Json], Json, int], Json]) -> Change:
    """A change of what criteria made of each choice; the best choice comes first again.

    `change` is given the results of a choice, those of the choice that came first, and the seed.
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
    """Whether each choice was judged by criteria, and there is one."""
    return bool(answer["choices"]) and all(choice.get("criteria_results") for choice in answer["choices"])


def combined(choice: Json) -> float:
    """The mean of a choice's scores; what failed counts 0, whatever stands beside the error."""
    results = choice["criteria_results"].values()
    return fsum(each["score"] if each["status"] == "success" else 0 for each in results) / len(results)


def _in_order(choices: Sequence[Json]) -> list[Json]:
    """The choices, best first, equal ones as they came; numbered by their place."""
    ranked = sorted(choices, key=lambda choice: -combined(choice))
    return [{**choice, "index": index} for index, choice in enumerate(ranked)]


def in_scores(change: Callable[[float, int], float]) -> Change:
    """A change of each score that criteria gave in best of n."""
    return in_results(
        lambda results, _, seed: {
            name: {**each, "score": change(each["score"], seed)} if each["status"] == "success" else each
            for name, each in results.items()
        }
    )


def in_score(change: Callable[[float, int], float]) -> Change:
    """A change of the judge's score."""
    return lambda answer, seed: {**answer, "score": change(answer["score"], seed)}


# Members that may be absent, null, or more.

_MESSAGE_NULLS = ("content", "refusal", "reasoning_content", "function_call", "tool_calls")
_USAGE_NULLS = ("completion_tokens_details", "prompt_tokens_details")


def _nulls_beside(members: Json, *names: str) -> Json:
    return {**dict.fromkeys(names), **members}


def bare_choice(choice: Json) -> Json:
    """A choice without members that say nothing."""
    return _told({**choice, "message": _told(choice["message"])})


def bare_delta(choice: Json) -> Json:
    return _told({**choice, "delta": _told(choice["delta"])})


def null_choice(choice: Json) -> Json:
    return _nulls_beside({**choice, "message": _nulls_beside(choice["message"], *_MESSAGE_NULLS)}, "logprobs")


def null_usage(answer: Json, _: int) -> Json:
    usage = _nulls_beside(answer["usage"], *_USAGE_NULLS) if answer.get("usage") else None
    return {**answer, "usage": usage} if usage else answer


def null_chunk(chunk: Json) -> Json:
    """A chunk in which everything is null that may be."""
    choices = [
        _nulls_beside(
            {**choice, "delta": _nulls_beside(choice["delta"], "role", *_MESSAGE_NULLS)},
            *("logprobs", "finish_reason"),
        )
        for choice in chunk["choices"]
    ]
    return _nulls_beside({**chunk, "choices": choices}, "usage")


_MORE = {"system_fingerprint": "fp_9b2f0c71de", "service_tier": "default"}
_DETAILS = {
    "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": None},
    "completion_tokens_details": {"reasoning_tokens": 0, "accepted_prediction_tokens": 0},
}


def more_members(answer: Json, seed: int) -> Json:
    """A completion with further members everywhere."""

    def more(choice: Json) -> Json:
        results = choice.get("criteria_results")
        judged_more = {name: {**each, "duration_ms": 12} for name, each in (results or {}).items()}
        return {
            **choice,
            "message": {**choice["message"], "annotations": []},
            "content_filter_results": {"hate": {"filtered": False, "severity": "safe"}},
            **({"criteria_results": judged_more} if results else {}),
        }

    usage = {"usage": {**answer["usage"], **_DETAILS}} if answer.get("usage") else {}
    return {**in_choices(more)(answer, seed), **usage, **_MORE}


def more_of_chunk(chunk: Json) -> Json:
    choices = [{**choice, "content_filter_results": {}} for choice in chunk["choices"]]
    return {**chunk, "choices": choices, **_MORE, "obfuscation": "k3Qx"}


def without_usage(answer: Json, _: int) -> Json:
    return _without(answer, "usage")


def uncounted(course: Course, _: int) -> Course:
    """A stream without the chunk that counts tokens, and without `usage` in the others."""
    kept = [frame for frame in course if frame.chunk is None or not frame.chunk.get("usage")]
    return in_chunks(lambda chunk: _without(chunk, "usage"))(kept, 0)


def without_logprobs(choice: Json) -> Json:
    return {**choice, "logprobs": None}


def bare_error(answer: Json, _: int) -> Json:
    """An error that says no more than it has to."""
    return _without(answer, "issues", "error")


# Criteria.

FAILED = {"status": "error", "errorCode": 500, "errorMessage": "The criterion could not be judged."}


def failing(beside: Mapping[str, Json]) -> Change:
    """One criterion, the same in each choice, fails; `beside` stands in its result too."""

    def change(results: Mapping[str, Json], _: Mapping[str, Json], seed: int) -> Json:
        names = sorted(results)
        chosen = names[_drawn(seed, *names) % len(names)]
        return {**results, chosen: {**FAILED, **beside}}

    return in_results(change)


def tied(results: Mapping[str, Json], first: Mapping[str, Json], _: int) -> Json:
    """The results of the first choice, for each choice in its own words."""
    return {
        name: {**each, "score": first[name]["score"]}
        if name in first and each["status"] == first[name]["status"] == "success"
        else first.get(name, each)
        for name, each in results.items()
    }


def backwards(answer: Json, seed: int) -> Json:
    """Criteria in the order that is the reverse of the usual one, wherever they are listed."""
    usage = answer.get("usage") or {}
    listed = {"criteria": _reversed_keys(usage["criteria"])} if "criteria" in usage else {}
    counted = {"usage": {**usage, **listed}} if listed else {}
    return {**in_results(lambda results, _, __: _reversed_keys(results))(answer, seed), **counted}


def _reversed_keys(members: Mapping[str, Json]) -> Json:
    return dict(reversed(list(members.items())))


def as_reward_model(answer: Json, seed: int) -> Json:
    """A judgement as a trained reward model gives it: tokens, and no explanation."""
    return {**_without(answer, "explanation"), "usage": {"total_tokens": 120 + _drawn(seed) % 80}}


def as_reward_models(answer: Json, seed: int) -> Json:
    """The same in best of n."""
    if not _judged(answer):
        return answer

    def silent(results: Mapping[str, Json], _: Mapping[str, Json], __: int) -> Json:
        return {name: _without(each, "explanation") for name, each in results.items()}

    names = answer["choices"][0]["criteria_results"]
    spent = {name: {"total_tokens": 120 + _drawn(seed, name) % 80} for name in names}
    usage = {**answer["usage"], "criteria": spent} if answer.get("usage") else None
    return {**in_results(silent)(answer, seed), **({"usage": usage} if usage else {})}


def whole_score(score: float, _: int) -> float:
    """0 or 1, as a whole number."""
    return int(score >= 0.5)


def fine_score(score: float, seed: int) -> float:
    """Nearly the same score, inwards from it, with as many decimals as a double has."""
    shift = (1 + _drawn(seed, repr(score))) / 2**48 * 1e-6
    return score - shift if score >= 0.5 else score + shift


def kept_index(answer: Json, _: int) -> Json:
    """Choices that keep the number of their making: the best one has not number 0, where it can be helped.

    Equal choices stand in the order of their making.
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
SEVERAL_BYTES = " \N{EURO SIGN}\N{GRINNING FACE}\N{CJK UNIFIED IDEOGRAPH-4E2D}"
LONG = 60_000
"""Characters that a long text has at least."""
MOST_LIKELY = 2_000
"""Characters that a text gets at most where each of its tokens is listed with its log probability."""
_PIECE = 600
"""Characters of it that a stream's chunk brings."""


def unusual(_: str) -> str:
    return UNUSUAL


def of_several_bytes(_: str) -> str:
    return SEVERAL_BYTES


def much_more(text: str) -> str:
    """The text again and again."""
    again = f"\n{text or 'on and on'}"
    return again * (LONG // len(again) + 1)


_Addition = Callable[[str], str]
"""A text in, what is said behind it out."""


def longer_explanation(addition: _Addition) -> Change:
    """A judgement whose explanation says more."""

    def changed(answer: Json, _: int) -> Json:
        text = answer.get("explanation")
        return answer if text is None else {**answer, "explanation": text + addition(text)}

    return changed


def longer_texts(addition: _Addition) -> Change:
    """A completion whose texts say more. What is cut, a call, a refusal or JSON stays as it is."""

    def changed(answer: Json, _: int) -> Json:
        choices, tokens = [], 0
        for choice in answer["choices"]:
            text = choice["message"].get("content")
            more = _said_more(text, choice, addition) if _may_grow(text, choice["finish_reason"]) else ""
            tokens += len(split(more))
            choices.append(_grown(choice, more) if more else choice)
        return {**_counting(answer, tokens), "choices": choices}

    return changed


def _said_more(text: str, choice: Json, addition: _Addition) -> str:
    """What is said behind a text, less of it where its tokens are listed."""
    more = addition(text)
    return more[:MOST_LIKELY] if (choice.get("logprobs") or {}).get("content") else more


def _may_grow(text: str | None, finish_reason: str | None) -> bool:
    return bool(text) and finish_reason == "stop" and not _is_json(str(text))


def _is_json(text: str) -> bool:
    """Whether a text is JSON, as an answer is that was asked to be: more words would make it none."""
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return True


def _grown(choice: Json, more: str) -> Json:
    message = choice["message"]
    listed = _also_likely(choice.get("logprobs"), more)
    return {**choice, "message": {**message, "content": message["content"] + more}, **listed}


def _also_likely(logprobs: Json, more: str) -> Json:
    """The member `logprobs` of a choice that says more, where it lists the tokens of the content."""
    listed = (logprobs or {}).get("content")
    if not listed:
        return {}
    alternatives = len(listed[0]["top_logprobs"])
    further = [token_logprob(piece, alternatives) for piece in split(more)]
    return {"logprobs": {**logprobs, "content": [*listed, *further]}}


def _counting(answer: Json, tokens: int) -> Json:
    """An answer or a chunk that counts so many tokens more."""
    usage = answer.get("usage")
    if not usage:
        return answer
    more = {name: usage[name] + tokens for name in ("completion_tokens", "total_tokens")}
    return {**answer, "usage": {**usage, **more}}


def longer_stream(addition: _Addition) -> CourseChange:
    """A stream whose texts say more, in further chunks behind the last one of each text."""

    def changed(course: Course, _: int) -> Course:
        further, tokens = {}, 0
        for number in _choice_numbers(course):
            places = [place for place, choice in _deltas_of(course, number) if choice["delta"].get("content")]
            text = "".join(course[place].chunk["choices"][0]["delta"]["content"] for place in places)
            if _may_grow(text, _finish_of(course, number)):
                more = _said_more(text, course[places[-1]].chunk["choices"][0], addition)
                tokens += len(split(more))
                further[places[-1]] = list(_saying(course[places[-1]].chunk, more))
        frames = [each for place, frame in enumerate(course) for each in (frame, *further.get(place, ()))]
        return in_chunks(lambda chunk: _counting(chunk, tokens))(frames, 0)

    return changed


def _saying(chunk: Json, more: str) -> Iterator[Frame]:
    """Chunks as this one that bring a text."""
    [choice] = chunk["choices"]
    for start in range(0, len(more), _PIECE):
        piece = more[start : start + _PIECE]
        logprobs = _also_likely(choice.get("logprobs"), piece)
        if logprobs:
            before = len(choice["logprobs"]["content"])
            logprobs = {
                "logprobs": {**logprobs["logprobs"], "content": logprobs["logprobs"]["content"][before:]}
            }
        yield Frame({**chunk, "choices": [{**choice, "delta": {"content": piece}, **logprobs}]})


# The course of a stream. Each chunk of ours speaks of one choice or of none.


def _choice_numbers(course: Course) -> list[int]:
    """The numbers of the choices that a stream speaks of, in order."""
    found = (choice["index"] for frame in course if frame.chunk for choice in frame.chunk["choices"])
    return list(dict.fromkeys(found))


def _deltas_of(course: Course, number: int) -> list[tuple[int, Json]]:
    """Where a stream speaks of a choice alone, and what it says there."""
    return [
        (place, frame.chunk["choices"][0])
        for place, frame in enumerate(course)
        if frame.chunk and [choice["index"] for choice in frame.chunk["choices"]] == [number]
    ]


def _finish_of(course: Course, number: int) -> str | None:
    """Why a choice ends."""
    found = (choice.get("finish_reason") for _, choice in _deltas_of(course, number))
    return next(filter(None, found), None)


def with_role(choice: Json) -> Json:
    """A delta that says its role again."""
    return {**choice, "delta": {**choice["delta"], "role": "assistant"}}


def empty_first(course: Course, _: int) -> Course:
    """Each choice opens with a delta that says nothing."""
    firsts = {_deltas_of(course, number)[0][0] for number in _choice_numbers(course)}

    def opened(place: int, frame: Frame) -> Iterator[Frame]:
        if place in firsts:
            [choice] = frame.chunk["choices"]
            yield Frame({**frame.chunk, "choices": [{**choice, "delta": {}, "logprobs": None}]}, frame.wait)
            frame = replace(frame, wait=0.0)
        yield frame

    return [each for place, frame in enumerate(course) for each in opened(place, frame)]


def finish_with_text(course: Course, _: int) -> Course:
    """Each choice ends in the chunk that brings the last of it, and not in one of its own."""
    frames: list[Frame | None] = list(course)
    for number in _choice_numbers(course):
        said = _deltas_of(course, number)
        if len(said) > 1 and not said[-1][1]["delta"]:
            (place, last), (end, final) = said[-2:]
            logprobs = last.get("logprobs") or final.get("logprobs")
            ended = {**last, "finish_reason": final["finish_reason"], "logprobs": logprobs}
            frames[place] = replace(course[place], chunk={**course[place].chunk, "choices": [ended]})
            frames[end] = None
    return [frame for frame in frames if frame]


def without_choices(course: Course, _: int) -> Course:
    """A chunk without choices before the first one, and one before the end."""
    chunks = [place for place, frame in enumerate(course) if frame.chunk]
    if not chunks:
        return course
    empty = Frame({**_without(course[chunks[0]].chunk, "usage"), "choices": []})
    end = chunks[-1] + 1
    return [empty, *course[:end], empty, *course[end:]]


def without_done(course: Course, _: int) -> Course:
    return [frame for frame in course if frame.chunk is not None]


_CALLING = ("tool_calls", "function_call")


def stopping(choice: Json) -> Json:
    """A choice that ends with `stop` though it calls."""
    return {**choice, "finish_reason": "stop"} if choice.get("finish_reason") in _CALLING else choice
