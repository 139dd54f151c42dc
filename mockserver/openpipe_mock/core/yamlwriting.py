"""Write plain data as YAML that people can go on editing, and that `core/yamltext` reads as the same data."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from openpipe_mock.core.yamltext import is_text

Json = Any

_WIDTH = 110
_LONGEST_KEY = 500
"""Characters of a key that may stand before its colon; YAML allows some 1000, and no longer ones."""
_BARE = re.compile(r"[A-Za-z_][\w./@+()-]*(?: [\w./@+()!?'-]+)*", re.ASCII)
"""Matches texts that need no quotes, neither alone nor between brackets."""
_OLD_WORDS = ("y", "yes", "n", "no", "on", "off")
"""Texts that readers of YAML 1.1 take for true and false."""
_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t"}


def yaml_lines(members: Mapping[str, Json]) -> Iterator[str]:
    """The lines of a mapping. What is short stands in one line, as `{score: 1}`."""
    return _members(members, "")


def _members(members: Mapping[str, Json], pad: str) -> Iterator[str]:
    for name, value in members.items():
        key = _text(name)
        if len(key) > _LONGEST_KEY:
            yield f"{pad}? {key}"
            key = ""
        yield from _entry(f"{pad}{key}:", value, f"{pad}  ")


def _items(items: list[Json], pad: str) -> Iterator[str]:
    for item in items:
        if isinstance(item, dict) and not _short(item, _WIDTH - len(pad) - 2):
            first, *others = _members(item, f"{pad}  ")
            yield f"{pad}- {first.lstrip(' ')}"
            yield from others
        else:
            yield from _entry(f"{pad}-", item, f"{pad}  ")


def _entry(head: str, value: Json, pad: str) -> Iterator[str]:
    """The lines of a value behind its key or hyphen; those that don't fit there are indented by `pad`."""
    if not isinstance(value, dict | list):
        yield f"{head} {_scalar(value)}"
    elif short := _short(value, _WIDTH - len(head) - 1):
        yield f"{head} {short}"
    else:
        yield head
        yield from _members(value, pad) if isinstance(value, dict) else _items(value, pad)


def _short(value: Json, room: int) -> str:
    """The value in one line of at most `room` characters, "" where it is longer."""
    if not isinstance(value, dict | list):
        too_long = isinstance(value, str) and len(value) > room
        text = "" if too_long else _scalar(value)
        return text if len(text) <= room else ""
    parts: list[str] = []
    for name, item in value.items() if isinstance(value, dict) else ((None, each) for each in value):
        head = "" if name is None else f"{_text(name)}: "
        inner = _short(item, room - len(head) - 2)
        if not inner:
            return ""
        parts.append(head + inner)
        room -= len(parts[-1]) + 2
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    return f"{opening}{', '.join(parts)}{closing}"


def _scalar(value: Json) -> str:
    return _text(value) if isinstance(value, str) else orjson.dumps(value).decode()


def _text(text: str) -> str:
    """A text, in quotes where it needs some."""
    if _BARE.fullmatch(text) and is_text(text) and text.lower() not in _OLD_WORDS:
        return text
    if text.isprintable() and "'" not in text:
        return f"'{text}'"
    return f'"{"".join(map(_escaped, text))}"'


def _escaped(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    if character.isprintable():
        return character
    code = ord(character)
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
