"""The requests of the suite, as data: the same aim gives the same bytes, in any process."""

from collections.abc import Mapping
from typing import Any

from openpipe_mock.contract.probe import Credential, Request, wire
from openpipe_mock.payloads.edits import Edit
from openpipe_mock.payloads.valid import Positive

from .settings import CRITERIA, MODELS, Aim, belted

Json = Any

JUDGE = "/criteria/judge"
CHAT = "/chat/completions"
JSON_TYPE = ("content-type", "application/json")
NO_LOG = ("op-log-request", "false")

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


def judge_body(aim: Aim, criterion: str = "", **members: Json) -> dict[str, Json]:
    return {"criterion_id": criterion or aim.criterion, "output": OUTPUT, **members}


def judging(aim: Aim, criterion: str = "", *, credential: Credential = "key", **members: Json) -> Request:
    """A judge request; the smallest one when nothing is said."""
    return post(JUDGE, wire(judge_body(aim, criterion, **members)), credential=credential)


def said(text: str) -> list[Json]:
    return [{"role": "user", "content": text}]


def chat_body(aim: Aim, prompt: str = COUNTING, **members: Json) -> dict[str, Json]:
    body: dict[str, Json] = belted(aim, {"model": aim.model, "messages": said(prompt), **members})
    return body


def logging(aim: Aim) -> tuple[tuple[str, str], ...]:
    """The header that keeps a request out of the paid service's log."""
    return () if aim.local else (NO_LOG,)


def chatting(
    aim: Aim,
    prompt: str = COUNTING,
    *,
    criteria: list[str] | None = None,
    credential: Credential = "key",
    **members: Json,
) -> Request:
    """A chat request; the smallest one when nothing is said."""
    return chat_request(aim, wire(chat_body(aim, prompt, **members)), criteria, credential)


def chat_request(
    aim: Aim, body: bytes, criteria: list[str] | None = None, credential: Credential = "key"
) -> Request:
    asked = () if criteria is None else (("op-criteria", wire(criteria).decode()),)
    return post(CHAT, body, *logging(aim), *asked, credential=credential)


def streaming(aim: Aim, prompt: str = COUNTING, **members: Json) -> Request:
    return chatting(aim, prompt, stream=True, **members)


def best_of(aim: Aim, prompt: str = COUNTING, criteria: tuple[str, ...] = (), **members: Json) -> Request:
    """Several choices, scored by every criterion of the run."""
    asked = list(criteria or aim.criteria)
    return chatting(aim, prompt, criteria=asked, **{"n": aim.choices, **members})


def positive(aim: Aim, case: Positive) -> Request:
    """A valid body with ids that the server knows."""
    return sent(aim, case.endpoint, case.body)


def edited(aim: Aim, edit: Edit) -> Request:
    """A body that breaks one rule; all else in it is as the server knows it."""
    return sent(aim, edit.endpoint, edit.apply(known(aim, edit.base)), edit.headers)


def sent(aim: Aim, endpoint: str, body: Json, headers: Mapping[str, str] | None = None) -> Request:
    body = known(aim, body)
    if endpoint == "judge":
        return post(JUDGE, wire(body), *(headers or {}).items())
    own = () if headers and "op-log-request" in headers else logging(aim)
    return post(CHAT, wire(belted(aim, body)), *own, *(headers or {}).items())


def known(aim: Aim, body: Json) -> Json:
    """The body with the documentation's ids replaced by the run's."""
    if not isinstance(body, dict):
        return body
    changed = dict(body)
    if changed.get("criterion_id") == CRITERIA[0]:
        changed["criterion_id"] = aim.criterion
    if changed.get("model") == MODELS[0]:
        changed["model"] = aim.model
    return changed
