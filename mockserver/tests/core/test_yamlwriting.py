"""YAML that is written: the data that it was made from, as short as it can be."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openpipe_mock.core.yamltext import read_yaml
from openpipe_mock.core.yamlwriting import yaml_lines
from tests.generate import Json, anything, thorough

WORDS = st.sampled_from(
    [
        "on",
        "no",
        "1e5",
        "0x1F",
        "017",
        ".5",
        "~",
        "null",
        "True",
        "<<",
        "- a",
        "a: b",
        "a #b",
        "it's",
        "*",
        "",
    ]
)
TEXTS = WORDS | st.sampled_from(["\n a\t", "\x7f\u2028\ufeff😀\x85", "x" * 200, 'a"\\b', "{a: b}", "a, b"])


def written(value: Json) -> str:
    return "".join(f"{line}\n" for line in yaml_lines(value))


@thorough
@given(
    st.dictionaries(
        TEXTS,
        st.recursive(
            anything | TEXTS, lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner), max_leaves=9
        ),
    )
)
def test_what_is_written_is_read_as_the_same(value: Json) -> None:
    assert read_yaml(written(value).encode()).value == (value or None)


@pytest.mark.parametrize("length", [500, 501, 2000])
def test_a_key_may_be_of_any_length(length: int) -> None:
    value = {"a": [{"k" * length: {"m": "x" * 200}, "n": 1}], "k" * length: 1}
    assert read_yaml(written(value).encode()).value == value


def test_people_can_go_on_editing_it() -> None:
    rule = {"when": {"output": {"matches": r"\d"}}, "score": 0.9, "explanation": "It counts. " * 8}
    value = {"seed": 42, "criteria": {"helpful": {"score": 1}, "a b": {"rules": [rule, {}]}}, "x": []}
    assert written(value) == (
        "seed: 42\n"
        "criteria:\n"
        "  helpful: {score: 1}\n"
        "  a b:\n"
        "    rules:\n"
        "      - when: {output: {matches: '\\d'}}\n"
        "        score: 0.9\n"
        f"        explanation: '{'It counts. ' * 8}'\n"
        "      - {}\n"
        "x: []\n"
    )
