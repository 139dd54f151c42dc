"""Rules about growing sizes and about scripts: which is the smallest size that fails?"""

from collections.abc import Callable, Iterator

from openpipe_mock.contract.findings import Finding
from openpipe_mock.contract.probe import Request

from .builders import chatting, judging, user_messages
from .invariants import message_suffix
from .promises import CaseContext, MakeVariants, Variant, require_answer, rule_for
from .run import Unjudged
from .settings import RunSettings

LENGTHS = (1024, 8192, 65_536, 2**20)
NUMBERS = (1, 64, 500)
SCRIPTS = {
    "astral": "Grin \U0001f600, treble \U0001d11e, CJK \U00020000.",
    "combining": "Cafe\u0301, a\u0323\u0308\u0301, \u1112\u1161\u11ab.",
    "right-to-left": "\u05e9\u05dc\u05d5\u05dd \u202e\u0645\u0631\u062d\u0628\u0627\u202c.",
    "NUL": "before\x00after",
}
WORD = "lorem ipsum "

Builder = Callable[[RunSettings, str], Request]


def judged_text(settings: RunSettings, text: str) -> Request:
    return judging(
        settings, output={"role": "assistant", "content": text}, input={"messages": user_messages(text)}
    )


def chatted_text(settings: RunSettings, text: str) -> Request:
    return chatting(settings, text)


def judged_messages(settings: RunSettings, number: int) -> Request:
    return judging(settings, input={"messages": conversation(number)})


def chatted_messages(settings: RunSettings, number: int) -> Request:
    return chatting(settings, messages=conversation(number))


def conversation(number: int) -> list[dict[str, str]]:
    """That many messages, from users and assistants in turn, the last one a user's."""
    roles = ("user", "assistant")
    return [{"role": roles[(number - 1 - turn) % 2], "content": f"Line {turn}."} for turn in range(number)]


def of_length(characters: int) -> str:
    return (WORD * (characters // len(WORD) + 1))[:characters]


def lengths(build: Builder) -> MakeVariants:
    def make_variants(settings: RunSettings) -> list[Variant]:
        rungs = [size for size in LENGTHS if size <= settings.longest]
        return [
            Variant(
                tuple(build(settings, of_length(size)) for size in rungs),
                facts=[f"{size} characters" for size in rungs],
            )
        ]

    return make_variants


def numbers(build: Callable[[RunSettings, int], Request]) -> MakeVariants:
    def make_variants(settings: RunSettings) -> list[Variant]:
        rungs = [number for number in NUMBERS if settings.local or settings.large or number <= 64]
        return [
            Variant(
                tuple(build(settings, number) for number in rungs),
                facts=[f"{number} messages" for number in rungs],
            )
        ]

    return make_variants


def scripts(build: Builder) -> MakeVariants:
    def make_variants(settings: RunSettings) -> list[Variant]:
        return [Variant(tuple(build(settings, text) for text in SCRIPTS.values()), facts=list(SCRIPTS))]

    return make_variants


@rule_for("judge.limits.length", lengths(judged_text), rank=48, alone=True)
@rule_for("chat.limits.length", lengths(chatted_text), rank=48, alone=True)
@rule_for("judge.limits.messages", numbers(judged_messages), rank=48, alone=True)
@rule_for("chat.limits.messages", numbers(chatted_messages), rank=48, alone=True)
def test_larger_requests_are_taken(context: CaseContext) -> Iterator[Finding]:
    """Send ever larger requests up to the first that isn't accepted, and report one that is refused."""
    for number, (request, rung) in enumerate(zip(context.case.requests, context.facts, strict=True)):
        exchange = context.ask(request)
        try:
            require_answer(exchange)
        except Unjudged as reason:
            raise Unjudged(f"at {rung} {reason}") from None
        if exchange.refused:
            level = "" if number == 0 else "decision"
            yield context.broken(
                f"refused from {rung} on by {exchange.status}{message_suffix(exchange)}", level=level
            )
            return


@rule_for("judge.limits.unicode", scripts(judged_text), rank=28)
@rule_for("chat.limits.unicode", scripts(chatted_text), rank=28)
def test_any_script_is_taken(context: CaseContext) -> Iterator[Finding]:
    for request, name in zip(context.case.requests, context.facts, strict=True):
        exchange = require_answer(context.ask(request))
        if not exchange.ok:
            level = "decision" if name == "NUL" and exchange.refused else ""
            yield context.broken(
                f"a text with {name} characters was answered by {exchange.status}{message_suffix(exchange)}",
                level=level,
            )
