"""The suite's rules: how they are registered, the cases that they become, and how a case is judged.

A rule is a generator of findings over answers. `@rule_for` names its check and the requests that it needs, so
that a run knows all that it will send before it sends anything.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import islice
from typing import Any

from openpipe_mock.contract.checks import Check, catalogue, find
from openpipe_mock.contract.findings import CaseResult, Finding
from openpipe_mock.contract.probe import Exchange, Request

from . import invariants
from .invariants import crashed, message_suffix
from .run import SPENT, Reach, Run, Unjudged
from .settings import RunSettings

_MOST_FINDINGS = 50
"""Findings that are kept of one answer, and of one case."""
_MOST_SENTENCE = 2000
_PAIRS = 21.0
"""The rank of a check's further cases at least: first each feature alone, then several in one request."""
_BEYOND = 25.0
"""Added to the rank of cases that decide nothing at the run's level."""


@dataclass(frozen=True)
class Case:
    """One thing to check, with all requests that it will send.

    rank     cases of lower rank come earlier, and are cut last by the budget
    further  requests that depend on answers, at most
    facts    data of the case for its rule
    family   the check or family that the rule is registered for
    needs    the endpoint that has to be reachable, "" for none
    alone    no other request may be under way beside its own
    group    the label of the case that sends this one merged with others; only if that is refused, this is
             sent alone
    """

    check: Check
    requests: tuple[Request, ...]
    rule: Callable[["CaseContext"], Iterable[Finding]]
    rank: float = 50
    further: int = 0
    facts: Any = None
    family: str = ""
    needs: str = ""
    part: str = ""
    group: str = ""
    alone: bool = False

    @property
    def label(self) -> str:
        """The id for `--only`: the check's, with the part in brackets where one check has several cases."""
        return f"{self.check.id}[{self.part}]" if self.part else self.check.id

    @property
    def cost(self) -> int:
        return len(self.requests) + self.further

    @property
    def planned(self) -> tuple[Request, ...]:
        """The requests that are sent whatever the answers are."""
        return () if self.group else self.requests


@dataclass(frozen=True)
class Variant:
    """A case before its rule is known. `name` is that within a family; None means the rule's own value."""

    requests: tuple[Request, ...]
    name: str = ""
    facts: Any = None
    level: str = ""
    rank: float | None = None
    part: str = ""
    further: int | None = None
    group: str = ""


MakeVariants = Callable[[RunSettings], Iterable[Variant]]
Rule = Callable[["CaseContext"], Iterable[Finding]]


@dataclass(frozen=True)
class Registration:
    """The arguments of `@rule_for`, and the rule."""

    check: str
    make_variants: MakeVariants
    rank: float
    further: int
    needs: str | None
    rule: Rule
    alone: bool = False

    @cache  # noqa: B019 - registrations live as long as the process; its runs share the cases
    def cases(self, settings: RunSettings) -> tuple[Case, ...]:
        """The cases of the rule. Those that decide nothing at the run's level get a higher rank."""
        return tuple(self.made(settings))

    def made(self, settings: RunSettings) -> Iterator[Case]:
        check = catalogue()[self.check]
        for variant in self.make_variants(settings):
            own = check.member(variant.name, variant.level) if check.family else check
            rank = self.rank if variant.rank is None else variant.rank
            rank = max(rank, _PAIRS) if variant.part and not check.family else rank
            rank += 0 if settings.decides(own.level) else _BEYOND
            yield Case(
                check=own,
                requests=variant.requests,
                rule=self.rule,
                rank=rank,
                further=self.further if variant.further is None else variant.further,
                facts=variant.facts,
                family=self.check,
                needs=check.endpoint if self.needs is None else self.needs,
                part=variant.part,
                group=f"{self.check}.{variant.group}" if variant.group else "",
                alone=self.alone,
            )


def rule_for(
    check: str,
    make_variants: MakeVariants,
    *,
    rank: float = 50,
    further: int = 0,
    needs: str | None = None,
    alone: bool = False,
) -> Callable[[Rule], Rule]:
    """Register a rule, for one check or, used several times, for several.

    `needs` is the endpoint that has to be reachable, by default the check's own. `alone` is for rules whose
    requests aren't sent beside others: as they are large, or as what they compare might differ.
    """

    def mark(rule: Rule) -> Rule:
        own = Registration(check, make_variants, rank, further, needs, rule, alone)
        rule.__dict__["registrations"] = [
            own,
            *registrations(rule),
        ]  # the lowest decorator is the first to run
        return rule

    return mark


def registrations(rule: object) -> list[Registration]:
    """The registrations of a rule in the order in which they are written, [] for anything else."""
    return getattr(rule, "registrations", [])


Builder = Callable[[RunSettings], Request]


def one_case(*builders: Builder) -> MakeVariants:
    """A single case that sends one request of each builder."""
    return lambda settings: [Variant(tuple(builder(settings) for builder in builders))]


def further_cases(**builders: Builder | tuple[Builder, ...]) -> MakeVariants:
    """Further cases of a check, by their names. Each sends one request of each of its builders."""

    def make_variants(settings: RunSettings) -> Iterator[Variant]:
        for part, found in builders.items():
            every = found if isinstance(found, tuple) else (found,)
            yield Variant(tuple(builder(settings) for builder in every), part=part)

    return make_variants


@dataclass
class CaseContext:
    """What a rule gets: its case, the answers to its requests, and a way to send further ones."""

    case: Case
    run: Run
    fresh: bool
    sent: list[Exchange] = field(default_factory=list)
    used: list[Exchange] = field(default_factory=list)

    @property
    def settings(self) -> RunSettings:
        return self.run.settings

    @property
    def facts(self) -> Any:
        return self.case.facts

    def ask(self, request: Request) -> Exchange:
        """The exchange for a request. One that the run has already is used again, unless `fresh`."""
        known = None if self.fresh else self.run.seen.get(request)
        exchange = known or self.run.exchange(request)
        if known is None:
            self.sent.append(exchange)
        self.used.append(exchange)
        return exchange

    def anew(self, request: Request) -> Exchange:
        """Send a request, even if the run has an exchange for it."""
        exchange = self.run.exchange(request)
        self.sent.append(exchange)
        self.used.append(exchange)
        return exchange

    def together(self, requests: Sequence[Request]) -> list[Exchange]:
        """The answers to requests that are sent at the same time. Raises Unjudged as `exchanges` does."""
        found = self.run.together(requests)
        self.sent += found
        self.used += found
        return [require_answer(exchange) for exchange in found]

    def exchanges(self) -> list[Exchange]:
        """The exchanges of the case's requests. Raises Unjudged for one that is busy, silent or crashed."""
        return [require_answer(self.ask(request)) for request in self.case.requests]

    def answers(self) -> list[Exchange]:
        """The case's exchanges, all of them successes. Raises Unjudged where one isn't."""
        return [require_success(exchange) for exchange in self.exchanges()]

    def bodies(self) -> list[dict[str, Any]]:
        """The JSON objects of the answers. Raises Unjudged where an answer is none."""
        return [require_object(exchange) for exchange in self.answers()]

    def broken(
        self, sentence: str, pointer: str = "", *, about: Exchange | None = None, level: str = ""
    ) -> Finding:
        return Finding(self.case.check.id, sentence, pointer, "broken", level, about or self.last())

    def lenient(self, sentence: str, pointer: str = "", *, about: Exchange | None = None) -> Finding:
        return Finding(self.case.check.id, sentence, pointer, "lenient", "", about or self.last())

    def last(self) -> Exchange | None:
        return self.used[-1] if self.used else None


def refusal(context: CaseContext, exchange: Exchange) -> Iterator[Finding]:
    """A finding where a valid request, with ids that are known, was not answered by 200."""
    if not exchange.ok:
        sentence = f"a valid request was answered by {exchange.status}{message_suffix(exchange)}"
        yield context.broken(sentence, about=exchange)


def require_answer(exchange: Exchange) -> Exchange:
    if exchange.busy:
        raise Unjudged(f"the server was busy ({exchange.status})")
    if exchange.failure:
        raise Unjudged(exchange.failure)
    if crashed(exchange):
        raise Unjudged(f"the server crashed ({exchange.status})")
    return exchange


def require_success(exchange: Exchange) -> Exchange:
    require_answer(exchange)
    if not exchange.ok:
        raise Unjudged(f"a request was answered by {exchange.status}{message_suffix(exchange)}")
    return exchange


def require_object(exchange: Exchange) -> dict[str, Any]:
    if not isinstance(exchange.value, dict):
        raise Unjudged("an answer is no JSON object")
    return exchange.value


def _attempt(case: Case, run: Run, *, fresh: bool = False) -> CaseResult:
    """Judge a case once. Its findings have neither level nor case yet."""
    context, findings, examined, unjudged = CaseContext(case, run, fresh), list[Finding](), set[str](), ""
    run.further = 0 if fresh else case.further
    try:
        findings += islice(case.rule(context), _MOST_FINDINGS)
    except Unjudged as reason:
        unjudged = str(reason)
    for exchange in context.sent if run.alive else ():
        examined.update(invariants.examined(exchange))
        broken = islice(invariants.broken(exchange), _MOST_FINDINGS)
        findings += [replace(found, evidence=exchange) for found in broken]
    return CaseResult(case.check, tuple(findings), frozenset(examined), unjudged=unjudged)


def _broken_checks(result: CaseResult) -> set[str]:
    return {finding.check for finding in result.findings if finding.kind == "broken"}


def _deciding(result: CaseResult, settings: RunSettings) -> set[str]:
    """The broken checks that fail the run. What is only reported is not worth asking again for."""
    own = result.check
    return {
        finding.check
        for finding in result.findings
        if finding.kind == "broken"
        and settings.decides(finding.level or (own if finding.check == own.id else find(finding.check)).level)
    }


def judge_case(case: Case, run: Run) -> CaseResult:
    """Judge a case, and once more where it broke: a check that holds then is flaky."""
    before = run.sent
    made = _judge_if_reachable(case, run)
    return replace(made, requests=run.sent - before)


def _judge_if_reachable(case: Case, run: Run) -> CaseResult:
    if case.needs and not reachable(case.needs, run).known:
        return CaseResult(case.check, unjudged=f"{case.needs} could not be reached")
    first = _attempt(case, run)
    broken = _broken_checks(first)
    news = _deciding(first, run.settings) - run.confirmed
    if not news or run.dead or run.reserve < case.cost:
        return _whole(case, first, broken)
    run.ahead.settle()
    second = _attempt(case, run, fresh=True)
    if second.unjudged == SPENT:
        return _whole(case, first, broken)
    again = _broken_checks(second)
    flaky = news - again
    if second.unjudged and not first.unjudged:
        flaky -= {case.check.id}  # nothing was judged the second time, so nothing speaks against the first
    run.confirmed |= broken & again
    return _whole(case, first, broken, flaky)


def _whole(case: Case, made: CaseResult, broken: set[str], flaky: Set[str] = frozenset()) -> CaseResult:
    """The result of an attempt. `flaky` has the checks that held when the case was judged again."""
    unjudged = "" if case.check.id in broken else made.unjudged
    examined = made.examined if unjudged else made.examined | {case.check.id}
    findings = tuple(_complete(finding, case, flaky) for finding in made.findings)
    return replace(made, findings=findings, examined=examined, unjudged=unjudged)


def _complete(finding: Finding, case: Case, flaky: Set[str]) -> Finding:
    """The finding with its level and its case."""
    check = case.check if finding.check == case.check.id else find(finding.check)
    if finding.kind == "broken" and finding.check in flaky:
        finding = replace(finding, kind="flaky")
    return replace(
        finding,
        sentence=finding.sentence[:_MOST_SENTENCE],
        level=finding.level or check.level,
        case=case.label,
        evidence=finding.evidence and finding.evidence.quoted(),
    )


def reachable(endpoint: str, run: Run) -> Reach:
    """Whether an endpoint answers 200. Requests are sent once a run, when a case first needs it."""
    from .reachability import reach

    if endpoint not in run.reached:
        run.reached[endpoint] = reach(endpoint, run)
    return run.reached[endpoint]
