"""Methods replaced for a while, beside others who replace them too."""

import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any
from unittest.mock import MagicMock, patch

import httpx
import pytest

from openpipe_mock.testing.border import FRONTIER
from openpipe_mock.testing.interception import patched
from openpipe_mock.testing.layers import Layers

TRANSPORT, NAME = httpx.HTTPTransport, "handle_request"
BORDER = patched().border()
USES = 1000
Sending = Callable[[Any, Any], Any]


def current() -> Any:
    return vars(TRANSPORT)[NAME]


def bottom(transport: Any, request: Any) -> httpx.Response:
    """What stands for the network; the response says how deep the call came."""
    return httpx.Response(200, text=str(len(traceback.extract_stack())))


def depth() -> int:
    """How many functions stand between a transport and the network."""
    with TRANSPORT() as transport:
        request = httpx.Request("GET", "https://elsewhere.test/")
        direct = int(bottom(transport, request).text)
        return int(transport.handle_request(request).text) - direct


def put(function: Sending) -> Sending:
    """Somebody puts a function there; returns what stood there."""
    before: Sending = current()
    setattr(TRANSPORT, NAME, function)
    return before


def put_over() -> Callable[[], None]:
    """Somebody puts a function over what stands there; returns how it is undone: as `monkeypatch` does it."""
    beneath: Sending = current()

    @wraps(beneath)
    def theirs(transport: Any, request: Any) -> Any:
        return beneath(transport, request)

    put(theirs)
    return lambda: setattr(TRANSPORT, NAME, beneath)


@pytest.fixture(autouse=True)
def network() -> Iterator[None]:
    real = put(bottom)
    yield
    put(real)


@contextmanager
def mocked() -> Iterator[None]:
    """As `patched` does, without a new mock each time."""
    entry = FRONTIER.enter(BORDER)
    yield
    FRONTIER.leave(entry)


def undone_inside() -> None:
    with mocked():
        put_over()()


def undone_afterwards() -> None:
    with mocked():
        undo = put_over()
    undo()


def undone_in_the_next_use() -> None:
    with mocked():
        undo = put_over()
    with mocked():
        undo()


def undone_between_nested_ones() -> None:
    with mocked():
        undo = put_over()
        with mocked():
            undo()


def replaced_for_good() -> None:
    with mocked():
        put(bottom)


def replaced_by_a_mock() -> None:
    with mocked(), patch.object(TRANSPORT, NAME, MagicMock()):
        pass


@pytest.mark.slow
@pytest.mark.parametrize(
    "use",
    [
        undone_inside, undone_afterwards, undone_in_the_next_use, undone_between_nested_ones,
        replaced_for_good, replaced_by_a_mock,
    ],
)  # fmt: skip
def test_a_thousand_uses_leave_nothing(use: Callable[[], None]) -> None:
    for _ in range(USES):
        use()
    assert depth() <= 1
    FRONTIER.settle()
    assert current() is bottom


def test_a_patch_of_somebody_elses_that_stays_keeps_one_layer_beneath_it() -> None:
    with mocked():
        undo = put_over()
    for _ in range(USES):
        with mocked():
            pass
    assert depth() == 2
    undo()
    FRONTIER.settle()
    assert current() is bottom


# The patches alone.


class Transport:
    def send(self, url: str) -> str:
        return f"sent {url}"


def wrapping(original: Callable[..., Any], ours: Callable[[str], Any]) -> Callable[..., Any]:
    def send(transport: Transport, url: str) -> Any:
        return ours(url) or original(transport, url)

    return send


PLACES = [(Transport, "send", wrapping), (Transport, "private", wrapping)]
SEND = Transport.send


@pytest.fixture
def patches() -> Iterator[Layers]:
    yield Layers(lambda url: "answered" if url == "ours" else None)
    assert Transport.send is SEND


def sent() -> list[str]:
    return [Transport().send(url) for url in ("ours", "theirs")]


def test_a_method_is_replaced_once_and_given_back(patches: Layers) -> None:
    patches.put_on(PLACES)
    on = Transport.send
    patches.put_on(PLACES)
    assert Transport.send is on
    assert sent() == ["answered", "sent theirs"]
    patches.take_off()
    assert sent() == ["sent ours", "sent theirs"]
    assert not hasattr(Transport, "private")


def test_two_know_their_own(patches: Layers) -> None:
    others = Layers(lambda url: "the others'" if url == "theirs" else None)
    patches.put_on(PLACES)
    others.put_on(PLACES)
    assert sent() == ["answered", "the others'"]
    patches.take_off()
    assert sent() == ["answered", "the others'"]
    others.take_off()
    patches.take_off()


def test_a_function_that_copied_what_ours_has_is_not_ours(patches: Layers) -> None:
    patches.put_on(PLACES)

    @wraps(Transport.send)
    def theirs(transport: Transport, url: str) -> str:
        return "their own"

    ours, Transport.send = Transport.send, theirs  # type: ignore[method-assign, assignment]
    patches.take_off()
    assert sent() == ["their own"] * 2
    patches.put_on(PLACES)
    assert sent() == ["answered", "their own"]
    patches.take_off()
    Transport.send = ours  # type: ignore[method-assign]
    patches.take_off()
