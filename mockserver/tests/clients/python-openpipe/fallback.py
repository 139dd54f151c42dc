"""Falls back from a model that isn't there, with the official Python client: sync and async; prints JSON."""

import asyncio
import inspect
import json

from openpipe import AsyncOpenAI, OpenAI

MISSING, THERE = "openpipe:no-such-model", "gpt-4o"
MESSAGES = [{"role": "user", "content": "Count to 10"}]


async def settled(value):
    return await value if inspect.isawaitable(value) else value


async def latest(client):
    call = await settled(
        client.openpipe_reporting_client.base_client.local_testing_only_get_latest_logged_call()
    )
    return {
        "model": call.req_payload["model"],
        "status": call.status_code,
        "error": call.error_message,
        "answer": call.resp_payload.get("id"),
        "tags": call.tags,
    }


def create(client, fallback, **body):
    options = {"fallback": {"model": fallback}, "tags": {"nth": 3}}
    return settled(client.chat.completions.create(model=MISSING, messages=MESSAGES, openpipe=options, **body))


async def answered(client):
    completion = await create(client, THERE)
    return {"model": completion.model, "answer": completion.id, "logged": await latest(client)}


async def streamed(client):
    stream = await create(client, THERE, stream=True)
    chunks = [chunk async for chunk in stream] if hasattr(stream, "__aiter__") else list(stream)
    models = sorted({chunk.model for chunk in chunks})
    return {"models": models, "answer": chunks[0].id, "logged": await latest(client)}


async def failed(client):
    try:
        await create(client, "no-such-fallback")
    except Exception as error:
        seen = {"error": type(error).__name__, "status": error.status_code}
        return {**seen, "logged": await latest(client)}


async def main():
    found = {}
    for way, client in (("sync", OpenAI()), ("async", AsyncOpenAI())):
        found[way] = {scene.__name__: await scene(client) for scene in (answered, streamed, failed)}
    print(json.dumps(found))


asyncio.run(main())
