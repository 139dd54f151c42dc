"""A cassette: a folder with a file for each recording, and an index by which requests find theirs.

A file is written beside and then linked or renamed, so one that is there is whole. The index says which
requests the files answer, so that a file is read when its answer is first needed; one that changed is listed
anew.
"""

import json
import os
import re
import stat
from bisect import insort
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from itertools import count
from pathlib import Path
from threading import RLock
from typing import Any

from openpipe_mock.config.cassettes import CassetteRules
from openpipe_mock.openapi.endpoints import BASE, endpoint_at
from openpipe_mock.recording.identity import Asked, Identity, body_differences
from openpipe_mock.recording.recording import BadRecording, Recording, from_yaml, to_yaml

SUFFIX = ".yaml"
INDEX = ".index.json"
_IGNORED = f"# The index is made from the recordings, and a .part is half of one.\n{INDEX}\n.*.part\n"
_FORM = 2
KEY_REFUSED = (401, 403)
"""Statuses of answers that say something about the key that was sent."""
MOST_RECORDING_BYTES = 64 * 2**20
_MOST_CACHED, _MOST_CACHED_BYTES = 256, 65_536
"""Recordings that are kept in memory once they were read, and bytes of a file that is kept."""
_LONGEST_NAME = 60
_MOST_DIFFERENCES = 5
_NUMBER = re.compile(r"-(\d+)\.yaml\Z")


class BadCassette(Exception):
    """A cassette can't be read; the message names the file, the place and what was expected."""


class KeyInside(ValueError):
    """A recording would hold a known key, so it isn't written."""

    def __str__(self) -> str:
        return "the recording would hold a key"


_State = tuple[int, int]
"""When a file was modified, in nanoseconds, and its size."""


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

    @property
    def state(self) -> _State:
        return self.modified, self.size


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
        self.place = os.path.join(folder, "")  # a path made by pathlib costs more than to look at the file
        self.identity = identity or Identity()
        self.listed: dict[str, _Listed] = {}
        self.answering: dict[str, list[str]] = {}
        """Identity → the files that answer it, in the order in which they were recorded."""
        self.labels: Counter[str] = Counter()
        """Label of a key → how many recordings it has."""
        self.read_as: dict[str, _State] = {}
        """The files that were read, and their state then; of others only the index tells what they answer."""
        self.cached: dict[str, Recording] = {}
        self.words: dict[str, frozenset[str]] = {}
        """The words of each recording's subject, by which the nearest is found."""
        self.indexed: dict[str, _Listed] = {}
        """What the index on disk says."""
        self.lock = RLock()
        self.read_index()

    # Reading.

    def read_index(self) -> None:
        """List all recordings; files that the index doesn't know as they are now are read for it."""
        self.indexed = known = self._index()
        for entry in _files(self.folder):
            listed = known.get(entry.name)
            if listed is None or listed.state != _state(entry.stat()):
                self.read(entry.name)
            else:
                self._enter(entry.name, listed)
        self._write_index()

    def read(self, name: str) -> Recording:
        """The recording in a file. Raises BadCassette."""
        path = self.folder / name
        try:
            found = path.stat()
            _expect_short_file(found)
            recording = from_yaml(path.read_bytes())
        except BadRecording as error:
            raise BadCassette(f"{path}: {error}") from None
        except OSError as error:
            raise BadCassette(f"{path}: {error.strerror or error}") from None
        with self.lock:
            self._relist(name, recording, _state(found))
        return recording

    def recording(self, name: str) -> Recording:
        """The recording in a file that was `matching` just now. Raises BadCassette."""
        return self.cached.get(name) or self.read(name)

    def matching(self, asked: Asked, *, any_key: bool = False) -> list[str]:
        """The files that answer a request, in the order in which they were recorded.

        `any_key`: a key that has no recordings gets what others got that weren't refused. Raises BadCassette
        for a file that was changed since and can't be read.
        """
        identity = self.identity.of(asked)
        for name in list(self.answering.get(identity, ())):
            self._look_again(name)
        with self.lock:
            names = list(self.answering.get(identity, ()))
            if any_key and asked.key not in self.labels:
                return [name for name in names if self.listed[name].status not in KEY_REFUSED]
            return [name for name in names if self.listed[name].key == asked.key]

    def _look_again(self, name: str) -> None:
        """Read a file that isn't as it was read: somebody edits it, or the index lied."""
        try:
            if self.read_as.get(name) != _state(os.stat(f"{self.place}{name}")):
                self.read(name)
        except FileNotFoundError:
            self._leave(name)
        except OSError:
            self.read(name)  # which says why

    def nearest(self, asked: Asked) -> Nearest | None:
        """The recording of the same endpoint whose request has the most words in common."""
        place, words = f"{asked.method} {asked.path}", set(asked.subject.split())
        with self.lock:
            same = [name for name, each in self.listed.items() if each.place == place]
            if not same:
                return None
            name = max(same, key=lambda name: len(words & self.words[name]))
        try:
            return Nearest(name, self._differs(self.read(name), asked))
        except BadCassette:
            return Nearest(name, ("it can't be read any more",))

    def _differs(self, recording: Recording, asked: Asked) -> tuple[str, ...]:
        found = []
        if recording.key != asked.key and asked.key in self.labels:
            found.append(f"the key is {recording.key}, now {asked.key}")
        for name in self.identity.rules.headers:
            before, now = recording.headers.get(name), asked.headers.get(name)
            if before != now:
                found.append(f"the header {name} is {before or 'absent'}, now {now or 'absent'}")
        comparable = self.identity.comparable
        found += body_differences(comparable(recording.value), comparable(asked.value))
        more = len(found) - _MOST_DIFFERENCES
        return (*found[:_MOST_DIFFERENCES], *([f"and {more} more"] if more > 0 else ()))

    # Writing.

    def add(
        self,
        recording: Recording,
        holds_key: Callable[[bytes], bool] = lambda file: False,
        instead_of: Collection[str] = (),
    ) -> str:
        """Write a recording into a file of its own; returns the file's name.

        `holds_key`: whether a file would hold a known key. `instead_of`: files that are deleted once it is
        there; it may take the name of one. Raises KeyInside for a file that would hold a key, OSError.
        """
        file = to_yaml(recording)
        if holds_key(file):
            raise KeyInside
        with self.lock:
            self.folder.mkdir(parents=True, exist_ok=True)
            name = self._place(recorded_request(recording), file, instead_of)
            self._relist(name, recording, _state((self.folder / name).stat()))
            for each in instead_of:
                if each != name:
                    (self.folder / each).unlink(missing_ok=True)
                    self._leave(each)
        return name

    def _place(self, asked: Asked, file: bytes, instead_of: Collection[str]) -> str:
        """Write a file under the first name that is free or may be replaced; returns the name."""
        beside = self._beside()
        try:
            beside.write_bytes(file)
            for name in _names(asked):
                if name in instead_of:
                    os.replace(beside, self.folder / name)
                    return name
                if name not in self.listed and _moved(beside, self.folder / name):
                    return name
        finally:
            beside.unlink(missing_ok=True)
        raise AssertionError("names never end")

    def _beside(self) -> Path:
        """A file that no other process and no other cassette of this one writes."""
        path = self.folder / f".{os.getpid()}-{id(self)}.part"
        path.unlink(missing_ok=True)  # one that a killed process left may be a link to a recording
        return path

    def close(self) -> None:
        """Write the index, so that the next start need not read the files."""
        self._write_index()

    # The list.

    def _relist(self, name: str, recording: Recording, state: _State) -> None:
        """List a file as it was just read or written, and keep its recording if it is short."""
        listed = self._list(recording, state)
        if self.listed.get(name) != listed:
            self._leave(name)
            self._enter(name, listed)
        self.read_as[name] = state
        self.cached.pop(name, None)
        if listed.size <= _MOST_CACHED_BYTES:
            self.cached[name] = recording
            if len(self.cached) > _MOST_CACHED:
                del self.cached[next(iter(self.cached))]

    def names(self) -> list[str]:
        """The names of the recordings; those that differ in their number come in its order."""
        return sorted(self.listed, key=lambda name: (_NUMBER.sub(SUFFIX, name), _number(name)))

    def _enter(self, name: str, listed: _Listed) -> None:
        self.listed[name] = listed
        self.words[name] = frozenset(listed.subject.split())
        self.labels[listed.key] += 1
        insort(self.answering.setdefault(listed.identity, []), name, key=self._order)

    def _leave(self, name: str) -> None:
        with self.lock:
            listed = self.listed.get(name)
            if listed:
                self.answering[listed.identity].remove(name)
                self.labels -= Counter({listed.key: 1})
                del self.listed[name], self.words[name]
            self.cached.pop(name, None)
            self.read_as.pop(name, None)

    def _order(self, name: str) -> tuple[str, int, str]:
        return self.listed[name].recorded, _number(name), name

    def _list(self, recording: Recording, state: _State) -> _Listed:
        asked = recorded_request(recording)
        return _Listed(
            *state,
            self.identity.of(asked),
            f"{recording.method} {recording.path}",
            asked.key,
            recording.status,
            asked.subject,
            recording.recorded,
        )

    def _index(self) -> dict[str, _Listed]:
        """The index, empty where there is none or it was made by another version or other rules."""
        with suppress(OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
            found = json.loads((self.folder / INDEX).read_bytes())
            if (found["form"], found["identity"]) == (_FORM, self.identity.digest):
                return {name: _listed(members) for name, members in found["files"].items()}
        return {}

    def _write_index(self) -> None:
        """Write the index; where the folder can't be written to, the next start reads the files again."""
        with self.lock, suppress(OSError):
            if self.listed == self.indexed:
                return
            files = {name: asdict(listed) for name, listed in sorted(self.listed.items())}
            found = {"form": _FORM, "identity": self.identity.digest, "files": files}
            beside = self._beside()
            beside.write_text(json.dumps(found))
            os.replace(beside, self.folder / INDEX)
            self.indexed = dict(self.listed)
            ignored = self.folder / ".gitignore"
            if not ignored.exists():
                ignored.write_text(_IGNORED)


def recorded_request(recording: Recording) -> Asked:
    """The request of a recording."""
    served = endpoint_at(BASE + recording.path, recording.method)
    endpoint = served.name if served else ""
    return Asked(endpoint, recording.method, recording.path, recording.key, recording.headers, recording.body)


def _names(asked: Asked) -> Iterator[str]:
    """Names that say what was asked: endpoint, subject, a digest; and a number from the second on.

    They are in lower case, since some file systems take `A` and `a` for the same.
    """
    words = re.sub(r"[^a-z0-9]+", "-", f"{asked.endpoint} {asked.subject}").strip("-")
    begin = f"{words[:_LONGEST_NAME].rstrip('-')}-{_ALL_COUNTS.of(asked)[:8]}"
    yield f"{begin}{SUFFIX}"
    yield from (f"{begin}-{number}{SUFFIX}" for number in count(2))


_ALL_COUNTS = Identity(CassetteRules(ignore=()))


def _moved(beside: Path, path: Path) -> bool:
    """Whether a file was moved to a path at which none was; another process may write there, too."""
    try:
        os.link(beside, path)
    except FileExistsError:
        return False
    except OSError:  # a file system without links
        if path.exists():
            return False
        os.replace(beside, path)
    return True


def _state(found: os.stat_result) -> _State:
    return found.st_mtime_ns, found.st_size


def _expect_short_file(found: os.stat_result) -> None:
    """Raise BadRecording for what is no file, such as a pipe, or is too long."""
    if not stat.S_ISREG(found.st_mode):
        raise BadRecording("it is no file")
    if found.st_size > MOST_RECORDING_BYTES:
        raise BadRecording(f"it has more than {MOST_RECORDING_BYTES // 2**20} MiB")


def _listed(members: dict[str, Any]) -> _Listed:
    """An entry of the index. Raises TypeError for one that no version of ours wrote."""
    found = _Listed(**members)
    if any(type(getattr(found, each.name)) is not each.type for each in fields(_Listed)):
        raise TypeError
    return found


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
