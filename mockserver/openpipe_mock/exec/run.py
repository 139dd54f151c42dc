"""Runs a command against a mock of its own and records what its client did.

The mock serves on a free port from a thread of this process; the command is a child in the same process
group, with this process's own standard streams. So a terminal's Ctrl-C reaches the child by itself, and what
is sent to this process alone is passed on.
"""

import logging
import shlex
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

from openpipe_mock.config.settings import Settings
from openpipe_mock.core.effects import Head
from openpipe_mock.core.secrets import masked_words
from openpipe_mock.core.wording import short
from openpipe_mock.exec.child import Child, Output
from openpipe_mock.exec.verdict import (
    LastExchange,
    Run,
    Verdict,
    against_plain,
    collect_breaches,
    plainly,
    tolerated_places,
)
from openpipe_mock.faults.variants import Variant
from openpipe_mock.openapi.endpoints import BASE
from openpipe_mock.server.server import CannotServe
from openpipe_mock.service.request import AnswerSource, Visit
from openpipe_mock.service.service import Service
from openpipe_mock.sessions.diagnosis import nearest_script
from openpipe_mock.sessions.inspection import subject_of
from openpipe_mock.sessions.journal import Entry, hide
from openpipe_mock.testing.border import BASE_URLS, DUMMY_KEY, OPENAI_KEY, OTHER_KEYS, OWN_KEY
from openpipe_mock.testing.cassettes import UPSTREAM, Record, tape_for
from openpipe_mock.testing.conduct import lapses, observed
from openpipe_mock.testing.live import LiveServer
from openpipe_mock.testing.mock import MockError

if TYPE_CHECKING:
    from openpipe_mock.recording.tape import Tape

_MOST_SEEN = 50_000
"""Requests that a run keeps; later ones are only counted."""
_MOST_SHOWN = 600
"""Characters of a body that a report shows."""
_NOT_PROXIED = "127.0.0.1,localhost"
_KEYS = (OWN_KEY, OPENAI_KEY)
_CONTROL_URL = "OPENPIPE_MOCK_CONTROL_URL"
_VARIANT = "OPENPIPE_MOCK_VARIANT"


@dataclass(frozen=True, slots=True)
class Job:
    """A command, the settings of its mock, and the variants that it runs under.

    `only` is the one variant under which it runs, in place of the plain run. With `forgiving`, what a client
    breaks doesn't change the exit code. `reproduce` has the words that run it again. `jobs` is how many
    variants are tried side by side. `name`: what reports call it. `cassette` is the folder of recordings that
    answer first, if any; `record` says whether the first run makes them, from the server at `upstream`.
    `require_scripted`: each completion has to be scripted. `require_requests`: requests have to come.
    """

    command: tuple[str, ...]
    settings: Settings = field(default_factory=Settings)
    variants: tuple[Variant, ...] = ()
    only: Variant | None = None
    forgiving: bool = False
    reproduce: tuple[str, ...] = ()
    jobs: int = 1
    name: str = ""
    cassette: Path | None = None
    record: Record = "none"
    upstream: str = UPSTREAM
    require_scripted: bool = False
    require_requests: bool = False

    def tape(self, *, first: bool) -> "Tape | None":
        """What answers a run first. Raises CannotServe for a cassette or an upstream that can't be used."""
        if self.cassette is None:
            return None
        try:
            return tape_for(self.cassette, self.record if first else "none", self.upstream, self.settings)
        except ValueError as problem:
            raise CannotServe(str(problem)) from None

    def lacks(self, entries: Sequence[Entry]) -> Iterator[str]:
        """What is required and missing in a run with these requests."""
        if self.require_requests and not entries:
            yield "no request came, and --require-requests asks for some"
        for entry in entries if self.require_scripted else ():
            if entry.unscripted:
                near = nearest_script(entry.settings.completions, subject_of(entry), dict(entry.passed))
                yield f"no script answers {entry.id}: {near}"


Announce = Callable[[Variant, int, int], None]
"""Called before each run under a variant, with the variant, its number from 1, and their count."""


def run_command(job: Job, environment: Mapping[str, str], announce: Announce) -> Verdict:
    """Run a command plainly, and again under each variant. Raises CannotRun, CannotServe.

    Variants are not tried after a plain run that fails or sends nothing, nor after a signal. What the command
    prints under a variant is passed on once it has ended.
    """
    child, key, settings = Child(), (*job.settings.keys, DUMMY_KEY)[0], job.settings
    if job.require_scripted:  # else the mock doesn't count them where nothing is scripted
        settings = replace(settings, unscripted=settings.unscripted or "answer")

    def without_secrets(words: Iterable[str]) -> tuple[str, ...]:
        return masked_words(words, environment, DUMMY_KEY, *settings.secrets)

    told = threading.Lock()

    def run(variant: Variant | None, output: Output | None = None, *, first: bool = False) -> Run:
        service = _RecordingService(settings, variant, tape := job.tape(first=first))
        started = perf_counter()
        with mock_in_thread(service) as origin:
            led = surroundings(origin, key, variant, environment)
            code = child.run(job.command, led, output, reads=job.jobs == 1 or output is None)
            seconds = perf_counter() - started
        missed = tuple(tape.missed) if tape else ()
        lacks = tuple(job.lacks(service.entries))
        return replace(_result(variant, code, seconds, service), missed=missed, lacks=lacks)

    def varied(number: int, variant: Variant) -> Run | None:
        if child.stopped_by:
            return None
        announce(variant, number, len(job.variants))
        with closing(Output()) as output:
            found = run(variant, output)
            with told:
                output.pass_on()
            found = replace(found, tail=without_secrets(output.tail()))
        return found if child.stopped_by else against_plain(found, runs[0])

    with _quiet(), child.passing_signals_on(), ThreadPoolExecutor(job.jobs) as pool:
        runs = [plainly(run(job.only, first=True))]
        if not (runs[0].code or runs[0].silent):
            runs += filter(None, pool.map(varied, count(1), job.variants))
    return Verdict(
        " ".join(without_secrets(job.command)),
        tuple(runs),
        job.settings.seed,
        " ".join(map(shell_word, without_secrets(job.reproduce))),
        child.stopped_by,
        job.forgiving,
        1 + len(job.variants),
        job.name,
    )


def shell_word(word: str) -> str:
    """A word as a shell reads it, on one line."""
    if word.isprintable():
        return shlex.quote(word)
    plain = (char if char.isprintable() and char not in "\\'" else f"\\U{ord(char):08x}" for char in word)
    return f"$'{''.join(plain)}'"


class _RecordingService(Service):
    """A mock that keeps the requests of a run and answers in a variant."""

    def __init__(
        self, settings: Settings, variant: Variant | None = None, source: AnswerSource | None = None
    ) -> None:
        settings = replace(settings, variant=variant.name) if variant else settings
        super().__init__(settings, source=source)
        self.visits: list[Visit] = []
        self.unseen = 0

    def visit(self, head: Head) -> Visit:
        visit = super().visit(head)
        if len(self.visits) < _MOST_SEEN:
            self.visits.append(visit)
        else:
            self.unseen += 1
        return visit

    @property
    def entries(self) -> list[Entry]:
        """The journal entries of the kept requests, without secrets, also those that the journal dropped."""
        for visit in self.visits:
            hide(visit.entry, visit.token)
        return [visit.entry for visit in self.visits]


@contextmanager
def mock_in_thread(service: Service) -> Iterator[str]:
    """Serves a mock on a free port from a thread; yields its origin. Raises CannotServe."""
    try:
        live = LiveServer(service)
        live.start()
    except MockError as problem:
        raise CannotServe(str(problem)) from None
    try:
        yield live.origin
    finally:
        live.stop()
        if service.source:
            service.source.close()


@contextmanager
def _quiet() -> Iterator[None]:
    """Context in which the mock logs only errors: standard error belongs to the command."""
    loggers = [logging.getLogger(name) for name in ("openpipe_mock", "uvicorn")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def surroundings(origin: str, key: str, variant: Variant | None, given: Mapping[str, str]) -> dict[str, str]:
    """The environment of a command: `given`, with the mock's base URLs, and dummy keys over real ones."""
    base_url = f"{origin}{BASE}"
    others = {name: DUMMY_KEY for name in OTHER_KEYS if name in given}
    proxied = {
        name: f"{given[name]},{_NOT_PROXIED}" if given.get(name) else _NOT_PROXIED
        for name in ("NO_PROXY", "no_proxy")
    }
    return {
        **given,
        **others,
        **proxied,
        **dict.fromkeys(BASE_URLS, base_url),
        **dict.fromkeys(_KEYS, key),
        _CONTROL_URL: f"{origin}/_mock",
        _VARIANT: variant.name if variant else "",
    }


def _result(variant: Variant | None, code: int, seconds: float, service: _RecordingService) -> Run:
    """The result of a run that has ended."""
    entries = service.entries
    requests = [observed(entry) for entry in entries]
    judged = [entry for entry, request in zip(entries, requests, strict=True) if not request.meant]
    return Run(
        variant=variant,
        code=code,
        seconds=seconds,
        requests=Counter(request.endpoint for request in requests),
        breaches=tuple(collect_breaches(judged)),
        tolerated=tolerated_places(judged),
        warnings=lapses(requests),
        unseen=service.unseen,
        last=_exchange(entries[-1]) if entries else None,
    )


def _exchange(entry: Entry) -> LastExchange:
    request = f"{entry.method} {entry.path}"
    return LastExchange(entry.id, request, entry.status, _begun(entry.body or b""), _begun(entry.answer))


def _begun(body: bytes) -> str:
    """The beginning of a body."""
    return short(body[: 4 * _MOST_SHOWN].decode("utf-8", "replace"), _MOST_SHOWN)
