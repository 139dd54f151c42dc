"""Turn errors into replies."""

import orjson

from openpipe_mock.answers import judge
from openpipe_mock.core.effects import JSON_HEADERS, Reply
from openpipe_mock.core.errors import ApiError, BadRequest, InternalServerError, ParseError
from openpipe_mock.openapi.endpoints import SERVED
from openpipe_mock.service.request import Visit


def refused(visit: Visit, error: ApiError) -> Reply:
    """The reply to a visit that is refused; the journal's entry gets the violations."""
    if isinstance(error, BadRequest | ParseError) and not visit.entry.violations:
        visit.entry.violations = error.issues or (error.message,)
    if isinstance(error, judge.Undeclared):
        visit.once(error.message)
    return refusal(error, twice=visit.path in SERVED and SERVED[visit.path].openai)


def refusal(error: ApiError, *, twice: bool = False) -> Reply:
    """An error as a reply. `twice`: also under the body's `error`, where OpenAI's clients look (source)."""
    body = error.body()
    if twice:
        body["error"] = {"code": error.code, "message": error.message}
    headers = tuple((name.encode(), value.encode()) for name, value in error.headers)
    return Reply(error.status, orjson.dumps(body), JSON_HEADERS + headers, subject=error.brief)


def crash() -> Reply:
    """The reply to a defect of ours; the caller logs the traceback."""
    return refusal(InternalServerError("a defect of the mock; please report the traceback in its log."))
