"""A verdict as plain data for reports, and as the text of a failing item."""

import json
from typing import Any

from openpipe_mock.contract.checks import Finding, find
from openpipe_mock.contract.probe import Exchange

from .promises import Verdict

Json = Any

_MOST_BODY = 20_000
_MOST_ANSWER = 4_000


def payload(verdict: Verdict) -> dict[str, Json]:
    """A verdict as JSON. `contract.findings.outcomes` reads it."""
    case = verdict.case
    return {
        "check": case.check.id,
        "level": case.check.level,
        "requests": verdict.sent,
        "unjudged": verdict.unjudged,
        "inconclusive": verdict.inconclusive,
        "examined": sorted(verdict.examined),
        "findings": [_finding_json(finding, verdict) for finding in verdict.findings],
    }


def _finding_json(finding: Finding, verdict: Verdict) -> dict[str, Json]:
    flaky = finding.kind == "broken" and finding.check in verdict.flaky
    return {
        "check": finding.check,
        "level": level_of(finding, verdict),
        "kind": "flaky" if flaky else finding.kind,
        "pointer": finding.pointer,
        "sentence": finding.sentence,
        "case": verdict.case.label,
        "evidence": _exchange_json(finding.evidence),
    }


def level_of(finding: Finding, verdict: Verdict) -> str:
    """The finding's own level, else that of its check."""
    if finding.level:
        return finding.level
    own = verdict.case.check
    return own.level if finding.check == own.id else find(finding.check).level


def _exchange_json(exchange: Exchange | None) -> Json:
    """A request and its answer, without the key and with bodies shortened."""
    if exchange is None:
        return None
    request = exchange.request
    return {
        "method": request.method,
        "path": request.path,
        "headers": [list(pair) for pair in request.headers],
        "credential": request.credential,
        "body": _beginning(request.body, _MOST_BODY),
        "size": len(request.body),
        "status": exchange.status,
        "failure": exchange.failure,
        "content_type": exchange.header("content-type"),
        "answer": _beginning(exchange.body, _MOST_ANSWER),
    }


def _beginning(body: bytes, most: int) -> str:
    """The first `most` characters of a body."""
    whole = body[: most + 4].decode("utf-8", "replace")
    return whole if len(body) <= most else f"{whole[:most]}…"


def story(finding: Finding, verdict: Verdict) -> str:
    """A finding in several lines for people, for a failing pytest item."""
    check = find(finding.check, level_of(finding, verdict))
    level = level_of(finding, verdict)
    flaky = " - flaky: it held when it was asked again" if finding.check in verdict.flaky else ""
    place = f"{finding.pointer}: " if finding.pointer else ""
    lines = [
        f"{check.id} ({level}){flaky}",
        f"  promise  {check.promise}",
        f"  rests on {json.dumps(check.quote, ensure_ascii=False)}",
        f"  seen     {place}{finding.sentence}",
    ]
    exchange = finding.evidence
    if isinstance(exchange, Exchange):
        request = exchange.request
        lines.append(f"  sent     {request.method} {request.path} {_beginning(request.body, 500)}")
        lines.append(f"  answered {exchange.status or exchange.failure} {_beginning(exchange.body, 500)}")
    return "\n".join([*lines, f"  remedy   {check.remedy}"])
