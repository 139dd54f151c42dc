"""Best of n: each choice judged by each criterion of `op-criteria`, the best choice first."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import fsum
from typing import Any

import orjson

from openpipe_mock.answers.judge import Criterion, content, find_criterion
from openpipe_mock.answers.scorers import NONE_DECLARED, Content, Declarations, Judgement
from openpipe_mock.core.errors import BadRequest
from openpipe_mock.core.wording import shown

Json = dict[str, Any]

MOST_CRITERIA = 64


@dataclass(frozen=True, slots=True)
class Ranked:
    """A choice's place in the order of making, and its judgements by key."""

    made: int
    results: dict[str, Judgement]

    @property
    def combined(self) -> float:
        """The mean score, a failed judgement counting 0. `fsum` minds no order of the criteria."""
        return fsum(result.score for result in self.results.values()) / len(self.results)


def requested(header: bytes, known: Declarations = NONE_DECLARED) -> dict[str, Criterion]:
    """The criteria of an `op-criteria` header in its order, by their keys in `criteria_results`.

    A key is the name without version, or `name@vN` where two versions of one name are asked for. A criterion
    that is asked for twice is judged once. Raises BadRequest for a header that is no JSON array of ids,
    CriterionNotFound for an id that names none.
    """
    asked = list(dict.fromkeys(find_criterion(reference, known) for reference in references(header)))
    names = [each.name for each in asked]
    return {each.name if names.count(each.name) == 1 else str(each): each for each in asked}


def references(header: bytes) -> list[str]:
    """The ids in the header."""
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
    judge: Callable[[Criterion, Content], Judgement],
) -> list[Ranked]:
    """The choices, best first; those with the same combined score keep the order of their making.

    `given` is what the judge sees of the request, `scene` its digest. Choices are judged in the order of
    their making, by the criteria in theirs; the results stand in the order of their keys.
    """
    ranked = []
    for made, message in enumerate(messages):
        seen = Content(given, message, content(scene, message))
        results = {key: judge(each, seen) for key, each in asked.items()}
        ranked.append(Ranked(made, dict(sorted(results.items()))))
    return sorted(ranked, key=lambda choice: -choice.combined)


def results(ranked: Ranked) -> Json:
    """The wire form of a choice's judgements."""
    return {key: _result_of(result) for key, result in ranked.results.items()}


def _result_of(result: Judgement) -> Any:
    if result.error:
        status, message = result.error
        return {"status": "error", "errorCode": status, "errorMessage": message}
    if result.raw:
        [value] = result.raw
        return {"status": "success", **value} if isinstance(value, dict) else value
    return {"status": "success", **result.verdict()}


def criteria_usage(ranking: Sequence[Ranked]) -> Json:
    """The tokens of the criteria that report any, summed over the choices."""
    spent: dict[str, int] = {}
    for ranked in ranking:
        for key, result in ranked.results.items():
            if result.usage is not None:
                spent[key] = spent.get(key, 0) + result.usage
    return {key: {"total_tokens": tokens} for key, tokens in spent.items()}
