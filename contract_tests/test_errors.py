"""Every way into an error: the class of the status counts, and the body, not an undocumented number."""

from collections.abc import Callable, Iterator
from dataclasses import replace

from openpipe_mock.contract.checks import Finding
from openpipe_mock.contract.probe import Request

from .builders import CHAT, JUDGE, chatting, judging, post
from .invariants import checker
from .promises import Scene, answered, one, promise, reachable
from .run import Unjudged
from .settings import Aim, plain

Builder = Callable[[Aim], Request]

MALFORMED = b'{"criterion_id": "criterion-1", "output": {"role": "assistant",}'
UNKNOWN = "no-such-name-of-the-contract-suite"


def refused(scene: Scene, what: str) -> Iterator[Finding]:
    for request in scene.case.requests:
        exchange = answered(scene.ask(request))
        if not exchange.refused:
            yield scene.broken(f"{what} was answered by {exchange.status}.")


def refused_or_taken(scene: Scene, what: str) -> Iterator[Finding]:
    """As `refused`; but a double that knows no such thing accepts more, and that is no break."""
    for request in scene.case.requests:
        exchange = answered(scene.ask(request))
        if exchange.ok:
            yield scene.lenient(f"{what} was answered by 200.")
        elif not exchange.refused:
            yield scene.broken(f"{what} was answered by {exchange.status}.")


def raw(path: str, body: bytes) -> Builder:
    return lambda aim: post(path, body)


def typed(build: Builder, media: str) -> Builder:
    return lambda aim: replace(build(aim), headers=(("content-type", media),))


def keyed(build: Builder, credential: str) -> Builder:
    return lambda aim: replace(build(aim), credential=credential)  # type: ignore[arg-type]


def got(path: str) -> Builder:
    return lambda aim: Request("GET", path)


@promise("judge.errors.malformed_json", one(raw(JUDGE, MALFORMED)), rank=10)
def test_the_judge_refuses_what_is_no_json(scene: Scene) -> Iterator[Finding]:
    return refused(scene, "a body that is no JSON")


@promise("chat.errors.malformed_json", one(raw(CHAT, MALFORMED)), rank=10)
def test_chat_refuses_what_is_no_json(scene: Scene) -> Iterator[Finding]:
    return refused(scene, "a body that is no JSON")


@promise("judge.errors.empty_body", one(raw(JUDGE, b"")), rank=20)
def test_the_judge_refuses_an_empty_body(scene: Scene) -> Iterator[Finding]:
    return refused(scene, "an empty body")


@promise("chat.errors.empty_body", one(raw(CHAT, b"")), rank=20)
def test_chat_refuses_an_empty_body(scene: Scene) -> Iterator[Finding]:
    return refused(scene, "an empty body")


@promise("judge.errors.not_an_object", one(raw(JUDGE, b"[]")), rank=20)
def test_the_judge_refuses_a_list(scene: Scene) -> Iterator[Finding]:
    return refused(scene, "a list in place of an object")


@promise("chat.errors.not_an_object", one(raw(CHAT, b"[]")), rank=20)
def test_chat_refuses_a_list(scene: Scene) -> Iterator[Finding]:
    return refused(scene, "a list in place of an object")


@promise("judge.errors.content_type", one(typed(judging, "text/plain")), rank=40)
def test_the_judge_refuses_another_content_type(scene: Scene) -> Iterator[Finding]:
    return refused(scene, "a body of the type text/plain")


@promise("chat.errors.content_type", one(typed(chatting, "text/plain")), rank=40)
def test_chat_refuses_another_content_type(scene: Scene) -> Iterator[Finding]:
    return refused(scene, "a body of the type text/plain")


@promise("judge.errors.missing_key", one(keyed(judging, "none")), rank=10)
def test_the_judge_wants_a_key(scene: Scene) -> Iterator[Finding]:
    return refused(scene, "a request without a key")


@promise("chat.errors.missing_key", one(keyed(chatting, "none")), rank=10)
def test_chat_wants_a_key(scene: Scene) -> Iterator[Finding]:
    return refused(scene, "a request without a key")


@promise("judge.errors.wrong_key", one(keyed(judging, "wrong")), rank=22)
def test_the_judge_refuses_a_wrong_key(scene: Scene) -> Iterator[Finding]:
    return refused(scene, "a key that doesn't exist")


@promise("chat.errors.wrong_key", one(keyed(chatting, "wrong")), rank=22)
def test_chat_refuses_a_wrong_key(scene: Scene) -> Iterator[Finding]:
    return refused(scene, "a key that doesn't exist")


@promise("judge.errors.method", one(got(JUDGE)), rank=24)
def test_the_judge_refuses_another_method(scene: Scene) -> Iterator[Finding]:
    return refused(scene, "GET")


@promise("chat.errors.method", one(got(CHAT)), rank=24)
def test_chat_refuses_another_method(scene: Scene) -> Iterator[Finding]:
    return refused(scene, "GET")


@promise(
    "errors.unknown_path", one(lambda aim: replace(judging(aim), path="/no/such/path")), rank=26, further=1
)
def test_an_unknown_path_is_refused(scene: Scene) -> Iterator[Finding]:
    if not any(reachable(endpoint, scene.run).known for endpoint in ("judge", "chat")):
        raise Unjudged("no path of the server could be reached")
    yield from refused(scene, "a path that doesn't exist")
    exchange = answered(scene.ask(scene.case.requests[0]))
    if exchange.refused:
        value, trouble = exchange.parsed
        for violation in () if trouble else checker("ChatError").violations(value):
            if not violation.pointer.startswith(("/issues", "/error")):
                yield scene.broken(
                    violation.sentence.replace("the request body", "the answer"), violation.pointer
                )
        if trouble:
            yield scene.broken(f"the body of the {exchange.status} is no JSON: {trouble}")


@promise("judge.errors.unknown_criterion", one(lambda aim: judging(aim, UNKNOWN)), rank=20)
def test_an_unknown_criterion_is_refused(scene: Scene) -> Iterator[Finding]:
    return refused_or_taken(scene, "a criterion that doesn't exist")


@promise(
    "judge.errors.unknown_version", one(lambda aim: judging(aim, f"{plain(aim.criterion)}@v987654")), rank=20
)
def test_an_unknown_version_is_refused(scene: Scene) -> Iterator[Finding]:
    return refused_or_taken(scene, "a version that doesn't exist")


@promise(
    "judge.errors.unreadable_criterion", one(lambda aim: judging(aim, f"{plain(aim.criterion)}@@v")), rank=40
)
def test_an_unreadable_criterion_is_refused(scene: Scene) -> Iterator[Finding]:
    return refused(scene, "an id of no known form")


@promise("chat.errors.unknown_model", one(lambda aim: chatting(aim, model=f"openpipe:{UNKNOWN}")), rank=20)
def test_an_unknown_model_is_refused(scene: Scene) -> Iterator[Finding]:
    return refused_or_taken(scene, "a model that doesn't exist")
