"""The config file of a running mock: read at the start, and again whenever it is saved.

A file that has mistakes never replaces one that has none: the settings that were in force stay so, and the
terminal and `GET /_mock/status` say why.
"""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

from openpipe_mock.config import Settings
from openpipe_mock.configfile import ConfigError, read
from openpipe_mock.service import ConfigFile, Service
from openpipe_mock.state import Sessions

DEFAULT_NAME = "openpipe-mock.yaml"
"""What is found in the working folder when no other file is named."""
STEP_MS = 50
DEBOUNCE_MS = 200
LOOK_MS = 500
"""How often the file is looked at where nothing was told: a link's target may lie elsewhere."""
SETTLE_SECONDS = 0.05
MOST_LOOKS = 10
"""How often a file is looked at until two looks see the same: some programs write it bit by bit."""

log = logging.getLogger("openpipe_mock")


@dataclass(frozen=True, slots=True)
class Source:
    """Where settings come from: a file ("" for none), and what flags say, which the file can't change."""

    path: str = ""
    given: Mapping[str, Any] = field(default_factory=dict)

    def data(self) -> bytes:
        """The file's bytes. Raises OSError."""
        return Path(self.path).read_bytes() if self.path else b""

    def settings(self, data: bytes) -> Settings:
        """The settings. Raises ConfigError for a file with mistakes."""
        return replace(read(data, self.path) if self.path else Settings(), **self.given)


def service_of(source: Source, sessions: Sessions | None = None) -> Service:
    """The mock that a source describes. Raises OSError or ConfigError; nothing starts on a bad file."""
    data = source.data()
    file = ConfigFile(source.path, 1 if source.path else 0, seen=fingerprint(data))
    return Service(source.settings(data), file, sessions)


async def watch(source: Source, service: Service) -> None:
    """Put the file in force whenever it was saved, for as long as this is not cancelled."""
    from watchfiles import awatch  # only a mock with a file pays for it

    folder = Path(source.path).absolute().parent
    looks = awatch(
        folder,
        watch_filter=None,
        recursive=False,
        debounce=DEBOUNCE_MS,
        step=STEP_MS,
        rust_timeout=LOOK_MS,
        yield_on_timeout=True,
    )
    async for _ in looks:
        if fingerprint(look(source)) == service.file.seen:
            continue
        found = await settled(source)
        if fingerprint(found) != service.file.seen:
            service.file.seen = fingerprint(found)
            renew_or_report(source, service, found)


async def settled(source: Source) -> bytes | OSError:
    """What the file holds, as soon as two looks at it see the same.

    One that is empty or away gets more time: many programs empty a file or put it away before they write it.
    """
    found = look(source)
    for _ in range(MOST_LOOKS):
        await asyncio.sleep(SETTLE_SECONDS)
        before, found = found, look(source)
        if found and found == before:
            break
    return found


def look(source: Source) -> bytes | OSError:
    """What the file holds, or why it can't be read."""
    try:
        return source.data()
    except OSError as error:
        return error


def fingerprint(found: bytes | OSError) -> bytes:
    """What tells one look at the file from another."""
    if isinstance(found, OSError):
        return str(found.errno).encode()
    return blake2b(found, digest_size=16).digest()


def renew_or_report(source: Source, service: Service, found: bytes | OSError) -> None:
    """The same as `renew`; a defect of ours is reported like a mistake, and the next file is read again."""
    try:
        renew(source, service, found)
    except Exception:
        log.exception("%s could not be read", source.path)
        defect = "a defect of the mock kept it from being read; please report the traceback in its log"
        service.file.problems = (f"{source.path}: {defect}",)


def renew(source: Source, service: Service, found: bytes | OSError) -> None:
    """Put what was found in force if it is right; else report it."""
    file, problems = service.file, []
    if isinstance(found, OSError):
        problems = [f"{source.path}: cannot be read: {found.strerror or found}"]
    else:
        try:
            service.settings = source.settings(found)
            file.loads += 1
            log.info("%s was saved and is in force", source.path)
        except ConfigError as error:
            problems = str(error).splitlines()
    file.missing = isinstance(found, FileNotFoundError)
    file.problems = tuple(problems)
    for problem in problems:
        log.error("%s", problem)
    if problems:
        log.error("%s is not in force; the settings before it stay", source.path)
