"""The service: takes a request as a `Head` and returns a `Reply`, whatever carries the bytes.

It knows no socket, no framework and no clock. Where it needs the outside world it yields an effect
(`core.effects`); an adapter, such as `server.transport`, carries the effect out and sends the result back in.
So all adapters give the same answers.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from openpipe_mock.answers import magic
from openpipe_mock.config.file import ConfigFile
from openpipe_mock.config.settings import Settings
from openpipe_mock.core.effects import (
    Effects,
    Head,
    HeaderList,
    Headers,
    ReadBody,
    Reply,
    Tick,
)
from openpipe_mock.core.errors import (
    ApiError,
    BadRequest,
    Forbidden,
    ParseError,
    SessionNotFound,
    TooManyRequests,
    TooManySessions,
    Unauthorized,
)
from openpipe_mock.core.secrets import secret_members
from openpipe_mock.core.strictjson import parse
from openpipe_mock.core.wording import quoted
from openpipe_mock.faults.fault import Fault, with_fault
from openpipe_mock.faults.headers import accepts_gzip, compressed
from openpipe_mock.faults.kinds import Context
from openpipe_mock.faults.magic import header_fault, model_fault
from openpipe_mock.faults.selection import Sampler, select
from openpipe_mock.faults.streams import with_headers
from openpipe_mock.faults.variants import variant_named, with_variant
from openpipe_mock.openapi.endpoints import (
    ENDPOINTS,
    SESSION,
    Endpoint,
    endpoint_at,
    not_found,
    wrong_method,
)
from openpipe_mock.openapi.spec import contract
from openpipe_mock.service import completions, projects, reporting
from openpipe_mock.service.admission import (
    announced,
    authorize,
    expect_json,
    is_foreign,
    too_large,
)
from openpipe_mock.service.journaling import finished, with_journal
from openpipe_mock.service.judging import answer_judge
from openpipe_mock.service.metrics import Metrics
from openpipe_mock.service.refusals import refusal, refused
from openpipe_mock.service.request import AnswerSource, Handler, Visit, resumed
from openpipe_mock.sessions.journal import Entry, sent_token
from openpipe_mock.sessions.memory import Session, Sessions, fingerprint

_TICK = Tick()
HANDLERS: Mapping[str, Handler] = {
    "judge": Handler(answer_judge),
    "chat": Handler(completions.answer, completions.check_request),
    **reporting.REPORTING,
    **projects.PROJECTS,
}
"""Name of an endpoint → its handler."""
_Wrapper = Callable[[Effects], Effects]
"""Takes the exchange that answers a request, returns one that does something around it."""
_FOREIGN = "a page of another site begins no session; POST /_mock/sessions opens one that it may then use."
Keep = Callable[[Visit, Reply], None]
"""Takes an answer before the request's id and notes are added to it."""


class Service:
    """One mock with its settings and its memory. An adapter calls `exchange`, or `answer` if it has the body.

    `settings` may be replaced at any time; requests under way keep those that they began with.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        file: ConfigFile | None = None,
        sessions: Sessions | None = None,
        source: AnswerSource | None = None,
    ) -> None:
        self.settings = settings or Settings()
        self.file = file or ConfigFile()
        self.sessions = Sessions() if sessions is None else sessions
        self.sessions.base = lambda: self.settings
        self.sessions.room.most = self.settings.max_kept_bytes
        self.source = source
        self.metrics = Metrics()
        self.journal_file: Callable[[Entry, bytes], None] | None = None
        """Takes each exchange that is over, with the request's token, to keep it beside the journal."""
        self.is_ready: Callable[[], bool] = lambda: True
        """Whether requests may come: not while the server starts, and not once it ends."""
        self.noted_once: set[str] = set()
        contract().warm(
            "JudgeCriteriaRequest", "JudgeCriteriaInput", "JudgeCriteriaOutput", "ChatCompletionRequest"
        )

    def exchange(self, head: Head, keep: Keep | None = None) -> Effects:
        """Answer one request. Order: method and path, key, limits, faults, body, model, engine.

        `keep`: called with an answer that was made without time passing.
        """
        try:
            visit = self.visit(head)
        except ApiError as error:
            self.metrics.answered("", error.status, 0.0)
            return refusal(error, head.path, sent_token(head.headers), *self.settings.secrets)
        visit.session.under_way += 1
        try:
            try:
                self.admit(visit)
                body = None
                if visit.reads_body:
                    body = self.read(visit, (yield ReadBody(self.settings.max_body_bytes)))
                reply = self.responding(visit, body)
                if not isinstance(reply, Reply):
                    reply = yield from reply
                elif keep:
                    keep(visit, reply)
            except ApiError as error:
                reply = refused(visit, error)
            return finished(visit, reply, (yield _TICK))
        finally:
            self.end(visit)

    def answer(
        self, head: Head, body: bytes, clock: Callable[[], float], keep: Keep | None = None
    ) -> Reply | Effects:
        """Answer a request whose body is here: a reply, or the rest of the exchange where time has to pass.

        `clock`: seconds on the clock of `Head.at`.
        """
        exchange = self.exchange(head, keep)
        try:
            effect = next(exchange)
            while True:
                if isinstance(effect, ReadBody):
                    effect = exchange.send(body if len(body) <= effect.limit else None)
                elif isinstance(effect, Tick):
                    effect = exchange.send(clock())
                else:
                    return resumed(exchange, effect)
        except StopIteration as stop:
            reply: Reply = stop.value
            return reply

    def end(self, visit: Visit) -> None:
        """End a visit, however it went, and add its entry to the journal."""
        # The errors' tracebacks refer to the visit: a cycle that only the garbage collector would free.
        visit.problem = visit.barred = None
        visit.session.under_way -= 1
        if visit.traffic:
            visit.traffic.leave()
        self.metrics.exchanged(visit.entry, visit.token)
        if self.journal_file:
            self.journal_file(visit.entry, visit.token)
        visit.journal.add(visit.entry, visit.token, visit.value)

    def visit(self, head: Head) -> Visit:
        """A new visit with its session, settings and journal entry. Raises ApiError: see `named_session`."""
        path = head.path
        named = SESSION.fullmatch(path) if path.startswith("/_mock/") else None
        name = named["name"] if named else head.headers.get(b"x-mock-session", b"").decode("latin-1")
        path = named["path"] if named else path
        if name:
            session, barred = self.named_session(name, path, head)
        else:
            session, barred = self.sessions.default, None
            session.begin()
        settings = session.settings(self.settings)
        entry = Entry(
            session.requests, session.name, head.method, head.path, head.headers, settings, head.at, head.time
        )
        endpoint = endpoint_at(path, head.method)
        entry.endpoint = endpoint.name if endpoint else ""
        if head.query:
            entry.query_secrets = secret_members(head.query)
        visit = Visit(head, path, session, settings, entry, self.noted_once, session.journal, barred=barred)
        visit.source = session.source or self.source
        if barred:
            visit.note(f"it names the session {quoted(name)}, which isn't there")
        return visit

    def named_session(self, name: str, path: str, head: Head) -> tuple[Session, ApiError | None]:
        """The session that a request names, and why the request may not make it, if so; counts the request.

        A session that isn't there is made. Where the request may not do that, it counts in the default
        session, whose journal keeps the reason. Raises BadRequest for a name that is the request's own key,
        which no journal may show, and NotFound for a session that expired.
        """
        if name.encode("utf-8", "replace") == sent_token(head.headers):
            raise BadRequest.at("session", "this is the request's own key; name the session otherwise.")
        barred = self.session_refusal(path, head)
        try:
            session = self.sessions.find(name, head.at, make=barred is None)
            session.begin()
            return session, None
        except SessionNotFound:
            pass
        except TooManySessions as error:
            barred = error
        session = self.sessions.default
        session.begin()
        return session, barred

    def session_refusal(self, path: str, head: Head) -> ApiError | None:
        """Why a request may not make a session, None where it may.

        It needs a path and method that are served and a key that is accepted, and may not come from a page of
        another site. A new session has the mock's own settings, so those decide.
        """
        settings = self.settings
        try:
            endpoint = _expect_served(head, path)
            token = authorize(head.headers, settings.keys, settings.read_only_keys)
            _is_read_only(token, endpoint, settings)
        except ApiError as error:
            return error.with_traceback(None)  # which refers to the visit: see `end`
        return Forbidden(_FOREIGN) if is_foreign(head.headers) else None

    def admit(self, visit: Visit) -> None:
        """Check path, method, key and limits, and what the headers say of the body. Raises ApiError.

        What is wrong with the body's headers is kept as the visit's `problem` and raised later: faults come
        first.
        """
        head, settings = visit.head, visit.settings
        if visit.barred:
            raise visit.barred
        endpoint = _expect_served(head, visit.path)
        visit.token = authorize(head.headers, settings.keys, settings.read_only_keys)
        if settings.outdated:
            visit.once(settings.outdated)
        visit.read_only = _is_read_only(visit.token, endpoint, settings)
        if not settings.limits.none:
            _enter(visit)
        if head.method != "POST":
            visit.entry.checked = True
            return
        try:
            _expect_body(head.headers, self.settings.max_body_bytes)
            visit.reads_body = True
        except ApiError as error:
            visit.problem = error

    def responding(self, visit: Visit, body: Any) -> Reply | Effects:
        """The answer: a reply, or an exchange where time has to pass or the answer is sent in pieces."""
        fault, streams = _due(visit, body), _asks_for_stream(visit, body)
        if fault is None and not streams and not visit.settings.variant:
            answer = _asked(visit, body)
            # A source may stream what nobody asked to be streamed.
            return (
                with_journal(answer, visit.entry)
                if visit.source and not isinstance(answer, Reply)
                else answer
            )
        if fault is not None or visit.settings.variant:
            _check(visit, body)  # a request that a fault or variant refuses never reaches its endpoint
        if fault is not None:
            self.metrics.struck(fault)
            visit.entry.faults.append(fault.describe())
            visit.entry.struck = fault.place
        exchange = with_headers(_engine(visit, body), visit.rates) if visit.rates else _engine(visit, body)
        for wrap in _wrappers(visit, fault, streams, body):
            exchange = wrap(exchange)
        return exchange

    def read(self, visit: Visit, sent: bytes | None) -> Any:
        """The body's JSON. None where it is too long or no JSON, which is kept as the visit's `problem`."""
        try:
            if sent is None:
                raise too_large(self.settings.max_body_bytes)
            visit.entry.body = sent
            visit.entry.checked = True
            visit.value = parse(sent)
            return visit.value
        except ApiError as error:
            visit.problem = error
            return None


def _expect_served(head: Head, path: str) -> Endpoint:
    """The endpoint of a path. Raises NotFound where there is none, MethodNotSupported for another method."""
    endpoint = endpoint_at(path, head.method)
    if endpoint is None:
        raise not_found(head, path)
    if head.method != endpoint.method:
        raise wrong_method(head, path)
    return endpoint


def _expect_body(headers: Headers, limit: int) -> None:
    """Raise ApiError where headers announce a body that is too long or isn't JSON."""
    if announced(headers) > limit:
        raise too_large(limit)
    expect_json(headers)


def _wrappers(visit: Visit, fault: Fault | None, streams: bool, body: Any) -> list[_Wrapper]:
    """What stands around the exchange that answers, innermost first: the fault or variant, the journal.

    Around the journal, which keeps what it can read, stands what compresses.
    """
    settings, entry = visit.settings, visit.entry
    journal = partial(with_journal, entry=entry)
    if fault is None and not settings.variant:
        return [journal]
    refusing, count = partial(refused, visit), visit.memory.count
    draw = partial(Sampler(settings.seed, entry.body or b"").number, fault.share_key if fault else "")
    context = Context(entry.endpoint, streams, settings.pace, refusing, count, str(fault or ""), draw)
    if fault is None:
        variant = variant_named(settings.variant)
        packing = [compressed] if variant.compresses and accepts_gzip(visit.head.headers) else []
        return [partial(with_variant, variant=variant, context=context, asked=body), journal, *packing]
    return [partial(with_fault, fault=fault, context=context), journal]


def _asked(visit: Visit, body: Any) -> Reply | Effects:
    """What the endpoint answers. Raises ApiError for what it refuses."""
    if visit.source and (visit.problem is None or visit.entry.body is not None):
        try:
            answer = visit.source.answer(visit)
        except ApiError:
            _check(visit, body)
            raise
        if answer is not None:
            _check(visit, body)
            return answer
    if visit.problem is not None:
        raise visit.problem
    return HANDLERS[visit.entry.endpoint].answer(visit, body)


def _engine(visit: Visit, body: Any) -> Effects:
    """An exchange that asks the endpoint once it is begun; an ApiError becomes the reply."""
    try:
        reply = _asked(visit, body)
        return reply if isinstance(reply, Reply) else (yield from reply)
    except ApiError as error:
        return refused(visit, error)


def _is_read_only(token: bytes, endpoint: Endpoint, settings: Settings) -> bool:
    """Whether the key may only read. Raises Unauthorized where the endpoint writes something (source)."""
    known = settings.read_only_keys
    if not known or token.decode("latin-1") not in known:
        return False
    if endpoint.writes:
        raise Unauthorized("this key is read-only and may change nothing, logs included; use one that may.")
    return True


def _enter(visit: Visit) -> None:
    """Count a request against the limits of its key. Raises TooManyRequests where it is over one."""
    credential = fingerprint(visit.token)
    traffic, over, seconds = visit.session.enter(credential, visit.settings.limits, visit.head.at)
    visit.rates = _rate_headers(visit.settings.limits.requests_per_minute, *traffic.spent(visit.head.at))
    if over:
        wait = max(1, math.ceil(seconds))
        raise TooManyRequests(f"this key may send {over}; try again in {wait} s.", seconds=wait)
    visit.traffic = traffic


def _rate_headers(most: int | None, requests: int, seconds: float) -> HeaderList:
    """What OpenAI's service says of a limit of requests a minute; nothing without one."""
    if most is None:
        return ()
    minutes, rest = divmod(max(1, math.ceil(seconds)), 60)
    values = {
        "limit": f"{most}",
        "remaining": f"{max(0, most - requests)}",
        "reset": f"{minutes}m{rest}s" if minutes else f"{rest}s",
    }
    return tuple((f"x-ratelimit-{name}-requests".encode(), text.encode()) for name, text in values.items())


def _due(visit: Visit, body: Any) -> Fault | None:
    """The fault that a request meets, if any: by its headers, by the settings' faults, by its model."""
    settings, headers = visit.settings, visit.head.headers
    fault = None
    if settings.magic and b"x-mock-fault" in headers:
        fault = header_fault(headers[b"x-mock-fault"].decode("latin-1"))
    if settings.faults and fault is None:
        sampler = Sampler(settings.seed, visit.entry.body or b"")
        subject, streams = visit.subject(body), _asks_for_stream(visit, body)
        found = select(settings.faults, subject, visit.memory.count, sampler, streams=streams)
        fault = found.fault
        visit.entry.passed = tuple((each.place, why) for each, why in found.skipped)
    if settings.magic and (fault is None or not fault.kinds):  # one without kinds only delays
        asked = _by_model(visit, body)
        fault = replace(asked, delay=asked.delay + fault.delay) if asked and fault else asked or fault
    delay = magic.delay(headers) if settings.magic and b"x-mock-delay-ms" in headers else 0.0
    if delay:
        fault = replace(fault or Fault(place="header x-mock-delay-ms"), delay=delay)
    return fault


def _by_model(visit: Visit, body: Any) -> Fault | None:
    """The fault that a magic model stands for; None for a model that is declared under such a name."""
    model = body.get("model") if visit.entry.endpoint == "chat" and isinstance(body, dict) else None
    if not isinstance(model, str) or model in visit.settings.known_models:
        return None
    return model_fault(model)


def _asks_for_stream(visit: Visit, body: Any) -> bool:
    return isinstance(body, dict) and body.get("stream") is True and ENDPOINTS[visit.entry.endpoint].streams


def _check(visit: Visit, body: Any) -> None:
    """Check a request against the contract, for the journal: a fault may keep it from its engine."""
    endpoint = visit.entry.endpoint
    schema = ENDPOINTS[endpoint].request
    try:
        if visit.problem is not None:
            raise visit.problem
        if schema:
            HANDLERS[endpoint].check(visit, visit.accept(schema, body))
    except (BadRequest, ParseError) as error:
        visit.entry.violations = error.issues or (error.message,)
    except ApiError:
        return  # nothing is wrong with its form
