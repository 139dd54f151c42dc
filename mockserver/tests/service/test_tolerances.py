"""What popular clients send to chat beyond the contract: each row of the table, in each mode."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openpipe_mock.config.settings import Settings, Validation
from openpipe_mock.matching.conditions import Subject
from openpipe_mock.openapi.spec import contract
from openpipe_mock.openapi.tolerances import TOLERANCES, tolerated
from openpipe_mock.payloads.edits import edits
from openpipe_mock.service.service import Service
from openpipe_mock.testing.interception import patched
from tests.chatting import CHAT, ask, asking, choices, completion, refused, user
from tests.controlling import Mock
from tests.environments import ROOT
from tests.generate import VALIDATIONS, thorough
from tests.inprocess import answer, content_of, holds, issues_of
from tests.markdown import section

Json = Any

KEY = {"authorization": "Bearer op-test"}
CALL = {"id": "call_1", "type": "function", "function": {"name": "look_up", "arguments": "{}"}}
CALLING = {"role": "assistant", "content": None, "tool_calls": [CALL]}
RESULT = {"role": "tool", "tool_call_id": "call_1", "content": "22 degrees"}
LOOK_UP = {"type": "function", "function": {"name": "look_up"}}
GREET = {"type": "function", "function": {"name": "greet"}}
GREP = {"type": "custom", "custom": {"name": "grep", "format": {"type": "text"}}}
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
FILE = {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AAAA"}}
CACHED = {"type": "ephemeral"}
WRITTEN = {"type": "text", "text": "Hi"}


def said(*messages: Json, **members: Json) -> Json:
    return asking(messages=[*messages], **members)


SAMPLES: Mapping[str, Mapping[str, Json]] = {
    "`name` in a tool message": {
        "/messages/2/name": said(user("Hi"), CALLING, {**RESULT, "name": "look_up"}),
    },
    "`reasoning_content` in an assistant message": {
        "/messages/1/reasoning_content": said(
            user("Hi"), {"role": "assistant", "content": "Hello", "reasoning_content": "Greet."}, user("Bye")
        ),
    },
    "`cache_control` on a part, a message or a tool": {
        "/messages/0/content/0/cache_control": said(user([{**WRITTEN, "cache_control": CACHED}])),
        "/messages/0/content/1/cache_control": said(user([WRITTEN, {**IMAGE, "cache_control": CACHED}])),
        "/messages/0/cache_control": said(
            {"role": "system", "content": "Hi", "cache_control": CACHED}, user("Hi")
        ),
        "/tools/0/cache_control": asking(tools=[{**LOOK_UP, "cache_control": CACHED}]),
        "/tools/0/function/cache_control": asking(
            tools=[{"type": "function", "function": {"name": "a", "cache_control": CACHED}}]
        ),
    },
    "`provider_specific_fields` in an assistant message or its calls": {
        "/messages/1/provider_specific_fields": said(
            user("Hi"), {"role": "assistant", "content": "Hello", "provider_specific_fields": {"a": None}}
        ),
        "/messages/1/tool_calls/0/provider_specific_fields": said(
            user("Hi"), {**CALLING, "tool_calls": [{**CALL, "provider_specific_fields": {}}]}, RESULT
        ),
        "/messages/1/tool_calls/0/function/provider_specific_fields": said(
            user("Hi"),
            {
                **CALLING,
                "tool_calls": [
                    {**CALL, "function": {**CALL["function"], "provider_specific_fields": {}}}  # type: ignore[dict-item]
                ],
            },
            RESULT,
        ),
    },
    "a part of type `file`": {
        "/messages/0/content/1": said(user([WRITTEN, FILE])),
        "/messages/2/content/0": said(user("Hi"), CALLING, {**RESULT, "content": [FILE]}),
    },
    "an image in a tool message": {
        "/messages/2/content/1": said(user("Hi"), CALLING, {**RESULT, "content": [WRITTEN, IMAGE]}),
    },
    "a tool of type `custom`, or a call or choice of one": {
        "/tools/0": asking(tools=[GREP, LOOK_UP]),
        "/messages/1/tool_calls/0": said(
            user("Hi"),
            {
                **CALLING,
                "tool_calls": [{"id": "call_1", "type": "custom", "custom": {"name": "grep", "input": "x"}}],
            },
            RESULT,
        ),
        "/tool_choice": asking(tools=[LOOK_UP], tool_choice={"type": "custom", "custom": {"name": "grep"}}),
    },
    "a `tool_choice` of type `allowed_tools`": {
        "/tool_choice": asking(
            tools=[LOOK_UP, GREET],
            tool_choice={"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [GREET]}},
        ),
    },
    "a newer voice or audio format": {
        "/audio/voice": asking(audio={"voice": "marin", "format": "wav"}),
        "/audio/format": asking(audio={"voice": "alloy", "format": "aac"}),
    },
    "metadata that is no text": {
        "/metadata/retry": asking(metadata={"a": "b", "retry": 1}),
        "/metadata/tags": asking(metadata={"tags": ["a", {"b": None}]}),
    },
    "a token limit of 0": {
        "/max_tokens": asking(max_tokens=0),
        "/max_completion_tokens": asking(max_completion_tokens=0.0),
    },
}
"""What a row is about → JSON pointer of it → a request that has it there and is right otherwise."""
EACH = [(sends, pointer) for sends, bodies in SAMPLES.items() for pointer in bodies]


class Seen(NamedTuple):
    """What the journal says of a chat request."""

    status: int
    valid: bool
    violations: list[str]
    tolerated: list[str]
    notes: list[str]
    answer: Json


def journal(body: Json, validation: Validation = "strict", times: int = 1) -> Seen:
    """What the journal says of a chat request, the last of so many."""
    mock = Mock(Settings(validation=validation))
    for _ in range(times):
        mock.send(CHAT, body)
    last = mock.json("GET", "/requests")["requests"][0]
    shown = mock.json("GET", f"/requests/{last['id']}")
    return Seen(**{name: last[name] for name in Seen._fields[:-1]}, answer=shown["answer"])


def test_each_row_has_a_sample() -> None:
    assert list(SAMPLES) == [row.sends for row in TOLERANCES]


@pytest.mark.parametrize(("sends", "pointer"), EACH)
def test_strict_takes_it_and_says_where_it_stood(sends: str, pointer: str) -> None:
    body = SAMPLES[sends][pointer]
    first, second = journal(body), journal(body, times=2)
    for call in (first, second):
        assert (call.status, call.valid, call.violations, call.tolerated) == (200, True, [], [pointer])
    [note] = first.notes
    assert note.startswith(f"exact would refuse {sends}, which ")
    assert second.notes == []


def test_a_fixture_finds_the_contract_kept() -> None:
    with patched() as mock:
        for sends, pointer in EACH:
            httpx.post(f"https://api.openpipe.ai{CHAT}", json=SAMPLES[sends][pointer], headers=KEY)
        assert [call.tolerated for call in mock.calls] == [(pointer,) for _, pointer in EACH]
        mock.assert_contract_kept()


@pytest.mark.parametrize(("sends", "pointer"), EACH)
def test_exact_refuses_it_and_lenient_takes_it(sends: str, pointer: str) -> None:
    body = SAMPLES[sends][pointer]
    reply = ask(Service(Settings(validation="exact")), body)
    refused(reply)
    assert content_of(reply)["issues"][0]["message"].startswith(pointer)
    lenient, strict = journal(body, "lenient"), journal(body)
    assert (lenient.status, lenient.valid, lenient.tolerated) == (200, True, [pointer])
    assert lenient.answer == strict.answer


@pytest.mark.parametrize(("sends", "pointer"), EACH)
def test_its_choices_are_judged_and_streamed_like_any_others(sends: str, pointer: str) -> None:
    body = SAMPLES[sends][pointer]
    plain = choices(Service(), {**body, "n": 2}, op_criteria=["helpful"])
    assert [choice["criteria_results"]["helpful"]["status"] for choice in plain] == ["success"] * 2
    assert b"[DONE]" in ask(Service(), {**body, "stream": True}).body


def test_beside_a_real_mistake_only_that_one_is_refused() -> None:
    body = said({**user("Hi"), "nmae": "me"}, CALLING, {**RESULT, "name": "look_up"})
    call = journal(body)
    assert call.status == 400
    [violation] = call.violations
    assert violation.startswith("/messages/0/nmae: ")
    assert call.tolerated == ["/messages/2/name"]


def test_lenient_tells_what_strict_refuses_apart_from_what_exact_refuses() -> None:
    body = said({**user("Hi"), "nmae": "me"}, CALLING, {**RESULT, "name": "look_up"})
    call = journal(body, "lenient")
    assert call.status == 200
    assert [violation.partition(":")[0] for violation in call.violations] == ["/messages/0/nmae"]
    assert call.tolerated == ["/messages/2/name"]
    assert [note.split()[0] for note in call.notes] == ["exact", "strict"]


@pytest.mark.parametrize(
    "wrong",
    [
        said(user("Hi"), CALLING, {**RESULT, "name": 5}),
        said(user([{"type": "file"}])),
        said(user([{"type": "movie", "movie": {}}])),
        said(user("Hi"), CALLING, {**RESULT, "content": [{"type": "input_audio", "input_audio": {}}]}),
        asking(tools=[{"type": "custom", "function": {"name": "a"}}]),
        asking(tools=[LOOK_UP], tool_choice={"type": "function", "custom": {"name": "a"}}),
        asking(tools=[LOOK_UP], tool_choice={"type": "allowed_tools"}),
        asking(audio={"voice": "marvin", "format": "wav"}),
        asking(metadata=[]),
        asking(max_tokens=-1),
    ],
)
def test_what_only_resembles_a_row_is_refused(wrong: Json) -> None:
    call = journal(wrong)
    assert (call.status, call.tolerated) == (400, [])


@pytest.mark.parametrize(
    "choice", [{}, {"type": None}, {"function": {"name": "look_up"}}, {"function": {"name": ""}}]
)
def test_a_choice_without_a_type_is_one_of_a_function_beside_what_is_tolerated(choice: Json) -> None:
    body = asking(tools=[{**LOOK_UP, "cache_control": CACHED}], tool_choice=choice)
    assert journal(body).tolerated == ["/tools/0/cache_control"]
    wrong = journal({**body, "temperature": "hot"})
    assert [violation.partition(":")[0] for violation in wrong.violations] == ["/temperature"]


def test_the_judge_has_no_tolerances() -> None:
    output = {"role": "assistant", "content": "Hello"}
    messages = [user("Hi"), CALLING, {**RESULT, "name": "look_up"}]
    body = {"criterion_id": "helpful", "output": output, "input": {"messages": messages}}
    assert answer(Service(), body).status == 400


# What the engine makes of it.


def test_files_and_images_are_content() -> None:
    other = {**FILE, "file": {"filename": "b.pdf", "file_data": "data:application/pdf;base64,BBBB" * 50}}
    first, second = (completion(Service(), said(user([part]))) for part in (FILE, other))
    assert "a file" in first["choices"][0]["message"]["content"]
    assert first["id"] != second["id"]
    assert first["usage"]["prompt_tokens"] + 200 < second["usage"]["prompt_tokens"]
    body = said(user([WRITTEN, FILE]))
    assert Subject("chat", {}, body).last_user == "Hi"
    assert "“Hi”" in completion(Service(), body)["choices"][0]["message"]["content"]


def called(body: Json) -> list[str]:
    [choice] = choices(Service(), body)
    return [call["function"]["name"] for call in choice["message"].get("tool_calls") or ()]


def test_only_allowed_tools_are_called() -> None:
    def allowing(mode: str, *tools: Json) -> Json:
        choice = {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": [*tools]}}
        return asking(messages=[user("look_up and greet")], tools=[LOOK_UP, GREET], tool_choice=choice)

    assert called(allowing("required", GREET)) == ["greet"]
    assert called(allowing("auto", {"type": "function", "name": "look_up"})) == ["look_up"]
    assert called(allowing("auto")) == []
    refused(ask(Service(), allowing("required")))
    refused(ask(Service(), allowing("required", GREP)))


def test_custom_tools_are_never_called() -> None:
    assert called(asking(messages=[user("grep and look_up")], tools=[GREP, LOOK_UP])) == ["look_up"]
    assert called(asking(messages=[user("grep")], tools=[GREP])) == []
    chosen = {"type": "custom", "custom": {"name": "grep"}}
    assert called(asking(messages=[user("look_up")], tools=[GREP, LOOK_UP], tool_choice=chosen)) == []


def test_a_required_call_without_a_function_is_refused_in_words() -> None:
    reply = ask(Service(), asking(tools=[GREP], tool_choice="required"))
    refused(reply)
    [issue] = issues_of(reply)
    assert issue.startswith("/tool_choice")
    assert 'expected a tool of type "function"' in issue


@pytest.mark.parametrize("choice", ["auto", "required"])
def test_a_result_of_a_custom_tool_counts_for_no_function(choice: str) -> None:
    custom = {"id": "call_1", "type": "custom", "custom": {"name": "grep", "input": "x"}}
    calling = {**CALLING, "tool_calls": [custom]}
    asked = asking(messages=[user("look_up"), calling, RESULT], tools=[GREP, LOOK_UP], tool_choice=choice)
    assert called(asked) == ["look_up"]


def test_a_limit_of_0_is_none() -> None:
    without, zero = (choices(Service(), body) for body in (asking(), asking(max_tokens=0)))
    assert zero[0]["message"] == without[0]["message"]
    assert zero[0]["finish_reason"] == "stop"


# The table and the contract.


@given(st.sampled_from(edits("chat")))
def test_whatever_strict_takes_and_exact_refuses_lies_in_a_row(edit: Any) -> None:
    body = edit.apply(edit.base)
    checker = contract().checker("ChatCompletionRequest")
    if contract().tolerant_chat.is_valid(body):
        found = list(checker.violations(body))
        assert len(list(tolerated(found, body))) == len(found)
    else:
        assert not checker.is_valid(body)
        assert list(contract().tolerant_chat.violations(body))


def test_of_the_edits_that_break_a_rule_strict_takes_those_of_metadata_alone() -> None:
    taken = [
        edit.pointer for edit in edits("chat") if contract().tolerant_chat.is_valid(edit.apply(edit.base))
    ]
    assert set(taken) == {"/metadata/note"}


def test_the_page_has_the_table() -> None:
    page = section((ROOT / "docs" / "clients.md").read_text("utf-8"), "## What they send beyond the contract")
    rows = re.findall(r"^\| (.+?) \| (.+?) \| (`/.+?) \|$", page, re.M)
    assert rows == [
        (row.sends, ", ".join(row.clients), ", ".join(f"`{place}`" for place in row.places))
        for row in TOLERANCES
    ]


# Whatever else stands in its place.


def places(value: Json, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The steps to each value in a body."""
    yield above
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, inner in pairs:
        yield from places(inner, (*above, step))


def replaced(body: Json, place: tuple[Any, ...], value: Json) -> Json:
    if not place:
        return value
    step, *rest = place
    copy = dict(body) if isinstance(body, dict) else list(body)
    copy[step] = replaced(body[step], tuple(rest), value)
    return copy


BODIES = [body for bodies in SAMPLES.values() for body in bodies.values()]
PLACES = [(body, place) for body in BODIES for place in places(body)]
VALUES: list[Json] = [
    *(None, True, 0, 1.5, "", "custom", "allowed_tools", "file", "tool", [], [[]], {}),
    *({"type": "custom"}, {"type": "file"}, FILE, IMAGE, GREP, CALL, LOOK_UP, RESULT, [FILE, GREP]),
]
SERVICES = {mode: Service(Settings(validation=mode)) for mode in VALIDATIONS}


@thorough
@given(st.sampled_from(PLACES), st.sampled_from(VALUES))
def test_any_value_in_any_place_is_taken_or_refused_in_words(at: Any, value: Json) -> None:
    body = replaced(at[0], at[1], value)
    replies = {mode: ask(service, body) for mode, service in SERVICES.items()}
    for mode, reply in replies.items():
        assert reply.status in (200, 400, 404), (mode, reply)
        assert holds(reply, CHAT)
    if replies["exact"].status == 200:
        assert replies["strict"].body == replies["exact"].body
    if replies["strict"].status == 200:
        assert replies["lenient"].status == 200
    if isinstance(body, dict) and replies["strict"].status == 200:
        checker = contract().checker("ChatCompletionRequest")
        found = list(checker.violations(checker.tidy(body)))
        assert len(list(tolerated(found, body))) == len(found)
