"""What a test, its config or its cassette has and no request used: scripts, criteria, faults, recordings."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from openpipe_mock.config.settings import Settings
from openpipe_mock.core.wording import did_you_mean
from openpipe_mock.sessions.diagnosis import why_idle
from openpipe_mock.sessions.journal import Entry


@dataclass(frozen=True, slots=True)
class Unused:
    """Something that never fired. `kind`: `script`, `recording` and so on; `why`: as half a sentence."""

    kind: str
    label: str
    why: str

    def __str__(self) -> str:
        return f"{self.kind} {self.label}: {self.why}"


@dataclass(frozen=True, slots=True)
class Setup:
    """What requests can use. `recordings`: the names of those that answered nothing."""

    settings: Settings
    recordings: Sequence[str] = ()


def unused(setup: Setup, entries: Sequence[Entry]) -> Iterator[Unused]:
    """What is there and none of the requests used, in the order of the settings."""
    for idle in _KINDS:
        yield from idle(setup, entries)


def _unused_scripts(setup: Setup, entries: Sequence[Entry]) -> Iterator[Unused]:
    """The scripts that answered no request."""
    fired = list(dict.fromkeys(rule for entry in entries for rule in entry.rules))
    chats = [entry for entry in entries if entry.endpoint == "chat"]
    for script in setup.settings.completions:
        if not script.fired(fired):
            yield Unused("script", str(script), why_idle(script, chats) or "no completion was asked for")


def _unused_criteria(setup: Setup, entries: Sequence[Entry]) -> Iterator[Unused]:
    """The criteria that nobody asked for, in any version."""
    asked = {text.partition("@")[0]: None for entry in entries for text in entry.criteria}
    criteria = setup.settings.criteria
    others = [name for name in asked if name not in criteria]
    for name in criteria:
        if name not in asked:
            yield Unused("criterion", name, f"nobody asked for it.{did_you_mean(name, others)}")


def _unused_faults(setup: Setup, entries: Sequence[Entry]) -> Iterator[Unused]:
    """The faults that struck no request."""
    struck = {entry.struck for entry in entries}
    for fault in setup.settings.faults:
        if fault.place not in struck:
            yield Unused("fault", str(fault), why_idle(fault, entries) or "no request came")


def _unused_recordings(setup: Setup, entries: Sequence[Entry]) -> Iterator[Unused]:
    """The recordings of the cassette that answered no request."""
    for name in setup.recordings:
        yield Unused("recording", name, "no request was the recorded one" if entries else "no request came")


_KINDS: tuple[Callable[[Setup, Sequence[Entry]], Iterator[Unused]], ...] = (
    _unused_scripts,
    _unused_criteria,
    _unused_faults,
    _unused_recordings,
)
"""A function for each kind of thing that can stay unused, in the order of reports; one more kind is one more
function."""
