"""The judge: a criterion and the judged content in, a judgement out."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from mockserver import scoring
from mockserver.config import NONE_DECLARED, Declared, Settings
from mockserver.errors import CriterionNotFound
from mockserver.spec import contract
from mockserver.violations import did_you_mean, listed, quoted, short

LATEST = 1
"""The version that a plain id means while nobody has declared the criterion (decision)."""

REFERENCE = re.compile(r"(?P<name>[^@\s\x00-\x1f\x7f]{1,200})(?:@v(?P<version>[1-9][0-9]{0,8}))?")
GRAMMAR = (
    'A criterion id is "name", which means its latest version, or "name@vN" with N from 1: "criterion-1@v1". '
    'A name has 1 to 200 characters and no white space or "@"; N has no leading zero.'
)


@dataclass(frozen=True, slots=True)
class Criterion:
    """A criterion in one of its versions."""

    name: str
    version: int

    def __str__(self) -> str:
        return f"{self.name}@v{self.version}"


@dataclass(frozen=True, slots=True)
class Judgement:
    """A score from 0 to 1; one sentence that says where it comes from, or the tokens of a reward model.

    `error` is the status and message of a judgement that failed; its score is 0.
    """

    score: float
    explanation: str | None
    usage: int | None = None
    error: tuple[int, str] | None = None

    def verdict(self) -> dict[str, Any]:
        """Score and explanation, which the judge and `criteria_results` say alike; never null."""
        explained = {} if self.explanation is None else {"explanation": self.explanation}
        return {"score": self.score, **explained}

    def body(self) -> dict[str, Any]:
        """The judgement as `POST /criteria/judge` answers it; absent members are left out, never null."""
        spent = {} if self.usage is None else {"usage": {"total_tokens": self.usage}}
        return {**self.verdict(), **spent}


def criterion(reference: str, declared: Mapping[str, Declared] = NONE_DECLARED) -> Criterion:
    """The criterion that `name` or `name@vN` names. While none is declared, every name and version exists.

    Raises CriterionNotFound in the service's words (source class: sdk) for anything else, with the way out.
    """
    match = REFERENCE.fullmatch(reference)
    if match is None:
        name, at, version = reference.partition("@")
        raise not_found(short(name) or '""', at and short(version), GRAMMAR)
    name, version = match["name"], match["version"]
    if not declared:
        return Criterion(name, int(version or LATEST))
    if name not in declared:
        raise not_found(name, "", undeclared(name, declared))
    versions = declared[name].versions
    if version and int(version) not in versions:
        raise not_found(name, f"v{version}", f"It has {listed((f'v{each}' for each in versions), 'and')}.")
    return Criterion(name, int(version or max(versions)))


def not_found(name: str, version: str, advice: str) -> CriterionNotFound:
    subject = f"version {version} not found for criterion {name}" if version else f"{name} not found"
    return CriterionNotFound(f"Criterion {subject}. {advice}")


def undeclared(name: str, declared: Mapping[str, Declared]) -> str:
    return f"Declared are {listed(map(quoted, declared), 'and')}.{did_you_mean(name, list(declared))}"


def scene(given: Mapping[str, Any]) -> bytes:
    """The digest of what a judge sees of the input: messages, tools and tool choice.

    `given` is a valid `JudgeCriteriaInput` value. Leaving an optional member out says the same as null or its
    default, and the order of keys says nothing.
    """
    seen = contract().checker("JudgeCriteriaInput").tidy(given, defaults=True)
    return scoring.digest(canonical([seen.get("messages", []), seen.get("tools"), seen.get("tool_choice")]))


def content(scene: bytes, output: Mapping[str, Any]) -> bytes:
    """The digest of all that a judge sees: a scene and the output, a valid `JudgeCriteriaOutput` value."""
    answer = contract().checker("JudgeCriteriaOutput").tidy(output, defaults=True)
    return scoring.digest(scene, canonical(answer))


def canonical(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def judge(asked: Criterion, seen: bytes, settings: Settings) -> Judgement:
    """The judgement of a content (its digest) by a criterion."""
    declared = settings.criteria.get(asked.name)
    if declared and declared.error:
        return Judgement(0.0, None, error=declared.error)
    draw = scoring.Draw(settings.answers, settings.seed)
    score = scoring.score(draw, asked.name, asked.version, seen)
    if declared and declared.usage is not None:
        return Judgement(score, None, declared.usage)
    origin = f"The mock drew {score} for {asked} from seed {settings.seed} and the judged content"
    return Judgement(score, f"{origin}; no model read it.")
