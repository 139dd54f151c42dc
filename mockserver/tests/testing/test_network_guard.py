"""The guard beneath a mock: what is refused to clients that no mock answers, and that nothing of it stays.

That real clients are kept in is shown in `clients/python-fixtures-litellm`.
"""

import _socket
import asyncio
import socket
import ssl
import threading
import urllib.error
import urllib.request
from asyncio.base_events import BaseEventLoop
from asyncio.proactor_events import BaseProactorEventLoop
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import AsyncMock, MagicMock, call

import httpx
import pytest
import uvloop

from openpipe_mock.testing.border import BASE_URLS
from openpipe_mock.testing.interception import patched
from openpipe_mock.testing.layers import passing
from openpipe_mock.testing.live import LiveMock, serving
from openpipe_mock.testing.network_guard import NetworkRefused

PATCHED: list[tuple[Any, str]] = [
    (_socket, "getaddrinfo"),
    (socket, "getaddrinfo"),
    (socket, "gethostbyname"),
    (socket, "gethostbyname_ex"),
    (socket.socket, "connect"),
    (socket.socket, "connect_ex"),
    (ssl.SSLContext, "wrap_socket"),
    (ssl.SSLContext, "wrap_bio"),
    (BaseEventLoop, "getaddrinfo"),
    (BaseProactorEventLoop, "sock_connect"),
    (uvloop.Loop, "getaddrinfo"),
    (uvloop.Loop, "create_connection"),
]
ELSEWHERE = "192.0.2.1"


def current() -> list[object]:
    return [owner.__dict__.get(name) for owner, name in PATCHED]


@pytest.fixture(autouse=True)
def nothing_stays(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", *BASE_URLS):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    before = current()
    yield
    monkeypatch.undo()
    assert current() == before


@pytest.fixture
def resolved(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The names that came as far as the system's resolver, which knows none of them."""
    names: list[Any] = []
    before = _socket.getaddrinfo

    def getaddrinfo(host: Any, *rest: Any) -> Any:
        if threading.current_thread().name == "openpipe-mock-probe":  # a Redis of another test is looked for
            return before(host, *rest)
        names.append(host)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(_socket, "getaddrinfo", getaddrinfo)
    return names


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def port_of(server: socket.socket) -> int:
    return int(server.getsockname()[1])


def connect(host: str, port: int) -> None:
    socket.create_connection((host, port), timeout=20).close()


def look_up(host: Any, port: Any = 443) -> Any:
    """Resolve a name, which the resolver doesn't know where the guard lets it through."""
    with pytest.raises(socket.gaierror):
        socket.getaddrinfo(host, port)


# Names.

REFUSED = [
    "api.openpipe.ai",
    "app.openpipe.ai",
    "api.openai.com",
    "API.OpenAI.com.",
    b"api.openai.com",
    "api。openai。com",
    "eu.api.openai.com",
    "api.anthropic.com",
    "generativelanguage.googleapis.com",
    "europe-west1-aiplatform.googleapis.com",
]


@pytest.mark.parametrize("host", REFUSED)
def test_hosts_of_the_service_and_of_providers_are_not_resolved(resolved: list[Any], host: Any) -> None:
    for providers in ("mock", "refuse"):
        with (
            patched(providers=providers),
            pytest.raises(NetworkRefused, match="was refused, so that no test's"),
        ):
            socket.getaddrinfo(host, 443)
    assert resolved == []
    look_up(host)
    assert len(resolved) == 1


def test_the_message_names_the_cure() -> None:
    with patched(), pytest.raises(NetworkRefused) as caught:
        socket.getaddrinfo("api.openai.com", 443)
    assert caught.value.strerror == str(caught.value)
    assert str(caught.value) == (
        'a connection to "api.openai.com" was refused, so that no test\'s key leaves: the mock answers '
        "httpx, httpx2, aiohttp, requests and urllib3, but not the client that asked (urllib, http.client, "
        "…). Send by one of those, or to the base_url of openpipe_server; "
        'providers="pass" lets go what isn\'t for OpenPipe.'
    )


def test_other_hosts_are_resolved(resolved: list[Any]) -> None:
    with patched():
        for host in ("example.com", "xapi.openai.com", "openai.com", b"db", None):
            look_up(host)
    assert resolved == ["example.com", "xapi.openai.com", "openai.com", b"db", None]


def test_what_is_no_host() -> None:
    with patched(), pytest.raises(UnicodeError):
        socket.getaddrinfo("é" * 64, 443)


def test_providers_may_pass_and_the_service_may_not(resolved: list[Any]) -> None:
    with patched(providers="pass"):
        look_up("api.openai.com")
        look_up("api.anthropic.com")
        with pytest.raises(NetworkRefused, match=r'"api\.openpipe\.ai"'):
            socket.getaddrinfo("api.openpipe.ai", 443)
    assert resolved == ["api.openai.com", "api.anthropic.com"]


@pytest.mark.parametrize("name", BASE_URLS)
@pytest.mark.parametrize("base", ["https://gateway.test/x", "http://GATEWAY.test:8080/api/v1"])
def test_nor_are_hosts_of_base_urls(
    monkeypatch: pytest.MonkeyPatch, resolved: list[Any], name: str, base: str
) -> None:
    monkeypatch.setenv(name, base)
    with patched():
        monkeypatch.setenv(name, "http://[bad/v1")
        with pytest.raises(NetworkRefused, match=r'"gateway\.test"'):
            socket.getaddrinfo("gateway.test", 443)
        monkeypatch.setenv(name, "https://another.test/v1")
        with pytest.raises(NetworkRefused, match=r'"another\.test"'):
            socket.getaddrinfo("another.test", 443)
    assert resolved == []


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_a_base_url_on_this_machine_is_reached(
    monkeypatch: pytest.MonkeyPatch, listener: socket.socket, host: str
) -> None:
    """No key leaves by it, and a mock server of the user's may stand there."""
    monkeypatch.setenv("OPENPIPE_BASE_URL", f"http://{host}:{port_of(listener)}/api/v1")
    with patched(block_network=True):
        connect(host, port_of(listener))


@pytest.mark.parametrize("function", [socket.gethostbyname, socket.gethostbyname_ex])
def test_every_way_to_resolve_a_name(function: Callable[[str], Any]) -> None:
    with patched(), pytest.raises(NetworkRefused):
        getattr(socket, function.__name__)("api.openai.com")


def test_who_has_imported_the_function_by_name_gets_no_address() -> None:
    imported = socket.getaddrinfo
    with patched(), pytest.raises(NetworkRefused):
        imported("api.openai.com", 443)


def test_a_resolver_that_somebody_puts_in_place_stays_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, port, *_: [host])
    with patched():
        assert socket.getaddrinfo("example.com", 443) == ["example.com"]  # type: ignore[comparison-overlap]
        with pytest.raises(NetworkRefused):
            socket.getaddrinfo("api.openai.com", 443)


def test_threads_are_kept_in_too() -> None:
    with patched(), ThreadPoolExecutor(1) as pool, pytest.raises(NetworkRefused):
        pool.submit(socket.getaddrinfo, "api.openai.com", 443).result()


@pytest.mark.parametrize("factory", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_event_loops(factory: Any) -> None:
    async def look_up(host: str) -> None:
        await asyncio.get_running_loop().getaddrinfo(host, 443)

    async def open_connection(host: str, **options: Any) -> None:
        await asyncio.open_connection(host, 443, **options)

    with asyncio.Runner(loop_factory=factory) as runner, patched(block_network=True):
        for ask in (look_up, open_connection):
            with pytest.raises(NetworkRefused, match=r'"api\.openai\.com"'):
                runner.run(ask("api.openai.com"))
        with pytest.raises(NetworkRefused, match="block_network"):
            runner.run(open_connection(ELSEWHERE))
        if factory is asyncio.new_event_loop:
            with pytest.raises(NetworkRefused, match="block_network"):
                runner.run(open_connection(ELSEWHERE, happy_eyeballs_delay=0.1))


@pytest.mark.parametrize("factory", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_event_loops_and_other_hosts(factory: Any, listener: socket.socket) -> None:
    async def ask() -> Any:
        _, writer = await asyncio.open_connection("localhost", port_of(listener), family=socket.AF_INET)
        writer.close()
        await writer.wait_closed()
        return await asyncio.get_running_loop().getaddrinfo("localhost", 443, family=socket.AF_INET)

    with asyncio.Runner(loop_factory=factory) as runner, patched(block_network=True):
        assert runner.run(ask())[0][-1] == ("127.0.0.1", 443)


def test_the_event_loop_of_windows_connects_past_socket() -> None:
    sock: Any = SimpleNamespace(family=socket.AF_INET)
    loop: Any = SimpleNamespace(_debug=False, _proactor=SimpleNamespace(connect=AsyncMock()))
    with patched(block_network=True):
        asyncio.run(BaseProactorEventLoop.sock_connect(loop, sock, ("127.0.0.1", 443)))
        with pytest.raises(NetworkRefused):
            asyncio.run(BaseProactorEventLoop.sock_connect(loop, sock, (ELSEWHERE, 443)))
    loop._proactor.connect.assert_called_once_with(sock, ("127.0.0.1", 443))


# Addresses.


@pytest.mark.parametrize("method", ["connect", "connect_ex"])
@pytest.mark.parametrize(
    ("family", "host"),
    [
        (socket.AF_INET, ELSEWHERE),
        (socket.AF_INET, "elsewhere.test"),
        (socket.AF_INET6, "2001:db8::1"),
        (socket.AF_INET6, f"::ffff:{ELSEWHERE}"),
    ],
)
def test_block_network_keeps_addresses_in(method: str, family: int, host: str) -> None:
    with (
        patched(block_network=True),
        socket.socket(family) as sock,
        pytest.raises(NetworkRefused, match=f'"{host}" was refused: block_network'),
    ):
        getattr(sock, method)((host, 443))


def test_block_network_keeps_names_in(resolved: list[Any]) -> None:
    with patched(block_network=True), pytest.raises(NetworkRefused, match=r'"db\.test".*block_network'):
        socket.getaddrinfo("db.test", 5432)
    assert resolved == []


def test_block_network_and_this_machine(listener: socket.socket, tmp_path: Path) -> None:
    with patched(block_network=True):
        for host in ("127.0.0.1", "localhost", "0.0.0.0"):
            connect(host, port_of(listener))
        with socket.socket(socket.AF_INET6) as sock, pytest.raises(ConnectionRefusedError):
            sock.connect(("::ffff:127.0.0.1", 1))
        socket.gethostbyname(socket.gethostname())
        with socket.socket(socket.AF_UNIX) as sock, pytest.raises(FileNotFoundError):
            sock.connect(str(tmp_path / "none"))


def test_a_live_mock_is_reached() -> None:
    with serving() as live, patched(block_network=True):
        mock = LiveMock(live, overrides={})
        request = urllib.request.Request(f"{mock.base_url}/models", headers={"authorization": "Bearer x"})
        with urllib.request.urlopen(request) as answer:
            assert answer.status == 200
        assert len(mock.calls) == 1


# TLS.


@pytest.mark.parametrize("arguments", [(False, True, True, "api.openai.com"), ()])
def test_tls_to_a_host_of_which_the_address_was_known(arguments: tuple[Any, ...]) -> None:
    named = {} if arguments else {"server_hostname": "api.openai.com"}
    context: Any = ssl.create_default_context()
    here, there = socket.socketpair()
    with here, there, patched():
        with pytest.raises(NetworkRefused, match=r'"api\.openai\.com"'):
            context.wrap_socket(here, *arguments, **named)
        here.close()
        assert there.recv(1) == b""


def test_a_handshake_of_which_an_event_loop_carries_the_bytes() -> None:
    context = ssl.create_default_context()
    with patched():
        tls = context.wrap_bio(ssl.MemoryBIO(), sent := ssl.MemoryBIO(), server_hostname="api.openai.com")
        with pytest.raises(NetworkRefused, match=r'"api\.openai\.com"') as caught:
            tls.do_handshake()
    assert isinstance(caught.value, ssl.SSLError)  # else asyncio would wait for its timeout
    assert sent.read() == b""


def test_tls_to_other_hosts() -> None:
    context = ssl.create_default_context()
    here, there = socket.socketpair()
    with here, there, patched(block_network=True):
        tls = context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname="example.com")
        with pytest.raises(ssl.SSLWantReadError):
            tls.do_handshake()
        with context.wrap_socket(here, server_hostname="example.com", do_handshake_on_connect=False) as sock:
            assert sock.server_hostname == "example.com"


# Proxies.

PROXIES = [
    ("HTTPS_PROXY", "http://127.0.0.1:{port}"),
    ("https_proxy", "http://localhost:{port}/"),
    ("Http_Proxy", "http://user:secret@127.0.0.1:{port}"),
    ("ALL_PROXY", "socks5h://127.0.0.1:{port}"),
    ("all_proxy", "127.0.0.1:{port}"),
]


@pytest.mark.parametrize(("variable", "value"), PROXIES)
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_proxies_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, listener: socket.socket, variable: str, value: str, host: str
) -> None:
    monkeypatch.setenv(variable, value.format(port=port_of(listener)))
    with socket.create_server(("127.0.0.1", 0)) as another, patched():
        connect(host, port_of(another))
        with pytest.raises(NetworkRefused, match=f"the proxy .* of {variable} was refused") as caught:
            connect(host, port_of(listener))
        assert "secret" not in str(caught.value)
        with passing():
            connect(host, port_of(listener))


@pytest.mark.parametrize(
    ("value", "port"),
    [
        ("http://proxy.test", 80),
        ("https://proxy.test", 443),
        ("socks5://proxy.test", 1080),
        ("proxy.test:1", 1),
    ],
)
def test_a_proxy_by_name(monkeypatch: pytest.MonkeyPatch, resolved: list[Any], value: str, port: int) -> None:
    monkeypatch.setenv("HTTPS_PROXY", value)
    with patched():
        with pytest.raises(NetworkRefused, match=r'"proxy\.test" of HTTPS_PROXY'):
            socket.getaddrinfo("proxy.test", port)
        with pytest.raises(NetworkRefused):
            socket.gethostbyname("proxy.test")
        look_up("proxy.test", port + 1)
    assert resolved == ["proxy.test"]


@pytest.mark.parametrize("value", ["", "http://", "http://[bad", "http://proxy.test:port"])
def test_what_is_no_proxy(monkeypatch: pytest.MonkeyPatch, resolved: list[Any], value: str) -> None:
    monkeypatch.setenv("HTTPS_PROXY", value)
    with patched():
        look_up("proxy.test")
    assert resolved == ["proxy.test"]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
@pytest.mark.parametrize("is_async", [False, True])
def test_a_client_that_the_mock_answers_may_use_the_proxy_for_other_hosts(
    monkeypatch: pytest.MonkeyPatch, listener: socket.socket, host: str, is_async: bool
) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://{host}:{port_of(listener)}")

    def answer() -> bytes:
        peer, _ = listener.accept()
        with peer:
            asked = peer.recv(65536)
            peer.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
            return asked

    async def ask() -> httpx.Response:
        async with httpx.AsyncClient() as client:
            return await client.get("http://elsewhere.test/")

    with patched(), ThreadPoolExecutor(1) as pool:
        asked = pool.submit(answer)
        response = asyncio.run(ask()) if is_async else httpx.get("http://elsewhere.test/")
        assert response.status_code == 204
        assert asked.result(20).startswith(b"GET http://elsewhere.test/ ")
        with pytest.raises(urllib.error.URLError, match="the proxy"):
            urllib.request.build_opener().open("http://elsewhere.test/")


def test_a_transport_of_a_users_own_is_no_way_out(
    monkeypatch: pytest.MonkeyPatch, listener: socket.socket
) -> None:
    """The mock doesn't look at what such a transport is given, so it may not use the proxy."""
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port_of(listener)}")

    class ByUrllib(httpx.BaseTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            with urllib.request.build_opener().open(str(request.url)) as answer:
                return httpx.Response(answer.status)

    with patched(), pytest.raises(urllib.error.URLError, match="the proxy"):
        httpx.Client(transport=ByUrllib()).get("https://api.openpipe.ai/api/v1/models")


# Several mocks, and what stays.


def test_several_mocks_keep_in_what_any_of_them_does(resolved: list[Any]) -> None:
    with patched(block_network=True), patched(providers="pass"):
        for host in ("api.openai.com", "example.com"):
            with pytest.raises(NetworkRefused):
                socket.getaddrinfo(host, 443)
    first, second = patched(), patched(providers="pass")
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    look_up("api.openai.com")
    second.__exit__(None, None, None)
    look_up("api.openpipe.ai")
    assert resolved == ["api.openai.com", "api.openpipe.ai"]


def test_each_place_is_patched_once() -> None:
    before = current()
    with patched():
        inside = current()
        assert all(one is not None and one is not other for one, other in zip(inside, before, strict=True))
        with patched():
            assert current() == inside
        assert current() == inside
    with patched():
        assert current() == inside


@pytest.mark.parametrize(("owner", "name"), PATCHED)
def test_what_others_patch_over_the_guard_stays(owner: Any, name: str) -> None:
    """The guard's own function goes with a later mock, after theirs was undone."""
    before = owner.__dict__.get(name)
    for _ in range(3):
        with pytest.MonkeyPatch.context() as theirs:
            with patched():
                guarded = owner.__dict__[name]
                over = MagicMock(side_effect=guarded)
                theirs.setattr(owner, name, over)
            assert owner.__dict__[name] is over
            with patched():
                pass
            assert owner.__dict__[name] is over
        assert owner.__dict__[name] is guarded  # as their tool puts it back
        with patched():
            assert owner.__dict__[name] is guarded
        assert owner.__dict__.get(name) is before


def test_a_guard_that_was_patched_over_lets_everything_through(listener: socket.socket) -> None:
    with pytest.MonkeyPatch.context() as theirs:
        with patched(block_network=True):
            guarded = socket.socket.connect
            theirs.setattr(socket.socket, "connect", lambda sock, address: guarded(sock, address))
        with pytest.raises(OSError, match=r"refused|unreachable|timed out") as caught:
            socket.create_connection(("127.0.0.2", 1), timeout=0.1)
        assert not isinstance(caught.value, NetworkRefused)
    with patched():
        pass


def test_a_mock_in_place_of_a_method_is_called_as_python_calls_it(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = MagicMock()
    for method in (asked, staticmethod(asked)):
        monkeypatch.setattr(socket.socket, "connect", method)
        with patched(), socket.socket() as sock:
            sock.connect((ELSEWHERE, 443))
    assert asked.mock_calls == [call((ELSEWHERE, 443))] * 2
