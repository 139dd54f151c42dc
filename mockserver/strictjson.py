"""JSON, read strictly: what the standard forbids is refused in words that say where and why."""

import re
from collections.abc import Iterator
from typing import Any

import orjson

from mockserver.errors import ParseError

MOST_LEVELS = 200
"""Nesting that is read. The provider names no limit; ours keeps every later walk of the value safe."""

BRACKETS = (list, dict)


def parse(body: bytes) -> Any:
    """The value of a JSON text in UTF-8.

    A duplicate key is accepted and its last value counts, as in the provider's own runtime. Raises ParseError
    for anything that is no JSON, a number beyond a double, a lone surrogate, and nesting over MOST_LEVELS.
    """
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise ParseError(diagnosis(body, error)) from None
    if body.count(b"[") + body.count(b"{") > MOST_LEVELS and levels(value) > MOST_LEVELS:
        raise ParseError(TOO_DEEP)
    return value


TOO_DEEP = f"arrays and objects are nested more than {MOST_LEVELS} levels deep; send a flatter body."


def levels(value: Any) -> int:
    """How many arrays and objects lie inside each other at the deepest place."""
    depth = 0
    layer = [value] if isinstance(value, BRACKETS) else []
    while layer and depth <= MOST_LEVELS:
        depth += 1
        layer = [child for node in layer for child in children(node) if isinstance(child, BRACKETS)]
    return depth


def children(node: Any) -> Iterator[Any]:
    """The values inside an array or object."""
    return iter(node.values() if isinstance(node, dict) else node)


# What stands at the place where the parser gave up, and what to say of it. The parser's own words differ from
# version to version; ours must not, since an answer's bytes are the same on every machine.
NEAR = (
    (r",\s*[]}]", "a comma before a closing bracket; JSON allows no trailing comma, remove it"),
    (r"[+-]?(?:NaN|Infinity)\b", "NaN and Infinity are no JSON; send a number or null"),
    (r"//|/\*|#", "a comment; JSON has none, remove it"),
    (r"'", "a single quote; JSON strings and keys stand in double quotes"),
    (r"(?:True|False|None)\b", "Python's True, False and None are true, false and null in JSON"),
    (r"[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?", "a number beyond the range of a double; send it as a string"),
    (r"\\u[dD][89a-fA-F]", "half of a surrogate pair in a string; send the whole character"),
    (r"[\x00-\x1f]", "a control character; inside a string it is written escaped, as in \\n"),
    (r"\w+\s*:", "a key without quotes; JSON keys stand in double quotes"),
)
HINTS = tuple((re.compile(pattern), hint) for pattern, hint in NEAR)


def diagnosis(body: bytes, error: orjson.JSONDecodeError) -> str:
    """What is wrong with a text that is no JSON, where, and what to do."""
    if not body.strip():
        return "the body is empty; send a JSON object."
    if body.startswith(b"\xef\xbb\xbf"):
        return "it begins with a byte order mark; send UTF-8 without one."
    try:
        text = body.decode()
    except UnicodeDecodeError as bad:
        return (
            f"it is not UTF-8: byte {body[bad.start]:#04x} at offset {bad.start}; encode the body as UTF-8."
        )
    if "depth" in error.msg:
        return TOO_DEEP
    end = len(text.rstrip())
    if error.pos >= end:
        return f"it ends too early, after {end} characters; a bracket or a quote is still open."
    hint = next((hint for pattern, hint in HINTS if pattern.match(text, error.pos)), "this is no JSON")
    line = text.count("\n", 0, error.pos) + 1
    column = error.pos - text.rfind("\n", 0, error.pos)
    return f"line {line}, column {column}: {hint}. Seen: {seen(text, error.pos)}"


def seen(text: str, at: int) -> str:
    """The few characters at a place, quoted."""
    return orjson.dumps(text[at : at + 20]).decode()
