"""Read a page of the documentation site: title, description, and the tree in its fenced YAML block.

The form is known from the page in `schemas/sources`, and from other sites' pages by the same generator.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from openpipe_mock.core.yamltext import UnreadableYaml, read_yaml_text
from openpipe_mock.openapi.conversion.refusals import ConversionError

_OPENING = re.compile(r"(?P<ticks>`{3,})ya?ml(?P<info>[ \t].*)?[ \t]*")
_OPERATION = re.compile(r"(?:.*\s)?(?P<method>[A-Za-z]+)\s+(?P<path>/\S*)")
_OPENAPI_HEADING = re.compile(r"#{1,6} OpenAPI\s*")


@dataclass(frozen=True, slots=True)
class Page:
    """A page's parts. `method` (in lower case) and `path` are those of the block's opening line."""

    title: str
    description: str
    method: str
    path: str
    tree: Any


def read_page(text: str) -> Page:
    """Take a page apart.

    Raises:
        ConversionError: no title, not exactly one closed YAML block, or YAML that is more than plain data.
    """
    lines = text.removeprefix("\ufeff").replace("\r\n", "\n").split("\n")
    start, end = _block(lines)
    opening = _OPENING.fullmatch(lines[start])
    operation = _OPERATION.fullmatch(((opening and opening["info"]) or "").strip())
    if operation is None:
        raise ConversionError(
            f"line {start + 1}", 'the YAML block names no operation; open it with "yaml METHOD /path"'
        )
    title, description = _heading(lines[:start])
    tree = _tree(lines, start, end)
    return Page(title, description, operation["method"].lower(), operation["path"], tree)


def _block(lines: list[str]) -> tuple[int, int]:
    """The line numbers, from 0, of the one YAML block's opening and closing fence."""
    found = list(_blocks(lines))
    if len(found) != 1:
        raise ConversionError(
            "page", f"expected one fenced YAML block, found {len(found)}; convert page by page"
        )
    return found[0]


def _blocks(lines: list[str]) -> Iterator[tuple[int, int]]:
    after = 0
    for number, line in enumerate(lines):
        opening = _OPENING.fullmatch(line) if number >= after else None
        if opening:
            after = _closing(lines, number, opening["ticks"])
            yield number, after


def _closing(lines: list[str], start: int, ticks: str) -> int:
    for number in range(start + 1, len(lines)):
        line = lines[number].rstrip()
        if line.startswith(ticks) and not line.strip("`"):
            return number
    raise ConversionError(f"line {start + 1}", f"the YAML block never ends; close it with {ticks}")


def _heading(lines: list[str]) -> tuple[str, str]:
    """The page's title and its description, which is the quote that follows the title."""
    for number, line in enumerate(lines):
        # "# Source:" lines are put before the title by tools that save such pages.
        if line.startswith("# ") and line[2:].strip() and not line.startswith("# Source:"):
            return line[2:].strip(), _quote(lines[number + 1 :])
    raise ConversionError("page", 'the title is missing; write it as "# Title" before the YAML block')


def _quote(lines: list[str]) -> str:
    """The text of the quote, up to the OpenAPI heading."""
    # Only the quote's first line is sure to have a `>`.
    ends = (number for number, line in enumerate(lines) if _OPENAPI_HEADING.fullmatch(line))
    head = lines[: next(ends, len(lines))]
    starts = (number for number, line in enumerate(head) if line.startswith(">"))
    body = head[next(starts, len(head)) :]
    return "\n".join(re.sub(r"^> ?", "", line) for line in body).strip()


def _tree(lines: list[str], start: int, end: int) -> Any:
    """The plain data in the YAML between two lines of the page. Raises ConversionError."""
    try:
        # Empty lines stand for those before the block, so that mistakes have the lines of the page.
        block = "\n".join(lines[start + 1 : end])
        tree = read_yaml_text("\n" * (start + 1) + block, any_keys=True).value
    except UnreadableYaml as error:
        found = error.mistakes[0]
        told = found.sentence.removesuffix(".")
        if found.pointer:
            raise ConversionError(found.pointer, f"{told} (line {found.line})") from None
        raise ConversionError(f"line {found.line}", told) from None
    if tree is None:
        raise ConversionError(f"line {start + 2}", "the YAML block is empty; fill it or drop the page")
    return tree
