"""What all tests share: a mock on a socket, which of them a quick run takes, and what is measured."""

import gc
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from hypothesis import is_hypothesis_test

from tests import profiles  # noqa: F401 - they have to be there before a flag names one
from tests.environments import CACHE
from tests.live import TRUSTING_NOBODY, Live, serving

QUICK_SHARE = 0.8
"""The share of all tests that a quick run takes at least."""
BEGINNINGS = (
    "subprocess.Popen",
    "os.exec",
    "os.fork",
    "os.forkpty",
    "os.posix_spawn",
    "os.spawn",
    "os.system",
)
"""The events in which Python tells of a new process."""
MEASURING = ("COVERAGE_PROCESS_CONFIG", "COVERAGE_PROCESS_START")
"""The variables that have coverage measure the processes that a test starts."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--quick", action="store_true", help="leave out the tests that are marked `slow`")


def pytest_configure(config: pytest.Config) -> None:
    coverage = sys.modules.get("coverage")
    if coverage and coverage.Coverage.current():
        config.pluginmanager.register(Measuring())


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark as slow what speaks to the live mock. A quick run leaves out the slow."""
    for item in items:
        if {"live", "exact"} & set(getattr(item, "fixturenames", ())):
            item.add_marker("slow")
    if not config.getoption("quick"):
        return
    slow = [item for item in items if item.get_closest_marker("slow")]
    quick = [item for item in items if not item.get_closest_marker("slow")]
    if config.args == config.getini("testpaths") and len(quick) < QUICK_SHARE * len(items):
        pytest.exit(f"only {len(quick)} of {len(items)} tests are quick", returncode=1)
    config.hook.pytest_deselected(items=slow)
    items[:] = quick


def pytest_collection_finish() -> None:
    """Have the garbage collector pass over what lives until the end; it took a tenth of a run."""
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def quick_runs_need_nothing(request: pytest.FixtureRequest) -> None:
    """In a quick run a test fails that starts a process, or opens what `make clients` installs."""
    if request.config.getoption("quick"):
        sys.addaudithook(refuse)


def refuse(event: str, arguments: tuple[Any, ...]) -> None:
    if event in BEGINNINGS:
        raise AssertionError(f"{event} in a quick run: mark the test `slow`")
    if event == "open" and str(arguments[0]).startswith(f"{CACHE}{os.sep}"):
        raise AssertionError(f"{arguments[0]} is opened in a quick run: mark the test `slow`")


class Measuring:
    """Coverage while tests run: on in their functions and fixtures, off in pytest's own work around them.

    To measure that work too takes a tenth of a run. To stop coverage itself and start it again would have it
    look at every imported module.
    """

    def __init__(self) -> None:
        self.tracers = sys.gettrace(), threading.gettrace()
        self.wanted = False

    @pytest.hookimpl(wrapper=True)
    def pytest_runtestloop(self) -> Iterator[Any]:
        self.tracers = sys.gettrace(), threading.gettrace()
        trace(None, None)
        try:
            return (yield)
        finally:
            trace(*self.tracers)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[Any]:
        """Measure what is quick, or marked `measured`. What a property draws would take twice its time.

        Nor are the processes measured that an unmeasured test starts: each would take 0.3 s longer.
        """
        drawn = is_hypothesis_test(getattr(item, "function", None))
        left_out = drawn or (item.get_closest_marker("slow") and not item.get_closest_marker("measured"))
        self.wanted = not left_out
        variables = {name: os.environ.pop(name) for name in MEASURING if left_out and name in os.environ}
        try:
            return (yield)
        finally:
            os.environ.update(variables)

    @pytest.hookimpl(wrapper=True)
    def pytest_pyfunc_call(self) -> Iterator[Any]:
        with self.measured():
            return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self) -> Iterator[Any]:
        with self.measured():
            return (yield)

    @contextmanager
    def measured(self) -> Iterator[None]:
        """Measured, if the running test wants it; a fixture may set up others within."""
        before = sys.gettrace(), threading.gettrace()
        if self.wanted:
            trace(*self.tracers)
        try:
            yield
        finally:
            trace(*before)


def trace(here: Any, in_threads: Any) -> None:
    sys.settrace(here)
    threading.settrace(in_threads)


@pytest.fixture(scope="session", autouse=True)
def past_any_proxy() -> Iterator[None]:
    """What is on this machine is spoken to directly, wherever the tests run."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("NO_PROXY", "no_proxy"):
            patch.setenv(name, "localhost,127.0.0.1,::1")
        for name, value in TRUSTING_NOBODY.items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="session")
def live() -> Iterator[Live]:
    """A mock with its defaults, for all tests that don't change or end it."""
    with serving("--quiet") as server:
        yield server


@pytest.fixture(scope="session")
def exact() -> Iterator[Live]:
    """The same under exact validation, which refuses also what popular clients send."""
    with serving("--quiet", "--validation=exact") as server:
        yield server


@pytest.fixture
def client(live: Live) -> Iterator[httpx.Client]:
    """A client of the live mock with a key."""
    with httpx.Client(base_url=live.base_url, headers={"Authorization": "Bearer op-local"}) as client:
        yield client
