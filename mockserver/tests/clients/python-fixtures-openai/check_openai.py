"""What a user of openai 3.x and LangChain does with the fixtures: run by pytest where those are installed."""

import asyncio
import os
import time
from contextlib import asynccontextmanager

import fastapi
import httpx
import httpx2
import openai
import pytest
from fastapi.responses import StreamingResponse
from fastapi.testclient import TestClient
from langchain_core.messages import HumanMessage
from langchain_openai import ChatOpenAI

from openpipe_mock import NetworkRefused, patched

BASE_URL = "https://api.openpipe.ai/api/v1"
COUNT = {"model": "openai:gpt-4o-mini", "messages": [{"role": "user", "content": "Count to 3"}]}
JUDGE = {"criterion_id": "helpful", "output": {"role": "assistant", "content": "1, 2, 3."}}
KEY = {"authorization": "Bearer op-local"}

os.environ["OPENAI_API_KEY"] = "sk-real-one"
EARLY = openai.OpenAI(base_url=BASE_URL)
EARLY_ASYNC = openai.AsyncOpenAI(base_url=BASE_URL)
OPENAIS_OWN = openai.OpenAI()
LANGCHAIN = ChatOpenAI(model="openai:gpt-4o-mini", base_url=BASE_URL, api_key="sk-real-one")


def test_openai_is_on_httpx2():
    assert isinstance(EARLY._client, httpx2.Client)


@pytest.mark.parametrize("client", [EARLY, OPENAIS_OWN])
def test_sync(openpipe_mock, client):
    openpipe_mock.completion("1, 2, 3.", when={"last_user": {"contains": "Count"}})
    assert client.chat.completions.create(**COUNT).choices[0].message.content == "1, 2, 3."
    openpipe_mock.completed(model="openai:gpt-4o-mini", last_user="Count to 3", times=1)


@pytest.mark.asyncio
async def test_async(openpipe_mock):
    openpipe_mock.completion("1, 2, 3.")
    answers = await asyncio.gather(*(EARLY_ASYNC.chat.completions.create(**COUNT) for _ in range(4)))
    assert {answer.choices[0].message.content for answer in answers} == {"1, 2, 3."}


def test_both_families_in_one_test(openpipe_mock):
    assert httpx.post(f"{BASE_URL}/criteria/judge", json=JUDGE, headers=KEY).status_code == 200
    EARLY.chat.completions.create(**COUNT)
    assert [call.endpoint for call in openpipe_mock.calls] == ["judge", "chat"]


def test_streams_come_lazily(openpipe_mock):
    openpipe_mock.completion("one two three four five six")
    stream = EARLY.chat.completions.create(**COUNT, stream=True)
    assert next(iter(stream)).choices[0].delta.role == "assistant"
    stream.close()
    [call] = openpipe_mock.calls
    assert 1 <= len(call.answer) < 4


@pytest.mark.asyncio
async def test_async_streams(openpipe_mock):
    openpipe_mock.completion("one two three")
    stream = await EARLY_ASYNC.chat.completions.create(**COUNT, stream=True)
    assert "".join([chunk.choices[0].delta.content or "" async for chunk in stream]) == "one two three"


@pytest.mark.openpipe_variants(99)
@pytest.mark.asyncio
async def test_a_client_that_reads_its_streams_behaves_well(openpipe_mock, monkeypatch):
    """Under every variant, and in virtual time the same is seen of it as over a socket."""
    monkeypatch.setattr("time.sleep", openpipe_mock.clock.advance)
    said = EARLY.chat.completions.create(**COUNT).choices[0].message.content
    chunks = list(EARLY.chat.completions.create(**COUNT, stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == said
    stream = await EARLY_ASYNC.chat.completions.create(**COUNT, stream=True)
    assert len([chunk async for chunk in stream]) == len(chunks)
    openpipe_mock.assert_well_behaved(timed=True)
    openpipe_mock.completed(streamed=True)


def test_tools_and_best_of_n(openpipe_mock):
    openpipe_mock.tool_call("get_weather", {"city": "Rome"}, when={"tool": "get_weather"})
    tool = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}
    [choice] = EARLY.chat.completions.create(**COUNT, tools=[tool]).choices
    assert choice.message.tool_calls[0].function.arguments == '{"city":"Rome"}'
    openpipe_mock.completion(choices=["no", "1, 2, 3."])
    openpipe_mock.criterion("helpful").by_output({"1, 2, 3.": 1}, otherwise=0)
    best = EARLY.chat.completions.create(**COUNT, n=2, extra_headers={"op-criteria": '["helpful"]'})
    assert best.choices[0].message.content == "1, 2, 3."
    openpipe_mock.completed(criteria=["helpful"], times=1)


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ({"status": 503}, openai.InternalServerError),
        ({"status": 429, "retry_after": 1}, openai.RateLimitError),
        ({"disconnect": True}, openai.APIConnectionError),
        ({"delay_ms": 10_000}, openai.APITimeoutError),
        ({"timeout": True}, openai.APITimeoutError),
    ],
)
def test_faults(openpipe_mock, fault, error):
    openpipe_mock.fault(**fault)
    with pytest.raises(error):
        EARLY.with_options(max_retries=0, timeout=5).chat.completions.create(**COUNT)


def test_the_default_timeout_of_openai_is_met_too(openpipe_mock):
    openpipe_mock.fault(timeout=True)
    with pytest.raises(openai.APITimeoutError):
        EARLY.with_options(max_retries=0).chat.completions.create(**COUNT)
    assert openpipe_mock.clock.now == 600


def test_a_stream_that_stops(openpipe_mock):
    openpipe_mock.fault(timeout=True, after_events=2)
    stream = EARLY.with_options(timeout=5).chat.completions.create(**COUNT, stream=True)
    assert [next(stream).object for _ in range(2)] == ["chat.completion.chunk"] * 2
    with pytest.raises(openai.APITimeoutError):
        next(stream)
    assert openpipe_mock.clock.now == 5


@pytest.mark.parametrize(
    ("raised", "seen"),
    [
        (httpx2.ReadTimeout("slow"), openai.APITimeoutError),
        (httpx2.ConnectError("no way"), openai.APIConnectionError),
        (KeyError("mine"), KeyError),
    ],
)
def test_what_a_function_raises_reaches_openais_client(openpipe_mock, raised, seen):
    def failing(request):
        raise raised

    openpipe_mock.completion(answer=failing)
    with pytest.raises(seen) as caught:
        EARLY.with_options(max_retries=0).chat.completions.create(**COUNT)
    assert raised in (caught.value, caught.value.__cause__)


@pytest.mark.asyncio
async def test_an_async_function_answers_and_judges(openpipe_mock):
    async def answer(request):
        await asyncio.sleep(0)
        return request["messages"][-1]["content"].upper()

    async def judge(given, output):
        await asyncio.sleep(0)
        return len(output["content"]) / 100

    openpipe_mock.completion(answer=answer)
    openpipe_mock.criterion("long").by(judge)
    async with openai.AsyncOpenAI(base_url=BASE_URL) as client:
        found = await client.chat.completions.create(**COUNT, extra_headers={"op-criteria": '["long"]'})
    [choice] = found.choices
    assert choice.message.content == "COUNT TO 3"
    assert choice.criteria_results["long"]["score"] == 0.1


def test_a_retry_after_a_503(openpipe_mock):
    openpipe_mock.fault(status=503, first=1)
    EARLY.with_options(max_retries=1).chat.completions.create(**COUNT)
    assert [call.status for call in openpipe_mock.calls] == [503, 200]


def test_a_delay_costs_nothing(openpipe_mock):
    openpipe_mock.fault(delay_ms=60_000)
    started = time.monotonic()
    EARLY.chat.completions.create(**COUNT)
    assert openpipe_mock.clock.now == 60
    assert time.monotonic() - started < 60


@pytest.mark.openpipe(providers="refuse")
def test_openai_itself_is_refused(openpipe_mock):
    with pytest.raises(NetworkRefused, match=r'"api\.openai\.com".*providers="pass"'):
        OPENAIS_OWN.chat.completions.create(**COUNT)
    EARLY.chat.completions.create(**COUNT)  # the service is still the mock's


def test_langchain(openpipe_mock):
    openpipe_mock.completion("1, 2, 3.")
    assert LANGCHAIN.invoke([HumanMessage("Count to 3")]).content == "1, 2, 3."
    assert "".join(chunk.text for chunk in LANGCHAIN.stream("Count to 3")) == "1, 2, 3."
    openpipe_mock.completed(last_user="Count to 3", times=2)


@pytest.mark.asyncio
async def test_langchain_async(openpipe_mock):
    openpipe_mock.completion("1, 2, 3.")
    assert (await LANGCHAIN.ainvoke("Count to 3")).content == "1, 2, 3."


@pytest.mark.asyncio
async def test_openai_on_aiohttp(openpipe_mock):
    async with openai.AsyncOpenAI(
        base_url=BASE_URL, http_client=openai.DefaultAioHttpClient(), max_retries=0
    ) as client:
        openpipe_mock.completion("1, 2, 3.")
        answer = await client.chat.completions.create(**COUNT)
        assert answer.choices[0].message.content == "1, 2, 3."
        stream = await client.chat.completions.create(**COUNT, stream=True)
        assert "".join([chunk.choices[0].delta.content or "" async for chunk in stream]) == "1, 2, 3."
        openpipe_mock.completed(times=2)
        openpipe_mock.assert_well_behaved()
        openpipe_mock.fault(delay_ms=10_000, first=1)
        with pytest.raises(openai.APITimeoutError):
            await client.with_options(timeout=5).chat.completions.create(**COUNT)
        openpipe_mock.fault(disconnect=True)
        with pytest.raises(openai.APIConnectionError):
            await client.chat.completions.create(**COUNT)


# An application under test that calls the service itself, in each of the two libraries.


@asynccontextmanager
async def lifespan(app):
    async with httpx.AsyncClient(base_url=BASE_URL, headers=KEY) as client:
        app.state.client = client
        yield


app = fastapi.FastAPI(lifespan=lifespan)


@app.get("/score")
async def score(request: fastapi.Request):
    answer = await request.app.state.client.post("/criteria/judge", json=JUDGE)
    return answer.json()["score"]


@app.get("/text")
async def text():
    answer = await EARLY_ASYNC.chat.completions.create(**COUNT)
    return answer.choices[0].message.content


@app.get("/stream")
async def stream():
    async def texts():
        async for chunk in await EARLY_ASYNC.chat.completions.create(**COUNT, stream=True):
            yield chunk.choices[0].delta.content or ""

    return StreamingResponse(texts())


def test_an_app_through_its_test_client(openpipe_mock):
    openpipe_mock.completion("1, 2, 3.")
    openpipe_mock.criterion("helpful").score(0.9)
    with TestClient(app) as client:
        assert client.get("/score").json() == 0.9
        assert client.get("/text").json() == "1, 2, 3."
        assert client.get("/stream").text == "1, 2, 3."
    assert [call.endpoint for call in openpipe_mock.calls] == ["judge", "chat", "chat"]


@pytest.mark.asyncio
@pytest.mark.parametrize("library", [httpx, httpx2])
async def test_an_app_through_an_asgi_transport_of_each_library(openpipe_mock, library):
    """Its address is the service's, and the app answers all the same."""
    transport = library.ASGITransport(app=app)
    async with (
        library.AsyncClient(transport=transport, base_url="https://api.openpipe.ai") as client,
        app.router.lifespan_context(app),
    ):
        assert (await client.get("/score")).status_code == 200
        assert (await client.get("/text")).status_code == 200
        assert (await client.get("/criteria/judge")).status_code == 404
    assert [call.endpoint for call in openpipe_mock.calls] == ["judge", "chat"]


@pytest.mark.parametrize("library", [httpx, httpx2])
def test_a_transport_around_another(openpipe_mock, library):
    class Counting(library.BaseTransport):
        def __init__(self):
            self.inner, self.seen = library.HTTPTransport(), 0

        def handle_request(self, request):
            self.seen += 1
            return self.inner.handle_request(request)

    transport = Counting()
    with library.Client(transport=transport, base_url=BASE_URL, headers=KEY) as client:
        assert client.post("/criteria/judge", json=JUDGE).status_code == 200
    assert transport.seen == 1
    openpipe_mock.judged(times=1)


def test_without_a_fixture():
    with patched(seed=2) as mock:
        EARLY.chat.completions.create(**COUNT)
        mock.completed(times=1)
    assert os.environ["OPENAI_API_KEY"] == "sk-real-one"
