"""Agents' frameworks, unmodified, play under every variant of the mock's answers: `make agents`.

One process plays a scene at a mock for each variant. It has to reach its end, by a text or a final tool, and
its tools have to work; how often each is called is the variant's affair.
"""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from openpipe_mock.config.settings import Settings
from openpipe_mock.exec.run import mock_in_thread
from openpipe_mock.faults.variants import VARIANTS
from openpipe_mock.openapi.endpoints import BASE
from openpipe_mock.service.service import Service
from tests.agents.check_agents import BOTH, PLAIN, PLAYERS, command
from tests.live import TRUSTING_NOBODY, run

Json = Any
LEFT_OUT = {
    "smolagents": ("no-usage", "text-beside-calls", "empty-content"),
    "langchain-js-native": ("text-beside-calls",),
}
"""Player → the variants under which it doesn't get so far: smolagents reads `usage` unasked, and with content
beside calls it doesn't call both tools; LangChain JS reads any content as JSON where it asked for a schema.
"""
SCENE: Json = {**PLAIN, "texts": [BOTH], "tools": ["get_weather", "get_time"]}


@pytest.fixture(scope="module")
def origins() -> Iterator[dict[str, str]]:
    """Variant → the origin of a mock that answers in it, in the way that all players can read requests."""
    with ExitStack() as stack:
        yield {
            variant.name: stack.enter_context(
                mock_in_thread(Service(Settings(variant=variant.name, validation="lenient", answers=2)))
            )
            for variant in VARIANTS
        }


@pytest.mark.parametrize("name", PLAYERS)
def test_an_agent_reaches_its_end_under_every_variant(
    name: str, origins: dict[str, str], tmp_path: Path
) -> None:
    player = PLAYERS[name]
    origins = {
        variant: origin for variant, origin in origins.items() if variant not in LEFT_OUT.get(name, ())
    }
    scenes = {variant: {**SCENE, "base_url": f"{origin}{BASE}"} for variant, origin in origins.items()}
    words = [*command(player.script, tmp_path), json.dumps(scenes), *player.options]
    seen = json.loads(run(words, {"LANGSMITH_TRACING": "false", "HF_HUB_OFFLINE": "1", **TRUSTING_NOBODY}))
    assert seen.keys() == scenes.keys()
    unended = [variant for variant, found in seen.items() if not all(found["answers"])]
    uncalled = [variant for variant, found in seen.items() if set(found["called"]) != set(SCENE["tools"])]
    assert (unended, uncalled) == ([], [])
