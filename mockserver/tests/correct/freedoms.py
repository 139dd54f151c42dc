"""What a correct server may decide this way or that way, and a server that takes each freedom.

Each has one of three proofs: a check that reports it in a default run and fails nothing, a habit of a
reference server, or what comes over the wire.
"""

import http.client
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

Json = Any
JUDGED = {"criterion_id": "criterion-1", "output": {"role": "assistant", "content": "1, 2, 3"}}
ASKED = {"model": "reference", "messages": [{"role": "user", "content": "Count to 3."}], "n": 3}

PICTURE = {"type": "image_url", "image_url": {"url": "https://contract.test/picture.png"}}
PICTURED = [{"role": "user", "content": [PICTURE]}]


@dataclass(frozen=True)
class Answer:
    """An answer as it came: pairs of header names and values, and the body as it was sent."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str:
        return next((value for key, value in self.headers if key.lower() == name), "")


class Wire:
    """Asks a server over a bare connection. `headers` go with each request, a key by default."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.host, self.port, self.base = parts.hostname or "", parts.port, parts.path

    def ask(self, path: str, body: Json, method: str = "POST", **headers: str) -> Answer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        sent = {"content-type": "application/json", "authorization": "Bearer op-reference", **named}
        with closing(http.client.HTTPConnection(self.host, self.port, timeout=20)) as client:
            client.request(method, self.base + path, json.dumps(body), sent)
            response = client.getresponse()
            return Answer(response.status, tuple(response.getheaders()), response.read())

    def judge(self, **members: Json) -> Answer:
        return self.ask("/criteria/judge", {**JUDGED, **members})

    def chat(self, *, op_criteria: str = "", **members: Json) -> Answer:
        headers = {"op_criteria": op_criteria} if op_criteria else {}
        return self.ask("/chat/completions", {**ASKED, **members}, **headers)


Shows = Callable[[Wire], bool]


@dataclass(frozen=True)
class Freedom:
    """One freedom, a server that takes it, and one of three proofs.

    reported  the check that tells of it in a default run
    habit     the name and value of a reference server's habit
    shows     whether it comes over the wire
    """

    says: str
    server: str
    reported: str = ""
    habit: Sequence[Any] = ()
    shows: Shows | None = None


def results(wire: Wire, criteria: str) -> Json:
    """The results of the first choice."""
    return json.loads(wire.chat(op_criteria=criteria).body)["choices"][0]["criteria_results"]


REPORTED: Mapping[str, tuple[tuple[str, str], ...]] = {
    "plain-starlette": (
        ("The judge strips unknown properties.", "judge.rejects.JudgeCriteriaRequest.additionalProperties"),
        ("Chat takes what the clients' types forbid.", "chat.rejects.ChatCompletionRequest.enum"),
        ("Any key is taken.", "judge.errors.wrong_key"),
        ("Chat takes a request without a key.", "chat.errors.missing_key"),
        ("Any criterion exists.", "judge.errors.unknown_criterion"),
        ("Any model exists.", "chat.errors.unknown_model"),
        ("An unknown criterion of a choice gets a score.", "criteria.unknown"),
        ("An id of no known form is judged.", "judge.errors.unreadable_criterion"),
        ("A malformed op-criteria is ignored.", "criteria.malformed"),
        ("Choices have results though nobody asks.", "criteria.results.unasked"),
        ("`include_usage` is not honoured.", "chat.stream.usage"),
        ("A stream is answered in spite of `op-cache`.", "chat.cache.streamed"),
        ("`max_tokens` is not honoured.", "chat.choices.cut"),
        ("The call of a named tool ends with `stop`.", "chat.choices.finish"),
        ("An answer in JSON breaks the schema that was asked for.", "chat.json_schema.kept"),
        ("Bodies of any content type are read.", "judge.errors.content_type"),
        ("Errors of chat have no `error`.", "chat.error.detail"),
        ("`stop` is not honoured.", "chat.stop"),
        ("`logprobs` is not honoured.", "chat.logprobs"),
    ),
    "open-fake": (("Scalars at the top are coerced.", "judge.rejects.JudgeCriteriaRequest.type"),),
    "node": (
        ("Null for an optional member of a chat request is refused.", "chat.accepts.temperature.null"),
        ("Null for a member that the judge doesn't know is refused.", "judge.accepts_dumped_message"),
        ("Criteria with a stream are ignored, or sort it.", "criteria.streamed"),
    ),
    "like-the-service": (("Unheard-of values of op-cache are ignored.", "chat.rejects.OpCache.enum"),),
    "terse": (
        (
            "Two versions of one criterion share a key.",
            "criteria.results.two_versions",
        ),
    ),
    "hand-made": (
        ("The same request gets another score.", "judge.same_again"),
        ("The same request gets another answer.", "chat.same_again"),
        ("A stream says something else than the plain answer.", "chat.stream.same"),
        ("Criteria judge unlike the judge endpoint.", "criteria.agree"),
        ("The answer names another model, as a snapshot.", "chat.model"),
        ("Token counts don't add up.", "chat.usage.sum"),
        ("Each chunk has the role.", "chat.stream.role"),
        ("Issues say where.", "judge.error.issues_closed"),
        ("A method that nobody sends is answered 501.", "judge.no_5xx"),
    ),
    "behind-a-proxy": (
        ("A wrong method or path gets an error in another form.", "errors.unknown_path"),
        ("Long texts are refused.", "judge.limits.length"),
    ),
}
"""Server → freedoms, each with the check that reports it in a default run and fails nothing."""
HABITS: Mapping[str, tuple[tuple[str, str, Any], ...]] = {
    "like-the-service": (
        ("Scores are summed.", "combined", "sum"),
        ("An errored result counts its own score.", "errored", "score"),
        ("A wrong method is answered 404.", "wrong_method", 404),
        ("The server is busy now and then.", "busy_every", 90),
    ),
    "terse": (
        ("The mean of scores is taken.", "combined", "mean"),
        ("A wrong key is answered 403.", "wrong_key", 403),
    ),
    "plain": (
        ("An errored result counts 0.", "errored", "zero"),
        ("Choices are numbered anew when they are sorted.", "index", "renumbered"),
        ("An unknown criterion fails the whole request.", "unknown_criterion", "fails"),
    ),
    "one-model-behind": (("Scores are multiplied.", "combined", "product"),),
    "always-judging": (("The least score counts.", "combined", "least"),),
    "reward-models": (
        ("Choices keep their index when they are sorted.", "index", "kept"),
        ("Criteria are reward models: usage and no explanation.", "reward", True),
        ("An unknown criterion or model is answered 400.", "not_found", 400),
    ),
    "behind-a-gateway": (("A body is validated before the key is looked at.", "key_first", False),),
    "open-fake": (("A tool that is offered is called unasked.", "eager_tools", True),),
}
"""Reference server → freedoms, each with the name and value of its habit."""


def streamed(wire: Wire) -> bytes:
    return wire.chat(stream=True).body


def cached(wire: Wire) -> str:
    return str(json.loads(wire.ask("/chat/completions", ASKED, op_cache="readWrite").body)["id"])


ON_THE_WIRE: Mapping[str, tuple[tuple[str, Shows], ...]] = {
    "node": (
        ("Scores are 0 or 1.", lambda wire: json.loads(wire.judge().body)["score"] in (0, 1)),
        (
            "An unknown criterion of a choice is an errored result.",
            lambda wire: results(wire, '["nobody-knows-this"]')["nobody-knows-this"]["status"] == "error",
        ),
        ("What is invalid is answered 422.", lambda wire: wire.judge(output=7).status == 422),
        ("Chat reads neither images nor audio.", lambda wire: wire.chat(messages=PICTURED).status == 400),
        ("Answers have no usage.", lambda wire: "usage" not in json.loads(wire.chat().body)),
        (
            "The content type has a charset, in any case.",
            lambda wire: wire.judge().header("content-type") == "application/json; charset=UTF-8",
        ),
        ("Lines of a stream end with CRLF.", lambda wire: b"}\r\n\r\n" in streamed(wire)),
        ("Events have ids beside their data.", lambda wire: b"id: 0\r\ndata: {" in streamed(wire)),
    ),
    "plain-starlette": (
        ("A judgement has no explanation.", lambda wire: json.loads(wire.judge().body).keys() == {"score"}),
        (
            "Answers have members that no type names.",
            lambda wire: "service_tier" in json.loads(wire.chat().body),
        ),
        ("A stream ends with [DONE].", lambda wire: streamed(wire).endswith(b"[DONE]\n\n")),
        ("A cached answer has the same id.", lambda wire: len({cached(wire) for _ in range(2)}) == 1),
    ),
    "hand-made": (
        (
            "An errored result has a score, and isn't counted.",
            lambda wire: any(
                each["status"] == "error" and "score" in each
                for _ in range(30)
                for each in results(wire, '["criterion-1", "criterion-2"]').values()
            ),
        ),
        ("HEAD is answered 204.", lambda wire: wire.ask("/criteria/judge", None, "HEAD").status == 204),
        ("A stream ends without [DONE].", lambda wire: b"[DONE]" not in streamed(wire)),
        ("Lines of a stream end with CR alone.", lambda wire: b"\n" not in streamed(wire)),
        ("A stream has comment lines.", lambda wire: streamed(wire).startswith(b": a hand-made")),
        ("Events have their data in several lines.", lambda wire: b",\rdata:" in streamed(wire)),
        ("No space follows `data:`.", lambda wire: b"data: " not in streamed(wire)),
        ("A chunk has no choices.", lambda wire: b'"choices": []' in streamed(wire)),
        (
            "Each connection is closed, and that ends the answer.",
            lambda wire: {name for name, _ in wire.judge().headers} == {"Content-TYPE", "connection"},
        ),
    ),
    "behind-a-proxy": (
        ("Answers are compressed.", lambda wire: wire.judge().header("content-encoding") == "gzip"),
        (
            "Answers are chunked and have no length.",
            lambda wire: wire.judge().header("transfer-encoding") == "chunked",
        ),
        ("Header names are in capitals.", lambda wire: "CONTENT-TYPE" in dict(wire.judge().headers)),
    ),
}
"""Server → freedoms, each with what shows it over the wire."""
FREEDOMS: tuple[Freedom, ...] = (
    *(Freedom(says, server, reported=check) for server, rows in REPORTED.items() for says, check in rows),
    *(Freedom(says, server, habit=habit) for server, rows in HABITS.items() for says, *habit in rows),
    *(Freedom(says, server, shows=shows) for server, rows in ON_THE_WIRE.items() for says, shows in rows),
)
TABLE: Mapping[str, str] = {freedom.says: freedom.server for freedom in FREEDOMS}
"""Freedom → a server that takes it, as docs/contract.md lists them."""


def table() -> str:
    """The rows of the table in docs/contract.md."""
    return "".join(f"| {says} | `{server}` |\n" for says, server in TABLE.items())
