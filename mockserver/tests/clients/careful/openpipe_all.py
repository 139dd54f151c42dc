"""A careful program with the official Python client: `openpipe_all.py sync|async`.

It relies on what the contract says and on what the client promises, and ends with an exception where either
lets it down. The judge's client doesn't try again and hands no headers on, so the program waits by itself.
"""

import asyncio
import inspect
import json
import sys

from openpipe import AsyncOpenAI, OpenAI
from openpipe.api_client.core.api_error import ApiError
from openpipe.client import AsyncOpenPipe, OpenPipe
from openpipe.merge_openai_chunks import merge_openai_chunks
from pydantic import BaseModel

CRITERIA = ["helpful", "polite"]
MESSAGES = [{"role": "user", "content": "Count to 10"}]
WORDS = {"model": "openai:gpt-4o-mini", "messages": MESSAGES}
ELSEWHERE = {"model": "gpt-4o-mini", "messages": MESSAGES}
"""A model that the client asks for at OpenAI's address; it reports the call to OpenPipe."""
TOOL = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}
WEATHER = {
    "messages": [{"role": "user", "content": "What is the weather in Rome?"}],
    "tools": [TOOL],
    "tool_choice": "required",
}
ATTEMPTS, PAUSE = 3, 1.0


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
        self.openai, self.openpipe = (
            (OpenAI(), OpenPipe()) if way == "sync" else (AsyncOpenAI(), AsyncOpenPipe())
        )

    async def create(self, **body):
        return await settled(self.openai.chat.completions.create(**body))

    async def ask(self, criterion):
        output = {"role": "assistant", "content": "1, 2, 3"}
        asked = self.openpipe.get_criterion_judgement(
            criterion_id=criterion, input={"messages": MESSAGES}, output=output
        )
        return await settled(asked)

    async def judged(self):
        for attempt in range(ATTEMPTS):
            try:
                judgement = await self.ask("helpful")
                break
            except ApiError as error:
                if error.status_code not in (429, 503) or attempt == ATTEMPTS - 1:
                    raise
            await asyncio.sleep(PAUSE * 2**attempt)
        assert 0 <= judgement.score <= 1
        assert judgement.explanation is None or isinstance(judgement.explanation, str)

    async def best_of_n(self):
        """The best choice is the first one, whatever its index."""
        choices = (await self.create(**WORDS, n=3, openpipe={"criteria": CRITERIA})).choices
        assert len(choices) == 3
        assert choices[0].message.content
        totals = [self.total(choice.criteria_results) for choice in choices]
        assert totals == sorted(totals, reverse=True), totals

    def total(self, results):
        """A criterion that failed counts as 0."""
        assert set(results) == set(CRITERIA)
        return sum(each["score"] if each["status"] == "success" else 0 for each in results.values())

    async def streamed(self):
        for body in (WORDS, ELSEWHERE):
            text, merged = "", None
            async for chunk in each(await self.create(**body, stream=True)):
                text += "".join(choice.delta.content or "" for choice in chunk.choices)
                merged = merge_openai_chunks(merged, chunk)
            [choice] = merged.choices
            assert choice.message.content == text
            assert choice.finish_reason == "stop"

    async def streamed_calls(self):
        for model in ("openai:gpt-4o-mini", "gpt-4o-mini"):
            merged = None
            async for chunk in each(await self.create(model=model, **WEATHER, stream=True)):
                merged = merge_openai_chunks(merged, chunk)
            self.calls(merged.choices[0].message)

    async def called(self):
        for model in ("openai:gpt-4o-mini", "gpt-4o-mini"):
            self.calls((await self.create(model=model, **WEATHER)).choices[0].message)

    def calls(self, message):
        [call] = message.tool_calls
        assert call.function.name == "get_weather"
        json.loads(call.function.arguments)

    async def parsed(self):
        completion = await settled(self.openai.chat.completions.parse(**WORDS, response_format=Winner))
        assert isinstance(completion.choices[0].message.parsed, Winner)

    async def refused(self):
        error = await self.error("no such criterion")
        assert error.status_code == 404, error
        assert error.body["message"], error

    async def error(self, criterion):
        try:
            await self.ask(criterion)
        except ApiError as error:
            return error
        raise AssertionError("an error was expected")

    async def run(self):
        scenes = (
            self.judged,
            self.best_of_n,
            self.streamed,
            self.streamed_calls,
            self.called,
            self.parsed,
            self.refused,
        )
        for scene in scenes:
            await scene()


if __name__ == "__main__":
    asyncio.run(Program(*sys.argv[1:]).run())
