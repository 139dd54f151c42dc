"""Functions of classes and modules replaced for a while, and given back whatever others put over them."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

Original = Callable[..., Any]
Wrapping = Callable[[Original, Any], Any]
"""What stands at a place in, and whom to ask; out comes what shall stand there, None if that shall stay."""
Place = tuple[Any, str, Wrapping]
"""A class or module, the name of its function, and how that is wrapped."""
_MARK = "__openpipe_mock__"


def bound(standing: Any, instance: Any) -> Original:
    """What stands at a class's attribute, as an access by the instance would give it.

    That may be a tracer's descriptor, a staticmethod, or a `MagicMock`, which takes no instance.
    """
    get = getattr(type(standing), "__get__", None)
    found: Original = get(standing, instance, type(instance)) if get else standing
    return found


@dataclass(frozen=True, slots=True)
class _Layer:
    """One of our functions, and what it stands over; None: what the owner inherits."""

    layers: "Layers"
    function: Original
    beneath: Original | None


class Layers:
    """The patches, put on and taken off as one; `decider` is what they ask on each call.

    Each of our functions over another is a layer. Where somebody else's patch stands over one when ours are
    taken off, theirs stays; the layer beneath it asks the decider, which then lets everything pass. Once
    theirs is undone the layer is on top again: it is used again, or taken off.
    """

    def __init__(self, decider: Any) -> None:
        self.decider = decider
        self.latest: dict[tuple[Any, str], _Layer] = {}
        """Owner and name of each place that was patched → the layer that was put there last."""

    def put_on(self, places: Iterable[Place]) -> None:
        """Have a layer on top at each of these places."""
        for owner, name, wrapping in places:
            current = owner.__dict__.get(name)
            if self.layer(current):
                continue
            layer = self.latest.get((owner, name))
            if layer is None or layer.beneath is not current:
                original = getattr(owner, name, None) if current is None else current
                function = None if original is None else wrapping(original, self.decider)
                if function is None:  # also where a private method is gone in a later release
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
        """What one of our functions stands over; None for a function of somebody else's."""
        found = getattr(function, _MARK, None)
        if not isinstance(found, _Layer) or found.layers is not self:
            return None
        # A function that `functools.wraps` made, or wrapt, has the mark of what it wraps.
        return found if found.function is function else None
