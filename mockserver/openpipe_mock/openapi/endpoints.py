"""The paths that the mock serves, and the errors for other paths and methods."""

import re
from dataclasses import dataclass

from openpipe_mock.core.errors import ApiError, MethodNotSupported, NotFound
from openpipe_mock.core.wording import nearest, quoted

BASE = "/api/v1"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An endpoint that the mock serves.

    `name`: in conditions and in the journal. `path`: below BASE. `request`: the schema of its body, "" for
    none. `answer`: the schema of its answer, for endpoints that the contract suite checks. `openai`: whether
    OpenAI's clients use it, so that it can stream, and has errors in their form too. `writes_log`: whether a
    read-only key may not use it.
    """

    name: str
    path: str
    method: str = "POST"
    request: str = ""
    answer: str = ""
    openai: bool = False
    writes_log: bool = False


ENDPOINTS = {
    each.name: each
    for each in (
        Endpoint("judge", "/criteria/judge", request="JudgeCriteriaRequest", answer="JudgeCriteriaResponse"),
        Endpoint(
            "chat", "/chat/completions", request="ChatCompletionRequest", answer="ChatCompletion", openai=True
        ),
        Endpoint("report", "/report", request="ReportRequest", writes_log=True),
        Endpoint("report-anthropic", "/report-anthropic", request="ReportAnthropicRequest", writes_log=True),
        Endpoint("update-tags", "/logs/update-tags", request="UpdateLogTagsRequest", writes_log=True),
        Endpoint(
            "update-metadata", "/logs/update-metadata", request="UpdateLogMetadataRequest", writes_log=True
        ),
        Endpoint("check-cache", "/check-cache", request="CheckCacheRequest"),
        Endpoint("latest-logged-call", "/local-testing-only-get-latest-logged-call", "GET"),
        Endpoint("models", "/models", "GET"),
    )
}
"""Name → endpoint."""

SERVED = {f"{BASE}{each.path}": each for each in ENDPOINTS.values()}
"""Path → endpoint."""

SESSION = re.compile(r"/_mock/sessions/(?P<name>[^/]+)(?P<path>/api/.*)")
"""Matches an API path that names its session."""


def is_control(path: str) -> bool:
    """Whether a path belongs to the control API; an API path that names its session doesn't."""
    return path.startswith("/_mock/") and not SESSION.fullmatch(path)


_KNOWN_ELSEWHERE = (
    "/models/{slug}",
    "/datasets",
    "/datasets/{id}",
    "/datasets/{id}/entries",
    "/unstable/dataset/create",
    "/unstable/dataset/list",
    "/unstable/dataset/delete",
    "/unstable/dataset-entry/create",
    "/unstable/finetune/create",
    "/unstable/finetune/get",
    "/unstable/finetune/delete",
)
"""Endpoints that the official clients call and the mock does not serve (source class: sdk)."""

_PATTERNS = [re.compile(re.sub(r"\{\w+\}", "[^/]+", path)) for path in _KNOWN_ELSEWHERE]

_OTHER_METHODS = {("POST", "/models")}
"""Methods that the official clients use on a path that the mock serves by another method."""


def wrong_method(method: str, path: str, root: str = "") -> ApiError:
    """The error for a request to a served path by another method. `root`: see `Head`."""
    served = SERVED[path]
    if (method, served.path) in _OTHER_METHODS:
        return _unserved(f"{method} {served.path}")
    return MethodNotSupported(f"{root}{path} takes {served.method}, not {method}.", allow=[served.method])


def not_found(path: str, root: str = "") -> NotFound:
    """The error for a path that isn't served; it names the nearest path that is. `root`: see `Head`."""
    tail, base, sent = _intended_endpoint(path), f"{root}{BASE}", quoted(root + path)
    if f"{BASE}{tail}" in SERVED:
        based = path.startswith(f"{BASE}/") and path.count(BASE) == 1
        advice = "mind the slashes." if based else f"let the base URL end in {base}, once."
        return NotFound(f"{sent} is served as {base}{tail}; {advice}")
    if any(pattern.fullmatch(tail) for pattern in _PATTERNS):
        return _unserved(quoted(tail))
    near = nearest(tail, [each.path for each in ENDPOINTS.values()])
    main = " and ".join(f"{root}{path}" for path, each in SERVED.items() if each.answer)
    advice = f"did you mean {base}{near}?" if near else f"the main endpoints are {main}."
    return NotFound(f"there is no {sent} here; {advice}")


def _intended_endpoint(path: str) -> str:
    """The endpoint below BASE that was probably meant: the path with single slashes and without any base."""
    path = re.sub(r"/+", "/", path).rstrip("/")
    return re.sub(r"^(?:/api/v1|/v1|/api)+(?=/)", "", path)


def _unserved(endpoint: str) -> NotFound:
    return NotFound(f"the official clients know {endpoint}, but this mock doesn't serve it yet.")
