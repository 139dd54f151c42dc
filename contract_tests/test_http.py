"""Rules about HTTP as clients speak it: the case of header names, compression, connections that are kept."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from openpipe_mock.contract.findings import Finding
from openpipe_mock.contract.probe import NOT_DECODABLE, TOO_MANY_ENCODINGS, Exchange, NameCase, Request

from .builders import best_of, chatting, judging, streaming, user_messages
from .invariants import message_suffix
from .promises import (
    CaseContext,
    MakeVariants,
    Variant,
    one_case,
    reachable,
    refusal,
    require_answer,
    rule_for,
)
from .run import Unjudged
from .settings import RunSettings
from .test_completions import choices

Json = Any
Builder = Callable[[RunSettings], Request]

LONG = "lorem ipsum " * 500
"""A text that a server may leave unread when it refuses a request by its head."""


# Header names.


def spelled(build: Builder, name_case: NameCase) -> Builder:
    return lambda settings: replace(build(settings), name_case=name_case)


CASES: tuple[tuple[NameCase, str], ...] = (("title", ""), ("upper", "sdk"))
"""Ways to write header names, and the level of a refusal: the pages write `Authorization`."""


@rule_for(
    "judge.http.names",
    one_case(judging, *(spelled(judging, case) for case, _ in CASES)),
    rank=26,
    needs="",
)
@rule_for(
    "chat.http.names",
    one_case(best_of, *(spelled(best_of, case) for case, _ in CASES)),
    rank=26,
    needs="",
)
def test_header_names_are_read_in_any_case(context: CaseContext) -> Iterator[Finding]:
    """Judged also where nothing else can be: a server may read no names in lower case."""
    _require_reached_or_refused(context)
    lower, *others = (require_answer(context.ask(request)) for request in context.case.requests)
    if not lower.ok and not any(other.ok for other in others):
        raise Unjudged("no spelling of the header names was answered by 200")
    if not lower.ok:
        yield context.broken(_refused("lower", lower), about=lower, level="sdk")
    for (name_case, level), exchange in zip(CASES, others, strict=True):
        if not exchange.ok:
            yield context.broken(_refused(name_case, exchange), about=exchange, level=level)


def _refused(name_case: str, exchange: Exchange) -> str:
    return f"header names in {name_case} case were answered by {exchange.status}{message_suffix(exchange)}"


def _require_reached_or_refused(context: CaseContext) -> None:
    """Raise Unjudged where an endpoint neither answered nor refused a request, as any other server would."""
    reach = reachable(context.case.check.endpoint, context.run)
    last = reach.exchanges[-1] if reach.exchanges else None
    if not reach.known and not (last and last.status in (400, 401, 403, 415) and not last.parsed[1]):
        raise Unjudged(f"{context.case.check.endpoint} could not be reached")


@rule_for("criteria.header.name", one_case(best_of, spelled(best_of, "title")), rank=46)
def test_criteria_are_asked_for_by_a_header_in_any_case(context: CaseContext) -> Iterator[Finding]:
    """Judged where the header in lower case gets results."""
    lower, title = (require_answer(context.ask(request)) for request in context.case.requests)
    if not lower.ok or not all(map(_has_results, choices(lower.value))):
        raise Unjudged("criteria got no results by `op-criteria` either")
    yield from refusal(context, title)
    if title.ok and not all(map(_has_results, choices(title.value))):
        yield context.broken("`Op-Criteria` got no results, `op-criteria` did.", "/choices/0", about=title)


def _has_results(choice: dict[str, Json]) -> bool:
    return bool(choice.get("criteria_results"))


# The official client's headers at the judge.

PACKED = (("accept", "application/json"), ("accept-encoding", "gzip, deflate"))
"""As the official clients send them, for streams too."""
FERN = (
    ("x-fern-language", "Python"),
    ("x-fern-sdk-name", "openpipe"),
    ("x-fern-sdk-version", "5.0.0"),
    *PACKED,
    ("connection", "keep-alive"),
    ("user-agent", "python-httpx/0.28.1"),
)


def official(settings: RunSettings) -> Request:
    plain = judging(settings)
    return replace(plain, headers=(*plain.headers, *FERN), name_case="title")


@rule_for("judge.headers.official", one_case(official), rank=46)
def test_the_judge_takes_the_official_client_s_headers(context: CaseContext) -> Iterator[Finding]:
    yield from refusal(context, require_answer(context.ask(context.case.requests[0])))


# Compression.


def packed(build: Builder) -> Builder:
    def made(settings: RunSettings) -> Request:
        plain = build(settings)
        return replace(plain, headers=(*plain.headers, *PACKED))

    return made


def long_chatting(settings: RunSettings) -> Request:
    """Some servers compress long answers alone."""
    return chatting(settings, n=8 if settings.local else settings.choices)


def long_streaming(settings: RunSettings) -> Request:
    return streaming(settings, n=8 if settings.local else settings.choices)


def broken_judging(settings: RunSettings) -> Request:
    return judging(settings, output=None)


@rule_for("judge.http.compression", one_case(official, packed(broken_judging)), rank=46)
@rule_for("chat.http.compression", one_case(packed(long_chatting), packed(long_streaming)), rank=46)
def test_compressed_answers_can_be_read(context: CaseContext) -> Iterator[Finding]:
    """Answers and refusals alike."""
    for request in context.case.requests:
        exchange = context.ask(request)
        if exchange.failure in (NOT_DECODABLE, TOO_MANY_ENCODINGS):
            yield context.broken(f"{exchange.failure}.", about=exchange)
        elif trouble := _unread(require_answer(exchange)):
            yield context.broken(f"to a client that accepts gzip, {trouble}", about=exchange)


def _unread(exchange: Exchange) -> str:
    """Why the body is nothing to a client that takes gzip and deflate, "" where it is something."""
    if exchange.media == "text/event-stream":
        return "" if exchange.stream.events else "the stream has no event."
    return f"the body is no JSON: {exchange.parsed[1]}" if exchange.parsed[1] else ""


# Connections that are kept.


def with_long_body(settings: RunSettings) -> Request:
    return judging(settings, input={"messages": user_messages(LONG)})


def without_key(settings: RunSettings) -> Request:
    return replace(with_long_body(settings), credential="none")


def lost(settings: RunSettings) -> Request:
    return replace(with_long_body(settings), path="/no/such/path")


def sequence(name: str, *builders: Builder) -> MakeVariants:
    """Requests that are sent in turn on one connection, none of them ahead."""
    return lambda settings: [
        Variant(
            (),
            facts=tuple(replace(build(settings), connection=name) for build in builders),
            further=len(builders),
        )
    ]


@rule_for("judge.http.kept", sequence("judge", without_key, judging), rank=46, alone=True)
@rule_for("chat.http.kept", sequence("chat", lost, streaming), rank=46, alone=True)
def test_a_kept_connection_serves_the_next_request(context: CaseContext) -> Iterator[Finding]:
    """Whatever came of the first request, with a body that the server may not have read."""
    first, exchange = (context.anew(request) for request in context.facts)
    told = f"on a connection whose last answer was {first.status}"
    if first.status and exchange.failure:
        yield context.broken(f"{told}, the next request failed: {exchange.failure}.", about=exchange)
    elif not require_answer(exchange).ok:
        sentence = f"{told}, a valid request was answered by {exchange.status}{message_suffix(exchange)}"
        yield context.broken(sentence, about=exchange)
