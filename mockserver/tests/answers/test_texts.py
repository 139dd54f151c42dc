"""Generated text: about the last message, different in each choice, short, and plainly a mock's."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openpipe_mock.answers import texts
from openpipe_mock.answers.texts import split
from openpipe_mock.openapi.roles import RESULTS
from tests.generate import thorough, valid

MOST_CHOICES = 128
MEGABYTE = 10**6


def reply_to(*messages: Any, key: int = 0, choice: int = 0) -> str:
    return texts.reply(texts.subject(messages), key, choice)


def about(*messages: Any) -> str:
    return texts.subject(messages)


def saying(role: str, content: Any) -> dict[str, Any]:
    return {"role": role, "content": content, "tool_call_id": "call_1", "name": "count"}


@pytest.mark.parametrize("key", [0, 1, 77, 2**31, 2**32 - 1])
def test_the_most_choices_that_may_be_asked_for_differ_in_their_first_token(key: int) -> None:
    replies = [reply_to(saying("user", "Hi"), key=key, choice=choice) for choice in range(MOST_CHOICES)]
    assert len({split(reply)[0] for reply in replies}) == MOST_CHOICES


def test_choices_of_repeated_requests_go_on_differing() -> None:
    numbers = range(5 * MOST_CHOICES)
    assert len({reply_to(saying("user", "Hi"), choice=number) for number in numbers}) == len(numbers)


def test_an_opener_is_one_token_and_stands_in_the_list_once() -> None:
    assert len(texts.OPENERS) == len(set(texts.OPENERS)) >= MOST_CHOICES
    assert all(split(opener) == [opener] for opener in texts.OPENERS)


def test_an_answer_reads_like_this() -> None:
    assert reply_to(saying("user", "Count to 10")) == "Acorn mock answer to “Count to 10”."


@pytest.mark.parametrize(
    ("message", "subject"),
    [
        (saying("system", "Be brief."), "“Be brief.”"),
        (saying("developer", "Be brief."), "“Be brief.”"),
        (saying("user", "  a\n\tlot of   space "), "“a lot of space”"),
        (saying("user", [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]), "“one two”"),
        (
            saying(
                "user",
                [
                    {"type": "image_url", "image_url": {"url": "data:,"}},
                    {"type": "text", "text": "What is it?"},
                ],
            ),
            "“What is it?”",
        ),
        (saying("user", [{"type": "image_url", "image_url": {"url": "data:,"}}]), "an image"),
        (
            saying("user", [{"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}]),
            "a recording",
        ),
        (saying("user", ""), "an empty user message"),
        (saying("user", []), "an empty user message"),
        (saying("user", " \n "), "an empty user message"),
        ({"role": "user"}, "an empty user message"),
        (saying("assistant", "1, 2, 3"), "“1, 2, 3”"),
        (saying("assistant", [{"type": "refusal", "refusal": "I won't."}]), "“I won't.”"),
        ({"role": "assistant", "content": None, "refusal": "No."}, "“No.”"),
        (saying("tool", "21 °C"), "the tool result “21 °C”"),
        (saying("tool", [{"type": "text", "text": "21 °C"}]), "the tool result “21 °C”"),
        (saying("function", "21 °C"), "the function result “21 °C”"),
        (saying("function", None), "an empty function message"),
    ],
)
def test_an_answer_is_about_the_last_message(message: dict[str, Any], subject: str) -> None:
    assert about(saying("user", "something earlier"), message) == subject


def test_an_empty_conversation_is_said_to_be_one() -> None:
    assert about() == "an empty conversation"


def test_a_long_message_is_quoted_by_its_beginning() -> None:
    assert about(saying("user", "word " * 100)) == f"“{'word ' * 11}word…”"


@pytest.mark.parametrize("text", ["x" * MEGABYTE, "x " * MEGABYTE, "\n" * MEGABYTE, "🙂" * MEGABYTE])
def test_a_very_long_message_makes_a_short_answer(text: str) -> None:
    assert len(reply_to(saying("user", text))) <= 100


@thorough
@given(
    messages=st.lists(valid("Message"), max_size=3), key=st.integers(0, 2**32 - 1), choice=st.integers(0, 127)
)
def test_every_answer_is_one_short_line_that_says_it_is_a_mocks(
    messages: list[Any], key: int, choice: int
) -> None:
    reply = reply_to(*messages, key=key, choice=choice)
    assert re.match(r"[A-Z][a-z]+ mock answer to ", reply)
    assert reply.endswith(".")
    assert len(reply) <= 120
    assert not re.search(r"[\t\n\r\v\f]", reply)


def test_no_answer_claims_to_be_a_model_or_a_maker_of_models() -> None:
    """What is quoted is the user's own; everything else comes from these words."""
    own = " ".join([*texts.OPENERS, *texts.PARTS.values(), *RESULTS, "the result ", reply_to()]).lower()
    claims = r"\b(i|i'm|gpt\w*|claude|gemini|llama|mistral|openai|anthropic|google|assistant|model|ai)\b"
    assert re.findall(claims, own) == []
