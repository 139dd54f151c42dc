"""Paired benchmarks: in each round the bare app and the mock, one after the other, on the same machine.

    make bench                                  all of it, about five minutes
    make bench ARGS="--rounds 3 --seconds 1"    a quick look

Prints a table and writes `.cache/bench.json`; `--write` renews the tables of docs/performance.md.
"""

import argparse
import contextlib
import json
import math
import os
import platform
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import timeit
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.scenes import HEADERS, NUMBER, SCENES, TALK, Scene, asking, judging

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "performance.md"
RESULTS = ROOT / ".cache" / "bench.json"
BIN = Path(sys.executable).parent
CONNECTIONS = 32
Json = Any


@dataclass(frozen=True, slots=True)
class Server:
    """A server under load: its process and its port."""

    process: "subprocess.Popen[bytes]"
    port: int

    @property
    def memory(self) -> float:
        """What it holds in memory, in MiB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.findall(r"VmRSS:\s+(\d+)", status)[0]) / 1024


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


@contextlib.contextmanager
def serving(command: list[str], port: int) -> Iterator[Server]:
    """A server that answers."""
    process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})
    try:
        until_answered(port)
        yield Server(process, port)
    finally:
        process.terminate()
        process.wait()


def until_answered(port: int) -> None:
    """Wait for the first answer of any status."""
    for _ in range(5000):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/_mock/health", timeout=1).read()
            return
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.002)
    raise TimeoutError(port)


def uvicorn(app: str, port: int) -> list[str]:
    flags = ["--loop=uvloop", "--http=httptools", "--no-access-log", "--log-level=warning", "--workers=1"]
    return [str(BIN / "uvicorn"), app, f"--port={port}", *flags]


def mock(port: int, *flags: str) -> list[str]:
    return [str(BIN / "openpipe-mock"), "serve", f"--port={port}", "--quiet", *flags]


SCRIPT = """
wrk.method = "POST"
wrk.body = %s
%s
"""
VARIED = """
local number = 0
request = function()
  number = number + 1
  return wrk.format(nil, nil, nil, (wrk.body:gsub("%s", number)))
end
"""


def load(port: int, path: str, scene: Scene, seconds: float) -> float:
    """Requests a second, by wrk."""
    body = "[==[" + scene.bytes().decode() + "]==]"
    headers = "\n".join(f'wrk.headers["{k}"] = [==[{v}]==]' for k, v in {**HEADERS, **scene.headers}.items())
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(SCRIPT % (body, headers) + (VARIED % NUMBER if scene.varied else ""))
        script.flush()
        command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-s", script.name]
        done = subprocess.run(
            [*command, f"http://127.0.0.1:{port}{path}"], capture_output=True, text=True, check=True
        )
    return float(re.findall(r"Requests/sec:\s+([\d.]+)", done.stdout)[0])


@dataclass(frozen=True, slots=True)
class Compared:
    """A scene's requests a second by round, of the bare app and of the mock."""

    scene: Scene
    bare: list[float]
    ours: list[float]

    def row(self) -> Json:
        shares = [ours / bare for ours, bare in zip(self.ours, self.bare, strict=True)]
        return {
            "name": self.scene.name,
            "bare": round(statistics.median(self.bare)),
            "ours": round(statistics.median(self.ours)),
            "share": round(statistics.median(shares), 2),
            "lowest": round(min(shares), 2),
            "highest": round(max(shares), 2),
            "target": self.scene.share or "",
        }


def compare(rounds: int, seconds: float) -> Iterator[Json]:
    """Each scene in paired rounds."""
    first, second = free_port(), free_port()
    with serving(uvicorn("benchmarks.bare:app", first), first), serving(mock(second), second):
        for scene in SCENES:
            bare, ours = [], []
            for _ in range(rounds):
                bare.append(load(first, scene.bare, scene, seconds))
                ours.append(load(second, scene.path, scene, seconds))
            yield Compared(scene, bare, ours).row()


def first_chunk(rounds: int = 30) -> Json:
    """Milliseconds until the first piece of a stream, alone on the machine."""
    scene = next(scene for scene in SCENES if scene.bare == "/stream")
    first, second = free_port(), free_port()
    found: dict[str, list[float]] = {"bare": [], "ours": []}
    with serving(uvicorn("benchmarks.bare:app", first), first), serving(mock(second), second):
        for _ in range(rounds):
            for name, port, path in (("bare", first, scene.bare), ("ours", second, scene.path)):
                url = f"http://127.0.0.1:{port}{path}"
                request = urllib.request.Request(url, scene.bytes(), dict(HEADERS))
                started = time.perf_counter()
                with urllib.request.urlopen(request) as answer:
                    answer.read(1)
                    found[name].append((time.perf_counter() - started) * 1000)
                    answer.read()
    return {name: round(statistics.median(each), 2) for name, each in found.items()}


STARLETTE = """
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route
async def home(request): return JSONResponse({})
app = Starlette(routes=[Route("/_mock/health", home)])
"""


def start_up(rounds: int = 7) -> Json:
    """Seconds from the command to the first 200: a bare Starlette app's and the mock's."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "starletteapp.py").write_text(STARLETTE)
        os.environ["PYTHONPATH"] = folder
        found: dict[str, list[float]] = {"starlette": [], "ours": []}
        for _ in range(rounds):
            for name in found:
                port = free_port()
                flags = ["--app-dir", folder]
                command = mock(port) if name == "ours" else [*uvicorn("starletteapp:app", port), *flags]
                started = time.perf_counter()
                with serving(command, port):
                    found[name].append(time.perf_counter() - started)
    return {name: round(statistics.median(each), 3) for name, each in found.items()}


def memory(requests: int) -> Json:
    """MiB idle, warm, and after many judgements."""
    scene, port = SCENES[0], free_port()
    with serving(mock(port), port) as server:
        idle = server.memory
        rate = load(port, scene.path, scene, 5)
        warm = server.memory
        load(port, scene.path, scene, max(5, round((requests - rate * 5) / rate)))
        return {"requests": requests, "idle": round(idle), "warm": round(warm), "after": round(server.memory)}


def micro(call: Callable[[], object], number: int) -> float:
    """Microseconds that a call takes at its best."""
    return round(min(timeit.repeat(call, number=number, repeat=5)) / number * 1e6, 1)


def sizes() -> Iterator[Json]:
    """Microseconds in process against size: is the cost linear?"""
    from openpipe_mock.config.file import read_config
    from openpipe_mock.service.service import Service
    from tests.inprocess import answer

    service, chat = Service(), "/api/v1/chat/completions"

    def judged(*messages: Json) -> Callable[[], object]:
        return partial(answer, service, json.dumps(judging(*messages)).encode())

    def asked(service: Service, **members: Json) -> Callable[[], object]:
        return partial(answer, service, json.dumps(asking(**members)).encode(), path=chat)

    for number in (1, 10, 100, 500):
        yield {"what": "judge: messages", "size": number, "us": micro(judged(*[TALK[1]] * number), 200)}
    for number in (1_000, 10_000, 100_000, 1_000_000):
        long = {"role": "user", "content": "x" * number}
        yield {"what": "judge: characters", "size": number, "us": micro(judged(long), 50)}
    for number in (1, 8, 64):
        yield {"what": "chat: n", "size": number, "us": micro(asked(service, n=number), 50)}
    for number in (1, 10, 100, 1_000):
        rules = "\n".join(f"- {{when: {{last_user: text {each}}}, text: never}}" for each in range(number))
        ruled = Service(read_config(f"completions:\n{rules}\n".encode(), "rules"))
        yield {"what": "chat: rules", "size": number, "us": micro(asked(ruled), 50)}


def fixtures() -> Iterator[Json]:
    """Microseconds a judgement through clients in this process, measured in turn."""
    import httpx
    import httpx2
    import respx

    import openpipe_mock

    url, body = "https://api.openpipe.ai/api/v1/criteria/judge", judging(*TALK)
    said = {"score": 0.5, "explanation": "x" * 90}

    def posting(library: Any, transport: Any = None) -> Callable[[], object]:
        client = library.Client(headers=HEADERS, transport=transport)
        return partial(client.post, url, json=body)

    def fixed(library: Any) -> Any:
        return library.MockTransport(lambda _: library.Response(200, json=said))

    static = respx.Router()
    static.post(url).respond(json=said)
    ours = httpx.MockTransport(openpipe_mock.respx_router().handler)
    with openpipe_mock.patched():
        calls = {
            "httpx.MockTransport": posting(httpx, fixed(httpx)),
            "a static respx route": posting(httpx, httpx.MockTransport(static.handler)),
            "openpipe_mock.respx_router()": posting(httpx, ours),
            "openpipe_mock.patched(), httpx": posting(httpx),
            "httpx2.MockTransport": posting(httpx2, fixed(httpx2)),
            "openpipe_mock.patched(), httpx2": posting(httpx2),
        }
        best = dict.fromkeys(calls, math.inf)
        for _ in range(60):
            for name, call in calls.items():
                best[name] = min(best[name], timeit.timeit(call, number=20) / 20 * 1e6)
    for name, cost in best.items():
        base = best["httpx2.MockTransport" if "httpx2" in name else "httpx.MockTransport"]
        yield {"what": name, "us": round(cost, 1), "times": round(cost / base, 2)}


def machine() -> str:
    names = re.findall(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    cores = len(os.sched_getaffinity(0))
    return f"{cores} cores ({names[0] if names else platform.machine()}), Python {platform.python_version()}"


def table(rows: list[Json]) -> str:
    """Rows as a Markdown table."""
    heads = list(rows[0])
    lines = ["| " + " | ".join(heads) + " |", "| " + " | ".join("---" for _ in heads) + " |"]
    return "\n".join(lines + ["| " + " | ".join(str(row[head]) for head in heads) + " |" for row in rows])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7, help="paired rounds of each scene")
    parser.add_argument("--seconds", type=int, default=3, help="of load in each round")
    parser.add_argument("--million", action="store_true", help="memory after a million requests (minutes)")
    parser.add_argument("--write", action="store_true", help="renew the tables of docs/performance.md")
    given = parser.parse_args()
    found: dict[str, list[Json]] = {}
    for name, rows in (
        ("throughput", lambda: compare(given.rounds, given.seconds)),
        ("first chunk, ms", lambda: iter([first_chunk()])),
        ("start-up to the first 200, s", lambda: iter([start_up()])),
        ("memory, MiB", lambda: iter([memory(1_000_000 if given.million else 50_000)])),
        ("cost against size, µs in process", sizes),
        ("a judgement in process, µs", fixtures),
    ):
        print(f"\n{name}")
        found[name] = []
        for row in rows():
            found[name].append(row)
            print("  ", "  ".join(f"{key} {value}" for key, value in row.items()), flush=True)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps({"machine": machine(), **found}, indent=2))
    if given.write:
        write(found)


def write(found: dict[str, list[Json]]) -> None:
    """Renew what stands between the marks of the page."""
    text = PAGE.read_text("utf-8")
    tables = "\n\n".join(f"### {name[:1].upper()}{name[1:]}\n\n{table(rows)}" for name, rows in found.items())
    mark = "<!-- measured -->"
    head, _, rest = text.partition(mark)
    _, _, tail = rest.partition(mark)
    PAGE.write_text(f"{head}{mark}\n\nMeasured on {machine()}.\n\n{tables}\n\n{mark}{tail}", "utf-8")


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
