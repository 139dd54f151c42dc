"""The mock as a user runs it: a process of its own, started by its command and spoken to over a socket."""

import contextlib
import json
import os
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.environments import TESTS, here

PROVIDER = TESTS / "samples" / "provider.yaml"
"""The config of a mock that knows what the provider's own tests name, and no other model or criterion."""
PATIENCE = 40.0
"""Seconds after which what doesn't happen is a failure; a loaded machine is slow."""
INSTALLING = 300.0
"""Seconds for what installs packages, or runs a whole program."""
AUTHORITIES = {name: value for name, value in os.environ.items() if name.startswith("SSL_CERT")}
"""The variables that say whom this machine trusts."""
TRUSTING_NOBODY = {"SSL_CERT_FILE": "", "SSL_CERT_DIR": str(TESTS)}
"""The same for who speaks to a mock alone: to read a system's authorities takes each client 30 ms."""
ATTEMPTS = 4
"""How often a test may measure, where it compares two times of the same moment."""


def untimed(log: str) -> str:
    """What a log says, without the time at the beginning of each line."""
    return re.sub(r"(?m)^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z ", "", log)


@dataclass(frozen=True, slots=True)
class Live:
    """A running mock: the URLs that its ready file announced, and where its standard error goes."""

    process: "subprocess.Popen[bytes]"
    base_url: str
    control_url: str
    log: Path

    @property
    def origin(self) -> str:
        return self.base_url.removesuffix("/api/v1")

    @property
    def address(self) -> tuple[str, int]:
        parts = urlsplit(self.origin)
        return str(parts.hostname), int(parts.port or 0)

    def stop(self, name: signal.Signals = signal.SIGTERM) -> tuple[int, float]:
        """Send a signal; the exit code, and the seconds that it took."""
        started = time.monotonic()
        self.process.send_signal(name)
        code = self.process.wait(PATIENCE)
        return code, time.monotonic() - started


def clean(environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment without what steers a mock, its clients or a nested make, plus the given."""
    steering = ("OPENPIPE", "OPENAI", "MAKE", "MFLAGS", "PYTEST", "PYTHON", "SSL_CERT")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(steering)}
    return {**kept, **AUTHORITIES, **(environment or {})}


def until_ready(
    process: "subprocess.Popen[bytes]", ready_file: Path, log: Path, patience: float = PATIENCE
) -> dict[str, Any]:
    """What the ready file says, as soon as it is there. The first look at it has to find it whole."""
    deadline = time.monotonic() + patience
    while not ready_file.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            raise AssertionError(f"the server did not start: {log.read_text()}")
        time.sleep(0.01)
    facts: dict[str, Any] = json.loads(ready_file.read_bytes())
    return facts


def with_grace(seconds: float) -> list[str | Path]:
    """The command of a mock that lets requests under way go on for so long after a signal."""
    imports = "from openpipe_mock.cli.main import main; from openpipe_mock.server import server"
    program = f"{imports}; server._GRACE_SECONDS = {float(seconds)!r}; main()"
    return [here("python"), "-c", program]


def has_taken_all(live: Live) -> bool:
    """Whether a mock has accepted each connection to it, and read all that was sent there."""
    port = f":{live.address[1]:04X}"
    rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    established = [row for row in rows if row[1].endswith(port) and row[3] == "01"]
    return bool(established) and all(
        int(queues.partition(":")[2], 16) == 0 and inode != "0"  # who isn't accepted yet has no inode
        for queues, inode in ((row[4], row[9]) for row in established)
    )


def until(holds: Callable[[], bool]) -> None:
    """Return once something holds; fails where it never does."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.01)


@contextlib.contextmanager
def serving(
    *flags: str,
    name: str = "serve",
    command: Sequence[str | Path] = (),
    environment: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Iterator[Live]:
    """A mock on a free port, stopped by SIGTERM in the end, with exit code 0. `name`: the command's."""
    with tempfile.TemporaryDirectory() as folder:
        ready_file, log = Path(folder) / "ready.json", Path(folder) / "log"
        program = command or [here("openpipe-mock")]
        arguments = [*program, name, "--port=0", f"--ready-file={ready_file}", *flags]
        with log.open("wb") as stderr:
            process = subprocess.Popen(arguments, stderr=stderr, env=clean(environment), cwd=cwd)
        try:
            facts = until_ready(process, ready_file, log)
            live = Live(process, facts["base_url"], facts["control_url"], log)
            yield live
            if process.poll() is None:
                code, _ = live.stop()
                assert code == 0, log.read_text()
        finally:
            process.kill()
            process.wait()


def leading_to(live: Live) -> dict[str, str]:
    """The variables that lead the official clients to a mock."""
    return {"OPENPIPE_BASE_URL": live.base_url, "OPENPIPE_API_KEY": "op-local", **TRUSTING_NOBODY}


def run(command: Sequence[str | Path], environment: Mapping[str, str] | None = None, **settings: Any) -> str:
    """What a command prints. One that fails, fails the test with what it said."""
    done = finished(command, environment, **settings)
    assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stderr}"
    return done.stdout


def finished(
    command: Sequence[str | Path], environment: Mapping[str, str] | None = None, **settings: Any
) -> "subprocess.CompletedProcess[str]":
    """A command that has ended, with what it printed."""
    return subprocess.run(
        command,
        env=clean(environment),
        capture_output=True,
        timeout=INSTALLING,
        check=False,
        encoding="utf-8",
        **settings,
    )
