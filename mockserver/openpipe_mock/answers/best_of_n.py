"""Best of n: each choice judged by each criterion of `op-criteria`, the best choice first."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson

from openpipe_mock.answers.judge import Criterion, content, find_criterion
from openpipe_mock.answers.ranking import Ranked
from openpipe_mock.answers.scorers import NONE_DECLARED, Declarations, JudgedContent, Judgement
from openpipe_mock.core.errors import BadRequest
from openpipe_mock.core.wording import shown

Json = dict[str, Any]

MOST_CRITERIA = 64


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
    judge: Callable[[Criterion, JudgedContent], Judgement],
) -> list[Ranked]:
    """The choices, best first; those with the same combined score keep the order of their making.

    `given` is what the judge sees of the request, `scene` its digest. Choices are judged in the order of
    their making, by the criteria in theirs; the results stand in the order of their keys.
    """
    ranked = []
    for made, message in enumerate(messages):
        seen = JudgedContent(given, message, content(scene, message))
        results = {key: judge(each, seen) for key, each in asked.items()}
        ranked.append(Ranked(made, dict(sorted(results.items()))))
    return sorted(ranked, key=lambda choice: -choice.combined)
