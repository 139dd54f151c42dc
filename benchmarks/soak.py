"""A long siege of a local mock: mad requests, crowds, slow readers, saves, ends. Run by `make soak`.

Everything is bounded in count and time and stays on loopback. It ends with 1 where anything was not as it has
to be, and says what; the same seed sends the same requests.
"""

import argparse
import asyncio
import resource
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

import httpx

from tests.live import Live, serving
from tests.mad import requests
from tests.soaking import (
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
    memory,
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


@dataclass
class Soak:
    """What is asked for, and what was found to be wrong. `dwell`: seconds that a crowd stays."""

    requests: int
    connections: int
    kills: int
    seed: int
    dwell: float = 3.0
    problems: list[str] = field(default_factory=list)

    def expect(self, holds: bool, otherwise: str) -> None:
        if not holds:
            self.problems.append(otherwise)
            print(f"  WRONG: {otherwise}", flush=True)

    def judge(self, report: Report) -> None:
        """Hold a report against what has to be."""
        for defect in report.defects:
            self.expect(False, defect)
        self.expect(report.served > 0, "no correct client was served")

    def siege(self, live: Live) -> None:
        """Mad requests in rounds; the second half of them repeats the first."""
        before, each, halfway = descriptors(live), self.requests // ROUNDS, 0
        statuses: Counter[int] = Counter()
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
        print(f"  answers by status (0: none): {dict(sorted(statuses.items()))}")

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
    given = parser.parse_args()
    return Soak(given.requests, given.connections, given.kills, given.seed, given.dwell).run()


if __name__ == "__main__":
    sys.exit(main())
