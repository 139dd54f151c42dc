"""The settings of a mock, parsed at the edge into frozen values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from openpipe_mock.matching.conditions import ALWAYS, When
from openpipe_mock.matching.rules import rulebook

Validation = Literal["strict", "lenient", "report"]
Ids = Literal["content", "random"]
Clock = Literal["fixed", "real"]
Repeat = Literal["same", "vary"]
AutoTools = Literal["mention", "always", "never"]
Unknown = Literal["judge", "not_found"]
Then = Literal["repeat", "last"]
VALIDATIONS: tuple[Validation, ...] = get_args(Validation)
IDS: tuple[Ids, ...] = get_args(Ids)
CLOCKS: tuple[Clock, ...] = get_args(Clock)
REPEATS: tuple[Repeat, ...] = get_args(Repeat)

ANSWERS = 1
"""The newest generation of answers. Texts, scores and ids belong to one; its bytes never change."""

MEBIBYTE = 2**20
EPOCH = 1_704_067_200
"""The start of 2024, in seconds since 1970: when everything happens as long as nobody brings a clock."""


# Scores. Each form is one way to come to a score; `Form` adds what all of them may have.


@dataclass(frozen=True, slots=True)
class Fixed:
    """Always this score."""

    score: float


@dataclass(frozen=True, slots=True)
class Uniform:
    """By content, evenly spread from `low` to `high`."""

    low: float = 0.0
    high: float = 1.0


@dataclass(frozen=True, slots=True)
class Near:
    """By content, at most `within` away from `centre`."""

    centre: float
    within: float = 0.05


@dataclass(frozen=True, slots=True)
class PassRate:
    """1 or 0, by content; `share` of all contents pass."""

    share: float


@dataclass(frozen=True, slots=True)
class Length:
    """1 up to `best` characters of output, 0 from `worst`, linear between."""

    best: int
    worst: int


@dataclass(frozen=True, slots=True)
class ByOutput:
    """By the text of the output; other texts get `otherwise`."""

    forms: Mapping[str, "Form"]
    otherwise: "Form"


@dataclass(frozen=True, slots=True)
class JudgeRule:
    """A form for what meets a condition. `place` is its JSON pointer in the file."""

    when: When
    form: "Form"
    place: str = ""


@dataclass(frozen=True, slots=True)
class Rules:
    """The form of the first rule whose condition holds, else `otherwise`."""

    rules: tuple[JudgeRule, ...]
    otherwise: "Form"

    def __post_init__(self) -> None:
        object.__setattr__(self, "rules", rulebook(self.rules))


@dataclass(frozen=True, slots=True)
class Sequence:
    """One form after the other, by the number of the session's judgements; then again, or the last for good.

    `counter` names the count: two sequences share it only if they are the same.
    """

    forms: tuple["Form", ...]
    then: Then = "repeat"
    counter: str = ""


@dataclass(frozen=True, slots=True)
class Failing:
    """No score: an error with this status and message."""

    status: int = 500
    message: str = "The criterion failed."


@dataclass(frozen=True, slots=True)
class RawJudgement:
    """Any JSON value as the judgement, also one that breaks the contract."""

    value: Any


@dataclass(frozen=True, slots=True)
class Drawn:
    """As for a criterion that nobody declares: by content, in steps of 0.01."""


Way = (
    Fixed | Uniform | Near | PassRate | Length | ByOutput | Rules | Sequence | Failing | RawJudgement | Drawn
)


@dataclass(frozen=True, slots=True)
class Form:
    """How a criterion comes to its judgement.

    `explanation`: said in place of the mock's own. `usage`: the tokens of a reward model, which explains
    nothing (source class: sdk). `flip_share`: the share of contents that get 1 - score. `decimals`: what the
    score is rounded to.
    """

    way: Way = Drawn()
    explanation: str | None = None
    usage: int | None = None
    flip_share: float = 0.0
    decimals: int | None = None


DRAWN = Form()


@dataclass(frozen=True, slots=True)
class Declared:
    """A criterion that the user declares: its versions, and how each judges."""

    versions: Mapping[int, Form] = field(default_factory=lambda: {1: DRAWN})


# Scripted answers.


@dataclass(frozen=True, slots=True)
class ScriptedCall:
    """A tool call: `arguments` is the JSON text that the client gets."""

    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class ScriptedChoice:
    """One scripted choice: a text, a refusal or calls."""

    text: str | None = None
    refusal: str | None = None
    calls: tuple[ScriptedCall, ...] = ()
    finish_reason: str | None = None


@dataclass(frozen=True, slots=True)
class Script:
    """What a chat request that meets `when` is answered: choice i takes `choices` i, round and round.

    `raw` is a whole answer, as JSON text, in their place. `place` is its JSON pointer, `name` the user's.
    """

    when: When = ALWAYS
    choices: tuple[ScriptedChoice, ...] = ()
    raw: bytes | None = None
    name: str = ""
    place: str = ""

    def __str__(self) -> str:
        return f"{self.place} ({self.name})" if self.name else self.place

    @property
    def calls(self) -> bool:
        """Whether it calls tools: then it never fires on a tool's result."""
        return any(choice.calls for choice in self.choices)


# Faults.


@dataclass(frozen=True, slots=True)
class ErrorAnswer:
    """An error in place of an answer. `body`: the whole of it, None for the API's own form."""

    status: int
    message: str = ""
    code: str = ""
    body: bytes | None = None


@dataclass(frozen=True, slots=True)
class Drip:
    """An answer that comes `size` bytes at a time, `seconds` apart."""

    size: int = 16
    seconds: float = 0.05


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong with a request that meets `when`, at its turn.

    `call`: at the n-th such request alone. `every`: at each n-th. `first`: at the first n. `share`: at this
    share of contents. All that are given must agree.

    `delay`: seconds before anything else. `error`: an error in place of an answer. `retry_after`: seconds, in
    its header. `disconnect`: the connection breaks, before the answer, or after `after_events` events or
    `after_bytes` bytes of it. `malformed`: the body is no JSON. `truncated`: the body is cut in the middle.
    `empty`: no body. `content_type`: sent in place of the right one. `raw`: any JSON text as the body.
    `error_event`: a stream's error event with this message, after `after_events`. `endless`: a stream that
    goes on until the settings' bound. Those of streams alone leave other answers as they are.
    `place` is its JSON pointer; `counter` names its count, and `lot` what its share is drawn by, which minds
    no place.
    """

    when: When = ALWAYS
    call: int | None = None
    every: int | None = None
    first: int | None = None
    share: float | None = None
    delay: float = 0.0
    error: ErrorAnswer | None = None
    retry_after: float | None = None
    drip: Drip | None = None
    disconnect: bool = False
    after_events: int | None = None
    after_bytes: int | None = None
    malformed: bool = False
    truncated: bool = False
    empty: bool = False
    content_type: str | None = None
    error_event: str | None = None
    endless: bool = False
    raw: bytes | None = None
    name: str = ""
    place: str = ""
    counter: str = ""
    lot: str = ""

    def __str__(self) -> str:
        return f"{self.place} ({self.name})" if self.name else self.place


# The rest of the file.


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast streams come: seconds before the first token, tokens a second (None: as fast as possible)."""

    first_token: float = 0.0
    tokens_per_second: float | None = None
    most_events: int = 10_000
    """Where an endless stream ends."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What each key may do; None: whatever it likes."""

    requests_per_minute: int | None = None
    concurrent: int | None = None

    @property
    def none(self) -> bool:
        return self.requests_per_minute is None and self.concurrent is None


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
    the name of a way to say answers that is within the contract and unlike the usual.
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

    def __post_init__(self) -> None:
        object.__setattr__(self, "completions", rulebook(self.completions))
        object.__setattr__(self, "faults", rulebook(self.faults))

    @property
    def judges_unknown(self) -> bool:
        """Whether a criterion is judged that nobody declares."""
        return self.unknown_criteria == "judge" or (self.unknown_criteria is None and not self.criteria)
