"""Reads the config file into settings, and single parts of it, as the control API sets them.

`schemas/config.schema.json` checks the shape. The functions that build the parts (`answers/`, `faults/`,
`matching/`) check what no schema can say. All mistakes are reported at once: those of the shape, others in
parts whose shape is right, and those in the conditions of all parts.
"""

import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from itertools import islice
from os import PathLike
from typing import Any, TypeVar

import jsonschema_rs
import orjson

from openpipe_mock.answers.pace import read_pace
from openpipe_mock.answers.scorers import Declared, Form, declared, read_criterion
from openpipe_mock.answers.scripts import Script, read_answer, read_script
from openpipe_mock.config.auth import read_keys, without_keys
from openpipe_mock.config.cassettes import read_cassette
from openpipe_mock.config.limits import Limits, read_limits
from openpipe_mock.config.settings import Settings
from openpipe_mock.core import yamltext
from openpipe_mock.core.errors import Violation
from openpipe_mock.core.reading import At
from openpipe_mock.core.resources import folder
from openpipe_mock.core.seeded import ANSWERS
from openpipe_mock.core.userfiles import read_file
from openpipe_mock.core.wording import JSON_NOUNS, YAML_NOUNS, printable, shown
from openpipe_mock.core.yamltext import MOST_FILE_BYTES, Mistake, UnreadableYaml, YamlDocument
from openpipe_mock.faults.fault import Fault, read_fault
from openpipe_mock.matching.conditions import When, check_condition, check_conditions, read_when
from openpipe_mock.openapi.violations import DIALECT, SchemaPlace, violations_of

Json = Any
_Part = TypeVar("_Part")
_FILE = "the file"

DEFAULT_FILE = "openpipe-mock.yaml"
FILE_NAMES = (DEFAULT_FILE, "openpipe-mock.yml")
"""Names of a config file that is found in the working folder without being named."""
MOST_MISTAKES = 500
"""How many mistakes are listed at most."""


class Mistakes(ValueError):
    """Raised for a part of a config. `violations`: all that is wrong; their pointers start at the part."""

    def __init__(self, violations: Iterable[Violation]) -> None:
        self.violations = tuple(violations)
        super().__init__(*self.violations)

    def __str__(self) -> str:
        return "\n".join(map(str, self.violations))


class ConfigError(ValueError):
    """Raised for a config file. `mistakes`: all that is wrong, by place; its text has a line for each."""

    def __init__(self, name: str, mistakes: Iterable[Mistake]) -> None:
        self.name = name
        self.mistakes = tuple(sorted(mistakes, key=lambda mistake: (mistake.line, mistake.column)))
        super().__init__(name, self.mistakes)

    def __str__(self) -> str:
        lines = [f"{printable(self.name)}:{mistake}" for mistake in self.mistakes[:MOST_MISTAKES]]
        more = ["and more; correct these first."] if len(self.mistakes) > MOST_MISTAKES else []
        return "\n".join(lines + more)


class TwoFiles(Exception):
    """Raised where the working folder has a config file under both names: edits of one would be lost."""

    def __str__(self) -> str:
        kept, other = FILE_NAMES
        return f"{kept} and {other} are both here; remove {other}, or name the file that is meant"


@dataclass
class ConfigFile:
    """The state of the file that the settings come from.

    `path`: "" without a file. `loads`: how often it was read without mistakes. `problems`: the mistakes of
    its newest version, which is then not in force. `missing`: it is gone. `seen`: the fingerprint of its
    bytes when it was read last. `lasting`: it can be read again, unlike a pipe.
    """

    path: str = ""
    loads: int = 0
    problems: tuple[str, ...] = ()
    missing: bool = False
    seen: bytes = b""
    lasting: bool = True


def default_file() -> str:
    """Return the name of the config file in the working folder, "" without one. Raises TwoFiles."""
    there = [name for name in FILE_NAMES if os.path.lexists(name)]
    if len(there) > 1:
        raise TwoFiles
    return there[0] if there else ""


def load_settings(path: str | PathLike[str]) -> Settings:
    """Read the settings from the file at a path. Raises OSError, ConfigError."""
    return read_config(read_file(path, MOST_FILE_BYTES).data, os.fspath(path))


def read_config(data: bytes, name: str = DEFAULT_FILE) -> Settings:
    """Read the settings from the bytes of a config file; an empty one gives the defaults.

    `name`: what errors call the file. Raises ConfigError.
    """
    try:
        document = yamltext.read_yaml(data)
    except UnreadableYaml as error:
        unread = {mistake.pointer for mistake in error.mistakes}
        unread.update(error.document.unread() if error.document else ())
        further = _mistakes(error.document) if error.document else ()
        others = [mistake for mistake in further if mistake.pointer not in unread]
        first = [_discreet(mistake, _TOLD) for mistake in error.mistakes]
        raise ConfigError(name, [*first, *map(_discreet, others)]) from None
    try:
        return settings({} if document.value is None else document.value)
    except Mistakes as error:
        found = [_placed(violation, document) for violation in error.violations]
        raise ConfigError(name, map(_discreet, found)) from None


def settings(value: Json) -> Settings:
    """Build the settings from the value of a whole config. Raises Mistakes."""
    return _parsed("", _FILE, value, "", _whole_file)


def parse_criterion(value: Json, *, place: str) -> Declared | Form:
    """Build a criterion: its form or, where it has versions, all of them.

    `place`: the JSON pointer in the file where it stands or would stand. Raises Mistakes.
    """
    return _parsed("criterion", "the criterion", value, place, read_criterion)


def parse_script(value: Json, *, place: str) -> Script:
    """Build a scripted answer. `place`: its JSON pointer. Raises Mistakes."""
    return _parsed("script", "the script", value, place, read_script)


def parse_answer(value: Json, *, place: str) -> Script:
    """Build an answer, as an item of a sequence says it: a text, or what is said. Raises Mistakes."""
    said = {"text": value} if isinstance(value, str) else value
    return _parsed("answer", "the answer", said, place, read_answer)


def parse_form(value: Json, *, place: str) -> Form:
    """Build a form of a criterion, of which a number is the score. Raises Mistakes."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return _parsed("form", "the score", {"score": value} if is_number else value, place, Form.read)


def parse_fault(value: Json, *, place: str) -> Fault:
    """Build a fault. `place`: its JSON pointer. Raises Mistakes."""
    return _parsed("fault", "the fault", value, place, read_fault)


def parse_limits(value: Json) -> Limits:
    """Build the limits of each key. Raises Mistakes."""
    return _parsed("limits", "the limits", value, "", read_limits)


def parse_when(value: Json) -> When:
    """Build the conditions on a request. Raises Mistakes."""
    return _parsed("when", "the condition", value, "", read_when)


@cache
def schema() -> dict[str, Any]:
    """Return the JSON schema of the config file (`schemas/config.schema.json`)."""
    document: dict[str, Any] = orjson.loads((folder("schemas") / "config.schema.json").read_bytes())
    return document


@cache
def part_schema(part: str) -> dict[str, Any]:
    """Return the schema of a part by its name in `$defs`, "" for the whole file."""
    return {"$ref": f"#/$defs/{part}"} if part else schema()


@cache
def shape_validator(part: str) -> Any:
    """Return the validator of a part's schema."""
    return jsonschema_rs.validator_for({"$schema": DIALECT, "$defs": schema()["$defs"], **part_schema(part)})


@cache
def _start(noun: str) -> SchemaPlace:
    nouns = YAML_NOUNS if noun == _FILE else JSON_NOUNS
    return SchemaPlace(schema(), noun=noun, nouns=nouns)


def _shape_violations(part: str, noun: str, value: Json) -> list[Violation]:
    """The violations of a part's schema, at most one more than are listed."""
    if shape_validator(part).is_valid(value):
        return []
    return list(islice(violations_of(part_schema(part), value, _start(noun)), MOST_MISTAKES + 1))


def _parsed(part: str, noun: str, value: Json, prefix: str, build: Callable[[Json, At], _Part]) -> _Part:
    """Check a part's shape and build it. Raises Mistakes with all that is wrong.

    `part`: its name in `$defs`, "" for the whole file. `noun`: what sentences call it. `prefix`: its place in
    the file.
    """
    wrong = _shape_violations(part, noun, value)
    if wrong and (part or not isinstance(value, dict) or len(wrong) > MOST_MISTAKES):
        inside = At(prefix)
        (check_condition if part == "when" else check_conditions)(value, inside)
        raise Mistakes([*wrong, *inside.found])
    at = At(prefix, broken=frozenset(where for violation in wrong for where in _spoiled(violation.pointer)))
    built = build(value, at)
    if wrong or at.found:
        raise Mistakes([*wrong, *at.found])
    return built


def _spoiled(pointer: str) -> Iterator[str]:
    """The pointer of the part that a wrong shape makes unfit for building.

    That is a section (`/stream`), or the item of a section that is a list (`/faults/3`); its other items are
    still built.
    """
    _, section, *rest = pointer.split("/")
    yield f"/{section}/{rest[0]}" if rest and section in _LISTED else f"/{section}"


_LISTED = ("criteria", "completions", "faults")
"""Sections whose items are built one by one."""


_AUTH = "/auth"
_AUTH_KEYS = re.compile("keys|read_only_keys")
_INDEX = re.compile("[0-9]{1,4}")
_TOLD = "this is not read; write a list of plain keys. What stands here isn't repeated, as it may be a key."


def _discreet(mistake: Mistake, sentence: str = "") -> Mistake:
    """Return the mistake without the content of `auth`, which may be a key.

    `sentence`: replaces the sentence of a mistake in `auth`.
    """
    if mistake.pointer != _AUTH and not mistake.pointer.startswith(f"{_AUTH}/"):
        return mistake
    _, auth, *steps = mistake.pointer.split("/")[:4]
    known = (_AUTH_KEYS.fullmatch, _INDEX.fullmatch)
    plain = [step if fits(step) else "***" for step, fits in zip(steps, known, strict=False)]
    return replace(mistake, pointer="/".join(("", auth, *plain)), sentence=sentence or mistake.sentence)


def _mistakes(document: YamlDocument) -> list[Mistake]:
    """The mistakes in the content of a document, of which some keys may not have been read."""
    try:
        settings({} if document.value is None else document.value)
    except Mistakes as error:
        return [_placed(violation, document) for violation in error.violations]
    return []


def _placed(violation: Violation, document: YamlDocument) -> Mistake:
    return Mistake(*document.place(violation.pointer), violation.pointer, violation.sentence)


# The whole file.


def _whole_file(value: Json, at: At) -> Settings:
    """Build the settings from the parts whose shape is right, and note in `at` what else is wrong.

    Where a part is missing because of its shape, `_parsed` raises and nobody gets these settings.
    """
    fit = {name: member for name, member in value.items() if at.at(name).sound()}
    fit.pop("version", None)
    sections = {name: fit[name] for name in ("auth", "models", "stream", "cassette") if name in fit}
    sections["auth"] = without_keys(sections.get("auth", {}))
    keys, models = read_keys(fit.pop("auth", {}), at.at("auth")), fit.pop("models", {})
    return Settings(
        answers=_generation(fit.pop("answers", ANSWERS), at.at("answers")),
        seed=int(fit.pop("seed", 0)),
        keys=keys["keys"],
        read_only_keys=keys["read_only_keys"],
        criteria={
            name: declared(read_criterion(part, here)) for name, part, here in _parts(fit, "criteria", at)
        },
        completions=tuple(read_script(part, here) for _, part, here in _parts(fit, "completions", at)),
        known_models=tuple(models.get("known", ())),
        model_status=models.get("status", "DEPLOYED"),
        pace=read_pace(fit.pop("stream", {}), at.at("stream")),
        cassette=read_cassette(fit.pop("cassette", {}), at.at("cassette")),
        limits=read_limits(fit.pop("limits", {}), at.at("limits")),
        faults=tuple(read_fault(part, here) for _, part, here in _parts(fit, "faults", at)),
        sections=sections,
        **fit,  # what is left has the name of its setting, and becomes it unchanged
    )


def _parts(fit: dict[str, Json], section: str, at: At) -> Iterator[tuple[str, Json, At]]:
    """Yield name, value and place of each item of a section whose shape is right; take the section out.

    Of the others only the conditions are checked.
    """
    given = fit.pop(section, {})
    for name, part in given.items() if isinstance(given, dict) else enumerate(given):
        here = at.at(section, name)
        if here.sound():
            yield str(name), part, here
        else:
            check_conditions(part, here)


def _generation(value: Json, at: At) -> int:
    if value > ANSWERS:
        told = f"expected at most {ANSWERS}, the newest answers that this release knows, got {shown(value)}"
        at.wrong("answers", f"{told}; take {ANSWERS}, or upgrade openpipe-mock.")
    return int(value)
