"""Reads the journal: filters exchanges and returns them as JSON."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from math import fsum
from typing import Any

from openpipe_mock.config.settings import Settings
from openpipe_mock.core.errors import CriterionNotFound, ParseError
from openpipe_mock.core.eventstream import read_events
from openpipe_mock.core.strictjson import parse
from openpipe_mock.matching.conditions import Subject
from openpipe_mock.sessions.journal import Entry

JsonObject = dict[str, Any]


@dataclass(frozen=True, slots=True)
class JournalFilter:
    """A filter of exchanges; "" stands for any.

    `status`: such as `200` or `4xx`. `validity`: `valid`, `invalid` or `unknown`.
    """

    endpoint: str = ""
    criterion: str = ""
    status: str = ""
    validity: str = ""

    def holds(self, entry: Entry) -> bool:
        return (
            self.endpoint in ("", entry.endpoint)
            and self.validity in ("", VALIDITY[entry.valid])
            and self.status in ("", str(entry.status), f"{entry.status // 100}xx")
            and (
                not self.criterion
                or any(self.criterion in criterion_names(entry, asked) for asked in asked_of(entry))
            )
        )


VALIDITY = {True: "valid", False: "invalid", None: "unknown"}
"""`Entry.valid` → its word in a filter."""


def asked_of(entry: Entry) -> list[str]:
    """Return the criteria that were judged; without any, those that the request asked for.

    Both are named with their version; one that isn't there as it was asked for.
    """
    return list(entry.criteria) or list(
        dict.fromkeys(_versioned(entry.settings, each) for each in subject_of(entry).asked)
    )


def _versioned(settings: Settings, asked: str) -> str:
    from openpipe_mock.answers.judge import find_criterion

    try:
        return find_criterion(asked, settings.known).text
    except CriterionNotFound:
        return asked


def criterion_names(entry: Entry, asked: str) -> tuple[str, str]:
    """Return an asked criterion's name, and its name with the version."""
    name, _, version = asked.partition("@v")
    return name, f"{name}@v{version or _latest(entry.settings, name)}"


def _latest(settings: Settings, name: str) -> int:
    return max(settings.criteria[name].versions) if name in settings.criteria else 1


# As JSON.


def summary(entry: Entry) -> JsonObject:
    """Return an exchange as an item of a list."""
    model = subject_of(entry).body.get("model")
    return {
        "id": entry.id,
        "sequence": entry.sequence,
        "session": entry.session,
        "time": written_time(entry.time),
        "endpoint": entry.endpoint or None,
        "method": json_safe(entry.method),
        "path": json_safe(entry.path),
        "status": entry.status or None,
        "ms": None if entry.seconds is None else round(entry.seconds * 1000, 1),
        "valid": entry.valid,
        "violations": list(entry.violations),
        "tolerated": list(entry.tolerated),
        "model": model if isinstance(model, str) else None,
        "criteria": asked_of(entry),
        "scores": entry.scores,
        "ranking": [{"made": made, "mean": _mean(entry.scores[made])} for made in entry.ranking],
        "rules": entry.rules,
        "faults": entry.faults,
        "notes": list(entry.notes),
        "streamed": entry.streamed,
    }


def written_time(seconds: float) -> str:
    """Return a time as ISO 8601 in UTC, with milliseconds. `seconds`: since 1970."""
    return f"{_written_second(int(seconds))}.{int(seconds * 1000) % 1000:03}Z"


@lru_cache(maxsize=16)
def _written_second(second: int) -> str:
    return f"{datetime.fromtimestamp(second, UTC):%Y-%m-%dT%H:%M:%S}"


def _mean(scores: Mapping[str, int | float]) -> float:
    """Return the mean of a choice's scores, by which choices are sorted; a failed judgement counts 0."""
    return fsum(scores.values()) / len(scores)


def json_safe(text: str) -> str:
    """Return a text without lone surrogates, which JSON can't carry."""
    return text.encode("utf-8", "replace").decode()


def body_of(entry: Entry) -> Any:
    """Return the JSON of a request's body, None where it has none."""
    try:
        return parse(entry.body) if entry.body else None
    except ParseError:
        return None


def readable_body(content: bytes) -> Any:
    """Return a body as JSON, or as text where it is no JSON; None where it is empty."""
    try:
        return parse(content) if content else None
    except ParseError:
        return content.decode("utf-8", "replace")


def stream_events(stream: bytes) -> list[Any]:
    """Return the data of a stream's events, each as JSON or text."""
    events = read_events(stream + b"\n\n").events  # a stream may be cut off within an event
    return [readable_body(event.data.encode()) for event in events if event.data.strip()]


def subject_of(entry: Entry) -> Subject:
    """Return what conditions looked at. They see nothing of a body that isn't `readable`."""
    return Subject(entry.endpoint, entry.headers, read_of(entry))


def read_of(entry: Entry) -> Any:
    """Return the body's JSON, or the part of it that conditions read; None where it has none."""
    return body_of(entry) if entry.gist is None else parse(entry.gist.encode())
