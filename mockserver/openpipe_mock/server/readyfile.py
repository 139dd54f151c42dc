"""The ready file: a small JSON file with a mock's URLs and process id, there while the mock serves."""

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
    """A ready file can't be written to a path; the message says why."""


def check_ready_file(path: Path) -> None:
    """Raise UnfitReadyFile for a path that a ready file can't be written to, before anything is served.

    An old ready file may be there. Any other file may not: it would be overwritten, and removed in the end.
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
    """The process id in a ready file; None where the file is missing or is no ready file."""
    with contextlib.suppress(OSError, ValueError, LookupError, TypeError):
        facts: Any = json.loads(read_file_again(path, _MOST_BYTES))
        return int(facts["pid"]) if "control_url" in facts else None
    return None


def write_ready_file(path: Path, origin: str) -> None:
    """Write a ready file for this process. `origin`: as in `http://127.0.0.1:6736`. Raises OSError."""
    content = {"base_url": f"{origin}{BASE}", "control_url": f"{origin}/_mock", "pid": os.getpid()}
    # Written aside and renamed, so that nobody reads half of it.
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
    """Remove the file if it is this process's: another mock may have written its own meanwhile."""
    if owner(path) == os.getpid():
        with contextlib.suppress(OSError):
            path.unlink()
