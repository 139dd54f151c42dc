"""Rules about the meaning of judgements, beyond their schema."""

from collections.abc import Iterator

from openpipe_mock.contract.findings import Finding

from .builders import judging
from .promises import CaseContext, Variant, one_case, require_object, require_success, rule_for
from .settings import RunSettings, plain


def with_and_without_version(settings: RunSettings) -> list[Variant]:
    """A case with a plain id and its latest version, if the user has named one."""
    return [
        Variant((judging(settings, name), judging(settings, f"{name}@{version}")), facts=f"{name}@{version}")
        for name, version in settings.latest[:1]
    ]


@rule_for("judge.latest", with_and_without_version, rank=42)
def test_a_plain_id_means_the_latest_version(context: CaseContext) -> Iterator[Finding]:
    bare, versioned = context.exchanges()
    if versioned.refused:
        sentence = f"{context.facts}, the latest version, was answered by {versioned.status}."
        yield context.broken(sentence, level="documented")
        return
    first, second = (require_object(require_success(each)).get("score") for each in (bare, versioned))
    if first != second:
        yield context.broken(
            f"{plain(context.facts)} scores {first}, {context.facts} scores {second}.", "/score"
        )


@rule_for("judge.same_again", one_case(judging), rank=43, further=2, alone=True)
def test_the_same_request_gets_the_same_score(context: CaseContext) -> Iterator[Finding]:
    (first,) = context.bodies()
    for _ in range(context.case.further):
        again = require_object(require_success(context.anew(context.case.requests[0])))
        if first.get("score") != again.get("score"):
            yield context.broken(f"{first.get('score')} at first, then {again.get('score')}.", "/score")
            return
