"""The application as the mock's own server asks it: most requests are answered without a task."""

from functools import partial
from time import time

from starlette.types import ASGIApp, Receive, Scope, Send

from openpipe_mock.config.settings import Settings
from openpipe_mock.control.guard import Guard
from openpipe_mock.core.effects import Head, Reply
from openpipe_mock.openapi.endpoints import BASE
from openpipe_mock.server.asgi import application, shared_steps
from openpipe_mock.server.transport import ExchangeApp, defect, log_request, peer, ticking
from openpipe_mock.server.turns import HEAVY_BYTES
from openpipe_mock.service.fast_lane import FastLane
from openpipe_mock.service.service import Service


class DirectApp(ExchangeApp):
    """An ASGI app that does what `create_app` does, with its arguments, and less for a request to the API."""

    def __init__(self, service: Service | Settings | None = None, guard: Guard | None = None) -> None:
        self.service = service if isinstance(service, Service) else Service(service)
        steps = shared_steps(self.service)
        super().__init__(self.service.exchange, steps, secrets=lambda: self.service.settings.secrets)
        self.app = application(self.service, guard or Guard(), steps)
        self.fast_lane = FastLane(self.service)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Starlette's middleware has nothing to do with a request from elsewhere than a page.
        plain = _is_api(scope) and all(name != b"origin" for name, _ in scope["headers"])
        await (super().__call__ if plain else self.app)(scope, receive, send)

    def at_once(self, scope: Scope, body: bytes) -> Reply | ASGIApp | None:
        """The reply to a request whose body is here whole, or an app that goes on where time has to pass.

        None, and nothing done, for a request that needs the ASGI call.
        """
        # A task and its messages cost most requests more than their answer does: without them a judgement's
        # share of a bare app's rate rose from 0.55 to 0.75 (docs/performance.md).
        if not (_is_api(scope) and self.steps.is_free) or len(body) > HEAVY_BYTES:
            return None
        headers, at, most = dict(scope["headers"]), ticking(), self.service.settings.max_body_bytes
        if scope["method"] != "POST" or b"origin" in headers or len(body) > most:
            return None
        query, scheme = scope["query_string"], scope.get("scheme", "http")
        head = Head("POST", scope["path"], headers, query, at, peer(scope), "", scheme, time())
        try:
            reply = self.fast_lane.answer(head, body, ticking)
        except Exception as error:
            reply = defect(error, head, self.secrets())
        if not isinstance(reply, Reply):
            return partial(self.carry, head, reply)
        log_request(head, reply, self.secrets())
        return reply


def _is_api(scope: Scope) -> bool:
    return scope["type"] == "http" and not scope.get("root_path") and scope["path"].startswith(BASE)
