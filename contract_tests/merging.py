"""Valid bodies in company: one request shows many of them, and where it is refused, halves show which.

A merged body is as plausible as the single ones: a result follows its call, a named tool is offered, what
services refuse side by side stays apart, and what a model may be unable to do has bodies of its own.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from openpipe_mock.contract.probe import Request
from openpipe_mock.openapi.spec import contract
from openpipe_mock.payloads.valid import REQUEST_COMPONENTS, USER, Positive, positives

from .builders import sent
from .settings import Aim

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
"""What shows by all that it lacks, and what asks for more than many servers give."""
SIDE_BY_SIDE = (
    ("max_tokens", "max_completion_tokens"),
    ("temperature", "top_p"),
    ("tools", "functions"),
    ("refusal", "function_call", "tool_calls"),
)
"""Members of which a service may take only one; null is none."""
CALLABLE = ("tools", "functions")


class Clash(Exception):
    """Two bodies can't be one without losing what they show."""


@dataclass(frozen=True)
class Group:
    """Valid bodies of one endpoint, level and need that go together."""

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
    """The groups of an endpoint, the same on every machine. A body in no group is asked alone."""
    kinds: dict[tuple[str, tuple[str, ...], bool], list[Positive]] = {}
    for case in positives(endpoint):
        if case.name not in ALONE and ".turns." not in case.name:  # a turn is a body of its own kind
            kinds.setdefault((level_of(case), case.needs, is_null(case)), []).append(case)
    packs = [
        (level, needs, tuple(pack))
        for (level, needs, _), cases in kinds.items()
        for pack in packed(cases)
        if len(pack) > 1
    ]
    return tuple(Group(number, endpoint, *pack) for number, pack in enumerate(packs, start=1))


def level_of(case: Positive) -> str:
    """The level of a valid body; no contract makes a chat model see and hear."""
    return "decision" if case.needs and case.endpoint == "chat" else case.level


def is_null(case: Positive) -> bool:
    """Whether a chat body shows null for a member at its top, as clients dump what they leave out."""
    at_top = case.endpoint == "chat" and case.name.count(".") == 2
    return at_top and case.name.endswith(".null") and case.level == "sdk"


def packed(cases: Sequence[Positive]) -> list[list[Positive]]:
    """As few packs as need be, of like size: each body goes to the smallest that takes it."""
    packs: list[list[Positive]] = []
    for case in sorted(cases, key=lambda case: ".messages." in case.name):
        for pack in sorted(packs, key=len):
            if goes([*pack, case]):
                pack.append(case)
                break
        else:
            packs.append([case])
    return packs


def goes(cases: Sequence[Positive]) -> bool:
    """Whether bodies can be one that is valid."""
    try:
        body = merged(cases)
    except Clash:
        return False
    return contract().checker(REQUEST_COMPONENTS[cases[0].endpoint]).is_valid(body)


# How several bodies become one.


def merged(cases: Sequence[Positive]) -> Json:
    """One body with all that the single ones show; a single one is left as it is. Raises Clash."""
    bodies = [case.body for case in cases]
    if len(bodies) == 1:
        return bodies[0]
    if cases[0].endpoint == "chat":
        return talk(bodies)
    inputs = [body["input"] for body in bodies if "input" in body]
    made = {"criterion_id": bodies[0]["criterion_id"], "output": output([body["output"] for body in bodies])}
    return {**made, "input": talk(inputs)} if inputs else made


def output(outputs: Sequence[Json]) -> Json:
    """The judged message: what the members about it say, in one."""
    usual = positives("judge")[0].body["output"]
    telling = [each for each in outputs if each != usual]
    return joined(telling) if telling else usual


def talk(talks: Sequence[Json]) -> Json:
    """Conversation and settings in one body."""
    rest = [{name: value for name, value in each.items() if name != "messages"} for each in talks]
    head, *others = rest
    for other in others:
        head = with_members(head, other)
    return {**apart(head), "messages": conversation([each["messages"] for each in talks])}


def joined(values: Sequence[dict[str, Json]]) -> Json:
    """Objects in one. Raises Clash where one is a part of another: that would hide what it lacks."""
    whole, *others = values
    for other in others:
        if holds(whole, other) or holds(other, whole):
            raise Clash
        whole = with_members(whole, other)
    return apart(whole)


def holds(whole: Json, part: Json) -> bool:
    """Whether all that a value says is in another one."""
    if isinstance(whole, dict) and isinstance(part, dict):
        return all(name in whole and holds(whole[name], value) for name, value in part.items())
    return type(whole) is type(part) and bool(whole == part)


def with_members(one: dict[str, Json], other: dict[str, Json]) -> dict[str, Json]:
    found = dict(one)
    for name, value in other.items():
        found[name] = both(name, found[name], value) if name in found else value
    return found


def both(name: str, one: Json, other: Json) -> Json:
    """Two values of a member in one. Raises Clash where only one of them can be there."""
    if type(one) is type(other) and one == other:
        return one
    if name in CALLABLE and one and other:
        return offered([*one, *(each for each in other if each not in one)])
    if isinstance(one, dict) and isinstance(other, dict):
        return joined([one, other])
    raise Clash


def apart(body: dict[str, Json]) -> dict[str, Json]:
    """The object. Raises Clash where it has two members that a service may not take side by side."""
    for names in SIDE_BY_SIDE:
        if sum(body.get(name) is not None for name in names) > 1:
            raise Clash
    return body


def offered(tools: Sequence[Json]) -> list[Json]:
    """Tools or functions, each with a name of its own; the first keeps the name that a choice may call."""
    found: list[Json] = []
    for number, tool in enumerate(tools, start=1):
        function = tool.get("function", tool)
        own = {**function, "name": f"count_{number}" if number > 1 else function["name"]}
        found.append({**tool, "function": own} if "function" in tool else own)
    return found


def conversation(talks: Sequence[list[Json]]) -> list[Json]:
    """Instructions, then exchanges with ids of their own, then what the user says; a plain turn ends it."""
    heads: list[Json] = []
    turns: list[Json] = []
    said: list[Json] = []
    for messages in talks:
        head = [each for each in messages if each["role"] in ("system", "developer")]
        rest = [each for each in messages if each not in head]
        heads += head
        if all(each["role"] == "user" for each in rest):
            said += [each for each in rest if each not in said]
        else:
            turns += renamed(rest, f"call_{len(turns) + 2}")
    if len({each["role"] for each in heads}) > 1:
        raise Clash
    said = said if any(map(plain, said)) else [*said, USER]
    return [*heads, *turns, *sorted(said, key=plain)]


def plain(message: Json) -> bool:
    """Whether a message is a text and no more."""
    return message.keys() == {"role", "content"} and isinstance(message["content"], str)


def renamed(messages: list[Json], name: str) -> list[Json]:
    """Messages whose calls, and the results of these, have another id."""
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
def showing(aim: Aim, members: Members) -> Request:
    """The request that shows several valid bodies at once; a single one as it is."""
    return sent(aim, members[0].endpoint, merged(members))


# Which of them are taken.

Take = Callable[[Members], bool | None]


def taken(members: Members, take: Take) -> Iterator[Positive]:
    """Those that are accepted, in company if that goes; `take` says so of some, None where no answer came.

    Halves are asked where the whole is refused; where both halves are, or no answer comes, each alone.
    """
    whole = take(members)
    if whole:
        yield from members
    elif whole is None:
        yield from alone(members, take)
    else:
        yield from within(members, take)


def within(members: Members, take: Take) -> Iterator[Positive]:
    """The accepted ones of those that are refused together."""
    if len(members) == 1:
        yield from alone(members, take)
        return
    left, right = members[: len(members) // 2], members[len(members) // 2 :]
    first = take(left)
    if first:  # so the cause is in the other half, which needs no asking
        yield from left
        yield from within(right, take)
    elif first is not None and take(right):
        yield from right
        yield from within(left, take)
    else:
        yield from alone(members, take)


def alone(members: Members, take: Take) -> Iterator[Positive]:
    yield from (member for member in members if take((member,)))
