"""How the suite's rules become pytest items: what each sends, in which order, and what came of it.

A rule is a generator of findings over answers. `@promise` gives it its check and the requests that it
looks at, so that a run knows what it will send before it sends anything.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from openpipe_mock.contract.checks import Check, Finding, catalogue
from openpipe_mock.contract.probe import Exchange, Request

from . import invariants
from .invariants import told
from .run import Reach, Run, Unjudged
from .settings import Aim

BEYOND = 25.0
"""Added to the rank of what decides nothing at the run's level."""


@dataclass(frozen=True)
class Case:
    """One thing to check, with all that it will send.

    further  requests that depend on answers, at most
    rank     the smaller, the earlier, and the later cut by the budget
    facts    what the rule wants to know of the case
    group    the label of a case that shows this one in company; only where that fails is this sent alone
    """

    check: Check
    requests: tuple[Request, ...]
    rule: Callable[["Scene"], Iterable[Finding]]
    rank: float = 50
    further: int = 0
    facts: Any = None
    family: str = ""
    needs: str = ""
    part: str = ""
    group: str = ""

    @property
    def label(self) -> str:
        """The id under which just this is asked for; several cases of one check name their part."""
        return f"{self.check.id}[{self.part}]" if self.part else self.check.id

    @property
    def cost(self) -> int:
        return len(self.requests) + self.further

    @property
    def planned(self) -> tuple[Request, ...]:
        """What it sends whatever the answers are."""
        return () if self.group else self.requests


@dataclass(frozen=True)
class Variant:
    """A case before its rule is known: the name within a family, the part of that, requests, facts."""

    requests: tuple[Request, ...]
    name: str = ""
    facts: Any = None
    level: str = ""
    rank: float | None = None
    part: str = ""
    further: int | None = None
    group: str = ""


Sends = Callable[[Aim], Iterable[Variant]]
Rule = Callable[["Scene"], Iterable[Finding]]


@dataclass(frozen=True)
class Promise:
    """What `@promise` says of a rule."""

    check: str
    sends: Sends
    rank: float
    further: int
    needs: str | None
    rule: Rule

    @cache  # noqa: B019 - promises live as long as the process; runs in one process share their cases
    def cases(self, aim: Aim) -> tuple[Case, ...]:
        """The cases of the rule. Those that decide nothing at the run's level come last."""
        return tuple(self.made(aim))

    def made(self, aim: Aim) -> Iterator[Case]:
        check = catalogue()[self.check]
        for variant in self.sends(aim):
            own = check.member(variant.name, variant.level) if check.family else check
            rank = self.rank if variant.rank is None else variant.rank
            rank += 0 if aim.decides(own.level) else BEYOND
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
            )


def promise(
    check: str, sends: Sends, *, rank: float = 50, further: int = 0, needs: str | None = None
) -> Callable[[Rule], Rule]:
    """Mark a rule. `needs`: the endpoint that has to be reachable, by default the check's own."""

    def mark(rule: Rule) -> Rule:
        rule.promise = Promise(check, sends, rank, further, needs, rule)  # type: ignore[attr-defined]
        return rule

    return mark


def one(*builders: Callable[[Aim], Request]) -> Sends:
    """A single case that sends what the builders make."""
    return lambda aim: [Variant(tuple(builder(aim) for builder in builders))]


@dataclass
class Scene:
    """What a rule looks at: the answers to its requests, and the way to ask further."""

    case: Case
    run: Run
    fresh: bool
    sent: list[Exchange] = field(default_factory=list)
    used: list[Exchange] = field(default_factory=list)

    @property
    def aim(self) -> Aim:
        return self.run.aim

    @property
    def facts(self) -> Any:
        return self.case.facts

    def ask(self, request: Request) -> Exchange:
        """The exchange for a request: one that the run has already seen, unless a fresh one is wanted."""
        known = None if self.fresh else self.run.seen.get(request)
        exchange = known or self.run.exchange(request)
        if known is None:
            self.sent.append(exchange)
        self.used.append(exchange)
        return exchange

    def anew(self, request: Request) -> Exchange:
        """The exchange for a request that is sent again, whatever is known of it."""
        exchange = self.run.exchange(request)
        self.sent.append(exchange)
        self.used.append(exchange)
        return exchange

    def exchanges(self) -> list[Exchange]:
        """What came of the case's requests. Raises Unjudged where the server was busy or silent."""
        return [answered(self.ask(request)) for request in self.case.requests]

    def answers(self) -> list[Exchange]:
        """The case's exchanges, all of them successes. Raises Unjudged where one isn't."""
        return [successful(exchange) for exchange in self.exchanges()]

    def bodies(self) -> list[dict[str, Any]]:
        """The JSON objects of the answers. Raises Unjudged where one is none."""
        return [body(exchange) for exchange in self.answers()]

    def broken(
        self, sentence: str, pointer: str = "", *, about: Exchange | None = None, level: str = ""
    ) -> Finding:
        return Finding(self.case.check.id, sentence, pointer, "broken", level, about or self.last())

    def lenient(self, sentence: str, pointer: str = "", *, about: Exchange | None = None) -> Finding:
        return Finding(self.case.check.id, sentence, pointer, "lenient", "", about or self.last())

    def last(self) -> Exchange | None:
        return self.used[-1] if self.used else None


def answered(exchange: Exchange) -> Exchange:
    if exchange.busy:
        raise Unjudged(f"the server was busy ({exchange.status})")
    if exchange.failure:
        raise Unjudged(exchange.failure)
    return exchange


def successful(exchange: Exchange) -> Exchange:
    answered(exchange)
    if not exchange.ok:
        raise Unjudged(f"a request was answered by {exchange.status}{told(exchange)}")
    return exchange


def body(exchange: Exchange) -> dict[str, Any]:
    if not isinstance(exchange.value, dict):
        raise Unjudged("an answer is no JSON object")
    return exchange.value


@dataclass
class Attempt:
    """Findings of one go at a case, why a rule judged nothing, and what its answers were held against."""

    findings: list[Finding] = field(default_factory=list)
    unjudged: str = ""
    examined: set[str] = field(default_factory=set)

    def checks(self) -> set[str]:
        return {finding.check for finding in self.findings if finding.kind == "broken"}


def attempt(case: Case, run: Run, *, fresh: bool = False) -> Attempt:
    """Judge a case once."""
    scene, made = Scene(case, run, fresh), Attempt()
    try:
        made.findings += case.rule(scene)
    except Unjudged as reason:
        made.unjudged = str(reason)
    for exchange in scene.sent if run.alive else ():
        made.examined.update(invariants.examined(exchange))
        made.findings += [replace(found, evidence=exchange) for found in invariants.broken(exchange)]
    return made


@dataclass
class Verdict:
    """What came of a case. `flaky` holds checks that broke once and held when they were asked again."""

    case: Case
    findings: list[Finding]
    flaky: set[str]
    unjudged: str
    examined: set[str]
    sent: int = 0
    inconclusive: str = ""


def judged(case: Case, run: Run) -> Verdict:
    """Judge a case, and once more where it broke: what holds then was flaky."""
    before = run.probe.sent
    made = reached_and_judged(case, run)
    made.sent = run.probe.sent - before
    return made


def reached_and_judged(case: Case, run: Run) -> Verdict:
    if case.needs and not reachable(case.needs, run).known:
        return Verdict(case, [], set(), f"{case.needs} could not be reached", set())
    first = attempt(case, run)
    news = first.checks() - run.confirmed
    if not news or run.dead or run.probe.left < case.cost:
        return verdict(case, first)
    second = attempt(case, run, fresh=True)
    flaky = news - second.checks()
    if second.unjudged and not first.unjudged:
        flaky -= {case.check.id}  # nothing was judged the second time, so nothing speaks against the first
    run.confirmed |= first.checks() & second.checks()
    return verdict(case, first, flaky)


def verdict(case: Case, made: Attempt, flaky: set[str] | None = None) -> Verdict:
    unjudged = made.unjudged if case.check.id not in made.checks() else ""
    own = set() if unjudged else {case.check.id}
    return Verdict(case, made.findings, flaky or set(), unjudged, made.examined | own)


def reachable(endpoint: str, run: Run) -> Reach:
    """Whether an endpoint is known to answer 200; asked once a run, by whoever needs it first."""
    from .reachability import reach

    if endpoint not in run.reached:
        run.reached[endpoint] = reach(endpoint, run)
    return run.reached[endpoint]
