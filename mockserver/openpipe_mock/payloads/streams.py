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


def _said(*texts: str, index: int = 0, finish: str = "stop") -> str:
    """The events of one choice whose pieces are these texts."""
    pieces = [_piece(index, role="assistant", content=""), *(_piece(index, content=text) for text in texts)]
    return "".join(_event(each) for each in (*pieces, _piece(index, finish)))


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
_COUNTED = _joined(_message("1, 2, 3."))


def streams() -> Iterator[SampleStream]:
    """Every stream, in a fixed order."""
    yield from _framings()
    yield from _splits()
    yield from _contents()
    yield from _extras()
    yield from _calls()
    yield from _broken()


def _framings() -> Iterator[SampleStream]:
    """One answer in all spellings that server-sent events allow."""
    text = _COUNTING + _DONE
    plain = "An event for each piece, [DONE] at the end."
    yield SampleStream("plain", plain, _by_event(text), _COUNTED)
    without = {**_COUNTED, "done": False}
    yield SampleStream("no-done", "The stream just ends; [DONE] is optional.", _by_event(_COUNTING), without)
    yield SampleStream("crlf", "Lines end with CR LF.", _whole(text.replace("\n", "\r\n")), _COUNTED)
    yield SampleStream("cr", "Lines end with CR alone.", _whole(text.replace("\n", "\r")), _COUNTED)
    yield SampleStream(
        "no-space", "No space after the colon.", _whole(text.replace("data: ", "data:")), _COUNTED
    )
    comments = text.replace("data: ", ": keep-alive\n\ndata: ", 2)
    yield SampleStream("comments", "Comment lines between events.", _whole(comments), _COUNTED)
    inside = text.replace("data: ", ":\ndata: ")
    yield SampleStream("comments-inside", "An empty comment inside each event.", _whole(inside), _COUNTED)
    fields = text.replace("data: ", "id: 1\nretry: 1000\nfuture: x\ndata: ")
    yield SampleStream("other-fields", "Fields that say nothing here.", _whole(fields), _COUNTED)
    several = _COUNTING.replace(',"choices"', ',\ndata: "choices"') + _DONE
    yield SampleStream("data-lines", "An event's JSON spread over two data lines.", _whole(several), _COUNTED)
    yield SampleStream("byte-order-mark", "A byte order mark first.", _whole("\ufeff" + text), _COUNTED)
    blanks = "\n\n" + text.replace("\n\n", "\n\n\n\n")
    yield SampleStream("blank-lines", "More empty lines than needed.", _whole(blanks), _COUNTED)


def _splits() -> Iterator[SampleStream]:
    """One answer, cut into chunks at places that break naive parsers."""
    text = _COUNTING + _DONE
    yield SampleStream("one-chunk", "All events in one chunk.", _whole(text), _COUNTED)
    marks = (b"dat", b'"chatcmpl', b"\n\ndata", b'"content":"2', b"[DO")
    yield SampleStream(
        "split-anywhere", "Chunks end inside words and between events.", _cut(text, *marks), _COUNTED
    )
    yield SampleStream(
        "split-blank-line", "A chunk ends between two line ends.", _cut(text, b"}\n", b"}\n"), _COUNTED
    )
    crlf = text.replace("\n", "\r\n")
    yield SampleStream(
        "split-crlf", "Chunks end between CR and LF.", _cut(crlf, b"}\r", b"\n\r", b"}\r"), _COUNTED
    )
    emoji = _said("日本 ", "😀") + _DONE
    inside = _cut(emoji, b"\xe6\x97", b"\xa5\xe6", b"\xf0\x9f", b"\x98")
    yield SampleStream("split-utf-8", "Chunks end inside characters.", inside, _joined(_message("日本 😀")))
    short = _event(_piece(role="assistant", content="é😀")) + _event(_piece(finish="stop")) + _DONE
    single = tuple(bytes([byte]) for byte in short.encode())
    yield SampleStream("byte-by-byte", "Each byte is a chunk.", single, _joined(_message("é😀")))


def _contents() -> Iterator[SampleStream]:
    """Answers with text."""
    odd = "data: [DONE]\n\n{}\u2028\u0085\r\n"
    about = "Text that looks like the framing, and line ends that are none."
    yield SampleStream("odd-text", about, _by_event(_said(odd) + _DONE), _joined(_message(odd)))
    nulls = _event(_piece(role="assistant", content=None, refusal=None, tool_calls=None, function_call=None))
    about = "Members of a delta that are null say nothing."
    yield SampleStream("null-members", about, _by_event(nulls + _COUNTING + _DONE), _COUNTED)
    bare = _event({"index": 0, "delta": {"content": "1, 2, 3."}}) + _event(_piece(finish="stop"))
    yield SampleStream(
        "no-role", "A first delta without role or finish_reason.", _by_event(bare + _DONE), _COUNTED
    )
    refused = [_piece(role="assistant", content=None), _piece(refusal="I "), _piece(refusal="won't.")]
    text = "".join(map(_event, [*refused, _piece(finish="stop")])) + _DONE
    yield SampleStream("refusal", "A refusal.", _by_event(text), _joined(_message(refusal="I won't.")))
    yield SampleStream("length", "Cut off.", _by_event(_said("1, ", finish="length") + _DONE), _CUT_OFF)
    first = [_piece(1, role="assistant", content=""), _piece(0, role="assistant", content="")]
    turns = [_piece(0, content="A"), _piece(1, content="B"), _piece(0, content="a"), _piece(1, content="b")]
    text = "".join(map(_event, [*first, *turns, _piece(1, "stop"), _piece(0, "stop")]))
    two = _joined(_message("Aa"), _message("Bb"))
    yield SampleStream(
        "interleaved", "Two choices in turns, the second one first.", _by_event(text + _DONE), two
    )
    pairs = (
        _event(*first)
        + _event(*turns[:2])
        + _event(*turns[2:])
        + _event(_piece(0, "stop"), _piece(1, "stop"))
    )
    yield SampleStream("several-in-a-chunk", "Two choices in each event.", _by_event(pairs + _DONE), two)


def _extras() -> Iterator[SampleStream]:
    """Streams with more than text: usage, undeclared members, an error."""
    counted = _COUNTING + _event(usage=_USAGE)
    about = "A last chunk without choices counts the tokens."
    yield SampleStream("usage", about, _by_event(counted + _DONE), {**_COUNTED, "usage": _USAGE})
    null = _COUNTING.replace('"choices"', '"usage":null,"choices"') + _event(usage=_USAGE)
    about = "Each chunk has a usage, null in all but the last."
    yield SampleStream("usage-null", about, _by_event(null + _DONE), {**_COUNTED, "usage": _USAGE})
    beside = _COUNTING.replace('"choices"', f'"usage":{orjson.dumps(_USAGE).decode()},"choices"')
    about = "Each chunk counts the tokens; the last count stands."
    yield SampleStream("usage-beside", about, _by_event(beside + _DONE), {**_COUNTED, "usage": _USAGE})
    extra = _COUNTING.replace('"object"', '"system_fingerprint":"fp_1","service_tier":"default","object"')
    yield SampleStream(
        "unknown-members", "Members that OpenAI's service adds.", _by_event(extra + _DONE), _COUNTED
    )
    error = {"message": "Internal server error", "code": "INTERNAL_SERVER_ERROR"}
    failed = (
        _event(_piece(role="assistant", content="1, "))
        + f"data: {orjson.dumps({'error': error}).decode()}\n\n"
    )
    about = "An error instead of the rest: what came before stands, without a finish reason."
    cut_short = {**_CUT_OFF["choices"][0], "finish_reason": None}
    told = {**_CUT_OFF, "choices": [cut_short], "error": error, "done": False}
    yield SampleStream("error", about, _by_event(failed), told, level="decision")


_CUT_OFF = _joined(_message("1, "), finish="length")


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
    first = _piece(role="assistant", content=None, tool_calls=opened[:1])
    parts = [first, _piece(tool_calls=[_tool(0, '{"to"')]), _piece(tool_calls=[_tool(0, ":3}")])]
    text = "".join(map(_event, [*parts, _piece(finish="tool_calls")]))
    one = _joined(_message(tool_calls=made[:1]), finish="tool_calls")
    yield SampleStream("tool-call", "A call whose arguments arrive in pieces.", _by_event(text + _DONE), one)
    both = [_piece(role="assistant", content=None, tool_calls=opened)]
    turns = [
        _piece(tool_calls=[_tool(1, '{"to":')]),
        _piece(tool_calls=[_tool(0, '{"to":3}'), _tool(1, '"é"}')]),
    ]
    text = "".join(map(_event, [*both, *turns, _piece(finish="tool_calls")]))
    two = _joined(_message(tool_calls=made), finish="tool_calls")
    yield SampleStream("tool-calls", "Two calls, their arguments in turns.", _by_event(text + _DONE), two)
    older = [_piece(role="assistant", content=None, function_call={"name": "tool_0", "arguments": ""})]
    older += [_piece(function_call={"arguments": '{"to"'}), _piece(function_call={"arguments": ":3}"})]
    text = "".join(map(_event, [*older, _piece(finish="function_call")]))
    called = _joined(_message(function_call=made[0]["function"]), finish="function_call")
    yield SampleStream("function-call", "The older form of a call.", _by_event(text + _DONE), called)


def _broken() -> Iterator[SampleStream]:
    """Streams that break the contract: a parser reports them, a server doesn't send them."""
    text, half = _COUNTING + _DONE, _COUNTING[: _COUNTING.index("2, ")]
    yield SampleStream("cut-short", "It ends inside an event.", _whole(half), None, "prose", "")
    open_ended = _event(_piece(role="assistant", content="1, "))
    about = "A choice without a finish reason."
    yield SampleStream(
        "no-finish", about, _by_event(open_ended + _DONE), None, "prose", "/choices/0/finish_reason", _SOFT
    )
    about = "A choice that goes on after its finish reason."
    late = _COUNTING + _event(_piece(content="4.")) + _DONE
    yield SampleStream("after-finish", about, _by_event(late), None, "prose", "/choices/0/delta", _SOFT)
    no_json = text.replace('"choices":[', '"choices":', 1)
    yield SampleStream("no-json", "An event that is no JSON.", _by_event(no_json), None, "prose", "")
    nan = text.replace('"index":0', '"index":NaN', 1)
    yield SampleStream("nan", "NaN, which is no JSON.", _by_event(nan), None, "prose", "")
    wrong = text.replace("chat.completion.chunk", "chat.completion", 1)
    yield SampleStream(
        "object", "A chunk that calls itself a completion.", _by_event(wrong), None, "enum", "/object"
    )
    missing = text.replace('"delta"', '"message"', 1)
    about = "A chunk's choice without delta."
    yield SampleStream("no-delta", about, _by_event(missing), None, "required", "/choices/0/delta")
    number = text.replace('"content":"1, "', '"content":1')
    about = "A piece of text that is a number."
    yield SampleStream("content-number", about, _by_event(number), None, "type", "/choices/0/delta/content")
    latin = _cut(text.replace("3.", "ü"), b"1, ")
    bad = tuple(part.replace("ü".encode(), "ü".encode("latin-1")) for part in latin)
    yield SampleStream("latin-1", "Text that is not UTF-8.", bad, None, "prose", "")


_SOFT = "decision"
"""The level of finish reasons in streams: no source promises them."""
