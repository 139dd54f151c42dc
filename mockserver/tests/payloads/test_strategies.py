"""Requests drawn by Hypothesis: valid, odd, short when they shrink, and broken in one place."""

import sys
import types
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import Phase, find, given, settings
from hypothesis.errors import NoSuchExample

from openpipe_mock.openapi.endpoints import BASE
from openpipe_mock.openapi.spec import Checker, contract
from openpipe_mock.payloads import strategies
from openpipe_mock.payloads.strategies import (
    Broken,
    broken_chat_requests,
    broken_judge_requests,
    chat_requests,
    content_parts,
    criteria_headers,
    criteria_ids,
    judge_requests,
    messages,
    outputs,
    response_formats,
    tags_headers,
    tool_choices,
    tools,
)
from openpipe_mock.payloads.valid import REQUEST_COMPONENTS
from openpipe_mock.service.service import Service
from tests.environments import ROOT
from tests.generate import brief, thorough
from tests.inprocess import HEADERS, answer
from tests.markdown import blocks

pytestmark = [pytest.mark.slow, pytest.mark.measured]  # what is drawn takes long

Json = Any

CHAT = f"{BASE}/chat/completions"
patiently = settings(thorough, max_examples=1000)
at_once = settings(patiently, phases=[Phase.generate])


def checker(endpoint: str) -> Checker:
    return contract().checker(REQUEST_COMPONENTS[endpoint])


def shortest(strategy: Any, wanted: Callable[[Any], bool]) -> Any:
    """The simplest example with some property; fails when none is drawn."""
    return find(strategy, wanted, settings=patiently)


def drawn(strategy: Any, wanted: Callable[[Any], bool]) -> Any:
    """Some example with a property; fails when none is drawn."""
    return find(strategy, wanted, settings=at_once)


@brief
@given(judge_requests())
def test_our_server_judges_what_is_drawn(body: Json) -> None:
    assert checker("judge").is_valid(body)
    assert answer(Service(), body).status == 200


@brief
@given(chat_requests(), criteria_headers(), tags_headers())
def test_our_server_completes_what_is_drawn(body: Json, criteria: str, tags: str) -> None:
    assert checker("chat").is_valid(body)
    headers = {**HEADERS, b"op-tags": tags.encode("ascii")}
    if not body.get("stream"):
        headers[b"op-criteria"] = criteria.encode("ascii")
    assert answer(Service(), body, path=CHAT, headers=headers).status == 200


def broken_where_it_says(broken: Broken, endpoint: str) -> None:
    check = checker(endpoint)
    assert check.is_valid(broken.before)
    assert not check.is_valid(check.tidy(broken.body))
    seen = [(violation.pointer, violation.rule) for violation in check.violations(broken.body)]
    assert seen == [(broken.pointer, broken.rule)]
    assert broken.name.startswith(f"{endpoint}.")


@brief
@given(broken_judge_requests())
def test_a_broken_judge_request_breaks_one_rule(broken: Broken) -> None:
    broken_where_it_says(broken, "judge")
    assert answer(Service(), broken.body).status == 400


@brief
@given(broken_chat_requests())
def test_a_broken_chat_request_breaks_one_rule(broken: Broken) -> None:
    broken_where_it_says(broken, "chat")
    assert answer(Service(), broken.body, path=CHAT).status == 400


@brief
@given(broken_judge_requests(strict=True))
def test_strict_leaves_out_what_a_service_may_tolerate(broken: Broken) -> None:
    check = checker("judge")
    assert not check.is_valid(check.coerced(check.tidy(broken.body, unknown=True)))


COMPONENTS = {
    "messages": (messages(), "Message"),
    "outputs": (outputs(), "JudgeCriteriaOutput"),
    "response_formats": (response_formats(), "ResponseFormat"),
    **{role: (messages(role), f"{role.capitalize()}Message") for role in strategies.roles()},
}


@pytest.mark.parametrize("name", COMPONENTS)
def test_a_part_is_valid_for_its_component(name: str) -> None:
    strategy, component = COMPONENTS[name]

    @brief
    @given(strategy)
    def valid(value: Json) -> None:
        assert contract().checker(component).is_valid(value)

    valid()


def saying(role: str) -> Callable[[Json], bool]:
    return lambda body: any(message["role"] == role for message in body["messages"])


INTERESTING: dict[str, tuple[Any, dict[str, Callable[[Any], bool]]]] = {
    "judge": (
        judge_requests(),
        {
            "no input": lambda body: "input" not in body,
            "an empty tool choice": lambda body: body.get("input", {}).get("tool_choice") == {},
        },
    ),
    "chat": (
        chat_requests(),
        {
            "no messages": lambda body: body["messages"] == [],
            "no tools": lambda body: body.get("tools") == [],
            "a stream": lambda body: body.get("stream") is True,
            "an older call": lambda body: isinstance(body.get("function_call"), dict),
            **{f"a {role} message": saying(role) for role in strategies.roles()},
        },
    ),
    "outputs": (
        outputs(),
        {
            "null content": lambda value: value.get("content", "") is None,
            "empty content": lambda value: value.get("content") == "",
            "astral": lambda value: "😀" in (value.get("content") or ""),
            "combining": lambda value: "\u0301" in (value.get("content") or ""),
            "right to left": lambda value: "\u202e" in (value.get("content") or ""),
            "NUL": lambda value: "\x00" in (value.get("content") or ""),
            "long": lambda value: len(value.get("content") or "") > 1000,
        },
    ),
    "messages": (messages("user"), {"content without parts": lambda value: value.get("content") == []}),
    "headers": (criteria_headers(), {"a criterion twice": lambda text: text.count('"criterion-1"') == 2}),
}
"""What to draw → the strategy, and what has to occur."""


@pytest.mark.parametrize("name", INTERESTING)
def test_what_breaks_servers_is_drawn(name: str) -> None:
    strategy, kinds = INTERESTING[name]
    awaited = set(kinds)

    def was_the_last(value: Any) -> bool:
        awaited.difference_update([kind for kind in awaited if kinds[kind](value)])
        return not awaited

    with suppress(NoSuchExample):
        drawn(strategy, was_the_last)
    assert not awaited


@pytest.mark.slow
def test_the_simplest_requests_are_short() -> None:
    assert shortest(judge_requests(), bool) == {
        "criterion_id": "criterion-1",
        "output": {"role": "assistant"},
    }
    assert shortest(chat_requests(), bool) == {"model": "openai:gpt-4o-mini", "messages": []}


@pytest.mark.slow
def test_a_failure_shrinks_to_the_message_that_matters() -> None:
    def has_a_tool(body: Json) -> bool:
        return any(message["role"] == "tool" for message in body.get("input", {}).get("messages", ()))

    found = shortest(judge_requests(), has_a_tool)
    assert [message["role"] for message in found["input"]["messages"]] == ["assistant", "tool"]
    assert found["input"]["messages"][1] == {"role": "tool", "tool_call_id": "call_1"}
    assert found["output"] == {"role": "assistant"}


@pytest.mark.slow
def test_a_broken_request_shrinks_to_its_edit() -> None:
    found = shortest(broken_judge_requests(), lambda broken: broken.edit.component == "RefusalPart")
    assert found.rule in ("required", "type", "anyOf", "enum")
    assert set(found.body) == {"criterion_id", "output", "input"}
    assert len(found.body["input"]["messages"]) <= 2


@pytest.mark.parametrize("kind", ["text", "image_url", "input_audio", "refusal"])
def test_a_part_is_of_the_kind_that_is_asked_for(kind: str) -> None:
    assert drawn(content_parts(kind), bool)["type"] == kind


def test_bounds_are_kept() -> None:
    @brief
    @given(
        tools(min_size=1, max_size=2),
        tool_choices(names=()),
        criteria_ids(names=["tone"]),
        chat_requests(max_messages=0, max_choices=1, stream=False),
    )
    def kept(offered: Json, choice: Json, criterion: str, body: Json) -> None:
        assert 1 <= len({tool["function"]["name"] for tool in offered}) == len(offered) <= 2
        assert choice in ("auto", "none", {}, {"type": "function"})
        assert criterion.partition("@")[0] == "tone"
        assert (body["messages"], body.get("n") or 1, body["stream"]) == ([], 1, False)

    kept()


def test_what_does_not_exist_cannot_be_drawn() -> None:
    with pytest.raises(ValueError, match="'judge' is no role; there are system, user, assistant"):
        messages("judge")
    with pytest.raises(ValueError, match="'video' is no kind of part; there are text, image_url"):
        content_parts("video")


def test_the_examples_of_the_page_run(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    mine = types.ModuleType("myserver")
    mine.__dict__["status_of"] = lambda body: answer(Service(), body).status
    monkeypatch.setitem(sys.modules, "myserver", mine)
    page = (ROOT / "docs" / "strategies.md").read_text("utf-8")
    names: dict[str, Any] = {}
    for block in blocks(page):
        exec(block.code, names)
    assert capsys.readouterr().out.count("\n") > 500
    for name in ("test_a_valid_request_is_judged", "test_a_broken_request_is_refused"):
        brief(names[name])()
    assert drawn(names["mine"], bool)["model"] == "openpipe:my-model"
    assert shortest(names["judged_by"], lambda text: len(text) > 2) == '["tone"]'


def test_the_page_names_what_there_is() -> None:
    page = (ROOT / "docs" / "strategies.md").read_text("utf-8")
    table = [line for line in page.splitlines() if line.startswith("| `")]
    called = [call for line in table for call in line.partition("|")[2].partition(" | ")[0].split("`")[1::2]]
    assert {call.partition("(")[0] for call in called} >= {
        "judge_requests",
        "chat_requests",
        "messages",
        "content_parts",
        "tools",
        "outputs",
        "tool_choices",
        "response_formats",
        "criteria_ids",
        "criteria_headers",
        "tags_headers",
        "broken_judge_requests",
        "broken_chat_requests",
    }
    for call in called:
        eval(
            call.replace("=…", "=None") if "names" not in call else call.replace("=…", "=['a']"),
            vars(strategies),
        )
