"""Chooses the tool that a chat answer calls: one the request names, or one the conversation mentions."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from openpipe_mock.answers.turns import Turn
from openpipe_mock.core.errors import BadRequest
from openpipe_mock.core.wording import listed, nearest, quoted

AutoTools = Literal["mention", "always", "never"]
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

    An object without a name means `auto`. A tool of type `custom` means `none`: no answer can call it.
    """
    older = "function_call" in body and body.get("tool_choice", "auto") == "auto"
    member = "function_call" if older else "tool_choice"
    choice = body.get(member, "auto")
    if isinstance(choice, str):
        return Wanted(choice, member=member)
    if "allowed_tools" in choice:
        return Wanted(choice["allowed_tools"]["mode"], member=member)
    if "custom" in choice:
        return Wanted("none", member=member)
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
            told = 'expected a tool of type "function" in "tools" beside it, since it requires a call.'
            raise _misplaced(want, told)
        return _required(tools, _turn(want, tools, messages))
    if not tools or want.mode == "none" or auto == "never":
        return None
    return _unasked(tools, _turn(want, tools, messages), auto)


def turn_of(body: Mapping[str, Any]) -> Turn:
    """Return the last turn of a request's conversation."""
    return _turn(wanted_tool(body), offered(body), body["messages"])


def _turn(want: Wanted, tools: Sequence[Tool], messages: Sequence[Mapping[str, Any]]) -> Turn:
    return Turn(messages, [tool.name for tool in tools] if want.mode == "required" else ())


def _required(tools: Sequence[Tool], turn: Turn) -> Tool:
    """The tool that a required call goes to: one without an answer, so that agents reach their final tool."""
    unanswered = [tool for tool in tools if not turn.has_answered(tool.name)]
    if unanswered:
        scores = _mentions(unanswered, turn.text)
        return next((tool for tool in unanswered if scores[tool.name]), unanswered[0])
    # All have an answer: the last one was a final tool whose arguments were refused, so it's called again.
    last = [tool for name in [*turn.answered][-1:] for tool in tools if tool.name == name]
    return (last or asked_for(tools, turn.text) or tools)[0]


def _unasked(tools: Sequence[Tool], turn: Turn, auto: AutoTools) -> Tool | None:
    """The tool that is called though the request leaves it open: one that the text asks for, each once."""
    for tool in asked_for(tools, turn.text):
        if not turn.has_answered(tool.name):
            return tool
    return tools[0] if auto == "always" and turn.is_fresh else None


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


def asked_for(tools: Sequence[Tool], text: str) -> list[Tool]:
    """Return the tools that a text mentions, the one whose name it says most of first.

    A text says a whole name, or words of it. Each word counts for one tool, the first in this order.
    """
    scores = _mentions(tools, text)
    free = set(_words(text[:_MOST_READ]))
    found: list[Tool] = []
    mentioned = (tool for tool in tools if scores[tool.name])
    for tool in sorted(mentioned, key=lambda tool: -scores[tool.name]):
        own = _words(tool.name) - _COMMON
        if scores[tool.name] == _WHOLE or own & free:
            found.append(tool)
            free -= own
    return found


def _mentions(tools: Sequence[Tool], text: str) -> dict[str, int]:
    """How many words of each tool's name a text has; _WHOLE where it has the whole name."""
    text = text[:_MOST_READ]
    heard, names = _words(text), _names_in(text)
    return {tool.name: _score(tool.name, text, heard, names) for tool in tools}


def _score(name: str, text: str, heard: frozenset[str], names: frozenset[str]) -> int:
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
