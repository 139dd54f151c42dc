"""JSON that the control API shows of criteria, rules, sessions and the journal."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

from openpipe_mock.answers.scorers import Declared
from openpipe_mock.answers.scripts import Script
from openpipe_mock.config import file as configfile
from openpipe_mock.core.effects import Head
from openpipe_mock.core.errors import MOST_ISSUES
from openpipe_mock.core.yamltext import Mistake
from openpipe_mock.faults.fault import Fault
from openpipe_mock.openapi.endpoints import BASE
from openpipe_mock.sessions.inspection import json_safe
from openpipe_mock.sessions.journal import Entry
from openpipe_mock.sessions.memory import DEFAULT, IDLE_SECONDS, Session

Json = Any

ROOT = "/_mock"


def listed_criterion(name: str, declared: Declared, runtime: bool) -> Json:
    """A criterion in a list: its versions, each with the key of its scorer. `runtime`: set at runtime."""
    forms = sorted(declared.versions.items())
    return {
        "id": name,
        "latest": f"{name}@v{max(declared.versions)}",
        "versions": {f"v{version}": form.scorer.key for version, form in forms},
        "source": "runtime" if runtime else "file",
    }


def checked_config(text: bytes) -> Json:
    """Whether the text of a config is right, and its mistakes with their places."""
    try:
        configfile.read_config(text)
    except configfile.ConfigError as error:
        return {"ok": False, "mistakes": [_mistake(each) for each in error.mistakes[:MOST_ISSUES]]}
    return {"ok": True, "mistakes": []}


def _mistake(mistake: Mistake) -> Json:
    return {
        "line": mistake.line,
        "column": mistake.column,
        "pointer": json_safe(mistake.pointer),
        "message": json_safe(mistake.sentence),
    }


def in_order(runtime: Sequence[Script | Fault], file: Sequence[Script | Fault]) -> Json:
    """Rules in the order in which they are tried: those set at runtime, then the file's."""
    both = (("runtime", runtime), ("file", file))
    return [
        {"place": rule.place, "name": rule.name or None, "source": source}
        for source, rules in both
        for rule in rules
    ]


_HOST = re.compile(rb"[A-Za-z0-9._~:\[\]-]{1,255}")


def _origin(head: Head) -> str:
    """The origin by which the client reached the mock; "" where its `Host` is missing or invalid."""
    host = head.headers.get(b"host", b"")
    secure = head.headers.get(b"x-forwarded-proto", b"").strip().lower() == b"https"
    return f"{'https' if secure else 'http'}://{host.decode()}" if _HOST.fullmatch(host) else ""


def session_status(session: Session, head: Head) -> Json:
    """A session: its URLs, its expiry in seconds, its number of requests. `head`: of the current request."""
    at_home = session.name == DEFAULT
    url = f"{_origin(head)}{head.root}{'' if at_home else f'{ROOT}/sessions/{session.name}'}"
    return {
        "name": session.name,
        "base_url": f"{url}{BASE}",
        "control_url": f"{url}{ROOT}",
        "expires_after_seconds": None if at_home else IDLE_SECONDS,
        "requests": session.requests,
    }


def newest(sessions: Iterable[Session]) -> list[Entry]:
    """The journal entries of these sessions, newest first."""
    entries = [entry for session in sessions for entry in session.journal.newest_first()]
    return sorted(entries, key=lambda entry: (-entry.at, -entry.number))
