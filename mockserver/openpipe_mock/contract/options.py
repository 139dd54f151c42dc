"""Pytest's options and hooks of the contract suite, registered only in a pytest run that names the suite."""

from argparse import ArgumentTypeError
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from openpipe_mock.contract.flags import FLAGS, Flag
from openpipe_mock.contract.target import RunOptions
from openpipe_mock.core.wording import listed, quoted

if TYPE_CHECKING:
    from openpipe_mock.contract.findings import CaseResult, Planned
    from openpipe_mock.contract.probe import Exchange


URL = Flag("url", "The server to judge, with its /api/v1.", "URL")
OPTIONS = (URL, *FLAGS)
"""The options of the suite under pytest, each behind `--openpipe-`."""


def addoption_arguments(flag: Flag) -> dict[str, Any]:
    """What pytest has to know of a flag."""
    if flag.kind is bool:
        return {"help": flag.help, "action": "store_true"}
    if flag.choices:
        return {"help": flag.help, "metavar": f"{{{','.join(flag.choices)}}}", "type": _reader(flag)}
    if flag.repeated:
        return {"help": f"{flag.help} Repeatable.", "metavar": flag.metavar, "action": "append"}
    return {"help": flag.help, "metavar": flag.metavar, "type": _reader(flag)}


def _reader(flag: Flag) -> Callable[[str], Any]:
    """What reads the value of a flag; it refuses others in plain words."""
    expected = listed(map(quoted, flag.choices), "or") or _NOUNS.get(flag.kind, "")

    def read(text: str) -> Any:
        with suppress(ValueError):
            if not flag.choices or text in flag.choices:
                return flag.kind(text)
        raise ArgumentTypeError(f"expected {expected}, got {quoted(text)}.")

    return read


_NOUNS = {int: "a whole number", float: "a number"}


RUN_OPTIONS = pytest.StashKey[RunOptions]()
"""The options of a run that the package starts, which pytest's command line then doesn't have."""


def options_of(config: pytest.Config) -> RunOptions:
    """The options of a pytest run; its URL is "" where none is given."""
    if RUN_OPTIONS in config.stash:
        return config.stash[RUN_OPTIONS]
    given: dict[str, Any] = {}
    for flag in OPTIONS:
        value = config.getoption(f"--openpipe-{flag.name}")
        if value is not None:
            given[flag.option] = tuple(value) if isinstance(value, list) else value
    return RunOptions(**given)


class _Hooks:
    """Hooks that the suite calls."""

    def pytest_openpipe_planned(self, planned: "Planned") -> None:
        """Called when the items are ordered and cut, and before anything is sent."""

    def pytest_openpipe_exchanged(self, exchange: "Exchange") -> None:
        """Called with each answer that a case has asked for, before the case is judged."""

    def pytest_openpipe_judged(self, item: pytest.Item, result: "CaseResult") -> None:
        """Called when an item's case was judged."""

    def pytest_openpipe_waiting(self, seconds: float) -> None:
        """Called in any thread before a wait for a busy server."""

    def pytest_openpipe_ended(self, requests: int, remarks: tuple[str, ...]) -> None:
        """Called when nothing more is sent, with the number of all requests, and sentences for the user."""


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    pluginmanager.add_hookspecs(_Hooks)


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("openpipe-mock", "the contract suite of openpipe-mock")
    for flag in OPTIONS:
        group.addoption(f"--openpipe-{flag.name}", **addoption_arguments(flag))


def pytest_configure(config: pytest.Config) -> None:
    # Each process would ask everything again, with a budget of its own.
    if getattr(config.option, "tx", None):
        raise pytest.UsageError("pytest-xdist can't share this run: leave out -n, and pass --openpipe-jobs N")
    words = "openpipe_contract(id, level, cost): a check of openpipe-mock's contract suite"
    config.addinivalue_line("markers", words)
