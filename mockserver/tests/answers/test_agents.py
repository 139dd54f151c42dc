"""Agents' loops in this process, in the messages that frameworks send: each calls its tools once and ends.

The frameworks themselves play them in `tests/agents`.
"""

import json
from collections.abc import Callable
from typing import Any

import pytest

from openpipe_mock.config.settings import Settings
from openpipe_mock.service.service import Service
from tests.chatting import asking, messages, tool, user

Json = Any
Record = Callable[[list[Json], Json, list[str]], None]
"""Appends an answer's calls, given its message, and their results to a conversation."""

TOOLS = [tool("get_weather"), tool("get_time"), tool("final_result")]
FINAL = "final_result"
MOST = 8
"""Requests after which a loop that should have ended is given up."""


def names(message: Json) -> list[str]:
    """The names of the tools that an answer calls."""
    return [call["function"]["name"] for call in message.get("tool_calls", ())]


def results(conversation: list[Json], message: Json, texts: list[str]) -> None:
    """As openai-agents, LangChain and the AI SDK send them: a message for each result."""
    conversation.append(message)
    for call, text in zip(message["tool_calls"], texts, strict=True):
        conversation.append({"role": "tool", "tool_call_id": call["id"], "content": text})


def with_images(conversation: list[Json], message: Json, texts: list[str]) -> None:
    """As pydantic-ai sends a tool's images: in a user message right behind its result."""
    results(conversation, message, texts)
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
    told = {"type": "text", "text": f"This is the file of {' and '.join(names(message))}:"}
    conversation.append({"role": "user", "content": [told, image]})


def with_reminder(conversation: list[Json], message: Json, texts: list[str]) -> None:
    results(conversation, message, texts)
    conversation.append({"role": "system", "content": "Tell the time and the weather by your tools."})


def spelled(conversation: list[Json], message: Json, texts: list[str]) -> None:
    """As smolagents sends them: calls and results in texts."""
    [call], [text] = message["tool_calls"], texts
    told = {"name": call["function"]["name"], "arguments": json.loads(call["function"]["arguments"])}
    calls = [{"id": call["id"], "type": "function", "function": told}]
    conversation.append({"role": "assistant", "content": f"Calling tools:\n{calls}"})
    conversation.append({"role": "user", "content": [{"type": "text", "text": f"Observation:\n{text}"}]})


def spelled_failure(conversation: list[Json], message: Json, texts: list[str]) -> None:
    """As smolagents sends a tool that failed: behind the task, and without its call."""
    [name] = names(message)
    failed = f"Error:\nError executing tool {name!r} with arguments {{}}: RuntimeError: the weather is off"
    conversation[-1] = user(f"{conversation[-1]['content']}\n{failed}\nNow let's retry.\n")


STYLES = [results, with_images, with_reminder, spelled]


def run(conversation: list[Json], record: Record = results, **members: Json) -> list[list[str]]:
    """Run a loop to its text or its final tool; returns the names of the tools that each answer calls."""
    found: list[list[str]] = []
    while len(found) < MOST:
        [message] = messages(Service(), asking(messages=conversation, **{"tools": TOOLS, **members}))
        found.append(names(message))
        if not found[-1]:
            conversation.append({"role": "assistant", "content": message["content"]})
        if not found[-1] or FINAL in found[-1]:
            return found
        record(conversation, message, ["21 °C, says get_weather"] * len(found[-1]))
    return found


def task(text: str, record: Record) -> Json:
    return user(f"New task:\n{text}" if record in (spelled, spelled_failure) else text)


@pytest.mark.parametrize("record", STYLES)
@pytest.mark.parametrize(
    ("text", "called"),
    [
        ("What is the weather?", [["get_weather"]]),
        ("The time, and the weather?", [["get_weather"], ["get_time"]]),
        ("Hello", []),
    ],
)
def test_under_auto_each_tool_that_is_asked_for_is_called_once(
    record: Record, text: str, called: list[list[str]]
) -> None:
    assert run([task(text, record)], record) == [*called, []]


@pytest.mark.parametrize("record", STYLES)
@pytest.mark.parametrize(
    ("text", "called"),
    [
        ("The time?", [["get_time"], ["get_weather"]]),
        ("The time, and the weather?", [["get_weather"], ["get_time"]]),
        ("A final result on the weather", [["get_weather"]]),
        ("Hello", [["get_weather"], ["get_time"]]),
    ],
)
def test_under_required_the_final_tool_is_reached(record: Record, text: str, called: list[list[str]]) -> None:
    assert run([task(text, record)], record, tool_choice="required") == [*called, [FINAL]]


@pytest.mark.parametrize("record", [spelled_failure, results])
def test_a_tool_that_failed_is_not_called_again(record: Record) -> None:
    found = run([task("What is the weather?", record)], record, tool_choice="required", tools=TOOLS[::2])
    assert found == [["get_weather"], [FINAL]]


@pytest.mark.parametrize("record", STYLES)
def test_a_second_text_of_the_user_calls_again(record: Record) -> None:
    conversation = [task("What is the weather?", record)]
    assert run(conversation, record) == [["get_weather"], []]
    conversation.append(task("And the weather in Rome?", record))
    assert run(conversation, record) == [["get_weather"], []]


@pytest.mark.parametrize("record", STYLES)
def test_a_text_behind_the_final_tools_result_begins_a_turn(record: Record) -> None:
    conversation = [task("What is the weather?", record)]
    members: Json = {"tools": TOOLS[::2], "tool_choice": "required"}
    for text in ("And the weather in Rome?", "Thanks"):
        assert run(conversation, record, **members) == [["get_weather"], [FINAL]]
        [message] = messages(Service(), asking(messages=conversation, **members))
        record(conversation, message, ["Final result processed."])
        conversation.append(task(text, record))


def test_a_task_behind_results_in_one_message_calls_again() -> None:
    """So smolagents begins the second turn of an agent that ran out of steps."""
    conversation = [task("What is the weather?", spelled)]
    [message] = messages(Service(), asking(messages=conversation, tools=TOOLS))
    spelled(conversation, message, ["21 °C"])
    stopped = "Observation:\n21 °C\nError:\nReached max steps.\n\nNew task:\nAnd the weather in Rome?"
    conversation[-1] = user(stopped)
    assert run(conversation, spelled) == [["get_weather"], []]


def test_a_user_who_quotes_an_error_is_understood() -> None:
    assert run([user("Error:\nthe weather is off")]) == [["get_weather"], []]


def test_arguments_that_were_refused_are_sent_again_to_the_final_tool() -> None:
    conversation = [user("What is the weather?")]
    members: Json = {"tools": TOOLS[::2], "tool_choice": "required"}
    run(conversation, **members)
    [message] = messages(Service(), asking(messages=conversation, **members))
    results(conversation, message, ["days: Field required. Fix the errors and try again."])
    [again] = messages(Service(), asking(messages=conversation, **members))
    assert names(again) == [FINAL]


def test_an_interruption_opens_no_new_calls() -> None:
    """Without a text of the assistant since the result, a user text belongs to the result."""
    conversation = [user("What is the weather?")]
    [message] = messages(Service(), asking(messages=conversation, tools=TOOLS))
    results(conversation, message, ["21 °C"])
    assert run([*conversation, user("And the time?")]) == [[]]


@pytest.mark.parametrize("record", STYLES)
def test_an_output_by_a_schema_comes_behind_the_tools(record: Record) -> None:
    form = {"type": "json_schema", "json_schema": {"name": "report", "schema": {"const": "fine"}}}
    conversation = [task("The time, and the weather?", record)]
    assert run(conversation, record, response_format=form) == [["get_weather"], ["get_time"], []]
    assert conversation[-1]["content"] == '"fine"'


def test_a_result_that_belongs_to_no_call_counts_for_every_tool() -> None:
    stray = {"role": "tool", "tool_call_id": "call_1", "content": "21 °C"}
    assert run([user("the weather and the time"), stray]) == [[]]


def test_always_calls_a_tool_once_though_the_text_mentions_none() -> None:
    service = Service(Settings(auto_tools="always"))
    conversation = [user("Hello")]
    [message] = messages(service, asking(messages=conversation, tools=TOOLS))
    assert names(message) == ["get_weather"]
    results(conversation, message, ["21 °C"])
    [message] = messages(service, asking(messages=conversation, tools=TOOLS))
    assert names(message) == []
