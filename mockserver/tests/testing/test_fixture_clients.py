"""The fixtures with real clients, in test runs where those are installed: see `clients/python-fixtures-*`."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.environments import ROOT, TESTS, installed
from tests.live import TRUSTING_NOBODY, finished
from tests.markdown import blocks

CLIENTS = TESTS / "clients"
SCRIPTS = {
    "fixtures-litellm": ["check_leaks", "check_litellm", "check_other_guards", "check_tools"],
    "fixtures-openai": ["check_misses", "check_neighbours", "check_openai", "check_tasks", "check_tracers"],
    "fixtures-openpipe": ["check_every_method", "check_instructor", "check_openpipe"],
}
"""Environment → the scripts that are run there."""
PAGES = {
    "README.md": "fixtures-openpipe",
    "docs/fixtures.md": "fixtures-openpipe",
    "docs/frameworks/pytest.md": "fixtures-openpipe",
    "docs/frameworks/unittest.md": "fixtures-openpipe",
    "docs/frameworks/fastapi.md": "fixtures-openai",
    "docs/frameworks/langchain.md": "fixtures-openai",
}
"""Page → where the tests on it are run."""


def test_each_script_is_listed() -> None:
    found = CLIENTS.glob("python-fixtures-*/check_*.py")
    listed = {(environment, script) for environment, scripts in SCRIPTS.items() for script in scripts}
    assert {(path.parent.name.removeprefix("python-"), path.stem) for path in found} == listed


def blocks_with_tests(page: str) -> list[str]:
    """The blocks of a page that hold tests."""
    found = [block.code for block in blocks((ROOT / page).read_text("utf-8")) if block.language == "python"]
    return [code for code in found if re.search(r"^ *(?:async )?def test_", code, re.MULTILINE)]


def page_tests(environment: str, folder: Path) -> Iterator[Path]:
    """Each of the blocks for an environment as a file in a folder."""
    for page in (page for page, where in PAGES.items() if where == environment):
        for number, code in enumerate(blocks_with_tests(page)):
            path = folder / f"test_{Path(page).stem}_{number}.py"
            path.write_text(code, "utf-8")
            yield path


@pytest.mark.slow
@pytest.mark.parametrize("environment", SCRIPTS)
def test_clients_with_the_fixtures(environment: str, tmp_path: Path) -> None:
    """As its users test: sync and async, by all libraries, under faults, beside other tools, as on the pages.

    One run for all of an environment: most of what it takes is to import the clients.
    """
    scripts = [CLIENTS / f"python-{environment}" / f"{script}.py" for script in SCRIPTS[environment]]
    files = [*scripts, *page_tests(environment, tmp_path)]
    python, settings = installed(environment, "python"), CLIENTS / "fixtures.ini"
    variables = {"PYTHONDONTWRITEBYTECODE": "1", **TRUSTING_NOBODY}
    done = finished([python, "-m", "pytest", "-q", "-c", settings, *files], variables, cwd=ROOT)
    assert done.returncode == 0, done.stdout
