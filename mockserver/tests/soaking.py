"""A running mock under mad requests, with correct clients beside them, and what must hold meanwhile."""

import asyncio
import contextlib
import itertools
import json
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from time import monotonic
from typing import Any

from openpipe_mock.service.service import Service
from tests.inprocess import answer
from tests.live import PATIENCE, Live, untimed
from tests.mad import CHAT, Mad

Json = Any
Address = tuple[str, int]

MEBIBYTE = 2**20
AT_ONCE = 24
"""Mad clients side by side."""
QUIET = 0.05
"""Seconds without a byte after which a mad client that can't expect an answer goes."""
ABSENT = b"the connection ended without an answer"
LONG_STREAMS = "stream: {endless_events: 100000}\n"
"""Endless streams of 20 MB then. Of one with 2 MB a system may take all, though nobody reads it."""
MIDDLE = 100
"""Requests after which a server is cut off that has many more before it."""
REST = 0.5
"""Seconds in which a server that is at rest works for at most IDLE of them."""
IDLE = 0.05

JUDGED: Json = {"criterion_id": "helpful", "output": {"role": "assistant", "content": "1, 2, 3"}}
ASKED: Json = {"model": "openpipe:m", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 20}
CORRECT: tuple[tuple[str, Json], ...] = (
    ("/api/v1/criteria/judge", JUDGED),
    ("/api/v1/chat/completions", ASKED),
    ("/api/v1/chat/completions", {**ASKED, "stream": True}),
)
"""What the correct clients send; the answers are functions of the content alone."""


@dataclass
class Report:
    """What came of it. `defects`: what must not be, in words. `slowest`: how long a correct client waited."""

    sent: int = 0
    served: int = 0
    slowest: float = 0.0
    statuses: Counter[int] = field(default_factory=Counter)
    defects: list[str] = field(default_factory=list)


def torment(live: Live, requests: Iterable[Mad], *, clients: int = 2) -> Report:
    """Send mad requests, while correct clients send theirs; returns once all are done."""
    report = Report()

    async def run() -> None:
        async with beside(live.address, report, clients):
            await throng(live.address, iter(requests), report)

    asyncio.run(run())
    return report


async def cut_off(live: Live, requests: Iterable[Mad], name: signal.Signals) -> tuple[Report, int, float]:
    """What came of requests up to a signal in the middle of them; its exit code, and the seconds it took."""
    report, over = Report(), asyncio.Event()
    until_over = itertools.takewhile(lambda _: not over.is_set(), requests)
    clients = (served_all_along(live.address, report, over), throng(live.address, until_over, report))
    going = asyncio.gather(*clients)
    await eventually(lambda: report.sent >= MIDDLE and report.served > 0)
    until_then = replace(report, defects=list(report.defects))
    code, seconds = await asyncio.to_thread(live.stop, name)
    over.set()
    await going
    return until_then, code, seconds


async def eventually(holds: Callable[[], bool]) -> bool:
    """Whether something holds in the end; return as soon as it does."""
    deadline = monotonic() + PATIENCE
    while not holds() and monotonic() < deadline:
        await asyncio.sleep(0.01)
    return holds()


@contextlib.asynccontextmanager
async def beside(address: Address, report: Report, clients: int = 2) -> AsyncIterator[None]:
    """Correct clients that go on sending while the block runs."""
    over = asyncio.Event()
    tasks = [asyncio.create_task(served_all_along(address, report, over)) for _ in range(clients)]
    try:
        yield
    finally:
        over.set()
        await asyncio.gather(*tasks)


async def served_all_along(address: Address, report: Report, over: asyncio.Event) -> None:
    """A correct client: each answer has to be the right one, byte for byte."""
    expected = [(sent(path, body), answer(Service(), body, path=path).body) for path, body in CORRECT]
    while not over.is_set():
        for request, right in expected:
            started = monotonic()
            try:
                got = await asyncio.wait_for(exchange(address, request), PATIENCE)
            except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
                report.defects.append(f"a correct client got no answer: {error!r}")
                continue
            report.slowest = max(report.slowest, monotonic() - started)
            report.served += 1
            if got != right:
                report.defects.append(f"a correct client got a wrong answer: {got[:300]!r}")
        await asyncio.sleep(0.01)


def sent(path: str, body: Json, *, headers: str = "") -> bytes:
    """A request whose connection ends with its answer."""
    content = json.dumps(body).encode()
    lines = (
        f"POST {path} HTTP/1.1",
        "Host: localhost",
        "Authorization: Bearer op-local",
        "Content-Type: application/json",
        "Connection: close",
        f"Content-Length: {len(content)}",
    )
    return "\r\n".join((*lines, headers, "")).encode() + (b"\r\n" if headers else b"") + content


async def exchange(address: Address, request: bytes) -> bytes:
    """The body of the answer to a request."""
    reader, writer = await asyncio.open_connection(*address)
    try:
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        rest = await reader.read(-1)
        return b"".join(unchunked(rest)) if b"transfer-encoding: chunked" in head else rest
    finally:
        writer.close()


def unchunked(body: bytes) -> Iterator[bytes]:
    """The chunks of a body."""
    while body:
        size, _, body = body.partition(b"\r\n")
        length = int(size, 16)
        yield body[:length]
        body = body[length + 2 :]


# Mad clients.


async def throng(address: Address, requests: Iterator[Mad], report: Report) -> None:
    """So many mad clients at once, each of which takes the next request when it is done with one."""

    async def client(number: int) -> None:
        random = Random(number)
        for request in requests:
            report.sent += 1
            await meet(address, request, report, rude=random.random() < 0.5)

    await asyncio.gather(*(client(number) for number in range(AT_ONCE)))


async def meet(address: Address, request: Mad, report: Report, *, rude: bool) -> None:
    """One mad request, and what is wrong with its answer. Who is `rude` drops the connection."""
    got = b""
    try:
        got = await answered(address, request, rude=rude)
    except TimeoutError:
        report.defects.append(f"{request.name}: no answer within {PATIENCE} s to {request.pieces[0][:300]!r}")
        return
    except OSError as error:
        if request.sure or not isinstance(error, ConnectionError):
            report.defects.append(f"{request.name}: {error!r} after {request.pieces[0][:300]!r}")
        return
    status = int(got[9:12]) if got.startswith(b"HTTP/1.1 ") and got[9:12].isdigit() else 0
    report.statuses[status] += 1
    if status >= 500 or b"a defect of the mock" in got or (request.sure and not status):
        report.defects.append(f"{request.name}: {got[:300]!r} to {request.pieces[0][:600]!r}")


async def answered(address: Address, request: Mad, *, rude: bool) -> bytes:
    """What comes back for a mad request. Raises OSError, TimeoutError."""
    reader, writer = await asyncio.wait_for(asyncio.open_connection(*address), PATIENCE)
    try:
        for piece in request.pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(request.pause)
        if request.leaves:
            return b""
        if request.sure:
            return await asyncio.wait_for(reader.read(65536), PATIENCE)
        return await patiently(reader, request.answers)
    finally:
        if rude:
            writer.transport.abort()
        writer.close()


async def patiently(reader: asyncio.StreamReader, answers: int) -> bytes:
    """What comes until nothing more does."""
    got = b""
    with contextlib.suppress(TimeoutError):
        while got.count(b"HTTP/1.1 ") < answers:
            more = await asyncio.wait_for(reader.read(65536), QUIET)
            if not more:
                break
            got += more
    return got


# What a server holds.


def memory(live: Live) -> int:
    """The bytes that a server has in memory."""
    status = Path(f"/proc/{live.process.pid}/status").read_text()
    return 1024 * next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:"))


def descriptors(live: Live) -> int:
    """How many files and connections a server has open."""
    return len(list(Path(f"/proc/{live.process.pid}/fd").iterdir()))


def settled(live: Live, most: int) -> int:
    """How many are open once no more than that are, or once patience is over."""
    asyncio.run(eventually(lambda: descriptors(live) <= most))
    return descriptors(live)


def worked(live: Live) -> float:
    """The seconds for which a server has kept a processor busy."""
    numbers = Path(f"/proc/{live.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(numbers[11]) + int(numbers[12])) / os.sysconf("SC_CLK_TCK")


async def at_rest(live: Live) -> None:
    """Return once a server does next to nothing: all is sent, or nobody takes more of it."""
    deadline, before = monotonic() + PATIENCE, -1.0
    while (now := worked(live)) - before > IDLE and monotonic() < deadline:
        before = now
        await asyncio.sleep(REST)


def alarms(live: Live) -> list[str]:
    """Lines of a quiet server's log that speak of a defect. Warnings of what clients do are none."""
    lines = untimed(live.log.read_text("utf-8", "replace")).splitlines()
    return [line for line in lines if not line.startswith("warning: ")]


@contextlib.asynccontextmanager
async def crowd(address: Address, number: int) -> AsyncIterator[int]:
    """So many connections that are open and say nothing."""
    writers: list[asyncio.StreamWriter] = []
    try:
        while len(writers) < number:
            opening = (asyncio.open_connection(*address) for _ in range(min(200, number - len(writers))))
            opened = await asyncio.wait_for(gathered(opening), PATIENCE)
            writers += [writer for _, writer in opened]
        yield len(writers)
    finally:
        for writer in writers:
            writer.transport.abort()


@contextlib.asynccontextmanager
async def unread(live: Live, number: int) -> AsyncIterator[None]:
    """So many long streams that have begun and that nobody reads, once the server has sent what it can."""
    request = sent(CHAT, {**ASKED, "stream": True}, headers="x-mock-fault: endless")
    writers: list[asyncio.StreamWriter] = []
    try:
        for _ in range(number):
            reader, writer = await asyncio.open_connection(*live.address, limit=1)
            writers.append(writer)
            writer.write(request)
            assert await asyncio.wait_for(reader.read(9), PATIENCE) == b"HTTP/1.1 "
        await at_rest(live)
        yield
    finally:
        for writer in writers:
            writer.transport.abort()


async def gathered(tasks: Iterable[Awaitable[Any]]) -> list[Any]:
    return list(await asyncio.gather(*tasks))
