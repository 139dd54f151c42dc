"""Replace functions of classes and modules for a while, and restore them beneath other patches too."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

Original = Callable[..., Any]
Wrapping = Callable[[Original, Any], Any]
"""Takes the function at a place and the decider; returns the function to put there, None to leave it."""
Place = tuple[Any, str, Wrapping]
"""A class or module, the name of its function, and what wraps it."""
_MARK = "__openpipe_mock__"


def bound(standing: Any, instance: Any) -> Original:
    """The value of a class's attribute, bound as reading it from the instance would.

    It may be a function, a tracer's descriptor, a staticmethod, or a `MagicMock`, which takes no instance.
    """
    get = getattr(type(standing), "__get__", None)
    found: Original = get(standing, instance, type(instance)) if get else standing
    return found


_PASSING: ContextVar[bool] = ContextVar("openpipe_mock_passing", default=False)


@contextmanager
def passing() -> Iterator[None]:
    """A context for a request that a mock lets pass: the network guard is off in it, for proxies too."""
    token = _PASSING.set(True)
    try:
        yield
    finally:
        _PASSING.reset(token)


def is_passing() -> bool:
    """Whether the calling code belongs to a request that a mock lets pass."""
    return _PASSING.get()


@dataclass(frozen=True, slots=True)
class _Layer:
    """One of our functions, and the one that it replaces; None where the owner inherits that."""

    layers: "Layers"
    function: Original
    beneath: Original | None


class Layers:
    """Patches that are put on and taken off together. `decider`: what they ask on each call.

    Each of our functions over another is a layer. A patch that somebody else has put over a layer stays when
    ours are taken off, and so does the layer beneath it, whose decider then lets everything pass. Once their
    patch is undone, the layer is used again, or taken off.
    """

    def __init__(self, decider: Any) -> None:
        self.decider = decider
        self.latest: dict[tuple[Any, str], _Layer] = {}
        """Owner and name of each patched place → the layer that was put there last."""

    def put_on(self, places: Iterable[Place]) -> None:
        """Put a layer on top at each of these places, unless there is one."""
        for owner, name, wrapping in places:
            current = owner.__dict__.get(name)
            if self.layer(current):
                continue
            layer = self.latest.get((owner, name))
            if layer is None or layer.beneath is not current:
                original = getattr(owner, name, None) if current is None else current
                function = None if original is None else wrapping(original, self.decider)
                if function is None:  # also where a later release of a library lacks a private method
                    continue
                layer = self.latest[owner, name] = _Layer(self, function, current)
                setattr(function, _MARK, layer)
            setattr(owner, name, layer.function)

    def take_off(self) -> None:
        """Take off every layer that is on top."""
        for owner, name in self.latest:
            while layer := self.layer(owner.__dict__.get(name)):
                if layer.beneath is None:
                    delattr(owner, name)
                else:
                    setattr(owner, name, layer.beneath)

    def layer(self, function: Any) -> _Layer | None:
        """The layer of one of our functions; None for somebody else's."""
        found = getattr(function, _MARK, None)
        if not isinstance(found, _Layer) or found.layers is not self:
            return None
        # `functools.wraps` and wrapt copy the mark to functions around ours.
        return found if found.function is function else None
