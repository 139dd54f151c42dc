"""httpx and httpx2 patched: the same answers as over a socket, in each library's own objects and errors."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import httpx2
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from openpipe_mock.core.effects import Effects, Head, ReadBody, Reply
from openpipe_mock.service.service import Service
from openpipe_mock.testing.httpx_clients import HttpxLibrary
from openpipe_mock.testing.interception import patched
from openpipe_mock.testing.live import LiveMock, LiveServer, serving
from openpipe_mock.testing.mock import Mock
from openpipe_mock.testing.patches import Patches, places_in
from openpipe_mock.testing.virtual import VirtualClock
from tests.generate import broken, thorough, valid

SERVICE = "https://api.openpipe.ai/api/v1"
KEY = {"authorization": "Bearer op-local"}
LIBRARIES = [httpx, httpx2]
JUDGE = {"criterion_id": "helpful", "output": {"role": "assistant", "content": "1, 2, 3."}}
CHAT = {"model": "openai:gpt-4o-mini", "messages": [{"role": "user", "content": "Count to 3"}]}
STREAM = {**CHAT, "stream": True}
FAULTS: list[dict[str, Any]] = [
    {"every": 23, "disconnect": True},
    {"every": 19, "disconnect": True, "after_bytes": 40},
    {"every": 17, "truncated": True},
    {"every": 13, "drip": {"bytes": 50, "every_ms": 0}},
    {"every": 11, "malformed": True},
    {"every": 7, "status": 429, "retry_after": 0.5},
]


@pytest.fixture
def mock() -> Iterator[Mock]:
    with patched() as mock:
        yield mock


@pytest.fixture(scope="module")
def server() -> Iterator[LiveServer]:
    with serving() as running:
        yield running


# The fixture and the socket.


def outcome(client: Any, base: str, method: str, path: str, content: bytes | None) -> tuple[Any, ...]:
    """What a client sees of one request: status, headers, bytes, and the name of an error."""
    received = b""
    seen: tuple[Any, ...] = ()
    typed = {**KEY, "content-type": "application/json"}
    try:
        with client.stream(method, f"{base}{path}", content=content, headers=typed) as got:
            seen = (got.status_code, sorted(got.headers.items()))
            for piece in got.iter_raw():
                received += piece
    except (httpx.HTTPError, httpx2.HTTPError) as error:
        return *seen, received, type(error).__name__
    return *seen, received


async def outcome_async(client: Any, method: str, path: str, content: bytes | None) -> tuple[Any, ...]:
    """The same of an async client, in this process."""
    received = b""
    seen: tuple[Any, ...] = ()
    typed = {**KEY, "content-type": "application/json"}
    try:
        async with client.stream(method, f"{SERVICE}{path}", content=content, headers=typed) as got:
            seen = (got.status_code, sorted(got.headers.items()))
            async for piece in got.aiter_raw():
                received += piece
    except (httpx.HTTPError, httpx2.HTTPError) as error:
        return *seen, received, type(error).__name__
    return *seen, received


def requests() -> st.SearchStrategy[tuple[str, str, bytes | None]]:
    """Requests to both endpoints, right and wrong, streams among them, and some to nowhere."""
    chats = valid("ChatCompletionRequest") | st.builds(
        lambda body: {**body, "stream": True}, valid("ChatCompletionRequest")
    )
    judges = valid("JudgeCriteriaRequest")
    known = judges.map(lambda body: {**body, "criterion_id": "helpful"})
    judged = st.tuples(st.just("/criteria/judge"), judges | known | broken("JudgeCriteriaRequest"))
    chatted = st.tuples(
        st.just("/chat/completions"), chats | broken("ChatCompletionRequest") | st.just(STREAM)
    )
    sent = st.one_of(judged, chatted).map(lambda pair: ("POST", pair[0], json.dumps(pair[1]).encode()))
    raw = st.sampled_from([b"", b"{", b'{"a": NaN}', b"\xff"]).map(
        lambda text: ("POST", "/criteria/judge", text)
    )
    elsewhere = st.sampled_from(
        ["/criteria/judges", "/models", "/criteria%2Fjudge", "/a%20b?c=%20", "/chat/completions"]
    )
    asked = st.tuples(st.sampled_from(["GET", "HEAD", "DELETE"]), elsewhere, st.none())
    return sent | chatted.map(lambda pair: ("POST", pair[0], json.dumps(pair[1]).encode())) | raw | asked


@pytest.mark.slow
def test_the_fixture_and_the_socket_give_the_same_bytes(server: LiveServer) -> None:
    """And the same headers, errors and order of counts, whatever is asked and whatever goes wrong."""
    in_socket = LiveMock(server, overrides={})
    in_socket.session = server.service.sessions.default
    kinds: set[tuple[Any, ...]] = set()
    with ExitStack() as stack:
        in_process = stack.enter_context(patched())
        for mock in (in_process, in_socket):
            for fault in FAULTS:
                mock.fault(**fault)
        run = stack.enter_context(asyncio.Runner()).run
        clients = [stack.enter_context(library.Client()) for library in LIBRARIES]
        every = [*clients, *(library.AsyncClient() for library in LIBRARIES)]

        # Counts go on, so that nothing can be shrunk.
        @settings(thorough, phases=[Phase.generate], max_examples=400)
        @given(request=requests(), client=st.sampled_from(every))
        def check(request: tuple[str, str, bytes | None], client: Any) -> None:
            sync = client in clients
            found = outcome(client, SERVICE, *request) if sync else run(outcome_async(client, *request))
            assert found == outcome(clients[0], f"{server.origin}/api/v1", *request)
            status = found[0] if len(found) > 2 else 0
            kinds.add((request[1], sync, status, "chunked" in str(found), len(found)))

        check()
        in_socket.reset()
    for sync in (True, False):
        judged = {kind[2] for kind in kinds if kind[:2] == ("/criteria/judge", sync)}
        chatted = {kind[2:4] for kind in kinds if kind[:2] == ("/chat/completions", sync)}
        assert {0, 200, 400, 429} <= judged
        assert {(200, False), (200, True), (400, False), (429, False)} <= chatted
    assert {404, 405} <= {status for _, _, status, *_ in kinds}
    assert any(kind[-1] == 4 for kind in kinds), "no stream broke off"


def test_a_stream_comes_in_the_same_pieces(mock: Mock, server: LiveServer) -> None:
    with httpx.stream("POST", f"{SERVICE}/chat/completions", json=STREAM, headers=KEY) as got:
        pieces = list(got.iter_raw())
    with httpx.stream("POST", f"{server.origin}/api/v1/chat/completions", json=STREAM, headers=KEY) as got:
        assert b"".join(got.iter_raw()) == b"".join(pieces)
    assert len(pieces) > 3
    assert all(piece.endswith(b"\n\n") for piece in pieces)


# Each library.


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_response_is_the_librarys_own(mock: Mock, library: Any) -> None:
    response = library.post(f"{SERVICE}/criteria/judge", json=JUDGE, headers=KEY)
    assert isinstance(response, library.Response)
    assert (response.status_code, response.request.method) == (200, "POST")
    assert response.elapsed.total_seconds() == 0
    assert response.headers["content-length"] == str(len(response.content))


@pytest.mark.parametrize("library", LIBRARIES)
def test_an_async_response_too(mock: Mock, library: Any) -> None:
    async def ask() -> Any:
        async with library.AsyncClient(headers=KEY) as client:
            plain = await client.post(f"{SERVICE}/criteria/judge", json=JUDGE)
            async with client.stream("POST", f"{SERVICE}/chat/completions", json=STREAM) as got:
                return plain, [piece async for piece in got.aiter_raw()]

    plain, pieces = asyncio.run(ask())
    assert plain.json()["score"] >= 0
    assert pieces[-1] == b"data: [DONE]\n\n"


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize(
    ("fault", "error"), [({"disconnect": True}, "RemoteProtocolError"), ({"delay_ms": 5001}, "ReadTimeout")]
)
def test_errors_are_the_librarys_own(mock: Mock, library: Any, fault: dict[str, Any], error: str) -> None:
    mock.fault(**fault)
    with pytest.raises(library.HTTPError) as caught:
        library.post(f"{SERVICE}/criteria/judge", json=JUDGE, headers=KEY)
    assert type(caught.value) is getattr(library, error)
    assert caught.value.request.url.host == "api.openpipe.ai"

    async def ask() -> None:
        async with library.AsyncClient() as client:
            await client.post(f"{SERVICE}/criteria/judge", json=JUDGE, headers=KEY)

    with pytest.raises(getattr(library, error)):
        asyncio.run(ask())


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_client_without_timeout_waits_for_ever(mock: Mock, library: Any) -> None:
    mock.fault(delay_ms=600_000)
    response = library.post(f"{SERVICE}/criteria/judge", json=JUDGE, headers=KEY, timeout=None)
    assert response.elapsed.total_seconds() == mock.clock.now == 600


def test_a_client_that_closes_an_unread_stream_has_hung_up(mock: Mock) -> None:
    with httpx.stream("POST", f"{SERVICE}/chat/completions", json=STREAM, headers=KEY):
        assert mock.session.under_way == 1
    assert mock.session.under_way == 0
    [call] = mock.calls
    assert call.answer == []


@pytest.mark.parametrize("events", [2, None])
def test_who_closes_a_stream_behind_its_end_has_all_of_it(mock: Mock, events: int | None) -> None:
    """As openai 3 does, which reads no further than `[DONE]`."""
    with httpx.stream("POST", f"{SERVICE}/chat/completions", json=STREAM, headers=KEY) as got:
        for number, line in enumerate(filter(None, got.iter_lines()), 1):
            if line == "data: [DONE]" or number == events:
                break
    assert [lapse.rule.name for lapse in mock.warnings()] == ["left-a-stream"] * bool(events)
    assert mock.session.under_way == 0


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_stream_that_is_iterated_again_goes_on(mock: Mock, library: Any) -> None:
    """As with a socket; openai 3 reads on so behind `[DONE]`, where there is nothing any more."""

    async def read() -> list[list[bytes]]:
        async with (
            library.AsyncClient(headers=KEY) as client,
            client.stream("POST", f"{SERVICE}/chat/completions", json=STREAM) as got,
        ):
            first = [await anext(aiter(got.stream))]
            return [first, *[[piece async for piece in got.stream] for _ in range(2)]]

    first, others, nothing = asyncio.run(read())
    whole = library.post(f"{SERVICE}/chat/completions", json=STREAM, headers=KEY).content
    assert len(first[0]) < len(whole)
    assert (b"".join(first + others), nothing) == (whole, [])
    assert mock.warnings() == ()


def test_an_async_client_that_closes_an_unread_stream_has_hung_up(mock: Mock) -> None:
    async def ask() -> None:
        async with (
            httpx.AsyncClient(headers=KEY) as client,
            client.stream("POST", f"{SERVICE}/chat/completions", json=STREAM),
        ):
            pass

    asyncio.run(ask())
    assert mock.session.under_way == 0


def test_others_have_their_turn_while_a_request_waits(mock: Mock) -> None:
    """So a limit of requests at a time is met in process too."""
    mock.limits(concurrent=1)
    mock.fault(delay_ms=1000)

    async def ask() -> list[int]:
        async with httpx.AsyncClient(headers=KEY) as client:
            asked = (client.post(f"{SERVICE}/criteria/judge", json=JUDGE) for _ in range(2))
            return [response.status_code for response in await asyncio.gather(*asked)]

    assert asyncio.run(ask()) == [200, 429]


def test_a_cancelled_request_has_hung_up(mock: Mock) -> None:
    mock.fault(delay_ms=1000)

    async def ask() -> None:
        async with httpx.AsyncClient(headers=KEY) as client:
            task = asyncio.create_task(client.post(f"{SERVICE}/criteria/judge", json=JUDGE))
            while not (mock.session.under_way or task.done()):
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(ask())
    assert mock.session.under_way == 0
    assert [call.status for call in mock.calls] == [0]


def test_cookies_redirects_and_hooks_go_on_as_ever(mock: Mock) -> None:
    seen: list[int] = []
    hooks = {"response": [lambda response: seen.append(response.status_code)]}
    with httpx.Client(headers=KEY, event_hooks=hooks, follow_redirects=True) as client:
        client.post(f"{SERVICE}/criteria/judge", json=JUDGE)
    assert seen == [200]


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_transport_of_ones_own_sends_to_the_mock_past_another_that_replaced_the_plain_one(
    monkeypatch: pytest.MonkeyPatch, library: Any
) -> None:
    """As pytest-httpx does, which is set up before the mock."""

    class Own(library.BaseTransport):  # type: ignore[misc]
        plain = library.HTTPTransport()

        def handle_request(self, request: Any) -> Any:
            return self.plain.handle_request(request)

    monkeypatch.setattr(library.HTTPTransport, "handle_request", lambda *_: library.Response(418))
    with patched(), library.Client(transport=Own(), headers=KEY) as client:
        assert client.post(f"{SERVICE}/criteria/judge", json=JUDGE).status_code == 200
        assert client.get("https://elsewhere.test/").status_code == 418


# What stays untouched.


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_mock_transport_is_left_alone(mock: Mock, library: Any) -> None:
    transport = library.MockTransport(lambda request: library.Response(418))
    with library.Client(transport=transport) as client:
        assert client.post(f"{SERVICE}/criteria/judge", json=JUDGE).status_code == 418
    assert mock.calls == []


@pytest.mark.parametrize("library", LIBRARIES)
def test_wsgi_and_asgi_transports_are_left_alone(mock: Mock, library: Any) -> None:
    def wsgi(environ: Any, start_response: Any) -> list[bytes]:
        start_response("202 Accepted", [])
        return []

    async def asgi(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 203, "headers": []})
        await send({"type": "http.response.body"})

    async def ask() -> int:
        async with library.AsyncClient(transport=library.ASGITransport(app=asgi)) as client:
            return int((await client.get(SERVICE)).status_code)

    with library.Client(transport=library.WSGITransport(app=wsgi)) as client:
        assert client.get(SERVICE).status_code == 202
    assert asyncio.run(ask()) == 203
    assert mock.calls == []


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_users_own_transport_keeps_its_duty(mock: Mock, library: Any) -> None:
    """A subclass, one put on a mount, one whose method was replaced, and one called without a client."""
    seen: list[str] = []

    class Logging(library.HTTPTransport):  # type: ignore[misc]
        def handle_request(self, request: Any) -> Any:
            seen.append(request.url.host)
            return super().handle_request(request)

    with library.Client(mounts={"all://": Logging()}, headers=KEY) as client:
        assert client.post(f"{SERVICE}/criteria/judge", json=JUDGE).status_code == 200
    replaced = library.HTTPTransport()
    replaced.handle_request = lambda request: library.Response(418)
    with library.Client(transport=replaced) as client:
        assert client.post(f"{SERVICE}/criteria/judge", json=JUDGE).status_code == 418
    with library.HTTPTransport() as plain:
        request = library.Request("POST", f"{SERVICE}/criteria/judge", json=JUDGE, headers=KEY)
        assert plain.handle_request(request).status_code == 200
    assert seen == ["api.openpipe.ai"]
    mock.judged(times=2)


@pytest.mark.parametrize("library", LIBRARIES)
def test_an_async_transport_of_a_users_own_too(mock: Mock, library: Any, server: LiveServer) -> None:
    class Logging(library.AsyncHTTPTransport):  # type: ignore[misc]
        async def handle_async_request(self, request: Any) -> Any:
            return await super().handle_async_request(request)

    async def ask() -> list[int]:
        async with library.AsyncClient(transport=Logging(), headers=KEY) as client:
            ours = await client.post(f"{SERVICE}/criteria/judge", json=JUDGE)
            theirs = await client.get(f"{server.origin}/_mock/health")
        async with library.AsyncClient() as client:
            return [
                ours.status_code,
                theirs.status_code,
                (await client.get(f"{server.origin}/_mock/health")).status_code,
            ]

    assert asyncio.run(ask()) == [200, 200, 200]
    mock.judged(times=1)


def test_a_body_that_is_made_while_it_is_sent(mock: Mock) -> None:
    def body() -> Iterator[bytes]:
        yield from (json.dumps(JUDGE)[:9].encode(), json.dumps(JUDGE)[9:].encode())

    typed = {**KEY, "content-type": "application/json"}
    assert httpx.post(f"{SERVICE}/criteria/judge", content=body(), headers=typed).status_code == 200


# Patches.


def methods() -> list[object]:
    places = (place for library in LIBRARIES for place in places_in(library.__name__, library))
    return [owner.__dict__[name] for owner, name, _ in places]


def test_patches_are_put_on_once_and_taken_off() -> None:
    before = methods()
    patches = Patches(lambda url: None)
    patches.put_on()
    on = methods()
    patches.put_on()
    assert methods() == on
    assert not set(map(id, on)) & set(map(id, before))
    patches.take_off()
    assert methods() == before


def test_what_others_patched_over_ours_stays_and_ours_let_all_pass() -> None:
    before, calls = methods(), []
    patches = Patches(lambda url: calls.append(url))
    patches.put_on()
    ours = httpx.HTTPTransport.handle_request

    def theirs(transport: Any, request: Any) -> Any:
        return ours(transport, request)

    setattr(httpx.HTTPTransport, "handle_request", theirs)  # noqa: B010
    patches.take_off()
    assert httpx.HTTPTransport.handle_request is theirs
    setattr(httpx.HTTPTransport, "handle_request", ours)  # noqa: B010
    patches.put_on()
    patches.take_off()
    assert methods() == before


def test_a_private_method_that_is_gone_is_not_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then clients are caught by their transports alone."""
    monkeypatch.delattr(httpx2.Client, "_send_single_request")
    patches = Patches(lambda url: None)
    patches.put_on()
    assert "_send_single_request" not in httpx2.Client.__dict__
    patches.take_off()


def test_a_mock_answers_by_itself() -> None:
    request = httpx.Request("POST", f"{SERVICE}/criteria/judge", json=JUDGE, headers=KEY)
    response = HttpxLibrary(httpx).respond(
        request, request.content, ("/api/v1/criteria/judge", Mock(Service()))
    )
    assert response.status_code == 200


class Answers:
    """Patches that answer every request with one reply, at once or after an effect."""

    def __init__(self, reply: Reply, *, at_once: bool = False) -> None:
        self.reply = reply
        self.at_once = at_once
        self.clock = VirtualClock()
        self.patches = Patches(lambda url: ("/", self))

    def answer(self, head: Head, body: bytes) -> Reply | Effects:
        return self.reply if self.at_once else self.exchange()

    def exchange(self) -> Effects:
        yield ReadBody(100)
        return self.reply

    def __enter__(self) -> None:
        self.patches.put_on()

    def __exit__(self, *_: object) -> None:
        self.patches.take_off()


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize("library", LIBRARIES)
def test_a_cookie_is_kept(library: Any, at_once: bool) -> None:
    reply = Reply(200, b"", ((b"set-cookie", b"name=value; Path=/"),))
    with Answers(reply, at_once=at_once), library.Client() as client:
        client.get("https://api.openpipe.ai/")
        assert client.cookies["name"] == "value"
        assert client.build_request("GET", "https://api.openpipe.ai/").headers["cookie"] == "name=value"


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize("library", LIBRARIES)
def test_a_reply_is_the_same_at_once_and_later(library: Any, at_once: bool) -> None:
    headers = ((b"content-type", b"application/json"), (b"x-words", "1 €".encode()))
    with Answers(Reply(203, b'"a"', headers), at_once=at_once), library.Client() as client:
        response = client.get("https://api.openpipe.ai/")
        assert client.head("https://api.openpipe.ai/").content == b""
    assert (response.status_code, response.json(), response.headers["x-words"]) == (203, "a", "1 €")
    assert response.headers["content-length"] == "3"

    async def ask() -> Any:
        async with library.AsyncClient() as client:
            return await client.get("https://api.openpipe.ai/")

    with Answers(Reply(203, b'"a"', headers), at_once=at_once):
        assert asyncio.run(ask()).headers.raw == response.headers.raw


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_redirect_is_followed_or_not(library: Any) -> None:
    reply = Reply(302, b"", ((b"location", b"/next"),))
    with Answers(reply), library.Client() as client:
        assert client.get("https://api.openpipe.ai/").next_request.url.path == "/next"
        with pytest.raises(library.TooManyRedirects):
            client.get("https://api.openpipe.ai/", follow_redirects=True)


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_request_is_logged_as_ever(mock: Mock, library: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", library.__name__)
    library.post(f"{SERVICE}/criteria/judge", json=JUDGE, headers=KEY)
    [line] = [each.getMessage() for each in caplog.records if each.name == library.__name__]
    assert line == f'HTTP Request: POST {SERVICE}/criteria/judge "HTTP/1.1 200 OK"'


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_body_of_the_other_kind_is_the_clients_to_refuse(mock: Mock, library: Any) -> None:
    async def parts() -> AsyncIterator[bytes]:
        yield b"{}"

    async def ask() -> None:
        async with library.AsyncClient() as client:
            await client.post(SERVICE, content=iter([b"{}"]))

    with pytest.raises(RuntimeError, match="async request with a sync Client"):
        library.post(SERVICE, content=parts())
    with pytest.raises(RuntimeError, match="sync request with an AsyncClient"):
        asyncio.run(ask())
    assert mock.calls == []


@pytest.mark.parametrize("library", LIBRARIES)
def test_proxies_mounts_and_other_ways_to_a_socket_are_caught(mock: Mock, library: Any) -> None:
    class Named(library.HTTPTransport):  # type: ignore[misc]
        """A subclass that sends as its parent does."""

    ways: list[dict[str, Any]] = [
        {"proxy": "http://proxy.test:3128"},
        {"mounts": {"https://": library.HTTPTransport(retries=2), "http://": None}},
        {"mounts": {"https://": None}},
        {"transport": library.HTTPTransport(uds="/nowhere")},
        {"transport": Named()},
    ]
    for way in ways:
        with library.Client(headers=KEY, **way) as client:
            assert client.post(f"{SERVICE}/criteria/judge", json=JUDGE).status_code == 200, way
    mock.judged(times=len(ways))
