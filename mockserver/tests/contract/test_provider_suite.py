"""The provider's own tests, as they lie in the wheel of its Python client, against a running mock.

What can't pass is on record with the reason: what is not has to pass, and what is has to fail.
"""

import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import pytest
import trustme

from tests.environments import found, installed
from tests.live import PROVIDER, Live, finished, serving

pytestmark = pytest.mark.slow

TESTS_IN_THE_WHEEL = 147
KEYS = ("op-provider-0", "op-provider-1", "op-provider-2")
OPENAI_KEY = "sk-provider"
"""Another key than the project's: the log of a project doesn't hold what goes to OpenAI."""
GROUPS = len(KEYS)
"""So many processes share the tests, each with a key, so a log, of its own: many look at the latest call."""

BOTH = ("async", "sync")


def each(pattern: str, *names: str) -> tuple[str, ...]:
    """The ids of tests in the files that a pattern names, `{}` standing for `async` and `sync`."""
    return tuple(f"{pattern.format(way)}::{name.format(way)}" for way in BOTH for name in names)


CANNOT_PASS: Mapping[str, tuple[str, ...]] = {
    "it asks Anthropic's own API for a message": each(
        "reporting/test_{}_reporting.py", "test_{}_report_anthropic"
    ),
}

MAY_FAIL = {"fallback/test_async_fallback.py::test_async_fallback_if_timeout_is_zero"}
"""It expects that nothing comes within no time; a client that waited for the processor finds an answer."""

LEFT_OUT_BY_THE_PROVIDER = (
    *each(
        "platform/create_model/test_{}_create_model.py",
        "test_creates_fine_tune_from_base_checkpoint",
        "test_creates_fine_tune_with_deprecated_hyperparameters",
        "test_creates_fine_tune_with_dpo",
        "test_creates_fine_tune_with_sft_hyperparameters",
    ),
    *each(
        "update_logged_call_tags/test_{}_update_logged_call_tags.py",
        "test_{}_deletes_from_all_logged_calls_when_no_filters_provided",
    ),
    "test_async_client.py::test_async_bad_openai_call_base_sdk",
)
"""Tests that are marked to be skipped in the wheel itself."""


class Outcome(NamedTuple):
    kind: str
    """`passed`, `skipped`, `failure` or `error`."""
    text: str


@pytest.fixture(scope="module")
def server() -> Iterator[Live]:
    with serving("--quiet", f"--config={PROVIDER}") as server:
        yield server


@pytest.fixture(scope="module")
def outcomes(server: Live, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Outcome]:
    """What became of each of the tests."""
    folder = tmp_path_factory.mktemp("provider")
    nobody = folder / "nobody.pem"
    trustme.CA().cert_pem.write_to_path(str(nobody))
    with ThreadPoolExecutor(GROUPS) as pool:
        groups = pool.map(lambda group: run_group(server, folder, group), range(GROUPS))
        return {name: outcome for group in groups for name, outcome in group.items()}


def suite() -> Path:
    """The folder with the tests."""
    [packages] = (installed("openpipe", "python").parent.parent / "lib").glob("python*/site-packages")
    return found(packages / "openpipe" / "test")


def run_group(server: Live, folder: Path, group: int) -> Mapping[str, Outcome]:
    """Run a group's share of the files where they lie, with the environment's own pytest."""
    files = [path for path in sorted(suite().rglob("test_*.py")) if path.is_file()]
    report = folder / f"{group}.xml"
    options = [
        *("-c", os.devnull, "--rootdir", suite(), "--import-mode=importlib", "-p", "no:cacheprovider"),
        *("-o", "asyncio_mode=auto", "-o", "junit_family=xunit1", f"--junitxml={report}"),
    ]
    pytest_there: list[str | Path] = [installed("openpipe", "python"), "-m", "pytest"]
    command = [*pytest_there, *map(str, options), *files[group::GROUPS]]
    done = finished(command, environment(server, folder, KEYS[group]), cwd=folder)
    assert done.returncode in (0, 1), f"{done.stdout}\n{done.stderr}"
    return read(report)


def environment(server: Live, folder: Path, key: str) -> dict[str, str]:
    """What leads the tests to the mock and keeps them from anything else.

    A file `.env` further up is not read, and no certificate is trusted, so nobody is ever reached by https.
    """
    return {
        "OPENPIPE_BASE_URL": server.base_url,
        "OPENPIPE_BASE_URL_LOCAL": server.base_url,
        "OPENPIPE_API_KEY": key,
        "OPENPIPE_API_KEY_LOCAL": key,
        "OPENAI_BASE_URL": server.base_url,
        "OPENAI_API_KEY": OPENAI_KEY,
        "ANTHROPIC_BASE_URL": server.origin,
        "ANTHROPIC_API_KEY": "sk-provider",
        "ENVIRONMENT": "test",
        "PYTHON_DOTENV_DISABLED": "true",
        "PYTHONDONTWRITEBYTECODE": "1",
        "SSL_CERT_FILE": str(folder / "nobody.pem"),
    }


def read(report: Path) -> Mapping[str, Outcome]:
    """The outcomes in a report of pytest's."""
    outcomes = {}
    for case in ElementTree.parse(report).iter("testcase"):
        inside = case.get("classname", "").rpartition(".")[2]
        name = f"{inside}::{case.get('name')}" if inside.startswith("Test") else case.get("name")
        bad = next((child for child in case if child.tag in ("skipped", "failure", "error")), None)
        outcome = Outcome("passed", "") if bad is None else Outcome(bad.tag, bad.get("message", ""))
        outcomes[f"{case.get('file')}::{name}"] = outcome
    return outcomes


def test_all_tests_of_the_wheel_were_met(outcomes: Mapping[str, Outcome]) -> None:
    assert len(outcomes) == TESTS_IN_THE_WHEEL


def test_what_is_not_on_record_passes(outcomes: Mapping[str, Outcome]) -> None:
    recorded = {name for names in CANNOT_PASS.values() for name in names} | set(LEFT_OUT_BY_THE_PROVIDER)
    recorded |= MAY_FAIL
    failed = {
        name: outcome.text
        for name, outcome in outcomes.items()
        if outcome.kind != "passed" and name not in recorded
    }
    assert failed == {}


@pytest.mark.parametrize("reason", CANNOT_PASS)
def test_what_is_on_record_fails(outcomes: Mapping[str, Outcome], reason: str) -> None:
    """One that passes after all leaves the record."""
    kinds = {name: outcomes[name].kind for name in CANNOT_PASS[reason]}
    passing = [name for name, kind in kinds.items() if kind not in ("failure", "error")]
    assert passing == []


def test_the_provider_leaves_out_what_is_on_record(outcomes: Mapping[str, Outcome]) -> None:
    skipped = {name for name, outcome in outcomes.items() if outcome.kind == "skipped"}
    assert skipped == set(LEFT_OUT_BY_THE_PROVIDER)
