"""Read YAML that people write by hand as plain data, with the place of every value.

Values are built from the parser's events, so no text can build objects. Bare words mean what YAML 1.2 says:
`on`, `yes` and dates are text, and so is `017`, which some readers take for 15 and others for 17. Aliases are
counted at their full length, since a small file can become huge through them.
"""

import math
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NoReturn

import yaml

from openpipe_mock.core.pointers import pointer_to, steps_of
from openpipe_mock.core.wording import quoted, short

_Path = tuple[str, ...]

MOST_FILE_BYTES = 2**20
_MOST_NESTED = 60
_MOST_VALUES = 100_000
"""Keys and values that a file may have, with aliases written out; a text counts again per 64 characters."""

_EventLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_LINE_BREAK = re.compile(r"\r\n?|\n")
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
"""A character that YAML forbids everywhere in a stream."""

_WORDS: Mapping[str, Any] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_DECIMAL = re.compile(r"[-+]?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?")
_OTHER_BASE = re.compile(r"0x[0-9a-fA-F]+|0o[0-7]+")
_BEYOND_JSON = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_STRING_TAG = "tag:yaml.org,2002:str"


@dataclass(frozen=True, slots=True)
class Mistake:
    """A mistake in a file: line and column, both from 1, the JSON pointer of that place, and the sentence."""

    line: int
    column: int
    pointer: str
    sentence: str

    def __str__(self) -> str:
        where = f"{self.line}:{self.column}:"
        told = f"{short(self.pointer, 200)}: {self.sentence}" if self.pointer else self.sentence
        return f"{where} {''.join(map(_legible, told))}"


def _legible(character: str) -> str:
    """The character, escaped if it isn't printable: it could end the line or reverse the writing."""
    return character if character.isprintable() else f"\\u{ord(character):04x}"


class UnreadableYaml(ValueError):
    """A text can't be read; `mistakes` holds all that is wrong with it.

    `document` is what the text probably means, if it could be read to its end in spite of the mistakes.
    """

    def __init__(self, mistakes: list[Mistake], document: "YamlDocument | None" = None) -> None:
        super().__init__(*mistakes)
        self.mistakes = tuple(mistakes)
        self.document = document

    def __str__(self) -> str:
        return "\n".join(map(str, self.mistakes))


_Spot = tuple[int, int]
"""Line and column, from 1."""


@dataclass(frozen=True, slots=True)
class _Node:
    """A value, its weight in keys and values, its levels of nesting, and its members or items with places."""

    value: Any
    weight: int = 1
    levels: int = 0
    inner: Mapping[str, tuple[_Spot, "_Node"]] = field(default_factory=dict)


_UNREAD = _Node(None)
"""Stands for a value that can't be read."""


def _collection(value: Any, inner: Mapping[str, tuple[_Spot, _Node]], weight: int) -> _Node:
    """The node of a list or mapping; `weight` is its own, without that of its nodes."""
    nodes = [node for _, node in inner.values()]
    levels = 1 + max((node.levels for node in nodes), default=0)
    return _Node(value, weight + sum(node.weight for node in nodes), levels, inner)


@dataclass(frozen=True, slots=True)
class YamlDocument:
    """The value of a text (None if it is empty) and the place of each part."""

    value: Any
    root: _Node
    start: _Spot = (1, 1)

    def unread(self) -> Iterator[str]:
        """The JSON pointers of values that couldn't be read; each of them is among the mistakes."""
        waiting: list[tuple[_Path, _Node]] = [((), self.root)]
        while waiting:
            path, node = waiting.pop()
            if node is _UNREAD:
                yield pointer_to(*path)
            waiting += [((*path, step), inner) for step, (_, inner) in node.inner.items()]

    def place(self, pointer: str) -> _Spot:
        """Line and column of the key or item at a JSON pointer, else of the nearest value around it."""
        spot, node = self.start, self.root
        for name in steps_of(pointer):
            if name not in node.inner:
                break
            spot, node = node.inner[name]
        return spot


def read_yaml(data: bytes) -> YamlDocument:
    """Read one YAML document of plain data.

    Raises UnreadableYaml for more than 1 MiB, no UTF-8, no YAML, several documents, tags, keys that are no
    text or stand twice, merge keys, numbers beyond JSON, aliases that lead nowhere or to themselves, nesting
    over 60 levels, and more than 100,000 keys and values. Mistakes that leave the rest readable are reported
    together.
    """
    if len(data) > MOST_FILE_BYTES:
        told = f"the file has {len(data):,} bytes, and at most {MOST_FILE_BYTES:,} are read; make it smaller."
        raise UnreadableYaml([Mistake(1, 1, "", told)])
    return read_yaml_text(utf8(data))


def read_yaml_text(text: str, *, any_keys: bool = False) -> YamlDocument:
    """Read the YAML document in a text of any length, with the errors of `read_yaml`.

    `any_keys`: take each scalar that is a key as text, as in `200: …`.
    """
    if found := _unprintable(text):
        raise UnreadableYaml([found])
    builder = _Builder(_events(text), any_keys)
    try:
        document = builder.document()
    except yaml.YAMLError as error:
        # The parser reads ahead and may give up on deep nesting before we have counted the levels. So read
        # what comes before once more, and report our own limits first.
        mark = getattr(error, "problem_mark", None)
        with suppress(yaml.YAMLError):
            _Builder(_events(text[: mark.index] if mark else ""), any_keys).document()
        raise UnreadableYaml([*builder.mistakes, syntax(text, error)]) from None
    if builder.mistakes:
        raise UnreadableYaml(builder.mistakes, document)
    return document


def utf8(data: bytes) -> str:
    """The text of a file in UTF-8 without its byte order mark. Raises UnreadableYaml for other encodings."""
    try:
        return data.decode().removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        spot = _end_of(data[: error.start].decode().removeprefix("\ufeff"))
        byte = f"byte 0x{data[error.start]:02x}, number {error.start + 1} of the file,"
        told = f"{byte} is not UTF-8; save the file as UTF-8."
        raise UnreadableYaml([Mistake(*spot, "", told)]) from None


def _end_of(text: str) -> _Spot:
    """The place of a text's end."""
    *_, last = lines = _LINE_BREAK.split(text)
    return len(lines), len(last) + 1


def _unprintable(text: str) -> Mistake | None:
    """The mistake for the first character that YAML forbids, None if there is none."""
    found = _UNPRINTABLE.search(text)
    if found is None:
        return None
    told = f"the character U+{ord(found[0]):04X} may not stand in YAML; remove it"
    advice = f'or write it as "\\u{ord(found[0]):04x}" in double quotes.'
    return Mistake(*_end_of(text[: found.start()]), "", f"{told}, {advice}")


def _events(text: str) -> Iterator[Any]:
    """The parser's events of a text. May raise yaml.YAMLError on the way, which `syntax` explains."""
    return yaml.parse(text, Loader=_EventLoader)


def syntax(text: str, error: yaml.YAMLError) -> Mistake:
    """The mistake for a parser's error: what is wrong, what to do."""
    mark = getattr(error, "problem_mark", None)
    if mark is None:
        return Mistake(1, 1, "", f"this is not YAML: {_NO_IDEA}.")
    begun = getattr(error, "context_mark", None) or mark
    told = _complaint(text[begun.index : mark.index], text[mark.index :]).format(line=begun.line + 1)
    return Mistake(mark.line + 1, mark.column + 1, "", f"this is not YAML: {told}.")


def _complaint(begun: str, after: str) -> str:
    """What is wrong, by the text that the parser had `begun` to read and the text `after` it.

    `{line}` in the answer stands for the line where the begun text starts.
    """
    for inside, here, told in _COMPLAINTS:
        if re.fullmatch(inside, begun, re.DOTALL) and re.match(here, after):
            return told
    return _NO_IDEA


_ANY = ".*"
_SINGLE, _DOUBLE = r"'(?:[^']++|'')*+", r'"(?:[^"\\]++|\\.)*+\\?'
"""A text in quotes that doesn't end."""
# Chosen by the text: the parser's own words differ from version to version and don't say what to do.
_COMPLAINTS = (
    (_ANY, r"\t", "a tab stands here; indent with spaces"),
    (_SINGLE, _ANY, "the quotes that begin in line {line} don't end; close them"),
    (_DOUBLE, r"\s*\Z", "the quotes that begin in line {line} don't end; close them"),
    (_DOUBLE, r"(\\u)?[dD][89a-fA-F]", "half of a surrogate pair is no character; write the whole one"),
    (_DOUBLE, _ANY, r"YAML has no such escape; write \\ for a backslash, or take single quotes"),
    (r"\[.*", _ANY, 'a comma is missing before this, or the "]" for the "[" in line {line}'),
    (r"\{.*", _ANY, 'a comma is missing before this, or the "}}" for the "{{" in line {line}'),
    (r"[&*!]\S*", _ANY, "a text can't begin with &, * or !; put it in quotes"),
    (r"[|>].*", _ANY, "nothing follows | or > in its line; begin the text in the next one, indented"),
    (_ANY, "[@`%]", "a text can't begin with @, ` or %; put it in quotes"),
    ("%.*", _ANY, "a text can't begin with @, ` or %; put it in quotes"),
    (_ANY, r"\s*\Z", "the text ends too early, while a bracket is still open; close it"),
    (_ANY, ":", 'no ": " may stand here; put a text with it in quotes, and indent keys alike'),
    (_ANY, r"[\]},]", "a bracket or comma too many; remove it, or put the text in quotes"),
    (r".*['\"][ \t]*", _ANY, "a text goes on behind its quotes; put the whole of it in quotes"),
    (r".*\n.*", _ANY, "this doesn't line up with what begins in line {line}; indent keys and items alike"),
)
"""(what the parser had begun, what stands where it gave up, what to say); the first entry that fits wins."""
_NO_IDEA = "it can't be read from here on; look for an indent, a quote or a bracket that is wrong"


def _spot_of(event: Any) -> _Spot:
    return event.start_mark.line + 1, event.start_mark.column + 1


def _weight_of(text: str) -> int:
    return 1 + len(text) // 64


@dataclass(slots=True)
class _Builder:
    """Builds a document from events. Mistakes are gathered, but limits that are exceeded raise at once."""

    events: Iterator[Any]
    any_keys: bool
    mistakes: list[Mistake] = field(default_factory=list)
    anchors: dict[str, _Node | None] = field(default_factory=dict)
    weight: int = 0

    def document(self) -> YamlDocument:
        next(self.events)
        if not isinstance(next(self.events), yaml.DocumentStartEvent):
            return YamlDocument(None, _Node(None))
        first = next(self.events)
        root = self.node(first, ())
        next(self.events)
        if isinstance(after := next(self.events), yaml.DocumentStartEvent):
            self.wrong(after, (), "a second YAML document begins here; keep one.")
        return YamlDocument(root.value, root, _spot_of(first))

    def node(self, event: Any, path: _Path) -> _Node:
        if isinstance(event, yaml.AliasEvent):
            return self.alias(event, path)
        self.shallow(len(path), event, path)
        if event.anchor is not None:
            self.anchors[event.anchor] = None  # until it is complete, so that it can't hold itself
        if isinstance(event, yaml.ScalarEvent):
            found = self.scalar(event, path)
        else:
            self.untagged(event, path)
            self.weigh(1, event, path)
            mapping = isinstance(event, yaml.MappingStartEvent)
            found = self.mapping(path) if mapping else self.sequence(path)
        if event.anchor is not None:
            self.anchors[event.anchor] = found
        return found

    def alias(self, event: Any, path: _Path) -> _Node:
        name = event.anchor
        found = self.anchors.get(name)
        if found is None:
            inside = name in self.anchors
            told = "stands inside of what it stands for" if inside else "stands for nothing above it"
            self.wrong(event, path, f"the alias *{short(name)} {told}; write the value out.")
            return _UNREAD
        self.weigh(found.weight, event, path)
        self.shallow(len(path) + found.levels, event, path)
        return found

    def scalar(self, event: Any, path: _Path) -> _Node:
        text: str = event.value
        self.weigh(_weight_of(text), event, path)
        if event.tag != _STRING_TAG:
            self.untagged(event, path)
        if not event.implicit[0]:
            return _Node(text, _weight_of(text))
        value = _meaning(text)
        if isinstance(value, float) and not math.isfinite(value):
            self.wrong(event, path, f"{short(text)} is no number that JSON knows; write a finite one.")
            return _UNREAD
        return _Node(value, _weight_of(text))

    def sequence(self, path: _Path) -> _Node:
        inner: dict[str, tuple[_Spot, _Node]] = {}
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            step = str(len(inner))
            inner[step] = (_spot_of(event), self.node(event, (*path, step)))
        return _collection([node.value for _, node in inner.values()], inner, 1)

    def mapping(self, path: _Path) -> _Node:
        inner: dict[str, tuple[_Spot, _Node]] = {}
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            name = self.key(event, path)
            node = self.node(next(self.events), (*path, name))
            if name in inner and isinstance(event, yaml.ScalarEvent):
                line = inner[name][0][0]
                told = f"the key {quoted(name)} stands here twice, first in line {line}; remove one."
                self.wrong(event, (*path, name), told)
            inner.setdefault(name, (_spot_of(event), node))
        members = {name: node.value for name, (_, node) in inner.items()}
        return _collection(members, inner, 1 + sum(map(_weight_of, inner)))

    def key(self, event: Any, path: _Path) -> str:
        """The name of a key; a key that is no text is noted as a mistake and taken as written."""
        if not isinstance(event, yaml.ScalarEvent):
            self.wrong(event, path, "a key is a list, a mapping or an alias here; write it as a text.")
            self.node(event, (*path, ""))
            return ""
        name: str = event.value
        read = self.node(event, (*path, name))
        if self.any_keys:
            return name
        if not isinstance(read.value, str):
            kind = _KINDS[float if read is _UNREAD else type(read.value)]
            told = f"YAML reads the key {short(name)} as {kind}" if name else "the key is missing"
            advice = f"put it in quotes: {quoted(name)}" if name else 'write it, or "" for an empty one'
            self.wrong(event, (*path, name), f"{told}; {advice}.")
        elif name == "<<" and event.implicit[0]:
            self.wrong(event, (*path, name), "merge keys (<<) are not read; repeat the keys here.")
        return name

    def untagged(self, event: Any, path: _Path) -> None:
        if event.tag is not None:
            tag = short(event.tag.replace("tag:yaml.org,2002:", "!!"))
            self.wrong(event, path, f"the tag {tag} is not read; write plain data.")

    def weigh(self, weight: int, event: Any, path: _Path) -> None:
        self.weight += weight
        if self.weight > _MOST_VALUES:
            told = f"the file has more than {_MOST_VALUES:,} keys and values, with its aliases written out"
            self.stop(event, path, f"{told}; make it smaller.")

    def shallow(self, levels: int, event: Any, path: _Path) -> None:
        if levels > _MOST_NESTED:
            self.stop(event, path, f"nested deeper than {_MOST_NESTED} levels; make it flatter.")

    def wrong(self, event: Any, path: _Path, sentence: str) -> None:
        self.mistakes.append(Mistake(*_spot_of(event), pointer_to(*path), sentence))

    def stop(self, event: Any, path: _Path, sentence: str) -> NoReturn:
        self.wrong(event, path, sentence)
        raise UnreadableYaml(self.mistakes)


_KINDS: Mapping[type, str] = {type(None): "null", bool: "a boolean", int: "a number", float: "a number"}


def is_text(word: str) -> bool:
    """Whether a bare word is read as a text: no number, no true, no null."""
    return isinstance(_meaning(word), str)


def _meaning(text: str) -> Any:
    """The value of a bare word or number; inf or nan stands for a number that JSON doesn't have."""
    if text in _WORDS:
        return _WORDS[text]
    if _DECIMAL.fullmatch(text):
        value = float(text)
        return value if set(text) & set(".eE") or not math.isfinite(value) else _whole(int(text))
    if _OTHER_BASE.fullmatch(text):
        return _whole(int(text, 0))
    return math.nan if _BEYOND_JSON.fullmatch(text) else text


def _whole(number: int) -> int | float:
    """A whole number; beyond 64 bits the nearest double, as when JSON bodies are read."""
    if -(2**63) <= number < 2**64:
        return number
    try:
        return float(number)
    except OverflowError:
        return math.inf
