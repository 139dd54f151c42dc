"""Checks that hold for every stream, and the choices that its pieces join to."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from openpipe_mock.contract.findings import Finding
from openpipe_mock.contract.probe import Exchange, parse_json
from openpipe_mock.core.eventstream import DONE_DATA, Event

from . import official_client
from .schemas import first_violations

Findings = Iterator[Finding]
_Chunk = dict[str, Any]

EXAMINED = tuple(
    f"chat.stream.{name}"
    for name in (
        "content_type",
        "no_cache",
        "events",
        "readable",
        "chunks",
        "one_id",
        "role",
        "order",
        "finish",
        "end",
    )
)


@dataclass
class Joined:
    """One choice of a stream.

    first     its first event
    late      events with content after its end
    repeated  a call's id is said more than once, or its name is repeated
    pieces    the texts that make up its content
    """

    pieces: list[str] = field(default_factory=list)
    refusal: str = ""
    roles: list[str] = field(default_factory=list)
    first: int = -1
    call: dict[str, str] = field(default_factory=dict)
    calls: dict[Any, dict[str, str]] = field(default_factory=dict)
    reasons: list[str] = field(default_factory=list)
    late: list[int] = field(default_factory=list)
    role_first: bool = False
    repeated: bool = False

    @property
    def content(self) -> str:
        return "".join(self.pieces)

    @property
    def cumulative(self) -> bool:
        """Whether each of three or more pieces begins with all of the one before."""
        pairs = [(before, now) for before, now in pairwise(self.pieces) if before.strip()]
        return len(pairs) > 1 and all(now != before and now.startswith(before) for before, now in pairs)

    def add(self, number: int, choice: dict[str, Any]) -> None:
        """Append the piece of a choice from event `number`."""
        delta = choice.get("delta")
        delta = delta if isinstance(delta, dict) else {}
        if self.first < 0:
            self.first, self.role_first = number, isinstance(delta.get("role"), str)
        if self.reasons and _carries(delta):
            self.late.append(number)
        if _text(delta.get("content")):
            self.pieces.append(delta["content"])
        self.refusal += _text(delta.get("refusal"))
        if isinstance(delta.get("role"), str):
            self.roles.append(delta["role"])
        if isinstance(delta.get("function_call"), dict):
            self.add_function(self.call, delta["function_call"])
        for call in delta.get("tool_calls") or () if isinstance(delta.get("tool_calls"), list) else ():
            if isinstance(call, dict):
                self.add_call(call)
        if isinstance(choice.get("finish_reason"), str):
            self.reasons.append(choice["finish_reason"])

    def add_call(self, call: dict[str, Any]) -> None:
        index = call.get("index")
        own = self.calls.setdefault(index if isinstance(index, int | float) else None, {})
        piece = call["function"] if isinstance(call.get("function"), dict) else {}
        self.repeated = self.repeated or bool(own.get("id") and call.get("id"))
        own["id"] = own.get("id", "") + _text(call.get("id"))
        self.add_function(own, piece)

    def add_function(self, own: dict[str, str], piece: dict[str, Any]) -> None:
        self.repeated = self.repeated or bool(own.get("name") and own["name"] == piece.get("name"))
        for name in ("name", "arguments"):
            own[name] = own.get(name, "") + _text(piece.get(name))

    def whole(self, index: Any) -> dict[str, Any]:
        """The choice as a plain answer has it."""
        calls = [
            {"id": call.get("id"), "function": {name: call.get(name, "") for name in ("name", "arguments")}}
            for call in self.calls.values()
        ]
        said = {"content": self.content, "refusal": self.refusal}
        return {
            "index": index,
            "message": {**said, "tool_calls": calls, "function_call": self.call},
            "finish_reason": self.reasons[0] if self.reasons else None,
        }


def broken(exchange: Exchange) -> Findings:
    """Every violation that a stream shows on its own."""
    yield from _head(exchange)
    yield from _frames(exchange)
    yield from _official_reading(exchange)
    yield from _pieces(exchange)
    yield from _whole(exchange)
    yield from _end(exchange)


def _official_reading(exchange: Exchange) -> Findings:
    """What the official Python client can't read. With criteria, a stream's choices may be sorted."""
    sorted_choices = bool(exchange.request.header("op-criteria"))
    if trouble := official_client.trouble(exchange.body, sorted_choices=sorted_choices):
        yield Finding("chat.stream.readable", f"the official Python client can't read it (sdk): {trouble}.")


def chunks(exchange: Exchange) -> list[_Chunk]:
    """The chunks of a stream. Events that are no JSON object are left out."""
    found = []
    for event in _events(exchange):
        value, problem = _parsed(event)
        if not problem and isinstance(value, dict):
            found.append(value)
    return found


def texts(exchange: Exchange) -> list[str]:
    """The data of the events that carry JSON."""
    return [event.data for event in _events(exchange)]


def joined(exchange: Exchange) -> dict[Any, Joined]:
    """The choices of a stream by their index."""
    found: dict[Any, Joined] = {}
    for number, chunk in enumerate(chunks(exchange)):
        choices = chunk.get("choices")
        for choice in choices if isinstance(choices, list) else ():
            if isinstance(choice, dict) and isinstance(choice.get("index"), int | float):
                found.setdefault(choice["index"], Joined()).add(number, choice)
    return found


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _carries(delta: dict[str, Any]) -> bool:
    """Whether a delta adds anything to the message."""
    return any(delta.get(name) for name in ("content", "refusal", "function_call", "tool_calls"))


def _events(exchange: Exchange) -> tuple[Event, ...]:
    """The events that carry JSON: those before [DONE]."""
    every = exchange.stream.events
    ends = [number for number, event in enumerate(every) if event.data.strip() == DONE_DATA]
    return every[: ends[0]] if ends else every


def _parsed(event: Event) -> tuple[Any, str]:
    return parse_json(event.data.encode("utf-8", "surrogatepass"))


def _head(exchange: Exchange) -> Findings:
    if exchange.media != "text/event-stream":
        seen = exchange.header("content-type") or "no content type"
        yield Finding("chat.stream.content_type", f"expected text/event-stream, got {seen}.")
    if "no-cache" not in exchange.header("cache-control").lower():
        seen = exchange.header("cache-control") or "no such header"
        yield Finding("chat.stream.no_cache", f"expected Cache-Control: no-cache, got {seen}.")


def _frames(exchange: Exchange) -> Findings:
    if not exchange.stream.events:
        yield Finding(
            "chat.stream.events", "the body holds no event: no `data:` line with a blank line behind."
        )
    elif not _utf8(exchange.body):
        yield Finding("chat.stream.events", "the stream is not encoded as UTF-8.")
    for number, event in enumerate(_events(exchange)):
        value, problem = _parsed(event)
        if problem:
            yield Finding("chat.stream.events", f"event {number} is no JSON: {problem}", f"/events/{number}")
            return
        if not isinstance(value, dict):
            yield Finding("chat.stream.events", f"event {number} is no JSON object.", f"/events/{number}")
            return


def _utf8(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


def _pieces(exchange: Exchange) -> Findings:
    """Violations of the schema: the first three, of the first chunk that has any."""
    for number, chunk in enumerate(chunks(exchange)):
        found = list(first_violations("ChatCompletionChunk", chunk, "the chunk"))
        for violation in found:
            yield Finding("chat.stream.chunks", violation.sentence, f"/events/{number}{violation.pointer}")
        if found:
            return


def _whole(exchange: Exchange) -> Findings:
    for name in ("id", "model", "created"):
        values = {repr(chunk.get(name)) for chunk in chunks(exchange)}
        if len(values) > 1:
            yield Finding("chat.stream.one_id", f"{len(values)} different values of {name} in one stream.")
    for index, choice in joined(exchange).items():
        yield from _complete(index, choice)


def _complete(index: Any, choice: Joined) -> Findings:
    if len(choice.reasons) != 1:
        seen = ", ".join(choice.reasons) or "none"
        yield Finding(
            "chat.stream.finish", f"choice {index} has {len(choice.reasons)} finish reasons: {seen}."
        )
    for number in choice.late[:1]:
        sentence = f"choice {index} goes on after its finish reason."
        yield Finding("chat.stream.order", sentence, f"/events/{number}")
    if not choice.role_first or len(choice.roles) != 1:
        sentence = f"choice {index} names its role {len(choice.roles)} times, not once in its first chunk."
        yield Finding("chat.stream.role", sentence, f"/events/{choice.first}")
    elif choice.roles != ["assistant"]:
        sentence = f"choice {index} has the role {choice.roles[0]}."
        yield Finding("chat.stream.role", sentence, f"/events/{choice.first}")


def _end(exchange: Exchange) -> Findings:
    every = exchange.stream.events
    behind = len(every) - len(_events(exchange)) - 1
    if behind > 0:
        yield Finding("chat.stream.end", f"{behind} events follow [DONE].", f"/events/{len(every) - behind}")
    if exchange.stream.unfinished:
        yield Finding(
            "chat.stream.end", "the body ends within an event, without the blank line that closes it."
        )
