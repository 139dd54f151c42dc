"""Functions of a test in place of answers and scores: what they get, may return and may raise."""

import asyncio
import functools
from collections.abc import Awaitable, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any
from unittest.mock import MagicMock

import aiohttp
import anyio
import httpx
import httpx2
import pytest
import requests
import urllib3

from openpipe_mock.testing.interception import patched
from openpipe_mock.testing.live import LiveServer, serving
from openpipe_mock.testing.mock import Mock, MockError
from openpipe_mock.testing.respx_router import respx_router
from tests.live import PATIENCE

Json = Any

BASE = "https://api.openpipe.ai/api/v1"
URL, JUDGE = f"{BASE}/chat/completions", f"{BASE}/criteria/judge"
KEY = {"authorization": "Bearer op-local"}
BODY = {"model": "openai:gpt-4o-mini", "messages": [{"role": "user", "content": "Count"}]}


@pytest.fixture
def mock() -> Iterator[Mock]:
    with patched() as mock:
        yield mock


@pytest.fixture
def live() -> Iterator[LiveServer]:
    with serving() as running:
        yield running


async def by_async_httpx() -> Json:
    async with httpx.AsyncClient() as client:
        return (await client.post(URL, json=BODY, headers=KEY)).json()


async def by_async_httpx2() -> Json:
    async with httpx2.AsyncClient() as client:
        return (await client.post(URL, json=BODY, headers=KEY)).json()


async def by_aiohttp() -> Json:
    async with (
        aiohttp.ClientSession(headers=KEY) as session,
        session.post(URL, json=BODY) as got,
    ):
        return await got.json()


async def by_sync_client_in_a_loop() -> Json:
    return httpx.post(URL, json=BODY, headers=KEY).json()


def in_loop(ask: Callable[[], Awaitable[Json]]) -> Callable[[], Json]:
    return functools.partial(anyio.run, ask)


CLIENTS: Mapping[str, Callable[[], Json]] = {
    "httpx": lambda: httpx.post(URL, json=BODY, headers=KEY).json(),
    "httpx2": lambda: httpx2.post(URL, json=BODY, headers=KEY).json(),
    "requests": lambda: requests.post(URL, json=BODY, headers=KEY).json(),
    "urllib3": lambda: urllib3.request("POST", URL, json=BODY, headers=KEY).json(),
    "httpx async": in_loop(by_async_httpx),
    "httpx2 async": in_loop(by_async_httpx2),
    "aiohttp": in_loop(by_aiohttp),
    "sync in a loop": in_loop(by_sync_client_in_a_loop),
}
everywhere = pytest.mark.parametrize("client", CLIENTS)


def text_of(answer: Json) -> Json:
    return answer["choices"][0]["message"]["content"]


def chat(criteria: str = "", **members: Json) -> Json:
    headers = {**KEY, "op-criteria": criteria} if criteria else KEY
    return httpx.post(URL, json={**BODY, **members}, headers=headers).json()


def judge(output: str = "1, 2, 3.", **members: Json) -> Json:
    body = {"criterion_id": "helpful", "output": {"role": "assistant", "content": output}, **members}
    return httpx.post(JUDGE, json=body, headers=KEY).json()


def shouting(request: Json) -> str:
    return str(request["messages"][-1]["content"].upper())


async def late(request: Json) -> Json:
    await anyio.sleep(0.001)
    return {"text": f"late {request['model']}", "finish_reason": "length"}


# Answers.


@everywhere
def test_a_function_answers_every_client(mock: Mock, client: str) -> None:
    mock.completion(answer=shouting)
    assert text_of(CLIENTS[client]()) == "COUNT"
    mock.completion(answer=late)
    assert text_of(CLIENTS[client]()) == "late openai:gpt-4o-mini"
    mock.assert_all_used()


def test_a_function_gets_the_body_as_it_was_sent_and_may_change_it(mock: Mock) -> None:
    function = MagicMock(return_value="Hi")
    mock.completion(answer=function)
    chat(temperature=None, metadata={"a": "b"})
    function.assert_called_once_with({**BODY, "temperature": None, "metadata": {"a": "b"}})

    def spoiling(request: Json) -> str:
        request["messages"].clear()
        return "spoilt"

    mock.completion(answer=spoiling)
    assert text_of(chat()) == "spoilt"
    assert mock.calls[-1].request == BODY


@pytest.mark.parametrize(
    "returned",
    [
        "text",
        {"template": "You said {last_user}"},
        {"tool_calls": [{"name": "get_weather", "arguments": {"city": "Oslo"}}], "id": "mine"},
        {"choices": ["a", {"refusal": "No."}]},
        {"raw": {"odd": True}},
    ],
)
def test_what_a_function_returns_is_an_answer_as_a_file_says_it(mock: Mock, returned: Json) -> None:
    mock.completion(**({"text": returned} if isinstance(returned, str) else returned))
    written = chat(n=2), httpx.post(URL, json={**BODY, "stream": True}, headers=KEY).content
    mock.completion(answer=lambda request: returned)
    assert (chat(n=2), httpx.post(URL, json={**BODY, "stream": True}, headers=KEY).content) == written


def test_a_function_stands_beside_conditions_and_turns(mock: Mock) -> None:
    mock.completion("else")
    mock.completion(
        answer=lambda request: {"template": "{call}"}, when={"last_user": "Count"}, first=2, name="n"
    )
    assert [text_of(chat()) for _ in range(3)] == ["1", "2", "else"]
    assert [call.rules for call in mock.calls] == [("/runtime/2 (n)",)] * 2 + [("/runtime/1",)]
    assert text_of(chat(messages=[])) == "else"


def test_a_function_is_called_again_after_a_tools_result(mock: Mock) -> None:
    def agent(request: Json) -> Json:
        last = request["messages"][-1]
        return (
            last["content"] if last["role"] == "tool" else {"tool_calls": [{"name": "add", "arguments": {}}]}
        )

    mock.completion(answer=agent)
    message = chat()["choices"][0]["message"]
    result = {"role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": "42"}
    assert text_of(chat(messages=[*BODY["messages"], message, result])) == "42"


def test_a_function_may_ask_the_mock_itself(mock: Mock) -> None:
    mock.criterion("helpful").score(0.5)
    mock.completion(answer=lambda request: f"{judge()['score']} {len(mock.calls)}")
    assert text_of(chat()) == "0.5 1"

    async def asking(request: Json) -> str:
        async with httpx.AsyncClient() as client:
            body = {"criterion_id": "helpful", "output": {"role": "assistant", "content": "x"}}
            return str((await client.post(JUDGE, json=body, headers=KEY)).json()["score"])

    mock.completion(answer=asking)
    assert [text_of(CLIENTS[name]()) for name in ("httpx", "httpx async", "requests")] == ["0.5"] * 3


def test_a_function_may_wait_for_a_thread_that_asks_the_mock(mock: Mock) -> None:
    def waiting(request: Json) -> str:
        if "inner" in request["messages"][0]["content"]:
            return "from the thread"
        ask = functools.partial(chat, messages=[{"role": "user", "content": "inner"}])
        with ThreadPoolExecutor(1) as thread:
            return str(text_of(thread.submit(copy_context().run, ask).result(PATIENCE)))

    mock.completion(answer=waiting)
    assert text_of(chat()) == "from the thread"


@pytest.mark.parametrize("function", [shouting, late])
@pytest.mark.parametrize("variant", [None, "slow-start", "chunked"])
def test_a_function_answers_under_faults_and_variants(variant: str | None, function: Any) -> None:
    with patched(variant=variant, clock="real", ids="random") as mock:
        mock.completion(answer=function)
        plain = text_of(chat())
        mock.fault(drip={"bytes": 50}, headers={"x-test": "a"})
        assert text_of(chat()) == plain
        assert plain in ("COUNT", "late openai:gpt-4o-mini")


def test_an_async_function_is_felt_by_a_timeout_of_asyncio(mock: Mock) -> None:
    async def forever(request: Json) -> None:
        await asyncio.Event().wait()

    async def impatient(ask: Callable[[], Awaitable[Json]]) -> Json:
        return await asyncio.wait_for(ask(), 0.01)

    mock.completion(answer=forever)
    for ask in (by_async_httpx, by_aiohttp):
        with pytest.raises(TimeoutError):
            asyncio.run(impatient(ask))


def test_a_respx_router_calls_functions_too() -> None:
    with respx_router() as router:
        router.mock.completion(answer=late)
        assert text_of(chat()) == "late openai:gpt-4o-mini"
        assert text_of(CLIENTS["httpx async"]()) == "late openai:gpt-4o-mini"


# Scores.


def test_a_function_judges_input_and_output(mock: Mock) -> None:
    function = MagicMock(return_value=0.25)
    mock.criterion("helpful").by(function)
    given = {"messages": [{"role": "user", "content": "Count"}]}
    assert judge(input=given)["score"] == 0.25
    function.assert_called_once_with(given, {"role": "assistant", "content": "1, 2, 3."})
    judge()
    assert function.call_args.args[0] == {}


@pytest.mark.parametrize(
    ("returned", "answer"),
    [
        (1, {"score": 1}),
        ({"score": 0.5, "explanation": "So so."}, {"score": 0.5, "explanation": "So so."}),
        (
            {"by_output": {"1, 2, 3.": {"score": 0.75, "usage": 7}}},
            {"score": 0.75, "usage": {"total_tokens": 7}},
        ),
        ({"error": {"status": 503, "message": "Busy."}}, {"message": "Busy."}),
        ({"raw": {"odd": True}}, {"odd": True}),
    ],
)
def test_what_a_function_returns_is_a_score_or_a_form(mock: Mock, returned: Json, answer: Json) -> None:
    mock.criterion("helpful").by(lambda given, output: returned)
    assert judge().items() >= answer.items()


def test_functions_judge_each_choice_of_best_of_n(mock: Mock) -> None:
    async def length(given: Json, output: Json) -> float:
        assert given["messages"] == BODY["messages"]
        return len(output["content"]) / 10

    mock.completion(choices=["a", "abc", "ab"])
    mock.criterion("long").by(length)
    mock.criterion("helpful@v2").by(lambda given, output: {"score": 0, "explanation": output["content"]})
    found = chat('["long", "helpful@v2"]', n=3)["choices"]
    assert [choice["message"]["content"] for choice in found] == ["abc", "ab", "a"]
    assert [choice["criteria_results"]["helpful"]["explanation"] for choice in found] == ["abc", "ab", "a"]
    assert found[0]["criteria_results"]["long"]["score"] == 0.3
    mock.criterion("long").score(1)
    assert chat('["long"]')["choices"][0]["criteria_results"]["long"]["score"] == 1


# What goes wrong.


class Own(Exception):
    pass


def raising(error: BaseException) -> Callable[..., Any]:
    def failing(*_: Json) -> None:
        raise error

    return failing


def raising_late(error: BaseException) -> Callable[..., Any]:
    async def failing(*_: Json) -> None:
        await anyio.sleep(0)
        raise error

    return failing


@everywhere
@pytest.mark.parametrize("how", [raising, raising_late])
def test_an_exception_reaches_the_client(mock: Mock, client: str, how: Callable[..., Any]) -> None:
    mock.completion(answer=how(Own("mine")), name="failing")
    with pytest.raises(Own, match="mine"):
        CLIENTS[client]()
    mock.completion(answer=how(pytest.fail.Exception("not asked")))
    with pytest.raises(pytest.fail.Exception, match="not asked"):
        CLIENTS[client]()
    mock.assert_all_used()
    assert mock.calls[0].status == 0
    [note] = mock.calls[0].notes
    assert note.endswith("failing) raised Own")
    mock.completion("well again")
    assert text_of(CLIENTS[client]()) == "well again"


def test_an_error_of_httpx_has_its_request(mock: Mock) -> None:
    mock.completion(answer=raising(httpx.ConnectError("no way")))
    with pytest.raises(httpx.ConnectError) as caught:
        chat()
    assert caught.value.request.url == URL


def test_a_judging_function_may_raise(mock: Mock) -> None:
    mock.criterion("helpful").by(raising(Own("mine")))
    with pytest.raises(Own):
        judge()
    with pytest.raises(Own):
        chat('["helpful"]')
    mock.assert_all_used()
    assert [call.status for call in mock.calls] == [0, 0]


def unfinished(request: Json) -> Json:
    return {"txt": "a"}


def nothing(*_: Json) -> None: ...


@pytest.mark.parametrize(
    ("function", "told"),
    [
        (unfinished, r'unfinished\) returned .*/txt: unknown property in the answer; did you mean "text"'),
        (nothing, r"nothing\) returned .*got null"),
        (lambda request: {"template": "{x}"}, r"<lambda>\) returned .*/template: there is no field {x}"),
        (lambda request: {1, 2}, r"<lambda>\) returned .*one of the type set"),
        (functools.partial(unfinished), r"test_functions\.unfinished\) returned"),
    ],
)
def test_an_answer_that_is_none_names_the_function(mock: Mock, function: Any, told: str) -> None:
    mock.completion(answer=function)
    with pytest.raises(MockError, match=rf"^mock\.completion\(answer=tests\..*{told}"):
        chat()


@pytest.mark.parametrize(
    ("returned", "told"),
    [
        (None, "expected .*, got null"),
        ("high", 'got the string "high"'),
        (True, "got true"),
        ({"scor": 1}, 'did you mean "score"'),
        ({"uniform": [1, 0]}, "write the lowest first"),
    ],
)
def test_a_score_that_is_none_names_the_function(mock: Mock, returned: Json, told: str) -> None:
    mock.criterion("helpful").by(lambda given, output: returned)
    with pytest.raises(MockError, match=rf'mock\.criterion\("helpful"\)\.by\(tests\..*<lambda>\) .*{told}'):
        judge()


def test_a_function_that_has_no_answer_left(mock: Mock) -> None:
    answers = iter(["one"])
    mock.completion(answer=lambda request: next(answers))
    assert text_of(chat()) == "one"
    with pytest.raises(RuntimeError, match=r"<lambda>\) has no answer left: it raised StopIteration"):
        chat()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"answer": "Hi"}, "expected a function, got 'Hi'"),
        ({"answer": shouting, "text": "a", "id": "b"}, '"text" and "id" as well'),
        ({"answer": shouting, "when": {"last_usr": "a"}}, "/when/last_usr"),
    ],
)
def test_mistakes_are_told_at_once(mock: Mock, options: Json, told: str) -> None:
    with pytest.raises(MockError, match=told):
        mock.completion(**options)


def test_a_mock_on_a_socket_says_what_to_do_instead(live: LiveServer) -> None:
    with live.session() as mock:
        with pytest.raises(MockError, match=r"^mock\.completion\(answer=…\): .* template, sequence or turns"):
            mock.completion(answer=shouting)
        with pytest.raises(MockError, match=r'^mock\.criterion\("a"\)\.by\(…\): .* in process alone'):
            mock.criterion("a").by(nothing)
