"""Whatever the settings say, short of faults and raw values: every answer is what the contract says."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from openpipe_mock.answers.pace import Pace
from openpipe_mock.answers.scorers import (
    ByOutput,
    Declared,
    Drawn,
    Failing,
    Fixed,
    Form,
    JudgeRule,
    Length,
    Near,
    PassRate,
    Rules,
    Sequence,
    Uniform,
)
from openpipe_mock.answers.scripts import Script, ScriptedCall, ScriptedChoice
from openpipe_mock.config import file as configfile
from openpipe_mock.config.file import Mistakes
from openpipe_mock.config.limits import Limits
from openpipe_mock.config.settings import Settings
from openpipe_mock.core.effects import Reply
from openpipe_mock.matching.conditions import Condition, When, demand
from openpipe_mock.service.service import Service
from tests.chatting import CHAT, chats, chunks, joined
from tests.configurations import configs
from tests.generate import VALIDATIONS, Strategy, anything, brief, broken, texts, valid
from tests.inprocess import HEADERS, JUDGE, answer, answer_validator, content_of, statuses

Json = Any

# Settings.

shares: Strategy = st.sampled_from([0.0, 0.3, 1.0])
numbers: Strategy = st.sampled_from([-1e300, -0.5, -0.0, 0.0, 0.123456789, 0.7, 1.0, 1e300])
patterns: Strategy = st.sampled_from(["", r"\d", "(?i)count", "^$", "😀"])
demands: Strategy = st.one_of(
    st.builds(demand, st.sampled_from(["equals", "contains"]), texts),
    st.builds(demand, st.just("matches"), patterns),
    st.builds(demand, st.just("glob"), st.sampled_from(["*", "openai:*", "?", "[a-z]*", "["])),
)
keyed: Strategy = st.one_of(
    st.tuples(
        st.sampled_from(["last_user", "system", "output", "tool", "model", "endpoint", "criterion"]),
        st.just(""),
    ),
    st.tuples(st.just("messages"), st.sampled_from(["user", "assistant", "tool", "function"])),
    st.tuples(st.just("header"), st.sampled_from(["op-criteria", "X-Other"])),
    st.tuples(st.just("metadata"), st.sampled_from(["prompt_id", ""])),
)
conditions: Strategy = st.builds(
    lambda part, made: Condition(part[0], part[1], tuple(made)),
    keyed,
    st.lists(demands, min_size=1, max_size=2),
)
whens: Strategy = st.lists(conditions, max_size=2).map(lambda made: When(tuple(made)))

plain_scorers: Strategy = st.one_of(
    st.builds(Drawn),
    st.builds(Fixed, numbers),
    st.tuples(numbers, numbers).map(lambda pair: Uniform(*sorted(pair))),
    st.builds(Near, numbers, st.sampled_from([0.0, 0.05, 1e300])),
    st.builds(PassRate, shares),
    st.tuples(st.integers(0, 50), st.integers(1, 50)).map(lambda pair: Length(pair[0], sum(pair))),
    st.builds(Failing, st.integers(400, 599), texts),
)


def forms_with(scorers: Strategy) -> Strategy:
    return st.builds(
        Form,
        scorers,
        explanation=st.none() | texts,
        usage=st.none() | st.integers(0, 9),
        flip_share=shares,
        decimals=st.none() | st.integers(0, 6),
    )


def scorers_of(inner: Strategy) -> Strategy:
    rules = st.builds(JudgeRule, whens, inner, st.just("/rules/0"))
    return st.one_of(
        st.builds(Rules, st.lists(rules, max_size=2).map(tuple), inner),
        st.builds(ByOutput, st.dictionaries(texts, inner, max_size=2), inner),
        st.builds(
            Sequence,
            st.lists(inner, min_size=1, max_size=3).map(tuple),
            st.sampled_from(["repeat", "last", "fail"]),
        ),
    )


forms: Strategy = st.recursive(
    forms_with(plain_scorers), lambda inner: forms_with(scorers_of(inner)), max_leaves=4
)
declared: Strategy = st.dictionaries(st.sampled_from([1, 2, 7]), forms, min_size=1, max_size=2).map(Declared)

calls: Strategy = st.builds(ScriptedCall, st.sampled_from(["get_weather", "count", "x"]), texts)
reasons: Strategy = st.sampled_from([None, "stop", "length", "tool_calls", "content_filter", "function_call"])
scripted: Strategy = st.one_of(
    st.builds(ScriptedChoice, text=texts, finish_reason=reasons),
    st.builds(ScriptedChoice, refusal=texts, finish_reason=reasons),
    st.builds(
        ScriptedChoice, calls=st.lists(calls, min_size=1, max_size=3).map(tuple), finish_reason=reasons
    ),
)
scripts: Strategy = st.builds(
    Script,
    whens,
    st.lists(scripted, min_size=1, max_size=3).map(tuple),
    name=texts,
    place=st.just("/completions/0"),
)

IDS = ("a", "b@v2", "helpful", "helpful@v7", "mock-pass", "mock-status-429", "mock-delay-5", "mock-x", "a@x")
any_settings: Strategy = st.builds(
    Settings,
    seed=st.sampled_from([0, -1, 2**70]),
    validation=st.sampled_from(VALIDATIONS),
    ids=st.sampled_from(["content", "random"]),
    clock=st.sampled_from(["fixed", "real"]),
    repeat=st.sampled_from(["same", "vary"]),
    auto_tools=st.sampled_from(["mention", "always", "never"]),
    magic=st.booleans(),
    keys=st.sampled_from([(), (), (), ("op-test",), ("op-other",)]),
    read_only_keys=st.sampled_from([(), (), (), ("op-test",)]),
    criteria=st.dictionaries(st.sampled_from(["a", "b", "helpful", "mock-pass"]), declared, max_size=3),
    unknown_criteria=st.sampled_from([None, "judge", "not_found"]),
    completions=st.lists(scripts, max_size=2).map(tuple),
    unscripted=st.sampled_from([None, "answer", "refuse"]),
    known_models=st.sampled_from([(), (), ("*",), ("openai:*", "gpt-4o"), ("nothing",)]),
    pace=st.sampled_from([Pace(), Pace(0.1, 5)]),
    limits=st.sampled_from([Limits(), Limits(), Limits(1, 1)]),
)

# Requests.

headers: Strategy = st.fixed_dictionaries(
    {},
    optional={
        b"op-criteria": st.lists(st.sampled_from(IDS), max_size=4).map(lambda ids: json.dumps(ids).encode())
        | st.sampled_from([b"[]", b"[1]", b"a"]),
        b"op-cache": st.sampled_from([b"readWrite", b"readOnly", b"writeOnly", b"false", b"false", b"x"]),
        b"op-log-request": st.sampled_from([b"true", b"false"]),
        b"x-mock-score": st.sampled_from([b"0.5", b"1", b"0", b"x"]),
        b"x-mock-session": st.sampled_from([b"w1", b"w2", b"w3", b"a b"]),
    },
)
judged: Strategy = st.builds(
    lambda body, name: {**body, "criterion_id": name} if isinstance(body, dict) else body,
    valid("JudgeCriteriaRequest") | broken("JudgeCriteriaRequest"),
    st.sampled_from(IDS),
)
chatted: Strategy = st.builds(
    lambda body, stream: {**body, "stream": stream} if isinstance(body, dict) else body,
    chats() | chats() | valid("ChatCompletionRequest") | broken("ChatCompletionRequest"),
    st.sampled_from([None, True, False]),
)
requests: Strategy = st.one_of(
    st.tuples(st.just(JUDGE), judged | broken("JudgeCriteriaRequest") | anything),
    st.tuples(st.just(CHAT), chatted | anything),
)


def is_stream(reply: Reply) -> bool:
    return dict(reply.headers)[b"content-type"].startswith(b"text/event-stream")


def problem(reply: Reply, path: str) -> str:
    """What of a reply breaks the contract, "" for one that keeps it."""
    if is_stream(reply):
        return "" if chunks(reply) else "no chunk in it"
    listed = str(reply.status) in statuses(path.removeprefix("/api/v1"))
    wrong = list(
        answer_validator(path, str(reply.status) if listed else "default").iter_errors(content_of(reply))
    )
    return f"{reply.status}: {wrong}" if wrong else ""


def keeps(service: Service, path: str, body: Json, sent: Mapping[bytes, bytes]) -> None:
    """Fail unless each of three such requests gets an answer of the contract's."""
    for at in (0.0, 1.0, 61.0):
        reply = answer(service, body, path=path, headers={**HEADERS, **sent}, at=at)
        assert problem(reply, path) == ""
        assert dict(reply.headers).get(b"x-request-id") or reply.status == 400


@brief
@given(settings=any_settings, made=st.lists(st.tuples(requests, headers), min_size=1, max_size=4))
def test_any_settings_give_nothing_but_answers_of_the_contract(
    settings: Settings, made: list[tuple[tuple[str, Json], Mapping[bytes, bytes]]]
) -> None:
    service = Service(settings)
    for (path, body), sent in made:
        keeps(service, path, body, sent)


@brief
@given(settings=any_settings, body=chats(), sent=headers)
def test_any_settings_stream_what_they_answer_plainly(
    settings: Settings, body: Json, sent: Mapping[bytes, bytes]
) -> None:
    """Two services, since a request is a repeat for the second of one."""
    sent = {name: value for name, value in sent.items() if name not in (b"op-criteria", b"op-cache")}
    stream, plain = (
        answer(Service(settings), {**body, "stream": stream}, path=CHAT, headers={**HEADERS, **sent})
        for stream in (True, False)
    )
    assert stream.status == plain.status
    if plain.status == 200:
        whole = content_of(plain)
        del whole["usage"]
        assert joined([chunk for chunk in chunks(stream) if chunk["choices"]]) == whole
    else:
        assert stream.body == plain.body


@brief
@given(settings=any_settings, body=chats(), ids=st.lists(st.sampled_from(IDS), min_size=1, max_size=3))
def test_any_settings_order_the_choices_by_the_mean_of_their_scores(
    settings: Settings, body: Json, ids: list[str]
) -> None:
    body = {**body, "stream": None}
    reply = answer(
        Service(settings), body, path=CHAT, headers={**HEADERS, b"op-criteria": json.dumps(ids).encode()}
    )
    if reply.status != 200:
        return
    found = [choice["criteria_results"] for choice in content_of(reply)["choices"]]
    means = [sum(each.get("score", 0) for each in results.values()) / len(results) for results in found]
    assert means == pytest.approx(sorted(means, reverse=True))
    for results in found:
        assert all(set(each) >= {"status"} for each in results.values())
        assert all(("errorCode" in each) == (each["status"] == "error") for each in results.values())
        assert all(0 <= each["score"] <= 1 for each in results.values() if "score" in each)


AS_IT_STANDS = ("raw", "stream")
"""Keys whose values are sent as they stand, whatever the contract says."""


def without_raw(value: Json, instead: Mapping[str, Json]) -> Json:
    """A part of a config in which others stand in place of values that are sent as they stand."""
    if isinstance(value, list):
        return [without_raw(item, instead) for item in value]
    if not isinstance(value, dict):
        return value
    kept = {name: without_raw(member, instead) for name, member in value.items() if name not in AS_IT_STANDS}
    return {**kept, **({} if value.keys().isdisjoint(AS_IT_STANDS) else instead)}


def answering(config: Json) -> Json:
    """A config that gives nothing but answers of the contract: it has no faults, and nothing raw."""
    config = {name: part for name, part in config.items() if name not in ("faults", "auth")}
    for name, instead in (("criteria", {"score": 0.5}), ("completions", {"text": "1, 2, 3."})):
        if name in config:
            config[name] = without_raw(config[name], instead)
    return config


@brief
@given(config=configs, made=st.lists(st.tuples(requests, headers), min_size=1, max_size=3))
def test_any_config_file_without_faults_and_raw_values_gives_nothing_else(
    config: Json, made: list[tuple[tuple[str, Json], Mapping[bytes, bytes]]]
) -> None:
    try:
        service = Service(configfile.settings(answering(config)))
    except Mistakes:
        assume(False)
    for (path, body), sent in made:
        keeps(service, path, body, sent)
