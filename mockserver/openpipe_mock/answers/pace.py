"""How long things take: delays, some of them drawn by the seed, and the pace of streams."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from openpipe_mock.core.reading import At, Json, present_keys, whole

Draw = Callable[[str], float]
"""Takes a use, returns a number in [0, 1): the same for the same seed, content and use."""


@dataclass(frozen=True, slots=True)
class Span:
    """Seconds between two bounds: each content takes some of them."""

    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.low * 1000:g} to {self.high * 1000:g}"

    def __add__(self, more: "float | Span") -> "Span":
        low, high = (more.low, more.high) if isinstance(more, Span) else (more, more)
        return Span(self.low + low, self.high + high)

    __radd__ = __add__


Duration = float | Span
"""Seconds, or a span from which they are drawn."""


def seconds_of(duration: Duration, draw: Draw, use: str) -> float:
    """How many seconds a duration is. `draw`: called with the use, for a span alone."""
    if not isinstance(duration, Span):
        return duration
    return duration.low + (duration.high - duration.low) * draw(use)


def durations(value: Json, at: At, **fields: str) -> dict[str, Any]:
    """As `present_keys`, for durations, which the file has in milliseconds."""
    return {name: _duration(value[key], at.at(key)) for key, name in fields.items() if key in value}


def _duration(value: Json, at: At) -> Duration:
    if not isinstance(value, dict):
        return float(value / 1000)
    low, high = value["uniform"]
    if low > high:
        told = f"the shortest time, {low}, is above the longest, {high}; write the shortest first."
        at.at("uniform").wrong("uniform", told)
    return Span(low / 1000, high / 1000)


@dataclass(frozen=True, slots=True)
class Pace:
    """The pace of streams. `first_token`: seconds before it. `tokens_per_second`: None for no limit."""

    first_token: Duration = 0.0
    tokens_per_second: float | None = None
    most_events: int = 10_000
    """How many events an endless stream has."""
    jitter: float = 0.0
    """The share by which the time between tokens varies."""

    def gap(self, draw: Draw, use: str) -> float:
        """Seconds to the next token. `draw`: called with the use, where the time varies."""
        if not self.tokens_per_second:
            return 0.0
        varied = 1 + self.jitter * (2 * draw(use) - 1) if self.jitter else 1
        return varied / self.tokens_per_second


def read_pace(value: Json, at: At) -> Pace:
    """Build the pace from a `stream` section whose shape is right."""
    return Pace(**whole(value, endless_events="most_events"), **read_tempo(value, at))


def read_tempo(value: Json, at: At) -> Mapping[str, Any]:
    """The fields of a pace that a `stream` section and the `pace` of a script have alike."""
    tempo = present_keys(value, tokens_per_second="tokens_per_second", jitter="jitter")
    return {**tempo, **durations(value, at, first_token_ms="first_token")}
