"""The pytest plugin: registers the fixtures, and the suite's options in a run that names the suite."""

import pytest

pytest_plugins = ("openpipe_mock.testing.fixtures",)
_SUITE = "openpipe_mock.contract_tests"


def pytest_load_initial_conftests(early_config: pytest.Config, args: list[str]) -> None:
    """Register the suite's options where the command line or `testpaths` names the suite."""
    # The suite's conftest would register them too late: pytest may have read the command line by then.
    if any(name.startswith(_SUITE) for name in [*args, *early_config.getini("testpaths")]):
        early_config.pluginmanager.import_plugin("openpipe_mock.contract.options")
