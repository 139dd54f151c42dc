"""The chat endpoint: cache, log, ids, times, repeats, models, validation; always what the contract says."""

import contextlib
import json
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from openpipe_mock.answers.options import MODES
from openpipe_mock.config.settings import Settings, Validation
from openpipe_mock.core.effects import Entropy, Head, Now, ReadBody, Reply, Tick, Wait
from openpipe_mock.core.seeded import ANSWERS
from openpipe_mock.faults.fault import Fault
from openpipe_mock.matching.conditions import Condition, When, demand
from openpipe_mock.service.service import Service
from openpipe_mock.sessions.memory import MOST_CACHED
from tests.chatting import (
    CHAT,
    EVENT_STREAM,
    ask,
    asking,
    chats,
    chunks,
    completion,
    contents,
    latest,
    refused,
    sent_with,
    shaped,
    tool,
    user,
)
from tests.generate import VALIDATIONS, anything, brief, broken, texts, thorough, valid
from tests.golden import chat
from tests.inprocess import HEADERS, NOW, answer, holds, issues_of, message_of

Json = Any
VARYING = Settings(repeat="vary")
"""Here an answer repeats itself only where it comes from the cache."""
READS = [mode for mode, (reads, _) in MODES.items() if reads]
WRITES = [mode for mode, (_, writes) in MODES.items() if writes]


# The cache.


@pytest.mark.parametrize("first", [*MODES, None])
@pytest.mark.parametrize("second", [*MODES, None])
def test_what_one_mode_writes_another_reads(first: str | None, second: str | None) -> None:
    service = Service(VARYING)
    one, other = (
        completion(service, asking(), **({"op_cache": mode} if mode else {})) for mode in (first, second)
    )
    hit = first in WRITES and second in READS
    assert (one == other) == hit
    assert (one["id"] == other["id"]) == hit
    assert latest(service)["cacheHit"] is hit


def test_a_miss_is_answered_as_usual() -> None:
    assert completion(Service(), asking(), op_cache="readOnly") == completion(Service(), asking())


def test_what_is_only_read_is_not_written() -> None:
    service = Service(VARYING)
    ids = [completion(service, asking(), op_cache=mode)["id"] for mode in ("readOnly", "readOnly")]
    assert ids[0] != ids[1]


def test_what_is_written_again_is_read_from_then_on() -> None:
    service = Service(VARYING)
    modes = ("writeOnly", "writeOnly", "readOnly")
    first, second, read = (completion(service, asking(), op_cache=mode) for mode in modes)
    assert first != second == read


def test_a_hit_has_the_id_and_the_time_of_the_completion_that_was_stored() -> None:
    service = Service(Settings(ids="random", clock="real"))
    first, second = (
        clocked(service, asking(), at=at, dice=dice) for at, dice in ((10.0, b"a"), (20.0, b"b"))
    )
    assert (
        (first["id"], first["created"]) == (second["id"], second["created"]) == (f"chatcmpl-{'61' * 12}", 10)
    )
    assert clocked(service, asking("Hello"), at=20.0, dice=b"b")["created"] == 20


def clocked(service: Service, body: Json, *, at: float, dice: bytes) -> Json:
    """The answer to a request that uses the cache, at a time, with this byte for all random ones."""
    exchange = service.exchange(Head("POST", CHAT, sent_with(op_cache="readWrite")))
    effect = next(exchange)
    try:
        while True:
            sent: Json = json.dumps(body).encode() if isinstance(effect, ReadBody) else None
            sent = at if isinstance(effect, Now | Tick) else sent
            sent = dice * effect.size if isinstance(effect, Entropy) else sent
            effect = exchange.send(sent)
    except StopIteration as stop:
        return json.loads(stop.value.body)


@pytest.mark.parametrize(
    "again",
    [
        asking(),
        dict(reversed(asking().items())),
        asking(n=None, temperature=None, unknown=None),
        {**asking(), "messages": [{"content": "Count to 10", "role": "user", "name": None}]},
    ],
)
def test_the_same_request_in_other_words_hits(again: Json) -> None:
    service = Service(VARYING)
    first = completion(service, asking(), op_cache="readWrite")
    assert completion(service, again, op_cache="readWrite") == first


@pytest.mark.parametrize(
    "members",
    [
        {"n": 2},
        {"model": "gpt-4o"},
        {"metadata": {"a": "b"}},
        {"temperature": 1},
        {"max_tokens": 99},
        {"x": 1},
    ],
)
def test_another_request_misses(members: Json) -> None:
    service = Service(VARYING)
    completion(service, asking(), op_cache="readWrite")
    completion(service, asking(**members), op_cache="readWrite")
    assert latest(service)["cacheHit"] is False


def test_another_key_misses() -> None:
    service = Service(VARYING)
    first, second, third = (
        completion(service, asking(), key=key, op_cache="readWrite")["id"] for key in ("one", "two", "one")
    )
    assert first == third != second


def test_another_session_misses() -> None:
    completion(Service(), asking(), op_cache="readWrite")
    service = Service()
    completion(service, asking(), op_cache="readWrite")
    assert latest(service)["cacheHit"] is False


@pytest.mark.parametrize(
    "options",
    [{"op_tags": {"a": "b"}}, {"op_log_request": "false"}, {"op_criteria": ["a"]}, {"op_criteria": []}],
)
def test_other_options_hit_all_the_same(options: Json) -> None:
    service = Service(VARYING)
    first = completion(service, asking(), op_cache="writeOnly")
    assert completion(service, asking(), op_cache="readOnly", **options)["id"] == first["id"]


def test_a_stored_completion_is_unjudged_and_judged_anew_for_each_answer() -> None:
    service = Service(VARYING)
    body = asking(n=5)
    by_a, plain, by_b = (
        completion(service, body, op_cache="readWrite", op_criteria=criteria)
        for criteria in (["a"], [], ["b"])
    )
    assert by_a["id"] == plain["id"] == by_b["id"]
    assert [sorted(choice.get("criteria_results", "")) for choice in plain["choices"]] == [[]] * 5
    assert [list(choice["criteria_results"]) for choice in by_b["choices"]] == [["b"]] * 5
    assert plain == completion(Service(VARYING), body)
    assert by_b["choices"] == completion(Service(VARYING), body, op_criteria=["b"])["choices"]


def test_what_fails_is_not_stored() -> None:
    service = Service()
    unbuildable = asking(response_format=shaped({"not": {}}))
    for _ in range(2):
        refused(ask(service, unbuildable, op_cache="readWrite"))
        assert latest(service)["cacheHit"] is False


@pytest.mark.slow
def test_the_cache_is_bounded() -> None:
    service = Service(VARYING)
    for number in range(MOST_CACHED + 1):
        ask(service, asking(str(number)), op_cache="writeOnly", op_log_request="false")
    completion(service, asking("1"), op_cache="readOnly")
    assert latest(service)["cacheHit"] is True
    completion(service, asking("0"), op_cache="readOnly")
    assert latest(service)["cacheHit"] is False


# The log.


def test_the_log_shows_a_request_and_its_answer() -> None:
    service = Service()
    body = asking(metadata={"prompt_id": "counting"}, n=2)
    whole = completion(service, body, op_tags={"$sdk": "python", "try": 2, "gone": None})
    call = latest(service)
    noted = {"$sdk": "python", "try": "2", "prompt_id": "counting"}
    assert call == {
        "createdAt": "2024-01-01T00:00:00.000Z",
        "cacheHit": False,
        "statusCode": 200,
        "errorMessage": None,
        "reqPayload": body,
        "respPayload": whole,
        "tags": noted,
        "metadata": noted,
    }


def test_the_latest_call_is_shown_and_each_key_sees_its_own() -> None:
    service = Service()
    for key, text in (("one", "a"), ("one", "b"), ("two", "c")):
        completion(service, asking(text), key=key)
    shown = [latest(service, key)["reqPayload"]["messages"][0]["content"] for key in ("one", "two")]
    assert shown == ["b", "c"]
    assert latest(service, "three") is None


def test_a_call_is_logged_only_where_that_is_asked_for() -> None:
    service = Service()
    completion(service, asking("a"), op_log_request="true")
    for headers in (sent_with(), sent_with(op_log_request="false", op_tags={"a": "b"})):
        assert answer(service, asking("b"), path=CHAT, headers=headers).status == 200
        refused(answer(service, {}, path=CHAT, headers=headers))
    completion(service, asking("c", store=True), op_log_request="false")
    assert latest(service)["reqPayload"] == asking("a")
    judged = sent_with(op_criteria=["helpful"])
    for body, headers in ((asking("d", store=True), sent_with()), (asking("e"), judged)):
        assert answer(service, body, path=CHAT, headers=headers).status == 200
        assert latest(service)["reqPayload"] == body


@pytest.mark.parametrize(
    ("body", "options", "status"),
    [
        (asking(n=0), {}, 400),
        ({"anything": 1}, {}, 400),
        ([None], {}, 400),
        (asking(model="unknown"), {}, 404),
        (asking(), {"op_criteria": ["a@vX"]}, 404),
        (asking(), {"op_criteria": "x"}, 400),
        (asking(response_format=shaped({"not": {}})), {}, 400),
        (asking(stream=True), {"op_cache": "true"}, 400),
    ],
)
def test_what_fails_is_logged_with_its_message_and_status(body: Json, options: Json, status: int) -> None:
    service = Service(Settings(known_models=("openai:*",)))
    reply = ask(service, body, op_tags={"a": "b"}, **options)
    call = latest(service)
    assert (reply.status, call["statusCode"], call["errorMessage"]) == (status, status, message_of(reply))
    assert (call["reqPayload"], call["respPayload"], call["cacheHit"]) == (body, None, False)
    assert call["metadata"] == {"a": "b"}


def test_what_never_became_a_request_is_not_logged() -> None:
    service = Service()
    refused(ask(service, b"{"), 400, "PARSE_ERROR")
    refused(ask(service, asking(), key="invalid"), 401, "UNAUTHORIZED")
    assert latest(service) is None


def test_secrets_in_a_body_are_masked_in_the_log_alone() -> None:
    service = Service()
    completion(service, asking(headers={"Authorization": "Bearer op-secret"}))
    assert "op-secret" not in json.dumps(latest(service))


def test_metadata_counts_over_a_tag_of_the_same_name() -> None:
    service = Service()
    completion(service, asking(metadata={"a": "by metadata"}), op_tags={"a": "by tag"})
    assert latest(service)["tags"] == {"a": "by metadata"}


@pytest.mark.parametrize("metadata", [{"a": 1}, {"a": True}, {"a": {}}, [], "a"])
def test_exact_validation_refuses_metadata_that_are_no_texts(metadata: Json) -> None:
    reply = ask(Service(Settings(validation="exact")), asking(metadata=metadata))
    refused(reply)
    assert issues_of(reply)[0].startswith("/metadata")


@pytest.mark.parametrize("store", ["yes", 1, {}])
def test_store_is_true_or_false(store: Json) -> None:
    reply = ask(Service(), asking(store=store))
    refused(reply)
    assert issues_of(reply)[0].startswith("/store: expected ")


# Ids, times, repeats.


def test_ids_and_times_come_from_the_content() -> None:
    one, other, third = (completion(Service(), body) for body in (asking(), asking(), asking("Hello")))
    assert (one["id"], one["created"]) == (other["id"], other["created"])
    assert one["id"] != third["id"]
    assert one["created"] != third["created"]
    assert 1_704_067_200 <= one["created"] < 1_735_689_600


def test_random_ids_change_ids_alone() -> None:
    whole = completion(Service(Settings(ids="random")), asking(n=3))
    assert whole == {**completion(Service(), asking(n=3)), "id": f"chatcmpl-{'00' * 12}"}


def test_a_real_clock_changes_times_alone() -> None:
    service = Service(Settings(clock="real"))
    whole = completion(service, asking(n=3))
    assert whole == {**completion(Service(), asking(n=3)), "created": int(NOW)}
    assert latest(service)["createdAt"] == "2025-01-01T00:00:00.250Z"


def test_a_stream_has_the_random_id_and_the_real_time_in_every_chunk() -> None:
    service = Service(Settings(ids="random", clock="real"))
    heads = {(chunk["id"], chunk["created"]) for chunk in chunks(ask(service, asking(stream=True)))}
    assert heads == {(f"chatcmpl-{'00' * 12}", int(NOW))}


def repeated(service: Service, times: int, body: Json) -> list[Json]:
    return [completion(service, body) for _ in range(times)]


@pytest.mark.parametrize("n", [1, 3])
def test_each_repeat_says_something_else_where_repeats_vary(n: int) -> None:
    answers = repeated(Service(VARYING), 20, asking(n=n))
    texts = [choice["message"]["content"] for whole in answers for choice in whole["choices"]]
    assert len({whole["id"] for whole in answers}) == 20
    assert len(set(texts)) == 20 * n


def test_scores_and_times_vary_with_the_repeats() -> None:
    service = Service(VARYING)
    answers = [completion(service, asking(), op_criteria=["a"]) for _ in range(20)]
    scores = {whole["choices"][0]["criteria_results"]["a"]["score"] for whole in answers}
    assert len(scores) > 10
    assert len({whole["created"] for whole in answers}) == 20


def test_calls_and_json_vary_with_the_repeats() -> None:
    schema = {"type": "object", "properties": {"text": {"type": "string"}, "many": {"type": "integer"}}}
    for body in (
        asking(response_format=shaped(schema)),
        asking(tools=[tool("a", schema)], tool_choice="required"),
    ):
        answers = repeated(Service(VARYING), 5, body)
        assert len({json.dumps(whole["choices"][0]["message"]) for whole in answers}) == 5


def test_repeats_vary_reproducibly_and_the_first_is_the_usual_answer() -> None:
    one, other = (repeated(Service(VARYING), 5, asking(n=3)) for _ in range(2))
    assert one == other
    assert one[0] == completion(Service(), asking(n=3))


def test_repeats_are_counted_for_each_request_by_itself() -> None:
    service = Service(VARYING)
    mixed = [completion(service, asking(text)) for text in ("a", "b", "a", "c", "b", "a")]
    assert mixed[0::2][:2] + mixed[5:] == repeated(Service(VARYING), 3, asking("a"))


def test_a_repeat_may_be_streamed() -> None:
    """Plain and streamed are the same request: the second of them is a repeat."""
    service = Service(VARYING)
    streamed = chunks(ask(service, asking(stream=True)))
    second = completion(service, asking())
    first = completion(Service(VARYING), asking())
    assert (streamed[0]["id"], second["id"] != first["id"]) == (first["id"], True)


def noted(service: Service, body: Json, times: int, **options: Json) -> list[tuple[str, ...]]:
    return [ask(service, body, key="op-test", **options).notes for _ in range(times)]


def test_the_twentieth_of_identical_requests_is_noted_once() -> None:
    notes = noted(Service(), asking(), 45)
    assert [number for number, found in enumerate(notes, 1) if found] == [20]
    assert "--repeat vary" in notes[19][0]


def test_different_requests_and_varying_repeats_are_not_noted() -> None:
    service = Service()
    assert not any(ask(service, asking(str(number))).notes for number in range(45))
    assert not any(noted(Service(VARYING), asking(), 45))


# Models.

KNOWN = Settings(known_models=("openpipe:counting", "gpt-4o*"))


@pytest.mark.parametrize("model", ["openpipe:counting", "gpt-4o", "gpt-4o-mini"])
def test_a_known_model_is_served(model: str) -> None:
    assert completion(Service(KNOWN), asking(model=model))["model"] == model


@pytest.mark.parametrize("model", ["x", "openpipe:x", "openai:gpt-4o", "", "a model", "counting"])
def test_every_model_is_known_while_none_is_declared(model: str) -> None:
    assert completion(Service(), asking(model=model))["model"] == model


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("gpt-4", "The model `gpt-4` does not exist or you do not have access to it."),
        ("counting", "The model `counting` does not exist or you do not have access to it."),
        ("GPT-4O", "The model `GPT-4O` does not exist or you do not have access to it."),
        ("openpipe:x", "The model `openpipe:x` does not exist"),
        ("openai:gpt-4o", "The model `openai:gpt-4o` does not exist or you do not have access to it."),
        ("anthropic:x", "The model `anthropic:x` does not exist or you do not have access to it."),
        ("gemini:x", "The model `gemini:x` does not exist or you do not have access to it."),
    ],
)
def test_an_unknown_model_is_a_404_in_the_services_words(model: str, words: str) -> None:
    assert refused(ask(Service(KNOWN), asking(model=model)), 404, "NOT_FOUND") == words


@pytest.mark.parametrize(
    ("model", "near"),
    [
        ("gpt-5", ""),
        ("countin", ' Did you mean "openpipe:counting"?'),
        ("openai:counting", ' Did you mean "openpipe:counting"?'),
        ("claude", ""),
    ],
)
def test_a_note_says_once_which_models_are_known(model: str, near: str) -> None:
    service = Service(KNOWN)
    first, second = ask(service, asking(model=model)), ask(service, asking(model=model))
    told = 'Known are "openpipe:counting" and "gpt-4o*".'
    assert first.notes == (f'the model "{model}" is not among the known ones. {told}{near}',)
    assert second.notes == ()


def test_a_very_long_model_name_makes_a_short_message() -> None:
    assert len(refused(ask(Service(KNOWN), asking(model="x" * 100_000)), 404, "NOT_FOUND")) < 500


def delaying(models: str) -> Settings:
    """Settings that keep requests for some models, a glob, waiting."""
    when = When((Condition("model", "", (demand("glob", models),)),))
    return Settings(faults=(Fault(when, delay=1.5),))


@pytest.mark.parametrize("stream", [True, False])
def test_a_delayed_model_takes_its_time_before_the_first_byte(stream: bool) -> None:
    service = Service(delaying("slow*"))
    assert effects(service, asking(model="slow-1", stream=stream))[0] == Wait(1.5)
    assert effects(service, asking(model="slow-1", stream=stream)).count(Wait(1.5)) == 1
    assert Wait(1.5) not in effects(service, asking(model="fast", stream=stream))


def test_a_request_that_is_refused_for_its_body_waits_too_since_faults_come_first() -> None:
    service = Service(delaying("*"))
    assert effects(service, asking(n=0)) == [Wait(1.5)]
    assert ask(service, asking(n=0)).body == ask(Service(), asking(n=0)).body
    assert effects(service, {"n": 0}) == [], "without a model the fault's condition doesn't hold"


def test_a_delay_changes_no_byte() -> None:
    service = Service(delaying("*"))
    assert ask(service, asking(n=3)).body == ask(Service(), asking(n=3)).body


def effects(service: Service, body: Json) -> list[object]:
    """What an exchange asks of its adapter once it has the body."""
    exchange = service.exchange(Head("POST", CHAT, HEADERS))
    next(exchange)
    found: list[object] = []
    with contextlib.suppress(StopIteration):
        found.append(exchange.send(json.dumps(body).encode()))
        while True:
            found.append(exchange.send(0.0 if isinstance(found[-1], Tick) else None))
    return [effect for effect in found if not isinstance(effect, Tick)]


# Hints.


def test_headers_inside_the_body_are_hinted_at_as_in_the_documents_node_sample() -> None:
    body = asking(n=5, headers={"op-criteria": '["criterion-1@v1", "criterion-2"]'})
    reply = ask(Service(), body)
    assert reply.status == 200
    assert "criteria_results" not in json.loads(reply.body)["choices"][0]
    assert [note for note in reply.notes if '"headers"' in note]


@pytest.mark.parametrize("members", [{}, {"headers": None}, {"metadata": {"headers": "x"}}])
def test_nothing_is_hinted_at_without_cause(members: Json) -> None:
    assert ask(Service(), asking(**members)).notes == ()


def test_a_reply_says_what_it_answered() -> None:
    service = Service()
    subjects = [
        ask(service, asking(n=3), key="op-test", **options).subject
        for options in ({}, {"op_cache": "readWrite"}, {"op_cache": "readWrite"}, {"op_criteria": ["a"]})
    ]
    assert subjects[:3] == ["openai:gpt-4o-mini n=3"] * 2 + ["openai:gpt-4o-mini n=3, cached"]
    assert subjects[3].startswith("openai:gpt-4o-mini n=3, best ")


# Validation.

UNKNOWN = {**user("Hi"), "unknown": 1}


def test_an_unknown_member_of_a_message_is_refused_strictly_with_the_way_out() -> None:
    reply = ask(Service(), asking(messages=[UNKNOWN]))
    assert "--validation lenient" in refused(reply)
    assert issues_of(reply)[0].startswith("/messages/0/unknown: ")


@pytest.mark.parametrize(
    "members",
    [
        {"messages": [UNKNOWN]},
        {"n": "2"},
        {"stream": "false"},
        {"temperature": "0.5"},
        {"model": 5},
        {"store": 1},
    ],
)
def test_a_lenient_mock_drops_and_coerces(members: Json) -> None:
    refused(ask(Service(), asking(**members) if "model" not in members else {**asking(), **members}))
    service = Service(Settings(validation="lenient"))
    assert ask(service, {**asking(), **members}).status == 200


def test_a_lenient_mock_notes_what_strict_would_refuse() -> None:
    service = Service(Settings(validation="lenient"))
    [note] = ask(service, asking(messages=[UNKNOWN])).notes
    assert note.startswith("strict would refuse /messages/0/unknown: ")


def test_a_lenient_mock_answers_as_if_what_it_drops_had_not_been_there() -> None:
    service = Service(Settings(validation="lenient"))
    reply = ask(service, asking(messages=[UNKNOWN], n="2"))
    assert reply.body == ask(Service(), asking(messages=[user("Hi")], n=2)).body


# Every answer is the contract's.

SEMANTIC = (
    "/max_tokens: ",
    "/max_completion_tokens: ",
    "/top_logprobs: ",
    "/logprobs: ",
    "/tool_choice",
    "/function_call",
    "/tools",
    "/functions",
    "/response_format",
)
"""What a request that is valid by schema may be refused for."""


def keeps(reply: Reply) -> bool:
    """Whether a reply is what the contract says: a valid answer, a valid stream or a valid error."""
    if dict(reply.headers)[b"content-type"] == EVENT_STREAM:
        return bool(chunks(reply))
    return holds(reply, CHAT)


headers = st.fixed_dictionaries(
    {},
    optional={
        b"op-cache": st.sampled_from([*(mode.encode() for mode in MODES), b"always", b""]),
        b"op-log-request": st.sampled_from([b"true", b"false", b"maybe"]),
        b"op-tags": st.sampled_from([b"{}", b'{"a": 1}', b'{"a": []}', b"[]", b"{"]),
        b"op-criteria": st.sampled_from([b"[]", b'["a","b@v2","a@v1"]', b'["a@x"]', b"[1]", b"a"])
        | st.lists(texts, max_size=2).map(lambda ids: json.dumps(ids).encode()),
    },
)
validations = st.sampled_from(VALIDATIONS)


@pytest.mark.slow
@thorough
@given(body=chats(), stream=st.booleans())
def test_a_request_that_refers_to_what_is_there_is_answered(body: Json, stream: bool) -> None:
    reply = ask(Service(), {**body, "stream": stream})
    assert reply.status == 200
    assert keeps(reply)


@thorough
@given(body=valid("ChatCompletionRequest"), validation=validations)
def test_a_valid_request_is_answered_or_refused_for_what_no_schema_says(
    body: Json, validation: Validation
) -> None:
    reply = ask(Service(Settings(validation=validation)), body)
    assert keeps(reply)
    assert reply.status == 200 or issues_of(reply)[0].startswith(SEMANTIC)


@thorough
@given(body=broken("ChatCompletionRequest") | chats() | anything, headers=headers, validation=validations)
@example(body={"model": "m", "messages": [], "n": 1e300}, headers={}, validation="lenient")
@example(body={"model": "m", "messages": [], "max_tokens": "1e308"}, headers={}, validation="lenient")
@example(
    body={"model": "m", "messages": [], "tools": "[]", "stream": "true"}, headers={}, validation="lenient"
)
def test_whatever_is_sent_the_answer_is_the_contracts(
    body: Json, headers: Mapping[bytes, bytes], validation: Validation
) -> None:
    service = Service(Settings(validation=validation))
    for _ in range(2):
        reply = answer(service, body, path=CHAT, headers={**HEADERS, **headers})
        assert keeps(reply)
        assert reply.status in (200, 400, 404)
    assert answer(service, path=CHAT, method="GET").status == 405


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "HEAD"])
def test_another_method_is_a_405(method: str) -> None:
    reply = answer(Service(), path=CHAT, method=method)
    assert dict(reply.headers)[b"allow"] == b"POST"
    refused(reply, 405, "METHOD_NOT_SUPPORTED")


def test_refusals_before_the_body_is_read_are_the_chat_contracts_too() -> None:
    refused(answer(Service(), path=CHAT, headers={}), 401, "UNAUTHORIZED")
    refused(answer(Service(Settings(max_body_bytes=5)), asking(), path=CHAT), 413, "PAYLOAD_TOO_LARGE")
    refused(answer(Service(), asking(), path=CHAT, headers={**HEADERS, b"content-type": b"text/plain"}))


# Golden bytes.


def golden_rows() -> list[Json]:
    rows: list[Json] = json.loads(chat.FILE.read_text(encoding="utf-8"))
    return rows


@pytest.mark.parametrize("name", chat.REQUESTS)
def test_the_golden_bytes_of_this_generation_are_unchanged(name: str) -> None:
    """After a wanted change: a new number of answers, a changelog entry, and the command in `golden`."""
    [row] = [row for row in golden_rows() if row["name"] == name]
    assert chat.reply(row["settings"], row["request"], row["options"]) == row["reply"]


def test_the_golden_file_is_of_the_newest_generation_and_holds_all_that_it_should() -> None:
    assert chat.ANSWERS == ANSWERS
    assert [row["name"] for row in golden_rows()] == list(chat.REQUESTS)
    for row in golden_rows():
        settings, request, options = chat.REQUESTS[row["name"]]
        assert (row["settings"], row["request"], row["options"]) == (settings, request, options)


# Fresh processes.

FRESH = """
import hashlib
from openpipe_mock.config.settings import Settings
from openpipe_mock.service.service import Service
from tests.chatting import PLACE, ask, asking, shaped, tool

SHAPE = {"type": "object", "minProperties": 4, "additionalProperties": PLACE}
bodies = [
    asking(n=5),
    asking(n=5, tools=[tool("count"), tool("weather", {"properties": {"a": {}, "b": {"enum": [1]}}})]),
    asking(tools=[tool("count")], tool_choice="required", n=3),
    asking(response_format=shaped(SHAPE), n=3),
    asking(logprobs=True, top_logprobs=5, metadata={"b": "1", "a": "2"}),
    asking(n=0, unknown={"b": 1, "a": 2}),
]
replies = b""
for repeat in ("same", "vary"):
    service = Service(Settings(repeat=repeat))
    for body in bodies * 2:
        replies += ask(service, body).body
        replies += ask(service, body, op_criteria=["b", "a@v2", "c"], op_cache="readWrite").body
        replies += ask(service, {**body, "stream": True}).body
print(hashlib.sha256(replies).hexdigest(), len(replies))
"""


@pytest.mark.slow
def test_fresh_processes_give_the_same_bytes_whatever_they_hash_with() -> None:
    def fresh(seed: str) -> str:
        command = [sys.executable, "-c", FRESH]
        done = subprocess.run(
            command, env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        )
        return done.stdout

    assert fresh("0") == fresh("1")
    assert int(fresh("2").split()[1]) > 10_000


def test_contents_do_not_depend_on_what_else_a_service_was_asked() -> None:
    service = Service()
    alone = contents(Service(), asking(n=3))
    for text in ("a", "b", "c"):
        completion(service, asking(text, n=2), op_criteria=["x"])
    assert contents(service, asking(n=3)) == alone


@brief
@given(body=chats())
def test_what_the_log_keeps_is_what_was_answered(body: Json) -> None:
    service = Service()
    whole = completion(service, body)
    assert latest(service)["respPayload"] == whole
    assert latest(service)["reqPayload"] == body
