"""Faults that magic models ask for: `mock-status-429`, `mock-delay-500`, `mock-disconnect`."""

from openpipe_mock.answers.magic import DELAY, PREFIX, STATUS_NAME, bare, echoes, milliseconds
from openpipe_mock.faults.kinds import RETRY_AFTER, ErrorAnswer, Fault


def knows(model: str) -> bool:
    """Whether a model is magic: one that echoes, or one that has a fault."""
    return echoes(model) or model_fault(model) is not None


def model_fault(model: str) -> Fault | None:
    """Return the fault of every request for a magic model; None for any other, and for `mock-echo`."""
    if PREFIX not in model:
        return None
    name = bare(model)
    place = f"model {name}"
    if status := STATUS_NAME.fullmatch(name):
        number = int(status[1])
        return Fault(error=ErrorAnswer(number), retry_after=RETRY_AFTER.get(number), place=place)
    if name == "mock-disconnect":
        return Fault(disconnect=True, place=place)
    seconds = milliseconds(DELAY.fullmatch(name))
    return None if seconds is None else Fault(delay=seconds, place=place)
