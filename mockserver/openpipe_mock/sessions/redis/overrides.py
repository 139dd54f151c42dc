"""Writes overrides to Redis and reads them again, as the JSON that was sent and the place that it got.

Each mock builds from it the same parts that the config file would. Of versions that a criterion has from the
file, Redis only keeps that they come from there; each mock takes its own.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from openpipe_mock.answers.scorers import Declared, Form
from openpipe_mock.answers.scripts import Script
from openpipe_mock.config import file as configfile
from openpipe_mock.config.limits import Limits
from openpipe_mock.config.project import Dataset, Model, Project
from openpipe_mock.config.settings import Settings, Unknown
from openpipe_mock.faults.fault import Fault
from openpipe_mock.sessions.memory import NOTHING, SessionOverrides
from openpipe_mock.sessions.redis.codec import ForeignData, decode_made, encode_made

Json = Any
_Order = list[Any]
"""A command for Redis: its name, the suffix of the key, and the arguments."""


@dataclass(frozen=True, slots=True)
class _Source:
    """Where a part comes from: its JSON and place, and its version if it is one of a criterion's forms."""

    # `part` itself is kept so that no other object gets its `id` while the source is known.

    part: Any
    json: Json
    place: str = ""
    version: int | None = None

    def value(self) -> Json:
        return {"json": self.json, "place": self.place, "version": self.version}


@dataclass(slots=True)
class Sources:
    """The sources of parts, by identity: equal parts may come from different places."""

    known: dict[int, _Source] = field(default_factory=dict)

    def add(self, part: Any, json: Json, place: str) -> None:
        """Note that a part, and each version of a criterion, was built from this JSON."""
        self.known[id(part)] = _Source(part, json, place)
        if isinstance(part, Declared):
            for number, form in part.versions.items():
                self.known[id(form)] = _Source(form, json, place, number)

    def text(self, part: Any) -> str:
        """Return the source of a part as a JSON text, "null" where it comes from the file."""
        source = self.known.get(id(part))
        return orjson.dumps(source.value() if source else None).decode()

    def criterion(self, declared: Declared) -> str:
        """Return the sources of a criterion's versions as a JSON text."""
        versions = {number: self.known.get(id(form)) for number, form in declared.versions.items()}
        value = {str(number): source and source.value() for number, source in versions.items()}
        return orjson.dumps(value).decode()


# Writing.


def orders(sources: Sources, before: SessionOverrides, changes: Mapping[str, Any]) -> Iterator[_Order]:
    """Yield the commands for Redis that make these changes of overrides.

    `before`: the overrides that they change. `changes`: fields of SessionOverrides → new values.
    """
    # Only what differs is written, since other mocks may change something else meanwhile.
    for name, value in changes.items():
        if name == "criteria":
            yield from _criteria_orders(sources, before.criteria, value)
        elif name == "limits":
            command: _Order = ["HDEL", "facts", "limits"]
            yield command if value is None else ["HSET", "facts", "limits", sources.text(value)]
        elif name == "project":
            yield from _project_orders(before.project, value)
        elif name == "unknown_criteria":
            yield ["HDEL", "facts", name] if value is None else ["HSET", "facts", name, value]
        else:
            yield from _rule_orders(sources, name, getattr(before, name), value)


def _criteria_orders(
    sources: Sources, before: Mapping[str, Declared], after: Mapping[str, Declared]
) -> Iterator[_Order]:
    for name in before.keys() - after.keys():
        yield ["HDEL", "criteria", name]
    for name, declared in after.items():
        if before.get(name) is not declared:
            yield ["HSET", "criteria", name, sources.criterion(declared)]


def _project_orders(before: Project, after: Project) -> Iterator[_Order]:
    for key in before.datasets.keys() - after.datasets.keys():
        yield ["HDEL", "datasets", key]
        yield ["HDEL", "entries", key]
    for key, dataset in after.datasets.items():
        old = before.datasets.get(key)
        if old is None:
            yield ["HSET", "datasets", key, encode_made(dataset)]
        elif dataset.entries != old.entries:  # counted there, since others may add entries meanwhile
            yield ["HINCRBY", "entries", key, dataset.entries - old.entries]
    for slug, model in after.models.items():
        if before.models.get(slug) != model:
            yield ["HSET", "models", slug, encode_made(model)]


def _rule_orders(
    sources: Sources, name: str, before: Sequence[Script | Fault], after: Sequence[Script | Fault]
) -> Iterator[_Order]:
    new = after[: len(after) - len(before)] if after else ()
    if not new:
        yield ["DEL", name]
    for rule in reversed(new):
        yield ["LPUSH", name, sources.text(rule)]


# Reading.


@dataclass(frozen=True, slots=True)
class Stored:
    """What Redis holds of a session's overrides, as JSON texts."""

    version: bytes
    criteria: Mapping[bytes, bytes]
    completions: Sequence[bytes]
    faults: Sequence[bytes]
    limits: bytes
    unknown_criteria: bytes
    datasets: Mapping[bytes, bytes]
    models: Mapping[bytes, bytes]
    entries: Mapping[bytes, bytes]

    def built(self, base: Settings) -> tuple[SessionOverrides, Sources]:
        """Build the overrides and their sources. `base`: the mock's own settings. Raises ForeignData."""
        sources = Sources()
        try:
            criteria = {
                name.decode(): _criterion(sources, orjson.loads(text), base.criteria.get(name.decode()))
                for name, text in self.criteria.items()
            }
            overrides = SessionOverrides(
                {name: declared for name, declared in criteria.items() if declared.versions},
                tuple(
                    _built(sources, configfile.parse_script, orjson.loads(text)) for text in self.completions
                ),
                tuple(_built(sources, configfile.parse_fault, orjson.loads(text)) for text in self.faults),
                _built(sources, _limits, orjson.loads(self.limits)) if self.limits else None,
                _UNKNOWN[self.unknown_criteria],
                self.project(),
            )
        except (LookupError, TypeError, ValueError, AttributeError):
            raise ForeignData from None
        return (NOTHING if overrides == NOTHING else overrides), sources

    def project(self) -> Project:
        """What clients have made. Raises ForeignData, and ValueError for a count that is none."""
        datasets = (decode_made(text, Dataset) for text in self.datasets.values())
        models = (decode_made(text, Model) for text in self.models.values())
        return Project(
            {each.id: replace(each, entries=int(self.entries.get(each.id.encode(), 0))) for each in datasets},
            {each.slug: each for each in models},
        )


_UNKNOWN: Mapping[bytes, Unknown | None] = {b"": None, b"judge": "judge", b"not_found": "not_found"}


def _criterion(sources: Sources, stored: Json, file: Declared | None) -> Declared:
    versions: dict[int, Form] = {}
    for number, source in sorted((int(number), source) for number, source in stored.items()):
        if source is not None:
            versions[number] = _form(sources, source)
        elif file and number in file.versions:
            versions[number] = file.versions[number]
    return Declared(versions)


def _form(sources: Sources, source: Json) -> Form:
    built = _built(sources, configfile.parse_criterion, source)
    return built.versions[source["version"]] if isinstance(built, Declared) else built


def _limits(value: Json, *, place: str) -> Limits:
    return configfile.parse_limits(value)  # they have no place


def _built(sources: Sources, parse: Any, source: Json) -> Any:
    part = parse(source["json"], place=source["place"])
    sources.add(part, source["json"], source["place"])
    return part
