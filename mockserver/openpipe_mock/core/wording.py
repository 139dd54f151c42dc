"""The wording of messages: how lists, values and names are shown, and which name a misspelt one may mean."""

import re
from collections.abc import Callable, Collection, Mapping
from difflib import get_close_matches
from functools import lru_cache
from itertools import islice
from typing import Any

import jsonschema_rs
import orjson

_MOST_SHOWN = 60
MOST_NAMES = 12
MOST_COUNTED = 1000
_NEAR = 0.6
"""How similar a name has to be, from 0 to 1, to be suggested in place of another."""
NUMBER = (int, float)
JSON_NOUNS: Mapping[str, str] = {"array": "an array", "object": "an object"}
YAML_NOUNS: Mapping[str, str] = {"array": "a list", "object": "a mapping"}
"""JSON type → what messages call its values in a config file; JSON_NOUNS for all other values."""


def listed(words: Any, conjunction: str) -> str:
    """`a, b or c`; of more than MOST_NAMES words the rest is counted: `a, b or 7 more`."""
    every = list(words)
    if len(every) > MOST_NAMES:
        every = [*every[: MOST_NAMES - 1], f"{len(every) - MOST_NAMES + 1} more"]
    return f" {conjunction} ".join(filter(None, (", ".join(every[:-1]), *every[-1:])))


def counted(number: int, noun: str) -> str:
    """`1 request`, `2 requests`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def shown(value: Any, nouns: Mapping[str, str] = JSON_NOUNS) -> str:
    """A value named by its JSON type and shortened: `the string "x"`, `an array of 3`."""
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    if isinstance(value, str):
        return f"the string {quoted(value)}"
    if isinstance(value, NUMBER):
        return f"the number {value!r}"
    if isinstance(value, list):
        return f"{nouns['array']} of {len(value)}"
    noun = nouns["object"]
    return f"{noun} with {quoted_names(value)}" if value else f"an empty {noun.split()[1]}"


def quoted_names(names: Collection[str]) -> str:
    """`"a", "b" and "c"`; of more than MOST_NAMES names the rest is counted."""
    # Looks at no more names than it shows: a body may have a million.
    left_out = len(names) - MOST_NAMES
    if left_out <= 0:
        return listed(map(quoted, names), "and")
    return f"{', '.join(map(quoted, islice(names, MOST_NAMES - 1)))} and {left_out + 1} more"


def quoted(text: Any) -> str:
    """A text in JSON's quotes, shortened."""
    return orjson.dumps(short(str(text)).encode("utf-8", "replace").decode()).decode()


def short(text: str, most: int = _MOST_SHOWN) -> str:
    """The first `most` characters of a text, with an ellipsis if there are more."""
    return text if len(text) <= most else f"{text[:most]}…"


def printable(text: str, keep: str = "") -> str:
    """A text that is safe on a terminal and in a page: U+FFFD stands for what isn't printable.

    These are control characters, line breaks, marks that turn the direction of writing, and lone surrogates;
    those in `keep` stay.
    """
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() or char in keep else "\N{REPLACEMENT CHARACTER}" for char in text
    )


def printable_lines(text: str) -> str:
    """`printable` for a text of several lines, which keeps its line breaks and tabs."""
    return printable(text, "\n\t")


def did_you_mean(word: Any, known: list[Any]) -> str:
    """The question to add to a sentence about a misspelt name, "" if no known name is near."""
    near = nearest(word, known)
    return f" Did you mean {quoted(near)}?" if near else ""


def nearest(word: Any, known: list[Any]) -> str | None:
    """The known name that a misspelt one most likely means, None if none is near (by `difflib`'s ratio).

    Words over 60 characters have no near name; only the first MOST_COUNTED known names are compared.
    """
    if not isinstance(word, str) or len(word) > _MOST_SHOWN:
        return None
    near = (name for name in known[:MOST_COUNTED] if isinstance(name, str) and len(name) <= 3 * _MOST_SHOWN)
    return _nearest_of(word.lower(), tuple(near))


@lru_cache(maxsize=64)
def _nearest_of(word: str, known: tuple[str, ...]) -> str | None:
    """`nearest` for checked arguments, cached since a client repeats its misspelt name in each request."""
    names = {name.lower(): name for name in known}
    near = get_close_matches(word, names, n=1, cutoff=_NEAR)
    return names[near[0]] if near else None


def lacking(*words: str) -> Callable[[str], bool]:
    """Compile a test that tells whether a text contains none of these words."""
    # A validator's pattern, as Rust's engine looks for all words in one pass: 2 µs less for each request.
    pattern = {"type": "string", "not": {"pattern": "|".join(map(re.escape, words))}}
    return jsonschema_rs.validator_for(pattern, pattern_options=jsonschema_rs.RegexOptions()).is_valid
