"""The mock as a Starlette application: mounted, under another server, and without a socket (docs/asgi.md)."""

import asyncio
import contextlib
import json
import socket
import subprocess
import sys
import warnings
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import httpx
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, NoMatchFound, Route
from starlette.types import ASGIApp

from openpipe_mock.config.settings import Settings
from openpipe_mock.control.guard import guard
from openpipe_mock.core.effects import Reply
from openpipe_mock.faults.fault import Fault
from openpipe_mock.faults.kinds import Disconnect
from openpipe_mock.server.asgi import create_app
from openpipe_mock.server.direct import DirectApp
from openpipe_mock.service.service import Service
from tests.environments import ROOT
from tests.inprocess import HEADERS, JUDGE, MINIMAL
from tests.live import PATIENCE, clean
from tests.markdown import blocks
from tests.profiles import examples
from tests.threads import eventually, served

with warnings.catch_warnings():
    # Before 1.7 starlette uses a name there that anyio 4.16 deprecates.
    warnings.simplefilter("ignore", DeprecationWarning)
    from starlette.testclient import TestClient

Json = Any
Headers = list[tuple[bytes, bytes]]
Answer = tuple[int, Headers, bytes]

PREFIX = "/p-1/p-2"
BODY = json.dumps(MINIMAL).encode()
KEYED = {"authorization": "Bearer op-test"}
PAGE = ROOT / "docs" / "asgi.md"


def mounted(app: ASGIApp) -> Starlette:
    """An application that mounts another below `PREFIX`, at two levels."""
    _, first, second = PREFIX.split("/")
    return Starlette(routes=[Mount(f"/{first}", routes=[Mount(f"/{second}", app)])])


async def ask(app: Any, target: str, method: str, headers: Headers, *, prefix: str = "") -> Answer:
    """The answer to a request by ASGI, or at once where the app can. `target`: path and query as sent."""
    path, _, query = target.partition("?")
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": prefix + unquote(path),
        "raw_path": (prefix + path).encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [*headers, (b"content-length", b"%d" % len(BODY))],
        "server": ("127.0.0.1", 6736),
        "client": ("127.0.0.1", 50000),
    }
    coming = [{"type": "http.request", "body": BODY}]
    heard: list[Json] = []

    async def receive() -> Json:
        return coming.pop() if coming else await asyncio.Future()

    async def send(message: Json) -> None:
        heard.append(message)

    found = app.at_once(scope, BODY) if isinstance(app, DirectApp) else None
    if isinstance(found, Reply):
        return found.status, [*found.headers, (b"content-length", b"%d" % len(found.body))], found.body
    await (found or app)(scope, receive, send)
    return (
        heard[0]["status"],
        list(heard[0]["headers"]),
        b"".join(message.get("body", b"") for message in heard[1:]),
    )


STEPS = [
    *("", "api", "v1", "_mock", "sessions", "s", "criteria", "judge", "chat", "models"),
    *("status", "health", "requests", "nowhere", "..", ".", "%2F", "%61pi", "%5Fmock", "%20", "%C3%A9"),
    *("%FF", "%zz", "%", "a;b", "~", "v1%3Fx", "*", "favicon.ico", "judge%2F"),
]
WHOLE = [
    *("/", "//", "/api/v1/criteria/judge", "//api/v1/criteria/judge", "/api/v1/criteria/judge/"),
    *("/api/v1/models", "/_mock/status", "/_mock/sessions/s/api/v1/models", "/_mock/sessions/s/_mock/status"),
    *("/_mock", "/_mock/", "/_mock/nowhere", "/api/v1/criteria/jugde", "/v1/criteria/judge"),
]
targets = st.builds(
    str.__add__,
    st.sampled_from(WHOLE)
    | st.lists(st.sampled_from(STEPS), max_size=4).map(lambda steps: f"/{'/'.join(steps)}"),
    st.sampled_from(["", "", "?", "?limit=1", "?x=%2F&y"]),
)
methods = st.sampled_from(["GET", "HEAD", "POST", "OPTIONS", "PUT", "DELETE", "PATCH", "TRACE"])
hosts = st.sampled_from([b"localhost:6736", b"127.0.0.1", b"evil.example", b"[::1]:99999"])
origins = st.lists(
    st.sampled_from([b"http://localhost:3000", b"https://evil.example"]).map(
        lambda value: (b"origin", value)
    ),
    max_size=2,
)
preflights = st.sampled_from([[], [(b"access-control-request-method", b"POST")]])
several = st.sampled_from([[], [(b"x-forwarded-for", b"127.0.0.1")], [(b"x-forwarded-for", b"10.0.0.1")] * 2])
requests = st.tuples(
    targets,
    methods,
    st.builds(
        lambda host, *more: [*HEADERS.items(), (b"host", host), *chain(*more)],
        hosts,
        origins,
        preflights,
        several,
    ),
)
ODD = [*HEADERS.items(), (b"host", b"localhost")]


def without_prefix(answer: Answer) -> Answer:
    """An answer of a mounted app as it is without the prefix."""
    status, headers, body = answer
    body = body.replace(PREFIX.encode(), b"")
    return status, [pair for pair in headers if pair[0] != b"content-length"], body


@given(requests)
@example(("/%2F", "GET", ODD))
@example(("/_mock/sessions/s", "GET", ODD))
@settings(max_examples=examples(300))
def test_our_server_the_app_and_a_mounted_app_answer_alike(request: tuple[str, str, Headers]) -> None:
    async def all_three() -> tuple[Answer, Answer, Answer]:
        lane, plain, below = DirectApp(), create_app(), mounted(create_app())
        return (
            await ask(lane, *request),
            await ask(plain, *request),
            await ask(below, *request, prefix=PREFIX),
        )

    fast, plain, below = asyncio.run(all_three())
    assert fast == plain
    assert without_prefix(below) == without_prefix(plain)


@pytest.fixture(scope="module")
def pair() -> Iterator[tuple[socket.socket, Starlette]]:
    """A connection to a server of ours, and an app that is asked the same."""
    with (
        served(DirectApp()) as address,
        contextlib.closing(socket.create_connection(address, PATIENCE)) as sock,
    ):
        yield sock, create_app()


@given(request=requests)
@example(request=("/%0A", "GET", ODD))
@example(request=("/api/v1/a%0Ab", "POST", ODD))
@settings(max_examples=examples(150))
@pytest.mark.slow
def test_over_a_socket_come_the_same_bytes(
    pair: tuple[socket.socket, Starlette], request: tuple[str, str, Headers]
) -> None:
    sock, app = pair
    target, method, headers = request
    lines = [f"{method} {target} HTTP/1.1".encode(), *(b"%b: %b" % each for each in headers)]
    sock.sendall(b"\r\n".join([*lines, b"content-length: %d" % len(BODY), b"", BODY]))
    status, expected, body = asyncio.run(ask(app, *request))
    head = b"".join([b"HTTP/1.1 %d " % status, *(b"\r\n%b: %b" % each for each in expected), b"\r\n\r\n"])
    length = len(head) + len(body) * (method != "HEAD")
    heard = b""
    while b"\r\n\r\n" not in heard:
        heard += sock.recv(65536)
    reason = heard.partition(b"\r\n")[0].removeprefix(b"HTTP/1.1 %d " % status)
    while len(heard) < length + len(reason):
        heard += sock.recv(65536)
    assert heard.replace(reason, b"", 1) == head + (b"" if method == "HEAD" else body)


# The three uses


def test_a_mounted_mock_knows_its_prefix() -> None:
    here = {"base_url": "http://localhost", "client": ("127.0.0.1", 50000)}
    with TestClient(mounted(create_app()), **here) as client:  # type: ignore[arg-type]
        assert client.post(PREFIX + JUDGE, json=dict(MINIMAL), headers=KEYED).status_code == 200
        wrong = client.get(PREFIX + JUDGE).json()["message"]
        missing = client.get(f"{PREFIX}/v1/models").json()["error"]["message"]
        session = client.post(f"{PREFIX}/_mock/sessions").json()
        page = client.get(f"{PREFIX}/")
        script = client.get(f"{PREFIX}/_mock/dashboard/app.js")
        [request] = client.get(f"{PREFIX}/_mock/requests", params={"status": 200}).json()["requests"]
    assert f"{PREFIX}{JUDGE} takes POST" in wrong
    assert f"let the base URL be http://localhost{PREFIX}/api/v1." in missing
    assert session["base_url"].startswith(f"http://localhost{PREFIX}/_mock/sessions/")
    assert f'src="{PREFIX}/_mock/dashboard/app.js"' in page.text
    assert script.status_code == 200
    assert request["path"] == JUDGE


def test_a_mounted_mock_answers_without_any_lifespan() -> None:
    async def run() -> int:
        transport = httpx.ASGITransport(mounted(create_app()))
        async with httpx.AsyncClient(transport=transport, base_url=f"http://localhost{PREFIX}") as client:
            return (await client.post(JUDGE, json=dict(MINIMAL), headers=KEYED)).status_code

    assert asyncio.run(run()) == 200


def test_a_prefix_of_any_text_is_a_url_on_the_page() -> None:
    app = Starlette(routes=[Mount("/{tenant}", create_app())])
    with TestClient(app, base_url="http://localhost", client=("127.0.0.1", 50000)) as client:
        html = client.get('/"><script>/').text
    assert "<script>" not in html
    assert 'src="/%22%3E%3Cscript%3E/_mock/dashboard/app.js"' in html


def test_the_prefix_alone_is_sent_on_to_the_page() -> None:
    with TestClient(mounted(create_app()), base_url="http://localhost", client=("127.0.0.1", 1)) as client:
        assert client.get(PREFIX).url == f"http://localhost{PREFIX}/"


def test_a_server_may_tell_the_prefix_of_its_proxy() -> None:
    async def run() -> httpx.Response:
        transport = httpx.ASGITransport(create_app(), root_path=PREFIX)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.get("/nowhere")

    assert f'there is no "{PREFIX}/nowhere" here' in asyncio.run(run()).json()["message"]


def test_the_guard_is_that_of_the_arguments() -> None:
    app = create_app(guard=guard(token="s3cret"))
    client = TestClient(app)
    assert client.get("/_mock/status").status_code == 403
    assert client.get("/_mock/status", headers={"x-mock-token": "s3cret"}).status_code == 200


SERVERS: Mapping[str, list[str]] = {
    "uvicorn": ["uvicorn", "--factory", "openpipe_mock.server.asgi:create_app", "--port", "{port}"],
    "uvicorn with h11": ["uvicorn", "--http", "h11", "application:app", "--port", "{port}"],
    "hypercorn": ["hypercorn", "application:app", "--bind", "127.0.0.1:{port}"],
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SERVERS)
def test_another_server_serves_it(name: str, tmp_path: Path) -> None:
    program, *arguments = SERVERS[name]
    (tmp_path / "application.py").write_text(next(blocks(PAGE.read_text())).code)
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", program, *(each.format(port=port) for each in arguments)]
    process = subprocess.Popen(command, cwd=tmp_path, env=clean(), stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"

    def is_up() -> bool:
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(f"{url}/_mock/health").is_success
        return False

    try:
        eventually(is_up)
        answer = httpx.post(f"{url}{JUDGE}", json=dict(MINIMAL), headers=KEYED)
        asked = {"model": "openpipe:m", "messages": [{"role": "user", "content": "Hi"}], "stream": True}
        stream = httpx.post(f"{url}/api/v1/chat/completions", json=asked, headers=KEYED)
        health = httpx.get(f"{url}/_mock/health").json()
    finally:
        process.terminate()
        process.wait(PATIENCE)
    assert answer.status_code == 200
    assert stream.text.endswith("data: [DONE]\n\n")
    assert health["seed"] == (0 if "--factory" in arguments else 7)


@pytest.mark.slow
def test_another_server_breaks_a_connection_on_purpose() -> None:
    app = create_app(Settings(faults=(Fault(kinds=(Disconnect(),)),)))
    with served(app, http="h11") as (host, port), pytest.raises(httpx.RemoteProtocolError):
        httpx.post(f"http://{host}:{port}{JUDGE}", json=dict(MINIMAL), headers=KEYED)


def test_the_examples_on_the_page_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    Path("openpipe-mock.yaml").write_text("seed: 7\n")
    for block in blocks(PAGE.read_text(encoding="utf-8")):
        if block.language == "python":
            found: dict[str, Any] = {}
            exec(compile(block.code, str(PAGE), "exec"), found)
            assert "score" in found or isinstance(found["app"], Starlette)


def test_an_app_keeps_the_service_that_it_is_given() -> None:
    service = Service(Settings(seed=3))
    client = TestClient(create_app(service))
    client.post(JUDGE, json=dict(MINIMAL), headers=KEYED)
    assert service.sessions.default.requests == 1


def test_who_mounts_it_finds_his_own_routes_by_name() -> None:
    def other(request: Request) -> Response:
        return PlainTextResponse(str(request.url_for("other")))

    app = Starlette(routes=[Mount("/fake", create_app()), Route("/other", other, name="other")])
    assert TestClient(app).get("/other").text == "http://testserver/other"
    for each in (app, create_app()):
        with pytest.raises(NoMatchFound):
            each.url_path_for("nowhere")
