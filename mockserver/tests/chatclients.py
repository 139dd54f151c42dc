"""Running the clients' chat scripts, each in its own environment, and reading what they saw."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.environments import TESTS, installed, node_modules
from tests.live import TRUSTING_NOBODY, Live, run

Json = Any

CLIENTS = TESTS / "clients"
CHATS = CLIENTS / "chats.json"
"""Requests that every client sends."""


Scripted = tuple[Mapping[str, str], Sequence[str | Path]]
"""The variables of a script, and its file with its arguments."""


def chats() -> Mapping[str, Json]:
    found: Mapping[str, Json] = json.loads(CHATS.read_bytes())
    return found


def surroundings(live: Live, key: str) -> dict[str, str]:
    """The variables that lead every client to a mock, warnings as errors. OpenAI's key is another one."""
    return {
        "OPENPIPE_BASE_URL": live.base_url,
        "OPENPIPE_API_KEY": key,
        "OPENAI_BASE_URL": live.base_url,
        "OPENAI_API_KEY": "sk-elsewhere",
        "LANGSMITH_TRACING": "false",
        "PYTHONWARNINGS": "error",
        **TRUSTING_NOBODY,
    }


def python(live: Live, environment: str, script: str, *arguments: str) -> Json:
    """The JSON that a script of a Python client prints."""
    path = CLIENTS / f"python-{environment}" / script
    command: list[str | Path] = [installed(environment, "python"), path, *arguments]
    return json.loads(run(command, surroundings(live, f"op-{environment}")))


def in_turn(environment: str, runs: Sequence[Scripted]) -> list[str]:
    """What scripts of a Python client print that are run in one process, each with variables of its own."""
    asked = [(dict(variables), [str(word) for word in words]) for variables, words in runs]
    printed = run([installed(environment, "python"), CLIENTS / "in_turn.py", json.dumps(asked)], runs[0][0])
    outputs: list[str] = json.loads(printed)
    return outputs


def node(live: Live, folder: Path, script: str, *arguments: str) -> Json:
    """The JSON that a script of a Node client prints. Node looks for packages beside the script."""
    (folder / "node_modules").symlink_to(node_modules())
    copy = folder / script
    copy.write_bytes((CLIENTS / "node" / script).read_bytes())
    return json.loads(run(["node", copy, *arguments], surroundings(live, "op-node")))
