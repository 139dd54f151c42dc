"""`openpipe_mock.respx_router()`: the mock as a respx router, for tests that use respx already."""

from inspect import signature
from typing import TYPE_CHECKING, Unpack, cast

from openpipe_mock.config.settings import Overrides
from openpipe_mock.core.resources import install_line
from openpipe_mock.openapi.endpoints import BASE, SERVED
from openpipe_mock.service.service import Service
from openpipe_mock.testing.border import SERVICE
from openpipe_mock.testing.calls import not_none
from openpipe_mock.testing.httpx_clients import HttpxLibrary
from openpipe_mock.testing.mock import Config, Mock, settings_of

if TYPE_CHECKING:
    import httpx
    import respx

    class MockedRouter(respx.Router):
        """A router with the mock that answers."""

        mock: Mock


OTHER = "other"
"""The name of the route for paths that the service doesn't have."""


def respx_router(*, config: Config = None, **settings: Unpack[Overrides]) -> "MockedRouter":
    """A router with a route for each endpoint, named `judge`, `chat`, `report`, …, on the service's hosts.

    Its attribute `mock` is the `Mock` that answers. Its `handler`, for async clients its `async_handler`, can
    be the side effect of a route of yours:

        respx_mock.route(host="api.openpipe.ai").mock(side_effect=router.handler)

    `settings`: those of `openpipe_mock.patched`. Raises ConfigError and Mistakes for settings that are wrong.
    Needs the extra `respx`.
    """
    try:
        import httpx
        import respx
    except ImportError as missing:
        raise ImportError(f"{missing}; {install_line('respx')}") from None

    overrides = not_none(**settings)
    router = cast("MockedRouter", respx.Router(assert_all_called=False))
    router.mock = mock = Mock(
        Service(settings_of(config, overrides)), base_url=f"https://{SERVICE[0]}{BASE}", overrides=overrides
    )
    library = HttpxLibrary(httpx)

    def answer(request: "httpx.Request") -> "httpx.Response":
        response: httpx.Response = library.respond(request, request.content, (request.url.path, mock))
        return response

    answer.__signature__ = signature(answer)  # type: ignore[attr-defined]  # respx asks for it at each call
    for path, each in SERVED.items():
        router.route(method=each.method, host__in=SERVICE, path=path, name=each.name).mock(side_effect=answer)
    router.route(host__in=SERVICE, name=OTHER).mock(side_effect=answer)
    return router
