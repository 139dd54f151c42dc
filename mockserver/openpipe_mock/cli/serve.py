"""The command `serve`: runs the mock as a server until Ctrl-C."""

import gc
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import click

from openpipe_mock.cli.options import (
    FILE,
    FOLDER,
    GENERATION,
    Number,
    UserPath,
    Whole,
    Words,
    config_option,
    fail_with,
    option,
    setting,
    warn_of_variables,
)
from openpipe_mock.cli.record import tape_maker, upstream_options
from openpipe_mock.config.settings import Settings
from openpipe_mock.server.signals import leave_calmly


@click.command(
    "serve",
    epilog="""\b
Examples:
  openpipe-mock serve
  openpipe-mock serve --config openpipe-mock.yaml --seed 7
  openpipe-mock serve --port 0 --ready-file ready.json --quiet
  OPENPIPE_MOCK_SEED=7 openpipe-mock serve --validation lenient""",
)
@option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@option("--port", default=6736, show_default=True, type=Whole(0, 65535), help="0 picks a free one.")
@config_option("Scores, answers, faults and timing from this file; it is read again whenever it is saved.")
@setting("--answers", type=GENERATION, help="Pins texts, scores and ids across releases.")
@setting("--seed", help="Other seeds give other scores, texts and ids.")
@setting(
    "--validation",
    help="strict: as documented, but chat takes what popular clients send. exact: as documented. lenient: as"
    " the service does, unknown properties dropped and top-level scalars coerced.",
)
@setting(
    "--unscripted",
    show_default="as in the config file, else answer",
    help="refuse: a completion that no script answers gets 404. answer: it is made up.",
)
@setting("--ids", help="content: derived from the request. random: new each time.")
@setting("--clock", help="fixed: a plausible past time, derived from the request. real: now.")
@setting("--repeat", help="vary: the n-th identical chat request gets an answer of its own.")
@option(
    "--max-body-bytes",
    default=Settings().max_body_bytes,
    show_default=True,
    type=Whole(min=1),
    help="Longer bodies get 413.",
)
@option(
    "--max-kept-bytes",
    default=Settings().max_kept_bytes,
    show_default=True,
    type=Whole(min=1),
    help="Journals and logs of calls hold no more, the oldest go first; each worker counts its own.",
)
@option("--ready-file", type=FILE, help="Write {base_url, control_url, pid} here once requests are served.")
@option(
    "--journal",
    type=FILE,
    help="Append each exchange to this file, as a line of JSON without secrets, up to 256 MiB.",
)
@option("--ssl-certfile", type=UserPath(), help="Serve https with this PEM certificate.")
@option("--ssl-keyfile", type=UserPath(), help="The certificate's PEM key.")
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
    type=Whole(1, 256),
    help="Processes that serve. Without --state each remembers for itself.",
)
@option(
    "--state",
    metavar="URL",
    default="",
    help="Keep what sessions remember in this Redis (redis://HOST:PORT/DB), so that several mocks are as one."
    " A URL with a password belongs in the variable.",
)
@option(
    "--cassette",
    type=FOLDER,
    help="Answer from the recordings in this folder (see `openpipe-mock record`).",
)
@option(
    "--on-miss",
    default="mock",
    show_default=True,
    type=Words(("mock", "error", "upstream")),
    help="What answers a request that has no recording: the mock, an error that names the nearest recording,"
    " or the upstream, whose answer is recorded.",
)
@option(
    "--on-end",
    default="repeat",
    show_default=True,
    type=Words(("repeat", "fail")),
    help="Once all recordings of a request were given: the last one again, or as without a recording.",
)
@option(
    "--timing",
    default=0.0,
    show_default=True,
    type=Number(min=0, max=100),
    help="The recorded times are multiplied by this; 0 leaves them out.",
)
@upstream_options
@option("--quiet", is_flag=True, help="No banner and no line per request, only warnings and errors.")
@option(
    "--log-format",
    default="text",
    show_default=True,
    type=Words(("text", "json")),
    help="json: each line of the log is a JSON object, as collectors of containers' logs want it.",
)
def serve_command(
    host: str,
    port: int,
    config: Path | None,
    max_body_bytes: int,
    max_kept_bytes: int,
    ready_file: Path | None,
    journal: Path | None,
    ssl_certfile: Path | None,
    ssl_keyfile: Path | None,
    control_token: str | None,
    allow_control_from: tuple[str, ...],
    allowed_host: tuple[str, ...],
    workers: int,
    state: str,
    cassette: Path | None,
    on_miss: str,
    on_end: str,
    timing: float,
    upstream: Callable[[], Any],
    quiet: bool,
    log_format: str,
    **given: Any,
) -> None:
    """Serve the mock until Ctrl-C."""
    leave_calmly()
    warn_of_variables()
    # Nothing that a start allocates is garbage; looking for it took a fifth of the time. `serve` enables it.
    gc.disable()
    click.get_current_context().call_on_close(gc.enable)
    from openpipe_mock.config.file import TwoFiles
    from openpipe_mock.control.guard import UnfitFlag, guard
    from openpipe_mock.server.reload import Source
    from openpipe_mock.server.server import CannotServe, Listener, serve

    if ssl_keyfile and not ssl_certfile:
        raise click.UsageError("--ssl-keyfile needs --ssl-certfile")
    try:
        admitted = guard(control_token, allow_control_from, allowed_host)
    except UnfitFlag as error:
        raise click.UsageError(str(error)) from None
    if on_miss == "upstream" and workers > 1:
        raise click.UsageError("--on-miss upstream needs --workers 1, since each would have a --max-requests")
    if on_miss != "mock" and not cassette:
        raise click.UsageError(f"--on-miss {on_miss} needs --cassette, the folder of the recordings")
    given = {name: value for name, value in given.items() if value is not None}
    asked = upstream() if on_miss == "upstream" else None
    hidden = (control_token or "", _password(state), asked.key if asked else "")
    try:
        bounds = {"max_body_bytes": max_body_bytes, "max_kept_bytes": max_kept_bytes, "hidden": hidden}
        source = Source.from_flag(config, {**given, **bounds})
        listener = Listener(
            *(host, port, ssl_certfile, ssl_keyfile, ready_file, journal, quiet, log_format == "json"),
            *(admitted, workers, state),
        )
        tape = None
        if cassette:
            tape = tape_maker(cassette, upstream=asked, on_miss=on_miss, on_end=on_end, timing=timing)
        serve(source, listener, tape)
    except (TwoFiles, CannotServe) as error:
        fail_with(error, 2)


def _password(url: str) -> str:
    """The password in a URL, "" without one."""
    try:
        return unquote(urlsplit(url).password or "")
    except ValueError:
        return ""
