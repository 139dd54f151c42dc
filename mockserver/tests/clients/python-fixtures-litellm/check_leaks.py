"""No key leaves a mocked test: a listener plays the internet, and no client reaches it, however it sends.

All names and addresses elsewhere lead to the listener, beneath whatever the mock patches. Each client is
answered by the mock or gets an error that names the cure; without the mock each of them reaches the listener.
"""

import _socket
import asyncio
import http.client
import json
import os
import socket
import ssl
import threading
import urllib.request
from contextlib import suppress
from functools import partial
from urllib.parse import urlsplit

import aiohttp
import anyio
import httpx
import httpx2
import pytest
import requests
import trio
import urllib3
import uvloop

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # else it asks the network when it is imported
import litellm

import openpipe_mock

pytestmark = pytest.mark.filterwarnings("ignore:Items? .*ReadOnly:UserWarning")  # of pydantic, about litellm

KEY = "sk-real-key-of-somebody"
HEADERS = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
CHAT = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Count to 3"}]}
BODY = json.dumps(CHAT).encode()
SECONDS = 30
TLS = ssl.create_default_context()  # which takes long to make
CURES = ("the mock answers httpx", 'providers="pass"', "block_network keeps in")


class Listener:
    """The internet: takes every connection, one after the other, and keeps what came on each."""

    def __init__(self):
        self.server = socket.create_server(("127.0.0.1", 0))
        self.place = self.server.getsockname()
        self.came = []
        self.is_done = threading.Semaphore(0)
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            peer, _ = self.server.accept()
            with peer:
                peer.settimeout(SECONDS)
                with suppress(OSError):
                    data = peer.recv(65536)
                    self.came.append(data)
                    peer.sendall(b"HTTP/1.1 500 No\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            self.is_done.release()

    def seen(self):
        """What came since the last time."""
        probe = _socket.socket()
        probe.connect(self.place)
        probe.send(b"probe")
        while b"probe" not in self.came:  # it takes its turn behind all that came before
            self.is_done.acquire(timeout=SECONDS)
        probe.close()
        self.came.remove(b"probe")
        found, self.came = self.came, []
        return found


INTERNET = Listener()
connect, connect_ex, getaddrinfo = socket.socket.connect, socket.socket.connect_ex, socket.getaddrinfo


def led(sock, address):
    """Where a connection leads: addresses elsewhere to the listener."""
    if sock.family == socket.AF_INET and not address[0].startswith("127."):
        return INTERNET.place
    return address


def resolve(host, port, *args, **kwargs):
    """A name as an address elsewhere; an address is one already."""
    text = host.decode() if isinstance(host, bytes) else host
    if text in ("localhost", None) or text.replace(".", "").isdigit():
        return getaddrinfo(host, port, *args, **kwargs)
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", port))]


@pytest.fixture(autouse=True)
def everything_leads_to_the_listener():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", resolve)
        patch.setattr(socket.socket, "connect", lambda sock, to: connect(sock, led(sock, to)))
        patch.setattr(socket.socket, "connect_ex", lambda sock, to: connect_ex(sock, led(sock, to)))
        for name in list(os.environ):
            if name.lower().endswith("_proxy"):
                patch.delenv(name)
        litellm.in_memory_llm_clients_cache.flush_cache()  # clients that know the proxies of an earlier test
        yield


# The clients. Each sends one request with the key, and returns the status of the answer.


def by_httpx(library, url):
    return library.post(url, content=BODY, headers=HEADERS, verify=TLS).status_code


async def by_async_httpx(library, url):
    async with library.AsyncClient(verify=TLS) as client:
        return (await client.post(url, content=BODY, headers=HEADERS)).status_code


async def by_aiohttp(url):
    async with (
        aiohttp.ClientSession(trust_env=True) as session,
        session.post(url, data=BODY, headers=HEADERS) as answer,
    ):
        return answer.status


def by_requests(url):
    return requests.post(url, data=BODY, headers=HEADERS).status_code


def by_urllib3(url):
    proxy = os.environ.get("HTTPS_PROXY")
    with (
        urllib3.ProxyManager(proxy, ssl_context=TLS) if proxy else urllib3.PoolManager(ssl_context=TLS)
    ) as pool:
        return pool.request("POST", url, body=BODY, headers=HEADERS, retries=False).status


def by_urllib(url):
    request = urllib.request.Request(url, data=BODY, headers=HEADERS)
    opener = urllib.request.build_opener(
        urllib.request.HTTPSHandler(context=TLS)
    )  # `urlopen` remembers the proxies of its first call
    with opener.open(request) as answer:
        return answer.status


def by_http_client(url):
    parts = urlsplit(url)
    proxy = os.environ.get("HTTPS_PROXY")
    host = urlsplit(proxy).netloc if proxy else parts.netloc
    tls = parts.scheme == "https"
    connection = http.client.HTTPSConnection(host, context=TLS) if tls else http.client.HTTPConnection(host)
    if proxy:
        connection.set_tunnel(parts.netloc)
    try:
        connection.request("POST", parts.path, body=BODY, headers=HEADERS)
        return connection.getresponse().status
    finally:
        connection.close()


def to_litellm(url):
    base = url.removesuffix("/chat/completions")
    return {**CHAT, "model": "openai/gpt-4o-mini", "api_key": KEY, "api_base": base, "max_retries": 0}


def by_litellm(url):
    return 200 if litellm.completion(**to_litellm(url)).choices else 0


async def by_async_litellm(url):
    return 200 if (await litellm.acompletion(**to_litellm(url))).choices else 0


def run(runner, function):
    """An async client as a function, on a loop."""
    return lambda url: runner(function, url)


def on_asyncio(function, *args):
    return asyncio.run(function(*args))


def on_uvloop(function, *args):
    return uvloop.run(function(*args))


CLIENTS = {
    "httpx": partial(by_httpx, httpx),
    "httpx2": partial(by_httpx, httpx2),
    "httpx on asyncio": run(on_asyncio, partial(by_async_httpx, httpx)),
    "httpx2 on asyncio": run(on_asyncio, partial(by_async_httpx, httpx2)),
    "httpx on trio": run(trio.run, partial(by_async_httpx, httpx)),
    "aiohttp": run(on_asyncio, by_aiohttp),
    "requests": by_requests,
    "urllib3": by_urllib3,
    "urllib": by_urllib,
    "http.client": by_http_client,
    "litellm": by_litellm,
    "litellm on asyncio": run(on_asyncio, by_async_litellm),
}
ON_UVLOOP = {
    "httpx on uvloop": run(on_uvloop, partial(by_async_httpx, httpx)),
    "aiohttp on uvloop": run(on_uvloop, by_aiohttp),
    "litellm on uvloop": run(on_uvloop, by_async_litellm),
}
"""Its resolver is in C, and doesn't lead to the listener; a proxy does."""
SERVED = [name for name in CLIENTS if name.startswith(("httpx", "aiohttp", "requests", "urllib3"))]
BY_NAME = [
    "https://api.openpipe.ai/api/v1/chat/completions",
    "http://api.openai.com/v1/chat/completions",
    "https://api.anthropic.com/v1/chat/completions",
    "https://gateway.test/llm/chat/completions",
]
ELSEWHERE = "https://elsewhere.test/chat/completions"
BY_ADDRESS = ["https://192.0.2.1/v1/chat/completions", "http://192.0.2.1/v1/chat/completions"]


def texts(error):
    """An error and all that it came from."""
    seen = []
    errors = [error]
    while errors:
        error = errors.pop()
        if error is not None and not any(error is each for each in seen):
            seen.append(error)
            errors += [error.__cause__, error.__context__, *getattr(error, "exceptions", ())]
    return "\n".join(str(each) for each in seen)


def outcome(client, url):
    try:
        return client(url)
    except Exception as error:
        return texts(error)


def is_kept_in(client, url, mock):
    """The mock answered, or the client was told the cure. Either way nobody else heard of the key."""
    said = outcome(client, url)
    assert INTERNET.seen() == []
    if isinstance(said, int):
        assert (said, len(mock.calls)) == (200, 1)
    else:
        assert any(cure in said for cure in CURES), said


@pytest.fixture
def proxy(request, monkeypatch):
    """The proxies of the environment: the listener too."""
    if request.param is not None:
        for name in ("HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "All_Proxy"):
            monkeypatch.setenv(name, f"http://{request.param}:{INTERNET.place[1]}")
    return request.param


@pytest.fixture
def gateway(monkeypatch):
    monkeypatch.setenv("OPENPIPE_BASE_URL", "https://gateway.test/llm")


def proxies(*hosts):
    return pytest.mark.parametrize("proxy", hosts, indirect=True, ids=lambda host: f"proxy {host}")


ROUTES = [(url, host) for url in BY_NAME for host in (None, "127.0.0.1")]
ROUTES += [(BY_NAME[0], "localhost"), (BY_NAME[0], "proxy.test")]
every_route = pytest.mark.parametrize(("url", "proxy"), ROUTES, indirect=["proxy"])


@every_route
@pytest.mark.parametrize("name", CLIENTS)
def test_by_name(gateway, proxy, openpipe_mock, name, url):
    is_kept_in(CLIENTS[name], url, openpipe_mock)


@every_route
@pytest.mark.parametrize("name", ON_UVLOOP)
def test_uvloop(gateway, proxy, openpipe_mock, name, url):
    is_kept_in(ON_UVLOOP[name], url, openpipe_mock)


@pytest.mark.openpipe(block_network=True)
@pytest.mark.parametrize("name", CLIENTS | ON_UVLOOP)
@pytest.mark.parametrize(
    ("url", "proxy"),
    [*((url, None) for url in (BY_NAME[0], *BY_ADDRESS, ELSEWHERE)), (ELSEWHERE, "127.0.0.1")],
    indirect=["proxy"],
)
def test_block_network(proxy, openpipe_mock, name, url):
    is_kept_in((CLIENTS | ON_UVLOOP)[name], url, openpipe_mock)


# Without the mock each of them does reach the listener: what is tested above could fail.


@pytest.mark.parametrize("name", CLIENTS)
@pytest.mark.parametrize("url", [BY_NAME[0], BY_ADDRESS[1]])
def test_without_the_mock_all_leave(name, url):
    outcome(CLIENTS[name], url)
    came = INTERNET.seen()
    assert came
    assert url.startswith("https") or KEY.encode() in came[0]


@pytest.mark.parametrize("name", CLIENTS | ON_UVLOOP)
@proxies("127.0.0.1")
def test_and_by_the_proxy(proxy, name):
    outcome((CLIENTS | ON_UVLOOP)[name], BY_NAME[0])
    assert INTERNET.seen()[0].startswith(b"CONNECT api.openpipe.ai:443")


# What may pass.


@proxies(None, "127.0.0.1", "proxy.test")
@pytest.mark.parametrize("name", SERVED)
def test_other_hosts_are_reached(proxy, openpipe_mock, name):
    """By the proxy too, for clients of which the mock sees where their requests go."""
    outcome(CLIENTS[name], ELSEWHERE)
    assert INTERNET.seen() != []


@proxies(None, "127.0.0.1")
@pytest.mark.parametrize("name", SERVED)
def test_so_is_the_rest_of_a_gateway(gateway, proxy, openpipe_mock, name):
    outcome(CLIENTS[name], "https://gateway.test/other")
    assert INTERNET.seen() != []


@pytest.mark.openpipe(providers="pass")
@pytest.mark.parametrize("name", CLIENTS)
def test_so_are_providers_that_may_be(openpipe_mock, name):
    outcome(CLIENTS[name], "http://api.openai.com/v1/chat/completions")
    assert INTERNET.seen() != []


# Without a client.


async def open_asyncio(host, port):
    _, writer = await asyncio.open_connection(host, port)
    writer.close()


async def open_tls(host, port):
    await asyncio.open_connection(host, port, ssl=TLS, server_hostname="api.openai.com")


async def open_trio(host, port):
    await (await trio.open_tcp_stream(host, port)).aclose()


async def open_anyio(host, port):
    await (await anyio.connect_tcp(host, port)).aclose()


def connect_by_name(method, host, port):
    with socket.socket() as sock:
        getattr(sock, method)((host, port))


WAYS = {
    "create_connection": lambda host, port: socket.create_connection((host, port)).close(),
    "connect": partial(connect_by_name, "connect"),
    "connect_ex": partial(connect_by_name, "connect_ex"),
    "asyncio": partial(on_asyncio, open_asyncio),
    "uvloop": partial(on_uvloop, open_asyncio),
    "trio": partial(trio.run, open_trio),
    "anyio": partial(anyio.run, open_anyio),
    "anyio on trio": partial(anyio.run, open_anyio, backend="trio"),
}


@pytest.mark.parametrize("name", WAYS)
def test_sockets(monkeypatch, name):
    """`127.1` is a name for Python and an address for every resolver, also for uvloop's."""
    port = INTERNET.place[1]
    WAYS[name]("127.1", port)
    assert INTERNET.seen() == [b""]
    monkeypatch.setenv("OPENAI_BASE_URL", f"http://127.1:{port}/v1")
    with openpipe_mock.patched(), pytest.raises(openpipe_mock.NetworkRefused, match=r'"127\.1" was refused'):
        WAYS[name]("127.1", port)
    assert INTERNET.seen() == []


@pytest.mark.parametrize("name", WAYS)
def test_sockets_by_address(name):
    with openpipe_mock.patched(block_network=True):
        said = outcome(lambda url: WAYS[name]("192.0.2.1", 443), "")
        assert '"192.0.2.1" was refused: block_network' in said
        WAYS[name](*INTERNET.place)
    assert INTERNET.seen() == [b""]


@pytest.mark.parametrize("runner", [on_asyncio, on_uvloop])
def test_a_host_shows_when_tls_begins(runner):
    """Where a client has the address from elsewhere: it connects, and says nothing."""
    with openpipe_mock.patched(), pytest.raises(openpipe_mock.NetworkRefused, match=r'"api\.openai\.com"'):
        runner(open_tls, *INTERNET.place)
    assert INTERNET.seen() == [b""]
    with suppress(OSError):
        runner(open_tls, *INTERNET.place)
    assert b"api.openai.com" in INTERNET.seen()[0]
