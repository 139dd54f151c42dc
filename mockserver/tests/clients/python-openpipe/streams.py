"""Reads streams with OpenAI's client; prints for each how far it gets, as JSON.

`streams.py FILE`: the file has a JSON list of bodies, one character for each byte.
"""

import json
import sys
import warnings
from pathlib import Path

import httpx
from openai import OpenAI

BODIES = [body.encode("latin-1") for body in json.loads(Path(sys.argv[1]).read_bytes())]


def client(body):
    headers = {"content-type": "text/event-stream"}
    transport = httpx.MockTransport(lambda request: httpx.Response(200, headers=headers, content=body))
    http_client = httpx.Client(transport=transport, trust_env=False)
    return OpenAI(api_key="none", base_url="http://stream.test", http_client=http_client, max_retries=0)


def iterate(body):
    for chunk in client(body).chat.completions.create(model="m", messages=[], stream=True):
        for choice in chunk.choices:
            choice.delta.to_dict()


def joined(body):
    """Texts and calls by the index of their choice, as the helper joins them."""
    with client(body).beta.chat.completions.stream(model="m", messages=[]) as stream:
        for _ in stream:
            pass
        choices = stream.get_final_completion().choices
    return {str(choice.index): told(choice.message) for choice in choices}


def told(message):
    calls = [[call.id, call.function.name, call.function.arguments] for call in message.tool_calls or ()]
    older = message.function_call
    return [message.content or "", calls, older and [older.name, older.arguments]]


def outcome(body):
    try:
        iterate(body)
        return joined(body)
    except Exception as error:
        return type(error).__name__


warnings.simplefilter("ignore")  # pydantic's, of numbers that are no whole ones
print(json.dumps([outcome(body) for body in BODIES]))
