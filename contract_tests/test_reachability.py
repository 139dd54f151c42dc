"""Rules that find out whether the server can be judged at all."""

from collections.abc import Iterator

from openpipe_mock.contract.findings import Finding

from .promises import CaseContext, MakeVariants, Variant, reachable, rule_for
from .reachability import candidates, telling
from .settings import RunSettings


def smallest(endpoint: str) -> MakeVariants:
    def make_variants(settings: RunSettings) -> list[Variant]:
        return [Variant((candidates(endpoint, settings)[0],))]

    return make_variants


@rule_for("reachability.judge", smallest("judge"), rank=0, needs="", alone=True)
@rule_for("reachability.chat", smallest("chat"), rank=1, needs="", alone=True)
def test_an_endpoint_answers(context: CaseContext) -> Iterator[Finding]:
    """No finding of its own: an unreachable endpoint breaks nothing. The API's answers are checked as any."""
    endpoint = context.case.check.endpoint
    if context.fresh:
        context.run.reached.pop(endpoint, None)
        context.run.seen.pop(context.case.requests[0], None)
    context.sent += telling(reachable(endpoint, context.run))
    return iter(())
