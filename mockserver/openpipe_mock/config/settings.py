"""The settings of a mock, parsed at the edge into frozen values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from openpipe_mock.answers.pace import Pace
from openpipe_mock.answers.scorers import Declarations, Declared
from openpipe_mock.answers.scripts import Script
from openpipe_mock.answers.tools import AutoTools
from openpipe_mock.config.limits import Limits
from openpipe_mock.core.seeded import ANSWERS, Draw
from openpipe_mock.core.userfiles import MEBIBYTE
from openpipe_mock.faults.kinds import Fault
from openpipe_mock.matching.rules import rulebook

Validation = Literal["strict", "lenient", "report"]
Ids = Literal["content", "random"]
Clock = Literal["fixed", "real"]
Repeat = Literal["same", "vary"]
Unknown = Literal["judge", "not_found"]
VALIDATIONS: tuple[Validation, ...] = get_args(Validation)
IDS: tuple[Ids, ...] = get_args(Ids)
CLOCKS: tuple[Clock, ...] = get_args(Clock)
REPEATS: tuple[Repeat, ...] = get_args(Repeat)


@dataclass(frozen=True, slots=True)
class Settings:
    """What decides the answers: the same settings and requests give the same bytes.

    `seed`: any integer. `validation`: how a request is held against the contract: `strict` as documented;
    `lenient` as the service does it, unknown members dropped and top-level scalars coerced; `report` answers
    as lenient does and notes what strict would refuse. `max_body_bytes`: longer bodies get 413. `ids`,
    `clock`: `random` and `real` give up sameness of ids and times. `repeat`: `vary` gives the n-th identical
    request an answer of its own. `auto_tools`: when a tool is called that nobody asked for. `magic`: whether
    names that begin with `mock-` and headers `x-mock-…` mean something. `known_models`: globs; while there
    are none every model exists. `criteria`: by name. `unknown_criteria`: what becomes of others; None: they
    are judged while none is declared. `keys`: while there are none every bearer token will do, except those
    that begin with `invalid`; `read_only_keys` judge and complete with the project's own models. `variant`:
    the name of a way to say answers that is within the contract and unlike the usual. `known`, `draw`: what
    the engines need of all this.
    """

    seed: int = 0
    validation: Validation = "strict"
    answers: int = ANSWERS
    max_body_bytes: int = 10 * MEBIBYTE
    ids: Ids = "content"
    clock: Clock = "fixed"
    repeat: Repeat = "same"
    auto_tools: AutoTools = "mention"
    magic: bool = True
    keys: tuple[str, ...] = ()
    read_only_keys: tuple[str, ...] = ()
    criteria: Mapping[str, Declared] = field(default_factory=dict)
    unknown_criteria: Unknown | None = None
    completions: tuple[Script, ...] = ()
    known_models: tuple[str, ...] = ()
    pace: Pace = Pace()
    limits: Limits = Limits()
    faults: tuple[Fault, ...] = ()
    variant: str = ""

    known: Declarations = field(init=False, repr=False, compare=False)
    draw: Draw = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "known", Declarations(self.criteria, self.magic, self.judges_unknown))
        object.__setattr__(self, "draw", Draw(self.answers, self.seed))
        object.__setattr__(self, "completions", rulebook(self.completions))
        object.__setattr__(self, "faults", rulebook(self.faults))

    @property
    def judges_unknown(self) -> bool:
        """Whether a criterion is judged that nobody declares."""
        return self.unknown_criteria == "judge" or (self.unknown_criteria is None and not self.criteria)


GLOB = frozenset("*?[")
