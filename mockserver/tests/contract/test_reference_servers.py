"""The proof material itself: reference servers are correct and differ, one-bug servers have their bug."""

import http.client
import json
import math
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import fields, replace
from fractions import Fraction
from itertools import groupby, pairwise
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest

from openpipe_mock.contract.checks import catalogue, find
from openpipe_mock.openapi.spec import contract
from openpipe_mock.payloads.edits import Edit, edits
from openpipe_mock.payloads.valid import positives
from tests.reference.habits import Habits
from tests.reference.http import CHAT, ENDPOINTS, JUDGE, App, Raw, Request
from tests.reference.mutants import DEVIANTS, mutants
from tests.reference.mutation import (
    CALLING,
    Mutant,
    best_of,
    chatting,
    judging,
    known,
    post,
    streaming,
)
from tests.reference.server import CRITERIA, KEY, MODELS, Reference
from tests.reference.serving import PATIENCE, Stage, Unfinished, answer, answer_beside, live
from tests.reference.strangers import STRANGERS, dead_port
from tests.reference.variants import VARIANTS

Json = Any
MOMENT = 0.2
"""Seconds after which an answer that never comes is given up."""
ERRORS = {JUDGE: "Error", CHAT: "ChatError"}
ANSWERS = {JUDGE: "JudgeCriteriaResponse", CHAT: "ChatCompletion"}


@pytest.fixture(params=VARIANTS)
def reference(request: pytest.FixtureRequest) -> Reference:
    return Reference(VARIANTS[request.param])


def told(reference: Reference, request: Request) -> Raw:
    """What a server answers in the end, once it isn't busy any more."""
    for _ in range(4):
        raw = reference.reply(request)
        if not (raw.status in (429, 503) and raw.headers["retry-after"]):
            return raw
    raise AssertionError("a correct server is not busy four times in turn")


def valid(component: str, value: Json) -> bool:
    return contract().checker(component).is_valid(value)


def accepted(reference: Reference, request: Request) -> Json:
    """The content of a 200 that follows its schema; of a stream, its chunks."""
    raw = told(reference, request)
    assert raw.status == 200, raw.body
    if request.json().get("stream"):
        assert raw.headers["content-type"] == "text/event-stream"
        chunks = [json.loads(data) for data in events(raw.body) if data != "[DONE]"]
        assert chunks
        assert all(valid("ChatCompletionChunk", chunk) for chunk in chunks)
        return chunks
    assert raw.headers["content-type"].startswith("application/json")
    content = json.loads(raw.body)
    assert valid(ANSWERS[request.path], content), content
    return content


def refused(reference: Reference, request: Request) -> Json:
    """The content of a 4xx that follows its schema; what issues say besides `message` is nobody's affair."""
    raw = told(reference, request)
    assert 400 <= raw.status < 500, (raw.status, raw.body)
    assert raw.headers["content-type"].startswith("application/json")
    content = json.loads(raw.body)
    issues = [{"message": issue["message"]} for issue in content.get("issues", [])]
    closed = {**content, "issues": issues} if issues else content
    assert valid(ERRORS.get(request.path, "Error"), closed), content
    return content


def events(body: bytes) -> Iterator[str]:
    """The data of a stream's events, read as the standard for server-sent events says."""
    data: list[str] = []
    for line in body.decode().replace("\r\n", "\n").split("\n"):
        field, _, value = line.partition(":")
        if field == "data":
            data.append(value.removeprefix(" "))
        elif not line and data:
            yield "\n".join(data)
            data = []
    assert not data, "the last event is not ended by a blank line"


# Reference servers


@pytest.mark.slow
@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_a_reference_server_accepts_every_valid_request(reference: Reference, endpoint: str) -> None:
    takes_null = reference.habits.chat_takes_null
    for positive in (each for each in positives(endpoint) if takes_null or each.level != "decision"):
        accepted(reference, post(ENDPOINTS[endpoint], known(endpoint, positive.body)))


def one_of_each(endpoint: str) -> Iterator[Edit]:
    """The first edit for each pair of component and rule."""

    def pair(edit: Edit) -> tuple[str, str, bool, str]:
        return edit.component, edit.rule, edit.lenient, edit.level

    for _, group in groupby(sorted(edits(endpoint), key=pair), key=pair):
        yield next(group)


@pytest.mark.slow
@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_a_reference_server_refuses_every_broken_request(reference: Reference, endpoint: str) -> None:
    for edit in one_of_each(endpoint):
        request = post(ENDPOINTS[endpoint], edit.apply(known(endpoint, edit.base)))
        about_n = edit.name.startswith("chat.n.") and not reference.habits.bounds_n
        if not (edit.lenient or about_n) or told(reference, request).status != 200:
            refused(reference, request)


def odd_requests() -> Iterator[Request]:
    """Requests that every correct server refuses, other than by their schema."""
    for path in ENDPOINTS.values():
        for body in (b"", b"{", b"[]", b'{"n": NaN}', b'"\\ud800"', b"[" * 9_000, b"\xff", b'{"n": 1e999}'):
            yield post(path, body)
    yield replace(judging(), path="/api/v1/nobody/knows/this")
    yield replace(judging(), method="GET", body=b"")
    yield replace(chatting(), method="DELETE")
    yield judging(criterion_id="criterion 1")
    yield chatting({"op-criteria": "criterion-1"})
    yield chatting({"op-criteria": "[1]"})
    yield chatting({"op-criteria": "[" * 9_000})


def test_a_reference_server_refuses_what_is_odd(reference: Reference) -> None:
    for request in odd_requests():
        refused(reference, request)


CLOSED = {name: habits for name, habits in VARIANTS.items() if habits.closed and habits.keys == "known"}


@pytest.mark.parametrize("name", CLOSED)
def test_a_closed_server_refuses_who_and_what_it_does_not_know(name: str) -> None:
    reference = Reference(CLOSED[name])
    strange = {**judging().headers, "authorization": "Bearer invalid-key"}
    refused(reference, replace(judging(), headers=strange))
    refused(reference, replace(chatting(), headers={"content-type": "application/json"}))
    refused(reference, judging(criterion_id="nobody-knows-this"))
    refused(reference, judging(criterion_id="criterion-1@v3"))
    refused(reference, chatting(model="nobody-knows-this"))


def test_no_reference_server_has_the_same_answers_as_another() -> None:
    requests = [judging(), best_of(8), streaming(n=2), post(JUDGE, {}), post(CHAT, {})]
    requests += [chatting(x_unknown=1), judging(x_unknown=1), best_of(1, "nobody-knows-this")]
    seen = {
        name: tuple((raw.status, raw.body) for raw in (Reference(habits).reply(each) for each in requests))
        for name, habits in VARIANTS.items()
    }
    assert len(set(seen.values())) == len(VARIANTS)
    assert len(VARIANTS) >= 5


@pytest.mark.parametrize("knob", [field.name for field in fields(Habits)])
def test_every_habit_is_taken_in_each_way_by_some_server(knob: str) -> None:
    taken = {getattr(habits, knob) for habits in VARIANTS.values()}
    kind = get_type_hints(Habits)[knob]
    assert taken >= set(get_args(kind) if get_origin(kind) is Literal else ())
    assert len(taken) > 1


# Best of n


def counted(choice: Json, errored: str) -> tuple[Fraction, ...]:
    """Sum, mean, product and least of scores; an errored one counts `zero`, its `score`, or is `left-out`."""
    results = list(choice["criteria_results"].values())
    if errored == "left-out":
        results = [result for result in results if result["status"] == "success"]
    counting = ("success", "error") if errored == "score" else ("success",)
    scores = [Fraction(str(result.get("score", 0))) * (result["status"] in counting) for result in results]
    total = sum(scores, Fraction())
    told = scores or [Fraction()]
    return total, total / len(told), Fraction(math.prod(told)), min(told)


def is_sorted(choices: Sequence[Json]) -> bool:
    """Whether choices fall under one of the ways to combine scores that nobody forbids."""
    for errored in ("zero", "score", "left-out"):
        for totals in zip(*(counted(choice, errored) for choice in choices), strict=True):
            if all(left >= right for left, right in pairwise(totals)):
                return True
    return False


@pytest.mark.parametrize("criteria", [("criterion-1",), ("criterion-2", "criterion-1"), tuple(CRITERIA)])
def test_a_reference_server_sorts_by_any_combined_score(
    reference: Reference, criteria: tuple[str, ...]
) -> None:
    for text in ("Count.", "Count to 3.", "Zähle!"):
        request = best_of(8, *criteria, messages=[{"role": "user", "content": text}])
        choices = accepted(reference, request)["choices"]
        assert [set(choice["criteria_results"]) for choice in choices] == [set(criteria)] * 8
        assert sorted(choice["index"] for choice in choices) == list(range(8))
        assert is_sorted(choices)


def test_an_order_that_nobody_allows_is_seen() -> None:
    scores = [{"criteria_results": {"a": {"status": "success", "score": score}}} for score in (0.2, 0.9, 0.5)]
    assert not is_sorted(scores)


def test_two_versions_of_a_criterion_are_told_apart_by_the_ids_with_versions() -> None:
    request = best_of(1, "criterion-1@v1", "criterion-1", "criterion-2@v1")

    def keys(**knobs: Any) -> set[str]:
        content = accepted(Reference(replace(Habits(), **knobs)), request)
        return set(content["choices"][0]["criteria_results"])

    assert keys() == {"criterion-1@v1", "criterion-1@v2", "criterion-2"}
    assert keys(two_versions="as-asked") == {"criterion-1@v1", "criterion-1", "criterion-2"}
    assert keys(two_versions="merged") == {"criterion-1", "criterion-2"}


def test_an_unknown_criterion_fails_the_request_or_is_an_errored_result() -> None:
    request = best_of(2, "criterion-1", "nobody-knows-this")
    refused(Reference(), request)
    choices = accepted(Reference(Habits(unknown_criterion="result")), request)["choices"]
    results = [choice["criteria_results"]["nobody-knows-this"] for choice in choices]
    assert {result["errorCode"] for result in results} == {404}


def test_the_plain_server_scores_a_choice_as_its_judge_does() -> None:
    reference = Reference()
    for choice in accepted(reference, best_of(3))["choices"]:
        messages = chatting().json()["messages"]
        request = judging(input={"messages": messages}, output=choice["message"])
        score = choice["criteria_results"]["criterion-1"]["score"]
        assert accepted(reference, request)["score"] == score


def test_the_latest_version_and_the_plain_id_judge_alike_and_the_older_one_differs() -> None:
    scores = [
        accepted(Reference(), judging(criterion_id=reference))["score"]
        for reference in ("criterion-1", "criterion-1@v2", "criterion-1@v1")
    ]
    assert scores[0] == scores[1] != scores[2]


# Completions and streams

SHAPES: Mapping[str, Mapping[str, Json]] = {
    "text": {},
    "three": {"n": 3},
    "cut": {"max_tokens": 2},
    "stopped": {"stop": [" "]},
    "call": CALLING,
    "older": {"functions": [{"name": "count"}], "function_call": {"name": "count"}},
    "object": {"response_format": {"type": "json_object"}},
}


def joined(chunks: Sequence[Json]) -> dict[int, dict[str, Any]]:
    """Index → what the pieces of a stream say, and the finish reasons."""
    said: dict[int, dict[str, Any]] = {}
    for part in (part for chunk in chunks for part in chunk["choices"]):
        choice = said.setdefault(part["index"], {"text": "", "arguments": "", "finish": []})
        assert not choice["finish"], "something follows the finish reason"
        delta = part["delta"]
        calls = [call["function"] for call in delta.get("tool_calls", [])] + [
            delta.get("function_call") or {}
        ]
        choice["text"] += delta.get("content") or ""
        choice["arguments"] += "".join(call.get("arguments", "") for call in calls)
        choice["finish"] += [part["finish_reason"]] if part.get("finish_reason") else []
    return said


def plain(completion: Json) -> dict[int, dict[str, Any]]:
    """The same of a completion."""
    said = {}
    for choice in completion["choices"]:
        message = choice["message"]
        calls = [call["function"] for call in message.get("tool_calls") or []]
        calls += [message["function_call"]] if message.get("function_call") else []
        said[choice["index"]] = {
            "text": message.get("content") or "",
            "arguments": "".join(call["arguments"] for call in calls),
            "finish": [choice["finish_reason"]],
        }
    return said


@pytest.mark.parametrize("shape", SHAPES)
def test_a_stream_says_what_the_plain_answer_says(reference: Reference, shape: str) -> None:
    members = SHAPES[shape]
    streamed = joined(accepted(reference, streaming(**members)))
    whole = plain(accepted(reference, chatting(None, **members)))
    assert list(streamed) == list(range(members.get("n", 1)))
    assert all(len(choice["finish"]) == 1 for choice in streamed.values())
    if not reference.habits.unstable:
        assert streamed == whole


def test_calls_carry_json_and_forms_are_kept(reference: Reference) -> None:
    call = accepted(reference, chatting(None, **CALLING))["choices"][0]["message"]["tool_calls"][0]
    assert json.loads(call["function"]["arguments"]) == {"to": 0}
    schema = {"type": "object", "properties": {"prime": {"enum": [7]}}, "required": ["prime"]}
    form = {"type": "json_schema", "json_schema": {"name": "prime", "schema": schema}}
    content = accepted(reference, chatting(response_format=form))["choices"][0]["message"]["content"]
    assert json.loads(content) == {"prime": 7}


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        (
            {"type": "object", "properties": {"a": {"$ref": "#/$defs/b"}}, "$defs": {"b": {"const": 5}}},
            {"a": 5},
        ),
        ({"anyOf": [{"type": "array", "items": {"type": "string"}, "minItems": 2}]}, ["xxx", "xxx"]),
        ({"type": ["boolean", "null"]}, True),
        ({"type": "null"}, None),
        ({"default": 4}, 4),
        ({"type": "object", "properties": {"a": True}}, {"a": {}}),
        ({"type": "object", "properties": 5, "required": [1]}, {}),
    ],
)
def test_values_for_schemas(schema: Json, value: Json) -> None:
    form = {"type": "json_schema", "json_schema": {"name": "any", "schema": schema}}
    content = accepted(Reference(), chatting(response_format=form))["choices"][0]["message"]["content"]
    assert json.loads(content) == value


def test_an_offered_tool_is_called_unasked_by_eager_servers_until_its_result_is_there() -> None:
    def finish(*messages: Json, **knobs: Any) -> str:
        request = chatting(messages=list(messages), tools=CALLING["tools"])
        choice = accepted(Reference(replace(Habits(), **knobs)), request)["choices"][0]
        return str(choice["finish_reason"])

    asks, result = (
        {"role": "user", "content": "Count."},
        {"role": "tool", "tool_call_id": "1", "content": "3"},
    )
    assert finish(asks) == "stop"
    assert finish(asks, eager_tools=True) == "tool_calls"
    assert finish(asks, result, eager_tools=True) == "stop"


def test_log_probabilities_join_to_the_text() -> None:
    choice = accepted(Reference(), chatting(logprobs=True, top_logprobs=2))["choices"][0]
    entries = choice["logprobs"]["content"]
    assert "".join(entry["token"] for entry in entries) == choice["message"]["content"]
    assert {len(entry["top_logprobs"]) for entry in entries} == {2}


def test_usage_adds_up_and_is_told_in_a_stream_that_asks_for_it() -> None:
    usage = accepted(Reference(), chatting())["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    chunks = accepted(Reference(), streaming(stream_options={"include_usage": True}))
    assert (chunks[-1]["choices"], chunks[-1]["usage"]) == ([], usage)


@pytest.mark.parametrize(
    ("knobs", "holds"),
    [
        ({}, lambda body: body.endswith(b"data: [DONE]\n\n")),
        ({"done": False}, lambda body: b"[DONE]" not in body),
        ({"crlf": True}, lambda body: body.count(b"\n") == body.count(b"\r\n")),
        ({"comments": True}, lambda body: body.startswith(b": busy\n\n")),
        ({"tight": True}, lambda body: body.startswith(b"data:{")),
    ],
)
def test_streams_are_framed_in_many_ways(knobs: Json, holds: Callable[[bytes], bool]) -> None:
    assert holds(Reference(Habits(**knobs)).reply(streaming()).body)


def test_a_stream_is_written_in_pieces_of_any_size() -> None:
    event = Reference(Habits(writes="event")).reply(streaming())
    whole = Reference(Habits(writes="all")).reply(streaming())
    few = Reference(Habits(writes="bytes")).reply(streaming())
    assert event.body == whole.body == few.body
    assert len(whole.pieces) == 1 < len(event.pieces) < len(few.pieces)


# Load, keys and habits of HTTP


def test_a_busy_server_says_when_to_come_again() -> None:
    reference = Reference(Habits(warming=1, busy_every=3))
    replies = [reference.reply(judging()) for _ in range(6)]
    assert [raw.status for raw in replies] == [503, 200, 429, 200, 200, 429]
    assert {raw.headers.get("retry-after") for raw in replies if raw.status != 200} == {"1"}
    dated = Reference(Habits(warming=1, retry_after="date")).reply(judging())
    assert dated.headers["retry-after"].endswith("GMT")


def test_a_body_over_the_limit_is_refused() -> None:
    raw = Reference(Habits(most_bytes=100)).reply(judging(output={"role": "assistant", "content": "x" * 100}))
    assert (raw.status, json.loads(raw.body)["code"]) == (413, "PAYLOAD_TOO_LARGE")


def test_statuses_are_a_matter_of_habit() -> None:
    def status(request: Request, **knobs: Any) -> int:
        return Reference(Habits(**knobs)).reply(request).status

    get, head = replace(judging(), method="GET", body=b""), replace(judging(), method="HEAD", body=b"")
    as_text = replace(judging(), headers={**judging().headers, "content-type": "text/plain"})
    no_key = replace(judging(), headers={"content-type": "application/json"})
    assert (status(get), status(get, wrong_method=404)) == (405, 404)
    assert (status(head), status(head, head="204")) == (405, 204)
    assert (status(as_text), status(as_text, any_content_type=True)) == (400, 200)
    other_key = replace(judging(), headers={**judging().headers, "authorization": "Bearer another"})
    assert (status(other_key), status(other_key, keys="any")) == (401, 200)
    assert (status(no_key), status(no_key, keys="any")) == (401, 401)
    for name, text in (
        ("op-cache", "on"),
        ("op-log-request", "1"),
        ("op-tags", "{"),
        ("op-tags", '{"a": []}'),
    ):
        odd = chatting({name: text})
        assert (status(odd), status(odd, odd_headers="ignored")) == (400, 200)
    assert (status(post(JUDGE, {})), status(post(JUDGE, {}), invalid=422)) == (400, 422)
    broken = replace(post(JUDGE, {}), headers={"content-type": "application/json"})
    assert (status(broken), status(broken, key_first=False)) == (401, 400)
    assert (status(chatting(n=0)), status(chatting(n=0), bounds_n=False)) == (400, 200)
    dumped = judging(output={"role": "assistant", "annotations": None})
    assert (status(dumped), status(dumped, null_is_absent=False)) == (200, 400)
    unknown = judging(x_unknown=1)
    assert (status(unknown), status(unknown, unknown="stripped")) == (400, 200)
    number = judging(criterion_id=7)
    assert (status(number), status(number, coerces=True, closed=False)) == (400, 200)


def test_an_unstable_server_says_something_else_each_time() -> None:
    reference = Reference(Habits(unstable=True))
    assert reference.reply(chatting()).body != reference.reply(chatting()).body
    assert reference.reply(judging()).body != reference.reply(judging()).body


# One-bug servers

EVERY = (*mutants(), *DEVIANTS)


def test_there_are_enough_one_bug_servers_and_each_has_a_name_of_its_own() -> None:
    assert len(mutants()) >= 80
    assert len({mutant.name for mutant in EVERY}) == len(EVERY)


@pytest.mark.parametrize("mutant", EVERY, ids=lambda mutant: mutant.name)
def test_a_one_bug_server_shows_its_bug_and_nothing_else(mutant: Mutant) -> None:
    healthy, sick = Reference(), mutant.make(Habits())
    good = answer(healthy, mutant.shown_by)
    patience = MOMENT if mutant.kills.endswith(".answers") else PATIENCE
    assert any(reply_of(sick, mutant, patience) != good for _ in range(mutant.tries))
    ordinary = [judging(), chatting(), streaming(), post(JUDGE, {}), post(CHAT, {})]
    fine = mutant.make(Habits())
    assert any(healthy_at(fine, request, patience) for request in ordinary)


def reply_of(app: App, mutant: Mutant, patience: float) -> Raw | None:
    try:
        if mutant.beside:
            return answer_beside(app, mutant.shown_by, mutant.beside, patience)
        return answer(app, mutant.shown_by, patience)
    except Unfinished:
        assert mutant.kills.endswith(".answers"), "only what breaks off may not be answered"
        return None


def healthy_at(app: App, request: Request, patience: float) -> bool:
    try:
        return answer(app, request, patience) == answer(Reference(), request)
    except Unfinished:
        return False


@pytest.mark.parametrize("mutant", EVERY, ids=lambda mutant: mutant.name)
def test_the_check_that_has_to_find_a_bug_exists(mutant: Mutant) -> None:
    assert find(mutant.kills).id == mutant.kills


def test_every_check_has_a_server_that_it_has_to_find() -> None:
    killing = [mutant.kills for mutant in EVERY]
    families = {check.id for check in catalogue().values() if check.family}
    found = {*killing, *(family for family in families for kill in killing if kill.startswith(f"{family}."))}
    assert {check for check in catalogue() if not is_shown_elsewhere(check)} - found == set()


def is_shown_elsewhere(check: str) -> bool:
    """Reachability is for the strangers to show; what fuzzing sends is drawn, so it may miss any bug."""
    return check.startswith("reachability.") or ".fuzz." in check


# On a socket


def asked(stage: Stage, request: Request, timeout: float = PATIENCE) -> tuple[int, bytes]:
    """Status and body that a client on a socket gets."""
    address = stage.origin.removeprefix("http://")
    with closing(http.client.HTTPConnection(address, timeout=timeout)) as client:
        client.request(request.method, request.path, request.body, dict(request.headers))
        response = client.getresponse()
        return response.status, response.read()


def named(name: str) -> App:
    return next(mutant for mutant in mutants() if mutant.name == name).make(Habits())


def test_servers_take_turns_on_a_socket() -> None:
    reference = Reference()
    with live(reference) as stage:
        assert asked(stage, judging()) == (200, reference.reply(judging()).body)
        stage.app = Reference(VARIANTS["reward-models"])
        assert asked(stage, judging())[0] == 503
        stage.app = STRANGERS["html-for-all"]
        assert asked(stage, chatting())[1].startswith(b"<!doctype html>")


@pytest.mark.parametrize("name", ["judge-hangs-up", "judge-lies"])
def test_a_connection_breaks_on_a_socket_too(name: str) -> None:
    with live(named(name)) as stage, pytest.raises(http.client.IncompleteRead):
        asked(stage, judging())


def test_a_server_that_hangs_is_stopped_all_the_same() -> None:
    with live(STRANGERS["hangs"]) as stage, pytest.raises(TimeoutError):
        asked(stage, judging(), MOMENT)
    with pytest.raises(OSError, match="refused"):
        asked(stage, judging())


@pytest.mark.parametrize("name", STRANGERS)
def test_a_stranger_never_answers_a_good_request_well(name: str) -> None:
    for request in (judging(), chatting()):
        try:
            raw = answer(STRANGERS[name], request, MOMENT)
        except Unfinished:
            assert name == "hangs"
        else:
            assert raw.status != 200 or raw.headers["content-type"] == "text/html"


def test_nothing_listens_on_a_dead_port() -> None:
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", dead_port()), timeout=PATIENCE)


def test_an_application_that_crashes_has_not_answered() -> None:
    async def crashes(scope: Any, receive: Any, send: Any) -> None:
        raise ValueError("a defect")

    async def says_nothing(scope: Any, receive: Any, send: Any) -> None:
        await receive()

    for app in (crashes, says_nothing):
        with pytest.raises(Unfinished):
            answer(app, judging())


def test_the_names_that_a_run_needs_are_known() -> None:
    headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
    for model in MODELS:
        accepted(Reference(), replace(chatting(model=model), headers=headers))
    for criterion, latest in CRITERIA.items():
        accepted(Reference(), judging(criterion_id=f"{criterion}@v{latest}"))
