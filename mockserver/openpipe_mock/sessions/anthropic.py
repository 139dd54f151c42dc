"""Converts messages of Anthropic's API into chat completions, as the call log keeps them."""

from typing import Any

import orjson

Json = dict[str, Any]

_FINISH_REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "tool_use": "tool_calls",
}
_MOST_TOKENS = 2**53


def is_message(payload: Any) -> bool:
    """Whether a payload is a message of Anthropic's API, and not an error, for example."""
    return (
        isinstance(payload, dict)
        and payload.get("type") == "message"
        and isinstance(payload.get("content"), list)
    )


def completion(message: Json, created: int) -> Json:
    """Return a message as a completion with one choice. `created`: its time in seconds since 1970.

    What completions have no member for is dropped.
    """
    answer = {
        "id": text_at(message, "id") or "",
        "object": "chat.completion",
        "created": created,
        "model": text_at(message, "model") or "",
        "choices": [
            {
                "index": 0,
                "finish_reason": _FINISH_REASONS.get(text_at(message, "stop_reason") or "", "stop"),
                "message": _choice_message(message["content"]),
                "logprobs": None,
            }
        ],
    }
    counts = message.get("usage")
    return {**answer, "usage": token_usage(counts)} if isinstance(counts, dict) else answer


def _choice_message(blocks: list[Any]) -> Json:
    """The message of the choice: the joined texts, the joined thoughts and the tool calls of the blocks."""
    said = _texts(blocks, "text", "text")
    message: Json = {"role": "assistant", "content": "".join(said) if said else None, "refusal": None}
    thoughts = _texts(blocks, "thinking", "thinking")
    if thoughts:
        message["reasoning_content"] = "".join(thoughts)
    calls = [_tool_call(block) for block in _of_type(blocks, "tool_use")]
    return {**message, "tool_calls": calls} if calls else message


def _of_type(blocks: list[Any], name: str) -> list[Json]:
    return [block for block in blocks if isinstance(block, dict) and block.get("type") == name]


def _texts(blocks: list[Any], name: str, member: str) -> list[str]:
    return [text for block in _of_type(blocks, name) if (text := text_at(block, member)) is not None]


def _tool_call(block: Json) -> Json:
    """A `tool_use` block as a tool call, with its input as JSON text."""
    arguments = orjson.dumps(block.get("input", {})).decode()
    function = {"name": text_at(block, "name") or "", "arguments": arguments}
    return {"id": text_at(block, "id") or "", "type": "function", "function": function}


def token_usage(counts: Json) -> Json:
    """Return Anthropic's token counts as a completion's `usage`."""
    # Anthropic counts cached tokens apart from `input_tokens`; `prompt_tokens` includes them.
    cached = _tokens(counts, "cache_read_input_tokens")
    read = _tokens(counts, "input_tokens") + _tokens(counts, "cache_creation_input_tokens") + cached
    written = _tokens(counts, "output_tokens")
    return {
        "prompt_tokens": read,
        "completion_tokens": written,
        "total_tokens": read + written,
        "prompt_tokens_details": {"cached_tokens": cached},
    }


def _tokens(counts: Json, name: str) -> int | float:
    """A count of tokens; 0 for a value that can't be one."""
    value = counts.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0
    return value if 0 <= value <= _MOST_TOKENS else 0


def text_at(payload: Any, name: str) -> str | None:
    """Return a member of a payload if the payload is an object and the member a string, else None."""
    value = payload.get(name) if isinstance(payload, dict) else None
    return value if isinstance(value, str) else None
