"""Parse the parameters, bodies and filters of requests to the control API."""

import json
import re
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeVar
from urllib.parse import parse_qsl

from openpipe_mock.answers.judge import GRAMMAR, REFERENCE
from openpipe_mock.config import file as configfile
from openpipe_mock.config.settings import Unknown
from openpipe_mock.core.effects import Effect, Head, ReadBody
from openpipe_mock.core.errors import MOST_ISSUES, BadRequest, PayloadTooLarge, Violation
from openpipe_mock.core.pointers import pointer_to
from openpipe_mock.core.strictjson import parse
from openpipe_mock.core.wording import did_you_mean, listed, quoted, shown
from openpipe_mock.openapi.endpoints import ENDPOINTS
from openpipe_mock.openapi.violations import gathered
from openpipe_mock.service.admission import announced
from openpipe_mock.sessions.diagnosis import Expectation
from openpipe_mock.sessions.inspection import VALIDITY, JournalFilter

Json = Any
_Part = TypeVar("_Part")

MOST_BODY = 2**20
"""Bytes of a body that are read."""
_DEFAULT_LIMIT, MOST_LISTED = 100, 1000
MOST_EXPECTED = 1_000_000


@dataclass(frozen=True, slots=True)
class Order:
    """A request to the control API.

    `session`: the name of the session that is meant, "" for the default one. `argument`: the part of the path
    that its route names. `body`: the parsed body, None without one.
    """

    head: Head
    session: str
    argument: str = ""
    query: Mapping[str, str] = field(default_factory=dict)
    body: Json = None


def query_arguments(query: bytes, known: Sequence[str]) -> dict[str, str]:
    """The parameters of a query. Raises BadRequest for one that is unknown or given twice."""
    try:
        pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True, max_num_fields=100)
    except ValueError:
        raise BadRequest("the query has more than 100 parameters.") from None
    given: dict[str, str] = {}
    for name, value in pairs:
        if name not in known:
            known_ones = f"known are {listed(map(quoted, known), 'and')}"
            sentence = f"unknown parameter; {known_ones}.{did_you_mean(name, list(known))}"
            raise BadRequest.at(f"query {quoted(name)}", sentence)
        if name in given:
            raise BadRequest.at(f"query {quoted(name)}", "given twice; once is enough.")
        given[name] = value
    return given


def read_body(head: Head, kind: str) -> Generator[Effect, Any, Json]:
    """The parsed body, None for an optional one that is empty, bytes for a text. Raises ApiError.

    `kind`: see `Route.body`.
    """
    body: bytes | None = None
    if announced(head.headers) <= MOST_BODY:
        body = yield ReadBody(MOST_BODY)
    if body is None:
        raise PayloadTooLarge(f"the control API reads {MOST_BODY} bytes; send less.")
    if kind == "optional" and not body:
        return None
    if kind == "text":
        return body
    value = parse(body)
    json.loads(body, object_pairs_hook=_distinct)  # `parse` accepts a key that stands twice
    return value


def _distinct(members: list[tuple[str, Json]]) -> None:
    """Raise BadRequest for a key that stands twice, as in the config file: only one of them could count."""
    seen: set[str] = set()
    for name, _ in members:
        if name in seen:
            raise BadRequest(f"the key {quoted(name)} stands twice in one object of the body; remove one.")
        seen.add(name)


def reference(written: str) -> tuple[str, int]:
    """The name and the version of a criterion's id, 0 without a version. Raises BadRequest."""
    match = REFERENCE.fullmatch(written)
    if match is None:
        raise BadRequest.at("path", f"{quoted(written)} is no criterion id. {GRAMMAR}")
    return match["name"], int(match["version"] or 0)


# Bodies.


def _refused(violations: Iterable[Violation]) -> BadRequest:
    """The refusal of a body: each violation an issue, the first in the message."""
    found = gathered(iter(violations), MOST_ISSUES)
    return BadRequest(found.headline(), issues=found.issues())


def part(read: Callable[[], _Part], pointer: str = "") -> _Part:
    """The part of a config that `read` returns. `pointer`: where it stands in the body. Raises BadRequest."""
    try:
        return read()
    except configfile.Mistakes as error:
        raise _refused(_moved(error.violations, pointer)) from None


def checked_rules(parse: Callable[..., Any], value: Json) -> list[Json]:
    """The rules in a body that is one or a list of them. Raises BadRequest with all their mistakes."""
    values = value if isinstance(value, list) else [value]
    if not values:
        raise BadRequest.at("body", "expected a rule or a list of rules, got an empty list.")
    wrong: list[Violation] = []
    for index, each in enumerate(values):
        try:
            parse(each, place="")
        except configfile.Mistakes as error:
            wrong += _moved(error.violations, f"/{index}" if values is value else "")
    if wrong:
        raise _refused(wrong)
    return values


def _moved(violations: Iterable[Violation], pointer: str) -> Iterator[Violation]:
    for violation in violations:
        yield replace(violation, pointer=pointer + violation.pointer)


def body_members(body: Json, known: Sequence[str]) -> Mapping[str, Json]:
    """Return a body that is an object with these members alone. Raises BadRequest for any other."""
    names = listed(map(quoted, known), "and")
    if not isinstance(body, dict):
        raise BadRequest.at("body", f"expected an object with {names}, got {shown(body)}.")

    def told(name: str) -> str:
        return f"unknown property; known are {names}.{did_you_mean(name, list(known))}"

    unknown = [name for name in body if name not in known]
    if unknown:
        rule = "additionalProperties"
        raise _refused(Violation(pointer_to(name), rule, partial(told, name)) for name in unknown)
    return body


EXPECTATIONS = ("exactly", "at_least", "at_most")


def expectation(body: Mapping[str, Json]) -> Expectation:
    """How many requests a verification expects; by default at least one. Raises BadRequest."""
    given = [name for name in EXPECTATIONS if name in body]
    if not given:
        return Expectation()
    if len(given) > 1:
        several = listed(map(quoted, EXPECTATIONS), "and")
        raise BadRequest.at("body", f"expected one of {several}, got {len(given)} of them.")
    [name] = given
    number = body[name]
    if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number <= MOST_EXPECTED:
        told = f"expected a whole number from 0 to {MOST_EXPECTED}, got {shown(number)}."
        raise BadRequest.at(f"/{name}", told)
    return Expectation(name, number)


def unknown_criteria(body: Mapping[str, Json]) -> Unknown | None:
    """What shall become of criteria that aren't declared. Raises BadRequest."""
    value: Unknown | None = body.get("unknown_criteria", "")
    if value not in ("judge", "not_found", None):
        told = f'expected "judge", "not_found" or null, got {shown(value)}.'
        raise BadRequest.at("/unknown_criteria", told)
    return value


def session_name(body: Mapping[str, Json]) -> str | None:
    """The name for a new session, None for any. Raises BadRequest."""
    name = body.get("name")
    if name is not None and (not isinstance(name, str) or not name):
        raise BadRequest.at("/name", f"expected a name, got {shown(name)}.")
    return name


# Filters of the journal.

JOURNAL_FORMATS = ("json", "ndjson", "har")
"""Formats of the journal: a list, and those that `sessions.export` has."""
FILTERS = ("endpoint", "criterion", "status", "validity")
STATUS_FILTER = re.compile(r"[1-5](?:[0-9]{2}|xx)|0")
_VALIDITIES = tuple(VALIDITY.values())
_CHECKS: Mapping[str, tuple[Callable[[str], object], str]] = {
    "endpoint": (ENDPOINTS.__contains__, listed(map(quoted, ENDPOINTS), "or")),
    "criterion": (bool, 'a criterion, as in "helpful" or "helpful@v2"'),
    "status": (
        STATUS_FILTER.fullmatch,
        "a status, as in 429, or a class of them, as in 4xx; 0: the connection broke before an answer",
    ),
    "validity": (_VALIDITIES.__contains__, listed(map(quoted, _VALIDITIES), "or")),
    "format": (JOURNAL_FORMATS.__contains__, listed(map(quoted, JOURNAL_FORMATS), "or")),
    "limit": (
        lambda value: re.fullmatch("[0-9]{1,4}", value) and 1 <= int(value) <= MOST_LISTED,
        f"a whole number from 1 to {MOST_LISTED}",
    ),
}
"""Parameter → a function that accepts its values, and a description of them."""


def _checked(name: str, query: Mapping[str, str], otherwise: str = "") -> str:
    """The value of a parameter, `otherwise` without one. Raises BadRequest for an invalid value."""
    fits, expected = _CHECKS[name]
    if name in query and not fits(query[name]):
        raise BadRequest.at(f"query {quoted(name)}", f"expected {expected}, got {quoted(query[name])}.")
    return query.get(name, otherwise)


def filtered(query: Mapping[str, str]) -> JournalFilter:
    """The filter of the journal that a query describes. Raises BadRequest."""
    return JournalFilter(**{name: _checked(name, query) for name in FILTERS})


def limit(query: Mapping[str, str]) -> int:
    """How many exchanges a list shows, an export by default all. Raises BadRequest."""
    most = _DEFAULT_LIMIT if export_format(query) == JOURNAL_FORMATS[0] else MOST_LISTED
    return int(_checked("limit", query, str(most)))


def export_format(query: Mapping[str, str]) -> str:
    """The format of the journal that is wanted. Raises BadRequest."""
    return _checked("format", query, "json")
