"""Patch aiohttp: its connectors give connections that end in the mock in place of a socket.

Responses, errors and all else are aiohttp's own. Sessions are patched too, since aioresponses and vcrpy
replace the method by which they send: requests to the mock bypass those.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from types import CoroutineType, ModuleType
from typing import Any

from openpipe_mock.testing.answering import TOO_SLOW, Catch, Ours, intercept_async
from openpipe_mock.testing.base_urls import Url, path_of
from openpipe_mock.testing.http1 import GO_ON, Line
from openpipe_mock.testing.layers import Original, Place, bound
from openpipe_mock.testing.patches import as_written, is_replaced
from openpipe_mock.testing.virtual import OutOfTime, Steps, TooSlow

_VERBS = ("request", "get", "options", "head", "post", "put", "patch", "delete")
_SENDING = "_request"
_END = object()


def places(library: ModuleType) -> Iterator[Place]:
    """What is patched in aiohttp."""
    yield library.BaseConnector, "connect", partial(intercept_async, _Connector(library))
    for verb in _VERBS:
        yield library.ClientSession, verb, partial(_asking, library.ClientSession, verb)


def _url_of(url: Any) -> Url:
    """The `Url` for one of yarl's."""
    return Url(url.scheme, url.host or "", url.explicit_port, path_of(url.raw_path))


# Sessions.


def _asking(owner: Any, verb: str, original: Original, ours: Ours) -> Original:
    place = 1 if verb == "request" else 0

    def ask(session: Any, *args: Any, **kwargs: Any) -> Any:
        sender = session
        if _is_diverted(owner, session):
            url = args[place] if len(args) > place else kwargs["url"]
            sender = _Direct(owner, session) if ours(_url_of(session._build_url(url))) else session
        return bound(original, sender)(*args, **kwargs)

    return ask


def _is_diverted(owner: Any, session: Any) -> bool:
    """Whether another mock has replaced the method by which a session sends, and no subclass overrides it."""
    return is_replaced(owner, _SENDING) and getattr(type(session), _SENDING) is owner.__dict__[_SENDING]


class _Direct:
    """A session that sends by aiohttp's own method, whatever has replaced that."""

    def __init__(self, owner: type, session: Any) -> None:
        self._session = session
        self._request = partial(as_written(owner, _SENDING), session)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)


# Connections.


@dataclass(frozen=True, slots=True)
class _Connector:
    """How connectors connect. `module`: `aiohttp`."""

    module: Any

    def url(self, connector: Any, req: Any, traces: Any, timeout: Any) -> Url | None:
        sockets = self.module.TCPConnector, self.module.UnixConnector, self.module.NamedPipeConnector
        return _url_of(req.url) if isinstance(connector, sockets) else None

    async def answer_async(
        self, catch: Catch, original: Original, connector: Any, req: Any, traces: Any, timeout: Any
    ) -> Any:
        """A connection to the mock for one request, which the connector owns."""
        for trace in traces:
            await trace.send_connection_create_start()
        await asyncio.sleep(0)
        for trace in traces:
            await trace.send_connection_create_end()
        module, loop = self.module, asyncio.get_running_loop()
        protocol = module.client_proto.ResponseHandler(loop)
        too_slow = getattr(module, "SocketTimeoutError", module.ServerTimeoutError)
        line = Line(catch, timeout.sock_read, timeout.total)
        protocol.connection_made(_Transport(line, protocol, req, too_slow(TOO_SLOW)))
        protocol.force_close()  # else the connector would use it again
        connector._acquired.add(protocol)  # so the connector closes it when it is closed itself
        return module.connector.Connection(connector, req.connection_key, protocol, loop)


class _Transport(asyncio.Transport):
    """The transport of such a connection: takes the request's bytes, delivers the answer as it is read."""

    def __init__(self, line: Line, protocol: Any, request: Any, too_slow: Exception) -> None:
        super().__init__()
        self.line = line
        self.protocol = protocol
        self.request = request
        self.too_slow = too_slow
        self.loop = asyncio.get_running_loop()
        self.answer: Steps | None = None
        self.awaiting: asyncio.Task[Any] | None = None
        self.begun = self.scheduled = self.closing = self.paused = False

    # What the client does.

    def write(self, data: Any) -> None:
        hesitated = self.line.hesitates
        self.line.feed(bytes(data))
        if self.line.hesitates and not hesitated:
            self.loop.call_soon(self.receive, GO_ON)
        if self.line.complete and self.answer is None:
            self.answer = self.line.answer()
            self.schedule()

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        if not self.closing:
            self.closing = True
            self.line.close()
            if self.awaiting:
                self.awaiting.cancel()
            if not self.loop.is_closed():
                self.loop.call_soon(self.protocol.connection_lost, None)

    abort = close

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False
        self.schedule()

    # What the client gets.

    def schedule(self) -> None:
        if not self.scheduled:
            self.scheduled = True
            self.loop.call_soon(self.go_on)

    def go_on(self, result: Any = None) -> None:
        """Deliver the next bytes of the answer; of a stream, once the piece before was read."""
        self.scheduled = False
        if self.closing or self.paused or self.answer is None:
            return
        try:
            data = self.answer.send(result)
        except StopIteration:
            self.take(_END)
        except BaseException as problem:  # a test's function may raise any, and a client would wait for ever
            self.answer = None
            self.fail(problem)
        else:
            self.take(data)

    def take(self, data: Any) -> None:
        if isinstance(data, CoroutineType):
            self.awaiting = self.loop.create_task(data)
            self.awaiting.add_done_callback(self.was_awaited)
            return
        if data is _END:
            self.answer = None
            if self.line.cut:
                self.protocol.eof_received()
                self.close()
            return
        if data is not None:
            self.begun = True
            self.receive(data)
            if self.line.flowing and not self.closing:
                self.protocol.pause_reading()
        self.schedule()

    def was_awaited(self, task: "asyncio.Task[Any]") -> None:
        if not task.cancelled():
            self.go_on(task.result())

    def receive(self, data: bytes) -> None:
        if not self.closing:
            self.protocol.data_received(data)

    def fail(self, problem: BaseException) -> None:
        """Have the client's next read raise the library's own error."""
        response = self.request.response
        content = response and response.content
        if self.begun and content is None and not self.closing:
            self.loop.call_soon(self.fail, problem)  # the client has yet to see that the answer has begun
            return
        error = self.error(problem)
        if content is not None:
            content.set_exception(error)
        self.protocol.set_exception(error)

    def error(self, problem: BaseException) -> BaseException:
        if isinstance(problem, OutOfTime):
            return TimeoutError(TOO_SLOW)
        return self.too_slow if isinstance(problem, TooSlow) else problem
