"""A request on its way through the service, with its session, its settings and its journal entry."""

from collections.abc import Callable, Generator, MutableSet
from contextlib import closing
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from openpipe_mock.answers import magic
from openpipe_mock.answers.functions import Function, Made
from openpipe_mock.answers.judge import Criterion, function_of, is_tidy, judge
from openpipe_mock.answers.scorers import Form, JudgedContent, Judgement
from openpipe_mock.config.settings import Settings
from openpipe_mock.core.effects import Effect, Effects, Head, HeaderList, Headers, Reply, Wait
from openpipe_mock.core.errors import ApiError, BadRequest
from openpipe_mock.core.secrets import Mask, masked, may_hide, remembering
from openpipe_mock.core.wording import did_you_mean, quoted
from openpipe_mock.matching.conditions import Subject
from openpipe_mock.openapi.spec import contract
from openpipe_mock.openapi.tolerances import Tolerance
from openpipe_mock.service.admission import validated
from openpipe_mock.sessions.journal import Entry, Journal
from openpipe_mock.sessions.memory import Session, Traffic

Json = Any
_Value = TypeVar("_Value")
_MOST_NOTED = 1000
"""Sentences that `once` says for one mock; after these it says no more."""


@dataclass(slots=True)
class Visit:
    """A request with its session, and the settings that were in force when it came.

    `path`: without the session's name. `noted_once`: the sentences that `once` has said for this mock.
    `journal`: the session's when the request came; a reset replaces that of the session. `reads_body`:
    whether there is a body to read. `barred`: why the request may not make the session that it names;
    `session` is the default one then. `problem`: what is wrong with the body's headers or form. `source`:
    what is asked for the answer first. `rates`: the headers that say what is left of the key's limit.
    `value`: the parsed body, once it is read.
    """

    # Not frozen: the service fills it in step by step.

    head: Head
    path: str
    session: Session
    settings: Settings
    entry: Entry
    noted_once: MutableSet[str]
    journal: Journal
    token: bytes = b""
    read_only: bool = False
    reads_body: bool = False
    barred: ApiError | None = None
    problem: ApiError | None = None
    traffic: Traffic | None = None
    source: "AnswerSource | None" = None
    rates: HeaderList = ()
    value: Json = None

    @property
    def headers(self) -> Headers:
        return self.head.headers

    @property
    def memory(self) -> Session:
        """Where the request counts, stores and logs: its session, or after a reset one that nobody sees.

        So nothing of a request that was under way outlives the reset.
        """
        return self.session if self.journal is self.session.journal else Session(self.session.name)

    def subject(self, body: Json) -> Subject:
        """The request as conditions read it."""
        return Subject(self.entry.endpoint, self.head.headers, body)

    def accept(self, name: str, body: Json) -> Json:
        """The body as it counts by the schema `name`, coerced if lenient. Raises BadRequest if invalid."""
        if contract().checker(name).is_valid(body):
            return body
        tidy = self.entry.body is not None and is_tidy(self.entry.body)
        found = validated(name, body, self.settings.validation, is_tidy=tidy)
        self.entry.violations = found.violations
        self.tolerate(*found.tolerated)
        if found.problem:
            raise BadRequest(found.problem, issues=found.violations)
        self.note(*(f"strict would refuse {issue}" for issue in found.violations))
        return found.value

    def kept(self, name: str, body: Json) -> Json:
        """The same for a body that is kept for others to read: with secrets masked."""
        body = self.accept(name, body)
        keys = (self.token, *self.settings.secrets)
        if may_hide(self.entry.body or b"", *keys):
            body = masked(body, clean=remembering(Mask(*keys).string))
        return body

    def tolerate(self, *found: tuple[str, Tolerance]) -> None:
        """Tell what exact validation would refuse: each pointer in the journal, each kind once."""
        if found:
            pointers = (pointer for pointer, _ in found)
            self.entry.tolerated = tuple(dict.fromkeys((*self.entry.tolerated, *pointers)))
            for kind in dict.fromkeys(kind for _, kind in found):
                self.once(str(kind))

    def note(self, *sentences: str) -> None:
        """Tell the user something, in the terminal and in the journal, each sentence once."""
        self.entry.notes = tuple(dict.fromkeys((*self.entry.notes, *sentences)))

    def once(self, sentence: str) -> None:
        """The same, but only the first time."""
        if sentence not in self.noted_once and len(self.noted_once) < _MOST_NOTED:
            self.noted_once.add(sentence)
            self.note(sentence)

    def ask(self, function: Function[Made], *arguments: Json) -> Generator[Effect, Any, Made]:
        """What a test's function makes of arguments that it may change. Raises what it raises."""
        try:
            return (yield from function.ask(*arguments))
        except Exception as error:
            self.note(f"{function} raised {type(error).__name__}")
            raise

    def judging(self, asked: Criterion, content: JudgedContent) -> Generator[Effect, Any, Judgement]:
        """The judgement of a content, by the criterion's function where it has one."""
        function = function_of(asked, self.settings.known)
        if function is None:
            return self.judge(asked, content)
        returned = yield from self.ask(function, deepcopy(content.given), deepcopy(content.made))
        return self.judge(asked, content, returned)

    def judge(self, asked: Criterion, content: JudgedContent, returned: Form | None = None) -> Judgement:
        """The judgement of a content, or the one that a magic header asks for.

        `returned`: by the criterion's function.
        """
        magical = self.settings.magic and b"x-mock-score" in self.head.headers
        score = magic.header_score(self.head.headers) if magical else None
        if score is not None:
            return Judgement(score, f"The header x-mock-score says {score}; no model read it.")
        found = judge(asked, content, self.settings.known, self.settings.seed, self.memory.count, returned)
        if found.rule:
            self.entry.rules.append(found.rule)
        return found

    def meet(self, asked: Criterion) -> None:
        """Note, once, a criterion that the settings don't declare though they declare others."""
        declared = self.settings.criteria
        if not declared or asked.name in declared:
            return
        if not (self.settings.magic and magic.magic_criterion(asked.name)):
            near = did_you_mean(asked.name, list(declared))
            self.once(f"the criterion {quoted(asked.name)} is not declared.{near}")


class AnswerSource(Protocol):
    """What may answer a request before its endpoint's handler does, such as a cassette.

    `missed`: a sentence for each request that it had no answer to.
    """

    missed: list[str]

    def answer(self, visit: Visit) -> Reply | Effects | None:
        """The answer; None leaves it to the handler. Raises ApiError."""

    def unused(self) -> list[str]:
        """The names of answers that nobody got yet."""

    def close(self) -> None:
        """Called once at the end."""


@dataclass(frozen=True, slots=True)
class Handler:
    """What answers the requests to an endpoint.

    `answer`: takes a visit and its parsed body; returns a reply, or an exchange where time has to pass, or
    raises ApiError. `check`: raises ApiError for a body that fits the schema and is refused all the same.
    """

    answer: Callable[[Visit, Json], Reply | Effects]
    check: Callable[[Visit, Json], object] = lambda visit, body: None


def at_once(steps: Generator[Effect, Any, Reply | Effects]) -> Reply | Effects:
    """The answer that steps come to without an effect, else an exchange that goes on with them."""
    try:
        effect = next(steps)
    except StopIteration as stop:
        found: Reply | Effects = stop.value
        return found
    return _answered(resumed(steps, effect))


def _answered(steps: Generator[Effect, Any, Reply | Effects]) -> Effects:
    answer = yield from steps
    return answer if isinstance(answer, Reply) else (yield from answer)


def resumed(steps: Generator[Effect, Any, _Value], effect: Effect) -> Generator[Effect, Any, _Value]:
    """The rest of steps that are stopped at an effect."""
    with closing(steps):
        try:
            while (result := (yield effect)) is not None:
                effect = steps.send(result)
        except StopIteration as stop:
            found: _Value = stop.value
            return found
        return (yield from steps)  # what follows costs no more than it does without this function


def after(seconds: float, reply: Reply | Effects) -> Effects:
    """Wait so many seconds, then go on with the answer."""
    yield Wait(seconds)
    return reply if isinstance(reply, Reply) else (yield from reply)
