"""Expressions that select by name."""

import pytest

from openpipe_mock.contract.expressions import BadExpression, expression

NAMES = ("chat.stream.role", "chat.stream.usage", "judge.latest", "chat[a-b].n")
SELECTED: dict[str, tuple[int, ...]] = {
    "stream": (0, 1),
    "stream and not role": (1,),
    "role or judge": (0, 2),
    "judge or stream and usage": (1, 2),
    "(judge or stream) and usage": (1,),
    "not not judge": (2,),
    "not (stream or judge)": (3,),
    "chat[a-b].n": (3,),
    "STREAM": (),
}


@pytest.mark.parametrize("words", SELECTED)
def test_an_expression_selects_names(words: str) -> None:
    selects = expression(words)
    assert tuple(number for number, name in enumerate(NAMES) if selects(name)) == SELECTED[words]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("", "a word is missing at the end"),
        ("stream and", "a word is missing at the end"),
        ("and stream", 'a word is missing before "and"'),
        ("()", 'a word is missing before ")"'),
        ("(stream", 'a ")" is missing'),
        ("stream)", '"and" or "or" is missing before ")"'),
        ("stream role", '"and" or "or" is missing before "role"'),
    ],
)
def test_an_expression_that_makes_no_sense_is_refused(words: str, told: str) -> None:
    with pytest.raises(BadExpression) as caught:
        expression(words)
    assert str(caught.value) == told
