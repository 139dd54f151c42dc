"""Pytest hooks of the suite: they make items from rules, order and cut them, run them and report."""

import json
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from openpipe_mock.contract import options
from openpipe_mock.contract.checks import UnknownCheck, find
from openpipe_mock.contract.expressions import BadExpression
from openpipe_mock.contract.facts import beginning, sent
from openpipe_mock.contract.findings import CaseResult, Finding
from openpipe_mock.contract.probe import Probe
from openpipe_mock.contract.target import Target, UsageProblem, latest_versions, target

from .planning import Plan, plan, selected
from .promises import Case, judge_case, registrations
from .reachability import why_unreached, will_send
from .run import Run
from .settings import CRITERIA, MODELS, RunSettings

PLAN = pytest.StashKey[Plan]()
SETTINGS = pytest.StashKey[RunSettings]()
RUN = pytest.StashKey[Run]()
WITHOUT_OPTIONS = pytest.StashKey[bool]()
UNASKED = pytest.StashKey[list[Case]]()
HERE = Path(__file__).parent
NAMELESS = (
    "name the suite and the server to judge: "
    "pytest --pyargs openpipe_mock.contract_tests --openpipe-url http://127.0.0.1:6736/api/v1"
)


def pytest_addoption(pluginmanager: pytest.PytestPluginManager) -> None:
    """Register the suite's options in a run that names this folder by its path."""
    # Not by `import_plugin`, which warns of a module that is imported already.
    if not pluginmanager.has_plugin(options.__name__):
        pluginmanager.register(options, options.__name__)


def server_of(config: pytest.Config, *, strict: bool = True) -> Target | None:
    """The server to check, None where none is named. If `strict`, a URL or key of no use is a UsageError."""
    asked = options.options_of(config)
    try:
        return target(asked) if asked.url else None
    except UsageProblem as problem:
        if not strict:
            return None
        raise pytest.UsageError(str(problem)) from None


def settings_of(config: pytest.Config) -> RunSettings:
    if SETTINGS not in config.stash:
        asked, server = options.options_of(config), server_of(config, strict=False)
        config.stash[SETTINGS] = RunSettings(
            criteria=asked.criteria or CRITERIA,
            models=asked.models or MODELS,
            latest=latest_versions(asked),
            seed=asked.seed,
            level=asked.level,
            local=server is None or server.local,
            thorough=asked.thorough,
            fuzz=asked.fuzz,
            large=asked.large,
            endpoint=asked.endpoint,
        )
    return config.stash[SETTINGS]


def run_of(config: pytest.Config) -> Run:
    if RUN not in config.stash:
        server = server_of(config)
        if server is None:
            raise pytest.UsageError(NAMELESS)
        probe = Probe(server, waiting=lambda seconds: config.hook.pytest_openpipe_waiting(seconds=seconds))
        config.stash[RUN] = run = Run(settings_of(config), probe)
        run.exchanged = lambda exchange: config.hook.pytest_openpipe_exchanged(exchange=exchange)
    return config.stash[RUN]


class CaseItem(pytest.Item):
    """The pytest item of one case."""

    case: Case

    @classmethod
    def of(cls, parent: pytest.Collector, case: Case) -> "CaseItem":
        item: CaseItem = cls.from_parent(parent, name=case.label)
        item.case = case
        mark = pytest.mark.openpipe_contract(case.check.id, level=case.check.level, cost=case.cost)
        item.add_marker(mark)
        return item

    def runtest(self) -> None:
        run, check = run_of(self.config), self.case.check
        run.ahead.advance(self.case, run.unsent, partial(will_send, run))
        result = judge_case(self.case, run)
        run.end_case(self.case)
        if self.case.family.startswith("reachability."):
            reason = why_unreached(check.endpoint, run)
            examined = result.examined - ({check.id} if reason else set())
            result = replace(result, unreached=reason, unjudged=reason, examined=examined)
        result = reported(result, self.config.stash[PLAN])
        self.ihook.pytest_openpipe_judged(item=self, result=result)
        message = problem(result, run.settings)
        if message:
            raise Broken(message)
        if result.unjudged:
            pytest.skip(result.unjudged)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        if isinstance(excinfo.value, Broken):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int, str]:
        return self.path, self.case.rule.__code__.co_firstlineno - 1, self.name


def reported(result: CaseResult, plan: Plan) -> CaseResult:
    """The part of a result that the user asked for."""
    findings = tuple(finding for finding in result.findings if plan.reports(finding.check))
    return replace(result, findings=findings, examined=frozenset(filter(plan.reports, result.examined)))


class Broken(Exception):
    """A check was broken; the message describes each finding."""


def problem(result: CaseResult, settings: RunSettings) -> str:
    """The message of a failing item, "" where it doesn't fail."""
    if result.unreached:
        return f"inconclusive: {result.unreached}"
    return "\n\n".join(
        _story(finding)
        for finding in result.findings
        if finding.kind in ("broken", "flaky") and settings.decides(finding.level)
    )


def _story(finding: Finding) -> str:
    """A finding of a case's result in several lines."""
    check = find(finding.check, finding.level)
    flaky = " - flaky: it held when it was asked again" if finding.kind == "flaky" else ""
    lines = [
        f"{check.id} ({finding.level}){flaky}",
        f"  promise  {check.promise}",
        f"  rests on {json.dumps(check.quote, ensure_ascii=False)}",
        f"  seen     {finding.placed}",
    ]
    exchange = finding.evidence
    if exchange:
        lines.append(f"  sent     {sent(exchange, check)} {beginning(exchange.request.body, 500)}")
        lines.append(f"  answered {exchange.status or exchange.failure} {beginning(exchange.body, 500)}")
    return "\n".join([*lines, f"  remedy   {check.remedy}"])


def pytest_pycollect_makeitem(
    collector: pytest.Module | pytest.Class, name: str, obj: object
) -> list[pytest.Item] | None:
    """Make items from a rule. Cases that `--only` leaves out get none: creating items takes time."""
    every = registrations(obj)
    if not every:
        return None
    config, items = collector.config, list[pytest.Item]()
    # A run that names a folder above loads this file too late for its options to be registered.
    if not hasattr(config.option, "openpipe_url"):
        config.stash[WITHOUT_OPTIONS] = True
        return []
    only = options.options_of(config).only
    for case in (case for each in every for case in each.cases(settings_of(config))):
        if selected(case, only) or case.family.startswith("reachability."):
            items.append(CaseItem.of(collector, case))
        else:
            config.stash.setdefault(UNASKED, []).append(case)
    return items


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(
    session: pytest.Session, config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Order the items by rank, and deselect those that the budget can't pay."""
    if config.stash.get(WITHOUT_OPTIONS, False):
        raise pytest.UsageError(NAMELESS)
    own = [item for item in items if isinstance(item, CaseItem)]
    others = [item for item in items if not isinstance(item, CaseItem)]
    if not own:
        return
    asked = options.options_of(config)
    if not asked.url and not config.option.collectonly:
        raise pytest.UsageError(NAMELESS)
    server = server_of(config)
    budget = server.max_requests if server else 10**9
    cases = [*(item.case for item in own), *config.stash.get(UNASKED, [])]
    try:
        made = plan(cases, settings_of(config), budget, asked.only, asked.match)
    except BadExpression as problem:
        raise pytest.UsageError(f"the expression {asked.match}: {problem}") from None
    except UnknownCheck as problem:
        raise pytest.UsageError(str(problem)) from None
    by_label = {item.case.label: item for item in own}
    assert len(by_label) == len(own), "two cases have the same label"
    for case in made.kept:
        by_label[case.label].case = case
    kept = [by_label.pop(case.label) for case in made.kept]
    items[:] = [*others, *kept]
    config.stash[PLAN] = made
    config.hook.pytest_deselected(items=[*by_label.values()])
    config.hook.pytest_openpipe_planned(planned=made.numbers())


def pytest_collection_finish(session: pytest.Session) -> None:
    """Tell the run what will be asked, and in which order."""
    config = session.config
    if PLAN in config.stash and not config.option.collectonly:
        run, plan = run_of(config), config.stash[PLAN]
        cases = [item.case for item in session.items if isinstance(item, CaseItem)]
        run.probe.resends = plan.resends
        run.begin(cases, plan.reserve - plan.resends)
        run.ahead.follow(cases)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """End what is under way, and tell what all of it came to."""
    if RUN in session.config.stash:
        run = session.config.stash[RUN]
        run.ahead.close()
        run.probe.close()
        session.config.hook.pytest_openpipe_ended(requests=run.probe.sent, remarks=tuple(remarks(run.probe)))


def remarks(probe: Probe) -> Iterator[str]:
    """Sentences about how the server behaved besides its answers."""
    if probe.hangups:
        times = "once" if probe.hangups == 1 else f"{probe.hangups} times"
        yield f"The server hung up on a kept connection {times}; what it left unanswered was sent again."
    if probe.slowed:
        because = f"and was waited for {probe.waited:.0f} s" if probe.waited else "with several at once"
        yield f"The server was busy {because}; from then on one request at a time was sent."
