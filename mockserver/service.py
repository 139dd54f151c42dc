"""Request in, reply out: the one seam between the contract and whatever carries bytes.

The service knows no socket, no framework and no clock. What needs the outside world it yields as an effect,
and the adapter carries it out and sends the result back in. So no two adapters can disagree.
"""

from collections.abc import Callable, Generator
from typing import Any

import orjson

from mockserver import completions, judge, reports
from mockserver.admission import accepted, announced, authorize, expect_json, too_large
from mockserver.config import Settings
from mockserver.effects import JSON_HEADERS, Effect, Exchange, Head, Headers, ReadBody, Reply
from mockserver.errors import ApiError, CriterionFailed, InternalServerError
from mockserver.paths import BASE, SERVED, not_found, wrong_method
from mockserver.spec import contract
from mockserver.state import Session
from mockserver.strictjson import parse

Endpoint = Callable[[Headers, bytes, Any], Reply | Exchange]
"""Headers, bearer token and parsed body in; a reply out, or an exchange that goes on."""

CHAT = f"{BASE}/chat/completions"


class Service:
    """One mock with its settings and its memory. `exchange` is all that an adapter calls."""

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or Settings()
        self.session = Session()
        served: dict[str, Endpoint] = {
            "/criteria/judge": self.judge,
            "/chat/completions": completions.Endpoint(self.settings, self.session),
            **reports.endpoints(self.settings, self.session),
        }
        self.endpoints = {f"{BASE}{path}": (SERVED[path], endpoint) for path, endpoint in served.items()}
        contract().warm(
            "JudgeCriteriaRequest", "JudgeCriteriaInput", "JudgeCriteriaOutput", "ChatCompletionRequest"
        )

    def exchange(self, head: Head) -> Exchange:
        """Answer one request. Order: method and path, key, limits, body, engine."""
        try:
            if head.path not in self.endpoints:
                raise not_found(head.path)
            method, endpoint = self.endpoints[head.path]
            if head.method != method:
                raise wrong_method(head.method, head.path)
            token = authorize(head.headers, self.settings.keys)
            body = parse((yield from self.read(head.headers))) if method == "POST" else None
            reply = endpoint(head.headers, token, body)
            return reply if isinstance(reply, Reply) else (yield from reply)
        except ApiError as error:
            return refusal(error, twice=head.path == CHAT)

    def read(self, headers: Headers) -> Generator[Effect, Any, bytes]:
        """The body, once its announced length and its type are acceptable."""
        limit = self.settings.max_body_bytes
        if announced(headers) > limit:
            raise too_large(limit)
        expect_json(headers)
        body: bytes | None = yield ReadBody(limit)
        if body is None:
            raise too_large(limit)
        return body

    def judge(self, _: Headers, __: bytes, body: Any) -> Reply:
        """`POST /criteria/judge`."""
        checker = contract().checker("JudgeCriteriaRequest")
        request, notes = accepted(checker, body, self.settings.validation)
        asked = judge.criterion(request["criterion_id"], self.settings.criteria)
        seen = judge.content(judge.scene(request.get("input", {})), request["output"])
        found = judge.judge(asked, seen, self.settings)
        if found.error:
            raise CriterionFailed(*found.error)
        answer = orjson.dumps(found.body())
        return Reply(200, answer, subject=f"{asked} {found.score}", notes=notes)


def refusal(error: ApiError, *, twice: bool = False) -> Reply:
    """An error as an answer; `twice`: also under `error`, where OpenAI's clients look (source)."""
    body = error.body()
    if twice:
        body["error"] = {"code": error.code, "message": error.message}
    headers = tuple((name.encode(), value.encode()) for name, value in error.headers)
    return Reply(error.status, orjson.dumps(body), JSON_HEADERS + headers, subject=error.message)


def crash() -> Reply:
    """The answer to a defect of ours; the traceback goes to the log."""
    return refusal(InternalServerError("a defect of the mock; please report the traceback in its log."))
