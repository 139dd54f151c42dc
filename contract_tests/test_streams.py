"""What a stream says, beyond its frames."""

from collections.abc import Iterator
from typing import Any

from openpipe_mock.contract.checks import Finding
from openpipe_mock.contract.probe import Exchange

from . import streams
from .builders import TOOL, WEATHER, chatting, streaming
from .promises import Scene, answered, body, one, promise
from .run import Unjudged
from .settings import Aim
from .streams import Joined
from .test_completions import CUT_SHORT, NAMED, calls, choices, message, no_object

Json = Any


def counting(aim: Aim) -> Any:
    return streaming(aim, stream_options={"include_usage": True})


def several(aim: Aim) -> Any:
    return streaming(aim, n=aim.choices)


def calling(aim: Aim) -> Any:
    return streaming(aim, WEATHER, tools=[TOOL], tool_choice=NAMED)


def joined(exchange: Exchange) -> dict[Any, Joined]:
    """The choices of a stream. Raises Unjudged where no piece of one could be read."""
    found = streams.joined(exchange)
    if not found:
        raise Unjudged("the stream holds no piece of a choice")
    return found


@promise("chat.stream.text", one(streaming), rank=3)
def test_a_stream_says_something(scene: Scene) -> Iterator[Finding]:
    (exchange,) = scene.answers()
    for index, choice in joined(exchange).items():
        said = choice.content or choice.refusal or choice.calls or choice.call
        if not said and not set(choice.reasons) & set(CUT_SHORT):
            yield scene.broken(f"the pieces of choice {index} add up to nothing.", "/events")


@promise("chat.stream.count", one(several), rank=11)
def test_a_stream_carries_every_choice(scene: Scene) -> Iterator[Finding]:
    (exchange,) = scene.answers()
    indexes = sorted(joined(exchange))
    if indexes != list(range(scene.aim.choices)):
        yield scene.broken(f"expected the choices 0 to {scene.aim.choices - 1}, got {indexes}.", "/events")


@promise("chat.stream.tools", one(calling), rank=13)
def test_a_streamed_call_is_whole(scene: Scene) -> Iterator[Finding]:
    (exchange,) = scene.answers()
    found = [
        choice for choice in joined(exchange).values() if choice.calls and "length" not in choice.reasons
    ]
    if not found:
        raise Unjudged("no tool was called to the end")
    for choice in found:
        for call in choice.calls.values():
            lacking = [name for name in ("id", "name") if not call.get(name)]
            trouble = f"without {' and '.join(lacking)}" if lacking else no_object(call.get("arguments", ""))
            if trouble:
                yield scene.broken(f"a call's joined pieces are {trouble}.", "/events")


def broken_stream(aim: Aim) -> Any:
    return chatting(aim, messages="no list", stream=True)


@promise("chat.stream.errors", one(broken_stream), rank=12)
def test_a_bad_request_is_refused_before_a_stream_begins(scene: Scene) -> Iterator[Finding]:
    exchange = answered(scene.ask(scene.case.requests[0]))
    if not exchange.refused:
        yield scene.broken(f"a bad request for a stream was answered by {exchange.status}.")


@promise("chat.stream.usage", one(counting), rank=42)
def test_the_tokens_are_counted_at_the_end(scene: Scene) -> Iterator[Finding]:
    (exchange,) = scene.answers()
    every = streams.chunks(exchange)
    last = every[-1] if every else {}
    if last.get("choices") != [] or not isinstance(last.get("usage"), dict):
        yield scene.broken("the last chunk has choices, or no usage.", f"/events/{len(every) - 1}")


@promise(
    "chat.stream.same",
    one(streaming, chatting, calling, lambda aim: chatting(aim, WEATHER, tools=[TOOL], tool_choice=NAMED)),
    rank=43,
)
def test_a_stream_says_what_the_plain_answer_says(scene: Scene) -> Iterator[Finding]:
    first, plain, called, plainly_called = scene.answers()
    yield from same(scene, first, plain)
    yield from same(scene, called, plainly_called)


def same(scene: Scene, stream: Exchange, plain: Exchange) -> Iterator[Finding]:
    pieces = joined(stream)
    for choice in choices(body(plain)):
        own = pieces.get(choice.get("index"), Joined())
        expected = ((message(choice).get("content") or ""), [call.get("arguments") for call in calls(choice)])
        if (own.content, [call.get("arguments") for call in own.calls.values()]) != expected:
            told = f"choice {choice.get('index')} differs from the plain answer's."
            yield scene.broken(told, "/events", about=stream)
        elif own.reasons != [choice.get("finish_reason")]:
            yield scene.broken(
                f"choice {choice.get('index')} ends as {own.reasons}, not {choice.get('finish_reason')}.",
                "/events",
                about=stream,
            )
