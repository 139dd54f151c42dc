"""Deviations that fail nothing: those in a file of known ones, and those of an earlier run (baseline)."""

import datetime
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from openpipe_mock.contract.checks import catalogue, covers, family_of, no_such_check
from openpipe_mock.contract.findings import Compared, Outcome, Result, kept_deviations
from openpipe_mock.core import yamltext
from openpipe_mock.core.userfiles import MEBIBYTE, read_file
from openpipe_mock.core.wording import printable

_MEMBERS = ("id", "reason", "expires")
_DAYS = 90
"""Days after which a drafted entry expires."""
_MOST_ALONE = 3
"""Members of one family that a draft names; more of them get one pattern."""
_OPEN = {"flaky", "unchecked"}
"""The states of checks of which a run can't tell whether they hold."""
_MOST_KNOWN_BYTES = MEBIBYTE
_MOST_BASELINE_BYTES = 64 * MEBIBYTE


class BadFile(Exception):
    """A file that can't be used; the message says where and why."""


@dataclass(frozen=True, slots=True)
class Known:
    """A deviation that fails nothing up to the day `expires`. `id` may have wildcards or be a family's."""

    id: str
    reason: str
    expires: datetime.date

    def matches(self, name: str) -> bool:
        return covers(self.id, name)

    @property
    def excuse(self) -> str:
        return f"known until {self.expires}: {self.reason}"


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
    if not isinstance(value, dict) or set(value) - {*_MEMBERS}:
        raise BadFile(f"{place}: expected id, reason and expires, and nothing else")
    missing = [name for name in _MEMBERS if name not in value]
    if missing:
        raise BadFile(f"{place}: {' and '.join(missing)} is missing")
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


def refuse_unknown_ids(path: Path, known: Iterable[Known], members: Callable[[], Iterable[str]]) -> None:
    """Raise BadFile for an entry that fits no check. `members`: the ids of the families' members, which take
    time to find out."""
    for number, each in enumerate(known, 1):
        if any(covers(each.id, name) for name in catalogue()):
            continue
        names = [*members()] if _may_be_member(each.id) else []
        if not any(covers(each.id, name) for name in names):
            raise BadFile(f"{path}: entry {number}: {no_such_check(each.id, names)}")


def _may_be_member(pattern: str) -> bool:
    return family_of(pattern) is not None or any(sign in pattern for sign in "*?[")


def applied(result: Result, known: Iterable[Known], today: datetime.date) -> Result:
    """The result with known deviations marked as known. Expired and unused entries become remarks."""
    entries = tuple(known)
    broken = [outcome.check.id for outcome in result.in_state("broken", "flaky")]
    alive = [each for each in entries if each.expires >= today]
    excuses = {name: each.excuse for each in reversed(alive) for name in broken if each.matches(name)}
    told = (*result.remarks, *_remarks(entries, broken, today))
    return replace(kept_deviations(result, excuses), remarks=told)


def _remarks(entries: Iterable[Known], broken: list[str], today: datetime.date) -> Iterator[str]:
    for each in entries:
        if each.expires < today:
            yield f"The known deviation {each.id} expired on {each.expires}; it counts again."
        elif not any(each.matches(name) for name in broken):
            yield f"The known deviation {each.id} was not seen; remove it, if this run checked it."


def draft(result: Result, today: datetime.date) -> str:
    """The text of a file that makes all that is broken known. A person has to write the reasons."""
    until = today + datetime.timedelta(days=_DAYS)
    lines = ["# Known deviations: say why each is accepted, or delete it."]
    for name, outcomes in _patterns(result.deciding("broken")).items():
        many = f"{len(outcomes)} checks; first: " if len(outcomes) > 1 else ""
        sentence = " ".join(outcomes[0].first.sentence.split())
        lines.append("# " + printable(many + sentence))
        lines += [
            f"- id: {name}",
            f"  reason: Drafted on {today}, nobody has looked into it yet.",
            f"  expires: {until}",
        ]
    return "\n".join([*lines, "" if len(lines) > 1 else "[]\n"])


def _patterns(outcomes: Iterable[Outcome]) -> dict[str, list[Outcome]]:
    """The outcomes by the id or pattern that a draft has for them."""
    families: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        family = family_of(outcome.check.id)
        families.setdefault(f"{family.id}.*" if family else outcome.check.id, []).append(outcome)
    found: dict[str, list[Outcome]] = {}
    for name, members in families.items():
        alone = len(members) <= _MOST_ALONE
        found.update({each.check.id: [each] for each in members} if alone else {name: members})
    return found


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
