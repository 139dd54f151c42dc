"""One request on its way through the mock: who asks, under which settings, and what the journal will say."""

from collections.abc import Callable, MutableSet
from dataclasses import dataclass
from typing import Any

from openpipe_mock.answers import magic
from openpipe_mock.answers.judge import Criterion, is_tidy, judge
from openpipe_mock.answers.scorers import JudgedContent, Judgement
from openpipe_mock.config.settings import Settings
from openpipe_mock.core.effects import Effects, Head, Headers, Reply
from openpipe_mock.core.errors import ApiError
from openpipe_mock.core.wording import did_you_mean, quoted
from openpipe_mock.matching.conditions import Subject
from openpipe_mock.openapi.endpoints import not_found
from openpipe_mock.openapi.spec import contract
from openpipe_mock.service.admission import accepted
from openpipe_mock.sessions.journal import Entry, Journal
from openpipe_mock.sessions.memory import Session, Traffic

Json = Any
Endpoint = Callable[["Visit", Json], Reply | Effects]
"""A visit and its parsed body in; a reply out, or an exchange that goes on."""
_MOST_NAMED = 1000


def _nowhere(visit: "Visit", body: Json) -> Reply:
    """What stands in for the endpoint of a request that is refused before it reaches one."""
    raise not_found(visit.path)


@dataclass(slots=True)
class Visit:
    """A request with its session, and the settings that were in force when it came.

    `path` leaves out the session's name. `named`: what the terminal was told of already, of all requests of
    the mock. `journal` is that of now: after a reset a late request belongs to what was forgotten.
    `reads_body`: its body is to be read. `refused`: the answer to what went no further than its headers.
    `barred`: why it may not begin the session that it names; `session` is the default one then.
    `problem`: what is wrong with its body's headers or form.
    """

    head: Head
    path: str
    session: Session
    settings: Settings
    entry: Entry
    named: MutableSet[str]
    journal: Journal
    endpoint: Endpoint = _nowhere
    token: bytes = b""
    read_only: bool = False
    reads_body: bool = False
    refused: Reply | None = None
    barred: ApiError | None = None
    problem: ApiError | None = None
    traffic: Traffic | None = None

    @property
    def headers(self) -> Headers:
        return self.head.headers

    @property
    def memory(self) -> Session:
        """The session; of one that was reset since, a session that nobody sees: what a late request counts,
        stores and logs is forgotten too, and counted as the first."""
        return self.session if self.journal is self.session.journal else Session(self.session.name)

    def subject(self, body: Json) -> Subject:
        """What conditions look at."""
        return Subject(self.entry.endpoint, self.head.headers, body)

    def accept(self, name: str, body: Json) -> Json:
        """What counts of a body by the schema `name`. Raises BadRequest for one that breaks it."""
        checker = contract().checker(name)
        if checker.is_valid(body):
            return body
        tidy = self.entry.body is not None and is_tidy(self.entry.body)
        value, refused = accepted(checker, body, self.settings.validation, is_tidy=tidy)
        if refused:
            self.entry.violations = refused
            if self.settings.validation == "report":
                self.note(*(f"strict would refuse {issue}" for issue in refused))
        return value

    def note(self, *sentences: str) -> None:
        """Tell the user something, in the terminal and in the journal."""
        self.entry.notes = (*self.entry.notes, *sentences)

    def once(self, sentence: str) -> None:
        """The same, but only the first time."""
        if sentence not in self.named and len(self.named) < _MOST_NAMED:
            self.named.add(sentence)
            self.note(sentence)

    def judge(self, asked: Criterion, content: JudgedContent) -> Judgement:
        """The judgement of a content, or the one that a magic header asks for."""
        magical = self.settings.magic and b"x-mock-score" in self.head.headers
        score = magic.header_score(self.head.headers) if magical else None
        if score is not None:
            return Judgement(score, f"The header x-mock-score says {score}; no model read it.")
        found = judge(asked, content, self.settings.known, self.settings.draw, self.memory.count)
        if found.rule:
            self.entry.rules.append(found.rule)
        return found

    def meet(self, asked: Criterion) -> None:
        """Say once that a criterion is judged which the settings, declaring others, don't declare."""
        declared = self.settings.criteria
        if not declared or asked.name in declared:
            return
        if not (self.settings.magic and magic.magic_criterion(asked.name)):
            near = did_you_mean(asked.name, list(declared))
            self.once(f"the criterion {quoted(asked.name)} is not declared.{near}")
