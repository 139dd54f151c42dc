"""The mock's own tokens: small pieces of text that join to exactly the text.

They are nobody's real tokens. They count, cut and stream text the same way on every machine: the pattern
names ASCII alone, because what counts as a letter beyond it changes with the Python's Unicode version.
"""

import re
from itertools import islice

PIECES = re.compile(r" ?[A-Za-z0-9_']{1,12}| ?[!-/:-@\[-`{-~]{1,3}|[^\x00-\x7f]{1,4}|[\x00-\x7f]")
LONGEST = 13
"""Characters of the longest token: a space and twelve letters."""
BYTES_PER_TOKEN = 4
"""A rough measure for prompts, whose tokens are counted and never shown."""


def split(text: str, most: int | None = None) -> list[str]:
    """The tokens of a text, or the first of them; all joined they give the text."""
    if most is None or len(text) <= most:  # even if each character were a token
        return PIECES.findall(text)
    return [piece.group() for piece in islice(PIECES.finditer(text), most)]


def estimate(data: bytes) -> int:
    """About how many tokens a prompt of these bytes has, at a fixed cost."""
    return -(-len(data) // BYTES_PER_TOKEN)


def until_stop(text: str, stops: tuple[str, ...]) -> str:
    """The text before the first of the stop texts."""
    ends = [text.find(stop) for stop in stops if stop]
    return text[: min((end for end in ends if end >= 0), default=len(text))]
