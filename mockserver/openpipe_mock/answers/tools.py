"""Chooses the tool that a chat answer calls: one the request names, or one the conversation mentions."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from openpipe_mock.answers.texts import said
from openpipe_mock.core.errors import BadRequest
from openpipe_mock.core.wording import listed, nearest, quoted
from openpipe_mock.matching.conditions import Subject

AutoTools = Literal["mention", "always", "never"]
_RESULTS = ("tool", "function")
"""Roles of messages that carry the result of a call."""

_WHOLE = 1000
"""What a whole name scores, more than all its words together."""
_MOST_READ = 100_000
"""Characters of a text that are read for the mention of a tool."""
_NAME = re.compile(r"[A-Za-z0-9_.-]+")
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[0-9]+")
_FILLERS = "the and for with get set all any new from this that you your are has can run use"
_COMMON = frozenset(_FILLERS.split())
"""Words of a tool's name that mention nothing."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that may be called. `parameters`: their JSON schema. `place`: its pointer in the request.

    `legacy`: it stands in `functions`, so that a call of it is sent as `function_call`.
    """

    name: str
    parameters: Mapping[str, Any]
    legacy: bool = False
    place: str = ""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the request says about calling. `mode`: `none`, `auto`, `required`, or `named` with a `name`.

    `member`: the member that says so, `tool_choice` or `function_call`.
    """

    mode: str = "auto"
    name: str = ""
    member: str = "tool_choice"


def offered(body: Mapping[str, Any]) -> tuple[Tool, ...]:
    """Return the tools of a request: those of `tools`, then those of `functions`.

    Tools of type `custom`, whose calls the contract doesn't have, and those that `allowed_tools` leaves out
    are never called.
    """
    current, legacy = body.get("tools") or (), body.get("functions") or ()
    allowed = _allowed(body)
    return (
        *(
            _read(tool["function"], False, f"/tools/{index}/function")
            for index, tool in enumerate(current)
            if "function" in tool and (allowed is None or tool["function"]["name"] in allowed)
        ),
        *(_read(given, True, f"/functions/{index}") for index, given in enumerate(legacy)),
    )


def _allowed(body: Mapping[str, Any]) -> frozenset[str] | None:
    """The names of the functions that a `tool_choice` of type `allowed_tools` allows; None without one."""
    choice = body.get("tool_choice")
    if not isinstance(choice, dict) or "allowed_tools" not in choice:
        return None
    functions = (tool.get("function", tool) for tool in choice["allowed_tools"]["tools"])
    return frozenset(each["name"] for each in functions if "name" in each)


def _read(given: Mapping[str, Any], legacy: bool, place: str) -> Tool:
    return Tool(given["name"], given.get("parameters") or {}, legacy, f"{place}/parameters")


def wanted_tool(body: Mapping[str, Any]) -> Wanted:
    """Read the request's `tool_choice`, or its `function_call` where `tool_choice` is absent or `auto`.

    An object without a name means `auto`.
    """
    older = "function_call" in body and body.get("tool_choice", "auto") == "auto"
    member = "function_call" if older else "tool_choice"
    choice = body.get(member, "auto")
    if isinstance(choice, str):
        return Wanted(choice, member=member)
    if "allowed_tools" in choice:
        return Wanted(choice["allowed_tools"]["mode"], member=member)
    name = choice.get("name") or choice.get("function", {}).get("name", "")
    return Wanted("named", name, member) if name else Wanted(member=member)


def to_call(
    want: Wanted,
    tools: Sequence[Tool],
    messages: Sequence[Mapping[str, Any]],
    auto: AutoTools = "mention",
) -> Tool | None:
    """Return the tool that the answer calls, None for an answer in words.

    `auto`: under `tool_choice: auto`, call a tool where the conversation mentions one, always, or never.
    Raises BadRequest where the request names a tool that it doesn't offer, or requires one and offers none.
    """
    if want.mode == "named":
        return _named(want, tools)
    if want.mode == "required":
        if not tools:
            raise _misplaced(want, 'expected functions in "tools" beside it, since it requires a call.')
        return mentioned(tools, messages) or tools[0]
    if not tools or want.mode == "none" or auto == "never" or _is_answered(messages):
        return None
    return mentioned(tools, messages) or (tools[0] if auto == "always" else None)


def _named(want: Wanted, tools: Sequence[Tool]) -> Tool:
    """The offered tool of that name; of two, the one in the same form, older or newer, as the choice."""
    older = want.member == "function_call"
    fitting = sorted(
        (tool for tool in tools if tool.name == want.name), key=lambda tool: tool.legacy != older
    )
    if fitting:
        return fitting[0]
    names = [tool.name for tool in tools]
    near = nearest(want.name, names)
    offer = f"offered is {listed(map(quoted, names), 'and')}" if names else "no tool is offered"
    hint = f"; did you mean {quoted(near)}?" if near else "."
    raise _misplaced(want, f"{quoted(want.name)} is no tool of this request; {offer}{hint}")


def _misplaced(want: Wanted, sentence: str) -> BadRequest:
    return BadRequest.at(f"/{want.member}", sentence)


def _last_request(messages: Sequence[Mapping[str, Any]]) -> int:
    """The index of the last user message with a text, -1 without one."""
    places = [place for place, message in enumerate(messages) if message["role"] == "user" and said(message)]
    return places[-1] if places else -1


def _is_answered(messages: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a tool's result came since the last user text. Another call then would make agents loop."""
    return any(message["role"] in _RESULTS for message in messages[_last_request(messages) + 1 :])


def mentioned(tools: Sequence[Tool], messages: Sequence[Mapping[str, Any]]) -> Tool | None:
    """Return the tool whose name the last user text says most of, None where it mentions none.

    Without a user text the last message is read.
    """
    text = said(messages[_last_request(messages)])[:_MOST_READ] if messages else ""
    heard, names = _words(text), _names_in(text)
    scores = [_mentions(tool.name, text, heard, names) for tool in tools]
    return tools[scores.index(max(scores))] if any(scores) else None


def _mentions(name: str, text: str, heard: frozenset[str], names: frozenset[str]) -> int:
    """How many words of a tool's name a text has; _WHOLE where it has the whole name."""
    if name.lower() in names or (not name.isascii() and name in text):
        return _WHOLE
    return len((_words(name) & heard) - _COMMON)


def _words(text: str) -> frozenset[str]:
    """The words with at least three characters in a text or name, in lower case."""
    return frozenset(word.lower() for word in _WORD.findall(text) if len(word) >= 3)


def _names_in(text: str) -> frozenset[str]:
    """The parts of a text that may be the whole name of a tool, in lower case."""
    found = (name.strip(".-").lower() for name in _NAME.findall(text))
    return frozenset(name for name in found if name)


def ends_in_result(subject: Subject) -> bool:
    """Whether the last message of a request is a tool's result."""
    return bool(subject.messages) and subject.messages[-1].get("role") in _RESULTS
