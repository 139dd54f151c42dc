"""smolagents: a ToolCallingAgent, whose end is its tool `final_answer`."""

from scene import KEY, MODEL, play
from smolagents import LogLevel, OpenAIServerModel, ToolCallingAgent, tool


def agent(scene):
    made = ToolCallingAgent(
        tools=[tool(function) for function in scene.tools],
        model=OpenAIServerModel(MODEL, api_base=scene.base_url, api_key=KEY, **scene.settings),
        max_steps=8,
        verbosity_level=LogLevel.OFF,
    )
    return [made.run(text, reset=number == 0) for number, text in enumerate(scene.texts)]


play(agent)
