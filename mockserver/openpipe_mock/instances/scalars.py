"""Readable strings and numbers for the rules of a schema, as numbered options of which the first is plainest.

Rules are merged keywords: `pattern` and `format` are tuples, `multipleOf` is a Fraction, the others are as in
JSON Schema. An option mostly keeps the rules, but the caller has to check it with a validator.
"""

import base64
import math
import re
from collections.abc import Callable, Mapping
from datetime import date, timedelta
from fractions import Fraction
from typing import Any

from openpipe_mock.core.patterns import MOST_CHARACTERS, text_for_pattern, ways

_Rules = Mapping[str, Any]

_WORDS = (
    *("example", "sample", "amber", "brisk", "calm", "dapper", "early", "fancy", "gentle", "happy", "ideal"),
    *("jolly", "keen", "lively", "merry", "noble", "open", "proud", "quiet", "rapid", "sunny", "tidy"),
    *("upbeat", "vivid"),
)
_NAMES = ("alex", "blake", "casey", "drew", "eden", "finley", "gray", "harper", "indigo", "jordan", "kai")
_USUAL = Fraction(3, 2)
"""The number to use if the rules allow it."""
_MOST_OPTIONS = 1000
FEW_OPTIONS = 200


_Options = tuple[int, Callable[[int], Any]]
"""A number of values to pick from, and the function that makes the one with a number from 0."""


def _word(number: int) -> str:
    return _WORDS[number % len(_WORDS)]


def _numbered(words: tuple[str, ...], number: int) -> str:
    """The word with this number; after the last word they come again as `word2`, then `word3`."""
    turn, at = divmod(number, len(words))
    return f"{words[at]}{turn + 1}" if turn else words[at]


def _day(number: int) -> str:
    return (date(2024, 1, 15) + timedelta(days=number)).isoformat()


def _path(number: int) -> str:
    return f"/{_numbered(_WORDS, number)}"


FORMATS: dict[str, Callable[[int], str]] = {
    "date": _day,
    "time": lambda number: f"{(9 + number // 60) % 24:02}:{(30 + number) % 60:02}:00Z",
    "date-time": lambda number: f"{_day(number)}T09:30:00Z",
    "duration": lambda number: f"P{number + 1}D",
    "email": lambda number: f"{_numbered(_NAMES, number)}@example.com",
    "hostname": lambda number: f"{_numbered(_WORDS, number)}.example.com",
    "ipv4": lambda number: f"192.0.2.{number + 1}",
    "ipv6": lambda number: f"2001:db8::{number + 1:x}",
    "ipv4network": lambda number: f"192.0.{number}.0/24",
    "ipv6network": lambda number: f"2001:db8:{number + 1:x}::/48",
    "uri": lambda number: f"https://example.com{_path(number)}",
    "uri-template": lambda number: f"https://example.com{_path(number)}/{{id}}",
    "uuid": lambda number: f"00000000-0000-4000-8000-{number + 1:012x}",
    "relative-json-pointer": lambda number: f"{number}/example",
    "regex": lambda number: f"^{_numbered(_WORDS, number)}$",
    "base64": lambda number: base64.b64encode(_word(number).encode()).decode(),
    "color": lambda number: f"#{(0x336699 + number * 0x010203) % 0x1000000:06x}",
    "json-string": lambda number: str(number + 1),
    "file-path": lambda number: f"{_path(number)}.txt",
    **dict.fromkeys(("uri-reference", "iri-reference", "json-pointer", "path", "directory-path"), _path),
}
_ALIASES = {
    "idn-email": "email",
    "idn-hostname": "hostname",
    "ipvanyaddress": "ipv4",
    "iri": "uri",
    "byte": "base64",
}
FORMATS |= {alias: FORMATS[name] for alias, name in _ALIASES.items()}
FORMATS |= {f"uuid{version}": FORMATS["uuid"] for version in (1, 3, 4, 5, 6, 7, 8)}


def _strings(rules: _Rules, noun: str) -> _Options:
    """Texts by format, pattern or media type, else an adjective and the noun: `example city`."""
    least, most = rules.get("minLength", 0), min(rules.get("maxLength", MOST_CHARACTERS), MOST_CHARACTERS)
    sources = [FORMATS[name] for name in rules.get("format", ()) if name in FORMATS]
    texts = [_patterned(pattern, least, most) for pattern in rules.get("pattern", ())]
    sources += texts
    if len(texts) > 1:  # one says how the text starts, the other how it ends
        sources.append(lambda number: "".join(text(number) for text in texts))
    if not sources and rules.get("contentMediaType") == "application/json":
        sources = [FORMATS["json-string"]]
    if not sources and rules.get("contentEncoding") == "base64":
        sources = [FORMATS["base64"]]
    if least > MOST_CHARACTERS:
        return (1, lambda number: "")  # the validator then says that it is too short
    if not sources:
        return (_MOST_OPTIONS, lambda number: _fitted(_phrase(number, noun), number, least, most))
    patterns = rules.get("pattern", ())
    count = ways(patterns[0]) if patterns and len(sources) == 1 else FEW_OPTIONS
    return (min(count, FEW_OPTIONS), lambda number: sources[number % len(sources)](number // len(sources)))


def _patterned(pattern: str, least: int, most: int) -> Callable[[int], str]:
    return lambda number: text_for_pattern(pattern, number, least, most)


def _phrase(number: int, noun: str) -> str:
    turn, at = divmod(number, len(_WORDS))
    return f"{_WORDS[at]} {noun} {turn + 1}" if turn else f"{_WORDS[at]} {noun}"


def _fitted(plain: str, number: int, least: int, most: int) -> str:
    """The phrase, cut or repeated until its length fits; a word or letters if there is little room."""
    if len(plain) > most:
        plain = (
            _word(number)
            if len(_word(number)) <= most and number < len(_WORDS)
            else _letters(number, least, most)
        )
    if len(plain) < least:
        plain = (f"{plain} " * (least // (len(plain) + 1) + 1))[:least]
    return f"{plain[:-1]}." if plain.endswith(" ") else plain


def _letters(number: int, least: int, most: int) -> str:
    """`abc`, `bcd`, …, and after 26 of them `ace`, `bdf`, …"""
    stride, first = divmod(number, 26)
    length = min(most, max(least, 3))
    return "".join(chr(ord("a") + (first + at * (stride + 1)) % 26) for at in range(length))


def noun_of(name: str) -> str:
    """A property's name as words: `firstName` and `first_name` are both `first name`."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name[:60])
    return " ".join(re.findall(r"\w+", spaced.replace("_", " "))).lower()


def item_noun(noun: str) -> str:
    """The noun for one item of a list: `tag` for `tags`."""
    return noun[:-1] if noun.endswith("s") and not noun.endswith("ss") and len(noun) > 3 else noun


def exact(number: Any) -> Fraction:
    """The exact value of a number as it is written in JSON: 0.1 is one tenth."""
    return Fraction(repr(number))


def as_json_number(number: Fraction) -> int | float:
    """An int for a whole number that fits into 64 bits, a float for any other."""
    return int(number) if number.denominator == 1 and abs(number) < 2**63 else float(number)


def common_multiple(one: Fraction, other: Fraction) -> Fraction:
    """The least common multiple of two positive fractions."""
    return Fraction(math.lcm(one.numerator, other.numerator), math.gcd(one.denominator, other.denominator))


def _limits(rules: _Rules) -> tuple[Fraction | None, Fraction | None]:
    """The lower and the upper bound, whether exclusive or not; None for no bound."""
    lows = [exact(rules[name]) for name in ("minimum", "exclusiveMinimum") if name in rules]
    highs = [exact(rules[name]) for name in ("maximum", "exclusiveMaximum") if name in rules]
    return max(lows, default=None), min(highs, default=None)


def _integers(rules: _Rules, noun: str) -> _Options:
    """Whole numbers, 1 first."""
    return _multiples(rules, common_multiple(Fraction(1), rules.get("multipleOf", Fraction(1))), Fraction(1))


def _numbers(rules: _Rules, noun: str) -> _Options:
    """Numbers with a fraction, 1.5 first; multiples where they are asked for."""
    return _multiples(rules, rules["multipleOf"], _USUAL) if "multipleOf" in rules else _fractions(rules)


def _multiples(rules: _Rules, step: Fraction, near: Fraction) -> _Options:
    """Multiples of `step` within the bounds, upwards from the first one that isn't below `near`."""
    low, high = _limits(rules)
    first = None if low is None else math.ceil(low / step) + _is_shut(rules, "exclusiveMinimum", low, step)
    last = None if high is None else math.floor(high / step) - _is_shut(rules, "exclusiveMaximum", high, step)
    start = math.ceil(near / step)
    start = start if first is None else max(start, first)
    start = start if last is None else min(start, last)
    if first is None or last is None:
        turn = 1 if last is None else -1
        return (_MOST_OPTIONS, lambda number: as_json_number((start + turn * number) * step))
    count = max(1, last - first + 1)
    return (
        min(count, _MOST_OPTIONS),
        lambda number: as_json_number((first + (start - first + number) % count) * step),
    )


def _is_shut(rules: _Rules, keyword: str, bound: Fraction, step: Fraction) -> bool:
    """Whether an exclusive bound keeps out a multiple of `step`."""
    return keyword in rules and exact(rules[keyword]) == bound and (bound / step).denominator == 1


def _fractions(rules: _Rules) -> _Options:
    """Halves, or tenths of a narrow range. The bounds don't come first, since they may be exclusive."""
    low, high = _limits(rules)
    half, start = Fraction(1, 2), _USUAL
    if low is not None and high is not None:
        step = half if high - low >= 10 else (high - low) / 10 or Fraction(1)
        start = start if low < start < high else (low + high) / 2
        grid = [low + step * at for at in range(min(_MOST_OPTIONS, int((high - low) / step) + 1))]
        values = [start, *(value for value in grid if value != start)]
        return (len(values), lambda number: float(values[number]))
    if low is not None and low >= start:
        start = low + half
    if high is not None and high <= start:
        start = high - half
    turn = half if high is None else -half
    return (_MOST_OPTIONS, lambda number: float(start + turn * number))


SCALARS: dict[str, Callable[[_Rules, str], _Options]] = {
    "string": _strings,
    "integer": _integers,
    "number": _numbers,
    "boolean": lambda rules, noun: (2, lambda number: number == 0),
    "null": lambda rules, noun: (1, lambda number: None),
}
