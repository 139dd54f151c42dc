"""Chats with OpenAI's Python client: `chat.py CHATS`; prints what each scene saw as JSON.

The client finds the mock by OPENAI_BASE_URL and OPENAI_API_KEY alone.
"""

import asyncio
import json
import sys
import urllib.request
import warnings
from pathlib import Path

import openai
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel

WORDS = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Count to 10"}]}
TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
WEATHER = {
    "model": "gpt-4o-mini",
    "messages": [{"role": "user", "content": "What is the weather in Rome?"}],
    "tools": [TOOL],
}
CRITERIA = {"op-criteria": '["helpful", "polite@v2"]'}
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


class Weather(BaseModel):
    city: str
    days: list[int]


client = OpenAI(max_retries=0)


def create(**body):
    return client.chat.completions.create(**body)


def criteria():
    return create(**WORDS, n=5, extra_headers=CRITERIA).to_dict()


def without_criteria():
    return create(**WORDS, n=5).to_dict()


def agent():
    """Calls tools until the answer is in words, for ten turns at most."""
    messages, turns = list(WEATHER["messages"]), []
    for _ in range(10):
        choice = create(model=WEATHER["model"], messages=messages, tools=[TOOL]).choices[0]
        turns.append(choice.finish_reason)
        if not choice.message.tool_calls:
            return {"turns": turns, "answer": choice.message.content}
        messages.append(choice.message)
        for call in choice.message.tool_calls:
            city = json.loads(call.function.arguments)["city"]
            messages.append({"role": "tool", "tool_call_id": call.id, "content": f"Rain in {city}"})
    return {"turns": turns}


def parsed():
    message = client.chat.completions.parse(**WORDS, response_format=Winner).choices[0].message
    return {"content": json.loads(message.content), "parsed": message.parsed.model_dump()}


def parsed_call():
    tool = openai.pydantic_function_tool(Weather)
    completion = client.chat.completions.parse(**WORDS, tools=[tool], tool_choice="required")
    [call] = completion.choices[0].message.tool_calls
    return {"name": call.function.name, "parsed": call.function.parsed_arguments.model_dump()}


def parsed_asked_again():
    """A message that the client has parsed carries what it made of it, as an object or in its dump."""
    message = client.chat.completions.parse(**WORDS, response_format=Winner).choices[0].message
    question = {"role": "user", "content": "And now backwards"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the client dumps what its own types don't foresee
        return {
            way: create(**{**WORDS, "messages": [*WORDS["messages"], WAYS[way](message), question]}).to_dict()
            for way in ("object", "model_dump", "to_dict")
        }


def streamed_call_asked_again():
    """The message of a call that the client's helper has put together from a stream."""
    strict = {**TOOL["function"], "strict": True}
    strict["parameters"] = {**strict["parameters"], "additionalProperties": False}
    body = {**WEATHER, "tools": [{"type": "function", "function": strict}]}
    with client.chat.completions.stream(**body) as stream:
        message = stream.get_final_completion().choices[0].message
    result = {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "Sunny"}
    return {
        way: create(**{**body, "messages": [*body["messages"], WAYS[way](message), result]}).to_dict()
        for way in ("object", "model_dump", "to_dict")
    }


def parsed_too_short():
    try:
        client.chat.completions.parse(**WORDS, response_format=Winner, max_tokens=1)
    except openai.LengthFinishReasonError as error:
        return error.completion.choices[0].finish_reason


def parsed_stream():
    with client.chat.completions.stream(**WORDS, response_format=Winner) as stream:
        kinds = [event.type for event in stream]
        return {
            "kinds": sorted(set(kinds)),
            "parsed": stream.get_final_completion().choices[0].message.parsed.model_dump(),
        }


def counted_stream():
    chunks = list(create(**WORDS, stream=True, stream_options={"include_usage": True}))
    return {
        "usage": [chunk.usage and chunk.usage.to_dict() for chunk in chunks],
        "choices": [len(chunk.choices) for chunk in chunks],
        "roles": [choice.delta.role for chunk in chunks for choice in chunk.choices],
        "ends": [choice.finish_reason for chunk in chunks for choice in chunk.choices],
    }


def raw():
    response = client.chat.completions.with_raw_response.create(**WORDS)
    again = client.chat.completions.with_raw_response.create(**WORDS)
    return {
        "status": response.status_code,
        "type": response.headers["content-type"],
        "id": response.parse().id,
        "same bytes": response.content == again.content,
    }


def from_async_client():
    async def ask():
        async with AsyncOpenAI(max_retries=0) as client:
            completion = client.chat.completions.create(**WORDS)
            chunks = client.chat.completions.create(**WORDS, stream=True)
            plain, stream = await asyncio.gather(completion, chunks)
            pieces = [choice.delta.content or "" async for chunk in stream for choice in chunk.choices]
            return {"plain": plain.choices[0].message.content, "streamed": "".join(pieces)}

    return asyncio.run(ask())


def judge(body, output):
    """The score that the judge endpoint gives; openai's clients don't know it."""
    message = output.to_dict() if isinstance(output, BaseModel) else output
    asked = {
        "criterion_id": "helpful",
        "input": {name: body[name] for name in ("messages", "tools") if name in body},
        "output": message,
    }
    text = json.dumps(asked, default=lambda value: value.model_dump())
    headers = {"Authorization": f"Bearer {client.api_key}", "Content-Type": "application/json"}
    request = urllib.request.Request(f"{client.base_url}criteria/judge", text.encode(), headers)
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)["score"]


def judged(body):
    completion = create(**body, n=2, extra_headers={"op-criteria": '["helpful"]'})
    return [
        {
            "expected": choice.criteria_results["helpful"]["score"],
            "scores": {way: judge(body, dumped(choice.message)) for way, dumped in WAYS.items()},
        }
        for choice in completion.choices
    ]


def asked_again(body):
    message = create(**body).choices[0].message
    results = [
        {"role": "tool", "tool_call_id": call.id, "content": "Sunny"} for call in message.tool_calls or ()
    ]
    question = results or [{"role": "user", "content": "And now backwards"}]
    return {
        way: create(**{**body, "messages": [*body["messages"], dumped(message), *question]}).to_dict()
        for way, dumped in WAYS.items()
    }


def nulls():
    """A None that a user passes is sent as null, and means nothing."""
    without = ("n", "stop", "tools", "functions", "response_format", "logprobs", "max_tokens", "metadata")
    return {
        "plain": create(**WORDS).to_dict(),
        "nulls": create(**WORDS, **dict.fromkeys(without)).to_dict(),
    }


def refusal(client, **body):
    return refused(lambda: client.chat.completions.create(**body))


def refused(action):
    try:
        action()
    except openai.APIStatusError as error:
        seen = {"error": type(error).__name__, "status": error.status_code, "code": error.code}
        return {**seen, "text": str(error), "message": error.body["message"]}


def refusals():
    invalid = OpenAI(api_key="invalid-x", max_retries=0)
    elsewhere = OpenAI(base_url=f"{client.base_url}nowhere", max_retries=0)
    message = {"role": "robot", "content": "Beep"}
    return {
        "key": refusal(invalid, **WORDS),
        "role": refusal(client, model="gpt-4o-mini", messages=[message]),
        "n": refusal(client, **WORDS, n=0),
        "path": refusal(elsewhere, **WORDS),
        "responses": refused(lambda: client.responses.create(model="gpt-4o-mini", input="Count to 10")),
        "criterion": refusal(client, **WORDS, extra_headers={"op-criteria": '["helpful@new"]'}),
        "stream with criteria": refusal(client, **WORDS, stream=True, extra_headers=CRITERIA),
    }


def models():
    listed = list(client.models.list())
    shown = [client.models.retrieve(model.id) for model in listed]
    # The provider's types have a text for `created`, OpenAI's a number.
    return {
        name: [model.to_dict(warnings=False) for model in found]
        for name, found in {"listed": listed, "shown": shown}.items()
    }


SCENES = {
    "criteria": criteria,
    "without criteria": without_criteria,
    "agent": agent,
    "parsed": parsed,
    "parsed call": parsed_call,
    "parsed, asked again": parsed_asked_again,
    "streamed call, asked again": streamed_call_asked_again,
    "parsed too short": parsed_too_short,
    "parsed stream": parsed_stream,
    "counted stream": counted_stream,
    "raw": raw,
    "async": from_async_client,
    "judged words": lambda: judged(WORDS),
    "judged call": lambda: judged(WEATHER),
    "words, asked again": lambda: asked_again(WORDS),
    "call, asked again": lambda: asked_again(WEATHER),
    "nulls": nulls,
    "refusals": refusals,
    "models": models,
}


def plain(body):
    return create(**body).to_dict()


def streamed(body):
    """What the client's own helper puts together, before it would refuse an answer that is cut off."""
    with client.chat.completions.stream(**body, stream_options={"include_usage": True}) as stream:
        for _ in stream:
            pass
        return stream.current_completion_snapshot.to_dict()


def seen(action, *arguments):
    """What a scene saw; one that fails doesn't keep the others from being played."""
    try:
        return action(*arguments)
    except Exception as error:
        return {"failed": f"{type(error).__name__}: {error}"}


def main(path):
    chats = json.loads(Path(path).read_text(encoding="utf-8"))
    found = {
        "plain": {name: seen(plain, body) for name, body in chats.items()},
        "streamed": {name: seen(streamed, body) for name, body in chats.items()},
        **{name: seen(scene) for name, scene in SCENES.items()},
    }
    print(json.dumps(found))


main(*sys.argv[1:])
