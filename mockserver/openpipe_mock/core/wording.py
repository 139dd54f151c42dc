"""The wording of messages: lists, values and names as they are shown, and what a misspelt name may mean."""

import re
from collections import Counter
from collections.abc import Callable, Collection
from difflib import SequenceMatcher
from functools import lru_cache
from itertools import islice
from typing import Any

import jsonschema_rs
import orjson

_MOST_SHOWN = 60
MOST_NAMES = 12
MOST_COUNTED = 1000
_NEAR = 0.6
"""How alike two names are, from 0 to 1, of which one may be meant for the other."""
NUMBER = (int, float)


def listed(words: Any, conjunction: str) -> str:
    """`a, b or c`; a long list is cut with its number."""
    every = list(words)
    if len(every) > MOST_NAMES:
        every = [*every[: MOST_NAMES - 1], f"{len(every) - MOST_NAMES + 1} more"]
    return f" {conjunction} ".join(filter(None, (", ".join(every[:-1]), *every[-1:])))


def shown(value: Any) -> str:
    """The value that was sent, named by its JSON type and shortened."""
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    if isinstance(value, str):
        return f"the string {quoted(value)}"
    if isinstance(value, NUMBER):
        return f"the number {value!r}"
    if isinstance(value, list):
        return f"an array of {len(value)}"
    return f"an object with {quoted_names(value)}" if value else "an empty object"


def quoted_names(names: Collection[str]) -> str:
    """`"a", "b" and "c"`; of a thousand names only those that are shown are looked at."""
    left_out = len(names) - MOST_NAMES
    if left_out <= 0:
        return listed(map(quoted, names), "and")
    return f"{', '.join(map(quoted, islice(names, MOST_NAMES - 1)))} and {left_out + 1} more"


def quoted(text: Any) -> str:
    """A string in JSON's quotes, shortened."""
    return orjson.dumps(short(str(text)).encode("utf-8", "replace").decode()).decode()


def short(text: str, most: int = _MOST_SHOWN) -> str:
    return text if len(text) <= most else f"{text[:most]}…"


def did_you_mean(word: Any, known: list[Any]) -> str:
    """The question to add to a sentence about a misspelt name, "" where no known one is near."""
    near = nearest(word, known)
    return f" Did you mean {quoted(near)}?" if near else ""


def nearest(word: Any, known: list[Any]) -> str | None:
    """The known name that a misspelt one most likely means.

    As alike as `difflib` finds two names; the most promising are compared first, and most never.
    """
    if not isinstance(word, str) or len(word) > _MOST_SHOWN:
        return None
    near = (name for name in known[:MOST_COUNTED] if isinstance(name, str) and len(name) <= 3 * _MOST_SHOWN)
    return _nearest_of(word.lower(), tuple(near))


@lru_cache(maxsize=64)
def _nearest_of(word: str, known: tuple[str, ...]) -> str | None:
    """The same, kept for a while: who misspells a name does so again and again."""
    names = {name.lower(): name for name in known}
    if word in names:
        return names[word]
    matcher, best = SequenceMatcher(b=word), (_NEAR, "")
    for most, name in _promising(word, names):
        if most < best[0]:
            break
        matcher.set_seq1(name)
        best = max(best, (matcher.ratio(), name))
    return names[best[1]] if best[1] else None


def _promising(word: str, names: Collection[str]) -> list[tuple[float, str]]:
    """The names that may be alike enough, each with how alike it is at the most, the most promising first."""
    letters = Counter(word)
    found = []
    for name in names:
        size = len(word) + len(name)
        if 2.0 * min(len(word), len(name)) >= _NEAR * size:
            shared = sum(min(number, name.count(letter)) for letter, number in letters.items())
            found.append((2.0 * shared / size, name))
    return sorted((each for each in found if each[0] >= _NEAR), reverse=True)


def lacking(*words: str) -> Callable[[str], bool]:
    """Whether a text has none of these words in it. Rust's engine finds many at once, and that in no time."""
    pattern = {"type": "string", "not": {"pattern": "|".join(map(re.escape, words))}}
    return jsonschema_rs.validator_for(pattern, pattern_options=jsonschema_rs.RegexOptions()).is_valid
