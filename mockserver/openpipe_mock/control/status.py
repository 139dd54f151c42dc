"""What a mock says of itself."""

from typing import Any

from openpipe_mock import __version__
from openpipe_mock.config.settings import Settings

PRODUCT = "openpipe-mock"


def facts(settings: Settings) -> dict[str, Any]:
    """The version and the settings that decide this mock's answers, for the health check and the page."""
    return {
        "version": __version__,
        "seed": settings.seed,
        "answers": settings.given_answers,
        "validation": settings.validation,
    }
