"""Reading code blocks out of Markdown pages."""

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass

FENCE = re.compile(
    r"^(?P<indent> *)```(?P<language>\w*)[^\n]*\n(?P<code>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL
)


@dataclass(frozen=True, slots=True)
class Block:
    language: str
    code: str


def section(page: str, heading: str) -> str:
    """The text below a heading, up to the next one of its level."""
    level, _, _ = heading.partition(" ")
    _, found, after = f"\n{page}".partition(f"\n{heading}\n")
    if not found:
        raise LookupError(heading)
    return re.split(rf"^{level} ", after, maxsplit=1, flags=re.MULTILINE)[0]


def blocks(page: str) -> Iterator[Block]:
    """The page's fenced code blocks in their order, without the indent that they share."""
    for fence in FENCE.finditer(page):
        yield Block(fence["language"], textwrap.dedent(fence["code"]))
