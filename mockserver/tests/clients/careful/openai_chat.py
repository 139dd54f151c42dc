"""A careful program with OpenAI's Python client, of any version: `openai_chat.py sync|async`.

It relies on what the contract says and on what the client promises, and ends with an exception where either
lets it down.
"""

import asyncio
import inspect
import json
import sys

import openai
from pydantic import BaseModel

CRITERIA = ["helpful", "polite"]
MODEL = "openai:gpt-4o-mini"
WORDS = {"model": MODEL, "messages": [{"role": "user", "content": "Count to 10"}]}
TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "strict": True,
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}
WEATHER = {
    "model": MODEL,
    "messages": [{"role": "user", "content": "What is the weather in Rome?"}],
    "tools": [TOOL],
    "tool_choice": "required",
}


class Winner(BaseModel):
    name: str
    place: int


async def settled(value):
    return await value if inspect.isawaitable(value) else value


async def each(stream):
    if hasattr(stream, "__aiter__"):
        async for item in stream:
            yield item
    else:
        for item in stream:
            yield item


class Program:
    def __init__(self, way):
        self.chat = (openai.OpenAI() if way == "sync" else openai.AsyncOpenAI()).chat.completions

    async def create(self, **body):
        return await settled(self.chat.create(**body))

    async def best_of_n(self):
        """The best choice is the first one, whatever its index."""
        headers = {"op-criteria": json.dumps(CRITERIA)}
        choices = (await self.create(**WORDS, n=3, extra_headers=headers)).choices
        assert len(choices) == 3
        assert choices[0].message.content
        totals = [self.total(choice.criteria_results) for choice in choices]
        assert totals == sorted(totals, reverse=True), totals

    def total(self, results):
        """A criterion that failed counts as 0."""
        assert set(results) == set(CRITERIA)
        return sum(each["score"] if each["status"] == "success" else 0 for each in results.values())

    async def with_logprobs(self):
        [choice] = (await self.create(**WORDS, logprobs=True, top_logprobs=2)).choices
        if choice.logprobs and choice.logprobs.content:
            assert "".join(each.token for each in choice.logprobs.content) == choice.message.content

    async def streamed(self):
        text, finish = "", None
        options = {"include_usage": True}
        async for chunk in each(await self.create(**WORDS, stream=True, stream_options=options)):
            for choice in chunk.choices:
                text += choice.delta.content or ""
                finish = choice.finish_reason or finish
        assert text
        assert finish == "stop"

    async def streamed_by_the_helper(self):
        completion = await self.whole(**WORDS, n=2, stream_options={"include_usage": True})
        assert [choice.index for choice in completion.choices] == [0, 1]
        assert all(choice.message.content for choice in completion.choices)

    async def streamed_calls(self):
        completion = await self.whole(**WEATHER)
        self.calls(completion.choices[0].message)

    async def whole(self, **body):
        """What the client's helper puts together from a stream."""
        manager = self.chat.stream(**body)
        if hasattr(manager, "__aenter__"):
            async with manager as stream:
                async for _ in stream:
                    pass
                return await stream.get_final_completion()
        with manager as stream:
            for _ in stream:
                pass
            return stream.get_final_completion()

    async def called(self):
        self.calls((await self.create(**WEATHER)).choices[0].message)

    def calls(self, message):
        [call] = message.tool_calls
        assert call.function.name == "get_weather"
        assert json.loads(call.function.arguments)["city"]

    async def parsed(self):
        completion = await settled(self.chat.parse(**WORDS, response_format=Winner))
        assert isinstance(completion.choices[0].message.parsed, Winner)

    async def refused(self):
        assert "no such criterion" in await self.reason({"op-criteria": '["no such criterion"]'})

    async def reason(self, headers):
        """What the client's user reads in its error."""
        try:
            await self.create(**WORDS, extra_headers=headers)
        except openai.NotFoundError as error:
            return str(error)
        raise AssertionError("an error was expected")

    async def run(self):
        scenes = (
            self.best_of_n,
            self.with_logprobs,
            self.streamed,
            self.streamed_by_the_helper,
            self.streamed_calls,
            self.called,
            self.parsed,
            self.refused,
        )
        for scene in scenes:
            await scene()


if __name__ == "__main__":
    asyncio.run(Program(*sys.argv[1:]).run())
