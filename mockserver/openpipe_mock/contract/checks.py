"""The catalogue of the contract suite: what is checked, on which source, and what to do when it fails.

The checks stand in `schemas/checks.yaml`. A check has a dotted id. A family (`judge.rejects`) has one member
for each case, whose id goes on behind a further dot. Members share the family's texts, and its level unless
they have their own.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from fnmatch import fnmatchcase
from functools import cache

import yaml

from openpipe_mock.core.levels import LEVELS, Level
from openpipe_mock.core.pointers import steps_of
from openpipe_mock.core.resources import folder
from openpipe_mock.core.wording import counted, quoted
from openpipe_mock.openapi.spec import YamlLoader
from openpipe_mock.openapi.statements import statements

MEANINGS: Mapping[Level, str] = {
    "documented": "the provider's published pages say so",
    "sdk": "the official clients send it or rely on it",
    "source": "the provider's public server source did so in May 2024",
    "decision": "nobody says; this project chose, and only its own server is held to it",
}


def decides(level: str, chosen: str) -> bool:
    """Whether a break at `level` decides the exit code of a run at the `chosen` level."""
    return LEVELS.index(level) <= LEVELS.index(chosen)


@dataclass(frozen=True, slots=True)
class Check:
    """A check of the catalogue, or a family of them.

    endpoint  `judge`, `chat`, or "" for a check that isn't about one of them alone
    must      a run that could not check this is inconclusive
    cost      requests that one case sends; 0 where the check looks at the answers to other checks' requests
    """

    id: str
    level: Level
    promise: str
    quote: str
    remedy: str
    endpoint: str = ""
    must: bool = False
    cost: int = 0
    family: bool = False

    def member(self, name: str, level: str = "") -> "Check":
        """A member of this family. `name` may have dots of its own; an unknown `level` means the family's."""
        chosen, own = next((each for each in LEVELS if each == level), self.level), f"{self.id}.{name}"
        return replace(self, id=own, level=chosen, quote=citation(own, self.quote), family=False)


_MOST_STATEMENTS = 3


def citation(check: str, quote: str, pointer: str = "") -> str:
    """What the check with this id rests on: its quote, or what its schema says of the broken rule.

    The last step of a finding's pointer chooses among several statements of the schema.
    """
    _, family, rest = check.partition(".rejects.")
    component, _, rule = rest.partition(".")
    said = statements(component, rule) if family else ()
    if not said:
        return quote
    last = (steps_of(pointer) or [""])[-1]
    required = re.compile(rf"required: .*\b{re.escape(last)}\b")
    own = [words for name, words in said if last and (name == last or required.search(words))]
    chosen = [*dict.fromkeys(own or [words for _, words in said])]
    more = ["…"] if len(chosen) > _MOST_STATEMENTS else []
    return f"{component}: {'; '.join([*chosen[:_MOST_STATEMENTS], *more])}"


@cache
def catalogue() -> Mapping[str, Check]:
    """Every check and family by its id, in the order of reports."""
    rows = yaml.load((folder("schemas") / "checks.yaml").read_bytes(), YamlLoader)
    return {row["id"]: Check(**row) for row in rows}


@cache
def family_of(name: str) -> Check | None:
    """The family that an id names or belongs to, None for a check of its own."""
    families = (check for check in catalogue().values() if check.family)
    return next((check for check in families if f"{name}.".startswith(f"{check.id}.")), None)


def find(name: str, level: str = "") -> Check:
    """The check, family or family's member with this id. Raises KeyError for any other.

    Any name behind a family's id counts as a member: only the suite knows which cases there are.
    """
    known = catalogue().get(name)
    if known:
        return known
    family = family_of(name)
    if family is None:
        raise KeyError(name)
    return family.member(name.removeprefix(f"{family.id}."), level)


class UnknownCheck(Exception):
    """No check has this id; the message names the nearest one."""


def covers(pattern: str, name: str) -> bool:
    """Whether a pattern names a check: its id, that of its family, or either with wildcards."""
    return name == pattern or name.startswith(f"{pattern}.") or fnmatchcase(name, pattern)


def no_such_check(pattern: str, members: Iterable[str] = ()) -> str:
    """What is wrong with an id or a pattern that no check has, and which one may be meant."""
    # A case's label, `judge.rejects.X.enum[…]`, is near the id in front of its bracket.
    stem = pattern.partition("[")[0].removesuffix(".*")
    near = get_close_matches(stem, [*catalogue(), *members], n=1)
    meant = f"{near[0]}.*" if near and pattern.endswith(".*") and family_of(near[0]) else "".join(near[:1])
    return f"no check is called {quoted(pattern)}." + (
        f" Did you mean {meant}?" if meant else " `openpipe-mock explain` lists them."
    )


def explain(name: str, members: Mapping[str, str] | None = None) -> str:
    """A description of a check for people, over several lines.

    `members` maps the ids of the families' members to their levels. Raises UnknownCheck for any other id.
    """
    members = members or {}
    if name not in catalogue() and name not in members:
        raise UnknownCheck(no_such_check(name, members))
    check = find(name, members.get(name, ""))
    return "\n".join(_paragraphs(check, sorted(each for each in members if each.startswith(f"{name}."))))


def _paragraphs(check: Check, members: Iterable[str]) -> Iterator[str]:
    yield check.id
    yield f"  {check.promise}"
    yield f"  Level   {check.level}: {MEANINGS[check.level]}"
    yield f"  Rests on  “{check.quote}”"
    yield f"  Remedy  {check.remedy}"
    if check.cost:
        each = " for each case" if check.family else ""
        yield f"  Costs   {counted(check.cost, 'request')}{each}"
    if check.must:
        yield "  A run that could not check this is inconclusive."
    cases = list(members)
    if cases:
        yield f"  {len(cases)} cases:"
        yield from (f"    {each}" for each in cases)
