"""`openpipe_mock.respx_router()`: the mock as a respx router, for tests that use respx already."""

from collections.abc import Callable
from functools import partial
from inspect import signature
from typing import TYPE_CHECKING, Unpack, cast

from openpipe_mock.config.settings import Overrides
from openpipe_mock.core.resources import install_line
from openpipe_mock.openapi.endpoints import BASE, ENDPOINTS, path_pattern
from openpipe_mock.service.service import Service
from openpipe_mock.testing.border import SERVICE
from openpipe_mock.testing.calls import not_none
from openpipe_mock.testing.httpx_clients import HttpxLibrary
from openpipe_mock.testing.mock import Config, Mock, settings_of

if TYPE_CHECKING:
    import httpx
    import respx

    class MockedRouter(respx.MockRouter):
        """A router with the mock that answers. `mount`: takes a router of yours, and adds a route to it."""

        mock: Mock
        mount: Callable[[respx.Router], respx.Route]

        def __enter__(self) -> "MockedRouter":
            raise NotImplementedError  # its type alone is meant

        async def __aenter__(self) -> "MockedRouter":
            raise NotImplementedError


OTHER = "other"
"""The name of the route for paths that the service doesn't have."""
MOUNTED = "openpipe_mock"
"""The name of the route that `mount` adds."""


def respx_router(*, config: Config = None, **settings: Unpack[Overrides]) -> "MockedRouter":
    """A router with a route for each endpoint, named `judge`, `chat`, `report`, …, on the service's hosts.

    It is a context manager and a decorator, as `respx.mock` is, and `mount` adds it to a router of yours as
    one more route. Its `handler` is a side effect for sync and async clients, its attribute `mock` the `Mock`
    that answers.

        with respx_router() as router: ...
        respx_router().mount(respx_mock)

    `settings`: those of `openpipe_mock.patched`. Raises ConfigError and Mistakes for settings that are wrong.
    Needs the extra `respx`.
    """
    try:
        import httpx
        import respx
    except ImportError as missing:
        raise ImportError(f"{missing}; {install_line('respx')}") from None

    overrides = not_none(**settings)
    router = cast("MockedRouter", respx.MockRouter(assert_all_called=False))
    router.mock = mock = Mock(
        Service(settings_of(config, overrides)), base_url=f"https://{SERVICE[0]}{BASE}", overrides=overrides
    )
    library = HttpxLibrary(httpx)

    def answer(request: "httpx.Request") -> "httpx.Response":
        response: httpx.Response = library.respond(request, request.content, (request.url.path, mock))
        return response

    answer.__signature__ = signature(answer)  # type: ignore[attr-defined]  # respx asks for it at each call
    for each in ENDPOINTS.values():
        path = BASE + each.path
        paths = {"path__regex": f"^{path_pattern(path).pattern}$"} if "{id}" in path else {"path": path}
        router.route(method=each.method, host__in=SERVICE, name=each.name, **paths).mock(side_effect=answer)
    router.route(host__in=SERVICE, name=OTHER).mock(side_effect=answer)
    router.mount = partial(_mounted, router)
    return router


def _mounted(router: "MockedRouter", theirs: "respx.Router") -> "respx.Route":
    """The route by which another router asks this one."""
    return theirs.route(host__in=SERVICE, name=MOUNTED).mock(side_effect=router.handler)
