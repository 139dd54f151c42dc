"""What a test or its config sets and no request ever used: scripts, criteria and faults."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from openpipe_mock.config.settings import Settings
from openpipe_mock.core.wording import did_you_mean
from openpipe_mock.sessions.diagnosis import why_idle
from openpipe_mock.sessions.journal import Entry


@dataclass(frozen=True, slots=True)
class Unused:
    """Something that never fired. `kind`: `script`, `criterion` or `fault`; `why`: as half a sentence."""

    kind: str
    label: str
    why: str

    def __str__(self) -> str:
        return f"{self.kind} {self.label}: {self.why}"


def unused(settings: Settings, entries: Sequence[Entry]) -> Iterator[Unused]:
    """What these settings have and none of the requests used, in the order of the settings."""
    for idle in _KINDS:
        yield from idle(settings, entries)


def _unused_scripts(settings: Settings, entries: Sequence[Entry]) -> Iterator[Unused]:
    """The scripts that answered no request."""
    fired = list(dict.fromkeys(rule for entry in entries for rule in entry.rules))
    chats = [entry for entry in entries if entry.endpoint == "chat"]
    for script in settings.completions:
        if not script.fired(fired):
            yield Unused("script", str(script), why_idle(script, chats) or "no completion was asked for")


def _unused_criteria(settings: Settings, entries: Sequence[Entry]) -> Iterator[Unused]:
    """The criteria that nobody asked for, in any version."""
    asked = {text.partition("@")[0]: None for entry in entries for text in entry.criteria}
    others = [name for name in asked if name not in settings.criteria]
    for name in settings.criteria:
        if name not in asked:
            yield Unused("criterion", name, f"nobody asked for it.{did_you_mean(name, others)}")


def _unused_faults(settings: Settings, entries: Sequence[Entry]) -> Iterator[Unused]:
    """The faults that struck no request."""
    struck = {entry.struck for entry in entries}
    for fault in settings.faults:
        if fault.place not in struck:
            yield Unused("fault", str(fault), why_idle(fault, entries) or "no request came")


_KINDS: tuple[Callable[[Settings, Sequence[Entry]], Iterator[Unused]], ...] = (
    _unused_scripts,
    _unused_criteria,
    _unused_faults,
)
"""A function for each kind of thing that can stay unused, in the order of reports; one more kind is one more
function."""
