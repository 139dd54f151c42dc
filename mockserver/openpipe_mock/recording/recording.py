"""A recording: one exchange with a real server, and the YAML file that holds it.

Bodies are kept as the text that came, so a replayed answer has the same bytes. Of headers only those are kept
that a client reads (`ANSWER_HEADERS`), so no cookie and no account's name gets into a file.
"""

import base64
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import yaml

from openpipe_mock.core.errors import ParseError
from openpipe_mock.core.strictjson import parse

FORMAT = "1"
"""The version of the file's form, in its member `cassette`."""
REQUEST_HEADERS = ("content-type", "op-")
ANSWER_HEADERS = (
    *("content-type", "cache-control", "retry-after", "retry-after-ms", "x-should-retry"),
    *("x-ratelimit-", "op-"),
)
"""Headers that are kept: names, and beginnings of names that end in `-`."""
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]+: [\t\x20-\x7e\x80-\xff]*")


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of an answer's body and when it came, in seconds after the request was sent."""

    after: float
    data: bytes


@dataclass(frozen=True, slots=True)
class Recording:
    """One exchange.

    `path`: below the base URL. `key`: a label of the key that was sent, never the key. `headers`,
    `answer_headers`: those that are kept, with names in lower case. `chunks`: the answer's body, one chunk
    unless it was `streamed`. `recorded`: date and time in UTC. `deviations`: where the exchange breaks the
    contract, a sentence each.
    """

    method: str
    path: str
    body: bytes
    headers: Mapping[str, str]
    key: str
    status: int = 0
    answer_headers: Mapping[str, str] = field(default_factory=dict)
    chunks: tuple[Chunk, ...] = ()
    streamed: bool = False
    recorded: str = ""
    deviations: tuple[str, ...] = ()

    def answered(
        self, status: int, headers: Iterable[tuple[str, str]], chunks: Iterable[Chunk]
    ) -> "Recording":
        """The request with an answer, whose headers may be any; each chunk of a stream becomes a text."""
        kept, every = kept_headers(headers, ANSWER_HEADERS), tuple(chunks)
        streamed = is_stream(kept)
        if not streamed:
            every = (Chunk(every[-1].after if every else 0.0, b"".join(chunk.data for chunk in every)),)
        return replace(
            self,
            status=status,
            answer_headers=kept,
            chunks=_whole_characters(every),
            streamed=streamed,
        )

    @property
    def answer(self) -> bytes:
        """The answer's whole body."""
        return b"".join(chunk.data for chunk in self.chunks)

    @property
    def value(self) -> Any:
        """The JSON value of the request's body; None where it is no JSON."""
        return json_value(self.body)


class BadRecording(ValueError):
    """A file is no recording; the message says where and what was expected."""


def is_stream(headers: Mapping[str, str]) -> bool:
    """Whether an answer is a stream of events. `headers`: names in lower case."""
    return headers.get("content-type", "").startswith("text/event-stream")


def json_value(body: bytes) -> Any:
    """The JSON value of a body; None where it is no JSON."""
    try:
        return parse(body)
    except ParseError:
        return None


def is_listed(name: str, names: tuple[str, ...]) -> bool:
    """Whether a header's name, in lower case, is listed, or begins with a listed one that ends in `-`."""
    whole, begun = _split_names(names)
    return name in whole or name.startswith(begun)


def kept_headers(headers: Iterable[tuple[str, str]], names: tuple[str, ...]) -> dict[str, str]:
    """Those headers whose names are listed, or begin with a listed one that ends in `-`.

    One that HTTP doesn't allow is left out.
    """
    lowered = ((name.lower(), value) for name, value in headers)
    kept = ((name, value) for name, value in lowered if is_listed(name, names))
    return {name: value for name, value in kept if _HEADER.fullmatch(f"{name}: {value}")}


@cache
def _split_names(names: tuple[str, ...]) -> tuple[frozenset[str], tuple[str, ...]]:
    """Whole names, and beginnings of names."""
    begun = tuple(name for name in names if name.endswith("-"))
    return frozenset(names) - {*begun}, begun


# Writing.


class _Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]
    """Writes a body as a block of lines, so that a difference shows in its line."""


class _Block(str):
    """A text that is written as a block where YAML can."""


def _block(dumper: Any, text: _Block) -> Any:
    # YAML reads other line breaks than \n as \n, so a text that has any is written with escapes.
    plain = all(line.isprintable() for line in text.split("\n"))
    return dumper.represent_scalar("tag:yaml.org,2002:str", str(text), style="|" if plain else '"')


_Dumper.add_representer(_Block, _block)


def to_yaml(recording: Recording) -> bytes:
    """The file of a recording."""
    answer: dict[str, Any] = {"status": recording.status, "headers": dict(recording.answer_headers)}
    if recording.streamed:
        answer["chunks"] = [{"after": chunk.after, **_text(chunk.data)} for chunk in recording.chunks]
    else:
        answer["after"] = recording.chunks[-1].after if recording.chunks else 0.0
        answer["body"] = _text(recording.answer)
    document = {
        "cassette": int(FORMAT),
        "recorded": recording.recorded,
        "request": {
            "method": recording.method,
            "path": recording.path,
            "key": recording.key,
            "headers": dict(recording.headers),
            "body": _text(recording.body),
        },
        "answer": answer,
    }
    if recording.deviations:
        document["deviations"] = list(recording.deviations)
    text = yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10**9)
    # A block that ends in blank lines makes the library write a mark of the end, which nobody needs.
    return f"{text[:-4]}".encode() if text.endswith("\n...\n") else bytes(text.encode())


def _text(data: bytes) -> dict[str, str]:
    """A body as a member `text`, or `base64` where it isn't UTF-8."""
    try:
        return {"text": _Block(data.decode())}
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode()}


# Reading.

_Loader: Any = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
"""Reads every scalar as text and builds no objects."""


def from_yaml(data: bytes) -> Recording:
    """Read the file of a recording. Raises BadRecording."""
    try:
        document = yaml.load(data.decode(), Loader=_Loader)
    except UnicodeDecodeError:
        raise BadRecording("it is not written in UTF-8") from None
    except (yaml.YAMLError, RecursionError) as error:
        raise BadRecording(f"it is not YAML{_line(error)}") from None
    top = _Reader(document)
    if top.text("cassette") != FORMAT:
        raise BadRecording(f"/cassette: expected {FORMAT}, the form of recordings that this version reads")
    request, answer = top.inner("request"), top.inner("answer")
    streamed = "chunks" in answer.members
    chunks = answer.chunks() if streamed else (Chunk(answer.seconds("after"), answer.body("body")),)
    return Recording(
        request.text("method"),
        request.text("path"),
        request.body("body"),
        request.headers("headers"),
        request.text("key"),
        answer.status("status"),
        answer.headers("headers"),
        chunks,
        streamed,
        top.text("recorded"),
        tuple(map(str, top.list("deviations"))) if "deviations" in top.members else (),
    )


def _line(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    return f" (line {mark.line + 1})" if mark else ""


class _Reader:
    """Reads the members of a mapping; a mistake names its JSON pointer."""

    def __init__(self, value: Any, pointer: str = "") -> None:
        self.pointer = pointer
        if not isinstance(value, dict):
            raise BadRecording(f"{pointer or 'the file'}: expected a mapping")
        self.members = value

    def wrong(self, name: str, expected: str) -> BadRecording:
        return BadRecording(f"{self.pointer}/{name}: expected {expected}")

    def get(self, name: str, expected: str) -> Any:
        if name not in self.members:
            raise self.wrong(name, f"{expected}, and it isn't there")
        return self.members[name]

    def inner(self, name: str) -> "_Reader":
        return _Reader(self.get(name, "a mapping"), f"{self.pointer}/{name}")

    def text(self, name: str) -> str:
        value = self.get(name, "a text")
        if not isinstance(value, str):
            raise self.wrong(name, "a text")
        return value

    def status(self, name: str) -> int:
        text = self.text(name)
        if not re.fullmatch("[2-5][0-9][0-9]", text):
            raise self.wrong(name, "a status from 200 to 599")
        return int(text)

    def seconds(self, name: str) -> float:
        text = self.text(name)
        if not re.fullmatch(r"[0-9]{1,6}(\.[0-9]*)?(e-[0-9]{1,2})?", text):
            raise self.wrong(name, "seconds from 0 to 999999")
        return float(text)

    def list(self, name: str) -> list[Any]:
        value = self.get(name, "a list")
        if not isinstance(value, list):
            raise self.wrong(name, "a list")
        return value

    def headers(self, name: str) -> dict[str, str]:
        """Headers: names in lower case, and values that a header can carry."""
        inner = self.inner(name)
        for key in inner.members:
            if not _HEADER.fullmatch(f"{key}: {inner.text(key)}"):
                raise inner.wrong(key, "the name of a header in lower case, and a value of one line")
        return dict(inner.members)

    def body(self, name: str = "") -> bytes:
        """A body: `text`, or `base64`, below a member or in this mapping."""
        place = self.inner(name) if name else self
        if "base64" not in place.members:
            return place.text("text").encode()
        try:
            return base64.b64decode(place.text("base64"), validate=True)
        except ValueError:
            raise place.wrong("base64", "base64") from None

    def chunks(self) -> tuple[Chunk, ...]:
        places = [_Reader(item, f"{self.pointer}/chunks/{at}") for at, item in enumerate(self.list("chunks"))]
        return tuple(Chunk(place.seconds("after"), place.body()) for place in places)


def _whole_characters(chunks: tuple[Chunk, ...]) -> tuple[Chunk, ...]:
    """The chunks, with one that ends within a character joined to the next, so that each is a text."""
    found: list[Chunk] = []
    for chunk in chunks:
        if found and _is_cut(found[-1].data):
            found[-1] = Chunk(chunk.after, found[-1].data + chunk.data)
        else:
            found.append(chunk)
    return tuple(found)


def _is_cut(data: bytes) -> bool:
    """Whether a text ends within a character of several bytes."""
    try:
        data.decode()
    except UnicodeDecodeError as error:
        return error.end == len(data) and error.reason == "unexpected end of data"
    return False
