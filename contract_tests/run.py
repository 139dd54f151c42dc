"""A run against one server: what was answered already, whether the server lives, whether endpoints answer."""

from dataclasses import dataclass, field

from openpipe_mock.contract.probe import BudgetSpent, Exchange, Probe, Request, Unanswered

from .settings import Aim


class Unjudged(Exception):
    """A rule has nothing to judge; the message says why."""


@dataclass
class Reach:
    """Whether an endpoint answered 200; else why not, and what to do. What was sent to learn that."""

    known: bool
    reason: str = ""
    exchanges: list[Exchange] = field(default_factory=list)


@dataclass
class Run:
    """A run against one server: its probe, what was answered already, whether it lives.

    `confirmed` has the checks that broke twice in a row: they need no further repetition. `failed` has what
    was left without a whole answer.
    """

    aim: Aim
    probe: Probe
    seen: dict[Request, Exchange] = field(default_factory=dict)
    failed: dict[Request, Exchange] = field(default_factory=dict)
    reached: dict[str, Reach] = field(default_factory=dict)
    alive: bool = False
    dead: str = ""
    confirmed: set[str] = field(default_factory=set)

    def exchange(self, request: Request) -> Exchange:
        """Send a request. Raises Unjudged when the server or the budget is at its end."""
        if self.dead:
            raise Unjudged(self.dead)
        try:
            exchange = self.probe.send(request)
        except BudgetSpent:
            raise Unjudged("the budget of requests was spent") from None
        except Unanswered:
            self.dead = "the server left too many requests unanswered"
            raise Unjudged(self.dead) from None
        self.alive = self.alive or bool(exchange.status)
        if exchange.failure:
            self.failed[request] = exchange
        elif not exchange.busy:
            self.seen[request] = exchange
        return exchange

    def known(self, request: Request) -> Exchange | None:
        """What came of a request that was sent before."""
        return self.seen.get(request) or self.failed.get(request)
