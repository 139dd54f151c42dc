"""A careful program with LangChain's ChatOpenAI: `langchain_chat.py`.

It relies on what the contract says and on what the client promises, and ends with an exception where either
lets it down. ChatOpenAI hands no index, no `criteria_results` and no unknown member on.
"""

import asyncio
import os

from langchain_core.messages import HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel

QUESTION = [SystemMessage("Be brief."), HumanMessage("Count to 10")]
WEATHER = "What is the weather in Rome?"
MOST_TURNS = 10


class Winner(BaseModel):
    """Who won."""

    name: str
    place: int


@tool
def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"Rain in {city}"


def model(**settings):
    """LangChain reads OPENAI_API_BASE; the base URL is given, as most of its users do."""
    base_url = os.environ["OPENAI_BASE_URL"]
    return ChatOpenAI(model="openai:gpt-4o-mini", base_url=base_url, **settings)


def invoked():
    assert model().invoke(QUESTION).content


def asynchronous():
    """In one event loop: LangChain keeps the connections of an address for all models."""

    async def scenes():
        assert (await model().ainvoke(QUESTION)).content
        assert summed([chunk async for chunk in model().astream(QUESTION)]).content

    asyncio.run(scenes())


def summed(chunks):
    whole, *others = chunks
    for chunk in others:
        whole += chunk
    return whole


def streamed():
    whole = summed(list(model(stream_usage=True).stream(QUESTION)))
    assert whole.content
    assert whole.response_metadata["finish_reason"] == "stop"


def streamed_call():
    bound = model().bind_tools([get_weather], tool_choice="any")
    [call] = summed(list(bound.stream(WEATHER))).tool_calls
    assert call["args"]["city"]


def agent():
    bound, messages = model().bind_tools([get_weather]), [HumanMessage(WEATHER)]
    for _ in range(MOST_TURNS):
        message = bound.invoke(messages)
        messages.append(message)
        if not message.tool_calls:
            break
        for call in message.tool_calls:
            messages.append(ToolMessage(get_weather.invoke(call["args"]), tool_call_id=call["id"]))
    assert message.content


def structured():
    assert isinstance(model().with_structured_output(Winner).invoke(QUESTION), Winner)


def with_logprobs():
    message = model(logprobs=True, top_logprobs=2).invoke(QUESTION)
    listed = message.response_metadata.get("logprobs")
    if listed and listed["content"]:
        assert "".join(each["token"] for each in listed["content"]) == message.content


def best_of_n():
    judged = model(n=3, default_headers={"op-criteria": '["helpful", "polite"]'})
    [choices] = judged.generate([QUESTION]).generations
    assert len(choices) == 3
    assert all(choice.text for choice in choices)


def refused():
    assert "no such criterion" in reason(model(default_headers={"op-criteria": '["no such criterion"]'}))


def reason(refusing):
    """What the user of a model reads in its error."""
    try:
        refusing.invoke(QUESTION)
    except Exception as error:
        return str(error)
    raise AssertionError("an error was expected")


SCENES = (
    invoked,
    asynchronous,
    streamed,
    streamed_call,
    agent,
    structured,
    with_logprobs,
    best_of_n,
    refused,
)

if __name__ == "__main__":
    for scene in SCENES:
        scene()
