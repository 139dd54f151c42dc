"""The control API under `/_mock/`: people and tests look at a mock and change it. It takes no key.

Like the service, `Control.exchange` knows no framework, no socket and no clock: it yields effects.
"""

import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import orjson

from openpipe_mock.config import file as configfile
from openpipe_mock.config.export import exported
from openpipe_mock.config.limits import Limits
from openpipe_mock.config.settings import Settings
from openpipe_mock.control.changes import (
    add_rules,
    drop_config,
    reset_criterion,
    set_criterion,
    set_limits,
    set_unknown,
    use_config,
)
from openpipe_mock.control.document import served
from openpipe_mock.control.exposition import METRICS_HEADERS, exposed
from openpipe_mock.control.feed import EVERY, FEED_HEADERS, MOST_FEEDS, Feed, last_seen
from openpipe_mock.control.guard import Guard, safe_headers
from openpipe_mock.control.listings import (
    ROOT,
    checked_config,
    in_order,
    listed_criterion,
    newest,
    session_status,
)
from openpipe_mock.control.parameters import (
    EXPECTATIONS,
    FILTERS,
    Order,
    body_members,
    expectation,
    export_format,
    filtered,
    limit,
    part,
    query_arguments,
    read_body,
    reference,
    session_name,
    unknown_criteria,
)
from openpipe_mock.control.status import PRODUCT, facts
from openpipe_mock.core.effects import Begin, Effects, Head, HeaderList, Piece, Reply, Wait
from openpipe_mock.core.errors import (
    ApiError,
    BadRequest,
    MethodNotSupported,
    NotFound,
    NotReady,
    StateUnavailable,
    TooManyRequests,
)
from openpipe_mock.core.wording import listed, nearest, quoted
from openpipe_mock.service.projects import made_by_clients
from openpipe_mock.service.refusals import refusal
from openpipe_mock.service.service import Service
from openpipe_mock.sessions.diagnosis import detail, verify
from openpipe_mock.sessions.export import EXPORTS, Export
from openpipe_mock.sessions.inspection import summary
from openpipe_mock.sessions.journal import Entry
from openpipe_mock.sessions.memory import DEFAULT, Session, absent

Json = Any

_SAFE = tuple(
    (name.encode(), value.encode())
    for name, value in safe_headers("default-src 'none'; frame-ancestors 'none'").items()
)
_YAML_HEADERS: HeaderList = ((b"content-type", b"application/yaml"),)
_COUNTED = ("sessions", "criteria", "completions", "faults", "requests")
_LINES_AT_ONCE = 500
"""Lines of an export that are made before other requests have their turn."""


@dataclass(frozen=True, slots=True)
class Route:
    """One operation. `path`: below `/_mock`, with at most one `{argument}`.

    `body`: `required`, `optional`, `text` for one that is no JSON, or "" for none. `parameters`: those of its
    query, beside `session`.
    """

    method: str
    path: str
    action: Callable[["Control", Order], Reply | Effects]
    body: str = ""
    parameters: tuple[str, ...] = ()


class Control:
    """The control API of one mock. `guard` decides who may use it; without one, this machine alone."""

    def __init__(self, service: Service, guard: Guard | None = None) -> None:
        self.service = service
        self.guard = guard or Guard()
        self.feeds = 0
        """How many are open."""

    def exchange(self, head: Head) -> Effects:
        """Answer one request to a path that begins with `/_mock/`."""
        try:
            self.guard.admit(head)
            reply = yield from self.answered(head)
        except ApiError as error:
            reply = refusal(error, "", *self.service.settings.secrets)
        return replace(reply, headers=(*reply.headers, *_SAFE))

    def answered(self, head: Head) -> Effects:
        """Answer a request that the guard lets in. Raises ApiError."""
        path = head.path.encode("utf-8", "replace").decode()
        prefixed = PREFIXED.fullmatch(path)
        route, argument = _found(head.method, prefixed["path"] if prefixed else path, head.root)
        query = query_arguments(head.query, (*route.parameters, "session"))
        session = query.pop("session", "") or (prefixed["name"] if prefixed else "")
        session = session or head.headers.get(b"x-mock-session", b"").decode("latin-1")
        body = (yield from read_body(head, route.body)) if route.body else None
        answer = route.action(self, Order(head, session, argument, query, body))
        return answer if isinstance(answer, Reply) else (yield from answer)

    def session(self, order: Order) -> Session:
        """The session that is meant, made where it is new, for operations that set something."""
        return self.service.sessions.open(order.session, order.head.at)

    def known(self, order: Order) -> Session:
        """The session that is meant, for operations that look. Raises NotFound where there is none."""
        return self.service.sessions.known(order.session, order.head.at)

    def chosen(self, order: Order) -> list[Session]:
        """The session that is meant, or all of them."""
        return list(self.service.sessions.all()) if order.session == EVERY else [self.known(order)]

    def in_force(self, session: Session) -> Settings:
        return session.settings(self.service.settings)

    # About the mock.

    def health(self, _: Order) -> Reply:
        return _ok({"status": "ok", "name": PRODUCT, **facts(self.service.settings)})

    def ready(self, _: Order) -> Reply:
        if not self.service.is_ready():
            raise NotReady("the server is starting or ending")
        if self.service.sessions.problem:
            raise NotReady(self.service.sessions.problem)
        return _ok({"status": "ready"})

    def metrics(self, _: Order) -> Reply:
        service = self.service
        missed = len(service.source.missed) if service.source else 0
        return Reply(200, exposed(service.metrics, missed, service.sessions.kept_bytes), METRICS_HEADERS)

    def status(self, order: Order) -> Reply:
        file = self.service.file
        counted: dict[str, int | None] = dict.fromkeys(_COUNTED)
        replaced = False
        with suppress(StateUnavailable):  # which is when people ask for the status
            session = self.known(order)
            counted, replaced = self.counted(session), session.own is not None
        return _ok(
            {
                "status": "ok",
                "name": PRODUCT,
                **facts(self.service.settings),
                "any_key": not self.service.settings.keys,
                "config": {
                    "file": file.path or None,
                    "loads": file.loads,
                    "in_force": not file.problems and not file.missing,
                    "missing": file.missing,
                    "problems": list(file.problems),
                    "replaced": replaced,
                },
                "memory": self.service.sessions.status(),
                "session": order.session or DEFAULT,
                **counted,
            }
        )

    def counted(self, session: Session) -> dict[str, int | None]:
        """How many there are of each of `_COUNTED`."""
        settings = self.in_force(session)
        return {
            "sessions": sum(1 for _ in self.service.sessions.all()),
            "criteria": len(settings.criteria),
            "completions": len(settings.completions),
            "faults": len(settings.faults),
            "requests": session.requests,
        }

    def set_config(self, order: Order) -> Reply:
        use_config(partial(self.session, order), order.body)
        return _ok({"status": "ok"})

    def drop_config(self, order: Order) -> Reply:
        drop_config(self.known(order))
        return _ok({"status": "ok"})

    def check_config(self, order: Order) -> Reply:
        return _ok(checked_config(order.body))

    def document(self, _: Order) -> Reply:
        return Reply(200, served(), _YAML_HEADERS)

    def config(self, order: Order) -> Effects:
        session, lines = self.known(order), []
        recordings = str(session.source or self.service.source or "")
        for line in exported(self.in_force(session), in_test=session.in_test, recordings=recordings):
            lines.append(line)
            if len(lines) % _LINES_AT_ONCE == 0:
                yield Wait(0)
        return Reply(200, "".join(f"{line}\n" for line in lines).encode(), _YAML_HEADERS)

    def reset(self, order: Order) -> Reply:
        self.session(order).forget()
        return _ok({"status": "ok"})

    # Criteria.

    def criteria(self, order: Order) -> Reply:
        session = self.known(order)
        settings = self.in_force(session)
        listed_ones = [
            listed_criterion(name, declared, name in session.overrides.criteria)
            for name, declared in settings.criteria.items()
        ]
        unknown = "judge" if settings.judges_unknown else "not_found"
        return _ok({"criteria": listed_ones, "unknown_criteria": unknown})

    def set_unknown(self, order: Order) -> Reply:
        value = unknown_criteria(body_members(order.body, ("unknown_criteria",)))
        set_unknown(partial(self.session, order), value)
        return self.criteria(order)

    def set_criterion(self, order: Order) -> Reply:
        base, name = self.service.settings, order.argument
        declared = set_criterion(partial(self.session, order), base, name, order.body)
        return _ok(listed_criterion(reference(name)[0], declared, True))

    def reset_criterion(self, order: Order) -> Reply:
        reference(order.argument)  # what is no criterion is told before a session that isn't there
        reset_criterion(self.known(order), self.service.settings, order.argument)
        return _ok({"status": "ok"})

    # Scripts and faults.

    def shown_rules(self, order: Order, kind: str) -> Reply:
        session, file = self.known(order), self.service.settings
        return _ok({kind: in_order(getattr(session.overrides, kind), getattr(file, kind))})

    def add_rules(self, order: Order, kind: str) -> Reply:
        rules = add_rules(partial(self.session, order), kind, order.body)
        return _ok({"places": [rule.place for rule in rules]}, 201)

    def drop_rules(self, order: Order, kind: str) -> Reply:
        session = self.known(order)
        removed = len(getattr(session.overrides, kind))
        session.override(**{kind: ()})
        return _ok({"status": "ok", "removed": removed})

    # Limits.

    def limits(self, order: Order) -> Reply:
        return self.limits_of(self.known(order))

    def limits_of(self, session: Session) -> Reply:
        limits = self.in_force(session).limits
        return _ok(
            {
                "requests_per_minute": _bounded(limits.requests_per_minute),
                "concurrent": _bounded(limits.concurrent),
                "source": self.source_of(limits, session),
            }
        )

    def source_of(self, limits: Limits, session: Session) -> str:
        """Where the limits in force were set."""
        if session.overrides.limits is not None:
            return "runtime"
        return "default" if limits.none else "file"

    def set_limits(self, order: Order) -> Reply:
        return self.limits_of(set_limits(partial(self.session, order), order.body))

    def drop_limits(self, order: Order) -> Reply:
        session = self.known(order)
        session.override(limits=None)
        return self.limits_of(session)

    # Datasets and models.

    def project(self, order: Order) -> Reply:
        return _ok(made_by_clients(self.in_force(self.known(order))))

    # Sessions.

    def sessions(self, order: Order) -> Reply:
        self.service.sessions.expire(order.head.at)
        return _ok(
            {"sessions": [session_status(session, order.head) for session in self.service.sessions.all()]}
        )

    def make_session(self, order: Order) -> Reply:
        sessions, at = self.service.sessions, order.head.at
        body = body_members({} if order.body is None else order.body, ("name",))
        name = session_name(body)
        if name is None:
            return _ok(session_status(sessions.fresh(at), order.head), 201)
        new = not sessions.has(name)
        return _ok(session_status(sessions.open(name, at), order.head), 201 if new else 200)

    def one_session(self, order: Order) -> Reply:
        return _ok(session_status(self.service.sessions.known(order.argument, order.head.at), order.head))

    def close_session(self, order: Order) -> Reply:
        name = order.argument
        if name == DEFAULT:
            raise BadRequest("the default session can't be closed; POST /_mock/reset empties it.")
        if not self.service.sessions.remove(name):
            raise absent(name)
        return _ok({"status": "ok"})

    # Journal.

    def requests(self, order: Order) -> Reply | Effects:
        sessions, wanted = self.chosen(order), filtered(order.query)
        export, most = EXPORTS.get(export_format(order.query)), limit(order.query)
        found = [entry for entry in newest(sessions) if wanted.holds(entry)]
        if export:
            return _sent_export(export, found[:most][::-1])
        return _ok(
            {
                "requests": [summary(entry) for entry in found[:most]],
                "count": len(found),
                "dropped": sum(session.journal.dropped for session in sessions),
            }
        )

    def one_request(self, order: Order) -> Reply:
        name, _, number = order.argument.rpartition("-")
        if not (name and number.isascii() and number.isdigit() and len(number) < 18):
            expected = "as GET /_mock/requests shows it: the session's name, a hyphen and a number"
            raise NotFound(f"{quoted(order.argument)} is no id of a request ({expected}).")
        session = self.service.sessions.known(name, order.head.at)
        entry = session.journal.find(int(number))
        if entry is None:
            raise NotFound(f"the journal of session {quoted(name)} keeps no request {int(number)}.")
        return _ok(detail(entry))

    def forget_requests(self, order: Order) -> Reply:
        removed = sum(session.journal.clear() for session in self.chosen(order))
        return _ok({"status": "ok", "removed": removed})

    def events(self, order: Order) -> Reply | Effects:
        self.chosen(order)  # one that isn't there is told at once
        sessions, wanted = self.service.sessions, filtered(order.query)
        after = last_seen(order.head, order.query.get("after"), sessions.newest)
        if order.head.method == "HEAD":
            return Reply(200, b"", FEED_HEADERS)
        if self.feeds >= MOST_FEEDS:
            raise TooManyRequests(
                f"{MOST_FEEDS} feeds are open, the most there may be; close one.", seconds=1
            )
        return self.fed(Feed(sessions, order.session or DEFAULT, wanted, after))

    def fed(self, feed: Feed) -> Effects:
        """Count a feed while it is open."""
        self.feeds += 1
        try:
            return (yield from feed.exchange(_SAFE))
        finally:
            self.feeds -= 1

    def verify(self, order: Order) -> Reply:
        body = body_members(order.body, ("when", *EXPECTATIONS))
        when = part(lambda: configfile.parse_when(body.get("when", {})), "/when")
        sessions = self.chosen(order)
        verdict = verify(newest(sessions), when, expectation(body))
        return _ok({**verdict, "dropped": sum(session.journal.dropped for session in sessions)})


def _sent_export(export: Export, entries: Sequence[Entry]) -> Effects:
    """Send exchanges one after the other, with pauses for other requests."""
    headers = ((b"content-type", export.content_type.encode()), *_SAFE)
    yield Begin(200, headers)
    for piece in export.pieces(entries):
        yield Piece(piece)
    return Reply(200, b"", headers)


def _rule_routes(kind: str) -> tuple[Route, ...]:
    """The routes that list rules of a kind, add some, and drop those that were added."""
    path = f"/{kind}"
    return (
        Route("GET", path, partial(Control.shown_rules, kind=kind)),
        Route("POST", path, partial(Control.add_rules, kind=kind), "required"),
        Route("DELETE", path, partial(Control.drop_rules, kind=kind)),
    )


ROUTES = (
    Route("GET", "/health", Control.health),
    Route("GET", "/ready", Control.ready),
    Route("GET", "/metrics", Control.metrics),
    Route("GET", "/status", Control.status),
    Route("GET", "/openapi.yaml", Control.document),
    Route("GET", "/config", Control.config),
    Route("POST", "/reset", Control.reset),
    Route("PUT", "/config", Control.set_config, "text"),
    Route("DELETE", "/config", Control.drop_config),
    Route("POST", "/config/check", Control.check_config, "text"),
    Route("GET", "/criteria", Control.criteria),
    Route("PUT", "/criteria", Control.set_unknown, "required"),
    Route("PUT", "/criteria/{id}", Control.set_criterion, "required"),
    Route("DELETE", "/criteria/{id}", Control.reset_criterion),
    *_rule_routes("completions"),
    *_rule_routes("faults"),
    Route("GET", "/limits", Control.limits),
    Route("PUT", "/limits", Control.set_limits, "required"),
    Route("DELETE", "/limits", Control.drop_limits),
    Route("GET", "/project", Control.project),
    Route("GET", "/sessions", Control.sessions),
    Route("POST", "/sessions", Control.make_session, "optional"),
    Route("GET", "/sessions/{name}", Control.one_session),
    Route("DELETE", "/sessions/{name}", Control.close_session),
    Route("GET", "/requests", Control.requests, parameters=(*FILTERS, "limit", "format")),
    Route("GET", "/requests/{id}", Control.one_request),
    Route("DELETE", "/requests", Control.forget_requests),
    Route("GET", "/events", Control.events, parameters=(*FILTERS, "after")),
    Route("POST", "/verify", Control.verify, "required"),
)
FORGETFUL = frozenset((f"{ROOT}/health", f"{ROOT}/openapi.yaml"))
"""Paths whose answers need nothing that a session remembers."""
PREFIXED = re.compile(r"/_mock/sessions/(?P<name>[^/]+)(?P<path>/_mock/.*)", re.DOTALL)
_SLASHED = ("/criteria/{id}",)
"""Paths whose argument may hold slashes."""


def pattern(path: str) -> re.Pattern[str]:
    """A pattern for whole paths of requests, whose group is the argument in a route's path."""
    argument = "(.+)" if path in _SLASHED else "([^/]+)"
    return re.compile(re.sub(r"\\\{\w+\\\}", lambda _: argument, re.escape(ROOT + path)), re.DOTALL)


_PATTERNS = {route.path: pattern(route.path) for route in ROUTES}


def _found(method: str, path: str, root: str) -> tuple[Route, str]:
    """The route of a request, and the argument in its path. Raises NotFound, MethodNotSupported."""
    for template, regex in _PATTERNS.items():
        match = regex.fullmatch(path)
        if match:
            return _by_method(method, path, template, root), "".join(match.groups())
    whole = [ROOT + each for each in _PATTERNS]
    near = nearest(path, whole) if path.strip("/") != ROOT.strip("/") else None
    advice = (
        f"did you mean {root}{near}?" if near else f"GET {root}/_mock/openapi.yaml describes what there is."
    )
    raise NotFound(f"there is no {quoted(root + path)} here; {advice}")


def _by_method(method: str, path: str, template: str, root: str) -> Route:
    """The route of a path by its method; HEAD is answered as GET is."""
    routes = {route.method: route for route in ROUTES if route.path == template}
    if "GET" in routes:
        routes["HEAD"] = routes["GET"]
    if method not in routes:
        taken = sorted(routes)
        raise MethodNotSupported(
            f"{quoted(root + path)} takes {listed(taken, 'and')}, not {quoted(method)}.", allow=taken
        )
    return routes[method]


def _ok(value: Json, status: int = 200) -> Reply:
    return Reply(status, orjson.dumps(value))


def _bounded(number: int | None) -> int | None:
    """A number that every JSON reader understands: at most 2^53 - 1, which no count reaches."""
    return None if number is None else min(number, 2**53 - 1)
