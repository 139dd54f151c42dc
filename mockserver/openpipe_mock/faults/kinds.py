"""The faults that a config file or a test may declare, and the function that reads them."""

from collections.abc import Mapping
from dataclasses import dataclass

import orjson

from openpipe_mock.core.reading import At, Json, part_digest, present_keys, seconds, whole
from openpipe_mock.matching.conditions import ALWAYS, When, part_when


@dataclass(frozen=True, slots=True)
class ErrorAnswer:
    """An error in place of an answer. `message`, `code`: "" for the mock's own.

    `body`: the whole body, None for the API's own form.
    """

    status: int
    message: str = ""
    code: str = ""
    body: bytes | None = None


@dataclass(frozen=True, slots=True)
class Drip:
    """Sends an answer `size` bytes at a time, `seconds` apart."""

    size: int = 16
    seconds: float = 0.05


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong with a request that meets `when`, at its turn.

    When it strikes: `call`: at the n-th such request alone. `every`: at each n-th. `first`: at the first n.
    `share`: at this share of contents. Where several are given, all must hold.

    What it does: `delay`: waits so many seconds before anything else. `error`: an error in place of the
    answer. `retry_after`: the seconds in its header. `drip`: sends the answer slowly. `disconnect`: the
    connection breaks, before the answer, or after `after_events` events or `after_bytes` bytes of it.
    `malformed`: the body is no JSON. `truncated`: the body is cut in the middle. `empty`: there is no body.
    `content_type`: replaces the right one. `raw`: any JSON text as the body. `error_event`: a stream ends
    with an error event of this message, after `after_events`. `endless`: a stream goes on until the settings'
    bound. What only streams can have leaves other answers as they are.

    `name`: the user's name for it. `place`: its JSON pointer. `counter`: the name of its count. `lot`: names
    the draw of its share; it is made from the fault's own text, so that a fault that moves in the file
    strikes the same contents.
    """

    when: When = ALWAYS
    call: int | None = None
    every: int | None = None
    first: int | None = None
    share: float | None = None
    delay: float = 0.0
    error: ErrorAnswer | None = None
    retry_after: float | None = None
    drip: Drip | None = None
    disconnect: bool = False
    after_events: int | None = None
    after_bytes: int | None = None
    malformed: bool = False
    truncated: bool = False
    empty: bool = False
    content_type: str | None = None
    error_event: str | None = None
    endless: bool = False
    raw: bytes | None = None
    name: str = ""
    place: str = ""
    counter: str = ""
    lot: str = ""

    def __str__(self) -> str:
        return f"{self.place} ({self.name})" if self.name else self.place


_BROKEN_STREAM = "The mock broke this stream."
"""The message of an error event that has none of its own."""


def read_fault(value: Json, at: At) -> Fault:
    """Build a fault from a value whose shape is right; note in `at` what else is wrong with it."""
    _check_turns(value, at)
    flags = ("disconnect", "malformed", "truncated", "empty", "endless")
    return Fault(
        part_when(value, at),
        **whole(value, **{key: key for key in ("call", "every", "first", "after_events", "after_bytes")}),
        **present_keys(
            value, **{key: key for key in ("share", "retry_after", "content_type", "name", *flags)}
        ),
        **seconds(value, delay_ms="delay"),
        error=_read_error(value),
        drip=_read_drip(value["drip"]) if "drip" in value else None,
        error_event=_read_error_event(value.get("error_event")),
        raw=_body_of(value, "raw"),
        place=at.place,
        counter=at.counter(value),
        lot=part_digest(value),
    )


def _check_turns(value: Json, at: At) -> None:
    """Note in `at` combinations of `call`, `every` and `first` that no request ever meets."""
    turn, every, first = value.get("call"), value.get("every", 1), value.get("first")
    if turn and turn % every:
        told = (
            f'"call": {turn} is no multiple of "every": {every}, so this never happens; remove one of them.'
        )
        at.at("every").wrong("every", told)
    if first and first < (turn or every):
        told = f"the first {first} requests end before it is this fault's turn, so this never happens."
        at.at("first").wrong("first", told)


def _read_error(value: Json) -> ErrorAnswer | None:
    if "status" not in value:
        return None
    texts = present_keys(value, message="message", code="code")
    return ErrorAnswer(int(value["status"]), **texts, body=_body_of(value, "body"))


def _body_of(value: Json, key: str) -> bytes | None:
    """The bytes of a body: a text as it stands where the fault's content type is not JSON, else its JSON."""
    if key not in value:
        return None
    body, media = value[key], value.get("content_type", "json").partition(";")[0].strip().lower()
    return body.encode() if isinstance(body, str) and not media.endswith("json") else orjson.dumps(body)


def _read_drip(value: Json) -> Drip:
    return Drip(**whole(value, bytes="size"), **seconds(value, every_ms="seconds"))


def _read_error_event(value: Json) -> str | None:
    found: str | None = _BROKEN_STREAM if value is True else value
    return found


RETRY_AFTER: Mapping[int, float] = {429: 1.0, 503: 1.0}
"""Status → seconds in `Retry-After`, for the statuses with which servers usually send it."""
