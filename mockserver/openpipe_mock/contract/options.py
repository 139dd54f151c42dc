"""Pytest's options and hooks of the contract suite, registered only in a pytest run that names the suite."""

from typing import TYPE_CHECKING, Any

import pytest

from openpipe_mock.contract.target import RunOptions
from openpipe_mock.core.levels import LEVELS

if TYPE_CHECKING:
    from openpipe_mock.contract.findings import CaseResult, Planned


def _value(metavar: str, words: str, kind: type = str) -> dict[str, Any]:
    return {"metavar": metavar, "help": words, "type": kind}


def _repeated(metavar: str, words: str) -> dict[str, Any]:
    return {"metavar": metavar, "help": f"{words}; repeatable", "action": "append"}


def _flag(words: str) -> dict[str, Any]:
    return {"help": words, "action": "store_true"}


OPTIONS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("url", _value("URL", "the server to judge, with its /api/v1")),
    ("api-key", _value("KEY", "the key to send; OPENPIPE_API_KEY where that belongs to the host")),
    ("send-key", _flag("send OPENPIPE_API_KEY to any host")),
    ("criterion", _repeated("ID", "a criterion that the server knows")),
    ("model", _repeated("NAME", "a model that the server knows")),
    ("latest", _repeated("ID=vN", "the latest version of a criterion")),
    ("seed", _value("N", "chooses among the requests of one kind", int)),
    ("level", {"choices": LEVELS, "help": "up to which word a break is a failure"}),
    ("max-requests", _value("N", "the budget: 400, and 60 for hosts elsewhere", int)),
    ("rate", _value("N", "requests a second at most", float)),
    ("timeout", _value("SECONDS", "for one answer: 10, and 60 for hosts elsewhere", float)),
    ("thorough", _flag("send every edit of the schemas")),
    ("fuzz", _value("N", "that many requests made by Hypothesis as well", int)),
    ("large", _flag("texts above 8k for hosts elsewhere too")),
    ("match", _value("EXPR", "checks whose names fit, as pytest's -k")),
    ("only", _repeated("ID", "these checks alone; * is a wildcard")),
)
"""Name, behind `--openpipe-`, and what pytest has to know of it. Defaults are those of RunOptions."""

RUN_OPTIONS = pytest.StashKey[RunOptions]()
"""The options of a run that the package starts, which pytest's command line then doesn't have."""
_PLURALS = {"criterion": "criteria", "model": "models"}


def options_of(config: pytest.Config) -> RunOptions:
    """The options of a pytest run; its URL is "" where none is given."""
    if RUN_OPTIONS in config.stash:
        return config.stash[RUN_OPTIONS]
    given: dict[str, Any] = {}
    for name, _ in OPTIONS:
        value = config.getoption(f"--openpipe-{name}")
        if value is not None:
            plain = tuple(value) if isinstance(value, list) else value
            given[_PLURALS.get(name, name.replace("-", "_"))] = plain
    return RunOptions(**given)


class _Hooks:
    """Hooks that the suite calls."""

    def pytest_openpipe_planned(self, planned: "Planned") -> None:
        """Called when the items are ordered and cut, and before anything is sent."""

    def pytest_openpipe_judged(self, item: pytest.Item, result: "CaseResult") -> None:
        """Called when an item's case was judged."""


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    pluginmanager.add_hookspecs(_Hooks)


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("openpipe-mock", "the contract suite of openpipe-mock")
    for name, settings in OPTIONS:
        group.addoption(f"--openpipe-{name}", **settings)


def pytest_configure(config: pytest.Config) -> None:
    words = "openpipe_contract(id, level, cost): a check of openpipe-mock's contract suite"
    config.addinivalue_line("markers", words)
