"""What a user of litellm does with the fixtures: it sends by httpx where it is sync, and by aiohttp."""

import asyncio
import os

import pytest

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # else it asks for prices when it is imported
import litellm

COUNT = {
    "messages": [{"role": "user", "content": "Count to 3"}],
    "api_base": "https://api.openpipe.ai/api/v1",
    "api_key": "sk-real-one",
}
pytestmark = [
    pytest.mark.openpipe(block_network=True),
    pytest.mark.filterwarnings("ignore"),  # pydantic warns of litellm's types
    pytest.mark.parametrize("model", ["openai/gpt-4o-mini", "hosted_vllm/gpt-4o-mini"]),
]


@pytest.fixture
def loop():
    """An event loop for sync calls: litellm takes the thread's, and would make one that it never closes."""
    with asyncio.Runner() as runner:
        asyncio.set_event_loop(runner.get_loop())
        yield
    asyncio.set_event_loop(None)


def said(chunks):
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks)


def test_sync(openpipe_mock, loop, model):
    openpipe_mock.completion("1, 2, 3.")
    assert litellm.completion(model=model, **COUNT).choices[0].message.content == "1, 2, 3."
    assert said(litellm.completion(model=model, **COUNT, stream=True)) == "1, 2, 3."
    openpipe_mock.completed(model="gpt-4o-mini", last_user="Count to 3", times=2)


@pytest.mark.asyncio
async def test_async(openpipe_mock, model):
    openpipe_mock.completion("1, 2, 3.")
    answer = await litellm.acompletion(model=model, **COUNT)
    assert answer.choices[0].message.content == "1, 2, 3."
    chunks = [chunk async for chunk in await litellm.acompletion(model=model, **COUNT, stream=True)]
    assert said(chunks) == "1, 2, 3."
    openpipe_mock.completed(model="gpt-4o-mini", last_user="Count to 3", times=2)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ({"status": 429}, litellm.RateLimitError),
        ({"status": 503}, litellm.ServiceUnavailableError),
        ({"delay_ms": 10_000}, litellm.Timeout),
    ],
)
async def test_faults(openpipe_mock, model, fault, error):
    openpipe_mock.fault(**fault)
    with pytest.raises(error):
        await litellm.acompletion(model=model, **COUNT, timeout=5, max_retries=0)
    with pytest.raises(error):
        litellm.completion(model=model, **COUNT, timeout=5, max_retries=0)
    assert openpipe_mock.calls
