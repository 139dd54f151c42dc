"""The source of answers that a cassette is: replays what was recorded, and records what the upstream says."""

import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from openpipe_mock.config.settings import Settings
from openpipe_mock.core.effects import Await, Begin, Break, Effects, HeaderList, Piece, Reply, Wait
from openpipe_mock.core.errors import Forbidden, NotFound
from openpipe_mock.core.secrets import MASKED
from openpipe_mock.core.wording import counted
from openpipe_mock.openapi.endpoints import BASE
from openpipe_mock.recording.cassette import BadCassette, Cassette, KeyInside
from openpipe_mock.recording.conformance import deviations_of
from openpipe_mock.recording.failures import UpstreamFailed
from openpipe_mock.recording.hiding import Hiding
from openpipe_mock.recording.identity import Asked, Identity
from openpipe_mock.recording.recording import (
    ANSWER_HEADERS,
    REQUEST_HEADERS,
    Chunk,
    Recording,
    is_stream,
    kept_headers,
)
from openpipe_mock.service.admission import is_foreign, is_this_machine
from openpipe_mock.service.request import Visit

if TYPE_CHECKING:  # httpx is an extra, which replaying needs not
    from openpipe_mock.recording.upstream import Upstream, UpstreamAnswer

_MOST_MISSED = 1000
OnMiss = Literal["mock", "error", "upstream"]
OnEnd = Literal["repeat", "fail"]


class NotRecorded(NotFound):
    """The cassette has no answer to a request; the message names the nearest recording."""

    words = "Not recorded"


@dataclass(eq=False)
class Tape:
    """Answers requests from a cassette, an upstream, or not at all.

    `on_miss`: what happens to a request that has no recording: the mock answers it, it is refused, or it is
    passed on and recorded. `on_end`: the same after a request's last recording. `replays`: False records
    every request anew. `timing`: the recorded times are multiplied by it; 0 leaves them out. `now`: the time
    of a recording. `why_not`: why a request that has none isn't recorded, though it was to be. `used`: the
    recordings that answered, or were made. `missed`: a sentence for each request that had none.
    """

    cassette: Cassette
    upstream: "Upstream | None" = None
    hiding: Hiding = field(default_factory=Hiding)
    on_miss: OnMiss = "error"
    on_end: OnEnd = "repeat"
    replays: bool = True
    timing: float = 0.0
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    why_not: str = ""
    used: set[str] = field(default_factory=set)
    missed: list[str] = field(default_factory=list)
    renewed: set[tuple[str, str]] = field(default_factory=set)

    def __str__(self) -> str:
        folder = self.cassette.folder
        if self.on_miss == "upstream" and self.upstream:
            return f"recording {self.upstream.url} in {folder}"
        return f"{counted(len(self.cassette.listed), 'recording')} in {folder}"

    def answer(self, visit: Visit) -> Reply | Effects | None:
        """The answer to a request; None where the mock shall answer. Raises ApiError."""
        asked = self.asked(visit)
        missed = "it has no recording"
        try:
            names = self.recorded(asked)
            number = self._number(visit, asked, names)
            if names and (number <= len(names) or self.on_end == "repeat"):
                return self.replayed(visit, names[min(number, len(names)) - 1])
        except BadCassette as error:
            raise NotRecorded(f"{error}.") from None
        if names:
            missed = f"it was recorded {counted(len(names), 'time')} and is asked for the {number}. time"
        if self.on_miss == "upstream" and self.upstream:
            return self.passed_on(visit, asked, self.upstream)
        nearest = self.cassette.nearest(asked)
        told = "; ".join(str(each) for each in (missed, nearest, self.why_not) if each)
        if len(self.missed) < _MOST_MISSED:
            self.missed.append(f"{asked.method} {asked.path}: {told}")
        if self.on_miss == "mock":
            visit.note(f"the mock answers, since {told}")
            return None
        raise NotRecorded(f"{told}.")

    def _number(self, visit: Visit, asked: Asked, names: list[str]) -> int:
        """How often this request came in its session, as far as that chooses between recordings."""
        if not names or (len(names) == 1 and self.on_end == "repeat"):
            return len(names)
        return visit.memory.count(f"cassette {asked.key} {names[0]}")

    def asked(self, visit: Visit) -> Asked:
        """A visit's request, without secrets, as it was recorded."""
        headers = ((name.decode("latin-1"), value.decode("latin-1")) for name, value in visit.headers.items())
        kept = kept_headers(headers, REQUEST_HEADERS)
        hiding = self.hiding_of(visit.token)
        return Asked(
            visit.entry.endpoint,
            visit.head.method,
            visit.path.removeprefix(BASE),
            self.label(visit.token),
            hiding.headers(kept),
            hiding.body(visit.entry.body or b""),
        )

    def hiding_of(self, token: bytes) -> Hiding:
        """What hides the secrets of a request with this key."""
        upstream = self.upstream.key if self.upstream else ""
        return _hiding(self.hiding, token.decode("latin-1"), upstream)

    def label(self, token: bytes) -> str:
        """The label of a key, of the upstream's own if it has one; a digest too short to find the key by."""
        sent = self.upstream.key.encode() if self.upstream and self.upstream.key else token
        return f"key-{blake2b(sent, digest_size=3).hexdigest()}" if sent else "none"

    def recorded(self, asked: Asked) -> list[str]:
        """The recordings that answer a request. Raises BadCassette.

        Where nobody is asked, a key without recordings, as tests have, gets what other keys were answered.
        """
        return self.cassette.matching(asked, any_key=not self.upstream) if self.replays else []

    # Replaying.

    def replayed(self, visit: Visit, name: str) -> Reply | Effects:
        """A recorded answer."""
        recording = self.cassette.recording(name)
        self.used.add(name)
        visit.entry.rules.append(f"cassette {name}")
        headers = _header_list(recording.answer_headers)
        if not recording.streamed:
            reply = Reply(recording.status, recording.answer, headers, f"recorded {name}")
            after = recording.chunks[-1].after * self.timing if recording.chunks else 0.0
            return _delayed(after, reply) if after else reply
        return self._replayed_stream(recording, headers, name)

    def _replayed_stream(self, recording: Recording, headers: HeaderList, name: str) -> Effects:
        yield Begin(recording.status, headers)
        elapsed = 0.0
        for chunk in recording.chunks:
            pause = max(0.0, chunk.after * self.timing - elapsed)
            if pause:
                yield Wait(pause)
                elapsed += pause
            yield Piece(chunk.data)
        return Reply(recording.status, b"", headers, f"recorded {name}, streamed")

    # Recording.

    def passed_on(self, visit: Visit, asked: Asked, upstream: "Upstream") -> Effects:
        """The upstream's answer, as it comes; it is recorded at its end. Raises ApiError."""
        _expect_own_client(visit)
        sending = upstream.send(visit.head.method, asked.path, visit.headers, visit.entry.body or b"")
        try:
            answer = yield Await(sending)
            if isinstance(answer, UpstreamFailed):
                raise answer
            return (yield from self._recorded(visit, asked, answer))
        finally:  # also where the client has left, maybe before the answer began
            upstream.abandon(sending)

    def _recorded(self, visit: Visit, asked: Asked, answer: "UpstreamAnswer") -> Effects:
        kept = kept_headers(answer.headers, ANSWER_HEADERS)
        own = answer.upstream.key.encode()  # no client knows it, so none is told it
        headers = tuple((name, _without(value, own)) for name, value in _header_list(kept))
        streamed = is_stream(kept)
        chunks: list[Chunk] = []
        if streamed:
            yield Begin(answer.status, headers)
        while (data := (yield Await(answer.next_chunk()))) is not None:
            if isinstance(data, UpstreamFailed):
                if not streamed:
                    raise data
                visit.note(f"{data.message.rstrip('.')}; nothing was recorded")
                yield Break()
                return Reply(answer.status, b"", headers, "broke off")
            chunks.append(Chunk(round(answer.seconds(), 3), data))
            if streamed:
                yield Piece(_without(data, own))
        request = Recording(asked.method, asked.path, visit.entry.body or b"", asked.headers, asked.key)
        name = self.keep(visit, asked, request.answered(answer.status, answer.headers, chunks))
        subject = f"{name or 'not recorded'}, by {answer.upstream.host}"
        body = b"" if streamed else _without(b"".join(chunk.data for chunk in chunks), own)
        return Reply(answer.status, body, headers, subject)

    def keep(self, visit: Visit, asked: Asked, recording: Recording) -> str:
        """Write a recording into the cassette; returns the file's name, "" where it isn't written."""
        try:
            earlier = [] if self.replays else self._earlier(asked)
            name = self.write(self.ready(recording, visit.token), visit.token, earlier)
        except OSError as error:
            visit.note(f"nothing was recorded: {error.strerror or error}")
        except (KeyInside, BadCassette) as error:
            visit.note(f"nothing was recorded: {error}")
        else:
            self.used.add(name)
            return name
        return ""

    def ready(self, recording: Recording, token: bytes = b"") -> Recording:
        """A recording as it is written: without secrets, with its time and where it breaks the contract."""
        found = self.hiding_of(token).hidden(recording)
        at = f"{self.now():%Y-%m-%dT%H:%M:%S.%f}"[:-3] + "Z"
        return replace(found, recorded=recording.recorded or at, deviations=deviations_of(found))

    def write(self, recording: Recording, token: bytes = b"", instead_of: Collection[str] = ()) -> str:
        """Write a recording that is `ready`; returns the file's name. Raises KeyInside, OSError."""
        return self.cassette.add(recording, self.hiding_of(token).holds_key, instead_of)

    def _earlier(self, asked: Asked) -> list[str]:
        """What earlier runs recorded of a request that is recorded anew."""
        request = self.cassette.identity.of(asked), asked.key
        if request in self.renewed:
            return []
        self.renewed.add(request)
        return self.cassette.matching(asked)

    def unused(self) -> list[str]:
        """The recordings that answered nothing yet, by their files' names."""
        return sorted(self.cassette.listed.keys() - self.used)

    def close(self) -> None:
        self.cassette.close()
        if self.upstream:
            self.upstream.close()


def tape_of(folder: Path, settings: Settings, **options: Any) -> Tape:
    """The tape of a cassette's folder, under a config's rules as they are now. `options`: those of `Tape`.

    Raises BadCassette.
    """
    hiding = Hiding(tuple(map(os.fsdecode, settings.secrets)), settings.cassette.personal)
    return Tape(Cassette(folder, Identity(settings.cassette)), hiding=hiding, **options)


def _expect_own_client(visit: Visit) -> None:
    """Raise Forbidden for a request from elsewhere, since what is passed on may cost money.

    One without a peer comes from this process.
    """
    peer, host = visit.head.peer, visit.headers.get(b"host", b"localhost").decode("latin-1")
    if peer and not (is_this_machine(peer) and is_this_machine(host) and not is_foreign(visit.headers)):
        raise Forbidden("only programs on this machine are served: what is passed on costs money.")


@lru_cache(maxsize=64)
def _hiding(hiding: Hiding, *keys: str) -> Hiding:
    """What hides these keys too; to make it costs more than to use it."""
    return replace(hiding, keys=(*hiding.keys, *filter(None, keys)))


def _without(text: bytes, key: bytes) -> bytes:
    return text.replace(key, MASKED) if key else text


def _header_list(headers: Mapping[str, str]) -> HeaderList:
    return tuple((name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items())


def _delayed(seconds: float, reply: Reply) -> Effects:
    yield Wait(seconds)
    return reply
