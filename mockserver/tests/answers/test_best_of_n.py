"""Best of n: which criteria a header asks for, how the choices are ordered, and that the judge agrees."""

import contextlib
import json
from collections.abc import Generator
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openpipe_mock.answers.best_of_n import MOST_CRITERIA, best_of_n, requested
from openpipe_mock.answers.judge import Criterion, judge, scene
from openpipe_mock.answers.ranking import Ranked
from openpipe_mock.answers.scorers import (
    DRAWN,
    Declarations,
    Declared,
    Failing,
    Form,
    JudgedContent,
    Judgement,
)
from openpipe_mock.config.settings import Settings, Validation
from openpipe_mock.core.effects import Effect
from openpipe_mock.core.errors import BadRequest, CriterionNotFound
from openpipe_mock.service.service import Service
from openpipe_mock.sessions.memory import Session
from tests.chatting import (
    ask,
    asking,
    chats,
    choices,
    completion,
    judged,
    latest,
    refused,
    tool,
    user,
)
from tests.generate import VALIDATIONS, brief, thorough
from tests.inprocess import answer, content_of, having, holds, message_of

Json = dict[str, Any]


def header(*ids: Any) -> bytes:
    return orjson.dumps(ids)


def refusal(sent: bytes) -> str:
    with pytest.raises(BadRequest) as caught:
        requested(sent)
    [issue] = caught.value.issues
    assert issue in caught.value.message
    return issue


def missing(sent: bytes) -> str:
    with pytest.raises(CriterionNotFound) as caught:
        requested(sent)
    return caught.value.message


# The header.


def test_a_key_is_the_name_without_its_version() -> None:
    asked = requested(header("criterion-1@v1", "criterion-2"))
    assert asked == {"criterion-1": Criterion("criterion-1", 1), "criterion-2": Criterion("criterion-2", 1)}


@pytest.mark.parametrize("ids", [["a", "a"], ["a", "a@v1"], ["a@v1", "a"], ["a@v1"] * 64])
def test_a_criterion_that_is_asked_for_twice_is_judged_once(ids: list[str]) -> None:
    assert requested(header(*ids)) == {"a": Criterion("a", 1)}


def test_two_versions_of_a_criterion_have_their_versions_in_their_keys() -> None:
    asked = requested(header("a@v2", "b@v3", "a"))
    assert asked == {"a@v1": Criterion("a", 1), "a@v2": Criterion("a", 2), "b": Criterion("b", 3)}
    assert list(asked) == ["a@v2", "b", "a@v1"], "they are judged in the order of the header"


def test_an_empty_array_asks_for_nothing() -> None:
    assert requested(b"[]") == requested(b" [ ] ") == {}


@pytest.mark.parametrize(
    ("sent", "seen"),
    [
        (b"criterion-1", '"criterion-1", which is no JSON'),
        (b"['a']", "which is no JSON"),
        (b'["a",]', "which is no JSON"),
        (b'["a"', "which is no JSON"),
        (b" ", "which is no JSON"),
        (b'["\xff"]', "which is no JSON"),
        (b"[" * 2000, "which is no JSON"),
        (b"null", "got null"),
        (b"true", "got true"),
        (b'"a"', 'got the string "a"'),
        (b"1", "got the number 1"),
        (b'{"a": 1}', "got an object"),
        (b"[null]", "got null in it"),
        (b'["a", 1]', "got the number 1 in it"),
        (b'[["a"]]', "got an array of 1 in it"),
        (header(*("a",) * 65), "65 ids; 64 is the most"),
    ],
)
def test_a_malformed_header_is_refused_with_an_example(sent: bytes, seen: str) -> None:
    issue = refusal(sent)
    assert issue.startswith("header op-criteria: expected a JSON array of criterion ids, as in ")
    assert seen in issue


def test_an_empty_header_is_refused_like_any_other_that_is_no_json() -> None:
    assert "op-criteria" in refused(ask(Service(), asking(), op_criteria=""))


def test_as_many_criteria_as_allowed_are_judged() -> None:
    asked = [f"criterion-{number}" for number in range(MOST_CRITERIA)]
    [choice] = choices(Service(), asking(), op_criteria=asked)
    assert sorted(choice["criteria_results"]) == sorted(asked)


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("", 'Criterion "" not found'),
        ("a b", "Criterion a b not found"),
        ("a@", "Criterion a not found"),
        ("a@fake-version", "Criterion version fake-version not found for criterion a"),
        ("a@v0", "Criterion version v0 not found for criterion a"),
        ("a@v01", "Criterion version v01 not found for criterion a"),
        ("a@1", "Criterion version 1 not found for criterion a"),
        ("a@v1@v2", "Criterion version v1@v2 not found for criterion a"),
        ("@v1", 'Criterion version v1 not found for criterion ""'),
        ("x" * 201, f"Criterion {'x' * 60}… not found"),
    ],
)
def test_an_unknown_criterion_fails_the_whole_request_in_the_services_words(
    reference: str, words: str
) -> None:
    assert missing(header("known", reference)).startswith(words)
    reply = ask(Service(), asking(), op_criteria=["known", reference])
    assert refused(reply, 404, "NOT_FOUND").startswith(words)


def test_a_criterion_is_unknown_to_the_judge_and_to_the_header_in_the_same_words() -> None:
    by_judge = message_of(answer(Service(), having(criterion_id="a@vX")))
    assert message_of(ask(Service(), asking(), op_criteria=["a@vX"])) == by_judge


@thorough
@given(sent=st.binary(max_size=20) | st.text(max_size=12).map(lambda text: orjson.dumps([text])))
def test_any_header_is_read_or_refused(sent: bytes) -> None:
    with contextlib.suppress(BadRequest, CriterionNotFound):
        assert all(isinstance(each, Criterion) for each in requested(sent).values())


# The order of the choices.


def judged_by_default(asked: Criterion, seen: JudgedContent) -> Generator[Effect, Any, Judgement]:
    yield from ()
    return judge(asked, seen, Declarations(), 0, Session().count)


def ranking(messages: list[Json], *asked: str) -> list[Ranked]:
    """These messages, ranked by undeclared criteria."""
    given: Json = {"messages": []}
    steps = best_of_n(requested(header(*asked)), given, scene(given), messages, judged_by_default)
    with pytest.raises(StopIteration) as stopped:
        next(steps)
    found: list[Ranked] = stopped.value.value
    return found


def scored(made: int, *scores: float) -> Ranked:
    return Ranked(made, {str(number): Judgement(score, "") for number, score in enumerate(scores)})


def test_the_combined_score_is_the_mean() -> None:
    assert scored(0, 0.25, 0.75, 0.5).combined == 0.5


@thorough
@given(scores=st.lists(st.integers(0, 100), min_size=1, max_size=64), data=st.data())
def test_the_mean_does_not_depend_on_the_order_of_the_criteria(
    scores: list[int], data: st.DataObject
) -> None:
    shuffled = data.draw(st.permutations(scores))
    one, other = (scored(0, *(score / 100 for score in each)) for each in (scores, shuffled))
    assert one.combined == other.combined


def test_choices_stand_in_falling_order_and_ties_in_the_order_of_making() -> None:
    """128 choices and 101 scores: there are ties."""
    messages = [{"role": "assistant", "content": str(number)} for number in range(128)]
    ranked = ranking(messages, "a")
    order = [(-each.combined, each.made) for each in ranked]
    assert order == sorted(order)
    assert len({score for score, _ in order}) < 128
    assert sorted(made for _, made in order) == list(range(128))


def test_choices_of_one_content_keep_their_order() -> None:
    messages = [{"role": "assistant", "content": "same"}] * 9
    ranked = ranking(messages, "a", "b")
    assert [each.made for each in ranked] == list(range(9))


def test_every_choice_carries_each_judgement_and_the_best_stands_first() -> None:
    found = choices(Service(), asking(n=20), op_criteria=["criterion-1@v1", "criterion-2"])
    assert [choice["index"] for choice in found] == list(range(20))
    means = []
    for choice in found:
        results = choice["criteria_results"]
        assert sorted(results) == ["criterion-1", "criterion-2"]
        assert all(list(each) == ["status", "score", "explanation"] for each in results.values())
        assert all(each["status"] == "success" for each in results.values())
        means.append(sum(each["score"] for each in results.values()) / 2)
    assert means == sorted(means, reverse=True)
    assert len(set(means)) > 5


def test_one_choice_is_judged_too() -> None:
    [choice] = choices(Service(), asking(), op_criteria=["a"])
    assert list(choice["criteria_results"]) == ["a"]


def test_without_criteria_nothing_is_judged() -> None:
    assert "criteria_results" not in choices(Service(), asking())[0]
    assert "criteria_results" not in choices(Service(), asking(), op_criteria=[])[0]


def test_an_empty_array_gives_the_same_bytes_as_no_header() -> None:
    assert ask(Service(), asking(n=3), op_criteria=[]).body == ask(Service(), asking(n=3)).body


ids = st.lists(
    st.sampled_from(["a", "a@v1", "a@v2", "b", "b@v1", "criterion-1@v9", "Ünïcode", "😀", "x" * 200]),
    min_size=1,
    max_size=5,
)


@brief
@given(asked=ids, data=st.data())
def test_the_order_of_the_header_changes_no_byte(asked: list[str], data: st.DataObject) -> None:
    shuffled = data.draw(st.permutations(asked))
    body = asking(n=5)
    assert ask(Service(), body, op_criteria=asked).body == ask(Service(), body, op_criteria=shuffled).body


def test_neither_spaces_nor_escapes_in_the_header_change_a_byte() -> None:
    body = asking(n=5)
    sent = [b'["a","\xc3\xbc"]', b' [ "a" ,\n"\\u00fc" ] ', b'["\\u0061", "\xc3\xbc"]']
    assert len({ask(Service(), body, op_criteria=each).body for each in sent}) == 1


def test_an_id_means_its_first_version() -> None:
    one, other = (ask(Service(), asking(n=5), op_criteria=[each]) for each in ("a", "a@v1"))
    assert one.body.replace(b"a@v1", b"a") == other.body.replace(b"a@v1", b"a")


@brief
@given(body=chats(), asked=ids)
def test_criteria_only_reorder_and_add(body: Json, asked: list[str]) -> None:
    body = {**body, "stream": None}
    whole = completion(Service(), body)
    judged = completion(Service(), body, op_criteria=asked)
    for choice in judged["choices"]:
        del choice["criteria_results"]
    assert [choice.pop("index") for choice in judged["choices"]] == list(range(len(judged["choices"])))
    assert [choice.pop("index") for choice in whole["choices"]] == list(range(len(whole["choices"])))
    texts = [sorted(map(json.dumps, each.pop("choices"))) for each in (whole, judged)]
    assert texts[0] == texts[1]
    assert whole == judged


def test_the_log_names_the_best_score() -> None:
    reply = ask(Service(), asking(n=5), op_criteria=["a", "b"])
    best = content_of(reply)["choices"][0]["criteria_results"]
    mean = (best["a"]["score"] + best["b"]["score"]) / 2
    assert f"best {mean:.2f}" in reply.subject


def test_the_logged_answer_is_the_judged_one() -> None:
    service = Service()
    whole = completion(service, asking(n=3), op_criteria=["a"])
    assert latest(service)["respPayload"] == whole


@pytest.mark.parametrize("validation", VALIDATIONS)
def test_criteria_and_a_stream_do_not_go_together(validation: Validation) -> None:
    service = Service(Settings(validation=validation))
    sentence = refused(ask(service, asking(stream=True), op_criteria=["a"]))
    assert sentence.startswith("Cannot use criteria with stream")
    assert "`op-criteria`" in sentence
    assert "`stream`" in sentence


def test_an_empty_array_goes_with_a_stream() -> None:
    assert ask(Service(), asking(stream=True), op_criteria=[]).status == 200


# Declared criteria.

REWARD = Form(usage=7)
DECLARED = Settings(
    criteria={
        "a": Declared({1: DRAWN, 3: DRAWN}),
        "b": Declared(),
        "reward": Declared({1: REWARD, 2: REWARD}),
    }
)


def test_an_id_means_the_latest_declared_version() -> None:
    one, other, older = (
        ask(Service(DECLARED), asking(n=5), op_criteria=[each]).body for each in ("a", "a@v3", "a@v1")
    )
    assert one == other != older
    assert b"a@v3" in one


def test_two_versions_are_told_apart_where_one_is_asked_for_as_the_latest() -> None:
    [choice] = choices(Service(DECLARED), asking(), op_criteria=["a", "a@v1", "b"])
    assert list(choice["criteria_results"]) == ["a@v1", "a@v3", "b"]
    [choice] = choices(Service(DECLARED), asking(), op_criteria=["a", "a@v3"])
    assert list(choice["criteria_results"]) == ["a"]


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("c", "Criterion c not found"),
        ("a@v2", "Criterion version v2 not found for criterion a"),
        ("c@v1", "Criterion c not found"),
        ("a@fake-version", "Criterion version fake-version not found for criterion a"),
    ],
)
def test_what_is_not_declared_fails_the_request(reference: str, words: str) -> None:
    reply = ask(Service(DECLARED), asking(), op_criteria=["b", reference])
    assert refused(reply, 404, "NOT_FOUND").startswith(words)


def test_a_reward_model_reports_tokens_and_explains_nothing() -> None:
    whole = completion(Service(DECLARED), asking(n=5), op_criteria=["reward", "a"])
    assert whole["usage"]["criteria"] == {"reward": {"total_tokens": 35}}
    for choice in whole["choices"]:
        assert list(choice["criteria_results"]["reward"]) == ["status", "score"]
        assert list(choice["criteria_results"]["a"]) == ["status", "score", "explanation"]


def test_tokens_of_two_versions_are_summed_apart() -> None:
    whole = completion(Service(DECLARED), asking(n=2), op_criteria=["reward", "reward@v1"])
    assert whole["usage"]["criteria"] == {
        "reward@v1": {"total_tokens": 14},
        "reward@v2": {"total_tokens": 14},
    }


def test_a_completion_from_the_cache_is_judged_with_its_tokens_too() -> None:
    service = Service(DECLARED)
    for _ in range(2):
        whole = completion(service, asking(), op_criteria=["reward"], op_cache="readWrite")
        assert whole["usage"]["criteria"] == {"reward": {"total_tokens": 7}}


def test_the_judge_agrees_with_a_reward_model_too() -> None:
    service = Service(DECLARED)
    for choice in choices(service, asking(n=5), op_criteria=["reward"]):
        again = judged(service, "reward", asking(), choice["message"])
        assert again == {"score": choice["criteria_results"]["reward"]["score"], "usage": {"total_tokens": 7}}


# The judge agrees.

DUMPED = {
    "function_call": None,
    "tool_calls": None,
    "refusal": None,
    "annotations": None,
    "audio": None,
    "reasoning_content": None,
    "name": None,
}
"""Members that a client's `model_dump()` adds to a message."""


def dumps(message: Json) -> list[Json]:
    """The ways in which clients dump a message: as it came, with all nulls, without any, keys sorted."""
    bare = {name: value for name, value in message.items() if value is not None}
    return [message, {**DUMPED, **message}, bare, dict(sorted(message.items()))]


@thorough
@given(body=chats(), asked=st.sampled_from(["a", "a@v2", "Ünïcode@v3"]), seed=st.sampled_from([0, 7, -1]))
def test_the_judge_gives_every_choice_the_same_score_and_explanation(
    body: Json, asked: str, seed: int
) -> None:
    service = Service(Settings(seed=seed))
    for choice in choices(service, body, op_criteria=[asked]):
        [result] = choice["criteria_results"].values()
        for message in dumps(choice["message"]):
            again = judged(service, asked, body, message)
            assert again == {"score": result["score"], "explanation": result["explanation"]}


@brief
@given(body=chats())
def test_the_judge_sees_a_call_and_its_choice(body: Json) -> None:
    """The same with what the mock seldom says by itself: a call that was asked for."""
    service = Service()
    body = {
        **body,
        "tools": [tool("count")],
        "tool_choice": {"type": "function", "function": {"name": "count"}},
    }
    body.pop("functions", None)
    for choice in choices(service, body, op_criteria=["a"]):
        assert choice["message"]["tool_calls"]
        again = judged(service, "a", body, choice["message"])
        assert again["score"] == choice["criteria_results"]["a"]["score"]


def test_the_judge_agrees_where_members_are_dropped_and_numbers_coerced() -> None:
    service = Service(Settings(validation="lenient"))
    message = {**user("Hi"), "unknown": 1, "name": "me"}
    body = {"model": 1, "messages": [message], "n": "3", "tools": [{**tool("count"), "cache_control": {}}]}
    for choice in choices(service, body, op_criteria=["a"]):
        again = judged(service, "a", body, choice["message"])
        assert again["score"] == choice["criteria_results"]["a"]["score"]


@pytest.mark.parametrize(
    "members",
    [
        {"model": "other"},
        {"temperature": 1},
        {"metadata": {"a": "b"}},
        {"functions": [{"name": "unmentioned"}], "function_call": "none"},
        {"response_format": {"type": "text"}},
        {"user": "me"},
    ],
)
def test_the_judge_sees_nothing_else_of_a_request(members: Json) -> None:
    """Scores of the same message differ only where messages, tools or tool choice do."""
    service, body = Service(), asking(n=3, **members)
    for choice in choices(service, body, op_criteria=["a"]):
        again = judged(service, "a", asking(), choice["message"])
        assert again["score"] == choice["criteria_results"]["a"]["score"]


@pytest.mark.parametrize(
    "members", [{"tools": [tool("unmentioned")]}, {"tools": [tool("a")], "tool_choice": "none"}]
)
def test_the_judge_sees_tools_and_tool_choice(members: Json) -> None:
    """Some score differs from the one that the judge gives without them."""
    service, body = Service(), asking(n=9, **members)
    found = choices(service, body, op_criteria=["a"])
    with_them = [choice["criteria_results"]["a"]["score"] for choice in found]
    assert with_them != [judged(service, "a", asking(), choice["message"])["score"] for choice in found]


def test_a_judgement_says_that_it_is_a_mocks() -> None:
    explanation = judge(
        Criterion("a", 1), JudgedContent({}, {}, b"content"), Declarations(), 0, Session().count
    ).explanation
    assert "no model read it" in (explanation or "")


def failing(status: int) -> Declared:
    return Declared({1: Form(Failing(status, "No capacity."))})


FAILING = Settings(criteria={"broken": failing(503), "fine": Declared()})


def test_a_criterion_that_fails_counts_nothing_and_says_so_in_its_result() -> None:
    service = Service(FAILING)
    both = choices(service, asking(n=4), op_criteria=["broken", "fine"])
    alone = choices(service, asking(n=4), op_criteria=["fine"])
    for choice, sole in zip(both, alone, strict=True):
        assert choice["criteria_results"]["broken"] == {
            "status": "error",
            "errorCode": 503,
            "errorMessage": "No capacity.",
        }
        assert choice["criteria_results"]["fine"] == sole["criteria_results"]["fine"]
    assert [choice["message"] for choice in both] == [choice["message"] for choice in alone]


def test_a_combined_score_is_the_mean_with_a_failed_judgement_as_zero() -> None:
    [scored] = [Judgement(0.8, "Fine.")]
    failed = Judgement(0.0, None, error=(500, "Crashed."))
    assert Ranked(0, {"a": scored, "b": failed}).combined == pytest.approx(0.4)


@pytest.mark.parametrize(
    ("status", "code"),
    [(503, "SERVICE_UNAVAILABLE"), (429, "TOO_MANY_REQUESTS"), (500, "INTERNAL_SERVER_ERROR")],
)
def test_the_judge_answers_the_failure_itself(status: int, code: str) -> None:
    service = Service(Settings(criteria={"broken": failing(status)}))
    reply = answer(service, {"criterion_id": "broken", "output": {"role": "assistant"}})
    assert (reply.status, content_of(reply)) == (status, {"message": "No capacity.", "code": code})
    assert holds(reply)
