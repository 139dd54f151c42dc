"""The tools that answers called, with the results that came back, as a test reads them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson

from openpipe_mock.core.wording import quoted, short
from openpipe_mock.matching.conditions import Subject, text_of
from openpipe_mock.testing.calls import MOST_SHOWN, Call, frequency

Json = Any


@dataclass(frozen=True, slots=True)
class CalledTool:
    """A tool that an answer called.

    `arguments`: their JSON, or the text where they are none. `result`: the text that the client sent back as
    the tool's result, None where none came. `id`: of the tool call, "" in the older form. `call`: the id of
    the request whose answer it is.
    """

    name: str
    arguments: Json
    result: str | None
    id: str
    call: str

    def __str__(self) -> str:
        came = "no result came" if self.result is None else f"result {short(quoted(self.result))}"
        return f"{self.call}: {self.name}({short(_as_text(self.arguments))}) → {came}"


def called_tools(calls: Sequence[Call]) -> Iterator[CalledTool]:
    """The tools that the answers to these requests called, each with its result in a later request."""
    chats = [call for call in calls if call.endpoint == "chat"]
    for place, call in enumerate(chats):
        for made in _made_in(call):
            yield replace(made, result=next(_results(made, chats[place + 1 :]), None))


def _results(made: CalledTool, later: Iterable[Call]) -> Iterator[str]:
    """What later requests say that a tool gave."""
    for call in later:
        for message in Subject(call.endpoint, {}, call.request).messages:
            if _answers(message, made):
                yield text_of(message)


def _answers(message: Mapping[str, Json], made: CalledTool) -> bool:
    """Whether a message is the result of a call; in the older form the function's name says so."""
    if made.id:
        return message.get("role") == "tool" and message.get("tool_call_id") == made.id
    return message.get("role") == "function" and message.get("name") == made.name


def _made_in(call: Call) -> Iterator[CalledTool]:
    """The tools that an answer calls, of a stream put together from its chunks."""
    parts: dict[tuple[str, str], dict[str, str]] = {}
    for body in call.answer if isinstance(call.answer, list) else [call.answer]:
        for number, choice in enumerate(_objects(_object(body).get("choices"))):
            message = _object(choice.get("message") or choice.get("delta"))
            for key, given in _given(message, streamed=call.streamed):
                part = parts.setdefault((str(choice.get("index", number)), key), {})
                for name, value in (("id", given.get("id")), *_object(given.get("function")).items()):
                    if isinstance(value, str):
                        part[name] = part.get(name, "") + value
    for part in parts.values():
        arguments = _parsed(part.get("arguments", ""))
        yield CalledTool(part.get("name", ""), arguments, None, part.get("id", ""), call.id)


def _given(message: Mapping[str, Json], *, streamed: bool) -> Iterator[tuple[str, Json]]:
    """The calls in a message or a delta, each with what tells it from the others of its choice."""
    for number, given in enumerate(_objects(message.get("tool_calls"))):
        yield str(given.get("index", number) if streamed else number), given
    if isinstance(message.get("function_call"), dict):
        yield "function_call", {"function": message["function_call"]}


def _object(value: Json) -> Mapping[str, Json]:
    return value if isinstance(value, dict) else {}


def _objects(value: Json) -> list[Mapping[str, Json]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _parsed(text: str) -> Json:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text


def _as_text(arguments: Json) -> str:
    return arguments if isinstance(arguments, str) else orjson.dumps(arguments).decode()


# The assertion.


def tool_differences(tool: CalledTool, name: str, arguments: Json) -> list[str]:
    """What differs from the wanted call; `arguments`: None for any."""
    found = [] if tool.name == name else [f"it calls {quoted(tool.name)}, not {quoted(name)}"]
    if arguments is not None and tool.arguments != arguments:
        found.append(f"its arguments are {_as_text(tool.arguments)}, not {_as_text(arguments)}")
    return found


def tools_unmet(name: str, arguments: Json, times: int | None, tools: Sequence[CalledTool]) -> str:
    """The message of an assertion that failed: what was expected, what differs, and all calls of tools."""
    often = "at least once" if times is None else frequency(times)
    wanted = name if arguments is None else f"{name}({_as_text(arguments)})"
    found = [tool for tool in tools if not tool_differences(tool, name, arguments)]
    lines = [f"expected a call of the tool {wanted}: {often}; it came {frequency(len(found))}."]
    missed = [tool for tool in tools if tool_differences(tool, name, arguments)]
    near = min(missed, key=lambda tool: tool.name != name, default=None)
    if near and len(found) < (1 if times is None else times):
        lines.append(f"Nearest: {near.call}; {'; '.join(tool_differences(near, name, arguments))}.")
    shown = [f"  {tool}" for tool in tools[:MOST_SHOWN]] or ["  nothing"]
    more = [f"  … and {len(tools) - MOST_SHOWN} more"] if len(tools) > MOST_SHOWN else []
    return "\n".join([*lines, "What was called:", *shown, *more])
