"""The bytes that draws are made from: pinned, so that a library that writes others is caught."""

import json
import math
import re
import struct
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openpipe_mock.answers.chat import understand
from openpipe_mock.answers.judge import tidy_content
from openpipe_mock.core import canonical
from openpipe_mock.core.canonical import number, ordered, respelled, spelled
from openpipe_mock.core.reading import part_digest
from openpipe_mock.faults.selection import Sampler
from openpipe_mock.service.service import Service
from tests import chatting
from tests.generate import thorough
from tests.inprocess import answer, content_of, having

Json = Any

NUMBERS: dict[str, int | float] = {
    "0": 0,
    "-1": -1,
    "9007199254740993": 2**53 + 1,
    "9223372036854775807": 2**63 - 1,
    "-9223372036854775808": -(2**63),
    "18446744073709551615": 2**64 - 1,
    "0.0": 0.0,
    "-0.0": -0.0,
    "1.0": 1.0,
    "-100.0": -100.0,
    "0.1": 0.1,
    "0.30000000000000004": 0.1 + 0.2,
    "2.5": 2.5,
    "3.141592653589793": math.pi,
    "123456789.125": 123456789.125,
    "9007199254740992.0": 2.0**53,
    "9999999999999998.0": 9999999999999998.0,
    "1000000000000000.0": 1e15,
    "1e+16": 1e16,
    "-1e+16": -1e16,
    "1.0000000000000002e+16": 10000000000000002.0,
    "1.2345678901234568e+17": 123456789012345680.0,
    "1.8446744073709552e+19": 2.0**64,
    "1e+21": 1e21,
    "1e+22": 1e22,
    "9.999999999999997e+22": math.nextafter(1e23, 0.0),
    "1e+23": 1e23,
    "1e+100": 1e100,
    "1.5e+300": 1.5e300,
    "1.7976931348623157e+308": 1.7976931348623157e308,
    "0.001": 0.001,
    "0.0001": 0.0001,
    "0.00012345": 0.00012345,
    "0.00001": 0.00001,
    "-0.00001": -0.00001,
    "0.000015": 0.000015,
    "0.000012345678901234568": 0.000012345678901234568,
    "0.00009999999999999999": 0.00009999999999999999,
    "1e-6": 1e-6,
    "-1e-6": -1e-6,
    "1.5e-6": 1.5e-6,
    "9.999999999999999e-6": 9.999999999999999e-6,
    "1e-7": 1e-7,
    "1e-10": 1e-10,
    "1.5e-200": 1.5e-200,
    "2.2250738585072014e-308": 2.2250738585072014e-308,
    "2.225073858507201e-308": 2.225073858507201e-308,
    "5e-324": 5e-324,
    "-5e-324": -5e-324,
    "1e-323": 1e-323,
}
TEXTS: dict[str, str] = {
    "": "",
    "a b": "a b",
    r"\"": '"',
    r"\\": "\\",
    "/": "/",
    "<>&'": "<>&'",
    r"\b\t\n\f\r": "\b\t\n\f\r",
    **{f"\\u{code:04x}": chr(code) for code in range(0x20) if chr(code) not in "\b\t\n\f\r"},
    "\x7f\x80\x9f": "\x7f\x80\x9f",
    "é": "é",
    "e\u0301": "e\u0301",
    "\u2028\u2029": "\u2028\u2029",
    "\ufeff\ufffe\uffff": "\ufeff\ufffe\uffff",
    "😀\U0010ffff": "😀\U0010ffff",
    "1e16 -1E5": "1e16 -1E5",
}


@pytest.mark.parametrize("text", NUMBERS)
@pytest.mark.parametrize("write", [spelled, ordered])
def test_a_number_has_one_spelling(text: str, write: Callable[[Json], bytes]) -> None:
    value = NUMBERS[text]
    assert write([value, {"a": value}]).decode() == f'[{text},{{"a":{text}}}]'
    if isinstance(value, float):
        assert number(value) == text
        assert struct.pack("d", float(text)) == struct.pack("d", value)


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("write", [spelled, ordered])
def test_a_text_has_one_spelling(text: str, write: Callable[[Json], bytes]) -> None:
    value = TEXTS[text]
    assert write([value, {value: None}]).decode() == f'["{text}",{{"{text}":null}}]'


def test_members_stand_in_the_order_of_their_names_or_in_their_own() -> None:
    names = ("b", "a", "é", "", "😀", "\uffff", "B", "aa")
    value = {name: {"b": True, "a": False} for name in names}
    assert list(json.loads(spelled(value))) == list(names)
    assert spelled({"b": 1, "a": []}) == b'{"b":1,"a":[]}'
    found = json.loads(ordered(value))
    assert list(found) == ["", "B", "a", "aa", "b", "é", "\uffff", "😀"]
    assert all(list(inner) == ["a", "b"] for inner in found.values())


@thorough
@given(st.floats(allow_nan=False, allow_infinity=False))
def test_the_library_spells_floats_as_we_do_or_is_corrected(value: float) -> None:
    assert spelled(value).decode() == number(value)
    assert float(number(value)) == value


# Libraries that spell floats otherwise.
OTHERS: dict[str, Callable[[float], str]] = {
    "no plus": lambda value: number(value).replace("e+", "e"),
    "a capital E": lambda value: number(value).replace("e", "E"),
    "as Python": repr,
    "always an exponent": lambda value: f"{value:.16e}",
    "seldom an exponent": lambda value: f"{value:.1f}" if value.is_integer() else number(value),
}


def writing(other: Callable[[float], str]) -> SimpleNamespace:
    """An orjson that spells floats otherwise."""
    floats = re.compile(rb'"(?:[^"\\]|\\.)*"|-?[0-9]+(?:\.[0-9]+(?:e[-+][0-9]+)?|e[-+][0-9]+)', re.DOTALL)

    def dumps(value: Json, option: int = 0) -> bytes:
        return floats.sub(replaced, orjson.dumps(value, option=option))

    def replaced(found: re.Match[bytes]) -> bytes:
        return found[0] if found[0].startswith(b'"') else other(float(found[0])).encode()

    return SimpleNamespace(dumps=dumps, OPT_SORT_KEYS=orjson.OPT_SORT_KEYS)


SIZES = [1e16, 1e-7, 1e-5, 2.5]
OFFERED = chatting.tool("f", {"type": "object", "examples": SIZES})
PICKED = {"type": "object", "properties": {"x": {"enum": SIZES}}, "required": ["x"]}


def draws() -> list[Json]:
    """What is drawn for requests with floats of all sizes."""
    service = Service()
    logged = chatting.asking(tools=[OFFERED], tool_choice="none", temperature=1e-5)
    best = chatting.ask(service, chatting.asking(response_format=chatting.shaped(PICKED)), op_criteria=["a"])
    return [
        content_of(answer(service, having(input={"messages": [], "tools": [OFFERED]}))),
        tidy_content({"messages": [], "tools": [OFFERED]}, {"role": "assistant", "content": "a"}),
        chatting.completion(service, logged),
        [each["criteria_results"] for each in json.loads(best.body)["choices"]],
        understand(logged).prompt_tokens,
        Sampler(7, b'{"a":[1e16,1e-7,1e-5]}').number("x"),
        part_digest({"score": 1e-5, "x": 1e16}),
    ]


@pytest.mark.parametrize("name", OTHERS)
def test_a_draw_depends_on_no_library_s_spelling(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = draws()
    monkeypatch.setattr(canonical, "orjson", writing(OTHERS[name]))
    assert canonical.respells()
    monkeypatch.setattr(canonical, "_RESPELLS", True)
    assert draws() == expected


def test_without_a_correction_another_spelling_would_draw_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = draws()
    monkeypatch.setattr(canonical, "orjson", writing(OTHERS["always an exponent"]))
    monkeypatch.setattr(canonical, "_RESPELLS", False)
    assert not [seen for seen, before in zip(draws(), expected, strict=True) if seen == before]


def test_only_floats_are_spelled_anew() -> None:
    text = rb'{"1e16":"1e16 \" 1E5","a\\":[1e16,1E+5,10000000000000000,-1.50e-05,12,true,null]}'
    assert respelled(text) == (
        rb'{"1e16":"1e16 \" 1E5","a\\":[1e+16,100000.0,10000000000000000,-0.000015,12,true,null]}'
    )
