"""The marker `openpipe_variants`, in a pytest run of its own."""

import os
import sys
from pathlib import Path

import pytest

from mockserver.tests.live import clean, finished
from mockserver.variantmarks import variant_ids
from mockserver.variants import VARIANTS

CONFTEST = """
import pytest

@pytest.fixture
def openpipe_mock(openpipe_variant):
    return openpipe_variant
"""


def mark(*args: object, **kwargs: object) -> pytest.Mark:
    return pytest.Mark("openpipe_variants", args, kwargs, _ispytest=True)


def test_a_number_means_the_plain_run_and_the_first_variants() -> None:
    assert variant_ids(mark(0)) == ("",)
    assert variant_ids(mark(2)) == ("", VARIANTS[0].name, VARIANTS[1].name)
    assert len(variant_ids(mark(1000))) == 1 + len(VARIANTS)


def test_names_mean_those() -> None:
    assert variant_ids(mark("crlf", "bare")) == ("", "crlf", "bare")


@pytest.mark.parametrize(
    ("marker", "told"),
    [
        (mark(), "takes a number of variants or their names"),
        (mark(2, n=1), "takes a number of variants or their names"),
        (mark(2, 3), r"takes one number from 0, or names; it got \(2, 3\)"),
        (mark(-1), "takes one number from 0"),
        (mark(True), "takes one number from 0"),
        (mark(1.5), "takes one number from 0"),
        (mark("crfl"), 'Did you mean "crlf"'),
    ],
)
def test_other_arguments_are_refused(marker: pytest.Mark, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        variant_ids(marker)


def run(folder: Path, test: str) -> str:
    """What pytest prints for a test module, with this plugin and no other."""
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "test_it.py").write_text(f"import pytest\n\n{test}")
    command = [sys.executable, "-m", "pytest", "-p", "mockserver.variantmarks", "-p", "no:cacheprovider"]
    environment = clean({"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": os.pathsep.join(sys.path)})
    return finished([*command, "--strict-markers", "-v", folder], environment, cwd=folder).stdout


def test_a_marked_test_runs_plainly_and_under_variants(tmp_path: Path) -> None:
    printed = run(
        tmp_path,
        """
@pytest.mark.openpipe_variants(3)
def test_client(openpipe_mock):
    assert openpipe_mock != "errored-criterion"

def test_other(openpipe_mock):
    assert openpipe_mock == ""
""",
    )
    for line in (
        "test_it.py::test_client[plain] PASSED",
        "test_it.py::test_client[kept-index] PASSED",
        "test_it.py::test_client[errored-criterion] FAILED",
        "test_it.py::test_client[no-done] PASSED",
        "test_it.py::test_other PASSED",
        "openpipe-mock variant",
        "errored-criterion: One criterion of each judged choice failed",
        "again: pytest 'test_it.py::test_client[errored-criterion]'",
    ):
        assert line in printed
    assert "1 failed, 4 passed" in printed


@pytest.mark.parametrize(
    ("arguments", "parameters", "told"),
    [
        ("3", "", "the marker openpipe_variants needs a test that uses openpipe_mock or openpipe_server"),
        ("'no-dnoe'", "openpipe_mock", 'there is no variant "no-dnoe". Did you mean "no-done"?'),
    ],
)
def test_a_marker_in_vain_is_an_error(tmp_path: Path, arguments: str, parameters: str, told: str) -> None:
    test = f"@pytest.mark.openpipe_variants({arguments})\ndef test_client({parameters}): pass\n"
    printed = run(tmp_path, test)
    assert f"test_it.py::test_client: {told}" in printed
    assert "During handling of the above exception" not in printed
    assert "1 error" in printed
