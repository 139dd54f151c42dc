"""The marker `openpipe_variants`, in a user's own test suite."""

from pathlib import Path

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


def test_a_marked_test_runs_again_under_variants(tmp_path: Path) -> None:
    (tmp_path / "test_theirs.py").write_text(THEIRS)
    done = finished([here("python"), "-m", "pytest", "-rA", "-W", "error"], cwd=tmp_path)
    lines = [line.partition(" - ")[0] for line in done.stdout.splitlines()]
    assert "PASSED test_theirs.py::test_waits_for_done[plain]" in lines
    assert "FAILED test_theirs.py::test_waits_for_done[no-done]" in lines
    assert sum(line.startswith("PASSED test_theirs.py::test_is_content[") for line in lines) == 3
    assert "PASSED test_theirs.py::test_one_variant" in lines
    assert "again: pytest 'test_theirs.py::test_waits_for_done[no-done]'" in done.stdout


def test_a_marked_test_without_a_mock_is_told_so(tmp_path: Path) -> None:
    (tmp_path / "test_theirs.py").write_text(NO_MOCK)
    done = finished([here("python"), "-m", "pytest"], cwd=tmp_path)
    assert "needs a test that uses openpipe_mock or openpipe_server" in done.stdout
    assert "During handling of the above exception" not in done.stdout
