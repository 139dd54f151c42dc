"""The control API under `/_mock/`: what people and scripts ask of the mock itself. It takes no key."""

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse

from mockserver import __version__
from mockserver.config import Settings
from mockserver.state import Session

NAME = "openpipe-mock"


def facts(settings: Settings) -> dict[str, Any]:
    """What decides this mock's answers, for the health check, the banner and the page."""
    return {
        "version": __version__,
        "seed": settings.seed,
        "answers": settings.answers,
        "validation": settings.validation,
    }


async def reset(session: Session, _: Request) -> JSONResponse:
    """`POST /_mock/reset`: forget logged calls, cached completions and repeated requests."""
    session.forget()
    return JSONResponse({"status": "ok"})


async def health(settings: Settings, _: Request) -> JSONResponse:
    """`GET /_mock/health`: 200 as soon as requests are served."""
    return JSONResponse({"status": "ok", "name": NAME, **facts(settings)})
