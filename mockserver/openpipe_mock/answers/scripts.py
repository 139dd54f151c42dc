"""Scripted completions: answers of the config file to chat requests that meet a condition."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

import orjson

from openpipe_mock.answers.events import DONE, event
from openpipe_mock.answers.functions import Function
from openpipe_mock.answers.headers import read_headers
from openpipe_mock.answers.pace import Duration, durations, read_tempo
from openpipe_mock.answers.templates import Template, read_template
from openpipe_mock.answers.turns import Turn
from openpipe_mock.core.canonical import spelled
from openpipe_mock.core.effects import HeaderList
from openpipe_mock.core.reading import At, Json, present_keys, whole
from openpipe_mock.core.wording import listed, quoted
from openpipe_mock.matching.conditions import ALWAYS, Subject, When, part_when
from openpipe_mock.matching.order import Then, check_turns, ended, item_of
from openpipe_mock.openapi.roles import RESULTS


@dataclass(frozen=True, slots=True)
class ScriptedCall:
    """A scripted tool call. `arguments`: the text that the client gets, usually JSON. `id`: "" for any."""

    name: str
    arguments: str
    id: str = ""


@dataclass(frozen=True, slots=True)
class ScriptedChoice:
    """One scripted choice.

    `calls_first`: a stream sends the calls before the text. `logprobs`: empty, or the one value to send.
    `filtered`: its `content_filter_results`. `template`: what its text is made of.
    """

    text: str | None = None
    refusal: str | None = None
    calls: tuple[ScriptedCall, ...] = ()
    finish_reason: str | None = None
    reasoning: str | None = None
    calls_first: bool = True
    logprobs: tuple[Json, ...] = ()
    filtered: Json = None
    template: Template | None = None


@dataclass(frozen=True, slots=True)
class Envelope:
    """What stands around the choices of an answer: `usage` by its members, None for the mock's own values."""

    id: str | None = None
    created: int | None = None
    model: str | None = None
    usage: Mapping[str, Json] = field(default_factory=dict)


AS_MADE = Envelope()


@dataclass(frozen=True, slots=True)
class Script:
    """The answer to a chat request that meets `when`.

    `choices`: taken in turn, and from the first again where the request asks for more. `raw`: the JSON text
    of a whole answer in their place. `name`: the user's name for it. `place`: its JSON pointer in the file.
    `stream`: the pieces of a stream as they are sent, None for those of the choices. `headers`: further ones.
    `delay`: seconds before the answer. `pace`: fields of a pace, for what the script says of its stream's.

    `sequence`: answers given one after the other; `then` as of criteria. `turns`: answers by the number of
    the assistant's messages since the last user text. `call`, `every`, `first`: as of faults. `counter`: the
    name of its count. `number`: that of the request that it answers, in this count. `tells_number`: whether
    an answer may say it. `failure`: the message of an error in place of an answer. `function`: a test's,
    which takes the request's body and gives the answer. `source`: the JSON that it was read from.
    """

    when: When = ALWAYS
    choices: tuple[ScriptedChoice, ...] = ()
    raw: bytes | None = None
    name: str = ""
    place: str = ""
    envelope: Envelope = AS_MADE
    stream: tuple[bytes, ...] | None = None
    headers: HeaderList = ()
    delay: Duration = 0.0
    pace: Mapping[str, Json] = field(default_factory=dict)
    sequence: "tuple[Script, ...]" = ()
    then: Then = "repeat"
    turns: "tuple[Script, ...]" = ()
    call: int | None = None
    every: int | None = None
    first: int | None = None
    counter: str = ""
    number: int = 0
    tells_number: bool = False
    function: "Function[Script] | None" = None
    failure: str = ""
    source: Json = field(default=None, repr=False, compare=False)

    def __str__(self) -> str:
        return f"{self.place} ({self.name})" if self.name else self.place

    def fired(self, rules: Iterable[str]) -> bool:
        """Whether these rules of a journal's entry name it, or an item of its sequence or turns."""
        return any(rule == str(self) or rule.startswith(f"{self.place}/") for rule in rules)

    @property
    def called(self) -> list[str]:
        """The names of the tools that it calls."""
        own = (call.name for choice in self.choices for call in choice.calls)
        inner = (name for answer in (*self.sequence, *self.turns) for name in answer.called)
        return list(dict.fromkeys((*own, *inner)))

    @property
    def is_ordered(self) -> bool:
        """Whether it counts the requests that meet `when`."""
        return not self.call is self.every is self.first is None

    @property
    def counts(self) -> bool:
        """Whether the number of a request that meets `when` matters to it."""
        return self.tells_number or self.is_ordered

    @property
    def streams_alone(self) -> bool:
        """Whether it has an answer for streams alone."""
        return self.stream is not None and not self.choices

    def answer(self, turn: Callable[[], Turn], count: Callable[[str], int]) -> "Script | None":
        """The answer whose turn it is, None after the last of `turns`.

        `turn` reads the conversation; `count` counts a name, from 1.
        """
        if self.turns:
            number = turn().replies
            return self.turns[number] if number < len(self.turns) else None
        if not self.sequence:
            return self
        # Apart from the count of `first` and its like, which is one of requests, answered or not.
        number, length = count(f"{self.counter}\x1fsequence"), len(self.sequence)
        item = item_of(number, length, self.then)
        if item is None:
            return Script(place=self.place, failure=ended(length, "answer", number, "request"))
        return self.sequence[item]

    @property
    def always_fires(self) -> bool:
        """Whether it answers every chat request, so that no script behind it ever does."""
        varies = self.is_ordered or self.turns or self.streams_alone
        return (
            not self.called and not varies and all(each.part == "endpoint" for each in self.when.conditions)
        )

    @property
    def about_result(self) -> When:
        """Its conditions on a tool's result."""
        conditions = self.when.conditions
        return When(tuple(each for each in conditions if each.part == "last_result" or each.key in RESULTS))

    @property
    def asks_about_result(self) -> bool:
        """Whether it has a condition on a tool's result, or on the tool that gave it."""
        return any(each.part == "last_tool" for each in self.when.conditions) or bool(
            self.about_result.conditions
        )


def reason_against(script: Script, turn: Turn) -> str:
    """Say why a script that calls tools doesn't fire though its conditions hold; "" where it does.

    So that agents end, it doesn't call again what was answered, unless its conditions are about the newest
    results.
    """
    if script.sequence or script.turns or not all(map(turn.has_answered, script.called)):
        return ""
    asks, newest = script.asks_about_result, Subject("chat", {}, {"messages": turn.newest})
    if asks and turn.newest and script.about_result.holds(newest):
        return ""
    why = _OLDER_RESULT if asks else _NO_CONDITION
    names = listed(map(quoted, script.called), "and")
    return f"it calls {names}, and a tool's result has answered that since the last user text; {why}"


_OLDER_RESULT = "its condition on a result holds for an older one, not for the newest"
_NO_CONDITION = "a condition on the result, as in when: {messages: {tool: {contains: …}}}, would let it fire"


def read_script(value: Json, at: At) -> Script:
    """Build a script from a value whose shape is right; note in `at` what else is wrong with it."""
    _check_script(value.get("when", {}), at.at("when"))
    check_turns(value, at, "script")
    sequence, turns = _read_answers(value, "sequence", at), _read_answers(value, "turns", at)
    own = read_answer(value, at)
    script = replace(
        own,
        when=part_when(value, at),
        **whole(value, call="call", every="every", first="first"),
        **present_keys(value, name="name", then="then"),
        sequence=sequence,
        turns=turns,
        tells_number=any(each.tells_number for each in (own, *sequence, *turns)),
        source=value,
    )
    return replace(script, counter=at.counter(value)) if script.counts or script.sequence else script


def answering_by(script: Script, function: Function[Script]) -> Script:
    """A script with a test's function in place of its answer."""
    counter = script.counter or At(script.place).counter(str(function))
    return replace(script, choices=(), function=function, tells_number=True, counter=counter)


def _read_answers(value: Json, key: str, at: At) -> tuple[Script, ...]:
    each = enumerate(value.get(key, ()))
    return tuple(read_answer(answer, at.at(key, index)) for index, answer in each)


def read_answer(value: Json, at: At) -> Script:
    """Read an answer, which always holds; a bare text is the text of its choices."""
    value = {"text": value} if isinstance(value, str) else value
    choices: tuple[ScriptedChoice, ...] = ()
    if "choices" in value:
        each = enumerate(value["choices"])
        choices = tuple(_read_choice(choice, value, at.at("choices", index)) for index, choice in each)
    elif not _SAID.isdisjoint(value):
        choices = (_read_choice(value, value, at),)
    return Script(
        choices=choices,
        raw=orjson.dumps(value["raw"]) if "raw" in value else None,
        place=at.place,
        tells_number=any(choice.template is not None and choice.template.counts for choice in choices),
        envelope=Envelope(
            **present_keys(value, id="id", model="model", usage="usage"), **whole(value, created="created")
        ),
        stream=_pieces(value["stream"]) if "stream" in value else None,
        headers=read_headers(value, at),
        **durations(value, at, delay_ms="delay"),
        pace=read_tempo(value.get("pace", {}), at.at("pace")),
    )


_SAID = frozenset(("text", "template", "refusal", "tool_calls", "reasoning_content"))
"""Keys of which each makes a choice."""


def _pieces(stream: Json) -> tuple[bytes, ...]:
    """The pieces of a scripted stream: a text as it stands, any other value as an event.

    `[DONE]` follows a list whose last item is no text.
    """
    listed = stream if isinstance(stream, list) else [stream]
    pieces = [each.encode() if isinstance(each, str) else event(each) for each in listed]
    return (*pieces, *(() if isinstance(listed[-1], str) else (DONE,)))


def _check_script(when: Json, at: At) -> None:
    """Note the conditions that no chat request ever meets."""
    if "output" in when:
        at.at("output").wrong("output", "a script answers chat requests, which have no output; remove it.")
    if when.get("endpoint", "chat") != "chat":
        told = "a script answers chat requests alone, so this never holds; remove it."
        at.at("endpoint").wrong("endpoint", told)


def _read_choice(value: Json, around: Json, at: At) -> ScriptedChoice:
    """Read a choice or a bare text. `around`: the script, which may have a finish reason for all choices."""
    reason = around.get("finish_reason")
    if isinstance(value, str):
        return ScriptedChoice(value, finish_reason=reason)
    if value is not around and reason and "finish_reason" in value:
        told = "the script has a finish reason for all its choices already; remove one of them."
        at.at("finish_reason").wrong("finish_reason", told)
    calls, written = value.get("tool_calls", ()), list(value)
    texts = [key for key in ("text", "template", "refusal") if value.get(key) is not None]
    return ScriptedChoice(
        value.get("text"),
        value.get("refusal"),
        tuple(map(_read_call, calls)),
        value.get("finish_reason", reason),
        value.get("reasoning_content"),
        not any(written.index(key) < written.index("tool_calls") for key in texts if calls),
        (value["logprobs"],) if "logprobs" in value else (),
        value.get("content_filter_results"),
        read_template(value["template"], at.at("template")) if "template" in value else None,
    )


def _read_call(value: Json) -> ScriptedCall:
    arguments = value["arguments"]
    text = arguments if isinstance(arguments, str) else spelled(arguments).decode()
    return ScriptedCall(value["name"], text, value.get("id", ""))
