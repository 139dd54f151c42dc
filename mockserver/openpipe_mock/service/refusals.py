"""Errors as answers."""

import orjson

from openpipe_mock.answers import judge
from openpipe_mock.core.effects import JSON_HEADERS, Reply
from openpipe_mock.core.errors import ApiError, BadRequest, InternalServerError, ParseError
from openpipe_mock.service.request import Visit


def refused(visit: Visit, error: ApiError) -> Reply:
    """An error as an answer, and what the journal says of it."""
    if isinstance(error, BadRequest | ParseError) and not visit.entry.violations:
        visit.entry.violations = error.issues or (error.message,)
    if isinstance(error, judge.Undeclared):
        visit.once(error.message)
    return refusal(error, twice=visit.entry.endpoint == "chat")


def refusal(error: ApiError, *, twice: bool = False) -> Reply:
    """An error as an answer; `twice`: also under `error`, where OpenAI's clients look (source)."""
    body = error.body()
    if twice:
        body["error"] = {"code": error.code, "message": error.message}
    headers = tuple((name.encode(), value.encode()) for name, value in error.headers)
    return Reply(error.status, orjson.dumps(body), JSON_HEADERS + headers, subject=error.brief)


def crash() -> Reply:
    """The answer to a defect of ours; the traceback goes to the log."""
    return refusal(InternalServerError("a defect of the mock; please report the traceback in its log."))
