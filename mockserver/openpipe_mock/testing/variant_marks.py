"""The pytest marker `openpipe_variants(N)`, which runs a test again under variants of the mock's answers.

    @pytest.mark.openpipe_variants(5)
    def test_my_client(openpipe_mock): ...     # test_my_client[plain], …[kept-index], …

The fixtures `openpipe_mock` and `openpipe_server` take the variant from the fixture `openpipe_variant`.
"""

from collections.abc import Generator
from typing import Any

import pytest

_VARIANT_MARKER = "openpipe_variants"
_FIXTURE = "openpipe_variant"
_TAKERS = ("openpipe_mock", "openpipe_server")
_PLAIN = "plain"
_TOO_LATE = (
    "it works on functions and plain classes, not on a unittest.TestCase, and not once set after collection"
)
_NOTE = "openpipe_note"
"""The attribute of a report with a note for the run's summary; pytest-xdist's workers send it along."""


def pytest_configure(config: pytest.Config) -> None:
    words = "run the test plainly and again under the first N variants, or under those named"
    config.addinivalue_line(
        "markers", f"{_VARIANT_MARKER}(N | *names, without=[]): {words} (docs/variants.md)"
    )


def variant_ids(marker: pytest.Mark) -> tuple[str, ...]:
    """The names of the variants that a marker asks for, beginning with "" for the plain run.

    Raises ValueError for arguments that are neither one number nor names of variants.
    """
    from openpipe_mock.faults import variants

    asked, left_out = marker.args, marker.kwargs.get("without", ())
    if marker.kwargs.keys() - {"without"} or not asked or isinstance(left_out, str):
        raise ValueError(
            f"the marker {_VARIANT_MARKER} takes a number of variants or their names, and a list `without`, "
            f'as in {_VARIANT_MARKER}(5, without=["ties"]).'
        )
    if all(isinstance(each, str) for each in asked):
        names = () if asked == ("all",) else asked
        return ("", *(variant.name for variant in variants.chosen(names=names, without=left_out)))
    [number, *others] = asked
    if others or isinstance(number, bool) or not isinstance(number, int) or number < 0:
        raise ValueError(f"the marker {_VARIANT_MARKER} takes one number from 0, or names; it got {asked}.")
    return ("", *(variant.name for variant in variants.chosen(number, without=left_out)))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a marked test once for each variant."""
    marker = metafunc.definition.get_closest_marker(_VARIANT_MARKER)
    if marker is None:
        return
    test = metafunc.definition.nodeid
    if _FIXTURE not in metafunc.fixturenames:
        pytest.fail(
            f"{test}: the marker {_VARIANT_MARKER} needs a test that uses {' or '.join(_TAKERS)}",
            pytrace=False,
        )
    try:
        names = variant_ids(marker)
    except ValueError as problem:
        raise pytest.fail.Exception(f"{test}: {problem}", pytrace=False) from None
    metafunc.parametrize(_FIXTURE, names, ids=[name or _PLAIN for name in names], indirect=True)


@pytest.fixture
def openpipe_variant(request: pytest.FixtureRequest) -> str:
    """The name of the variant that a test runs under, "" where it runs plainly."""
    if not hasattr(request, "param") and request.node.get_closest_marker(_VARIANT_MARKER):
        pytest.fail(f"the marker {_VARIANT_MARKER} can't repeat this test: {_TOO_LATE}", pytrace=False)
    return str(getattr(request, "param", ""))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[Any]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add to a failure under a variant which one it is and how to run it again; note surplus variants."""
    report = yield
    callspec = getattr(item, "callspec", None)
    name = callspec.params.get(_FIXTURE) if callspec else None
    if name is None:
        return report
    if call.when == "setup":
        setattr(report, _NOTE, _surplus(item.get_closest_marker(_VARIANT_MARKER)))
    if name and report.failed:
        from openpipe_mock.faults import variants

        told = f"{name}: {variants.variant_named(name).sentence}\nagain: pytest '{item.nodeid}'"
        report.sections.append(("openpipe-mock variant", told))
    return report


def _surplus(marker: pytest.Mark | None) -> str:
    """The note on a marker that asks for more variants than there are, else ""."""
    # Not a warning: many projects turn those into errors, and the test does run under all variants.
    from openpipe_mock.faults.variants import VARIANTS

    number = marker.args[0] if marker else ""
    if isinstance(number, str) or number <= len(VARIANTS):
        return ""
    return f"there are {len(VARIANTS)} variants; {_VARIANT_MARKER}({number}) means all of them"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Write each note on the tests' markers once."""
    reports = (report for each in terminalreporter.stats.values() for report in each)
    told = {getattr(report, _NOTE, "") for report in reports} - {""}
    for note in sorted(told):
        terminalreporter.write_line(f"openpipe-mock: {note}")
