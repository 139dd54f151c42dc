"""Scripted answers: which one fires, what it says plainly and streamed, and what it does beside options."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openpipe_mock.answers.scorers import Declared, Fixed, Form, Sequence
from openpipe_mock.answers.scripts import Script, ScriptedCall, ScriptedChoice
from openpipe_mock.answers.templates import read_template
from openpipe_mock.answers.texts import split
from openpipe_mock.config.file import Mistakes, settings
from openpipe_mock.config.settings import Settings
from openpipe_mock.core.effects import Reply
from openpipe_mock.core.reading import At
from openpipe_mock.matching.conditions import Condition, Kind, When, demand
from openpipe_mock.matching.rules import rulebook
from openpipe_mock.openapi.spec import contract
from openpipe_mock.openapi.violations import declarations
from openpipe_mock.service.service import Service
from tests.chatting import (
    CHAT,
    PLACE,
    ask,
    asking,
    chats,
    choices,
    chunks,
    completion,
    contents,
    data_of,
    function,
    joined,
    judged,
    latest,
    messages,
    shaped,
    tool,
    user,
)
from tests.generate import brief, thorough
from tests.happening import happened
from tests.inprocess import content_of, holds

Json = Any

PARIS = ScriptedCall("get_weather", '{"city":"Paris"}')
ROME = ScriptedCall("get_weather", '{"city": "Rome"}')
OTHER = ScriptedCall("never_offered", "{}")
TEXTS = ("no", "1, 2, 3.", "one two")


def said(text: str) -> When:
    return when("last_user", "contains", text)


def when(part: str, kind: Kind, text: str, key: str = "") -> When:
    return When((Condition(part, key, (demand(kind, text),)),))


def script(*made: ScriptedChoice | str, **members: Any) -> Script:
    """A script with these choices."""
    chosen = (ScriptedChoice(each) if isinstance(each, str) else each for each in made)
    return Script(choices=tuple(chosen), **{"place": "/completions/0", **members})


def scripted(*scripts: Script | ScriptedChoice | str, **settings: Any) -> Service:
    """A mock with these scripts, in their order; a text or choice is a script of its own."""
    made = tuple(each if isinstance(each, Script) else script(each) for each in scripts)
    return Service(Settings(completions=made, **settings))


def calling(*calls: ScriptedCall, **members: Any) -> ScriptedChoice:
    return ScriptedChoice(calls=calls, **members)


# Which one.


def test_the_first_script_whose_condition_holds_answers() -> None:
    service = scripted(
        script("sunny", when=said("weather")),
        script("rainy", when=said("weather in")),
        script("model", when=when("model", "glob", "openpipe:*")),
        script("ten", when=said("Count")),
    )
    asked = {"the weather in Bern": "sunny", "Count to 10": "ten"}
    assert [contents(service, asking(text)) for text in asked] == [[text] for text in asked.values()]
    assert contents(service, asking("Count", model="openpipe:x")) == ["model"]


def test_of_a_thousand_scripts_that_are_looked_up_the_first_that_holds_answers() -> None:
    made = [script(f"text {number}", when=said(f"order {number:03d}")) for number in range(999)]
    tools = script(calling(PARIS), when=said("order 500"))
    usual = script("usual", when=when("model", "glob", "*"))
    service = Service(Settings(completions=rulebook([tools, *made, usual])))
    assert contents(service, asking("order 998 and order 007")) == ["text 7"]
    assert contents(service, asking("order")) == ["usual"]
    assert contents(service, asking("order 500")) == [None]
    result = {"role": "tool", "tool_call_id": "1", "content": "21 °C"}
    assert contents(service, asking(messages=[user("order 500"), result])) == ["text 500"]


def test_where_none_fires_the_answer_is_the_usual_one() -> None:
    service = scripted(script("sunny", when=said("weather")))
    assert ask(service, asking(n=3)).body == ask(Service(), asking(n=3)).body


def test_a_script_without_a_condition_answers_everything() -> None:
    assert contents(scripted("always"), asking(messages=[])) == ["always"]


@pytest.mark.parametrize(
    ("condition", "options"),
    [
        (when("header", "equals", "a", "X-Test"), {"x_test": "a"}),
        (when("criterion", "equals", "a"), {"op_criteria": ["a@v2"]}),
        (when("endpoint", "equals", "chat"), {}),
        (when("metadata", "equals", "long", "prompt_id"), {}),
        (when("tool", "equals", "count"), {}),
        (When((*said("Count").conditions, *when("model", "glob", "openai:*").conditions)), {}),
    ],
)
def test_a_script_may_ask_for_any_part_of_a_request(condition: When, options: Json) -> None:
    body = asking(metadata={"prompt_id": "long"}, tools=[tool("count")], tool_choice="none")
    assert contents(scripted(script("yes", when=condition)), body, **options) == ["yes"]


# What it says.


def test_a_choice_takes_the_text_with_its_number_round_and_round() -> None:
    service = scripted(script(*TEXTS))
    assert contents(service, asking(n=7)) == [TEXTS[number % 3] for number in range(7)]
    assert contents(service, asking(n=2)) == list(TEXTS[:2])
    assert contents(service, asking()) == ["no"]


def test_repeats_go_on_where_the_last_one_ended() -> None:
    service = scripted(script(*TEXTS), repeat="vary")
    assert [contents(service, asking(n=2)) for _ in range(3)] == [
        ["no", "1, 2, 3."],
        ["one two", "no"],
        ["1, 2, 3.", "one two"],
    ]
    assert len({completion(service, asking(n=2))["id"] for _ in range(3)}) == 3


def test_a_script_has_the_head_and_usage_of_any_answer() -> None:
    body = asking()
    whole, usual = completion(scripted("1, 2, 3."), body), completion(Service(), body)
    assert (whole["id"], whole["created"], whole["model"]) == (usual["id"], usual["created"], usual["model"])
    assert whole["usage"]["prompt_tokens"] == usual["usage"]["prompt_tokens"]
    assert whole["usage"]["completion_tokens"] == len(split("1, 2, 3."))


def test_a_refusal_is_no_content() -> None:
    [choice] = choices(scripted(ScriptedChoice(refusal="I can't help with that.")), asking())
    assert choice["message"] == {"role": "assistant", "content": None, "refusal": "I can't help with that."}
    assert choice["finish_reason"] == "stop"


def test_an_empty_refusal_is_a_refusal() -> None:
    [message] = messages(scripted(ScriptedChoice(refusal="")), asking())
    assert message == {"role": "assistant", "content": None, "refusal": ""}


def test_a_call_looks_like_any_call() -> None:
    [choice] = choices(scripted(calling(PARIS)), asking(tools=[tool("get_weather")]))
    [call] = choice["message"].pop("tool_calls")
    assert choice["message"] == {"role": "assistant", "content": None, "refusal": None}
    assert choice["finish_reason"] == "tool_calls"
    assert call["function"] == {"name": "get_weather", "arguments": '{"city":"Paris"}'}
    assert call["type"] == "function"


def test_several_calls_have_ids_of_their_own_in_every_choice() -> None:
    found = choices(scripted(calling(PARIS, ROME, OTHER)), asking(n=3, tools=[tool("get_weather")]))
    calls = [call for choice in found for call in choice["message"]["tool_calls"]]
    assert [call["function"]["name"] for call in calls] == ["get_weather", "get_weather", "never_offered"] * 3
    assert len({call["id"] for call in calls}) == 9


def test_a_call_of_an_older_function_is_said_in_the_older_form() -> None:
    [choice] = choices(scripted(calling(PARIS)), asking(functions=[function("get_weather")]))
    assert choice["finish_reason"] == "function_call"
    assert choice["message"]["function_call"] == {"name": "get_weather", "arguments": '{"city":"Paris"}'}
    assert "tool_calls" not in choice["message"]


def test_several_calls_are_said_in_the_newer_form_whatever_was_offered() -> None:
    [choice] = choices(scripted(calling(PARIS, ROME)), asking(functions=[function("get_weather")]))
    assert choice["finish_reason"] == "tool_calls"
    assert len(choice["message"]["tool_calls"]) == 2


def test_texts_refusals_and_calls_stand_side_by_side() -> None:
    service = scripted(script("text", calling(PARIS), ScriptedChoice(refusal="no")))
    reasons = [choice["finish_reason"] for choice in choices(service, asking(n=3))]
    assert reasons == ["stop", "tool_calls", "stop"]


@pytest.mark.parametrize("reason", ["stop", "length", "tool_calls", "content_filter", "function_call"])
@pytest.mark.parametrize("stream", [False, True])
def test_a_finish_reason_of_its_own_wins(reason: str, stream: bool) -> None:
    service = scripted(ScriptedChoice("This answer stops in the", finish_reason=reason))
    for members in ({}, {"max_tokens": 1}, {"stop": "stops"}):
        found = answered(service, asking(**members), stream=stream)
        assert [choice["finish_reason"] for choice in found["choices"]] == [reason]
    found = answered(scripted(calling(PARIS, finish_reason=reason)), asking(), stream=stream)
    assert found["choices"][0]["finish_reason"] == reason


# What cuts it.


@pytest.mark.parametrize(
    ("members", "left", "reason"),
    [
        ({"stop": "2"}, "1, ", "stop"),
        ({"stop": ["3", ", "]}, "1", "stop"),
        ({"stop": "1"}, "", "stop"),
        ({"stop": ""}, "1, 2, 3.", "stop"),
        ({"max_tokens": 100}, "1, 2, 3.", "stop"),
        ({"max_tokens": 2}, "".join(split("1, 2, 3.")[:2]), "length"),
        ({"max_completion_tokens": 1, "stop": "3"}, "1", "length"),
    ],
)
@pytest.mark.parametrize("refused", [False, True])
def test_stop_texts_and_token_limits_cut_what_is_scripted(
    members: Json, left: str, reason: str, refused: bool
) -> None:
    text = "1, 2, 3."
    service = scripted(ScriptedChoice(refusal=text) if refused else text)
    [choice] = choices(service, asking(**members))
    assert (choice["message"]["refusal" if refused else "content"], choice["finish_reason"]) == (left, reason)


def test_a_token_limit_cuts_the_arguments_of_all_calls_together() -> None:
    pieces = [len(split(call.arguments)) for call in (PARIS, ROME)]
    limit = pieces[0] + 2
    [choice] = choices(scripted(calling(PARIS, ROME)), asking(max_tokens=limit, stop=["city", "{"]))
    first, second = (call["function"]["arguments"] for call in choice["message"]["tool_calls"])
    assert first == PARIS.arguments
    assert ROME.arguments.startswith(second)
    assert len(split(second)) == 2
    assert choice["finish_reason"] == "length"
    [whole] = choices(scripted(calling(PARIS, ROME)), asking(max_tokens=sum(pieces)))
    assert whole["finish_reason"] == "tool_calls"


def test_an_answer_that_is_too_long_for_everyone_ends() -> None:
    [choice] = choices(scripted("word " * 150_000), asking())
    assert choice["finish_reason"] == "length"


# What it beats.

NAMED = {"type": "function", "function": {"name": "count"}}
BEATEN: Mapping[str, Json] = {
    "a named tool": {"tools": [tool("count")], "tool_choice": NAMED},
    "a required tool": {"tools": [tool("count")], "tool_choice": "required"},
    "a mentioned tool": {"tools": [tool("count")]},
    "an older function": {"functions": [function("count")], "function_call": {"name": "count"}},
    "a form": {"response_format": shaped(PLACE)},
    "a json object": {"response_format": {"type": "json_object"}},
    "a form that cannot be built": {"response_format": shaped({"not": {}})},
}


@pytest.mark.parametrize("name", BEATEN)
def test_a_script_beats_tool_choice_and_response_format(name: str) -> None:
    found = messages(scripted("just text"), asking(**BEATEN[name]))
    assert found == [{"role": "assistant", "content": "just text", "refusal": None}]


def test_a_script_that_calls_beats_a_choice_of_no_tool() -> None:
    for body in (asking(tools=[tool("get_weather")], tool_choice="none"), asking()):
        [message] = messages(scripted(calling(PARIS)), body)
        assert message["tool_calls"][0]["function"]["name"] == "get_weather"


def test_what_no_mock_could_answer_is_refused_before_any_script() -> None:
    unoffered = asking(tools=[tool("a")], tool_choice={"type": "function", "function": {"name": "b"}})
    for body in (unoffered, asking(n=0), asking(tool_choice="required")):
        assert ask(scripted("text"), body).status == 400


# Calls and their results.

RESULT = {"role": "tool", "tool_call_id": "call_1", "content": "21 °C"}
OLDER_RESULT = {"role": "function", "name": "get_weather", "content": "21 °C"}


@pytest.mark.parametrize("result", [RESULT, OLDER_RESULT])
def test_a_script_that_calls_never_answers_a_tools_result(result: Json) -> None:
    service = scripted(script(calling(PARIS), when=said("weather")), script("It is warm."))
    asked = user("What is the weather?")
    assert "tool_calls" in messages(service, asking(messages=[asked]))[0]
    assert contents(service, asking(messages=[asked, result])) == ["It is warm."]
    answered = {"role": "assistant", "content": "It is warm."}
    again = asking(messages=[asked, result, answered, user("And the weather tomorrow?")])
    assert "tool_calls" in messages(service, again)[0]


def test_a_script_with_a_call_among_its_choices_counts_as_one_that_calls() -> None:
    service = scripted(script("text", calling(PARIS)))
    assert contents(service, asking(messages=[user("x"), RESULT])) == contents(
        Service(), asking(messages=[user("x"), RESULT])
    )


def test_a_script_that_says_something_answers_a_result_too() -> None:
    assert contents(scripted("text"), asking(messages=[user("x"), RESULT])) == ["text"]


def test_an_agents_loop_ends() -> None:
    service = scripted(script(calling(PARIS, ROME), when=said("weather")))
    conversation: list[Json] = [user("What is the weather?")]
    body = asking(messages=conversation, tools=[tool("get_weather")])
    [called] = messages(service, body)
    conversation.append(called)
    conversation += [{**RESULT, "tool_call_id": call["id"]} for call in called["tool_calls"]]
    assert "tool_calls" not in messages(service, body)[0]


def loop(service: Service, *contents: str) -> list[str]:
    """The tools that a script calls, "" for a text, in a conversation whose results have these contents."""
    conversation, found = [user("What is the weather?")], []
    for content in (*contents, ""):
        [message] = messages(service, asking(messages=conversation))
        [name] = [call["function"]["name"] for call in message.get("tool_calls", ())] or [""]
        found.append(name)
        if name:
            result = {"role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": content}
            conversation += [message, result]
    return found


def test_scripts_call_one_tool_after_the_other() -> None:
    weather, other = script(calling(PARIS), when=said("weather")), script(calling(OTHER))
    assert loop(scripted(weather, other), "21 °C", "done") == ["get_weather", "never_offered", ""]


def test_a_script_fires_on_the_result_that_its_condition_is_about() -> None:
    pending = script(calling(OTHER), when=when("messages", "contains", "pending", "tool"))
    service = scripted(pending, script(calling(PARIS), when=said("weather")))
    asked = loop(service, "pending", "pending", "done")
    assert asked == ["get_weather", "never_offered", "never_offered", ""]


@pytest.mark.parametrize(
    ("condition", "why"),
    [
        (when("messages", "contains", "pending", "tool"), "for an older one, not for the newest"),
        (said("weather"), "a condition on the result, as in when: {messages: {tool:"),
    ],
)
def test_a_script_that_is_passed_over_says_why(condition: When, why: str) -> None:
    service = scripted(
        script(calling(OTHER), when=condition), script(calling(PARIS), when=said("weather"), place="/1")
    )
    assert loop(service, "pending", "done", "done")[-1] == ""
    passed = dict(list(service.sessions.default.journal.entries)[-1].passed)
    assert why in passed["/completions/0"]
    assert 'it calls "never_offered"' in passed["/completions/0"]


# Streams.


def answered(service: Service, body: Json, *, stream: bool) -> Json:
    """The answer, plain or put together from its stream, without its usage."""
    if stream:
        return joined(chunks(ask(service, {**body, "stream": True})))
    whole = completion(service, body)
    del whole["usage"]
    return whole


KINDS: Mapping[str, Script] = {
    "text": script("1, 2, 3."),
    "texts": script(*TEXTS, ""),
    "a call": script(calling(PARIS)),
    "two calls": script(calling(PARIS, ROME)),
    "three calls, one without arguments": script(calling(PARIS, ScriptedCall("now", ""), OTHER)),
    "an unoffered call": script(calling(OTHER)),
    "a refusal": script(ScriptedChoice(refusal="No.")),
    "an empty refusal": script(ScriptedChoice(refusal="")),
    "a mixture": script("a b", calling(PARIS, ROME), ScriptedChoice(refusal="No."), calling(OTHER)),
    "a reason": script(ScriptedChoice("a b c", finish_reason="content_filter")),
    "odd characters": script("“\n\ndata: [DONE]\n\n😀\x00\u2028", ScriptedChoice(refusal="\r\n: x")),
    "arguments that are no JSON": script(calling(ScriptedCall("get_weather", "{city: Paris"))),
}


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize(
    "members",
    [{}, {"n": 5}, {"max_tokens": 2}, {"stop": " "}, {"n": 3, "logprobs": True, "top_logprobs": 2}],
)
@pytest.mark.parametrize("offer", ["tools", "functions", "neither"])
def test_a_stream_says_what_the_plain_answer_says(name: str, members: Json, offer: str) -> None:
    offered: Mapping[str, Json] = {
        "tools": {"tools": [tool("get_weather"), tool("now")]},
        "functions": {"functions": [function("get_weather"), function("now")]},
        "neither": {},
    }
    service, body = scripted(KINDS[name]), asking(**members, **offered[offer])
    assert answered(service, body, stream=True) == answered(service, body, stream=False)


def test_calls_are_streamed_one_after_the_other_as_the_clients_put_them_together() -> None:
    """OpenPipe's clients append arguments to the newest call; OpenAI's close a call when another begins."""
    stream = chunks(ask(scripted(calling(PARIS, ROME, OTHER)), asking(stream=True)))
    deltas = [delta for chunk in stream for delta in chunk["choices"][0]["delta"].get("tool_calls", [])]
    assert [delta["index"] for delta in deltas] == sorted(delta["index"] for delta in deltas)
    newest: list[list[str]] = []
    for delta in deltas:
        if "name" in delta["function"]:
            newest.append([delta["function"]["name"], ""])
            assert delta["id"].startswith("call_")
        newest[-1][1] += delta["function"]["arguments"]
    assert newest == [[call.name, call.arguments] for call in (PARIS, ROME, OTHER)]
    assert "name" in stream[0]["choices"][0]["delta"]["tool_calls"][0]["function"]
    assert all(len(chunk["choices"][0]["delta"].get("tool_calls", [0])) == 1 for chunk in stream)


def test_a_refusal_is_streamed_as_one() -> None:
    deltas = [
        chunk["choices"][0]["delta"]
        for chunk in chunks(ask(scripted(ScriptedChoice(refusal="I can't.")), asking(stream=True)))
    ]
    assert deltas[0] == {"role": "assistant", "content": None, "refusal": ""}
    assert "".join(delta.get("refusal", "") for delta in deltas[1:]) == "I can't."
    assert all("content" not in delta for delta in deltas[1:])


def test_usage_at_the_end_of_a_stream_counts_the_scripted_tokens() -> None:
    service, body = scripted(KINDS["a mixture"]), asking(n=4)
    stream = chunks(ask(service, {**body, "stream": True, "stream_options": {"include_usage": True}}))
    assert stream[-1]["usage"] == completion(service, body)["usage"]


# Beside options.


def test_log_probabilities_say_what_is_scripted_a_refusal_in_its_own_place() -> None:
    service = scripted(script("one two", ScriptedChoice(refusal="No, no."), calling(PARIS)))
    text, refusal, call = choices(service, asking(n=3, logprobs=True, top_logprobs=1))
    assert "".join(each["token"] for each in text["logprobs"]["content"]) == "one two"
    assert text["logprobs"]["refusal"] is None
    assert "".join(each["token"] for each in refusal["logprobs"]["refusal"]) == "No, no."
    assert refusal["logprobs"]["content"] is None
    assert call["logprobs"] is None


@pytest.mark.parametrize("name", KINDS)
def test_scripted_choices_are_judged_and_the_judge_agrees(name: str) -> None:
    service, body = scripted(KINDS[name]), asking(n=6, tools=[tool("get_weather")])
    found = choices(service, body, op_criteria=["a"])
    scores = [choice["criteria_results"]["a"]["score"] for choice in found]
    assert scores == sorted(scores, reverse=True)
    for choice in found:
        result = choice["criteria_results"]["a"]
        again = judged(service, "a", body, choice["message"])
        assert again == {"score": result["score"], "explanation": result["explanation"]}
        assert contract().checker("Message").is_valid(choice["message"])


def test_a_scripted_answer_is_cached_like_any_other() -> None:
    service = scripted(script(*TEXTS), repeat="vary")
    first, second = (completion(service, asking(n=2), op_cache="readWrite") for _ in range(2))
    assert first == second
    assert latest(service)["cacheHit"] is True


def test_a_scripted_answer_is_logged() -> None:
    service = scripted(calling(PARIS))
    whole = completion(service, asking())
    assert latest(service)["respPayload"] == whole


def test_a_script_is_random_only_where_ids_are() -> None:
    service = scripted("a", ids="random", clock="real")
    usual = completion(scripted("a"), asking())
    found = completion(service, asking())
    assert found["id"] == f"chatcmpl-{'00' * 12}"
    assert found["choices"] == usual["choices"]


# Raw answers.

RAW: Json = {"id": 5, "choices": "none", "😀": [1.5, None]}


def raw_service(value: Json = RAW) -> Service:
    return scripted(Script(raw=json.dumps(value).encode(), place="/completions/0"))


def test_a_raw_answer_is_sent_as_it_is_written() -> None:
    reply = ask(raw_service(), asking(n=3))
    assert (reply.status, reply.body) == (200, json.dumps(RAW).encode())
    assert dict(reply.headers)[b"content-type"] == b"application/json"
    assert reply.subject == "openai:gpt-4o-mini, raw, script /completions/0"


def test_the_log_line_names_the_script_or_says_that_there_is_none() -> None:
    named = script("Hi", when=said("Hello"), name="greeting", place="/completions/0")
    service = Service(Settings(completions=(named,)))
    hello, other = asking(messages=[user("Hello")]), asking(messages=[user("Bye")])
    model = "openai:gpt-4o-mini"
    assert ask(service, hello).subject == f"{model} n=1, script /completions/0 (greeting)"
    assert ask(service, other).subject == f"{model} n=1, unscripted"
    assert ask(Service(), other).subject == f"{model} n=1"
    assert ask(Service(Settings(unscripted="answer")), other).subject == f"{model} n=1, unscripted"


def test_a_raw_answer_is_the_one_event_of_a_stream() -> None:
    event, done = data_of(ask(raw_service(), asking(stream=True)))
    assert (json.loads(event), done) == (RAW, "[DONE]")


@pytest.mark.parametrize("value", [None, [], "text", 5, {}])
def test_any_json_may_be_a_raw_answer(value: Json) -> None:
    service = raw_service(value)
    assert content_of(ask(service, asking())) == value
    assert latest(service)["respPayload"] == value


def test_a_raw_answer_is_neither_judged_nor_cached() -> None:
    service = raw_service()
    for _ in range(2):
        assert content_of(ask(service, asking(), op_criteria=["a"], op_cache="readWrite")) == RAW
        assert latest(service)["cacheHit"] is False


def test_a_raw_answer_takes_no_turn_of_a_criterion() -> None:
    turns = Form(Sequence((Form(Fixed(1)), Form(Fixed(0)))))
    raw = Script(said("raw"), raw=b"{}", place="/completions/0")
    service = scripted(raw, criteria={"a": Declared({1: turns})})
    ask(service, asking("raw"), op_criteria=["a"])
    assert choices(service, asking(), op_criteria=["a"])[0]["criteria_results"]["a"]["score"] == 1


def test_a_completion_from_the_cache_comes_before_a_script_that_came_later() -> None:
    service = Service()
    stored = completion(service, asking(), op_cache="readWrite")
    for late in (Script(raw=b"{}", place="/runtime/1"), script("scripted")):
        service.sessions.default.override(completions=(late,))
        assert completion(service, asking(), op_cache="readOnly") == stored
        assert ask(service, asking()).body != json.dumps(stored).encode()


def test_what_is_wrong_with_a_request_is_refused_before_a_raw_answer() -> None:
    assert ask(raw_service(), asking(n=0)).status == 400
    assert ask(raw_service(), asking(), op_criteria=["a@"]).status == 404


# Any script, any request.

words = st.sampled_from(["", "1, 2, 3.", "no", "so 😀\n\n", "x" * 300, "data: [DONE]", "\x00\r"])
calls = st.builds(
    ScriptedCall,
    st.sampled_from(["get_weather", "count", "never_offered"]),
    st.sampled_from(["{}", '{"city": "Paris"}', "", "no JSON"]),
)
reasons = st.sampled_from([None, "stop", "length", "tool_calls", "content_filter", "function_call"])
scripted_choices = (
    st.builds(ScriptedChoice, text=words, finish_reason=reasons)
    | st.builds(ScriptedChoice, refusal=words, finish_reason=reasons)
    | st.builds(
        ScriptedChoice, calls=st.lists(calls, min_size=1, max_size=3).map(tuple), finish_reason=reasons
    )
)


def keeps(reply: Reply) -> bool:
    return (
        bool(chunks(reply)) if b"event-stream" in dict(reply.headers)[b"content-type"] else holds(reply, CHAT)
    )


@thorough
@given(made=st.lists(scripted_choices, min_size=1, max_size=4), body=chats())
def test_any_script_keeps_the_contract_plainly_and_as_a_stream(
    made: list[ScriptedChoice], body: Json
) -> None:
    service = scripted(script(*made))
    plain, stream = (ask(service, {**body, "stream": stream}) for stream in (False, True))
    assert plain.status == stream.status == 200
    whole = completion(service, {**body, "stream": False})
    del whole["usage"]
    assert keeps(plain)
    assert joined([chunk for chunk in chunks(stream) if chunk["choices"]]) == whole


@brief
@given(made=st.lists(scripted_choices, min_size=1, max_size=4), body=chats())
def test_any_scripted_message_is_accepted_as_it_is(made: list[ScriptedChoice], body: Json) -> None:
    for message in messages(scripted(script(*made)), body):
        assert contract().checker("Message").is_valid(message)
        assert contract().checker("JudgeCriteriaOutput").is_valid(message)


# Every member of an answer.

TOKEN = {"token": "Hi", "bytes": [72, 105], "logprob": -0.5, "top_logprobs": []}
RIVALS = [{"token": "Hello", "bytes": None, "logprob": -1.5}]
LIKELY = {"content": [{**TOKEN, "top_logprobs": RIVALS}], "refusal": [TOKEN]}
USAGE = {
    "prompt_tokens": 1200,
    "completion_tokens": 345,
    "total_tokens": 1600,
    "prompt_cache_hit_tokens": 1000,
    "prompt_cache_miss_tokens": 200,
    "completion_tokens_details": {
        "reasoning_tokens": 5,
        "audio_tokens": None,
        "text_tokens": 340,
        "accepted_prediction_tokens": 1,
        "rejected_prediction_tokens": 2,
    },
    "prompt_tokens_details": {"cached_tokens": 1000, "audio_tokens": 0},
    "criteria": {"helpful": {"total_tokens": 7}},
}
FULL = {
    "id": "chatcmpl-mine",
    "created": 1,
    "model": "openai:other",
    "usage": USAGE,
    "text": "Hi",
    "refusal": "No.",
    "reasoning_content": "Hm. Hello?",
    "tool_calls": [{"id": "call_mine", "name": "get_weather", "arguments": {"city": "Oslo"}}],
    "finish_reason": "length",
    "logprobs": LIKELY,
    "content_filter_results": {"hate": {"filtered": False}},
}
"""A script with every member that one may have."""
FULL_ANSWER: Json = {
    "id": "chatcmpl-mine",
    "object": "chat.completion",
    "created": 1,
    "model": "openai:other",
    "choices": [
        {
            "finish_reason": "length",
            "index": 0,
            "message": {
                "role": "assistant",
                "content": "Hi",
                "refusal": "No.",
                "reasoning_content": "Hm. Hello?",
                "tool_calls": [
                    {
                        "id": "call_mine",
                        "type": "function",
                        "function": {"name": "get_weather", "arguments": '{"city":"Oslo"}'},
                    }
                ],
            },
            "logprobs": LIKELY,
            "content_filter_results": {"hate": {"filtered": False}},
        }
    ],
    "usage": USAGE,
}
BY_OTHER_WAYS = {
    "choices.*.message.function_call": "a call of a tool that is offered under `functions`",
    "choices.*.criteria_results": "by `criteria`",
}
"""Members of an answer that no member of a script gives: what gives them."""


def from_config(*scripts: Json) -> Service:
    return Service(settings({"completions": list(scripts)}))


def answer_members() -> list[str]:
    """The dotted path of each member that the contract gives an answer."""
    document = contract().document
    answer = {"$ref": "#/components/schemas/ChatCompletion", "components": document["components"]}
    return [path for path, _ in declarations(answer)]


def has(value: Json, path: str) -> bool:
    """Whether a value has a member at this dotted path, somewhere."""
    name, _, rest = path.partition(".")
    if name == "*":
        members = value.values() if isinstance(value, dict) else value
        return any(not rest or has(each, rest) for each in members)
    return isinstance(value, dict) and name in value and (not rest or has(value[name], rest))


def test_each_member_of_an_answer_can_be_scripted() -> None:
    assert completion(from_config(FULL), asking()) == FULL_ANSWER
    paths = [path for path in answer_members() if not path.startswith(tuple(BY_OTHER_WAYS))]
    assert len(paths) > 30
    assert [path for path in paths if not has(FULL_ANSWER, path)] == []


def test_a_stream_says_every_member_too() -> None:
    events = chunks(ask(from_config(FULL), asking(stream=True, stream_options={"include_usage": True})))
    found = joined(events)
    [choice] = FULL_ANSWER["choices"]
    assert {**found, "choices": [], "usage": USAGE} == {**FULL_ANSWER, "choices": []}
    assert events[-2]["choices"][0]["content_filter_results"] == choice["content_filter_results"]
    assert {**choice, **found["choices"][0]} == choice
    assert events[-1]["usage"] == USAGE


@pytest.mark.parametrize(
    "members",
    [
        {"text": "Look.", "tool_calls": FULL["tool_calls"]},
        {"tool_calls": FULL["tool_calls"], "text": "Look."},
        {"tool_calls": FULL["tool_calls"], "reasoning_content": "Hm."},
        {"text": None},
        {"text": "", "refusal": ""},
        {"reasoning_content": "Hm."},
        {"text": "a b", "logprobs": {"content": [TOKEN] * 5}},
        {"text": "a b c", "logprobs": {"content": [TOKEN], "refusal": None}},
        {"text": "a", "logprobs": {"content": [], "refusal": [TOKEN]}},
        {"text": "a", "logprobs": None},
    ],
    ids=str,
)
@pytest.mark.parametrize("further", [{}, {"logprobs": True, "top_logprobs": 1}], ids=["", "logprobs"])
def test_a_stream_of_a_choice_is_its_plain_answer(members: Json, further: Json) -> None:
    service = from_config(members)
    plain = completion(service, asking(**further))
    del plain["usage"]
    assert joined(chunks(ask(service, asking(stream=True, **further)))) == plain


@pytest.mark.parametrize("first", ["text", "tool_calls"])
def test_a_stream_sends_text_and_calls_in_the_order_of_the_script(first: str) -> None:
    members = {"text": "Look.", "tool_calls": FULL["tool_calls"]}
    ordered = {first: members[first], **members}
    events = chunks(ask(from_config(ordered), asking(stream=True)))
    deltas = [part["delta"] for event in events for part in event["choices"]]
    kinds = [
        "tool_calls" if "tool_calls" in delta else "text"
        for delta in deltas
        if delta.get("content") or "tool_calls" in delta
    ]
    assert list(dict.fromkeys(kinds)) == [first, *({"text", "tool_calls"} - {first})]
    assert completion(from_config(ordered), asking())["choices"][0]["finish_reason"] == "tool_calls"


def test_choices_have_members_of_their_own() -> None:
    service = from_config({"choices": ["a", {"text": None, "reasoning_content": "Hm."}, {"refusal": "No."}]})
    found = [choice["message"] for choice in choices(service, asking(n=3))]
    assert found == [
        {"role": "assistant", "content": "a", "refusal": None},
        {"role": "assistant", "content": None, "refusal": None, "reasoning_content": "Hm."},
        {"role": "assistant", "content": None, "refusal": "No."},
    ]


def test_the_limit_of_tokens_is_shared_by_all_that_a_choice_says() -> None:
    [choice] = choices(from_config({**FULL, "finish_reason": "stop"}), asking(max_tokens=6))
    said = choice["message"]
    assert (said["reasoning_content"], said["content"], said["refusal"]) == ("Hm. Hello?", "Hi", "No")
    [choice] = choices(from_config({"text": "One two"}), asking(max_tokens=1))
    assert (choice["message"]["content"], choice["finish_reason"]) == ("One", "length")


def test_usage_that_is_left_out_is_counted() -> None:
    counted = completion(from_config({"text": "Hi", "usage": {"completion_tokens": 100}}), asking())["usage"]
    assert counted["total_tokens"] == counted["prompt_tokens"] + 100


def test_thoughts_do_not_change_a_judgement() -> None:
    plain, thoughtful = from_config({"text": "Hi"}), from_config({"text": "Hi", "reasoning_content": "Hm."})
    judged_choices = [choices(each, asking(), op_criteria=["a"])[0] for each in (plain, thoughtful)]
    first, second = (each["criteria_results"] for each in judged_choices)
    assert first == second


# In order.


def said_in_turn(service: Service, *texts: str) -> list[str]:
    return [contents(service, asking(text))[0] for text in texts]


@pytest.mark.parametrize(
    "scripts",
    [
        [{"sequence": ["one", "two", "three"]}],
        [{"call": 1, "text": "one"}, {"call": 2, "text": "two"}, {"call": 3, "text": "three"}],
        [{"first": 1, "text": "one"}, {"every": 2, "text": "two"}, {"text": "three"}],
    ],
    ids=["sequence", "call", "first and every"],
)
def test_answers_are_given_one_after_the_other(scripts: Json) -> None:
    assert said_in_turn(from_config(*scripts), "a", "b", "c") == ["one", "two", "three"]


@pytest.mark.parametrize(("then", "last"), [("repeat", "one"), ("last", "two")])
def test_what_follows_a_sequence(then: str, last: str) -> None:
    service = from_config({"sequence": ["one", {"text": "two"}], "then": then})
    assert said_in_turn(service, "a", "b", "c") == ["one", "two", last]


def test_a_sequence_may_fail_at_its_end() -> None:
    service = from_config({"name": "two", "sequence": ["one", "two"], "then": "fail"}, {"text": "behind"})
    assert said_in_turn(service, "a", "b") == ["one", "two"]
    replies = [ask(service, asking("c", stream=stream)) for stream in (False, True)]
    assert [reply.status for reply in replies] == [404, 404]
    told = "The sequence has ended: it has 2 answers, and this is request 4."
    assert content_of(replies[1])["message"] == told
    assert service.sessions.default.journal.entries[-1].rules == ["/completions/0 (two)"]


def test_a_sequence_counts_its_own_answers() -> None:
    service = from_config({"sequence": ["one", "two"], "every": 2}, {"text": "between"})
    assert said_in_turn(service, *"abcd") == ["between", "one", "between", "two"]


def test_the_journal_names_the_answer_and_whose_turn_it_was_not() -> None:
    service = from_config({"name": "late", "call": 2, "text": "late"}, {"name": "s", "sequence": ["one"]})
    assert said_in_turn(service, "a") == ["one"]
    [entry] = service.sessions.default.journal.entries
    assert entry.rules == ["/completions/1/sequence/0 (s)"]
    assert entry.passed == (
        ("/completions/0", "it was not its turn: request 1 that meets its `when`, it has `call: 2`"),
    )


WEATHER_CALL = {"name": "get_weather", "arguments": {}}
MAIL_CALL = {"name": "send_mail", "arguments": {}}


def test_turns_are_chosen_by_the_conversation_and_survive_retries() -> None:
    turns = [{"tool_calls": [WEATHER_CALL]}, {"tool_calls": [MAIL_CALL]}, "It is sunny."]
    service = from_config({"turns": turns}, {"text": "nothing"})
    conversation: list[Json] = [user("Weather by mail?")]
    names: list[str] = []
    for _ in range(4):
        [message], again = (messages(service, asking(messages=conversation)) for _ in range(2))
        assert again == [message]
        calls = message.get("tool_calls", [])
        names += [call["function"]["name"] for call in calls] or [message["content"]]
        results = [{"role": "tool", "tool_call_id": call["id"], "content": "done"} for call in calls]
        conversation += [{key: message[key] for key in ("role", "content", "tool_calls") if key in message}]
        conversation += results
    assert names == ["get_weather", "send_mail", "It is sunny.", "nothing"]
    conversation.append(user("Again?"))
    assert messages(service, asking(messages=conversation))[0]["tool_calls"]


# Templates.

SENT = asking(
    "Who?",
    temperature=0.5,
    messages=[
        user("Who?"),
        {"role": "tool", "tool_call_id": "1", "content": [{"type": "text", "text": "Ann"}]},
    ],
)


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("You said {last_user}", "You said Who?"),
        ("{model}: {tool_result}", "openai:gpt-4o-mini: Ann"),
        ("{{last_user}} {{{last_user}}}", "{last_user} {Who?}"),
        ("{/messages/0/content}, {/temperature}", "Who?, 0.5"),
        ("{/messages/1/content}", '[{"type":"text","text":"Ann"}]'),
        ("{/messages/7}{/temperature/no}", ""),
        ("", ""),
    ],
)
def test_a_template_is_filled_by_the_request(template: str, text: str) -> None:
    for scripted in ({"template": template}, {"choices": [{"template": template}]}, {"turns": [template]}):
        found = contents(from_config(scripted), SENT)
        assert found == [template if "turns" in scripted else text], "a bare text is literal"
    assert contents(from_config({"sequence": [{"template": template}]}), SENT) == [text]
    streamed = joined(chunks(ask(from_config({"template": template}), {**SENT, "stream": True})))
    assert streamed["choices"][0]["message"]["content"] == text


def test_a_text_has_no_fields() -> None:
    assert contents(from_config({"text": "{last_user} {{"}), SENT) == ["{last_user} {{"]


def test_a_field_of_which_the_request_has_nothing_is_empty() -> None:
    assert contents(from_config({"template": "<{last_user}{tool_result}>"}), asking(messages=[])) == ["<>"]


def test_a_template_tells_the_number_of_the_request() -> None:
    counting = {"when": {"last_user": {"contains": "a"}}, "template": "{call}: {last_user}"}
    service = from_config({"call": 1, "text": "first"}, counting, {"text": "other"})
    assert said_in_turn(service, "a", "b", "ca", "a") == ["first", "other", "2: ca", "3: a"]
    items = from_config({"sequence": [{"template": "one {call}"}, {"template": "two {call}"}], "every": 2})
    assert said_in_turn(items, *"abcd")[1::2] == ["one 2", "two 4"]


@pytest.mark.parametrize(
    ("template", "told"),
    [
        ("{last_usr}", r'no field {last_usr}; there are .* Did you mean "last_user"\?'),
        ("{}", "no field {}; there are {last_user}, {model}, {tool_result} and {call}, and JSON pointers"),
        ("{ model }", r"no field { model }"),
        ("a } b", r'a "}" stands alone; write }} for the character'),
        ("{last_user", r'a "{" stands alone; write {{ for the character'),
        ("{a{model}", r'a "{" stands alone'),
        ("{model}" * 1001, "expected at most 1,000 fields, got 1,001"),
    ],
)
def test_what_a_template_can_not_say_is_told_when_it_is_read(template: str, told: str) -> None:
    for place, members in {
        "/template": {"template": template},
        "/choices/1/template": {"choices": ["a", {"template": template}]},
        "/sequence/0/template": {"sequence": [{"template": template}]},
    }.items():
        with pytest.raises(Mistakes, match=rf"/completions/0{place}: .*{told}"):
            from_config(members)


def test_long_values_do_not_multiply() -> None:
    """A template makes no more than a choice may have, and each field's text once."""
    made: list[str] = []

    def fill(field: str) -> str:
        made.append(field)
        return "x" * 1000

    template = read_template("{last_user}" * 1000, At(""))
    assert template.filled(fill, 2500) == "x" * 2500
    assert len(made) == 3
    service = from_config({"template": "{last_user}" * 1000})
    [choice] = choices(service, asking("one two " * 10_000, n=1, max_tokens=5))
    assert (choice["message"]["content"], choice["finish_reason"]) == ("one two one two one", "length")


@brief
@given(st.text(st.sampled_from("{}ab/ é"), max_size=12))
def test_doubled_braces_say_any_text(text: str) -> None:
    doubled = text.replace("{", "{{").replace("}", "}}")
    assert contents(from_config({"template": doubled}), asking()) == [text]


# Streams and headers of its own.


@pytest.mark.parametrize(
    ("stream", "sent"),
    [
        ("data: {}\r\n\r\n: end", b"data: {}\r\n\r\n: end"),
        ([{"id": 1}, {}], b'data: {"id":1}\n\ndata: {}\n\ndata: [DONE]\n\n'),
        (["da", {"id": 1}, "ta: x"], b'dadata: {"id":1}\n\nta: x'),
    ],
    ids=["text", "chunks", "both"],
)
def test_a_stream_is_sent_as_it_stands(stream: Json, sent: bytes) -> None:
    assert ask(from_config({"stream": stream}), asking(stream=True)).body == sent


def test_a_stream_alone_answers_streams_alone() -> None:
    service = from_config({"stream": "x"}, {"text": "plain"})
    assert contents(service, asking()) == ["plain"]
    assert "streams alone" in service.sessions.default.journal.entries[0].passed[0][1]
    both = from_config({"stream": "x", "text": "plain"})
    assert contents(both, asking()) == ["plain"]
    assert ask(both, asking(stream=True)).body == b"x"


@pytest.mark.parametrize("members", [{"text": "a"}, {"raw": 1}], ids=str)
@pytest.mark.parametrize("stream", [False, True])
def test_headers_go_with_the_answer(members: Json, stream: bool) -> None:
    service = from_config({**members, "headers": {"X-Should-Retry": False, "retry-after": "soon"}})
    sent = dict(ask(service, asking(stream=stream)).headers)
    assert (sent[b"x-should-retry"], sent[b"retry-after"]) == (b"false", b"soon")


# Time.

SLOW = {"uniform": [200, 900]}


def waits(body: Json, **config: Json) -> list[float]:
    return happened(Service(settings(config)), body, CHAT).waits


def test_an_answer_waits_as_its_script_says() -> None:
    assert waits(asking(), completions=[{"text": "a", "delay_ms": 250}]) == [0.25]
    assert waits(asking(), completions=[{"sequence": [{"raw": 1, "delay_ms": 250}]}]) == [0.25]
    assert waits(asking(stream=True), completions=[{"stream": "a", "delay_ms": 250}]) == [0.25]


@pytest.mark.parametrize(
    "config",
    [
        {"completions": [{"text": "a", "delay_ms": SLOW}]},
        {"completions": [{"text": "a", "pace": {"first_token_ms": SLOW}}]},
        {"stream": {"first_token_ms": SLOW}},
        {"faults": [{"delay_ms": SLOW}]},
        {"faults": [{"drip": {"bytes": 80, "every_ms": SLOW}}]},
    ],
    ids=str,
)
def test_times_are_drawn_by_seed_and_content(config: Json) -> None:
    def found(text: str, seed: int = 0) -> list[float]:
        return waits(asking(text, stream=True), **config, seed=seed)

    drawn = [found(str(number)) for number in range(20)]
    assert [found(str(number)) for number in range(20)] == drawn
    assert [found(str(number), seed=1) for number in range(20)] != drawn
    several = {seconds for each in drawn for seconds in each}
    assert len(several) >= 20
    assert all(0.2 <= seconds < 0.9 for seconds in several)
    assert min(several) < 0.35
    assert max(several) > 0.75


def test_a_script_has_a_pace_of_its_own() -> None:
    section = {"first_token_ms": 1000, "tokens_per_second": 1}
    fast = {"text": "a", "pace": {"tokens_per_second": 4}}
    assert set(waits(asking(stream=True), completions=[fast], stream=section)) == {1.0, 0.25}
    assert waits(asking(), completions=[fast], stream=section) == []
    pieces = {"stream": ["a", "b"], "pace": {"first_token_ms": 0, "tokens_per_second": 2}}
    assert waits(asking(stream=True), completions=[pieces], stream=section) == [0.5, 0.5]
    null = {"text": "a", "pace": {"tokens_per_second": None}}
    assert waits(asking(stream=True), completions=[null], stream=section) == [1.0]


def test_a_delay_adds_to_that_of_a_magic_model_and_of_a_judge() -> None:
    faults = [{"delay_ms": {"uniform": [100, 100]}}]
    assert waits(asking(model="mock-delay-250"), faults=faults) == [0.35]
    scripts = [{"text": "a", "delay_ms": 250}]
    service = Service(settings({"completions": scripts, "unknown_criteria": "judge"}))
    found = happened(service, asking(), CHAT, {"op-criteria": '["mock-delay-500"]'})
    assert found.waits == [0.75]


def test_an_endless_stream_varies_too() -> None:
    section = {"tokens_per_second": 10, "jitter": 0.2, "endless_events": 30}
    found = waits(asking(stream=True), faults=[{"endless": True}], stream=section)
    assert len(set(found)) > 25
    assert all(0.08 <= seconds <= 0.12 for seconds in found)


@pytest.mark.parametrize(
    ("config", "told"),
    [
        (
            {"faults": [{"delay_ms": {"uniform": [900, 200]}}]},
            "/faults/0/delay_ms/uniform: the shortest",
        ),
        ({"faults": [{"drip": {"every_ms": {"uniform": [2, 1]}}}]}, "/faults/0/drip/every_ms/uniform"),
        ({"completions": [{"text": "", "delay_ms": {"uniform": [2, 1]}}]}, "/completions/0/delay_ms/uniform"),
        ({"stream": {"first_token_ms": {"uniform": [2, 1]}}}, "/stream/first_token_ms/uniform"),
        ({"completions": [{"raw": 1, "pace": {}}]}, '"pace" means nothing beside "raw"'),
    ],
)
def test_times_that_are_wrong_are_told(config: Json, told: str) -> None:
    with pytest.raises(Mistakes, match=told):
        settings(config)


def test_headers_of_the_server_are_mistakes() -> None:
    with pytest.raises(Mistakes, match="can't be given"):
        from_config({"text": "a", "headers": {"Content-Length": 1}})


def test_a_script_on_the_tool_of_the_newest_result_calls_again() -> None:
    service = from_config(
        {"when": {"last_tool": "get_weather"}, "tool_calls": [WEATHER_CALL]}, {"text": "done"}
    )
    calls = [{"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}]
    result = {"role": "tool", "tool_call_id": "call_1", "content": "wait"}
    conversation = [user("Weather?"), {"role": "assistant", "tool_calls": calls}, result]
    assert messages(service, asking(messages=conversation))[0]["tool_calls"]
    conversation.append({"role": "assistant", "content": "It is sunny."})
    assert contents(service, asking(messages=conversation)) == ["done"]
