"""The command `compare`: two servers, asked the same. Modules that it needs are imported when it runs."""

import datetime
import shlex
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from openpipe_mock.cli.contract import (
    painted,
    progress_of,
    report_options,
    run_options,
    say_lines,
    unwritable,
    write_reports,
)
from openpipe_mock.cli.options import CONTEXT, UserPath, fail
from openpipe_mock.core.resources import install_line
from openpipe_mock.core.wording import printable

if TYPE_CHECKING:
    from openpipe_mock.contract.probe import Request
    from openpipe_mock.contract.run import Progress
    from openpipe_mock.contract.target import RunOptions

_USAGE = 2
_FILES = ("json_file", "junit_file", "html_file", "summary_file")


@click.command(
    "compare",
    context_settings=CONTEXT,
    epilog="""\b
Examples:
  openpipe-mock compare http://127.0.0.1:6736/api/v1 http://localhost:8000/api/v1
  openpipe-mock compare OLD NEW --endpoint judge --criterion helpful --json differences.json
  openpipe-mock compare OLD NEW --cassette tests/cassettes --exact
\b
Ends with 0 where the servers don't differ in what matters, 1 where they do, 3 where that could not be told,
and 2 for a command that makes no sense.""",
)
@click.argument("left")
@click.argument("right")
@run_options
@click.option(
    "--cassette",
    type=UserPath(exists=True, file_okay=False),
    help="Send the requests that are recorded in this folder as well.",
)
@click.option("--exact", is_flag=True, help="Texts and scores have to be the same too.")
@click.option("--dry-run", is_flag=True, help="Print the plan and send nothing.")
@report_options
def compare_command(left: str, right: str, **given: Any) -> None:
    """Send the same requests to the servers at LEFT and RIGHT, and say where their answers differ.

    What matters: who takes and refuses what, the members of answers and errors, the order of choices, and
    which checks of the contract hold. Ids, times, texts and scores may differ.
    """
    try:
        from openpipe_mock.contract.comparison import compare
        from openpipe_mock.contract.target import RunOptions, UsageProblem
    except ModuleNotFoundError as error:
        fail(f"{error.name} is missing: {install_line('contract')}", _USAGE)
    from openpipe_mock.contract.text import report_text

    files = {name: given.pop(name) for name in _FILES}
    cassette, exact, verbose = (given.pop(name) for name in ("cassette", "exact", "verbose"))
    options = RunOptions(**{name: value for name, value in given.items() if value is not None})
    for problem in unwritable(files):
        fail(problem, _USAGE)
    again = shlex.join(["openpipe-mock", "compare", left, right, "--seed", str(options.seed)])
    try:
        result = compare(
            replace(options, url=left),
            replace(options, url=right),
            _told_by(options, verbose),
            recorded=_recorded(cassette) if cassette else (),
            exact=exact,
        )
    except UsageProblem as problem:
        fail(str(problem), _USAGE)
    if options.dry_run:
        sys.exit(3 if result.crashes else 0)
    say_lines(report_text(result, again, verbose=verbose, paint=painted))
    unwritten = write_reports(result, files, again, datetime.date.today())
    for told in unwritten:
        click.echo(f"openpipe-mock: {printable(told)}", err=True)
    sys.exit(result.exit_code or (_USAGE if unwritten else 0))


def _told_by(options: "RunOptions", verbose: bool) -> "Callable[[str], Progress]":
    """Takes the URL of a server, returns what is told of the run against it."""

    def progress(url: str) -> "Progress":
        click.echo(f"Asking {printable(url)}")
        return progress_of(options, verbose)

    return progress


def _recorded(folder: Path) -> "list[Request]":
    """The requests of a cassette, without keys; ends the command for one that can't be read."""
    from openpipe_mock.cli.cassette import reading

    with reading():
        return list(_requests(folder))


def _requests(folder: Path) -> "Iterator[Request]":
    from openpipe_mock.cli.cassette import recordings
    from openpipe_mock.contract.probe import Request

    for _, recording in recordings(folder):
        headers = {"content-type": "application/json", **recording.headers} if recording.body else {}
        yield Request(recording.method, recording.path, recording.body, tuple(headers.items()))
