"""A cassette: a folder with a file for each recording, and an index by which requests find theirs.

A file is written beside and renamed, so one that is there is whole. The index says which requests the files
answer, so that a file is read when its answer is first needed. It is made anew where a file changed.
"""

import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from threading import Lock

from openpipe_mock.config.cassettes import CassetteRules
from openpipe_mock.openapi.endpoints import BASE, SERVED
from openpipe_mock.recording.identity import Asked, Identity, differences
from openpipe_mock.recording.recording import BadRecording, Recording, from_yaml, to_yaml

SUFFIX = ".yaml"
INDEX = ".index.json"
_IGNORED = f"# The index is made from the recordings.\n{INDEX}\n"
_FORM = 1
REFUSED = (401, 403)
"""Statuses of answers that say something about the key that was sent."""
MOST_FILE_BYTES = 64 * 2**20
_LONGEST_NAME = 60
_MOST_DIFFERENCES = 5
_NUMBER = re.compile(r"-(\d+)\.yaml\Z")


class BadCassette(Exception):
    """A cassette can't be read; the message names the file, the place and what was expected."""


class KeyInside(ValueError):
    """A recording would hold a known key, so it isn't written."""

    def __str__(self) -> str:
        return "the recording would hold a key"


@dataclass(frozen=True, slots=True)
class _Listed:
    """What the index knows of a file: its state, which requests it answers, and what these are about."""

    modified: int
    size: int
    identity: str
    place: str
    key: str
    status: int
    subject: str
    recorded: str


@dataclass(frozen=True, slots=True)
class Nearest:
    """The recording that is nearest to a request that has none, and what differs."""

    name: str
    differs: tuple[str, ...]

    def __str__(self) -> str:
        return f"the nearest is {self.name}, where {'; '.join(self.differs)}"


class Cassette:
    """The recordings in a folder. `identity`: the rules by which a request finds its recordings.

    Raises BadCassette for a file that is no recording.
    """

    def __init__(self, folder: Path, identity: Identity | None = None) -> None:
        self.folder = folder
        self.identity = identity or Identity()
        self.listed: dict[str, _Listed] = {}
        self.answering: dict[str, list[str]] = {}
        """Identity → the files that answer it, in the order in which they were recorded."""
        self.lock = Lock()
        self.read_index()

    # Reading.

    def read_index(self) -> None:
        """List all recordings; files that the index doesn't know as they are now are read for it."""
        known = self._index()
        found: dict[str, _Listed] = {}
        for entry in _files(self.folder):
            state = entry.stat()
            listed = known.get(entry.name)
            if listed is None or (listed.modified, listed.size) != (state.st_mtime_ns, state.st_size):
                listed = self._list(self.read(entry.name), state)
            found[entry.name] = listed
        for name, listed in sorted(found.items(), key=lambda item: (item[1].recorded, _number(item[0]))):
            self._enter(name, listed)
        if found != known:
            self._write_index()

    def read(self, name: str) -> Recording:
        """The recording in a file. Raises BadCassette."""
        path = self.folder / name
        try:
            if path.stat().st_size > MOST_FILE_BYTES:
                raise BadRecording(f"it has more than {MOST_FILE_BYTES // 2**20} MiB")
            return from_yaml(path.read_bytes())
        except BadRecording as error:
            raise BadCassette(f"{path}: {error}") from None
        except OSError as error:
            raise BadCassette(f"{path}: {error.strerror or error}") from None

    def matching(self, asked: Asked) -> list[str]:
        """The files that answer a request, in the order in which they were recorded."""
        return list(self.answering.get(self.identity.of(asked), ()))

    def matching_any_key(self, asked: Asked) -> list[str]:
        """The same for a key that has no recordings: what others got that weren't refused."""
        labels = {listed.key for listed in self.listed.values()}
        if asked.key in labels:
            return []
        found = (name for label in sorted(labels) for name in self.matching(replace(asked, key=label)))
        return [name for name in found if self.listed[name].status not in REFUSED]

    def nearest(self, asked: Asked) -> Nearest | None:
        """The recording of the same endpoint whose request has the most words in common."""
        place, words = f"{asked.method} {asked.path}", set(asked.subject.split())
        same = [name for name, listed in self.listed.items() if listed.place == place]
        if not same:
            return None
        name = max(same, key=lambda name: len(words & set(self.listed[name].subject.split())))
        return Nearest(name, self._differs(self.read(name), asked))

    def _differs(self, recording: Recording, asked: Asked) -> tuple[str, ...]:
        found = []
        if recording.key != asked.key:
            found.append(f"the key is {recording.key}, now {asked.key}")
        for name in self.identity.rules.headers:
            before, now = recording.headers.get(name), asked.headers.get(name)
            if before != now:
                found.append(f"the header {name} is {before or 'absent'}, now {now or 'absent'}")
        comparable = self.identity.comparable
        found += differences(comparable(recording.value), comparable(asked.value))
        more = len(found) - _MOST_DIFFERENCES
        return (*found[:_MOST_DIFFERENCES], *([f"and {more} more"] if more > 0 else ()))

    # Writing.

    def add(self, recording: Recording, holds_key: Callable[[bytes], bool] = lambda file: False) -> str:
        """Write a recording into a file of its own; returns the file's name.

        `holds_key`: whether a file would hold a known key. Raises KeyInside for one that would, OSError.
        """
        asked, file = asked_of(recording), to_yaml(recording)
        if holds_key(file):
            raise KeyInside
        with self.lock:
            self.folder.mkdir(parents=True, exist_ok=True)
            name = self._free_name(asked)
            self._write(name, file)
            self._enter(name, self._list(recording, (self.folder / name).stat()))
        return name

    def replace(self, name: str, recording: Recording) -> None:
        """Write a recording into the file of an older one. Raises OSError."""
        self._write(name, to_yaml(recording))

    def _write(self, name: str, file: bytes) -> None:
        beside = self.folder / f".{name}.part"
        beside.write_bytes(file)
        os.replace(beside, self.folder / name)

    def remove(self, name: str) -> None:
        """Delete a recording."""
        with self.lock:
            (self.folder / name).unlink(missing_ok=True)
            listed = self.listed.pop(name, None)
            if listed:
                self.answering[listed.identity].remove(name)

    def close(self) -> None:
        """Write the index, so that the next start need not read the files."""
        self._write_index()

    def _enter(self, name: str, listed: _Listed) -> None:
        self.listed[name] = listed
        self.answering.setdefault(listed.identity, []).append(name)

    def _free_name(self, asked: Asked) -> str:
        """A name that says what was asked: endpoint, subject, a digest; and a number from the second on."""
        words = re.sub(r"[^a-z0-9]+", "-", f"{asked.endpoint} {asked.subject}").strip("-")
        begin = f"{words[:_LONGEST_NAME].rstrip('-')}-{Identity(CassetteRules(ignore=())).of(asked)[:8]}"
        name, number = f"{begin}{SUFFIX}", 1
        while name in self.listed or (self.folder / name).exists():
            number += 1
            name = f"{begin}-{number}{SUFFIX}"
        return name

    def _list(self, recording: Recording, state: os.stat_result) -> _Listed:
        asked = asked_of(recording)
        place = f"{recording.method} {recording.path}"
        identity = self.identity.of(asked)
        return _Listed(
            state.st_mtime_ns,
            state.st_size,
            identity,
            place,
            asked.key,
            recording.status,
            asked.subject,
            recording.recorded,
        )

    def _index(self) -> dict[str, _Listed]:
        """The index, empty where there is none or it was made by another version or other rules."""
        with suppress(OSError, ValueError, TypeError, KeyError, AttributeError):
            found = json.loads((self.folder / INDEX).read_bytes())
            if (found["form"], found["identity"]) == (_FORM, self.identity.digest):
                return {name: _Listed(**listed) for name, listed in found["files"].items()}
        return {}

    def _write_index(self) -> None:
        """Write the index; where the folder can't be written to, the next start reads the files again."""
        with self.lock, suppress(OSError):
            if not self.folder.is_dir():
                return
            files = {name: asdict(listed) for name, listed in sorted(self.listed.items())}
            found = {"form": _FORM, "identity": self.identity.digest, "files": files}
            beside = self.folder / f"{INDEX}.part"
            beside.write_text(json.dumps(found))
            os.replace(beside, self.folder / INDEX)
            ignored = self.folder / ".gitignore"
            if not ignored.exists():
                ignored.write_text(_IGNORED)


def asked_of(recording: Recording) -> Asked:
    """The request of a recording."""
    served = SERVED.get(BASE + recording.path)
    endpoint = served.name if served else ""
    return Asked(endpoint, recording.method, recording.path, recording.key, recording.headers, recording.body)


def _files(folder: Path) -> Iterator[os.DirEntry[str]]:
    """The files of recordings, by name. A folder that isn't there has none. Raises BadCassette."""
    try:
        with os.scandir(folder) as entries:
            found = [each for each in entries if each.name.endswith(SUFFIX) and not each.name.startswith(".")]
    except FileNotFoundError:
        return
    except OSError as error:
        raise BadCassette(f"{folder}: {error.strerror or error}") from None
    yield from sorted((each for each in found if each.is_file()), key=lambda each: each.name)


def _number(name: str) -> int:
    found = _NUMBER.search(name)
    return int(found[1]) if found else 1
