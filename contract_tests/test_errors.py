"""Rules about errors. The class of the status counts and the body, no status that isn't documented."""

from collections.abc import Iterator
from dataclasses import replace

from openpipe_mock.contract.findings import Finding
from openpipe_mock.contract.probe import Request
from openpipe_mock.openapi.spec import contract

from .builders import CHAT, JUDGE, chatting, judging, post, streaming
from .promises import Builder, CaseContext, further_cases, one_case, reachable, require_answer, rule_for
from .run import Unjudged
from .settings import RunSettings, plain
from .test_completions import in_stream

MALFORMED = b'{"criterion_id": "criterion-1", "output": {"role": "assistant",}'
UNKNOWN = "no-such-name-of-the-contract-suite"


def refused(context: CaseContext, what: str) -> Iterator[Finding]:
    for request in context.case.requests:
        exchange = require_answer(context.ask(request))
        if not exchange.refused:
            yield context.broken(f"{what} was answered by {exchange.status}.")


def refused_or_taken(context: CaseContext, what: str) -> Iterator[Finding]:
    """As `refused`, but a 200 is only lenient: mocks accept ids that they don't know."""
    for request in context.case.requests:
        exchange = require_answer(context.ask(request))
        if exchange.ok:
            yield context.lenient(f"{what} was answered by 200.")
        elif not exchange.refused:
            yield context.broken(f"{what} was answered by {exchange.status}.")


def raw(path: str, body: bytes) -> Builder:
    return lambda settings: post(path, body)


def typed(build: Builder, media: str) -> Builder:
    return lambda settings: replace(build(settings), headers=(("content-type", media),))


def keyed(build: Builder, credential: str) -> Builder:
    return lambda settings: replace(build(settings), credential=credential)  # type: ignore[arg-type]


def got(path: str) -> Builder:
    return lambda settings: Request("GET", path)


@rule_for("judge.errors.malformed_json", one_case(raw(JUDGE, MALFORMED)), rank=10)
@rule_for("chat.errors.malformed_json", one_case(raw(CHAT, MALFORMED)), rank=10)
def test_what_is_no_json_is_refused(context: CaseContext) -> Iterator[Finding]:
    return refused(context, "a body that is no JSON")


@rule_for("judge.errors.empty_body", one_case(raw(JUDGE, b"")), rank=20)
@rule_for("chat.errors.empty_body", one_case(raw(CHAT, b"")), rank=20)
def test_an_empty_body_is_refused(context: CaseContext) -> Iterator[Finding]:
    return refused(context, "an empty body")


@rule_for("judge.errors.not_an_object", one_case(raw(JUDGE, b"[]")), rank=20)
@rule_for("chat.errors.not_an_object", one_case(raw(CHAT, b"[]")), rank=20)
def test_a_list_is_refused(context: CaseContext) -> Iterator[Finding]:
    return refused(context, "a list in place of an object")


@rule_for("judge.errors.content_type", one_case(typed(judging, "text/plain")), rank=40)
@rule_for("chat.errors.content_type", one_case(typed(chatting, "text/plain")), rank=40)
def test_another_content_type_is_refused(context: CaseContext) -> Iterator[Finding]:
    return refused(context, "a body of the type text/plain")


@rule_for("judge.errors.missing_key", one_case(keyed(judging, "none")), rank=10)
@rule_for("chat.errors.missing_key", one_case(keyed(chatting, "none"), keyed(streaming, "none")), rank=10)
def test_a_key_is_wanted(context: CaseContext) -> Iterator[Finding]:
    return refused(context, "a request without a key")


@rule_for("judge.errors.wrong_key", one_case(keyed(judging, "wrong")), rank=22)
@rule_for("chat.errors.wrong_key", one_case(keyed(chatting, "wrong"), keyed(streaming, "wrong")), rank=22)
def test_a_wrong_key_is_refused(context: CaseContext) -> Iterator[Finding]:
    return refused(context, "a key that doesn't exist")


@rule_for("judge.errors.method", one_case(got(JUDGE)), rank=24)
@rule_for("chat.errors.method", one_case(got(CHAT)), rank=24)
def test_another_method_is_refused(context: CaseContext) -> Iterator[Finding]:
    return refused(context, "GET")


@rule_for(
    "errors.unknown_path",
    one_case(lambda settings: replace(judging(settings), path="/no/such/path")),
    rank=26,
    further=1,
)
def test_an_unknown_path_is_refused(context: CaseContext) -> Iterator[Finding]:
    if not any(reachable(endpoint, context.run).known for endpoint in ("judge", "chat")):
        raise Unjudged("no path of the server could be reached")
    yield from refused(context, "a path that doesn't exist")
    exchange = require_answer(context.ask(context.case.requests[0]))
    if exchange.refused:
        value, trouble = exchange.parsed
        every = () if trouble else contract().checker("ChatError").violations(value, "the answer")
        for violation in every:
            if not violation.pointer.startswith(("/issues", "/error")):
                yield context.broken(violation.sentence, violation.pointer)
        if trouble:
            yield context.broken(f"the body of the {exchange.status} is no JSON: {trouble}")


@rule_for("judge.errors.unknown_criterion", one_case(lambda settings: judging(settings, UNKNOWN)), rank=20)
def test_an_unknown_criterion_is_refused(context: CaseContext) -> Iterator[Finding]:
    return refused_or_taken(context, "a criterion that doesn't exist")


@rule_for(
    "judge.errors.unknown_version",
    one_case(lambda settings: judging(settings, f"{plain(settings.criterion)}@v987654")),
    rank=20,
)
def test_an_unknown_version_is_refused(context: CaseContext) -> Iterator[Finding]:
    return refused_or_taken(context, "a version that doesn't exist")


@rule_for(
    "judge.errors.unreadable_criterion",
    one_case(lambda settings: judging(settings, f"{plain(settings.criterion)}@@v")),
    rank=40,
)
def test_an_unreadable_criterion_is_refused(context: CaseContext) -> Iterator[Finding]:
    return refused(context, "an id of no known form")


def unknown_model(settings: RunSettings) -> Request:
    return chatting(settings, model=f"openpipe:{UNKNOWN}")


@rule_for("chat.errors.unknown_model", one_case(unknown_model), rank=20)
def test_an_unknown_model_is_refused(context: CaseContext) -> Iterator[Finding]:
    return refused_or_taken(context, "a model that doesn't exist")


@rule_for(
    "chat.errors.unknown_model", further_cases(stream=(unknown_model, in_stream(unknown_model))), rank=20
)
def test_an_unknown_model_is_refused_in_a_stream_too(context: CaseContext) -> Iterator[Finding]:
    """A server that knows its models knows them in a stream; one that takes any takes any there."""
    plain, streamed = context.exchanges()
    if plain.refused and not streamed.refused:
        sentence = (
            f"a model that is refused by {plain.status} gets {streamed.status} where a stream is asked for."
        )
        yield context.broken(sentence, about=streamed)
