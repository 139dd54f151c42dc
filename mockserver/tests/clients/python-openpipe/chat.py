"""Chats with the official Python client: `chat.py sync|async CHATS`; prints what each scene saw as JSON.

The scenes are written once: what the sync client returns is taken as it is, else it is awaited.
"""

import asyncio
import inspect
import json
import sys
from pathlib import Path

from openpipe import AsyncOpenAI, OpenAI
from openpipe.client import AsyncOpenPipe, OpenPipe
from openpipe.merge_openai_chunks import merge_openai_chunks
from pydantic import BaseModel

CRITERIA = ["helpful", "polite@v2"]
WORDS = {"model": "openai:gpt-4o-mini", "messages": [{"role": "user", "content": "Count to 10"}]}
TOOLS = {
    "model": "openai:gpt-4o-mini",
    "messages": [{"role": "user", "content": "What is the weather in Rome?"}],
    "tools": [{"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}],
}
WAYS = {
    "object": lambda message: message,
    "model_dump": lambda message: message.model_dump(),
    "to_dict": lambda message: message.to_dict(),
    "dict": dict,
    "exclude_none": lambda message: message.model_dump(exclude_none=True),
}
"""How users hand a message on."""


class Winner(BaseModel):
    name: str
    place: int
    rivals: list[str] = []


class Caller:
    """One of the two clients, sync or async."""

    def __init__(self, way):
        self.chat, self.op = (OpenAI(), OpenPipe()) if way == "sync" else (AsyncOpenAI(), AsyncOpenPipe())

    async def create(self, **body):
        return await settled(self.chat.chat.completions.create(**body))

    async def latest(self):
        call = await settled(self.op.base_client.local_testing_only_get_latest_logged_call())
        return {
            "cache_hit": call.cache_hit,
            "status": call.status_code,
            "metadata": call.metadata,
            "tags": call.tags,
            "answer": call.resp_payload["id"],
            "response": call.resp_payload,
        }

    async def score(self, body, output):
        seen = {name: body[name] for name in ("messages", "tools") if name in body}
        judgement = self.op.get_criterion_judgement(criterion_id="helpful", input=seen, output=output)
        return (await settled(judgement)).score


async def settled(value):
    return await value if inspect.isawaitable(value) else value


async def each(stream):
    if hasattr(stream, "__aiter__"):
        async for chunk in stream:
            yield chunk
    else:
        for chunk in stream:
            yield chunk


async def criteria_by_header(caller):
    headers = {"op-criteria": json.dumps(CRITERIA)}
    return (await caller.create(**WORDS, n=5, extra_headers=headers)).to_dict()


async def criteria_by_option(caller):
    return (await caller.create(**WORDS, n=5, openpipe={"criteria": CRITERIA})).to_dict()


async def without_criteria(caller):
    return (await caller.create(**WORDS, n=5)).to_dict()


async def parsed(caller):
    completion = await settled(caller.chat.chat.completions.parse(**WORDS, response_format=Winner, n=2))
    return [
        {"content": choice.message.content, "parsed": choice.message.parsed.model_dump()}
        for choice in completion.choices
    ]


async def parsed_asked_again(caller):
    completion = await settled(caller.chat.chat.completions.parse(**WORDS, response_format=Winner))
    question = {"role": "user", "content": "And now backwards"}
    messages = [*WORDS["messages"], completion.choices[0].message, question]
    return {"object": (await caller.create(**{**WORDS, "messages": messages})).to_dict()}


async def labelled(caller):
    completion = await caller.create(**WORDS, metadata={"prompt": "count"}, openpipe={"tags": {"nth": 3}})
    return {"answer": completion.id, "logged": await caller.latest()}


async def unlogged(caller):
    await caller.create(**WORDS)
    before = await caller.latest()
    completion = await caller.create(**WORDS, user="nobody", openpipe={"log_request": False})
    return {"answer": completion.id, "before": before, "after": await caller.latest()}


async def logged_stream(caller):
    merged = None
    async for chunk in each(await caller.create(**WORDS, n=2, stream=True)):
        merged = merge_openai_chunks(merged, chunk)
    return {"streamed": merged.to_dict(), "logged": (await caller.latest())["response"]}


async def models(caller):
    listed = (await settled(caller.op.list_models())).data
    shown = [await settled(caller.op.get_model(model_slug=model.id)) for model in listed]
    return {"listed": [model.dict() for model in listed], "shown": [model.dict() for model in shown]}


async def cached(caller):
    kept = {**WORDS, "user": f"{type(caller.chat).__name__} with a cache"}
    found = []
    for _ in range(2):
        completion = await caller.create(**kept, openpipe={"cache": "readWrite"})
        found.append({"answer": completion.id, "logged": await caller.latest()})
    return found


async def judged(caller, body):
    completion = await caller.create(**body, n=2, openpipe={"criteria": ["helpful"]})
    return [
        {
            "expected": choice.criteria_results["helpful"]["score"],
            "scores": {way: await caller.score(body, dumped(choice.message)) for way, dumped in WAYS.items()},
        }
        for choice in completion.choices
    ]


async def asked_again(caller, body):
    message = (await caller.create(**body)).choices[0].message
    results = [
        {"role": "tool", "tool_call_id": call.id, "content": "Sunny"} for call in message.tool_calls or ()
    ]
    question = results or [{"role": "user", "content": "And now backwards"}]
    found = {}
    for way, dumped in WAYS.items():
        messages = [*body["messages"], dumped(message), *question]
        found[way] = (await caller.create(**{**body, "messages": messages})).to_dict()
    return found


async def refused(caller):
    try:
        await caller.create(**WORDS, n=0)
    except Exception as error:
        return {"error": type(error).__name__, "status": error.status_code, "text": str(error)}


SCENES = {
    "criteria by header": criteria_by_header,
    "criteria by option": criteria_by_option,
    "without criteria": without_criteria,
    "parsed": parsed,
    "parsed, asked again": parsed_asked_again,
    "labelled": labelled,
    "unlogged": unlogged,
    "logged stream": logged_stream,
    "models": models,
    "cached": cached,
    "judged words": lambda caller: judged(caller, WORDS),
    "judged call": lambda caller: judged(caller, TOOLS),
    "words, asked again": lambda caller: asked_again(caller, WORDS),
    "call, asked again": lambda caller: asked_again(caller, TOOLS),
    "refused": refused,
}


async def streamed(caller, body):
    merged = None
    stream = await caller.create(**body, stream=True, stream_options={"include_usage": True})
    async for chunk in each(stream):
        merged = merge_openai_chunks(merged, chunk)
    return merged.to_dict()


async def plain(caller, body):
    return (await caller.create(**body)).to_dict()


async def seen(action, *arguments):
    """What a scene saw; one that fails doesn't keep the others from being played."""
    try:
        return await action(*arguments)
    except Exception as error:
        return {"failed": f"{type(error).__name__}: {error}"}


async def main(way, path):
    caller = Caller(way)
    chats = json.loads(Path(path).read_text(encoding="utf-8"))
    found = {
        "plain": {name: await seen(plain, caller, body) for name, body in chats.items()},
        "streamed": {name: await seen(streamed, caller, body) for name, body in chats.items()},
        **{name: await seen(scene, caller) for name, scene in SCENES.items()},
    }
    print(json.dumps(found))


asyncio.run(main(*sys.argv[1:]))
