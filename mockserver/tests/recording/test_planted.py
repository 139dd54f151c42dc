"""Keys are planted wherever an exchange can hold one, and looked for in every byte that is written."""

import json
import logging
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from openpipe_mock.config.settings import Settings
from openpipe_mock.core.eventstream import DONE_DATA, read_events
from openpipe_mock.recording.recording import from_yaml
from openpipe_mock.recording.tape import tape_of
from openpipe_mock.recording.upstream import Upstream
from tests.recording.test_tape import mock, send
from tests.reference.http import Event, Receive, Send
from tests.threads import served

CLIENTS, RECORDERS = "kE/y+of.the-Client~42", "another/Key=of+the.Recorder"
VARIABLES, CONFIGS = "Key_of+a/variable=1234", "known.key-of/the+config"
KEYS = (CLIENTS, RECORDERS, VARIABLES, CONFIGS)


def spellings(key: str) -> Iterator[str]:
    yield key
    yield quote(key, safe="")
    for before in ("", "a", "ab"):
        for encode in (b64encode, urlsafe_b64encode):
            text = encode(f"{before}{key}".encode()).decode().rstrip("=")
            yield text[4:-2]  # what the letters around it don't change


def planted(key: str) -> dict[str, Any]:
    """A body that holds a key in every way."""
    percent, base64 = quote(key, safe=""), b64encode(f"user:{key}".encode()).decode()
    arguments = json.dumps(
        {"deep": json.dumps({"a": f"x{key}y", "b": base64, "url": f"https://x/?k={percent}"})}
    )
    call = {"id": key, "type": "function", "function": {"name": "send", "arguments": arguments}}
    return {
        "model": f"model-{key}",
        "messages": [
            {"role": "system", "content": f"Be {percent} and {base64}."},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": key, "content": f"found {key.upper()} {key}"},
            {"role": "user", "content": f"my key is {key}"},
        ],
        "metadata": {key: "as a name"},
        "user": "".join(f"\\u{ord(char):04x}" for char in key),
    }


def answers(
    body: dict[str, Any], keys: tuple[str, ...]
) -> tuple[int, list[tuple[bytes, bytes]], list[bytes]]:
    """Status, headers and pieces of an answer that repeats all it knows."""
    told = " ".join(keys)
    media = b"text/event-stream" if body.get("stream") else b"application/json"
    headers = [(b"content-type", media), (b"op-told", told.encode()), (b"set-cookie", told.encode())]
    if not body.get("stream"):
        status = 401 if "wrong" in json.dumps(body) else 200
        error = {"message": f"wrong key {told}", "code": told, "echo": body, "api_key": "any", "b": [told]}
        return status, headers, [json.dumps(error).encode()]
    spread = json.dumps({"secret_of": told, "list": [told]})
    deltas: list[dict[str, Any]] = [{"role": "assistant", "reasoning_content": ""}]
    deltas += [{"reasoning_content": char} for char in told]
    deltas += [{"content": told[at : at + 3]} for at in range(0, len(told), 3)]
    deltas += [
        {"tool_calls": [{"index": 0, "function": {"arguments": spread[at : at + 5]}}]}
        for at in range(0, len(spread), 5)
    ]
    events = [{"id": told, "choices": [{"index": 0, "delta": delta}]} for delta in deltas]
    text = "".join(f"data: {json.dumps(event)}\n\n" for event in events) + "data: [DONE]\n\n"
    return 200, headers, [text[at : at + 70].encode() for at in range(0, len(text), 70)]


async def talkative(scope: Event, receive: Receive, send: Send) -> None:
    """An upstream that tells back every key that it was sent or knows."""
    sent = b""
    while (message := await receive())["type"] == "http.request":
        sent += message.get("body", b"")
        if not message.get("more_body"):
            break
    status, headers, pieces = answers(json.loads(sent), KEYS)
    await send({"type": "http.response.start", "status": status, "headers": headers})
    for piece in pieces:
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body"})


def joined(stream: bytes) -> str:
    """All that the deltas of a stream spell together."""
    found: dict[str, str] = {}
    for event in read_events(stream).events:
        if event.data != DONE_DATA:
            delta = json.loads(event.data)["choices"][0]["delta"]
            calls = delta.get("tool_calls", [{}])
            for name, text in {**delta, "arguments": calls[0].get("function", {}).get("arguments")}.items():
                if isinstance(text, str):
                    found[name] = found.get(name, "") + text
    return " ".join(found.values())


def holding(where: str, text: str, keys: tuple[str, ...] = KEYS) -> list[str]:
    return [f"{where}: {spelled}" for key in keys for spelled in spellings(key) if spelled in text]


@pytest.mark.parametrize("own", ["", RECORDERS], ids=["the client's key", "the recorder's key"])
def test_no_planted_key_is_written(
    own: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("OPENAI_API_KEY", VARIABLES)
    settings = Settings(keys=(CLIENTS, CONFIGS))
    requests = []
    for key in (CLIENTS, VARIABLES, CONFIGS):
        requests += [planted(key), {**planted(key), "wrong": key}, {**planted(key), "stream": True}]
    with served(talkative) as (host, port):
        upstream = Upstream(f"http://{host}:{port}", own)
        tape = tape_of(tmp_path, settings, upstream=upstream, on_miss="upstream", replays=False)
        if not own:  # one that only the upstream knows can't be known here
            tape.hiding = type(tape.hiding)((*tape.hiding.keys, RECORDERS), tape.hiding.patterns)
        with mock(tape, settings) as url:
            for body in requests:
                tags = {"op-tags": json.dumps({"a": f"{CLIENTS} {CONFIGS}"})}
                send(url, ("POST", "/chat/completions", body, tags), CLIENTS)
            journal = httpx.get(url.replace("/api/v1", "/_mock/requests"), params={"limit": 100}).text
    files = {path: path.read_bytes() for path in tmp_path.rglob("*")}
    recordings = [from_yaml(file) for path, file in files.items() if path.suffix == ".yaml"]
    assert len(recordings) == len(requests)
    assert {recording.status for recording in recordings} == {200, 401}
    found = [each for path, file in files.items() for each in holding(path.name, f"{path}\n{file.decode()}")]
    for recording in recordings:
        if recording.streamed:
            found += holding("stream", joined(recording.answer))
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("openpipe_mock")]
    assert len(ours) >= len(requests)
    found += holding("repr", repr(tape))
    found += holding("log", "\n".join(ours), (CLIENTS, own) if own else (CLIENTS,))
    found += holding("journal", journal, (CLIENTS, own) if own else (CLIENTS,))
    assert found == []
    with mock(tape_of(tmp_path, settings), settings) as url:
        again = [send(url, ("POST", "/chat/completions", body, tags), CLIENTS) for body in requests]
    assert {status for status, *_ in again} == {200, 404 if own else 401}  # a refusal is for its own key
