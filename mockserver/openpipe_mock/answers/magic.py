"""Magic values: names and headers by which a request asks for behaviour without a config file.

`TABLE` lists all of them; a test compares the documentation's table with it.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from openpipe_mock.answers.scorers import Declared, Drawn, Failing, Fixed, Form
from openpipe_mock.core.effects import Headers
from openpipe_mock.core.errors import BadRequest
from openpipe_mock.core.wording import did_you_mean, listed, quoted

PREFIX = "mock-"
_DECIMALS = 6
"""Decimals of a score, as many as the forms of the config file allow."""
_LONGEST_DELAY = 600_000
"""Milliseconds."""
CRITERIA = ("mock-score-N", "mock-pass", "mock-fail", "mock-error", "mock-status-N", "mock-delay-N")
MODELS = ("mock-echo", "mock-status-N", "mock-delay-N", "mock-disconnect")

_SCORE = re.compile(r"mock-score-(0(?:\.[0-9]{1,6})?|1(?:\.0{1,6})?)")
STATUS_NAME = re.compile(r"mock-status-([45][0-9]{2})")
DELAY = re.compile(r"mock-delay-([0-9]{1,6})")
_NUMBER = re.compile(rb"(?:[0-9]{1,9}|(?=\.))(?:\.[0-9]{1,30})?(?:[eE][+-]?[0-9]{1,2})?")


@dataclass(frozen=True, slots=True)
class _MagicCriterion:
    """What a magic criterion id means: how it judges, and the seconds that a judgement takes."""

    declared: Declared
    delay: float = 0.0


def magic_criterion(name: str) -> _MagicCriterion | None:
    """Return the criterion that a magic name stands for, None for any other name."""
    if not name.startswith(PREFIX):
        return None
    form, delay = None, milliseconds(DELAY.fullmatch(name))
    if name in _PLAIN:
        form = _PLAIN[name]
    elif score := _SCORE.fullmatch(name):
        form = Form(Fixed(float(score[1])))
    elif status := STATUS_NAME.fullmatch(name):
        number = int(status[1])
        form = Form(Failing(number, f"The criterion {name} fails with {number} on purpose."))
    elif delay is not None:
        form = Form(Drawn())
    return None if form is None else _MagicCriterion(Declared(_Everything(form)), delay or 0.0)


class _Everything(dict[int, Form]):
    """The versions of a magic criterion: every number is one, and all have the same form."""

    def __init__(self, form: Form) -> None:
        super().__init__({1: form})

    def __missing__(self, version: int) -> Form:
        return self[1]

    def __contains__(self, version: object) -> bool:
        return True


_PLAIN: Mapping[str, Form] = {
    "mock-pass": Form(Fixed(1.0)),
    "mock-fail": Form(Fixed(0.0)),
    "mock-error": Form(Failing(500, "The criterion mock-error fails on purpose.")),
}


def milliseconds(match: re.Match[str] | None) -> float | None:
    """Return a matched number of milliseconds in seconds, at most ten minutes; None without a match."""
    return min(int(match[1]), _LONGEST_DELAY) / 1000 if match else None


def bare(model: str) -> str:
    """Return a model's name without its provider's prefix (`openpipe:`)."""
    return model.partition(":")[2] or model


def is_model(model: Any) -> bool:
    """Whether a model's name begins with `mock-`, behind its provider's prefix."""
    return isinstance(model, str) and PREFIX in model and bare(model).startswith(PREFIX)


def echoes(model: str) -> bool:
    """Whether a model is `mock-echo`, which answers with the user's text."""
    return model.endswith("mock-echo") and bare(model) == "mock-echo"


def unknown_magic_name(name: str, known: tuple[str, ...]) -> str:
    """Return an error's sentences for a name that begins with `mock-` and is none of `known`."""
    form = re.sub(r"-[-+0-9.]+$", "-N", name)
    told = f"names that begin with {quoted(PREFIX)} are the mock's own: {listed(map(quoted, known), 'and')}."
    told += " With `magic: false` they are names like any other."
    if form in known:
        advice = f" The N of {quoted(form)} is {_NUMBERS[form]}."
    else:
        advice = did_you_mean(form, list(known))
    return told + advice


_NUMBERS: Mapping[str, str] = {
    "mock-score-N": "a number from 0 to 1 with up to six decimals",
    "mock-status-N": "a status from 400 to 599",
    "mock-delay-N": "a whole number of milliseconds, with up to six digits",
}
"""Form of a magic name → what its N may be."""


def header_score(headers: Headers) -> float | None:
    """Return the score that the header `x-mock-score` sets for all judgements of a request.

    None without the header. Raises BadRequest for anything but a number from 0 to 1.
    """
    found = _number(headers, "x-mock-score", 1.0, "a number from 0 to 1")
    return None if found is None else round(found, _DECIMALS)


def delay(headers: Headers) -> float:
    """Return the seconds that the header `x-mock-delay-ms` asks for, 0 without it. Raises BadRequest."""
    told = f"milliseconds from 0 to {_LONGEST_DELAY}"
    return (_number(headers, "x-mock-delay-ms", _LONGEST_DELAY, told) or 0.0) / 1000


def _number(headers: Headers, name: str, most: float, expected: str) -> float | None:
    """The number in a header, None without the header. Raises BadRequest for anything else."""
    value = headers.get(name.encode())
    if value is None:
        return None
    found = float(value) if _NUMBER.fullmatch(value.strip()) else math.inf
    if found > most:
        raise BadRequest.at(f"header {name}", f"expected {expected}, got {quoted(value.decode('latin-1'))}.")
    return found


TABLE: Mapping[str, tuple[str, ...]] = {
    "criterion": CRITERIA,
    "model": MODELS,
    "header": ("x-mock-fault", "x-mock-score", "x-mock-delay-ms"),
    "token": ("invalid…",),
}
"""Kind of value → its magic ones."""
