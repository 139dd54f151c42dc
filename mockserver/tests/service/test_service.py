"""Request in, reply out: keys, order of checks, paths, limits, validation; and nothing but listed answers."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openpipe_mock.config.settings import Settings, Validation
from openpipe_mock.core.effects import Head, ReadBody, Reply, Tick
from openpipe_mock.core.strictjson import MOST_LEVELS
from openpipe_mock.openapi.endpoints import BASE, ENDPOINTS
from openpipe_mock.openapi.spec import contract
from openpipe_mock.service.service import Service
from tests.chatting import CHAT
from tests.generate import VALIDATIONS, anything, brief, broken, thorough, valid
from tests.inprocess import (
    FULL,
    HEADERS,
    JUDGE,
    MINIMAL,
    answer,
    content_of,
    full,
    having,
    holds,
    issues_of,
    message_of,
    saying,
)

Json = Any

SERVICE = Service()
LENIENCY = "The real service drops unknown properties; `--validation lenient` makes this mock do the same."


def with_header(name: bytes, value: bytes) -> Mapping[bytes, bytes]:
    return {**HEADERS, name: value}


def without(name: bytes) -> Mapping[bytes, bytes]:
    return {other: value for other, value in HEADERS.items() if other != name}


def code_of(reply: Reply) -> tuple[int, str]:
    return reply.status, content_of(reply)["code"]


def answered_unread(headers: Mapping[bytes, bytes], settings: Settings | None = None) -> Reply:
    """The reply to a request whose body nobody reads; fails when the service wants it."""
    exchange = Service(settings).exchange(Head("POST", JUDGE, headers))
    assert next(exchange) == Tick()
    with pytest.raises(StopIteration) as stopped:
        exchange.send(0.0)
    reply: Reply = stopped.value.value
    return reply


def in_mode(validation: Validation) -> Service:
    return Service(Settings(validation=validation))


# Keys


REFUSED_KEYS: dict[str, tuple[bytes | None, str]] = {
    "none": (None, "send the header `Authorization: Bearer KEY`; this mock takes any key."),
    "empty": (b"", "send the header `Authorization: Bearer KEY`; this mock takes any key."),
    "white space": (b" \t ", "send the header `Authorization: Bearer KEY`; this mock takes any key."),
    "Basic": (b"Basic b3A6c2VjcmV0", "the Authorization header has another scheme"),
    "a bare key": (b"opk_s3cret", "the Authorization header has another scheme"),
    "no space": (b"Bearer:s3cret", "the Authorization header has another scheme"),
    "Bearer alone": (b"Bearer", "the key is empty"),
    "Bearer and a space": (b"Bearer ", "the key is empty"),
    "Bearer and spaces": (b"Bearer   \t", "the key is empty"),
    "invalid": (b"Bearer invalid", 'the key begins with "invalid"'),
    "invalid and more": (b"Bearer invalid-s3cret", 'the key begins with "invalid"'),
    "invalid behind spaces": (b"bearer   invalid-s3cret", 'the key begins with "invalid"'),
}
TAKEN_KEYS = {
    "any": b"Bearer x",
    "lower case": b"bearer s3cret",
    "upper case": b"BEARER s3cret",
    "two spaces": b"Bearer  s3cret",
    "spaces around": b" Bearer s3cret ",
    "bytes beyond ASCII": b"Bearer \xff\xfe",
    "invalid in capitals": b"Bearer INVALID",
    "invalid later on": b"Bearer not-invalid",
    "very long": b"Bearer " + b"x" * 100_000,
}


@pytest.mark.parametrize("name", REFUSED_KEYS)
def test_a_request_without_a_usable_key_is_unauthorized(name: str) -> None:
    key, words = REFUSED_KEYS[name]
    headers = without(b"authorization") if key is None else with_header(b"authorization", key)
    reply = answer(SERVICE, MINIMAL, headers=headers)
    assert code_of(reply) == (401, "UNAUTHORIZED")
    assert dict(reply.headers)[b"www-authenticate"] == b"Bearer"
    assert message_of(reply).startswith(f"Unauthorized: {words}")
    assert b"s3cret" not in reply.body
    assert "s3cret" not in reply.subject
    assert holds(reply)


@pytest.mark.parametrize("name", TAKEN_KEYS)
def test_any_other_bearer_key_will_do_and_changes_nothing(name: str) -> None:
    reply = answer(Service(), MINIMAL, headers=with_header(b"authorization", TAKEN_KEYS[name]))
    assert reply == answer(Service(), MINIMAL)


@pytest.mark.parametrize(
    "body", [MINIMAL, b"{", having(x=1), having(criterion_id="a@b"), b"\xff", having(criterion_id=1)]
)
def test_no_reply_repeats_the_key(body: Json) -> None:
    for name in (b"authorization", b"x-other"):
        headers = {**with_header(b"authorization", b"Bearer s3cret"), name: b"Bearer s3cret"}
        reply = answer(SERVICE, body, headers=headers)
        assert "s3cret" not in repr(reply)


# Order of checks


FAULTS: list[tuple[int, dict[str, str], Mapping[bytes, bytes]]] = [
    (404, {"path": "/api/v1/nothing"}, {}),
    (405, {"method": "PUT"}, {}),
    (401, {}, {b"authorization": b"Bearer invalid"}),
    (413, {}, {b"content-length": b"99999999"}),
    (400, {}, {b"content-type": b"text/plain"}),
]
"""Status, what is wrong with the request line, what is wrong with the headers."""


@pytest.mark.parametrize("first", range(len(FAULTS)))
def test_path_method_key_length_and_type_are_checked_in_this_order(first: int) -> None:
    line: dict[str, Any] = {"path": JUDGE, "method": "POST"}
    headers = dict(HEADERS)
    for _, wrong_line, wrong_headers in FAULTS[first:]:
        line |= wrong_line
        headers |= wrong_headers
    assert answer(SERVICE, b"{", **line, headers=headers).status == FAULTS[first][0]


@pytest.mark.parametrize("fault", FAULTS[2:], ids=lambda fault: str(fault[0]))
def test_what_the_headers_show_is_refused_before_the_body_is_read(
    fault: tuple[int, object, Mapping[bytes, bytes]],
) -> None:
    assert answered_unread({**HEADERS, **fault[2]}).status == fault[0]


def test_the_body_is_read_before_its_contract_and_that_before_the_criterion() -> None:
    assert code_of(answer(SERVICE, b'{"criterion_id": "a@b", "x": 1')) == (400, "PARSE_ERROR")
    assert code_of(answer(SERVICE, having(criterion_id="a@b", x=1))) == (400, "BAD_REQUEST")
    assert code_of(answer(SERVICE, having(criterion_id="a@b"))) == (404, "NOT_FOUND")


# Paths and methods


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "post", "", "G\nET"])
def test_another_method_is_not_supported_and_the_answer_says_which_is(method: str) -> None:
    reply = answer(SERVICE, MINIMAL, method=method)
    assert code_of(reply) == (405, "METHOD_NOT_SUPPORTED")
    assert dict(reply.headers)[b"allow"] == b"POST"
    assert "POST" in message_of(reply)
    assert holds(reply)


@pytest.mark.parametrize(
    "path",
    [
        "/criteria/judge",
        "/v1/criteria/judge",
        "/api/criteria/judge",
        "/api/v1/api/v1/criteria/judge",
        "/api/v1/v1/criteria/judge",
        "/api/v1/criteria/judge/criteria/judge",
        "/api/v1/criteria/judge/",
        "/api/v1//criteria/judge",
        "//api/v1/criteria/judge",
        "//criteria//judge//",
        "/api/v1" * 50 + "/criteria/judge",
    ],
)
def test_a_path_that_nearly_fits_is_told_where_the_endpoint_is(path: str) -> None:
    for method in ("POST", "GET"):
        reply = answer(SERVICE, MINIMAL, path=path, method=method)
        assert code_of(reply) == (404, "NOT_FOUND")
        assert "is served as /api/v1/criteria/judge" in message_of(reply)
        assert holds(reply, CHAT)


@pytest.mark.parametrize(
    "path", ["/api/v1/criteria/juge", "/api/v1/criteria", "/api/v1/criterion/judge", "/api/v1/Criteria/Judge"]
)
def test_a_misspelt_path_gets_the_nearest(path: str) -> None:
    assert message_of(answer(SERVICE, MINIMAL, path=path)).endswith("did you mean /api/v1/criteria/judge?")


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "*",
        "/api/v1",
        "/api/v1/",
        "api/v1/criteria/judge",
        "/..//../etc/passwd",
        "/\x00\x1b[31m\n",
        "/api/v1/criteria/judge\n",
        "/api/v1/criteria/judge\x00",
        "/😀/\u202e",
        "/" * 100_000,
        "/" + "x" * 1_000_000,
        "/api/v1/datasetz/" + "x" * 1_000_000,
        "/v1/models/\x1b[31m" + "x" * 1_000_000,
        "/api/v1" * 20_000,
    ],
)
def test_a_hostile_path_is_not_found_in_few_words(path: str) -> None:
    reply = answer(SERVICE, MINIMAL, path=path)
    assert code_of(reply) == (404, "NOT_FOUND")
    assert message_of(reply).startswith("Not found: ")
    assert len(message_of(reply)) < 700
    assert "\n" not in message_of(reply)
    assert holds(reply, CHAT)


def told(path: str, *, host: bytes = b"127.0.0.1:6736", scheme: str = "http", root: str = "") -> str:
    """The message for a POST to a path that isn't served."""
    exchange = SERVICE.exchange(Head("POST", path, {**HEADERS, b"host": host}, root=root, scheme=scheme))
    assert next(exchange) == Tick()
    with pytest.raises(StopIteration) as stopped:
        exchange.send(0.0)
    reply: Reply = stopped.value.value
    assert holds(reply, CHAT)
    assert content_of(reply)["error"] == {"code": "NOT_FOUND", "message": message_of(reply)}
    return message_of(reply)


@pytest.mark.parametrize(
    "path",
    [
        "/chat/completions",
        "/v1/chat/completions",
        "/api/v1/api/v1/chat/completions",
        "/api/v1/v1/chat/completions",
        "/openai/v1/chat/completions",
        "/api/v1/chat/completions/chat/completions",
        "/v1/models/gpt-4o",
        "/v1/responses",
        "/api/v1/v1/messages",
    ],
)
def test_a_wrong_base_url_is_told_the_right_one(path: str) -> None:
    assert told(path).endswith(" let the base URL be http://127.0.0.1:6736/api/v1.")


@pytest.mark.parametrize(
    ("came", "base"),
    [
        ({"scheme": "https", "host": b"mock.test"}, "https://mock.test/api/v1"),
        ({"host": b"[::1]:80", "root": "/t%20a/llm"}, "http://[::1]:80/t%20a/llm/api/v1"),
    ],
)
def test_the_base_url_is_told_as_the_request_came(came: dict[str, Any], base: str) -> None:
    assert told("/v1/chat/completions", **came).endswith(f" let the base URL be {base}.")


@pytest.mark.parametrize(
    "came", [{"scheme": ""}, {"host": b""}, {"host": b"op-key@evil"}, {"host": b"a b"}, {"host": b"x" * 9999}]
)
def test_where_the_base_url_is_unknown_its_end_is_told(came: dict[str, Any]) -> None:
    assert told("/v1/chat/completions", **came).endswith(" let the base URL end in /api/v1, once.")


def test_the_base_url_of_a_session_has_its_name() -> None:
    base = "http://127.0.0.1:6736/_mock/sessions/a/api/v1"
    assert f" let the base URL be {base}." in told("/_mock/sessions/a/api/chat/completions")


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/responses", ["`openai.chat(model)`", "`openai-chat:MODEL`", "`OpenAIChatModel`"]),
        (
            "/responses",
            ['`set_default_openai_api("chat_completions")`', '`setOpenAIAPI("chat_completions")`'],
        ),
        ("/responses", ["`use_responses_api=False`", "`useResponsesApi: false`"]),
        ("/completions", ["`openai.chat(model)`", "`client.chat.completions.create(…)`"]),
        ("/messages", ["`ChatOpenAI`", "`openai/MODEL`", "anthropic:"]),
        ("/embeddings", ["no embeddings", "another base URL"]),
    ],
)
def test_an_endpoint_of_another_api_is_told_what_to_use(path: str, words: list[str]) -> None:
    message = told(f"/api/v1{path}")
    assert message.startswith("Not found: this mock has ")
    assert [word for word in words if word not in message] == []
    assert "let the base URL" not in message


def test_errors_of_all_but_the_judge_stand_where_openais_clients_look() -> None:
    served = {BASE + each.path for each in ENDPOINTS.values()}
    for path in (*served, "/", "/nothing", "/criteria/judge", "/_mock/sessions/a/api/v1/nothing"):
        body = content_of(answer(SERVICE, {}, path=path, method="TRACE"))
        assert ("error" in body) is (not path.endswith("/criteria/judge"))
        assert body.pop("error", body) in ({"code": body["code"], "message": body["message"]}, body)


@thorough
@given(st.text(max_size=30))
def test_no_path_beside_its_own_reaches_an_endpoint(path: str) -> None:
    for tried in (path, f"/api/v1/{path}", f"{JUDGE}/{path}"):
        assert answer(SERVICE, MINIMAL, path=tried, method="TRACE").status in (404, 405)


# Content type, encoding and length


@pytest.mark.parametrize(
    "sent",
    [
        b"application/json",
        b"application/json; charset=utf-8",
        b"Application/JSON",
        b" application/json ",
        b"application/json;",
        b"application/vnd.api+json",
        b"application/problem+json;x=y",
    ],
)
def test_json_goes_by_many_names(sent: bytes) -> None:
    assert answer(SERVICE, MINIMAL, headers=with_header(b"content-type", sent)).status == 200


@pytest.mark.parametrize(
    "sent",
    [
        None,
        b"",
        b"text/plain",
        b"application/x-www-form-urlencoded",
        b"multipart/form-data; boundary=application/json",
        b"text/json",
        b"json",
        b"application/jsonp",
        b"application/x-ndjson",
        b"application/json, text/plain",
        b"\xff\x00\r\n",
        b"x" * 100_000,
    ],
)
def test_any_other_content_type_is_refused_and_shown(sent: bytes | None) -> None:
    headers = without(b"content-type") if sent is None else with_header(b"content-type", sent)
    reply = answer(SERVICE, MINIMAL, headers=headers)
    assert code_of(reply) == (400, "BAD_REQUEST")
    assert "expected the header `Content-Type: application/json`" in message_of(reply)
    shown = "got " if sent else "the header is missing"
    assert shown in message_of(reply)
    assert len(message_of(reply)) < 500
    assert holds(reply)


@pytest.mark.parametrize("encoding", [b"gzip", b"br", b"deflate", b"gzip, identity", b"x" * 9999])
def test_a_compressed_body_is_refused_as_that(encoding: bytes) -> None:
    reply = answer(SERVICE, b"\x1f\x8b", headers=with_header(b"content-encoding", encoding))
    assert code_of(reply) == (400, "BAD_REQUEST")
    assert "the body is compressed" in message_of(reply)


@pytest.mark.parametrize("encoding", [b"", b"identity", b" Identity "])
def test_an_encoding_that_encodes_nothing_is_fine(encoding: bytes) -> None:
    assert answer(SERVICE, MINIMAL, headers=with_header(b"content-encoding", encoding)).status == 200


@pytest.mark.parametrize(
    "length", [b"101", b"000000000000000101", b"99999999999999999999", b"9" * 5000, b"18446744073709551617"]
)
def test_a_body_that_is_announced_over_the_limit_is_never_read(length: bytes) -> None:
    reply = answered_unread(with_header(b"content-length", length), Settings(max_body_bytes=100))
    assert code_of(reply) == (413, "PAYLOAD_TOO_LARGE")
    assert message_of(reply).startswith("Request body too large: the limit is 100 bytes")
    assert "--max-body-bytes" in message_of(reply)
    assert holds(reply)


@pytest.mark.parametrize(
    "length", [b"", b"0", b"100", b"-1", b"+999", b"1e9", b"abc", b"\xb2", b" 5", b"0" * 99]
)
def test_a_length_that_says_nothing_of_use_is_passed_over(length: bytes) -> None:
    assert answer(SERVICE, MINIMAL, headers=with_header(b"content-length", length)).status == 200


def test_a_length_at_the_limit_is_within_it() -> None:
    body = json.dumps(MINIMAL).encode()
    length = str(len(body)).encode()
    service = Service(Settings(max_body_bytes=len(body)))
    assert answer(service, body, headers=with_header(b"content-length", length)).status == 200


@pytest.mark.parametrize("over", [0, 1])
def test_a_body_may_have_as_many_bytes_as_the_limit_and_no_more(over: int) -> None:
    body = json.dumps(MINIMAL).encode()
    reply = answer(Service(Settings(max_body_bytes=len(body) - over)), body)
    assert reply.status == (413 if over else 200)
    assert holds(reply)


def test_the_limit_is_10_mebibytes_and_the_service_asks_for_no_more() -> None:
    exchange = SERVICE.exchange(Head("POST", JUDGE, HEADERS))
    assert next(exchange) == ReadBody(10 * 2**20)


# Validation


def test_every_violation_of_a_body_is_an_issue_and_the_first_is_in_the_message() -> None:
    reply = answer(SERVICE, {"criterion_id": 1, "input": {"messages": [{"role": "tool"}, {}]}})
    assert code_of(reply) == (400, "BAD_REQUEST")
    issues = issues_of(reply)
    assert [issue.partition(":")[0] for issue in issues] == [
        "/output",
        "/criterion_id",
        "/input/messages/0/tool_call_id",
        "/input/messages/1/role",
    ]
    assert message_of(reply) == f"Input validation failed: {issues[0]} (and 3 more)"


def test_a_single_violation_is_not_called_many() -> None:
    reply = answer(SERVICE, having(criterion_id=1))
    assert message_of(reply) == "Input validation failed: /criterion_id: expected a string, got the number 1."
    assert issues_of(reply) == ["/criterion_id: expected a string, got the number 1."]


@pytest.mark.parametrize(("number", "rest"), [(20, []), (21, ["and 1 more"]), (519, ["and 499 more"])])
def test_at_most_20_issues_are_listed_and_the_rest_is_counted(number: int, rest: list[str]) -> None:
    reply = answer(SERVICE, saying(*[1] * number))
    assert issues_of(reply)[20:] == rest
    assert message_of(reply).endswith(f"(and {number - 1} more)")
    assert holds(reply)


def test_a_count_that_stops_early_says_so() -> None:
    """Beyond a thousand nobody counts; then the number may not be given as if it were exact."""
    reply = answer(SERVICE, saying(*[1] * 50_000))
    assert len(issues_of(reply)) == 21
    last = issues_of(reply)[20]
    assert last == f"and {50_000 - 20} more" or any(word in last for word in ("than", "least", "over")), last


def test_only_an_unknown_property_is_followed_by_the_way_to_relax() -> None:
    assert message_of(answer(SERVICE, having(extra=1))).endswith(LENIENCY)
    assert message_of(answer(SERVICE, having(criterion_id=1, extra=1))).endswith(f"(and 1 more) {LENIENCY}")
    assert LENIENCY not in message_of(answer(SERVICE, having(criterion_id=1)))


RELAXED: dict[str, tuple[Json, Json]] = {
    "an unknown property": (having(extra=1), having()),
    "an unknown property of a message": (saying({"role": "user", "x": 1}), saying({"role": "user"})),
    "a number as the criterion": (having(criterion_id=7), having(criterion_id="7")),
    "a whole float as the criterion": (having(criterion_id=7.0), having(criterion_id="7")),
    "a boolean as the criterion": (having(criterion_id=True), having(criterion_id="true")),
    "a huge number as the criterion": (having(criterion_id=1e300), having(criterion_id="1e+300")),
    "both": (having(criterion_id=7, extra={}), having(criterion_id="7")),
}


@pytest.mark.parametrize("name", RELAXED)
def test_lenient_answers_as_if_the_request_were_right(name: str) -> None:
    sent, meant = RELAXED[name]
    assert answer(SERVICE, sent).status == answer(in_mode("exact"), sent).status == 400
    reply = answer(in_mode("lenient"), sent)
    assert (reply.status, reply.body) == (200, answer(SERVICE, meant).body)


@pytest.mark.parametrize("name", RELAXED)
def test_lenient_notes_what_strict_would_refuse_and_the_client_sees_nothing_of_it(name: str) -> None:
    sent, _ = RELAXED[name]
    refused = issues_of(answer(SERVICE, sent))
    reply = answer(in_mode("lenient"), sent)
    assert [note.removeprefix("strict would refuse ") for note in reply.notes] == refused
    assert b"refuse" not in reply.body


@pytest.mark.parametrize("mode", VALIDATIONS)
def test_a_request_that_strict_accepts_is_noted_nowhere_and_answered_alike(mode: Validation) -> None:
    for body in (MINIMAL, FULL, having(annotations=None, input=None)):
        reply = answer(in_mode(mode), body)
        assert reply.notes == ()
        assert reply.body == answer(SERVICE, body).body


@pytest.mark.parametrize("mode", VALIDATIONS)
@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        None,
        having(criterion_id=["x"]),
        having(criterion_id=None),
        having(output={"role": "user"}),
        having(output={"role": "assistant", "content": 5}),
        saying({"role": "assitant", "extra": 1}),
        saying({"role": "tool"}),
    ],
)
def test_what_is_really_wrong_is_refused_in_every_mode(mode: Validation, body: Json) -> None:
    reply = answer(in_mode(mode), body)
    assert code_of(reply) == (400, "BAD_REQUEST")
    assert issues_of(reply)
    assert holds(reply)


def test_what_lenient_drops_it_doesnt_complain_of() -> None:
    reply = answer(in_mode("lenient"), having(extra=1, output={"role": "user", "x": 1}))
    assert issues_of(reply) == ['/output/role: expected "assistant", got the string "user".']
    assert LENIENCY not in message_of(reply)


@pytest.mark.parametrize("mode", VALIDATIONS)
def test_what_official_clients_dump_of_a_completion_is_accepted_in_every_mode(mode: Validation) -> None:
    dumped = {
        "content": "1, 2, 3",
        "refusal": None,
        "role": "assistant",
        "annotations": None,
        "audio": None,
        "function_call": None,
        "tool_calls": None,
    }
    body = having(input={"messages": [dumped], "tool_choice": None, "tools": None}, output=dumped)
    reply = answer(in_mode(mode), body)
    assert reply.status == 200
    assert reply.notes == ()


def test_nesting_up_to_the_limit_passes_through_every_walk() -> None:
    inside = MOST_LEVELS - 6  # body, input, tools, tool, function, parameters
    body = full()
    body["input"]["tools"][0]["function"]["parameters"] = {"a": json.loads("[" * inside + "]" * inside)}
    for mode in VALIDATIONS:
        assert answer(in_mode(mode), body).status == 200
        assert answer(in_mode(mode), {**body, "extra": 1}).status == (200 if mode == "lenient" else 400)
    body["input"]["tools"][0]["function"]["parameters"] = {"a": json.loads("[[" * inside + "]]" * inside)}
    assert code_of(answer(SERVICE, body)) == (400, "PARSE_ERROR")


def test_every_reply_is_json_and_its_subject_says_what_it_was_about() -> None:
    reply = answer(Service(), having(criterion_id="helpful@v3"))
    assert reply.headers == ((b"content-type", b"application/json"), (b"x-request-id", b"default-1"))
    assert reply.subject == f"helpful@v3 {content_of(reply)['score']}"
    assert answer(SERVICE, b"{").subject == message_of(answer(SERVICE, b"{"))


# Nothing but what the contract lists


MODES = [in_mode(mode) for mode in VALIDATIONS]
NAMES = (b"authorization", b"content-type", b"content-length", b"content-encoding", b"accept", b"op-criteria")
VALUES = (
    b"",
    b"Bearer x",
    b"Bearer invalid",
    b"Basic x",
    b"application/json",
    b"application/json; charset=utf-16",
    b"text/plain",
    b"0",
    b"-1",
    b"10485761",
    b"9" * 50,
    b"gzip",
    b"\xff\x00\n",
)
headers: st.SearchStrategy[Mapping[bytes, bytes]] = st.dictionaries(
    st.sampled_from(NAMES), st.sampled_from(VALUES) | st.binary(max_size=8), max_size=4
)


@thorough
@given(valid("JudgeCriteriaRequest"))
def test_a_valid_body_is_judged_in_every_mode(body: Json) -> None:
    body = {**body, "criterion_id": "helpful"}
    for service in MODES:
        reply = answer(service, body)
        assert (reply.status, reply.notes) == (200, ())
        assert holds(reply)
        assert 0 <= content_of(reply)["score"] <= 1


@thorough
@given(valid("JudgeCriteriaRequest") | broken("JudgeCriteriaRequest") | anything)
def test_any_json_gets_a_listed_answer_in_every_mode(body: Json) -> None:
    checker = contract().checker("JudgeCriteriaRequest")
    for service in MODES:
        reply = answer(service, body)
        assert holds(reply)
        assert reply.status in (200, 400, 404)
        if checker.is_valid(body):
            assert reply.status != 400
        if reply.status == 400:
            assert 1 <= len(issues_of(reply)) <= 21


@thorough
@given(anything)
def test_any_json_as_the_criterion_gets_a_listed_answer(value: Json) -> None:
    for service in MODES:
        assert holds(answer(service, having(criterion_id=value)))


@thorough
@given(st.binary(max_size=50) | st.text(max_size=30).map(str.encode))
def test_any_bytes_get_a_listed_answer(body: bytes) -> None:
    for service in MODES:
        assert holds(answer(service, body))


@pytest.mark.slow
@thorough
@given(headers, st.booleans(), broken("JudgeCriteriaRequest"), st.sampled_from(["POST", "GET", "PUT", ""]))
def test_any_headers_and_method_get_a_listed_answer(
    sent: Mapping[bytes, bytes], alone: bool, body: Json, method: str
) -> None:
    for service in MODES:
        reply = answer(service, body, headers=sent if alone else {**HEADERS, **sent}, method=method)
        assert holds(reply)


@brief
@given(broken("JudgeCriteriaRequest"))
def test_lenient_accepts_whatever_strict_accepts_and_judges_it_alike(body: Json) -> None:
    strict, exact, lenient = (answer(service, body) for service in MODES)
    assert strict.body == exact.body  # the judge has no tolerances
    if strict.status == 200:
        assert strict.body == lenient.body
    assert bool(lenient.notes) == (strict.status == 400 and lenient.status == 200) or lenient.status == 404


def test_a_path_that_takes_several_methods_names_them_all() -> None:
    reply = answer(SERVICE, path="/api/v1/models", method="PUT")
    assert code_of(reply) == (405, "METHOD_NOT_SUPPORTED")
    assert "/api/v1/models takes GET and POST, not PUT" in message_of(reply)
    assert dict(reply.headers)[b"allow"] == b"GET, POST"


@pytest.mark.parametrize(
    ("key", "status"), [("mine", 200), ("other", 401), ("invalid-mine", 200), ("invalid-other", 401)]
)
def test_where_keys_are_named_no_other_is_accepted(key: str, status: int) -> None:
    service = Service(Settings(keys=("mine", "invalid-mine")))
    reply = answer(service, having(), headers={**HEADERS, b"authorization": b"Bearer " + key.encode()})
    assert reply.status == status
    assert key not in message_of(reply) if status == 401 else True


def test_answers_that_are_gone_are_noted_once() -> None:
    service = Service(Settings(answers=1))
    told = [answer(service, dict(MINIMAL)).notes for _ in range(2)]
    assert told == [("answers 1 is gone, and 2 is given in its place; write answers: 2",), ()]
