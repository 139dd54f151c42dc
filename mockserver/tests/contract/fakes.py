"""A fake of the API as it is written in ten minutes: it validates nothing and has three real bugs.

It scores from 0 to 100, ends its choices with `finish_reason: "done"`, and leaves them unsorted.
"""

import json
from typing import Any

from tests.reference.http import Event, Receive, Send, received

Json = Any
_TYPES = {"json": b"application/json", "stream": b"text/event-stream"}


async def careless(scope: Event, receive: Receive, send: Send) -> None:
    """The fake as an ASGI application."""
    request = await received(scope, receive)
    body = request.json()
    if request.path.endswith("/criteria/judge"):
        await _answer(send, 200, {"score": _score(body.get("output")), "explanation": "Fine."})
    elif not request.path.endswith("/chat/completions"):
        await _answer(send, 404, {"message": "Not found", "code": "NOT_FOUND"})
    elif body.get("stream") is True:
        events = [*map(json.dumps, _chunks(body)), "[DONE]"]
        await _send(send, 200, "stream", "".join(f"data: {event}\n\n" for event in events))
    else:
        wanted = json.loads(request.headers.get("op-criteria", "[]"))
        await _answer(send, 200, _completion(body, [str(each).partition("@")[0] for each in wanted]))


def _score(value: Json) -> int:
    """From 0 to 100, which is the first bug."""
    return sum(json.dumps(value).encode()) % 101


def _completion(body: Json, criteria: list[str]) -> Json:
    """Choices in the order in which they were made, which is the third bug."""
    choices = [_choice(number, criteria) for number in range(_number(body))]
    usage = {"prompt_tokens": 5, "completion_tokens": 5, "total_tokens": 10}
    return {**_head(body, "chat.completion"), "choices": choices, "usage": usage}


def _number(body: Json) -> int:
    return body["n"] if type(body.get("n")) is int and 0 < body["n"] < 10 else 1


def _head(body: Json, kind: str) -> Json:
    return {"id": "chatcmpl-1", "object": kind, "created": 1, "model": str(body.get("model"))}


def _choice(number: int, criteria: list[str]) -> Json:
    """The finish reason "done" is the second bug."""
    message = {"role": "assistant", "content": f'{{"answer": {number}}}'}
    results = {name: {"status": "success", "score": _score([name, number])} for name in criteria}
    found = {"criteria_results": results} if results else {}
    return {"index": number, "message": message, "finish_reason": "done", **found}


def _chunks(body: Json) -> list[Json]:
    """The same in pieces."""
    head, numbers = _head(body, "chat.completion.chunk"), range(_number(body))
    texts = [
        (number, {"role": "assistant", "content": f'{{"answer": {number}}}'}, None) for number in numbers
    ]
    every = [*texts, *((number, {}, "done") for number in numbers)]
    return [
        {**head, "choices": [{"index": number, "delta": delta, "finish_reason": reason}]}
        for number, delta, reason in every
    ]


async def _answer(send: Send, status: int, value: Json) -> None:
    await _send(send, status, "json", json.dumps(value))


async def _send(send: Send, status: int, kind: str, text: str) -> None:
    await send(
        {"type": "http.response.start", "status": status, "headers": [(b"content-type", _TYPES[kind])]}
    )
    await send({"type": "http.response.body", "body": text.encode()})
