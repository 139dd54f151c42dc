"""What each key may do."""

from dataclasses import dataclass

from openpipe_mock.core.reading import At, Json, whole


@dataclass(frozen=True, slots=True)
class Limits:
    """What each key may do; None: whatever it likes."""

    requests_per_minute: int | None = None
    concurrent: int | None = None

    @property
    def none(self) -> bool:
        return self.requests_per_minute is None and self.concurrent is None


def read_limits(value: Json, at: At) -> Limits:
    return Limits(**whole(value, requests_per_minute="requests_per_minute", concurrent="concurrent"))
