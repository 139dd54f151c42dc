"""The pytest plugin: the fixtures, and the contract suite's options in a run that names the suite."""

import pytest

pytest_plugins = ("openpipe_mock.testing.fixtures",)
SUITE = "openpipe_mock.contract_tests"


def pytest_load_initial_conftests(early_config: pytest.Config, args: list[str]) -> None:
    """Register the suite's options before the command line is read: its conftest may come too late."""
    if any(name.startswith(SUITE) for name in [*args, *early_config.getini("testpaths")]):
        early_config.pluginmanager.import_plugin("openpipe_mock.contract.options")
