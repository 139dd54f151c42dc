"""What official clients call in the background, through the service: methods, keys, bodies, modes."""

import json
from collections.abc import Mapping
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openpipe_mock.config.settings import Settings, Validation
from openpipe_mock.core.effects import Reply
from openpipe_mock.openapi.endpoints import BASE, ENDPOINTS, Endpoint
from openpipe_mock.openapi.spec import contract
from openpipe_mock.openapi.violations import DIALECT
from openpipe_mock.service.reporting import REPORTING
from openpipe_mock.service.service import Service
from tests import projects
from tests.chatting import LATEST, asking, completion, latest, sent_with
from tests.generate import VALIDATIONS, anything, brief, broken, valid
from tests.inprocess import answer, content_of, issues_of, message_of
from tests.projects import CALL

Json = Any

BODIES: Mapping[str, Json] = {
    ENDPOINTS[name].path: projects.BODIES[name] for name in REPORTING if ENDPOINTS[name].request
}
"""A valid body for each endpoint that takes one."""

SCHEMAS = {each.path: each.request for each in ENDPOINTS.values()}
METHODS = {ENDPOINTS[name].path: ENDPOINTS[name].method for name in REPORTING}
"""Path → method."""
PATHS = sorted(ENDPOINTS[name].path for name in REPORTING)


def call(service: Service, path: str, body: Json = None, *, key: str = "op-test") -> Reply:
    """The reply to a valid kind of request, once it is what the contract says."""
    reply = answer(service, body, path=f"{BASE}{path}", method=METHODS[path], headers=sent_with(key))
    assert keeps(reply, path)
    return reply


def keeps(reply: Reply, path: str) -> bool:
    return keeps_contract(reply, Endpoint("", path, METHODS[path]))


def keeps_contract(reply: Reply, endpoint: Endpoint) -> bool:
    """Whether the document lists the status, and the body is what it says of it."""
    document = contract().document
    response = document["paths"][endpoint.path][endpoint.method.lower()]["responses"][str(reply.status)]
    if "$ref" in response:
        response = document["components"]["responses"][response["$ref"].rpartition("/")[2]]
    schema = response["content"]["application/json"]["schema"]
    whole = {"$schema": DIALECT, **schema, "components": document["components"]}
    return bool(jsonschema_rs.validator_for(whole).is_valid(content_of(reply)))


def done(service: Service, path: str, body: Json = None, *, key: str = "op-test") -> Json:
    reply = call(service, path, body, key=key)
    assert reply.status == 200, reply.body
    return content_of(reply)


def test_what_is_posted_has_a_schema_and_is_tried_here() -> None:
    assert sorted(BODIES) == [path for path in PATHS if METHODS[path] == "POST"]
    assert all(bool(each.request) == (each.method == "POST") for each in ENDPOINTS.values())


# What each does.


@pytest.mark.parametrize("path", ["/report", "/report-anthropic"])
def test_a_reported_call_is_the_latest(path: str) -> None:
    service = Service()
    assert done(service, path, CALL) == {"status": "ok"}
    noted = {"$sdk": "python", "try": "1", "prompt_id": "counting"}
    assert latest(service) == {
        "createdAt": "2024-01-01T00:00:00.000Z",
        "cacheHit": False,
        "statusCode": 200,
        "errorMessage": None,
        "reqPayload": CALL["reqPayload"],
        "respPayload": CALL["respPayload"],
        "tags": noted,
        "metadata": noted,
    }


def test_a_reported_error_keeps_its_message() -> None:
    service = Service()
    done(
        service, "/report", {**CALL, "respPayload": None, "statusCode": 404, "errorMessage": "no such model"}
    )
    shown = latest(service)
    assert (shown["statusCode"], shown["errorMessage"], shown["respPayload"]) == (404, "no such model", None)


def test_tags_of_this_servers_own_completions_are_updated() -> None:
    service = Service()
    whole = completion(service, asking(metadata={"prompt_id": "counting"}))
    by_id = {"filters": [{"field": "completionId", "equals": whole["id"]}], "tags": {"good": True}}
    assert done(service, "/logs/update-tags", by_id) == {"matchedLogs": 1}
    by_tag = {"filters": [{"field": "metadata.good", "equals": True}], "metadata": {"prompt_id": None}}
    assert done(service, "/logs/update-metadata", by_tag) == {"matchedLogs": 1}
    assert latest(service)["metadata"] == latest(service)["tags"] == {"good": "true"}


def test_an_update_reaches_the_calls_of_its_key_alone() -> None:
    service = Service()
    for key in ("one", "one", "two"):
        done(service, "/report", CALL, key=key)
    update = {"filters": [], "tags": {"a": "b"}}
    assert done(service, "/logs/update-tags", update, key="one") == {"matchedLogs": 2}
    assert done(service, "/logs/update-tags", update, key="three") == {"matchedLogs": 0}
    assert "a" in latest(service, "one")["tags"]
    assert "a" not in latest(service, "two")["tags"]


def test_the_older_cache_never_finds_anything() -> None:
    service = Service()
    completion(service, asking(), op_cache="readWrite")
    assert done(service, "/check-cache", {"requestedAt": 1, "reqPayload": asking()}) == {"respPayload": None}


def test_an_empty_log_is_null() -> None:
    assert done(Service(), "/local-testing-only-get-latest-logged-call") is None


def test_the_log_is_told_the_time() -> None:
    service = Service(Settings(clock="real"))
    done(service, "/report", CALL)
    assert latest(service)["createdAt"] == "2025-01-01T00:00:00.250Z"


# What each refuses.


@pytest.mark.parametrize("path", PATHS)
def test_another_method_is_a_405_that_names_the_right_one(path: str) -> None:
    other = "GET" if METHODS[path] == "POST" else "PUT"
    reply = answer(Service(), BODIES.get(path), path=f"{BASE}{path}", method=other)
    assert (reply.status, content_of(reply)["code"]) == (405, "METHOD_NOT_SUPPORTED")
    assert dict(reply.headers)[b"allow"].decode() == METHODS[path]
    assert keeps(reply, path)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("headers", [{}, {b"authorization": b"Bearer invalid-key"}])
def test_without_a_key_nobody_sees_or_writes_a_log(path: str, headers: dict[bytes, bytes]) -> None:
    service = Service()
    sent = {b"content-type": b"application/json", **headers}
    method = METHODS[path]
    reply = answer(service, BODIES.get(path), path=f"{BASE}{path}", method=method, headers=sent)
    assert reply.status == 401
    assert keeps(reply, path)
    assert latest(service) is None


@pytest.mark.parametrize("path", sorted(BODIES))
@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", "PARSE_ERROR"),
        (b"", "PARSE_ERROR"),
        ([], "BAD_REQUEST"),
        (5, "BAD_REQUEST"),
        ({"x": 1}, "BAD_REQUEST"),
    ],
)
def test_a_bad_body_is_a_400_and_logs_nothing(path: str, body: Json, code: str) -> None:
    service = Service()
    reply = call(service, path, body)
    assert (reply.status, content_of(reply)["code"]) == (400, code)
    assert content_of(reply)["error"] == {"code": code, "message": message_of(reply)}
    assert latest(service) is None


@pytest.mark.parametrize("path", ["/report", "/report-anthropic"])
def test_a_tag_that_is_none_is_refused_where_it_stands(path: str) -> None:
    reply = call(Service(), path, {**CALL, "tags": {"fine": "x", "bad": [1]}})
    assert reply.status == 400
    assert issues_of(reply)[0].startswith("/tags/bad: ")


def test_an_unknown_filter_is_refused_before_anything_is_updated() -> None:
    service = Service()
    done(service, "/report", CALL)
    update = {"filters": [{"field": "modell", "equals": "gpt-4o"}], "tags": {"a": "b"}}
    reply = call(service, "/logs/update-tags", update)
    assert (reply.status, '"model"' in message_of(reply)) == (400, True)
    assert "a" not in latest(service)["tags"]


# Modes of validation.


def test_an_unknown_member_is_refused_or_dropped_and_noted() -> None:
    body = {**CALL, "unknown": 1}
    strict, exact, lenient = (
        call(Service(Settings(validation=validation)), "/report", body) for validation in VALIDATIONS
    )
    assert (strict.status, exact.status, lenient.status) == (400, 400, 200)
    assert "--validation lenient" in message_of(strict)
    assert lenient.notes[0].startswith("strict would refuse /unknown: ")


def test_a_null_member_counts_as_absent() -> None:
    for name in ("receivedAt", "errorMessage", "tags", "unknown"):
        assert done(Service(), "/report", {**CALL, name: None}) == {"status": "ok"}


validations = st.sampled_from(VALIDATIONS)


@pytest.mark.parametrize("path", sorted(BODIES))
def test_a_valid_body_is_taken_or_refused_for_what_no_schema_says(path: str) -> None:
    @brief
    @given(body=valid(SCHEMAS[path]), validation=validations)
    def holds(body: Json, validation: Validation) -> None:
        service = Service(Settings(validation=validation))
        reply = call(service, path, body)
        semantic = ("/filters/", "/tags", "/metadata")
        assert reply.status == 200 or issues_of(reply)[0].startswith(semantic)
        call(service, "/local-testing-only-get-latest-logged-call")

    holds()


@pytest.mark.parametrize("path", sorted(BODIES))
def test_whatever_is_sent_the_answer_is_the_contracts(path: str) -> None:
    @brief
    @given(body=broken(SCHEMAS[path]) | anything, validation=validations)
    def holds(body: Json, validation: Validation) -> None:
        service = Service(Settings(validation=validation))
        assert call(service, path, body).status in (200, 400)
        call(service, "/local-testing-only-get-latest-logged-call")

    holds()


@pytest.mark.parametrize("payload", [None, 0.1, 2**53, "", [], {"a": None, "b": [{}], "😀": "\x00"}])
def test_a_payload_is_data_and_comes_back_as_it_was_sent(payload: Json) -> None:
    service = Service()
    done(service, "/report", {**CALL, "reqPayload": payload})
    assert json.loads(answer(service, path=LATEST, method="GET").body)["reqPayload"] == payload
