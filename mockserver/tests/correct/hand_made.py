"""A correct server on a bare socket: its HTTP, its streams and its moods are made by hand.

It closes each connection, writes header names as it likes, cuts streams anywhere, ends lines with CR alone,
and says something else each time.
"""

import itertools
import json
import random
import socketserver
from typing import Any

import jsonschema_rs

Json = Any
KEY = "op-reference"
ADVICE = {400: "BAD_REQUEST", 401: "UNAUTHORIZED", 404: "NOT_FOUND"}
CRITERIA = ("criterion-1", "criterion-2")
MODELS = ("reference",)


class Refused(Exception):
    def __init__(self, status: int, message: str, path: list[str] | None = None) -> None:
        super().__init__(message)
        self.status, self.path = status, path


def without_nulls(value: Json) -> Json:
    if isinstance(value, dict):
        return {name: without_nulls(part) for name, part in value.items() if part is not None}
    return [without_nulls(part) for part in value] if isinstance(value, list) else value


class Handler(socketserver.StreamRequestHandler):
    """One request and its answer."""

    server: "HandMade"
    disable_nagle_algorithm = True  # else each small piece waits for the last one to be acknowledged

    def handle(self) -> None:
        try:
            line, headers, body = self.read()
        except (ValueError, OSError):
            return
        method, path, _ = line.split(" ")
        try:
            if method == "HEAD":
                self.write("204", {}, b"")
            elif method != "POST":
                self.write("501", {"CONTENT-type": "text/plain"}, b"POST is all there is")
            elif path not in ("/api/v1/criteria/judge", "/api/v1/chat/completions"):
                raise Refused(404, "Not found")
            else:
                self.answer(path, headers, body)
        except Refused as refused:
            self.write(str(refused.status), {"CONTENT-type": "application/json"}, self.error(path, refused))

    def read(self) -> tuple[str, dict[str, str], bytes]:
        line = self.rfile.readline().decode("latin-1").strip()
        headers = {}
        while field := self.rfile.readline().decode("latin-1").strip():
            name, _, value = field.partition(":")
            headers[name.lower()] = value.strip()
        return line, headers, self.rfile.read(int(headers.get("content-length", "0")))

    def write(self, status: str, headers: dict[str, str], body: bytes) -> None:
        """An answer without a reason phrase and without a length: it ends with the connection."""
        head = "".join(f"{name}:{value}\r\n" for name, value in {**headers, "connection": "close"}.items())
        self.wfile.write(f"HTTP/1.1 {status} \r\n{head}\r\n".encode() + body)

    def error(self, path: str, refused: Refused) -> bytes:
        told: Json = {"message": str(refused), "code": ADVICE[refused.status]}
        if refused.path is not None:
            told["issues"] = [{"message": str(refused), "path": refused.path}]
        if path.endswith("completions"):
            told["error"] = {**told, "type": "invalid_request_error", "param": None}
        return json.dumps(told, indent=2).encode()

    def answer(self, path: str, headers: dict[str, str], body: bytes) -> None:
        if headers.get("authorization") != f"Bearer {KEY}":
            raise Refused(401, "This key is unknown")
        name = "JudgeCriteriaRequest" if path.endswith("judge") else "ChatCompletionRequest"
        value = self.server.valid(name, body)
        if name == "JudgeCriteriaRequest":
            self.server.known(value["criterion_id"])
            self.send({"score": float(next(self.server.turns) % 2), "usage": {"total_tokens": 5}})
        else:
            self.complete(value, self.server.asked(headers))

    def send(self, value: Json) -> None:
        text = json.dumps(value, indent=1, ensure_ascii=False).encode()
        self.write("200", {"Content-TYPE": "application/json;charset=utf-8"}, text)

    def complete(self, body: Json, asked: list[str]) -> None:
        if body["model"] not in MODELS:
            raise Refused(404, f"The model `{body['model']}` does not exist")
        if body.get("stream") and asked:
            raise Refused(400, "A stream can't be sorted")
        answer = self.server.completion(body)
        if body.get("stream"):
            self.stream(answer)
            return
        for choice in answer["choices"] if asked else ():
            choice["criteria_results"] = {each.partition("@")[0]: self.server.result() for each in asked}
        answer["choices"].sort(key=mean, reverse=True)
        self.send(answer)

    def stream(self, answer: Json) -> None:
        """Choices in turn, chunks of 7 bytes, CR alone, data in two lines, comments, and no [DONE]."""
        head = {
            **{name: answer[name] for name in ("id", "created", "model")},
            "object": "chat.completion.chunk",
        }
        told = [{**head, "choices": [], "prompt_filter_results": []}]
        by_choice = [[*pieces(choice)] for choice in answer["choices"]]
        for parts in itertools.zip_longest(*by_choice):
            told += [{**head, "choices": [part], "usage": None} for part in parts if part]
        text = ": a hand-made stream\r\r"
        for chunk in told:
            first, second = json.dumps(chunk, ensure_ascii=False).split(", ", 1)
            text += f"data:{first},\rdata:{second}\r\r"
        self.wfile.write(
            b"HTTP/1.1 200 \r\ncontent-TYPE:text/event-stream\r\ntransfer-encoding:chunked\r\n"
            b"cache-control:no-cache\r\nconnection:close\r\n\r\n"
        )
        raw = text.encode()
        for start in range(0, len(raw), 7):
            piece = raw[start : start + 7]
            self.wfile.write(b"%x;made=by-hand\r\n%s\r\n" % (len(piece), piece))
        self.wfile.write(b"0\r\n\r\n")


def pieces(choice: Json) -> Any:
    """The parts of a choice's chunks; each has the role, the last one the finish reason beside its text."""
    said = choice["message"]
    deltas = [{"content": word} for word in (said.get("content") or "").split("_") if word]
    for index, call in enumerate(said.get("tool_calls", ())):
        deltas.append({"tool_calls": [{**call, "index": index}]})
    if "function_call" in said:
        deltas.append({"function_call": said["function_call"]})
    for place, delta in enumerate(deltas, start=1):
        reason = choice["finish_reason"] if place == len(deltas) else None
        yield {"index": choice["index"], "delta": {"role": "assistant", **delta}, "finish_reason": reason}


def said(reason: str, **members: Json) -> Json:
    return {"message": {"role": "assistant", **members}, "finish_reason": reason}


def mean(choice: Json) -> float:
    """The mean of the scores, errored results left out."""
    found = choice.get("criteria_results", {}).values()
    scores = [each["score"] for each in found if each["status"] == "success"]
    return sum(scores) / len(scores) if scores else 0.0


class HandMade(socketserver.ThreadingTCPServer):
    """The server. `document` is the contract as data."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, document: Json) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.random = random.Random(7)
        self.turns = itertools.count()  # the next score differs, where chance may repeat the last
        self.validators = {
            name: jsonschema_rs.validator_for({**document, "$ref": f"#/components/schemas/{name}"})
            for name in ("JudgeCriteriaRequest", "ChatCompletionRequest")
        }

    def valid(self, name: str, body: bytes) -> Json:
        """The body, read strictly; null counts as absent where the contract has no null."""
        try:
            value = json.loads(body.decode())
        except (ValueError, RecursionError):
            raise Refused(400, "That is no JSON") from None
        for tried in (value, without_nulls(value)):
            if self.validators[name].is_valid(tried):
                return tried
        error = next(iter(self.validators[name].iter_errors(value)))
        raise Refused(400, "Input validation failed", [str(step) for step in error.instance_path])

    def known(self, criterion: str) -> None:
        name, at, version = criterion.partition("@")
        if name not in CRITERIA or (at and version not in ("v1", "v2")):
            raise Refused(400, f"Criterion {name} not found")

    def asked(self, headers: dict[str, str]) -> list[str]:
        try:
            found = json.loads(headers.get("op-criteria", "[]"))
        except ValueError:
            found = None
        if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
            raise Refused(400, "op-criteria is no list")
        for each in found:
            self.known(each)
        return found

    def result(self) -> Json:
        if self.random.random() < 0.2:
            return {"status": "error", "errorCode": 500.0, "errorMessage": "No mood", "score": 1}
        return {"status": "success", "score": round(self.random.random(), 3), "explanation": "Felt so."}

    def completion(self, body: Json) -> Json:
        number = int(body.get("n") or 1)
        choices = [{"index": index, **self.choice(body)} for index in range(number)]
        identity = f"{self.random.getrandbits(64):x}"
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 9}
        made = {"id": identity, "object": "chat.completion", "created": self.random.randrange(2**31)}
        return {**made, "model": "reference-2025-01-01", "choices": choices, "usage": usage}

    def choice(self, body: Json) -> Json:
        choice, older, words = body.get("tool_choice"), body.get("function_call"), self.words(body)
        if body.get("tools") and (choice == "required" or isinstance(choice, dict)):
            name = choice.get("function", {}).get("name") if isinstance(choice, dict) else None
            function = {"name": name or body["tools"][-1]["function"]["name"], "arguments": "{}"}
            calls = [{"id": f"call_{self.random.getrandbits(30)}", "type": "function", "function": function}]
            return said("tool_calls", content="", tool_calls=calls)
        if isinstance(older, dict):
            call = {"name": older["name"], "arguments": "{}"}
            return said("stop", content="", function_call=call)
        return {**said("stop", content=words), "logprobs": None}

    def words(self, body: Json) -> str:
        if (body.get("response_format") or {}).get("type", "text") != "text":
            return json.dumps(
                {"prime": self.random.choice((2, 3, 5, 7)), "said": "ünheard-öf"}, ensure_ascii=False
            )
        return "_".join(self.random.choices(("grün", "🙂", "五", "words"), k=8)) + "_."
