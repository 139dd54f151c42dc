"""Counts of what a mock was asked and answered, since its start, for `GET /_mock/metrics`.

A request adds to a few lists of numbers; texts are made of them when somebody asks.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping

from openpipe_mock.faults.fault import Fault
from openpipe_mock.sessions.journal import Entry, discreet

SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""The upper ends of the buckets that durations are counted in."""
SCORES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
"""The same for scores."""
MOST_COUNTED_CRITERIA = 100
"""The most criteria whose scores are counted apart."""
OTHERS = "others"
"""The name under which all further criteria count, and all paths that aren't served."""

Counts = list[float]
"""For each bucket how many values it has, then how many are above all, then the sum of the values."""


def observe(counts: Counts, ends: tuple[float, ...], value: float) -> None:
    """Count a value. `ends`: of the buckets."""
    counts[bisect_left(ends, value)] += 1
    counts[-1] += value


def nothing_counted(ends: tuple[float, ...]) -> Counts:
    return [0.0] * (len(ends) + 2)


class Metrics:
    """What a mock counts. Nothing that a client chooses makes it larger without bound.

    `durations`: endpoint and status → seconds. `hung_up`: endpoint → requests whose clients left before the
    end. `violations`: endpoint → what strict validation refuses. `faults`: the kinds that struck.
    `unscripted`: completions that no script answered, though some were there or asked for. `scores`:
    criterion → scores; `by_label`: the same by the name that is shown.
    """

    def __init__(self) -> None:
        self.durations: dict[tuple[str, int], Counts] = {
            (endpoint, 200): nothing_counted(SECONDS) for endpoint in ("judge", "chat")
        }
        self.hung_up: Counter[str] = Counter()
        self.violations: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self.unscripted = 0
        self.scores: dict[str, Counts] = {}
        self.by_label: dict[str, Counts] = {}

    def answered(self, endpoint: str, status: int, seconds: float) -> None:
        """Count a request that was answered. `endpoint`: "" for a path that isn't served."""
        key = (endpoint or OTHERS, status)
        if key not in self.durations:
            self.durations[key] = nothing_counted(SECONDS)
        observe(self.durations[key], SECONDS, seconds)

    def exchanged(self, entry: Entry, token: bytes) -> None:
        """Count an exchange that is over. `token`: the request's, which no name may show."""
        if entry.seconds is None:
            self.hung_up[entry.endpoint or OTHERS] += 1
        else:
            self.answered(entry.endpoint, entry.status, entry.seconds)
        if entry.violations:
            self.violations[entry.endpoint or OTHERS] += len(entry.violations)
        self.unscripted += entry.unscripted
        self.scored(entry.scores, token)

    def scored(self, scores: Iterable[Mapping[str, float]], token: bytes) -> None:
        """Count the scores of each choice."""
        for choice in scores:
            for criterion, score in choice.items():
                observe(self.scores_of(criterion, token), SCORES, score)

    def struck(self, fault: Fault) -> None:
        """Count each kind of a fault that strikes."""
        self.faults.update([*(["delay_ms"] if fault.delay else []), *(kind.key for kind in fault.kinds)])

    def scores_of(self, criterion: str, token: bytes) -> Counts:
        """The scores of a criterion, those of all others where too many are known."""
        found = self.scores.get(criterion)
        if found is None:
            [label] = discreet((token,), criterion) if len(self.scores) < MOST_COUNTED_CRITERIA else [OTHERS]
            found = self.by_label.setdefault(label, nothing_counted(SCORES))
            if label != OTHERS:
                self.scores[criterion] = found
        return found
