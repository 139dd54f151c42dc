"""Starts servers that others wrote, from the Node packages that `make clients` installs."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from tests.environments import CLIENTS, found
from tests.live import PATIENCE, clean
from tests.reference.strangers import dead_port


@contextmanager
def foreign(package: str, program: str, *arguments: str) -> Iterator[str]:
    """The origin of a program's server, which takes some seconds to start and knows `--host` and `--port`."""
    path, port = found(CLIENTS / package / "node_modules" / ".bin" / program), dead_port()
    command = ["node", str(path), *arguments, "--host", "127.0.0.1", "--port", str(port)]
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=clean()
    ) as process:
        try:
            _wait_for(f"http://127.0.0.1:{port}")
            yield f"http://127.0.0.1:{port}"
        finally:
            process.kill()


def _wait_for(url: str) -> None:
    deadline = time.monotonic() + 4 * PATIENCE  # Node reads thousands of files first
    while True:
        try:
            httpx.get(url, trust_env=False)
            return
        except httpx.TransportError:
            assert time.monotonic() < deadline, f"{url} did not start"
            time.sleep(0.05)
