"""The pytest fixtures: `openpipe_mock` in this process, for three scopes, and `openpipe_server` on a socket.

The marker `openpipe(seed=…, config=…, providers=…, strict=True, …)` holds their options, which are those of
`openpipe_mock.patched`. The mock is imported once a test uses a fixture, and not with this plugin.
"""

import sys
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

if TYPE_CHECKING:
    from openpipe_mock.testing.live import LiveMock, LiveServer
    from openpipe_mock.testing.mock import Mock

pytest_plugins = ("openpipe_mock.testing.variant_marks",)
_MARKER = "openpipe"
_OTHER_MOCKS = ("httpx_mock", "respx_mock", "vcr")
"""Fixtures of other mocks; they are set up before ours, so that they end after it."""
_RUN_FIXTURE = "openpipe_mock_session"
_IN_PROCESS = ("providers", "block_network")
"""The options that a mock on a socket has no use for."""


def pytest_configure(config: pytest.Config) -> None:
    words = "seed, config, providers, strict, …: how openpipe_mock and openpipe_server answer"
    config.addinivalue_line("markers", f"{_MARKER}(**options): {words} (docs/fixtures.md)")


def _marker_options(request: pytest.FixtureRequest) -> tuple[dict[str, Any], bool]:
    """The options in the markers of a test, of which the nearest win; and whether the test is strict."""
    from openpipe_mock.core.wording import did_you_mean, listed
    from openpipe_mock.testing.interception import PATCHED_OPTIONS

    known = [*PATCHED_OPTIONS, "strict"]
    said: dict[str, Any] = {}
    for marker in request.node.iter_markers(_MARKER):
        if marker.args:
            _refuse("takes its options by name, as in openpipe(seed=7).")
        for name in marker.kwargs.keys() - known:
            _refuse(f"has no option {name!r}; it has {listed(known, 'and')}.{did_you_mean(name, known)}")
        said = {**marker.kwargs, **said}
    if isinstance(said.get("config"), str | Path):
        said["config"] = found(Path(said["config"]), request)
    strict = said.pop("strict", False)
    if not isinstance(strict, bool):
        _refuse(f"has strict={strict!r}; expected True or False.")
    return said, strict


def _refuse(problem: str) -> NoReturn:
    pytest.fail(f"the marker {_MARKER} {problem}", pytrace=False)


def found(path: Path, request: pytest.FixtureRequest) -> Path:
    """Find a config file beside the test's own file, else below pytest's root folder."""
    places = [request.config.rootpath / path]
    if request.scope != "session":
        places.insert(0, request.path.parent / path)
    for place in places:
        if place.exists() and not place.is_dir():
            return place
    looked = " and ".join(str(place) for place in dict.fromkeys(places))
    _refuse(f"names a config file that isn't there: {looked}.")


@contextmanager
def _mocking(request: pytest.FixtureRequest, **more: Any) -> "Iterator[Mock]":
    """A context with a mock that has the markers' options; `more` beats them."""
    from openpipe_mock.testing.interception import NothingToPatch, patched

    said, strict = _marker_options(request)
    with ExitStack() as stack:
        try:
            mock = stack.enter_context(patched(**{**said, **more}))
        except (NothingToPatch, ValueError) as problem:
            raise pytest.fail.Exception(f"{request.fixturename}: {problem}", pytrace=False) from None
        yield mock
    if strict:
        _keep_contract(mock)


@pytest.fixture
def openpipe_mock(request: pytest.FixtureRequest, openpipe_variant: str) -> "Iterator[Mock]":
    """A mock that takes what this test sends to the service, in this process and without a socket."""
    for name in _OTHER_MOCKS:
        if name in request.fixturenames:
            request.getfixturevalue(name)
    with _mocking(request, **({"variant": openpipe_variant} if openpipe_variant else {})) as mock:
        yield mock


@pytest.fixture(scope="module")
def openpipe_mock_module(request: pytest.FixtureRequest) -> "Iterator[Mock]":
    """A mock for all tests of a module and its fixtures; a test's own `openpipe_mock` answers before it."""
    if any(_RUN_FIXTURE in getattr(item, "fixturenames", ()) for item in request.session.items):
        request.getfixturevalue(_RUN_FIXTURE)  # begun later, it would be the inner one and answer first
    with _mocking(request) as mock:
        yield mock


@pytest.fixture(scope="session")
def openpipe_mock_session(request: pytest.FixtureRequest) -> "Iterator[Mock]":
    """A mock for the whole run; a module's and a test's own answer before it."""
    with _mocking(request) as mock:
        yield mock


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown() -> Generator[None]:
    """Clean up after a test's fixtures: some restore a mock's dummy keys, which they had seen."""
    try:
        return (yield)
    finally:
        if interception := sys.modules.get("openpipe_mock.testing.interception"):
            interception.FRONTIER.settle()


def _keep_contract(mock: "Mock") -> None:
    try:
        mock.assert_contract_kept()
    except AssertionError as broken:
        raise pytest.fail.Exception(str(broken), pytrace=False) from None


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
    from openpipe_mock.testing.live import LiveMock

    said, strict = _marker_options(request)
    config = said.pop("config", None)
    overrides = {name: value for name, value in said.items() if name not in _IN_PROCESS and value is not None}
    if openpipe_variant:
        overrides["variant"] = openpipe_variant
    try:
        mock = LiveMock(openpipe_live, config=config, overrides=overrides)
    except ValueError as problem:
        raise pytest.fail.Exception(f"openpipe_server: {problem}", pytrace=False) from None
    try:
        yield mock
        if strict:
            _keep_contract(mock)
    finally:
        mock.close()
