"""One-bug servers whose bug is in how they judge and sort the choices of a completion."""

import copy
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from tests.reference.http import CHAT, JUDGE, Answer, Request
from tests.reference.mutation import (
    LEFT_OUT,
    Make,
    Mutant,
    accepting,
    answering_as,
    answers,
    at,
    best_of,
    changing,
    chatting,
    content,
    each_choice,
    each_result,
    judging,
    results,
    with_members,
)

Json = Any
Edit = Callable[[list[str], list[Json]], list[Json]]
CRASH = {"message": "Internal server error", "code": "INTERNAL_SERVER_ERROR"}
REFUSAL = {"message": "op-criteria is not supported", "code": "BAD_REQUEST"}
SUCCESS = {"status": "success", "score": 1, "explanation": "Always."}


def asked(request: Request) -> list[str]:
    """The criteria that a request asks for, none where the header is no list."""
    try:
        listed = json.loads(request.headers.get("op-criteria", "[]"))
    except ValueError:
        return []
    return listed if isinstance(listed, list) else []


def judged(edit: Edit) -> Make:
    """The choices of a completion with criteria are edited: the ids that were asked for and choices in."""

    def change(request: Request, answer: Answer) -> Answer:
        criteria = asked(request)
        if request.path != CHAT or answer.status != 200 or answer.chunks is not None or not criteria:
            return answer
        listed = edit(criteria, copy.deepcopy(answer.content["choices"]))
        return replace(answer, content={**answer.content, "choices": listed})

    return changing(change)


def score(choice: Json, key: str) -> float:
    found: float = choice["criteria_results"][key].get("score", 0)
    return found


def total(choice: Json) -> float:
    return sum(score(choice, key) for key in choice["criteria_results"])


def ranked(choices: list[Json], by: Callable[[Json], float] = total) -> list[Json]:
    """Choices in falling order of a number, numbered anew."""
    best_first = sorted(choices, key=by, reverse=True)
    return [{**choice, "index": index} for index, choice in enumerate(best_first)]


def turned(_: list[str], choices: list[Json]) -> list[Json]:
    """The best choice last."""
    return [{**choice, "index": index} for index, choice in enumerate((*choices[1:], choices[0]))]


def swapped_messages(_: list[str], choices: list[Json]) -> list[Json]:
    """Each choice with the message of the next one."""
    messages = [choice["message"] for choice in (*choices[1:], choices[0])]
    return [{**choice, "message": message} for choice, message in zip(choices, messages, strict=True)]


def with_versions(criteria: list[str], choices: list[Json]) -> list[Json]:
    """Results under the ids as they were asked for."""
    named = {reference.partition("@")[0]: reference for reference in criteria}
    for choice in choices:
        choice["criteria_results"] = {
            named.get(key, key): result for key, result in choice["criteria_results"].items()
        }
    return choices


def rewritten(_: list[str], choices: list[Json]) -> list[Json]:
    for choice in choices:
        choice["message"]["content"] = f"{choice['message']['content']} (judged)"
    return choices


def unlike_later(criteria: list[str], choices: list[Json]) -> list[Json]:
    """A criterion judges the more severely, the later it is asked for."""
    places = {reference.partition("@")[0]: place for place, reference in enumerate(criteria)}
    for choice in choices:
        for key, result in choice["criteria_results"].items():
            if "score" in result:
                result["score"] = round(result["score"] * 0.9 ** places.get(key, 0), 4)
    return ranked(choices)


def unlike_latest(criteria: list[str], choices: list[Json]) -> list[Json]:
    """An id with a version is judged the other way round."""
    for choice in choices if any("@" in reference for reference in criteria) else ():
        for result in choice["criteria_results"].values():
            if "score" in result:
                result["score"] = round(1 - result["score"], 2)
    return ranked(choices)


def only_first(_: list[str], choices: list[Json]) -> list[Json]:
    """Results in the first choice alone."""
    return [choices[0], *(with_members(choice, {"criteria_results": LEFT_OUT}) for choice in choices[1:])]


def flipped(_: Json, answer: Json) -> Json:
    return {**answer, "score": round(1 - answer["score"], 2)}


def unknown(request: Request) -> bool:
    return any(not str(reference).startswith("criterion-") for reference in asked(request))


def malformed(request: Request) -> bool:
    try:
        return not isinstance(json.loads(request.headers.get("op-criteria", "[]")), list)
    except ValueError:
        return True


def first_of(criteria: list[str]) -> str:
    return criteria[0].partition("@")[0]


def of_version(reference: str) -> Make:
    """A server that takes the plain id of criterion-1 for this version, or each version for the plain id."""

    def is_taken(each: Json) -> bool:
        return bool(each == "criterion-1") if "@" in reference else str(each).startswith("criterion-1@")

    def when(request: Request) -> bool:
        return any(map(is_taken, asked(request)))

    def other(request: Request) -> Request:
        ids = [reference if is_taken(each) else each for each in asked(request)]
        return replace(request, headers={**request.headers, "op-criteria": json.dumps(ids)})

    return answering_as(at(CHAT, when), other)


BEST = best_of(6)
SORTING: tuple[tuple[str, str, Edit], ...] = (
    ("unsorted", "The best choice comes last.", turned),
    (
        "ascending",
        "The worst choice comes first.",
        lambda _, found: ranked(found, lambda choice: -total(choice)),
    ),
    (
        "by-first",
        "Only the first criterion counts.",
        lambda criteria, found: ranked(found, lambda choice: score(choice, first_of(criteria))),
    ),
    (
        "by-last",
        "Only the last criterion counts.",
        lambda criteria, found: ranked(found, lambda choice: score(choice, first_of(criteria[::-1]))),
    ),
    (
        "by-length",
        "The longest text comes first.",
        lambda _, found: ranked(found, lambda choice: len(choice["message"].get("content") or "")),
    ),
)
ROWS: tuple[tuple[str, str, str, Make, Request], ...] = (
    (
        "one-missing",
        "criteria.results.asked",
        "The result of one criterion is missing.",
        results(lambda found: dict(list(found.items())[1:])),
        BEST,
    ),
    (
        "one-too-many",
        "criteria.results.asked",
        "There is a result that nobody asked for.",
        results(lambda found: {**found, "helpful": SUCCESS}),
        BEST,
    ),
    (
        "no-results",
        "criteria.results.asked",
        "There are no results.",
        each_choice(lambda choice: with_members(choice, {"criteria_results": LEFT_OUT})),
        BEST,
    ),
    ("first-only", "criteria.results.asked", "Only the first choice has results.", judged(only_first), BEST),
    ("results-empty", "criteria.results.asked", "The results are empty.", results(lambda _: {}), BEST),
    ("results-null", "chat.response.nulls", "The results are null.", results(lambda _: None), BEST),
    (
        "results-list",
        "chat.response.schema",
        "The results are a list.",
        results(lambda found: list(found.values())),
        BEST,
    ),
    (
        "no-status",
        "chat.response.schema",
        "Results have no status.",
        each_result(lambda result: with_members(result, {"status": LEFT_OUT})),
        BEST,
    ),
    (
        "no-score",
        "chat.response.schema",
        "Successful results have no score.",
        each_result(lambda result: with_members(result, {"score": LEFT_OUT})),
        BEST,
    ),
    (
        "bare-scores",
        "chat.response.schema",
        "Results are numbers.",
        each_result(lambda result: result["score"]),
        BEST,
    ),
    (
        "error-uncoded",
        "chat.response.schema",
        "Errored results have no code.",
        each_result(lambda _: {"status": "error", "errorMessage": "No capacity"}),
        BEST,
    ),
    (
        "error-snake",
        "chat.response.schema",
        "Errored results say error_code.",
        each_result(lambda _: {"status": "error", "error_code": 500, "error_message": "No"}),
        BEST,
    ),
    (
        "score-above-1",
        "chat.response.score",
        "Scores are out of 10.",
        each_result(lambda result: {**result, "score": round(result["score"] * 10, 1)}),
        BEST,
    ),
    (
        "score-below-0",
        "chat.response.score",
        "Scores go from -1 to 1.",
        each_result(lambda result: {**result, "score": round(result["score"] * 2 - 1, 2)}),
        BEST,
    ),
    (
        "versions-in-keys",
        "criteria.results.keys",
        "Keys have the version that was asked for.",
        judged(with_versions),
        best_of(2, "criterion-1@v1", "criterion-2"),
    ),
    (
        "unasked",
        "criteria.results.unasked",
        "There are results that nobody asked for.",
        each_choice(lambda choice: {"criteria_results": {"helpful": SUCCESS}, **choice}),
        chatting(),
    ),
    ("rewrites", "criteria.order_only", "Criteria change what is said.", judged(rewritten), BEST),
    (
        "place-counts",
        "criteria.permuted",
        "The order of the criteria changes the scores.",
        judged(unlike_later),
        BEST,
    ),
    (
        "refused",
        "criteria.header",
        "op-criteria is refused.",
        answers(lambda request: "op-criteria" in request.headers, 400, REFUSAL),
        BEST,
    ),
    (
        "spaces-refused",
        "criteria.header",
        "op-criteria with spaces is refused.",
        answers(lambda request: ", " in request.headers.get("op-criteria", ""), 400, REFUSAL),
        best_of(2, "criterion-1", "criterion-2"),
    ),
    (
        "first-version",
        "criteria.latest",
        "A plain id means the first version.",
        of_version("criterion-1@v1"),
        best_of(3, "criterion-1"),
    ),
    (
        "no-versions",
        "criteria.versions",
        "Versions are not looked at.",
        of_version("criterion-1"),
        best_of(3, "criterion-1@v1"),
    ),
    (
        "latest-differs",
        "criteria.latest",
        "The latest version judges unlike the plain id.",
        judged(unlike_latest),
        best_of(2, "criterion-1@v2"),
    ),
    (
        "judge-differs",
        "criteria.agree",
        "The judge endpoint says the contrary.",
        content(JUDGE, flipped),
        judging(),
    ),
    (
        "messages-swapped",
        "criteria.agree",
        "Results stand beside another choice's message.",
        judged(swapped_messages),
        BEST,
    ),
    (
        "unknown-crashes",
        "chat.no_5xx",
        "An unknown criterion is a crash.",
        answers(unknown, 500, CRASH),
        best_of(2, "nobody-knows-this"),
    ),
    (
        "malformed-ignored",
        "criteria.malformed",
        "A malformed op-criteria is ignored.",
        accepting(malformed, chatting()),
        chatting({"op-criteria": "criterion-1"}),
    ),
    (
        "malformed-crashes",
        "chat.no_5xx",
        "A malformed op-criteria is a crash.",
        answers(malformed, 500, CRASH),
        chatting({"op-criteria": "criterion-1"}),
    ),
)


def mutants() -> Iterator[Mutant]:
    """All of this page."""
    for name, note, edit in SORTING:
        yield Mutant(f"criteria-{name}", "criteria.sorted", note, judged(edit), BEST)
    for name, check, note, make, request in ROWS:
        level = "decision" if name == "latest-differs" else ""
        yield Mutant(f"criteria-{name}", check, note, make, request, level=level)
