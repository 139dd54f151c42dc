"""Runs of the contract suite in this process, against servers that the tests start."""

from collections.abc import Mapping
from typing import Any

from openpipe_mock.contract.findings import Result
from openpipe_mock.contract.run import run
from openpipe_mock.contract.target import RunOptions
from tests.reference.http import App
from tests.reference.server import KEY, MODELS
from tests.reference.serving import live

KNOWN: Mapping[str, Any] = {
    "api_key": KEY,
    "models": MODELS[:1],
    "criteria": ("criterion-1", "criterion-2", "criterion-1@v1", "criterion-1@v2"),
    "latest": ("criterion-1=v2",),
    "timeout": 20.0,  # seconds; a busy machine is slow
}
"""What the reference servers know."""


def verdict_on(app: App, **options: Any) -> Result:
    """What the suite says of an application on a socket of its own."""
    with live(app) as stage:
        return run(RunOptions(stage.base_url, **{**KNOWN, **options}))


def states(result: Result, *names: str) -> set[str]:
    """The ids of the checks in these states."""
    return {outcome.check.id for outcome in result.outcomes if outcome.state in names}


def told(result: Result) -> list[str]:
    """What is broken, with its sentence: for the message of a failing test."""
    return [f"{each.check.id}: {each.first.sentence}" for each in result.in_state("broken", "flaky")]
