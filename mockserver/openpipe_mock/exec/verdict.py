"""The results of `exec`: each run of the command, what the client broke in it, and the verdict on all."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from openpipe_mock.faults.variants import Variant
from openpipe_mock.sessions.journal import Entry
from openpipe_mock.testing.conduct import Lapse

BROKE = 90
"""Exit code where the command passed and its client broke the contract, failed under a variant, or didn't do
what was required."""


@dataclass(frozen=True, slots=True)
class Breach:
    """One violation of the contract: the endpoint, what is wrong and where, and the requests' ids.

    A script that calls a tool which the request doesn't offer is one too.
    """

    endpoint: str
    violation: str
    ids: tuple[str, ...]

    def __str__(self) -> str:
        first, *others = self.ids
        more = f" and {len(others)} more" if others else ""
        return f"{self.endpoint} {self.violation} ({first}{more})"


@dataclass(frozen=True, slots=True)
class LastExchange:
    """A request and its answer as reports show them: no secrets, and of long bodies the beginning."""

    id: str
    request: str
    status: int
    body: str
    answer: str


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the command: its exit code, its seconds, and what the client did in it.

    `variant` is None in the plain run. `requests` maps an endpoint to the number of its requests; `unseen`
    counts those that were not kept. `tolerated`: JSON pointers, with `*` for an index, of what exact
    validation would refuse. `lacks`: what was required of the run and is missing. `new` has the breaches that
    the plain run doesn't have. `differs` says how the exit code differs from the plain run's. `missed` says
    which requests had no recording. `tail` has the last lines that the command printed, of a run under a
    variant, and `last` is the exchange that came last.
    """

    variant: Variant | None
    code: int
    seconds: float
    requests: Mapping[str, int]
    breaches: tuple[Breach, ...] = ()
    warnings: tuple[Lapse, ...] = ()
    unseen: int = 0
    differs: str = ""
    new: tuple[Breach, ...] = ()
    tolerated: tuple[str, ...] = ()
    missed: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()
    tail: tuple[str, ...] = ()
    last: LastExchange | None = None

    @property
    def name(self) -> str:
        return self.variant.name if self.variant else "plain"

    @property
    def broke(self) -> bool:
        """Whether something broke: the contract, what was required, or what it doesn't promise."""
        return bool(self.differs or self.new or self.lacks)

    @property
    def silent(self) -> bool:
        """Whether no request came, so that the run says nothing about a client."""
        return not self.requests and not self.unseen


@dataclass(frozen=True, slots=True)
class Verdict:
    """All runs of a command, the plain one first.

    `stopped_by` is the signal that ended them early, or 0. With `forgiving`, what a client breaks doesn't
    change the exit code. `planned` is the number of runs that were intended. `name`: what reports call them
    all together, "" for the command itself.
    """

    command: str
    runs: tuple[Run, ...]
    seed: int
    reproduce: str
    stopped_by: int = 0
    forgiving: bool = False
    planned: int = 1
    name: str = ""

    @property
    def first(self) -> Run:
        return self.runs[0]

    @property
    def broken(self) -> tuple[Run, ...]:
        """The runs in which something broke."""
        return tuple(run for run in self.runs if run.broke)

    @property
    def exit_code(self) -> int:
        """The command's exit code; 90 where it passed and its client didn't, unless that is forgiven.

        A command that passes though a signal came hasn't had all its runs: 128 and the signal's number.
        """
        if self.stopped_by and (self.runs[-1].code or len(self.runs) < self.planned):
            return self.runs[-1].code or 128 + self.stopped_by
        if self.first.code or self.forgiving or not self.broken:
            return self.first.code
        return BROKE


def collect_breaches(entries: Iterable[Entry]) -> Iterator[Breach]:
    """What requests broke. Equal violations become one breach with the ids of all its requests."""
    found: dict[tuple[str, str], list[str]] = {}
    for entry in entries:
        for violation in (*entry.violations, *entry.unoffered):
            found.setdefault((entry.endpoint, violation), []).append(entry.id)
    for (endpoint, violation), ids in found.items():
        yield Breach(endpoint, violation, tuple(ids))


def tolerated_places(entries: Iterable[Entry]) -> tuple[str, ...]:
    """JSON pointers of what requests have and exact validation refuses, with `*` for an index, each once."""
    places = (re.sub("/[0-9]+(?=/|$)", "/*", place) for entry in entries for place in entry.tolerated)
    return tuple(dict.fromkeys(places))


def plainly(run: Run) -> Run:
    """The plain run: it is compared with no other, so each of its breaches is new."""
    return replace(run, new=run.breaches)


def against_plain(run: Run, plain: Run) -> Run:
    """The run with what the plain one doesn't have: new breaches, what it alone lacks, another exit code."""
    known = {(breach.endpoint, breach.violation) for breach in plain.breaches}
    new = tuple(each for each in run.breaches if (each.endpoint, each.violation) not in known)
    differs = f"the command ended with {run.code}, not with {plain.code}" if run.code != plain.code else ""
    return replace(run, new=new, differs=differs, lacks=() if plain.lacks else run.lacks)
