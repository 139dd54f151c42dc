"""Where sessions are remembered and who shares that, as `GET /_mock/status` and the page tell it."""

from typing import Any

from openpipe_mock import __version__
from openpipe_mock.config.settings import Settings
from openpipe_mock.sessions.memory import Sessions

Json = Any

APART = "each process by itself"
"""The place of several processes' sessions that nothing holds together."""


def memory_status(sessions: Sessions) -> Json:
    """Where sessions lie, whether all processes see the same ones, and how the Redis is, if there is one."""
    link = getattr(sessions, "link", None)
    return {
        "place": sessions.place,
        "shared": sessions.place != APART,
        "redis": link.report() if link else None,
    }


def sentence(sessions: Sessions) -> str:
    """The same in some words."""
    told = memory_status(sessions)
    place, redis = str(told["place"]), told["redis"]
    if not redis or redis["up"]:
        return place
    return f"{place}, which has been away for {redis['away_seconds']:.0f} s: {redis['last_problem']}"


PRODUCT = "openpipe-mock"


def facts(settings: Settings) -> dict[str, Any]:
    """What decides this mock's answers, for the health check, the banner and the page."""
    return {
        "version": __version__,
        "seed": settings.seed,
        "answers": settings.answers,
        "validation": settings.validation,
    }
