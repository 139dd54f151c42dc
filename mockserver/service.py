"""Request in, reply out: the one seam between the contract and whatever carries bytes.

The service knows no socket, no framework and no clock. What needs the outside world it yields as an effect,
and the adapter carries it out and sends the result back in. So no two adapters can disagree.
"""

import math
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import orjson

from mockserver import completions, faults, judge, magic, reports
from mockserver.admission import announced, authorize, broken, expect_json, too_large
from mockserver.config import Fault, Settings
from mockserver.effects import (
    JSON_HEADERS,
    Begin,
    Exchange,
    Head,
    HeaderList,
    Headers,
    Piece,
    ReadBody,
    Reply,
    Tick,
    Wait,
)
from mockserver.errors import (
    ApiError,
    BadRequest,
    CriterionFailed,
    InternalServerError,
    ParseError,
    TooManyRequests,
    Unauthorized,
)
from mockserver.forms import Content
from mockserver.journal import MOST_KEPT, Entry, sent_token
from mockserver.paths import BASE, NAMES, SERVED, SESSION, WRITES_LOG, not_found, wrong_method
from mockserver.spec import contract
from mockserver.spoiling import spoiled
from mockserver.state import Session, Sessions, fingerprint
from mockserver.strictjson import parse
from mockserver.variants import named, varied
from mockserver.visit import Visit

Endpoint = Callable[[Visit, Any], Reply | Exchange]
"""A visit and its parsed body in; a reply out, or an exchange that goes on."""

ENDPOINTS = {f"{BASE}{path}": name for path, name in NAMES.items()}
"""Path → the short name of its endpoint."""
TICK = Tick()
REQUEST_ID = b"x-request-id"
"""The header that says under which id the journal keeps the exchange; OpenAI's clients show it."""
SCHEMAS = {"judge": "JudgeCriteriaRequest", "chat": "ChatCompletionRequest"} | {
    NAMES[path]: report.schema for path, report in reports.REPORTS.items() if report.schema
}
"""Endpoint → the schema of its body."""
FURTHER: Mapping[str, Callable[[Visit, Any], object]] = {
    "judge": lambda visit, body: None,
    "chat": completions.check,
    **reports.CHECKS,
}
"""Endpoint → what raises for a body that its schema takes and its engine refuses."""


@dataclass
class ConfigFile:
    """The file that settings come from: its path ("" without one), how often it was read and found right,
    and what is wrong with its newest version, which is then not in force. `seen` stands for its bytes."""

    path: str = ""
    loads: int = 0
    problems: tuple[str, ...] = ()
    missing: bool = False
    seen: bytes = b""


class Service:
    """One mock with its settings and its memory. `exchange` is all that an adapter calls.

    `settings` may be replaced at any time: requests under way go on under those that they began with.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        file: ConfigFile | None = None,
        sessions: Sessions | None = None,
    ) -> None:
        self.settings = settings or Settings()
        self.file = file or ConfigFile()
        self.sessions = Sessions() if sessions is None else sessions
        self.sessions.base = lambda: self.settings
        self.named: set[str] = set()
        self.endpoints: dict[str, Endpoint] = {
            "/criteria/judge": judgement,
            "/chat/completions": completions.answer,
            **reports.endpoints(),
        }
        contract().warm(
            "JudgeCriteriaRequest", "JudgeCriteriaInput", "JudgeCriteriaOutput", "ChatCompletionRequest"
        )

    def exchange(self, head: Head) -> Exchange:
        """Answer one request. Order: method and path, key, limits, faults, body, model, engine."""
        try:
            visit = self.visit(head)
        except ApiError as error:
            return refusal(error, twice=head.path.endswith("/chat/completions"))
        visit.session.under_way += 1
        # That of now: after a reset a late request belongs to what was forgotten.
        journal = visit.session.journal
        try:
            reply = yield from self.answer(visit)
            visit.entry.seconds = (yield TICK) - head.at
            return finished(visit, reply)
        finally:
            visit.session.under_way -= 1
            journal.add(visit.entry, visit.token)

    def visit(self, head: Head) -> Visit:
        """Who asks what. Raises ApiError for a session that isn't there."""
        named = SESSION.fullmatch(head.path) if head.path.startswith("/_mock/") else None
        name = named["name"] if named else head.headers.get(b"x-mock-session", b"").decode("latin-1")
        path = named["path"] if named else head.path
        session = self.named_session(name, head) if name else self.sessions.default
        session.requests += 1
        settings = session.settings(self.settings)
        entry = Entry(session.requests, session.name, head.method, head.path, head.headers, settings, head.at)
        entry.endpoint = ENDPOINTS.get(path, "")
        return Visit(head, path, session, settings, entry, self.named)

    def named_session(self, name: str, head: Head) -> Session:
        """The session that a request names. Raises BadRequest for its own key: no journal shall show it."""
        if name.encode("utf-8", "replace") == sent_token(head.headers):
            raise BadRequest.at("session", "this is the request's own key; name the session otherwise.")
        return self.sessions.find(name, head.at)

    def answer(self, visit: Visit) -> Exchange:
        """Answer a request once its path, key and limits are in order."""
        try:
            endpoint = self.admitted(visit)
            if visit.settings.limits.none:
                return (yield from self.limited(visit, endpoint))
            with within_limits(visit):
                return (yield from self.limited(visit, endpoint))
        except ApiError as error:
            return refused(visit, error)

    def admitted(self, visit: Visit) -> Endpoint:
        """The endpoint that is meant. Raises ApiError for a path, method or key that won't do."""
        head, settings = visit.head, visit.settings
        if not visit.entry.endpoint:
            raise not_found(visit.path)
        tail = visit.path.removeprefix(BASE)
        if head.method != SERVED[tail]:
            raise wrong_method(head.method, visit.path)
        visit.token = authorize(head.headers, settings.keys, settings.read_only_keys)
        visit.read_only = is_read_only(visit)
        return self.endpoints[tail]

    def limited(self, visit: Visit, endpoint: Endpoint) -> Exchange:
        """Answer a request by its endpoint, unless a fault is due; a body's faults come after those."""
        body, problem = None, None
        if visit.head.method == "POST":
            try:
                expect_body(visit.head.headers, self.settings.max_body_bytes)
                sent: bytes | None = yield ReadBody(self.settings.max_body_bytes)
                body = self.parsed(visit, sent)
            except ApiError as error:
                problem = error
        else:
            visit.entry.checked = True
        reply = responding(visit, endpoint, body, problem)
        return reply if isinstance(reply, Reply) else (yield from reply)

    def parsed(self, visit: Visit, sent: bytes | None) -> Any:
        """The body's JSON. Raises PayloadTooLarge, ParseError."""
        if sent is None:
            raise too_large(self.settings.max_body_bytes)
        visit.entry.body = sent
        visit.entry.checked = True
        return parse(sent)


def expect_body(headers: Headers, limit: int) -> None:
    """What a body's headers must say before it is read."""
    if announced(headers) > limit:
        raise too_large(limit)
    expect_json(headers)


def responding(visit: Visit, endpoint: Endpoint, body: Any, problem: ApiError | None) -> Reply | Exchange:
    """What is answered: a reply at once where nothing has to be waited for or sent in pieces."""
    fault, streams = due(visit, body), asks_for_stream(visit, body)
    if fault is not None:
        visit.entry.faults.append(faults.describe(fault))
        visit.entry.struck = fault.place
        check(visit, body, problem)
        answering, refusing = engine(visit, endpoint, body, problem), partial(refused, visit)
        spoilt = spoiled(answering, fault, visit.settings.pace, refusing, streams=streams)
        return recorded(spoilt, visit.entry)
    if visit.settings.variant:
        check(visit, body, problem)  # an answer that the variant refuses is never asked for
        answering, variant = engine(visit, endpoint, body, problem), named(visit.settings.variant)
        return recorded(varied(answering, variant, visit.entry.endpoint, visit.session.count), visit.entry)
    reply = asked(visit, endpoint, body, problem)
    if isinstance(reply, Reply):
        return reply
    return recorded(guarded(visit, reply), visit.entry) if streams else guarded(visit, reply)


def asked(visit: Visit, endpoint: Endpoint, body: Any, problem: ApiError | None) -> Reply | Exchange:
    """What the endpoint answers, or why it doesn't."""
    try:
        if problem is not None:
            raise problem
        return endpoint(visit, body)
    except ApiError as error:
        return refused(visit, error)


def guarded(visit: Visit, exchange: Exchange) -> Exchange:
    """An exchange that goes on; what it refuses is an answer too."""
    try:
        return (yield from exchange)
    except ApiError as error:
        return refused(visit, error)


def engine(visit: Visit, endpoint: Endpoint, body: Any, problem: ApiError | None) -> Exchange:
    """The same as an exchange, which asks the endpoint only when it is begun."""
    reply = asked(visit, endpoint, body, problem)
    return reply if isinstance(reply, Reply) else (yield from guarded(visit, reply))


def is_read_only(visit: Visit) -> bool:
    """Whether the key may only read. Raises Unauthorized where it would write a log (source)."""
    known = visit.settings.read_only_keys
    if not known or visit.token.decode("latin-1") not in known:
        return False
    if visit.entry.endpoint in WRITES_LOG:
        raise Unauthorized("this key is read-only and may not write logs; use one that may.")
    return True


@contextmanager
def within_limits(visit: Visit) -> Generator[None]:
    """Count a request against the limits of its key. Raises TooManyRequests where it is over one."""
    credential = fingerprint(visit.token)
    traffic, over, seconds = visit.session.enter(credential, visit.settings.limits, visit.head.at)
    if over:
        wait = max(1, math.ceil(seconds))
        raise TooManyRequests(f"this key may send {over}; try again in {wait} s.", seconds=wait)
    traffic.under_way += 1
    try:
        yield
    finally:
        traffic.under_way -= 1


def due(visit: Visit, body: Any) -> Fault | None:
    """What shall go wrong with a request: by its headers, by the settings' faults, by its model."""
    settings, headers = visit.settings, visit.head.headers
    fault = None
    if settings.magic and b"x-mock-fault" in headers:
        fault = faults.magic_fault(headers[b"x-mock-fault"].decode("latin-1"))
    if settings.faults and fault is None:
        lot = faults.Lot(settings.seed, visit.entry.body or b"")
        subject, streams = visit.subject(body), asks_for_stream(visit, body)
        found = faults.due(settings.faults, subject, visit.session.count, lot, streams=streams)
        fault = found.fault
        visit.entry.passed = tuple((each.fault.place, each.why) for each in found.passed)
    if settings.magic and (fault is None or faults.only_delays(fault)):
        asked = by_model(visit, body)
        fault = replace(asked, delay=asked.delay + fault.delay) if asked and fault else asked or fault
    delay = magic.delay(headers) if settings.magic and b"x-mock-delay-ms" in headers else 0.0
    if delay:
        fault = replace(fault or Fault(place="header x-mock-delay-ms"), delay=delay)
    return fault


def by_model(visit: Visit, body: Any) -> Fault | None:
    """What the request's model asks to go wrong; a model that is declared under such a name wins."""
    model = body.get("model") if visit.entry.endpoint == "chat" and isinstance(body, dict) else None
    if not isinstance(model, str) or model in visit.settings.known_models:
        return None
    return magic.model_fault(model)


def asks_for_stream(visit: Visit, body: Any) -> bool:
    return visit.entry.endpoint == "chat" and isinstance(body, dict) and body.get("stream") is True


def check(visit: Visit, body: Any, problem: ApiError | None) -> None:
    """Hold a request against the contract that may never reach its engine."""
    endpoint = visit.entry.endpoint
    schema = SCHEMAS.get(endpoint)
    try:
        if problem is not None:
            raise problem
        if schema:
            checker = contract().checker(schema)
            body = body if checker.is_valid(body) else checker.tidy(body)
            if not checker.is_valid(body):
                raise broken(checker, body)
            FURTHER[endpoint](visit, body)
    except (BadRequest, ParseError) as error:
        visit.entry.violations = error.issues or (error.message,)
    except ApiError:
        return  # nothing is wrong with its form


def judgement(visit: Visit, body: Any) -> Reply | Exchange:
    """`POST /criteria/judge`."""
    request = visit.accept("JudgeCriteriaRequest", body)
    asked = judge.criterion(request["criterion_id"], visit.settings)
    visit.meet(asked)
    given, output = request.get("input", {}), request["output"]
    tidy = visit.entry.body is not None and judge.is_tidy(visit.entry.body)
    digest = judge.content(judge.scene(given, tidy=tidy), output, tidy=tidy)
    found = visit.judge(asked, Content(given, output, digest))
    visit.entry.criteria = (str(asked),)
    visit.entry.scores = [{asked.name: found.score}]
    if found.error:
        raise CriterionFailed(*found.error, seconds=retry_after(visit, asked, found.error[0]))
    reply = Reply(200, orjson.dumps(found.body()), subject=f"{asked} {found.score}")
    return later(asked.delay, reply) if asked.delay else reply


def retry_after(visit: Visit, asked: judge.Criterion, status: int) -> float | None:
    """When to come again, after a magic criterion's error: as a magic model says it."""
    is_magic = visit.settings.magic and asked.name not in visit.settings.criteria
    return magic.RETRY_AFTER.get(status) if is_magic else None


def later(seconds: float, reply: Reply) -> Exchange:
    yield Wait(seconds)
    return reply


def recorded(exchange: Exchange, entry: Entry) -> Exchange:
    """The same exchange, of whose pieces the journal keeps the first."""
    kept: list[bytes] = []
    room = MOST_KEPT
    try:
        effect = next(exchange)
        while True:
            match effect:
                case Begin(status, headers):
                    entry.streamed, entry.status = is_stream(headers), status
                    effect = Begin(status, (*headers, (REQUEST_ID, entry.id.encode())))
                case Piece(data):
                    kept.append(data[:room])
                    entry.answer_left_out += max(0, len(data) - room)
                    room = max(0, room - len(data))
            effect = exchange.send((yield effect))
    except StopIteration as stop:
        reply: Reply = stop.value
        return reply
    finally:
        exchange.close()
        entry.answer = b"".join(kept)


def is_stream(headers: HeaderList) -> bool:
    """Whether an answer is a stream of events."""
    return any(name == b"content-type" and value.startswith(b"text/event-stream") for name, value in headers)


def finished(visit: Visit, reply: Reply) -> Reply:
    """The reply with what the user should know of it; the journal notes it too."""
    entry = visit.entry
    entry.status = reply.status
    if reply.body:
        entry.answer = reply.body
    if reply.notes:
        visit.note(*reply.notes)
    reply.headers = (*reply.headers, (REQUEST_ID, entry.id.encode()))
    reply.notes = entry.notes
    return reply


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
