"""The command `config`: checks the config file, exports a mock's, prints an example and the JSON Schema."""

import sys
from collections.abc import Iterator
from pathlib import Path

import click

from openpipe_mock.cli.options import FILE, fail, option, say, warn_of_variables
from openpipe_mock.config.settings import Settings
from openpipe_mock.core.resources import folder
from openpipe_mock.core.wording import quoted_names

_MOST_MEBIBYTES = 16
"""The size of a frozen file that is read."""


@click.group()
def config() -> None:
    """The config file: check it, export a running mock's, see an example, get its schema."""


@config.command(
    "check",
    epilog="""\b
Examples:
  openpipe-mock config check
  openpipe-mock config check tests/openpipe-mock.yaml
  openpipe-mock config check --freeze frozen.json
  openpipe-mock config check --frozen frozen.json""",
)
@click.argument("file", required=False, type=FILE)
@click.option(
    "--freeze", metavar="FROZEN", type=FILE, help="Write the answers to a fixed set of requests here."
)
@click.option("--frozen", metavar="FROZEN", type=FILE, help="Say which of those answers differ by now.")
def check_config(file: Path | None, freeze: Path | None, frozen: Path | None) -> None:
    """Say all that is wrong with FILE (default: openpipe-mock.yaml or .yml), and which scripts never fire.

    Ends with 0 where nothing is, with 1 where something is or an answer differs, and with 2 where a file
    can't be read or written.
    """
    from openpipe_mock.config.file import DEFAULT_FILE, ConfigError, TwoFiles, default_file, load_settings

    warn_of_variables()
    try:
        path = str(file or default_file() or DEFAULT_FILE)
        settings = load_settings(path)
    except TwoFiles as error:
        fail(str(error), 2)
    except OSError as error:
        fail(f"{path}: {error.strerror or error}", 2)
    except ConfigError as error:
        say(str(error))
        sys.exit(1)
    if settings.outdated:
        say(f"{path}: {settings.outdated}")
    for warning in _warnings(settings):
        say(f"{path}: warning: {warning}")
    say(f"{path}: no problem")
    if frozen:
        _compare(settings, frozen)
    if freeze:
        _freeze(settings, freeze)


def _warnings(settings: Settings) -> Iterator[str]:
    """What is no mistake and surely not meant: scripts behind one that answers every request."""
    scripts = settings.completions
    behind = next((place for place, each in enumerate(scripts, 1) if each.always_fires), len(scripts))
    hidden = [str(script) for script in scripts[behind:]]
    if hidden:
        told = f"behind {scripts[behind - 1]}, which answers every chat request, no script fires"
        yield f"{told}: {quoted_names(hidden)}. Move it to the end."


def _freeze(settings: Settings, path: Path) -> None:
    from openpipe_mock.cli.frozen import freeze

    try:
        path.write_bytes(freeze(settings))
    except OSError as error:
        fail(f"{path}: {error.strerror or error}", 2)
    say(f"{path}: written")


def _compare(settings: Settings, path: Path) -> None:
    """Print the answers that differ from those in a frozen file, and end with 1 if there are any."""
    from openpipe_mock.cli.frozen import NotFrozen, changed_answers
    from openpipe_mock.core.userfiles import MEBIBYTE, read_file

    try:
        found = changed_answers(settings, read_file(path, _MOST_MEBIBYTES * MEBIBYTE).data)
    except OSError as error:
        fail(f"{path}: {error.strerror or error}", 2)
    except NotFrozen as error:
        fail(f"{path}: {error}", 2)
    for line in found:
        say(line)
    if found:
        sys.exit(1)
    say(f"{path}: all answers are the same")


@config.command(
    "export",
    epilog="""\b
Examples:
  openpipe-mock config export http://127.0.0.1:6736 > openpipe-mock.yaml
  openpipe-mock config export http://127.0.0.1:6736/_mock/sessions/w1/api/v1""",
)
@click.argument("url")
@option("--control-token", metavar="TOKEN", help="The one that the mock was started with, if it needs it.")
def export_config(url: str, control_token: str | None) -> None:
    """Print what the mock at URL answers by, as a config file: its own file, and what was set since.

    URL is a mock's origin or base URL; that of a session exports that session. Keys aren't in it: each is
    named by an environment variable.
    """
    base = url.rstrip("/").removesuffix("/api/v1").removesuffix("/_mock")
    where = f"{base if '://' in base else f'http://{base}'}/_mock/config"
    click.echo(_fetched(where, {"x-mock-token": control_token} if control_token else {}), nl=False)


def _fetched(url: str, headers: dict[str, str]) -> bytes:
    """What a mock answers at a URL of its control API; ends with 2 where it answers an error or nothing."""
    import http.client
    import urllib.error
    import urllib.request

    from openpipe_mock.core.reasons import reason

    try:
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with direct.open(urllib.request.Request(url, headers=headers), timeout=_PATIENCE) as answer:
            found: bytes = answer.read()
            if answer.headers.get_content_type() == "application/yaml":
                return found
        fail(f"{url} is answered by something else than openpipe-mock", 2)
    except urllib.error.HTTPError as error:
        fail(f"{url} answers {error.code}: {_told(error.read(_MOST_ERROR))}", 2)
    except (OSError, http.client.HTTPException, ValueError) as error:
        cause = error.reason if isinstance(error, urllib.error.URLError) else error
        told = reason(cause) if isinstance(cause, Exception) else ""
        broken = isinstance(cause, http.client.HTTPException) and not isinstance(
            cause, http.client.InvalidURL
        )
        other = "what it says is no whole answer" if broken else "it is no URL of http or https"
        fail(f"{url} can't be reached: {told or other}", 2)


_PATIENCE = 30.0
"""Seconds until a mock has to say something."""
_MOST_ERROR = 2**16


def _told(body: bytes) -> str:
    """The message of an error's body."""
    from openpipe_mock.core.errors import ParseError
    from openpipe_mock.core.strictjson import parse

    try:
        return str(parse(body)["message"])
    except (ParseError, LookupError, TypeError):
        return "no openpipe-mock answers there"


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
