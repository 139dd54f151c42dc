"""The command `config`: checks the config file, prints an example and its JSON Schema."""

import sys
from pathlib import Path

import click

from openpipe_mock.cli.options import FILE, fail
from openpipe_mock.core.resources import folder


@click.group()
def config() -> None:
    """The config file: check it, see an example, get its schema."""


@config.command(
    "check",
    epilog="""\b
Examples:
  openpipe-mock config check
  openpipe-mock config check tests/openpipe-mock.yaml""",
)
@click.argument("file", required=False, type=FILE)
def check_config(file: Path | None) -> None:
    """Say all that is wrong with FILE (default: openpipe-mock.yaml or .yml).

    Ends with 0 where nothing is, with 1 where something is, and with 2 where FILE can't be read.
    """
    from openpipe_mock.config.file import DEFAULT_FILE, ConfigError, TwoFiles, default_file, load_settings

    try:
        path = str(file or default_file() or DEFAULT_FILE)
        load_settings(path)
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
