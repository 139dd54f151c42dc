"""litellm's documented tool loop, with messages as litellm made them: they have more than the contract."""

import asyncio
import os

import pytest

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # else it asks for prices when it is imported
import litellm

HOST = {"api_base": "https://api.openpipe.ai/api/v1", "api_key": "sk-real-one", "model": "openai/gpt-4o-mini"}
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
PAPER = {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AAAA"}}
pytestmark = pytest.mark.filterwarnings("ignore")  # pydantic warns of litellm's types


def test_the_loop_of_its_documentation(openpipe_mock):
    async def loop():
        messages = [{"role": "user", "content": "What is the weather in Rome?"}]
        message = (await litellm.acompletion(messages=messages, tools=[WEATHER], **HOST)).choices[0].message
        messages.append(message)
        for call in message.tool_calls:
            result = {"role": "tool", "tool_call_id": call.id, "name": call.function.name, "content": "Rain"}
            messages.append(result)
        return (await litellm.acompletion(messages=messages, tools=[WEATHER], **HOST)).choices[0].message

    assert "the tool result “Rain”" in asyncio.run(loop()).content
    assert "/messages/2/name" in openpipe_mock.calls[-1].tolerated
    openpipe_mock.assert_contract_kept()


def test_a_file_and_a_mark_to_cache(openpipe_mock):
    text = {"type": "text", "text": "Read this.", "cache_control": {"type": "ephemeral"}}
    messages = [{"role": "user", "content": [text, PAPER]}]
    asyncio.run(litellm.acompletion(messages=messages, **HOST))
    assert openpipe_mock.calls[-1].status == 200
    openpipe_mock.assert_contract_kept()
