"""The pages on fixtures and the examples, taken at their word: each of their blocks is run."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.environments import ROOT, built, here, installed, node_modules, path_into
from tests.live import INSTALLING, TRUSTING_NOBODY, clean, finished
from tests.markdown import Block, blocks

DOCS = ROOT / "docs"
EXAMPLES = ROOT / "examples"
ENVIRONMENTS = {
    "fixtures.md": "fixtures-openpipe",
    "frameworks/pytest.md": "fixtures-openpipe",
    "frameworks/unittest.md": "fixtures-openpipe",
    "frameworks/fastapi.md": "fixtures-openai",
    "frameworks/langchain.md": "fixtures-openai",
    "frameworks/node.md": "",
}
"""Page → where its Python is run."""
ASYNCIO = "[pytest]\nasyncio_default_fixture_loop_scope = function\n"


def blocks_in(page: str, language: str) -> list[Block]:
    return [block for block in blocks((DOCS / page).read_text("utf-8")) if block.language == language]


def run(command: list[str | Path], folder: Path) -> "subprocess.CompletedProcess[str]":
    variables = clean({"PYTHONDONTWRITEBYTECODE": "1", **TRUSTING_NOBODY})
    return subprocess.run(
        command,
        cwd=folder,
        env=variables,
        capture_output=True,
        encoding="utf-8",
        timeout=INSTALLING,
        check=False,
    )


def pytest_in(environment: str) -> list[str | Path]:
    return [installed(environment, "python"), "-m", "pytest", "-q", "-p", "openpipe_mock.fixtures"]


def test_each_page_is_listed() -> None:
    pages = {str(page.relative_to(DOCS)) for page in DOCS.glob("frameworks/*.md")}
    assert pages | {"fixtures.md"} == set(ENVIRONMENTS)


@pytest.mark.slow
@pytest.mark.parametrize("environment", sorted({where for where in ENVIRONMENTS.values() if where}))
def test_the_tests_on_the_pages_pass(environment: str, tmp_path: Path) -> None:
    """One run for all pages of an environment: most of what it takes is to import the clients."""
    for page in (page for page, where in ENVIRONMENTS.items() if where == environment):
        found = blocks_in(page, "python")
        assert found, page
        for number, block in enumerate(found):
            assert re.search(r"^ *(?:async )?def test_", block.code, re.MULTILINE)
            (tmp_path / f"test_{Path(page).stem}_{number}.py").write_text(block.code)
    (tmp_path / "pytest.ini").write_text(ASYNCIO)
    done = run([*pytest_in(environment), "-p", "no:cacheprovider"], tmp_path)
    assert done.returncode == 0, done.stdout


@pytest.mark.slow
def test_the_tests_of_unittest_pass_without_pytest(tmp_path: Path) -> None:
    [block] = blocks_in("frameworks/unittest.md", "python")
    (tmp_path / "tests.py").write_text(block.code)
    done = run([installed("fixtures-openpipe", "python"), "tests.py"], tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Ran 2 tests" in done.stderr


@pytest.mark.slow
def test_a_failed_assertion_reads_as_the_page_says(tmp_path: Path) -> None:
    [told] = blocks_in("fixtures.md", "text")
    test = (
        "import httpx, openpipe_mock\n"
        "body = {'criterion_id': 'helpful', 'output': {'role': 'assistant', 'content': '1, 2, 4.'}}\n"
        "with openpipe_mock.patched() as mock:\n"
        "    url = 'https://api.openpipe.ai/api/v1/criteria/judge'\n"
        "    httpx.post(url, json=body, headers={'authorization': 'Bearer op-local'})\n"
        "try:\n"
        "    mock.judged('helpful', output='1, 2, 3.')\n"
        "except AssertionError as error:\n"
        "    print(error)\n"
    )
    assert run([sys.executable, "-c", test], tmp_path).stdout == told.code


def node_project(folder: Path) -> Path:
    (folder / "node_modules").symlink_to(node_modules())
    return folder


@pytest.mark.slow
def test_the_tests_on_the_page_for_node_pass(tmp_path: Path) -> None:
    [config] = blocks_in("frameworks/node.md", "yaml")
    (tmp_path / "openpipe-mock.yaml").write_text(config.code)
    for number, block in enumerate(blocks_in("frameworks/node.md", "js")):
        (tmp_path / f"{number}.test.mjs").write_text(block.code)
    done = run([here("openpipe-mock"), "exec", "--", "node", "--test"], node_project(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^# pass 2$", done.stdout, re.MULTILINE)


def test_each_link_on_the_pages_leads_somewhere() -> None:
    for page in ENVIRONMENTS:
        text = (DOCS / page).read_text("utf-8")
        for target, anchor in re.findall(r"\]\(([^)#:]*)(#[\w-]+)?\)", text):
            file = (DOCS / page).parent / target if target else DOCS / page
            assert file.is_file(), f"{page}: {target}"
            headings = re.findall(r"^#+ (.+)$", file.read_text("utf-8"), re.MULTILINE)
            slugs = [re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings]
            assert not anchor or anchor[1:] in slugs, f"{page}: {target}{anchor}"


# Examples.


WORKFLOW = yaml.safe_load((EXAMPLES / ".github" / "workflows" / "tests.yml").read_text("utf-8"))
SAID = {"python": "3 passed", "node": "npm test passed; 3 requests"}
"""Job → what one of its steps says."""


@pytest.mark.slow
@pytest.mark.parametrize("job", WORKFLOW["jobs"])
def test_a_job_of_the_workflow_passes(job: str, tmp_path: Path) -> None:
    """Each of its commands, in a copy of the examples, with the built wheel in `wheels`."""
    project = shutil.copytree(EXAMPLES, tmp_path / "project", ignore=shutil.ignore_patterns("wheels"))
    (project / "wheels").mkdir()
    shutil.copy(built(".whl"), project / "wheels")
    environment = installed("examples", "python").parents[1]
    variables = clean({"PATH": path_into(environment, tmp_path / "bin"), "PYTHONDONTWRITEBYTECODE": "1"})
    described = WORKFLOW["jobs"][job]
    folder = project / described["defaults"]["run"]["working-directory"]
    said = ""
    for step in described["steps"]:
        if step.get("run") == "npm install":
            node_project(folder)
        elif "run" in step:
            done = finished(["sh", "-euc", step["run"]], variables, cwd=folder)
            said += done.stdout + done.stderr
            assert done.returncode == 0, said
    assert SAID[job] in said
    [*reports] = [step["with"]["path"] for step in described["steps"] if "path" in step.get("with", {})]
    assert [report for report in reports if not (project / report).is_file()] == []
