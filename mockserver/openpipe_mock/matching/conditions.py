"""Conditions on a request, as the config file writes them under `when`; all of them must hold.

A condition names a part of the request (`last_user`, `header`, …) and what its text must be. `When.failure`
says which condition failed first, what it expected and what it saw; the journal shows this to a user who
wonders why a rule didn't fire.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import translate
from functools import cached_property
from typing import Any, Literal

import orjson

from openpipe_mock.core.canonical import spelled
from openpipe_mock.core.pointers import steps_of
from openpipe_mock.core.reading import At, Json
from openpipe_mock.core.wording import listed, quoted
from openpipe_mock.openapi.roles import RESULTS

Kind = Literal["equals", "contains", "matches", "glob"]
MOST_READ = 1_000_000
"""Characters of a text in which a regular expression is searched; the rest is ignored."""


class BadPattern(ValueError):
    """RE2 can't read a regular expression; the message says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Demand:
    """What a text must be. `holds(text)` decides; the kind `matches` searches with RE2, in linear time."""

    kind: Kind
    wanted: str
    holds: Callable[[str], bool] = field(compare=False, repr=False)

    def __str__(self) -> str:
        return f"{'fits the glob' if self.kind == 'glob' else self.kind} {quoted(self.wanted)}"


def demand(kind: Kind, wanted: str) -> Demand:
    """Compile a demand. Raises BadPattern for a regular expression that RE2 refuses."""
    return Demand(kind, wanted, HOLDS[kind](wanted))


def regular_expression(wanted: str) -> Any:
    """A compiled regular expression of RE2. Raises BadPattern."""
    import re2  # here, so that only a config with `matches` pays for the import

    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(wanted, options)
    except re2.error:
        raise BadPattern(_complaint(wanted)) from None
    except UnicodeEncodeError:
        raise BadPattern("half of a surrogate pair is no character; write the whole one") from None


def _matches(wanted: str) -> Callable[[str], bool]:
    """A test whether a regular expression is found anywhere in a text."""
    pattern = regular_expression(wanted)
    return lambda text: pattern.search(text[:MOST_READ]) is not None


_TOKENS = r"(?s:\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\(\?(?:<?[=!]|P=|.)|.)"
"""Matches a token of a regular expression. The "[" of a class that doesn't end is a token of its own."""
_ELSEWHERE = r"\(\?(?:<?[=!]|P=|[>(#])|\\[1-9gk]"
"""Matches a token that other engines have and RE2 doesn't."""


def _complaint(pattern: str) -> str:
    """Say why RE2 refuses a regular expression, and what to do."""
    # Told by the expression itself, because RE2's own message doesn't say what to do.
    groups, last = 0, "("
    for token in re.findall(_TOKENS, pattern):
        groups += token.startswith("(") - (token == ")")
        if re.fullmatch(_ELSEWHERE, token):
            return "it has no lookaheads, lookbehinds and backreferences; say it without"
        if token == "[" or groups < 0:
            return f"a {quoted(token)} has no counterpart; add it, or write \\{token} for the character"
        if (token in "*+" and last in "(|*+?") or (token == "?" and last in "(|"):
            return f"a {quoted(token)} has nothing to repeat; write \\{token} for the character"
        last = token
    if groups:
        return 'a "(" has no counterpart; add it, or write \\( for the character'
    return "look for an escape or a repetition that it doesn't have"


def glob(wanted: str) -> Callable[[str], bool]:
    """A test whether a glob fits the whole of a text."""
    fits = re.compile(translate(wanted)).match
    return lambda text: fits(text) is not None


HOLDS: Mapping[Kind, Callable[[str], Callable[[str], bool]]] = {
    "equals": lambda wanted: lambda text: text == wanted,
    "contains": lambda wanted: lambda text: wanted in text,
    "matches": _matches,
    "glob": glob,
}


class Subject:
    """A request, as conditions see it; it needn't be valid. Its parts are read when they are asked for.

    `endpoint` is the short name, `headers` have names in lower case, `body` is the parsed body. If the body
    is no object (None for no JSON), conditions on it fail, and nothing raises.
    """

    def __init__(self, endpoint: str, headers: Mapping[bytes, bytes], body: Any) -> None:
        self.endpoint = endpoint
        self.headers = headers
        self.body: Mapping[str, Any] = body if isinstance(body, dict) else {}

    @cached_property
    def input(self) -> Mapping[str, Any]:
        """The object with messages and tools: the body of a chat request, the input of a judge request."""
        given = self.body.get("input") if self.endpoint == "judge" else self.body
        return given if isinstance(given, dict) else {}

    @cached_property
    def messages(self) -> Sequence[Mapping[str, Any]]:
        """The messages that are objects; others, which only a bad request has, are left out."""
        return _objects(self.input.get("messages"))

    def said_by(self, *roles: str) -> list[str]:
        """The texts of the messages with these roles, in order."""
        return [text_of(message) for message in self.messages if message.get("role") in roles]

    @cached_property
    def last_user(self) -> str | None:
        """The text of the last user message, None if there is none."""
        return next(reversed(self.said_by("user")), None)

    @cached_property
    def last_result(self) -> Mapping[str, Any] | None:
        """The last message that carries a tool's result, None without one."""
        return next((each for each in reversed(self.messages) if each.get("role") in RESULTS), None)

    @cached_property
    def last_tool(self) -> str | None:
        """The name of the tool that gave the last result; None where no call has its id."""
        result = self.last_result
        if result is None:
            return None
        if isinstance(result.get("name"), str):
            return str(result["name"])
        calls = (call for each in reversed(self.messages) for call in _objects(each.get("tool_calls")))
        asked = [call.get("function") for call in calls if call.get("id") == result.get("tool_call_id")]
        names = (each.get("name") for each in _objects(asked))
        return next((name for name in names if isinstance(name, str)), None)

    def body_value(self, pointer: str) -> list[str]:
        """The value at a JSON pointer as a text: a text as it is, any other as JSON; nothing without one."""
        value: Any = self.body
        for step in steps_of(pointer):
            if isinstance(value, list) and step.isdecimal() and int(step[:9]) < len(value):
                value = value[int(step[:9])]
            elif isinstance(value, dict) and step in value:
                value = value[step]
            else:
                return []
        return [text_of_value(value)]

    @cached_property
    def output(self) -> str | None:
        """The judged text: the output's content, else its refusal, else ""; None if there is no output."""
        given = self.body.get("output") if self.endpoint == "judge" else None
        return text_of(given) if isinstance(given, dict) else None

    @cached_property
    def tools(self) -> list[str]:
        """The names of the offered tools and of the older `functions`."""
        tools = [each.get("function") for each in _objects(self.input.get("tools"))]
        functions = [*_objects(tools), *_objects(self.input.get("functions"))]
        return [each["name"] for each in functions if isinstance(each.get("name"), str)]

    @cached_property
    def asked(self) -> list[str]:
        """The ids of the requested criteria, as they were sent."""
        asked: Any = self.body.get("criterion_id")
        if self.endpoint == "chat":
            try:
                asked = orjson.loads(self.headers.get(b"op-criteria", b"[]"))
            except orjson.JSONDecodeError:
                asked = []
        return [each for each in (asked if isinstance(asked, list) else [asked]) if isinstance(each, str)]

    @cached_property
    def criteria(self) -> list[str]:
        """The ids of the requested criteria, each also without its version."""
        return list(dict.fromkeys(form for each in self.asked for form in (each, each.partition("@")[0])))

    @property
    def metadata(self) -> Mapping[str, Any]:
        given = self.body.get("metadata")
        return given if isinstance(given, dict) else {}

    def gist(self, most: int) -> dict[str, Any] | None:
        """A smaller body, of texts and names only, for which conditions give the same answers.

        Those on `body` do for its members that are no lists and objects. None where already the messages'
        names make its JSON longer than `most`, which is told without a walk over their texts.
        """
        if len(self.messages) * _LEAST_OF_MESSAGE > most:
            return None
        said: list[dict[str, Any]] = [
            {"role": each.get("role"), "content": text_of(each)} for each in self.messages
        ]
        if self.last_result is not None and self.last_tool is not None:
            last = max(n for n, each in enumerate(self.messages) if each is self.last_result)
            said[last]["name"] = self.last_tool
        given = {"messages": said, "tools": [{"function": {"name": name}} for name in self.tools]}
        kept = {name: value for name, value in self.body.items() if not isinstance(value, list | dict)}
        kept |= {name: self.body[name] for name in ("criterion_id", "metadata") if name in self.body}
        if self.endpoint != "judge":
            return {**kept, **given}
        return {**kept, "input": given, "output": {"content": self.output}}


_LEAST_OF_MESSAGE = len('{"role":null,"content":""}')


def _objects(value: Any) -> list[Mapping[str, Any]]:
    """The objects in a list; none for a value that is no list."""
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def text_of(message: Mapping[str, Any]) -> str:
    """A message's text: its content (of parts the texts and refusals, joined), else its refusal, else ""."""
    content = message.get("content")
    if isinstance(content, list):
        parts = (part.get("text") or part.get("refusal") for part in _objects(content))
        content = "".join(part for part in parts if isinstance(part, str))
    said = content or message.get("refusal")
    return said if isinstance(said, str) else ""


def text_of_value(value: Any) -> str:
    """A text as it is, any other JSON value as compact JSON; 3.0 counts as 3."""
    if isinstance(value, str):
        return value
    whole = isinstance(value, float) and value.is_integer() and abs(value) < 2**53
    return spelled(int(value) if whole else value).decode()


_Reader = Callable[[Subject, str], list[str]]


def _text(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else []


def _header(subject: Subject, name: str) -> list[str]:
    value = subject.headers.get(name.lower().encode())
    return [] if value is None else [value.decode("latin-1")]


READERS: Mapping[str, _Reader] = {
    "model": lambda subject, _: _text(subject.body.get("model")),
    "last_user": lambda subject, _: _text(subject.last_user),
    "last_message": lambda subject, _: [text_of(each) for each in subject.messages[-1:]],
    "last_result": lambda subject, _: [text_of(subject.last_result)] if subject.last_result else [],
    "last_tool": lambda subject, _: _text(subject.last_tool),
    "body": lambda subject, pointer: subject.body_value(pointer),
    "system": lambda subject, _: subject.said_by("system", "developer"),
    "messages": lambda subject, role: subject.said_by(role),
    "output": lambda subject, _: _text(subject.output),
    "tool": lambda subject, _: subject.tools,
    "header": _header,
    "metadata": lambda subject, key: _text(subject.metadata.get(key)),
    "endpoint": lambda subject, _: [subject.endpoint],
    "criterion": lambda subject, _: subject.criteria,
}
"""Part of a request → a function that reads its texts, given the condition's key."""


@dataclass(frozen=True, slots=True)
class Condition:
    """A part of the request, and what one of its texts must be.

    `key` is the role for `messages`, the name for `header` and `metadata`, the pointer for `body`, else "".
    Without demands the part has to be there.
    """

    part: str
    key: str
    demands: tuple[Demand, ...]

    def __str__(self) -> str:
        return f"{self.part} {self.key}".rstrip()

    def holds(self, subject: Subject) -> bool:
        """Whether one text of the part meets all demands."""
        texts = READERS[self.part](subject, self.key)
        return any(all(demand.holds(text) for demand in self.demands) for text in texts)


@dataclass(frozen=True, slots=True)
class Miss:
    """A condition that failed: its name, and in words what it expected and what it saw."""

    condition: str
    expected: str
    seen: str

    def __str__(self) -> str:
        return f"{self.condition}: expected a text that {self.expected}, saw {self.seen}"


@dataclass(frozen=True, slots=True)
class When:
    """Conditions that must all hold; without conditions it always holds."""

    conditions: tuple[Condition, ...] = ()

    def holds(self, subject: Subject) -> bool:
        return all(condition.holds(subject) for condition in self.conditions)

    def misses(self, subject: Subject) -> Iterator[Miss]:
        """The conditions that fail, in order."""
        for condition in self.conditions:
            if not condition.holds(subject):
                yield Miss(
                    str(condition),
                    " and ".join(map(str, condition.demands)) or "is there",
                    _seen(READERS[condition.part](subject, condition.key)),
                )

    def failure(self, subject: Subject) -> Miss | None:
        """The first condition that fails, None if all hold."""
        return next(self.misses(subject), None)


def _seen(texts: Sequence[str]) -> str:
    """What a condition saw, in words."""
    return listed(map(quoted, texts), "and") if texts else "nothing there"


ALWAYS = When()


def read_when(value: Json, at: At) -> When:
    """Read the value of a `when`; `at` is its place, where regular expressions that RE2 refuses are noted."""
    return When(tuple(_conditions(value, at)))


def _conditions(value: Json, at: At) -> Iterator[Condition]:
    """The conditions in the order of the file."""
    for key, wanted in value.items():
        here = at.at(key)
        if key == "input":
            yield from _conditions(wanted, here)
        elif key == "body":
            yield from _body_conditions(wanted, here)
        elif key in _KEYED:
            for name, test in wanted.items():
                yield Condition(key, name, tuple(_demands(test, here.at(name))))
        else:
            test = {"glob": wanted} if key == "model" else wanted
            yield Condition(key, "", tuple(_demands(test, here)))


def _body_conditions(value: Json, at: At) -> Iterator[Condition]:
    """The conditions on values of the body, of which there are one or a list."""
    several = isinstance(value, list)
    for number, test in enumerate(value if several else [value]):
        wanted = {kind: text_of_value(each) for kind, each in test.items() if kind != "pointer"}
        yield Condition("body", test["pointer"], tuple(_demands(wanted, at.at(number) if several else at)))


_KEYED = ("messages", "header", "metadata")
"""Parts of a request with several texts, of which a key names one."""


def _demands(value: Json, at: At) -> Iterator[Demand]:
    """The demands on a text; a bare string means equals."""
    tests: Json = {"equals": value} if isinstance(value, str) else value
    for kind, wanted in tests.items():
        try:
            yield demand(kind, wanted)
        except BadPattern as error:
            at.at(kind).wrong("matches", f"RE2 doesn't read this regular expression: {error}.")


def check_conditions(value: Json, at: At) -> None:
    """Note mistakes in all conditions inside a part that breaks the schema, and so can't be read itself."""
    if isinstance(value, list):
        for index, item in enumerate(value):
            check_conditions(item, at.at(index))
    for key, member in value.items() if isinstance(value, dict) else ():
        if key == "when":
            check_condition(member, at.at(key))
        elif key not in _FREE:
            check_conditions(member, at.at(key))


_FREE = ("raw", "body", "arguments")
"""Keys whose values are free data, in which `when` means nothing."""


def check_condition(value: Json, at: At) -> None:
    """Note the regular expressions that RE2 can't read in a `when` that may break the schema."""
    for key, test in value.items() if isinstance(value, dict) else ():
        here = at.at(key)
        if key in (*_KEYED, "input"):
            check_condition(test, here)
        elif isinstance(test, dict) and isinstance(test.get("matches"), str):
            tuple(_demands({"matches": test["matches"]}, here))


def part_when(value: Json, at: At) -> When:
    """The conditions of a part of the config: those under its `when`, or ALWAYS."""
    return read_when(value["when"], at.at("when")) if "when" in value else ALWAYS
