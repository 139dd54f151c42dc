"""pydantic-ai: an agent whose end is a text.

With `final` it is its output type as a tool, with `native` as a schema. With `images`
its tools return images, which go into user messages.
"""

from functools import wraps

from pydantic import BaseModel
from pydantic_ai import Agent, BinaryContent, ModelRetry, NativeOutput, ToolReturn
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider
from scene import FINAL, IMAGES, KEY, MODEL, NATIVE, Failed, play


class Report(BaseModel):
    """A report on the weather."""

    city: str
    degrees: int


def retrying(function):
    """A tool whose failure is told to the model."""

    @wraps(function)
    def call(*args, **kwargs):
        try:
            result = function(*args, **kwargs)
        except Failed as failed:
            raise ModelRetry(str(failed)) from None
        image = BinaryContent(data=b"GIF89a", media_type="image/gif")
        told = f"What {function.__name__} found, the weather and the time:"
        return ToolReturn(result, content=[told, image]) if IMAGES else result

    return call


def output():
    if FINAL:
        return Report
    return NativeOutput(Report) if NATIVE else str


def agent(scene):
    provider = OpenAIProvider(base_url=scene.base_url, api_key=KEY)
    made = Agent(
        OpenAIChatModel(MODEL, provider=provider),
        tools=[retrying(tool) for tool in scene.tools],
        output_type=output(),
        model_settings=scene.settings,
    )
    history, answers = [], []
    for text in scene.texts:
        result = made.run_sync(text, message_history=history)
        history = result.all_messages()
        answers.append(result.output)
    return answers


play(agent)
