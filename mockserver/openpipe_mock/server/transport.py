"""Carry requests that come by ASGI to the service or the control API, and their replies back."""

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from os import urandom
from time import perf_counter, time
from typing import Any, TypeVar
from urllib.parse import quote

from starlette.types import Receive, Scope, Send

from openpipe_mock.core.effects import (
    Await,
    Begin,
    Break,
    Effect,
    Effects,
    Entropy,
    Head,
    HeaderList,
    Now,
    Piece,
    ReadBody,
    Reply,
    Tick,
    Wait,
)
from openpipe_mock.core.wording import printable, short
from openpipe_mock.server.turns import HEAVY_BYTES, SharedSteps, turns, wake
from openpipe_mock.service.journaling import REQUEST_ID
from openpipe_mock.service.refusals import crash
from openpipe_mock.sessions.journal import discreet, sent_keys

REQUESTS = "openpipe_mock.requests"
"""The logger of one line for each request, at INFO."""
NOTES = "openpipe_mock.notes"
"""The logger of advice on requests that were served all the same, at WARNING."""
LINE_MEMBERS = {
    REQUESTS: ("method", "path", "status", "subject", "ms", "request_id"),
    NOTES: ("path", "note", "request_id"),
}
"""Logger → what the arguments of its records are."""
_requests, _notes = logging.getLogger(REQUESTS), logging.getLogger(NOTES)

_Result = TypeVar("_Result")
_PIECES_A_TURN = 32
_MOST_BYTES_A_TURN = 65_536
"""Pieces and bytes of a stream that are sent, after its first piece, before others have their turn.

32 pieces at a time took a stream's share of a bare app's rate from 0.5 to above 1 (docs/performance.md).
"""
ticking = partial(perf_counter)
"""The clock of `Head.at`. A partial, since freezegun stops the clocks of `time` that it finds in modules."""
DROP = "openpipe_mock.drop"
"""The ASGI extension by which a server offers to drop the connection: `{"call": a function}`."""
ANNOUNCED = "openpipe_mock.announced"
"""The ASGI extension by which a server tells how much of a chunk is to come: `{"call": a function}`."""
WRITE = "openpipe_mock.write"
"""The ASGI extension by which a server offers to write several chunks of a body at once.

`{"call": a function}`, which takes a list of chunks and returns whether it wrote them.
"""


class ClientGone(Exception):
    """The client hung up before its request was complete; there is nobody to answer."""


class _Dropped(Exception):
    """Raised through the app to break the connection, on servers without the extension `DROP`."""


class ExchangeApp:
    """An ASGI app that answers by `exchange`.

    `steps`: runs the steps of the exchanges; apps with the same memory share one. `forgetful`: paths whose
    requests need no memory, so that they wait for nobody's step. `quiet`: requests get no line in the log.
    `secrets`: returns the keys that the log may not show.
    """

    def __init__(
        self,
        exchange: Callable[[Head], Effects],
        steps: SharedSteps | None = None,
        *,
        forgetful: frozenset[str] = frozenset(),
        quiet: bool = False,
        secrets: Callable[[], tuple[bytes, ...]] = tuple,
    ) -> None:
        self.exchange = exchange
        self.steps = steps or SharedSteps()
        self.forgetful = forgetful
        self.quiet = quiet
        self.secrets = secrets

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        head = request_head(scope)
        await self.carry(head, self.exchange(head), scope, receive, send)

    async def carry(self, head: Head, exchange: Effects, scope: Scope, receive: Receive, send: Send) -> None:
        """Carry an exchange out, and log the request's line and its notes."""
        steps = SharedSteps() if head.path in self.forgetful else self.steps
        transport = Transport(scope, receive, send, steps)
        try:
            reply = await transport.carry(exchange)
        except ClientGone:
            reply = Reply(0, b"", transport.headers, "the client hung up")
        except _Dropped:
            raise
        except asyncio.CancelledError:
            if transport.drop:  # else the server, which ends, would answer 500
                transport.drop()
            raise
        except Exception as error:
            reply = defect(error, head, self.secrets())
            if transport.begun:  # the stream has begun: breaking it off is all that is left
                raise
            await _send_reply(reply, send)
        if not self.quiet:
            log_request(head, reply, self.secrets())


def request_head(scope: Scope) -> Head:
    """The head of a request to this app, which another app may have mounted below a prefix."""
    query, root = scope.get("query_string", b""), quote(scope.get("root_path", ""))
    at, headers, scheme = ticking(), dict(scope["headers"]), scope.get("scheme", "http")
    return Head(scope["method"], route_path(scope), headers, query, at, peer(scope), root, scheme, time())


def route_path(scope: Scope) -> str:
    """The path of a request below the prefix by which another app mounts this one, as Starlette reads it."""
    path: str = scope["path"]
    below = path.removeprefix(scope.get("root_path", ""))
    return below if below[:1] in ("", "/") else path


def peer(scope: Scope) -> str:
    """The address of who sent a request; "unknown", which is none, where the server doesn't tell it."""
    client = scope.get("client")
    return client[0] or "unknown" if client else "unknown"


def defect(error: Exception, head: Head, secrets: tuple[bytes, ...]) -> Reply:
    """The reply to a defect of ours; logs its traceback."""
    [path] = discreet((*sent_keys(head.headers), *secrets), head.path)
    logging.getLogger("openpipe_mock").error("%s %s failed", head.method, _printable(path), exc_info=error)
    return crash(head.path)


class Transport:
    """Carries out the effects of one request's exchange by ASGI messages.

    `steps`: runs the exchange. `is_heavy`: its steps take long, by its body. `begun`: status and `headers`
    were sent. `broken`: the connection was dropped. `disconnect`: done as soon as the client hangs up; wakes
    `waiting`. `drop`, `write` and `announced`: the server's extensions, None where it lacks the first two.
    `pieces` of a stream are gathered and sent `most_pieces` at a time; `size` is their bytes.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send, steps: SharedSteps | None = None) -> None:
        self.receive = receive
        self.send = send
        self.steps = steps or SharedSteps()
        self.is_heavy = False
        self.turns = turns()
        extensions = scope.get("extensions", {})
        self.drop = extensions.get(DROP, {}).get("call")
        self.write = extensions.get(WRITE, {}).get("call")
        self.announced = extensions.get(ANNOUNCED, {}).get("call", _nothing)
        self.begun = False
        self.headers: HeaderList = ()
        self.broken = False
        self.pieces: list[bytes] = []
        self.size = 0
        self.most_pieces = 1  # nobody waits for the first
        self.disconnect: asyncio.Future[Any] | None = None
        self.waiting: asyncio.Future[Any] | None = None

    async def carry(self, exchange: Effects) -> Reply:
        """Run an exchange to its end and send its reply. Raises ClientGone, _Dropped, and defects of ours."""
        effect: Effect | Reply | None = None
        try:
            effect = await self.step(exchange)
            while not isinstance(effect, Reply):
                # The effects of most requests are carried out here: a coroutine for each would cost more.
                if isinstance(effect, Piece):
                    self.pieces.append(effect.data)
                    self.size += len(effect.data)
                    if len(self.pieces) >= self.most_pieces or self.size >= _MOST_BYTES_A_TURN:
                        await self.flush()
                        await self.turns.turn()  # a send that doesn't wait never lets us see a client leave
                    effect = _advanced(exchange, ticking())
                    continue
                if self.pieces:
                    await self.flush()
                if isinstance(effect, ReadBody):
                    body = await _read(self.receive, effect.limit, self.announced)
                    self.is_heavy = body is not None and len(body) > HEAVY_BYTES
                    effect = await self.step(exchange, body)
                elif isinstance(effect, Tick):
                    effect = await self.step(exchange, ticking())
                else:
                    result = await self.perform(effect)
                    # A stream that has begun asks nothing of the memory before its last step.
                    effect = _advanced(exchange, result) if self.begun else await self.step(exchange, result)
        finally:
            if not isinstance(effect, Reply):
                await self.run(exchange.close)
            if self.disconnect:
                self.disconnect.cancel()
        if self.pieces:
            await self.flush()
        if self.begun and not self.broken:
            await self.send({"type": "http.response.body"})
        elif not self.broken:
            await _send_reply(effect, self.send)
        return effect

    async def step(self, exchange: Effects, result: Any = None) -> Effect | Reply:
        """Run an exchange to its next effect, or to its reply. `result`: of the effect before."""
        return await self.run(partial(_advanced, exchange, result, clock=ticking))

    async def run(self, step: Callable[[], _Result]) -> _Result:
        """Run a step of the exchange once the steps of others allow it."""
        if self.steps.is_free and not self.is_heavy:
            return step()
        return await self.steps.run(step, heavy=self.is_heavy)

    async def flush(self) -> None:
        """Send the gathered pieces, each as a chunk of its own."""
        if self.is_disconnected():
            raise ClientGone
        *earlier, last = self.pieces
        if earlier and not (self.write and self.write(earlier)):
            for piece in earlier:
                await self.send({"type": "http.response.body", "body": piece, "more_body": True})
        # This one waits for slow readers.
        await self.send({"type": "http.response.body", "body": last, "more_body": True})
        self.pieces, self.size, self.most_pieces = [], 0, _PIECES_A_TURN

    async def perform(self, effect: Effect) -> Any:
        """Carry out one effect; its result goes back into the exchange."""
        match effect:
            case Begin():
                await self.turns.turn()  # many streams may begin at the same time
                await self.begin(effect)
            case Wait():
                await self.wait(effect.seconds)
            case Break():
                await self.break_off()
            case Await():
                return await self.outcome(effect)
            case Now():
                return time()
            case Entropy():
                return urandom(effect.size)

    async def begin(self, effect: Begin) -> None:
        """Send status and headers."""
        self.begun, self.headers = True, effect.headers
        headers = list(effect.headers)
        await self.send({"type": "http.response.start", "status": effect.status, "headers": headers})

    async def break_off(self) -> None:
        """Drop the connection. Raises _Dropped where only a crash in mid-answer makes the server do so."""
        self.broken = True
        if self.drop:
            self.drop()
            return
        if not self.begun:
            await self.begin(Begin(200, ((b"content-length", b"1"),)))
            await self.send({"type": "http.response.body", "more_body": True})  # servers put off bare headers
        raise _Dropped("the connection breaks on purpose")

    async def wait(self, seconds: float) -> None:
        """Wait so many seconds, and for a turn. Raises ClientGone as soon as the client hangs up."""
        # `asyncio.wait` with a timeout would take longer than all else that a paced chunk needs.
        if not self.is_disconnected():
            loop = asyncio.get_running_loop()
            self.waiting = loop.create_future()
            timer = loop.call_later(seconds, self.turns.join, self.waiting)
            try:
                await self.waiting
            finally:
                timer.cancel()
        if self.is_disconnected():
            raise ClientGone

    async def outcome(self, effect: Await) -> Any:
        """Wait for a future's result. Raises ClientGone as soon as the client hangs up."""
        waiting = asyncio.wrap_future(effect.future)
        if not self.is_disconnected() and self.disconnect:
            await asyncio.wait((waiting, self.disconnect), return_when=asyncio.FIRST_COMPLETED)
        if waiting.done():
            return waiting.result()
        waiting.cancel()
        raise ClientGone

    def is_disconnected(self) -> bool:
        """Whether the client has left, as far as the event loop has seen: it needs a turn to notice."""
        if self.disconnect is None:
            self.disconnect = asyncio.ensure_future(_until_disconnect(self.receive))
            self.disconnect.add_done_callback(self.disconnected)
        return self.disconnect.done()

    def disconnected(self, _: asyncio.Future[Any]) -> None:
        if self.waiting:
            wake(self.waiting)


def _advanced(
    exchange: Effects, result: Any = None, *, clock: Callable[[], float] | None = None
) -> Effect | Reply:
    """Run an exchange to its next effect, or to its reply. `clock`: carries out ticks on the way."""
    try:
        effect = exchange.send(result)
        while clock and isinstance(effect, Tick):
            effect = exchange.send(clock())
        return effect
    except StopIteration as stop:
        reply: Reply = stop.value
        return reply


async def _until_disconnect(receive: Receive) -> None:
    """Return once the client has hung up; drops the rest of its request."""
    while (await receive())["type"] != "http.disconnect":
        pass


def _nothing() -> int:
    """What a server announces that doesn't tell."""
    return 0


async def _read(receive: Receive, limit: int, announced: Callable[[], int]) -> bytes | None:
    """The request's body, or None once it has or announces more than `limit` bytes; the rest stays unread."""
    message = await receive()
    body: bytes = message.get("body", b"")
    if message["type"] == "http.request" and not message.get("more_body", False):
        return body if len(body) <= limit else None
    chunks, length = [], 0
    while True:
        if message["type"] == "http.disconnect":
            raise ClientGone
        chunks.append(message.get("body", b""))
        length += len(chunks[-1])
        if length > limit:
            return None
        if not message.get("more_body", False):
            return b"".join(chunks)
        if length + announced() > limit:
            return None
        message = await receive()


async def _send_reply(reply: Reply, send: Send) -> None:
    length = (b"content-length", b"%d" % len(reply.body))
    await send({"type": "http.response.start", "status": reply.status, "headers": [*reply.headers, length]})
    await send({"type": "http.response.body", "body": reply.body})


def log_request(head: Head, reply: Reply, secrets: tuple[bytes, ...]) -> None:
    """Write the request's line and its notes to the log, without these and other secrets."""
    heard = _requests.isEnabledFor(logging.INFO)
    if not heard and not reply.notes:
        return
    request_id = dict(reply.headers).get(REQUEST_ID, b"").decode("latin-1") or "-"
    keys = (*sent_keys(head.headers), *secrets)
    path, subject, *told = discreet(keys, head.path, reply.subject, *reply.notes)
    if heard:
        milliseconds = round((ticking() - head.at) * 1000, 1)
        line = (head.method, _printable(path), reply.status, _printable(subject), milliseconds)
        _requests.info("%s %s %d  %s  %.1f ms  %s", *line, request_id)
    for text in told:
        _notes.warning("%s: %s  %s", _printable(path), _printable(text), request_id)


def _printable(text: str) -> str:
    """A client's text made safe for a terminal, at most 300 characters."""
    return short(printable(text), 300)
