"""Strict JSON: what is accepted, what is refused, and whether the words say where and why."""

import json
import math
import re
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from openpipe_mock.core.errors import ParseError
from openpipe_mock.core.strictjson import MOST_LEVELS, parse
from tests.generate import anything, texts, thorough
from tests.inprocess import MINIMAL

PLACE = re.compile(
    r"Failed to parse request body: line (\d+), column (\d+): (.+)\. Seen: (\".*\")", re.DOTALL
)
WORDS = "Failed to parse request body: "
TOO_DEEP = f"{WORDS}arrays and objects are nested more than {MOST_LEVELS} levels deep; send a flatter body."

NUMBER = "NaN and Infinity are no JSON; send a number or null"
COMMA = "a comma before a closing bracket; JSON allows no trailing comma, remove it"
COMMENT = "a comment; JSON has none, remove it"
QUOTE = "a single quote; JSON strings and keys stand in double quotes"
PYTHON = "Python's True, False and None are true, false and null in JSON"
HUGE = "a number beyond the range of a double; send it as a string"
HALF = "half of a surrogate pair in a string; send the whole character"
CONTROL = r"a control character; inside a string it is written escaped, as in \n"
BARE = "a key without quotes; JSON keys stand in double quotes"

MISTAKES = {
    "NaN": (b'{"a": NaN}', 1, 7, NUMBER, "NaN}"),
    "NaN alone": (b"NaN", 1, 1, NUMBER, "NaN"),
    "Infinity": (b"[1, Infinity]", 1, 5, NUMBER, "Infinity]"),
    "minus Infinity": (b"[-Infinity]", 1, 2, NUMBER, "-Infinity]"),
    "trailing comma in an array": (b"[1,2,]", 1, 5, COMMA, ",]"),
    "trailing comma in an object": (b'{"a": 1,\n}', 1, 8, COMMA, ",\n}"),
    "the documentation's curl body": (b'{"m": [\n  {"role": "user"},\n ],\n}', 2, 19, COMMA, ",\n ],\n}"),
    "line comment": (b'{\n  // why\n  "a": 1}', 2, 3, COMMENT, '// why\n  "a": 1}'),
    "block comment": (b"[/* x */ 1]", 1, 2, COMMENT, "/* x */ 1]"),
    "hash comment": (b"# x\n{}", 1, 1, COMMENT, "# x\n{}"),
    "comment behind the value": (b"{} // x", 1, 4, COMMENT, "// x"),
    "single-quoted key": (b"{'a': 1}", 1, 2, QUOTE, "'a': 1}"),
    "single-quoted text": (b"{\"a\": 'b'}", 1, 7, QUOTE, "'b'}"),
    "Python's True": (b"[True]", 1, 2, PYTHON, "True]"),
    "Python's False": (b'{"a": False}', 1, 7, PYTHON, "False}"),
    "Python's None": (b"None", 1, 1, PYTHON, "None"),
    "unquoted key": (b"{a: 1}", 1, 2, BARE, "a: 1}"),
    "unquoted second key": (b'{"a": 1, b : 2}', 1, 10, BARE, "b : 2}"),
    "5,000-digit number": (b"[" + b"1" * 5000 + b"]", 1, 2, HUGE, "1" * 20),
    "negative 5,000-digit number": (b"[-" + b"9" * 5000 + b"]", 1, 2, HUGE, "-" + "9" * 19),
    "1e999": (b'{"a": 1e999}', 1, 7, HUGE, "1e999}"),
    "-1e999": (b"-1e999", 1, 1, HUGE, "-1e999"),
    "lone high surrogate": (b'["a\\ud800"]', 1, 4, HALF, '\\ud800"]'),
    "lone low surrogate": (b'["\\uDC00"]', 1, 3, HALF, '\\uDC00"]'),
    "surrogates in the wrong order": (b'["\\ude00\\ud83d"]', 1, 3, HALF, '\\ude00\\ud83d"]'),
    "lone surrogate in a key": (b'{"\\udfff": 1}', 1, 3, HALF, '\\udfff": 1}'),
    "newline in a text": (b'["a\nb"]', 1, 4, CONTROL, '\nb"]'),
    "tab in a text": (b'["a\tb"]', 1, 4, CONTROL, '\tb"]'),
    "NUL in a text": (b'["\x00"]', 1, 3, CONTROL, '\x00"]'),
    "NUL alone": (b"\x00", 1, 1, CONTROL, "\x00"),
    "place behind an astral character": ('["😀é", NaN]'.encode(), 1, 8, NUMBER, "NaN]"),
    "place on a later line": ('["é",\r\n\n  "😀", None]'.encode(), 3, 8, PYTHON, "None]"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_refused_with_its_place_and_its_remedy(name: str) -> None:
    body, line, column, hint, seen = MISTAKES[name]
    found = PLACE.fullmatch(refused(body))
    assert found is not None, refused(body)
    assert (int(found[1]), int(found[2]), found[3], json.loads(found[4])) == (line, column, hint, seen)


WHOLE = {
    "empty": (b"", "the body is empty; send a JSON object."),
    "white space": (b" \r\n\t ", "the body is empty; send a JSON object."),
    "byte order mark": (b"\xef\xbb\xbf{}", "it begins with a byte order mark; send UTF-8 without one."),
    "byte order mark alone": (b"\xef\xbb\xbf", "it begins with a byte order mark; send UTF-8 without one."),
    "Latin-1": (b'{"a": "\xe9"}', "it is not UTF-8: byte 0xe9 at offset 7; encode the body as UTF-8."),
    "UTF-16": (
        "{}".encode("utf-16"),
        "it is not UTF-8: byte 0xff at offset 0; encode the body as UTF-8.",
    ),
    "raw surrogate": (
        b'["\xed\xa0\x80"]',
        "it is not UTF-8: byte 0xed at offset 2; encode the body as UTF-8.",
    ),
    "overlong form": (b'["\xc0\xaf"]', "it is not UTF-8: byte 0xc0 at offset 2; encode the body as UTF-8."),
    "half a character": (
        '["😀'.encode()[:-1],
        "it is not UTF-8: byte 0xf0 at offset 2; encode the body as UTF-8.",
    ),
    "truncated object": (
        b'{"a": 1',
        "it ends too early, after 7 characters; a bracket or a quote is still open.",
    ),
    "truncated text": (
        '["é😀'.encode(),
        "it ends too early, after 4 characters; a bracket or a quote is still open.",
    ),
    "truncated behind a comma": (
        b'{"a": 1,\n \n',
        "it ends too early, after 8 characters; a bracket or a quote is still open.",
    ),
}


@pytest.mark.parametrize("name", WHOLE)
def test_what_is_wrong_with_the_whole_body_is_said_of_the_whole(name: str) -> None:
    body, words = WHOLE[name]
    assert refused(body) == WORDS + words


@pytest.mark.parametrize(
    ("body", "column"),
    [(b"{} {}", 4), (b"{}{}", 3), (b'{"a": 1}}', 9), (b"1 2", 3), (b'{"a": 1} 2', 10), (b"[] null", 4)],
)
def test_a_second_document_is_called_that(body: bytes, column: int) -> None:
    message = refused(body)
    assert f"line 1, column {column}: " in message
    assert re.search(r"second|more than one|after the|behind the|follows", message), message


@pytest.mark.parametrize("body", [b"[1 2]", b'{"a" 1}', b"[+1]", b"[01]", b'{"a": 1 2: 3}', b"1 2", b"[1]2"])
def test_only_a_huge_number_is_called_huge(body: bytes) -> None:
    assert HUGE not in refused(body)


@pytest.mark.parametrize("space", ["\u00a0", "\u2003", "\u3000", "\x0b", "\x0c", "\x85"])
def test_a_foreign_space_behind_a_complete_body_is_not_called_an_early_end(space: str) -> None:
    assert "ends too early" not in refused(b'{"a": 1}' + space.encode())


@pytest.mark.parametrize(
    "body",
    [
        b"undefined",
        b"a=b&c=d",
        b"<xml/>",
        b'{"a": 0x10}',
        b"[.5]",
        b"[1.]",
        b'["\\x"]',
        b"[,]",
        b'{"a": tru}',
    ],
)
def test_any_other_nonsense_is_refused_with_a_place(body: bytes) -> None:
    assert PLACE.fullmatch(refused(body))


ACCEPTED: dict[str, tuple[bytes, Any]] = {
    "duplicate key, the last counts": (b'{"a": 1, "a": 2}', {"a": 2}),
    "surrogate pair": (b'["\\ud83d\\ude00"]', ["😀"]),
    "white space around": (b" \t\r\n[1]\n ", [1]),
    "control character, escaped": (b'["\\u0000\\n"]', ["\x00\n"]),
    "bare scalar": (b'"a"', "a"),
    "slash, escaped": (b'"\\/"', "/"),
    "largest whole number of 64 bits": (b"18446744073709551615", 2**64 - 1),
    "2**53 + 1, exactly": (b"9007199254740993", 2**53 + 1),
    "beyond 64 bits, as a double": (b"18446744073709551616", 2.0**64),
    "5,000 decimals": (b"1." + b"1" * 5000, 1.1111111111111112),
    "tiny number": (b"1e-999", 0.0),
    "capital exponent": (b"[1E+2]", [100.0]),
    "empty key": (b'{"": 1}', {"": 1}),
    "key of a prototype": (b'{"__proto__": {}}', {"__proto__": {}}),
    "byte order mark inside a text": ('["\ufeff"]'.encode(), ["\ufeff"]),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_what_the_standard_allows_is_accepted(name: str) -> None:
    body, value = ACCEPTED[name]
    assert parse(body) == value


def nested(levels: int, opening: str, closing: str) -> bytes:
    return (opening * levels + "1" + closing * levels).encode()


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_nesting_is_read_up_to_the_limit_and_refused_beyond(opening: str, closing: str) -> None:
    assert parse(nested(MOST_LEVELS, opening, closing))
    for levels in (MOST_LEVELS + 1, 1023, 1024, 1025, 5000, 100_000):
        assert refused(nested(levels, opening, closing)) == TOO_DEEP


def test_arrays_and_objects_count_alike_and_only_the_deepest_place_counts() -> None:
    mixed = nested(MOST_LEVELS // 2, '[{"a":', "}]")
    assert parse(b"[[]," + mixed[1:])
    assert refused(b"[" + mixed + b"]") == TOO_DEEP


@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"a":' * 100_000])
def test_nesting_that_never_closes_is_too_deep(body: bytes) -> None:
    assert refused(body) == TOO_DEEP


def test_brackets_side_by_side_or_inside_a_text_are_no_nesting() -> None:
    assert len(parse(b"[" + b"[]," * 1000 + b"[]]")) == 1001
    assert parse(b'["' + b"[{" * 1000 + b'"]') == ["[{" * 1000]


@pytest.mark.parametrize("end", range(1, len(json.dumps(MINIMAL))))
def test_a_body_cut_off_anywhere_is_said_to_end_too_early(end: int) -> None:
    text = json.dumps(MINIMAL)[:end]
    assert f"ends too early, after {len(text.rstrip())} character" in refused(text.encode())


def test_an_error_stays_short_however_long_the_body() -> None:
    for body in (b"x" * 1_000_000, b'["' + b"\x01" * 1_000_000, b"[" + b"\n" * 1_000_000 + b"NaN]"):
        assert len(refused(body)) < 400


@thorough
@given(anything)
def test_whatever_a_client_dumps_is_read_as_it_was(value: Any) -> None:
    assert parse(json.dumps(value).encode()) == value
    assert parse(json.dumps(value, ensure_ascii=False, indent=1).encode()) == value


NASTY = (
    b"NaN",
    b",",
    b"]",
    b"}",
    b"[",
    b'"',
    b"\\",
    b"\\ud800",
    b"\xff",
    b"\xef\xbb\xbf",
    b"'",
    b"//",
    b"1e999",
    b"-",
    b"\x00",
    b"\n",
    "\u00a0".encode(),
    b"True",
)


@st.composite
def spoilt_texts(draw: st.DrawFn) -> bytes:
    """JSON texts with one or two fragments put in, or in the place of what was there."""
    text = json.dumps(draw(anything), ensure_ascii=draw(st.booleans())).encode()
    for _ in range(draw(st.integers(1, 2))):
        at, lost = draw(st.integers(0, len(text))), draw(st.integers(0, 3))
        text = text[:at] + draw(st.sampled_from(NASTY)) + text[at + lost :]
    return text


@thorough
@given(st.binary(max_size=40) | spoilt_texts())
def test_any_bytes_are_read_as_the_standard_library_reads_them_or_refused_in_our_words(body: bytes) -> None:
    value = second_opinion(body)
    if value is not REFUSED:
        assert parse(body) == value
        return
    message = refused(body)
    assert message.startswith(WORDS)
    assert message.endswith((".", '"'))
    assert json.dumps(message).isprintable()


REFUSED = object()


def second_opinion(body: bytes) -> Any:
    """What the standard library reads, made as strict as ours; REFUSED when it reads nothing."""
    try:
        value = json.loads(body.decode(), parse_constant=float, parse_int=whole, parse_float=finite)
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except ValueError:
        return REFUSED
    return value


def finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(digits)
    return number


def whole(digits: str) -> int | float:
    number = int(digits)
    return number if -(2**63) <= number < 2**64 else finite(digits)


@thorough
@given(st.lists(texts, max_size=4), st.lists(st.sampled_from(["\n", "\r\n", " ", "\t"]), max_size=5))
@example(["😀\u0301"], ["\r\n", " "])
def test_the_place_counts_lines_and_characters_whatever_stands_before(
    strings: list[str], spaces: list[str]
) -> None:
    before = "[" + "".join(json.dumps(text, ensure_ascii=False) + "," for text in strings) + "".join(spaces)
    line, column = before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1
    assert f"line {line}, column {column}: {NUMBER}" in refused(f"{before}NaN]".encode())


def refused(body: bytes) -> str:
    """The message of the error; fails when the body is accepted."""
    with pytest.raises(ParseError) as caught:
        parse(body)
    return caught.value.message
