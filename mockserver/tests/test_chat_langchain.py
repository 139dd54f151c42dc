"""LangChain's ChatOpenAI, unmodified, chats with a running mock."""

import pytest

from tests.chatclients import Json, python
from tests.live import Live

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def seen(live: Live) -> Json:
    """What the script saw in each scene."""
    return python(live, "langchain", "chat.py", live.base_url)


def test_a_model_is_invoked(seen: Json) -> None:
    message = seen["invoked"]
    assert "Count to 10" in message["content"]
    assert message["end"] == "stop"
    assert message["usage"]["total_tokens"] == (
        message["usage"]["input_tokens"] + message["usage"]["output_tokens"]
    )


def test_a_stream_says_what_the_plain_answer_says(seen: Json) -> None:
    assert {name: seen["streamed"][name] for name in seen["invoked"]} == seen["invoked"]
    assert seen["streamed"]["pieces"] > 2


def test_an_answer_is_the_same_later_and_in_a_batch(seen: Json) -> None:
    plain = seen["invoked"]["content"]
    assert seen["invoked later"] == plain
    assert seen["batched"] == [plain, plain]


@pytest.mark.parametrize("scene", ["called", "streamed call"])
def test_a_bound_tool_is_called(seen: Json, scene: str) -> None:
    assert seen[scene] == [{"name": "get_weather", "arguments": ["city"]}]


def test_an_agent_loop_calls_once_and_ends(seen: Json) -> None:
    assert seen["agent"]["calls"] == [1, 0]
    assert "the tool result “Rain in " in seen["agent"]["answer"]


STRUCTURED = [
    "structured", "structured by a function", "structured by a schema", "structured by a parser"
]  # fmt: skip


@pytest.mark.parametrize("scene", STRUCTURED)
def test_structured_output_is_an_instance_of_the_model(seen: Json, scene: str) -> None:
    assert set(seen[scene]) == {"name", "place"}
    assert isinstance(seen[scene]["place"], int)


def test_files_and_images_are_taken_also_in_a_tools_result(seen: Json) -> None:
    assert "the tool result “Rain”" in seen["with a file"]


def test_in_json_mode_an_answer_is_a_json_object(seen: Json) -> None:
    assert list(seen["structured in JSON mode"]) == ["answer"]


def test_criteria_choose_among_n(seen: Json) -> None:
    judged, unjudged = seen["best of n"]["judged"], seen["best of n"]["unjudged"]
    assert len(set(judged)) == 5
    assert sorted(judged) == sorted(unjudged)
    assert judged != unjudged


def test_a_refusal_is_raised_in_readable_words(seen: Json) -> None:
    assert "400 - Input validation failed: /max_completion_tokens: expected" in seen["refused"]["text"]
