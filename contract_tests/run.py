"""The state of a run against one server: exchanges so far, and whether server and endpoints answer."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from openpipe_mock.contract.probe import BudgetSpent, Exchange, Probe, Request

from .ahead import Ahead
from .settings import RunSettings

if TYPE_CHECKING:
    from .promises import Case

SPENT = "the budget of requests was spent"
_NEVER_HEARD, _IN_A_ROW, _IN_ALL = 2, 5, 8
"""Unanswered requests after which no more are sent: to a server that never answered, in a row, in all."""
_MOST_KEPT = 64 * 2**20
"""Bytes of large answers that are kept for later cases."""


class Unjudged(Exception):
    """A rule has nothing to judge; the message says why."""


@dataclass
class Reach:
    """Whether an endpoint answered 200, the exchanges of the attempt, and what `stopped` it, if anything."""

    known: bool
    stopped: str = ""
    exchanges: list[Exchange] = field(default_factory=list)


@dataclass
class Run:
    """A run against one server: its probe and the exchanges so far.

    seen       exchanges with a whole answer, except where the server was busy
    failed     exchanges without a whole answer
    alive      the server has answered at least once
    dead       why nothing more is sent, "" while requests are
    confirmed  checks that broke twice in a row, which need no further repetition
    unsent     the requests of the plan that no case has asked for yet
    further    how many requests beside them the case at hand may send
    reserve    how many there are for repetitions and for the search in refused groups
    wanted     how many cases to come have a request
    sent       requests that cases have asked for
    exchanged  is called with each answer to these

    What a case may send depends on the plan and on the cases before it, never on what threads did meanwhile.
    """

    settings: RunSettings
    probe: Probe
    seen: dict[Request, Exchange] = field(default_factory=dict)
    failed: dict[Request, Exchange] = field(default_factory=dict)
    reached: dict[str, Reach] = field(default_factory=dict)
    alive: bool = False
    dead: str = ""
    confirmed: set[str] = field(default_factory=set)
    unsent: set[Request] = field(default_factory=set)
    further: int = 0
    reserve: int = 0
    wanted: Counter[Request] = field(default_factory=Counter)
    sent: int = 0
    exchanged: Callable[[Exchange], object] = lambda exchange: None
    _silences: int = 0
    _unanswered: int = 0
    _large: set[Request] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.ahead = Ahead(self.probe)

    def begin(self, cases: Iterable["Case"], reserve: int) -> None:
        """Take note of what is planned."""
        for case in cases:
            self.unsent.update(case.planned)
            self.wanted.update(case.requests)
        self.reserve = reserve

    def exchange(self, request: Request) -> Exchange:
        """The answer to a request. Raises Unjudged when the server or the budget is at its end."""
        self._pay(request)
        self.sent += 1
        try:
            exchange = self.ahead.exchange(request)
        except BudgetSpent:
            raise Unjudged(SPENT) from None
        self._note(exchange)
        self.exchanged(exchange)
        return exchange

    def together(self, requests: Sequence[Request]) -> list[Exchange]:
        """The answers to requests that are sent at the same time. Raises Unjudged as `exchange` does."""
        for request in requests:
            self._pay(request)
        self.sent += len(requests)
        try:
            exchanges = self.ahead.together(requests)
        except BudgetSpent:
            raise Unjudged(SPENT) from None
        for exchange in exchanges:
            self._note(exchange)
        return exchanges

    def _pay(self, request: Request) -> None:
        """Count a request. Raises Unjudged where it may not be sent."""
        if self.dead:
            raise Unjudged(self.dead)
        if request.endpoint and self.settings.endpoint not in ("", request.endpoint):
            raise Unjudged(f"the {request.endpoint} is left out")
        if request in self.unsent:
            self.unsent.remove(request)
        elif self.further:
            self.further -= 1
        elif self.reserve:
            self.reserve -= 1
        else:
            raise Unjudged(SPENT)

    def _note(self, exchange: Exchange) -> None:
        """Remember an exchange, and whether the server still answers."""
        request = exchange.request
        if exchange.hangups > 1:
            self.confirmed.add(f"{request.endpoint}.answers")
        if exchange.failure:
            self.failed[request] = exchange.quoted()
        elif not exchange.busy:
            self.seen[request] = exchange
            self._large |= {request} if exchange.large else set()
        self.alive = self.alive or not exchange.silent
        self._silences = self._silences + 1 if exchange.silent else 0
        self._unanswered += exchange.silent
        if self._silences >= (_IN_A_ROW if self.alive else _NEVER_HEARD) or self._unanswered >= _IN_ALL:
            self.dead = "the server left too many requests unanswered"

    def known(self, request: Request) -> Exchange | None:
        """The exchange of a request that was sent before, None without one."""
        return self.seen.get(request) or self.failed.get(request)

    def end_case(self, case: "Case") -> None:
        """Forget the large answers that no later case needs, and those that are too many to be kept."""
        self.wanted.subtract(case.requests)
        self.unsent.difference_update(each for each in case.requests if self.wanted[each] <= 0)
        self.ahead.forget(lambda request: self.wanted[request] > 0)
        kept = 0
        for request in sorted(self._large, key=lambda each: len(self.seen[each].body)):
            exchange = self.seen[request]
            kept += len(exchange.body)
            if self.wanted[request] <= 0:
                self._drop(request, "")
            elif kept > _MOST_KEPT:
                self._drop(request, "its answer is too long to be kept")
            else:
                self.seen[request] = replace(exchange)  # without what was parsed of it

    def _drop(self, request: Request, failure: str) -> None:
        self._large.discard(request)
        self.seen[request] = replace(self.seen[request], body=b"", failure=failure)
