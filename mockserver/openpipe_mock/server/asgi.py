"""The mock as a Starlette application: the API, the control API under `/_mock/`, and the page at `/`.

Any ASGI server runs it, httpx' `ASGITransport` calls it, and another application may mount it (docs/asgi.md).
Nothing in it waits for the lifespan, since Starlette doesn't run that of an application that is mounted.
"""

from collections.abc import Callable
from functools import partial
from time import time_ns
from typing import Any

from starlette.applications import Starlette
from starlette.datastructures import Headers, URLPath
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import BaseRoute, Match, NoMatchFound
from starlette.types import ASGIApp, Receive, Scope, Send

from openpipe_mock.config.settings import Settings
from openpipe_mock.control.api import FORGETFUL, Control
from openpipe_mock.control.guard import Guard, joined
from openpipe_mock.dashboard.page import Dashboard, is_page
from openpipe_mock.openapi.endpoints import is_control
from openpipe_mock.server.transport import ExchangeApp, route_path
from openpipe_mock.server.turns import SharedSteps
from openpipe_mock.service.admission import LOCAL_ORIGIN
from openpipe_mock.service.service import Service
from openpipe_mock.sessions.journal import number_from


def create_app(service: Service | Settings | None = None, guard: Guard | None = None) -> Starlette:
    """The mock as a Starlette application.

    `service`: a service, or settings for a new one. `guard`: who may use the control API and see the page, by
    default this machine alone.
    """
    service = service if isinstance(service, Service) else Service(service)
    number_from(time_ns() // 1000)  # so that a client of an earlier process goes on with what is new
    return application(service, guard or Guard(), shared_steps(service))


def application(service: Service, guard: Guard, steps: SharedSteps) -> Starlette:
    """The application, whose exchanges `steps` runs."""

    def secrets() -> tuple[bytes, ...]:
        return service.settings.secrets

    app = partial(ExchangeApp, steps=steps, secrets=secrets)
    return Starlette(
        routes=[
            _Paths(is_page, ExchangeApp(Dashboard(guard).exchange, quiet=True, secrets=secrets)),
            _Paths(is_control, app(Control(service, guard).exchange, forgetful=FORGETFUL, quiet=True)),
            _Paths(lambda _: True, app(service.exchange)),
        ],
        middleware=[Middleware(_LocalOrigins)],
    )


def shared_steps(service: Service) -> SharedSteps:
    """What runs the steps of a service's exchanges."""
    # A cassette isn't made for threads that use it at the same time.
    bounds = {"most": 1} if service.source else {}
    return SharedSteps(is_remote=service.sessions.is_remote, **bounds)


class _Paths(BaseRoute):
    """A route for the paths that a function chooses; Starlette's patterns don't take every path."""

    def __init__(self, chosen: Callable[[str], bool], app: ASGIApp) -> None:
        self.chosen = chosen
        self.app = app

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        is_mine = scope["type"] == "http" and self.chosen(route_path(scope))
        return Match.FULL if is_mine else Match.NONE, {}

    def url_path_for(self, name: str, /, **path_params: Any) -> URLPath:
        raise NoMatchFound(name, path_params)  # an application that mounts ours asks its other routes then

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)


class _LocalOrigins(CORSMiddleware):
    """Adds CORS headers for pages that were served from this machine; pages of others get none."""

    def __init__(self, app: ASGIApp) -> None:
        super().__init__(app, allow_origin_regex=LOCAL_ORIGIN, allow_methods=["*"], allow_headers=["*"])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self.app
        if scope["type"] == "http":
            if not route_path(scope).startswith("/api/"):  # the guard isn't asked about these
                scope = {**scope, "headers": joined(scope["headers"])}
            if self.is_allowed_origin(Headers(scope=scope).get("origin", "")):
                app = super().__call__
        await app(scope, receive, send)
