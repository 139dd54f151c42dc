"""Running a command against a mock of its own, and telling what its client did.

The mock serves on a free port from a thread of this process; the command is a child in the same process
group, with this process's own standard streams. So a terminal's Ctrl-C reaches the child by itself, and what
is sent to this process alone is passed on.
"""

import errno
import logging
import os
import shutil
import signal
import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from time import perf_counter
from types import FrameType

from openpipe_mock.config.settings import Settings
from openpipe_mock.core.effects import Head
from openpipe_mock.core.secrets import MASK, Mask
from openpipe_mock.faults.variants import Variant
from openpipe_mock.openapi.endpoints import BASE
from openpipe_mock.server.server import CannotServe
from openpipe_mock.service.request import Visit
from openpipe_mock.service.service import Service
from openpipe_mock.sessions.journal import Entry, hide
from openpipe_mock.testing.conduct import Lapse, lapses, observed
from openpipe_mock.testing.interception import BASE_URLS, DUMMY_KEY, OPENAI_KEY, OTHER_KEYS, OWN_KEY
from openpipe_mock.testing.live import LiveServer
from openpipe_mock.testing.mock import MockError

BROKE = 90
"""The exit code for a command that passed and a client that didn't."""
NOT_FOUND, NOT_RUNNABLE = 127, 126
"""As shells have them."""
MOST_SEEN = 50_000
"""Requests that a run keeps; those behind them are counted."""
NOT_PROXIED = "127.0.0.1,localhost"
KEYS = (OWN_KEY, OPENAI_KEY)
CONTROL_URL = "OPENPIPE_MOCK_CONTROL_URL"
VARIANT = "OPENPIPE_MOCK_VARIANT"


class CannotRun(Exception):
    """The command can't be started; the message says why, `code` is what a shell would end with."""

    def __init__(self, problem: str, code: int) -> None:
        super().__init__(problem)
        self.code = code


# The mock that watches.


class Witness(Service):
    """A mock that remembers every request of a run, and answers in a variant."""

    def __init__(self, settings: Settings, variant: Variant | None = None) -> None:
        super().__init__(replace(settings, variant=variant.name) if variant else settings)
        self.visits: list[Visit] = []
        self.unseen = 0

    def visit(self, head: Head) -> Visit:
        visit = super().visit(head)
        if len(self.visits) < MOST_SEEN:
            self.visits.append(visit)
        else:
            self.unseen += 1
        return visit

    @property
    def entries(self) -> list[Entry]:
        """What came, without secrets, also what no journal has kept."""
        for visit in self.visits:
            hide(visit.entry, visit.token)
        return [visit.entry for visit in self.visits]


@contextmanager
def serving(service: Service) -> Iterator[str]:
    """A mock on a free port, in a thread: its origin. Raises CannotServe."""
    try:
        live = LiveServer(service)
        live.start()
    except MockError as problem:
        raise CannotServe(str(problem)) from None
    try:
        yield live.origin
    finally:
        live.stop()


@contextmanager
def quiet() -> Iterator[None]:
    """Let the mock say nothing on standard error, which is the command's; but for its own defects."""
    loggers = [logging.getLogger(name) for name in ("openpipe_mock", "uvicorn")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


# The command.


def surroundings(origin: str, key: str, variant: Variant | None, given: Mapping[str, str]) -> dict[str, str]:
    """The environment of a command: it leads clients to the mock, with dummy keys over real ones."""
    base_url = f"{origin}{BASE}"
    others = {name: DUMMY_KEY for name in OTHER_KEYS if name in given}
    proxied = {
        name: f"{given[name]},{NOT_PROXIED}" if given.get(name) else NOT_PROXIED
        for name in ("NO_PROXY", "no_proxy")
    }
    return {
        **given,
        **others,
        **proxied,
        **dict.fromkeys(BASE_URLS, base_url),
        **dict.fromkeys(KEYS, key),
        CONTROL_URL: f"{origin}/_mock",
        VARIANT: variant.name if variant else "",
    }


class Child:
    """A command that runs in this process's stead: signals are passed on to it.

    `stopped_by` is the first signal that came, 0 while none did.
    """

    def __init__(self) -> None:
        self.process: subprocess.Popen[bytes] | None = None
        self.stopped_by = 0

    def run(self, command: Sequence[str], environment: Mapping[str, str]) -> int:
        """Run a command to its end; its exit code, or 128 and the signal that ended it. Raises CannotRun."""
        try:
            self.process = subprocess.Popen(command, env=environment)
        except OSError as error:
            raise cannot_run(command[0], error) from None
        if self.stopped_by:  # a signal came while nobody was there to get it
            self.process.send_signal(self.stopped_by)
        code = self.process.wait()
        self.process = None
        return 128 - code if code < 0 else code

    @contextmanager
    def passing_signals_on(self) -> Iterator[None]:
        """Pass signals on that are sent to this process; those that it ignores it goes on ignoring."""
        if threading.current_thread() is not threading.main_thread():
            yield  # nobody else may set what a signal does
            return
        before = {number: signal.getsignal(number) for number in PASSED_ON}
        for number, handler in before.items():
            if handler is not signal.SIG_IGN:
                signal.signal(number, self.pass_on)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def pass_on(self, number: int, _: FrameType | None) -> None:
        self.stopped_by = self.stopped_by or number
        if self.process and not (signal.Signals(number).name in TYPED and in_foreground()):
            self.process.send_signal(number)


TYPED = ("SIGINT", "SIGHUP")
"""Signals that a terminal sends to all processes in its foreground, the child among them."""


PASSED_ON = [getattr(signal, name) for name in (*TYPED, "SIGTERM") if hasattr(signal, name)]


def in_foreground() -> bool:
    """Whether a terminal has this process's group in its foreground."""
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)


def cannot_run(program: str, error: OSError) -> CannotRun:
    """Why a command can't be started, in words and as an exit code."""
    if isinstance(error, FileNotFoundError):
        return CannotRun(f"cannot run {program}: {missing(program)}", NOT_FOUND)
    reason = error.strerror or error
    if error.errno == errno.ENOEXEC:
        reason = "its first line doesn't say what runs it, as #!/bin/sh does"
    return CannotRun(f"cannot run {program}: {reason}", NOT_RUNNABLE)


def missing(program: str) -> str:
    """What is not there of a program, and what may have been meant."""
    if shutil.which(program):
        return "what its first line says should run it is not there"
    if os.sep in program:
        return "there is no such file"
    if " " in program:
        return f"no folder in PATH has it; write its words apart, as in: openpipe-mock exec -- {program}"
    if "=" in program:
        return "no folder in PATH has it; write variables in front of openpipe-mock"
    return "no folder in PATH has it"


# What came of it.


@dataclass(frozen=True, slots=True)
class Breach:
    """One thing that requests broke: the endpoint, where and what, and the ids of those requests."""

    endpoint: str
    violation: str
    ids: tuple[str, ...]

    def __str__(self) -> str:
        first, *others = self.ids
        more = f" and {len(others)} more" if others else ""
        return f"{self.endpoint} {self.violation} ({first}{more})"


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the command: its exit code, how long it took, and what the client did in it.

    `variant` is None in the plain run. `requests`: endpoint → how many came. `new`: the breaches that the
    plain run doesn't have, and `differs` says how the exit code is another than there.
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

    @property
    def name(self) -> str:
        return self.variant.name if self.variant else "plain"

    @property
    def broke(self) -> bool:
        """Whether a client shows in it that it breaks the contract, or relies on what nobody promises."""
        return bool(self.differs or self.new)

    @property
    def silent(self) -> bool:
        """Whether no request came, so that it says nothing about a client."""
        return not self.requests and not self.unseen


@dataclass(frozen=True, slots=True)
class Verdict:
    """All runs of a command, the plain one first.

    `stopped_by`: the signal that ended them early, or 0. `forgiving`: what a client breaks doesn't change the
    exit code. `planned`: how many runs there were to be.
    """

    command: str
    runs: tuple[Run, ...]
    seed: int
    reproduce: str
    stopped_by: int = 0
    forgiving: bool = False
    planned: int = 1

    @property
    def first(self) -> Run:
        return self.runs[0]

    @property
    def broken(self) -> tuple[Run, ...]:
        """The runs in which something broke."""
        return tuple(run for run in self.runs if run.broke)

    @property
    def exit_code(self) -> int:
        """The command's exit code; 90 where it passed and its client didn't, unless that is forgiven."""
        if self.stopped_by and self.runs[-1].code:
            return self.runs[-1].code
        if self.first.code or self.forgiving or not self.broken:
            return self.first.code
        return BROKE


@dataclass(frozen=True, slots=True)
class Job:
    """A command, the settings of its mock, and the variants that it runs under.

    `only` names the one variant under which it runs, in place of the plain run. `forgiving`: what a client
    breaks doesn't change the exit code. `reproduce`: the command line that runs it again; a `{}` in it takes
    the name of a variant.
    """

    command: tuple[str, ...]
    settings: Settings = field(default_factory=Settings)
    variants: tuple[Variant, ...] = ()
    only: Variant | None = None
    forgiving: bool = False
    reproduce: str = ""


Announce = Callable[[Variant, int, int], None]
"""Told before each run under a variant: the variant, its place from 1, and how many there are."""


def execute(job: Job, environment: Mapping[str, str], announce: Announce) -> Verdict:
    """Run a command, and again under each variant. Raises CannotRun, CannotServe.

    A plain run that fails or sends nothing, and a signal, end it at once.
    """
    child, key = Child(), (*job.settings.keys, DUMMY_KEY)[0]

    def run(variant: Variant | None) -> Run:
        service = Witness(job.settings, variant)
        started = perf_counter()
        with serving(service) as origin:
            code = child.run(job.command, surroundings(origin, key, variant, environment))
            seconds = perf_counter() - started
        return result(variant, code, seconds, service)

    with quiet(), child.passing_signals_on():
        runs = [plainly(run(job.only))]
        for number, variant in enumerate(job.variants, 1):
            if runs[0].code or runs[0].silent or child.stopped_by:
                break
            announce(variant, number, len(job.variants))
            found = run(variant)
            runs.append(found if child.stopped_by else compared(found, runs[0]))
    hide = partial(hidden, environment=environment)
    return Verdict(
        hide(" ".join(job.command)),
        tuple(runs),
        job.settings.seed,
        hide(job.reproduce),
        child.stopped_by,
        job.forgiving,
        1 + len(job.variants),
    )


def result(variant: Variant | None, code: int, seconds: float, service: Witness) -> Run:
    """What a run shows, once it has ended."""
    entries = service.entries
    requests = [observed(entry) for entry in entries]
    held = [entry for entry, request in zip(entries, requests, strict=True) if not request.meant]
    return Run(
        variant=variant,
        code=code,
        seconds=seconds,
        requests=Counter(request.endpoint for request in requests),
        breaches=tuple(breaches(held)),
        warnings=lapses(requests),
        unseen=service.unseen,
    )


def breaches(entries: Iterable[Entry]) -> Iterator[Breach]:
    """What requests broke, equal ones together."""
    found: dict[tuple[str, str], list[str]] = {}
    for entry in entries:
        for violation in entry.violations:
            found.setdefault((entry.endpoint, violation), []).append(entry.id)
    for (endpoint, violation), ids in found.items():
        yield Breach(endpoint, violation, tuple(ids))


def plainly(run: Run) -> Run:
    """A run that is compared with none: each breach counts."""
    return replace(run, new=run.breaches)


def compared(run: Run, plain: Run) -> Run:
    """A run with what it shows that the plain one doesn't."""
    known = {(breach.endpoint, breach.violation) for breach in plain.breaches}
    new = tuple(each for each in run.breaches if (each.endpoint, each.violation) not in known)
    differs = f"the command ended with {run.code}, not with {plain.code}" if run.code != plain.code else ""
    return replace(run, new=new, differs=differs)


def hidden(text: str, environment: Mapping[str, str]) -> str:
    """A text without what looks like a key and without the real keys of an environment."""
    for name in (*KEYS, *OTHER_KEYS):
        key = environment.get(name, "")
        text = text.replace(key, MASK) if len(key) > 3 and key != DUMMY_KEY else text
    return Mask(b"").text(text)
