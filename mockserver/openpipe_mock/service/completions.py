"""Answer `POST /chat/completions`: options, cache, engine, best of n, log and stream, in this order."""

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import orjson

from openpipe_mock.answers import magic, wire
from openpipe_mock.answers.best_of_n import best_of_n, requested
from openpipe_mock.answers.chat import Ask, Completion, complete, understand
from openpipe_mock.answers.functions import Function
from openpipe_mock.answers.judge import Criterion, is_tidy, scene
from openpipe_mock.answers.options import BAD_TAGS, TAGS, HeaderOptions, read_options
from openpipe_mock.answers.pace import Draw, Pace, seconds_of
from openpipe_mock.answers.prompted import prompted_schema
from openpipe_mock.answers.ranking import Ranked
from openpipe_mock.answers.scripts import AS_MADE, Script, ScriptedChoice, reason_against
from openpipe_mock.answers.templates import fill_from
from openpipe_mock.answers.tools import turn_of
from openpipe_mock.answers.turns import Turn
from openpipe_mock.config.settings import Settings
from openpipe_mock.core.effects import Begin, Effect, Effects, Entropy, HeaderList, Now, Piece, Reply, Wait
from openpipe_mock.core.errors import ApiError, BadRequest, Forbidden, NotFound
from openpipe_mock.core.secrets import held
from openpipe_mock.core.seeded import unit
from openpipe_mock.core.strictjson import parse
from openpipe_mock.core.wording import did_you_mean, quoted, quoted_names
from openpipe_mock.faults.streams import STREAM_HEADERS, joined_headers, raw_stream, with_headers
from openpipe_mock.matching.order import not_its_turn
from openpipe_mock.matching.rules import rules_that_hold
from openpipe_mock.openapi.spec import contract
from openpipe_mock.openapi.tolerances import unlimited
from openpipe_mock.service.models import OWN, find_model
from openpipe_mock.service.request import Visit, after, at_once
from openpipe_mock.sessions import calllog
from openpipe_mock.sessions.diagnosis import nearest_script
from openpipe_mock.sessions.journal import Entry
from openpipe_mock.sessions.memory import fingerprint

Json = dict[str, Any]

OFTEN = 20
"""Identical requests after which a note suggests `--repeat vary`."""
_ECHO = "model mock-echo"
"""The place of the script that the magic model stands for; the settings have none there."""
_HEADERS_IN_BODY = (
    'the body has a member "headers"; `op-criteria` and other headers go into the options of the call'
)


def answer(visit: Visit, body: Any) -> Reply | Effects:
    """Answer a request, given its JSON, and log the call where that is asked for. Raises ApiError."""
    chosen = read_options(visit.headers)
    tags = calllog.labels(chosen.tags, TAGS, words=BAD_TAGS)
    return at_once(_answered(visit, chosen, tags, body))


def check_request(visit: Visit, body: Any) -> None:
    """Raise ApiError for a valid body that is refused all the same, or for a bad header."""
    chosen = read_options(visit.headers)
    calllog.labels(chosen.tags, TAGS, words=BAD_TAGS)
    _understood(visit, chosen, body)


@dataclass(frozen=True, slots=True)
class _Answered:
    """A completion with what the request asked for, before it goes on the wire.

    `raw`: a whole answer from the settings, sent in its place. `delay`: seconds before it. `source`: where it
    comes from, as the log's line says it: a cache, a script; "" for nothing special. `pieces`: a whole stream
    from the settings. `headers`: those that a script adds. `pace`: what it says of its stream's pace.
    """

    asked: Ask
    completion: Completion
    ranking: list[Ranked]
    cache_hit: bool
    raw: bytes | None = None
    delay: float = 0.0
    source: str = ""
    pieces: tuple[bytes, ...] | None = None
    headers: HeaderList = ()
    pace: Mapping[str, Any] = field(default_factory=dict)

    def subject(self) -> str:
        """The text on it in the request's line in the log."""
        best = f", best {self.ranking[0].combined:.2f}" if self.ranking else ""
        made = ", raw" if self.raw is not None else f" n={len(self.completion.choices)}{best}"
        return f"{self.completion.model}{made}{self.source and f', {self.source}'}"


@dataclass(frozen=True, slots=True)
class _Outside:
    """The time in seconds since 1970 and random bytes for an id, where the settings ask for them."""

    now: float | None = None
    chance: bytes = b""


_NOTHING = _Outside()


def _answered(
    visit: Visit, chosen: HeaderOptions, tags: Mapping[str, str], body: Any
) -> Generator[Effect, Any, Reply | Effects]:
    """The answer, an exchange where it is streamed or takes its time; its call goes into the log."""
    outside = _NOTHING
    if visit.settings.clock == "real":
        outside = replace(outside, now=(yield Now()))
    if visit.settings.ids == "random":
        outside = replace(outside, chance=(yield Entropy(12)))

    def log(status: int, text: bytes | None, error: str | None = None, *, hit: bool = False) -> None:
        if _is_logged(chosen, body) and not visit.read_only and visit.entry.body is not None:
            keys = (*held(visit.entry.body, visit.token), *visit.settings.secrets)
            call = calllog.Own(visit.entry.body, text, status, error, hit, tags, outside.now, keys)
            visit.memory.log(fingerprint(visit.token)).add(call)

    try:
        made = yield from _judged(visit, chosen, body, outside)
    except ApiError as error:
        log(error.status, None, error.message)
        raise
    if made.raw is not None:
        log(200, made.raw)
        reply = _send_raw(made, made.raw)
    else:
        counted = made.asked.include_usage or not made.asked.stream
        text = orjson.dumps(wire.whole_answer(made.completion, made.ranking, counted=counted))
        log(200, text, hit=made.cache_hit)
        reply = _send(made, text, visit.settings)
    if made.headers:
        reply = _with_headers(reply, made.headers)
    return after(made.delay, reply) if made.delay else reply


def _is_logged(chosen: HeaderOptions, body: Any) -> bool:
    """Whether a call is logged: by its `op-*` headers, or without any by the body's `store` (sdk)."""
    return chosen.log if chosen.log is not None else isinstance(body, dict) and body.get("store") is True


def _judged(
    visit: Visit, chosen: HeaderOptions, body: Any, outside: _Outside
) -> Generator[Effect, Any, _Answered]:
    """The completion that a body asks for, its choices judged and sorted. Raises ApiError."""
    body = visit.accept("ChatCompletionRequest", body)
    body, criteria, asked = _understood(visit, chosen, body)
    if criteria:
        visit.entry.criteria = tuple(each.text for each in criteria.values())
        for each in criteria.values():
            visit.meet(each)
    script = _scripted(visit, body)
    if script and script.function:
        script = yield from _by_function(visit, script, script.function)
    if script and script.failure:
        visit.entry.rules.append(str(script))
        raise NotFound(words=script.failure)
    completion, hit = _completed(visit, body, asked, chosen, outside, script)
    if script and not hit and script.place != _ECHO:
        visit.entry.rules.append(str(script))
        _note_unoffered(visit, body, script)
    raw = script.raw if script and not hit else None
    judges = criteria if raw is None else {}
    ranking = (yield from _ranked(visit, body, judges, completion)) if judges else []
    _remind(visit, body, asked)
    if script is None and visit.settings.prompt_schemas and _lacks_schema(asked, completion):
        visit.once(_NO_SCHEMA)
    delay = max(each.delay for each in criteria.values()) if criteria else 0.0
    source = _source(visit.entry, hit=hit)
    if script is None or hit:
        return _Answered(asked, completion, ranking, hit, raw, delay, source)
    delay += seconds_of(script.delay, _drawing(visit.settings, asked), "delay")
    own = script.stream, script.headers, script.pace
    return _Answered(asked, completion, ranking, hit, raw, delay, source, *own)


def _source(entry: Entry, *, hit: bool) -> str:
    """Where a completion comes from, as the log's line says it."""
    if hit:
        return "cached"
    fired = entry.rules[:1]  # a criterion's rules come after the script
    return "unscripted" if entry.unscripted else f"script {fired[0]}" if fired else ""


def _ranked(
    visit: Visit, body: Json, criteria: Mapping[str, Criterion], completion: Completion
) -> Generator[Effect, Any, list[Ranked]]:
    """The choices of a completion with their judgements, the best first."""
    given: Json = {name: body[name] for name in ("messages", "tools", "tool_choice") if name in body}
    if visit.entry.tolerated:  # the judge, which knows none of it, gives the same scores without
        given = contract().checker("JudgeCriteriaInput").tidy(given, unknown=True)
    messages = [choice.message() for choice in completion.choices]
    ranking = yield from best_of_n(criteria, given, scene(given, tidy=True), messages, visit.judging)
    visit.entry.scores = _scores(ranking)
    visit.entry.ranking = tuple(ranked.made for ranked in ranking)
    return ranking


def _understood(visit: Visit, chosen: HeaderOptions, body: Any) -> tuple[Json, dict[str, Criterion], Ask]:
    """A valid body without members that only say their default, the criteria, and what the engine is asked.

    Raises ApiError for options that don't go together, and for a criterion or model that doesn't exist.
    """
    if visit.entry.body is None or not is_tidy(visit.entry.body):
        body = contract().checker("ChatCompletionRequest").tidy(body, defaults=True)
    if visit.settings.validation != "exact":
        body, zeros = unlimited(body)
        visit.tolerate(*zeros)
    criteria = {} if chosen.criteria is None else requested(chosen.criteria, visit.settings.known)
    _refuse_with_stream(body, chosen, bool(criteria))
    if visit.read_only and not body["model"].startswith(OWN):
        only = f"a read-only key may use models that begin with {quoted(OWN)} alone"
        raise Forbidden(f"{only}, not {quoted(body['model'])}.")
    find_model(body["model"], visit.settings)
    return body, criteria, understand(body, visit.settings.auto_tools, visit.settings.prompt_schemas)


def _scores(ranking: Sequence[Ranked]) -> list[dict[str, float]]:
    """The scores of each choice, in the order in which the choices were made."""
    made = sorted(ranking, key=lambda ranked: ranked.made)
    return [{key: result.score for key, result in ranked.results.items()} for ranked in made]


def _scripted(visit: Visit, body: Json) -> Script | None:
    """The first script whose conditions the request meets, or the one that a magic model stands for."""
    settings = visit.settings
    script = _first_script(visit, body) if settings.completions else None
    if script:
        return script
    if settings.magic and magic.echoes(body["model"]) and body["model"] not in settings.known_models:
        text = visit.subject(body).last_user or ""
        return Script(choices=(ScriptedChoice(text=text),), place=_ECHO)
    return None


def _by_function(visit: Visit, script: Script, function: Function[Script]) -> Generator[Effect, Any, Script]:
    """The answer that a test's function gives, as one of its script."""
    try:
        answer = yield from visit.ask(function, parse(visit.entry.body or b"{}"))
    except BaseException:
        visit.entry.rules.append(str(script))  # it fired all the same
        raise
    return replace(answer, name=script.name, place=script.place, number=script.number)


def _first_script(visit: Visit, body: Json) -> Script | None:
    """The first script whose conditions the request meets and that isn't passed over."""
    found: Script | None = None
    turn = cache(lambda: turn_of(body))
    for script in rules_that_hold(visit.settings.completions, visit.subject(body)):
        # A script counts each request that meets its `when`, also where an earlier one answers.
        number = visit.memory.count(script.counter) if script.counts else 0
        why = not_its_turn(script, number)
        if found:
            continue
        why = why or _passed_over(script, bool(body.get("stream")), turn)
        answer = None if why else script.answer(turn, visit.memory.count)
        if answer is None:
            visit.entry.passed = (*visit.entry.passed, (script.place, why or _NO_MORE_TURNS))
            continue
        same = answer is script and not number
        found = answer if same else replace(answer, name=script.name, number=number)
        if not visit.settings.counts_completions:
            return found
    return found


_NO_MORE_TURNS = "the assistant has answered as often as it has turns, since the last user text"
_STREAMS_ALONE = "it answers streams alone, and this request asks for none"


def _passed_over(script: Script, streams: bool, turn: Callable[[], Turn]) -> str:
    """Why a script whose `when` holds doesn't answer; "" where it does."""
    if script.streams_alone and not streams:
        return _STREAMS_ALONE
    return reason_against(script, turn()) if script.called else ""


class _Unscripted(NotFound):
    """No script answers the request, and such are refused."""

    words = "No script answers this request"


def _meet_unscripted(visit: Visit, body: Json) -> None:
    """Mark a completion that no script answers. Raises _Unscripted where such are refused."""
    settings, entry = visit.settings, visit.entry
    entry.unscripted = settings.counts_unscripted
    if settings.refuses_unscripted(in_test=visit.session.in_test):
        near = nearest_script(settings.completions, visit.subject(body), dict(entry.passed))
        raise _Unscripted(f"{near}. Script one, or have it made up with `unscripted: answer`.")


def _note_unoffered(visit: Visit, body: Json, script: Script) -> None:
    """Tell of the tools that a script calls and the request doesn't offer."""
    offered = visit.subject(body).tools
    strange = [name for name in script.called if name not in offered] if script.called else []
    for name in strange:
        there = f"offers {quoted_names(offered)}" if offered else "offers no tool"
        told = f"the script {script} calls {quoted(name)}, and the request {there}."
        visit.entry.unoffered = (*visit.entry.unoffered, f"{told}{did_you_mean(name, offered)}")
    visit.note(*visit.entry.unoffered)


def _completed(
    visit: Visit, body: Json, asked: Ask, chosen: HeaderOptions, outside: _Outside, script: Script | None
) -> tuple[Completion, bool]:
    """The completion, and whether it came from the cache; one from there keeps its id."""
    settings, session = visit.settings, visit.memory
    caches = chosen.reads_cache or chosen.writes_cache
    key = fingerprint(visit.token) + asked.identity if caches else b""
    stored = session.cached(key) if chosen.reads_cache else None
    if stored:
        return stored, True
    if script is None:
        _meet_unscripted(visit, body)
    repeat = session.count(asked.identity) - 1 if settings.repeat == "vary" else 0
    choices = (script.choices or (ScriptedChoice(text=""),)) if script else ()
    envelope = script.envelope if script else AS_MADE
    fills = script is not None and any(choice.template for choice in script.choices)
    fill = fill_from(visit.subject(body), script.number) if script and fills else str
    made = complete(asked, settings.seed, repeat, choices, envelope, fill)
    if settings.ids == "random" and envelope.id is None:
        made = replace(made, id=f"chatcmpl-{outside.chance.hex()}")
    if outside.now is not None and envelope.created is None:
        made = replace(made, created=int(outside.now))
    if chosen.writes_cache and not (script and script.raw is not None):
        session.store(key, made)
    return made, False


def _remind(visit: Visit, body: Json, asked: Ask) -> None:
    """Note advice on a request that was answered."""
    if "headers" in body and isinstance(body["headers"], dict):
        visit.note(_HEADERS_IN_BODY)
    if visit.settings.repeat == "same" and visit.memory.count(asked.identity) == OFTEN:
        visit.note(f"{OFTEN} identical requests got the same answer; `--repeat vary` makes them differ")


_NO_SCHEMA = (
    "`response_format` is json_object and no message holds a JSON Schema, so the mock says "
    '{"answer": …}; have the client send the schema (AI SDK: `supportsStructuredOutputs: true`), or script it'
)


def _lacks_schema(asked: Ask, made: Completion) -> bool:
    """Whether JSON was asked for and made up, and nothing said which."""
    if asked.format["type"] != "json_object" or all(choice.text is None for choice in made.choices):
        return False
    return not asked.prompt_schemas or prompted_schema(asked.messages, json_mode=True) is None


def _send(answered: _Answered, text: bytes, settings: Settings) -> Reply | Effects:
    """Put the answer on the wire, whole or as a stream."""
    if not answered.asked.stream:
        return Reply(200, text, subject=answered.subject())
    pace = replace(settings.pace, **answered.pace) if answered.pace else settings.pace
    return _stream(answered, pace, _drawing(settings, answered.asked))


def _drawing(settings: Settings, asked: Ask) -> Draw:
    """What draws the times of a request by seed and content."""
    return lambda use: unit(settings.seed, "time", 0, asked.content, use)


def _stream(answered: _Answered, pace: Pace, draw: Draw) -> Effects:
    """The answer in pieces."""
    yield Begin(200, STREAM_HEADERS)
    if pace.first_token:
        yield Wait(seconds_of(pace.first_token, draw, "first"))
    events = wire.chunk_events(answered.completion, answered.asked.include_usage)
    for number, event in enumerate(events if answered.pieces is None else answered.pieces):
        yield Piece(event)
        if pace.tokens_per_second:
            yield Wait(pace.gap(draw, str(number)))
    return Reply(200, b"", STREAM_HEADERS, f"{answered.subject()}, streamed")


def _with_headers(reply: Reply | Effects, headers: HeaderList) -> Reply | Effects:
    """An answer with further headers."""
    if isinstance(reply, Reply):
        return replace(reply, headers=joined_headers(reply.headers, headers))
    return with_headers(reply, headers)


def _send_raw(answered: _Answered, raw: bytes) -> Reply | Effects:
    """Send an answer that the settings write down, of a stream as its only event."""
    subject = answered.subject()
    return _stream_raw(raw, subject) if answered.asked.stream else Reply(200, raw, subject=subject)


def _stream_raw(raw: bytes, subject: str) -> Effects:
    reply = yield from raw_stream(raw)
    return replace(reply, subject=f"{subject}, streamed")


def _refuse_with_stream(body: Json, chosen: HeaderOptions, judged: bool) -> None:
    """Raise BadRequest for a stream that shall be cached or judged: chunks that were sent can't be sorted."""
    if not body.get("stream"):
        return
    if chosen.reads_cache or chosen.writes_cache:
        raise BadRequest("leave one of `op-cache` and `stream` out.", words="Cannot use cache with stream")
    if judged:
        advice = "leave one of `op-criteria` and `stream` out."
        raise BadRequest(advice, words="Cannot use criteria with stream")
