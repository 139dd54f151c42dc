"""`POST /chat/completions`: options, cache, engine, best of n, log and stream in their order."""

from collections.abc import Generator
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any

import orjson

from mockserver import calls, wire
from mockserver.admission import accepted
from mockserver.chat import Ask, Completion, ask, complete
from mockserver.config import Settings
from mockserver.criteria import Ranked, best_of_n, requested
from mockserver.effects import Begin, Effect, Entropy, Exchange, Headers, Now, Piece, Reply, Wait
from mockserver.errors import ApiError, BadRequest, NotFound
from mockserver.judge import scene
from mockserver.options import Options, options
from mockserver.spec import contract
from mockserver.state import Session, fingerprint
from mockserver.violations import short

Json = dict[str, Any]

STREAM_HEADERS = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
)
PREFIXES = ("openpipe:", "openai:", "anthropic:", "gemini:")
OFTEN = 20
LONGEST_MODEL = 1000
"""Characters of a model's name: each chunk of a stream repeats it."""
HEADERS_IN_BODY = (
    'the body has a member "headers"; `op-criteria` and other headers go into the options of the call'
)


class ModelNotFound(NotFound):
    """The model doesn't exist, in the service's words (source class: sdk)."""

    def __init__(self, model: str) -> None:
        access = "" if model.startswith(PREFIXES) else " or you do not have access to it."
        super().__init__(words=f"The model `{short(model, 200)}` does not exist{access}")


@dataclass(frozen=True, slots=True)
class Answered:
    """A completion with what the request asked for, before it goes on the wire."""

    asked: Ask
    completion: Completion
    ranking: list[Ranked]
    cache_hit: bool
    notes: tuple[str, ...]

    def subject(self) -> str:
        """What the request's line in the log says of it."""
        best = f", best {self.ranking[0].combined:.2f}" if self.ranking else ""
        cached = ", cached" if self.cache_hit else ""
        return f"{self.completion.model} n={len(self.completion.choices)}{best}{cached}"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The endpoint of one mock: its settings and the session that remembers."""

    settings: Settings
    session: Session

    def __call__(self, headers: Headers, token: bytes, body: Any) -> Exchange:
        """Answer a request whose body was read. What the engine refuses is logged like what it answers."""
        chosen = options(headers)
        tags = calls.labels(dict(chosen.tags), "header op-tags")
        now = (yield Now()) if self.settings.clock == "real" else None

        def log(answer: Any, status: int, **notes: Any) -> None:
            if chosen.log:
                call = calls.completed(body, answer, status=status, tags=tags, now=now, own=True, **notes)
                self.session.log(fingerprint(token)).add(call)

        try:
            answered = yield from self.answer(chosen, token, body, now)
        except ApiError as error:
            log(None, error.status, error_message=error.message)
            raise
        answer = wire.plain(answered.completion, answered.ranking)
        log(answer, 200, cache_hit=answered.cache_hit)
        return (yield from self.send(answered, answer))

    def answer(
        self, chosen: Options, token: bytes, body: Any, now: float | None
    ) -> Generator[Effect, Any, Answered]:
        """The completion, judged and in order."""
        checker = contract().checker("ChatCompletionRequest")
        body, notes = accepted(checker, body, self.settings.validation)
        body = checker.tidy(body, defaults=True)
        criteria = {} if chosen.criteria is None else requested(chosen.criteria, self.settings.criteria)
        refuse_with_stream(body, chosen, bool(criteria))
        self.find_model(body["model"])
        asked = ask(body)
        yield from self.delay(asked.model)
        completion, hit = yield from self.completion(asked, chosen, token, now)
        ranking: list[Ranked] = []
        if criteria:
            seen = scene({name: body[name] for name in ("messages", "tools", "tool_choice") if name in body})
            messages = [choice.message() for choice in completion.choices]
            ranking = best_of_n(criteria, seen, messages, self.settings)
        notes = (*notes, *self.hints(body, asked))
        return Answered(asked, completion, ranking, hit, notes)

    def delay(self, model: str) -> Generator[Effect, Any, None]:
        """Let the time pass that the first fitting glob of the settings names."""
        for pattern, seconds in self.settings.delays.items():
            if fnmatchcase(model, pattern):
                yield Wait(seconds)
                return

    def completion(
        self, asked: Ask, chosen: Options, token: bytes, now: float | None
    ) -> Generator[Effect, Any, tuple[Completion, bool]]:
        """The completion from the cache, or a new one; and whether it was a hit. A hit keeps its id."""
        key = fingerprint(token) + asked.identity
        stored = self.session.cached(key) if chosen.reads_cache else None
        if stored:
            return stored, True
        repeat = self.session.repeats(asked.identity) if self.settings.repeat == "vary" else 0
        made = complete(asked, self.settings, repeat)
        if self.settings.ids == "random":
            made = replace(made, id=f"chatcmpl-{(yield Entropy(12)).hex()}")
        if now is not None:
            made = replace(made, created=int(now))
        if chosen.writes_cache:
            self.session.store(key, made)
        return made, False

    def find_model(self, model: str) -> None:
        """Raise ModelNotFound for a model that isn't known, where any are declared, or that is no name."""
        known = self.settings.known_models
        if len(model) > LONGEST_MODEL:
            raise ModelNotFound(model)
        if known and model not in known and not any(fnmatchcase(model, pattern) for pattern in known):
            raise ModelNotFound(model)

    def hints(self, body: Json, asked: Ask) -> tuple[str, ...]:
        """What the log should say of a request that was answered."""
        found = []
        if isinstance(body.get("headers"), dict):
            found.append(HEADERS_IN_BODY)
        if self.settings.repeat == "same" and self.session.repeats(asked.identity) + 1 == OFTEN:
            found.append(f"{OFTEN} identical requests got the same answer; `--repeat vary` makes them differ")
        return tuple(found)

    def send(self, answered: Answered, answer: Json) -> Exchange:
        """Put the answer on the wire, whole or as a stream."""
        if not answered.asked.stream:
            return Reply(200, orjson.dumps(answer), subject=answered.subject(), notes=answered.notes)
        yield Begin(200, STREAM_HEADERS)
        for event in wire.events(answered.completion, answered.asked.include_usage):
            yield Piece(event)
        return Reply(200, b"", STREAM_HEADERS, f"{answered.subject()}, streamed", answered.notes)


def refuse_with_stream(body: Json, chosen: Options, judged: bool) -> None:
    """A stream can be neither cached nor sorted: what has been sent can't move."""
    if not body.get("stream"):
        return
    if chosen.reads_cache or chosen.writes_cache:
        raise BadRequest("leave one of `op-cache` and `stream` out.", words="Cannot use cache with stream")
    if judged:
        advice = "leave one of `op-criteria` and `stream` out."
        raise BadRequest(advice, words="Cannot use criteria with stream")
