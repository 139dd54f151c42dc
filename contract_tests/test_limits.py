"""Ladders of sizes and of scripts: what is the smallest rung that fails?"""

from collections.abc import Callable, Iterator

from openpipe_mock.contract.checks import Finding
from openpipe_mock.contract.probe import Request

from .builders import chatting, judging, said
from .invariants import told
from .promises import Scene, Sends, Variant, answered, promise
from .run import Unjudged
from .settings import Aim

LENGTHS = (1024, 8192, 65_536, 2**20)
NUMBERS = (1, 64, 500)
SCRIPTS = {
    "astral": "Grin \U0001f600, treble \U0001d11e, CJK \U00020000.",
    "combining": "Cafe\u0301, a\u0323\u0308\u0301, \u1112\u1161\u11ab.",
    "right-to-left": "\u05e9\u05dc\u05d5\u05dd \u202e\u0645\u0631\u062d\u0628\u0627\u202c.",
    "NUL": "before\x00after",
}
WORD = "lorem ipsum "

Builder = Callable[[Aim, str], Request]


def judged_text(aim: Aim, text: str) -> Request:
    return judging(aim, output={"role": "assistant", "content": text}, input={"messages": said(text)})


def chatted_text(aim: Aim, text: str) -> Request:
    return chatting(aim, text)


def judged_messages(aim: Aim, number: int) -> Request:
    return judging(aim, input={"messages": conversation(number)})


def chatted_messages(aim: Aim, number: int) -> Request:
    return chatting(aim, messages=conversation(number))


def conversation(number: int) -> list[dict[str, str]]:
    """That many messages, from users and assistants in turn, the last one a user's."""
    roles = ("user", "assistant")
    return [{"role": roles[(number - 1 - turn) % 2], "content": f"Line {turn}."} for turn in range(number)]


def of_length(characters: int) -> str:
    return (WORD * (characters // len(WORD) + 1))[:characters]


def lengths(build: Builder) -> Sends:
    def sends(aim: Aim) -> list[Variant]:
        rungs = [size for size in LENGTHS if size <= aim.longest]
        return [
            Variant(
                tuple(build(aim, of_length(size)) for size in rungs),
                facts=[f"{size} characters" for size in rungs],
            )
        ]

    return sends


def numbers(build: Callable[[Aim, int], Request]) -> Sends:
    def sends(aim: Aim) -> list[Variant]:
        rungs = [number for number in NUMBERS if aim.local or aim.large or number <= 64]
        return [
            Variant(
                tuple(build(aim, number) for number in rungs),
                facts=[f"{number} messages" for number in rungs],
            )
        ]

    return sends


def scripts(build: Builder) -> Sends:
    def sends(aim: Aim) -> list[Variant]:
        return [Variant(tuple(build(aim, text) for text in SCRIPTS.values()), facts=list(SCRIPTS))]

    return sends


def climb(scene: Scene) -> Iterator[Finding]:
    """The smallest rung that the server neither takes nor refuses by a 4xx. Higher ones are left alone."""
    for number, (request, rung) in enumerate(zip(scene.case.requests, scene.facts, strict=True)):
        exchange = scene.ask(request)
        if exchange.busy:
            raise Unjudged(f"the server was busy at {rung}")
        if exchange.failure or exchange.status >= 500:
            seen = exchange.failure or f"answered {exchange.status}"
            yield scene.broken(f"the smallest failing rung is {rung}: {seen}.", about=exchange)
            return
        if exchange.refused:
            level = "" if number == 0 else "decision"
            yield scene.broken(f"refused from {rung} on by {exchange.status}{told(exchange)}", level=level)
            return


def every_script(scene: Scene) -> Iterator[Finding]:
    for request, name in zip(scene.case.requests, scene.facts, strict=True):
        exchange = answered(scene.ask(request))
        if not exchange.ok:
            level = "decision" if name == "NUL" and exchange.refused else ""
            yield scene.broken(
                f"a text with {name} characters was answered by {exchange.status}{told(exchange)}",
                level=level,
            )


@promise("judge.limits.length", lengths(judged_text), rank=48)
def test_the_judge_takes_long_texts(scene: Scene) -> Iterator[Finding]:
    return climb(scene)


@promise("chat.limits.length", lengths(chatted_text), rank=48)
def test_chat_takes_long_texts(scene: Scene) -> Iterator[Finding]:
    return climb(scene)


@promise("judge.limits.messages", numbers(judged_messages), rank=48)
def test_the_judge_takes_long_conversations(scene: Scene) -> Iterator[Finding]:
    return climb(scene)


@promise("chat.limits.messages", numbers(chatted_messages), rank=48)
def test_chat_takes_long_conversations(scene: Scene) -> Iterator[Finding]:
    return climb(scene)


@promise("judge.limits.unicode", scripts(judged_text), rank=28)
def test_the_judge_takes_any_script(scene: Scene) -> Iterator[Finding]:
    return every_script(scene)


@promise("chat.limits.unicode", scripts(chatted_text), rank=28)
def test_chat_takes_any_script(scene: Scene) -> Iterator[Finding]:
    return every_script(scene)
