"""Pytest hooks of the suite: they make items from rules, order and cut them, run them and report."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from openpipe_mock.contract.expressions import BadExpression
from openpipe_mock.contract.probe import Probe
from openpipe_mock.contract.target import Target, UsageProblem, target

from .evidence import level_of, payload, story
from .planning import Plan, plan, selected
from .promises import Case, Registration, Verdict, judge_case
from .run import Run
from .settings import RunSettings

SETTINGS = pytest.StashKey[RunSettings]()
RUN = pytest.StashKey[Run]()
PLAN = pytest.StashKey[Plan]()
WITHOUT_OPTIONS = pytest.StashKey[bool]()
UNASKED = pytest.StashKey[list[Case]]()
HERE = Path(__file__).parent
NAMELESS = (
    "name the suite and the server to judge: "
    "pytest --pyargs openpipe_mock.contract_tests --openpipe-url http://127.0.0.1:6736/api/v1"
)


def pytest_addoption(pluginmanager: pytest.PytestPluginManager) -> None:
    """Register the suite's options in a run that names this folder by its path."""
    pluginmanager.import_plugin("openpipe_mock.contract.options")


def options_of(config: pytest.Config) -> Mapping[str, Any]:
    """The suite's options by name, without their prefix."""
    names = [
        "url",
        "api_key",
        "send_key",
        "criterion",
        "model",
        "latest",
        "seed",
        "level",
        "max_requests",
        "rate",
        "timeout",
        "thorough",
        "fuzz",
        "large",
        "only",
        "match",
    ]
    return {name: config.getoption(f"openpipe_{name}") for name in names}


def server_of(config: pytest.Config, *, strict: bool = True) -> Target | None:
    """The server to check, None where none is named. If `strict`, a URL or key of no use is a UsageError."""
    given = options_of(config)
    if not given["url"]:
        return None
    try:
        return target(
            given["url"],
            key=given["api_key"],
            send_key=given["send_key"],
            timeout=given["timeout"],
            rate=given["rate"],
            max_requests=given["max_requests"],
        )
    except UsageProblem as problem:
        if not strict:
            return None
        raise pytest.UsageError(str(problem)) from None


def settings_of(config: pytest.Config) -> RunSettings:
    if SETTINGS not in config.stash:
        given, server = options_of(config), server_of(config, strict=False)
        config.stash[SETTINGS] = RunSettings(
            **{
                name: tuple(given[option])
                for name, option in (("criteria", "criterion"), ("models", "model"))
                if given[option]
            },
            latest=tuple(pair.partition("=")[::2] for pair in given["latest"] or ()),
            seed=given["seed"],
            level=given["level"],
            local=server is None or server.local,
            thorough=given["thorough"],
            fuzz=given["fuzz"],
            large=given["large"],
        )
    return config.stash[SETTINGS]


def workers(config: pytest.Config) -> int:
    """How many pytest-xdist workers share this run, 0 without xdist."""
    shared: Mapping[str, Any] = getattr(config, "workerinput", {})
    if shared:
        return int(shared["workercount"])
    return int(getattr(config.option, "numprocesses", None) or 0)


def share(server: Target, number: int) -> Target:
    """The server with one worker's share of budget and rate; `number` is how many workers there are."""
    number = max(1, number)
    rate = server.rate / number
    return replace(server, max_requests=max(1, server.max_requests // number), rate=rate)


def run_of(config: pytest.Config) -> Run:
    if RUN not in config.stash:
        server = server_of(config)
        if server is None:
            raise pytest.UsageError(NAMELESS)
        probe = Probe(share(server, workers(config)))
        config.add_cleanup(probe.close)
        config.stash[RUN] = Run(settings_of(config), probe)
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
        run = run_of(self.config)
        verdict = judge_case(self.case, run)
        if self.case.family.startswith("reachability."):
            verdict.inconclusive = run.reached[self.case.check.endpoint].reason
            verdict.unjudged = verdict.inconclusive
            verdict.examined -= {self.case.check.id} if verdict.inconclusive else set()
        self.user_properties.append(("contract", payload(verdict)))
        message = problem(verdict, run.settings)
        if message:
            raise Broken(message)
        if verdict.unjudged:
            pytest.skip(verdict.unjudged)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        if isinstance(excinfo.value, Broken):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int, str]:
        return self.path, self.case.rule.__code__.co_firstlineno - 1, self.name


class Broken(Exception):
    """A check was broken; the message describes each finding."""


def problem(verdict: Verdict, settings: RunSettings) -> str:
    """The message of a failing item, "" where it doesn't fail."""
    if verdict.inconclusive:
        return f"inconclusive: {verdict.inconclusive}"
    deciding = [
        finding
        for finding in verdict.findings
        if finding.kind == "broken" and settings.decides(level_of(finding, verdict))
    ]
    return "\n\n".join(story(finding, verdict) for finding in deciding)


def pytest_pycollect_makeitem(
    collector: pytest.Module | pytest.Class, name: str, obj: object
) -> list[pytest.Item] | None:
    """Make items from a rule. Cases that `--only` leaves out get none: creating items takes time."""
    made = getattr(obj, "registration", None)
    if not isinstance(made, Registration):
        return None
    config, items = collector.config, list[pytest.Item]()
    # A run that names a folder above loads this file too late for its options to be registered.
    if not hasattr(config.option, "openpipe_url"):
        config.stash[WITHOUT_OPTIONS] = True
        return []
    only = options_of(config)["only"] or ()
    for case in made.cases(settings_of(config)):
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
    if not options_of(config)["url"] and not config.option.collectonly:
        raise pytest.UsageError(NAMELESS)
    server = server_of(config)
    budget = server.max_requests if server else 10**9
    given = options_of(config)
    cases = [*(item.case for item in own), *config.stash.get(UNASKED, [])]
    only, words = given["only"] or (), given["match"]
    try:
        made = plan(cases, settings_of(config), budget, only, workers(config), words)
    except BadExpression as problem:
        raise pytest.UsageError(f"the expression {words}: {problem}") from None
    config.stash[PLAN] = made
    by_label = {item.case.label: item for item in own}
    assert len(by_label) == len(own), "two cases have the same label"
    for case in made.kept:
        by_label[case.label].case = case
    kept = [by_label.pop(case.label) for case in made.kept]
    items[:] = [*others, *kept]
    config.hook.pytest_deselected(items=[*by_label.values()])
    config.hook.pytest_openpipe_planned(plan=made)
