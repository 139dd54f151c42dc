"""How a declared criterion comes to its judgement: each form of the config file, carried out."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import cached_property
from typing import Any, Literal

from openpipe_mock.core import seeded as scoring
from openpipe_mock.core.reading import At, Json, present_keys, whole
from openpipe_mock.matching.conditions import Subject, When, read_when
from openpipe_mock.matching.rules import rulebook, rules_that_hold

_Then = Literal["repeat", "last"]


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
    then: _Then = "repeat"
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


@dataclass(frozen=True, slots=True)
class Declarations:
    """Which criteria there are.

    `criteria`: those that a config declares, by name. `magic`: whether names that begin with `mock-` mean
    something. `judges_unknown`: whether any other criterion is judged too.
    """

    criteria: Mapping[str, Declared] = field(default_factory=dict)
    magic: bool = True
    judges_unknown: bool = True


NONE_DECLARED = Declarations()

_DRAWN_DECIMALS = 2
_WRITTEN_DECIMALS = 6
_MOST_RAW = 1e6
"""How far from 0 a raw score counts in best of n: a sum of larger ones could overflow."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """A score from 0 to 1; one sentence that says where it comes from, or the tokens of a reward model.

    `error` is the status and message of a judgement that failed; its score is 0. `raw` holds the one value
    that is answered as it is, whatever the contract says. `rule` is the place of the rule that decided.
    Where they were written before, `answer` is its body's JSON text and `line` what the terminal says.
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
        """Score and explanation, which the judge and `criteria_results` say alike; never null."""
        explained = {} if self.explanation is None else {"explanation": self.explanation}
        return {"score": self.score, **explained}

    def body(self) -> Json:
        """The judgement as `POST /criteria/judge` answers it; absent members are left out, never null."""
        if self.raw:
            return self.raw[0]
        spent = {} if self.usage is None else {"usage": {"total_tokens": self.usage}}
        return {**self.verdict(), **spent}


class JudgedContent:
    """What a judge sees: the input, the output, and the digest that stands for both."""

    def __init__(self, given: Mapping[str, Json], output: Mapping[str, Json], digest: bytes) -> None:
        self.given = given
        self.made = output
        self.digest = digest

    @cached_property
    def subject(self) -> Subject:
        return Subject("judge", {}, {"input": self.given, "output": self.made})

    @property
    def text(self) -> str:
        """The output's content, else its refusal, else ""."""
        return self.subject.output or ""


@dataclass(frozen=True, slots=True)
class Case:
    """A judgement to be made: of a content by a criterion in a version. `count` numbers what takes turns."""

    name: str
    version: int
    content: JudgedContent
    draw: scoring.Draw
    count: Callable[[str], int]

    def __str__(self) -> str:
        return f"{self.name}@v{self.version}"

    def unit(self, use: str) -> float:
        """A number from 0 up to 1 that depends on the content alone."""
        return scoring.unit(self.draw, self.name, self.version, self.content.digest, use)


def judge_by_form(form: Form, case: Case) -> Judgement:
    """The judgement of a case by a form."""
    return JUDGES[type(form.way)](form, form.way, case)


def _drawn(form: Form, _: Drawn, case: Case) -> Judgement:
    score = scoring.draw_score(case.draw, case.name, case.version, case.content.digest)
    return _scored(form, score, case, origin_of(score, str(case), case.draw.seed))


def origin_of(score: float, criterion: str, seed: int) -> str:
    """Where a drawn score comes from."""
    return f"The mock drew {score} for {criterion} from seed {seed} and the judged content; no model read it."


def _fixed(form: Form, way: Fixed, case: Case) -> Judgement:
    return _scored(form, way.score, case, decimals=_WRITTEN_DECIMALS)


def _uniform(form: Form, way: Uniform, case: Case) -> Judgement:
    score = way.low + (way.high - way.low) * case.unit("score")
    return _scored(form, score, case, decimals=_decimals_of(way.low, way.high))


def _near(form: Form, way: Near, case: Case) -> Judgement:
    score = way.centre + way.within * (2 * case.unit("score") - 1)
    return _scored(form, score, case, decimals=_decimals_of(way.centre, way.within))


def _decimals_of(*numbers: float) -> int:
    """The decimals of what is drawn between such numbers: rounded to fewer, it could lie beyond them."""
    written = (-int(Decimal(str(number)).as_tuple().exponent) for number in numbers)
    return min(_WRITTEN_DECIMALS, max(_DRAWN_DECIMALS, *written))


def _pass_rate(form: Form, way: PassRate, case: Case) -> Judgement:
    return _scored(form, float(case.unit("score") < way.share), case)


def _length(form: Form, way: Length, case: Case) -> Judgement:
    return _scored(form, (way.worst - len(case.content.text)) / (way.worst - way.best), case)


def _scored(
    form: Form, score: float, case: Case, origin: str = "", decimals: int = _DRAWN_DECIMALS
) -> Judgement:
    """A judgement with a score that is flipped for some contents, clamped and rounded."""
    places = decimals if form.decimals is None else form.decimals
    score = round(min(1.0, max(0.0, score)), places)
    flipped = form.flip_share > 0 and case.unit("flip") < form.flip_share
    if flipped:
        score = round(1 - score, places)
    if form.usage is not None:
        return Judgement(score, None, form.usage)
    if form.explanation is not None:
        return Judgement(score, form.explanation)
    if flipped or not origin:
        origin = f"The mock's settings give this content {score} for {case}; no model read it."
    return Judgement(score, origin)


def _by_output(form: Form, way: ByOutput, case: Case) -> Judgement:
    return _inner(form, way.forms.get(case.content.text, way.otherwise), case)


def _rules(form: Form, way: Rules, case: Case) -> Judgement:
    for rule in rules_that_hold(way.rules, case.content.subject):
        found = _inner(form, rule.form, case)
        return found if found.rule else replace(found, rule=rule.place)
    return _inner(form, way.otherwise, case)


def _sequence(form: Form, way: Sequence, case: Case) -> Judgement:
    turn = case.count(f"{way.counter}\x1f{case}") - 1
    last = len(way.forms) - 1
    return _inner(form, way.forms[turn % len(way.forms) if way.then == "repeat" else min(turn, last)], case)


def _inner(outer: Form, form: Form, case: Case) -> Judgement:
    """The judgement by a form inside another, which says what the inner one leaves open."""
    return judge_by_form(
        Form(
            form.way,
            outer.explanation if form.explanation is None else form.explanation,
            outer.usage if form.usage is None else form.usage,
            form.flip_share or outer.flip_share,
            outer.decimals if form.decimals is None else form.decimals,
        ),
        case,
    )


def _failing(_: Form, way: Failing, __: Case) -> Judgement:
    return Judgement(0.0, None, error=(way.status, way.message))


def _raw(_: Form, way: RawJudgement, __: Case) -> Judgement:
    score = way.value.get("score") if isinstance(way.value, dict) else None
    if not isinstance(score, int | float) or isinstance(score, bool):
        score = 0.0
    return Judgement(float(min(_MOST_RAW, max(-_MOST_RAW, score))), None, raw=(way.value,))


JUDGES: Mapping[type, Callable[[Form, Any, Case], Judgement]] = {
    Drawn: _drawn,
    Fixed: _fixed,
    Uniform: _uniform,
    Near: _near,
    PassRate: _pass_rate,
    Length: _length,
    ByOutput: _by_output,
    Rules: _rules,
    Sequence: _sequence,
    Failing: _failing,
    RawJudgement: _raw,
}
"""The class of a form's way → what carries it out."""


def read_criterion(value: Json, at: At) -> Declared | Form:
    if not any(key in value for key in _READERS):
        return Declared({int(key[1:]): _read_form(inner, at.at(key)) for key, inner in value.items()})
    return _read_form(value, at)


def declared(found: Declared | Form) -> Declared:
    """A criterion with its versions: one that has none is in its first."""
    return Declared({1: found}) if isinstance(found, Form) else found


def _read_form(value: Json, at: At) -> Form:
    """A form, or a bare number, which is always the score."""
    if not isinstance(value, dict):
        return Form(Fixed(float(value)))
    [way] = (build(value, at) for key, build in _READERS.items() if key in value)
    return Form(
        way,
        **present_keys(value, explanation="explanation", flip_share="flip_share"),
        **whole(value, usage="usage", decimals="decimals"),
    )


def _read_fixed(value: Json, at: At) -> Fixed:
    return Fixed(float(value["score"]))


def _read_rules(value: Json, at: At) -> Rules:
    each = enumerate(value["rules"])
    return Rules(
        tuple(_read_rule(rule, at.at("rules", index)) for index, rule in each), _otherwise(value, at)
    )


def _read_rule(value: Json, at: At) -> JudgeRule:
    return JudgeRule(read_when(value["when"], at.at("when")), _read_form(value, at), at.place)


def _otherwise(value: Json, at: At) -> Form:
    return _read_form(value["otherwise"], at.at("otherwise")) if "otherwise" in value else DRAWN


def _read_uniform(value: Json, at: At) -> Uniform:
    low, high = value["uniform"]
    if low > high:
        told = f"the lowest score, {low}, is above the highest, {high}; write the lowest first."
        at.at("uniform").wrong("uniform", told)
    return Uniform(float(low), float(high))


def _read_length(value: Json, at: At) -> Length:
    best, worst = value["length"]["best"], value["length"]["worst"]
    if best >= worst:
        at.at("length", "worst").wrong("length", f'expected more than {best}, which is "best", got {worst}.')
    return Length(int(best), int(worst))


def _read_by_output(value: Json, at: At) -> ByOutput:
    texts = value["by_output"].items()
    forms = {text: _read_form(form, at.at("by_output", text)) for text, form in texts}
    return ByOutput(forms, _otherwise(value, at))


def _read_sequence(value: Json, at: At) -> Sequence:
    each = enumerate(value["sequence"])
    forms = tuple(_read_form(form, at.at("sequence", index)) for index, form in each)
    return Sequence(forms, **present_keys(value, then="then"), counter=at.counter(value))


def _read_near(value: Json, at: At) -> Near:
    return Near(float(value["near"]), **present_keys(value, within="within"))


def _read_pass_rate(value: Json, at: At) -> PassRate:
    return PassRate(float(value["pass_rate"]))


def _read_failing(value: Json, at: At) -> Failing:
    error = value["error"]
    return Failing(**whole(error, status="status"), **present_keys(error, message="message"))


def _read_raw(value: Json, at: At) -> RawJudgement:
    return RawJudgement(value["raw"])


_READERS: Mapping[str, Callable[[Json, At], Way]] = {
    "score": _read_fixed,
    "rules": _read_rules,
    "uniform": _read_uniform,
    "length": _read_length,
    "by_output": _read_by_output,
    "sequence": _read_sequence,
    "near": _read_near,
    "pass_rate": _read_pass_rate,
    "error": _read_failing,
    "raw": _read_raw,
}
"""The key of a form that says how it comes to a score → what reads it."""
