"""Judges by declared criteria: the forms of the config file, how they judge, and how they are read."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import cached_property
from typing import Any, Literal

from openpipe_mock.core import seeded
from openpipe_mock.core.reading import At, Json, present_keys, whole
from openpipe_mock.matching.conditions import Subject, When, read_when
from openpipe_mock.matching.rules import rulebook, rules_that_hold

_Then = Literal["repeat", "last"]


@dataclass(frozen=True, slots=True)
class Fixed:
    """Gives every content this score."""

    score: float


@dataclass(frozen=True, slots=True)
class Uniform:
    """Draws scores by content, evenly from `low` to `high`."""

    low: float = 0.0
    high: float = 1.0


@dataclass(frozen=True, slots=True)
class Near:
    """Draws scores by content, at most `within` away from `centre`."""

    centre: float
    within: float = 0.05


@dataclass(frozen=True, slots=True)
class PassRate:
    """Gives 1 to a `share` of all contents, by content, and 0 to the others."""

    share: float


@dataclass(frozen=True, slots=True)
class Length:
    """Gives 1 to outputs of up to `best` characters, 0 from `worst`, and linear scores between."""

    best: int
    worst: int


@dataclass(frozen=True, slots=True)
class ByOutput:
    """Judges by the form that the output's text has in `forms`, else by `otherwise`."""

    forms: Mapping[str, "Form"]
    otherwise: "Form"


@dataclass(frozen=True, slots=True)
class JudgeRule:
    """A form for contents that meet a condition. `place`: its JSON pointer in the file."""

    when: When
    form: "Form"
    place: str = ""


@dataclass(frozen=True, slots=True)
class Rules:
    """Judges by the form of the first rule whose condition holds, else by `otherwise`."""

    rules: tuple[JudgeRule, ...]
    otherwise: "Form"

    def __post_init__(self) -> None:
        object.__setattr__(self, "rules", rulebook(self.rules))


@dataclass(frozen=True, slots=True)
class Sequence:
    """Judges by one form after the other, as the session's judgements by this criterion count up.

    `then`: what comes after the last form, all again (`repeat`) or the last one for good (`last`). `counter`:
    the name of the count, which only equal sequences share.
    """

    forms: tuple["Form", ...]
    then: _Then = "repeat"
    counter: str = ""


@dataclass(frozen=True, slots=True)
class Failing:
    """Gives no score but an error with this status and message."""

    status: int = 500
    message: str = "The criterion failed."


@dataclass(frozen=True, slots=True)
class RawJudgement:
    """Answers this JSON value as the judgement, also where it breaks the contract."""

    value: Any


@dataclass(frozen=True, slots=True)
class Drawn:
    """Draws scores by content, in steps of 0.01, as undeclared criteria do."""


Way = (
    Fixed | Uniform | Near | PassRate | Length | ByOutput | Rules | Sequence | Failing | RawJudgement | Drawn
)


@dataclass(frozen=True, slots=True)
class Form:
    """How a criterion judges: a `way` to a score, and what to do with it.

    `explanation`: sent in place of the mock's own. `usage`: the tokens of a reward model; its judgements have
    no explanation (source class: sdk). `flip_share`: the share of contents that get 1 - score. `decimals`:
    of the rounded score, None for the way's own.
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
    """Which criteria exist.

    `criteria`: the declared ones by name. `magic`: whether names that begin with `mock-` are magic.
    `judges_unknown`: whether all other names are judged too.
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
    """A judgement to make: of a content by a criterion in a version. `count`: counts a name, from 1."""

    name: str
    version: int
    content: JudgedContent
    draw: seeded.Draw
    count: Callable[[str], int]

    def __str__(self) -> str:
        return f"{self.name}@v{self.version}"

    def unit(self, use: str) -> float:
        """Return a number in [0, 1) for a use of it, the same for the same seed, criterion and content."""
        return seeded.unit(self.draw, self.name, self.version, self.content.digest, use)


def judge_by_form(form: Form, case: Case) -> Judgement:
    """Make the judgement of a case by a form."""
    return JUDGES[type(form.way)](form, form.way, case)


def _drawn(form: Form, _: Drawn, case: Case) -> Judgement:
    score = seeded.draw_score(case.draw, case.name, case.version, case.content.digest)
    return _scored(form, score, case, origin_of(score, str(case), case.draw.seed))


def origin_of(score: float, criterion: str, seed: int) -> str:
    """Return the explanation of a drawn score."""
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
    """How many decimals a score between such numbers needs: rounded to fewer, it could lie beyond them."""
    written = (-int(Decimal(str(number)).as_tuple().exponent) for number in numbers)
    return min(_WRITTEN_DECIMALS, max(_DRAWN_DECIMALS, *written))


def _pass_rate(form: Form, way: PassRate, case: Case) -> Judgement:
    return _scored(form, float(case.unit("score") < way.share), case)


def _length(form: Form, way: Length, case: Case) -> Judgement:
    return _scored(form, (way.worst - len(case.content.text)) / (way.worst - way.best), case)


def _scored(
    form: Form, score: float, case: Case, origin: str = "", decimals: int = _DRAWN_DECIMALS
) -> Judgement:
    """A judgement with this score: clamped to 0 to 1, rounded, and for some contents flipped."""
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
    """Judge by a form inside another, whose explanation, usage and so on count where it has none."""
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
"""Class of a form's way → function that judges by it."""


def read_criterion(value: Json, at: At) -> Declared | Form:
    """Build a criterion from a value whose shape is right: its form or, where it has versions, all of them.

    What else is wrong is noted in `at`.
    """
    if not any(key in value for key in _READERS):
        return Declared({int(key[1:]): _read_form(inner, at.at(key)) for key, inner in value.items()})
    return _read_form(value, at)


def declared(found: Declared | Form) -> Declared:
    """Return a criterion with versions; a bare form becomes version 1."""
    return Declared({1: found}) if isinstance(found, Form) else found


def _read_form(value: Json, at: At) -> Form:
    """Read a form, or a bare number, which is the score of every content."""
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
"""Key of a form that names its way → function that reads it."""
