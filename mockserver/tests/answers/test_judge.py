"""The judge: which answers are the same, which differ, how scores are spread, and which ids there are."""

import copy
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openpipe_mock.answers.judge import Criterion, find_criterion, is_tidy
from openpipe_mock.answers.scorers import DRAWN, Declared, Form
from openpipe_mock.config.settings import Settings
from openpipe_mock.core.seeded import ANSWERS, digest, draw_score
from openpipe_mock.openapi.spec import contract
from openpipe_mock.service.service import Service
from tests import golden
from tests.generate import thorough, valid
from tests.inprocess import answer, content_of, full, having, holds, message_of, saying

Json = Any

GRAMMAR = (
    'A criterion id is "name", which means its latest version, or "name@vN" with N from 1: "criterion-1@v1". '
    'A name has 1 to 200 characters and no white space or "@"; N has no leading zero.'
)
SERVICE = Service()


def judged(body: Json, settings: Settings | None = None) -> bytes:
    """The bytes of a judgement; fails when there is none."""
    reply = answer(Service(settings) if settings else SERVICE, body)
    assert reply.status == 200, reply.body
    return reply.body


def score_of(body: Json, settings: Settings | None = None) -> float:
    found: float = json.loads(judged(body, settings))["score"]
    return found


def given_input(**members: Json) -> Json:
    return having(input={"messages": [], **members})


def tool(**function: Json) -> Json:
    return given_input(tools=[{"type": "function", "function": {"name": "f", **function}}])


def output(**members: Json) -> Json:
    return having(output={"role": "assistant", **members})


def golden_rows() -> list[Json]:
    rows: list[Json] = json.loads(golden.FILE.read_text(encoding="utf-8"))
    return rows


@pytest.mark.parametrize("number", range(len(golden.REQUESTS)))
def test_the_golden_bytes_of_this_generation_are_unchanged(number: int) -> None:
    """After a wanted change: a new number of answers, a changelog entry, and the command in `golden`."""
    row = golden_rows()[number]
    service = Service(Settings(seed=row["seed"], answers=golden.ANSWERS))
    assert answer(service, row["request"]).body == row["reply"].encode(), row["name"]


def test_the_golden_file_is_of_the_newest_generation_and_holds_all_that_it_should() -> None:
    assert golden.ANSWERS == ANSWERS
    assert [row["name"] for row in golden_rows()] == list(golden.REQUESTS)
    assert len({row["reply"] for row in golden_rows()}) > 10


@pytest.mark.slow
@pytest.mark.parametrize("hash_seed", ["0", "1", "4294967295"])
def test_a_fresh_process_gives_the_golden_bytes_whatever_its_hash_seed(hash_seed: str) -> None:
    program = "import sys; from tests import golden; sys.stdout.write(golden.text())"
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONUTF8": "1"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, check=True)
    assert done.stdout.decode() == golden.FILE.read_text(encoding="utf-8")


def test_the_same_request_gets_the_same_bytes_from_a_used_service_and_from_a_new_one() -> None:
    first = judged(full())
    for _ in range(3):
        answer(SERVICE, b"{")
        assert judged(full()) == first
    assert judged(full(), Settings()) == first


SAME: dict[str, tuple[Json, Json]] = {
    "an id and its first version": (having(criterion_id="helpful"), having(criterion_id="helpful@v1")),
    "no input and no messages": (having(), given_input()),
    "a null input": (having(input=None), having()),
    "null and absent": (
        saying({"role": "assistant", "content": None, "tool_calls": None, "annotations": None, "x": None}),
        saying({"role": "assistant"}),
    ),
    "empty and absent content": (saying({"role": "user", "content": ""}), saying({"role": "user"})),
    "a default that another object's name has": (
        output(function_call={"name": "", "arguments": ""}),
        output(function_call={}),
    ),
    "a tool choice spelt out": (
        given_input(tool_choice={"type": "function", "function": {"name": ""}}),
        given_input(tool_choice={}),
    ),
    "a null in a tool": (tool(strict=None, description=None), tool()),
    "a null in the output": (output(content=None, refusal=None, reasoning_content=None), output()),
    "the order of keys in parameters": (tool(parameters={"a": 1, "b": 2}), tool(parameters={"b": 2, "a": 1})),
}
DIFFERENT: dict[str, tuple[Json, Json]] = {
    "versions": (having(criterion_id="helpful@v1"), having(criterion_id="helpful@v2")),
    "criteria": (having(criterion_id="helpful"), having(criterion_id="Helpful")),
    "name and version run together": (having(criterion_id="a1@v1"), having(criterion_id="a@v11")),
    "null and the word null": (
        saying({"role": "assistant", "content": None}),
        saying({"role": "assistant", "content": "null"}),
    ),
    "a null in parameters and none": (tool(parameters={"a": None}), tool(parameters={})),
    "no parameters and empty ones": (tool(parameters={}), tool()),
    "an empty tool choice and none": (given_input(tool_choice={}), given_input()),
    "no tools and none given": (given_input(tools=[]), given_input()),
    "false and null": (tool(strict=False), tool(strict=None)),
    "1 and 1.0 as data": (tool(parameters={"a": 1}), tool(parameters={"a": 1.0})),
    "1 and true as data": (tool(parameters={"a": 1}), tool(parameters={"a": True})),
    "1 and the text 1 as data": (tool(parameters={"a": 1}), tool(parameters={"a": "1"})),
    "neighbours beyond a double": (tool(parameters={"a": 2**53}), tool(parameters={"a": 2**53 + 1})),
    "the order of messages": (
        saying({"role": "user", "content": "a"}, {"role": "user", "content": "b"}),
        saying({"role": "user", "content": "b"}, {"role": "user", "content": "a"}),
    ),
    "roles": (saying({"role": "system", "content": "x"}), saying({"role": "developer", "content": "x"})),
    "a text and a part with that text": (
        saying({"role": "user", "content": "x"}),
        saying({"role": "user", "content": [{"type": "text", "text": "x"}]}),
    ),
    "composed and decomposed characters": (output(content="é"), output(content="e\u0301")),
    "content and reasoning": (output(content="x"), output(reasoning_content="x")),
    "input and output": (saying({"role": "assistant", "content": "x"}), output(content="x")),
    "an empty call and none": (output(function_call={}), output()),
    "no calls and none given": (output(tool_calls=[]), output()),
}


@pytest.mark.parametrize("name", SAME)
def test_the_same_content_is_judged_the_same(name: str) -> None:
    one, other = SAME[name]
    assert judged(one) == judged(other)


@pytest.mark.parametrize("name", DIFFERENT)
def test_other_content_is_judged_differently(name: str) -> None:
    """With some seed at least: two scores may meet by chance."""
    one, other = DIFFERENT[name]
    seeds = [Settings(seed=seed) for seed in range(3)]
    assert [score_of(one, seed) for seed in seeds] != [score_of(other, seed) for seed in seeds]


def shuffled(value: Json, order: Callable[[list[Any]], None]) -> Json:
    """The same JSON with the keys of every object in another order."""
    if isinstance(value, list):
        return [shuffled(item, order) for item in value]
    if not isinstance(value, dict):
        return value
    names = list(value)
    order(names)
    return {name: shuffled(value[name], order) for name in names}


@thorough
@given(valid("JudgeCriteriaRequest"), st.randoms(use_true_random=False), st.booleans(), st.integers(0, 3))
def test_key_order_escapes_and_white_space_say_nothing(
    body: Json, random: Any, escaped: bool, indent: int
) -> None:
    body = {**body, "criterion_id": "helpful"}
    other = json.dumps(shuffled(body, random.shuffle), ensure_ascii=escaped, indent=indent).encode()
    assert judged(other) == judged(body)


def test_an_escaped_letter_is_that_letter() -> None:
    text = json.dumps(output(content="cost"))
    assert judged(text.replace("cost", "\\u0063\\u006Fst").encode()) == judged(text.encode())


@thorough
@given(valid("JudgeCriteriaRequest"))
def test_nulls_that_count_as_absent_say_nothing_wherever_they_stand(body: Json) -> None:
    body = {**body, "criterion_id": "helpful"}
    noisy = copy.deepcopy(body)
    noisy["annotations"] = noisy["output"]["audio"] = None
    for message in noisy.get("input", {}).get("messages", ()):
        message["cache_control"] = None
    assert judged(noisy) == judged(body)


CONTENTS = [output(content=f"answer {number}") for number in range(5000)]


@pytest.mark.slow
def test_scores_of_5000_contents_are_spread_evenly_over_0_to_1_in_steps_of_a_hundredth() -> None:
    scores = [score_of(body) for body in CONTENTS]
    counted = Counter(scores)
    assert set(counted) == {step / 100 for step in range(101)}
    expected = len(scores) / 101
    chi_square = sum((number - expected) ** 2 / expected for number in counted.values())
    assert 50 < chi_square < 170  # 100 degrees of freedom: 99.99 % of fair draws lie in between


@pytest.mark.slow
@pytest.mark.parametrize(
    "other",
    [
        lambda body: score_of(body, Settings(seed=1)),
        lambda body: score_of({**body, "criterion_id": "harmless"}),
        lambda body: score_of({**body, "criterion_id": "helpful@v2"}),
        lambda body: score_of({**body, "output": {**body["output"], "refusal": "no"}}),
    ],
    ids=["seed", "criterion", "version", "content"],
)
def test_another_seed_criterion_version_or_content_gives_unrelated_scores(
    other: Callable[[Json], float],
) -> None:
    few = CONTENTS[:1000]
    pairs = [(score_of(body), other(body)) for body in few]
    assert sum(one == two for one, two in pairs) < 30  # chance: 10
    mean = [sum(side) / len(pairs) for side in zip(*pairs, strict=True)]
    covariance = sum((one - mean[0]) * (two - mean[1]) for one, two in pairs) / len(pairs)
    assert abs(covariance) < 0.012  # chance: 0 ± 0.0027


@given(st.integers(), st.integers(1, 10**9), st.text(max_size=5), st.binary(max_size=5))
@thorough
def test_a_score_has_two_decimals_and_lies_within_0_and_1(
    seed: int, version: int, name: str, content: bytes
) -> None:
    found = draw_score(seed, name, version, content)
    assert 0 <= found <= 1
    assert found == round(found, 2)
    assert len(repr(found)) <= 4


def test_a_digest_knows_where_one_part_ends() -> None:
    assert digest(b'"a"', b'"b"') != digest(b'"a""b"')
    assert digest(b"1", b"") != digest(b"", b"1")


def test_a_judgement_is_a_score_and_one_sentence_that_says_where_it_comes_from() -> None:
    found = content_of(answer(Service(Settings(seed=42)), having(criterion_id="helpful@v3")))
    assert found.keys() == {"score", "explanation"}
    for word in (str(found["score"]), "helpful@v3", "seed 42", "mock"):
        assert word in found["explanation"]
    assert found["explanation"].endswith(".")
    assert found["explanation"].count(". ") == 0


GOOD: dict[str, Criterion] = {
    "criterion-1": Criterion("criterion-1", 1),
    "criterion-1@v1": Criterion("criterion-1", 1),
    "criterion-1@v12": Criterion("criterion-1", 12),
    "a": Criterion("a", 1),
    "v1": Criterion("v1", 1),
    "a/b:c~d": Criterion("a/b:c~d", 1),
    "größe-😀@v999999999": Criterion("größe-😀", 999_999_999),
    "x" * 200: Criterion("x" * 200, 1),
}
BAD: dict[str, str] = {
    "": 'Criterion "" not found.',
    " ": "Criterion   not found.",
    "two words": "Criterion two words not found.",
    "helpful ": "Criterion helpful  not found.",
    "helpful\n": "Criterion helpful\n not found.",
    "help\x00ful": "Criterion help\x00ful not found.",
    "help\u00a0ful": "Criterion help\u00a0ful not found.",
    "x" * 201: f"Criterion {'x' * 60}… not found.",
    "helpful@fake-version": "Criterion version fake-version not found for criterion helpful.",
    "helpful@": "Criterion helpful not found.",
    "helpful@1": "Criterion version 1 not found for criterion helpful.",
    "helpful@v": "Criterion version v not found for criterion helpful.",
    "helpful@v0": "Criterion version v0 not found for criterion helpful.",
    "helpful@v01": "Criterion version v01 not found for criterion helpful.",
    "helpful@v-1": "Criterion version v-1 not found for criterion helpful.",
    "helpful@v1.0": "Criterion version v1.0 not found for criterion helpful.",
    "helpful@V1": "Criterion version V1 not found for criterion helpful.",
    "helpful@v1 ": "Criterion version v1  not found for criterion helpful.",
    "helpful@v\u0661": "Criterion version v\u0661 not found for criterion helpful.",
    "helpful@v1000000000": "Criterion version v1000000000 not found for criterion helpful.",
    "helpful@latest": "Criterion version latest not found for criterion helpful.",
    "helpful@v1@v2": "Criterion version v1@v2 not found for criterion helpful.",
    "@v1": 'Criterion version v1 not found for criterion "".',
    "helpful@v" + "9" * 5000: f"Criterion version v{'9' * 59}… not found for criterion helpful.",
}


@pytest.mark.parametrize("reference", GOOD)
def test_a_name_with_or_without_a_version_is_a_criterion(reference: str) -> None:
    assert find_criterion(reference) == GOOD[reference]
    assert answer(SERVICE, having(criterion_id=reference)).status == 200


@pytest.mark.parametrize("reference", BAD)
def test_any_other_id_is_not_found_in_the_services_words_with_the_grammar(reference: str) -> None:
    reply = answer(SERVICE, having(criterion_id=reference))
    assert (reply.status, content_of(reply)["code"]) == (404, "NOT_FOUND")
    assert message_of(reply) == f"{BAD[reference]} {GRAMMAR}"


DECLARED = Settings(
    criteria={
        "helpful": Declared({1: DRAWN, 3: DRAWN}),
        "reward-v1": Declared({2: Form(usage=140)}),
    }
)


def test_of_a_declared_criterion_a_plain_id_means_the_latest_version() -> None:
    assert find_criterion("helpful", DECLARED.known) == Criterion("helpful", 3)
    assert judged(having(criterion_id="helpful"), DECLARED) == judged(having(criterion_id="helpful@v3"))
    assert judged(having(criterion_id="helpful@v1"), DECLARED) == judged(having(criterion_id="helpful@v1"))


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("helpful@v2", "Criterion version v2 not found for criterion helpful. "),
        ("helpful@v4", "Criterion version v4 not found for criterion helpful. "),
        ("harmless", "Criterion harmless not found. "),
        ("harmless@v1", "Criterion harmless not found. "),
        ("Helpful", "Criterion Helpful not found. "),
        ("helpful@latest", "Criterion version latest not found for criterion helpful. "),
        ("reward-v1@v1", "Criterion version v1 not found for criterion reward-v1. "),
    ],
)
def test_where_criteria_are_declared_no_other_id_and_version_exists(reference: str, words: str) -> None:
    reply = answer(Service(DECLARED), having(criterion_id=reference))
    assert (reply.status, content_of(reply)["code"]) == (404, "NOT_FOUND")
    assert message_of(reply).startswith(words)
    assert len(message_of(reply)) > len(words)
    assert holds(reply)


def test_a_misspelt_criterion_is_told_the_nearest_and_all_that_are_declared() -> None:
    message = message_of(answer(Service(DECLARED), having(criterion_id="helpfull")))
    assert message.endswith('Declared are "helpful" and "reward-v1". Did you mean "helpful"?')
    versions = message_of(answer(Service(DECLARED), having(criterion_id="helpful@v9")))
    assert versions.endswith("It has v1 and v3.")


def test_a_reward_models_judgement_has_usage_and_no_explanation() -> None:
    reply = answer(Service(DECLARED), having(criterion_id="reward-v1"))
    assert holds(reply)
    found = content_of(reply)
    assert found == {"score": found["score"], "usage": {"total_tokens": 140}}
    assert found["score"] == score_of(having(criterion_id="reward-v1@v2"))


def texts(value: Any) -> Any:
    """The same with every null and empty text replaced, so that many a drawn request is tidy."""
    if isinstance(value, dict):
        return {key: texts(member) for key, member in value.items() if member is not None}
    if isinstance(value, list):
        return [texts(item) for item in value]
    return value or "x" if isinstance(value, str) else value


@thorough
@given(body=valid("JudgeCriteriaRequest").map(texts))
def test_what_is_called_tidy_holds_nothing_that_counts_as_absent(body: Any) -> None:
    given_input, output = body.get("input", {}), body.get("output", {})
    if not is_tidy(json.dumps(body, separators=(",", ":")).encode()):
        return
    assert contract().checker("JudgeCriteriaInput").tidy(given_input, defaults=True) == given_input
    assert contract().checker("JudgeCriteriaOutput").tidy(output, defaults=True) == output


@pytest.mark.parametrize(
    "member",
    [
        '"refusal": null',
        '"refusal": ""',
        '"\\u0070arsed": 1',
        '"parsed": 1',
        '"index": 0',
        '"tool_choice": 1',
    ],
)
def test_what_may_count_as_absent_is_not_called_tidy(member: str) -> None:
    assert is_tidy(b'{"criterion_id": "a", "output": {"role": "assistant", "content": "1"}}')
    assert not is_tidy(f'{{"criterion_id": "a", "output": {{"role": "assistant", {member}}}}}'.encode())
