"""The official clients and curl, unmodified, against a running mock."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.chatclients import in_turn
from tests.environments import TESTS, node_modules
from tests.live import Live, leading_to, run

pytestmark = pytest.mark.slow

REQUESTS = TESTS / "clients" / "requests.json"
PYTHON = TESTS / "clients" / "python-openpipe"
NODE = TESTS / "clients" / "node"

Answers = dict[str, Any]
GOOD = ["plain", "the first version", "a conversation", "tools", "an image"]


SCRIPTS: dict[str, list[str | Path]] = {
    "python": [PYTHON / "ask.py", "sync", REQUESTS],
    "python async": [PYTHON / "ask.py", "async", REQUESTS],
    "outputs": [PYTHON / "outputs.py"],
}


@pytest.fixture(scope="module")
def python(live: Live) -> dict[str, Any]:
    """The JSON that each script of the Python client prints; the client is imported once."""
    outputs = in_turn("openpipe", [(leading_to(live), script) for script in SCRIPTS.values()])
    return dict(zip(SCRIPTS, map(json.loads, outputs), strict=True))


def node(live: Live, folder: Path, script: str) -> Any:
    """The JSON that a script of the Node client prints. Node looks for packages beside the script."""
    (folder / "node_modules").symlink_to(node_modules())
    copy = folder / script
    copy.write_bytes((NODE / script).read_bytes())
    return json.loads(run(["node", copy, REQUESTS], leading_to(live)))


def curl(live: Live) -> Answers:
    """What curl gets for each request: the body, or for an error its status and body."""
    requests = json.loads(REQUESTS.read_bytes())
    return {
        name: curl_one(live, request, "invalid-key" if name == "refused key" else "op-local")
        for name, request in requests.items()
    }


def curl_one(live: Live, request: Answers, key: str, *flags: str) -> Answers:
    command = ["curl", "--silent", "--show-error", "--write-out", "\n%{http_code}", *flags]
    headers = ["-H", f"Authorization: Bearer {key}", "-H", "Content-Type: application/json"]
    printed = run([*command, *headers, "--data", json.dumps(request), f"{live.base_url}/criteria/judge"])
    body, _, status = printed.rpartition("\n")
    answer: Answers = json.loads(body)
    return answer if status == "200" else {"status": int(status), "body": answer}


CLIENTS: dict[str, Callable[[Live, Path], Answers]] = {
    "node": lambda live, folder: node(live, folder, "ask.mjs"),
    "node commonjs": lambda live, folder: node(live, folder, "ask.cjs"),
    "curl": lambda live, _: curl(live),
}


@pytest.fixture(scope="module", params=["python", "python async", *CLIENTS])
def answers(request: pytest.FixtureRequest, live: Live, tmp_path_factory: pytest.TempPathFactory) -> Answers:
    """What one client gets for each of the requests."""
    if request.param in SCRIPTS:
        answers: Answers = request.getfixturevalue("python")[request.param]
        return answers
    return CLIENTS[request.param](live, tmp_path_factory.mktemp("client"))


@pytest.mark.parametrize("name", GOOD)
def test_every_client_gets_a_score_from_0_to_1_and_an_explanation(answers: Answers, name: str) -> None:
    assert isinstance(answers[name]["score"], float)
    assert 0 <= answers[name]["score"] <= 1
    assert isinstance(answers[name]["explanation"], str)


def test_a_judgement_without_a_reward_model_has_no_usage(answers: Answers) -> None:
    assert answers["plain"].get("usage") is None


def test_every_client_gets_the_same_judgements(answers: Answers, live: Live) -> None:
    expected = curl(live)
    assert {name: answers[name]["score"] for name in GOOD} == {name: expected[name]["score"] for name in GOOD}


def test_the_same_question_gets_the_same_answer_again(answers: Answers) -> None:
    assert answers["plain, asked again"] == answers["plain"]


def test_a_criterion_without_a_version_is_its_latest_one(answers: Answers) -> None:
    assert answers["the first version"] == answers["plain"]


def test_different_questions_get_different_scores(answers: Answers) -> None:
    assert len({answers[name]["score"] for name in GOOD}) > 2


@pytest.mark.parametrize(
    ("name", "status", "code"),
    [
        ("no output", 400, "BAD_REQUEST"),
        ("refused key", 401, "UNAUTHORIZED"),
        ("unknown version", 404, "NOT_FOUND"),
    ],
)
def test_every_client_understands_a_refusal(answers: Answers, name: str, status: int, code: str) -> None:
    assert answers[name]["status"] == status
    assert answers[name]["body"]["code"] == code
    assert answers[name]["body"]["message"]


def test_the_refusal_of_a_body_names_what_is_missing(answers: Answers) -> None:
    [issue] = answers["no output"]["body"]["issues"]
    assert issue["message"].startswith("/output: ")


def test_the_node_client_raises_its_own_error(answers: Answers, request: pytest.FixtureRequest) -> None:
    errors = {answer["error"] for answer in answers.values() if "error" in answer}
    expected = {"ApiError"} if "node" in request.node.callspec.id else set()
    assert errors == expected


@pytest.mark.parametrize("place", ["output", "input"])
@pytest.mark.parametrize("form", ["message", "model_dump"])
def test_a_completion_message_counts_as_what_it_says(python: dict[str, Any], place: str, form: str) -> None:
    """As openai's own object and as its dump, both full of nulls, in the output and in the conversation."""
    scores = python["outputs"]
    assert scores[place][form] == scores[place]["dict"]


def test_curl_without_a_key_is_told_to_send_one(live: Live) -> None:
    printed = run(["curl", "--silent", "--include", "--data", "{}", f"{live.base_url}/criteria/judge"])
    head, _, body = printed.partition("\n\n")
    assert head.startswith("HTTP/1.1 401 ")
    assert "www-authenticate: Bearer" in head.splitlines()
    assert "content-type: application/json" in head.splitlines()
    assert "Authorization: Bearer" in json.loads(body)["message"]


def test_curl_reads_one_json_body_of_the_announced_length(live: Live) -> None:
    request = {"criterion_id": "helpful", "output": {"role": "assistant"}}
    answer = curl_one(live, request, "op-local", "--fail")
    assert set(answer) == {"score", "explanation"}
