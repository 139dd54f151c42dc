"""YAML as plain data: what bare words mean, where everything stands, and what is refused."""

from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from openpipe_mock.core.yamltext import MOST_FILE_BYTES, Mistake, UnreadableYaml, read_yaml, syntax
from tests.configurations import as_yaml
from tests.generate import Json, anything, thorough

VALUES: dict[str, Json] = {
    "": None,
    "# nothing": None,
    "~": None,
    "Null": None,
    "TRUE": True,
    "false": False,
    "12": 12,
    "-0": 0,
    "+7": 7,
    "1e3": 1000.0,
    "1.": 1.0,
    "-.5": -0.5,
    "0x1F": 31,
    "0o17": 15,
    "18446744073709551615": 2**64 - 1,
    "18446744073709551616": 2.0**64,
    "-9223372036854775809": -(2.0**63),
    "on": "on",
    "yes": "yes",
    "017": "017",
    "1:30": "1:30",
    "2024-01-01": "2024-01-01",
    "1_000": "1_000",
    "'1'": "1",
    '"\\u00e9\\U0001F600"': "é😀",
    "!!str 1": "1",
    "|\n  a\n  b": "a\nb",
    "[1, [a, {b: c}]]": [1, ["a", {"b": "c"}]],
    "on: 1\n'true': 2\n'<<': 3\n'': 4": {"on": 1, "true": 2, "<<": 3, "": 4},
    "a: &x [1]\nb: [*x, *x]": {"a": [1], "b": [[1], [1]]},
    "&x a: *x": {"a": "a"},
    "a: &x 1\nb: &x 2\nc: *x": {"a": 1, "b": 2, "c": 2},
    "--- a\n...": "a",
    "\ufeffa: 1": {"a": 1},
    "a: 1\r\nb: 2\r": {"a": 1, "b": 2},
}


@pytest.mark.parametrize("text", VALUES)
def test_what_a_text_says(text: str) -> None:
    found = read_yaml(text.encode()).value
    assert found == VALUES[text]
    assert type(found) is type(VALUES[text])


DOCUMENT = """\
# comment
seed: 1
a/b~c:
  - x
  -   deep: {inner: 1}
é😀: &it {k: [1, 2]}
again: *it
"""
PLACES = {
    "": (2, 1),
    "/seed": (2, 1),
    "/a~1b~0c": (3, 1),
    "/a~1b~0c/0": (4, 5),
    "/a~1b~0c/1": (5, 7),
    "/a~1b~0c/1/deep": (5, 7),
    "/a~1b~0c/1/deep/inner": (5, 14),
    "/a~1b~0c/1/deep/missing": (5, 7),
    "/a~1b~0c/9/deep": (3, 1),
    "/é😀": (6, 1),
    "/é😀/k/1": (6, 17),
    "/again": (7, 1),
    "/again/k/1": (6, 17),
    "/nowhere/at/all": (2, 1),
}


@pytest.mark.parametrize("pointer", PLACES)
@pytest.mark.parametrize("line_break", ["\n", "\r\n", "\r"])
def test_where_something_stands_or_what_is_nearest_around_it(pointer: str, line_break: str) -> None:
    found = read_yaml(DOCUMENT.replace("\n", line_break).encode())
    assert found.place(pointer) == PLACES[pointer]


def test_an_empty_text_has_a_place_too() -> None:
    assert read_yaml(b"").place("/anything") == (1, 1)


def mistakes(data: bytes | str) -> list[str]:
    with pytest.raises(UnreadableYaml) as caught:
        read_yaml(data.encode() if isinstance(data, str) else data)
    assert str(caught.value) == "\n".join(map(str, caught.value.mistakes))
    return [str(mistake) for mistake in caught.value.mistakes]


QUOTE = "put it in quotes"
PLAIN = "is not read; write plain data."
REFUSED: dict[str, tuple[bytes | str, list[str]]] = {
    "all wrong keys at once, and the syntax error that ends it": (
        "true: 1\n1: 2\n~: 3\n1.5: 0\na: 1\na: 2\n? [x]\n: 3\n? {y: 1}\n: 4\n<<: 3\n: 4\n",
        [
            f'1:1: /true: YAML reads the key true as a boolean; {QUOTE}: "true".',
            f'2:1: /1: YAML reads the key 1 as a number; {QUOTE}: "1".',
            f'3:1: /~0: YAML reads the key ~ as null; {QUOTE}: "~".',
            f'4:1: /1.5: YAML reads the key 1.5 as a number; {QUOTE}: "1.5".',
            '6:1: /a: the key "a" stands here twice, first in line 5; remove one.',
            "7:3: a key is a list, a mapping or an alias here; write it as a text.",
            "9:3: a key is a list, a mapping or an alias here; write it as a text.",
            "11:1: /<<: merge keys (<<) are not read; repeat the keys here.",
            '12:1: this is not YAML: no ": " may stand here; put a text with it in quotes, and indent keys '
            "alike.",
        ],
    ),
    "a key that is left out": (
        "{? : 1}",
        ['1:4: /: the key is missing; write it, or "" for an empty one.'],
    ),
    "an alias for a key": (
        "&x a: 1\n*x : 2",
        ["2:1: a key is a list, a mapping or an alias here; write it as a text."],
    ),
    "a key that stands thrice": (
        "b: {k: 1, k: 2,\n k: 3}",
        [
            '1:11: /b/k: the key "k" stands here twice, first in line 1; remove one.',
            '2:2: /b/k: the key "k" stands here twice, first in line 1; remove one.',
        ],
    ),
    "tags": (
        "a: !!python/object/apply:os.system [x]\nb: !foo {c: !!set {}}\nd: !!int 1\n!!int e: ! f",
        [
            f"1:4: /a: the tag !!python/object/apply:os.system {PLAIN}",
            f"2:4: /b: the tag !foo {PLAIN}",
            f"2:13: /b/c: the tag !!set {PLAIN}",
            f"3:4: /d: the tag !!int {PLAIN}",
            f"4:1: /e: the tag !!int {PLAIN}",
            f"4:10: /e: the tag ! {PLAIN}",
        ],
    ),
    "numbers beyond JSON": (
        "a: .inf\nb: -.Inf\nc: .nan\nd: 1e999",
        [
            "1:4: /a: .inf is no number that JSON knows; write a finite one.",
            "2:4: /b: -.Inf is no number that JSON knows; write a finite one.",
            "3:4: /c: .nan is no number that JSON knows; write a finite one.",
            "4:4: /d: 1e999 is no number that JSON knows; write a finite one.",
        ],
    ),
    "aliases that lead nowhere": (
        "a: *b\nc: &c [*c]\nd: &d {e: *d}",
        [
            "1:4: /a: the alias *b stands for nothing above it; write the value out.",
            "2:8: /c/0: the alias *c stands inside of what it stands for; write the value out.",
            "3:11: /d/e: the alias *d stands inside of what it stands for; write the value out.",
        ],
    ),
    "several documents": ("a: 1\n---\nb: 2", ["2:1: a second YAML document begins here; keep one."]),
    "a byte that is no UTF-8": (
        b"a: 1\r\nb\xc3\xa9: \xff",
        ["2:5: byte 0xff, number 12 of the file, is not UTF-8; save the file as UTF-8."],
    ),
    "UTF-16": (
        "a: 1".encode("utf-16"),
        ["1:1: byte 0xff, number 1 of the file, is not UTF-8; save the file as UTF-8."],
    ),
    "a control character": (
        "a: 1\ré: \x1b[0m",
        [
            "2:4: the character U+001B may not stand in YAML; remove it, or write it as "
            '"\\u001b" in double quotes.'
        ],
    ),
    "a binary file": (
        b"\x7fELF\x02\x01\x01\x00",
        [
            "1:1: the character U+007F may not stand in YAML; remove it, or write it as "
            '"\\u007f" in double quotes.'
        ],
    ),
    "a huge file": (
        b" " * (MOST_FILE_BYTES + 1),
        ["1:1: the file has 1,048,577 bytes, and at most 1,048,576 are read; make it smaller."],
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_and_in_which_words(name: str) -> None:
    data, sentences = REFUSED[name]
    found = mistakes(data)
    assert found == sentences


AT_SIGN = "a text can't begin with @, ` or %; put it in quotes."
STAR = "a text can't begin with &, * or !; put it in quotes."
COLON = 'no ": " may stand here; put a text with it in quotes, and indent keys alike.'
ESCAPE = "YAML has no such escape; write \\\\ for a backslash, or take single quotes."
HALF = "half of a surrogate pair is no character; write the whole one."
MUCH = "a bracket or comma too many; remove it, or put the text in quotes."
BEHIND = "a text goes on behind its quotes; put the whole of it in quotes."
BLOCK = "nothing follows | or > in its line; begin the text in the next one, indented."
UNLIKE = "this doesn't line up with what begins in line 1; indent keys and items alike."
UNCLOSED = "the quotes that begin in line 1 don't end; close them."
UNKNOWN = "it can't be read from here on; look for an indent, a quote or a bracket that is wrong."
NO_YAML: dict[str, tuple[str, str]] = {
    "a:\n\tb: 1": ("2:1", "a tab stands here; indent with spaces."),
    "a:\r\n  b: 1\r\n\tc: 2": ("3:1", "a tab stands here; indent with spaces."),
    "a: 'x\n\n": ("3:1", UNCLOSED),
    'a: "é😀\n': ("2:1", UNCLOSED),
    '"\\ud83d"': ("1:4", HALF),
    'a: "\\d+"': ("1:5", ESCAPE),
    'a: "\\xzz"': ("1:7", ESCAPE),
    "a: [1, 2\nb: 3": ("2:2", 'a comma is missing before this, or the "]" for the "[" in line 1.'),
    "a: {b: 1, c: 2\n d: 3}": ("2:3", 'a comma is missing before this, or the "}" for the "{" in line 1.'),
    "a: [": ("2:1", "the text ends too early, while a bracket is still open; close it."),
    "a: *.txt": ("1:5", STAR),
    "a: & b": ("1:5", STAR),
    "a: !<x y": ("1:7", STAR),
    "a: | x\n  y": ("1:6", BLOCK),
    "a: >9z\n": ("1:6", BLOCK),
    "é😀: @x": ("1:5", AT_SIGN),
    "a: `x`": ("1:4", AT_SIGN),
    "%YAML 9.0\n--- a": ("1:1", AT_SIGN),
    "%x\na": ("1:3", AT_SIGN),
    "a: b: c": ("1:5", COLON),
    "a: 1\n  b: 2": ("2:4", COLON),
    "a: [1 2, {]": ("1:11", MUCH),
    "{a: 1}}": ("1:7", MUCH),
    "a: ,b": ("1:4", MUCH),
    'a: "x" y': ("1:8", BEHIND),
    "a: 'it's'": ("1:8", BEHIND),
    "'a': 1\n- b": ("2:1", UNLIKE),
    "a:\n    b: 1\n  c: 2": ("3:3", UNLIKE),
    "- a\nb: 1": ("2:1", UNLIKE),
    "a: &x &y 1": ("1:7", UNKNOWN),
    "a: 1\n...\nb: 2": ("3:1", UNKNOWN),
}


@pytest.mark.parametrize("text", NO_YAML)
def test_what_is_no_yaml_is_said_in_our_words(text: str) -> None:
    place, sentence = NO_YAML[text]
    assert mistakes(text) == [f"{place}: this is not YAML: {sentence}"]


def test_the_words_of_the_parser_count_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def gives_up(text: str, **_: object) -> Iterator[object]:
        mark = yaml.Mark("", len(text) // 2, 1, 2, "", 0)
        yield from ()
        raise yaml.MarkedYAMLError("in some context", mark, "some problem", mark)

    monkeypatch.setattr(yaml, "parse", gives_up)
    assert mistakes("a: 1\nb: 2") == [f"2:3: this is not YAML: {UNKNOWN}"]


def powers(last: str) -> str:
    """A bomb: each line holds the one before it twice."""
    return "\n".join(["a0: &a0 [x]", *(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 60)), last])


TOO_DEEP = "nested deeper than 60 levels; make it flatter."
TOO_MANY = "the file has more than 100,000 keys and values, with its aliases written out; make it smaller."
HOSTILE: dict[str, tuple[str, str]] = {
    "powers of two": (powers(""), TOO_MANY),
    "one long text, often": ("a: &a " + "x" * 500_000 + "\nb: [" + "*a," * 1000 + "]", TOO_MANY),
    "one long key, often": ("a: &a {? " + "x" * 500_000 + "\n}\nb: [" + "*a," * 1000 + "]", TOO_MANY),
    "many values": ("[" + "0," * 500_000 + "]", TOO_MANY),
    "many keys": ("".join(f"k{n}:\n" for n in range(100_000)), TOO_MANY),
    "lists": ("[" * 1_000_000, TOO_DEEP),
    "mappings": ("{a: " * 100_000, TOO_DEEP),
    "keys of keys": ("? " * 500_000, TOO_DEEP),
    "mappings for keys": ("{" * 1_000_000, TOO_DEEP),
    "items": ("- " * 500_000, TOO_DEEP),
    "aliases of aliases": (
        "\n".join(["a0: &a0 [x]", *(f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, 300))]),
        TOO_DEEP,
    ),
    "a number of a million digits": ("a: " + "9" * 1_000_000, "is no number that JSON knows"),
    "a million digits to the base of 16": ("a: 0x" + "f" * 1_000_000, "is no number that JSON knows"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_text_is_refused(name: str) -> None:
    text, reason = HOSTILE[name]
    assert reason in mistakes(text)[-1]
    assert all(len(line) < 600 for line in mistakes(text))


@pytest.mark.slow
def test_what_is_just_small_enough_is_read() -> None:
    value: Any = read_yaml(b"[" * 60 + b"]" * 60).value
    for _ in range(59):
        [value] = value
    assert value == []
    assert len(read_yaml(b"a: &a 1\nb: [" + b"*a," * 90_000 + b"]").value["b"]) == 90_000
    assert read_yaml(b" " * MOST_FILE_BYTES).value is None


def test_a_line_stays_one_line() -> None:
    mistake = Mistake(1, 2, "/a\nb\u2028\u202e\x1b" + "x" * 1000, "wrong\r.")
    assert str(mistake).startswith("1:2: /a\\u000ab\\u2028\\u202e\\u001bxxx")
    assert str(mistake).endswith("x…: wrong\\u000d.")
    assert len(str(mistake)) < 300


def test_a_parser_that_gives_no_place_is_understood_too() -> None:
    assert str(syntax("a", yaml.YAMLError("some words"))) == f"1:1: this is not YAML: {UNKNOWN}"


@thorough
@given(anything)
def test_json_says_the_same(value: Json) -> None:
    assert read_yaml(as_yaml(value)).value == value


TOKENS = (*"a\n[]{},'\"|#1", ": ", "- ", "  ", "&x ", "*x", "!t ", "? ")


@thorough
@given(
    st.binary(max_size=60)
    | st.text(max_size=30).map(str.encode)
    | st.lists(st.sampled_from(TOKENS), max_size=25).map(lambda tokens: "".join(tokens).encode())
)
def test_any_bytes_are_read_or_refused_with_places(data: bytes) -> None:
    for mistake in wrong(data):
        assert mistake.line >= 1
        assert mistake.column >= 1
        assert mistake.sentence.endswith(".")
        assert len(str(mistake).splitlines()) == 1


def wrong(data: bytes) -> tuple[Mistake, ...]:
    try:
        read_yaml(data)
    except UnreadableYaml as error:
        return error.mistakes
    return ()
