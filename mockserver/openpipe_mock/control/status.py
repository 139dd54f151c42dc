"""What a mock says of itself: its settings, and where sessions are remembered."""

from typing import Any

from openpipe_mock import __version__
from openpipe_mock.config.settings import Settings
from openpipe_mock.sessions.memory import Sessions

Json = Any

PRODUCT = "openpipe-mock"

APART = "each process by itself"
"""The place of sessions where several processes share none."""


def memory_status(sessions: Sessions) -> Json:
    """Where sessions lie, whether all processes share them, and the state of the Redis, if there is one."""
    link = getattr(sessions, "link", None)
    return {
        "place": sessions.place,
        "shared": sessions.place != APART,
        "redis": link.report() if link else None,
    }


def sentence(sessions: Sessions) -> str:
    """The same as a text, for the page."""
    told = memory_status(sessions)
    place, redis = str(told["place"]), told["redis"]
    if not redis or redis["up"]:
        return place
    return f"{place}, which has been away for {redis['away_seconds']:.0f} s: {redis['last_problem']}"


def facts(settings: Settings) -> dict[str, Any]:
    """The version and the settings that decide this mock's answers, for the health check and the page."""
    return {
        "version": __version__,
        "seed": settings.seed,
        "answers": settings.answers,
        "validation": settings.validation,
    }
