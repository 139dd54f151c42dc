"""One-bug servers whose bug shows to real clients: in HTTP, calls, streams as the official client reads them,
JSON as such, and in what `op-cache` keeps.
"""

import copy
import gzip
import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from tests.reference.habits import Habits
from tests.reference.http import CHAT, JUDGE, Answer, App, Event, Raw, Receive, Request, Send, received, sent
from tests.reference.mutation import (
    CALLING,
    TOOL,
    Make,
    Mutant,
    When,
    at,
    best_of,
    changing,
    chatting,
    chunks,
    each_call,
    each_chunk,
    judging,
    post,
    spoiling,
    streaming,
)
from tests.reference.server import Reference

Json = Any
Row = tuple[str, str, str, Make, Request]
"""Name, check, note, the bug, a request that shows it."""

UNHEARD: Json = {"message": "This needs an API key", "code": "UNAUTHORIZED"}


def written(request: Request, spell: Callable[[str], str]) -> Request:
    """The request with other names of headers."""
    return replace(request, headers={spell(name): value for name, value in request.headers.items()})


# HTTP


def reading_only(path: str, name: str, status: int = 401) -> Make:
    """A header counts only if its name is written so."""
    return changing(
        lambda request, answer: (
            Answer(status, UNHEARD) if request.path == path and name not in request.names else answer
        )
    )


def without_results(request: Request, answer: Answer) -> Answer:
    """Results are left out where `op-criteria` is written in another way."""
    if answer.status != 200 or "op-criteria" in request.names or "op-criteria" not in request.headers:
        return answer
    content = copy.deepcopy(answer.content)
    for choice in content["choices"]:
        choice.pop("criteria_results", None)
    return replace(answer, content=content)


def refusing_fern(request: Request, answer: Answer) -> Answer:
    odd = "x-fern-language" in request.headers
    return Answer(400, {"message": "Unknown header", "code": "BAD_REQUEST"}) if odd else answer


def packing(path: str, pack: Callable[[bytes], bytes], named: str = "gzip", when: When | None = None) -> Make:
    """Answers to those who accept gzip are packed, and called `named`."""

    def spoil(request: Request, raw: Raw) -> Raw:
        wanted = "gzip" in request.headers.get("accept-encoding", "")
        if not wanted or not at(path, when)(request):
            return raw
        return raw.says(pack(raw.body), **({"content_encoding": named} if named else {}))

    return spoiling(spoil)


def leaving_bodies(path: str) -> Make:
    """The body of a refused request stays in the connection, and is read as the next request."""

    def make(habits: Habits) -> App:
        reference, spoilt = Reference(habits), set[object]()

        async def app(scope: Event, receive: Receive, send: Send) -> None:
            request = await received(scope, receive)
            raw = reference.reply(request)
            if request.connection in spoilt:
                spoilt.remove(request.connection)
                raw = Raw(400, {"content-type": "text/html"}, (b"<h1>Bad request syntax</h1>",))
            elif raw.status >= 400 and request.path.startswith(path):
                spoilt.add(request.connection)
            await sent(raw, send, request.method)

        return app

    return make


def accepting_gzip(request: Request) -> Request:
    return replace(request, headers={**request.headers, "accept-encoding": "gzip, deflate"})


def without_key(request: Request) -> Request:
    return replace(request, headers={"content-type": "application/json"})


HTTP_ROWS: tuple[Row, ...] = (
    (
        "judge-lower-case-names",
        "judge.http.names",
        "Authorization is read in lower case alone.",
        reading_only(JUDGE, "authorization"),
        written(judging(), str.title),
    ),
    (
        "judge-title-case-names",
        "judge.http.names",
        "Authorization is read in title case alone.",
        reading_only(JUDGE, "Authorization"),
        judging(),
    ),
    (
        "chat-lower-case-names",
        "chat.http.names",
        "Content-Type is read in lower case alone.",
        reading_only(CHAT, "content-type", 415),
        written(chatting(), str.title),
    ),
    (
        "lower-case-criteria",
        "criteria.header.name",
        "op-criteria is read in lower case alone.",
        changing(without_results),
        written(best_of(2, "criterion-1"), str.title),
    ),
    (
        "judge-refuses-fern",
        "judge.headers.official",
        "X-Fern-Language is refused.",
        changing(refusing_fern),
        replace(judging(), headers={**judging().headers, "x-fern-language": "Python"}),
    ),
    (
        "judge-gzip-in-name",
        "judge.http.compression",
        "Plain answers are called gzip.",
        packing(JUDGE, bytes),
        accepting_gzip(judging()),
    ),
    (
        "judge-gzip-unnamed",
        "judge.http.compression",
        "Packed answers have no Content-Encoding.",
        packing(JUDGE, gzip.compress, ""),
        accepting_gzip(judging()),
    ),
    (
        "chat-gzip-cut",
        "chat.http.compression",
        "The end of a packed answer is lost.",
        packing(CHAT, lambda body: gzip.compress(body)[:-9]),
        accepting_gzip(chatting()),
    ),
    (
        "chat-gzip-of-long",
        "chat.http.compression",
        "Long answers are called gzip, and are plain.",
        packing(CHAT, bytes, when=lambda request: (request.json().get("n") or 1) > 3),
        accepting_gzip(chatting(n=8)),
    ),
    (
        "chat-brotli-unasked",
        "chat.http.compression",
        "Streams come in an encoding that nobody asked for.",
        packing(CHAT, gzip.compress, "br", lambda request: bool(request.json().get("stream"))),
        accepting_gzip(streaming()),
    ),
    (
        "judge-leaves-bodies",
        "judge.http.kept",
        "The body of a refused request is read as the next one.",
        leaving_bodies(JUDGE),
        without_key(judging()),
    ),
    (
        "chat-leaves-bodies",
        "chat.http.kept",
        "The body of a request to nowhere is read as the next one.",
        leaving_bodies("/api/v1/no"),
        replace(judging(), path="/api/v1/no/such/path"),
    ),
)


# Calls


def several_calls(edit: Callable[[Json], Json]) -> Make:
    """Beside each call stands a second one, made of it."""

    def change(_: Request, answer: Answer) -> Answer:
        if answer.status != 200 or answer.chunks is not None or "choices" not in answer.content:
            return answer
        content = copy.deepcopy(answer.content)
        for message in (choice["message"] for choice in content["choices"]):
            if message.get("tool_calls"):
                message["tool_calls"].append(edit(copy.deepcopy(message["tool_calls"][0])))
        return replace(answer, content=content)

    return changing(change)


def unoffered(call: Json) -> Json:
    return {**call, "id": "call_2", "function": {**call["function"], "name": "nobody_offered_this"}}


def each_piece(edit: Callable[[Json, int], None]) -> Make:
    """Each piece of a streamed call is edited; it comes with the number of its chunk."""

    def edited(listed: list[Json]) -> list[Json]:
        for number, chunk in enumerate(listed):
            for choice in chunk["choices"]:
                for call in choice["delta"].get("tool_calls", ()):
                    edit(call, number)
        return listed

    return chunks(edited)


def new_id(call: Json, number: int) -> None:
    call["id"] = f"call_{number}"


def misspelt(call: Json, _: int) -> None:
    if call["function"].get("name"):
        call["function"]["name"] += "_"


def null_type(call: Json, _: int) -> None:
    if not call.get("id"):
        call["type"] = None


def spoken(listed: list[Json]) -> list[Json]:
    """Words in place of calls."""
    for choice in (choice for chunk in listed for choice in chunk["choices"]):
        if choice["delta"].pop("tool_calls", None):
            choice["delta"]["content"] = "Sunny. "
        choice["finish_reason"] = "stop" if choice["finish_reason"] else None
    return listed


def counted_on(listed: list[Json]) -> list[Json]:
    """Calls are counted from choice to choice."""
    for choice in (choice for chunk in listed for choice in chunk["choices"]):
        for call in choice["delta"].get("tool_calls", ()):
            call["index"] += choice["index"]
    return listed


def named_again(listed: list[Json]) -> list[Json]:
    """Each piece of a call in the older form has its name."""
    name = ""
    for choice in (choice for chunk in listed for choice in chunk["choices"]):
        call = choice["delta"].get("function_call")
        if call:
            name = call.get("name") or name
            call["name"] = name
    return listed


OLDER: dict[str, Json] = {"functions": [TOOL["function"]], "function_call": {"name": "count"}}
CALLS = streaming(**CALLING)
CALL_ROWS: tuple[Row, ...] = (
    (
        "chat-call-id-empty",
        "chat.tools.ids",
        "The id of a call is empty.",
        each_call(lambda call: {**call, "id": ""}),
        chatting(**CALLING),
    ),
    (
        "chat-call-id-same",
        "chat.tools.ids",
        "Two calls have the same id.",
        several_calls(dict),
        chatting(**CALLING),
    ),
    (
        "chat-call-unoffered",
        "chat.tools.ids",
        "Something is called that wasn't offered.",
        several_calls(unoffered),
        chatting(**CALLING),
    ),
    (
        "chat-arguments-nan",
        "chat.tools.arguments",
        "The arguments of a call have NaN.",
        each_call(lambda call: {**call, "function": {**call["function"], "arguments": '{"to": NaN}'}}),
        chatting(**CALLING),
    ),
    (
        "stream-call-id-anew",
        "chat.stream.tools",
        "Each piece of a call has an id of its own.",
        each_piece(new_id),
        CALLS,
    ),
    (
        "stream-call-unoffered",
        "chat.stream.tools",
        "The joined name of a call wasn't offered.",
        each_piece(misspelt),
        CALLS,
    ),
    (
        "stream-named-unheard",
        "chat.stream.tools",
        "In a stream a named tool isn't called.",
        chunks(spoken),
        CALLS,
    ),
    (
        "chat-arguments-key-twice",
        "chat.tools.arguments",
        "The arguments of a call have a key twice.",
        each_call(lambda call: {**call, "function": {**call["function"], "arguments": '{"a": 1, "a": 2}'}}),
        chatting(**CALLING),
    ),
    (
        "stream-calls-counted-on",
        "chat.stream.tools",
        "Calls are counted from choice to choice.",
        chunks(counted_on),
        streaming(**CALLING, n=2),
    ),
    (
        "stream-older-repeated",
        "chat.stream.tools",
        "Each piece of a call in the older form has its name.",
        chunks(named_again),
        streaming(**OLDER),
    ),
)


# Streams as the official Python client reads them


def framed(edit: Callable[[bytes], bytes]) -> Make:
    """The bytes of each stream are edited."""

    def spoil(_: Request, raw: Raw) -> Raw:
        streams = raw.headers.get("content-type") == "text/event-stream"
        return replace(raw, pieces=(edit(raw.body), b"")) if streams else raw

    return spoiling(spoil)


def with_error(listed: list[Json]) -> list[Json]:
    return [*listed[:-1], {**listed[-1], "error": {"message": "Upstream failed"}}]


def so_far(listed: list[Json]) -> list[Json]:
    """The text so far in each piece."""
    told: dict[int, str] = {}
    for choice in (choice for chunk in listed for choice in chunk["choices"]):
        if choice["delta"].get("content"):
            told[choice["index"]] = told.get(choice["index"], "") + choice["delta"]["content"]
            choice["delta"]["content"] = told[choice["index"]]
    return listed


def last_choice_first(listed: list[Json]) -> list[Json]:
    return sorted(listed, key=lambda chunk: -chunk["choices"][0]["index"] if chunk["choices"] else 1)


def float_index(chunk: Json) -> Json:
    return {**chunk, "choices": [{**part, "index": float(part["index"])} for part in chunk["choices"]]}


CLIENT_ROWS: tuple[Row, ...] = (
    (
        "stream-cumulative",
        "chat.stream.text",
        "Each piece has all of the text so far.",
        chunks(so_far),
        streaming(),
    ),
    (
        "stream-done-spaced",
        "chat.stream.readable",
        "Two spaces stand before [DONE].",
        framed(lambda body: body.replace(b"data: [DONE]", b"data:  [DONE]")),
        streaming(),
    ),
    (
        "stream-error-beside",
        "chat.stream.readable",
        "The last chunk has `error` beside its choices.",
        chunks(with_error),
        streaming(),
    ),
    (
        "stream-last-first",
        "chat.stream.readable",
        "The last choice is told first.",
        chunks(last_choice_first),
        streaming(n=2),
    ),
    (
        "stream-float-index",
        "chat.stream.readable",
        "The index of a choice is 0.0.",
        each_chunk(float_index),
        streaming(),
    ),
    (
        "stream-type-null",
        "chat.stream.readable",
        "Later pieces of a call have null for type.",
        each_piece(null_type),
        CALLS,
    ),
    (
        "stream-retry-in-the-middle",
        "chat.stream.readable",
        "A `retry:` stands alone between events.",
        framed(lambda body: body.replace(b"\n\n", b"\n\nretry: 100\n\n", 1)),
        streaming(),
    ),
)


# JSON as such

MARK = b"\xef\xbb\xbf"
INVALID = (post(JUDGE, {}), post(CHAT, {}))


def bytes_of(when: When, edit: Callable[[bytes], bytes], ok: bool = True) -> Make:
    """The bytes of successes are edited, or else those of errors."""

    def spoil(request: Request, raw: Raw) -> Raw:
        wrong = when(request) and (raw.status == 200) is ok
        return raw.says(edit(raw.body)) if wrong else raw

    return spoiling(spoil)


def first_twice(body: bytes) -> bytes:
    """The first member once more, at the end."""
    name, value = next(iter(json.loads(body).items()))
    return body[:-1] + f", {json.dumps(name)}: {json.dumps(value)}}}".encode()


def crashing(path: str, where: Callable[[bytes], bool]) -> Make:
    content = {"message": "Internal server error", "code": "INTERNAL_SERVER_ERROR"}
    return changing(
        lambda request, answer: (
            Answer(500, content) if request.path == path and where(request.body) else answer
        )
    )


def unread(path: str, odd: bytes) -> Make:
    """A body with some bytes is refused."""
    content = {"message": "Failed to parse request body", "code": "PARSE_ERROR"}
    return changing(
        lambda request, answer: (
            Answer(400, content) if request.path == path and odd in request.body else answer
        )
    )


def echoing(path: str) -> Make:
    """A number beyond a double is let through, and told as Infinity."""

    def spoil(request: Request, raw: Raw) -> Raw:
        odd = request.path == path and b"1e999" in request.body
        return replace(raw.says(b'{"seen": Infinity}'), status=200) if odd else raw

    return spoiling(spoil)


def odd(path: str, body: bytes) -> Request:
    return post(path, body)


JSON_ROWS: tuple[Row, ...] = (
    (
        "judge-key-twice",
        "judge.json.keys",
        "A judgement has its score twice.",
        bytes_of(at(JUDGE), first_twice),
        judging(),
    ),
    (
        "judge-error-key-twice",
        "judge.json.keys",
        "An error has its message twice.",
        bytes_of(at(JUDGE), first_twice, ok=False),
        INVALID[0],
    ),
    (
        "chat-key-twice",
        "chat.json.keys",
        "A message has its role twice.",
        bytes_of(at(CHAT), lambda body: body.replace(b'"role":', b'"role": "assistant", "role":', 1)),
        chatting(),
    ),
    (
        "stream-key-twice",
        "chat.json.keys",
        "A chunk has its id twice.",
        framed(lambda body: body.replace(b'{"id":', b'{"id": "", "id":')),
        streaming(),
    ),
    (
        "judgement-byte-order-mark",
        "judge.response.json",
        "A judgement begins with a byte order mark.",
        bytes_of(at(JUDGE), lambda body: MARK + body),
        judging(),
    ),
    (
        "chat-error-byte-order-mark",
        "chat.error.body",
        "An error begins with a byte order mark.",
        bytes_of(at(CHAT), lambda body: MARK + body, ok=False),
        INVALID[1],
    ),
    (
        "chat-beyond-a-double",
        "chat.response.json",
        "The time is beyond a double.",
        bytes_of(at(CHAT), lambda body: body.replace(b'"created": 1', b'"created": 1e999, "x": 1', 1)),
        chatting(),
    ),
    (
        "stream-chunk-byte-order-mark",
        "chat.stream.events",
        "Each chunk begins with a byte order mark.",
        framed(lambda body: body.replace(b"data: {", b"data: " + MARK + b"{")),
        streaming(),
    ),
    (
        "stream-beyond-a-double",
        "chat.stream.events",
        "The time of a chunk is beyond a double.",
        framed(lambda body: body.replace(b'"created": 1', b'"created": 1e999, "x": 1')),
        streaming(),
    ),
    (
        "judge-crashes-at-digits",
        "judge.no_5xx",
        "It crashes at a number of 5,000 digits.",
        crashing(JUDGE, lambda body: b"9" * 5000 in body),
        odd(JUDGE, b'{"x": ' + b"9" * 5000 + b"}"),
    ),
    (
        "chat-crashes-at-bytes",
        "chat.no_5xx",
        "It crashes at bytes that are no UTF-8.",
        crashing(CHAT, lambda body: b"\xe9" in body),
        odd(CHAT, b'{"x": "\xe9"}'),
    ),
    (
        "judge-reads-no-escapes",
        "judge.json.spelling",
        "A member whose name is escaped is not found.",
        unread(JUDGE, b"\\u0072ole"),
        replace(judging(), body=judging().body.replace(b'"role"', b'"\\u0072ole"')),
    ),
    (
        "chat-reads-one-line",
        "chat.json.spelling",
        "A body of several lines is refused.",
        unread(CHAT, b"\n"),
        replace(chatting(), body=chatting().body + b"\n"),
    ),
    (
        "judge-tells-infinity",
        "judge.errors.odd_json",
        "A number beyond a double comes back as Infinity.",
        echoing(JUDGE),
        odd(JUDGE, b'{"x": 1e999}'),
    ),
    (
        "chat-tells-infinity",
        "chat.errors.odd_json",
        "A number beyond a double comes back as Infinity.",
        echoing(CHAT),
        odd(CHAT, b'{"x": 1e999}'),
    ),
)


# The cache


@dataclass(frozen=True)
class Keeps:
    """How a server keeps completions: which modes read and write, under which key, what a hit becomes."""

    reads: tuple[str, ...] = ("readWrite", "readOnly", "true")
    writes: tuple[str, ...] = ("readWrite", "writeOnly", "true")
    key: Callable[[Request], Json] = lambda request: request.body
    judges: bool = True
    hit: Callable[[Json], Json] = dict


class Keeping(Reference):
    """A server whose completions differ from call to call, unless they are kept. Its judge is steady."""

    def __init__(self, habits: Habits, keeps: Keeps) -> None:
        super().__init__(habits)
        self.keeps, self.turns, self.turn = keeps, itertools.count(1), 0
        self.stored: dict[Json, tuple[int, Request]] = {}

    def salt(self) -> int:
        return self.turn

    def answer(self, request: Request) -> Answer:
        self.turn = 0
        if request.path != CHAT:
            return super().answer(request)
        mode, key = request.headers.get("op-cache", ""), self.keeps.key(request)
        known = self.stored.get(key) if mode in self.keeps.reads else None
        self.turn, asked = known or (next(self.turns), request)
        if mode in self.keeps.writes:
            self.stored[key] = (self.turn, asked)
        headers: Mapping[str, str] = request.headers if self.keeps.judges or not known else asked.headers
        answer = super().answer(replace(asked, headers=headers))
        hit = known and answer.status == 200 and answer.chunks is None
        return replace(answer, content=self.keeps.hit(copy.deepcopy(answer.content))) if hit else answer


def keeping(**how: Any) -> Make:
    return lambda habits: Keeping(habits, Keeps(**how))


def anew(content: Json) -> Json:
    return {**content, "id": f"{content['id']}-again"}


def otherwise(content: Json) -> Json:
    for choice in content["choices"]:
        choice["message"]["content"] = "Something else."
    return content


def without_n(request: Request) -> Json:
    return json.dumps({name: value for name, value in request.json().items() if name != "n"})


def with_whether_judged(request: Request) -> Json:
    return request.body, "op-criteria" in request.headers


CACHED = chatting({"op-cache": "readWrite"})
CACHE_ROWS: tuple[Row, ...] = (
    (
        "cache-by-model",
        "chat.cache.answers",
        "What is kept answers every request for the model.",
        keeping(key=lambda request: request.json().get("model")),
        CACHED,
    ),
    (
        "cache-without-n",
        "chat.cache.answers",
        "What is kept for one choice answers a request for two.",
        keeping(key=without_n),
        CACHED,
    ),
    (
        "cache-without-temperature",
        "chat.cache.answers",
        "What is kept for one temperature answers for another.",
        keeping(key=lambda request: json.dumps({**request.json(), "temperature": 1})),
        CACHED,
    ),
    (
        "cache-judged-once",
        "chat.cache.answers",
        "What is kept has the results that were asked for first.",
        keeping(key=with_whether_judged, judges=False),
        CACHED,
    ),
    (
        "cache-unjudged",
        "chat.cache.answers",
        "What is kept has no results.",
        keeping(judges=False),
        CACHED,
    ),
    ("cache-new-id", "chat.cache.answers", "A kept answer has a new id.", keeping(hit=anew), CACHED),
    (
        "cache-says-otherwise",
        "chat.cache.answers",
        "A kept answer says something else.",
        keeping(hit=otherwise),
        CACHED,
    ),
    (
        "cache-write-only-reads",
        "chat.cache.modes",
        "writeOnly reads.",
        keeping(reads=("readWrite", "readOnly", "writeOnly")),
        CACHED,
    ),
    (
        "cache-read-only-writes",
        "chat.cache.modes",
        "readOnly writes.",
        keeping(writes=("readWrite", "readOnly", "writeOnly")),
        CACHED,
    ),
    (
        "cache-write-only-forgets",
        "chat.cache.modes",
        "writeOnly keeps nothing.",
        keeping(writes=("readWrite",)),
        CACHED,
    ),
    (
        "cache-unasked",
        "chat.cache.modes",
        "What is kept answers requests without op-cache.",
        keeping(reads=("", "readWrite", "readOnly")),
        CACHED,
    ),
)


def mutants() -> Iterator[Mutant]:
    """All of this page."""
    for name, check, note, make, request in (
        *HTTP_ROWS,
        *CALL_ROWS,
        *CLIENT_ROWS,
        *JSON_ROWS,
        *CACHE_ROWS,
    ):
        yield Mutant(name, check, note, make, request, tries=2 if check.endswith(".kept") else 1)
