"""Processes that hold programs ready, and the commands that run them: see `clients/careful/warm.py`."""

import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.environments import TESTS
from tests.live import PATIENCE

ASK = TESTS / "clients" / "careful" / "ask.py"
WARM = TESTS / "clients" / "careful" / "warm.py"


@contextmanager
def started(
    command: Sequence[str | Path], environment: Mapping[str, str]
) -> Iterator["subprocess.Popen[bytes]"]:
    """A process that will hold programs ready; it is killed in the end."""
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE)
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=PATIENCE)


def until_held(process: "subprocess.Popen[bytes]") -> None:
    """Return once it has imported what the programs need."""
    assert process.stdout
    assert b"ready\n" in process.stdout


def asking(address: Path, log: Path, *words: str | Path) -> tuple[str, ...]:
    """The command that runs a program with its arguments in the process at an address.

    What the program prints is added to the log.
    """
    return (sys.executable, "-I", "-S", *map(str, (ASK, address, log, *words)))
