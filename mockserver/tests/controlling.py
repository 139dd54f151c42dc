"""The control API in this process: one function that asks, and holds each answer against the document."""

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

import jsonschema_rs

from openpipe_mock.config.settings import Settings
from openpipe_mock.control.api import PREFIXED, ROUTES, Control, pattern
from openpipe_mock.control.document import document
from openpipe_mock.control.listings import ROOT
from openpipe_mock.core.effects import Head, ReadBody, Reply
from openpipe_mock.openapi.violations import DIALECT
from openpipe_mock.service.service import Service
from tests.inprocess import HEADERS, JUDGE, answer

Json = Any

CHAT = "/api/v1/chat/completions"
SAFE = {(b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff")}
TEMPLATES = {route.path: pattern(route.path) for route in ROUTES}


class Mock:
    """A mock with its control API; `at` is what its clock says."""

    def __init__(self, settings: Settings | None = None) -> None:
        self.service = Service(settings)
        self.control = Control(self.service)
        self.at = 0.0

    def ask(
        self,
        method: str,
        path: str,
        body: Json = None,
        *,
        query: str = "",
        headers: Mapping[bytes, bytes] | None = None,
    ) -> Reply:
        """The reply of the control API below `/_mock`, as the document says. Bytes are sent as they are."""
        sent = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        whole = ROOT + path
        head = Head(method, whole, headers or {}, query.encode("utf-8", "replace"), self.at)
        exchange = self.control.exchange(head)
        try:
            effect = next(exchange)
            while True:
                assert isinstance(effect, ReadBody)
                effect = exchange.send(sent if len(sent) <= effect.limit else None)
        except StopIteration as stop:
            reply: Reply = stop.value
        holds(method, whole, reply)
        return reply

    def json(self, method: str, path: str, body: Json = None, *, status: int = 200, **more: Any) -> Json:
        """The JSON of a reply that has the expected status."""
        reply = self.ask(method, path, body, **more)
        assert reply.status == status, reply
        return json.loads(reply.body)

    def message(self, method: str, path: str, body: Json = None, *, status: int = 400, **more: Any) -> str:
        """The message of a refusal."""
        message: str = self.json(method, path, body, status=status, **more)["message"]
        return message

    def judge(self, criterion: str = "helpful", text: str = "1, 2, 3", **more: Any) -> Reply:
        """A judge request."""
        output = {"role": "assistant", "content": text}
        return self.send(JUDGE, {"criterion_id": criterion, "output": output}, **more)

    def chat(
        self, text: str = "Hello", *, model: str = "openpipe:m", session: str = "", **members: Any
    ) -> Reply:
        """A chat request."""
        messages = [{"role": "user", "content": text}]
        return self.send(CHAT, {"model": model, "messages": messages, **members}, session=session)

    def send(
        self, path: str, body: Json, *, session: str = "", headers: Mapping[bytes, bytes] = HEADERS
    ) -> Reply:
        """A request to the API."""
        named = {b"x-mock-session": session.encode()} if session else {}
        return answer(self.service, body, path=path, headers={**headers, **named})


def score(reply: Reply) -> float:
    """What a judge request was answered."""
    found: float = json.loads(reply.body)["score"]
    return found


def text(reply: Reply) -> str:
    """What a chat request was answered."""
    found: str = json.loads(reply.body)["choices"][0]["message"]["content"]
    return found


@cache
def validator(pointer: tuple[str, ...]) -> Any:
    """The validator of the schema at a place of the document."""
    schema: Json = document()
    for step in pointer:
        schema = schema[step]
    return jsonschema_rs.validator_for({"$schema": DIALECT, **schema, "components": document()["components"]})


def operation(method: str, path: str) -> tuple[str, str] | None:
    """Path and method of an operation in the document, None for a request that it doesn't know."""
    inner = PREFIXED.fullmatch(path)
    path = inner["path"] if inner else path
    method = "get" if method == "HEAD" else method.lower() if method.isupper() else ""  # case counts
    for template, regex in TEMPLATES.items():
        if regex.fullmatch(path):
            known = document()["paths"][ROOT + template]
            return (ROOT + template, method) if method in known else None
    return None


def holds(method: str, path: str, reply: Reply) -> None:
    """Assert that a reply is what the document says of it."""
    assert SAFE.issubset(reply.headers)
    found = operation(method, path)
    if found is None:
        assert reply.status in (404, 405), (method, path, reply)
        pointer: tuple[str, ...] = ("components", "schemas", "Error")
    else:
        where, verb = found
        response = document()["paths"][where][verb]["responses"].get(str(reply.status))
        assert response is not None, (method, path, reply)
        pointer = ("paths", where, verb, "responses", str(reply.status))
        if "$ref" in response:
            pointer = ("components", "responses", response["$ref"].rpartition("/")[2])
            response = document()["components"]["responses"][pointer[-1]]
        media, *_ = response["content"]
        assert dict(reply.headers)[b"content-type"] == media.encode()
        pointer = (*pointer, "content", media, "schema")
        if media != "application/json":
            return
    problems = [str(error) for error in validator(pointer).iter_errors(json.loads(reply.body))]
    assert problems == [], (method, path, reply)
