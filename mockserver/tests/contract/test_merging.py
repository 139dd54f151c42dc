"""Valid bodies in company: what is shown stays shown, and what is refused is found and named alone."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract_tests import merging
from contract_tests.merging import ALONE, SIDE_BY_SIDE, Group, find_accepted, groups, merged
from openpipe_mock.contract.checks import decides
from openpipe_mock.contract.findings import Result
from openpipe_mock.contract.run import run
from openpipe_mock.contract.target import RunOptions, Target
from openpipe_mock.contract.text import plan as plan_lines
from openpipe_mock.openapi.spec import contract
from openpipe_mock.payloads.valid import REQUEST_COMPONENTS, positives
from tests.contract.test_suite import ELSEWHERE, OURS, planned
from tests.judging import states, told, verdict_on
from tests.live import Live
from tests.reference.habits import Habits
from tests.reference.http import CHAT, JUDGE, App, Event, Receive, Request, Send, received
from tests.reference.mutation import content, hang, refusing, sending
from tests.reference.server import Reference

Json = Any

ALL = [group for endpoint in REQUEST_COMPONENTS for group in groups(endpoint)]
EVERY = pytest.mark.parametrize("group", ALL, ids=lambda group: f"{group.endpoint}-{group.name}")
LOCAL = Target("http://127.0.0.1:9/api/v1")


# Bodies.


def unnamed(value: Json) -> Json:
    """A value with the names and ids that bodies in company get back to the usual ones."""
    text = re.sub(r'"(count|call)_\d+"', lambda found: f'"{found[1]}"', json.dumps(value))
    return json.loads(text)


def shows(whole: Json, part: Json) -> bool:
    """Whether all of a body is in another one; what is empty is shown by what is empty alone."""
    if isinstance(whole, dict) and isinstance(part, dict) and part:
        return all(name in whole and shows(whole[name], value) for name, value in part.items())
    return type(whole) is type(part) and bool(whole == part)


def talk(body: Json) -> Json:
    return body.get("input", {}) if "output" in body else body


@EVERY
def test_a_merged_body_shows_what_each_of_its_members_shows(group: Group) -> None:
    whole = unnamed(merged(group.members))
    filler = positives("judge")[0].body["output"]
    for case in group.members:
        part = unnamed(case.body)
        said = {} if part.get("output") == filler else part.get("output", {})
        for mine, other in ((talk(part), talk(whole)), (said, whole.get("output", {}))):
            for name, value in without(mine, "tools", "functions", "messages").items():
                assert name in other, case.name
                assert shows(other[name], value), case.name
            for listed in ("tools", "functions", "messages"):
                items = other.get(listed) or []
                assert all(item in items for item in mine.get(listed) or []), case.name
                if listed in mine and not mine[listed]:
                    assert other[listed] == mine[listed], case.name


def without(body: Json, *names: str) -> Json:
    return {name: value for name, value in body.items() if name not in names}


def test_what_shows_by_lacking_something_is_not_filled_in() -> None:
    function: Json = {"name": "count"}
    strict: Json = {"name": "count", "strict": True}
    for values in ([function, strict], [strict, function], [{}, function], [function, {"name": "other"}]):
        with pytest.raises(merging.Clash):
            merging.join_objects(values)
    assert merging.join_objects([strict, {"name": "count", "description": "Counts."}]) == {
        **strict,
        "description": "Counts.",
    }
    [bare] = [group for group in groups("judge") if "judge.output.bare" in {m.name for m in group.members}]
    assert merged(bare.members)["output"] == {"role": "assistant"}


@EVERY
def test_a_merged_body_and_each_half_of_it_is_valid(group: Group) -> None:
    checker = contract().checker(REQUEST_COMPONENTS[group.endpoint])
    for members in halves(group.members):
        assert list(checker.violations(merged(members))) == []


def halves(members: merging.Members) -> Iterator[merging.Members]:
    yield members
    if len(members) > 1:
        middle = len(members) // 2
        yield from halves(members[:middle])
        yield from halves(members[middle:])


@EVERY
def test_a_merged_body_is_what_a_client_might_send(group: Group) -> None:
    body = merged(group.members)
    own = talk(body)
    messages = own.get("messages", [])
    for before, after in pairwise(messages):
        if after["role"] == "tool":
            assert after["tool_call_id"] in [call["id"] for call in before["tool_calls"]]
        if after["role"] == "function":
            assert after["name"] == before["function_call"]["name"]
    ids = [call["id"] for message in messages for call in message.get("tool_calls") or ()]
    assert len(set(ids)) == len(ids)
    names = [tool["function"]["name"] for tool in own.get("tools") or ()]
    names += [function["name"] for function in own.get("functions") or ()]
    assert len(set(names)) == len(names)
    choice = own.get("tool_choice")
    named = choice.get("function", {}).get("name") if isinstance(choice, dict) else None
    assert named is None or named in names
    heads = [place for place, message in enumerate(messages) if message["role"] in ("system", "developer")]
    assert heads == list(range(len(heads)))
    assert len({messages[place]["role"] for place in heads}) <= 1
    assert not messages or messages[-1]["role"] == "user"
    for side in SIDE_BY_SIDE:
        for part in (own, body.get("output", {})):
            assert sum(part.get(name) is not None for name in side) <= 1


@pytest.mark.parametrize("endpoint", REQUEST_COMPONENTS)
def test_each_valid_body_is_in_one_group_or_alone(endpoint: str) -> None:
    grouped = Counter(case.name for group in groups(endpoint) for case in group.members)
    assert set(grouped.values()) == {1}
    left = {case.name for case in positives(endpoint)} - grouped.keys()
    assert {name for name in ALONE if name.startswith(f"{endpoint}.")} <= left
    assert sum(grouped.values()) > 5 * len(left)


@EVERY
def test_levels_and_media_are_not_mixed(group: Group) -> None:
    assert {(merging.level_of(case), case.needs) for case in group.members} == {(group.level, group.needs)}


# The search.


class Judge:
    """Refuses whatever holds one of these numbers, and counts how often it is asked."""

    def __init__(self, *refused: int, silent: bool = False) -> None:
        self.refused, self.silent, self.asked = set(refused), silent, list[tuple[int, ...]]()

    def __call__(self, members: Any) -> bool | None:
        self.asked.append(members)
        if self.refused & set(members):
            return None if self.silent else False
        return True


def found(number: int, judge: Judge) -> set[Any]:
    return set(find_accepted(tuple(range(number)), judge))  # type: ignore[arg-type]


@given(st.integers(1, 24), st.sets(st.integers(0, 23)), st.booleans())
def test_just_what_is_refused_alone_is_found(number: int, refused: set[int], silent: bool) -> None:
    judge = Judge(*refused, silent=silent)
    assert found(number, judge) == set(range(number)) - refused
    asked = set(judge.asked)
    assert all((each,) in asked for each in refused if each < number), "each has its own evidence"
    assert len(asked) <= number + 12


@pytest.mark.parametrize("culprit", range(16))
def test_one_culprit_is_found_by_halves(culprit: int) -> None:
    judge = Judge(culprit)
    found(16, judge)
    assert len(set(judge.asked)) <= 9


def test_a_server_that_says_nothing_is_asked_each_alone_at_once() -> None:
    judge = Judge(3, silent=True)
    assert found(8, judge) == set(range(8)) - {3}
    assert sum(judge.refused <= set(members) for members in judge.asked) == 2


# Runs.


CHAT_MAY = ("chat.rejects.", "chat.accepts.")
"""The checks of what chat may take or not, of which a run at level `decision` has no room for each."""


def test_a_default_run_checks_all_that_decides_but_further_edits(live: Live) -> None:
    """In at most 400 requests; and it says so."""
    result = run(RunOptions(live.base_url, **OURS))
    assert result.verdict == "kept", told(result) + result.open_questions
    assert result.requests <= 400
    assert states(result, "unchecked") == set(result.planned.cut)
    assert all(map(is_told_alone, result.planned.cut))
    assert len(result.planned.cut) < 130
    assert result.planned.more > 500, "further edits, in rotation"
    lines = "\n".join(plan_lines(result.planned, whole=True))
    assert re.search(r"\d+ valid requests are asked as \d\d;", lines)
    assert "further cases of checks that are made; --thorough makes all of them" in lines


def is_told_alone(check: str) -> bool:
    """Whether a check is about what a server may as well accept. Such ones are the first to go."""
    return check.startswith(CHAT_MAY) or check.endswith(".additionalProperties")


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 5])
@pytest.mark.parametrize("level", ["documented", "sdk", "decision"])
def test_every_check_that_decides_has_its_place_in_the_default_budget(seed: int, level: str) -> None:
    plan = planned(RunOptions(LOCAL.url, seed=seed, level=level, latest=("criterion-1=v1",)), LOCAL)
    begun = {case.check.id for case in plan.kept}
    rest = [case.check for case in plan.cut if case.check.id not in begun]
    needed = [check for check in rest if not is_told_alone(check.id)]
    assert not any(decides(check.level, level) for check in needed)
    assert {check.endpoint for check in needed} <= {"chat"}
    assert plan.numbers.requests + plan.numbers.reserve <= 400
    assert plan.numbers.reserve >= 40


def test_what_the_judge_has_to_refuse_comes_before_what_chat_may_take_of_the_same_kind() -> None:
    server = replace(LOCAL, max_requests=1000)
    labels = [case.label for case in planned(RunOptions(LOCAL.url), server).kept]
    needed = labels.index("judge.rejects.ToolMessage.required[input.messages.tool.tool_call_id.missing]")
    typed = labels.index("judge.rejects.UserMessage.type[input.messages.user.name.type-number]")
    repeated = labels.index("chat.rejects.UserMessage.required[messages.user.role.missing]")
    assert needed < typed < repeated


def test_few_requests_elsewhere_check_most_of_what_is_valid() -> None:
    plan = planned(RunOptions(ELSEWHERE.url), ELSEWHERE)
    begun = {case.check.id for case in plan.kept}
    cut = {case.check.id for case in plan.cut} - begun
    assert len(cut) < 370
    assert not any(case.check.must for case in plan.cut if case.check.id in cut)
    assert sum(".accepts." in name for name in begun) > 150
    assert plan.numbers.requests + plan.numbers.reserve <= 60


def test_a_thorough_run_asks_each_valid_body_alone() -> None:
    server = replace(LOCAL, max_requests=5000)
    plan = planned(RunOptions(LOCAL.url, thorough=True), server)
    assert not any(case.group for case in plan.kept)
    alone = [case for case in plan.kept if ".accepts." in case.label and "together" not in case.label]
    assert len({request for case in alone for request in case.planned}) > 200


ODD = "judge.accepts.input.messages.tool.bare"


def odd(status: int = 400) -> App:
    """A server that refuses results of tools without content."""
    return refusing(
        JUDGE,
        lambda body: any(each["role"] == "tool" and "content" not in each for each in messages(body)),
        status,
    )(Habits())


def messages(body: Json) -> Json:
    return (body.get("input") or {}).get("messages") or []


@pytest.mark.slow
def test_the_refused_one_is_named_with_the_body_that_shows_it() -> None:
    result = verdict_on(odd())
    assert states(result, "broken") == {ODD}, told(result)
    [broken] = result.breaks
    assert broken.first.case == ODD
    [own] = [case.body for case in positives("judge") if case.name == "judge.input.messages.tool.bare"]
    assert broken.first.evidence is not None
    assert broken.first.evidence.request.value() == own
    assert states(result, "flaky") == set()
    assert states(result, "unchecked") - {*result.planned.cut} == {together_of(ODD)}
    assert f"refused alone: {own_name(ODD)}" in outcome(result, together_of(ODD)).reasons[0]
    assert result.requests <= 400


def own_name(check: str) -> str:
    return check.replace(".accepts", "")


def together_of(check: str) -> str:
    """The check of the group in which a valid body is."""
    endpoint = check.partition(".")[0]
    names = {case.name: group.name for group in groups(endpoint) for case in group.members}
    return f"{endpoint}.accepts.{names[own_name(check)]}"


def outcome(result: Result, name: str) -> Any:
    return next(each for each in result.outcomes if each.check.id == name)


def test_asked_for_alone_it_is_sent_alone() -> None:
    result = verdict_on(odd(), only=(ODD,))
    assert states(result, "broken") == {ODD}
    assert (result.planned.requests, result.planned.shared) == (2, 0)
    assert result.requests == 3, "reachability, the body, and the body again"


@pytest.mark.slow
def test_a_crash_is_told_once_and_confirmed() -> None:
    result = verdict_on(odd(500))
    assert states(result, "broken") == {"judge.no_5xx"}, told(result)
    assert ODD in states(result, "unchecked")
    assert outcome(result, "judge.no_5xx").level == "documented", "a valid request is promised a judgement"
    assert states(result, "flaky") == set()


@pytest.mark.slow
def test_the_group_can_be_asked_for_alone() -> None:
    """What is wrong with an answer to several at once can be seen again."""

    def wrong(body: Json, answer: Json) -> Json:
        return {**answer, "score": 2} if len(messages(body)) > 9 else answer

    app = content(JUDGE, wrong)(Habits())
    result = verdict_on(app)
    assert states(result, "flaky") == set()
    broken = outcome(result, "judge.response.score")
    assert broken.state == "broken"
    assert re.fullmatch(r"judge\.accepts\.together-\d+", broken.first.case), broken.first.case
    again = verdict_on(app, only=broken.first.only)
    assert "judge.response.score" in states(again, "broken")
    assert again.requests <= 4


@pytest.mark.slow
def test_what_is_refused_in_company_only_decides_nothing_but_for_us() -> None:
    app = refusing(JUDGE, lambda body: len(messages(body)) > 9)(Habits())
    result = verdict_on(app, level="sdk", only=("judge.accepts",))
    assert result.verdict == "kept", told(result)
    broken = states(result, "broken")
    assert broken
    assert all("together-" in name for name in broken), broken
    assert all("accepted alone" in each.first.sentence for each in result.deviations)
    assert verdict_on(app, level="decision", only=("judge.accepts",)).verdict == "broken"


@pytest.mark.slow
def test_a_body_that_gets_no_answer_does_not_end_the_run() -> None:
    def at_odd(request: Request) -> bool:
        return request.path == JUDGE and any("content" not in each for each in tools(request))

    def tools(request: Request) -> list[Json]:
        try:
            return [each for each in messages(request.json()) if each["role"] == "tool"]
        except (ValueError, AttributeError, TypeError, KeyError):
            return []

    result = verdict_on(sending(at_odd, lambda raw, send: hang(raw, send))(Habits()), timeout=1.0)
    assert "judge.answers" in states(result, "broken"), told(result)
    assert ODD in states(result, "unchecked")
    group = {f"judge.accepts.{case.name.partition('.')[2]}" for case in members_with(ODD)} - {ODD}
    assert group <= states(result, "kept")
    assert "chat.accepts.n.at-maximum" in states(result, "kept")


def members_with(check: str) -> merging.Members:
    endpoint = check.partition(".")[0]
    return next(
        group.members
        for group in groups(endpoint)
        if own_name(check) in [case.name for case in group.members]
    )


def test_when_the_budget_ends_within_a_search_the_rest_is_unchecked() -> None:
    app = refusing(JUDGE, lambda body: "input" in body)(Habits())
    result = verdict_on(app, only=("judge.accepts",), max_requests=30)
    assert result.requests <= 30
    assert states(result, "unchecked")
    reasons = {reason for each in result.in_state("unchecked") for reason in each.reasons}
    assert "the budget of requests was spent" in reasons


class Busy:
    """A reference server that is busy when it is first asked for many messages at once."""

    def __init__(self) -> None:
        self.app, self.turns = Reference(), 20

    async def __call__(self, scope: Event, receive: Receive, send: Send) -> None:
        request = await received(scope, receive)

        async def again() -> Event:
            return {"type": "http.request", "body": request.body, "more_body": False}

        if request.path == CHAT and request.body.count(b'"role"') > 6 and self.turns:
            self.turns -= 1
            headers = [(b"content-type", b"application/json"), (b"retry-after", b"600")]
            await send({"type": "http.response.start", "status": 429, "headers": headers})
            await send({"type": "http.response.body", "body": b'{"message":"busy","code":"BUSY"}'})
            return
        await self.app(scope, again, send)


def test_a_busy_server_is_not_taken_for_one_that_refuses() -> None:
    result = verdict_on(Busy(), only=("chat.accepts",))
    assert states(result, "broken", "flaky") == set(), told(result)
    reasons = {reason for each in result.in_state("unchecked") for reason in each.reasons}
    assert reasons <= {"the server was busy (429)"}
