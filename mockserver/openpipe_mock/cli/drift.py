"""What `schemas diff` prints."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import attrgetter

from openpipe_mock.contract.touched import checks_touched, strategies_touched
from openpipe_mock.core.wording import counted, printable_lines
from openpipe_mock.openapi.drift import Breaks, ContractChange

_BROKEN: dict[Breaks, str] = {
    "clients": "clients",
    "servers": "servers",
    "both": "clients and servers",
    "nobody": "nobody",
}


def drift_text(found: Sequence[ContractChange]) -> str:
    """The changes of each operation, those that break somebody first, and how many there are."""
    return printable_lines("\n".join((*_lines(found), _summary(found))))


def _lines(found: Sequence[ContractChange]) -> Iterator[str]:
    for operation, group in groupby(sorted(found, key=attrgetter("operation")), attrgetter("operation")):
        yield operation
        for change in sorted(group, key=lambda each: [*_BROKEN].index(each.breaks)):
            yield f"  breaks {_BROKEN[change.breaks]:<19}  {change}"
            touched = (("checks", checks_touched(change)), ("strategies", strategies_touched(change)))
            told = [f"{what} {', '.join(names)}" for what, names in touched if names]
            if told and change.breaks != "nobody":
                yield f"{'':<28}  touches {'; '.join(told)}"
        yield ""


def _summary(found: Sequence[ContractChange]) -> str:
    if not found:
        return "nothing changed"
    numbers = Counter(each.breaks for each in found)
    parts = [
        f"{number} break{'s' if number == 1 else ''} {_BROKEN[breaks]}"
        for breaks in _BROKEN
        if (number := numbers[breaks])
    ]
    return f"{counted(len(found), 'change')}: {'; '.join(parts)}"


def drift_json(found: Sequence[ContractChange]) -> str:
    """The changes as a list of objects."""
    rows = [
        {
            "operation": each.operation,
            "part": each.part,
            "pointer": each.pointer,
            "change": each.told,
            "breaks": each.breaks,
            "checks": checks_touched(each),
            "strategies": strategies_touched(each),
        }
        for each in found
    ]
    return json.dumps(rows, indent=2)
