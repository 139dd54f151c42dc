"""The pytest plugin in projects that don't ask for it: it takes no name that may be theirs, and no time."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from openpipe_mock.contract.options import OPTIONS
from tests.environments import ROOT, here, installed
from tests.live import clean, run

PLUGIN = ("--disable-plugin-autoload", "-p", "openpipe_mock.pytest_plugin")
SUITE = ROOT / "contract_tests"
URL = "http://127.0.0.1:9/api/v1"


def pytest_run(
    folder: Path, *flags: str | Path, command: tuple[str | Path, ...] = (sys.executable, "-m", "pytest")
) -> "subprocess.CompletedProcess[str]":
    """Pytest in a project of a user's."""
    environment = clean({"PYTHONDONTWRITEBYTECODE": "1"})
    return subprocess.run(
        [*command, "-p", "no:cacheprovider", *flags],
        cwd=folder,
        env=environment,
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )


# Options and markers.

THEIR_CONFTEST = """
def pytest_addoption(parser):
    parser.addoption("--contract-url", default="theirs")
    parser.addoption("--url", dest="contract_seed")


def pytest_configure(config):
    config.addinivalue_line("markers", "contract: theirs")
"""
THEIR_TEST = """
import pytest


@pytest.mark.contract
def test_theirs(pytestconfig):
    assert pytestconfig.getoption("--contract-url") == "theirs"
    assert not [name for name in vars(pytestconfig.option) if name.startswith("openpipe")]
"""


@pytest.mark.slow
def test_options_and_markers_of_a_user_clash_with_none_of_ours(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(THEIR_CONFTEST)
    (tmp_path / "test_theirs.py").write_text(THEIR_TEST)
    done = pytest_run(tmp_path, *PLUGIN, "--strict-markers", "-W", "error")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_a_marker_of_a_user_that_he_did_not_register_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "test_theirs.py").write_text(THEIR_TEST)
    done = pytest_run(tmp_path, *PLUGIN, "--strict-markers")
    assert done.returncode == 2
    assert "'contract' not found in `markers`" in done.stdout


@pytest.mark.slow
def test_a_run_has_our_markers_for_its_tests_and_no_option_of_ours(tmp_path: Path) -> None:
    done = pytest_run(tmp_path, *PLUGIN, "--markers")
    ours = [line for line in done.stdout.splitlines() if "openpipe" in line and line.startswith("@")]
    assert [line.partition("(")[0] for line in ours] == [
        "@pytest.mark.openpipe_variants",
        "@pytest.mark.openpipe",
    ]
    assert "--openpipe-" not in pytest_run(tmp_path, *PLUGIN, "--help").stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("ini", "named"),
    [
        ("", ["--pyargs", "openpipe_mock.contract_tests"]),
        ("", ["--pyargs", "openpipe_mock.contract_tests.test_errors"]),
        ("", [str(SUITE)]),
        ("addopts = --pyargs\ntestpaths = openpipe_mock.contract_tests", []),
    ],
    ids=["name", "module", "path", "testpaths"],
)
def test_a_run_that_names_the_suite_has_its_options(ini: str, named: list[str], tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text(f"[pytest]\n{ini}\n")
    rootdir = ["--rootdir", str(tmp_path), "-c", str(tmp_path / "pytest.ini")]
    shown = pytest_run(tmp_path, *PLUGIN, *rootdir, *named, "--help").stdout
    assert [flag.name for flag in OPTIONS if f"--openpipe-{flag.name}" not in shown] == []
    assert "--contract-" not in shown


@pytest.mark.slow
def test_the_suite_in_a_run_that_does_not_name_it_says_how_to(tmp_path: Path) -> None:
    """As where pytest is given a folder above it: its options come too late to be read."""
    above = (ROOT, "--rootdir", ROOT, "-c", tmp_path / "pytest.ini", "--ignore", ROOT / "mockserver")
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    done = pytest_run(tmp_path, *PLUGIN, *above, "--ignore", ROOT / "examples")
    assert done.returncode == 4
    assert "pytest --pyargs openpipe_mock.contract_tests --openpipe-url http://" in done.stdout + done.stderr


# What it costs.

PLAIN = """
import sys


def test_plain():
    import json

    with open("modules.json", "w") as file:
        json.dump(sorted(sys.modules), file)
"""
OURS = {
    "openpipe_mock",
    "openpipe_mock.testing",
    "openpipe_mock.testing.fixtures",
    "openpipe_mock.testing.marker",
    "openpipe_mock.pytest_plugin",
    "openpipe_mock.testing.variant_marks",
}


def imported(folder: Path, python: Path, *flags: str) -> set[str]:
    """What is imported in a run of one test that uses nothing."""
    (folder / "test_plain.py").write_text(PLAIN)
    done = pytest_run(folder, *flags, command=(python, "-m", "pytest"))
    assert done.returncode == 0, done.stdout + done.stderr
    return set(json.loads((folder / "modules.json").read_text()))


@pytest.mark.slow
def test_a_run_that_does_not_use_it_imports_few_small_modules(tmp_path: Path) -> None:
    without = imported(tmp_path, here("python"), "--disable-plugin-autoload")
    assert imported(tmp_path, here("python"), *PLUGIN) - without == OURS


@pytest.mark.slow
def test_the_extra_for_tests_brings_no_plugin_that_imports_a_client(tmp_path: Path) -> None:
    """As installed: with all that the extra brings, and with every plugin that pytest finds."""
    found = imported(tmp_path, installed("mockserver-client", "python"))
    assert found >= OURS
    assert {name for name in found if name.startswith("openpipe_mock")} == OURS
    heavy = {"httpx", "respx", "hypothesis", "orjson", "starlette", "uvicorn", "yaml"}
    assert sorted(heavy & found) == []


# Files of a user that bear the package's name.


@pytest.mark.slow
@pytest.mark.parametrize(
    "test", ["from openpipe_mock import FakeClient", "import openpipe_mock\nopenpipe_mock.FakeClient"]
)
def test_a_file_that_the_package_hides_is_named(test: str, tmp_path: Path) -> None:
    (tmp_path / "openpipe_mock.py").write_text("class FakeClient: ...\n")
    (tmp_path / "test_theirs.py").write_text(f"{test}\n")
    done = pytest_run(tmp_path, *PLUGIN, command=(here("pytest"),))
    assert f"has no 'FakeClient'. Did you mean that of {tmp_path / 'openpipe_mock.py'}?" in done.stdout
    assert "rename your file" in done.stdout


@pytest.mark.slow
def test_what_the_package_has_is_found_beside_such_a_file(tmp_path: Path) -> None:
    (tmp_path / "openpipe_mock.py").write_text("")
    (tmp_path / "test_theirs.py").write_text(
        "import openpipe_mock\n"
        "from openpipe_mock import edits, patched\n\n\n"
        "def test_theirs():\n"
        "    assert not hasattr(openpipe_mock, '__wrapped__')\n"
    )
    done = pytest_run(tmp_path, *PLUGIN, command=(here("pytest"),))
    assert done.returncode == 0, done.stdout


@pytest.mark.slow
def test_a_file_that_hides_the_package_ends_pytest_in_words_that_the_page_explains(
    tmp_path: Path,
) -> None:
    """None of our code runs then."""
    (tmp_path / "openpipe_mock.py").write_text("")
    (tmp_path / "pytest.ini").write_text("[pytest]\npythonpath = .\n")
    words = "No module named 'openpipe_mock.pytest_plugin'; 'openpipe_mock' is not a package"
    assert words in pytest_run(tmp_path).stderr
    assert f"| `{words}` |" in (ROOT / "docs" / "frameworks" / "pytest.md").read_text("utf-8")


# As a module.


@pytest.mark.slow
def test_the_package_runs_as_a_module_and_says_so(tmp_path: Path) -> None:
    told = run([here("python"), "-m", "openpipe_mock", "config", "check", "--help"], cwd=tmp_path)
    assert told.startswith("Usage: python -m openpipe_mock config check ")
