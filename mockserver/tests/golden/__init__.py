"""Judgements of generation 2 of the answers, byte for byte.

`python -m tests.golden` writes `answers-2.json` anew, and `answers-2-chat.json` of `chat`. Other
bytes need a new number of answers and an entry in the changelog: once a generation is released, its files
never change.
"""

import json
from pathlib import Path
from typing import Any

from openpipe_mock.config.settings import Settings
from openpipe_mock.service.service import Service
from tests.inprocess import FULL, MINIMAL, answer, having, saying

Json = Any

ANSWERS = 2
FILE = Path(__file__).parent / f"answers-{ANSWERS}.json"


def tool(parameters: Json) -> Json:
    """A request with one tool."""
    function = {"name": "count", "parameters": parameters}
    return having(input={"messages": [], "tools": [{"type": "function", "function": function}]})


REQUESTS: dict[str, tuple[int, Json]] = {
    "the smallest request": (0, dict(MINIMAL)),
    "the fullest request": (0, dict(FULL)),
    "another seed": (7, dict(MINIMAL)),
    "a negative seed": (-1, dict(MINIMAL)),
    "a seed beyond 64 bits": (2**80, dict(MINIMAL)),
    "another version": (0, having(criterion_id="helpful@v2")),
    "another criterion": (0, having(criterion_id="juicebox-relevance")),
    "a criterion beyond ASCII": (0, having(criterion_id="hilfsbereit-äöü-😀@v12")),
    "a conversation": (
        0,
        saying({"role": "system", "content": "Count."}, {"role": "user", "content": "To 3"}),
    ),
    "characters beyond ASCII": (0, saying({"role": "user", "content": "é e\u0301 😀 \u2028 \u0000 ﬁ 中文"})),
    "fractions": (0, tool({"minimum": 0.1, "maximum": 1e300, "multipleOf": 5e-324, "default": -0.0})),
    "a fraction that is whole": (0, tool({"minimum": 1.0})),
    "whole numbers beyond a double": (0, tool({"enum": [2**53 + 1, 2**64 - 1, -(2**63)]})),
    "nulls that are data": (0, tool({"default": None, "enum": [None, {"a": None}]})),
    "an empty tool choice": (0, having(input={"messages": [], "tool_choice": {}})),
    "a call": (
        0,
        having(
            output={
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
                ],
            }
        ),
    ),
}


def replies() -> dict[str, str]:
    """The reply bodies of REQUESTS as text."""
    return {
        name: answer(Service(Settings(seed=seed, answers=ANSWERS)), body).body.decode()
        for name, (seed, body) in REQUESTS.items()
    }


def text() -> str:
    """What the file holds: each request with its seed, and its reply as one string."""
    found = replies()
    rows = [
        {"name": name, "seed": seed, "request": body, "reply": found[name]}
        for name, (seed, body) in REQUESTS.items()
    ]
    return json.dumps(rows, indent=1) + "\n"
