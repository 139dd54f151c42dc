"""JSON texts from which scores, identities and counts are made: the same bytes for the same value, always.

orjson writes structure, strings and whole numbers, as a test pins it. How it spells floats changes: 3.11.6
wrote 1e16 where 3.11.7 writes 1e+16. So that is decided here.
"""

import re
from typing import Any

import orjson


def ordered(value: Any) -> bytes:
    """A value as JSON whose members stand in the order of their names."""
    text = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    return respelled(text) if _RESPELLS else text


def spelled(value: Any) -> bytes:
    """A value as JSON whose members stand in their own order."""
    text = orjson.dumps(value)
    return respelled(text) if _RESPELLS else text


def number(value: float) -> str:
    """A finite float: the shortest digits that read back as the same, as Python finds them.

    An exponent is written from 16 and to -6 on, with its sign and without leading zeros.
    """
    mantissa, exponential, exponent = repr(value).partition("e")
    if not exponential:
        return mantissa
    if exponent == "-05":  # where Python begins to write exponents, and the golden answers don't
        sign = "-" if value < 0 else ""
        return f"{sign}0.0000{mantissa.removeprefix('-').replace('.', '')}"
    return f"{mantissa}e{int(exponent):+}"


_TOKEN = rb'"(?:[^"\\]++|\\.)*+"|-?[0-9]++(?:\.[0-9]++)?(?:[eE][-+]?[0-9]++)?'
"""A string or a number of a JSON text."""


def respelled(text: bytes) -> bytes:
    """A JSON text with its floats in our spelling."""
    return re.sub(_TOKEN, _ours, text)


def _ours(token: re.Match[bytes]) -> bytes:
    text = token[0]
    is_float = not text.startswith(b'"') and set(text) & set(b".eE")
    return number(float(text)).encode() if is_float else text


_SAMPLES = [
    sign * float(f"{digits}e{exponent}")
    for sign in (1, -1)
    for digits in ("1", "1.5", "1.2345678901234567")
    for exponent in (*range(-12, 26), -323, -308, -100, 100, 308)
]
"""Floats of every size at which a library might begin to spell otherwise."""


def respells() -> bool:
    """Whether the installed orjson spells floats otherwise than we do."""
    return orjson.dumps(_SAMPLES) != f"[{','.join(map(number, _SAMPLES))}]".encode()


# Asked once: a look at each text would cost a judgement 5 % of its time.
_RESPELLS = respells()
