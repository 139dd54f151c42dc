"""What a mock exports: a file without secrets, with which another mock answers the same."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from openpipe_mock.answers.scorers import Declared, Form, Scorer
from openpipe_mock.config import file as configfile
from openpipe_mock.config.export import exported
from openpipe_mock.config.file import Mistakes, read_config
from openpipe_mock.config.project import Model, Project
from openpipe_mock.config.settings import Settings
from openpipe_mock.core.effects import Head, Reply, Wait
from openpipe_mock.core.reading import At
from openpipe_mock.core.yamltext import read_yaml
from openpipe_mock.service.service import Service
from tests.config.test_any_settings import headers, requests
from tests.configurations import configs
from tests.controlling import Mock, score
from tests.environments import ROOT
from tests.generate import brief
from tests.inprocess import HEADERS, answer

Json = Any

EXAMPLE = (ROOT / "examples" / "openpipe-mock.yaml").read_bytes()
KEYS = {
    "OPENPIPE_KEY_1": "op-local",
    "OPENPIPE_READ_ONLY_KEY_1": "op-reader",
    "OPENPIPE_READ_ONLY_KEY_2": "~!",
}


def text_of(settings: Settings, **options: Any) -> str:
    return "".join(f"{line}\n" for line in exported(settings, **options))


def read(text: str, keys: Mapping[str, str] = KEYS) -> Settings:
    """The settings of a file that is read where these variables are set."""
    with patch.dict(os.environ, keys):
        return read_config(text.encode())


def test_the_example_comes_out_as_it_is_written_but_for_its_keys() -> None:
    text = text_of(read_config(EXAMPLE))
    written = read_yaml(EXAMPLE).value
    auth = {"keys": [{"env": "OPENPIPE_KEY_1"}], "read_only_keys": [{"env": "OPENPIPE_READ_ONLY_KEY_1"}]}
    limits = {name: each for name, each in written.pop("limits").items() if each is not None}
    assert read_yaml(text.encode()).value == {
        **written,
        "auth": auth,
        **({"limits": limits} if limits else {}),
    }
    assert "op-local" not in text
    assert read(text) == read_config(EXAMPLE)


def test_what_defaults_say_is_written_out() -> None:
    assert read_yaml(text_of(Settings()).encode()).value == {
        "version": 1,
        "answers": 2,
        "seed": 0,
        "validation": "strict",
        "ids": "content",
        "clock": "fixed",
        "repeat": "same",
        "auto_tools": "mention",
        "prompt_schemas": True,
        "magic": True,
        "unknown_criteria": "judge",
    }


@brief
@given(
    config=configs,
    made=st.lists(st.tuples(requests, headers), min_size=1, max_size=3),
    auth=st.sampled_from(["op-local", "op-reader"]),
)
def test_any_config_answers_the_same_once_it_is_exported(
    config: Json, made: list[tuple[tuple[str, Json], Mapping[bytes, bytes]]], auth: str
) -> None:
    try:
        settings = configfile.settings(config)
    except Mistakes:
        assume(False)
    again = read(text_of(settings))
    for (path, body), sent in made:
        keyed = {**HEADERS, **sent, b"authorization": f"Bearer {auth}".encode()}
        first, second = (spoken(each, path, body, keyed) for each in (settings, again))
        assert first == second


def spoken(settings: Settings, path: str, body: Json, sent: Mapping[bytes, bytes]) -> list[Json]:
    """What a fresh mock answers to the same request, three times."""
    service = Service(settings)
    return [bare(answer(service, body, path=path, headers=sent, at=at)) for at in (0.0, 1.0, 61.0)]


def bare(reply: Reply) -> Json:
    return reply.status, reply.body, reply.headers


# What was set at runtime.


def test_what_a_session_set_comes_before_what_the_file_says() -> None:
    mock = Mock(configfile.settings({"completions": [{"text": "file"}], "criteria": {"a": {"score": 1}}}))
    mock.json("POST", "/completions", {"when": {"last_user": "x"}, "text": "runtime"}, status=201)
    mock.json("POST", "/faults", {"when": {"model": "down"}, "status": 503}, status=201)
    mock.json("PUT", "/criteria/a@v2", {"score": 0.25})
    mock.json("PUT", "/limits", {"requests_per_minute": 9})
    reply = mock.ask("GET", "/config")
    assert dict(reply.headers)[b"content-type"] == b"application/yaml"
    assert (b"cache-control", b"no-store") in reply.headers
    again = Mock(read_config(reply.body))
    assert again.ask("GET", "/config").body == reply.body
    for asking in ("x", "y"):
        assert again.chat(asking).body == mock.chat(asking).body
    assert score(again.judge("a")) == score(mock.judge("a")) == 0.25
    assert again.judge("a@v1").body == mock.judge("a@v1").body
    assert again.chat("x", model="down").status == 503
    assert again.service.settings.limits == mock.control.in_force(mock.service.sessions.default).limits


def test_a_session_exports_its_own() -> None:
    mock = Mock()
    mock.json("PUT", "/criteria/helpful", {"score": 0.5}, query="session=w1")
    assert b"helpful" not in mock.ask("GET", "/config").body
    assert b"helpful: {score: 0.5}" in mock.ask("GET", "/config", query="session=w1").body
    assert mock.ask("GET", "/config", query="session=w2").status == 404


def test_in_a_test_what_is_unscripted_stays_refused() -> None:
    mock = Mock(configfile.settings({"completions": [{"when": {"last_user": "x"}, "text": "a"}]}))
    assert b"unscripted" not in mock.ask("GET", "/config").body
    mock.service.sessions.default.in_test = True
    again = Mock(read_config(mock.ask("GET", "/config").body))
    assert (again.chat("y").status, again.chat("x").status) == (404, 200)


def test_many_lines_let_other_requests_have_their_turn() -> None:
    scripts = [{"when": {"last_user": f"{each}"}, "text": f"{each}"} for each in range(600)]
    control = Mock(configfile.settings({"completions": scripts})).control
    exchange = control.exchange(Head("GET", "/_mock/config", {}))
    assert next(exchange) == Wait(0)
    with pytest.raises(StopIteration) as stop:
        next(exchange)
    assert len(read_config(stop.value.value.body).completions) == 600


# What no file holds.


@dataclass(frozen=True, slots=True)
class Asked(Scorer):
    """A scorer that a file can't name, as a test's function is."""

    key = "by"
    function: str


def test_what_no_file_holds_is_a_comment() -> None:
    asked = Form(Asked("mock.criterion(id).by(grade)\nx: 1"))
    fixed = Form.read({"score": 0.5}, At(""))
    settings = replace(
        configfile.settings({"seed": 1}),
        criteria={"a": Declared({1: fixed, 2: asked}), "b": Declared({1: asked})},
        variant="no-done",
        max_body_bytes=100,
        project=Project(models={"mine": Model("mine")}),
    )
    text = text_of(settings, recordings="3 recordings in tapes")
    assert [line for line in text.splitlines() if line.startswith("#")] == [
        "# Recordings answer first, which no key says: 3 recordings in tapes",
        "# The datasets and models that clients made or deleted aren't here: no key says them.",
        "# a@v2 is judged by a function, which no file can hold: mock.criterion(id).by(grade)\ufffdx: 1",
        "# b@v1 is judged by a function, which no file can hold: mock.criterion(id).by(grade)\ufffdx: 1",
        "# Start the mock with --max-body-bytes 100, which no key says.",
        "# The answers come under the variant no-done, which no key says.",
    ]
    found = read(text)
    assert (list(found.criteria), found.judges_unknown) == (["a"], False)


def test_no_secret_is_in_it() -> None:
    key, other = "op-secret-123", "sk-abcdef123456"
    config = {
        "auth": {"keys": [key, {"env": "OPENPIPE_KEY_1"}]},
        "completions": [
            {
                "when": {"header": {"Authorization": {"equals": "Basic abc"}, "x-test": "slow"}},
                "text": f"a {key}",
            },
            {"name": key, "raw": {key: [other]}, "headers": {"set-cookie": "id=abc", "x-other": "z"}},
        ],
        "faults": [{"status": 500, "message": f"no {key}", "when": {"last_user": {"contains": other}}}],
    }
    with patch.dict(os.environ, {"OPENPIPE_KEY_1": "op-hidden-456"}):
        text = text_of(configfile.settings(config))
    assert [word for word in (key, other, "op-hidden-456", "abc") if word in text] == []
    assert text.startswith("# *** stands for a secret; write it anew.\n")
    assert "auth: {keys: [{env: OPENPIPE_KEY_2}, {env: OPENPIPE_KEY_1}]}" in text
    assert "reads this file: OPENPIPE_KEY_2, OPENPIPE_KEY_1\n" in text
    assert "x-test: slow" in text
    assert "x-other: z" in text


# Keys in variables.


def test_a_key_may_stand_in_a_variable() -> None:
    settings = read(
        "auth: {keys: [{env: MY_KEY}, b], read_only_keys: [{env: MY_READER}]}",
        {"MY_KEY": "a", "MY_READER": "c"},
    )
    assert (settings.keys, settings.read_only_keys) == (("a", "b"), ("c",))


@pytest.mark.parametrize("value", ["", "my key", "schlüssel"])
def test_a_variable_without_a_key_is_a_mistake_that_does_not_repeat_it(value: str) -> None:
    with pytest.raises(configfile.ConfigError) as caught:
        read("auth: {keys: [{env: MY_KEY}]}", {"MY_KEY": value})
    assert str(caught.value).endswith(
        "/auth/keys/0: the environment variable MY_KEY holds no key of printable ASCII characters without "
        "white space."
    )


def test_a_key_of_two_kinds_is_found_behind_its_variable() -> None:
    with pytest.raises(configfile.ConfigError, match='stands under "keys" too'):
        read("auth: {keys: [a], read_only_keys: [{env: MY_KEY}]}", {"MY_KEY": "a"})
