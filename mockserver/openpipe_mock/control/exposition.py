"""A mock's metrics as text, in the format that Prometheus reads (version 0.0.4)."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate

from openpipe_mock import __version__
from openpipe_mock.core.effects import HeaderList
from openpipe_mock.service.metrics import SCORES, SECONDS, Counts, Metrics, nothing_counted

METRICS_HEADERS: HeaderList = ((b"content-type", b"text/plain; version=0.0.4; charset=utf-8"),)
_ESCAPED = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})

_Labels = Mapping[str, str | int]
_Sample = tuple[_Labels, float]


def exposed(metrics: Metrics, missed: int, kept: int | None) -> bytes:
    """All metrics of a mock. `missed`: requests that had no recording. `kept`: bytes, None for unknown."""
    return "".join(f"{line}\n" for line in _lines(metrics, missed, kept)).encode("utf-8", "replace")


def _lines(metrics: Metrics, missed: int, kept: int | None) -> Iterator[str]:
    misses = [({"kind": "script"}, metrics.unscripted), ({"kind": "recording"}, missed)]
    yield from _family("info", "gauge", "The release; always 1.", [({"version": __version__}, 1)])
    answered: list[_Sample] = [
        ({"endpoint": name, "status": status}, sum(counts[:-1]))
        for (name, status), counts in sorted(metrics.durations.items())
    ]
    told = "Requests to the API that were answered; status 0: the connection broke on purpose."
    yield from _family("requests_total", "counter", told, answered)
    yield from _histogram(
        "request_seconds", "How long requests took.", "endpoint", SECONDS, _by_endpoint(metrics.durations)
    )
    for name, told, label, counted in (
        ("hangups_total", "Requests whose clients hung up before the end.", "endpoint", metrics.hung_up),
        ("violations_total", "What strict validation refuses, in any mode.", "endpoint", metrics.violations),
        ("faults_total", "Faults that struck, by what they do.", "kind", metrics.faults),
    ):
        samples = [({label: value}, number) for value, number in sorted(counted.items())]
        yield from _family(name, "counter", told, samples)
    told = "Requests that no script, or no recording, had an answer to."
    yield from _family("misses_total", "counter", told, misses)
    yield from _histogram("score", "Scores that were given.", "criterion", SCORES, metrics.by_label)
    if kept is not None:
        yield from _family("kept_bytes", "gauge", "Bytes that journals and logs of calls hold.", [({}, kept)])


def _by_endpoint(durations: Mapping[tuple[str, int], Counts]) -> dict[str, Counts]:
    """The durations of each endpoint, whatever the status."""
    found: dict[str, Counts] = {}
    for (endpoint, _), counts in list(durations.items()):  # others may add to it meanwhile
        before = found.get(endpoint, nothing_counted(SECONDS))
        found[endpoint] = [one + other for one, other in zip(before, counts, strict=True)]
    return found


def _histogram(
    name: str, told: str, label: str, ends: tuple[float, ...], values: Mapping[str, Counts]
) -> Iterator[str]:
    """The lines of a histogram for each value of a label."""
    yield from _head(name, "histogram", told)
    for value, counts in sorted(values.items()):
        *numbers, whole = accumulate(counts[:-1])
        for end, number in zip(ends, numbers, strict=True):
            yield _sample(f"{name}_bucket", {label: value, "le": str(end)}, number)
        yield _sample(f"{name}_bucket", {label: value, "le": "+Inf"}, whole)
        yield _sample(f"{name}_sum", {label: value}, counts[-1])
        yield _sample(f"{name}_count", {label: value}, whole)


def _family(name: str, kind: str, told: str, samples: Iterable[_Sample]) -> Iterator[str]:
    """The lines of a metric."""
    yield from _head(name, kind, told)
    for labels, number in samples:
        yield _sample(name, labels, number)


def _head(name: str, kind: str, told: str) -> Iterator[str]:
    yield f"# HELP openpipe_mock_{name} {told}"
    yield f"# TYPE openpipe_mock_{name} {kind}"


def _sample(name: str, labels: _Labels, number: float) -> str:
    pairs = ",".join(f'{label}="{str(value).translate(_ESCAPED)}"' for label, value in labels.items())
    return f"openpipe_mock_{name}{f'{{{pairs}}}' if pairs else ''} {number}"
