"""What a judgement means, beyond its form."""

from collections.abc import Iterator

from openpipe_mock.contract.checks import Finding

from .builders import judging
from .promises import Scene, Variant, body, one, promise, successful
from .settings import Aim, plain


def with_and_without_version(aim: Aim) -> list[Variant]:
    """Nothing where the caller didn't say which version is the latest."""
    return [
        Variant((judging(aim, name), judging(aim, f"{name}@{version}")), facts=f"{name}@{version}")
        for name, version in aim.latest[:1]
    ]


@promise("judge.latest", with_and_without_version, rank=42)
def test_a_plain_id_means_the_latest_version(scene: Scene) -> Iterator[Finding]:
    bare, versioned = scene.exchanges()
    if versioned.refused:
        told = f"{scene.facts}, the latest version, was answered by {versioned.status}."
        yield scene.broken(told, level="documented")
        return
    first, second = (body(successful(each)).get("score") for each in (bare, versioned))
    if first != second:
        yield scene.broken(f"{plain(scene.facts)} scores {first}, {scene.facts} scores {second}.", "/score")


@promise("judge.same_again", one(judging), rank=43, further=2)
def test_the_same_request_gets_the_same_score(scene: Scene) -> Iterator[Finding]:
    (first,) = scene.bodies()
    for _ in range(scene.case.further):
        again = body(successful(scene.anew(scene.case.requests[0])))
        if first.get("score") != again.get("score"):
            yield scene.broken(f"{first.get('score')} at first, then {again.get('score')}.", "/score")
            return
