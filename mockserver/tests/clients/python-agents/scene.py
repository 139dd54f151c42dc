"""What agents are to do, and the tools that they have. The scenes come as JSON on the command line."""

import json
import sys
from collections.abc import Callable
from typing import Any

KEY, MODEL = "op-agents", "gpt-4o"
FINAL, NATIVE, STREAMED, IMAGES = (option in sys.argv for option in ("final", "native", "streamed", "images"))


class Failed(Exception):
    """A tool failed."""


class Scene:
    """What one agent is to do. `called`: the tools that did their work, in the order of their calls."""

    def __init__(
        self, base_url: str, texts: list[str], tools: list[str], parallel: bool, failing: str
    ) -> None:
        self.base_url = base_url
        self.texts = texts
        self.settings: dict[str, Any] = {} if parallel else {"parallel_tool_calls": False}
        self.failing = failing
        self.called: list[str] = []
        self.tools: list[Callable[..., str]] = [self.make(name) for name in tools]

    def work(self, name: str) -> str:
        self.called.append(name)
        if name == self.failing:
            raise Failed(f"{name} is out of order")
        return f"{name} found 21"

    def make(self, name: str) -> Callable[..., str]:
        def get_weather(city: str, days: int) -> str:
            """Get the weather.

            Args:
                city: Where.
                days: For how many days.
            """
            assert isinstance(city, str)
            assert isinstance(days, int)
            return self.work("get_weather")

        def get_time(city: str) -> str:
            """Get the time.

            Args:
                city: Where.
            """
            assert isinstance(city, str)
            return self.work("get_time")

        return {"get_weather": get_weather, "get_time": get_time}[name]


def play(agent: Callable[[Scene], list[Any]]) -> None:
    """Have an agent play each scene, and print what came of it. `agent`: returns an answer to each text."""
    found = {}
    for name, members in json.loads(sys.argv[1]).items():
        scene = Scene(**members)
        answers = agent(scene)
        found[name] = {"called": scene.called, "answers": answers}
    json.dump(found, sys.stdout, default=str)
