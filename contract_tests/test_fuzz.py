"""Requests that Hypothesis makes up, shrunk to the smallest that shows a break. Only with `--fuzz`."""

from collections.abc import Callable, Iterator
from typing import Any

from openpipe_mock.contract.checks import Finding, find
from openpipe_mock.contract.probe import Exchange
from openpipe_mock.payloads.edits import Edit

from . import invariants
from .builders import sent
from .invariants import told
from .promises import Scene, Sends, Variant, promise
from .run import Unjudged
from .settings import Aim

Json = Any
Trouble = Callable[[Exchange, Edit | None], str]


def as_many_as_asked(aim: Aim) -> Iterator[Variant]:
    """One case that may send N requests to search, and as many to shrink; none without `--fuzz`."""
    if aim.fuzz:
        yield Variant((), further=2 * aim.fuzz)


def drawn(endpoint: str, *, valid: bool) -> Any:
    """The strategy for bodies, each with the edit that broke it, or None."""
    from openpipe_mock.payloads import strategies as made

    if endpoint == "judge":
        strategy = made.judge_requests() if valid else made.broken_judge_requests(strict=True)
    else:
        strategy = made.chat_requests() if valid else made.broken_chat_requests(strict=True)
    return (
        strategy.map(lambda body: (body, None)) if valid else strategy.map(lambda one: (one.body, one.edit))
    )


def search(scene: Scene, endpoint: str, trouble: Trouble, *, valid: bool) -> Iterator[Finding]:
    """The smallest made-up request that shows trouble, if one does."""
    from hypothesis import HealthCheck, Phase, given, seed, settings

    found: list[tuple[Exchange, str]] = []
    started = scene.run.probe.sent

    @seed(scene.aim.seed)
    @settings(
        max_examples=scene.aim.fuzz,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate, Phase.shrink),
        report_multiple_bugs=False,
    )
    @given(drawn(endpoint, valid=valid))
    def every(pair: tuple[Json, Edit | None]) -> None:
        if scene.run.probe.sent - started >= scene.case.further:
            return
        body, edit = pair
        exchange = scene.run.exchange(sent(scene.aim, endpoint, named(scene.aim, body)))
        problem = trouble(exchange, edit) or odd(exchange, scene.aim)
        if problem:
            found.append((exchange, problem))
            raise AssertionError(problem)

    try:
        every()
    except Unjudged:
        pass
    except Exception:
        if not found:  # what Hypothesis complains of when the budget ends is no finding
            raise
    if found:
        exchange, problem = min(found, key=lambda pair: len(pair[0].request.body))
        yield scene.broken(problem, about=exchange)


def named(aim: Aim, body: Json) -> Json:
    """The body with a criterion that the server knows."""
    if isinstance(body, dict) and isinstance(body.get("criterion_id"), str):
        return {**body, "criterion_id": aim.criterion}
    return body


def odd(exchange: Exchange, aim: Aim) -> str:
    """The first thing that is wrong with an answer on its own, and decides."""
    found = invariants.broken(exchange)
    deciding = (each for each in found if aim.decides(each.level or find(each.check).level))
    return next((f"{each.check}: {each.sentence}" for each in deciding), "")


def refused(exchange: Exchange, edit: Edit | None) -> str:
    return (
        ""
        if exchange.ok or exchange.busy
        else f"a valid request was answered by {exchange.status}{told(exchange)}"
    )


def taken(exchange: Exchange, edit: Edit | None) -> str:
    broken = f"a request that breaks {edit.rule} at {edit.name}" if edit else "a broken request"
    return f"{broken} was answered by {exchange.status}." if 200 <= exchange.status < 400 else ""


def fuzzed(check: str, rank: float) -> Callable[[Any], Any]:
    sends: Sends = as_many_as_asked
    return promise(check, sends, rank=rank)


@fuzzed("judge.fuzz.valid", 52)
def test_the_judge_accepts_whatever_is_valid(scene: Scene) -> Iterator[Finding]:
    return search(scene, "judge", refused, valid=True)


@fuzzed("judge.fuzz.broken", 53)
def test_the_judge_refuses_whatever_is_broken(scene: Scene) -> Iterator[Finding]:
    return search(scene, "judge", taken, valid=False)


@fuzzed("chat.fuzz.valid", 54)
def test_chat_accepts_whatever_is_valid(scene: Scene) -> Iterator[Finding]:
    return search(scene, "chat", refused, valid=True)


@fuzzed("chat.fuzz.broken", 55)
def test_chat_refuses_whatever_is_broken(scene: Scene) -> Iterator[Finding]:
    return search(scene, "chat", taken, valid=False)
