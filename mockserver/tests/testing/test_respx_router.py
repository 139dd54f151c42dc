"""`respx_router`: the mock as a router of a user's own respx."""

import asyncio
import builtins
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import respx

from openpipe_mock.config.file import Mistakes
from openpipe_mock.core.resources import install_line
from openpipe_mock.openapi.endpoints import ENDPOINTS
from openpipe_mock.testing.respx_router import OTHER, respx_router

SERVICE = "https://api.openpipe.ai/api/v1"
KEY = {"authorization": "Bearer op-local"}
JUDGE = {"criterion_id": "helpful", "output": {"role": "assistant", "content": "1, 2, 3."}}
STREAM = {"model": "m", "messages": [{"role": "user", "content": "Count"}], "stream": True}


@pytest.fixture(params=["httpx", "httpcore"])
def theirs(request: pytest.FixtureRequest) -> Iterator[respx.MockRouter]:
    """The router of a user's own, in both of its ways to patch."""
    with respx.mock(using=request.param, assert_all_called=False) as router:
        yield router


def judge(base: str = SERVICE) -> Any:
    return httpx.post(f"{base}/criteria/judge", json=JUDGE, headers=KEY)


def test_a_route_for_each_endpoint_by_its_name() -> None:
    router = respx_router()
    assert {route.name for route in router.routes} == {*ENDPOINTS, OTHER}


def test_it_is_a_context_manager_by_itself() -> None:
    with respx_router(seed=3) as router:
        assert judge().status_code == 200
        assert judge("https://app.openpipe.ai/api/v1").status_code == 200
        assert httpx.get(f"{SERVICE}/models/openpipe:mine", headers=KEY).json()["id"] == "mine"
        assert [router[name].call_count for name in ("judge", "model", "models", OTHER)] == [2, 1, 0, 0]
        with pytest.raises(AssertionError, match="not mocked"):
            httpx.get("https://elsewhere.test/")
    router.mock.judged("helpful", times=2)


def test_it_is_a_decorator_by_itself() -> None:
    router = respx_router()

    @router
    def plain(respx_mock: Any) -> Any:
        assert respx_mock is router
        return judge().status_code

    @router
    async def waiting() -> int:
        async with httpx.AsyncClient(headers=KEY) as client:
            return (await client.post(f"{SERVICE}/criteria/judge", json=JUDGE)).status_code

    assert (plain(), asyncio.run(waiting())) == (200, 200)
    router.mock.judged("helpful", times=2)


def test_it_is_mounted_into_another_router(theirs: respx.MockRouter) -> None:
    router = respx_router()
    route = router.mount(theirs)
    theirs.get("https://elsewhere.test/").respond(text="theirs")
    assert httpx.get("https://elsewhere.test/").text == "theirs"
    assert judge().status_code == judge("https://app.openpipe.ai/api/v1").status_code == 200
    assert asyncio.run(streamed())[-2:] == ["data: [DONE]", ""]
    assert route.call_count == router["judge"].call_count + router["chat"].call_count == 3
    router.mock.judged("helpful", times=2)


async def streamed() -> list[str]:
    """The events of a stream, as an async client gets them."""
    async with httpx.AsyncClient(headers=KEY) as client:
        answer = await client.post(f"{SERVICE}/chat/completions", json=STREAM)
        return answer.text.split("\n\n")


def test_it_is_the_side_effect_of_a_route(theirs: respx.MockRouter) -> None:
    router: Any = respx_router(seed=3, config={"criteria": {"helpful": {"score": 0.25}}})
    theirs.route(host__in=("api.openpipe.ai", "app.openpipe.ai")).mock(side_effect=router.handler)
    theirs.get("https://elsewhere.test/").respond(text="theirs")
    assert judge().json()["score"] == 0.25
    assert judge("https://app.openpipe.ai/api/v1").status_code == 200
    assert httpx.get("https://elsewhere.test/").text == "theirs"
    assert router["judge"].call_count == 2
    assert not router["chat"].called
    router.mock.judged("helpful", times=2)


def test_its_own_script_and_its_own_clock(theirs: respx.MockRouter) -> None:
    router: Any = respx_router()
    theirs.route(host="api.openpipe.ai").mock(side_effect=router.handler)
    router.mock.criterion("helpful").score(0.5)
    router.mock.fault(delay_ms=9000)
    with pytest.raises(httpx.ReadTimeout):
        judge()
    assert router.mock.clock.now == 5


@pytest.mark.parametrize("handler", ["handler", "async_handler"])
def test_async_clients_and_streams(theirs: respx.MockRouter, handler: str) -> None:
    theirs.route(host="api.openpipe.ai").mock(side_effect=getattr(respx_router(), handler))
    assert asyncio.run(streamed())[-2:] == ["data: [DONE]", ""]


def test_it_is_the_handler_of_a_mock_transport() -> None:
    router: Any = respx_router()
    with httpx.Client(transport=httpx.MockTransport(router.handler), headers=KEY) as client:
        assert client.post(f"{SERVICE}/criteria/judge", json=JUDGE).status_code == 200
        assert client.get("https://api.openpipe.ai/nowhere").status_code == 404
        assert client.get(f"{SERVICE}/criteria/judge").status_code == 405
        with pytest.raises(AssertionError, match="not mocked"):
            client.get("https://elsewhere.test/")
    assert router[OTHER].call_count == 2


def test_mistakes_are_told() -> None:
    with pytest.raises(Mistakes, match="/seed: "):
        respx_router(seed="1")  # type: ignore[arg-type]
    with pytest.raises(Mistakes, match="/sead: "):
        respx_router(sead=1)  # type: ignore[call-arg]


def test_without_respx_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def missing(name: str, *args: Any) -> Any:
        if name == "respx":
            raise ModuleNotFoundError("No module named 'respx'")
        return real(name, *args)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(ImportError, match=re.escape(f"respx'; {install_line('respx')}")):
        respx_router()


def test_a_response_is_made_once(theirs: respx.MockRouter) -> None:
    """respx clones what has no request: a stream of ours would then have two owners."""
    router = respx_router()
    theirs.route(host="api.openpipe.ai").mock(side_effect=router.handler)
    response = judge()
    assert response.request.url.host == "api.openpipe.ai"
    [call] = router["judge"].calls
    assert call.response.request is call.request


def test_a_body_that_is_made_while_it_is_sent(theirs: respx.MockRouter) -> None:
    router = respx_router()
    theirs.route(host="api.openpipe.ai").mock(side_effect=router.handler)
    body = (part for part in (b'{"criterion_id": "helpful", ', b'"output": {"role": "assistant"}}'))
    typed = {**KEY, "content-type": "application/json"}
    assert httpx.post(f"{SERVICE}/criteria/judge", content=body, headers=typed).status_code == 200
