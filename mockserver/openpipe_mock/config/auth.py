"""Reads the config's `auth` section: keys, or the names of environment variables that hold them."""

import os
import re
from collections.abc import Iterator
from itertools import count

from openpipe_mock.core.reading import At, Json

_KEY = re.compile("[!-~]+")
_NAMES = {"keys": "OPENPIPE_KEY", "read_only_keys": "OPENPIPE_READ_ONLY_KEY"}
"""List of keys → how the variables begin that an export names in their place."""


def read_keys(value: Json, at: At) -> dict[str, tuple[str, ...]]:
    """The lists of keys of a section whose shape is right; note in `at` what else is wrong."""
    found = {
        name: tuple(_key(each, at.at(name, index)) for index, each in enumerate(value.get(name, ())))
        for name in _NAMES
    }
    for index, key in enumerate(found["read_only_keys"]):
        if key and key in found["keys"]:
            told = 'this key stands under "keys" too, where it may do everything; remove one of them.'
            at.at("read_only_keys", index).wrong("auth", told)
    return found


def _key(written: Json, at: At) -> str:
    """A key as it is written, or the value of the variable that is named in its place."""
    if isinstance(written, str):
        return written
    name = written["env"]
    if name not in os.environ:
        at.wrong("env", f"the environment variable {name} isn't set; set it, or write the key here.")
    elif not _KEY.fullmatch(os.environ[name]):
        told = (
            f"the environment variable {name} holds no key of printable ASCII characters without white space."
        )
        at.wrong("env", told)
    return os.environ.get(name, "")


def without_keys(value: Json) -> Json:
    """A section with the name of a variable in place of each key."""
    taken = [each["env"] for keys in value.values() for each in keys if not isinstance(each, str)]
    return {name: list(_named(keys, _NAMES[name], taken)) for name, keys in value.items()}


def _named(keys: list[Json], prefix: str, taken: list[str]) -> Iterator[Json]:
    free = (name for number in count(1) if (name := f"{prefix}_{number}") not in taken)
    for key in keys:
        yield {"env": next(free)} if isinstance(key, str) else key


def variables(value: Json) -> list[str]:
    """The names of the variables in a section that was written `without_keys`."""
    return [each["env"] for keys in value.values() for each in keys]
