"""No known key and no personal data gets into a file, in whatever spelling; all else stays as it is."""

import json
from base64 import b64encode
from dataclasses import replace
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openpipe_mock.core.secrets import MASK
from openpipe_mock.recording.hiding import Hiding
from openpipe_mock.recording.recording import Chunk, to_yaml
from tests.profiles import examples
from tests.recording.test_recording import STREAM

KEY = 'Ab/c+d"ef~12 345\u00e4'
HIDING = Hiding((KEY, "short"), (r"[\w.]+@[\w.]+",))


@pytest.mark.parametrize("before", ["", "a", "ab", "abc"])
@pytest.mark.parametrize("after", ["", "z", "zy"])
def test_a_key_in_base64_is_hidden_at_any_place(before: str, after: str) -> None:
    text = b64encode(f"{before}{KEY}{after}".encode()).decode()
    for spelled in (text, text.replace("+", "-").replace("/", "_")):
        assert MASK in HIDING.text(f"x {spelled} y")
        assert HIDING.holds_key(spelled.encode())


@pytest.mark.parametrize("spelled", [KEY, quote(KEY, safe=""), json.dumps(KEY)[1:-1], json.dumps({"a": KEY})])
def test_a_key_is_hidden_in_every_spelling(spelled: str) -> None:
    assert HIDING.holds_key(spelled.encode())
    for body in (spelled, json.dumps([spelled]), json.dumps({"tool": json.dumps({"x": spelled})})):
        hidden = HIDING.body(body.encode())
        assert not HIDING.holds_key(hidden)
        assert MASK.encode() in hidden


def test_personal_data_and_what_looks_like_a_key_is_hidden() -> None:
    assert HIDING.text("write to joe@example.org, sk-abcdef123456") == f"write to {MASK}, {MASK}"
    assert HIDING.body(b'{"password": "x", "n": 1}') == b'{"password":"***","n":1}'
    assert HIDING.body(b"joe@example.org is no JSON") == b"*** is no JSON"


@pytest.mark.parametrize(
    "body", [b'{ "a" : 1.0, "b": "short" }', b"", b"\xff\x00", b'{"model', b'["plain words"]']
)
def test_a_body_without_secrets_stays_byte_for_byte(body: bytes) -> None:
    assert HIDING.body(body) == body


def _event(index: int, **delta: object) -> bytes:
    return b"data: " + json.dumps({"choices": [{"index": index, "delta": delta}]}).encode() + b"\n\n"


@settings(max_examples=examples(60))
@given(st.integers(1, 9), st.integers(1, 9), st.sampled_from(["content", "refusal", "reasoning_content"]))
def test_a_key_that_is_spread_over_a_stream_is_hidden(size: int, length: int, member: str) -> None:
    text = f"so it is {KEY}, says joe@example.org."
    arguments = json.dumps({"key": KEY})
    stream = b"".join(
        [
            *(_event(0, **{member: text[at : at + size]}) for at in range(0, len(text), size)),
            *(_event(1, content="plain"),),
            *(
                _event(1, tool_calls=[{"index": 2, "function": {"arguments": arguments[at : at + size]}}])
                for at in range(0, len(arguments), size)
            ),
            b"data: [DONE]\n\n",
        ]
    )
    chunks = [Chunk(at / 10, stream[at : at + length]) for at in range(0, len(stream), length)]
    found = HIDING.chunks(chunks)
    events = [json.loads(chunk.data[6:]) for chunk in found[:-1]]
    deltas = [(choice["index"], choice["delta"]) for event in events for choice in event["choices"]]
    assert (
        "".join(delta.get(member) or "" for index, delta in deltas if index == 0)
        == f"so it is {MASK}, says {MASK}"
    )
    calls = [call for index, delta in deltas for call in delta.get("tool_calls", ())]
    assert json.loads("".join(call["function"]["arguments"] for call in calls)) == {"key": MASK}
    assert found[-1] == Chunk(chunks[-1].after, b"data: [DONE]\n\n")
    assert [chunk.after for chunk in found] == sorted(chunk.after for chunk in found)
    assert not HIDING.holds_key(b"".join(chunk.data for chunk in found))


def test_a_stream_without_secrets_stays_chunk_for_chunk() -> None:
    chunks = (
        Chunk(0.1, b": hello\n\ndata: " + b'{"choices":[{"index":0,"delta":{"content":"a"}}]}'),
        Chunk(0.2, b"\n\nevent: x\ndata: 1\ndata: 2\n\ndata: [1]\n\ndata: {\n\n"),
        Chunk(0.3, b"data: [DONE]"),
    )
    assert HIDING.chunks(chunks) == chunks


def test_a_key_outside_of_the_events_is_hidden_too() -> None:
    chunks = (Chunk(0.1, f": {KEY}\n\ndata: plain {KEY}\n\n".encode()), Chunk(0.2, b"data: [DONE]\r\n\r\n"))
    assert not HIDING.holds_key(b"".join(chunk.data for chunk in HIDING.chunks(chunks)))


def test_every_part_of_a_recording_is_hidden() -> None:
    event = _event(0, content=KEY)
    full = replace(
        STREAM,
        body=json.dumps({"user": KEY}).encode(),
        headers={"op-tags": KEY},
        answer_headers={"content-type": f"text/event-stream; {KEY}"},
        chunks=(Chunk(0.1, event),),
        deviations=(f"the string {KEY}",),
    )
    for recording in (full, replace(full, streamed=False)):
        assert HIDING.holds_key(to_yaml(recording))
        assert not HIDING.holds_key(to_yaml(HIDING.hidden(recording)))
