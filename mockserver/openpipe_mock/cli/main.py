"""The command `openpipe-mock`."""

import gc
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click

from openpipe_mock import __version__
from openpipe_mock.cli.contract import contract, explain
from openpipe_mock.cli.exec import execute
from openpipe_mock.cli.generate import generate
from openpipe_mock.config.settings import (
    ANSWERS,
    CLOCKS,
    IDS,
    REPEATS,
    VALIDATIONS,
    Settings,
)
from openpipe_mock.core.resources import folder, install_line
from openpipe_mock.server.signals import leave_calmly

Command = TypeVar("Command", bound=Callable[..., None])
CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
MOST_DOCUMENT_BYTES = 64 * 2**20


def variable(flag: str) -> str:
    return "OPENPIPE_MOCK_" + flag.removeprefix("--").replace("-", "_").upper()


def option(flag: str, **settings: Any) -> Callable[[Command], Command]:
    """A flag that an environment variable `OPENPIPE_MOCK_…` can set too."""
    return click.option(flag, envvar=variable(flag), show_envvar=True, **settings)


def decides(flag: str, default: Any, **settings: Any) -> Callable[[Command], Command]:
    """A flag that beats the config file; left out, the file decides."""
    return option(flag, show_default=f"as in the config file, else {default}", **settings)


@click.group(context_settings=CONTEXT)
@click.version_option(__version__, message=f"openpipe-mock %(version)s (answers {ANSWERS})")
def main() -> None:
    """A local double of the OpenPipe API: no keys, no network, no cost, the same answer every time."""


@main.command(
    epilog="""\b
Examples:
  openpipe-mock serve
  openpipe-mock serve --config openpipe-mock.yaml --seed 7
  openpipe-mock serve --port 0 --ready-file ready.json --quiet
  OPENPIPE_MOCK_SEED=7 openpipe-mock serve --validation lenient"""
)
@option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@option("--port", default=6736, show_default=True, type=click.IntRange(0, 65535), help="0 picks a free one.")
@option(
    "--config",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Scores, answers, faults and timing from this file; it is read again whenever it is saved."
    " Without the flag: openpipe-mock.yaml or .yml, where the working folder has one.",
)
@decides("--seed", 0, type=int, help="Other seeds give other scores, texts and ids.")
@decides(
    "--validation",
    "strict",
    type=click.Choice(VALIDATIONS),
    help="strict: as documented. lenient: as the service does, unknown properties dropped and top-level"
    " scalars coerced. report: as lenient, and says what strict would refuse.",
)
@decides(
    "--ids",
    "content",
    type=click.Choice(IDS),
    help="content: derived from the request. random: new each time.",
)
@decides(
    "--clock",
    "fixed",
    type=click.Choice(CLOCKS),
    help="fixed: a plausible past time, derived from the request. real: now.",
)
@decides(
    "--repeat",
    "same",
    type=click.Choice(REPEATS),
    help="vary: the n-th identical chat request gets an answer of its own.",
)
@option(
    "--max-body-bytes",
    default=Settings().max_body_bytes,
    show_default=True,
    type=click.IntRange(min=1),
    help="Longer bodies get 413.",
)
@option(
    "--ready-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write {base_url, control_url, pid} here once requests are served.",
)
@option("--ssl-certfile", type=click.Path(path_type=Path), help="Serve https with this PEM certificate.")
@option("--ssl-keyfile", type=click.Path(path_type=Path), help="The certificate's PEM key.")
@option(
    "--control-token",
    metavar="TOKEN",
    help="Lets other machines use the control API once they send it, as `x-mock-token` or as their key.",
)
@option(
    "--allow-control-from",
    metavar="CIDR",
    multiple=True,
    help="Lets an address or a network use the control API, as in 172.16.0.0/12. Otherwise this machine alone"
    " may. Can be repeated; in the variable, spaces stand between several.",
)
@option(
    "--allowed-host",
    metavar="NAME",
    multiple=True,
    help="A further name under which the control API may be asked, beside localhost, addresses and --host."
    " Can be repeated, as above.",
)
@option(
    "--workers",
    default=1,
    show_default=True,
    type=click.IntRange(1, 256),
    help="Processes that serve. Without --state each remembers for itself.",
)
@option(
    "--state",
    metavar="URL",
    default="",
    help="Keep what sessions remember in this Redis (redis://HOST:PORT/DB), so that several mocks are as one."
    " A URL with a password belongs in the variable.",
)
@option("--quiet", is_flag=True, help="No banner and no line per request, only warnings and errors.")
def serve(
    host: str,
    port: int,
    config: Path | None,
    max_body_bytes: int,
    ready_file: Path | None,
    ssl_certfile: Path | None,
    ssl_keyfile: Path | None,
    control_token: str | None,
    allow_control_from: tuple[str, ...],
    allowed_host: tuple[str, ...],
    workers: int,
    state: str,
    quiet: bool,
    **given: Any,
) -> None:
    """Serve the mock until Ctrl-C."""
    leave_calmly()
    # What a start makes stays: to look for garbage in it took a fifth of the time. `run` looks for it again.
    gc.disable()
    click.get_current_context().call_on_close(gc.enable)
    from openpipe_mock.config.file import TwoFiles
    from openpipe_mock.control.guard import Unfit, guard
    from openpipe_mock.server.reload import Source
    from openpipe_mock.server.server import CannotServe, Listener
    from openpipe_mock.server.server import serve as run

    if ssl_keyfile and not ssl_certfile:
        raise click.UsageError("--ssl-keyfile needs --ssl-certfile")
    try:
        admitted = guard(control_token, allow_control_from, allowed_host)
    except Unfit as error:
        raise click.UsageError(str(error)) from None
    given = {name: value for name, value in given.items() if value is not None}
    try:
        source = Source.from_flag(config, {**given, "max_body_bytes": max_body_bytes})
        listener = Listener(
            host, port, ssl_certfile, ssl_keyfile, ready_file, quiet, admitted, workers, state
        )
        run(source, listener)
    except (TwoFiles, CannotServe) as error:
        fail(str(error), 2)


@main.group()
def schemas() -> None:
    """The contract as data: convert documentation pages, check the document."""


@schemas.command(
    epilog="""\b
Examples:
  openpipe-mock schemas convert schemas/sources/judge-criteria.md
  openpipe-mock schemas convert PAGE --into schemas/openapi.yaml"""
)
@click.argument("page", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--into",
    type=click.Path(exists=True, dir_okay=False, writable=True, path_type=Path),
    help="Renew the page's part of this document instead of printing it.",
)
def convert(page: Path, into: Path | None) -> None:
    """Turn a page of the documentation site into OpenAPI 3.1."""
    from openpipe_mock.core.userfiles import contents
    from openpipe_mock.core.yamltext import Unreadable, read, utf8
    from openpipe_mock.openapi.conversion.convert import ConversionError, convert_page, dump, merge

    try:
        part = convert_page(utf8(contents(page, MOST_DOCUMENT_BYTES).data))
    except (ConversionError, Unreadable) as error:
        fail(f"{page}: {error}", 1)
    except OSError as error:
        fail(f"{page}: {error.strerror or error}", 1)
    if into is None:
        click.echo(dump(part, header=()), nl=False)
        return
    try:
        document = read(contents(into, MOST_DOCUMENT_BYTES).data).value or {}
        if not isinstance(document, dict):
            fail(f"{into} is no OpenAPI document: expected a mapping", 1)
        into.write_text(dump(merge(document, part)), "utf-8")
    except OSError as error:
        fail(f"{into}: {error.strerror or error}", 1)
    except Unreadable as error:
        fail(f"{into} is no OpenAPI document: {error.mistakes[0]}", 1)


def fail(problem: str, code: int) -> NoReturn:
    """End with one line on standard error."""
    click.echo(f"openpipe-mock: {problem}", err=True)
    sys.exit(code)


@schemas.command()
def check() -> None:
    """Is the document valid OpenAPI 3.1, in step with its source pages, and true to its examples?"""
    try:
        from openpipe_mock.openapi.conversion.upkeep import problems

        found = list(problems())
    except ModuleNotFoundError as error:
        fail(f"{error.name} is missing: {install_line('contract')}", 2)
    for problem in found:
        click.echo(problem)
    click.echo(f"openapi.yaml: {len(found) or 'no'} problem{'' if len(found) == 1 else 's'}")
    sys.exit(1 if found else 0)


@main.group()
def config() -> None:
    """The config file: check it, see an example, get its schema."""


@config.command(
    "check",
    epilog="""\b
Examples:
  openpipe-mock config check
  openpipe-mock config check tests/openpipe-mock.yaml""",
)
@click.argument("file", required=False, type=click.Path(dir_okay=False, path_type=Path))
def check_config(file: Path | None) -> None:
    """Say all that is wrong with FILE (default: openpipe-mock.yaml or .yml).

    Ends with 0 where nothing is, with 1 where something is, and with 2 where FILE can't be read.
    """
    from openpipe_mock.config.file import NAME, ConfigError, TwoFiles, default_file, load

    try:
        path = str(file or default_file() or NAME)
        load(path)
    except TwoFiles as error:
        fail(str(error), 2)
    except OSError as error:
        fail(f"{path}: {error.strerror or error}", 2)
    except ConfigError as error:
        click.echo(str(error))
        sys.exit(1)
    click.echo(f"{path}: no problem")


@config.command(
    "schema",
    epilog="""\b
Example:
  openpipe-mock config schema > config.schema.json""",
)
def config_schema() -> None:
    """Print the JSON Schema, with which editors complete the file."""
    click.echo((folder("schemas") / "config.schema.json").read_bytes(), nl=False)


@config.command(
    "example",
    epilog="""\b
Example:
  openpipe-mock config example > openpipe-mock.yaml""",
)
def config_example() -> None:
    """Print a commented file with every key in it."""
    click.echo((folder("examples") / "openpipe-mock.yaml").read_bytes(), nl=False)


for command in (contract, explain, execute, generate):
    main.add_command(command)
