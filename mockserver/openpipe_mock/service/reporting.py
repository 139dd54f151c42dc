"""The endpoints that official clients call in the background: they write, change and read the log."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import orjson

from openpipe_mock.config.settings import GLOB
from openpipe_mock.core.effects import Effects, Now, Reply
from openpipe_mock.openapi.endpoints import ENDPOINT_NAMES
from openpipe_mock.service.request import Visit
from openpipe_mock.sessions import calllog
from openpipe_mock.sessions.memory import fingerprint

_Action = Callable[[Any, calllog.CallLog, float | None], Any]


@dataclass(frozen=True, slots=True)
class _Report:
    """One of these endpoints: its method, the schema of its body ("" for none), and what it does."""

    method: str
    schema: str
    action: _Action


REPORTS = {
    "/report": _Report(
        "POST", "ReportRequest", lambda body, log, now: calllog.log_report(body, log, now=now)
    ),
    "/report-anthropic": _Report(
        "POST", "ReportAnthropicRequest", lambda body, log, now: calllog.report_anthropic(body, log, now=now)
    ),
    "/logs/update-tags": _Report(
        "POST", "UpdateLogTagsRequest", lambda body, log, _: calllog.update(body, log, member="tags")
    ),
    "/logs/update-metadata": _Report(
        "POST", "UpdateLogMetadataRequest", lambda body, log, _: calllog.update(body, log, member="metadata")
    ),
    "/check-cache": _Report("POST", "CheckCacheRequest", lambda *_: calllog.check_cache()),
    "/local-testing-only-get-latest-logged-call": _Report("GET", "", lambda _, log, __: calllog.latest(log)),
    "/models": _Report("GET", "", lambda known, *_: calllog.models(known)),
}


def _check(report: _Report, _: Visit, body: Any) -> None:
    """Raise BadRequest for a valid body that is refused; it acts on a log that is thrown away."""
    report.action(body, calllog.CallLog(), 0.0)


CHECKS: Mapping[str, Callable[[Visit, Any], object]] = {
    ENDPOINT_NAMES[path]: partial(_check, report) for path, report in REPORTS.items()
}
"""Endpoint → a check that raises BadRequest for a valid body that is refused all the same."""


def endpoints() -> dict[str, Callable[[Visit, Any], Effects]]:
    """The endpoints, by their path below the base."""
    return {path: partial(_answer, report) for path, report in REPORTS.items()}


def _answer(report: _Report, visit: Visit, body: Any) -> Effects:
    """Answer a request, given its JSON. Raises BadRequest."""
    if report.schema:
        body = visit.accept(report.schema, body)
    else:
        body = [name for name in visit.settings.known_models if not GLOB.intersection(name)]
    now = (yield Now()) if visit.settings.clock == "real" else None
    log = visit.memory.log if report.method == "POST" else visit.memory.read_log
    result = report.action(body, log(fingerprint(visit.token)), now)
    return Reply(200, orjson.dumps(result))
