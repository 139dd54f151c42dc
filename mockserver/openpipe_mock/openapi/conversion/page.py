"""Read a page of the documentation site: title, description, and the tree in its fenced YAML block.

The form is known from the page in `schemas/sources`, and from other sites' pages by the same generator.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from openpipe_mock.core.yamltext import UnreadableYaml, read_yaml_text
from openpipe_mock.openapi.conversion.refusals import ConversionError

_BLOCK = re.compile(
    r"^(?P<ticks>`{3,})ya?ml(?P<info>[ \t][^\n]*)?[ \t]*(?:\n|\Z)(?P<yaml>.*?)(?P<end>^(?P=ticks)`*\s*?$|\Z)",
    re.MULTILINE | re.DOTALL,
)
"""A fenced block of YAML; its `end` is empty where nothing closes it."""
_OPERATION = re.compile(r"(?:.*\s)?(?P<method>[A-Za-z]+)\s+(?P<path>/\S*)")
_TITLE = re.compile(r"^# (?!Source:)(.*\S.*)$", re.MULTILINE)
"""A title. Tools that save such pages put "# Source:" lines before it."""
_OPENAPI_HEADING = re.compile(r"^#{1,6} OpenAPI\s*?$", re.MULTILINE)
_QUOTE = re.compile(r"^>.*", re.MULTILINE | re.DOTALL)  # only its first line is sure to have a `>`


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
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    blocks = list(_BLOCK.finditer(text))
    for block in blocks:
        line = text.count("\n", 0, block.start()) + 1
        if not block["end"]:
            raise ConversionError(
                f"line {line}", f"the YAML block never ends; close it with {block['ticks']}"
            )
    if len(blocks) != 1:
        raise ConversionError(
            "page", f"expected one fenced YAML block, found {len(blocks)}; convert page by page"
        )
    operation = _OPERATION.fullmatch((block["info"] or "").strip())
    if operation is None:
        raise ConversionError(
            f"line {line}", 'the YAML block names no operation; open it with "yaml METHOD /path"'
        )
    title, description = _heading(text[: block.start()])
    tree = _tree(block["yaml"].removesuffix("\n"), line)
    return Page(title, description, operation["method"].lower(), operation["path"], tree)


def _heading(text: str) -> tuple[str, str]:
    """The page's title and its description, which is the quote between the title and the OpenAPI heading."""
    title = _TITLE.search(text)
    if title is None:
        raise ConversionError("page", 'the title is missing; write it as "# Title" before the YAML block')
    quote = _QUOTE.search(_OPENAPI_HEADING.split(text[title.end() :])[0])
    return title[1].strip(), re.sub(r"(?m)^> ?", "", quote[0]).strip() if quote else ""


def _tree(text: str, lines: int) -> Any:
    """The plain data in the block's YAML, which begins behind so many lines. Raises ConversionError."""
    try:
        # Empty lines stand for those before it, so that mistakes have the lines of the page.
        tree = read_yaml_text("\n" * lines + text, any_keys=True).value
    except UnreadableYaml as error:
        found = error.mistakes[0]
        told = found.sentence.removesuffix(".")
        if found.pointer:
            raise ConversionError(found.pointer, f"{told} (line {found.line})") from None
        raise ConversionError(f"line {found.line}", told) from None
    if tree is None:
        raise ConversionError(f"line {lines + 1}", "the YAML block is empty; fill it or drop the page")
    return tree
