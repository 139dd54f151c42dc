"""The ranking of a best of n, and the members of an answer that are made from it."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import fsum
from typing import Any

from openpipe_mock.answers.scorers import Judgement

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Ranked:
    """A judged choice. `made`: its number in the order of making, from 0. `results`: judgements by key."""

    made: int
    results: dict[str, Judgement]

    @property
    def combined(self) -> float:
        """The mean score, in which a failed judgement counts 0."""
        # `fsum` gives the same sum in any order of the criteria, so that equal choices stay equal.
        return fsum(result.score for result in self.results.values()) / len(self.results)


def results(ranked: Ranked) -> Json:
    """Return the `criteria_results` of a choice."""
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
    """Return `usage.criteria`: the tokens of each criterion that reports any, summed over the choices."""
    spent: dict[str, int] = {}
    for ranked in ranking:
        for key, result in ranked.results.items():
            if result.usage is not None:
                spent[key] = spent.get(key, 0) + result.usage
    return {key: {"total_tokens": tokens} for key, tokens in spent.items()}
