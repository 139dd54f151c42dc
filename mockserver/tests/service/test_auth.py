"""Keys that the settings name: who may do what on every endpoint, and that no answer repeats a key."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openpipe_mock.config.settings import Settings
from openpipe_mock.core.errors import Unauthorized
from openpipe_mock.openapi.endpoints import BASE, ENDPOINTS
from openpipe_mock.service.admission import authorize
from openpipe_mock.service.service import Service
from tests.chatting import CHAT, asking, chunks, latest, refused, sent_with
from tests.generate import thorough
from tests.inprocess import HEADERS, answer, content_of, having, holds, message_of
from tests.projects import BODIES, prepared, send

Json = Any

SETTINGS = Settings(keys=("op-local", "op-other"), read_only_keys=("op-reader",))
OWN = asking(model="openpipe:my-model")


def test_every_endpoint_is_tried_here() -> None:
    assert {name for name, each in ENDPOINTS.items() if each.method == "POST"} == set(BODIES)
    assert {name for name, each in ENDPOINTS.items() if each.writes} == set(WRITING)


@pytest.mark.parametrize("endpoint", ENDPOINTS)
@pytest.mark.parametrize("key", ["op-local", "op-other"])
def test_a_key_that_is_named_may_do_all(endpoint: str, key: str) -> None:
    assert send(prepared(SETTINGS), endpoint, key=key).status == 200


WRITING = (
    *("report", "report-anthropic", "update-tags", "update-metadata"),
    *("create-dataset", "delete-dataset", "create-entries", "create-model", "delete-model"),
    *("unstable-create-dataset", "unstable-delete-dataset", "unstable-create-entries"),
    *("unstable-create-model", "unstable-delete-model"),
)


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_a_read_only_key_may_do_all_but_write(endpoint: str) -> None:
    reply = send(prepared(SETTINGS), endpoint, key="op-reader")
    if endpoint in WRITING:
        assert (reply.status, content_of(reply)["code"]) == (401, "UNAUTHORIZED")
        assert dict(reply.headers)[b"www-authenticate"] == b"Bearer"
        assert message_of(reply).startswith("Unauthorized: this key is read-only")
    else:
        assert reply.status == 200


@pytest.mark.parametrize("endpoint", ENDPOINTS)
@pytest.mark.parametrize(
    "key",
    [
        None,
        "",
        "op-loca",
        "op-local2",
        "OP-LOCAL",
        "op-reader2",
        "op",
        "op-local,op-other",
        "invalid",
        "op-loc\xe4l",
    ],
)
def test_any_other_key_may_do_nothing(endpoint: str, key: str | None) -> None:
    reply = send(prepared(SETTINGS), endpoint, key=key)
    assert (reply.status, content_of(reply)["code"]) == (401, "UNAUTHORIZED")
    if endpoint in ("judge", "chat"):
        assert holds(reply, f"{BASE}{ENDPOINTS[endpoint].path}")


@pytest.mark.parametrize("key", ["anything", "op-reader"])
def test_where_only_read_only_keys_are_named_every_other_key_may_do_all(key: str) -> None:
    service = Service(Settings(read_only_keys=("op-reader",)))
    assert send(service, "report", key=key).status == (401 if key == "op-reader" else 200)
    assert send(service, "judge", key=key).status == 200


def test_a_request_without_a_key_is_told_which_will_do() -> None:
    told: dict[tuple[str, ...], str] = {}
    for keys in ((), ("op-1",)):
        service = Service(Settings(keys=keys))
        told[keys] = message_of(answer(service, having(), headers={b"content-type": b"application/json"}))
    assert told[()].endswith("this mock takes any key.")
    assert told[("op-1",)].endswith("this mock takes one of those that it was told to accept.")


@pytest.mark.parametrize("token", [b"op-local ", b"  op-local", b"op-local\t"])
def test_white_space_around_a_key_says_nothing(token: bytes) -> None:
    headers = {**HEADERS, b"authorization": b"bearer " + token}
    assert answer(Service(SETTINGS), having(), headers=headers).status == 200


def test_a_key_that_is_named_may_begin_with_invalid() -> None:
    assert send(Service(Settings(keys=("invalid-1",))), "judge", key="invalid-1").status == 200
    assert send(Service(Settings(keys=("invalid-1",))), "judge", key="invalid-2").status == 401


# Models that a read-only key may use.


@pytest.mark.parametrize("model", ["openpipe:x", "openpipe:", "openpipe:mock-echo"])
@pytest.mark.parametrize("stream", [False, True])
def test_a_read_only_key_completes_with_the_projects_own_models(model: str, stream: bool) -> None:
    reply = send(Service(SETTINGS), "chat", asking(model=model, stream=stream), key="op-reader")
    assert reply.status == 200
    assert chunks(reply) if stream else holds(reply, CHAT)


@pytest.mark.parametrize(
    "model", ["gpt-4o", "openai:gpt-4o", "anthropic:x", "OpenPipe:x", "xopenpipe:y", "", "mock-echo"]
)
@pytest.mark.parametrize("stream", [False, True])
def test_a_read_only_key_completes_with_no_other_model(model: str, stream: bool) -> None:
    service = Service(SETTINGS)
    body = asking(model=model, stream=stream)
    sentence = refused(send(service, "chat", body, key="op-reader"), 403, "FORBIDDEN")
    assert '"openpipe:"' in sentence
    assert send(service, "chat", body, key="op-local").status == 200


def test_what_is_wrong_with_a_body_comes_before_the_model() -> None:
    reply = send(Service(SETTINGS), "chat", asking(model="gpt-4o", n=0), key="op-reader")
    assert reply.status == 400


def test_a_read_only_keys_completions_are_not_logged() -> None:
    service = Service(SETTINGS)
    for body in (OWN, asking(model="gpt-4o"), {**OWN, "n": 0}):
        send(service, "chat", body, key="op-reader")
    assert latest(service, "op-reader") is None
    assert send(service, "chat", key="op-local").status == 200
    assert latest(service, "op-local") is not None


def test_a_read_only_key_uses_criteria_and_cache() -> None:
    service = Service(Settings(read_only_keys=("op-reader",), repeat="vary"))
    headers = sent_with("op-reader", op_criteria=["a"], op_cache="readWrite")
    one, other = (answer(service, OWN, path=CHAT, headers=headers) for _ in range(2))
    assert one.body == other.body
    assert "a" in content_of(one)["choices"][0]["criteria_results"]


# No answer repeats a key.


@pytest.mark.parametrize("endpoint", ENDPOINTS)
@pytest.mark.parametrize("key", ["s3cret-full", "s3cret-reader", "s3cret-wrong", "invalid-s3cret"])
def test_no_answer_repeats_a_key_or_names_those_that_would_do(endpoint: str, key: str) -> None:
    service = prepared(keys=("s3cret-full",), read_only_keys=("s3cret-reader",))
    bodies: tuple[Json, ...] = (None, [], asking(model="gpt-4o"))
    for body in bodies:
        assert "s3cret" not in repr(send(service, endpoint, body, key=key))


tokens = st.sampled_from(["op-local", "op-reader", "op-loca", "invalid", "invalid-1", "x"]) | st.text(
    st.characters(codec="latin-1", exclude_categories=["Cc", "Zs"]), min_size=1, max_size=6
)


@thorough
@given(token=tokens, keys=st.sets(tokens, max_size=3), readers=st.sets(tokens, max_size=3))
def test_a_token_is_a_key_exactly_when_it_is_named_or_any_will_do(
    token: str, keys: set[str], readers: set[str]
) -> None:
    headers = {b"authorization": b"Bearer " + token.encode("latin-1")}
    named = token in keys | readers
    if named or (not keys and not token.startswith("invalid")):
        assert authorize(headers, keys, readers) == token.encode("latin-1")
        return
    with pytest.raises(Unauthorized) as caught:
        authorize(headers, keys, readers)
    assert json.dumps(caught.value.body())
