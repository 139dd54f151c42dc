"""The file of a recording: what is written is read again, and mistakes in it are told with their place."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openpipe_mock.recording.recording import BadRecording, Chunk, Recording, from_yaml, kept_headers, to_yaml
from tests.profiles import examples

BODY = b'{"model":"gpt-4o","messages":[{"role":"user","content":"h\xc3\xa9"}]}'
STREAM = Recording(
    "POST",
    "/chat/completions",
    BODY,
    {"content-type": "application/json", "op-criteria": '["helpful"]'},
    "key",
    200,
    {"content-type": "text/event-stream"},
    (Chunk(0.31, b'data: {"a":1}\n\n'), Chunk(0.4, b"data: [DONE]\n\n")),
    streamed=True,
    recorded="2026-12-01T12:00:00.000Z",
    deviations=('answer /created: the answer requires "created".',),
)
FILE = """\
cassette: 1
recorded: '2026-12-01T12:00:00.000Z'
request:
  method: POST
  path: /chat/completions
  key: key
  headers:
    content-type: application/json
    op-criteria: '["helpful"]'
  body:
    text: |-
      {"model":"gpt-4o","messages":[{"role":"user","content":"hé"}]}
answer:
  status: 200
  headers:
    content-type: text/event-stream
  chunks:
  - after: 0.31
    text: |+
      data: {"a":1}

  - after: 0.4
    text: |+
      data: [DONE]

deviations:
- 'answer /created: the answer requires "created".'
"""


def test_a_recording_is_a_file_that_people_read() -> None:
    assert to_yaml(STREAM).decode() == FILE
    assert from_yaml(FILE.encode()) == STREAM


_SIGNS = st.text(alphabet=" \n\t\r:#-{}[]&*!|>%@`\"'ab\u2028\x85\ufeff\x7f\x00")
_LATIN = st.characters(max_codepoint=255, exclude_categories=["Cc"])
_BODIES = st.one_of(
    st.binary(), st.text().map(lambda text: text.encode("utf-8", "replace")), _SIGNS.map(str.encode)
)


@settings(max_examples=examples(300))
@given(body=_BODIES, answer=_BODIES, streamed=st.booleans(), header=st.text(_LATIN, max_size=20))
def test_every_byte_of_a_body_is_read_again(body: bytes, answer: bytes, streamed: bool, header: str) -> None:
    recording = Recording(
        "POST", "/x", body, {"op-x": header}, "key", 200, {}, (Chunk(0.5, answer),), streamed
    )
    assert from_yaml(to_yaml(recording)) == recording


def _changed(old: str, new: str) -> bytes:
    assert old in FILE
    return FILE.replace(old, new, 1).encode()


@pytest.mark.parametrize(
    ("file", "told"),
    [
        (b"\xff", "it is not written in UTF-8"),
        (b"a: [", "it is not YAML (line 2)"),
        (b"[" * 100_000, "it is not YAML"),
        (b"- 1", "the file: expected a mapping"),
        (b"", "the file: expected a mapping"),
        (_changed("cassette: 1", "cassette: 2"), "/cassette: expected 1, the form of recordings"),
        (_changed("  method: POST\n", ""), "/request/method: expected a text, and it isn't there"),
        (_changed("method: POST", "method: [1]"), "/request/method: expected a text"),
        (_changed("status: 200", "status: yes"), "/answer/status: expected a status from 200 to 599"),
        (_changed("after: 0.4", "after: soon"), "/answer/chunks/1/after: expected seconds from 0"),
        (
            _changed("  - after: 0.31\n    text", "  - text"),
            "/answer/chunks/0/after: expected a text, and it isn't there",
        ),
        (_changed("text: |-\n      {", "base64: |-\n      {"), "/request/body/base64: expected base64"),
        (_changed("  body:\n    text: |-\n", "  body: |-\n"), "/request/body: expected a mapping"),
        (
            _changed("  headers:\n    content-type: app", "  headers: 1\n  x:\n    y: app"),
            "/request/headers: expec",
        ),
        (_changed("status: 200", "status: 999"), "/answer/status: expected a status from 200 to 599"),
        (_changed("after: 0.4", "after: .inf"), "/answer/chunks/1/after: expected seconds from 0"),
        (_changed("op-criteria: '", "op-criteria: !!str |+\n\n      '"), "/request/headers/op-criteria: exp"),
        (_changed("op-criteria: '", "op-\u00e9: '"), "/request/headers/op-\u00e9: expected the name"),
        (_changed("deviations:\n- '", "deviations: '"), "/deviations: expected a list"),
    ],
)
def test_a_mistake_in_a_file_is_told_with_its_place(file: bytes, told: str) -> None:
    with pytest.raises(BadRecording, match=re.escape(told)):
        from_yaml(file)


def test_a_bomb_of_aliases_is_a_mistake() -> None:
    names = zip("abcdefgh", "bcdefghi", strict=True)
    bomb = "a: &a [x, x]\n" + "\n".join(f"{name}: &{name} [*{last}, *{last}]" for last, name in names)
    with pytest.raises(BadRecording, match="/cassette"):
        from_yaml(bomb.encode())


def test_headers_that_no_client_reads_are_dropped() -> None:
    sent = [
        ("Set-Cookie", "a"),
        ("X-RateLimit-Reset", "1"),
        ("Retry-After", "2"),
        ("openai-organization", "me"),
    ]
    assert STREAM.answered(200, sent, []).answer_headers == {"x-ratelimit-reset": "1", "retry-after": "2"}
    assert kept_headers([("OP-Tags", "{}"), ("authorization", "x")], ("op-",)) == {"op-tags": "{}"}


def test_a_chunk_that_ends_within_a_character_is_joined_to_the_next() -> None:
    cut = [
        Chunk(0.1, b"data: \xf0\x9f"),
        Chunk(0.2, b"\x99"),
        Chunk(0.3, b"\x82\n\n"),
        Chunk(0.4, b"\xff"),
        Chunk(0.5, b"x"),
    ]
    found = STREAM.answered(200, [("content-type", "text/event-stream")], cut)
    assert found.chunks == (Chunk(0.3, b"data: \xf0\x9f\x99\x82\n\n"), Chunk(0.4, b"\xff"), Chunk(0.5, b"x"))


def test_an_answer_that_is_no_stream_is_one_chunk() -> None:
    found = STREAM.answered(200, [("content-type", "application/json")], [Chunk(0.1, b"{"), Chunk(0.2, b"}")])
    assert (found.chunks, found.streamed) == ((Chunk(0.2, b"{}"),), False)
