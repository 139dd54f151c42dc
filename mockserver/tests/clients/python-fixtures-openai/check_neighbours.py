"""Beside other tools that patch clients: in any order, each takes its own, and nothing stays behind."""

import threading
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, HTTPServer

import aiohttp
import httpcore
import httpcore2
import httpx
import httpx2
import pytest
import requests
import requests_mock
import responses
import respx
import urllib3
import vcr
from aioresponses import aioresponses

from openpipe_mock import NetworkRefused, patched

JUDGE = {"criterion_id": "helpful", "output": {"role": "assistant", "content": "1, 2, 3."}}
URL = "https://api.openpipe.ai/api/v1/criteria/judge"
KEY = {"authorization": "Bearer op-local"}
ELSEWHERE = "https://elsewhere.test/"
PATCHED = [
    *(
        (owner, name)
        for library in (httpx, httpx2)
        for owner, name in [
            (library.Client, "_send_single_request"),
            (library.AsyncClient, "_send_single_request"),
            (library.HTTPTransport, "handle_request"),
            (library.AsyncHTTPTransport, "handle_async_request"),
        ]
    ),
    *(
        (owner, name)
        for library in (httpcore, httpcore2)
        for owner, name in [
            (library.ConnectionPool, "handle_request"),
            (library.AsyncConnectionPool, "handle_async_request"),
        ]
    ),
    (aiohttp.BaseConnector, "connect"),
    (aiohttp.ClientSession, "_request"),
    (aiohttp.ClientSession, "request"),
    (aiohttp.ClientSession, "post"),
    (requests.Session, "get_adapter"),
    (requests.Session, "send"),
    (requests.adapters.HTTPAdapter, "send"),
    (urllib3.HTTPConnectionPool, "urlopen"),
]
ORIGINALS = [owner.__dict__[name] for owner, name in PATCHED]


def ask(library=httpx):
    return library.post(URL, json=JUDGE, headers=KEY).json()["score"]


@pytest.fixture(autouse=True)
def clean():
    yield
    assert [owner.__dict__[name] for owner, name in PATCHED] == ORIGINALS


class Answering(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("content-length", "5")
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, *_):
        pass


@pytest.fixture
def another():
    """Another server on this machine."""
    with HTTPServer(("127.0.0.1", 0), Answering) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def test_pytest_httpx_first(httpx_mock, openpipe_mock):
    httpx_mock.add_response(url=ELSEWHERE, text="theirs")
    openpipe_mock.criterion("helpful").score(0.1)
    assert (httpx.get(ELSEWHERE).text, ask()) == ("theirs", 0.1)


def test_pytest_httpx_second(openpipe_mock, httpx_mock):
    httpx_mock.add_response(url=ELSEWHERE, text="theirs")
    openpipe_mock.criterion("helpful").score(0.1)
    assert (httpx.get(ELSEWHERE).text, ask()) == ("theirs", 0.1)


def test_pytest_httpx_around(httpx_mock):
    httpx_mock.add_response(url=ELSEWHERE, text="theirs")
    with patched() as mock:
        assert httpx.get(ELSEWHERE).text == "theirs"
        ask()
    mock.judged(times=1)


@pytest.mark.asyncio
async def test_pytest_httpx_and_async_clients(openpipe_mock, httpx_mock):
    httpx_mock.add_response(url=ELSEWHERE, text="theirs")
    async with httpx.AsyncClient() as client:
        assert (await client.get(ELSEWHERE)).text == "theirs"
        assert (await client.post(URL, json=JUDGE, headers=KEY)).status_code == 200


@pytest.mark.parametrize("using", ["httpx", "httpcore"])
def test_respx_inside(openpipe_mock, using):
    with respx.mock(using=using) as theirs:
        theirs.get(ELSEWHERE).respond(text="theirs")
        assert httpx.get(ELSEWHERE).text == "theirs"
        ask()
    openpipe_mock.judged(times=1)


@pytest.mark.parametrize("using", ["httpx", "httpcore"])
def test_respx_outside(using):
    with respx.mock(using=using) as theirs:
        theirs.get(ELSEWHERE).respond(text="theirs")
        with patched() as mock:
            assert httpx.get(ELSEWHERE).text == "theirs"
            ask()
        mock.judged(times=1)


def test_the_fixture_of_respx(openpipe_mock, respx_mock):
    respx_mock.get(ELSEWHERE).respond(text="theirs")
    assert httpx.get(ELSEWHERE).text == "theirs"
    ask()
    openpipe_mock.judged(times=1)


@pytest.mark.parametrize("library", [httpx, httpx2])
def test_a_cassette_inside(openpipe_mock, library, another, tmp_path):
    with vcr.use_cassette(str(tmp_path / "tape.yaml")) as tape:
        assert library.get(another).text == "hello"
        ask(library)
    openpipe_mock.judged(times=1)
    assert [request.uri for request in tape.requests] == [another]


@pytest.mark.parametrize("library", [httpx, httpx2])
def test_a_cassette_outside(library, another, tmp_path):
    with vcr.use_cassette(str(tmp_path / "tape.yaml")) as tape, patched() as mock:
        assert library.get(another).text == "hello"
        ask(library)
    mock.judged(times=1)
    assert [request.uri for request in tape.requests] == [another]


@pytest.mark.parametrize("library", [httpx, httpx2])
def test_other_hosts_are_reached(openpipe_mock, library, another):
    assert library.get(another).text == "hello"


@pytest.mark.openpipe(block_network=True)
@pytest.mark.parametrize("library", [httpx, httpx2])
def test_or_refused(openpipe_mock, library, another):
    with pytest.raises(NetworkRefused, match="block_network"):
        library.get(another)
    ask(library)


@pytest.mark.openpipe(providers="pass")
def test_providers_may_pass(openpipe_mock, httpx_mock):
    httpx_mock.add_response(url="https://api.openai.com/v1/models", text="theirs")
    assert httpx.get("https://api.openai.com/v1/models").text == "theirs"


# Beside other mocks of requests and aiohttp: ours in both places, outside and inside.


def mocks_of(theirs, inside):
    """Both mocks, one around the other."""
    stack = ExitStack()
    mock = None if inside else stack.enter_context(patched())
    other = stack.enter_context(theirs)
    return stack, mock or stack.enter_context(patched()), other


def requested(session=requests):
    return session.post(URL, json=JUDGE, headers=KEY).json()["score"]


@pytest.mark.parametrize("inside", [True, False])
def test_responses(inside):
    stack, mock, theirs = mocks_of(responses.RequestsMock(), inside)
    with stack:
        theirs.get(ELSEWHERE, body="theirs")
        mock.criterion("helpful").score(0.1)
        assert (requests.get(ELSEWHERE).text, requested()) == ("theirs", 0.1)
        with requests.Session() as session:
            assert requested(session) == 0.1
    mock.judged(times=2)


@pytest.mark.parametrize("inside", [True, False])
def test_requests_mock(inside):
    stack, mock, theirs = mocks_of(requests_mock.Mocker(), inside)
    with stack:
        theirs.get(ELSEWHERE, text="theirs")
        mock.criterion("helpful").score(0.1)
        with requests.Session() as session:
            for _ in range(2):
                assert session.get(ELSEWHERE).text == "theirs"
                assert requested(session) == 0.1
        assert theirs.call_count == 2
        with pytest.raises(requests_mock.NoMockAddress):
            requests.get("https://nowhere.test/")
    mock.judged(times=2)


@pytest.mark.asyncio
@pytest.mark.parametrize("inside", [True, False])
async def test_aioresponses(inside):
    stack, mock, theirs = mocks_of(aioresponses(), inside)
    with stack:
        theirs.get(ELSEWHERE, exception=LookupError("theirs"))  # its responses don't fit a newer aiohttp
        mock.criterion("helpful").score(0.1)
        async with aiohttp.ClientSession(headers=KEY) as session:
            with pytest.raises(LookupError, match="theirs"):
                await session.get(ELSEWHERE)
            async with session.post(URL, json=JUDGE) as answer:
                assert (await answer.json())["score"] == 0.1
            async with session.request(method="POST", url=URL, json=JUDGE) as answer:
                assert (await answer.json())["score"] == 0.1
            with pytest.raises(aiohttp.ClientConnectionError):
                await session.get("https://nowhere.test/")
    mock.judged(times=2)


@pytest.mark.parametrize("inside", [True, False])
def test_a_cassette_and_requests(inside, another, tmp_path):
    stack, mock, tape = mocks_of(vcr.use_cassette(str(tmp_path / "tape.yaml")), inside)
    with stack:
        assert requests.get(another).text == "hello"
        requested()
    mock.judged(times=1)
    assert [request.uri for request in tape.requests] == [another]


@pytest.mark.asyncio
@pytest.mark.parametrize("inside", [True, False])
async def test_a_cassette_and_aiohttp(inside, another, tmp_path):
    stack, mock, tape = mocks_of(vcr.use_cassette(str(tmp_path / "tape.yaml")), inside)
    async with aiohttp.ClientSession(headers=KEY) as session:
        with stack:
            async with session.get(another) as answer:
                assert await answer.text() == "hello"
            async with session.post(URL, json=JUDGE) as answer:
                assert answer.status == 200
    mock.judged(times=1)
    assert [request.uri for request in tape.requests] == [another]


@pytest.mark.openpipe(block_network=True)
@pytest.mark.parametrize("send", [requests.get, lambda url: urllib3.request("GET", url)])
def test_other_libraries_are_refused_too(openpipe_mock, send, another):
    with pytest.raises(NetworkRefused, match="block_network"):
        send(another)
