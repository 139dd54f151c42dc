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

from mockserver.config import Settings
from mockserver.configfile import ConfigError, read
from mockserver.service import ConfigFile, Service

DEFAULT_NAME = "openpipe-mock.yaml"
"""What is found in the working folder when no other file is named."""
STEP_MS = 50
DEBOUNCE_MS = 200
SETTLE_SECONDS = 0.05
MOST_LOOKS = 10
"""How often a file is looked at until two looks see the same: some programs write it bit by bit."""

log = logging.getLogger("mockserver")


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


def service_of(source: Source) -> Service:
    """The mock that a source describes. Raises OSError or ConfigError; nothing starts on a bad file."""
    settings = source.settings(source.data())
    return Service(settings, ConfigFile(source.path, 1 if source.path else 0))


async def watch(source: Source, service: Service) -> None:
    """Put the file in force whenever it was saved, for as long as this is not cancelled."""
    from watchfiles import awatch  # only a mock with a file pays for it

    known = fingerprint(source)
    folder = Path(source.path).absolute().parent
    async for _ in awatch(folder, watch_filter=None, recursive=False, debounce=DEBOUNCE_MS, step=STEP_MS):
        seen = await settled(source)
        if seen != known:
            known = seen
            renew(source, service)


async def settled(source: Source) -> bytes:
    """What the file holds, as soon as two looks at it see the same."""
    seen = fingerprint(source)
    for _ in range(MOST_LOOKS):
        await asyncio.sleep(SETTLE_SECONDS)
        before, seen = seen, fingerprint(source)
        if before == seen:
            break
    return seen


def fingerprint(source: Source) -> bytes:
    """What tells one content of the file from another; b"" while it can't be read."""
    try:
        return blake2b(source.data(), digest_size=16).digest()
    except OSError:
        return b""


def renew(source: Source, service: Service) -> None:
    """Read the file anew: in force if it is right, else reported."""
    file, problems = service.file, []
    try:
        service.settings = source.settings(source.data())
        file.loads += 1
        file.missing = False
        log.info("%s was saved and is in force", source.path)
    except ConfigError as error:
        problems = str(error).splitlines()
    except OSError as error:
        problems = [f"{source.path}: cannot be read: {error.strerror or error}"]
        file.missing = isinstance(error, FileNotFoundError)
    file.problems = tuple(problems)
    for problem in problems:
        log.error("%s", problem)
    if problems:
        log.error("%s is not in force; the settings before it stay", source.path)
