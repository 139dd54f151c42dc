"""The command `exec`. Modules that it needs are imported when it runs."""

import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from openpipe_mock.cli.options import (
    CONTEXT,
    FILE,
    FOLDER,
    GENERATION,
    Whole,
    Words,
    completing,
    config_option,
    setting,
    warn,
    warn_of_variables,
)
from openpipe_mock.core.wording import printable

if TYPE_CHECKING:
    from openpipe_mock.exec.run import Announce
    from openpipe_mock.exec.verdict import Verdict
    from openpipe_mock.faults.variants import Variant

_USAGE = 2
_FLAGS = ("answers", "seed", "validation", "unscripted")
"""Those of its flags that are settings."""
_FAIL_ON = ("violation", "never")


def _refuse(problem: str, code: int = _USAGE) -> NoReturn:
    _say(problem.splitlines())
    sys.exit(code)


def _say(lines: Iterable[str]) -> None:
    """Print lines on standard error, each marked as ours among the command's own output."""
    for line in lines:
        warn(f"openpipe-mock: {printable(line)}")


def _variant_names() -> list[str]:
    from openpipe_mock.faults.variants import VARIANTS

    return [variant.name for variant in VARIANTS]


def _report_file(_: click.Context, __: click.Parameter, paths: tuple[Path, ...]) -> tuple[Path, ...]:
    """The files of `--report`. Raises BadParameter for an unknown ending or a missing folder."""
    from openpipe_mock.exec.report import MAKERS

    for path in paths:
        if path.suffix.lower() not in MAKERS:
            raise click.BadParameter(f"{path} ends in none of {', '.join(MAKERS)}")
        if not path.absolute().parent.is_dir():
            raise click.BadParameter(f"there is no folder {path.absolute().parent} for {path.name}")
    return paths


@click.command(
    "exec",
    context_settings={**CONTEXT, "allow_interspersed_args": False},
    epilog="""\b
Examples:
  openpipe-mock exec -- npm test
  openpipe-mock exec --config openpipe-mock.yaml --variants 10 -- pytest -q
  openpipe-mock exec --variants all --except errored-criterion --jobs 2 -- npm test
  openpipe-mock exec --variant no-done -- npm test
  openpipe-mock exec --report client.html --report client.xml -- make test
\b
Ends with COMMAND's own exit code; with 90 where it passed and its client broke the contract, broke under a
variant, or didn't do what was required; with 127 or 126 where COMMAND can't be started, and with 2 for a bad
command line.""",
)
@config_option("The mock's config file.")
@setting("--answers", type=GENERATION, show_default=False, help="Pins the mock's answers across releases.")
@setting("--seed", show_default=False, help="The mock's seed.")
@setting(
    "--validation",
    show_default=False,
    help="exact: refuse what popular clients send, too. lenient: answer as the service does and count"
    " what strict would refuse.",
)
@setting(
    "--unscripted",
    show_default=False,
    help="refuse: a completion that no script answers gets 404. answer: it is made up.",
)
@click.option(
    "--variants",
    default="0",
    metavar="N|NAME,NAME|all",
    show_default=True,
    shell_complete=completing(lambda: ("all", *_variant_names())),
    help="Run COMMAND again under variants: answers within the contract, but unlike the usual. The first N,"
    " which break most clients, or those named, or all.",
)
@click.option(
    "--except",
    "without",
    multiple=True,
    metavar="NAME",
    shell_complete=completing(_variant_names),
    help="Leave this variant out of --variants. Repeatable, and NAME,NAME will do.",
)
@click.option(
    "--jobs",
    default=1,
    metavar="N",
    show_default=True,
    type=Whole(min=1, max=64),
    help="Try so many variants side by side; COMMAND gets no standard input then.",
)
@click.option(
    "--variant",
    metavar="NAME",
    shell_complete=completing(_variant_names),
    help="Run COMMAND under this variant alone.",
)
@click.option(
    "--fail-on",
    default="violation",
    show_default=True,
    type=Words(_FAIL_ON),
    help="never: COMMAND's exit code is always this one's.",
)
@click.option(
    "--require-scripted", is_flag=True, help="End with 90 where a completion came that no script answers."
)
@click.option("--require-requests", is_flag=True, help="End with 90 where no request reached the mock.")
@click.option(
    "--report",
    "reports",
    multiple=True,
    metavar="FILE",
    callback=_report_file,
    type=FILE,
    help="Write a report here: a page (.html), JUnit (.xml) or JSON (.json). Repeatable.",
)
@click.option(
    "--cassette",
    type=FOLDER,
    help="Answer from the recordings in this folder; what has none gets 404.",
)
@click.option(
    "--record",
    default="none",
    show_default=True,
    type=Words(("none", "once", "new_episodes", "all")),
    help="When the first run records what the upstream answers: never; where the folder is empty; what has no"
    " recording; everything anew. Never where the variable CI is set.",
)
@click.option(
    "--upstream",
    metavar="URL",
    default="https://api.openpipe.ai/api/v1",
    show_default=True,
    help="The base URL of the server that is recorded.",
)
@click.option("--name", default="", metavar="NAME", help="What reports call this run, in place of COMMAND.")
@click.option("--quiet", is_flag=True, help="Say nothing as long as nothing breaks.")
@click.argument("command", nargs=-1, type=click.UNPROCESSED, metavar="-- COMMAND ...")
def execute(command: tuple[str, ...], reports: tuple[Path, ...], quiet: bool, **given: Any) -> None:
    """Run COMMAND against a mock of its own, and say what its client did.

    COMMAND finds the mock by OPENPIPE_BASE_URL and OPENAI_BASE_URL, with dummy keys in OPENPIPE_API_KEY and
    OPENAI_API_KEY. Requests with the header `x-mock-expect: violation` may break the contract.
    """
    from openpipe_mock.config.file import ConfigError, TwoFiles
    from openpipe_mock.exec.child import CannotRun
    from openpipe_mock.exec.run import Job, run_command
    from openpipe_mock.server.reload import Source
    from openpipe_mock.server.server import CannotServe

    if not command or not command[0]:
        raise click.UsageError(
            "there is no COMMAND; write it behind --, as in: openpipe-mock exec -- npm test"
        )
    if given["record"] != "none" and not given["cassette"]:
        told = f"--record {given['record']} needs --cassette, the folder for what it records"
        raise click.UsageError(told)
    warn_of_variables()
    settings = {name: given[name] for name in _FLAGS if given[name] is not None}
    only, variants, surplus = _chosen(given["variant"], given["variants"], given["without"])
    try:
        source = Source.from_flag(given["config"], settings)
        in_force = source.settings(source.content().data)
    except TwoFiles as error:
        _refuse(str(error))
    except ConfigError as error:
        _refuse(f"the config file has mistakes:\n{error}")
    except OSError as error:
        _refuse(f"cannot read the config file {source.path}: {error.strerror or error}")
    required = {name: given[name] for name in ("require_scripted", "require_requests")}
    again = _command_line(
        command, source.path if given["config"] else "", settings, required, given["cassette"]
    )
    job = Job(
        command,
        in_force,
        variants,
        only,
        given["fail_on"] == "never",
        again,
        given["jobs"],
        given["name"],
        **{name: given[name] for name in ("cassette", "record", "upstream")},
        **required,
    )
    if surplus and not quiet:
        _say([surplus])
    try:
        verdict = run_command(job, os.environ, _progress(quiet))
    except CannotServe as error:
        _refuse(str(error))
    except CannotRun as error:
        _refuse(str(error), error.code)
    tell(verdict, quiet)
    _write(verdict, reports, in_force.secrets)
    sys.exit(verdict.exit_code)


def _chosen(
    name: str | None, asked: str, without: Sequence[str]
) -> "tuple[Variant | None, tuple[Variant, ...], str]":
    """The variant that `--variant` names, those of `--variants`, and a note if these are too few."""
    from openpipe_mock.faults import variants

    left_out = _names(without)
    if left_out and asked == "0":
        raise click.UsageError("--except leaves something out of --variants, which is not there")
    if name is not None and asked != "0":
        raise click.UsageError("--variant and --variants exclude each other")
    try:
        if name is not None:
            return variants.variant_named(name), (), ""
        if not asked.isdecimal():
            names = () if asked == "all" else _names([asked])
            if asked != "all" and not names:
                raise click.UsageError("--variants takes a number, names or all, and it is empty")
            return None, variants.chosen(names=names, without=left_out), ""
        found = variants.chosen(int(asked), without=left_out)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    few = f"there are {len(found)} variants; --variants {asked} means all of them"
    return None, found, few if int(asked) > len(found) else ""


def _names(lists: Iterable[str]) -> list[str]:
    """The names in lists that commas separate."""
    return [name for each in lists for name in map(str.strip, each.split(",")) if name]


def _command_line(
    command: Sequence[str],
    config: str,
    settings: dict[str, Any],
    required: dict[str, bool],
    cassette: Path | None,
) -> tuple[str, ...]:
    """The words that run this again, without variants and reports; it records nothing."""
    flags = ["--config", config] if config else []
    flags += ["--cassette", str(cassette)] if cassette else []
    flags += [word for name, value in settings.items() for word in (f"--{name}", str(value))]
    flags += [f"--{name.replace('_', '-')}" for name, value in required.items() if value]
    return ("openpipe-mock", "exec", *flags, "--", *command)


def _progress(quiet: bool) -> "Announce":
    """Announces each variant before its run, since the command's own output follows."""

    def announce(variant: "Variant", number: int, total: int) -> None:
        if not quiet:
            _say([f"variant {number} of {total}, {variant.name}: {variant.sentence}"])

    return announce


def tell(verdict: "Verdict", quiet: bool) -> None:
    """Print the report as text; with `quiet` only if something broke or is worth a warning."""
    from openpipe_mock.exec.report import exec_text, notes

    told = any(run.warnings or run.missed for run in verdict.runs)
    if not quiet or verdict.broken or told or any(notes(verdict)):
        _say(exec_text(verdict))


def _write(verdict: "Verdict", reports: Sequence[Path], secrets: tuple[bytes, ...]) -> None:
    """Write the reports. Where one can't be written, ends with the verdict's exit code, or 2 if that is 0."""
    from openpipe_mock.contract.reporting import write
    from openpipe_mock.exec.report import MAKERS

    problems = [write(path, MAKERS[path.suffix.lower()](verdict), *secrets) for path in reports]
    if any(problems):
        _refuse("\n".join(filter(None, problems)), verdict.exit_code or _USAGE)
