"""Read the config file of a mock at its start, and again whenever the file is saved.

A file with mistakes doesn't replace the settings that are in force; the log and `GET /_mock/status` say what
is wrong with it.
"""

import asyncio
import logging
import os
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Any, TypeVar

from openpipe_mock.config.file import FILE_NAMES, ConfigError, ConfigFile, default_file, read_config
from openpipe_mock.config.settings import Settings
from openpipe_mock.core.userfiles import FileContent, read_file, read_file_again
from openpipe_mock.core.wording import printable
from openpipe_mock.core.yamltext import MOST_FILE_BYTES
from openpipe_mock.service.service import Service
from openpipe_mock.sessions.memory import Sessions

_Value = TypeVar("_Value")

_STEP_MS = 50
_DEBOUNCE_MS = 200
LOOK_MS = 500
"""How often the file is looked at without a notification: a link's target may lie in another folder."""
_SETTLE_SECONDS = 0.05
_MOST_LOOKS = 10
"""How often a file is read until two looks see the same: some programs write it bit by bit."""

_log = logging.getLogger("openpipe_mock")


@dataclass(frozen=True, slots=True)
class Source:
    """Where settings come from: a file's path ("" for none), and the values of flags, which beat the file.

    `rival`: the other default name of a config file, where this one was found and not named by a flag.
    """

    path: str = ""
    given: Mapping[str, Any] = field(default_factory=dict)
    rival: str = ""

    @classmethod
    def from_flag(cls, config: Path | None, given: Mapping[str, Any]) -> "Source":
        """The file that `--config` names, else the one in the working folder. Raises TwoFiles."""
        if config:
            return cls(str(config), given)
        path = default_file()
        return cls(path, given, next(name for name in FILE_NAMES if name != path) if path else "")

    def content(self) -> FileContent:
        """Read the file, which may be a pipe or a device. Raises OSError."""
        return read_file(self.path, MOST_FILE_BYTES) if self.path else FileContent(b"")

    def settings(self, data: bytes) -> Settings:
        """The settings for a file's bytes, with the flags. Raises ConfigError for a file with mistakes."""
        return replace(read_config(data, self.path) if self.path else Settings(), **self.given)


def service_of(source: Source, sessions: Sessions | None = None) -> Service:
    """A service with the settings of a source. Raises OSError and ConfigError."""
    content = source.content()
    seen = _fingerprint(content.data)
    file = ConfigFile(source.path, 1 if source.path else 0, seen=seen, lasting=content.lasting)
    return Service(source.settings(content.data), file, sessions)


async def watch(source: Source, service: Service) -> None:
    """Put the file in force whenever it is saved, until this is cancelled.

    Reads and parses in other threads, one file after the other; only the settings are replaced here.
    """
    from watchfiles import awatch  # only a mock with a file pays for it

    folder = Path(source.path).absolute().parent
    looks = awatch(
        folder,
        watch_filter=None,
        recursive=False,
        debounce=_DEBOUNCE_MS,
        step=_STEP_MS,
        rust_timeout=LOOK_MS,
        yield_on_timeout=True,
    )
    beside = False
    async for _ in looks:
        before, beside = beside, await _aside(partial(_has_rival, source))
        if beside and not before:
            _log.warning(
                "%s is not read, as %s was found at the start; %s", source.rival, source.path, _ADVICE
            )
        if _fingerprint(await _aside(partial(_look, source))) == service.file.seen:
            continue
        found = await _settled(source)
        if _fingerprint(found) != service.file.seen:
            service.file.seen = _fingerprint(found)
            _renew(service, found, await _aside(partial(_outcome, source, found)))


_ADVICE = "keep one of them, a start with both is refused"


async def _aside(work: Callable[[], _Value]) -> _Value:
    """Run `work` in a thread of its own, while requests go on; returns its result.

    The thread is a daemon: a file system may never answer, and the process doesn't wait for it at its end.
    """
    done: Future[_Value] = Future()
    done.set_running_or_notify_cancel()  # so nobody cancels it, and the thread may always set its result

    def run() -> None:
        try:
            done.set_result(work())
        except Exception as error:
            done.set_exception(error)

    threading.Thread(target=run, name="openpipe-mock config", daemon=True).start()
    return await asyncio.wrap_future(done)


async def _settled(source: Source) -> bytes | OSError:
    """What the file holds, or why it can't be read, once two looks at it see the same.

    Looks longer at one that is empty or missing: many programs empty or remove a file before they write it.
    """
    found = await _aside(partial(_look, source))
    for _ in range(_MOST_LOOKS):
        await asyncio.sleep(_SETTLE_SECONDS)
        before, found = found, await _aside(partial(_look, source))
        if found and found == before:
            break
    return found


def _has_rival(source: Source) -> bool:
    """Whether there is a file with the other name by now."""
    return bool(source.rival) and os.path.lexists(source.rival)


def _look(source: Source) -> bytes | OSError:
    """What the file holds, or why it can't be read."""
    try:
        return read_file_again(source.path, MOST_FILE_BYTES)
    except OSError as error:
        return error


def _fingerprint(found: bytes | OSError) -> bytes:
    """Bytes that are equal where two looks at the file saw the same."""
    if isinstance(found, OSError):
        return f"{found.errno} {found.strerror}".encode()
    return blake2b(found, digest_size=16).digest()


def _outcome(source: Source, found: bytes | OSError) -> Settings | list[str]:
    """The settings in the file, or all that is wrong with it; a defect of ours counts as a mistake."""
    if isinstance(found, OSError):
        return [f"{source.path}: cannot be read: {found.strerror or found}"]
    try:
        return source.settings(found)
    except ConfigError as error:
        return str(error).splitlines()
    except Exception:
        _log.exception("%s could not be read", source.path)
        defect = "a defect of the mock kept it from being read; please report the traceback in its log"
        return [f"{source.path}: {defect}"]


def _renew(service: Service, found: bytes | OSError, result: Settings | list[str]) -> None:
    """Put settings in force, or log and keep what is wrong with the file."""
    file = service.file
    file.missing = isinstance(found, FileNotFoundError)
    if isinstance(result, Settings):
        service.settings = result
        file.loads += 1
        file.problems = ()
        _log.info("%s was saved and is in force", printable(file.path))
        return
    file.problems = tuple(result)
    for problem in result:
        _log.error("%s", problem)
    _log.error("%s is not in force; the settings before it stay", printable(file.path))
