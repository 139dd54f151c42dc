"""Reads the `op-*` headers of a chat request."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from openpipe_mock.core.effects import Headers
from openpipe_mock.core.errors import BadRequest
from openpipe_mock.core.wording import did_you_mean, quoted, shown
from openpipe_mock.openapi.violations import described

MODES = {
    "readWrite": (True, True),
    "readOnly": (True, False),
    "writeOnly": (False, True),
    "true": (True, True),
    "false": (False, False),
}
"""Value of `op-cache` → whether the cache is read, whether it is written. `true` and `false` are older."""


@dataclass(frozen=True, slots=True)
class HeaderOptions:
    """What the headers ask for. `tags`: as they were sent. `criteria`: the raw value of `op-criteria`.

    `log`: None where there is no such header at all.
    """

    log: bool | None = None
    tags: Mapping[str, Any] = field(default_factory=dict)
    reads_cache: bool = False
    writes_cache: bool = False
    criteria: bytes | None = None


TAGS = "header op-tags"
BAD_TAGS = "Failed to parse tags"
"""The service's words for tags that are no flat object (sdk)."""
_NONE = HeaderOptions()
_NAMES = frozenset((b"op-cache", b"op-log-request", b"op-tags", b"op-criteria"))


def read_options(headers: Headers) -> HeaderOptions:
    """Read the `op-*` headers. Raises BadRequest for a value that none of the official clients sends."""
    if _NAMES.isdisjoint(headers):
        return _NONE
    reads, writes = MODES[_one_of(headers, "op-cache", tuple(MODES), "false")]
    return HeaderOptions(
        log=_one_of(headers, "op-log-request", ("true", "false"), "true") == "true",
        tags=_tags(headers.get(b"op-tags", b"{}")),
        reads_cache=reads,
        writes_cache=writes,
        criteria=headers.get(b"op-criteria"),
    )


def _one_of(headers: Headers, name: str, known: tuple[str, ...], default: str) -> str:
    """The value of a header, which must be one of `known`. Raises BadRequest for any other."""
    value = headers.get(name.encode(), default.encode()).strip().decode("utf-8", "replace")
    if value in known:
        return value
    told = f"expected {described({'enum': known}, {})}, got {quoted(value)}."
    raise BadRequest.at(f"header {name}", told + did_you_mean(value, list(known)))


def _tags(header: bytes) -> dict[str, Any]:
    """The JSON object in `op-tags`. Its values are checked later, where the call is logged."""
    try:
        found = orjson.loads(header)
    except orjson.JSONDecodeError:
        raise _bad_tags(quoted(header.decode("utf-8", "replace"))) from None
    if not isinstance(found, dict):
        raise _bad_tags(shown(found))
    return found


def _bad_tags(seen: str) -> BadRequest:
    issue = f"{TAGS}: expected a JSON object, got {seen}."
    return BadRequest(issue, issues=[issue], words=BAD_TAGS)
