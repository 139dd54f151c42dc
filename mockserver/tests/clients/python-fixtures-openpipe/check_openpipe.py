"""What a user of openpipe 5.0.0 does with the fixtures: run by pytest where that client is installed."""

import os
import time

import anyio
import httpx
import openai
import openpipe
import pytest
import respx
from openpipe.api_client.core.api_error import ApiError
from openpipe.client import AsyncOpenPipe, OpenPipe

from openpipe_mock import NetworkRefused, patched, respx_router

SAID = {"role": "assistant", "content": "1, 2, 3."}
COUNT = {"model": "openai:gpt-4o-mini", "messages": [{"role": "user", "content": "Count to 3"}]}
JUDGE = {"extra_headers": {"op-criteria": '["helpful"]'}}

# Clients that are built before any test, with keys that look real.
os.environ["OPENPIPE_API_KEY"] = "opk-real-one"
os.environ["OPENAI_API_KEY"] = "sk-real-one"
EARLY = OpenPipe()
EARLY_ASYNC = AsyncOpenPipe()
EARLY_OPENAI = openai.OpenAI()
EARLY_WRAPPED = openpipe.OpenAI()


def judge(client, **more):
    return client.get_criterion_judgement(criterion_id="helpful", input={"messages": []}, output=SAID, **more)


def test_sync(openpipe_mock):
    openpipe_mock.criterion("helpful").by_output({"1, 2, 3.": 0.7})
    assert [judge(client).score for client in (EARLY, OpenPipe())] == [0.7, 0.7]
    openpipe_mock.judged("helpful", output="1, 2, 3.", times=2)
    openpipe_mock.assert_contract_kept()


@pytest.mark.asyncio
async def test_async_on_asyncio(openpipe_mock):
    openpipe_mock.criterion("helpful").sequence([1, 0])
    assert [(await judge(client)).score for client in (EARLY_ASYNC, AsyncOpenPipe())] == [1, 0]


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_async_on_anyio(openpipe_mock, anyio_backend):
    scores = []
    openpipe_mock.criterion("helpful").score(0.3)

    async def ask():
        scores.append((await judge(AsyncOpenPipe())).score)

    async with anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(ask)
    assert scores == [0.3] * 5
    assert len({call.id for call in openpipe_mock.calls}) == 5


def test_the_wrapper_completes_and_judges(openpipe_mock):
    openpipe_mock.completion(choices=["no", "1, 2, 3."])
    openpipe_mock.criterion("helpful").by_output({"1, 2, 3.": 1, "no": 0})
    client = openpipe.OpenAI()
    answer = client.chat.completions.create(**COUNT, n=2, extra_headers={"op-criteria": '["helpful"]'})
    assert answer.choices[0].message.content == "1, 2, 3."
    openpipe_mock.completed(model="openai:gpt-4o-mini", criteria=["helpful"], times=1)


def test_the_wrapper_streams(openpipe_mock):
    openpipe_mock.completion("1, 2, 3.")
    chunks = openpipe.OpenAI().chat.completions.create(**{**COUNT, "model": "openpipe:mine"}, stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "1, 2, 3."
    [call] = openpipe_mock.completed(streamed=True)
    assert call.answer[-1] == "[DONE]"


@pytest.mark.asyncio
async def test_the_async_wrapper_streams(openpipe_mock):
    openpipe_mock.completion("1, 2, 3.")
    client = openpipe.AsyncOpenAI()
    chunks = await client.chat.completions.create(**{**COUNT, "model": "openpipe:mine"}, stream=True)
    texts = [chunk.choices[0].delta.content or "" async for chunk in chunks if chunk.choices]
    assert "".join(texts) == "1, 2, 3."


def test_the_wrapper_reports_what_goes_to_openai(openpipe_mock):
    """A model without prefix goes to OpenAI's own host, and its log to the service: both are the mock's."""
    answer = EARLY_WRAPPED.chat.completions.create(model="gpt-4o-mini", messages=COUNT["messages"])
    assert answer.choices[0].message.content
    assert [call.endpoint for call in openpipe_mock.calls] == ["chat", "report"]


@pytest.mark.asyncio
async def test_the_async_wrapper_reports_too(openpipe_mock):
    client = openpipe.AsyncOpenAI()
    await client.chat.completions.create(model="gpt-4o-mini", messages=COUNT["messages"])
    with anyio.fail_after(20):
        while len(openpipe_mock.calls) < 2:  # it reports in the background
            await anyio.sleep(0.01)
    assert [call.endpoint for call in openpipe_mock.calls] == ["chat", "report"]


@pytest.mark.openpipe(providers="refuse")
def test_openai_is_refused(openpipe_mock):
    client = openai.OpenAI(max_retries=0)
    with pytest.raises(openai.APIConnectionError) as caught:
        client.chat.completions.create(**COUNT)
    assert 'providers="pass"' in str(caught.value.__cause__)
    assert openpipe_mock.calls == []


@pytest.mark.parametrize("provider", ["anthropic:claude-3-haiku", "gemini:gemini-2.0-flash"])
def test_other_providers_are_answered_where_the_service_passes_them_on(openpipe_mock, provider):
    answer = openpipe.OpenAI().chat.completions.create(model=provider, messages=COUNT["messages"])
    assert answer.choices
    openpipe_mock.completed(model=provider)


def test_openai_197_streams_lazily(openpipe_mock):
    openpipe_mock.completion("one two three four five six")
    stream = EARLY_OPENAI.chat.completions.create(**COUNT, stream=True)
    first = next(iter(stream))
    assert first.choices[0].delta.role == "assistant"
    stream.close()
    [call] = openpipe_mock.calls
    assert 1 <= len(call.answer) < 4
    assert "[DONE]" not in call.answer


def test_a_delay_costs_nothing_and_a_timeout_fires(openpipe_mock):
    openpipe_mock.fault(delay_ms=60_000)
    started = time.monotonic()
    judge(OpenPipe(timeout=90))
    with pytest.raises(openai.APITimeoutError):
        openai.OpenAI(timeout=5, max_retries=0).chat.completions.create(**COUNT)
    assert openpipe_mock.clock.now == 65
    assert time.monotonic() - started < 60


def test_retries_wait_on_the_mocks_clock(openpipe_mock, monkeypatch):
    monkeypatch.setattr("time.sleep", openpipe_mock.clock.advance)
    openpipe_mock.limits(requests_per_minute=1)
    for _ in range(3):
        openai.OpenAI(max_retries=1).chat.completions.create(**COUNT)
    assert [call.status for call in openpipe_mock.calls] == [200, 429, 200, 429, 200]
    assert openpipe_mock.clock.now == 120


def test_what_is_refused_is_the_cause_of_openais_own_error(openpipe_mock, monkeypatch):
    monkeypatch.setattr("time.sleep", openpipe_mock.clock.advance)
    client = openai.OpenAI(base_url="https://api.anthropic.com/v1")
    with pytest.raises(openai.APIConnectionError) as caught:
        client.chat.completions.create(**COUNT)
    assert isinstance(caught.value.__cause__, NetworkRefused)


FAULTS = [
    ({"status": 503}, openai.InternalServerError),
    ({"status": 429, "retry_after": 1}, openai.RateLimitError),
    ({"disconnect": True}, openai.APIConnectionError),
    ({"delay_ms": 10_000}, openai.APITimeoutError),
    ({"timeout": True}, openai.APITimeoutError),
]


@pytest.mark.parametrize(("fault", "error"), FAULTS)
def test_faults_are_openais_own_errors(openpipe_mock, fault, error):
    openpipe_mock.fault(**fault)
    with pytest.raises(error):
        openai.OpenAI(max_retries=0, timeout=5).chat.completions.create(**COUNT)


def test_the_timeouts_of_the_official_client(openpipe_mock):
    """A judgement has 240 seconds, whatever the client was made with."""
    openpipe_mock.fault(timeout=True)
    with pytest.raises(httpx.ReadTimeout):
        judge(OpenPipe(timeout=1))
    assert openpipe_mock.clock.now == 240
    openpipe_mock.reset()
    openpipe_mock.fault(timeout=True, after_events=2)
    stream = openai.OpenAI(timeout=5).chat.completions.create(**COUNT, stream=True)
    assert [next(stream).object for _ in range(2)] == ["chat.completion.chunk"] * 2
    with pytest.raises(httpx.ReadTimeout):
        next(stream)


def test_functions_answer_and_judge(openpipe_mock):
    def failing(request):
        raise KeyError("mine")

    openpipe_mock.criterion("helpful").by(lambda given, output: 0.125)
    assert judge(OpenPipe()).score == 0.125
    openpipe_mock.completion(answer=failing)
    with pytest.raises(openai.APIConnectionError) as caught:
        openai.OpenAI(max_retries=0).chat.completions.create(**COUNT)
    assert isinstance(caught.value.__cause__, KeyError)


def test_a_fault_of_the_judge(openpipe_mock):
    openpipe_mock.criterion("helpful").fails(status=503)
    with pytest.raises(ApiError) as caught:
        judge(EARLY)
    assert caught.value.status_code == 503


def test_a_stream_breaks_off(openpipe_mock):
    openpipe_mock.fault(disconnect=True, after_events=2)
    seen = []
    with pytest.raises(httpx.RemoteProtocolError, match="without sending complete"):
        seen.extend(EARLY_OPENAI.chat.completions.create(**COUNT, stream=True))
    assert len(seen) == 2


def test_a_base_url_of_ones_own(openpipe_mock, monkeypatch):
    monkeypatch.setenv("OPENPIPE_BASE_URL", "http://gateway.test:8080/openpipe")
    judge(OpenPipe())
    openpipe_mock.judged(times=1)


def test_a_violation_is_told_with_its_pointer(openpipe_mock):
    with openpipe_mock.expect_violation("/criterion_id"), pytest.raises(ApiError):
        EARLY.get_criterion_judgement(criterion_id=7, input={"messages": []}, output=SAID)
    openpipe_mock.assert_contract_kept()


def test_dummy_keys(openpipe_mock, monkeypatch):
    assert os.environ["OPENPIPE_API_KEY"] == os.environ["OPENAI_API_KEY"] == "op-local"
    monkeypatch.setenv("OPENPIPE_API_KEY", "another")


def test_the_real_keys_are_back():
    assert (os.environ["OPENPIPE_API_KEY"], os.environ["OPENAI_API_KEY"]) == ("opk-real-one", "sk-real-one")


@patched(seed=3)
def test_decorated(openpipe_mock):
    openpipe_mock.criterion("helpful").score(1)
    assert judge(EARLY).score == 1


@pytest.mark.asyncio
@patched()
async def test_decorated_async(openpipe_mock):
    openpipe_mock.criterion("helpful").score(0)
    assert (await judge(EARLY_ASYNC)).score == 0


def test_a_respx_router_by_itself():
    router = respx_router(seed=1)
    router.mock.criterion("helpful").score(0.4)
    with router:
        assert judge(EARLY).score == 0.4
        text = EARLY_OPENAI.with_options(base_url=EARLY.base_url).chat.completions.create(
            **COUNT, stream=True
        )
        assert list(text)
        assert router["judge"].call_count == router["chat"].call_count == 1


@pytest.mark.asyncio
async def test_a_respx_router_in_a_router_of_ones_own():
    router = respx_router(seed=1)
    router.mock.criterion("helpful").score(0.4)
    with respx.mock(using="httpx") as theirs:
        router.mount(theirs)
        assert judge(EARLY).score == (await judge(EARLY_ASYNC)).score == 0.4
    router.mock.judged("helpful", times=2)
