"""Decide whether two requests are the same: by method, path, chosen headers and the body's value."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from typing import Any

from openpipe_mock.config.cassettes import USUAL_RULES, CassetteRules
from openpipe_mock.core.canonical import ordered
from openpipe_mock.core.pointers import pointer_step, steps_of
from openpipe_mock.core.wording import shown
from openpipe_mock.matching.conditions import Subject, regular_expression
from openpipe_mock.recording.recording import json_value

_MOST_LEAVES = 20_000
"""Values that two bodies are compared by, to name what differs."""
_WORD = re.compile(r"\w+")
_MOST_WORDS = 12


@dataclass(frozen=True)
class Asked:
    """A request, as recordings are matched to it.

    `endpoint`: its short name. `path`: below the base URL. `key`: the label of its key. `headers`: names in
    lower case.
    """

    endpoint: str
    method: str
    path: str
    key: str
    headers: Mapping[str, str]
    body: bytes

    @cached_property
    def value(self) -> Any:
        """The JSON value of the body; None where it is no JSON."""
        return json_value(self.body)

    @cached_property
    def subject(self) -> str:
        """What it is about in a few words: model or criterion, and the words of the last text."""
        found = Subject(self.endpoint, {}, self.value)
        name = found.body.get("criterion_id") or found.body.get("model") or ""
        text = found.output or found.last_user or next(iter(found.said_by("system", "developer")), "")
        words = _WORD.findall(f"{name if isinstance(name, str) else ''} {text[:500]}".lower())
        return " ".join(words[:_MOST_WORDS])


@dataclass(frozen=True)
class Identity:
    """Tells whether two requests are the same by these rules."""

    rules: CassetteRules = USUAL_RULES

    @cached_property
    def ignored(self) -> list[list[str]]:
        return list(map(steps_of, self.rules.ignore))

    @cached_property
    def patterns(self) -> list[Any]:
        return list(map(regular_expression, self.rules.ignore_text))

    @cached_property
    def digest(self) -> str:
        """A digest of these rules: an index that was made by others is no use."""
        return _digest(f"headers by value {self.rules!r}".encode())

    def of(self, asked: Asked) -> str:
        """A digest that is the same for requests that are the same, whoever's key they have."""
        headers = [_spelled_alike(asked.headers.get(name, "")) for name in self.rules.headers]
        head = [asked.method, asked.path, *headers]
        value = asked.value
        body = asked.body if value is None else ordered(self.comparable(value))
        return _digest(b"\x1f".join([*(part.encode("utf-8", "surrogatepass") for part in head), body]))

    def comparable(self, value: Any) -> Any:
        """A body's value without what doesn't count."""
        for steps in self.ignored:
            if steps[0] == "*" or steps[0] in value if isinstance(value, dict) else isinstance(value, list):
                value = _without(value, steps)
        return self._blanked(value) if self.patterns else value

    def _blanked(self, value: Any) -> Any:
        if isinstance(value, str):
            for pattern in self.patterns:
                value = pattern.sub("", value)
            return value
        if isinstance(value, list):
            return [self._blanked(item) for item in value]
        if isinstance(value, dict):
            return {key: self._blanked(member) for key, member in value.items()}
        return value


def _spelled_alike(header: str) -> str:
    """A header's text; of JSON, such as that of `op-criteria`, its value in one spelling."""
    value = json_value(header.encode("utf-8", "surrogatepass")) if header[:1] in ("[", "{") else None
    return header if value is None else ordered(value).decode()


def _digest(text: bytes) -> str:
    return blake2b(text, digest_size=16).hexdigest()


def _without(value: Any, steps: list[str]) -> Any:
    """A copy of a value without the members or items that the steps lead to."""
    step, *rest = steps
    if isinstance(value, dict):
        chosen = value.keys() if step == "*" else {step} & value.keys()
        kept = {key: member for key, member in value.items() if rest or key not in chosen}
        return {key: _without(member, rest) if key in chosen else member for key, member in kept.items()}
    if isinstance(value, list):
        chosen_items = [step in ("*", str(at)) for at in range(len(value))]
        pairs = zip(value, chosen_items, strict=True)
        return [_without(item, rest) if chosen else item for item, chosen in pairs if rest or not chosen]
    return value


def body_differences(before: Any, now: Any) -> Iterator[str]:
    """Where two bodies differ, a sentence each: the recorded value and the one of the request."""
    old, new = dict(_leaves(before)), dict(_leaves(now))
    for pointer in {**old, **new}:
        if pointer not in new:
            yield f"{pointer or 'body'}: recorded {shown(old[pointer])}, and it isn't there now"
        elif pointer not in old:
            yield f"{pointer or 'body'}: {shown(new[pointer])} is new"
        elif old[pointer] != new[pointer]:
            yield f"{pointer or 'body'}: recorded {shown(old[pointer])}, now {shown(new[pointer])}"


def _leaves(value: Any) -> Iterable[tuple[str, Any]]:
    """The values in a body that hold no others, with their JSON pointers; at most `_MOST_LEAVES`."""
    waiting: list[tuple[str, Any]] = [("", value)]
    found: list[tuple[str, Any]] = []
    while waiting and len(found) < _MOST_LEAVES:
        pointer, each = waiting.pop()
        if isinstance(each, dict) and each:
            inner = [(f"{pointer}/{pointer_step(key)}", member) for key, member in each.items()]
            waiting += reversed(inner)
        elif isinstance(each, list) and each:
            waiting += reversed([(f"{pointer}/{at}", item) for at, item in enumerate(each)])
        else:
            found.append((pointer, each))
    return found
