"""The marker `openpipe(seed=…, config=…, strict=True, all_used=True, …)` and the mock that it describes."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import pytest

if TYPE_CHECKING:
    from openpipe_mock.testing.mock import Mock

_Mock = TypeVar("_Mock", bound="Mock")
MARKER = "openpipe"


@contextmanager
def marked_mock(
    request: pytest.FixtureRequest, make: Callable[..., AbstractContextManager[_Mock]], variant: str = ""
) -> Iterator[_Mock]:
    """A context with a mock that has the markers' options. `make`: takes these, returns a context with it.

    `variant`: the name of one that beats the markers', "" for none.
    """
    from openpipe_mock.testing.interception import NothingToPatch

    options, asserted = _options(request)
    if variant:
        options["variant"] = variant
    with ExitStack() as stack:
        try:
            mock = stack.enter_context(make(**options))
        except (NothingToPatch, ValueError) as problem:
            raise pytest.fail.Exception(f"{request.fixturename}: {problem}", pytrace=False) from None
        yield mock
    broken = [told for name in asserted if (told := _broken(getattr(mock, _ASSERTIONS[name])))]
    if broken:
        raise pytest.fail.Exception("\n".join(broken), pytrace=False)


_ASSERTIONS = {"strict": "assert_contract_kept", "all_used": "assert_all_used"}
"""Option of the marker that is no setting → the method of the mock that is called in the end."""


def _broken(assertion: Callable[[], None]) -> str:
    """The message of an assertion that fails, "" where it holds."""
    try:
        assertion()
    except AssertionError as broken:
        return str(broken)
    return ""


def _options(request: pytest.FixtureRequest) -> tuple[dict[str, Any], list[str]]:
    """The options in the markers of a test, of which the nearest win; and those of `_ASSERTIONS` apart."""
    from openpipe_mock.core.wording import did_you_mean, listed
    from openpipe_mock.testing.interception import PATCHED_OPTIONS

    known = [*PATCHED_OPTIONS, *_ASSERTIONS]
    said: dict[str, Any] = {}
    for marker in request.node.iter_markers(MARKER):
        if marker.args:
            _refuse("takes its options by name, as in openpipe(seed=7).")
        for name in marker.kwargs.keys() - known:
            _refuse(f"has no option {name!r}; it has {listed(known, 'and')}.{did_you_mean(name, known)}")
        said = {**marker.kwargs, **said}
    if isinstance(said.get("config"), str | Path):
        said["config"] = found(Path(said["config"]), request)
    if isinstance(said.get("cassette"), str | Path):
        said["cassette"] = request.path.parent / said["cassette"]
    asserted = {name: said.pop(name, False) for name in _ASSERTIONS}
    for name, value in asserted.items():
        if not isinstance(value, bool):
            _refuse(f"has {name}={value!r}; expected True or False.")
    return said, [name for name, value in asserted.items() if value]


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


def _refuse(problem: str) -> NoReturn:
    pytest.fail(f"the marker {MARKER} {problem}", pytrace=False)
