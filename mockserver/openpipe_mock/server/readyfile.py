"""The ready file: a small JSON file that says where a mock is, for as long as that mock serves."""

import contextlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from openpipe_mock.core.userfiles import read_file_again
from openpipe_mock.openapi.endpoints import BASE

_MOST_BYTES = 10_000


class UnfitReadyFile(Exception):
    """A path that can't be a ready file; the message says why."""


def check_ready_file(path: Path) -> None:
    """Raise Unfit for a path that a ready file can't be written to, before anything is served.

    An old ready file is fine, any other file is not: it would be overwritten, and removed in the end.
    """
    if path.is_dir():
        raise UnfitReadyFile("it is a folder; name a file")
    if not path.parent.is_dir():
        raise UnfitReadyFile(f"there is no folder {path.parent}")
    if not os.access(path.parent, os.W_OK):
        raise UnfitReadyFile(f"the folder {path.parent} can't be written to")
    if path.exists() and owner(path) is None:
        raise UnfitReadyFile("it exists and is no ready file; name another or remove it")


def owner(path: Path) -> int | None:
    """The process that a ready file speaks of, None where the file is missing or something else."""
    with contextlib.suppress(OSError, ValueError, LookupError, TypeError):
        facts: Any = json.loads(read_file_again(path, _MOST_BYTES))
        return int(facts["pid"]) if "control_url" in facts else None
    return None


def write_ready_file(path: Path, origin: str) -> None:
    """Say where this process serves, in one step, so that nobody ever reads half of it. Raises OSError."""
    content = {"base_url": f"{origin}{BASE}", "control_url": f"{origin}/_mock", "pid": os.getpid()}
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with open(descriptor, "w") as file:
            json.dump(content, file)
        os.chmod(name, 0o644)
        os.replace(name, path)
    except OSError:
        os.unlink(name)
        raise


def remove(path: Path) -> None:
    """Take the file away if it speaks of this process: another mock may have written its own meanwhile."""
    if owner(path) == os.getpid():
        with contextlib.suppress(OSError):
            path.unlink()
