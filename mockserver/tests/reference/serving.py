"""Reference servers in this process, and on a real socket."""

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from tests.reference.http import BASE, App, Event, Raw, Receive, Request, Send

PATIENCE = 20.0
"""Seconds after which a server that doesn't start, or a reply that doesn't come, is a failure."""


class Unfinished(Exception):
    """An application that ended, or hung, before its answer was whole; `so_far` is what it sent."""

    def __init__(self, so_far: str) -> None:
        super().__init__(so_far)


def answer(app: App, request: Request, patience: float = PATIENCE) -> Raw:
    """What an application answers in this process; header names in lower case. Raises Unfinished."""
    return asyncio.run(replied(app, request, patience))


def answer_beside(app: App, request: Request, beside: Request, patience: float = PATIENCE) -> Raw:
    """What an application answers while another request, which comes right after this one, is under way."""

    async def both() -> Raw:
        found, _ = await asyncio.gather(replied(app, request, patience), replied(app, beside, patience))
        return found

    return asyncio.run(both())


async def replied(app: App, request: Request, patience: float = PATIENCE) -> Raw:
    """As `answer`, inside a running loop."""
    events: list[Event] = []

    async def receive() -> Event:
        return {"type": "http.request", "body": request.body, "more_body": False}

    async def send(event: Event) -> None:
        events.append(event)

    headers = [(name.encode(), value.encode("latin-1")) for name, value in request.headers.items()]
    scope: Event = {"type": "http", "method": request.method, "path": request.path, "headers": headers}
    try:
        await asyncio.wait_for(app(scope, receive, send), patience)
    except Exception as error:
        raise Unfinished(f"{type(error).__name__}: {events}") from error
    if not events or events[-1].get("more_body", True):
        raise Unfinished(f"nothing more: {events}")
    return joined(events)


def joined(events: list[Event]) -> Raw:
    """The answer that ASGI events make up."""
    start, *rest = events
    named = {name.decode().lower(): value.decode("latin-1") for name, value in start["headers"]}
    return Raw(start["status"], named, tuple(event["body"] for event in rest if event["body"]))


@dataclass
class Stage:
    """A server on a real socket that plays one application after another: to start one takes time."""

    origin: str
    app: App

    @property
    def base_url(self) -> str:
        return f"{self.origin}{BASE}"

    async def __call__(self, scope: Event, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)


class NamesAsWritten(HttpToolsProtocol):
    """uvicorn's protocol; the scope has the names of headers as they were written, as `names`."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.names: list[bytes] = []
        self.scope["names"] = self.names  # type: ignore[typeddict-unknown-key]

    def on_header(self, name: bytes, value: bytes) -> None:
        super().on_header(name, value)
        self.names.append(name)


@contextmanager
def live(app: App) -> Iterator[Stage]:
    """An application on a free port of this machine; set `stage.app` to serve another one there."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        stage = Stage(f"http://127.0.0.1:{listener.getsockname()[1]}", app)
        config = uvicorn.Config(
            stage,
            http=NamesAsWritten,
            lifespan="off",
            ws="none",
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=1,
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            started(server, thread)
            yield stage
        finally:
            server.should_exit = server.force_exit = True
            thread.join(PATIENCE)
        assert not thread.is_alive(), "the server did not stop"


def started(server: uvicorn.Server, thread: threading.Thread) -> None:
    """Wait until a server listens."""
    deadline = time.monotonic() + PATIENCE
    while not server.started:
        if not thread.is_alive() or time.monotonic() > deadline:
            raise AssertionError("the server did not start")
        time.sleep(0.005)
