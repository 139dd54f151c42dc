"""A miss isn't green with openai's client: by fixture, on a socket and under `exec`."""

import subprocess
import sys

import openai
import pytest

BASE_URL = "https://api.openpipe.ai/api/v1"
ROME = {"city": "Rome"}
TOOLS = [{"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}]
WEATHER = {"completions": [{"text": "Sunny.", "when": {"last_user": {"contains": "weather"}}, "name": "sun"}]}
DIFFERS = 'the nearest, /completions/0 (sun), differs: last_user: expected a text that contains "weather"'


@pytest.fixture(params=["openpipe_mock", "openpipe_server"])
def mock(request):
    return request.getfixturevalue(request.param)


def ask(mock, text="How is the weather?", **more):
    messages = text if isinstance(text, list) else [{"role": "user", "content": text}]
    with openai.OpenAI(api_key="op-local", base_url=mock.base_url) as client:
        return client.chat.completions.create(model="openai:gpt-4o-mini", messages=messages, **more)


def test_nothing_changes_where_nothing_is_scripted(mock):
    assert ask(mock, "How is the wether?").choices[0].message.content
    assert mock.misses == []


@pytest.mark.openpipe(config=WEATHER)
@pytest.mark.parametrize("stream", [False, True])
def test_a_typo_is_an_error_that_is_not_retried(mock, stream):
    with pytest.raises(openai.NotFoundError) as refused:
        ask(mock, "How is the wether?", stream=stream)
    assert DIFFERS in refused.value.body["message"]
    assert refused.value.code == "NOT_FOUND"
    [missed] = mock.calls
    assert mock.misses == [missed]
    assert [each["place"] for each in missed.unmatched] == ["/completions/0"]
    with pytest.raises(AssertionError, match=r'script /completions/0 .* saw "How is the wether'):
        mock.assert_all_used()


@pytest.mark.openpipe(config=WEATHER, all_used=True, strict=True)
def test_all_is_used(mock):
    assert ask(mock).choices[0].message.content == "Sunny."


@pytest.mark.openpipe(config=WEATHER, unscripted="answer")
def test_it_is_made_up_where_that_is_asked_for(mock):
    assert ask(mock, "How is the wether?").choices[0].message.content
    assert len(mock.misses) == 1


def test_an_agent(mock):
    mock.completion("It is sunny in Rome.")
    mock.tool_call("get_weather", ROME)
    user = {"role": "user", "content": "How is the weather in Rome?"}
    message = ask(mock, [user], tools=TOOLS).choices[0].message
    [call] = message.tool_calls
    result = {"role": "tool", "tool_call_id": call.id, "content": "sunny"}
    history = [user, message.model_dump(exclude_none=True), result]
    assert ask(mock, history, tools=TOOLS).choices[0].message.content == "It is sunny in Rome."
    [called] = mock.called_tool("get_weather", arguments=ROME, times=1)
    assert called.result == "sunny"
    mock.assert_all_used()
    mock.assert_well_behaved()


def test_a_result_of_nothing_and_a_tool_that_nobody_offers(mock):
    mock.tool_call("get_wether", ROME)
    user, result = {"role": "user", "content": "Hi"}, {"role": "tool", "tool_call_id": "x", "content": "?"}
    ask(mock, [user], tools=TOOLS)
    mock.completion("Hm.")
    ask(mock, [user, result], tools=TOOLS)
    assert [lapse.rule.name for lapse in mock.warnings()] == ["unknown-tool-call"]
    with pytest.raises(AssertionError, match='Did you mean "get_weather"'):
        mock.assert_contract_kept()


CLIENT = """
import openai
messages = [{"role": "user", "content": "How is the wether?"}]
openai.OpenAI(max_retries=0).chat.completions.create(model="openai:gpt-4o-mini", messages=messages)
"""


@pytest.mark.parametrize(
    ("flags", "code", "told"),
    [
        (["--require-scripted", "--require-requests"], 90, DIFFERS),
        (["--unscripted", "refuse"], 1, "ended with 1; 1 request: 1 chat"),
    ],
)
def test_under_exec(flags, code, told, tmp_path):
    config = tmp_path / "mock.yaml"
    config.write_text("completions: [{text: Sunny., when: {last_user: {contains: weather}}, name: sun}]")
    command = [sys.executable, "-m", "openpipe_mock", "exec", "--config", config, *flags, "--"]
    done = subprocess.run(
        [*command, sys.executable, "-c", CLIENT], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == code, done.stderr
    assert told in done.stderr
