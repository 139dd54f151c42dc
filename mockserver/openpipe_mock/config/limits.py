"""Reads the config's `limits` section: how much each key may ask."""

from dataclasses import dataclass

from openpipe_mock.core.reading import At, Json, whole


@dataclass(frozen=True, slots=True)
class Limits:
    """How many requests each key may send a minute, and how many at a time; None for any number."""

    requests_per_minute: int | None = None
    concurrent: int | None = None

    @property
    def none(self) -> bool:
        """Whether nothing is limited."""
        return self.requests_per_minute is None and self.concurrent is None


def read_limits(value: Json, at: At) -> Limits:
    """Build the limits from a `limits` section whose shape is right."""
    return Limits(**whole(value, requests_per_minute="requests_per_minute", concurrent="concurrent"))
