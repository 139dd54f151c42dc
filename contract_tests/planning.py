"""The plan of a run: which cases run in which order, which the budget can't pay, what it costs."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import translate
from functools import cache

from openpipe_mock.contract.checks import UnknownCheck, catalogue, family_of, no_such_check
from openpipe_mock.contract.expressions import expression
from openpipe_mock.contract.findings import Planned
from openpipe_mock.contract.probe import Request

from .promises import Case
from .settings import RunSettings

REST = 200.0
"""From this rank on, cases repeat in another place what earlier ones have tried."""
_UNBOUNDED = 1000
"""Tokens to count for an answer that no member of the request bounds."""


@dataclass
class Plan:
    """Cases in the order of the run, the requests that each adds (`costs`), and the cases that are cut.

    requests  all requests but the reserve
    reserve   requests kept back for busy servers, repetitions and the search in refused groups
    narrowed  the user asked for some checks only
    reports   whether he asked for a check
    bytes     of all bodies
    tokens    that are read and written at most
    """

    kept: list[Case] = field(default_factory=list)
    costs: dict[str, int] = field(default_factory=dict)
    cut: list[Case] = field(default_factory=list)
    requests: int = 0
    reserve: int = 0
    narrowed: bool = False
    reports: Callable[[str], bool] = bool
    bytes: int = 0
    tokens: int = 0

    @property
    def resends(self) -> int:
        """The part of the reserve that is for busy servers and hang-ups."""
        return min(self.reserve // 2, max(10, self.reserve // 6))

    def numbers(self) -> Planned:
        """The plan in numbers, for reports."""
        checks = dict.fromkeys(case.check for case in self.kept if self.reports(case.check.id))
        begun = {case.check.id for case in self.kept}
        families: Counter[str] = Counter()
        for case in self.kept:
            families[case.family] += self.costs[case.label]
        return Planned(
            self.requests,
            self.reserve,
            self.bytes,
            self.tokens,
            families,
            tuple(checks),
            cut=tuple(
                dict.fromkeys(
                    case.check.id
                    for case in self.cut
                    if case.check.id not in begun and self.reports(case.check.id)
                )
            ),
            musts=self._musts(),
            cases=len(self.kept),
            more=sum(case.check.id in begun for case in self.cut),
            shared=sum(bool(case.group) for case in self.kept),
            bodies=len({case.group for case in self.kept} - {""}),
        )

    def _musts(self) -> frozenset[str]:
        """The checks without which the run is inconclusive; in a whole plan also those of every answer."""
        checks = {
            case.check.id: case.check for case in (*self.kept, *self.cut) if self.reports(case.check.id)
        }
        endpoints = {check.endpoint for check in checks.values()}
        whole = not self.narrowed and {f"reachability.{name}" for name in endpoints} <= checks.keys()
        every = catalogue().values() if whole else ()
        aside = {check.id for check in every if not check.cost and check.endpoint in endpoints and check.must}
        return frozenset(aside | {check.id for check in checks.values() if check.must})


def selected(case: Case, only: Sequence[str]) -> bool:
    """Whether a pattern names the case, or a check that its answers show where no pattern names any case."""
    return not only or _named(case, *only) or _shows(case, *only)


def _named(case: Case, *only: str) -> bool:
    names = _name_matcher(*only)
    return names(case.label) or names(case.check.id)


def _shows(case: Case, *only: str) -> bool:
    """Whether a case is sent because its answers show checks that apply to every answer."""
    beside = _passive_checks(case.check.endpoint, *only)
    if not beside or case.rank >= REST or _has_cases(case.check.endpoint, *only):
        return False
    if all(".stream." in name for name in beside):
        return any(b'"stream":true' in request.body for request in case.requests)
    refused = ".errors." in case.family or case.family.endswith(".rejects")
    return refused or not all(".error." in name for name in beside)


def plan(
    cases: Iterable[Case], settings: RunSettings, budget: int, only: Sequence[str] = (), words: str = ""
) -> Plan:
    """Take cases by rank until the budget is spent.

    A case in a group costs nothing of its own, unless the user asked for it alone or is thorough. `words` is
    an expression for names, such as "stream and not role". Raises BadExpression, or UnknownCheck for a
    pattern that names nothing.
    """
    fits = expression(words) if words else bool
    known_cases = _in_order(cases)
    for pattern in only:
        _check_pattern(pattern, known_cases)
    every = [case for case in known_cases if _in_scope(case, settings)]
    wanted = {case.label: case for case in every if selected(case, only) and fits(case.label)}
    asked = {case.check.id for case in wanted.values() if not only or _named(case, *only)}
    names = _name_matcher(*only) if only else bool
    made = Plan(
        narrowed=bool(only or words), reports=lambda name: name in asked or (names(name) and fits(name))
    )
    known: set[Request] = set()
    needed = {f"reachability.{case.needs}" for case in wanted.values()}
    for case in every:
        if case.label not in wanted and case.family not in needed:
            continue
        if case.group and (settings.thorough or case.group not in made.costs):
            case = replace(case, group="")
        new = [request for request in dict.fromkeys(case.planned) if request not in known]
        cost = len(new) + case.further
        if made.requests + cost > budget - (2 if case.rank < REST else 3) * _part(budget):
            made.cut.append(case)
            continue
        known.update(new)
        made.kept.append(case)
        made.costs[case.label] = cost
        made.requests += cost
        made.bytes += sum(len(request.body) for request in new)
        made.tokens += sum(_most_tokens(request) for request in new) + case.further * _UNBOUNDED
    made.reserve = min(budget - made.requests, max(3 * _part(budget), made.requests // 2))
    return made


def _part(budget: int) -> int:
    """A twentieth of a budget, at most 20. Two are kept back, and three before cases that repeat others."""
    return min(20, budget // 20)


def _in_scope(case: Case, settings: RunSettings) -> bool:
    """Whether a case asks nothing of an endpoint that is left out."""
    return not settings.endpoint or all(
        name in ("", settings.endpoint)
        for name in (case.needs, case.check.endpoint, *(request.endpoint for request in case.requests))
    )


def _check_pattern(pattern: str, cases: Sequence[Case]) -> None:
    """Raise UnknownCheck for a pattern that names neither a case nor a check."""
    names = _name_matcher(pattern)
    if not any(_named(case, pattern) for case in cases) and not any(map(names, catalogue())):
        known = dict.fromkeys(name for case in cases for name in (case.check.id, case.label))
        raise UnknownCheck(f"--only {pattern}: {no_such_check(pattern, known)}")


@cache
def _name_matcher(*only: str) -> Callable[[str], bool]:
    """A predicate: whether one of the patterns names a check, or a family that it belongs to."""
    every = re.compile("|".join(rf"{re.escape(each)}(\..*)?\Z|{translate(each)}" for each in only), re.DOTALL)
    return lambda name: every.match(name) is not None


@cache
def _passive_checks(endpoint: str, *only: str) -> frozenset[str]:
    """The checks that a pattern names and that apply to every answer of an endpoint."""
    every = (check.id for check in catalogue().values() if not check.cost and check.endpoint == endpoint)
    return frozenset(filter(_name_matcher(*only), every))


@cache
def _has_cases(endpoint: str, *only: str) -> bool:
    """Whether a pattern names a check of an endpoint that sends requests of its own."""
    names = [each.partition("[")[0] for each in only]
    every = [check for check in catalogue().values() if check.cost and _name_matcher(*names)(check.id)]
    return any(check.endpoint == endpoint for check in (*every, *filter(None, map(family_of, names))))


def _in_order(cases: Iterable[Case]) -> list[Case]:
    """The cases by rank. The case of a group comes right before its members, whatever its own level is."""
    every = list(cases)
    ranks = {case.group: case.rank for case in every}
    return sorted(every, key=lambda case: ranks.get(case.label, case.rank))


def _most_tokens(request: Request) -> int:
    """An upper bound of tokens: one for each byte sent, and what the answers may have."""
    body = request.value()
    if not isinstance(body, dict) or not request.endpoint:
        return 0
    bounds = [body.get("max_tokens"), body.get("max_completion_tokens")]
    limits = [
        int(bound)
        for bound in bounds
        if isinstance(bound, int | float) and not isinstance(bound, bool) and bound > 0
    ]
    number = body.get("n")
    choices = number if isinstance(number, int) and not isinstance(number, bool) and number > 0 else 1
    return len(request.body) + choices * (min(limits) if limits else _UNBOUNDED)
