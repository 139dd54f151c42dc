"""Sample streams of chat completions for testing SSE parsers, each with the result that it joins to.

They share no code with the mock's own streaming, so that they can't share its mistakes.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson

Json = Any

_DONE = "data: [DONE]\n\n"
_USAGE = {"prompt_tokens": 11, "completion_tokens": 8, "total_tokens": 19}


@dataclass(frozen=True, slots=True)
class SampleStream:
    """A stream: its bytes as they arrive, and the completion that they join to, None for a broken stream.

    `rule` names what is broken: a schema keyword, or `prose` for what the documents' words say. `pointer` is
    the place in the chunk that breaks it.
    """

    name: str
    about: str
    chunks: tuple[bytes, ...]
    joined: Json
    rule: str | None = None
    pointer: str | None = None
    level: str = "sdk"


def _message(content: str | None = None, **members: Json) -> Json:
    """A joined message. Members that were never sent are null."""
    empty = {"role": "assistant", "content": content, "refusal": None, "function_call": None}
    return {**empty, "tool_calls": [], **members}


def _joined(*messages: Json, finish: str = "stop", done: bool = True, **members: Json) -> Json:
    """The result of a stream: choices in order, usage, error, and whether `[DONE]` ended it."""
    choices = [
        {"index": index, "message": each, "finish_reason": finish} for index, each in enumerate(messages)
    ]
    return {"choices": choices, "usage": None, "error": None, "done": done, **members}


def _chunk(*choices: Json, **members: Json) -> str:
    """The JSON of one chunk."""
    opening = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_735_689_600}
    body = {**opening, "model": "openai:gpt-4o-mini", "choices": list(choices), **members}
    return orjson.dumps(body).decode()


def _event(*choices: Json, **members: Json) -> str:
    return f"data: {_chunk(*choices, **members)}\n\n"


def _piece(index: int = 0, finish: str | None = None, **delta: Json) -> Json:
    """A chunk's choice."""
    return {"index": index, "delta": delta, "finish_reason": finish}


def _events(*pieces: Json, finish: str = "stop", index: int = 0) -> str:
    """An event for each piece, and the one that finishes their choice."""
    return "".join(map(_event, (*pieces, _piece(index, finish))))


def _said(*texts: str, finish: str = "stop") -> str:
    """The events of one choice whose pieces are these texts."""
    return _events(
        _piece(role="assistant", content=""), *(_piece(content=text) for text in texts), finish=finish
    )


def _whole(text: str) -> tuple[bytes, ...]:
    """Everything in one chunk."""
    return (text.encode(),)


def _by_event(text: str) -> tuple[bytes, ...]:
    """A chunk for each event."""
    return tuple(f"{part}\n\n".encode() for part in text.split("\n\n") if part)


def _cut(text: str, *marks: bytes) -> tuple[bytes, ...]:
    """Chunks that end right behind each mark; each mark is searched behind the one before."""
    found, rest = [], text.encode()
    for mark in marks:
        before, seen, rest = rest.partition(mark)
        found.append(before + seen)
    return (*found, rest)


_COUNTING = _said("1, ", "2, ", "3.")
_TEXT = _COUNTING + _DONE
_COUNTED = _joined(_message("1, 2, 3."))
_CUT_OFF = _joined(_message("1, "), finish="length")
_SOFT = "decision"
"""The level of finish reasons in streams: no source promises them."""


def streams() -> Iterator[SampleStream]:
    """Every stream, in a fixed order."""
    yield from _framings()
    yield from _splits()
    yield from _contents()
    yield from _extras()
    yield from _calls()
    yield from _broken()


def _sample(name: str, about: str, text: str, joined: Json = _COUNTED) -> SampleStream:
    """A stream that ends with `[DONE]`, with a chunk for each event."""
    return SampleStream(name, about, _by_event(text + _DONE), joined)


def _framings() -> Iterator[SampleStream]:
    """One answer in all spellings that server-sent events allow."""
    yield _sample("plain", "An event for each piece, [DONE] at the end.", _COUNTING)
    without = {**_COUNTED, "done": False}
    yield SampleStream("no-done", "The stream just ends; [DONE] is optional.", _by_event(_COUNTING), without)
    for name, about, text in (
        ("crlf", "Lines end with CR LF.", _TEXT.replace("\n", "\r\n")),
        ("cr", "Lines end with CR alone.", _TEXT.replace("\n", "\r")),
        ("no-space", "No space after the colon.", _TEXT.replace("data: ", "data:")),
        ("comments", "Comment lines between events.", _TEXT.replace("data: ", ": keep-alive\n\ndata: ", 2)),
        ("comments-inside", "An empty comment inside each event.", _TEXT.replace("data: ", ":\ndata: ")),
        (
            "other-fields",
            "Fields that say nothing here.",
            _TEXT.replace("data: ", "id: 1\nretry: 1000\nfuture: x\ndata: "),
        ),
        (
            "data-lines",
            "An event's JSON spread over two data lines.",
            _TEXT.replace(',"choices"', ',\ndata: "choices"'),
        ),
        ("byte-order-mark", "A byte order mark first.", "\ufeff" + _TEXT),
        ("blank-lines", "More empty lines than needed.", "\n\n" + _TEXT.replace("\n\n", "\n\n\n\n")),
    ):
        yield SampleStream(name, about, _whole(text), _COUNTED)


def _splits() -> Iterator[SampleStream]:
    """One answer, cut into chunks at places that break naive parsers."""
    marks = (b"dat", b'"chatcmpl', b"\n\ndata", b'"content":"2', b"[DO")
    crlf = _cut(_TEXT.replace("\n", "\r\n"), b"}\r", b"\n\r", b"}\r")
    for name, about, chunks in (
        ("one-chunk", "All events in one chunk.", _whole(_TEXT)),
        ("split-anywhere", "Chunks end inside words and between events.", _cut(_TEXT, *marks)),
        ("split-blank-line", "A chunk ends between two line ends.", _cut(_TEXT, b"}\n", b"}\n")),
        ("split-crlf", "Chunks end between CR and LF.", crlf),
    ):
        yield SampleStream(name, about, chunks, _COUNTED)
    inside = _cut(_said("日本 ", "😀") + _DONE, b"\xe6\x97", b"\xa5\xe6", b"\xf0\x9f", b"\x98")
    yield SampleStream("split-utf-8", "Chunks end inside characters.", inside, _joined(_message("日本 😀")))
    short = _events(_piece(role="assistant", content="é😀")) + _DONE
    single = tuple(bytes([byte]) for byte in short.encode())
    yield SampleStream("byte-by-byte", "Each byte is a chunk.", single, _joined(_message("é😀")))


def _contents() -> Iterator[SampleStream]:
    """Answers with text."""
    odd = "data: [DONE]\n\n{}\u2028\u0085\r\n"
    about = "Text that looks like the framing, and line ends that are none."
    yield _sample("odd-text", about, _said(odd), _joined(_message(odd)))
    nulls = _event(_piece(role="assistant", content=None, refusal=None, tool_calls=None, function_call=None))
    yield _sample("null-members", "Members of a delta that are null say nothing.", nulls + _COUNTING)
    bare = _events({"index": 0, "delta": {"content": "1, 2, 3."}})
    yield _sample("no-role", "A first delta without role or finish_reason.", bare)
    refused = [_piece(role="assistant", content=None), _piece(refusal="I "), _piece(refusal="won't.")]
    yield _sample("refusal", "A refusal.", _events(*refused), _joined(_message(refusal="I won't.")))
    yield _sample("length", "Cut off.", _said("1, ", finish="length"), _CUT_OFF)
    first = [_piece(1, role="assistant", content=""), _piece(0, role="assistant", content="")]
    turns = [_piece(0, content="A"), _piece(1, content="B"), _piece(0, content="a"), _piece(1, content="b")]
    ends = [_piece(0, "stop"), _piece(1, "stop")]
    two = _joined(_message("Aa"), _message("Bb"))
    text = _events(*first, *turns, ends[1])
    yield _sample("interleaved", "Two choices in turns, the second one first.", text, two)
    pairs = "".join(_event(*pair) for pair in (first, turns[:2], turns[2:], ends))
    yield _sample("several-in-a-chunk", "Two choices in each event.", pairs, two)


def _extras() -> Iterator[SampleStream]:
    """Streams with more than text: usage, undeclared members, an error."""
    last, usage = _event(usage=_USAGE), {**_COUNTED, "usage": _USAGE}
    yield _sample("usage", "A last chunk without choices counts the tokens.", _COUNTING + last, usage)
    null = _COUNTING.replace('"choices"', '"usage":null,"choices"') + last
    yield _sample("usage-null", "Each chunk has a usage, null in all but the last.", null, usage)
    beside = _COUNTING.replace('"choices"', f'"usage":{orjson.dumps(_USAGE).decode()},"choices"')
    yield _sample("usage-beside", "Each chunk counts the tokens; the last count stands.", beside, usage)
    extra = _COUNTING.replace('"object"', '"system_fingerprint":"fp_1","service_tier":"default","object"')
    yield _sample("unknown-members", "Members that OpenAI's service adds.", extra)
    error = {"message": "Internal server error", "code": "INTERNAL_SERVER_ERROR"}
    failed = f"{_OPEN_ENDED}data: {orjson.dumps({'error': error}).decode()}\n\n"
    about = "An error instead of the rest: what came before stands, without a finish reason."
    cut_short = {**_CUT_OFF["choices"][0], "finish_reason": None}
    told = {**_CUT_OFF, "choices": [cut_short], "error": error, "done": False}
    yield SampleStream("error", about, _by_event(failed), told, level=_SOFT)


_OPEN_ENDED = _event(_piece(role="assistant", content="1, "))


def _tool(index: int, arguments: str, **opening: Json) -> Json:
    """A piece of a tool call; `opening` has the members that only its first piece has."""
    name = {"name": opening.pop("name")} if "name" in opening else {}
    return {"index": index, **opening, "function": {**name, "arguments": arguments}}


def _calls() -> Iterator[SampleStream]:
    """Answers that call tools."""
    opened = [_tool(each, "", id=f"call_{each}", type="function", name=f"tool_{each}") for each in (0, 1)]
    made = [
        {"id": f"call_{each}", "type": "function", "function": {"name": f"tool_{each}", "arguments": text}}
        for each, text in enumerate(('{"to":3}', '{"to":"é"}'))
    ]
    first, both = (_piece(role="assistant", content=None, tool_calls=calls) for calls in (opened[:1], opened))
    parts = [_piece(tool_calls=[_tool(0, part)]) for part in ('{"to"', ":3}")]
    text = _events(first, *parts, finish="tool_calls")
    one = _joined(_message(tool_calls=made[:1]), finish="tool_calls")
    yield _sample("tool-call", "A call whose arguments arrive in pieces.", text, one)
    turns = ([_tool(1, '{"to":')], [_tool(0, '{"to":3}'), _tool(1, '"é"}')])
    text = _events(both, *(_piece(tool_calls=calls) for calls in turns), finish="tool_calls")
    two = _joined(_message(tool_calls=made), finish="tool_calls")
    yield _sample("tool-calls", "Two calls, their arguments in turns.", text, two)
    head = _piece(role="assistant", content=None, function_call={"name": "tool_0", "arguments": ""})
    rest = (_piece(function_call={"arguments": part}) for part in ('{"to"', ":3}"))
    text = _events(head, *rest, finish="function_call")
    called = _joined(_message(function_call=made[0]["function"]), finish="function_call")
    yield _sample("function-call", "The older form of a call.", text, called)


def _wrong(
    name: str, about: str, text: str, rule: str = "prose", pointer: str = "", level: str = "sdk"
) -> SampleStream:
    """A stream that breaks the contract, with a chunk for each event."""
    return SampleStream(name, about, _by_event(text), None, rule, pointer, level)


def _broken() -> Iterator[SampleStream]:
    """Streams that break the contract: a parser reports them, a server doesn't send them."""
    half = _COUNTING[: _COUNTING.index("2, ")]
    yield SampleStream("cut-short", "It ends inside an event.", _whole(half), None, "prose", "")
    at = "/choices/0/delta"
    about = "A choice without a finish reason."
    yield _wrong("no-finish", about, _OPEN_ENDED + _DONE, "prose", "/choices/0/finish_reason", _SOFT)
    late = _COUNTING + _event(_piece(content="4.")) + _DONE
    yield _wrong("after-finish", "A choice that goes on after its finish reason.", late, "prose", at, _SOFT)
    yield _wrong("no-json", "An event that is no JSON.", _TEXT.replace('"choices":[', '"choices":', 1))
    yield _wrong("nan", "NaN, which is no JSON.", _TEXT.replace('"index":0', '"index":NaN', 1))
    wrong = _TEXT.replace("chat.completion.chunk", "chat.completion", 1)
    yield _wrong("object", "A chunk that calls itself a completion.", wrong, "enum", "/object")
    missing = _TEXT.replace('"delta"', '"message"', 1)
    yield _wrong("no-delta", "A chunk's choice without delta.", missing, "required", at)
    number = _TEXT.replace('"content":"1, "', '"content":1')
    yield _wrong("content-number", "A piece of text that is a number.", number, "type", f"{at}/content")
    latin = _cut(_TEXT.replace("3.", "ü"), b"1, ")
    bad = tuple(part.replace("ü".encode(), "ü".encode("latin-1")) for part in latin)
    yield SampleStream("latin-1", "Text that is not UTF-8.", bad, None, "prose", "")
