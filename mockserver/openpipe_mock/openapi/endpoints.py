"""The paths that the mock serves, and the errors for other paths and methods."""

import re

from openpipe_mock.core.errors import ApiError, MethodNotSupported, NotFound
from openpipe_mock.core.wording import nearest, quoted

BASE = "/api/v1"

SERVED = {
    "/criteria/judge": "POST",
    "/chat/completions": "POST",
    "/report": "POST",
    "/report-anthropic": "POST",
    "/logs/update-tags": "POST",
    "/logs/update-metadata": "POST",
    "/check-cache": "POST",
    "/local-testing-only-get-latest-logged-call": "GET",
    "/models": "GET",
}
"""Path of an endpoint, below BASE → its method."""

ENDPOINT_NAMES = {
    "/criteria/judge": "judge",
    "/chat/completions": "chat",
    "/report": "report",
    "/report-anthropic": "report-anthropic",
    "/logs/update-tags": "update-tags",
    "/logs/update-metadata": "update-metadata",
    "/check-cache": "check-cache",
    "/local-testing-only-get-latest-logged-call": "latest-logged-call",
    "/models": "models",
}
"""Path of an endpoint, below BASE → its short name in conditions and in the journal."""

WRITES_LOG = frozenset(("report", "report-anthropic", "update-tags", "update-metadata"))
"""Endpoints that a read-only key may not use."""

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


def wrong_method(method: str, path: str) -> ApiError:
    """The error for a request to a served path by another method; `path` includes BASE."""
    served, tail = SERVED[path.removeprefix(BASE)], path.removeprefix(BASE)
    if (method, tail) in _OTHER_METHODS:
        return _unserved(f"{method} {tail}")
    return MethodNotSupported(f"{path} takes {served}, not {method}.", allow=[served])


def not_found(path: str) -> NotFound:
    """The error for a path that isn't served; its message names the nearest path that is."""
    tail = _intended_endpoint(path)
    if tail in SERVED:
        based = path.startswith(f"{BASE}/") and path.count(BASE) == 1
        advice = "mind the slashes." if based else f"let the base URL end in {BASE}, once."
        return NotFound(f"{quoted(path)} is served as {BASE}{tail}; {advice}")
    if any(pattern.fullmatch(tail) for pattern in _PATTERNS):
        return _unserved(quoted(tail))
    near = nearest(tail, list(SERVED))
    main = " and ".join(f"{BASE}{path}" for path in list(SERVED)[:2])
    advice = f"did you mean {BASE}{near}?" if near else f"the main endpoints are {main}."
    return NotFound(f"there is no {quoted(path)} here; {advice}")


def _intended_endpoint(path: str) -> str:
    """The endpoint below BASE that was probably meant: the path with single slashes and without any base."""
    path = re.sub(r"/+", "/", path).rstrip("/")
    return re.sub(r"^(?:/api/v1|/v1|/api)+(?=/)", "", path)


def _unserved(endpoint: str) -> NotFound:
    return NotFound(f"the official clients know {endpoint}, but this mock doesn't serve it yet.")
