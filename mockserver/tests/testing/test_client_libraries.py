"""requests, urllib3, aiohttp and httpcore: answers as over a socket, in each library's own objects."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import product
from typing import Any

import aiohttp
import httpcore
import httpx
import httpx2
import pytest
import requests
import urllib3
import yaml

from openpipe_mock.core.effects import Begin, Effects, Head, Piece, Reply, Wait
from openpipe_mock.testing.interception import patched
from openpipe_mock.testing.live import LiveMock, LiveServer, serving
from openpipe_mock.testing.mock import Mock
from openpipe_mock.testing.network_guard import NetworkRefused
from openpipe_mock.testing.patches import Patches
from openpipe_mock.testing.virtual import NoTimeout, VirtualClock
from tests.environments import ROOT
from tests.tables import rows

ORIGIN = "https://api.openpipe.ai"
BASE = f"{ORIGIN}/api/v1"
KEY = {"authorization": "Bearer op-local"}
JUDGE = {"criterion_id": "helpful", "output": {"role": "assistant", "content": "1, 2, 3."}}
CHAT = {"model": "openai:gpt-4o-mini", "messages": [{"role": "user", "content": "Count to 3"}]}
STREAM = {**CHAT, "stream": True}
BROKEN: list[dict[str, Any]] = [
    {"when": {"header": {"x-test": "half"}}, "disconnect": True, "after_bytes": 40},
    {"when": {"header": {"x-test": "dripping"}}, "drip": {"bytes": 50, "every_ms": 0}},
    {"when": {"header": {"x-test": "two events"}}, "disconnect": True, "after_events": 2},
]


@pytest.fixture
def mock() -> Iterator[Mock]:
    with patched() as mock:
        yield mock


@pytest.fixture
def live() -> Iterator[LiveServer]:
    with serving() as running:
        yield running


# One request by each library: what its user sees, whole.

Seen = tuple[Any, ...]
"""Status, words, headers and bytes, or as much as came, and the name of an error."""


def by_requests(method: str, url: str, body: Any, headers: dict[str, str]) -> Seen:
    try:
        got = requests.request(method, url, json=body, headers=headers, timeout=30)
    except requests.RequestException as error:
        return (type(error).__name__,)
    return got.status_code, got.reason, sorted(got.headers.items()), got.content


def by_urllib3(method: str, url: str, body: Any, headers: dict[str, str]) -> Seen:
    pool, received = urllib3.PoolManager(), b""
    seen: Seen = ()
    data = None if body is None else json.dumps(body)
    typed = headers if body is None else {**headers, "content-type": "application/json"}
    try:
        got = pool.request(method, url, body=data, headers=typed, preload_content=False, retries=False)
        seen = got.status, got.reason, sorted(got.headers.items())
        for piece in got.stream():
            received += piece
    except urllib3.exceptions.HTTPError as error:
        return *seen, received, type(error).__name__
    finally:
        pool.clear()
    return *seen, received


def by_aiohttp(method: str, url: str, body: Any, headers: dict[str, str]) -> Seen:
    async def ask() -> Seen:
        received: bytes = b""
        seen: Seen = ()
        async with aiohttp.ClientSession() as session:
            try:
                async with session.request(method, url, json=body, headers=headers) as got:
                    seen = got.status, got.reason, sorted(got.headers.items())
                    async for piece in got.content.iter_any():
                        received += piece
            except aiohttp.ClientError as error:
                if isinstance(error.__cause__, NetworkRefused):  # aiohttp takes it for a failed connection
                    raise error.__cause__ from None
                return *seen, received, type(error).__name__
        return *seen, received

    return asyncio.run(ask())


def by_httpcore(method: str, url: str, body: Any, headers: Any) -> Seen:
    received: bytes = b""
    seen: Seen = ()
    typed = {**headers, "content-type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    with httpcore.ConnectionPool() as pool:
        try:
            with pool.stream(method, url, headers=typed, content=data) as got:
                seen = got.status, got.extensions["reason_phrase"], sorted(got.headers)
                for piece in got.iter_stream():
                    received += piece
        except httpcore.RemoteProtocolError as error:
            return *seen, received, type(error).__name__
    return *seen, received


def by_httpcore_async(method: str, url: str, body: Any, headers: Any) -> Seen:
    async def ask() -> Seen:
        received: bytes = b""
        seen: Seen = ()
        typed = {**headers, "content-type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        async with httpcore.AsyncConnectionPool() as pool:
            try:
                async with pool.stream(method, url, headers=typed, content=data) as got:
                    seen = got.status, got.extensions["reason_phrase"], sorted(got.headers)
                    async for piece in got.aiter_stream():
                        received += piece
            except httpcore.RemoteProtocolError as error:
                return *seen, received, type(error).__name__
        return *seen, received

    return asyncio.run(ask())


LIBRARIES: list[Callable[[str, str, Any, dict[str, str]], Seen]] = [
    by_requests,
    by_urllib3,
    by_aiohttp,
    by_httpcore,
    by_httpcore_async,
]
REQUESTS: list[tuple[str, str, Any, dict[str, str]]] = [
    ("POST", "/criteria/judge", JUDGE, {}),
    ("POST", "/criteria/judge", {"criterion_id": 7}, {}),
    ("POST", "/criteria/judge", JUDGE, {"authorization": "Bearer invalid"}),
    ("POST", "/chat/completions", CHAT, {}),
    ("POST", "/chat/completions", {**CHAT, "n": 3}, {"op-criteria": '["helpful"]'}),
    ("POST", "/chat/completions", STREAM, {}),
    ("GET", "/criteria/judge", None, {}),
    ("HEAD", "/criteria/judge", None, {}),
    ("GET", "/nothing%20here?a=%20b", None, {}),
    *(
        ("POST", path, body, {"x-mock-fault": fault})
        for path, body in (("/criteria/judge", JUDGE), ("/chat/completions", STREAM))
        for fault in ("429", "503", "malformed", "truncated", "empty", "content-type", "disconnect")
    ),
    ("POST", "/chat/completions", STREAM, {"x-mock-fault": "error-event"}),
    ("POST", "/chat/completions", STREAM, {"x-test": "two events"}),
    *(
        ("POST", path, body, {"x-test": fault})
        for path, body in (("/criteria/judge", JUDGE), ("/chat/completions", STREAM))
        for fault in ("half", "dripping")
    ),
]


@pytest.mark.parametrize("library", LIBRARIES)
def test_the_fixture_and_the_socket_give_the_same(
    mock: Mock, live: LiveServer, library: Callable[..., Seen]
) -> None:
    """Bytes, status, words, headers, and errors by their names, whatever is asked and whatever goes wrong."""
    in_socket = LiveMock(live, overrides={})
    in_socket.session = live.service.sessions.default
    for fault in BROKEN:
        mock.fault(**fault)
        in_socket.fault(**fault)
    kinds = set()
    for method, path, body, headers in REQUESTS:
        asked = {**KEY, **headers}
        here = library(method, f"{BASE}{path}", body, asked)
        assert here == library(method, f"{live.origin}/api/v1{path}", body, asked), (method, path, headers)
        kinds.add(here[-1] if isinstance(here[-1], str) else here[0])
    assert {200, 400, 401, 404, 405, 429, 503} < kinds, "no request failed"
    assert [call.status for call in mock.calls] == [call.status for call in in_socket.calls]


@pytest.mark.parametrize("library", [by_requests, by_urllib3, by_aiohttp])
def test_who_wants_no_other_request_is_told_so(mock: Mock, library: Callable[..., Seen]) -> None:
    _, _, headers, _ = library("POST", f"{BASE}/criteria/judge", JUDGE, {**KEY, "connection": "close"})
    assert dict(headers).get("connection", dict(headers).get("Connection")) == "close"


@pytest.mark.parametrize("library", LIBRARIES)
def test_refused_is_refused(library: Callable[..., Seen]) -> None:
    with patched(block_network=True) as mock:
        with pytest.raises(NetworkRefused, match=r'"api\.anthropic\.com"'):
            library("POST", "https://api.anthropic.com/v1/messages", {}, KEY)
        with pytest.raises(NetworkRefused, match="block_network"):
            library("GET", "http://127.0.0.1:9/", None, {})
        assert library("POST", f"{BASE}/criteria/judge", JUDGE, KEY)[0] == 200
    mock.assert_contract_kept()
    mock.judged("helpful", output="1, 2, 3.", times=1)


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_base_url_is_taken_and_its_neighbours_pass(
    mock: Mock, live: LiveServer, library: Callable[..., Seen], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENPIPE_BASE_URL", f"{live.origin}/mine/api/v1")
    mock.criterion("helpful").score(0.125)
    assert b"0.125" in library("POST", f"{live.origin}/mine/api/v1/criteria/judge", JUDGE, KEY)[3]
    assert library("GET", f"{live.origin}/_mock/health", None, {})[0] == 200
    mock.judged(times=1)


# Streams.


def test_streams_of_requests_come_as_they_are_read(mock: Mock) -> None:
    with requests.post(f"{BASE}/chat/completions", json=STREAM, headers=KEY, stream=True) as got:
        pieces = list(got.iter_content(None))
    assert all(piece.endswith(b"\n\n") for piece in pieces)
    assert len(pieces) > 3
    assert mock.warnings() == ()
    with requests.post(f"{BASE}/chat/completions", json=STREAM, headers=KEY, stream=True) as got:
        coming = got.iter_content(None)
        assert next(coming) == pieces[0]
        assert mock.session.under_way == 1
    assert mock.session.under_way == 0
    assert [lapse.rule.name for lapse in mock.warnings()] == ["left-a-stream"]


def test_streams_of_aiohttp_come_as_they_are_read(mock: Mock) -> None:
    async def ask() -> list[bytes]:
        async with aiohttp.ClientSession(headers=KEY) as session:
            async with session.post(f"{BASE}/chat/completions", json=STREAM) as got:
                pieces = [piece async for piece in got.content.iter_any()]
            assert mock.warnings() == ()
            async with session.post(f"{BASE}/chat/completions", json=STREAM) as got:
                assert await got.content.readany() == pieces[0]
                await asyncio.sleep(0.01)
                assert mock.session.under_way == 1
            assert mock.session.under_way == 0
            return pieces

    pieces = asyncio.run(ask())
    assert all(piece.endswith(b"\n\n") for piece in pieces)
    assert len(pieces) > 3
    [lapse] = mock.warnings()
    assert lapse.rule.name == "left-a-stream"
    assert 1 <= len(mock.calls[-1].answer) <= 3


def test_who_closes_a_stream_behind_its_end_has_all_of_it(mock: Mock) -> None:
    async def ask() -> None:
        async with (
            aiohttp.ClientSession(headers=KEY) as session,
            session.post(f"{BASE}/chat/completions", json=STREAM) as got,
        ):
            async for line in got.content:
                if line == b"data: [DONE]\n":
                    return

    asyncio.run(ask())
    with requests.post(f"{BASE}/chat/completions", json=STREAM, headers=KEY, stream=True) as got:
        for line in got.iter_lines():
            if line == b"data: [DONE]":
                break
    assert mock.warnings() == ()


# Time.


@pytest.mark.parametrize(("seconds", "passes"), [(5, False), (None, True)])
def test_the_patience_of_requests(mock: Mock, seconds: float | None, passes: bool) -> None:
    mock.fault(delay_ms=6000)
    if passes:
        assert requests.post(f"{BASE}/criteria/judge", json=JUDGE, headers=KEY, timeout=seconds).ok
        assert mock.clock.now == 6
        return
    with pytest.raises(requests.ReadTimeout):
        requests.post(f"{BASE}/criteria/judge", json=JUDGE, headers=KEY, timeout=seconds)
    with pytest.raises(urllib3.exceptions.ReadTimeoutError):
        urllib3.request("POST", f"{BASE}/criteria/judge", json=JUDGE, headers=KEY, timeout=1, retries=False)
    assert mock.clock.now == 6


def test_each_client_meets_its_own_timeout(mock: Mock) -> None:
    mock.fault(timeout=True)
    url = f"{BASE}/criteria/judge"
    for ask, error, seconds in (
        (lambda: httpx.post(url, json=JUDGE, headers=KEY), httpx.ReadTimeout, 5),
        (lambda: httpx2.post(url, json=JUDGE, headers=KEY, timeout=7000), httpx2.ReadTimeout, 7000),
        (lambda: requests.post(url, json=JUDGE, headers=KEY, timeout=3), requests.ReadTimeout, 3),
        (lambda: asyncio.run(asked_by_aiohttp(url)), TimeoutError, 300),
    ):
        began = mock.clock.now
        with pytest.raises(error) as caught:
            ask()
        assert mock.clock.now - began == seconds
        assert "openpipe_server" in str(caught.value) or error is requests.ReadTimeout
    assert {call.status for call in mock.calls} == {0}
    assert mock.calls[0].faults == ("time-out (fault /runtime/1)",)


async def asked_by_aiohttp(url: str) -> None:
    async with aiohttp.ClientSession(headers=KEY) as session, session.post(url, json=JUDGE):
        pass


def test_a_client_meets_its_timeout_in_a_stream(mock: Mock) -> None:
    mock.fault(timeout=True, after_events=2)
    pieces: list[bytes] = []
    with (
        pytest.raises(httpx.ReadTimeout),
        httpx.stream("POST", f"{BASE}/chat/completions", json=STREAM, headers=KEY) as got,
    ):
        pieces.extend(got.iter_raw())
    assert len(pieces) == 2
    assert httpx.post(f"{BASE}/chat/completions", json=CHAT, headers=KEY).status_code == 200


def test_a_client_that_waits_for_ever_is_told(mock: Mock) -> None:
    mock.fault(timeout=True)
    url = f"{BASE}/criteria/judge"
    with pytest.raises(NoTimeout, match=r"this client has none.*asyncio\.wait_for.*openpipe_server"):
        httpx.post(url, json=JUDGE, headers=KEY, timeout=None)
    with pytest.raises(NoTimeout):
        requests.post(url, json=JUDGE, headers=KEY)
    assert mock.clock.now == 0


def test_on_a_socket_every_timeout_is_felt(live: LiveServer) -> None:
    with live.session() as mock:
        mock.fault(timeout=True)
        url = f"{mock.base_url}/criteria/judge"
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(url, json=JUDGE, headers=KEY, timeout=0.2)

        async def ask() -> None:
            async with httpx.AsyncClient(timeout=None) as client:
                await asyncio.wait_for(client.post(url, json=JUDGE, headers=KEY), 0.2)

        with pytest.raises(TimeoutError):
            asyncio.run(ask())
        assert [call.status for call in mock.calls] == [0, 0]


@pytest.mark.parametrize(
    ("timeout", "error", "now"),
    [
        (aiohttp.ClientTimeout(total=5), TimeoutError, 5),
        (aiohttp.ClientTimeout(total=None, sock_read=4), aiohttp.SocketTimeoutError, 4),
        (aiohttp.ClientTimeout(total=20), None, 6),
    ],
)
def test_the_patience_of_aiohttp(
    mock: Mock, timeout: aiohttp.ClientTimeout, error: type[Exception] | None, now: float
) -> None:
    mock.fault(delay_ms=6000)

    async def ask() -> int:
        async with (
            aiohttp.ClientSession(timeout=timeout, headers=KEY) as session,
            session.post(f"{BASE}/criteria/judge", json=JUDGE) as got,
        ):
            return got.status

    if error is None:
        assert asyncio.run(ask()) == 200
    else:
        with pytest.raises(error) as caught:
            asyncio.run(ask())
        assert type(caught.value) is error
    assert mock.clock.now == now


def test_patience_ends_in_the_middle_of_a_stream(mock: Mock) -> None:
    mock.fault(drip={"bytes": 200, "every_ms": 700})

    async def ask(timeout: aiohttp.ClientTimeout) -> int:
        received = 0
        async with (
            aiohttp.ClientSession(timeout=timeout, headers=KEY) as session,
            session.post(f"{BASE}/chat/completions", json=STREAM) as got,
        ):
            try:
                async for piece in got.content.iter_any():
                    received += len(piece)
            except TimeoutError:
                return received
        raise AssertionError("it had patience")

    assert asyncio.run(ask(aiohttp.ClientTimeout(total=2))) > 200
    assert asyncio.run(ask(aiohttp.ClientTimeout(total=None, sock_read=0.5))) <= 200
    with (
        requests.post(f"{BASE}/chat/completions", json=STREAM, headers=KEY, stream=True, timeout=0.5) as got,
        pytest.raises(requests.ConnectionError, match="Read timed out"),
    ):
        list(got.iter_content(None))


def test_others_have_their_turn_while_aiohttp_waits(mock: Mock) -> None:
    mock.limits(concurrent=1)
    mock.fault(delay_ms=1000)

    async def ask() -> list[int]:
        async with aiohttp.ClientSession(headers=KEY) as session:
            asked = (session.post(f"{BASE}/criteria/judge", json=JUDGE) for _ in range(2))
            return [response.status for response in await asyncio.gather(*asked)]

    assert asyncio.run(ask()) == [200, 429]


# What else a user of requests and urllib3 has.


def test_retries_are_those_of_urllib3(mock: Mock) -> None:
    mock.fault(status=503, first=2)
    mock.fault(disconnect=True, call=3)
    retry = urllib3.Retry(4, status_forcelist=[503], allowed_methods=None)
    with requests.Session() as session:
        session.mount("https://", requests.adapters.HTTPAdapter(max_retries=retry))
        assert session.post(f"{BASE}/criteria/judge", json=JUDGE, headers=KEY).ok
    assert [call.status for call in mock.calls] == [503, 503, 0, 200]


def test_proxies_are_passed_by(mock: Mock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://user:secret@127.0.0.1:9")
    monkeypatch.setenv("HTTP_PROXY", "http://user:secret@127.0.0.1:9")
    for base in (BASE, BASE.replace("https", "http")):
        assert requests.post(f"{base}/criteria/judge", json=JUDGE, headers=KEY).ok

        async def ask(base: str = base) -> bool:
            async with (
                aiohttp.ClientSession(trust_env=True) as session,
                session.post(f"{base}/criteria/judge", json=JUDGE, headers=KEY) as got,
            ):
                return got.ok

        assert asyncio.run(ask())
    assert "proxy-authorization" not in {name for call in mock.calls for name in call.headers}
    mock.judged(times=4)


def test_a_users_own_adapter_keeps_its_duty(mock: Mock) -> None:
    seen: list[str] = []

    class Logging(requests.adapters.HTTPAdapter):
        def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
            seen.append(str(request.url))
            return super().send(request, *args, **kwargs)

    class Teapot(requests.adapters.BaseAdapter):
        def send(self, *_: Any, **__: Any) -> requests.Response:
            response = requests.Response()
            response.status_code = 418
            return response

        def close(self) -> None: ...

    with requests.Session() as session:
        session.mount("https://api.openpipe.ai", Logging())
        session.mount("https://app.openpipe.ai", Teapot())
        assert session.post(f"{BASE}/criteria/judge", json=JUDGE, headers=KEY).status_code == 200
        assert session.post(BASE.replace("api.", "app."), json=JUDGE).status_code == 418
    assert seen == [f"{BASE}/criteria/judge"]
    mock.judged(times=1)


def test_bodies_in_parts_hooks_and_elapsed_time(mock: Mock) -> None:
    seen: list[int] = []
    parts = iter([json.dumps(JUDGE)[:9].encode(), json.dumps(JUDGE)[9:].encode()])
    typed = {**KEY, "content-type": "application/json"}
    hooks = {"response": lambda response, **_: seen.append(response.status_code)}
    got = requests.post(f"{BASE}/criteria/judge", data=parts, headers=typed, hooks=hooks)
    assert (seen, got.json()["score"] >= 0) == ([200], True)
    assert got.raw.version == 11


def test_a_pool_is_as_it_was(mock: Mock, live: LiveServer) -> None:
    """What it keeps are its own connections, and none of the mock's."""
    with urllib3.connection_from_url(live.origin, maxsize=1) as pool:
        assert pool.pool is not None
        assert pool.request("GET", "/_mock/health").status == 200
        [kept] = pool.pool.queue
        with patched(block_network=True), pytest.raises(NetworkRefused):
            pool.request("GET", "/")
        assert pool.request("GET", "/_mock/health").status == 200
        assert pool.pool.queue == [kept]
        assert pool.num_connections == 1


def test_a_closed_pool_answers_nothing(mock: Mock) -> None:
    pool = urllib3.connection_from_url(BASE)
    assert pool.request("POST", "/api/v1/criteria/judge", json=JUDGE, headers=KEY).status == 200
    pool.close()
    with pytest.raises(urllib3.exceptions.ClosedPoolError):
        pool.request("POST", "/api/v1/criteria/judge", json=JUDGE, headers=KEY)


# What else a user of aiohttp has.


def test_a_session_is_as_ever(mock: Mock) -> None:
    """One that was made before, with traces, a base URL, and an upload that waits for a word."""
    events: list[str] = []

    async def noted(*_: Any) -> None:
        events.append("begun")

    traced = aiohttp.TraceConfig()
    traced.on_connection_create_start.append(noted)

    async def parts() -> AsyncIterator[bytes]:
        yield json.dumps(JUDGE)[:9].encode()
        yield json.dumps(JUDGE)[9:].encode()

    async def ask() -> None:
        typed = {**KEY, "content-type": "application/json"}
        connector = aiohttp.TCPConnector(limit_per_host=1)
        async with aiohttp.ClientSession(
            f"{BASE}/", trace_configs=[traced], headers=typed, raise_for_status=True, connector=connector
        ) as session:
            for expects in (True, False):
                async with session.post("criteria/judge", data=parts(), expect100=expects) as got:
                    assert (got.method, got.url.host) == ("POST", "api.openpipe.ai")
                    assert (await got.json())["score"] >= 0
            with pytest.raises(aiohttp.ClientResponseError) as caught:
                await session.post("criteria/judge", json={})
            assert caught.value.status == 400
            with pytest.raises(aiohttp.ClientResponseError):
                await session.ws_connect("criteria/judge")
        assert connector._acquired == set()

    asyncio.run(ask())
    assert events == ["begun"] * 4
    assert [call.status for call in mock.calls] == [200, 200, 400, 405]


def test_a_connector_that_opens_no_sockets_is_left_alone(mock: Mock) -> None:
    class Refusing(aiohttp.BaseConnector):
        async def _create_connection(self, *_: Any) -> Any:
            raise aiohttp.ClientConnectionError("mine")

    async def ask() -> None:
        async with aiohttp.ClientSession(connector=Refusing()) as session:
            await session.post(f"{BASE}/criteria/judge", json=JUDGE)

    with pytest.raises(aiohttp.ClientConnectionError, match="mine"):
        asyncio.run(ask())
    assert mock.calls == []


def test_a_session_that_is_closed_closes_its_streams(mock: Mock) -> None:
    async def ask() -> None:
        session = aiohttp.ClientSession(headers=KEY)
        got = await session.post(f"{BASE}/chat/completions", json=STREAM)
        await got.content.readany()
        await session.close()
        with pytest.raises(RuntimeError, match="Connection closed"):
            await got.read()

    asyncio.run(ask())
    assert mock.session.under_way == 0


# The page on fixtures.


def failing(library: str, body: Any) -> str:
    """The error of one request by a client that waits five seconds, read to its end."""
    asked: dict[str, Any] = {"json": body, "headers": KEY}

    async def by_aiohttp() -> None:
        timeout = aiohttp.ClientTimeout(sock_read=5)
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.post(f"{BASE}/chat/completions", **asked) as got,
        ):
            await got.read()

    modules: dict[str, Any] = {"httpx": httpx, "httpx2": httpx2, "requests": requests}
    try:
        if library == "aiohttp":
            asyncio.run(by_aiohttp())
        elif library == "urllib3":
            urllib3.request("POST", f"{BASE}/chat/completions", timeout=5, retries=False, **asked)
        else:
            modules[library].post(f"{BASE}/chat/completions", timeout=5, **asked)
    except Exception as error:
        return type(error).__name__
    return "none"


def test_faults_raise_what_the_page_says(mock: Mock) -> None:
    page = (ROOT / "docs" / "fixtures.md").read_text("utf-8")
    played = set()
    for row in rows(page[page.index("| fault |") :]):
        fault = row.pop("fault").strip("`")
        for libraries, error in row.items():
            for library, body in product(libraries.split(", "), (CHAT, STREAM)):
                mock.reset()
                mock.fault(**yaml.safe_load(f"{{{fault}}}"))
                assert failing(library, body) == error.strip("`"), (library, fault)
                played.add(library)
    assert played == {"httpx", "httpx2", "requests", "urllib3", "aiohttp"}


# Other mocks, as they replace what sends.


def refuse(*_: Any, **__: Any) -> Any:
    raise LookupError("theirs")


@pytest.mark.parametrize("theirs_first", [True, False])
def test_another_mock_of_requests_sees_what_is_not_ours(
    monkeypatch: pytest.MonkeyPatch, theirs_first: bool
) -> None:
    """One where adapters send, and one that puts an adapter of its own onto each session."""
    other = requests.adapters.HTTPAdapter()
    monkeypatch.setattr(other, "send", refuse)

    def replace() -> None:
        monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", refuse)

    with requests.Session() as session:
        if theirs_first:
            replace()
            monkeypatch.setattr(session, "get_adapter", lambda url: other)
        with patched() as mock:
            if not theirs_first:
                replace()
                monkeypatch.setattr(session, "get_adapter", lambda url: other)
            for sender in (session, requests):
                assert sender.post(f"{BASE}/criteria/judge", json=JUDGE, headers=KEY).ok
                with pytest.raises(LookupError, match="theirs"):
                    sender.get("https://example.com/")
            monkeypatch.undo()
            assert session.post(f"{BASE}/criteria/judge", json=JUDGE, headers=KEY).ok
            assert session.get_adapter(BASE) is session.adapters["https://"]
        mock.judged(times=3)
        assert session.get_adapter(BASE) is session.adapters["https://"]


@pytest.mark.parametrize("theirs_first", [True, False])
def test_another_mock_of_aiohttp_sees_what_is_not_ours(
    monkeypatch: pytest.MonkeyPatch, theirs_first: bool
) -> None:
    asked: dict[str, Any] = {"json": JUDGE, "headers": KEY}

    with pytest.warns(DeprecationWarning, match="discouraged"):

        class Own(aiohttp.ClientSession):
            async def _request(self, *args: Any, **kwargs: Any) -> Any:
                return await super()._request(*args, **kwargs)

    async def ask() -> None:
        async with aiohttp.ClientSession(ORIGIN) as session:
            assert (await session.post(f"{BASE}/criteria/judge", **asked)).ok
            assert (await session.request(method="POST", url="/api/v1/criteria/judge", **asked)).ok
            with pytest.raises(LookupError, match="theirs"):
                await session.get("https://example.com/")
        async with Own() as session:
            with pytest.raises(LookupError, match="theirs"):
                await session.post(f"{BASE}/criteria/judge", **asked)

    if theirs_first:
        monkeypatch.setattr(aiohttp.ClientSession, "_request", refuse)
    with patched() as mock:
        monkeypatch.setattr(aiohttp.ClientSession, "_request", refuse)
        asyncio.run(ask())
    mock.judged(times=2)


# Exchanges that go wrong when they have begun.


class Slow:
    """What answers with a head, and ten seconds later with a body; or fails by a mistake of its own."""

    def __init__(self, mistake: bool = False) -> None:
        self.clock = VirtualClock()
        self.mistake = mistake

    def answer(self, head: Head, body: bytes) -> Effects:
        if self.mistake:
            raise ZeroDivisionError
        yield Begin(200, ())
        yield Wait(10)
        yield Piece(b"late")
        return Reply(200, b"")


@pytest.fixture(params=[False, True])
def slow(request: pytest.FixtureRequest) -> Iterator[Slow]:
    found = Slow(request.param)
    patches = Patches(lambda url: ("/", found))
    patches.put_on()
    yield found
    patches.take_off()


def test_a_body_that_comes_too_late_for_aiohttp(slow: Slow) -> None:
    async def ask() -> int:
        timeout = aiohttp.ClientTimeout(total=None, sock_read=5)
        async with aiohttp.ClientSession(timeout=timeout) as session, session.get(ORIGIN) as got:
            with pytest.raises(aiohttp.SocketTimeoutError):
                await got.read()
            return got.status

    if slow.mistake:
        with pytest.raises(ZeroDivisionError):
            asyncio.run(ask())
    else:
        assert asyncio.run(ask()) == 200
        assert slow.clock.now == 5


def test_a_body_that_comes_too_late_for_requests(slow: Slow) -> None:
    if slow.mistake:
        with pytest.raises(ZeroDivisionError):
            requests.get(ORIGIN, timeout=5)
        return
    with requests.get(ORIGIN, timeout=5, stream=True) as got:
        assert got.status_code == 200
        with pytest.raises(requests.ConnectionError, match="Read timed out"):
            _ = got.content
    assert slow.clock.now == 5
