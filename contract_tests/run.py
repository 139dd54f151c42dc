"""The state of a run against one server: exchanges so far, and whether server and endpoints answer."""

from dataclasses import dataclass, field

from openpipe_mock.contract.probe import BudgetSpent, Exchange, Probe, Request, Unanswered

from .settings import RunSettings


class Unjudged(Exception):
    """A rule has nothing to judge; the message says why."""


@dataclass
class Reach:
    """Whether an endpoint answered 200, else why not and what to do, and the exchanges of the attempt."""

    known: bool
    reason: str = ""
    exchanges: list[Exchange] = field(default_factory=list)


@dataclass
class Run:
    """A run against one server: its probe and the exchanges so far.

    seen       exchanges with a whole answer, except where the server was busy
    failed     exchanges without a whole answer
    alive      the server has answered at least once
    dead       why nothing more is sent, "" while requests are
    confirmed  checks that broke twice in a row, which need no further repetition
    """

    settings: RunSettings
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
        """The exchange of a request that was sent before, None without one."""
        return self.seen.get(request) or self.failed.get(request)
