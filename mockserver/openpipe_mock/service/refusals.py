"""Turn errors into replies."""

import orjson

from openpipe_mock.core.effects import JSON_HEADERS, Reply
from openpipe_mock.core.errors import ApiError, BadRequest, InternalServerError, ParseError
from openpipe_mock.core.secrets import Mask, held
from openpipe_mock.openapi.endpoints import ENDPOINTS
from openpipe_mock.service.request import Visit

_JUDGE = ENDPOINTS["judge"].path


def refused(visit: Visit, error: ApiError) -> Reply:
    """The reply to a visit that is refused; the journal's entry gets the violations."""
    if isinstance(error, BadRequest | ParseError) and not visit.entry.violations:
        visit.entry.violations = error.issues or (error.message,)
    if error.note:
        visit.once(error.note)
    return refusal(error, visit.path, visit.token, *visit.settings.secrets)


def refusal(error: ApiError, path: str = "", *keys: bytes) -> Reply:
    """An error as a reply. `path`: that was asked. `keys`: those that it may not repeat: clients log errors.

    OpenAI's clients look under the body's `error` (source), wherever they ask; the judge's errors have no
    such member (documented), whatever the base URL.
    """
    body = error.body()
    if not path.endswith(_JUDGE):
        body["error"] = {"code": error.code, "message": error.message}
    headers = tuple((name.encode(), value.encode()) for name, value in error.headers)
    text = orjson.dumps(body)
    text = Mask(*held(text, *keys)).final(text)
    return Reply(error.status, text, JSON_HEADERS + headers, subject=error.brief)


def crash(path: str) -> Reply:
    """The reply to a defect of ours; the caller logs the traceback."""
    return refusal(InternalServerError("a defect of the mock; please report the traceback in its log."), path)
