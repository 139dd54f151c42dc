"""Sends planned requests before their cases are judged, several at once. Judged is one by one, in order."""

from collections.abc import Callable, Sequence, Set
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING

from openpipe_mock.contract.probe import Exchange, Probe, Request

if TYPE_CHECKING:
    from .promises import Case

_LARGEST = 2**15
"""Bytes of a body that is sent ahead, and beside others, at most."""
_AHEAD = 3
"""Requests for each thread that are sent ahead or have an answer that no case has asked for yet."""


class Ahead:
    """The requests that are sent ahead. With one job there are none.

    mixed_up  the server mixes up what is under way at the same time, so nothing more is sent ahead
    """

    def __init__(self, probe: Probe) -> None:
        self._probe = probe
        self.mixed_up = False
        self._cases: Sequence[Case] = ()
        self._places: dict[str, int] = {}
        self._alone = False
        self._pending: dict[Request, Future[Exchange]] = {}
        self._pool = ThreadPoolExecutor(probe.target.jobs) if probe.target.jobs > 1 else None

    def follow(self, cases: Sequence["Case"]) -> None:
        """Take note of the cases in the order in which they are judged."""
        self._cases = cases
        self._places = {case.label: place for place, case in enumerate(cases)}

    def advance(self, case: "Case", unsent: Set[Request], may_send: Callable[["Case"], bool | None]) -> None:
        """Send ahead what a case and those after it need; what one that wants to be alone sends later waits.

        `may_send` says whether a case will send its requests; None where that isn't known yet.
        """
        self._alone = case.alone
        if not case.alone and self._pool and not self._probe.slowed and not self.mixed_up:
            self._fill(self._pool, case, unsent, may_send)

    def _fill(
        self,
        pool: ThreadPoolExecutor,
        case: "Case",
        unsent: Set[Request],
        may_send: Callable[["Case"], bool | None],
    ) -> None:
        number = 0
        for upcoming in self._cases[self._places.get(case.label, len(self._cases)) :]:
            allowed = may_send(upcoming)
            if allowed is None:
                return
            for request in upcoming.planned if allowed else ():
                small = len(request.body) <= _LARGEST  # large ones are sent when smaller ones were taken
                if small and request in unsent and request not in self._pending:
                    self._pending[request] = pool.submit(self._probe.send, request)
                number += request in self._pending
            if number >= _AHEAD * self._probe.target.jobs:
                return

    def exchange(self, request: Request) -> Exchange:
        """The answer to a request that was sent ahead, or is sent now. Raises BudgetSpent."""
        ahead = self._pending.pop(request, None)
        if ahead is None and self._alone:
            self.settle()
        if ahead is None and self._pool:  # in a thread as well, so that there are never more than `jobs`
            return self._pool.submit(self._probe.send, request).result()
        if ahead is None:
            return self._probe.send(request)
        exchange = ahead.result()
        if exchange.failure:
            self.forget(lambda request: not self._pending[request].cancel())
            self.settle()
            exchange = self._probe.again(exchange)
        return exchange

    def together(self, requests: Sequence[Request]) -> list[Exchange]:
        """Send requests at the same time and beside nothing else, as many at once as there are jobs."""
        self.settle()
        if not self._pool:
            return [self._probe.send(request) for request in requests]
        sent = list[Future[Exchange]]()
        for request in requests:
            sent.append(self._pool.submit(self._probe.send, request))
            if self._probe.slowed:
                wait(sent)
        wait(sent)
        found = [each.result() for each in sent]
        return [self._probe.again(each) if each.failure else each for each in found]

    @property
    def one_at_a_time(self) -> bool:
        """Whether no request is sent beside another: there is one job, or the server was busy."""
        return not self._pool or self._probe.slowed

    def forget(self, needed: Callable[[Request], bool]) -> None:
        """Drop the answers that no case asked for and none will."""
        for request in [each for each in self._pending if not needed(each)]:
            self._pending.pop(request).cancel()

    def settle(self) -> None:
        """Wait until nothing is under way."""
        wait(self._pending.values())

    def close(self) -> None:
        """End what is under way."""
        if self._pool:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._probe.stop()
            self._pool.shutdown()
