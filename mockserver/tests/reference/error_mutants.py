"""One-bug servers whose bug is in their errors, in who may ask, or in how an answer reaches the client."""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from tests.reference.habits import Habits
from tests.reference.http import CHAT, ENDPOINTS, JUDGE, Answer, App, Request
from tests.reference.mutation import (
    LEFT_OUT,
    Make,
    Mutant,
    When,
    accepting,
    answers,
    at,
    changing,
    chatting,
    edited,
    error_bytes,
    errors,
    hang,
    hang_up,
    judging,
    lie,
    post,
    sending,
    stall,
    streaming,
    with_members,
)
from tests.reference.server import HEADERS, MODELS, Reference

Json = Any
PAGE = b"<!doctype html><title>Bad Request</title><h1>Bad Request</h1>"
TRACE = b'Traceback (most recent call last):\n  File "app.py", line 5, in judge\nKeyError: output\n'
CRASH = {"message": "Internal server error", "code": "INTERNAL_SERVER_ERROR"}
SORRY = {"message": "Something is wrong with this request", "code": "BAD_REQUEST"}
GOOD = {"judge": judging(), "chat": chatting()}
BROKEN = {"judge": edited("judge", "output.missing"), "chat": edited("chat", "messages.missing")}


def keyed(request: Request, key: str | None) -> Request:
    """The same request with another key, or without one."""
    kept = {name: value for name, value in request.headers.items() if name != "authorization"}
    return replace(request, headers={**kept, **({} if key is None else {"authorization": f"Bearer {key}"})})


def unreadable(request: Request) -> bool:
    """Whether a body is there and no JSON."""
    try:
        json.loads(request.body)
    except ValueError:
        return bool(request.body)
    return False


def empty(request: Request) -> bool:
    return not request.body


def no_object(request: Request) -> bool:
    try:
        return not isinstance(json.loads(request.body), dict)
    except ValueError:
        return False


def without_key(request: Request) -> bool:
    return "authorization" not in request.headers


def with_wrong_key(request: Request) -> bool:
    return request.headers.get("authorization", HEADERS["authorization"]) != HEADERS["authorization"]


# Bad error bodies. Name, the check behind the endpoint, a note, what becomes of the body.

BODIES: tuple[tuple[str, str, str, Callable[[Json], Json]], ...] = (
    ("no-code", "error.body", "Errors have no code.", lambda body: with_members(body, {"code": LEFT_OUT})),
    (
        "no-message",
        "error.body",
        "Errors have no message.",
        lambda body: with_members(body, {"message": LEFT_OUT}),
    ),
    ("code-number", "error.body", "The code of an error is a number.", lambda body: {**body, "code": 400}),
    (
        "message-list",
        "error.body",
        "The message of an error is a list.",
        lambda body: {**body, "message": ["No."]},
    ),
    (
        "issues-strings",
        "error.body",
        "Issues are strings.",
        lambda body: {**body, "issues": ["output is missing"]},
    ),
    ("issues-null", "error.body", "The issues are null.", lambda body: {**body, "issues": None}),
    ("issues-unworded", "error.body", "Issues have no message.", lambda body: {**body, "issues": [{}]}),
    ("detail", "error.body", "Errors say `detail` alone.", lambda body: {"detail": body["message"]}),
    ("as-text", "error.body", "The body of an error is a string.", lambda body: body["message"]),
)
BYTES: tuple[tuple[str, str, str, bytes, str], ...] = (
    ("html", "error.content_type", "Errors are HTML pages.", PAGE, "text/html"),
    ("trace", "error.content_type", "Errors are stack traces.", TRACE, "text/plain"),
    ("page-as-json", "error.body", "Errors are HTML pages that claim to be JSON.", PAGE, "application/json"),
    ("empty", "error.body", "Errors have no body.", b"", "application/json"),
)


def status(path: str, number: int) -> Make:
    """Errors of an endpoint have another status."""

    def change(request: Request, answer: Answer) -> Answer:
        wrong = request.path == path and 400 <= answer.status < 500 and request.method == "POST"
        return replace(answer, status=number) if wrong else answer

    return changing(change)


def odd_bodies(endpoint: str) -> Iterator[Mutant]:
    path, broken = ENDPOINTS[endpoint], BROKEN[endpoint]
    for name, check, note, edit in BODIES:
        yield Mutant(f"{endpoint}-error-{name}", f"{endpoint}.{check}", note, errors(at(path), edit), broken)
    for name, check, note, body, content_type in BYTES:
        make = error_bytes(at(path), body, content_type=content_type)
        yield Mutant(f"{endpoint}-error-{name}", f"{endpoint}.{check}", note, make, broken)
    yield Mutant(
        f"{endpoint}-error-200",
        f"{endpoint}.errors.malformed_json",
        "Errors have the status 200.",
        status(path, 200),
        post(path, b'{"criterion_id":'),
    )
    yield Mutant(
        f"{endpoint}-error-500",
        f"{endpoint}.no_5xx",
        "Whatever is wrong with a request is answered by 500.",
        status(path, 500),
        broken,
    )


# Paths that lead to an error: what some requests are answered that another server refuses.


def paths(endpoint: str) -> Iterator[tuple[str, str, str, Make, Request]]:
    """Name, the check behind the endpoint, a note, the bug, a request that shows it."""
    path, good = ENDPOINTS[endpoint], GOOD[endpoint]
    get = replace(good, method="GET", body=b"")

    def got(request: Request) -> bool:
        return request.path == path and request.method not in ("POST", "HEAD")

    yield (
        "reads-anything",
        "errors.malformed_json",
        "A body that is no JSON is accepted.",
        accepting(at(path, unreadable), good),
        post(path, b'{"criterion_id":'),
    )
    yield (
        "crashes-at-no-json",
        "no_5xx",
        "A body that is no JSON is a crash.",
        answers(at(path, unreadable), 500, CRASH),
        post(path, b'{"criterion_id":'),
    )
    yield (
        "takes-nothing",
        "errors.empty_body",
        "An empty body is accepted.",
        accepting(at(path, empty), good),
        replace(good, body=b""),
    )
    yield (
        "crashes-at-nothing",
        "no_5xx",
        "An empty body is a crash.",
        answers(at(path, empty), 500, CRASH),
        replace(good, body=b""),
    )
    yield (
        "takes-no-object",
        "errors.not_an_object",
        "A body that is no object is accepted.",
        accepting(at(path, no_object), good),
        post(path, []),
    )
    yield (
        "crashes-at-no-object",
        "no_5xx",
        "A body that is no object is a crash.",
        answers(at(path, no_object), 500, CRASH),
        post(path, []),
    )
    yield (
        "needs-no-key",
        "errors.missing_key",
        "A request without a key is accepted.",
        accepting(at(path, without_key), good),
        keyed(good, None),
    )
    yield (
        "crashes-without-key",
        "no_5xx",
        "A request without a key is a crash.",
        answers(at(path, without_key), 500, CRASH),
        keyed(good, None),
    )
    yield (
        "redirects-without-key",
        "errors.missing_key",
        "A request without a key is answered by 200 and a page to log in.",
        answers(at(path, without_key), 200, {"login": "/login"}),
        keyed(good, None),
    )
    yield (
        "takes-any-key",
        "errors.wrong_key",
        "A wrong key is accepted.",
        accepting(at(path, with_wrong_key), good),
        keyed(good, "invalid-key"),
    )
    yield (
        "crashes-at-wrong-key",
        "no_5xx",
        "A wrong key is a crash.",
        answers(at(path, with_wrong_key), 500, CRASH),
        keyed(good, "invalid-key"),
    )
    yield (
        "answers-get",
        "errors.method",
        "GET is answered by 200.",
        answers(got, 200, {"status": "ok"}),
        get,
    )
    yield (
        "crashes-at-get",
        "no_5xx",
        "GET is a crash.",
        answers(got, 500, CRASH),
        get,
    )


def asks_for(name: str, values: Callable[[str], bool]) -> When:
    """Whether a member of the body is a text of this kind."""
    return lambda request: values(str(request.json().get(name, "")))


def unknown_criterion(reference: str) -> bool:
    return not reference.startswith("criterion-")


def unknown_version(reference: str) -> bool:
    name, at, version = reference.partition("@")
    return bool(at) and not unknown_criterion(name) and version not in ("v1", "v2")


def unreadable_id(reference: str) -> bool:
    return bool(reference) and re.fullmatch(r"[^@\s]+(@v[1-9][0-9]*)?", reference) is None


UNKNOWN: tuple[tuple[str, str, str, Make, Request], ...] = (
    (
        "judge-crashes-at-unknown",
        "judge.no_5xx",
        "An unknown criterion is a crash.",
        answers(asks_for("criterion_id", unknown_criterion), 500, CRASH),
        judging(criterion_id="nobody-knows-this"),
    ),
    (
        "judge-crashes-at-unknown-version",
        "judge.no_5xx",
        "An unknown version is a crash.",
        answers(asks_for("criterion_id", unknown_version), 500, CRASH),
        judging(criterion_id="criterion-1@v9999"),
    ),
    (
        "judge-reads-any-id",
        "judge.errors.unreadable_criterion",
        "An id that is none is judged as another one.",
        accepting(asks_for("criterion_id", unreadable_id), judging()),
        judging(criterion_id="criterion-1@latest"),
    ),
    (
        "judge-says-unknown-by-200",
        "judge.response.schema",
        "An unknown criterion is an error body with the status 200.",
        answers(asks_for("criterion_id", unknown_criterion), 200, SORRY),
        judging(criterion_id="nobody-knows-this"),
    ),
    (
        "chat-crashes-at-unknown-model",
        "chat.no_5xx",
        "An unknown model is a crash.",
        answers(asks_for("model", lambda model: bool(model) and model not in MODELS), 500, CRASH),
        chatting(model="nobody-knows-this"),
    ),
    (
        "chat-says-unknown-model-by-200",
        "chat.response.schema",
        "An unknown model is an error body with the status 200.",
        answers(asks_for("model", lambda model: bool(model) and model not in MODELS), 200, SORRY),
        chatting(model="nobody-knows-this"),
    ),
    (
        "any-path",
        "errors.unknown_path",
        "A path that doesn't exist is answered by 200.",
        answers(lambda sent: sent.path not in (JUDGE, CHAT), 200, {"status": "ok"}),
        Request("POST", "/api/v1/nobody/knows/this", HEADERS, b"{}"),
    ),
    (
        "crash-at-any-path",
        "errors.unknown_path",
        "A path that doesn't exist is a crash.",
        answers(lambda sent: sent.path not in (JUDGE, CHAT), 500, CRASH),
        Request("POST", "/api/v1/nobody/knows/this", HEADERS, b"{}"),
    ),
    (
        "page-at-any-path",
        "errors.unknown_path",
        "A path that doesn't exist is an HTML page.",
        error_bytes(lambda sent: sent.path not in (JUDGE, CHAT), PAGE, content_type="text/html"),
        Request("POST", "/api/v1/nobody/knows/this", HEADERS, b"{}"),
    ),
    (
        "judge-error-stack",
        "judge.error.closed",
        "Errors carry a stack trace beside message and code.",
        errors(at(JUDGE), lambda body: {**body, "stack": TRACE.decode()}),
        BROKEN["judge"],
    ),
    (
        "judge-error-status",
        "judge.error.closed",
        "Errors carry their status.",
        errors(at(JUDGE), lambda body: {**body, "statusCode": 400}),
        BROKEN["judge"],
    ),
)


def now_and_then(path: str, every: int) -> Make:
    """Every so many good requests one is answered by 500."""

    def make(habits: Habits) -> App:
        count = 0

        def change(request: Request, answer: Answer) -> Answer:
            nonlocal count
            count += request.path == path and answer.status == 200
            return Answer(500, CRASH) if count and count % every == 0 else answer

        return Reference(habits, change=change)

    return make


def in_transit(endpoint: str) -> Iterator[Mutant]:
    """Answers that don't arrive."""
    path, good, broken = ENDPOINTS[endpoint], GOOD[endpoint], post(ENDPOINTS[endpoint], b'{"criterion_id":')
    here, found = at(path), at(path, unreadable)
    check = f"{endpoint}.answers"
    yield Mutant(f"{endpoint}-hangs", check, "No JSON gets no answer.", sending(found, hang), broken)
    yield Mutant(f"{endpoint}-stalls", check, "An error stops in the middle.", sending(found, stall), broken)
    yield Mutant(f"{endpoint}-hangs-up", check, "Answers break off.", sending(here, hang_up), good)
    yield Mutant(f"{endpoint}-lies", check, "Content-Length says too much.", sending(here, lie), good)
    often = now_and_then(path, 7)
    note = "Now and then a request fails."
    yield Mutant(f"{endpoint}-fails-at-times", f"{endpoint}.no_5xx", note, often, good, tries=7)


def breaks_off(request: Request) -> bool:
    return request.path == CHAT and request.json().get("stream") is True


def mutants() -> Iterator[Mutant]:
    """All of this page."""
    for endpoint in ENDPOINTS:
        yield from odd_bodies(endpoint)
        for name, check, note, make, request in paths(endpoint):
            level = "source" if request.method == "GET" else ""  # no client sends it
            yield Mutant(f"{endpoint}-{name}", f"{endpoint}.{check}", note, make, request, level=level)
        yield from in_transit(endpoint)
    for name, check, note, make, request in UNKNOWN:
        yield Mutant(name, check, note, make, request)
    yield Mutant(
        "stream-hangs-up", "chat.answers", "Streams break off.", sending(breaks_off, hang_up), streaming()
    )
    yield Mutant("stream-stalls", "chat.answers", "Streams stop.", sending(breaks_off, stall), streaming())
