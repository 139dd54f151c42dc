"""Asks by OpenAI's Python client for a completion, a stream and a refusal; prints what it saw as JSON."""

import json

from openai import APIStatusError, OpenAI

WORDS = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Count to 10"}]}
client = OpenAI(max_retries=0)
best = client.chat.completions.create(**WORDS, n=2, extra_headers={"op-criteria": '["helpful"]'})
stream = client.chat.completions.create(**WORDS, stream=True, stream_options={"include_usage": True})
chunks = [chunk.model_dump(mode="json") for chunk in stream]
try:
    client.chat.completions.create(**WORDS, n=0)
except APIStatusError as error:
    refused = [error.status_code, error.code, str(error)]
print(json.dumps([best.model_dump(mode="json"), chunks, refused]))
