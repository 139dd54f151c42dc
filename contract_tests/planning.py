"""The plan of a run: what is sent in which order, what the budget can't pay, what it may cost."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import translate
from functools import cache

from openpipe_mock.contract.checks import catalogue
from openpipe_mock.contract.expressions import expression
from openpipe_mock.contract.probe import Request

from .promises import Case
from .settings import Aim

REST = 200.0
"""The rank from which on cases repeat what others have tried in another place."""
UNBOUNDED = 1000
"""Tokens that an answer is counted with where nothing bounds it."""


@dataclass
class Plan:
    """Cases in the order of the run, with what each adds to the requests; and those that are left out.

    requests  all of them without repetitions and what waiting for a busy server takes
    narrowed  the user asked for some checks alone
    """

    kept: list[Case] = field(default_factory=list)
    costs: dict[str, int] = field(default_factory=dict)
    cut: list[Case] = field(default_factory=list)
    requests: int = 0
    reserve: int = 0
    narrowed: bool = False
    bytes: int = 0
    tokens: int = 0


def selected(case: Case, only: Sequence[str]) -> bool:
    """Whether one of the patterns names a case, or a check that its answers are held against."""
    if not only:
        return True
    names = naming(*only)
    beside = case.rank < REST and bool(aside(case.check.endpoint, *only))
    return beside or names(case.label) or names(case.check.id)


@cache
def naming(*only: str) -> Callable[[str], bool]:
    """Whether one of the patterns names a check, or a family that it belongs to."""
    every = re.compile("|".join(rf"{re.escape(each)}(\..*)?\Z|{translate(each)}" for each in only), re.DOTALL)
    return lambda name: every.match(name) is not None


@cache
def aside(endpoint: str, *only: str) -> frozenset[str]:
    """The checks that look at every answer of an endpoint and are named by one of the patterns."""
    every = (check.id for check in catalogue().values() if not check.cost and check.endpoint == endpoint)
    return frozenset(filter(naming(*only), every))


def reserved(budget: int) -> int:
    """Requests that are kept back: for repetitions and busy servers, and for what is refused in company."""
    return 2 * min(20, budget // 20)


def plan(
    cases: Iterable[Case],
    aim: Aim,
    budget: int,
    only: Sequence[str] = (),
    workers: int = 0,
    words: str = "",
) -> Plan:
    """Take what tells most until the budget is spent. Workers share no answers: each case pays in full.

    What a group shows costs nothing of its own, unless the user asked for it alone or is thorough.
    `words` is an expression for names, such as "stream and not role". Raises BadExpression.
    """
    made = Plan(reserve=reserved(budget), narrowed=bool(only or words))
    known: set[Request] = set()
    fits = expression(words) if words else bool
    every = in_order(cases)
    sizes = Counter(case.group for case in every)
    wanted = {case.label: case for case in every if selected(case, only) and fits(case.label)}
    needed = {f"reachability.{case.needs}" for case in wanted.values()}
    for case in every:
        if case.label not in wanted and case.family not in needed:
            continue
        if case.group and (aim.thorough or case.group not in made.costs):
            case = replace(case, group="")
        new = [request for request in dict.fromkeys(case.planned) if workers or request not in known]
        cost = len(new) + case.further
        cost *= min(max(1, workers), 1 + sizes[case.label])  # each worker that has a part of a group asks it
        if made.requests + cost > budget - made.reserve:
            made.cut.append(case)
            continue
        known.update(new)
        made.kept.append(case)
        made.costs[case.label] = cost
        made.requests += cost
        made.bytes += sum(len(request.body) for request in new)
        made.tokens += sum(tokens(request) for request in new) + case.further * UNBOUNDED
    return made


def in_order(cases: Iterable[Case]) -> list[Case]:
    """What tells most comes first. A group comes right before what it shows, whatever its own level is."""
    every = list(cases)
    ranks = {case.group: case.rank for case in every}
    return sorted(every, key=lambda case: ranks.get(case.label, case.rank))


def tokens(request: Request) -> int:
    """At most so many tokens: one for each byte sent, and what the answers may have."""
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
    return len(request.body) + choices * (min(limits) if limits else UNBOUNDED)
