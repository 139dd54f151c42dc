"""Rules about the meaning of judgements, beyond their schema."""

from collections.abc import Iterator

from openpipe_mock.contract.findings import Finding
from openpipe_mock.contract.probe import Request

from .builders import judging, user_messages
from .promises import (
    CaseContext,
    one_case,
    refusal,
    require_answer,
    require_object,
    require_success,
    rule_for,
)
from .run import Unjudged
from .settings import RunSettings
from .test_completions import choices
from .test_criteria import a_version, results, versioned


@rule_for("judge.same_again", one_case(judging), rank=43, further=2, alone=True)
def test_the_same_request_gets_the_same_score(context: CaseContext) -> Iterator[Finding]:
    (first,) = context.bodies()
    for _ in range(context.case.further):
        again = require_object(require_success(context.anew(context.case.requests[0])))
        if first.get("score") != again.get("score"):
            yield context.broken(f"{first.get('score')} at first, then {again.get('score')}.", "/score")
            return


def printed(settings: RunSettings) -> Request:
    return judging(settings, a_version(settings), input={"messages": user_messages("Count to 10")})


@rule_for("judge.example", one_case(printed), rank=8)
def test_the_page_s_example_is_judged(context: CaseContext) -> Iterator[Finding]:
    exchange = require_answer(context.ask(context.case.requests[0]))
    if exchange.refused:
        prove_version(context)
    yield from refusal(context, exchange)


def prove_version(context: CaseContext) -> None:
    """Raise Unjudged unless chat gives a score by the example's version of a criterion."""
    answer = require_object(require_success(context.ask(versioned(context.settings))))
    found = [result for choice in choices(answer) for result in results(choice).values()]
    if not any(isinstance(result, dict) and result.get("status") == "success" for result in found):
        raise Unjudged(f"chat doesn't know {a_version(context.settings)} either")
