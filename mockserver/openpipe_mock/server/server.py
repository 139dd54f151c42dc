"""Run the mock on a socket: bind, announce it, serve, and stop on a signal."""

import asyncio
import errno
import gc
import json
import logging
import os
import socket
import ssl
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import uvicorn

from openpipe_mock.config.file import ConfigError
from openpipe_mock.config.settings import Settings
from openpipe_mock.control.guard import Guard
from openpipe_mock.control.status import PRODUCT
from openpipe_mock.server import banner, logs, readyfile
from openpipe_mock.server.direct import DirectApp
from openpipe_mock.server.journalfile import JournalFile
from openpipe_mock.server.protocol import DroppingProtocol
from openpipe_mock.server.readiness import Readiness
from openpipe_mock.server.reload import Source, service_of, watch
from openpipe_mock.server.signals import leave_calmly
from openpipe_mock.server.workers import Failed, Lifeline, Workers
from openpipe_mock.service.request import AnswerSource
from openpipe_mock.service.service import Service
from openpipe_mock.sessions.memory import APART, Sessions

_BACKLOG = 2048
LOOP = "uvloop" if find_spec("uvloop") else "asyncio"
_NO_PASSWORD = "none"
"""Any pass phrase: without one OpenSSL would ask the terminal for that of an encrypted key."""
_KEEP_ALIVE_SECONDS = 60
"""How long a connection may be idle. uvicorn's 5 s are httpx's too: a request could cross our closing."""
_GRACE_SECONDS: Any = 0.3
"""How long requests under way may go on after a signal. Uvicorn takes fractions, but declares an int."""
_Job = Callable[[], Coroutine[Any, Any, None]]
"""Returns a coroutine that runs beside a server, until it is cancelled."""


class CannotServe(Exception):
    """The server can't start; the message is one line that says why and what to try."""


@dataclass(frozen=True, slots=True)
class Listener:
    """Where and how to listen, and who may use the control API. `port`: 0 picks a free one."""

    host: str = "127.0.0.1"
    port: int = 6736
    certfile: Path | None = None
    keyfile: Path | None = None
    ready_file: Path | None = None
    journal: Path | None = None
    quiet: bool = False
    logs_json: bool = False
    guard: Guard = field(default_factory=Guard)
    workers: int = 1
    state: str = field(default="", repr=False)
    """The URL of the Redis in which sessions are remembered, "" for this process's memory."""

    @property
    def scheme(self) -> str:
        return "https" if self.certfile else "http"


class Server(uvicorn.Server):
    """A uvicorn server that calls `ready` once it accepts connections, and runs `jobs` meanwhile."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None], *jobs: _Job) -> None:
        super().__init__(config)
        self.ready = ready
        self.jobs = jobs
        self.tasks: list[asyncio.Task[None]] = []

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready()
        self.tasks = [asyncio.create_task(job()) for job in self.jobs]

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        logging.getLogger("uvicorn").setLevel(logging.CRITICAL)  # a request cut off now is no defect
        for task in self.tasks:
            task.cancel()
        if self.tasks:
            await asyncio.wait(self.tasks)
        await super().shutdown(sockets)


def serve(
    source: Source, listener: Listener, answers: Callable[[Settings], AnswerSource] | None = None
) -> None:
    """Serve until SIGINT, SIGTERM or SIGHUP. Raises CannotServe where it can't start.

    `answers`: makes what is asked for answers before the mock, from the settings at the start.
    """
    leave_calmly()
    ready_file = listener.ready_file
    if ready_file:
        with _refusing(f"cannot use --ready-file {ready_file}: ", readyfile.UnfitReadyFile):
            readyfile.check_ready_file(ready_file)
    if listener.workers > 1 and not hasattr(os, "fork"):
        raise CannotServe("--workers above 1 needs a system with fork, which Windows lacks; leave it out")
    sessions = _shared(listener.state) if listener.state else None
    service = _begin(source, sessions)
    readiness = service.is_ready = Readiness()
    journal = _journal_file(listener.journal, service)
    if answers:
        service.source = answers(service.settings)
    if listener.workers > 1 and sessions is None:
        service.sessions.place = APART
    config = uvicorn_config(service, listener)
    # What exists now lives to the end. The collector leaves it alone, so workers share its memory for longer.
    gc.freeze()
    gc.enable()
    sock = bind(listener)
    origin = f"{listener.scheme}://{authority(sock, listener)}"
    log = logs.configure(listener.quiet, as_json=listener.logs_json)

    def ready() -> None:
        readiness.start()
        if ready_file:
            with _refusing(f"cannot write --ready-file {ready_file}: ", OSError):
                readyfile.write_ready_file(ready_file, origin)
        if not listener.quiet:
            private = ip_address(sock.getsockname()[0].partition("%")[0]).is_loopback
            log.announce(banner.banner(service, origin, "" if private else listener.host, log.is_terminal))
        _note_memory(listener.workers, sessions)

    def work(lifeline: Lifeline, serving: Callable[[], None]) -> None:
        server = Server(config, serving, *jobs)
        server.jobs += (partial(_end_with, lifeline, server),)
        try:
            server.run(sockets=[sock])
        finally:
            if journal:
                journal.close()

    watching = (partial(watch, source, service),) if source.path and service.file.lasting else ()
    jobs = (readiness.watch, *watching)
    try:
        if listener.workers > 1:
            with _refusing("", Failed):
                Workers(listener.workers, work).run(ready)
        else:
            Server(config, ready, *jobs).run(sockets=[sock])
    finally:
        if ready_file:
            readyfile.remove(ready_file)
        if service.source:
            service.source.close()
        if journal:
            journal.close()
        log.flush()


def _journal_file(path: Path | None, service: Service) -> JournalFile | None:
    """The file that exchanges are appended to, None for none. Raises CannotServe."""
    if path is None:
        return None
    with _refusing(f"cannot use --journal {path}: ", OSError):
        journal = JournalFile(path)
    service.journal_file = journal.add
    return journal


async def _end_with(lifeline: Lifeline, server: Server) -> None:
    """In a worker: stop the server once the first process is gone."""
    await lifeline.cut()
    server.should_exit = True


@contextmanager
def _refusing(told: str, *errors: type[Exception]) -> Iterator[None]:
    """Raise CannotServe in place of these errors: `told`, then the error's own words."""
    try:
        yield
    except errors as error:
        raise CannotServe(f"{told}{_reason(error)}") from None


def _shared(url: str) -> Sessions:
    """Sessions that lie in the Redis at a URL. Raises CannotServe for one that can't be used."""
    from openpipe_mock.sessions.redis.link import BadState, Link  # only a mock with shared state pays for it

    with _refusing("", BadState):
        link = Link(url)
        link.check()
    from openpipe_mock.sessions.redis.sessions import RedisSessions

    return RedisSessions(link)


def _note_memory(workers: int, sessions: Sessions | None) -> None:
    """Log where sessions lie, or that several processes share none."""
    log = logging.getLogger("openpipe_mock")
    if sessions is not None:
        log.info("what sessions remember lies in %s", sessions.place)
    elif workers > 1:
        log.warning("%d workers, each with a memory of its own: %s", workers, _UNSHARED)


_UNSHARED = (
    "sequences and other counts, what is set at runtime, sessions, cache, journal, logged calls and limits"
    " are not shared; --state redis://HOST:PORT/DB shares them"
)


def _begin(source: Source, sessions: Sessions | None = None) -> Service:
    """The service of a source. Raises CannotServe for a file that has mistakes or can't be read."""
    unreadable = _refusing(f"cannot read the config file {source.path}: ", OSError)
    with unreadable, _refusing("the config file has mistakes:\n", ConfigError):
        return service_of(source, sessions)


def uvicorn_config(service: Service, listener: Listener) -> uvicorn.Config:
    """uvicorn's configuration, without its log lines and headers. Raises CannotServe for bad TLS files."""
    config = uvicorn.Config(
        DirectApp(service, listener.guard.called(listener.host)),
        loop=LOOP,
        http=DroppingProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,  # whoever may set the peer's address by a header gets past the guard
        server_header=False,
        date_header=False,
        backlog=_BACKLOG,
        ssl_certfile=listener.certfile,
        ssl_keyfile=listener.keyfile,
        ssl_keyfile_password=_NO_PASSWORD,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )
    try:
        config.load()
    except OSError as error:
        names = " or ".join(str(file) for file in (listener.certfile, listener.keyfile) if file)
        advice = "--ssl-certfile and --ssl-keyfile want readable PEM files, the key without a pass phrase"
        raise CannotServe(f"cannot use {names}: {_unusable(error)}; {advice}") from None
    return config


def _unusable(error: OSError) -> str:
    return "this is no certificate with its key" if isinstance(error, ssl.SSLError) else _reason(error)


def bind(listener: Listener) -> socket.socket:
    """A listening socket. Raises CannotServe, whose message says what to try."""
    host, port = listener.host.removeprefix("[").removesuffix("]"), listener.port
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family, backlog=_BACKLOG)
    except (socket.gaierror, UnicodeError):  # the latter for labels that are empty or too long
        raise CannotServe(f"--host {listener.host} names no machine; try 127.0.0.1 or ::1") from None
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            problem = f"port {port} is taken: {_occupant(host, port)}; try --port 0 for a free one"
        elif error.errno == errno.EADDRNOTAVAIL:
            problem = f"--host {listener.host} is no address of this machine; try 127.0.0.1"
        else:
            problem = f"cannot listen on {listener.host} port {port}: {_reason(error)}"
        raise CannotServe(problem) from None


def authority(sock: socket.socket, listener: Listener) -> str:
    """Host and port that a client on this machine can use."""
    host, port = sock.getsockname()[:2]
    if host in ("0.0.0.0", "::"):
        host = "127.0.0.1" if host == "0.0.0.0" else "::1"
    elif listener.host == "localhost":
        host = "localhost"
    return f"{_bracketed(host)}:{port}"


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def _occupant(host: str, port: int) -> str:
    """A description of who answers on a taken port: an openpipe-mock, or another program."""
    address = "localhost" if host in ("0.0.0.0", "::") else host
    health = _ask_health(f"http://{_bracketed(address)}:{port}") or _ask_health(
        f"https://{_bracketed(address)}:{port}"
    )
    if health is None:
        return "another program listens there"
    return f"an {PRODUCT} {health['version']} (seed {health['seed']}) already runs there"


def _ask_health(origin: str) -> dict[str, Any] | None:
    """The health of the mock at an origin on this machine; None where nothing answers like one."""
    import http.client
    import urllib.request

    # The certificate isn't checked: nothing secret is sent, and a mock's may be self-signed.
    direct = urllib.request.ProxyHandler({})
    secure = urllib.request.HTTPSHandler(context=ssl._create_unverified_context())
    opener = urllib.request.build_opener(direct, secure)
    try:
        with opener.open(f"{origin}/_mock/health", timeout=0.5) as answer:
            health: Any = json.loads(answer.read(10_000))
            return health if health["name"] == PRODUCT and health.keys() >= {"version", "seed"} else None
    except (OSError, http.client.HTTPException, ValueError, LookupError, TypeError, AttributeError):
        return None


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
