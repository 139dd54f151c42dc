"""openai-agents: an agent that the Runner runs, plainly or, with `streamed`, in pieces.

Its end is a text or, with `native`, its output type, which goes into `response_format`.
"""

import asyncio

from agents import (
    Agent,
    ModelSettings,
    OpenAIChatCompletionsModel,
    Runner,
    function_tool,
    set_tracing_disabled,
)
from openai import AsyncOpenAI
from pydantic import BaseModel
from scene import KEY, MODEL, NATIVE, STREAMED, play

set_tracing_disabled(True)


class Report(BaseModel):
    """A report on the weather."""

    city: str
    degrees: int


def telling(_, error):
    """What the model is told of a tool's failure."""
    return f"Error: {error}"


async def agent(scene):
    made = Agent(
        name="Reporter",
        tools=[function_tool(tool, failure_error_function=telling) for tool in scene.tools],
        model=OpenAIChatCompletionsModel(MODEL, AsyncOpenAI(base_url=scene.base_url, api_key=KEY)),
        model_settings=ModelSettings(**scene.settings),
        output_type=Report if NATIVE else None,
    )
    history, answers = [], []
    for text in scene.texts:
        asked = [*history, {"role": "user", "content": text}]
        if STREAMED:
            result = Runner.run_streamed(made, asked)
            async for _ in result.stream_events():
                pass
        else:
            result = await Runner.run(made, asked)
        history = result.to_input_list()
        answers.append(result.final_output)
    return answers


play(lambda scene: asyncio.run(agent(scene)))
