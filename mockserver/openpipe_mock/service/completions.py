"""Answer `POST /chat/completions`: options, cache, engine, best of n, log and stream, in this order."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from typing import Any

import orjson

from openpipe_mock.answers import magic, wire
from openpipe_mock.answers.best_of_n import best_of_n, requested
from openpipe_mock.answers.chat import Ask, Completion, complete, understand
from openpipe_mock.answers.judge import Criterion, is_tidy, scene
from openpipe_mock.answers.options import HeaderOptions, read_options
from openpipe_mock.answers.pace import Pace
from openpipe_mock.answers.ranking import Ranked
from openpipe_mock.answers.scripts import AS_MADE, Script, ScriptedChoice, reason_against
from openpipe_mock.answers.tools import turn_of
from openpipe_mock.answers.turns import Turn
from openpipe_mock.config.settings import GLOB
from openpipe_mock.core.effects import Begin, Effects, Entropy, HeaderList, Now, Piece, Reply, Wait
from openpipe_mock.core.errors import ApiError, BadRequest, Forbidden, NotFound
from openpipe_mock.core.wording import nearest, quoted, quoted_names, short
from openpipe_mock.faults.magic import knows
from openpipe_mock.faults.streams import STREAM_HEADERS, joined_headers, raw_stream, with_headers
from openpipe_mock.matching.conditions import glob
from openpipe_mock.matching.order import not_its_turn
from openpipe_mock.matching.rules import rules_that_hold
from openpipe_mock.openapi.spec import contract
from openpipe_mock.openapi.tolerances import unlimited
from openpipe_mock.service.request import Visit, after
from openpipe_mock.sessions import calllog
from openpipe_mock.sessions.memory import fingerprint

Json = dict[str, Any]

_OWN = "openpipe:"
_PREFIXES = (_OWN, "openai:", "anthropic:", "gemini:")
OFTEN = 20
"""Identical requests after which a note suggests `--repeat vary`."""
_LONGEST_MODEL = 1000
"""Characters of a model's name: each chunk of a stream repeats it."""
_ECHO = "model mock-echo"
"""The place of the script that the magic model stands for; the settings have none there."""
_HEADERS_IN_BODY = (
    'the body has a member "headers"; `op-criteria` and other headers go into the options of the call'
)


def answer(visit: Visit, body: Any) -> Reply | Effects:
    """Answer a request, given its JSON. The call is logged, also one that is refused. Raises ApiError."""
    chosen = read_options(visit.headers)
    tags = calllog.labels(chosen.tags, "header op-tags") if chosen.tags else {}
    if visit.settings.clock == "real" or visit.settings.ids == "random":
        return _asking_outside(visit, chosen, tags, body)
    return _answered(visit, chosen, tags, body)


def check_request(visit: Visit, body: Any) -> None:
    """Raise ApiError for a valid body that is refused all the same, or for a bad header."""
    chosen = read_options(visit.headers)
    calllog.labels(dict(chosen.tags), "header op-tags")
    _understood(visit, chosen, body)


def _asking_outside(visit: Visit, chosen: HeaderOptions, tags: Mapping[str, str], body: Any) -> Effects:
    """The same, where the settings ask for the real time or for random ids."""
    now = (yield Now()) if visit.settings.clock == "real" else None
    chance = (yield Entropy(12)) if visit.settings.ids == "random" else b""
    reply = _answered(visit, chosen, tags, body, _Outside(now, chance))
    return reply if isinstance(reply, Reply) else (yield from reply)


@dataclass(frozen=True, slots=True)
class _Answered:
    """A completion with what the request asked for, before it goes on the wire.

    `raw`: a whole answer from the settings, sent in its place. `delay`: seconds that its judges take.
    `pieces`: a whole stream from the settings. `headers`: those that a script adds.
    """

    asked: Ask
    completion: Completion
    ranking: list[Ranked]
    cache_hit: bool
    raw: bytes | None = None
    delay: float = 0.0
    pieces: tuple[bytes, ...] | None = None
    headers: HeaderList = ()

    def subject(self) -> str:
        """The text on it in the request's line in the log."""
        best = f", best {self.ranking[0].combined:.2f}" if self.ranking else ""
        cached = ", cached" if self.cache_hit else ""
        return f"{self.completion.model} n={len(self.completion.choices)}{best}{cached}"


@dataclass(frozen=True, slots=True)
class _Outside:
    """The time in seconds since 1970 and random bytes for an id, where the settings ask for them."""

    now: float | None = None
    chance: bytes = b""


_NOTHING = _Outside()


def _answered(
    visit: Visit, chosen: HeaderOptions, tags: Mapping[str, str], body: Any, outside: _Outside = _NOTHING
) -> Reply | Effects:
    """The answer, a reply at once unless it is streamed or takes its time; its call goes into the log."""

    def log(status: int, text: bytes | None, error: str | None = None, *, hit: bool = False) -> None:
        if chosen.log and not visit.read_only and visit.entry.body is not None:
            call = calllog.Own(visit.entry.body, text, status, error, hit, tags, outside.now)
            visit.memory.log(fingerprint(visit.token)).add(call)

    try:
        made = _judged(visit, chosen, body, outside)
    except ApiError as error:
        log(error.status, None, error.message)
        raise
    if made.raw is not None:
        log(200, made.raw)
        reply = _send_raw(made, made.raw)
    else:
        text = orjson.dumps(wire.whole_answer(made.completion, made.ranking))
        log(200, text, hit=made.cache_hit)
        reply = _send(made, text, visit.settings.pace)
    if made.headers:
        reply = _with_headers(reply, made.headers)
    return after(made.delay, reply) if made.delay else reply


def _judged(visit: Visit, chosen: HeaderOptions, body: Any, outside: _Outside) -> _Answered:
    """The completion that a body asks for, its choices judged and sorted. Raises ApiError."""
    body = visit.accept("ChatCompletionRequest", body)
    body, criteria, asked = _understood(visit, chosen, body)
    if criteria:
        visit.entry.criteria = tuple(each.text for each in criteria.values())
        for each in criteria.values():
            visit.meet(each)
    script = _scripted(visit, body)
    completion, hit = _completed(visit, asked, chosen, outside, script)
    if script and not hit and script.place != _ECHO:
        visit.entry.rules.append(str(script))
    raw = script.raw if script and not hit else None
    ranking = _ranked(visit, body, criteria, completion) if criteria and raw is None else []
    _remind(visit, body, asked)
    delay = max(each.delay for each in criteria.values()) if criteria else 0.0
    if script is None or hit:
        return _Answered(asked, completion, ranking, hit, raw, delay)
    return _Answered(asked, completion, ranking, hit, raw, delay, script.stream, script.headers)


def _ranked(
    visit: Visit, body: Json, criteria: Mapping[str, Criterion], completion: Completion
) -> list[Ranked]:
    """The choices of a completion with their judgements, the best first."""
    given: Json = {name: body[name] for name in ("messages", "tools", "tool_choice") if name in body}
    if visit.entry.tolerated:  # the judge, which knows none of it, gives the same scores without
        given = contract().checker("JudgeCriteriaInput").tidy(given, unknown=True)
    messages = [choice.message() for choice in completion.choices]
    ranking = best_of_n(criteria, given, scene(given, tidy=True), messages, visit.judge)
    visit.entry.scores = _scores(ranking)
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
    _find_model(body["model"], visit)
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


def _first_script(visit: Visit, body: Json) -> Script | None:
    """The first script whose conditions the request meets and that isn't passed over."""
    found: Script | None = None
    turn = cache(lambda: turn_of(body))
    for script in rules_that_hold(visit.settings.completions, visit.subject(body)):
        # A script counts each request that meets its `when`, also where an earlier one answers.
        why = not_its_turn(script, visit.memory.count(script.counter)) if script.is_ordered else ""
        if found:
            continue
        why = why or _passed_over(script, bool(body.get("stream")), turn)
        answer = None if why else script.answer(turn, visit.memory.count)
        if answer is None:
            visit.entry.passed = (*visit.entry.passed, (script.place, why or _NO_MORE_TURNS))
            continue
        found = replace(answer, name=script.name)
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


def _completed(
    visit: Visit, asked: Ask, chosen: HeaderOptions, outside: _Outside, script: Script | None
) -> tuple[Completion, bool]:
    """The completion, and whether it came from the cache; one from there keeps its id."""
    settings, session = visit.settings, visit.memory
    caches = chosen.reads_cache or chosen.writes_cache
    key = fingerprint(visit.token) + asked.identity if caches else b""
    stored = session.cached(key) if chosen.reads_cache else None
    if stored:
        return stored, True
    repeat = session.count(asked.identity) - 1 if settings.repeat == "vary" else 0
    choices = (script.choices or (ScriptedChoice(text=""),)) if script else ()
    envelope = script.envelope if script else AS_MADE
    made = complete(asked, settings.seed, repeat, choices, envelope)
    if settings.ids == "random" and envelope.id is None:
        made = replace(made, id=f"chatcmpl-{outside.chance.hex()}")
    if outside.now is not None and envelope.created is None:
        made = replace(made, created=int(outside.now))
    if chosen.writes_cache and not (script and script.raw is not None):
        session.store(key, made)
    return made, False


class _ModelNotFound(NotFound):
    """The model doesn't exist, in the service's words (source class: sdk)."""

    def __init__(self, model: str, detail: str = "", *, issues: Sequence[str] = ()) -> None:
        access = "" if model.startswith(_PREFIXES) else " or you do not have access to it."
        words = f"The model `{short(model, 200)}` does not exist{access}"
        words = f"{words.removesuffix('.')}: {detail}" if detail else words
        super().__init__(words=words, issues=issues)


def _find_model(model: str, visit: Visit) -> None:
    """Raise ModelNotFound for a model that isn't known, where any are declared, or that is no name.

    Raises Forbidden where the key may use the project's own models alone (source).
    """
    known = visit.settings.known_models
    if len(model) > _LONGEST_MODEL:
        raise _ModelNotFound(model)
    if visit.read_only and not model.startswith(_OWN):
        raise Forbidden(
            f"a read-only key may use models that begin with {quoted(_OWN)} alone, not {quoted(model)}."
        )
    if _is_known(model, known):
        return
    if visit.settings.magic and magic.is_model(model):
        if not knows(model):
            raise _ModelNotFound(model, magic.unknown_magic_name(magic.bare(model), magic.MODELS))
        return
    if known:
        told = f"Known are {quoted_names(known)}.{_near_model(model, known)}"
        visit.once(f"the model {quoted(model)} is not among the known ones. {told}")
        raise _ModelNotFound(model, issues=[told])


def _near_model(model: str, known: Sequence[str]) -> str:
    """A question whether a known model is meant, compared without providers' prefixes; "" if none is near."""
    names = {magic.bare(name): name for name in known if not GLOB.intersection(name)}
    near = nearest(magic.bare(model), list(names))
    return f" Did you mean {quoted(names[near])}?" if near else ""


def _is_known(model: str, known: Sequence[str]) -> bool:
    return model in known or any(fits(model) for fits in _globs(tuple(known)))


@lru_cache(maxsize=64)
def _globs(known: tuple[str, ...]) -> list[Callable[[str], bool]]:
    """Those of the known names that are globs, compiled."""
    return [glob(name) for name in known if GLOB.intersection(name)]


def _remind(visit: Visit, body: Json, asked: Ask) -> None:
    """Note advice on a request that was answered."""
    if "headers" in body and isinstance(body["headers"], dict):
        visit.note(_HEADERS_IN_BODY)
    if visit.settings.repeat == "same" and visit.memory.count(asked.identity) == OFTEN:
        visit.note(f"{OFTEN} identical requests got the same answer; `--repeat vary` makes them differ")


def _send(answered: _Answered, text: bytes, pace: Pace) -> Reply | Effects:
    """Put the answer on the wire, whole or as a stream."""
    return _stream(answered, pace) if answered.asked.stream else Reply(200, text, subject=answered.subject())


def _stream(answered: _Answered, pace: Pace) -> Effects:
    """The answer in pieces."""
    yield Begin(200, STREAM_HEADERS)
    if pace.first_token:
        yield Wait(pace.first_token)
    events = wire.chunk_events(answered.completion, answered.asked.include_usage)
    for event in events if answered.pieces is None else answered.pieces:
        yield Piece(event)
        if pace.tokens_per_second:
            yield Wait(1 / pace.tokens_per_second)
    return Reply(200, b"", STREAM_HEADERS, f"{answered.subject()}, streamed")


def _with_headers(reply: Reply | Effects, headers: HeaderList) -> Reply | Effects:
    """An answer with further headers."""
    if isinstance(reply, Reply):
        return replace(reply, headers=joined_headers(reply.headers, headers))
    return with_headers(reply, headers)


def _send_raw(answered: _Answered, raw: bytes) -> Reply | Effects:
    """Send an answer that the settings write down, of a stream as its only event."""
    subject = f"{answered.completion.model}, raw"
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
