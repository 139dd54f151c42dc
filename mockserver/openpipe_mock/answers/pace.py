"""How fast streams come."""

from dataclasses import dataclass

from openpipe_mock.core.reading import At, Json, present_keys, seconds, whole


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast streams come: seconds before the first token, tokens a second (None: as fast as possible)."""

    first_token: float = 0.0
    tokens_per_second: float | None = None
    most_events: int = 10_000
    """Where an endless stream ends."""


def read_pace(value: Json, at: At) -> Pace:
    return Pace(
        **present_keys(value, tokens_per_second="tokens_per_second"),
        **whole(value, endless_events="most_events"),
        **seconds(value, first_token_ms="first_token"),
    )
