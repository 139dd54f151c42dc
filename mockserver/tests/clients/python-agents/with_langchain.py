"""LangChain: `create_agent`, whose end is a text.

With `final` it is a ToolStrategy, with `native` a ProviderStrategy.
"""

from langchain.agents import create_agent
from langchain.agents.structured_output import ProviderStrategy, ToolStrategy
from langchain_core.tools import StructuredTool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel
from scene import FINAL, KEY, MODEL, NATIVE, Failed, play


class WeatherReport(BaseModel):
    """A report on the weather."""

    city: str
    degrees: int


def telling(function):
    """A tool whose failure is told to the model."""

    def call(**kwargs):
        try:
            return function(**kwargs)
        except Failed as failed:
            return f"Error: {failed}"

    tool = StructuredTool.from_function(function)
    tool.func = call
    return tool


def output():
    if FINAL:
        return ToolStrategy(WeatherReport)
    return ProviderStrategy(WeatherReport) if NATIVE else None


def agent(scene):
    made = create_agent(
        ChatOpenAI(model=MODEL, base_url=scene.base_url, api_key=KEY, model_kwargs=scene.settings),
        [telling(tool) for tool in scene.tools],
        response_format=output(),
    )
    messages, answers = [], []
    for text in scene.texts:
        state = made.invoke({"messages": [*messages, {"role": "user", "content": text}]})
        messages = state["messages"]
        answers.append(state.get("structured_response") or messages[-1].content)
    return answers


play(agent)
