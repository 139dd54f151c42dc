"""The command `schemas`: converts documentation pages to OpenAPI, checks the document, compares versions."""

import sys
from pathlib import Path
from typing import Any

import click

from openpipe_mock.cli.options import UserPath, Words, fail
from openpipe_mock.core.resources import install_line

_MOST_DOCUMENT_BYTES = 64 * 2**20


@click.group()
def schemas() -> None:
    """The contract as data: convert documentation pages, check the document, compare two versions."""


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


@schemas.command(
    epilog="""\b
Examples:
  openpipe-mock schemas check
  openpipe-mock schemas check --cassettes tests/cassettes"""
)
@click.option(
    "--cassettes",
    type=UserPath(exists=True, file_okay=False),
    help="Which answers recorded in this folder contradict the document, with the smallest example of each?",
)
def check(cassettes: Path | None) -> None:
    """Is the document valid OpenAPI 3.1, in step with its source pages, and true to its examples?"""
    if cassettes:
        _check_recorded(cassettes)
        return
    try:
        from openpipe_mock.openapi.conversion.upkeep import problems

        found = list(problems())
    except ModuleNotFoundError as error:
        fail(f"{error.name} is missing: {install_line('contract')}", 2)
    for problem in found:
        click.echo(problem)
    click.echo(f"openapi.yaml: {len(found) or 'no'} problem{'' if len(found) == 1 else 's'}")
    sys.exit(1 if found else 0)


def _check_recorded(folder: Path) -> None:
    """Tell each contradiction between recorded answers and the document, and end the command."""
    from openpipe_mock.cli.cassette import reading, recordings
    from openpipe_mock.core.wording import counted
    from openpipe_mock.recording.conformance import recorded_deviations

    with reading():
        found = recorded_deviations(recordings(folder))
    for each in found:
        click.echo(f"{each.sentence}\n  {counted(each.times, 'recording')}; the smallest: {each.smallest}")
    click.echo(f"openapi.yaml: {len(found) or 'no'} contradiction{'' if len(found) == 1 else 's'}")
    sys.exit(1 if found else 0)


@schemas.command(
    epilog="""\b
Examples:
  openpipe-mock schemas diff openapi-before.yaml openapi-now.yaml
  openpipe-mock schemas diff ours PAGE --format json
\b
Exit code: 0 if nobody breaks, 1 if clients or servers do, 2 for a mistake in usage."""
)
@click.argument("old")
@click.argument("new")
@click.option(
    "--format",
    "form",
    type=Words(("text", "json")),
    default="text",
    show_default=True,
    help="What is printed.",
)
def diff(old: str, new: str, form: str) -> None:
    """Say what changed between two versions of the contract, and whom that breaks.

    OLD and NEW are OpenAPI 3.x documents, pages of the documentation site, or the word `ours` for the
    document that ships with this package.
    """
    from openpipe_mock.cli import drift
    from openpipe_mock.openapi.drift import BadDocument, contract_changes

    before, after = _document(old), _document(new)
    try:
        found = list(contract_changes(before, after))
    except BadDocument as error:
        fail(str(error), 2)
    click.echo(drift.drift_json(found) if form == "json" else drift.drift_text(found))
    sys.exit(1 if any(each.breaks != "nobody" for each in found) else 0)


def _document(name: str) -> dict[str, Any]:
    """A document by its file, from a page, or ours; ends the command where it can't be read."""
    from openpipe_mock.core.resources import folder
    from openpipe_mock.core.userfiles import read_file
    from openpipe_mock.core.yamltext import UnreadableYaml, read_yaml_text, utf8
    from openpipe_mock.openapi.conversion.convert import ConversionError, convert_page

    path = folder("schemas") / "openapi.yaml" if name == "ours" else Path(name)
    try:
        text = utf8(read_file(path, _MOST_DOCUMENT_BYTES).data)
        page = path.suffix in (".md", ".mdx")
        found = convert_page(text) if page else read_yaml_text(text, any_keys=True).value
    except OSError as error:
        fail(f"{name}: {error.strerror or error}", 2)
    except (ConversionError, UnreadableYaml) as error:
        fail(f"{name}: {error}", 2)
    if not isinstance(found, dict) or not str(found.get("openapi", "")).startswith("3."):
        fail(f"{name} is no OpenAPI document: expected `openapi: 3.1.0` in it", 2)
    return found
