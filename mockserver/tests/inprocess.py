"""The service in this process: requests worth sending, one function that sends them, and what must hold.

And the command, where it ends before it serves.
"""

import copy
import gc
import json
import signal
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any
from unittest.mock import patch

import jsonschema_rs
from click.testing import CliRunner, Result

from openpipe_mock.cli.main import main
from openpipe_mock.core.effects import Begin, Break, Entropy, Head, Now, Piece, ReadBody, Reply, Tick, Wait
from openpipe_mock.core.strictjson import parse
from openpipe_mock.openapi.endpoints import BASE
from openpipe_mock.openapi.spec import contract
from openpipe_mock.openapi.violations import DIALECT
from openpipe_mock.service.service import Service

Json = Any

JUDGE = f"{BASE}/criteria/judge"
HEADERS: Mapping[bytes, bytes] = {b"authorization": b"Bearer op-test", b"content-type": b"application/json"}

NOW = 1_735_689_600.25
"""What the clock says in this process."""

MINIMAL: Mapping[str, Json] = {"criterion_id": "helpful", "output": {"role": "assistant"}}
"""The smallest valid judge request."""

FULL: Mapping[str, Json] = {
    "criterion_id": "helpful@v2",
    "input": {
        "messages": [
            {"role": "system", "content": "Count.", "name": "counter"},
            {"role": "developer", "content": [{"type": "text", "text": "Be brief."}]},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "Count to three, please: 🙂"},
                    {"type": "image_url", "image_url": {"url": "data:,", "detail": "low"}},
                    {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}},
                ],
            },
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {"id": "call_1", "type": "function", "function": {"name": "count", "arguments": "{}"}}
                ],
            },
            {"role": "tool", "tool_call_id": "call_1", "content": "1, 2, 3"},
            {"role": "function", "name": "count", "content": None},
        ],
        "tools": [
            {
                "type": "function",
                "function": {
                    "name": "count",
                    "description": "Counts.",
                    "parameters": {"type": "object", "properties": {"to": {"default": None}}},
                    "strict": None,
                },
            }
        ],
        "tool_choice": {"type": "function", "function": {"name": "count"}},
    },
    "output": {"role": "assistant", "content": "1, 2, 3", "refusal": None},
}
"""A valid judge request in which every role and every kind of part occurs."""


def full() -> Json:
    """A copy of FULL to change."""
    return copy.deepcopy(dict(FULL))


def having(**members: Json) -> Json:
    """MINIMAL with other or further members."""
    return {**MINIMAL, **members}


def saying(*messages: Json) -> Json:
    """MINIMAL with these input messages."""
    return having(input={"messages": list(messages)})


def answer(
    service: Service,
    body: Json = None,
    *,
    path: str = JUDGE,
    method: str = "POST",
    headers: Mapping[bytes, bytes] = HEADERS,
    at: float = 0.0,
    query: bytes = b"",
) -> Reply:
    """The reply to one request that comes at a time; of a stream, with all its pieces as the body.

    A body of bytes is sent as it is, any other value as its JSON text.
    """
    sent = body if isinstance(body, bytes) else json.dumps(body).encode()
    pieces: list[bytes] = []
    exchange = service.exchange(Head(method, path, headers, query, at, time=NOW))
    try:
        effect = next(exchange)
        while True:
            effect = exchange.send(carried_out(effect, sent, pieces))
    except StopIteration as stop:
        reply: Reply = stop.value
        return replace(reply, body=b"".join(pieces)) if pieces else reply


def carried_out(effect: object, body: bytes, pieces: list[bytes]) -> Any:
    """What an adapter sends back for an effect; a new kind of effect gets a case of its own here."""
    match effect:
        case ReadBody(limit):
            return body if len(body) <= limit else None
        case Now():
            return NOW
        case Entropy(size):
            return bytes(size)
        case Tick():
            return 0.0
        case Begin() | Wait() | Break():
            return None
        case Piece(data):
            return pieces.append(data)
    raise AssertionError(f"nobody said how to carry out {effect!r} in this process")


def content_of(reply: Reply) -> Json:
    """A reply's JSON, read strictly."""
    return parse(reply.body)


def message_of(reply: Reply) -> str:
    """An error's message."""
    message: str = content_of(reply)["message"]
    return message


def issues_of(reply: Reply) -> list[str]:
    """The sentences in an error's issues."""
    return [issue["message"] for issue in content_of(reply).get("issues", [])]


@cache
def statuses(path: str, method: str = "post") -> frozenset[str]:
    """The statuses of an operation's responses as the document writes them: `200`, `default`."""
    return frozenset(contract().document["paths"][path][method]["responses"])


def answer_validator(path: str, status: str) -> Any:
    """The validator of an answer's JSON; KeyError when the document doesn't list the status."""
    document = contract().document
    response = document["paths"][path.removeprefix(BASE)]["post"]["responses"][status]
    if "$ref" in response:
        response = document["components"]["responses"][response["$ref"].rpartition("/")[2]]
    schema = response["content"]["application/json"]["schema"]
    return jsonschema_rs.validator_for({"$schema": DIALECT, **schema, "components": document["components"]})


def holds(reply: Reply, path: str = JUDGE) -> bool:
    """Whether an operation lists the reply's status, and the reply is what the document says of it."""
    listed = str(reply.status) in statuses(path.removeprefix(BASE))
    typed = dict(reply.headers).get(b"content-type") == b"application/json"
    valid = listed and answer_validator(path, str(reply.status)).is_valid(content_of(reply))
    return listed and typed and bool(valid)


def commanded(*arguments: str) -> Result:
    """What comes of the command `openpipe-mock` in this process, which has its signals back afterwards.

    What this process has frozen stays all that is: a start would freeze what its tests still have to collect.
    """
    names = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {name: signal.getsignal(name) for name in names}
    try:
        with patch.object(gc, "freeze"):
            return CliRunner().invoke(main, arguments, prog_name="openpipe-mock")
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)
        assert gc.isenabled()
