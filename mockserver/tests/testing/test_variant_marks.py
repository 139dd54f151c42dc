"""The marker `openpipe_variants`, in pytest runs of their own."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from openpipe_mock.faults.variants import VARIANTS
from openpipe_mock.testing.variant_marks import variant_ids
from tests.live import clean, finished

pytest_plugins = ["pytester"]

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


def test_some_are_left_out() -> None:
    assert variant_ids(mark("all")) == variant_ids(mark(1000))
    assert variant_ids(mark(1, without=[VARIANTS[0].name])) == ("", VARIANTS[1].name)
    assert variant_ids(mark("crlf", "bare", without=["crlf"])) == ("", "bare")


@pytest.mark.parametrize(
    ("marker", "told"),
    [
        (mark(), "takes a number of variants or their names"),
        (mark(2, n=1), "takes a number of variants or their names"),
        (mark(2, without="crlf"), "and a list `without`"),
        (mark(2, without=["crfl"]), 'Did you mean "crlf"'),
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


FLAGS = ("-p", "openpipe_mock.testing.variant_marks", "-p", "no:cacheprovider", "--strict-markers", "-v")
"""For this plugin and no other."""


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """What pytest prints for a test module, with this plugin and no other, but for those of the flags."""

    def printed(test: str, *flags: str) -> str:
        monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
        written(pytester.path, test)
        return pytester.runpytest_inprocess(*FLAGS, *flags).stdout.str()

    return printed


def run_outside(folder: Path, test: str, *flags: str) -> str:
    """The same in a process of its own."""
    written(folder, test)
    environment = clean({"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": os.pathsep.join(sys.path)})
    return finished([sys.executable, "-m", "pytest", *FLAGS, *flags, folder], environment, cwd=folder).stdout


def written(folder: Path, test: str) -> None:
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "test_it.py").write_text(f"import pytest\n\n{test}")


def test_a_marked_test_runs_plainly_and_under_variants(run: Callable[..., str]) -> None:
    printed = run(
        """
@pytest.mark.openpipe_variants("kept-index", "errored-criterion", "no-done")
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
def test_a_marker_in_vain_is_an_error(
    run: Callable[..., str], arguments: str, parameters: str, told: str
) -> None:
    test = f"@pytest.mark.openpipe_variants({arguments})\ndef test_client({parameters}): pass\n"
    printed = run(test)
    assert f"test_it.py::test_client: {told}" in printed
    assert "During handling of the above exception" not in printed
    assert "1 error" in printed


MANY = """
@pytest.mark.parametrize("each", [1, 2])
@pytest.mark.openpipe_variants(99)
def test_client(openpipe_mock, each): pass

@pytest.mark.openpipe_variants("crlf")
def test_named(openpipe_mock): pass

@pytest.mark.parametrize("each", [1])
def test_unmarked(openpipe_mock, each): pass
"""
SURPLUS = f"openpipe-mock: there are {len(VARIANTS)} variants; openpipe_variants(99) means all of them"


def tells_the_surplus_once(printed: str) -> bool:
    told = printed.count(SURPLUS), printed.count("openpipe-mock: ")
    return told == (1, 1) and f"{2 * (1 + len(VARIANTS)) + 2 + 1} passed in" in printed


def test_a_number_beyond_the_variants_is_told_once_and_is_no_warning(run: Callable[..., str]) -> None:
    assert tells_the_surplus_once(run(MANY, "-W", "error"))


@pytest.mark.slow
@pytest.mark.measured
def test_several_processes_tell_it_once(tmp_path: Path) -> None:
    assert tells_the_surplus_once(run_outside(tmp_path, MANY, "-p", "xdist", "-n", "2"))


def test_a_number_of_variants_that_there_are_needs_no_word(run: Callable[..., str]) -> None:
    printed = run(MANY.replace("99", str(len(VARIANTS))))
    assert "openpipe-mock: " not in printed
    assert " passed in" in printed


UNREPEATABLE = """
import unittest

@pytest.fixture(autouse=True)
def always(openpipe_mock): pass

class TestTheirs(unittest.TestCase):
    @pytest.mark.openpipe_variants(2)
    def test_client(self): pass

    def test_other(self): pass
"""


def test_a_marker_that_cannot_repeat_its_test_is_an_error(run: Callable[..., str]) -> None:
    printed = run(UNREPEATABLE)
    assert "the marker openpipe_variants can't repeat this test" in printed
    assert "1 passed, 1 error" in printed


@pytest.mark.slow
@pytest.mark.measured
def test_a_run_that_names_no_variant_imports_none(tmp_path: Path) -> None:
    test = """
@pytest.mark.parametrize("each", [1])
def test_one(openpipe_mock, each): pass

def test_last():
    import sys
    assert "openpipe_mock.faults.variants" not in sys.modules
"""
    assert "2 passed" in run_outside(tmp_path, test)
