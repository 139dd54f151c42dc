"""The command `openpipe-mock`, with all its subcommands."""

import click

from openpipe_mock import __version__
from openpipe_mock.cli.cassette import cassette
from openpipe_mock.cli.config import config
from openpipe_mock.cli.contract import contract_command, explain_command
from openpipe_mock.cli.exec import execute
from openpipe_mock.cli.generate import generate
from openpipe_mock.cli.options import CONTEXT
from openpipe_mock.cli.record import record_command
from openpipe_mock.cli.schemas import schemas
from openpipe_mock.cli.serve import serve_command
from openpipe_mock.core.seeded import ANSWERS


@click.group(context_settings=CONTEXT)
@click.version_option(__version__, message=f"openpipe-mock %(version)s (answers {ANSWERS})")
def main() -> None:
    """A local double of the OpenPipe API: no keys, no network, no cost, the same answer every time."""


for command in (
    *(serve_command, record_command, cassette, contract_command, explain_command, execute),
    *(generate, schemas, config),
):
    main.add_command(command)
