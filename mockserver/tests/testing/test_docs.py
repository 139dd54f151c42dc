"""The pages on fixtures and the examples, taken at their word: each of their blocks is run."""

import re
import shutil
import subprocess
from pathlib import Path

import httpx
import pytest
import yaml

import openpipe_mock
from openpipe_mock.config.file import read_config
from openpipe_mock.testing.interception import PATCHED_OPTIONS
from tests.environments import ROOT, built, here, installed, node_modules, path_into
from tests.live import INSTALLING, TRUSTING_NOBODY, clean, finished
from tests.markdown import Block, blocks, section
from tests.testing.test_fixture_clients import PAGES as PAGES_WITH_TESTS
from tests.testing.test_fixture_clients import blocks_with_tests

DOCS = ROOT / "docs"
EXAMPLES = ROOT / "examples"
PAGES = ["fixtures.md", *sorted(f"frameworks/{page.name}" for page in DOCS.glob("frameworks/*.md"))]


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


def test_the_tests_on_each_page_are_run() -> None:
    """The Python ones with the clients' own tests, those for Node below. `make agents` runs agents."""
    pages = {f"docs/{page}" for page in PAGES}
    others = {"docs/frameworks/node.md", "docs/frameworks/agents.md"}
    assert pages | {"README.md"} == PAGES_WITH_TESTS.keys() | others


def test_the_scripts_on_the_page_for_agents_are_read() -> None:
    [script] = blocks_in("frameworks/agents.md", "yaml")
    assert len(read_config(script.code.encode()).completions) == 2


@pytest.mark.parametrize("page", PAGES)
def test_each_python_block_on_a_page_holds_a_test(page: str) -> None:
    assert [block.code for block in blocks_in(page, "python")] == blocks_with_tests(f"docs/{page}")


@pytest.mark.slow
def test_the_tests_of_unittest_pass_without_pytest(tmp_path: Path) -> None:
    [block] = blocks_in("frameworks/unittest.md", "python")
    (tmp_path / "tests.py").write_text(block.code)
    done = run([installed("fixtures-openpipe", "python"), "tests.py"], tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Ran 2 tests" in done.stderr


def test_the_page_has_every_option() -> None:
    options = section((DOCS / "fixtures.md").read_text("utf-8"), "## Options")
    assert [name for name in PATCHED_OPTIONS if f"`{name}`" not in options] == []


def test_a_failed_assertion_reads_as_the_page_says() -> None:
    [told, _] = blocks_in("fixtures.md", "text")
    body = {"criterion_id": "helpful", "output": {"role": "assistant", "content": "1, 2, 4."}}
    with openpipe_mock.patched() as mock:
        url = "https://api.openpipe.ai/api/v1/criteria/judge"
        httpx.post(url, json=body, headers={"authorization": "Bearer op-local"})
    with pytest.raises(AssertionError) as caught:
        mock.judged("helpful", output="1, 2, 3.")
    assert f"{caught.value}\n" == told.code


def test_what_was_never_used_reads_as_the_page_says() -> None:
    [_, told] = blocks_in("fixtures.md", "text")
    with openpipe_mock.patched(unknown_criteria="judge") as mock:
        mock.completion("Sunny.", when={"last_user": {"contains": "weather"}})
        mock.criterion("helpfull").score(1)
        body = {"model": "openai:gpt-4o-mini", "messages": [{"role": "user", "content": "The wether?"}]}
        headers = {"authorization": "Bearer op-local", "op-criteria": '["helpful"]'}
        httpx.post("https://api.openpipe.ai/api/v1/chat/completions", json=body, headers=headers)
    with pytest.raises(AssertionError) as caught:
        mock.assert_all_used()
    assert f"{caught.value}\n" == told.code


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
    for page in PAGES:
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
