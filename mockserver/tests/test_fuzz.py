"""What is parsed here meets texts that nobody would write: each is read, or refused in words, and soon."""

import json
from collections.abc import Callable, Sequence
from functools import partial
from time import thread_time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openpipe_mock.answers.best_of_n import requested
from openpipe_mock.answers.options import read_options
from openpipe_mock.config import file as configfile
from openpipe_mock.config.file import ConfigError
from openpipe_mock.config.settings import Settings
from openpipe_mock.control.api import ROUTES
from openpipe_mock.control.guard import Guard, UnfitFlag, guard
from openpipe_mock.control.parameters import query_arguments
from openpipe_mock.core.errors import ApiError, BadRequest, ParseError
from openpipe_mock.core.resources import folder
from openpipe_mock.core.strictjson import parse
from openpipe_mock.openapi.conversion.convert import ConversionError, convert_page
from openpipe_mock.service.service import Service
from tests.chatting import CHAT, asking
from tests.controlling import Mock
from tests.generate import Strategy, anything, thorough
from tests.inprocess import HEADERS, answer
from tests.live import ATTEMPTS
from tests.profiles import examples

pytestmark = [pytest.mark.slow, pytest.mark.measured]  # what is drawn takes long

Json = Any
long = settings(thorough, max_examples=examples(400))

EXAMPLE = (folder("examples") / "openpipe-mock.yaml").read_bytes()
PAGE = (folder("schemas") / "sources" / "judge-criteria.md").read_bytes()

STRAYS: Sequence[bytes] = (
    *(
        b"",
        b"\x00",
        b"\xff",
        b"\xef\xbb\xbf",
        b"\xed\xa0\x80",
        b"\r",
        b"\n",
        b"\t",
        b" ",
        b"\\",
        b'"',
        b"'",
        b"`",
    ),
    *(
        b"{",
        b"}",
        b"[",
        b"]",
        b":",
        b"- ",
        b"&a ",
        b"*a",
        b"!!python/object/apply:os.system [id]",
        b"!!binary x",
    ),
    *(
        b"<<: *a",
        b"%YAML 9.9\n",
        b"---\n",
        b"...\n",
        b"? ",
        b"| ",
        b"> ",
        b"#",
        b"~",
        b"1e999",
        b"-0",
        b"0x1F",
    ),
    *(
        b"```",
        b"```yaml\n",
        b"# OpenAPI",
        b"$ref: '#/x'\n",
        b"$ref: file:///etc/passwd\n",
        b"null",
        b"true",
        b".nan",
    ),
    *(
        b"9" * 400,
        b"[" * 400,
        b"{a: " * 200,
        b"- " * 200,
        "\u2028\u0085\u202e😀".encode(),
        b"2001-01-01",
        b"1:60:60",
    ),
)


@st.composite
def damaged(draw: st.DrawFn, text: bytes) -> bytes:
    """A text with up to five pieces taken out, said twice, or replaced by what is out of place."""
    for _ in range(draw(st.integers(1, 5))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.sampled_from([0, 1, 2, 5, 30, 300])))
        piece = draw(st.sampled_from(STRAYS) | st.binary(max_size=6) | st.just(text[start:end] * 2))
        text = text[:start] + piece + text[end:]
    return text


def outcome(read: Callable[[], Any], refusal: type[Exception]) -> tuple[Any, Any]:
    """What was read, or why it was refused. Anything else that is raised fails the test."""
    try:
        return read(), None
    except refusal as error:
        return None, error


# The config file and the pages


@long
@given(damaged(EXAMPLE) | st.lists(st.sampled_from(STRAYS), max_size=8).map(b"".join))
def test_a_config_file_is_read_or_refused_line_by_line(data: bytes) -> None:
    found, error = outcome(lambda: configfile.read_config(data, "mock.yaml"), ConfigError)
    assert error or isinstance(found, Settings)
    for line in str(error or "").splitlines():
        assert line.startswith("mock.yaml:")
        assert line.isprintable()


@long
@given(damaged(PAGE))
def test_a_page_is_converted_or_refused(data: bytes) -> None:
    part, error = outcome(lambda: convert_page(data.decode("utf-8", "replace")), ConversionError)
    assert str(error) if error else part["paths"]


BOMBS = {
    "aliases of aliases": b"a0: &a0 [x, x]\n"
    + b"".join(b"a%d: &a%d [*a%d, *a%d]\n" % (n, n, n - 1, n - 1) for n in range(1, 60)),
    "merges of merges": b"a0: &a0 {x: 1}\n"
    + b"".join(b"a%d: &a%d {<<: [*a%d, *a%d], y%d: 1}\n" % (n, n, n - 1, n - 1, n) for n in range(1, 60)),
    "an alias inside itself": b"seed: &a [*a]\n",
    "lists in lists": b"seed: " + b"[" * 20_000,
    "objects in objects": b"{a: " * 20_000,
    "dashes": b"- " * 20_000,
    "keys that are lists": b"? [1, 2]\n: x\n" * 2000,
    "one long line": b"seed: '" + b"x" * 500_000,
    "many documents": b"---\nseed: 1\n" * 5000,
    "many names": b"".join(b"name%d: 1\n" % n for n in range(5000)),
    "a costly pattern": b"criteria: {a: {rules: [{when: {output: {matches: '"
    + b"(a+)+" * 200
    + b"$'}}, score: 1}]}}",
    "a number of many digits": b"seed: " + b"9" * 200_000,
}


def seconds(data: bytes) -> float:
    """How long the processor is busy with reading a config file."""
    started = thread_time()
    outcome(lambda: configfile.read_config(data), ConfigError)
    return thread_time() - started


@pytest.mark.parametrize("name", BOMBS)
def test_a_config_file_that_is_made_to_cost_is_done_with_soon(name: str) -> None:
    """Measured against the example, a hundredth of the size of some; on a loaded machine, again."""
    assert any(seconds(BOMBS[name]) < 100 * seconds(EXAMPLE) for _ in range(ATTEMPTS))


# Headers and queries


TAGS = b'{"prompt_id": "getCompletion", "any": 1, "ok": true, "n": null}'
CRITERIA = b'["helpful@v1", "concise", "helpful@latest", "a/b@v2"]'
JSON_STRAYS = st.sampled_from(
    [
        b"\\ud800",
        b"NaN",
        b"1e999",
        b"[" * 300,
        b'{"a":' * 300,
        b'"mock-score-0.5"',
        b"\xff",
        b"@v0",
        b"@v99999999999999999999",
    ]
)


def headers_near(text: bytes) -> Strategy:
    sprinkled = st.tuples(damaged(text), JSON_STRAYS).map(b"".join)
    return damaged(text) | sprinkled | st.binary(max_size=30) | anything.map(json.dumps).map(str.encode)


@long
@given(headers_near(TAGS), headers_near(b"readWrite"), headers_near(b"true"))
def test_options_are_read_or_refused(tags: bytes, cache: bytes, log: bytes) -> None:
    for headers in ({b"op-tags": tags}, {b"op-cache": cache}, {b"op-log-request": log}):
        found, error = outcome(partial(read_options, headers), BadRequest)
        assert json.dumps(error.body()) if error else isinstance(found.tags, dict)


@long
@given(headers_near(CRITERIA))
def test_criteria_are_read_or_refused(header: bytes) -> None:
    found, error = outcome(lambda: requested(header), ApiError)
    if error:
        assert error.status in (400, 404)
        assert json.dumps(error.body())
    else:
        assert all(key in (each.name, str(each)) for key, each in found.items())


@thorough
@given(headers_near(CRITERIA), headers_near(TAGS))
def test_a_chat_with_any_such_headers_is_answered(criteria: bytes, tags: bytes) -> None:
    headers = {**HEADERS, b"op-criteria": criteria, b"op-tags": tags, b"op-cache": b"true"}
    reply = answer(Service(), asking(max_tokens=1), path=CHAT, headers=headers)
    assert reply.status < 500
    json.loads(reply.body)


@thorough
@given(damaged(b"session=a&limit=5&status=4xx&endpoint=judge") | st.binary(max_size=40))
def test_a_query_is_read_or_refused(query: bytes) -> None:
    known = ("session", "limit", "status", "endpoint")
    found, error = outcome(lambda: query_arguments(query, known), BadRequest)
    assert error or found.keys() <= set(known)


@thorough
@given(st.text(max_size=20), st.text(max_size=20), st.text(max_size=20))
def test_flags_of_the_guard_are_read_or_refused(token: str, network: str, host: str) -> None:
    for build in (lambda: guard(token), lambda: guard(networks=[network]), lambda: guard(hosts=[host])):
        found, error = outcome(build, UnfitFlag)
        assert str(error).startswith("--") if error else isinstance(found, Guard)


# Bodies


BODY = json.dumps({"a": [1, -2.5e3, "é\\u0041\n", None, True, {"b": []}], "": 0}).encode()


@long
@given(damaged(BODY))
def test_json_means_what_it_means_elsewhere_or_is_refused(body: bytes) -> None:
    found, error = outcome(lambda: parse(body), ParseError)
    assert error or json.dumps(found) == json.dumps(json.loads(body))


WORTHY = (
    b'{"score": 0.5, "explanation": "x", "flip_share": 0.1}',
    b'{"v1": {"uniform": [0, 1]}, "v2": {"sequence": [0, 1], "then": "last"}}',
    b'[{"when": {"last_user": {"matches": "a+"}, "header": {"x": "y"}}, "text": "y", "name": "z"}]',
    b'[{"when": {"endpoint": "judge"}, "first": 1, "status": 429, "retry_after": 1, "delay_ms": 5}]',
    b'{"requests_per_minute": 5, "concurrent": 2}',
    b'{"when": {"endpoint": "chat", "criteria": ["a"]}, "at_least": 1}',
    b'{"name": "s"}',
)
CHANGING = [(route.method, route.path) for route in ROUTES if route.body]


@long
@given(
    st.sampled_from(CHANGING),
    st.sampled_from(WORTHY).flatmap(damaged),
    st.sampled_from(["x", "x@v2", "@", "\ud800", "%2F"]),
)
def test_whatever_is_set_at_runtime_is_set_or_refused_and_the_mock_goes_on(
    route: tuple[str, str], body: bytes, argument: str
) -> None:
    """`Mock.ask` holds each answer against the control API's document."""
    mock = Mock()
    method, path = route
    assert mock.ask(method, path.replace("{id}", argument), body).status < 500
    mock.json("GET", "/criteria")
    mock.json("GET", "/completions")
    mock.json("GET", "/faults")
    assert mock.judge("x").status
    assert mock.chat().status
