"""The command `openpipe-mock`, with all its subcommands."""

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from openpipe_mock import __version__
from openpipe_mock.cli.cassette import cassette
from openpipe_mock.cli.compare import compare_command
from openpipe_mock.cli.config import config
from openpipe_mock.cli.contract import contract_command, explain_command
from openpipe_mock.cli.exec import execute
from openpipe_mock.cli.generate import generate
from openpipe_mock.cli.options import CONTEXT, fail, presentable
from openpipe_mock.cli.record import record_command
from openpipe_mock.cli.schemas import schemas
from openpipe_mock.cli.serve import serve_command
from openpipe_mock.core.seeded import ANSWERS


class _Commands(click.Group):
    """The commands; where the system refuses one a file or a folder, it ends with one line and code 2."""

    def main(self, *args: Any, **settings: Any) -> Any:
        _hold_streams()
        try:
            return super().main(*args, **settings)
        except OSError as error:
            problem = _refused(error)
            if not problem:
                raise
            if not error.filename:
                _drop_output()
            fail(problem, 2)

    def make_context(self, *args: Any, **settings: Any) -> click.Context:
        with _safe_to_show():
            return super().make_context(*args, **settings)

    def invoke(self, ctx: click.Context) -> Any:
        with _safe_to_show():
            return super().invoke(ctx)


def _hold_streams() -> None:
    """Open the standard streams that are closed: else a socket would get the number, and what is written."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)


@contextmanager
def _safe_to_show() -> Iterator[None]:
    """Take secrets and control characters out of what is said of a command line, which quotes its words."""
    try:
        yield
    except click.exceptions.NoArgsIsHelpError:
        raise
    except click.UsageError as error:
        raise click.UsageError(presentable(error.format_message()), error.ctx) from None


def _refused(error: OSError) -> str:
    """What to say of an error that isn't ours, "" for any other."""
    if error.errno in _FULL:
        return f"{error.filename or 'standard output'} can't be written: {error.strerror}"
    try:
        os.getcwd()
    except FileNotFoundError:
        return "the working folder is gone; change to one that is there"
    return ""


_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS)


def _drop_output() -> None:
    """Write what is left for standard output nowhere: the interpreter would try once more at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@click.group(cls=_Commands, context_settings=CONTEXT)
@click.version_option(__version__, message=f"openpipe-mock %(version)s (answers {ANSWERS})")
def main() -> None:
    """A local double of the OpenPipe API: no keys, no network, no cost, the same answer every time."""


for command in (
    *(serve_command, record_command, cassette, contract_command, compare_command, explain_command, execute),
    *(generate, schemas, config),
):
    main.add_command(command)
