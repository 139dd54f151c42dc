"""What a mock remembers, as scenarios: each must go alike through one mock and in turn through several."""

import json
import select
import socket
import threading
from collections.abc import Callable, Sequence
from itertools import cycle
from typing import Any, TypeVar

import httpx

from openpipe_mock.sessions.calllog import LoggedCall, Own
from openpipe_mock.sessions.memory import MOST_SESSIONS
from tests.live import PATIENCE, until

Json = Any
_Log = TypeVar("_Log")

CONFIG = """
ids: random
repeat: vary
unknown_criteria: judge
criteria:
  steps: {sequence: [1, 0, 0.5], then: last}
  two: {v1: {score: 0.1}, v2: {score: 0.2}}
faults:
  - {when: {header: {x-test: every}}, every: 2, status: 418}
"""
KEY = "op-very-secret-key"


def own_call(request: Json, response: Json = None, status: int = 200, **more: Any) -> LoggedCall:
    """A call of the mock's own as a log shows it."""
    return Own(json.dumps(request).encode(), json.dumps(response).encode(), status, **more).logged()


def bounded(log: _Log, **bounds: int) -> _Log:
    """A journal or a log of calls with other bounds."""
    vars(log).update(bounds)
    return log


class Turns:
    """Mocks that are asked in turn."""

    def __init__(self, origins: Sequence[str]) -> None:
        self.clients = [httpx.Client(base_url=origin, timeout=PATIENCE) for origin in origins]
        self.turn = cycle(self.clients)

    def close(self) -> None:
        for client in self.clients:
            client.close()

    def ask(self, method: str, path: str, body: Json = None, **options: Any) -> httpx.Response:
        content = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json", **options.pop("headers", {})}
        return next(self.turn).request(method, path, content=content, headers=headers, **options)

    def control(
        self, method: str, path: str, body: Json = None, *, status: int = 200, **options: Any
    ) -> Json:
        answer = self.ask(method, f"/_mock{path}", body, **options)
        assert answer.status_code == status, answer.text
        return answer.json()

    def api(
        self, path: str, body: Json = None, *, key: str = KEY, session: str = "", **headers: str
    ) -> httpx.Response:
        named = {"x-mock-session": session} if session else {}
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.ask(
            "GET" if body is None else "POST",
            f"/api/v1{path}",
            body,
            headers={"Authorization": f"Bearer {key}", **named, **sent},
        )

    def judge(self, criterion: str = "plain", text: str = "1, 2, 3", **options: str) -> httpx.Response:
        output = {"role": "assistant", "content": text}
        return self.api("/criteria/judge", {"criterion_id": criterion, "output": output}, **options)

    def score(self, criterion: str, **options: str) -> float:
        answer = self.judge(criterion, **options)
        assert answer.status_code == 200, answer.text
        score: float = answer.json()["score"]
        return score

    def chat(self, text: str = "Hello", **options: str) -> Json:
        body = {"model": "gpt-4o", "messages": [{"role": "user", "content": text}]}
        answer = self.api("/chat/completions", body, **options)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def said(self, text: str = "Hello", **options: str) -> str:
        said: str = self.chat(text, **options)["choices"][0]["message"]["content"]
        return said


# Counts.


def sequences_of_the_file_go_on(mock: Turns) -> None:
    assert [mock.score("steps") for _ in range(5)] == [1, 0, 0.5, 0.5, 0.5]


def sequences_of_the_runtime_go_on(mock: Turns) -> None:
    mock.control("PUT", "/criteria/flaky", {"sequence": [0.1, 0.2, 0.3]})
    assert [mock.score("flaky") for _ in range(5)] == [0.1, 0.2, 0.3, 0.1, 0.2]
    mock.control("PUT", "/criteria/flaky", {"sequence": [0.1, 0.2, 0.3]})
    assert mock.score("flaky") == 0.1, "what is set anew begins anew"


def identical_requests_get_answers_of_their_own(mock: Turns) -> None:
    said = [mock.said() for _ in range(4)]
    assert len(set(said)) == 4
    mock.control("POST", "/reset")
    assert [mock.said() for _ in range(4)] == said


def faults_strike_at_their_turn(mock: Turns) -> None:
    seen = [mock.judge(x_test="every").status_code for _ in range(6)]
    assert seen == [200, 418, 200, 418, 200, 418]


# What is set at runtime.


def criteria_are_set_and_reset(mock: Turns) -> None:
    assert mock.score("two") == 0.2
    mock.control("PUT", "/criteria/two@v2", {"score": 0.9})
    mock.control("PUT", "/criteria/new", {"v1": {"score": 0.3}, "v4": {"score": 0.4}})
    assert [mock.score(name) for name in ("two", "two@v1", "new", "new@v1")] == [0.9, 0.1, 0.4, 0.3]
    listed = mock.control("GET", "/criteria")["criteria"]
    assert [each["id"] for each in listed if each["source"] == "runtime"] == ["two", "new"]
    mock.control("PUT", "/criteria/new@v4", {"score": 0.6})
    assert [mock.score(name) for name in ("new@v4", "new@v1") * 2] == [0.6, 0.3] * 2
    mock.control("DELETE", "/criteria/new@v4")
    assert mock.judge("new@v4").status_code == 404
    mock.control("DELETE", "/criteria/two")
    mock.control("DELETE", "/criteria/new")
    assert mock.score("two") == mock.score("two") == 0.2
    assert mock.control("GET", "/criteria") == mock.control("GET", "/criteria")


def a_criterion_set_as_a_whole_keeps_the_file_s_versions(mock: Turns) -> None:
    mock.control("PUT", "/criteria/two@v3", {"score": 0.7})
    assert [mock.score(f"two@v{number}") for number in (1, 1, 2, 2, 3, 3)] == [0.1, 0.1, 0.2, 0.2, 0.7, 0.7]
    mock.control("PUT", "/criteria/two", {"rules": [{"when": {"output": "x"}, "score": 1}], "otherwise": 0})
    assert [mock.score(f"two@v{number}") for number in (1, 2, 3)] == [0, 0, 0]
    assert mock.judge("two@v4").status_code == 404


def scripts_stand_in_front_of_older_ones(mock: Turns) -> None:
    first = mock.control("POST", "/completions", {"text": "first"}, status=201)
    assert mock.said() == mock.said() == "first"
    rules = [{"when": {"last_user": "a"}, "text": "A"}, {"when": {"last_user": "b"}, "text": "B"}]
    second = mock.control("POST", "/completions", rules, status=201)
    assert [mock.said(text) for text in ("a", "b", "c", "a", "b", "c")] == ["A", "B", "first"] * 2
    places = [each["place"] for each in mock.control("GET", "/completions")["completions"]]
    assert places == second["places"] + first["places"]
    assert len(set(places)) == 3
    assert mock.control("DELETE", "/completions")["removed"] == 3
    assert mock.control("GET", "/completions") == mock.control("GET", "/completions") == {"completions": []}


def faults_are_added_and_dropped(mock: Turns) -> None:
    mock.control("POST", "/faults", [{"call": 2, "status": 500}, {"call": 3, "status": 502}], status=201)
    assert [mock.judge().status_code for _ in range(4)] == [200, 500, 502, 200]
    assert mock.control("DELETE", "/faults")["removed"] == 2
    assert [each["source"] for each in mock.control("GET", "/faults")["faults"]] == ["file"]


def what_only_json_can_say_is_shared_too(mock: Turns) -> None:
    odd = {"text": "\x00 🙂 \u2028", "small": 1e-300, "big": 2**53, "deep": [[[[{"": None}]]]]}
    mock.control("PUT", "/criteria/odd", {"raw": odd})
    assert mock.judge("odd").json() == mock.judge("odd").json() == odd


# Cache, log and journal.


def a_cached_answer_is_found(mock: Turns) -> None:
    made = [mock.chat(op_cache="readWrite") for _ in range(3)]
    assert len({each["id"] for each in made}) == 1
    assert made[0]["choices"] == made[1]["choices"] == made[2]["choices"]
    assert mock.chat(op_cache="readOnly", key="op-other-key")["id"] != made[0]["id"]
    assert mock.chat()["id"] != made[0]["id"]
    mock.control("POST", "/reset")
    assert mock.chat(op_cache="readOnly")["id"] != made[0]["id"]


def a_cached_call_is_found(mock: Turns) -> None:
    tool = {"type": "function", "function": {"name": "count", "parameters": {"type": "object"}}}
    messages = [{"role": "user", "content": "Hi"}]
    body = {"model": "m", "messages": messages, "tools": [tool], "tool_choice": "required", "n": 2}
    first, second = (mock.api("/chat/completions", body, op_cache="true").json() for _ in range(2))
    assert first["choices"][0]["message"]["tool_calls"]
    assert first == second


def latest(mock: Turns, key: str = KEY) -> Json:
    return mock.api("/local-testing-only-get-latest-logged-call", key=key).json()


def calls_are_logged_and_labelled(mock: Turns) -> None:
    assert latest(mock) is None
    for number in range(3):
        sent = {"model": f"m{number}", "messages": []}
        call = {"reqPayload": sent, "respPayload": {"id": f"c{number}", "api_key": "hide me"}}
        mock.api("/report", {**call, "statusCode": 200, "tags": {"n": str(number)}})
    assert latest(mock) == latest(mock)
    assert latest(mock)["reqPayload"]["model"] == "m2"
    assert latest(mock, "op-other-key") is None
    change = {"filters": [{"field": "model", "equals": "m2"}], "tags": {"seen": "yes", "n": None}}
    assert mock.api("/logs/update-tags", change).json() == {"matchedLogs": 1}
    assert mock.api("/logs/update-tags", {**change, "filters": []}).json() == {"matchedLogs": 3}
    assert latest(mock)["tags"] == latest(mock)["metadata"] == {"seen": "yes"}
    none = {**change, "filters": [{"field": "model", "equals": "other"}]}
    assert mock.api("/logs/update-tags", none).json() == {"matchedLogs": 0}


def answers_are_logged(mock: Turns) -> None:
    said = mock.said(op_log_request="true", op_tags='{"prompt": "p1"}')
    assert latest(mock)["respPayload"]["choices"][0]["message"]["content"] == said
    assert latest(mock)["tags"] == {"prompt": "p1"}
    before = latest(mock)
    mock.said()
    mock.said(op_log_request="false")
    assert latest(mock) == before


def requests_are_numbered_and_shown(mock: Turns) -> None:
    ids = [mock.judge(text=str(number)).headers["x-request-id"] for number in range(4)]
    assert ids == [f"default-{number}" for number in (1, 2, 3, 4)]
    mock.api("/criteria/judge", {"criterion_id": KEY})
    listed = mock.control("GET", "/requests")
    assert [each["id"] for each in listed["requests"]] == ["default-5", *reversed(ids)]
    assert (listed["count"], listed["dropped"]) == (5, 0)
    assert mock.control("GET", "/requests?validity=valid&limit=1")["requests"][0]["id"] == "default-4"
    detail = mock.control("GET", "/requests/default-2")
    assert detail["request"]["body"]["output"]["content"] == "1"
    assert detail["answer"]["body"]["score"] == detail["scores"][0]["plain"]
    assert KEY not in json.dumps(mock.control("GET", "/requests/default-5"))
    mock.control("GET", "/requests/default-9", status=404)
    assert mock.control("GET", "/status")["requests"] == mock.control("GET", "/status")["requests"] == 5
    assert mock.control("DELETE", "/requests")["removed"] == 5
    assert mock.control("GET", "/requests")["requests"] == mock.control("GET", "/requests")["requests"] == []
    assert mock.judge().headers["x-request-id"] == "default-6"


def any_bytes_can_be_shown(mock: Turns) -> None:
    mock.api("/criteria/judge", b"\xff\xfe\x00 no JSON")
    mock.ask("GET", "/api/v1/%FF%ED%A0%80/x")
    mock.ask("GET", "/api/v1/x", headers={"x-odd": b"\xe9\xff"})
    body = {"model": "m", "messages": [{"role": "user", "content": "Hi 🙂"}], "stream": True}
    mock.api("/chat/completions", body)
    for number in (1, 2, 3, 4):
        shown = [mock.control("GET", f"/requests/default-{number}") for _ in range(2)]
        assert shown[0] == shown[1]
    assert shown[0]["answer"]["events"][-1] == "[DONE]"


def verify_counts_all(mock: Turns) -> None:
    for text in "aab":
        mock.judge(text=text)
    when = {"endpoint": "judge", "output": "a"}
    for _ in range(2):
        assert mock.control("POST", "/verify", {"when": when, "exactly": 2})["ok"]
    failed = mock.control("POST", "/verify", {"when": when, "at_least": 3})
    assert (failed["ok"], failed["count"]) == (False, 2)
    assert [miss["id"] for miss in failed["near_misses"]] == ["default-3"]


def rules_that_missed_are_explained(mock: Turns) -> None:
    mock.control("POST", "/completions", {"when": {"last_user": "never"}, "text": "x"}, status=201)
    mock.said()
    shown = [mock.control("GET", "/requests/default-1") for _ in range(2)]
    assert shown[0] == shown[1]
    assert [each["kind"] for each in shown[0]["unmatched"]] == ["script", "fault"]


# Limits.


def a_key_is_limited_per_minute(mock: Turns) -> None:
    mock.control("PUT", "/limits", {"requests_per_minute": 3})
    assert mock.control("GET", "/limits") == mock.control("GET", "/limits")
    answers = [mock.judge() for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert "3 a minute" in answers[-1].text
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 60
    assert mock.judge(key="op-other-key").status_code == 200
    mock.control("DELETE", "/limits")
    assert mock.judge().status_code == 200
    assert mock.control("GET", "/limits")["source"] == "default"


def a_key_is_limited_at_a_time(mock: Turns) -> None:
    mock.control("PUT", "/limits", {"concurrent": 1})
    origin = mock.clients[0].base_url
    with socket.create_connection((origin.host, origin.port or 80)) as sock:
        sock.sendall(SLOW)
        until(lambda: mock.judge().status_code == 429 or again(sock))
        answers = [mock.judge() for _ in range(2)]
        assert [answer.status_code for answer in answers] == [429, 429]
        assert "1 at a time" in answers[0].text
        assert mock.judge(key="op-other-key").status_code == 200
    until(lambda: mock.judge().status_code == 200)
    assert {mock.judge().status_code for _ in range(4)} == {200}


SLOW = (
    b"POST /api/v1/criteria/judge HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    b"Content-Length: 2\r\nX-Mock-Delay-Ms: 600000\r\nAuthorization: Bearer " + KEY.encode() + b"\r\n\r\n{}"
)
"""A request that takes long, until its client hangs up."""


def again(sock: socket.socket) -> bool:
    """Send the slow request once more where one of ours got in its way."""
    if select.select([sock], [], [], 0)[0]:
        assert b" 429 " in sock.recv(65536)
        sock.sendall(SLOW)
    return False


# Sessions.


def sessions_keep_things_apart(mock: Turns) -> None:
    made = mock.control("POST", "/sessions", {"name": "a"}, status=201)
    assert made["base_url"].endswith("/_mock/sessions/a/api/v1")
    mock.control("POST", "/sessions", {"name": "a"}, status=200)
    mock.control("PUT", "/criteria/mine", {"score": 0.25}, headers={"x-mock-session": "a"})
    assert [mock.score("mine", session="a") for _ in range(2)] == [0.25] * 2
    assert mock.score("mine") == mock.score("mine") != 0.25
    assert [mock.score("steps", session=name) for name in ("a", "b", "a", "b")] == [1, 1, 0, 0]
    listed = mock.control("GET", "/sessions")["sessions"]
    assert [(each["name"], each["requests"]) for each in listed] == [("default", 2), ("a", 4), ("b", 2)]
    assert mock.control("GET", "/status")["sessions"] == 3
    everywhere = mock.control("GET", "/requests?session=*")["requests"]
    assert len(everywhere) == 8
    assert everywhere[0]["id"] == "b-2"
    assert mock.control("GET", "/requests?session=a")["count"] == 4
    mock.control("GET", "/requests?session=none", status=404)
    mock.control("GET", "/requests?session=no:name", status=404)
    mock.control("POST", "/reset?session=-", status=400)


def sessions_are_made_and_closed(mock: Turns) -> None:
    fresh = [mock.control("POST", "/sessions", status=201)["name"] for _ in range(3)]
    assert len(set(fresh)) == 3
    for name in fresh:
        assert mock.control("GET", f"/sessions/{name}")["name"] == name
        assert [mock.score("steps", session=name) for _ in range(2)] == [1, 0]
        mock.control("DELETE", f"/sessions/{name}")
        mock.control("GET", f"/sessions/{name}", status=404)
    mock.control("DELETE", f"/sessions/{fresh[0]}", status=404)
    mock.control("DELETE", "/sessions/no:name", status=404)
    assert mock.score("steps", session=fresh[0]) == 1, "a closed name begins anew"
    mock.control("DELETE", f"/sessions/{fresh[0]}")
    mock.control("DELETE", "/sessions/default", status=400)
    assert mock.judge(session="no name").status_code == 400
    mock.control("POST", "/sessions", {"name": "no name"}, status=400)


IMAGE = {
    "Accept": "image/avif,image/webp,*/*;q=0.8",
    "Referer": "https://elsewhere.example/",
    "Sec-Fetch-Dest": "image",
    "Sec-Fetch-Mode": "no-cors",
    "Sec-Fetch-Site": "cross-site",
}
"""What a browser says of an `<img>` on a page of another site."""
OLD_IMAGE = {name: value for name, value in IMAGE.items() if not name.startswith("Sec-")}
SERVED = ("/models", "/chat/completions", "/local-testing-only-get-latest-logged-call", "/nothing")


def strangers_end_no_session(mock: Turns) -> None:
    """As many images as a page likes, and requests without a key."""
    mock.control("POST", "/sessions", {"name": "opened"}, status=201)
    assert mock.score("steps", session="opened") == mock.score("steps", session="begun") == 1
    for number in range(MOST_SESSIONS + 5):
        path = SERVED[number % len(SERVED)]
        for headers in (IMAGE, OLD_IMAGE):
            refused = mock.ask("GET", f"/_mock/sessions/x{number}/api/v1{path}", headers=headers)
            assert refused.status_code in (401, 404, 405)
    for headers in ({}, {"Authorization": "Bearer invalid"}):
        for path in ("/criteria/judge", "/chat/completions"):
            named = {"x-mock-session": "y", **headers}
            assert mock.ask("POST", f"/api/v1{path}", {}, headers=named).status_code == 401
    for headers in ({"Origin": "https://elsewhere.example"}, IMAGE):
        assert mock.judge(session="z", **headers).status_code == 403
    listed = [each["name"] for each in mock.control("GET", "/sessions")["sessions"]]
    assert listed == ["default", "opened", "begun"]
    assert mock.score("steps", session="opened") == mock.score("steps", session="begun") == 0
    kept = mock.control("GET", "/requests?limit=1")
    assert kept["count"] == 2 * (MOST_SESSIONS + 5) + 6
    assert kept["requests"][0]["notes"] == ['it names the session "z", which isn\'t there']


def sessions_that_were_opened_stay(mock: Turns) -> None:
    """Requests begin others beside them, and take the place of each other alone."""
    assert mock.score("steps", session="begun-0") == 1
    for number in range(MOST_SESSIONS - 1):
        mock.control("POST", "/sessions", {"name": f"opened-{number}"}, status=201)
    assert [mock.score("steps", session=f"begun-{number}") for number in (1, 2)] == [1, 1]
    assert "made room" in mock.judge(session="begun-1").json()["message"]
    mock.control("PUT", "/criteria/mine?session=opened", {"score": 0.25})
    assert "made room" in mock.judge(session="begun-2").json()["message"]
    full = f"a mock keeps {MOST_SESSIONS} sessions, and each of them was opened by the control API"
    refused = mock.judge(session="begun-3")
    assert (refused.status_code, refused.headers["x-request-id"]) == (503, "default-1")
    assert full in refused.json()["message"]
    for path, body in (("/sessions", {"name": "one-more"}), ("/sessions", {}), ("/limits?session=l", {})):
        method = "POST" if path == "/sessions" else "PUT"
        assert full in mock.control(method, path, body, status=409)["message"]
    mock.control("POST", "/sessions", {"name": "opened-0"}, status=200)
    mock.control("DELETE", "/sessions/opened-0")
    assert [mock.score("steps", session=name) for name in ("begun-3", "opened", "begun-3")] == [1, 1, 0]


def a_reset_forgets_everything(mock: Turns) -> None:
    mock.control("PUT", "/criteria/mine", {"score": 0.25})
    mock.control("PUT", "/limits", {"requests_per_minute": 6})
    mock.control("POST", "/completions", {"text": "scripted"}, status=201)
    mock.score("steps")
    mock.said()
    mock.control("POST", "/reset")
    for _ in range(2):
        assert mock.control("GET", "/requests") == {"requests": [], "count": 0, "dropped": 0}
        assert mock.control("GET", "/limits")["source"] == "default"
    assert mock.score("steps") == 1
    assert mock.score("mine") != 0.25
    assert mock.said() != "scripted"
    assert mock.judge().headers["x-request-id"] == "default-4"
    assert {mock.judge().status_code for _ in range(6)} == {200}


def many_at_once_lose_nothing(mock: Turns) -> None:
    mock.control("PUT", "/criteria/long", {"sequence": [number / 100 for number in range(100)]})
    scores: list[float] = []

    def work(client: httpx.Client) -> None:
        one = Turns([str(client.base_url)])
        scores.extend(one.score("long") for _ in range(20))
        one.control("POST", "/completions", {"text": "x"}, status=201)
        one.close()

    threads = [threading.Thread(target=work, args=(client,)) for client in mock.clients * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(scores) == [number / 100 for number in range(len(scores))]
    assert mock.control("GET", "/requests")["count"] == len(scores)
    assert len(mock.control("GET", "/completions")["completions"]) == len(threads)


Scenario = Callable[[Turns], None]
SCENARIOS: tuple[Scenario, ...] = (
    sequences_of_the_file_go_on,
    sequences_of_the_runtime_go_on,
    identical_requests_get_answers_of_their_own,
    faults_strike_at_their_turn,
    criteria_are_set_and_reset,
    a_criterion_set_as_a_whole_keeps_the_file_s_versions,
    scripts_stand_in_front_of_older_ones,
    faults_are_added_and_dropped,
    what_only_json_can_say_is_shared_too,
    a_cached_answer_is_found,
    a_cached_call_is_found,
    calls_are_logged_and_labelled,
    answers_are_logged,
    requests_are_numbered_and_shown,
    any_bytes_can_be_shown,
    verify_counts_all,
    rules_that_missed_are_explained,
    a_key_is_limited_per_minute,
    a_key_is_limited_at_a_time,
    sessions_keep_things_apart,
    sessions_are_made_and_closed,
    strangers_end_no_session,
    sessions_that_were_opened_stay,
    a_reset_forgets_everything,
    many_at_once_lose_nothing,
)
