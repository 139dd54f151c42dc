"""The endpoints beside judge and chat, by which official clients use the log and look for models."""

from collections.abc import Callable
from functools import partial
from typing import Any

import orjson

from openpipe_mock.core.effects import Effects, Now, Reply
from openpipe_mock.core.secrets import Mask, masked, may_hide
from openpipe_mock.openapi.endpoints import BASE, ENDPOINTS
from openpipe_mock.service.models import model_list, model_shown
from openpipe_mock.service.request import Handler, Visit
from openpipe_mock.sessions import calllog
from openpipe_mock.sessions.memory import fingerprint

_Action = Callable[[Any, calllog.CallLog, float | None], Any]
"""Takes a body, None where there is none, a log and the time; returns the answer's JSON."""


def handler(action: _Action) -> Handler:
    """The handler of an endpoint that does no more than such an action."""
    return Handler(partial(_answer, action), partial(_check, action))


def _check(action: _Action, visit: Visit, body: Any) -> None:
    """Raise BadRequest for a valid body that is refused; it acts on a log that is thrown away."""
    action(body, calllog.CallLog(), 0.0)


def _answer(action: _Action, visit: Visit, body: Any) -> Effects:
    """Answer a request, given its JSON. Raises BadRequest."""
    schema = ENDPOINTS[visit.entry.endpoint].request
    if schema:
        body = visit.accept(schema, body)
        keys = (visit.token, *visit.settings.secrets)
        if may_hide(visit.entry.body or b"", *keys):
            body = masked(body, clean=Mask(*keys).string)
    now = (yield Now()) if visit.settings.clock == "real" else None
    log = visit.memory.log if schema else visit.memory.read_log
    result = action(body, log(fingerprint(visit.token)), now)
    return Reply(200, orjson.dumps(result))


def _list_models(visit: Visit, _: Any) -> Reply:
    return Reply(200, orjson.dumps(model_list(visit.settings)))


def _show_model(visit: Visit, _: Any) -> Reply:
    model = visit.path.removeprefix(f"{BASE}{ENDPOINTS['model'].path}".removesuffix("{id}"))
    return Reply(200, orjson.dumps(model_shown(model, visit.settings)))


REPORTING = {
    "report": handler(lambda body, log, now: calllog.log_report(body, log, now=now)),
    "report-anthropic": handler(lambda body, log, now: calllog.report_anthropic(body, log, now=now)),
    "update-tags": handler(lambda body, log, _: calllog.update(body, log, member="tags")),
    "update-metadata": handler(lambda body, log, _: calllog.update(body, log, member="metadata")),
    "check-cache": handler(lambda *_: calllog.check_cache()),
    "latest-logged-call": handler(lambda _, log, __: calllog.latest(log)),
    "models": Handler(_list_models),
    "model": Handler(_show_model),
}
"""Name of an endpoint → its handler."""
