"""Fixtures for tests that speak to a mock over a socket."""

from collections.abc import Iterator

import httpx
import pytest

from tests.live import Live, serving


@pytest.fixture(scope="session", autouse=True)
def past_any_proxy() -> Iterator[None]:
    """What is on this machine is spoken to directly, wherever the tests run."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("NO_PROXY", "no_proxy"):
            patch.setenv(name, "localhost,127.0.0.1,::1")
        yield


@pytest.fixture(scope="session")
def live() -> Iterator[Live]:
    """A mock with its defaults, for all tests that don't change or end it."""
    with serving("--quiet") as server:
        yield server


@pytest.fixture
def client(live: Live) -> Iterator[httpx.Client]:
    """A client of the live mock with a key."""
    with httpx.Client(base_url=live.base_url, headers={"Authorization": "Bearer op-local"}) as client:
        yield client
