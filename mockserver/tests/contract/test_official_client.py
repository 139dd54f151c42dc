"""The suite's reader of streams, and the official Python client itself: they can read the same ones."""

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from contract_tests.official_client import trouble
from tests.chatclients import CLIENTS
from tests.environments import installed
from tests.live import run

Json = Any
Message = list[Json]
"""Text, calls as id, name and arguments, and the call in the older form as name and arguments."""


def chunk(*choices: Json, **more: Json) -> Json:
    head = {"id": "a", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return {**head, "choices": list(choices), **more}


def part(delta: Json, reason: str | None = None, index: float = 0) -> Json:
    return {"index": index, "delta": delta, "finish_reason": reason}


def say(text: str, index: float = 0, **more: Json) -> Json:
    return chunk(part({"content": text}, index=index), **more)


def end(reason: str = "stop", index: float = 0) -> Json:
    return chunk(part({}, reason, index))


def piece(index: Json, arguments: str | None = None, **members: Json) -> Json:
    function = {} if arguments is None else {"function": {"arguments": arguments}}
    return {"index": index, **function, **members}


def opening(index: Json, name: str = "f", arguments: str = "{", **members: Json) -> Json:
    call = {"id": f"call_{name}", "type": "function", "function": {"name": name, "arguments": arguments}}
    return {"index": index, **call, **members}


def calling(*calls: Json) -> Json:
    return chunk(part({"tool_calls": list(calls)}))


def events(*chunks: Json, done: bytes = b"data: [DONE]\n\n") -> bytes:
    return b"".join(b"data: " + json.dumps(each).encode() + b"\n\n" for each in chunks) + done


SAID: Message = ["ab", [], None]
PLAIN = events(say("a"), say("b"), end())
ROLE = chunk(part({"role": "assistant"}))
CALLED: Message = ["", [["call_f", "f", "{}"]], None]
TWO_CALLED: Message = ["", [["call_f", "f", "{}"], ["call_g", "g", "{}"]], None]
OLDER: Message = ["", [], ["f", "{}"]]


def older(name: str | None, arguments: str) -> Json:
    return chunk(part({"function_call": {"name": name, "arguments": arguments}}))


ROWS: dict[str, tuple[bytes, Message | dict[str, Message], str]] = {
    "plain": (PLAIN, SAID, ""),
    "comments": (b": hello\n\n" + PLAIN, SAID, ""),
    "ids-beside-data": (PLAIN.replace(b"data: {", b"id: 1\ndata: {"), SAID, ""),
    "retry-beside-data": (b"retry: 5\n" + PLAIN, SAID, ""),
    "retry-alone": (b"retry: 5\n\n" + PLAIN, SAID, "no data"),
    "retry-that-is-no-number": (b"retry: soon\n\n" + PLAIN, SAID, ""),
    "id-alone": (b"id: 1\n\n" + PLAIN, SAID, "no data"),
    "comment-behind-an-id": (b"id: 1\n" + PLAIN.replace(b"\n\n", b"\n\n: busy\n\n", 1), SAID, "no data"),
    "blank-lines-behind-an-id": (b"id: 1\n" + PLAIN.replace(b"\n\n", b"\n\n\n", 1), SAID, "no data"),
    "id-forgotten": (b"id: 1\n" + PLAIN.replace(b"\n\n", b"\n\nid:\n: busy\n\n", 1), SAID, ""),
    "named": (b"event: message\n" + PLAIN, SAID, "has a name"),
    "named-alone": (b"event: ping\n\n" + PLAIN, SAID, "no data"),
    "named-by-nothing": (b"event:\n" + PLAIN, SAID, ""),
    "named-as-a-response": (b"event: response.chunk\n" + PLAIN, SAID, ""),
    "named-at-the-end": (PLAIN.replace(b"data: [DONE]", b"event: done\ndata: [DONE]"), SAID, ""),
    "named-behind-the-end": (PLAIN + b"event: late\ndata: {}\n\n", SAID, ""),
    "byte-order-mark": (b"\xef\xbb\xbf" + PLAIN, SAID, "byte order mark"),
    "byte-order-mark-before-a-comment": (b"\xef\xbb\xbf: hello\n" + PLAIN, SAID, ""),
    "byte-order-mark-in-an-event": (PLAIN.replace(b": {", b": \xef\xbb\xbf{", 1), SAID, "no JSON"),
    "no-utf-8": (b": caf\xe9\n" + PLAIN, SAID, "UTF-8"),
    "no-utf-8-behind-the-end": (PLAIN + b": caf\xe9\n\n", SAID, "UTF-8"),
    "crlf": (PLAIN.replace(b"\n", b"\r\n"), SAID, ""),
    "cr": (PLAIN.replace(b"\n", b"\r"), SAID, ""),
    "no-space": (PLAIN.replace(b"data: ", b"data:"), SAID, ""),
    "data-in-two-lines": (PLAIN.replace(b', "', b',\ndata: "'), SAID, ""),
    "two-spaces-before-the-end": (PLAIN.replace(b"data: [DONE]", b"data:  [DONE]"), SAID, "no JSON"),
    "end-in-lower-case": (PLAIN.replace(b"[DONE]", b"[done]"), SAID, "no JSON"),
    "no-end": (PLAIN.replace(b"data: [DONE]\n\n", b""), SAID, ""),
    "end-with-more-behind": (PLAIN.replace(b"[DONE]", b"[DONE] bye"), SAID, ""),
    "empty-data": (b"data:\n\n" + PLAIN, SAID, "no JSON"),
    "a-list": (b"data: []\n\n" + PLAIN, SAID, "no JSON object"),
    "null": (b"data: null\n\n" + PLAIN, SAID, "no JSON object"),
    "nan": (PLAIN.replace(b'"created": 1', b'"created": NaN'), SAID, ""),
    "error": (events(say("a"), say("b"), {"error": {"message": "no"}}), SAID, "error"),
    "error-beside-choices": (events(say("a"), say("b", error={"code": 5}), end()), SAID, "error"),
    "error-null": (events(say("a", error=None), say("b"), end()), SAID, ""),
    "no-choices": (events(say("a"), say("b"), {"id": "a", "usage": {}}), SAID, "list of choices"),
    "choices-null": (events(say("a"), say("b"), {**chunk(), "choices": None}), SAID, "list of choices"),
    "empty-choices": (events(chunk(), say("a"), say("b"), end(), chunk()), SAID, ""),
    "delta-null": (events(say("a"), say("b"), chunk(part(None, "stop"))), SAID, "no delta"),
    "role-each-time": (events(ROLE, ROLE, say("ab"), end()), SAID, ""),
    "index-1": (events(say("a", 1), say("b", 1), end(index=1)), {"1": SAID}, "choice 1"),
    "index-0.0": (events(say("a", 0.0), say("b", 0.0), end(index=0.0)), SAID, "0.0"),
    "choices-in-turn": (
        events(say("a"), say("a", 1), say("b"), say("b", 1)),
        {"0": SAID, "1": SAID},
        "",
    ),
    "choices-in-one-chunk": (
        events(chunk(part({"content": "ab"}, index=1), part({"content": "ab"}))),
        {"0": SAID, "1": SAID},
        "",
    ),
    "choices-from-the-last": (events(say("ab", 1), say("ab")), {"0": SAID, "1": SAID}, "choice 1"),
    "choices-that-skip": (
        events(say("ab"), say("ab", 2), say("ab", 1)),
        {"0": SAID, "1": SAID, "2": SAID},
        "choice 2",
    ),
    "call": (events(ROLE, calling(opening(0)), calling(piece(0, "}")), end("tool_calls")), CALLED, ""),
    "call-at-once": (events(calling(opening(0, arguments="{}")), end("tool_calls")), CALLED, ""),
    "call-from-1": (events(ROLE, calling(opening(1)), calling(piece(1, "}"))), CALLED, "index 1"),
    "call-without-index": (events(ROLE, calling(piece(None, "{}"))), CALLED, "index None"),
    "calls-in-turn": (
        events(
            ROLE,
            calling(opening(0)),
            calling(opening(1, "g")),
            calling(piece(0, "}")),
            calling(piece(1, "}")),
        ),
        TWO_CALLED,
        "",
    ),
    "calls-from-the-last": (
        events(ROLE, calling(opening(1, "g", "{}")), calling(opening(0, arguments="{}"))),
        TWO_CALLED,
        "index 1",
    ),
    "call-id-repeated": (
        events(calling(opening(0)), calling(piece(0, "}", id="call_f"))),
        CALLED,
        "repeated",
    ),
    "call-name-repeated": (
        events(calling(opening(0)), calling({"index": 0, "function": {"name": "f", "arguments": "}"}})),
        CALLED,
        "repeated",
    ),
    "call-name-in-pieces": (
        events(
            calling(opening(0, "get")), calling({"index": 0, "function": {"name": "_it", "arguments": "}"}})
        ),
        ["", [["call_get", "get_it", "{}"]], None],
        "",
    ),
    "call-with-empty-texts": (
        events(calling(opening(0)), calling(piece(0, "}", id="", type="function"))),
        CALLED,
        "",
    ),
    "call-type-null": (
        events(calling(opening(0)), calling(piece(0, "}", type=None))),
        CALLED,
        "taken back",
    ),
    "call-without-type": (
        events(calling({**opening(0), "type": None}), calling(piece(0, "}", type=None))),
        CALLED,
        "",
    ),
    "call-without-function": (
        events(calling(opening(0, arguments="{}")), calling(piece(0))),
        CALLED,
        "no function",
    ),
    "calls-null-and-empty": (
        events(
            chunk(part({"tool_calls": None})),
            calling(),
            calling(opening(0, arguments="{}")),
            chunk(part({"tool_calls": None})),
        ),
        CALLED,
        "",
    ),
    "older-call": (events(older("f", "{"), older(None, "}"), end("function_call")), OLDER, ""),
    "older-call-repeated": (events(older("f", "{"), older("f", "}")), OLDER, "repeated"),
    "texts-in-a-list": (
        events(
            chunk(part({"content": "a", "extra": ["x"]})),
            chunk(part({"content": "b", "extra": ["y"]}, "stop")),
        ),
        SAID,
        "",
    ),
    "objects-in-a-list": (
        events(
            chunk(part({"content": "a", "extra": [{"x": 1}]})),
            chunk(part({"content": "b", "extra": [{"x": 2}]}, "stop")),
        ),
        SAID,
        "no index",
    ),
}
"""Body, what it means to a reader of the standard, and what keeps the client from reading that."""


@pytest.mark.parametrize("name", ROWS)
def test_what_the_official_python_client_can_t_read_is_seen(name: str) -> None:
    body, _, why = ROWS[name]
    assert why in trouble(body)
    assert bool(trouble(body)) is bool(why), trouble(body)


def test_choices_that_are_sorted_may_begin_anywhere() -> None:
    body, _, _ = ROWS["choices-from-the-last"]
    assert trouble(body, sorted_choices=True) == ""


BLOCKS = (
    b": comment\n\n",
    b": comment\n",
    b"\n",
    b"id: 7\n",
    b"id:\n",
    b"id: 8\n\n",
    b"retry: 5\n",
    b"retry: x\n\n",
    b"event:\n",
    b"event: response.x\n",
    b"unknown: field\n\n",
    b"data\n",
)


def shuffled(number: int) -> Iterator[bytes]:
    """Streams that say "ab", with up to three further blocks anywhere."""
    draw = random.Random(7)
    told = [each + b"\n\n" for each in PLAIN.split(b"\n\n")[:-1]]
    for _ in range(number):
        pieces = list(told)
        for _ in range(draw.randint(1, 3)):
            pieces.insert(draw.randint(0, len(pieces)), draw.choice(BLOCKS))
        yield b"".join(pieces).replace(b"\n", draw.choice((b"\n", b"\r\n", b"\r")))


@pytest.mark.slow
def test_the_official_python_client_reads_the_same_streams(tmp_path: Path) -> None:
    bodies = {name: (body, meant) for name, (body, meant, _) in ROWS.items()}
    bodies |= {f"shuffled {number}": (body, SAID) for number, body in enumerate(shuffled(200))}
    file = tmp_path / "bodies.json"
    file.write_text(json.dumps([body.decode("latin-1") for body, _ in bodies.values()]))
    script = CLIENTS / "python-openpipe" / "streams.py"
    outcomes = json.loads(run([installed("openpipe", "python"), script, file]))
    for (name, (body, meant)), outcome in zip(bodies.items(), outcomes, strict=True):
        expected = meant if isinstance(meant, dict) else {"0": meant}
        reads = outcome == expected
        assert reads is not bool(trouble(body)), (name, body, outcome, trouble(body))
