"""A miss is never green: what no script answers, what never fired, and what a script does amiss."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from openpipe_mock.sessions.diagnosis import nearest_script
from openpipe_mock.testing.interception import patched
from openpipe_mock.testing.live import LiveServer, serving
from openpipe_mock.testing.mock import Mock

SERVICE = "https://api.openpipe.ai/api/v1"
WEATHER = {"text": "Sunny.", "when": {"last_user": {"contains": "weather"}}, "name": "weather"}
CONFIG = {"completions": [WEATHER]}


@pytest.fixture
def mock() -> Iterator[Mock]:
    with patched() as mock:
        yield mock


@pytest.fixture(scope="module")
def live() -> Iterator[LiveServer]:
    with serving() as live:
        yield live


def chat(text: Any = "Hello", base: str = SERVICE, headers: Any = None, **more: Any) -> httpx.Response:
    messages = text if isinstance(text, list) else [{"role": "user", "content": text}]
    body = {"model": "openai:gpt-4o-mini", "messages": messages, **more}
    key = {"authorization": "Bearer op-local", **(headers or {})}
    return httpx.post(f"{base}/chat/completions", json=body, headers=key)


def said(answer: httpx.Response) -> str:
    text: str = answer.json()["choices"][0]["message"]["content"]
    return text


NEAREST = (
    "No script answers this request: the nearest, /completions/0 (weather), differs: last_user: expected a "
    'text that contains "weather", saw "The wether?". Script one, or have it made up with '
    "`unscripted: answer`."
)


# What no script answers.


def test_nothing_changes_where_nothing_is_scripted(mock: Mock) -> None:
    mock.criterion("helpful").score(1)
    assert chat().status_code == 200
    [call] = mock.calls
    assert (call.unscripted, mock.misses, call.notes) == (False, [], ())


def test_a_completion_that_no_script_answers_is_refused_in_a_test() -> None:
    with patched(config=CONFIG) as mock:
        assert said(chat("The weather?")) == "Sunny."
        refused = chat("The wether?")
    assert refused.status_code == 404
    told = {"code": "NOT_FOUND", "message": NEAREST}
    assert refused.json() == {**told, "error": told}
    [missed] = mock.misses
    assert (missed.last_user, missed.status) == ("The wether?", 404)
    mock.assert_contract_kept()


def test_it_is_refused_once_the_test_scripts_one(mock: Mock) -> None:
    assert chat().status_code == 200
    mock.completion("Sunny.", when={"last_user": {"contains": "weather"}})
    assert chat().status_code == 404
    mock.reset()
    assert chat().status_code == 200


@pytest.mark.parametrize("said_by", ["option", "config"])
def test_it_is_made_up_where_that_is_asked_for(said_by: str) -> None:
    config: Any = CONFIG if said_by == "option" else {**CONFIG, "unscripted": "answer"}
    options: Any = {"unscripted": "answer"} if said_by == "option" else {}
    with patched(config=config, **options) as mock:
        assert chat().status_code == 200
    assert [call.status for call in mock.misses] == [200]


def test_refuse_refuses_where_nothing_is_scripted() -> None:
    with patched(unscripted="refuse") as mock:
        refused = chat()
    assert refused.json()["message"].startswith("No script answers this request: none is there.")
    assert len(mock.misses) == 1


def test_a_stream_is_refused_too_and_a_magic_model_answers() -> None:
    with patched(config=CONFIG) as mock:
        assert chat(stream=True).status_code == 404
        assert said(chat(model="mock-echo")) == "Hello"
    assert len(mock.misses) == 1


def test_a_completion_in_the_cache_was_scripted(mock: Mock) -> None:
    mock.completion("kept", when={"header": {"x-turn": "1"}})
    assert said(chat(headers={"op-cache": "true", "x-turn": "1"})) == "kept"
    assert said(chat(headers={"op-cache": "true"})) == "kept"
    assert mock.misses == []


def test_a_script_that_is_passed_over_is_the_nearest(mock: Mock) -> None:
    mock.completion(tool_calls=[{"name": "look", "arguments": {}}])
    called = {"id": "a", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    history = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "tool_calls": [called]},
        {"role": "tool", "tool_call_id": "a", "content": "done"},
    ]
    message = chat(history).json()["message"]
    assert '/runtime/1, differs: it calls "look", and a tool\'s result has answered that' in message


def test_the_nearest_fails_the_fewest_conditions_then_looks_most_alike() -> None:
    with patched(config={"completions": [
        {"text": "a", "when": {"last_user": "Goodbye", "model": "x"}, "name": "far"},
        {"text": "b", "when": {"last_user": "Zzzzz"}, "name": "unlike"},
        {"text": "c", "when": {"last_user": "Hallo"}, "name": "alike"},
    ]}):  # fmt: skip
        assert "the nearest, /completions/2 (alike), differs" in chat().json()["message"]
    assert nearest_script((), Mock, {}) == "none is there"  # type: ignore[arg-type]


# Tools that nobody offers.

UNOFFERED = 'the script /runtime/1 calls "get_wether", and the request '


def offered(*names: str) -> Any:
    return [{"type": "function", "function": {"name": name}} for name in names]


def test_a_scripted_call_of_a_tool_that_is_not_offered_is_told_and_breaks_the_contract(mock: Mock) -> None:
    mock.tool_call("get_wether", {"city": "Rome"})
    assert chat(tools=offered("get_weather", "look")).status_code == 200
    told = UNOFFERED + 'offers "get_weather" and "look". Did you mean "get_weather"?'
    [call] = mock.calls
    assert (call.unoffered, call.notes, call.violations) == ((told,), (told,), ())
    with pytest.raises(AssertionError) as broken:
        mock.assert_contract_kept()
    told = f"scripts for 1 of 1 requests broke the contract:\n{call}\n    {told}"
    assert str(broken.value) == told


def test_nor_may_a_script_call_a_tool_where_none_is_offered(mock: Mock) -> None:
    mock.tool_call("get_wether")
    chat()
    chat(headers={"x-mock-expect": "violation"})
    assert [call.unoffered for call in mock.calls] == [(UNOFFERED + "offers no tool.",)] * 2
    with pytest.raises(AssertionError, match=r"^scripts for 1 of 2 requests broke the contract:\n"):
        mock.assert_contract_kept()


def test_offered_tools_and_functions_may_be_called(mock: Mock) -> None:
    mock.tool_call("look")
    chat(tools=offered("look"))
    chat(functions=[{"name": "look"}])
    mock.assert_contract_kept()


# On a socket.


def test_a_live_mock_refuses_in_a_test_session_alone(live: LiveServer) -> None:
    with live.session(config=CONFIG) as mock:
        assert said(chat("The weather?", mock.base_url)) == "Sunny."
        assert chat("The wether?", mock.base_url).json()["message"] == NEAREST
        assert len(mock.misses) == 1
    assert chat(base=f"{live.origin}/api/v1").status_code == 200


def test_a_call_says_what_the_control_api_says(live: LiveServer) -> None:
    with live.session(config=CONFIG) as mock:
        chat(base=mock.base_url)
        [call] = mock.calls
        shown = httpx.get(f"{live.origin}/_mock/requests/{call.id}")
        assert call.unmatched == shown.json()["unmatched"]
        assert [each["place"] for each in call.unmatched] == ["/completions/0"]


# What was never used.


def judge(criterion: str = "helpful") -> httpx.Response:
    body = {"criterion_id": criterion, "output": {"role": "assistant", "content": "1, 2, 3."}}
    return httpx.post(f"{SERVICE}/criteria/judge", json=body, headers={"authorization": "Bearer op-local"})


EVERYTHING: Any = {
    **CONFIG,
    "criteria": {"helpful": {"score": 1}, "concise": {"v1": {"score": 0}, "v2": {"score": 1}}},
    "faults": [{"status": 503, "when": {"endpoint": "judge"}, "call": 3, "name": "third"}],
}


def unused(mock: Mock) -> list[str]:
    with pytest.raises(AssertionError) as found:
        mock.assert_all_used()
    first, *lines = str(found.value).split("\n  ")
    assert first == f"{len(lines)} of what is set was never used:"
    return lines


def test_what_is_set_and_never_used_is_named_that_of_the_file_too() -> None:
    with patched(config=EVERYTHING) as mock:
        mock.completion("Hi", name="mine")
        assert unused(mock) == [
            "script /runtime/1 (mine): no completion was asked for",
            "script /completions/0 (weather): no completion was asked for",
            "criterion helpful: nobody asked for it.",
            "criterion concise: nobody asked for it.",
            "fault /faults/0 (third): no request came",
        ]


def test_all_is_used() -> None:
    with patched(config=EVERYTHING) as mock:
        chat("The weather?", headers={"op-criteria": '["helpful"]'})
        assert [judge("concise@v1").status_code for _ in range(3)] == [200, 200, 503]
        mock.assert_all_used()
        mock.reset()
        assert len(unused(mock)) == 4


def test_the_nearest_request_says_why() -> None:
    with patched(config={**EVERYTHING, "unknown_criteria": "judge"}) as mock:
        chat("The wether?")
        chat("Zzz")
        judge("helpfull")
        reason = 'last_user: expected a text that contains "weather", saw "The wether?"'
        assert unused(mock) == [
            f"script /completions/0 (weather): the nearest request is default-1; {reason}",
            'criterion helpful: nobody asked for it. Did you mean "helpfull"?',
            "criterion concise: nobody asked for it.",
            "fault /faults/0 (third): the nearest request is default-3; it was not its turn: request 1 that"
            " meets its `when`, it has `call: 3`",
        ]


def test_a_script_behind_one_that_fires_says_which(mock: Mock) -> None:
    mock.completion("late", name="late")
    mock.completion("early", name="early")
    chat()
    told = "all its conditions hold; /runtime/2 (early) answered before it"
    assert unused(mock) == [f"script /runtime/1 (late): the nearest request is default-1; {told}"]


def test_only_so_many_are_named(mock: Mock) -> None:
    for number in range(12):
        mock.completion("x", name=str(number))
    with pytest.raises(AssertionError, match=r"^12 of what is set was never used:") as found:
        mock.assert_all_used()
    assert str(found.value).count("\n") == 11


def test_a_live_mock_names_them_too(live: LiveServer) -> None:
    with live.session(config=CONFIG) as mock:
        assert unused(mock) == ["script /completions/0 (weather): no completion was asked for"]
        chat("The weather?", mock.base_url)
        mock.assert_all_used()


# Agents.

USER = {"role": "user", "content": "Weather in Rome?"}


def turn(history: list[Any], base: str = SERVICE, **more: Any) -> Any:
    return chat(history, base, tools=offered("get_weather", "look"), **more)


def agent(base: str = SERVICE) -> None:
    """An agent with one loop: it calls what it is told to, and sends the results back."""
    message = turn([USER], base).json()["choices"][0]["message"]
    results = [
        {"role": "tool", "tool_call_id": each["id"], "content": f"result {number}"}
        for number, each in enumerate(message["tool_calls"])
    ]
    assert turn([USER, message, *results], base).json()["choices"][0]["message"]["content"] == "Sunny."


TWO: Any = [{"name": "get_weather", "arguments": {"city": "Rome"}}, {"name": "look", "arguments": "{}"}]


def test_what_an_agent_called_and_what_came_back(mock: Mock) -> None:
    mock.completion("Sunny.")
    mock.completion(tool_calls=TWO)
    agent()
    [called] = mock.called_tool("get_weather", arguments={"city": "Rome"}, times=1)
    assert (called.name, called.arguments, called.result) == ("get_weather", {"city": "Rome"}, "result 0")
    assert called.call == "default-1"
    assert [each.result for each in mock.called_tool("look")] == ["result 1"]
    assert mock.called_tool("never", times=0) == []
    mock.assert_well_behaved()
    mock.assert_contract_kept()


def test_the_same_on_a_socket(live: LiveServer) -> None:
    with live.session() as mock:
        mock.completion("Sunny.")
        mock.completion(tool_calls=TWO)
        agent(mock.base_url)
        [called] = mock.called_tool("look", {}, times=1)
        assert called.result == "result 1"


def test_what_was_not_called_is_told_with_the_nearest(mock: Mock) -> None:
    mock.completion(tool_calls=TWO)
    turn([USER])
    with pytest.raises(AssertionError) as failed:
        mock.called_tool("get_weather", arguments={"city": "Paris"})
    assert str(failed.value).splitlines() == [
        'expected a call of the tool get_weather({"city":"Paris"}): at least once; it came never.',
        'Nearest: default-1; its arguments are {"city":"Rome"}, not {"city":"Paris"}.',
        "What was called:",
        '  default-1: get_weather({"city":"Rome"}) → no result came',
        "  default-1: look({}) → no result came",
    ]
    with pytest.raises(AssertionError, match=r'^expected a call of the tool other: once; it came never\.\n'
                       r'Nearest: default-1; it calls "get_weather", not "other"\.'):  # fmt: skip
        mock.called_tool("other", times=1)
    with pytest.raises(
        AssertionError, match=r"^expected a call of the tool look: never; it came once\.\nWhat"
    ):
        mock.called_tool("look", times=0)


def test_nothing_was_called(mock: Mock) -> None:
    judge()
    chat()
    with pytest.raises(AssertionError) as failed:
        mock.called_tool("look")
    told = "expected a call of the tool look: at least once; it came never."
    assert str(failed.value) == f"{told}\nWhat was called:\n  nothing"


def test_many_calls_are_cut_short(mock: Mock) -> None:
    mock.completion(tool_calls=[{"name": f"f{number}", "arguments": "{"} for number in range(12)])
    chat()
    [called] = mock.called_tool("f11", "{")
    assert called.arguments == "{"
    with pytest.raises(AssertionError, match=r"  … and 2 more$"):
        mock.called_tool("other")


def test_calls_in_a_stream_are_put_together(mock: Mock) -> None:
    mock.completion(tool_calls=TWO)
    turn([USER], stream=True, n=2)
    assert len(mock.called_tool("get_weather", {"city": "Rome"}, times=2)) == 2
    mock.called_tool("look", {}, times=2)


def test_the_older_form_is_answered_by_name(mock: Mock) -> None:
    mock.completion("Sunny.", when={"messages": {"function": {"contains": "1"}}})
    mock.completion(tool_calls=[TWO[1]], when={"last_user": {"contains": "Rome"}})
    message = chat([USER], functions=[{"name": "look"}]).json()["choices"][0]["message"]
    assert message["function_call"]["name"] == "look"
    chat([USER, message, {"role": "function", "name": "look", "content": "1"}], functions=[{"name": "look"}])
    assert mock.called_tool("look")[0].result == "1"


@pytest.mark.parametrize(
    "raw",
    [
        [],
        {"choices": 7},
        {"choices": [7, {"message": 7}, {"index": [], "message": {"tool_calls": [{"id": 7}]}}]},
    ],
)
def test_answers_that_break_the_contract_call_what_they_call(mock: Mock, raw: Any) -> None:
    mock.completion(raw=raw)
    chat()
    mock.called_tool("look", times=0)


def test_a_result_that_answers_no_call_is_a_warning(mock: Mock) -> None:
    chat([USER, {"role": "tool", "tool_call_id": "nobody", "content": "x"}])
    [lapse] = mock.warnings()
    assert (lapse.rule.name, lapse.sights[0].told) == ("unknown-tool-call", "at /messages/1/tool_call_id")
