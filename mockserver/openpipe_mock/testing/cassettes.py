"""Cassettes in a test's hands: the words of vcrpy's users for when recordings are made."""

import os
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from openpipe_mock.config.settings import Settings
from openpipe_mock.core.resources import install_line
from openpipe_mock.core.wording import listed, quoted
from openpipe_mock.testing.layers import passing

if TYPE_CHECKING:
    from openpipe_mock.recording.tape import Tape
    from openpipe_mock.recording.upstream import Upstream

Record = Literal["none", "once", "new_episodes", "all"]
RECORD: tuple[Record, ...] = get_args(Record)
UPSTREAM = "https://api.openpipe.ai/api/v1"


def tape_for(
    folder: str | PathLike[str],
    record: Record,
    upstream: str,
    settings: Settings,
    *,
    timing: float = 0.0,
) -> "Tape":
    """The tape of a test's cassette. `timing`: the recorded times are multiplied by it.

    `record`: `none` only replays; `once` records everything where the folder has no recordings yet;
    `new_episodes` records what has none; `all` records everything anew. Where the variable CI is set nothing
    is recorded. Raises ValueError for an unknown word and what can't be used, such as httpx that isn't there.
    """
    from openpipe_mock.recording.cassette import BadCassette
    from openpipe_mock.recording.tape import tape_of

    if record not in RECORD:
        raise ValueError(f"record: expected {listed(map(quoted, RECORD), 'or')}, got {record!r}.")
    try:
        tape = tape_of(Path(folder), settings, timing=timing)
    except BadCassette as error:
        raise ValueError(f"cassette: {error}") from None
    tape.why_not = _why_not(record, tape)
    if record == "none" or tape.why_not:
        return tape
    tape.upstream, tape.on_miss, tape.replays = _upstream(upstream), "upstream", record == "new_episodes"
    return tape


def _why_not(record: Record, tape: "Tape") -> str:
    """Why what was to be recorded isn't; "" where it is, or nobody wants it."""
    if record != "none" and os.environ.get("CI"):
        return "nothing is recorded where the variable CI is set"
    if record == "once" and tape.cassette.listed:
        return "`once` records into an empty folder alone, `new_episodes` what has no recording"
    return ""


def _upstream(url: str) -> "Upstream":
    try:
        from openpipe_mock.recording.upstream import BadUpstream, upstream
    except ImportError:
        raise ValueError(f"recording needs the extra `record`: {install_line('record')}") from None
    try:
        found = upstream(url)
    except BadUpstream as error:
        raise ValueError(str(error).replace("--upstream", "upstream")) from None
    found.around = passing
    return found
