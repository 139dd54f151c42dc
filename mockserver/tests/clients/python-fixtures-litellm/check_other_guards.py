"""Beside pytest-socket and vcrpy, in either order: each refuses what is its own, and nothing stays behind."""

import socket
import threading
import urllib.request
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, HTTPServer

import httpx
import pytest
import pytest_socket
import vcr

from openpipe_mock import NetworkRefused, patched

URL = "https://api.openpipe.ai/api/v1/criteria/judge"
JUDGE = {"criterion_id": "helpful", "output": {"role": "assistant", "content": "1, 2, 3."}}
pytestmark = pytest.mark.filterwarnings("ignore:A test tried to use socket:UserWarning")
TRUE_SOCKET = socket.socket
FUNCTIONS = ("getaddrinfo", "gethostbyname")
ORIGINALS = [getattr(socket, name) for name in FUNCTIONS]


@pytest.fixture(autouse=True)
def clean():
    yield
    assert socket.socket is TRUE_SOCKET
    assert [getattr(socket, name) for name in FUNCTIONS] == ORIGINALS
    assert socket.socket.__dict__["connect"] is pytest_socket._true_connect


def ask():
    return httpx.post(URL, json=JUDGE, headers={"authorization": "Bearer op-local"}).status_code


def test_the_mock_needs_no_socket(socket_disabled, openpipe_mock):
    assert ask() == 200
    with pytest.raises(pytest_socket.SocketBlockedError):
        socket.socket()


def test_nor_where_sockets_are_disabled_later(openpipe_mock, socket_disabled):
    assert ask() == 200
    with pytest.raises(pytest_socket.SocketBlockedError):
        socket.socket()


def test_the_guard_stands_where_sockets_are_enabled_again(socket_disabled, openpipe_mock, socket_enabled):
    with pytest.raises(NetworkRefused, match=r'"api\.openai\.com"'), socket.socket() as sock:
        sock.connect(("api.openai.com", 443))


@pytest.mark.allow_hosts(["127.0.0.1"])
def test_hosts_that_it_allows(openpipe_mock):
    with pytest.raises(NetworkRefused):
        socket.create_connection(("api.openai.com", 443))
    with pytest.raises(pytest_socket.SocketConnectBlockedError), socket.socket() as sock:
        sock.connect(("192.0.2.1", 443))
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
        pass


class Answering(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("content-length", "5")
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, *_):
        pass


@pytest.mark.parametrize("cassette_first", [True, False])
def test_a_cassette(tmp_path, cassette_first):
    tape = str(tmp_path / "tape.yaml")
    around = [lambda: vcr.use_cassette(tape, record_mode="new_episodes"), patched]
    with HTTPServer(("127.0.0.1", 0), Answering) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        for _ in ("recorded", "played"):
            with ExitStack() as stack:
                for each in around if cassette_first else reversed(around):
                    stack.enter_context(each())
                with urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/") as answer:
                    assert answer.read() == b"hello"
                with pytest.raises(OSError, match=r'"api\.openai\.com" was refused'):
                    urllib.request.urlopen("https://api.openai.com/v1/models")
            server.shutdown()
