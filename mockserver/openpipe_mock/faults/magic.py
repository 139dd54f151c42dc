"""Faults that magic values ask for: the header `x-mock-fault`, and models such as `mock-status-429`."""

import re
from collections.abc import Mapping
from dataclasses import replace

from openpipe_mock.answers.magic import DELAY, PREFIX, STATUS_NAME, bare, echoes, milliseconds
from openpipe_mock.core.errors import BadRequest
from openpipe_mock.core.wording import did_you_mean, listed, quoted
from openpipe_mock.faults import kinds
from openpipe_mock.faults.fault import Fault
from openpipe_mock.faults.kinds import RETRY_AFTER, ErrorAnswer, FaultKind

_HEADER = "header x-mock-fault"


def knows(model: str) -> bool:
    """Whether a model is magic: one that echoes, or one that has a fault."""
    return echoes(model) or model_fault(model) is not None


def model_fault(model: str) -> Fault | None:
    """Return the fault of every request for a magic model; None for any other, and for `mock-echo`."""
    if PREFIX not in model:
        return None
    name = bare(model)
    fault = Fault(place=f"model {name}")
    if status := STATUS_NAME.fullmatch(name):
        return replace(fault, kinds=(_error(int(status[1])),))
    if name == "mock-disconnect":
        return replace(fault, kinds=(kinds.Disconnect(),))
    seconds = milliseconds(DELAY.fullmatch(name))
    return None if seconds is None else replace(fault, delay=seconds)


def header_fault(value: str) -> Fault:
    """Return the fault that a value of `x-mock-fault` asks for. Raises BadRequest for any other value."""
    asked = value.strip().lower()
    if asked in HEADER_KINDS:
        kind = HEADER_KINDS[asked]
    elif re.fullmatch("[45][0-9]{2}", asked):
        kind = _error(int(asked))
    elif events := re.fullmatch("disconnect-after-([0-9]{1,6})", asked):
        kind = kinds.Disconnect(after_events=int(events[1]))
    else:
        known = (*map(quoted, HEADER_KINDS), '"disconnect-after-N" (events)', "a status from 400 to 599")
        near = did_you_mean(asked, [*HEADER_KINDS, "disconnect-after-N"])
        raise BadRequest.at(_HEADER, f"expected {listed(known, 'or')}, got {quoted(value)}.{near}")
    return Fault(kinds=(kind,), place=_HEADER, counter=_HEADER)


def _error(status: int) -> ErrorAnswer:
    return ErrorAnswer(status, retry_after=RETRY_AFTER.get(status))


HEADER_KINDS: Mapping[str, FaultKind] = {
    "malformed": kinds.Malformed(),
    "truncated": kinds.Truncated(),
    "empty": kinds.Empty(),
    "content-type": kinds.ContentType("text/html"),
    "disconnect": kinds.Disconnect(),
    "drip": kinds.Drip(),
    "timeout": kinds.Timeout(),
    "error-event": kinds.ErrorEvent("The stream failed on purpose, as the header x-mock-fault asks."),
    "endless": kinds.Endless(),
}
"""Value of `x-mock-fault` → what it asks for."""
