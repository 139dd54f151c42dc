"""How a declared criterion comes to its judgement: each form of the config file, carried out."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cached_property
from typing import Any

from openpipe_mock.config.settings import (
    ByOutput,
    Drawn,
    Failing,
    Fixed,
    Form,
    Length,
    Near,
    PassRate,
    RawJudgement,
    Rules,
    Sequence,
    Uniform,
)
from openpipe_mock.core import seeded as scoring
from openpipe_mock.matching.conditions import Subject
from openpipe_mock.matching.rules import holding

DRAWN_DECIMALS = 2
WRITTEN_DECIMALS = 6
MOST_RAW = 1e6
"""How far from 0 a raw score counts in best of n: a sum of larger ones could overflow."""
Json = Any


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


class Content:
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
    content: Content
    draw: scoring.Draw
    count: Callable[[str], int]

    def __str__(self) -> str:
        return f"{self.name}@v{self.version}"

    def unit(self, use: str) -> float:
        """A number from 0 up to 1 that depends on the content alone."""
        return scoring.unit(self.draw, self.name, self.version, self.content.digest, use)


def judgement(form: Form, case: Case) -> Judgement:
    """The judgement of a case by a form."""
    return WAYS[type(form.way)](form, form.way, case)


def drawn(form: Form, _: Drawn, case: Case) -> Judgement:
    score = scoring.score(case.draw, case.name, case.version, case.content.digest)
    return scored(form, score, case, origin_of(score, str(case), case.draw.seed))


def origin_of(score: float, criterion: str, seed: int) -> str:
    """Where a drawn score comes from."""
    return f"The mock drew {score} for {criterion} from seed {seed} and the judged content; no model read it."


def fixed(form: Form, way: Fixed, case: Case) -> Judgement:
    return scored(form, way.score, case, decimals=WRITTEN_DECIMALS)


def uniform(form: Form, way: Uniform, case: Case) -> Judgement:
    score = way.low + (way.high - way.low) * case.unit("score")
    return scored(form, score, case, decimals=decimals_of(way.low, way.high))


def near(form: Form, way: Near, case: Case) -> Judgement:
    score = way.centre + way.within * (2 * case.unit("score") - 1)
    return scored(form, score, case, decimals=decimals_of(way.centre, way.within))


def decimals_of(*numbers: float) -> int:
    """The decimals of what is drawn between such numbers: rounded to fewer, it could lie beyond them."""
    written = (-int(Decimal(str(number)).as_tuple().exponent) for number in numbers)
    return min(WRITTEN_DECIMALS, max(DRAWN_DECIMALS, *written))


def pass_rate(form: Form, way: PassRate, case: Case) -> Judgement:
    return scored(form, float(case.unit("score") < way.share), case)


def length(form: Form, way: Length, case: Case) -> Judgement:
    return scored(form, (way.worst - len(case.content.text)) / (way.worst - way.best), case)


def scored(
    form: Form, score: float, case: Case, origin: str = "", decimals: int = DRAWN_DECIMALS
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


def by_output(form: Form, way: ByOutput, case: Case) -> Judgement:
    return inner(form, way.forms.get(case.content.text, way.otherwise), case)


def rules(form: Form, way: Rules, case: Case) -> Judgement:
    for rule in holding(way.rules, case.content.subject):
        found = inner(form, rule.form, case)
        return found if found.rule else replace(found, rule=rule.place)
    return inner(form, way.otherwise, case)


def sequence(form: Form, way: Sequence, case: Case) -> Judgement:
    turn = case.count(f"{way.counter}\x1f{case}") - 1
    last = len(way.forms) - 1
    return inner(form, way.forms[turn % len(way.forms) if way.then == "repeat" else min(turn, last)], case)


def inner(outer: Form, form: Form, case: Case) -> Judgement:
    """The judgement by a form inside another, which says what the inner one leaves open."""
    return judgement(
        Form(
            form.way,
            outer.explanation if form.explanation is None else form.explanation,
            outer.usage if form.usage is None else form.usage,
            form.flip_share or outer.flip_share,
            outer.decimals if form.decimals is None else form.decimals,
        ),
        case,
    )


def failing(_: Form, way: Failing, __: Case) -> Judgement:
    return Judgement(0.0, None, error=(way.status, way.message))


def raw(_: Form, way: RawJudgement, __: Case) -> Judgement:
    score = way.value.get("score") if isinstance(way.value, dict) else None
    if not isinstance(score, int | float) or isinstance(score, bool):
        score = 0.0
    return Judgement(float(min(MOST_RAW, max(-MOST_RAW, score))), None, raw=(way.value,))


WAYS: Mapping[type, Callable[[Form, Any, Case], Judgement]] = {
    Drawn: drawn,
    Fixed: fixed,
    Uniform: uniform,
    Near: near,
    PassRate: pass_rate,
    Length: length,
    ByOutput: by_output,
    Rules: rules,
    Sequence: sequence,
    Failing: failing,
    RawJudgement: raw,
}
"""The class of a form's way → what carries it out."""
