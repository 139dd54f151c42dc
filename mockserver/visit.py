"""One request on its way through the mock: who asks, under which settings, and what the journal will say."""

from collections.abc import MutableSet
from dataclasses import dataclass
from typing import Any

from mockserver import magic
from mockserver.admission import accepted
from mockserver.config import Settings
from mockserver.effects import Head, Headers
from mockserver.forms import Content, Judgement
from mockserver.journal import Entry
from mockserver.judge import Criterion, judge
from mockserver.matching import Subject
from mockserver.spec import contract
from mockserver.state import Session
from mockserver.violations import did_you_mean, quoted

Json = Any
MOST_NAMED = 1000


@dataclass(slots=True)
class Visit:
    """A request with its session, and the settings that were in force when it came.

    `path` is below the base. `named`: what the terminal was told of already, of all requests of the mock.
    """

    head: Head
    path: str
    session: Session
    settings: Settings
    entry: Entry
    named: MutableSet[str]
    token: bytes = b""
    read_only: bool = False

    @property
    def headers(self) -> Headers:
        return self.head.headers

    def subject(self, body: Json) -> Subject:
        """What conditions look at."""
        return Subject(self.entry.endpoint, self.head.headers, body)

    def accept(self, name: str, body: Json) -> Json:
        """What counts of a body by the schema `name`. Raises BadRequest for one that breaks it."""
        value, refused = accepted(contract().checker(name), body, self.settings.validation)
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
        if sentence not in self.named and len(self.named) < MOST_NAMED:
            self.named.add(sentence)
            self.note(sentence)

    def judge(self, asked: Criterion, content: Content) -> Judgement:
        """The judgement of a content, or the one that a magic header asks for."""
        magical = self.settings.magic and b"x-mock-score" in self.head.headers
        score = magic.score(self.head.headers) if magical else None
        if score is not None:
            return Judgement(score, f"The header x-mock-score says {score}; no model read it.")
        found = judge(asked, content, self.settings, self.session.count)
        if found.rule:
            self.entry.rules.append(found.rule)
        return found

    def meet(self, asked: Criterion) -> None:
        """Say once that a criterion is judged which the settings, declaring others, don't declare."""
        declared = self.settings.criteria
        meant = self.settings.magic and magic.criterion(asked.name)
        if declared and asked.name not in declared and not meant:
            near = did_you_mean(asked.name, list(declared))
            self.once(f"the criterion {quoted(asked.name)} is not declared.{near}")
