"""The settings of a mock, as frozen values."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypedDict

from openpipe_mock.answers.pace import Pace
from openpipe_mock.answers.scorers import Declarations, Declared
from openpipe_mock.answers.scripts import Script
from openpipe_mock.answers.tools import AutoTools
from openpipe_mock.config.cassettes import USUAL_RULES, CassetteRules
from openpipe_mock.config.limits import Limits
from openpipe_mock.config.project import EMPTY, Project, Status
from openpipe_mock.core.reading import Json
from openpipe_mock.core.secrets import environment_keys
from openpipe_mock.core.seeded import ANSWERS, OLDEST_ANSWERS
from openpipe_mock.core.userfiles import MEBIBYTE
from openpipe_mock.faults.fault import Fault
from openpipe_mock.matching.rules import rulebook

Validation = Literal["strict", "exact", "lenient"]
Ids = Literal["content", "random"]
Clock = Literal["fixed", "real"]
Repeat = Literal["same", "vary"]
Unknown = Literal["judge", "not_found"]
Unscripted = Literal["answer", "refuse"]


@dataclass(frozen=True, slots=True)
class Settings:
    """All that decides the answers: the same settings and requests give the same bytes.

    `seed`: any integer. `validation`: how requests are checked: `strict` as documented, but chat takes what
    popular clients send (`openapi/tolerances`); `exact` as documented; `lenient` as the service does it, with
    unknown members dropped and top-level scalars coerced. `answers`: the generation of texts, scores and ids.
    `max_body_bytes`: longer bodies get 413. `max_kept_bytes`: what journals and logs hold in all. `ids`,
    `clock`: with `random` and `real` ids and times differ from run to run. `repeat`: with `vary` the n-th
    identical request gets an answer of its own. `auto_tools`: when to call a tool under `tool_choice: auto`.
    `prompt_schemas`: whether a JSON Schema in a prompt that
    asks for JSON is answered with a value for it. `magic`: whether names that begin with `mock-` and headers
    `x-mock-…` are magic. `known_models`: globs; without any, every model exists. `model_status`: that of
    models that clients train. `project`: what clients have made. `criteria`: the declared ones by name.
    `unknown_criteria`: what to do with others; None judges them while none is declared. `unscripted`: what to
    do with a completion that no script answers; None answers it, but refuses it in a test that scripts
    completions (`refuses_unscripted`). `keys`: without any, every bearer token is accepted that doesn't begin
    with `invalid`. `read_only_keys`: may judge, and complete with the project's own models. `cassette`: rules
    for recordings. `variant`: the name of a variant (`faults/variants`), "" for the usual answers.
    `sections`: those of the file that an export repeats as they are, without keys. `hidden`: further keys
    that nothing may show. `known`, `counts_completions`: made from the others, for the engines. `secrets`:
    all keys that nothing may show, among them those of the environment.
    """

    seed: int = 0
    validation: Validation = "strict"
    answers: int = ANSWERS
    max_body_bytes: int = 10 * MEBIBYTE
    max_kept_bytes: int = 256 * MEBIBYTE
    ids: Ids = "content"
    clock: Clock = "fixed"
    repeat: Repeat = "same"
    auto_tools: AutoTools = "mention"
    prompt_schemas: bool = True
    magic: bool = True
    keys: tuple[str, ...] = ()
    read_only_keys: tuple[str, ...] = ()
    criteria: Mapping[str, Declared] = field(default_factory=dict)
    unknown_criteria: Unknown | None = None
    completions: tuple[Script, ...] = ()
    unscripted: Unscripted | None = None
    known_models: tuple[str, ...] = ()
    model_status: Status = "DEPLOYED"
    project: Project = EMPTY
    pace: Pace = Pace()
    limits: Limits = Limits()
    faults: tuple[Fault, ...] = ()
    cassette: CassetteRules = USUAL_RULES
    variant: str = ""
    sections: Mapping[str, Json] = field(default_factory=dict, repr=False, compare=False)
    hidden: tuple[str, ...] = field(default=(), repr=False)

    known: Declarations = field(init=False, repr=False, compare=False)
    counts_completions: bool = field(init=False, repr=False, compare=False)
    secrets: tuple[bytes, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "known", Declarations(self.criteria, self.magic, self.judges_unknown))
        object.__setattr__(self, "completions", rulebook(self.completions))
        object.__setattr__(self, "counts_completions", any(each.counts for each in self.completions))
        object.__setattr__(self, "faults", rulebook(self.faults))
        keys = (*self.keys, *self.read_only_keys, *self.hidden, *environment_keys())
        object.__setattr__(self, "secrets", tuple(dict.fromkeys(os.fsencode(key) for key in keys if key)))

    @property
    def given_answers(self) -> int:
        """The generation of answers that is given: that of `answers`, or the oldest where that is gone."""
        return max(self.answers, OLDEST_ANSWERS)

    @property
    def outdated(self) -> str:
        """What to tell a user who asks for a generation of answers that is gone; "" for one that is there."""
        asked, given = self.answers, self.given_answers
        if asked == given:
            return ""
        return f"answers {asked} is gone, and {given} is given in its place; write answers: {given}"

    @property
    def judges_unknown(self) -> bool:
        """Whether undeclared criteria are judged."""
        return self.unknown_criteria == "judge" or (self.unknown_criteria is None and not self.criteria)

    @property
    def counts_unscripted(self) -> bool:
        """Whether a completion without a script is worth telling: some are scripted, or the user asks."""
        return bool(self.completions) or self.unscripted is not None

    def refuses_unscripted(self, *, in_test: bool) -> bool:
        """Whether a completion that no script answers is refused."""
        if self.unscripted is None:
            return in_test and bool(self.completions)
        return self.unscripted == "refuse"


class Overrides(TypedDict, total=False):
    """The settings that `patched` and the fixtures take beside a config file, which they beat.

    None: as in the file. Their order is that of messages.
    """

    answers: int | None
    seed: int | None
    validation: Validation | None
    ids: Ids | None
    clock: Clock | None
    repeat: Repeat | None
    auto_tools: AutoTools | None
    prompt_schemas: bool | None
    magic: bool | None
    unknown_criteria: Unknown | None
    unscripted: Unscripted | None
    variant: str | None


GLOB = frozenset("*?[")
"""Characters that make the name of a model a glob."""
