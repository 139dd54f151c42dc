"""More vectors than the files have: requests drawn from a seed and a number, one JSON line each.

Nothing but this package decides what is drawn, so a seed repeats whatever else is installed or imported.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from hashlib import blake2b
from typing import Any, TypeVar

import orjson

from openpipe_mock import __version__
from openpipe_mock.core.resources import folder
from openpipe_mock.payloads.edits import Edit, edits
from openpipe_mock.payloads.places import weaker
from openpipe_mock.payloads.valid import ENDPOINTS, Positive, needs, positives, preceded
from openpipe_mock.payloads.values import ODD_TEXTS
from openpipe_mock.payloads.vectors import invalid, line_of, valid

Json = Any
Item = TypeVar("Item", Positive, Edit)
Key = tuple[int, int]
"""Seed and number of a line."""

SAID = ("Count to 3.", "1, 2, 3.")
"""Texts of the samples in whose place others may stand."""


def printed(endpoint: str, good: bool, count: int, seed: int) -> Iterator[bytes]:
    """The header, and `count` lines of valid or invalid requests for "judge" or "chat"."""
    yield line_of(header(endpoint, good, count, seed))
    yield from map(line_of, (valid_lines if good else invalid_lines)(endpoint, count, seed))


def header(endpoint: str, good: bool, count: int, seed: int) -> Json:
    """The command, and the versions under which it prints the same lines again."""
    contract = (folder("schemas") / "openapi.yaml").read_bytes()
    digest = blake2b(contract, digest_size=8).hexdigest()
    kind = "valid" if good else "invalid"
    return {
        "comment": f"openpipe-mock generate {endpoint} --{kind} --count {count} --seed {seed}",
        "repeats_with": {"openpipe-mock": __version__, "contract": digest},
    }


def valid_lines(endpoint: str, count: int, seed: int) -> Iterator[Json]:
    """Positives in an order of the seed's, each behind the messages of another one, with other texts."""
    for number, positive in enumerate(shuffled(positives(endpoint), count, seed)):
        other, body = mixed(endpoint, positive.body, (seed, number))
        text = orjson.dumps(body).decode()
        level = weaker(positive.level, other.level)
        yield valid(replace(positive, text=text, level=level, needs=needs(text)), f"#{number}")


def invalid_lines(endpoint: str, count: int, seed: int) -> Iterator[Json]:
    """Edits in an order of the seed's, each of a body like those of `valid_lines`."""
    for number, edit in enumerate(shuffled(edits(endpoint), count, seed)):
        _, body = mixed(endpoint, edit.base, (seed, number))
        yield invalid(edit, body, f"#{number}")


def shuffled(named: Sequence[Item], count: int, seed: int) -> Iterator[Item]:
    """`count` of them, each once before one comes again, and then in another order."""
    order: list[Item] = []
    for number in range(count):
        lap, place = divmod(number, len(named))
        if not place:
            order = sorted(named, key=lambda each: drawn(seed, lap, each.name))
        yield order[place]


def mixed(endpoint: str, body: Json, key: Key) -> tuple[Positive, Json]:
    """A valid body with the messages of a positive before its own, and with other texts; the positive too."""
    others = positives(endpoint)
    other = others[drawn(*key, "other") % len(others)]
    return other, varied(preceded(ENDPOINTS[endpoint], body, other.body), key)


def varied(value: Json, key: Key, *path: object) -> Json:
    """A copy in which half of the samples' texts are others, odd ones among them."""
    if isinstance(value, dict):
        return {name: varied(member, key, *path, name) for name, member in value.items()}
    if isinstance(value, list):
        return [varied(item, key, *path, place) for place, item in enumerate(value)]
    if value in SAID and drawn(*key, *path, "whether") % 2:
        return ODD_TEXTS[drawn(*key, *path, "text") % len(ODD_TEXTS)]
    return value


def drawn(*parts: object) -> int:
    """A whole number that depends on these parts alone, the same on every machine and Python."""
    key = "\x1f".join(map(str, parts)).encode()
    return int.from_bytes(blake2b(key, digest_size=8).digest())
