"""The journal for other tools: as NDJSON, and as HAR 1.2, which browsers and proxies read."""

import base64
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from http import HTTPStatus

import orjson

from openpipe_mock import __version__
from openpipe_mock.core.effects import HeaderList
from openpipe_mock.sessions.diagnosis import exchange_detail
from openpipe_mock.sessions.inspection import JsonObject, json_safe, written_time
from openpipe_mock.sessions.journal import Entry

_UNKNOWN_TYPE = "application/octet-stream"
_HAR_HEAD = orjson.dumps({"version": "1.2", "creator": {"name": "openpipe-mock", "version": __version__}})


@dataclass(frozen=True, slots=True)
class Export:
    """A format. `pieces`: makes the bytes of a whole answer from exchanges, the oldest first."""

    content_type: str
    pieces: Callable[[Iterable[Entry]], Iterator[bytes]]


def ndjson_line(entry: Entry) -> bytes:
    """An exchange with headers and bodies as a line of JSON."""
    return orjson.dumps(exchange_detail(entry), option=orjson.OPT_APPEND_NEWLINE)


def _har(entries: Iterable[Entry]) -> Iterator[bytes]:
    """A HAR file, an exchange at a time."""
    yield b'{"log":' + _HAR_HEAD.removesuffix(b"}") + b',"entries":['
    separator = b""
    for entry in entries:
        yield separator + orjson.dumps(har_entry(entry))
        separator = b","
    yield b"]}}\n"


EXPORTS = {
    "ndjson": Export("application/x-ndjson", lambda entries: map(ndjson_line, entries)),
    "har": Export("application/json", _har),
}
"""Value of the parameter `format` → the format."""


def har_entry(entry: Entry) -> JsonObject:
    """An exchange as an entry of a HAR file. Of bodies that were cut, `bodySize` counts what was sent."""
    whole = 0.0 if entry.seconds is None else entry.seconds * 1000
    first = min(entry.times[0] * 1000, whole) if entry.times else whole
    return {
        "startedDateTime": written_time(entry.time),
        "time": whole,
        "request": _har_request(entry),
        "response": _har_response(entry),
        "cache": {},
        "timings": {"send": 0, "wait": first, "receive": whole - first},
        "_id": entry.id,
    }


def _har_request(entry: Entry) -> JsonObject:
    headers = tuple(entry.headers.items())
    host = entry.headers.get(b"host", b"localhost").decode("latin-1")
    body = entry.body or b""
    sent = {"mimeType": _type(headers), "text": body.decode("utf-8", "replace")}
    return {
        "method": json_safe(entry.method),
        "url": f"http://{host}{json_safe(entry.path)}",
        "httpVersion": "HTTP/1.1",
        "cookies": [],
        "headers": _har_headers(headers),
        "queryString": [],
        **({"postData": sent} if body else {}),
        "headersSize": -1,
        "bodySize": len(body) + entry.body_left_out,
    }


def _har_response(entry: Entry) -> JsonObject:
    known = entry.status in HTTPStatus.__members__.values()
    size = len(entry.answer) + entry.answer_left_out
    return {
        "status": entry.status,
        "statusText": HTTPStatus(entry.status).phrase if known else "",
        "httpVersion": "HTTP/1.1",
        "cookies": [],
        "headers": _har_headers(entry.answer_headers),
        "content": {"size": size, "mimeType": _type(entry.answer_headers), **_har_text(entry.answer)},
        "redirectURL": "",
        "headersSize": -1,
        "bodySize": size,
    }


def _har_headers(headers: HeaderList) -> list[JsonObject]:
    return [{"name": name.decode("latin-1"), "value": value.decode("latin-1")} for name, value in headers]


def _type(headers: HeaderList) -> str:
    return dict(headers).get(b"content-type", _UNKNOWN_TYPE.encode()).decode("latin-1")


def _har_text(body: bytes) -> JsonObject:
    """A body as text; one that isn't UTF-8 as base64."""
    try:
        return {"text": body.decode()}
    except UnicodeDecodeError:
        return {"text": base64.b64encode(body).decode(), "encoding": "base64"}
