"""A correct server of its own making: it shares no line with the mock's engines, so none of their bugs."""

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import formatdate
from fractions import Fraction
from functools import partial
from time import time
from typing import Any

from openpipe_mock.openapi.spec import Checker, contract
from tests.reference import speech
from tests.reference.habits import Habits
from tests.reference.http import (
    CHAT,
    JUDGE,
    Answer,
    Event,
    Raw,
    Receive,
    Request,
    Send,
    raw,
    received,
    sent,
)

Json = Any
Change = Callable[[Request, Answer], Answer]
Spoil = Callable[[Request, Raw], Raw]

KEY = "op-reference"
MODELS = ("reference", "openpipe:reference")
CRITERIA: Mapping[str, int] = {"criterion-1": 2, "criterion-2": 1, "criterion-3": 1}
"""Criterion → its latest version."""

HEADERS: Mapping[str, str] = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
SCHEMAS = {JUDGE: "JudgeCriteriaRequest", CHAT: "ChatCompletionRequest"}
CACHES = ("readWrite", "readOnly", "writeOnly", "true")
REFERENCE = re.compile(r"([^@\s]+)(?:@v([1-9][0-9]{0,8}))?")
MOST_LEVELS = 150


def is_tags(text: str) -> bool:
    """Whether a header is a JSON object of strings, numbers, booleans and nulls."""
    try:
        tags = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(tags, dict) and not any(isinstance(tag, dict | list) for tag in tags.values())


HEADER_RULES: Mapping[str, Callable[[str], bool]] = {
    "op-cache": lambda text: text in ("readWrite", "readOnly", "writeOnly", "true", "false"),
    "op-log-request": lambda text: text in ("true", "false"),
    "op-tags": is_tags,
}
CODES = {
    400: "BAD_REQUEST",
    401: "UNAUTHORIZED",
    403: "FORBIDDEN",
    404: "NOT_FOUND",
    405: "METHOD_NOT_SUPPORTED",
    413: "PAYLOAD_TOO_LARGE",
    422: "UNPROCESSABLE_CONTENT",
    429: "TOO_MANY_REQUESTS",
    500: "INTERNAL_SERVER_ERROR",
    503: "SERVICE_UNAVAILABLE",
}


class Refused(Exception):
    """A request that is answered by an error; `problems` are pairs of pointer and sentence."""

    def __init__(
        self, status: int, message: str, *, code: str = "", problems: list[tuple[str, str]] | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.message = status, message
        self.code = code or CODES[status]
        self.problems = problems or []
        self.headers: dict[str, str] = {}


@dataclass(frozen=True, slots=True)
class Criterion:
    """A criterion as it was asked for, and its version."""

    asked: str
    name: str
    version: int


class Reference:
    """A server with these habits, as an ASGI application.

    It can be made to break the contract: by the `document` that it holds requests against, by a `change` of
    what it answers, by what `spoil` does to the bytes.
    """

    def __init__(
        self,
        habits: Habits | None = None,
        *,
        document: Json = None,
        change: Change | None = None,
        spoil: Spoil | None = None,
    ) -> None:
        self.habits = habits or Habits()
        checker = partial(Checker, document=document) if document else contract().checker
        self.checkers = {path: checker(name) for path, name in SCHEMAS.items()}
        self.change, self.spoil = change, spoil
        self.count = 0

    async def __call__(self, scope: Event, receive: Receive, send: Send) -> None:
        request = await received(scope, receive)
        await sent(self.reply(request), send, request.method)

    def reply(self, request: Request) -> Raw:
        """The bytes that answer a request."""
        answer = self.answer(request)
        if self.change:
            answer = self.change(request, answer)
        made = raw(answer, self.habits)
        return self.spoil(request, made) if self.spoil else made

    def answer(self, request: Request) -> Answer:
        """The answer to a request."""
        self.count += 1
        try:
            self.check_load()
            self.check_path(request)
            if request.method == "HEAD":
                return Answer(204)
            if self.habits.key_first:
                self.check_key(request)
            body = self.body(request)
            self.check_key(request)
            return self.judged(body) if request.path == JUDGE else self.completed(body, request)
        except Refused as refused:
            return Answer(refused.status, self.error(refused, request.path), refused.headers)

    def error(self, refused: Refused, path: str) -> Json:
        """The body of an error."""
        content: Json = {"message": refused.message, "code": refused.code}
        if refused.problems and self.habits.issues != "none":
            content["issues"] = [self.issue(*problem) for problem in refused.problems]
        if path == CHAT and self.habits.error_member:
            content["error"] = {"code": refused.code, "message": refused.message}
        return content

    def issue(self, pointer: str, sentence: str) -> Json:
        path = [step for step in pointer.split("/") if step]
        extra = {"path": path, "code": "invalid_type"} if self.habits.issues == "path" else {}
        return {"message": f"{pointer or 'body'}: {sentence}", **extra}

    # What must hold before a request is answered

    def check_load(self) -> None:
        every = self.habits.busy_every
        if self.count <= self.habits.warming:
            raise self.later(503, "No capacity yet")
        if every and self.count % every == 0:
            raise self.later(429, "Too many requests")

    def later(self, status: int, message: str) -> Refused:
        """A refusal that says when to come again."""
        refused = Refused(status, message)
        dated = self.habits.retry_after == "date"
        refused.headers["retry-after"] = formatdate(time() + 1, usegmt=True) if dated else "1"
        return refused

    def check_path(self, request: Request) -> None:
        if request.method == "HEAD" and self.habits.head == "204":
            return
        if request.path not in SCHEMAS:
            raise Refused(404, "Not found")
        if request.method != "POST":
            refused = Refused(self.habits.wrong_method, f"{request.method} is not served here")
            if refused.status == 405:
                refused.headers["allow"] = "POST"
            raise refused

    def check_key(self, request: Request) -> None:
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        taken = key.strip() == KEY or (bool(key.strip()) and self.habits.keys == "any")
        if scheme.lower() != "bearer" or not taken:
            refused = Refused(401 if not key else self.habits.wrong_key, "This needs an API key that exists")
            if refused.status == 401:
                refused.headers["www-authenticate"] = "Bearer"
            raise refused

    def body(self, request: Request) -> Json:
        """The body, parsed and valid."""
        habits, checker = self.habits, self.checkers[request.path]
        if habits.most_bytes and len(request.body) > habits.most_bytes:
            raise Refused(413, "Request body too large")
        content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if not habits.any_content_type and not re.fullmatch(r"application/([\w.-]+\+)?json", content_type):
            raise Refused(habits.invalid, "The content type must be application/json")
        body = self.parsed(request.body)
        if request.path == CHAT and not habits.chat_takes_null and None in getattr(body, "values", list)():
            raise Refused(habits.invalid, "A member is null; leave it out")
        if habits.coerces:
            body = checker.coerced(body)
        if habits.null_is_absent or habits.unknown == "stripped":
            body = checker.tidy(body, unknown=habits.unknown == "stripped")
        if not checker.is_valid(body) and not self.is_a_matter_of_n(checker, body):
            found = [(violation.pointer, violation.sentence) for violation in checker.violations(body)]
            raise Refused(habits.invalid, "Input validation failed", problems=found[:20])
        return body

    def is_a_matter_of_n(self, checker: Checker, body: Json) -> bool:
        """Whether only the bounds of `n`, which are nobody's but the mock's, stand against a body."""
        number = body.get("n") if isinstance(body, dict) else None
        if self.habits.bounds_n or not isinstance(number, int | float) or not 0 <= number <= 1000:
            return False
        return checker.is_valid({**body, "n": 1})

    def parsed(self, body: bytes) -> Json:
        """The body as JSON, read as its standard says."""
        try:
            value = json.loads(body.decode(), parse_constant=forbidden, parse_float=finite)
            json.dumps(value, ensure_ascii=False).encode()  # fails for half a surrogate pair
            if levels(value) > MOST_LEVELS:
                raise RecursionError
        except (ValueError, RecursionError) as error:
            message = f"Failed to parse request body: {type(error).__name__}"
            raise Refused(self.habits.invalid, message, code="PARSE_ERROR") from None
        return value

    # Judging

    def criterion(self, reference: str) -> Criterion:
        """The criterion that `name` or `name@vN` names."""
        match = REFERENCE.fullmatch(reference)
        name, version = (match[1], int(match[2] or 0)) if match else (reference, 0)
        latest = CRITERIA.get(name, 0 if self.habits.closed else 1)
        if not match or not latest:
            raise Refused(self.habits.not_found, f"Criterion {name} not found")
        if self.habits.closed and version > latest:
            raise Refused(
                self.habits.not_found, f"Criterion version v{version} not found for criterion {name}"
            )
        return Criterion(reference, name, version or latest)

    def score(self, criterion: Criterion, scene: Json, output: Json) -> int:
        """A score in hundredths, drawn by all that a judge sees."""
        seen = [scene.get(name) for name in ("messages", "tools", "tool_choice")]
        lot = speech.drawn(
            self.salt(), criterion.name, criterion.version, without_nulls(seen), without_nulls(output)
        )
        return 100 * (lot % 2) if self.habits.binary else lot % 101

    def salt(self) -> int:
        return self.count if self.habits.unstable else 0

    def judgement(self, criterion: Criterion, hundredths: int) -> Json:
        """A judgement as both endpoints tell it."""
        told: Json = {"score": hundredths // 100 if self.habits.binary else hundredths / 100}
        if self.habits.explanation and not self.habits.reward:
            told["explanation"] = f"{criterion.name} gives {hundredths} of 100."
        return told

    def judged(self, body: Json) -> Answer:
        """`POST /criteria/judge`."""
        criterion = self.criterion(str(body.get("criterion_id")))
        hundredths = self.score(criterion, body.get("input") or {}, body.get("output"))
        usage = {"usage": {"total_tokens": 140}} if self.habits.reward else {}
        return Answer(200, {**self.judgement(criterion, hundredths), **usage})

    # Completing

    def completed(self, body: Json, request: Request) -> Answer:
        """`POST /chat/completions`."""
        model = str(body.get("model"))
        if self.habits.closed and model not in MODELS:
            raise Refused(self.habits.not_found, f"The model `{model}` does not exist")
        self.check_headers(request.headers)
        asked, streams = self.asked(request), bool(body.get("stream"))
        if asked and streams and self.habits.criteria_in_stream == "refused":
            raise Refused(self.habits.invalid, "Cannot use criteria with stream")
        if streams and self.habits.cache_in_stream == "refused" and request.headers.get("op-cache") in CACHES:
            raise Refused(self.habits.invalid, "Cannot use cache with stream")
        completion = self.completion(body, model)
        if streams and self.habits.criteria_in_stream != "sorted":
            asked = {}
        elif self.habits.unasked and not asked:
            asked = {"house-rules": Criterion("house-rules", "house-rules", 1)}
        if asked:
            self.sort(completion, body, asked)
        if streams:
            return Answer(200, chunks=tuple(speech.chunks(completion, body, self.habits)))
        return Answer(200, completion)

    def check_headers(self, headers: Mapping[str, str]) -> None:
        for name, is_right in HEADER_RULES.items():
            if self.habits.odd_headers == "refused" and name in headers and not is_right(headers[name]):
                raise Refused(self.habits.invalid, f"{name} is none of those that are known")

    def asked(self, request: Request) -> dict[str, Criterion | Refused]:
        """The criteria that `op-criteria` asks for, by the keys of their results."""
        try:
            header = request.headers.get("op-criteria", "[]").encode("latin-1").decode()
            references = json.loads(header)
        except (ValueError, RecursionError):
            references = None
        if not isinstance(references, list) or not all(isinstance(each, str) for each in references):
            raise Refused(self.habits.invalid, "op-criteria must be a JSON array of strings")
        return self.keyed([self.known(reference) for reference in dict.fromkeys(references)])

    def known(self, reference: str) -> tuple[str, Criterion | Refused]:
        try:
            return reference, self.criterion(reference)
        except Refused as refused:
            if self.habits.unknown_criterion == "fails":
                raise
            return reference, refused

    def keyed(self, asked: list[tuple[str, Criterion | Refused]]) -> dict[str, Criterion | Refused]:
        """Criteria under the keys of their results: names without version, where that is clear."""
        names: dict[str, set[str]] = {}
        for reference, found in asked:
            names.setdefault(reference.partition("@")[0], set()).add(versioned(reference, found))
        keyed = {}
        for reference, found in asked:
            name = reference.partition("@")[0]
            longer = versioned(reference, found) if self.habits.two_versions == "versioned" else reference
            clear = len(names[name]) == 1 or self.habits.two_versions == "merged"
            keyed[name if clear else longer] = found
        return keyed

    def completion(self, body: Json, model: str) -> Json:
        """A completion with its choices, unsorted."""
        habits, salt = self.habits, self.salt()
        identity = speech.drawn({name: body[name] for name in body if not name.startswith("stream")}, salt)
        number = max(1, int(body.get("n") or 1))
        made: Json = {
            "id": f"chatcmpl-{identity % 16**20:020x}",
            "object": "chat.completion",
            "created": 1_735_689_600 + salt,
            "model": f"{model}-2025-01-01" if habits.snapshot else model,
            "choices": [self.choice(body, salt, index) for index in range(number)],
        }
        if habits.usage:
            made["usage"] = speech.completion_usage(made, body)
        return {**made, "system_fingerprint": "fp_1", "service_tier": "default"} if habits.extras else made

    def choice(self, body: Json, salt: int, index: int) -> Json:
        message, finish_reason = speech.message(body, self.habits, salt, index)
        if self.habits.extras:
            message |= {"annotations": [], "audio": None}
        choice = {"index": index, "message": message, "finish_reason": finish_reason}
        if body.get("logprobs"):
            return {**choice, "logprobs": speech.logprobs(message, body)}
        return {**choice, "logprobs": None} if self.habits.nulls else choice

    def sort(self, completion: Json, body: Json, asked: dict[str, Criterion | Refused]) -> None:
        """Judge a completion's choices and put the best first."""
        choices = completion["choices"]
        for choice in choices:
            choice["criteria_results"] = {
                key: self.result(found, body, choice["message"]) for key, found in asked.items()
            }
        choices.sort(key=self.total, reverse=True)
        if self.habits.index == "renumbered":
            for index, choice in enumerate(choices):
                choice["index"] = index
        if self.habits.reward and self.habits.usage:
            completion["usage"]["criteria"] = {key: {"total_tokens": 140 * len(choices)} for key in asked}

    def result(self, found: Criterion | Refused, body: Json, message: Json) -> Json:
        """What one criterion makes of one choice."""
        if isinstance(found, Refused):
            return {"status": "error", "errorCode": found.status, "errorMessage": found.message}
        seen = {name: message[name] for name in message if name not in ("annotations", "audio")}
        hundredths = self.score(found, body, seen)
        if self.habits.failing and speech.drawn("fails", found.name, seen) % self.habits.failing == 0:
            error = {"status": "error", "errorCode": 500, "errorMessage": "The judge gave no answer."}
            return {**error, "score": hundredths / 100} if self.habits.failed_score else error
        return {"status": "success", **self.judgement(found, hundredths)}

    def total(self, choice: Json) -> Fraction:
        """The combined score of a choice."""
        results = choice["criteria_results"].values()
        counted = [result for result in results if result["status"] == "success"]
        if self.habits.errored == "score":
            counted = [result for result in results if "score" in result]
        scores = [Fraction(round(100 * result["score"]), 100) for result in counted]
        if self.habits.combined in ("product", "least"):
            lacking = len(results) - len(scores) if self.habits.errored == "zero" else 0
            scores += [Fraction(0)] * lacking
            combine = min if self.habits.combined == "least" else math.prod
            return Fraction(combine(scores or [Fraction(0)]))
        total = sum(scores, Fraction(0))
        if self.habits.combined == "sum":
            return total
        divisor = len(counted) if self.habits.errored == "left-out" else len(results)
        return total / divisor if divisor else Fraction(0)


def versioned(reference: str, found: Criterion | Refused) -> str:
    """The id of a criterion with its version; one that isn't there keeps the id that was asked for."""
    return f"{found.name}@v{found.version}" if isinstance(found, Criterion) else reference


def levels(value: Json) -> int:
    """How many arrays and objects lie inside each other at the deepest place."""
    depth, layer = 0, [value]
    while layer := [each for each in layer if isinstance(each, dict | list)]:
        layer = [child for each in layer for child in (each.values() if isinstance(each, dict) else each)]
        depth += 1
    return depth


def without_nulls(value: Json) -> Json:
    """A value without null members: they say what an absent member says."""
    if isinstance(value, dict):
        return {name: without_nulls(member) for name, member in value.items() if member is not None}
    return [without_nulls(item) for item in value] if isinstance(value, list) else value


def forbidden(word: str) -> Json:
    raise ValueError(f"{word} is no JSON")


def finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(f"{digits} is beyond a double")
    return number
