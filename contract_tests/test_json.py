"""Rules about JSON that is odd: parsers read it differently, or not at all."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace

from openpipe_mock.contract.findings import Finding
from openpipe_mock.contract.probe import Request, wire

from .builders import CHAT, JUDGE, chat_body, chatting, judge_body, judging, logging, post, user_messages
from .promises import CaseContext, MakeVariants, Variant, one_case, refusal, require_answer, rule_for
from .settings import RunSettings

MARK, NUMBER = "odd-text", 777_777_777
"""What the bodies have in places where they are made odd."""
_MARK, _NUMBER = MARK.encode(), str(NUMBER).encode()

BYTES, BEYOND = "bytes that are no UTF-8", "a number beyond a double"
ODD: dict[str, Callable[[bytes], bytes]] = {
    "a byte order mark": lambda body: b"\xef\xbb\xbf" + body,
    BYTES: lambda body: body.replace(_MARK, b"caf\xe9"),
    "a key twice, and half of a surrogate pair": lambda body: (
        body.partition(b",")[0] + b"," + body[1:].replace(_MARK, b"\\ud83d")
    ),
    BEYOND: lambda body: body.replace(_NUMBER, b"1e999"),
    "a number of 5,000 digits": lambda body: body.replace(_NUMBER, b"9" * 5000),
}
SPELLED = "Grin \U0001f600, caf\u00e9 / \u4e94."
TOOLS = [
    {
        "type": "function",
        "function": {"name": "count", "parameters": {"type": "object", "maxProperties": NUMBER}},
    }
]


def judged(settings: RunSettings, odd: Callable[[bytes], bytes]) -> Request:
    told = {"messages": user_messages(MARK), "tools": TOOLS}
    return post(JUDGE, odd(wire(judge_body(settings, input=told))))


def chatted(settings: RunSettings, odd: Callable[[bytes], bytes]) -> Request:
    return post(CHAT, odd(wire(chat_body(settings, MARK, tools=TOOLS))), *logging(settings))


def oddities(build: Callable[[RunSettings, Callable[[bytes], bytes]], Request], *names: str) -> MakeVariants:
    return lambda settings: [Variant(tuple(build(settings, ODD[name]) for name in names), facts=names)]


@rule_for("judge.errors.odd_json", oddities(judged, *ODD), rank=46)
@rule_for("chat.errors.odd_json", oddities(chatted, BYTES, BEYOND), rank=46)
def test_odd_json_is_refused_or_answered(context: CaseContext) -> Iterator[Finding]:
    for request, name in zip(context.case.requests, context.facts, strict=True):
        exchange = require_answer(context.ask(request))
        if not exchange.refused and exchange.parsed[1]:
            sentence = (
                f"a body with {name} was answered by {exchange.status} and no JSON: {exchange.parsed[1]}"
            )
            yield context.broken(sentence, about=exchange)


def respelled(request: Request) -> Request:
    """The same JSON with its members in another order, in lines, with spaces, and letters escaped."""
    members = reversed(request.value().items())
    text = json.dumps(dict(members), indent=2).replace('"role"', '"\\u0072ole"').replace("/", "\\/")
    return replace(request, body=f"\r\n{text}\n".encode())


def judged_again(settings: RunSettings) -> Request:
    return respelled(judging(settings, input={"messages": user_messages(SPELLED)}))


def chatted_again(settings: RunSettings) -> Request:
    return respelled(chatting(settings, SPELLED))


@rule_for("judge.json.spelling", one_case(judged_again), rank=27)
@rule_for("chat.json.spelling", one_case(chatted_again), rank=27)
def test_json_is_read_in_any_spelling(context: CaseContext) -> Iterator[Finding]:
    yield from refusal(context, require_answer(context.ask(context.case.requests[0])))
