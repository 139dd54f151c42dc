"""Test vectors for repositories in other languages: `schemas/vectors/*.jsonl`, one JSON object a line.

`python -m openpipe_mock.payloads.vectors` writes them anew. They follow from the contract and this package
alone, so the bytes are the same on every machine. docs/vectors.md explains each field.
"""

import base64
import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path
from typing import Any, TypeVar

import orjson

from openpipe_mock import __version__
from openpipe_mock.core.levels import weaker
from openpipe_mock.core.resources import folder
from openpipe_mock.core.seeded import ANSWERS
from openpipe_mock.payloads.edits import Edit, component_edits, edits, header_edits
from openpipe_mock.payloads.streams import SampleStream, streams
from openpipe_mock.payloads.valid import (
    REQUEST_COMPONENTS,
    Positive,
    header_positives,
    named_bodies,
    needs,
    positives,
    preceded,
    smallest_body,
)
from openpipe_mock.payloads.values import ODD_TEXTS

Json = dict[str, Any]
_Item = TypeVar("_Item", Positive, Edit)
_Key = tuple[int, int]
"""The seed and the number of a drawn line."""
_SAID = ("Count to 3.", "1, 2, 3.")
"""The sample texts that `_varied` may replace."""

ANSWERED = {
    "judge.answer": "JudgeCriteriaResponse",
    "chat.answer": "ChatCompletion",
    "chat.chunk": "ChatCompletionChunk",
}
"""Prefix of the ids of answers → component. A chunk is one event of a stream."""
REFUSED = {"judge.error": "Error", "chat.error": "ChatError"}
"""Prefix of the ids of error bodies → component."""


def files() -> dict[str, bytes]:
    """Every file of the folder by name, the manifest last."""
    found = {
        "requests-judge.jsonl": _lines(requests("judge")),
        "requests-chat.jsonl": _lines(requests("chat")),
        "answers.jsonl": _lines(_answers()),
        "errors.jsonl": _lines(_bodies(REFUSED)),
        "streams.jsonl": _lines(map(_stream_line, streams())),
    }
    return {**found, "manifest.json": _manifest(found)}


def write_vectors(target: Path) -> None:
    """Write every file into a folder; create the folder if it is missing."""
    target.mkdir(exist_ok=True)
    for name, text in files().items():
        (target / name).write_bytes(text)


def printed(endpoint: str, good: bool, count: int, seed: int) -> Iterator[bytes]:
    """Lines for `openpipe-mock generate`: a header, then `count` valid or invalid requests."""
    yield _line_of(_header(endpoint, good, count, seed))
    yield from map(_line_of, (_valid_lines if good else _invalid_lines)(endpoint, count, seed))


def requests(endpoint: str) -> Iterator[Json]:
    """Requests of one endpoint: all positives, then all edits."""
    chat = endpoint == "chat"
    yield from map(_valid, (*positives(endpoint), *(header_positives() if chat else ())))
    yield from map(_invalid, (*edits(endpoint), *(header_edits() if chat else ())))


def _line(name: str, body: Any, level: str, **members: Any) -> Json:
    """The line of a body, by default of a valid one. Its name is the id, and begins with the endpoint."""
    line = {
        "id": name,
        "endpoint": name.partition(".")[0],
        "headers": {},
        "body": body,
        "valid": "rule" not in members,
        "violation": None,
        "pointer": None,
        "rule": None,
        "level": level,
        "lenient": False,
        "needs": [],
    }
    return {**line, **members}


def _valid(positive: Positive, number: str = "") -> Json:
    """The line of a valid body. `number` is appended to the id."""
    name, needed = positive.name + number, list(positive.needs)
    return _line(name, positive.body, positive.level, headers=positive.headers, needs=needed)


def _invalid(edit: Edit, body: Any = None, number: str = "") -> Json:
    """The line of an invalid body: the edit applied to its own base, or to another valid body."""
    before = edit.base if body is None else body
    return _line(
        edit.name + number,
        edit.apply(before),
        edit.level,
        headers=edit.headers,
        violation=edit.name.rpartition(".")[2],
        pointer=edit.pointer if edit.header else edit.pointer_in(before),
        rule=edit.rule,
        lenient=edit.lenient or _is_detail(edit),
    )


def _is_detail(edit: Edit) -> bool:
    """Whether the edit adds a member to an issue of an error body, as the real service does."""
    return edit.component == "ErrorIssue" and edit.rule == "additionalProperties"


def _bodies(components: dict[str, str]) -> Iterator[Json]:
    """Bodies of answers: for each component all positives, then all edits."""
    for prefix, component in components.items():
        yield from map(_valid, named_bodies(component, prefix))
        yield from map(_invalid, component_edits(component, prefix))


def _answers() -> Iterator[Json]:
    """Answers with status 200: those from the schema, and scores that break the documentation's prose."""
    null = _line("chat.answer.null", None, "sdk")
    yield from (null if line["id"] == "chat.answer.type-null" else line for line in _bodies(ANSWERED))
    whole = orjson.loads(smallest_body("JudgeCriteriaResponse", ()))
    for name, score in (("above-1", 1.01), ("below-0", -0.01), ("placeholder", 123)):
        broken = {"violation": name, "pointer": "/score", "rule": "prose"}
        yield _line(f"judge.answer.score.{name}", {**whole, "score": score}, "documented", **broken)


def _stream_line(stream: SampleStream) -> Json:
    """The line of a stream: its bytes as they arrive, and the result for a parser."""
    return {
        "id": f"chat.stream.{stream.name}",
        "endpoint": "chat",
        "about": stream.about,
        "chunks": [base64.b64encode(chunk).decode() for chunk in stream.chunks],
        "valid": stream.joined is not None,
        "joined": stream.joined,
        "violation": stream.name if stream.rule else None,
        "pointer": stream.pointer,
        "rule": stream.rule,
        "level": stream.level,
    }


def _lines(found: Iterable[Json]) -> bytes:
    return b"".join(map(_line_of, found))


def _line_of(found: Json) -> bytes:
    """One line of JSON."""
    # in ASCII: some readers take U+2028 and its like for the end of a line
    return json.dumps(found, separators=(",", ":")).encode() + b"\n"


def _manifest(found: dict[str, bytes]) -> bytes:
    """The versions that the files belong to, and each file's size and checksum."""
    listed = {
        name: {"lines": text.count(b"\n"), "bytes": len(text), "sha256": hashlib.sha256(text).hexdigest()}
        for name, text in found.items()
    }
    whole = {"version": __version__, "answers": ANSWERS, "files": listed}
    return orjson.dumps(whole, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


# Further lines, drawn from a seed and a number. They don't depend on what else is installed.


def _header(endpoint: str, good: bool, count: int, seed: int) -> Json:
    """The command, and the versions under which it prints the same lines again."""
    contract = (folder("schemas") / "openapi.yaml").read_bytes()
    digest = blake2b(contract, digest_size=8).hexdigest()
    kind = "valid" if good else "invalid"
    return {
        "comment": f"openpipe-mock generate {endpoint} --{kind} --count {count} --seed {seed}",
        "repeats_with": {"openpipe-mock": __version__, "contract": digest},
    }


def _valid_lines(endpoint: str, count: int, seed: int) -> Iterator[Json]:
    """Positives in an order that the seed decides, each behind another one's messages, with varied texts."""
    for number, positive in enumerate(_shuffled(positives(endpoint), count, seed)):
        other, body = _mixed(endpoint, positive.body, (seed, number))
        text = orjson.dumps(body).decode()
        level = weaker(positive.level, other.level)
        yield _valid(replace(positive, text=text, level=level, needs=needs(text)), f"#{number}")


def _invalid_lines(endpoint: str, count: int, seed: int) -> Iterator[Json]:
    """Edits in an order that the seed decides, each applied to a body like those of `_valid_lines`."""
    for number, edit in enumerate(_shuffled(edits(endpoint), count, seed)):
        _, body = _mixed(endpoint, edit.base, (seed, number))
        yield _invalid(edit, body, f"#{number}")


def _shuffled(named: Sequence[_Item], count: int, seed: int) -> Iterator[_Item]:
    """`count` items: each comes once before one is repeated, and the order changes with each round."""
    order: list[_Item] = []
    for number in range(count):
        lap, place = divmod(number, len(named))
        if not place:
            order = sorted(named, key=lambda each: _drawn(seed, lap, each.name))
        yield order[place]


def _mixed(endpoint: str, body: Json, key: _Key) -> tuple[Positive, Json]:
    """A positive, and a valid body with its messages in front and with varied texts."""
    others = positives(endpoint)
    other = others[_drawn(*key, "other") % len(others)]
    return other, _varied(preceded(REQUEST_COMPONENTS[endpoint], body, other.body), key)


def _varied(value: Json, key: _Key, *path: object) -> Json:
    """A copy in which about half of the sample texts are replaced by ODD_TEXTS."""
    if isinstance(value, dict):
        return {name: _varied(member, key, *path, name) for name, member in value.items()}
    if isinstance(value, list):
        return [_varied(item, key, *path, place) for place, item in enumerate(value)]
    if value in _SAID and _drawn(*key, *path, "whether") % 2:
        return ODD_TEXTS[_drawn(*key, *path, "text") % len(ODD_TEXTS)]
    return value


def _drawn(*parts: object) -> int:
    """A whole number derived from the parts, the same on every machine and Python."""
    key = "\x1f".join(map(str, parts)).encode()
    return int.from_bytes(blake2b(key, digest_size=8).digest())


if __name__ == "__main__":
    write_vectors(folder("schemas") / "vectors")
