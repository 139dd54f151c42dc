"""What of other packages we replace from inside: it is there, and their versions are bound on both sides."""

import importlib
import re
import tomllib
from collections.abc import Iterator

import pytest

from tests.environments import ROOT

OVERRIDDEN = {
    "uvicorn": (
        "uvicorn.protocols.http.httptools_impl:HttpToolsProtocol._should_upgrade",
        "uvicorn.protocols.http.httptools_impl:HttpToolsProtocol._start_asgi_task",
        "uvicorn.protocols.http.httptools_impl:HttpToolsProtocol._get_upgrade",
        "uvicorn.protocols.http.httptools_impl:HttpToolsProtocol.on_response_complete",
        "uvicorn.protocols.http.httptools_impl:HttpToolsProtocol.send_400_response",
        "uvicorn.protocols.http.flow_control:FlowControl.resume_reading",
    ),
    **{
        library: (
            f"{library}:Client._send_single_request",
            f"{library}:AsyncClient._send_single_request",
            f"{library}:HTTPTransport.handle_request",
            f"{library}:AsyncHTTPTransport.handle_async_request",
        )
        for library in ("httpx", "httpx2")
    },
}


def requirements() -> Iterator[str]:
    """All that pyproject.toml names."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    yield from project["project"]["dependencies"]
    for group in (project["project"]["optional-dependencies"], project["dependency-groups"]):
        for listed in group.values():
            yield from listed


@pytest.mark.parametrize("place", [place for places in OVERRIDDEN.values() for place in places])
def test_what_is_overridden_is_there(place: str) -> None:
    module, _, path = place.partition(":")
    owner, name = path.split(".")
    assert name in vars(getattr(importlib.import_module(module), owner))


@pytest.mark.parametrize("name", OVERRIDDEN)
def test_what_is_overridden_has_an_upper_bound(name: str) -> None:
    found = [each for each in requirements() if re.match(rf"{name}\b", each)]
    assert found
    assert all(re.fullmatch(rf"{name}>=[0-9.]+,<[0-9.]+", each) for each in found)


def test_all_else_has_a_lower_bound() -> None:
    """Without one the oldest version that is allowed is one that nobody tries."""
    own = re.compile(r"openpipe-mock\[")
    assert not [each for each in requirements() if ">=" not in each and not own.match(each)]


def test_nothing_private_of_pytest_is_used() -> None:
    sources = [*ROOT.glob("mockserver/openpipe_mock/**/*.py"), *ROOT.glob("contract_tests/**/*.py")]
    assert sources
    assert not [path.name for path in sources if re.search(r"(from|import) _pytest", path.read_text("utf-8"))]
