"""The example file, held to its comments: each of its keys and elements has a test here that starts from it.

Where another value shall be seen at work, that one place of the text is changed.
"""

import json
import math
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache, reduce
from operator import getitem
from typing import Any, TypeVar

import pytest
import yaml

from openpipe_mock.config.file import ConfigError, read_config, schema
from openpipe_mock.config.settings import Settings
from openpipe_mock.core.effects import Head
from openpipe_mock.openapi.endpoints import BASE
from openpipe_mock.openapi.shapes import chooses, resolve
from openpipe_mock.openapi.violations import declarations
from openpipe_mock.recording.hiding import Hiding
from openpipe_mock.recording.identity import Asked, Identity
from openpipe_mock.service.service import Service
from tests.chatting import CHAT, asking, shaped, tool, user
from tests.environments import ROOT
from tests.happening import Happened, happened
from tests.inprocess import HEADERS, JUDGE, NOW

Json = Any
Test = TypeVar("Test", bound=Callable[..., None])

TEXT = (ROOT / "examples" / "openpipe-mock.yaml").read_text(encoding="utf-8")
KEY = {"authorization": "Bearer op-local"}

PROVEN: Counter[str] = Counter()
"""Pointer into the file → how many tests here are about it."""


def proves(*pointers: str) -> Callable[[Test], Test]:
    """Says of which places of the file a test shows that they do what their comment says."""
    PROVEN.update(pointers)
    return lambda test: test


def leaves(value: Json, pointer: str = "") -> Iterator[str]:
    """The pointers to each value of the file that holds no others; a list of plain values is one."""
    if isinstance(value, dict):
        for key, member in value.items():
            yield from leaves(member, f"{pointer}/{key}")
    elif isinstance(value, list) and any(isinstance(each, dict) for each in value):
        for number, member in enumerate(value):
            yield from leaves(member, f"{pointer}/{number}")
    else:
        yield pointer


VALUE: Json = yaml.safe_load(TEXT)


def part(section: str, name: str) -> tuple[str, Json]:
    """The pointer and the value of the script or fault of this name."""
    [found] = [(place, each) for place, each in enumerate(VALUE[section]) if each.get("name") == name]
    return f"/{section}/{found[0]}", found[1]


def whole(section: str, name: str) -> list[str]:
    """The pointers to all values of that part."""
    place, value = part(section, name)
    return list(leaves(value, place))


def test_each_value_of_the_file_has_a_test_here() -> None:
    assert sorted(PROVEN) == sorted(leaves(VALUE))


def keys_of(value: Json, within: Json) -> Iterator[Json]:
    """The schemas of the keys that stand in a value, those inside of others too."""
    within = resolve(within, schema())
    for branch in () if chooses(within) else within["anyOf"]:
        yield from keys_of(value, branch)
    if "if" in within:
        yield from keys_of(value, within["else" if "v1" in value else "then"])
    for inner in value if isinstance(value, list) else ():
        yield from keys_of(inner, within.get("items", {}))
    for name, inner in value.items() if isinstance(value, dict) else ():
        known = within.get("properties", {})
        others = (*within.get("patternProperties", {}).values(), within.get("additionalProperties"))
        for member in (known[name],) if name in known else others:
            if isinstance(member, dict):
                yield own(member)
                yield from keys_of(inner, member)


def own(member: Json) -> Json:
    """A key's schema, where another key has it that of this one."""
    while "/properties/" in member.get("$ref", ""):
        member = reduce(getitem, member["$ref"].removeprefix("#/").split("/"), schema())
    return member


def test_each_key_of_the_schema_stands_in_the_file() -> None:
    """But for the one that needs a variable; a comment tells of it. The page's table has the same keys."""
    there = {id(member) for member in keys_of(VALUE, schema())}
    missing = [path for path, member in declarations(schema()) if id(member) not in there]
    assert missing == ["auth.keys.*.env"]
    assert "{env: NAME}" in TEXT


def test_editors_find_the_schema_by_the_first_line() -> None:
    assert TEXT.startswith("# yaml-language-server: $schema=")


# How the tests speak to a mock with the example.


@cache
def settings(*changes: tuple[str, str]) -> Settings:
    """The settings of the file, or of the file with some places changed, each of which is there once."""
    text = TEXT
    for old, new in changes:
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in the file"
        text = text.replace(old, new)
    return read_config(text.encode())


def mock(*changes: tuple[str, str]) -> Service:
    """A mock with the example, fresh: it remembers nothing."""
    return Service(settings(*changes))


def judge(
    service: Service, criterion: str, text: str = "", asked: str = "Say something", **headers: str
) -> Happened:
    given = {"messages": [user(asked)]}
    body = {"criterion_id": criterion, "input": given, "output": {"role": "assistant", "content": text}}
    return happened(service, body, JUDGE, {**KEY, **spelled(headers)})


def chat(service: Service, text: str = "Say something", *, headers: Json = None, **members: Json) -> Happened:
    return happened(service, asking(text, **members), CHAT, {**KEY, **(headers or {})})


def spelled(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


def score(
    criterion: str, text: str = "", asked: str = "Say something", service: Service | None = None
) -> float:
    found: float = judge(service or mock(), criterion, text, asked).body["score"]
    return found


def scores(criterion: str, number: int = 400) -> list[float]:
    """The scores of many different contents, each judged by a mock that has judged nothing else."""
    return [score(criterion, f"answer {each}") for each in range(number)]


def choices(found: Happened) -> list[Json]:
    assert found.status == 200, found.body
    listed: list[Json] = found.body["choices"]
    return listed


def contents(found: Happened) -> list[str]:
    return [choice["message"]["content"] for choice in choices(found)]


def best_of(criteria: str, service: Service | None = None, **members: Json) -> Happened:
    """A chat that is judged; the first of a mock, unless one is given."""
    return chat(service or mock(), headers={"op-criteria": criteria}, **members)


def result(criterion: str) -> Json:
    """A criterion's judgement in best of n."""
    [choice] = choices(best_of(f'["{criterion}"]'))
    return choice["criteria_results"][criterion]


def mistakes(*changes: tuple[str, str]) -> str:
    with pytest.raises(ConfigError) as caught:
        settings(*changes)
    return str(caught.value)


# What decides every answer.


@proves("/version")
def test_the_version_is_that_of_the_form_of_the_file() -> None:
    assert settings(("version: 1\n", "")) == settings()
    assert "/version" in mistakes(("version: 1\n", "version: 2\n"))


@proves("/answers")
def test_answers_freeze_and_are_the_newest_by_default() -> None:
    assert settings(("answers: 2 ", "# ")) == settings()
    assert "/answers" in mistakes(("answers: 2 ", "answers: 3 "))
    assert settings(("answers: 2 ", "answers: 1 ")).outdated


@proves("/seed")
def test_the_seed_gives_other_texts_scores_and_ids() -> None:
    def seen(*changes: tuple[str, str]) -> tuple[str, str, float]:
        told = chat(mock(*changes)).body
        return (
            told["id"],
            told["choices"][0]["message"]["content"],
            score("reward", "x", service=mock(*changes)),
        )

    assert seen() == seen()
    assert all(here != there for here, there in zip(seen(), seen(("seed: 42", "seed: 43")), strict=True))
    assert seen(("seed: 42 ", "# ")) == seen(("seed: 42", "seed: 0"))


ODD = {"mood": "good"}


def odd(validation: str) -> Happened:
    """A request with a member that nobody documents, at a mock with this validation."""
    body = {"criterion_id": "concise", "output": {"role": "assistant", "content": ""}, **ODD}
    change = ("validation: strict", f"validation: {validation}")
    return happened(mock(change), body, JUDGE, KEY)


@proves("/validation")
def test_validation_is_strict_exact_or_lenient() -> None:
    assert (odd("strict").status, odd("exact").status, odd("lenient").status) == (400, 400, 200)
    assert "mood" in odd("strict").body["message"]
    [note] = odd("lenient").reply.notes
    assert "strict would refuse" in note


@proves("/repeat")
def test_identical_requests_get_the_same_answer_or_each_its_own() -> None:
    service, varying = mock(), mock(("repeat: same", "repeat: vary"))
    assert contents(chat(service)) == contents(chat(service))
    first, second = chat(varying), chat(varying)
    assert contents(first) == contents(chat(service))
    assert contents(first) != contents(second)


@proves("/ids")
def test_ids_come_from_the_content_or_from_chance() -> None:
    random = chat(mock(("ids: content", "ids: random"))).body["id"]
    assert chat(mock()).body["id"] == chat(mock()).body["id"]
    assert random == f"chatcmpl-{'00' * 12}"  # such is chance in these tests


@proves("/clock")
def test_the_clock_is_in_the_past_or_right() -> None:
    created = chat(mock()).body["created"]
    assert created == chat(mock()).body["created"] < NOW
    assert chat(mock(("clock: fixed", "clock: real"))).body["created"] == int(NOW)


TIME = [tool("get_time")]


def calls(found: Happened) -> bool:
    return bool(choices(found)[0]["message"].get("tool_calls"))


@proves("/auto_tools")
def test_tools_are_called_when_they_are_mentioned_or_always_or_never() -> None:
    def called(text: str, way: str) -> bool:
        return calls(chat(mock(("auto_tools: mention", f"auto_tools: {way}")), text, tools=TIME))

    mentioned = [called("What time is it? get_time", way) for way in ("mention", "always", "never")]
    unmentioned = [called("Say something", way) for way in ("mention", "always", "never")]
    assert (mentioned, unmentioned) == ([True, True, False], [False, True, False])


@proves("/prompt_schemas")
def test_a_schema_in_a_prompt_is_answered_or_read_as_text() -> None:
    text = 'Return JSON: {"properties": {"city": {"const": "Oslo"}}, "required": ["city"]}'
    ignoring = mock(("prompt_schemas: true", "prompt_schemas: false"))
    first, second = (choices(chat(each, text))[0]["message"]["content"] for each in (mock(), ignoring))
    assert first == '{"city":"Oslo"}'
    assert " mock answer to " in second


@proves("/magic")
def test_magic_values_mean_something_or_nothing() -> None:
    plain = mock(("magic: true", "magic: false"))
    assert score("mock-score-0.7") == 0.7
    assert judge(plain, "mock-score-0.7").status == 404
    assert judge(mock(), "concise", x_mock_score="0.3").body["score"] == 0.3
    assert judge(plain, "concise", x_mock_score="0.3").body["score"] == 1
    assert chat(mock(), model="openpipe:mock-status-418").status == 418
    assert chat(plain, model="openpipe:mock-status-418").status == 404


DEFAULTS = """
validation: strict
repeat: same
ids: content
clock: fixed
auto_tools: mention
prompt_schemas: true
magic: true
answers: 2
seed: 0
stream: {first_token_ms: 0, tokens_per_second: null}
limits: {requests_per_minute: null, concurrent: null}
"""


def test_what_is_called_a_default_is_one() -> None:
    assert read_config(DEFAULTS.encode()) == read_config(b"")


# Keys.


@proves("/auth/keys")
def test_a_key_may_do_everything_and_others_nothing() -> None:
    report: Json = {"reqPayload": {}}
    assert score("concise") == 1
    assert chat(mock()).status == 200
    assert happened(mock(), report, "/api/v1/report", KEY).status == 200
    assert judge(mock(), "concise", authorization="Bearer op-other").status == 401


@proves("/auth/read_only_keys")
def test_a_read_only_key_judges_completes_with_own_models_and_logs_nothing() -> None:
    reader = {"authorization": "Bearer op-reader"}
    assert judge(mock(), "concise", **reader).body["score"] == 1
    assert chat(mock(), model="openpipe:my-model", headers=reader).status == 200
    assert chat(mock(), model="openai:gpt-4o", headers=reader).status == 403
    paths = ("report", "report-anthropic", "logs/update-tags", "logs/update-metadata")
    assert {happened(mock(), {}, f"/api/v1/{path}", reader).status for path in paths} == {401}


def test_without_keys_any_is_accepted_but_those_that_begin_with_invalid() -> None:
    keys = "auth:                                 # default"
    change = (
        (keys, "# default"),
        ("  keys: [op-local]\n", ""),
        ("  read_only_keys: [op-reader] ", "# "),
    )
    assert judge(mock(*change), "concise", authorization="Bearer whatever").status == 200
    assert judge(mock(*change), "concise", authorization="Bearer invalid-one").status == 401
    assert judge(mock(*change), "concise", authorization="").status == 401


# Criteria.


@proves("/criteria/helpful/v1/score", "/criteria/helpful/v1/explanation")
def test_the_first_version_finds_everything_helpful() -> None:
    verdict = {"score": 1, "explanation": "Everything is helpful."}
    assert judge(mock(), "helpful@v1", "I am sorry.").body == verdict


RULES = "/criteria/helpful/v2/rules"


@proves(f"{RULES}/0/when/output/contains", f"{RULES}/0/score", f"{RULES}/0/explanation")
def test_an_apology_is_not_helpful_in_the_latest_version() -> None:
    verdict = {"score": 0, "explanation": "It apologises instead of helping."}
    assert judge(mock(), "helpful", "I am sorry.").body == verdict
    assert judge(mock(), "helpful@v2", "I am sorry.").body == verdict
    assert score("helpful", "I am Sorry.") >= 0.2


@proves(f"{RULES}/1/when/output/matches", f"{RULES}/1/when/input/last_user/contains", f"{RULES}/1/score")
def test_digits_are_helpful_where_somebody_wants_to_count() -> None:
    assert score("helpful", "1, 2", "Please count") == 0.9
    assert score("helpful", "one", "Please count") <= 0.8
    assert score("helpful", "1, 2", "Say something") <= 0.8
    assert score("helpful", "sorry, 1", "Please count") == 0, "the first match wins"


@proves("/criteria/helpful/v2/otherwise/uniform", "/criteria/helpful/v2/otherwise/decimals")
def test_other_answers_are_helpful_to_a_degree() -> None:
    found = scores("helpful")
    assert all(0.2 <= each <= 0.8 and round(each, 2) == each for each in found)
    assert min(found) < 0.25 < 0.75 < max(found)
    assert len(set(found)) > 40


def test_a_judge_sees_nothing_but_input_and_output() -> None:
    told = mistakes(("when: {output: {contains: sorry}}", "when: {header: {x-test: sorry}}"))
    assert "/criteria/helpful/v2/rules/0/when/header" in told


@proves("/criteria/concise/length/best", "/criteria/concise/length/worst")
@pytest.mark.parametrize(
    ("length", "expected"), [(0, 1), (40, 1), (130, 0.75), (220, 0.5), (310, 0.25), (400, 0), (5000, 0)]
)
def test_what_is_short_is_concise(length: int, expected: float) -> None:
    assert score("concise", "x" * length) == expected


@proves(
    "/criteria/graded/by_output/1, 2, 3.",
    "/criteria/graded/by_output/one two",
    "/criteria/graded/by_output/",
    "/criteria/graded/otherwise/score",
)
@pytest.mark.parametrize(
    ("text", "expected"), [("1, 2, 3.", 1), ("one two", 0.4), ("", 0), ("one two ", 0.1), ("no", 0.1)]
)
def test_texts_have_their_grades(text: str, expected: float) -> None:
    assert score("graded", text) == expected


FLAKY = "/criteria/flaky"


@proves(
    f"{FLAKY}/sequence/0",
    f"{FLAKY}/sequence/1",
    f"{FLAKY}/sequence/2/error/status",
    f"{FLAKY}/sequence/2/error/message",
    f"{FLAKY}/then",
)
def test_the_flaky_judge_goes_round_and_round() -> None:
    """The 5th judge request is for a fault, which judges nothing."""
    service = mock()
    found = [judge(service, "flaky", "the same") for _ in range(7)]
    assert [each.body.get("score", each.status) for each in found] == [1, 0, 500, 1, 429, 0, 500]
    assert found[2].body["message"] == "The judge crashed."


def test_the_last_judgement_may_stay() -> None:
    service = mock(("then: repeat}", "then: last}"))
    found = [judge(service, "flaky", "the same") for _ in range(7)]
    assert [each.status for each in found] == [200, 200, 500, 500, 429, 500, 500]


def test_what_comes_after_the_end_may_fail() -> None:
    service = mock(("then: repeat}", "then: fail}"))
    found = [judge(service, "flaky", "the same") for _ in range(7)]
    assert [each.status for each in found] == [200, 200, 500, 404, 429, 404, 404]
    assert found[3].body["code"] == "NOT_FOUND"


def test_a_sequence_goes_through_the_choices_as_they_were_made() -> None:
    made = contents(chat(mock(), n=4))
    assert len(set(made)) == 4
    judged = {
        choice["message"]["content"]: choice["criteria_results"]["flaky"]
        for choice in choices(best_of('["flaky"]', n=4))
    }
    crashed = {"status": "error", "errorCode": 500, "errorMessage": "The judge crashed."}
    assert [judged[text].get("score") for text in made] == [1, 0, None, 1]
    assert judged[made[2]] == crashed


@proves("/criteria/borderline/near", "/criteria/borderline/within")
def test_borderline_is_always_close_to_the_threshold() -> None:
    found = scores("borderline")
    assert all(0.45 <= each <= 0.55 for each in found)
    assert min(found) < 0.47
    assert max(found) > 0.53


@proves("/criteria/coin/pass_rate")
def test_the_coin_passes_four_contents_of_five() -> None:
    found = Counter(scores("coin", 1000))
    assert set(found) == {0, 1}
    assert 760 <= found[1] <= 840


@proves("/criteria/reward/uniform", "/criteria/reward/usage")
def test_a_reward_model_counts_tokens_and_explains_nothing() -> None:
    verdict = judge(mock(), "reward", "x").body
    assert verdict == {"score": verdict["score"], "usage": {"total_tokens": 120}}
    found = scores("reward")
    assert 0 <= min(found) < 0.05 < 0.95 < max(found) <= 1
    told = best_of('["reward"]', n=3).body
    assert told["usage"]["criteria"] == {"reward": {"total_tokens": 3 * 120}}


@proves("/criteria/moody/score", "/criteria/moody/flip_share")
def test_a_tenth_of_all_contents_meets_a_bad_mood() -> None:
    found = Counter(scores("moody", 1000))
    assert set(found) == {0.7, 0.3}
    assert 70 <= found[0.3] <= 130


@proves("/criteria/broken/error/status", "/criteria/broken/error/message")
def test_a_broken_criterion_fails_here_and_there() -> None:
    found = judge(mock(), "broken")
    assert (found.status, found.body["message"]) == (503, "No capacity.")
    assert result("broken") == {"status": "error", "errorCode": 503, "errorMessage": "No capacity."}


@proves("/criteria/bad-provider/raw/score")
def test_a_raw_judgement_breaks_the_contract() -> None:
    assert judge(mock(), "bad-provider").body == {"score": 1.2}
    assert result("bad-provider")["score"] == 1.2


@proves("/unknown_criteria")
def test_other_criteria_are_not_found_or_judged() -> None:
    line = "unknown_criteria: not_found "
    found = judge(mock(), "helpfull")
    assert found.status == 404
    assert 'Did you mean "helpful"?' in found.body["message"]
    assert all(name in found.body["message"] for name in ("coin", "moody"))
    assert judge(mock((line, "unknown_criteria: judge ")), "helpfull").status == 200
    assert judge(mock((line, "# ")), "helpfull").status == 404
    assert read_config(b"").judges_unknown


# Scripted answers.


@proves("/unscripted")
def test_what_no_script_answers_is_made_up_or_refused() -> None:
    line = "unscripted: answer "
    assert chat(mock(), "Hello").status == 200
    refused = chat(mock((line, "unscripted: refuse ")), "Hello")
    assert refused.status == 404
    assert refused.body["message"].startswith("No script answers this request: the nearest, /completions/")
    assert chat(mock((line, "# ")), "Hello").status == 200


WEATHER = "What's the WEATHER in Rome?"
FORECAST = [tool("get_weather", {"type": "object"})]


def named(place: str, name: str) -> None:
    """That the script at this place has this name, which the journal says."""
    service = mock()
    chat(service, **ASKED[name])
    [entry] = service.sessions.default.journal.entries
    assert entry.rules == [f"{place} ({name})"]


ASKED: dict[str, Json] = {
    "weather": {"text": WEATHER, "tools": FORECAST},
    "counting": {"text": "Count to 3"},
    "refuses": {"text": "Tell me a secret"},
    "cut": {"text": "Say something", "metadata": {"prompt_id": "long"}},
    "repeats": {"text": "Say it after me"},
}
"""Name of a script → a request that meets it."""


@proves(*(f"/completions/{number}/name" for number in range(5)))
@pytest.mark.parametrize(("number", "name"), list(enumerate(ASKED)))
def test_the_journal_names_the_script(number: int, name: str) -> None:
    named(f"/completions/{number}", name)


@proves(
    "/completions/0/when/last_user/matches",
    "/completions/0/when/tool",
    "/completions/0/tool_calls/0/name",
    "/completions/0/tool_calls/0/arguments/city",
)
def test_the_weather_is_looked_up() -> None:
    [choice] = choices(chat(mock(), WEATHER, tools=FORECAST))
    [call] = choice["message"]["tool_calls"]
    assert call["function"] == {"name": "get_weather", "arguments": '{"city":"Paris"}'}
    assert choice["finish_reason"] == "tool_calls"


@pytest.mark.parametrize(
    "members",
    [{"tools": TIME}, {}, {"text": "Say get something", "tools": FORECAST}],
    ids=["another tool", "no tool", "another text"],
)
def test_the_weather_is_looked_up_only_where_all_conditions_hold(members: Json) -> None:
    given = {"text": WEATHER, **members}
    service = mock()
    chat(service, **given)
    [entry] = service.sessions.default.journal.entries
    assert entry.rules == []


def test_the_weather_is_looked_up_once() -> None:
    """A tool's result as the last message: so that agents end."""
    first = choices(chat(mock(), WEATHER, tools=FORECAST))[0]["message"]
    tool_result = {"role": "tool", "tool_call_id": first["tool_calls"][0]["id"], "content": "Sunny"}
    messages = [user(WEATHER), {**first, "content": None}, tool_result]
    assert not calls(chat(mock(), messages=messages, tools=FORECAST))


def test_a_script_beats_the_tool_choice_and_the_form_of_the_answer() -> None:
    assert calls(chat(mock(), WEATHER, tools=FORECAST, tool_choice="none"))
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    assert contents(chat(mock(), "Count to 3", response_format=shaped(schema))) == ["no"]


@proves("/completions/1/when/model", "/completions/1/when/last_user/matches", "/completions/1/choices")
def test_choices_take_their_texts_round_and_round() -> None:
    texts = ["no", "1, 2, 3.", "one two"]
    assert contents(chat(mock(), "count TO three", n=5)) == [*texts, *texts[:2]]
    assert contents(chat(mock(), "Count to 3", model="openpipe:my-model")) != ["no"]
    assert contents(chat(mock(), "Recount two")) != ["no"]


def test_the_best_of_the_scripted_choices_comes_first() -> None:
    found = best_of('["graded"]', messages=[user("Count to 3")], n=3)
    assert contents(found) == ["1, 2, 3.", "one two", "no"]
    results = [choice["criteria_results"]["graded"]["score"] for choice in choices(found)]
    assert results == [1, 0.4, 0.1]


@proves("/completions/2/when/last_user/contains", "/completions/2/refusal")
def test_secrets_are_refused() -> None:
    [choice] = choices(chat(mock(), "Tell me a secret"))
    assert choice["message"]["refusal"] == "I can't help with that."
    assert choice["message"]["content"] is None
    [choice] = choices(chat(mock(), "Tell me a SECRET"))
    assert choice["message"]["refusal"] is None


def test_the_first_script_that_matches_wins() -> None:
    assert contents(chat(mock(), "Count to 3 in secret")) == ["no"]


@proves("/completions/3/when/metadata/prompt_id", "/completions/3/text", "/completions/3/finish_reason")
def test_a_long_prompt_is_cut() -> None:
    [choice] = choices(chat(mock(), metadata={"prompt_id": "long"}))
    assert choice["message"]["content"] == "This answer stops in the"
    assert choice["finish_reason"] == "length"
    assert choices(chat(mock(), metadata={"prompt_id": "longer"}))[0]["finish_reason"] == "stop"


@proves("/completions/4/when/last_user/contains", "/completions/4/template")
def test_a_text_is_repeated() -> None:
    assert contents(chat(mock(), "Say it after me")) == ["You said: Say it after me"]
    assert contents(chat(mock(), "Say it After me")) != ["You said: Say it After me"]


# Models, streams, limits.


@proves("/models/known")
def test_the_known_models_exist_and_no_others() -> None:
    known = ("openpipe:my-model", "openpipe:drops", "openai:gpt-4o", "openai:anything")
    for model in known:
        assert chat(mock(), model=model).status == 200
    assert {chat(mock(), f"{n}", model="openpipe:sometimes").status for n in range(20)} == {200, 500}
    assert chat(mock(), model="openpipe:other").status == 404
    assert chat(mock(), model="gpt-4o").status == 404
    line = "  known: ['openpipe:my-model', 'openpipe:drops', 'openpipe:sometimes', 'openai:*']"
    assert chat(mock((line, "")), model="openpipe:other").status == 200


@proves("/models/status")
def test_a_model_that_a_client_trains_has_the_status() -> None:
    sent = {"datasetId": "", "slug": "mine", "baseModel": "meta-llama/Llama-3.1-8B"}
    for changes, status in (((), 200), ((("status: DEPLOYED", "status: TRAINING"),), 404)):
        service = mock(*changes)
        made = happened(service, {"name": "a"}, f"{BASE}/unstable/dataset/create", KEY).body
        happened(service, {**sent, **made}, f"{BASE}/unstable/finetune/create", KEY)
        assert chat(service, model="openpipe:mine").status == status


def stream(*changes: tuple[str, str], **members: Json) -> Happened:
    return chat(mock(*changes), stream=True, **members)


@proves("/stream/first_token_ms")
def test_the_first_token_takes_its_time() -> None:
    assert stream().waits == []
    found = stream(("first_token_ms: 0", "first_token_ms: 300"))
    assert found.waits == [0.3]
    assert found.sent == stream().sent


@proves("/stream/tokens_per_second")
def test_tokens_take_their_time() -> None:
    found = stream(("tokens_per_second: null", "tokens_per_second: 20"))
    assert set(found.waits) == {0.05}
    assert len(found.waits) >= len(found.sent) - 1
    assert found.sent == stream().sent


@proves("/stream/jitter")
def test_the_time_between_tokens_varies() -> None:
    changes = ("tokens_per_second: null", "tokens_per_second: 20"), ("jitter: 0,", "jitter: 0.5,")
    found = stream(*changes)
    assert found.sent == stream().sent
    assert len(set(found.waits)) > len(found.waits) // 2
    assert all(0.025 <= wait <= 0.075 for wait in found.waits)
    assert found.waits == stream(*changes).waits
    assert found.waits != stream(*changes, ("seed: 42", "seed: 43")).waits


@proves("/limits/requests_per_minute")
def test_a_key_has_a_limit_of_requests_a_minute() -> None:
    unlimited, limited = mock(), mock(("requests_per_minute: null", "requests_per_minute: 2"))
    assert {chat(unlimited, f"{n}").status for n in range(100)} == {200}
    found = [chat(limited) for _ in range(3)]
    assert [each.status for each in found] == [200, 200, 429]
    assert 1 <= int(found[2].header("retry-after")) <= 60
    reader = {"authorization": "Bearer op-reader"}
    assert chat(limited, model="openpipe:my-model", headers=reader).status == 200, "each key has its own"


def under_way(service: Service, key: str = "op-local") -> int:
    """The status of a request that comes while another one with the key `op-local` is not finished."""
    head = Head("POST", CHAT, {**HEADERS, b"authorization": b"Bearer op-local"})
    other = service.exchange(head)
    next(other)
    found = chat(service, model="openpipe:my-model", headers={"authorization": f"Bearer {key}"})
    other.close()
    return found.status


@proves("/limits/concurrent")
def test_a_key_has_a_limit_of_requests_at_once() -> None:
    limited = mock(("concurrent: null", "concurrent: 1"))
    assert under_way(mock()) == 200
    assert under_way(limited) == 429
    assert under_way(limited, "op-reader") == 200
    assert chat(limited).status == 200


# Faults.


@proves("/faults/0/when/endpoint", "/faults/0/every", "/faults/0/status", "/faults/0/retry_after")
def test_every_fifth_judgement_is_one_too_many() -> None:
    service = mock()
    found = [judge(service, "concise") for _ in range(11)]
    assert [number for number, each in enumerate(found, 1) if each.status == 429] == [5, 10]
    assert {each.status for each in found} == {200, 429}
    assert found[4].header("retry-after") == "1"
    assert {chat(service).status for _ in range(11)} == {200}


@proves("/faults/1/when/endpoint", "/faults/1/call", "/faults/1/delay_ms")
def test_the_third_chat_is_late() -> None:
    service = mock()
    judge(service, "concise")
    found = [chat(service) for _ in range(7)]
    assert [each.waits for each in found] == [[], [], [0.2], [], [], [], []]
    assert {each.status for each in found} == {200}


@proves("/faults/2/when/endpoint", "/faults/2/when/model", "/faults/2/after_events", "/faults/2/disconnect")
def test_a_model_drops_its_streams() -> None:
    found = chat(mock(), model="openpipe:drops", stream=True)
    whole = chat(mock(("model: 'openpipe:drops'", "model: none")), model="openpipe:drops", stream=True)
    assert found.breaks
    assert found.sent == whole.sent[:2]
    assert not whole.breaks
    assert not chat(mock(), model="openpipe:drops").breaks, "it breaks streams alone"


@proves("/faults/3/when/header/x-test", "/faults/3/malformed")
def test_a_header_asks_for_garbage() -> None:
    good = judge(mock(), "concise").reply.body
    assert judge(mock(), "concise", x_test="garbage").reply.body == b"{" + good
    assert judge(mock(), "concise", x_test="other").reply.body == good
    assert chat(mock(), headers={"x-test": "garbage"}).reply.body.startswith(b"{{")


def struck(*changes: tuple[str, str], number: int = 400) -> set[int]:
    """Which of many contents get a 500 of the model that fails sometimes."""
    found = {n: chat(mock(*changes), f"{n}", model="openpipe:sometimes") for n in range(number)}
    assert {each.status for each in found.values()} == {200, 500}
    return {n for n, each in found.items() if each.status == 500}


@pytest.mark.slow
@proves("/faults/4/when/endpoint", "/faults/4/when/model", "/faults/4/share", "/faults/4/status")
def test_a_model_fails_sometimes() -> None:
    found = struck()
    assert 70 <= len(found) <= 130
    assert struck() == found
    assert struck(("seed: 42", "seed: 43")) != found


def test_the_first_fault_whose_turn_it_is_strikes() -> None:
    """Faults stand in order: the third chat is late, and so it doesn't fail."""
    content = next(iter(struck(number=40)))
    service = mock()
    found = [chat(service, f"{content}", model="openpipe:sometimes") for _ in range(4)]
    assert [(each.status, each.waits) for each in found] == [(500, []), (500, []), (200, [0.2]), (500, [])]


# What is told apart by the header `x-test`.


def probed(name: str, service: Service | None = None, **members: Json) -> Happened:
    return chat(service or mock(), headers={"x-test": name}, **members)


@proves(*whole("completions", "everything"))
def test_an_answer_has_whatever_the_script_says() -> None:
    _, script = part("completions", "everything")
    found = probed("everything")
    assert found.header("x-ratelimit-remaining-requests") == "0"
    [choice] = choices(found)
    said, call = choice["message"], script["tool_calls"][0]
    assert {name: found.body[name] for name in ("id", "created", "model", "usage")} == {
        name: script[name] for name in ("id", "created", "model", "usage")
    }
    assert (said["content"], said["reasoning_content"]) == (script["text"], script["reasoning_content"])
    function = {"name": call["name"], "arguments": call["arguments"]}
    assert said["tool_calls"] == [{"id": "call_1", "type": "function", "function": function}]
    for name in ("logprobs", "content_filter_results"):
        assert choice[name] == script[name]
    journalled(part("completions", "everything")[0], "everything", "everything")


@proves(*whole("completions", "one by one"))
def test_answers_come_one_by_one() -> None:
    service = mock()
    assert [contents(probed("sequence", service)) for _ in range(3)] == [["one"], ["two"], ["two"]]
    journalled(part("completions", "one by one")[0], "one by one", "sequence")


@proves(*whole("completions", "agent"))
def test_an_agent_gets_its_answers_by_turns() -> None:
    first = choices(probed("agent"))[0]["message"]
    [call] = first["tool_calls"]
    assert json.loads(call["function"]["arguments"]) == {"city": "Oslo"}
    result = {"role": "tool", "tool_call_id": call["id"], "content": "rain"}
    assert contents(probed("agent", messages=[user("Hi"), first, result])) == ["It rains."]
    journalled(part("completions", "agent")[0], "agent", "agent")


@proves(*whole("completions", "off the contract"))
def test_a_raw_answer_breaks_the_contract() -> None:
    assert probed("raw").body == {"choices": None}
    journalled(part("completions", "off the contract")[0], "off the contract", "raw")


@proves(*whole("completions", "own stream"))
def test_a_stream_may_be_ones_own() -> None:
    assert b"".join(probed("stream", stream=True).sent) == b'data: {"choices":[]}\n\ndata: [DONE]\n\n'
    assert choices(probed("stream")), "it answers streams alone"
    journalled(part("completions", "own stream")[0], "own stream", "stream", stream=True)


CONVERSATION = [
    {"role": "system", "content": "Be brief."},
    {"role": "developer", "content": "Be kind."},
    user("Hi"),
    {"role": "function", "name": "count", "content": "7"},
    {
        "role": "assistant",
        "content": "Let me look.",
        "tool_calls": [
            {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}
        ],
    },
    {"role": "tool", "tool_call_id": "call_1", "content": "sunny"},
]


def conditions(criteria: str = '["concise"]', texts: Json = None, **members: Json) -> bool:
    """Whether the script `conditions` answers a request. It does unless something is changed.

    `texts`: by the role of their messages.
    """
    said = [{**each, "content": (texts or {}).get(each["role"], each["content"])} for each in CONVERSATION]
    body = {"messages": said, "temperature": 0, "user": "kim", **members}
    headers = {"x-test": "conditions", "op-criteria": criteria}
    return contents(chat(mock(), headers=headers, **body)) == ["It is all there."]


@proves(*whole("completions", "conditions"))
def test_all_conditions_have_to_hold() -> None:
    assert conditions()
    assert not conditions(criteria='["graded"]')
    for role in ("system", "developer", "user", "assistant", "function", "tool"):
        assert not conditions(texts={role: "x"}), role
    for members in ({"temperature": 1}, {"user": "ann"}, {"user": "kit"}):
        assert not conditions(**members), members
    renamed = [*CONVERSATION[:-1], {**CONVERSATION[-1], "name": "get_time"}]
    assert not conditions(messages=renamed)


def journalled(place: str, name: str, header: str, **members: Json) -> None:
    """Fail unless the journal names the script, or the answer in it, as what answered."""
    service = mock()
    probed(header, service, **members)
    [entry] = service.sessions.default.journal.entries
    [rule] = entry.rules
    assert rule.startswith(place)
    assert rule.endswith(f" ({name})")


@proves(*whole("faults", "outage"))
def test_an_outage_ends() -> None:
    service = mock()
    first, second = (probed("outage", service) for _ in range(2))
    error = {"message": "Down.", "code": "DOWN"}
    assert (first.status, first.body) == (500, {**error, "error": error})
    assert second.status == 200


@proves(*whole("faults", "page"))
def test_a_page_comes_in_place_of_an_answer() -> None:
    found = probed("page")
    assert (found.status, found.header("content-type"), found.reply.body) == (502, "text/html", b"<html>")


@proves(*whole("faults", "drip"))
def test_an_answer_drips() -> None:
    found = probed("drip")
    assert {len(piece) for piece in found.sent[:-1]} == {16}
    assert found.waits == [0.05] * (len(found.sent) - 1)
    assert b"".join(found.sent) == probed("none").reply.body


@proves(*whole("faults", "half"))
def test_an_answer_breaks_off() -> None:
    found = probed("half")
    assert (found.breaks, b"".join(found.sent)) == (True, probed("none").reply.body[:20])


@proves(*whole("faults", "truncated"), *whole("faults", "empty"))
def test_a_part_of_an_answer_is_missing() -> None:
    good = probed("none").reply.body
    assert probed("truncated").reply.body == good[: len(good) // 2]
    assert probed("empty").reply.body == b""


@proves(*whole("faults", "error event"))
def test_a_stream_ends_with_an_error() -> None:
    [event] = probed("error-event", stream=True).sent
    assert b'"message":"The stream broke."' in event


@proves("/stream/endless_events", *whole("faults", "endless"))
def test_a_stream_does_not_end_for_long() -> None:
    service = mock(("endless_events: 10000", "endless_events: 40"))
    assert (
        len(probed("none", stream=True).sent) < 40 <= len(probed("endless", service, stream=True).sent) < 50
    )
    assert settings().pace.most_events == 10_000


@proves(*whole("completions", "slow"))
def test_a_script_takes_its_time() -> None:
    delay, first, *others = probed("slow", stream=True).waits
    assert probed("slow", stream=True).waits == [delay, first, *others]
    assert (0.2 <= delay <= 0.9, first) == (True, 0.1)
    assert all(0.025 <= wait <= 0.075 for wait in others)
    assert len(set(others)) > len(others) // 2
    assert probed("slow").waits == [delay]
    journalled(part("completions", "slow")[0], "slow", "slow")


@proves(*whole("faults", "time-out"))
def test_a_client_meets_its_time_out() -> None:
    assert probed("timeout").waits == [math.inf]


@proves(*whole("faults", "raw score"))
def test_any_value_comes_in_place_of_an_answer() -> None:
    assert judge(mock(), "concise", x_test="raw-score").body == {"score": "high"}


@proves(*whole("faults", "judged"))
def test_a_judged_text_strikes() -> None:
    assert judge(mock(), "concise", "Please crash the judge now").status == 500
    assert judge(mock(), "concise", "Please").status == 200


@pytest.mark.parametrize("fault", [each["name"] for each in VALUE["faults"] if "name" in each])
def test_the_journal_names_the_fault(fault: str) -> None:
    place, value = part("faults", fault)
    service = mock()
    if "output" in value["when"]:
        judge(service, "concise", "crash the judge")
    else:
        probed(value["when"]["header"]["x-test"], service, stream=True)
    [entry] = service.sessions.default.journal.entries
    assert (entry.struck, f"{place} ({fault})" in entry.faults[0]) == (place, True)


# All of it.


def test_an_answer_is_a_function_of_seed_file_and_request() -> None:
    def answers() -> list[bytes]:
        return [
            judge(mock(), "helpful", "x").reply.body,
            chat(mock(), n=3).reply.body,
            best_of('["coin", "moody"]', n=3).reply.body,
            b"".join(chat(mock(), stream=True).sent),
        ]

    assert answers() == answers()


# Recordings.


@proves("/cassette/headers", "/cassette/ignore", "/cassette/ignore_text")
def test_what_counts_when_requests_are_compared() -> None:
    identity = Identity(settings().cassette)

    def of(text: str = "on 2026-12-01", tags: str = "", criteria: str = "", **more: Json) -> str:
        body = json.dumps({"messages": [user(text)], **more}).encode()
        return identity.of(Asked("chat", "POST", "", "", {"op-tags": tags, "op-criteria": criteria}, body))

    assert of() == of(user="me", metadata={"a": "b"}) == of("on 2027-01-31") == of(tags="{}")
    assert len({of(), of("on monday"), of(criteria='["helpful"]'), of(seed=1)}) == 4


@proves("/cassette/personal")
def test_what_no_recording_holds() -> None:
    hiding = Hiding(patterns=settings().cassette.personal)
    assert hiding.body(b'{"a": "write to kim@example.org"}') == b'{"a":"write to ***"}'
    for address in ("j\u00f6rg.m\u00fcller@b\u00fccher.example", "\u7530\u4e2d@\u4f8b\u3048.jp"):
        assert hiding.text(f"write to {address}, now") == "write to ***, now"
