"""A real `redis-server` of a test's own: on a free port, without persistence, in a folder of its own."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis

from tests.live import PATIENCE


@dataclass
class Redis:
    """A Redis that can be stopped, killed and started again on the same port."""

    port: int
    folder: str
    flags: tuple[str, ...] = ()
    process: "subprocess.Popen[bytes] | None" = field(default=None, repr=False)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def client(self) -> Any:
        """A client for looking behind the mocks' back."""
        return redis.Redis.from_url(self.url, protocol=2, socket_timeout=PATIENCE)

    def start(self) -> None:
        program = shutil.which("redis-server")
        assert program, "redis-server is missing; `make tools` installs it"
        own = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", self.folder]
        command = [program, *own, "--save", "", "--appendonly", "no", *self.flags]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + PATIENCE
        while not self.answers():
            assert self.process.poll() is None, "redis-server ended"
            assert time.monotonic() < deadline, "redis-server does not answer"
            time.sleep(0.01)

    def answers(self) -> bool:
        with contextlib.suppress(redis.RedisError), contextlib.closing(self.client) as client:
            client.ping()
            return True
        return bool(self.flags) and self.listens()

    def listens(self) -> bool:
        """Whether it is there, though it lets nobody in without a password."""
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False

    def send(self, name: signal.Signals) -> None:
        assert self.process
        os.kill(self.process.pid, name)
        if name == signal.SIGKILL:
            self.process.wait()

    def calls(self) -> int:
        """How many scripts it has run: round trips of mocks, of which each is one."""
        with contextlib.closing(self.client) as client:
            stats = client.info("commandstats")
        return sum(stats.get(f"cmdstat_{name}", {"calls": 0})["calls"] for name in ("evalsha", "eval"))

    def contents(self) -> bytes:
        """All that lies in it, names and values."""
        found: list[bytes] = []
        with contextlib.closing(self.client) as client:
            for key in client.scan_iter():
                kind = client.type(key).decode()
                found += [key, repr(READ[kind](client, key)).encode()]
        return b"\n".join(found)


READ: dict[str, Any] = {
    "string": lambda client, key: client.get(key),
    "hash": lambda client, key: client.hgetall(key),
    "list": lambda client, key: client.lrange(key, 0, -1),
    "zset": lambda client, key: client.zrange(key, 0, -1, withscores=True),
    "set": lambda client, key: client.smembers(key),
}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


@contextlib.contextmanager
def redis_server(*flags: str) -> Iterator[Redis]:
    with tempfile.TemporaryDirectory() as folder:
        server = Redis(free_port(), folder, flags)
        server.start()
        try:
            yield server
        finally:
            if server.process:
                server.process.kill()
                server.process.wait()


# The processes of a mock with workers.


def state_of(process: int) -> str:
    """The letter of a process's state, "" where there is none."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    return ""


def workers_of(first: int) -> list[int]:
    """The processes that a process has started and that run."""
    listed = Path(f"/proc/{first}/task/{first}/children").read_text()
    return [int(process) for process in listed.split() if state_of(int(process)) not in ("Z", "")]
