"""The parts of a config, from values whose shape is right to frozen ones.

What no schema can say is found here: a pattern that RE2 doesn't read, a highest score below the lowest. A
parser notes it and goes on, so that all of it is found at once.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

import orjson

from openpipe_mock.config.settings import (
    DRAWN,
    ByOutput,
    Declared,
    Drip,
    ErrorAnswer,
    Failing,
    Fault,
    Fixed,
    Form,
    JudgeRule,
    Length,
    Limits,
    Near,
    Pace,
    PassRate,
    RawJudgement,
    Rules,
    Script,
    ScriptedCall,
    ScriptedChoice,
    Sequence,
    Uniform,
    Way,
)
from openpipe_mock.core.canonical import ordered, spelled
from openpipe_mock.matching.conditions import ALWAYS, BadPattern, Condition, Demand, When, demand
from openpipe_mock.openapi.violations import Violation

Json = Any

BROKEN_STREAM = "The mock broke this stream."
"""What an error event says that has no message of its own."""


@dataclass(frozen=True, slots=True)
class At:
    """Where a parser stands: the pointer from the part's start, and where the part stands in the file.

    `found` gathers what is wrong; `broken` holds the pointers of what has a wrong shape.
    """

    prefix: str
    pointer: str = ""
    found: list[Violation] = field(default_factory=list)
    broken: frozenset[str] = frozenset()

    @property
    def place(self) -> str:
        return self.prefix + self.pointer

    def at(self, *steps: str | int) -> "At":
        path = "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in steps)
        return At(self.prefix, self.pointer + path, self.found, self.broken)

    def wrong(self, rule: str, sentence: str) -> None:
        self.found.append(Violation(self.pointer, rule, sentence))

    def counter(self, value: Json) -> str:
        """The name of a count: it changes when what is counted for changes."""
        return f"{self.place}#{digest(value)}"

    def sound(self) -> bool:
        """Whether the shape is right here."""
        return self.pointer not in self.broken


def digest(value: Json) -> str:
    """What stands for a part's own text, wherever it stands."""
    return blake2b(ordered(value), digest_size=6).hexdigest()


# Criteria.


def read_criterion(value: Json, at: At) -> Declared | Form:
    if not any(key in value for key in READERS):
        return Declared({int(key[1:]): read_form(inner, at.at(key)) for key, inner in value.items()})
    return read_form(value, at)


def declared(found: Declared | Form) -> Declared:
    """A criterion with its versions: one that has none is in its first."""
    return Declared({1: found}) if isinstance(found, Form) else found


def read_form(value: Json, at: At) -> Form:
    """A form, or a bare number, which is always the score."""
    if not isinstance(value, dict):
        return Form(Fixed(float(value)))
    [way] = (build(value, at) for key, build in READERS.items() if key in value)
    return Form(
        way,
        **given(value, explanation="explanation", flip_share="flip_share"),
        **whole(value, usage="usage", decimals="decimals"),
    )


def read_fixed(value: Json, at: At) -> Fixed:
    return Fixed(float(value["score"]))


def read_rules(value: Json, at: At) -> Rules:
    each = enumerate(value["rules"])
    return Rules(tuple(read_rule(rule, at.at("rules", index)) for index, rule in each), otherwise(value, at))


def read_rule(value: Json, at: At) -> JudgeRule:
    return JudgeRule(read_when(value["when"], at.at("when")), read_form(value, at), at.place)


def otherwise(value: Json, at: At) -> Form:
    return read_form(value["otherwise"], at.at("otherwise")) if "otherwise" in value else DRAWN


def read_uniform(value: Json, at: At) -> Uniform:
    low, high = value["uniform"]
    if low > high:
        told = f"the lowest score, {low}, is above the highest, {high}; write the lowest first."
        at.at("uniform").wrong("uniform", told)
    return Uniform(float(low), float(high))


def read_length(value: Json, at: At) -> Length:
    best, worst = value["length"]["best"], value["length"]["worst"]
    if best >= worst:
        at.at("length", "worst").wrong("length", f'expected more than {best}, which is "best", got {worst}.')
    return Length(int(best), int(worst))


def read_by_output(value: Json, at: At) -> ByOutput:
    texts = value["by_output"].items()
    forms = {text: read_form(form, at.at("by_output", text)) for text, form in texts}
    return ByOutput(forms, otherwise(value, at))


def read_sequence(value: Json, at: At) -> Sequence:
    each = enumerate(value["sequence"])
    forms = tuple(read_form(form, at.at("sequence", index)) for index, form in each)
    return Sequence(forms, **given(value, then="then"), counter=at.counter(value))


def read_near(value: Json, at: At) -> Near:
    return Near(float(value["near"]), **given(value, within="within"))


def read_pass_rate(value: Json, at: At) -> PassRate:
    return PassRate(float(value["pass_rate"]))


def read_failing(value: Json, at: At) -> Failing:
    error = value["error"]
    return Failing(**whole(error, status="status"), **given(error, message="message"))


def read_raw(value: Json, at: At) -> RawJudgement:
    return RawJudgement(value["raw"])


READERS: Mapping[str, Callable[[Json, At], Way]] = {
    "score": read_fixed,
    "rules": read_rules,
    "uniform": read_uniform,
    "length": read_length,
    "by_output": read_by_output,
    "sequence": read_sequence,
    "near": read_near,
    "pass_rate": read_pass_rate,
    "error": read_failing,
    "raw": read_raw,
}
"""The key of a form that says how it comes to a score → what reads it."""


# Conditions.


def read_when(value: Json, at: At) -> When:
    return When(tuple(conditions(value, at)))


def conditions(value: Json, at: At) -> Iterator[Condition]:
    """The conditions in the order of the file."""
    for key, wanted in value.items():
        here = at.at(key)
        if key == "input":
            yield from conditions(wanted, here)
        elif key in KEYED:
            for name, test in wanted.items():
                yield Condition(key, name, demands(test, here.at(name)))
        elif key == "model":
            yield Condition(key, "", (demand("glob", wanted),))
        else:
            yield Condition(key, "", demands(wanted, here))


KEYED = ("messages", "header", "metadata")
"""Conditions on one of several texts, which a key names."""


def demands(value: Json, at: At) -> tuple[Demand, ...]:
    """What a text must be; a bare string means equals."""
    return tuple(demanded({"equals": value} if isinstance(value, str) else value, at))


def demanded(value: Json, at: At) -> Iterator[Demand]:
    for kind, wanted in value.items():
        try:
            yield demand(kind, wanted)
        except BadPattern as error:
            at.at(kind).wrong("matches", f"RE2 doesn't read this regular expression: {error}.")


def check_conditions(value: Json, at: At) -> None:
    """Note what is wrong with the conditions in a part of any shape, for there is no building such a part."""
    if isinstance(value, list):
        for index, item in enumerate(value):
            check_conditions(item, at.at(index))
    for key, member in value.items() if isinstance(value, dict) else ():
        if key == "when":
            check_condition(member, at.at(key))
        elif key not in FREE:
            check_conditions(member, at.at(key))


FREE = ("raw", "body", "arguments")
"""Keys below which anything may stand."""


def check_condition(value: Json, at: At) -> None:
    """Note the regular expressions in a condition of any shape that RE2 doesn't read."""
    for key, test in value.items() if isinstance(value, dict) else ():
        here = at.at(key)
        if key in (*KEYED, "input"):
            check_condition(test, here)
        elif isinstance(test, dict) and isinstance(test.get("matches"), str):
            tuple(demanded({"matches": test["matches"]}, here))


# Scripted answers.


def read_script(value: Json, at: At) -> Script:
    choices: tuple[ScriptedChoice, ...] = ()
    if "choices" in value:
        each = enumerate(value["choices"])
        choices = tuple(read_choice(choice, value, at.at("choices", index)) for index, choice in each)
    elif "raw" not in value:
        choices = (read_choice(value, value, at),)
    check_script(value.get("when", {}), at.at("when"))
    return Script(
        part_when(value, at),
        choices,
        orjson.dumps(value["raw"]) if "raw" in value else None,
        value.get("name", ""),
        at.place,
    )


def check_script(when: Json, at: At) -> None:
    """Note the conditions that no chat request ever meets."""
    if "output" in when:
        at.at("output").wrong("output", "a script answers chat requests, which have no output; remove it.")
    if when.get("endpoint", "chat") != "chat":
        told = "a script answers chat requests alone, so this never holds; remove it."
        at.at("endpoint").wrong("endpoint", told)


def part_when(value: Json, at: At) -> When:
    return read_when(value["when"], at.at("when")) if "when" in value else ALWAYS


def read_choice(value: Json, around: Json, at: At) -> ScriptedChoice:
    """A choice, or a bare text; the finish reason may stand in it or once for all, `around` the choices."""
    reason = around.get("finish_reason")
    if isinstance(value, str):
        return ScriptedChoice(value, finish_reason=reason)
    if value is not around and reason and "finish_reason" in value:
        told = "the script has a finish reason for all its choices already; remove one of them."
        at.at("finish_reason").wrong("finish_reason", told)
    return ScriptedChoice(
        value.get("text"),
        value.get("refusal"),
        tuple(map(read_call, value.get("tool_calls", ()))),
        value.get("finish_reason", reason),
    )


def read_call(value: Json) -> ScriptedCall:
    arguments = value["arguments"]
    text = arguments if isinstance(arguments, str) else spelled(arguments).decode()
    return ScriptedCall(value["name"], text)


# Faults.


def read_fault(value: Json, at: At) -> Fault:
    check_turns(value, at)
    flags = ("disconnect", "malformed", "truncated", "empty", "endless")
    return Fault(
        part_when(value, at),
        **whole(value, **{key: key for key in ("call", "every", "first", "after_events", "after_bytes")}),
        **given(value, **{key: key for key in ("share", "retry_after", "content_type", "name", *flags)}),
        **seconds(value, delay_ms="delay"),
        error=read_error(value),
        drip=read_drip(value["drip"]) if "drip" in value else None,
        error_event=read_error_event(value.get("error_event")),
        raw=body_of(value, "raw"),
        place=at.place,
        counter=at.counter(value),
        lot=digest(value),
    )


def check_turns(value: Json, at: At) -> None:
    """That there is a request at which all that limits a fault agrees."""
    turn, every, first = value.get("call"), value.get("every", 1), value.get("first")
    if turn and turn % every:
        told = (
            f'"call": {turn} is no multiple of "every": {every}, so this never happens; remove one of them.'
        )
        at.at("every").wrong("every", told)
    if first and first < (turn or every):
        told = f"the first {first} requests end before it is this fault's turn, so this never happens."
        at.at("first").wrong("first", told)


def read_error(value: Json) -> ErrorAnswer | None:
    if "status" not in value:
        return None
    texts = given(value, message="message", code="code")
    return ErrorAnswer(int(value["status"]), **texts, body=body_of(value, "body"))


def body_of(value: Json, key: str) -> bytes | None:
    """A whole body: its JSON, or a text as it stands where the fault's content type is none of JSON's."""
    if key not in value:
        return None
    body, media = value[key], value.get("content_type", "json").partition(";")[0].strip().lower()
    return body.encode() if isinstance(body, str) and not media.endswith("json") else orjson.dumps(body)


def read_drip(value: Json) -> Drip:
    return Drip(**whole(value, bytes="size"), **seconds(value, every_ms="seconds"))


def read_error_event(value: Json) -> str | None:
    found: str | None = BROKEN_STREAM if value is True else value
    return found


# Streams and limits.


def read_pace(value: Json, at: At) -> Pace:
    return Pace(
        **given(value, tokens_per_second="tokens_per_second"),
        **whole(value, endless_events="most_events"),
        **seconds(value, first_token_ms="first_token"),
    )


def read_limits(value: Json, at: At) -> Limits:
    return Limits(**whole(value, requests_per_minute="requests_per_minute", concurrent="concurrent"))


def given(value: Json, **fields: str) -> dict[str, Any]:
    """Those of the keys that are there, under the names of their fields."""
    return {name: value[key] for key, name in fields.items() if key in value}


def whole(value: Json, **fields: str) -> dict[str, Any]:
    """As `given`, for whole numbers, which may be written as 2.0."""
    found = given(value, **fields)
    return {name: None if number is None else int(number) for name, number in found.items()}


def seconds(value: Json, **fields: str) -> dict[str, Any]:
    """As `given`, for milliseconds."""
    return {name: number / 1000 for name, number in given(value, **fields).items()}
