"""Canonical JSON: the same value always gives the same bytes, from which scores, ids and counts are made.

orjson writes structure, strings and whole numbers; a test pins how. Its spelling of floats changes between
releases: 3.11.6 wrote 1e16 where 3.11.7 writes 1e+16. So this module decides how floats are spelled.
"""

import re
from typing import Any

import orjson


def ordered(value: Any) -> bytes:
    """Write a value as JSON with the members of each object sorted by name."""
    text = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    return respelled(text) if _RESPELLS else text


def spelled(value: Any) -> bytes:
    """Write a value as JSON with the members of each object in their own order."""
    text = orjson.dumps(value)
    return respelled(text) if _RESPELLS else text


def number(value: float) -> str:
    """Spell a finite float with the shortest digits that read back as the same float.

    An exponent is written from 1e+16 up and from 1e-6 down, with its sign and without leading zeros.
    """
    mantissa, exponential, exponent = repr(value).partition("e")
    if not exponential:
        return mantissa
    if exponent == "-05":  # Python writes exponents from here on, the golden answers only from 1e-6
        sign = "-" if value < 0 else ""
        return f"{sign}0.0000{mantissa.removeprefix('-').replace('.', '')}"
    return f"{mantissa}e{int(exponent):+}"


_TOKEN = rb'"(?:[^"\\]++|\\.)*+"|-?[0-9]++(?:\.[0-9]++)?(?:[eE][-+]?[0-9]++)?'
"""Matches a string or a number in a JSON text."""


def respelled(text: bytes) -> bytes:
    """Return a JSON text with its floats spelled as `number` spells them."""
    return re.sub(_TOKEN, _respelled_token, text)


def _respelled_token(token: re.Match[bytes]) -> bytes:
    text = token[0]
    is_float = not text.startswith(b'"') and set(text) & set(b".eE")
    return number(float(text)).encode() if is_float else text


_SAMPLES = [
    sign * float(f"{digits}e{exponent}")
    for sign in (1, -1)
    for digits in ("1", "1.5", "1.2345678901234567")
    for exponent in (*range(-12, 26), -323, -308, -100, 100, 308)
]
"""Floats of every size at which a library might change its spelling."""


def respells() -> bool:
    """Whether the installed orjson spells floats differently from `number`."""
    return orjson.dumps(_SAMPLES) != f"[{','.join(map(number, _SAMPLES))}]".encode()


# Decided once, at import: looking at each text would cost a judgement 5 % of its time.
_RESPELLS = respells()
