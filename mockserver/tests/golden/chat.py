"""Chat answers of generation 2, byte for byte; written anew by the same command as the judgements."""

import json
from pathlib import Path
from typing import Any

from openpipe_mock.config.settings import Settings
from openpipe_mock.service.service import Service
from tests.chatting import PLACE, ask, asking, function, shaped, tool, user

Json = Any

ANSWERS = 2
FILE = Path(__file__).parent / f"answers-{ANSWERS}-chat.json"

WEATHER = tool("get_weather")
RESULT = {"role": "tool", "tool_call_id": "call_1", "content": "21 °C"}
CALLED = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}
ASKED = [user("the weather and the time"), {"role": "assistant", "tool_calls": [CALLED]}, RESULT]
TOOLS = [WEATHER, tool("get_time"), tool("final_result")]
BEHIND = user("the weather")
NAMED = {"type": "function", "function": {"name": "get_weather"}}
CRITERIA = {"op_criteria": ["criterion-1@v1", "criterion-2"]}

REQUESTS: dict[str, tuple[Json, Json, Json]] = {
    "the documents' sample": ({}, asking(store=True, n=5, metadata={"prompt_id": "counting"}), CRITERIA),
    "a stream": ({}, asking(n=2, stream=True, stream_options={"include_usage": True}), {}),
    "another seed": ({"seed": 7}, asking(), {}),
    "the third of identical requests": ({"repeat": "vary"}, asking(n=2), {}),
    "characters beyond ASCII": ({}, asking("é e\u0301 😀 \u2028 \u0000 ﬁ 中文", logprobs=True), {}),
    "an empty conversation": ({}, asking(messages=[]), {}),
    "log probabilities": ({}, asking(logprobs=True, top_logprobs=2, max_tokens=3), {}),
    "a mentioned tool": ({}, asking("the weather, please", tools=[WEATHER]), CRITERIA),
    "a named tool, streamed": ({}, asking(tools=[WEATHER], tool_choice=NAMED, stream=True, n=2), {}),
    "a tool's result": ({}, asking(messages=[user("weather"), RESULT], tools=[WEATHER]), {}),
    "a second mentioned tool": ({}, asking(messages=ASKED, tools=TOOLS), {}),
    "a mentioned tool before json": (
        {},
        asking(messages=ASKED, tools=TOOLS, response_format=shaped(PLACE)),
        {},
    ),
    "json behind the tools": ({}, asking(messages=ASKED, tools=[WEATHER], response_format=shaped(PLACE)), {}),
    "a final tool": (
        {},
        asking(messages=ASKED, tools=[WEATHER, TOOLS[2]], tool_choice="required"),
        {},
    ),
    "a user text behind a result": ({}, asking(messages=[*ASKED, BEHIND], tools=[WEATHER]), {}),
    "a function in the older form": (
        {},
        asking(functions=[function("get_weather")], function_call={"name": "get_weather"}),
        {},
    ),
    "a tool without parameters": (
        {},
        asking(tools=[{"type": "function", "function": {"name": "now"}}], tool_choice="required"),
        {},
    ),
    "a json object": ({}, asking(response_format={"type": "json_object"}, n=2), {}),
    "json in a schema": (
        {},
        asking(
            n=3,
            response_format=shaped(
                {
                    "type": "object",
                    "properties": {
                        "name": {"type": "string"},
                        "prime": {"type": "integer", "exclusiveMinimum": 1},
                        "size": {"enum": ["small", "large"]},
                        "born": {"type": "string", "format": "date"},
                        "places": {"type": "array", "items": PLACE, "minItems": 1},
                    },
                    "required": ["name", "prime"],
                    "additionalProperties": False,
                }
            ),
        ),
        {},
    ),
    "a refusal of a number": ({}, asking(n=0), {}),
    "a refusal of a tool": (
        {},
        asking(tools=[WEATHER], tool_choice={**NAMED, "function": {"name": "x"}}),
        {},
    ),
    "an unknown criterion": ({}, asking(), {"op_criteria": ["criterion-1@fake-version"]}),
    "an unknown model": ({"known_models": ["gpt-4o"]}, asking(model="gpt-4o-error"), {}),
}
"""Name → settings, request and `op-*` options."""


def reply(settings: Json, request: Json, options: Json) -> str:
    """The reply's body as text; with `repeat: vary`, that of the third of three such requests."""
    service = Service(Settings(**settings, answers=ANSWERS))
    times = 3 if settings.get("repeat") == "vary" else 1
    return [ask(service, request, **options).body.decode() for _ in range(times)][-1]


def text() -> str:
    """What the file holds: each request with its settings and options, and its reply as one string."""
    rows = [
        {"name": name, "settings": settings, "options": options, "request": request}
        | {"reply": reply(settings, request, options)}
        for name, (settings, request, options) in REQUESTS.items()
    ]
    return json.dumps(rows, indent=1) + "\n"
