"""Best of n: judges each choice by each criterion of `op-criteria` and sorts the choices, best first."""

from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any

import orjson

from openpipe_mock.answers.judge import Criterion, content, find_criterion
from openpipe_mock.answers.ranking import Ranked
from openpipe_mock.answers.scorers import NONE_DECLARED, Declarations, JudgedContent, Judgement
from openpipe_mock.core.effects import Effect
from openpipe_mock.core.errors import BadRequest
from openpipe_mock.core.wording import shown

Json = dict[str, Any]

MOST_CRITERIA = 64


def requested(header: bytes, known: Declarations = NONE_DECLARED) -> dict[str, Criterion]:
    """Return the criteria that an `op-criteria` header asks for, by their keys in `criteria_results`.

    They stand in the header's order. A key is the name without version, or `name@vN` where the header asks
    for two versions of one name. A criterion that is asked for twice is judged once. Raises BadRequest for a
    header that is no JSON array of ids, CriterionNotFound for an id that names no criterion.
    """
    asked = list(dict.fromkeys(find_criterion(reference, known) for reference in references(header)))
    names = [each.name for each in asked]
    return {each.name if names.count(each.name) == 1 else str(each): each for each in asked}


def references(header: bytes) -> list[str]:
    """Return the ids in an `op-criteria` header.

    Raises BadRequest where it is no JSON array of strings or has more than MOST_CRITERIA.
    """
    try:
        ids = orjson.loads(header)
    except orjson.JSONDecodeError:
        raise _malformed(f"{shown(header.decode('utf-8', 'replace'))}, which is no JSON") from None
    if not isinstance(ids, list):
        raise _malformed(shown(ids))
    for each in ids:
        if not isinstance(each, str):
            raise _malformed(f"{shown(each)} in it")
    if len(ids) > MOST_CRITERIA:
        raise _malformed(f"{len(ids)} ids; {MOST_CRITERIA} is the most that this mock judges")
    return ids


def _malformed(seen: str) -> BadRequest:
    expected = 'expected a JSON array of criterion ids, as in ["criterion-1@v1"]'
    return BadRequest.at("header op-criteria", f"{expected}, got {seen}.")


def best_of_n(
    asked: Mapping[str, Criterion],
    given: Json,
    scene: bytes,
    messages: Sequence[Json],
    judge: Callable[[Criterion, JudgedContent], Generator[Effect, Any, Judgement]],
) -> Generator[Effect, Any, list[Ranked]]:
    """Judge the choices of an answer and return them, best first; equal ones stay in the order of `messages`.

    `asked`: the criteria by key. `given`: what the judge sees of the request. `scene`: its digest.
    `messages`: the choices' messages. `judge`: gives the judgement of a content by a criterion; it is asked
    choice by choice, and for each choice in the order of `asked`. Each choice's results are sorted by key.
    """
    ranked = []
    for made, message in enumerate(messages):
        seen = JudgedContent(given, message, content(scene, message))
        results = {}
        for key, each in asked.items():
            results[key] = yield from judge(each, seen)
        ranked.append(Ranked(made, dict(sorted(results.items()))))
    return sorted(ranked, key=lambda choice: -choice.combined)
