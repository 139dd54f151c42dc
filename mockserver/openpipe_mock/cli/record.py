"""The command `record`: passes requests on to a real server and writes each exchange into a cassette."""

import gc
from collections.abc import Callable
from functools import partial, wraps
from pathlib import Path
from typing import Any

import click

from openpipe_mock.cli.options import FILE, FOLDER, Number, Whole, config_option, fail, fail_with, option
from openpipe_mock.config.settings import Settings
from openpipe_mock.core.resources import install_line
from openpipe_mock.server.signals import leave_calmly


def tape_maker(folder: Path, **options: Any) -> Callable[[Settings], Any]:
    """A function that makes the tape of a cassette's folder from the settings; it raises CannotServe."""
    from openpipe_mock.server.server import CannotServe

    def tape(settings: Settings) -> Any:
        from openpipe_mock.recording.cassette import BadCassette
        from openpipe_mock.recording.tape import tape_of

        folder.absolute()  # raises FileNotFoundError where the working folder is gone
        try:
            if options.get("upstream"):  # what it answers costs money, so it has to find its place
                folder.mkdir(parents=True, exist_ok=True)
            return tape_of(folder, settings, **options)
        except OSError as error:
            raise CannotServe(f"cannot write recordings into {folder}: {error.strerror or error}") from None
        except BadCassette as error:
            raise CannotServe(str(error)) from None

    return tape


def upstream_of(url: str, key_env: str, ca: Path | None, **limits: Any) -> Any:
    """The upstream that the flags name. Raises UsageError for one that is no use; ends without httpx."""
    try:
        from openpipe_mock.recording.upstream import Allowance, BadUpstream, upstream
    except ImportError:
        fail(f"passing requests on needs the extra `record`: {install_line('record')}", 2)
    try:
        return upstream(url, key_env, str(ca or ""), Allowance(**limits))
    except BadUpstream as error:
        raise click.UsageError(str(error)) from None


UPSTREAM_OPTIONS = (
    option(
        "--upstream",
        metavar="URL",
        default="https://api.openpipe.ai/api/v1",
        show_default=True,
        help="The base URL of the server that is asked. Nothing else is ever contacted.",
    ),
    option(
        "--key-env",
        metavar="NAME",
        default="",
        help="The variable whose key is sent in place of the clients'. Without the flag: OPENPIPE_API_KEY for"
        " the service's own hosts over https; elsewhere the clients' own keys are passed on.",
    ),
    option(
        "--max-requests",
        default=200,
        show_default=True,
        type=Whole(min=1),
        help="Pass on no more than these; they may cost money.",
    ),
    option(
        "--rate",
        default=0.0,
        type=Number(min=0, max=1000),
        help="Requests a second; 0 for any number.",
    ),
    option(
        "--timeout",
        default=60.0,
        show_default=True,
        type=Number(min=0.1, max=3600),
        help="Seconds to wait for the upstream's next bytes.",
    ),
    option("--ca", type=FILE, help="Trust this PEM authority."),
)


def upstream_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the flags about an upstream to a command, which gets `upstream`: a function that makes it."""

    @wraps(command)
    def collecting(
        upstream: str,
        key_env: str,
        max_requests: int,
        rate: float,
        timeout: float,
        ca: Path | None,
        **others: Any,
    ) -> None:
        limits = {"requests": max_requests, "rate": rate, "timeout": timeout}
        command(upstream=partial(upstream_of, upstream, key_env, ca, **limits), **others)

    for each in reversed(UPSTREAM_OPTIONS):
        collecting = each(collecting)
    return collecting


@click.command(
    "record",
    epilog="""\b
Examples:
  openpipe-mock record --cassette tests/cassettes
  openpipe-mock record --upstream http://127.0.0.1:8000/v1 --cassette cassettes --max-requests 20
  openpipe-mock serve --cassette tests/cassettes""",
)
@click.option("--cassette", type=FOLDER, required=True, help="The folder for the recordings.")
@upstream_options
@option("--port", default=6736, show_default=True, type=Whole(0, 65535), help="0 picks a free one.")
@config_option("Patterns of personal data and what doesn't count in a request, from its section `cassette`.")
@option("--ready-file", type=FILE, help="As for `serve`.")
@click.option("--new", is_flag=True, help="Pass on only what has no recording yet.")
@option("--quiet", is_flag=True, help="No banner and no line per request, only warnings and errors.")
def record_command(
    cassette: Path,
    upstream: Callable[[], Any],
    port: int,
    config: Path | None,
    ready_file: Path | None,
    new: bool,
    quiet: bool,
) -> None:
    """Pass requests on to a real server, and record each exchange in a folder, until Ctrl-C.

    Point clients at the printed base URL. A second recording of the same request replaces those of earlier
    runs. Secrets are replaced before anything is written. It listens on this machine alone.
    """
    leave_calmly()
    gc.disable()
    click.get_current_context().call_on_close(gc.enable)
    from openpipe_mock.config.file import TwoFiles
    from openpipe_mock.server.reload import Source
    from openpipe_mock.server.server import CannotServe, Listener, serve

    asked = upstream()
    tape = tape_maker(cassette, upstream=asked, on_miss="upstream", replays=new)
    try:
        source = Source.from_flag(config, {"hidden": (asked.key,)})
        serve(source, Listener(port=port, ready_file=ready_file, quiet=quiet), tape)
    except (TwoFiles, CannotServe) as error:
        fail_with(error, 2)
