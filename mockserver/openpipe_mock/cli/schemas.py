"""The command `schemas`: converts documentation pages to OpenAPI and checks the document."""

import sys
from pathlib import Path

import click

from openpipe_mock.cli.options import UserPath, fail
from openpipe_mock.core.resources import install_line

_MOST_DOCUMENT_BYTES = 64 * 2**20


@click.group()
def schemas() -> None:
    """The contract as data: convert documentation pages, check the document."""


@schemas.command(
    epilog="""\b
Examples:
  openpipe-mock schemas convert schemas/sources/judge-criteria.md
  openpipe-mock schemas convert PAGE --into schemas/openapi.yaml"""
)
@click.argument("page", type=UserPath(exists=True, dir_okay=False))
@click.option(
    "--into",
    type=UserPath(exists=True, dir_okay=False, writable=True),
    help="Renew the page's part of this document instead of printing it.",
)
def convert(page: Path, into: Path | None) -> None:
    """Turn a page of the documentation site into OpenAPI 3.1."""
    from openpipe_mock.core.userfiles import read_file, replace_file
    from openpipe_mock.core.yamltext import UnreadableYaml, read_yaml, utf8
    from openpipe_mock.openapi.conversion.convert import ConversionError, convert_page, dump, merge

    try:
        part = convert_page(utf8(read_file(page, _MOST_DOCUMENT_BYTES).data))
    except (ConversionError, UnreadableYaml) as error:
        fail(f"{page}: {error}", 1)
    except OSError as error:
        fail(f"{page}: {error.strerror or error}", 1)
    if into is None:
        click.echo(dump(part, header=()), nl=False)
        return
    try:
        document = read_yaml(read_file(into, _MOST_DOCUMENT_BYTES).data).value or {}
        if not isinstance(document, dict):
            fail(f"{into} is no OpenAPI document: expected a mapping", 1)
        if document and not str(document.get("openapi", "")).startswith("3."):
            fail(f"{into} is no OpenAPI document: expected `openapi: 3.1.0` in it; nothing was written", 1)
        replace_file(into, dump(merge(document, part)).encode())
    except OSError as error:
        fail(f"{into}: {error.strerror or error}", 1)
    except UnreadableYaml as error:
        fail(f"{into} is no OpenAPI document: {error.mistakes[0]}", 1)


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
