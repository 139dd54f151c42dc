"""The `op-*` headers: what each value asks for, and that any other value is refused with advice."""

import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openpipe_mock.answers.options import HeaderOptions, read_options
from openpipe_mock.core.errors import BadRequest
from openpipe_mock.service.service import Service
from tests.chatting import ask, asking, latest, refused
from tests.generate import thorough
from tests.inprocess import HEADERS, MINIMAL, answer

SEEN_IN_TAGS = [
    (b"", 'got ""'),
    (b"prompt", 'got "prompt"'),
    (b"{'a': 1}", "got \"{'a': 1}\""),
    (b'{"a": 1,}', "expected a JSON object"),
    (b"\xff", "expected a JSON object"),
    (b"null", "got null"),
    (b"[]", "got an array of 0"),
    (b'"a"', 'got the string "a"'),
    (b"{" * 3000, "expected a JSON object"),
]


def refusal(**headers: bytes) -> str:
    with pytest.raises(BadRequest) as caught:
        read_options({name.replace("_", "-").encode(): value for name, value in headers.items()})
    [issue] = caught.value.issues
    assert issue in caught.value.message
    return issue


def test_without_headers_a_call_is_neither_logged_nor_cached() -> None:
    options = HeaderOptions(log=None, tags={}, reads_cache=False, writes_cache=False, criteria=None)
    assert read_options({}) == options
    assert read_options({b"op-tags": b"{}"}).log is True


@pytest.mark.parametrize(
    ("value", "reads", "writes"),
    [
        (b"readWrite", True, True),
        (b"readOnly", True, False),
        (b"writeOnly", False, True),
        (b"true", True, True),
        (b"false", False, False),
        (b" readWrite ", True, True),
    ],
)
def test_each_mode_of_the_cache(value: bytes, reads: bool, writes: bool) -> None:
    found = read_options({b"op-cache": value})
    assert (found.reads_cache, found.writes_cache) == (reads, writes)


@pytest.mark.parametrize("value", [b"", b"True", b"readwrite", b"readWrit", b"1", b"off", b"\xff", b"null"])
def test_an_unknown_mode_of_the_cache_is_refused_with_those_that_there_are(value: bytes) -> None:
    issue = refusal(op_cache=value)
    assert issue.startswith(
        'header op-cache: expected "readWrite", "readOnly", "writeOnly", "true" or "false"'
    )


def test_a_misspelt_mode_is_guessed() -> None:
    assert refusal(op_cache=b"readwrite").endswith('Did you mean "readWrite"?')


@pytest.mark.parametrize(("value", "log"), [(b"true", True), (b"false", False), (b" false", False)])
def test_whether_a_call_is_logged(value: bytes, log: bool) -> None:
    assert read_options({b"op-log-request": value}).log is log


@pytest.mark.parametrize("value", [b"", b"0", b"False", b"no", b"nul"])
def test_another_word_about_logging_is_refused(value: bytes) -> None:
    issue = refusal(op_log_request=value)
    assert issue.startswith('header op-log-request: expected "true" or "false", got ')


def test_tags_are_read_as_they_were_sent() -> None:
    sent = {"$sdk": "python", "$sdk.version": "5.0.0", "try": 2, "hot": True, "gone": None, "ü": "😀"}
    assert read_options({b"op-tags": json.dumps(sent).encode()}).tags == sent


@pytest.mark.parametrize(("value", "seen"), SEEN_IN_TAGS)
def test_tags_that_are_no_object_are_refused(value: bytes, seen: str) -> None:
    issue = refusal(op_tags=value)
    assert issue.startswith("header op-tags: expected a JSON object, got ")
    assert seen in issue


@pytest.mark.parametrize(("value", "seen"), SEEN_IN_TAGS)
def test_tags_that_are_no_object_are_a_400(value: bytes, seen: str) -> None:
    message = refused(ask(Service(), asking(), op_tags=value))
    assert message.startswith("Failed to parse tags: header op-tags: ")
    assert seen in message


@pytest.mark.parametrize("value", [{"a": {}}, {"a": []}, {"a": [1]}, {"b": "fine", "a": {"b": None}}])
def test_a_tag_that_is_no_scalar_is_refused_and_named(value: object) -> None:
    sentence = refused(ask(Service(), asking(), op_tags=value))
    assert sentence.startswith("Failed to parse tags: header op-tags/a: ")


def test_what_no_header_may_say_is_refused_before_anything_is_answered_or_logged() -> None:
    service = Service()
    for name, value in {"op_cache": "always", "op_tags": "x", "op_log_request": "never"}.items():
        refused(ask(service, {"model": 5}, key="op-test", **{name: value}))
    assert latest(service) is None


@pytest.mark.parametrize("endpoint_ignores", [b"op-cache", b"op-tags", b"op-criteria", b"op-log-request"])
def test_options_are_the_chat_endpoints_alone(endpoint_ignores: bytes) -> None:
    assert answer(Service(), MINIMAL, headers={**HEADERS, endpoint_ignores: b"nonsense"}).status == 200


@thorough
@given(
    name=st.sampled_from([b"op-cache", b"op-tags", b"op-log-request"]),
    value=st.binary(max_size=12) | st.dictionaries(st.text(max_size=3), st.integers(0, 9)).map(orjson.dumps),
)
def test_any_value_is_read_or_refused_in_a_sentence_about_its_header(name: bytes, value: bytes) -> None:
    issues: tuple[str, ...] = ()
    try:
        read_options({name: value})
    except BadRequest as error:
        issues = error.issues
    assert all(issue.startswith(f"header {name.decode()}: expected ") for issue in issues)
