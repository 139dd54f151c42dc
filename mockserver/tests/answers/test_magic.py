"""Magic values: every one of the table, what is none of them, who wins over them, and how to do without."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openpipe_mock.answers import magic
from openpipe_mock.answers.judge import Criterion, find_criterion
from openpipe_mock.answers.scorers import DRAWN, Declared, Fixed, Form, RawJudgement
from openpipe_mock.answers.scripts import Script, ScriptedChoice
from openpipe_mock.config import file as configfile
from openpipe_mock.config.settings import Settings
from openpipe_mock.core.effects import Break, Effect, Head, ReadBody, Reply, Tick, Wait
from openpipe_mock.faults.fault import Fault
from openpipe_mock.faults.magic import header_fault, knows
from openpipe_mock.service.service import Service
from tests.chatting import (
    CHAT,
    ask,
    asking,
    choices,
    chunks,
    completion,
    contents,
    judged,
    refused,
    sent_with,
    user,
)
from tests.generate import thorough
from tests.inprocess import (
    HEADERS,
    JUDGE,
    answer,
    answer_validator,
    content_of,
    having,
    holds,
    issues_of,
    message_of,
)

Json = Any

OFF = Settings(magic=False)


def judge(name: str, service: Service | None = None, **headers: str) -> Reply:
    """The judge's reply for a criterion, once it is what the contract says."""
    sent = {**HEADERS, **{key.replace("_", "-").encode(): value.encode() for key, value in headers.items()}}
    reply = answer(service or Service(), having(criterion_id=name), headers=sent)
    assert holds(reply)
    return reply


def score(name: str, service: Service | None = None, **headers: str) -> float:
    reply = judge(name, service, **headers)
    assert reply.status == 200, reply.body
    found: float = content_of(reply)["score"]
    return found


def effects(
    service: Service, path: str, body: Json, headers: Mapping[bytes, bytes] = HEADERS
) -> list[Effect]:
    """What an exchange asks of its adapter, beside the body and how long it took."""
    exchange = service.exchange(Head("POST", path, headers))
    results: Mapping[type, Any] = {ReadBody: json.dumps(body).encode(), Tick: 0.0}
    found: list[Effect] = []
    try:
        effect = next(exchange)
        while True:
            found += [] if type(effect) in results else [effect]
            effect = exchange.send(results.get(type(effect)))
    except StopIteration:
        return found


# The table.

SHOWN: Mapping[str, Mapping[str, str]] = {
    "criterion": {
        "mock-score-N": "mock-score-0.7",
        "mock-pass": "mock-pass",
        "mock-fail": "mock-fail",
        "mock-error": "mock-error",
        "mock-status-N": "mock-status-429",
        "mock-delay-N": "mock-delay-1500",
    },
    "model": {
        "mock-echo": "openpipe:mock-echo",
        "mock-status-N": "openpipe:mock-status-503",
        "mock-delay-N": "openpipe:mock-delay-1500",
        "mock-disconnect": "openpipe:mock-disconnect",
    },
    "header": {
        "x-mock-fault": "malformed",
        "x-mock-score": "0.25",
        "x-mock-delay-ms": "1500",
    },
    "token": {"invalid…": "invalid-key"},
}
"""Each entry of the table, with one way to say it."""


def test_each_entry_of_the_table_is_shown_here() -> None:
    assert {kind: set(entries) for kind, entries in SHOWN.items()} == {
        kind: set(entries) for kind, entries in magic.TABLE.items()
    }


@pytest.mark.parametrize("entry", SHOWN["criterion"])
def test_a_magic_criterion_is_one(entry: str) -> None:
    name = SHOWN["criterion"][entry]
    assert magic.magic_criterion(name)
    assert find_criterion(name).name == name


@pytest.mark.parametrize("entry", SHOWN["model"])
def test_a_magic_model_is_one_with_any_prefix_and_without(entry: str) -> None:
    name = magic.bare(SHOWN["model"][entry])
    for prefix in ("openpipe:", "openai:", "other:", ""):
        assert magic.is_model(prefix + name)
        assert knows(prefix + name)


@pytest.mark.parametrize("entry", SHOWN["header"])
def test_a_magic_header_does_something(entry: str) -> None:
    header = {**HEADERS, entry.encode(): SHOWN["header"][entry].encode()}
    usual = answer(Service(), having())
    assert answer(Service(), having(), headers=header).body != usual.body or effects(
        Service(), JUDGE, having(), header
    ) != effects(Service(), JUDGE, having())


@pytest.mark.parametrize("name", ["invalid", "invalid-key", "invalid😀"])
def test_a_token_that_begins_with_invalid_is_no_key(name: str) -> None:
    for settings in (Settings(), Settings(keys=("a",)), Settings(read_only_keys=("a",))):
        headers = {**HEADERS, b"authorization": b"Bearer " + name.encode()}
        reply = answer(Service(settings), having(), headers=headers)
        assert (reply.status, content_of(reply)["code"]) == (401, "UNAUTHORIZED")


# Criteria.


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("mock-score-0.7", 0.7),
        ("mock-score-0", 0),
        ("mock-score-0.0", 0),
        ("mock-score-1", 1),
        ("mock-score-1.000000", 1),
        ("mock-score-0.123456", 0.123456),
        ("mock-score-0.999999", 0.999999),
        ("mock-pass", 1),
        ("mock-fail", 0),
        ("mock-pass@v7", 1),
        ("mock-score-0.7@v999999999", 0.7),
    ],
)
def test_a_magic_criterion_gives_its_score_in_any_version(name: str, expected: float) -> None:
    assert score(name) == expected
    [choice] = choices(Service(), asking(), op_criteria=[name])
    [result] = choice["criteria_results"].values()
    assert (result["status"], result["score"]) == ("success", expected)
    assert judged(Service(), name, asking(), choice["message"])["explanation"] == result["explanation"]


@pytest.mark.parametrize(
    ("name", "status", "code"),
    [
        ("mock-error", 500, "INTERNAL_SERVER_ERROR"),
        ("mock-status-500", 500, "INTERNAL_SERVER_ERROR"),
        ("mock-status-429", 429, "TOO_MANY_REQUESTS"),
        ("mock-status-503", 503, "SERVICE_UNAVAILABLE"),
        ("mock-status-503@v2", 503, "SERVICE_UNAVAILABLE"),
    ],
)
def test_a_magic_criterion_fails_on_purpose_and_says_so(name: str, status: int, code: str) -> None:
    reply = judge(name)
    assert (reply.status, content_of(reply)["code"]) == (status, code)
    assert "on purpose" in message_of(reply)
    [choice] = choices(Service(), asking(), op_criteria=[name])
    [result] = choice["criteria_results"].values()
    assert result == {"status": "error", "errorCode": status, "errorMessage": message_of(reply)}


@pytest.mark.parametrize("number", [400, 418, 451, 499, 502, 599])
def test_a_magic_criterion_may_fail_with_any_error_status(number: int) -> None:
    reply = answer(Service(), having(criterion_id=f"mock-status-{number}"))
    assert reply.status == number
    assert answer_validator(JUDGE, "default").is_valid(content_of(reply))


@pytest.mark.parametrize(
    ("name", "seconds"), [("mock-delay-1500", 1.5), ("mock-delay-1", 0.001), ("mock-delay-999999", 600)]
)
def test_a_judgement_may_take_its_time(name: str, seconds: float) -> None:
    assert effects(Service(), JUDGE, having(criterion_id=name)) == [Wait(seconds)]
    assert judge(name).status == 200


def test_a_judgement_may_take_no_time_and_is_drawn_as_any() -> None:
    assert effects(Service(), JUDGE, having(criterion_id="mock-delay-0")) == []
    assert len({score(f"mock-delay-{number}") for number in range(50)}) > 10


def test_the_slowest_criterion_decides_how_long_best_of_n_takes() -> None:
    headers = sent_with(op_criteria=["mock-delay-200", "mock-delay-300", "mock-pass"])
    assert effects(Service(), CHAT, asking(n=5), headers) == [Wait(0.3)]


UNKNOWN = (
    "mock-",
    "mock-x",
    "mock-score",
    "mock-score-",
    "mock-score-1.5",
    "mock-score--1",
    "mock-score-0.1234567",
    "mock-score-.5",
    "mock-score-1e-3",
    "mock-score-nan",
    "mock-score-\u0661",
    "mock-status-200",
    "mock-status-4290",
    "mock-status-600",
    "mock-delay-",
    "mock-delay-1234567",
    "mock-delay--1",
    "mock-passing",
    "mock-pass\u00ad",
    "mock-echo",
    "mock-disconnect",
)


@pytest.mark.parametrize("name", UNKNOWN)
def test_a_name_that_only_begins_like_magic_is_no_criterion_and_those_that_are_named(name: str) -> None:
    for settings in (Settings(), Settings(unknown_criteria="judge"), Settings(criteria={"a": Declared()})):
        reply = judge(name, Service(settings))
        assert (reply.status, content_of(reply)["code"]) == (404, "NOT_FOUND")
        assert message_of(reply).startswith(f"Criterion {name} not found. Names that begin with ")
        assert all(f'"{entry}"' in message_of(reply) for entry in magic.CRITERIA)
    assert refused(ask(Service(), asking(), op_criteria=[name]), 404, "NOT_FOUND")


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("mock-scor-1", "mock-score-N"),
        ("mock-pas", "mock-pass"),
        ("mock-stauts-429", "mock-status-N"),
        ("mock-delays-5", "mock-delay-N"),
    ],
)
def test_a_misspelt_name_is_told_the_nearest(name: str, near: str) -> None:
    assert message_of(judge(name)).endswith(f'Did you mean "{near}"?')


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("mock-score-1.5", 'The N of "mock-score-N" is a number from 0 to 1 with up to six decimals.'),
        ("mock-score--1", 'The N of "mock-score-N" is a number from 0 to 1 with up to six decimals.'),
        ("mock-status-200", 'The N of "mock-status-N" is a status from 400 to 599.'),
        (
            "mock-delay-1.5",
            'The N of "mock-delay-N" is a whole number of milliseconds, with up to six digits.',
        ),
    ],
)
def test_a_number_that_won_t_do_is_told_what_will(name: str, told: str) -> None:
    message = message_of(judge(name))
    assert message.endswith(f"With `magic: false` they are names like any other. {told}")
    models = refused(ask(Service(), asking(model="mock-status-200")), 404, "NOT_FOUND")
    assert "it.:" not in models
    assert 'The N of "mock-status-N" is a status' in models


@pytest.mark.parametrize(("status", "after"), [(429, b"1"), (503, b"1"), (500, None)])
def test_a_magic_criterion_says_when_to_come_again(status: int, after: bytes | None) -> None:
    name = f"mock-status-{status}"
    assert dict(judge(name).headers).get(b"retry-after") == after
    declared = Service(configfile.settings({"criteria": {name: {"error": {"status": status}}}}))
    assert b"retry-after" not in dict(answer(declared, having(criterion_id=name)).headers)


@pytest.mark.parametrize("name", ["mock", "Mock-pass", "amock-pass", "mock_pass", "x-mock-pass"])
def test_a_name_that_begins_otherwise_is_a_criterion_like_any(name: str) -> None:
    assert magic.magic_criterion(name) is None
    assert "drew" in content_of(judge(name))["explanation"]


@pytest.mark.parametrize("name", ["mock-pass@", "mock-pass@1", "mock-pass@v0", "mock pass"])
def test_a_magic_id_has_the_grammar_of_any(name: str) -> None:
    assert "A criterion id is" in message_of(judge(name))


def test_magic_criteria_are_there_beside_declared_ones() -> None:
    service = Service(Settings(criteria={"a": Declared()}))
    assert score("mock-pass", service) == 1
    assert judge("b", service).status == 404


def test_a_magic_criterion_is_nothing_to_tell_the_user_of() -> None:
    service = Service(Settings(criteria={"a": Declared()}, unknown_criteria="judge"))
    assert judge("mock-pass", service).notes == ()
    [note] = judge("b", service).notes
    assert '"b"' in note
    assert judge("b", service).notes == (), "each is named once"


# Models.


@pytest.mark.parametrize("model", ["openpipe:mock-echo", "mock-echo", "gpt:mock-echo"])
def test_an_echo_says_what_the_latest_user_message_said(model: str) -> None:
    conversation = [user("First."), {"role": "assistant", "content": "x"}, user("So 😀\n“quoted”\x00")]
    assert contents(Service(), asking(model=model, messages=conversation, n=2)) == ["So 😀\n“quoted”\x00"] * 2


def test_an_echo_of_nothing_is_empty() -> None:
    for messages in ([], [user("")], [{"role": "system", "content": "x"}]):
        assert contents(Service(), asking(model="mock-echo", messages=messages)) == [""]


def test_an_echo_is_cut_streamed_and_judged_like_any_answer() -> None:
    body = asking("one two three", model="mock-echo")
    assert contents(Service(), {**body, "stop": " two"}) == ["one"]
    stream = chunks(ask(Service(), {**body, "stream": True}))
    said = "".join(part["delta"].get("content") or "" for chunk in stream for part in chunk["choices"])
    assert said == "one two three"
    [choice] = choices(Service(), body, op_criteria=["mock-pass"])
    assert choice["criteria_results"]["mock-pass"]["score"] == 1


@pytest.mark.parametrize(
    ("number", "code"), [(400, "BAD_REQUEST"), (429, "TOO_MANY_REQUESTS"), (503, "SERVICE_UNAVAILABLE")]
)
@pytest.mark.parametrize("stream", [False, True])
def test_a_model_answers_a_status(number: int, code: str, stream: bool) -> None:
    reply = ask(Service(), asking(model=f"openpipe:mock-status-{number}", stream=stream))
    assert f"{number}" in refused(reply, number, code)
    assert dict(reply.headers).get(b"retry-after") == (None if number == 400 else b"1")


@pytest.mark.parametrize("stream", [False, True])
def test_a_model_breaks_the_connection(stream: bool) -> None:
    assert effects(Service(), CHAT, asking(model="mock-disconnect", stream=stream)) == [Break()]


def test_a_model_takes_its_time() -> None:
    assert effects(Service(), CHAT, asking(model="openpipe:mock-delay-1500")) == [Wait(1.5)]
    assert contents(Service(), asking(model="openpipe:mock-delay-1500"))


@pytest.mark.parametrize(
    "model", ["mock-", "mock-x", "openpipe:mock-status-200", "a:mock-delay-", "openai:mock-pass"]
)
def test_a_name_that_only_begins_like_magic_is_no_model(model: str) -> None:
    for settings in (Settings(), Settings(known_models=("gpt-4o",))):
        sentence = refused(ask(Service(settings), asking(model=model)), 404, "NOT_FOUND")
        assert sentence.startswith(f"The model `{model}` does not exist")
        assert all(f'"{entry}"' in sentence for entry in magic.MODELS)


@pytest.mark.parametrize(
    "model", ["mock", "a:b:mock-echo", "Mock-echo", "openpipe:my-mock-echo", "mockingbird"]
)
def test_a_name_that_begins_otherwise_is_a_model_like_any(model: str) -> None:
    assert not magic.is_model(model)
    [text] = contents(Service(), asking(model=model))
    assert "mock answer" in text


@pytest.mark.parametrize("model", [None, 5, [], {}, True])
def test_what_is_no_name_is_no_magic_model(model: Json) -> None:
    assert not magic.is_model(model)
    assert ask(Service(), {**asking(), "model": model}).status == 400


def test_magic_models_are_there_beside_known_ones() -> None:
    service = Service(Settings(known_models=("gpt-4o",)))
    assert contents(service, asking("Hi", model="mock-echo")) == ["Hi"]
    assert ask(service, asking(model="other")).status == 404


def test_a_magic_model_is_magic_for_chat_alone() -> None:
    reported = {"requestedAt": 1, "reqPayload": asking(model="mock-status-503"), "model": "mock-status-503"}
    assert answer(Service(Settings(validation="lenient")), reported, path="/api/v1/report").status == 200


# Headers.


@pytest.mark.parametrize(
    "value", ["0", "1", "0.25", " 0.5 ", ".5", "1e-3", "1e-9", "0.1234567", "0.30000000000000004", "1.0"]
)
def test_a_header_gives_every_judgement_its_score(value: str) -> None:
    expected = round(float(value), 6)
    assert score("any", x_mock_score=value) == expected
    assert score("mock-error", x_mock_score=value) == expected
    found = choices(Service(), asking(n=3), op_criteria=["a", "mock-fail"], x_mock_score=value)
    assert [each["score"] for choice in found for each in choice["criteria_results"].values()] == [
        expected
    ] * 6


def test_a_scored_judgement_says_which_header_it_comes_from() -> None:
    reply = judge("any", x_mock_score="0.25")
    assert content_of(reply) == {
        "score": 0.25,
        "explanation": "The header x-mock-score says 0.25; no model read it.",
    }


def test_a_header_scores_what_is_declared_too_and_counts_no_turn() -> None:
    service = Service(Settings(criteria={"a": Declared({1: Form(RawJudgement({"score": 2}), usage=5)})}))
    assert score("a", service, x_mock_score="0.5") == 0.5
    assert service.sessions.default.counts == {}


def test_a_header_makes_no_criterion_exist() -> None:
    service = Service(Settings(criteria={"a": Declared()}))
    assert judge("b", service, x_mock_score="0.5").status == 404


BAD = (
    "",
    "x",
    "-1",
    "-0",
    "+1",
    "nan",
    "inf",
    "1.5",
    "1,5",
    "0x1",
    "1_0",
    "½",
    "1e400",
    "9" * 60_000,
    ".",
    "e5",
    "1.",
)


@pytest.mark.parametrize("value", BAD)
def test_a_score_that_is_none_is_a_400_that_names_the_header(value: str) -> None:
    reply = judge("any", x_mock_score=value)
    assert reply.status == 400
    [issue] = issues_of(reply)
    assert issue.startswith("header x-mock-score: expected a number from 0 to 1, got ")
    assert len(issue) < 300
    assert ask(Service(), asking(), op_criteria=["a"], x_mock_score=value).status == 400


@pytest.mark.parametrize(("value", "seconds"), [("1500", 1.5), ("0.5", 0.0005), ("600000", 600)])
def test_a_header_makes_any_request_wait(value: str, seconds: float) -> None:
    headers = {**HEADERS, b"x-mock-delay-ms": value.encode()}
    for path, body in ((JUDGE, having()), (CHAT, asking()), (CHAT, asking(stream=True))):
        found = effects(Service(), path, body, headers)
        assert found == [Wait(seconds), *effects(Service(), path, body)]


def test_a_delay_of_nothing_is_none() -> None:
    assert effects(Service(), JUDGE, having(), {**HEADERS, b"x-mock-delay-ms": b"0"}) == []


def test_a_delay_changes_no_byte() -> None:
    assert judge("any", x_mock_delay_ms="50").body == judge("any").body


@pytest.mark.parametrize("value", ["", "x", "-1", "nan", "inf", "600001", "1s", "1e6", "9" * 60_000])
def test_a_delay_that_is_none_is_a_400_that_names_the_header(value: str) -> None:
    reply = judge("any", x_mock_delay_ms=value)
    assert reply.status == 400
    assert "header x-mock-delay-ms: expected milliseconds from 0 to 600000, got " in message_of(reply)


def test_a_header_asks_for_a_fault_and_a_wrong_one_is_told_which_there_are() -> None:
    assert judge("any", x_mock_fault="503").status == 503
    reply = judge("any", x_mock_fault="malformd")
    assert reply.status == 400
    assert message_of(reply).startswith("Input validation failed: header x-mock-fault: expected ")
    assert message_of(reply).endswith('Did you mean "malformed"?')
    assert isinstance(header_fault("disconnect"), Fault)


def test_a_fault_and_a_delay_go_together() -> None:
    headers = {**HEADERS, b"x-mock-delay-ms": b"100", b"x-mock-fault": b"disconnect"}
    assert effects(Service(), JUDGE, having(), headers) == [Wait(0.1), Break()]


@thorough
@given(value=st.binary(max_size=12) | st.floats().map(lambda number: repr(number).encode()))
def test_any_header_is_a_number_in_its_range_or_refused(value: bytes) -> None:
    headers = {**HEADERS, b"x-mock-score": value, b"x-mock-delay-ms": value}
    reply = answer(Service(), having(), headers=headers)
    assert holds(reply)
    assert reply.status == 400 or 0 <= content_of(reply)["score"] <= 1


# Who wins, and how to do without.


@pytest.mark.parametrize("name", ["mock-pass", "mock-error", "mock-delay-1500", "mock-x"])
def test_a_declared_criterion_of_a_magic_name_wins(name: str) -> None:
    service = Service(Settings(criteria={name: Declared({2: Form(Fixed(0.3), explanation="Mine.")})}))
    assert effects(service, JUDGE, having(criterion_id=name)) == []
    assert content_of(judge(name, service)) == {"score": 0.3, "explanation": "Mine."}
    assert judge(f"{name}@v1", service).status == 404
    [choice] = choices(service, asking(), op_criteria=[name])
    assert choice["criteria_results"][name]["score"] == 0.3


@pytest.mark.parametrize(
    "name", ["mock-echo", "mock-status-503", "mock-disconnect", "mock-delay-1500", "mock-x"]
)
@pytest.mark.parametrize("prefix", ["openpipe:", ""])
def test_a_known_model_of_a_magic_name_wins(name: str, prefix: str) -> None:
    service = Service(Settings(known_models=(prefix + name,)))
    body = asking(model=prefix + name)
    assert effects(service, CHAT, body) == []
    assert "mock answer" in contents(service, body)[0]


def test_a_script_wins_over_an_echo() -> None:
    service = Service(Settings(completions=(Script(choices=(ScriptedChoice("scripted"),)),)))
    assert contents(service, asking(model="mock-echo")) == ["scripted"]


@pytest.mark.parametrize("name", ["mock-pass", "mock-error", "mock-status-429", "mock-delay-1500", "mock-x"])
def test_without_magic_a_magic_criterion_is_one_like_any(name: str) -> None:
    service = Service(OFF)
    assert effects(service, JUDGE, having(criterion_id=name)) == []
    assert content_of(judge(name, service))["explanation"].startswith("The mock drew ")
    assert find_criterion(name, OFF.known) == Criterion(name, 1)
    closed = Service(Settings(magic=False, criteria={"a": Declared({1: DRAWN})}))
    assert judge(name, closed).status == 404


def test_without_magic_an_undeclared_magic_name_is_told_of_like_any() -> None:
    service = Service(Settings(magic=False, criteria={"a": Declared()}, unknown_criteria="judge"))
    [note] = judge("mock-pass", service).notes
    assert '"mock-pass"' in note


@pytest.mark.parametrize(
    "name", ["mock-echo", "mock-status-503", "mock-disconnect", "mock-delay-1500", "mock-x"]
)
def test_without_magic_a_magic_model_is_one_like_any(name: str) -> None:
    body = asking(model=f"openpipe:{name}")
    assert effects(Service(OFF), CHAT, body) == []
    assert "mock answer" in contents(Service(OFF), body)[0]
    assert ask(Service(Settings(magic=False, known_models=("a",))), body).status == 404


def test_without_magic_a_magic_header_means_nothing() -> None:
    for value in ("0.5", "x"):
        headers = {b"x_mock_score": value, b"x_mock_delay_ms": value, b"x_mock_fault": value}
        sent = {**HEADERS, **{key.replace(b"_", b"-"): value.encode() for key, value in headers.items()}}
        assert effects(Service(OFF), JUDGE, having(), sent) == []
        assert answer(Service(OFF), having(), headers=sent).body == answer(Service(OFF), having()).body


def test_what_is_magic_leaves_other_answers_as_they_are() -> None:
    for body in (asking(n=3), asking(stream=True)):
        assert ask(Service(OFF), body).body == ask(Service(), body).body
    assert completion(Service(OFF), asking(), op_criteria=["a"]) == completion(
        Service(), asking(), op_criteria=["a"]
    )


def test_a_fault_that_only_delays_leaves_a_magic_model_its_own() -> None:
    service = Service(Settings(faults=(Fault(delay=0.2, place="/faults/0"),)))
    body = asking(model="openpipe:mock-status-503")
    assert effects(service, CHAT, body) == [Wait(0.2)]
    assert answer(service, body, path=CHAT).status == 503
