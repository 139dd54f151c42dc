"""Read the recordings of vcrpy's cassettes, which are YAML or JSON files of interactions."""

import json
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import yaml

from openpipe_mock.openapi.endpoints import BASE, endpoint_at
from openpipe_mock.recording.recording import (
    REQUEST_HEADERS,
    BadRecording,
    Chunk,
    Recording,
    kept_headers,
)

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
MOST_IMPORTED_BYTES = 64 * 2**20
_TIMELESS = "1970-01-01T00:00:00.000Z"
"""The time of a recording whose own isn't known."""


def recordings_of(data: bytes) -> Iterator[Recording | str]:
    """The recordings in a cassette of vcrpy, and a sentence for each interaction that is left out.

    Cookies and other headers that no client reads are dropped. Raises BadRecording.
    """
    for at, interaction in enumerate(_interactions(data)):
        place = f"/interactions/{at}"
        try:
            request, response = interaction["request"], interaction["response"]
            endpoint = _endpoint(str(request["uri"]), request["method"])
            if endpoint is None:
                yield f"{place}: {request['method']} {_bare(str(request['uri']))} is no endpoint of the API"
                continue
            yield _recording(request, response, endpoint)
        except (KeyError, TypeError, ValueError, AttributeError):
            raise BadRecording(f"{place}: expected a request and a response, as vcrpy writes them") from None


def _interactions(data: bytes) -> list[Any]:
    if len(data) > MOST_IMPORTED_BYTES:
        raise BadRecording(f"it has more than {MOST_IMPORTED_BYTES // 2**20} MiB")
    try:
        document = json.loads(data) if data.lstrip().startswith(b"{") else yaml.load(data, Loader=_Loader)
    except (yaml.YAMLError, ValueError, RecursionError):
        raise BadRecording("it is neither YAML of plain data nor JSON") from None
    found = document.get("interactions") if isinstance(document, dict) else None
    if not isinstance(found, list):
        raise BadRecording("/interactions: expected a list, as in a cassette of vcrpy")
    return found


def _endpoint(uri: str, method: str) -> str | None:
    """The path below the base URL: the longest end of the URL's path that the mock serves by this method."""
    steps = urlsplit(uri).path.split("/")
    ends = ("/" + "/".join(steps[begin:]) for begin in range(1, len(steps)))
    served = ((end, endpoint_at(BASE + end, method)) for end in ends)
    return next((end for end, endpoint in served if endpoint and endpoint.method == method), None)


def _bare(uri: str) -> str:
    """A URL without user, query and fragment, which may hold a key."""
    parts = urlsplit(uri)
    return f"{parts.scheme}://{parts.hostname}{parts.path}"


def _recording(request: Mapping[str, Any], response: Mapping[str, Any], path: str) -> Recording:
    headers, body = _flat(request["headers"]), response["body"]
    answer = _bytes(body["string"] if isinstance(body, dict) else body)
    kept = kept_headers(headers.items(), REQUEST_HEADERS)
    asked = Recording(str(request["method"]), path, _bytes(request["body"]), kept, "key", recorded=_TIMELESS)
    status = int(response["status"]["code"])
    return asked.answered(status, _flat(response["headers"]).items(), [Chunk(0.0, answer)])


def _flat(headers: Mapping[str, Any]) -> dict[str, str]:
    """Headers of which each may be a text or a list of texts; the first counts."""
    first = {name: value[0] if isinstance(value, list) else value for name, value in headers.items() if value}
    return {name.lower(): _bytes(value).decode("latin-1") for name, value in first.items()}


def _bytes(body: Any) -> bytes:
    if body is None:
        return b""
    if isinstance(body, bytes):
        return body
    if isinstance(body, str):
        return body.encode()
    raise ValueError
