"""Read a page of the documentation site: title, description, and the tree in its fenced YAML block.

The form is known from the page in `schemas/sources`, and from other sites' pages by the same generator.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import yaml

from openpipe_mock.core.yamltext import before, events, syntax, unprintable
from openpipe_mock.openapi.conversion.refusals import ConversionError, child

_MAX_DEPTH = 100
_OPENING = re.compile(r"(?P<ticks>`{3,})ya?ml(?P<info>[ \t].*)?[ \t]*")
_OPERATION = re.compile(r"(?:.*\s)?(?P<method>[A-Za-z]+)\s+(?P<path>/\S*)")
_OPENAPI_HEADING = re.compile(r"#{1,6} OpenAPI\s*")
# The words and numbers of YAML 1.2's JSON schema: the generator of these pages writes YAML 1.2, where a bare
# `on`, `yes`, `017`, `16:9` or `2024-01-01` is text, although YAML 1.1 reads something else.
_WORDS = {"": None, "~": None, "null": None, "true": True, "false": False}
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")


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
    tree = read_example("\n".join(lines[start + 1 : end]), first_line=start + 2)
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


def read_example(text: str, *, first_line: int = 1) -> Any:
    """Read YAML as plain JSON data, without building anything else.

    Args:
        text: one YAML document. Keys are taken as text, bare scalars as YAML 1.2's JSON schema reads them.
        first_line: where the document starts on its page, for the line numbers in messages.

    Raises:
        ConversionError: broken YAML, anchors, aliases, tags, double keys, numbers beyond JSON, deep nesting.
    """
    if found := unprintable(text):
        raise ConversionError(f"line {found.line - 1 + first_line}", found.sentence)
    try:
        return _TreeReader(events(text), first_line).document()
    except yaml.YAMLError as error:
        with suppress(yaml.YAMLError):  # refuse what comes before the error first, as `read_yaml` does
            _TreeReader(events(before(text, error)), first_line).document()
        found = syntax(text, error, first_line)
        raise ConversionError(f"line {found.line}", found.sentence) from None


@dataclass(frozen=True, slots=True)
class _TreeReader:
    """Builds a tree from YAML events, so that no text can build other objects than plain data."""

    events: Iterator[Any]
    first_line: int

    def document(self) -> Any:
        next(self.events)
        if not isinstance(next(self.events), yaml.DocumentStartEvent):
            raise ConversionError(
                f"line {self.first_line}", "the YAML block is empty; fill it or drop the page"
            )
        tree = self.node(next(self.events), "", 0)
        next(self.events)
        if isinstance(after := next(self.events), yaml.DocumentStartEvent):
            raise self.refusal(after, "", "a second YAML document begins; remove it")
        return tree

    def node(self, event: Any, place: str, depth: int) -> Any:
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            raise self.refusal(event, place, "anchors and aliases are not read; write the value out")
        if event.tag is not None:
            raise self.refusal(event, place, f"the tag {event.tag} is not read; write plain data")
        if depth > _MAX_DEPTH:
            raise self.refusal(event, place, f"nested deeper than {_MAX_DEPTH} levels; make it flatter")
        if isinstance(event, yaml.ScalarEvent):
            return self.scalar(event, place)
        if isinstance(event, yaml.SequenceStartEvent):
            return self.sequence(place, depth)
        return self.mapping(place, depth)

    def scalar(self, event: Any, place: str) -> Any:
        value: str = event.value
        if not event.implicit[0]:
            return value
        if value in _WORDS:
            return _WORDS[value]
        if not _NUMBER.fullmatch(value):
            return value
        # Before int(), which refuses thousands of digits with an error of its own.
        if not math.isfinite(float(value)):
            raise self.refusal(event, place, "this number is beyond JSON; write a smaller one")
        return float(value) if set(value) & set(".eE") else int(value)

    def sequence(self, place: str, depth: int) -> list[Any]:
        found: list[Any] = []
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            found.append(self.node(event, child(place, len(found)), depth + 1))
        return found

    def mapping(self, place: str, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent):
                raise self.refusal(event, place, "a key that is not plain text is not read; write a word")
            self.node(event, place, depth)
            key: str = event.value
            if key in found:
                raise self.refusal(event, child(place, key), "this key stands here twice; remove one")
            found[key] = self.node(next(self.events), child(place, key), depth + 1)
        return found

    def refusal(self, event: Any, place: str, problem: str) -> ConversionError:
        return ConversionError(place, f"{problem} (line {event.start_mark.line + self.first_line})")
