"""One-bug servers whose bug is in their streams."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from tests.reference.http import CHAT, Answer, Raw, Request
from tests.reference.mutation import (
    CALLING,
    LEFT_OUT,
    Make,
    Mutant,
    changing,
    chunks,
    each_chunk,
    post,
    spoiling,
    streaming,
    with_members,
)

Json = Any
Row = tuple[str, str, str, Make, Request]
"""Name, the check behind `chat.stream`, a note, the bug, a request that shows it."""


def part(chunk: Json) -> Json:
    """What a chunk says of a choice, an empty object where it says nothing of one."""
    return chunk["choices"][0] if chunk["choices"] else {}


def each_part(edit: Callable[[Json], Json]) -> Make:
    """What each chunk says of its choice is edited."""
    return each_chunk(lambda chunk: {**chunk, "choices": [edit(part) for part in chunk["choices"]]})


def each_delta(edit: Callable[[Json], Json]) -> Make:
    return each_part(lambda part: {**part, "delta": edit(part["delta"])})


def last(listed: list[Json]) -> int:
    """The place of the first chunk with a finish reason."""
    return next(place for place, chunk in enumerate(listed) if part(chunk).get("finish_reason"))


def no_finish(part: Json) -> Json:
    return {**part, "finish_reason": None}


def finished_twice(listed: list[Json]) -> list[Json]:
    return [*listed[: last(listed) + 1], *listed[last(listed) :]]


def said_afterwards(listed: list[Json]) -> list[Json]:
    """The finish reason before the last piece of text."""
    end = last(listed)
    return [*listed[: end - 1], listed[end], listed[end - 1], *listed[end + 1 :]]


def swapped(listed: list[Json]) -> list[Json]:
    """Two pieces of text in each other's place."""
    return [listed[0], listed[2], listed[1], *listed[3:]] if len(listed) > 4 else listed


def renamed(listed: list[Json]) -> list[Json]:
    return [{**chunk, "id": f"{chunk['id']}-{place}"} for place, chunk in enumerate(listed)]


def without_usage(listed: list[Json]) -> list[Json]:
    return [chunk for chunk in listed if chunk["choices"]]


def opened_without(member: str) -> Callable[[Json], Json]:
    """The opening of a tool call without a member."""

    def edit(delta: Json) -> Json:
        calls = [with_members(call, {member: LEFT_OUT}) for call in delta.get("tool_calls", ())]
        return {**delta, "tool_calls": calls} if calls else delta

    return edit


def parsed_arguments(delta: Json) -> Json:
    for call in delta.get("tool_calls", ()):
        call["function"]["arguments"] = {}
    return delta


def unopened_arguments(delta: Json) -> Json:
    """The pieces of the arguments without their first bracket."""
    for call in delta.get("tool_calls", ()):
        call["function"]["arguments"] = call["function"].get("arguments", "").replace("{", "")
    return delta


def calls(chunk: Json) -> list[Json]:
    listed: list[Json] = part(chunk).get("delta", {}).get("tool_calls", [])
    return listed


def with_ids(listed: list[Json]) -> list[Json]:
    """The id of each call in each of its pieces."""
    for call in [call for chunk in listed for call in calls(chunk)]:
        call["id"] = "call_1"
    return listed


def counted_from_1(delta: Json) -> Json:
    for call in delta.get("tool_calls", ()):
        call["index"] += 1
    return delta


def shouted(delta: Json) -> Json:
    return {**delta, "content": delta["content"].upper()} if delta.get("content") else delta


def only_choice(number: int) -> Make:
    """Chunks of one choice alone."""
    return chunks(lambda listed: [chunk for chunk in listed if part(chunk).get("index", number) == number])


def as_plain(request: Request, answer: Answer) -> Answer:
    """A stream's answer as one JSON body."""
    if answer.chunks is None:
        return answer
    text = "".join(part(chunk).get("delta", {}).get("content") or "" for chunk in answer.chunks)
    message = {"role": "assistant", "content": text}
    head = {name: answer.chunks[0][name] for name in ("id", "created", "model")}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return Answer(200, {**head, "object": "chat.completion", "choices": [choice]})


def bytes_of(edit: Callable[[Raw], Raw]) -> Make:
    """The bytes of each stream are edited."""

    def spoil(_: Request, raw: Raw) -> Raw:
        return edit(raw) if raw.headers.get("content-type") == "text/event-stream" else raw

    return spoiling(spoil)


def framed(edit: Callable[[bytes], bytes]) -> Make:
    return bytes_of(lambda raw: replace(raw, pieces=(edit(raw.body), b"")))


def headed(**headers: str) -> Make:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return bytes_of(lambda raw: replace(raw, headers={**raw.headers, **named}))


def without_cache_control(raw: Raw) -> Raw:
    kept = {name: value for name, value in raw.headers.items() if name != "cache-control"}
    return replace(raw, headers=kept)


def too_late(request: Request, answer: Answer) -> Answer:
    """An error as the only event of a stream."""
    streams = request.path == CHAT and request.json().get("stream") is True
    return Answer(200, chunks=(answer.content,)) if answer.status == 400 and streams else answer


ERROR = {"error": {"message": "Internal server error", "code": "INTERNAL_SERVER_ERROR"}}
CALLS = streaming(**CALLING)
COUNTED = streaming(stream_options={"include_usage": True})
TWO = streaming(n=2)
PLAIN = streaming()
NO_MESSAGES = post(CHAT, {"model": "reference", "stream": True})

ROWS: tuple[Row, ...] = (
    (
        "json-type",
        "content_type",
        "A stream claims to be JSON.",
        headed(content_type="application/json"),
        PLAIN,
    ),
    ("text-type", "content_type", "A stream claims to be text.", headed(content_type="text/plain"), PLAIN),
    ("kept", "no_cache", "A stream has no Cache-Control.", bytes_of(without_cache_control), PLAIN),
    (
        "unframed",
        "events",
        "A stream is lines of JSON.",
        framed(lambda body: body.replace(b"data: ", b"")),
        PLAIN,
    ),
    (
        "glued",
        "events",
        "No blank line lies between events.",
        framed(lambda body: body.replace(b"\n\n", b"\n")),
        PLAIN,
    ),
    ("python", "events", "Events are Python.", framed(lambda body: body.replace(b'"', b"'")), PLAIN),
    ("silent", "events", "A stream has no events.", framed(lambda _: b""), PLAIN),
    (
        "latin",
        "events",
        "A stream is Latin-1.",
        framed(lambda body: body.replace(b"Answer ", b"R\xe9ponse ")),
        PLAIN,
    ),
    (
        "escaped",
        "events",
        "Line ends in events are not escaped.",
        framed(lambda body: body.replace(b'"object": ', b'\n"object": ')),
        PLAIN,
    ),
    ("not-at-all", "events", "`stream` is ignored.", changing(as_plain), PLAIN),
    (
        "byte-order-mark",
        "readable",
        "A stream begins with a byte order mark.",
        framed(lambda body: b"\xef\xbb\xbf" + body),
        PLAIN,
    ),
    (
        "named-events",
        "readable",
        "Events have a name.",
        framed(lambda body: body.replace(b"data: {", b"event: message\ndata: {")),
        PLAIN,
    ),
    (
        "id-and-comment",
        "readable",
        "A comment stands alone behind an id.",
        framed(lambda body: b"id: 1\n" + body.replace(b"\n\n", b"\n\n: busy\n\n", 1)),
        PLAIN,
    ),
    (
        "retry-alone",
        "readable",
        "A `retry:` stands alone.",
        framed(lambda body: b"retry: 100\n\n" + body),
        PLAIN,
    ),
    (
        "error-inside",
        "chunks",
        "A stream ends with an error.",
        chunks(lambda listed: [*listed, ERROR]),
        PLAIN,
    ),
    (
        "object",
        "chunks",
        "Chunks are called chat.completion.",
        each_chunk(lambda chunk: {**chunk, "object": "chat.completion"}),
        PLAIN,
    ),
    ("id-null", "chunks", "Chunks have the id null.", each_chunk(lambda chunk: {**chunk, "id": None}), PLAIN),
    (
        "no-model",
        "chunks",
        "Chunks name no model.",
        each_chunk(lambda chunk: with_members(chunk, {"model": LEFT_OUT})),
        PLAIN,
    ),
    (
        "created-string",
        "chunks",
        "The time of a chunk is a string.",
        each_chunk(lambda chunk: {**chunk, "created": "now"}),
        PLAIN,
    ),
    (
        "choices-null",
        "chunks",
        "Chunks have null for choices.",
        each_chunk(lambda chunk: {**chunk, "choices": chunk["choices"] or None}),
        COUNTED,
    ),
    (
        "no-index",
        "chunks",
        "Pieces have no index.",
        each_part(lambda part: with_members(part, {"index": LEFT_OUT})),
        PLAIN,
    ),
    (
        "message",
        "chunks",
        "Pieces have `message` for delta.",
        each_part(lambda part: with_members(part, {"delta": LEFT_OUT, "message": part["delta"]})),
        PLAIN,
    ),
    (
        "finish-empty",
        "chunks",
        "An open choice has an empty finish reason.",
        each_part(lambda part: {**part, "finish_reason": part["finish_reason"] or ""}),
        PLAIN,
    ),
    (
        "content-list",
        "chunks",
        "A piece of text is a list.",
        each_delta(lambda delta: {**delta, "content": [delta.get("content")]}),
        PLAIN,
    ),
    ("arguments-object", "chunks", "Pieces of arguments are objects.", each_delta(parsed_arguments), CALLS),
    ("ids", "one_id", "Each chunk has an id of its own.", chunks(renamed), PLAIN),
    (
        "no-role",
        "role",
        "Nobody speaks.",
        each_delta(lambda delta: with_members(delta, {"role": LEFT_OUT})),
        PLAIN,
    ),
    (
        "role-user",
        "role",
        "The user speaks.",
        each_delta(lambda delta: {**delta, "role": "user"} if "role" in delta else delta),
        PLAIN,
    ),
    ("afterwards", "order", "Text follows the finish reason.", chunks(said_afterwards), PLAIN),
    ("twice", "finish", "A choice ends twice.", chunks(finished_twice), PLAIN),
    ("never", "finish", "No choice ends.", each_part(no_finish), PLAIN),
    (
        "one-never",
        "finish",
        "One of two choices never ends.",
        each_part(lambda part: no_finish(part) if part["index"] else part),
        TWO,
    ),
    ("one-choice", "count", "`n` is ignored.", only_choice(0), TWO),
    (
        "index-same",
        "count",
        "All pieces have the index 0.",
        each_part(lambda part: {**part, "index": 0}),
        TWO,
    ),
    ("half-an-event", "end", "The last event has no blank line.", framed(lambda body: body[:-1]), PLAIN),
    (
        "after-done",
        "end",
        "Something follows [DONE].",
        framed(lambda body: body + b'data: {"ok": true}\n\n'),
        PLAIN,
    ),
    (
        "wordless",
        "text",
        "A stream says nothing.",
        each_delta(lambda delta: with_members(delta, {"content": LEFT_OUT})),
        PLAIN,
    ),
    ("call-no-id", "tools", "A streamed call has no id.", each_delta(opened_without("id")), CALLS),
    ("call-repeated", "tools", "Each piece of a call has its id.", chunks(with_ids), CALLS),
    ("call-from-1", "tools", "Calls are counted from 1.", each_delta(counted_from_1), CALLS),
    (
        "call-no-arguments",
        "tools",
        "The arguments of a streamed call are no JSON.",
        each_delta(unopened_arguments),
        CALLS,
    ),
    ("too-late", "errors", "A bad request is told of in the stream.", changing(too_late), NO_MESSAGES),
    ("uncounted", "usage", "`include_usage` is ignored.", chunks(without_usage), COUNTED),
    ("shouts", "same", "A stream says something else.", each_delta(shouted), PLAIN),
    ("disorder", "same", "Two pieces are in the wrong order.", chunks(swapped), PLAIN),
)


def mutants() -> Iterator[Mutant]:
    """All of this page."""
    for name, check, note, make, request in ROWS:
        yield Mutant(f"stream-{name}", f"chat.stream.{check}", note, make, request)
