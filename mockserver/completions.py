"""`POST /chat/completions`: options, cache, engine, best of n, log and stream in their order."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any

import orjson

from mockserver import calls, magic, wire
from mockserver.chat import Ask, Completion, ask, complete
from mockserver.config import Pace, Script, ScriptedChoice
from mockserver.criteria import Ranked, best_of_n, requested
from mockserver.effects import Begin, Effect, Entropy, Exchange, Now, Piece, Reply, Wait
from mockserver.errors import ApiError, BadRequest, Forbidden, NotFound
from mockserver.judge import Criterion, is_tidy, scene
from mockserver.matching import Subject
from mockserver.options import Options, options
from mockserver.spec import contract
from mockserver.spoiling import STREAM_HEADERS, raw_stream
from mockserver.state import fingerprint
from mockserver.toolchoice import RESULTS
from mockserver.violations import listed, nearest, quoted, short
from mockserver.visit import Visit

Json = dict[str, Any]

OWN = "openpipe:"
PREFIXES = (OWN, "openai:", "anthropic:", "gemini:")
OFTEN = 20
LONGEST_MODEL = 1000
"""Characters of a model's name: each chunk of a stream repeats it."""
HEADERS_IN_BODY = (
    'the body has a member "headers"; `op-criteria` and other headers go into the options of the call'
)


class ModelNotFound(NotFound):
    """The model doesn't exist, in the service's words (source class: sdk)."""

    def __init__(self, model: str, detail: str = "", *, issues: Sequence[str] = ()) -> None:
        access = "" if model.startswith(PREFIXES) else " or you do not have access to it."
        words = f"The model `{short(model, 200)}` does not exist{access}"
        words = f"{words.removesuffix('.')}: {detail}" if detail else words
        super().__init__(words=words, issues=issues)


@dataclass(frozen=True, slots=True)
class Answered:
    """A completion with what the request asked for, before it goes on the wire.

    `raw` is a whole answer that the settings write down in its place.
    """

    asked: Ask
    completion: Completion
    ranking: list[Ranked]
    cache_hit: bool
    raw: bytes | None = None

    def subject(self) -> str:
        """What the request's line in the log says of it."""
        best = f", best {self.ranking[0].combined:.2f}" if self.ranking else ""
        cached = ", cached" if self.cache_hit else ""
        return f"{self.completion.model} n={len(self.completion.choices)}{best}{cached}"


def answer(visit: Visit, body: Any) -> Exchange:
    """Answer a request whose body was read. What the engine refuses is logged like what it answers."""
    chosen = options(visit.headers)
    tags = calls.labels(dict(chosen.tags), "header op-tags")
    now = (yield Now()) if visit.settings.clock == "real" else None

    def log(said: Any, status: int, **notes: Any) -> None:
        if chosen.log and not visit.read_only:
            notes |= {"tags": tags, "now": now, "own": True, "request_text": visit.entry.body}
            call = calls.completed(body, said, status=status, **notes)
            visit.session.log(fingerprint(visit.token)).add(call)

    try:
        answered = yield from answered_by(visit, chosen, body, now)
    except ApiError as error:
        log(None, error.status, error_message=error.message)
        raise
    if answered.raw is not None:
        log(orjson.loads(answered.raw), 200)
        return (yield from send_raw(answered, answered.raw))
    plain = wire.plain(answered.completion, answered.ranking)
    text = orjson.dumps(plain)
    log(plain, 200, cache_hit=answered.cache_hit, response_text=text)
    return (yield from send(answered, text, visit.settings.pace))


def answered_by(
    visit: Visit, chosen: Options, body: Any, now: float | None
) -> Generator[Effect, Any, Answered]:
    """The completion, judged and in order."""
    body = visit.accept("ChatCompletionRequest", body)
    body, criteria, asked = understood(visit, chosen, body)
    visit.entry.criteria = tuple(map(str, criteria.values()))
    for each in criteria.values():
        visit.meet(each)
    delay = max((each.delay for each in criteria.values()), default=0.0)
    if delay:
        yield Wait(delay)
    script = scripted(visit, body)
    completion, hit = yield from completed(visit, asked, chosen, now, script)
    if script and not hit and script.place != ECHO:
        visit.entry.rules.append(str(script))
    raw = script.raw if script and not hit else None
    ranking: list[Ranked] = []
    if criteria and raw is None:
        given = {name: body[name] for name in ("messages", "tools", "tool_choice") if name in body}
        messages = [choice.message() for choice in completion.choices]
        ranking = best_of_n(criteria, given, scene(given, tidy=True), messages, visit.judge)
        visit.entry.scores = scores(ranking)
    visit.note(*hints(visit, body, asked))
    return Answered(asked, completion, ranking, hit, raw)


def understood(visit: Visit, chosen: Options, body: Any) -> tuple[Json, dict[str, Criterion], Ask]:
    """What a valid body says with its defaults, the criteria and what is asked of the engine.

    Raises ApiError for what doesn't go together or isn't there.
    """
    if visit.entry.body is None or not is_tidy(visit.entry.body):
        body = contract().checker("ChatCompletionRequest").tidy(body, defaults=True)
    criteria = {} if chosen.criteria is None else requested(chosen.criteria, visit.settings)
    refuse_with_stream(body, chosen, bool(criteria))
    find_model(body["model"], visit)
    return body, criteria, ask(body, visit.settings.auto_tools)


def check(visit: Visit, body: Any) -> None:
    """Raise ApiError for a valid body, or a header beside it, that is refused."""
    chosen = options(visit.headers)
    calls.labels(dict(chosen.tags), "header op-tags")
    understood(visit, chosen, body)


def scores(ranking: Sequence[Ranked]) -> list[dict[str, float]]:
    """The scores of each choice, in the order of their making."""
    made = sorted(ranking, key=lambda ranked: ranked.made)
    return [{key: result.score for key, result in ranked.results.items()} for ranked in made]


def scripted(visit: Visit, body: Json) -> Script | None:
    """The first script that the request meets, or what a magic model stands for."""
    settings = visit.settings
    if settings.completions:
        subject = visit.subject(body)
        for script in settings.completions:
            if fires(script, subject):
                return script
    if settings.magic and magic.echoes(body["model"]) and body["model"] not in settings.known_models:
        text = visit.subject(body).last_user or ""
        return Script(choices=(ScriptedChoice(text=text),), place=ECHO)
    return None


def fires(script: Script, subject: Subject) -> bool:
    """Whether a script answers a request: one that calls tools never answers a tool's result."""
    return not (script.calls and ends_in_result(subject)) and script.when.holds(subject)


def ends_in_result(subject: Subject) -> bool:
    """Whether the last message is a tool's result."""
    return bool(subject.messages) and subject.messages[-1].get("role") in RESULTS


def completed(
    visit: Visit, asked: Ask, chosen: Options, now: float | None, script: Script | None
) -> Generator[Effect, Any, tuple[Completion, bool]]:
    """The completion from the cache, or a new one; and whether it was a hit. A hit keeps its id."""
    settings, session = visit.settings, visit.session
    key = fingerprint(visit.token) + asked.identity
    stored = session.cached(key) if chosen.reads_cache else None
    if stored:
        return stored, True
    repeat = session.count(asked.identity) - 1 if settings.repeat == "vary" else 0
    choices = (script.choices or (ScriptedChoice(text=""),)) if script else ()
    made = complete(asked, settings, repeat, choices)
    if settings.ids == "random":
        made = replace(made, id=f"chatcmpl-{(yield Entropy(12)).hex()}")
    if now is not None:
        made = replace(made, created=int(now))
    if chosen.writes_cache and not (script and script.raw is not None):
        session.store(key, made)
    return made, False


def find_model(model: str, visit: Visit) -> None:
    """Raise ModelNotFound for a model that isn't known, where any are declared, or that is no name.

    Raises Forbidden where the key may use the project's own models alone (source).
    """
    known = visit.settings.known_models
    if len(model) > LONGEST_MODEL:
        raise ModelNotFound(model)
    if visit.read_only and not model.startswith(OWN):
        raise Forbidden(
            f"a read-only key may use models that begin with {quoted(OWN)} alone, not {quoted(model)}."
        )
    if is_known(model, known):
        return
    if visit.settings.magic and magic.is_model(model):
        if not magic.knows(model):
            raise ModelNotFound(model, magic.unknown(magic.bare(model), magic.MODELS))
        return
    if known:
        told = f"Known are {listed(map(quoted, known), 'and')}.{near_model(model, known)}"
        visit.once(f"the model {quoted(model)} is not among the known ones. {told}")
        raise ModelNotFound(model, issues=[told])


ECHO = "model mock-echo"
"""The place of the script that the settings don't have."""
GLOB = frozenset("*?[")


def near_model(model: str, known: Sequence[str]) -> str:
    """The question whether a known model is meant, whatever provider stands before either; "" without one."""
    names = {magic.bare(name): name for name in known if not GLOB.intersection(name)}
    near = nearest(magic.bare(model), list(names))
    return f" Did you mean {quoted(names[near])}?" if near else ""


def is_known(model: str, known: Sequence[str]) -> bool:
    return model in known or any(fnmatchcase(model, pattern) for pattern in known)


def hints(visit: Visit, body: Json, asked: Ask) -> tuple[str, ...]:
    """What the log should say of a request that was answered."""
    found = []
    if isinstance(body.get("headers"), dict):
        found.append(HEADERS_IN_BODY)
    if visit.settings.repeat == "same" and visit.session.count(asked.identity) == OFTEN:
        found.append(f"{OFTEN} identical requests got the same answer; `--repeat vary` makes them differ")
    return tuple(found)


def send(answered: Answered, text: bytes, pace: Pace) -> Exchange:
    """Put the answer on the wire, whole or as a stream."""
    if not answered.asked.stream:
        return Reply(200, text, subject=answered.subject())
    yield Begin(200, STREAM_HEADERS)
    if pace.first_token:
        yield Wait(pace.first_token)
    for event in wire.events(answered.completion, answered.asked.include_usage):
        yield Piece(event)
        if pace.tokens_per_second:
            yield Wait(1 / pace.tokens_per_second)
    return Reply(200, b"", STREAM_HEADERS, f"{answered.subject()}, streamed")


def send_raw(answered: Answered, raw: bytes) -> Exchange:
    """Send an answer that the settings write down, of a stream as its only event."""
    subject = f"{answered.completion.model}, raw"
    if not answered.asked.stream:
        return Reply(200, raw, subject=subject)
    reply = yield from raw_stream(raw)
    return replace(reply, subject=f"{subject}, streamed")


def refuse_with_stream(body: Json, chosen: Options, judged: bool) -> None:
    """A stream can be neither cached nor sorted: what has been sent can't move."""
    if not body.get("stream"):
        return
    if chosen.reads_cache or chosen.writes_cache:
        raise BadRequest("leave one of `op-cache` and `stream` out.", words="Cannot use cache with stream")
    if judged:
        advice = "leave one of `op-criteria` and `stream` out."
        raise BadRequest(advice, words="Cannot use criteria with stream")
