"""Which tool is called: the named one, the required one, the one that the conversation mentions, or none."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openpipe_mock.answers.tools import Tool, asked_for, offered, to_call, wanted_tool
from openpipe_mock.core.errors import BadRequest
from tests.chatting import costs_less, function, tool, user
from tests.generate import thorough

Json = dict[str, Any]

WEATHER = tool("get_current_weather")
MAIL = tool("sendMail")
RESULT = {"role": "tool", "tool_call_id": "call_1", "content": "the current weather is fine"}
OLD_RESULT = {"role": "function", "name": "get_current_weather", "content": "the weather is fine"}
CALL = {"role": "assistant", "content": None}


def called(*messages: Json, tools: Any = (WEATHER, MAIL), functions: Any = (), **choice: Any) -> str | None:
    """The name of the function that a request calls, None for no call."""
    body = {"tools": list(tools), "functions": list(functions), **choice}
    found = to_call(wanted_tool(body), offered(body), messages)
    return found.name if found else None


def refusal(*messages: Json, **request: Any) -> str:
    with pytest.raises(BadRequest) as caught:
        called(*messages, **request)
    assert caught.value.issues
    return caught.value.issues[0]


def heard(name: str, text: str) -> bool:
    """Whether a text mentions the tool of this name."""
    return called(user(text), tools=[tool(name)]) == name


# What the request wants.


def named_choice(name: str) -> Json:
    return {"type": "function", "function": {"name": name}}


@pytest.mark.parametrize(
    ("sent", "want"),
    [
        ({}, ("auto", "")),
        ({"tool_choice": "auto"}, ("auto", "")),
        ({"tool_choice": "none"}, ("none", "")),
        ({"tool_choice": "required"}, ("required", "")),
        ({"tool_choice": named_choice("a")}, ("named", "a")),
        ({"tool_choice": {"function": {"name": "a"}}}, ("named", "a")),
        ({"tool_choice": {}}, ("auto", "")),
        ({"tool_choice": {"type": "function"}}, ("auto", "")),
        ({"tool_choice": named_choice("")}, ("auto", "")),
        ({"function_call": "auto"}, ("auto", "")),
        ({"function_call": "none"}, ("none", "")),
        ({"function_call": {"name": "a"}}, ("named", "a")),
        ({"function_call": {"name": ""}}, ("auto", "")),
        ({"tool_choice": "none", "function_call": {"name": "a"}}, ("none", "")),
    ],
)
def test_what_a_request_wants(sent: Json, want: tuple[str, str]) -> None:
    found = wanted_tool(sent)
    assert (found.mode, found.name) == want


def test_tools_stand_before_functions_and_functions_are_answered_the_older_way() -> None:
    body = {"tools": [tool("a")], "functions": [function("b"), {"name": "c"}]}
    assert [(each.name, each.legacy) for each in offered(body)] == [("a", False), ("b", True), ("c", True)]
    assert offered(body)[2].parameters == {}


def test_a_request_without_tools_offers_none() -> None:
    assert offered({}) == offered({"tools": None, "functions": None}) == offered({"tools": []}) == ()


# Which tool is called.


@pytest.mark.parametrize(
    ("choice", "name"),
    [
        ("none", None),
        ("auto", None),
        ("required", "get_current_weather"),
        (named_choice("sendMail"), "sendMail"),
        ({}, None),
    ],
)
def test_what_is_called_when_nothing_is_mentioned(choice: Any, name: str | None) -> None:
    assert called(user("Hello"), tool_choice=choice) == name


@pytest.mark.parametrize(
    ("choice", "name"),
    [
        ("none", None),
        ("auto", "sendMail"),
        ("required", "sendMail"),
        (named_choice("get_current_weather"), "get_current_weather"),
        ({}, "sendMail"),
    ],
)
def test_what_is_called_when_a_tool_is_mentioned(choice: Any, name: str | None) -> None:
    assert called(user("Please write a mail"), tool_choice=choice) == name


@pytest.mark.parametrize(
    ("choice", "name"), [({"name": "b"}, "b"), ("auto", "a_tool"), ("none", None), (None, "a_tool")]
)
def test_functions_are_chosen_the_older_way(choice: Any, name: str | None) -> None:
    functions = [function("a_tool"), function("b")]
    more = {} if choice is None else {"function_call": choice}
    assert called(user("use a_tool"), tools=[], functions=functions, **more) == name


def test_required_calls_a_function_where_only_functions_are_offered() -> None:
    assert called(user("Hi"), tools=[], functions=[function("b")], tool_choice="required") == "b"


@pytest.mark.parametrize("result", [RESULT, OLD_RESULT])
@pytest.mark.parametrize("choice", ["auto", "none", {}])
def test_an_agent_loop_ends_after_a_result(result: Json, choice: Any) -> None:
    assert called(user("the weather?"), CALL, result, tool_choice=choice) is None


@pytest.mark.parametrize("choice", ["required", named_choice("get_current_weather")])
def test_a_call_that_is_asked_for_is_made_even_after_a_result(choice: Any) -> None:
    assert called(user("the weather?"), CALL, RESULT, tool_choice=choice) == "get_current_weather"


def test_a_new_question_after_an_answer_may_call_again() -> None:
    answered = [user("weather?"), CALL, RESULT, {"role": "assistant", "content": "Fine."}]
    assert called(*answered, user("and the weather tomorrow?")) == "get_current_weather"


@pytest.mark.parametrize("role", ["system", "developer"])
def test_an_instruction_after_a_result_does_not_start_the_loop_anew(role: str) -> None:
    """Agent frameworks remind the model of its task behind each result; the user has said nothing new."""
    assert called(user("weather?"), CALL, RESULT, {"role": role, "content": "Go on."}) is None


def test_an_answer_that_is_appended_does_not_start_the_loop_anew() -> None:
    """Issue 3: completion, append the answer, second completion."""
    answer = {"role": "assistant", "content": "It is fine."}
    assert called(user("weather?"), CALL, RESULT, answer) is None


@pytest.mark.parametrize(
    ("messages", "calls"),
    [
        ([user("weather")], True),
        ([user("weather"), CALL], True),
        ([user("weather"), CALL, RESULT, CALL, RESULT], False),
        ([RESULT, user("weather")], False),
        ([RESULT, {"role": "assistant", "content": "Fine."}, user("weather")], True),
        ([user("weather"), RESULT, {"role": "user", "content": []}], False),
        ([{"role": "system", "content": "weather"}, CALL, RESULT], False),
        (
            [
                {"role": "system", "content": "weather"},
                CALL,
                RESULT,
                {"role": "system", "content": "weather"},
            ],
            False,
        ),
    ],
)
def test_a_result_answers_what_was_asked_before_it(messages: list[Json], calls: bool) -> None:
    assert (called(*messages) is not None) is calls


# What is refused.


def test_an_unknown_tool_is_refused_with_the_offer_and_the_nearest() -> None:
    sentence = refusal(user("Hi"), tool_choice=named_choice("get_curent_wether"))
    assert sentence.startswith("/tool_choice")
    for word in ('"get_curent_wether"', '"get_current_weather" and "sendMail"', "did you mean"):
        assert word in sentence


def test_a_tool_that_resembles_none_is_refused_without_a_guess() -> None:
    sentence = refusal(user("Hi"), tool_choice=named_choice("zzz"))
    assert "did you mean" not in sentence
    assert sentence.endswith(".")


def test_a_tool_named_where_none_is_offered_is_refused() -> None:
    assert "no tool is offered" in refusal(user("Hi"), tools=[], tool_choice=named_choice("zzz"))


@pytest.mark.parametrize("messages", [[], [user("Hi")]])
def test_required_without_tools_is_refused(messages: list[Json]) -> None:
    assert '"tools"' in refusal(*messages, tools=[], tool_choice="required")


def test_an_unknown_function_is_refused_where_it_stands() -> None:
    sentence = refusal(user("Hi"), tools=[], functions=[function("b")], function_call={"name": "c"})
    assert sentence.startswith("/function_call")


def test_a_named_function_is_answered_the_older_way_even_beside_a_tool_of_its_name() -> None:
    body: Json = {"tools": [tool("a")], "functions": [function("a")], "function_call": {"name": "a"}}
    found = to_call(wanted_tool(body), offered(body), [user("Hi")])
    assert found is not None
    assert found.legacy


# What mentions a tool.


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("get_current_weather", "Call get_current_weather now"),
        ("get_current_weather", "GET_CURRENT_WEATHER!"),
        ("get_current_weather", "What's the weather in SF?"),
        ("get_current_weather", "Weather"),
        ("get_current_weather", "WEATHER PLEASE"),
        ("get_current_weather", "my current place"),
        ("getCurrentWeather", "the weather"),
        ("getCurrentWeather", "getcurrentweather"),
        ("get-current-weather", "the weather"),
        ("HTTPServer", "start a server"),
        ("parseHTTP", "over http"),
        ("weather", "get_weather_today or getWeatherToday"),
        ("lookup404", "why 404?"),
        ("f", "call f with 3"),
        ("a.b", "call a.b!"),
        ("a.b", "call a.b."),
        ("f", "call f."),
        ("send-mail", "(send-mail-)"),
        ("wetter_für_ort", "Das Wetter, bitte"),
        ("find_ort", "Ort: Bern"),
    ],
)
def test_a_text_mentions_a_tool(name: str, text: str) -> None:
    assert heard(name, text)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("get_current_weather", "Hello there"),
        ("get_current_weather", ""),
        ("get_current_weather", "weathered weatherman"),
        ("get_current_weather", "get the thing"),
        ("get_all_new", "get all new from the set"),
        ("f", "of fine stuff"),
        ("a.b", "call aXb"),
        ("do_it", "do it, or go"),
        ("x1", "x2"),
        ("", "Hello there"),
        ("", ""),
    ],
)
def test_a_text_mentions_no_tool(name: str, text: str) -> None:
    assert not heard(name, text)


@pytest.mark.parametrize(
    ("names", "text", "name"),
    [
        (["send_mail", "read_mail"], "read my mail", "read_mail"),
        (["send_mail", "read_mail"], "the mail", "send_mail"),
        (["send_mail", "mail"], "send mail", "mail"),
        (["read_mail_of_list", "list"], "read the mail of my list", "list"),
    ],
)
def test_the_tool_is_called_that_is_mentioned_most(names: list[str], text: str, name: str) -> None:
    assert called(user(text), tools=list(map(tool, names))) == name


@pytest.mark.parametrize(
    ("names", "text", "asked"),
    [
        (["get_weather", "get_time"], "the time and the weather", ["get_weather", "get_time"]),
        (["get_weather", "get_weather_forecast"], "the weather", ["get_weather"]),
        (["get_weather", "get_weather_forecast"], "the weather forecast", ["get_weather_forecast"]),
        (["get_weather", "weather_report"], "get_weather, then report", ["get_weather", "weather_report"]),
        (["a", "b", "c"], "c, then a", ["a", "c"]),
        (["get_time", "get_time_zone"], "get_time and get_time_zone", ["get_time", "get_time_zone"]),
    ],
)
def test_a_word_of_the_text_asks_for_one_tool(names: list[str], text: str, asked: list[str]) -> None:
    assert [each.name for each in asked_for([Tool(name, {}) for name in names], text)] == asked


def test_the_last_user_text_counts() -> None:
    system = {"role": "system", "content": "You know the weather."}
    assert called(user("the weather"), user("Hello")) is None
    assert called(system, user("Hello")) is None
    assert called(user("Hello"), user("the weather"), system) == "get_current_weather"


def test_a_user_message_without_text_is_no_text() -> None:
    image = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,weather"}}]}
    assert called(user("the weather"), image) == "get_current_weather"
    assert called(image) is None


def test_text_parts_mention_a_tool() -> None:
    parts = [{"type": "text", "text": "the"}, {"type": "text", "text": "weather"}]
    assert called({"role": "user", "content": parts}) == "get_current_weather"


@pytest.mark.parametrize("role", ["system", "developer", "assistant"])
def test_without_a_user_text_the_last_message_counts(role: str) -> None:
    """The provider's own tests say `tell me the weather in SF` in a system message alone."""
    asked = {"role": role, "content": "tell me the weather in SF"}
    assert called(asked) == "get_current_weather"
    assert called(asked, {"role": role, "content": "Hello"}) is None


def test_an_empty_conversation_mentions_nothing() -> None:
    assert called() is None
    assert called(tool_choice="required") == "get_current_weather"
    assert asked_for([Tool("", {})], "") == []


@thorough
@given(text=st.text(max_size=30), other=st.sampled_from("é中\u0301\u0660Ⅷ\u2028\U0001fae9"))
def test_what_unicode_says_of_a_character_decides_nothing(text: str, other: str) -> None:
    replaced = "".join(letter if letter.isascii() else other for letter in text)
    tools = [Tool("count_words", {}), Tool("a", {})]
    assert asked_for(tools, text) == asked_for(tools, replaced)


def test_many_tools_take_hardly_longer_than_one_on_a_long_text() -> None:
    """A mock answers one request at a time: a text of megabytes must not be read anew for each tool."""
    asked = "nothing here " * 40_000
    many = [Tool(f"tool_{number}_of_many", {}) for number in range(128)]
    assert costs_less(lambda: asked_for(many, asked), 10, lambda: asked_for(many[:1], asked))


def test_a_name_is_taken_as_it_is_written() -> None:
    assert called(user("Hi"), tools=[tool("A"), tool("a")], tool_choice=named_choice("a")) == "a"


def test_a_name_beyond_ascii_is_mentioned_as_a_whole() -> None:
    assert heard("天気", "今日の天気は?")
    assert not heard("天気", "今日は?")


def test_the_older_choice_counts_beside_auto_and_beside_nothing_else() -> None:
    named = {"functions": [function("b")], "function_call": {"name": "b"}}
    assert wanted_tool({**named, "tool_choice": "auto"}).name == "b"
    assert wanted_tool({**named, "tool_choice": "none"}).mode == "none"
