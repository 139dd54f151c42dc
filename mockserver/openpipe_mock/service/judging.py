"""Answer `POST /criteria/judge`."""

from collections.abc import Generator
from typing import Any

import orjson

from openpipe_mock.answers import judge
from openpipe_mock.answers.scorers import JudgedContent
from openpipe_mock.core.effects import Effect, Effects, Reply
from openpipe_mock.core.errors import CriterionFailed
from openpipe_mock.faults.kinds import RETRY_AFTER
from openpipe_mock.service.request import Visit, after, at_once


def answer_judge(visit: Visit, body: Any) -> Reply | Effects:
    """Judge the output in a request's JSON. Raises ApiError.

    An exchange where the criterion has a delay, or judges by a test's function.
    """
    request = visit.accept("JudgeCriteriaRequest", body)
    asked = judge.find_criterion(request["criterion_id"], visit.settings.known)
    visit.meet(asked)
    given, output = request.get("input", {}), request["output"]
    tidy = visit.entry.body is not None and judge.is_tidy(visit.entry.body)
    digest = judge.content(judge.scene(given, tidy=tidy), output, tidy=tidy)
    visit.entry.criteria = (asked.text,)
    return at_once(_judged(visit, asked, JudgedContent(given, output, digest)))


def _judged(
    visit: Visit, asked: judge.Criterion, content: JudgedContent
) -> Generator[Effect, Any, Reply | Effects]:
    found = yield from visit.judging(asked, content)
    visit.entry.scores = [{asked.name: found.score}]
    if found.error:
        raise CriterionFailed(*found.error, seconds=_retry_after(visit, asked, found.error[0]))
    text = found.answer or orjson.dumps(found.body())
    reply = Reply(200, text, subject=found.line or f"{asked.text} {found.score}")
    return after(asked.delay, reply) if asked.delay else reply


def _retry_after(visit: Visit, asked: judge.Criterion, status: int) -> float | None:
    """Seconds to wait after the error of a magic criterion, as for a magic model; None for other criteria."""
    is_magic = visit.settings.magic and asked.name not in visit.settings.criteria
    return RETRY_AFTER.get(status) if is_magic else None
