"""What is wrong with a server as a list of causes, the worst first.

A cause holds the outcomes that one remedy mends: a server that validates nothing breaks a hundred checks,
which is one cause, and so is a crash, however many checks it breaks. Reports have one block for each cause.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from openpipe_mock.contract.checks import family_of
from openpipe_mock.contract.findings import STANDINGS, Finding, Outcome, Result, Standing
from openpipe_mock.core.levels import LEVELS
from openpipe_mock.core.wording import counted

_REFUSAL = re.compile(
    r"\w+\.(rejects|errors|fuzz\.broken)\b|errors\.|criteria\.(malformed|unknown)$|chat\.stream\.errors$"
)
"""The checks that expect a refusal: whoever validates nothing breaks them all."""
_ERROR_FORM = re.compile(r"\w+\.error\.")
_SHAPE = ("chat.response.schema", "chat.stream.chunks")
"""Checks that see the same mistake, in an answer and in a stream."""
_CALLED = ("chat.tools.named", "chat.stream.tools")
"""Checks that say the same of a named tool that isn't called."""
_MOST_NAMES = 6
_CRASH, _UNVALIDATED = "crash", "unvalidated"


@dataclass(frozen=True, slots=True)
class Cause:
    """Outcomes with one reason, the one that tells most first.

    standing  the worst of their standings
    failing   how many of them fail the run
    kinds     family → how many of its members the run has checked
    """

    key: str
    standing: Standing
    outcomes: tuple[Outcome, ...]
    failing: int
    kinds: Mapping[str, int]

    @property
    def main(self) -> Outcome:
        """The outcome to show."""
        return self.outcomes[0]

    @property
    def name(self) -> str:
        """The id of the check or family to show."""
        return self._members()[0][0]

    @property
    def sentence(self) -> str:
        """What was seen, in a sentence."""
        name, members = self._members()[0]
        first = self.main.first.placed
        if len(members) == 1:
            return first
        kinds, part = counted(self.kinds[name], "kind"), self.main.check.id.removeprefix(f"{name}.")
        return f"{len(members)} of {kinds} are {self._done()}; first: {part}: {first}"

    def _done(self) -> str:
        """What the server did with the kinds of requests of a family."""
        if self.key == _CRASH:
            return "answered by a crash"
        return "accepted" if _REFUSAL.match(self.main.check.id) else "refused"

    @property
    def others(self) -> list[str]:
        """The other checks of this cause, a family as one name with its numbers."""
        return [
            each if len(members) == 1 else f"{each} ({len(members)} of {self.kinds[each]})"
            for each, members in self._members()[1:]
        ]

    @property
    def also(self) -> str:
        """The other checks in one line, of many the first."""
        rest = len(self.others) - _MOST_NAMES
        return ", ".join([*self.others[:_MOST_NAMES], *([f"{rest} more"] if rest > 0 else [])])

    def _members(self) -> list[tuple[str, list[Outcome]]]:
        """The outcomes by check or family. A family with one of its members goes by the member's id."""
        found: dict[str, list[Outcome]] = {}
        for outcome in self.outcomes:
            found.setdefault(_family(outcome), []).append(outcome)
        return [
            (members[0].check.id if len(members) == 1 else name, members) for name, members in found.items()
        ]

    @property
    def further(self) -> list[str]:
        """What else the shown check has seen, one sentence for each sort."""
        sorts: dict[str, Finding] = {_sort(self.main.first): self.main.first}
        for finding in self.main.findings if len(self._members()[0][1]) == 1 else ():
            if finding.kind == self.main.state:
                sorts.setdefault(_sort(finding), finding)
        return [finding.placed for finding in [*sorts.values()][1:]]

    @property
    def cases(self) -> int:
        """In how many cases it was seen."""
        return len({finding.case for outcome in self.outcomes for finding in outcome.findings})


def causes(result: Result) -> list[Cause]:
    """The causes of a result's findings, the worst first: answers and musts come before refusals."""
    kinds: dict[str, int] = {}
    for outcome in result.outcomes:
        kinds[_family(outcome)] = kinds.get(_family(outcome), 0) + (outcome.state != "unchecked")
    return sorted((_cause(key, found, result, kinds) for key, found in _groups(result)), key=_rank)


def _groups(result: Result) -> Iterator[tuple[str, list[Outcome]]]:
    """Each cause's key and outcomes. Where none of them fails, those of each standing are a cause."""
    groups: dict[str, dict[Standing, list[Outcome]]] = {}
    for outcome in result.outcomes:
        if outcome.findings:
            own = groups.setdefault(_key(outcome), {})
            own.setdefault(result.standing(outcome), []).append(outcome)
    for key, standings in groups.items():
        if "fails" in standings:
            yield key, [outcome for each in standings.values() for outcome in each]
        else:
            yield from ((key, each) for each in standings.values())


def _family(outcome: Outcome) -> str:
    family = family_of(outcome.check.id)
    return family.id if family else outcome.check.id


def _key(outcome: Outcome) -> str:
    """Outcomes with the same key have one cause."""
    check, first = outcome.check.id, outcome.first
    own = [each for each in outcome.findings if each.kind == outcome.state]
    if check.endswith(".no_5xx") or all(each.evidence and each.evidence.status >= 500 for each in own):
        return _CRASH
    if _REFUSAL.match(check) and (outcome.state == "lenient" or (first.evidence and first.evidence.ok)):
        return _UNVALIDATED
    if check in _SHAPE:
        return f"{first.pointer.rpartition('/')[2]} {first.sentence.rpartition(', got ')[2]}"
    return first.sentence if check in _CALLED else outcome.check.remedy


def _cause(key: str, outcomes: Iterable[Outcome], result: Result, kinds: Mapping[str, int]) -> Cause:
    def place(outcome: Outcome) -> tuple[int, bool, bool, int, int]:
        folded = key == _CRASH and not outcome.check.id.endswith(".no_5xx")
        alone = family_of(outcome.check.id) is None
        size = 0 if alone else outcome.first.size  # of a family's members, the smallest request tells most
        return STANDINGS.index(result.standing(outcome)), folded, alone, LEVELS.index(outcome.level), size

    ordered = tuple(sorted(outcomes, key=place))
    failing = sum(result.standing(outcome) == "fails" for outcome in ordered)
    return Cause(key, result.standing(ordered[0]), ordered, failing, kinds)


def _rank(cause: Cause) -> tuple[int, int, bool, int]:
    """The sort key of a cause. Equal ones stay in the catalogue's order."""
    check = cause.main.check
    kind = 2 if _REFUSAL.match(check.id) and cause.key != _CRASH else 1 if _ERROR_FORM.match(check.id) else 0
    must = any(outcome.check.must for outcome in cause.outcomes) and cause.key != _CRASH
    return STANDINGS.index(cause.standing), kind, not must, LEVELS.index(cause.main.level)


def _sort(finding: Finding) -> str:
    """What findings of one sort have in common: pointer and sentence without numbers."""
    return re.sub(r"-?\d+(\.\d+)?", "#", finding.placed)
