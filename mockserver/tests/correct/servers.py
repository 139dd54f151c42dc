"""Starts the correct servers: those of `tests.reference`, and those that share no code with anything here."""

import json
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from socketserver import TCPServer
from tempfile import NamedTemporaryFile

import yaml

from openpipe_mock.core.resources import folder
from tests.correct.hand_made import HandMade
from tests.correct.plain_starlette import PlainStarlette
from tests.correct.proxy import Proxy
from tests.live import clean
from tests.reference.server import Reference
from tests.reference.serving import live
from tests.reference.variants import VARIANTS

BASE = "/api/v1"


def document() -> dict[str, object]:
    """The contract as data."""
    found: dict[str, object] = yaml.safe_load((folder("schemas") / "openapi.yaml").read_bytes())
    return found


@contextmanager
def reference(name: str) -> Iterator[str]:
    with live(Reference(VARIANTS[name])) as stage:
        yield stage.base_url


@contextmanager
def starlette() -> Iterator[str]:
    with live(PlainStarlette(document()).app) as stage:
        yield stage.base_url


@contextmanager
def in_threads(server: TCPServer) -> Iterator[str]:
    """A server that answers each connection in a thread."""
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.socket.getsockname()[1]}{BASE}"
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def hand_made() -> Iterator[str]:
    with in_threads(HandMade(document())) as url:
        yield url


@contextmanager
def behind_a_proxy() -> Iterator[str]:
    with live(PlainStarlette(document(), every=10**9).app) as stage:
        host, _, port = stage.origin.removeprefix("http://").partition(":")
        with in_threads(Proxy((host, int(port)))) as url:
            yield url


@contextmanager
def node() -> Iterator[str]:
    program = Path(__file__).with_name("node_server.mjs")
    with NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(document(), file)
        file.flush()
        command = ["node", str(program), file.name]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=clean()) as process:
            try:
                assert process.stdout
                port = process.stdout.readline().strip()
                assert port, "Node did not start"
                yield f"http://127.0.0.1:{port}{BASE}"
            finally:
                process.kill()


STRANGERS: Mapping[str, Callable[[], AbstractContextManager[str]]] = {
    "plain-starlette": starlette,
    "node": node,
    "behind-a-proxy": behind_a_proxy,
    "hand-made": hand_made,
}
"""Those that share no code with the product."""
SERVERS: Mapping[str, Callable[[], AbstractContextManager[str]]] = {
    **{name: partial(reference, name) for name in VARIANTS},
    **STRANGERS,
}
"""Name → a context that yields the base URL of a correct server."""
