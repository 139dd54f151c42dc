"""Writes the settings of a running mock as a config file, with which another mock answers the same."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from openpipe_mock.answers.scorers import Declared, Form
from openpipe_mock.config.auth import variables
from openpipe_mock.config.settings import Overrides, Settings
from openpipe_mock.core.secrets import MASK, key_mask, secret_headers
from openpipe_mock.core.wording import printable
from openpipe_mock.core.yamlwriting import yaml_lines

Json = Any


def exported(settings: Settings, *, in_test: bool = False, recordings: str = "") -> Iterator[str]:
    """The lines of the file, of which comments say what no file can hold. It has no keys and no secrets.

    `in_test`: see `Settings.refuses_unscripted`. `recordings`: what answers first, in words.
    """
    members, mask = _members(settings, in_test), key_mask((*settings.keys, *settings.read_only_keys))
    shown = _without_secrets(members, mask)
    if shown != members:
        yield f"# {MASK} stands for a secret; write it anew."
    for sentence in _sentences(settings, recordings):
        yield f"# {printable(mask(sentence))}"
    yield from yaml_lines(shown)


def _members(settings: Settings, in_test: bool) -> Json:
    """The content of the file. What may differ from release to release is written out."""
    plain = {name: getattr(settings, name) for name in Overrides.__annotations__ if name != "variant"}
    unscripted = "refuse" if settings.refuses_unscripted(in_test=in_test) else settings.unscripted
    unknown = "judge" if settings.judges_unknown else "not_found"
    plain |= {"answers": settings.given_answers, "unknown_criteria": unknown, "unscripted": unscripted}
    parts = {
        **settings.sections,
        "criteria": dict(_criteria(settings.criteria)),
        "completions": [script.source for script in settings.completions if not _function(script)],
        "limits": {name: each for name, each in _limits(settings) if each is not None},
        "faults": [fault.source for fault in settings.faults],
    }
    return {
        "version": 1,
        **{name: value for name, value in (plain | parts).items() if value not in _LEFT_OUT},
    }


_LEFT_OUT: tuple[Json, ...] = (None, {}, [])


def _without_secrets(value: Json, mask: Callable[[str], str]) -> Json:
    """The value with the mask in place of keys, in whatever text, and of the values of secret headers."""
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, list):
        return [_without_secrets(item, mask) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        mask(name): _without_secrets(_header_values(member) if name in _HEADERS else member, mask)
        for name, member in value.items()
    }


_HEADERS = ("header", "headers")
"""Keys under which headers stand, in conditions and in answers."""


def _header_values(value: Json) -> Json:
    if not isinstance(value, dict):
        return value
    return {name: MASK if secret_headers((name.lower().encode(),)) else each for name, each in value.items()}


def _limits(settings: Settings) -> Iterator[tuple[str, int | None]]:
    yield "requests_per_minute", settings.limits.requests_per_minute
    yield "concurrent", settings.limits.concurrent


def _criteria(criteria: Mapping[str, Declared]) -> Iterator[tuple[str, Json]]:
    for name, declared in criteria.items():
        forms = {version: form.source for version, form in _written(declared)}
        if forms.keys() == {1}:
            yield name, forms[1]
        elif forms:
            yield name, {f"v{version}": form for version, form in forms.items()}


def _written(declared: Declared) -> Iterator[tuple[int, Form]]:
    """The versions of a criterion that a file can hold."""
    yield from ((version, form) for version, form in declared.versions.items() if not _function(form.scorer))


def _function(part: Any) -> str:
    """The test's function that a script or a scorer asks, in words; "" without one."""
    return str(getattr(part, "function", None) or "")


def _sentences(settings: Settings, recordings: str) -> Iterator[str]:
    """What the file doesn't say, and what has to be there before a mock reads it."""
    keys = variables(settings.sections.get("auth", {}))
    if keys:
        yield f"No key stands here. Set these before a mock reads this file: {', '.join(keys)}"
    if recordings:
        yield f"Recordings answer first, which no key says: {recordings}"
    made = settings.project
    if made.datasets or made.models:
        yield "The datasets and models that clients made or deleted aren't here: no key says them."
    for name, declared in settings.criteria.items():
        for version, form in declared.versions.items():
            if told := _function(form.scorer):
                yield f"{name}@v{version} is judged by a function, which no file can hold: {told}"
    for script in settings.completions:
        if told := _function(script):
            yield f"The script {script} answers by a function, which no file can hold: {told}"
    if settings.max_body_bytes != Settings().max_body_bytes:
        yield f"Start the mock with --max-body-bytes {settings.max_body_bytes}, which no key says."
    if settings.variant:
        yield f"The answers come under the variant {settings.variant}, which no key says."
