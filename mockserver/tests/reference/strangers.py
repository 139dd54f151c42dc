"""Servers of which no verdict is possible: they hang, speak of something else, or let nobody in."""

import asyncio
import socket
from collections.abc import Mapping

from tests.reference.http import BASE, Answer, App, Event, Raw, Receive, Send, received, sent
from tests.reference.server import Reference

PAGE = b"<!doctype html><html><head><title>Welcome</title></head><body>It works!</body></html>"


async def hangs(scope: Event, receive: Receive, send: Send) -> None:
    """Takes every request and answers none."""
    await received(scope, receive)
    await asyncio.Event().wait()


async def welcomes(scope: Event, receive: Receive, send: Send) -> None:
    """Answers everything by 200 and the same HTML page."""
    request = await received(scope, receive)
    await sent(Raw(200, {"content-type": "text/html"}, (PAGE,)), send, request.method)


def always(status: int, code: str, headers: Mapping[str, str] | None = None) -> App:
    """Answers everything by the same error."""
    content = {"message": "Not today", "code": code}
    return Reference(change=lambda request, answer: Answer(status, content, headers or {}))


def below(prefix: str) -> App:
    """A correct server whose API lies below another prefix than the usual one."""
    reference = Reference()

    async def app(scope: Event, receive: Receive, send: Send) -> None:
        found = scope["path"].startswith(prefix)
        path = scope["path"].replace(prefix, BASE, 1) if found else "/nowhere"
        await reference({**scope, "path": path}, receive, send)

    return app


STRANGERS: Mapping[str, App] = {
    "hangs": hangs,
    "html-for-all": welcomes,
    "lets-nobody-in": always(401, "UNAUTHORIZED"),
    "always-busy": always(429, "TOO_MANY_REQUESTS", {"retry-after": "0"}),
    "busy-for-an-hour": always(503, "SERVICE_UNAVAILABLE", {"retry-after": "3600"}),
    "always-crashes": always(500, "INTERNAL_SERVER_ERROR"),
    "nothing-here": below("/nobody/knows/this"),
}
"""Name → application. None of them may be told to keep the contract."""


def dead_port() -> int:
    """A port of this machine on which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
