"""What is never stored: secrets by name, by shape, and a request's own token, in whatever carries them."""

import argparse
import difflib
import doctest
import json
import statistics
import textwrap
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import quote
from uuid import UUID

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from openpipe_mock.core.eventtexts import joined_texts
from openpipe_mock.core.secrets import MASK, Mask, is_secret, masked, masked_words, may_hide, secret_headers
from openpipe_mock.payloads.vectors import printed
from tests.environments import ROOT

Json = Any

TOKEN = b"op-private-1"
WORDS = st.text(max_size=6) | st.sampled_from(
    [
        *(
            "api_key",
            "API-KEY",
            "a_p_i k-e-y",
            "Passwords",
            "secret",
            "cookie",
            "author",
            "token",
            "auth token",
        ),
        *("sk-abcdef123", "opk_abcdef123", "opk-abcdef123", "Bearer abcdefgh12", "task-management", "sk-1"),
        *(
            '{"api_key": "hunter2"}',
            '{"a": ["x"]}',
            "[1",
            "op-private-1",
            "x op-private-1 y",
            "\u212aey",
            "é",
        ),
    ]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(-1, 1) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=8,
)


def kept(value: Json, token: bytes = b"") -> Json:
    """What is kept of a JSON value."""
    return json.loads(Mask(token).content(json.dumps(value).encode()))


@pytest.mark.parametrize(
    "name",
    [
        *("api_key", "apiKey", "OPENAI-API-KEY", "client secret", "passwords", "Set-Cookie"),
        *("authentication", "x-auth", "X-JWT", "x-session-id", "xSessionId", "x-csrf", "x-signature", "auth"),
        *("credential", "aws_credentials", "pwd", "jwt", "CSRF-Token", "proxy-authentication"),
    ],
)
def test_a_name_tells_a_secret(name: str) -> None:
    assert is_secret(name)
    assert kept({name: "hunter2", "list": [{name: ["hunter2", 1]}]}) == {
        name: MASK,
        "list": [{name: [MASK, MASK]}],
    }


@pytest.mark.parametrize(
    "name",
    [
        "token",
        "max_tokens",
        "secretary",
        "keyboard",
        "prompt_id",
        "authors",
        "author",
        "session_id",
        "signature",
    ],
)
def test_other_names_tell_nothing(name: str) -> None:
    assert kept({name: "hunter2"}) == {name: "hunter2"}


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("use sk-proj_abc123", "use ***"),
        ("opk_abcdef and opk-ghijkl.", "*** and ***."),
        ("Authorization: Bearer abc.def/ghi=", "Authorization: Bearer ***"),
        ("bearer  abcdefgh", "bearer  ***"),
        ("a task-management tool", "a task-management tool"),
        ("AIza" + "Sy0_-" * 7 + ".", "***."),
        ("ghp_" + "a1B2" * 9, "***"),
        ("github_pat_" + "a1_B2" * 9, "***"),
        ("id eyJhbGciOi.eyJzdWIi.sflKxw-_ end", "id *** end"),
        ("see https://user:hunter2@example.com/x", "see https://user:***@example.com/x"),
        ("see postgres://:hunter2@db", "see postgres://:***@db"),
        ("see https://example.com:80/a@b", "see https://example.com:80/a@b"),
        ("AIza, ghp_ and eyJhbGciOi", "AIza, ghp_ and eyJhbGciOi"),
        ("the bearer of news", "the bearer of news"),
        ("sk-1", "sk-1"),
    ],
)
def test_a_shape_tells_a_key(text: str, rest: str) -> None:
    assert kept({"content": text}) == {"content": rest}
    assert kept({text: 1}) == {rest: 1}


@pytest.mark.parametrize(
    "token",
    [b"op-private-1", b"a/b+c/d=", b'with"quote', b"back\\slash", "schlüssel".encode("latin-1"), b"1234567"],
)
def test_the_token_is_kept_nowhere(token: bytes) -> None:
    word = token.decode("latin-1")
    for body in (
        json.dumps({"a": [f"x{word}y"], word: 1, "b": json.dumps({"c": word})}).encode(),
        json.dumps({"a": word}).replace("/", "\\/").encode(),
        json.dumps({"a": word}, ensure_ascii=False).encode(),
        f"no JSON {word}".encode(),
        b"\xff" + token,
    ):
        assert may_hide(body, token)
        found = Mask(token).content(body)
        assert token not in found
        assert word not in found.decode("utf-8", "replace")
        assert word not in json.dumps(readable(found), ensure_ascii=False)


def readable(content: bytes) -> Json:
    try:
        return json.loads(content)
    except ValueError:
        return content.decode("utf-8", "replace")


def test_a_number_that_is_the_token_is_masked_too() -> None:
    assert b"1234567" not in Mask(b"1234567").content(b'{"pin": 1234567}')


def test_a_token_that_may_be_any_word_is_masked_in_headers_alone() -> None:
    assert kept({"content": "a test"}, b"test") == {"content": "a test"}
    assert Mask(b"test").header(b"key test") == MASK.encode()
    assert Mask(b"test").header(b"contest") == b"contest"


def test_what_holds_no_secret_stays_byte_for_byte() -> None:
    body = b'{ "a" : [1.0, "\\u00e9", "secretly"],\n "password": null }'
    assert Mask(TOKEN).content(body) == body


def test_arguments_of_a_call_are_taken_apart() -> None:
    call = {"name": "login", "arguments": json.dumps({"user": "u", "password": "hunter2"})}
    assert json.loads(kept({"function": call})["function"]["arguments"]) == {"user": "u", "password": MASK}


@pytest.mark.parametrize("token", [TOKEN, b"op/private+1", b'op"private\\1', b"abcdef"])
@pytest.mark.parametrize("before", ["", "x", "xy", "xyz"])
def test_the_token_is_masked_in_every_spelling(token: bytes, before: str) -> None:
    plain = before.encode() + token + b" and more"
    for text in (
        plain,
        quote(plain, safe="").encode(),
        b64encode(plain),
        urlsafe_b64encode(plain),
        json.dumps(plain.decode()).encode(),
    ):
        body = json.dumps({"content": text.decode()}).encode()
        assert may_hide(body, token)
        for found in (Mask(token).content(body), Mask(token).text(text.decode()).encode()):
            assert token not in found
            assert MASK.encode() in found


def test_arguments_of_a_call_lose_secrets_by_every_name() -> None:
    arguments = json.dumps(
        {"auth": "hunter2", "pwd": "hunter2", "x-jwt": ["hunter2"], "url": "a://b:hunter2@c"}
    )
    assert "hunter2" not in json.dumps(kept({"arguments": arguments}))


def made_bodies() -> Iterator[bytes]:
    """Bodies that are made from the contract."""
    for endpoint in ("judge", "chat"):
        for line in list(printed(endpoint, True, 5000, 0))[1:]:
            yield orjson.dumps(orjson.loads(line)["body"])


def real_bodies() -> Iterator[bytes]:
    """Bodies with prose, code, hashes of git, uuids, pictures, and addresses."""
    random = Random(22)
    modules = [Path(each.__file__ or "") for each in (argparse, difflib, doctest, statistics, textwrap)]
    pages = [ROOT / "LICENSE", *sorted((ROOT / "schemas" / "sources").glob("*.md"))]
    lines = [path.read_text(encoding="utf-8").splitlines() for path in (*pages, *modules)]
    for _ in range(10_000):
        text = random.choice(lines)
        at, commit = random.randrange(len(text)), random.randbytes(20).hex()
        picture = "data:image/png;base64," + b64encode(random.randbytes(60)).decode()
        told = [
            "\n".join(text[at : at + 4]),
            f"{commit[:7]}: {UUID(bytes=random.randbytes(16))}, {at:,} tokens",
        ]
        if at % 5 == 0:
            told.append(f"https://example.com:8080/{commit}?q=a+b by ada@example.com; eyJ and sk- are words")
        call = {"name": "f", "arguments": json.dumps({"commit": commit, "token": "the"})}
        parts = [{"type": "text", "text": told[0]}, {"type": "image_url", "image_url": {"url": picture}}]
        yield orjson.dumps({"messages": [{"content": each} for each in (*told[1:], parts)], "call": call})


@pytest.mark.slow
@pytest.mark.parametrize("bodies", [made_bodies, real_bodies])
def test_ten_thousand_ordinary_bodies_stay_as_they_are(bodies: Callable[[], Iterator[bytes]]) -> None:
    mask, every = Mask(TOKEN, b"another/Key+1"), list(bodies())
    assert len(every) == 10_000
    assert [body for body in every if may_hide(body, *mask.keys) and mask.content(body) != body] == []


@pytest.mark.parametrize(
    "piece", [b"a.", b"eyJ-", b"a:", b"://", b"http://a:", b"eyJaaaaa.", b"a+", b"sk-", b"ghp_"]
)
def test_looking_for_shapes_takes_a_long_text_once(piece: bytes) -> None:
    """A search that began anew at every piece would take hours."""
    assert len(Mask(b"").text(piece.decode() * 300_000)) > 0


def test_descriptions_of_secrets_stay() -> None:
    schema = {"properties": {"password": {"type": "string"}, "api_key": {"enum": ["a"]}}}
    assert kept({"parameters": schema}) == {"parameters": schema}


@pytest.mark.parametrize(
    "body",
    [
        "password=hunter2&user=u",
        "user=u&api_key=hunter2",
        "{'api-key': 'hunter2'}",
        '{"api_key": "hunter2"',
        '{"api_keys": ["hunter2", "hunter2',
        '{"api_key": "hunt\\"er hunter2',
        '{"arguments": "{\\"password\\": \\"hunter2\\"',
        '{"api\\u005fkey": "hunter2',
        "Cookie: a=b; session hunter2",
        "secret:hunter2",
        'PASSWORD \t=\n "x hunter2 y"}',
    ],
)
def test_a_text_that_is_no_json_loses_its_pairs(body: str) -> None:
    assert may_hide(body.encode(), b"")
    if "Cookie" not in body:
        assert b"hunter2" not in Mask(b"").content(body.encode())


def test_bytes_that_are_no_text_stay() -> None:
    assert Mask(b"").content(b"\xff\xfe{ sk-abcdefg \x80") == b"\xff\xfe{ *** \x80"


@given(value=VALUES)
def test_json_is_masked_as_the_call_log_masks_it(value: Json) -> None:
    """Beside names, shapes count; where there is none of them, both keep the same."""
    plain = masked(value)
    assert kept(plain) == masked(plain, clean=Mask(b"").string)


@given(value=VALUES, ascii=st.booleans())
@example(value={"a_p_i k-e-y": "x"}, ascii=True)
@example(value={"\u212aey api_\u212aey": "x"}, ascii=False)
def test_the_quick_look_never_says_no_where_something_is_masked(value: Json, ascii: bool) -> None:
    body = json.dumps(value, ensure_ascii=ascii).encode()
    for token in (b"", TOKEN):
        if Mask(token).content(body) != body:
            assert may_hide(body, token)


@given(text=st.binary(max_size=60) | WORDS.map(str.encode), token=st.binary(min_size=6, max_size=12))
def test_no_text_keeps_the_token(text: bytes, token: bytes) -> None:
    if b"*" not in token:
        assert token not in Mask(token).content(text + token + text)


@given(value=VALUES)
def test_masking_twice_changes_nothing(value: Json) -> None:
    once = Mask(TOKEN).content(json.dumps(value).encode())
    assert Mask(TOKEN).content(once) == once


def test_the_names_of_headers_that_are_secret() -> None:
    names = (
        b"authorization",
        b"cookie",
        b"x-api-key",
        b"x-amz-security-token",
        b"x-openai-key",
        b"accept",
        b"idempotency-key",
    )
    assert secret_headers(names) == names[:5]


def test_numbers_and_what_stands_below_a_secret_s_name_are_masked() -> None:
    assert kept({"password": 12345, "secrets": {"a": "x", "b": [1, True, None]}, "n": 5}) == {
        "password": MASK,
        "secrets": {"a": MASK, "b": [MASK, True, None]},
        "n": 5,
    }


def test_the_description_of_a_secret_s_value_stays() -> None:
    described = {"type": "object", "properties": {"password": {"type": "string", "maxLength": 9}}}
    for name in ("parameters", "schema", "input_schema"):
        assert kept({"function": {"name": "f", name: described}}) == {
            "function": {"name": "f", name: described}
        }
    assert kept({"parameters": {"password": "hunter2"}}) == {"parameters": {"password": MASK}}


def within(levels: int, value: Json) -> Json:
    """A value as JSON in a text in JSON in a text …"""
    return value if levels == 0 else {"arguments": json.dumps(within(levels - 1, value))}


@pytest.mark.parametrize("levels", range(9))
def test_json_in_json_in_json_is_taken_apart(levels: int) -> None:
    assert "hunter2" not in json.dumps(kept(within(levels, {"password": "hunter2"})))


@pytest.mark.parametrize(
    ("said", "rest"),
    [
        ('Here: {"password": "hunter2", "a": 1}.', 'Here: {"password": ***", "a": 1}.'),
        ("{'api_key': 'hunter2'} it is", "{'api_key': ***'} it is"),
        ("export OPENAI_API_KEY=hunter2 && run", "export OPENAI_API_KEY=*** && run"),
        ("My password: who knows? Secret is what?", "My password: who knows? Secret is what?"),
        ("The secret = love", "The secret = love"),
    ],
)
def test_a_text_loses_its_pairs_and_may_speak_of_secrets(said: str, rest: str) -> None:
    assert kept({"content": said}) == {"content": rest}


def test_a_header_that_holds_the_token_in_other_letters_is_masked() -> None:
    assert Mask(b"op+private/1").header(b"http://x/?k=op%2Bprivate%2f1") == b"http://x/?k=***"
    assert Mask(TOKEN).header(b"http://x/?q=50%25") == b"http://x/?q=50%25"


# Streams


STREAM = (
    b'data: {"choices":[{"delta":{"content":"op-pri"}}]}\n\n'
    b'data: {"id":"x","a":"op-private-1"}\n\n'
    b"data: [DONE]\n\n"
)


def test_a_streams_events_are_masked_one_by_one() -> None:
    assert Mask(TOKEN).stream(STREAM) == STREAM.replace(TOKEN, b"***")


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("spelled", [TOKEN, b64encode(TOKEN), b"opk_abcdef123"])
def test_a_secret_that_several_events_hold_together_is_masked(spelled: bytes, end: bytes) -> None:
    pieces = [b"it is ", *(bytes([each]) for each in spelled), b", he said"]
    events = [b'data: {"choices":[{"index":0,"delta":{"content":"%s"}}]}' % each for each in pieces]
    stream = b"".join(
        event + end + end for event in [b": a comment", b"id: 1" + end + events[0], *events[1:]]
    )
    found = Mask(TOKEN).stream(stream)
    assert "".join(joined_texts(found)) == f"it is {MASK}, he said"
    assert Mask(b"another-1").stream(found) == found


def test_a_stream_that_was_cut_within_a_key_keeps_no_part_of_it() -> None:
    stream = b"".join(b'data: {"choices":[{"delta":{"content":"%c"}}]}\n\n' % each for each in TOKEN[:7])
    assert joined_texts(Mask(TOKEN).stream(stream, cut=True)) == [MASK]
    assert Mask(TOKEN).stream(stream) == stream


def test_a_stream_that_is_none_is_masked_as_a_text() -> None:
    stream = b'data: {"a": "sk-abcdefgh\nevent: password=hunter2\n: x'
    assert Mask().stream(stream) == b'data: {"a": "***\nevent: password=***\n: x'


# Paths and sentences


@pytest.mark.parametrize(
    ("path", "rest"),
    [
        ("/a?api_key=hunter2&b=c", "/a?api_key=***&b=c"),
        ("/a?api%5Fkey=hunter2", "/a?api%5Fkey=***"),
        ("/op-private-1/x", "/***/x"),
        ("/op%2Dprivate%2D1/x", "/***/x"),
        ("/a%20b?c=%64", "/a%20b?c=%64"),
    ],
)
def test_paths_are_masked(path: str, rest: str) -> None:
    assert Mask(TOKEN).path(path) == rest


def test_a_sentence_about_a_secret_quotes_nothing() -> None:
    told = '/metadata/api_key: expected a number, got the string "hun\\"ter2".'
    assert Mask(b"").sentence(told) == '/metadata/api_key: expected a number, got the string "***".'
    assert Mask(TOKEN).sentence('/a: got "op-private-1", "b"') == '/a: got "***", "b"'


# Command lines.


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (["--api-key=hunter22"], ["--api-key=***"]),
        (["--api-key", "hunter22"], ["--api-key", "***"]),
        (["--token", "hunter22", "--verbose"], ["--token", "***", "--verbose"]),
        (["--token", "--verbose"], ["--token", "--verbose"]),
        (["--access_token=a b"], ["--access_token=***"]),
        (["--password", 'it\'s "quoted"'], ["--password", "***"]),
        (["https://ada:hunter22@host/path"], ["https://***@host/path"]),
        (["curl", "-u", "ada:hunter22", "https://host"], ["curl", "-u", "***", "https://host"]),
        (["https://host/?api_key=hunter22&n=1"], ["https://host/?api_key=***"]),
        (["-H", "x-api-key: hunter22"], ["-H", "x-api-key: ***"]),
        (["-H", "Authorization: Bearer hunter22hunter22"], ["-H", "Authorization: Bearer ***"]),
        (["env", "API_KEY=hunter22", "npm"], ["env", "API_KEY=***", "npm"]),
        (["sh", "-c", "npm test --token hunter22 -v"], ["sh", "-c", "npm test --token *** -v"]),
        (["sh", "-c", "MY_TOKEN=hunter22 npm test"], ["sh", "-c", "MY_TOKEN=***"]),
        (["python", "-c", "secret = 'hunter22'"], ["python", "-c", "secret = '***'"]),
        (["echo", "from-env-1"], ["echo", "***"]),
        (["say", "sk-abcdefgh"], ["say", "***"]),
    ],
)
def test_a_command_line_shows_no_secret(words: list[str], shown: list[str]) -> None:
    environment = {"MY_TOKEN_1": "from-env-1", "OPENAI_API_KEY": "op-local", "PATH": "/usr/bin"}
    assert list(masked_words(words, environment, "op-local")) == shown


@pytest.mark.parametrize(
    "words",
    [
        ["npm", "test", "--", "-k", "keyboard", "--keyboard", "x", "--tokens-per-minute", "5"],
        ["pytest", "-k", "test_token or test_key", "/usr/bin", "a:b", "key"],
        ["python", "-c", 'key = {"authorization": "Bearer " + KEY}\nask(key, token=TOKEN)'],
        ["--user", "ada", "https://host:80/a@b", "op-local"],
    ],
)
def test_other_words_of_a_command_line_stay(words: list[str]) -> None:
    environment = {"MY_TOKEN_1": "from-env-1", "OPENAI_API_KEY": "op-local", "PATH": "/usr/bin"}
    assert list(masked_words(words, environment, "op-local")) == words
