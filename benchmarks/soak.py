"""A long siege of a local mock: mad requests, crowds, slow readers, saves, ends. Run by `make soak`.

Everything is bounded in count and time and stays on loopback. It ends with 1 where anything was not as it has
to be, and says what; the same seed sends the same requests.
"""

import argparse
import asyncio
import json
import resource
import shutil
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, perf_counter

import httpx
import orjson

from tests.bombs import SCHEMA_BOMBS, requests_with
from tests.live import PATIENCE, Live, serving
from tests.mad import CHAT, JUDGE, requests
from tests.pressing import heavy_bodies, many_streams, paced, pulse, slowed
from tests.redises import redis_server
from tests.soaking import (
    JUDGED,
    LONG_STREAMS,
    MEBIBYTE,
    Report,
    alarms,
    at_rest,
    beside,
    crowd,
    cut_off,
    descriptors,
    eventually,
    exchange,
    memory,
    sent,
    settled,
    throng,
    torment,
    unread,
)

ROUNDS = 10
GROWTH = 32 * MEBIBYTE
"""Bytes by which the second half of the rounds may raise what the mock holds; they repeat the first half."""
SOON = 30.0
"""Seconds within which it ends when it is told to, on a busy machine; what kept it alive would never end."""
STREAMS = 40
SAVES = 10
SAVE_SECONDS = 0.3
SPARE = 100
"""Files that each side needs beside its connections."""
SPARE_BYTES = 1000
"""Bytes of a heavy body beside what it is full of."""
KEY = "op-mad"
"""The key of the mad requests, which nothing may show."""
SLOW_SECONDS = 0.3
"""How long each answer of a slow Redis takes."""


@dataclass
class Figures:
    """What all steps came to; docs/reliability.md has them."""

    requests: int = 0
    answered: int = 0
    server_errors: int = 0
    hangs: int = 0
    secrets: int = 0
    before: int = 0
    after: int = 0

    def __str__(self) -> str:
        grown = f"{self.before / MEBIBYTE:.0f} MiB before and {self.after / MEBIBYTE:.0f} MiB after"
        return (
            f"{self.requests} requests of mad and heavy clients, {self.answered} of correct ones;"
            f" {self.server_errors} unscripted 5xx, {self.hangs} hangs, {self.secrets} secrets found; {grown}"
        )


@dataclass
class Soak:
    """What is asked for, and what was found to be wrong.

    `dwell`: seconds that a crowd stays. `mebibytes`: of a heavy body. `streams`: how many at once.
    """

    requests: int
    connections: int
    kills: int
    seed: int
    dwell: float = 3.0
    mebibytes: float = 10.0
    streams: int = 1000
    problems: list[str] = field(default_factory=list)
    figures: Figures = field(default_factory=Figures)

    def expect(self, holds: bool, otherwise: str) -> None:
        if not holds:
            self.problems.append(otherwise)
            print(f"  WRONG: {otherwise}", flush=True)

    def judge(self, report: Report) -> None:
        """Hold a report against what has to be, and add it to the figures."""
        self.figures.requests += report.sent
        self.figures.answered += report.served
        self.figures.server_errors += sum(n for status, n in report.statuses.items() if status >= 500)
        self.figures.hangs += sum("no answer within" in defect for defect in report.defects)
        for defect in report.defects:
            self.expect(False, defect)
        self.expect(report.served > 0, "no correct client was served")

    def siege(self, live: Live) -> None:
        """Mad requests in rounds; the second half of them repeats the first."""
        before, each, halfway = descriptors(live), self.requests // ROUNDS, 0
        statuses: Counter[int] = Counter()
        self.figures.before = memory(live)
        for number in range(ROUNDS):
            started = monotonic()
            report = torment(live, requests(self.seed + number % (ROUNDS // 2), each))
            statuses += report.statuses
            self.judge(report)
            held = memory(live)
            print(
                f"  round {number + 1}: {report.sent} mad requests in {monotonic() - started:.1f} s,"
                f" {report.served} correct ones beside them (slowest {report.slowest * 1000:.0f} ms),"
                f" {held / MEBIBYTE:.0f} MiB",
                flush=True,
            )
            halfway = held if number < ROUNDS // 2 else halfway
        grown = (memory(live) - halfway) / MEBIBYTE
        self.expect(grown * MEBIBYTE < GROWTH, f"the repeated rounds took {grown:.1f} MiB more")
        left = settled(live, before) - before
        self.expect(left <= 0, f"{left} connections or files were left open")
        self.figures.after = memory(live)
        self.figures.secrets = self.shown_keys(live)
        self.expect(
            not self.figures.secrets, f"the key of mad requests was shown {self.figures.secrets} times"
        )
        print(f"  answers by status (0: none): {dict(sorted(statuses.items()))}")

    def shown_keys(self, live: Live) -> int:
        """How often the log, the journals and the newest exchanges in them show the key of mad requests."""
        with httpx.Client(base_url=live.control_url, timeout=PATIENCE) as client:
            listed = client.get("/requests?session=*&limit=1000").text
            ids = [entry["id"] for entry in json.loads(listed)["requests"][:200]]
            shown = [listed, *(client.get(f"/requests/{each}").text for each in ids)]
        return sum(text.count(KEY) for text in (*shown, live.log.read_text("utf-8", "replace")))

    def bombs(self, live: Live) -> None:
        """Schemas that are made to cost, as formats of answers and as tools."""
        statuses: Counter[int] = Counter()
        slowest, started = 0.0, perf_counter()
        with httpx.Client(base_url=live.origin, headers={"Authorization": f"Bearer {KEY}"}) as client:
            for name, schema in SCHEMA_BOMBS.items():
                for body in requests_with(schema):
                    began = perf_counter()
                    status = client.post(CHAT, json=body, timeout=PATIENCE).status_code
                    slowest = max(slowest, perf_counter() - began)
                    statuses[status] += 1
                    self.expect(status < 500, f"{status} to the schema bomb {name!r}")
        self.judge(Report(statuses.total(), statuses.total(), slowest, statuses))
        took = f"{perf_counter() - started:.1f} s (slowest {slowest * 1000:.0f} ms)"
        print(f"  {len(SCHEMA_BOMBS)} bombs, {statuses.total()} requests in {took}")

    def heavy(self, live: Live) -> None:
        """Bodies of many mebibytes, with health checks beside them."""

        async def run(request: bytes) -> tuple[int, float, float]:
            async with pulse(live.address) as health:
                await eventually(lambda: health.answered > 0)
                health.answered, health.slowest, began = 0, 0.0, perf_counter()
                await asyncio.wait_for(exchange(live.address, request), 3 * PATIENCE)
                took = perf_counter() - began
            return health.answered, health.slowest, took

        for name, path, body in heavy_bodies(int(self.mebibytes * MEBIBYTE) - SPARE_BYTES):
            request = sent(path, body)
            began = perf_counter()
            orjson.loads(json.dumps(body))
            parsed = perf_counter() - began
            answered, slowest, took = asyncio.run(run(request))
            self.figures.requests += 1
            self.expect(answered > 1 or took < 1, f"no health check was answered beside {name}")
            print(
                f"  {self.mebibytes:g} MiB of {name}: {took:.2f} s, {parsed:.2f} s to write and parse it,"
                f" {answered} health checks beside it (slowest {slowest * 1000:.0f} ms)",
                flush=True,
            )

    def crowded(self) -> None:
        """Very many streams of 20 chunks a second, which another process reads."""

        async def run(live: Live) -> None:
            # Connections are opened first; what is measured is what a judgement waits for meanwhile.
            async with many_streams(live.address, self.streams, 2 * self.dwell + 1) as reads:
                await asyncio.sleep(self.dwell)
                async with pulse(live.address, sent(JUDGE, JUDGED)) as judged:
                    await asyncio.sleep(self.dwell)
            self.expect(judged.answered > 0, "no judgement was given beside the streams")
            self.expect(reads[0] > self.streams, "streams had no turn")
            self.figures.answered += judged.answered
            told = f"{judged.answered} judgements beside them (slowest {judged.slowest * 1000:.0f} ms)"
            print(f"  {self.streams} streams, {reads[0]} reads; {told}", flush=True)

        with (
            tempfile.TemporaryDirectory() as folder,
            serving("--quiet", f"--config={paced(Path(folder))}") as live,
        ):
            asyncio.run(run(live))
            self.calm(live)

    def slow_redis(self) -> None:
        """A Redis whose answers take their time, with judgements, and health checks that don't need it."""
        if not shutil.which("redis-server"):
            print("  left out: there is no redis-server")
            return

        async def run(live: Live) -> None:
            async with pulse(live.address) as health:
                request, began = sent(JUDGE, JUDGED), perf_counter()
                answers = await asyncio.gather(*(exchange(live.address, request) for _ in range(20)))
                took = perf_counter() - began
            self.expect(health.answered > 1, "health checks waited for Redis")
            self.expect(all(b"score" in answer for answer in answers), "a judgement was refused")
            self.figures.answered += len(answers)
            beside = f"{health.answered} health checks beside them (slowest {health.slowest * 1000:.0f} ms)"
            print(f"  {len(answers)} judgements at once in {took:.1f} s, {beside}")

        with (
            redis_server() as redis,
            slowed(redis, SLOW_SECONDS) as url,
            serving("--quiet", environment={"OPENPIPE_MOCK_STATE": url}) as live,
        ):
            asyncio.run(run(live))
            self.calm(live)

    def crowds(self, live: Live) -> None:
        """Connections that say nothing, as many as the machine's limits allow."""
        number = min(self.connections, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - SPARE)
        before = descriptors(live)

        async def run() -> Report:
            report = Report()
            async with crowd(live.address, number) as there, beside(live.address, report):
                await asyncio.sleep(self.dwell)
                await eventually(lambda: report.served > 0)
                print(f"  {there} open connections, {memory(live) / MEBIBYTE:.0f} MiB", flush=True)
            return report

        report = asyncio.run(run())
        self.judge(report)
        print(f"  {report.served} correct requests (slowest {report.slowest * 1000:.0f} ms)")
        self.expect(settled(live, before) <= before, "connections were left open")

    def slow_readers(self, live: Live) -> None:
        """Streams of many megabytes that nobody reads."""
        before, held = descriptors(live), memory(live)

        async def run() -> Report:
            report = Report()
            async with unread(live, STREAMS):
                grown = (memory(live) - held) / MEBIBYTE
                async with beside(live.address, report):
                    await asyncio.sleep(self.dwell)
                    await eventually(lambda: report.served > 0)
            print(f"  {STREAMS} streams, {grown:.1f} MiB for them", flush=True)
            self.expect(grown < STREAMS, "unread streams are kept in memory")
            return report

        self.judge(asyncio.run(run()))
        self.expect(settled(live, before) <= before, "connections of streams were left open")

    def saves(self, live: Live, file: Path) -> None:
        """The config file, saved again and again while requests come."""

        async def save() -> None:
            for number in range(SAVES):
                file.write_text(f"{LONG_STREAMS}# {number}\n")
                await asyncio.sleep(SAVE_SECONDS)

        async def run() -> Report:
            report = Report()
            async with beside(live.address, report):
                mad = throng(live.address, requests(self.seed, self.requests // ROUNDS), report)
                await asyncio.gather(mad, save())
            return report

        self.judge(asyncio.run(run()))
        found = httpx.get(f"{live.control_url}/status").json()["config"]
        print(f"  {SAVES} times saved, {found['loads'] - 1} times read")
        self.expect(found["in_force"] and found["loads"] > 1, f"no saved file came in force: {found}")

    def endings(self) -> None:
        """Killed or told to end in the middle of it, and at once there again, on the same port."""
        port = "0"
        for number in range(2 * self.kills):
            name = signal.SIGTERM if number % 2 else signal.SIGKILL
            with serving("--quiet", f"--port={port}") as live:
                port = str(live.address[1])
                report, code, seconds = asyncio.run(cut_off(live, requests(self.seed + number, 10_000), name))
                self.judge(report)
                self.calm(live)
                calmly = name == signal.SIGKILL or (code == 0 and seconds < SOON)
                self.expect(calmly, f"told to end, it ended with {code} after {seconds:.1f} s")
        told = f"{self.kills} times killed and {self.kills} times told to end"
        print(f"  {told} in the middle of it, and begun again on port {port}")

    def calm(self, live: Live) -> None:
        """Expect that the log tells of no defect."""
        for alarm in alarms(live)[:20]:
            self.expect(False, f"in the log: {alarm}")

    def steps(self, live: Live, file: Path) -> Iterator[tuple[str, Callable[[], None]]]:
        yield "Mad requests", lambda: self.siege(live)
        yield "Schema bombs", lambda: self.bombs(live)
        yield "Heavy bodies", lambda: self.heavy(live)
        yield "Many streams", self.crowded
        yield "A slow Redis", self.slow_redis
        yield "A crowd", lambda: self.crowds(live)
        yield "Slow readers", lambda: self.slow_readers(live)
        yield "A file that is saved under load", lambda: self.saves(live, file)
        yield "Ended and begun again", self.endings

    def run(self) -> int:
        """The exit code."""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "long.yaml"
            file.write_text(LONG_STREAMS)
            self.besiege(file)
        print(self.figures)
        print(f"{len(self.problems) or 'No'} problem{'' if len(self.problems) == 1 else 's'}.")
        return 1 if self.problems else 0

    def besiege(self, file: Path) -> None:
        """All steps against one mock, which has this config file."""
        with serving("--quiet", f"--config={file}") as live:
            asyncio.run(at_rest(live))  # what watches the file opens files too
            for title, step in self.steps(live, file):
                print(title, flush=True)
                step()
            self.calm(live)
            code, seconds = live.stop()
            self.expect(code == 0 and seconds < SOON, f"it ended with {code} after {seconds:.1f} s")


def main() -> int:
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__)
    parser.add_argument("--requests", type=int, default=100_000, help="mad requests (default: %(default)s)")
    parser.add_argument("--connections", type=int, default=10_000, help="open at once (default: %(default)s)")
    parser.add_argument("--kills", type=int, default=20, help="and as many SIGTERMs (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="other requests (default: %(default)s)")
    parser.add_argument("--dwell", type=float, default=3.0, help="seconds of a crowd (default: %(default)s)")
    parser.add_argument("--mebibytes", type=float, default=10.0, help="of a heavy body (%(default)s)")
    parser.add_argument("--streams", type=int, default=1000, help="at once (default: %(default)s)")
    return Soak(**vars(parser.parse_args())).run()


if __name__ == "__main__":
    sys.exit(main())
