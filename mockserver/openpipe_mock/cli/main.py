"""The command `openpipe-mock`."""

import click

from openpipe_mock import __version__
from openpipe_mock.cli.contract import contract_command, explain_command
from openpipe_mock.cli.exec import execute
from openpipe_mock.cli.generate import generate
from openpipe_mock.cli.options import CONTEXT
from openpipe_mock.core.seeded import ANSWERS

MOST_DOCUMENT_BYTES = 64 * 2**20


@click.group(context_settings=CONTEXT)
@click.version_option(__version__, message=f"openpipe-mock %(version)s (answers {ANSWERS})")
def main() -> None:
    """A local double of the OpenPipe API: no keys, no network, no cost, the same answer every time."""


for command in (contract_command, explain_command, execute, generate):
    main.add_command(command)
