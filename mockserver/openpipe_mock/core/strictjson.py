"""Read JSON strictly: whatever the standard forbids is refused, with a message that says where and why."""

import re
from itertools import chain
from typing import Any

import orjson

from openpipe_mock.core.errors import ParseError

MOST_LEVELS = 200
"""The deepest nesting that is read. The provider names no limit; ours keeps later walks of the value safe."""

_BRACKETS = frozenset((list, dict))


def parse(body: bytes) -> Any:
    """Return the value of a JSON text in UTF-8.

    Of a duplicate key the last value counts, as in the provider's own runtime. Raises ParseError for a text
    that is no JSON, a number beyond a double, a lone surrogate, and nesting over MOST_LEVELS.
    """
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise ParseError(_diagnosis(body, error)) from None
    if body.count(b"[") + body.count(b"{") > MOST_LEVELS and _levels(value) > MOST_LEVELS:
        raise ParseError(_TOO_DEEP)
    return value


_TOO_DEEP = f"arrays and objects are nested more than {MOST_LEVELS} levels deep; send a flatter body."


def _levels(value: Any) -> int:
    """How deep arrays and objects are nested; counting ends at MOST_LEVELS + 1."""
    depth = 0
    layer = [value] if type(value) in _BRACKETS else []
    while layer and depth <= MOST_LEVELS:
        depth += 1
        # The parser makes no subclasses. By their types this takes two thirds of the time.
        members = (node.values() if type(node) is dict else node for node in layer if node)
        layer = [child for each in members for child in each if type(child) in _BRACKETS]
    return depth


# (the text where the parser gave up, what to say about it). The parser's own words differ from version to
# version; ours must not, since an answer's bytes are the same on every machine.
_NEAR = (
    (r",\s*[]}]", "a comma before a closing bracket; JSON allows no trailing comma, remove it"),
    (r"[+-]?(?:NaN|Infinity)\b", "NaN and Infinity are no JSON; send a number or null"),
    (r"//|/\*|#", "a comment; JSON has none, remove it"),
    (r"'", "a single quote; JSON strings and keys stand in double quotes"),
    (r"(?:True|False|None)\b", "Python's True, False and None are true, false and null in JSON"),
    (r"\\u[dD][89a-fA-F]", "half of a surrogate pair in a string; send the whole character"),
    (r"[\x00-\x1f]", "a control character; inside a string it is written escaped, as in \\n"),
    (r"[A-Za-z_]\w*\s*:", "a key without quotes; JSON keys stand in double quotes"),
)
_HINTS = tuple((re.compile(pattern), hint) for pattern, hint in _NEAR)

# (part of the parser's message, what to say), for places where the text alone doesn't tell. The parser's
# message only chooses and is never shown, since it changes.
_COMPLAINTS = (
    ("after document", "something follows the end of the JSON; send one document and nothing behind it"),
    ("infinity", "a number beyond the range of a double; send it as a string"),
    ("expected ',' or", "a comma or a closing bracket is missing before this"),
    ("expected ':'", "a colon is missing between the key and this"),
    ("leading zero", "a number with a leading zero; remove the zero"),
    ("digit", "a number with a digit missing; JSON wants one before and after the point"),
    ("string key", "a key is missing here; JSON keys stand in double quotes"),
    ("escape", "an escape that JSON doesn't have; it has \\\" \\\\ \\/ \\b \\f \\n \\r \\t and \\uXXXX"),
)
_SPACE = " \t\r\n"
"""White space of JSON; `str.strip` without an argument would take away more."""


def _diagnosis(body: bytes, error: orjson.JSONDecodeError) -> str:
    """Say what is wrong with a text that is no JSON, where, and what to do."""
    if not body.strip(_SPACE.encode()):
        return "the body is empty; send a JSON object."
    if body.startswith(b"\xef\xbb\xbf"):
        return "it begins with a byte order mark; send UTF-8 without one."
    try:
        text = body.decode()
    except UnicodeDecodeError as bad:
        place = f"byte {body[bad.start]:#04x} at offset {bad.start}"
        return f"it is not UTF-8: {place}; encode the body as UTF-8."
    if "depth" in error.msg:
        return _TOO_DEEP
    end = len(text.rstrip(_SPACE))
    if error.pos >= end:
        size = f"{end} character{'' if end == 1 else 's'}"
        return f"it ends too early, after {size}; a bracket or a quote is still open."
    at = error.pos - (text[error.pos - 1 : error.pos] in _SIGNS)
    line = text.count("\n", 0, at) + 1
    column = at - text.rfind("\n", 0, at)
    return f"line {line}, column {column}: {_hint(text, at, error.msg)}. Seen: {_seen(text, at)}"


_SIGNS = ("-", "+")
"""Of a broken number the parser reports the place after its sign."""


def _hint(text: str, at: int, complaint: str) -> str:
    """Say what is wrong at a place: by the text there, else by the parser's message."""
    by_text = (told for pattern, told in _HINTS if pattern.match(text, at))
    by_complaint = (told for words, told in _COMPLAINTS if words in complaint)
    return next(chain(by_text, by_complaint), "this is no JSON")


def _seen(text: str, at: int) -> str:
    """The few characters at a place, quoted."""
    return orjson.dumps(text[at : at + 20]).decode()
