"""A correct double as one writes it in an afternoon: Starlette's defaults, and a chat that looks at little.

It has a cache, a log and a rate limit, and takes any key, at chat even none.
"""

import hashlib
import json
from typing import Any

import jsonschema_rs
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

Json = Any
ROLES = ("system", "developer", "user", "assistant", "tool", "function")
LATEST = 2
HOUSE_RULES = "house-rules"


def lenient(schema: Json) -> Json:
    """A schema that lets unknown members in: they are stripped."""
    if isinstance(schema, dict):
        return {
            name: lenient(part) for name, part in schema.items() if name != "additionalProperties" or part
        }
    return [lenient(part) for part in schema] if isinstance(schema, list) else schema


def problem(message: str, status: int = 422) -> Response:
    return JSONResponse({"message": message, "code": "UNPROCESSABLE_CONTENT"}, status)


def score(criterion: str, text: str) -> float:
    name, _, version = criterion.partition("@v")
    seen = f"{name} {version or LATEST} {text}"
    return int.from_bytes(hashlib.sha256(seen.encode("utf-8", "replace")).digest()[:4]) / 2**32


def calls(body: Json, older: bool) -> Json:
    """The function that is named, or the first one."""
    offered = body["functions"] if older else [tool["function"] for tool in body["tools"]]
    choice = body["function_call"] if older else body["tool_choice"]
    wanted = choice if older or isinstance(choice, str) else choice.get("function", {})
    name = wanted.get("name") if isinstance(wanted, dict) else None
    function = next((each for each in offered if each.get("name") == name), offered[0])
    return {"name": function.get("name"), "arguments": '{"place": "Paris"}'}


def message(body: Json, number: int) -> Json:
    """What a choice says. A request that makes no sense raises an error of Python's."""
    if body.get("tools") and body.get("tool_choice") not in (None, "none", "auto"):
        call = {"id": f"call_{number}", "type": "function", "function": calls(body, older=False)}
        return {"role": "assistant", "content": None, "tool_calls": [call]}
    if body.get("functions") and isinstance(body.get("function_call"), dict):
        return {"role": "assistant", "content": None, "function_call": calls(body, older=True)}
    if body.get("response_format") and body["response_format"].get("type") != "text":
        return {"role": "assistant", "content": json.dumps({"seven": number})}
    return {"role": "assistant", "content": f"The answer, in words of number {number}."}


class PlainStarlette:
    """The application, with what it remembers."""

    def __init__(self, document: Json, every: int = 60) -> None:
        schema = {**lenient(document), "$ref": "#/components/schemas/JudgeCriteriaRequest"}
        self.validator = jsonschema_rs.validator_for(schema)
        self.log: list[Json] = []
        self.cache: dict[bytes, Json] = {}
        self.every = every
        self.app = Starlette(
            routes=[
                Route("/api/v1/criteria/judge", self.judge, methods=["POST"]),
                Route("/api/v1/chat/completions", self.chat, methods=["POST"]),
            ]
        )

    def busy(self) -> Response | None:
        self.log.append(None)
        if len(self.log) % self.every:
            return None
        content = {"message": "Slow down", "code": "TOO_MANY_REQUESTS"}
        return JSONResponse(content, 429, {"Retry-After": "0"})

    async def judge(self, request: Request) -> Response:
        if busy := self.busy():
            return busy
        if "authorization" not in request.headers:
            return JSONResponse({"message": "Who are you?", "code": "UNAUTHORIZED"}, 401)
        try:
            body = json.loads(await request.body())
        except ValueError:
            return problem("That is no JSON", 400)
        if not self.validator.is_valid(body):
            return problem("That is no judge request")
        return JSONResponse(
            {"score": score(body["criterion_id"], json.dumps(body["output"], sort_keys=True))}
        )

    async def chat(self, request: Request) -> Response:
        if busy := self.busy():
            return busy
        raw = await request.body()
        try:
            body = json.loads(raw)
            if "model" not in body or any(each["role"] not in ROLES for each in body["messages"]):
                return problem("A model and messages with known roles, please")
        except (ValueError, TypeError, KeyError):
            return problem("That is no JSON of a chat request", 400)
        try:
            return self.completed(body, raw, request)
        except (ValueError, TypeError, KeyError, AttributeError):
            return problem("That makes no sense")

    def completed(self, body: Json, raw: bytes, request: Request) -> Response:
        answer = self.cache.get(raw) if request.headers.get("op-cache") in ("readWrite", "readOnly") else None
        answer = answer or self.completion(body)
        if request.headers.get("op-cache") in ("readWrite", "writeOnly"):
            self.cache[raw] = answer
        if request.headers.get("op-log-request") == "true":
            self.log[-1] = answer
        if body.get("stream") is True:
            return StreamingResponse(
                self.events(answer), headers={"Cache-Control": "no-cache"}, media_type="text/event-stream"
            )
        return JSONResponse(self.judged(answer, request.headers.get("op-criteria", "")))

    def completion(self, body: Json) -> Json:
        number = body.get("n") if isinstance(body.get("n"), int) else 1
        choices = [
            {"index": index, "message": message(body, index), "finish_reason": "stop"}
            for index in range(min(max(1, number or 1), 128))
        ]
        head = {"id": f"chatcmpl-{len(self.log)}", "object": "chat.completion", "created": 1_760_000_000.5}
        return {**head, "model": body["model"], "choices": choices, "service_tier": "default"}

    def judged(self, answer: Json, header: str) -> Json:
        """The choices in falling order of their sums. Where nobody asks, the house rules judge."""
        try:
            asked = [each for each in json.loads(header) if isinstance(each, str)]
        except (ValueError, TypeError):
            asked = []
        choices = []
        for choice in answer["choices"]:
            text = json.dumps(choice["message"], sort_keys=True)
            results = {
                each.partition("@")[0]: {"status": "success", "score": score(each, text)}
                for each in asked or [HOUSE_RULES]
            }
            choices.append({**choice, "criteria_results": results})
        choices.sort(key=lambda one: -sum(each["score"] for each in one["criteria_results"].values()))
        return {**answer, "choices": choices}

    async def events(self, answer: Json) -> Any:
        """One choice after the other, its role, its message and its end."""
        head = {
            **{name: answer[name] for name in ("id", "created", "model")},
            "object": "chat.completion.chunk",
        }
        for choice in answer["choices"]:
            said = {name: part for name, part in choice["message"].items() if part is not None}
            said["tool_calls"] = [{**call, "index": 0} for call in said.get("tool_calls", ())]
            for delta, reason in ((said, None), ({}, "stop")):
                part = {"index": choice["index"], "delta": delta, "finish_reason": reason}
                yield f"data: {json.dumps({**head, 'choices': [part]})}\n\n"
        yield "data: [DONE]\n\n"
