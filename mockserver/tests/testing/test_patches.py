"""How client libraries are patched: what stood there before, stubs, and imports that come later."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from inspect import signature
from io import BytesIO
from threading import Thread
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest.mock import MagicMock
from urllib.parse import urlsplit

import httpx
import httpx2
import pytest
import requests
import urllib3

from openpipe_mock.testing.answering import Catch, intercept, intercept_async
from openpipe_mock.testing.base_urls import url_of
from openpipe_mock.testing.border import FRONTIER
from openpipe_mock.testing.clients import CLIENTS
from openpipe_mock.testing.interception import patched
from openpipe_mock.testing.patches import as_written, is_replaced, is_tracer, places_in
from tests.live import clean

URL = "https://api.openpipe.ai/api/v1/criteria/judge"
JUDGE = {"criterion_id": "helpful", "output": {"role": "assistant", "content": "1, 2, 3."}}
KEY = {"authorization": "Bearer op-local"}


class Tracer:
    """A proxy around a method, as wrapt makes them for OpenTelemetry, which notes what goes through it."""

    def __init__(self, wrapped: Any, seen: list[str], instance: Any = None) -> None:
        self.__wrapped__ = wrapped
        self.seen = seen

    def __get__(self, instance: Any, owner: type | None = None) -> "Tracer":
        return Tracer(self.__wrapped__.__get__(instance, owner), self.seen)

    def __call__(self, request: Any) -> Any:
        self.seen.append(request.url.host)
        return self.__wrapped__(request)


@pytest.fixture
def another() -> Iterator[str]:
    """Another server on this machine."""

    class Answering(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-length", "5")
            self.end_headers()
            self.wfile.write(b"hello")

        def log_message(self, *_: Any) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Answering) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


# What stood there before.


def test_a_magic_mock_takes_what_is_let_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    standing = MagicMock(side_effect=lambda request: httpx.Response(418))
    monkeypatch.setattr(httpx.HTTPTransport, "handle_request", standing)
    with patched() as mock:
        assert httpx.get("https://example.com/").status_code == 418
        assert httpx.post(URL, json=JUDGE, headers=KEY).status_code == 200
    standing.assert_called_once()
    mock.judged(times=1)
    assert httpx.HTTPTransport.__dict__["handle_request"] is standing


def test_a_staticmethod_too(monkeypatch: pytest.MonkeyPatch) -> None:
    standing = staticmethod(lambda request: httpx2.Response(418))
    monkeypatch.setattr(httpx2.HTTPTransport, "handle_request", standing)
    with patched():
        assert httpx2.get("https://example.com/").status_code == 418
        assert httpx2.post(URL, json=JUDGE, headers=KEY).status_code == 200
    assert httpx2.HTTPTransport.__dict__["handle_request"] is standing


def test_a_mock_of_a_pool_and_of_an_adapter(monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = urllib3.HTTPResponse(BytesIO(b"theirs"), status=418, preload_content=False)
    pool = MagicMock(return_value=theirs)
    monkeypatch.setattr(urllib3.HTTPConnectionPool, "urlopen", pool)
    monkeypatch.setattr(
        requests.Session, "get_adapter", staticmethod(lambda url: requests.adapters.HTTPAdapter())
    )
    with patched() as mock:
        assert requests.get("https://example.com/").status_code == 418
    pool.assert_called_once()
    assert mock.calls == []


@pytest.mark.parametrize("library", [httpx, httpx2])
@pytest.mark.parametrize("tracer_first", [True, False])
def test_a_tracer_sees_what_is_let_pass_and_what_is_answered(
    monkeypatch: pytest.MonkeyPatch, library: Any, tracer_first: bool, another: str
) -> None:
    seen: list[str] = []

    def trace() -> None:
        wrapped = library.HTTPTransport.__dict__["handle_request"]
        monkeypatch.setattr(library.HTTPTransport, "handle_request", Tracer(wrapped, seen))

    if tracer_first:
        trace()
    with patched() as mock:
        if not tracer_first:
            trace()
        assert library.get(another).text == "hello"
        assert library.post(URL, json=JUDGE, headers=KEY).status_code == 200
        assert seen == ["127.0.0.1", "api.openpipe.ai"]
        monkeypatch.undo()
        assert library.post(URL, json=JUDGE, headers=KEY).status_code == 200
    assert library.get(another).text == "hello"
    assert seen == ["127.0.0.1", "api.openpipe.ai"]
    mock.judged(times=2)
    FRONTIER.patches.put_on()
    FRONTIER.patches.take_off()


@pytest.mark.parametrize("library", [httpx, httpx2])
def test_a_transport_that_was_traced_before(library: Any) -> None:
    """Its tracer keeps the method of that time; the fault is the library's own all the same."""
    seen: list[str] = []
    transport = library.HTTPTransport()
    transport.handle_request = Tracer(transport.handle_request, seen)
    with library.Client(transport=transport, headers=KEY, timeout=5) as client, patched() as mock:
        assert client.post(URL, json=JUDGE).status_code == 200
        mock.fault(delay_ms=6000, first=1)
        with pytest.raises(library.ReadTimeout):
            client.post(URL, json=JUDGE)
        mock.fault(disconnect=True, first=1)
        with pytest.raises(library.RemoteProtocolError):
            client.post(URL, json=JUDGE)
    assert seen == ["api.openpipe.ai"] * 3


def test_what_is_a_tracer_and_what_is_a_replacement(monkeypatch: pytest.MonkeyPatch) -> None:
    adapter = requests.adapters.HTTPAdapter
    own = adapter.__dict__["send"]
    mocks: list[Any] = [own, MagicMock(), staticmethod(own), classmethod(own), lambda *_: None]
    assert not any(map(is_tracer, mocks))
    assert is_tracer(Tracer(own, []))
    assert not is_replaced(adapter, "send")
    for standing, replaced in ((Tracer(own, []), False), (MagicMock(), True), (lambda *_: None, True)):
        monkeypatch.setattr(adapter, "send", standing)
        assert is_replaced(adapter, "send") is replaced
    assert as_written(adapter, "send").__code__ == own.__code__


# Stubs, and libraries that come later.


@pytest.mark.parametrize("name", CLIENTS)
def test_a_stub_under_a_librarys_name_ends_nothing(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    library = httpx2 if name in ("httpx", "httpcore") else httpx
    with library.Client(headers=KEY) as client:
        for stub in (None, MagicMock(), SimpleNamespace(), ModuleType("stub"), ModuleType(name)):
            monkeypatch.setitem(sys.modules, name, stub)
            with patched():
                assert client.post(URL, json=JUDGE).status_code == 200


def test_a_method_that_is_gone_is_not_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(requests.Session, "get_adapter")
    with patched():
        assert urllib3.request("POST", URL, json=JUDGE, headers=KEY).status == 200
    assert "get_adapter" not in vars(requests.Session)


LATER = """
import sys
import openpipe_mock
URL, JUDGE, KEY = {!r}, {!r}, {!r}
with openpipe_mock.patched() as mock:
    early = [name for name in {!r} if name in sys.modules]
    import asyncio, aiohttp, httpx, httpx2, requests, urllib3
    assert requests.post(URL, json=JUDGE, headers=KEY).ok
    assert urllib3.request("POST", URL, json=JUDGE, headers=KEY).status == 200
    assert httpx.post(URL, json=JUDGE, headers=KEY).is_success
    assert httpx2.post(URL, json=JUDGE, headers=KEY).is_success
    async def ask():
        async with aiohttp.ClientSession() as session, session.post(URL, json=JUDGE, headers=KEY) as answer:
            assert answer.ok
    asyncio.run(ask())
    mock.judged(times=5)
assert early == [], early
assert "openpipe" not in repr(sys.meta_path), sys.meta_path
assert "openpipe" not in requests.Session.get_adapter.__module__
assert "openpipe" not in aiohttp.BaseConnector.connect.__module__
"""


@pytest.mark.slow
def test_what_is_imported_later_is_served_and_nothing_is_before() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", LATER.format(URL, JUDGE, KEY, tuple(CLIENTS))],
        env=clean(), capture_output=True, encoding="utf-8", timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


def test_a_library_that_is_imported_anew_is_served() -> None:
    """As by a test that reloads its modules: under its old names, in new classes."""
    kept = {name: module for name, module in sys.modules.items() if name.split(".")[0] == "httpx2"}
    try:
        with patched() as mock:
            for name in kept:
                del sys.modules[name]
            import httpx2 as again

            assert again.Client is not httpx2.Client
            assert again.post(URL, json=JUDGE, headers=KEY).status_code == 200
            mock.judged(times=1)
        places = places_in("httpx2", again)
        assert all("openpipe_mock" not in vars(owner)[name].__module__ for owner, name, _ in places)
    finally:
        sys.modules.update(kept)


def test_one_more_library_is_a_module_and_an_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    class Post:
        def send(self, url: str, *, text: str = "") -> str:
            return f"sent to {url}"

        async def send_async(self, url: str) -> str:
            return f"sent to {url}"

    class Client:
        def url(self, post: Post, url: str, *, text: str = "") -> Any:
            return url_of(url) if url else None

        def answer(self, catch: Catch, original: Any, post: Post, url: str, *, text: str = "") -> str:
            return f"answered {catch[0]}: {text}"

        async def answer_async(self, catch: Catch, original: Any, post: Post, url: str) -> str:
            return f"answered {catch[0]}"

    library, module = ModuleType("postoffice"), ModuleType("postofficeclient")
    module.places = lambda library: [  # type: ignore[attr-defined]
        (library.Post, "send", partial(intercept, Client())),
        (library.Post, "send_async", partial(intercept_async, Client())),
    ]
    library.Post = Post  # type: ignore[attr-defined]
    monkeypatch.setitem(CLIENTS, "postoffice", "postofficeclient")
    monkeypatch.setitem(sys.modules, "postoffice", library)
    monkeypatch.setitem(sys.modules, "openpipe_mock.testing.postofficeclient", module)
    path, post = urlsplit(URL).path, Post()
    with patched():
        assert post.send(URL, text="hello") == f"answered {path}: hello"
        assert asyncio.run(post.send_async(url=URL)) == f"answered {path}"
        assert [post.send("https://a.test/"), post.send("")] == ["sent to https://a.test/", "sent to "]
        assert asyncio.run(post.send_async("https://a.test/")) == "sent to https://a.test/"
        assert "text" in signature(post.send).parameters  # tracers bind a call's arguments by it
    assert post.send(URL) == f"sent to {URL}"
