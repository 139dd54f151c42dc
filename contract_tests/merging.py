"""Merges valid bodies, so that one request checks many of them, and searches by halves if it is refused.

A merged body is as plausible as the single ones: a result follows its call, and a named tool is offered.
Members that services refuse side by side, and media that a model may not support, go into different bodies.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from openpipe_mock.contract.probe import Request
from openpipe_mock.openapi.spec import contract
from openpipe_mock.payloads.valid import REQUEST_COMPONENTS, USER, Positive, positives

from .builders import request_for
from .settings import RunSettings

Json = Any
Members = tuple[Positive, ...]

ALONE = frozenset(
    (
        "judge.object",
        "judge.input.object",
        "judge.input.messages.empty",
        "chat.object",
        "chat.messages.empty",
        "chat.n.at-maximum",
    )
)
"""Names of positives that are never merged: they show what is missing, or ask for very much."""
SIDE_BY_SIDE = (
    ("max_tokens", "max_completion_tokens"),
    ("temperature", "top_p"),
    ("tools", "functions"),
    ("refusal", "function_call", "tool_calls"),
)
"""Members of which a service may accept only one. Null doesn't count."""
_CALLABLE = ("tools", "functions")


class Clash(Exception):
    """Two bodies can't be merged without losing what they show."""


@dataclass(frozen=True)
class Group:
    """Valid bodies of one endpoint, level and kind of media that are sent as one."""

    number: int
    endpoint: str
    level: str
    needs: tuple[str, ...]
    members: Members

    @property
    def name(self) -> str:
        return f"together-{self.number}"


# Which go together.


@cache
def groups(endpoint: str) -> tuple[Group, ...]:
    """The groups of an endpoint, the same on every machine. A body in no group is sent alone."""
    kinds: dict[tuple[str, tuple[str, ...], bool], list[Positive]] = {}
    for case in positives(endpoint):
        if case.name not in ALONE and ".turns." not in case.name:  # a turn is a body of its own kind
            kinds.setdefault((level_of(case), case.needs, is_null(case)), []).append(case)
    packs = [
        (level, needs, tuple(pack))
        for (level, needs, _), cases in kinds.items()
        for pack in _make_packs(cases)
        if len(pack) > 1
    ]
    return tuple(Group(number, endpoint, *pack) for number, pack in enumerate(packs, start=1))


def level_of(case: Positive) -> str:
    """The level of a valid body. No source says that a chat model accepts media: these are a decision."""
    return "decision" if case.needs and case.endpoint == "chat" else case.level


def is_null(case: Positive) -> bool:
    """Whether a chat body shows null for a top-level member. Clients dump members without a value so."""
    at_top = case.endpoint == "chat" and case.name.count(".") == 2
    return at_top and case.name.endswith(".null")


def _make_packs(cases: Sequence[Positive]) -> list[list[Positive]]:
    """Few packs of similar size: each body goes to the smallest pack that it can be merged with."""
    packs: list[list[Positive]] = []
    for case in sorted(cases, key=lambda case: ".messages." in case.name):
        for pack in sorted(packs, key=len):
            if _fits_in_one_body([*pack, case]):
                pack.append(case)
                break
        else:
            packs.append([case])
    return packs


def _fits_in_one_body(cases: Sequence[Positive]) -> bool:
    """Whether the bodies can be merged into a valid one."""
    try:
        body = merged(cases)
    except Clash:
        return False
    return contract().checker(REQUEST_COMPONENTS[cases[0].endpoint]).is_valid(body)


# How several bodies become one.


def merged(cases: Sequence[Positive]) -> Json:
    """One body that shows all that the single ones show. Raises Clash where that can't be."""
    bodies = [case.body for case in cases]
    if len(bodies) == 1:
        return bodies[0]
    if cases[0].endpoint == "chat":
        return _merge_talks(bodies)
    inputs = [body["input"] for body in bodies if "input" in body]
    made = {
        "criterion_id": bodies[0]["criterion_id"],
        "output": _merge_outputs([body["output"] for body in bodies]),
    }
    return {**made, "input": _merge_talks(inputs)} if inputs else made


def _merge_outputs(outputs: Sequence[Json]) -> Json:
    """The judged messages in one; those that show nothing of their own are dropped. Raises Clash."""
    usual = positives("judge")[0].body["output"]
    telling = [each for each in outputs if each != usual]
    return join_objects(telling) if telling else usual


def _merge_talks(talks: Sequence[Json]) -> Json:
    """Conversations and the members beside them in one body. Raises Clash."""
    rest = [{name: value for name, value in each.items() if name != "messages"} for each in talks]
    head, *others = rest
    for other in others:
        head = _with_members(head, other)
    return {**_require_apart(head), "messages": _merge_conversations([each["messages"] for each in talks])}


def join_objects(values: Sequence[dict[str, Json]]) -> Json:
    """Objects in one. Raises Clash where one is part of another, as its missing members would be filled."""
    whole, *others = values
    for other in others:
        if _contains(whole, other) or _contains(other, whole):
            raise Clash
        whole = _with_members(whole, other)
    return _require_apart(whole)


def _contains(whole: Json, part: Json) -> bool:
    """Whether `whole` has all that `part` has."""
    if isinstance(whole, dict) and isinstance(part, dict):
        return all(name in whole and _contains(whole[name], value) for name, value in part.items())
    return type(whole) is type(part) and bool(whole == part)


def _with_members(one: dict[str, Json], other: dict[str, Json]) -> dict[str, Json]:
    found = dict(one)
    for name, value in other.items():
        found[name] = _merge_member(name, found[name], value) if name in found else value
    return found


def _merge_member(name: str, one: Json, other: Json) -> Json:
    """Two values of one member in one. Raises Clash where they exclude each other."""
    if type(one) is type(other) and one == other:
        return one
    if name in _CALLABLE and one and other:
        return _merge_tools([*one, *(each for each in other if each not in one)])
    if isinstance(one, dict) and isinstance(other, dict):
        return join_objects([one, other])
    raise Clash


def _require_apart(body: dict[str, Json]) -> dict[str, Json]:
    """The object. Raises Clash where it has two members of one row of SIDE_BY_SIDE."""
    for names in SIDE_BY_SIDE:
        if sum(body.get(name) is not None for name in names) > 1:
            raise Clash
    return body


def _merge_tools(tools: Sequence[Json]) -> list[Json]:
    """Tools or functions with different names. The first keeps its name, since `tool_choice` may name it."""
    found: list[Json] = []
    for number, tool in enumerate(tools, start=1):
        function = tool.get("function", tool)
        own = {**function, "name": f"count_{number}" if number > 1 else function["name"]}
        found.append({**tool, "function": own} if "function" in tool else own)
    return found


def _merge_conversations(talks: Sequence[list[Json]]) -> list[Json]:
    """Messages in one order: instructions, turns with ids of their own, user messages, a plain text last."""
    heads: list[Json] = []
    turns: list[Json] = []
    user_turns: list[Json] = []
    for messages in talks:
        head = [each for each in messages if each["role"] in ("system", "developer")]
        rest = [each for each in messages if each not in head]
        heads += head
        if all(each["role"] == "user" for each in rest):
            user_turns += [each for each in rest if each not in user_turns]
        else:
            turns += _with_call_id(rest, f"call_{len(turns) + 2}")
    if len({each["role"] for each in heads}) > 1:
        raise Clash
    user_turns = user_turns if any(map(_is_plain_text, user_turns)) else [*user_turns, USER]
    return [*heads, *turns, *sorted(user_turns, key=_is_plain_text)]


def _is_plain_text(message: Json) -> bool:
    """Whether a message has only a role and a text."""
    return message.keys() == {"role", "content"} and isinstance(message["content"], str)


def _with_call_id(messages: list[Json], name: str) -> list[Json]:
    """The messages with `name` as the id of their calls and results."""
    return [
        {
            **message,
            **({"tool_call_id": name} if "tool_call_id" in message else {}),
            **(
                {"tool_calls": [{**call, "id": name} for call in message["tool_calls"]]}
                if message.get("tool_calls")
                else {}
            ),
        }
        for message in messages
    ]


@cache
def request_showing(settings: RunSettings, members: Members) -> Request:
    """The request that shows several valid bodies at once, or a single one unchanged."""
    return request_for(settings, members[0].endpoint, merged(members))


# Which of them a server accepts.

IsAccepted = Callable[[Members], bool | None]


def find_accepted(members: Members, is_accepted: IsAccepted) -> Iterator[Positive]:
    """Yields the members that a server accepts, with as few requests as it takes.

    `is_accepted` sends some members as one body; it returns None where no answer came. Halves are sent where
    the whole is refused; each member alone, where both halves are refused or no answer came.
    """
    whole = is_accepted(members)
    if whole:
        yield from members
    elif whole is None:
        yield from _each_alone(members, is_accepted)
    else:
        yield from _search_halves(members, is_accepted)


def _search_halves(members: Members, is_accepted: IsAccepted) -> Iterator[Positive]:
    """The accepted members of those that are refused as one body."""
    if len(members) == 1:
        yield from _each_alone(members, is_accepted)
        return
    left, right = members[: len(members) // 2], members[len(members) // 2 :]
    first = is_accepted(left)
    if first:  # so the other half has the cause, and is refused as a whole
        yield from left
        yield from _search_halves(right, is_accepted)
    elif first is not None and is_accepted(right):
        yield from right
        yield from _search_halves(left, is_accepted)
    else:
        yield from _each_alone(members, is_accepted)


def _each_alone(members: Members, is_accepted: IsAccepted) -> Iterator[Positive]:
    yield from (member for member in members if is_accepted((member,)))
