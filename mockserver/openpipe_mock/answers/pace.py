"""Reads the config's `stream` section: how fast streams come."""

from dataclasses import dataclass

from openpipe_mock.core.reading import At, Json, present_keys, seconds, whole


@dataclass(frozen=True, slots=True)
class Pace:
    """The pace of streams. `first_token`: seconds before it. `tokens_per_second`: None for no limit."""

    first_token: float = 0.0
    tokens_per_second: float | None = None
    most_events: int = 10_000
    """How many events an endless stream has."""


def read_pace(value: Json, at: At) -> Pace:
    """Build the pace from a `stream` section whose shape is right."""
    return Pace(
        **present_keys(value, tokens_per_second="tokens_per_second"),
        **whole(value, endless_events="most_events"),
        **seconds(value, first_token_ms="first_token"),
    )
