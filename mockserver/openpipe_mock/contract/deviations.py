"""Deviations that fail nothing: those in a file of known ones, and those of an earlier run (baseline)."""

import datetime
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from openpipe_mock.contract.findings import Compared, Result, kept_deviations
from openpipe_mock.core import yamltext
from openpipe_mock.core.userfiles import MEBIBYTE, read_file

_MEMBERS = {"id", "reason", "expires"}
_DAYS = 90
"""Days after which a drafted entry expires."""
_OPEN = {"flaky", "unchecked"}
"""The states of checks of which a run can't tell whether they hold."""
_MOST_KNOWN_BYTES = MEBIBYTE
_MOST_BASELINE_BYTES = 64 * MEBIBYTE


class BadFile(Exception):
    """A file that can't be used; the message says where and why."""


@dataclass(frozen=True, slots=True)
class Known:
    """A deviation that fails nothing up to the day `expires`. `id` may have wildcards."""

    id: str
    reason: str
    expires: datetime.date

    def matches(self, name: str) -> bool:
        return fnmatchcase(name, self.id)


def read_known(path: Path) -> tuple[Known, ...]:
    """The entries of a file of known deviations. Raises BadFile."""
    try:
        entries = yamltext.read_yaml(read_file(path, _MOST_KNOWN_BYTES).data).value
    except OSError as error:
        raise BadFile(f"{path}: {error.strerror or error}") from None
    except yamltext.UnreadableYaml as error:
        raise BadFile(f"{path}:{error.mistakes[0]}") from None
    if not isinstance(entries, list):
        raise BadFile(f"{path}: expected a list of entries with id, reason and expires")
    return tuple(_entry(f"{path}: entry {number}", each) for number, each in enumerate(entries, 1))


def _entry(place: str, value: Any) -> Known:
    if not isinstance(value, dict) or set(value) != _MEMBERS:
        raise BadFile(f"{place}: expected exactly id, reason and expires")
    if not isinstance(value["id"], str) or not value["id"]:
        raise BadFile(f"{place}: the id is no text")
    if not isinstance(value["reason"], str) or not value["reason"].strip():
        raise BadFile(f"{place} ({value['id']}): the reason is empty; say why this deviation is accepted")
    return Known(value["id"], value["reason"], _date(f"{place} ({value['id']})", value["expires"]))


def _date(place: str, value: Any) -> datetime.date:
    try:
        return datetime.date.fromisoformat(str(value))
    except ValueError:
        raise BadFile(f"{place}: expires is no date such as 2030-12-31") from None


def applied(result: Result, known: Iterable[Known], today: datetime.date) -> Result:
    """The result with known deviations marked as known. Expired and unused entries become remarks."""
    entries = tuple(known)
    broken = [outcome.check.id for outcome in result.in_state("broken", "flaky")]
    alive = [each for each in entries if each.expires >= today]
    ids = [name for name in broken if any(each.matches(name) for each in alive)]
    told = (*result.remarks, *_remarks(entries, broken, today))
    return replace(kept_deviations(result, ids), remarks=told)


def _remarks(entries: Iterable[Known], broken: list[str], today: datetime.date) -> Iterator[str]:
    for each in entries:
        if each.expires < today:
            yield f"The known deviation {each.id} expired on {each.expires}; it counts again."
        elif not any(each.matches(name) for name in broken):
            yield f"The known deviation {each.id} was not seen; remove it, if this run checked it."


def draft(result: Result, today: datetime.date) -> str:
    """The text of a file with an entry for each broken check. A person has to write the reasons."""
    until = today + datetime.timedelta(days=_DAYS)
    lines = ["# Known deviations: write a reason for each, or delete it. Empty reasons are refused."]
    for outcome in result.deciding("broken"):
        sentence = " ".join(outcome.first.sentence.split())
        lines += [f"# {sentence}", f"- id: {outcome.check.id}", '  reason: ""', f"  expires: {until}"]
    return "\n".join([*lines, "" if len(lines) > 1 else "[]\n"])


def read_baseline(path: Path) -> Mapping[str, str]:
    """The states of the checks in an earlier run, written by `--json`, by their ids. Raises BadFile.

    A broken check that decided nothing there counts as kept.
    """
    try:
        value = json.loads(read_file(path, _MOST_BASELINE_BYTES).data.decode("utf-8"))
        states = {check["id"]: _state(check["state"], check["decides"]) for check in value["checks"]}
    except OSError as error:
        raise BadFile(f"{path}: {error.strerror or error}") from None
    except (ValueError, TypeError, KeyError):
        raise BadFile(f"{path}: expected the file that --json wrote") from None
    if set(states.values()) <= _OPEN:
        raise BadFile(f"{path}: that run checked nothing; name the file of one that did")
    return states


def _state(state: str, decides: bool) -> str:
    return "kept" if state == "broken" and not decides else str(state)


def against_baseline(result: Result, before: Mapping[str, str]) -> Result:
    """The result compared with an earlier run: only what that run had checked and did not find broken fails.

    What it left open fails nothing either.
    """
    now = [outcome.check.id for outcome in result.deciding("broken")]
    checked = {outcome.check.id for outcome in result.outcomes if outcome.state != "unchecked"}
    broken = sorted(name for name, state in before.items() if state == "broken")
    compared = Compared(
        new=tuple(name for name in now if before.get(name, "unchecked") not in ("broken", "unchecked")),
        gone=tuple(name for name in broken if name in checked and name not in now),
        unchanged=tuple(name for name in now if before.get(name) == "broken"),
        unknown=tuple(name for name in now if before.get(name, "unchecked") == "unchecked"),
        open=tuple(name for name, state in before.items() if state in _OPEN),
    )
    lost = [name for name in broken if name not in checked]
    told = [f"{name} was broken in the baseline and was not checked this time." for name in lost]
    return replace(result, compared=compared, remarks=(*result.remarks, *told))
