"""A finding as the text of a failing pytest item."""

import json

from openpipe_mock.contract.checks import find
from openpipe_mock.contract.findings import Finding
from openpipe_mock.contract.text import beginning


def story(finding: Finding) -> str:
    """A finding of a case's result in several lines."""
    check = find(finding.check, finding.level)
    flaky = " - flaky: it held when it was asked again" if finding.kind == "flaky" else ""
    lines = [
        f"{check.id} ({finding.level}){flaky}",
        f"  promise  {check.promise}",
        f"  rests on {json.dumps(check.quote, ensure_ascii=False)}",
        f"  seen     {finding.placed}",
    ]
    exchange = finding.evidence
    if exchange:
        request = exchange.request
        lines.append(f"  sent     {request.method} {request.path} {beginning(request.body, 500)}")
        lines.append(f"  answered {exchange.status or exchange.failure} {beginning(exchange.body, 500)}")
    return "\n".join([*lines, f"  remedy   {check.remedy}"])
