"""Agents' frameworks, unmodified, play scenes against a running mock: `make agents`.

Each calls every tool that its text asks for once, reads the results, and ends by
a text, JSON or its final tool.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import jsonschema_rs
import pytest

from tests.environments import CLIENTS as ENVIRONMENTS
from tests.environments import TESTS, found, installed
from tests.live import TRUSTING_NOBODY, Live, run

Json = Any

BOTH = "The time and the weather in Paris, please."
WEATHER = "What is the weather in Paris?"
SCENES: dict[str, Json] = {
    "one tool": {"texts": [WEATHER], "tools": ["get_weather"]},
    "two tools": {"texts": [BOTH], "tools": ["get_weather", "get_time"]},
    "no parallel calls": {"texts": [BOTH], "tools": ["get_weather", "get_time"], "parallel": False},
    "a failing tool": {"texts": [BOTH], "tools": ["get_weather", "get_time"], "failing": "get_weather"},
    "two turns": {"texts": [WEATHER, "And the weather in Rome?"], "tools": ["get_weather"]},
}
PLAIN: Json = {"parallel": True, "failing": ""}


@dataclass(frozen=True, slots=True)
class Player:
    """An agent. `script`: its file in `tests/clients`. `options`: the script's arguments.

    `final`: its final tool, "" where it ends by a text, or by JSON for the schema that goes by `native`.
    """

    script: str
    options: tuple[str, ...] = ()
    final: str = ""


PYTHON, NODE = "python-agents", "node-agents"
PLAYERS = {
    "pydantic-ai": Player(f"{PYTHON}/with_pydantic_ai.py"),
    "pydantic-ai-final": Player(f"{PYTHON}/with_pydantic_ai.py", ("final",), "final_result"),
    "pydantic-ai-native": Player(f"{PYTHON}/with_pydantic_ai.py", ("native",)),
    "pydantic-ai-images": Player(f"{PYTHON}/with_pydantic_ai.py", ("images",)),
    "pydantic-ai-images-final": Player(f"{PYTHON}/with_pydantic_ai.py", ("images", "final"), "final_result"),
    "langchain": Player(f"{PYTHON}/with_langchain.py"),
    "langchain-native": Player(f"{PYTHON}/with_langchain.py", ("native",)),
    "langchain-final": Player(f"{PYTHON}/with_langchain.py", ("final",), "WeatherReport"),
    "smolagents": Player(f"{PYTHON}/with_smolagents.py", (), "final_answer"),
    "openai-agents": Player(f"{PYTHON}/with_openai_agents.py"),
    "openai-agents-streamed": Player(f"{PYTHON}/with_openai_agents.py", ("streamed",)),
    "openai-agents-native": Player(f"{PYTHON}/with_openai_agents.py", ("native",)),
    "openai-agents-native-streamed": Player(f"{PYTHON}/with_openai_agents.py", ("native", "streamed")),
    "ai-sdk": Player(f"{NODE}/with-ai-sdk.mjs"),
    "ai-sdk-streamed": Player(f"{NODE}/with-ai-sdk.mjs", ("streamed",)),
    "ai-sdk-compatible": Player(f"{NODE}/with-ai-sdk.mjs", ("compatible",)),
    "ai-sdk-native": Player(f"{NODE}/with-ai-sdk.mjs", ("native",)),
    "ai-sdk-native-streamed": Player(f"{NODE}/with-ai-sdk.mjs", ("native", "streamed")),
    "ai-sdk-compatible-native": Player(f"{NODE}/with-ai-sdk.mjs", ("compatible", "native")),
    "ai-sdk-final": Player(f"{NODE}/with-ai-sdk.mjs", ("final",), "final_report"),
    "ai-sdk-final-streamed": Player(f"{NODE}/with-ai-sdk.mjs", ("final", "streamed"), "final_report"),
    "langchain-js": Player(f"{NODE}/with-langchain.mjs"),
    "langchain-js-final": Player(f"{NODE}/with-langchain.mjs", ("final",), "Report"),
    "langchain-js-native": Player(f"{NODE}/with-langchain.mjs", ("native",)),
}


def session(player: str, scene: str) -> str:
    return f"{player}-{scene}".replace(" ", "-")


def scenes(live: Live, player: str) -> Json:
    """All scenes, each at a session of its own."""
    return {
        name: {**PLAIN, **scene, "base_url": f"{live.origin}/_mock/sessions/{session(player, name)}/api/v1"}
        for name, scene in SCENES.items()
    }


def command(script: str, folder: Path) -> list[str | Path]:
    """What starts a script. Node looks for packages beside it."""
    path = TESTS / "clients" / script
    if path.suffix == ".py":
        return [installed("agents", "python", "agents"), path]
    (folder / "node_modules").symlink_to(found(ENVIRONMENTS / NODE / "node_modules", "agents"))
    for module in path.parent.glob("*.mjs"):
        (folder / module.name).write_bytes(module.read_bytes())
    return ["node", folder / path.name]


@pytest.fixture(scope="module", params=PLAYERS)
def played(
    request: pytest.FixtureRequest, live: Live, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Json]:
    """A player's name, and what came of each scene."""
    name: str = request.param
    player = PLAYERS[name]
    words = [*command(player.script, tmp_path_factory.mktemp(name)), json.dumps(scenes(live, name))]
    quiet = {"LANGSMITH_TRACING": "false", "HF_HUB_OFFLINE": "1", **TRUSTING_NOBODY}
    return name, json.loads(run([*words, *player.options], quiet))


def exchanges(live: Live, session: str) -> list[Json]:
    """The journal of a session, oldest first."""
    with httpx.Client(base_url=live.control_url, trust_env=False) as control:
        listed = control.get("/requests", params={"session": session}).json()["requests"]
        return [control.get(f"/requests/{each['id']}").json() for each in reversed(listed)]


def calls(exchange: Json) -> list[tuple[str, Json]]:
    """The names and arguments of the tools that an answer calls."""
    answer = exchange["answer"]
    if "body" in answer:
        [choice] = answer["body"]["choices"]
        return [_read(call["function"]) for call in choice["message"].get("tool_calls", ())]
    deltas = [
        choice["delta"] for event in answer["events"] if event != "[DONE]" for choice in event["choices"]
    ]
    pieces = [call["function"] for delta in deltas for call in delta.get("tool_calls", ())]
    arguments = "".join(piece.get("arguments", "") for piece in pieces)
    return [_read({"name": piece["name"], "arguments": arguments}) for piece in pieces if "name" in piece]


def _read(function: Json) -> tuple[str, Json]:
    return function["name"], json.loads(function["arguments"])


def expected(player: Player, scene: Json) -> list[str]:
    """The tool that each answer calls, "" for a text."""
    return [tool for _ in scene["texts"] for tool in (*scene["tools"], player.final)]


@pytest.mark.parametrize("scene", SCENES)
def test_each_tool_is_called_once_and_then_comes_the_end(
    live: Live, played: tuple[str, Json], scene: str
) -> None:
    name, seen = played
    player, said = PLAYERS[name], SCENES[scene]
    found = exchanges(live, session(name, scene))
    assert [each["status"] for each in found] == [200] * len(found)
    called = [calls(each) for each in found]
    assert [[tool for tool, _ in each] or [""] for each in called] == [
        [tool] for tool in expected(player, said)
    ]
    check_arguments(found, called)
    check_results(found, called, said)
    forms = ["response_format" in each["request"]["body"] for each in found]
    assert forms == ["native" in player.options] * len(found)
    assert seen[scene]["called"] == said["tools"] * len(said["texts"])
    assert len(seen[scene]["answers"]) == len(said["texts"])
    assert all(seen[scene]["answers"])


def check_arguments(exchanges: Sequence[Json], called: Sequence[Sequence[tuple[str, Json]]]) -> None:
    """Hold the arguments of each call against the schema that the request offered."""
    for exchange, each in zip(exchanges, called, strict=True):
        offered = {
            tool["function"]["name"]: tool["function"] for tool in exchange["request"]["body"]["tools"]
        }
        for name, arguments in each:
            jsonschema_rs.validate(offered[name]["parameters"], arguments)


def check_results(
    exchanges: Sequence[Json], called: Sequence[Sequence[tuple[str, Json]]], scene: Json
) -> None:
    """The request behind each call of a scene's tool has its result, and the form that the scene asks for."""
    for each, following in zip(called, exchanges[1:], strict=False):
        for name, _ in each:
            failed = name == scene.get("failing")
            result = f"{name} is out of order" if failed else f"{name} found 21"
            sent = json.dumps(following["request"]["body"]["messages"])
            assert name not in scene["tools"] or result in sent
    serial = [each["request"]["body"].get("parallel_tool_calls") is False for each in exchanges]
    assert all(serial) or scene.get("parallel", True)
