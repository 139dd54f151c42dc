"""The journal read: exchanges as JSON, why rules didn't fire, and whether requests came as expected."""

from dataclasses import dataclass
from typing import Any

from openpipe_mock.config.settings import Settings
from openpipe_mock.core.errors import ParseError
from openpipe_mock.core.strictjson import parse
from openpipe_mock.matching.conditions import Subject
from openpipe_mock.sessions.journal import Entry

JsonObject = dict[str, Any]


@dataclass(frozen=True, slots=True)
class JournalFilter:
    """Which exchanges are meant; "" asks for nothing. `status`: `200`, `4xx`; `validity`: valid, invalid."""

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
                or any(self.criterion in criterion_names(entry, asked) for asked in _asked_of(entry))
            )
        )


VALIDITY = {True: "valid", False: "invalid", None: "unknown"}


def _asked_of(entry: Entry) -> list[str]:
    """The criteria that were judged, else those that were asked for and weren't."""
    return list(entry.criteria) or list(dict.fromkeys(subject_of(entry).asked))


def criterion_names(entry: Entry, asked: str) -> tuple[str, str]:
    """An asked criterion with its version and without."""
    name, _, version = asked.partition("@v")
    return name, f"{name}@v{version or _latest(entry.settings, name)}"


def _latest(settings: Settings, name: str) -> int:
    return max(settings.criteria[name].versions) if name in settings.criteria else 1


# As JSON.


def summary(entry: Entry) -> JsonObject:
    """An exchange in one line of a list."""
    model = subject_of(entry).body.get("model")
    return {
        "id": entry.id,
        "session": entry.session,
        "endpoint": entry.endpoint or None,
        "method": json_safe(entry.method),
        "path": json_safe(entry.path),
        "status": entry.status or None,
        "ms": None if entry.seconds is None else round(entry.seconds * 1000, 1),
        "valid": entry.valid,
        "violations": list(entry.violations),
        "model": model if isinstance(model, str) else None,
        "criteria": _asked_of(entry),
        "scores": entry.scores,
        "rules": entry.rules,
        "faults": entry.faults,
        "notes": list(entry.notes),
        "streamed": entry.streamed,
    }


def json_safe(text: str) -> str:
    """A text that JSON can carry."""
    return text.encode("utf-8", "replace").decode()


def body_of(entry: Entry) -> Any:
    """The body's JSON, None where there is none."""
    try:
        return parse(entry.body) if entry.body else None
    except ParseError:
        return None


def readable_body(content: bytes) -> Any:
    """A body as JSON, else as text, None where it is empty."""
    try:
        return parse(content) if content else None
    except ParseError:
        return content.decode("utf-8", "replace")


def stream_events(stream: bytes) -> list[Any]:
    """The data of a stream's events, each as JSON where it is JSON."""
    found = (block.partition(b"data: ")[2] for block in stream.split(b"\n\n"))
    return [readable_body(data) for data in found if data]


# Why rules didn't fire.


def subject_of(entry: Entry) -> Subject:
    """What conditions looked at; of a body that isn't `readable` they see nothing."""
    return Subject(entry.endpoint, entry.headers, read_of(entry))


def read_of(entry: Entry) -> Any:
    """The body's JSON, or all that conditions read of it; None where there is none."""
    return body_of(entry) if entry.gist is None else parse(entry.gist.encode())


# Whether requests came as expected.
