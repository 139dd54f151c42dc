"""The mock's own tokens: they join to the text, and nothing about them depends on the Python."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openpipe_mock.answers.texts import estimate, split, until_stop
from tests.generate import ODD_TEXTS, thorough

LETTERS = "ab c_1'.,\n\té…中😀\u0301\u200d"
short_texts = st.text(max_size=60) | st.text(alphabet=LETTERS, max_size=60) | st.sampled_from(ODD_TEXTS)
stop_texts = st.lists(st.text(alphabet=LETTERS, max_size=3), max_size=4).map(tuple)


@thorough
@given(text=short_texts)
def test_tokens_join_to_the_text_and_none_is_empty(text: str) -> None:
    pieces = split(text)
    assert "".join(pieces) == text
    assert all(pieces)


@thorough
@given(text=short_texts)
def test_a_token_is_small(text: str) -> None:
    assert all(len(piece) <= 13 for piece in split(text))


@thorough
@given(text=short_texts, other=st.sampled_from("é中😀\u0301\u0660Ⅷ\u2028\U0001fae9\U000323af"))
def test_tokens_do_not_depend_on_what_unicode_says_of_a_character(text: str, other: str) -> None:
    """Letters, digits, marks, spaces and code points that no Unicode version knows yet are cut alike."""
    replaced = "".join(letter if letter.isascii() else other for letter in text)
    assert list(map(len, split(replaced))) == list(map(len, split(text)))


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("", []),
        ("Acorn mock answer.", ["Acorn", " mock", " answer", "."]),
        ("  two spaces", [" ", " two", " spaces"]),
        ('{"a":1}', ['{"', "a", '":', "1", "}"]),
        ("“naïve”", ["“", "na", "ï", "ve", "”"]),
        ("🙂🙂🙂🙂🙂", ["🙂🙂🙂🙂", "🙂"]),
        ("line\n", ["line", "\n"]),
        ("a_very_long_identifier", ["a_very_long_", "identifier"]),
    ],
)
def test_tokens_of_some_texts(text: str, pieces: list[str]) -> None:
    assert split(text) == pieces


@thorough
@given(text=short_texts, stops=stop_texts)
def test_what_stop_texts_leave_has_none_of_them_and_ends_where_one_begins(
    text: str, stops: tuple[str, ...]
) -> None:
    left = until_stop(text, stops)
    real = [stop for stop in stops if stop]
    assert text.startswith(left)
    assert not any(stop in left for stop in real)
    assert left == text or any(text[len(left) :].startswith(stop) for stop in real)


@pytest.mark.parametrize(
    ("stops", "left"),
    [
        ((), "one two three"),
        (("four",), "one two three"),
        (("",), "one two three"),
        (("", "two"), "one "),
        (("three", "two"), "one "),
        (("one",), ""),
        (("e t", "e"), "on"),
    ],
)
def test_the_first_stop_text_counts_and_an_empty_one_never(stops: tuple[str, ...], left: str) -> None:
    assert until_stop("one two three", stops) == left


@pytest.mark.parametrize(("size", "count"), [(0, 0), (1, 1), (4, 1), (5, 2), (4_000_000, 1_000_000)])
def test_a_prompt_counts_a_token_for_each_four_bytes(size: int, count: int) -> None:
    assert estimate(bytes(size)) == count
