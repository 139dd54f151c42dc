"""An endpoint is a row in `openapi/endpoints` and a handler in the service."""

import orjson
import pytest

from openpipe_mock.core.effects import Reply
from openpipe_mock.openapi.endpoints import BASE, ENDPOINTS, Endpoint
from openpipe_mock.openapi.spec import contract
from openpipe_mock.service.request import Handler, Json, Visit
from openpipe_mock.service.service import HANDLERS, Service
from tests.inprocess import answer, content_of, message_of


def test_every_endpoint_has_a_handler_and_is_in_the_document() -> None:
    assert set(HANDLERS) == set(ENDPOINTS)
    paths = contract().document["paths"]
    listed = {
        (path, method.upper()) for path, item in paths.items() for method in item if method != "servers"
    }
    assert {(each.path, each.method) for each in ENDPOINTS.values()} == listed


def ping(visit: Visit, body: Json) -> Reply:
    return Reply(200, orjson.dumps({"pong": visit.settings.seed}))


def test_another_endpoint_is_a_row_and_a_handler(monkeypatch: pytest.MonkeyPatch) -> None:
    toy = Endpoint("ping", "/ping", "GET")
    monkeypatch.setitem(ENDPOINTS, toy.name, toy)
    monkeypatch.setitem(HANDLERS, toy.name, Handler(ping))
    service = Service()
    assert content_of(answer(service, path=f"{BASE}/ping", method="GET")) == {"pong": 0}
    assert service.sessions.default.journal.entries[-1].endpoint == "ping"
    assert answer(service, path=f"{BASE}/ping").status == 405
    assert "did you mean /api/v1/ping?" in message_of(answer(service, path=f"{BASE}/pingg", method="GET"))
