"""docs/mutants.md: every one-bug server and the check that finds it.

`python -m tests.mutants_page` runs the contract suite against all of them, on two processes, and
writes the page anew; it fails when a server survives. The tests hold the page against the code, and against
a part of the runs.
"""

import logging
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from multiprocessing import get_context
from pathlib import Path

from openpipe_mock.contract.checks import decides, find
from openpipe_mock.contract.run import family_members
from openpipe_mock.contract.target import RunOptions
from tests.reference.killing import found, killed
from tests.reference.mutants import DEVIANTS, mutants
from tests.reference.mutation import Mutant
from tests.reference.server import Reference
from tests.reference.serving import live

PAGE = Path(__file__).parents[2] / "docs" / "mutants.md"
PROCESSES = 2
FOUND, MISSED = "yes", "only `--thorough`"
ROW = re.compile(
    rf"^\| `(?P<name>[^`]+)` \| .* \| `[^`]+`.* \| (?P<found>{FOUND}|{MISSED}) \|$", re.MULTILINE
)

HEAD = """\
# One-bug servers

What is the contract suite worth? Here are {total} servers that keep the contract but for one bug, and the
check that has to find each: when it is asked for alone (`--only ID`), it finds every one of them. A default
run, which is told nothing and sends at most 400 requests, finds **{found} of {total} ({share:.1f} %)** by the
very check meant for it; `--thorough` finds the others. {checks} ids have a server to find, so none of those
checks can only pass.

*Reported only* is a bug that breaks no client and no published page: it is told, and fails no run at the
default level.

`make mutants` runs the suite against all of them and writes this page.

| server | its bug | found by | in a default run |
| --- | --- | --- | --- |
"""
REPORTED_ONLY = ", reported only"
"""Said of a bug that fails no run at the default level."""

DEVIANTS_HEAD = """
# Correct servers that are reported

These keep what is documented and what the clients rely on, and differ from this project's own decisions.
They are reported, as a deviation or as lenient, and never fail a run at the default level.

| server | its habit | reported by |
| --- | --- | --- |
"""


def page(caught: Mapping[str, bool]) -> str:
    """The page. `caught`: server → whether a default run finds its bug."""
    total, hits = len(mutants()), sum(caught.values())
    head = HEAD.format(
        total=total, found=hits, share=100 * hits / total, checks=len({each.kills for each in mutants()})
    )
    rows = [f"{row(each, remark(each))} {FOUND if caught[each.name] else MISSED} |\n" for each in mutants()]
    return "".join((head, *rows, DEVIANTS_HEAD, *(f"{row(deviant)}\n" for deviant in DEVIANTS)))


def row(mutant: Mutant, said: str = "") -> str:
    return f"| `{mutant.name}` | {mutant.note.replace('|', '&#124;')} | `{mutant.kills}`{said} |"


def remark(mutant: Mutant) -> str:
    return REPORTED_ONLY if is_reported_only(mutant) else ""


def is_reported_only(mutant: Mutant) -> bool:
    level = mutant.level or members().get(mutant.kills) or find(mutant.kills).level
    return not decides(level, RunOptions().level)


@cache
def members() -> Mapping[str, str]:
    """The ids of the families' members and their levels."""
    return family_members()


def recorded(text: str) -> dict[str, bool]:
    """What a page says of default runs: server → whether its bug is found."""
    return {match["name"]: match["found"] == FOUND for match in ROW.finditer(text)}


def outcomes(names: Iterable[str]) -> Iterator[tuple[str, bool, bool]]:
    """For each of these servers its name, whether its check kills it, alone and in a whole run, and whether a
    default run is enough.
    """
    logging.disable()  # the servers that hang up are told of in tracebacks
    wanted = set(names)
    with live(Reference()) as stage:
        for mutant in mutants():
            if mutant.name in wanted:
                caught = found(mutant, stage)
                whole = caught or found(mutant, stage, thorough=True)
                yield mutant.name, whole and killed(mutant, stage), caught


def part(names: list[str]) -> list[tuple[str, bool, bool]]:
    return list(outcomes(names))


def main() -> int:
    """Run the suite against all, write the page. 1 when a server survives."""
    names = [mutant.name for mutant in mutants()]
    parts = [names[number::PROCESSES] for number in range(PROCESSES)]
    with ProcessPoolExecutor(PROCESSES, get_context("spawn")) as pool:
        told = [outcome for outcomes in pool.map(part, parts) for outcome in outcomes]
    survivors = [name for name, dead, _ in told if not dead]
    PAGE.write_text(page({name: caught for name, _, caught in told}), "utf-8")
    print(f"{len(told) - len(survivors)} of {len(told)} were found. See {PAGE.name}.")
    for name in survivors:
        print(f"survives: {name}", file=sys.stderr)
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
