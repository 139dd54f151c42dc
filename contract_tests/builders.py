"""Builders of the suite's requests. The same settings give the same bytes, in any process."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from openpipe_mock.contract.probe import Credential, Request, wire
from openpipe_mock.payloads.edits import Edit
from openpipe_mock.payloads.valid import Positive

from .settings import CRITERIA, MODELS, RunSettings, economical

Json = Any

JUDGE = "/criteria/judge"
CHAT = "/chat/completions"
JSON_TYPE = ("content-type", "application/json")
NO_LOG = ("op-log-request", "false")

OFFICIAL = (
    ("op-log-request", "true"),
    ("op-tags", '{"prompt_id":"counting","$sdk":"python","$sdk.version":"5.0.0"}'),
    ("op-cache", "false"),
    ("x-fern-language", "Python"),
    ("x-stainless-lang", "python"),
    ("x-stainless-retry-count", "0"),
    ("user-agent", "OpenAI/Python 1.97.1"),
)
"""What the official Python client sends with each request."""

COUNTING = "Count to 10, in one line."
PROMPTS = (COUNTING, "Name one prime number.", "Describe the sea in five words.")
OUTPUT = {"role": "assistant", "content": "1, 2, 3"}
TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Look up the weather of a place.",
        "parameters": {
            "type": "object",
            "properties": {"place": {"type": "string"}},
            "required": ["place"],
        },
    },
}
OTHER_TOOL = {
    "type": "function",
    "function": {"name": "set_alarm", "parameters": {"type": "object", "properties": {}}},
}
WEATHER = "What is the weather in Paris? Use the tool."
ANSWER_SCHEMA = {
    "type": "object",
    "properties": {"prime": {"type": "integer"}},
    "required": ["prime"],
    "additionalProperties": False,
}


def post(path: str, body: bytes, *headers: tuple[str, str], credential: Credential = "key") -> Request:
    return Request("POST", path, body, (JSON_TYPE, *headers), credential)


def judge_body(settings: RunSettings, criterion: str = "", **members: Json) -> dict[str, Json]:
    return {"criterion_id": criterion or settings.criterion, "output": OUTPUT, **members}


def judging(
    settings: RunSettings, criterion: str = "", *, credential: Credential = "key", **members: Json
) -> Request:
    """A judge request, by default the smallest one. `members` override those of the body."""
    return post(JUDGE, wire(judge_body(settings, criterion, **members)), credential=credential)


def user_messages(text: str) -> list[Json]:
    return [{"role": "user", "content": text}]


def chat_body(settings: RunSettings, prompt: str = COUNTING, **members: Json) -> dict[str, Json]:
    body: dict[str, Json] = economical(
        settings, {"model": settings.model, "messages": user_messages(prompt), **members}
    )
    return body


def logging(settings: RunSettings) -> tuple[tuple[str, str], ...]:
    """For a server elsewhere, the header that keeps a request out of the service's log."""
    return () if settings.local else (NO_LOG,)


def chatting(
    settings: RunSettings,
    prompt: str = COUNTING,
    *,
    criteria: list[str] | None = None,
    credential: Credential = "key",
    **members: Json,
) -> Request:
    """A chat request, by default the smallest one. `criteria` go into the header `op-criteria`."""
    return chat_request(settings, wire(chat_body(settings, prompt, **members)), criteria, credential)


def chat_request(
    settings: RunSettings, body: bytes, criteria: list[str] | None = None, credential: Credential = "key"
) -> Request:
    asked = () if criteria is None else (("op-criteria", wire(criteria).decode()),)
    return post(CHAT, body, *logging(settings), *asked, credential=credential)


def with_members(request: Request, **members: Json) -> Request:
    """The same request with further members of its body, or others."""
    return replace(request, body=wire({**request.value(), **members}))


def with_headers(settings: RunSettings, request: Request, *headers: tuple[str, str]) -> Request:
    """The same request with further headers; one for a server elsewhere stays out of the service's log."""
    own = dict(headers) if settings.local else {**dict(headers), **dict(logging(settings))}
    kept = [pair for pair in request.headers if pair[0] not in own]
    return replace(request, headers=(*kept, *own.items()))


def streaming(settings: RunSettings, prompt: str = COUNTING, **members: Json) -> Request:
    return chatting(settings, prompt, stream=True, **members)


def best_of(
    settings: RunSettings, prompt: str = COUNTING, criteria: tuple[str, ...] = (), **members: Json
) -> Request:
    """A chat request for several choices, scored by `criteria`, by default by all of the run."""
    asked = list(criteria or settings.criteria)
    return chatting(settings, prompt, criteria=asked, **{"n": settings.choices, **members})


def positive(settings: RunSettings, case: Positive) -> Request:
    """The request of a positive, with ids that the server knows."""
    return request_for(settings, case.endpoint, case.body)


def edited(settings: RunSettings, edit: Edit) -> Request:
    """The request of an edit: it breaks one rule and has ids that the server knows."""
    return request_for(settings, edit.endpoint, edit.apply(with_known_ids(settings, edit.base)), edit.headers)


def request_for(
    settings: RunSettings, endpoint: str, body: Json, headers: Mapping[str, str] | None = None
) -> Request:
    body = with_known_ids(settings, body)
    if endpoint == "judge":
        return post(JUDGE, wire(body), *(headers or {}).items())
    own = () if headers and "op-log-request" in headers else logging(settings)
    return post(CHAT, wire(economical(settings, body)), *own, *(headers or {}).items())


def with_known_ids(settings: RunSettings, body: Json) -> Json:
    """The body with the run's ids in place of those from the documentation."""
    if not isinstance(body, dict):
        return body
    changed = dict(body)
    if changed.get("criterion_id") == CRITERIA[0]:
        changed["criterion_id"] = settings.criterion
    if changed.get("model") == MODELS[0]:
        changed["model"] = settings.model
    return changed
