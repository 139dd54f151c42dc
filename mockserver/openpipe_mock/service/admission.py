"""Check what must hold before an engine sees a request: key, type and size of the body, contract."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from ipaddress import ip_address
from itertools import accumulate, islice
from typing import Any

from openpipe_mock.config.settings import Validation
from openpipe_mock.core.effects import Headers
from openpipe_mock.core.errors import MOST_ISSUES, BadRequest, PayloadTooLarge, Unauthorized, Violation
from openpipe_mock.core.wording import MOST_COUNTED, quoted
from openpipe_mock.openapi.endpoints import ENDPOINTS
from openpipe_mock.openapi.spec import Checker, contract
from openpipe_mock.openapi.tolerances import Tolerance, tolerated
from openpipe_mock.openapi.violations import Findings, gathered

LOCAL_ORIGIN = r"https?://(?:(?:[\w-]+\.)*localhost|127\.0\.0\.1|\[::1\])(?::\d+)?"
"""Origins of pages whose scripts may call the mock: those served from this machine."""
_CHAT = ENDPOINTS["chat"].request
_LENIENCY = "The real service drops unknown properties; `--validation lenient` makes this mock do the same."


def authorize(headers: Headers, keys: Collection[str] = (), read_only: Collection[str] = ()) -> bytes:
    """Return the bearer token: one of the keys, or without `keys` any that doesn't begin with `invalid`.

    Read-only keys are keys too. Raises Unauthorized, whose message never repeats a key.
    """
    given = headers.get(b"authorization", b"")
    # Most requests are such; the steps below would say the same, only slower.
    if given[:7] == b"Bearer " and given[7:8].isalnum() and not keys and not read_only:
        token = given[7:].strip()
        if not token.startswith(b"invalid"):
            return token
    scheme, token = (*given.split(None, 1), b"", b"")[:2]
    token = token.strip()
    if not scheme:
        taken = "one of those that it was told to accept" if keys else "any key"
        raise Unauthorized(f"send the header `Authorization: Bearer KEY`; this mock takes {taken}.")
    if scheme.lower() != b"bearer":
        raise Unauthorized("the Authorization header has another scheme; send `Authorization: Bearer KEY`.")
    if not token:
        raise Unauthorized("the key is empty; send `Authorization: Bearer KEY` (is OPENPIPE_API_KEY set?).")
    known = token.decode("latin-1")
    if known in keys or known in read_only:
        return token
    if token.startswith(b"invalid"):
        raise Unauthorized('the key begins with "invalid", which this mock refuses on purpose.')
    if keys:
        raise Unauthorized("the key is none of those that this mock was told to accept.")
    return token


def is_foreign(headers: Headers) -> bool:
    """Whether a page of another site sent a request, as its browser says.

    An `Origin` that was sent decides: to browsers, `localhost` and `127.0.0.1` are two sites.
    """
    if headers.get(b"origin"):
        return has_foreign_origin(headers)
    return headers.get(b"sec-fetch-site") == b"cross-site"


def has_foreign_origin(headers: Headers) -> bool:
    """Whether a request names an origin that isn't on this machine."""
    origin = headers.get(b"origin", b"").decode("latin-1")
    return bool(origin) and not re.fullmatch(LOCAL_ORIGIN, origin)


def is_this_machine(host: str) -> bool:
    """Whether an address, or a `Host` with or without a port, is this machine's.

    A page from elsewhere can't have such a host.
    """
    name = re.sub(r"(?<=[^:]):[0-9]*$", "", host) if host.count(":") == 1 or "]" in host else host
    name = name.strip("[]").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


def announced(headers: Headers) -> int:
    """The body's length by its header, in bytes; 0 where the header is missing or no number."""
    length = headers.get(b"content-length", b"0")[:18]  # longer numbers are over any limit already
    return int(length) if length.isdigit() else 0


def too_large(limit: int) -> PayloadTooLarge:
    advice = "send less, or start the mock with a larger --max-body-bytes"
    return PayloadTooLarge(f"the limit is {limit} bytes; {advice}.")


def expect_json(headers: Headers) -> None:
    """Raise BadRequest for a body whose type is missing or isn't JSON, or that is compressed."""
    if headers.get(b"content-type") == b"application/json" and b"content-encoding" not in headers:
        return
    sent = headers.get(b"content-type", b"").decode("latin-1")
    media = sent.partition(";")[0].strip().lower()
    if media != "application/json" and not (media.startswith("application/") and media.endswith("+json")):
        seen = f"got {quoted(sent)}" if sent else "the header is missing"
        raise BadRequest(f"expected the header `Content-Type: application/json`, {seen}.")
    if headers.get(b"content-encoding", b"identity").strip().lower() not in (b"identity", b""):
        raise BadRequest("the body is compressed (Content-Encoding); send it uncompressed.")


@dataclass(frozen=True, slots=True)
class Validated:
    """What validation makes of a body: the body as it counts, or the `problem` for which it is refused.

    `violations`: what strict validation refuses. `tolerated`: what it takes and exact validation refuses: the
    pointer and the kind of each.
    """

    # No error stands here: its traceback would refer to the frame that holds it, a cycle.
    value: Any = None
    problem: str = ""
    violations: tuple[str, ...] = ()
    tolerated: tuple[tuple[str, Tolerance], ...] = ()


def validated(name: str, body: Any, validation: Validation, *, is_tidy: bool = False) -> Validated:
    """Hold a body that isn't valid as it is against the schema `name`.

    `is_tidy`: no member of it counts as absent.
    """
    exact = contract().checker(name)
    if not is_tidy and exact.is_valid(tidied := exact.tidy(body)):
        return Validated(tidied)
    strict = contract().tolerant_chat if name == _CHAT and validation != "exact" else exact
    tidied = body if is_tidy else strict.tidy(body)
    if strict is not exact and strict.is_valid(tidied):
        return Validated(tidied, tolerated=_tolerated(exact, tidied))
    beyond = _tolerated(exact, tidied, strict) if strict is not exact else ()
    loose = strict.coerced(strict.tidy(body, unknown=True)) if validation == "lenient" else tidied
    if validation == "lenient" and strict.is_valid(loose):
        return Validated(loose, "", _refusal(strict, tidied)[1], beyond)
    return Validated(None, *_refusal(strict, loose), beyond)


def _tolerated(
    exact: Checker, value: Any, strict: Checker | None = None
) -> tuple[tuple[str, Tolerance], ...]:
    """What exact validation refuses and strict takes. `strict`: given where it refuses the value too."""
    wrong = {
        place
        for violation in (islice(strict.violations(value), MOST_COUNTED) if strict else ())
        for place in accumulate(violation.pointer.split("/"), "{}/{}".format)
    }
    found = tolerated(islice(exact.violations(value), MOST_COUNTED), value)
    return tuple((place, kind) for place, kind in dict(found).items() if place not in wrong)


def _refusal(checker: Checker, value: Any) -> tuple[str, tuple[str, ...]]:
    """The message about a body that breaks its schema, and an issue for each violation."""
    found = gathered(checker.violations(value), MOST_ISSUES)
    if not found.shown:
        found = Findings((Violation("", "", f"it is no valid {checker.name}."),), 0)
    unknown = [each for each in found.shown if each.rule == "additionalProperties"]
    return f"{found.headline()}{f' {_LENIENCY}' if unknown else ''}", tuple(found.issues())
