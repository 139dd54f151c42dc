"""Judges by declared criteria. A class for each key of a score form reads such forms and judges by them."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import cached_property
from typing import Any, ClassVar, Self

from openpipe_mock.answers.functions import Function
from openpipe_mock.core import seeded
from openpipe_mock.core.reading import At, Json, present_keys, whole
from openpipe_mock.matching.conditions import Subject, When, read_when
from openpipe_mock.matching.order import Then, ended, item_of
from openpipe_mock.matching.rules import rulebook, rules_that_hold

_DRAWN_DECIMALS = 2
_WRITTEN_DECIMALS = 6


@dataclass(frozen=True, slots=True)
class Judgement:
    """A score from 0 to 1, with a sentence that explains it or the tokens of a reward model.

    `error`: the status and message of a judgement that failed; its score is 0. `raw`: empty, or the one value
    to answer as it is, also where it breaks the contract. `rule`: the place of the rule that decided.
    `answer`: the JSON text of the body, and `line`: the terminal's words, where they were made before.
    """

    score: float
    explanation: str | None
    usage: int | None = None
    error: tuple[int, str] | None = None
    raw: tuple[Json, ...] = ()
    rule: str = ""
    answer: bytes = b""
    line: str = ""

    def verdict(self) -> dict[str, Json]:
        """Return the members that the judge and `criteria_results` share: the score and any explanation."""
        explained = {} if self.explanation is None else {"explanation": self.explanation}
        return {"score": self.score, **explained}

    def body(self) -> Json:
        """Return the body of `POST /criteria/judge`. Members without a value are absent, never null."""
        if self.raw:
            return self.raw[0]
        spent = {} if self.usage is None else {"usage": {"total_tokens": self.usage}}
        return {**self.verdict(), **spent}


class JudgedContent:
    """What a judge sees: the input `given`, the `output`, and a digest of both."""

    def __init__(self, given: Mapping[str, Json], output: Mapping[str, Json], digest: bytes) -> None:
        self.given = given
        self.made = output
        self.digest = digest

    @cached_property
    def subject(self) -> Subject:
        return Subject("judge", {}, {"input": self.given, "output": self.made})

    @property
    def text(self) -> str:
        """The output's content, or its refusal, or ""."""
        return self.subject.output or ""


@dataclass(frozen=True, slots=True)
class Case:
    """A judgement to make: of a content by a criterion in a version. `count`: counts a name, from 1.

    `returned`: the form that the criterion's function returned for it.
    """

    name: str
    version: int
    content: JudgedContent
    seed: int
    count: Callable[[str], int]
    returned: "Form | None" = None

    def __str__(self) -> str:
        return f"{self.name}@v{self.version}"

    def unit(self, use: str) -> float:
        """Return a number in [0, 1) for a use of it, the same for the same seed, criterion and content."""
        return seeded.unit(self.seed, self.name, self.version, self.content.digest, use)


class Scorer:
    """A way to a score. `SCORERS` lists the classes that the config file can name.

    `key`: names it in the config file, and in the control API's list of criteria.
    """

    __slots__ = ()
    key: ClassVar[str]

    @classmethod
    def read(cls, value: Json, at: At) -> Self:
        """Build it from a form that has its key and the right shape; note in `at` what else is wrong."""
        raise NotImplementedError

    def judge(self, form: "Form", case: Case) -> Judgement:
        """Judge a case. `form`: the form around it, whose `scored` makes a judgement of a number."""
        raise NotImplementedError

    def inner(self) -> Iterable["Form"]:
        """The forms inside it."""
        return ()


@dataclass(frozen=True, slots=True)
class Drawn(Scorer):
    """Draws scores by content, in steps of 0.01, as undeclared criteria do. No key of a file names it."""

    key = "drawn"

    def judge(self, form: "Form", case: Case) -> Judgement:
        score = seeded.draw_score(case.seed, case.name, case.version, case.content.digest)
        return form.scored(score, case, origin=origin_of(score, str(case), case.seed))


def origin_of(score: float, criterion: str, seed: int) -> str:
    """Return the explanation of a drawn score."""
    return f"The mock drew {score} for {criterion} from seed {seed} and the judged content; no model read it."


@dataclass(frozen=True, slots=True)
class Form:
    """How a criterion judges: a `scorer`, and what to do with its score.

    `explanation`: sent in place of the mock's own. `usage`: the tokens of a reward model; its judgements have
    no explanation (source class: sdk). `flip_share`: the share of contents that get 1 - score. `decimals`:
    of the rounded score, None for the scorer's own. `source`: the JSON that it was read from.
    """

    scorer: Scorer = Drawn()
    explanation: str | None = None
    usage: int | None = None
    flip_share: float = 0.0
    decimals: int | None = None
    source: Json = field(default=None, repr=False, compare=False)

    @classmethod
    def read(cls, value: Json, at: At) -> Self:
        """Read a form, or a bare number, which is the score of every content."""
        if not isinstance(value, dict):
            return cls(Fixed(float(value)))
        [scorer] = (each.read(value, at) for each in SCORERS if each.key in value)
        return cls(
            scorer,
            **present_keys(value, explanation="explanation", flip_share="flip_share"),
            **whole(value, usage="usage", decimals="decimals"),
            source=value,
        )

    def judge(self, case: Case) -> Judgement:
        """Make the judgement of a case."""
        return self.scorer.judge(self, case)

    def judge_by(self, inner: "Form", case: Case) -> Judgement:
        """Judge by a form inside this one, whose explanation, usage and so on count where that has none."""
        return Form(
            inner.scorer,
            self.explanation if inner.explanation is None else inner.explanation,
            self.usage if inner.usage is None else inner.usage,
            inner.flip_share or self.flip_share,
            self.decimals if inner.decimals is None else inner.decimals,
        ).judge(case)

    def scored(
        self, score: float, case: Case, *, decimals: int = _DRAWN_DECIMALS, origin: str = ""
    ) -> Judgement:
        """A judgement with this score: clamped to 0 to 1, rounded, and for some contents flipped.

        `origin`: explains the score where the form doesn't, unless it is flipped.
        """
        places = decimals if self.decimals is None else self.decimals
        score = round(min(1.0, max(0.0, score)), places)
        flipped = self.flip_share > 0 and case.unit("flip") < self.flip_share
        if flipped:
            score = round(1 - score, places)
        if self.usage is not None:
            return Judgement(score, None, self.usage)
        if self.explanation is not None:
            return Judgement(score, self.explanation)
        if flipped or not origin:
            origin = f"The mock's settings give this content {score} for {case}; no model read it."
        return Judgement(score, origin)


DRAWN = Form()


@dataclass(frozen=True, slots=True)
class Declared:
    """A criterion that the user declares: its versions, and how each judges."""

    versions: Mapping[int, Form] = field(default_factory=lambda: {1: DRAWN})


@dataclass(frozen=True, slots=True)
class Declarations:
    """Which criteria exist.

    `criteria`: the declared ones by name. `magic`: whether names that begin with `mock-` are magic.
    `judges_unknown`: whether all other names are judged too.
    """

    criteria: Mapping[str, Declared] = field(default_factory=dict)
    magic: bool = True
    judges_unknown: bool = True


NONE_DECLARED = Declarations()


def read_criterion(value: Json, at: At) -> Declared | Form:
    """Build a criterion from a value whose shape is right: its form or, where it has versions, all of them.

    What else is wrong is noted in `at`.
    """
    if any(each.key in value for each in SCORERS):
        return Form.read(value, at)
    return Declared({int(key[1:]): Form.read(inner, at.at(key)) for key, inner in value.items()})


def declared(found: Declared | Form) -> Declared:
    """Return a criterion with versions; a bare form becomes version 1."""
    return Declared({1: found}) if isinstance(found, Form) else found


@dataclass(frozen=True, slots=True)
class Fixed(Scorer):
    """Gives every content this score."""

    key = "score"
    score: float

    @classmethod
    def read(cls, value: Json, at: At) -> Self:
        return cls(float(value["score"]))

    def judge(self, form: Form, case: Case) -> Judgement:
        return form.scored(self.score, case, decimals=_WRITTEN_DECIMALS)


@dataclass(frozen=True, slots=True)
class Uniform(Scorer):
    """Draws scores by content, evenly from `low` to `high`."""

    key = "uniform"
    low: float = 0.0
    high: float = 1.0

    @classmethod
    def read(cls, value: Json, at: At) -> Self:
        low, high = value["uniform"]
        if low > high:
            told = f"the lowest score, {low}, is above the highest, {high}; write the lowest first."
            at.at("uniform").wrong("uniform", told)
        return cls(float(low), float(high))

    def judge(self, form: Form, case: Case) -> Judgement:
        score = self.low + (self.high - self.low) * case.unit("score")
        return form.scored(score, case, decimals=_decimals_of(self.low, self.high))


@dataclass(frozen=True, slots=True)
class Near(Scorer):
    """Draws scores by content, at most `within` away from `centre`."""

    key = "near"
    centre: float
    within: float = 0.05

    @classmethod
    def read(cls, value: Json, at: At) -> Self:
        return cls(float(value["near"]), **present_keys(value, within="within"))

    def judge(self, form: Form, case: Case) -> Judgement:
        score = self.centre + self.within * (2 * case.unit("score") - 1)
        return form.scored(score, case, decimals=_decimals_of(self.centre, self.within))


def _decimals_of(*numbers: float) -> int:
    """How many decimals a score between such numbers needs: rounded to fewer, it could lie beyond them."""
    written = (-int(Decimal(str(number)).as_tuple().exponent) for number in numbers)
    return min(_WRITTEN_DECIMALS, max(_DRAWN_DECIMALS, *written))


@dataclass(frozen=True, slots=True)
class PassRate(Scorer):
    """Gives 1 to a `share` of all contents, by content, and 0 to the others."""

    key = "pass_rate"
    share: float

    @classmethod
    def read(cls, value: Json, at: At) -> Self:
        return cls(float(value["pass_rate"]))

    def judge(self, form: Form, case: Case) -> Judgement:
        return form.scored(float(case.unit("score") < self.share), case)


@dataclass(frozen=True, slots=True)
class Length(Scorer):
    """Gives 1 to outputs of up to `best` characters, 0 from `worst`, and linear scores between."""

    key = "length"
    best: int
    worst: int

    @classmethod
    def read(cls, value: Json, at: At) -> Self:
        best, worst = value["length"]["best"], value["length"]["worst"]
        if best >= worst:
            told = f'expected more than {best}, which is "best", got {worst}.'
            at.at("length", "worst").wrong("length", told)
        return cls(int(best), int(worst))

    def judge(self, form: Form, case: Case) -> Judgement:
        return form.scored((self.worst - len(case.content.text)) / (self.worst - self.best), case)


@dataclass(frozen=True, slots=True)
class ByOutput(Scorer):
    """Judges by the form that the output's text has in `forms`, else by `otherwise`."""

    key = "by_output"
    forms: Mapping[str, Form]
    otherwise: Form

    @classmethod
    def read(cls, value: Json, at: At) -> Self:
        texts = value["by_output"].items()
        forms = {text: Form.read(form, at.at("by_output", text)) for text, form in texts}
        return cls(forms, _otherwise(value, at))

    def judge(self, form: Form, case: Case) -> Judgement:
        return form.judge_by(self.forms.get(case.content.text, self.otherwise), case)

    def inner(self) -> Iterable[Form]:
        return (*self.forms.values(), self.otherwise)


def _otherwise(value: Json, at: At) -> Form:
    return Form.read(value["otherwise"], at.at("otherwise")) if "otherwise" in value else DRAWN


@dataclass(frozen=True, slots=True)
class JudgeRule:
    """A form for contents that meet a condition. `place`: its JSON pointer in the file."""

    when: When
    form: Form
    place: str = ""

    @classmethod
    def read(cls, value: Json, at: At) -> Self:
        return cls(read_when(value["when"], at.at("when")), Form.read(value, at), at.place)


@dataclass(frozen=True, slots=True)
class Rules(Scorer):
    """Judges by the form of the first rule whose condition holds, else by `otherwise`."""

    key = "rules"
    rules: tuple[JudgeRule, ...]
    otherwise: Form

    def __post_init__(self) -> None:
        object.__setattr__(self, "rules", rulebook(self.rules))

    @classmethod
    def read(cls, value: Json, at: At) -> Self:
        each = enumerate(value["rules"])
        rules = tuple(JudgeRule.read(rule, at.at("rules", index)) for index, rule in each)
        return cls(rules, _otherwise(value, at))

    def judge(self, form: Form, case: Case) -> Judgement:
        for rule in rules_that_hold(self.rules, case.content.subject):
            found = form.judge_by(rule.form, case)
            return found if found.rule else replace(found, rule=rule.place)
        return form.judge_by(self.otherwise, case)

    def inner(self) -> Iterable[Form]:
        return (*(rule.form for rule in self.rules), self.otherwise)


@dataclass(frozen=True, slots=True)
class Sequence(Scorer):
    """Judges by one form after the other, as the session's judgements by this criterion count up.

    `then`: what comes after the last form, all again (`repeat`), the last one for good (`last`) or an error
    (`fail`). `counter`: the name of the count, which only equal sequences share.
    """

    key = "sequence"
    forms: tuple[Form, ...]
    then: Then = "repeat"
    counter: str = ""

    @classmethod
    def read(cls, value: Json, at: At) -> Self:
        each = enumerate(value["sequence"])
        forms = tuple(Form.read(form, at.at("sequence", index)) for index, form in each)
        return cls(forms, **present_keys(value, then="then"), counter=at.counter(value))

    def judge(self, form: Form, case: Case) -> Judgement:
        number, length = case.count(f"{self.counter}\x1f{case}"), len(self.forms)
        turn = item_of(number, length, self.then)
        if turn is None:
            return form.judge_by(Form(Failing(_ENDED, ended(length, "score", number, "judgement"))), case)
        return form.judge_by(self.forms[turn], case)

    def inner(self) -> Iterable[Form]:
        return self.forms


_ENDED = 404
"""The status after the end of a sequence; no client retries it."""


@dataclass(frozen=True, slots=True)
class Failing(Scorer):
    """Gives no score but an error with this status and message."""

    key = "error"
    status: int = 500
    message: str = "The criterion failed."

    @classmethod
    def read(cls, value: Json, at: At) -> Self:
        error = value["error"]
        return cls(**whole(error, status="status"), **present_keys(error, message="message"))

    def judge(self, form: Form, case: Case) -> Judgement:
        return Judgement(0.0, None, error=(self.status, self.message))


@dataclass(frozen=True, slots=True)
class RawJudgement(Scorer):
    """Answers this JSON value as the judgement, also where it breaks the contract."""

    key = "raw"
    value: Any

    @classmethod
    def read(cls, value: Json, at: At) -> Self:
        return cls(value["raw"])

    def judge(self, form: Form, case: Case) -> Judgement:
        score = self.value.get("score") if isinstance(self.value, dict) else None
        if not isinstance(score, int | float) or isinstance(score, bool):
            score = 0.0
        score = min(_MOST_RAW, max(-_MOST_RAW, score))
        return Judgement(float(score), None, raw=(self.value,))


_MOST_RAW = 1e6
"""How far from 0 a raw score counts in best of n: a sum of larger ones could overflow."""


@dataclass(frozen=True, slots=True)
class ByFunction(Scorer):
    """Judges by the form that a test's function returns, which is asked before. No key of a file names it."""

    key = "by"
    function: Function[Form]

    def judge(self, form: Form, case: Case) -> Judgement:
        return form.judge_by(case.returned or DRAWN, case)


SCORERS: tuple[type[Scorer], ...] = (
    Fixed, Uniform, Near, PassRate, Length, ByOutput, Rules, Sequence, Failing, RawJudgement,
)  # fmt: skip
"""The scorers that the config file can name, each by a key of its own."""
