"""Runs the contract suite against a server: pytest does the work, a `Result` comes back.

This module locates the suite's folder and never imports it. Pytest imports it, with the suite's own settings
and none from the working folder or the environment.
"""

import os
import sys
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from openpipe_mock.contract.checks import catalogue
from openpipe_mock.contract.expressions import BadExpression, expression
from openpipe_mock.contract.findings import CaseResult, Planned, Result, outcomes
from openpipe_mock.contract.options import RUN_OPTIONS
from openpipe_mock.contract.probe import STAND_IN
from openpipe_mock.contract.target import RunOptions, Target, UsageProblem, target, withheld
from openpipe_mock.core.levels import LEVELS
from openpipe_mock.core.resources import folder

_FOREIGN = (
    "PYTEST_ADDOPTS",
    "PYTEST_CURRENT_TEST",
    "PYTEST_DISABLE_PLUGIN_AUTOLOAD",
    "PYTEST_PLUGINS",
    "PYTEST_VERSION",
)
"""Variables that are removed during a run, so that they don't steer it, and put back for an outer run."""
_UNWANTED = (
    "cacheprovider",
    "doctest",
    "faulthandler",
    "logging",  # catching log records takes a twentieth of a run, and nobody reads them
    "threadexception",
    "unraisableexception",
    "warnings",
)
_THOROUGH_BUDGET = 5000
_USAGE_ERROR, _INTERRUPTED = 4, 2


@dataclass
class Progress:
    """Callbacks during a run; by default they do nothing.

    `judged` gets four numbers: cases that are done, all cases, requests, and cases with findings. `waiting`
    gets the seconds of each wait for a busy server, and may be called in any thread.
    """

    planned: Callable[[Planned], None] = lambda planned: None
    judged: Callable[[int, int, int, int], None] = lambda number, total, requests, broken: None
    waiting: Callable[[float], None] = lambda seconds: None


def run(options: RunOptions, progress: Progress | None = None, *plugins: object) -> Result:
    """Run the suite against a server, with further plugins of pytest.

    Raises UsageProblem when the options make no sense.
    """
    server = server_of(options)
    if options.match:
        _check_words(options.match)
    collector = Collector(replace(options, max_requests=server.max_requests), progress or Progress())
    started = time.perf_counter()
    code = collector.run(*plugins)
    if code == _USAGE_ERROR and not collector.crashes:
        raise UsageProblem(collector.refusal or "pytest refused the options of this run")
    if code == _INTERRUPTED and not collector.crashes:
        collector.crashes.append("the run was interrupted")
    results = collector.results.values()
    return Result(
        server.url,
        options.level,
        options.seed,
        server.max_requests,
        collector.planned,
        () if options.dry_run else outcomes(results, collector.planned),
        {each.check.id.partition(".")[2]: each.unreached for each in results if each.unreached},
        tuple(_discreet(crash, server) for crash in collector.crashes),
        (*_remarks(options, server), *collector.remarks),
        None,
        collector.requests,
        time.perf_counter() - started,
    )


def family_members(seed: int = 0) -> dict[str, str]:
    """The ids of all families' members and their levels, from a dry run of the suite."""
    url = "http://127.0.0.1:9/api/v1"
    collector = Collector(RunOptions(url, seed=seed, thorough=True, dry_run=True, max_requests=10**6))
    with suppress(KeyboardInterrupt):
        collector.run()
    members = [check for check in collector.planned.checks if check.id not in catalogue()]
    return {check.id: check.level for check in sorted(members, key=lambda check: -LEVELS.index(check.level))}


def server_of(options: RunOptions) -> Target:
    """The target with its budget. Raises UsageProblem for options that make no sense."""
    server = target(options)
    if options.thorough and options.max_requests is None and server.local:
        return replace(server, max_requests=_THOROUGH_BUDGET)
    return server


@dataclass(eq=False)
class Collector:
    """Runs the suite in pytest, as a plugin that collects what it finds and keeps pytest from printing.

    results   the result of each item by its node id
    sent      requests of the cases that were judged; `requests` are all that were sent in the end
    refusal   why the suite refused the options, "" where it didn't
    """

    options: RunOptions
    progress: Progress = field(default_factory=Progress)
    planned: Planned = field(default_factory=Planned)
    results: dict[str, CaseResult] = field(default_factory=dict)
    sent: int = 0
    requests: int = 0
    broken: int = 0
    remarks: tuple[str, ...] = ()
    refusal: str = ""
    crashes: list[str] = field(default_factory=list)

    def run(self, *plugins: object) -> int:
        """Run pytest with this and other plugins; returns its exit code."""
        suite = str(folder("contract_tests"))
        words = [suite, "-c", f"{suite}/pytest.ini", f"--rootdir={suite}", f"--confcutdir={suite}"]
        words += ["--capture=no", "--disable-plugin-autoload", *(f"-pno:{name}" for name in _UNWANTED)]
        words += ["--collect-only"] if self.options.dry_run else []
        with undisturbed():
            return pytest.main(words, plugins=[self, *plugins])

    @pytest.hookimpl(trylast=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        config.pluginmanager.unregister(name="terminalreporter")
        config.stash[RUN_OPTIONS] = self.options

    def pytest_openpipe_planned(self, planned: Planned) -> None:
        self.planned = planned
        self.progress.planned(planned)

    def pytest_openpipe_judged(self, item: pytest.Item, result: CaseResult) -> None:
        self.results[item.nodeid] = result
        self.sent += result.requests
        self.broken += any(finding.kind == "broken" for finding in result.findings)
        self.progress.judged(len(self.results), self.planned.cases, self.sent, self.broken)

    def pytest_openpipe_waiting(self, seconds: float) -> None:
        self.progress.waiting(seconds)

    def pytest_openpipe_ended(self, requests: int, remarks: tuple[str, ...]) -> None:
        self.requests, self.remarks = requests, remarks

    @pytest.hookimpl(wrapper=True)
    def pytest_collection_modifyitems(self) -> Generator[None]:
        try:
            yield
        except pytest.UsageError as error:
            self.refusal = str(error)
            raise

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        judged = report.when == "call" and report.nodeid in self.results
        if report.failed and not judged:
            self.crashes.append(f"{report.nodeid}\n{report.longreprtext}")

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.crashes.append(f"{report.nodeid}\n{report.longreprtext}")

    def pytest_internalerror(self, excrepr: Any) -> bool:
        self.crashes.append(str(excrepr))
        return True

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        self.crashes.append(f"interrupted: {excinfo.value!r}")


@contextmanager
def undisturbed() -> Iterator[None]:
    """Context without pytest's variables in the environment; `sys.path` is put back afterwards."""
    kept = {name: os.environ.pop(name) for name in _FOREIGN if name in os.environ}
    path = list(sys.path)
    try:
        yield
    finally:
        os.environ.update(kept)
        sys.path[:] = path


def _remarks(options: RunOptions, server: Target) -> Iterator[str]:
    """Sentences about the key and about how carefully a server elsewhere is treated."""
    if withheld(options, server, os.environ):
        yield "OPENPIPE_API_KEY is set and is not sent to this host; --send-key sends it."
    if server.key and server.url.startswith("http://") and not server.local:
        yield "The key goes over http, for everybody on the way to read."
    if not server.local:
        yield (
            "The host is neither on this machine nor in a private network: few requests, few choices, short"
            " answers, no long texts (--large), nothing in its logs."
        )


def _check_words(words: str) -> None:
    """Raise UsageProblem for an expression that makes no sense."""
    try:
        expression(words)
    except BadExpression as error:
        raise UsageProblem(f"-k {words}: {error}; write it as in -k 'stream and not role'") from None


def _discreet(text: str, server: Target) -> str:
    """The text with a stand-in for the key."""
    return text.replace(server.key, STAND_IN) if server.secrets else text
