"""The mock as a Starlette application: the API, the control API under `/_mock/`, and the page at `/`.

Any ASGI server runs it, httpx' `ASGITransport` calls it, and another application may mount it (docs/asgi.md).
Nothing in it waits for the lifespan, since Starlette doesn't run that of an application that is mounted.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from starlette.applications import Starlette
from starlette.datastructures import Headers, URLPath
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Match, NoMatchFound, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from openpipe_mock.config.settings import Settings
from openpipe_mock.control import page
from openpipe_mock.control.api import Control
from openpipe_mock.control.guard import Guard, joined
from openpipe_mock.core.errors import Forbidden, MethodNotSupported
from openpipe_mock.openapi.endpoints import is_control
from openpipe_mock.server.transport import ExchangeApp, request_head, route_path
from openpipe_mock.service.admission import LOCAL_ORIGIN
from openpipe_mock.service.refusals import refusal
from openpipe_mock.service.service import Service


def create_app(service: Service | Settings | None = None, guard: Guard | None = None) -> Starlette:
    """The mock as a Starlette application.

    `service`: a service, or settings for a new one. `guard`: who may use the control API and see the page, by
    default this machine alone.
    """
    service = service if isinstance(service, Service) else Service(service)
    guard = guard or Guard()

    def secrets() -> tuple[bytes, ...]:
        return service.settings.secrets

    return Starlette(
        routes=[
            _Paths(is_control, ExchangeApp(Control(service, guard).exchange, quiet=True, secrets=secrets)),
            _Paths(lambda path: path != "/", ExchangeApp(service.exchange, secrets=secrets)),
            Route("/", partial(_page, service, guard), name="openpipe_mock.page"),
        ],
        middleware=[Middleware(_LocalOrigins)],
        exception_handlers={405: _wrong_method},
    )


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


async def _page(service: Service, guard: Guard, request: Request) -> Response:
    """Answer with the page at `/`, or with the guard's 403."""
    head = request_head(request.scope)
    try:
        guard.admit(head)
    except Forbidden as error:
        return Response(refusal(error).body, error.status, page.HEADERS, "application/json")
    base_url = Request({**request.scope, "app_root_path": head.root}).base_url
    return HTMLResponse(page.start_page(service, str(base_url), head.root), headers=page.HEADERS)


async def _wrong_method(request: Request, error: Exception) -> Response:
    """Answer Starlette's 405 in the API's shape."""
    assert isinstance(error, HTTPException)
    # Starlette joins a set, whose order differs between processes, so it is sorted.
    allow = ", ".join(sorted(dict(error.headers or {})["Allow"].split(", ")))
    head = request_head(request.scope)
    told = f"{head.root}{head.path} takes {allow}, not {request.method}."
    reply = refusal(MethodNotSupported(told, allow=[allow]))
    headers = {name.decode(): value.decode() for name, value in reply.headers}
    return Response(reply.body, reply.status, {**page.HEADERS, **headers})
