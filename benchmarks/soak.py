"""A long siege of a mock on this machine: mad requests, crowds, slow readers, kills. Run by `make soak`.

Everything is bounded in count and time and stays on loopback. It ends with 1 where anything was not as it has
to be, and says what; the same seed sends the same requests.
"""

import argparse
import asyncio
import resource
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from time import monotonic

from mockserver.tests.live import PATIENCE, Live, serving
from mockserver.tests.mad import CHAT, requests
from mockserver.tests.soaking import (
    ASKED,
    MEBIBYTE,
    Report,
    alarms,
    beside,
    crowd,
    descriptors,
    memory,
    sent,
    settled,
    torment,
)

ROUNDS = 10
GROWTH = 32 * MEBIBYTE
"""Bytes by which the second half of the rounds may raise what the mock holds; they repeat the first half."""
SOON = 3.0
"""Seconds within which it ends when it is told to."""
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

    def throng(self, live: Live) -> None:
        """Connections that say nothing, as many as the machine's limits allow."""
        number = min(self.connections, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - SPARE)
        before = descriptors(live)

        async def run() -> Report:
            report = Report()
            async with crowd(live.address, number) as there, beside(live.address, report):
                await asyncio.sleep(self.dwell)
                print(f"  {there} open connections, {memory(live) / MEBIBYTE:.0f} MiB", flush=True)
            return report

        report = asyncio.run(run())
        self.judge(report)
        print(f"  {report.served} correct requests (slowest {report.slowest * 1000:.0f} ms)")
        self.expect(settled(live, before) <= before, "connections were left open")

    def slow_readers(self, live: Live, number: int = 200) -> None:
        """Streams of megabytes that nobody reads."""
        request = sent(CHAT, {**ASKED, "stream": True}, headers="x-mock-fault: endless")
        before, held = descriptors(live), memory(live)

        async def run() -> Report:
            report, writers = Report(), []
            for _ in range(number):
                reader, writer = await asyncio.open_connection(*live.address, limit=1)
                writer.write(request)
                await asyncio.wait_for(reader.read(9), PATIENCE)
                writers.append(writer)
            async with beside(live.address, report):
                await asyncio.sleep(self.dwell)
            print(f"  {number} streams, {(memory(live) - held) / MEBIBYTE:.1f} MiB for them", flush=True)
            self.expect(memory(live) - held < number * MEBIBYTE / 4, "unread streams are kept in memory")
            for writer in writers:
                writer.transport.abort()
            return report

        self.judge(asyncio.run(run()))
        self.expect(settled(live, before) <= before, "connections of streams were left open")

    def killings(self) -> None:
        """Killed in the middle of it, and at once there again, on the same port."""
        port = "0"
        for number in range(self.kills):
            with serving("--quiet", f"--port={port}") as live:
                port = str(live.address[1])
                self.judge(torment(live, requests(self.seed + number, 200)))
                live.process.kill()
                live.process.wait()
        print(f"  {self.kills} times killed and begun again on port {port}")

    def steps(self, live: Live) -> Iterator[tuple[str, Callable[[], None]]]:
        yield "Mad requests", lambda: self.siege(live)
        yield "A crowd", lambda: self.throng(live)
        yield "Slow readers", lambda: self.slow_readers(live)
        yield "Killed and begun again", self.killings

    def run(self) -> int:
        """The exit code."""
        with serving("--quiet") as live:
            for title, step in self.steps(live):
                print(title, flush=True)
                step()
            for alarm in alarms(live)[:20]:
                self.expect(False, f"in the log: {alarm}")
            code, seconds = live.stop()
            self.expect(code == 0 and seconds < SOON, f"it ended with {code} after {seconds:.1f} s")
        print(f"{len(self.problems) or 'No'} problem{'' if len(self.problems) == 1 else 's'}.")
        return 1 if self.problems else 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__)
    parser.add_argument("--requests", type=int, default=100_000, help="mad requests (default: %(default)s)")
    parser.add_argument("--connections", type=int, default=10_000, help="open at once (default: %(default)s)")
    parser.add_argument("--kills", type=int, default=20, help="kills and restarts (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="other requests (default: %(default)s)")
    parser.add_argument("--dwell", type=float, default=3.0, help="seconds of a crowd (default: %(default)s)")
    given = parser.parse_args()
    return Soak(given.requests, given.connections, given.kills, given.seed, given.dwell).run()


if __name__ == "__main__":
    sys.exit(main())
