"""Run a mock on a free port, in a thread of this process, for clients of any language and browsers."""

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from os import PathLike
from time import perf_counter, sleep
from typing import Any, Never, TypeVar, cast

from openpipe_mock.answers.functions import Made
from openpipe_mock.config.settings import Settings
from openpipe_mock.control.environment import exports
from openpipe_mock.openapi.endpoints import BASE
from openpipe_mock.server.direct import DirectApp
from openpipe_mock.server.reload import Source, service_of
from openpipe_mock.server.server import Listener, Server, bind, uvicorn_config
from openpipe_mock.service.service import Service
from openpipe_mock.testing.calls import not_none
from openpipe_mock.testing.cassettes import UPSTREAM, Record, tape_for
from openpipe_mock.testing.mock import Config, Mock, MockError, settings_of
from openpipe_mock.testing.virtual import VirtualClock

_Value = TypeVar("_Value")

_PATIENCE = 20.0
"""Seconds after which a server that doesn't start or doesn't answer has failed."""
_SETTLING = 1.0
"""Seconds that an assertion waits for requests under way, whose clients may have their answers already."""
_STEP = 0.002
_ticking = partial(perf_counter)
"""The clock of `Head.at`. A partial, since freezegun stops the clocks of `time` that it finds in modules."""


class _RealTime(VirtualClock):
    """The clock of a mock on a socket, which can't be moved."""

    def advance(self, seconds: float) -> None:
        if seconds:
            raise MockError("a mock on a socket runs in real time; openpipe_mock has a clock to advance.")


class LiveServer:
    """A server in a thread of its own. `origin`: its URL without a path. Raises CannotServe."""

    def __init__(self, service: Service | None = None) -> None:
        self.service = service or service_of(Source())
        listener = Listener(port=0, quiet=True)
        self.sock = bind(listener)
        self.origin = f"http://127.0.0.1:{self.sock.getsockname()[1]}"
        self.ready = threading.Event()
        self.loop: asyncio.AbstractEventLoop | None = None
        config = uvicorn_config(self.service, listener)
        self.app = cast(DirectApp, config.app)
        self.server = Server(config, self.is_ready)
        self.thread = threading.Thread(target=self.run, name="openpipe-mock", daemon=True)

    def run(self) -> None:
        log = logging.getLogger("uvicorn")
        level = log.level
        try:
            self.server.run(sockets=[self.sock])
        finally:
            log.setLevel(level)  # a server that ends silences it, while this process may run others
            self.ready.set()
            self.sock.close()

    def is_ready(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.ready.set()

    def start(self) -> None:
        self.thread.start()
        if not self.ready.wait(_PATIENCE) or self.loop is None:
            self.stop()
            raise MockError(f"the mock did not start within {_PATIENCE:.0f} seconds")

    def stop(self) -> None:
        self.server.should_exit = True
        self.thread.join(_PATIENCE)

    def at_once(self, action: Callable[[], _Value]) -> _Value:
        """Run an action in the server's thread, between two steps of requests, and return its result."""
        assert self.loop is not None
        acting = self.app.steps.run(action, heavy=False)
        return asyncio.run_coroutine_threadsafe(acting, self.loop).result(_PATIENCE)

    @contextmanager
    def session(
        self,
        *,
        config: Config = None,
        providers: object = None,
        block_network: object = None,
        cassette: str | PathLike[str] | None = None,
        record: Record = "none",
        upstream: str = UPSTREAM,
        **more: Any,
    ) -> "Iterator[LiveMock]":
        """A context with a mock that has a session of its own, and the options of `patched`.

        `providers`, `block_network`: of no use on a socket, and left out.
        """
        mock = LiveMock(self, config=config, overrides=not_none(**more))
        if cassette:
            mock.session.source = tape_for(cassette, record, upstream, mock.session.settings(Settings()))
        try:
            yield mock
        finally:
            mock.close()


class LiveMock(Mock):
    """A session of a running server, as a test uses it."""

    real_time = True

    def __init__(self, live: LiveServer, *, config: Config = None, overrides: Mapping[str, Any]) -> None:
        self.live = live
        settings = settings_of(config, overrides)
        session = live.at_once(lambda: live.service.sessions.fresh(_ticking()))
        session.use(settings)
        base_url = f"{live.origin}/_mock/sessions/{session.name}{BASE}"
        super().__init__(live.service, session, base_url=base_url, overrides=overrides)
        self.clock = _RealTime()

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables that point official clients here, for a process of its own."""
        return exports(self.base_url, Settings())

    @property
    def way_here(self) -> str:
        return f"to {self.base_url}"

    def _function(self, function: Callable[..., Any], label: str, parse: Callable[..., Made]) -> Never:
        raise MockError(
            f"{label}…): a function answers in process alone (openpipe_mock, patched()), and this mock is "
            "on a socket, in a thread of its own; script answers by when, template, sequence or turns, and "
            "scores by rules, by_output or sequence."
        )

    def now(self) -> float:
        return _ticking()

    def at_once(self, action: Callable[[], _Value]) -> _Value:
        return self.live.at_once(action)

    def settle(self) -> None:
        """Wait for requests under way: a client may have its last bytes before the server is done."""
        for _ in range(round(_SETTLING / _STEP)):  # no clock is asked: a test may have stopped it
            if not self.session.under_way:
                return
            sleep(_STEP)

    def close(self) -> None:
        """End the session; requests to it are answered by a new one."""
        self.at_once(lambda: self.service.sessions.remove(self.session.name))
        if self.session.source:
            self.session.source.close()


@contextmanager
def serving() -> Iterator[LiveServer]:
    """A context with a running server. Raises CannotServe, and MockError where it doesn't start in time."""
    live = LiveServer()
    live.start()
    try:
        yield live
    finally:
        live.stop()
