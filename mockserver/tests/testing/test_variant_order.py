"""The marker `openpipe_variants`, in a user's own test suite."""

import pytest

from tests.environments import here
from tests.live import finished

pytestmark = pytest.mark.slow

THEIRS = """
import httpx
import pytest

URL = "https://api.openpipe.ai/api/v1/chat/completions"
BODY = {"model": "openai:x", "messages": [{"role": "user", "content": "Count to 3"}], "stream": True}
KEY = {"authorization": "Bearer op-local"}


@pytest.mark.openpipe_variants("no-done")
def test_waits_for_done(openpipe_mock):
    assert "[DONE]" in httpx.post(URL, json=BODY, headers=KEY).text


@pytest.mark.openpipe_variants(2)
def test_is_content(openpipe_server):
    answer = httpx.post(f"{openpipe_server.base_url}/chat/completions", json=BODY, headers=KEY)
    assert answer.status_code in (200, 429, 503)


@pytest.mark.openpipe(variant="no-done")
def test_one_variant(openpipe_mock):
    assert "[DONE]" not in httpx.post(URL, json=BODY, headers=KEY).text
"""
NO_MOCK = """
import pytest


@pytest.mark.openpipe_variants(1)
def test_uses_no_mock():
    pass
"""


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What pytest prints in a project with both of these files."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "test_theirs.py").write_text(THEIRS)
    (folder / "test_no_mock.py").write_text(NO_MOCK)
    flags = ["-rA", "-W", "error", "--continue-on-collection-errors"]
    return finished([here("python"), "-m", "pytest", *flags], cwd=folder).stdout


def test_a_marked_test_runs_again_under_variants(printed: str) -> None:
    lines = [line.partition(" - ")[0] for line in printed.splitlines()]
    assert "PASSED test_theirs.py::test_waits_for_done[plain]" in lines
    assert "FAILED test_theirs.py::test_waits_for_done[no-done]" in lines
    assert sum(line.startswith("PASSED test_theirs.py::test_is_content[") for line in lines) == 3
    assert "PASSED test_theirs.py::test_one_variant" in lines
    assert "again: pytest 'test_theirs.py::test_waits_for_done[no-done]'" in printed


def test_a_marked_test_without_a_mock_is_told_so(printed: str) -> None:
    assert "ERROR collecting test_no_mock.py" in printed
    assert "needs a test that uses openpipe_mock or openpipe_server" in printed
    assert "During handling of the above exception" not in printed
