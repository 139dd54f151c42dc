"""The mock in a test's hands: scripting in the config file's words, and assertions that say what came."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, get_type_hints

import httpx
import pytest

from openpipe_mock.config.file import ConfigError, schema
from openpipe_mock.core.wording import quoted
from openpipe_mock.testing.calls import MOST_SHOWN, violation_pointer
from openpipe_mock.testing.interception import patched
from openpipe_mock.testing.mock import Conditions, FaultOptions, Mock, MockError, ScriptOptions, settings_of

SERVICE = "https://api.openpipe.ai/api/v1"
KEY = {"authorization": "Bearer op-local"}
BODY = {"criterion_id": "helpful", "output": {"role": "assistant", "content": "1, 2, 3."}}


@pytest.fixture
def mock() -> Iterator[Mock]:
    with patched() as mock:
        yield mock


def judge(output: str = "1, 2, 3.", criterion: Any = "helpful", **headers: str) -> Any:
    body = {"criterion_id": criterion, "output": {"role": "assistant", "content": output}}
    return httpx.post(f"{SERVICE}/criteria/judge", json=body, headers={**KEY, **headers})


def score(output: str = "1, 2, 3.", criterion: str = "helpful") -> Any:
    answer = judge(output, criterion)
    return answer.json().get("score", answer.status_code)


def chat(text: str = "Count", criteria: list[str] | None = None, **more: Any) -> Any:
    body = {"model": "openai:gpt-4o-mini", "messages": [{"role": "user", "content": text}], **more}
    headers = KEY if criteria is None else {**KEY, "op-criteria": json.dumps(criteria)}
    return httpx.post(f"{SERVICE}/chat/completions", json=body, headers=headers)


def said(answer: Any) -> list[str]:
    return [choice["message"]["content"] for choice in answer.json()["choices"]]


def rules(mock: Mock, **how: Any) -> list[str]:
    """The names of the rules of conduct that the client broke."""
    return [lapse.rule.name for lapse in mock.warnings(**how)]


# Scripting.


def test_a_criterion_scores_as_it_is_told(mock: Mock) -> None:
    helpful = mock.criterion("helpful")
    helpful.score(0.7, explanation="Because.")
    assert judge().json() == {"score": 0.7, "explanation": "Because."}
    helpful.by_output({"1, 2, 3.": 1, "bad": {"error": {"status": 503}}}, otherwise=0.5)
    assert [score(), score("bad"), score("else")] == [1, 503, 0.5]
    helpful.sequence([1, 0])
    assert [score() for _ in range(3)] == [1, 0, 1]
    helpful.sequence([1, 0], then="last")
    assert [score() for _ in range(3)] == [1, 0, 0]
    helpful.fails(status=503, message="Overloaded.")
    assert (judge().status_code, judge().json()["message"]) == (503, "Overloaded.")


def test_the_other_forms(mock: Mock) -> None:
    helpful = mock.criterion("helpful")
    helpful.rules([{"when": {"output": {"contains": "2"}}, "score": 1}], otherwise=0)
    assert [score(), score("no")] == [1, 0]
    helpful.uniform(0.4, 0.5)
    assert 0.4 <= score() <= 0.5
    helpful.near(0.9, within=0.01)
    assert 0.89 <= score() <= 0.91
    helpful.passes()
    assert score() == 1
    helpful.length(best=3, worst=13)
    assert [score("abc"), score("a" * 8), score("a" * 13)] == [1, 0.5, 0]
    helpful.raw({"no": "score"})
    assert judge().json() == {"no": "score"}
    helpful.form({"v1": {"score": 0}, "v2": {"score": 1}})
    assert [score(), score(criterion="helpful@v1")] == [1, 0]


def test_one_version_of_a_criterion_and_one_with_a_slash(mock: Mock) -> None:
    mock.criterion("helpful@v2").score(0.2)
    mock.criterion("a/b%20c").score(0.3)
    assert [score(criterion="helpful@v2"), score(criterion="a/b%20c")] == [0.2, 0.3]


def test_a_criterion_is_as_before_again(mock: Mock) -> None:
    before = score()
    mock.criterion("helpful").score(0.123)
    mock.criterion("helpful").reset()
    assert score() == before


def test_completions(mock: Mock) -> None:
    mock.completion("always")
    mock.completion(
        choices=["a", {"refusal": "no"}], when={"last_user": {"contains": "Count"}}, name="counting"
    )
    assert said(chat("Count", n=2)) == ["a", None]
    assert said(chat("Else")) == ["always"]
    assert mock.calls[0].rules == ("/runtime/2 (counting)",)
    mock.completion(refusal="I can't.", finish_reason="stop")
    assert chat().json()["choices"][0]["message"]["refusal"] == "I can't."
    mock.completion(raw={"odd": True})
    assert chat().json() == {"odd": True}


def test_a_sequence_of_which_items_answered_is_used(mock: Mock) -> None:
    mock.completion(sequence=["a", "b"], then="fail")
    assert [said(chat("1")), said(chat("2")), chat("3").status_code] == [["a"], ["b"], 404]
    mock.assert_all_used()
    assert mock.calls[0].unmatched == []


def test_what_a_test_has_set_stays_when_its_values_change(mock: Mock) -> None:
    texts = ["a"]
    mock.completion(choices=texts)
    texts[0] = "b"
    assert said(chat()) == ["a"]


def test_what_a_test_sets_may_be_longer_than_a_body_of_the_control_api(mock: Mock) -> None:
    mock.criterion("helpful").by_output({"a" * 2**21: 1, "1, 2, 3.": 0.25})
    assert score() == 0.25


def test_a_mistake_leaves_no_gap_in_the_places(mock: Mock) -> None:
    with pytest.raises(MockError):
        mock.fault(status=429, first=1, call=2)
    mock.fault(status=429, name="busy")
    assert judge().status_code == 429
    assert mock.calls[0].faults == ("status 429 (fault /runtime/1 (busy))",)


def test_tool_calls(mock: Mock) -> None:
    mock.tool_call("get_weather", {"city": "Rome"})
    [call] = chat().json()["choices"][0]["message"]["tool_calls"]
    assert call["function"] == {"name": "get_weather", "arguments": '{"city":"Rome"}'}
    mock.tool_call("stop", when={"last_user": "Stop"})
    [call] = chat("Stop").json()["choices"][0]["message"]["tool_calls"]
    assert call["function"] == {"name": "stop", "arguments": "{}"}


def test_faults_and_limits(mock: Mock) -> None:
    mock.fault(status=429, retry_after=2, first=1, when={"endpoint": "judge"})
    assert [judge().status_code, judge().status_code, chat().status_code] == [429, 200, 200]
    assert mock.calls[0].faults
    mock.limits(requests_per_minute=3)
    assert [judge().status_code for _ in range(4)] == [200, 200, 200, 429]
    mock.clock.advance(60)
    assert judge().status_code == 200
    mock.limits()
    assert {judge().status_code for _ in range(9)} == {200}


def test_a_config_file_is_loaded_and_what_was_given_beats_it(tmp_path: Path) -> None:
    file = tmp_path / "openpipe-mock.yaml"
    file.write_text("seed: 9\ncriteria: {helpful: {score: 0.25}}\n")
    with patched(seed=4) as mock:
        mock.load(file)
        assert score() == 0.25
        assert mock.session.settings(mock.service.settings).seed == 4
        mock.criterion("helpful").score(0.5)
        assert score() == 0.5
        mock.reset()
        assert mock.calls == []
        assert score() != 0.25
        file.write_text("sead: 9\n")
        with pytest.raises(ConfigError, match="sead"):
            mock.load(str(file))


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (lambda mock: mock.criterion("helpful").score("high"), "/score: "),
        (lambda mock: mock.criterion("").score(1), "a criterion id has at least 1 character"),
        (lambda mock: mock.criterion("a b").score(1), "no criterion id"),
        (lambda mock: mock.completion("a", choices=["b"]), "choices"),
        (lambda mock: mock.completion(), "at least one of"),
        (lambda mock: mock.completion("a", when={"last_usr": "b"}), "did you mean"),
        (lambda mock: mock.fault(status=99), "/status: "),
        (lambda mock: mock.limits(concurrent=-1), "/concurrent: "),
        (lambda mock: mock.criterion("helpful").reset(), "no criterion"),
    ],
)
def test_mistakes_are_told_with_their_place(mock: Mock, wrong: Any, told: str) -> None:
    with pytest.raises(MockError) as caught:
        wrong(mock)
    assert told in str(caught.value)


def test_every_key_of_the_config_file_has_its_word_here() -> None:
    parts = schema()["$defs"]
    assert set(parts["when"]["properties"]) == set(get_type_hints(Conditions)) | {"input"} - {"input"}
    assert set(parts["fault"]["properties"]) == set(get_type_hints(FaultOptions))
    assert set(parts["script"]["properties"]) == set(get_type_hints(Mock.completion)) - {
        "return",
        "further",
        "answer",
    } | set(get_type_hints(ScriptOptions))


# Calls.


def test_a_call_tells_all_of_its_request_and_answer(mock: Mock) -> None:
    mock.criterion("helpful").score(0.5)
    judge()
    [call] = mock.calls
    assert (call.id, call.endpoint, call.method, call.path) == (
        "default-1",
        "judge",
        "POST",
        "/api/v1/criteria/judge",
    )
    assert (call.status, call.criterion, call.criteria, call.output) == (
        200,
        "helpful@v1",
        ("helpful@v1",),
        "1, 2, 3.",
    )
    assert (call.scores, call.violations, call.model, call.streamed) == (({"helpful": 0.5},), (), None, False)
    assert call.request["criterion_id"] == "helpful"
    assert call.answer["score"] == 0.5
    assert call.headers["content-type"] == "application/json"
    assert "op-local" not in str(call.headers)
    assert not call.meant


def test_a_chat_call(mock: Mock) -> None:
    chat("Hello", ["helpful", "polite@v2"], n=2)
    chat("Hello", stream=True)
    first, second = mock.calls
    assert (first.model, first.last_user, first.criterion) == ("openai:gpt-4o-mini", "Hello", None)
    assert first.criteria == ("helpful@v1", "polite@v2")
    assert len(first.scores) == 2
    assert second.streamed
    assert second.answer[-1] == "[DONE]"


def test_calls_are_filtered(mock: Mock) -> None:
    judge("a")
    judge("b", "polite@v2")
    chat("Hello", ["helpful"])
    calls = mock.calls
    assert [len(calls.filter(endpoint=each)) for each in ("judge", "chat", "report")] == [2, 1, 0]
    assert [
        len(calls.filter(criterion=each)) for each in ("helpful", "polite", "polite@v2", "polite@v1")
    ] == [1, 1, 1, 0]
    assert len(calls.filter(output="b", status=200)) == 1
    assert len(calls.filter(criteria=["helpful"], model="openai:gpt-4o-mini", last_user="Hello")) == 1
    assert calls.filter(streamed=True) == []
    assert calls.filter() == calls


def test_everything_is_kept_however_much_it_is(mock: Mock) -> None:
    """Where a server's journal keeps beginnings and the latest."""
    long = "long " * 40_000
    chat(long)
    judge(long)
    mock.completed(last_user=long, times=1)
    mock.judged(output=long, times=1)
    request = httpx.Request("POST", f"{SERVICE}/criteria/judge", json=BODY, headers=KEY)
    with httpx.HTTPTransport(verify=False) as transport:
        for _ in range(1100):
            transport.handle_request(request)
    mock.judged(output="1, 2, 3.", times=1100)


def test_what_was_refused_and_what_a_fault_replaced_are_calls_too(mock: Mock) -> None:
    mock.fault(disconnect=True, first=1, when={"endpoint": "judge"})
    with pytest.raises(httpx.RemoteProtocolError):
        judge()
    httpx.post(f"{SERVICE}/criteria/judge", content=b"{", headers=KEY)
    mock.fault(status=503, when={"endpoint": "chat"})
    chat("Hello", ["helpful", "polite"])
    httpx.post(f"{SERVICE}/chat/completions", json={}, headers={**KEY, "op-criteria": "no JSON"})
    httpx.get(f"{SERVICE}/nowhere")
    broken, typeless, chatted, odd, lost = mock.calls
    assert (broken.status, broken.criteria, broken.output) == (0, ("helpful@v1",), "1, 2, 3.")
    assert (typeless.criteria, typeless.output, typeless.last_user) == ((), None, None)
    assert (chatted.status, chatted.criteria) == (503, ("helpful@v1", "polite@v1"))
    assert odd.criteria == ()
    assert (lost.endpoint, lost.status) == ("", 404)
    assert str(broken) == 'default-1: judge helpful@v1 "1, 2, 3." → no answer'
    assert str(lost) == "default-5: GET /api/v1/nowhere → 404"


# Assertions.


def test_what_came_is_asserted(mock: Mock) -> None:
    judge()
    judge("other", "polite@v2")
    chat("Count", ["helpful", "polite@v2"])
    assert len(mock.judged()) == 2
    assert mock.judged("helpful", output="1, 2, 3.", times=1)[0].id == "default-1"
    mock.judged("helpful@v1", times=1)
    mock.judged("polite", times=1)
    mock.judged("rude", times=0)
    mock.completed(model="openai:gpt-4o-mini", criteria=["polite", "helpful"], last_user="Count", times=1)


@pytest.mark.parametrize(
    "criteria", [[], ["helpful"], ["helpful", "helpful"], ["helpful", "polite@v1"], ["a", "b", "c"]]
)
def test_other_criteria_are_others(mock: Mock, criteria: list[str]) -> None:
    chat("Count", ["helpful", "polite@v2"])
    with pytest.raises(AssertionError, match="criteria"):
        mock.completed(criteria=criteria)


def test_two_versions_of_one_criterion(mock: Mock) -> None:
    chat("Count", ["polite@v1", "polite@v2"])
    mock.completed(criteria=["polite", "polite@v1"])
    mock.completed(criteria=["polite@v2", "polite"])


def test_a_failed_assertion_shows_the_nearest_miss_and_what_came(mock: Mock) -> None:
    judge("1, 2, 4.")
    judge("nothing like it", "polite")
    chat()
    with pytest.raises(AssertionError) as caught:
        mock.judged("helpful", output="1, 2, 3.", times=2)
    assert str(caught.value) == (
        'expected a request with endpoint "judge", criterion "helpful", output "1, 2, 3.": twice; '
        "it came never.\n"
        'Nearest: default-1: judge helpful@v1 "1, 2, 4." → 200; output is "1, 2, 4.", not "1, 2, 3.".\n'
        "What came:\n"
        '  default-1: judge helpful@v1 "1, 2, 4." → 200\n'
        '  default-2: judge polite@v1 "nothing like it" → 200\n'
        '  default-3: chat openai:gpt-4o-mini "Count" → 200'
    )


def test_of_equally_near_misses_the_most_alike_is_shown(mock: Mock) -> None:
    judge("zzz")
    judge("1, 2, 4.")
    with pytest.raises(AssertionError, match=r'Nearest: default-2: judge helpful@v1 "1, 2, 4\."'):
        mock.judged("helpful", output="1, 2, 3.")


def test_too_many_and_none_at_all(mock: Mock) -> None:
    with pytest.raises(
        AssertionError, match=r"at least once; it came never\.\nWhat came:\n  nothing\n"
    ) as no:
        mock.completed()
    assert "Does the client send to https://api.openpipe.ai/api/v1 or to what OPENPIPE_BASE_URL" in str(
        no.value
    )
    assert str(no.value).endswith("requests and urllib3 without a transport of its own?")
    for _ in range(MOST_SHOWN + 2):
        judge()
    with pytest.raises(AssertionError) as caught:
        mock.judged(times=1)
    assert str(caught.value).endswith("  … and 2 more")
    assert "Does the client send" not in str(caught.value)
    assert "once; it came 12 times." in str(caught.value)
    assert "Nearest" not in str(caught.value)


def test_missing_fields_are_said_to_be_missing(mock: Mock) -> None:
    httpx.post(f"{SERVICE}/chat/completions", json={}, headers=KEY)
    with pytest.raises(
        AssertionError, match=r"model is missing, not \"m\"; criteria is none, not \"a\", \"b\""
    ):
        mock.completed(model="m", criteria=["a", "b"])


# The contract.


def test_a_kept_contract(mock: Mock) -> None:
    judge()
    chat()
    mock.assert_contract_kept()


def test_a_broken_contract_is_told_with_pointers(mock: Mock) -> None:
    judge(criterion=7)
    judge()
    with pytest.raises(AssertionError) as caught:
        mock.assert_contract_kept()
    told = str(caught.value).splitlines()
    assert told[0] == "1 of 2 requests broke the contract:"
    assert told[1].startswith("default-1: judge")
    assert told[2].startswith("    /criterion_id: ")


def test_what_a_client_sent_does_not_steer_the_terminal(mock: Mock) -> None:
    chat(model="a\x1b[2Jb\x9bc\u202ed", messages="none")
    for told in (mock.assert_contract_kept, lambda: mock.completed(model="other")):
        with pytest.raises(AssertionError) as caught:
            told()
        assert "a\ufffd[2Jb\ufffdc\ufffdd" in str(caught.value)
        assert all(line.isprintable() for line in str(caught.value).splitlines())


def test_of_many_breaches_the_first_are_told(mock: Mock) -> None:
    for _ in range(MOST_SHOWN + 1):
        judge(criterion=7)
    with pytest.raises(AssertionError, match=r"\n… and 1 more$"):
        mock.assert_contract_kept()


def test_in_report_mode_a_breach_is_answered_and_told_all_the_same() -> None:
    with patched(validation="lenient") as mock:
        assert judge(criterion=7).status_code == 200
        with pytest.raises(AssertionError, match="/criterion_id: "):
            mock.assert_contract_kept()


def test_what_was_meant_to_break_it_is_excused(mock: Mock) -> None:
    with mock.expect_violation(pointer="/criterion_id"):
        judge(criterion=7)
    with mock.expect_violation():
        httpx.post(f"{SERVICE}/criteria/judge", content=b"{", headers=KEY)
    judge(criterion=7, **{"x-mock-expect": "violation"})
    mock.assert_contract_kept()
    judge(criterion=7)
    with pytest.raises(AssertionError, match="1 of 4"):
        mock.assert_contract_kept()


def test_after_a_reset_nothing_is_excused_by_what_had_its_id_before(mock: Mock) -> None:
    with mock.expect_violation(pointer="/criterion_id"):
        judge(criterion=7)
    [before] = mock.calls
    mock.reset()
    judge(criterion=7)
    assert [call.id for call in mock.calls] == [before.id]
    with pytest.raises(AssertionError, match="1 of 1"):
        mock.assert_contract_kept()


def test_it_is_excused_also_when_the_client_raises(mock: Mock) -> None:
    with pytest.raises(httpx.HTTPStatusError), mock.expect_violation("/criterion_id"):
        judge(criterion=7).raise_for_status()
    mock.assert_contract_kept()


def test_an_expected_violation_that_does_not_come(mock: Mock) -> None:
    with (
        pytest.raises(AssertionError, match="breaks the contract at /output; none did"),
        mock.expect_violation("/output"),
    ):
        judge()
    with (
        pytest.raises(AssertionError, match="at /output; these did otherwise:\ndefault-2"),
        mock.expect_violation("/output"),
    ):
        judge(criterion=7)
    with pytest.raises(AssertionError, match="breaks the contract; none did"), mock.expect_violation():
        pass


def test_the_pointer_of_a_sentence() -> None:
    assert violation_pointer(f"/a/b: expected {quoted('x: y')}") == "/a/b"
    assert violation_pointer("body: expected an object") == ""
    assert violation_pointer("no JSON") == ""


def test_a_mock_shows_itself(mock: Mock) -> None:
    judge()
    assert repr(mock) == "<Mock https://api.openpipe.ai/api/v1 session default, 1 calls>"


def test_an_unknown_variant_is_refused_with_the_nearest() -> None:
    with pytest.raises(ValueError, match='"no-done"'):
        settings_of(None, {"variant": "no-dine"})
    assert settings_of(None, {"variant": "no-done"}).variant == "no-done"


def test_a_failed_assertion_says_that_a_stream_is_still_open(mock: Mock) -> None:
    """Such a request is no call yet, however surely it was sent."""
    body = {"model": "m", "messages": [{"role": "user", "content": "Count"}], "stream": True}
    url = f"{SERVICE}/chat/completions"
    with httpx.stream("POST", url, json=body, headers=KEY):
        with pytest.raises(
            AssertionError, match=r"1 request isn't over: read its stream to the end, or close"
        ):
            mock.completed(times=1)
        with (
            httpx.stream("POST", url, json=body, headers=KEY),
            pytest.raises(AssertionError, match="2 requests aren't over"),
        ):
            mock.completed(times=1)
    mock.completed(times=2)
    with pytest.raises(AssertionError, match=r"→ 200$"):
        mock.completed(times=3)


def test_one_criterion_in_place_of_a_list_is_refused(mock: Mock) -> None:
    """Its letters would be taken for criteria."""
    chat("Count", ["helpful"])
    with pytest.raises(ValueError, match=r'criteria: expected a list of them, as in criteria=\["helpful"\]'):
        mock.completed(criteria="helpful")
    with pytest.raises(ValueError, match=r'as in criteria=\["helpful"\]'):
        mock.calls.filter(criteria="helpful")


def test_of_long_texts_the_place_where_they_part_is_shown(mock: Mock) -> None:
    beginning = "word " * 100
    judge(beginning + "and so it ends quite otherwise.")
    judge(beginning + "The end.")
    with pytest.raises(AssertionError) as caught:
        mock.judged("helpful", output=beginning + "the end.")
    nearest = str(caught.value).splitlines()[1]
    assert nearest.startswith("Nearest: default-2: ")
    parted = 'output is "…word word word word The end." from character 481 on, '
    assert nearest.endswith(parted + 'not "…word word word word the end.".')


@pytest.mark.parametrize("id", ["", None, 7])
def test_a_criterion_needs_a_name(mock: Mock, id: Any) -> None:
    with pytest.raises(MockError, match=f"^a criterion id has at least 1 character, got {id!r}$"):
        mock.criterion(id)


def test_nothing_is_forgotten_however_much_comes(mock: Mock) -> None:
    """A journal of a server would keep a thousand requests, and 4 MiB of them."""
    with httpx.Client(headers=KEY) as client:
        for text, number in (("x" * 30_000, 150), ("short", 1001)):
            body = {**BODY, "output": {"role": "assistant", "content": text}}
            for _ in range(number):
                client.post(f"{SERVICE}/criteria/judge", json=body)
            mock.judged("helpful", output=text, times=number)
            mock.reset()


def test_threads_take_turns(mock: Mock, monkeypatch: pytest.MonkeyPatch) -> None:
    """No step of a request is taken while another one answers."""
    inside: list[bool] = []
    answer = mock.fast_lane.answer

    def watched(*given: Any) -> Any:
        inside.append(len(inside) > len(ended))
        time.sleep(0)
        reply = answer(*given)
        ended.append(reply)
        return reply

    ended: list[Any] = []
    monkeypatch.setattr(mock.fast_lane, "answer", watched)
    with ThreadPoolExecutor(8) as pool, httpx.Client(headers=KEY) as client:
        list(pool.map(lambda _: client.post(f"{SERVICE}/criteria/judge", json=BODY), range(100)))
    assert inside == [False] * 100
    assert sorted(int(call.id.partition("-")[2]) for call in mock.calls) == list(range(1, 101))


# Conduct.


def test_a_client_that_does_as_it_is_told_gets_no_warning(mock: Mock) -> None:
    mock.fault(status=429, retry_after=2, first=1)
    assert judge().status_code == 429
    mock.clock.advance(2)
    assert judge().status_code == 200
    assert mock.warnings(timed=True) == ()
    mock.assert_well_behaved(timed=True)


def test_a_client_that_does_not_wait_is_seen_where_its_waiting_moves_the_clock(mock: Mock) -> None:
    mock.fault(status=429, retry_after=2, first=1)
    judge()
    mock.clock.advance(0.5)
    judge()
    assert rules(mock) == []
    assert rules(mock, timed=True) == ["ignored-retry-after"]
    [[sight]] = [lapse.sights for lapse in mock.warnings(timed=True)]
    assert (sight.id, sight.told) == (
        "default-2",
        "told to wait 2 s after default-1, it came after 0.50 s",
    )


def test_what_no_clock_tells_is_always_seen(mock: Mock) -> None:
    judge(criterion=7)
    judge(criterion=7)
    httpx.post(f"{SERVICE}/criteria/judge?api_key=s3cret-value", json=BODY, headers=KEY)
    assert rules(mock) == ["retried-a-400", "secret-in-query"]
    with pytest.raises(AssertionError) as failed:
        mock.assert_well_behaved()
    first, *found = str(failed.value).splitlines()
    assert first == "the client broke 2 rules of conduct:"
    assert [line.split(":")[0] for line in found] == ["  retried-a-400", "  secret-in-query"]
    assert "default-2: the same as default-1, which was answered 400" in found[0]
    with pytest.raises(AssertionError, match=r"^the client broke a rule of conduct:\n  secret-in-query: "):
        mock.assert_well_behaved(allow=["retried-a-400"])
    mock.assert_well_behaved(allow=["secret-in-query", "retried-a-400"])


def test_a_rule_that_is_none_is_not_allowed(mock: Mock) -> None:
    with pytest.raises(MockError, match=r'^allow: there is no rule "retried-400"; .*"retried-a-400"\?$'):
        mock.assert_well_behaved(allow="retried-400")


def test_a_violation_that_was_expected_may_come_again(mock: Mock) -> None:
    for _ in range(2):
        with mock.expect_violation(pointer="/criterion_id"):
            judge(criterion=7)
    judge(criterion=8, **{"x-mock-expect": "violation"})
    judge(criterion=8, **{"x-mock-expect": "violation"})
    assert rules(mock) == []


def test_warnings_are_in_the_order_in_which_requests_came(mock: Mock) -> None:
    body = {"model": "openai:gpt-4o-mini", "messages": [{"role": "user", "content": "Count"}], "stream": True}

    def stream() -> Any:
        return httpx.stream("POST", f"{SERVICE}/chat/completions", json=body, headers=KEY)

    with stream(), stream():
        pass  # the second is left first
    [lapse] = mock.warnings()
    assert (lapse.rule.name, [sight.id for sight in lapse.sights]) == (
        "left-a-stream",
        ["default-1", "default-2"],
    )


# A file of the session's own.


@pytest.mark.parametrize("loaded", [False, True])
def test_one_version_is_as_the_file_says_again(loaded: bool, tmp_path: Path) -> None:
    file = tmp_path / "own.yaml"
    file.write_text("criteria:\n  helpful: {v1: {score: 0.1}, v2: {score: 0.2}}\n  one: {score: 0.4}\n")
    with patched(config=None if loaded else file) as mock, httpx.Client(headers=KEY) as client:
        if loaded:
            mock.load(file)
        mock.criterion("helpful@v2").score(0.9)
        mock.criterion("helpful@v2").reset()
        mock.criterion("one").reset()
        asked = {**BODY, "criterion_id": "helpful@v2"}
        assert client.post(f"{SERVICE}/criteria/judge", json=asked).json()["score"] == 0.2


def test_a_keyword_that_no_fault_has_is_told_whatever_its_value(mock: Mock) -> None:
    for value in (None, 500):
        with pytest.raises(MockError, match='did you mean "status"'):
            mock.fault(statuss=value, status=500)  # type: ignore[call-arg]
