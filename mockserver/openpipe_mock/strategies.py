"""Hypothesis strategies for valid requests and for requests with one error: see docs/strategies.md."""

from openpipe_mock.payloads.strategies import (
    Broken,
    broken_chat_requests,
    broken_judge_requests,
    chat_requests,
    content_parts,
    conversations,
    criteria_headers,
    criteria_ids,
    judge_requests,
    messages,
    outputs,
    response_formats,
    tags_headers,
    texts,
    tool_choices,
    tools,
)

__all__ = [
    "Broken",
    "broken_chat_requests",
    "broken_judge_requests",
    "chat_requests",
    "content_parts",
    "conversations",
    "criteria_headers",
    "criteria_ids",
    "judge_requests",
    "messages",
    "outputs",
    "response_formats",
    "tags_headers",
    "texts",
    "tool_choices",
    "tools",
]
