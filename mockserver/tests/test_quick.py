"""What `make quick` leaves out, what it forbids, and what the workflows run."""

from pathlib import Path

import pytest
import yaml

from tests.conftest import BEGINNINGS, refuse
from tests.environments import CLIENTS, ROOT, here
from tests.live import finished, run

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


@pytest.mark.parametrize("event", sorted(BEGINNINGS))
def test_a_quick_run_refuses_a_new_process(event: str) -> None:
    with pytest.raises(AssertionError, match=f"{event} in a quick run: mark the test `slow`"):
        refuse(event, ())


def test_a_quick_run_refuses_a_client_that_is_installed() -> None:
    with pytest.raises(AssertionError, match="clients/node is opened in a quick run"):
        refuse("open", (CLIENTS / "node", "r", 0))
    refuse("open", (str(ROOT / "README.md"), "r", 0))
    refuse("open", (3, "r", 0))
    refuse("import", ("subprocess",))


TESTS = """
import subprocess
import pytest

@pytest.mark.slow
def test_slow():
    subprocess.run(["true"], check=True)

def test_wrongly_selected():
    subprocess.run(["true"], check=True)

def test_of_the_live_mock(live):
    pass
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("flags", "outcome"), [(["--quick"], "1 failed, 2 deselected"), ([], "3 passed")], ids=["quick", "whole"]
)
def test_what_is_slow_is_left_out_and_what_starts_a_process_all_the_same_fails(
    flags: list[str], outcome: str, tmp_path: Path
) -> None:
    (tmp_path / "test_them.py").write_text(TESTS)
    (tmp_path / "conftest.py").write_text("from tests.conftest import *\n")
    settings = ("-c", str(ROOT / "pyproject.toml"), "--rootdir", str(tmp_path))
    done = finished([here("python"), "-m", "pytest", "-q", *settings, *flags, tmp_path])
    assert outcome in done.stdout, done.stdout
    assert ("mark the test `slow`" in done.stdout) == bool(flags)


@pytest.mark.slow
def test_the_workflows_make_what_there_is_to_make() -> None:
    told = run(["make", "help"], cwd=ROOT)
    steps = [
        step["run"]
        for workflow in WORKFLOWS
        for job in yaml.safe_load(workflow.read_text("utf-8"))["jobs"].values()
        for step in job["steps"]
        if "run" in step
    ]
    made = [step.split()[1] for step in steps if step.startswith("make ")]
    assert made == ["all", "test"]
    assert all(f"make {target} " in told for target in made)
