"""Rules about the meaning of judgements, beyond their schema."""

from collections.abc import Iterator

from openpipe_mock.contract.findings import Finding

from .builders import judging
from .promises import CaseContext, one_case, require_object, require_success, rule_for


@rule_for("judge.same_again", one_case(judging), rank=43, further=2, alone=True)
def test_the_same_request_gets_the_same_score(context: CaseContext) -> Iterator[Finding]:
    (first,) = context.bodies()
    for _ in range(context.case.further):
        again = require_object(require_success(context.anew(context.case.requests[0])))
        if first.get("score") != again.get("score"):
            yield context.broken(f"{first.get('score')} at first, then {again.get('score')}.", "/score")
            return
