"""The pytest fixtures: `openpipe_mock` in this process, for three scopes, and `openpipe_server` on a socket.

The marker `openpipe` holds their options, which are those of `openpipe_mock.patched`. The mock is imported
once a test uses a fixture, and not with this plugin.
"""

import sys
from collections.abc import Generator, Iterator, Mapping
from typing import TYPE_CHECKING

import pytest

from openpipe_mock.testing.marker import MARKER, marked_mock

if TYPE_CHECKING:
    from openpipe_mock.testing.live import LiveMock, LiveServer
    from openpipe_mock.testing.mock import Mock

pytest_plugins = ("openpipe_mock.testing.variant_marks",)
_OTHER_MOCKS = ("httpx_mock", "respx_mock", "vcr")
"""Fixtures of other mocks; they are set up before ours, so that they end after it."""
_RUN_FIXTURE = "openpipe_mock_session"


def pytest_configure(config: pytest.Config) -> None:
    words = "seed, config, providers, strict, all_used, …: how openpipe_mock and openpipe_server answer"
    config.addinivalue_line("markers", f"{MARKER}(**options): {words} (docs/fixtures.md)")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown() -> Generator[None]:
    """Clean up after a test's fixtures: some restore a mock's dummy keys, which they had seen."""
    try:
        return (yield)
    finally:
        if interception := sys.modules.get("openpipe_mock.testing.interception"):
            interception.FRONTIER.settle()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Tell of a test that failed which scripts of its mocks never fired, and why."""
    report = yield
    if report.when == "call" and report.failed and "openpipe_mock.testing.mock" in sys.modules:
        report.sections += _unused_in(getattr(item, "funcargs", {}))
    return report


def _unused_in(values: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """Heading and text for each mock of a test with scripts that never fired."""
    from openpipe_mock.testing.calls import MOST_SHOWN
    from openpipe_mock.testing.mock import Mock

    for name, mock in values.items():
        idle = [each for each in mock.unused() if each.kind == "script"] if isinstance(mock, Mock) else []
        if idle:
            yield f"{name}: scripts that never fired", "\n".join(map(str, idle[:MOST_SHOWN]))


@pytest.fixture
def openpipe_mock(request: pytest.FixtureRequest, openpipe_variant: str) -> "Iterator[Mock]":
    """A mock that takes what this test sends to the service, in this process and without a socket."""
    for name in _OTHER_MOCKS:
        if name in request.fixturenames:
            request.getfixturevalue(name)
    yield from _patching(request, openpipe_variant)


@pytest.fixture(scope="module")
def openpipe_mock_module(request: pytest.FixtureRequest) -> "Iterator[Mock]":
    """A mock for all tests of a module and its fixtures; a test's own `openpipe_mock` answers before it."""
    if any(_RUN_FIXTURE in getattr(item, "fixturenames", ()) for item in request.session.items):
        request.getfixturevalue(_RUN_FIXTURE)  # begun later, it would be the inner one and answer first
    yield from _patching(request)


@pytest.fixture(scope="session")
def openpipe_mock_session(request: pytest.FixtureRequest) -> "Iterator[Mock]":
    """A mock for the whole run; a module's and a test's own answer before it."""
    yield from _patching(request)


def _patching(request: pytest.FixtureRequest, variant: str = "") -> "Iterator[Mock]":
    from openpipe_mock.testing.interception import patched

    with marked_mock(request, patched, variant) as mock:
        yield mock


@pytest.fixture(scope="session")
def openpipe_live() -> "Iterator[LiveServer]":
    """The one live mock of a test run; each test has a session of its own on it: see `openpipe_server`."""
    from openpipe_mock.testing.live import serving

    with serving() as live:
        yield live


@pytest.fixture
def openpipe_server(
    request: pytest.FixtureRequest, openpipe_live: "LiveServer", openpipe_variant: str
) -> "Iterator[LiveMock]":
    """A session of a live mock on a free port, for clients in other languages: see its `base_url`."""
    with marked_mock(request, openpipe_live.session, openpipe_variant) as mock:
        yield mock
