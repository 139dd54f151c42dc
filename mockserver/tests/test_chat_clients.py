"""The provider's clients and OpenAI's, unmodified, chat with a running mock."""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping

import httpx
import jsonschema_rs
import pytest

from tests.chatclients import CHATS, Json, Scripted, chats, in_turn, node, python, surroundings
from tests.chatclients import CLIENTS as SCRIPTS
from tests.live import PROVIDER, Live, serving

pytestmark = pytest.mark.slow

SYNC_AND_ASYNC = {"openpipe": "sync", "openpipe async": "async"}
OPENPIPE = [*SYNC_AND_ASYNC, "openpipe node"]
OPENAI = ["openai", "openai node"]
CLIENTS = [*OPENPIPE, *OPENAI]
CRITERIA = {name: "criteria by header" if name in OPENPIPE else "criteria" for name in CLIENTS}
"""The scene in which each client asks for criteria."""

Play = Callable[[str, str], Json]


@pytest.fixture(scope="module")
def few_models() -> Iterator[Live]:
    """A mock that knows next to no model."""
    with serving("--quiet", f"--config={PROVIDER}") as mock:
        yield mock


@pytest.fixture(scope="module")
def openpipe(live: Live, few_models: Live) -> Mapping[str, Json]:
    """What the provider's Python client saw in each way, and where a model isn't there.

    All of it comes from one process, as most of what it takes is to import the client.
    """
    folder, key = SCRIPTS / "python-openpipe", "op-openpipe"
    runs: list[Scripted] = [
        (surroundings(live, key), [folder / "chat.py", way, CHATS]) for way in SYNC_AND_ASYNC.values()
    ]
    runs.append((surroundings(few_models, key), [folder / "fallback.py"]))
    outputs = in_turn("openpipe", runs)
    return dict(zip([*SYNC_AND_ASYNC, "fallback"], map(json.loads, outputs), strict=True))


@pytest.fixture(scope="module")
def play(live: Live, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Play:
    """What a client saw in a scene; each client is run once."""
    seen: dict[str, Json] = {}

    def played(client: str) -> Json:
        if client in SYNC_AND_ASYNC:
            return request.getfixturevalue("openpipe")[client]
        if client == "openai":
            return python(live, client, "chat.py", str(CHATS))
        return node(live, tmp_path_factory.mktemp("client"), f"chat-{client.split()[0]}.mjs", str(CHATS))

    def scene(client: str, name: str) -> Json:
        if client not in seen:
            seen[client] = played(client)
        return seen[client][name]

    return scene


@pytest.fixture(params=CLIENTS)
def everyone(request: pytest.FixtureRequest) -> str:
    """Each client in turn."""
    return str(request.param)


@pytest.fixture(params=OPENPIPE)
def official(request: pytest.FixtureRequest) -> str:
    """Each of the provider's own clients in turn."""
    return str(request.param)


@pytest.fixture(params=OPENAI)
def foreign(request: pytest.FixtureRequest) -> str:
    """Each of OpenAI's clients in turn."""
    return str(request.param)


@pytest.fixture(params=chats())
def chat(request: pytest.FixtureRequest) -> str:
    """The name of each request in turn."""
    return str(request.param)


def on_the_wire(client: httpx.Client, chat: str) -> Json:
    """The answer to a request, without a client's help."""
    return client.post("/chat/completions", json=chats()[chat]).raise_for_status().json()


def said(completion: Json) -> Json:
    """What the choices of a completion say, whatever a client adds to them or leaves out when it is empty."""
    return [
        {
            "index": choice["index"],
            "finish_reason": choice["finish_reason"],
            "role": choice["message"]["role"],
            "content": choice["message"]["content"],
            "function_call": choice["message"].get("function_call"),
            "calls": [
                (call["id"], call["type"], call["function"]["name"], call["function"]["arguments"])
                for call in choice["message"].get("tool_calls") or ()
            ],
        }
        for choice in completion["choices"]
    ]


# The same requests from every client.


def test_every_client_gets_what_is_on_the_wire(
    play: Play, everyone: str, chat: str, client: httpx.Client
) -> None:
    assert play(everyone, "plain")[chat] == on_the_wire(client, chat)


def test_a_stream_says_to_every_client_what_the_plain_answer_says(
    play: Play, everyone: str, chat: str
) -> None:
    plain, streamed = play(everyone, "plain")[chat], play(everyone, "streamed")[chat]
    assert "failed" not in streamed, streamed
    assert said(streamed) == said(plain)
    assert {streamed[name] == plain[name] for name in ("id", "created", "model")} == {True}


@pytest.mark.parametrize("client", ["openpipe node", "openai", "openai node"])
def test_a_stream_counts_the_same_tokens(play: Play, client: str, chat: str) -> None:
    """The provider's Python client loses the counts when it puts a stream together."""
    assert play(client, "streamed")[chat]["usage"] == play(client, "plain")[chat]["usage"]


def test_a_stream_has_the_same_log_probabilities(play: Play, foreign: str) -> None:
    """The provider's clients lose them when they put a stream together."""
    [plain] = play(foreign, "plain")["log probabilities"]["choices"]
    [streamed] = play(foreign, "streamed")["log probabilities"]["choices"]
    assert len(plain["logprobs"]["content"]) > 2
    assert streamed["logprobs"] == plain["logprobs"]


def test_every_choice_says_something_else(client: httpx.Client) -> None:
    for name in ("words", "a tool that is mentioned"):
        choices = on_the_wire(client, name)["choices"]
        assert len({json.dumps(choice["message"]) for choice in choices}) == chats()[name]["n"]


@pytest.mark.parametrize("name", ["a tool that is mentioned", "a named tool"])
def test_a_call_has_arguments_that_its_tool_takes(client: httpx.Client, name: str) -> None:
    offered = {tool["function"]["name"]: tool["function"] for tool in chats()[name]["tools"]}
    for choice in on_the_wire(client, name)["choices"]:
        [call] = choice["message"]["tool_calls"]
        parameters = offered[call["function"]["name"]]["parameters"]
        assert jsonschema_rs.is_valid(parameters, json.loads(call["function"]["arguments"]))


def test_an_answer_has_the_form_that_was_asked_for(client: httpx.Client) -> None:
    schema = chats()["JSON by a schema"]["response_format"]["json_schema"]["schema"]
    [choice] = on_the_wire(client, "JSON by a schema")["choices"]
    assert jsonschema_rs.is_valid(schema, json.loads(choice["message"]["content"]))


# Best of n.


def combined(choice: Json) -> float:
    scores: list[float] = [result["score"] for result in choice["criteria_results"].values()]
    return sum(scores) / len(scores)


def test_criteria_put_the_best_choice_first(play: Play, everyone: str) -> None:
    choices = play(everyone, CRITERIA[everyone])["choices"]
    assert [choice["index"] for choice in choices] == [0, 1, 2, 3, 4]
    assert {tuple(choice["criteria_results"]) for choice in choices} == {("helpful", "polite")}
    totals = [combined(choice) for choice in choices]
    assert totals == sorted(totals, reverse=True)
    assert len(set(totals)) > 1


def test_criteria_only_reorder_and_add(play: Play, everyone: str) -> None:
    judged, plain = play(everyone, CRITERIA[everyone]), play(everyone, "without criteria")
    assert Counter(choice["message"]["content"] for choice in judged["choices"]) == Counter(
        choice["message"]["content"] for choice in plain["choices"]
    )
    assert {judged[name] == plain[name] for name in ("id", "created", "model", "usage")} == {True}


def test_criteria_of_the_client_s_own_option_are_those_of_the_header(play: Play, official: str) -> None:
    assert play(official, "criteria by option") == play(official, "criteria by header")


# A message goes back to the mock, in each form in which users hand it on.

ROUND_TRIPS = [*OPENPIPE, "openai", "openai node"]
ANSWERED = {"words": "“And now backwards”", "call": "the tool result “Sunny”"}


@pytest.mark.parametrize("what", ["words", "call"])
@pytest.mark.parametrize("client", ROUND_TRIPS)
def test_the_judge_gives_a_choice_s_score(play: Play, client: str, what: str) -> None:
    choices = play(client, f"judged {what}")
    assert "failed" not in choices, choices
    for choice in choices:
        assert set(choice["scores"].values()) == {choice["expected"]}
    assert len({choice["expected"] for choice in choices}) == 2


@pytest.mark.parametrize("what", ["words", "call"])
@pytest.mark.parametrize("client", ROUND_TRIPS)
def test_an_answer_can_be_appended_in_every_form(play: Play, client: str, what: str) -> None:
    answers = play(client, f"{what}, asked again")
    assert "failed" not in answers, answers
    assert len({json.dumps(answer, sort_keys=True) for answer in answers.values()}) == 1
    [choice] = next(iter(answers.values()))["choices"]
    assert choice["finish_reason"] == "stop"
    assert ANSWERED[what] in choice["message"]["content"]


@pytest.mark.parametrize(
    ("client", "scene"),
    [
        ("openpipe", "parsed, asked again"),
        ("openpipe async", "parsed, asked again"),
        ("openai", "parsed, asked again"),
        ("openai", "streamed call, asked again"),
        ("openai node", "parsed, asked again"),
    ],
)
def test_a_message_that_the_client_has_parsed_can_be_appended(play: Play, client: str, scene: str) -> None:
    answers = play(client, scene)
    assert "failed" not in answers, answers
    assert len({json.dumps(answer, sort_keys=True) for answer in answers.values()}) == 1


# What the provider's clients add.


def test_tags_and_metadata_are_logged(play: Play, official: str) -> None:
    seen = play(official, "labelled")
    logged = logged_call(seen["logged"])
    assert logged["answer"] == seen["answer"]
    assert logged["metadata"]["prompt"] == "count"
    assert logged["metadata"]["nth"] == "3"
    assert logged["metadata"]["$sdk"] == ("typescript" if official == "openpipe node" else "python")
    assert logged["tags"] == logged["metadata"]


def logged_call(call: Json) -> Json:
    """A logged call in the words of the Python scripts."""
    if "cacheHit" not in call:
        return call
    own = {name: call[name] for name in ("metadata", "tags")}
    return {**own, "cache_hit": call["cacheHit"], "answer": call["respPayload"]["id"]}


def test_a_logged_stream_is_what_its_chunks_say(play: Play, official: str) -> None:
    seen = play(official, "logged stream")
    assert "failed" not in seen, seen
    assert said(seen["logged"]) == said(seen["streamed"])
    assert "usage" not in seen["logged"]


@pytest.mark.parametrize("client", ["openpipe", "openpipe async"])
def test_a_call_that_should_not_be_logged_is_not(play: Play, client: str) -> None:
    seen = play(client, "unlogged")
    assert seen["after"] == seen["before"]
    assert seen["after"]["answer"] != seen["answer"]


def test_a_cached_answer_keeps_its_id_and_is_logged_as_such(play: Play, official: str) -> None:
    first, second = play(official, "cached")
    assert first["answer"] == second["answer"]
    assert [logged_call(each["logged"])["cache_hit"] for each in (first, second)] == [False, True]


@pytest.mark.parametrize("client", ["openpipe", "openpipe async"])
def test_the_python_client_parses_into_a_model(play: Play, client: str) -> None:
    choices = play(client, "parsed")
    assert "failed" not in choices, choices
    assert len(choices) == 2
    for choice in choices:
        assert json.loads(choice["content"]) == choice["parsed"]


def test_the_provider_s_clients_understand_a_refusal(play: Play, official: str) -> None:
    refusal = play(official, "refused")
    assert (refusal["error"], refusal["status"]) == ("BadRequestError", 400)
    assert "/n: expected at least 1" in refusal["text"]


@pytest.fixture(scope="module")
def fallbacks(
    openpipe: Mapping[str, Json], few_models: Live, tmp_path_factory: pytest.TempPathFactory
) -> Mapping[str, Json]:
    """What the provider's clients saw where a model isn't there; those that are too slow wait for delays."""
    return {**openpipe["fallback"], **node(few_models, tmp_path_factory.mktemp("client"), "fallback.mjs")}


@pytest.mark.parametrize("way", ["sync", "async", "node"])
def test_a_client_falls_back_from_a_model_that_is_not_there(fallbacks: Mapping[str, Json], way: str) -> None:
    seen = fallbacks[way]["answered"]
    assert seen["model"] == "gpt-4o"
    assert (seen["logged"]["model"], seen["logged"]["status"]) == ("gpt-4o", 200)
    assert seen["logged"]["answer"] == seen["answer"]
    assert seen["logged"]["tags"]["nth"] == "3"


@pytest.mark.parametrize("way", ["sync", "async", "node"])
def test_a_client_falls_back_to_a_stream(fallbacks: Mapping[str, Json], way: str) -> None:
    seen = fallbacks[way]["streamed"]
    assert seen["models"] == ["gpt-4o"]
    assert (seen["logged"]["answer"], seen["logged"]["status"]) == (seen["answer"], 200)


@pytest.mark.parametrize("way", ["sync", "async", "node"])
def test_a_fallback_that_is_not_there_either_is_an_error(fallbacks: Mapping[str, Json], way: str) -> None:
    seen = fallbacks[way]["failed"]
    assert (seen["error"], seen["status"]) == ("NotFoundError", 404)
    assert (seen["logged"]["model"], seen["logged"]["status"]) == ("no-such-fallback", 404)
    words = "The model `no-such-fallback` does not exist or you do not have access to it."
    assert words in seen["logged"]["error"]


# What OpenAI's clients add.


def test_an_agent_loop_calls_once_and_ends(play: Play, foreign: str) -> None:
    seen = play(foreign, "agent")
    assert seen["turns"] == ["tool_calls", "stop"]
    assert "the tool result “Rain in " in seen["answer"]


def test_a_client_parses_an_answer_and_a_call(play: Play, foreign: str) -> None:
    answer, call = play(foreign, "parsed"), play(foreign, "parsed call")
    assert answer["parsed"] == answer["content"]
    assert set(answer["parsed"]) == {"name", "place"}
    assert call["name"].lower() in ("weather", "winner")
    assert call["parsed"]


def test_an_answer_that_is_too_short_to_be_parsed_says_so(play: Play) -> None:
    assert play("openai", "parsed too short") == "length"


def test_a_stream_is_parsed_like_the_plain_answer(play: Play) -> None:
    seen = play("openai", "parsed stream")
    assert seen["parsed"] == play("openai", "parsed")["parsed"]
    assert {"chunk", "content.delta", "content.done"} <= set(seen["kinds"])


def test_a_stream_begins_with_a_role_ends_with_a_reason_and_counts_last(play: Play) -> None:
    seen = play("openai", "counted stream")
    assert seen["choices"] == [1] * (len(seen["choices"]) - 1) + [0]
    assert [bool(role) for role in seen["roles"]] == [True] + [False] * (len(seen["roles"]) - 1)
    assert [bool(end) for end in seen["ends"]] == [False] * (len(seen["ends"]) - 1) + [True]
    *before, last = seen["usage"]
    assert set(before) == {None}
    assert last["total_tokens"] == last["prompt_tokens"] + last["completion_tokens"]


def test_the_raw_response_is_there(play: Play) -> None:
    seen = play("openai", "raw")
    assert (seen["status"], seen["type"], seen["same bytes"]) == (200, "application/json", True)


def test_the_async_client_gets_both_at_once(play: Play) -> None:
    seen = play("openai", "async")
    assert seen["plain"] == seen["streamed"]


def test_null_members_mean_nothing(play: Play) -> None:
    seen = play("openai", "nulls")
    assert seen["nulls"] == seen["plain"]


def test_the_models_can_be_listed_and_shown(play: Play, everyone: str) -> None:
    seen = play(everyone, "models")
    assert "failed" not in seen, seen
    assert seen["shown"] == seen["listed"]
    assert "gpt-4o-mini" in [model["id"] for model in seen["listed"]]
    assert {model["object"] for model in seen["listed"]} == {"model"}


REFUSALS = [
    ("key", "AuthenticationError", 401, "UNAUTHORIZED", "Unauthorized: the key begins with"),
    ("role", "BadRequestError", 400, "BAD_REQUEST", "/messages/0/role: expected"),
    ("n", "BadRequestError", 400, "BAD_REQUEST", "/n: expected at least 1"),
    ("criterion", "NotFoundError", 404, "NOT_FOUND", "Criterion version new not found for criterion helpful"),
    ("stream with criteria", "BadRequestError", 400, "BAD_REQUEST", "Cannot use criteria with stream"),
    ("responses", "NotFoundError", 404, "NOT_FOUND", "client.chat.completions.create"),
]


@pytest.mark.parametrize(("name", "error", "status", "code", "words"), REFUSALS)
def test_a_client_raises_what_was_refused_in_readable_words(
    play: Play, foreign: str, name: str, error: str, status: int, code: str, words: str
) -> None:
    refusal = play(foreign, "refusals")[name]
    assert (refusal["error"], refusal["status"], refusal["code"]) == (error, status, code)
    assert words in refusal["text"]
    assert "{" not in refusal["text"], "a client that finds no message shows the whole body"


def test_a_wrong_base_url_is_told_the_right_one(play: Play, foreign: str, live: Live) -> None:
    refusal = play(foreign, "refusals")["path"]
    assert (refusal["error"], refusal["status"]) == ("NotFoundError", 404)
    assert f"let the base URL be {live.base_url}." in refusal["text"]


def test_a_client_that_leaves_a_stream_goes_on(play: Play) -> None:
    assert "Count to 10" in play("openai node", "left in mid-stream")
