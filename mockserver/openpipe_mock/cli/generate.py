"""The command `generate`: prints as many requests for tests as one wants, the same for the same seed."""

import os
import sys

import click

from openpipe_mock.cli.options import WHOLE, Whole, Words
from openpipe_mock.openapi.endpoints import ENDPOINTS

_MOST = 1_000_000


@click.command(
    epilog="""\b
Examples:
  openpipe-mock generate judge --count 100
  openpipe-mock generate chat --invalid --count 20 --seed 7
  openpipe-mock generate judge --invalid --count 1000 | grep '"rule":"enum"'"""
)
@click.argument("endpoint", type=Words(tuple(each.name for each in ENDPOINTS.values() if each.answer)))
@click.option("--valid/--invalid", default=True, show_default=True, help="Which kind of requests.")
@click.option("--count", default=10, show_default=True, type=Whole(0, _MOST), help="How many.")
@click.option("--seed", default=0, show_default=True, type=WHOLE, help="Other seeds give other requests.")
def generate(endpoint: str, valid: bool, count: int, seed: int) -> None:
    """Print requests for ENDPOINT, judge or chat, as JSON lines.

    The first line says under which versions the seed repeats. The others have the fields of the files in
    schemas/vectors: an invalid request is one edit away from a valid one, and its line names the rule that it
    breaks, and where. Every edit comes once before one comes again.
    """
    from openpipe_mock.payloads.vectors import printed

    output = sys.stdout.buffer
    try:
        for line in printed(endpoint, valid, count, seed):
            output.write(line)
        output.flush()
    except BrokenPipeError:
        # the reader closed the pipe; the interpreter flushes once more at its end, which must not fail
        os.dup2(os.open(os.devnull, os.O_WRONLY), output.fileno())
