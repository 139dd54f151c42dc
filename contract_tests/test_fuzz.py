"""Rules with requests from Hypothesis, shrunk to the smallest that shows a violation. Only with `--fuzz`."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from openpipe_mock.contract.checks import find
from openpipe_mock.contract.findings import Finding
from openpipe_mock.contract.probe import Exchange
from openpipe_mock.payloads.edits import Edit

from . import invariants
from .builders import request_for
from .invariants import message_suffix
from .promises import CaseContext, Variant, rule_for
from .run import Unjudged
from .settings import RunSettings

Json = Any
Trouble = Callable[[Exchange, Edit | None], str]


def as_many_as_asked(settings: RunSettings) -> Iterator[Variant]:
    """One case that may send N requests to search, and as many to shrink; none without `--fuzz`."""
    if settings.fuzz:
        yield Variant((), further=2 * settings.fuzz)


def bodies_and_edits(endpoint: str, *, valid: bool) -> Any:
    """A strategy for pairs: a body, and the edit that broke it or None."""
    from openpipe_mock.payloads import strategies as made

    if endpoint == "judge":
        strategy = made.judge_requests() if valid else made.broken_judge_requests(strict=True)
    else:
        strategy = made.chat_requests() if valid else made.broken_chat_requests(strict=True)
    return (
        strategy.map(lambda body: (body, None)) if valid else strategy.map(lambda one: (one.body, one.edit))
    )


def search(context: CaseContext, trouble: Trouble, *, valid: bool) -> Iterator[Finding]:
    """Send requests from Hypothesis, and yield a finding about the smallest that shows trouble."""
    from hypothesis import HealthCheck, Phase, given, seed, settings

    found: list[tuple[Exchange, str]] = []
    started, endpoint = context.run.sent, context.case.check.endpoint

    @seed(context.settings.seed)
    @settings(
        max_examples=context.settings.fuzz,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate, Phase.shrink),
        report_multiple_bugs=False,
    )
    @given(bodies_and_edits(endpoint, valid=valid))
    def every(pair: tuple[Json, Edit | None]) -> None:
        if context.run.sent - started >= context.case.further:
            return
        body, edit = pair
        exchange = context.run.exchange(
            request_for(context.settings, endpoint, with_known_criterion(context.settings, body))
        )
        problem = trouble(exchange, edit) or first_violation(exchange, context.settings)
        if problem:
            found.append((exchange, problem))
            raise AssertionError(problem)

    try:
        every()
    except Unjudged:
        pass
    except Exception:
        if not found:  # a complaint of Hypothesis after a finding, when the budget ended, adds nothing
            raise
    if found:
        exchange, problem = min(found, key=lambda pair: len(pair[0].request.body))
        yield context.broken(problem, about=exchange)


def with_known_criterion(settings: RunSettings, body: Json) -> Json:
    """The body with a criterion that the server knows."""
    if isinstance(body, dict) and isinstance(body.get("criterion_id"), str):
        return {**body, "criterion_id": settings.criterion}
    return body


def first_violation(exchange: Exchange, settings: RunSettings) -> str:
    """The first violation that an answer shows on its own and that decides, "" without one."""
    found = invariants.broken(exchange)
    deciding = (each for each in found if settings.decides(each.level or find(each.check).level))
    return next((f"{each.check}: {each.sentence}" for each in deciding), "")


def refused(exchange: Exchange, edit: Edit | None) -> str:
    return (
        ""
        if exchange.ok or exchange.busy
        else f"a valid request was answered by {exchange.status}{message_suffix(exchange)}"
    )


def accepted_though_broken(exchange: Exchange, edit: Edit | None) -> str:
    broken = f"a request that breaks {edit.rule} at {edit.name}" if edit else "a broken request"
    return f"{broken} was answered by {exchange.status}." if 200 <= exchange.status < 400 else ""


fuzzed = partial(rule_for, make_variants=as_many_as_asked, alone=True)


@fuzzed("judge.fuzz.valid", rank=52)
@fuzzed("chat.fuzz.valid", rank=54)
def test_whatever_is_valid_is_accepted(context: CaseContext) -> Iterator[Finding]:
    return search(context, refused, valid=True)


@fuzzed("judge.fuzz.broken", rank=53)
@fuzzed("chat.fuzz.broken", rank=55)
def test_whatever_is_broken_is_refused(context: CaseContext) -> Iterator[Finding]:
    return search(context, accepted_though_broken, valid=False)
