"""The catalogue of the contract suite: what is checked, on which source, and what to do when it fails.

The checks stand in `schemas/checks.yaml`. A check has a dotted id. A family (`judge.rejects`) has one member
for each case, whose id goes on behind a further dot. Members share the family's texts, and its level unless
they have their own.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cache

import yaml

from openpipe_mock.core.levels import LEVELS, Level
from openpipe_mock.core.resources import folder
from openpipe_mock.core.wording import counted, quoted
from openpipe_mock.openapi.spec import YamlLoader

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
        chosen = next((each for each in LEVELS if each == level), self.level)
        return replace(self, id=f"{self.id}.{name}", level=chosen, family=False)


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


def not_a_check(name: str, known: Iterable[str]) -> str:
    """The message for a name that no check has."""
    near = get_close_matches(name, list(known), n=1)
    told = f" Did you mean {near[0]}?" if near else " `openpipe-mock explain` lists them."
    return f"no check is called {quoted(name)}.{told}"


def explain(name: str, members: Mapping[str, str] | None = None) -> str:
    """A description of a check for people, over several lines.

    `members` maps the ids of the families' members to their levels. Raises UnknownCheck for any other id.
    """
    members = members or {}
    if name not in catalogue() and name not in members:
        raise UnknownCheck(not_a_check(name, [*catalogue(), *members]))
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
