"""Beside other tools that patch httpx: in any order, each takes what is its own, and nothing stays behind."""

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import httpx
import httpx2
import pytest
import respx
import vcr

from openpipe_mock import NetworkRefused, patched

JUDGE = {"criterion_id": "helpful", "output": {"role": "assistant", "content": "1, 2, 3."}}
URL = "https://api.openpipe.ai/api/v1/criteria/judge"
KEY = {"authorization": "Bearer op-local"}
ELSEWHERE = "https://elsewhere.test/"
PATCHED = [
    (library.__dict__[owner], name)
    for library in (httpx, httpx2)
    for owner, name in [
        ("Client", "_send_single_request"),
        ("AsyncClient", "_send_single_request"),
        ("HTTPTransport", "handle_request"),
        ("AsyncHTTPTransport", "handle_async_request"),
    ]
]
ORIGINALS = [owner.__dict__[name] for owner, name in PATCHED]
PATHS = [httpx, httpx2]


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
