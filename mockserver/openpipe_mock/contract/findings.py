"""The result of a run of the contract suite: an outcome for each check, a verdict and an exit code.

kept          0   everything that decides was checked and holds
broken        1   a promise at the run's level is broken
inconclusive  3   nothing is known to be broken, and something that decides could not be checked
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Literal, get_args

from openpipe_mock.contract.checks import Check, catalogue, decides, family_of, find
from openpipe_mock.core.levels import LEVELS, Level

if TYPE_CHECKING:
    from openpipe_mock.contract.probe import Exchange

CheckState = Literal["kept", "broken", "flaky", "known", "lenient", "unchecked"]
_Kind = Literal["broken", "flaky", "known", "lenient"]
_Verdict = Literal["kept", "broken", "inconclusive"]

_EXIT_CODES: Mapping[_Verdict, int] = {"kept": 0, "broken": 1, "inconclusive": 3}
STATES: tuple[CheckState, ...] = ("broken", "flaky", "known", "lenient", "kept", "unchecked")
"""From the worst to the best. A check is in the first of these states that one of its findings is in."""
Standing = Literal["fails", "before", "flaky", "reported", "known", "lenient"]
STANDINGS: tuple[Standing, ...] = get_args(Standing)
"""What a check with findings means for a run, from the worst to the best: `fails` decides the exit code,
`before` is in the baseline too, `reported` lies beyond the run's level."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One violation of a check: a sentence, and a JSON pointer into the answer or the request.

    kind      broken; flaky: it held when it was asked again; known: the user keeps this deviation; lenient:
              the server accepts more than the contract, which fails nothing
    level     how firm its source is; "" until the case is judged, where that is its check's
    evidence  the request and its answer, None where there is none
    case      the id for `--only` that repeats just this; "" until the case is judged
    """

    check: str
    sentence: str
    pointer: str = ""
    kind: _Kind = "broken"
    level: str = ""
    evidence: "Exchange | None" = field(default=None, compare=False)
    case: str = ""

    @property
    def size(self) -> int:
        """Bytes of the request's body."""
        return len(self.evidence.request.body) if self.evidence else 0

    @property
    def only(self) -> tuple[str, ...]:
        """The ids for `--only` that send and report just this."""
        beside = self.case.partition("[")[0] != self.check
        return (self.case, self.check) if beside else (self.case,)

    @property
    def placed(self) -> str:
        """The sentence, behind its pointer if it has one."""
        return f"{self.pointer}: {self.sentence}" if self.pointer else self.sentence


@dataclass(frozen=True, slots=True)
class CaseResult:
    """What the suite found in one case.

    examined   the ids of the checks that were applied
    requests   how many were sent
    unjudged   why the case's own check was not judged, "" where it was
    unreached  why the endpoint could not be reached, for the cases that try that
    """

    check: Check
    findings: tuple[Finding, ...] = ()
    examined: frozenset[str] = frozenset()
    requests: int = 0
    unjudged: str = ""
    unreached: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of one check: its findings, smallest request first, and why cases were not judged.

    excuse  why findings of the kind "known" fail nothing
    """

    check: Check
    state: CheckState
    findings: tuple[Finding, ...] = ()
    reasons: tuple[str, ...] = ()
    excuse: str = ""

    @property
    def level(self) -> Level:
        """The strongest level of the findings in this state, else the check's own."""
        firmest = min((_firmness(each) for each in self.findings if each.kind == self.state), default=-1)
        return self.check.level if firmest < 0 else LEVELS[firmest]

    @property
    def first(self) -> Finding:
        """The finding to show: of the strongest level, and there the one with the smallest request."""
        own = [each for each in self.findings if each.kind == self.state] or list(self.findings)
        return min(own, key=lambda each: (_firmness(each), each.size))


def _firmness(finding: Finding) -> int:
    return [*LEVELS].index(finding.level)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Planned:
    """The plan of a run in numbers.

    `families` maps a family to its requests, `reserve` are requests that are kept back for repetitions.
    `checks` are those that have cases, `musts` the ids of those without which the run is inconclusive. `cut`
    has the ids of checks of which no case is left; `more` counts the cases that were cut of other checks.
    `shared` counts the cases without requests of their own: `bodies` requests show several of them at once.
    """

    requests: int = 0
    reserve: int = 0
    bytes: int = 0
    tokens: int = 0
    families: Mapping[str, int] = field(default_factory=dict)
    checks: tuple[Check, ...] = ()
    cut: tuple[str, ...] = ()
    musts: frozenset[str] = frozenset()
    cases: int = 0
    more: int = 0
    shared: int = 0
    bodies: int = 0


@dataclass(frozen=True, slots=True)
class LeftOut:
    """What the budget left out: the ids of checks that were not checked, and how many cases of others."""

    checks: tuple[str, ...] = ()
    cases: int = 0


@dataclass(frozen=True, slots=True)
class Compared:
    """The ids of broken checks compared with an earlier run's.

    unknown  broken now, and not checked then
    open     what that run left open: checks that were flaky or could not be checked
    """

    new: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    unchanged: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    open: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Result:
    """The result of a run.

    budget     requests that it was allowed
    unreached  endpoint → why it could not be reached
    crashes    tracebacks of the suite itself
    remarks    what else the user should know, one sentence each
    against    the server that this one was compared with; "" where it was held against the contract
    """

    url: str
    level: str
    seed: int
    budget: int
    planned: Planned
    outcomes: tuple[Outcome, ...]
    unreached: Mapping[str, str] = field(default_factory=dict)
    crashes: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    compared: Compared | None = None
    requests: int = 0
    seconds: float = 0.0
    against: str = ""

    def in_state(self, *states: CheckState) -> list[Outcome]:
        return [outcome for outcome in self.outcomes if outcome.state in states]

    def deciding(self, *states: CheckState) -> list[Outcome]:
        """The outcomes in these states whose level counts for the exit code."""
        return [outcome for outcome in self.in_state(*states) if decides(outcome.level, self.level)]

    def standing(self, outcome: Outcome) -> Standing:
        """What an outcome with findings means for this run."""
        if outcome.state != "broken":
            return next(each for each in STANDINGS if each == outcome.state)
        if not decides(outcome.level, self.level):
            return "reported"
        return "before" if self.compared and outcome.check.id not in self.compared.new else "fails"

    def _standing_as(self, standing: Standing) -> list[Outcome]:
        return [outcome for outcome in self.in_state("broken") if self.standing(outcome) == standing]

    @property
    def deviations(self) -> list[Outcome]:
        """Checks broken beyond the run's level: they are reported and fail nothing."""
        return self._standing_as("reported")

    @property
    def left_out(self) -> LeftOut:
        """What the budget could not pay."""
        unpaid = [each for each in self.in_state("unchecked") if any(map(_unpaid, each.reasons))]
        asked = any(each.state != "unchecked" for each in self.outcomes)
        return LeftOut(tuple(each.check.id for each in unpaid), self.planned.more if asked else 0)

    @property
    def as_before(self) -> list[Outcome]:
        """Outcomes that would fail the run, were they not in the baseline."""
        return self._standing_as("before")

    @property
    def open_questions(self) -> list[str]:
        """Reasons why the run is inconclusive, one sentence each."""
        return [sentence for _, sentence in self._questions()]

    def _questions(self) -> Iterator[tuple[str, str]]:
        """The id of what is open, "" for the whole run, and a sentence about it."""
        for endpoint, reason in self.unreached.items():
            yield f"reachability.{endpoint}", f"{endpoint} was not judged. {reason}"
        for outcome in self.deciding("flaky"):
            name = outcome.check.id
            yield name, f"{name} is flaky: it broke once and held when it was asked again."
        for outcome in self.in_state("unchecked"):
            check = outcome.check
            reached = check.endpoint not in self.unreached
            if check.id in self.planned.musts and decides(check.level, self.level) and reached:
                because = "; ".join(outcome.reasons) or "nothing showed it"
                yield check.id, f"{check.id} was not checked: {because}."
        if self.crashes:
            yield "", "The suite itself failed; its traceback stands below."
        if not self.outcomes and not self.crashes:
            yield "", "Nothing was checked."

    @property
    def breaks(self) -> list[Outcome]:
        """The outcomes that fail the run: all broken ones that decide, with a baseline only the new ones."""
        return self._standing_as("fails")

    @property
    def verdict(self) -> _Verdict:
        if self.breaks:
            return "broken"
        before = self.compared.open if self.compared else ()
        return "inconclusive" if any(name not in before for name, _ in self._questions()) else "kept"

    @property
    def exit_code(self) -> int:
        return _EXIT_CODES[self.verdict]


def outcomes(results: Iterable[CaseResult], planned: Planned) -> tuple[Outcome, ...]:
    """One outcome for each check that was planned or looked at, in the catalogue's order."""
    checks = {check.id: check for check in planned.checks}
    found: dict[str, list[Finding]] = {}
    reasons: dict[str, list[str]] = {}
    examined: set[str] = set()
    for result in results:
        examined |= result.examined
        if result.unjudged:
            reasons.setdefault(result.check.id, []).append(result.unjudged)
        for finding in result.findings:
            found.setdefault(finding.check, []).append(finding)
    reasons.update({name: [_BEYOND_BUDGET] for name in planned.cut})
    names = {*checks, *planned.cut, *planned.musts, *examined, *found}
    return tuple(
        _outcome(checks.get(name) or find(name), found.get(name, ()), name in examined, reasons.get(name, ()))
        for name in sorted(names, key=_place)
    )


_BEYOND_BUDGET = "the budget did not reach so far"


def _unpaid(reason: str) -> bool:
    """Whether the budget is the reason, by the plan or as it was spent."""
    return "the budget " in reason


def _outcome(check: Check, findings: Iterable[Finding], examined: bool, reasons: Iterable[str]) -> Outcome:
    ordered = tuple(sorted(findings, key=lambda each: each.size))
    kinds = {each.kind for each in ordered} | ({"kept"} if examined else set())
    state: CheckState = next((state for state in STATES if state in kinds), "unchecked")
    return Outcome(check, state, ordered, tuple(dict.fromkeys(reasons)))


def _place(name: str) -> tuple[int, str]:
    """The sort key of a check: its place in the catalogue (a member has its family's), then its id."""
    family = family_of(name)
    return _places().get(family.id if family else name, len(catalogue())), name


@cache
def _places() -> dict[str, int]:
    return {name: number for number, name in enumerate(catalogue())}


def kept_deviations(result: Result, excuses: Mapping[str, str]) -> Result:
    """The result with the broken and flaky findings of some checks, id → excuse, turned into known ones."""
    changed = (
        _as_known(each, excuses[each.check.id]) if each.check.id in excuses else each
        for each in result.outcomes
    )
    return replace(result, outcomes=tuple(changed))


def _as_known(outcome: Outcome, excuse: str) -> Outcome:
    findings = [
        replace(each, kind="known") if each.kind in ("broken", "flaky") else each for each in outcome.findings
    ]
    made = _outcome(outcome.check, findings, outcome.state != "unchecked", outcome.reasons)
    return replace(made, excuse=excuse)
