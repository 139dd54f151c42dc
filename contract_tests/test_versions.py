"""Rules about versions of criteria. They judge a server only where it repeats itself."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from openpipe_mock.contract.findings import Finding
from openpipe_mock.contract.probe import Request

from .builders import best_of, judging
from .promises import (
    CaseContext,
    MakeVariants,
    Variant,
    require_answer,
    require_object,
    require_success,
    rule_for,
)
from .run import Unjudged
from .settings import RunSettings, plain
from .test_completions import choices, message
from .test_criteria import json_of, results

Json = Any
Make = Callable[[RunSettings, str], tuple[Request, ...]]
"""Makes the requests that show how a criterion judges."""
Scores = dict[str, Json]
"""What was judged, as text → its score."""

TEXTS = ("1, 2, 3", "Two, three and five are primes.", "The sea is wide, deep and blue.")
MOST_ALIKE = 2
"""So many scores or fewer tell texts apart too rarely to show that versions make no difference."""


def judged(settings: RunSettings, criterion: str) -> tuple[Request, ...]:
    return tuple(
        judging(settings, criterion, output={"role": "assistant", "content": text}) for text in TEXTS
    )


def ranked(settings: RunSettings, criterion: str) -> tuple[Request, ...]:
    return (best_of(settings, criteria=(criterion,)),)


def repeated(request: Request) -> Request:
    """The same request in other bytes: what a cache has for the first says nothing of the judge."""
    return replace(request, body=request.body + b"\n")


def asked_twice(make: Make, settings: RunSettings, ids: Iterable[str]) -> tuple[Request, ...]:
    once = [request for each in ids for request in make(settings, each)]
    return (*once, *map(repeated, once))


def scores(request: Request, answer: dict[str, Json]) -> Scores:
    """The scores in an answer of either endpoint, each by what was judged."""
    if request.endpoint == "judge":
        return {request.value()["output"]["content"]: answer.get("score")}
    found = [(json_of(message(choice)), [*results(choice).values()]) for choice in choices(answer)]
    return {text: own[0].get("score") for text, own in found if len(own) == 1 and isinstance(own[0], dict)}


@dataclass(frozen=True)
class Ids:
    """A criterion's plain id, its latest version, and others, of which some may not exist."""

    plain: str
    latest: str
    others: tuple[str, ...]


def named_versions(settings: RunSettings) -> list[str]:
    """The ids with a version that the user named."""
    latest = [f"{name}@{version}" for name, version in settings.latest]
    return list(dict.fromkeys([*(each for each in settings.criteria if "@" in each), *latest]))


def latest(make: Make) -> MakeVariants:
    """A case with a plain id and its latest version, if the user has named that."""

    def make_variants(settings: RunSettings) -> Iterator[Variant]:
        for name, version in settings.latest[:1]:
            own = f"{name}@{version}"
            known = [each for each in named_versions(settings) if plain(each) == name]
            tried = [f"{name}@v{number}" for number in mistakable(int(version[1:]))]
            others = [each for each in dict.fromkeys([*known, *tried]) if each != own]
            yield Variant(asked_twice(make, settings, (name, own)), facts=(make, Ids(name, own, (*others,))))

    return make_variants


def mistakable(latest: int) -> Iterator[int]:
    """Versions that may be taken for the latest: the last by its spelling, the one before, the first."""
    yield from (number for number in (10 ** (len(str(latest)) - 1) - 1, latest - 1, 1) if number > 0)


def versions(make: Make) -> MakeVariants:
    """A case with two versions of one criterion, if the user has named two."""

    def make_variants(settings: RunSettings) -> Iterator[Variant]:
        by_name: dict[str, list[str]] = {}
        for each in named_versions(settings):
            by_name.setdefault(plain(each), []).append(each)
        for pair in [ids[:2] for ids in by_name.values() if len(ids) > 1][:1]:
            yield Variant(asked_twice(make, settings, pair), facts=(make, pair))

    return make_variants


def scores_of(context: CaseContext, criterion: str) -> Scores:
    """The scores that a criterion gives. Raises Unjudged where they differ when they are asked for again."""
    make, _ = context.facts
    found: Scores = {}
    for request in make(context.settings, criterion):
        pair = (request, repeated(request))
        first, second = (scores(each, require_object(require_success(context.ask(each)))) for each in pair)
        if not first or first != second:
            raise Unjudged("the server doesn't repeat itself, so its versions can't be told apart")
        found |= first
    return found


@rule_for("judge.latest", latest(judged), rank=42, further=6)
@rule_for("criteria.latest", latest(ranked), rank=43, further=2)
def test_a_plain_id_means_the_latest_version(context: CaseContext) -> Iterator[Finding]:
    """Broken where the plain id is another version; where it is none of them, no more than reported."""
    make, ids = context.facts
    exchange = require_answer(context.ask(make(context.settings, ids.latest)[0]))
    if exchange.refused:
        yield context.broken(f"{ids.latest}, the latest version, was answered by {exchange.status}.")
        return
    bare, newest = scores_of(context, ids.plain), scores_of(context, ids.latest)
    if bare == newest:
        return
    for other in (each for each in ids.others if is_known(context, each)):
        found = scores_of(context, other)
        if bare == found:
            yield context.broken(f"{ids.plain} scores as {other} does, and not as the latest, {ids.latest}.")
            return
        if newest == found:
            yield context.broken(
                f"{ids.latest} scores as {other} does, and not as {ids.plain}, its plain id."
            )
            return
    yield context.broken(f"{ids.plain} scores unlike {ids.latest}, the latest version.", level="decision")


def is_known(context: CaseContext, criterion: str) -> bool:
    make, _ = context.facts
    return require_answer(context.ask(make(context.settings, criterion)[0])).ok


@rule_for("judge.versions", versions(judged), rank=42)
@rule_for("criteria.versions", versions(ranked), rank=43)
def test_versions_are_looked_at(context: CaseContext) -> Iterator[Finding]:
    _, pair = context.facts
    first, second = (scores_of(context, each) for each in pair)
    if first != second:
        return
    different = {json_of(score) for score in first.values()}
    if len(different) <= MOST_ALIKE:
        raise Unjudged(f"{len(different)} different scores tell no versions apart")
    yield context.broken(f"{' and '.join(pair)} give the same {len(different)} different scores.")
