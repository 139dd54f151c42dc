"""Answer HTTP/1.1 in bytes without a socket, for client libraries that write and read it themselves."""

from collections.abc import Generator
from time import time
from typing import Any

import httptools

from openpipe_mock.core.effects import Head, HeaderList, Reply
from openpipe_mock.testing.answering import Catch, in_pieces, reason_of, with_length
from openpipe_mock.testing.virtual import ConnectionBroken, Journey, Steps

GO_ON = b"HTTP/1.1 100 Continue\r\n\r\n"


class Line:
    """The mock's end of a connection, for one request: `feed` its bytes, then read those of the `answer`.

    `patience`: seconds that the client waits for the next bytes; `budget`: for all of them; None for ever.
    `complete`: the whole request was fed. `hesitates`: its client sends the body after `GO_ON`. `closes`: its
    client asks to close the connection. `flowing`: the answer is in the middle of a streamed body. `cut`: the
    connection broke.
    """

    def __init__(self, catch: Catch, patience: float | None = None, budget: float | None = None) -> None:
        self.catch = catch
        self.patience = patience
        self.budget = budget
        self.complete = self.hesitates = self.closes = self.flowing = self.cut = False
        self.target = b""
        self.headers: dict[bytes, bytes] = {}
        self.body: list[bytes] = []
        self.parser: Any = httptools.HttpRequestParser(self)
        self.journey: Journey | None = None

    # What the client writes.

    def feed(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:  # an offer of another protocol, which isn't accepted
            self.complete = True

    def on_url(self, url: bytes) -> None:
        self.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        self.closes = not self.parser.should_keep_alive()
        self.hesitates = self.headers.get(b"expect", b"").lower() == b"100-continue"

    def on_body(self, body: bytes) -> None:
        self.body.append(body)

    def on_message_complete(self) -> None:
        self.complete = True

    # What the client reads.

    def answer(self) -> Steps:
        """The bytes of the answer to a complete request, piece by piece. Raises TooSlow."""
        (path, mock), body = self.catch, b"".join(self.body)
        query = httptools.parse_url(self.target).query or b""
        method = self.parser.get_method().decode()
        found = mock.answer(Head(method, path, self.headers, query, mock.clock.now, time=time()), body)
        if isinstance(found, Reply):
            yield self.whole(method, found.status, found.headers, found.body)
            return
        journey = self.journey = Journey(found, body, mock.clock, self.patience, self.budget)
        try:
            yield from journey.begin()
            if journey.whole is not None:
                yield self.whole(method, journey.status, journey.headers, journey.whole)
            else:
                yield from self.pieces(journey)
        except ConnectionBroken:
            self.cut = True

    def whole(self, method: str, status: int, headers: HeaderList, body: bytes) -> bytes:
        head = self.head(status, with_length(headers, body))
        return head if method == "HEAD" else head + body

    def pieces(self, journey: Journey) -> Generator[bytes]:
        headers = in_pieces(journey.headers)
        yield self.head(journey.status, headers)
        chunked = headers is not journey.headers
        for piece in journey.pieces():
            self.flowing = True
            yield b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece
        self.flowing = False
        if chunked:
            yield b"0\r\n\r\n"

    def head(self, status: int, headers: HeaderList) -> bytes:
        closing = ((b"connection", b"close"),) if self.closes else ()
        lines = [b"%b: %b\r\n" % header for header in (*headers, *closing)]
        return b"HTTP/1.1 %d %b\r\n%b\r\n" % (status, reason_of(status), b"".join(lines))

    def close(self) -> None:
        """End the exchange, as if the client hung up; after the answer's end nothing happens."""
        if self.journey is not None:
            self.journey.close()
