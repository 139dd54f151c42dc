"""The official clients in careful programs: what they break under, and that no rule accuses them.

All programs run at once, each under every variant, as most of what they do is waiting. What takes long to
import is imported once for all programs of an environment: see `clients/careful/warm.py`.
"""

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from openpipe_mock.exec.run import Job, mock_in_thread, run_command, surroundings
from openpipe_mock.exec.verdict import Verdict
from openpipe_mock.faults.variants import VARIANTS
from openpipe_mock.service.service import Service
from openpipe_mock.testing.border import DUMMY_KEY
from tests.environments import ROOT, TESTS, installed, node_modules
from tests.holding import asking, started, until_held
from tests.live import TRUSTING_NOBODY, clean
from tests.tables import rows

pytestmark = pytest.mark.slow

CAREFUL = TESTS / "clients" / "careful"
PAGE = ROOT / "docs" / "variants.md"


@dataclass(frozen=True)
class Program:
    """A careful program: its file and arguments, and the environment of its client."""

    client: str
    file: str
    environment: str = ""
    arguments: tuple[str, ...] = ()

    @property
    def process(self) -> str:
        """The name of the process that runs it: there is one for each environment, and program of Node."""
        return self.environment or self.file


PROGRAMS = (
    Program("openpipe 5.0.0, sync", "openpipe_all.py", "openpipe", ("sync",)),
    Program("openpipe 5.0.0, async", "openpipe_all.py", "openpipe", ("async",)),
    Program("openai 1.97", "openai_chat.py", "openpipe", ("async",)),
    Program("openai 3", "openai_chat.py", "openai", ("sync",)),
    Program("langchain-openai 1.7", "langchain_chat.py", "langchain"),
    Program("npm openpipe 1.0.0", "openpipe.mjs"),
    Program("npm openai 6.49", "openai.mjs"),
)
FAULTS: Mapping[str, tuple[str, str]] = {
    "npm openpipe 1.0.0": ("no-choices", "SyntaxError: Unexpected non-whitespace character after JSON"),
    "npm openai 6.49": ("bare-errors", "404 status code (no body)"),
}
"""Client → the one variant under which it breaks, and what its program ends with; those of the page."""


Verdicts = Mapping[Program, tuple[Verdict, str]]
"""Program → its verdict, and what it said in all its runs."""


def environment() -> dict[str, str]:
    return {**clean(TRUSTING_NOBODY), "PATH": os.environ["PATH"], "LANGSMITH_TRACING": "false"}


def words_of(program: Program, folder: Path) -> list[str]:
    """A program's file and arguments. Node looks for packages beside a script."""
    if program.environment:
        return [str(CAREFUL / program.file), *program.arguments]
    (folder / program.file).write_bytes((CAREFUL / program.file).read_bytes())
    return [str(folder / program.file)]


def holding(programs: Sequence[Program], folder: Path) -> list[str | Path]:
    """The command that imports the client of these programs and then runs them for whoever asks."""
    address = folder / f"{programs[0].process}.sock"
    spelled = [" ".join(words_of(program, folder)) for program in programs]
    if environment := programs[0].environment:
        return [installed(environment, "python"), CAREFUL / "warm.py", address, *spelled]
    (folder / "warm.mjs").write_bytes((CAREFUL / "warm.mjs").read_bytes())
    return ["node", folder / "warm.mjs", address, *spelled]


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Verdicts]:
    """What is found of each program, after its plain run, under all variants."""
    folder = tmp_path_factory.mktemp("careful")
    (folder / "node_modules").symlink_to(node_modules())
    together: dict[str, list[Program]] = {}
    for program in PROGRAMS:
        together.setdefault(program.process, []).append(program)

    def verdict(program: Program) -> tuple[Verdict, str]:
        log = folder / f"{PROGRAMS.index(program)}.log"
        log.touch()
        command = asking(folder / f"{program.process}.sock", log, *words_of(program, folder))
        found = run_command(Job(command, variants=VARIANTS), environment(), lambda *_: None)
        return found, log.read_text("utf-8")

    with ExitStack() as stack, ThreadPoolExecutor(len(PROGRAMS)) as pool:
        for name in ("openpipe_mock", "uvicorn"):  # those that run side by side put back each other's levels
            stack.callback(logging.getLogger(name).setLevel, logging.getLogger(name).level)
        origin = stack.enter_context(mock_in_thread(Service()))
        led = surroundings(origin, DUMMY_KEY, None, environment())
        commands = [holding(programs, folder) for programs in together.values()]
        for process in [stack.enter_context(started(command, led)) for command in commands]:
            until_held(process)
        yield dict(zip(PROGRAMS, pool.map(verdict, PROGRAMS), strict=True))


@pytest.fixture(params=PROGRAMS, ids=lambda program: program.client)
def program(request: pytest.FixtureRequest) -> Program:
    found: Program = request.param
    return found


def test_a_careful_program_passes_every_variant_but_for_a_fault_of_its_client(
    program: Program, verdicts: Verdicts
) -> None:
    verdict, said = verdicts[program]
    assert [run.name for run in verdict.runs] == ["plain", *(variant.name for variant in VARIANTS)], said
    variant, words = FAULTS.get(program.client, ("", ""))
    assert [run.name for run in verdict.broken] == [variant] * bool(variant), said
    assert words in said


def test_no_rule_accuses_it(program: Program, verdicts: Verdicts) -> None:
    verdict, _ = verdicts[program]
    assert [(run.name, str(warning)) for run in verdict.runs for warning in run.warnings] == []
    assert [(run.name, str(breach)) for run in verdict.runs for breach in run.breaches] == []


def test_it_asks_once_more_where_it_was_refused(program: Program, verdicts: Verdicts) -> None:
    verdict, _ = verdicts[program]
    requests = {run.name: run.requests for run in verdict.runs}
    for name in ("too-many-requests", "unavailable-once"):
        assert requests[name]["chat"] == requests["plain"]["chat"] + 1


def test_the_page_names_the_faults() -> None:
    page = PAGE.read_text(encoding="utf-8")
    listed = rows(page[page.index("| client") :])
    assert [(row["client"], row["breaks under"].strip("`")) for row in listed] == [
        (client, variant) for client, (variant, _) in FAULTS.items()
    ]
