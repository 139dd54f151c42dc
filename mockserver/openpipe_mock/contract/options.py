"""Pytest's options and hooks of the contract suite, registered only in a pytest run that names the suite."""

from typing import TYPE_CHECKING, Any

import pytest

from openpipe_mock.contract.target import RunOptions
from openpipe_mock.core.levels import LEVELS

if TYPE_CHECKING:
    from openpipe_mock.contract.findings import CaseResult, Planned


OPTIONS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("url", {"default": "", "metavar": "URL", "help": "the server to judge, with its /api/v1"}),
    (
        "api-key",
        {"metavar": "KEY", "help": "the key to send; OPENPIPE_API_KEY where that belongs to the host"},
    ),
    ("send-key", {"action": "store_true", "help": "send OPENPIPE_API_KEY to any host"}),
    (
        "criterion",
        {"action": "append", "metavar": "ID", "help": "a criterion that the server knows; repeatable"},
    ),
    ("model", {"action": "append", "metavar": "NAME", "help": "a model that the server knows; repeatable"}),
    (
        "latest",
        {"action": "append", "metavar": "ID=vN", "help": "the latest version of a criterion; repeatable"},
    ),
    ("seed", {"type": int, "default": 0, "metavar": "N", "help": "chooses among the requests of one kind"}),
    ("level", {"choices": LEVELS, "default": "sdk", "help": "up to which word a break is a failure"}),
    ("max-requests", {"type": int, "metavar": "N", "help": "the budget: 400, and 60 for hosts elsewhere"}),
    ("rate", {"type": float, "metavar": "N", "help": "requests a second at most"}),
    (
        "timeout",
        {"type": float, "metavar": "SECONDS", "help": "for one answer: 10, and 60 for hosts elsewhere"},
    ),
    ("thorough", {"action": "store_true", "help": "send every edit of the schemas"}),
    (
        "fuzz",
        {"type": int, "default": 0, "metavar": "N", "help": "that many requests made by Hypothesis as well"},
    ),
    ("large", {"action": "store_true", "help": "texts above 8k for hosts elsewhere too"}),
    ("match", {"default": "", "metavar": "EXPR", "help": "checks whose names fit, as pytest's -k"}),
    (
        "only",
        {"action": "append", "metavar": "ID", "help": "these checks alone; * is a wildcard; repeatable"},
    ),
)


ASKED = pytest.StashKey[RunOptions]()
"""The options of a run that the package starts, which pytest's command line then doesn't have."""
_PLURALS = {"criterion": "criteria", "model": "models"}


def options_of(config: pytest.Config) -> RunOptions:
    """The options of a pytest run; its URL is "" where none is given."""
    if ASKED in config.stash:
        return config.stash[ASKED]
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
