"""Raw streams of a chat completion, and what a parser has to make of each: vectors for readers of SSE.

They are written by hand, apart from the code that streams the mock's own answers.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson

Json = Any

DONE = "data: [DONE]\n\n"
USAGE = {"prompt_tokens": 11, "completion_tokens": 8, "total_tokens": 19}


@dataclass(frozen=True, slots=True)
class Stream:
    """Bytes as they arrive, and the completion that they join to; None where no parser should believe them.

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


def message(content: str | None = None, **members: Json) -> Json:
    """A joined message; what was never sent is null."""
    empty = {"role": "assistant", "content": content, "refusal": None, "function_call": None}
    return {**empty, "tool_calls": [], **members}


def joined(*messages: Json, finish: str = "stop", done: bool = True, **members: Json) -> Json:
    """What a stream says: its choices in order, its usage, its error, and whether `[DONE]` ended it."""
    choices = [
        {"index": index, "message": each, "finish_reason": finish} for index, each in enumerate(messages)
    ]
    return {"choices": choices, "usage": None, "error": None, "done": done, **members}


def chunk(*choices: Json, **members: Json) -> str:
    """The JSON of one chunk."""
    opening = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_735_689_600}
    body = {**opening, "model": "openai:gpt-4o-mini", "choices": list(choices), **members}
    return orjson.dumps(body).decode()


def event(*choices: Json, **members: Json) -> str:
    return f"data: {chunk(*choices, **members)}\n\n"


def piece(index: int = 0, finish: str | None = None, **delta: Json) -> Json:
    """A chunk's choice."""
    return {"index": index, "delta": delta, "finish_reason": finish}


def said(*texts: str, index: int = 0, finish: str = "stop") -> str:
    """The events of one choice that says these texts."""
    pieces = [piece(index, role="assistant", content=""), *(piece(index, content=text) for text in texts)]
    return "".join(event(each) for each in (*pieces, piece(index, finish)))


def whole(text: str) -> tuple[bytes, ...]:
    """Everything in one chunk."""
    return (text.encode(),)


def by_event(text: str) -> tuple[bytes, ...]:
    """A chunk for each event."""
    return tuple(f"{part}\n\n".encode() for part in text.split("\n\n") if part)


def cut(text: str, *marks: bytes) -> tuple[bytes, ...]:
    """Chunks that end right behind each mark, searched one after the other."""
    found, rest = [], text.encode()
    for mark in marks:
        before, seen, rest = rest.partition(mark)
        found.append(before + seen)
    return (*found, rest)


COUNTING = said("1, ", "2, ", "3.")
COUNTED = joined(message("1, 2, 3."))


def streams() -> Iterator[Stream]:
    """Every stream, in a fixed order."""
    yield from framings()
    yield from splits()
    yield from contents()
    yield from extras()
    yield from calls()
    yield from broken()


def framings() -> Iterator[Stream]:
    """One answer in all the ways in which server-sent events may be written."""
    text = COUNTING + DONE
    plain = "An event for each piece, [DONE] at the end."
    yield Stream("plain", plain, by_event(text), COUNTED)
    without = {**COUNTED, "done": False}
    yield Stream("no-done", "The stream just ends; [DONE] is optional.", by_event(COUNTING), without)
    yield Stream("crlf", "Lines end with CR LF.", whole(text.replace("\n", "\r\n")), COUNTED)
    yield Stream("cr", "Lines end with CR alone.", whole(text.replace("\n", "\r")), COUNTED)
    yield Stream("no-space", "No space after the colon.", whole(text.replace("data: ", "data:")), COUNTED)
    comments = text.replace("data: ", ": keep-alive\n\ndata: ", 2)
    yield Stream("comments", "Comment lines between events.", whole(comments), COUNTED)
    inside = text.replace("data: ", ":\ndata: ")
    yield Stream("comments-inside", "An empty comment inside each event.", whole(inside), COUNTED)
    fields = text.replace("data: ", "id: 1\nretry: 1000\nfuture: x\ndata: ")
    yield Stream("other-fields", "Fields that say nothing here.", whole(fields), COUNTED)
    several = COUNTING.replace(',"choices"', ',\ndata: "choices"') + DONE
    yield Stream("data-lines", "An event's JSON spread over two data lines.", whole(several), COUNTED)
    yield Stream("byte-order-mark", "A byte order mark first.", whole("\ufeff" + text), COUNTED)
    blanks = "\n\n" + text.replace("\n\n", "\n\n\n\n")
    yield Stream("blank-lines", "More empty lines than needed.", whole(blanks), COUNTED)


def splits() -> Iterator[Stream]:
    """One answer, cut into chunks where it hurts."""
    text = COUNTING + DONE
    yield Stream("one-chunk", "All events in one chunk.", whole(text), COUNTED)
    marks = (b"dat", b'"chatcmpl', b"\n\ndata", b'"content":"2', b"[DO")
    yield Stream("split-anywhere", "Chunks end inside words and between events.", cut(text, *marks), COUNTED)
    yield Stream(
        "split-blank-line", "A chunk ends between two line ends.", cut(text, b"}\n", b"}\n"), COUNTED
    )
    crlf = text.replace("\n", "\r\n")
    yield Stream("split-crlf", "Chunks end between CR and LF.", cut(crlf, b"}\r", b"\n\r", b"}\r"), COUNTED)
    emoji = said("日本 ", "😀") + DONE
    inside = cut(emoji, b"\xe6\x97", b"\xa5\xe6", b"\xf0\x9f", b"\x98")
    yield Stream("split-utf-8", "Chunks end inside characters.", inside, joined(message("日本 😀")))
    short = event(piece(role="assistant", content="é😀")) + event(piece(finish="stop")) + DONE
    single = tuple(bytes([byte]) for byte in short.encode())
    yield Stream("byte-by-byte", "Each byte is a chunk.", single, joined(message("é😀")))


def contents() -> Iterator[Stream]:
    """Answers in words."""
    odd = "data: [DONE]\n\n{}\u2028\u0085\r\n"
    about = "Text that looks like the framing, and line ends that are none."
    yield Stream("odd-text", about, by_event(said(odd) + DONE), joined(message(odd)))
    nulls = event(piece(role="assistant", content=None, refusal=None, tool_calls=None, function_call=None))
    about = "Members of a delta that are null say nothing."
    yield Stream("null-members", about, by_event(nulls + COUNTING + DONE), COUNTED)
    bare = event({"index": 0, "delta": {"content": "1, 2, 3."}}) + event(piece(finish="stop"))
    yield Stream("no-role", "A first delta without role or finish_reason.", by_event(bare + DONE), COUNTED)
    refused = [piece(role="assistant", content=None), piece(refusal="I "), piece(refusal="won't.")]
    text = "".join(map(event, [*refused, piece(finish="stop")])) + DONE
    yield Stream("refusal", "A refusal.", by_event(text), joined(message(refusal="I won't.")))
    yield Stream("length", "Cut off.", by_event(said("1, ", finish="length") + DONE), CUT_OFF)
    first = [piece(1, role="assistant", content=""), piece(0, role="assistant", content="")]
    turns = [piece(0, content="A"), piece(1, content="B"), piece(0, content="a"), piece(1, content="b")]
    text = "".join(map(event, [*first, *turns, piece(1, "stop"), piece(0, "stop")]))
    two = joined(message("Aa"), message("Bb"))
    yield Stream("interleaved", "Two choices in turns, the second one first.", by_event(text + DONE), two)
    pairs = event(*first) + event(*turns[:2]) + event(*turns[2:]) + event(piece(0, "stop"), piece(1, "stop"))
    yield Stream("several-in-a-chunk", "Two choices in each event.", by_event(pairs + DONE), two)


def extras() -> Iterator[Stream]:
    """What a stream may carry beside the text: usage, members that nobody declared, an error."""
    counted = COUNTING + event(usage=USAGE)
    about = "A last chunk without choices counts the tokens."
    yield Stream("usage", about, by_event(counted + DONE), {**COUNTED, "usage": USAGE})
    null = COUNTING.replace('"choices"', '"usage":null,"choices"') + event(usage=USAGE)
    about = "Each chunk has a usage, null in all but the last."
    yield Stream("usage-null", about, by_event(null + DONE), {**COUNTED, "usage": USAGE})
    beside = COUNTING.replace('"choices"', f'"usage":{orjson.dumps(USAGE).decode()},"choices"')
    about = "Each chunk counts the tokens; the last count stands."
    yield Stream("usage-beside", about, by_event(beside + DONE), {**COUNTED, "usage": USAGE})
    extra = COUNTING.replace('"object"', '"system_fingerprint":"fp_1","service_tier":"default","object"')
    yield Stream("unknown-members", "Members that OpenAI's service adds.", by_event(extra + DONE), COUNTED)
    error = {"message": "Internal server error", "code": "INTERNAL_SERVER_ERROR"}
    failed = (
        event(piece(role="assistant", content="1, ")) + f"data: {orjson.dumps({'error': error}).decode()}\n\n"
    )
    about = "An error instead of the rest: what came before stands, without a finish reason."
    cut_short = {**CUT_OFF["choices"][0], "finish_reason": None}
    told = {**CUT_OFF, "choices": [cut_short], "error": error, "done": False}
    yield Stream("error", about, by_event(failed), told, level="decision")


CUT_OFF = joined(message("1, "), finish="length")


def tool(index: int, arguments: str, **opening: Json) -> Json:
    """A piece of a tool call; `opening` has what only its first piece says."""
    name = {"name": opening.pop("name")} if "name" in opening else {}
    return {"index": index, **opening, "function": {**name, "arguments": arguments}}


def calls() -> Iterator[Stream]:
    """Answers that call tools."""
    opened = [tool(each, "", id=f"call_{each}", type="function", name=f"tool_{each}") for each in (0, 1)]
    made = [
        {"id": f"call_{each}", "type": "function", "function": {"name": f"tool_{each}", "arguments": text}}
        for each, text in enumerate(('{"to":3}', '{"to":"é"}'))
    ]
    first = piece(role="assistant", content=None, tool_calls=opened[:1])
    parts = [first, piece(tool_calls=[tool(0, '{"to"')]), piece(tool_calls=[tool(0, ":3}")])]
    text = "".join(map(event, [*parts, piece(finish="tool_calls")]))
    one = joined(message(tool_calls=made[:1]), finish="tool_calls")
    yield Stream("tool-call", "A call whose arguments arrive in pieces.", by_event(text + DONE), one)
    both = [piece(role="assistant", content=None, tool_calls=opened)]
    turns = [piece(tool_calls=[tool(1, '{"to":')]), piece(tool_calls=[tool(0, '{"to":3}'), tool(1, '"é"}')])]
    text = "".join(map(event, [*both, *turns, piece(finish="tool_calls")]))
    two = joined(message(tool_calls=made), finish="tool_calls")
    yield Stream("tool-calls", "Two calls, their arguments in turns.", by_event(text + DONE), two)
    older = [piece(role="assistant", content=None, function_call={"name": "tool_0", "arguments": ""})]
    older += [piece(function_call={"arguments": '{"to"'}), piece(function_call={"arguments": ":3}"})]
    text = "".join(map(event, [*older, piece(finish="function_call")]))
    called = joined(message(function_call=made[0]["function"]), finish="function_call")
    yield Stream("function-call", "The older form of a call.", by_event(text + DONE), called)


def broken() -> Iterator[Stream]:
    """Streams that keep no contract: a parser reports them, a server doesn't send them."""
    text, half = COUNTING + DONE, COUNTING[: COUNTING.index("2, ")]
    yield Stream("cut-short", "It ends inside an event.", whole(half), None, "prose", "")
    open_ended = event(piece(role="assistant", content="1, "))
    about = "A choice without a finish reason."
    yield Stream(
        "no-finish", about, by_event(open_ended + DONE), None, "prose", "/choices/0/finish_reason", SOFT
    )
    about = "A choice that goes on after its finish reason."
    late = COUNTING + event(piece(content="4.")) + DONE
    yield Stream("after-finish", about, by_event(late), None, "prose", "/choices/0/delta", SOFT)
    no_json = text.replace('"choices":[', '"choices":', 1)
    yield Stream("no-json", "An event that is no JSON.", by_event(no_json), None, "prose", "")
    nan = text.replace('"index":0', '"index":NaN', 1)
    yield Stream("nan", "NaN, which is no JSON.", by_event(nan), None, "prose", "")
    wrong = text.replace("chat.completion.chunk", "chat.completion", 1)
    yield Stream(
        "object", "A chunk that calls itself a completion.", by_event(wrong), None, "enum", "/object"
    )
    missing = text.replace('"delta"', '"message"', 1)
    about = "A chunk's choice without delta."
    yield Stream("no-delta", about, by_event(missing), None, "required", "/choices/0/delta")
    number = text.replace('"content":"1, "', '"content":1')
    about = "A piece of text that is a number."
    yield Stream("content-number", about, by_event(number), None, "type", "/choices/0/delta/content")
    latin = cut(text.replace("3.", "ü"), b"1, ")
    bad = tuple(part.replace("ü".encode(), "ü".encode("latin-1")) for part in latin)
    yield Stream("latin-1", "Text that is not UTF-8.", bad, None, "prose", "")


SOFT = "decision"
"""Nobody promises finish reasons in streams: OpenAI's habit, and ours."""
