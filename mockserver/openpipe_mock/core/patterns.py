"""Write strings that match a regular expression, and estimate what compiling one costs.

A pattern is parsed into pieces, which write short, varied texts. Understood are literals, `.`, classes,
escapes, groups, alternation, quantifiers and anchors. Lookarounds are skipped, so a text is only a good guess
and the caller has to check it with the real engine.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from math import prod
from string import ascii_lowercase, ascii_uppercase, digits, punctuation

_MOST_NESTING = 40
MOST_CHARACTERS = 10_000
"""The length of the longest string that is written; also stands for "without end" in repeats."""

_DIGITS = "1234567890"
_LETTERS = ascii_lowercase
_WORD = _LETTERS + _DIGITS + ascii_uppercase + "_"
_PRINTABLE = _LETTERS + _DIGITS + ascii_uppercase + punctuation + " "
_KINDS = (ascii_lowercase, ascii_uppercase, digits, "!#$%&*+-=?@_" + punctuation)
_MIXTURE = 8
"""How often a repeat is written in a text that mixes kinds of characters, as passwords do."""
_SHORTHANDS = {"d": _DIGITS, "w": _WORD, "s": " \t\n"}
_CONTROLS = {"t": "\t", "n": "\n", "r": "\r", "f": "\f", "v": "\v", "0": "\0"}
_PROPERTIES = {"L": _LETTERS + ascii_uppercase, "Lu": ascii_uppercase, "Ll": _LETTERS}
_PROPERTIES |= {"N": _DIGITS, "Nd": _DIGITS, "P": punctuation, "Z": " ", "Zs": " "}
_PROPERTY_WEIGHT = 40
"""A Unicode property compiles into as much code as this many plain characters (measured)."""


class Unsupported(Exception):
    """The pattern uses syntax outside the subset, or has only very long texts."""


def text_for_pattern(pattern: str, number: int, least: int = 0, most: int = MOST_CHARACTERS) -> str:
    """The text with this number (from 0), with a length from `least` to `most` if the pattern allows it.

    Without `^` every other text has letters before it, and with a lookahead every other text mixes kinds of
    characters. Raises Unsupported.
    """
    piece = _parsed(pattern)
    number, second = divmod(number, 2) if "(?=" in pattern or not pattern.startswith("^") else (number, 0)
    pen = _Pen(number, mixed="(?=" in pattern and not second)
    written = piece.write(replace(pen))
    if len(written) > most:
        pen.brief = True
        written = piece.write(replace(pen))
    if second and not pattern.startswith("^"):
        least = max(least, len(written) + 3)
    pen.extra = max(0, least - len(written))
    return piece.write(pen) if pen.extra else written


def ways(pattern: str) -> int:
    """How many different texts the numbers from 0 on give, at least; 1 for unsupported patterns."""
    try:
        return _parsed(pattern).ways * (1 if pattern.startswith("^") else 2)
    except Unsupported:
        return 1


@lru_cache(maxsize=4096)  # each member of an object asks for each pattern of names
def size(pattern: str) -> int:
    """The cost of compiling a pattern: its characters, with repeats multiplied out."""
    if len(pattern) > MOST_CHARACTERS:
        return len(pattern)
    try:
        return _parsed(pattern).size + len(pattern)
    except Unsupported:
        repeats = (min(int(count), MOST_CHARACTERS) for count in re.findall(r"\d{1,9}(?=\})", pattern))
        return min(len(pattern) * prod((max(1, count) for count in repeats), start=1), 10**9)


@dataclass(slots=True)
class _Pen:
    """Steers the writing of one text.

    `number` holds the choices as its digits, `extra` is the count of characters to add, `brief` asks for the
    shortest text, `mixed` for kinds of characters in turn.
    """

    number: int
    extra: int = 0
    brief: bool = False
    mixed: bool = False

    def draw(self, count: int) -> int:
        self.number, digit = divmod(self.number, count)
        return digit


@dataclass(frozen=True, slots=True)
class _Piece:
    """A part of a pattern, which writes a text.

    `size` is the cost of compiling it, `shortest` the length of its shortest text, `ways` how many different
    texts it has at least. `choices` are the characters of a piece that stands for one of them, the most
    readable first.
    """

    size: int
    shortest: int
    ways: int
    write: Callable[[_Pen], str]
    choices: str = ""


_EMPTY = _Piece(0, 0, 1, lambda pen: "")
"""An anchor, which matches a place and no text."""


def _chars(choices: str, size: int = 1) -> _Piece:
    """One character of `choices`."""
    return _Piece(size, 1, len(choices), lambda pen: _run(choices, 1, pen), choices)


def _run(choices: str, count: int, pen: _Pen) -> str:
    """So many neighbouring characters, as in `abc` and `123`."""
    choices = _mixed(choices) if pen.mixed else choices
    at = pen.draw(len(choices)) if count else 0
    return "".join(choices[(at + step) % len(choices)] for step in range(count))


def _sequence(pieces: list[_Piece]) -> _Piece:
    def write(pen: _Pen) -> str:
        return "".join([piece.write(pen) for piece in pieces])

    size, shortest = 1 + sum(piece.size for piece in pieces), sum(piece.shortest for piece in pieces)
    return _Piece(size, shortest, prod(piece.ways for piece in pieces), write)


def _either(options: list[_Piece]) -> _Piece:
    shortest_first = sorted(options, key=lambda option: option.shortest)

    def write(pen: _Pen) -> str:
        return (shortest_first if pen.brief else options)[pen.draw(len(options))].write(pen)

    ways = len(options) * min(option.ways for option in options)
    return _Piece(sum(option.size for option in options), shortest_first[0].shortest, ways, write)


def _repeat(piece: _Piece, least: int, most: int, usual: int) -> _Piece:
    """A piece that is written `least` to `most` times, `usual` times if nothing asks for more or less."""

    def write(pen: _Pen) -> str:
        often = max(usual, _MIXTURE) if pen.mixed and usual else usual
        count = least if pen.brief else min(most, often)
        if piece.choices:
            more = min(pen.extra, most - count)
            pen.extra -= more
            return _run(piece.choices, count + more, pen)
        texts = [piece.write(pen) for _ in range(count)]
        while len(texts) < most and 0 < piece.shortest <= pen.extra:
            texts.append(piece.write(pen))
            pen.extra -= len(texts[-1])
        return "".join(texts)

    size = piece.size * (most if most < MOST_CHARACTERS else least + 1)
    return _Piece(size, piece.shortest * least, piece.ways if usual else 1, write)


def _mixed(choices: str) -> str:
    """The same characters with letters, capitals, digits and signs in turn: `aA0!bB1#`."""
    kinds = [[char for char in kind if char in choices] for kind in _KINDS]
    turns = [kind[turn] for turn in range(len(_PRINTABLE)) for kind in kinds if turn < len(kind)]
    return "".join(turns) or choices


@lru_cache(maxsize=256)
def _parsed(pattern: str) -> _Piece:
    """The pieces of a pattern. Raises Unsupported for other syntax and for texts over MOST_CHARACTERS."""
    parser = _Parser(pattern)
    piece = parser.either(0)
    if parser.more() or piece.shortest > MOST_CHARACTERS:
        raise Unsupported(pattern)
    opened, closed = pattern.startswith(("^", r"\A")), pattern.endswith(("$", r"\z", r"\Z"))
    before = [] if opened else [_repeat(_chars(_LETTERS), 0, MOST_CHARACTERS, 0)]
    after = [] if closed else [_repeat(_chars(_LETTERS), 0, MOST_CHARACTERS, 3 if opened else 0)]
    return _sequence([*before, piece, *after])


class _Parser:
    """Recursive descent over one pattern; every method leaves `at` at the end of what it read."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.at = 0

    def more(self) -> bool:
        return self.at < len(self.pattern)

    def take(self, char: str) -> bool:
        found = self.pattern.startswith(char, self.at)
        self.at += found
        return found

    def next(self) -> str:
        if not self.more():
            raise Unsupported(self.pattern)
        self.at += 1
        return self.pattern[self.at - 1]

    def match(self, expression: re.Pattern[str]) -> re.Match[str] | None:
        found = expression.match(self.pattern, self.at)
        self.at = found.end() if found else self.at
        return found

    def either(self, depth: int) -> _Piece:
        if depth > _MOST_NESTING:
            raise Unsupported(self.pattern)
        options = [self.sequence(depth)]
        while self.take("|"):
            options.append(self.sequence(depth))
        return _either(options)

    def sequence(self, depth: int) -> _Piece:
        pieces = []
        while self.more() and self.pattern[self.at] not in "|)":
            pieces.append(self.quantified(self.atom(depth)))
        return _sequence(pieces)

    def quantified(self, piece: _Piece) -> _Piece:
        found = self.match(_QUANTIFIER)
        if not found:
            return piece
        least, most = _bounds(found)
        if least > MOST_CHARACTERS:
            raise Unsupported(self.pattern)
        varied = len(piece.choices) > 1 and most > 1
        return _repeat(piece, least, most, min(most, max(least, 3)) if varied else least)

    def atom(self, depth: int) -> _Piece:
        char = self.next()
        if char == "(":
            return self.group(depth)
        reader = _ATOMS.get(char)
        return reader(self) if reader else _chars(char)

    def group(self, depth: int) -> _Piece:
        if self.match(_FLAGS):
            return _EMPTY
        opening = self.match(_GROUP)
        inner = self.either(depth + 1)
        if not self.take(")"):
            raise Unsupported(self.pattern)
        return replace(_EMPTY, size=inner.size) if opening and opening["look"] else inner

    def escape(self) -> _Piece:
        if self.match(_EDGE):
            return _EMPTY
        self.at -= 1
        return _chars(*self.char())

    def char(self) -> tuple[str, int]:
        """The characters for which one member of a class, or one escape, stands, and its weight."""
        char = self.next()
        if char != "\\":
            return char, 1
        if found := self.match(_CODE):
            return chr(min(int(found[found.lastindex or 0], 16), 0x10FFFF)), 1
        if found := self.match(_PROPERTY):
            return _PROPERTIES[found[1]], _PROPERTY_WEIGHT
        return self.plain_escape()

    def plain_escape(self) -> tuple[str, int]:
        char = self.next()
        if char.lower() in _SHORTHANDS:
            named = _SHORTHANDS[char.lower()]
            return (named if char.islower() else _without(named)), 1
        if char.isalnum() and char not in _CONTROLS:  # a back reference, \c, \k, \p and the like
            raise Unsupported(self.pattern)
        return _CONTROLS.get(char, char), 1

    def bracket(self) -> _Piece:
        negated = self.take("^")
        chars, weight = self.member()
        while not self.take("]"):
            more, heavier = self.member()
            chars, weight = chars + more, max(weight, heavier)
        choices = _without(chars) if negated else _ordered(chars)
        if not choices:
            raise Unsupported(self.pattern)
        return _chars(choices, weight)

    def member(self) -> tuple[str, int]:
        """One member of a class: a character, a shorthand, or a range."""
        first, weight = self.char()
        if len(first) > 1 or not self.match(_DASH):
            return first, weight
        last, _ = self.char()
        # 128 characters of a range are enough: a text takes its characters from the beginning.
        end = min(ord(last), ord(first) + 127)
        return "".join(map(chr, range(ord(first), end + 1))), weight


_QUANTIFIER = re.compile(r"(?:(?P<sign>[*+?])|\{(?P<least>\d{1,9})(?P<comma>,(?P<most>\d{1,9})?)?\})[?+]?")
_SIGNS = {"*": (0, MOST_CHARACTERS), "+": (1, MOST_CHARACTERS), "?": (0, 1)}
_FLAGS = re.compile(r"\?[imsux-]+\)")
_GROUP = re.compile(r"\?(?:[imsux-]*:|P?<[A-Za-z]\w*>|(?P<look><?[=!]))")
_EDGE = re.compile(r"[bBAzZ]")
_CODE = re.compile(r"x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|u\{([0-9a-fA-F]{1,6})\}")
_PROPERTY = re.compile(rf"p\{{({'|'.join(_PROPERTIES)})\}}")
_DASH = re.compile(r"-(?!\])")
_ATOMS: dict[str, Callable[[_Parser], _Piece]] = {
    "\\": _Parser.escape,
    "[": _Parser.bracket,
    ".": lambda parser: _chars(_PRINTABLE),
    "^": lambda parser: _EMPTY,
    "$": lambda parser: _EMPTY,
}


def _bounds(found: re.Match[str]) -> tuple[int, int]:
    """How often a quantifier repeats, at least and at most; MOST_CHARACTERS if it has no upper bound."""
    if found["sign"]:
        return _SIGNS[found["sign"]]
    least = int(found["least"])
    most = int(found["most"] or MOST_CHARACTERS) if found["comma"] else least
    return least, max(least, most)


def _ordered(chars: str) -> str:
    """Each character once, the readable ones first."""
    known = [char for char in _PRINTABLE if char in chars]
    return "".join(dict.fromkeys([*known, *chars]))


def _without(chars: str) -> str:
    """The printable characters except these."""
    return "".join(char for char in _PRINTABLE if char not in chars)
