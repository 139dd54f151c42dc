"""A server in a thread of this process."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from openpipe_mock.server.protocol import DroppingProtocol
from openpipe_mock.server.server import LOOP
from tests.live import PATIENCE


@contextlib.contextmanager
def served(app: ASGIApp, **settings: Any) -> Iterator[tuple[str, int]]:
    """The address of a server, which is set up as the mock's own is."""
    sock = socket.create_server(("127.0.0.1", 0))
    options: dict[str, Any] = {"http": DroppingProtocol, "loop": LOOP, "ws": "none", "lifespan": "off"}
    options |= {"log_config": None, "access_log": False, "server_header": False, "date_header": False}
    server = uvicorn.Server(uvicorn.Config(app, timeout_graceful_shutdown=1, **{**options, **settings}))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]})
    thread.start()
    try:
        eventually(lambda: server.started)
        yield sock.getsockname()
    finally:
        server.should_exit = True
        thread.join(PATIENCE)
    assert not thread.is_alive()


def eventually(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.005)
