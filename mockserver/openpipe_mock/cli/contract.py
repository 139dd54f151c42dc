"""The commands `contract` and `explain`. Modules that they need are imported when they run."""

import datetime
import os
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from openpipe_mock.cli.options import CONTEXT, FILE, Words, completing, fail, kind_of, warn
from openpipe_mock.contract.flags import FLAGS, Flag
from openpipe_mock.core.resources import install_line
from openpipe_mock.core.secrets import without_secrets
from openpipe_mock.core.wording import printable

if TYPE_CHECKING:
    from openpipe_mock.contract.deviations import Known
    from openpipe_mock.contract.findings import Result
    from openpipe_mock.contract.run import Progress
    from openpipe_mock.contract.target import RunOptions

_USAGE = 2
_TOLD = 0.5
"""Seconds of a wait for a busy server that is told on a terminal."""
_EVERY = 50
"""Where standard error is no terminal, progress is printed after every so many checks."""


def run_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the flags of a run to a command."""
    for flag in reversed(FLAGS):
        command = click.option(*_spellings(flag), **_settings(flag))(command)
    return command


def _check_ids() -> list[str]:
    from openpipe_mock.contract.checks import catalogue

    return [*catalogue()]


def _spellings(flag: Flag) -> tuple[str, ...]:
    return (*filter(None, [flag.short]), f"--{flag.name}", flag.option)


def _settings(flag: Flag) -> dict[str, Any]:
    """What click has to know of a flag. What is left out has the default of RunOptions."""
    if flag.kind is bool:
        return {"help": flag.help, "is_flag": True}
    if flag.repeated:
        known = {"shell_complete": completing(_check_ids)} if flag.name == "only" else {}
        return {"help": f"{flag.help} Repeatable.", "metavar": flag.metavar, "multiple": True, **known}
    kind = Words(flag.choices) if flag.choices else kind_of(flag.kind)
    return {"help": flag.help, "metavar": flag.metavar or None, "type": kind}


def report_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the flags that say where a run is told, and how much."""
    for option in (
        click.option("--verbose", is_flag=True, help="Tell of every check, not of every cause."),
        click.option(
            "--summary", "summary_file", type=FILE, help="Write Markdown for a CI job's summary here."
        ),
        click.option("--html", "html_file", type=FILE, help="Write a page here."),
        click.option("--junit", "junit_file", type=FILE, help="Write a JUnit report here."),
        click.option("--json", "json_file", type=FILE, help="Write all results here."),
    ):
        command = option(command)
    return command


@click.command(
    "contract",
    context_settings=CONTEXT,
    epilog="""\b
Examples:
  openpipe-mock contract http://127.0.0.1:6736/api/v1
  openpipe-mock contract http://localhost:8000/api/v1 --criterion helpful@v1 --model openai:gpt-4o-mini
  openpipe-mock contract http://localhost:8000/api/v1 --endpoint judge --jobs 8
  openpipe-mock contract https://api.openpipe.ai/api/v1 --criterion helpful --model openpipe:mine --dry-run
\b
Ends with 0 where the contract is kept, 1 where it is broken, 3 where that could not be told, and 2 for a
command that makes no sense.""",
)
@click.argument("url")
@run_options
@click.option("--dry-run", is_flag=True, help="Print the plan and send nothing.")
@click.option("--known", type=FILE, help="Deviations that fail nothing: a list of id, reason, expires.")
@click.option("--write-known", type=FILE, help="Draft such a file from what is broken.")
@click.option("--baseline", type=FILE, help="The --json file of an earlier run: only new breaks fail.")
@report_options
def contract_command(**given: Any) -> None:
    """Judge whether the server at URL keeps the contract."""
    try:
        from openpipe_mock.contract.run import run, server_of
        from openpipe_mock.contract.target import RunOptions
    except ModuleNotFoundError as error:
        fail(f"{error.name} is missing: {install_line('contract')}", _USAGE)
    from openpipe_mock.contract import deviations
    from openpipe_mock.contract.target import UsageProblem
    from openpipe_mock.contract.text import header, report_text

    files = {
        name: given.pop(name)
        for name in (
            "known",
            "write_known",
            "baseline",
            "json_file",
            "junit_file",
            "html_file",
            "summary_file",
        )
    }
    verbose = given.pop("verbose")
    options = RunOptions(**{name: value for name, value in given.items() if value is not None})
    again = rerun(options)
    today = datetime.date.today()
    for problem in unwritable(files):
        fail(problem, _USAGE)
    try:
        known = _known(files["known"])
        before = deviations.read_baseline(files["baseline"]) if files["baseline"] else None
        if files["write_known"] and files["write_known"].exists():
            raise deviations.BadFile(f"{files['write_known']} exists already; name another file")
        server = server_of(options)
        say_lines(header(server.url, options.level, options.seed, server.max_requests))
        result = run(options, progress_of(options, verbose))
        keys = [os.fsencode(secret) for secret in server.secrets]
    except (UsageProblem, deviations.BadFile) as problem:
        fail(str(problem), _USAGE)
    if options.dry_run:
        sys.exit(3 if result.crashes else 0)
    result = deviations.applied(result, known, today)
    if before is not None:
        result = deviations.against_baseline(result, before)
    say_lines(report_text(result, again, verbose=verbose, paint=painted), *keys)
    unwritten = write_reports(result, files, again, today, *keys)
    for told in unwritten:
        warn(f"openpipe-mock: {printable(told)}")
    sys.exit(result.exit_code or (_USAGE if unwritten else 0))


def _known(path: Path | None) -> "tuple[Known, ...]":
    """The entries of a file of known deviations. Raises BadFile, also for an id that no check has."""
    from openpipe_mock.contract.deviations import read_known, refuse_unknown_ids
    from openpipe_mock.contract.run import family_members

    entries = read_known(path) if path else ()
    if path:
        refuse_unknown_ids(path, entries, family_members)
    return entries


_WRITTEN = ("json_file", "junit_file", "html_file", "summary_file", "write_known")
"""The flags that name a file to write."""


def unwritable(files: dict[str, Path | None]) -> Iterator[str]:
    """Why files can't be written, before a run that would be lost."""
    paths = [path for name in _WRITTEN if (path := files.get(name))]
    for path in paths:
        folder = path.absolute().parent
        if not folder.is_dir():
            yield f"{path} can't be written: there is no folder {folder}"
        elif not os.access(path if path.exists() else folder, os.W_OK):
            yield f"{path} can't be written: permission denied"
    regular = [path.resolve() for path in paths if path.is_file() or not path.exists()]
    for twice in {path for path in regular if regular.count(path) > 1}:
        yield f"{twice} is named for two reports; give each its own file"


def say_lines(lines: Iterable[str], *keys: bytes) -> None:
    for line in lines:
        click.echo(without_secrets(line, *keys))


_COLOURS = {"kept": "green", "broken": "red", "fails": "red"}


def painted(state: str, text: str) -> str:
    """A text in the colour of a state. Click takes the colour off where the output is no terminal."""
    return text if os.environ.get("NO_COLOR") else click.style(text, _COLOURS.get(state, "yellow"), bold=True)


def rerun(options: "RunOptions") -> str:
    """The command line that repeats a run, without the key."""
    words = ["openpipe-mock", "contract", options.url, "--seed", str(options.seed), "--level", options.level]
    for flag, values in (
        ("--criterion", options.criteria),
        ("--model", options.models),
        ("--latest", options.latest),
    ):
        words += [word for value in values for word in (flag, value)]
    words += ["--endpoint", options.endpoint] if options.endpoint else []
    for flag in ("--thorough", "--large", "--send-key"):
        words += [flag] if getattr(options, flag[2:].replace("-", "_")) else []
    return shlex.join([*words, *(["--fuzz", str(options.fuzz)] if options.fuzz else [])])


def progress_of(options: "RunOptions", verbose: bool) -> "Progress":
    """Prints the plan on standard output, then the progress on standard error."""
    from openpipe_mock.contract.run import Progress
    from openpipe_mock.contract.text import plan

    return Progress(
        lambda planned: say_lines(plan(planned, whole=options.dry_run or verbose)),
        live() if sys.stderr.isatty() else _plainly,
        waiting if sys.stderr.isatty() else Progress.waiting,
    )


def live() -> Callable[[int, int, int, int], None]:
    """Progress for a terminal: one line that is overwritten each time."""

    def judged(number: int, total: int, *counts: int) -> None:
        end = "\r" if number < total else "\r\x1b[K"
        click.echo(f"\r\x1b[K{_so_far(number, total, *counts)}{end}", err=True, nl=False)

    return judged


def waiting(seconds: float) -> None:
    """Progress for a terminal: says that the server is waited for, until the next check is judged."""
    if seconds >= _TOLD:
        click.echo(f"\r\x1b[Kthe server is busy (429): waiting {seconds:.0f} s\r", err=True, nl=False)


def _plainly(number: int, total: int, *counts: int) -> None:
    if number % _EVERY == 0 or number == total:
        warn(_so_far(number, total, *counts))


def _so_far(number: int, total: int, requests: int, broken: int) -> str:
    return f"{number} of {total} checks, {requests} requests, {broken} with findings"


def write_reports(
    result: "Result", files: dict[str, Path | None], again: str, today: datetime.date, *keys: bytes
) -> list[str]:
    """Write the report files that the options name. Returns why some can't be written."""
    from openpipe_mock.contract.deviations import draft
    from openpipe_mock.contract.html import report_page
    from openpipe_mock.contract.junit import report_junit
    from openpipe_mock.contract.reporting import write
    from openpipe_mock.contract.summary import report_summary
    from openpipe_mock.contract.text import report_json

    makers: dict[str, Callable[[], str]] = {
        "json_file": lambda: report_json(result),
        "junit_file": lambda: report_junit(result, again),
        "html_file": lambda: report_page(result, again),
        "summary_file": lambda: report_summary(result),
        "write_known": lambda: draft(result, today),
    }
    problems = [write(path, maker(), *keys) for name, maker in makers.items() if (path := files.get(name))]
    return [*filter(None, problems)]


@click.command(
    "explain",
    context_settings=CONTEXT,
    epilog="""\b
Examples:
  openpipe-mock explain
  openpipe-mock explain criteria.sorted""",
)
@click.argument("name", required=False, metavar="[ID]", shell_complete=completing(_check_ids))
@click.option("--markdown", is_flag=True, hidden=True)
def explain_command(name: str | None, markdown: bool) -> None:
    """Say what the check ID promises, on whose word, and what to do when it fails; without ID, list all."""
    from openpipe_mock.contract.checks import UnknownCheck, catalogue, explain, family_of

    if markdown:
        from openpipe_mock.contract.run import family_members
        from openpipe_mock.contract.text import documentation

        click.echo(documentation(family_members()), nl=False)
    elif name is None:
        width = max(map(len, catalogue()))
        for check in catalogue().values():
            click.echo(f"{check.id:{width}}  {check.level:10}  {check.promise}")
    else:
        try:
            cases = {}
            if family_of(name):
                from openpipe_mock.contract.run import family_members

                cases = family_members()
            click.echo(explain(name, cases))
        except ModuleNotFoundError as error:
            fail(f"{error.name} is missing: {install_line('contract')}", _USAGE)
        except UnknownCheck as problem:
            fail(str(problem), _USAGE)
