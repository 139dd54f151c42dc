"""Sends requests with the official Python client: `ask.py sync|async FILE`; prints the answers as JSON."""

import asyncio
import json
import sys
from pathlib import Path

from openpipe.api_client.core.api_error import ApiError
from openpipe.client import AsyncOpenPipe, OpenPipe


def key_for(name):
    return "invalid-key" if name == "refused key" else None


def arguments(request):
    """The client can't leave these two out; None is the nearest it gets, and is sent as null."""
    return {"input": None, "output": None, **request}


def answer(judgement):
    return {"score": judgement.score, "explanation": judgement.explanation, "usage": judgement.usage}


def refusal(error):
    return {"status": error.status_code, "body": error.body}


def ask(name, request):
    client = OpenPipe(api_key=key_for(name))
    try:
        return answer(client.get_criterion_judgement(**arguments(request)))
    except ApiError as error:
        return refusal(error)


async def ask_async(name, request):
    client = AsyncOpenPipe(api_key=key_for(name))
    try:
        return answer(await client.get_criterion_judgement(**arguments(request)))
    except ApiError as error:
        return refusal(error)


async def ask_all(requests):
    """All at once."""
    answers = await asyncio.gather(*(ask_async(name, request) for name, request in requests.items()))
    return dict(zip(requests, answers, strict=True))


if __name__ == "__main__":
    way, path = sys.argv[1:]
    requests = json.loads(Path(path).read_text(encoding="utf-8"))
    if way == "async":
        print(json.dumps(asyncio.run(ask_all(requests))))
    else:
        print(json.dumps({name: ask(name, request) for name, request in requests.items()}))
