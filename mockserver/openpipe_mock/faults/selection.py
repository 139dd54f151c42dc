"""Selects the fault that strikes a request, describes faults, and reads the header `x-mock-fault`."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from openpipe_mock.core.canonical import ordered
from openpipe_mock.core.errors import BadRequest, ParseError
from openpipe_mock.core.seeded import digest
from openpipe_mock.core.strictjson import parse
from openpipe_mock.core.wording import counted, did_you_mean, listed, quoted
from openpipe_mock.faults.kinds import RETRY_AFTER, Drip, ErrorAnswer, Fault
from openpipe_mock.matching.conditions import Subject
from openpipe_mock.matching.rules import rules_that_hold

_MAGIC = "header x-mock-fault"

# Whose turn it is.


class Lot:
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
class Passed:
    """A fault that didn't strike though the request met its `when`. `why`: the reason, for the journal."""

    fault: Fault
    why: str


@dataclass(frozen=True, slots=True)
class Due:
    """The fault that strikes a request, None without one, and those that met their `when` and didn't."""

    fault: Fault | None = None
    passed: tuple[Passed, ...] = ()


def due(
    faults: Sequence[Fault], subject: Subject, count: Callable[[str], int], lot: Lot, *, streams: bool
) -> Due:
    """Return the first fault whose turn it is. `streams`: the request asks for a stream.

    `count` is called with the name of a count and returns the number of this request in it, from 1. Every
    fault whose `when` the request meets is counted, also those after the one that strikes; a fault that only
    a stream can have counts streams only.
    """
    striking, passed = None, []
    for fault in rules_that_hold(faults, subject):
        why = _hindrance(fault, subject, count, lot, streams)
        if striking and not why:
            why = f"an earlier fault struck: {striking}"
        if why:
            passed.append(Passed(fault, why))
        else:
            striking = fault
    return Due(striking, tuple(passed))


def _hindrance(fault: Fault, subject: Subject, count: Callable[[str], int], lot: Lot, streams: bool) -> str:
    """Why a fault whose `when` the request meets does not strike; "" where it does."""
    if needs_stream(fault) and not streams:
        return "it strikes streams alone, and this request asks for none"
    number = count(fault.counter)
    for name, its_turn in _TURNS.items():
        wanted = getattr(fault, name)
        if wanted is not None and not its_turn(number, wanted):
            return f"it was not its turn: request {number} that meets its `when`, it has `{name}: {wanted}`"
    if fault.share is None:
        return ""
    drawn = lot.number(fault.lot or fault.place, subject.endpoint)
    if drawn < fault.share:
        return ""
    return f"this content is not in its share: it drew {drawn:.4f}, which is not below {fault.share}"


_TURNS: Mapping[str, Callable[[int, int], bool]] = {
    "call": lambda number, wanted: number == wanted,
    "every": lambda number, wanted: number % wanted == 0,
    "first": lambda number, wanted: number <= wanted,
}
"""Member of a fault → whether the fault strikes the request with this number."""


def only_delays(fault: Fault) -> bool:
    """Whether a fault leaves the answer as it is and at most delays it."""
    done = (fault.error, fault.drip, fault.content_type, fault.error_event, fault.raw)
    flags = (fault.disconnect, fault.malformed, fault.truncated, fault.empty, fault.endless)
    return not any(flags) and all(each is None for each in done)


def needs_stream(fault: Fault) -> bool:
    """Whether only a stream can have a fault."""
    return fault.after_events is not None or fault.error_event is not None or fault.endless


# Words for the log and the journal.

_Words = Callable[[Fault], str | None]


def describe(fault: Fault) -> str:
    """Say what a fault does and where it stands: `status 429 (fault /faults/0)`."""
    told = ", ".join(words for each in _WORDS if (words := each(fault)))
    return f"{told or 'nothing'} (fault {fault})" if str(fault) else told or "nothing"


def _disconnecting(fault: Fault) -> str | None:
    """Say when the connection breaks."""
    if fault.after_bytes is not None:
        when = f" after {counted(fault.after_bytes, 'byte')}"
    else:
        when = "" if fault.after_events is None else f" after {counted(fault.after_events, 'event')}"
    return f"disconnect{when}" if fault.disconnect else None


_WORDS: Sequence[_Words] = (
    lambda fault: f"delay of {fault.delay * 1000:g} ms" if fault.delay else None,
    lambda fault: f"status {fault.error.status}" if fault.error else None,
    lambda fault: "raw body" if fault.raw is not None else None,
    lambda fault: "endless stream" if fault.endless else None,
    lambda fault: "error event" if fault.error_event is not None else None,
    lambda fault: "malformed JSON" if fault.malformed else None,
    lambda fault: "truncated body" if fault.truncated else None,
    lambda fault: "empty body" if fault.empty else None,
    lambda fault: f"content type {quoted(fault.content_type)}" if fault.content_type is not None else None,
    _disconnecting,
    lambda fault: f"drip of {counted(fault.drip.size, 'byte')}" if fault.drip else None,
)


# The header `x-mock-fault`.


def magic_fault(name: str) -> Fault:
    """Return the fault that a value of `x-mock-fault` asks for. Raises BadRequest for any other value."""
    asked = name.strip().lower()
    if asked in NAMED:
        fault = NAMED[asked]
    elif re.fullmatch("[45][0-9]{2}", asked):
        fault = Fault(error=ErrorAnswer(int(asked)), retry_after=RETRY_AFTER.get(int(asked)))
    elif events := re.fullmatch("disconnect-after-([0-9]{1,6})", asked):
        fault = Fault(disconnect=True, after_events=int(events[1]))
    else:
        known = (*map(quoted, NAMED), '"disconnect-after-N" (events)', "a status from 400 to 599")
        near = did_you_mean(asked, [*NAMED, "disconnect-after-N"])
        raise BadRequest.at(_MAGIC, f"expected {listed(known, 'or')}, got {quoted(name)}.{near}")
    return replace(fault, place=_MAGIC, counter=_MAGIC)


NAMED: Mapping[str, Fault] = {
    "malformed": Fault(malformed=True),
    "truncated": Fault(truncated=True),
    "empty": Fault(empty=True),
    "content-type": Fault(content_type="text/html"),
    "disconnect": Fault(disconnect=True),
    "drip": Fault(drip=Drip()),
    "error-event": Fault(error_event="The stream failed on purpose, as the header x-mock-fault asks."),
    "endless": Fault(endless=True),
}
"""Value of `x-mock-fault` → fault."""
