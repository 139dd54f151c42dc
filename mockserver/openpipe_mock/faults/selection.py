"""Selects the fault that strikes a request."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from openpipe_mock.core.canonical import ordered
from openpipe_mock.core.errors import ParseError
from openpipe_mock.core.seeded import digest
from openpipe_mock.core.strictjson import parse
from openpipe_mock.faults.fault import Fault
from openpipe_mock.matching.conditions import Subject
from openpipe_mock.matching.order import not_its_turn
from openpipe_mock.matching.rules import rules_that_hold


class Sampler:
    """What a fault's share is drawn from: a seed and a request's body. The order of its keys is ignored."""

    def __init__(self, seed: int, body: bytes) -> None:
        self.seed = seed
        self.body = body

    @cached_property
    def content(self) -> bytes:
        """A digest of the body's JSON with sorted keys, or of its bytes where they are no JSON."""
        try:
            return digest(b"json", ordered(parse(self.body)))
        except ParseError:
            return digest(b"bytes", self.body)

    def number(self, *names: str) -> float:
        """Return a number in [0, 1), the same for the same seed, names and content."""
        dice = digest(str(self.seed).encode(), *(name.encode() for name in names), self.content)
        return int.from_bytes(dice[:6]) / 2**48


@dataclass(frozen=True, slots=True)
class Selection:
    """The fault that strikes a request, None without one.

    `skipped`: the faults whose `when` the request met and that didn't strike, each with the reason.
    """

    fault: Fault | None = None
    skipped: tuple[tuple[Fault, str], ...] = ()


def select(
    faults: Sequence[Fault], subject: Subject, count: Callable[[str], int], sampler: Sampler, *, streams: bool
) -> Selection:
    """Return the first fault whose turn it is. `streams`: the request asks for a stream.

    `count` is called with the name of a count and returns the number of this request in it, from 1. Every
    fault whose `when` the request meets is counted, also those after the one that strikes; a fault that only
    a stream can have counts streams only.
    """
    striking, skipped = None, []
    for fault in rules_that_hold(faults, subject):
        why = _hindrance(fault, subject, count, sampler, streams)
        if striking and not why:
            why = f"an earlier fault struck: {striking}"
        if why:
            skipped.append((fault, why))
        else:
            striking = fault
    return Selection(striking, tuple(skipped))


def _hindrance(
    fault: Fault, subject: Subject, count: Callable[[str], int], sampler: Sampler, streams: bool
) -> str:
    """Why a fault whose `when` the request meets does not strike; "" where it does."""
    if fault.needs_stream and not streams:
        return "it strikes streams alone, and this request asks for none"
    why = not_its_turn(fault, count(fault.counter))
    if why:
        return why
    if fault.share is None:
        return ""
    drawn = sampler.number(fault.share_key or fault.place, subject.endpoint)
    if drawn < fault.share:
        return ""
    return f"this content is not in its share: it drew {drawn:.4f}, which is not below {fault.share}"
