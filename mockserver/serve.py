"""Running the mock on a socket: bind, say so, serve, stop at once when asked."""

import contextlib
import errno
import json
import logging
import os
import signal
import socket
import ssl
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import uvicorn

from mockserver import banner
from mockserver.app import create_app
from mockserver.config import Settings
from mockserver.control import NAME
from mockserver.paths import BASE

BACKLOG = 2048
GRACE_SECONDS: Any = 0.3
"""How long requests under way may go on after a signal. Uvicorn takes fractions, but declares an int."""


class CannotServe(Exception):
    """The server can't start; the message is one line that says why and what to try."""


@dataclass(frozen=True, slots=True)
class Listener:
    """Where to listen, over what, and whom to tell. `port` 0 picks a free one."""

    host: str = "127.0.0.1"
    port: int = 6736
    certfile: Path | None = None
    keyfile: Path | None = None
    ready_file: Path | None = None
    quiet: bool = False

    @property
    def scheme(self) -> str:
        return "https" if self.certfile else "http"


class Server(uvicorn.Server):
    """Uvicorn, which calls `ready` once connections are accepted."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self.ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        logging.getLogger("uvicorn").setLevel(logging.CRITICAL)  # a request cut off now is no defect
        await super().shutdown(sockets)


def serve(settings: Settings, listener: Listener) -> None:
    """Serve until SIGINT or SIGTERM. Raises CannotServe when that can't begin."""
    leave_calmly()
    forget(listener.ready_file)
    sock = bind(listener)
    origin = f"{listener.scheme}://{authority(sock, listener)}"
    configure_logging(listener.quiet)

    def ready() -> None:
        if not listener.quiet:
            print(
                banner.banner(settings, origin, listener.host, sys.stderr.isatty()),
                file=sys.stderr,
                flush=True,
            )
        if listener.ready_file:
            announce(listener.ready_file, origin)

    try:
        Server(uvicorn_config(settings, listener), ready).run(sockets=[sock])
    finally:
        forget(listener.ready_file)


def uvicorn_config(settings: Settings, listener: Listener) -> uvicorn.Config:
    """Uvicorn without its own log lines and headers: ours are the only words."""
    config = uvicorn.Config(
        create_app(settings),
        loop="auto",
        http="httptools",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        backlog=BACKLOG,
        ssl_certfile=listener.certfile,
        ssl_keyfile=listener.keyfile,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    try:
        config.load()
    except (OSError, ssl.SSLError) as error:
        names = " or ".join(str(file) for file in (listener.certfile, listener.keyfile) if file)
        raise CannotServe(
            f"cannot use {names}: {reason(error)}; --ssl-certfile and --ssl-keyfile want PEM files"
        ) from None
    return config


def bind(listener: Listener) -> socket.socket:
    """A listening socket, or CannotServe with what to try."""
    host, port = listener.host.removeprefix("[").removesuffix("]"), listener.port
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family, backlog=BACKLOG)
    except (socket.gaierror, UnicodeError):  # the latter for labels that are empty or too long
        raise CannotServe(f"--host {listener.host} names no machine; try 127.0.0.1 or ::1") from None
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            problem = f"port {port} is taken: {occupant(host, port)}; try --port 0 for a free one"
        elif error.errno == errno.EADDRNOTAVAIL:
            problem = f"--host {listener.host} is no address of this machine; try 127.0.0.1"
        else:
            problem = f"cannot listen on {listener.host} port {port}: {reason(error)}"
        raise CannotServe(problem) from None


def reason(error: OSError) -> str:
    return error.strerror or str(error)


def occupant(host: str, port: int) -> str:
    """Who answers on a taken port: an openpipe-mock, or something else."""
    import http.client

    connection = http.client.HTTPConnection(
        host if host not in ("0.0.0.0", "::") else "localhost", port, timeout=0.5
    )
    try:
        connection.request("GET", "/_mock/health")
        health = json.loads(connection.getresponse().read(10_000))
        if health["name"] == NAME:
            return f"an {NAME} {health['version']} (seed {health['seed']}) already runs there"
    except (OSError, http.client.HTTPException, ValueError, LookupError, TypeError):
        pass
    finally:
        connection.close()
    return "another program listens there"


def authority(sock: socket.socket, listener: Listener) -> str:
    """Host and port that a client on this machine can use."""
    host, port = sock.getsockname()[:2]
    if host in ("0.0.0.0", "::"):
        host = "127.0.0.1" if host == "0.0.0.0" else "::1"
    elif listener.host == "localhost":
        host = "localhost"
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def announce(path: Path, origin: str) -> None:
    """Write the ready file in one step, so that nobody ever reads half of it."""
    content = {"base_url": f"{origin}{BASE}", "control_url": f"{origin}/_mock", "pid": os.getpid()}
    try:
        with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            json.dump(content, file)
        os.chmod(file.name, 0o644)
        os.replace(file.name, path)
    except OSError as error:
        raise CannotServe(f"cannot write --ready-file {path}: {reason(error)}") from None


def forget(path: Path | None) -> None:
    """Remove a ready file, an old one of a killed server included: it would announce nobody."""
    if path:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)


def configure_logging(quiet: bool) -> None:
    """Log to standard error: requests and notes; with `quiet` only what needs attention."""
    least = logging.WARNING if quiet else logging.INFO
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(banner.LineFormatter(colour=sys.stderr.isatty()))
    for name, level in (("mockserver", least), ("uvicorn", logging.ERROR)):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(level)


def leave_calmly() -> None:
    """End with exit code 0 on Ctrl-C and SIGTERM. Uvicorn drains first, then raises the signal again."""

    def leave(*_: object) -> NoReturn:
        raise SystemExit(0)

    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, leave)
