"""A proxy in front of a correct server: it compresses, shouts header names, and has pages of its own."""

import gzip
import http.client
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

LARGEST = 400_000
PAGE = b"<html><body><h1>Not here</h1></body></html>"
HOP_BY_HOP = ("connection", "transfer-encoding", "content-length", "keep-alive", "server", "date")


class Handler(BaseHTTPRequestHandler):
    """One client's connection, which is kept."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else each small piece waits for the last one to be acknowledged
    server: "Proxy"

    def do_GET(self) -> None:
        self.answer(405, [("Content-Type", "text/html"), ("Allow", "POST")], PAGE)

    def do_POST(self) -> None:
        size = int(self.headers.get("content-length", "0"))
        body = self.rfile.read(size)
        if not self.path.startswith("/api/v1/c"):
            self.answer(404, [("Content-Type", "text/html")], PAGE)
        elif size > LARGEST:
            self.answer(413, [("Content-Type", "text/html")], PAGE)
        elif self.server.is_full():
            self.answer(503, [("Content-Type", "text/html"), ("Retry-After", "0")], PAGE)
        else:
            self.pass_on(body)

    def pass_on(self, body: bytes) -> None:
        upstream = http.client.HTTPConnection(*self.server.upstream, timeout=20)
        try:
            kept = {name: value for name, value in self.headers.items() if name.lower() != "connection"}
            upstream.request("POST", self.path, body, {**kept, "Via": "1.1 a-proxy"})
            response = upstream.getresponse()
            headers = [pair for pair in response.getheaders() if pair[0].lower() not in HOP_BY_HOP]
            self.answer(response.status, headers, response.read())
        finally:
            upstream.close()

    def answer(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        """The answer, compressed and in chunks of 1,000 bytes."""
        self.send_response(status)
        for name, value in [*headers, ("Transfer-Encoding", "chunked"), ("Content-Encoding", "gzip")]:
            self.send_header(name.upper(), value)
        self.end_headers()
        packed = gzip.compress(body)
        for start in range(0, len(packed), 1000):
            piece = packed[start : start + 1000]
            self.wfile.write(b"%X\r\n%s\r\n" % (len(piece), piece))
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


class Proxy(ThreadingHTTPServer):
    """The proxy; every so many requests it is full."""

    daemon_threads = True

    def __init__(self, upstream: tuple[str, int], every: int = 80) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.upstream, self.every, self.count, self.lock = upstream, every, 0, threading.Lock()

    def is_full(self) -> bool:
        with self.lock:
            self.count += 1
            return self.count % self.every == 0
