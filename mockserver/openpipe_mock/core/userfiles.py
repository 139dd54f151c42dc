"""Read files that a user names, up to a limit, and replace them whole.

A path may also name a pipe, a device or a descriptor such as `/dev/fd/63`, which a shell makes of `<(...)`.
"""

import errno
import logging
import os
import re
import shutil
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import BinaryIO

MEBIBYTE = 2**20
_PATIENCE_SECONDS = 2.0
"""How long reading waits for a pipe's writer before the log says so."""
_DESCRIPTOR = re.compile("/dev/(stdin|fd/[0-9]+)|/proc/[^/]+/fd/[0-9]+")
_KINDS = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}

_log = logging.getLogger("openpipe_mock")

_Path = str | PathLike[str]


@dataclass(frozen=True, slots=True)
class FileContent:
    """The content of a file. `lasting`: it is a regular file, which can be read again, unlike a pipe."""

    data: bytes
    lasting: bool = False


def read_file(path: _Path, most: int) -> FileContent:
    """Read all of a file, pipe or device. Raises OSError, also for more than `most` bytes.

    Waits, as `cat` does, until a pipe's writers have closed it.
    """
    with _patience(path), open(path, "rb") as file:
        found = os.fstat(file.fileno())
        lasting = stat.S_ISREG(found.st_mode) and not _DESCRIPTOR.fullmatch(os.fspath(path))
        return FileContent(_bounded(file, found, most), lasting)


def read_file_again(path: _Path, most: int) -> bytes:
    """Read all of a regular file. Raises OSError, also for more than `most` bytes and for other files.

    Never waits for another process: a pipe that took the file's place isn't read.
    """
    _check_regular(path, os.stat(path))  # opening a pipe would wake its writer, who then writes to nobody
    with open(path, "rb", opener=_open_at_once) as file:
        found = os.fstat(file.fileno())
        _check_regular(path, found)
        return _bounded(file, found, most)


def replace_file(path: _Path, data: bytes) -> None:
    """Give an existing file other content: all of it or, where OSError is raised, nothing."""
    target = Path(path).resolve()
    beside = target.with_name(f".{target.name}.{os.getpid()}.new")
    try:
        beside.write_bytes(data)
        shutil.copymode(target, beside)
        beside.replace(target)
    except OSError:
        beside.unlink(missing_ok=True)
        raise


def _open_at_once(path: str, flags: int) -> int:
    """Open a file without waiting, also a pipe that nobody writes to."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0))


def _check_regular(path: _Path, found: os.stat_result) -> None:
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
    if not stat.S_ISREG(found.st_mode):
        kind = _KINDS.get(stat.S_IFMT(found.st_mode), "something else")
        told = f"it is {kind} now; put a regular file there"
        raise OSError(errno.EINVAL, told, os.fspath(path))


def _bounded(file: BinaryIO, found: os.stat_result, most: int) -> bytes:
    data = b"" if found.st_size > most else file.read(most + 1)
    if max(len(data), found.st_size) > most:
        told = f"{most // MEBIBYTE} MiB" if most >= MEBIBYTE else f"{most:,} bytes"
        told = f"it has more than {told}, the most that is read; make it smaller"
        raise OSError(errno.EFBIG, told, file.name)
    return data


@contextmanager
def _patience(path: _Path) -> Iterator[None]:
    """Warn in the log when reading has to wait long; for a regular file never."""
    if stat.S_ISREG(os.stat(path).st_mode):
        yield
        return
    told = "openpipe-mock reads %s and waits until whoever writes to it is done"
    timer = threading.Timer(_PATIENCE_SECONDS, _log.warning, (told, path))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()  # no thread may be left when somebody forks
