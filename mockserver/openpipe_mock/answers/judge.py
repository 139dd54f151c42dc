"""The judge: finds the criterion that an id names and judges a content by it."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from hashlib import blake2b
from typing import Any

import orjson

from openpipe_mock.answers import magic
from openpipe_mock.answers.functions import Function
from openpipe_mock.answers.scorers import (
    NONE_DECLARED,
    ByFunction,
    Case,
    Declarations,
    Declared,
    Form,
    JudgedContent,
    Judgement,
    origin_of,
)
from openpipe_mock.core import seeded
from openpipe_mock.core.canonical import ordered
from openpipe_mock.core.errors import CriterionNotFound
from openpipe_mock.core.wording import did_you_mean, lacking, listed, quoted_names, short
from openpipe_mock.openapi.spec import contract

LATEST = 1
"""The version of an id without one, where the criterion is not declared (source class: decision)."""

REFERENCE = re.compile(r"(?P<name>[^@\s\x00-\x1f\x7f]{1,200})(?:@v(?P<version>[1-9][0-9]{0,8}))?")
GRAMMAR = (
    'A criterion id is "name", which means its latest version, or "name@vN" with N from 1: "criterion-1@v1". '
    'A name has 1 to 200 characters and no white space or "@"; N has no leading zero.'
)


@dataclass(frozen=True, slots=True)
class Criterion:
    """A criterion in one of its versions. `delay`: seconds that a judgement takes. `text`: `name@vN`."""

    name: str
    version: int
    delay: float = 0.0
    text: str = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", f"{self.name}@v{self.version}")

    def __str__(self) -> str:
        return self.text


class Undeclared(CriterionNotFound):
    """Raised for an undeclared criterion where those aren't judged. `name`: its name as it was asked for."""

    def __init__(self, name: str, advice: str) -> None:
        super().__init__(f"Criterion {name} not found. {advice}")
        self.name = name
        self.brief = f"Criterion {name} not found"  # the terminal's line; the advice goes into the note
        self.note = self.message


def find_criterion(reference: str, known: Declarations = NONE_DECLARED) -> Criterion:
    """Return the criterion that `name` or `name@vN` names. While none is declared, every one exists.

    Raises CriterionNotFound for any other: the service's words (source class: sdk), then advice of our own.
    """
    name, version = split_reference(reference)
    declared = known.criteria.get(name)
    if declared is not None:
        return _declared_one(name, version, declared.versions)
    if known.magic and name.startswith(magic.PREFIX):
        return _magic_one(name, version)
    if not known.judges_unknown:
        raise Undeclared(name, _undeclared(name, known.criteria))
    return undeclared_one(name, version or LATEST)


@lru_cache(maxsize=1024)
def split_reference(reference: str) -> tuple[str, int]:
    """Split a reference into its name and version (0 without one).

    Raises CriterionNotFound for a text of any other form.
    """
    match = REFERENCE.fullmatch(reference)
    if match is None:
        name, at, version = reference.partition("@")
        raise _not_found(short(name) or '""', at and short(version), GRAMMAR)
    return match["name"], int(match["version"] or 0)


@lru_cache(maxsize=1024)
def undeclared_one(name: str, version: int) -> Criterion:
    """Return the criterion of this name and version, without looking whether there is one."""
    return Criterion(name, version)


def function_of(asked: Criterion, known: Declarations) -> Function[Form] | None:
    """The test's function by which a criterion judges; None for any other criterion."""
    declared = known.criteria.get(asked.name)
    scorer = declared.versions[asked.version].scorer if declared else None
    return scorer.function if isinstance(scorer, ByFunction) else None


def judge(
    asked: Criterion,
    seen: JudgedContent,
    known: Declarations,
    seed: int,
    count: Callable[[str], int],
    returned: Form | None = None,
) -> Judgement:
    """Judge a content by a criterion.

    `count` is called with the name of a count and returns how often it was, from 1, for criteria that take
    turns. `returned`: by the criterion's `function_of` for this content.
    """
    declared = known.criteria.get(asked.name)
    if declared is None and known.magic:
        found = magic.magic_criterion(asked.name)
        declared = found.declared if found else None
    if declared is None:
        return drawn(asked.text, seed, seeded.step(seed, asked.name, asked.version, seen.digest))
    return declared.versions[asked.version].judge(
        Case(asked.name, asked.version, seen, seed, count, returned)
    )


@lru_cache(maxsize=8192)
def drawn(criterion: str, seed: int, step: int) -> Judgement:
    """Return the judgement of an undeclared criterion: `step` of STEPS is its score."""
    # Most judgements are of this kind, so their answers and lines are dumped once and cached.
    score = step / seeded.STEPS
    made = Judgement(score, origin_of(score, criterion, seed))
    return replace(made, answer=orjson.dumps(made.body()), line=f"{criterion} {score}")


def is_tidy(body: bytes) -> bool:
    """Whether a JSON text surely has no member that counts as absent, so that we needn't look for them.

    Such members are null, have their default (an empty text, or in a tool choice), or are what clients leave
    in messages that they parsed. False only means that there may be one.
    """
    return no_untidy(body.decode("utf-8", "replace"))


no_untidy = lacking("null", '""', '"tool_choice', '"parsed', '"index"', "\\u")
"""`is_tidy` for a text: each untidy body has one of these, or `\\u`, which may spell any of the others."""


def scene(given: Mapping[str, Any], *, tidy: bool = False) -> bytes:
    """Return the digest of what a judge sees of the input: messages, tools and tool choice.

    `given` is a valid `JudgeCriteriaInput` value. An optional member that is absent, null or has its default
    gives the same digest, and so does any order of keys. `tidy`: no member counts as absent (`is_tidy`).
    """
    seen = given if tidy else contract().checker("JudgeCriteriaInput").tidy(given, defaults=True)
    return seeded.digest(ordered([seen.get("messages", []), seen.get("tools"), seen.get("tool_choice")]))


def content(scene: bytes, output: Mapping[str, Any], *, tidy: bool = False) -> bytes:
    """Return the digest of all that a judge sees: a scene and a valid `JudgeCriteriaOutput` value."""
    if not tidy:
        output = _lean(output) or contract().checker("JudgeCriteriaOutput").tidy(output, defaults=True)
    return seeded.digest(scene, ordered(output))


def tidy_content(given: Mapping[str, Any], output: Mapping[str, Any]) -> bytes:
    """Return `content(scene(given), output)` for tidy values, faster."""
    scene, whole = _EMPTY.copy(), _EMPTY.copy()  # copying is faster than making a new one
    scene.update(ordered([given.get("messages", []), given.get("tools"), given.get("tool_choice")]))
    whole.update(b"%b\x1f%b" % (scene.digest(), ordered(output)))
    return whole.digest()


_EMPTY = blake2b(digest_size=16)


def _lean(output: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The members that count of a message that has text alone, as most of ours do; None for any other."""
    if len(output) != 3 or output.get("refusal", 0) is not None or not output.get("content"):
        return None
    return {"role": output["role"], "content": output["content"]}


def _declared_one(name: str, version: int, versions: Mapping[int, Any]) -> Criterion:
    if version and version not in versions:
        raise _not_found(name, f"v{version}", f"It has {listed((f'v{each}' for each in versions), 'and')}.")
    return Criterion(name, version or max(versions))


def _magic_one(name: str, version: int) -> Criterion:
    found = magic.magic_criterion(name)
    if found is None:
        raise _not_found(name, "", _sentence(magic.unknown_magic_name(name, magic.CRITERIA)))
    return Criterion(name, version or LATEST, found.delay)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _not_found(name: str, version: str, advice: str) -> CriterionNotFound:
    subject = f"version {version} not found for criterion {name}" if version else f"{name} not found"
    return CriterionNotFound(f"Criterion {subject}. {advice}")


def _undeclared(name: str, declared: Mapping[str, Declared]) -> str:
    known = f"Declared are {quoted_names(declared)}." if declared else "None is declared."
    return f"{known}{did_you_mean(name, list(declared))}"
