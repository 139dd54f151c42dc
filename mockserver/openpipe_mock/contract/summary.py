"""The contract suite's report as Markdown for the summary of a CI job."""

from collections.abc import Iterator

from openpipe_mock.contract.causes import Cause, causes
from openpipe_mock.contract.facts import by_state, left_out, tally, verdict
from openpipe_mock.contract.findings import Result
from openpipe_mock.core.levels import LEVELS
from openpipe_mock.core.wording import printable_lines, short

_MOST_LINES = 40
_MOST_NOTES = 5
_MOST_TOLD = 300
_WORDS = {"before": "as in the baseline", "reported": "only reported"}
_SIGNS = {"kept": "✅", "broken": "❌", "inconclusive": "❔"}


def report_summary(result: Result) -> str:
    """Markdown of at most 40 lines: verdict, counts, causes and what the budget left out."""
    found = causes(result)
    failing = [cause for cause in found if cause.failing]
    others = [cause for cause in found if not cause.failing]
    lines = [f"## {_SIGNS[result.verdict]} {_plain(verdict(result))}", ""]
    lines += [f"{_code(result.url)}, level {result.level}. {tally(result)}.", "", *_counts(result)]
    notes = [*result.open_questions, *result.remarks]
    lines += ["", *(f"- {_plain(note)}" for note in notes[:_MOST_NOTES])] if notes else []
    lines += [f"- {len(notes) - _MOST_NOTES} more notes"] if len(notes) > _MOST_NOTES else []
    last = ["", _plain(left_out(result))] if left_out(result) else []
    room = _MOST_LINES - len(lines) - len(last) - 2  # a blank line and the number of the rest
    told = [f"{number}. {_told(cause)}" for number, cause in enumerate(failing, 1)]
    told += [f"- {_WORDS.get(cause.standing, cause.standing)}: {_told(cause)}" for cause in others]
    rest = [f"- and {len(told) - room} more"] if len(told) > room else []
    return printable_lines("\n".join([*lines, "", *told[:room], *rest, *last]) + "\n")


def _counts(result: Result) -> Iterator[str]:
    yield f"| checks | {' | '.join(LEVELS)} |"
    yield f"| --- |{' --: |' * len(LEVELS)}"
    for state, counts in by_state(result):
        yield f"| {state} | {' | '.join(map(str, counts))} |"


def _told(cause: Cause) -> str:
    return f"{_code(cause.name)} ({cause.main.level}) {_plain(cause.sentence)}"


def _code(text: str) -> str:
    return f"`{' '.join(text.split()).replace('`', chr(39))}`"


def _plain(text: str) -> str:
    """A text as Markdown that shows it as it is, on one line."""
    line = short(" ".join(text.split()), _MOST_TOLD)
    return "".join(f"\\{sign}" if sign in "\\`*_{}[]<>#|~&!$" else sign for sign in line)
