"""What presses on a server's event loop: heavy bodies, very many streams, a Redis that takes its time."""

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from time import perf_counter
from typing import Any

from tests.live import PATIENCE
from tests.mad import CHAT, JUDGE
from tests.redises import Redis
from tests.soaking import ASKED, JUDGED, Address, exchange, sent

Json = Any
HEALTH = b"GET /_mock/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
_PAUSE = 0.02
_MESSAGE = {"role": "user", "content": "x"}


@dataclass
class Pulse:
    """Requests that are sent one after the other, beside something else. `slowest`: in seconds."""

    answered: int = 0
    slowest: float = 0.0


@contextlib.asynccontextmanager
async def pulse(address: Address, request: bytes = HEALTH) -> AsyncIterator[Pulse]:
    """Send a request again and again while the block runs."""
    found, over = Pulse(), asyncio.Event()

    async def beat() -> None:
        while not over.is_set():
            started = perf_counter()
            await asyncio.wait_for(exchange(address, request), PATIENCE)
            found.slowest = max(found.slowest, perf_counter() - started)
            found.answered += 1
            await asyncio.sleep(_PAUSE)

    beating = asyncio.create_task(beat())
    try:
        yield found
    finally:
        over.set()
        await beating


def heavy_bodies(size: int) -> Iterator[tuple[str, str, Json]]:
    """Bodies of about `size` bytes: what they are full of, the path, and the body."""

    def many(value: Json) -> list[Json]:
        return [value] * (size // (len(json.dumps(value)) + 2))

    yield "text", CHAT, {**ASKED, "messages": [{"role": "user", "content": "word " * (size // 5)}]}
    yield "messages", CHAT, {**ASKED, "messages": many(_MESSAGE)}
    yield "empty objects", JUDGE, {**JUDGED, "input": {"messages": many({})}}
    yield "unknown lists", JUDGE, {**JUDGED, "unknown": many([])}
    yield "secrets", "/api/v1/report", {"reqPayload": {"a": many({"password": "x"})}, "respPayload": {}}


# Streams, from a process of their own.


async def read_streams(address: Address, number: int, seconds: float) -> int:
    """Read so many streams for so long; the number of reads, each of which holds a chunk or more."""
    request = sent(CHAT, {**ASKED, "max_tokens": 4000, "stream": True}, headers="x-mock-fault: endless")
    reads = 0

    async def stream() -> None:
        nonlocal reads
        reader, writer = await asyncio.open_connection(*address)
        with contextlib.closing(writer):
            writer.write(request)
            while await reader.read(65536):
                reads += 1

    streams = [asyncio.create_task(stream()) for _ in range(number)]
    await asyncio.sleep(seconds)
    for each in streams:
        each.cancel()
    await asyncio.gather(*streams, return_exceptions=True)
    return reads


@contextlib.asynccontextmanager
async def many_streams(address: Address, number: int, seconds: float) -> AsyncIterator[list[int]]:
    """Streams that another process reads while the block runs, and to their end; then how often it read."""
    command = [sys.executable, "-m", "tests.pressing", *map(str, (*address, number, seconds))]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    reads: list[int] = []
    yield reads
    out, _ = await process.communicate()
    reads.append(int(out))


# A Redis that is slow.


@contextlib.contextmanager
def slowed(redis: Redis, seconds: float) -> Iterator[str]:
    """The URL by which a Redis is asked whose answers come so many seconds later."""

    async def passed_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay: float) -> None:
        with contextlib.closing(writer), contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                await asyncio.sleep(delay)
                writer.write(data)

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", redis.port)
        await asyncio.gather(passed_on(reader, back, 0), passed_on(there, writer, seconds))

    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(asyncio.start_server(connected, "127.0.0.1", 0))
    thread = Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0"
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(PATIENCE)


def paced(folder: Path) -> Path:
    """A config file by which a stream has 20 chunks a second."""
    file = folder / "paced.yaml"
    file.write_text("stream: {tokens_per_second: 20, endless_events: 100000}\n")
    return file


if __name__ == "__main__":
    host, port, number, seconds = sys.argv[1:]
    print(asyncio.run(read_streams((host, int(port)), int(number), float(seconds))))
