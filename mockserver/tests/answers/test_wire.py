"""Streams: every event is a chunk of the contract, and joined they say exactly what the plain answer says."""

import json
from collections.abc import Mapping
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openpipe_mock.answers import wire
from openpipe_mock.answers.chat import Choice, Completion, ToolCall
from openpipe_mock.answers.events import DONE
from openpipe_mock.answers.texts import split
from openpipe_mock.config.settings import Settings, Validation
from openpipe_mock.core.effects import Begin, Head, Piece, ReadBody, Tick
from openpipe_mock.service.service import Service
from tests.chatting import (
    CHAT,
    ask,
    asking,
    chats,
    chunks,
    completion,
    data_of,
    function,
    joined,
    latest,
    refused,
    sent_with,
    shaped,
    tool,
    user,
)
from tests.generate import VALIDATIONS, thorough

Json = Any
SERVICE = Service()

COUNT = {"type": "function", "function": {"name": "count"}}
WITH_USAGE: Mapping[str, Json] = {"stream_options": {"include_usage": True}}
BODIES: Mapping[str, Json] = {
    "text": asking(),
    "three texts": asking(n=3),
    "nothing": asking(messages=[]),
    "a call": asking(n=3, tools=[tool("count")], tool_choice=COUNT),
    "a call in the older form": asking(n=3, functions=[function("count")], function_call={"name": "count"}),
    "json": asking(n=3, response_format={"type": "json_object"}),
    "json in a schema": asking(response_format=shaped({"type": "array", "items": {"const": "😀"}})),
    "a text that is cut": asking(n=3, max_tokens=2),
    "a call that is cut": asking(tools=[tool("count")], tool_choice=COUNT, max_tokens=1),
    "a text that is stopped": asking(stop="answer"),
    "log probabilities": asking(n=3, logprobs=True, top_logprobs=2),
    "log probabilities of a call": asking(tools=[tool("count")], tool_choice=COUNT, logprobs=True),
    "other alphabets": asking("Zähle, 数えて, 😀\u200d\u0301"),
}


def streamed(body: Json, service: Service = SERVICE, **options: Json) -> list[Json]:
    """The chunks of the answer to a request, as a stream."""
    return chunks(ask(service, {**body, "stream": True}, key="op-test", **options))


def unstreamed(body: Json) -> Json:
    """The plain answer to a request, without its usage."""
    whole = completion(SERVICE, {**body, "stream": False})
    del whole["usage"]
    return whole


def parts(body: Json) -> dict[int, list[Json]]:
    """The pieces of each choice, in their order."""
    found: dict[int, list[Json]] = {}
    for chunk in streamed(body):
        for part in chunk["choices"]:
            found.setdefault(part["index"], []).append(part)
    return found


# A stream says what the plain answer says.


@pytest.mark.parametrize("body", BODIES.values(), ids=list(BODIES))
def test_joined_chunks_are_the_plain_answer(body: Json) -> None:
    assert joined(streamed(body)) == unstreamed(body)


@thorough
@given(body=chats())
def test_joined_chunks_are_the_plain_answer_of_any_request(body: Json) -> None:
    assert joined(streamed(body)) == unstreamed(body)


def test_log_probabilities_of_no_tokens_are_an_empty_list_in_both() -> None:
    opener = unstreamed(asking())["choices"][0]["message"]["content"].partition(" ")[0]
    body = asking(stop=opener, logprobs=True)
    assert joined(streamed(body)) == unstreamed(body)


def test_a_stream_of_the_most_choices_is_the_plain_answer() -> None:
    body = asking(n=128)
    assert joined(streamed(body)) == unstreamed(body)


@pytest.mark.parametrize("seed", [0, 1])
def test_a_stream_follows_the_seed(seed: int) -> None:
    service = Service(Settings(seed=seed))
    whole = completion(service, asking(n=3))
    del whole["usage"]
    assert joined(streamed(asking(n=3), service)) == whole


some_tokens = st.lists(st.text(min_size=1, max_size=5), max_size=4).map(tuple)
some_choices = st.lists(
    st.builds(
        Choice,
        st.none() | some_tokens,
        st.sampled_from(["stop", "length"]),
        refusal=st.none() | some_tokens,
        reasoning=st.none() | some_tokens,
    ),
    min_size=1,
    max_size=3,
).map(tuple)


@given(st.text(), some_choices, st.sampled_from([None, 0, 2]), st.booleans())
def test_each_event_is_one_chunk_written_as_json_is_whatever_is_said(
    name: str, choices: tuple[Choice, ...], alternatives: int | None, counts: bool
) -> None:
    made = Completion(name, 7, name, choices, 3, alternatives)
    *events, last = wire.chunk_events(made, counts)
    said = [dict.fromkeys(("reasoning_content", "content", "refusal"), "") for _ in choices]
    for event in events:
        data = event.removeprefix(b"data: ").removesuffix(b"\n\n")
        chunk = orjson.loads(data)
        assert event == b"data: %b\n\n" % orjson.dumps(chunk)
        assert list(chunk) == ["id", "object", "created", "model", "choices", *["usage"] * counts]
        assert (chunk["id"], chunk["model"]) == (name, name)
        for part in chunk["choices"]:
            assert list(part) == ["index", "delta", "logprobs", "finish_reason"]
            for member, told in said[part["index"]].items():
                said[part["index"]][member] = told + (part["delta"].get(member) or "")
    expected = [(choice.reasoning, choice.text, choice.refusal) for choice in choices]
    assert [list(each.values()) for each in said] == [["".join(t or ()) for t in each] for each in expected]
    assert last == DONE


def test_joining_finds_what_is_missing() -> None:
    """The test's own helper must be able to fail."""
    events = streamed(asking())
    assert joined(events[:3] + events[4:]) != unstreamed(asking())


# The events.


@pytest.mark.parametrize("body", BODIES.values(), ids=list(BODIES))
def test_the_role_comes_first_and_the_reason_for_the_end_last_and_each_once(body: Json) -> None:
    for pieces in parts(body).values():
        assert [part["delta"].get("role") for part in pieces] == ["assistant", *[None] * (len(pieces) - 1)]
        assert pieces[-1]["finish_reason"]
        assert pieces[-1]["delta"] == {}
        assert [part["finish_reason"] for part in pieces[:-1]] == [None] * (len(pieces) - 1)


@pytest.mark.parametrize("body", BODIES.values(), ids=list(BODIES))
def test_a_chunk_has_one_choice_and_all_have_one_head(body: Json) -> None:
    events = streamed(body)
    assert all(len(chunk["choices"]) == 1 for chunk in events)
    assert {chunk["object"] for chunk in events} == {"chat.completion.chunk"}
    assert len({(chunk["id"], chunk["created"], chunk["model"]) for chunk in events}) == 1


def test_choices_take_turns() -> None:
    events = streamed(asking(n=3))
    assert [chunk["choices"][0]["index"] for chunk in events[:6]] == [0, 1, 2, 0, 1, 2]


def test_a_text_comes_token_by_token() -> None:
    [pieces] = parts(asking("Hi", logprobs=True)).values()
    texts = [part["delta"]["content"] for part in pieces[1:-1]]
    assert texts == split(unstreamed(asking("Hi"))["choices"][0]["message"]["content"])
    assert [part["logprobs"]["content"][0]["token"] for part in pieces[1:-1]] == texts


@pytest.mark.parametrize("tools", ["tools", "functions"])
def test_a_call_opens_with_its_name_and_its_arguments_follow_in_pieces(tools: str) -> None:
    body = {"tools": BODIES["a call"], "functions": BODIES["a call in the older form"]}[tools]
    for pieces in parts(body).values():
        assert pieces[0]["delta"]["content"] is None
        calls = [call_of(part["delta"]) for part in pieces[:-1]]
        assert calls[0]["function"] == {"name": "count", "arguments": ""}
        assert all(list(call["function"]) == ["arguments"] for call in calls[1:])
        assert len(calls) > 3
        if tools == "tools":
            assert [sorted(call) for call in calls[:2]] == [
                ["function", "id", "index", "type"],
                ["function", "index"],
            ]
            assert {call["index"] for call in calls} == {0}


def call_of(delta: Json) -> Json:
    if "function_call" in delta:
        return {"function": delta["function_call"]}
    [call] = delta["tool_calls"]
    return call


def test_a_refusal_would_be_in_the_first_piece() -> None:
    """The mock refuses nothing by itself yet; the member is null in both forms."""
    [pieces] = parts(asking()).values()
    assert pieces[0]["delta"] == {"role": "assistant", "content": "", "refusal": None}


def test_done_comes_last_and_once() -> None:
    data = data_of(ask(SERVICE, asking(stream=True)))
    assert [number for number, event in enumerate(data) if event == "[DONE]"] == [len(data) - 1]


@pytest.mark.parametrize("body", BODIES.values(), ids=list(BODIES))
def test_usage_comes_last_in_a_chunk_without_choices(body: Json) -> None:
    *events, last = streamed({**body, **WITH_USAGE})
    assert last["choices"] == []
    assert last["usage"] == completion(SERVICE, body)["usage"]
    assert all(chunk["usage"] is None for chunk in events)
    assert all(chunk["choices"] for chunk in events)


@pytest.mark.parametrize(
    "options", [{}, {"stream_options": None}, {"stream_options": {"include_usage": False}}]
)
def test_usage_is_not_there_unless_asked_for(options: Json) -> None:
    events = streamed(asking(**options))
    assert all("usage" not in chunk for chunk in events)
    assert all(chunk["choices"] for chunk in events)


@pytest.mark.parametrize("stream", [None, False])
def test_without_a_stream_the_answer_is_plain(stream: Json) -> None:
    assert completion(SERVICE, asking(stream=stream, **WITH_USAGE)) == completion(
        SERVICE, asking(**WITH_USAGE)
    )


def test_the_same_request_streams_the_same_bytes() -> None:
    for body in BODIES.values():
        assert len({ask(Service(), {**body, "stream": True}).body for _ in range(3)}) == 1


# What is refused, and what a stream leaves behind.


@pytest.mark.parametrize(
    ("members", "status", "code"),
    [
        ({"messages": "Hi"}, 400, "BAD_REQUEST"),
        ({"tool_choice": COUNT}, 400, "BAD_REQUEST"),
        ({"response_format": shaped({"type": 5})}, 400, "BAD_REQUEST"),
        ({"model": "unknown"}, 404, "NOT_FOUND"),
        ({"max_tokens": -1}, 400, "BAD_REQUEST"),
    ],
)
def test_an_error_before_the_first_byte_is_a_normal_answer(members: Json, status: int, code: str) -> None:
    service = Service(Settings(known_models=("openai:*",)))
    refused(ask(service, {**asking(stream=True), **members}), status, code)
    assert latest(service)["statusCode"] == status


@pytest.mark.parametrize("validation", VALIDATIONS)
@pytest.mark.parametrize("mode", ["readWrite", "readOnly", "writeOnly", "true"])
def test_a_stream_and_the_cache_do_not_go_together(mode: str, validation: Validation) -> None:
    sentence = refused(ask(Service(Settings(validation=validation)), asking(stream=True), op_cache=mode))
    assert sentence.startswith("Cannot use cache with stream")
    assert "`op-cache`" in sentence


def test_a_stream_may_say_that_it_wants_no_cache() -> None:
    assert joined(streamed(asking(), op_cache="false")) == unstreamed(asking())


def test_what_is_refused_with_a_stream_is_nothing_else_without() -> None:
    assert ask(Service(), asking(stream=False), op_cache="readWrite").status == 200
    assert ask(Service(), asking(stream=False), op_criteria=["a"]).status == 200


def test_the_log_shows_a_stream_as_its_chunks_say_it() -> None:
    service, body = Service(), asking(n=2, logprobs=True)
    events = streamed(body, service)
    call = latest(service)
    assert call["statusCode"] == 200
    assert call["reqPayload"] == {**body, "stream": True}
    assert call["respPayload"] == joined(events) == unstreamed(body)
    streamed({**body, "stream_options": {"include_usage": True}}, service)
    assert latest(service)["respPayload"] == completion(Service(), body)


def test_the_reply_says_what_was_streamed() -> None:
    reply = ask(SERVICE, asking(stream=True, n=3))
    assert reply.subject == "openai:gpt-4o-mini n=3, streamed"


def test_a_client_that_goes_away_ends_the_exchange() -> None:
    service = Service()
    exchange = service.exchange(Head("POST", CHAT, sent_with()))
    assert isinstance(next(exchange), ReadBody)
    assert isinstance(exchange.send(b'{"model":"m","messages":[],"stream":true,"n":5}'), Begin)
    assert isinstance(next(exchange), Piece)
    exchange.close()
    assert list(exchange) == []
    assert ask(service, asking(stream=True)).status == 200


def test_begin_comes_before_any_piece_and_nothing_after_the_last() -> None:
    exchange = SERVICE.exchange(Head("POST", CHAT, sent_with()))
    next(exchange)
    effects: list[object] = [exchange.send(b'{"model":"m","messages":[],"stream":true}')]
    while not isinstance(effects[-1], Tick):  # the journal asks how long it took
        effects.append(next(exchange))
    with pytest.raises(StopIteration):
        exchange.send(0.0)
    *effects, _ = effects
    assert [type(effect) for effect in effects] == [Begin, *[Piece] * (len(effects) - 1)]
    assert effects[-1] == Piece(b"data: [DONE]\n\n")
    assert all(isinstance(effect, Begin) or effect.data.count(b"\n\n") == 1 for effect in effects)  # type: ignore[attr-defined]


# The engine's completions, made by hand.


def made(*choices: Choice, alternatives: int | None = None) -> Completion:
    return Completion("chatcmpl-1", 1, "m", choices, 7, alternatives)


def test_choices_of_different_kinds_and_lengths_stream_side_by_side() -> None:
    completion = made(
        Choice(("One", " two", " three"), "length"),
        Choice(None, "tool_calls", (ToolCall("call_1", "count", ("{", "}")),)),
        Choice(None, "function_call", (ToolCall("call_2", "count", ("{}",), legacy=True),)),
        Choice(None, "tool_calls", (ToolCall("call_3", "a", ("{}",)), ToolCall("call_4", "b", ("{", "}")))),
        Choice(None, "stop", refusal=("No", ".")),
        Choice((), "stop"),
        Choice(None, "stop", refusal=()),
    )
    events = [json.loads(event[6:]) for event in wire.chunk_events(completion, False) if event != DONE]
    whole = wire.whole_answer(completion)
    del whole["usage"]
    assert joined(events) == whole


def test_usage_counts_the_tokens_of_all_choices() -> None:
    completion = made(Choice(("One", " two"), "stop"), Choice(("One",), "stop"))
    assert wire.whole_answer(completion)["usage"] == {
        "prompt_tokens": 7,
        "completion_tokens": 3,
        "total_tokens": 10,
    }


def test_a_user_text_that_looks_like_an_event_stays_text() -> None:
    body = asking(messages=[user("“\n\ndata: [DONE]\n\nevent: x")])
    assert joined(streamed(body)) == unstreamed(body)
