"""The command `cassette`: look at recordings, hold them against the contract, import and refresh them."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from openpipe_mock.cli.options import FOLDER, UserPath, config_option, fail, fail_with, say, warn
from openpipe_mock.cli.record import upstream_options
from openpipe_mock.core.wording import printable

if TYPE_CHECKING:
    from openpipe_mock.recording.cassette import Cassette
    from openpipe_mock.recording.recording import Recording

_FOUND = UserPath(exists=True, file_okay=False)
_MOST_TOLD = 5
"""Deviations of a recording that are printed."""


@click.group()
def cassette() -> None:
    """Recordings: list them, show one, hold them against the contract, import and refresh them."""


@cassette.command(
    "ls",
    epilog="""\b
Example:
  openpipe-mock cassette ls tests/cassettes""",
)
@click.argument("folder", type=_FOUND)
def listrecordings(folder: Path) -> None:
    """List the recordings in FOLDER: status, size of the answer, file."""
    with reading():
        for name, recording in recordings(folder):
            kind = "stream" if recording.streamed else ""
            say(f"{recording.status}  {len(recording.answer):>8}  {kind:<6}  {printable(name)}")


@cassette.command(
    "show",
    epilog="""\b
Example:
  openpipe-mock cassette show tests/cassettes chat-gpt-4o-hello-80751e6d.yaml""",
)
@click.argument("folder", type=_FOUND)
@click.argument("name")
def show_recording(folder: Path, name: str) -> None:
    """Print the recording NAME in FOLDER: what was asked, what was answered, of a stream also its text."""
    from openpipe_mock.recording.shown import shown_recording

    with reading():
        say(shown_recording(_cassette(folder).read(Path(name).name)))


@cassette.command(
    "check",
    epilog="""\b
Example:
  openpipe-mock cassette check tests/cassettes""",
)
@click.argument("folder", type=_FOUND)
def checkrecordings(folder: Path) -> None:
    """Hold the recordings in FOLDER against the contract.

    Ends with 0 where all keep it, with 1 where one breaks it, and with 2 where one can't be read.
    """
    from openpipe_mock.core.wording import counted
    from openpipe_mock.recording.conformance import deviations_of

    broken = number = 0
    with reading():
        for name, recording in recordings(folder):
            number += 1
            found = deviations_of(recording)
            broken += bool(found)
            _tell(name, found)
    say(f"{counted(number, 'recording')}, {broken} that break the contract")
    sys.exit(1 if broken else 0)


@cassette.command(
    "import",
    epilog="""\b
Example:
  openpipe-mock cassette import tests/vcr/weather.yaml --into tests/cassettes""",
)
@click.argument("file", type=UserPath(exists=True, dir_okay=False))
@click.option("--into", type=FOLDER, required=True, help="The folder for the recordings.")
@config_option("Patterns of personal data from its section `cassette`.")
def importrecordings(file: Path, into: Path, config: Path | None) -> None:
    """Write the interactions of vcrpy's cassette FILE as recordings, without cookies and keys."""
    from openpipe_mock.core.userfiles import read_file
    from openpipe_mock.recording.cassette import KeyInside
    from openpipe_mock.recording.importing import MOST_IMPORTED_BYTES, recordings_of
    from openpipe_mock.recording.recording import BadRecording

    tape = _tape(into, config)
    try:
        for found in list(recordings_of(read_file(file, MOST_IMPORTED_BYTES).data)):
            if isinstance(found, str):
                warn(f"left out {found}")
            else:
                say(tape.write(tape.ready(found)))
        tape.close()
    except (BadRecording, KeyInside) as error:
        fail(f"{file}: {error}", 2)
    except OSError as error:
        fail(f"{error.filename or into}: {error.strerror or error}", 2)


@cassette.command(
    "refresh",
    epilog="""\b
Examples:
  openpipe-mock cassette refresh tests/cassettes --dry-run
  openpipe-mock cassette refresh tests/cassettes --max-requests 20""",
)
@click.argument("folder", type=_FOUND)
@click.option("--dry-run", is_flag=True, help="Ask and tell, but leave the recordings as they are.")
@upstream_options
@config_option("Patterns of personal data from its section `cassette`.")
def refreshrecordings(
    folder: Path,
    dry_run: bool,
    upstream: Callable[[], Any],
    config: Path | None,
) -> None:
    """Ask the upstream again for each recording in FOLDER, and say what changed in shape and contract.

    Texts may differ. Recordings of keys that were refused stay as they are. Ends with 0 where nothing
    changed, with 1 where something did, with 2 where the upstream gave no answer.
    """
    from openpipe_mock.recording.cassette import KEY_REFUSED, KeyInside
    from openpipe_mock.recording.failures import UpstreamFailed
    from openpipe_mock.recording.refreshing import asked_again, changes

    asked = upstream()
    tape, changed = _tape(folder, config, upstream=asked), 0
    with reading():
        for name, before in list(recordings(folder)):
            if before.status in KEY_REFUSED:
                continue
            try:
                now = tape.ready(replace(asked_again(before, asked), recorded=""))
                if now.status in KEY_REFUSED:
                    fail(f"{name}: the upstream refuses the key ({now.status}); --key-env names another", 2)
                found = tuple(changes(before, now))
                if not dry_run:
                    tape.write(now, instead_of=[name])
            except (UpstreamFailed, KeyInside) as error:
                fail(f"{name}: {error}", 2)
            except OSError as error:
                fail(f"{name}: {error.strerror or error}", 2)
            changed += bool(found)
            _tell(name, found, most=100)
    tape.close()
    say("nothing changed" if not changed else f"{changed} changed")
    sys.exit(1 if changed else 0)


def _tell(name: str, sentences: tuple[str, ...], most: int = _MOST_TOLD) -> None:
    if sentences:
        more = [f"and {len(sentences) - most} more"] if len(sentences) > most else []
        say("\n  ".join(map(printable, (name, *sentences[:most], *more))))


@contextmanager
def reading() -> Iterator[None]:
    """End the command for a recording that can't be read."""
    from openpipe_mock.recording.cassette import BadCassette

    try:
        yield
    except BadCassette as error:
        fail(str(error), 2)


def _cassette(folder: Path) -> "Cassette":
    from openpipe_mock.recording.cassette import Cassette

    return Cassette(folder)


def recordings(folder: Path) -> "Iterator[tuple[str, Recording]]":
    found = _cassette(folder)
    yield from ((name, found.read(name)) for name in found.names())


def _tape(folder: Path, config: Path | None, **options: Any) -> Any:
    """A tape under a config's rules; ends the command for a config or cassette that can't be read."""
    from openpipe_mock.config.file import ConfigError, TwoFiles
    from openpipe_mock.recording.tape import tape_of
    from openpipe_mock.server.reload import Source

    try:
        source = Source.from_flag(config, {})
        with reading():
            return tape_of(folder, source.settings(source.content().data), **options)
    except (TwoFiles, ConfigError) as error:
        fail_with(error, 2)
    except OSError as error:
        fail(f"{config}: {error.strerror or error}", 2)
