"""Methods of classes replaced for a while, and given back whatever others have put over them meanwhile."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

Ours = Callable[[Any], Any]
"""A URL in; what answers it out, or None for one that goes its way. May raise to refuse it."""
Original = Callable[..., Any]
Wrapping = Callable[[Original, Ours], Any]
"""What stands at a place in, and how to know the mock's requests; what shall stand there out, if not that."""
Place = tuple[type, str, Wrapping]
"""A class, the name of its method, and how that is wrapped."""
MARK = "__openpipe_mock__"


@dataclass(frozen=True, slots=True)
class Layer:
    """One of our functions, and what it stands over."""

    owner: "Layers"
    function: Original
    beneath: Original


class Layers:
    """The patches, put on and taken off as one; `ours` decides on each request.

    Each of our functions over a method is a layer. Where somebody else's patch stands over one when ours are
    taken off, theirs stays; the layer beneath it asks `ours`, which knows nothing then, and passes everything
    on. Once theirs is undone the layer is on top again: it is used again, or taken off.
    """

    def __init__(self, ours: Ours) -> None:
        self.ours = ours
        self.latest: dict[tuple[type, str], Layer] = {}
        """Class and method of each place that was patched → the layer that was put there last."""

    def put_on(self, places: Iterable[Place]) -> None:
        """Have a layer on top at each of these places."""
        for owner, name, wrapping in places:
            current = owner.__dict__.get(name)  # a private method may be gone in a later release
            if current is None or self.layer(current):
                continue
            layer = self.latest.get((owner, name))
            if layer is None or layer.beneath is not current:
                function = wrapping(current, self.ours)
                if function is None:
                    continue
                layer = self.latest[owner, name] = Layer(self, function, current)
                setattr(function, MARK, layer)
            setattr(owner, name, layer.function)

    def take_off(self) -> None:
        """Take off every layer that is on top."""
        for owner, name in self.latest:
            while layer := self.layer(owner.__dict__.get(name)):
                setattr(owner, name, layer.beneath)

    def layer(self, function: Any) -> Layer | None:
        """What one of our functions stands over; None for a function of somebody else's."""
        found = getattr(function, MARK, None)
        if not isinstance(found, Layer) or found.owner is not self:
            return None
        # A function that `functools.wraps` made, or wrapt, has the mark of what it wraps.
        return found if found.function is function else None
