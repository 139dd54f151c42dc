"""The journal for other tools: each line and each entry says what the journal says, and holds no secret."""

import base64
import json
from datetime import datetime
from typing import Any

import pytest

from openpipe_mock.control.parameters import JOURNAL_FORMATS
from openpipe_mock.core.effects import Begin, Head, Piece
from openpipe_mock.sessions.export import EXPORTS, har_entry, ndjson_line
from openpipe_mock.testing.virtual import VirtualClock, carry_out
from tests.controlling import CHAT, Mock, validator
from tests.inprocess import HEADERS, JUDGE
from tests.sessions.test_journal import TOKEN, added

Json = Any


def exported(mock: Mock, query: str) -> tuple[Begin, bytes]:
    """The head and the body of an export."""
    exchange = mock.control.exchange(Head("GET", "/_mock/requests", {}, query.encode()))
    begin = next(exchange)
    assert isinstance(begin, Begin)
    pieces = list(exchange)
    assert all(isinstance(piece, Piece) for piece in pieces)
    sent = b"".join(piece.data for piece in pieces if isinstance(piece, Piece))
    return begin, sent


def used() -> Mock:
    """A mock that was asked for a judgement, a stream and a path that isn't served."""
    mock = Mock()
    mock.judge()
    body = {"model": "m", "max_tokens": 2, "messages": [{"role": "user", "content": "ü"}], "stream": True}
    exchange = mock.service.exchange(Head("POST", CHAT, {**HEADERS, b"host": b"mock:1"}, time=1e9))
    list(carry_out(exchange, json.dumps(body).encode(), VirtualClock()).pieces())
    mock.send("/nowhere", {})
    return mock


def test_each_line_is_the_detail_of_an_exchange_the_oldest_first() -> None:
    mock = used()
    begin, sent = exported(mock, "format=ndjson")
    assert (b"content-type", b"application/x-ndjson") in begin.headers
    assert (b"cache-control", b"no-store") in begin.headers
    lines = [json.loads(line) for line in sent.splitlines()]
    shown = [mock.json("GET", f"/requests/default-{number}") for number in (1, 2, 3)]
    assert lines == [{name: value for name, value in each.items() if name != "unmatched"} for each in shown]
    assert all(validator(("components", "schemas", "RequestDetail")).is_valid(line) for line in lines)


def test_filters_limit_and_session_hold_for_an_export() -> None:
    mock = used()
    mock.judge("brief")
    mock.json("POST", "/sessions", {"name": "a"}, status=201)
    mock.chat("x", session="a")
    ids = [
        [json.loads(line)["id"] for line in exported(mock, f"format=ndjson{more}")[1].splitlines()]
        for more in ("&endpoint=judge", "&limit=2", "&session=a")
    ]
    assert ids == [["default-1", "default-4"], ["default-3", "default-4"], ["a-1"]]
    assert "did you mean" in mock.message("GET", "/requests", query="fromat=har").lower()
    assert '"ndjson" or "har"' in mock.message("GET", "/requests", query="format=csv")


ENTRY = {"startedDateTime", "time", "request", "response", "cache", "timings"}
REQUEST = {"method", "url", "httpVersion", "cookies", "headers", "queryString", "headersSize", "bodySize"}
RESPONSE = {
    "status", "statusText", "httpVersion", "cookies", "headers", "content", "redirectURL", "headersSize",
    "bodySize",
}  # fmt: skip
"""The members that HAR 1.2 demands."""


def holds(entry: Json) -> None:
    """Assert that an entry is one of HAR 1.2."""
    assert ENTRY <= set(entry) <= ENTRY | {"_id"}
    assert REQUEST <= set(entry["request"]) <= REQUEST | {"postData"}
    assert set(entry["response"]) == RESPONSE
    assert datetime.fromisoformat(entry["startedDateTime"]).tzinfo
    timings = entry["timings"]
    assert set(timings) == {"send", "wait", "receive"}
    assert all(value >= 0 for value in timings.values())
    assert entry["time"] == pytest.approx(sum(timings.values()))
    for part in (entry["request"], entry["response"]):
        assert all(set(header) == {"name", "value"} for header in part["headers"])
        assert all(isinstance(value, str) for header in part["headers"] for value in header.values())
    content = entry["response"]["content"]
    assert isinstance(content["size"], int)
    assert isinstance(content["mimeType"], str)
    assert set(content) <= {"size", "mimeType", "text", "encoding"}
    assert set(entry["request"].get("postData", {"mimeType", "text"})) == {"mimeType", "text"}


def test_a_har_file_has_each_exchange_as_it_was() -> None:
    mock = used()
    begin, sent = exported(mock, "format=har")
    assert (b"content-type", b"application/json") in begin.headers
    log = json.loads(sent)["log"]
    assert set(log) == {"version", "creator", "entries"}
    assert (log["version"], log["creator"]["name"]) == ("1.2", "openpipe-mock")
    for entry in log["entries"]:
        holds(entry)
    judged, streamed, missed = log["entries"]
    assert judged["request"]["url"] == f"http://localhost{JUDGE}"
    assert judged["response"]["statusText"] == "OK"
    assert json.loads(judged["request"]["postData"]["text"])["criterion_id"] == "helpful"
    assert 0 <= json.loads(judged["response"]["content"]["text"])["score"] <= 1
    assert {"name": "authorization", "value": "***"} in judged["request"]["headers"]
    assert streamed["startedDateTime"] == "2001-09-09T01:46:40.000Z"
    assert streamed["request"]["url"] == f"http://mock:1{CHAT}"
    assert streamed["response"]["content"]["mimeType"] == "text/event-stream; charset=utf-8"
    assert streamed["response"]["content"]["text"].endswith("data: [DONE]\n\n")
    assert (missed["response"]["status"], missed["_id"]) == (404, "default-3")


def test_every_format_is_read_and_written() -> None:
    assert ("json", *EXPORTS) == JOURNAL_FORMATS


def test_an_empty_journal_is_an_empty_export() -> None:
    assert exported(Mock(), "format=ndjson")[1] == b""
    assert json.loads(exported(Mock(), "format=har")[1])["log"]["entries"] == []


def test_the_times_of_a_stream_are_its_timings() -> None:
    answer = b"data: 1\n\ndata: 2\n\n"
    entry = added(streamed=True, answer=answer, pieces=((0.25, 9), (1.0, 18)), seconds=2.0, status=200)
    assert har_entry(entry)["timings"] == {"send": 0, "wait": 250, "receive": 1750}
    assert har_entry(added(seconds=0.5))["timings"] == {"send": 0, "wait": 500, "receive": 0}
    holds(har_entry(added()))


def test_bytes_that_are_no_text_and_statuses_without_words_are_exported() -> None:
    entry = har_entry(added(answer=b"\xff\x00", status=599, body=b"\xfe", answer_headers=((b"x", b"\xff"),)))
    holds(entry)
    assert base64.b64decode(entry["response"]["content"]["text"]) == b"\xff\x00"
    assert (entry["response"]["statusText"], entry["response"]["headers"]) == (
        "",
        [{"name": "x", "value": "ÿ"}],
    )
    assert har_entry(added(status=0))["response"]["status"] == 0


def test_no_export_holds_a_secret_and_cut_bodies_say_their_length() -> None:
    entry = added(body=b"a" * 40_000 + TOKEN, answer=TOKEN + b"b" * 90_000, status=200)
    shown = json.dumps(har_entry(entry)) + ndjson_line(entry).decode()
    assert TOKEN.decode() not in shown
    assert har_entry(entry)["response"]["bodySize"] > 90_000
    assert har_entry(entry)["request"]["bodySize"] > 40_000
